/**
 * The ioctl requests of KVM, each tied to the descriptor that takes it: the system's, a VM's, a vCPU's. The errnos are
 * those of the kernel's Documentation/virt/kvm/api.rst and of ioctl(2), and those that making a descriptor can end in.
 */
import { errorsOf } from "../errors/registry.ts"
import * as Ioctl from "../Ioctl.ts"
import { KVMIO } from "./constants.ts"
import { kvm_one_reg, kvm_regs, kvm_sregs, kvm_userspace_memory_region } from "./structs.ts"

// ---------------------------------------------------------------------------------------------------------------------
// devices
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The device of `/dev/kvm` itself.
 *
 * @category devices
 * @since 0.1.0
 */
export const KvmSystem = Ioctl.device("KvmSystem")
/**
 * @category devices
 * @since 0.1.0
 */
export type KvmSystem = typeof KvmSystem

/**
 * The device that a virtual machine's descriptor is.
 *
 * @category devices
 * @since 0.1.0
 */
export const KvmVm = Ioctl.device("KvmVm")
/**
 * @category devices
 * @since 0.1.0
 */
export type KvmVm = typeof KvmVm

/**
 * The device that a virtual CPU's descriptor is.
 *
 * @category devices
 * @since 0.1.0
 */
export const KvmVcpu = Ioctl.device("KvmVcpu")
/**
 * @category devices
 * @since 0.1.0
 */
export type KvmVcpu = typeof KvmVcpu

// ---------------------------------------------------------------------------------------------------------------------
// system
// ---------------------------------------------------------------------------------------------------------------------

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_API_VERSION = Ioctl.none(KvmSystem, Ioctl._IO(KVMIO, 0x00), { name: "KVM_GET_API_VERSION" })

const createVmErrors = errorsOf("ioctl", [
  "EBADF",
  "EBUSY",
  "EFAULT",
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

// ---------------------------------------------------------------------------------------------------------------------
// VM
// ---------------------------------------------------------------------------------------------------------------------

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

// ---------------------------------------------------------------------------------------------------------------------
// vCPU
// ---------------------------------------------------------------------------------------------------------------------

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
