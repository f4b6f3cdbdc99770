/**
 * Requests to files and the file systems they are in: linux/fs.h, linux/fiemap.h, linux/fsmap.h. Any file may be asked.
 * File systems answer `ENOTTY` or `EOPNOTSUPP` to what they do not know.
 */
import * as Abi from "../Abi.ts"
import type { File } from "../file/model.ts"
import * as Struct from "../Struct.ts"
import { FSLABEL_MAX } from "./constants-filesystem.ts"
import { options } from "./filesystem-errors.ts"
import { _IOR, _IOW, _IOWR, anyDevice, fdOf, make, none, read, write, writeRead } from "./request.ts"

export {
  FIEMAP_EXTENT_DATA_ENCRYPTED,
  FIEMAP_EXTENT_DATA_INLINE,
  FIEMAP_EXTENT_DATA_TAIL,
  FIEMAP_EXTENT_DELALLOC,
  FIEMAP_EXTENT_ENCODED,
  FIEMAP_EXTENT_LAST,
  FIEMAP_EXTENT_MERGED,
  FIEMAP_EXTENT_NOT_ALIGNED,
  FIEMAP_EXTENT_SHARED,
  FIEMAP_EXTENT_UNKNOWN,
  FIEMAP_EXTENT_UNWRITTEN,
  FIEMAP_FLAG_CACHE,
  FIEMAP_FLAG_SYNC,
  FIEMAP_FLAG_XATTR,
  FIEMAP_FLAGS_COMPAT,
  FIEMAP_MAX_OFFSET,
  FILE_DEDUPE_RANGE_DIFFERS,
  FILE_DEDUPE_RANGE_SAME,
  FMH_IF_VALID,
  FMH_OF_DEV_T,
  FMR_OF_ATTR_FORK,
  FMR_OF_EXTENT_MAP,
  FMR_OF_LAST,
  FMR_OF_PREALLOC,
  FMR_OF_SHARED,
  FMR_OF_SPECIAL_OWNER,
  FS_APPEND_FL,
  FS_BTREE_FL,
  FS_CASEFOLD_FL,
  FS_COMPR_FL,
  FS_COMPRBLK_FL,
  FS_DAX_FL,
  FS_DIRSYNC_FL,
  FS_DIRTY_FL,
  FS_ENCRYPT_FL,
  FS_EOFBLOCKS_FL,
  FS_EXTENT_FL,
  FS_FL_USER_MODIFIABLE,
  FS_FL_USER_VISIBLE,
  FS_IMAGIC_FL,
  FS_IMMUTABLE_FL,
  FS_INDEX_FL,
  FS_NOATIME_FL,
  FS_NOCOMP_FL,
  FS_NOCOW_FL,
  FS_NODUMP_FL,
  FS_NOTAIL_FL,
  FS_PROJINHERIT_FL,
  FS_RESERVED_FL,
  FS_SECRM_FL,
  FS_SYNC_FL,
  FS_TOPDIR_FL,
  FS_UNRM_FL,
  FS_VERITY_FL,
  FS_XFLAG_APPEND,
  FS_XFLAG_COWEXTSIZE,
  FS_XFLAG_DAX,
  FS_XFLAG_EXTSIZE,
  FS_XFLAG_EXTSZINHERIT,
  FS_XFLAG_FILESTREAM,
  FS_XFLAG_HASATTR,
  FS_XFLAG_IMMUTABLE,
  FS_XFLAG_NOATIME,
  FS_XFLAG_NODEFRAG,
  FS_XFLAG_NODUMP,
  FS_XFLAG_NOSYMLINKS,
  FS_XFLAG_PREALLOC,
  FS_XFLAG_PROJINHERIT,
  FS_XFLAG_REALTIME,
  FS_XFLAG_RTINHERIT,
  FS_XFLAG_SYNC,
  FSLABEL_MAX
} from "./constants-filesystem.ts"
export * from "./filesystem-extents.ts"

// ---------------------------------------------------------------------------------------------------------------------
// sharing what files hold
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Makes the file share all that another holds, as a copy that takes no room. Both must be on one file system that
 * can: btrfs, XFS and the like. Can wait. Manual page: ioctl_ficlone(2).
 *
 * @category requests
 * @since 0.1.0
 */
export const FICLONE = make(anyDevice, _IOW(0x94, 9, Struct.i32), {
  ...options("FICLONE", true),
  encode: fdOf,
  decode: (result) => result,
  files: (source: File<unknown>) => [source]
})

/**
 * A range of another file, and where it is to be.
 *
 * @category models
 * @since 0.1.0
 */
export interface CloneRange {
  readonly src_fd: File<unknown>
  /** In bytes. */
  readonly src_offset: bigint
  /** In bytes; 0 is to the end. */
  readonly src_length: bigint
  /** In bytes. */
  readonly dest_offset: bigint
}

/**
 * Makes the file share a range of another. Can wait. Manual page: ioctl_ficlonerange(2).
 *
 * @category requests
 * @since 0.1.0
 */
export const FICLONERANGE = make(anyDevice, _IOW(0x94, 13, Abi.file_clone_range), {
  ...options("FICLONERANGE", true),
  encode: (range: CloneRange) => Abi.file_clone_range.encode({ ...range, src_fd: BigInt(fdOf(range.src_fd)) }),
  decode: (result) => result,
  files: ({ src_fd }) => [src_fd]
})

/**
 * A range of this file, and those of others that are to share it where they are the same.
 *
 * @category models
 * @since 0.1.0
 */
export interface DedupeRange {
  /** In bytes. */
  readonly src_offset: bigint
  /** In bytes. */
  readonly src_length: bigint
  /** At most 127. */
  readonly info: ReadonlyArray<{
    readonly dest_fd: File<unknown>
    /** In bytes. */
    readonly dest_offset: bigint
  }>
}

/**
 * What became of a range: `status` is `FILE_DEDUPE_RANGE_SAME`, `FILE_DEDUPE_RANGE_DIFFERS` or minus an errno.
 *
 * @category models
 * @since 0.1.0
 */
export interface Deduped {
  readonly bytes_deduped: bigint
  readonly status: number
}

const { file_dedupe_range, file_dedupe_range_info } = Abi

// The whole must fit a page.
const mostRanges = 127

const rangeAt = (index: number): number => file_dedupe_range.size + index * file_dedupe_range_info.size

/**
 * Makes ranges of other files share one of this where they are the same, byte for byte; tells of each what became
 * of it. Can wait. Manual page: ioctl_fideduperange(2).
 *
 * @category requests
 * @since 0.1.0
 */
export const FIDEDUPERANGE = make(anyDevice, _IOWR(0x94, 54, file_dedupe_range), {
  ...options("FIDEDUPERANGE", true),
  encode: ({ info, src_length, src_offset }: DedupeRange) => {
    if (info.length > mostRanges) throw new RangeError(`info: ${info.length} are more than ${mostRanges}`)
    const memory = new Uint8Array(rangeAt(info.length))
    file_dedupe_range.encode({ src_offset, src_length, dest_count: info.length }, memory)
    for (const [index, { dest_fd, dest_offset }] of info.entries()) {
      const range = { dest_fd: BigInt(fdOf(dest_fd)), dest_offset, bytes_deduped: 0n, status: 0 }
      file_dedupe_range_info.encode(range, memory, rangeAt(index))
    }
    return memory
  },
  decode: (_, memory): ReadonlyArray<Deduped> =>
    Array.from({ length: file_dedupe_range.decode(memory).dest_count }, (_, index) => {
      const { bytes_deduped, status } = file_dedupe_range_info.decode(memory, rangeAt(index))
      return { bytes_deduped, status }
    }),
  files: ({ info }) => info.map(({ dest_fd }) => dest_fd)
})

// ---------------------------------------------------------------------------------------------------------------------
// attributes
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The attributes of the file: bits of `FS_*_FL`. Manual page: ioctl_iflags(2). Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const FS_IOC_GETFLAGS = read(anyDevice, _IOR("f", 1, Struct.u64), Struct.u32, options("FS_IOC_GETFLAGS", true))

/**
 * Sets the attributes of the file: bits of `FS_*_FL`. Manual page: ioctl_iflags(2). Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const FS_IOC_SETFLAGS = write(anyDevice, _IOW("f", 2, Struct.u64), Struct.u32, options("FS_IOC_SETFLAGS", true))

/**
 * Further attributes of the file, the project among them. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const FS_IOC_FSGETXATTR = read(
  anyDevice,
  _IOR("X", 31, Abi.fsxattr),
  Abi.fsxattr,
  options("FS_IOC_FSGETXATTR", true)
)

/**
 * Sets further attributes of the file, the project among them. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const FS_IOC_FSSETXATTR = write(
  anyDevice,
  _IOW("X", 32, Abi.fsxattr),
  Abi.fsxattr,
  options("FS_IOC_FSSETXATTR", true)
)

/**
 * The generation of the inode: tells it from one that had the number before. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const FS_IOC_GETVERSION = read(
  anyDevice,
  _IOR("v", 1, Struct.u64),
  Struct.u32,
  options("FS_IOC_GETVERSION", true)
)

/**
 * Sets the generation of the inode. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const FS_IOC_SETVERSION = write(
  anyDevice,
  _IOW("v", 2, Struct.u64),
  Struct.u32,
  options("FS_IOC_SETVERSION", true)
)

// ---------------------------------------------------------------------------------------------------------------------
// file systems
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Stops all writing to the file system: who writes waits until {@link FITHAW}. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const FIFREEZE = none(anyDevice, _IOWR("X", 119, Struct.i32), options("FIFREEZE", true))

/**
 * Ends {@link FIFREEZE}. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const FITHAW = none(anyDevice, _IOWR("X", 120, Struct.i32), options("FITHAW", true))

/**
 * Discards the free space of the file system; `len` tells how many bytes. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const FITRIM = writeRead(anyDevice, _IOWR("X", 121, Abi.fstrim_range), Abi.fstrim_range, options("FITRIM", true))

/**
 * The label of the file system. Since Linux 4.18. Manual page: ioctl_fslabel(2). Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const FS_IOC_GETFSLABEL = read(
  anyDevice,
  _IOR(0x94, 49, FSLABEL_MAX),
  Struct.text(FSLABEL_MAX),
  options("FS_IOC_GETFSLABEL", true)
)

/**
 * Sets the label of the file system. For administrators. Since Linux 4.18. Manual page: ioctl_fslabel(2). Can
 * wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const FS_IOC_SETFSLABEL = write(
  anyDevice,
  _IOW(0x94, 50, FSLABEL_MAX),
  Struct.text(FSLABEL_MAX),
  options("FS_IOC_SETFSLABEL", true)
)

/**
 * The identity of the file system. Since Linux 6.9.
 *
 * @category requests
 * @since 0.1.0
 */
export const FS_IOC_GETFSUUID = make(anyDevice, _IOR(0x15, 0, Abi.fsuuid2), {
  ...options("FS_IOC_GETFSUUID"),
  encode: (_: undefined) => new Uint8Array(Abi.fsuuid2.size),
  decode: (_, memory) => {
    const { len, uuid } = Abi.fsuuid2.decode(memory)
    return uuid.slice(0, len)
  }
})

/**
 * Where the file system is below /sys/fs, such as `ext4/sda1`. Since Linux 6.9.
 *
 * @category requests
 * @since 0.1.0
 */
export const FS_IOC_GETFSSYSFSPATH = make(anyDevice, _IOR(0x15, 1, Abi.fs_sysfs_path), {
  ...options("FS_IOC_GETFSSYSFSPATH"),
  encode: (_: undefined) => new Uint8Array(Abi.fs_sysfs_path.size),
  decode: (_, memory) => {
    const { len, name } = Abi.fs_sysfs_path.decode(memory)
    return new TextDecoder().decode(name.subarray(0, len))
  }
})
