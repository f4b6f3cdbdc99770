/** Waiting on words of shared memory, off the loop. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { Errno, File, Futex, Mapping, Syscall } from "../src/index.ts"
import { asleepIn } from "./support/fds.ts"
import { turn, yieldingAt } from "./support/files.ts"
import { eventually, openFds, threads } from "./support/process.ts"

const inBuffer = (value = 0): Int32Array => {
  const word = new Int32Array(new SharedArrayBuffer(8), 4, 1)
  word[0] = value
  return word
}

const inMapping = (shared: boolean, value = 0) =>
  Effect.map(Mapping.anonymous({ length: 4096, shared }), ({ buffer }) => {
    const word = new Int32Array(buffer, 128, 1)
    word[0] = value
    return word
  })

/** Words of every kind of memory that can be waited in. */
const everywhere = (value = 0) =>
  Effect.all({
    SharedArrayBuffer: Effect.sync(() => inBuffer(value)),
    "private mapping": inMapping(false, value),
    "shared mapping": inMapping(true, value)
  }).pipe(Effect.map(Object.entries<Int32Array>))

const asleep = (word: Futex.Word, count = 1) =>
  Effect.map(
    eventually(() => asleepIn(Syscall.nr.futex, Syscall.addressOf(word)) === count),
    (truth) => assert.isTrue(truth, `${count} asleep`)
  )

const fork = <A, E>(word: Futex.Word, wait: Effect.Effect<A, E>, count = 1) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(wait, { startImmediately: true })
    yield* asleep(word, count)
    return fiber
  })

const tagged = <E extends { readonly _tag: string }>(tag: string, self: Effect.Effect<unknown, E>) =>
  Effect.map(Effect.flip(self), (error) => assert.strictEqual(error._tag, tag))

describe("Futex", () => {
  it.live("waits for a wake, and only if the word is what is expected", () =>
    Effect.gen(function* () {
      for (const [where, word] of yield* everywhere(-7)) {
        assert.strictEqual(yield* Futex.wait(word, 7), "not-equal", where)
        const fibers = [
          yield* fork(word, Futex.wait(word, -7)),
          yield* fork(word, Futex.wait(word, -7 >>> 0), 2),
          yield* fork(word, Futex.wait(word, -7), 3)
        ]
        assert.strictEqual(yield* Futex.wake(word), 1, where)
        yield* asleep(word, 2)
        assert.strictEqual(yield* Futex.wakeAll(word), 2, where)
        for (const fiber of fibers) assert.strictEqual(yield* Fiber.join(fiber), "ok")
        assert.strictEqual(yield* Futex.wakeAll(word), 0)
      }
    })
  )

  it.live("is the same word by every mapping of a file", () =>
    Effect.gen(function* () {
      const file = yield* Effect.flatMap(Syscall.memfd_create("effect-linux-futex", Syscall.MFD_CLOEXEC), File.fromFd)
      yield* File.truncate(file, 8192)
      const one = yield* File.mmap(file, { length: 8192, shared: true })
      const two = yield* File.mmap(file, { length: 4096, offset: 4096, shared: true })
      const here = new Int32Array(one.buffer, 4096 + 64, 1)
      const there = new Uint32Array(two.buffer, 64, 1)
      const fiber = yield* fork(here, Futex.wait(here, 0))
      Atomics.store(there, 0, 1)
      assert.strictEqual(yield* Futex.wake(there), 1)
      assert.strictEqual(yield* Fiber.join(fiber), "ok")
      assert.strictEqual(Atomics.load(here, 0), 1)
    })
  )

  it.live("wakes those whose mask has a bit in common", () =>
    Effect.gen(function* () {
      const word = inBuffer()
      const fiber = yield* fork(word, Futex.wait(word, 0, { mask: 0b110 }))
      assert.strictEqual(yield* Futex.wake(word, 9, { mask: 0b1001 }), 0)
      assert.strictEqual(yield* Futex.wake(word, 9, { mask: 0b1010 }), 1)
      assert.strictEqual(yield* Fiber.join(fiber), "ok")
      yield* tagged("EINVAL", Futex.wait(word, 0, { mask: 0 }))
      yield* tagged("EINVAL", Futex.wake(word, 1, { mask: 0 }))
    })
  )

  it.live("has a limit by Effect.timeout, and can be interrupted", () =>
    Effect.gen(function* () {
      for (const [, word] of yield* everywhere()) {
        yield* tagged("TimeoutError", Effect.timeout(Futex.wait(word, 0), "5 millis"))
        const fiber = yield* fork(word, Futex.wait(word, 0))
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* Futex.wakeAll(word), 0)
      }
    })
  )

  it.live("moves who waits to another word", () =>
    Effect.gen(function* () {
      const from = inBuffer(1)
      const to = inBuffer(2)
      const first = yield* fork(from, Futex.wait(from, 1))
      const second = yield* fork(from, Futex.wait(from, 1), 2)
      yield* tagged("EAGAIN", Futex.requeue(from, to, { expected: 2 }))
      assert.strictEqual(yield* Futex.requeue(from, to, { expected: 1, wake: 1 }), 2)
      assert.strictEqual(yield* Futex.wakeAll(from), 0)
      assert.strictEqual(yield* Futex.wakeAll(to), 1)
      yield* Fiber.join(first)
      yield* Fiber.join(second)
      const apart = yield* inMapping(true, 1)
      yield* tagged("EINVAL", Futex.requeue(from, apart, { expected: 1 }))
    })
  )

  it.live("waits for any of several words, of any memory", (context) =>
    Effect.gen(function* () {
      const words = (yield* everywhere(3)).map(([, word]) => word)
      const waiters = words.map((word) => ({ word, expected: 3 }))
      const probe = yield* Effect.exit(Futex.waitAny(waiters.map(({ word }) => ({ word, expected: 4 }))))
      if (Exit.isFailure(probe)) return context.skip("futex_waitv is since Linux 5.16")
      assert.strictEqual(probe.value, "not-equal")
      const { futex_waitv } = Syscall.nr
      for (const [index, word] of words.entries()) {
        const fiber = yield* Effect.forkChild(Futex.waitAny(waiters), { startImmediately: true })
        assert.isTrue(yield* eventually(() => asleepIn(futex_waitv) === 1))
        assert.strictEqual(yield* Futex.wake(word), 1)
        assert.strictEqual(yield* Fiber.join(fiber), index)
      }
      const gone = yield* Effect.forkChild(Futex.waitAny(waiters), { startImmediately: true })
      assert.isTrue(yield* eventually(() => asleepIn(futex_waitv) === 1))
      yield* Fiber.interrupt(gone)
      assert.strictEqual(asleepIn(futex_waitv), 0)
      yield* tagged("EINVAL", Futex.waitAny([]))
      yield* tagged("EINVAL", Futex.waitAny([{ word: new Int32Array(1), expected: 0 }]))
      yield* tagged("EINVAL", Futex.waitAny([{ word: inBuffer(), expected: 0.5 }]))
    })
  )

  it.live("refuses memory that is not shared, and values that are none", () =>
    Effect.gen(function* () {
      const plain = new Int32Array(1)
      for (const use of [
        Futex.wait(plain, 0),
        Futex.wake(plain),
        Futex.requeue(plain, inBuffer(), { expected: 0 }),
        Futex.requeue(inBuffer(), plain, { expected: 0 }),
        Futex.wait(new Int32Array(new SharedArrayBuffer(0)), 0),
        Futex.wait(inBuffer(), 2 ** 32),
        Futex.wait(inBuffer(), 0.5),
        Futex.wake(inBuffer(), -1),
        Futex.wake(inBuffer(), 2 ** 31)
      ]) {
        yield* tagged("EINVAL", use)
      }
      // @ts-expect-error
      assert.isTrue(Exit.hasDies(yield* Effect.exit(Futex.wait(new Uint8Array(new SharedArrayBuffer(4)), 0))))
      // @ts-expect-error
      assert.isTrue(Exit.hasDies(yield* Effect.exit(Futex.wait(inBuffer(), "0"))))
    })
  )

  it.live("does not hold up the event loop", () =>
    Effect.gen(function* () {
      const word = inBuffer()
      const fibers = yield* Effect.forEach(Array.from({ length: 20 }), () =>
        Effect.forkChild(Futex.wait(word, 0), { startImmediately: true })
      )
      yield* asleep(word, 20)
      for (let i = 0; i < 100; i++) yield* turn
      assert.strictEqual(yield* Futex.wakeAll(word), 20)
      for (const fiber of fibers) yield* Fiber.join(fiber)
    })
  )
})

describe("a futex in a mapping", () => {
  it.live("keeps the memory where it is until the wait has ended: the release calls it back", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const word = yield* Scope.provide(inMapping(true), scope)
      const other = yield* Scope.provide(inMapping(false), scope)
      const one = yield* fork(word, Effect.flip(Futex.wait(word, 0)))
      const both = yield* Effect.forkChild(
        Effect.flip(
          Futex.waitAny([
            { word, expected: 0 },
            { word: other, expected: 0 }
          ])
        ),
        { startImmediately: true }
      )
      assert.isTrue(yield* eventually(() => asleepIn(Syscall.nr.futex_waitv) === 1))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(word.length, 0)
      assert.instanceOf(yield* Fiber.join(one), Errno.EFAULT)
      assert.instanceOf(yield* Fiber.join(both), Errno.EFAULT)
      for (const use of [Futex.wait(word, 0), Futex.wake(word), Futex.requeue(word, inBuffer(), { expected: 0 })]) {
        yield* tagged("EFAULT", use)
      }
      yield* tagged(
        "EFAULT",
        Futex.waitAny([
          { word: inBuffer(), expected: 0 },
          { word, expected: 0 }
        ])
      )
    })
  )

  it.live("keeps it from being moved, and follows it when it was", () =>
    Effect.gen(function* () {
      const mapping = yield* Mapping.anonymous({ length: 4096, shared: true })
      const before = new Int32Array(mapping.buffer, 0, 1)
      const fiber = yield* fork(before, Futex.wait(before, 0))
      yield* tagged("EBUSY", Mapping.remap(mapping, 8192))
      yield* Futex.wake(before)
      yield* Fiber.join(fiber)
      yield* Mapping.remap(mapping, 8192)
      yield* tagged("EFAULT", Futex.wake(before))
      const after = new Int32Array(mapping.buffer, 0, 1)
      const again = yield* fork(after, Futex.wait(after, 0))
      assert.strictEqual(yield* Futex.wake(after), 1)
      yield* Fiber.join(again)
    })
  )
})

describe("interruption of a wait", () => {
  it.live("passes a wake on that came at that moment", () =>
    Effect.gen(function* () {
      for (const [where, word] of yield* everywhere()) {
        for (let round = 0; round < 20; round++) {
          const first = yield* fork(word, Futex.wait(word, 0))
          const second = yield* fork(word, Futex.wait(word, 0), 2)
          // The kernel wakes the one that came first, and before the loop turns its fiber is gone.
          assert.strictEqual(yield* Futex.wake(word), 1)
          yield* Fiber.interrupt(first)
          assert.strictEqual(yield* Effect.timeout(Fiber.join(second), "10 seconds"), "ok", where)
        }
      }
    })
  )

  it.live("leaves nothing, wherever the fiber gives way", () =>
    Effect.gen(function* () {
      const word = inBuffer()
      yield* Effect.timeoutOption(Futex.wait(word, 0), "1 millis")
      const before = { fds: yield* openFds, threads: yield* threads }
      for (let place = 1; place <= 25; place++) {
        for (let turns = 0; turns < 3; turns++) {
          const fiber = yield* Effect.forkChild(Futex.wait(word, 0).pipe(yieldingAt(place)), {
            startImmediately: true
          })
          for (let i = 0; i < turns; i++) yield* turn
          yield* Fiber.interrupt(fiber)
        }
      }
      assert.strictEqual(yield* Futex.wakeAll(word), 0)
      assert.isTrue(yield* eventually(() => Effect.runSync(threads) <= before.threads))
      assert.strictEqual(yield* openFds, before.fds)
    })
  )
})
