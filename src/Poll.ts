/**
 * Waiting until files are ready: `poll` over several of them, `ready` on one.
 *
 * Nothing is read or written here, and the event loop goes on meanwhile. To wait for many files again and again, `Epoll`
 * is cheaper: it keeps the list in the kernel.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { EBADF, EINVAL, EMFILE, ENFILE, ENOMEM, ENOSPC } from "./errors/errnos.ts"
import { codes } from "./errors/errnos.ts"
import { errorsOf, type OtherErrno } from "./errors/registry.ts"
import type { File } from "./File.ts"
import { own } from "./file/model.ts"
import { ownerOf } from "./file/several.ts"
import { bitsOf, wordsOf } from "./file/words.ts"
import * as constants from "./internal/constants.ts"
import type { Descriptor } from "./internal/descriptor.ts"
import { type Description, Misuse, onThisThread, run, ready as untilReady } from "./internal/invoke.ts"
import * as Syscall from "./Syscall.ts"

/**
 * What a file can be ready for, each word one of `POLL*`: `in` (a read would not wait), `pri` (something exceptional),
 * `out` (a write would not wait), `rdhup` (the other end of a stream will write no more), and the rarer kinds of data.
 *
 * @category models
 * @since 0.1.0
 */
export type Interest = "in" | "pri" | "out" | "rdhup" | "rdnorm" | "rdband" | "wrnorm" | "wrband" | "msg"

/**
 * What has happened to a file: what was asked for, and `err` (it failed), `hup` (the other end is closed) and `nval`,
 * which are always told.
 *
 * @category models
 * @since 0.1.0
 */
export type Event = Interest | "err" | "hup" | "nval"

const words: { readonly [Word in Event]: number } = {
  in: constants.POLLIN,
  pri: constants.POLLPRI,
  out: constants.POLLOUT,
  rdhup: constants.POLLRDHUP,
  rdnorm: constants.POLLRDNORM,
  rdband: constants.POLLRDBAND,
  wrnorm: constants.POLLWRNORM,
  wrband: constants.POLLWRBAND,
  msg: constants.POLLMSG,
  err: constants.POLLERR,
  hup: constants.POLLHUP,
  nval: constants.POLLNVAL
}

/**
 * A file to wait for, and what: in words, or as a mask of `POLL*`. With no events only `err` and `hup` are waited for.
 *
 * @category models
 * @since 0.1.0
 */
export interface Request<out F extends File<unknown> = File<unknown>> {
  readonly file: F
  readonly events: ReadonlyArray<Interest> | number
}

/**
 * A file that is ready.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ready<out F extends File<unknown> = File<unknown>> {
  readonly file: F
  /** Which of the requests it is, counted from 0. */
  readonly index: number
  readonly events: ReadonlyArray<Event>
  /** The same as a mask of `POLL*`. */
  readonly revents: number
}

/**
 * What waiting for files fails with: a file is closed (`EBADF`), or there is no room for so many.
 *
 * @category errors
 * @since 0.1.0
 */
export type PollError = EBADF | EINVAL | EMFILE | ENFILE | ENOMEM | ENOSPC | OtherErrno

const errors = errorsOf("poll", ["EBADF", "EINVAL", "EMFILE", "ENFILE", "ENOMEM", "ENOSPC"])

const size = 8

const zero = new Uint8Array(16)

interface Asked {
  readonly descriptor: Descriptor
  readonly events: number
}

/** Asks the kernel which are ready now; the masks, in order. */
const look = (asked: ReadonlyArray<Asked>): Description<ReadonlyArray<number>, PollError> => ({
  errors,
  nr: Syscall.nr.ppoll,
  prepare: () => {
    const view = new DataView(new ArrayBuffer(asked.length * size))
    for (const [index, { descriptor, events }] of asked.entries()) {
      view.setInt32(index * size, descriptor.fd, true)
      view.setUint16(index * size + 4, events, true)
    }
    return [new Uint8Array(view.buffer), asked.length, zero, null, 8]
  },
  decode: (_, [memory]) => {
    if (!(memory instanceof Uint8Array)) return []
    const view = new DataView(memory.buffer)
    return asked.map((_, index) => view.getUint16(index * size + 6, true))
  },
  options: onThisThread
})

/** Waits until some of several files are ready: on a set of epoll, as one wait may then do for all. */
const someReady = (asked: ReadonlyArray<Asked>): Effect.Effect<void, PollError> =>
  Effect.acquireUseRelease(
    run<number, PollError>({
      errors,
      nr: Syscall.nr.epoll_create1,
      prepare: () => [constants.EPOLL_CLOEXEC],
      decode: Number,
      options: onThisThread
    }),
    (epfd) => {
      const wanted = new Map<number, number>()
      for (const { descriptor, events } of asked) {
        wanted.set(descriptor.fd, (wanted.get(descriptor.fd) ?? 0) | events)
      }
      const add = ([fd, events]: readonly [number, number]) =>
        Effect.catchIf(
          run<void, PollError>({
            errors,
            nr: Syscall.nr.epoll_ctl,
            prepare: () => {
              const memory = new Uint8Array(16)
              new DataView(memory.buffer).setUint32(0, events, true)
              return [epfd, constants.EPOLL_CTL_ADD, fd, memory]
            },
            decode: () => {},
            options: onThisThread,
            subject: { fd }
          }),
          // A regular file: it is ready for reading and writing always, so it is not that which is waited for.
          (error) => error.errno === codes.EPERM,
          () => Effect.void
        )
      const owner = ownerOf(asked.map(({ descriptor }) => descriptor))
      return Effect.andThen(Effect.forEach([...wanted], add, { discard: true }), untilReady(epfd, words.in, owner))
    },
    (epfd) => Effect.ignore(Syscall.close(epfd))
  )

/**
 * Waits until at least one of some files is ready, or the time is over; gives those that are, and none when the time is
 * over.
 *
 * Without a timeout it waits for as long as it takes; with 0 it only looks. Fails with `EBADF` where one of the files is
 * closed, or is closed meanwhile. Regular files are always ready.
 *
 * Can wait; interruptible. Manual page: poll(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { type File, Poll } from "effect-linux"
 *
 * const firstToSpeak = (left: File.File, right: File.File) =>
 *   Effect.gen(function* () {
 *     const [ready] = yield* Poll.poll([{ file: left, events: ["in"] }, { file: right, events: ["in"] }], "5 seconds")
 *     return ready === undefined ? "silence" : ready.file === left ? "left" : "right"
 *   })
 * ```
 *
 * @category waiting
 * @since 0.1.0
 */
export const poll = <const R extends ReadonlyArray<Request>>(
  requests: R,
  timeout?: Duration.Input
): Effect.Effect<ReadonlyArray<Ready<R[number]["file"]>>, PollError> =>
  Effect.suspend(() => {
    const list: ReadonlyArray<R[number]> = Array.from(requests)
    let asked: ReadonlyArray<Asked>
    try {
      asked = list.map(({ events, file }, index) => ({
        descriptor: own(file),
        events: bitsOf(`requests[${index}].events`, words, events) & 0xffff
      }))
    } catch (thrown) {
      if (thrown instanceof Misuse) return Effect.fail(errors.make(thrown.code, undefined, undefined, thrown.detail))
      throw thrown
    }
    const now: Effect.Effect<ReadonlyArray<Ready<R[number]["file"]>>, PollError> = Effect.suspend(() => {
      const closed = asked.find(({ descriptor }) => descriptor.closed)
      return closed === undefined
        ? Effect.map(run(look(asked)), (masks) =>
            list.flatMap(({ file }, index) => {
              const revents = masks[index] ?? 0
              return revents === 0 ? [] : [{ file, index, events: wordsOf(words, revents), revents }]
            })
          )
        : Effect.fail(errors.make(codes.EBADF, undefined, closed.descriptor.fd, "the File is closed"))
    })
    const [first] = asked
    const wait: Effect.Effect<void, PollError> =
      first === undefined
        ? Effect.never
        : asked.length === 1
          ? untilReady(first.descriptor.fd, first.events, first.descriptor)
          : someReady(asked)
    const untilSome: typeof now = Effect.flatMap(now, (ready) =>
      ready.length > 0 ? Effect.succeed(ready) : Effect.flatMap(wait, () => untilSome)
    )
    if (timeout === undefined) return untilSome
    const limit = Duration.fromInputUnsafe(timeout)
    if (Duration.isZero(limit)) return now
    return Duration.isFinite(limit)
      ? Effect.map(Effect.timeoutOption(untilSome, limit), (option) => (option._tag === "Some" ? option.value : []))
      : untilSome
  })

/**
 * Waits until one file is ready; tells for what.
 *
 * Can wait; interruptible. Manual page: poll(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { type File, Poll } from "effect-linux"
 *
 * const whenReadable = (file: File.File) => Poll.ready(file, ["in"]).pipe(Effect.timeout("1 second"))
 * ```
 *
 * @category waiting
 * @since 0.1.0
 */
export const ready = (
  file: File<unknown>,
  events: ReadonlyArray<Interest> | number
): Effect.Effect<ReadonlyArray<Event>, PollError> =>
  Effect.map(poll([{ file, events }]), ([found]) => found?.events ?? [])
