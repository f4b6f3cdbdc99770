/**
 * A lock in shared memory, between fibers, worker threads and processes.
 *
 * It takes {@link size} bytes, of a `SharedArrayBuffer` that workers have, or of a shared mapping that processes have. Zeros
 * are a lock that nobody has, so there is nothing to set up: whoever shares the memory says {@link at} and goes ahead.
 *
 * **Cost.** Taking and giving back a lock that nobody else wants is one atomic instruction each and no system call. Waiting
 * is done in the kernel and never on the JavaScript thread; a fiber that waits can be interrupted, and neither a lock nor a
 * wake-up is lost by it. Who comes first need not be served first. It is not recursive: a fiber that takes a lock twice
 * waits for itself.
 *
 * **Death.** A thread or process that ends with the lock, however it ends (`kill -9`, `worker.terminate()`), does not take
 * it with it: who waits looks five times a second whether the owner lives, told by the number of its thread and when that
 * began, so that another thread that got the number is not taken for it. What the lock guards may be half changed then,
 * so the next one fails with {@link OwnerDied}, and so does everybody until somebody who came with a `repair` has put it in
 * order. A mapping that is released while a lock in it is held counts as a death too.
 *
 * **Who can share one.** Processes of the same PID (and time) namespace, as thread numbers mean something only there:
 * {@link at} refuses others with `EINVAL`. It needs /proc. Memory that outlives the machine's running, a file on a disk, is
 * to be zeroed when it is used again. A process that executes another program in its place still lives.
 *
 * **Layout**, for programs in other languages: 64 bits of which 0 to 29 are the owner's thread number, 30 is
 * `FUTEX_OWNER_DIED` (set while nobody has repaired it, also when it is free), 31 `FUTEX_WAITERS`, and 32 to 63 field 22 of
 * /proc/TID/stat, the owner's start in clock ticks; who waits does it on the lower half, whoever gives back a word with
 * `FUTEX_WAITERS` wakes one. Then 32 bits that are the namespaces', and 32 that are not used.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as errors from "./errors/calls.ts"
import { codes } from "./errors/errnos.ts"
import { type Mapping, Region } from "./file/mapping-region.ts"
import { self } from "./file/mutex-owner.ts"
import * as state from "./file/mutex-state.ts"
import { Misuse } from "./internal/invoke.ts"

export { OwnerDied } from "./file/mutex-state.ts"

/**
 * Memory that a lock can lie in.
 *
 * @category models
 * @since 0.1.0
 */
export type Memory = Mapping | SharedArrayBuffer

/**
 * A lock at some place of shared memory, as this thread uses it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Mutex {
  readonly [state.TypeId]: typeof state.TypeId
  /** What to send to other threads, along with `offset`. */
  readonly memory: Memory
  /** In bytes. */
  readonly offset: number
}

/**
 * How a lock is taken.
 *
 * @category models
 * @since 0.1.0
 */
export interface Repairing<out E, out R> {
  /**
   * Puts in order what the lock guards, where its last owner died; run with the lock held, before anything else. When it
   * fails, so does taking the lock, and the next one is told again.
   */
  readonly repair: Effect.Effect<unknown, E, R>
}

/**
 * The bytes that a lock takes.
 *
 * @category constants
 * @since 0.1.0
 */
export const size: number = state.size

/**
 * What the offset of a lock is a multiple of, in bytes.
 *
 * @category constants
 * @since 0.1.0
 */
export const alignment: number = state.alignment

/**
 * Whether a value is a `Mutex`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isMutex = (u: unknown): u is Mutex => u instanceof state.State

const own = (mutex: Mutex): state.State => {
  if (mutex instanceof state.State) return mutex
  throw new TypeError("mutex: expected a Mutex")
}

// One for each place, so that the fibers of a thread meet there.
const places = new WeakMap<object, Map<number, state.State>>()

/**
 * The lock at some place of shared memory: `offset` (0) is a multiple of {@link alignment}, and zeros are a lock that nobody
 * has.
 *
 * Fails with `EINVAL` for a place that does not do, and where processes of another PID namespace use the lock; with `EFAULT`
 * for a mapping that is released. Does not block.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Mutex } from "effect-linux"
 *
 * // in each worker that was given the memory: 16 bytes for the lock, then a counter
 * const increment = (memory: SharedArrayBuffer) =>
 *   Effect.gen(function* () {
 *     const mutex = yield* Mutex.at(memory)
 *     const counter = new Int32Array(memory, Mutex.size, 1)
 *     yield* Mutex.withLock(
 *       mutex,
 *       Effect.sync(() => {
 *         counter[0] = (counter[0] ?? 0) + 1
 *       })
 *     )
 *   })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const at = (memory: Memory, offset = 0): Effect.Effect<Mutex, errors.FutexError> =>
  state.refusing(() => {
    const shared = memory instanceof SharedArrayBuffer
    if (!shared && !(memory instanceof Region)) {
      throw new TypeError("memory: expected a Mapping or a SharedArrayBuffer")
    }
    if (typeof offset !== "number") throw new TypeError(`offset: expected a number, got ${typeof offset}`)
    if (!shared && memory.over) throw new Misuse(codes.EFAULT, "memory: the mapping is released")
    const { byteLength } = shared ? memory : memory.buffer
    if (!Number.isSafeInteger(offset) || offset < 0 || offset % alignment !== 0) {
      throw new Misuse(codes.EINVAL, `offset: ${offset} is no multiple of ${alignment}`)
    }
    if (offset + size > byteLength) throw new Misuse(codes.EINVAL, `offset: ${offset} is past the end of ${byteLength}`)
    const known = places.get(memory)?.get(offset)
    if (known !== undefined) return Exit.succeed(known)
    return Effect.matchEffect(self, {
      onFailure: ({ detail, errno, path }) =>
        Exit.fail(errors.futex.make(errno, path, undefined, `${detail ?? ""}: /proc is to tell which thread this is`)),
      onSuccess: (self) =>
        state.refusing(() => {
          const spaces = new Int32Array(shared ? memory : memory.buffer, offset + 8, 1)
          const other = Atomics.compareExchange(spaces, 0, 0, self.space)
          if (other !== 0 && other !== self.space) {
            throw new Misuse(codes.EINVAL, "the lock is one of processes of another PID namespace, or something else")
          }
          const mutex = new state.State(memory, offset, self)
          const here = places.get(memory)
          if (here === undefined) places.set(memory, new Map([[offset, mutex]]))
          else here.set(offset, mutex)
          return Exit.succeed(mutex)
        })
    })
  })

/**
 * A lock in fresh memory, for the threads of this process: its `memory`, a `SharedArrayBuffer`, is what workers are sent.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (): Effect.Effect<Mutex, errors.FutexError> => Effect.suspend(() => at(new SharedArrayBuffer(size)))

/** Has the lock in order, or gives it back. */
const repaired = <E, R>(
  mutex: state.State,
  got: state.Got | undefined,
  restore: state.While,
  options: Repairing<E, R> | undefined
): Effect.Effect<boolean, E, R> => {
  if (got === undefined) return Exit.succeed(false)
  if (got === "clean" || options === undefined) return Exit.succeed(true)
  return Effect.as(
    Effect.onExit(restore(options.repair), (exit) => (Exit.isSuccess(exit) ? mutex.cleared : mutex.unlock)),
    true
  )
}

type Failure<E> = state.OwnerDied | errors.FutexError | E

/** Takes the lock; with `waits` it is true. */
const taken = <E, R>(
  mutex: Mutex,
  restore: state.While,
  waits: boolean,
  options: Repairing<E, R> | undefined
): Effect.Effect<boolean, Failure<E>, R> =>
  Effect.suspend(() => {
    const self = own(mutex)
    if (self.takeNow()) return Exit.succeed(true)
    return Effect.flatMap(self.lock(options !== undefined, waits ? restore : undefined), (got) =>
      repaired(self, got, restore, options)
    )
  })

const inScope = <E, R>(
  mutex: Mutex,
  waits: boolean,
  options: Repairing<E, R> | undefined
): Effect.Effect<boolean, Failure<E>, R | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.tap(taken(mutex, restore, waits, options), (got) =>
      got ? Effect.addFinalizer(() => own(mutex).unlock) : Effect.void
    )
  )

/**
 * Takes the lock, for as long as the scope is open.
 *
 * Waits until it is to be had: off the JavaScript thread, interruptibly, with a limit by `Effect.timeout`. Fails with
 * {@link OwnerDied} where the last owner died, unless a `repair` is given; with `EFAULT` when the mapping it lies in is
 * released.
 *
 * @category locking
 * @since 0.1.0
 */
export const lock: {
  (mutex: Mutex): Effect.Effect<void, state.OwnerDied | errors.FutexError, Scope.Scope>
  <E, R>(mutex: Mutex, options: Repairing<E, R>): Effect.Effect<void, errors.FutexError | E, Scope.Scope | R>
} = <E, R>(mutex: Mutex, options?: Repairing<E, R>): Effect.Effect<void, errors.FutexError, Scope.Scope> =>
  // With a repair nobody is told of a death, which the second signature says.
  Effect.asVoid(inScope(mutex, true, options)) as Effect.Effect<void, errors.FutexError, Scope.Scope>

/**
 * Takes the lock, for as long as the scope is open, if it is to be had at once; returns whether it was.
 *
 * Fails as {@link lock} does. Does not block.
 *
 * @category locking
 * @since 0.1.0
 */
export const tryLock: {
  (mutex: Mutex): Effect.Effect<boolean, state.OwnerDied | errors.FutexError, Scope.Scope>
  <E, R>(mutex: Mutex, options: Repairing<E, R>): Effect.Effect<boolean, errors.FutexError | E, Scope.Scope | R>
} = <E, R>(mutex: Mutex, options?: Repairing<E, R>): Effect.Effect<boolean, errors.FutexError, Scope.Scope> =>
  inScope(mutex, false, options) as Effect.Effect<boolean, errors.FutexError, Scope.Scope>

const withLock_ = <A, E, R, E2, R2>(
  mutex: Mutex,
  body: Effect.Effect<A, E, R>,
  options?: Repairing<E2, R2>
): Effect.Effect<A, Failure<E | E2>, R | R2> =>
  Effect.uninterruptibleMask((restore): Effect.Effect<A, Failure<E | E2>, R | R2> => {
    const self = own(mutex)
    const locked = Effect.onExit(restore(body), () => self.unlock)
    return self.takeNow() ? locked : Effect.andThen(taken(mutex, restore, true, options), locked)
  })

/**
 * Runs an effect with the lock.
 *
 * Waits and fails as {@link lock} does.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Mutex } from "effect-linux"
 *
 * declare const recount: Effect.Effect<void>
 *
 * const guarded = <A, E, R>(mutex: Mutex.Mutex, body: Effect.Effect<A, E, R>) =>
 *   Mutex.withLock(mutex, body, { repair: recount })
 *
 * const piped = (mutex: Mutex.Mutex) => Effect.succeed("mine").pipe(Mutex.withLock(mutex))
 * ```
 *
 * @category locking
 * @since 0.1.0
 */
export const withLock: {
  (
    mutex: Mutex
  ): <A, E, R>(body: Effect.Effect<A, E, R>) => Effect.Effect<A, E | state.OwnerDied | errors.FutexError, R>
  <E2, R2>(
    mutex: Mutex,
    options: Repairing<E2, R2>
  ): <A, E, R>(body: Effect.Effect<A, E, R>) => Effect.Effect<A, E | E2 | errors.FutexError, R | R2>
  <A, E, R>(mutex: Mutex, body: Effect.Effect<A, E, R>): Effect.Effect<A, E | state.OwnerDied | errors.FutexError, R>
  <A, E, R, E2, R2>(
    mutex: Mutex,
    body: Effect.Effect<A, E, R>,
    options: Repairing<E2, R2>
  ): Effect.Effect<A, E | E2 | errors.FutexError, R | R2>
} = <A, E, R, E2, R2>(
  mutex: Mutex,
  bodyOrOptions?: Effect.Effect<A, E, R> | Repairing<E2, R2>,
  options?: Repairing<E2, R2>
  // The signatures say what the implementation's cannot: which form it is, and that a repair leaves no death to tell of.
  // biome-ignore lint/suspicious/noExplicitAny: see above
): any =>
  Effect.isEffect(bodyOrOptions)
    ? withLock_(mutex, bodyOrOptions, options)
    : (body: Effect.Effect<A, E, R>) => withLock_(mutex, body, bodyOrOptions)
