/** What hangs on a file besides its contents: extended attributes, the attributes of chattr, handles. */
import * as Fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { Syscall } from "../../src/index.ts"
import * as paths from "../../src/syscall/generated/paths.ts"
import * as custom from "../../src/syscall/paths.ts"
import { xattrNames } from "../../src/syscall/paths-events.ts"
import { directory, held } from "../support/fds.ts"

const { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW } = Syscall
const decoder = new TextDecoder()
const bytes = (text: string) => new TextEncoder().encode(text)
const root = process.getuid?.() === 0

const failure = <A, E extends { readonly _tag: string }>(self: Effect.Effect<A, E>) =>
  Effect.map(Effect.flip(self), ({ _tag }) => _tag)

const scoped = <A, E>(body: Effect.Effect<A, E, Scope.Scope>) => Effect.scoped(body)

const open = (path: string, flags = Syscall.O_RDONLY) => held(Syscall.openat(AT_FDCWD, path, flags | Syscall.O_CLOEXEC))

const fixture = Effect.map(directory, (path) => {
  const file = join(path, "file")
  const link = join(path, "link")
  Fs.writeFileSync(file, "contents")
  Fs.symlinkSync("file", link)
  return { path, file, link }
})

/** The value of an attribute that a getter reads. */
const attribute = <E>(get: (value: Uint8Array) => Effect.Effect<number, E>) =>
  Effect.gen(function* () {
    const value = new Uint8Array(yield* get(new Uint8Array(0)))
    const length = yield* get(value)
    return decoder.decode(value.subarray(0, length))
  })

const namesOf = <E>(list: (buffer: Uint8Array) => Effect.Effect<number, E>) =>
  Effect.gen(function* () {
    const buffer = new Uint8Array(1024)
    const length = yield* list(buffer)
    return xattrNames(buffer, length)
      .map((name) => decoder.decode(name))
      .filter((name) => name.startsWith("user.") || name.startsWith("trusted."))
      .sort()
  })

/** Whether the file system of temporary files has attributes of users at all. */
const unsupported = Effect.runSync(
  Effect.sync(() => {
    const path = Fs.mkdtempSync(join(tmpdir(), "effect-linux-"))
    try {
      const value = new Uint8Array(1)
      return Syscall.kernel.call(Syscall.nr.setxattr, bytes(`${path}\0`), bytes("user.probe\0"), value, 1, 0) !== 0
    } finally {
      Fs.rmdirSync(path)
    }
  })
)
const why = unsupported ? " (skipped: the file system of temporary files has none)" : ""

describe.skipIf(unsupported)(`extended attributes${why}`, () => {
  it.live("setxattr, getxattr, listxattr and removexattr by path", () =>
    scoped(
      Effect.gen(function* () {
        const { file, link } = yield* fixture
        yield* paths.setxattr(link, "user.one", bytes("first"))
        yield* paths.setxattr(file, "user.two", bytes("2"), Syscall.XATTR_CREATE)
        assert.strictEqual(yield* failure(paths.setxattr(file, "user.two", bytes("3"), Syscall.XATTR_CREATE)), "EEXIST")
        assert.strictEqual(
          yield* failure(paths.setxattr(file, "user.three", bytes("3"), Syscall.XATTR_REPLACE)),
          "ENODATA"
        )
        assert.strictEqual(yield* attribute((value) => paths.getxattr(file, "user.one", value)), "first")
        assert.strictEqual(yield* failure(paths.getxattr(file, "user.one", new Uint8Array(4))), "ERANGE")
        assert.strictEqual(yield* failure(paths.getxattr(file, "user.three", new Uint8Array(4))), "ENODATA")
        assert.deepStrictEqual(yield* namesOf((buffer) => paths.listxattr(link, buffer)), ["user.one", "user.two"])
        yield* paths.removexattr(file, "user.one")
        assert.deepStrictEqual(yield* namesOf((buffer) => paths.listxattr(file, buffer)), ["user.two"])
        assert.strictEqual(yield* failure(paths.removexattr(file, "user.one")), "ENODATA")
        assert.strictEqual(yield* failure(paths.setxattr(file, "no-namespace", bytes("x"))), "EOPNOTSUPP")
        assert.strictEqual(yield* failure(paths.setxattr(file, "user.\0", bytes("x"))), "EINVAL")
      })
    )
  )

  it.live("lsetxattr, lgetxattr, llistxattr and lremovexattr take a link itself", () =>
    scoped(
      Effect.gen(function* () {
        const { link } = yield* fixture
        // Links have no attributes of users; root may give them trusted ones.
        assert.strictEqual(yield* failure(paths.lsetxattr(link, "user.one", bytes("1"))), "EPERM")
        assert.strictEqual(yield* failure(paths.lgetxattr(link, "trusted.one", new Uint8Array(8))), "ENODATA")
        assert.deepStrictEqual(yield* namesOf((buffer) => paths.llistxattr(link, buffer)), [])
        assert.include(["ENODATA", "EPERM"], yield* failure(paths.lremovexattr(link, "trusted.one")))
        if (!root) return
        yield* paths.lsetxattr(link, "trusted.one", bytes("of the link"))
        assert.strictEqual(yield* attribute((value) => paths.lgetxattr(link, "trusted.one", value)), "of the link")
        assert.deepStrictEqual(yield* namesOf((buffer) => paths.llistxattr(link, buffer)), ["trusted.one"])
        yield* paths.lremovexattr(link, "trusted.one")
      })
    )
  )

  it.live("fsetxattr, fgetxattr, flistxattr and fremovexattr take a descriptor, and their errors name it", () =>
    scoped(
      Effect.gen(function* () {
        const { file } = yield* fixture
        const fd = yield* open(file)
        yield* custom.fsetxattr(fd, "user.one", bytes("by descriptor"), Syscall.XATTR_CREATE)
        assert.strictEqual(yield* attribute((value) => custom.fgetxattr(fd, "user.one", value)), "by descriptor")
        assert.deepStrictEqual(yield* namesOf((buffer) => paths.flistxattr(fd, buffer)), ["user.one"])
        yield* custom.fremovexattr(fd, "user.one")
        const gone = yield* Effect.flip(custom.fgetxattr(fd, "user.one", new Uint8Array(8)))
        assert.deepStrictEqual([gone._tag, gone.fd, gone.path], ["ENODATA", fd, undefined])
        assert.strictEqual(yield* failure(custom.fsetxattr(-1, "user.one", bytes("x"))), "EBADF")
        assert.strictEqual(yield* failure(custom.fremovexattr(fd, "user.one")), "ENODATA")
        assert.strictEqual(yield* failure(paths.flistxattr(-1, new Uint8Array(8))), "EBADF")
      })
    )
  )

  it.live.skipIf(!hasCall(Syscall.nr.setxattrat))(
    "setxattrat, getxattrat, listxattrat and removexattrat take a directory and flags",
    () =>
      scoped(
        Effect.gen(function* () {
          const { path, file } = yield* fixture
          const dir = yield* open(path)
          const large = new Uint8Array(2000).fill(7)
          yield* custom.setxattrat(dir, "file", 0, "user.large", large)
          yield* custom.setxattrat(yield* open(file), "", AT_EMPTY_PATH, "user.small", bytes("s"), Syscall.XATTR_CREATE)
          assert.strictEqual(yield* attribute((value) => paths.getxattr(file, "user.small", value)), "s")
          const read = new Uint8Array(3000)
          const length = yield* custom.getxattrat(dir, "file", 0, "user.large", read.subarray(500))
          assert.strictEqual(length, large.length)
          assert.deepStrictEqual(read.subarray(500, 2500), large)
          assert.isTrue(read.subarray(0, 500).every((byte) => byte === 0))
          assert.isTrue(read.subarray(2500).every((byte) => byte === 0))
          assert.strictEqual(yield* custom.getxattrat(dir, "link", 0, "user.large", new ArrayBuffer(0)), 2000)
          assert.strictEqual(
            yield* failure(custom.getxattrat(dir, "file", 0, "user.large", new Uint8Array(8))),
            "ERANGE"
          )
          assert.deepStrictEqual(yield* namesOf((buffer) => paths.listxattrat(dir, "link", 0, buffer)), [
            "user.large",
            "user.small"
          ])
          assert.deepStrictEqual(
            yield* namesOf((buffer) => paths.listxattrat(dir, "link", AT_SYMLINK_NOFOLLOW, buffer)),
            []
          )
          yield* paths.removexattrat(dir, "file", 0, "user.large")
          assert.strictEqual(yield* failure(paths.removexattrat(dir, "file", 0, "user.large")), "ENODATA")
          assert.strictEqual(yield* failure(custom.setxattrat(dir, "file", 1, "user.x", bytes("x"))), "EINVAL")
          assert.strictEqual(yield* failure(custom.setxattrat(dir, "file", 0, "user.x", bytes("x"), -1)), "EINVAL")
          const lost = new Uint8Array(8)
          structuredClone(lost, { transfer: [lost.buffer] })
          const detached = yield* Effect.flip(custom.setxattrat(dir, "file", 0, "user.x", lost))
          assert.strictEqual(detached._tag, "EFAULT")
        })
      )
  )

  it("xattrNames takes names apart, up to the length that it is told", () => {
    const list = bytes("user.a\0security.selinux\0")
    const names = (length?: number) => xattrNames(list, length).map((name) => decoder.decode(name))
    assert.deepStrictEqual(names(), ["user.a", "security.selinux"])
    assert.deepStrictEqual(names(7), ["user.a"])
    assert.deepStrictEqual(names(0), [])
  })
})

/** Whether the running kernel has a call. */
function hasCall(nr: number): boolean {
  return Syscall.kernel.call(nr, -1, 0, 0, 0, 0, 0) !== -38
}

describe("the attributes of chattr", () => {
  it.live.skipIf(!hasCall(Syscall.nr.file_getattr))("file_getattr and file_setattr change what lsattr shows", () =>
    scoped(
      Effect.gen(function* () {
        const { path, file } = yield* fixture
        const dir = yield* open(path)
        const before = yield* Effect.exit(paths.file_getattr(dir, "file"))
        if (before._tag === "Failure") {
          assert.strictEqual(yield* failure(paths.file_getattr(dir, "file")), "EOPNOTSUPP")
        } else {
          const attributes = before.value
          yield* paths.file_setattr(dir, "file", {
            ...attributes,
            fa_xflags: attributes.fa_xflags | BigInt(Syscall.FS_XFLAG_NODUMP)
          })
          const { fa_xflags } = yield* paths.file_getattr(yield* open(file), "", AT_EMPTY_PATH)
          assert.strictEqual(fa_xflags, attributes.fa_xflags | BigInt(Syscall.FS_XFLAG_NODUMP))
          const { stx_attributes } = yield* Syscall.statx(dir, "file", 0, Syscall.STATX_BASIC_STATS)
          assert.strictEqual(stx_attributes & BigInt(Syscall.STATX_ATTR_NODUMP), BigInt(Syscall.STATX_ATTR_NODUMP))
          assert.strictEqual(
            yield* failure(paths.file_setattr(dir, "file", { ...attributes, fa_xflags: 1n << 40n })),
            "EINVAL"
          )
        }
        assert.strictEqual(yield* failure(paths.file_getattr(dir, "nope")), "ENOENT")
        assert.strictEqual(yield* failure(paths.file_getattr(dir, "file", 1)), "EINVAL")
      })
    )
  )
})

describe("handles", () => {
  it.live("name_to_handle_at gives what open_by_handle_at finds the file by", () =>
    scoped(
      Effect.gen(function* () {
        const { path, file } = yield* fixture
        const dir = yield* open(path)
        const { handle, mount_id } = yield* custom.name_to_handle_at(dir, "file")
        assert.isAbove(handle.f_handle.length, 0)
        const mounts = Fs.readFileSync("/proc/self/mountinfo", "utf8").split("\n")
        assert.isTrue(mounts.some((line) => line.startsWith(`${mount_id} `)))
        const same = yield* custom.name_to_handle_at(yield* open(file), "", AT_EMPTY_PATH)
        assert.deepStrictEqual(same, { handle, mount_id })
        assert.strictEqual(yield* failure(custom.name_to_handle_at(dir, "nope")), "ENOENT")
        assert.strictEqual(yield* failure(custom.name_to_handle_at(dir, "file", 0x40000000)), "EINVAL")

        const oversized = { handle_type: 1, f_handle: new Uint8Array(Syscall.MAX_HANDLE_SZ + 1) }
        assert.include(["EINVAL", "EPERM"], yield* failure(custom.open_by_handle_at(dir, oversized, 0)))
        const exit = yield* Effect.exit(custom.open_by_handle_at(dir, handle, Syscall.O_RDONLY | Syscall.O_CLOEXEC))
        if (exit._tag === "Failure") {
          assert.strictEqual(yield* failure(custom.open_by_handle_at(dir, handle, Syscall.O_RDONLY)), "EPERM")
          return
        }
        const fd = yield* held(Effect.succeed(exit.value))
        assert.strictEqual(Fs.readFileSync(fd, "utf8"), "contents")
      })
    )
  )

  it.live.skipIf(!hasCall(Syscall.nr.removexattrat))("name_to_handle_at gives the unique number of the mount", () =>
    scoped(
      Effect.gen(function* () {
        const { file } = yield* fixture
        const { mount_id } = yield* custom.name_to_handle_at(AT_FDCWD, file, Syscall.AT_HANDLE_MNT_ID_UNIQUE)
        const { stx_mnt_id } = yield* Syscall.statx(AT_FDCWD, file, 0, Syscall.STATX_MNT_ID_UNIQUE)
        assert.strictEqual(mount_id, stx_mnt_id)
      })
    )
  )
})
