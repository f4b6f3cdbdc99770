/**
 * Running operations: one, several at once, and several one after the other.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import { codes, ECANCELED } from "../errors/errnos.ts"
import { POLLIN, POLLOUT } from "../internal/constants.ts"
import { type Flight, Group, Link } from "./flight.ts"
import { IoUring, type Ring, stateOf } from "./model.ts"
import { type Operation, ownerOf, type Prepared, preparedOf, subjectOf } from "./operation.ts"
import { poll } from "./waiting.ts"

type AnyPrepared = Prepared<unknown, unknown, unknown>

/** Hands operations to the kernel; the fiber goes on, or ends, when it has let go of all of them. */
const fly = (ring: Ring, operations: ReadonlyArray<AnyPrepared>, link: Link): Effect.Effect<ReadonlyArray<Flight>> =>
  Effect.callback<ReadonlyArray<Flight>>((resume) => {
    let isOver = false
    let onInterrupted: (() => void) | undefined
    const abandon = () => {
      for (const flight of group.flights) flight.abandon()
    }
    const group = new Group(stateOf(ring), operations, link, () => {
      isOver = true
      if (onInterrupted === undefined) {
        resume(Exit.succeed(group.flights))
      } else {
        abandon()
        onInterrupted()
      }
    })
    if (!group.begin()) {
      resume(Exit.succeed(group.flights))
      return
    }
    return Effect.callback<void>((ended) => {
      // Over, but the fiber was interrupted before it had the results.
      if (isOver) {
        abandon()
        ended(Exit.void)
        return
      }
      onInterrupted = () => ended(Exit.void)
      group.cancel()
    })
  })

/** What a flight came to; its memory is given back. */
const landed = (flight: Flight, isRefused: boolean): Effect.Effect<unknown, unknown, unknown> => {
  const { misuse, prepared } = flight
  const { answers, errors, subject = {}, target } = prepared.parts
  const about = subject.fd === undefined && target !== undefined && target !== null ? subjectOf(target) : subject
  const fail = (code: number, detail?: string) => Exit.fail(errors.make(code, subject.path, about.fd, detail))
  if (misuse !== undefined) return fail(misuse.code, misuse.detail)
  if (isRefused) return fail(codes.ECANCELED, "an operation beside it was refused")
  try {
    const { res } = flight
    if (res >= 0) return flight.decoded(res, flight.flags | (flight.notified & 0x8000_0000))
    const answer = answers?.get(-res)
    if (answer !== undefined) return flight.decoded(answer, flight.flags)
    if (flight.isTimedOut && (res === -codes.ECANCELED || res === -codes.EINTR)) {
      return fail(codes.ETIME, "it took longer than it may")
    }
    return flight.isClosed ? fail(codes.EBADF, "the File was closed meanwhile") : fail(-res, subject.request)
  } finally {
    flight.loan.release()
  }
}

const landedAll = (flights: ReadonlyArray<Flight>): ReadonlyArray<Effect.Effect<unknown, unknown, unknown>> => {
  const isRefused = flights.some(({ misuse }) => misuse !== undefined)
  return flights.map((flight) => landed(flight, isRefused))
}

/** Those that wait although their descriptor says that nobody waits. */
const waitsFor = ({ parts }: AnyPrepared): number => (/WRITE|SEND|CONNECT/.test(parts.name) ? POLLOUT : POLLIN)

const one = (ring: Ring, prepared: AnyPrepared): Effect.Effect<unknown, unknown, unknown> =>
  Effect.uninterruptibleMask((restore) => {
    const run: Effect.Effect<unknown, unknown, unknown> = Effect.flatMap(
      restore(fly(ring, [prepared], Link.none)),
      ([flight]) => {
        if (flight === undefined) return Effect.die(new Error("an operation is missing"))
        const { target } = prepared.parts
        const owner = target === undefined || target === null ? undefined : ownerOf(target)
        // The O_NONBLOCK is ours and not the user's: see `Owner`.
        if (
          flight.res === -codes.EAGAIN &&
          owner?.awaits === true &&
          !owner.closed &&
          target !== undefined &&
          target !== null
        ) {
          flight.loan.release()
          const ready = one(ring, preparedOf(poll(target, waitsFor(prepared))))
          return Effect.flatMap(restore(Effect.exit(ready)), () => run)
        }
        return landed(flight, false)
      }
    )
    return run
  })

/**
 * Runs an operation on a ring.
 *
 * It is handed to the kernel together with all others of this turn of the event loop. A fiber that is interrupted has the
 * kernel cancel it, and ends when the kernel has let go of its memory; so does closing its `File`, with which it fails
 * with `EBADF`. Memory that JavaScript could give away meanwhile is lent as a copy; registered buffers and
 * SharedArrayBuffers are used themselves.
 *
 * Can wait; interruptible. Fails with `EBADF` on a ring that is closed, and with `EOPNOTSUPP` where this kernel lacks the
 * operation: see {@link probe}. Manual page: io_uring(7).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File, IoUring } from "effect-linux"
 *
 * const copyHead = Effect.gen(function* () {
 *   const ring = yield* IoUring.make({ entries: 64 })
 *   const file = yield* File.open("/etc/hostname")
 *   const buffer = new Uint8Array(64)
 *   const count = yield* IoUring.submit(ring, IoUring.read(file, buffer, { offset: 0 }))
 *   return buffer.subarray(0, count)
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const submit = <A, E, R>(ring: Ring, operation: Operation<A, E, R>): Effect.Effect<A, E, R> =>
  // The types of an operation are those of what it was made of.
  Effect.suspend(() => one(ring, preparedOf(operation)) as Effect.Effect<A, E, R>)

/**
 * Runs an operation on the ring that the program provides as a service.
 *
 * @category running
 * @since 0.1.0
 */
export const run = <A, E, R>(operation: Operation<A, E, R>): Effect.Effect<A, E, R | IoUring> =>
  Effect.flatMap(IoUring, (ring) => submit(ring, operation))

// ---------------------------------------------------------------------------------------------------------------------
// several
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Any operations.
 *
 * @category models
 * @since 0.1.0
 */
export type Operations = ReadonlyArray<Operation<unknown, unknown, unknown>>

/**
 * The results of several operations, in order.
 *
 * @category models
 * @since 0.1.0
 */
export type Results<Ops extends Operations> = {
  -readonly [K in keyof Ops]: Ops[K] extends Operation<infer A, infer _E, infer _R> ? A : never
}

/**
 * What each of several operations came to, in order. `ECANCELED` is one that was not made, as another failed.
 *
 * @category models
 * @since 0.1.0
 */
export type Outcomes<Ops extends Operations> = {
  -readonly [K in keyof Ops]: Ops[K] extends Operation<infer A, infer E, infer _R>
    ? Result.Result<A, E | ECANCELED>
    : never
}

/**
 * The errors of several operations.
 *
 * @category models
 * @since 0.1.0
 */
export type ErrorOf<Ops extends Operations> = Ops[number] extends Operation<infer _A, infer E, infer _R> ? E : never

/**
 * What several operations need: a `Scope` where one opens something.
 *
 * @category models
 * @since 0.1.0
 */
export type ServicesOf<Ops extends Operations> = Ops[number] extends Operation<infer _A, infer _E, infer R> ? R : never

type Outcome = Result.Result<unknown, unknown>

const outcomesOf = (
  ring: Ring,
  operations: Operations,
  link: Link
): Effect.Effect<ReadonlyArray<Outcome>, never, unknown> =>
  Effect.uninterruptibleMask((restore) => {
    if (!Array.isArray(operations)) throw new TypeError("operations: expected an array of operations")
    const all = operations.map(preparedOf)
    if (all.length === 0) return Effect.succeed([])
    return Effect.flatMap(restore(fly(ring, all, link)), (flights) => {
      const refused = flights.some(({ misuse }) => misuse !== undefined)
      return Effect.all(
        landedAll(flights).map((effect, index) => {
          const flight = flights[index]
          const cancelled = refused ? flight?.misuse === undefined : flight?.res === -codes.ECANCELED
          const name = flight?.prepared.parts.errors.syscall ?? ""
          // One whose own file was closed, or whose time was over, has an error of its own.
          const own = flight?.isTimedOut === true || (!refused && flight?.isClosed === true)
          return cancelled && !own
            ? Effect.as(Effect.ignore(effect), Result.fail(new ECANCELED({ syscall: name })))
            : Effect.result(effect)
        })
      )
    })
  })

const valuesOf = (outcomes: ReadonlyArray<Outcome>): Exit.Exit<ReadonlyArray<unknown>, unknown> => {
  const failures = outcomes.flatMap((outcome) => (Result.isFailure(outcome) ? [outcome.failure] : []))
  // The first that failed by itself, and not as another did.
  const [error] = failures.filter((failure) => !(failure instanceof ECANCELED))
  if (failures.length > 0) return Exit.fail(error ?? failures[0])
  return Exit.succeed(outcomes.map((outcome) => (Result.isSuccess(outcome) ? outcome.success : undefined)))
}

/**
 * Runs several operations at once, in one visit of the kernel; they end in any order. Gives their results, or fails with
 * the error of the first in the list that failed, when all have ended.
 *
 * There can be as many as the ring has entries; one with a time limit counts as two. Interrupting cancels all of them.
 *
 * Can wait; interruptible.
 *
 * @category running
 * @since 0.1.0
 */
export const submitAll = <const Ops extends Operations>(
  ring: Ring,
  operations: Ops
): Effect.Effect<Results<Ops>, ErrorOf<Ops> | ECANCELED, ServicesOf<Ops>> =>
  Effect.flatMap(outcomesOf(ring, operations, Link.none), valuesOf) as Effect.Effect<
    Results<Ops>,
    ErrorOf<Ops> | ECANCELED,
    ServicesOf<Ops>
  >

/**
 * Like {@link submitAll}, and tells of each what it came to.
 *
 * @category running
 * @since 0.1.0
 */
export const submitEach = <const Ops extends Operations>(
  ring: Ring,
  operations: Ops
): Effect.Effect<Outcomes<Ops>, never, ServicesOf<Ops>> =>
  outcomesOf(ring, operations, Link.none) as Effect.Effect<Outcomes<Ops>, never, ServicesOf<Ops>>

/**
 * How operations of a chain hang together.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChainOptions {
  /**
   * Whether the chain goes on behind one that failed: `IOSQE_IO_HARDLINK`. False unless said: then those behind it are not
   * made. A transfer that was shorter than asked for counts as failed.
   */
  readonly hard?: boolean | undefined
}

const linkOf = ({ hard = false }: ChainOptions): Link => (hard ? Link.hard : Link.soft)

/**
 * Runs operations one after the other, each when the one before it has ended, in one visit of the kernel. Gives their
 * results, or fails with the error of the first that failed.
 *
 * The one behind a failed one is not made, nor what follows. **A read or write that was short breaks the chain too**: the
 * chain then fails with `ECANCELED`; {@link chainEach} tells how far it came.
 *
 * There can be as many as the ring has entries; one with a time limit counts as two. Interrupting cancels the one under
 * way and those behind it. Can wait; interruptible. Flag `IOSQE_IO_LINK`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { type File, IoUring } from "effect-linux"
 *
 * // on the disk, and in this order
 * const commit = (ring: IoUring.Ring, file: File.File, record: Uint8Array) =>
 *   IoUring.chain(ring, [IoUring.write(file, record), IoUring.fsync(file)]).pipe(
 *     Effect.map(([written]) => written)
 *   )
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const chain = <const Ops extends Operations>(
  ring: Ring,
  operations: Ops,
  options: ChainOptions = {}
): Effect.Effect<Results<Ops>, ErrorOf<Ops> | ECANCELED, ServicesOf<Ops>> =>
  Effect.flatMap(outcomesOf(ring, operations, linkOf(options)), valuesOf) as Effect.Effect<
    Results<Ops>,
    ErrorOf<Ops> | ECANCELED,
    ServicesOf<Ops>
  >

/**
 * Like {@link chain}, and tells of each what it came to: `ECANCELED` for those that were not made.
 *
 * @category running
 * @since 0.1.0
 */
export const chainEach = <const Ops extends Operations>(
  ring: Ring,
  operations: Ops,
  options: ChainOptions = {}
): Effect.Effect<Outcomes<Ops>, never, ServicesOf<Ops>> =>
  outcomesOf(ring, operations, linkOf(options)) as Effect.Effect<Outcomes<Ops>, never, ServicesOf<Ops>>
