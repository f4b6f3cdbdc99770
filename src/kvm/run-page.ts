/** What the page that a vCPU shares with its host says beside the exit, and asking through it for an interrupt window. */
import * as Effect from "effect/Effect"
import { codes, type EBADF, type EBUSY, type EINVAL } from "../errors/errnos.ts"
import { errorsOf, type OtherErrno } from "../errors/registry.ts"
import { misuseOf } from "../internal/invoke.ts"
import { kvm_run } from "./structs.ts"
import { refuse, stopped, type Vcpu } from "./vcpu.ts"

/**
 * What reading or writing the page that a vCPU shares with its host fails with: `EBADF` where the vCPU is closed, `EBUSY`
 * while the guest runs, `EINVAL` for values that do not fit.
 *
 * @category errors
 * @since 0.1.0
 */
export type RunPageError = EBADF | EBUSY | EINVAL | OtherErrno

export const runPageErrors = errorsOf("ioctl", ["EBADF", "EBUSY", "EINVAL"])

/** Works on the run page of a vCPU at rest. */
export const onPage = <A>(vcpu: Vcpu, name: string, f: (page: DataView) => A): Effect.Effect<A, RunPageError> =>
  stopped(vcpu, { errors: runPageErrors, name }, (state): Effect.Effect<A, RunPageError> => {
    if (state.closed) return refuse(runPageErrors, codes.EBADF, `${name}: the vCPU is closed`)
    try {
      return Effect.succeed(f(new DataView(state.bytes.buffer, state.bytes.byteOffset)))
    } catch (thrown) {
      const { code, detail } = misuseOf(thrown)
      return refuse(runPageErrors, code, `${name}: ${detail}`)
    }
  })

/**
 * What the last exit told of a vCPU beside its reason.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunState {
  /** An interrupt can be given to it now (`KVM_INTERRUPT`), where the interrupt controller is not KVM's. */
  readonly readyForInterruptInjection: boolean
  /** Its interrupts are enabled. */
  readonly ifFlag: boolean
  /** A set of `KVM_RUN_X86_*`: it is in system management mode, has locked the bus, runs a guest of its own. */
  readonly flags: number
  /** Its task priority, 0 to 15, where the interrupt controller is not KVM's. */
  readonly cr8: bigint
  readonly apicBase: bigint
}

/**
 * What the last exit told of a vCPU beside its reason: {@link RunState}. Before the first run it is zeros.
 *
 * @category running
 * @since 0.1.0
 */
export const getRunState = (vcpu: Vcpu): Effect.Effect<RunState, RunPageError> =>
  onPage(vcpu, "getRunState", (page) => {
    const { apic_base, cr8, flags, if_flag, ready_for_interrupt_injection } = kvm_run.fields
    return {
      readyForInterruptInjection:
        ready_for_interrupt_injection.layout.get(page, ready_for_interrupt_injection.offset) !== 0,
      ifFlag: if_flag.layout.get(page, if_flag.offset) !== 0,
      flags: flags.layout.get(page, flags.offset),
      cr8: cr8.layout.get(page, cr8.offset),
      apicBase: apic_base.layout.get(page, apic_base.offset)
    }
  })

/**
 * Makes a guest stop with `IrqWindowOpen` as soon as it can take an interrupt, at every run until it is taken back: for
 * interrupt controllers that are not KVM's.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // runs until the guest can be interrupted
 * const toWindow = (vcpu: Kvm.Vcpu) =>
 *   Effect.gen(function* () {
 *     yield* Kvm.requestInterruptWindow(vcpu, true)
 *     yield* Effect.repeat(Kvm.run(vcpu), { until: ({ _tag }) => _tag === "IrqWindowOpen" })
 *     yield* Kvm.requestInterruptWindow(vcpu, false)
 *   })
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const requestInterruptWindow = (vcpu: Vcpu, wanted: boolean): Effect.Effect<void, RunPageError> =>
  onPage(vcpu, "requestInterruptWindow", (page) => {
    const { layout, offset } = kvm_run.fields.request_interrupt_window
    layout.set(page, offset, wanted ? 1 : 0, "request_interrupt_window")
  })
