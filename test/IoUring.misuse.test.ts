/** What is asked for wrongly fails before any kernel sees it, and names the argument; nothing of it harms the ring. */
import { assert, describe } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { type Errno, File, IoUring, Syscall } from "../src/index.ts"
import { Descriptor } from "../src/internal/descriptor.ts"
import { pipe, temporaryFile, turn, utf8 } from "./support/files.ts"
import { eventually } from "./support/process.ts"
import { openFds, socketPair, test } from "./support/rings.ts"

type Any = IoUring.Operation<unknown, Errno.Errno, never>

const buffer = new Uint8Array(8)

describe("misuse", () => {
  test("is told by the name of the argument", [], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const file = yield* temporaryFile
      const before = yield* openFds
      const cases: ReadonlyArray<readonly [Any, Errno.Errno["_tag"], RegExp]> = [
        [IoUring.read(file, buffer, { offset: -1 }), "EINVAL", /offset/],
        [IoUring.read(file, buffer, { offset: 1.5 }), "EINVAL", /offset/],
        [IoUring.read(file, buffer, { offset: 2 ** 60 }), "EINVAL", /offset/],
        [IoUring.write(file, buffer, { flags: 2 ** 40 }), "EINVAL", /flags/],
        [
          IoUring.readv(
            file,
            Array.from({ length: 1025 }, () => buffer)
          ),
          "EINVAL",
          /buffers/
        ],
        [IoUring.fallocate(file, 0, Number.NaN, 1), "EINVAL", /offset/],
        [IoUring.fadvise(file, 0, 2 ** 40, 0), "EINVAL", /length/],
        [IoUring.syncFileRange(file, 0, -1, 0), "EINVAL", /length/],
        [IoUring.splice(file, file, { length: -1 }), "EINVAL", /length/],
        [IoUring.mkdir("a\0b", 0), "EINVAL", /path/],
        [IoUring.statx("\ud800"), "EINVAL", /path/],
        [IoUring.rename("a", "b\0"), "EINVAL", /to/],
        [IoUring.connect(file, { _tag: "Inet", address: "no", port: 1 }), "EINVAL", /address/],
        [IoUring.send(file, buffer, { address: { _tag: "Inet", address: "::", port: 1 } }), "EINVAL", /address/],
        [IoUring.poll(file, 2 ** 33), "EINVAL", /events/],
        [IoUring.msgRing(-1, 2 ** 35), "EINVAL", /data/],
        [IoUring.msgRing(-1, 1), "EBADF", /msg_ring/]
      ]
      for (const [operation, tag, names] of cases) {
        const error = yield* Effect.flip(IoUring.submit(ring, operation))
        const code = error._tag === "OtherErrno" ? error.code : error._tag
        assert.strictEqual(code, tag, error.message)
        assert.match(error.message, names)
      }
      yield* IoUring.submit(ring, IoUring.nop)
      assert.strictEqual(yield* openFds, before)
    })
  )

  test("of a wrong type is a defect", [], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const file = yield* temporaryFile
      const wrong: ReadonlyArray<() => unknown> = [
        () => IoUring.submit(ring, JSON.parse("{}")),
        () => IoUring.submit(JSON.parse("{}"), IoUring.nop),
        () => IoUring.submit(ring, IoUring.read(JSON.parse("3"), buffer)),
        () => IoUring.submit(ring, IoUring.read(file, JSON.parse('"text"'))),
        () => IoUring.submit(ring, IoUring.read(file, buffer, { offset: JSON.parse('"1"') })),
        () => IoUring.submit(ring, IoUring.readFixed(file, JSON.parse("{}"))),
        () => IoUring.submitAll(ring, JSON.parse("[{}]")),
        () => IoUring.submitAll(ring, JSON.parse("{}"))
      ]
      for (const make of wrong) {
        const exit = yield* Effect.exit(Effect.suspend(() => make() as Effect.Effect<unknown>))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause), String(make))
      }
      yield* IoUring.submit(ring, IoUring.nop)
    })
  )

  test("of a buffer that is gone, or lies, is refused or harmless", [], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const file = yield* temporaryFile
      yield* File.writeAll(file, utf8("0123456789"))
      const gone = new Uint8Array(8)
      structuredClone(gone.buffer, { transfer: [gone.buffer] })
      const error = yield* Effect.flip(IoUring.submit(ring, IoUring.read(file, gone, { offset: 0 })))
      assert.strictEqual(error._tag, "EFAULT")
      class Liar extends Uint8Array {
        override get byteLength() {
          return 4096
        }
        override get length() {
          return 4096
        }
      }
      const liar = new Liar(4)
      const exit = yield* Effect.exit(IoUring.submit(ring, IoUring.read(file, liar, { offset: 0 })))
      if (Exit.isSuccess(exit)) assert.isAtMost(exit.value, 4)
    })
  )

  test("of an operation that this kernel lacks is EOPNOTSUPP", [], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const operations = IoUring.probe(ring).operations
      for (const [name, op] of [
        ["PIPE", undefined],
        ["LISTEN", IoUring.listen(yield* temporaryFile)]
      ] as const) {
        if (operations.has(name) || op === undefined) continue
        const error = yield* Effect.flip(IoUring.submit(ring, op))
        assert.strictEqual(error._tag, "EOPNOTSUPP")
      }
    })
  )
})

describe("a file whose O_NONBLOCK is ours", () => {
  test("is waited for where the kernel would say EAGAIN", [], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { first, second } = yield* socketPair
      const fd = yield* Syscall.dup(yield* File.fd(first))
      const file = new Descriptor(fd, true, true)
      yield* Effect.addFinalizer(() => Effect.ignore(File.close(file)))
      let answer = 0
      // MSG_DONTWAIT has the kernel answer at once.
      const receive = IoUring.recv(file, buffer, { flags: Syscall.MSG_DONTWAIT })
      Effect.runFork(
        Effect.tap(IoUring.submit(ring, receive), (count) =>
          Effect.sync(() => {
            answer = count
          })
        )
      )
      yield* turn
      yield* File.write(second, utf8("abc"))
      assert.isTrue(yield* eventually(() => answer === 3))
      const { reader } = yield* pipe
      assert.isTrue(File.isFile(reader))
    })
  )
})
