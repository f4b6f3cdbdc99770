/** Timers: each way to set one, what reading tells, and that nothing is left of them. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Option, Stream } from "effect"
import { Errno, File, Syscall, TimerFd } from "../src/index.ts"
import { turn } from "./support/files.ts"
import { openFds } from "./support/process.ts"

const millis = (duration: Duration.Duration | undefined): number =>
  duration === undefined ? Number.NaN : Duration.toMillis(duration)

describe("TimerFd", () => {
  it.live("expires once, after a while", () =>
    Effect.gen(function* () {
      const timer = yield* TimerFd.make()
      yield* TimerFd.set(timer, { after: "5 millis" })
      assert.deepStrictEqual(yield* TimerFd.tryRead(timer), Option.none())
      assert.strictEqual(yield* TimerFd.read(timer), 1n)
      assert.deepStrictEqual(yield* TimerFd.get(timer), { remaining: undefined, interval: undefined })
    })
  )

  it.live("expires again and again, and counts what nobody read", () =>
    Effect.gen(function* () {
      const timer = yield* TimerFd.make()
      yield* TimerFd.set(timer, { after: "1 millis", interval: "1 millis" })
      yield* Effect.sleep("20 millis")
      assert.isAtLeast(Number(yield* TimerFd.read(timer)), 10)
      const { interval } = yield* TimerFd.stop(timer)
      assert.strictEqual(millis(interval), 1)
      assert.deepStrictEqual(yield* TimerFd.tryRead(timer), Option.none())
    })
  )

  it.live("is a stream of expirations", () =>
    Effect.gen(function* () {
      const timer = yield* TimerFd.make({ clock: "boottime" })
      yield* TimerFd.set(timer, { after: 0, interval: "2 millis" })
      const counts = yield* Stream.runCollect(Stream.take(TimerFd.expirations(timer), 3))
      assert.lengthOf(counts, 3)
      assert.isTrue(counts.every((count) => count >= 1n))
    })
  )

  it.live("expires at a time of its clock, and at once for one that is over", () =>
    Effect.gen(function* () {
      for (const clock of ["monotonic", "boottime", "realtime"] as const) {
        const timer = yield* TimerFd.make({ clock })
        yield* TimerFd.set(timer, { at: 1n })
        assert.strictEqual(yield* TimerFd.read(timer), 1n)
        yield* TimerFd.set(timer, { at: { tv_sec: 0n, tv_nsec: 0n } })
        assert.strictEqual(yield* TimerFd.read(timer), 1n)
      }
      const timer = yield* TimerFd.make({ clock: "realtime" })
      yield* TimerFd.set(timer, { at: new Date(Date.now() + 60_000), cancelOnSet: true })
      const { remaining } = yield* TimerFd.get(timer)
      assert.isAbove(millis(remaining), 30_000)
      assert.isAtMost(millis(remaining), 60_000)
    })
  )

  it.effect("tells how it was when it is set anew", () =>
    Effect.gen(function* () {
      const timer = yield* TimerFd.make()
      assert.deepStrictEqual(yield* TimerFd.set(timer, { after: "1 hour", interval: "1 day" }), {
        remaining: undefined,
        interval: undefined
      })
      const { interval, remaining } = yield* TimerFd.set(timer, { after: "2 hours" })
      assert.strictEqual(millis(interval), 86_400_000)
      assert.isAtMost(millis(remaining), 3_600_000)
    })
  )

  it.live("reports with ECANCELED that the clock was set, and goes on", () =>
    Effect.gen(function* () {
      const timer = yield* TimerFd.make({ clock: "realtime" })
      const time = yield* Syscall.clock_gettime(Syscall.CLOCK_REALTIME)
      yield* TimerFd.set(timer, { at: { ...time, tv_sec: time.tv_sec + 3600n }, cancelOnSet: true })
      const reader = yield* Effect.forkChild(Effect.flip(TimerFd.read(timer)))
      yield* turn
      // To the time that it is: needs CAP_SYS_TIME.
      const now = yield* Syscall.clock_gettime(Syscall.CLOCK_REALTIME)
      const set = yield* Effect.result(Syscall.clock_settime(Syscall.CLOCK_REALTIME, now))
      if (set._tag === "Failure") {
        yield* Fiber.interrupt(reader)
        return yield* Effect.logInfo("skipped: the clock may not be set here")
      }
      assert.instanceOf(yield* Fiber.join(reader), Errno.ECANCELED)
      assert.deepStrictEqual(yield* TimerFd.tryRead(timer), Option.none())
    })
  )

  it.live("can be interrupted while it is read, and leaves no descriptor", () =>
    Effect.gen(function* () {
      const before = yield* openFds
      yield* Effect.scoped(
        Effect.gen(function* () {
          const timer = yield* TimerFd.make()
          yield* TimerFd.set(timer, { after: "1 hour" })
          const reader = yield* Effect.forkChild(TimerFd.read(timer))
          const closing = yield* Effect.forkChild(Effect.flip(TimerFd.read(timer)))
          yield* turn
          yield* Fiber.interrupt(reader)
          yield* File.close(timer)
          assert.strictEqual((yield* Fiber.join(closing))._tag, "EBADF")
        })
      )
      assert.strictEqual(yield* openFds, before)
    })
  )

  it.effect("refuses times that are none, by name", () =>
    Effect.gen(function* () {
      const timer = yield* TimerFd.make()
      const refused = [
        [{ after: Duration.infinity }, "after"],
        [{ after: "1 second", interval: Duration.infinity }, "interval"],
        [{ at: -1n }, "at"],
        [{ at: new Date(Number.NaN) }, "at"]
      ] as const
      for (const [setting, name] of refused) {
        const error = yield* Effect.flip(TimerFd.set(timer, setting))
        assert.strictEqual(error._tag, "EINVAL")
        assert.include(error.message, name)
      }
    })
  )

  it("takes a span or a time, and not both", () => {
    const wrong = (timer: TimerFd.TimerFd) => [
      // @ts-expect-error both
      TimerFd.set(timer, { after: "1 second", at: 1n }),
      // @ts-expect-error neither
      TimerFd.set(timer, { interval: "1 second" }),
      // @ts-expect-error a span is not cancelled by setting a clock
      TimerFd.set(timer, { after: "1 second", cancelOnSet: true })
    ]
    // @ts-expect-error no clock
    const clock = () => TimerFd.make({ clock: "wall" })
    assert.isFunction(wrong)
    assert.isFunction(clock)
  })
})
