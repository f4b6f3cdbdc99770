/**
 * Rings of io_uring: operations that are handed to the kernel in batches, and whose results come when they are done.
 *
 * `File` goes through a ring by itself where a call has to wait. This module is for what only a ring can do: operations
 * in order and all or none ({@link chain}), with a limit of time of the kernel's own ({@link withTimeout}), on memory and
 * files that are registered ({@link registerBuffers}, {@link registerFiles}), and those that are asked for once and answer
 * many times ({@link acceptMany}, {@link recvMany}).
 *
 * **Operations are data.** {@link read}, {@link open} and the others prepare one and do nothing; {@link submit} runs it
 * and gives its result, {@link submitAll} several at once, {@link chain} one after the other. Each has the errors that its
 * system call documents; `IORING_OP_*` is named with it. One that opens something needs a `Scope`.
 *
 * **Memory.** JavaScript can give a buffer away while the kernel works on it, and so operations work on copies, at which
 * nobody else gets: what was read is copied when the operation ends, and a buffer that is gone by then gets nothing.
 * Registered buffers and SharedArrayBuffers are worked on directly.
 *
 * **Interruption.** A fiber that is interrupted has the kernel cancel its operation, and ends when the kernel has let go
 * of it. An operation that was done at that moment is not undone; what it opened is closed.
 *
 * Where io_uring is forbidden, as in many containers, {@link make} fails; `File` does not.
 *
 * @since 0.1.0
 */
export * from "./uring/asking.ts"
export * from "./uring/files.ts"
export * from "./uring/many.ts"
export { fd, IoUring, layer, make, type Options, type Ring, shared } from "./uring/model.ts"
export {
  drain,
  elsewhere,
  type FixedBuffer,
  type FixedFile,
  type Operation,
  type Target,
  withTimeout
} from "./uring/operation.ts"
export * from "./uring/paths.ts"
export * from "./uring/resources.ts"
export * from "./uring/running.ts"
export * from "./uring/sockets.ts"
export {
  cancel,
  futexWait,
  futexWake,
  msgRing,
  nop,
  poll,
  type RingError,
  timeout,
  waitid
} from "./uring/waiting.ts"
