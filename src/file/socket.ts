/**
 * What a `Socket` is, making and naming it. Its options are in socket-options.ts, connecting and accepting in
 * socket-connect.ts, what is sent and received in socket-transfer.ts and socket-messages.ts, servers and clients made in one
 * step in socket-serve.ts.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as errors from "../errors/calls.ts"
import * as Ioctl from "../Ioctl.ts"
import * as constants from "../internal/constants.ts"
import { type Descriptor, runOn } from "../internal/descriptor.ts"
import { type Description, run } from "../internal/invoke.ts"
import * as SocketAddress from "../SocketAddress.ts"
import type { SockAddr } from "../syscall/sockaddr.ts"
import * as describe from "../syscall/sockets.ts"
import { adopt, type File, hold, own } from "./model.ts"

// ---------------------------------------------------------------------------------------------------------------------
// models
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Sockets as a kind of device: the requests of `Ioctl` for it are those that sockets understand.
 *
 * @category models
 * @since 0.1.0
 */
export const device: Ioctl.Device<"Socket"> = Ioctl.device("Socket")

/**
 * A socket: a `File` on which one can also send and receive.
 *
 * @category models
 * @since 0.1.0
 */
export type Socket = File<Ioctl.Device<"Socket">>

/**
 * The family of a socket, in a word or as one of `AF_*`.
 *
 * @category models
 * @since 0.1.0
 */
export type Family = "inet" | "inet6" | "unix" | "netlink" | "packet" | "vsock" | number

/**
 * What a socket carries, in a word or as one of `SOCK_*`.
 *
 * @category models
 * @since 0.1.0
 */
export type Type = "stream" | "datagram" | "seqpacket" | "raw" | "rdm" | number

/**
 * How a socket is made.
 *
 * @category models
 * @since 0.1.0
 */
export interface MakeOptions {
  /** One of `IPPROTO_*`, `NETLINK_*` or `ETH_P_*` (in network byte order); 0, what the family has for the type, by default. */
  readonly protocol?: number | undefined
  /** The descriptor is closed in programs that this one executes. True unless said. */
  readonly closeOnExec?: boolean | undefined
  /** Operations answer `EAGAIN` or `EINPROGRESS` rather than wait. False unless said. */
  readonly nonBlocking?: boolean | undefined
}

/**
 * A connection that was accepted.
 *
 * @category models
 * @since 0.1.0
 */
export interface Connection {
  readonly socket: Socket
  /** Who connected; undefined where they have no address. */
  readonly address: SocketAddress.SocketAddress | undefined
}

const families = {
  inet: constants.AF_INET,
  inet6: constants.AF_INET6,
  unix: constants.AF_UNIX,
  netlink: constants.AF_NETLINK,
  packet: constants.AF_PACKET,
  vsock: constants.AF_VSOCK
}

const types = {
  stream: constants.SOCK_STREAM,
  datagram: constants.SOCK_DGRAM,
  seqpacket: constants.SOCK_SEQPACKET,
  raw: constants.SOCK_RAW,
  rdm: constants.SOCK_RDM
}

/** The number that a word stands for. */
export const numberOf = <Word extends string>(
  name: string,
  words: { readonly [W in Word]: number },
  value: Word | number
): number => {
  if (typeof value === "number") return value
  const number = Object.hasOwn(words, value) ? words[value] : undefined
  if (number === undefined) {
    throw new TypeError(`${name}: expected a number or one of ${Object.keys(words).join(", ")}, got ${String(value)}`)
  }
  return number
}

const typeOf = (type: Type, { closeOnExec = true, nonBlocking = false }: MakeOptions): number =>
  numberOf("type", types, type) |
  (closeOnExec ? constants.SOCK_CLOEXEC : 0) |
  (nonBlocking ? constants.SOCK_NONBLOCK : 0)

/** Those that were made to answer EAGAIN. Of any other listening socket O_NONBLOCK is no wish of the user's. */
export const impatient = new WeakSet<Descriptor>()

const remember = (socket: Socket, { nonBlocking = false }: MakeOptions): Socket => {
  if (nonBlocking) impatient.add(own(socket))
  return socket
}

// ---------------------------------------------------------------------------------------------------------------------
// constructors
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Makes a socket, for as long as the scope is open.
 *
 * Does not block. Manual page: socket(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Socket, SocketAddress } from "effect-linux"
 *
 * const ask = Effect.gen(function* () {
 *   const socket = yield* Socket.make("inet", "datagram")
 *   yield* Socket.connect(socket, SocketAddress.inet("192.0.2.1", 53))
 *   yield* Socket.send(socket, new TextEncoder().encode("?"))
 *   const answer = new Uint8Array(512)
 *   return answer.subarray(0, yield* Socket.recv(socket, answer))
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  family: Family,
  type: Type,
  options: MakeOptions = {}
): Effect.Effect<Socket, errors.SocketError, Scope.Scope> =>
  Effect.suspend(() =>
    Effect.map(
      adopt<Ioctl.Device<"Socket">, errors.SocketError>(
        describe.socket(numberOf("family", families, family), typeOf(type, options), options.protocol ?? 0)
      ),
      (socket) => remember(socket, options)
    )
  )

/**
 * Makes two Unix sockets that are connected to each other.
 *
 * Does not block. Manual page: socketpair(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File, Socket } from "effect-linux"
 *
 * const echoed = Effect.gen(function* () {
 *   const [left, right] = yield* Socket.pair("stream")
 *   yield* Socket.sendAll(left, new TextEncoder().encode("hello"))
 *   yield* Socket.shutdown(left, "write")
 *   return yield* File.readAll(right)
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const pair = (
  type: Type,
  options: MakeOptions & { readonly family?: Family | undefined } = {}
): Effect.Effect<readonly [first: Socket, second: Socket], errors.SocketpairError, Scope.Scope> =>
  Effect.uninterruptible(
    Effect.suspend(() => {
      const family = numberOf("family", families, options.family ?? "unix")
      const made = run(describe.socketpair(family, typeOf(type, options), options.protocol ?? 0))
      return Effect.flatMap(made, ([first, second]) =>
        Effect.map(
          Effect.all([hold<Ioctl.Device<"Socket">>(first), hold<Ioctl.Device<"Socket">>(second)]),
          ([a, b]) => [remember(a, options), remember(b, options)] as const
        )
      )
    })
  )

// ---------------------------------------------------------------------------------------------------------------------
// addresses
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Gives a socket its local address. A Unix path is made by this as a file, and stays until it is unlinked; the unnamed
 * address lets the kernel choose an abstract name, and port 0 a port: {@link localAddress} tells.
 *
 * Does not block but for a Unix path, which can wait for a disk or server; interruptible, and then it may have been bound,
 * which {@link localAddress} tells. Manual page: bind(2).
 *
 * @category addresses
 * @since 0.1.0
 */
export const bind = (socket: Socket, address: SocketAddress.Input): Effect.Effect<void, errors.BindError> =>
  Effect.suspend(() => runOn(own(socket), describe.bind(own(socket).fd, address)))

const named = <E>(owner: Descriptor, description: Description<SockAddr, E>) =>
  Effect.map(runOn(owner, description), SocketAddress.fromSockAddr)

/**
 * The address of a socket itself. Does not block. Manual page: getsockname(2).
 *
 * @category addresses
 * @since 0.1.0
 */
export const localAddress = (socket: Socket): Effect.Effect<SocketAddress.SocketAddress, errors.GetsocknameError> =>
  Effect.suspend(() => named(own(socket), describe.getsockname(own(socket).fd)))

/**
 * The address that a socket is connected to; fails with `ENOTCONN` where it is not. Does not block. Manual page:
 * getpeername(2).
 *
 * @category addresses
 * @since 0.1.0
 */
export const peerAddress = (socket: Socket): Effect.Effect<SocketAddress.SocketAddress, errors.GetpeernameError> =>
  Effect.suspend(() => named(own(socket), describe.getpeername(own(socket).fd)))
