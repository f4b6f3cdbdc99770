/** Requests to `/dev/kvm` itself. */
import { errorsOf } from "../../errors/registry.ts"
import * as Ioctl from "../../Ioctl.ts"
import { KVMIO } from "../constants.ts"
import { KvmSystem } from "./devices.ts"

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_API_VERSION = Ioctl.none(KvmSystem, Ioctl._IO(KVMIO, 0x00), { name: "KVM_GET_API_VERSION" })

const createVmErrors = errorsOf("ioctl", [
  "EBADF",
  "EBUSY",
  "EFAULT",
  "EINTR",
  "EINVAL",
  "EMFILE",
  "ENFILE",
  "ENODEV",
  "ENOMEM",
  "ENOTTY",
  "EOPNOTSUPP"
])

/**
 * Takes the type of machine (0 for the usual one), gives a descriptor.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_CREATE_VM = Ioctl.value(KvmSystem, Ioctl._IO(KVMIO, 0x01), {
  name: "KVM_CREATE_VM",
  errors: createVmErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_CHECK_EXTENSION = Ioctl.value(KvmSystem, Ioctl._IO(KVMIO, 0x03), { name: "KVM_CHECK_EXTENSION" })

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_VCPU_MMAP_SIZE = Ioctl.none(KvmSystem, Ioctl._IO(KVMIO, 0x04), { name: "KVM_GET_VCPU_MMAP_SIZE" })
