/** Files of this library and of Node, side by side: descriptors borrowed, lent, handed over and inherited. */

import { spawn } from "node:child_process"
import {
  closeSync,
  createReadStream,
  fstatSync,
  openSync,
  promises,
  readFileSync,
  readSync,
  writeFileSync,
  writeSync
} from "node:fs"
import { Readable } from "node:stream"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { Fcntl, File, Syscall } from "../src/index.ts"
import { pipe, temporaryPath, text, utf8 } from "./support/files.ts"
import { openFds } from "./support/process.ts"

const existing = (contents: string) =>
  Effect.tap(temporaryPath, (path) => Effect.sync(() => writeFileSync(path, contents)))

const fileHandle = (path: string, flags: string) =>
  Effect.acquireRelease(
    Effect.promise(() => promises.open(path, flags)),
    (handle) => Effect.promise(() => handle.close())
  )

const exitOf = (child: ReturnType<typeof spawn>) =>
  Effect.callback<number | null>((resume) => {
    child.on("error", (error) => resume(Effect.die(error)))
    child.on("close", (code) => resume(Effect.succeed(code)))
    return Effect.sync(() => {
      child.kill("SIGKILL")
    })
  })

describe("a FileHandle of Node", () => {
  it.live("is borrowed: it is used here, and stays Node's to close", () =>
    Effect.gen(function* () {
      const path = yield* existing("0123456789")
      const handle = yield* fileHandle(path, "r+")
      yield* Effect.scoped(
        Effect.gen(function* () {
          const file = yield* File.borrow(handle.fd)
          const buffer = new Uint8Array(4)
          assert.strictEqual(yield* File.pread(file, buffer, 3), 4)
          assert.strictEqual(text(buffer), "3456")
          yield* File.pwriteAll(file, utf8("AB"), 0)
          assert.strictEqual((yield* File.stat(file)).stx_size, 10n)
          yield* File.flock(file, "exclusive")
          yield* File.close(file)
        })
      )
      const content = yield* Effect.promise(() => handle.readFile("utf8"))
      assert.strictEqual(content, "AB23456789")
    })
  )

  it.live("that is closed by Node meanwhile answers EBADF, as nobody here owns it", () =>
    Effect.gen(function* () {
      const path = yield* existing("x")
      const handle = yield* Effect.promise(() => promises.open(path))
      const file = yield* File.borrow(handle.fd)
      yield* Effect.promise(() => handle.close())
      assert.strictEqual((yield* Effect.flip(File.stat(file)))._tag, "EBADF")
      assert.strictEqual((yield* Effect.flip(File.borrow(handle.fd)))._tag, "EBADF")
    })
  )

  it.live("shares its offset with what is borrowed of it", () =>
    Effect.gen(function* () {
      const handle = yield* fileHandle(yield* existing("0123456789"), "r")
      const buffer = new Uint8Array(3)
      yield* Effect.promise(() => handle.read(buffer, 0, 3, null))
      const file = yield* File.borrow(handle.fd)
      assert.strictEqual(text(yield* File.readAll(file)), "3456789")
    })
  )
})

describe("a File handed to node:fs", () => {
  it.live("by its number is Node's to use while it is open here", () =>
    Effect.gen(function* () {
      const path = yield* existing("")
      const file = yield* File.open(path, { access: "readWrite" })
      const fd = yield* File.fd(file)
      assert.strictEqual(writeSync(fd, "from node"), 9)
      assert.strictEqual(fstatSync(fd).size, 9)
      const buffer = new Uint8Array(4)
      assert.strictEqual(readSync(fd, buffer, 0, 4, 5), 4)
      assert.strictEqual(text(buffer), "node")
      yield* File.writeAll(file, utf8(", and from here"))
      assert.strictEqual(readFileSync(path, "utf8"), "from node, and from here")
    })
  )

  it.live("after File.release is Node's to close", () =>
    Effect.gen(function* () {
      const path = yield* existing("contents")
      const before = yield* openFds
      const released = yield* Effect.scoped(Effect.flatMap(File.open(path), File.release))
      const chunks = yield* Effect.promise(async () => {
        let all = ""
        for await (const chunk of createReadStream("", { fd: released, encoding: "utf8" })) all += chunk
        return all
      })
      assert.strictEqual(chunks, "contents")
      assert.strictEqual(yield* openFds, before)
    })
  )

  it.live("and one of node:fs, once it is taken over, is closed here", () =>
    Effect.gen(function* () {
      const path = yield* existing("contents")
      const before = yield* openFds
      const fd = openSync(path, "r")
      yield* Effect.scoped(
        Effect.gen(function* () {
          const file = yield* File.fromFd(fd)
          assert.strictEqual(text(yield* File.readAll(file)), "contents")
        })
      )
      assert.throws(() => closeSync(fd), /EBADF/)
      assert.strictEqual(yield* openFds, before)
    })
  )
})

describe("a child process", () => {
  it.live("takes Files for its input and output", () =>
    Effect.gen(function* () {
      const [input, output] = [yield* existing("one\ntwo\n"), yield* temporaryPath]
      const from = yield* File.open(input)
      const to = yield* File.create(output, { mode: 0o600, access: "readWrite" })
      const child = spawn("cat", ["-n"], { stdio: [yield* File.fd(from), yield* File.fd(to), "inherit"] })
      assert.strictEqual(yield* exitOf(child), 0)
      assert.match(readFileSync(output, "utf8"), /1\tone\n +2\ttwo\n/)
      // The child wrote by the same open file.
      assert.strictEqual(yield* File.seek(to, File.Seek.current(0)), readFileSync(output).length)
    })
  )

  it.live("is talked to through pipes, as streams", () =>
    Effect.gen(function* () {
      const [there, back] = [yield* pipe, yield* pipe]
      const child = spawn("tr", ["a-z", "A-Z"], {
        stdio: [yield* File.fd(there.reader), yield* File.fd(back.writer), "inherit"]
      })
      const ending = yield* Effect.forkChild(exitOf(child), { startImmediately: true })
      // The child has its own by now; the end of a pipe comes when all writers are closed.
      yield* File.close(there.reader)
      yield* File.close(back.writer)
      const words = Stream.map(Stream.range(1, 10_000), (n) => utf8(`word ${n}\n`))
      const sending = yield* Effect.forkChild(
        Effect.andThen(Stream.run(words, File.sink(there.writer, { chunkSize: 4096 })), File.close(there.writer))
      )
      const answer = text(Buffer.concat(yield* Stream.runCollect(File.stream(back.reader))))
      assert.strictEqual(yield* Fiber.join(ending), 0)
      assert.isTrue(answer.startsWith("WORD 1\nWORD 2\n"))
      assert.strictEqual(answer.split("\n").length, 10_001)
      yield* Fiber.join(sending)
    })
  )

  it.live("inherits nothing but what it is given", () =>
    Effect.gen(function* () {
      const path = yield* existing("")
      const kept = yield* File.open(path)
      const output = yield* temporaryPath
      const to = yield* File.create(output, { mode: 0o600 })
      const child = spawn("ls", ["-l", "/proc/self/fd"], { stdio: ["ignore", yield* File.fd(to), "ignore"] })
      assert.strictEqual(yield* exitOf(child), 0)
      assert.notInclude(readFileSync(output, "utf8"), path)
      assert.strictEqual(yield* File.fcntl(kept, Fcntl.F_GETFD), Syscall.FD_CLOEXEC)
    })
  )
})

describe("streams of Node", () => {
  it.live("are made of those of a File, and the other way round", () =>
    Effect.gen(function* () {
      const file = yield* File.open(yield* existing("x".repeat(100_000)))
      const readable = Readable.from(Stream.toAsyncIterable(File.stream(file, { chunkSize: 1000 })))
      const to = yield* File.create(yield* temporaryPath, { mode: 0o600 })
      const back = Stream.fromAsyncIterable<Uint8Array, Error>(readable, (error) => new Error(String(error)))
      assert.strictEqual(yield* Stream.run(back, File.sink(to)), 100_000)
    })
  )
})
