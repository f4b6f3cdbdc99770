/** Rings of one's own: operations one by one, at once and in chains, on real files, pipes and sockets. */
import { join } from "node:path"
import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Fiber, Result, Scope } from "effect"
import { Errno, Fcntl, File, IoUring, Syscall } from "../src/index.ts"
import { pipe, temporaryDirectory, temporaryFile, text, turn, utf8 } from "./support/files.ts"
import { eventually, openFds as openNow } from "./support/process.ts"
import { openFds, socketPair, test } from "./support/rings.ts"

const path = (name: string) => Effect.map(temporaryDirectory, (directory) => join(directory, name))

const { O_CREAT, O_EXCL, O_RDWR, O_WRONLY } = Syscall

describe("IoUring.make", () => {
  test("gives a ring that says how it is", [], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make({ entries: 5, completions: 33 })
      assert.strictEqual(ring.submissions, 8)
      assert.strictEqual(ring.completions, 64)
      const { features, operations } = IoUring.probe(ring)
      assert.isTrue(operations.has("READ") && operations.has("NOP"))
      assert.isTrue(features.has("NODROP"))
      assert.isAbove(IoUring.fd(ring), 2)
    })
  )

  test("refuses numbers that are none, by name", [], () =>
    Effect.gen(function* () {
      for (const entries of [0, -1, 1.5, 40_000, Number.NaN]) {
        const error = yield* Effect.flip(IoUring.make({ entries }))
        assert.strictEqual(error._tag, "EINVAL")
        assert.include(error.message, "entries")
      }
      assert.include((yield* Effect.flip(IoUring.make({ entries: 64, completions: 8 }))).message, "completions")
      const workers = { bounded: 0, unbounded: 1 }
      assert.include((yield* Effect.flip(IoUring.make({ workers }))).message, "workers")
    })
  )

  test("leaves no descriptor behind", [], () =>
    Effect.gen(function* () {
      const before = yield* openFds
      const ring = Effect.flatMap(IoUring.make(), (ring) => IoUring.submit(ring, IoUring.nop))
      yield* Effect.repeat(Effect.scoped(ring), { times: 20 })
      assert.isTrue(yield* eventually(() => Effect.runSync(openNow) === before))
    })
  )

  test("is a service, too", [], () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const wrote = IoUring.run(IoUring.write(file, utf8("service")))
      assert.strictEqual(yield* Effect.provide(wrote, IoUring.layer({ entries: 4 })), 7)
    })
  )

  test("cancels what is in flight when its scope closes, and refuses what comes after", [], () =>
    Effect.gen(function* () {
      const { reader } = yield* pipe
      const scope = yield* Scope.make()
      const ring = yield* Scope.provide(IoUring.make(), scope)
      const buffer = new Uint8Array(8).fill(7)
      const reading = yield* Effect.forkChild(IoUring.submit(ring, IoUring.read(reader, buffer)), {
        startImmediately: true
      })
      yield* turn
      yield* Scope.close(scope, Exit.void)
      const error = yield* Effect.flip(Fiber.join(reading))
      assert.instanceOf(error, Errno.OtherErrno)
      assert.strictEqual(error._tag === "OtherErrno" ? error.code : "", "ECANCELED")
      assert.deepStrictEqual(buffer, new Uint8Array(8).fill(7))
      const late = yield* Effect.flip(IoUring.submit(ring, IoUring.read(reader, buffer)))
      assert.strictEqual(late._tag, "EBADF")
      assert.include(late.message, "ring")
    })
  )
})

describe("IoUring.shared", () => {
  test("is the thread's own ring, or says that there is none", [], () =>
    Effect.gen(function* () {
      const shared = yield* Effect.exit(IoUring.shared)
      if (process.env["EFFECT_LINUX_ENGINE"] === "threads") {
        assert.isTrue(Exit.isFailure(shared))
        return
      }
      const ring = yield* IoUring.shared
      yield* IoUring.submit(ring, IoUring.nop)
      const error = yield* Effect.flip(IoUring.submit(ring, IoUring.drain(IoUring.nop)))
      assert.strictEqual(error._tag, "EINVAL")
    })
  )
})

describe("operations on files", () => {
  test("write and read at an offset, and at the file's own", [], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const file = yield* temporaryFile
      assert.strictEqual(yield* IoUring.submit(ring, IoUring.write(file, utf8("hello world"))), 11)
      assert.strictEqual(yield* IoUring.submit(ring, IoUring.write(file, utf8("W"), { offset: 6 })), 1)
      const buffer = new Uint8Array(32)
      assert.strictEqual(yield* IoUring.submit(ring, IoUring.read(file, buffer)), 0)
      assert.strictEqual(yield* IoUring.submit(ring, IoUring.read(file, buffer, { offset: 6 })), 5)
      assert.strictEqual(text(buffer.subarray(0, 5)), "World")
      assert.deepStrictEqual(buffer.subarray(5), new Uint8Array(27))
    })
  )

  test("scatter and gather, over more than one size of lent memory", [], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const file = yield* temporaryFile
      const parts = [new Uint8Array(100).fill(1), new Uint8Array(0), new Uint8Array(3_000_000).fill(2)]
      assert.strictEqual(yield* IoUring.submit(ring, IoUring.writev(file, parts, { offset: 0 })), 3_000_100)
      const back = [new Uint8Array(50), new Uint8Array(100), new Uint8Array(3_000_000)]
      assert.strictEqual(yield* IoUring.submit(ring, IoUring.readv(file, back, { offset: 0 })), 3_000_100)
      assert.deepStrictEqual(back[0], new Uint8Array(50).fill(1))
      assert.strictEqual(back[1]?.[49], 1)
      assert.strictEqual(back[1]?.[50], 2)
      assert.strictEqual(back[2]?.[2_999_949], 2)
      assert.strictEqual(back[2]?.[2_999_950], 0)
    })
  )

  test("work on shared memory directly", [], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { reader, writer } = yield* pipe
      const shared = new Uint8Array(new SharedArrayBuffer(16))
      shared.set(utf8("shared"))
      yield* IoUring.submit(ring, IoUring.write(writer, shared.subarray(0, 6)))
      assert.strictEqual(yield* IoUring.submit(ring, IoUring.read(reader, shared.subarray(8))), 6)
      assert.strictEqual(text(shared.slice(8, 14)), "shared")
    })
  )

  test("open, look at, change and close", ["FTRUNCATE"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const name = yield* path("file")
      const file = yield* IoUring.submit(ring, IoUring.open(name, { flags: O_CREAT | O_EXCL | O_RDWR, mode: 0o600 }))
      assert.strictEqual(yield* File.fcntl(file, Fcntl.F_GETFD), Syscall.FD_CLOEXEC)
      yield* IoUring.submit(ring, IoUring.fallocate(file, 0, 0, 8192))
      assert.strictEqual((yield* IoUring.submit(ring, IoUring.stat(file))).stx_size, 8192n)
      yield* IoUring.submit(ring, IoUring.ftruncate(file, 10))
      assert.strictEqual((yield* IoUring.submit(ring, IoUring.statx(name))).stx_size, 10n)
      yield* IoUring.submit(ring, IoUring.fadvise(file, 0, 0, Syscall.POSIX_FADV_SEQUENTIAL))
      yield* IoUring.submit(ring, IoUring.fsync(file, { dataOnly: true }))
      yield* IoUring.submit(ring, IoUring.syncFileRange(file, 0, 10, Syscall.SYNC_FILE_RANGE_WRITE))
      const fd = yield* File.fd(file)
      yield* IoUring.submit(ring, IoUring.close(file))
      assert.strictEqual((yield* Effect.flip(File.fd(file)))._tag, "EBADF")
      assert.strictEqual((yield* Effect.flip(IoUring.submit(ring, IoUring.close(file))))._tag, "EBADF")
      assert.strictEqual((yield* Effect.flip(Syscall.fcntl(fd, Syscall.F_GETFD)))._tag, "EBADF")
    })
  )

  test("fail like their system calls, with the path or the descriptor", [], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const error = yield* Effect.flip(IoUring.submit(ring, IoUring.open("/nope/nothing")))
      assert.strictEqual(error._tag, "ENOENT")
      assert.strictEqual(error.path, "/nope/nothing")
      assert.include(error.message, "openat")
      const { reader } = yield* pipe
      const wrong = yield* Effect.flip(IoUring.submit(ring, IoUring.write(reader, utf8("x"))))
      assert.strictEqual(wrong._tag, "EBADF")
      assert.strictEqual(wrong.fd, yield* File.fd(reader))
    })
  )

  test("resolve as they are told to", ["OPENAT2"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const directory = yield* File.open(yield* temporaryDirectory, { directory: true })
      const resolve = Syscall.RESOLVE_BENEATH
      const error = yield* Effect.flip(IoUring.submit(ring, IoUring.openAt2("../x", { directory, resolve })))
      assert.strictEqual(error._tag, "EXDEV")
      const options = { directory, resolve, flags: O_CREAT | O_WRONLY, mode: 0o600 }
      const file = yield* IoUring.submit(ring, IoUring.openAt2("x", options))
      assert.isTrue(File.isFile(file))
    })
  )

  test("make, name, move and remove", ["MKDIRAT", "SYMLINKAT", "LINKAT"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const directory = yield* File.open(yield* temporaryDirectory, { directory: true })
      const run = <A, E, R>(op: IoUring.Operation<A, E, R>) => IoUring.submit(ring, op)
      yield* run(IoUring.mkdir("sub", 0o700, { directory }))
      yield* run(IoUring.open("a", { directory, flags: O_CREAT | O_WRONLY, mode: 0o600 }))
      const both = { fromDirectory: directory, toDirectory: directory }
      yield* run(IoUring.link("a", "b", both))
      yield* run(IoUring.rename("a", "sub/c", both))
      yield* run(IoUring.symlink("b", "s", { directory }))
      assert.strictEqual((yield* run(IoUring.statx("s", { directory }))).stx_nlink, 2)
      const flags = Syscall.RENAME_NOREPLACE
      assert.strictEqual((yield* Effect.flip(run(IoUring.rename("b", "sub/c", { ...both, flags }))))._tag, "EEXIST")
      for (const name of ["s", "b", "sub/c"]) yield* run(IoUring.unlink(name, { directory }))
      yield* run(IoUring.unlink("sub", { directory, flags: Syscall.AT_REMOVEDIR }))
    })
  )

  test("set and get attributes", ["SETXATTR", "GETXATTR", "FSETXATTR", "FGETXATTR"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const name = yield* path("file")
      const file = yield* File.open(name, { create: true, access: "readWrite", mode: 0o600 })
      const set = yield* Effect.exit(IoUring.submit(ring, IoUring.setxattr(name, "user.a", utf8("one"))))
      if (Exit.isFailure(set)) return yield* Effect.log("skipped: this file system has no attributes of users")
      assert.strictEqual(text(yield* IoUring.submit(ring, IoUring.fgetxattr(file, "user.a"))), "one")
      yield* IoUring.submit(ring, IoUring.fsetxattr(file, "user.b", utf8("two"), Syscall.XATTR_CREATE))
      assert.strictEqual(text(yield* IoUring.submit(ring, IoUring.getxattr(name, "user.b"))), "two")
      assert.strictEqual((yield* Effect.flip(IoUring.submit(ring, IoUring.getxattr(name, "user.c"))))._tag, "ENODATA")
    })
  )

  test("move bytes through pipes without reading them", ["SPLICE", "TEE"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const file = yield* temporaryFile
      yield* File.writeAll(file, utf8("0123456789"))
      const one = yield* pipe
      const two = yield* pipe
      const options = { fromOffset: 2, length: 4 }
      assert.strictEqual(yield* IoUring.submit(ring, IoUring.splice(file, one.writer, options)), 4)
      assert.strictEqual(yield* IoUring.submit(ring, IoUring.tee(one.reader, two.writer, { length: 100 })), 4)
      const [first, second] = [new Uint8Array(8), new Uint8Array(8)]
      yield* IoUring.submitAll(ring, [IoUring.read(one.reader, first), IoUring.read(two.reader, second)])
      assert.strictEqual(text(first.subarray(0, 4)), "2345")
      assert.deepStrictEqual(first, second)
    })
  )
})

describe("sockets", () => {
  test("are made, bound, connected, spoken through and shut", ["SOCKET", "BIND", "LISTEN"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const run = <A, E, R>(op: IoUring.Operation<A, E, R>) => IoUring.submit(ring, op)
      const listener = yield* run(IoUring.socket(Syscall.AF_INET, Syscall.SOCK_STREAM))
      yield* run(IoUring.bind(listener, { _tag: "Inet", address: "127.0.0.1", port: 0 }))
      yield* run(IoUring.listen(listener))
      const address = yield* Syscall.getsockname(yield* File.fd(listener))
      const client = yield* run(IoUring.socket(Syscall.AF_INET, Syscall.SOCK_STREAM))
      const [server] = yield* IoUring.submitAll(ring, [IoUring.accept(listener), IoUring.connect(client, address)])
      assert.strictEqual(yield* run(IoUring.send(client, utf8("ping"))), 4)
      const buffer = new Uint8Array(16)
      assert.strictEqual(yield* run(IoUring.recv(server, buffer)), 4)
      assert.strictEqual(text(buffer.subarray(0, 4)), "ping")
      yield* run(IoUring.shutdown(client, Syscall.SHUT_WR))
      assert.strictEqual(yield* run(IoUring.recv(server, buffer)), 0)
    })
  )

  test("send without a copy, and say whether there was one", ["SEND_ZC"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const listener = yield* IoUring.submit(ring, IoUring.socket(Syscall.AF_INET, Syscall.SOCK_STREAM))
      const fd = yield* File.fd(listener)
      yield* Syscall.bind(fd, { _tag: "Inet", address: "127.0.0.1", port: 0 })
      yield* Syscall.listen(fd, 1)
      const client = yield* IoUring.submit(ring, IoUring.socket(Syscall.AF_INET, Syscall.SOCK_STREAM))
      const address = yield* Syscall.getsockname(fd)
      const [server] = yield* IoUring.submitAll(ring, [IoUring.accept(listener), IoUring.connect(client, address)])
      const [memory] = yield* IoUring.registerBuffers(ring, [8192])
      memory.bytes.fill(9)
      const buffer = new Uint8Array(8192)
      const [fixed, count] = yield* IoUring.submitAll(ring, [
        IoUring.sendZc(client, memory, { at: 4096, length: 100 }),
        IoUring.recv(server, buffer)
      ])
      assert.strictEqual(fixed.bytes, 100)
      // The loopback device copies.
      assert.isTrue(fixed.copied)
      assert.strictEqual(count, 100)
      assert.strictEqual(buffer[99], 9)
      const [plain] = yield* IoUring.submitAll(ring, [
        IoUring.sendZc(client, utf8("plain")),
        IoUring.recv(server, buffer)
      ])
      assert.strictEqual(plain.bytes, 5)
      assert.strictEqual(text(buffer.subarray(0, 5)), "plain")
    })
  )

  test("carry messages with addresses, and descriptors", ["SENDMSG", "RECVMSG"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { first, second } = yield* socketPair
      const file = yield* temporaryFile
      yield* File.writeAll(file, utf8("passed"))
      const fds = [yield* File.fd(file)]
      const control = [{ _tag: "Rights" as const, fds }]
      const iov = [utf8("one "), utf8("two")]
      assert.strictEqual(yield* IoUring.submit(ring, IoUring.sendMessage(first, { iov, control })), 7)
      const buffer = new Uint8Array(16)
      const room = { iov: [buffer.subarray(0, 2), buffer.subarray(2)], controllen: Syscall.CMSG_SPACE(4) }
      const message = yield* IoUring.submit(ring, IoUring.recvMessage(second, room))
      assert.strictEqual(message.bytes, 7)
      assert.strictEqual(text(buffer.subarray(0, 7)), "one two")
      const [rights] = message.control
      const received = rights?._tag === "Rights" ? rights.fds[0] : undefined
      const copy = yield* File.fromFd(received ?? -1)
      assert.strictEqual(yield* File.fcntl(copy, Fcntl.F_GETFD), Syscall.FD_CLOEXEC)
      yield* File.seek(copy, File.Seek.start(0))
      assert.strictEqual(text(yield* File.readAll(copy)), "passed")
    })
  )
})

describe("what waits", () => {
  test("is ready, late, woken or ended", ["POLL_ADD", "TIMEOUT"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { reader, writer } = yield* pipe
      const polling = yield* Effect.forkChild(IoUring.submit(ring, IoUring.poll(reader, Syscall.POLLIN)))
      yield* turn
      yield* File.write(writer, utf8("x"))
      assert.strictEqual(yield* Fiber.join(polling), Syscall.POLLIN)
      yield* IoUring.submit(ring, IoUring.timeout("1 millis"))
    })
  )

  test("on a futex", ["FUTEX_WAIT", "FUTEX_WAKE"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const word = new Int32Array(new SharedArrayBuffer(4))
      const other = yield* Effect.flip(IoUring.submit(ring, IoUring.futexWait(word, 1)))
      assert.strictEqual(other._tag, "EAGAIN")
      const waiting = yield* Effect.forkChild(IoUring.submit(ring, IoUring.futexWait(word, 0)), {
        startImmediately: true
      })
      yield* turn
      assert.strictEqual(yield* IoUring.submit(ring, IoUring.futexWake(word, 10)), 1)
      yield* Fiber.join(waiting)
      const plain = yield* Effect.flip(IoUring.submit(ring, IoUring.futexWait(new Int32Array(1), 0)))
      assert.strictEqual(plain._tag, "EINVAL")
      assert.include(plain.message, "word")
    })
  )

  test("fails with ETIME when its time is over", ["LINK_TIMEOUT"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { reader, writer } = yield* pipe
      const buffer = new Uint8Array(4)
      const limited = IoUring.withTimeout(IoUring.read(reader, buffer), "5 millis")
      const error = yield* Effect.flip(IoUring.submit(ring, limited))
      assert.strictEqual(error._tag, "ETIME")
      yield* File.write(writer, utf8("x"))
      assert.strictEqual(yield* IoUring.submit(ring, IoUring.withTimeout(IoUring.read(reader, buffer), "1 minute")), 1)
    })
  )

  test("waits, whatever O_NONBLOCK says", [], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { first, second } = yield* socketPair
      yield* Syscall.fcntl(yield* File.fd(first), Syscall.F_SETFL, Syscall.O_RDWR | Syscall.O_NONBLOCK)
      const buffer = new Uint8Array(4)
      const reading = yield* Effect.forkChild(IoUring.submit(ring, IoUring.read(first, buffer)))
      yield* turn
      yield* File.write(second, utf8("x"))
      assert.strictEqual(yield* Fiber.join(reading), 1)
    })
  )

  test("hears of children", ["WAITID"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const error = yield* Effect.flip(
        IoUring.submit(ring, IoUring.waitid(Syscall.P_PID, process.pid, Syscall.WEXITED))
      )
      assert.strictEqual(error._tag, "ECHILD")
    })
  )
})

describe("several", () => {
  test("go at once, each with its result", [], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const file = yield* temporaryFile
      const [wrote, stat, nothing] = yield* IoUring.submitAll(ring, [
        IoUring.write(file, utf8("abc"), { offset: 0 }),
        IoUring.stat(file),
        IoUring.nop
      ])
      assert.strictEqual(wrote, 3)
      assert.strictEqual(stat.stx_mode & Syscall.S_IFMT, Syscall.S_IFREG)
      assert.isUndefined(nothing)
    })
  )

  test("fail with the first error, when all have ended", [], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const before = yield* openFds
      const operations = [IoUring.open("/dev/null"), IoUring.open("/nope"), IoUring.open("/dev/zero")] as const
      const error = yield* Effect.flip(Effect.scoped(IoUring.submitAll(ring, operations)))
      assert.strictEqual(error._tag, "ENOENT")
      assert.strictEqual(yield* openFds, before)
      const outcomes = yield* Effect.scoped(IoUring.submitEach(ring, operations))
      assert.deepStrictEqual(outcomes.map(Result.isSuccess), [true, false, true])
    })
  )

  test("are not begun where one is misused, and undo what was prepared", [], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make({ entries: 4 })
      const file = yield* temporaryFile
      const write = IoUring.write(yield* temporaryFile, utf8("x"), { offset: -5 })
      const error = yield* Effect.flip(IoUring.submitAll(ring, [IoUring.close(file), write]))
      assert.strictEqual(error._tag, "EINVAL")
      assert.include(error.message, "offset")
      // It is open as before.
      assert.strictEqual(yield* File.write(file, utf8("y")), 1)
      const many = yield* Effect.flip(
        IoUring.submitAll(
          ring,
          Array.from({ length: 5 }, () => IoUring.nop)
        )
      )
      assert.include(many.message, "operations")
    })
  )

  test("go one after the other in a chain", [], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const file = yield* temporaryFile
      const buffer = new Uint8Array(6)
      const [wrote, , read] = yield* IoUring.chain(ring, [
        IoUring.write(file, utf8("chain!"), { offset: 0 }),
        IoUring.fsync(file),
        IoUring.read(file, buffer, { offset: 0 })
      ])
      assert.deepStrictEqual([wrote, read], [6, 6])
      assert.strictEqual(text(buffer), "chain!")
    })
  )

  test("are not made behind one that failed, unless the chain is hard", [], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const name = yield* path("directory")
      const chain = [IoUring.open("/nope"), IoUring.mkdir(name, 0o700)] as const
      const [opened, made] = yield* IoUring.chainEach(ring, chain)
      assert.deepStrictEqual(
        [opened, made].map((outcome: Result.Result<unknown, Errno.Errno>) =>
          Result.isFailure(outcome) ? outcome.failure._tag : "made"
        ),
        ["ENOENT", "ECANCELED"]
      )
      assert.strictEqual((yield* Effect.flip(IoUring.chain(ring, chain)))._tag, "ENOENT")
      const hard = yield* IoUring.chainEach(ring, chain, { hard: true })
      assert.deepStrictEqual([Result.isSuccess(hard[0]), Result.isSuccess(hard[1])], [false, true])
    })
  )

  test("break a chain by a short transfer, and by a limit", ["LINK_TIMEOUT"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const file = yield* temporaryFile
      yield* File.writeAll(file, utf8("abc"))
      const short = [IoUring.read(file, new Uint8Array(8), { offset: 0 }), IoUring.nop] as const
      const [read, nop] = yield* IoUring.chainEach(ring, short)
      assert.deepStrictEqual(read, Result.succeed(3))
      assert.strictEqual(Result.isFailure(nop) ? nop.failure._tag : "", "ECANCELED")
      const { reader } = yield* pipe
      const waits = IoUring.withTimeout(IoUring.read(reader, new Uint8Array(1)), "2 millis")
      const error = yield* Effect.flip(IoUring.chain(ring, [IoUring.nop, waits, IoUring.nop]))
      assert.strictEqual(error._tag, "ETIME")
    })
  )

  test("close the file at the end of a chain, also where it broke", [], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const before = yield* openFds
      const program = Effect.gen(function* () {
        const file = yield* temporaryFile
        const write = IoUring.write(file, utf8("x"), { offset: 0 })
        yield* IoUring.chain(ring, [write, IoUring.close(file)])
        const other = yield* File.open("/dev/null")
        const broken = yield* IoUring.chainEach(ring, [IoUring.open("/nope"), IoUring.close(other)])
        assert.deepStrictEqual([Result.isSuccess(broken[0]), Result.isSuccess(broken[1])], [false, false])
        assert.strictEqual((yield* Effect.flip(File.fd(other)))._tag, "EBADF")
      })
      yield* Effect.scoped(program)
      assert.strictEqual(yield* openFds, before)
    })
  )

  test("wait for all before a drained one", [], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { reader, writer } = yield* pipe
      const order: Array<string> = []
      const tell = <A, E>(name: string, op: IoUring.Operation<A, E>) =>
        Effect.tap(IoUring.submit(ring, op), () => Effect.sync(() => order.push(name)))
      const both = yield* Effect.forkChild(
        Effect.all(
          [
            tell("read", IoUring.read(reader, new Uint8Array(1))),
            tell("drained", IoUring.drain(IoUring.nop)),
            tell("after", IoUring.nop)
          ],
          { concurrency: "unbounded" }
        )
      )
      yield* turn
      yield* turn
      assert.deepStrictEqual(order, [])
      yield* File.write(writer, utf8("x"))
      yield* Fiber.join(both)
      assert.deepStrictEqual(order, ["read", "drained", "after"])
    })
  )

  test("can be interrupted while a drained one waits for others", [], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { reader } = yield* pipe
      const two = yield* pipe
      const fibers = yield* Effect.forEach(
        [
          IoUring.read(reader, new Uint8Array(1)),
          IoUring.drain(IoUring.read(two.reader, new Uint8Array(1))),
          IoUring.read(reader, new Uint8Array(1))
        ],
        (op) => Effect.forkChild(IoUring.submit(ring, op), { startImmediately: true })
      )
      yield* turn
      yield* Fiber.interruptAll(fibers)
    })
  )
})
