/** Waiting on the event loop until descriptors are ready, and the count of the loop's turns. */
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Errno, Syscall } from "../src/index.ts"
import { native } from "../src/internal/native.ts"
import { eventfd, pipe } from "./support/fds.ts"
import { eventually, openFds, poolThreads, threads } from "./support/process.ts"
import { ended, message, program, worker } from "./support/program.ts"

const { nr } = Syscall
const { call } = Syscall.kernel

const POLLIN = 1
const POLLOUT = 4
const POLLERR = 8
const POLLHUP = 16
const byte = Uint8Array.of(1)

/** A wait begun, and what it has heard so far. */
const wait = (fd: number, events: number, then?: (seen: number) => void) => {
  const heard: Array<number> = []
  const id = native.awaitReady(fd, events, (seen) => {
    heard.push(seen)
    then?.(seen)
  })
  assert.isAbove(id, 0)
  return { id, heard }
}

/** Lets everything that is ready be told. */
const turns = Effect.promise(async () => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
})

const answered = (...waits: ReadonlyArray<{ readonly heard: ReadonlyArray<number> }>) =>
  Effect.gen(function* () {
    assert.isTrue(yield* eventually(() => waits.every(({ heard }) => heard.length > 0)))
  })

/** How many registrations all epoll instances of this process hold of this descriptor's number. */
const registrations = (fd: number): number =>
  readdirSync("/proc/self/fdinfo")
    .map((open) => {
      try {
        return readFileSync(`/proc/self/fdinfo/${open}`, "utf8")
      } catch {
        return ""
      }
    })
    .join("\n")
    .split("\n")
    .filter((line) => new RegExp(`^tfd:\\s+${fd}\\s`).test(line)).length

const socketPair = Effect.acquireRelease(
  Effect.sync(() => {
    const pair = new Int32Array(2)
    assert.strictEqual(call(nr.socketpair, 1, 1 | Syscall.O_CLOEXEC, 0, pair), 0)
    return [pair[0] ?? -1, pair[1] ?? -1] as const
  }),
  ([one, other]) => Effect.sync(() => [call(nr.close, one), call(nr.close, other)])
)

describe("awaitReady", () => {
  it.live("calls back once, when the descriptor is ready, without a thread", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* pipe
      const before = yield* threads
      const waiting = wait(reader, POLLIN)
      yield* turns
      assert.deepStrictEqual(waiting.heard, [])
      call(nr.write, writer, byte, 1)
      yield* answered(waiting)
      yield* turns
      assert.deepStrictEqual(waiting.heard, [POLLIN])
      assert.strictEqual(yield* threads, before)
      assert.strictEqual(yield* poolThreads, 0)
    })
  )

  it.live("calls back for what is ready already, but not from within", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* pipe
      call(nr.write, writer, byte, 1)
      const waiting = wait(reader, POLLIN)
      const writing = wait(writer, POLLOUT)
      assert.deepStrictEqual(waiting.heard, [])
      yield* answered(waiting, writing)
      assert.deepStrictEqual([waiting.heard, writing.heard], [[POLLIN], [POLLOUT]])
    })
  )

  it.live("tells each of several that wait for one descriptor what it asked for", () =>
    Effect.gen(function* () {
      const [one, other] = yield* socketPair
      // Until nothing more can be written.
      const many = new Uint8Array(1 << 16)
      while (Number(call(nr.sendto, one, many, many.length, 0x40 /* MSG_DONTWAIT */)) > 0);
      const reading = [wait(one, POLLIN), wait(one, POLLIN)]
      const writing = wait(one, POLLOUT)
      const both = wait(one, POLLIN | POLLOUT)
      assert.strictEqual(registrations(one), 1)
      yield* turns
      assert.deepStrictEqual(
        [...reading, writing, both].flatMap(({ heard }) => heard),
        []
      )

      call(nr.write, other, byte, 1)
      yield* answered(...reading, both)
      yield* turns
      assert.deepStrictEqual(
        [...reading, writing, both].map(({ heard }) => heard),
        [[POLLIN], [POLLIN], [], [POLLIN]]
      )
      assert.strictEqual(registrations(one), 1)

      call(nr.read, one, byte, 1)
      while (Number(call(nr.recvfrom, other, many, many.length, 0x40)) > 0);
      yield* answered(writing)
      assert.deepStrictEqual(writing.heard, [POLLOUT])
      assert.strictEqual(registrations(one), 0)
    })
  )

  it.live("tells everybody of an error and of a hang-up, asked or not", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* Syscall.pipe2(Syscall.O_CLOEXEC)
      const waits = [wait(reader, POLLIN), wait(reader, 0)]
      yield* Syscall.close(writer)
      yield* answered(...waits)
      assert.deepStrictEqual(
        waits.map(({ heard }) => heard),
        [[POLLHUP], [POLLHUP]]
      )
      yield* Syscall.close(reader)

      const [back, front] = yield* Syscall.pipe2(Syscall.O_CLOEXEC)
      yield* Syscall.close(back)
      const writing = wait(front, 0)
      yield* answered(writing)
      assert.deepStrictEqual(writing.heard, [POLLERR])
      yield* Syscall.close(front)
    })
  )

  it.live("leaves the descriptor as it is, and nothing behind", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* pipe
      const flags = yield* Syscall.fcntl(reader, Syscall.F_GETFL)
      const fds = yield* openFds
      for (let round = 0; round < 100; round++) {
        const waiting = wait(reader, POLLIN)
        const forgotten = wait(reader, POLLIN)
        native.forget(forgotten.id)
        call(nr.write, writer, byte, 1)
        yield* answered(waiting)
        call(nr.read, reader, byte, 1)
        assert.deepStrictEqual(forgotten.heard, [])
        assert.strictEqual(registrations(reader), 0)
      }
      assert.strictEqual(yield* Syscall.fcntl(reader, Syscall.F_GETFL), flags)
      assert.strictEqual(yield* openFds, fds)
    })
  )

  it("answers with an error where there is nothing to wait for", () => {
    const never = () => assert.fail("called")
    const file = openSync("/etc/passwd", "r")
    assert.strictEqual(native.awaitReady(file, POLLIN, never), -Errno.codes.EPERM)
    closeSync(file)
    assert.strictEqual(native.awaitReady(file, POLLIN, never), -Errno.codes.EBADF)
    assert.strictEqual(native.awaitReady(-1, POLLIN, never), -Errno.codes.EBADF)
    // EPOLLONESHOT, EPOLLET and EPOLLEXCLUSIVE are not for callers.
    for (const bit of [30, 31, 28, 11]) {
      assert.strictEqual(native.awaitReady(0, 2 ** bit, never), -Errno.codes.EINVAL)
    }
    for (const wrong of [[], ["0", POLLIN, never], [0, POLLIN], [0, null, never], [0, POLLIN, {}]]) {
      assert.throws(() => Reflect.apply(native.awaitReady, undefined, wrong), TypeError)
    }
    for (const wrong of [[], ["1"], [-1], [2 ** 31], [{}]]) Reflect.apply(native.forget, undefined, wrong)
  })

  it.live("is cheap for thousands, and tells each of its own", () =>
    Effect.gen(function* () {
      const fds = yield* Effect.all(Array.from({ length: 3000 }, () => eventfd(0)))
      const start = performance.now()
      const waits = fds.map((fd) => wait(fd, POLLIN))
      assert.isBelow(performance.now() - start, 3000)
      const ready = fds.filter((_, index) => index % 3 === 0)
      for (const fd of ready) call(nr.write, fd, BigUint64Array.of(1n), 8)
      yield* answered(...waits.filter((_, index) => index % 3 === 0))
      yield* turns
      assert.deepStrictEqual(
        waits.map(({ heard }) => heard.length),
        fds.map((_, index) => (index % 3 === 0 ? 1 : 0))
      )
      for (const { id } of waits) native.forget(id)
      assert.strictEqual(yield* poolThreads, 0)
    }).pipe(Effect.scoped)
  )
})

describe("forget", () => {
  it.live("holds for one whose event is already on its way", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* pipe
      const counter = yield* eventfd(1)
      let first: ReturnType<typeof wait> | undefined
      let second: ReturnType<typeof wait> | undefined
      // Whichever is told first forgets the other.
      first = wait(reader, POLLIN, () => native.forget(second?.id ?? 0))
      second = wait(counter, POLLIN, () => native.forget(first?.id ?? 0))
      const third = wait(reader, POLLIN)
      call(nr.write, writer, byte, 1)
      yield* answered(third)
      yield* turns
      assert.strictEqual(first.heard.length + second.heard.length, 1)
      assert.deepStrictEqual([registrations(reader), registrations(counter)], [0, 0])
    })
  )

  it.live("may be followed by another wait, also within a callback", () =>
    Effect.gen(function* () {
      const counter = yield* eventfd(1)
      const again: Array<ReturnType<typeof wait>> = []
      const rewait = () => {
        if (again.length < 50) again.push(wait(counter, POLLIN, rewait))
      }
      rewait()
      assert.isTrue(yield* eventually(() => again.length === 50 && again.every(({ heard }) => heard.length === 1)))
      assert.strictEqual(registrations(counter), 0)
    })
  )
})

describe("a number that was closed while somebody waited, and is used anew", () => {
  /** Opens an eventfd at a number, which must be free. */
  const counterAt = (fd: number) => {
    const opened = Number(call(nr.eventfd2, 0, Syscall.EFD_CLOEXEC))
    if (opened === fd) return
    assert.strictEqual(call(nr.dup3, opened, fd, Syscall.O_CLOEXEC), fd)
    call(nr.close, opened)
  }

  it.live("is the new file's; whoever waited for the old one hears EBADF", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* Syscall.pipe2(Syscall.O_CLOEXEC)
      // The old file stays open under another number, and with it what epoll knows of it.
      const other = Number(call(nr.fcntl, reader, Syscall.F_DUPFD_CLOEXEC, 0))
      const old = wait(reader, POLLIN)
      yield* Syscall.close(reader)
      counterAt(reader)
      const fresh = wait(reader, POLLIN)
      assert.deepStrictEqual(old.heard, [])
      yield* answered(old)
      assert.deepStrictEqual(old.heard, [-Errno.codes.EBADF])

      // The old file is ready: nobody waits for that.
      call(nr.write, writer, byte, 1)
      yield* turns
      assert.deepStrictEqual(fresh.heard, [])
      call(nr.write, reader, BigUint64Array.of(1n), 8)
      yield* answered(fresh)
      assert.deepStrictEqual(fresh.heard, [POLLIN])
      for (const fd of [reader, writer, other]) yield* Syscall.close(fd)
    })
  )

  it.live("may be the same file again", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* Syscall.pipe2(Syscall.O_CLOEXEC)
      const other = Number(call(nr.fcntl, reader, Syscall.F_DUPFD_CLOEXEC, 0))
      const old = wait(reader, POLLIN)
      yield* Syscall.close(reader)
      assert.strictEqual(call(nr.dup3, other, reader, Syscall.O_CLOEXEC), reader)
      const fresh = wait(reader, POLLIN)
      call(nr.write, writer, byte, 1)
      yield* answered(old, fresh)
      assert.deepStrictEqual([old.heard, fresh.heard], [[POLLIN], [POLLIN]])
      // And one that was forgotten too late.
      const late = wait(reader, POLLOUT)
      yield* Syscall.close(reader)
      native.forget(late.id)
      assert.strictEqual(call(nr.dup3, other, reader, Syscall.O_CLOEXEC), reader)
      const last = wait(reader, POLLIN)
      yield* answered(last)
      assert.deepStrictEqual(last.heard, [POLLIN])
      for (const fd of [reader, writer, other]) yield* Syscall.close(fd)
    })
  )

  it.live("can still be forgotten", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* Syscall.pipe2(Syscall.O_CLOEXEC)
      const old = wait(reader, POLLIN)
      const told = wait(reader, POLLIN)
      yield* Syscall.close(reader)
      counterAt(reader)
      const fresh = wait(reader, POLLIN)
      native.forget(old.id)
      yield* answered(told)
      assert.deepStrictEqual([old.heard, told.heard], [[], [-Errno.codes.EBADF]])
      native.forget(fresh.id)
      assert.strictEqual(registrations(reader), 0)
      for (const fd of [reader, writer]) yield* Syscall.close(fd)
    })
  )
})

describe("callbacks", () => {
  const ready = `
    const counter = () => addon.call(${nr.eventfd2}, 1, 0)
    const log = (text) => Fs.writeSync(1, text + "\\n")`

  it.live("are followed by the microtasks and ticks they put off, before the loop goes on", () =>
    Effect.gen(function* () {
      const result = yield* program(`${ready}
        setImmediate(() => {
          addon.awaitReady(counter(), 1, () => {
            setImmediate(() => log("immediate"))
            process.nextTick(() => log("tick"))
            Promise.resolve().then(() => log("microtask"))
            log("told")
          })
        })`)
      assert.deepStrictEqual(result, {
        code: 0,
        signal: null,
        stdout: "told\ntick\nmicrotask\nimmediate\n",
        stderr: ""
      })
    })
  )

  it.live("that throw are uncaught exceptions, and the others are called", () =>
    Effect.gen(function* () {
      const result = yield* program(`${ready}
        process.on("uncaughtException", (error) => log("caught " + error.message))
        addon.awaitReady(counter(), 1, () => { throw new Error("boom") })
        addon.awaitReady(counter(), 1, () => log("told"))`)
      assert.deepInclude(result, { code: 0, signal: null, stderr: "" })
      assert.sameMembers(result.stdout.trim().split("\n"), ["caught boom", "told"])

      const deadly = yield* program(`${ready}
        addon.awaitReady(counter(), 1, () => { throw new Error("boom") })`)
      assert.deepInclude(deadly, { code: 1, signal: null, stdout: "" })
      assert.include(deadly.stderr, "Error: boom")
    })
  )
})

describe("the loop", () => {
  it.live("goes on while somebody waits, and no longer", () =>
    Effect.gen(function* () {
      const waits = yield* program(`
        const fd = addon.call(${nr.eventfd2}, 0, 0)
        setTimeout(() => addon.call(${nr.write}, fd, BigUint64Array.of(1n), 8), 20).unref()
        addon.awaitReady(fd, 1, (events) => console.log("told", events))
    `)
      assert.deepStrictEqual(waits, { code: 0, signal: null, stdout: "told 1\n", stderr: "" })
      const idle = yield* program(`
        const fd = addon.call(${nr.eventfd2}, 0, 0)
        const ids = [1, 2, 3].map(() => addon.awaitReady(fd, 1, () => console.log("told")))
        
        for (const id of ids) addon.forget(id)`)
      assert.deepStrictEqual(idle, { code: 0, signal: null, stdout: "", stderr: "" })
    })
  )
})

describe("the end, while descriptors are waited for", () => {
  const waiting = `
    
    const fds = Array.from({ length: 50 }, () => addon.call(${nr.eventfd2}, 0, 0))
    for (const fd of fds) for (const events of [1, 1, 2]) addon.awaitReady(fd, events, () => {})
    const counter = addon.call(${nr.eventfd2}, 1, 0)
    // So that they are closed with a worker.
    for (const fd of [...fds, counter]) addon.own(fd)`

  it.live("does not hang or crash in process.exit", () =>
    Effect.gen(function* () {
      const here = yield* program(`${waiting}
        process.exit(3)`)
      assert.deepStrictEqual(here, { code: 3, signal: null, stdout: "", stderr: "" })
      const within = yield* program(`${waiting}
        addon.awaitReady(counter, 1, () => process.exit(4))`)
      assert.deepStrictEqual(within, { code: 4, signal: null, stdout: "", stderr: "" })
    })
  )

  it.live("does not hang or crash with an uncaught error", () =>
    Effect.gen(function* () {
      const result = yield* program(`${waiting}
        setImmediate(() => { throw new Error("boom") })`)
      assert.deepInclude(result, { code: 1, signal: null, stdout: "" })
      assert.include(result.stderr, "Error: boom")
    })
  )

  it.live("of a worker closes what it had on its loop, whatever ends it", () =>
    Effect.gen(function* () {
      let before = 0
      const ways = [
        `post("waiting")`,
        `parentPort.once("message", () => addon.awaitReady(counter, 1, () => process.exit(0))); post("waiting")`,
        `parentPort.once("message", () => addon.awaitReady(counter, 1, () => { throw new Error("boom") })); post("waiting")`,
        `const again = () => addon.awaitReady(counter, 1, again)
         again(); post("waiting")`
      ]
      const closed = () => Effect.runSync(openFds) <= before
      for (let round = 0; round < 3 * ways.length; round++) {
        const self = worker(`${waiting}
          ${ways[round % ways.length]}`)
        const end = Effect.runFork(ended(self))
        self.on("error", () => {})
        assert.strictEqual(yield* message(self), "waiting")
        if (round % ways.length === 0 || round % ways.length === 3) {
          const start = performance.now()
          yield* Effect.promise(() => self.terminate())
          assert.isBelow(performance.now() - start, 2000)
        } else {
          self.postMessage("now")
        }
        assert.isTrue(yield* eventually(() => end.pollUnsafe() !== undefined))
        if (round < ways.length) before = Math.max(before, yield* openFds)
        else assert.isTrue(yield* eventually(closed), "what the worker had open is closed")
      }
    })
  )

  it.live("of a worker comes by itself when nobody waits any more", () =>
    Effect.gen(function* () {
      const self = worker(`${waiting}
        for (let id = 1; id <= 150; id++) addon.forget(id)
        addon.awaitReady(counter, 1, () => post("told"))`)
      const end = Effect.runFork(ended(self))
      assert.strictEqual(yield* message(self), "told")
      assert.strictEqual(yield* Fiber.join(end), 0)
    })
  )
})
