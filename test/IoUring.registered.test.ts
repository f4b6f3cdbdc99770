/** Memory and files that are registered with a ring. */
import { readFileSync } from "node:fs"
import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { File, IoUring } from "../src/index.ts"
import { pipe, temporaryFile, text, turn, utf8 } from "./support/files.ts"
import { openFds, test } from "./support/rings.ts"

describe("IoUring.registerBuffers", () => {
  test("gives memory that is read and written without a copy, in parts", ["READ_FIXED", "WRITE_FIXED"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const file = yield* temporaryFile
      const [from, to] = yield* IoUring.registerBuffers(ring, [4096, 100])
      assert.deepStrictEqual([from.bytes.length, to.bytes.length], [4096, 100])
      from.bytes.set(utf8("fixed"), 10)
      const write = IoUring.writeFixed(file, from, { offset: 0, at: 10, length: 5 })
      assert.strictEqual(yield* IoUring.submit(ring, write), 5)
      assert.strictEqual(yield* IoUring.submit(ring, IoUring.readFixed(file, to, { offset: 1, at: 2 })), 4)
      assert.strictEqual(text(to.bytes.subarray(2, 6)), "ixed")
    })
  )

  test("refuses what lies outside, what is another ring's and what is released", ["READ_FIXED"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const other = yield* IoUring.make()
      const file = yield* temporaryFile
      const scope = yield* Scope.make()
      const [buffer] = yield* Scope.provide(IoUring.registerBuffers(ring, [100]), scope)
      const refused = (ring: IoUring.Ring, options: IoUring.FixedTransferOptions) =>
        Effect.flip(IoUring.submit(ring, IoUring.readFixed(file, buffer, { offset: 0, ...options })))
      for (const options of [{ at: 101 }, { at: -1 }, { at: 50, length: 51 }, { length: Number.NaN }, { length: -1 }]) {
        const error = yield* refused(ring, options)
        assert.include(["EFAULT", "EINVAL"], error._tag)
        assert.match(error.message, /at|length/)
      }
      assert.strictEqual((yield* refused(other, {}))._tag, "EFAULT")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(buffer.bytes.length, 0)
      const error = yield* refused(ring, {})
      assert.strictEqual(error._tag, "EFAULT")
      assert.include(error.message, "buffer")
    })
  )

  test("keeps memory until what uses it has ended", ["READ_FIXED"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { reader, writer } = yield* pipe
      const scope = yield* Scope.make()
      const [buffer] = yield* Scope.provide(IoUring.registerBuffers(ring, [16]), scope)
      const reading = yield* Effect.forkChild(IoUring.submit(ring, IoUring.readFixed(reader, buffer)))
      yield* turn
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* turn
      assert.strictEqual(buffer.bytes.length, 16)
      yield* File.write(writer, utf8("x"))
      assert.strictEqual(yield* Fiber.join(reading), 1)
      yield* Fiber.join(closing)
      assert.strictEqual(buffer.bytes.length, 0)
    })
  )

  test("leaves no memory and uses places anew", ["READ_FIXED"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const size = 256 * 1024
      const all = Effect.sync(() => Number(readFileSync("/proc/self/statm", "utf8").split(" ")[0]) * 4096)
      const once = Effect.scoped(IoUring.registerBuffers(ring, [size, size]))
      yield* once
      const before = yield* all
      // More than the table has places for.
      yield* Effect.repeat(once, { times: 600 })
      assert.isAtMost(yield* all, before + 600 * size)
      assert.strictEqual((yield* Effect.flip(Effect.scoped(IoUring.registerBuffers(ring, [0]))))._tag, "EINVAL")
    })
  )
})

describe("IoUring.registerFiles", () => {
  test("gives files that outlive their descriptors", [], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { reader, writer } = yield* pipe
      const [fixed] = yield* IoUring.registerFiles(ring, [writer])
      yield* File.close(writer)
      assert.strictEqual(yield* IoUring.submit(ring, IoUring.write(fixed, utf8("gone"))), 4)
      const buffer = new Uint8Array(8)
      assert.strictEqual(yield* File.read(reader, buffer), 4)
      yield* IoUring.updateFile(fixed, null)
      assert.strictEqual((yield* Effect.flip(IoUring.submit(ring, IoUring.write(fixed, utf8("x")))))._tag, "EBADF")
      assert.strictEqual(yield* File.read(reader, buffer), 0)
      yield* IoUring.updateFile(fixed, yield* File.open("/dev/null", { access: "write" }))
      assert.strictEqual(yield* IoUring.submit(ring, IoUring.write(fixed, utf8("null"))), 4)
    })
  )

  test("opens, reads and closes in a chain without a descriptor", ["OPENAT"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const before = yield* openFds
      const [slot] = yield* IoUring.registerFiles(ring, [null])
      const buffer = new Uint8Array(4096)
      const [, count] = yield* IoUring.chain(
        ring,
        [IoUring.openFixed(slot, "/proc/self/comm"), IoUring.read(slot, buffer), IoUring.close(slot)],
        { hard: true }
      )
      assert.isAbove(count, 0)
      assert.strictEqual(yield* openFds, before)
      assert.strictEqual((yield* Effect.flip(IoUring.submit(ring, IoUring.read(slot, buffer))))._tag, "EBADF")
    })
  )

  test("makes a descriptor of one", ["FIXED_FD_INSTALL"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const before = yield* openFds
      yield* Effect.scoped(
        Effect.gen(function* () {
          const [slot] = yield* IoUring.registerFiles(ring, [null])
          yield* IoUring.submit(ring, IoUring.openFixed(slot, "/proc/self/comm"))
          const file = yield* IoUring.submit(ring, IoUring.fixedFdInstall(slot))
          assert.isAbove((yield* File.readAll(file)).length, 0)
        })
      )
      assert.strictEqual(yield* openFds, before)
    })
  )

  test("refuses what is closed, released or another ring's", [], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const other = yield* IoUring.make()
      const { reader, writer } = yield* pipe
      yield* File.close(reader)
      assert.strictEqual((yield* Effect.flip(IoUring.registerFiles(ring, [reader])))._tag, "EBADF")
      const scope = yield* Scope.make()
      const [fixed] = yield* Scope.provide(IoUring.registerFiles(ring, [writer]), scope)
      const write = IoUring.write(fixed, utf8("x"))
      assert.include((yield* Effect.flip(IoUring.submit(other, write))).message, "another ring")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Effect.flip(IoUring.submit(ring, write)))._tag, "EBADF")
      assert.strictEqual((yield* Effect.flip(IoUring.updateFile(fixed, writer)))._tag, "EBADF")
    })
  )
})
