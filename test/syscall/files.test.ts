/** Calls on open files that have no test elsewhere: each against the real kernel. */

import { readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Syscall } from "../../src/index.ts"
import * as files from "../../src/syscall/generated/files.ts"
import { closing, temporaryDirectory } from "../support/temporary.ts"

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (buffer: Uint8Array) => new TextDecoder().decode(buffer)

/** A file with these contents, open for reading and writing, and its path. */
const fileOf = (contents: string) =>
  Effect.gen(function* () {
    const path = join(yield* temporaryDirectory, "file")
    writeFileSync(path, contents)
    const fd = yield* closing(files.open(path, Syscall.O_RDWR | Syscall.O_CLOEXEC))
    return { path, fd }
  })

const pipe = Effect.gen(function* () {
  const [read, write] = yield* Syscall.pipe2(Syscall.O_CLOEXEC)
  yield* closing(Effect.succeed(read))
  yield* closing(Effect.succeed(write))
  return [read, write] as const
})

describe("opening", () => {
  it.live("open reads the flags, and fails with ENOENT for nothing", () =>
    Effect.gen(function* () {
      const { path } = yield* fileOf("abc")
      const fd = yield* closing(files.open(path, Syscall.O_RDONLY))
      const buffer = new Uint8Array(8)
      assert.strictEqual(yield* Syscall.read(fd, buffer), 3)
      const error = yield* Effect.flip(files.open(`${path}.not`, Syscall.O_RDONLY))
      assert.strictEqual(error._tag, "ENOENT")
      assert.strictEqual(error.path, `${path}.not`)
    })
  )

  it.live("creat makes a file with the mode, and cuts one that is there", () =>
    Effect.gen(function* () {
      const path = join(yield* temporaryDirectory, "new")
      yield* closing(files.creat(path, 0o640))
      assert.strictEqual(statSync(path).mode & 0o777, 0o640 & ~process.umask())
      writeFileSync(path, "something")
      yield* closing(files.creat(path, 0o640))
      assert.strictEqual(statSync(path).size, 0)
    })
  )

  it.live("openat2 stays beneath a directory when told to", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      writeFileSync(join(directory, "in"), "x")
      const dirfd = yield* closing(files.open(directory, Syscall.O_DIRECTORY | Syscall.O_RDONLY))
      const how = {
        flags: BigInt(Syscall.O_RDONLY | Syscall.O_CLOEXEC),
        mode: 0n,
        resolve: BigInt(Syscall.RESOLVE_BENEATH)
      }
      yield* closing(files.openat2(dirfd, "in", how))
      const error = yield* Effect.flip(files.openat2(dirfd, "../..", how))
      assert.strictEqual(error._tag, "EXDEV")
      const invalid = yield* Effect.flip(files.openat2(dirfd, "in", { ...how, mode: 0o600n }))
      assert.strictEqual(invalid._tag, "EINVAL")
    })
  )
})

describe("descriptors", () => {
  it.live("dup2 takes the number it is told", () =>
    Effect.gen(function* () {
      const { fd } = yield* fileOf("abc")
      const spare = yield* closing(Syscall.dup(fd))
      assert.strictEqual(yield* files.dup2(fd, spare), spare)
      assert.strictEqual((yield* Effect.flip(files.dup2(-1, spare)))._tag, "EBADF")
    })
  )

  it.live("close_range marks or closes a range, and refuses one that is turned round", () =>
    Effect.gen(function* () {
      const { fd } = yield* fileOf("abc")
      const high = yield* Syscall.fcntl(fd, Syscall.F_DUPFD, 900)
      yield* files.close_range(high, high, Syscall.CLOSE_RANGE_CLOEXEC)
      assert.strictEqual(yield* Syscall.fcntl(high, Syscall.F_GETFD), Syscall.FD_CLOEXEC)
      yield* files.close_range(high, high)
      assert.strictEqual((yield* Effect.flip(Syscall.fcntl(high, Syscall.F_GETFD)))._tag, "EBADF")
      assert.strictEqual((yield* Effect.flip(files.close_range(5, 4)))._tag, "EINVAL")
    })
  )

  it.live("pipe makes two descriptors that are not close-on-exec", () =>
    Effect.gen(function* () {
      const [read, write] = yield* Syscall.pipe
      yield* closing(Effect.succeed(read))
      yield* closing(Effect.succeed(write))
      yield* Syscall.write(write, bytes("hi"))
      const buffer = new Uint8Array(4)
      assert.strictEqual(yield* Syscall.read(read, buffer), 2)
      assert.strictEqual(yield* Syscall.fcntl(read, Syscall.F_GETFD), 0)
    })
  )

  it.live("flock waits for another holder off the event loop, and can be interrupted", () =>
    Effect.gen(function* () {
      const { fd, path } = yield* fileOf("")
      const other = yield* closing(files.open(path, Syscall.O_RDWR))
      yield* files.flock(fd, Syscall.LOCK_EX)
      const busy = yield* Effect.flip(files.flock(other, Syscall.LOCK_EX | Syscall.LOCK_NB))
      assert.strictEqual(busy._tag, "EAGAIN")
      const interrupted = yield* Effect.forkChild(files.flock(other, Syscall.LOCK_EX), { startImmediately: true })
      yield* Fiber.interrupt(interrupted)
      const waiting = yield* Effect.forkChild(files.flock(other, Syscall.LOCK_EX), { startImmediately: true })
      yield* files.flock(fd, Syscall.LOCK_UN)
      yield* Fiber.join(waiting)
    })
  )
})

describe("transfers", () => {
  it.live("preadv, preadv2, pwritev and pwritev2 transfer at an offset, in pieces", () =>
    Effect.gen(function* () {
      const { fd, path } = yield* fileOf("0123456789")
      const [a, b] = [new Uint8Array(2), new Uint8Array(3)]
      assert.strictEqual(yield* files.preadv(fd, [a, b], 1), 5)
      assert.strictEqual(text(a) + text(b), "12345")
      assert.strictEqual(yield* files.preadv2(fd, [a, b], 4n), 5)
      assert.strictEqual(text(a) + text(b), "45678")
      assert.strictEqual(yield* files.pwritev(fd, [bytes("ab"), bytes("c")], 2), 3)
      assert.strictEqual(yield* files.pwritev2(fd, [bytes("X")], 9, Syscall.RWF_DSYNC), 1)
      assert.strictEqual(readFileSync(path, "utf8"), "01abc5678X")
      assert.strictEqual((yield* Effect.flip(files.pwritev2(fd, [bytes("X")], 0, 1 << 30)))._tag, "EOPNOTSUPP")
      // -1 is no offset to the first of them, and the file's own to the second.
      assert.strictEqual((yield* Effect.flip(files.preadv(fd, [a], -1)))._tag, "EINVAL")
      assert.strictEqual(yield* files.preadv2(fd, [a], -1), 2)
    })
  )

  it.live("sendfile copies from the offset of its source", () =>
    Effect.gen(function* () {
      const { fd } = yield* fileOf("hello")
      const { fd: target, path } = yield* fileOf("")
      yield* Syscall.lseek(fd, 1, Syscall.SEEK_SET)
      assert.strictEqual(yield* files.sendfile(target, fd, null, 100), 4)
      assert.strictEqual(yield* files.sendfile(target, fd, 3n, 100), 2)
      assert.strictEqual(readFileSync(path, "utf8"), "ellolo")
    })
  )

  it.live("copy_file_range copies between files", () =>
    Effect.gen(function* () {
      const { fd } = yield* fileOf("hello")
      const { fd: target, path } = yield* fileOf("")
      assert.strictEqual(yield* files.copy_file_range(fd, null, target, null, 3), 3)
      assert.strictEqual(yield* files.copy_file_range(fd, 3, target, 1n, 2), 2)
      assert.strictEqual(readFileSync(path, "utf8"), "hlo")
      assert.strictEqual((yield* Effect.flip(files.copy_file_range(fd, null, target, null, 1, 1 << 20)))._tag, "EINVAL")
    })
  )

  it.live("splice moves a file's bytes to a pipe, tee copies them on, vmsplice maps pages into it", () =>
    Effect.gen(function* () {
      const { fd } = yield* fileOf("splice me")
      const [read, write] = yield* pipe
      const [secondRead, secondWrite] = yield* pipe
      assert.strictEqual(yield* files.splice(fd, 0, write, null, 6), 6)
      assert.strictEqual(yield* files.tee(read, secondWrite, 100), 6)
      const buffer = new Uint8Array(16)
      assert.strictEqual(yield* Syscall.read(read, buffer), 6)
      assert.strictEqual(yield* Syscall.read(secondRead, buffer), 6)
      assert.strictEqual(text(buffer.subarray(0, 6)), "splice")
      assert.strictEqual(yield* Syscall.vmsplice(write, [bytes("pages"), bytes("!")]), 6)
      assert.strictEqual(yield* Syscall.read(read, buffer), 6)
      assert.strictEqual(text(buffer.subarray(0, 6)), "pages!")
    })
  )
})

describe("what a file takes up", () => {
  it.live("truncate sets the length by path", () =>
    Effect.gen(function* () {
      const { path } = yield* fileOf("hello")
      yield* files.truncate(path, 2)
      assert.strictEqual(readFileSync(path, "utf8"), "he")
      assert.strictEqual((yield* Effect.flip(files.truncate(path, -1)))._tag, "EINVAL")
    })
  )

  it.live("fallocate allocates, and punches holes", () =>
    Effect.gen(function* () {
      const { fd, path } = yield* fileOf("")
      yield* files.fallocate(fd, 0, 0, 8192)
      assert.strictEqual(statSync(path).size, 8192)
      yield* files.fallocate(fd, Syscall.FALLOC_FL_PUNCH_HOLE | Syscall.FALLOC_FL_KEEP_SIZE, 0, 4096)
      assert.strictEqual(yield* Syscall.lseek(fd, 0, Syscall.SEEK_HOLE), 0)
      assert.strictEqual((yield* Effect.flip(files.fallocate(fd, 0, 0, 0)))._tag, "EINVAL")
    })
  )

  it.live("fadvise64, readahead, sync_file_range and syncfs take a file", () =>
    Effect.gen(function* () {
      const { fd } = yield* fileOf("x".repeat(8192))
      yield* files.fadvise64(fd, 0, 0, Syscall.POSIX_FADV_SEQUENTIAL)
      yield* files.readahead(fd, 0, 4096)
      yield* files.sync_file_range(fd, 0, 0, Syscall.SYNC_FILE_RANGE_WRITE)
      yield* files.syncfs(fd)
      assert.strictEqual((yield* Effect.flip(files.fadvise64(fd, 0, 0, 99)))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(files.readahead(-1, 0, 1)))._tag, "EBADF")
      assert.strictEqual((yield* Effect.flip(files.syncfs(-1)))._tag, "EBADF")
    })
  )
})
