/** Pipes: their size and mode, and moving data by way of them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Errno, Fcntl, File, Pipe, Syscall } from "../src/index.ts"
import { callsOf, temporaryFile, text, turn, utf8, yieldingAt } from "./support/files.ts"
import { openFds } from "./support/process.ts"

const readText = (end: Pipe.End, size = 64) =>
  Effect.gen(function* () {
    const buffer = new Uint8Array(size)
    return text(buffer.subarray(0, yield* File.read(end, buffer)))
  })

describe("Pipe", () => {
  it.effect("carries bytes from one end to the other, and ends when the writer is closed", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* Pipe.make()
      yield* File.writeAll(writer, utf8("hello"))
      assert.strictEqual(yield* Pipe.available(reader), 5)
      yield* File.close(writer)
      assert.strictEqual(text(yield* File.readAll(reader)), "hello")
    })
  )

  it.effect("is close-on-exec, and waits as child processes expect it", () =>
    Effect.gen(function* () {
      for (const end of Object.values(yield* Pipe.make())) {
        assert.strictEqual(yield* File.fcntl(end, Fcntl.F_GETFD), Syscall.FD_CLOEXEC)
        assert.strictEqual((yield* File.fcntl(end, Fcntl.F_GETFL)) & Syscall.O_NONBLOCK, 0)
      }
    })
  )

  it.effect("is as large as it was asked to be", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* Pipe.make({ size: 200_000 })
      assert.strictEqual(yield* Pipe.capacity(reader), 262_144)
      assert.strictEqual(yield* Pipe.setCapacity(writer, 4096), 4096)
      assert.strictEqual(yield* Pipe.capacity(writer), 4096)
      yield* Pipe.setCapacity(writer, 65_536)
      yield* File.write(writer, new Uint8Array(8192))
      assert.instanceOf(yield* Effect.flip(Pipe.setCapacity(writer, 4096)), Errno.EBUSY)
      assert.include((yield* Effect.flip(Pipe.setCapacity(writer, 0.5))).message, "size")
    })
  )

  it.effect("gives one write for each read in packet mode", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* Pipe.make({ packet: true })
      yield* File.write(writer, utf8("one"))
      yield* File.write(writer, utf8("two"))
      assert.strictEqual(yield* readText(reader), "one")
      assert.strictEqual(yield* readText(reader), "two")
    })
  )

  it.effect("leaves no descriptor wherever its maker is interrupted", () =>
    Effect.gen(function* () {
      const before = yield* openFds
      for (let at = 1; at < 40; at++) {
        yield* Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(
            Effect.scoped(Effect.andThen(Pipe.make({ size: 4096 }), Effect.never)).pipe(yieldingAt(at))
          )
          yield* turn
          yield* Fiber.interrupt(fiber)
        })
        assert.strictEqual(yield* openFds, before, `at ${at}`)
      }
    })
  )
})

describe("moving", () => {
  it.live("splices a file into a pipe, at its offset or at another", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      yield* File.writeAll(file, utf8("0123456789"))
      yield* File.seek(file, File.Seek.start(2))
      const { reader, writer } = yield* Pipe.make()
      assert.strictEqual(yield* Pipe.splice(file, writer, { length: 3 }), 3)
      assert.strictEqual(yield* Pipe.splice(file, writer, { length: 2, fromOffset: 8 }), 2)
      assert.strictEqual(yield* Pipe.splice(file, writer, { length: 1 }), 1)
      assert.strictEqual(yield* readText(reader), "234895")
      assert.strictEqual(yield* Pipe.splice(file, writer, { length: 9, fromOffset: 10n }), 0)
    })
  )

  it.live("splices a pipe into a file", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const { reader, writer } = yield* Pipe.make()
      yield* File.write(writer, utf8("abcdef"))
      assert.strictEqual(yield* Pipe.splice(reader, file, { length: 4, toOffset: 1 }), 4)
      yield* File.close(writer)
      assert.strictEqual(yield* Pipe.splice(reader, file, { length: 100 }), 2)
      assert.strictEqual(yield* Pipe.splice(reader, file, { length: 100 }), 0)
      yield* File.seek(file, File.Seek.start(0))
      assert.strictEqual(text(yield* File.readAll(file)), "efbcd")
    })
  )

  it.live("waits for something to move, and for room", () =>
    Effect.gen(function* () {
      const [from, to] = [yield* Pipe.make(), yield* Pipe.make({ size: 4096 })]
      const first = yield* Effect.forkChild(Pipe.splice(from.reader, to.writer, { length: 4096 }))
      yield* turn
      assert.isUndefined(first.pollUnsafe())
      yield* File.write(from.writer, new Uint8Array(4096).fill(1))
      assert.strictEqual(yield* Fiber.join(first), 4096)
      yield* File.write(from.writer, utf8("more"))
      const second = yield* Effect.forkChild(Pipe.splice(from.reader, to.writer, { length: 4 }))
      yield* turn
      assert.isUndefined(second.pollUnsafe())
      assert.lengthOf(yield* readText(to.reader, 4096), 4096)
      assert.strictEqual(yield* Fiber.join(second), 4)
      assert.strictEqual(yield* readText(to.reader), "more")
    })
  )

  it.live("asks again only when both sides are ready", () =>
    Effect.gen(function* () {
      const [from, to] = [yield* Pipe.make(), yield* Pipe.make({ size: 4096 })]
      yield* File.write(from.writer, utf8("x"))
      yield* File.write(to.writer, new Uint8Array(4096))
      const splicing = yield* Effect.forkChild(callsOf(Pipe.splice(from.reader, to.writer, { length: 1 })))
      for (let turns = 0; turns < 20; turns++) yield* turn
      yield* readText(to.reader, 4096)
      const { calls, result } = yield* Fiber.join(splicing)
      assert.strictEqual(result, 1)
      assert.isAtMost(calls.filter(({ name }) => name === "splice").length, 2)
    })
  )

  it.live("copies with tee and leaves what it copied", () =>
    Effect.gen(function* () {
      const [from, to] = [yield* Pipe.make(), yield* Pipe.make()]
      const copying = yield* Effect.forkChild(Pipe.tee(from.reader, to.writer, 3))
      yield* turn
      yield* File.write(from.writer, utf8("copy"))
      assert.strictEqual(yield* Fiber.join(copying), 3)
      assert.strictEqual(yield* readText(to.reader), "cop")
      assert.strictEqual(yield* readText(from.reader), "copy")
    })
  )

  it.live("lends the pages of buffers, and waits for room", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* Pipe.make({ size: 8192 })
      const page = new Uint8Array(4096).fill(0x61)
      assert.strictEqual(yield* Pipe.lend(writer, [page.subarray(0, 2), page.subarray(2, 4)]), 4)
      assert.strictEqual(yield* readText(reader), "aaaa")
      yield* File.write(writer, new Uint8Array(8192))
      const lending = yield* Effect.forkChild(Pipe.lend(writer, [page]))
      yield* turn
      assert.isUndefined(lending.pollUnsafe())
      yield* readText(reader, 8192)
      assert.strictEqual(yield* Fiber.join(lending), 4096)
      assert.strictEqual(yield* readText(reader, 4096), "a".repeat(4096))
    })
  )

  it.live("is called back by an interruption or by closing either side, and leaves both usable or closed", () =>
    Effect.gen(function* () {
      const before = yield* openFds
      yield* Effect.scoped(
        Effect.gen(function* () {
          const [from, to] = [yield* Pipe.make(), yield* Pipe.make()]
          const interrupted = yield* Effect.forkChild(Pipe.splice(from.reader, to.writer, { length: 1 }))
          const closed = yield* Effect.forkChild(Effect.flip(Pipe.splice(from.reader, to.writer, { length: 1 })))
          const teeing = yield* Effect.forkChild(Effect.flip(Pipe.tee(from.reader, to.writer, 1)))
          yield* turn
          yield* Fiber.interrupt(interrupted)
          yield* File.close(from.reader)
          assert.strictEqual((yield* Fiber.join(closed))._tag, "EBADF")
          assert.strictEqual((yield* Fiber.join(teeing))._tag, "EBADF")
          yield* File.write(to.writer, utf8("still"))
          assert.strictEqual(yield* readText(to.reader), "still")
        })
      )
      assert.strictEqual(yield* openFds, before)
    })
  )

  it.effect("fails where neither side is a pipe", () =>
    Effect.gen(function* () {
      const [from, to] = [yield* temporaryFile, yield* temporaryFile]
      assert.instanceOf(yield* Effect.flip(Pipe.splice(from, to, { length: 1 })), Errno.EINVAL)
    })
  )

  it("takes only ends of pipes where it must be pipes", () => {
    // @ts-expect-error a File that is not known to be a pipe
    const wrong = (file: File.File, end: Pipe.End) => Pipe.tee(file, end, 1)
    assert.isFunction(wrong)
  })
})
