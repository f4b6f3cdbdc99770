/**
 * Getting a `File`, and giving it up.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as errors from "../errors/calls.ts"
import { EBADF } from "../errors/errnos.ts"
import type { CallErrors } from "../errors/registry.ts"
import type * as Ioctl from "../Ioctl.ts"
import type { PathLike } from "../internal/arguments.ts"
import * as constants from "../internal/constants.ts"
import { closedError, Descriptor, retire } from "../internal/descriptor.ts"
import * as Syscall from "../Syscall.ts"
import * as describe from "../syscall/descriptions.ts"
import { adopt, closeNow, cwd, type File, hold, own } from "./model.ts"
import { refusedMode } from "./permissions.ts"
import { runOnBoth } from "./several.ts"

/**
 * How a file is opened, in words, but for what creates one. All are false unless said, but `closeOnExec`.
 *
 * @category models
 * @since 0.1.0
 */
export interface OpenWords {
  /** What the file is opened for: `"read"` unless said. */
  readonly access?: "read" | "write" | "readWrite" | undefined
  /** Each write goes to the end: `O_APPEND`. */
  readonly append?: boolean | undefined
  /** The descriptor is closed in programs that this one executes: `O_CLOEXEC`. True unless said. */
  readonly closeOnExec?: boolean | undefined
  /** Fail if it is no directory: `O_DIRECTORY`. */
  readonly directory?: boolean | undefined
  /** Go around the page cache: `O_DIRECT`. */
  readonly direct?: boolean | undefined
  /** Writes wait for the disk, contents only: `O_DSYNC`. */
  readonly dataSync?: boolean | undefined
  /** Fail if the file is there already: `O_EXCL`. */
  readonly exclusive?: boolean | undefined
  /** Leave the access time: `O_NOATIME`. */
  readonly noAtime?: boolean | undefined
  /** A terminal does not become the controlling one: `O_NOCTTY`. */
  readonly noControllingTty?: boolean | undefined
  /** Fail if the last part of the path is a symbolic link: `O_NOFOLLOW`. */
  readonly noFollow?: boolean | undefined
  /** Answer `EAGAIN` rather than wait: `O_NONBLOCK`. */
  readonly nonBlocking?: boolean | undefined
  /** Only a reference to the path, not to the contents: `O_PATH`. */
  readonly pathOnly?: boolean | undefined
  /** Writes wait for the disk: `O_SYNC`. */
  readonly sync?: boolean | undefined
  /** Cut the file to length 0: `O_TRUNC`. */
  readonly truncate?: boolean | undefined
}

/**
 * How a file is opened, in words. All are false unless said, but `closeOnExec`.
 *
 * `mode`, the permissions of a file that is created, cut by the umask, is asked for exactly where the options can create
 * one.
 *
 * @category models
 * @since 0.1.0
 */
export type OpenOptions = OpenWords &
  (
    | { readonly create?: false | undefined; readonly tempFile?: false | undefined; readonly mode?: never }
    | { readonly create: boolean; readonly tempFile?: boolean | undefined; readonly mode: number }
    | { readonly create?: boolean | undefined; readonly tempFile: boolean; readonly mode: number }
  )

/**
 * What the path of {@link openAt2} may lead through. All are false unless said.
 *
 * @category models
 * @since 0.1.0
 */
export interface Resolve {
  /** Fail with `EXDEV` where the path leaves the directory: by `..`, by an absolute path or link. */
  readonly beneath?: boolean | undefined
  /** Only if all of the path is in the kernel's cache, else `EAGAIN`; not with `create`, `truncate`, `tempFile`. Linux 5.12. */
  readonly cached?: boolean | undefined
  /** The directory is the root: `/` and `..` lead no further, also those of links. */
  readonly inRoot?: boolean | undefined
  /** Fail with `ELOOP` at a link of the kind that `/proc` has, which leads where no path does. */
  readonly noMagicLinks?: boolean | undefined
  /** Fail with `ELOOP` at any symbolic link. */
  readonly noSymlinks?: boolean | undefined
  /** Fail with `EXDEV` where the path crosses to another mount. */
  readonly noXdev?: boolean | undefined
}

const resolveWords: ReadonlyArray<readonly [keyof Resolve, number]> = [
  ["beneath", constants.RESOLVE_BENEATH],
  ["cached", constants.RESOLVE_CACHED],
  ["inRoot", constants.RESOLVE_IN_ROOT],
  ["noMagicLinks", constants.RESOLVE_NO_MAGICLINKS],
  ["noSymlinks", constants.RESOLVE_NO_SYMLINKS],
  ["noXdev", constants.RESOLVE_NO_XDEV]
]

const accessFlags = { read: constants.O_RDONLY, write: constants.O_WRONLY, readWrite: constants.O_RDWR }

// Written out: looking each word up by a name takes as long as opening.
const flagsOf = (options: OpenOptions): number => {
  const { access = "read", closeOnExec = true } = options
  const base = accessFlags[access]
  if (base === undefined) throw new TypeError(`access: expected "read", "write" or "readWrite", got ${String(access)}`)
  let flags = closeOnExec ? base | constants.O_CLOEXEC : base
  if (options.append === true) flags |= constants.O_APPEND
  if (options.create === true) flags |= constants.O_CREAT
  if (options.directory === true) flags |= constants.O_DIRECTORY
  if (options.direct === true) flags |= constants.O_DIRECT
  if (options.dataSync === true) flags |= constants.O_DSYNC
  if (options.exclusive === true) flags |= constants.O_EXCL
  if (options.noAtime === true) flags |= constants.O_NOATIME
  if (options.noControllingTty === true) flags |= constants.O_NOCTTY
  if (options.noFollow === true) flags |= constants.O_NOFOLLOW
  if (options.nonBlocking === true) flags |= constants.O_NONBLOCK
  if (options.pathOnly === true) flags |= constants.O_PATH
  if (options.sync === true) flags |= constants.O_SYNC
  if (options.tempFile === true) flags |= constants.O_TMPFILE
  if (options.truncate === true) flags |= constants.O_TRUNC
  return flags
}

/**
 * Opens a file, for as long as the scope is open.
 *
 * Can wait, for a FIFO's other end or a slow device: on another thread, interruptibly. Manual page: openat(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File } from "effect-linux"
 *
 * const program = Effect.gen(function*() {
 *   const file = yield* File.open("/etc/hostname")
 *   return new TextDecoder().decode(yield* File.readAll(file))
 * }).pipe(
 *   Effect.scoped,
 *   Effect.catchTag("ENOENT", () => Effect.succeed("nameless"))
 * )
 * ```
 *
 * @category opening
 * @since 0.1.0
 */
export const open = (path: PathLike, options: OpenOptions = {}): Effect.Effect<File, errors.OpenatError, Scope.Scope> =>
  Effect.suspend(
    () =>
      refusedMode(errors.openat, options.mode, path) ??
      adopt(describe.openat(constants.AT_FDCWD, path, flagsOf(options), options.mode ?? 0))
  )

/**
 * Opens a file by a path that starts at a directory.
 *
 * Can wait, like {@link open}. Manual page: openat(2).
 *
 * @category opening
 * @since 0.1.0
 */
export const openAt = (
  directory: File<unknown>,
  path: PathLike,
  options: OpenOptions = {}
): Effect.Effect<File, errors.OpenatError, Scope.Scope> =>
  Effect.suspend(() => {
    const owner = own(directory)
    return (
      refusedMode(errors.openat, options.mode, path) ??
      adopt(describe.openat(owner.fd, path, flagsOf(options), options.mode ?? 0), owner)
    )
  })

/**
 * Opens a file by a path that starts at a directory and may not lead everywhere: `resolve` says where not.
 *
 * For paths that somebody else chose: with `resolve: { beneath: true }` or `inRoot` no file outside of the directory can be
 * opened, whatever `..` and links there are, and whoever changes them meanwhile. {@link cwd} stands for the working directory.
 *
 * Can wait, like {@link open}. `EAGAIN` with `beneath` and `inRoot` means that something was renamed at that moment: try
 * again. Since Linux 5.6. Manual page: openat2(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File } from "effect-linux"
 *
 * const served = (path: string) =>
 *   Effect.gen(function* () {
 *     const site = yield* File.open("/srv/www", { directory: true })
 *     const page = yield* File.openAt2(site, path, { resolve: { beneath: true, noMagicLinks: true } })
 *     return yield* File.readAll(page)
 *   }).pipe(Effect.scoped)
 * ```
 *
 * @category opening
 * @since 0.1.0
 */
export const openAt2 = (
  directory: File<unknown>,
  path: PathLike,
  options: OpenOptions & { readonly resolve?: Resolve | undefined } = {}
): Effect.Effect<File, errors.Openat2Error, Scope.Scope> =>
  Effect.suspend(() => {
    const owner = own(directory)
    const { mode = 0, resolve = {} } = options
    const bits = resolveWords.reduce((bits, [word, bit]) => (resolve[word] === true ? bits | bit : bits), 0)
    const refused = refusedMode(errors.openat2, mode, path)
    if (refused !== undefined) return refused
    const how = { flags: BigInt(flagsOf(options) >>> 0), mode: BigInt(mode), resolve: BigInt(bits) }
    return adopt(describe.openat2(owner.fd, path, how), owner)
  })

/**
 * How a file is created, in words: see {@link create}.
 *
 * @category models
 * @since 0.1.0
 */
export interface CreateOptions extends Omit<OpenWords, "access" | "directory" | "pathOnly"> {
  /** What the file is opened for: `"write"` unless said. */
  readonly access?: "write" | "readWrite" | undefined
  /** The permissions of the file, where it is new; cut by the umask. */
  readonly mode: number
}

/**
 * Creates a file, or cuts the one that is there to length 0 (unless `truncate: false`), and opens it for writing.
 *
 * Can wait, like {@link open}. Manual page: openat(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File } from "effect-linux"
 *
 * const note = Effect.gen(function* () {
 *   const file = yield* File.create("/tmp/note", { mode: 0o644 })
 *   yield* File.writeAll(file, new TextEncoder().encode("remember the milk"))
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category opening
 * @since 0.1.0
 */
export const create = (path: PathLike, options: CreateOptions): Effect.Effect<File, errors.OpenatError, Scope.Scope> =>
  createAt(cwd, path, options)

/**
 * Creates a file by a path that starts at a directory: see {@link create}.
 *
 * @category opening
 * @since 0.1.0
 */
export const createAt = (
  directory: File<unknown>,
  path: PathLike,
  options: CreateOptions
): Effect.Effect<File, errors.OpenatError, Scope.Scope> =>
  Effect.suspend(() => openAt(directory, path, { access: "write", truncate: true, ...options, create: true }))

/**
 * What a file without a name is to be.
 *
 * @category models
 * @since 0.1.0
 */
export interface TempFileOptions {
  /** What the file is opened for: `"readWrite"` unless said. */
  readonly access?: "write" | "readWrite" | undefined
  /** The descriptor is closed in programs that this one executes. True unless said. */
  readonly closeOnExec?: boolean | undefined
  /** Whether {@link linkInto} may give it a name. True unless said. */
  readonly linkable?: boolean | undefined
  /** The permissions of the file, cut by the umask. */
  readonly mode: number
}

/**
 * Creates a file without a name on the file system of a directory. It is gone when it is closed, however the process
 * ends, unless {@link linkInto} gave it a name.
 *
 * Fails with `EOPNOTSUPP` where the file system has no such files (overlayfs before Linux 6.1, FUSE before 6.2, NFS).
 * Can wait for a disk or server. Manual page: openat(2), `O_TMPFILE`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File } from "effect-linux"
 *
 * // readers see the whole new file or none
 * const publish = (bytes: Uint8Array) =>
 *   Effect.gen(function* () {
 *     const file = yield* File.tempFile("/var/tmp", { mode: 0o644 })
 *     yield* File.writeAll(file, bytes)
 *     yield* File.sync(file)
 *     yield* File.linkInto(file, "/var/tmp/report")
 *   }).pipe(Effect.scoped)
 * ```
 *
 * @category opening
 * @since 0.1.0
 */
export const tempFile = (
  directory: PathLike,
  options: TempFileOptions
): Effect.Effect<File, errors.OpenatError, Scope.Scope> => tempFileAt(cwd, directory, options)

/**
 * Creates a file without a name, in a directory by its path from another: see {@link tempFile}.
 *
 * @category opening
 * @since 0.1.0
 */
export const tempFileAt = (
  directory: File<unknown>,
  path: PathLike,
  options: TempFileOptions
): Effect.Effect<File, errors.OpenatError, Scope.Scope> =>
  Effect.suspend(() => {
    const { linkable = true, ...rest } = options
    return openAt(directory, path, { access: "readWrite", ...rest, exclusive: !linkable, tempFile: true })
  })

/**
 * Gives a file a name, or another one: a file of {@link tempFile}, or any open file of the same file system that has a name
 * still. Fails with `EEXIST` where the name is taken, and with `ENOENT` where the file has lost its last name.
 *
 * Needs `/proc`, or the right to link any file (`CAP_DAC_READ_SEARCH`). Can wait for a disk or server.
 * Manual page: linkat(2).
 *
 * @category opening
 * @since 0.1.0
 */
export const linkInto = (file: File<unknown>, path: PathLike): Effect.Effect<void, errors.LinkatError> =>
  linkIntoAt(file, cwd, path)

/**
 * Gives a file a name by a path that starts at a directory: see {@link linkInto}.
 *
 * @category opening
 * @since 0.1.0
 */
export const linkIntoAt = (
  file: File<unknown>,
  directory: File<unknown>,
  path: PathLike
): Effect.Effect<void, errors.LinkatError> =>
  Effect.suspend(() => {
    const self = own(file)
    const target = own(directory)
    const { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_FOLLOW } = constants
    const subject = { path }
    const byProc = describe.linkat(AT_FDCWD, `/proc/self/fd/${self.fd}`, target.fd, path, AT_SYMLINK_FOLLOW)
    const directly = describe.linkat(self.fd, "", target.fd, path, AT_EMPTY_PATH)
    return Effect.catchTag(
      // ENOENT is also what whoever may not link by descriptor is told.
      runOnBoth(self, target, { ...directly, subject }),
      "ENOENT",
      () => runOnBoth(self, target, { ...byProc, subject })
    )
  })

/**
 * What taking over a descriptor fails with: `EBADF` where there is none.
 *
 * @category errors
 * @since 0.1.0
 */
export type FromFdError = errors.FcntlError

/**
 * Takes over a descriptor that somebody else opened: from here on the scope closes it.
 *
 * Fails with `EBADF` where the number is no open descriptor, as closing it later could hit another file.
 *
 * @category opening
 * @since 0.1.0
 */
export const fromFd = (fd: number): Effect.Effect<File, errors.FcntlError, Scope.Scope> =>
  Effect.uninterruptible(Effect.flatMap(Syscall.fcntl(fd, constants.F_GETFD), () => hold<Ioctl.AnyDevice>(fd)))

/**
 * A `File` of a descriptor that stays its owner's, who must keep it open: nothing closes it here.
 *
 * Fails with `EBADF` where the number is no open descriptor.
 *
 * @category opening
 * @since 0.1.0
 */
export const borrow = (fd: number): Effect.Effect<File, errors.FcntlError> =>
  Effect.map(Syscall.fcntl(fd, constants.F_GETFD), () => new Descriptor(fd, false))

/** Where no call is made that could fail, the only error is that the file is closed. */
const onlyClosed: CallErrors<EBADF> = {
  syscall: "",
  documented: ["EBADF"],
  make: (_, path, fd, detail) => new EBADF({ path, fd, detail })
}

/**
 * The descriptor's number, to hand to a call that has no function here. It stays the file's: do not close it.
 *
 * @category opening
 * @since 0.1.0
 */
export const fd = (file: File<unknown>): Effect.Effect<number, EBADF> =>
  Effect.suspend(() => {
    const self = own(file)
    if (self.closed) return closedError(self, onlyClosed)
    self.shared = true
    return Exit.succeed(self.fd)
  })

/** Ends the use of a file and does one last thing with its number, which nobody else has then. */
const retired = <A, E, E2>(
  file: File<unknown>,
  errors: CallErrors<E>,
  last: (fd: number) => Effect.Effect<A, E2>
): Effect.Effect<A, E | E2> =>
  Effect.uninterruptible(
    Effect.suspend(() => {
      const self = own(file)
      return Effect.flatMap(
        retire(self),
        (mine): Effect.Effect<A, E | E2> => (mine ? last(self.fd) : closedError(self, errors))
      )
    })
  )

/**
 * Gives the descriptor away: the caller owns the number and must close it, the `File` is closed.
 *
 * @category opening
 * @since 0.1.0
 */
export const release = (file: File<unknown>): Effect.Effect<number, EBADF> =>
  retired(file, onlyClosed, (fd) => {
    own(file).shared = true
    return Exit.succeed(fd)
  })

/**
 * Closes the file now and not with its scope, and tells what the kernel says to it: an error of a write that was still
 * under way. The descriptor is gone also then. Of a borrowed one only the use ends.
 *
 * @category opening
 * @since 0.1.0
 */
export const close = (file: File<unknown>): Effect.Effect<void, errors.CloseError> =>
  retired(file, errors.close, () => (own(file).owned ? closeNow(own(file)) : Effect.void))

/**
 * A second descriptor of the same open file, which shares its offset, with a scope of its own.
 *
 * Does not block. Manual page: fcntl(2), `F_DUPFD_CLOEXEC`.
 *
 * @category opening
 * @since 0.1.0
 */
export const duplicate = <D>(file: File<D>): Effect.Effect<File<D>, errors.FcntlError, Scope.Scope> =>
  Effect.suspend(() => {
    const self = own(file)
    self.shared = true
    return adopt(describe.fcntl(self.fd, constants.F_DUPFD_CLOEXEC, 0), self, self.awaits)
  })

/**
 * The same file, known to be a device of this kind: from here on it takes the kind's requests.
 *
 * Nothing is checked. A driver that makes something else of a request's number may overwrite memory.
 *
 * @category opening
 * @since 0.1.0
 */
export const asDevice = <D>(file: File<unknown>, _device: D): File<D> => own(file)
