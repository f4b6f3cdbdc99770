/** Requests of guests that believe themselves on Hyper-V. */
import { errorsOf } from "../../errors/registry.ts"
import * as Ioctl from "../../Ioctl.ts"
import { KVMIO } from "../constants.ts"
import { kvm_hyperv_eventfd } from "../structs/hyperv.ts"
import { KvmVm } from "./devices.ts"

const eventErrors = errorsOf("ioctl", ["EBADF", "EEXIST", "EFAULT", "EINVAL", "ENOENT", "ENOMEM", "ENOSPC", "ENOTTY"])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_HYPERV_EVENTFD = Ioctl.write(KvmVm, Ioctl._IOW(KVMIO, 0xbd, kvm_hyperv_eventfd), kvm_hyperv_eventfd, {
  name: "KVM_HYPERV_EVENTFD",
  errors: eventErrors
})
