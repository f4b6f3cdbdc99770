/** Structures of mounts, file systems and quotas. */
import * as Struct from "../Struct.ts"

/**
 * Changes to the attributes of a mount.
 *
 * @category structures
 * @since 0.1.0
 */
export const mount_attr = Struct.make("mount_attr", {
  attr_set: Struct.u64,
  attr_clr: Struct.u64,
  propagation: Struct.u64,
  userns_fd: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface mount_attr extends Struct.Type<typeof mount_attr> {}

/**
 * Which mount `statmount` and `listmount` are asked about.
 *
 * @category structures
 * @since 0.1.0
 */
export const mnt_id_req = Struct.make("mnt_id_req", {
  size: Struct.u32,
  mnt_ns_fd: Struct.u32,
  mnt_id: Struct.u64,
  param: Struct.u64,
  mnt_ns_id: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface mnt_id_req extends Struct.Type<typeof mnt_id_req> {}

/**
 * What `statmount` tells of a mount. Strings follow it; their fields have where they begin, in bytes from the end of this
 * structure.
 *
 * @category structures
 * @since 0.1.0
 */
export const statmount = Struct.make("statmount", {
  size: Struct.u32,
  mnt_opts: Struct.u32,
  mask: Struct.u64,
  sb_dev_major: Struct.u32,
  sb_dev_minor: Struct.u32,
  sb_magic: Struct.u64,
  sb_flags: Struct.u32,
  fs_type: Struct.u32,
  mnt_id: Struct.u64,
  mnt_parent_id: Struct.u64,
  mnt_id_old: Struct.u32,
  mnt_parent_id_old: Struct.u32,
  mnt_attr: Struct.u64,
  mnt_propagation: Struct.u64,
  mnt_peer_group: Struct.u64,
  mnt_master: Struct.u64,
  propagate_from: Struct.u64,
  mnt_root: Struct.u32,
  mnt_point: Struct.u32,
  mnt_ns_id: Struct.u64,
  fs_subtype: Struct.u32,
  sb_source: Struct.u32,
  opt_num: Struct.u32,
  opt_array: Struct.u32,
  opt_sec_num: Struct.u32,
  opt_sec_array: Struct.u32,
  supported_mask: Struct.u64,
  mnt_uidmap_num: Struct.u32,
  mnt_uidmap: Struct.u32,
  mnt_gidmap_num: Struct.u32,
  mnt_gidmap: Struct.u32,
  __spare2: Struct.padding(344, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface statmount extends Struct.Type<typeof statmount> {}

/**
 * Limits and use of one user, group or project: blocks of 1,024 bytes, space in bytes, times in seconds since the epoch.
 * `dqb_valid` is of `QIF_*`.
 *
 * @category structures
 * @since 0.1.0
 */
export const if_dqblk = Struct.make("if_dqblk", {
  dqb_bhardlimit: Struct.u64,
  dqb_bsoftlimit: Struct.u64,
  dqb_curspace: Struct.u64,
  dqb_ihardlimit: Struct.u64,
  dqb_isoftlimit: Struct.u64,
  dqb_curinodes: Struct.u64,
  dqb_btime: Struct.u64,
  dqb_itime: Struct.u64,
  dqb_valid: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface if_dqblk extends Struct.Type<typeof if_dqblk> {}

/**
 * The same with the identifier that it is of, as `Q_GETNEXTQUOTA` gives it.
 *
 * @category structures
 * @since 0.1.0
 */
export const if_nextdqblk = Struct.make("if_nextdqblk", {
  dqb_bhardlimit: Struct.u64,
  dqb_bsoftlimit: Struct.u64,
  dqb_curspace: Struct.u64,
  dqb_ihardlimit: Struct.u64,
  dqb_isoftlimit: Struct.u64,
  dqb_curinodes: Struct.u64,
  dqb_btime: Struct.u64,
  dqb_itime: Struct.u64,
  dqb_valid: Struct.u32,
  dqb_id: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface if_nextdqblk extends Struct.Type<typeof if_nextdqblk> {}

/**
 * What holds for all quotas of a file system: times of grace in seconds. `dqi_valid` is of `IIF_*`.
 *
 * @category structures
 * @since 0.1.0
 */
export const if_dqinfo = Struct.make("if_dqinfo", {
  dqi_bgrace: Struct.u64,
  dqi_igrace: Struct.u64,
  dqi_flags: Struct.u32,
  dqi_valid: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface if_dqinfo extends Struct.Type<typeof if_dqinfo> {}

/**
 * Limits and use of one user, group or project as XFS has them: blocks of 512 bytes. `d_fieldmask` is of `FS_DQ_*`.
 *
 * @category structures
 * @since 0.1.0
 */
export const fs_disk_quota = Struct.make("fs_disk_quota", {
  d_version: Struct.i8,
  d_flags: Struct.i8,
  d_fieldmask: Struct.u16,
  d_id: Struct.u32,
  d_blk_hardlimit: Struct.u64,
  d_blk_softlimit: Struct.u64,
  d_ino_hardlimit: Struct.u64,
  d_ino_softlimit: Struct.u64,
  d_bcount: Struct.u64,
  d_icount: Struct.u64,
  d_itimer: Struct.i32,
  d_btimer: Struct.i32,
  d_iwarns: Struct.u16,
  d_bwarns: Struct.u16,
  d_itimer_hi: Struct.i8,
  d_btimer_hi: Struct.i8,
  d_rtbtimer_hi: Struct.i8,
  d_padding2: Struct.padding(1),
  d_rtb_hardlimit: Struct.u64,
  d_rtb_softlimit: Struct.u64,
  d_rtbcount: Struct.u64,
  d_rtbtimer: Struct.i32,
  d_rtbwarns: Struct.u16,
  d_padding3: Struct.padding(2, 2),
  d_padding4: Struct.padding(8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface fs_disk_quota extends Struct.Type<typeof fs_disk_quota> {}
