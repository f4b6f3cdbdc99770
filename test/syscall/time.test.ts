/** Clocks and timers, against the real kernel. No clock is set: what would set one is asked for in a way that is refused. */
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { type Abi, Errno, Syscall } from "../../src/index.ts"
import * as Generated from "../../src/syscall/generated/time.ts"
import * as Time from "../../src/syscall/time.ts"
import { asleepIn, held } from "../support/fds.ts"
import { eventually } from "../support/process.ts"

const seconds = () => Date.now() / 1000

const { CLOCK_MONOTONIC, CLOCK_REALTIME } = Syscall

const billion = 1_000_000_000n
const nanos = ({ tv_nsec, tv_sec }: Abi.timespec): bigint => tv_sec * billion + tv_nsec

const hour = { it_value: { tv_sec: 3600n, tv_nsec: 0n }, it_interval: { tv_sec: 7n, tv_nsec: 5n } }
const never = { it_value: { tv_sec: 0n, tv_nsec: 0n }, it_interval: { tv_sec: 0n, tv_nsec: 0n } }

/** The kernel's lines about one of the process's timers. */
const timerLines = (id: number): string | undefined =>
  readFileSync("/proc/self/timers", "utf8")
    .split(/^ID: /m)
    .find((text) => text.startsWith(`${id}\n`))

const timer = (...args: Parameters<typeof Time.timer_create>) =>
  Effect.acquireRelease(Time.timer_create(...args), (id) => Effect.ignore(Generated.timer_delete(id)))

describe("clocks", () => {
  it.effect("time, gettimeofday and clock_gettime tell the same as the runtime", () =>
    Effect.gen(function* () {
      const { tv, tz } = yield* Time.gettimeofday
      assert.closeTo(Number(tv.tv_sec), seconds(), 2)
      assert.isTrue(tv.tv_usec >= 0n && tv.tv_usec < 1_000_000n)
      assert.isTrue(Number.isInteger(tz.tz_minuteswest))
      assert.closeTo(Number((yield* Syscall.clock_gettime(CLOCK_REALTIME)).tv_sec), seconds(), 2)
      if (Syscall.nr.time === undefined) {
        assert.strictEqual((yield* Effect.flip(Generated.time)).errno, Errno.codes.ENOSYS)
      } else {
        assert.closeTo(yield* Generated.time, seconds(), 2)
      }
    })
  )

  it.effect("clock_getres tells a nanosecond, and fails with EINVAL for what is no clock", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Generated.clock_getres(CLOCK_MONOTONIC), { tv_sec: 0n, tv_nsec: 1n })
      // The clock of this process.
      assert.strictEqual((yield* Generated.clock_getres((~process.pid << 3) | 2)).tv_sec, 0n)
      assert.strictEqual((yield* Effect.flip(Generated.clock_getres(99)))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(Generated.clock_getres(0.5)))._tag, "EINVAL")
    })
  )

  it.effect("clock_settime and settimeofday refuse what is no time", () =>
    Effect.gen(function* () {
      const late = { tv_sec: 0n, tv_nsec: billion }
      assert.strictEqual((yield* Effect.flip(Generated.clock_settime(CLOCK_REALTIME, late)))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(Generated.clock_settime(CLOCK_MONOTONIC, late)))._tag, "EINVAL")
      const error = yield* Effect.flip(Generated.settimeofday({ tv_sec: 0n, tv_usec: 2_000_000n }))
      assert.strictEqual(error._tag, "EINVAL")
    })
  )

  it.effect("adjtimex and clock_adjtime tell how the clock is kept and change nothing", () =>
    Effect.gen(function* () {
      const { state, timex } = yield* Time.adjtimex()
      assert.isTrue(state >= Syscall.TIME_OK && state <= Syscall.TIME_ERROR)
      assert.closeTo(Number(timex.time.tv_sec), seconds(), 2)
      assert.closeTo(Number(timex.tick), 10_000, 1_000)
      const same = yield* Time.clock_adjtime(CLOCK_REALTIME, { modes: 0 })
      assert.strictEqual(same.timex.tick, timex.tick)
      assert.strictEqual(same.timex.tai, timex.tai)
      assert.strictEqual((yield* Effect.flip(Time.clock_adjtime(CLOCK_MONOTONIC))).errno, Errno.codes.EOPNOTSUPP)
      assert.strictEqual((yield* Effect.flip(Time.adjtimex({ modes: 2 ** 32 })))._tag, "EINVAL")
    })
  )
})

describe("sleeps", () => {
  it.live("clock_nanosleep and nanosleep sleep as long as they are told", () =>
    Effect.gen(function* () {
      const before = nanos(yield* Syscall.clock_gettime(CLOCK_MONOTONIC))
      yield* Generated.clock_nanosleep(CLOCK_MONOTONIC, 0, "3 millis")
      yield* Syscall.nanosleep({ tv_sec: 0n, tv_nsec: 2_000_000n })
      assert.isTrue(nanos(yield* Syscall.clock_gettime(CLOCK_MONOTONIC)) - before >= 5_000_000n)
      // A time that is over already.
      yield* Generated.clock_nanosleep(CLOCK_MONOTONIC, Syscall.TIMER_ABSTIME, { tv_sec: 0n, tv_nsec: 1n })
      const thread = Generated.clock_nanosleep(Syscall.CLOCK_THREAD_CPUTIME_ID, 0, 1)
      assert.strictEqual((yield* Effect.flip(thread)).errno, Errno.codes.EOPNOTSUPP)
    })
  )

  it.live("clock_nanosleep is interrupted", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Generated.clock_nanosleep(CLOCK_MONOTONIC, 0, "1 hour"))
      assert.isTrue(yield* eventually(() => asleepIn(Syscall.nr.clock_nanosleep, CLOCK_MONOTONIC) === 1))
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(asleepIn(Syscall.nr.clock_nanosleep, CLOCK_MONOTONIC), 0)
    })
  )
})

describe("timers", () => {
  it.effect("timer_create, timer_settime, timer_gettime, timer_getoverrun and timer_delete make, run and end one", () =>
    Effect.gen(function* () {
      const id = yield* timer(CLOCK_MONOTONIC, { sigev_notify: Syscall.SIGEV_NONE })
      assert.deepStrictEqual(yield* Generated.timer_gettime(id), never)
      assert.deepStrictEqual(yield* Generated.timer_settime(id, 0, hour), never)
      const left = yield* Generated.timer_gettime(id)
      assert.isTrue(nanos(left.it_value) > 3590n * billion && nanos(left.it_value) <= 3600n * billion)
      assert.deepStrictEqual(left.it_interval, hour.it_interval)
      assert.strictEqual(yield* Generated.timer_getoverrun(id), 0)
      assert.isTrue(nanos((yield* Generated.timer_settime(id, 0, never)).it_value) > 3590n * billion)
      yield* Generated.timer_delete(id)
      assert.strictEqual((yield* Effect.flip(Generated.timer_delete(id)))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(Generated.timer_gettime(id)))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(Generated.timer_getoverrun(id)))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(Time.timer_create(99)))._tag, "EINVAL")
    })
  )

  it.effect("timer_create passes the signal, its data and its thread", () =>
    Effect.gen(function* () {
      const tid = yield* Syscall.gettid
      const id = yield* timer(Syscall.CLOCK_BOOTTIME, {
        sigev_notify: Syscall.SIGEV_THREAD_ID,
        sigev_signo: 40,
        sigev_value: { sival_ptr: 0xabcdn },
        _sigev_un: { _tid: tid }
      })
      const lines = timerLines(id)
      if (lines !== undefined) {
        assert.match(lines, /^signal: 40\/0*abcd$/m)
        assert.include(lines, `notify: signal/tid.${tid}`)
        assert.include(lines, `ClockID: ${Syscall.CLOCK_BOOTTIME}`)
      }
      const plain = yield* timer(CLOCK_MONOTONIC)
      assert.match(timerLines(plain) ?? `signal: 14/\nnotify: signal/pid.`, /^signal: 14\/[\s\S]*signal\/pid\./m)
    })
  )

  it.live("timerfd_create, timerfd_settime and timerfd_gettime: a descriptor tells that the time is over", () =>
    Effect.gen(function* () {
      const fd = yield* held(Generated.timerfd_create(CLOCK_MONOTONIC, Syscall.TFD_CLOEXEC))
      assert.deepStrictEqual(yield* Generated.timerfd_settime(fd, 0, hour), never)
      const left = yield* Generated.timerfd_gettime(fd)
      assert.isTrue(nanos(left.it_value) > 3590n * billion)
      assert.deepStrictEqual(left.it_interval, hour.it_interval)
      const soon = { it_value: { tv_sec: 0n, tv_nsec: 1_000_000n }, it_interval: never.it_value }
      assert.deepStrictEqual((yield* Generated.timerfd_settime(fd, 0, soon)).it_interval, hour.it_interval)
      const count = new BigUint64Array(1)
      assert.strictEqual(yield* Syscall.read(fd, count), 8)
      assert.strictEqual(count[0], 1n)
      assert.deepStrictEqual(yield* Generated.timerfd_gettime(fd), never)
    })
  )

  it.effect("timerfd calls fail as documented", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(Generated.timerfd_create(99)))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(Generated.timerfd_gettime(-1)))._tag, "EBADF")
      assert.strictEqual((yield* Effect.flip(Generated.timerfd_gettime(0.5)))._tag, "EBADF")
      assert.strictEqual((yield* Effect.flip(Generated.timerfd_settime(-1, 0, hour)))._tag, "EBADF")
    })
  )
})
