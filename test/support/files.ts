/** Files, pipes and FIFOs for tests, and control over where a fiber gives way. */

import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Scheduler, type Scope, Stream } from "effect"
import { type Errno, Fcntl, File, Ioctl, Struct, Syscall } from "../../src/index.ts"
import { temporaryDirectory } from "./temporary.ts"

export { temporaryDirectory }

/** The path of a file that is not there yet, in a directory of its own. */
export const temporaryPath = Effect.map(temporaryDirectory, (directory) => join(directory, "file"))

/** A file that can be read and written and has no name. */
export const temporaryFile = Effect.flatMap(temporaryDirectory, (directory) =>
  File.open(directory, { access: "readWrite", tempFile: true, mode: 0o600 })
)

/** A pipe whose ends are closed with the scope. */
export const pipe = Effect.gen(function* () {
  const [read, write] = yield* Syscall.pipe2(Syscall.O_CLOEXEC)
  return { reader: yield* File.fromFd(read), writer: yield* File.fromFd(write) }
})

export const makeFifo = (path: string) =>
  Syscall.call(Syscall.nr.mknodat, Syscall.AT_FDCWD, new TextEncoder().encode(`${path}\0`), Syscall.S_IFIFO | 0o600, 0)

/** Lets everything run that is ready to run: one turn of the event loop. */
export const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

/**
 * A scheduler that makes the fiber give way once, before its operation number `at`. Fibers give way by themselves after
 * some thousand operations, so that it can happen anywhere; with this it happens where a test wants it.
 */
export class YieldAt extends Scheduler.MixedScheduler {
  private asked = 0
  private readonly at: number

  constructor(at: number) {
    super()
    this.at = at
  }

  override shouldYield(): boolean {
    return ++this.asked === this.at
  }
}

/** Runs an effect on a fiber that gives way once, before its operation number `at`. */
export const yieldingAt =
  (at: number) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => Effect.provideService(self, Scheduler.Scheduler, new YieldAt(at)))

/** Runs an effect and tells which system calls it made. */
export const callsOf = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const calls: Array<Syscall.Call> = []
    const recording = Syscall.record(Syscall.kernel, (call) => calls.push(call))
    return Effect.map(Effect.provideService(self, Syscall.Trampoline, recording), (result) => ({ result, calls }))
  })

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** Whether a thread of this process, but not this one, is asleep in a call. */
export const isAsleepIn = (nr: number): boolean =>
  readdirSync("/proc/self/task").some((task) => {
    if (Number(task) === process.pid) return false
    try {
      return readFileSync(`/proc/self/task/${task}/syscall`, "utf8").startsWith(`${nr} `)
    } catch {
      // A thread that ended meanwhile.
      return false
    }
  })

/** Any file: for requests that every driver may be asked. */
const AnyDevice: Ioctl.AnyDevice = Ioctl.device("any")

/** Every operation on a `File`, each with arguments that an open file of any kind may refuse but not wait on. */
export const operations: {
  readonly [name: string]: (file: File.File) => Effect.Effect<unknown, Errno.Errno, Scope.Scope>
} = {
  read: (file) => File.read(file, new Uint8Array(1)),
  write: (file) => File.write(file, new Uint8Array(1)),
  pread: (file) => File.pread(file, new Uint8Array(1), 0),
  pwrite: (file) => File.pwrite(file, new Uint8Array(1), 0),
  readv: (file) => File.readv(file, [new Uint8Array(1)]),
  writev: (file) => File.writev(file, [new Uint8Array(1)]),
  readAll: (file) => File.readAll(file),
  writeAll: (file) => File.writeAll(file, new Uint8Array(1)),
  stream: (file) => Stream.runDrain(File.stream(file)),
  preadv: (file) => File.preadv(file, [new Uint8Array(1)], 0),
  pwritev: (file) => File.pwritev(file, [new Uint8Array(1)], 0),
  preadv2: (file) => File.preadv2(file, [new Uint8Array(1)]),
  "preadv2 without waiting": (file) => File.preadv2(file, [new Uint8Array(1)], { noWait: true }),
  pwritev2: (file) => File.pwritev2(file, [new Uint8Array(1)], { offset: 0 }),
  pwriteAll: (file) => File.pwriteAll(file, new Uint8Array(1), 0),
  sink: (file) => Stream.run(Stream.make(new Uint8Array(1)), File.sink(file)),
  copyTo: (file) => File.copyTo(file, file),
  statAt: (file) => File.statAt(file, "name"),
  statfs: (file) => File.statfs(file),
  setTimes: (file) => File.setTimes(file, { modified: "now" }),
  setTimesAt: (file) => File.setTimesAt(file, "name", { modified: "now" }),
  chmod: (file) => File.chmod(file, 0o600),
  chmodAt: (file) => File.chmodAt(file, "name", 0o600),
  chown: (file) => File.chown(file, {}),
  chownAt: (file) => File.chownAt(file, "name", {}),
  accessAt: (file) => File.accessAt(file, "name"),
  existsAt: (file) => File.existsAt(file, "name"),
  isTerminal: (file) => File.isTerminal(file),
  allocate: (file) => File.allocate(file, 0, 1),
  punchHole: (file) => File.punchHole(file, 0, 1),
  zeroRange: (file) => File.zeroRange(file, 0, 1),
  collapseRange: (file) => File.collapseRange(file, 0, 1),
  insertRange: (file) => File.insertRange(file, 0, 1),
  unshareRange: (file) => File.unshareRange(file, 0, 1),
  advise: (file) => File.advise(file, "random"),
  "advise willNeed": (file) => File.advise(file, "willNeed"),
  syncFs: (file) => File.syncFs(file),
  getXattr: (file) => File.getXattr(file, "user.name"),
  setXattr: (file) => File.setXattr(file, "user.name", "value"),
  listXattrs: (file) => File.listXattrs(file),
  removeXattr: (file) => File.removeXattr(file, "user.name"),
  flock: (file) => File.flock(file, "exclusive"),
  tryFlock: (file) => File.tryFlock(file, "shared"),
  lockRange: (file) => File.lockRange(file, { kind: "exclusive" }),
  tryLockRange: (file) => File.tryLockRange(file, { kind: "shared" }),
  testRange: (file) => File.testRange(file, { kind: "shared" }),
  lease: (file) => File.lease(file, "read"),
  leaseOf: (file) => File.leaseOf(file),
  addSeals: (file) => File.addSeals(file, ["grow"]),
  getSeals: (file) => File.getSeals(file),
  openAt2: (file) => File.openAt2(file, "name", { resolve: { beneath: true } }),
  createAt: (file) => File.createAt(file, "new", { mode: 0o600 }),
  tempFileAt: (file) => File.tempFileAt(file, ".", { mode: 0o600 }),
  linkIntoAt: (file) => File.linkIntoAt(file, file, "new"),
  mkdirAt: (file) => File.mkdirAt(file, "new", { mode: 0o700 }),
  mkfifoAt: (file) => File.mkfifoAt(file, "new", { mode: 0o600 }),
  mknodAt: (file) => File.mknodAt(file, "new", { type: "socket", mode: 0o600 }),
  linkAt: (file) => File.linkAt(file, "name", file, "new"),
  symlinkAt: (file) => File.symlinkAt("name", file, "new"),
  readlinkAt: (file) => File.readlinkAt(file, "name"),
  renameAt: (file) => File.renameAt(file, "name", file, "new"),
  unlinkAt: (file) => File.unlinkAt(file, "new"),
  rmdirAt: (file) => File.rmdirAt(file, "new"),
  walkAt: (file) => Stream.runDrain(File.walkAt(file, ".")),
  seek: (file) => File.seek(file, File.Seek.current(0)),
  stat: (file) => File.stat(file),
  truncate: (file) => File.truncate(file, 1),
  sync: (file) => File.sync(file),
  dataSync: (file) => File.dataSync(file),
  entries: (file) => Stream.runDrain(File.entries(file)),
  openAt: (file) => File.openAt(file, "name"),
  duplicate: (file) => File.duplicate(file),
  fcntl: (file) => File.fcntl(file, Fcntl.F_GETFL),
  ioctl: (file) => File.ioctl(file, Ioctl.read(AnyDevice, 0x541b, Struct.i32)),
  mmap: (file) => File.mmap(file, { length: 1 }),
  fd: (file) => File.fd(file),
  release: (file) => File.release(file),
  close: (file) => File.close(file)
}
