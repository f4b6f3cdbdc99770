/**
 * Operations that have many results, as streams: the kernel is asked once, and answers until it is told to stop. It may
 * stop by itself, and is then asked again.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { codes, EBADF } from "../errors/errnos.ts"
import { type File, hold } from "../file/model.ts"
import { int } from "../internal/arguments.ts"
import * as constants from "../internal/constants.ts"
import type { Chunk } from "../internal/engine/arena.ts"
import { Misuse, misuseOf } from "../internal/invoke.ts"
import { native } from "../internal/native.ts"
import { nr } from "../internal/nr.ts"
import { arena, mustBeOpen, type Ring, type RingState, stateOf } from "./model.ts"
import { isNotEmpty, running } from "./multishot.ts"
import { ownerOf, type Target, timespecOf } from "./operation.ts"
import { type RingError, ringErrors } from "./waiting.ts"

// ---------------------------------------------------------------------------------------------------------------------
// accept
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A connection that was accepted, to be taken into a scope: the effect gives its `File`, once. It fails with `EBADF` when
 * it was taken before, or its stream has ended.
 *
 * @category models
 * @since 0.1.0
 */
export type Connection = Effect.Effect<File, EBADF, Scope.Scope>

/** The most connections that wait to be taken: the others stay in the line of the listening socket. */
const mostConnections = 64

/**
 * All connections that come to a listening socket. Each is an effect that takes it into a scope of its own; those that
 * nobody takes are closed when the stream ends, and none is lost.
 *
 * Can wait; interruptible. Operation `IORING_OP_ACCEPT`, `IORING_ACCEPT_MULTISHOT`; since Linux 5.19.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { File, IoUring } from "effect-linux"
 *
 * const serve = (ring: IoUring.Ring, listener: File.File, greeting: Uint8Array) =>
 *   IoUring.acceptMany(ring, listener).pipe(
 *     Stream.mapEffect(
 *       (connection) => Effect.scoped(Effect.flatMap(connection, (socket) => File.writeAll(socket, greeting))),
 *       { concurrency: "unbounded" }
 *     ),
 *     Stream.runDrain
 *   )
 * ```
 *
 * @category streams
 * @since 0.1.0
 */
export const acceptMany = (
  ring: Ring,
  listener: Target,
  options: { readonly flags?: number | undefined } = {}
): Stream.Stream<Connection, errors.Accept4Error> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const untaken = new Set<number>()
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          for (const fd of untaken) native.call(nr.close, fd)
          untaken.clear()
        })
      )
      const connection = (fd: number): Connection =>
        Effect.uninterruptible(
          Effect.suspend(() =>
            untaken.delete(fd)
              ? hold(fd)
              : Exit.fail(
                  new EBADF({ syscall: "accept4", detail: "the connection was taken, or its stream has ended" })
                )
          )
        )
      return yield* running<Connection, Connection, errors.Accept4Error>(ring, {
        name: "ACCEPT",
        op: constants.IORING_OP_ACCEPT,
        errors: errors.accept4,
        target: listener,
        fill: (fields) => {
          fields.rwFlags = int("flags", options.flags ?? 0) | constants.SOCK_CLOEXEC
          fields.ioprio = constants.IORING_ACCEPT_MULTISHOT
        },
        item: (fd) => {
          untaken.add(fd)
          return connection(fd)
        },
        give: (connections) => nonEmpty(connections),
        most: mostConnections
      })
    })
  )

const nonEmpty = <A>(list: ReadonlyArray<A>): readonly [A, ...Array<A>] => {
  if (isNotEmpty(list)) return list
  throw new Error("a result is missing")
}

// ---------------------------------------------------------------------------------------------------------------------
// receive
// ---------------------------------------------------------------------------------------------------------------------

/** Buffers from which the kernel takes one for each piece of data that comes. */
class BufferGroup {
  readonly group: number
  private readonly ring: RingState
  private readonly count: number
  private readonly size: number
  private readonly entries: Chunk
  private readonly memory: Chunk
  private readonly tail: Uint16Array
  private added = 0

  constructor(ring: RingState, group: number, count: number, size: number, entries: Chunk, memory: Chunk) {
    this.ring = ring
    this.group = group
    this.count = count
    this.size = size
    this.entries = entries
    this.memory = memory
    // The tail lies in what is a reserved place of the first entry.
    this.tail = new Uint16Array(entries.bytes.buffer, entries.bytes.byteOffset + Abi.io_uring_buf.fields.resv.offset, 1)
  }

  register(): number {
    this.entries.bytes.fill(0)
    const register = Abi.io_uring_buf_reg.encode({
      ring_addr: BigInt(this.entries.address),
      ring_entries: this.count,
      bgid: this.group,
      flags: 0
    })
    const result = this.ring.register(constants.IORING_REGISTER_PBUF_RING, register, 1)
    if (result >= 0) for (let index = 0; index < this.count; index++) this.add(index)
    return result
  }

  /** Gives a buffer to the kernel. */
  add(index: number): void {
    const { bytes } = this.entries
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    const at = (this.added & (this.count - 1)) * Abi.io_uring_buf.size
    view.setBigUint64(at, BigInt(this.memory.address + index * this.size), true)
    view.setUint32(at + 8, this.size, true)
    view.setUint16(at + 12, index, true)
    this.added = (this.added + 1) & 0xffff
    Atomics.store(this.tail, 0, this.added)
  }

  /** A copy of what is in a buffer, which then is the kernel's again. */
  take(index: number, length: number): Uint8Array {
    const at = index * this.size
    const bytes = this.memory.bytes.slice(at, at + length)
    this.add(index)
    return bytes
  }

  /** Takes all of them back. */
  release(): void {
    if (!this.ring.closed) {
      const register = Abi.io_uring_buf_reg.encode({ ring_addr: 0n, ring_entries: 0, bgid: this.group, flags: 0 })
      this.ring.register(constants.IORING_UNREGISTER_PBUF_RING, register, 1)
    }
    this.ring.bufferGroups.give(this.group)
    arena.give(this.entries)
    arena.give(this.memory)
  }
}

const pageSize = 4096

const openGroup = (ring: RingState, count: number, size: number): BufferGroup => {
  mustBeOpen(ring)
  const isPowerOfTwo = Number.isSafeInteger(count) && count > 0 && (count & (count - 1)) === 0
  if (!isPowerOfTwo || count > 32_768)
    throw new Misuse(codes.EINVAL, `buffers: ${count} is no power of two up to 32768`)
  if (!Number.isSafeInteger(size) || size <= 0 || count * size > 2 ** 30) {
    throw new Misuse(codes.EINVAL, `bufferSize: ${count} buffers of ${size} bytes are no more than 1 GiB`)
  }
  const group = ring.bufferGroups.take()
  const entries = arena.take(Math.max(pageSize, count * Abi.io_uring_buf.size))
  const memory = arena.take(count * size)
  if (group === undefined || entries === undefined || memory === undefined) {
    throw new Misuse(codes.ENOMEM, "no memory for the buffers")
  }
  const buffers = new BufferGroup(ring, group, count, size, entries, memory)
  const result = buffers.register()
  if (result >= 0) return buffers
  buffers.release()
  throw new Misuse(-result, "the buffers could not be registered")
}

/**
 * How much memory there is for data that nobody has taken yet.
 *
 * @category models
 * @since 0.1.0
 */
export interface RecvManyOptions {
  /** The most bytes of one piece: 16 KiB unless said. */
  readonly bufferSize?: number | undefined
  /** How many pieces, a power of two: 16 unless said. When all are full the kernel stops taking data from the socket. */
  readonly buffers?: number | undefined
}

/**
 * All that comes from a socket until the other side ends it, in pieces, each its own memory. The kernel takes a buffer
 * only when there is something to put into it, so that connections that are silent cost none while they wait.
 *
 * Can wait; interruptible: what had come and was not taken by then is lost. Operation `IORING_OP_RECV`,
 * `IORING_RECV_MULTISHOT`; since Linux 6.0.
 *
 * @category streams
 * @since 0.1.0
 */
export const recvMany = (
  ring: Ring,
  socket: Target,
  options: RecvManyOptions = {}
): Stream.Stream<Uint8Array, errors.RecvfromError> => {
  const { buffers = 16, bufferSize = 16 * 1024 } = options
  const group: Effect.Effect<BufferGroup, errors.RecvfromError, Scope.Scope> = Effect.acquireRelease(
    Effect.suspend(() => {
      try {
        return Exit.succeed(openGroup(stateOf(ring), buffers, bufferSize))
      } catch (thrown) {
        const { code, detail } = misuseOf(thrown)
        return Exit.fail(errors.recvfrom.make(code, undefined, ownerOf(socket)?.fd, detail))
      }
    }),
    (self) => Effect.sync(() => self.release())
  )
  return Stream.unwrap(
    Effect.flatMap(group, (self) =>
      running<{ readonly index: number; readonly length: number }, Uint8Array, errors.RecvfromError>(ring, {
        name: "RECV",
        op: constants.IORING_OP_RECV,
        errors: errors.recvfrom,
        target: socket,
        fill: (fields) => {
          fields.flags = constants.IOSQE_BUFFER_SELECT
          fields.ioprio = constants.IORING_RECV_MULTISHOT
          fields.bufIndex = self.group
        },
        item: (length, flags) => {
          const index = flags >>> constants.IORING_CQE_BUFFER_SHIFT
          if (length > 0) return { index, length }
          if ((flags & constants.IORING_CQE_F_BUFFER) !== 0) self.add(index)
          return undefined
        },
        give: (items) => nonEmpty(items.map(({ index, length }) => self.take(index, length))),
        most: Number.POSITIVE_INFINITY,
        // Nobody took what is in them.
        ended: codes.ENOBUFS
      })
    )
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// readiness and time
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What a file becomes ready for, of `events` (`Syscall.POLLIN`, `POLLOUT` …), each time that something happens to it:
 * edges, and not levels. What happened since the last was taken comes as one.
 *
 * Can wait; interruptible. Operation `IORING_OP_POLL_ADD`, `IORING_POLL_ADD_MULTI`; since Linux 5.13.
 *
 * @category streams
 * @since 0.1.0
 */
export const pollMany = (ring: Ring, file: Target, events: number): Stream.Stream<number, RingError> =>
  Stream.unwrap(
    running(ring, {
      name: "POLL_ADD",
      op: constants.IORING_OP_POLL_ADD,
      errors: ringErrors("poll_add"),
      target: file,
      fill: (fields) => {
        fields.rwFlags = int("events", events)
        fields.len = constants.IORING_POLL_ADD_MULTI
      },
      item: (res) => res,
      give: (items) => [items.reduce((all, item) => all | item, 0)],
      most: 1024
    })
  )

/**
 * Ticks, one each time that a span of time is over, for ever or `count` of them. Those that were not taken in time come as
 * one: each element is how many there were, as of a timerfd.
 *
 * Can wait; interruptible. Operation `IORING_OP_TIMEOUT`, `IORING_TIMEOUT_MULTISHOT`; since Linux 6.4.
 *
 * @category streams
 * @since 0.1.0
 */
export const timeoutMany = (
  ring: Ring,
  every: Duration.Input,
  options: { readonly count?: number | undefined } = {}
): Stream.Stream<number, RingError> => {
  const { count = 0 } = options
  const span = Effect.acquireRelease(
    Effect.sync(() => {
      const chunk = arena.take(Abi.timespec.size)
      if (chunk === undefined) throw new Error("no memory for a timespec")
      Abi.timespec.encode(timespecOf(every), chunk.bytes)
      return chunk
    }),
    (chunk) => Effect.sync(() => arena.give(chunk))
  )
  return Stream.unwrap(
    Effect.flatMap(span, ({ address }) => {
      let left = count
      return running(ring, {
        name: "TIMEOUT",
        op: constants.IORING_OP_TIMEOUT,
        errors: ringErrors("timeout"),
        fill: (fields) => {
          fields.addr = address
          fields.len = 1
          fields.off = left
          fields.rwFlags = constants.IORING_TIMEOUT_MULTISHOT
        },
        item: () => 1,
        give: (items) => [items.length],
        most: Number.POSITIVE_INFINITY,
        answers: codes.ETIME
      }).pipe(
        Effect.map((ticks) =>
          count === 0
            ? ticks
            : Stream.takeUntil(
                Stream.tap(ticks, (more) =>
                  Effect.sync(() => {
                    left -= more
                  })
                ),
                () => left <= 0
              )
        )
      )
    })
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// messages
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What another ring sent.
 *
 * @category models
 * @since 0.1.0
 */
export interface RingMessage {
  readonly data: number
  readonly res: number
}

/**
 * What other rings send to this one, with `msgRing`, while the stream is run. One stream of a ring at a time: a second
 * takes over. The loop is not kept alive for it.
 *
 * Can wait; interruptible. Since Linux 5.18.
 *
 * @category streams
 * @since 0.1.0
 */
export const messages = (ring: Ring): Stream.Stream<RingMessage, EBADF> =>
  Stream.unwrap(
    Effect.acquireRelease(
      Effect.sync(() => new Inbox(stateOf(ring))),
      (inbox) => Effect.sync(() => inbox.close())
    ).pipe(Effect.map((inbox) => Stream.fromPull(Effect.succeed(inbox.pull))))
  )

class Inbox {
  private readonly ring: RingState
  private waiting: Array<RingMessage> = []
  private wake: (() => void) | undefined

  constructor(ring: RingState) {
    this.ring = ring
    ring.queues.onMessage = this.receive
    ring.onClose.add(this.tell)
  }

  private readonly receive = (data: number, res: number): void => {
    this.waiting.push({ data, res })
    this.tell()
  }

  private readonly tell = (): void => {
    const { wake } = this
    this.wake = undefined
    wake?.()
  }

  readonly pull: Effect.Effect<readonly [RingMessage, ...Array<RingMessage>], EBADF> = Effect.suspend(() => {
    const { waiting } = this
    if (isNotEmpty(waiting)) {
      this.waiting = []
      return Exit.succeed(waiting)
    }
    if (this.ring.closed) return Exit.fail(new EBADF({ syscall: "io_uring messages", detail: "ring: it is closed" }))
    return Effect.flatMap(
      Effect.callback<void>((resume) => {
        if (this.waiting.length > 0 || this.ring.closed) resume(Exit.void)
        else this.wake = () => resume(Exit.void)
      }),
      () => this.pull
    )
  })

  close(): void {
    if (this.ring.queues.onMessage === this.receive) this.ring.queues.onMessage = undefined
    this.ring.onClose.delete(this.tell)
  }
}
