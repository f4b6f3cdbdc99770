/** Requests to a vCPU that only x86 has: floating point, the local APIC, debugging, clocks, machine checks, nesting. */
import { codes } from "../../errors/errnos.ts"
import { errorsOf } from "../../errors/registry.ts"
import * as Ioctl from "../../Ioctl.ts"
import { Misuse } from "../../internal/invoke.ts"
import * as Struct from "../../Struct.ts"
import { KVMIO } from "../constants.ts"
import { kvm_debugregs, kvm_guest_debug } from "../structs/debug.ts"
import { kvm_fpu, kvm_lapic_state, kvm_xcrs, kvm_xsave } from "../structs/fpu.ts"
import { kvm_nested_state } from "../structs/nested.ts"
import { kvm_tpr_access_ctl, kvm_vapic_addr, kvm_x86_mce } from "../structs/vcpu.ts"
import { KvmSystem, KvmVcpu, KvmVm } from "./devices.ts"

const stateErrors = errorsOf("ioctl", ["EBADF", "EBUSY", "EFAULT", "EINVAL", "EIO", "ENOMEM", "ENOTTY"])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_FPU = Ioctl.read(KvmVcpu, Ioctl._IOR(KVMIO, 0x8c, kvm_fpu), kvm_fpu, {
  name: "KVM_GET_FPU",
  errors: stateErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_FPU = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0x8d, kvm_fpu), kvm_fpu, {
  name: "KVM_SET_FPU",
  errors: stateErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_LAPIC = Ioctl.read(KvmVcpu, Ioctl._IOR(KVMIO, 0x8e, kvm_lapic_state), kvm_lapic_state, {
  name: "KVM_GET_LAPIC",
  errors: stateErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_LAPIC = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0x8f, kvm_lapic_state), kvm_lapic_state, {
  name: "KVM_SET_LAPIC",
  errors: stateErrors
})

/**
 * More than any processor's extended state takes. The kernel writes and reads as many bytes as the vCPU's state has,
 * whatever the request's number says.
 */
const mostExtendedState = 0x8000

const regionOf = (memory: Uint8Array, size: number): kvm_xsave => ({ region: memory.slice(0, size) })

/**
 * The first 4,096 bytes; `EINVAL` where the vCPU has more.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_XSAVE = Ioctl.make(KvmVcpu, Ioctl._IOR(KVMIO, 0xa4, kvm_xsave), {
  name: "KVM_GET_XSAVE",
  errors: stateErrors,
  encode: (_: undefined) => new Uint8Array(mostExtendedState),
  decode: (_, memory) => regionOf(memory, kvm_xsave.size)
})

const sizes = new WeakMap<Uint8Array, number>()
const keepSize = (memory: Uint8Array, size: number): Uint8Array => {
  sizes.set(memory, size)
  return memory
}
const sizeKept = (memory: Uint8Array): number => sizes.get(memory) ?? kvm_xsave.size

const extendedSize = (size: number): number => {
  if (Number.isInteger(size) && size >= kvm_xsave.size && size <= mostExtendedState) return size
  throw new Misuse(codes.EINVAL, `size: expected ${kvm_xsave.size} to ${mostExtendedState} bytes, got ${size}`)
}

/**
 * Takes the size in bytes, which is what `KVM_CHECK_EXTENSION` says of `KVM_CAP_XSAVE2`. Since Linux 5.17.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_XSAVE2 = Ioctl.make(KvmVcpu, Ioctl._IOR(KVMIO, 0xcf, kvm_xsave), {
  name: "KVM_GET_XSAVE2",
  errors: stateErrors,
  encode: (size: number) => keepSize(new Uint8Array(mostExtendedState), extendedSize(size)),
  decode: (_, memory) => regionOf(memory, sizeKept(memory))
})

/**
 * Takes 4,096 bytes or more; what the kernel reads beyond them is 0.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_XSAVE = Ioctl.make(KvmVcpu, Ioctl._IOW(KVMIO, 0xa5, kvm_xsave), {
  name: "KVM_SET_XSAVE",
  errors: stateErrors,
  encode: ({ region }: kvm_xsave) => {
    const memory = new Uint8Array(mostExtendedState)
    extendedSize(region.length)
    memory.set(region)
    return memory
  },
  decode: () => undefined
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_XCRS = Ioctl.read(KvmVcpu, Ioctl._IOR(KVMIO, 0xa6, kvm_xcrs), kvm_xcrs, {
  name: "KVM_GET_XCRS",
  errors: stateErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_XCRS = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0xa7, kvm_xcrs), kvm_xcrs, {
  name: "KVM_SET_XCRS",
  errors: stateErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_DEBUGREGS = Ioctl.read(KvmVcpu, Ioctl._IOR(KVMIO, 0xa1, kvm_debugregs), kvm_debugregs, {
  name: "KVM_GET_DEBUGREGS",
  errors: stateErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_DEBUGREGS = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0xa2, kvm_debugregs), kvm_debugregs, {
  name: "KVM_SET_DEBUGREGS",
  errors: stateErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_GUEST_DEBUG = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0x9b, kvm_guest_debug), kvm_guest_debug, {
  name: "KVM_SET_GUEST_DEBUG",
  errors: stateErrors
})

/**
 * Takes the frequency of the time stamp counter, in kHz.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_TSC_KHZ = Ioctl.value(KvmVcpu, Ioctl._IO(KVMIO, 0xa2), {
  name: "KVM_SET_TSC_KHZ",
  errors: stateErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_TSC_KHZ = Ioctl.none(KvmVcpu, Ioctl._IO(KVMIO, 0xa3), {
  name: "KVM_GET_TSC_KHZ",
  errors: stateErrors
})

/**
 * {@link KVM_SET_TSC_KHZ} asked of a machine: the frequency of vCPUs that are made afterwards. Since Linux 5.16.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_TSC_KHZ_VM = Ioctl.value(KvmVm, Ioctl._IO(KVMIO, 0xa2), {
  name: "KVM_SET_TSC_KHZ",
  errors: stateErrors
})

/**
 * {@link KVM_GET_TSC_KHZ} asked of a machine. Since Linux 5.16.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_TSC_KHZ_VM = Ioctl.none(KvmVm, Ioctl._IO(KVMIO, 0xa3), {
  name: "KVM_GET_TSC_KHZ",
  errors: stateErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_KVMCLOCK_CTRL = Ioctl.none(KvmVcpu, Ioctl._IO(KVMIO, 0xad), {
  name: "KVM_KVMCLOCK_CTRL",
  errors: stateErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_TPR_ACCESS_REPORTING = Ioctl.writeRead(
  KvmVcpu,
  Ioctl._IOWR(KVMIO, 0x92, kvm_tpr_access_ctl),
  kvm_tpr_access_ctl,
  {
    name: "KVM_TPR_ACCESS_REPORTING",
    errors: stateErrors
  }
)

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_VAPIC_ADDR = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0x93, kvm_vapic_addr), kvm_vapic_addr, {
  name: "KVM_SET_VAPIC_ADDR",
  errors: stateErrors
})

const systemErrors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "ENOTTY"])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_X86_GET_MCE_CAP_SUPPORTED = Ioctl.read(KvmSystem, Ioctl._IOR(KVMIO, 0x9d, Struct.u64), Struct.u64, {
  name: "KVM_X86_GET_MCE_CAP_SUPPORTED",
  errors: systemErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_X86_SETUP_MCE = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0x9c, Struct.u64), Struct.u64, {
  name: "KVM_X86_SETUP_MCE",
  errors: stateErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_X86_SET_MCE = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0x9e, kvm_x86_mce), kvm_x86_mce, {
  name: "KVM_X86_SET_MCE",
  errors: stateErrors
})

const nestedErrors = errorsOf("ioctl", ["E2BIG", "EBADF", "EBUSY", "EFAULT", "EINVAL", "EIO", "ENOMEM", "ENOTTY"])

/** The nested state as it lies in memory: the head, and the data that follow it. */
const nestedMemory = (head: Struct.Encoded<typeof kvm_nested_state>, data: Uint8Array): Uint8Array => {
  const memory = new Uint8Array(kvm_nested_state.size + data.length)
  kvm_nested_state.encode(head, memory)
  memory.set(data, kvm_nested_state.size)
  return memory
}

/**
 * Takes the size in bytes, which is at most what `KVM_CHECK_EXTENSION` says of `KVM_CAP_NESTED_STATE`; gives the head and
 * the data after it. `E2BIG` where the state is larger. Since Linux 4.20.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_NESTED_STATE = Ioctl.make(KvmVcpu, Ioctl._IOWR(KVMIO, 0xbe, kvm_nested_state), {
  name: "KVM_GET_NESTED_STATE",
  errors: nestedErrors,
  encode: (size: number) =>
    nestedMemory(
      { flags: 0, format: 0, size, hdr: { svm: { vmcb_pa: 0n } } },
      new Uint8Array(size - kvm_nested_state.size)
    ),
  decode: (_, memory) => {
    const head = kvm_nested_state.decode(memory)
    return { ...head, data: memory.slice(kvm_nested_state.size, head.size) }
  }
})

/**
 * Takes the head, of which `size` is made here, and the data after it. Since Linux 4.20.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_NESTED_STATE = Ioctl.make(KvmVcpu, Ioctl._IOW(KVMIO, 0xbf, kvm_nested_state), {
  name: "KVM_SET_NESTED_STATE",
  errors: nestedErrors,
  encode: (state: Omit<Struct.Encoded<typeof kvm_nested_state>, "size"> & { readonly data: Uint8Array }) =>
    nestedMemory({ ...state, size: kvm_nested_state.size + state.data.length }, state.data),
  decode: () => undefined
})
