/** The threads that calls are made on: how many there are, who gets one, and when they are gone. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Errno, Syscall } from "../src/index.ts"
import { native } from "../src/internal/native.ts"
import { asleepIn, eventfd } from "./support/fds.ts"
import { eventually, poolThreads, threads } from "./support/process.ts"
import { addonPath, message, program, worker } from "./support/program.ts"

const { nr } = Syscall

const pool = 0
const forEver = -1

type Start = (...args: Parameters<typeof native.start>) => number

/** A call begun, and what it will answer. */
const begin = (args: ReadonlyArray<Syscall.Argument>, thread: number, start: Start = native.start) => {
  let id = 0
  const answer = new Promise<number>((resolve) => {
    id = start(args, 0, 0, thread, (result) => resolve(Number(result)))
  })
  return { id, answer }
}

const answers = (list: ReadonlyArray<{ readonly answer: Promise<number> }>) =>
  Effect.promise(() => Promise.all(list.map(({ answer }) => answer)))

const gettid = [nr.gettid]
const readOf = (fd: number) => [nr.read, fd, new BigUint64Array(1), 8]
const addTo = (fd: number, count: number) => [nr.write, fd, BigUint64Array.of(BigInt(count)), 8]

/** With so many threads while it runs; the pool has none before. */
const withThreads = <A, E, R>(count: number, self: Effect.Effect<A, E, R>) =>
  Effect.andThen(
    noneLeft,
    Effect.acquireUseRelease(
      Effect.sync(() => native.setThreads(count)),
      () => self,
      () => Effect.sync(() => native.setThreads(64))
    )
  )

const noneLeft = Effect.gen(function* () {
  assert.isTrue(yield* eventually(() => Effect.runSync(poolThreads) === 0), "the pool ends idle threads")
})

const semaphore = eventfd(0, Syscall.EFD_SEMAPHORE)

describe("the pool", () => {
  it.live("makes calls that follow one another on one thread, and ends it when it has nothing to do", () =>
    Effect.gen(function* () {
      yield* noneLeft
      const tids = new Set<number>()
      for (let round = 0; round < 50; round++) tids.add(yield* Effect.promise(() => begin(gettid, pool).answer))
      assert.strictEqual(tids.size, 1)
      assert.strictEqual(yield* poolThreads, 1)
      yield* noneLeft
    })
  )

  it.live("makes no more calls at once than it has threads, and all of them in the end", () =>
    withThreads(
      2,
      Effect.gen(function* () {
        const tids = yield* answers(Array.from({ length: 3000 }, () => begin(gettid, pool)))
        assert.strictEqual(tids.length, 3000)
        assert.isAtMost(new Set(tids).size, 2)
      })
    )
  )

  it.live("begins queued calls in their order", () =>
    withThreads(
      1,
      Effect.gen(function* () {
        const order: Array<number> = []
        yield* answers(
          Array.from({ length: 500 }, (_, index) => {
            const { answer, id } = begin([nr.getpid], pool)
            return { id, answer: answer.then((result) => order.push(index) && result) }
          })
        )
        assert.deepStrictEqual(
          order,
          Array.from({ length: 500 }, (_, index) => index)
        )
      })
    )
  )

  it.live("gives a call that may wait for ever a thread beyond its size", () =>
    withThreads(
      1,
      Effect.gen(function* () {
        const fd = yield* semaphore
        const waiting = Array.from({ length: 20 }, () => begin(readOf(fd), forEver))
        assert.isTrue(yield* eventually(() => asleepIn(nr.read, fd) === 20))
        // None of them takes the place of a call that is soon over.
        const [tid] = yield* answers([begin(gettid, pool)])
        assert.isAbove(tid ?? 0, 0)
        assert.strictEqual(asleepIn(nr.read, fd), 20)
        yield* answers([begin(addTo(fd, 20), pool)])
        assert.deepStrictEqual(new Set(yield* answers(waiting)), new Set([8]))
        yield* noneLeft
      }).pipe(Effect.scoped)
    )
  )

  it.live("takes an idle thread for a call that may wait for ever", () =>
    Effect.gen(function* () {
      yield* noneLeft
      const [first] = yield* answers([begin(gettid, pool)])
      const [second] = yield* answers([begin(gettid, forEver)])
      assert.strictEqual(second, first)
    })
  )

  it.live("does not stand still when its calls wait for one that is queued behind them", () =>
    withThreads(
      2,
      Effect.gen(function* () {
        const fd = yield* semaphore
        const waiting = Array.from({ length: 25 }, () => begin(readOf(fd), pool))
        const release = begin(addTo(fd, 25), pool)
        assert.deepStrictEqual(new Set(yield* answers([...waiting, release])), new Set([8]))
        // And is as small again as before.
        yield* noneLeft
        const tids = yield* answers(Array.from({ length: 1000 }, () => begin(gettid, pool)))
        assert.isAtMost(new Set(tids).size, 2)
      }).pipe(Effect.scoped)
    )
  )

  it.live("ends queued calls that are interrupted at once, however many, and leaves the others", () =>
    withThreads(
      1,
      Effect.gen(function* () {
        const fd = yield* semaphore
        const running = begin(readOf(fd), pool)
        const queued = Array.from({ length: 5000 }, () => begin(readOf(fd), pool))
        const last = begin(gettid, pool)
        const start = performance.now()
        for (const { id } of [...queued].reverse()) native.interrupt(id)
        const results = yield* answers(queued)
        assert.isBelow(performance.now() - start, 2000)
        assert.deepStrictEqual(new Set(results), new Set([-Errno.codes.EINTR]))
        native.interrupt(running.id)
        assert.deepStrictEqual(yield* answers([running]), [-Errno.codes.EINTR])
        assert.isAbove((yield* answers([last]))[0] ?? 0, 0)
      }).pipe(Effect.scoped)
    )
  )

  it.live("never ends a call with the signal that came too late for the one before it", () =>
    withThreads(
      1,
      Effect.gen(function* () {
        const fd = yield* semaphore
        const one = BigUint64Array.of(1n)
        const oneMillisecond = BigInt64Array.of(0n, 1_000_000n)
        for (let round = 0; round < 400; round++) {
          const first = begin(readOf(fd), pool)
          const second = begin([nr.nanosleep, oneMillisecond, null], pool)
          const until = performance.now() + Math.random() * 0.2
          while (performance.now() < until);
          // It returns because of this, and is called back at the same moment.
          native.call(nr.write, fd, one, 8)
          native.interrupt(first.id)
          const [read, slept] = yield* answers([first, second])
          assert.include([8, -Errno.codes.EINTR], read)
          assert.strictEqual(slept, 0)
          if (read !== 8) native.call(nr.read, fd, one, 8)
          one[0] = 1n
        }
      }).pipe(Effect.scoped)
    )
  )

  it.live("hands thousands of results over without holding up the loop", () =>
    Effect.gen(function* () {
      let turns = 0
      const counting = setInterval(() => turns++, 0)
      yield* answers(Array.from({ length: 10_000 }, () => begin([nr.getpid], pool)))
      clearInterval(counting)
      assert.isAbove(turns, 3)
      assert.isAtMost(yield* poolThreads, 64)
      yield* noneLeft
    })
  )

  // Walking several trees, each of whose results is a millisecond's work, held up the loop for all of them together.
  it.live("lets the loop turn between results that take long to look at", () =>
    Effect.promise(async () => {
      const busy = (milliseconds: number) => {
        for (const until = performance.now() + milliseconds; performance.now() < until; ) {}
      }
      let turn = 0
      const turning = setInterval(() => turn++, 0)
      const told: Array<number> = []
      const all = Array.from({ length: 40 }, () => {
        return new Promise<void>((resolve) => {
          native.start(gettid, 0, 0, pool, () => {
            told.push(turn)
            busy(1)
            resolve()
          })
        })
      })
      busy(30)
      await Promise.all(all)
      clearInterval(turning)
      const most = Math.max(...told.map((one) => told.filter((other) => other === one).length))
      assert.isAtMost(most, 10)
    })
  )

  it.live("has as many threads as EFFECT_LINUX_THREADS says, where that is a number", () =>
    Effect.gen(function* () {
      const tidsWith = (value: string) =>
        Effect.gen(function* () {
          process.env["EFFECT_LINUX_THREADS"] = value
          const module: { exports: { start?: Start } } = { exports: {} }
          process.dlopen(module, addonPath)
          Reflect.deleteProperty(process.env, "EFFECT_LINUX_THREADS")
          const { start } = module.exports
          if (start === undefined) return assert.fail("not the addon")
          const of = yield* answers(Array.from({ length: 500 }, () => begin([nr.gettid], pool, start)))
          return new Set(of).size
        })
      assert.strictEqual(yield* tidsWith("1"), 1)
      // Two are in use at the latest when many calls are begun in one turn.
      for (const nonsense of ["0", "-3", "many", "2x", "", "100000"])
        assert.isAbove(yield* tidsWith(nonsense), 1, nonsense)
    }).pipe(Effect.scoped)
  )
})

describe("the end, with calls at work, in the queue and done", () => {
  const busy = `
    addon.setThreads(2)
    const fd = addon.call(${nr.eventfd2}, 0, 0)
    for (let i = 0; i < 100; i++) {
      addon.start([${nr.read}, fd, new Uint8Array(8), 8], 0, 0, i % 2 - 1, () => {})
      addon.start([${nr.getpid}], 0, 0, -1, () => {})
    }`

  it.live("does not hang or crash in process.exit", () =>
    Effect.gen(function* () {
      const ended = yield* program(`${busy}
        addon.start([${nr.getpid}], 0, 0, -1, () => process.exit(3))`)
      assert.deepStrictEqual(ended, { code: 3, signal: null, stdout: "", stderr: "" })
    })
  )

  it.live("does not hang or crash with an uncaught error", () =>
    Effect.gen(function* () {
      const ended = yield* program(`${busy}
        addon.start([${nr.getpid}], 0, 0, -1, () => { throw new Error("boom") })`)
      assert.deepInclude(ended, { code: 1, signal: null, stdout: "" })
      assert.include(ended.stderr, "Error: boom")
    })
  )

  it.live("comes by itself when nothing is pending, without waiting for idle threads", () =>
    Effect.gen(function* () {
      const ended = yield* program(`
        for (let i = 0; i < 50; i++) addon.start([${nr.getpid}], 0, 0, 0, () => {})
        process.on("exit", () => { console.log("exit") })`)
      assert.deepStrictEqual(ended, { code: 0, signal: null, stdout: "exit\n", stderr: "" })
    })
  )

  it.live("of a worker takes its threads with it, whatever they are doing", () =>
    Effect.gen(function* () {
      yield* noneLeft
      // The first worker starts what Node keeps for good.
      let before = 0
      for (let round = 0; round < 6; round++) {
        const self = worker(`${busy}
          addon.start([${nr.getpid}], 0, 0, -1, () => post("busy"))`)
        assert.strictEqual(yield* message(self), "busy")
        const start = performance.now()
        yield* Effect.promise(() => self.terminate())
        assert.isBelow(performance.now() - start, 1500)
        // They are gone with it, and not some time later.
        assert.strictEqual(yield* poolThreads, 0)
        if (round === 0) before = yield* threads
      }
      yield* eventually(() => Effect.runSync(threads) <= before)
      assert.isAtMost(yield* threads, before)
    })
  )
})
