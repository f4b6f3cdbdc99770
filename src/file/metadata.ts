/**
 * What is known of a file: status, times, permissions, owner, and the file system that it is on. Of an open file, or of
 * one by its path from a directory, which may be {@link cwd}.
 */
import * as Effect from "effect/Effect"
import type * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { codes, type EBADF } from "../errors/errnos.ts"
import type { PathLike } from "../internal/arguments.ts"
import * as constants from "../internal/constants.ts"
import { runOn } from "../internal/descriptor.ts"
import { Misuse, onThisThread } from "../internal/invoke.ts"
import * as Syscall from "../Syscall.ts"
import * as describe from "../syscall/descriptions.ts"
import { cwd, type File, own } from "./model.ts"
import { refusedMode, refusedOwners } from "./permissions.ts"

/**
 * Whether a path that ends in a symbolic link means the file that it leads to.
 *
 * @category models
 * @since 0.1.0
 */
export interface FollowOptions {
  /** True unless said; else the path means the link itself. */
  readonly followLinks?: boolean | undefined
}

/** The flag of most calls that says so. */
const noFollow = ({ followLinks = true }: FollowOptions): number => (followLinks ? 0 : constants.AT_SYMLINK_NOFOLLOW)

const { STATX_BASIC_STATS, STATX_BTIME, STATX_DIOALIGN, STATX_MNT_ID } = constants
const everything = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID | STATX_DIOALIGN

/**
 * All that is known of the file, with the kernel's field names. `stx_mask` says which fields the file system filled in.
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
  runOn(own(file), describe.statx(own(file).fd, "", constants.AT_EMPTY_PATH, everything))

const synchronisations = {
  asFileSystem: constants.AT_STATX_SYNC_AS_STAT,
  force: constants.AT_STATX_FORCE_SYNC,
  never: constants.AT_STATX_DONT_SYNC
}

/**
 * All that is known of a file by its path from a directory. `synchronise` says whether a file system on another machine is
 * asked anew.
 *
 * Can wait for a disk or server. Manual page: statx(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File } from "effect-linux"
 *
 * const size = Effect.map(File.statAt(File.cwd, "/etc/hostname"), ({ stx_size }) => stx_size)
 * ```
 *
 * @category metadata
 * @since 0.1.0
 */
export const statAt = (
  directory: File<unknown>,
  path: PathLike,
  options: FollowOptions & {
    readonly synchronise?: "asFileSystem" | "force" | "never" | undefined
  } = {}
): Effect.Effect<Abi.statx, errors.StatxError> =>
  Effect.suspend(() => {
    const flags = noFollow(options) | synchronisations[options.synchronise ?? "asFileSystem"]
    return runOn(own(directory), describe.statx(own(directory).fd, path, flags, everything))
  })

/**
 * What is known of the file system that the file is on: its type, its size, what is free.
 *
 * Can wait for a disk or server. Manual page: statfs(2).
 *
 * @category metadata
 * @since 0.1.0
 */
export const statfs = (file: File<unknown>): Effect.Effect<Abi.statfs, errors.FstatfsError> =>
  runOn(own(file), describe.fstatfs(own(file).fd))

// ---------------------------------------------------------------------------------------------------------------------
// times
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A time of a file in nanoseconds since 1970: what {@link stat} tells in seconds and the rest of one.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File } from "effect-linux"
 *
 * const born = Effect.map(File.statAt(File.cwd, "/etc/hostname"), ({ stx_btime }) => File.nanoseconds(stx_btime))
 * ```
 *
 * @category metadata
 * @since 0.1.0
 */
export const nanoseconds = ({ tv_nsec, tv_sec }: Abi.statx_timestamp): bigint =>
  tv_sec * 1_000_000_000n + BigInt(tv_nsec)

/**
 * A time to give to a file: seconds and nanoseconds since 1970 (as {@link stat} tells them, too), a `Date`, or the present.
 *
 * @category models
 * @since 0.1.0
 */
export type Time = { readonly tv_sec: bigint; readonly tv_nsec: number | bigint } | Date | "now"

/**
 * The times of a file that are to be set; what is not said stays as it is.
 *
 * @category models
 * @since 0.1.0
 */
export interface Times {
  readonly accessed?: Time | undefined
  readonly modified?: Time | undefined
}

const timespec = (name: string, time: Time | undefined) => (): Abi.timespec => {
  if (time === undefined) return { tv_sec: 0n, tv_nsec: BigInt(constants.UTIME_OMIT) }
  if (time === "now") return { tv_sec: 0n, tv_nsec: BigInt(constants.UTIME_NOW) }
  if (!(time instanceof Date)) {
    const { tv_nsec, tv_sec } = time
    if (typeof tv_nsec === "number" && !Number.isInteger(tv_nsec)) {
      throw new Misuse(codes.EINVAL, `${name}.tv_nsec: ${tv_nsec} is no integer`)
    }
    return { tv_sec, tv_nsec: BigInt(tv_nsec) }
  }
  const milliseconds = time.getTime()
  if (Number.isNaN(milliseconds)) throw new Misuse(codes.EINVAL, `${name}: an invalid Date is no time`)
  const seconds = Math.floor(milliseconds / 1000)
  return { tv_sec: BigInt(seconds), tv_nsec: BigInt(milliseconds - seconds * 1000) * 1_000_000n }
}

const bothTimes = ({ accessed, modified }: Times) =>
  [timespec("accessed", accessed), timespec("modified", modified)] as const

/**
 * Sets the times of last access and last change of the contents.
 *
 * Can wait for a disk or server. Manual page: utimensat(2).
 *
 * @category metadata
 * @since 0.1.0
 */
export const setTimes = (file: File<unknown>, times: Times): Effect.Effect<void, errors.UtimensatError> =>
  Effect.suspend(() => runOn(own(file), describe.utimensat(own(file).fd, null, bothTimes(times), 0)))

/**
 * Sets the times of a file by its path from a directory.
 *
 * Can wait for a disk or server. Manual page: utimensat(2).
 *
 * @category metadata
 * @since 0.1.0
 */
export const setTimesAt = (
  directory: File<unknown>,
  path: PathLike,
  times: Times,
  options: FollowOptions = {}
): Effect.Effect<void, errors.UtimensatError> =>
  Effect.suspend(() => {
    const owner = own(directory)
    return runOn(owner, describe.utimensat(owner.fd, path, bothTimes(times), noFollow(options)))
  })

// ---------------------------------------------------------------------------------------------------------------------
// permissions and owners
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Sets the permissions of the file.
 *
 * Can wait for a disk or server. Manual page: chmod(2).
 *
 * @category metadata
 * @since 0.1.0
 */
export const chmod = (file: File<unknown>, mode: number): Effect.Effect<void, errors.FchmodError> =>
  Effect.suspend(() => refusedMode(errors.fchmod, mode) ?? runOn(own(file), describe.fchmod(own(file).fd, mode)))

/**
 * Sets the permissions of a file by its path from a directory.
 *
 * With `followLinks: false` (Linux 6.6) a symbolic link itself is meant, and most file systems answer `EOPNOTSUPP`.
 * Can wait for a disk or server. Manual page: chmod(2).
 *
 * @category metadata
 * @since 0.1.0
 */
export const chmodAt = (
  directory: File<unknown>,
  path: PathLike,
  mode: number,
  options: FollowOptions = {}
): Effect.Effect<void, errors.FchmodatError | errors.Fchmodat2Error> =>
  Effect.suspend((): Effect.Effect<void, errors.FchmodatError | errors.Fchmodat2Error> => {
    const owner = own(directory)
    const flags = noFollow(options)
    const refused = refusedMode(errors.fchmodat, mode, path)
    if (refused !== undefined) return refused
    return flags === 0
      ? runOn(owner, describe.fchmodat(owner.fd, path, mode))
      : runOn(owner, describe.fchmodat2(owner.fd, path, mode, flags))
  })

/**
 * Whom a file is to belong to; what is not said stays as it is.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ownership {
  readonly uid?: number | undefined
  readonly gid?: number | undefined
}

// -1 means to the kernel that it stays.
const keep = -1

/**
 * Sets owner and group of the file.
 *
 * Can wait for a disk or server. Manual page: chown(2).
 *
 * @category metadata
 * @since 0.1.0
 */
export const chown = (file: File<unknown>, owners: Ownership): Effect.Effect<void, errors.FchownatError> =>
  Effect.suspend(() => {
    const { gid = keep, uid = keep } = owners
    return (
      refusedOwners(errors.fchownat, owners) ??
      runOn(own(file), describe.fchownat(own(file).fd, "", uid, gid, constants.AT_EMPTY_PATH))
    )
  })

/**
 * Sets owner and group of a file by its path from a directory.
 *
 * Can wait for a disk or server. Manual page: chown(2).
 *
 * @category metadata
 * @since 0.1.0
 */
export const chownAt = (
  directory: File<unknown>,
  path: PathLike,
  owners: Ownership,
  options: FollowOptions = {}
): Effect.Effect<void, errors.FchownatError> =>
  Effect.suspend(() => {
    const { gid = keep, uid = keep } = owners
    return (
      refusedOwners(errors.fchownat, owners, path) ??
      runOn(own(directory), describe.fchownat(own(directory).fd, path, uid, gid, noFollow(options)))
    )
  })

/**
 * What one wants to do with a file. Nothing but its being there is asked where nothing is true.
 *
 * @category models
 * @since 0.1.0
 */
export interface AccessOptions extends FollowOptions {
  readonly execute?: boolean | undefined
  readonly read?: boolean | undefined
  readonly write?: boolean | undefined
  /** Whether the effective user and group are meant, who open files; else the real ones. True unless said. */
  readonly effective?: boolean | undefined
}

/**
 * Succeeds where this process may do with a file what is asked for, and fails with why not.
 *
 * What is true now need not be later: to use the file, open it and see. Can wait for a disk or server. Since Linux 5.8.
 * Manual page: access(2).
 *
 * @category paths
 * @since 0.1.0
 */
export const access = (path: PathLike, options: AccessOptions = {}): Effect.Effect<void, errors.Faccessat2Error> =>
  accessAt(cwd, path, options)

/**
 * The same as {@link access} for a path from a directory.
 *
 * @category paths
 * @since 0.1.0
 */
export const accessAt = (
  directory: File<unknown>,
  path: PathLike,
  options: AccessOptions = {}
): Effect.Effect<void, errors.Faccessat2Error> =>
  Effect.suspend(() => {
    const { effective = true, execute = false, read = false, write = false } = options
    const mode = (execute ? constants.X_OK : 0) | (read ? constants.R_OK : 0) | (write ? constants.W_OK : 0)
    const flags = noFollow(options) | (effective ? constants.AT_EACCESS : 0)
    return runOn(own(directory), describe.faccessat2(own(directory).fd, path, mode, flags))
  })

/**
 * Whether there is a file of this path: false for `ENOENT` and `ENOTDIR`, all other errors are told.
 *
 * A symbolic link that leads nowhere is not there, unless `followLinks: false`. Can wait for a disk or server.
 * Manual page: statx(2).
 *
 * @category paths
 * @since 0.1.0
 */
export const exists = (
  path: PathLike,
  options: FollowOptions = {}
): Effect.Effect<boolean, Exclude<errors.StatxError, { readonly _tag: "ENOENT" | "ENOTDIR" }>> =>
  existsAt(cwd, path, options)

/**
 * The same as {@link exists} for a path from a directory.
 *
 * @category paths
 * @since 0.1.0
 */
export const existsAt = (
  directory: File<unknown>,
  path: PathLike,
  options: FollowOptions = {}
): Effect.Effect<boolean, Exclude<errors.StatxError, { readonly _tag: "ENOENT" | "ENOTDIR" }>> =>
  Effect.suspend(() =>
    runOn(own(directory), describe.statx(own(directory).fd, path, noFollow(options), constants.STATX_TYPE))
  ).pipe(
    Effect.as(true),
    Effect.catchTags({ ENOENT: () => Effect.succeed(false), ENOTDIR: () => Effect.succeed(false) })
  )

/** What terminals know: the same number on x86_64, aarch64 and riscv64. */
const TCGETS = 0x5401
/** More than `struct termios` has. */
const termiosRoom = 64

/**
 * Whether the file is a terminal.
 *
 * Does not block. Manual page: isatty(3).
 *
 * @category metadata
 * @since 0.1.0
 */
export const isTerminal = (file: File<unknown>): Effect.Effect<boolean, EBADF> =>
  Effect.suspend(() => {
    const self = own(file)
    const asking = runOn(self, {
      errors: errors.ioctl,
      nr: Syscall.nr.ioctl,
      prepare: () => [self.fd, TCGETS, new Uint8Array(termiosRoom)],
      decode: () => true,
      options: onThisThread,
      subject: { fd: self.fd }
    })
    return Effect.catch(asking, (error) => (error._tag === "EBADF" ? Effect.fail(error) : Effect.succeed(false)))
  })
