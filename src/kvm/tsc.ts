/**
 * The time stamp counter of vCPUs and machines, and what a guest is told of being stopped. x86_64.
 */
import * as Effect from "effect/Effect"
import * as File from "../File.ts"
import { requires } from "./capability.ts"
import {
  KVM_GET_TSC_KHZ,
  KVM_GET_TSC_KHZ_VM,
  KVM_KVMCLOCK_CTRL,
  KVM_SET_TSC_KHZ,
  KVM_SET_TSC_KHZ_VM
} from "./requests.ts"
import { type Vcpu, VcpuState } from "./vcpu.ts"
import { askingWith, type OptionalRequestError } from "./vcpu-request.ts"
import { stateOf as machineOf, type Vm } from "./vm.ts"

const isVcpu = (target: Vcpu | Vm): target is Vcpu => target instanceof VcpuState

/**
 * What reading or setting the counter's frequency fails with: `EIO` where the host's counter is not stable, `EBUSY`
 * while the guest runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type TscError = OptionalRequestError<typeof KVM_GET_TSC_KHZ>

const askTsc = askingWith("KVM_CAP_GET_TSC_KHZ", KVM_GET_TSC_KHZ)
const tellTsc = askingWith("KVM_CAP_TSC_CONTROL", KVM_SET_TSC_KHZ)

/**
 * The frequency of a vCPU's time stamp counter, or of that of vCPUs that a machine is given from now on, in kHz. x86_64.
 *
 * Request `KVM_GET_TSC_KHZ`, capability `KVM_CAP_GET_TSC_KHZ` of a vCPU, `KVM_CAP_VM_TSC_CONTROL` of a machine.
 *
 * @category clock
 * @since 0.1.0
 */
export const getTscKhz = (target: Vcpu | Vm): Effect.Effect<number, TscError> =>
  Effect.suspend((): Effect.Effect<number, TscError> => {
    if (isVcpu(target)) return askTsc(target, undefined)
    const { file } = machineOf(target)
    return Effect.andThen(requires(target, "KVM_CAP_VM_TSC_CONTROL"), File.ioctl(file, KVM_GET_TSC_KHZ_VM))
  })

/**
 * Sets the frequency of a vCPU's time stamp counter, or of that of vCPUs that a machine is given from now on, in kHz; 0
 * is the host's.
 *
 * Fails with `EINVAL` where the hardware cannot. x86_64.
 *
 * Request `KVM_SET_TSC_KHZ`, capability `KVM_CAP_TSC_CONTROL` of a vCPU, `KVM_CAP_VM_TSC_CONTROL` of a machine.
 *
 * @category clock
 * @since 0.1.0
 */
export const setTscKhz = (target: Vcpu | Vm, khz: number): Effect.Effect<void, TscError> =>
  Effect.suspend((): Effect.Effect<unknown, TscError> => {
    if (isVcpu(target)) return tellTsc(target, khz)
    const { file } = machineOf(target)
    return Effect.andThen(requires(target, "KVM_CAP_VM_TSC_CONTROL"), File.ioctl(file, KVM_SET_TSC_KHZ_VM, khz))
  }).pipe(Effect.asVoid)

/**
 * What {@link kvmclockCtrl} fails with: `EINVAL` where the guest does not use the clock, `EBUSY` while it runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type KvmclockError = OptionalRequestError<typeof KVM_KVMCLOCK_CTRL>

const tellPaused = askingWith("KVM_CAP_KVMCLOCK_CTRL", KVM_KVMCLOCK_CTRL)

/**
 * Tells the guest that it was stopped for a while, so that its watchdog does not take the time for a lockup. For guests
 * that use KVM's own clock. x86_64.
 *
 * Request `KVM_KVMCLOCK_CTRL`, capability `KVM_CAP_KVMCLOCK_CTRL`.
 *
 * @category clock
 * @since 0.1.0
 */
export const kvmclockCtrl = (vcpu: Vcpu): Effect.Effect<void, KvmclockError> =>
  Effect.asVoid(tellPaused(vcpu, undefined))
