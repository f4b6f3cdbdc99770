/** Locks between worker threads and between processes, some of which are killed. They use the built library. */
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { File, Futex, Mutex, Syscall } from "../src/index.ts"
import { asleepIn } from "./support/fds.ts"
import { turn } from "./support/files.ts"
import { eventually } from "./support/process.ts"
import { message, worker } from "./support/program.ts"

const root = fileURLToPath(new URL("..", import.meta.url))

const inWorker = (body: string, data: unknown) =>
  Effect.acquireRelease(
    Effect.sync(() => worker(body, data)),
    (self) => Effect.promise(() => self.terminate())
  )

/** Two counters that the lock keeps equal: at 64 and, on another line, at 128. */
const counters = (buffer: ArrayBufferLike) => ({
  one: new Int32Array(buffer, 64, 1),
  two: new Int32Array(buffer, 128, 1)
})

const memoryFile = Effect.gen(function* () {
  const fd = yield* Syscall.memfd_create("effect-linux-mutex", Syscall.MFD_CLOEXEC)
  const file = yield* File.fromFd(fd)
  yield* File.truncate(file, 4096)
  const mapping = yield* File.mmap(file, { length: 4096, shared: true })
  return { fd, mapping, mutex: yield* Mutex.at(mapping) }
})

/** A process that has the memory file as its descriptor 3; killed with the scope. */
const processWith = (fd: number, body: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const source = `
        import { Effect, Exit, Scope } from "effect"
        import * as File from "effect-linux/File"
        import * as Mutex from "effect-linux/Mutex"
        const turn = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
          const mapping = yield* File.mmap(yield* File.borrow(3), { length: 4096, shared: true })
          const mutex = yield* Mutex.at(mapping)
          const one = new Int32Array(mapping.buffer, 64, 1)
          const two = new Int32Array(mapping.buffer, 128, 1)
          ${body}
        })))`
      return spawn(process.execPath, ["--input-type=module", "--eval", source], {
        cwd: root,
        stdio: ["ignore", "pipe", "inherit", fd]
      })
    }),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

const said = (child: ChildProcess) =>
  Effect.callback<string>((resume) => {
    child.stdout?.once("data", (chunk) => resume(Effect.succeed(String(chunk).trim())))
    child.once("exit", (code, signal) => resume(Effect.succeed(`ended: ${code ?? signal}`)))
  })

const end = (child: ChildProcess) =>
  Effect.callback<number | string | null>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) {
      resume(Effect.succeed(child.exitCode ?? child.signalCode))
    } else child.once("exit", (code, signal) => resume(Effect.succeed(code ?? signal)))
  })

/** Increments both counters, now and then with others having their turn in between. */
const increments = (times: number) => `
  for (let i = 0; i < ${times}; i++) {
    yield* Mutex.withLock(mutex, Effect.gen(function* () {
      const value = one[0]
      if (i % 16 === 0) yield* turn
      one[0] = value + 1
      two[0]++
    }))
  }`

const workerBody = (body: string) => `
  const { Effect, Mutex } = await library()
  const turn = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
  await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
    const mutex = yield* Mutex.at(data)
    const one = new Int32Array(data, 64, 1)
    const two = new Int32Array(data, 128, 1)
    ${body}
  })))`

describe("a mutex between worker threads", () => {
  it.live("keeps a counter right: a storm", () =>
    Effect.gen(function* () {
      const memory = new SharedArrayBuffer(256)
      const body = workerBody(`${increments(1000)}; post("done")`)
      const workers = yield* Effect.all(Array.from({ length: 3 }, () => inWorker(body, memory)))
      const mutex = yield* Mutex.at(memory)
      const { one, two } = counters(memory)
      let mine = 0
      const answers = yield* Effect.forkChild(Effect.all(workers.map(message), { concurrency: "unbounded" }))
      while (answers.pollUnsafe() === undefined) {
        yield* Mutex.withLock(
          mutex,
          Effect.gen(function* () {
            const value = one[0] ?? 0
            yield* turn
            one[0] = value + 1
            two[0] = (two[0] ?? 0) + 1
            mine++
          })
        )
        yield* turn
      }
      assert.deepStrictEqual([one[0], two[0]], [3000 + mine, 3000 + mine])
      assert.isAbove(mine, 0)
    }).pipe(Effect.scoped)
  )

  it.live("is found when a worker that has it is terminated", () =>
    Effect.gen(function* () {
      const memory = new SharedArrayBuffer(256)
      const self = yield* inWorker(workerBody(`yield* Mutex.lock(mutex); post("has it"); yield* Effect.never`), memory)
      assert.strictEqual(yield* message(self), "has it")
      const mutex = yield* Mutex.at(memory)
      assert.isFalse(yield* Effect.scoped(Mutex.tryLock(mutex)))
      const waiting = yield* Effect.forkChild(Effect.flip(Mutex.withLock(mutex, Effect.void)))
      assert.isTrue(
        yield* eventually(() => asleepIn(Syscall.nr.futex, Syscall.addressOf(new Uint8Array(memory))) === 1)
      )
      yield* Effect.promise(() => self.terminate())
      const error = yield* Effect.timeout(Fiber.join(waiting), "10 seconds")
      assert.strictEqual(error._tag, "OwnerDied")
      yield* Mutex.withLock(mutex, Effect.void, { repair: Effect.void })
    }).pipe(Effect.scoped)
  )
})

describe("a mapping shared with a worker", () => {
  it.live("is one memory in both, and a futex in it one futex", () =>
    Effect.gen(function* () {
      const { fd, mapping } = yield* memoryFile
      const body = `
        const { Effect, File, Futex } = await library()
        await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
          const { buffer } = yield* File.mmap(yield* File.borrow(data), { length: 4096, shared: true })
          const [request, answer] = [new Int32Array(buffer, 64, 1), new Int32Array(buffer, 128, 1)]
          while (Atomics.load(request, 0) === 0) yield* Futex.wait(request, 0)
          Atomics.store(answer, 0, Atomics.load(request, 0) + 1)
          yield* Futex.wake(answer)
        })))`
      yield* inWorker(body, fd)
      const { one: request, two: answer } = counters(mapping.buffer)
      Atomics.store(request, 0, 41)
      yield* Futex.wake(request)
      while (Atomics.load(answer, 0) === 0) yield* Futex.wait(answer, 0)
      assert.strictEqual(Atomics.load(answer, 0), 42)
    }).pipe(Effect.scoped)
  )
})

describe("a mutex between processes", () => {
  it.live("keeps a counter right: a storm", () =>
    Effect.gen(function* () {
      const { fd, mapping, mutex } = yield* memoryFile
      const children = yield* Effect.all(Array.from({ length: 3 }, () => processWith(fd, increments(800))))
      const codes = yield* Effect.all(children.map(end), { concurrency: "unbounded" })
      assert.deepStrictEqual(codes, [0, 0, 0])
      const { one, two } = counters(mapping.buffer)
      yield* Mutex.withLock(
        mutex,
        Effect.sync(() => {
          assert.deepStrictEqual([one[0], two[0]], [2400, 2400])
        })
      )
    }).pipe(Effect.scoped)
  )

  it.live("is found when a process that has it is killed, by who waits for it and by who asks", () =>
    Effect.gen(function* () {
      const { fd, mapping, mutex } = yield* memoryFile
      const child = yield* processWith(
        fd,
        `yield* Mutex.lock(mutex); one[0] = 1; console.log("has it"); yield* Effect.never`
      )
      assert.strictEqual(yield* said(child), "has it")
      assert.isFalse(yield* Effect.scoped(Mutex.tryLock(mutex)))
      const waiting = yield* Effect.forkChild(Effect.flip(Mutex.withLock(mutex, Effect.void)))
      assert.isTrue(yield* eventually(() => asleepIn(Syscall.nr.futex, mapping.address) === 1))
      child.kill("SIGKILL")
      assert.strictEqual((yield* Effect.timeout(Fiber.join(waiting), "10 seconds"))._tag, "OwnerDied")
      assert.strictEqual((yield* Effect.flip(Effect.scoped(Mutex.tryLock(mutex))))._tag, "OwnerDied")
      const { one, two } = counters(mapping.buffer)
      const repair = Effect.sync(() => {
        two[0] = one[0] ?? 0
      })
      yield* Mutex.withLock(
        mutex,
        Effect.sync(() => assert.strictEqual(two[0], 1)),
        { repair }
      )
    }).pipe(Effect.scoped)
  )

  it.live("goes on and stays right while owners are killed at any moment: a storm", () =>
    Effect.gen(function* () {
      const { fd, mapping, mutex } = yield* memoryFile
      const { one, two } = counters(mapping.buffer)
      const body = `
        const repair = Effect.sync(() => { two[0] = one[0] })
        for (;;) {
          yield* Mutex.withLock(mutex, Effect.gen(function* () {
            if (one[0] !== two[0]) throw new Error("not repaired")
            one[0]++
            yield* turn
            two[0]++
          }), { repair })
        }`
      const children = yield* Effect.all(Array.from({ length: 3 }, () => processWith(fd, body)))
      for (const child of children) {
        // Something is done by whoever is left, then one of them is killed.
        const from = Atomics.load(one, 0)
        assert.isTrue(yield* eventually(() => Atomics.load(one, 0) > from + 50, 1_000_000))
        child.kill("SIGKILL")
        assert.strictEqual(yield* end(child), "SIGKILL")
      }
      const repair = Effect.sync(() => {
        two[0] = one[0] ?? 0
      })
      yield* Mutex.withLock(
        mutex,
        Effect.sync(() => assert.strictEqual(one[0], two[0])),
        { repair }
      ).pipe(Effect.timeout("10 seconds"))
      assert.isAbove(one[0] ?? 0, 150)
    }).pipe(Effect.scoped)
  )
})

describe("the example shared-mutex", () => {
  it.live("counts, is told of a death, and repairs", () =>
    Effect.gen(function* () {
      const path = fileURLToPath(new URL("../.build/programs/examples/shared-mutex.js", import.meta.url))
      if (!existsSync(path)) throw new Error(`${path} is not there: "npm run build:programs" makes it`)
      const { stdout } = yield* Effect.promise(() => promisify(execFile)(process.execPath, [path]))
      assert.deepStrictEqual(stdout.trim().split("\n"), [
        "three processes counted to 3000 and 3000",
        "a fourth ended by SIGKILL",
        "OwnerDied: the mutex's last owner died while it had it: what it guards may be half changed",
        "the counters are 3001 and 3001"
      ])
    })
  )
})
