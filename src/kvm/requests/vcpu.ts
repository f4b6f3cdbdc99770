/** Requests to a vCPU. */
import { errorsOf } from "../../errors/registry.ts"
import * as Ioctl from "../../Ioctl.ts"
import { KVMIO } from "../constants.ts"
import { kvm_one_reg, kvm_regs, kvm_sregs } from "../structs/vcpu.ts"
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
