/**
 * Files in memory that have no name, and seals, which say what may never be done to them again: `memfd_create`.
 *
 * A `MemFd` is a `File` that can be read, written, mapped, and passed to other processes. One that is sealed against
 * shrinking and writing can be mapped without fear of who else holds it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as errors from "./errors/calls.ts"
import { codes } from "./errors/errnos.ts"
import type { File } from "./File.ts"
import { stat } from "./file/metadata.ts"
import { adopt, own } from "./file/model.ts"
import { bitsOf, codeOf, wordsOf } from "./file/words.ts"
import * as Ioctl from "./Ioctl.ts"
import { type PathLike, pathBytes } from "./internal/arguments.ts"
import * as constants from "./internal/constants.ts"
import { runOn } from "./internal/descriptor.ts"
import { Misuse, onThisThread } from "./internal/invoke.ts"
import * as Syscall from "./Syscall.ts"
import * as describe from "./syscall/descriptions.ts"

/**
 * The kind of file: `File.asDevice(file, MemFd.device)` makes a `MemFd` of one that came from elsewhere.
 *
 * @category models
 * @since 0.1.0
 */
export const device = Ioctl.device("MemFd")

/**
 * A file in memory.
 *
 * @category models
 * @since 0.1.0
 */
export interface MemFd extends File<typeof device> {}

/**
 * What can be forbidden, for good: `shrink` and `grow` its length, `write` to it at all, `futureWrite` by other mappings
 * than those there are (since Linux 5.1), changing whether it is `exec`utable (since 6.3), and `seal` any further.
 *
 * @category models
 * @since 0.1.0
 */
export type Seal = "seal" | "shrink" | "grow" | "write" | "futureWrite" | "exec"

// Since 6.3, younger than the headers of the constants' table.
const F_SEAL_EXEC = 0x20

const seals: { readonly [S in Seal]: number } = {
  seal: constants.F_SEAL_SEAL,
  shrink: constants.F_SEAL_SHRINK,
  grow: constants.F_SEAL_GROW,
  write: constants.F_SEAL_WRITE,
  futureWrite: constants.F_SEAL_FUTURE_WRITE,
  exec: F_SEAL_EXEC
}

/**
 * The sizes of huge pages. Which of them there are depends on the machine; `default` is in `/proc/meminfo`.
 *
 * @category models
 * @since 0.1.0
 */
export type HugePages =
  | "default"
  | "64KB"
  | "512KB"
  | "1MB"
  | "2MB"
  | "8MB"
  | "16MB"
  | "32MB"
  | "256MB"
  | "512MB"
  | "1GB"
  | "2GB"
  | "16GB"

const hugePages: { readonly [Size in HugePages]: number } = {
  default: 0,
  "64KB": constants.MFD_HUGE_64KB,
  "512KB": constants.MFD_HUGE_512KB,
  "1MB": constants.MFD_HUGE_1MB,
  "2MB": constants.MFD_HUGE_2MB,
  "8MB": constants.MFD_HUGE_8MB,
  "16MB": constants.MFD_HUGE_16MB,
  "32MB": constants.MFD_HUGE_32MB,
  "256MB": constants.MFD_HUGE_256MB,
  "512MB": constants.MFD_HUGE_512MB,
  "1GB": constants.MFD_HUGE_1GB,
  "2GB": constants.MFD_HUGE_2GB,
  "16GB": constants.MFD_HUGE_16GB
}

/**
 * How a file in memory is made.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Whether seals can be added: `MFD_ALLOW_SEALING`. False: a new file then has the seal `seal`. */
  readonly allowSealing?: boolean | undefined
  /** Its length in bytes, all zeros: 0 unless said. With huge pages a multiple of their size. */
  readonly size?: number | bigint | undefined
  /** Keep it in huge pages of this size: `MFD_HUGETLB`. */
  readonly hugePages?: HugePages | undefined
  /**
   * Whether it may be executed: `MFD_EXEC`, or `MFD_NOEXEC_SEAL`, which seals that with `exec`. Since Linux 6.3; where
   * nothing is said the system decides.
   */
  readonly executable?: boolean | undefined
}

const flagsOf = ({ allowSealing = false, executable, hugePages: huge }: Options): number =>
  (constants.MFD_CLOEXEC |
    (allowSealing ? constants.MFD_ALLOW_SEALING : 0) |
    (executable === undefined ? 0 : executable ? constants.MFD_EXEC : constants.MFD_NOEXEC_SEAL) |
    (huge === undefined ? 0 : constants.MFD_HUGETLB | codeOf("hugePages", hugePages, huge))) >>>
  0

const setLength = (file: File<unknown>, length: number | bigint): Effect.Effect<void, errors.FtruncateError> =>
  runOn(own(file), describe.ftruncate(own(file).fd, length))

/** The longest name that the kernel takes, in bytes. */
const longestName = 249

/**
 * Makes a file in memory, for as long as it is open or mapped somewhere. The name, of at most 249 bytes, only shows in
 * `/proc`; others may have the same.
 *
 * With `executable: false` seals can be added also where nothing is said of it. Does not block. Manual page:
 * memfd_create(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File, MemFd } from "effect-linux"
 *
 * // memory that can be given away: nobody can change it any more
 * const frozen = (bytes: Uint8Array) =>
 *   Effect.gen(function* () {
 *     const memory = yield* MemFd.make("frozen", { allowSealing: true })
 *     yield* File.writeAll(memory, bytes)
 *     yield* MemFd.addSeals(memory, ["shrink", "grow", "write", "seal"])
 *     return memory
 *   })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  name: PathLike,
  options: Options = {}
): Effect.Effect<MemFd, errors.MemfdCreateError | errors.FtruncateError, Scope.Scope> => {
  const { size } = options
  const file: Effect.Effect<MemFd, errors.MemfdCreateError, Scope.Scope> = Effect.suspend(() =>
    adopt<typeof device, errors.MemfdCreateError>({
      errors: errors.memfd_create,
      nr: Syscall.nr.memfd_create,
      prepare: () => {
        const bytes = pathBytes("name", name)
        if (bytes.length > longestName + 1) {
          throw new Misuse(codes.EINVAL, `name: ${bytes.length - 1} bytes, and the kernel takes ${longestName}`)
        }
        return [bytes, flagsOf(options)]
      },
      decode: Number,
      options: onThisThread,
      subject: { path: name }
    })
  )
  return size === undefined ? file : Effect.tap(file, (self) => setLength(self, size))
}

/**
 * Makes a file in memory that not even the kernel reads: `memfd_secret`. It can be mapped, `shared`, and not be read or
 * written; its length is set once.
 *
 * Fails with `ENOSYS` where the system has it switched off. Since Linux 5.14. Manual page: memfd_secret(2).
 *
 * @category constructors
 * @since 0.1.0
 */
export const secret = (
  size: number | bigint
): Effect.Effect<File, errors.MemfdSecretError | errors.FtruncateError, Scope.Scope> =>
  Effect.tap(
    adopt<Ioctl.AnyDevice, errors.MemfdSecretError>({
      errors: errors.memfd_secret,
      nr: Syscall.nr.memfd_secret,
      prepare: () => [constants.O_CLOEXEC],
      decode: Number,
      options: onThisThread
    }),
    (self) => setLength(self, size)
  )

/**
 * Forbids something for good, for all who hold the file. A mask of `F_SEAL_*` will do too.
 *
 * Fails with `EPERM` where the file is sealed against that or was made without `allowSealing`, and with `EBUSY` for
 * `write` while a shared mapping of it can be written. Manual page: fcntl(2), `F_ADD_SEALS`.
 *
 * @category seals
 * @since 0.1.0
 */
export const addSeals = (memory: MemFd, what: ReadonlyArray<Seal> | number): Effect.Effect<void, errors.FcntlError> =>
  Effect.suspend(() =>
    Effect.asVoid(
      runOn(own(memory), {
        ...describe.fcntl(own(memory).fd, constants.F_ADD_SEALS, 0),
        prepare: () => [own(memory).fd, constants.F_ADD_SEALS, bitsOf("what", seals, what)]
      })
    )
  )

/**
 * What is forbidden. Manual page: fcntl(2), `F_GET_SEALS`.
 *
 * @category seals
 * @since 0.1.0
 */
export const getSeals = (memory: MemFd): Effect.Effect<ReadonlyArray<Seal>, errors.FcntlError> =>
  Effect.suspend(() =>
    Effect.map(runOn(own(memory), describe.fcntl(own(memory).fd, constants.F_GET_SEALS, 0)), (bits) =>
      wordsOf(seals, bits)
    )
  )

/**
 * The file's length in bytes. `File.truncate` changes it.
 *
 * @category seals
 * @since 0.1.0
 */
export const size = (memory: MemFd): Effect.Effect<bigint, errors.StatxError> =>
  Effect.map(stat(memory), ({ stx_size }) => stx_size)
