/** Closing, interruption and a number's reuse while calls are under way. */

import { closeSync, constants, openSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, type Scope } from "effect"
import { type Errno, Fcntl, File, Syscall } from "../src/index.ts"
import {
  callsOf,
  makeFifo,
  operations,
  pipe,
  temporaryDirectory,
  temporaryFile,
  temporaryPath,
  turn,
  yieldingAt
} from "./support/files.ts"
import { eventually, openFds, poolThreads, threads } from "./support/process.ts"
import { asleepIn } from "./support/underway.ts"

const untilAsleep = (count: number, nr: number, fd?: number) =>
  Effect.gen(function* () {
    assert.isTrue(yield* eventually(() => asleepIn(nr, fd) === count))
  })

/** What a fiber ends with; a failure of the test, and not a wait for ever, where it does not end. */
const endOf = <A, E>(fiber: Fiber.Fiber<A, E>) =>
  Effect.gen(function* () {
    assert.isTrue(yield* eventually(() => fiber.pollUnsafe() !== undefined), "the fiber does not end")
    return yield* Fiber.await(fiber)
  })

const assertClosedMeanwhile = (exit: Exit.Exit<unknown, Errno.Errno>) => {
  assert.isTrue(Exit.isFailure(exit))
  const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  assert.propertyVal(error, "_tag", "EBADF")
  assert.include(String(error), "the File was closed meanwhile")
}

/** Effects are quick to be interrupted: the issue says milliseconds. */
const timed = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const start = performance.now()
    const result = yield* self
    assert.isBelow(performance.now() - start, 1000)
    return result
  })

/** What this process has open, and its threads once those are gone that are on their way out. */
const held = Effect.gen(function* () {
  for (let i = 0; i < 20; i++) yield* turn
  return { fds: yield* openFds, threads: yield* threads }
})

const assertNothingLeft = (before: { readonly fds: number; readonly threads: number }) =>
  Effect.gen(function* () {
    assert.strictEqual(yield* openFds, before.fds)
    // A thread of the pool ends a while after its last call.
    yield* eventually(() => Effect.runSync(threads) <= before.threads && Effect.runSync(poolThreads) === 0)
    assert.isAtMost(yield* threads, before.threads)
    assert.strictEqual(yield* poolThreads, 0)
  })

const writeLock = { l_type: Syscall.F_WRLCK }

describe("closing a File while calls wait on it", () => {
  it.live("calls reads back with EBADF, and is over when they are", () =>
    Effect.gen(function* () {
      const { reader } = yield* pipe
      const fd = yield* File.fd(reader)
      const fibers = yield* Effect.all(
        Array.from({ length: 5 }, () => Effect.forkChild(File.read(reader, new Uint8Array(8))))
      )
      yield* untilAsleep(5, Syscall.nr.read, fd)
      const { calls } = yield* callsOf(timed(File.close(reader)))
      assert.strictEqual(asleepIn(Syscall.nr.read, fd), 0)
      assert.deepStrictEqual(
        calls.map(({ name, result }) => [name, result]),
        [["close", 0]]
      )
      for (const fiber of fibers) assertClosedMeanwhile(yield* endOf(fiber))
    })
  )

  it.live("calls them back too where they have not come to the kernel yet", () =>
    Effect.gen(function* () {
      for (let turns = 0; turns < 5; turns++) {
        const { reader } = yield* pipe
        const fiber = yield* Effect.forkChild(File.read(reader, new Uint8Array(8)), { startImmediately: true })
        for (let i = 0; i < turns; i++) yield* turn
        yield* File.close(reader)
        assertClosedMeanwhile(yield* endOf(fiber))
      }
    })
  )

  it.live("calls a write to a full pipe back", () =>
    Effect.gen(function* () {
      const { writer } = yield* pipe
      const fd = yield* File.fd(writer)
      const fiber = yield* Effect.forkChild(File.writeAll(writer, new Uint8Array(1 << 20)))
      yield* untilAsleep(1, Syscall.nr.write, fd)
      yield* timed(File.close(writer))
      const exit = yield* endOf(fiber)
      assert.isTrue(Exit.isFailure(exit))
      assert.propertyVal(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined, "_tag", "EBADF")
    })
  )

  it.live("does so at the end of its scope as well", () =>
    Effect.gen(function* () {
      // Both ends stay open: the read would end by itself.
      const { reader } = yield* pipe
      const fiber = yield* Effect.scoped(
        Effect.gen(function* () {
          const scoped = yield* File.duplicate(reader)
          const waiting = yield* Effect.forkDetach(File.read(scoped, new Uint8Array(8)))
          yield* untilAsleep(1, Syscall.nr.read, yield* File.fd(scoped))
          return waiting
        })
      )
      assertClosedMeanwhile(yield* endOf(fiber))
    })
  )

  it.live("does so when its number is released, which the heir can read from at once", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* pipe
      const fiber = yield* Effect.forkChild(File.read(reader, new Uint8Array(8)))
      yield* untilAsleep(1, Syscall.nr.read, yield* File.fd(reader))
      const heir = yield* File.fromFd(yield* File.release(reader))
      assertClosedMeanwhile(yield* endOf(fiber))
      yield* File.write(writer, Uint8Array.of(7))
      const buffer = new Uint8Array(8)
      assert.strictEqual(yield* File.read(heir, buffer), 1)
      assert.strictEqual(buffer[0], 7)
    })
  )

  it.live("calls an fcntl back that waits for a lock", () =>
    Effect.gen(function* () {
      const path = yield* temporaryPath
      writeFileSync(path, "x")
      const holder = yield* File.open(path, { access: "readWrite" })
      const waiter = yield* File.open(path, { access: "readWrite" })
      yield* File.fcntl(holder, Fcntl.F_OFD_SETLKW, writeLock)
      const fiber = yield* Effect.forkChild(File.fcntl(waiter, Fcntl.F_OFD_SETLKW, writeLock))
      yield* untilAsleep(1, Syscall.nr.fcntl, yield* File.fd(waiter))
      yield* File.close(waiter)
      assertClosedMeanwhile(yield* endOf(fiber))
    })
  )

  it.live("calls an openAt back that waits for a FIFO's other end", () =>
    Effect.gen(function* () {
      const path = yield* temporaryDirectory
      yield* makeFifo(join(path, "fifo"))
      const directory = yield* File.open(path)
      const fiber = yield* Effect.forkChild(Effect.scoped(File.openAt(directory, "fifo")))
      yield* untilAsleep(1, Syscall.nr.openat, yield* File.fd(directory))
      yield* File.close(directory)
      assertClosedMeanwhile(yield* endOf(fiber))
    })
  )

  it.live("leaves calls on other files alone, its own duplicate among them", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* pipe
      const twin = yield* File.duplicate(reader)
      const fiber = yield* Effect.forkChild(File.read(twin, new Uint8Array(8)))
      yield* untilAsleep(1, Syscall.nr.read, yield* File.fd(twin))
      yield* File.close(reader)
      yield* File.write(writer, Uint8Array.of(1, 2))
      assert.strictEqual(yield* Fiber.join(fiber), 2)
    })
  )

  it.live("by two at once closes it once", () =>
    Effect.gen(function* () {
      const { reader } = yield* pipe
      const fd = yield* File.fd(reader)
      const read = yield* Effect.forkChild(File.read(reader, new Uint8Array(8)))
      yield* untilAsleep(1, Syscall.nr.read, fd)
      const { calls, result } = yield* callsOf(
        Effect.all([Effect.exit(File.close(reader)), Effect.exit(File.close(reader))], { concurrency: 2 })
      )
      assert.strictEqual(calls.filter(({ name }) => name === "close").length, 1)
      assert.strictEqual(result.filter(Exit.isSuccess).length, 1)
      assertClosedMeanwhile(yield* endOf(read))
    })
  )
})

// A fiber may give way to others before any of its operations, also between a look at whether a file is open and the
// call, or between a call that opened something and the place where that is remembered.
const places = Array.from({ length: 25 }, (_, index) => index + 1)

describe("a number that is given away while an operation is about to begin", () => {
  // A call on a number that is closed by then shows as EBADF from the kernel itself: not from the library, which may
  // still refuse a call as it is about to go to its thread.
  const noting = (misses: Array<string>): Syscall.Trampoline => {
    const note = (nr: number, result: Syscall.Result) => {
      if (result === -9) misses.push(Syscall.name(nr) ?? String(nr))
      return result
    }
    return {
      call: (nr, ...args) => note(nr, Syscall.kernel.call(nr, ...args)),
      callBlocking: (nr, args, options) => {
        let begun = false
        const onWaiting = (cancel: () => void) => {
          begun = true
          return options?.onWaiting?.(cancel) ?? (() => {})
        }
        const result = Syscall.kernel.callBlocking(nr, args, { ...options, onWaiting })
        if (typeof result !== "object") return note(nr, result)
        return Effect.map(result, (late) => (begun ? note(nr, late) : late))
      }
    }
  }

  for (const [name, operation] of Object.entries(operations)) {
    it.live(`is not hit by ${name}, wherever its fiber gives way`, () =>
      Effect.gen(function* () {
        const path = yield* temporaryDirectory
        writeFileSync(join(path, "name"), "contents")
        // Of a kind that does not say EBADF to the operation by itself.
        const openOne = /At2?$|^entries$/.test(name)
          ? File.open(path)
          : File.open(join(path, "name"), { access: "readWrite" })
        for (const place of places) {
          const misses: Array<string> = []
          const result = yield* Effect.scoped(
            Effect.gen(function* () {
              const file = yield* openOne
              const racer = yield* Effect.forkChild(Effect.exit(Effect.scoped(operation(file))).pipe(yieldingAt(place)))
              yield* Effect.yieldNow
              const close = yield* Effect.exit(File.close(file))
              return { close, racer: yield* Fiber.join(racer) }
            })
          ).pipe(Effect.provideService(Syscall.Trampoline, noting(misses)))
          assert.isEmpty(misses, `calls on a number that is no longer the file's, at ${place}`)
          // One of the two has had the number to itself.
          if (name === "release" || name === "close") {
            assert.notStrictEqual(Exit.isSuccess(result.close), Exit.isSuccess(result.racer), `at ${place}`)
            if (Exit.isSuccess(result.racer) && typeof result.racer.value === "number") closeSync(result.racer.value)
          }
        }
      })
    )
  }

  it.live("is not hit by an operation that is on its way to a thread", () =>
    Effect.gen(function* () {
      const [here, there] = [yield* temporaryDirectory, yield* temporaryDirectory]
      for (let round = 0; round < 100; round++) {
        const directory = yield* File.open(here)
        const number = yield* File.fd(directory)
        const started: ReadonlyArray<Effect.Effect<unknown, Errno.Errno>> = [
          File.stat(directory),
          File.sync(directory),
          Effect.scoped(File.openAt(directory, "new", { create: true, mode: 0o600 }))
        ]
        const fibers = yield* Effect.all(
          started.map((operation) => Effect.forkChild(operation, { startImmediately: true }))
        )
        yield* File.close(directory)
        const heir = openSync(there, "r")
        assert.strictEqual(heir, number)
        for (const exit of yield* Effect.forEach(fibers, endOf)) {
          // The kernel may have been done before the file was closed.
          if (Exit.isFailure(exit)) assertClosedMeanwhile(exit)
        }
        closeSync(heir)
        // A file there would have been made in a directory that nobody named.
        assert.deepStrictEqual(readdirSync(there), [])
      }
    })
  )
})

describe("opening a FIFO that nobody writes to", () => {
  it.live("waits until somebody does, and holds nobody up", () =>
    Effect.gen(function* () {
      const path = yield* temporaryPath
      yield* makeFifo(path)
      const [reader, writer] = yield* timed(
        Effect.all([File.open(path), File.open(path, { access: "write" })], { concurrency: 2 })
      )
      yield* File.write(writer, Uint8Array.of(1))
      assert.strictEqual(yield* File.read(reader, new Uint8Array(2)), 1)
    })
  )

  it.live("can be interrupted at once, and leaves nothing open and no thread", () =>
    Effect.gen(function* () {
      const path = yield* temporaryPath
      yield* makeFifo(path)
      const before = yield* held
      for (let turns = 0; turns < 10; turns++) {
        const fiber = yield* Effect.forkChild(Effect.scoped(File.open(path)), { startImmediately: true })
        for (let i = 0; i < turns; i++) yield* turn
        if (turns === 9) yield* untilAsleep(1, Syscall.nr.openat)
        yield* timed(Fiber.interrupt(fiber))
      }
      yield* assertNothingLeft(before)
    })
  )

  it.live("leaves nothing open where the writer comes at the moment of the interruption", () =>
    Effect.gen(function* () {
      const path = yield* temporaryPath
      yield* makeFifo(path)
      const before = yield* held
      let met = 0
      for (let round = 0; round < 200; round++) {
        let writer: number | undefined
        // A writer that does not wait finds a reader only while one is in the kernel.
        const write = () => {
          try {
            writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
          } catch {
            writer = undefined
          }
          return writer !== undefined
        }
        const fiber = yield* Effect.forkChild(Effect.scoped(Effect.andThen(File.open(path), Effect.never)), {
          startImmediately: true
        })
        yield* untilAsleep(1, Syscall.nr.openat)
        if (round % 2 === 0) {
          write()
          fiber.interruptUnsafe()
        } else {
          fiber.interruptUnsafe()
          write()
        }
        yield* Fiber.await(fiber)
        if (writer !== undefined) {
          met++
          closeSync(writer)
        }
      }
      // How often depends on which of the two is the quicker on this machine; never would prove nothing.
      assert.isAbove(met, 0)
      yield* assertNothingLeft(before)
    })
  )
})

describe("scoped operations", () => {
  it.live("leave nothing open where they are interrupted as their fiber gives way", () =>
    Effect.gen(function* () {
      const path = yield* temporaryDirectory
      const directory = yield* File.open(path)
      const before = yield* held
      const opens: ReadonlyArray<Effect.Effect<File.File, Errno.Errno, Scope.Scope>> = [
        File.open(path),
        File.openAt(directory, "."),
        File.duplicate(directory)
      ]
      for (const open of opens) {
        for (const place of places) {
          for (let turns = 0; turns < 6; turns++) {
            const fiber = yield* Effect.forkChild(Effect.scoped(open).pipe(yieldingAt(place)), {
              startImmediately: true
            })
            for (let i = 0; i < turns; i++) yield* turn
            yield* Fiber.interrupt(fiber)
          }
        }
      }
      yield* assertNothingLeft(before)
    })
  )

  it.live("leave nothing behind, ten thousand of them, interrupted anywhere", () =>
    Effect.gen(function* () {
      const path = yield* temporaryDirectory
      const fifo = join(path, "fifo")
      yield* makeFifo(fifo)
      writeFileSync(join(path, "name"), "contents")
      const directory = yield* File.open(path)
      const scenes: ReadonlyArray<Effect.Effect<unknown, Errno.Errno>> = [
        Effect.scoped(Effect.flatMap(File.open("/proc/self/stat"), File.readAll)),
        Effect.scoped(Effect.flatMap(File.openAt(directory, "name"), File.stat)),
        Effect.scoped(Effect.flatMap(File.openAt(directory, "name"), File.duplicate)),
        Effect.scoped(File.open(fifo)),
        Effect.scoped(Effect.flatMap(pipe, ({ reader }) => File.read(reader, new Uint8Array(1)))),
        Effect.scoped(Effect.flatMap(File.open(path), (file) => File.close(file))),
        Effect.scoped(Effect.flatMap(temporaryFile, (file) => File.writeAll(file, new Uint8Array(100)))),
        Effect.scoped(Effect.flatMap(File.openAt(directory, "name"), (file) => File.mmap(file, { length: 4 })))
      ]
      const count = { completed: 0, interrupted: 0 }
      const one = Effect.fnUntraced(function* (index: number) {
        const scene = scenes[index % scenes.length] ?? Effect.void
        const fiber = yield* Effect.forkChild(scene, { startImmediately: true })
        // From before the first call to after the last one, whichever comes out.
        const turns = Math.floor(Math.random() * 12)
        for (let i = 0; i < turns && fiber.pollUnsafe() === undefined; i++) yield* turn
        yield* Fiber.interrupt(fiber)
        const exit = yield* Fiber.await(fiber)
        assert.isTrue(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause), String(exit))
        count[Exit.isSuccess(exit) ? "completed" : "interrupted"]++
      })
      // What the runtime itself opens when it is first used is no leak.
      yield* Effect.forEach(scenes.keys(), one, { discard: true })
      const before = yield* held
      yield* Effect.forEach(Array(10_000).keys(), one, { concurrency: 25, discard: true })
      yield* assertNothingLeft(before)
      assert.isAbove(count.completed, 500)
      assert.isAbove(count.interrupted, 500)
    })
  )
})
