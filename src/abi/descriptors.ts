/** Structures of descriptors of processes and of page faults. */

import * as Struct from "../Struct.ts"

/**
 * What is known of a process by its descriptor. `mask` says what is asked for, and then what of it is told: bits of
 * `PIDFD_INFO_*`.
 *
 * @category structures
 * @since 0.1.0
 */
export const pidfd_info = Struct.make("pidfd_info", {
  mask: Struct.u64,
  cgroupid: Struct.u64,
  pid: Struct.u32,
  tgid: Struct.u32,
  ppid: Struct.u32,
  ruid: Struct.u32,
  rgid: Struct.u32,
  euid: Struct.u32,
  egid: Struct.u32,
  suid: Struct.u32,
  sgid: Struct.u32,
  fsuid: Struct.u32,
  fsgid: Struct.u32,
  exit_code: Struct.i32,
  coredump_mask: Struct.u32,
  __spare1: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface pidfd_info extends Struct.Type<typeof pidfd_info> {}

/**
 * What is agreed on with `userfaultfd`: `features` are of `UFFD_FEATURE_*`, `ioctls` a bit for each request.
 *
 * @category structures
 * @since 0.1.0
 */
export const uffdio_api = Struct.make("uffdio_api", { api: Struct.u64, features: Struct.u64, ioctls: Struct.u64 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface uffdio_api extends Struct.Type<typeof uffdio_api> {}

/**
 * A range of addresses, in whole pages.
 *
 * @category structures
 * @since 0.1.0
 */
export const uffdio_range = Struct.make("uffdio_range", { start: Struct.u64, len: Struct.u64 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface uffdio_range extends Struct.Type<typeof uffdio_range> {}

/**
 * Which faults of a range are told: `mode` is of `UFFDIO_REGISTER_MODE_*`.
 *
 * @category structures
 * @since 0.1.0
 */
export const uffdio_register = Struct.make("uffdio_register", {
  range: uffdio_range,
  mode: Struct.u64,
  ioctls: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface uffdio_register extends Struct.Type<typeof uffdio_register> {}

/**
 * Pages to be filled with a copy: `mode` is of `UFFDIO_COPY_MODE_*`, `copy` how many bytes were, or `-errno`.
 *
 * @category structures
 * @since 0.1.0
 */
export const uffdio_copy = Struct.make("uffdio_copy", {
  dst: Struct.u64,
  src: Struct.u64,
  len: Struct.u64,
  mode: Struct.u64,
  copy: Struct.i64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface uffdio_copy extends Struct.Type<typeof uffdio_copy> {}

/**
 * Pages to be filled with zeros: `mode` is of `UFFDIO_ZEROPAGE_MODE_*`, `zeropage` how many bytes were, or `-errno`.
 *
 * @category structures
 * @since 0.1.0
 */
export const uffdio_zeropage = Struct.make("uffdio_zeropage", {
  range: uffdio_range,
  mode: Struct.u64,
  zeropage: Struct.i64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface uffdio_zeropage extends Struct.Type<typeof uffdio_zeropage> {}

/**
 * Pages to be protected against writing, or not any more: `mode` is of `UFFDIO_WRITEPROTECT_MODE_*`.
 *
 * @category structures
 * @since 0.1.0
 */
export const uffdio_writeprotect = Struct.make("uffdio_writeprotect", { range: uffdio_range, mode: Struct.u64 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface uffdio_writeprotect extends Struct.Type<typeof uffdio_writeprotect> {}

/**
 * Pages of shared memory to be mapped as they are: `mode` is of `UFFDIO_CONTINUE_MODE_*`, `mapped` how many bytes were,
 * or `-errno`.
 *
 * @category structures
 * @since 0.1.0
 */
export const uffdio_continue = Struct.make("uffdio_continue", {
  range: uffdio_range,
  mode: Struct.u64,
  mapped: Struct.i64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface uffdio_continue extends Struct.Type<typeof uffdio_continue> {}

/**
 * Something that happened to registered memory: `event` is one of `UFFD_EVENT_*` and says which member of `arg`, a union
 * that has no name in C, counts.
 *
 * @category structures
 * @since 0.1.0
 */
export const uffd_msg = Struct.packed("uffd_msg", {
  event: Struct.u8,
  reserved1: Struct.padding(1),
  reserved2: Struct.padding(2),
  reserved3: Struct.padding(4),
  arg: Struct.union("uffd_msg.arg", {
    pagefault: Struct.make("uffd_msg.arg.pagefault", {
      flags: Struct.u64,
      address: Struct.u64,
      ptid: Struct.u32
    }),
    fork: Struct.make("uffd_msg.arg.fork", { ufd: Struct.u32 }),
    remap: Struct.make("uffd_msg.arg.remap", { from: Struct.u64, to: Struct.u64, len: Struct.u64 }),
    remove: Struct.make("uffd_msg.arg.remove", { start: Struct.u64, end: Struct.u64 })
  })
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface uffd_msg extends Struct.Type<typeof uffd_msg> {}
