/** System calls that wait for events on files: epoll, poll and select. */
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import type { CallErrors } from "../errors/registry.ts"
import { descriptor, int } from "../internal/arguments.ts"
import { type Description, Misuse, onThisThread, run } from "../internal/invoke.ts"
import type { Argument, Result } from "../internal/native.ts"
import { type BlockingOptions, Direction, directions } from "../internal/trampoline.ts"
import { memoryAt, number, toTimespec } from "./convert.ts"
import {
  decodeList,
  encodeList,
  maskSize,
  maskStructure,
  type Timeout,
  timeoutMemory,
  waitingMask
} from "./events-memory.ts"
import { absent } from "./policy.ts"
import { nr } from "./raw.ts"

const { in: reads, out: writes, unknown } = Direction

// ---------------------------------------------------------------------------------------------------------------------
// epoll
// ---------------------------------------------------------------------------------------------------------------------

/** The most events that the kernel takes: it fails with EINVAL for more, and needs no memory for that. */
const mostEvents = Math.floor(0x7fffffff / Abi.epoll_event.size)

const roomForEvents = (maxevents: number): Uint8Array =>
  new Uint8Array(maxevents < 0 || maxevents > mostEvents ? 0 : maxevents * Abi.epoll_event.size)

const eventsAt1 = (count: Result, args: ReadonlyArray<Argument>): ReadonlyArray<Abi.epoll_event> =>
  decodeList(Abi.epoll_event, memoryAt(args, 1), number(count))

const epollOptions: BlockingOptions = { directions: directions(unknown, writes, unknown, reads, reads) }
const epollFirstOptions: BlockingOptions = {
  inlineFirst: true,
  directions: directions(unknown, writes, unknown, unknown, reads)
}

/**
 * `epoll_wait(epfd, maxevents, timeout)`—Waits for events on the files of a set; returns up to `maxevents` of them.
 *
 * `timeout` is in milliseconds: 0 does not wait, -1 waits for ever. When the time is over the list is empty.
 *
 * Can block: made on the JavaScript thread where there are events, else on another; interruptible. Only on x86_64;
 * elsewhere it fails with `ENOSYS`, and {@link epoll_pwait} is to be had. Manual page: epoll_wait(2).
 *
 * @category events
 * @since 0.1.0
 */
export const epoll_wait = (
  epfd: number,
  maxevents: number,
  timeout = -1
): Effect.Effect<ReadonlyArray<Abi.epoll_event>, errors.EpollWaitError> =>
  run({
    errors: errors.epoll_wait,
    nr: nr.epoll_wait ?? absent,
    prepare: () => {
      const count = int("maxevents", maxevents)
      return [descriptor("epfd", epfd), roomForEvents(count), count, int("timeout", timeout)]
    },
    decode: eventsAt1,
    options: timeout === 0 ? onThisThread : epollFirstOptions,
    subject: { fd: epfd }
  })

/**
 * `epoll_pwait(epfd, maxevents, timeout, sigmask)`—Waits for events on the files of a set, with `sigmask` for the blocked
 * signals; returns up to `maxevents` of them.
 *
 * `timeout` is in milliseconds: 0 does not wait, -1 waits for ever. When the time is over the list is empty. With null
 * the signals that are blocked stay so. On another thread those that `sigmask` leaves out can be delivered, which fails
 * with `EINTR`.
 *
 * Can block: made on the JavaScript thread where there are events, else on another; interruptible. Since Linux 2.6.19.
 * Manual page: epoll_pwait(2).
 *
 * @category events
 * @since 0.1.0
 */
export const epoll_pwait = (
  epfd: number,
  maxevents: number,
  timeout = -1,
  sigmask: ReadonlyArray<number> | null = null
): Effect.Effect<ReadonlyArray<Abi.epoll_event>, errors.EpollPwaitError> =>
  run({
    errors: errors.epoll_pwait,
    nr: nr.epoll_pwait,
    prepare: () => {
      const count = int("maxevents", maxevents)
      const mask = waitingMask("sigmask", sigmask)
      return [descriptor("epfd", epfd), roomForEvents(count), count, int("timeout", timeout), mask, maskSize]
    },
    decode: eventsAt1,
    options: timeout === 0 ? onThisThread : epollFirstOptions,
    subject: { fd: epfd }
  })

/**
 * `epoll_pwait2(epfd, maxevents, timeout, sigmask)`—Waits for events on the files of a set, to the nanosecond and with
 * `sigmask` for the blocked signals; returns up to `maxevents` of them.
 *
 * `timeout` is null for ever. When the time is over the list is empty. `sigmask` is as for {@link epoll_pwait}.
 *
 * Can block: made on another thread; interruptible. Since Linux 5.11. Manual page: epoll_pwait2(2).
 *
 * @category events
 * @since 0.1.0
 */
export const epoll_pwait2 = (
  epfd: number,
  maxevents: number,
  timeout: Timeout = null,
  sigmask: ReadonlyArray<number> | null = null
): Effect.Effect<ReadonlyArray<Abi.epoll_event>, errors.EpollPwait2Error> =>
  run({
    errors: errors.epoll_pwait2,
    nr: nr.epoll_pwait2,
    prepare: () => {
      const count = int("maxevents", maxevents)
      const span = timeoutMemory("timeout", timeout)
      const mask = waitingMask("sigmask", sigmask)
      return [descriptor("epfd", epfd), roomForEvents(count), count, span, mask, maskSize]
    },
    decode: eventsAt1,
    options: epollOptions,
    subject: { fd: epfd }
  })

// ---------------------------------------------------------------------------------------------------------------------
// poll
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A file to wait for: `events` are of `POLLIN`, `POLLOUT`, `POLLPRI`, `POLLRDHUP` and the like; `POLLERR`, `POLLHUP` and
 * `POLLNVAL` are always told. One with a negative `fd` is left out.
 *
 * @category events
 * @since 0.1.0
 */
export interface PollRequest {
  readonly fd: number
  readonly events: number
}

const pollMemory = (fds: ReadonlyArray<PollRequest>): [memory: Uint8Array, count: number] => {
  if (!Array.isArray(fds)) throw new TypeError("fds: expected an array of records")
  const list = Array.from(fds, ({ events, fd }: PollRequest) => ({ fd: descriptor("fd", fd), events, revents: 0 }))
  return [encodeList(Abi.pollfd, "fds", list), list.length]
}

const polled = (_: Result, args: ReadonlyArray<Argument>): ReadonlyArray<Abi.pollfd> => {
  const memory = memoryAt(args, 0)
  return decodeList(Abi.pollfd, memory, memory.length / Abi.pollfd.size)
}

const pollOptions: BlockingOptions = { inlineFirst: true }
const ppollOptions: BlockingOptions = { directions: directions(unknown, unknown, unknown, reads) }

/**
 * `poll(fds, timeout)`—Waits for events on some files; returns all of them, in order, with what has happened in
 * `revents`: 0 for nothing.
 *
 * `timeout` is in milliseconds: 0 does not wait, -1 waits for ever.
 *
 * Can block: made on the JavaScript thread where there are events, else on another; interruptible. Only on x86_64;
 * elsewhere it fails with `ENOSYS`, and {@link ppoll} is to be had. Manual page: poll(2).
 *
 * @category events
 * @since 0.1.0
 */
export const poll = (
  fds: ReadonlyArray<PollRequest>,
  timeout = -1
): Effect.Effect<ReadonlyArray<Abi.pollfd>, errors.PollError> =>
  run({
    errors: errors.poll,
    nr: nr.poll ?? absent,
    prepare: () => [...pollMemory(fds), int("timeout", timeout)],
    decode: polled,
    options: timeout === 0 ? onThisThread : pollOptions
  })

/**
 * `ppoll(fds, timeout, sigmask)`—Waits for events on some files, to the nanosecond and with `sigmask` for the blocked
 * signals; returns all of them, in order, with what has happened in `revents`: 0 for nothing.
 *
 * `timeout` is null for ever. With null for `sigmask` the signals that are blocked stay so; those that it leaves out can
 * be delivered to the thread that waits, which fails with `EINTR`.
 *
 * Can block: made on another thread; interruptible. Since Linux 2.6.16. Manual page: ppoll(2).
 *
 * @category events
 * @since 0.1.0
 */
export const ppoll = (
  fds: ReadonlyArray<PollRequest>,
  timeout: Timeout = null,
  sigmask: ReadonlyArray<number> | null = null
): Effect.Effect<ReadonlyArray<Abi.pollfd>, errors.PpollError> =>
  run({
    errors: errors.ppoll,
    nr: nr.ppoll,
    prepare: () => [...pollMemory(fds), timeoutMemory("timeout", timeout), waitingMask("sigmask", sigmask), maskSize],
    decode: polled,
    options: ppollOptions
  })

// ---------------------------------------------------------------------------------------------------------------------
// select
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The files that were ready, in rising order, and what was left of the time: null where there was no limit.
 *
 * @category events
 * @since 0.1.0
 */
export interface Selected<T> {
  readonly readfds: ReadonlyArray<number>
  readonly writefds: ReadonlyArray<number>
  readonly exceptfds: ReadonlyArray<number>
  readonly timeout: T | null
}

/** Far above what the kernel gives out by default; a set takes as many bits. */
const mostDescriptors = 1 << 26

const descriptors = (name: string, fds: ReadonlyArray<number>): ReadonlyArray<number> => {
  if (!Array.isArray(fds)) throw new TypeError(`${name}: expected an array of descriptors`)
  return Array.from(fds, (fd: number) => {
    if (descriptor(name, fd) < 0 || fd >= mostDescriptors) {
      throw new Misuse(codes.EBADF, `${name}: ${fd} is no file descriptor`)
    }
    return fd
  })
}

/** The four arguments that both forms begin with. */
const selectMemory = (
  readfds: ReadonlyArray<number>,
  writefds: ReadonlyArray<number>,
  exceptfds: ReadonlyArray<number>
): ReadonlyArray<Argument> => {
  const lists = [
    descriptors("readfds", readfds),
    descriptors("writefds", writefds),
    descriptors("exceptfds", exceptfds)
  ]
  const nfds = lists.reduce((most, list) => list.reduce((a, fd) => Math.max(a, fd + 1), most), 0)
  // The kernel reads and writes whole words of 64 bits.
  const size = Math.ceil(nfds / 64) * 8
  return [
    nfds,
    ...lists.map((list) => {
      const set = new Uint8Array(size)
      for (const fd of list) set[fd >> 3] = (set[fd >> 3] ?? 0) | (1 << (fd & 7))
      return set
    })
  ]
}

const members = (set: Uint8Array): ReadonlyArray<number> => {
  const fds: Array<number> = []
  set.forEach((byte, index) => {
    for (let bit = 0; bit < 8; bit++) if ((byte & (1 << bit)) !== 0) fds.push(index * 8 + bit)
  })
  return fds
}

const describeSelect = <T, E>(
  errorsOf: CallErrors<E>,
  number_: number,
  prepare: () => ReadonlyArray<Argument>,
  decodeTimeout: (memory: Uint8Array) => T
): Description<Selected<T>, E> => ({
  errors: errorsOf,
  nr: number_,
  prepare,
  decode: (count, args) => {
    const [readfds, writefds, exceptfds] = [1, 2, 3].map((index) => members(memoryAt(args, index)))
    const ready = [readfds, writefds, exceptfds].map((fds = []) => fds)
    // Descriptors above all that the process ever had are not looked at, and would seem to be ready.
    if (ready.reduce((sum, fds) => sum + fds.length, 0) !== number(count)) {
      throw new Misuse(codes.EBADF, `${Math.max(...ready.flat())} is no open file descriptor`)
    }
    const memory = args[4]
    return {
      readfds: readfds ?? [],
      writefds: writefds ?? [],
      exceptfds: exceptfds ?? [],
      timeout: memory instanceof Uint8Array ? decodeTimeout(memory) : null
    }
  },
  options: {}
})

const toTimeval = (timeout: Duration.Input | Abi.timeval): Abi.timeval => {
  if (Predicate.hasProperty(timeout, "tv_usec")) return timeout as Abi.timeval
  const { tv_nsec, tv_sec } = toTimespec("timeout", Duration.fromInputUnsafe(timeout as Duration.Input))
  const micros = tv_sec * 1_000_000n + (tv_nsec + 999n) / 1000n
  return { tv_sec: micros / 1_000_000n, tv_usec: micros % 1_000_000n }
}

/**
 * `select(readfds, writefds, exceptfds, timeout)`—Waits until some file can be read, be written or has something
 * exceptional; returns those that do.
 *
 * `timeout` is null for ever. Any descriptor will do, not only those below 1,024.
 *
 * Can block: made on another thread; interruptible. Only on x86_64; elsewhere it fails with `ENOSYS`, and
 * {@link pselect6} is to be had. Manual page: select(2).
 *
 * @category events
 * @since 0.1.0
 */
export const select = (
  readfds: ReadonlyArray<number>,
  writefds: ReadonlyArray<number> = [],
  exceptfds: ReadonlyArray<number> = [],
  timeout: Duration.Input | Abi.timeval | null = null
): Effect.Effect<Selected<Abi.timeval>, errors.SelectError> =>
  run(
    describeSelect(
      errors.select,
      nr.select ?? absent,
      () => [
        ...selectMemory(readfds, writefds, exceptfds),
        timeout === null ? null : Abi.timeval.encode(toTimeval(timeout))
      ],
      (memory) => Abi.timeval.decode(memory)
    )
  )

/**
 * `pselect6(readfds, writefds, exceptfds, timeout, sigmask)`—Waits until some file can be read, be written or has
 * something exceptional, to the nanosecond and with `sigmask` for the blocked signals; returns those that do.
 *
 * `timeout` is null for ever; `sigmask` is as for {@link ppoll}. Any descriptor will do, not only those below 1,024.
 *
 * Can block: made on another thread; interruptible. Since Linux 2.6.16. Manual page: pselect(2).
 *
 * @category events
 * @since 0.1.0
 */
export const pselect6 = (
  readfds: ReadonlyArray<number>,
  writefds: ReadonlyArray<number> = [],
  exceptfds: ReadonlyArray<number> = [],
  timeout: Timeout = null,
  sigmask: ReadonlyArray<number> | null = null
): Effect.Effect<Selected<Abi.timespec>, errors.Pselect6Error> =>
  run(
    describeSelect(
      errors.pselect6,
      nr.pselect6,
      () => [
        ...selectMemory(readfds, writefds, exceptfds),
        timeoutMemory("timeout", timeout),
        maskStructure("sigmask", sigmask)
      ],
      (memory) => Abi.timespec.decode(memory)
    )
  )
