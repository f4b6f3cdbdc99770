/**
 * Timers that are files: `timerfd`. They count their expirations, run on any of the kernel's clocks, can be handed to
 * `Epoll` and `Poll`, and those of the alarm clocks wake the machine up.
 *
 * To sleep, or to do something at intervals, `Effect.sleep` and `Schedule` are what a program wants.
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
import { codes, type ECANCELED } from "./errors/errnos.ts"
import { errorsOf } from "./errors/registry.ts"
import type { File } from "./File.ts"
import { adopt, own } from "./file/model.ts"
import { attemptOn } from "./file/several.ts"
import { codeOf } from "./file/words.ts"
import * as Ioctl from "./Ioctl.ts"
import * as constants from "./internal/constants.ts"
import { runOn } from "./internal/descriptor.ts"
import { type Description, decodedAs, failingWith, Misuse, onThisThread } from "./internal/invoke.ts"
import type { Argument } from "./internal/native.ts"
import * as Syscall from "./Syscall.ts"
import * as describe from "./syscall/descriptions.ts"

/**
 * The kind of file: `File.asDevice(file, TimerFd.device)` makes a `TimerFd` of one that came from elsewhere.
 *
 * @category models
 * @since 0.1.0
 */
export const device = Ioctl.device("TimerFd")

/**
 * A timer.
 *
 * @category models
 * @since 0.1.0
 */
export interface TimerFd extends File<typeof device> {}

/**
 * The clocks that timers run on: `monotonic` never jumps and stands still while the machine sleeps, `boottime` goes on
 * then, `realtime` is the time of day and may be set. Timers of the alarm clocks wake the machine up, and need
 * `CAP_WAKE_ALARM`.
 *
 * @category models
 * @since 0.1.0
 */
export type Clock = "monotonic" | "boottime" | "realtime" | "realtimeAlarm" | "boottimeAlarm"

const clocks: { readonly [C in Clock]: number } = {
  monotonic: constants.CLOCK_MONOTONIC,
  boottime: constants.CLOCK_BOOTTIME,
  realtime: constants.CLOCK_REALTIME,
  realtimeAlarm: constants.CLOCK_REALTIME_ALARM,
  boottimeAlarm: constants.CLOCK_BOOTTIME_ALARM
}

/**
 * When a timer expires: once some time has gone by, or at a time of its clock, and then every `interval`, if there is one.
 *
 * `at` is in nanoseconds of the clock, a `timespec`, or for the two real-time clocks a `Date`. One that is over expires at
 * once. With `cancelOnSet`, a read fails with `ECANCELED` when the time of day is set.
 *
 * @category models
 * @since 0.1.0
 */
export type Setting =
  | {
      readonly after: Duration.Input
      readonly interval?: Duration.Input | undefined
      readonly at?: never
      readonly cancelOnSet?: never
    }
  | {
      readonly at: bigint | Abi.timespec | Date
      readonly interval?: Duration.Input | undefined
      readonly after?: never
      readonly cancelOnSet?: boolean | undefined
    }

/**
 * What is left of a timer until it expires, and the time between later expirations. `remaining` is undefined for one that
 * is stopped, `interval` for one that expires once.
 *
 * @category models
 * @since 0.1.0
 */
export interface State {
  readonly remaining: Duration.Duration | undefined
  readonly interval: Duration.Duration | undefined
}

const billion = 1_000_000_000n

const timespecOf = (nanos: bigint): Abi.timespec => ({ tv_sec: nanos / billion, tv_nsec: nanos % billion })

const durationOf = ({ tv_nsec, tv_sec }: Abi.timespec): Duration.Duration | undefined =>
  tv_sec === 0n && tv_nsec === 0n ? undefined : Duration.nanos(tv_sec * billion + tv_nsec)

const stateOf = ({ it_interval, it_value }: Abi.itimerspec): State => ({
  remaining: durationOf(it_value),
  interval: durationOf(it_interval)
})

const nanosOf = (name: string, input: Duration.Input): bigint => {
  const duration = Duration.fromInputUnsafe(input)
  if (!Duration.isFinite(duration)) throw new Misuse(codes.EINVAL, `${name}: an infinite duration is none for a timer`)
  return Duration.toNanosUnsafe(duration)
}

/** A time of 0 would stop the timer: what is due now is due a nanosecond after the beginning. */
const due = (value: Abi.timespec): Abi.timespec =>
  value.tv_sec === 0n && value.tv_nsec === 0n ? { tv_sec: 0n, tv_nsec: 1n } : value

const timeOf = (at: bigint | Abi.timespec | Date): Abi.timespec => {
  if (typeof at === "bigint") {
    if (at < 0n) throw new Misuse(codes.EINVAL, `at: ${at} is before the clock's beginning`)
    return timespecOf(at)
  }
  if (!(at instanceof Date)) return at
  const millis = at.getTime()
  if (!Number.isSafeInteger(millis) || millis < 0) throw new Misuse(codes.EINVAL, `at: ${at} is no time of the clock`)
  return timespecOf(BigInt(millis) * 1_000_000n)
}

const stopped: Abi.timespec = { tv_sec: 0n, tv_nsec: 0n }

const settingArguments = (fd: number, setting: Setting | undefined): ReadonlyArray<Argument> => {
  const old = new Uint8Array(Abi.itimerspec.size)
  if (setting === undefined) return [fd, 0, Abi.itimerspec.encode({ it_value: stopped, it_interval: stopped }), old]
  const absolute = setting.at !== undefined
  const it_value = due(absolute ? timeOf(setting.at) : timespecOf(nanosOf("after", setting.after)))
  const it_interval = setting.interval === undefined ? stopped : timespecOf(nanosOf("interval", setting.interval))
  const flags = absolute
    ? constants.TFD_TIMER_ABSTIME | (setting.cancelOnSet === true ? constants.TFD_TIMER_CANCEL_ON_SET : 0)
    : 0
  return [fd, flags, Abi.itimerspec.encode({ it_value, it_interval }), old]
}

const stateAt =
  (index: number) =>
  (_: unknown, args: ReadonlyArray<Argument>): State => {
    const memory = args[index]
    if (!(memory instanceof Uint8Array)) throw new TypeError("the call was prepared without memory")
    return stateOf(Abi.itimerspec.decode(memory))
  }

/**
 * Makes a timer that does not run yet, for as long as the scope is open. Its clock is `monotonic` unless said.
 *
 * Does not block. Manual page: timerfd_create(2).
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: { readonly clock?: Clock | undefined } = {}
): Effect.Effect<TimerFd, errors.TimerfdCreateError, Scope.Scope> => {
  const { clock = "monotonic" } = options
  return adopt<typeof device, errors.TimerfdCreateError>(
    {
      errors: errors.timerfd_create,
      nr: Syscall.nr.timerfd_create,
      prepare: () => [codeOf("clock", clocks, clock), constants.TFD_CLOEXEC | constants.TFD_NONBLOCK],
      decode: Number,
      options: onThisThread
    },
    undefined,
    true
  )
}

const settime = (timer: TimerFd, setting: Setting | undefined): Effect.Effect<State, errors.TimerfdSettimeError> =>
  Effect.suspend(() => {
    const { fd } = own(timer)
    return runOn(own(timer), {
      errors: errors.timerfd_settime,
      nr: Syscall.nr.timerfd_settime,
      prepare: () => settingArguments(fd, setting),
      decode: stateAt(3),
      options: onThisThread,
      subject: { fd }
    })
  })

/**
 * What reading a timer fails with: beside the errors of reading, that its clock was set (`ECANCELED`).
 *
 * @category errors
 * @since 0.1.0
 */
export type ReadError = errors.ReadError | ECANCELED

const readErrors = errorsOf("read", ["EINTR", "EIO", "EBADF", "EAGAIN", "EFAULT", "EISDIR", "EINVAL", "ECANCELED"])

/**
 * Starts the timer, or starts it anew; tells how it was before. Expirations that nobody has read are forgotten.
 *
 * Fails with `EINVAL` for spans and times that are infinite or below 0, and with `ECANCELED` where `cancelOnSet` was given
 * before and the clock was set since: the new setting holds all the same.
 *
 * Does not block. Manual page: timerfd_create(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { TimerFd } from "effect-linux"
 *
 * const program = Effect.gen(function* () {
 *   const timer = yield* TimerFd.make()
 *   yield* TimerFd.set(timer, { after: "1 second", interval: "100 millis" })
 *   return yield* TimerFd.read(timer) // 1n, after a second
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category timers
 * @since 0.1.0
 */
export const set = (timer: TimerFd, setting: Setting): Effect.Effect<State, errors.TimerfdSettimeError> =>
  settime(timer, setting)

/**
 * Stops the timer; tells how it was before. Manual page: timerfd_create(2).
 *
 * @category timers
 * @since 0.1.0
 */
export const stop = (timer: TimerFd): Effect.Effect<State, errors.TimerfdSettimeError> => settime(timer, undefined)

/**
 * What is left until the timer expires next. Manual page: timerfd_create(2).
 *
 * @category timers
 * @since 0.1.0
 */
export const get = (timer: TimerFd): Effect.Effect<State, errors.TimerfdGettimeError> =>
  Effect.suspend(() => {
    const { fd } = own(timer)
    return runOn(own(timer), {
      errors: errors.timerfd_gettime,
      nr: Syscall.nr.timerfd_gettime,
      prepare: () => [fd, new Uint8Array(Abi.itimerspec.size)],
      decode: stateAt(1),
      options: onThisThread,
      subject: { fd }
    })
  })

const reading = (fd: number): Description<bigint, ReadError> => {
  const counter = new BigUint64Array(1)
  return failingWith(
    decodedAs(describe.read(fd, counter), () => counter[0] ?? 0n),
    readErrors
  )
}

/**
 * Waits until the timer has expired; tells how often it has since it was last read or set.
 *
 * One that is stopped never expires. Fails with `ECANCELED` where `cancelOnSet` was given and the clock was set: the timer
 * then goes on, and the next read waits for it.
 *
 * Can wait; interruptible. Manual page: timerfd_create(2).
 *
 * @category reading
 * @since 0.1.0
 */
export const read = (timer: TimerFd): Effect.Effect<bigint, ReadError> =>
  Effect.suspend(() => runOn(own(timer), reading(own(timer).fd)))

/**
 * How often the timer has expired by now, if it has at all. Does not wait for a timer that `make` made.
 *
 * @category reading
 * @since 0.1.0
 */
export const tryRead = (timer: TimerFd): Effect.Effect<Option.Option<bigint>, ReadError> =>
  Effect.suspend(() => Effect.map(attemptOn(own(timer), reading(own(timer).fd)), Option.fromUndefinedOr))

/**
 * Each time the timer has expired, how often: 1, or more where the consumer was late.
 *
 * Ends only with the timer, or with an error of reading it.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { TimerFd } from "effect-linux"
 *
 * const threeTicks = Effect.gen(function* () {
 *   const timer = yield* TimerFd.make({ clock: "boottime" })
 *   yield* TimerFd.set(timer, { after: "10 millis", interval: "10 millis" })
 *   return yield* Stream.runCollect(Stream.take(TimerFd.expirations(timer), 3))
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category reading
 * @since 0.1.0
 */
export const expirations = (timer: TimerFd): Stream.Stream<bigint, ReadError> =>
  Stream.paginate(undefined, () => Effect.map(read(timer), (count) => [[count], Option.some(undefined)] as const))
