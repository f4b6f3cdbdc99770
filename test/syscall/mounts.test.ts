/**
 * Mounts, in a mount namespace of this file's own thread: nothing here is seen by any other process. Without the privilege
 * to make one, what needs no privilege remains.
 */
import * as Fs from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { Syscall } from "../../src/index.ts"
import * as mounts from "../../src/syscall/generated/mounts.ts"
import * as paths from "../../src/syscall/generated/paths.ts"
import * as custom from "../../src/syscall/mounts.ts"
import { directory, held } from "../support/fds.ts"

const { AT_EMPTY_PATH, AT_FDCWD } = Syscall
const decoder = new TextDecoder()
const text = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : decoder.decode(bytes))

const failure = <A, E extends { readonly _tag: string }>(self: Effect.Effect<A, E>) =>
  Effect.map(Effect.flip(self), ({ _tag }) => _tag)

const scoped = <A, E>(body: Effect.Effect<A, E, Scope.Scope>) => Effect.scoped(body)

const CLONE_NEWNS = 0x20000

/**
 * Gives this thread, and those that it starts from here on, a mount namespace and a root of their own, from which nothing
 * spreads. Returns why not.
 */
const confine = (): string | undefined => {
  const namespace = () => Fs.readlinkSync("/proc/thread-self/ns/mnt")
  const before = namespace()
  const result = Syscall.kernel.call(Syscall.nr.unshare, CLONE_NEWNS)
  if (result !== 0) return `no mount namespace can be made: errno ${-Number(result)}`
  if (namespace() === before) return "this thread's mount namespace did not change"
  const root = new TextEncoder().encode("/\0")
  const made = Syscall.kernel.call(Syscall.nr.mount, null, root, null, Syscall.MS_REC | Syscall.MS_PRIVATE, null)
  return made === 0 ? undefined : `the mounts cannot be made private: errno ${-Number(made)}`
}

const reason = confine()
const why = reason === undefined ? "" : ` (skipped: ${reason})`

/** Whether the running kernel has a call. */
const lacks = (nr: number): boolean => Syscall.kernel.call(nr, -1, 0, -1, 0, 0, 0) === -38

const mountsHere = () =>
  Fs.readFileSync("/proc/thread-self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [fields = "", system = ""] = line.split(" - ")
      const [id, parent, , root, point, options] = fields.split(" ")
      return { id: Number(id), parent: Number(parent), root, point, options, type: system.split(" ")[0] }
    })

const mountAt = (path: string) => mountsHere().findLast(({ point }) => point === path)

const unmounted = (path: string) => Effect.ignore(mounts.umount2(path, Syscall.MNT_DETACH))

/** A tmpfs on a temporary directory. */
const tmpfs = Effect.flatMap(directory, (path) =>
  Effect.acquireRelease(
    Effect.as(custom.mount("a source", path, "tmpfs", Syscall.MS_NODEV, "size=64k,mode=0700"), Fs.realpathSync(path)),
    unmounted
  )
)

describe.skipIf(reason !== undefined)(`mounts${why}`, () => {
  it.live("mount mounts a tmpfs with its options, umount2 takes it away", () =>
    scoped(
      Effect.gen(function* () {
        const path = yield* tmpfs
        assert.deepInclude(mountAt(path), { type: "tmpfs", root: "/" })
        assert.include(mountAt(path)?.options ?? "", "nodev")
        const { f_blocks, f_bsize, f_type } = yield* paths.statfs(path)
        assert.deepStrictEqual([f_type, f_blocks * f_bsize], [BigInt(Syscall.TMPFS_MAGIC), 65536n])

        yield* custom.mount(null, path, null, Syscall.MS_REMOUNT | Syscall.MS_RDONLY)
        assert.strictEqual(yield* failure(Syscall.mkdirat(AT_FDCWD, join(path, "sub"), 0o700)), "EROFS")

        const file = yield* held(Syscall.openat(AT_FDCWD, path, Syscall.O_RDONLY | Syscall.O_CLOEXEC))
        assert.strictEqual(yield* failure(mounts.umount2(path)), "EBUSY")
        yield* Syscall.close(file)
        yield* mounts.umount2(path, Syscall.UMOUNT_NOFOLLOW)
        assert.isUndefined(mountAt(path))
        assert.strictEqual(yield* failure(mounts.umount2(path)), "EINVAL")
      })
    )
  )

  it.live("mount fails as the manual says", () =>
    scoped(
      Effect.gen(function* () {
        const path = yield* directory
        assert.strictEqual(yield* failure(custom.mount("x", path, "no such file system")), "ENODEV")
        assert.strictEqual(yield* failure(custom.mount("x", join(path, "nope"), "tmpfs")), "ENOENT")
        assert.strictEqual(yield* failure(custom.mount("x", path, "tmpfs", 0, "nonsense=1")), "EINVAL")
        const long = yield* Effect.flip(custom.mount("x", path, "tmpfs", 0, "a".repeat(65536)))
        assert.strictEqual(long._tag, "EINVAL")
        assert.include(long.message, "page")
        assert.isUndefined(mountAt(path))
      })
    )
  )

  it.live("mount takes options as bytes", () =>
    scoped(
      Effect.gen(function* () {
        const path = yield* directory
        yield* Effect.acquireRelease(custom.mount("x", path, "tmpfs", 0n, new TextEncoder().encode("size=128k")), () =>
          unmounted(path)
        )
        const { f_blocks, f_bsize } = yield* paths.statfs(path)
        assert.strictEqual(f_blocks * f_bsize, 131_072n)
      })
    )
  )

  it.live("fsopen, fsconfig, fsmount and move_mount make a mount in steps; fspick reconfigures it", () =>
    scoped(
      Effect.gen(function* () {
        const path = Fs.realpathSync(yield* directory)
        const fs = yield* held(mounts.fsopen("tmpfs", Syscall.FSOPEN_CLOEXEC))
        yield* custom.fsconfig(fs, Syscall.FSCONFIG_SET_STRING, "size", "64k")
        yield* custom.fsconfig(fs, Syscall.FSCONFIG_SET_STRING, "source", new TextEncoder().encode("in steps"))
        assert.strictEqual(yield* failure(custom.fsconfig(fs, Syscall.FSCONFIG_SET_STRING, "nonsense", "1")), "EINVAL")
        const message = new Uint8Array(256)
        assert.match(decoder.decode(message.subarray(0, yield* Syscall.read(fs, message))), /^e .*nonsense/)
        assert.strictEqual(yield* failure(mounts.fsmount(fs)), "EINVAL")
        yield* custom.fsconfig(fs, Syscall.FSCONFIG_SET_FLAG, "ro")
        yield* custom.fsconfig(fs, Syscall.FSCONFIG_CMD_CREATE)
        const mount = yield* held(mounts.fsmount(fs, Syscall.FSMOUNT_CLOEXEC, Syscall.MOUNT_ATTR_NOEXEC))
        yield* mounts.move_mount(mount, "", AT_FDCWD, path, Syscall.MOVE_MOUNT_F_EMPTY_PATH)
        yield* Effect.addFinalizer(() => unmounted(path))
        assert.deepInclude(mountAt(path), { type: "tmpfs" })
        assert.include(mountAt(path)?.options ?? "", "noexec")
        assert.strictEqual(yield* failure(Syscall.mkdirat(AT_FDCWD, join(path, "sub"), 0o700)), "EROFS")

        const picked = yield* held(mounts.fspick(AT_FDCWD, path, Syscall.FSPICK_CLOEXEC))
        yield* custom.fsconfig(picked, Syscall.FSCONFIG_SET_FLAG, "rw")
        yield* custom.fsconfig(picked, Syscall.FSCONFIG_CMD_RECONFIGURE)
        yield* Syscall.mkdirat(AT_FDCWD, join(path, "sub"), 0o700)

        assert.strictEqual(yield* failure(custom.fsconfig(picked, 99)), "EOPNOTSUPP")
        assert.strictEqual(yield* failure(mounts.fsopen("no such file system")), "ENODEV")
        assert.strictEqual(yield* failure(mounts.fsopen("tmpfs", 0x100)), "EINVAL")
        assert.strictEqual(yield* failure(mounts.fspick(AT_FDCWD, join(path, "nope"))), "ENOENT")
      })
    )
  )

  it.live("fsconfig passes bytes, paths and descriptors in the way of each command", () =>
    scoped(
      Effect.gen(function* () {
        const fs = yield* held(mounts.fsopen("tmpfs", Syscall.FSOPEN_CLOEXEC))
        // tmpfs takes none of them: the kernel got as far as asking it.
        for (const [cmd, value] of [
          [Syscall.FSCONFIG_SET_BINARY, Uint8Array.of(1, 0, 2)],
          [Syscall.FSCONFIG_SET_PATH, "/tmp"],
          [Syscall.FSCONFIG_SET_PATH_EMPTY, ""]
        ] as const) {
          assert.strictEqual(yield* failure(custom.fsconfig(fs, cmd, "size", value)), "EINVAL")
        }
        assert.strictEqual(yield* failure(custom.fsconfig(fs, Syscall.FSCONFIG_SET_FD, "size", null, fs)), "EINVAL")
        const past = custom.fsconfig(fs, Syscall.FSCONFIG_SET_BINARY, "size", new Uint8Array(4), 5)
        assert.strictEqual(yield* failure(past), "EFAULT")
      })
    )
  )

  it.live("open_tree copies a mount, and mount_setattr changes it", () =>
    scoped(
      Effect.gen(function* () {
        const source = yield* tmpfs
        const target = Fs.realpathSync(yield* directory)
        Fs.writeFileSync(join(source, "file"), "seen twice")
        const tree = yield* held(
          mounts.open_tree(AT_FDCWD, source, Syscall.OPEN_TREE_CLONE | Syscall.OPEN_TREE_CLOEXEC)
        )
        const attributes = {
          attr_set: BigInt(Syscall.MOUNT_ATTR_RDONLY),
          attr_clr: 0n,
          propagation: BigInt(Syscall.MS_PRIVATE),
          userns_fd: 0n
        }
        yield* mounts.mount_setattr(tree, "", AT_EMPTY_PATH, attributes)
        yield* mounts.move_mount(tree, "", AT_FDCWD, target, Syscall.MOVE_MOUNT_F_EMPTY_PATH)
        yield* Effect.addFinalizer(() => unmounted(target))
        assert.strictEqual(Fs.readFileSync(join(target, "file"), "utf8"), "seen twice")
        assert.strictEqual(yield* failure(Syscall.mkdirat(AT_FDCWD, join(target, "sub"), 0o700)), "EROFS")
        yield* Syscall.mkdirat(AT_FDCWD, join(source, "sub"), 0o700)
        const unknown = { ...attributes, attr_set: 1n << 40n }
        assert.strictEqual(yield* failure(mounts.mount_setattr(AT_FDCWD, target, 0, unknown)), "EINVAL")
        assert.strictEqual(yield* failure(mounts.open_tree(AT_FDCWD, target, 2)), "EINVAL")
        assert.strictEqual(yield* failure(mounts.move_mount(AT_FDCWD, "/nope", AT_FDCWD, target)), "ENOENT")
      })
    )
  )

  it.live.skipIf(lacks(Syscall.nr.open_tree_attr))("open_tree_attr copies a mount and changes the copy", () =>
    scoped(
      Effect.gen(function* () {
        const source = yield* tmpfs
        const flags = Syscall.OPEN_TREE_CLONE | Syscall.OPEN_TREE_CLOEXEC
        const attributes = { attr_set: BigInt(Syscall.MOUNT_ATTR_RDONLY), attr_clr: 0n, propagation: 0n, userns_fd: 0n }
        const tree = yield* held(custom.open_tree_attr(AT_FDCWD, source, flags, attributes))
        assert.strictEqual(yield* failure(Syscall.mkdirat(tree, "sub", 0o700)), "EROFS")
        const plain = yield* held(custom.open_tree_attr(AT_FDCWD, source, flags, null))
        yield* Syscall.mkdirat(plain, "sub", 0o700)
        assert.strictEqual(yield* failure(custom.open_tree_attr(-1, "x", flags, null)), "EBADF")
      })
    )
  )

  it.live.skipIf(lacks(Syscall.nr.statmount))("statmount and listmount tell what mountinfo does", () =>
    scoped(
      Effect.gen(function* () {
        const path = yield* tmpfs
        const { stx_mnt_id } = yield* Syscall.statx(AT_FDCWD, path, 0, Syscall.STATX_MNT_ID_UNIQUE)
        const status = yield* custom.statmount({
          mnt_id: stx_mnt_id,
          param:
            Syscall.STATMOUNT_SB_BASIC |
            Syscall.STATMOUNT_MNT_BASIC |
            Syscall.STATMOUNT_MNT_ROOT |
            Syscall.STATMOUNT_MNT_POINT |
            Syscall.STATMOUNT_FS_TYPE |
            Syscall.STATMOUNT_MNT_OPTS |
            Syscall.STATMOUNT_SB_SOURCE |
            Syscall.STATMOUNT_OPT_ARRAY
        })
        const line = mountAt(path)
        assert.deepStrictEqual(
          {
            id: status.mnt_id_old,
            parent: status.mnt_parent_id_old,
            root: text(status.mnt_root),
            point: text(status.mnt_point),
            type: text(status.fs_type)
          },
          { id: line?.id, parent: line?.parent, root: line?.root, point: line?.point, type: line?.type }
        )
        assert.strictEqual(status.mnt_id, stx_mnt_id)
        assert.strictEqual(status.sb_magic, BigInt(Syscall.TMPFS_MAGIC))
        assert.strictEqual(status.mnt_attr & BigInt(Syscall.MOUNT_ATTR_NODEV), BigInt(Syscall.MOUNT_ATTR_NODEV))
        assert.include(text(status.mnt_opts) ?? "", "size=64k")
        if ((status.mask & BigInt(Syscall.STATMOUNT_OPT_ARRAY)) !== 0n) {
          assert.include(status.opt_array?.map(text) ?? [], "size=64k")
          assert.strictEqual(status.opt_array?.length, status.opt_num)
        }
        if ((status.mask & BigInt(Syscall.STATMOUNT_SB_SOURCE)) !== 0n) {
          assert.strictEqual(text(status.sb_source), "a source")
        }
        assert.isUndefined(status.fs_subtype)

        const request = { mnt_id: status.mnt_parent_id, param: 0 }
        const below = yield* custom.listmount(request)
        assert.include(below, stx_mnt_id)
        const [first = 0n] = yield* custom.listmount(request, 1)
        assert.strictEqual(first, below[0])
        assert.deepStrictEqual(yield* custom.listmount({ ...request, param: first }), below.slice(1))
        assert.include(yield* custom.listmount({ mnt_id: Syscall.LSMT_ROOT, param: 0 }), stx_mnt_id)

        const strings = { mnt_id: stx_mnt_id, param: Syscall.STATMOUNT_MNT_POINT }
        assert.strictEqual(yield* failure(custom.statmount(strings, 0, 1)), "EOVERFLOW")
        assert.strictEqual(yield* failure(custom.statmount({ mnt_id: 2n ** 62n, param: 1 })), "ENOENT")
        assert.strictEqual(yield* failure(custom.statmount(strings, 0x8000)), "EINVAL")
        assert.strictEqual(yield* failure(custom.listmount({ mnt_id: 2n ** 62n, param: 0 })), "ENOENT")
        assert.strictEqual(yield* failure(custom.listmount(request, -1)), "EINVAL")
      })
    )
  )

  it.live("pivot_root makes a mount the root, and back", () =>
    scoped(
      Effect.gen(function* () {
        const path = yield* tmpfs
        Fs.mkdirSync(join(path, "old"))
        yield* mounts.pivot_root(path, join(path, "old"))
        // What ends the test must not be looked for in the new root, which has nothing.
        yield* Effect.addFinalizer(() => Effect.ignore(mounts.pivot_root("/old", `/old${path}`)))
        const { st_ino } = yield* paths.newfstatat(AT_FDCWD, "/old")
        const below = yield* paths.newfstatat(AT_FDCWD, `/old${path}`)
        yield* mounts.pivot_root("/old", `/old${path}`)
        assert.strictEqual(Fs.statSync("/", { bigint: true }).ino, st_ino)
        assert.strictEqual(mountAt(path)?.type, "tmpfs")
        assert.isAbove(Number(below.st_ino), 0)
        assert.strictEqual(yield* failure(mounts.pivot_root(join(path, "nope"), path)), "ENOENT")
        assert.strictEqual(yield* failure(mounts.pivot_root("/", "/")), "EBUSY")
      })
    )
  )

  it.live("chroot confines this thread's paths, and a descriptor leads out again", () =>
    scoped(
      Effect.gen(function* () {
        const path = yield* directory
        Fs.writeFileSync(join(path, "inside"), "")
        const root = yield* held(Syscall.openat(AT_FDCWD, "/", Syscall.O_PATH | Syscall.O_CLOEXEC))
        const home = yield* held(Syscall.openat(AT_FDCWD, ".", Syscall.O_PATH | Syscall.O_CLOEXEC))
        // All of it in one step: whatever else this thread does must find its files.
        const seen = Effect.runSync(
          Effect.gen(function* () {
            yield* paths.chroot(path)
            const inside = Fs.existsSync("/inside")
            const outside = Fs.existsSync("/proc")
            yield* paths.fchdir(root)
            yield* paths.chroot(".")
            yield* paths.fchdir(home)
            return { inside, outside }
          })
        )
        assert.deepStrictEqual(seen, { inside: true, outside: false })
        assert.isTrue(Fs.existsSync("/proc/self"))
      })
    )
  )
})

describe("without a mount", () => {
  const root = process.getuid?.() === 0

  it.live("quotactl and quotactl_fd fail as the manual says where there are no quotas", () =>
    scoped(
      Effect.gen(function* () {
        const path = yield* directory
        const fd = yield* held(Syscall.openat(AT_FDCWD, path, Syscall.O_RDONLY | Syscall.O_CLOEXEC))
        const get = custom.QCMD(Syscall.Q_GETQUOTA, Syscall.USRQUOTA)
        assert.strictEqual(get, 0x80000700)
        const memory = new Uint8Array(4)
        const none = ["ESRCH", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EPERM", "OtherErrno"]
        assert.include(none, yield* failure(custom.quotactl_fd(fd, get, 0, memory)))
        assert.deepStrictEqual(memory, new Uint8Array(4))
        assert.include(["ENOTBLK", "ENOSYS"], yield* failure(custom.quotactl(get, "/dev/null", 0, memory)))
        assert.include(["ENOENT", "ENOSYS"], yield* failure(custom.quotactl(get, join(path, "nope"), 0, null)))
        const wrong = custom.QCMD(Syscall.Q_GETQUOTA, 99)
        assert.include(["EINVAL", "ENOSYS"], yield* failure(custom.quotactl(wrong, "/dev/null", 0, "aquota.user")))
        assert.include(["EBADF", "ENOSYS"], yield* failure(custom.quotactl_fd(-1, get, 0, memory)))
        // Writing all quotas back is what quotactl does without a device.
        yield* Effect.ignore(custom.quotactl(custom.QCMD(Syscall.Q_SYNC, Syscall.USRQUOTA), null, 0, null))
      })
    )
  )

  it.live("swapon and swapoff refuse a file that is no swap", () =>
    scoped(
      Effect.gen(function* () {
        const file = join(yield* directory, "file")
        Fs.writeFileSync(file, new Uint8Array(65536))
        const refused = root ? ["EINVAL", "EPERM", "ENOSYS"] : ["EPERM", "ENOSYS"]
        assert.include(refused, yield* failure(mounts.swapon(file, Syscall.SWAP_FLAG_PREFER | 1)))
        assert.include(refused, yield* failure(mounts.swapoff(file)))
      })
    )
  )

  it.live("sysfs tells the file systems of /proc/filesystems, where the kernel has it", () =>
    Effect.gen(function* () {
      const count = yield* Effect.exit(custom.sysfs(3))
      if (count._tag === "Failure") {
        assert.strictEqual(yield* failure(custom.sysfs(3)), "ENOSYS")
        assert.strictEqual(yield* failure(custom.sysfs(1, "proc")), "ENOSYS")
        assert.strictEqual(yield* failure(custom.sysfs(2, 0)), "ENOSYS")
        return
      }
      const known = Fs.readFileSync("/proc/filesystems", "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => line.split("\t")[1])
      assert.strictEqual(count.value, known.length)
      const names = yield* Effect.forEach(known, (_, index) => custom.sysfs(2, index))
      assert.deepStrictEqual(names, known)
      assert.strictEqual(yield* custom.sysfs(1, "proc"), known.indexOf("proc"))
      assert.strictEqual(yield* failure(custom.sysfs(1, "no such file system")), "EINVAL")
    })
  )

  it.live("nfsservctl, which has no function, is answered with ENOSYS", () =>
    Effect.gen(function* () {
      const { nfsservctl } = Syscall.nr
      if (nfsservctl !== undefined)
        assert.strictEqual(yield* failure(Syscall.call(nfsservctl, 0, null, null)), "ENOSYS")
    })
  )
})
