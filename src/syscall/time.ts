/** System calls on clocks and timers that give more than one thing, or take records of which few fields count. */
import type * as Effect from "effect/Effect"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { int } from "../internal/arguments.ts"
import { onThisThread, run } from "../internal/invoke.ts"
import { memoryAt, number } from "./convert.ts"
import { encodeSome } from "./events-memory.ts"
import { nr } from "./raw.ts"
import { encodeSignalEvent, type SignalEvent } from "./time-sigevent.ts"

export type { SignalEvent } from "./time-sigevent.ts"

/**
 * The time and the kernel's time zone, which is not that of users.
 *
 * @category time
 * @since 0.1.0
 */
export interface TimeOfDay {
  readonly tv: Abi.timeval
  readonly tz: Abi.timezone
}

/**
 * `gettimeofday()`—Tells the time, to the microsecond, and the kernel's time zone.
 *
 * `clock_gettime` is the finer one. Does not block. Manual page: gettimeofday(2).
 *
 * @category time
 * @since 0.1.0
 */
export const gettimeofday: Effect.Effect<TimeOfDay, errors.GettimeofdayError> = run({
  errors: errors.gettimeofday,
  nr: nr.gettimeofday,
  prepare: () => [new Uint8Array(Abi.timeval.size), new Uint8Array(Abi.timezone.size)],
  decode: (_, args) => ({ tv: Abi.timeval.decode(memoryAt(args, 0)), tz: Abi.timezone.decode(memoryAt(args, 1)) }),
  options: onThisThread
})

/**
 * How a clock is kept right.
 *
 * @category time
 * @since 0.1.0
 */
export interface ClockAdjustment {
  /** One of `TIME_OK`, `TIME_INS`, `TIME_DEL`, `TIME_OOP`, `TIME_WAIT` and `TIME_ERROR`. */
  readonly state: number
  readonly timex: Abi.timex
}

/**
 * `adjtimex(buf)`—Tells how the real-time clock is kept right, and changes what `buf.modes` names.
 *
 * `buf.modes` are of `ADJ_*`, 0 to change nothing; other fields that are left out are 0. To change something needs
 * `CAP_SYS_TIME`.
 *
 * Does not block. Manual page: adjtimex(2).
 *
 * @category time
 * @since 0.1.0
 */
export const adjtimex = (buf: Partial<Abi.timex> = {}): Effect.Effect<ClockAdjustment, errors.AdjtimexError> =>
  run({
    errors: errors.adjtimex,
    nr: nr.adjtimex,
    prepare: () => [encodeSome(Abi.timex, buf)],
    decode: (state, args) => ({ state: number(state), timex: Abi.timex.decode(memoryAt(args, 0)) }),
    options: onThisThread
  })

/**
 * `clock_adjtime(clock, buf)`—Tells how a clock is kept right, and changes what `buf.modes` names.
 *
 * `clock` is `CLOCK_REALTIME` or that of a device, `(~fd << 3) | 3`; `buf` is as for {@link adjtimex}.
 *
 * Does not block. Since Linux 2.6.39. Manual page: clock_adjtime(2).
 *
 * @category time
 * @since 0.1.0
 */
export const clock_adjtime = (
  clock: number,
  buf: Partial<Abi.timex> = {}
): Effect.Effect<ClockAdjustment, errors.ClockAdjtimeError> =>
  run({
    errors: errors.clock_adjtime,
    nr: nr.clock_adjtime,
    prepare: () => [int("clock", clock), encodeSome(Abi.timex, buf)],
    decode: (state, args) => ({ state: number(state), timex: Abi.timex.decode(memoryAt(args, 1)) }),
    options: onThisThread
  })

/**
 * `timer_create(clock, sevp)`—Makes a timer, which is not started yet; returns its identifier.
 *
 * `clock` is one of `CLOCK_*`. Where `sevp` is null, `SIGALRM` is sent to the process when it expires, with the
 * identifier for its data. The timer stays until `timer_delete`, or the end of the process.
 *
 * Does not block. Manual page: timer_create(2).
 *
 * @category time
 * @since 0.1.0
 */
export const timer_create = (
  clock: number,
  sevp: SignalEvent | null = null
): Effect.Effect<number, errors.TimerCreateError> =>
  run({
    errors: errors.timer_create,
    nr: nr.timer_create,
    prepare: () => [int("clock", clock), encodeSignalEvent(sevp), new Uint8Array(4)],
    decode: (_, args) => new DataView(memoryAt(args, 2).buffer).getInt32(0, true),
    options: onThisThread
  })
