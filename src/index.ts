/**
 * The Linux system call interface for Effect.
 *
 * @since 0.1.0
 */
export * as Abi from "./Abi.ts"
export * as Errno from "./Errno.ts"
export * as File from "./File.ts"
export * as Ioctl from "./Ioctl.ts"
export * as Kvm from "./Kvm.ts"
export * as Mapping from "./Mapping.ts"
export * as Struct from "./Struct.ts"
export * as Syscall from "./Syscall.ts"
