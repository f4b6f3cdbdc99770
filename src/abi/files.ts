/** Structures of the calls that transfer data: scattered memory, how a file is opened. */
import * as Struct from "../Struct.ts"

/**
 * A piece of memory of a scattered read or gathered write.
 *
 * @category structures
 * @since 0.1.0
 */
export const iovec = Struct.make("iovec", { iov_base: Struct.pointer, iov_len: Struct.u64 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface iovec extends Struct.Type<typeof iovec> {}

/**
 * A range of a file that is locked, or to be: what `F_GETLK`, `F_SETLK` and the like take. A length of 0 is to the end.
 *
 * @category structures
 * @since 0.1.0
 */
export const flock = Struct.make("flock", {
  l_type: Struct.i16,
  l_whence: Struct.i16,
  l_start: Struct.i64,
  l_len: Struct.i64,
  l_pid: Struct.i32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface flock extends Struct.Type<typeof flock> {}

/**
 * Who is told of a descriptor's events: what `F_GETOWN_EX` and `F_SETOWN_EX` take. `type` is one of `F_OWNER_*`.
 *
 * @category structures
 * @since 0.1.0
 */
export const f_owner_ex = Struct.make("f_owner_ex", { type: Struct.i32, pid: Struct.i32 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface f_owner_ex extends Struct.Type<typeof f_owner_ex> {}

/**
 * How `openat2` opens a file.
 *
 * @category structures
 * @since 0.1.0
 */
export const open_how = Struct.make("open_how", { flags: Struct.u64, mode: Struct.u64, resolve: Struct.u64 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface open_how extends Struct.Type<typeof open_how> {}
