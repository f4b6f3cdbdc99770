/**
 * Sending and receiving bytes. With control messages and descriptors: socket-messages.ts.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import type { Buffer } from "../internal/arguments.ts"
import { MSG_NOSIGNAL } from "../internal/constants.ts"
import { runOn } from "../internal/descriptor.ts"
import { Exchange, type ExchangeKind } from "../internal/exchange.ts"
import { evaluatedDirectly, type Fiber, Primitive } from "../internal/invoke.ts"
import { nr } from "../internal/nr.ts"
import * as SocketAddress from "../SocketAddress.ts"
import * as describe from "../syscall/sockets.ts"
import { own } from "./model.ts"
import type { Socket } from "./socket.ts"

const sending: ExchangeKind<errors.SendtoError> = {
  nr: nr.sendto,
  describe: (fd, buffer, flags) => describe.sendto(fd, buffer, flags, null)
}

const receiving: ExchangeKind<errors.RecvfromError> = { nr: nr.recvfrom, describe: describe.recv }

/**
 * Sends bytes over a socket that is connected; returns how many, which on a stream may be fewer: see {@link sendAll}.
 * `flags` are of `MSG_*`; `MSG_NOSIGNAL` is always among them, so that a connection that is gone is an `EPIPE`.
 *
 * Can wait; interruptible. Manual page: send(2).
 *
 * @category transfer
 * @since 0.1.0
 */
export const send = (socket: Socket, bytes: Buffer, flags = 0): Effect.Effect<number, errors.SendtoError> =>
  new Exchange(sending, own(socket), bytes, describe.withFlag(flags, MSG_NOSIGNAL))

/**
 * Sends all of some bytes over a stream, going on where a send was short.
 *
 * Can wait; interruptible, and then some of them may have been sent.
 *
 * @category transfer
 * @since 0.1.0
 */
export const sendAll = (socket: Socket, bytes: Uint8Array, flags = 0): Effect.Effect<void, errors.SendtoError> =>
  new SendAll(socket, bytes, flags)

class SendAll extends Primitive<void, errors.SendtoError> {
  readonly socket: Socket
  readonly bytes: Uint8Array
  readonly flags: number

  constructor(socket: Socket, bytes: Uint8Array, flags: number) {
    super()
    this.socket = socket
    this.bytes = bytes
    this.flags = flags
  }

  evaluate(fiber: Fiber): Effect.Effect<void, errors.SendtoError> {
    const { bytes, flags, socket } = this
    const first = new Exchange(sending, own(socket), bytes, describe.withFlag(flags, MSG_NOSIGNAL)).now(fiber)
    // Most often the kernel takes all of it at once.
    return typeof first === "number" ? this.after(first) : Effect.flatMap(first, (count) => this.after(count))
  }

  private after(count: number): Effect.Effect<void, errors.SendtoError> {
    const { bytes, flags, socket } = this
    if (count === bytes.length) return Exit.void
    if (count > 0) return new SendAll(socket, bytes.subarray(count), flags)
    return Effect.fail(errors.sendto.make(codes.EIO, undefined, own(socket).fd, "the kernel took no bytes"))
  }
}

evaluatedDirectly(SendAll)

/**
 * Sends a datagram to an address; returns the number of bytes. `flags` as for {@link send}.
 *
 * Can wait; interruptible. Manual page: sendto(2).
 *
 * @category transfer
 * @since 0.1.0
 */
export const sendTo = (
  socket: Socket,
  bytes: Buffer,
  address: SocketAddress.Input,
  flags = 0
): Effect.Effect<number, errors.SendtoError> =>
  Effect.suspend(() =>
    runOn(own(socket), describe.sendto(own(socket).fd, bytes, describe.withFlag(flags, MSG_NOSIGNAL), address))
  )

/**
 * Receives bytes; returns how many. None mean that the stream has ended, or an empty datagram. `flags` are of `MSG_*`:
 * with `MSG_TRUNC` the number is that of the whole datagram, which may be more than the buffer holds.
 *
 * Can wait; interruptible. Manual page: recv(2).
 *
 * @category transfer
 * @since 0.1.0
 */
export const recv = (socket: Socket, buffer: Buffer, flags = 0): Effect.Effect<number, errors.RecvfromError> =>
  new Exchange(receiving, own(socket), buffer, flags)

/**
 * What {@link recvFrom} received.
 *
 * @category models
 * @since 0.1.0
 */
export interface Received {
  /** The number of bytes; with `MSG_TRUNC` that of the whole datagram, which may be more than the buffer holds. */
  readonly bytes: number
  /** Who sent them; undefined where the socket is connected, or the sender has no address. */
  readonly address: SocketAddress.SocketAddress | undefined
}

/**
 * Receives bytes, and the address of who sent them. `flags` as for {@link recv}.
 *
 * Can wait; interruptible. Manual page: recvfrom(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Socket, SocketAddress } from "effect-linux"
 *
 * const echo = Effect.gen(function* () {
 *   const socket = yield* Socket.make("inet6", "datagram")
 *   yield* Socket.bind(socket, SocketAddress.inet6(SocketAddress.Ipv6.ANY, 7))
 *   const buffer = new Uint8Array(65_535)
 *   while (true) {
 *     const { address, bytes } = yield* Socket.recvFrom(socket, buffer)
 *     if (address !== undefined) yield* Socket.sendTo(socket, buffer.subarray(0, bytes), address)
 *   }
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category transfer
 * @since 0.1.0
 */
export const recvFrom = (socket: Socket, buffer: Buffer, flags = 0): Effect.Effect<Received, errors.RecvfromError> =>
  Effect.suspend(() =>
    Effect.map(runOn(own(socket), describe.recvfrom(own(socket).fd, buffer, flags)), ({ address, bytes }) => ({
      bytes,
      address: address === undefined ? undefined : SocketAddress.fromSockAddr(address)
    }))
  )
