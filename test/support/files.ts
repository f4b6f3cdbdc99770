/** Files, pipes and FIFOs for tests, and control over where a fiber gives way. */

import { join } from "node:path"
import { Effect, Scheduler, type Scope, Stream } from "effect"
import { type Errno, File, Ioctl, Struct, Syscall } from "../../src/index.ts"
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
  seek: (file) => File.seek(file, File.Seek.current(0)),
  stat: (file) => File.stat(file),
  truncate: (file) => File.truncate(file, 1),
  sync: (file) => File.sync(file),
  dataSync: (file) => File.dataSync(file),
  entries: (file) => Stream.runDrain(File.entries(file)),
  openAt: (file) => File.openAt(file, "name"),
  duplicate: (file) => File.duplicate(file),
  fcntl: (file) => File.fcntl(file, Syscall.F_GETFL),
  ioctl: (file) => File.ioctl(file, Ioctl.read(AnyDevice, 0x541b, Struct.i32)),
  mmap: (file) => File.mmap(file, { length: 1 }),
  fd: (file) => File.fd(file),
  release: (file) => File.release(file),
  close: (file) => File.close(file)
}
