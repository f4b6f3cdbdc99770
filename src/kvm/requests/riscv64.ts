/** Requests of KVM on riscv64 that differ from x86_64's. It has none of its own. */
import { errorsOf } from "../../errors/registry.ts"
import * as Ioctl from "../../Ioctl.ts"
import { KVMIO } from "../constants.ts"
import { kvm_guest_debug } from "../structs/riscv64.ts"
import { KvmVcpu } from "./devices.ts"

const debugErrors = errorsOf("ioctl", ["EBADF", "EBUSY", "EFAULT", "EINVAL", "ENOTTY"])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_GUEST_DEBUG = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0x9b, kvm_guest_debug), kvm_guest_debug, {
  name: "KVM_SET_GUEST_DEBUG",
  errors: debugErrors
})
