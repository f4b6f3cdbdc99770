/** What the functions of layer 1 refuse before the kernel is asked, and what their types refuse before they run. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { expectTypeOf } from "vitest"
import { Errno, Syscall } from "../src/index.ts"
import { memfd } from "./support/fds.ts"

const { AT_FDCWD, O_RDONLY } = Syscall
const { codes } = Errno

/** Provides a kernel that must not be asked anything. */
const withoutKernel = Effect.provideService(
  Syscall.Trampoline,
  Syscall.intercept(Syscall.kernel, (nr) => {
    throw new Error(`the kernel was asked: ${Syscall.name(nr)}`)
  })
)

const refused = <A, E extends Errno.Errno, R>(self: Effect.Effect<A, E, R>) => Effect.flip(withoutKernel(self))

const paths: ReadonlyArray<readonly [string, (path: string | Uint8Array) => Effect.Effect<unknown, Errno.Errno>]> = [
  ["openat", (path) => Syscall.openat(AT_FDCWD, path, O_RDONLY)],
  ["statx", (path) => Syscall.statx(AT_FDCWD, path, 0, 0)],
  ["unlinkat", (path) => Syscall.unlinkat(AT_FDCWD, path)],
  ["mkdirat", (path) => Syscall.mkdirat(AT_FDCWD, path, 0o700)],
  ["renameat2", (path) => Syscall.renameat2(AT_FDCWD, "a", AT_FDCWD, path)],
  ["linkat", (path) => Syscall.linkat(AT_FDCWD, path, AT_FDCWD, "b")],
  ["symlinkat", (path) => Syscall.symlinkat(path, AT_FDCWD, "b")],
  ["readlinkat", (path) => Syscall.readlinkat(AT_FDCWD, path)],
  ["memfd_create", (path) => Syscall.memfd_create(path)]
]

const descriptors: ReadonlyArray<readonly [string, (fd: number) => Effect.Effect<unknown, Errno.Errno>]> = [
  ["openat", (fd) => Syscall.openat(fd, "x", O_RDONLY)],
  ["close", Syscall.close],
  ["read", (fd) => Syscall.read(fd, new Uint8Array(1))],
  ["write", (fd) => Syscall.write(fd, new Uint8Array(1))],
  ["pread64", (fd) => Syscall.pread64(fd, new Uint8Array(1), 0)],
  ["pwrite64", (fd) => Syscall.pwrite64(fd, new Uint8Array(1), 0)],
  ["readv", (fd) => Syscall.readv(fd, [])],
  ["writev", (fd) => Syscall.writev(fd, [])],
  ["lseek", (fd) => Syscall.lseek(fd, 0, 0)],
  ["dup", Syscall.dup],
  ["dup3", (fd) => Syscall.dup3(0, fd)],
  ["fcntl", (fd) => Syscall.fcntl(fd, Syscall.F_GETFD)],
  ["ioctl", (fd) => Syscall.ioctl(fd, 0)],
  ["mmap", (fd) => Syscall.mmap(0, 1, 0, 0, fd)],
  ["getdents64", (fd) => Syscall.getdents64(fd, new Uint8Array(64))],
  ["fsync", Syscall.fsync],
  ["fdatasync", Syscall.fdatasync],
  ["ftruncate", (fd) => Syscall.ftruncate(fd, 0)]
]

const longs: ReadonlyArray<readonly [string, (value: number | bigint) => Effect.Effect<unknown, Errno.Errno>]> = [
  ["lseek", (offset) => Syscall.lseek(0, offset, 0)],
  ["pread64", (offset) => Syscall.pread64(0, new Uint8Array(1), offset)],
  ["pwrite64", (offset) => Syscall.pwrite64(0, new Uint8Array(1), offset)],
  ["ftruncate", (length) => Syscall.ftruncate(0, length)],
  ["mmap", (length) => Syscall.mmap(0, length, 0, 0, -1)],
  ["munmap", (address) => Syscall.munmap(address, 1)],
  ["fcntl", (argument) => Syscall.fcntl(0, Syscall.F_DUPFD, argument)],
  ["ioctl", (argument) => Syscall.ioctl(0, 0, argument)]
]

describe("misuse fails like the kernel would, before the kernel is asked", () => {
  it.effect.each(paths)("%s: EINVAL for a NUL in a path, as text and as bytes", ([name, make]) =>
    Effect.gen(function* () {
      for (const path of ["a\0b", "\0", Uint8Array.of(97, 0), "a/\0"]) {
        const error = yield* refused(make(path))
        assert.deepInclude({ errno: error.errno, syscall: error.syscall }, { errno: codes.EINVAL, syscall: name })
        assert.match(error.message, /contains a NUL/)
      }
    })
  )

  it.effect.each(paths)("%s: EINVAL for a lone surrogate, which has no bytes", ([, make]) =>
    Effect.gen(function* () {
      for (const path of ["a\ud800b", "\udc00"]) {
        const error = yield* refused(make(path))
        assert.strictEqual(error.errno, codes.EINVAL)
        assert.match(error.message, /not well-formed/)
      }
    })
  )

  it.effect.each(descriptors)("%s: EBADF for what is no descriptor", ([name, make]) =>
    Effect.gen(function* () {
      for (const fd of [1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, 2 ** 32, -(2 ** 31) - 1]) {
        const error = yield* refused(make(fd))
        assert.deepInclude({ errno: error.errno, syscall: error.syscall }, { errno: codes.EBADF, syscall: name })
      }
    })
  )

  it.effect.each(longs)("%s: EINVAL for an offset, length or address that is no 64-bit integer", ([name, make]) =>
    Effect.gen(function* () {
      for (const value of [0.5, Number.NaN, 2 ** 53, -(2 ** 53), 1e300, 2n ** 64n, -(2n ** 63n) - 1n]) {
        const error = yield* Effect.flip(make(value))
        assert.deepInclude({ errno: error.errno, syscall: error.syscall }, { errno: codes.EINVAL, syscall: name })
      }
    })
  )

  it.effect("EFAULT for a count past the buffer's end, EINVAL for one that is no length", () =>
    Effect.gen(function* () {
      const view = new Uint16Array(new ArrayBuffer(16), 4, 2)
      for (const count of [5, 16, Number.MAX_SAFE_INTEGER]) {
        assert.instanceOf(yield* refused(Syscall.read(0, view, count)), Errno.EFAULT)
        assert.instanceOf(yield* refused(Syscall.write(0, view, count)), Errno.EFAULT)
      }
      for (const count of [-1, 0.5, Number.NaN, 2 ** 53]) {
        assert.instanceOf(yield* refused(Syscall.read(0, view, count)), Errno.EINVAL)
        assert.instanceOf(yield* refused(Syscall.write(0, view, count)), Errno.EINVAL)
      }
      const fd = yield* memfd
      assert.strictEqual(yield* Syscall.write(fd, view, 4), 4)
    })
  )

  it.effect("EFAULT for a buffer that was given away", () =>
    Effect.gen(function* () {
      const bytes = new Uint8Array(8)
      structuredClone(bytes, { transfer: [bytes.buffer] })
      const fd = yield* memfd
      assert.instanceOf(yield* Effect.flip(Syscall.read(fd, bytes)), Errno.EFAULT)
      assert.instanceOf(yield* Effect.flip(Syscall.writev(fd, [new Uint8Array(1), bytes])), Errno.EFAULT)
      assert.strictEqual(yield* Syscall.lseek(fd, 0, Syscall.SEEK_END), 0)
    })
  )

  it.effect("EINVAL for flags and modes of more than 32 bits or with a fraction", () =>
    Effect.gen(function* () {
      for (const value of [0.5, Number.NaN, 2 ** 32, -(2 ** 31) - 1, 2 ** 53]) {
        const errors = yield* Effect.all([
          refused(Syscall.openat(AT_FDCWD, "x", value)),
          refused(Syscall.mkdirat(AT_FDCWD, "x", value)),
          refused(Syscall.pipe2(value)),
          refused(Syscall.kill(0, value)),
          refused(Syscall.clock_gettime(value)),
          refused(Syscall.getrandom(new Uint8Array(1), value)),
          refused(Syscall.eventfd2(value))
        ])
        for (const error of errors) assert.strictEqual(error.errno, codes.EINVAL, error.message)
      }
    })
  )

  it.effect("EOVERFLOW for a result that is not exact as a number", () =>
    Effect.gen(function* () {
      const huge = Syscall.intercept(Syscall.kernel, () => 2n ** 60n)
      const error = yield* Effect.flip(Effect.provideService(Syscall.lseek(0, 0, 0), Syscall.Trampoline, huge))
      assert.instanceOf(error, Errno.EOVERFLOW)
    })
  )
})

describe("a wrong JavaScript type is a defect that names the argument", () => {
  const defect = <A, E>(self: Effect.Effect<A, E>) =>
    Effect.map(Effect.exit(withoutKernel(self)), (exit) => {
      assert.isTrue(Exit.hasDies(exit))
      return Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""
    })

  it.effect("in every place", () =>
    Effect.gen(function* () {
      // @ts-expect-error a path is text or bytes
      assert.match(yield* defect(Syscall.openat(AT_FDCWD, 1, O_RDONLY)), /TypeError: path: expected/)
      // @ts-expect-error and not other views
      assert.match(yield* defect(Syscall.unlinkat(AT_FDCWD, new Uint16Array(2))), /TypeError: path: expected/)
      // @ts-expect-error a descriptor is a number
      assert.match(yield* defect(Syscall.close("1")), /TypeError: fd: expected a number, got string/)
      // @ts-expect-error and not a bigint
      assert.match(yield* defect(Syscall.fsync(1n)), /TypeError: fd: expected a number, got bigint/)
      // @ts-expect-error a buffer is memory
      assert.match(yield* defect(Syscall.read(0, "buffer")), /TypeError: buffer: expected a buffer or view/)
      // @ts-expect-error an array is none
      assert.match(yield* defect(Syscall.write(0, [1, 2, 3])), /TypeError: buffer: expected a buffer or view/)
      // @ts-expect-error readv takes a list
      assert.match(yield* defect(Syscall.readv(0, new Uint8Array(1))), /TypeError: buffers: expected an array/)
      // @ts-expect-error of buffers
      assert.match(yield* defect(Syscall.readv(0, [new Uint8Array(1), 2])), /TypeError: buffers\[1\]: expected/)
      // @ts-expect-error an offset is a number or bigint
      assert.match(yield* defect(Syscall.lseek(0, "0", 0)), /TypeError: offset: expected a number or bigint/)
      // @ts-expect-error flags are a number
      assert.match(yield* defect(Syscall.pipe2("O_CLOEXEC")), /TypeError: flags: expected a number, got string/)
      // @ts-expect-error null is no number
      assert.match(yield* defect(Syscall.kill(null, 0)), /TypeError: pid: expected a number, got null/)
    })
  )

  it.effect("also where a list has holes", () =>
    Effect.gen(function* () {
      const holes: Array<Uint8Array> = [new Uint8Array(1)]
      holes[2] = new Uint8Array(1)
      assert.isTrue(Exit.hasDies(yield* Effect.exit(Syscall.readv(0, holes))))
    })
  )
})

describe("types", () => {
  it("errors are those that the manual page documents: catchTag narrows, and takes no other", () => {
    const opened = Syscall.openat(AT_FDCWD, "/nope", O_RDONLY)
    const caught = Effect.catchTag(opened, "ENOENT", (error) => {
      expectTypeOf(error).toEqualTypeOf<Errno.ENOENT>()
      return Effect.succeed("none" as const)
    })
    expectTypeOf(caught).toExtend<Effect.Effect<number | "none", Errno.Errno>>()
    type Left = Effect.Error<typeof caught>["_tag"]
    expectTypeOf<Extract<Left, "ENOENT">>().toEqualTypeOf<never>()
    expectTypeOf<Extract<Left, "EACCES" | "OtherErrno">>().toEqualTypeOf<"EACCES" | "OtherErrno">()
    // @ts-expect-error open(2) says nothing of sockets
    Effect.catchTag(opened, "ENOTSOCK", () => Effect.void)
    // @ts-expect-error nor lseek(2) of permissions
    Effect.catchTag(Syscall.lseek(0, 0, 0), "EACCES", () => Effect.void)
  })

  it("calls that cannot fail have error never, and raw calls may fail with anything", () => {
    expectTypeOf(Syscall.getpid).toEqualTypeOf<Effect.Effect<number>>()
    for (const value of [Syscall.getppid, Syscall.gettid, Syscall.getuid, Syscall.geteuid, Syscall.getgid]) {
      expectTypeOf(value).toEqualTypeOf<Effect.Effect<number, never, never>>()
    }
    expectTypeOf(Syscall.call(39)).toEqualTypeOf<Effect.Effect<number, Errno.Errno>>()
    expectTypeOf(Syscall.callBig(39)).toEqualTypeOf<Effect.Effect<bigint, Errno.Errno>>()
    expectTypeOf(Syscall.callBlocking(39)).toEqualTypeOf<Effect.Effect<number, Errno.Errno>>()
  })

  it("no call needs a service", () => {
    expectTypeOf<Effect.Services<ReturnType<typeof Syscall.openat>>>().toEqualTypeOf<never>()
    expectTypeOf<Effect.Success<ReturnType<typeof Syscall.pipe2>>>().toEqualTypeOf<
      readonly [read: number, write: number]
    >()
    expectTypeOf<Effect.Success<ReturnType<typeof Syscall.mmap>>>().toEqualTypeOf<bigint>()
    expectTypeOf<Effect.Success<ReturnType<typeof Syscall.readlinkat>>>().toEqualTypeOf<Uint8Array>()
  })
})

describe("memory that is shorter than the other arguments say", () => {
  const short = (buffer: Uint8Array = new Uint8Array(1)) => buffer

  it.effect("is EFAULT before the kernel is asked", () =>
    Effect.gen(function* () {
      const calls: ReadonlyArray<readonly [string, Effect.Effect<unknown, Errno.Errno>]> = [
        ["mincore", Syscall.mincore(4096, 4096 * 64, short())],
        ["move_pages", Syscall.move_pages(0, 100, short(), null, short(), 0)],
        ["get_mempolicy", Syscall.get_mempolicy(null, short(), 6400, 0, 0)],
        ["set_mempolicy", Syscall.set_mempolicy(0, short(), 6400)],
        ["keyctl", Syscall.keyctl(Syscall.KEYCTL_READ, 1, short(), 30_000)],
        ["seccomp", Syscall.seccomp(Syscall.SECCOMP_GET_NOTIF_SIZES, 0, short())],
        ["prctl", Syscall.prctl(Syscall.PR_GET_NAME, short())],
        ["process_madvise", Syscall.process_madvise(-1, short(), 9, 0)],
        ["ioctl", Syscall.ioctl(0, 0x8004_5430, short())],
        ["fcntl", Syscall.fcntl(0, Syscall.F_GETLK, short())]
      ]
      for (const [name, call] of calls) {
        const error = yield* Effect.flip(call)
        assert.strictEqual(error.errno, Errno.codes.EFAULT, name)
        assert.match(error.detail ?? "", /bytes/, name)
      }
    })
  )

  it.effect("gets as much as it holds of a request that does not say how much it writes", () =>
    Effect.gen(function* () {
      const [read, write] = yield* Syscall.pipe2(Syscall.O_CLOEXEC)
      yield* Syscall.write(write, new Uint8Array(300))
      const memory = new Uint8Array(8)
      // FIONREAD writes an int, of which this view has two bytes: 300 is 0x12c.
      yield* Syscall.ioctl(read, 0x541b, memory.subarray(0, 2))
      assert.deepStrictEqual([...memory], [0x2c, 0x01, 0, 0, 0, 0, 0, 0])
      yield* Syscall.close(read)
      yield* Syscall.close(write)
    })
  )

  it.effect("is no directory entry", () =>
    Effect.sync(() => {
      assert.deepStrictEqual(Syscall.dirents(new Uint8Array(64)), [])
      assert.deepStrictEqual(Syscall.dirents(new Uint8Array(64).fill(255), 1000), [])
    })
  )
})

describe("what is not what it says", () => {
  it.effect("is seen through: a subclass that claims more bytes than it has", () =>
    Effect.gen(function* () {
      class Claims extends Uint8Array {
        override get byteLength(): number {
          return 1 << 20
        }
      }
      const fd = yield* memfd
      yield* Syscall.write(fd, new Uint8Array(64).fill(1))
      const calls = yield* Effect.sync(() => [] as Array<Syscall.Call>)
      const traced = Syscall.record(Syscall.kernel, (call) => calls.push(call))
      const count = yield* Syscall.pread64(fd, new Claims(16), 0).pipe(
        Effect.provideService(Syscall.Trampoline, traced)
      )
      assert.strictEqual(count, 16)
      assert.strictEqual(calls[0]?.args[2], 16)
    }).pipe(Effect.scoped)
  )

  it.effect("is refused: a path whose buffer is detached, a call number of more than 32 bits", () =>
    Effect.gen(function* () {
      const path = new TextEncoder().encode("/etc/passwd")
      structuredClone(path.buffer, { transfer: [path.buffer] })
      const error = yield* refused(Syscall.openat(AT_FDCWD, path, O_RDONLY))
      assert.strictEqual(error.errno, codes.EFAULT)
      for (const number of [2 ** 32 + Syscall.nr.getpid, -(2 ** 32) + Syscall.nr.getpid, 2 ** 40]) {
        assert.strictEqual((yield* Effect.flip(Syscall.call(number)))._tag, "EINVAL")
      }
    })
  )

  it.live("is a defect: a thread that is none", () =>
    Effect.gen(function* () {
      // @ts-expect-error it has no identifier
      const exit = yield* Effect.exit(Syscall.callOn({}, Syscall.nr.getpid))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    })
  )
})

describe("a list that grows while it is looked at", () => {
  it.effect("is passed with the length that was passed", () =>
    Effect.gen(function* () {
      const calls: Array<Syscall.Call> = []
      const traced = Syscall.record(Syscall.kernel, (call) => calls.push(call))
      const growing = () => {
        const list = [new Uint8Array(1)]
        Object.defineProperty(list, 0, {
          get: () => {
            if (list.length < 10) list.push(new Uint8Array(1))
            return new Uint8Array(1)
          }
        })
        return list
      }
      const transfers: ReadonlyArray<Effect.Effect<number, Errno.Errno>> = [
        Syscall.preadv(-1, growing(), 0),
        Syscall.readv(-1, growing()),
        Syscall.vmsplice(-1, growing())
      ]
      for (const call of transfers) {
        yield* Effect.flip(call).pipe(Effect.provideService(Syscall.Trampoline, traced))
      }
      assert.strictEqual(calls.length, 3)
      for (const { args, name } of calls) {
        const [, list, length] = args
        assert.isTrue(Array.isArray(list) && list.length === length, name)
      }
    })
  )
})
