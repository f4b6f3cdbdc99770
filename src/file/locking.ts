/**
 * Locks of files and of ranges of them, leases and seals: agreements with other processes.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import * as constants from "../internal/constants.ts"
import { type Descriptor, runOn } from "../internal/descriptor.ts"
import { type Description, Misuse, run } from "../internal/invoke.ts"
import * as describe from "../syscall/descriptions.ts"
import { type File, own } from "./model.ts"

/**
 * Takes a lock by a call that may wait, and gives it back when the scope closes, if the file is open still: closing it has
 * done so already. Between the call's success and the scope nothing can be interrupted.
 */
const holding = <A, E, E2>(
  self: Descriptor,
  take: Description<A, E>,
  giveBack: Description<unknown, E2>
): Effect.Effect<void, E, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(run(take, restore, self), () =>
      Effect.addFinalizer(() =>
        Effect.suspend(() => (self.closed ? Effect.void : Effect.ignore(runOn(self, giveBack))))
      )
    )
  )

/** False where a call said that somebody else has the lock. */
const orBusy = <E extends { readonly errno: number }, R>(
  taking: Effect.Effect<void, E, R>
): Effect.Effect<boolean, E, R> =>
  Effect.matchEffect(taking, {
    onSuccess: () => Effect.succeed(true),
    onFailure: (error) =>
      error.errno === codes.EAGAIN || error.errno === codes.EACCES ? Effect.succeed(false) : Effect.fail(error)
  })

// ---------------------------------------------------------------------------------------------------------------------
// whole files
// ---------------------------------------------------------------------------------------------------------------------

const flockWords = { shared: constants.LOCK_SH, exclusive: constants.LOCK_EX }

const flockHeld = (file: File<unknown>, kind: "shared" | "exclusive", flags: number) =>
  Effect.suspend(() => {
    const self = own(file)
    const operation = flockWords[kind]
    if (operation === undefined) throw new TypeError(`kind: expected "shared" or "exclusive", got ${String(kind)}`)
    const isOpen = () => !self.closed
    const take = describe.flock(self.fd, operation | flags, isOpen)
    return holding(self, take, describe.flock(self.fd, constants.LOCK_UN | constants.LOCK_NB, isOpen))
  })

/**
 * Locks the file, for as long as the scope is open: `"shared"` with others that share it, or `"exclusive"`. Waits until
 * nobody has a lock against it.
 *
 * The lock is one of the open file: duplicates have it too, and so have child processes that inherit the descriptor. A
 * second lock on the same open file takes the place of the first. It binds only those that ask for such locks.
 *
 * Waits off the event loop; interruptible, and then there is no lock. Manual page: flock(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File } from "effect-linux"
 *
 * // one instance of this program at a time does this
 * const alone = <A, E, R>(work: Effect.Effect<A, E, R>) =>
 *   Effect.gen(function* () {
 *     const file = yield* File.open("/run/program.lock", { access: "write", create: true, mode: 0o644 })
 *     yield* File.flock(file, "exclusive")
 *     return yield* work
 *   }).pipe(Effect.scoped)
 * ```
 *
 * @category locks
 * @since 0.1.0
 */
export const flock = (
  file: File<unknown>,
  kind: "shared" | "exclusive"
): Effect.Effect<void, errors.FlockError, Scope.Scope> => flockHeld(file, kind, 0)

/**
 * The same as {@link flock} without waiting: false where somebody has a lock against it.
 *
 * @category locks
 * @since 0.1.0
 */
export const tryFlock = (
  file: File<unknown>,
  kind: "shared" | "exclusive"
): Effect.Effect<boolean, errors.FlockError, Scope.Scope> => orBusy(flockHeld(file, kind, constants.LOCK_NB))

// ---------------------------------------------------------------------------------------------------------------------
// ranges
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A range of bytes to lock: `"shared"` for readers (the file is open for reading), `"exclusive"` for writers (it is open for
 * writing).
 *
 * @category models
 * @since 0.1.0
 */
export interface RangeLock {
  readonly kind: "shared" | "exclusive"
  /** In bytes from the start; 0 unless said. */
  readonly start?: number | bigint | undefined
  /** In bytes; to the end, wherever that will be, unless said. */
  readonly length?: number | bigint | undefined
}

/**
 * A lock that stands against one that was asked for.
 *
 * @category models
 * @since 0.1.0
 */
export interface ForeignLock {
  readonly kind: "shared" | "exclusive"
  readonly start: bigint
  /** In bytes; 0 for up to the end. */
  readonly length: bigint
  /** The process that has it; undefined where an open file has it and no process. */
  readonly pid: number | undefined
}

const rangeTypes = { shared: constants.F_RDLCK, exclusive: constants.F_WRLCK }

const bigOf = (name: string, value: number | bigint): bigint => {
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new Misuse(codes.EINVAL, `${name}: ${value} is no safe integer`)
  }
  return BigInt(value)
}

const flockOf = ({ kind, length = 0, start = 0 }: RangeLock): Abi.flock => {
  const l_type = rangeTypes[kind]
  if (l_type === undefined) throw new TypeError(`kind: expected "shared" or "exclusive", got ${String(kind)}`)
  return {
    l_type,
    l_whence: constants.SEEK_SET,
    l_start: bigOf("start", start),
    l_len: bigOf("length", length),
    // It has to be 0, for a lock of an open file.
    l_pid: 0
  }
}

/** The range as the kernel has it; what it cannot be fails before a call is made. */
const withRange = <A, E, R>(
  file: File<unknown>,
  lock: RangeLock,
  use: (self: Descriptor, range: Abi.flock) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | errors.FcntlError, R> =>
  Effect.suspend((): Effect.Effect<A, E | errors.FcntlError, R> => {
    const self = own(file)
    let range: Abi.flock
    try {
      range = flockOf(lock)
    } catch (thrown) {
      if (!(thrown instanceof Misuse)) throw thrown
      return Effect.fail(errors.fcntl.make(thrown.code, undefined, self.fd, thrown.detail))
    }
    return use(self, range)
  })

const rangeHeld = (file: File<unknown>, lock: RangeLock, command: number) =>
  withRange(file, lock, (self, range) => {
    const isOpen = () => !self.closed
    const free = { ...range, l_type: constants.F_UNLCK }
    return holding(
      self,
      describe.fcntlRange(self.fd, command, range, isOpen),
      describe.fcntlRange(self.fd, constants.F_OFD_SETLK, free, isOpen)
    )
  })

/**
 * Locks a range of the file, for as long as the scope is open, with a lock of the open file (and not of the process, whose
 * locks any closing of the file would end). Waits until nobody has a lock against it.
 *
 * Two locks of one open file do not stand against each other: open the file again for each part of a program that is to keep
 * the others out. Nobody notices a deadlock.
 *
 * Waits off the event loop; interruptible, and then there is no lock. Manual page: fcntl_locking(2), `F_OFD_SETLKW`.
 *
 * @category locks
 * @since 0.1.0
 */
export const lockRange = (file: File<unknown>, lock: RangeLock): Effect.Effect<void, errors.FcntlError, Scope.Scope> =>
  rangeHeld(file, lock, constants.F_OFD_SETLKW)

/**
 * The same as {@link lockRange} without waiting: false where somebody has a lock against it.
 *
 * @category locks
 * @since 0.1.0
 */
export const tryLockRange = (
  file: File<unknown>,
  lock: RangeLock
): Effect.Effect<boolean, errors.FcntlError, Scope.Scope> => orBusy(rangeHeld(file, lock, constants.F_OFD_SETLK))

/**
 * A lock that stands against this one, if there is any; nothing is locked.
 *
 * Can wait for a server. Manual page: fcntl_locking(2), `F_OFD_GETLK`.
 *
 * @category locks
 * @since 0.1.0
 */
export const testRange = (
  file: File<unknown>,
  lock: RangeLock
): Effect.Effect<Option.Option<ForeignLock>, errors.FcntlError> =>
  withRange(file, lock, (self, range) =>
    Effect.map(
      runOn(
        self,
        describe.fcntlRange(self.fd, constants.F_OFD_GETLK, range, () => false)
      ),
      ({ l_len, l_pid, l_start, l_type }) =>
        l_type === constants.F_UNLCK
          ? Option.none()
          : Option.some({
              kind: l_type === constants.F_RDLCK ? "shared" : "exclusive",
              start: l_start,
              length: l_len,
              pid: l_pid > 0 ? l_pid : undefined
            } satisfies ForeignLock)
    )
  )

// ---------------------------------------------------------------------------------------------------------------------
// leases
// ---------------------------------------------------------------------------------------------------------------------

const leaseWords = { read: constants.F_RDLCK, write: constants.F_WRLCK, none: constants.F_UNLCK }

/** The word of a value that the kernel answers. */
const leaseWord = (type: number): keyof typeof leaseWords =>
  type === constants.F_RDLCK ? "read" : type === constants.F_WRLCK ? "write" : "none"

/**
 * Takes a lease on the file, for as long as the scope is open: who opens it otherwise then has to wait until the lease is
 * given back (at most the seconds of `/proc/sys/fs/lease-break-time`), and this process is told by a signal. A `"read"`
 * lease is broken by whoever opens for writing, a `"write"` lease by whoever opens at all.
 *
 * The signal is `SIGURG`, which does no harm where nobody listens, unlike the `SIGIO` that leases have by themselves;
 * listen with `process.on("SIGURG", …)` and look at {@link leaseOf}.
 *
 * Fails with `EAGAIN` where somebody has the file open otherwise. Does not block. Manual page: fcntl(2), `F_SETLEASE`.
 *
 * @category locks
 * @since 0.1.0
 */
export const lease = (
  file: File<unknown>,
  kind: "read" | "write"
): Effect.Effect<void, errors.FcntlError, Scope.Scope> =>
  Effect.suspend(() => {
    const self = own(file)
    const type = leaseWords[kind]
    if (type === undefined) throw new TypeError(`kind: expected "read" or "write", got ${String(kind)}`)
    const { F_SETLEASE, F_SETSIG, F_UNLCK, SIGURG } = constants
    return Effect.andThen(
      runOn(self, describe.fcntl(self.fd, F_SETSIG, SIGURG)),
      holding(self, describe.fcntl(self.fd, F_SETLEASE, type), describe.fcntl(self.fd, F_SETLEASE, F_UNLCK))
    )
  })

/**
 * The lease that this process has on the file; while it is being broken, the one that may be kept.
 *
 * Does not block. Manual page: fcntl(2), `F_GETLEASE`.
 *
 * @category locks
 * @since 0.1.0
 */
export const leaseOf = (file: File<unknown>): Effect.Effect<"read" | "write" | "none", errors.FcntlError> =>
  Effect.map(runOn(own(file), describe.fcntl(own(file).fd, constants.F_GETLEASE, 0)), leaseWord)

// ---------------------------------------------------------------------------------------------------------------------
// seals
// ---------------------------------------------------------------------------------------------------------------------

const sealWords = {
  exec: constants.F_SEAL_EXEC,
  futureWrite: constants.F_SEAL_FUTURE_WRITE,
  grow: constants.F_SEAL_GROW,
  seal: constants.F_SEAL_SEAL,
  shrink: constants.F_SEAL_SHRINK,
  write: constants.F_SEAL_WRITE
}

/**
 * What nobody may do any more with a file in memory: change whether it may be executed (`"exec"`, Linux 6.3), write by new means (`"futureWrite"`, Linux 5.1), make it longer, add
 * seals, make it shorter, write at all.
 *
 * @category models
 * @since 0.1.0
 */
export type Seal = keyof typeof sealWords

/**
 * Seals a file in memory that was made to be sealed: what is sealed stays so for ever, for everybody.
 *
 * Fails with `EBUSY` where `"write"` is asked for while somebody has the file mapped to be written, and with `EPERM` where
 * `"seal"` is set. Can wait; interruptible. Manual page: fcntl(2), `F_ADD_SEALS`.
 *
 * @category locks
 * @since 0.1.0
 */
export const addSeals = (file: File<unknown>, seals: ReadonlyArray<Seal>): Effect.Effect<void, errors.FcntlError> =>
  Effect.suspend(() => {
    let bits = 0
    for (const seal of seals) {
      const bit = sealWords[seal]
      if (bit === undefined) throw new TypeError(`seals: no such seal: ${String(seal)}`)
      bits |= bit
    }
    return Effect.asVoid(runOn(own(file), describe.fcntlLater(own(file).fd, constants.F_ADD_SEALS, bits)))
  })

/**
 * The seals that a file in memory has; `EINVAL` for other files.
 *
 * Does not block. Manual page: fcntl(2), `F_GET_SEALS`.
 *
 * @category locks
 * @since 0.1.0
 */
export const getSeals = (file: File<unknown>): Effect.Effect<ReadonlySet<Seal>, errors.FcntlError> =>
  Effect.map(runOn(own(file), describe.fcntl(own(file).fd, constants.F_GET_SEALS, 0)), (bits) => {
    const seals = new Set<Seal>()
    let word: Seal
    for (word in sealWords) if ((bits & sealWords[word]) !== 0) seals.add(word)
    return seals
  })
