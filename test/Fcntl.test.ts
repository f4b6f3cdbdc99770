/** The commands of `Fcntl`: carried out on real files, waiting off the loop, typed by command. */
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Effect, Fiber, type Scope } from "effect"
import { type Abi, Fcntl, File, type File as FileModule, type Ioctl, Syscall } from "../src/index.ts"
import { callsOf, pipe, temporaryDirectory, temporaryFile, turn } from "./support/files.ts"
import { openFds } from "./support/process.ts"

/** What younger kernels know: null where this one does not. */
const ifKnown = <A, E extends { readonly _tag: string }, R>(self: Effect.Effect<A, E, R>) =>
  Effect.catchIf(
    self,
    (error) => error._tag === "EINVAL",
    () => Effect.succeed(null)
  )

const memfd = Effect.flatMap(
  Syscall.memfd_create("fcntl", Syscall.MFD_CLOEXEC | Syscall.MFD_ALLOW_SEALING),
  File.fromFd
)

/** The same file opened twice: two open files, with locks of their own. */
const twice = Effect.gen(function* () {
  const path = join(yield* temporaryDirectory, "file")
  const first = yield* File.open(path, { access: "readWrite", create: true, mode: 0o600 })
  return { path, first, second: yield* File.open(path, { access: "readWrite" }) }
})

describe("descriptors", () => {
  it.live("are duplicated from a number on, and closed with the scope", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const before = yield* openFds
      yield* Effect.scoped(
        Effect.gen(function* () {
          const high = yield* File.fcntl(file, Fcntl.F_DUPFD_CLOEXEC, 700)
          assert.isAtLeast(yield* File.fd(high), 700)
          assert.strictEqual(yield* File.fcntl(high, Fcntl.F_GETFD), Syscall.FD_CLOEXEC)
          const inherited = yield* File.fcntl(file, Fcntl.F_DUPFD)
          assert.strictEqual(yield* File.fcntl(inherited, Fcntl.F_GETFD), 0)
          assert.strictEqual(yield* openFds, before + 2)
          // The offset is shared.
          yield* File.write(high, new Uint8Array(5))
          assert.strictEqual(yield* File.seek(inherited, File.Seek.current(0)), 5)
        })
      )
      assert.strictEqual(yield* openFds, before)
    })
  )

  it.live("are not left behind by an interruption or a failure", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const before = yield* openFds
      for (let round = 0; round < 50; round++) {
        const fiber = yield* Effect.forkChild(Effect.scoped(File.fcntl(file, Fcntl.F_DUPFD_CLOEXEC)))
        yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
      }
      const error = yield* Effect.flip(Effect.scoped(File.fcntl(file, Fcntl.F_DUPFD, -1)))
      assert.strictEqual(error._tag, "EINVAL")
      assert.include(error.message, "F_DUPFD")
      assert.strictEqual(yield* openFds, before)
    })
  )

  it.live("have a flag that can be set, and are told apart from those of other open files", () =>
    Effect.gen(function* () {
      const { first, second } = yield* twice
      yield* File.fcntl(first, Fcntl.F_SETFD, 0)
      assert.strictEqual(yield* File.fcntl(first, Fcntl.F_GETFD), 0)
      const duplicate = yield* File.duplicate(first)
      assert.include([true, null], yield* ifKnown(File.fcntl(first, Fcntl.F_DUPFD_QUERY, duplicate)))
      assert.include([false, null], yield* ifKnown(File.fcntl(first, Fcntl.F_DUPFD_QUERY, second)))
      assert.include([true, null], yield* ifKnown(File.fcntl(first, Fcntl.F_CREATED_QUERY)))
      assert.include([false, null], yield* ifKnown(File.fcntl(second, Fcntl.F_CREATED_QUERY)))
      yield* File.close(second)
      const closed = yield* Effect.flip(File.fcntl(first, Fcntl.F_DUPFD_QUERY, second))
      assert.strictEqual(closed._tag, "EBADF")
    })
  )
})

describe("status flags", () => {
  it.live("are told and changed in words, each by itself", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const start = yield* Fcntl.status(file)
      assert.deepInclude(start, { access: "readWrite", append: false, nonBlocking: false, sync: false })
      yield* Fcntl.setStatus(file, { append: true, nonBlocking: true })
      yield* Fcntl.setStatus(file, { nonBlocking: false, noAtime: undefined })
      assert.deepStrictEqual(yield* Fcntl.status(file), { ...start, append: true })
      const bits = yield* File.fcntl(file, Fcntl.F_GETFL)
      assert.strictEqual(bits & Syscall.O_APPEND, Syscall.O_APPEND)
      yield* File.fcntl(file, Fcntl.F_SETFL, bits & ~Syscall.O_APPEND)
      assert.deepStrictEqual(yield* Fcntl.status(file), start)
    })
  )

  it.live("tell what a file may be used for", () =>
    Effect.gen(function* () {
      const path = join(yield* temporaryDirectory, "file")
      const write = yield* File.open(path, { access: "write", create: true, mode: 0o600, sync: true })
      assert.deepInclude(yield* Fcntl.status(write), { access: "write", sync: true, dataSync: true })
      const data = yield* File.open(path, { access: "write", dataSync: true })
      assert.deepInclude(yield* Fcntl.status(data), { sync: false, dataSync: true })
      assert.strictEqual((yield* Fcntl.status(yield* File.open(path))).access, "read")
      assert.strictEqual((yield* Fcntl.status(yield* File.open(path, { pathOnly: true }))).access, "path")
    })
  )

  it.live("are EBADF when the file is closed", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      yield* File.close(file)
      const { calls, result } = yield* callsOf(Effect.flip(Fcntl.status(file)))
      assert.strictEqual(result._tag, "EBADF")
      assert.deepStrictEqual(calls, [])
    })
  )
})

describe("locks", () => {
  const whole = { l_type: Syscall.F_WRLCK }

  it.live("of open files exclude each other, and tell who is in the way", () =>
    Effect.gen(function* () {
      const { first, second } = yield* twice
      yield* File.fcntl(first, Fcntl.F_OFD_SETLK, { l_type: Syscall.F_WRLCK, l_start: 10, l_len: 5n })
      const error = yield* Effect.flip(File.fcntl(second, Fcntl.F_OFD_SETLK, whole))
      assert.strictEqual(error._tag, "EAGAIN")
      assert.include(error.message, "F_OFD_SETLK")
      const inTheWay = yield* File.fcntl(second, Fcntl.F_OFD_GETLK, whole)
      assert.deepStrictEqual(inTheWay, { l_type: Syscall.F_WRLCK, l_whence: 0, l_start: 10n, l_len: 5n, l_pid: -1 })
      const free = yield* File.fcntl(second, Fcntl.F_OFD_GETLK, { l_type: Syscall.F_WRLCK, l_start: 15 })
      assert.strictEqual(free.l_type, Syscall.F_UNLCK)
    })
  )

  it.live("are waited for off the loop", () =>
    Effect.gen(function* () {
      const { first, second } = yield* twice
      yield* File.fcntl(first, Fcntl.F_OFD_SETLK, whole)
      const waiting = yield* Effect.forkChild(File.fcntl(second, Fcntl.F_OFD_SETLKW, whole))
      yield* turn
      assert.isUndefined(waiting.pollUnsafe())
      yield* File.fcntl(first, Fcntl.F_OFD_SETLK, { l_type: Syscall.F_UNLCK })
      yield* Fiber.join(waiting)
      assert.strictEqual((yield* Effect.flip(File.fcntl(first, Fcntl.F_OFD_SETLK, whole)))._tag, "EAGAIN")
    })
  )

  it.live("that are waited for no more are not taken", () =>
    Effect.gen(function* () {
      const { first, second } = yield* twice
      for (let round = 0; round < 40; round++) {
        yield* File.fcntl(first, Fcntl.F_OFD_SETLK, whole)
        const waiting = yield* Effect.forkChild(File.fcntl(second, Fcntl.F_OFD_SETLKW, whole))
        // At all moments of its way to the kernel, of the wait, and of the lock's coming.
        for (let turns = 0; turns < round % 4; turns++) yield* turn
        if (round % 2 === 0) yield* File.fcntl(first, Fcntl.F_OFD_SETLK, { l_type: Syscall.F_UNLCK })
        yield* Fiber.interrupt(waiting)
        yield* File.fcntl(first, Fcntl.F_OFD_SETLK, whole)
        yield* File.fcntl(second, Fcntl.F_OFD_SETLK, { l_type: Syscall.F_UNLCK })
      }
    })
  )

  it.live("that are waited for fail with EBADF when their file is closed", () =>
    Effect.gen(function* () {
      const { first, second } = yield* twice
      yield* File.fcntl(first, Fcntl.F_OFD_SETLK, whole)
      const waiting = yield* Effect.forkChild(Effect.flip(File.fcntl(second, Fcntl.F_OFD_SETLKW, whole)))
      yield* turn
      yield* File.close(second)
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "EBADF")
    })
  )

  it.live("of processes exclude other processes only", (context) =>
    Effect.gen(function* () {
      const { first, path, second } = yield* twice
      yield* File.fcntl(first, Fcntl.F_SETLK, { l_type: Syscall.F_RDLCK, l_len: 10 })
      yield* File.fcntl(second, Fcntl.F_SETLKW, { l_type: Syscall.F_WRLCK, l_len: 10 })
      assert.strictEqual((yield* File.fcntl(second, Fcntl.F_GETLK, whole)).l_type, Syscall.F_UNLCK)
      const script = `import fcntl; fcntl.lockf(open(${JSON.stringify(path)}, "r+"), fcntl.LOCK_EX | fcntl.LOCK_NB)`
      const child = spawnSync("python3", ["-c", script], { encoding: "utf8" })
      if (child.error !== undefined) return context.skip("there is no python3 to be the other process")
      assert.include(child.stderr, "BlockingIOError")
    })
  )

  it.live("that are none are EINVAL, by the field's name", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const error = yield* Effect.flip(File.fcntl(file, Fcntl.F_OFD_SETLK, { l_type: 70_000 }))
      assert.strictEqual(error._tag, "EINVAL")
      assert.include(error.message, "l_type")
      const bad = yield* Effect.flip(File.fcntl(file, Fcntl.F_OFD_SETLK, { l_type: Syscall.F_RDLCK, l_start: 0.5 }))
      assert.strictEqual(bad._tag, "EINVAL")
    })
  )
})

describe("other commands", () => {
  it.live("set who is told by signal, a process or a group", () =>
    Effect.gen(function* () {
      const { reader } = yield* pipe
      assert.strictEqual(yield* File.fcntl(reader, Fcntl.F_GETOWN), 0)
      yield* File.fcntl(reader, Fcntl.F_SETOWN, process.pid)
      assert.strictEqual(yield* File.fcntl(reader, Fcntl.F_GETOWN), process.pid)
      const group = yield* Syscall.getpgid(0)
      yield* File.fcntl(reader, Fcntl.F_SETOWN_EX, { type: Syscall.F_OWNER_PGRP, pid: group })
      assert.strictEqual(yield* File.fcntl(reader, Fcntl.F_GETOWN), -group)
      assert.deepStrictEqual(yield* File.fcntl(reader, Fcntl.F_GETOWN_EX), { type: Syscall.F_OWNER_PGRP, pid: group })
      const users = yield* ifKnown(File.fcntl(reader, Fcntl.F_GETOWNER_UIDS))
      if (users !== null) assert.deepStrictEqual(users, [yield* Syscall.getuid, yield* Syscall.geteuid])
      yield* File.fcntl(reader, Fcntl.F_SETSIG, Syscall.SIGURG)
      assert.strictEqual(yield* File.fcntl(reader, Fcntl.F_GETSIG), Syscall.SIGURG)
      yield* File.fcntl(reader, Fcntl.F_SETOWN, 0)
    })
  )

  it.live("set how much a pipe holds", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* pipe
      assert.strictEqual(yield* File.fcntl(reader, Fcntl.F_GETPIPE_SZ), 65_536)
      assert.strictEqual(yield* File.fcntl(writer, Fcntl.F_SETPIPE_SZ, 5000), 8192)
      assert.strictEqual(yield* File.fcntl(reader, Fcntl.F_GETPIPE_SZ), 8192)
    })
  )

  it.live("seal memory", () =>
    Effect.gen(function* () {
      const file = yield* memfd
      assert.strictEqual(yield* File.fcntl(file, Fcntl.F_GET_SEALS), 0)
      yield* File.fcntl(file, Fcntl.F_ADD_SEALS, Syscall.F_SEAL_WRITE | Syscall.F_SEAL_SEAL)
      assert.strictEqual(yield* File.fcntl(file, Fcntl.F_GET_SEALS), Syscall.F_SEAL_WRITE | Syscall.F_SEAL_SEAL)
      assert.strictEqual((yield* Effect.flip(File.write(file, new Uint8Array(1))))._tag, "EPERM")
      assert.strictEqual((yield* Effect.flip(File.fcntl(file, Fcntl.F_ADD_SEALS, Syscall.F_SEAL_GROW)))._tag, "EPERM")
    })
  )

  it.live("take leases, and say how long data lives", () =>
    Effect.gen(function* () {
      const path = join(yield* temporaryDirectory, "file")
      yield* Effect.scoped(File.open(path, { access: "write", create: true, mode: 0o600 }))
      const file = yield* File.open(path)
      assert.strictEqual(yield* File.fcntl(file, Fcntl.F_GETLEASE), Syscall.F_UNLCK)
      yield* File.fcntl(file, Fcntl.F_SETLEASE, Syscall.F_RDLCK)
      assert.strictEqual(yield* File.fcntl(file, Fcntl.F_GETLEASE), Syscall.F_RDLCK)
      yield* File.fcntl(file, Fcntl.F_SETLEASE, Syscall.F_UNLCK)
      const hint = Syscall.RWH_WRITE_LIFE_SHORT
      yield* File.fcntl(file, Fcntl.F_SET_RW_HINT, hint)
      assert.strictEqual(yield* File.fcntl(file, Fcntl.F_GET_RW_HINT), hint)
      yield* ifKnown(File.fcntl(file, Fcntl.F_SET_FILE_RW_HINT, hint))
      assert.include([hint, null], yield* ifKnown(File.fcntl(file, Fcntl.F_GET_FILE_RW_HINT)))
    })
  )

  it.live("watch a directory, and stop", () =>
    Effect.gen(function* () {
      const directory = yield* Effect.flatMap(temporaryDirectory, File.open)
      // Nothing happens there: the signal would be SIGIO.
      yield* File.fcntl(directory, Fcntl.F_NOTIFY, Syscall.DN_CREATE | Syscall.DN_MULTISHOT)
      yield* File.fcntl(directory, Fcntl.F_NOTIFY, 0)
      const file = yield* temporaryFile
      assert.strictEqual((yield* Effect.flip(File.fcntl(file, Fcntl.F_NOTIFY, Syscall.DN_CREATE)))._tag, "ENOTDIR")
    })
  )

  it.live("are made by number", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      assert.strictEqual(yield* File.fcntl(file, Fcntl.make(Syscall.F_GETFD)), Syscall.FD_CLOEXEC)
      assert.strictEqual((yield* Effect.flip(File.fcntl(file, Fcntl.make(99_999), 0)))._tag, "EINVAL")
    })
  )

  it("are all that the kernel's headers define, but those that are another's or the kernel's own", () => {
    const kinds = /^F_(RDLCK|WRLCK|UNLCK|EXLCK|SHLCK|OWNER_|SEAL_|OK$)/
    const commands = Object.keys(Syscall).filter((name) => name.startsWith("F_") && !kinds.test(name))
    assert.deepStrictEqual(
      commands.filter((name) => !(name in Fcntl)),
      ["F_CANCELLK"]
    )
    assert.isAtLeast(commands.length, 33)
    for (const [name, command] of Object.entries(Fcntl)) {
      if (!name.startsWith("F_") || typeof command !== "object") continue
      const code = name === "F_GETOWN" ? Syscall.F_GETOWN_EX : (Syscall as Readonly<Record<string, unknown>>)[name]
      assert.deepStrictEqual([command.name, command.code], [name, code])
    }
  })
})

describe("types", () => {
  /** Type-checked and never run. */
  const compiles = (_: () => unknown): void => {}
  const file = undefined as unknown as FileModule.File
  const random = undefined as unknown as FileModule.File<Ioctl.Random.Device>

  it("say what each command takes", () => {
    compiles(() => [
      File.fcntl(file, Fcntl.F_GETFL),
      File.fcntl(file, Fcntl.F_SETFL, 0),
      File.fcntl(file, Fcntl.F_SETLK, { l_type: 0 }),
      File.fcntl(file, Fcntl.F_DUPFD),
      File.fcntl(file, Fcntl.F_DUPFD, 3),
      File.fcntl(file, Fcntl.F_DUPFD_QUERY, random)
    ])
    // @ts-expect-error it takes nothing
    compiles(() => File.fcntl(file, Fcntl.F_GETFL, 1))
    // @ts-expect-error it takes a number
    compiles(() => File.fcntl(file, Fcntl.F_SETFL))
    // @ts-expect-error a lock is a record
    compiles(() => File.fcntl(file, Fcntl.F_SETLK, 1))
    // @ts-expect-error with a type
    compiles(() => File.fcntl(file, Fcntl.F_SETLK, { l_start: 1 }))
    // @ts-expect-error a hint is a number
    compiles(() => File.fcntl(file, Fcntl.F_SET_RW_HINT, 1n))
    // @ts-expect-error a number is no file
    compiles(() => File.fcntl(file, Fcntl.F_DUPFD_QUERY, 1))
  })

  it("say what each command gives", () => {
    expectTypeOf(File.fcntl(file, Fcntl.F_GETFL)).toEqualTypeOf<Effect.Effect<number, FcntlError>>()
    expectTypeOf(File.fcntl(file, Fcntl.F_SETFL, 0)).toEqualTypeOf<Effect.Effect<void, FcntlError>>()
    expectTypeOf(File.fcntl(file, Fcntl.F_GETLK, { l_type: 0 })).toEqualTypeOf<Effect.Effect<Abi.flock, FcntlError>>()
    expectTypeOf(File.fcntl(random, Fcntl.F_DUPFD)).toEqualTypeOf<
      Effect.Effect<FileModule.File<Ioctl.Random.Device>, FcntlError, Scope.Scope>
    >()
  })
})

type FcntlError = File.FromFdError
