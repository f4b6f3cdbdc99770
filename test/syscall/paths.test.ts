/** Files by name: what is known of them, their names, permissions, owners and times; against what node:fs says. */
import * as Fs from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { type Abi, type Errno, Syscall } from "../../src/index.ts"
import * as paths from "../../src/syscall/generated/paths.ts"
import * as custom from "../../src/syscall/paths.ts"
import { oldDirents } from "../../src/syscall/paths-events.ts"
import { directory, held } from "../support/fds.ts"

const { AT_FDCWD } = Syscall
const decoder = new TextDecoder()

/** Calls that only x86_64 has. */
const onX86 = it.live.skipIf(Syscall.nr.stat === undefined)

const failure = <A, E extends { readonly _tag: string }>(self: Effect.Effect<A, E>) =>
  Effect.map(Effect.flip(self), ({ _tag }) => _tag)

/** A directory with a file and a link to it. */
const fixture = Effect.map(directory, (path) => {
  const file = join(path, "file")
  const link = join(path, "link")
  Fs.writeFileSync(file, "twelve bytes", { mode: 0o640 })
  Fs.symlinkSync("file", link)
  return { path, file, link, at: (name: string) => join(path, name) }
})

const open = (path: string, flags = Syscall.O_RDONLY) => held(Syscall.openat(AT_FDCWD, path, flags | Syscall.O_CLOEXEC))

const scoped = <A, E>(body: Effect.Effect<A, E, Scope.Scope>) => Effect.scoped(body)

const sameStatus = (ours: Abi.stat, path: string, follow = true) => {
  const theirs = (follow ? Fs.statSync : Fs.lstatSync)(path, { bigint: true })
  assert.deepStrictEqual(
    {
      dev: ours.st_dev,
      ino: ours.st_ino,
      nlink: ours.st_nlink,
      mode: BigInt(ours.st_mode),
      uid: BigInt(ours.st_uid),
      gid: BigInt(ours.st_gid),
      rdev: ours.st_rdev,
      size: ours.st_size,
      blksize: ours.st_blksize,
      blocks: ours.st_blocks,
      atime: ours.st_atime * 1_000_000_000n + ours.st_atime_nsec,
      mtime: ours.st_mtime * 1_000_000_000n + ours.st_mtime_nsec,
      ctime: ours.st_ctime * 1_000_000_000n + ours.st_ctime_nsec
    },
    {
      dev: theirs.dev,
      ino: theirs.ino,
      nlink: theirs.nlink,
      mode: theirs.mode,
      uid: theirs.uid,
      gid: theirs.gid,
      rdev: theirs.rdev,
      size: theirs.size,
      blksize: theirs.blksize,
      blocks: theirs.blocks,
      atime: theirs.atimeNs,
      mtime: theirs.mtimeNs,
      ctime: theirs.ctimeNs
    }
  )
}

describe("what is known of a file", () => {
  onX86("stat tells what node:fs does, and follows a link", () =>
    scoped(
      Effect.gen(function* () {
        const { file, link, at } = yield* fixture
        sameStatus(yield* paths.stat(file), file)
        sameStatus(yield* paths.stat(link), file)
        sameStatus(yield* paths.stat("/dev/null"), "/dev/null")
        assert.strictEqual(yield* failure(paths.stat(at("nope"))), "ENOENT")
        assert.strictEqual(yield* failure(paths.stat(join(file, "below"))), "ENOTDIR")
      })
    )
  )

  onX86("stat gives a time before the epoch as a negative one", () =>
    scoped(
      Effect.gen(function* () {
        const { file } = yield* fixture
        yield* custom.utimensat(AT_FDCWD, file, [
          { tv_sec: -5n, tv_nsec: 0n },
          { tv_sec: -86_400n, tv_nsec: 0n }
        ])
        const { st_atime, st_mtime } = yield* paths.stat(file)
        assert.deepStrictEqual([st_atime, st_mtime], [-5n, -86_400n])
      })
    )
  )

  it.live("fstat tells of the file behind a descriptor", () =>
    scoped(
      Effect.gen(function* () {
        const { file } = yield* fixture
        sameStatus(yield* paths.fstat(yield* open(file)), file)
        assert.strictEqual(yield* failure(paths.fstat(-1)), "EBADF")
        assert.strictEqual(yield* failure(paths.fstat(1.5)), "EBADF")
      })
    )
  )

  onX86("lstat tells of a link itself", () =>
    scoped(
      Effect.gen(function* () {
        const { link } = yield* fixture
        sameStatus(yield* paths.lstat(link), link, false)
      })
    )
  )

  it.live("newfstatat takes a directory and flags", () =>
    scoped(
      Effect.gen(function* () {
        const { path, file, link } = yield* fixture
        const dir = yield* open(path)
        sameStatus(yield* paths.newfstatat(dir, "file"), file)
        sameStatus(yield* paths.newfstatat(dir, "link", Syscall.AT_SYMLINK_NOFOLLOW), link, false)
        sameStatus(yield* paths.newfstatat(dir, "", Syscall.AT_EMPTY_PATH), path)
        assert.strictEqual(yield* failure(paths.newfstatat(dir, "file", 0x40000000)), "EINVAL")
      })
    )
  )

  it.live("statfs and fstatfs agree with node:fs", () =>
    scoped(
      Effect.gen(function* () {
        const { path } = yield* fixture
        const theirs = Fs.statfsSync("/proc", { bigint: true })
        const ours = yield* paths.statfs("/proc")
        assert.strictEqual(ours.f_type, BigInt(Syscall.PROC_SUPER_MAGIC))
        assert.deepStrictEqual([ours.f_type, ours.f_bsize], [theirs.type, theirs.bsize])
        const here = Fs.statfsSync(path, { bigint: true })
        const { f_bsize, f_blocks, f_files, f_namelen, f_type } = yield* paths.fstatfs(yield* open(path))
        assert.deepStrictEqual([f_type, f_bsize, f_blocks, f_files], [here.type, here.bsize, here.blocks, here.files])
        assert.strictEqual(f_namelen, BigInt(Syscall.NAME_MAX))
        assert.strictEqual(yield* failure(paths.fstatfs(-1)), "EBADF")
        assert.strictEqual(yield* failure(paths.statfs("/nope")), "ENOENT")
      })
    )
  )

  onX86("ustat tells of a mounted device, and refuses one that is not", () =>
    Effect.gen(function* () {
      const { st_dev } = yield* paths.stat("/proc")
      assert.strictEqual((yield* paths.ustat(Number(st_dev))).f_tfree, 0)
      assert.strictEqual(yield* failure(paths.ustat(custom.makedev(4000, 1))), "EINVAL")
    })
  )

  it("makedev, major and minor agree with the kernel's numbers", () => {
    const { rdev } = Fs.statSync("/dev/null", { bigint: true })
    assert.strictEqual(custom.makedev(1, 3), Number(rdev))
    const dev = custom.makedev(0xfff, 0xfffff)
    assert.deepStrictEqual([dev, custom.major(dev), custom.minor(BigInt(dev))], [0xffffffff, 0xfff, 0xfffff])
    assert.deepStrictEqual([custom.major(custom.makedev(259, 300)), custom.minor(custom.makedev(259, 300))], [259, 300])
    assert.throws(() => custom.makedev(0x1000, 0), RangeError)
    assert.throws(() => custom.makedev(0, -1), RangeError)
  })
})

describe("what a process may do with a file", () => {
  onX86("access", () =>
    scoped(
      Effect.gen(function* () {
        const { file, at } = yield* fixture
        yield* paths.access(file, Syscall.F_OK)
        yield* paths.access(file, Syscall.R_OK | Syscall.W_OK)
        assert.strictEqual(yield* failure(paths.access(file, Syscall.X_OK)), "EACCES")
        assert.strictEqual(yield* failure(paths.access(at("nope"), Syscall.F_OK)), "ENOENT")
        assert.strictEqual(yield* failure(paths.access(file, 8)), "EINVAL")
      })
    )
  )

  it.live("faccessat and faccessat2", () =>
    scoped(
      Effect.gen(function* () {
        const { path } = yield* fixture
        const dir = yield* open(path)
        yield* paths.faccessat(dir, "file", Syscall.R_OK)
        assert.strictEqual(yield* failure(paths.faccessat(dir, "file", Syscall.X_OK)), "EACCES")
        yield* paths.faccessat2(dir, "file", Syscall.R_OK, Syscall.AT_EACCESS | Syscall.AT_SYMLINK_NOFOLLOW)
        assert.strictEqual(yield* failure(paths.faccessat2(dir, "file", Syscall.R_OK, 1)), "EINVAL")
        assert.strictEqual(yield* failure(paths.faccessat2(-1, "file", Syscall.R_OK)), "EBADF")
      })
    )
  )
})

describe("names", () => {
  onX86("rename, link, unlink, symlink and readlink", () =>
    scoped(
      Effect.gen(function* () {
        const { at, file } = yield* fixture
        yield* paths.rename(file, at("renamed"))
        assert.isFalse(Fs.existsSync(file))
        yield* paths.link(at("renamed"), file)
        assert.strictEqual(Fs.statSync(file).nlink, 2)
        assert.strictEqual(yield* failure(paths.link(at("renamed"), file)), "EEXIST")
        yield* paths.unlink(at("renamed"))
        assert.isFalse(Fs.existsSync(at("renamed")))
        assert.strictEqual(yield* failure(paths.unlink(at("renamed"))), "ENOENT")
        yield* paths.symlink(Uint8Array.of(0x66, 0xff), at("odd"))
        assert.deepStrictEqual(yield* custom.readlink(at("odd")), Uint8Array.of(0x66, 0xff))
        assert.strictEqual(yield* failure(custom.readlink(file)), "EINVAL")
      })
    )
  )

  it.live.skipIf(Syscall.nr.renameat === undefined)("renameat", () =>
    scoped(
      Effect.gen(function* () {
        const { path, at } = yield* fixture
        const dir = yield* open(path)
        yield* paths.renameat(dir, "file", dir, "other")
        assert.isTrue(Fs.existsSync(at("other")))
        assert.strictEqual(yield* failure(paths.renameat(dir, "file", dir, "other")), "ENOENT")
      })
    )
  )

  onX86("mkdir and rmdir", () =>
    scoped(
      Effect.gen(function* () {
        const { at, path } = yield* fixture
        yield* paths.mkdir(at("sub"), 0o700)
        assert.strictEqual(Fs.statSync(at("sub")).mode & 0o7777, 0o700)
        assert.strictEqual(yield* failure(paths.mkdir(at("sub"), 0o700)), "EEXIST")
        assert.strictEqual(yield* failure(paths.rmdir(path)), "ENOTEMPTY")
        yield* paths.rmdir(at("sub"))
        assert.isFalse(Fs.existsSync(at("sub")))
      })
    )
  )

  onX86("mknod makes a FIFO", () =>
    scoped(
      Effect.gen(function* () {
        const { at } = yield* fixture
        yield* paths.mknod(at("fifo"), Syscall.S_IFIFO | 0o600)
        assert.isTrue(Fs.statSync(at("fifo")).isFIFO())
        assert.strictEqual(yield* failure(paths.mknod(at("fifo"), Syscall.S_IFIFO | 0o600)), "EEXIST")
      })
    )
  )

  it.live("mknodat makes a socket", () =>
    scoped(
      Effect.gen(function* () {
        const { path, at } = yield* fixture
        yield* paths.mknodat(yield* open(path), "socket", Syscall.S_IFSOCK | 0o600)
        assert.isTrue(Fs.statSync(at("socket")).isSocket())
      })
    )
  )

  it.live("a path with a NUL is EINVAL before the kernel sees it, and one too long ENAMETOOLONG", () =>
    Effect.gen(function* () {
      const error: Errno.Errno = yield* Effect.flip(paths.chmod("a\0b", 0o600))
      assert.deepStrictEqual([error._tag, error.syscall], ["EINVAL", "chmod"])
      assert.strictEqual(yield* failure(paths.statfs("a/".repeat(2048))), "ENAMETOOLONG")
      assert.strictEqual(yield* failure(paths.statfs("a".repeat(Syscall.NAME_MAX + 1))), "ENAMETOOLONG")
    })
  )
})

describe("permissions and owners", () => {
  it.live("chmod, fchmod, fchmodat and fchmodat2", () =>
    scoped(
      Effect.gen(function* () {
        const { path, file, at } = yield* fixture
        const dir = yield* open(path)
        const mode = () => Fs.statSync(file).mode & 0o7777
        if (Syscall.nr.chmod !== undefined) {
          yield* paths.chmod(file, 0o4711)
          assert.strictEqual(mode(), 0o4711)
          assert.strictEqual(yield* failure(paths.chmod(at("nope"), 0)), "ENOENT")
        }
        yield* paths.fchmod(yield* open(file), 0o600)
        assert.strictEqual(mode(), 0o600)
        yield* paths.fchmodat(dir, "link", 0o640)
        assert.strictEqual(mode(), 0o640)
        yield* paths.fchmodat2(dir, "file", 0o644, Syscall.AT_SYMLINK_NOFOLLOW)
        assert.strictEqual(mode(), 0o644)
        assert.strictEqual(yield* failure(paths.fchmodat2(dir, "file", 0o644, 1)), "EINVAL")
      })
    )
  )

  it.live("chown, fchown, lchown and fchownat, with -1 for what stays", () =>
    scoped(
      Effect.gen(function* () {
        const { path, file, link, at } = yield* fixture
        const dir = yield* open(path)
        const owner = (name: string) => {
          const { gid, uid } = Fs.lstatSync(name)
          return [uid, gid]
        }
        const mine = owner(file)
        const root = process.getuid?.() === 0
        const other = (id: number) => (root ? id : -1)
        if (Syscall.nr.chown !== undefined && Syscall.nr.lchown !== undefined) {
          yield* paths.chown(file, other(1001), -1)
          if (root) assert.deepStrictEqual(owner(file), [1001, mine[1]])
          yield* paths.lchown(link, -1, other(1002))
          if (root) assert.deepStrictEqual(owner(link), [mine[0], 1002])
          assert.strictEqual(yield* failure(paths.chown(at("nope"), -1, -1)), "ENOENT")
          assert.strictEqual(yield* failure(paths.lchown(at("nope"), -1, -1)), "ENOENT")
        }
        yield* paths.fchown(yield* open(file), other(0xfffffffe), -1)
        if (root) assert.strictEqual(owner(file)[0], 0xfffffffe)
        yield* paths.fchownat(dir, "link", -1, other(1003), Syscall.AT_SYMLINK_NOFOLLOW)
        if (root) assert.strictEqual(owner(link)[1], 1003)
        assert.strictEqual(yield* failure(paths.fchownat(dir, "nope", -1, -1)), "ENOENT")
        assert.strictEqual(yield* failure(paths.fchown(-1, -1, -1)), "EBADF")
        assert.strictEqual(yield* failure(paths.fchown(0, 2 ** 32, -1)), "EINVAL")
      })
    )
  )

  it.live("umask gives the mask that was", () =>
    Effect.sync(() => {
      // One step, so that nothing else of the process makes a file meanwhile.
      const masks = Effect.runSync(
        Effect.flatMap(paths.umask(0o027), (before) => Effect.map(paths.umask(before), (set) => ({ before, set })))
      )
      assert.strictEqual(masks.set, 0o027)
      assert.strictEqual(masks.before, process.umask())
    })
  )
})

describe("times", () => {
  const timesOf = (path: string) => {
    const { atimeNs, mtimeNs } = Fs.lstatSync(path, { bigint: true })
    return [atimeNs, mtimeNs]
  }

  onX86("utime, utimes and futimesat", () =>
    scoped(
      Effect.gen(function* () {
        const { path, file } = yield* fixture
        const dir = yield* open(path)
        yield* paths.utime(file, { actime: 100n, modtime: 200n })
        assert.deepStrictEqual(timesOf(file), [100_000_000_000n, 200_000_000_000n])
        yield* custom.utimes(file, [
          { tv_sec: 1n, tv_usec: 2n },
          { tv_sec: 3n, tv_usec: 999_999n }
        ])
        assert.deepStrictEqual(timesOf(file), [1_000_002_000n, 3_999_999_000n])
        yield* custom.futimesat(dir, "file", [
          { tv_sec: 5n, tv_usec: 0n },
          { tv_sec: 6n, tv_usec: 1n }
        ])
        assert.deepStrictEqual(timesOf(file), [5_000_000_000n, 6_000_001_000n])
        yield* custom.futimesat(yield* open(file), null, [
          { tv_sec: 7n, tv_usec: 0n },
          { tv_sec: 8n, tv_usec: 0n }
        ])
        assert.deepStrictEqual(timesOf(file), [7_000_000_000n, 8_000_000_000n])
        yield* paths.utime(file, null)
        assert.isAbove(Number(timesOf(file)[1]), 1e18)
        assert.strictEqual(yield* failure(custom.futimesat(-1, "file", null)), "EBADF")
        const wrong: Effect.Effect<void, Errno.Errno> = custom.utimes(file, [
          { tv_sec: 0n, tv_usec: 1_000_000n },
          { tv_sec: 0n, tv_usec: 0n }
        ])
        assert.strictEqual((yield* Effect.flip(wrong)).errno, 22)
      })
    )
  )

  it.live("utimensat sets nanoseconds, now, and leaves what is to be omitted", () =>
    scoped(
      Effect.gen(function* () {
        const { file, link, path } = yield* fixture
        const dir = yield* open(path)
        yield* custom.utimensat(dir, "file", [
          { tv_sec: -1n, tv_nsec: 1n },
          { tv_sec: 2n, tv_nsec: 999_999_999n }
        ])
        assert.deepStrictEqual(timesOf(file), [-999_999_999n, 2_999_999_999n])
        yield* custom.utimensat(dir, "file", ["omit", { tv_sec: 4n, tv_nsec: 0n }])
        assert.deepStrictEqual(timesOf(file), [-999_999_999n, 4_000_000_000n])
        yield* custom.utimensat(yield* open(file), null, ["now", "omit"])
        const [access, change] = timesOf(file)
        assert.isAbove(Number(access), 1e18)
        assert.strictEqual(change, 4_000_000_000n)
        yield* custom.utimensat(
          AT_FDCWD,
          link,
          [
            { tv_sec: 9n, tv_nsec: 0n },
            { tv_sec: 9n, tv_nsec: 0n }
          ],
          Syscall.AT_SYMLINK_NOFOLLOW
        )
        assert.deepStrictEqual(timesOf(link), [9_000_000_000n, 9_000_000_000n])
        assert.strictEqual(
          yield* failure(custom.utimensat(dir, "file", ["omit", { tv_sec: 0n, tv_nsec: 1_000_000_000n }])),
          "EINVAL"
        )
        const huge = { tv_sec: 2n ** 63n, tv_nsec: 0n }
        const refused = yield* Effect.flip(custom.utimensat(dir, "file", ["omit", huge]))
        assert.strictEqual(refused._tag, "EINVAL")
        assert.include(refused.message, "tv_sec")
      })
    )
  )
})

describe("the working directory and entries", () => {
  it.live("chdir, fchdir and getcwd move through the same directory that /proc shows", () =>
    scoped(
      Effect.gen(function* () {
        const { path, file } = yield* fixture
        const before = yield* Effect.acquireRelease(
          Syscall.openat(AT_FDCWD, ".", Syscall.O_PATH | Syscall.O_CLOEXEC),
          (fd) => Effect.orDie(Effect.andThen(paths.fchdir(fd), Syscall.close(fd)))
        )
        const real = Fs.realpathSync(path)
        const home = decoder.decode(yield* custom.getcwd)
        assert.strictEqual(home, Fs.readlinkSync("/proc/thread-self/cwd"))
        yield* paths.chdir(path)
        assert.strictEqual(decoder.decode(yield* custom.getcwd), real)
        assert.strictEqual(Fs.readlinkSync("/proc/thread-self/cwd"), real)
        sameStatus(yield* paths.newfstatat(AT_FDCWD, "file"), file)
        yield* paths.fchdir(before)
        assert.strictEqual(decoder.decode(yield* custom.getcwd), home)
        assert.strictEqual(yield* failure(paths.chdir(file)), "ENOTDIR")
        assert.strictEqual(yield* failure(paths.fchdir(-1)), "EBADF")
      })
    )
  )

  it.live("chroot without a directory fails as the manual says", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* failure(paths.chroot("/proc/self/exe")), "ENOTDIR")
      assert.strictEqual(yield* failure(paths.chroot("/nope")), "ENOENT")
    })
  )

  onX86("getdents reads the entries that readdir does", () =>
    scoped(
      Effect.gen(function* () {
        const { path } = yield* fixture
        const dir = yield* open(path)
        const buffer = new Uint8Array(4096)
        const length = yield* paths.getdents(dir, buffer)
        const entries = oldDirents(buffer, length)
        assert.deepStrictEqual(
          Object.fromEntries(entries.map(({ d_name, d_type }) => [decoder.decode(d_name), d_type])),
          { ".": Syscall.DT_DIR, "..": Syscall.DT_DIR, file: Syscall.DT_REG, link: Syscall.DT_LNK }
        )
        const file = entries.find(({ d_name }) => decoder.decode(d_name) === "file")
        assert.strictEqual(file?.d_ino, Fs.statSync(join(path, "file"), { bigint: true }).ino)
        assert.strictEqual(yield* paths.getdents(dir, buffer), 0)
        const again = yield* open(path)
        assert.strictEqual(yield* failure(paths.getdents(again, new Uint8Array(4))), "EINVAL")
        assert.deepStrictEqual(oldDirents(new Uint8Array(64)), [], "what is no entry ends the list")
      })
    )
  )

  onX86("lookup_dcookie is gone from younger kernels and refuses a wrong cookie on older ones", () =>
    Effect.gen(function* () {
      assert.include(["ENOSYS", "EINVAL", "EPERM"], yield* failure(paths.lookup_dcookie(0n, new Uint8Array(64))))
    })
  )

  it.live("cachestat counts the pages of a file that are cached", () =>
    scoped(
      Effect.gen(function* () {
        const { at } = yield* fixture
        Fs.writeFileSync(at("pages"), new Uint8Array(3 * 65536))
        const fd = yield* open(at("pages"))
        const { nr_cache, nr_dirty, nr_evicted } = yield* paths.cachestat(fd, { off: 0n, len: 0n })
        assert.isTrue(nr_cache >= 3n && nr_dirty <= nr_cache, `${nr_cache} cached, ${nr_dirty} dirty`)
        assert.strictEqual(nr_evicted, 0n)
        const half = yield* paths.cachestat(fd, { off: 65536n, len: 65536n })
        assert.strictEqual(half.nr_cache * 3n, nr_cache)
        assert.strictEqual(yield* failure(paths.cachestat(fd, { off: 0n, len: 0n }, 1)), "EINVAL")
        assert.strictEqual(yield* failure(paths.cachestat(-1, { off: 0n, len: 0n })), "EBADF")
      })
    )
  )
})
