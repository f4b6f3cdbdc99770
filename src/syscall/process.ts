/**
 * System calls about the process, the machine and the time.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { type Buffer, bufferLength, int } from "../internal/arguments.ts"
import { inline, run } from "../internal/invoke.ts"
import { Direction, directions } from "../internal/trampoline.ts"
import { nothing, toTimespec } from "./convert.ts"
import { infallible } from "./policy.ts"
import { nr } from "./raw.ts"

const identity = (name: "getpid" | "getppid" | "gettid" | "getuid" | "geteuid" | "getgid" | "getegid") =>
  inline(infallible(name), (call) => call(nr[name]), Number)

/**
 * `getpid()`—The process's identifier. Cannot fail. Manual page: getpid(2).
 *
 * @category process
 * @since 0.1.0
 */
export const getpid: Effect.Effect<number> = identity("getpid")

/**
 * `getppid()`—The parent process's identifier; 0 where it is in another PID namespace. Cannot fail. Manual page:
 * getppid(2).
 *
 * @category process
 * @since 0.1.0
 */
export const getppid: Effect.Effect<number> = identity("getppid")

/**
 * `gettid()`—The identifier of the thread that JavaScript runs on. Cannot fail. Manual page: gettid(2).
 *
 * @category process
 * @since 0.1.0
 */
export const gettid: Effect.Effect<number> = identity("gettid")

/**
 * `getuid()`—The real user identifier. Cannot fail. Manual page: getuid(2).
 *
 * @category process
 * @since 0.1.0
 */
export const getuid: Effect.Effect<number> = identity("getuid")

/**
 * `geteuid()`—The effective user identifier. Cannot fail. Manual page: geteuid(2).
 *
 * @category process
 * @since 0.1.0
 */
export const geteuid: Effect.Effect<number> = identity("geteuid")

/**
 * `getgid()`—The real group identifier. Cannot fail. Manual page: getgid(2).
 *
 * @category process
 * @since 0.1.0
 */
export const getgid: Effect.Effect<number> = identity("getgid")

/**
 * `getegid()`—The effective group identifier. Cannot fail. Manual page: getegid(2).
 *
 * @category process
 * @since 0.1.0
 */
export const getegid: Effect.Effect<number> = identity("getegid")

/**
 * `kill(pid, signal)`—Sends a signal to a process, a process group (negative) or all (-1); with signal 0 only asks
 * whether it could.
 *
 * Does not block. Manual page: kill(2).
 *
 * @category process
 * @since 0.1.0
 */
export const kill = (pid: number, signal: number): Effect.Effect<void, errors.KillError> =>
  inline(errors.kill, (call) => call(nr.kill, int("pid", pid), int("signal", signal)), nothing)

/**
 * `tgkill(tgid, tid, signal)`—Sends a signal to the thread `tid` of the process `tgid`.
 *
 * Does not block. Manual page: tgkill(2).
 *
 * @category process
 * @since 0.1.0
 */
export const tgkill = (tgid: number, tid: number, signal: number): Effect.Effect<void, errors.TgkillError> =>
  inline(errors.tgkill, (call) => call(nr.tgkill, int("tgid", tgid), int("tid", tid), int("signal", signal)), nothing)

/**
 * `uname()`—The names and versions of the running kernel and machine.
 *
 * Does not block. Manual page: uname(2).
 *
 * @category machine
 * @since 0.1.0
 */
export const uname: Effect.Effect<Abi.new_utsname, errors.UnameError> = (() => {
  // Filled and decoded within one step of one fiber, so that all can share it.
  const buffer = new Uint8Array(Abi.new_utsname.size)
  return inline(
    errors.uname,
    (call) => call(nr.uname, buffer),
    () => Abi.new_utsname.decode(buffer)
  )
})()

/**
 * `getrandom(buffer, flags)`—Fills a buffer with random bytes; returns how many, which is all up to 256 and may be fewer
 * for more. `flags` are of `GRND_NONBLOCK`, `GRND_RANDOM` and `GRND_INSECURE`.
 *
 * Blocks only until the kernel's generator is ready, soon after boot, and then runs on another thread. Since Linux 3.17.
 * Manual page: getrandom(2).
 *
 * @category machine
 * @since 0.1.0
 */
export const getrandom = (buffer: Buffer, flags = 0): Effect.Effect<number, errors.GetrandomError> =>
  run({
    errors: errors.getrandom,
    nr: nr.getrandom,
    prepare: () => [buffer, bufferLength("buffer", buffer), int("flags", flags)],
    decode: Number,
    options: { inlineFirst: true, directions: directions(Direction.outCount) }
  })

/**
 * `clock_gettime(clock)`—The time of a clock, one of `CLOCK_*`.
 *
 * Does not block. Manual page: clock_gettime(2).
 *
 * @category time
 * @since 0.1.0
 */
export const clock_gettime = (clock: number): Effect.Effect<Abi.timespec, errors.ClockGettimeError> => {
  const buffer = new Uint8Array(Abi.timespec.size)
  return inline(
    errors.clock_gettime,
    (call) => call(nr.clock_gettime, int("clock", clock), buffer),
    () => Abi.timespec.decode(buffer)
  )
}

/**
 * `nanosleep(duration)`—Sleeps in the kernel, on a thread of its own. `Effect.sleep` is what a program wants that only
 * means to wait.
 *
 * Blocks on another thread; interruptible. Manual page: nanosleep(2).
 *
 * @category time
 * @since 0.1.0
 */
export const nanosleep = (duration: Duration.Input | Abi.timespec): Effect.Effect<void, errors.NanosleepError> =>
  run({
    errors: errors.nanosleep,
    nr: nr.nanosleep,
    prepare: () => [Abi.timespec.encode(toTimespec("duration", duration)), null],
    decode: nothing,
    options: { directions: directions(Direction.in) }
  })
