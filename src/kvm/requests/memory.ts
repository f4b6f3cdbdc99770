/** Requests about a machine's memory. */
import { errorsOf } from "../../errors/registry.ts"
import * as Ioctl from "../../Ioctl.ts"
import { KVMIO } from "../constants.ts"
import { kvm_userspace_memory_region } from "../structs/memory.ts"
import { KvmVm } from "./devices.ts"

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
