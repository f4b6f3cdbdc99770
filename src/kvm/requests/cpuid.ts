/** Requests about what the `cpuid` instruction answers: what it can, and what a vCPU's does. */
import { errorsOf } from "../../errors/registry.ts"
import * as Ioctl from "../../Ioctl.ts"
import { KVMIO } from "../constants.ts"
import { kvm_cpuid, kvm_cpuid_entry, kvm_cpuid_entry2, kvm_cpuid2 } from "../structs/cpuid.ts"
import { KvmSystem, KvmVcpu } from "./devices.ts"

const roomMemory = (room: number): Uint8Array =>
  kvm_cpuid2.encode({ nent: room }, new Uint8Array(kvm_cpuid2.size + kvm_cpuid_entry2.size * room))

const entriesIn = (memory: Uint8Array): ReadonlyArray<kvm_cpuid_entry2> => {
  const room = (memory.length - kvm_cpuid2.size) / kvm_cpuid_entry2.size
  const length = Math.min(kvm_cpuid2.decode(memory).nent, room)
  return Array.from({ length }, (_, at) =>
    kvm_cpuid_entry2.decode(memory, kvm_cpuid2.size + kvm_cpuid_entry2.size * at)
  )
}

const systemErrors = errorsOf("ioctl", ["E2BIG", "EBADF", "EFAULT", "EINVAL", "ENOMEM", "ENOTTY"])
const vcpuErrors = errorsOf("ioctl", ["E2BIG", "EBADF", "EBUSY", "EFAULT", "EINVAL", "EIO", "ENOMEM", "ENOTTY"])

/**
 * Takes the number of entries that there is room for, gives the entries; `E2BIG` where there are more.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_SUPPORTED_CPUID = Ioctl.make(KvmSystem, Ioctl._IOWR(KVMIO, 0x05, kvm_cpuid2), {
  name: "KVM_GET_SUPPORTED_CPUID",
  errors: systemErrors,
  encode: roomMemory,
  decode: (_, memory) => entriesIn(memory)
})

/**
 * Takes the number of entries that there is room for, gives the entries; `E2BIG` where there are more.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_EMULATED_CPUID = Ioctl.make(KvmSystem, Ioctl._IOWR(KVMIO, 0x09, kvm_cpuid2), {
  name: "KVM_GET_EMULATED_CPUID",
  errors: systemErrors,
  encode: roomMemory,
  decode: (_, memory) => entriesIn(memory)
})

/**
 * Takes the number of entries that there is room for, gives the entries; `E2BIG` where there are more. Since Linux 5.11.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_SUPPORTED_HV_CPUID = Ioctl.make(KvmSystem, Ioctl._IOWR(KVMIO, 0xc1, kvm_cpuid2), {
  name: "KVM_GET_SUPPORTED_HV_CPUID",
  errors: systemErrors,
  encode: roomMemory,
  decode: (_, memory) => entriesIn(memory)
})

/**
 * {@link KVM_GET_SUPPORTED_HV_CPUID} asked of a vCPU. Since Linux 5.0.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_SUPPORTED_HV_CPUID_VCPU = Ioctl.make(KvmVcpu, Ioctl._IOWR(KVMIO, 0xc1, kvm_cpuid2), {
  name: "KVM_GET_SUPPORTED_HV_CPUID",
  errors: vcpuErrors,
  encode: roomMemory,
  decode: (_, memory) => entriesIn(memory)
})

/**
 * Takes the number of entries that there is room for, gives the entries; `E2BIG` where there are more.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_CPUID2 = Ioctl.make(KvmVcpu, Ioctl._IOWR(KVMIO, 0x91, kvm_cpuid2), {
  name: "KVM_GET_CPUID2",
  errors: vcpuErrors,
  encode: roomMemory,
  decode: (_, memory) => entriesIn(memory)
})

/**
 * Takes at most 256 entries: `E2BIG` where there are more.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_CPUID2 = Ioctl.make(KvmVcpu, Ioctl._IOW(KVMIO, 0x90, kvm_cpuid2), {
  name: "KVM_SET_CPUID2",
  errors: vcpuErrors,
  encode: (entries: ReadonlyArray<kvm_cpuid_entry2>) => {
    const memory = roomMemory(entries.length)
    const view = new DataView(memory.buffer)
    entries.forEach((entry, at) => {
      kvm_cpuid_entry2.set(view, kvm_cpuid2.size + kvm_cpuid_entry2.size * at, entry, `entries[${at}]`)
    })
    return memory
  },
  decode: () => undefined
})

/**
 * The form of before Linux 2.6.26: entries without an index. `E2BIG` where there are more than 256.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_CPUID = Ioctl.make(KvmVcpu, Ioctl._IOW(KVMIO, 0x8a, kvm_cpuid), {
  name: "KVM_SET_CPUID",
  errors: vcpuErrors,
  encode: (entries: ReadonlyArray<kvm_cpuid_entry>) => {
    const memory = new Uint8Array(kvm_cpuid.size + kvm_cpuid_entry.size * entries.length)
    const view = new DataView(memory.buffer)
    kvm_cpuid.encode({ nent: entries.length }, memory)
    entries.forEach((entry, at) => {
      kvm_cpuid_entry.set(view, kvm_cpuid.size + kvm_cpuid_entry.size * at, entry, `entries[${at}]`)
    })
    return memory
  },
  decode: () => undefined
})
