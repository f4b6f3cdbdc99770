/**
 * A file descriptor that can be closed while calls wait on it: who may still use the number, what waits, and how it is
 * closed exactly once. `File` is the public face of it.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { codes } from "../errors/errnos.ts"
import type { CallErrors } from "../errors/registry.ts"
import { Trait, type Traits } from "./attempt.ts"
import { type Description, type Owner, run } from "./invoke.ts"
import { native } from "./native.ts"
import type { BlockingOptions } from "./trampoline.ts"

export const TypeId = "~effect-linux/File" as const

export class Descriptor implements Owner {
  /** Only a type: see `File`. */
  declare readonly [TypeId]: (never_: never) => never
  readonly fd: number
  /** No operation may begin any more. */
  closed: boolean = false
  /** Whether the number is closed with the file; a borrowed one stays its owner's. */
  readonly owned: boolean
  readonly awaits: boolean
  /** What kind it is, found out by the first call that needs it. */
  readonly traits: Traits = { bits: Trait.learn }
  /** What waits in the kernel, each with the function that calls it back. Most files never have any. */
  private waiting: Set<() => void> | undefined = undefined
  /** Told when the last of them has ended. */
  private onIdle: Array<() => void> | undefined = undefined

  constructor(fd: number, owned = true, awaits = false) {
    this.fd = fd
    this.owned = owned
    this.awaits = awaits
    // A worker that is terminated runs no finalizers: the addon closes what it left.
    if (owned) native.own(fd)
  }

  /** Whether nothing waits on it. */
  get isIdle(): boolean {
    return this.waiting === undefined || this.waiting.size === 0
  }

  /** Ends the use of the number, where nothing waits on it. */
  retireNow(): void {
    this.closed = true
    if (this.owned) native.disown(this.fd)
  }

  /** Calls back what waits; `idle` is called when all of it has ended. */
  callBack(idle: () => void): void {
    this.onIdle ??= []
    this.onIdle.push(idle)
    for (const cancel of this.waiting ?? []) cancel()
  }

  /** Calls `idle` when what waits has ended by itself. */
  whenIdle(idle: () => void): void {
    this.onIdle ??= []
    this.onIdle.push(idle)
  }

  private wait(cancel: () => void): () => void {
    const waiting = this.waiting ?? new Set()
    this.waiting = waiting
    waiting.add(cancel)
    return () => {
      waiting.delete(cancel)
      if (waiting.size === 0) for (const told of this.onIdle?.splice(0) ?? []) told()
    }
  }

  optionsFor(options: BlockingOptions): BlockingOptions {
    return {
      ...options,
      traits: this.traits,
      onWaiting: (cancel) => this.wait(cancel),
      isOver: () => this.closed
    }
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
