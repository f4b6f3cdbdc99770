/** The ring itself, below everything: full queues, too many results, cancellation, and what it does to the event loop. */
import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { File, IoUring, Syscall } from "../src/index.ts"
import { type Handler, Ring } from "../src/internal/engine/ring.ts"
import { pipe, turn, utf8 } from "./support/files.ts"
import { eventually } from "./support/process.ts"
import { message, program, worker } from "./support/program.ts"
import { openFds, test } from "./support/rings.ts"

const { IORING_OP_NOP, IORING_OP_POLL_ADD, IOSQE_IO_LINK, POLLIN } = Syscall

const ring = (submissions: number, completions: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const opened = Ring.open(submissions, completions)
      if (typeof opened === "number") throw new Error(`no ring: errno ${opened}`)
      return opened
    }),
    (self) => Effect.sync(() => self.close())
  )

/** Counts what each of many entries hears. */
class Counter implements Handler {
  heard = 0
  res = 0
  complete(res: number): void {
    this.heard++
    this.res = res
  }
}

const submit = (self: Ring, op: number, fd = -1, events = 0): { readonly counter: Counter; readonly slot: number } => {
  const counter = new Counter()
  const entry = self.begin(op, 0, fd)
  entry[7] = events
  return { counter, slot: self.submit(counter) }
}

const sqHead = (self: Ring): number => {
  const { rings, sqHead } = self.memory
  return Atomics.load(new Int32Array(rings), sqHead >> 2)
}

describe("a ring", () => {
  test("takes all of a turn in one visit of the kernel", [], () =>
    Effect.gen(function* () {
      const self = yield* ring(64, 64)
      const all = Array.from({ length: 50 }, () => submit(self, IORING_OP_NOP).counter)
      assert.strictEqual(sqHead(self), 0)
      assert.strictEqual(self.pending, 50)
      assert.isTrue(yield* eventually(() => self.pending === 0))
      assert.strictEqual(sqHead(self), 50)
      assert.isTrue(all.every(({ heard }) => heard === 1))
    })
  )

  test("takes more than its queue has room for, and hears each once", [], () =>
    Effect.gen(function* () {
      const self = yield* ring(4, 8)
      const all = Array.from({ length: 5000 }, () => submit(self, IORING_OP_NOP).counter)
      assert.isTrue(yield* eventually(() => self.pending === 0))
      assert.isTrue(all.every(({ heard, res }) => heard === 1 && res === 0))
    })
  )

  test("loses no result when more come at once than it has room for", [], () =>
    Effect.gen(function* () {
      const self = yield* ring(8, 8)
      const { reader, writer } = yield* pipe
      const fd = yield* File.fd(reader)
      const all = Array.from({ length: 500 }, () => submit(self, IORING_OP_POLL_ADD, fd, POLLIN).counter)
      yield* turn
      assert.strictEqual(self.pending, 500)
      yield* File.write(writer, utf8("x"))
      assert.isTrue(yield* eventually(() => self.pending === 0), `${self.pending} were not heard of`)
      assert.isTrue(all.every(({ heard, res }) => heard === 1 && res === POLLIN))
    })
  )

  test("hands entries that belong together over in one piece, whatever is in the queue", [], () =>
    Effect.gen(function* () {
      const self = yield* ring(8, 8)
      for (let before = 0; before < 16; before++) {
        for (let i = 0; i < before; i++) submit(self, IORING_OP_NOP)
        const words = new Int32Array(4 * 16)
        for (let i = 0; i < 4; i++) words[i * 16] = IORING_OP_NOP | ((i < 3 ? IOSQE_IO_LINK : 0) << 8)
        // A read of no descriptor fails, and breaks the chain if it is one.
        words[0] = Syscall.IORING_OP_READ | (IOSQE_IO_LINK << 8)
        words[1] = -1
        const chain = Array.from({ length: 4 }, () => new Counter())
        self.submitTogether(words, chain)
        assert.isTrue(yield* eventually(() => self.pending === 0))
        const [first = 0, ...others] = chain.map(({ res }) => res)
        assert.deepStrictEqual([first, others], [-9, [-125, -125, -125]])
      }
    })
  )

  test("hears once of what is cancelled while it ends", [], () =>
    Effect.gen(function* () {
      const self = yield* ring(16, 64)
      const { reader, writer } = yield* pipe
      const fd = yield* File.fd(reader)
      for (let round = 0; round < 60; round++) {
        const all = Array.from({ length: 20 }, () => submit(self, IORING_OP_POLL_ADD, fd, POLLIN))
        if (round % 2 === 0) yield* turn
        if (round % 3 === 0) yield* File.write(writer, utf8("x"))
        all.forEach(({ slot }, index) => {
          if (index % 2 === 0) self.cancel(slot)
          else self.cancelBeside(slot)
        })
        // New ones take the places that become free, and are not hit by what was meant for others.
        const next = submit(self, IORING_OP_POLL_ADD, fd, POLLIN)
        if (round % 3 !== 0) yield* File.write(writer, utf8("x"))
        assert.isTrue(yield* eventually(() => self.pending === 0))
        assert.isTrue(all.every(({ counter }) => counter.heard === 1))
        assert.strictEqual(next.counter.res, POLLIN)
        yield* File.read(reader, new Uint8Array(8))
      }
    })
  )

  test("cancels again what a cancellation missed, as its turn had not come", [], () =>
    Effect.gen(function* () {
      const self = yield* ring(8, 8)
      const one = yield* pipe
      const two = yield* pipe
      for (const cancel of [(slot: number) => self.cancel(slot), (slot: number) => self.cancelBeside(slot)]) {
        const words = new Int32Array(2 * 16)
        words[0] = IORING_OP_POLL_ADD | (IOSQE_IO_LINK << 8)
        words[1] = yield* File.fd(one.reader)
        words[16] = IORING_OP_POLL_ADD
        words[17] = yield* File.fd(two.reader)
        words[7] = words[23] = POLLIN
        const chain = [new Counter(), new Counter()] as const
        const [, second = -1] = self.submitTogether(words, chain)
        cancel(second)
        for (let i = 0; i < 3; i++) yield* turn
        assert.deepStrictEqual([chain[0].heard, chain[1].heard], [0, 0])
        yield* File.write(one.writer, utf8("x"))
        yield* Effect.promise(
          () =>
            new Promise<void>((resolve) => {
              const look = () => (chain[1].heard === 1 ? resolve() : setTimeout(look, 1))
              look()
            })
        )
        assert.deepStrictEqual([chain[0].res, chain[1].res], [POLLIN, -125])
        yield* File.read(one.reader, new Uint8Array(1))
      }
    })
  )

  test("cancels what threads of the kernel's have just begun with", [], () =>
    Effect.gen(function* () {
      const self = yield* IoUring.make()
      const { reader } = yield* pipe
      const read = IoUring.elsewhere(IoUring.read(reader, new Uint8Array(1)))
      for (let round = 0; round < 50; round++) {
        const fibers = yield* Effect.forEach(Array.from({ length: 8 }), () =>
          Effect.forkChild(IoUring.submit(self, read), { startImmediately: true })
        )
        for (let i = 0; i < round % 4; i++) yield* turn
        yield* Fiber.interruptAll(fibers)
      }
    })
  )

  test("lets the loop have its turns while there are many results", [], () =>
    Effect.gen(function* () {
      const self = yield* ring(1024, 4096)
      let handled = 0
      let longest = 0
      let last = performance.now()
      const beat = setInterval(() => {
        longest = Math.max(longest, performance.now() - last)
        last = performance.now()
      }, 1)
      yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(beat)))
      const slow: Handler = {
        complete: () => {
          handled++
          const until = performance.now() + 0.2
          while (performance.now() < until);
        }
      }
      for (let i = 0; i < 1000; i++) {
        self.begin(IORING_OP_NOP, 0, -1)
        self.submit(slow)
      }
      assert.isTrue(yield* eventually(() => handled === 1000))
      // All at once were 200 ms.
      assert.isBelow(longest, 100)
    })
  )

  test("can be closed by a handler of its own", [], () =>
    Effect.gen(function* () {
      const before = yield* openFds
      const opened = Ring.open(8, 8)
      if (typeof opened === "number") throw new Error("no ring")
      let heard = 0
      for (let i = 0; i < 4; i++) {
        opened.begin(IORING_OP_NOP, 0, -1)
        opened.submit({
          complete: () => {
            heard++
            opened.close()
          }
        })
      }
      assert.isTrue(yield* eventually(() => heard === 1))
      assert.strictEqual(yield* openFds, before)
      opened.cancel(0)
      opened.flush()
      assert.isTrue(opened.close())
    })
  )

  test("cancels everything, and tells when all is over", [], () =>
    Effect.gen(function* () {
      const self = yield* ring(8, 8)
      const { reader } = yield* pipe
      const fd = yield* File.fd(reader)
      const all = Array.from({ length: 100 }, () => submit(self, IORING_OP_POLL_ADD, fd, POLLIN).counter)
      yield* Effect.callback<void>((resume) => self.cancelAll(() => resume(Exit.void)))
      assert.isTrue(all.every(({ heard, res }) => heard === 1 && res === -125))
    })
  )

  test("has operations by the thousand in flight", [], () =>
    Effect.gen(function* () {
      const self = yield* IoUring.make({ entries: 128 })
      const { reader, writer } = yield* pipe
      const polling = yield* Effect.forkChild(
        Effect.all(
          Array.from({ length: 3000 }, () => IoUring.submit(self, IoUring.poll(reader, POLLIN))),
          { concurrency: "unbounded" }
        )
      )
      yield* turn
      yield* File.write(writer, utf8("x"))
      assert.deepStrictEqual(new Set(yield* Fiber.join(polling)), new Set([POLLIN]))
    })
  )
})

describe("the loop of a process", () => {
  test("is kept alive by what is in flight, and by nothing else", [], () =>
    Effect.gen(function* () {
      const idle = yield* program(`
        const scope = Effect.runSync(Scope.make())
        const ring = Effect.runSync(Scope.provide(IoUring.make(), scope))
        await Effect.runPromise(IoUring.submit(ring, IoUring.nop))
        process.on("exit", () => console.log("idle"))`)
      assert.deepStrictEqual([idle.code, idle.signal, idle.stdout], [0, null, "idle\n"])
      const busy = yield* program(`
        const scope = Effect.runSync(Scope.make())
        const ring = Effect.runSync(Scope.provide(IoUring.make(), scope))
        Effect.runFork(Effect.tap(IoUring.submit(ring, IoUring.timeout("100 millis")), () =>
          Effect.sync(() => console.log("waited"))))`)
      assert.deepStrictEqual([busy.code, busy.signal, busy.stdout], [0, null, "waited\n"])
    })
  )

  test("ends at once with process.exit and with an uncaught error, in mid-flight", [], () =>
    Effect.gen(function* () {
      const begin = `
        const scope = Effect.runSync(Scope.make())
        const ring = Effect.runSync(Scope.provide(IoUring.make(), scope))
        const [reader] = Effect.runSync(Syscall.pipe2(Syscall.O_CLOEXEC))
        const file = Effect.runSync(Scope.provide(File.fromFd(reader), scope))
        for (let i = 0; i < 300; i++) Effect.runFork(IoUring.submit(ring, IoUring.read(file, new Uint8Array(64))))`
      const exit = yield* program(`${begin}
        setTimeout(() => process.exit(7), 20)`)
      assert.deepStrictEqual([exit.code, exit.signal, exit.stderr], [7, null, ""])
      const thrown = yield* program(`${begin}
        setTimeout(() => { throw new Error("uncaught") }, 20)`)
      assert.deepStrictEqual([thrown.code, thrown.signal], [1, null])
      assert.include(thrown.stderr, "uncaught")
      const now = yield* program(`${begin}
        process.exit(8)`)
      assert.deepStrictEqual([now.code, now.signal, now.stderr], [8, null, ""])
    })
  )

  test("of a worker ends with it, in mid-flight too", [], () =>
    Effect.gen(function* () {
      const before = yield* openFds
      for (let round = 0; round < 3; round++) {
        const self = worker(`
          const { Effect, File, IoUring, Scope, Syscall } = await library()
          const scope = Effect.runSync(Scope.make())
          const ring = Effect.runSync(Scope.provide(IoUring.make(), scope))
          const [reader, writer] = Effect.runSync(Syscall.pipe2(Syscall.O_CLOEXEC))
          const files = [reader, writer].map((fd) => Effect.runSync(Scope.provide(File.fromFd(fd), scope)))
          for (let i = 0; i < 100; i++) Effect.runFork(IoUring.submit(ring, IoUring.read(files[0], new Uint8Array(64))))
          setTimeout(() => post("begun"), 5)`)
        assert.strictEqual(yield* message(self), "begun")
        yield* Effect.promise(() => self.terminate())
      }
      let after = yield* openFds
      for (let i = 0; i < 200 && after > before; i++) after = yield* openFds
      assert.isAtMost(after, before)
    })
  )
})
