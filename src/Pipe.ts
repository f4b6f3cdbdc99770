/**
 * Pipes, and moving data between files in the kernel by way of them: `splice`, `tee`, `vmsplice`.
 *
 * Both ends are `File`s: `File.read`, `File.stream`, `File.writeAll` and the like are how they are used.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as errors from "./errors/calls.ts"
import type { File } from "./File.ts"
import { ioctl } from "./file/device.ts"
import { hold, own } from "./file/model.ts"
import { attemptOn, ownerOf } from "./file/several.ts"
import * as Ioctl from "./Ioctl.ts"
import { type Buffer, int, long } from "./internal/arguments.ts"
import * as constants from "./internal/constants.ts"
import { runOn } from "./internal/descriptor.ts"
import { type Description, onThisThread, run } from "./internal/invoke.ts"
import type { BlockingOptions } from "./internal/trampoline.ts"
import * as Poll from "./Poll.ts"
import * as Struct from "./Struct.ts"
import * as Syscall from "./Syscall.ts"
import { bufferVector, number, offsetMemory } from "./syscall/convert.ts"
import * as describe from "./syscall/descriptions.ts"

/**
 * The kind of file: `File.asDevice(file, Pipe.device)` says of a file that came from elsewhere, such as a FIFO that was
 * opened, that it is an end of a pipe.
 *
 * @category models
 * @since 0.1.0
 */
export const device = Ioctl.device("Pipe")

/**
 * An end of a pipe.
 *
 * @category models
 * @since 0.1.0
 */
export interface End extends File<typeof device> {}

/**
 * A pipe: what is written to `writer` is read from `reader`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pipe {
  readonly reader: End
  readonly writer: End
}

/**
 * Makes a pipe, whose ends are closed with the scope.
 *
 * `size` is how many bytes it is to hold at least, 64 KiB unless said: see {@link setCapacity}. In `packet` mode each read
 * gives one write, cut where the buffer is smaller; writes of more than a page are several packets.
 *
 * The ends wait when they have to, as those that a child process inherits are expected to. Does not block. Manual page:
 * pipe(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File, Pipe } from "effect-linux"
 *
 * const echo = Effect.gen(function* () {
 *   const { reader, writer } = yield* Pipe.make()
 *   yield* File.writeAll(writer, new TextEncoder().encode("hello"))
 *   yield* File.close(writer)
 *   return yield* File.readAll(reader)
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: { readonly size?: number | undefined; readonly packet?: boolean | undefined } = {}
): Effect.Effect<Pipe, errors.Pipe2Error | errors.FcntlError, Scope.Scope> => {
  const { packet = false, size } = options
  const flags = constants.O_CLOEXEC | (packet ? constants.O_DIRECT : 0)
  const pipe = Effect.uninterruptible(
    Effect.flatMap(Syscall.pipe2(flags), ([reader, writer]) =>
      Effect.map(
        Effect.all([hold<typeof device>(reader), hold<typeof device>(writer)]),
        ([reader, writer]): Pipe => ({ reader, writer })
      )
    )
  )
  return size === undefined ? pipe : Effect.tap(pipe, ({ writer }) => setCapacity(writer, size))
}

/**
 * How many bytes a pipe holds. Manual page: fcntl(2), `F_GETPIPE_SZ`.
 *
 * @category capacity
 * @since 0.1.0
 */
export const capacity = (end: End): Effect.Effect<number, errors.FcntlError> =>
  Effect.suspend(() => runOn(own(end), describe.fcntl(own(end).fd, constants.F_GETPIPE_SZ, 0)))

/**
 * Makes a pipe hold at least `size` bytes; returns how many, as the kernel takes whole pages and powers of 2.
 *
 * Fails with `EBUSY` where more than that is in it, and with `EPERM` above `/proc/sys/fs/pipe-max-size` without
 * `CAP_SYS_RESOURCE`. Manual page: fcntl(2), `F_SETPIPE_SZ`.
 *
 * @category capacity
 * @since 0.1.0
 */
export const setCapacity = (end: End, size: number): Effect.Effect<number, errors.FcntlError> =>
  Effect.suspend(() => {
    const { fd } = own(end)
    return runOn(own(end), {
      ...describe.fcntl(fd, constants.F_SETPIPE_SZ, 0),
      prepare: () => [fd, constants.F_SETPIPE_SZ, int("size", size)]
    })
  })

const FIONREAD = Ioctl.read(Ioctl.anyDevice, 0x541b, Struct.i32, { name: "FIONREAD" })

/**
 * How many bytes wait in a pipe. Manual page: pipe(7), `FIONREAD`.
 *
 * @category capacity
 * @since 0.1.0
 */
export const available = (end: End): Effect.Effect<number, errors.IoctlError> => ioctl(end, FIONREAD)

/**
 * What is moved, and from and to where.
 *
 * `length` is in bytes. `fromOffset` and `toOffset` are for a side that is no pipe: bytes from its start, and its own
 * offset stays where it is; without them that is used, and moves on.
 *
 * @category models
 * @since 0.1.0
 */
export interface SpliceOptions {
  readonly length: number
  readonly fromOffset?: number | bigint | undefined
  readonly toOffset?: number | bigint | undefined
  /** That more will follow, for a socket that is written to: `SPLICE_F_MORE`. */
  readonly more?: boolean | undefined
}

const spliceOptions: BlockingOptions = {}

const untilBothReady = (from: File<unknown>, to: File<unknown>): Effect.Effect<void, Poll.PollError> =>
  Effect.andThen(Poll.ready(from, ["in"]), Effect.asVoid(Poll.ready(to, ["out"])))

/** Makes a call that does not wait for a pipe, and waits for both sides before it, as often as it takes. */
const whenBothReady = <E>(
  from: File<unknown>,
  to: File<unknown>,
  attempt: Effect.Effect<number | undefined, E>
): Effect.Effect<number, E | Poll.PollError> =>
  Effect.flatMap(attempt, (count) =>
    count === undefined
      ? Effect.flatMap(untilBothReady(from, to), () => whenBothReady(from, to, attempt))
      : Effect.succeed(count)
  )

/**
 * Moves up to `length` bytes from one file to another within the kernel, without a copy where that can be; returns how
 * many, 0 at the end of `from`. One of the two must be a pipe, else it fails with `EINVAL`.
 *
 * Waits until `from` has something and `to` has room; interruptible. Manual page: splice(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File, Pipe } from "effect-linux"
 *
 * // a file into a socket, of which JavaScript sees no byte
 * const send = (file: File.File, socket: File.File) =>
 *   Effect.gen(function* () {
 *     const { reader, writer } = yield* Pipe.make()
 *     while (true) {
 *       let rest = yield* Pipe.splice(file, writer, { length: 65_536 })
 *       if (rest === 0) return
 *       while (rest > 0) rest -= yield* Pipe.splice(reader, socket, { length: rest })
 *     }
 *   }).pipe(Effect.scoped)
 * ```
 *
 * @category moving
 * @since 0.1.0
 */
export const splice = (
  from: File<unknown>,
  to: File<unknown>,
  options: SpliceOptions
): Effect.Effect<number, errors.SpliceError | Poll.PollError> =>
  Effect.suspend(() => {
    const { fromOffset = null, length, more = false, toOffset = null } = options
    const [source, target] = [own(from), own(to)]
    // A pipe is never waited for on the thread, which the other side may still need for a disk.
    const flags = constants.SPLICE_F_NONBLOCK | (more ? constants.SPLICE_F_MORE : 0)
    const description: Description<number, errors.SpliceError> = {
      errors: errors.splice,
      nr: Syscall.nr.splice,
      prepare: () => [
        source.fd,
        offsetMemory("fromOffset", fromOffset),
        target.fd,
        offsetMemory("toOffset", toOffset),
        long("length", length),
        flags
      ],
      decode: number,
      options: spliceOptions,
      subject: { fd: source.fd }
    }
    const attempt = Effect.catchTag(
      run(description, undefined, ownerOf([source, target])),
      "EAGAIN",
      () => Effect.undefined
    )
    // A socket would be waited for on the thread, so that it is looked at before; what is always ready costs one call.
    return Effect.flatMap(untilBothReady(from, to), () => whenBothReady(from, to, attempt))
  })

/**
 * Copies up to `length` bytes from one pipe to another, and leaves them in the first; returns how many, 0 at the end.
 *
 * Waits until the first has something and the second has room; interruptible. Manual page: tee(2).
 *
 * @category moving
 * @since 0.1.0
 */
export const tee = (from: End, to: End, length: number): Effect.Effect<number, errors.TeeError | Poll.PollError> =>
  Effect.suspend(() => {
    const [source, target] = [own(from), own(to)]
    const attempt = Effect.catchTag(
      run<number, errors.TeeError>(
        {
          errors: errors.tee,
          nr: Syscall.nr.tee,
          prepare: () => [source.fd, target.fd, long("length", length), constants.SPLICE_F_NONBLOCK],
          decode: number,
          options: onThisThread,
          subject: { fd: source.fd }
        },
        undefined,
        ownerOf([source, target])
      ),
      "EAGAIN",
      () => Effect.undefined
    )
    return whenBothReady(from, to, attempt)
  })

/**
 * Puts the pages of buffers into a pipe, instead of a copy of them; returns the number of bytes, which may be fewer than
 * they hold.
 *
 * Until the other end has read them the buffers must be kept, and left as they are: what is written to them meanwhile is
 * read. `File.writev` is the one that copies.
 *
 * Waits until there is room; interruptible. Manual page: vmsplice(2).
 *
 * @category moving
 * @since 0.1.0
 */
export const lend = (
  writer: End,
  buffers: ReadonlyArray<Buffer>
): Effect.Effect<number, errors.VmspliceError | Poll.PollError> =>
  Effect.suspend(() => {
    const self = own(writer)
    const description: Description<number, errors.VmspliceError> = {
      errors: errors.vmsplice,
      nr: Syscall.nr.vmsplice,
      prepare: () => [self.fd, ...bufferVector("buffers", buffers), constants.SPLICE_F_NONBLOCK],
      decode: number,
      options: onThisThread,
      subject: { fd: self.fd }
    }
    const again: Effect.Effect<number, errors.VmspliceError | Poll.PollError> = Effect.flatMap(
      attemptOn(self, description),
      (count) =>
        count === undefined ? Effect.flatMap(Poll.ready(writer, ["out"]), () => again) : Effect.succeed(count)
    )
    return again
  })
