/**
 * What happens to a vCPU at rest: events that are pending, interrupts of all kinds that are injected, whether it runs or
 * halts. x86_64.
 */
import * as Effect from "effect/Effect"
import { codes } from "../errors/errnos.ts"
import type * as Ioctl from "../Ioctl.ts"
import {
  KVM_GET_MP_STATE,
  KVM_GET_VCPU_EVENTS,
  KVM_INTERRUPT,
  KVM_NMI,
  KVM_SET_MP_STATE,
  KVM_SET_SIGNAL_MASK,
  KVM_SET_VAPIC_ADDR,
  KVM_SET_VCPU_EVENTS,
  KVM_SMI,
  KVM_TPR_ACCESS_REPORTING
} from "./requests.ts"
import type { kvm_mp_state, kvm_vcpu_events } from "./structs.ts"
import { refuse, type Vcpu } from "./vcpu.ts"
import { asking, askingWith, type OptionalRequestError } from "./vcpu-request.ts"

// ---------------------------------------------------------------------------------------------------------------------
// pending events
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What reading or writing pending events fails with; `EBUSY` while the guest runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type VcpuEventsError = OptionalRequestError<typeof KVM_GET_VCPU_EVENTS>

const askEvents = askingWith("KVM_CAP_VCPU_EVENTS", KVM_GET_VCPU_EVENTS)
const tellEvents = askingWith("KVM_CAP_VCPU_EVENTS", KVM_SET_VCPU_EVENTS)

/**
 * The exceptions, interrupts, NMIs and SMIs that the vCPU has pending, and what of them is masked. `flags` says which
 * fields hold: `KVM_VCPUEVENT_VALID_*`. x86_64.
 *
 * Request `KVM_GET_VCPU_EVENTS`, capability `KVM_CAP_VCPU_EVENTS`.
 *
 * @category events
 * @since 0.1.0
 */
export const getVcpuEvents = (vcpu: Vcpu): Effect.Effect<kvm_vcpu_events, VcpuEventsError> => askEvents(vcpu, undefined)

/**
 * Sets what the vCPU has pending. Fields that other vCPUs may change (`nmi.pending`, `sipi_vector`, `smi`, …) are taken
 * only where `flags` names them with `KVM_VCPUEVENT_VALID_*`.
 *
 * Fails with `EINVAL` where `flags` names what needs a capability that is not switched on, or an exception's number is
 * none. x86_64.
 *
 * Request `KVM_SET_VCPU_EVENTS`, capability `KVM_CAP_VCPU_EVENTS`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // the guest takes an invalid opcode exception next
 * const injectUndefined = (vcpu: Kvm.Vcpu) =>
 *   Effect.flatMap(Kvm.getVcpuEvents(vcpu), (events) =>
 *     Kvm.setVcpuEvents(vcpu, { ...events, exception: { ...events.exception, injected: 1, nr: 6, has_error_code: 0 } })
 *   )
 * ```
 *
 * @category events
 * @since 0.1.0
 */
export const setVcpuEvents = (vcpu: Vcpu, events: kvm_vcpu_events): Effect.Effect<void, VcpuEventsError> =>
  Effect.asVoid(tellEvents(vcpu, events))

// ---------------------------------------------------------------------------------------------------------------------
// interrupts
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What injecting an interrupt fails with: `EINVAL` where the vector is above 255, `ENXIO` where the machine has a PIC in
 * the kernel, `EEXIST` where only the local APIC is there and one waits already, `EBUSY` while the guest runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type InterruptError = Ioctl.RequestError<typeof KVM_INTERRUPT>

const tellInterrupt = asking(KVM_INTERRUPT)

/**
 * Injects an external interrupt, by its vector (0 to 255), which the guest takes as soon as it runs. For machines without
 * an interrupt controller in the kernel. x86_64.
 *
 * **When to use**
 *
 * When the guest can take it, which is not looked at here: the run page's `ready_for_interrupt_injection` says so after
 * an exit, and where it is 0, setting `request_interrupt_window` there ends the run as soon as it is 1.
 *
 * Request `KVM_INTERRUPT`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const interrupt = (vcpu: Vcpu, vector: number): Effect.Effect<void, InterruptError> =>
  Effect.asVoid(tellInterrupt(vcpu, { irq: vector }))

/**
 * What queueing an NMI or SMI fails with; `EBUSY` while the guest runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type NmiError = OptionalRequestError<typeof KVM_NMI>

const tellNmi = askingWith("KVM_CAP_USER_NMI", KVM_NMI)
const tellSmi = askingWith("KVM_CAP_X86_SMM", KVM_SMI)

/**
 * Queues a non-maskable interrupt. x86_64.
 *
 * Request `KVM_NMI`, capability `KVM_CAP_USER_NMI`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const nmi = (vcpu: Vcpu): Effect.Effect<void, NmiError> => Effect.asVoid(tellNmi(vcpu, undefined))

/**
 * Queues a system management interrupt. x86_64.
 *
 * Request `KVM_SMI`, capability `KVM_CAP_X86_SMM`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const smi = (vcpu: Vcpu): Effect.Effect<void, NmiError> => Effect.asVoid(tellSmi(vcpu, undefined))

// ---------------------------------------------------------------------------------------------------------------------
// running or halted
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What reading or writing the multiprocessing state fails with; `EBUSY` while the guest runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type MpStateError = OptionalRequestError<typeof KVM_GET_MP_STATE>

const askMpState = askingWith("KVM_CAP_MP_STATE", KVM_GET_MP_STATE)
const tellMpState = askingWith("KVM_CAP_MP_STATE", KVM_SET_MP_STATE)

/**
 * Whether the vCPU runs, halts or waits to be started by another one: `mp_state` is one of `KVM_MP_STATE_*`. It means
 * something only where the machine has its interrupt controller in the kernel.
 *
 * Request `KVM_GET_MP_STATE`, capability `KVM_CAP_MP_STATE`.
 *
 * @category events
 * @since 0.1.0
 */
export const getMpState = (vcpu: Vcpu): Effect.Effect<kvm_mp_state, MpStateError> => askMpState(vcpu, undefined)

/**
 * Sets whether the vCPU runs, halts or waits to be started: `mp_state` is one of `KVM_MP_STATE_*`.
 *
 * Fails with `EINVAL` where there is no such state, or, without an interrupt controller in the kernel, for any but
 * `KVM_MP_STATE_RUNNABLE`.
 *
 * Request `KVM_SET_MP_STATE`, capability `KVM_CAP_MP_STATE`.
 *
 * @category events
 * @since 0.1.0
 */
export const setMpState = (vcpu: Vcpu, state: kvm_mp_state): Effect.Effect<void, MpStateError> =>
  Effect.asVoid(tellMpState(vcpu, state))

// ---------------------------------------------------------------------------------------------------------------------
// signals
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What setting the signal mask fails with; `EBUSY` while the guest runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type SignalMaskError = Ioctl.RequestError<typeof KVM_SET_SIGNAL_MASK>

/** The first signal that is real-time to the kernel. */
const firstRealTime = 32

const tellSignalMask = asking(KVM_SET_SIGNAL_MASK)

/**
 * Sets which signals are blocked while the guest runs, by their numbers; null for those that the thread blocks anyway. A
 * signal that is not blocked then ends the run with `Intr`.
 *
 * Only signals from 1 to 31 can be blocked, and fewer may be useful: a real-time signal is what interrupts a run, and one
 * that is blocked would be without an end. Anything else fails with `EINVAL`.
 *
 * Request `KVM_SET_SIGNAL_MASK`.
 *
 * @category events
 * @since 0.1.0
 */
export const setSignalMask = (
  vcpu: Vcpu,
  signals: ReadonlyArray<number> | null
): Effect.Effect<void, SignalMaskError> =>
  Effect.suspend(() => {
    if (signals === null) return tellSignalMask(vcpu, null)
    const set = new Uint8Array(8)
    for (const signal of signals) {
      if (!Number.isInteger(signal) || signal < 1 || signal >= firstRealTime) {
        return refuse(
          KVM_SET_SIGNAL_MASK.errors,
          codes.EINVAL,
          `KVM_SET_SIGNAL_MASK: signals: expected numbers from 1 to ${firstRealTime - 1}, got ${signal}`
        )
      }
      const bit = signal - 1
      set[bit >> 3] = (set[bit >> 3] ?? 0) | (1 << (bit & 7))
    }
    return tellSignalMask(vcpu, set)
  })

// ---------------------------------------------------------------------------------------------------------------------
// the task priority
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What the functions of the task priority register fail with; `EBUSY` while the guest runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type TaskPriorityError = OptionalRequestError<typeof KVM_TPR_ACCESS_REPORTING>

const tellReporting = askingWith("KVM_CAP_VAPIC", KVM_TPR_ACCESS_REPORTING)
const tellVapic = askingWith("KVM_CAP_VAPIC", KVM_SET_VAPIC_ADDR)

/**
 * Whether accesses of the guest to its task priority register end the run, so that the instructions can be patched.
 * x86_64.
 *
 * Request `KVM_TPR_ACCESS_REPORTING`, capability `KVM_CAP_VAPIC`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const tprAccessReporting = (vcpu: Vcpu, enabled: boolean): Effect.Effect<void, TaskPriorityError> =>
  Effect.asVoid(tellReporting(vcpu, { enabled: enabled ? 1 : 0, flags: 0 }))

/**
 * Sets where in guest memory the task priority register is mirrored, for guests that {@link tprAccessReporting} has
 * patched; 0 for nowhere.
 *
 * Fails with `EINVAL` where the machine has no local APIC in the kernel. x86_64.
 *
 * Request `KVM_SET_VAPIC_ADDR`, capability `KVM_CAP_VAPIC`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const setVapicAddr = (vcpu: Vcpu, address: bigint): Effect.Effect<void, TaskPriorityError> =>
  Effect.asVoid(tellVapic(vcpu, { vapic_addr: address }))
