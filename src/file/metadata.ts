/**
 * What is known of a file, and what a directory holds.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type * as Abi from "../Abi.ts"
import type * as errors from "../errors/calls.ts"
import * as constants from "../internal/constants.ts"
import { runOn } from "../internal/descriptor.ts"
import * as Syscall from "../Syscall.ts"
import * as describe from "../syscall/descriptions.ts"
import { type File, own } from "./model.ts"
import { Seek, seek } from "./transfer.ts"

/**
 * All that is known of the file, with the kernel's field names.
 *
 * Can wait for a disk or server. Manual page: statx(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File } from "effect-linux"
 *
 * const modified = Effect.gen(function* () {
 *   const file = yield* File.open("/etc/hostname", { pathOnly: true })
 *   const { stx_mtime } = yield* File.stat(file)
 *   return stx_mtime.tv_sec
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category metadata
 * @since 0.1.0
 */
export const stat = (file: File<unknown>): Effect.Effect<Abi.statx, errors.StatxError> =>
  runOn(
    own(file),
    describe.statx(own(file).fd, "", constants.AT_EMPTY_PATH, constants.STATX_BASIC_STATS | constants.STATX_BTIME)
  )

/**
 * Makes the file `length` bytes long, by cutting it or by zeros at its end.
 *
 * Can wait for a disk. Manual page: ftruncate(2).
 *
 * @category metadata
 * @since 0.1.0
 */
export const truncate = (file: File<unknown>, length: number | bigint): Effect.Effect<void, errors.FtruncateError> =>
  runOn(own(file), describe.ftruncate(own(file).fd, length))

/**
 * Waits until contents and metadata are on the disk.
 *
 * Blocks; interruptible. Manual page: fsync(2).
 *
 * @category metadata
 * @since 0.1.0
 */
export const sync = (file: File<unknown>): Effect.Effect<void, errors.FsyncError> =>
  runOn(own(file), describe.fsync(own(file).fd))

/**
 * Waits until the contents are on the disk, and what of the metadata is needed to read them.
 *
 * Blocks; interruptible. Manual page: fdatasync(2).
 *
 * @category metadata
 * @since 0.1.0
 */
export const dataSync = (file: File<unknown>): Effect.Effect<void, errors.FdatasyncError> =>
  runOn(own(file), describe.fdatasync(own(file).fd))

/**
 * An entry of a directory.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  /** The name; its bytes where they are no UTF-8. */
  readonly name: string | Uint8Array
  /** What it is; unknown where the file system does not say. */
  readonly type:
    | "file"
    | "directory"
    | "symbolicLink"
    | "fifo"
    | "socket"
    | "characterDevice"
    | "blockDevice"
    | "unknown"
  readonly inode: bigint
}

const entryTypes: { readonly [type: number]: Entry["type"] } = {
  [constants.DT_REG]: "file",
  [constants.DT_DIR]: "directory",
  [constants.DT_LNK]: "symbolicLink",
  [constants.DT_FIFO]: "fifo",
  [constants.DT_SOCK]: "socket",
  [constants.DT_CHR]: "characterDevice",
  [constants.DT_BLK]: "blockDevice"
}

const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const decodeName = (bytes: Uint8Array): string | Uint8Array => {
  try {
    return strictDecoder.decode(bytes)
  } catch {
    return bytes
  }
}

const entryOf = ({ d_ino, d_name, d_type }: Syscall.Dirent): Entry => ({
  name: decodeName(d_name),
  type: entryTypes[d_type] ?? "unknown",
  inode: d_ino
})

const entriesAtOnce = 32 * 1024

/**
 * The entries of a directory, in the file system's order, without `.` and `..`.
 *
 * Each run of the stream starts at the beginning; two at a time on one `File` share its offset and get in each other's
 * way. Can wait for a disk or server. Manual page: getdents64(2).
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { File } from "effect-linux"
 *
 * const names = Effect.gen(function* () {
 *   const directory = yield* File.open("/etc", { directory: true })
 *   return yield* Stream.runCollect(Stream.map(File.entries(directory), ({ name }) => name))
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category directories
 * @since 0.1.0
 */
export const entries = (directory: File<unknown>): Stream.Stream<Entry, errors.Getdents64Error | errors.LseekError> =>
  Stream.unwrap(
    Effect.as(
      seek(directory, Seek.start(0)),
      Stream.paginate(undefined, () => {
        const buffer = new Uint8Array(entriesAtOnce)
        return Effect.map(runOn(own(directory), describe.getdents64(own(directory).fd, buffer)), (length) => {
          const found = Syscall.dirents(buffer, length)
            .map(entryOf)
            .filter(({ name }) => name !== "." && name !== "..")
          return [found, length === 0 ? Option.none() : Option.some(undefined)] as const
        })
      })
    )
  )
