/**
 * Requests to a vCPU: running it, its registers, its state and what is told to it. Those of floating point, debugging,
 * clocks and the like, which only x86 has, are in `vcpu-x86.ts`.
 */
import { errorsOf } from "../../errors/registry.ts"
import * as Ioctl from "../../Ioctl.ts"
import { KVMIO } from "../constants.ts"
import { kvm_vcpu_events } from "../structs/events.ts"
import {
  kvm_interrupt,
  kvm_mp_state,
  kvm_one_reg,
  kvm_reg_list,
  kvm_regs,
  kvm_signal_mask,
  kvm_sregs,
  kvm_sregs2,
  kvm_translation
} from "../structs/vcpu.ts"
import { KvmVcpu } from "./devices.ts"

const runErrors = errorsOf("ioctl", [
  "EAGAIN",
  "EBADF",
  "EBUSY",
  "EFAULT",
  "EHWPOISON",
  "EINTR",
  "EINVAL",
  "EIO",
  "ENOEXEC",
  "ENOMEM",
  "ENOSYS",
  "ENOTTY",
  "EPERM"
])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_RUN = Ioctl.none(KvmVcpu, Ioctl._IO(KVMIO, 0x80), { name: "KVM_RUN", errors: runErrors })

const registerErrors = errorsOf("ioctl", ["EBADF", "EBUSY", "EFAULT", "EINVAL", "EIO", "ENOMEM", "ENOTTY"])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_REGS = Ioctl.read(KvmVcpu, Ioctl._IOR(KVMIO, 0x81, kvm_regs), kvm_regs, {
  name: "KVM_GET_REGS",
  errors: registerErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_REGS = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0x82, kvm_regs), kvm_regs, {
  name: "KVM_SET_REGS",
  errors: registerErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_SREGS = Ioctl.read(KvmVcpu, Ioctl._IOR(KVMIO, 0x83, kvm_sregs), kvm_sregs, {
  name: "KVM_GET_SREGS",
  errors: registerErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_SREGS = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0x84, kvm_sregs), kvm_sregs, {
  name: "KVM_SET_SREGS",
  errors: registerErrors
})

/**
 * Since Linux 5.13.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_SREGS2 = Ioctl.read(KvmVcpu, Ioctl._IOR(KVMIO, 0xcc, kvm_sregs2), kvm_sregs2, {
  name: "KVM_GET_SREGS2",
  errors: registerErrors
})

/**
 * Since Linux 5.13.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_SREGS2 = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0xcd, kvm_sregs2), kvm_sregs2, {
  name: "KVM_SET_SREGS2",
  errors: registerErrors
})

const oneRegErrors = errorsOf("ioctl", ["EBADF", "EBUSY", "EFAULT", "EINVAL", "ENOENT", "ENOMEM", "ENOTTY", "EPERM"])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_ONE_REG = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0xab, kvm_one_reg), kvm_one_reg, {
  name: "KVM_GET_ONE_REG",
  errors: oneRegErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_ONE_REG = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0xac, kvm_one_reg), kvm_one_reg, {
  name: "KVM_SET_ONE_REG",
  errors: oneRegErrors
})

const regListErrors = errorsOf("ioctl", [
  "E2BIG",
  "EBADF",
  "EBUSY",
  "EFAULT",
  "EINVAL",
  "EIO",
  "ENOMEM",
  "ENOTTY",
  "EPERM"
])

/** Memory for a list of 64-bit identifiers, or what is in it. */
const identifiers = (memory: Uint8Array): ReadonlyArray<bigint> => {
  const view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength)
  const count = Math.min(Number(kvm_reg_list.decode(view).n), memory.length / 8 - 1)
  return Array.from({ length: count }, (_, index) => view.getBigUint64(8 + 8 * index, true))
}

/**
 * Takes the number of identifiers that there is room for, gives the identifiers; `E2BIG` where there are more. On x86_64
 * since Linux 6.18.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_REG_LIST = Ioctl.make(KvmVcpu, Ioctl._IOWR(KVMIO, 0xb0, kvm_reg_list), {
  name: "KVM_GET_REG_LIST",
  errors: regListErrors,
  encode: (room: number) => kvm_reg_list.encode({ n: BigInt(room) }, new Uint8Array(8 + 8 * room)),
  decode: (_, memory) => identifiers(memory)
})

const stateErrors = errorsOf("ioctl", ["EBADF", "EBUSY", "EFAULT", "EINVAL", "EIO", "ENOMEM", "ENOTTY"])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_MP_STATE = Ioctl.read(KvmVcpu, Ioctl._IOR(KVMIO, 0x98, kvm_mp_state), kvm_mp_state, {
  name: "KVM_GET_MP_STATE",
  errors: stateErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_MP_STATE = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0x99, kvm_mp_state), kvm_mp_state, {
  name: "KVM_SET_MP_STATE",
  errors: stateErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_VCPU_EVENTS = Ioctl.read(KvmVcpu, Ioctl._IOR(KVMIO, 0x9f, kvm_vcpu_events), kvm_vcpu_events, {
  name: "KVM_GET_VCPU_EVENTS",
  errors: stateErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_VCPU_EVENTS = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0xa0, kvm_vcpu_events), kvm_vcpu_events, {
  name: "KVM_SET_VCPU_EVENTS",
  errors: stateErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_TRANSLATE = Ioctl.writeRead(KvmVcpu, Ioctl._IOWR(KVMIO, 0x85, kvm_translation), kvm_translation, {
  name: "KVM_TRANSLATE",
  errors: stateErrors
})

const interruptErrors = errorsOf("ioctl", [
  "EBADF",
  "EBUSY",
  "EEXIST",
  "EFAULT",
  "EINVAL",
  "EIO",
  "ENOMEM",
  "ENOTTY",
  "ENXIO"
])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_INTERRUPT = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0x86, kvm_interrupt), kvm_interrupt, {
  name: "KVM_INTERRUPT",
  errors: interruptErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_NMI = Ioctl.none(KvmVcpu, Ioctl._IO(KVMIO, 0x9a), {
  name: "KVM_NMI",
  errors: stateErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SMI = Ioctl.none(KvmVcpu, Ioctl._IO(KVMIO, 0xb7), {
  name: "KVM_SMI",
  errors: stateErrors
})

/**
 * Takes the set of blocked signals as the kernel has it, 8 bytes; null for the thread's own mask.
 *
 * A mask that blocks the signal by which a run is interrupted makes it uninterruptible: `Kvm.setSignalMask` refuses such
 * a one.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_SIGNAL_MASK = Ioctl.make(KvmVcpu, Ioctl._IOW(KVMIO, 0x8b, kvm_signal_mask), {
  name: "KVM_SET_SIGNAL_MASK",
  errors: stateErrors,
  encode: (set: Uint8Array | null) => {
    if (set === null) return 0
    const memory = kvm_signal_mask.encode({ len: set.length }, new Uint8Array(kvm_signal_mask.size + set.length))
    memory.set(set, kvm_signal_mask.size)
    return memory
  },
  decode: () => undefined
})
