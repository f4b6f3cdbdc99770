/**
 * The structures of `linux/kvm.h`, by the kernel's names and field names. Structures that differ by architecture are
 * x86_64's here; those of aarch64 stand in `aarch64.ts`.
 */
export * from "./structs/cpuid.ts"
export * from "./structs/debug.ts"
export * from "./structs/encryption.ts"
export * from "./structs/events.ts"
export * from "./structs/fpu.ts"
export * from "./structs/hyperv.ts"
export * from "./structs/irq.ts"
export * from "./structs/memory.ts"
export * from "./structs/msr.ts"
export * from "./structs/nested.ts"
export * from "./structs/run.ts"
export * from "./structs/vcpu.ts"
export * from "./structs/vm.ts"
export * from "./structs/xen.ts"
