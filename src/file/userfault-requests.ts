/**
 * Descriptors that tell of page faults, and what is asked of them; what they tell is in `userfault-events.ts`.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import type {
  EAGAIN,
  EBADF,
  EBUSY,
  EEXIST,
  EFAULT,
  EINVAL,
  ENOENT,
  ENOMEM,
  ENOSPC,
  ENOTTY,
  EPERM,
  ESRCH
} from "../errors/errnos.ts"
import { errorsOf, type OtherErrno } from "../errors/registry.ts"
import type { File } from "../File.ts"
import * as Ioctl from "../Ioctl.ts"
import { bufferLength } from "../internal/arguments.ts"
import * as constants from "../internal/constants.ts"
import { runOn } from "../internal/descriptor.ts"
import { onThisThread } from "../internal/invoke.ts"
import * as Syscall from "../Syscall.ts"
import { memoryAt } from "../syscall/convert.ts"
import { ioctl } from "./device.ts"
import { adopt, own } from "./model.ts"
import { bitsOf, wordsOf } from "./words.ts"

/**
 * The kind of file: `File.asDevice(file, UserFaultFd.device)` says of a file that came from elsewhere, such as another
 * process, that it tells of page faults.
 *
 * @category models
 * @since 0.1.0
 */
export const device = Ioctl.device("UserFaultFd")

/**
 * What tells of page faults.
 *
 * @category models
 * @since 0.1.0
 */
export interface UserFaultFd extends File<typeof device> {}

/**
 * What can be asked of the kernel beside page faults of memory without pages: the words are those of `UFFD_FEATURE_*`.
 *
 * @category models
 * @since 0.1.0
 */
export type Feature = keyof typeof features

const features = {
  pagefaultFlagWp: constants.UFFD_FEATURE_PAGEFAULT_FLAG_WP,
  eventFork: constants.UFFD_FEATURE_EVENT_FORK,
  eventRemap: constants.UFFD_FEATURE_EVENT_REMAP,
  eventRemove: constants.UFFD_FEATURE_EVENT_REMOVE,
  missingHugetlbfs: constants.UFFD_FEATURE_MISSING_HUGETLBFS,
  missingShmem: constants.UFFD_FEATURE_MISSING_SHMEM,
  eventUnmap: constants.UFFD_FEATURE_EVENT_UNMAP,
  sigbus: constants.UFFD_FEATURE_SIGBUS,
  threadId: constants.UFFD_FEATURE_THREAD_ID,
  minorHugetlbfs: constants.UFFD_FEATURE_MINOR_HUGETLBFS,
  minorShmem: constants.UFFD_FEATURE_MINOR_SHMEM,
  exactAddress: constants.UFFD_FEATURE_EXACT_ADDRESS,
  wpHugetlbfsShmem: constants.UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
  // Since 6.3, 6.4, 6.6, 6.7 and 6.8, younger than the headers of the constants' table.
  wpUnpopulated: 0x2000,
  poison: 0x4000,
  wpAsync: 0x8000,
  move: 0x10000
} as const

/**
 * Which faults of a range are told: of pages that are `missing`, of writing to pages that are protected against it (`wp`),
 * of pages of shared memory that are there and not mapped (`minor`).
 *
 * @category models
 * @since 0.1.0
 */
export type RegisterMode = "missing" | "wp" | "minor"

const registerModes: { readonly [M in RegisterMode]: number } = {
  missing: constants.UFFDIO_REGISTER_MODE_MISSING,
  wp: constants.UFFDIO_REGISTER_MODE_WP,
  minor: constants.UFFDIO_REGISTER_MODE_MINOR
}

/**
 * A range of addresses, in whole pages. A `Mapping.Mapping` is one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Range {
  readonly address: bigint
  /** In bytes. */
  readonly length: number
}

/**
 * What a request fails with: among others `EEXIST` for pages that are there already, `ENOENT` where the range is not
 * registered, `ESRCH` where the process is gone, and `EAGAIN` where the memory was being changed: try again.
 *
 * @category errors
 * @since 0.1.0
 */
export type RequestError =
  | EAGAIN
  | EBADF
  | EBUSY
  | EEXIST
  | EFAULT
  | EINVAL
  | ENOENT
  | ENOMEM
  | ENOSPC
  | ENOTTY
  | EPERM
  | ESRCH
  | OtherErrno

const requestErrors = errorsOf("ioctl", [
  "EAGAIN",
  "EBADF",
  "EBUSY",
  "EEXIST",
  "EFAULT",
  "EINVAL",
  "ENOENT",
  "ENOMEM",
  "ENOSPC",
  "ENOTTY",
  "EPERM",
  "ESRCH"
])

const UFFDIO = 0xaa
const UFFD_API = 0xaan

const named = (name: string) => ({ name, errors: requestErrors })

const UFFDIO_API = Ioctl.writeRead(
  device,
  Ioctl._IOWR(UFFDIO, 0x3f, Abi.uffdio_api),
  Abi.uffdio_api,
  named("UFFDIO_API")
)
const UFFDIO_REGISTER = Ioctl.writeRead(
  device,
  Ioctl._IOWR(UFFDIO, 0x00, Abi.uffdio_register),
  Abi.uffdio_register,
  named("UFFDIO_REGISTER")
)
// The kernel reads these two, whatever the direction in their numbers says.
const UFFDIO_UNREGISTER = Ioctl.write(
  device,
  Ioctl._IOR(UFFDIO, 0x01, Abi.uffdio_range),
  Abi.uffdio_range,
  named("UFFDIO_UNREGISTER")
)
const UFFDIO_WAKE = Ioctl.write(
  device,
  Ioctl._IOR(UFFDIO, 0x02, Abi.uffdio_range),
  Abi.uffdio_range,
  named("UFFDIO_WAKE")
)
const UFFDIO_COPY = Ioctl._IOWR(UFFDIO, 0x03, Abi.uffdio_copy)
const UFFDIO_ZEROPAGE = Ioctl.writeRead(
  device,
  Ioctl._IOWR(UFFDIO, 0x04, Abi.uffdio_zeropage),
  Abi.uffdio_zeropage,
  named("UFFDIO_ZEROPAGE")
)
const UFFDIO_WRITEPROTECT = Ioctl.write(
  device,
  Ioctl._IOWR(UFFDIO, 0x06, Abi.uffdio_writeprotect),
  Abi.uffdio_writeprotect,
  named("UFFDIO_WRITEPROTECT")
)
const UFFDIO_CONTINUE = Ioctl.writeRead(
  device,
  Ioctl._IOWR(UFFDIO, 0x07, Abi.uffdio_continue),
  Abi.uffdio_continue,
  named("UFFDIO_CONTINUE")
)

/**
 * What is asked of the kernel.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** None unless said; `EINVAL` for what this kernel does not have. A mask of `UFFD_FEATURE_*` will do too. */
  readonly features?: ReadonlyArray<Feature> | number | undefined
  /**
   * Only faults of programs, and not of the kernel in the midst of a system call, which then fails with `EFAULT`. Needs no
   * privilege; since Linux 5.11. False.
   */
  readonly userModeOnly?: boolean | undefined
}

/**
 * Makes a descriptor that tells of page faults, for as long as the scope is open, and agrees with the kernel on what it
 * does. When it is closed, whoever waits gets pages of zeros.
 *
 * Without `userModeOnly` it needs `CAP_SYS_PTRACE`, or `/proc/sys/vm/unprivileged_userfaultfd` to be 1: else `EPERM`.
 *
 * Does not block. Manual pages: userfaultfd(2), ioctl_userfaultfd(2).
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Mapping, UserFaultFd } from "effect-linux"
 *
 * // memory whose pages come from elsewhere when they are first touched
 * const lazily = (load: (address: bigint) => Uint8Array) =>
 *   Effect.gen(function* () {
 *     const memory = yield* Mapping.anonymous({ length: 1 << 20 })
 *     const faults = yield* UserFaultFd.make()
 *     yield* UserFaultFd.register(faults, memory, ["missing"])
 *     yield* Effect.forkScoped(
 *       Stream.runForEach(UserFaultFd.events(faults), (event) =>
 *         event._tag === "PageFault"
 *           ? UserFaultFd.copy(faults, event.page, load(event.page))
 *           : Effect.void
 *       )
 *     )
 *     return memory
 *   })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: Options = {}
): Effect.Effect<UserFaultFd, errors.UserfaultfdError | RequestError, Scope.Scope> =>
  Effect.suspend(() => {
    const { features: wanted = 0, userModeOnly = false } = options
    const bits = bitsOf("features", features, wanted)
    return Effect.tap(
      adopt<typeof device, errors.UserfaultfdError>(
        {
          errors: errors.userfaultfd,
          nr: Syscall.nr.userfaultfd,
          prepare: () => [
            constants.O_CLOEXEC | constants.O_NONBLOCK | (userModeOnly ? constants.UFFD_USER_MODE_ONLY : 0)
          ],
          decode: Number,
          options: onThisThread
        },
        undefined,
        true
      ),
      (self) => ioctl(self, UFFDIO_API, { api: UFFD_API, features: BigInt(bits), ioctls: 0n })
    )
  })

/**
 * The features that this kernel has. Needs what {@link make} needs.
 *
 * @category constructors
 * @since 0.1.0
 */
export const supported: Effect.Effect<ReadonlyArray<Feature>, errors.UserfaultfdError | RequestError> = Effect.scoped(
  Effect.flatMap(
    adopt<typeof device, errors.UserfaultfdError>({
      errors: errors.userfaultfd,
      nr: Syscall.nr.userfaultfd,
      prepare: () => [constants.O_CLOEXEC | constants.O_NONBLOCK | constants.UFFD_USER_MODE_ONLY],
      decode: Number,
      options: onThisThread
    }),
    (self) =>
      Effect.map(ioctl(self, UFFDIO_API, { api: UFFD_API, features: 0n, ioctls: 0n }), ({ features: has }) =>
        wordsOf(features, Number(BigInt.asUintN(32, has)))
      )
  )
)

const rangeOf = ({ address, length }: Range): Abi.uffdio_range => ({ start: address, len: BigInt(length) })

/**
 * Makes the faults of a range be told from now on. Pages that are there already stay so.
 *
 * Private anonymous memory, and, where the kernel has the features, shared memory and huge pages. Keep the mapping for as
 * long as it is registered. Does not block. Manual page: ioctl_userfaultfd(2), `UFFDIO_REGISTER`.
 *
 * @category ranges
 * @since 0.1.0
 */
export const register = (
  faults: UserFaultFd,
  range: Range,
  modes: ReadonlyArray<RegisterMode> | number
): Effect.Effect<void, RequestError> =>
  Effect.suspend(() =>
    Effect.asVoid(
      ioctl(faults, UFFDIO_REGISTER, {
        range: rangeOf(range),
        mode: BigInt(bitsOf("modes", registerModes, modes)),
        ioctls: 0n
      })
    )
  )

/**
 * Makes the faults of a range be the kernel's own again, and wakes who waits there.
 *
 * Does not block. Manual page: ioctl_userfaultfd(2), `UFFDIO_UNREGISTER`.
 *
 * @category ranges
 * @since 0.1.0
 */
export const unregister = (faults: UserFaultFd, range: Range): Effect.Effect<void, RequestError> =>
  Effect.suspend(() => Effect.asVoid(ioctl(faults, UFFDIO_UNREGISTER, rangeOf(range))))

/**
 * How pages are put in place: with `wake: false` who waits for them goes on waiting, until {@link wake}; with
 * `writeProtect` they are protected against writing at once.
 *
 * @category models
 * @since 0.1.0
 */
export interface PlaceOptions {
  readonly wake?: boolean | undefined
  readonly writeProtect?: boolean | undefined
}

const modeOf = (dontWake: number, { wake = true, writeProtect = false }: PlaceOptions): bigint =>
  BigInt((wake ? 0 : dontWake) | (writeProtect ? constants.UFFDIO_COPY_MODE_WP : 0))

/**
 * Fills missing pages from `address` on with a copy of `bytes`, whole pages of them, and wakes who waits for them; returns
 * how many bytes were filled.
 *
 * Fails with `EEXIST` where the first page is there already. Does not block. Manual page: ioctl_userfaultfd(2),
 * `UFFDIO_COPY`.
 *
 * @category pages
 * @since 0.1.0
 */
export const copy = (
  faults: UserFaultFd,
  address: bigint,
  bytes: Uint8Array,
  options: PlaceOptions = {}
): Effect.Effect<number, RequestError> =>
  Effect.suspend(() => {
    const self = own(faults)
    return runOn(self, {
      errors: requestErrors,
      nr: Syscall.nr.ioctl,
      // The address is taken in the same step in which the request is made, so that the buffer cannot go in between.
      prepare: () => {
        const length = bufferLength("bytes", bytes)
        const argument = Abi.uffdio_copy.encode({
          dst: address,
          src: length === 0 ? 0n : Syscall.addressOf(bytes),
          len: BigInt(length),
          mode: modeOf(constants.UFFDIO_COPY_MODE_DONTWAKE, options),
          copy: 0n
        })
        return [self.fd, UFFDIO_COPY, argument]
      },
      decode: (_, args) => Math.min(Number(Abi.uffdio_copy.decode(memoryAt(args, 2)).copy), bytes.length),
      options: onThisThread,
      subject: { fd: self.fd, request: "UFFDIO_COPY" }
    })
  })

/**
 * Fills missing pages with zeros, and wakes who waits for them; returns how many bytes were filled.
 *
 * Fails with `EEXIST` where the first page is there already. Does not block. Manual page: ioctl_userfaultfd(2),
 * `UFFDIO_ZEROPAGE`.
 *
 * @category pages
 * @since 0.1.0
 */
export const zeropage = (
  faults: UserFaultFd,
  range: Range,
  options: { readonly wake?: boolean | undefined } = {}
): Effect.Effect<number, RequestError> =>
  Effect.suspend(() => {
    const mode = modeOf(constants.UFFDIO_ZEROPAGE_MODE_DONTWAKE, { wake: options.wake })
    return Effect.map(ioctl(faults, UFFDIO_ZEROPAGE, { range: rangeOf(range), mode, zeropage: 0n }), ({ zeropage }) =>
      Number(zeropage)
    )
  })

/**
 * Maps pages of shared memory that are there, as they are, and wakes who waits for them: the answer to a fault of mode
 * `minor`. Returns how many bytes were mapped.
 *
 * Does not block. Since Linux 5.13. Manual page: ioctl_userfaultfd(2), `UFFDIO_CONTINUE`.
 *
 * @category pages
 * @since 0.1.0
 */
export const proceed = (
  faults: UserFaultFd,
  range: Range,
  options: { readonly wake?: boolean | undefined } = {}
): Effect.Effect<number, RequestError> =>
  Effect.suspend(() => {
    const mode = modeOf(constants.UFFDIO_CONTINUE_MODE_DONTWAKE, { wake: options.wake })
    return Effect.map(ioctl(faults, UFFDIO_CONTINUE, { range: rangeOf(range), mode, mapped: 0n }), ({ mapped }) =>
      Number(mapped)
    )
  })

/**
 * Protects pages of a range of mode `wp` against writing, or, with false, ends that and wakes who waits to write.
 *
 * Does not block. Since Linux 5.7. Manual page: ioctl_userfaultfd(2), `UFFDIO_WRITEPROTECT`.
 *
 * @category pages
 * @since 0.1.0
 */
export const writeProtect = (
  faults: UserFaultFd,
  range: Range,
  isProtected: boolean,
  options: { readonly wake?: boolean | undefined } = {}
): Effect.Effect<void, RequestError> =>
  Effect.suspend(() => {
    const { wake = true } = options
    const mode =
      (isProtected ? constants.UFFDIO_WRITEPROTECT_MODE_WP : 0) |
      (wake ? 0 : constants.UFFDIO_WRITEPROTECT_MODE_DONTWAKE)
    return Effect.asVoid(ioctl(faults, UFFDIO_WRITEPROTECT, { range: rangeOf(range), mode: BigInt(mode) }))
  })

/**
 * Wakes who waits for pages of a range.
 *
 * Does not block. Manual page: ioctl_userfaultfd(2), `UFFDIO_WAKE`.
 *
 * @category pages
 * @since 0.1.0
 */
export const wake = (faults: UserFaultFd, range: Range): Effect.Effect<void, RequestError> =>
  Effect.suspend(() => Effect.asVoid(ioctl(faults, UFFDIO_WAKE, rangeOf(range))))
