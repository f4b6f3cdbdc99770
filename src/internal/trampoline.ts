/**
 * The seam between the library and the kernel: the service through which every system call goes, and the one that
 * really makes them.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import { attempt, lastStatus, lastTraits, Status, type Traits } from "./attempt.ts"
import { engine } from "./engine/default.ts"
import { type Conclude, elsewhere, pollOne, soleDescriptor } from "./engine/elsewhere.ts"
import type { Engine, Options } from "./engine/engine.ts"
import { type Argument, native, type Result } from "./native.ts"

export { Direction, directions, Thread } from "./engine/engine.ts"

/** How a call that may wait is to be made. */
export interface BlockingOptions extends Options {
  /**
   * Make the call on the JavaScript thread if the kernel can answer it without waiting. The answer is then given as it
   * is, without an effect around it.
   */
  readonly inlineFirst?: boolean | undefined
}

/** What a call is about, where that can be closed while it waits. */
export interface Owner {
  readonly fd: number
  readonly closed: boolean
  /**
   * That its `O_NONBLOCK` is ours and not the user's: a call that the kernel answers with EAGAIN waits until the descriptor
   * is ready, and is made again.
   */
  readonly awaits: boolean
  readonly traits: Traits
  /** The options of a call on it that is to wait, so that closing it reaches the call. */
  readonly optionsFor: (options: BlockingOptions) => BlockingOptions
}

export interface Trampoline {
  readonly call: (nr: number, ...args: ReadonlyArray<Argument>) => Result
  readonly callBlocking: (
    nr: number,
    args: ReadonlyArray<Argument>,
    options?: BlockingOptions
  ) => Result | Effect.Effect<Result, TypeError | RangeError>
}

const noOptions: BlockingOptions = {}

/** What an attempt that was not answered came to. */
export interface Attempted {
  readonly status: number
  readonly traits: number
  readonly answer: Result | undefined
}

const asItIs: Conclude<Result, TypeError | RangeError> = (ended) => ended

/** The real kernel, with an engine for what has to wait. */
export class Kernel implements Trampoline {
  readonly engine: Engine
  readonly call = native.call

  constructor(engine: Engine) {
    this.engine = engine
  }

  // A function and not a method: it is handed around by itself.
  readonly callBlocking = (
    number: number,
    args: ReadonlyArray<Argument>,
    options: BlockingOptions = noOptions
  ): Result | Effect.Effect<Result, TypeError | RangeError> => {
    if (options.inlineFirst === true) {
      const answer = attempt(number, args, options.traits)
      if (lastStatus() === Status.answered) return answer ?? 0
      return elsewhere(this.engine, number, args, options, lastStatus(), Number(answer ?? 0), lastTraits(), asItIs)
    }
    const pollfd = options.thread === undefined ? soleDescriptor(number, args) : undefined
    if (pollfd !== undefined) return pollOne(this.engine, pollfd, options)
    return elsewhere(this.engine, number, args, options, Status.wouldWait, 0, options.traits?.bits ?? 0, asItIs)
  }

  /** Goes on after an attempt that was not answered. */
  goOn<A, E>(
    number: number,
    args: ReadonlyArray<Argument>,
    options: BlockingOptions,
    owner: Owner | undefined,
    attempted: Attempted,
    conclude: Conclude<A, E>
  ): Effect.Effect<A, E> {
    const own = owner === undefined ? options : owner.optionsFor(options)
    const { answer, status, traits } = attempted
    return elsewhere(this.engine, number, args, own, status, Number(answer ?? 0), traits, conclude)
  }
}

/** The real kernel, with the engine of this thread. */
export const kernel: Kernel = new Kernel(engine)

export const Trampoline: Context.Reference<Trampoline> = Context.Reference("effect-linux/Syscall/Trampoline", {
  defaultValue: (): Trampoline => kernel
})
