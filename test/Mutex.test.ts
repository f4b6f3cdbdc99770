/** Locks in shared memory: among fibers here, and what becomes of them when their memory goes. */
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { Errno, File, Futex, Mapping, Mutex, Syscall } from "../src/index.ts"
import { asleepIn } from "./support/fds.ts"
import { callsOf, turn, yieldingAt } from "./support/files.ts"
import { eventually, openFds, threads } from "./support/process.ts"

const shared = Mapping.anonymous({ length: 4096, shared: true })

/** A memory file, mapped several times, as several processes have it: only the kernel lies between those. */
const mapped = <const N extends number>(times: N) =>
  Effect.gen(function* () {
    const file = yield* Effect.flatMap(Syscall.memfd_create("effect-linux-mutex", Syscall.MFD_CLOEXEC), File.fromFd)
    yield* File.truncate(file, 4096)
    return yield* Effect.all(Array.from({ length: times }, () => File.mmap(file, { length: 4096, shared: true })))
  })

const twice = Effect.map(mapped(2), ([one, two]) => [one, two] as readonly [Mapping.Mapping, Mapping.Mapping])

const wordOf = (memory: Mutex.Memory, offset = 0) =>
  new BigUint64Array(memory instanceof SharedArrayBuffer ? memory : memory.buffer, offset, 1)

const read = (memory: Mutex.Memory, offset = 0): bigint => Atomics.load(wordOf(memory, offset), 0)

const died = BigInt(Syscall.FUTEX_OWNER_DIED)
const waiters = BigInt(Syscall.FUTEX_WAITERS)

/** An owner that cannot live: no thread has a number this high. */
const dead = (7n << 32n) | 0x3fff_fff0n

describe("Mutex", () => {
  it.live("is free in memory of zeros, names its owner while it is held, and is free again", () =>
    Effect.gen(function* () {
      for (const memory of [new SharedArrayBuffer(64), yield* shared]) {
        const mutex = yield* Mutex.at(memory, 16)
        assert.isTrue(Mutex.isMutex(mutex))
        assert.strictEqual(read(memory, 16), 0n)
        const held = yield* Mutex.withLock(
          mutex,
          Effect.sync(() => read(memory, 16))
        )
        const stat = readFileSync("/proc/thread-self/stat", "utf8").split(") ")[1]?.split(" ") ?? []
        assert.strictEqual(Number(held & 0xffffffffn), yield* Syscall.gettid)
        assert.strictEqual(held >> 32n, BigInt(stat[19] ?? 0))
        assert.strictEqual(read(memory, 16), 0n)
      }
    })
  )

  it.live("makes no system call where nobody else wants it", () =>
    Effect.gen(function* () {
      const mutex = yield* Mutex.make()
      const { calls } = yield* callsOf(
        Effect.gen(function* () {
          for (let i = 0; i < 100; i++) yield* Mutex.withLock(mutex, Effect.void)
          assert.isTrue(yield* Effect.scoped(Mutex.tryLock(mutex)))
        })
      )
      assert.deepStrictEqual(calls, [])
    })
  )

  it.live("is given back however the body ends", () =>
    Effect.gen(function* () {
      const mutex = yield* Mutex.make()
      for (const body of [Effect.void, Effect.fail("no"), Effect.die("broken"), Effect.interrupt]) {
        yield* Effect.exit(Mutex.withLock(mutex, body))
        assert.strictEqual(read(mutex.memory), 0n)
        yield* Effect.exit(Effect.scoped(Effect.andThen(Mutex.lock(mutex), body)))
        assert.strictEqual(read(mutex.memory), 0n)
      }
    })
  )

  it.live("lets one fiber in at a time, in the order of asking, without the kernel", () =>
    Effect.gen(function* () {
      const mutex = yield* Mutex.make()
      let inside = 0
      const order: Array<number> = []
      const body = (index: number) =>
        Effect.gen(function* () {
          assert.strictEqual(++inside, 1)
          yield* turn
          order.push(index)
          inside--
        })
      const { calls } = yield* callsOf(
        Effect.forEach(
          Array.from({ length: 20 }, (_, index) => index),
          (index) => Mutex.withLock(mutex, body(index)),
          { concurrency: "unbounded" }
        )
      )
      assert.deepStrictEqual(
        order,
        Array.from({ length: 20 }, (_, index) => index)
      )
      assert.deepStrictEqual(calls, [])
    })
  )

  it.live("goes from fiber to fiber however many there are", () =>
    Effect.gen(function* () {
      const mutex = yield* Mutex.make()
      let count = 0
      const increment = Mutex.withLock(
        mutex,
        Effect.sync(() => {
          count++
        })
      )
      const fibers = yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Mutex.lock(mutex)
          return yield* Effect.forEach(Array.from({ length: 10_000 }), () =>
            Effect.forkChild(increment, { startImmediately: true })
          )
        })
      )
      for (const fiber of fibers) yield* Fiber.join(fiber)
      assert.strictEqual(count, 10_000)
    })
  )

  it.live("is passed on by a fiber that is interrupted when it is its turn", () =>
    Effect.gen(function* () {
      const mutex = yield* Mutex.make()
      const order: Array<string> = []
      const body = (name: string) =>
        Mutex.withLock(
          mutex,
          Effect.sync(() => order.push(name))
        )
      const scope = yield* Scope.make()
      yield* Scope.provide(Mutex.lock(mutex), scope)
      const first = yield* Effect.forkChild(body("first"), { startImmediately: true })
      const second = yield* Effect.forkChild(body("second"), { startImmediately: true })
      const third = yield* Effect.forkChild(body("third"), { startImmediately: true })
      yield* Fiber.interrupt(second)
      yield* Scope.close(scope, Exit.void)
      first.interruptUnsafe()
      yield* Fiber.join(third)
      assert.deepStrictEqual(order, ["third"])
      assert.isTrue(yield* Effect.scoped(Mutex.tryLock(mutex)))
    })
  )

  it.live("is the same lock by whichever value it is reached in a thread", () =>
    Effect.gen(function* () {
      const memory = new SharedArrayBuffer(16)
      const one = yield* Mutex.at(memory)
      const two = yield* Mutex.at(memory)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Mutex.lock(one)
          assert.isFalse(yield* Mutex.tryLock(two))
        })
      )
      assert.isTrue(yield* Effect.scoped(Mutex.tryLock(two)))
    })
  )

  it.live("waits in the kernel, off the loop, for who has it by another mapping", () =>
    Effect.gen(function* () {
      const [here, there] = yield* twice
      const [mine, other] = [yield* Mutex.at(here), yield* Mutex.at(there)]
      const scope = yield* Scope.make()
      yield* Scope.provide(Mutex.lock(other), scope)
      assert.isFalse(yield* Effect.scoped(Mutex.tryLock(mine)))
      const fiber = yield* Effect.forkChild(
        Mutex.withLock(
          mine,
          Effect.sync(() => read(there))
        )
      )
      assert.isTrue(yield* eventually(() => asleepIn(Syscall.nr.futex, here.address) === 1))
      assert.isTrue((read(here) & waiters) !== 0n)
      yield* turn
      yield* Scope.close(scope, Exit.void)
      // Who has waited does not know whether others do.
      assert.isTrue(((yield* Fiber.join(fiber)) & waiters) !== 0n)
      assert.strictEqual(read(here), 0n)
    })
  )

  it.live("has a limit by Effect.timeout, and is sound after it", () =>
    Effect.gen(function* () {
      const [here, there] = yield* twice
      const [mine, other] = [yield* Mutex.at(here), yield* Mutex.at(there)]
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Mutex.lock(other)
          const error = yield* Effect.flip(Effect.timeout(Mutex.withLock(mine, Effect.void), "20 millis"))
          assert.strictEqual(error._tag, "TimeoutError")
        })
      )
      yield* Mutex.withLock(mine, Effect.void)
      assert.strictEqual(read(here), 0n)
      assert.strictEqual(asleepIn(Syscall.nr.futex, here.address), 0)
    })
  )

  it.live("keeps its memory where it is while it is held, and follows it when it was moved", () =>
    Effect.gen(function* () {
      const mapping = yield* shared
      const mutex = yield* Mutex.at(mapping, 64)
      const busy = Effect.flip(Mapping.remap(mapping, 8192))
      assert.strictEqual((yield* Mutex.withLock(mutex, busy))._tag, "EBUSY")
      yield* Mapping.remap(mapping, 1 << 20)
      assert.notStrictEqual(
        yield* Mutex.withLock(
          mutex,
          Effect.sync(() => read(mapping, 64))
        ),
        0n
      )
      assert.strictEqual(read(mapping, 64), 0n)
      yield* Mapping.protect(mapping, { write: false })
      assert.strictEqual((yield* Effect.flip(Mutex.withLock(mutex, Effect.void)))._tag, "EFAULT")
      yield* Mapping.protect(mapping, {})
      yield* Mutex.withLock(mutex, Effect.void)
    })
  )

  it.live("refuses places that do not do", () =>
    Effect.gen(function* () {
      const memory = new SharedArrayBuffer(32)
      for (const offset of [-8, 4, 1.5, 24, Number.NaN, 2 ** 53]) {
        assert.strictEqual((yield* Effect.flip(Mutex.at(memory, offset)))._tag, "EINVAL", String(offset))
      }
      yield* Mutex.at(memory, 16)
      const gone = yield* Effect.scoped(shared)
      assert.strictEqual((yield* Effect.flip(Mutex.at(gone)))._tag, "EFAULT")
      // @ts-expect-error: plain memory is nobody's to share
      assert.isTrue(Exit.hasDies(yield* Effect.exit(Mutex.at(new ArrayBuffer(16)))))
      assert.isTrue(Exit.hasDies(yield* Effect.exit(Mutex.withLock(JSON.parse("{}"), Effect.void))))
    })
  )

  it.live("refuses a lock of another PID namespace, as the numbers of its owners say nothing here", () =>
    Effect.gen(function* () {
      const memory = new SharedArrayBuffer(16)
      yield* Mutex.at(memory)
      const own = new Int32Array(memory, 8, 1)[0] ?? 0
      assert.notStrictEqual(own, 0)
      const foreign = new SharedArrayBuffer(16)
      new Int32Array(foreign, 8, 1)[0] = own + 1
      const error = yield* Effect.flip(Mutex.at(foreign))
      assert.strictEqual(error._tag, "EINVAL")
      assert.include(error.message, "namespace")
    })
  )
})

describe("a mutex whose owner died", () => {
  it.live("tells everybody, until somebody has repaired what it guards", () =>
    Effect.gen(function* () {
      const mutex = yield* Mutex.make()
      wordOf(mutex.memory)[0] = dead
      const error = yield* Effect.flip(Mutex.withLock(mutex, Effect.die("not to be run")))
      assert.instanceOf(error, Mutex.OwnerDied)
      assert.strictEqual(read(mutex.memory), died)
      assert.strictEqual((yield* Effect.flip(Effect.scoped(Mutex.tryLock(mutex))))._tag, "OwnerDied")
      assert.strictEqual((yield* Effect.flip(Effect.scoped(Mutex.lock(mutex))))._tag, "OwnerDied")

      // A repair that fails leaves it as it is.
      const failing = Mutex.withLock(mutex, Effect.die("not to be run"), { repair: Effect.fail("no tools" as const) })
      assert.strictEqual(yield* Effect.flip(failing), "no tools")
      assert.strictEqual(read(mutex.memory), died)
      const interrupted = yield* Effect.exit(Mutex.withLock(mutex, Effect.void, { repair: Effect.interrupt }))
      assert.isTrue(Exit.hasInterrupts(interrupted))
      assert.strictEqual(read(mutex.memory), died)

      const seen: Array<string> = []
      const note = (what: string) =>
        Effect.sync(() => {
          seen.push(`${what} ${(read(mutex.memory) & died) !== 0n}`)
        })
      yield* Mutex.withLock(mutex, note("body"), { repair: note("repair") })
      assert.deepStrictEqual(seen, ["repair true", "body false"])
      assert.strictEqual(read(mutex.memory), 0n)
      yield* Mutex.withLock(mutex, Effect.void)
    })
  )

  it.live("is found by tryLock at once, and by a repair of every form", () =>
    Effect.gen(function* () {
      const mutex = yield* Mutex.make()
      let repairs = 0
      const repair = Effect.sync(() => {
        repairs++
      })
      for (const take of [
        Effect.asVoid(Mutex.tryLock(mutex, { repair })),
        Mutex.lock(mutex, { repair }),
        Effect.void.pipe(Mutex.withLock(mutex, { repair })),
        Mutex.withLock(mutex, Effect.void, { repair })
      ]) {
        wordOf(mutex.memory)[0] = dead
        yield* Effect.scoped(take)
        assert.strictEqual(read(mutex.memory), 0n)
      }
      assert.strictEqual(repairs, 4)
    })
  )

  it.live("is told from one whose thread number another thread has by now", () =>
    Effect.gen(function* () {
      const mutex = yield* Mutex.make()
      // The parent lives, and did not begin then.
      const parent = BigInt(process.ppid)
      const stat = readFileSync(`/proc/${process.ppid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? []
      const start = BigInt(stat[19] ?? 0)
      wordOf(mutex.memory)[0] = ((start + 1n) << 32n) | parent
      assert.strictEqual((yield* Effect.flip(Effect.scoped(Mutex.tryLock(mutex))))._tag, "OwnerDied")
      wordOf(mutex.memory)[0] = (start << 32n) | parent
      assert.isFalse(yield* Effect.scoped(Mutex.tryLock(mutex)))
    })
  )

  it.live("counts one whose memory was released under it", () =>
    Effect.gen(function* () {
      const file = yield* Effect.flatMap(Syscall.memfd_create("effect-linux-mutex", Syscall.MFD_CLOEXEC), File.fromFd)
      yield* File.truncate(file, 4096)
      const map = File.mmap(file, { length: 4096, shared: true })
      const there = yield* map
      const scope = yield* Scope.make()
      const here = yield* Scope.provide(map, scope)
      const mutex = yield* Mutex.at(here)
      const other = yield* Mutex.at(there)
      const going = yield* Deferred.make<void>()
      const inside = yield* Deferred.make<void>()
      const holder = yield* Effect.forkChild(
        Mutex.withLock(mutex, Effect.andThen(Deferred.succeed(inside, undefined), Deferred.await(going)))
      )
      yield* Deferred.await(inside)
      const waiting = yield* Effect.forkChild(Effect.flip(Mutex.withLock(other, Effect.void)))
      assert.isTrue(yield* eventually(() => asleepIn(Syscall.nr.futex, there.address) === 1))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "OwnerDied")
      // The holder knows nothing of it, and gives back nothing.
      yield* Deferred.succeed(going, undefined)
      yield* Fiber.join(holder)
      assert.strictEqual(read(there), died)
      assert.strictEqual((yield* Effect.flip(Mutex.withLock(mutex, Effect.void)))._tag, "EFAULT")
    })
  )

  it("is in the type of what takes the lock where there is no repair, and only there", () => {
    const check = (mutex: Mutex.Mutex) => {
      const plain: Effect.Effect<number, Mutex.OwnerDied | Syscall.FutexError> = Mutex.withLock(
        mutex,
        Effect.succeed(1)
      )
      // @ts-expect-error: the owner may have died
      const careless: Effect.Effect<number, Syscall.FutexError> = Mutex.withLock(mutex, Effect.succeed(1))
      const repaired: Effect.Effect<number, "no tools" | Syscall.FutexError> = Mutex.withLock(
        mutex,
        Effect.succeed(1),
        { repair: Effect.fail("no tools" as const) }
      )
      const piped: Effect.Effect<number, Syscall.FutexError> = Effect.succeed(1).pipe(
        Mutex.withLock(mutex, { repair: Effect.void })
      )
      // @ts-expect-error: a lock is held by a scope
      const unscoped: Effect.Effect<void, Mutex.OwnerDied | Syscall.FutexError> = Mutex.lock(mutex)
      return [plain, careless, repaired, piped, unscoped]
    }
    assert.isFunction(check)
  })

  it.live("is waited for in vain no longer than the mapping is there", () =>
    Effect.gen(function* () {
      const [here, there] = yield* twice
      const other = yield* Mutex.at(there)
      yield* Mutex.lock(other)
      const scope = yield* Scope.make()
      const file = here.address
      assert.notStrictEqual(file, there.address)
      const mine = yield* Scope.provide(shared, scope)
      // An owner that lives and is somebody else.
      const stat = readFileSync(`/proc/${process.ppid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? []
      wordOf(mine)[0] = (BigInt(stat[19] ?? 0) << 32n) | BigInt(process.ppid)
      const mutex = yield* Mutex.at(mine)
      const waiting = yield* Effect.forkChild(Effect.flip(Mutex.withLock(mutex, Effect.void)))
      const behind = yield* Effect.forkChild(Effect.flip(Mutex.withLock(mutex, Effect.void)))
      assert.isTrue(yield* eventually(() => asleepIn(Syscall.nr.futex, mine.address) === 1))
      yield* Scope.close(scope, Exit.void)
      for (const fiber of [waiting, behind]) assert.instanceOf(yield* Fiber.join(fiber), Errno.EFAULT)
    })
  )
})

describe("interruption of who waits for a mutex", () => {
  it.live("leaves it sound, wherever the fiber gives way", () =>
    Effect.gen(function* () {
      const [here, there] = yield* twice
      const [mine, other] = [yield* Mutex.at(here), yield* Mutex.at(there)]
      const before = { fds: yield* openFds, threads: yield* threads }
      for (const contended of [false, true]) {
        for (let place = 1; place <= 30; place++) {
          for (let turns = 0; turns < 3; turns++) {
            const scope = yield* Scope.make()
            if (contended) yield* Scope.provide(Mutex.lock(other), scope)
            const fiber = yield* Effect.forkChild(Mutex.withLock(mine, Effect.void).pipe(yieldingAt(place)), {
              startImmediately: true
            })
            const second = yield* Effect.forkChild(Mutex.withLock(mine, Effect.void), { startImmediately: true })
            for (let i = 0; i < turns; i++) yield* turn
            const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
            yield* Fiber.interrupt(fiber)
            yield* Fiber.join(closing)
            yield* Fiber.join(second)
            assert.strictEqual(read(here), 0n, `${contended} ${place} ${turns}`)
          }
        }
      }
      assert.isTrue(yield* eventually(() => Effect.runSync(threads) <= before.threads))
      assert.strictEqual(yield* openFds, before.fds)
    })
  )

  // A lost wake-up does not hang: who waits looks again after a while. That is seen by the answers to their waits.
  const timeouts = (calls: ReadonlyArray<Syscall.Call>) =>
    calls.filter(({ name, result }) => name === "futex" && result === -Errno.codes.ETIMEDOUT).length

  it.live("passes a wake-up on that came at that moment", () =>
    Effect.gen(function* () {
      const memories = yield* mapped(3)
      const [owner, first, second] = yield* Effect.forEach(memories, (memory) => Mutex.at(memory))
      if (owner === undefined || first === undefined || second === undefined) return assert.fail("three were made")
      const asleep = (of: Mutex.Mutex) =>
        eventually(() => asleepIn(Syscall.nr.futex, memories.find((memory) => memory === of.memory)?.address) === 1)
      const { calls } = yield* callsOf(
        Effect.gen(function* () {
          for (let round = 0; round < 20; round++) {
            const scope = yield* Scope.make()
            yield* Scope.provide(Mutex.lock(owner), scope)
            const interrupted = yield* Effect.forkChild(Mutex.withLock(first, Effect.void))
            assert.isTrue(yield* asleep(first))
            const waiting = yield* Effect.forkChild(Mutex.withLock(second, Effect.void))
            assert.isTrue(yield* asleep(second))
            // The kernel wakes the first, and before the loop turns its fiber is gone.
            yield* Scope.close(scope, Exit.void)
            yield* Fiber.interrupt(interrupted)
            yield* Fiber.join(waiting)
          }
        })
      )
      assert.isAtMost(timeouts(calls), 5)
    })
  )

  it.live("loses no wake-up: a storm", () =>
    Effect.gen(function* () {
      const memories = yield* mapped(8)
      const mutexes = yield* Effect.forEach(memories, (memory) => Mutex.at(memory))
      const here = memories[0] as Mapping.Mapping
      const counter = new Int32Array(here.buffer, 64, 1)
      let done = 0
      let random = 1
      const next = (below: number) => {
        random = (Math.imul(random, 1103515245) + 12345) & 0x7fffffff
        return (random >> 8) % below
      }
      const increment = Effect.gen(function* () {
        const value = counter[0] ?? 0
        if (next(2) === 0) yield* turn
        counter[0] = value + 1
        done++
      })
      const one = (mutex: Mutex.Mutex) =>
        Effect.gen(function* () {
          for (let i = 0; i < 40; i++) {
            const fiber = yield* Effect.forkChild(Mutex.withLock(mutex, increment), { startImmediately: true })
            const turns = next(6)
            for (let t = 0; t < turns; t++) yield* turn
            if (next(2) === 0) yield* Fiber.interrupt(fiber)
            else yield* Fiber.await(fiber)
          }
        })
      const { calls } = yield* callsOf(
        Effect.all(
          Array.from({ length: 16 }, (_, index) => one(mutexes[index % mutexes.length] as Mutex.Mutex)),
          { concurrency: "unbounded" }
        )
      )
      assert.strictEqual(counter[0], done)
      assert.isAbove(done, 100)
      assert.strictEqual(read(here), 0n)
      assert.strictEqual(yield* Futex.wakeAll(new Int32Array(here.buffer, 0, 1)), 0)
      const waits = calls.filter(({ args, name }) => name === "futex" && Number(args[1]) === Syscall.FUTEX_WAIT)
      assert.isAbove(waits.length, 0)
      assert.isAtMost(timeouts(calls), waits.length / 4)
    })
  )
})
