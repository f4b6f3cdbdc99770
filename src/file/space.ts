/**
 * The room that a file takes, and what the kernel is told of its use: allocation, holes, advice, and writing back.
 */
import * as Effect from "effect/Effect"
import type * as errors from "../errors/calls.ts"
import * as constants from "../internal/constants.ts"
import { runOn } from "../internal/descriptor.ts"
import * as describe from "../syscall/descriptions.ts"
import { type File, own } from "./model.ts"

/**
 * Makes the file `length` bytes long, by cutting it or by zeros at its end.
 *
 * Can wait for a disk. Manual page: ftruncate(2).
 *
 * @category space
 * @since 0.1.0
 */
export const truncate = (file: File<unknown>, length: number | bigint): Effect.Effect<void, errors.FtruncateError> =>
  runOn(own(file), describe.ftruncate(own(file).fd, length))

const fallocate = (file: File<unknown>, mode: number, offset: number | bigint, length: number | bigint) =>
  runOn(own(file), describe.fallocate(own(file).fd, mode, offset, length))

/**
 * Whether a file that is too short for the range grows to its end.
 *
 * @category models
 * @since 0.1.0
 */
export interface SpaceOptions {
  /** The file keeps its size: `FALLOC_FL_KEEP_SIZE`. False unless said. */
  readonly keepSize?: boolean | undefined
}

const keeping = (options: SpaceOptions): number => (options.keepSize === true ? constants.FALLOC_FL_KEEP_SIZE : 0)

/**
 * Makes sure that there is room for `length` bytes from `offset` on: writing there does not fail with `ENOSPC`.
 *
 * Fails with `EOPNOTSUPP` where the file system cannot. Can wait for a disk; interruptible. Manual page: fallocate(2).
 *
 * @category space
 * @since 0.1.0
 */
export const allocate = (
  file: File<unknown>,
  offset: number | bigint,
  length: number | bigint,
  options: SpaceOptions = {}
): Effect.Effect<void, errors.FallocateError> => Effect.suspend(() => fallocate(file, keeping(options), offset, length))

/**
 * Gives the room of `length` bytes from `offset` on back: they read as zeros from now on. The file keeps its size.
 *
 * Fails with `EOPNOTSUPP` where the file system cannot. Can wait for a disk; interruptible. Manual page: fallocate(2).
 *
 * @category space
 * @since 0.1.0
 */
export const punchHole = (
  file: File<unknown>,
  offset: number | bigint,
  length: number | bigint
): Effect.Effect<void, errors.FallocateError> =>
  fallocate(file, constants.FALLOC_FL_PUNCH_HOLE | constants.FALLOC_FL_KEEP_SIZE, offset, length)

/**
 * Makes `length` bytes from `offset` on zeros, and sees to it that they have room.
 *
 * Fails with `EOPNOTSUPP` where the file system cannot. Can wait for a disk; interruptible. Manual page: fallocate(2).
 *
 * @category space
 * @since 0.1.0
 */
export const zeroRange = (
  file: File<unknown>,
  offset: number | bigint,
  length: number | bigint,
  options: SpaceOptions = {}
): Effect.Effect<void, errors.FallocateError> =>
  Effect.suspend(() => fallocate(file, constants.FALLOC_FL_ZERO_RANGE | keeping(options), offset, length))

/**
 * Takes `length` bytes at `offset` out of the file: what is behind them moves up. Both have to be multiples of the file
 * system's blocks.
 *
 * Fails with `EOPNOTSUPP` where the file system cannot. Can wait for a disk; interruptible. Manual page: fallocate(2).
 *
 * @category space
 * @since 0.1.0
 */
export const collapseRange = (
  file: File<unknown>,
  offset: number | bigint,
  length: number | bigint
): Effect.Effect<void, errors.FallocateError> => fallocate(file, constants.FALLOC_FL_COLLAPSE_RANGE, offset, length)

/**
 * Puts a hole of `length` bytes into the file at `offset`: what is behind moves down. Both have to be multiples of the file
 * system's blocks.
 *
 * Fails with `EOPNOTSUPP` where the file system cannot. Can wait for a disk; interruptible. Manual page: fallocate(2).
 *
 * @category space
 * @since 0.1.0
 */
export const insertRange = (
  file: File<unknown>,
  offset: number | bigint,
  length: number | bigint
): Effect.Effect<void, errors.FallocateError> => fallocate(file, constants.FALLOC_FL_INSERT_RANGE, offset, length)

/**
 * Gives the file blocks of its own for `length` bytes from `offset` on, where it shares them with another file: writing
 * there does not fail with `ENOSPC`.
 *
 * Fails with `EOPNOTSUPP` where the file system cannot. Can wait for a disk; interruptible. Manual page: fallocate(2).
 *
 * @category space
 * @since 0.1.0
 */
export const unshareRange = (
  file: File<unknown>,
  offset: number | bigint,
  length: number | bigint
): Effect.Effect<void, errors.FallocateError> => fallocate(file, constants.FALLOC_FL_UNSHARE_RANGE, offset, length)

const advices = {
  normal: constants.POSIX_FADV_NORMAL,
  sequential: constants.POSIX_FADV_SEQUENTIAL,
  random: constants.POSIX_FADV_RANDOM,
  noReuse: constants.POSIX_FADV_NOREUSE,
  willNeed: constants.POSIX_FADV_WILLNEED,
  dontNeed: constants.POSIX_FADV_DONTNEED
}

/**
 * How a file is going to be used: in no special way, from front to back, here and there, once only, soon, no more.
 *
 * @category models
 * @since 0.1.0
 */
export type Advice = keyof typeof advices

/**
 * Tells the kernel how a file, or `length` bytes of it from `offset` on, is going to be used: how much to read ahead, what to
 * read now (`"willNeed"`), what to throw out of the page cache (`"dontNeed"`).
 *
 * Can wait for a disk with those two. Manual page: posix_fadvise(2).
 *
 * @category space
 * @since 0.1.0
 */
export const advise = (
  file: File<unknown>,
  advice: Advice,
  range: { readonly offset?: number | bigint | undefined; readonly length?: number | bigint | undefined } = {}
): Effect.Effect<void, errors.Fadvise64Error> =>
  Effect.suspend(() => {
    // To the end of the file, says a length of 0.
    const { length = 0, offset = 0 } = range
    const number = advices[advice]
    if (number === undefined) throw new TypeError(`advice: no such advice: ${String(advice)}`)
    return runOn(own(file), describe.fadvise64(own(file).fd, offset, length, number))
  })

/**
 * Waits until contents and metadata are on the disk.
 *
 * Blocks; interruptible. Manual page: fsync(2).
 *
 * @category space
 * @since 0.1.0
 */
export const sync = (file: File<unknown>): Effect.Effect<void, errors.FsyncError> =>
  runOn(own(file), describe.fsync(own(file).fd))

/**
 * Waits until the contents are on the disk, and what of the metadata is needed to read them.
 *
 * Blocks; interruptible. Manual page: fdatasync(2).
 *
 * @category space
 * @since 0.1.0
 */
export const dataSync = (file: File<unknown>): Effect.Effect<void, errors.FdatasyncError> =>
  runOn(own(file), describe.fdatasync(own(file).fd))

/**
 * Waits until all of the file system that the file is on is on the disk.
 *
 * Blocks; interruptible. Manual page: syncfs(2).
 *
 * @category space
 * @since 0.1.0
 */
export const syncFs = (file: File<unknown>): Effect.Effect<void, errors.SyncfsError> =>
  runOn(own(file), describe.syncfs(own(file).fd))
