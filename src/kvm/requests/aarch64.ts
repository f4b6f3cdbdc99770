/** Requests of KVM on aarch64, where they differ from x86_64's or are its own. */
import { errorsOf } from "../../errors/registry.ts"
import * as Ioctl from "../../Ioctl.ts"
import * as Struct from "../../Struct.ts"
import { KVMIO } from "../constants.ts"
import {
  kvm_arm_copy_mte_tags,
  kvm_arm_counter_offset,
  kvm_arm_device_addr,
  kvm_guest_debug,
  kvm_regs,
  kvm_vcpu_events,
  kvm_vcpu_init,
  reg_mask_range
} from "../structs/aarch64.ts"
import { KvmVcpu, KvmVm } from "./devices.ts"

/**
 * No kernel of today answers it on aarch64, whose registers are read one by one; the number and layout are the headers'.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_REGS = Ioctl.read(KvmVcpu, Ioctl._IOR(KVMIO, 0x81, kvm_regs), kvm_regs, { name: "KVM_GET_REGS" })

/**
 * See {@link KVM_GET_REGS}.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_REGS = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0x82, kvm_regs), kvm_regs, { name: "KVM_SET_REGS" })

const targetErrors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "ENODEV", "ENOTTY"])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_ARM_PREFERRED_TARGET = Ioctl.read(KvmVm, Ioctl._IOR(KVMIO, 0xaf, kvm_vcpu_init), kvm_vcpu_init, {
  name: "KVM_ARM_PREFERRED_TARGET",
  errors: targetErrors
})

const initErrors = errorsOf("ioctl", ["EBADF", "EBUSY", "EFAULT", "EINVAL", "ENOENT", "ENOMEM", "ENOTTY"])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_ARM_VCPU_INIT = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0xae, kvm_vcpu_init), kvm_vcpu_init, {
  name: "KVM_ARM_VCPU_INIT",
  errors: initErrors
})

const finalizeErrors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "ENOEXEC", "ENOMEM", "ENOTTY", "EPERM"])

/**
 * Takes the number of the feature.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_ARM_VCPU_FINALIZE = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0xc2, Struct.i32), Struct.i32, {
  name: "KVM_ARM_VCPU_FINALIZE",
  errors: finalizeErrors
})

const deviceAddressErrors = errorsOf("ioctl", [
  "E2BIG",
  "EBADF",
  "EBUSY",
  "EEXIST",
  "EFAULT",
  "EINVAL",
  "ENODEV",
  "ENOTTY",
  "ENXIO"
])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_ARM_SET_DEVICE_ADDR = Ioctl.write(
  KvmVm,
  Ioctl._IOW(KVMIO, 0xab, kvm_arm_device_addr),
  kvm_arm_device_addr,
  { name: "KVM_ARM_SET_DEVICE_ADDR", errors: deviceAddressErrors }
)

const tagErrors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "ENOMEM", "ENOTTY"])

/**
 * Gives the number of bytes whose tags were copied. Its number says that the kernel writes the structure, which it reads.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_ARM_MTE_COPY_TAGS = Ioctl.write(
  KvmVm,
  Ioctl._IOR(KVMIO, 0xb4, kvm_arm_copy_mte_tags),
  kvm_arm_copy_mte_tags,
  { name: "KVM_ARM_MTE_COPY_TAGS", errors: tagErrors }
)

const counterErrors = errorsOf("ioctl", ["EBADF", "EBUSY", "EFAULT", "EINVAL", "ENOTTY"])

/**
 * Since 6.4.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_ARM_SET_COUNTER_OFFSET = Ioctl.write(
  KvmVm,
  Ioctl._IOW(KVMIO, 0xb5, kvm_arm_counter_offset),
  kvm_arm_counter_offset,
  { name: "KVM_ARM_SET_COUNTER_OFFSET", errors: counterErrors }
)

const maskErrors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "ENOTTY"])

/**
 * Its number says that the kernel writes the structure, which it reads. Since 6.7.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_ARM_GET_REG_WRITABLE_MASKS = Ioctl.write(
  KvmVm,
  Ioctl._IOR(KVMIO, 0xb6, reg_mask_range),
  reg_mask_range,
  { name: "KVM_ARM_GET_REG_WRITABLE_MASKS", errors: maskErrors }
)

const eventErrors = errorsOf("ioctl", ["EBADF", "EBUSY", "EFAULT", "EINVAL", "ENOEXEC", "ENOTTY"])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_VCPU_EVENTS = Ioctl.read(KvmVcpu, Ioctl._IOR(KVMIO, 0x9f, kvm_vcpu_events), kvm_vcpu_events, {
  name: "KVM_GET_VCPU_EVENTS",
  errors: eventErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_VCPU_EVENTS = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0xa0, kvm_vcpu_events), kvm_vcpu_events, {
  name: "KVM_SET_VCPU_EVENTS",
  errors: eventErrors
})

const debugErrors = errorsOf("ioctl", ["EBADF", "EBUSY", "EFAULT", "EINVAL", "ENOTTY"])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_GUEST_DEBUG = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0x9b, kvm_guest_debug), kvm_guest_debug, {
  name: "KVM_SET_GUEST_DEBUG",
  errors: debugErrors
})
