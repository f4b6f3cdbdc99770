/**
 * The kernel's structures that system calls take and give, by the kernel's own names.
 *
 * Those of KVM are with `Kvm`. Every layout is compared, field by field, with what the C compiler says of the kernel's
 * headers.
 *
 * @since 0.1.0
 */
import * as Struct from "./Struct.ts"

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
 * What `uname` tells of the running kernel.
 *
 * @category structures
 * @since 0.1.0
 */
export const new_utsname = Struct.make("new_utsname", {
  sysname: Struct.text(65),
  nodename: Struct.text(65),
  release: Struct.text(65),
  version: Struct.text(65),
  machine: Struct.text(65),
  domainname: Struct.text(65)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface new_utsname extends Struct.Type<typeof new_utsname> {}

/**
 * A time of a file.
 *
 * @category structures
 * @since 0.1.0
 */
export const statx_timestamp = Struct.make("statx_timestamp", {
  tv_sec: Struct.i64,
  tv_nsec: Struct.u32,
  __reserved: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface statx_timestamp extends Struct.Type<typeof statx_timestamp> {}

/**
 * All that `statx` tells of a file. `stx_mask` says which fields the file system filled in.
 *
 * @category structures
 * @since 0.1.0
 */
export const statx = Struct.make("statx", {
  stx_mask: Struct.u32,
  stx_blksize: Struct.u32,
  stx_attributes: Struct.u64,
  stx_nlink: Struct.u32,
  stx_uid: Struct.u32,
  stx_gid: Struct.u32,
  stx_mode: Struct.u16,
  __spare0: Struct.padding(2, 2),
  stx_ino: Struct.u64,
  stx_size: Struct.u64,
  stx_blocks: Struct.u64,
  stx_attributes_mask: Struct.u64,
  stx_atime: statx_timestamp,
  stx_btime: statx_timestamp,
  stx_ctime: statx_timestamp,
  stx_mtime: statx_timestamp,
  stx_rdev_major: Struct.u32,
  stx_rdev_minor: Struct.u32,
  stx_dev_major: Struct.u32,
  stx_dev_minor: Struct.u32,
  stx_mnt_id: Struct.u64,
  stx_dio_mem_align: Struct.u32,
  stx_dio_offset_align: Struct.u32,
  __spare3: Struct.padding(96, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface statx extends Struct.Type<typeof statx> {}

/**
 * The head of an entry that `getdents64` writes; the name follows it, ended by a NUL.
 *
 * @category structures
 * @since 0.1.0
 */
export const linux_dirent64 = Struct.make("linux_dirent64", {
  d_ino: Struct.u64,
  d_off: Struct.i64,
  d_reclen: Struct.u16,
  d_type: Struct.u8
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface linux_dirent64 extends Struct.Type<typeof linux_dirent64> {}
