/** Structures of clocks and timers. */
import * as Struct from "../Struct.ts"

/**
 * A point in time or a span of it: `tv_nsec` from 0 to 999,999,999.
 *
 * @category structures
 * @since 0.1.0
 */
export const timespec = Struct.make("__kernel_timespec", { tv_sec: Struct.i64, tv_nsec: Struct.i64 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface timespec extends Struct.Type<typeof timespec> {}
