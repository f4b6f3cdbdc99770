/**
 * A file descriptor that can be closed while calls wait on it: who may still use the number, what waits, and how it is
 * closed exactly once. `File` is the public face of it.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { codes } from "../errors/errnos.ts"
import type { CallErrors } from "../errors/registry.ts"
import { type Description, type Owner, run } from "./invoke.ts"
import { native } from "./native.ts"
import type { BlockingOptions } from "./trampoline.ts"

export const TypeId = "~effect-linux/File" as const

export class Descriptor implements Owner {
  /** Only a type: see `File`. */
  readonly [TypeId]: (never_: never) => never = (never_) => never_
  readonly fd: number
  /** No operation may begin any more. */
  closed: boolean = false
  /** What waits in the kernel, each with the function that calls it back. */
  readonly waiting: Set<() => void> = new Set()
  /** Told when the last of them has ended. */
  readonly onIdle: Array<() => void> = []
  /** The options of calls, with `onWaiting` added; kept, as there are few kinds of calls and many of each. */
  private readonly options: Map<BlockingOptions, BlockingOptions> = new Map()

  /** Whether the number is closed with the file; a borrowed one stays its owner's. */
  readonly owned: boolean
  readonly awaits: boolean

  constructor(fd: number, owned = true, awaits = false) {
    this.fd = fd
    this.owned = owned
    this.awaits = awaits
    // A worker that is terminated runs no finalizers: the addon closes what it left.
    if (owned) native.own(fd)
  }

  private readonly onWaiting = (cancel: () => void): (() => void) => {
    this.waiting.add(cancel)
    return () => {
      this.waiting.delete(cancel)
      if (this.waiting.size === 0) for (const told of this.onIdle.splice(0)) told()
    }
  }

  private readonly isOver = (): boolean => this.closed

  optionsFor(options: BlockingOptions): BlockingOptions {
    // Those with a thread are made for one call.
    if (options.thread !== undefined) return { ...options, onWaiting: this.onWaiting, isOver: this.isOver }
    const known = this.options.get(options)
    if (known !== undefined) return known
    const own = { ...options, onWaiting: this.onWaiting, isOver: this.isOver }
    this.options.set(options, own)
    return own
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
    if (self.waiting.size === 0) return Exit.succeed(first)
    return Effect.callback<boolean>((resume) => {
      self.onIdle.push(() => resume(Exit.succeed(first)))
      if (first) for (const cancel of self.waiting) cancel()
    })
  })
