/**
 * Clients and servers in one step: a socket that is connected, one that listens, and the connections to it.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as errors from "../errors/calls.ts"
import { AT_FDCWD } from "../internal/constants.ts"
import * as SocketAddress from "../SocketAddress.ts"
import * as Syscall from "../Syscall.ts"
import { own } from "./model.ts"
import { IPV6_V6ONLY } from "./option-ipv6.ts"
import { SO_REUSEADDR, SO_REUSEPORT } from "./option-socket.ts"
import { bind, type Connection, make, type Socket, type Type } from "./socket.ts"
import { connect, holdConnection, listen, take } from "./socket-connect.ts"
import { setOption } from "./socket-options.ts"

/** Acquires in a scope of its own within the caller's, so that what fails half-way is released at once. */
const together = <A, E>(acquire: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<A, E, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.scope, (parent) =>
      Effect.flatMap(Scope.fork(parent), (scope) =>
        Effect.onExit(restore(Scope.provide(acquire, scope)), (exit) =>
          Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void
        )
      )
    )
  )

// ---------------------------------------------------------------------------------------------------------------------
// clients
// ---------------------------------------------------------------------------------------------------------------------

/**
 * How a connection is made.
 *
 * @category models
 * @since 0.1.0
 */
export interface DialOptions {
  /** A stream unless said. */
  readonly type?: Type | undefined
  readonly protocol?: number | undefined
  /** The address of this side; the kernel's choice unless said. */
  readonly from?: SocketAddress.Input | undefined
}

/**
 * What {@link dial} fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export type DialError = errors.SocketError | errors.BindError | errors.ConnectError

/**
 * Makes a socket for an address and connects it, for as long as the scope is open. Where that fails nothing stays open.
 *
 * Can wait; interruptible. See `connect`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File, Socket, SocketAddress } from "effect-linux"
 *
 * const home = Effect.gen(function* () {
 *   const socket = yield* Socket.dial(SocketAddress.inet("192.0.2.1", 80))
 *   yield* Socket.sendAll(socket, new TextEncoder().encode("GET / HTTP/1.0\r\n\r\n"))
 *   return new TextDecoder().decode(yield* File.readAll(socket))
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category connecting
 * @since 0.1.0
 */
export const dial = (
  address: SocketAddress.Input,
  options: DialOptions = {}
): Effect.Effect<Socket, DialError, Scope.Scope> => {
  const { from, protocol, type = "stream" } = options
  return together(
    Effect.gen(function* () {
      const socket = yield* make(SocketAddress.family(address), type, { protocol })
      if (from !== undefined) yield* bind(socket, from)
      yield* connect(socket, address)
      return socket
    })
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// servers
// ---------------------------------------------------------------------------------------------------------------------

/**
 * How a socket listens.
 *
 * @category models
 * @since 0.1.0
 */
export interface ListenerOptions {
  /** A stream unless said. */
  readonly type?: Type | undefined
  readonly protocol?: number | undefined
  /** How many connections may wait to be accepted: 4,096 unless said. */
  readonly backlog?: number | undefined
  /** Whether an IP address may be used that has just been used: `SO_REUSEADDR`. True unless said. */
  readonly reuseAddress?: boolean | undefined
  /** Whether other sockets that say so, too, may listen at the address: `SO_REUSEPORT`. False unless said. */
  readonly reusePort?: boolean | undefined
  /** Whether an IPv6 address leaves IPv4 to others: `IPV6_V6ONLY`. The system's setting, mostly false, unless said. */
  readonly onlyIpv6?: boolean | undefined
  /** Whether the file of a Unix path is removed when the scope closes. True unless said. */
  readonly unlink?: boolean | undefined
}

/**
 * What {@link listener} fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export type ListenerError = errors.SocketError | errors.SetsockoptError | errors.BindError | errors.ListenError

const isIp = ({ _tag }: SocketAddress.Input): boolean => _tag === "Inet" || _tag === "Inet6"

/**
 * Makes a socket that listens at an address, for as long as the scope is open. Where that fails nothing stays open.
 *
 * To take connections of both versions of IP listen at `SocketAddress.inet6(SocketAddress.Ipv6.ANY, port)`: addresses of
 * IPv4 are then mapped, which `SocketAddress.fromMapped` undoes. With port 0 the kernel chooses one: see `localAddress`.
 *
 * @category connecting
 * @since 0.1.0
 */
export const listener = (
  address: SocketAddress.Input,
  options: ListenerOptions = {}
): Effect.Effect<Socket, ListenerError, Scope.Scope> => {
  const {
    backlog,
    onlyIpv6,
    protocol,
    reuseAddress = true,
    reusePort = false,
    type = "stream",
    unlink = true
  } = options
  return together(
    Effect.gen(function* () {
      const socket = yield* make(SocketAddress.family(address), type, { protocol })
      if (reuseAddress && isIp(address)) yield* setOption(socket, SO_REUSEADDR, true)
      if (reusePort) yield* setOption(socket, SO_REUSEPORT, true)
      if (onlyIpv6 !== undefined) yield* setOption(socket, IPV6_V6ONLY, onlyIpv6)
      const bound = bind(socket, address)
      if (address._tag === "Unix" && address.path !== undefined && unlink) {
        const { path } = address
        // Not to be interrupted: not a moment may lie between the file's coming and the promise to remove it.
        yield* Effect.acquireRelease(bound, () => Effect.ignore(Syscall.unlinkat(AT_FDCWD, path, 0)))
      } else {
        yield* bound
      }
      yield* listen(socket, backlog)
      return socket
    })
  )
}

/**
 * A connection with the scope that it is in: closing that closes the connection and what else was put there.
 *
 * @category models
 * @since 0.1.0
 */
export interface ScopedConnection extends Connection {
  readonly scope: Scope.Closeable
}

/** Errors of a connection that was lost before it was accepted. They are that connection's, and not the listener's. */
const lost: ReadonlySet<string> = new Set([
  "ECONNABORTED",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "ENETDOWN",
  "ENETUNREACH",
  "ENONET",
  "ENOPROTOOPT",
  "EPROTO"
])

const next = (socket: Socket, parent: Scope.Scope): Effect.Effect<ScopedConnection, errors.Accept4Error> =>
  Effect.uninterruptibleMask((restore) => {
    const taken: ReturnType<typeof take> = Effect.catchIf(
      Effect.suspend(() => take(own(socket), restore)),
      ({ _tag }) => lost.has(_tag),
      () => restore(taken)
    )
    return Effect.flatMap(taken, (accepted) =>
      Effect.flatMap(Scope.fork(parent), (scope) =>
        Effect.map(Scope.provide(holdConnection(accepted), scope), (connection) => ({ ...connection, scope }))
      )
    )
  })

/**
 * The connections to a listening socket, as they come: an endless stream. Each has a scope of its own: who takes it out of
 * the stream closes that when done with the connection, and what is left is closed when the stream ends.
 *
 * One is accepted when one is asked for, and no sooner. A connection that was lost before it was accepted is passed over;
 * any other error, such as `EMFILE`, ends the stream. {@link serve} takes care of scopes.
 *
 * @example
 * ```ts
 * import { Effect, Scope, Stream } from "effect"
 * import { Socket } from "effect-linux"
 *
 * const greet = (listener: Socket.Socket) =>
 *   Stream.runForEach(Socket.connections(listener), ({ scope, socket }) =>
 *     Scope.use(Socket.sendAll(socket, new TextEncoder().encode("hello\n")), scope)
 *   )
 * ```
 *
 * @category connecting
 * @since 0.1.0
 */
export const connections = (socket: Socket): Stream.Stream<ScopedConnection, errors.Accept4Error> =>
  Stream.unwrap(Effect.map(Effect.scope, (parent) => Stream.fromEffectRepeat(next(socket, parent))))

/**
 * Accepts connections for ever and runs a handler for each, side by side. A connection is closed when its handler ends, as
 * is what else the handler puts into its scope.
 *
 * An error of a handler ends the server, and interrupts the other handlers: whatever should end one connection only is for
 * the handler to catch. `concurrency` is how many handlers may run at a time, all that come unless said; further
 * connections wait to be accepted. Interrupting it interrupts all handlers and closes all connections; the listening socket
 * is the caller's.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { File, Socket, SocketAddress } from "effect-linux"
 *
 * const echo = ({ socket }: Socket.Connection) =>
 *   Stream.runForEach(File.stream(socket), (chunk) => Socket.sendAll(socket, chunk)).pipe(
 *     Effect.catchTags({ EPIPE: () => Effect.void, ECONNRESET: () => Effect.void })
 *   )
 *
 * const server = Effect.gen(function* () {
 *   const listener = yield* Socket.listener(SocketAddress.inet6(SocketAddress.Ipv6.ANY, 7777))
 *   return yield* Socket.serve(listener, echo)
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category connecting
 * @since 0.1.0
 */
export const serve = <E, R>(
  socket: Socket,
  handler: (connection: Connection) => Effect.Effect<unknown, E, R>,
  options: { readonly concurrency?: number | "unbounded" | undefined } = {}
): Effect.Effect<never, errors.Accept4Error | E, Exclude<R, Scope.Scope>> => {
  const { concurrency = "unbounded" } = options
  const handled = Stream.mapEffect(
    connections(socket),
    ({ scope, ...connection }) => Scope.use(handler(connection), scope),
    { concurrency, unordered: true }
  )
  return Effect.flatMap(Stream.runDrain(handled), () => Effect.never)
}
