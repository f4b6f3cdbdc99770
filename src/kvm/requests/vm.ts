/** Requests to a machine, but for those about its memory. */
import { errorsOf } from "../../errors/registry.ts"
import * as Ioctl from "../../Ioctl.ts"
import { KVMIO } from "../constants.ts"
import { KvmVm } from "./devices.ts"

/**
 * {@link KVM_CHECK_EXTENSION} asked of a machine, whose answer may differ from the system's.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_CHECK_EXTENSION_VM = Ioctl.value(KvmVm, Ioctl._IO(KVMIO, 0x03), { name: "KVM_CHECK_EXTENSION" })

const createVcpuErrors = errorsOf("ioctl", [
  "EBADF",
  "EBUSY",
  "EEXIST",
  "EFAULT",
  "EINVAL",
  "EIO",
  "EMFILE",
  "ENFILE",
  "ENOMEM",
  "ENOTTY",
  "EPERM"
])

/**
 * Takes the vCPU's identifier, gives a descriptor.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_CREATE_VCPU = Ioctl.value(KvmVm, Ioctl._IO(KVMIO, 0x41), {
  name: "KVM_CREATE_VCPU",
  errors: createVcpuErrors
})
