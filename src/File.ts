/**
 * Layer 2: file descriptors held by a `Scope`.
 *
 * A `File` is closed when its scope closes, exactly once, however the scope ends; from then on every operation on it
 * fails with `EBADF` without asking the kernel, which may have given the number to somebody else. What waits in the
 * kernel for a file that is closed is called back first, and fails with `EBADF`.
 *
 * An operation that may wait never holds up the event loop, and can be interrupted.
 *
 * @since 0.1.0
 */
export * from "./file/device.ts"
export * from "./file/metadata.ts"
export { type File, isFile } from "./file/model.ts"
export * from "./file/opening.ts"
export * from "./file/transfer.ts"
