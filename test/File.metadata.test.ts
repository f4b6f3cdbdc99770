/** What is known of files and can be set: status, times, permissions, owners, attributes, the room they take. */

import { existsSync, lstatSync, statfsSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { File, Syscall } from "../src/index.ts"
import { callsOf, pipe, temporaryDirectory, temporaryFile, text, utf8 } from "./support/files.ts"

const isRoot = process.getuid?.() === 0

/** A directory with a file of ten bytes, and a link to it. */
const linked = Effect.gen(function* () {
  const path = yield* temporaryDirectory
  writeFileSync(join(path, "file"), "0123456789", { mode: 0o600 })
  symlinkSync("file", join(path, "link"))
  symlinkSync("nowhere", join(path, "broken"))
  return { path, file: join(path, "file"), link: join(path, "link"), directory: yield* File.open(path) }
})

const tag = <E extends { readonly _tag: string }, R>(self: Effect.Effect<unknown, E, R>) =>
  Effect.map(Effect.flip(self), ({ _tag }) => _tag)

const { nanoseconds } = File

describe("File.stat and File.statAt", () => {
  it.live("tell what node:fs tells, and more", () =>
    Effect.gen(function* () {
      const { file, path } = yield* linked
      const expected = statSync(file, { bigint: true })
      for (const actual of [yield* File.stat(yield* File.open(file)), yield* File.statAt(File.cwd, file)]) {
        assert.strictEqual(actual.stx_ino, expected.ino)
        assert.strictEqual(actual.stx_size, expected.size)
        assert.strictEqual(actual.stx_blocks, expected.blocks)
        assert.strictEqual(BigInt(actual.stx_mode), expected.mode)
        assert.strictEqual(BigInt(actual.stx_nlink), expected.nlink)
        assert.strictEqual(BigInt(actual.stx_uid), expected.uid)
        assert.strictEqual(BigInt(Syscall.makedev(actual.stx_dev_major, actual.stx_dev_minor)), expected.dev)
        assert.strictEqual(nanoseconds(actual.stx_mtime), expected.mtimeNs)
        assert.strictEqual(nanoseconds(actual.stx_ctime), expected.ctimeNs)
        if ((actual.stx_mask & Syscall.STATX_BTIME) !== 0) {
          assert.strictEqual(nanoseconds(actual.stx_btime), expected.birthtimeNs)
        }
        if ((actual.stx_mask & Syscall.STATX_MNT_ID) !== 0) assert.isAbove(Number(actual.stx_mnt_id), 0)
      }
      assert.strictEqual((yield* File.stat(yield* File.open(path, { pathOnly: true }))).stx_mode & 0o170000, 0o040000)
    })
  )

  it.live("follow links or do not", () =>
    Effect.gen(function* () {
      const { directory } = yield* linked
      assert.strictEqual((yield* File.statAt(directory, "link")).stx_size, 10n)
      assert.strictEqual((yield* File.statAt(directory, "link", { followLinks: false })).stx_size, 4n)
      assert.strictEqual(yield* tag(File.statAt(directory, "broken")), "ENOENT")
      yield* File.statAt(directory, "broken", { followLinks: false })
    })
  )

  it.live("pass on how a far file system is to be asked", () =>
    Effect.gen(function* () {
      const flags = yield* Effect.forEach(["asFileSystem", "force", "never"] as const, (synchronise) =>
        Effect.map(callsOf(File.statAt(File.cwd, "/", { synchronise })), ({ calls }) => calls[0]?.args[2])
      )
      assert.deepStrictEqual(flags, [0, Syscall.AT_STATX_FORCE_SYNC, Syscall.AT_STATX_DONT_SYNC])
    })
  )
})

it.live("File.statfs tells of the file system", () =>
  Effect.gen(function* () {
    const { directory, path } = yield* linked
    const [actual, expected] = [yield* File.statfs(directory), statfsSync(path, { bigint: true })]
    assert.strictEqual(actual.f_type, expected.type)
    assert.strictEqual(actual.f_bsize, expected.bsize)
    assert.strictEqual(actual.f_blocks, expected.blocks)
    assert.strictEqual(actual.f_files, expected.files)
  })
)

describe("File.setTimes and File.setTimesAt", () => {
  it.live("set one or both, to the nanosecond, before 1970 too", () =>
    Effect.gen(function* () {
      const { directory, file } = yield* linked
      const open = yield* File.open(file)
      yield* File.setTimes(open, { accessed: { tv_sec: 1n, tv_nsec: 2n }, modified: { tv_sec: 3n, tv_nsec: 4n } })
      const times = () => {
        const { atimeNs, mtimeNs } = statSync(file, { bigint: true })
        return [atimeNs, mtimeNs]
      }
      assert.deepStrictEqual(times(), [1_000_000_002n, 3_000_000_004n])
      yield* File.setTimesAt(directory, "file", { modified: new Date(1_500_000_000_123) })
      assert.deepStrictEqual(times(), [1_000_000_002n, 1_500_000_000_123_000_000n])
      yield* File.setTimes(open, { accessed: new Date(-1) })
      assert.deepStrictEqual(times(), [-1_000_000n, 1_500_000_000_123_000_000n])
      const before = BigInt(Date.now() - 1000) * 1_000_000n
      yield* File.setTimes(open, { accessed: "now" })
      assert.isTrue((times()[0] ?? 0n) >= before)
      yield* File.setTimes(open, {})
      assert.strictEqual(times()[1], 1_500_000_000_123_000_000n)
    })
  )

  it.live("of a link itself leave the file's", () =>
    Effect.gen(function* () {
      const { directory, file, link } = yield* linked
      const before = statSync(file, { bigint: true }).mtimeNs
      yield* File.setTimesAt(directory, "link", { modified: { tv_sec: 7n, tv_nsec: 0n } }, { followLinks: false })
      assert.strictEqual(lstatSync(link, { bigint: true }).mtimeNs, 7_000_000_000n)
      assert.strictEqual(statSync(file, { bigint: true }).mtimeNs, before)
    })
  )

  it.live("refuse what is no time", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const error = yield* Effect.flip(File.setTimes(file, { modified: new Date(Number.NaN) }))
      assert.strictEqual(error._tag, "EINVAL")
      assert.include(error.message, "modified")
      const bad = { tv_sec: 0n, tv_nsec: 1_000_000_000n }
      assert.strictEqual(yield* tag(File.setTimes(file, { modified: bad })), "EINVAL")
    })
  )
})

describe("permissions and owners", () => {
  it.live("File.chmod and File.chmodAt set all bits", () =>
    Effect.gen(function* () {
      const { directory, file } = yield* linked
      yield* File.chmod(yield* File.open(file), 0o4751)
      assert.strictEqual(statSync(file).mode & 0o7777, 0o4751)
      yield* File.chmodAt(directory, "link", 0o640)
      assert.strictEqual(statSync(file).mode & 0o7777, 0o640)
      // Linux has no permissions of links, and before 6.6 no call to say so.
      const refused = yield* Effect.flip(File.chmodAt(directory, "link", 0o600, { followLinks: false }))
      assert.oneOf(refused._tag, ["EOPNOTSUPP", "ENOSYS", "OtherErrno"])
      assert.strictEqual(statSync(file).mode & 0o7777, 0o640)
    })
  )

  it.live("are refused by name where the kernel would take other ones for them", () =>
    Effect.gen(function* () {
      const { directory, file, path } = yield* linked
      const open = yield* File.open(file)
      const before = statSync(file)
      for (const mode of [-1, 0o10000, 0.5, Number.NaN]) {
        const errors = [
          yield* Effect.flip(File.chmod(open, mode)),
          yield* Effect.flip(File.chmodAt(directory, "file", mode)),
          yield* Effect.flip(File.mkdir(join(path, "made"), { mode })),
          yield* Effect.flip(File.mknod(join(path, "made"), { type: "fifo", mode })),
          yield* Effect.flip(Effect.scoped(File.create(join(path, "made"), { mode }))),
          yield* Effect.flip(Effect.scoped(File.openAt(directory, "made", { access: "write", create: true, mode }))),
          yield* Effect.flip(Effect.scoped(File.tempFile(path, { mode })))
        ]
        for (const error of errors) {
          assert.strictEqual(error._tag, "EINVAL")
          assert.include(error.message, `mode: ${mode} `)
        }
      }
      for (const id of [-1, -5, 2 ** 32, 2 ** 32 - 1, 1.5, Number.NaN]) {
        for (const name of ["uid", "gid"] as const) {
          for (const chown of [File.chown(open, { [name]: id }), File.chownAt(directory, "file", { [name]: id })]) {
            const error = yield* Effect.flip(chown)
            assert.strictEqual(error._tag, "EINVAL")
            assert.include(error.message, `${name}: ${id} `)
          }
        }
      }
      const { gid, mode, uid } = statSync(file)
      assert.deepStrictEqual([gid, mode, uid], [before.gid, before.mode, before.uid])
      assert.isFalse(existsSync(join(path, "made")))
    }).pipe(Effect.scoped)
  )

  it.live("File.chown and File.chownAt set what is said and leave the rest", ({ skip }) =>
    Effect.gen(function* () {
      if (!isRoot) return skip("only root gives files away")
      const { directory, file, link, path } = yield* linked
      const owners = (of: string) => [lstatSync(of).uid, lstatSync(of).gid]
      yield* File.chown(yield* File.open(file), { uid: 1001, gid: 1002 })
      assert.deepStrictEqual(owners(file), [1001, 1002])
      yield* File.chown(yield* File.open(file, { pathOnly: true }), { gid: 1003 })
      assert.deepStrictEqual(owners(file), [1001, 1003])
      yield* File.chownAt(directory, "link", { uid: 1004 })
      assert.deepStrictEqual(owners(file), [1004, 1003])
      yield* File.chownAt(directory, "link", { uid: 1005 }, { followLinks: false })
      assert.deepStrictEqual([owners(file)[0], owners(link)[0]], [1004, 1005])
      yield* File.chown(yield* File.open(path), {})
    })
  )
})

describe("File.access and File.exists", () => {
  it.live("tell whether something is there", () =>
    Effect.gen(function* () {
      const { directory, file, path } = yield* linked
      assert.isTrue(yield* File.exists(file))
      assert.isTrue(yield* File.existsAt(directory, "link"))
      assert.isFalse(yield* File.existsAt(directory, "broken"))
      assert.isTrue(yield* File.existsAt(directory, "broken", { followLinks: false }))
      assert.isFalse(yield* File.exists(join(path, "none")))
      assert.isFalse(yield* File.exists(join(file, "below")))
      assert.strictEqual(yield* tag(File.exists("x".repeat(5000))), "ENAMETOOLONG")
    })
  )

  it.live("tell what may be done, and why not", () =>
    Effect.gen(function* () {
      const { directory, file } = yield* linked
      yield* File.access(file)
      yield* File.access(file, { read: true, write: true })
      yield* File.accessAt(directory, "link", { read: true })
      // Not even root executes what nobody may.
      assert.strictEqual(yield* tag(File.access(file, { execute: true })), "EACCES")
      yield* File.accessAt(directory, "broken", { followLinks: false })
      assert.strictEqual(yield* tag(File.accessAt(directory, "broken")), "ENOENT")
    })
  )

  it.live("ask for the effective user, or the real one", () =>
    Effect.gen(function* () {
      const flags = yield* Effect.forEach([true, false], (effective) =>
        Effect.map(callsOf(File.access("/", { effective, read: true })), ({ calls }) => calls[0]?.args.slice(2))
      )
      assert.deepStrictEqual(flags, [
        [4, Syscall.AT_EACCESS],
        [4, 0]
      ])
    })
  )
})

describe("File.isTerminal", () => {
  it.live("is true of a terminal and of nothing else", () =>
    Effect.gen(function* () {
      assert.isFalse(yield* File.isTerminal(yield* temporaryFile))
      assert.isFalse(yield* File.isTerminal((yield* pipe).reader))
      assert.isFalse(yield* File.isTerminal(yield* File.open("/dev/null")))
      const terminal = yield* File.open("/dev/ptmx", { access: "readWrite", noControllingTty: true })
      assert.isTrue(yield* File.isTerminal(terminal))
      yield* File.close(terminal)
      assert.strictEqual(yield* tag(File.isTerminal(terminal)), "EBADF")
    })
  )
})

describe("extended attributes", () => {
  it.live("are set, read, listed and removed", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      yield* File.setXattr(file, "user.text", "zażółć")
      yield* File.setXattr(file, "user.bytes", Uint8Array.of(0, 255, 10))
      yield* File.setXattr(file, "user.empty", "")
      assert.strictEqual(text(yield* File.getXattr(file, "user.text")), "zażółć")
      assert.deepStrictEqual([...(yield* File.getXattr(file, "user.bytes"))], [0, 255, 10])
      assert.strictEqual((yield* File.getXattr(file, "user.empty")).length, 0)
      const names = (yield* File.listXattrs(file)).filter((name) => String(name).startsWith("user."))
      assert.sameMembers(names, ["user.text", "user.bytes", "user.empty"])
      yield* File.removeXattr(file, "user.text")
      assert.strictEqual(yield* tag(File.getXattr(file, "user.text")), "ENODATA")
      assert.strictEqual(yield* tag(File.removeXattr(file, "user.text")), "ENODATA")
    })
  )

  it.live("may be long, and have names that are no UTF-8", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const long = new Uint8Array(3000).fill(7)
      yield* File.setXattr(file, "user.long", long)
      assert.deepStrictEqual(yield* File.getXattr(file, "user.long"), long)
      const name = Uint8Array.from([...utf8("user."), 0xff, 0x41])
      yield* File.setXattr(file, name, "odd")
      assert.strictEqual(text(yield* File.getXattr(file, name)), "odd")
      const found = (yield* File.listXattrs(file)).find((found) => typeof found !== "string")
      assert.deepStrictEqual(found, name)
      for (let index = 0; index < 20; index++) yield* File.setXattr(file, `user.${"n".repeat(20)}${index}`, "")
      assert.isAtLeast((yield* File.listXattrs(file)).length, 22)
    })
  )

  it.live("can be said to be new, or to be there", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      assert.strictEqual(yield* tag(File.setXattr(file, "user.a", "1", { only: "replace" })), "ENODATA")
      yield* File.setXattr(file, "user.a", "1", { only: "create" })
      assert.strictEqual(yield* tag(File.setXattr(file, "user.a", "2", { only: "create" })), "EEXIST")
      yield* File.setXattr(file, "user.a", "2", { only: "replace" })
      assert.strictEqual(text(yield* File.getXattr(file, "user.a")), "2")
      assert.strictEqual(yield* tag(File.setXattr(file, "user.\0", "")), "EINVAL")
      assert.strictEqual(yield* tag(File.getXattr(yield* File.open("/proc/version"), "user.a")), "EOPNOTSUPP")
    })
  )
})

describe("room", () => {
  /** Three blocks: of 1, of 2, of 3. */
  const blocks = Effect.gen(function* () {
    const file = yield* temporaryFile
    for (const value of [1, 2, 3]) yield* File.writeAll(file, new Uint8Array(4096).fill(value))
    return file
  })

  /** The first byte of each block. */
  const firsts = (file: File.File) =>
    Effect.gen(function* () {
      const size = Number((yield* File.stat(file)).stx_size)
      const all = new Uint8Array(size)
      yield* File.pread(file, all, 0)
      return Array.from({ length: Math.ceil(size / 4096) }, (_, index) => all[index * 4096])
    })

  it.live("is allocated, with or without the size", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      yield* File.allocate(file, 0, 1 << 20, { keepSize: true })
      const kept = yield* File.stat(file)
      assert.strictEqual(kept.stx_size, 0n)
      assert.isAtLeast(Number(kept.stx_blocks) * 512, 1 << 20)
      yield* File.allocate(file, 100n, 1000)
      assert.strictEqual((yield* File.stat(file)).stx_size, 1100n)
      assert.strictEqual(yield* tag(File.allocate(file, 0, 0)), "EINVAL")
    })
  )

  it.live("is given back by holes, which seek finds", () =>
    Effect.gen(function* () {
      const file = yield* blocks
      yield* File.punchHole(file, 4096, 4096)
      assert.deepStrictEqual(yield* firsts(file), [1, 0, 3])
      assert.strictEqual(yield* File.seek(file, File.Seek.hole(0)), 4096)
      assert.strictEqual(yield* File.seek(file, File.Seek.data(4096)), 8192)
      assert.strictEqual(yield* tag(File.seek(file, File.Seek.data(12288))), "ENXIO")
    })
  )

  it.live("is zeroed, collapsed, inserted, unshared where the file system knows how", () =>
    Effect.gen(function* () {
      const file = yield* blocks
      const tried = yield* Effect.exit(File.zeroRange(file, 4096, 4096))
      if (tried._tag === "Failure") {
        // tmpfs and others: the call reached the kernel, which said so.
        assert.strictEqual(yield* tag(File.zeroRange(file, 4096, 4096)), "EOPNOTSUPP")
        return
      }
      assert.deepStrictEqual(yield* firsts(file), [1, 0, 3])
      yield* File.zeroRange(file, 8192, 8192, { keepSize: true })
      assert.deepStrictEqual(yield* firsts(file), [1, 0, 0])
      const shifting = yield* blocks
      const shifted = yield* Effect.exit(File.collapseRange(shifting, 0, 4096))
      if (shifted._tag === "Failure") return
      assert.deepStrictEqual(yield* firsts(shifting), [2, 3])
      yield* File.insertRange(shifting, 4096, 4096)
      assert.deepStrictEqual(yield* firsts(shifting), [2, 0, 3])
      const unshared = yield* Effect.exit(File.unshareRange(shifting, 0, 4096))
      if (unshared._tag === "Failure") {
        assert.strictEqual(yield* tag(File.unshareRange(shifting, 0, 4096)), "EOPNOTSUPP")
      }
      const modes = yield* Effect.map(callsOf(Effect.exit(File.unshareRange(shifting, 0, 4096))), ({ calls }) =>
        calls.map(({ args }) => args[1])
      )
      assert.deepStrictEqual(modes, [Syscall.FALLOC_FL_UNSHARE_RANGE])
    })
  )

  it.live("advice is passed on", () =>
    Effect.gen(function* () {
      const file = yield* blocks
      const advices = ["normal", "random", "sequential", "willNeed", "dontNeed", "noReuse"] as const
      const made = yield* Effect.forEach(advices, (advice) =>
        Effect.map(callsOf(File.advise(file, advice, { offset: 1, length: 2 })), ({ calls }) => calls[0]?.args.slice(1))
      )
      assert.deepStrictEqual(made.map(String), ["1,2,0", "1,2,1", "1,2,2", "1,2,3", "1,2,4", "1,2,5"])
      assert.strictEqual(yield* tag(File.advise((yield* pipe).reader, "normal")), "ESPIPE")
    })
  )

  it.live("is written back", () =>
    Effect.gen(function* () {
      const file = yield* blocks
      yield* File.sync(file)
      yield* File.dataSync(file)
      yield* File.syncFs(file)
      assert.strictEqual(yield* tag(File.sync((yield* pipe).reader)), "EINVAL")
    })
  )

  it.live("words that are none are defects", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      // @ts-expect-error no such advice
      const exit = yield* Effect.exit(File.advise(file, "sometimes"))
      assert.include(String(exit._tag === "Failure" ? exit.cause : ""), "no such advice")
    })
  )
})
