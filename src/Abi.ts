/**
 * The kernel's structures that system calls take and give, by the kernel's own names.
 *
 * Those of KVM are with `Kvm`. Every layout is compared, field by field, with what the C compiler says of the kernel's
 * headers.
 *
 * @since 0.1.0
 */
export * from "./abi/clocks.ts"
export * from "./abi/descriptors.ts"
export * from "./abi/events.ts"
export * from "./abi/files.ts"
export * from "./abi/filesystems.ts"
export * from "./abi/inputs.ts"
export * from "./abi/interfaces.ts"
export * from "./abi/ipc.ts"
export * from "./abi/memory.ts"
export * from "./abi/mounts.ts"
export * from "./abi/network.ts"
export * from "./abi/paths.ts"
export * from "./abi/process.ts"
export * from "./abi/rings.ts"
export * from "./abi/security.ts"
export * from "./abi/sockets.ts"
export * from "./abi/system.ts"
export * from "./abi/terminals.ts"
export * from "./abi/time.ts"
