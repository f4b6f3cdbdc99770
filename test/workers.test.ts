/** The addon where it is not alone: in workers, loaded twice, and in a process that ends while calls are in flight. */
import { copyFileSync } from "node:fs"
import { join } from "node:path"
import type { Worker } from "node:worker_threads"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Errno, Syscall } from "../src/index.ts"
import { asleepIn, directory, eventfd, pipe } from "./support/fds.ts"
import { eventually, mappings, openFds, threads } from "./support/process.ts"
import { addonPath, ended, message, program, worker } from "./support/program.ts"

const { nr } = Syscall

const inWorker = (body: string, data?: unknown) =>
  Effect.acquireRelease(
    Effect.sync(() => worker(body, data)),
    (self) => Effect.promise(() => self.terminate())
  )

const terminate = (self: Worker) => Effect.promise(() => self.terminate())

/** Runs an effect that leaves no thread and no descriptor behind. The first run warms up what Node keeps for good. */
const leavesNothing = <E, R>(self: Effect.Effect<void, E, R>) =>
  Effect.gen(function* () {
    yield* self
    const before = { fds: yield* openFds, threads: yield* threads }
    yield* self
    // Node's own last thread of a worker may take a moment to be gone.
    yield* eventually(() => Effect.runSync(threads) <= before.threads)
    assert.deepStrictEqual({ fds: yield* openFds, threads: yield* threads }, before)
  })

const blockedRead = `
  addon.start([${nr.read}, data.fd, new Uint8Array(8), 8], 0, 0, 0, () => post("answered"))`

describe("workers", () => {
  it.live("make calls several at once, each on its own thread", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* pipe
      const body = `
        const { Effect, Syscall } = await library()
        const tid = await Effect.runPromise(Syscall.gettid)
        const other = await Effect.runPromise(Syscall.callBlocking(Syscall.nr.gettid))
        post([tid, other])
        const byte = new Uint8Array(1)
        post([await Effect.runPromise(Syscall.read(data.fd, byte)), byte[0]])`
      const workers = yield* Effect.all(Array.from({ length: 3 }, () => inWorker(body, { fd: reader })))
      const tids = (yield* Effect.all(workers.map(message), { concurrency: "unbounded" })).flat()
      assert.strictEqual(new Set([...tids, yield* Syscall.gettid]).size, 7, "all threads differ")

      const answers = yield* Effect.forkChild(Effect.all(workers.map(message), { concurrency: "unbounded" }))
      yield* Syscall.write(writer, Uint8Array.of(7, 7, 7))
      assert.deepStrictEqual(yield* Fiber.join(answers), [
        [1, 7],
        [1, 7],
        [1, 7]
      ])
    }).pipe(Effect.scoped)
  )

  it.live("come and go without a trace", () =>
    leavesNothing(
      Effect.gen(function* () {
        const self = yield* inWorker(`
          const { Effect, Scope, Syscall } = await library()
          const scope = Effect.runSync(Scope.make())
          const thread = await Effect.runPromise(Scope.provide(Syscall.makeThread, scope))
          post(await Effect.runPromise(Syscall.callOn(thread, Syscall.nr.getpid)))`)
        assert.strictEqual(yield* message(self), process.pid)
        // The worker never closes its thread: its environment does, as nothing else keeps it alive.
        assert.strictEqual(yield* ended(self), 0)
      }).pipe(Effect.scoped)
    )
  )

  it.live("leave no descriptor and no memory when terminated, though no finalizer of theirs runs", () => {
    const shared = mappings(/\/dev\/zero \(deleted\)$/)
    const terminated = Effect.gen(function* () {
      const self = yield* inWorker(`
        const { Effect, File, Mapping, Scope } = await library()
        const scope = Effect.runSync(Scope.make())
        const memory = Mapping.anonymous({ length: 1 << 20, shared: true })
        await Effect.runPromise(Scope.provide(Effect.all([
          File.open("/etc/passwd"),
          memory,
          // Nothing shows it.
          Effect.flatMap(memory, (it) => Mapping.protect(it, { write: false })),
          // Nor this, which is kept for who has its address.
          Effect.scoped(Effect.flatMap(memory, (it) => Scope.provide(Mapping.pin(it), scope)))
        ]), scope))
        setInterval(() => {}, 1000)
        post("holding")`)
      assert.strictEqual(yield* message(self), "holding")
      yield* terminate(self)
    }).pipe(Effect.scoped)
    return Effect.gen(function* () {
      const before = yield* shared
      yield* leavesNothing(terminated)
      assert.strictEqual(yield* shared, before)
    })
  })

  it.live("end at once when terminated while calls are blocked, and what they read from is still whole", () =>
    leavesNothing(
      Effect.gen(function* () {
        const [reader, writer] = yield* pipe
        const self = yield* inWorker(
          `${blockedRead}
          const thread = addon.openThread()
          for (const _ of [1, 2]) {
            addon.start([${nr.read}, data.fd, new Uint8Array(8), 8], 0, 0, thread, () => post("answered"))
          }`,
          { fd: reader }
        )
        assert.isTrue(yield* eventually(() => asleepIn(nr.read, reader) === 2))
        const start = performance.now()
        yield* terminate(self)
        assert.isBelow(performance.now() - start, 1000)
        assert.strictEqual(asleepIn(nr.read, reader), 0)

        const bytes = new Uint8Array(8)
        yield* Syscall.write(writer, Uint8Array.of(1, 2, 3, 4, 5))
        assert.strictEqual(yield* Syscall.read(reader, bytes), 5)
        assert.deepStrictEqual([...bytes], [1, 2, 3, 4, 5, 0, 0, 0])
      }).pipe(Effect.scoped)
    )
  )

  it.live("end with their error when one is thrown while a call is blocked; the process goes on", () =>
    leavesNothing(
      Effect.gen(function* () {
        const [reader] = yield* pipe
        const self = yield* inWorker(
          `${blockedRead}
          require("node:worker_threads").parentPort.once("message", () => { throw new Error("boom") })`,
          { fd: reader }
        )
        const error = yield* Effect.forkChild(Effect.flip(message(self)))
        assert.isTrue(yield* eventually(() => asleepIn(nr.read, reader) === 1))
        const exit = yield* Effect.forkChild(ended(self))
        self.postMessage("now")
        assert.strictEqual((yield* Fiber.join(error)).message, "boom")
        assert.strictEqual(yield* Fiber.join(exit), 1)
        assert.strictEqual(asleepIn(nr.read, reader), 0)
      }).pipe(Effect.scoped)
    )
  )

  it.live("can be terminated at any moment of their calls", () =>
    leavesNothing(
      Effect.gen(function* () {
        const fd = yield* eventfd(0)
        for (let round = 0; round < 10; round++) {
          const self = yield* inWorker(
            `const storm = () => {
              const read = addon.start([${nr.read}, data.fd, new Uint8Array(8), 8], 0, 0, 0, storm)
              addon.start([${nr.getpid}], 0, 0, 0, () => addon.interrupt(read))
            }
            for (let i = 0; i < 4; i++) storm()
            post("going")`,
            { fd }
          )
          yield* message(self)
          for (let turn = 0; turn < round * 20; turn++) yield* Effect.yieldNow
          yield* terminate(self)
        }
      }).pipe(Effect.scoped)
    )
  )
})

interface Addon {
  readonly call: typeof Syscall.kernel.call
  readonly start: (
    args: ReadonlyArray<Syscall.Argument>,
    directions: number,
    done: number,
    thread: number,
    callback: (result: number) => void
  ) => number
  readonly interrupt: (operation: number) => void
  readonly interruptSignal: () => number
}

const load = (path: string): Addon => {
  const module = { exports: {} }
  process.dlopen(module, path)
  const isAddon = (loaded: object): loaded is Addon => "start" in loaded
  if (!isAddon(module.exports)) throw new Error(`${path} is not the addon`)
  return module.exports
}

describe("the addon loaded more than once", () => {
  /** A read that waits, through this copy of the addon, interrupted: what it answers. */
  const interruptedRead = (addon: Addon, fd: number) =>
    Effect.callback<number>((resume) => {
      const operation = addon.start([nr.read, fd, new Uint8Array(8), 8], 0, 0, 0, (result) =>
        resume(Effect.succeed(result))
      )
      Effect.runFork(
        Effect.map(
          eventually(() => asleepIn(nr.read, fd) > 0),
          () => addon.interrupt(operation)
        )
      )
    })

  it.live("from the same file: each has its own state", () =>
    Effect.gen(function* () {
      const fd = yield* eventfd(0)
      const [first, second] = [load(addonPath), load(addonPath)]
      assert.notStrictEqual(first.start, second.start)
      for (const addon of [first, second]) {
        assert.strictEqual(addon.call(nr.getpid), process.pid)
        assert.strictEqual(yield* interruptedRead(addon, fd), -Errno.codes.EINTR)
      }
    })
  )

  it.live("from two files: each has a signal of its own", () =>
    Effect.gen(function* () {
      const copy = join(yield* directory, "copy.node")
      copyFileSync(addonPath, copy)
      const fd = yield* eventfd(0)
      const [first, second] = [load(addonPath), load(copy)]
      assert.notStrictEqual(first.interruptSignal(), second.interruptSignal())
      for (const addon of [first, second, first]) {
        assert.strictEqual(yield* interruptedRead(addon, fd), -Errno.codes.EINTR)
      }
    })
  )
})

describe("the end of a process", () => {
  const blocked = `
    const [reader] = Effect.runSync(Syscall.pipe2(Syscall.O_CLOEXEC))
    const asleep = () => Fs.readdirSync("/proc/self/task").filter((task) =>
      Fs.readFileSync("/proc/self/task/" + task + "/syscall", "utf8").startsWith(
        ${nr.read} + " 0x" + reader.toString(16))).length
    const whenAsleep = async (count) => {
      while (asleep() !== count) await new Promise((resolve) => setImmediate(resolve))
    }
    const scope = Effect.runSync(Scope.make())
    const thread = Effect.runSync(Scope.provide(Syscall.makeThread, scope))
    Effect.runFork(Syscall.callBlocking(Syscall.nr.read, reader, new Uint8Array(8), 8))
    Effect.runFork(Syscall.callOn(thread, Syscall.nr.read, reader, new Uint8Array(8), 8))
    Effect.runFork(Syscall.callOn(thread, Syscall.nr.read, reader, new Uint8Array(8), 8))`

  it.live("is not held up by blocked calls: process.exit ends it with its code", () =>
    Effect.gen(function* () {
      const ended = yield* program(`${blocked}
        await whenAsleep(2)
        process.on("exit", () => console.log("exiting"))
        process.exit(7)`)
      assert.deepStrictEqual(ended, { code: 7, signal: null, stdout: "exiting\n", stderr: "" })
    })
  )

  it.live("is not held up by blocked calls: an uncaught error ends it with code 1", () =>
    Effect.gen(function* () {
      const ended = yield* program(`${blocked}
        await whenAsleep(2)
        setImmediate(() => { throw new Error("boom") })`)
      assert.deepInclude(ended, { code: 1, signal: null, stdout: "" })
      assert.include(ended.stderr, "Error: boom")
    })
  )

  it.live("can come from within the answer to a call, while others are blocked", () =>
    Effect.gen(function* () {
      const ended = yield* program(`${blocked}
        await whenAsleep(2)
        addon.start([${nr.getpid}], 0, 0, 0, () => process.exit(5))`)
      assert.deepStrictEqual(ended, { code: 5, signal: null, stdout: "", stderr: "" })
    })
  )

  it.live("comes with an error thrown from within the answer to a call", () =>
    Effect.gen(function* () {
      const ended = yield* program(`addon.start([${nr.getpid}], 0, 0, 0, () => { throw new Error("boom") })`)
      assert.deepInclude(ended, { code: 1, signal: null, stdout: "" })
      assert.include(ended.stderr, "Error: boom")
    })
  )

  it.live("waits for a pending call", () =>
    Effect.gen(function* () {
      const ended = yield* program(`
        Effect.runFork(Effect.andThen(Syscall.nanosleep("50 millis"), Effect.sync(() => console.log("slept"))))`)
      assert.deepStrictEqual(ended, { code: 0, signal: null, stdout: "slept\n", stderr: "" })
    })
  )

  it.live("does not wait where no call is pending, though a thread is open", () =>
    Effect.gen(function* () {
      const ended = yield* program(`
        const scope = Effect.runSync(Scope.make())
        const thread = Effect.runSync(Scope.provide(Syscall.makeThread, scope))
        Effect.runFork(Effect.andThen(Syscall.callOn(thread, Syscall.nr.getpid), Effect.sync(() => console.log("called"))))
        const fiber = Effect.runFork(Syscall.nanosleep("1 hour"))
        setImmediate(() => Effect.runFork(Fiber.interrupt(fiber)))`)
      assert.deepStrictEqual(ended, { code: 0, signal: null, stdout: "called\n", stderr: "" })
    })
  )
})
