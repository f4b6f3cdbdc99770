/** Sets of files: what comes back with their events, in which modes, and that closed files leave. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { Epoll, Errno, EventFd, File, Syscall } from "../src/index.ts"
import { pipe, temporaryFile, turn, utf8, yieldingAt } from "./support/files.ts"
import { openFds } from "./support/process.ts"

describe("Epoll", () => {
  it.live("waits for the files of the set, and gives them with what was said of them", () =>
    Effect.gen(function* () {
      const [left, right] = [yield* pipe, yield* pipe]
      const set = yield* Epoll.make<string>()
      yield* Epoll.add(set, left.reader, { events: ["in"], data: "left" })
      yield* Epoll.add(set, right.reader, { events: ["in"], data: "right" })
      const waiter = yield* Effect.forkChild(Epoll.wait(set))
      yield* turn
      assert.isUndefined(waiter.pollUnsafe())
      yield* File.write(right.writer, utf8("x"))
      const [event, ...rest] = yield* Fiber.join(waiter)
      assert.lengthOf(rest, 0)
      assert.strictEqual(event?.file, right.reader)
      assert.strictEqual(event?.data, "right")
      assert.deepStrictEqual(event?.events, ["in"])
      assert.strictEqual(event?.mask, Syscall.EPOLLIN)
    })
  )

  it.live("gives nothing when the time is over, and only looks with 0", () =>
    Effect.gen(function* () {
      const { reader } = yield* pipe
      const set = yield* Epoll.make()
      yield* Epoll.add(set, reader, { events: ["in"] })
      assert.deepStrictEqual(yield* Epoll.wait(set, { timeout: 0 }), [])
      assert.deepStrictEqual(yield* Epoll.wait(set, { timeout: "5 millis" }), [])
    })
  )

  it.effect("tells once of a change with et, once until modified with oneshot, and as long as it holds otherwise", () =>
    Effect.gen(function* () {
      const [edge, once, level] = [yield* EventFd.make(), yield* EventFd.make(), yield* EventFd.make()]
      const set = yield* Epoll.make<string>()
      yield* Epoll.add(set, edge, { events: ["in", "et"], data: "edge" })
      yield* Epoll.add(set, once, { events: ["in", "oneshot"], data: "once" })
      yield* Epoll.add(set, level, { events: ["in"], data: "level" })
      yield* Effect.forEach([edge, once, level], (counter) => EventFd.add(counter))
      const told = Effect.map(Epoll.wait(set, { timeout: 0 }), (events) => events.map(({ data }) => data).toSorted())
      assert.deepStrictEqual(yield* told, ["edge", "level", "once"])
      assert.deepStrictEqual(yield* told, ["level"])
      yield* EventFd.add(edge)
      yield* Epoll.modify(set, once, { events: ["in", "oneshot"], data: "again" })
      assert.deepStrictEqual(yield* told, ["again", "edge", "level"])
    })
  )

  it.effect("gives no more events than were asked for, and the others next time", () =>
    Effect.gen(function* () {
      const set = yield* Epoll.make<number>()
      for (let data = 0; data < 3; data++) {
        const counter = yield* EventFd.make({ initial: 1 })
        yield* Epoll.add(set, counter, { events: ["in", "et"], data })
      }
      assert.lengthOf(yield* Epoll.wait(set, { maxEvents: 2 }), 2)
      assert.lengthOf(yield* Epoll.wait(set, { maxEvents: 2 }), 1)
      assert.include((yield* Effect.flip(Epoll.wait(set, { maxEvents: 0 }))).message, "maxEvents")
    })
  )

  it.effect("takes a file once, not one on a disk, and knows what is not in it", () =>
    Effect.gen(function* () {
      const { reader } = yield* pipe
      const set = yield* Epoll.make()
      yield* Epoll.add(set, reader, { events: ["in"] })
      assert.instanceOf(yield* Effect.flip(Epoll.add(set, reader, { events: ["in"] })), Errno.EEXIST)
      assert.instanceOf(yield* Effect.flip(Epoll.add(set, yield* temporaryFile, { events: ["in"] })), Errno.EPERM)
      yield* Epoll.remove(set, reader)
      assert.instanceOf(yield* Effect.flip(Epoll.remove(set, reader)), Errno.ENOENT)
      assert.instanceOf(yield* Effect.flip(Epoll.modify(set, reader, { events: ["in"] })), Errno.ENOENT)
      yield* Epoll.add(set, reader, { events: ["in"] })
    })
  )

  it.effect("forgets a file with the scope it was added in", () =>
    Effect.gen(function* () {
      const counter = yield* EventFd.make({ initial: 1 })
      const set = yield* Epoll.make()
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Epoll.add(set, counter, { events: ["in"] })
          assert.lengthOf(yield* Epoll.wait(set, { timeout: 0 }), 1)
        })
      )
      assert.lengthOf(yield* Epoll.wait(set, { timeout: 0 }), 0)
    })
  )

  it.effect("forgets a file that is closed, also where another descriptor keeps it open", () =>
    Effect.gen(function* () {
      const counter = yield* EventFd.make({ initial: 1 })
      yield* File.duplicate(counter)
      const set = yield* Epoll.make()
      yield* Epoll.add(set, counter, { events: ["in"] })
      assert.lengthOf(yield* Epoll.wait(set, { timeout: 0 }), 1)
      yield* File.close(counter)
      // Asked of the kernel itself, which would tell of the other descriptor for ever.
      const fd = yield* File.fd(set)
      assert.deepStrictEqual(yield* Syscall.epoll_pwait(fd, 8, 0), [])
      assert.deepStrictEqual(yield* Epoll.wait(set, { timeout: 0 }), [])
    })
  )

  it.effect("is the same set in a duplicate, and ends with the last of them", () =>
    Effect.gen(function* () {
      const counter = yield* EventFd.make({ initial: 1 })
      const set = yield* Epoll.make<string>()
      const duplicate = yield* File.duplicate(set)
      yield* Epoll.add(set, counter, { events: ["in"], data: "counter" })
      const [event] = yield* Epoll.wait(duplicate, { timeout: 0 })
      assert.strictEqual(event?.data, "counter")
      yield* File.close(set)
      assert.strictEqual((yield* Epoll.wait(duplicate, { timeout: 0 }))[0]?.file, counter)
    })
  )

  it.live("is a stream of events, and can be a file of another set", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* pipe
      const [inner, outer] = [yield* Epoll.make<"inner">(), yield* Epoll.make<"outer">()]
      yield* Epoll.add(inner, reader, { events: ["in"], data: "inner" })
      yield* Epoll.add(outer, inner, { events: ["in"], data: "outer" })
      const collecting = yield* Effect.forkChild(Stream.runCollect(Stream.take(Epoll.events(outer), 2)))
      yield* turn
      yield* File.write(writer, utf8("x"))
      assert.deepStrictEqual(
        (yield* Fiber.join(collecting)).map(({ data }) => data),
        ["outer", "outer"]
      )
      assert.instanceOf(yield* Effect.flip(Epoll.add(inner, outer, { events: ["in"], data: "inner" })), Errno.ELOOP)
    })
  )

  it.live("can be interrupted and closed while it is waited for, and leaves no descriptor", () =>
    Effect.gen(function* () {
      const before = yield* openFds
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { reader } = yield* pipe
          const set = yield* Epoll.make()
          yield* Epoll.add(set, reader, { events: ["in"] })
          const interrupted = yield* Effect.forkChild(Epoll.wait(set))
          const closed = yield* Effect.forkChild(Effect.flip(Epoll.wait(set)))
          yield* turn
          yield* Fiber.interrupt(interrupted)
          yield* File.close(set)
          assert.instanceOf(yield* Fiber.join(closed), Errno.EBADF)
          assert.instanceOf(yield* Effect.flip(Epoll.remove(set, reader)), Errno.EBADF)
        })
      )
      assert.strictEqual(yield* openFds, before)
    })
  )

  it.live("holds no file wherever the fiber that adds it is interrupted", () =>
    Effect.gen(function* () {
      const counter = yield* EventFd.make({ initial: 1 })
      const set = yield* Epoll.make()
      for (let at = 1; at < 40; at++) {
        const adding = Effect.scoped(Effect.andThen(Epoll.add(set, counter, { events: ["in"] }), Effect.never))
        const fiber = yield* Effect.forkChild(adding.pipe(yieldingAt(at)))
        yield* turn
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* Syscall.epoll_pwait(yield* File.fd(set), 8, 0), [], `at ${at}`)
      }
    })
  )

  it("asks for data where there is some, and takes words that there are", () => {
    const typed = (set: Epoll.Epoll<string>, plain: Epoll.Epoll, file: File.File) => [
      // @ts-expect-error no data
      Epoll.add(set, file, { events: ["in"] }),
      // @ts-expect-error other data
      Epoll.add(set, file, { events: ["in"], data: 1 }),
      // @ts-expect-error no event
      Epoll.add(plain, file, { events: ["readable"] }),
      // @ts-expect-error no set
      Epoll.wait(file)
    ]
    assert.isFunction(typed)
  })
})
