/**
 * Sets of files that are waited for together: `epoll`. The kernel keeps the set, so that one wait costs the same however
 * many files are in it.
 *
 * Files are added by themselves and come back by themselves, with whatever was said of them; a file that is closed leaves
 * its sets.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Abi from "./Abi.ts"
import * as errors from "./errors/calls.ts"
import { codes } from "./errors/errnos.ts"
import type { File } from "./File.ts"
import { adopt, own } from "./file/model.ts"
import { beforeClose, ownerOf } from "./file/several.ts"
import { bitsOf, wordsOf } from "./file/words.ts"
import type * as Ioctl from "./Ioctl.ts"
import * as constants from "./internal/constants.ts"
import { type Descriptor, runOn } from "./internal/descriptor.ts"
import { type Description, Misuse, onThisThread, ready, run } from "./internal/invoke.ts"
import type { Argument, Result } from "./internal/native.ts"
import { kernel } from "./internal/trampoline.ts"
import * as Syscall from "./Syscall.ts"
import { memoryAt } from "./syscall/convert.ts"
import { decodeList } from "./syscall/events-memory.ts"

/**
 * What files of a set carry; only a type.
 *
 * @category models
 * @since 0.1.0
 */
export interface Carrying<in out A> {
  readonly "~effect-linux/Epoll": (data: A) => A
}

/**
 * A set of files that are waited for; with each file there is a value of type `A`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Epoll<in out A = void> extends File<Ioctl.Device<"Epoll"> & Carrying<A>> {}

/**
 * What a file can be ready for: `in` (a read would not wait), `pri` (something exceptional), `out` (a write would not
 * wait), `rdhup` (the other end of a stream will write no more).
 *
 * @category models
 * @since 0.1.0
 */
export type Interest = "in" | "pri" | "out" | "rdhup" | "rdnorm" | "rdband" | "wrnorm" | "wrband" | "msg"

/**
 * How a file is waited for: `et` tells of changes only and not of how things are (edge-triggered), `oneshot` tells once
 * and then nothing until {@link modify}, `exclusive` tells only some of several sets, `wakeup` keeps the machine awake
 * while the event is worked on (with `CAP_BLOCK_SUSPEND`).
 *
 * @category models
 * @since 0.1.0
 */
export type Mode = "et" | "oneshot" | "exclusive" | "wakeup"

/**
 * What has happened to a file: what was asked for, and `err` (it failed) and `hup` (the other end is closed), which are
 * always told.
 *
 * @category models
 * @since 0.1.0
 */
export type Happened = Interest | "err" | "hup"

const interests: { readonly [Word in Interest]: number } = {
  in: constants.EPOLLIN,
  pri: constants.EPOLLPRI,
  out: constants.EPOLLOUT,
  rdhup: constants.EPOLLRDHUP,
  rdnorm: constants.EPOLLRDNORM,
  rdband: constants.EPOLLRDBAND,
  wrnorm: constants.EPOLLWRNORM,
  wrband: constants.EPOLLWRBAND,
  msg: constants.EPOLLMSG
}

const asked: { readonly [Word in Interest | Mode]: number } = {
  ...interests,
  et: constants.EPOLLET,
  oneshot: constants.EPOLLONESHOT,
  exclusive: constants.EPOLLEXCLUSIVE,
  wakeup: constants.EPOLLWAKEUP
}

const happened: { readonly [Word in Happened]: number } = {
  ...interests,
  err: constants.EPOLLERR,
  hup: constants.EPOLLHUP
}

/**
 * How a file is put into a set: what is waited for, in words or as a mask of `EPOLL*`, and what its events are to carry.
 *
 * @category models
 * @since 0.1.0
 */
export type Interests<A> = {
  readonly events: ReadonlyArray<Interest | Mode> | number
} & (undefined extends A ? { readonly data?: A } : { readonly data: A })

/**
 * Something that happened to a file of a set.
 *
 * @category models
 * @since 0.1.0
 */
export interface Event<out A> {
  readonly file: File<unknown>
  readonly data: A
  readonly events: ReadonlyArray<Happened>
  /** The same as a mask of `EPOLL*`. */
  readonly mask: number
}

interface Registration {
  readonly file: File<unknown>
  data: unknown
  readonly forget: () => void
}

/** What is in all sets, by the number that the kernel gives back: a duplicate of a set has the same files. */
const registrations = new Map<bigint, Registration>()

let nextId = 1n

/** The numbers of the files in a set. */
const sets = new WeakMap<Descriptor, Map<Descriptor, bigint>>()

const idsOf = (self: Descriptor): Map<Descriptor, bigint> => {
  const known = sets.get(self)
  if (known !== undefined) return known
  const fresh = new Map<Descriptor, bigint>()
  sets.set(self, fresh)
  return fresh
}

/**
 * Makes an empty set, for as long as the scope is open. `A` is what each file's events carry.
 *
 * Does not block. Manual page: epoll_create(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Epoll, type File } from "effect-linux"
 *
 * const whoSpeaks = (left: File.File, right: File.File) =>
 *   Effect.gen(function* () {
 *     const set = yield* Epoll.make<string>()
 *     yield* Epoll.add(set, left, { events: ["in", "rdhup"], data: "left" })
 *     yield* Epoll.add(set, right, { events: ["in", "rdhup"], data: "right" })
 *     const events = yield* Epoll.wait(set)
 *     return events.map(({ data }) => data)
 *   }).pipe(Effect.scoped)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <A = void>(): Effect.Effect<Epoll<A>, errors.EpollCreate1Error, Scope.Scope> =>
  adopt<Ioctl.Device<"Epoll"> & Carrying<A>, errors.EpollCreate1Error>({
    errors: errors.epoll_create1,
    nr: Syscall.nr.epoll_create1,
    prepare: () => [constants.EPOLL_CLOEXEC],
    decode: Number,
    options: onThisThread
  })

const control = (
  self: Descriptor,
  operation: number,
  target: Descriptor,
  prepareEvent: () => Uint8Array | null
): Effect.Effect<void, errors.EpollCtlError> =>
  run(
    {
      errors: errors.epoll_ctl,
      nr: Syscall.nr.epoll_ctl,
      prepare: () => [self.fd, operation, target.fd, prepareEvent()],
      decode: () => {},
      options: onThisThread,
      subject: { fd: target.fd }
    },
    undefined,
    ownerOf([self, target], target.fd)
  )

const drop = (self: Descriptor, target: Descriptor, id: bigint): void => {
  registrations.get(id)?.forget()
  registrations.delete(id)
  const ids = idsOf(self)
  // It may have been removed and put in again by somebody else.
  if (ids.get(target) === id) ids.delete(target)
}

const enter = <A>(
  epoll: Epoll<A>,
  file: File<unknown>,
  how: Interests<A>
): Effect.Effect<bigint, errors.EpollCtlError> =>
  Effect.suspend(() => {
    const [self, target] = [own(epoll), own(file)]
    const id = nextId++
    const encode = () => Abi.epoll_event.encode({ events: bitsOf("events", asked, how.events), data: id })
    return Effect.map(control(self, constants.EPOLL_CTL_ADD, target, encode), () => {
      // The kernel forgets a file only with its last descriptor, and tells of it until then.
      const forget = beforeClose(target, () => {
        if (!self.closed) kernel.call(Syscall.nr.epoll_ctl, self.fd, constants.EPOLL_CTL_DEL, target.fd, null)
        drop(self, target, id)
      })
      registrations.set(id, { file, data: how.data, forget })
      idsOf(self).set(target, id)
      return id
    })
  })

/**
 * Puts a file into a set, for as long as the scope and the file are open, or until {@link remove}.
 *
 * Fails with `EEXIST` for one that is in it already, with `EPERM` for a file that cannot be waited for, such as one on a
 * disk, and with `ELOOP` for sets within sets that go round in a circle.
 *
 * Does not block. Manual page: epoll_ctl(2).
 *
 * @category files
 * @since 0.1.0
 */
export const add = <A>(
  epoll: Epoll<A>,
  file: File<unknown>,
  how: Interests<NoInfer<A>>
): Effect.Effect<void, errors.EpollCtlError, Scope.Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(enter(epoll, file, how), (id) =>
      Effect.suspend(() => {
        const [self, target] = [own(epoll), own(file)]
        const removing = idsOf(self).get(target) === id ? Effect.ignore(remove(epoll, file)) : Effect.void
        return Effect.map(removing, () => drop(self, target, id))
      })
    )
  )

/**
 * Changes what of a file is waited for, and what its events carry.
 *
 * Fails with `ENOENT` for one that is not in the set. Does not block. Manual page: epoll_ctl(2).
 *
 * @category files
 * @since 0.1.0
 */
export const modify = <A>(
  epoll: Epoll<A>,
  file: File<unknown>,
  how: Interests<NoInfer<A>>
): Effect.Effect<void, errors.EpollCtlError> =>
  Effect.suspend(() => {
    const [self, target] = [own(epoll), own(file)]
    const id = idsOf(self).get(target)
    if (id === undefined && !self.closed && !target.closed) {
      return Effect.fail(errors.epoll_ctl.make(codes.ENOENT, undefined, target.fd, "the file is not in this set"))
    }
    const encode = () => Abi.epoll_event.encode({ events: bitsOf("events", asked, how.events), data: id ?? 0n })
    return Effect.map(control(self, constants.EPOLL_CTL_MOD, target, encode), () => {
      const registration = registrations.get(id ?? 0n)
      if (registration !== undefined) registration.data = how.data
    })
  })

/**
 * Takes a file out of a set.
 *
 * Fails with `ENOENT` for one that is not in it. Does not block. Manual page: epoll_ctl(2).
 *
 * @category files
 * @since 0.1.0
 */
export const remove = <A>(epoll: Epoll<A>, file: File<unknown>): Effect.Effect<void, errors.EpollCtlError> =>
  Effect.suspend(() => {
    const [self, target] = [own(epoll), own(file)]
    return Effect.map(
      control(self, constants.EPOLL_CTL_DEL, target, () => null),
      () => {
        const id = idsOf(self).get(target)
        if (id !== undefined) drop(self, target, id)
      }
    )
  })

const mostAtOnce = 4096

const looking = <A>(
  self: Descriptor,
  maxEvents: number
): Description<ReadonlyArray<Event<A>>, errors.EpollPwaitError> => ({
  errors: errors.epoll_pwait,
  nr: Syscall.nr.epoll_pwait,
  prepare: () => {
    if (!Number.isInteger(maxEvents) || maxEvents < 1 || maxEvents > mostAtOnce) {
      throw new Misuse(codes.EINVAL, `maxEvents: expected an integer from 1 to ${mostAtOnce}, got ${maxEvents}`)
    }
    return [self.fd, new Uint8Array(maxEvents * Abi.epoll_event.size), maxEvents, 0, null, 8]
  },
  decode: (count: Result, args: ReadonlyArray<Argument>) => {
    return decodeList(Abi.epoll_event, memoryAt(args, 1), Number(count)).flatMap(({ data: id, events: mask }) => {
      const registration = registrations.get(id)
      if (registration === undefined) return []
      const { file } = registration
      // `add` took no other data for this set.
      return [{ file, data: registration.data as A, events: wordsOf(happened, mask), mask }]
    })
  },
  options: onThisThread,
  subject: { fd: self.fd }
})

/**
 * How long to wait, and how many events to give at most.
 *
 * @category models
 * @since 0.1.0
 */
export interface WaitOptions {
  /** As long as it takes, unless said. With 0 it only looks. */
  readonly timeout?: Duration.Input | undefined
  /** 64 unless said, and at most 4,096. Those that are left over are told next time. */
  readonly maxEvents?: number | undefined
}

/**
 * Waits until something has happened to files of the set, or the time is over; gives what has, and nothing when the time
 * is over.
 *
 * Can wait; interruptible. Manual page: epoll_wait(2).
 *
 * @category waiting
 * @since 0.1.0
 */
export const wait = <A>(
  epoll: Epoll<A>,
  options: WaitOptions = {}
): Effect.Effect<ReadonlyArray<Event<A>>, errors.EpollPwaitError> =>
  Effect.suspend(() => {
    const { maxEvents = 64, timeout = Duration.infinity } = options
    const self = own(epoll)
    const now = Effect.suspend(() => runOn(self, looking<A>(self, maxEvents)))
    const untilSome: typeof now = Effect.flatMap(now, (events) =>
      events.length > 0
        ? Effect.succeed(events)
        : Effect.flatMap(ready(self.fd, constants.POLLIN, self), () => untilSome)
    )
    const limit = Duration.fromInputUnsafe(timeout)
    if (Duration.isZero(limit)) return now
    return Duration.isFinite(limit)
      ? Effect.map(
          Effect.timeoutOption(untilSome, limit),
          Option.getOrElse((): ReadonlyArray<Event<A>> => [])
        )
      : untilSome
  })

/**
 * All that happens to the files of the set, as it happens. What is not `et` or `oneshot` is told again and again for as
 * long as it holds.
 *
 * @category waiting
 * @since 0.1.0
 */
export const events = <A>(epoll: Epoll<A>): Stream.Stream<Event<A>, errors.EpollPwaitError> =>
  Stream.paginate(undefined, () => Effect.map(wait(epoll), (events) => [events, Option.some(undefined)] as const))
