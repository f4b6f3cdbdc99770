/** The seam between programs and the kernel: faults put in, calls seen. */
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber } from "effect"
import { Errno, File, Syscall } from "../src/index.ts"
import { asleepIn, directory, memfd, pipe } from "./support/fds.ts"
import { eventually } from "./support/process.ts"

const { nr } = Syscall

/** The kernel with a disk that is full from the third write on, for that one write. */
const thirdWriteFails = () => {
  let writes = 0
  return Syscall.intercept(Syscall.kernel, (number, _args, proceed) =>
    number === nr.write && ++writes === 3 ? -Errno.codes.ENOSPC : proceed()
  )
}

const recording = () => {
  const calls: Array<Syscall.Call> = []
  return { calls, trampoline: Syscall.record(Syscall.kernel, (call) => calls.push(call)) }
}

const bytes = (text: string) => new TextEncoder().encode(text)

describe("a trampoline that injects a fault", () => {
  it.live("makes the third write fail with ENOSPC; the program recovers by tag", () =>
    Effect.gen(function* () {
      const fd = yield* memfd
      const program = Effect.forEach(["a", "b", "c", "d"], (text) =>
        Syscall.write(fd, bytes(text)).pipe(
          Effect.catchTag("ENOSPC", (error) => Effect.succeed(`${error.syscall}(${error.fd}) is out of space`))
        )
      )
      const results = yield* Effect.provideService(program, Syscall.Trampoline, thirdWriteFails())
      assert.deepStrictEqual(results, [1, 1, `write(${fd}) is out of space`, 1])
      const content = new Uint8Array(8)
      assert.strictEqual(yield* Syscall.pread64(fd, content, 0), 3)
      assert.strictEqual(new TextDecoder().decode(content.subarray(0, 3)), "abd")
    })
  )

  it.live("reaches File.write, and File.writeAll, which stops there", () =>
    Effect.gen(function* () {
      const path = `${yield* directory}/file`
      const program = Effect.gen(function* () {
        const file = yield* File.open(path, { access: "write", create: true, mode: 0o600 })
        yield* File.write(file, bytes("one "))
        yield* File.write(file, bytes("two "))
        const fallen = yield* Effect.catchTag(File.writeAll(file, bytes("three ")), "ENOSPC", () =>
          Effect.succeed("full")
        )
        yield* File.writeAll(file, bytes("four"))
        return fallen
      }).pipe(Effect.scoped)
      assert.strictEqual(yield* Effect.provideService(program, Syscall.Trampoline, thirdWriteFails()), "full")
      assert.strictEqual(readFileSync(path, "utf8"), "one two four")
    })
  )

  it.live("can answer anything: a short write, an undocumented errno, a number without a name", () =>
    Effect.gen(function* () {
      const fd = yield* memfd
      const answering = (answer: number) =>
        Effect.provideService(
          Syscall.Trampoline,
          Syscall.intercept(Syscall.kernel, () => answer)
        )
      assert.strictEqual(yield* answering(2)(Syscall.write(fd, bytes("abc"))), 2)

      const undocumented = yield* Effect.flip(answering(-Errno.codes.EXDEV)(Syscall.write(fd, bytes("abc"))))
      assert.instanceOf(undocumented, Errno.OtherErrno)
      assert.strictEqual(undocumented.errno, Errno.codes.EXDEV)
      const nameless = yield* Effect.flip(answering(-3000)(Syscall.write(fd, bytes("abc"))))
      assert.instanceOf(nameless, Errno.OtherErrno)
      assert.strictEqual(nameless.errno, 3000)
      assert.instanceOf(yield* Effect.flip(answering(-Errno.codes.EXDEV)(Syscall.call(nr.getpid))), Errno.EXDEV)

      // A belief that the kernel proves wrong is a defect, not an error of a type that says never.
      assert.isTrue(Exit.hasDies(yield* Effect.exit(answering(-1)(Syscall.getpid))))
      assert.strictEqual(yield* Syscall.pread64(fd, new Uint8Array(8), 0), 0)
    })
  )

  it.live("can answer a call that waits with an effect", () =>
    Effect.gen(function* () {
      const [reader] = yield* pipe
      const trampoline = Syscall.intercept(Syscall.kernel, (number, _args, proceed) =>
        number === nr.read || number === nr.nanosleep ? Effect.as(Effect.yieldNow, -Errno.codes.EINTR) : proceed()
      )
      const errors = yield* Effect.all([
        Effect.flip(Syscall.read(reader, new Uint8Array(1))),
        Effect.flip(Syscall.callBlocking(nr.read, reader, new Uint8Array(1), 1)),
        Effect.flip(Syscall.nanosleep("1 hour"))
      ]).pipe(Effect.provideService(Syscall.Trampoline, trampoline))
      assert.deepStrictEqual(
        errors.map((error) => error._tag),
        ["EINTR", "EINTR", "EINTR"]
      )
    })
  )

  it.live("cannot answer a call made on the JavaScript thread with an effect: that is a defect", () =>
    Effect.gen(function* () {
      const trampoline = Syscall.intercept(Syscall.kernel, () => Effect.succeed(1))
      const exit = yield* Effect.exit(Effect.provideService(Syscall.getpid, Syscall.Trampoline, trampoline))
      assert.isTrue(Exit.hasDies(exit))
      assert.match(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", /getpid is made on the JavaScript thread/)
    })
  )

  it.live("holds for the effects it is provided to and no other; elsewhere is the real kernel", () =>
    Effect.gen(function* () {
      const fake = Syscall.intercept(Syscall.kernel, () => 1)
      assert.strictEqual(yield* Effect.provideService(Syscall.getpid, Syscall.Trampoline, fake), 1)
      assert.strictEqual(yield* Syscall.getpid, process.pid)
      assert.strictEqual(yield* Syscall.Trampoline, Syscall.kernel)
      const both = yield* Effect.all(
        [Effect.provideService(Syscall.getpid, Syscall.Trampoline, fake), Syscall.getpid],
        {
          concurrency: "unbounded"
        }
      )
      assert.deepStrictEqual(both, [1, process.pid])
    })
  )
})

describe("a trampoline that records", () => {
  it.live("lists the calls of a program in order, with arguments and results", () =>
    Effect.gen(function* () {
      const path = `${yield* directory}/file`
      const { calls, trampoline } = recording()
      const text = bytes("hello")
      const buffer = new Uint8Array(16)
      const fd = yield* Effect.gen(function* () {
        const fd = yield* Syscall.openat(Syscall.AT_FDCWD, path, Syscall.O_RDWR | Syscall.O_CREAT, 0o600)
        yield* Syscall.write(fd, text)
        yield* Syscall.lseek(fd, -3, Syscall.SEEK_END)
        yield* Syscall.read(fd, buffer)
        yield* Effect.flip(Syscall.unlinkat(Syscall.AT_FDCWD, `${path}-not`))
        yield* Syscall.callBlocking(nr.getppid)
        yield* Syscall.close(fd)
        return fd
      }).pipe(Effect.provideService(Syscall.Trampoline, trampoline))

      const flags = Syscall.O_RDWR | Syscall.O_CREAT
      assert.deepStrictEqual(
        calls.map(({ args, name, result }) => [name, args, result]),
        [
          ["openat", [Syscall.AT_FDCWD, bytes(`${path}\0`), flags, 0o600], fd],
          ["write", [fd, text, 5], 5],
          ["lseek", [fd, -3, Syscall.SEEK_END], 2],
          ["read", [fd, buffer, 16], 3],
          ["unlinkat", [Syscall.AT_FDCWD, bytes(`${path}-not\0`), 0], -Errno.codes.ENOENT],
          ["getppid", [], process.ppid],
          ["close", [fd], 0]
        ]
      )
      assert.deepStrictEqual(
        calls.map((call) => call.nr),
        [nr.openat, nr.write, nr.lseek, nr.read, nr.unlinkat, nr.getppid, nr.close]
      )
    })
  )

  it.live("sees what File does, to the closing by its scope", () =>
    Effect.gen(function* () {
      const { calls, trampoline } = recording()
      yield* Effect.gen(function* () {
        const file = yield* File.open("/etc/passwd")
        yield* File.read(file, new Uint8Array(8))
        yield* File.seek(file, File.Seek.start(0))
        const twin = yield* File.duplicate(file)
        yield* File.stat(twin)
      }).pipe(Effect.scoped, Effect.provideService(Syscall.Trampoline, trampoline))
      assert.deepStrictEqual(
        calls.map(({ name }) => name),
        ["openat", "read", "lseek", "fcntl", "statx", "close", "close"]
      )
      const [opened, , , twin, , first, second] = calls.map(({ args, result }) => ({ subject: args[0], result }))
      assert.isDefined(first?.subject)
      assert.deepStrictEqual([first?.subject, second?.subject], [twin?.result, opened?.result])
    })
  )

  it.live("sees nothing of what was refused before the kernel, and of a call that was given up", () =>
    Effect.gen(function* () {
      const [reader] = yield* pipe
      const { calls, trampoline } = recording()
      yield* Effect.gen(function* () {
        yield* Effect.flip(Syscall.openat(Syscall.AT_FDCWD, "a\0b", Syscall.O_RDONLY))
        yield* Effect.flip(Syscall.read(reader, new Uint8Array(1), 2))
        yield* Effect.flip(Syscall.lseek(reader, 0.5, Syscall.SEEK_SET))
        const closed = yield* File.open("/").pipe(Effect.scoped)
        yield* Effect.flip(File.read(closed, new Uint8Array(1)))
        const fiber = yield* Effect.forkChild(Syscall.read(reader, new Uint8Array(1)))
        yield* eventually(() => asleepIn(nr.read, reader) === 1)
        yield* Fiber.interrupt(fiber)
      }).pipe(Effect.provideService(Syscall.Trampoline, trampoline))
      assert.deepStrictEqual(
        calls.map(({ name }) => name),
        ["openat", "close"]
      )
    })
  )

  it.live("names a call that has no name by its number", () =>
    Effect.gen(function* () {
      const { calls, trampoline } = recording()
      yield* Effect.provideService(Effect.flip(Syscall.call(100_000, 1n)), Syscall.Trampoline, trampoline)
      assert.deepStrictEqual(calls, [{ nr: 100_000, name: "100000", args: [1n], result: -Errno.codes.ENOSYS }])
    })
  )
})
