/**
 * Layer 1: the system calls of Linux, each an `Effect` whose error is the union of errnos that its manual page documents.
 *
 * Functions have the kernel's names and take arguments in the kernel's order, as JavaScript has them: paths are strings
 * or bytes, buffers are views, structures are records of `Abi`, flags are numbers that can be or-ed. A call without
 * arguments is a value. Descriptors are plain numbers here that nobody closes for you: `File` is the layer above.
 *
 * **The event loop.** A call that cannot wait is made on the JavaScript thread. One that may is first asked not to,
 * where the kernel can be asked, and else made on another thread; the fiber that waits for it can be interrupted, and
 * ends when the kernel has let go of its memory. What a call does is in its documentation, and for all of them in
 * docs/calls.md, which also says how a call is asked not to wait.
 *
 * **EINTR.** Calls made on the JavaScript thread are not repeated: `EINTR` reaches the caller, for whom the signal may
 * have been meant. Calls on other threads receive no signal but the one that interrupts them, so they end with `EINTR`
 * only where the library gave them up (or the process was stopped and continued, for the few calls that Linux ends then).
 *
 * **Misuse** that the kernel cannot be asked about (a NUL inside a path, a count past a buffer's end, a number that is no
 * integer of its type) fails with `EINVAL`, `EFAULT` or `EBADF` before the kernel is called, and the error's `detail`
 * names the argument. A value of a wrong JavaScript type is a defect.
 *
 * @since 0.1.0
 */
export type * from "./errors/unions.ts"
export * from "./internal/constants.ts"
export { type CallName, table } from "./internal/table.ts"
export type { ArgumentDescription, CallDescription } from "./internal/tableTypes.ts"
export * from "./syscall/events.ts"
export * from "./syscall/events-futex.ts"
export * from "./syscall/events-queues.ts"
export * from "./syscall/events-rings.ts"
export * from "./syscall/events-semaphores.ts"
export * from "./syscall/files.ts"
export * from "./syscall/generated/events.ts"
export * from "./syscall/generated/files.ts"
export * from "./syscall/generated/memory.ts"
export * from "./syscall/generated/mounts.ts"
export * from "./syscall/generated/network.ts"
export * from "./syscall/generated/paths.ts"
export * from "./syscall/generated/process.ts"
export * from "./syscall/generated/security.ts"
export * from "./syscall/generated/system.ts"
export * from "./syscall/generated/time.ts"
export * from "./syscall/memory.ts"
export * from "./syscall/mounts.ts"
export * from "./syscall/network.ts"
export * from "./syscall/paths.ts"
export * from "./syscall/paths-events.ts"
export * from "./syscall/process.ts"
export * from "./syscall/process-credentials.ts"
export * from "./syscall/process-running.ts"
export * from "./syscall/process-scheduling.ts"
export * from "./syscall/process-signals.ts"
export * from "./syscall/raw.ts"
export * from "./syscall/security.ts"
export * from "./syscall/time.ts"
