/**
 * Requests about model-specific registers: which there are, and their values, of a vCPU and as features of the system.
 * Filtering the guest's access to them is asked of the machine.
 */
import { errorsOf } from "../../errors/registry.ts"
import * as Ioctl from "../../Ioctl.ts"
import { KVMIO } from "../constants.ts"
import { kvm_msr_entry, kvm_msr_list, kvm_msrs } from "../structs/msr.ts"
import { KvmSystem, KvmVcpu } from "./devices.ts"

const listErrors = errorsOf("ioctl", ["E2BIG", "EBADF", "EFAULT", "EINVAL", "ENOTTY"])

const listMemory = (room: number): Uint8Array =>
  kvm_msr_list.encode({ nmsrs: room }, new Uint8Array(kvm_msr_list.size + 4 * room))

const indicesIn = (memory: Uint8Array): ReadonlyArray<number> => {
  const view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength)
  const count = Math.min(kvm_msr_list.decode(view).nmsrs, memory.length / 4 - 1)
  return Array.from({ length: count }, (_, index) => view.getUint32(kvm_msr_list.size + 4 * index, true))
}

/**
 * Takes the number of indices that there is room for, gives the indices; `E2BIG` where there are more.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_MSR_INDEX_LIST = Ioctl.make(KvmSystem, Ioctl._IOWR(KVMIO, 0x02, kvm_msr_list), {
  name: "KVM_GET_MSR_INDEX_LIST",
  errors: listErrors,
  encode: listMemory,
  decode: (_, memory) => indicesIn(memory)
})

/**
 * Takes the number of indices that there is room for, gives the indices; `E2BIG` where there are more.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_MSR_FEATURE_INDEX_LIST = Ioctl.make(KvmSystem, Ioctl._IOWR(KVMIO, 0x0a, kvm_msr_list), {
  name: "KVM_GET_MSR_FEATURE_INDEX_LIST",
  errors: listErrors,
  encode: listMemory,
  decode: (_, memory) => indicesIn(memory)
})

const entriesMemory = (entries: ReadonlyArray<kvm_msr_entry>): Uint8Array => {
  const memory = new Uint8Array(kvm_msrs.size + kvm_msr_entry.size * entries.length)
  const view = new DataView(memory.buffer)
  kvm_msrs.encode({ nmsrs: entries.length }, memory)
  entries.forEach((entry, at) => {
    kvm_msr_entry.set(view, kvm_msrs.size + kvm_msr_entry.size * at, entry, `msrs[${at}]`)
  })
  return memory
}

const asked = (indices: ReadonlyArray<number>): Uint8Array =>
  entriesMemory(indices.map((index) => ({ index, data: 0n })))

const answered = (count: number, memory: Uint8Array): ReadonlyArray<kvm_msr_entry> =>
  Array.from({ length: count }, (_, at) => kvm_msr_entry.decode(memory, kvm_msrs.size + kvm_msr_entry.size * at))

const msrErrors = errorsOf("ioctl", ["E2BIG", "EBADF", "EBUSY", "EFAULT", "EINVAL", "EIO", "ENOMEM", "ENOTTY", "EPERM"])

/**
 * Takes indices, of which there may be 256, gives the registers up to the first one that cannot be read.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_MSRS = Ioctl.make(KvmVcpu, Ioctl._IOWR(KVMIO, 0x88, kvm_msrs), {
  name: "KVM_GET_MSRS",
  errors: msrErrors,
  encode: asked,
  decode: answered
})

/**
 * Takes registers, of which there may be 256, gives how many were set before the first one that cannot be.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_MSRS = Ioctl.make(KvmVcpu, Ioctl._IOW(KVMIO, 0x89, kvm_msrs), {
  name: "KVM_SET_MSRS",
  errors: msrErrors,
  encode: entriesMemory,
  decode: (count) => count
})

/**
 * {@link KVM_GET_MSRS} asked of the system: registers that tell of features. Since Linux 4.17.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_MSRS_SYSTEM = Ioctl.make(KvmSystem, Ioctl._IOWR(KVMIO, 0x88, kvm_msrs), {
  name: "KVM_GET_MSRS",
  errors: errorsOf("ioctl", ["E2BIG", "EBADF", "EFAULT", "EINVAL", "ENOMEM", "ENOTTY"]),
  encode: asked,
  decode: answered
})
