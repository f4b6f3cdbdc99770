/** Structures of the calls on files by name: what is known of a file, entries of directories, times, watches. */
import * as Struct from "../Struct.ts"

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
