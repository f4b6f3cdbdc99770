/** Structures of the requests to files, file systems, disks and loop devices. */
import * as Struct from "../Struct.ts"

/**
 * A range of another file that is to be shared.
 *
 * @category structures
 * @since 0.1.0
 */
export const file_clone_range = Struct.make("file_clone_range", {
  src_fd: Struct.i64,
  src_offset: Struct.u64,
  src_length: Struct.u64,
  dest_offset: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface file_clone_range extends Struct.Type<typeof file_clone_range> {}

/**
 * The part of a file system whose free space is to be discarded; `len` comes back as what was.
 *
 * @category structures
 * @since 0.1.0
 */
export const fstrim_range = Struct.make("fstrim_range", { start: Struct.u64, len: Struct.u64, minlen: Struct.u64 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface fstrim_range extends Struct.Type<typeof fstrim_range> {}

/**
 * One range that is compared, and shared where it is the same.
 *
 * @category structures
 * @since 0.1.0
 */
export const file_dedupe_range_info = Struct.make("file_dedupe_range_info", {
  dest_fd: Struct.i64,
  dest_offset: Struct.u64,
  bytes_deduped: Struct.u64,
  status: Struct.i32,
  reserved: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface file_dedupe_range_info extends Struct.Type<typeof file_dedupe_range_info> {}

/**
 * The range that others are compared with; `file_dedupe_range_info` follow it.
 *
 * @category structures
 * @since 0.1.0
 */
export const file_dedupe_range = Struct.make("file_dedupe_range", {
  src_offset: Struct.u64,
  src_length: Struct.u64,
  dest_count: Struct.u16,
  reserved1: Struct.padding(2, 2),
  reserved2: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface file_dedupe_range extends Struct.Type<typeof file_dedupe_range> {}

/**
 * Further attributes of a file.
 *
 * @category structures
 * @since 0.1.0
 */
export const fsxattr = Struct.make("fsxattr", {
  fsx_xflags: Struct.u32,
  fsx_extsize: Struct.u32,
  fsx_nextents: Struct.u32,
  fsx_projid: Struct.u32,
  fsx_cowextsize: Struct.u32,
  fsx_pad: Struct.padding(8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface fsxattr extends Struct.Type<typeof fsxattr> {}

/**
 * The identity of a file system. Since Linux 6.9.
 *
 * @category structures
 * @since 0.1.0
 */
export const fsuuid2 = Struct.make("fsuuid2", { len: Struct.u8, uuid: Struct.bytes(16) })
/**
 * @category structures
 * @since 0.1.0
 */
export interface fsuuid2 extends Struct.Type<typeof fsuuid2> {}

/**
 * Where a file system is below /sys/fs. Since Linux 6.9.
 *
 * @category structures
 * @since 0.1.0
 */
export const fs_sysfs_path = Struct.make("fs_sysfs_path", { len: Struct.u8, name: Struct.bytes(128) })
/**
 * @category structures
 * @since 0.1.0
 */
export interface fs_sysfs_path extends Struct.Type<typeof fs_sysfs_path> {}

/**
 * A piece of a file that lies in one piece on the disk.
 *
 * @category structures
 * @since 0.1.0
 */
export const fiemap_extent = Struct.make("fiemap_extent", {
  fe_logical: Struct.u64,
  fe_physical: Struct.u64,
  fe_length: Struct.u64,
  fe_reserved64: Struct.padding(16, 8),
  fe_flags: Struct.u32,
  fe_reserved: Struct.padding(12, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface fiemap_extent extends Struct.Type<typeof fiemap_extent> {}

/**
 * Which extents of a file are asked for; `fiemap_extent` follow it.
 *
 * @category structures
 * @since 0.1.0
 */
export const fiemap = Struct.make("fiemap", {
  fm_start: Struct.u64,
  fm_length: Struct.u64,
  fm_flags: Struct.u32,
  fm_mapped_extents: Struct.u32,
  fm_extent_count: Struct.u32,
  fm_reserved: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface fiemap extends Struct.Type<typeof fiemap> {}

/**
 * What a piece of a file system's disk is used for.
 *
 * @category structures
 * @since 0.1.0
 */
export const fsmap = Struct.make("fsmap", {
  fmr_device: Struct.u32,
  fmr_flags: Struct.u32,
  fmr_physical: Struct.u64,
  fmr_owner: Struct.u64,
  fmr_offset: Struct.u64,
  fmr_length: Struct.u64,
  fmr_reserved: Struct.padding(24, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface fsmap extends Struct.Type<typeof fsmap> {}

/**
 * Which pieces of a file system's disk are asked for; `fsmap` follow it.
 *
 * @category structures
 * @since 0.1.0
 */
export const fsmap_head = Struct.make("fsmap_head", {
  fmh_iflags: Struct.u32,
  fmh_oflags: Struct.u32,
  fmh_count: Struct.u32,
  fmh_entries: Struct.u32,
  fmh_reserved: Struct.padding(48, 8),
  fmh_keys: Struct.array(fsmap, 2)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface fsmap_head extends Struct.Type<typeof fsmap_head> {}

/**
 * The shape of a disk, as the BIOS is told it.
 *
 * @category structures
 * @since 0.1.0
 */
export const hd_geometry = Struct.make("hd_geometry", {
  heads: Struct.u8,
  sectors: Struct.u8,
  cylinders: Struct.u16,
  start: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface hd_geometry extends Struct.Type<typeof hd_geometry> {}

/**
 * What is to be done to a partition: `data` points to a `blkpg_partition`.
 *
 * @category structures
 * @since 0.1.0
 */
export const blkpg_ioctl_arg = Struct.make("blkpg_ioctl_arg", {
  op: Struct.i32,
  flags: Struct.i32,
  datalen: Struct.i32,
  data: Struct.pointer
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface blkpg_ioctl_arg extends Struct.Type<typeof blkpg_ioctl_arg> {}

/**
 * A partition: where it lies, in bytes, and its number.
 *
 * @category structures
 * @since 0.1.0
 */
export const blkpg_partition = Struct.make("blkpg_partition", {
  start: Struct.i64,
  length: Struct.i64,
  pno: Struct.i32,
  devname: Struct.bytes(64),
  volname: Struct.bytes(64)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface blkpg_partition extends Struct.Type<typeof blkpg_partition> {}

/**
 * A zone of a zoned disk. All lengths in sectors of 512 bytes.
 *
 * @category structures
 * @since 0.1.0
 */
export const blk_zone = Struct.make("blk_zone", {
  start: Struct.u64,
  len: Struct.u64,
  wp: Struct.u64,
  type: Struct.u8,
  cond: Struct.u8,
  non_seq: Struct.u8,
  reset: Struct.u8,
  resv: Struct.padding(4),
  capacity: Struct.u64,
  reserved: Struct.padding(24)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface blk_zone extends Struct.Type<typeof blk_zone> {}

/**
 * Which zones are asked for; `blk_zone` follow it.
 *
 * @category structures
 * @since 0.1.0
 */
export const blk_zone_report = Struct.make("blk_zone_report", {
  sector: Struct.u64,
  nr_zones: Struct.u32,
  flags: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface blk_zone_report extends Struct.Type<typeof blk_zone_report> {}

/**
 * A range of sectors of a zoned disk.
 *
 * @category structures
 * @since 0.1.0
 */
export const blk_zone_range = Struct.make("blk_zone_range", { sector: Struct.u64, nr_sectors: Struct.u64 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface blk_zone_range extends Struct.Type<typeof blk_zone_range> {}

/**
 * What a loop device shows, and how. Names are bytes, ended by a NUL.
 *
 * @category structures
 * @since 0.1.0
 */
export const loop_info64 = Struct.make("loop_info64", {
  lo_device: Struct.u64,
  lo_inode: Struct.u64,
  lo_rdevice: Struct.u64,
  lo_offset: Struct.u64,
  lo_sizelimit: Struct.u64,
  lo_number: Struct.u32,
  lo_encrypt_type: Struct.u32,
  lo_encrypt_key_size: Struct.u32,
  lo_flags: Struct.u32,
  lo_file_name: Struct.bytes(64),
  lo_crypt_name: Struct.bytes(64),
  lo_encrypt_key: Struct.bytes(32),
  lo_init: Struct.array(Struct.u64, 2)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface loop_info64 extends Struct.Type<typeof loop_info64> {}

/**
 * All that sets up a loop device.
 *
 * @category structures
 * @since 0.1.0
 */
export const loop_config = Struct.make("loop_config", {
  fd: Struct.u32,
  block_size: Struct.u32,
  info: loop_info64,
  __reserved: Struct.padding(64, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface loop_config extends Struct.Type<typeof loop_config> {}

/**
 * Bytes for the kernel's random numbers, which follow it, and how many bits of chance are in them.
 *
 * @category structures
 * @since 0.1.0
 */
export const rand_pool_info = Struct.make("rand_pool_info", { entropy_count: Struct.i32, buf_size: Struct.i32 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface rand_pool_info extends Struct.Type<typeof rand_pool_info> {}
