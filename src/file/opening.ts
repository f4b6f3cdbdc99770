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
import { adopt, closeNow, type File, hold, own } from "./model.ts"

/**
 * How a file is opened, in words. All are false unless said, but `closeOnExec`.
 *
 * `mode`, the permissions of a file that is created, cut by the umask, is asked for exactly where the options can create
 * one.
 *
 * @category models
 * @since 0.1.0
 */
export type OpenOptions = {
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
} & (
  | { readonly create?: false | undefined; readonly tempFile?: false | undefined; readonly mode?: never }
  | { readonly create: boolean; readonly tempFile?: boolean | undefined; readonly mode: number }
  | { readonly create?: boolean | undefined; readonly tempFile: boolean; readonly mode: number }
)

const accessFlags = { read: constants.O_RDONLY, write: constants.O_WRONLY, readWrite: constants.O_RDWR }

const words: ReadonlyArray<readonly [keyof OpenOptions, number]> = [
  ["append", constants.O_APPEND],
  ["create", constants.O_CREAT],
  ["directory", constants.O_DIRECTORY],
  ["direct", constants.O_DIRECT],
  ["dataSync", constants.O_DSYNC],
  ["exclusive", constants.O_EXCL],
  ["noAtime", constants.O_NOATIME],
  ["noControllingTty", constants.O_NOCTTY],
  ["noFollow", constants.O_NOFOLLOW],
  ["nonBlocking", constants.O_NONBLOCK],
  ["pathOnly", constants.O_PATH],
  ["sync", constants.O_SYNC],
  ["tempFile", constants.O_TMPFILE],
  ["truncate", constants.O_TRUNC]
]

const flagsOf = (options: OpenOptions): number => {
  const { access = "read", closeOnExec = true } = options
  const base = accessFlags[access]
  if (base === undefined) throw new TypeError(`access: expected "read", "write" or "readWrite", got ${String(access)}`)
  return words.reduce(
    (flags, [word, flag]) => (options[word] === true ? flags | flag : flags),
    base | (closeOnExec ? constants.O_CLOEXEC : 0)
  )
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
  Effect.suspend(() => adopt(describe.openat(constants.AT_FDCWD, path, flagsOf(options), options.mode ?? 0)))

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
    return adopt(describe.openat(owner.fd, path, flagsOf(options), options.mode ?? 0), owner)
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
    return self.closed ? closedError(self, onlyClosed) : Exit.succeed(self.fd)
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
export const release = (file: File<unknown>): Effect.Effect<number, EBADF> => retired(file, onlyClosed, Exit.succeed)

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
  Effect.suspend(() => adopt(describe.fcntl(own(file).fd, constants.F_DUPFD_CLOEXEC, 0), own(file), own(file).awaits))

/**
 * The same file, known to be a device of this kind: from here on it takes the kind's requests.
 *
 * Nothing is checked. A driver that makes something else of a request's number may overwrite memory.
 *
 * @category opening
 * @since 0.1.0
 */
export const asDevice = <D>(file: File<unknown>, _device: D): File<D> => own(file)
