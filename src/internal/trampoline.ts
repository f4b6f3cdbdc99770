/**
 * The seam between the library and the kernel: the service through which every system call goes, and the one that
 * really makes them.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { codes } from "../errors/errnos.ts"
import { isErrorResult } from "../errors/registry.ts"
import { type Argument, native, type Result } from "./native.ts"

/** What the kernel does with the memory of an argument: two bits each, as the addon takes them. */
export const Direction = {
  /** Whatever it likes. */
  unknown: 0,
  /** It reads it. */
  in: 1,
  /** It writes all of it, or nothing when it fails. */
  out: 2,
  /** It writes as many bytes as the call returns. */
  outCount: 3
} as const

/** The directions of a call's arguments, in order, as the addon takes them. */
export const directions = (...list: ReadonlyArray<(typeof Direction)[keyof typeof Direction]>): number =>
  list.reduce<number>((bits, direction, index) => bits | (direction << (2 * index)), 0)

/** A thread of its own for blocking calls: see `Syscall.makeThread`. */
export class Thread {
  readonly id: number
  constructor(id: number) {
    this.id = id
  }
}

export interface BlockingOptions {
  /**
   * Make the call on the JavaScript thread if the kernel can answer it without waiting. The answer is then given as it
   * is, without an effect around it.
   */
  readonly inlineFirst?: boolean | undefined
  /** What a descriptor has to be ready for, so that the call need not wait: `POLLIN` by default, or `POLLOUT`. */
  readonly events?: number | undefined
  /** The thread to make it on; by default one that lives as long as the call. */
  readonly thread?: Thread | undefined
  /** What the kernel does with the memory of each argument: bits that `directions` makes. */
  readonly directions?: number | undefined
  /**
   * Called with a result that no fiber receives, as its fiber was interrupted when the kernel had already done the
   * work: the place to close a descriptor that the call opened.
   */
  readonly onAbandoned?: ((result: Result) => void) | undefined
  /** Whether what the call is about is closed by now: the call then is not begun, and ends with EBADF. */
  readonly isOver?: (() => boolean) | undefined
  /** Called just before the kernel is made to give the call up, as its fiber is interrupted. */
  readonly onInterrupt?: (() => void) | undefined
  /**
   * Called when the call begins to wait, with a function that makes the kernel give it up (it then ends with EINTR);
   * what it returns is called when the wait is over. Whoever closes a descriptor ends by it what still waits there.
   */
  readonly onWaiting?: ((cancel: () => void) => () => void) | undefined
}

export interface Trampoline {
  readonly call: (nr: number, ...args: ReadonlyArray<Argument>) => Result
  readonly callBlocking: (
    nr: number,
    args: ReadonlyArray<Argument>,
    options?: BlockingOptions
  ) => Result | Effect.Effect<Result, TypeError | RangeError>
}

const offload = (nr: number, args: ReadonlyArray<Argument>, options: BlockingOptions, done: number) =>
  Effect.callback<Result, TypeError | RangeError>((resume) => {
    let finished: Result | undefined
    let onInterrupted: (() => void) | undefined
    let onOver: (() => void) | undefined
    let operation: number
    // This runs some time after the caller asked.
    if (options.isOver?.() === true) return resume(Exit.succeed(-codes.EBADF))
    try {
      operation = native.start([nr, ...args], options.directions ?? 0, done, options.thread?.id ?? 0, (result) => {
        finished = result
        onOver?.()
        if (onInterrupted === undefined) {
          resume(Exit.succeed(result))
        } else {
          if (!isErrorResult(result)) options.onAbandoned?.(result)
          onInterrupted()
        }
      })
    } catch (thrown) {
      return resume(thrown instanceof TypeError || thrown instanceof RangeError ? Exit.fail(thrown) : Exit.die(thrown))
    }
    onOver = options.onWaiting?.(() => native.interrupt(operation))
    // The fiber ends only when the kernel has let go of the memory it was lent.
    return Effect.callback<void>((ended) => {
      // Over, but the fiber was interrupted before it had the result.
      if (finished !== undefined) {
        if (!isErrorResult(finished)) options.onAbandoned?.(finished)
        return ended(Exit.void)
      }
      onInterrupted = () => ended(Exit.void)
      try {
        options.onInterrupt?.()
      } finally {
        native.interrupt(operation)
      }
    })
  })

// Written out for the calls that there are: spreading a list into the addon costs as much as a third of a call.
const attempt = (nr: number, args: ReadonlyArray<Argument>): ReturnType<typeof native.attempt> => {
  const [a = null, b = null, c = null, d = null] = args
  switch (args.length) {
    case 3:
      return native.attempt(nr, a, b, c)
    case 4:
      return native.attempt(nr, a, b, c, d)
    default:
      return native.attempt(nr, ...args)
  }
}

/** The real kernel. */
export const kernel: Trampoline = {
  call: native.call,
  callBlocking: (nr, args, options = {}) => {
    if (options.inlineFirst !== true) return offload(nr, args, options, 0)
    const answer = attempt(nr, args)
    if (answer === undefined) return offload(nr, args, options, 0)
    return typeof answer === "object" ? offload(nr, args, options, answer.done) : answer
  }
}

export const Trampoline: Context.Reference<Trampoline> = Context.Reference("effect-linux/Syscall/Trampoline", {
  defaultValue: () => kernel
})
