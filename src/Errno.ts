/**
 * The errors of Linux, by name and by type.
 *
 * Each errno is a class (`ENOENT`, `EAGAIN`, …) whose instances are `Error`s, can be yielded in `Effect.gen`, are equal
 * by value, and carry what is known of the call: `syscall`, `path`, `fd`. A call's error type is the union of the errnos
 * that its manual page documents and `OtherErrno`, so `Effect.catchTag("ENOENT", …)` narrows and nothing is lost.
 *
 * @since 0.1.0
 */
export { type ErrnoDetails, ErrnoError, setStackTraces } from "./errors/ErrnoError.ts"
export * from "./errors/errnos.ts"
export {
  type CallErrors,
  type Errno,
  errorsOf,
  fromCode,
  isErrno,
  isErrorResult,
  OtherErrno
} from "./errors/registry.ts"
