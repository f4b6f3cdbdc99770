/**
 * Stopping guests from outside: once, for a while, after each instruction.
 */
import * as Effect from "effect/Effect"
import * as Exit_ from "effect/Exit"
import type * as Ioctl from "../Ioctl.ts"
import type * as Syscall from "../Syscall.ts"
import { KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP } from "./constants.ts"
import type { Exit } from "./exit.ts"
import { KVM_SET_GUEST_DEBUG } from "./requests.ts"
import { type RunError, run } from "./run.ts"
import type { kvm_guest_debug } from "./structs.ts"
import { stateOf, type Vcpu, VcpuState, vcpusOf } from "./vcpu.ts"
import { asking } from "./vcpu-request.ts"
import { type Vm, stateOf as vmStateOf } from "./vm.ts"

/**
 * Makes the guest stop: who runs it gets `Intr`, at once.
 *
 * It is never lost: of a guest that is not being run at this moment the next run completes the access that the guest last
 * stopped for, and gives `Intr` before anything of the guest is executed, as `immediate_exit` does. Several kicks before
 * that count as one. A guest that has just stopped by itself is told of as such, and the kick is over.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // where the guest is after a second
 * const whereabouts = Effect.fnUntraced(function* (vcpu: Kvm.Vcpu) {
 *   yield* Effect.forkChild(Effect.delay(Kvm.kick(vcpu), "1 second"))
 *   const exit = yield* Kvm.run(vcpu)
 *   return exit._tag === "Intr" ? (yield* Kvm.getRegs(vcpu)).rip : undefined
 * })
 * ```
 *
 * @category control
 * @since 0.1.0
 */
export const kick = (vcpu: Vcpu): Effect.Effect<void> =>
  Effect.sync(() => {
    const state = stateOf(vcpu)
    if (state.closed) return
    if (state.stop === undefined) {
      state.kicked = true
    } else {
      state.wasKicked = true
      state.stop()
    }
  })

/** The vCPUs that are meant: one, or all that a machine has now. */
const targets = (target: Vcpu | Vm): ReadonlyArray<VcpuState> =>
  target instanceof VcpuState ? [target] : "page" in target ? [stateOf(target)] : vcpusOf(vmStateOf(target))

/**
 * Brings a vCPU, or all that a machine has, out of the guest, and keeps it out until {@link resume}; done when it is out.
 *
 * Whoever runs it hears nothing of it and goes on waiting; an exit that comes at this moment is given when it is resumed.
 * Meanwhile its state can be read and set. A guest that nobody runs is not entered before it is resumed either. Each
 * `pause` needs a `resume` of its own: {@link whilePaused} sees to it.
 *
 * @category control
 * @since 0.1.0
 */
export const pause = (target: Vcpu | Vm): Effect.Effect<void> =>
  Effect.uninterruptible(
    Effect.suspend(() => {
      const all = targets(target).filter(({ closed }) => !closed)
      for (const state of all) {
        state.pauses++
        state.stop?.()
      }
      return Effect.forEach(
        all.filter(({ running }) => running),
        (state) => Effect.callback<void>((resume) => state.whenAtRest(() => resume(Exit_.void))),
        { discard: true }
      )
    })
  )

/**
 * Ends one {@link pause}, of a vCPU or of all that a machine has; one that is not paused goes on as it is.
 *
 * @category control
 * @since 0.1.0
 */
export const resume = (target: Vcpu | Vm): Effect.Effect<void> =>
  Effect.sync(() => {
    for (const state of targets(target)) state.resume()
  })

/**
 * Does something while a vCPU, or all that a machine has, is kept out of the guest.
 *
 * @example
 * ```ts
 * import { Kvm } from "effect-linux"
 *
 * // the registers of a guest that another fiber runs, and that goes on afterwards
 * const look = (vcpu: Kvm.Vcpu) => Kvm.whilePaused(vcpu, Kvm.getRegs(vcpu))
 * ```
 *
 * @category control
 * @since 0.1.0
 */
export const whilePaused = <A, E, R>(target: Vcpu | Vm, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    // Those that are paused are those that are resumed, whatever is added to the machine meanwhile.
    const all = targets(target)
    const each = (f: (vcpu: Vcpu) => Effect.Effect<void>) =>
      Effect.forEach(all, f, { discard: true, concurrency: "unbounded" })
    return Effect.acquireUseRelease(
      each(pause),
      () => effect,
      () => each(resume)
    )
  })

const setDebugging = asking(KVM_SET_GUEST_DEBUG)

/**
 * What making a guest do one step fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export type StepError = RunError | Syscall.MakeThreadError | Ioctl.RequestError<typeof KVM_SET_GUEST_DEBUG>

/**
 * Has the guest execute one instruction: gives `Debug` after it, or the exit that it ended in before; that is to be
 * answered as always, and the instruction is over with the next step. How the guest is debugged else is as before
 * afterwards.
 *
 * Requests `KVM_SET_GUEST_DEBUG`, `KVM_RUN`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // the addresses of the next ten instructions
 * const trace = (vcpu: Kvm.Vcpu) =>
 *   Effect.replicateEffect(Effect.andThen(Kvm.step(vcpu), Effect.map(Kvm.getRegs(vcpu), ({ rip }) => rip)), 10)
 * ```
 *
 * @category control
 * @since 0.1.0
 */
export const step = (vcpu: Vcpu): Effect.Effect<Exit, StepError> =>
  Effect.suspend(() => {
    const before = stateOf(vcpu).guestDebug ?? { control: 0, arch: { debugreg: Array.from({ length: 8 }, () => 0n) } }
    const set = (value: kvm_guest_debug) => setDebugging(vcpu, value)
    return Effect.acquireUseRelease(
      set({ ...before, control: before.control | KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP }),
      () => run(vcpu),
      // Gone with the vCPU, if that is closed.
      () => Effect.ignore(set(before))
    )
  })
