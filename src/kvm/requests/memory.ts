/** Requests about a machine's memory. */
import { errorsOf } from "../../errors/registry.ts"
import * as Ioctl from "../../Ioctl.ts"
import { KVMIO } from "../constants.ts"
import {
  kvm_clear_dirty_log,
  kvm_create_guest_memfd,
  kvm_dirty_log,
  kvm_memory_attributes,
  kvm_pre_fault_memory,
  kvm_userspace_memory_region,
  kvm_userspace_memory_region2
} from "../structs/memory.ts"
import { KvmVcpu, KvmVm } from "./devices.ts"

const memoryErrors = errorsOf("ioctl", ["EBADF", "EEXIST", "EFAULT", "EINVAL", "EIO", "ENOMEM", "ENOTTY"])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_USER_MEMORY_REGION = Ioctl.write(
  KvmVm,
  Ioctl._IOW(KVMIO, 0x46, kvm_userspace_memory_region),
  kvm_userspace_memory_region,
  { name: "KVM_SET_USER_MEMORY_REGION", errors: memoryErrors }
)

/**
 * Since Linux 6.8: `KVM_CAP_USER_MEMORY2`.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_USER_MEMORY_REGION2 = Ioctl.write(
  KvmVm,
  Ioctl._IOW(KVMIO, 0x49, kvm_userspace_memory_region2),
  kvm_userspace_memory_region2,
  { name: "KVM_SET_USER_MEMORY_REGION2", errors: memoryErrors }
)

/**
 * What a `guest_memfd` is: pages for a guest's private memory, which can be neither read nor written by descriptor.
 *
 * @category devices
 * @since 0.1.0
 */
export const KvmGuestMemfd = Ioctl.device("KvmGuestMemfd")
/**
 * @category devices
 * @since 0.1.0
 */
export type KvmGuestMemfd = typeof KvmGuestMemfd

const guestMemfdErrors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "EIO", "EMFILE", "ENFILE", "ENOMEM", "ENOTTY"])

/**
 * Gives a descriptor. Since Linux 6.8: `KVM_CAP_GUEST_MEMFD`.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_CREATE_GUEST_MEMFD = Ioctl.write(
  KvmVm,
  Ioctl._IOWR(KVMIO, 0xd4, kvm_create_guest_memfd),
  kvm_create_guest_memfd,
  { name: "KVM_CREATE_GUEST_MEMFD", errors: guestMemfdErrors }
)

/**
 * Since Linux 6.8: `KVM_CAP_MEMORY_ATTRIBUTES`.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_MEMORY_ATTRIBUTES = Ioctl.write(
  KvmVm,
  Ioctl._IOW(KVMIO, 0xd2, kvm_memory_attributes),
  kvm_memory_attributes,
  {
    name: "KVM_SET_MEMORY_ATTRIBUTES",
    errors: errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "EIO", "ENOMEM", "ENOTTY"])
  }
)

/**
 * The bitmap is the caller's: the kernel writes a bit for each page of the slot to the address, in whole longs.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_DIRTY_LOG = Ioctl.write(KvmVm, Ioctl._IOW(KVMIO, 0x42, kvm_dirty_log), kvm_dirty_log, {
  name: "KVM_GET_DIRTY_LOG",
  errors: errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "EIO", "ENOENT", "ENOTTY", "ENXIO"])
})

/**
 * The bitmap is the caller's: the kernel reads a bit for each page from the address. Since Linux 5.0:
 * `KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2`.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_CLEAR_DIRTY_LOG = Ioctl.write(
  KvmVm,
  Ioctl._IOWR(KVMIO, 0xc0, kvm_clear_dirty_log),
  kvm_clear_dirty_log,
  {
    name: "KVM_CLEAR_DIRTY_LOG",
    errors: errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "EIO", "ENOENT", "ENOTTY", "ENXIO"])
  }
)

/**
 * Gives how many entries were collected. Since Linux 5.11: `KVM_CAP_DIRTY_LOG_RING`.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_RESET_DIRTY_RINGS = Ioctl.none(KvmVm, Ioctl._IO(KVMIO, 0xc7), {
  name: "KVM_RESET_DIRTY_RINGS",
  errors: errorsOf("ioctl", ["EBADF", "EINTR", "EINVAL", "EIO", "ENOTTY"])
})

/**
 * Asks for memory to be mapped for the guest, and gives what was not yet. It takes the time that faulting the pages in
 * takes, so it is made on another thread. Since Linux 6.11: `KVM_CAP_PRE_FAULT_MEMORY`.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_PRE_FAULT_MEMORY = Ioctl.writeRead(
  KvmVcpu,
  Ioctl._IOWR(KVMIO, 0xd5, kvm_pre_fault_memory),
  kvm_pre_fault_memory,
  {
    name: "KVM_PRE_FAULT_MEMORY",
    errors: errorsOf("ioctl", [
      "EAGAIN",
      "EBADF",
      "EFAULT",
      "EINTR",
      "EINVAL",
      "EIO",
      "ENOENT",
      "ENOMEM",
      "ENOTTY",
      "EOPNOTSUPP"
    ]),
    waits: true
  }
)
