/** Counters: what they count, whom they make wait, and that nothing is left of them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { Errno, EventFd, Fcntl, File, Syscall } from "../src/index.ts"
import { turn } from "./support/files.ts"
import { openFds } from "./support/process.ts"

describe("EventFd", () => {
  it.effect("gives the sum of what was added, and begins at what it was made with", () =>
    Effect.gen(function* () {
      const counter = yield* EventFd.make({ initial: 5 })
      yield* EventFd.add(counter, 2n)
      yield* EventFd.add(counter, 3)
      yield* EventFd.add(counter)
      assert.strictEqual(yield* EventFd.read(counter), 11n)
      assert.deepStrictEqual(yield* EventFd.tryRead(counter), Option.none())
      assert.strictEqual(yield* File.fcntl(counter, Fcntl.F_GETFD), Syscall.FD_CLOEXEC)
    })
  )

  it.effect("takes 1 at a time as a semaphore", () =>
    Effect.gen(function* () {
      const counter = yield* EventFd.make({ initial: 2, semaphore: true })
      assert.strictEqual(yield* EventFd.read(counter), 1n)
      assert.deepStrictEqual(yield* EventFd.tryRead(counter), Option.some(1n))
      assert.deepStrictEqual(yield* EventFd.tryRead(counter), Option.none())
    })
  )

  it.live("lets a reader wait until something is added", () =>
    Effect.gen(function* () {
      const counter = yield* EventFd.make()
      const reader = yield* Effect.forkChild(EventFd.read(counter))
      yield* turn
      assert.isUndefined(reader.pollUnsafe())
      yield* EventFd.add(counter, 7n)
      assert.strictEqual(yield* Fiber.join(reader), 7n)
    })
  )

  it.live("lets a writer wait while there is no room", () =>
    Effect.gen(function* () {
      const counter = yield* EventFd.make()
      const most = 2n ** 64n - 2n
      yield* EventFd.add(counter, most)
      const writer = yield* Effect.forkChild(EventFd.add(counter, 2n))
      yield* turn
      assert.isUndefined(writer.pollUnsafe())
      assert.strictEqual(yield* EventFd.read(counter), most)
      yield* Fiber.join(writer)
      assert.strictEqual(yield* EventFd.read(counter), 2n)
    })
  )

  it.live("is waited for without being taken", () =>
    Effect.gen(function* () {
      const counter = yield* EventFd.make()
      const waiter = yield* Effect.forkChild(EventFd.wait(counter))
      yield* EventFd.add(counter, 4n)
      yield* Fiber.join(waiter)
      assert.strictEqual(yield* EventFd.read(counter), 4n)
    })
  )

  it.live("loses nothing to a reader that was interrupted", () =>
    Effect.gen(function* () {
      const counter = yield* EventFd.make()
      const reader = yield* Effect.forkChild(EventFd.read(counter))
      yield* turn
      yield* Fiber.interrupt(reader)
      yield* EventFd.add(counter, 3n)
      assert.strictEqual(yield* EventFd.read(counter), 3n)
    })
  )

  it.live("fails with EBADF for who waits when it is closed, and leaves no descriptor", () =>
    Effect.gen(function* () {
      const before = yield* openFds
      const exit = yield* Effect.scoped(
        Effect.gen(function* () {
          const counter = yield* EventFd.make()
          const reader = yield* Effect.forkChild(Effect.flip(EventFd.read(counter)))
          yield* turn
          yield* File.close(counter)
          return yield* Fiber.join(reader)
        })
      )
      assert.instanceOf(exit, Errno.EBADF)
      assert.strictEqual(yield* openFds, before)
    })
  )

  it.effect("refuses what is no counter's value, by name", () =>
    Effect.gen(function* () {
      const counter = yield* EventFd.make()
      for (const value of [-1n, 2n ** 64n, 0.5]) {
        const error = yield* Effect.flip(EventFd.add(counter, value))
        assert.strictEqual(error._tag, "EINVAL")
        assert.include(error.message, "value")
      }
      assert.include((yield* Effect.flip(EventFd.make({ initial: -1 }))).message, "initial")
      assert.strictEqual((yield* Effect.flip(EventFd.make({ initial: 2 ** 32 })))._tag, "EINVAL")
    })
  )

  it("takes no other kind of file", () => {
    // @ts-expect-error a File that is not known to be a counter
    const wrong = (file: File.File) => EventFd.read(file)
    assert.isFunction(wrong)
  })
})
