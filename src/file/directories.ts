/**
 * Directories: what is in them, and making, naming and removing what is in them. A function whose name ends in `At` takes a
 * path that starts at a directory, the others one that starts at the working directory. Whole trees are in `walking.ts`.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as errors from "../errors/calls.ts"
import type { PathLike } from "../internal/arguments.ts"
import * as constants from "../internal/constants.ts"
import { type Descriptor, runOn } from "../internal/descriptor.ts"
import * as Syscall from "../Syscall.ts"
import * as describe from "../syscall/descriptions.ts"
import { cwd, type File, own } from "./model.ts"
import { decodeName, eachDirent } from "./names.ts"
import { refusedMode } from "./permissions.ts"
import { runOnBoth } from "./several.ts"
import { Seek, seek } from "./transfer.ts"

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
  readonly type: EntryType
  readonly inode: bigint
}

/**
 * What an entry of a directory is.
 *
 * @category models
 * @since 0.1.0
 */
export type EntryType =
  | "file"
  | "directory"
  | "symbolicLink"
  | "fifo"
  | "socket"
  | "characterDevice"
  | "blockDevice"
  | "unknown"

const entryTypes: ReadonlyArray<EntryType> = Array.from({ length: 16 }, (_, type) => {
  switch (type) {
    case constants.DT_REG:
      return "file"
    case constants.DT_DIR:
      return "directory"
    case constants.DT_LNK:
      return "symbolicLink"
    case constants.DT_FIFO:
      return "fifo"
    case constants.DT_SOCK:
      return "socket"
    case constants.DT_CHR:
      return "characterDevice"
    case constants.DT_BLK:
      return "blockDevice"
    default:
      return "unknown"
  }
})

/** The word of a type that `getdents64` tells; a mode has the same numbers in its upper bits. */
export const entryType = (type: number): EntryType => entryTypes[type] ?? "unknown"

/** What is read of a directory at once: some two thousand entries. */
export const direntBytes = 64 * 1024

/** The same of one that has shown to be large: what is made of it at once takes a few milliseconds. */
const manyDirentBytes = 256 * 1024

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
    Effect.gen(function* () {
      yield* seek(directory, Seek.start(0))
      const scope = yield* Effect.scope
      return Stream.fromPull(Effect.succeed(pullFrom(own(directory), scope)))
    })
  )

const pullFrom = (
  self: Descriptor,
  scope: Scope.Scope
): Pull.Pull<Arr.NonEmptyReadonlyArray<Entry>, errors.Getdents64Error> => {
  let buffer = new Uint8Array(direntBytes)
  let spare: Uint8Array<ArrayBuffer> | undefined
  let ahead: Fiber.Fiber<number, errors.Getdents64Error> | undefined
  const read = () => runOn(self, describe.getdents64(self.fd, buffer))
  const pull: Pull.Pull<Arr.NonEmptyReadonlyArray<Entry>, errors.Getdents64Error> = Effect.flatMap(
    Effect.suspend(() => (ahead === undefined ? read() : Fiber.join(ahead))),
    (length) => {
      ahead = undefined
      if (length === 0) return Cause.done()
      const full = buffer
      const found: Array<Entry> = []
      const decode = () =>
        eachDirent(full, 0, length, (name, type, inode) => found.push({ name, type: entryType(type), inode }))
      const tell = () => (Arr.isArrayNonEmpty(found) ? Effect.succeed(found) : pull)
      if (length <= full.length / 2) {
        decode()
        return tell()
      }
      // There is more, by all appearances: it is read while what there is is looked at.
      buffer = spare ?? new Uint8Array(manyDirentBytes)
      spare = full.length === manyDirentBytes ? full : undefined
      return Effect.flatMap(Effect.forkIn(read(), scope, { startImmediately: true }), (fiber) => {
        ahead = fiber
        decode()
        return tell()
      })
    }
  )
  return pull
}

// ---------------------------------------------------------------------------------------------------------------------
// making
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What a new directory, FIFO or device is to be.
 *
 * @category models
 * @since 0.1.0
 */
export interface ModeOptions {
  /** The permissions, cut by the umask. */
  readonly mode: number
}

/**
 * Makes a directory; fails with `EEXIST` where there is something of this name.
 *
 * Can wait for a disk or server. Manual page: mkdir(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File } from "effect-linux"
 *
 * const cache = Effect.catchTag(File.mkdir("/tmp/cache", { mode: 0o700 }), "EEXIST", () => Effect.void)
 * ```
 *
 * @category directories
 * @since 0.1.0
 */
export const mkdir = (path: PathLike, options: ModeOptions): Effect.Effect<void, errors.MkdiratError> =>
  mkdirAt(cwd, path, options)

/**
 * Makes a directory by a path from a directory: see {@link mkdir}.
 *
 * @category directories
 * @since 0.1.0
 */
export const mkdirAt = (
  directory: File<unknown>,
  path: PathLike,
  options: ModeOptions
): Effect.Effect<void, errors.MkdiratError> =>
  Effect.suspend(
    () =>
      refusedMode(errors.mkdirat, options.mode, path) ??
      runOn(own(directory), describe.mkdirat(own(directory).fd, path, options.mode))
  )

const nodeTypes = {
  file: constants.S_IFREG,
  fifo: constants.S_IFIFO,
  socket: constants.S_IFSOCK,
  characterDevice: constants.S_IFCHR,
  blockDevice: constants.S_IFBLK
}

/**
 * What {@link mknod} makes. Devices need the right to (`CAP_MKNOD`).
 *
 * @category models
 * @since 0.1.0
 */
export type NodeOptions = ModeOptions &
  (
    | { readonly type: "file" | "fifo" | "socket" }
    | { readonly type: "characterDevice" | "blockDevice"; readonly major: number; readonly minor: number }
  )

/**
 * Makes a file of any kind but directories and links; fails with `EEXIST` where there is something of this name.
 *
 * Can wait for a disk or server. Manual page: mknod(2).
 *
 * @category directories
 * @since 0.1.0
 */
export const mknod = (path: PathLike, options: NodeOptions): Effect.Effect<void, errors.MknodatError> =>
  mknodAt(cwd, path, options)

/**
 * Makes a file of any kind by a path from a directory: see {@link mknod}.
 *
 * @category directories
 * @since 0.1.0
 */
export const mknodAt = (
  directory: File<unknown>,
  path: PathLike,
  options: NodeOptions
): Effect.Effect<void, errors.MknodatError> =>
  Effect.suspend(() => {
    const { mode, type } = options
    const kind = nodeTypes[type]
    if (kind === undefined) throw new TypeError(`type: no such type: ${String(type)}`)
    const refused = refusedMode(errors.mknodat, mode, path)
    if (refused !== undefined) return refused
    const device = () => ("major" in options ? Syscall.makedev(options.major, options.minor) : 0)
    return runOn(own(directory), describe.mknodat(own(directory).fd, path, kind + mode, device))
  })

/**
 * Makes a FIFO, a pipe with a name; fails with `EEXIST` where there is something of this name.
 *
 * Can wait for a disk or server. Manual page: mkfifo(3).
 *
 * @category directories
 * @since 0.1.0
 */
export const mkfifo = (path: PathLike, options: ModeOptions): Effect.Effect<void, errors.MknodatError> =>
  mkfifoAt(cwd, path, options)

/**
 * Makes a FIFO by a path from a directory: see {@link mkfifo}.
 *
 * @category directories
 * @since 0.1.0
 */
export const mkfifoAt = (
  directory: File<unknown>,
  path: PathLike,
  options: ModeOptions
): Effect.Effect<void, errors.MknodatError> =>
  Effect.suspend(() => mknodAt(directory, path, { type: "fifo", mode: options.mode }))

// ---------------------------------------------------------------------------------------------------------------------
// links
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Whether a symbolic link is to be given another name itself, or the file that it leads to.
 *
 * @category models
 * @since 0.1.0
 */
export interface LinkOptions {
  /** False unless said: the link itself gets another name. */
  readonly followLinks?: boolean | undefined
}

/**
 * Gives a file another name on the same file system; fails with `EEXIST` where the name is taken.
 *
 * Can wait for a disk or server. Manual page: link(2).
 *
 * @category directories
 * @since 0.1.0
 */
export const link = (
  existing: PathLike,
  path: PathLike,
  options: LinkOptions = {}
): Effect.Effect<void, errors.LinkatError> => linkAt(cwd, existing, cwd, path, options)

/**
 * Gives a file another name, both by paths from directories: see {@link link}.
 *
 * @category directories
 * @since 0.1.0
 */
export const linkAt = (
  existingDirectory: File<unknown>,
  existing: PathLike,
  directory: File<unknown>,
  path: PathLike,
  options: LinkOptions = {}
): Effect.Effect<void, errors.LinkatError> =>
  Effect.suspend(() => {
    const flags = options.followLinks === true ? constants.AT_SYMLINK_FOLLOW : 0
    const from = own(existingDirectory)
    const to = own(directory)
    return runOnBoth(from, to, describe.linkat(from.fd, existing, to.fd, path, flags))
  })

/**
 * Makes a symbolic link at `path` that leads to `target`, which need not be there; fails with `EEXIST` where the name is
 * taken.
 *
 * Can wait for a disk or server. Manual page: symlink(2).
 *
 * @category directories
 * @since 0.1.0
 */
export const symlink = (target: PathLike, path: PathLike): Effect.Effect<void, errors.SymlinkatError> =>
  symlinkAt(target, cwd, path)

/**
 * Makes a symbolic link by a path from a directory: see {@link symlink}.
 *
 * @category directories
 * @since 0.1.0
 */
export const symlinkAt = (
  target: PathLike,
  directory: File<unknown>,
  path: PathLike
): Effect.Effect<void, errors.SymlinkatError> =>
  runOn(own(directory), describe.symlinkat(target, own(directory).fd, path))

/**
 * Where a symbolic link leads; bytes where that is no UTF-8.
 *
 * Can wait for a disk or server. Manual page: readlink(2).
 *
 * @category directories
 * @since 0.1.0
 */
export const readlink = (path: PathLike): Effect.Effect<string | Uint8Array, errors.ReadlinkatError> =>
  readlinkAt(cwd, path)

/**
 * Where a symbolic link leads, by a path from a directory; `""` means the directory's own `File`, where that is a link which
 * was opened with `pathOnly` and `noFollow`.
 *
 * Can wait for a disk or server. Manual page: readlink(2).
 *
 * @category directories
 * @since 0.1.0
 */
export const readlinkAt = (
  directory: File<unknown>,
  path: PathLike
): Effect.Effect<string | Uint8Array, errors.ReadlinkatError> =>
  Effect.map(runOn(own(directory), describe.readlinkat(own(directory).fd, path)), decodeName)

// ---------------------------------------------------------------------------------------------------------------------
// renaming and removing
// ---------------------------------------------------------------------------------------------------------------------

/**
 * How a file is renamed, in words: one of them at most. All are false unless said.
 *
 * @category models
 * @since 0.1.0
 */
export interface RenameOptions {
  /** Both are there and change their places: `RENAME_EXCHANGE`. */
  readonly exchange?: boolean | undefined
  /** Fail with `EEXIST` where the new name is taken: `RENAME_NOREPLACE`. */
  readonly noReplace?: boolean | undefined
  /** Leave a device 0:0 at the old name, as overlayfs wants it: `RENAME_WHITEOUT`. */
  readonly whiteout?: boolean | undefined
}

/**
 * Gives a file a new name on the same file system, in one step; what had the name before is gone.
 *
 * Can wait for a disk or server. Manual page: rename(2).
 *
 * @category directories
 * @since 0.1.0
 */
export const rename = (
  from: PathLike,
  to: PathLike,
  options: RenameOptions = {}
): Effect.Effect<void, errors.Renameat2Error> => renameAt(cwd, from, cwd, to, options)

/**
 * Gives a file a new name, both by paths from directories: see {@link rename}.
 *
 * @category directories
 * @since 0.1.0
 */
export const renameAt = (
  fromDirectory: File<unknown>,
  from: PathLike,
  toDirectory: File<unknown>,
  to: PathLike,
  options: RenameOptions = {}
): Effect.Effect<void, errors.Renameat2Error> =>
  Effect.suspend(() => {
    const { exchange = false, noReplace = false, whiteout = false } = options
    const flags =
      (exchange ? constants.RENAME_EXCHANGE : 0) |
      (noReplace ? constants.RENAME_NOREPLACE : 0) |
      (whiteout ? constants.RENAME_WHITEOUT : 0)
    const source = own(fromDirectory)
    const target = own(toDirectory)
    return runOnBoth(source, target, describe.renameat2(source.fd, from, target.fd, to, flags))
  })

/**
 * Takes a name away, and with the last one the file, once nobody has it open; fails with `EISDIR` for a directory.
 *
 * Can wait for a disk or server. Manual page: unlink(2).
 *
 * @category directories
 * @since 0.1.0
 */
export const unlink = (path: PathLike): Effect.Effect<void, errors.UnlinkatError> => unlinkAt(cwd, path)

/**
 * Takes a name away by a path from a directory: see {@link unlink}.
 *
 * @category directories
 * @since 0.1.0
 */
export const unlinkAt = (directory: File<unknown>, path: PathLike): Effect.Effect<void, errors.UnlinkatError> =>
  runOn(own(directory), describe.unlinkat(own(directory).fd, path, 0))

/**
 * Removes a directory; fails with `ENOTEMPTY` where something is in it.
 *
 * Can wait for a disk or server. Manual page: rmdir(2).
 *
 * @category directories
 * @since 0.1.0
 */
export const rmdir = (path: PathLike): Effect.Effect<void, errors.UnlinkatError> => rmdirAt(cwd, path)

/**
 * Removes a directory by a path from a directory: see {@link rmdir}.
 *
 * @category directories
 * @since 0.1.0
 */
export const rmdirAt = (directory: File<unknown>, path: PathLike): Effect.Effect<void, errors.UnlinkatError> =>
  runOn(own(directory), describe.unlinkat(own(directory).fd, path, constants.AT_REMOVEDIR))
