/** Structures of clocks and timers. */

import * as Struct from "../Struct.ts"
import { sigval, timeval } from "./process.ts"

/**
 * A point in time or a span of it: `tv_nsec` from 0 to 999,999,999.
 *
 * @category structures
 * @since 0.1.0
 */
export const timespec = Struct.make("__kernel_timespec", {
  tv_sec: Struct.i64,
  tv_nsec: Struct.i64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface timespec extends Struct.Type<typeof timespec> {}

/**
 * When a timer expires: `it_value` is the time until it does next, 0 for a timer that is stopped; `it_interval` the
 * time between later expirations, 0 for none.
 *
 * @category structures
 * @since 0.1.0
 */
export const itimerspec = Struct.make("__kernel_itimerspec", {
  it_interval: timespec,
  it_value: timespec
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface itimerspec extends Struct.Type<typeof itimerspec> {}

/**
 * A time zone as `gettimeofday` has it, which the kernel uses for file systems that keep local time only: minutes
 * west of Greenwich, and a kind of daylight saving that nothing uses.
 *
 * @category structures
 * @since 0.1.0
 */
export const timezone = Struct.make("timezone", {
  tz_minuteswest: Struct.i32,
  tz_dsttime: Struct.i32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface timezone extends Struct.Type<typeof timezone> {}

/**
 * How a clock is kept right, as `adjtimex` tells and takes it. `modes` are of `ADJ_*` and say which fields are to be
 * set; `status` is of `STA_*`. `offset` is in microseconds, or nanoseconds with `STA_NANO`; `freq`, `ppsfreq` and
 * `stabil` are in parts per million with 16 bits of fraction; `maxerror`, `esterror` and `tick` in microseconds;
 * `tai` in seconds.
 *
 * @category structures
 * @since 0.1.0
 */
export const timex = Struct.make("__kernel_timex", {
  modes: Struct.u32,
  __pad0: Struct.padding(4, 4),
  offset: Struct.i64,
  freq: Struct.i64,
  maxerror: Struct.i64,
  esterror: Struct.i64,
  status: Struct.i32,
  __pad1: Struct.padding(4, 4),
  constant: Struct.i64,
  precision: Struct.i64,
  tolerance: Struct.i64,
  time: timeval,
  tick: Struct.i64,
  ppsfreq: Struct.i64,
  jitter: Struct.i64,
  shift: Struct.i32,
  __pad2: Struct.padding(4, 4),
  stabil: Struct.i64,
  jitcnt: Struct.i64,
  calcnt: Struct.i64,
  errcnt: Struct.i64,
  stbcnt: Struct.i64,
  tai: Struct.i32,
  __pad3: Struct.padding(44, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface timex extends Struct.Type<typeof timex> {}

/**
 * What happens when a timer expires or a message comes: `sigev_notify` is `SIGEV_SIGNAL` (the signal `sigev_signo`
 * with `sigev_value` is sent to the process), `SIGEV_THREAD_ID` (to the thread `_sigev_un._tid`) or `SIGEV_NONE`.
 * `SIGEV_THREAD` is for libc.
 *
 * @category structures
 * @since 0.1.0
 */
export const sigevent = Struct.make("sigevent", {
  sigev_value: sigval,
  sigev_signo: Struct.i32,
  sigev_notify: Struct.i32,
  _sigev_un: Struct.union("sigevent._sigev_un", {
    _pad: Struct.padding(48, 4),
    _tid: Struct.i32,
    _sigev_thread: Struct.make("sigevent._sigev_un._sigev_thread", {
      _function: Struct.pointer,
      _attribute: Struct.pointer
    })
  })
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sigevent extends Struct.Type<typeof sigevent> {}
