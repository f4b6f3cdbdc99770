/** Structures of the calls on files by name: what is known of a file, entries of directories, times, watches. */
import { byArchitecture } from "../internal/architecture.ts"
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

/**
 * The head of an entry that `getdents` writes: the name follows it, ended by a NUL, and the type is the entry's last byte.
 *
 * @category structures
 * @since 0.1.0
 */
export const linux_dirent = Struct.make("linux_dirent", {
  d_ino: Struct.u64,
  d_off: Struct.u64,
  d_reclen: Struct.u16
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface linux_dirent extends Struct.Type<typeof linux_dirent> {}

// st_nlink and st_blksize have 64 bits on x86_64 and 32 on the others: one type for all is the wider one.
const widened = (narrow: Struct.Layout<number>): Struct.Layout<bigint> => ({
  ...narrow,
  get: (view, offset) => BigInt(narrow.get(view, offset)),
  set: (view, offset, value, path) => narrow.set(view, offset, Number(value), path)
})

// Seconds since the epoch are signed, whatever the header of x86_64 calls them.
const seconds: Struct.Layout<bigint> = { ...Struct.i64 }

type StatFields = {
  readonly [Name in
    | "st_dev"
    | "st_ino"
    | "st_nlink"
    | "st_rdev"
    | "st_size"
    | "st_blksize"
    | "st_blocks"
    | "st_atime"
    | "st_atime_nsec"
    | "st_mtime"
    | "st_mtime_nsec"
    | "st_ctime"
    | "st_ctime_nsec"]: Struct.Layout<bigint>
} & { readonly [Name in "st_mode" | "st_uid" | "st_gid"]: Struct.Layout<number> }

const statOfX86 = {
  st_dev: Struct.u64,
  st_ino: Struct.u64,
  st_nlink: Struct.u64,
  st_mode: Struct.u32,
  st_uid: Struct.u32,
  st_gid: Struct.u32,
  __pad0: Struct.padding(4, 4),
  st_rdev: Struct.u64,
  st_size: Struct.i64,
  st_blksize: Struct.i64,
  st_blocks: Struct.i64,
  st_atime: seconds,
  st_atime_nsec: Struct.u64,
  st_mtime: seconds,
  st_mtime_nsec: Struct.u64,
  st_ctime: seconds,
  st_ctime_nsec: Struct.u64,
  __unused: Struct.padding(24, 8)
}

const genericStat = {
  st_dev: Struct.u64,
  st_ino: Struct.u64,
  st_mode: Struct.u32,
  st_nlink: widened(Struct.u32),
  st_uid: Struct.u32,
  st_gid: Struct.u32,
  st_rdev: Struct.u64,
  __pad1: Struct.padding(8, 8),
  st_size: Struct.i64,
  st_blksize: widened(Struct.i32),
  __pad2: Struct.padding(4, 4),
  st_blocks: Struct.i64,
  st_atime: seconds,
  st_atime_nsec: Struct.u64,
  st_mtime: seconds,
  st_mtime_nsec: Struct.u64,
  st_ctime: seconds,
  st_ctime_nsec: Struct.u64,
  __unused4: Struct.padding(4, 4),
  __unused5: Struct.padding(4, 4)
}

const statFields: StatFields = byArchitecture<StatFields>({
  x86_64: statOfX86,
  aarch64: genericStat,
  riscv64: genericStat
})

/**
 * What `stat` and its kin tell of a file, laid out as this machine's architecture has it; `statx` tells more.
 *
 * Device numbers are as `Syscall.makedev` makes them; times are in seconds and nanoseconds since the epoch; `st_blocks`
 * are of 512 bytes.
 *
 * @category structures
 * @since 0.1.0
 */
export const stat = Struct.make("stat", statFields)
/**
 * @category structures
 * @since 0.1.0
 */
export interface stat extends Struct.Type<typeof stat> {}

/**
 * What `statfs` tells of a file system. Blocks are of `f_frsize` bytes.
 *
 * @category structures
 * @since 0.1.0
 */
export const statfs = Struct.make("statfs", {
  f_type: Struct.i64,
  f_bsize: Struct.i64,
  f_blocks: Struct.i64,
  f_bfree: Struct.i64,
  f_bavail: Struct.i64,
  f_files: Struct.i64,
  f_ffree: Struct.i64,
  f_fsid: Struct.array(Struct.i32, 2),
  f_namelen: Struct.i64,
  f_frsize: Struct.i64,
  f_flags: Struct.i64,
  f_spare: Struct.padding(32, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface statfs extends Struct.Type<typeof statfs> {}

/**
 * What `ustat` tells of a file system: free blocks and inodes.
 *
 * @category structures
 * @since 0.1.0
 */
export const ustat = Struct.make("ustat", {
  f_tfree: Struct.i32,
  f_tinode: Struct.u64,
  f_fname: Struct.bytes(6),
  f_fpack: Struct.bytes(6)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface ustat extends Struct.Type<typeof ustat> {}

/**
 * The times that `utime` sets, in seconds since the epoch.
 *
 * @category structures
 * @since 0.1.0
 */
export const utimbuf = Struct.make("utimbuf", { actime: Struct.i64, modtime: Struct.i64 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface utimbuf extends Struct.Type<typeof utimbuf> {}

/**
 * A part of a file, in bytes; a `len` of 0 means up to the end.
 *
 * @category structures
 * @since 0.1.0
 */
export const cachestat_range = Struct.make("cachestat_range", { off: Struct.u64, len: Struct.u64 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface cachestat_range extends Struct.Type<typeof cachestat_range> {}

/**
 * How many pages of a part of a file are in the page cache, and how.
 *
 * @category structures
 * @since 0.1.0
 */
export const cachestat = Struct.make("cachestat", {
  nr_cache: Struct.u64,
  nr_dirty: Struct.u64,
  nr_writeback: Struct.u64,
  nr_evicted: Struct.u64,
  nr_recently_evicted: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface cachestat extends Struct.Type<typeof cachestat> {}

/**
 * Where the value of an extended attribute lies, for the calls that take the path from a directory.
 *
 * @category structures
 * @since 0.1.0
 */
export const xattr_args = Struct.make("xattr_args", { value: Struct.pointer, size: Struct.u32, flags: Struct.u32 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface xattr_args extends Struct.Type<typeof xattr_args> {}

/**
 * What `chattr` and project quotas keep of a file; `fa_xflags` are of `FS_XFLAG_*`.
 *
 * @category structures
 * @since 0.1.0
 */
export const file_attr = Struct.make("file_attr", {
  fa_xflags: Struct.u64,
  fa_extsize: Struct.u32,
  fa_nextents: Struct.u32,
  fa_projid: Struct.u32,
  fa_cowextsize: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface file_attr extends Struct.Type<typeof file_attr> {}

/**
 * The head of a file's handle: `handle_bytes` bytes follow it.
 *
 * @category structures
 * @since 0.1.0
 */
export const file_handle = Struct.make("file_handle", { handle_bytes: Struct.u32, handle_type: Struct.i32 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface file_handle extends Struct.Type<typeof file_handle> {}

/**
 * The head of an inotify event: a name of `len` bytes follows it, filled up with NULs.
 *
 * @category structures
 * @since 0.1.0
 */
export const inotify_event = Struct.make("inotify_event", {
  wd: Struct.i32,
  mask: Struct.u32,
  cookie: Struct.u32,
  len: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface inotify_event extends Struct.Type<typeof inotify_event> {}

/**
 * The head of a fanotify event: records that say more follow it, up to `event_len` bytes in all.
 *
 * @category structures
 * @since 0.1.0
 */
export const fanotify_event_metadata = Struct.make("fanotify_event_metadata", {
  event_len: Struct.u32,
  vers: Struct.u8,
  reserved: Struct.padding(1),
  metadata_len: Struct.u16,
  mask: Struct.u64,
  fd: Struct.i32,
  pid: Struct.i32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface fanotify_event_metadata extends Struct.Type<typeof fanotify_event_metadata> {}

/**
 * The head of a record that says more of a fanotify event, of `len` bytes with the head.
 *
 * @category structures
 * @since 0.1.0
 */
export const fanotify_event_info_header = Struct.make("fanotify_event_info_header", {
  info_type: Struct.u8,
  pad: Struct.padding(1),
  len: Struct.u16
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface fanotify_event_info_header extends Struct.Type<typeof fanotify_event_info_header> {}

/**
 * Which file a fanotify event is about: a `file_handle` follows, and for some types of record a name.
 *
 * @category structures
 * @since 0.1.0
 */
export const fanotify_event_info_fid = Struct.make("fanotify_event_info_fid", {
  hdr: fanotify_event_info_header,
  fsid: Struct.array(Struct.i32, 2)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface fanotify_event_info_fid extends Struct.Type<typeof fanotify_event_info_fid> {}

/**
 * A descriptor of the process that caused a fanotify event.
 *
 * @category structures
 * @since 0.1.0
 */
export const fanotify_event_info_pidfd = Struct.make("fanotify_event_info_pidfd", {
  hdr: fanotify_event_info_header,
  pidfd: Struct.i32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface fanotify_event_info_pidfd extends Struct.Type<typeof fanotify_event_info_pidfd> {}

/**
 * An error of a file system: the errno of the first, and how many there were.
 *
 * @category structures
 * @since 0.1.0
 */
export const fanotify_event_info_error = Struct.make("fanotify_event_info_error", {
  hdr: fanotify_event_info_header,
  error: Struct.i32,
  error_count: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface fanotify_event_info_error extends Struct.Type<typeof fanotify_event_info_error> {}

/**
 * The part of a file that is about to be accessed.
 *
 * @category structures
 * @since 0.1.0
 */
export const fanotify_event_info_range = Struct.make("fanotify_event_info_range", {
  hdr: fanotify_event_info_header,
  pad: Struct.padding(4, 4),
  offset: Struct.u64,
  count: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface fanotify_event_info_range extends Struct.Type<typeof fanotify_event_info_range> {}

/**
 * The mount that was attached or detached, by its unique identifier.
 *
 * @category structures
 * @since 0.1.0
 */
export const fanotify_event_info_mnt = Struct.make("fanotify_event_info_mnt", {
  hdr: fanotify_event_info_header,
  mnt_id: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface fanotify_event_info_mnt extends Struct.Type<typeof fanotify_event_info_mnt> {}

/**
 * The answer to a fanotify event that asks for permission, written to its queue: `FAN_ALLOW` or `FAN_DENY`.
 *
 * @category structures
 * @since 0.1.0
 */
export const fanotify_response = Struct.make("fanotify_response", { fd: Struct.i32, response: Struct.u32 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface fanotify_response extends Struct.Type<typeof fanotify_response> {}
