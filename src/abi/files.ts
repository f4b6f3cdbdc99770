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
