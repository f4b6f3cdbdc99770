/**
 * Requests that tell where on the disk files lie; part of `filesystem.ts`.
 */
import * as Abi from "../Abi.ts"
import * as Struct from "../Struct.ts"
import { FIEMAP_MAX_OFFSET } from "./constants-filesystem.ts"
import { options } from "./filesystem-errors.ts"
import { _IO, _IOWR, anyDevice, make, read, writeRead } from "./request.ts"

/**
 * The size of the file system's blocks, in bytes.
 *
 * @category requests
 * @since 0.1.0
 */
export const FIGETBSZ = read(anyDevice, _IO(0x00, 2), Struct.i32, options("FIGETBSZ"))

/**
 * The block of the disk that a block of the file is in; 0 for a hole. For administrators; {@link FS_IOC_FIEMAP} is
 * for all. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const FIBMAP = writeRead(anyDevice, _IO(0x00, 1), Struct.i32, options("FIBMAP", true))

/**
 * Which part of a file is asked for.
 *
 * @category models
 * @since 0.1.0
 */
export interface ExtentQuery {
  /** In bytes; 0 unless said. */
  readonly fm_start?: bigint
  /** In bytes; to the end unless said. */
  readonly fm_length?: bigint
  /** Bits of `FIEMAP_FLAG_*`: `FIEMAP_FLAG_SYNC` writes the file out before. */
  readonly fm_flags?: number
  /** How many extents are told at most; with 0 they are only counted. */
  readonly fm_extent_count: number
}

/**
 * The extents of a file.
 *
 * @category models
 * @since 0.1.0
 */
export interface Extents {
  /** How many were told, or counted. */
  readonly fm_mapped_extents: number
  readonly fm_extents: ReadonlyArray<Abi.fiemap_extent>
}

const { fiemap, fiemap_extent, fsmap, fsmap_head } = Abi

const most = 65_536

const counted = (name: string, count: number): number => {
  if (!Number.isInteger(count) || count < 0 || count > most) {
    throw new RangeError(`${name}: expected an integer from 0 to ${most}, got ${count}`)
  }
  return count
}

/**
 * Where the pieces of a file lie on the disk, and which are holes, shared or not written yet. The last of a file
 * has `FIEMAP_EXTENT_LAST` in its `fe_flags`. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const FS_IOC_FIEMAP = make(anyDevice, _IOWR("f", 11, fiemap), {
  ...options("FS_IOC_FIEMAP", true),
  encode: ({ fm_extent_count, fm_flags = 0, fm_length = FIEMAP_MAX_OFFSET, fm_start = 0n }: ExtentQuery) =>
    fiemap.encode(
      { fm_start, fm_length, fm_flags, fm_extent_count, fm_mapped_extents: 0 },
      new Uint8Array(fiemap.size + counted("fm_extent_count", fm_extent_count) * fiemap_extent.size)
    ),
  decode: (_, memory): Extents => {
    const { fm_extent_count, fm_mapped_extents } = fiemap.decode(memory)
    const length = Math.min(fm_extent_count, fm_mapped_extents)
    const fm_extents = Array.from({ length }, (_, index) =>
      fiemap_extent.decode(memory, fiemap.size + index * fiemap_extent.size)
    )
    return { fm_mapped_extents, fm_extents }
  }
})

/**
 * Which pieces of a file system's disk are asked for.
 *
 * @category models
 * @since 0.1.0
 */
export interface FsMapQuery {
  /** How many pieces are told at most; with 0 they are only counted. */
  readonly fmh_count: number
  /** The lowest and the highest that is told, each left out for no bound. */
  readonly fmh_keys?: readonly [low: Partial<Abi.fsmap>, high: Partial<Abi.fsmap>]
}

/**
 * What pieces of a file system's disk are used for.
 *
 * @category models
 * @since 0.1.0
 */
export interface FsMap {
  /** Bits of `FMH_OF_*`. */
  readonly fmh_oflags: number
  /** How many were told, or counted. */
  readonly fmh_entries: number
  readonly fmh_recs: ReadonlyArray<Abi.fsmap>
}

const lowest = fsmap.decode(new Uint8Array(fsmap.size))
const highest = { ...fsmap.decode(new Uint8Array(fsmap.size).fill(0xff)), fmr_length: 0n }

/**
 * What the pieces of a file system's disk are used for. For administrators; ext4, XFS and btrfs know it. Can wait.
 * Since Linux 4.12. Manual page: ioctl_getfsmap(2).
 *
 * @category requests
 * @since 0.1.0
 */
export const FS_IOC_GETFSMAP = make(anyDevice, _IOWR("X", 59, fsmap_head), {
  ...options("FS_IOC_GETFSMAP", true),
  encode: ({ fmh_count, fmh_keys: [low, high] = [{}, {}] }: FsMapQuery) =>
    fsmap_head.encode(
      {
        fmh_iflags: 0,
        fmh_oflags: 0,
        fmh_count,
        fmh_entries: 0,
        fmh_keys: [
          { ...lowest, ...low },
          { ...highest, ...high }
        ]
      },
      new Uint8Array(fsmap_head.size + counted("fmh_count", fmh_count) * fsmap.size)
    ),
  decode: (_, memory): FsMap => {
    const { fmh_count, fmh_entries, fmh_oflags } = fsmap_head.decode(memory)
    const fmh_recs = Array.from({ length: Math.min(fmh_count, fmh_entries) }, (_, index) =>
      fsmap.decode(memory, fsmap_head.size + index * fsmap.size)
    )
    return { fmh_oflags, fmh_entries, fmh_recs }
  }
})
