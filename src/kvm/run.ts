/**
 * Running guests, one exit at a time. What runs them until something happens is in `run-until.ts`, what stops them from
 * outside in `control.ts`.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { codes } from "../errors/errnos.ts"
import { own } from "../file/model.ts"
import { type Fiber, Primitive } from "../internal/invoke.ts"
import { Kernel, Trampoline } from "../internal/trampoline.ts"
import type * as Syscall from "../Syscall.ts"
import {
  answered,
  awaitResumed,
  charge,
  costOfExit,
  enterInline,
  enterThread,
  Flight,
  isPending,
  landing,
  type Restore,
  type RunError,
  refusal,
  runPlainly,
  settle,
  threadOf
} from "./entry.ts"
import type { Exit } from "./exit.ts"
import { KVM_RUN } from "./requests.ts"
import { refuse, stateOf, type Vcpu, type VcpuState } from "./vcpu.ts"

export type { RunError } from "./entry.ts"

class OnThread extends Primitive<Exit, RunError | Syscall.MakeThreadError> {
  private readonly vcpu: Vcpu
  private readonly restore: Restore

  constructor(vcpu: Vcpu, restore: Restore) {
    super()
    this.vcpu = vcpu
    this.restore = restore
  }

  evaluate(fiber: Fiber): Effect.Effect<Exit, RunError | Syscall.MakeThreadError> {
    const state = stateOf(this.vcpu)
    const refused = refusal(state)
    if (refused !== undefined) return refused
    const owner = own(state.file)
    if (owner.closed) return refuse(KVM_RUN.errors, codes.EBADF, "KVM_RUN: the File is closed")
    if (state.kept && state.pauses === 0) {
      state.kept = false
      return settle(state, owner, 0)
    }
    const { thread } = state
    if (thread === undefined) return Effect.flatMap(threadOf(state), () => this)
    state.occupied = true
    if (!(fiber.getRef(Trampoline) instanceof Kernel)) return this.plainly(state, thread)
    if (state.pauses === 0) {
      const result = enterThread(state, thread.id)
      if (!isPending(result)) {
        state.rest()
        state.occupied = false
        charge(fiber, costOfExit)
        return settle(state, owner, result)
      }
      const flight = new Flight(state, owner, thread.id)
      flight.wait()
      return landing(state, flight, this.restore)
    }
    const flight = new Flight(state, owner, thread.id)
    flight.go()
    return landing(state, flight, this.restore)
  }

  private plainly(state: VcpuState, thread: Syscall.Thread): Effect.Effect<Exit, RunError> {
    return Effect.onExit(this.restore(runPlainly(state, thread)), () =>
      Effect.sync(() => {
        state.occupied = false
      })
    )
  }
}

/**
 * Runs the guest until it stops, on the vCPU's own thread: the event loop goes on meanwhile.
 *
 * Interrupting the fiber stops the guest at once, wherever it is, and running it again goes on from there. An exit that
 * came at the same moment is not lost: the next run gives it. Fails with `EBUSY` while another fiber runs it. A vCPU that
 * another one is to start waits for that, and then runs.
 *
 * Where a guest stops again within some microseconds, as it does for one device access after another, the answer is
 * waited for here and now, which is several times faster than by way of the event loop; where it has not done so lately,
 * nothing is.
 *
 * Request `KVM_RUN`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // runs until the guest halts, a second at most
 * const untilHalt = (vcpu: Kvm.Vcpu) =>
 *   Kvm.run(vcpu).pipe(
 *     Effect.repeat({ until: ({ _tag }) => _tag === "Hlt" }),
 *     Effect.timeout("1 second")
 *   )
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const run = (vcpu: Vcpu): Effect.Effect<Exit, RunError | Syscall.MakeThreadError> =>
  Effect.uninterruptibleMask((restore) => new OnThread(vcpu, restore))

class Inline extends Primitive<Exit, RunError> {
  private readonly vcpu: Vcpu

  constructor(vcpu: Vcpu) {
    super()
    this.vcpu = vcpu
  }

  evaluate(fiber: Fiber): Effect.Effect<Exit, RunError> {
    const state = stateOf(this.vcpu)
    if (state.closed || state.occupied || state.running) return refusal(state) ?? this
    if (state.pauses > 0) {
      answered(state)
      return Effect.andThen(awaitResumed(state), this)
    }
    return enterInline(fiber, state)
  }
}

/**
 * Runs the guest until it stops, on the JavaScript thread: faster by two switches of threads, and nothing else happens
 * meanwhile. A guest that does not stop stops the program. One that waited to be started by another vCPU, and was, is the
 * error `EAGAIN`: run it again.
 *
 * **When to use**
 *
 * For guests that are known to stop soon, and for speed.
 *
 * Request `KVM_RUN`.
 *
 * @category running
 * @since 0.1.0
 */
export const runInline = (vcpu: Vcpu): Effect.Effect<Exit, RunError> => new Inline(vcpu)

/**
 * The exits of a guest as a stream: each is run for when it is pulled, by {@link run}, so that a guest stands still while
 * its exit is being handled, and goes on with what it was answered.
 *
 * The stream does not end by itself: `Hlt` and `Shutdown` are exits like others, and a guest can be run after them. It
 * fails with what a run fails with.
 *
 * @example
 * ```ts
 * import { Stream } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // what the guest writes to its first serial port, until it halts
 * const output = (vcpu: Kvm.Vcpu) =>
 *   Kvm.exits(vcpu).pipe(
 *     Stream.takeWhile((exit) => exit._tag !== "Hlt"),
 *     Stream.filter((exit) => exit._tag === "Io" && exit.direction === "out" && exit.port === 0x3f8)
 *   )
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const exits = (vcpu: Vcpu): Stream.Stream<Exit, RunError | Syscall.MakeThreadError> =>
  Stream.fromEffectRepeat(run(vcpu))
