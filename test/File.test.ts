/** Reading, writing, the offset, metadata. Opening, closing and directories have files of their own. */

import { writeFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Stream } from "effect"
import { Errno, Fcntl, File, Pipe, Syscall } from "../src/index.ts"
import { callsOf, pipe, temporaryDirectory, temporaryFile, temporaryPath, text, turn, utf8 } from "./support/files.ts"
import { openFds } from "./support/process.ts"

const { Seek } = File

/** A file without a name that holds these bytes, its offset at the start. */
const holding = (contents: string | Uint8Array) =>
  Effect.gen(function* () {
    const file = yield* temporaryFile
    yield* File.writeAll(file, typeof contents === "string" ? utf8(contents) : contents)
    yield* File.seek(file, Seek.start(0))
    return file
  })

/** Bytes that tell where they are. */
const pattern = (length: number) => Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8)) & 0xff)

const sameBytes = (actual: Uint8Array, expected: Uint8Array) => assert.isTrue(Buffer.from(actual).equals(expected))

describe("File.read and File.write", () => {
  it.live("move the offset by what they transfer; at the end there is nothing to read", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      assert.strictEqual(yield* File.write(file, utf8("hello world")), 11)
      assert.strictEqual(yield* File.seek(file, Seek.start(0)), 0)
      const buffer = new Uint8Array(6)
      assert.strictEqual(yield* File.read(file, buffer), 6)
      assert.strictEqual(text(buffer), "hello ")
      assert.strictEqual(yield* File.read(file, buffer), 5)
      // A short read leaves the rest of the buffer as it was.
      assert.strictEqual(text(buffer), "world ")
      assert.strictEqual(yield* File.read(file, buffer), 0)
    })
  )

  it.live("take every kind of buffer, and no more of it than its view", () =>
    Effect.gen(function* () {
      const file = yield* holding("0123456789")
      const memory = new Uint8Array(8)
      const shared = new SharedArrayBuffer(2)
      assert.strictEqual(yield* File.read(file, memory.subarray(2, 4)), 2)
      assert.deepStrictEqual([...memory], [0, 0, 0x30, 0x31, 0, 0, 0, 0])
      assert.strictEqual(yield* File.read(file, new DataView(memory.buffer, 6, 1)), 1)
      assert.strictEqual(memory[6], 0x32)
      assert.strictEqual(yield* File.read(file, shared), 2)
      assert.deepStrictEqual([...new Uint8Array(shared)], [0x33, 0x34])
      const numbers = new Uint16Array(1)
      assert.strictEqual(yield* File.read(file, numbers), 2)
      assert.strictEqual(numbers[0], 0x3635)
      assert.strictEqual(yield* File.read(file, new ArrayBuffer(100)), 3)
      assert.strictEqual(yield* File.write(file, new DataView(memory.buffer, 2, 2)), 2)
      const written = new Uint8Array(2)
      yield* File.pread(file, written, 10)
      assert.strictEqual(text(written), "01")
    })
  )

  it.live("of nothing transfer nothing", () =>
    Effect.gen(function* () {
      const file = yield* holding("x")
      assert.strictEqual(yield* File.read(file, new Uint8Array(0)), 0)
      assert.strictEqual(yield* File.write(file, new Uint8Array(0)), 0)
      assert.strictEqual(yield* File.seek(file, Seek.current(0)), 0)
    })
  )

  it.live("answer a detached buffer with EFAULT", () =>
    Effect.gen(function* () {
      const file = yield* holding("x")
      const buffer = new Uint8Array(4)
      structuredClone(buffer.buffer, { transfer: [buffer.buffer] })
      assert.strictEqual((yield* Effect.flip(File.read(file, buffer)))._tag, "EFAULT")
      assert.strictEqual((yield* Effect.flip(File.write(file, buffer)))._tag, "EFAULT")
    })
  )

  it.live("wait on a pipe without holding up anybody, and go on when there is something", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* pipe
      const buffer = new Uint8Array(10)
      const fiber = yield* Effect.forkChild(File.read(reader, buffer))
      yield* Effect.yieldNow
      assert.strictEqual(yield* File.write(writer, utf8("ping")), 4)
      assert.strictEqual(yield* Fiber.join(fiber), 4)
      assert.strictEqual(text(buffer.subarray(0, 4)), "ping")
    })
  )

  it.live("answer EPIPE where nobody reads any more, and no signal kills the process", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* pipe
      yield* File.close(reader)
      assert.strictEqual((yield* Effect.flip(File.write(writer, utf8("x"))))._tag, "EPIPE")
    })
  )
})

describe("File.pread and File.pwrite", () => {
  it.live("work at their offset and leave the file's own", () =>
    Effect.gen(function* () {
      const file = yield* holding("0123456789")
      const buffer = new Uint8Array(3)
      assert.strictEqual(yield* File.pread(file, buffer, 7), 3)
      assert.strictEqual(text(buffer), "789")
      assert.strictEqual(yield* File.pwrite(file, utf8("AB"), 2n), 2)
      assert.strictEqual(yield* File.seek(file, Seek.current(0)), 0)
      assert.strictEqual(text(yield* File.readAll(file)), "01AB456789")
      assert.strictEqual(yield* File.pread(file, buffer, 10), 0)
    })
  )

  it.live("refuse a negative offset and a pipe as the kernel does", () =>
    Effect.gen(function* () {
      const file = yield* holding("x")
      const { reader } = yield* pipe
      const buffer = new Uint8Array(1)
      assert.strictEqual((yield* Effect.flip(File.pread(file, buffer, -1)))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(File.pwrite(file, buffer, -1n)))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(File.pread(file, buffer, 0.5)))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(File.pread(reader, buffer, 0)))._tag, "ESPIPE")
    })
  )
})

describe("File.readv and File.writev", () => {
  it.live("treat several buffers as one", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      assert.strictEqual(yield* File.writev(file, [utf8("one "), new Uint8Array(0), utf8("two "), utf8("three")]), 13)
      yield* File.seek(file, Seek.start(0))
      const first = new Uint8Array(2)
      const second = new Uint8Array(20)
      assert.strictEqual(yield* File.readv(file, [first, second]), 13)
      assert.strictEqual(text(first) + text(second.subarray(0, 11)), "one two three")
      assert.strictEqual(yield* File.readv(file, [first, second]), 0)
    })
  )

  it.live("of no buffers transfer nothing, and of over a thousand are EINVAL", () =>
    Effect.gen(function* () {
      const file = yield* holding("abc")
      assert.strictEqual(yield* File.readv(file, []), 0)
      assert.strictEqual(yield* File.writev(file, []), 0)
      const many = Array.from({ length: 1025 }, () => new Uint8Array(1))
      assert.strictEqual((yield* Effect.flip(File.readv(file, many)))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(File.writev(file, many)))._tag, "EINVAL")
    })
  )
})

describe("File.readAll", () => {
  // Around the sizes at which its memory grows.
  for (const size of [0, 1, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 100_000]) {
    it.live(`reads a file of ${size} bytes`, () =>
      Effect.gen(function* () {
        const bytes = pattern(size)
        sameBytes(yield* File.readAll(yield* holding(bytes)), bytes)
      })
    )
  }

  it.live("starts at the offset and ends at the end", () =>
    Effect.gen(function* () {
      const file = yield* holding("0123456789")
      yield* File.seek(file, Seek.start(4))
      assert.strictEqual(text(yield* File.readAll(file)), "456789")
      assert.strictEqual((yield* File.readAll(file)).length, 0)
    })
  )

  it.live("reads files of /proc, which claim to be empty", () =>
    Effect.gen(function* () {
      const status = yield* File.open("/proc/self/status")
      assert.strictEqual((yield* File.stat(status)).stx_size, 0n)
      assert.include(text(yield* File.readAll(status)), `Pid:\t${process.pid}\n`)
      // One that does not come in a single read.
      const smaps = yield* File.open("/proc/self/smaps")
      assert.isAbove((yield* File.readAll(smaps)).length, 16 * 1024)
    })
  )

  it.live("reads a pipe until its last writer is gone", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* pipe
      const bytes = pattern(200_000)
      const fiber = yield* Effect.forkChild(File.readAll(reader))
      yield* File.writeAll(writer, bytes)
      yield* File.close(writer)
      sameBytes(yield* Fiber.join(fiber), bytes)
    })
  )

  it.live("fails as its reads do", () =>
    Effect.gen(function* () {
      const directory = yield* File.open(yield* temporaryDirectory)
      assert.strictEqual((yield* Effect.flip(File.readAll(directory)))._tag, "EISDIR")
    })
  )
})

/** The kernel, but writes are answered by `decide`, which is given what was to be written. */
const writes = (decide: (bytes: Uint8Array, write: (count: number) => Syscall.Result) => Syscall.Result) =>
  Syscall.intercept(Syscall.kernel, (nr, [fd, bytes], proceed) =>
    nr === Syscall.nr.write && typeof fd === "number" && bytes instanceof Uint8Array
      ? decide(bytes, (count) => Syscall.kernel.call(nr, fd, bytes, count))
      : proceed()
  )

describe("File.writeAll", () => {
  it.live("goes on where a write was short", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const lengths: Array<number> = []
      const short = writes((bytes, write) => {
        lengths.push(bytes.length)
        return write(Math.min(3, bytes.length))
      })
      yield* File.writeAll(file, utf8("0123456789")).pipe(Effect.provideService(Syscall.Trampoline, short))
      assert.deepStrictEqual(lengths, [10, 7, 4, 1])
      yield* File.seek(file, Seek.start(0))
      assert.strictEqual(text(yield* File.readAll(file)), "0123456789")
    })
  )

  it.live("fails where the disk is full, by tag, with what was written before in the file", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      let count = 0
      const full = writes((_, write) => (++count === 3 ? -Errno.codes.ENOSPC : write(2)))
      const outcome = yield* File.writeAll(file, utf8("0123456789")).pipe(
        Effect.as("written"),
        Effect.catchTag("ENOSPC", () => Effect.succeed("full")),
        Effect.provideService(Syscall.Trampoline, full)
      )
      assert.strictEqual(outcome, "full")
      yield* File.seek(file, Seek.start(0))
      assert.strictEqual(text(yield* File.readAll(file)), "0123")
    })
  )

  it.live("does not turn for ever where the kernel takes nothing", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const error = yield* Effect.flip(File.writeAll(file, utf8("x"))).pipe(
        Effect.provideService(
          Syscall.Trampoline,
          writes(() => 0)
        )
      )
      assert.strictEqual(error._tag, "EIO")
    })
  )

  it.live("of nothing makes no call", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      assert.deepStrictEqual(
        (yield* callsOf(File.writeAll(file, new Uint8Array(0)))).calls.map(({ name }) => name),
        []
      )
    })
  )
})

describe("File.stream", () => {
  it.live("gives chunks of the size asked for, the last one what is left", () =>
    Effect.gen(function* () {
      const bytes = pattern(1000)
      const file = yield* holding(bytes)
      const chunks = yield* Stream.runCollect(File.stream(file, { chunkSize: 300 }))
      assert.deepStrictEqual(
        chunks.map(({ length }) => length),
        [300, 300, 300, 100]
      )
      sameBytes(Buffer.concat(chunks), bytes)
    })
  )

  it.live("gives each chunk its own memory", () =>
    Effect.gen(function* () {
      const chunks = yield* Stream.runCollect(File.stream(yield* holding("aabbc"), { chunkSize: 2 }))
      assert.strictEqual(new Set(chunks.map(({ buffer }) => buffer)).size, 3)
      assert.deepStrictEqual(chunks.map(text), ["aa", "bb", "c"])
    })
  )

  it.live("takes 64 KiB at a time unless it is told otherwise, and starts at the offset", () =>
    Effect.gen(function* () {
      const file = yield* holding(pattern(150_000))
      yield* File.seek(file, Seek.start(10_000))
      const chunks = yield* Stream.runCollect(File.stream(file))
      assert.deepStrictEqual(
        chunks.map(({ length }) => length),
        [65536, 65536, 140_000 - 2 * 65536]
      )
    })
  )

  it.live("of an empty file has no chunks", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Stream.runCollect(File.stream(yield* holding(""))), [])
    })
  )

  it.live("reads no further than is taken", () =>
    Effect.gen(function* () {
      const file = yield* holding(pattern(1000))
      yield* Stream.runDrain(Stream.take(File.stream(file, { chunkSize: 100 }), 2))
      assert.strictEqual(yield* File.seek(file, Seek.current(0)), 200)
    })
  )
})

describe("File.seek", () => {
  it.live("moves from the start, the current offset and the end", () =>
    Effect.gen(function* () {
      const file = yield* holding("0123456789")
      assert.strictEqual(yield* File.seek(file, Seek.start(3)), 3)
      assert.strictEqual(yield* File.seek(file, Seek.current(4)), 7)
      assert.strictEqual(yield* File.seek(file, Seek.current(-2)), 5)
      assert.strictEqual(yield* File.seek(file, Seek.end(-1)), 9)
      assert.strictEqual(text(yield* File.readAll(file)), "9")
      assert.strictEqual(yield* File.seek(file, Seek.end(100n)), 110)
      assert.strictEqual(yield* File.seek(file, { from: "start", offset: 2n ** 40n }), 2 ** 40)
    })
  )

  it.live("finds data and holes", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      yield* File.truncate(file, 4 << 20)
      yield* File.pwrite(file, pattern(65536), 1 << 20)
      assert.strictEqual(yield* File.seek(file, Seek.data(0)), 1 << 20)
      assert.strictEqual(yield* File.seek(file, Seek.data((1 << 20) + 5)), (1 << 20) + 5)
      assert.strictEqual(yield* File.seek(file, Seek.hole(0)), 0)
      assert.strictEqual(yield* File.seek(file, Seek.hole(1 << 20)), (1 << 20) + 65536)
      assert.strictEqual((yield* Effect.flip(File.seek(file, Seek.data(3 << 20))))._tag, "ENXIO")
    })
  )

  it.live("refuses a place before the start, what is no place, and a pipe", () =>
    Effect.gen(function* () {
      const file = yield* holding("x")
      const { reader } = yield* pipe
      assert.strictEqual((yield* Effect.flip(File.seek(file, Seek.start(-1))))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(File.seek(file, Seek.start(0.5))))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(File.seek(file, Seek.start(2n ** 64n))))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(File.seek(reader, Seek.start(0))))._tag, "ESPIPE")
    })
  )
})

describe("File.stat, File.truncate, File.sync", () => {
  it.live("stat tells what the kernel knows, with its names", () =>
    Effect.gen(function* () {
      const path = yield* temporaryPath
      writeFileSync(path, "12345", { mode: 0o600 })
      const status = yield* File.stat(yield* File.open(path))
      assert.strictEqual(status.stx_size, 5n)
      assert.strictEqual(status.stx_mode & Syscall.S_IFMT, Syscall.S_IFREG)
      assert.strictEqual(status.stx_mode & 0o7777, 0o600)
      assert.strictEqual(status.stx_nlink, 1)
      assert.strictEqual(status.stx_uid, process.geteuid?.())
      assert.isAtMost(Math.abs(Date.now() / 1000 - Number(status.stx_mtime.tv_sec)), 60)
    })
  )

  it.live("stat tells a directory and a pipe", () =>
    Effect.gen(function* () {
      const directory = yield* File.open(yield* temporaryDirectory)
      const { reader } = yield* pipe
      assert.strictEqual((yield* File.stat(directory)).stx_mode & Syscall.S_IFMT, Syscall.S_IFDIR)
      assert.strictEqual((yield* File.stat(reader)).stx_mode & Syscall.S_IFMT, Syscall.S_IFIFO)
    })
  )

  it.live("truncate cuts and lengthens, with zeros, and leaves the offset", () =>
    Effect.gen(function* () {
      const file = yield* holding("0123456789")
      yield* File.truncate(file, 4)
      yield* File.truncate(file, 6n)
      assert.strictEqual(yield* File.seek(file, Seek.current(0)), 0)
      assert.strictEqual(text(yield* File.readAll(file)), "0123\0\0")
      assert.strictEqual((yield* Effect.flip(File.truncate(file, -1)))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(File.truncate(file, 2n ** 63n - 1n)))._tag, "EFBIG")
    })
  )

  it.live("sync and dataSync ask the kernel for what they are named after", () =>
    Effect.gen(function* () {
      const file = yield* holding("x")
      assert.deepStrictEqual(
        (yield* callsOf(File.sync(file))).calls.map(({ name }) => name),
        ["fsync"]
      )
      assert.deepStrictEqual(
        (yield* callsOf(File.dataSync(file))).calls.map(({ name }) => name),
        ["fdatasync"]
      )
      const { reader } = yield* pipe
      assert.strictEqual((yield* Effect.flip(File.sync(reader)))._tag, "EINVAL")
    })
  )
})

describe("File.duplicate", () => {
  it.live("shares the offset and the status flags, and is closed in programs that are executed", () =>
    Effect.gen(function* () {
      const file = yield* holding("0123456789")
      const twin = yield* File.duplicate(file)
      assert.notStrictEqual(yield* File.fd(twin), yield* File.fd(file))
      yield* File.read(file, new Uint8Array(4))
      assert.strictEqual(yield* File.seek(twin, Seek.current(0)), 4)
      assert.strictEqual(text(yield* File.readAll(twin)), "456789")
      assert.strictEqual(yield* File.seek(file, Seek.current(0)), 10)
      assert.strictEqual(yield* File.fcntl(twin, Fcntl.F_GETFD), Syscall.FD_CLOEXEC)
    })
  )

  it.live("lives as long as its own scope, and the file as long as its", () =>
    Effect.gen(function* () {
      const file = yield* holding("x")
      const before = yield* openFds
      yield* Effect.scoped(File.duplicate(file))
      assert.strictEqual(yield* openFds, before)
      const twin = yield* File.duplicate(file)
      yield* File.close(file)
      assert.strictEqual(text(yield* File.readAll(twin)), "x")
    })
  )
})

describe("File.isFile", () => {
  it.live("tells a File from anything else", () =>
    Effect.gen(function* () {
      assert.isTrue(File.isFile(yield* temporaryFile))
      for (const other of [undefined, null, 3, "/etc", {}, { fd: 3 }]) assert.isFalse(File.isFile(other))
    })
  )

  it.live("an operation on what is no File is a defect that says so", () =>
    Effect.gen(function* () {
      // @ts-expect-error that is what the types are for
      const exit = yield* Effect.exit(Effect.suspend(() => File.read({ fd: 0 }, new Uint8Array(1))))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.include(String(exit), "expected a File")
    })
  )
})

describe("very many waits at once", () => {
  it.live("all end when what they wait for comes, also where the kernel makes them elsewhere", () =>
    Effect.gen(function* () {
      const pipes = yield* Effect.all(Array.from({ length: 100 }, () => Pipe.make()))
      const reads = yield* Effect.forEach(pipes, ({ reader }) =>
        Effect.forkChild(File.preadv2(reader, [new Uint8Array(10)]), { startImmediately: true })
      )
      yield* turn
      yield* Effect.forEach(pipes, ({ writer }) => File.close(writer))
      assert.deepStrictEqual(
        yield* Effect.forEach(reads, Fiber.join),
        reads.map(() => 0)
      )
    }).pipe(Effect.scoped)
  )
})

describe("times of a file", () => {
  it.live("can be given to another as they were told, and offsets of the v2 forms are offsets", () =>
    Effect.gen(function* () {
      const one = yield* temporaryFile
      const { stx_atime, stx_mtime } = yield* File.stat(one)
      const accessed = { ...stx_atime, tv_sec: 5n }
      yield* File.setTimes(one, { accessed, modified: stx_mtime })
      const now = yield* File.stat(one)
      assert.deepStrictEqual([now.stx_atime, now.stx_mtime], [accessed, stx_mtime])
      assert.strictEqual((yield* Effect.flip(File.preadv2(one, [new Uint8Array(1)], { offset: -1 })))._tag, "EINVAL")
    }).pipe(Effect.scoped)
  )
})
