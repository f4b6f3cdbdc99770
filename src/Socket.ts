/**
 * Sockets: files to which one connects, and on which one sends and receives.
 *
 * A `Socket` is a `File`: `File.stream`, `File.readAll`, `File.close` and the others work on it, and it is closed with its
 * scope. Addresses are in `SocketAddress`, options in `SocketOption`, the plain calls on numbers in `Syscall`.
 *
 * What waits never holds up the event loop and can be interrupted, after which the socket can still be used. No operation
 * raises `SIGPIPE`: a connection that is gone is an `EPIPE` (`File.write` can raise it, which Node ignores).
 *
 * **Node.** A socket of `node:net` or `node:dgram` is non-blocking, and libuv watches and reads it: a descriptor borrowed
 * from its `_handle.fd` is safe for what moves no data (addresses, options, `shutdown`), for as long as the Node object is
 * open. Reading beside libuv takes bytes that Node would have got. The other way, `File.release` gives a number that
 * `new net.Socket({ fd })` takes over; nothing of the `Socket` may be under way then.
 *
 * @since 0.1.0
 */
export {
  bind,
  type Connection,
  device,
  type Family,
  localAddress,
  type MakeOptions,
  make,
  pair,
  peerAddress,
  type Socket,
  type Type
} from "./file/socket.ts"
export { accept, connect, listen, shutdown } from "./file/socket-connect.ts"
export * from "./file/socket-messages.ts"
export * from "./file/socket-options.ts"
export * from "./file/socket-serve.ts"
export * from "./file/socket-transfer.ts"
