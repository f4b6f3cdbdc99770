/** The clock that the guests of a machine see: kvmclock. */
import * as Effect from "effect/Effect"
import type * as Ioctl from "../Ioctl.ts"
import { type Asked, ask } from "./asking.ts"
import { KVM_GET_CLOCK, KVM_SET_CLOCK } from "./requests.ts"
import type { kvm_clock_data } from "./structs.ts"
import type { Vm } from "./vm.ts"

/**
 * @category errors
 * @since 0.1.0
 */
export type ClockError = Asked<Ioctl.RequestError<typeof KVM_GET_CLOCK>>

/**
 * The clock of a machine's guests, in nanoseconds, and, where `flags` has `KVM_CLOCK_REALTIME` and `KVM_CLOCK_HOST_TSC`,
 * the host's real time in nanoseconds and its time stamp counter at the same moment. `KVM_CLOCK_TSC_STABLE`: all vCPUs
 * see the same clock.
 *
 * Request `KVM_GET_CLOCK`, capability `KVM_CAP_ADJUST_CLOCK`, whose bits are the flags that there can be.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // moves a clock to another machine; the time that passed meanwhile is added where the real time is known
 * const move = (from: Kvm.Vm, to: Kvm.Vm) =>
 *   Effect.flatMap(Kvm.getClock(from), ({ clock, flags, realtime }) =>
 *     Kvm.setClock(to, { clock, flags: flags & Kvm.KVM_CLOCK_REALTIME, realtime })
 *   )
 * ```
 *
 * @category machines
 * @since 0.1.0
 */
export const getClock = (vm: Vm): Effect.Effect<kvm_clock_data, ClockError> =>
  ask(vm, "KVM_CAP_ADJUST_CLOCK", KVM_GET_CLOCK)

/**
 * Sets the clock of a machine's guests, in nanoseconds. With `flags` of `KVM_CLOCK_REALTIME` what the host's real time
 * says to have passed since `realtime` is added; other flags are `EINVAL`.
 *
 * Request `KVM_SET_CLOCK`, capability `KVM_CAP_ADJUST_CLOCK`.
 *
 * @category machines
 * @since 0.1.0
 */
export const setClock = (
  vm: Vm,
  data: {
    readonly clock: bigint
    /** 0. */
    readonly flags?: number | undefined
    /** 0. */
    readonly realtime?: bigint | undefined
    /** 0. */
    readonly host_tsc?: bigint | undefined
  }
): Effect.Effect<void, ClockError> =>
  Effect.suspend(() => {
    const { clock, flags = 0, host_tsc = 0n, realtime = 0n } = data
    return Effect.asVoid(ask(vm, "KVM_CAP_ADJUST_CLOCK", KVM_SET_CLOCK, { clock, flags, realtime, host_tsc }))
  })
