/** The requests of `Ioctl` made of real devices: what they take and give, where they wait, what they keep open. */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Predicate } from "effect"
import { Errno, Fcntl, File, type File as FileModule, Ioctl, Struct, Syscall } from "../src/index.ts"
import { pipe, temporaryDirectory, temporaryFile } from "./support/files.ts"
import { eventually, openFds, threads } from "./support/process.ts"

const {
  AnyFile,
  Block,
  FileSystem,
  Input,
  Loop,
  LoopControl,
  Namespace,
  Network,
  Random,
  Socket,
  Terminal,
  Tun,
  UInput
} = Ioctl

/** Skips a test where the machine or this user cannot do what it tests. */
const skipOn =
  (context: { readonly skip: (reason: string) => void }, ...codes: ReadonlyArray<string>) =>
  <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.catchIf(
      self,
      (error) => Errno.isErrno(error) && codes.includes("code" in error ? String(error.code) : error._tag),
      (error) => Effect.sync(() => context.skip(String(error)))
    )

const socket = (domain: number, type: number) =>
  Effect.map(Effect.flatMap(Syscall.socket(domain, type | Syscall.SOCK_CLOEXEC, 0), File.fromFd), (file) =>
    File.asDevice(file, Socket.Device)
  )

describe("any file", () => {
  it.live("is made to answer EAGAIN, and to wait again", () =>
    Effect.gen(function* () {
      const { reader } = yield* pipe
      yield* File.ioctl(reader, AnyFile.FIONBIO, 1)
      assert.strictEqual((yield* Effect.flip(File.read(reader, new Uint8Array(1))))._tag, "EAGAIN")
      yield* File.ioctl(reader, AnyFile.FIONBIO, 0)
      assert.strictEqual((yield* File.fcntl(reader, Fcntl.F_GETFL)) & Syscall.O_NONBLOCK, 0)
    })
  )

  it.live("is closed on exec, or not", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      yield* File.ioctl(file, AnyFile.FIONCLEX)
      assert.strictEqual(yield* File.fcntl(file, Fcntl.F_GETFD), 0)
      yield* File.ioctl(file, AnyFile.FIOCLEX)
      assert.strictEqual(yield* File.fcntl(file, Fcntl.F_GETFD), Syscall.FD_CLOEXEC)
    })
  )

  it.live("tells how much it takes up, and what can be read", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      yield* File.write(file, new Uint8Array(300))
      yield* File.sync(file)
      yield* File.seek(file, File.Seek.start(100))
      assert.strictEqual(yield* File.ioctl(file, AnyFile.FIOQSIZE), (yield* File.stat(file)).stx_blocks * 512n)
      assert.strictEqual(yield* File.ioctl(file, AnyFile.FIONREAD), 200)
    })
  )
})

describe("file systems", () => {
  it.live("tell and take the attributes of a file", (context) =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const before = yield* File.ioctl(file, FileSystem.FS_IOC_GETFLAGS)
      yield* File.ioctl(file, FileSystem.FS_IOC_SETFLAGS, before | FileSystem.FS_NODUMP_FL)
      assert.strictEqual(yield* File.ioctl(file, FileSystem.FS_IOC_GETFLAGS), before | FileSystem.FS_NODUMP_FL)
      const further = yield* File.ioctl(file, FileSystem.FS_IOC_FSGETXATTR)
      assert.strictEqual(further.fsx_xflags & FileSystem.FS_XFLAG_NODUMP, FileSystem.FS_XFLAG_NODUMP)
      yield* File.ioctl(file, FileSystem.FS_IOC_FSSETXATTR, { ...further, fsx_xflags: 0 })
      const flags = yield* File.ioctl(file, FileSystem.FS_IOC_GETFLAGS)
      assert.strictEqual(flags & FileSystem.FS_NODUMP_FL, 0)
    }).pipe(skipOn(context, "ENOTTY", "EOPNOTSUPP"))
  )

  it.live("tell where a file lies, piece by piece, and count its pieces", (context) =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      yield* File.pwrite(file, new Uint8Array(8192).fill(1), 0)
      yield* File.pwrite(file, new Uint8Array(4096).fill(2), 1 << 20)
      const sync = FileSystem.FIEMAP_FLAG_SYNC
      const { fm_extents } = yield* File.ioctl(file, FileSystem.FS_IOC_FIEMAP, { fm_extent_count: 10, fm_flags: sync })
      assert.deepStrictEqual(
        fm_extents.map(({ fe_length, fe_logical }) => [fe_logical, fe_length]),
        [
          [0n, 8192n],
          [1n << 20n, 4096n]
        ]
      )
      assert.strictEqual(
        (fm_extents.at(-1)?.fe_flags ?? 0) & FileSystem.FIEMAP_EXTENT_LAST,
        FileSystem.FIEMAP_EXTENT_LAST
      )
      const count = yield* File.ioctl(file, FileSystem.FS_IOC_FIEMAP, { fm_extent_count: 0 })
      assert.deepStrictEqual(count, { fm_mapped_extents: 2, fm_extents: [] })
      const first = yield* File.ioctl(file, FileSystem.FS_IOC_FIEMAP, { fm_extent_count: 1 })
      assert.strictEqual(first.fm_extents.length, 1)
      const range = { fm_start: 8192n, fm_length: 4096n, fm_extent_count: 4 }
      assert.deepStrictEqual((yield* File.ioctl(file, FileSystem.FS_IOC_FIEMAP, range)).fm_extents, [])
    }).pipe(skipOn(context, "ENOTTY", "EOPNOTSUPP"))
  )

  it.live("refuse a number of extents that is none, by its name", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      for (const fm_extent_count of [-1, 0.5, 1e9]) {
        const error = yield* Effect.flip(File.ioctl(file, FileSystem.FS_IOC_FIEMAP, { fm_extent_count }))
        assert.strictEqual(error._tag, "EINVAL")
        assert.include(error.message, "fm_extent_count")
      }
    })
  )

  it.live("clone or say that they cannot, and never a file that is closed", () =>
    Effect.gen(function* () {
      const source = yield* temporaryFile
      const target = yield* temporaryFile
      yield* File.write(source, new Uint8Array(4096).fill(7))
      const outcome = yield* Effect.exit(File.ioctl(target, FileSystem.FICLONE, source))
      if (Exit.isSuccess(outcome)) {
        const buffer = new Uint8Array(4096)
        yield* File.pread(target, buffer, 0)
        assert.isTrue(buffer.every((byte) => byte === 7))
      } else {
        const error = yield* Effect.flip(outcome)
        assert.include(["EOPNOTSUPP", "EXDEV", "EINVAL", "ENOTTY"], error._tag)
        assert.include(error.message, "FICLONE")
      }
      yield* File.close(source)
      const closed = yield* Effect.flip(File.ioctl(target, FileSystem.FICLONE, source))
      assert.strictEqual(closed._tag, "EBADF")
      const range = { src_fd: source, src_offset: 0n, src_length: 0n, dest_offset: 0n }
      assert.strictEqual((yield* Effect.flip(File.ioctl(target, FileSystem.FICLONERANGE, range)))._tag, "EBADF")
      const dedupe = { src_offset: 0n, src_length: 4096n, info: [{ dest_fd: source, dest_offset: 0n }] }
      assert.strictEqual((yield* Effect.flip(File.ioctl(target, FileSystem.FIDEDUPERANGE, dedupe)))._tag, "EBADF")
    })
  )

  it.live("tell of each range what became of it", (context) =>
    Effect.gen(function* () {
      const source = yield* temporaryFile
      const target = yield* temporaryFile
      yield* File.write(source, new Uint8Array(4096).fill(7))
      yield* File.write(target, new Uint8Array(4096).fill(7))
      const info = [
        { dest_fd: target, dest_offset: 0n },
        { dest_fd: target, dest_offset: 0n }
      ]
      const answer = yield* File.ioctl(source, FileSystem.FIDEDUPERANGE, { src_offset: 0n, src_length: 4096n, info })
      assert.strictEqual(answer.length, 2)
      for (const { bytes_deduped, status } of answer) {
        assert.strictEqual(status === FileSystem.FILE_DEDUPE_RANGE_SAME ? bytes_deduped : 4096n, 4096n)
      }
    }).pipe(skipOn(context, "ENOTTY", "EOPNOTSUPP", "EINVAL", "EXDEV"))
  )

  it.live("tell the size of their blocks, their label, their identity", (context) =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      assert.isAtLeast(yield* File.ioctl(file, FileSystem.FIGETBSZ), 512)
      assert.isString(yield* File.ioctl(file, FileSystem.FS_IOC_GETFSLABEL))
      assert.strictEqual((yield* File.ioctl(file, FileSystem.FS_IOC_GETFSUUID)).length, 16)
      assert.include(yield* File.ioctl(file, FileSystem.FS_IOC_GETFSSYSFSPATH), "/")
    }).pipe(skipOn(context, "ENOTTY", "EOPNOTSUPP"))
  )

  it.live("tell what their disk is used for", (context) =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const { fmh_entries } = yield* File.ioctl(file, FileSystem.FS_IOC_GETFSMAP, { fmh_count: 0 })
      assert.isAbove(fmh_entries, 0)
      const { fmh_recs } = yield* File.ioctl(file, FileSystem.FS_IOC_GETFSMAP, { fmh_count: 4 })
      assert.strictEqual(fmh_recs.length, Math.min(4, fmh_entries))
      assert.isTrue(fmh_recs.every(({ fmr_length }) => fmr_length > 0n))
    }).pipe(skipOn(context, "ENOTTY", "EOPNOTSUPP", "EPERM"))
  )
})

describe("loop devices", () => {
  it.live("show a file as a disk, tell of it, and let it go", (context) =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const path = join(directory, "disk")
      writeFileSync(path, new Uint8Array(1 << 20).fill(9))
      const backing = yield* File.open(path, { access: "readWrite" })
      const control = File.asDevice(yield* File.open("/dev/loop-control"), LoopControl.Device)
      const number = yield* File.ioctl(control, LoopControl.LOOP_CTL_GET_FREE)
      const disk = File.asDevice(yield* File.open(`/dev/loop${number}`, { access: "readWrite" }), Loop.Device)
      const info = { lo_flags: Loop.LO_FLAGS_AUTOCLEAR, lo_sizelimit: 512n << 10n }
      yield* Effect.acquireRelease(File.ioctl(disk, Loop.LOOP_CONFIGURE, { fd: backing, block_size: 4096, info }), () =>
        Effect.ignore(File.ioctl(disk, Loop.LOOP_CLR_FD))
      )
      const told = yield* File.ioctl(disk, Loop.LOOP_GET_STATUS64)
      assert.strictEqual(told.lo_number, number)
      assert.strictEqual(told.lo_sizelimit, 512n << 10n)
      // A loop device is a disk too.
      assert.strictEqual(yield* File.ioctl(disk, Block.BLKGETSIZE64), 512n << 10n)
      assert.strictEqual(yield* File.ioctl(disk, Block.BLKGETSIZE), 1024n)
      assert.strictEqual(yield* File.ioctl(disk, Block.BLKSSZGET), 4096)
      assert.strictEqual(yield* File.ioctl(disk, Block.BLKROGET), 0)
      assert.include([0, 1], yield* File.ioctl(disk, Block.BLKROTATIONAL))
      yield* File.ioctl(disk, Block.BLKZEROOUT, [4096n, 8192n])
      yield* File.ioctl(disk, Block.BLKFLSBUF)
      const buffer = new Uint8Array(16_384)
      yield* File.pread(disk, buffer, 0)
      assert.deepStrictEqual(
        [0, 4095, 4096, 12_287, 12_288].map((index) => buffer[index]),
        [9, 9, 0, 0, 9]
      )
      // A file that is closed cannot be shown.
      yield* File.close(backing)
      assert.strictEqual((yield* Effect.flip(File.ioctl(disk, Loop.LOOP_CHANGE_FD, backing)))._tag, "EBADF")
    }).pipe(skipOn(context, "ENOENT", "EPERM", "EACCES", "ENXIO"))
  )
})

describe("random numbers", () => {
  it.live("take what chance there is, and count it", (context) =>
    Effect.gen(function* () {
      const random = File.asDevice(yield* File.open("/dev/urandom", { access: "readWrite" }), Random.Device)
      const bits = yield* File.ioctl(random, Random.RNDGETENTCNT)
      assert.isAtLeast(bits, 0)
      yield* File.ioctl(random, Random.RNDADDENTROPY, { entropy_count: 0, buf: new Uint8Array(32) })
      yield* File.ioctl(random, Random.RNDRESEEDCRNG)
    }).pipe(skipOn(context, "EPERM"))
  )
})

describe("network interfaces", () => {
  it.live("tell what they are, by their names", () =>
    Effect.gen(function* () {
      const inet = yield* socket(Syscall.AF_INET, Syscall.SOCK_DGRAM)
      const index = yield* File.ioctl(inet, Network.SIOCGIFINDEX, "lo")
      assert.isAbove(index, 0)
      assert.strictEqual(yield* File.ioctl(inet, Network.SIOCGIFNAME, index), "lo")
      assert.isAtLeast(yield* File.ioctl(inet, Network.SIOCGIFMTU, "lo"), 1500)
      const flags = yield* File.ioctl(inet, Network.SIOCGIFFLAGS, "lo")
      assert.strictEqual(flags & Network.IFF_LOOPBACK, Network.IFF_LOOPBACK)
      const { sa_data, sa_family } = yield* File.ioctl(inet, Network.SIOCGIFHWADDR, "lo")
      assert.strictEqual(sa_family, Network.ARPHRD_LOOPBACK)
      assert.deepStrictEqual([...sa_data.subarray(0, 6)], [0, 0, 0, 0, 0, 0])
      if ((flags & Network.IFF_UP) !== 0) {
        assert.strictEqual(yield* File.ioctl(inet, Network.SIOCGIFADDR, "lo"), "127.0.0.1")
        assert.strictEqual(yield* File.ioctl(inet, Network.SIOCGIFNETMASK, "lo"), "255.0.0.0")
        const list = yield* File.ioctl(inet, Network.SIOCGIFCONF, 64)
        assert.deepStrictEqual(list.find(({ ifr_name }) => ifr_name === "lo")?.ifr_addr, {
          _tag: "Inet",
          address: "127.0.0.1",
          port: 0
        })
      }
    })
  )

  it.live("are not found under a name that is too long for one, rather than under its beginning", () =>
    Effect.gen(function* () {
      const inet = yield* socket(Syscall.AF_INET, Syscall.SOCK_DGRAM)
      const error = yield* Effect.flip(File.ioctl(inet, Network.SIOCGIFINDEX, "a-name-of-17-byte"))
      assert.strictEqual(error._tag, "EINVAL")
      assert.include(error.message, "ifr_name")
      assert.strictEqual((yield* Effect.flip(File.ioctl(inet, Network.SIOCGIFINDEX, "nowhere")))._tag, "ENODEV")
      assert.strictEqual((yield* Effect.flip(File.ioctl(inet, Network.SIOCGIFINDEX, "l\0o")))._tag, "EINVAL")
    })
  )

  it.live("are made by tun, changed, and gone with it", (context) =>
    Effect.gen(function* () {
      const inet = yield* socket(Syscall.AF_INET, Syscall.SOCK_DGRAM)
      const name = yield* Effect.scoped(
        Effect.gen(function* () {
          const tun = File.asDevice(yield* File.open("/dev/net/tun", { access: "readWrite" }), Tun.Device)
          assert.isAbove(yield* File.ioctl(tun, Tun.TUNGETFEATURES), 0)
          const flags = Tun.IFF_TUN | Tun.IFF_NO_PI
          const { ifr_name } = yield* File.ioctl(tun, Tun.TUNSETIFF, { ifr_name: "eltest%d", ifr_flags: flags })
          assert.match(ifr_name, /^eltest\d+$/)
          const told = yield* File.ioctl(tun, Tun.TUNGETIFF)
          assert.strictEqual(told.ifr_name, ifr_name)
          assert.strictEqual(told.ifr_flags & flags, flags)
          yield* File.ioctl(inet, Network.SIOCSIFMTU, { ifr_name, ifr_mtu: 1400 })
          assert.strictEqual(yield* File.ioctl(inet, Network.SIOCGIFMTU, ifr_name), 1400)
          yield* File.ioctl(inet, Network.SIOCSIFADDR, { ifr_name, ifr_addr: "192.0.2.1" })
          assert.strictEqual(yield* File.ioctl(inet, Network.SIOCGIFADDR, ifr_name), "192.0.2.1")
          yield* File.ioctl(inet, Network.SIOCSIFFLAGS, { ifr_name, ifr_flags: Network.IFF_UP })
          const now = yield* File.ioctl(inet, Network.SIOCGIFFLAGS, ifr_name)
          assert.strictEqual(now & Network.IFF_UP, Network.IFF_UP)
          const route = { rt_dst: "198.51.100.0", rt_genmask: "255.255.255.0", rt_dev: ifr_name, rt_metric: 7 }
          const routes = () => readFileSync("/proc/self/net/route", "latin1").split("\n")
          yield* File.ioctl(inet, Network.SIOCADDRT, route)
          // Interface, destination, gateway, flags, two counts, metric, mask: the addresses in the order of the machine.
          const expected = [ifr_name, "006433C6", "00000000", "0001", "0", "0", "7", "00FFFFFF"].join("\t")
          assert.isTrue(routes().some((line) => line.startsWith(expected)))
          yield* File.ioctl(inet, Network.SIOCDELRT, route)
          assert.isFalse(routes().some((line) => line.startsWith(expected)))
          assert.strictEqual((yield* Effect.flip(File.ioctl(inet, Network.SIOCDELRT, route)))._tag, "ESRCH")
          for (const wrong of [{ rt_metric: -1 }, { rt_metric: 40_000 }, { rt_dst: "nowhere" }]) {
            const error = yield* Effect.flip(File.ioctl(inet, Network.SIOCADDRT, { ...route, ...wrong }))
            assert.strictEqual(error._tag, "EINVAL")
          }
          const namespace = yield* File.ioctlOpen(tun, Tun.TUNGETDEVNETNS)
          assert.strictEqual(yield* File.ioctl(namespace, Namespace.NS_GET_NSTYPE), Syscall.CLONE_NEWNET)
          return ifr_name
        })
      )
      assert.strictEqual((yield* Effect.flip(File.ioctl(inet, Network.SIOCGIFINDEX, name)))._tag, "ENODEV")
    }).pipe(skipOn(context, "ENOENT", "EPERM", "EACCES", "ENODEV"))
  )

  it.live("of a socket tell what waits", () =>
    Effect.gen(function* () {
      const [left, right] = yield* Syscall.socketpair(Syscall.AF_UNIX, Syscall.SOCK_STREAM | Syscall.SOCK_CLOEXEC, 0)
      const a = File.asDevice(yield* File.fromFd(left), Socket.Device)
      const b = File.asDevice(yield* File.fromFd(right), Socket.Device)
      yield* File.write(a, new Uint8Array(77))
      assert.strictEqual(yield* File.ioctl(b, Socket.SIOCINQ), 77)
      assert.isAtLeast(yield* File.ioctl(a, Socket.SIOCOUTQ), 77)
    })
  )
})

describe("input devices", () => {
  it.live("are made by a program, with the keys that it says", (context) =>
    Effect.gen(function* () {
      const device = File.asDevice(yield* File.open("/dev/uinput", { access: "readWrite" }), UInput.Device)
      yield* File.ioctl(device, UInput.UI_SET_EVBIT, UInput.EV_KEY)
      yield* File.ioctl(device, UInput.UI_SET_KEYBIT, UInput.KEY_A)
      yield* File.ioctl(device, UInput.UI_SET_PHYS, "effect-linux/test")
      const id = { bustype: UInput.BUS_VIRTUAL, vendor: 1, product: 2, version: 3 }
      const name = new TextEncoder().encode("effect-linux")
      yield* File.ioctl(device, UInput.UI_DEV_SETUP, { id, name, ff_effects_max: 0 })
      yield* File.ioctl(device, UInput.UI_DEV_CREATE)
      assert.match(yield* File.ioctl(device, UInput.UI_GET_SYSNAME), /^input\d+$/)
      yield* File.ioctl(device, UInput.UI_DEV_DESTROY)
    }).pipe(skipOn(context, "ENOENT", "ENODEV", "EACCES", "EPERM"))
  )

  it("have axes from 0 to 63", () => {
    for (const abs of [-1, 64, 0.5]) {
      assert.throws(() => Input.EVIOCGABS(abs), RangeError)
      assert.throws(() => Input.EVIOCSABS(abs), RangeError)
    }
  })
})

describe("File.ioctlOpen", () => {
  const network = Effect.map(File.open("/proc/self/ns/net"), (file) => File.asDevice(file, Namespace.Device))

  it.live("puts what a request opens into the scope", () =>
    Effect.gen(function* () {
      const before = yield* openFds
      const closed = yield* Effect.scoped(
        Effect.gen(function* () {
          const owner = yield* File.ioctlOpen(yield* network, Namespace.NS_GET_USERNS)
          assert.strictEqual(yield* File.ioctl(owner, Namespace.NS_GET_NSTYPE), Syscall.CLONE_NEWUSER)
          assert.strictEqual(yield* File.fcntl(owner, Fcntl.F_GETFD), Syscall.FD_CLOEXEC)
          assert.isAtLeast(yield* File.ioctl(owner, Namespace.NS_GET_OWNER_UID), 0)
          return owner
        })
      )
      assert.strictEqual(yield* openFds, before)
      assert.strictEqual((yield* Effect.flip(File.ioctl(closed, Namespace.NS_GET_NSTYPE)))._tag, "EBADF")
    })
  )

  it.live("leaves nothing behind where it fails or is interrupted", () =>
    Effect.gen(function* () {
      const file = yield* network
      const before = yield* openFds
      const failed = yield* Effect.flip(Effect.scoped(File.ioctlOpen(file, Namespace.NS_GET_PARENT)))
      assert.strictEqual(failed._tag, "EINVAL")
      for (let turn = 0; turn < 50; turn++) {
        const fiber = yield* Effect.forkChild(Effect.scoped(File.ioctlOpen(file, Namespace.NS_GET_USERNS)))
        yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
      }
      assert.strictEqual(yield* openFds, before)
    })
  )
})

/** Both ends of a pseudo-terminal. */
const terminal = Effect.gen(function* () {
  const master = yield* File.open("/dev/ptmx", { access: "readWrite", noControllingTty: true })
  const pty = File.asDevice(master, Terminal.Master)
  yield* File.ioctl(pty, Terminal.TIOCSPTLCK, 0)
  const slave = yield* File.ioctlOpen(pty, Terminal.TIOCGPTPEER, Syscall.O_RDWR | Syscall.O_NOCTTY | Syscall.O_CLOEXEC)
  return { pty, slave }
})

describe("a request that waits", () => {
  it.live("does not hold up the event loop, and is made off it", () =>
    Effect.gen(function* () {
      const { slave } = yield* terminal
      const calls: Array<string> = []
      const base = Syscall.kernel
      const trampoline: Syscall.Trampoline = {
        call: (nr, ...args) => {
          calls.push("inline")
          return base.call(nr, ...args)
        },
        callBlocking: (nr, args, options) => {
          calls.push("waiting")
          return base.callBlocking(nr, args, options)
        }
      }
      yield* Effect.provideService(File.ioctl(slave, Terminal.TCSBRK, 1), Syscall.Trampoline, trampoline)
      yield* Effect.provideService(File.ioctl(slave, Terminal.TIOCOUTQ), Syscall.Trampoline, trampoline)
      assert.deepStrictEqual(calls, ["waiting", "inline"])
    })
  )

  it.live("gives back what the kernel wrote to its memory", () =>
    Effect.gen(function* () {
      const waiting = Ioctl.read(Ioctl.anyDevice, 0x541b, Struct.i32, { name: "FIONREAD", waits: true })
      const { reader, writer } = yield* pipe
      yield* File.write(writer, new Uint8Array(123))
      assert.strictEqual(yield* File.ioctl(reader, waiting), 123)
      const { slave } = yield* terminal
      const size = { ws_row: 3, ws_col: 4, ws_xpixel: 5, ws_ypixel: 6 }
      const winsize = yield* File.ioctl(slave, Terminal.TIOCGWINSZ)
      assert.strictEqual(winsize.ws_row, 0)
      const setting = Ioctl.make(Terminal.Device, Terminal.TIOCSWINSZ.code, {
        waits: true,
        encode: (rows: number) => Uint8Array.of(rows, 0, size.ws_col, 0, size.ws_xpixel, 0, size.ws_ypixel, 0),
        decode: (result) => result
      })
      assert.strictEqual(yield* File.ioctl(slave, setting, size.ws_row), 0)
      assert.deepStrictEqual(yield* File.ioctl(slave, Terminal.TIOCGWINSZ), size)
    })
  )

  it.live("fails when a file that its argument names is closed", () =>
    Effect.gen(function* () {
      const files = yield* pipe
      const { slave } = yield* terminal
      const other = files.reader
      const request = Ioctl.make(Ioctl.anyDevice, 0x541b, {
        waits: true,
        files: (file: FileModule.File) => [file],
        encode: (file) => {
          Ioctl.fdOf(file)
          return new Uint8Array(4)
        },
        decode: (_, memory) => memory[0] ?? 0
      })
      assert.strictEqual(yield* File.ioctl(slave, request, other), 0)
      yield* File.close(other)
      const error = yield* Effect.flip(File.ioctl(slave, request, other))
      assert.strictEqual(error._tag, "EBADF")
    })
  )

  it.live("leaves no thread and no descriptor when it is interrupted", () =>
    Effect.gen(function* () {
      const { slave } = yield* terminal
      // Threads may be kept for the next call: none is to be added by those that are interrupted.
      yield* File.ioctl(slave, Terminal.TCSBRK, 1)
      const fds = yield* openFds
      const count = yield* threads
      for (let turn = 0; turn < 20; turn++) {
        const fiber = yield* Effect.forkChild(File.ioctl(slave, Terminal.TCSBRK, 1))
        yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
      }
      assert.strictEqual(yield* openFds, fds)
      const readThreads = () => Effect.runSync(threads)
      assert.isTrue(yield* eventually(() => readThreads() <= count + 4))
    })
  )
})

describe("types", () => {
  /** Type-checked and never run. */
  const compiles = (_: () => unknown): void => {}
  const file = undefined as unknown as FileModule.File
  const tty = undefined as unknown as FileModule.File<Ioctl.Terminal.Device>
  const master = undefined as unknown as FileModule.File<Ioctl.Terminal.Master>
  const disk = undefined as unknown as FileModule.File<Ioctl.Block.Device>
  const loop = undefined as unknown as FileModule.File<Ioctl.Loop.Device>

  it("let a device be asked its own requests, those of what it is a kind of, and those of any file", () => {
    compiles(() => [
      File.ioctl(file, AnyFile.FIONREAD),
      File.ioctl(tty, AnyFile.FIONREAD),
      File.ioctl(tty, Terminal.TIOCGWINSZ),
      File.ioctl(master, Terminal.TIOCGWINSZ),
      File.ioctl(master, Terminal.TIOCGPTN),
      File.ioctl(loop, Block.BLKGETSIZE64),
      File.ioctl(file, FileSystem.FICLONE, file)
    ])
    // @ts-expect-error not every file is a terminal
    compiles(() => File.ioctl(file, Terminal.TIOCGWINSZ))
    // @ts-expect-error a terminal is no master
    compiles(() => File.ioctl(tty, Terminal.TIOCGPTN))
    // @ts-expect-error a disk is no loop device
    compiles(() => File.ioctl(disk, Loop.LOOP_CLR_FD))
    // @ts-expect-error a disk is no terminal
    compiles(() => File.ioctl(disk, Terminal.TIOCGWINSZ))
    // @ts-expect-error only a request that opens something
    compiles(() => File.ioctlOpen(master, Terminal.TIOCGPTN))
  })

  it("know what each request takes and gives", () => {
    expectTypeOf(File.ioctl(disk, Block.BLKGETSIZE64)).toExtend<Effect.Effect<bigint, Errno.Errno>>()
    expectTypeOf(File.ioctlOpen(master, Terminal.TIOCGPTPEER, 0)).toExtend<
      Effect.Effect<FileModule.File<Ioctl.Terminal.Device>, Errno.Errno, unknown>
    >()
    // @ts-expect-error a source is missing
    compiles(() => File.ioctl(file, FileSystem.FICLONE))
    // @ts-expect-error a number is no file
    compiles(() => File.ioctl(file, FileSystem.FICLONE, 3))
    // @ts-expect-error it takes nothing
    compiles(() => File.ioctl(disk, Block.BLKGETSIZE64, 3))
    // @ts-expect-error a field is missing
    compiles(() => File.ioctl(tty, Terminal.TIOCSWINSZ, { ws_row: 1, ws_col: 1, ws_xpixel: 1 }))
    // @ts-expect-error a range is two numbers of 64 bits
    compiles(() => File.ioctl(disk, Block.BLKDISCARD, [0, 1]))
    assert.isTrue(Predicate.hasProperty(Terminal.TIOCGPTPEER, "~effect-linux/Opened"))
  })
})
