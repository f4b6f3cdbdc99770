/**
 * A file descriptor that can be closed while calls wait on it: who may still use the number, what waits, and how it is
 * closed exactly once. `File` is the public face of it.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { codes } from "../errors/errnos.ts"
import type { CallErrors } from "../errors/registry.ts"
import { Trait, type Traits } from "./attempt.ts"
import { Watch } from "./engine/watches.ts"
import { type Description, type Owner, run } from "./invoke.ts"
import { native, type Result } from "./native.ts"
import type { BlockingOptions, Thread } from "./trampoline.ts"

export const TypeId = "~effect-linux/File" as const

/** Something that waits on a descriptor. */
export interface Waiting {
  /** Makes the kernel give it up, as the descriptor is closed. */
  readonly cancel: () => void
}

/** What calls are told by, made once for all calls on a descriptor, when there is one that waits. */
class Hooks {
  private readonly self: Descriptor
  private waits: ((cancel: () => void) => () => void) | undefined = undefined
  private over: (() => boolean) | undefined = undefined

  constructor(self: Descriptor) {
    this.self = self
  }

  get onWaiting(): (cancel: () => void) => () => void {
    this.waits ??= (cancel) => this.self.wait(cancel)
    return this.waits
  }

  get isOver(): () => boolean {
    this.over ??= () => this.self.closed
    return this.over
  }
}

// A class, so that all are alike: records that are put together anew for each call make the calls slow.
class OwnOptions implements BlockingOptions {
  readonly inlineFirst: boolean | undefined
  readonly traits: Traits
  readonly watch: Watch | undefined
  readonly events: number | undefined
  readonly thread: Thread | undefined
  readonly directions: number | undefined
  readonly onAbandoned: ((result: Result) => void) | undefined
  readonly isOver: () => boolean
  readonly onInterrupt: (() => void) | undefined
  readonly onWaiting: (cancel: () => void) => () => void

  constructor(options: BlockingOptions, traits: Traits, watch: Watch | undefined, hooks: Hooks) {
    this.inlineFirst = options.inlineFirst
    this.traits = traits
    this.watch = watch
    this.events = options.events
    this.thread = options.thread
    this.directions = options.directions
    this.onAbandoned = options.onAbandoned
    this.isOver = hooks.isOver
    this.onInterrupt = options.onInterrupt
    this.onWaiting = hooks.onWaiting
  }
}

export class Descriptor implements Owner {
  /** Only a type: see `File`. */
  declare readonly [TypeId]: (never_: never) => never
  readonly fd: number
  /** Whether the number is closed with the file; a borrowed one stays its owner's. */
  readonly owned: boolean
  readonly awaits: boolean
  /** What kind it is, found out by the first call that needs it. */
  readonly traits: Traits = { bits: Trait.learn, manners: 0 }
  /** Others may have its open file too: it was duplicated, or its number handed out. It may outlive this. */
  shared = false
  // What waits in the kernel: most often none or one, for which a set would cost more than the wait.
  private first: Waiting | undefined = undefined
  private more: Set<Waiting> | undefined = undefined
  /** Told when the last of them has ended. */
  private onIdle: Array<() => void> | undefined = undefined
  private readonly hooks: Hooks
  private isClosed = false
  private watch: Watch | undefined = undefined

  constructor(fd: number, owned = true, awaits = false) {
    this.fd = fd
    this.owned = owned
    this.awaits = awaits
    this.hooks = new Hooks(this)
    // A worker that is terminated runs no finalizers: the addon closes what it left.
    if (owned) native.own(fd)
  }

  /** No operation may begin any more. */
  get closed(): boolean {
    return this.isClosed
  }

  set closed(is: boolean) {
    this.isClosed = is
    if (is) this.watch?.drop()
    else this.watch?.keep()
  }

  /** How it is waited for; of one that is somebody else's it is not known when its number becomes another's. */
  get watched(): Watch | undefined {
    if (!this.owned) return undefined
    this.watch ??= new Watch(this.fd)
    return this.watch
  }

  /** Whether nothing waits on it. */
  get isIdle(): boolean {
    return this.first === undefined && (this.more === undefined || this.more.size === 0)
  }

  /** Ends the use of the number, where nothing waits on it. */
  retireNow(): void {
    this.closed = true
    if (this.owned) native.disown(this.fd)
  }

  /** Calls back what waits; `idle` is called when all of it has ended. */
  callBack(idle: () => void): void {
    this.whenIdle(idle)
    const all = [...(this.first === undefined ? [] : [this.first]), ...(this.more ?? [])]
    for (const waiting of all) waiting.cancel()
  }

  /** Calls `idle` when what waits has ended by itself. */
  whenIdle(idle: () => void): void {
    this.onIdle ??= []
    this.onIdle.push(idle)
  }

  /** Notes what waits; to be called with what it returns when the wait is over. */
  wait(cancel: () => void): () => void {
    const waiting: Waiting = { cancel }
    this.begun(waiting)
    return () => this.ended(waiting)
  }

  /** Notes what waits. */
  begun(waiting: Waiting): void {
    if (this.first === undefined) {
      this.first = waiting
    } else {
      this.more ??= new Set()
      this.more.add(waiting)
    }
  }

  /** Its wait is over. */
  ended(waiting: Waiting): void {
    if (this.first === waiting) this.first = undefined
    else this.more?.delete(waiting)
    if (this.onIdle !== undefined && this.isIdle) for (const told of this.onIdle.splice(0)) told()
  }

  optionsFor(options: BlockingOptions): BlockingOptions {
    return new OwnOptions(options, this.traits, this.watched, this.hooks)
  }

  toString(): string {
    return `File(${this.fd}${this.closed ? ", closed" : ""})`
  }

  toJSON(): unknown {
    return { _id: "File", fd: this.fd, closed: this.closed }
  }
}

/** What stands in for a value that is no File: looking at it is a defect, when the effect runs and not before. */
export const notAFile: Descriptor = Object.defineProperty(new Descriptor(-1, false), "closed", {
  get: () => {
    throw new TypeError("file: expected a File")
  }
})

export const isDescriptor = (u: unknown): u is Descriptor => u instanceof Descriptor

/** What a closed file answers. */
export const closedError = <E>(self: Descriptor, errors: CallErrors<E>): Exit.Exit<never, E> =>
  Exit.fail(errors.make(codes.EBADF, undefined, self.fd, "the File is closed"))

/** Runs a call that may wait, if the file is open; if it is closed meanwhile the call is called back and fails EBADF. */
export const runOn = <A, E>(self: Descriptor, description: Description<A, E>): Effect.Effect<A, E> =>
  run(description, undefined, self)

/**
 * Ends the use of the number: nothing begins any more, and what waits is called back and waited for. True for the first
 * caller, who then has the number to himself; who comes later waits with him.
 */
export const retire = (self: Descriptor): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    const first = !self.closed
    self.closed = true
    if (first && self.owned) native.disown(self.fd)
    if (self.isIdle) return Exit.succeed(first)
    return Effect.callback<boolean>((resume) => {
      const idle = () => resume(Exit.succeed(first))
      if (first) self.callBack(idle)
      else self.whenIdle(idle)
    })
  })
