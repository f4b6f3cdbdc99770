/**
 * The ioctl requests of KVM, each tied to the descriptor that takes it: the system's, a VM's, a vCPU's, a device's. The
 * errnos are those of the kernel's Documentation/virt/kvm/api.rst and of ioctl(2), and those that making a descriptor can
 * end in.
 */
export * from "./requests/attributes.ts"
export * from "./requests/cpuid.ts"
export * from "./requests/devices.ts"
export * from "./requests/encryption.ts"
export * from "./requests/hyperv.ts"
export * from "./requests/interrupts.ts"
export * from "./requests/memory.ts"
export * from "./requests/msrs.ts"
export * from "./requests/system.ts"
export * from "./requests/vcpu.ts"
export * from "./requests/vcpu-x86.ts"
export * from "./requests/vm.ts"
export * from "./requests/xen.ts"
