/** Moving bytes in other ways than one buffer at a time: vectors, flags, streams, sinks, copies. */

import { readFileSync, writeFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Stream } from "effect"
import { File, Syscall } from "../src/index.ts"
import {
  callsOf,
  isAsleepIn,
  pipe,
  temporaryDirectory,
  temporaryFile,
  temporaryPath,
  text,
  turn,
  utf8
} from "./support/files.ts"
import { eventually, openFds } from "./support/process.ts"

const { Seek } = File

/** Bytes that tell where they are. */
const pattern = (length: number) => Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8)) & 0xff)

const sameBytes = (actual: Uint8Array, expected: Uint8Array) => assert.isTrue(Buffer.from(actual).equals(expected))

/** A file without a name that holds these bytes, its offset at the start. */
const holding = (contents: string | Uint8Array) =>
  Effect.gen(function* () {
    const file = yield* temporaryFile
    yield* File.writeAll(file, typeof contents === "string" ? utf8(contents) : contents)
    yield* File.seek(file, Seek.start(0))
    return file
  })

const contentsOf = (file: File.File) =>
  Effect.gen(function* () {
    const { stx_size } = yield* File.stat(file)
    const buffer = new Uint8Array(Number(stx_size))
    assert.strictEqual(yield* File.pread(file, buffer, 0), buffer.length)
    return buffer
  })

const joined = (stream: Stream.Stream<Uint8Array, unknown>) =>
  Effect.map(Stream.runCollect(stream), (chunks) => new Uint8Array(Buffer.concat(chunks)))

describe("vectors", () => {
  it.live("File.preadv and File.pwritev work at their offset and leave the file's own", () =>
    Effect.gen(function* () {
      const file = yield* holding("0123456789")
      assert.strictEqual(yield* File.pwritev(file, [utf8("A"), new Uint8Array(0), utf8("BC")], 4), 3)
      const [one, two] = [new Uint8Array(2), new Uint8Array(4)]
      assert.strictEqual(yield* File.preadv(file, [one, two], 3n), 6)
      assert.strictEqual(text(one) + text(two), "3ABC78")
      assert.strictEqual(yield* File.seek(file, Seek.current(0)), 0)
    })
  )

  it.live("File.preadv2 and File.pwritev2 without an offset move the file's own", () =>
    Effect.gen(function* () {
      const file = yield* holding("0123456789")
      assert.strictEqual(yield* File.pwritev2(file, [utf8("AB")]), 2)
      const buffer = new Uint8Array(3)
      assert.strictEqual(yield* File.preadv2(file, [buffer]), 3)
      assert.strictEqual(text(buffer), "234")
      assert.strictEqual(yield* File.preadv2(file, [buffer], { offset: 9 }), 1)
      assert.strictEqual(yield* File.seek(file, Seek.current(0)), 5)
    })
  )

  it.live("the flags of a write are passed on and kept", () =>
    Effect.gen(function* () {
      const file = yield* holding("0123456789")
      assert.strictEqual(yield* File.pwritev2(file, [utf8("X")], { offset: 0, append: true, dataSync: true }), 1)
      assert.strictEqual(text(yield* contentsOf(file)), "0123456789X")
      const words = ["append", "atomic", "dataSync", "dontCache", "highPriority", "noAppend", "noWait", "sync"] as const
      const bits = {
        append: Syscall.RWF_APPEND,
        atomic: Syscall.RWF_ATOMIC,
        dataSync: Syscall.RWF_DSYNC,
        dontCache: Syscall.RWF_DONTCACHE,
        highPriority: Syscall.RWF_HIPRI,
        noAppend: Syscall.RWF_NOAPPEND,
        noWait: Syscall.RWF_NOWAIT,
        sync: Syscall.RWF_SYNC
      }
      for (const word of words) {
        const { calls } = yield* callsOf(Effect.exit(File.pwritev2(file, [utf8("X")], { offset: 0, [word]: true })))
        assert.deepStrictEqual(
          calls.map(({ args, name }) => [name, args[5]]),
          [["pwritev2", bits[word]]]
        )
      }
    })
  )

  it.live("a read that must not wait does not, of whatever file", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* pipe
      const buffer = new Uint8Array(4)
      const now = File.preadv2(reader, [buffer], { noWait: true })
      assert.strictEqual((yield* Effect.flip(now))._tag, "EAGAIN")
      yield* File.write(writer, utf8("ping"))
      assert.strictEqual(yield* now, 4)
      yield* File.close(reader)
      assert.strictEqual((yield* Effect.flip(now))._tag, "EBADF")
    })
  )

  it.live("File.pwriteAll goes on where a write was short", () =>
    Effect.gen(function* () {
      const file = yield* holding("0123456789")
      const short: Syscall.Trampoline = {
        ...Syscall.kernel,
        callBlocking: (nr, args, options) =>
          nr === Syscall.nr.pwrite64
            ? Syscall.kernel.callBlocking(nr, [args[0] ?? null, args[1] ?? null, 1, args[3] ?? null], options)
            : Syscall.kernel.callBlocking(nr, args, options)
      }
      yield* Effect.provideService(File.pwriteAll(file, utf8("ABC"), 2), Syscall.Trampoline, short)
      yield* Effect.provideService(File.pwriteAll(file, utf8("DE"), 8n), Syscall.Trampoline, short)
      assert.strictEqual(text(yield* contentsOf(file)), "01ABC567DE")
    })
  )
})

describe("File.stream", () => {
  it.live("gives all of the file in chunks of their own, and moves the offset", () =>
    Effect.gen(function* () {
      const bytes = pattern(200_001)
      const file = yield* holding(bytes)
      const chunks = yield* Stream.runCollect(File.stream(file, { chunkSize: 1000 }))
      assert.deepStrictEqual([chunks.length, chunks.at(-1)?.length], [201, 1])
      sameBytes(Buffer.concat(chunks), bytes)
      assert.strictEqual(new Set(chunks.map(({ buffer }) => buffer)).size, chunks.length)
      // No memory is shown that was not read.
      for (const chunk of chunks) assert.strictEqual(chunk.buffer.byteLength, chunk.length)
      assert.strictEqual(yield* File.seek(file, Seek.current(0)), 200_001)
    })
  )

  it.live("from an offset leaves the file's own, and ends after a length", () =>
    Effect.gen(function* () {
      const bytes = pattern(10_000)
      const file = yield* holding(bytes)
      sameBytes(yield* joined(File.stream(file, { offset: 9000, chunkSize: 300 })), bytes.subarray(9000))
      sameBytes(yield* joined(File.stream(file, { offset: 5n, length: 700, chunkSize: 300 })), bytes.subarray(5, 705))
      assert.strictEqual(yield* File.seek(file, Seek.current(0)), 0)
      sameBytes(yield* joined(File.stream(file, { length: 100 })), bytes.subarray(0, 100))
      assert.strictEqual(yield* File.seek(file, Seek.current(0)), 100)
      assert.deepStrictEqual(yield* Stream.runCollect(File.stream(file, { length: 0 })), [])
    })
  )

  it.live("reads no more than it is asked for", () =>
    Effect.gen(function* () {
      const file = yield* holding(pattern(10_000))
      yield* Stream.runDrain(Stream.take(File.stream(file, { chunkSize: 1000 }), 3))
      assert.strictEqual(yield* File.seek(file, Seek.current(0)), 3000)
    })
  )

  it.live("gives what comes through a pipe as it comes, and ends with its writer", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* pipe
      const first = yield* Deferred.make<string>()
      const fiber = yield* Effect.forkChild(
        Stream.runCollect(Stream.tap(File.stream(reader), (chunk) => Deferred.succeed(first, text(chunk))))
      )
      yield* File.writeAll(writer, utf8("one"))
      assert.strictEqual(yield* Deferred.await(first), "one")
      yield* File.writeAll(writer, utf8("two"))
      yield* File.close(writer)
      assert.strictEqual(text(Buffer.concat(yield* Fiber.join(fiber))), "onetwo")
    })
  )

  it.live("of a file of /proc is all of it", () =>
    Effect.gen(function* () {
      const file = yield* File.open("/proc/cpuinfo")
      const all = text(yield* joined(File.stream(file, { chunkSize: 100 })))
      assert.include(all, "processor")
    })
  )

  it.live("refuses sizes that are none", () =>
    Effect.gen(function* () {
      const file = yield* holding("x")
      for (const options of [
        { chunkSize: 0 },
        { chunkSize: 1.5 },
        { chunkSize: Number.NaN },
        { chunkSize: 2 ** 40 },
        { length: -1 },
        { length: 0.5 }
      ]) {
        const error = yield* Effect.flip(Stream.runDrain(File.stream(file, options)))
        assert.strictEqual(error._tag, "EINVAL", JSON.stringify(options))
      }
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(File.stream(file, { offset: -1 }))))._tag, "EINVAL")
    })
  )

  it.live("that is interrupted while it waits leaves its file to be used", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* pipe
      const fiber = yield* Effect.forkChild(Stream.runDrain(File.stream(reader)))
      for (let i = 0; i < 3; i++) yield* turn
      yield* Fiber.interrupt(fiber)
      yield* File.writeAll(writer, utf8("still here"))
      yield* File.close(writer)
      assert.strictEqual(text(yield* File.readAll(reader)), "still here")
    })
  )
})

describe("File.sink", () => {
  it.live("writes all that comes, and tells how much it was", () =>
    Effect.gen(function* () {
      const file = yield* holding("")
      const bytes = pattern(100_000)
      const pieces = Array.from({ length: 1000 }, (_, index) => bytes.subarray(index * 100, index * 100 + 100))
      assert.strictEqual(yield* Stream.run(Stream.fromIterable(pieces), File.sink(file)), 100_000)
      sameBytes(yield* contentsOf(file), bytes)
      assert.strictEqual(yield* File.seek(file, Seek.current(0)), 100_000)
    })
  )

  it.live("writes many pieces by one call, and gathers more where it is told to", () =>
    Effect.gen(function* () {
      const file = yield* holding("")
      const source = Stream.rechunk(
        Stream.map(Stream.range(1, 100), () => utf8("0123456789")),
        1
      )
      const writes = (chunkSize: number | undefined) =>
        Effect.map(callsOf(Stream.run(source, File.sink(file, { chunkSize }))), ({ calls }) =>
          calls.filter(({ name }) => name === "writev").map(({ result }) => result)
        )
      assert.deepStrictEqual(yield* writes(300), [300, 300, 300, 100])
      assert.strictEqual((yield* writes(undefined)).length, 100)
      const atOnce = Stream.fromIterable(Array.from({ length: 3000 }, () => utf8("x")))
      const { calls } = yield* callsOf(Stream.run(atOnce, File.sink(file)))
      assert.deepStrictEqual(
        calls.map(({ result }) => result),
        [1024, 1024, 952]
      )
    })
  )

  it.live("at an offset leaves the file's own", () =>
    Effect.gen(function* () {
      const file = yield* holding("0123456789")
      const pieces = Stream.rechunk(Stream.make(utf8("AB"), new Uint8Array(0), utf8("CDE")), 1)
      assert.strictEqual(yield* Stream.run(pieces, File.sink(file, { offset: 3 })), 5)
      assert.strictEqual(text(yield* contentsOf(file)), "012ABCDE89")
      assert.strictEqual(yield* File.seek(file, Seek.current(0)), 0)
    })
  )

  it.live("goes on where a write was short, in the middle of a piece", () =>
    Effect.gen(function* () {
      const file = yield* holding("")
      // As if a signal had come after seven bytes.
      const short: Syscall.Trampoline = {
        ...Syscall.kernel,
        callBlocking: (nr, args, options) => {
          const [fd = null, list] = args
          if (nr !== Syscall.nr.writev || !Array.isArray(list)) return Syscall.kernel.callBlocking(nr, args, options)
          const some = new Uint8Array(Buffer.concat(list)).slice(0, 7)
          return Syscall.kernel.call(Syscall.nr.write, fd, some, some.length)
        }
      }
      const bytes = pattern(1000)
      const pieces = Array.from({ length: 100 }, (_, index) => bytes.subarray(index * 10, index * 10 + 10))
      const run = Stream.run(Stream.fromIterable(pieces), File.sink(file))
      assert.strictEqual(yield* Effect.provideService(run, Syscall.Trampoline, short), 1000)
      sameBytes(yield* contentsOf(file), bytes)
    })
  )

  it.live("asks for no more than the pipe takes, and fails where nobody reads any more", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* pipe
      let made = 0
      const endless = Stream.fromEffectRepeat(
        Effect.sync(() => {
          made++
          return new Uint8Array(16 * 1024)
        })
      )
      const fiber = yield* Effect.forkChild(Effect.flip(Stream.run(endless, File.sink(writer))))
      // A pipe takes 64 KiB.
      assert.isTrue(yield* eventually(() => made >= 5))
      for (let i = 0; i < 10; i++) yield* turn
      assert.strictEqual(made, 5)
      yield* File.close(reader)
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "EPIPE")
    })
  )

  it.live("of an error of the stream writes what came before, and passes the error on", () =>
    Effect.gen(function* () {
      const file = yield* holding("")
      const failing = Stream.concat(Stream.make(utf8("abc")), Stream.fail("broken"))
      assert.strictEqual(yield* Effect.flip(Stream.run(failing, File.sink(file))), "broken")
      assert.strictEqual(text(yield* contentsOf(file)), "abc")
    })
  )

  it.live("joins a stream of one file to another", () =>
    Effect.gen(function* () {
      const bytes = pattern(300_000)
      const [from, to] = [yield* holding(bytes), yield* holding("")]
      yield* Stream.run(File.stream(from), File.sink(to))
      sameBytes(yield* contentsOf(to), bytes)
    })
  )

  it.live("refuses a size that is none", () =>
    Effect.gen(function* () {
      const file = yield* holding("")
      const error = yield* Effect.flip(Stream.run(Stream.empty, File.sink(file, { chunkSize: -1 })))
      assert.strictEqual(error._tag, "EINVAL")
    })
  )
})

describe("File.copyTo", () => {
  /** A trampoline that does not have these calls. */
  const without = (...missing: ReadonlyArray<number>): Syscall.Trampoline => ({
    ...Syscall.kernel,
    callBlocking: (nr, args, options) => (missing.includes(nr) ? -38 : Syscall.kernel.callBlocking(nr, args, options))
  })

  const ways: ReadonlyArray<readonly [name: string, trampoline: Syscall.Trampoline]> = [
    ["copy_file_range", without()],
    ["sendfile", without(Syscall.nr.copy_file_range)],
    ["read", without(Syscall.nr.copy_file_range, Syscall.nr.sendfile)]
  ]
  for (const [way, trampoline] of ways) {
    it.live(`copies files by ${way}, from offset to offset`, () =>
      Effect.gen(function* () {
        const bytes = pattern(1_000_000)
        const [from, to] = [yield* holding(bytes), yield* holding("head")]
        yield* File.seek(from, Seek.start(10))
        yield* File.seek(to, Seek.end(0))
        const names: Array<string | undefined> = []
        const recording = Syscall.record(trampoline, ({ name }) => names.push(name))
        const copying = Effect.provideService(
          File.copyTo(from, to, { chunkSize: 300_000 }),
          Syscall.Trampoline,
          recording
        )
        assert.strictEqual(yield* copying, 999_990)
        assert.include(names, way)
        sameBytes(yield* contentsOf(to), Buffer.concat([utf8("head"), bytes.subarray(10)]))
        assert.strictEqual(yield* File.seek(from, Seek.current(0)), 1_000_000)
        assert.strictEqual(yield* File.seek(to, Seek.current(0)), 999_994)
      }).pipe(Effect.provideService(Syscall.Trampoline, trampoline))
    )

    it.live(`copies a range by ${way} without moving the offsets`, () =>
      Effect.gen(function* () {
        const bytes = pattern(600_000)
        const [from, to] = [yield* holding(bytes), yield* holding("0123456789")]
        const options = { sourceOffset: 1000n, targetOffset: 4, length: 500_000, chunkSize: 123_456 }
        assert.strictEqual(yield* File.copyTo(from, to, options), 500_000)
        sameBytes(yield* contentsOf(to), Buffer.concat([utf8("0123"), bytes.subarray(1000, 501_000)]))
        assert.strictEqual(yield* File.seek(from, Seek.current(0)), 0)
        assert.strictEqual(yield* File.seek(to, Seek.current(0)), 0)
      }).pipe(Effect.provideService(Syscall.Trampoline, trampoline))
    )
  }

  it.live("copies what claims to be empty", () =>
    Effect.gen(function* () {
      const expected = readFileSync("/proc/self/status", "utf8").split("\n")[0] ?? ""
      const to = yield* holding("")
      assert.isAbove(yield* File.copyTo(yield* File.open("/proc/self/status"), to), 0)
      assert.strictEqual(text(yield* contentsOf(to)).split("\n")[0], expected)
    })
  )

  it.live("copies onto the end of a file that is open for appending", () =>
    Effect.gen(function* () {
      const path = yield* temporaryPath
      writeFileSync(path, "head ")
      const to = yield* File.open(path, { access: "write", append: true })
      assert.strictEqual(yield* File.copyTo(yield* holding("tail"), to), 4)
      assert.strictEqual(readFileSync(path, "utf8"), "head tail")
    })
  )

  it.live("copies from a pipe to a file and from a file to a pipe", () =>
    Effect.gen(function* () {
      const bytes = pattern(500_000)
      const { reader, writer } = yield* pipe
      const to = yield* holding("")
      const fiber = yield* Effect.forkChild(File.copyTo(reader, to))
      assert.strictEqual(yield* File.copyTo(yield* holding(bytes), writer), 500_000)
      yield* File.close(writer)
      assert.strictEqual(yield* Fiber.join(fiber), 500_000)
      sameBytes(yield* contentsOf(to), bytes)
    })
  )

  it.live("copies from one pipe to another, and to a device", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* pipe, yield* pipe]
      yield* File.writeAll(one.writer, utf8("through"))
      yield* File.close(one.writer)
      assert.strictEqual(yield* File.copyTo(one.reader, two.writer), 7)
      yield* File.close(two.writer)
      assert.strictEqual(text(yield* File.readAll(two.reader)), "through")
      const nowhere = yield* File.open("/dev/null", { access: "write" })
      assert.strictEqual(yield* File.copyTo(yield* holding("0123456789"), nowhere), 10)
      const zeros = yield* holding("")
      assert.strictEqual(yield* File.copyTo(yield* File.open("/dev/zero"), zeros, { length: 300_000 }), 300_000)
      sameBytes(yield* contentsOf(zeros), new Uint8Array(300_000))
    })
  )

  it.live("tells how far it is, and waits for who is told", () =>
    Effect.gen(function* () {
      const [from, to] = [yield* holding(pattern(1000)), yield* holding("")]
      const told: Array<number> = []
      const onProgress = (copied: number) =>
        Effect.andThen(
          Effect.yieldNow,
          Effect.sync(() => told.push(copied))
        )
      yield* File.copyTo(from, to, { chunkSize: 400, onProgress })
      assert.deepStrictEqual(told, [400, 800, 1000])
      yield* File.seek(from, Seek.start(0))
      const stopped = File.copyTo(from, to, { chunkSize: 400, onProgress: () => Effect.fail("enough") })
      assert.strictEqual(yield* Effect.flip(stopped), "enough")
    })
  )

  it.live("onto itself is refused where it would not end", () =>
    Effect.gen(function* () {
      const file = yield* holding("0123456789")
      const error = yield* Effect.flip(File.copyTo(file, file, { sourceOffset: 0, targetOffset: 5 }))
      assert.strictEqual(error._tag, "EINVAL")
      // Apart from each other they are two.
      assert.strictEqual(yield* File.copyTo(file, file, { sourceOffset: 0, targetOffset: 10, length: 10 }), 10)
      assert.strictEqual(text(yield* contentsOf(file)), "01234567890123456789")
    })
  )

  it.live("says what is wrong with the files themselves", () =>
    Effect.gen(function* () {
      const path = yield* temporaryPath
      writeFileSync(path, "x")
      const reading = yield* File.open(path)
      const writing = yield* File.open(path, { access: "write" })
      const to = yield* holding("")
      assert.strictEqual((yield* Effect.flip(File.copyTo(writing, to)))._tag, "EBADF")
      assert.strictEqual((yield* Effect.flip(File.copyTo(yield* holding("x"), reading)))._tag, "EBADF")
      const directory = yield* File.open(yield* temporaryDirectory)
      assert.strictEqual((yield* Effect.flip(File.copyTo(directory, to)))._tag, "EISDIR")
      const full = yield* File.open("/dev/full", { access: "write" })
      assert.strictEqual((yield* Effect.flip(File.copyTo(yield* holding("x"), full)))._tag, "ENOSPC")
      for (const options of [{ chunkSize: 0 }, { length: -1 }, { length: Number.NaN }]) {
        assert.strictEqual((yield* Effect.flip(File.copyTo(reading, to, options)))._tag, "EINVAL")
      }
    })
  )

  it.live("is called back where either file is closed meanwhile", () =>
    Effect.gen(function* () {
      let waits = 0
      // However the engine waits, it says when it begins to.
      const noticing: Syscall.Trampoline = {
        ...Syscall.kernel,
        callBlocking: (nr, args, options) =>
          Syscall.kernel.callBlocking(nr, args, {
            ...options,
            onWaiting: (cancel) => {
              if (nr === Syscall.nr.splice) waits++
              return options?.onWaiting?.(cancel) ?? (() => {})
            }
          })
      }
      for (const which of ["reader", "writer"] as const) {
        const [from, to] = [yield* pipe, yield* pipe]
        const before = waits
        const copying = Effect.provideService(File.copyTo(from.reader, to.writer), Syscall.Trampoline, noticing)
        const fiber = yield* Effect.forkChild(Effect.exit(copying))
        assert.isTrue(yield* eventually(() => waits > before))
        // If it is a thread that waits, let it come to it.
        yield* eventually(() => isAsleepIn(Syscall.nr.splice), 2000)
        yield* File.close(which === "reader" ? from.reader : to.writer)
        assert.isTrue(yield* eventually(() => fiber.pollUnsafe() !== undefined), which)
        const exit = yield* Fiber.join(fiber)
        assert.propertyVal(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined, "_tag", "EBADF")
      }
    })
  )

  it.live("that is interrupted leaves both files to be used", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* pipe
      const to = yield* holding("")
      const before = yield* openFds
      for (let turns = 0; turns < 5; turns++) {
        const fiber = yield* Effect.forkChild(File.copyTo(reader, to))
        for (let i = 0; i < turns; i++) yield* turn
        yield* Fiber.interrupt(fiber)
      }
      yield* File.writeAll(writer, utf8("left"))
      yield* File.close(writer)
      assert.strictEqual(yield* File.copyTo(reader, to), 4)
      assert.strictEqual(yield* openFds, before - 1)
    })
  )
})
