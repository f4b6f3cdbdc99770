/** Waiting for several files: which are ready, how long it waits, and how it ends. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Errno, EventFd, File, Poll, TimerFd } from "../src/index.ts"
import { pipe, temporaryFile, turn, utf8 } from "./support/files.ts"
import { openFds } from "./support/process.ts"

describe("Poll", () => {
  it.effect("looks without waiting", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* pipe
      assert.deepStrictEqual(yield* Poll.poll([{ file: reader, events: ["in"] }], 0), [])
      assert.deepStrictEqual(yield* Poll.poll([], 0), [])
      const requests = [
        { file: reader, events: ["in"] as const },
        { file: writer, events: ["in", "out"] as const }
      ]
      const [only] = yield* Poll.poll(requests, 0)
      assert.strictEqual(only?.file, writer)
      assert.strictEqual(only?.index, 1)
      assert.deepStrictEqual(only?.events, ["out"])
    })
  )

  it.live("waits for whichever of several files is ready first", () =>
    Effect.gen(function* () {
      const [left, right] = [yield* pipe, yield* pipe]
      const requests = [left, right, left].map(({ reader }) => ({ file: reader, events: ["in"] as const }))
      const waiter = yield* Effect.forkChild(Poll.poll(requests))
      yield* turn
      assert.isUndefined(waiter.pollUnsafe())
      yield* File.write(right.writer, utf8("x"))
      const ready = yield* Fiber.join(waiter)
      assert.deepStrictEqual(
        ready.map(({ events, file, index }) => [file === right.reader, index, events]),
        [[true, 1, ["in"]]]
      )
    })
  )

  it.live("gives nothing when the time is over", () =>
    Effect.gen(function* () {
      const [left, right] = [yield* pipe, yield* pipe]
      const one = [{ file: left.reader, events: ["in"] as const }]
      assert.deepStrictEqual(yield* Poll.poll(one, "5 millis"), [])
      assert.deepStrictEqual(yield* Poll.poll([...one, { file: right.reader, events: ["in"] }], "5 millis"), [])
    })
  )

  it.live("tells of the other end that is closed, whatever was asked for", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* pipe
      const waiter = yield* Effect.forkChild(Poll.ready(reader, []))
      yield* turn
      yield* File.close(writer)
      assert.deepStrictEqual(yield* Fiber.join(waiter), ["hup"])
    })
  )

  it.effect("finds a regular file always ready", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const { reader } = yield* pipe
      const ready = yield* Poll.poll([
        { file: reader, events: ["in"] },
        { file, events: ["in", "out"] }
      ])
      assert.deepStrictEqual(
        ready.map(({ index, events }) => [index, events]),
        [[1, ["in", "out"]]]
      )
    })
  )

  it.live("goes on waiting for the others where a regular file is asked for what it never is", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const counter = yield* EventFd.make()
      const waiter = yield* Effect.forkChild(
        Poll.poll([
          { file, events: ["pri"] },
          { file: counter, events: ["in"] }
        ])
      )
      yield* turn
      yield* EventFd.add(counter)
      assert.deepStrictEqual(
        (yield* Fiber.join(waiter)).map(({ index }) => index),
        [1]
      )
    })
  )

  it.live("fails with EBADF where a file is closed, before or meanwhile", () =>
    Effect.gen(function* () {
      const [left, right] = [yield* pipe, yield* pipe]
      const requests = [left, right].map(({ reader }) => ({ file: reader, events: ["in"] as const }))
      const waiter = yield* Effect.forkChild(Effect.flip(Poll.poll(requests)))
      yield* turn
      yield* File.close(left.reader)
      assert.instanceOf(yield* Fiber.join(waiter), Errno.EBADF)
      assert.instanceOf(yield* Effect.flip(Poll.poll(requests)), Errno.EBADF)
      assert.instanceOf(yield* Effect.flip(Poll.ready(left.reader, ["in"])), Errno.EBADF)
    })
  )

  it.live("can be interrupted, and leaves nothing", () =>
    Effect.gen(function* () {
      const [left, right] = [yield* pipe, yield* pipe]
      const requests = [left, right].map(({ reader }) => ({ file: reader, events: ["in"] as const }))
      const before = yield* openFds
      const waiters = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(Poll.poll(requests)))
      yield* turn
      yield* Fiber.interruptAll(waiters)
      assert.strictEqual(yield* openFds, before)
      yield* File.write(left.writer, utf8("x"))
      assert.lengthOf(yield* Poll.poll(requests), 1)
    })
  )

  it.effect("gives each file as what it is, where they are of several kinds", () =>
    Effect.gen(function* () {
      const [counter, timer] = [yield* EventFd.make({ initial: 3 }), yield* TimerFd.make()]
      const ready = yield* Poll.poll([
        { file: counter, events: ["in"] },
        { file: timer, events: ["in"] }
      ])
      const files: ReadonlyArray<EventFd.EventFd | TimerFd.TimerFd> = ready.map(({ file }) => file)
      assert.deepStrictEqual(files, [counter])
      // @ts-expect-error may be the timer
      const counters: ReadonlyArray<EventFd.EventFd> = ready.map(({ file }) => file)
      assert.lengthOf(counters, 1)
    })
  )

  it("takes words, and only those there are", () => {
    // @ts-expect-error no event
    const wrong = (file: File.File) => Poll.ready(file, ["readable"])
    // @ts-expect-error told always, and never asked for
    const told = (file: File.File) => Poll.ready(file, ["hup"])
    assert.isFunction(wrong)
    assert.isFunction(told)
  })
})
