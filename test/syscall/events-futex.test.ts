/** Futexes in shared memory, against the real kernel. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Syscall } from "../../src/index.ts"
import * as Futex from "../../src/syscall/events-futex.ts"
import { asleepIn } from "../support/fds.ts"
import { eventually } from "../support/process.ts"

const {
  FUTEX_BITSET_MATCH_ANY,
  FUTEX_CMP_REQUEUE,
  FUTEX_LOCK_PI,
  FUTEX_PRIVATE_FLAG,
  FUTEX_REQUEUE,
  FUTEX_WAIT,
  FUTEX_WAIT_BITSET,
  FUTEX_WAKE,
  FUTEX_WAKE_BITSET
} = Syscall

const flags = Syscall.FUTEX2_SIZE_U32 | Syscall.FUTEX2_PRIVATE

const shared = (value = 0, length = 1) => {
  const word = new Int32Array(new SharedArrayBuffer(4 * length))
  word[0] = value
  return word
}

const tagged = <E extends { readonly _tag: string }>(tag: string, self: Effect.Effect<unknown, E>) =>
  Effect.map(Effect.flip(self), (error) => {
    assert.strictEqual(error._tag, tag)
    return error
  })

/** Where the thread that waits on a word is asleep: the runtime's own threads wait on others. */
const at = (word: Int32Array): bigint => Syscall.addressOf(word)

const fork = <A, E>(nr: number, word: Int32Array, wait: Effect.Effect<A, E>, count = 1) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(wait)
    assert.isTrue(yield* eventually(() => asleepIn(nr, at(word)) === count))
    return fiber
  })

describe("futex", () => {
  it.live("futex waits until it is woken, with a mask too", () =>
    Effect.gen(function* () {
      const word = shared(7)
      const { futex: nr } = Syscall.nr
      const plain = yield* fork(nr, word, Futex.futex(word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 7))
      assert.strictEqual(yield* Futex.futex(word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 9), 1)
      assert.strictEqual(yield* Fiber.join(plain), 0)
      const masked = yield* fork(nr, word, Futex.futex(word, FUTEX_WAIT_BITSET, 7, null, null, 2))
      assert.strictEqual(yield* Futex.futex(word, FUTEX_WAKE_BITSET, 9, null, null, 1), 0)
      assert.strictEqual(yield* Futex.futex(at(word), FUTEX_WAKE_BITSET, 9, null, null, 3), 1)
      assert.strictEqual(yield* Fiber.join(masked), 0)
    })
  )

  it.live("futex is interrupted, gives up in time and fails with EAGAIN for another value", () =>
    Effect.gen(function* () {
      const word = shared(-1)
      const fiber = yield* fork(Syscall.nr.futex, word, Futex.futex(word, FUTEX_WAIT, -1))
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* Futex.futex(word, FUTEX_WAKE, 1), 0)
      yield* tagged("ETIMEDOUT", Futex.futex(word, FUTEX_WAIT, 0xffffffff, "1 millis"))
      yield* tagged("ETIMEDOUT", Futex.futex(word, FUTEX_WAIT_BITSET, -1, { tv_sec: 0n, tv_nsec: 1n }, null, 1))
      yield* tagged("EAGAIN", Futex.futex(word, FUTEX_WAIT, 0))
      yield* tagged("ENOSYS", Futex.futex(word, 99, 0))
    })
  )

  it.live("futex moves who waits to another word", () =>
    Effect.gen(function* () {
      const from = shared(1)
      const to = shared(2)
      const { futex: nr } = Syscall.nr
      const first = yield* fork(nr, from, Futex.futex(from, FUTEX_WAIT, 1))
      const second = yield* fork(nr, from, Futex.futex(from, FUTEX_WAIT, 1), 2)
      yield* tagged("EAGAIN", Futex.futex(from, FUTEX_CMP_REQUEUE, 1, 1, to, 5))
      assert.strictEqual(yield* Futex.futex(from, FUTEX_CMP_REQUEUE, 0, 2, to, 1), 2)
      assert.strictEqual(yield* Futex.futex(from, FUTEX_WAKE, 9), 0)
      assert.strictEqual(yield* Futex.futex(to, FUTEX_WAKE, 9), 2)
      yield* Fiber.join(first)
      yield* Fiber.join(second)
      const error = yield* tagged("EINVAL", Futex.futex(from, FUTEX_REQUEUE, 0, "1 millis", to))
      assert.include(error.message, "takes a number")
    })
  )

  it.effect("futex and futex_wait refuse to wait on what another thread would get a copy of", () =>
    Effect.gen(function* () {
      for (const operation of [FUTEX_WAIT, FUTEX_WAIT_BITSET, FUTEX_LOCK_PI]) {
        const error = yield* tagged("EINVAL", Futex.futex(new Int32Array(1), operation, 0))
        assert.include(error.message, "uaddr")
        assert.include(error.message, "SharedArrayBuffer")
      }
      // To wake does not need it.
      assert.strictEqual(yield* Futex.futex(new Uint32Array(1), FUTEX_WAKE, 1), 0)
      yield* tagged("EINVAL", Futex.futex_wait(new Int32Array(1), 0, 1, flags))
      yield* tagged("EINVAL", Futex.futex(shared(0, 0), FUTEX_WAKE, 1))
      yield* tagged("EINVAL", Futex.futex(1n, FUTEX_WAKE, 1))
      // With a node there are two words.
      yield* tagged("EINVAL", Futex.futex_wake(shared(), 1, 1, flags | Syscall.FUTEX2_NUMA))
      yield* tagged("EFAULT", Futex.futex_wake(4n, 1, 1, Syscall.FUTEX2_SIZE_U32))
    })
  )
})

describe("the newer futex calls", () => {
  it.live("futex_wait waits until futex_wake wakes it by a bit", () =>
    Effect.gen(function* () {
      const word = shared(-2)
      const { futex_wait: nr } = Syscall.nr
      const fiber = yield* fork(nr, word, Futex.futex_wait(word, -2, 4, flags))
      assert.strictEqual(yield* Futex.futex_wake(word, 3, 1, flags), 0)
      assert.strictEqual(yield* Futex.futex_wake(word, FUTEX_BITSET_MATCH_ANY, 1, flags), 1)
      yield* Fiber.join(fiber)
      yield* tagged("EAGAIN", Futex.futex_wait(word, 0xfffffffdn, 1, flags))
      yield* tagged("ETIMEDOUT", Futex.futex_wait(word, 0xfffffffe, 1, flags, { tv_sec: 0n, tv_nsec: 1n }))
      yield* tagged("EINVAL", Futex.futex_wait(word, -2, 0, flags))
      yield* tagged("EINVAL", Futex.futex_wake(word, 1, 1, 0xff00))
      const gone = yield* fork(nr, word, Futex.futex_wait(at(word), 0xfffffffe, 1, flags))
      yield* Fiber.interrupt(gone)
      assert.strictEqual(yield* Futex.futex_wake(word, 1, 9, flags), 0)
    })
  )

  it.live("futex_waitv tells which of several words was woken", () =>
    Effect.gen(function* () {
      const words = [shared(1), shared(2), shared(3)]
      const waiters = words.map((uaddr, index) => ({ uaddr, val: index + 1, flags }))
      const { futex_waitv: nr } = Syscall.nr
      const before = asleepIn(nr)
      const fiber = yield* Effect.forkChild(Futex.futex_waitv(waiters))
      assert.isTrue(yield* eventually(() => asleepIn(nr) === before + 1))
      assert.strictEqual(yield* Futex.futex_wake(words[1] ?? shared(), FUTEX_BITSET_MATCH_ANY, 1, flags), 1)
      assert.strictEqual(yield* Fiber.join(fiber), 1)
      yield* tagged("ETIMEDOUT", Futex.futex_waitv(waiters, 0, { tv_sec: 0n, tv_nsec: 1n }))
      yield* tagged("EAGAIN", Futex.futex_waitv([...waiters, { uaddr: shared(9), val: 8, flags }]))
      yield* tagged("EINVAL", Futex.futex_waitv([]))
      yield* tagged("EINVAL", Futex.futex_waitv([{ uaddr: new Int32Array(1), val: 0, flags }]))
      const gone = yield* Effect.forkChild(Futex.futex_waitv(waiters))
      assert.isTrue(yield* eventually(() => asleepIn(nr) === before + 1))
      yield* Fiber.interrupt(gone)
      assert.strictEqual(asleepIn(nr), before)
    })
  )

  it.live("futex_requeue moves who waits to another word", () =>
    Effect.gen(function* () {
      const from = shared(1)
      const to = shared(2)
      const fiber = yield* fork(Syscall.nr.futex_wait, from, Futex.futex_wait(from, 1, 1, flags))
      const target = { uaddr: to, val: 0, flags }
      yield* tagged("EAGAIN", Futex.futex_requeue({ uaddr: from, val: 5, flags }, target, 0, 0, 9))
      assert.strictEqual(yield* Futex.futex_requeue({ uaddr: from, val: 1, flags }, target, 0, 0, 9), 1)
      assert.strictEqual(yield* Futex.futex_wake(from, 1, 9, flags), 0)
      assert.strictEqual(yield* Futex.futex_wake(to, 1, 9, flags), 1)
      yield* Fiber.join(fiber)
    })
  )
})
