/** Each function of layer 1 against the real kernel: what it gives, what it fails with, what it refuses. */
import { readFileSync } from "node:fs"
import { hostname, release } from "node:os"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { type Errno, Syscall } from "../src/index.ts"
import { asleepIn, directory, eventfd, held, memfd, pipe } from "./support/fds.ts"
import { eventually } from "./support/process.ts"

const { AT_FDCWD, O_CREAT, O_EXCL, O_RDONLY, O_RDWR } = Syscall
const bytes = (text: string) => new TextEncoder().encode(text)
const text = (some: Uint8Array) => new TextDecoder().decode(some)

/** The error's name, and the call that it names. */
const failure = <A, E extends Errno.Errno, R>(self: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(self), (error) => `${error.syscall} ${error._tag}`)

/** No call of these tests can find it open. */
const closedFd = 1_000_000

const file = Effect.gen(function* () {
  const path = `${yield* directory}/file`
  const fd = yield* held(Syscall.openat(AT_FDCWD, path, O_RDWR | O_CREAT | Syscall.O_CLOEXEC, 0o640))
  return { path, fd }
})

describe("files", () => {
  it.live("openat and close", () =>
    Effect.gen(function* () {
      const path = `${yield* directory}/file`
      const fd = yield* Syscall.openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL, 0o600)
      assert.strictEqual(yield* failure(Syscall.openat(AT_FDCWD, path, O_CREAT | O_EXCL, 0o600)), "openat EEXIST")
      assert.strictEqual(yield* failure(Syscall.openat(AT_FDCWD, `${path}/x`, O_RDONLY)), "openat ENOTDIR")
      const missing = yield* Effect.flip(Syscall.openat(AT_FDCWD, "/nope", O_RDONLY, 0))
      assert.strictEqual(missing.message, 'openat("/nope"): ENOENT, no such file or directory')
      assert.strictEqual(yield* failure(Syscall.openat(closedFd, "x", O_RDONLY)), "openat EBADF")
      assert.strictEqual(yield* failure(Syscall.openat(AT_FDCWD, "/", O_RDWR)), "openat EISDIR")
      assert.isUndefined(yield* Syscall.close(fd))
      assert.strictEqual(yield* failure(Syscall.close(fd)), "close EBADF")
    })
  )

  it.live("read, write, pread64, pwrite64 and lseek", () =>
    Effect.gen(function* () {
      const { fd } = yield* file
      const buffer = new Uint8Array(8)
      assert.strictEqual(yield* Syscall.write(fd, bytes("hello world")), 11)
      assert.strictEqual(yield* Syscall.write(fd, bytes("!!!"), 1), 1)
      assert.strictEqual(yield* Syscall.pwrite64(fd, bytes("W"), 6), 1)
      assert.strictEqual(yield* Syscall.lseek(fd, 0, Syscall.SEEK_CUR), 12)
      assert.strictEqual(yield* Syscall.lseek(fd, 6n, Syscall.SEEK_SET), 6)
      assert.strictEqual(yield* Syscall.read(fd, buffer), 6)
      assert.strictEqual(text(buffer.subarray(0, 6)), "World!")
      assert.strictEqual(yield* Syscall.read(fd, buffer), 0)
      assert.strictEqual(yield* Syscall.pread64(fd, buffer, 9n), 3)
      assert.strictEqual(yield* Syscall.pread64(fd, buffer, 99), 0)

      const [reader, writer] = yield* pipe
      assert.strictEqual(yield* failure(Syscall.read(writer, buffer)), "read EBADF")
      assert.strictEqual(yield* failure(Syscall.write(reader, buffer)), "write EBADF")
      assert.strictEqual(yield* failure(Syscall.lseek(reader, 0, Syscall.SEEK_SET)), "lseek ESPIPE")
      assert.strictEqual(yield* failure(Syscall.lseek(fd, -1, Syscall.SEEK_SET)), "lseek EINVAL")
      assert.strictEqual(yield* failure(Syscall.lseek(fd, 0, 99)), "lseek EINVAL")
      assert.strictEqual(yield* failure(Syscall.pread64(reader, buffer, 0)), "pread64 ESPIPE")
      assert.strictEqual(yield* failure(Syscall.pread64(fd, buffer, -1)), "pread64 EINVAL")
      assert.strictEqual(yield* failure(Syscall.pwrite64(writer, buffer, 0)), "pwrite64 ESPIPE")
      const root = yield* held(Syscall.openat(AT_FDCWD, "/", O_RDONLY))
      assert.strictEqual(yield* failure(Syscall.read(root, buffer)), "read EISDIR")
    })
  )

  it.live("write to a pipe that nobody reads fails with EPIPE and kills nobody", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* Syscall.pipe2()
      yield* Syscall.close(reader)
      assert.strictEqual(yield* failure(Syscall.write(writer, bytes("x"))), "write EPIPE")
      assert.strictEqual(yield* failure(Syscall.writev(writer, [bytes("x")])), "writev EPIPE")
      yield* Syscall.close(writer)
    })
  )

  it.live("readv and writev", () =>
    Effect.gen(function* () {
      const { fd } = yield* file
      assert.strictEqual(yield* Syscall.writev(fd, [bytes("ab"), new Uint8Array(0), bytes("cde").buffer]), 5)
      yield* Syscall.lseek(fd, 0, Syscall.SEEK_SET)
      const parts = [new Uint8Array(1), new Uint8Array(3), new Uint8Array(9)]
      assert.strictEqual(yield* Syscall.readv(fd, parts), 5)
      assert.deepStrictEqual(parts.map(text), ["a", "bcd", `e${"\0".repeat(8)}`])
      assert.strictEqual(yield* Syscall.readv(fd, []), 0)
      assert.strictEqual(yield* failure(Syscall.readv(closedFd, parts)), "readv EBADF")
      const many = Array.from({ length: 1025 }, () => new Uint8Array(1))
      assert.strictEqual(yield* failure(Syscall.writev(fd, many)), "writev EINVAL")
    })
  )

  it.live("dup, dup3 and fcntl", () =>
    Effect.gen(function* () {
      const { fd } = yield* file
      const { FD_CLOEXEC, F_GETFD, F_GETFL, F_SETFL, O_APPEND, O_CLOEXEC } = Syscall
      const twin = yield* held(Syscall.dup(fd))
      assert.strictEqual(yield* Syscall.fcntl(twin, F_GETFD), 0)
      assert.strictEqual(yield* Syscall.dup3(fd, twin, O_CLOEXEC), twin)
      assert.strictEqual(yield* Syscall.fcntl(twin, F_GETFD), FD_CLOEXEC)
      yield* Syscall.fcntl(fd, F_SETFL, O_APPEND)
      assert.strictEqual((yield* Syscall.fcntl(twin, F_GETFL)) & O_APPEND, O_APPEND)
      yield* Syscall.write(twin, bytes("x"))
      assert.strictEqual(yield* Syscall.lseek(fd, 0, Syscall.SEEK_CUR), 1)

      assert.strictEqual(yield* failure(Syscall.dup(closedFd)), "dup EBADF")
      assert.strictEqual(yield* failure(Syscall.dup3(fd, fd)), "dup3 EINVAL")
      assert.strictEqual(yield* failure(Syscall.fcntl(fd, 99_999)), "fcntl EINVAL")
    })
  )

  it.live("fcntl with a lock that another holds waits on another thread", () =>
    Effect.gen(function* () {
      const { fd, path } = yield* file
      const other = yield* held(Syscall.openat(AT_FDCWD, path, O_RDWR))
      // struct flock: l_type F_WRLCK, l_whence, padding, l_start, l_len, l_pid
      const lock = () => new Uint8Array(new BigInt64Array([1n, 0n, 0n, 0n]).buffer)
      yield* Syscall.fcntl(fd, Syscall.F_OFD_SETLK, lock())
      assert.strictEqual(yield* failure(Syscall.fcntl(other, Syscall.F_OFD_SETLK, lock())), "fcntl EAGAIN")
      const waiting = yield* Effect.forkChild(Syscall.fcntl(other, Syscall.F_OFD_SETLKW, lock()))
      assert.isTrue(yield* eventually(() => asleepIn(Syscall.nr.fcntl, other) === 1))
      const unlock = new Uint8Array(new BigInt64Array([2n, 0n, 0n, 0n]).buffer)
      yield* Syscall.fcntl(fd, Syscall.F_OFD_SETLK, unlock)
      assert.strictEqual(yield* Fiber.join(waiting), 0)
    })
  )

  it.live("pipe2", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* pipe
      yield* Syscall.write(writer, bytes("through"))
      const buffer = new Uint8Array(16)
      assert.strictEqual(text(buffer.subarray(0, yield* Syscall.read(reader, buffer))), "through")
      assert.strictEqual(yield* Syscall.fcntl(reader, Syscall.F_GETFD), Syscall.FD_CLOEXEC)
      assert.strictEqual(yield* failure(Syscall.pipe2(0x1)), "pipe2 EINVAL")
    })
  )

  it.live("ioctl", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* pipe
      yield* Syscall.write(writer, bytes("12345"))
      const FIONREAD = 0x541b
      const pending = new Int32Array(1)
      assert.strictEqual(yield* Syscall.ioctl(reader, FIONREAD, pending), 0)
      assert.strictEqual(pending[0], 5)
      assert.strictEqual(yield* failure(Syscall.ioctl(reader, 0x5401, new Uint8Array(64))), "ioctl ENOTTY")
      assert.strictEqual(yield* failure(Syscall.ioctl(reader, FIONREAD, null)), "ioctl EFAULT")
    })
  )

  it.live("statx", () =>
    Effect.gen(function* () {
      const { fd, path } = yield* file
      yield* Syscall.write(fd, bytes("12345"))
      const mask = Syscall.STATX_BASIC_STATS
      const byPath = yield* Syscall.statx(AT_FDCWD, path, 0, mask)
      assert.strictEqual(byPath.stx_size, 5n)
      assert.strictEqual(byPath.stx_mode, Syscall.S_IFREG | 0o640)
      const byFd = yield* Syscall.statx(fd, "", Syscall.AT_EMPTY_PATH, mask)
      assert.deepStrictEqual([byFd.stx_ino, byFd.stx_size], [byPath.stx_ino, 5n])
      assert.strictEqual(yield* failure(Syscall.statx(AT_FDCWD, `${path}-not`, 0, mask)), "statx ENOENT")
      assert.strictEqual(yield* failure(Syscall.statx(AT_FDCWD, path, 0x80, mask)), "statx EINVAL")
    })
  )

  it.live("getdents64, with names that are no UTF-8", () =>
    Effect.gen(function* () {
      const path = yield* directory
      const odd = Uint8Array.of(0xff, 0x41)
      const dirfd = yield* held(Syscall.openat(AT_FDCWD, path, O_RDONLY | Syscall.O_DIRECTORY))
      yield* Syscall.mkdirat(dirfd, "sub", 0o700)
      yield* Syscall.close(yield* Syscall.openat(dirfd, odd, O_CREAT | O_RDWR, 0o600))
      const buffer = new Uint8Array(1024)
      const length = yield* Syscall.getdents64(dirfd, buffer)
      const found = new Map(Syscall.dirents(buffer, length).map((entry) => [entry.d_name.join(), entry.d_type]))
      assert.deepStrictEqual(
        found,
        new Map([
          [bytes(".").join(), Syscall.DT_DIR],
          [bytes("..").join(), Syscall.DT_DIR],
          [bytes("sub").join(), Syscall.DT_DIR],
          [odd.join(), Syscall.DT_REG]
        ])
      )
      assert.strictEqual(yield* Syscall.getdents64(dirfd, buffer), 0)
      yield* Syscall.lseek(dirfd, 0, Syscall.SEEK_SET)
      assert.strictEqual(yield* failure(Syscall.getdents64(dirfd, new Uint8Array(8))), "getdents64 EINVAL")
      const { fd } = yield* file
      assert.strictEqual(yield* failure(Syscall.getdents64(fd, buffer)), "getdents64 ENOTDIR")
    })
  )

  it.live("mkdirat, unlinkat, renameat2, linkat, symlinkat and readlinkat", () =>
    Effect.gen(function* () {
      const dirfd = yield* held(Syscall.openat(AT_FDCWD, yield* directory, O_RDONLY))
      const inode = (name: string) =>
        Effect.map(Syscall.statx(dirfd, name, Syscall.AT_SYMLINK_NOFOLLOW, Syscall.STATX_INO), (stat) => stat.stx_ino)
      yield* Syscall.mkdirat(dirfd, "dir", 0o700)
      assert.strictEqual(yield* failure(Syscall.mkdirat(dirfd, "dir", 0o700)), "mkdirat EEXIST")
      yield* Syscall.close(yield* Syscall.openat(dirfd, "a", O_CREAT, 0o600))

      yield* Syscall.linkat(dirfd, "a", dirfd, "b")
      assert.strictEqual(yield* inode("a"), yield* inode("b"))
      assert.strictEqual(yield* failure(Syscall.linkat(dirfd, "dir", dirfd, "c")), "linkat EPERM")

      yield* Syscall.symlinkat("a/β", dirfd, "link")
      assert.deepStrictEqual(yield* Syscall.readlinkat(dirfd, "link"), bytes("a/β"))
      assert.strictEqual(yield* failure(Syscall.symlinkat("a", dirfd, "link")), "symlinkat EEXIST")
      assert.strictEqual(yield* failure(Syscall.readlinkat(dirfd, "a")), "readlinkat EINVAL")

      const { RENAME_EXCHANGE, RENAME_NOREPLACE } = Syscall
      assert.strictEqual(
        yield* failure(Syscall.renameat2(dirfd, "a", dirfd, "b", RENAME_NOREPLACE)),
        "renameat2 EEXIST"
      )
      const before = [yield* inode("a"), yield* inode("dir")]
      yield* Syscall.renameat2(dirfd, "a", dirfd, "dir", RENAME_EXCHANGE)
      assert.deepStrictEqual([yield* inode("dir"), yield* inode("a")], before)
      yield* Syscall.renameat2(dirfd, "dir", dirfd, "c")

      assert.strictEqual(yield* failure(Syscall.unlinkat(dirfd, "a")), "unlinkat EISDIR")
      yield* Syscall.unlinkat(dirfd, "a", Syscall.AT_REMOVEDIR)
      yield* Syscall.unlinkat(dirfd, "c")
      assert.strictEqual(yield* failure(Syscall.unlinkat(dirfd, "c")), "unlinkat ENOENT")
    })
  )

  it.live("fsync, fdatasync and ftruncate", () =>
    Effect.gen(function* () {
      const { fd } = yield* file
      const [reader] = yield* pipe
      yield* Syscall.ftruncate(fd, 10n)
      yield* Syscall.fsync(fd)
      yield* Syscall.fdatasync(fd)
      assert.strictEqual(yield* Syscall.lseek(fd, 0, Syscall.SEEK_END), 10)
      assert.strictEqual(yield* failure(Syscall.fsync(reader)), "fsync EINVAL")
      assert.strictEqual(yield* failure(Syscall.fdatasync(closedFd)), "fdatasync EBADF")
      assert.strictEqual(yield* failure(Syscall.ftruncate(fd, -1)), "ftruncate EINVAL")
    })
  )

  it.live("eventfd2 and memfd_create", () =>
    Effect.gen(function* () {
      const counter = yield* eventfd(3, Syscall.EFD_NONBLOCK)
      yield* Syscall.write(counter, BigUint64Array.of(4n))
      const value = new BigUint64Array(1)
      yield* Syscall.read(counter, value)
      assert.strictEqual(value[0], 7n)
      assert.strictEqual(yield* failure(Syscall.read(counter, value)), "read EAGAIN")
      assert.strictEqual(yield* failure(Syscall.eventfd2(0, 0x2)), "eventfd2 EINVAL")

      const fd = yield* memfd
      assert.include(text(yield* Syscall.readlinkat(AT_FDCWD, `/proc/self/fd/${fd}`)), "memfd:effect-linux-test")
      assert.strictEqual(yield* failure(Syscall.memfd_create("x".repeat(300))), "memfd_create EINVAL")
    })
  )
})

describe("memory", () => {
  it.effect("mmap and munmap", () =>
    Effect.gen(function* () {
      const { MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ } = Syscall
      const length = 1 << 16
      const address = yield* Syscall.mmap(0, length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1)
      assert.isTrue(address > 0n && address % 4096n === 0n)
      assert.isTrue(readFileSync("/proc/self/maps", "utf8").includes(address.toString(16)))
      assert.isUndefined(yield* Syscall.munmap(address, length))
      assert.strictEqual(yield* failure(Syscall.munmap(address + 1n, length)), "munmap EINVAL")
      assert.strictEqual(yield* failure(Syscall.mmap(0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1)), "mmap EINVAL")
      assert.strictEqual(yield* failure(Syscall.mmap(0, 4096, PROT_READ, MAP_PRIVATE, closedFd)), "mmap EBADF")
    })
  )
})

describe("process, machine and time", () => {
  it.effect("getpid, getppid, gettid and the identities", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Syscall.getpid, process.pid)
      assert.strictEqual(yield* Syscall.getppid, process.ppid)
      assert.strictEqual(yield* Syscall.gettid, process.pid)
      const ids = yield* Effect.all([Syscall.getuid, Syscall.geteuid, Syscall.getgid, Syscall.getegid])
      assert.deepStrictEqual(ids, [process.getuid?.(), process.geteuid?.(), process.getgid?.(), process.getegid?.()])
    })
  )

  it.live("kill and tgkill", () =>
    Effect.gen(function* () {
      const SIGUSR2 = 12
      const arrived = () =>
        Effect.promise(() => new Promise<void>((resolve) => process.once("SIGUSR2", () => resolve())))
      const first = yield* Effect.forkChild(arrived(), { startImmediately: true })
      assert.isUndefined(yield* Syscall.kill(process.pid, SIGUSR2))
      yield* Fiber.join(first)
      const second = yield* Effect.forkChild(arrived(), { startImmediately: true })
      assert.isUndefined(yield* Syscall.tgkill(process.pid, yield* Syscall.gettid, SIGUSR2))
      yield* Fiber.join(second)
      assert.isUndefined(yield* Syscall.kill(process.pid, 0))
      assert.strictEqual(yield* failure(Syscall.kill(0x7ffffffe, 0)), "kill ESRCH")
      assert.strictEqual(yield* failure(Syscall.kill(process.pid, 999)), "kill EINVAL")
      assert.strictEqual(yield* failure(Syscall.tgkill(-1, 1, 0)), "tgkill EINVAL")
    })
  )

  it.effect("uname", () =>
    Effect.gen(function* () {
      const { nodename, release: version, sysname } = yield* Syscall.uname
      assert.deepStrictEqual([sysname, nodename, version], ["Linux", hostname(), release()])
    })
  )

  it.effect("getrandom", () =>
    Effect.gen(function* () {
      const [one, two] = [new Uint8Array(32), new Uint8Array(32)]
      assert.strictEqual(yield* Syscall.getrandom(one), 32)
      assert.strictEqual(yield* Syscall.getrandom(two, Syscall.GRND_NONBLOCK), 32)
      assert.notDeepEqual(one, two)
      assert.strictEqual(yield* failure(Syscall.getrandom(one, 0x100)), "getrandom EINVAL")
    })
  )

  it.live("clock_gettime and nanosleep", () =>
    Effect.gen(function* () {
      const now = Effect.map(
        Syscall.clock_gettime(Syscall.CLOCK_MONOTONIC),
        ({ tv_nsec, tv_sec }) => tv_sec * 1_000_000_000n + tv_nsec
      )
      const start = yield* now
      yield* Syscall.nanosleep("2 millis")
      yield* Syscall.nanosleep({ tv_sec: 0n, tv_nsec: 1_000_000n })
      assert.isTrue((yield* now) - start >= 3_000_000n)
      assert.strictEqual(yield* failure(Syscall.clock_gettime(9999)), "clock_gettime EINVAL")
      assert.strictEqual(yield* failure(Syscall.nanosleep({ tv_sec: 0n, tv_nsec: 1_000_000_000n })), "nanosleep EINVAL")
      assert.strictEqual(yield* failure(Syscall.nanosleep(Duration.infinity)), "nanosleep EINVAL")
    })
  )
})
