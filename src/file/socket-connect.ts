/**
 * Connecting, listening and accepting.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import type { CallErrors } from "../errors/registry.ts"
import type * as Ioctl from "../Ioctl.ts"
import * as constants from "../internal/constants.ts"
import { type Descriptor, runOn } from "../internal/descriptor.ts"
import { inline, Misuse, onThisThread, ready, run } from "../internal/invoke.ts"
import { Trampoline } from "../internal/trampoline.ts"
import * as SocketAddress from "../SocketAddress.ts"
import { isNonBlocking } from "../syscall/messages.ts"
import { nr } from "../syscall/raw.ts"
import * as describe from "../syscall/sockets.ts"
import { hold, own } from "./model.ts"
import { SO_ERROR } from "./option-socket.ts"
import { type Connection, impatient, numberOf, peerAddress, type Socket } from "./socket.ts"
import { getOption } from "./socket-options.ts"

/** What stands for an answer of `connect` that is no end yet. */
type Unfinished = "started" | "full"

const unfinished = (
  callErrors: CallErrors<errors.ConnectError>,
  nonBlocking: () => boolean
): CallErrors<errors.ConnectError | Unfinished> => ({
  ...callErrors,
  make: (code, path, fd, detail) => {
    if (!nonBlocking() && code === codes.EINPROGRESS) return "started"
    if (!nonBlocking() && code === codes.EAGAIN) return "full"
    return callErrors.make(code, path, fd, detail)
  }
})

/**
 * Asks for a connection without waiting for it. The three calls on the flags are one step for everybody in this process:
 * nothing else runs between them.
 */
const start = (owner: Descriptor, address: SocketAddress.Input) => {
  const { prepare } = describe.connect(owner.fd, address)
  let theirs = false
  return inline(
    unfinished(errors.connect, () => theirs),
    (call) => {
      if (owner.closed) throw new Misuse(codes.EBADF, "the File is closed")
      const args = prepare()
      const flags = Number(call(nr.fcntl, owner.fd, constants.F_GETFL))
      theirs = flags < 0 || (flags & constants.O_NONBLOCK) !== 0
      if (theirs) return call(nr.connect, ...args)
      call(nr.fcntl, owner.fd, constants.F_SETFL, flags | constants.O_NONBLOCK)
      try {
        return call(nr.connect, ...args)
      } finally {
        call(nr.fcntl, owner.fd, constants.F_SETFL, flags)
      }
    },
    () => {},
    { fd: owner.fd }
  )
}

/** Whether a descriptor has something to tell, asked without waiting. One that is closed has not. */
const hasNews = (owner: Descriptor): Effect.Effect<boolean> =>
  Effect.withFiber((fiber) => {
    if (owner.closed) return Exit.succeed(false)
    const pollfd = new DataView(new ArrayBuffer(8))
    pollfd.setInt32(0, owner.fd, true)
    pollfd.setInt16(4, constants.POLLOUT, true)
    return Exit.succeed(fiber.getRef(Trampoline).call(nr.ppoll, pollfd, 1, new Uint8Array(16), null, 8) !== 0)
  })

const unspecified = new Uint8Array(16)

/** Calls `connect` for what it does to the kernel's notion of the socket; the protocols that cannot do it refuse. */
const reconnect = (owner: Descriptor, address: Uint8Array): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    if (!owner.closed) fiber.getRef(Trampoline).call(nr.connect, owner.fd, address, address.length)
    return Exit.void
  })

/** Takes back a connection that was begun, or has failed: else the next `connect` would be told of this one. */
const takeBack = (owner: Descriptor): Effect.Effect<void> => reconnect(owner, unspecified)

/** What has become of a connection that was begun and of which there is news. */
const settled = (owner: Descriptor): Effect.Effect<void, errors.ConnectError> => {
  const fail = (code: number) => Effect.fail(errors.connect.make(code, undefined, owner.fd))
  return Effect.matchEffect(getOption(owner, SO_ERROR), {
    onFailure: ({ errno }) => fail(errno),
    // Without an error, and not connected: it came and went.
    onSuccess: (error) =>
      error === 0 ? Effect.catch(Effect.asVoid(peerAddress(owner)), () => fail(codes.ECONNRESET)) : fail(error)
  })
}

/** The end of a connection that was begun. Over loopback there is news of it at once. */
const outcome = (owner: Descriptor): Effect.Effect<void, errors.ConnectError> =>
  Effect.flatMap(hasNews(owner), (news) => {
    if (owner.closed) {
      return Effect.fail(errors.connect.make(codes.EBADF, undefined, owner.fd, "the File was closed meanwhile"))
    }
    return news ? settled(owner) : Effect.flatMap(ready(owner.fd, constants.POLLOUT, owner), () => outcome(owner))
  })

/**
 * Connects a socket to an address; for a datagram socket only says with whom it speaks.
 *
 * Can wait; interruptible. **A failed or interrupted connection leaves nothing behind**: a TCP socket whose `connect` was
 * interrupted gives the attempt up and is as it was before, and so is one whose attempt failed; both can try again. A vsock
 * cannot take it back: close it. A Unix socket with a path that was interrupted may have been connected at that moment,
 * which {@link peerAddress} tells.
 *
 * A socket made with `nonBlocking` fails with `EINPROGRESS` while the attempt goes on; {@link takeError} then tells the end
 * of it. How long the kernel tries is up to `TCP_SYNCNT` and the like; `SO_SNDTIMEO` plays no part, and `Effect.timeout`
 * shortens it. Manual page: connect(2).
 *
 * @category connecting
 * @since 0.1.0
 */
export const connect = (socket: Socket, address: SocketAddress.Input): Effect.Effect<void, errors.ConnectError> =>
  Effect.suspend(() => {
    const owner = own(socket)
    const elsewhere = runOn(owner, describe.connect(owner.fd, address))
    // A path has to be looked up.
    if (describe.isPath(address)) return elsewhere
    return Effect.uninterruptibleMask((restore) =>
      Effect.catch(start(owner, address), (error): Effect.Effect<void, errors.ConnectError> => {
        if (error === "started") {
          return Effect.onExit(restore(outcome(owner)), (exit) =>
            // The kernel takes note of a connection that was made only when asked for it again.
            Exit.isSuccess(exit) ? reconnect(owner, SocketAddress.encode(address)) : takeBack(owner)
          )
        }
        // A Unix socket that has no room for more connections cannot be waited for by readiness.
        if (error === "full") return restore(elsewhere)
        return Effect.fail(error)
      })
    )
  })

// ---------------------------------------------------------------------------------------------------------------------
// accepting
// ---------------------------------------------------------------------------------------------------------------------

/** The most that may wait to be accepted unless said: the system's own limit, as it has been since Linux 5.4. */
const SOMAXCONN = 4096

/**
 * Makes a socket take connections, of which `backlog` (4,096) may wait to be accepted.
 *
 * It is put into non-blocking mode, as whoever shares the socket can see: {@link accept} waits all the same. Does not block.
 * Manual page: listen(2).
 *
 * @category connecting
 * @since 0.1.0
 */
export const listen = (socket: Socket, backlog: number = SOMAXCONN): Effect.Effect<void, errors.ListenError> =>
  Effect.suspend(() => {
    const owner = own(socket)
    const { decode, errors: callErrors, nr: number, prepare, subject } = describe.listen(owner.fd, backlog)
    return inline(
      callErrors,
      (call) => {
        if (owner.closed) throw new Misuse(codes.EBADF, "the File is closed")
        const result = call(number, ...prepare())
        const flags = Number(call(nr.fcntl, owner.fd, constants.F_GETFL))
        if (result === 0 && flags >= 0) call(nr.fcntl, owner.fd, constants.F_SETFL, flags | constants.O_NONBLOCK)
        return result
      },
      (result) => decode(result, []),
      subject
    )
  })

/** What stands for the EAGAIN of a listening socket that nobody connects to. */
const nobody = Symbol("nobody")

const waiting: CallErrors<errors.Accept4Error | typeof nobody> = {
  ...errors.accept4,
  make: (code, path, fd, detail) => (code === codes.EAGAIN ? nobody : errors.accept4.make(code, path, fd, detail))
}

/**
 * Takes a connection, as a number. To be run where nothing but the wait, which `restore` is put around, can be interrupted.
 */
export const take = (
  owner: Descriptor,
  restore: <A, E>(wait: Effect.Effect<A, E>) => Effect.Effect<A, E>
): Effect.Effect<describe.Accepted, errors.Accept4Error> =>
  Effect.flatMap(owner.closed ? Effect.succeed(false) : isNonBlocking(owner.fd), (nonBlocking) => {
    const description = describe.accept4(owner.fd, constants.SOCK_CLOEXEC)
    // One that was inherited, say, and that others share who count on its mode.
    if (!nonBlocking) return run(description, restore, owner)
    const now = run({ ...description, errors: waiting, options: onThisThread }, undefined, owner)
    return Effect.catch(now, (error): Effect.Effect<describe.Accepted, errors.Accept4Error> => {
      if (error !== nobody) return Effect.fail(error)
      if (impatient.has(owner)) return Effect.fail(errors.accept4.make(codes.EAGAIN, undefined, owner.fd))
      return Effect.andThen(restore(ready(owner.fd, constants.POLLIN, owner)), take(owner, restore))
    })
  })

/** A connection that was taken, put into the scope. */
export const holdConnection = ({ address, fd }: describe.Accepted): Effect.Effect<Connection, never, Scope.Scope> =>
  Effect.map(hold<Ioctl.Device<"Socket">>(fd), (socket) => ({
    socket,
    address: address === undefined ? undefined : SocketAddress.fromSockAddr(address)
  }))

/**
 * Takes the first connection that waits at a listening socket, and puts it into the scope.
 *
 * Can wait, also where the listening socket is non-blocking, as that is how {@link listen} leaves it; only one that was made
 * with `nonBlocking` fails with `EAGAIN`. Interruptible: a connection is either still waiting then or closed. It may fail
 * with an error of the connection that it would have taken, such as `ECONNABORTED`, and be tried again. Manual page:
 * accept(2).
 *
 * @category connecting
 * @since 0.1.0
 */
export const accept = (socket: Socket): Effect.Effect<Connection, errors.Accept4Error, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      Effect.suspend(() => take(own(socket), restore)),
      holdConnection
    )
  )

const halves = { read: constants.SHUT_RD, write: constants.SHUT_WR, both: constants.SHUT_RDWR }

/**
 * Ends one direction of a connection, or both: the other side reads the end of the stream, and what waits here is woken.
 * The descriptor stays open.
 *
 * Does not block. Manual page: shutdown(2).
 *
 * @category connecting
 * @since 0.1.0
 */
export const shutdown = (
  socket: Socket,
  how: "read" | "write" | "both" = "both"
): Effect.Effect<void, errors.ShutdownError> =>
  Effect.suspend(() => runOn(own(socket), describe.shutdown(own(socket).fd, numberOf("how", halves, how))))
