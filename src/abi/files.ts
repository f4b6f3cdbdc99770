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
