/**
 * Entering guests, the one way under all that runs them: on the vCPU's own thread by the addon's short cut where the
 * trampoline is the kernel itself, or as a call like others where somebody else is to see it; on the JavaScript thread.
 * What is done about an exit is not decided here.
 */
import * as Effect from "effect/Effect"
import * as Exit_ from "effect/Exit"
import * as Scope from "effect/Scope"
import { codes } from "../errors/errnos.ts"
import { own } from "../file/model.ts"
import type * as Ioctl from "../Ioctl.ts"
import type { Descriptor } from "../internal/descriptor.ts"
import { type Fiber, type Owner, run } from "../internal/invoke.ts"
import { native, type Result } from "../internal/native.ts"
import { type BlockingOptions, Trampoline } from "../internal/trampoline.ts"
import * as Syscall from "../Syscall.ts"
import { KVM_EXIT_MEMORY_FAULT, KVM_EXIT_UNKNOWN } from "./constants.ts"
import { decode, type Exit } from "./exit.ts"
import { KVM_RUN } from "./requests.ts"
import { refuse, type VcpuState } from "./vcpu.ts"

/**
 * What running a guest fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export type RunError = Ioctl.RequestError<typeof KVM_RUN>

/** What a run comes to. */
export type Ended = Exit_.Exit<Exit, RunError>

const intr: Exit = { _tag: "Intr" }
const interrupted: Ended = Exit_.succeed(intr)
/** It waited for another vCPU to start it, and was started: the kernel wants to be asked again. */
const started: Ended = Exit_.fail(KVM_RUN.errors.make(codes.EAGAIN, undefined, undefined, "KVM_RUN"))

const closedMeanwhile = () => refuse(KVM_RUN.errors, codes.EBADF, "KVM_RUN: the vCPU was closed meanwhile")
const closedBefore = () => refuse(KVM_RUN.errors, codes.EBADF, "KVM_RUN: the vCPU is closed")

/** Why the vCPU cannot be run; undefined where it can. */
export const refusal = (state: VcpuState): Exit_.Exit<never, RunError> | undefined =>
  state.closed
    ? closedBefore()
    : state.occupied || state.running
      ? refuse(KVM_RUN.errors, codes.EBUSY, "KVM_RUN: the vCPU is running")
      : undefined

/** The guest is about to be entered. */
const prepare = (state: VcpuState): void => {
  state.running = true
  state.entries++
  // What was to end before it began does; the kernel still completes the access that the guest stopped for.
  state.immediateExit = state.kicked ? 1 : 0
  state.wasKicked = state.kicked
  state.kicked = false
  // The reason is also input: by it the kernel completes that access. Only the one that is believed although the call
  // failed must not be an old one.
  if (state.reason === KVM_EXIT_MEMORY_FAULT) state.reason = KVM_EXIT_UNKNOWN
}

/**
 * What the guest stopped for is dealt with: who has it go on has answered, and the addon what it answers by itself. The
 * kernel may not have heard yet, where the guest is held before it is entered.
 */
export const answered = (state: VcpuState): void => {
  if (!state.kept) state.answered = state.entries
}

/** What a result means: to stop for a signal or a fault is an exit like others. Undefined: what the run page tells. */
export const outcome = (state: VcpuState, owner: Descriptor, result: Result): Ended | undefined => {
  const code = -Number(result)
  if (state.closed) return closedMeanwhile()
  if (code <= 0) return undefined
  if (owner.closed) return refuse(KVM_RUN.errors, codes.EBADF, "KVM_RUN: the File was closed meanwhile")
  if (code === codes.EINTR) {
    answered(state)
    return interrupted
  }
  const faulted = code === codes.EFAULT || code === codes.EHWPOISON
  if (faulted && state.reason === KVM_EXIT_MEMORY_FAULT) return undefined
  return Exit_.fail(KVM_RUN.errors.make(code, undefined, owner.fd, "KVM_RUN"))
}

/** What a result of `KVM_RUN` comes to. */
export const settle = (state: VcpuState, owner: Descriptor, result: Result): Ended =>
  outcome(state, owner, result) ?? Exit_.succeed(decode(state))

/** Counts what was done as so many of the operations after which a fiber gives way to others. */
export const charge = (fiber: Fiber, operations: number): void => {
  const running: { currentOpCount: number } = fiber
  running.currentOpCount += operations
}

/** How many operations of a fiber an exit counts as: by this it gives way to others every millisecond or so. */
export const costOfExit = 16

// ---------------------------------------------------------------------------------------------------------------------
// on the JavaScript thread
// ---------------------------------------------------------------------------------------------------------------------

/** Enters the guest here and now. */
export const enterInline = (fiber: Fiber, state: VcpuState): Ended => {
  const owner = own(state.file)
  if (owner.closed) return refuse(KVM_RUN.errors, codes.EBADF, "KVM_RUN: the File is closed")
  if (state.kept) {
    state.kept = false
    return settle(state, owner, 0)
  }
  prepare(state)
  let result: Result
  try {
    result = fiber.getRef(Trampoline).call(Syscall.nr.ioctl, owner.fd, KVM_RUN.code, 0)
  } finally {
    state.rest()
  }
  charge(fiber, costOfExit)
  return settle(state, owner, result)
}

// ---------------------------------------------------------------------------------------------------------------------
// on the vCPU's thread
// ---------------------------------------------------------------------------------------------------------------------

/** The vCPU's own thread, made when it is first needed and ended with the vCPU. */
export const threadOf = (state: VcpuState): Effect.Effect<Syscall.Thread, RunError | Syscall.MakeThreadError> =>
  state.thread !== undefined
    ? Effect.succeed(state.thread)
    : Effect.flatMap(Scope.provide(Syscall.makeThread, state.scope), (thread) => {
        const { fd } = own(state.file)
        const answer = Number(native.attachVcpu(thread.id, fd, KVM_RUN.code, state.bytes.length))
        if (answer < 0) return Effect.fail(KVM_RUN.errors.make(-answer, undefined, fd, "KVM_RUN: its page"))
        state.thread = thread
        state.stopThread = () => native.stopVcpu(thread.id)
        return Effect.succeed(thread)
      })

/** What the addon answers where the guest is still running. */
const pending = 1

export const isPending = (result: Result): boolean => result === pending

/** What the addon is asked to tell of. */
export const Tells = { answer: 0, bell: 1 } as const

/**
 * One run of the guest on its thread that was not over at once, until it is over: paused and resumed, stopped, called
 * back by the end of its vCPU or file.
 */
export class Flight {
  /** What it came to, when it is over, and is not what the run page tells. */
  outcome: { readonly failure: Ended | undefined } | undefined = undefined
  private readonly state: VcpuState
  private readonly owner: Descriptor
  private readonly thread: number
  /** What it is waited for, where it is paused: `proceed` for a guest to be entered again, or an answer to be given. */
  private parked: Result | "proceed" | undefined = undefined
  private isStopping = false
  private isAtExit = false
  private forgetResume: (() => void) | undefined = undefined
  private readonly onOver: () => void
  private told: (() => void) | undefined = undefined

  constructor(state: VcpuState, owner: Descriptor, thread: number) {
    this.state = state
    this.owner = owner
    this.thread = thread
    this.onOver = owner.wait(this.stop)
  }

  /** Enters the guest, or waits until it may be; the guest may have stopped again when this returns. */
  go(): void {
    if (this.isPaused) {
      answered(this.state)
      this.park("proceed")
      return
    }
    if (this.state.kept) {
      // It was kept before the vCPU was paused: entered again, the guest would go on unanswered.
      this.state.kept = false
      this.answer(0)
      return
    }
    const result = enterThread(this.state, this.thread)
    if (result === pending) this.wait()
    else this.answer(result)
  }

  /** Waits for the guest, which was entered. */
  wait(): void {
    const result = native.tellVcpu(this.thread, Tells.answer, this.answer)
    if (result !== pending) this.answer(result)
  }

  private get isPaused(): boolean {
    return this.state.pauses > 0 && !this.isStopping && !this.state.closed
  }

  private readonly answer = (result: Result): void => {
    const { isPaused, state } = this
    if (isPaused) {
      // A kick that came just after the pause is the next run's.
      if (result === -codes.EINTR && state.wasKicked) state.kicked = true
      if (result === -codes.EINTR) answered(state)
      this.park(result === -codes.EINTR ? "proceed" : result)
    }
    // Whoever has paused it may resume it in here.
    state.rest()
    if (!isPaused) this.end(result)
  }

  private park(what: Result | "proceed"): void {
    this.parked = what
    this.state.parked = what === 0
    this.forgetResume = this.state.whenResumed(this.resumed)
  }

  private readonly resumed = (): void => {
    const { parked } = this
    if (parked === undefined) return
    this.parked = undefined
    this.state.parked = false
    if (parked !== "proceed") this.end(parked)
    else if (this.isStopping || this.state.closed) this.end(-codes.EINTR)
    else this.go()
  }

  private end(result: Result): void {
    // Whoever stops it hears of no exit: the next run tells it.
    this.isAtExit = result === 0 && !this.state.closed
    if (this.isStopping && this.isAtExit) this.state.kept = true
    this.outcome = { failure: outcome(this.state, this.owner, result) }
    this.onOver()
    this.told?.()
  }

  /** Makes it be over, at once or soon. An exit that comes at this moment is what the next run gives. */
  readonly stop = (): void => {
    if (this.outcome !== undefined || this.isStopping) return
    this.isStopping = true
    if (this.parked === undefined) {
      this.state.stop?.()
    } else {
      this.forgetResume?.()
      this.resumed()
    }
  }

  /** The same where it may be over, and nobody has heard. */
  abandon(): void {
    if (this.outcome === undefined) this.stop()
    else if (this.isAtExit) this.state.kept = true
  }

  /** Calls `told` when it is over, and nobody else any more; undefined: nobody. */
  whenOver(told: (() => void) | undefined): void {
    this.told = told
    if (this.outcome !== undefined) told?.()
  }
}

/** What `Effect.uninterruptibleMask` gives. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** What a flight comes to, in an uninterruptible region: an interruption stops the guest and waits for it. */
export const landing = (state: VcpuState, flight: Flight, restore: Restore): Effect.Effect<Exit, RunError> =>
  restore(
    Effect.callback<void>((resume) => {
      flight.whenOver(() => resume(Exit_.void))
    })
  ).pipe(
    Effect.onInterrupt(() => landed(state, flight)),
    Effect.flatMap(() => {
      state.occupied = false
      return flight.outcome?.failure ?? Exit_.succeed(decode(state))
    })
  )

/** Stops a flight and waits until it is over. */
const landed = (state: VcpuState, flight: Flight): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    flight.abandon()
    flight.whenOver(() => {
      state.occupied = false
      resume(Exit_.void)
    })
  })

/** Enters the guest on its thread: what `KVM_RUN` answers, or that it is still running. */
export const enterThread = (state: VcpuState, thread: number): Result => {
  prepare(state)
  state.stop = state.stopThread
  return native.enterVcpu(thread)
}

/** A call like others, which an interceptor may see or answer. */
const call = (
  state: VcpuState,
  thread: Syscall.Thread
): Effect.Effect<{ readonly ended: Ended; readonly isPaused: boolean }> =>
  Effect.suspend(() => {
    let isPaused = false
    const owner = own(state.file)
    const options: BlockingOptions = {
      thread,
      // For a guest that is not yet entered; one that is, the signal gets out.
      onInterrupt: () => {
        if (!state.closed) state.immediateExit = 1
      },
      onAbandoned: () => {
        state.kept = true
      }
    }
    const asOwner: Owner = {
      fd: owner.fd,
      awaits: false,
      traits: owner.traits,
      get closed() {
        return owner.closed
      },
      optionsFor: (given) => {
        const own = owner.optionsFor(given)
        return {
          ...own,
          onWaiting: (cancel) => {
            state.stop = () => {
              state.immediateExit = 1
              cancel()
            }
            return own.onWaiting?.(cancel) ?? (() => {})
          }
        }
      }
    }
    prepare(state)
    return run(
      {
        errors: KVM_RUN.errors,
        nr: Syscall.nr.ioctl,
        prepare: () => [owner.fd, KVM_RUN.code, 0],
        decode: (result) => result,
        options,
        subject: { fd: owner.fd, request: KVM_RUN.name }
      },
      undefined,
      asOwner
    ).pipe(
      Effect.onExit(() =>
        Effect.sync(() => {
          // Whoever has paused it may resume it in here.
          isPaused = state.pauses > 0 && !state.closed
          state.rest()
        })
      ),
      Effect.match({
        onFailure: (error) => ({
          isPaused,
          ended:
            error.errno === codes.EAGAIN && !state.closed
              ? started
              : (outcome(state, owner, -error.errno) ?? Exit_.succeed(decode(state)))
        }),
        onSuccess: (result) => ({ isPaused, ended: settle(state, owner, result) })
      })
    )
  })

/** Waits until the vCPU is not paused, or closed. */
export const awaitResumed = (state: VcpuState): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (state.pauses === 0 || state.closed) {
      resume(Exit_.void)
      return
    }
    return Effect.sync(state.whenResumed(() => resume(Exit_.void)))
  })

/** Runs the guest by calls that the trampoline sees, until it stops and is not paused. */
export const runPlainly = (state: VcpuState, thread: Syscall.Thread): Effect.Effect<Exit, RunError> => {
  const resumed = awaitResumed(state)
  const once: Effect.Effect<Exit, RunError> = Effect.suspend(() => {
    if (state.closed) return closedMeanwhile()
    if (state.pauses > 0) {
      answered(state)
      return Effect.andThen(resumed, once)
    }
    if (state.kept) {
      state.kept = false
      return settle(state, own(state.file), 0)
    }
    return Effect.flatMap(call(state, thread), ({ ended, isPaused }): Effect.Effect<Exit, RunError> => {
      if (ended === started) return once
      if (!isPaused || state.closed) return ended
      if (ended === interrupted) {
        if (state.wasKicked) state.kicked = true
        return once
      }
      return Effect.andThen(
        Effect.onInterrupt(resumed, () =>
          Effect.sync(() => {
            if (Exit_.isSuccess(ended)) state.kept = true
          })
        ),
        ended
      )
    })
  })
  return once
}
