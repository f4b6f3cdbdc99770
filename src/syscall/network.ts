/**
 * System calls on sockets that take and give addresses and messages.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import type { Buffer } from "../internal/arguments.ts"
import { MSG_CMSG_CLOEXEC, MSG_WAITALL, MSG_WAITFORONE } from "../internal/constants.ts"
import { run } from "../internal/invoke.ts"
import { type ControlMessage, descriptorsOf, encodeControl } from "./control.ts"
import { toTimespec } from "./convert.ts"
import { close } from "./files.ts"
import {
  type MessageRoom,
  type Parts,
  type ReceivedMessage,
  receive,
  send,
  viewsOf,
  type WhileWaiting
} from "./messages.ts"
import { nr } from "./raw.ts"
import { encodeSockAddr, type SockAddr, type SockAddrLike } from "./sockaddr.ts"
import * as describe from "./sockets.ts"

export type {
  ControlCredentials,
  ControlMessage,
  ControlPidfd,
  ControlRaw,
  ControlRights
} from "./control.ts"
export { CMSG_SPACE } from "./control.ts"
export type { MessageRoom, ReceivedMessage } from "./messages.ts"
export {
  decodeSockAddr,
  encodeSockAddr,
  type SockAddr,
  type SockAddrInet,
  type SockAddrInet6,
  type SockAddrLike,
  type SockAddrNetlink,
  type SockAddrPacket,
  type SockAddrRaw,
  type SockAddrUnix,
  type SockAddrUnixAbstract,
  type SockAddrUnixPath,
  type SockAddrUnixUnnamed,
  type SockAddrVsock
} from "./sockaddr.ts"
export type { Accepted, Received } from "./sockets.ts"

/**
 * `socketpair(domain, type, protocol)`—Makes two sockets that are connected to each other. `domain` is `AF_UNIX` (or
 * `AF_TIPC`), `type` as for `socket`. Who called must close both.
 *
 * Does not block. Manual page: socketpair(2).
 *
 * @category network
 * @since 0.1.0
 */
export const socketpair = (
  domain: number,
  type: number,
  protocol = 0
): Effect.Effect<readonly [first: number, second: number], errors.SocketpairError> =>
  run(describe.socketpair(domain, type, protocol))

/**
 * `bind(sockfd, addr)`—Gives a socket its local address. A Unix path is made by this as a file, and stays until it is
 * unlinked; `{ _tag: "Unix", unnamed: true }` lets the kernel choose an abstract name.
 *
 * Does not block but for a Unix path, which can wait for a disk or server: made on another thread then; interruptible.
 * Manual page: bind(2).
 *
 * @category network
 * @since 0.1.0
 */
export const bind = (sockfd: number, addr: SockAddrLike): Effect.Effect<void, errors.BindError> =>
  run(describe.bind(sockfd, addr))

/**
 * `connect(sockfd, addr)`—Connects a socket to an address; for a datagram socket only says with whom it speaks, until it
 * is connected to an address of family `AF_UNSPEC`.
 *
 * With `O_NONBLOCK` a connection that takes time fails with `EINPROGRESS` and goes on. So does one whose fiber is
 * interrupted: close the socket to give it up.
 *
 * Can block: made on another thread; interruptible. Manual page: connect(2).
 *
 * @category network
 * @since 0.1.0
 */
export const connect = (sockfd: number, addr: SockAddrLike): Effect.Effect<void, errors.ConnectError> =>
  run(describe.connect(sockfd, addr))

/**
 * `accept(sockfd)`—Takes the first connection that waits at a listening socket. `accept4` makes the new socket
 * close-on-exec.
 *
 * Can block: made on another thread; interruptible. A connection that was taken when the fiber was interrupted is closed.
 * Manual page: accept(2).
 *
 * @category network
 * @since 0.1.0
 */
export const accept = (sockfd: number): Effect.Effect<describe.Accepted, errors.AcceptError> =>
  run(describe.accept(sockfd))

/**
 * `accept4(sockfd, flags)`—Takes the first connection that waits at a listening socket. `flags` for the new socket are of
 * `SOCK_CLOEXEC` and `SOCK_NONBLOCK`.
 *
 * Can block: made on another thread; interruptible. A connection that was taken when the fiber was interrupted is closed.
 * Since Linux 2.6.28. Manual page: accept(2).
 *
 * @category network
 * @since 0.1.0
 */
export const accept4 = (sockfd: number, flags = 0): Effect.Effect<describe.Accepted, errors.Accept4Error> =>
  run(describe.accept4(sockfd, flags))

/**
 * `getsockname(sockfd)`—The local address of a socket.
 *
 * Does not block. Manual page: getsockname(2).
 *
 * @category network
 * @since 0.1.0
 */
export const getsockname = (sockfd: number): Effect.Effect<SockAddr, errors.GetsocknameError> =>
  run(describe.getsockname(sockfd))

/**
 * `getpeername(sockfd)`—The address that a socket is connected to.
 *
 * Does not block. Manual page: getpeername(2).
 *
 * @category network
 * @since 0.1.0
 */
export const getpeername = (sockfd: number): Effect.Effect<SockAddr, errors.GetpeernameError> =>
  run(describe.getpeername(sockfd))

/**
 * `getsockopt(sockfd, level, optname, optval)`—Reads an option of a socket into a buffer; returns the number of bytes that
 * the option has.
 *
 * `level` and `optname` are as for `setsockopt`. The number for `SO_GET_FILTER` is that of the instructions, of 8 bytes
 * each. Options that are a descriptor (`SO_PEERPIDFD`) open it: who called must
 * close it.
 *
 * Does not block. Manual page: getsockopt(2).
 *
 * @category network
 * @since 0.1.0
 */
export const getsockopt = (
  sockfd: number,
  level: number,
  optname: number,
  optval: Buffer
): Effect.Effect<number, errors.GetsockoptError> =>
  run(
    describe.getsockopt(
      sockfd,
      level,
      optname,
      () => optval,
      (_, length) => length
    )
  )

// ---------------------------------------------------------------------------------------------------------------------
// bytes
// ---------------------------------------------------------------------------------------------------------------------

/**
 * `sendto(sockfd, buf, flags, destAddr)`—Sends bytes; returns how many, which on a stream may be fewer. `destAddr` is null
 * where the socket is connected. `flags` are of `MSG_*`.
 *
 * Can block: made on the JavaScript thread where the kernel takes the bytes at once, else on another; interruptible. With
 * `MSG_ZEROCOPY` it does not wait, as if `MSG_DONTWAIT` were given, and the buffer must be left alone until the socket's
 * error queue says that the kernel is done with it. Manual page: sendto(2).
 *
 * @category network
 * @since 0.1.0
 */
export const sendto = (
  sockfd: number,
  buf: Buffer,
  flags = 0,
  destAddr: SockAddrLike | null = null
): Effect.Effect<number, errors.SendtoError> => run(describe.sendto(sockfd, buf, flags, destAddr))

/**
 * `recvfrom(sockfd, buf, flags)`—Receives bytes, and the address of who sent them. No bytes mean that a stream has ended,
 * or an empty datagram. `flags` are of `MSG_*`.
 *
 * Can block: made on the JavaScript thread where there is something, else on another; interruptible. Manual page:
 * recvfrom(2).
 *
 * @category network
 * @since 0.1.0
 */
export const recvfrom = (
  sockfd: number,
  buf: Buffer,
  flags = 0
): Effect.Effect<describe.Received, errors.RecvfromError> => run(describe.recvfrom(sockfd, buf, flags))

// ---------------------------------------------------------------------------------------------------------------------
// messages
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A message that `sendmsg` is to send.
 *
 * @category messages
 * @since 0.1.0
 */
export interface Message {
  /** The buffers with the data, one after the other; at most 1,024 of them. */
  readonly iov: ReadonlyArray<Buffer>
  /** Where to; not for a connected socket. */
  readonly address?: SockAddrLike | undefined
  readonly control?: ReadonlyArray<ControlMessage> | undefined
}

const partsOf = (messages: ReadonlyArray<Message>) => (): ReadonlyArray<Parts> =>
  messages.map(({ address, control = [], iov }) => ({
    name: address === undefined ? null : encodeSockAddr(address),
    iov: viewsOf(iov),
    control: encodeControl(control)
  }))

/**
 * `sendmsg(sockfd, msg, flags)`—Sends several buffers as one, with control messages; returns the number of bytes, which on
 * a stream may be fewer. Descriptors among the control messages stay the caller's, who may close them when the call is
 * over. On a stream they need at least one byte to travel with.
 *
 * Can block, like {@link sendto}, in which case the kernel works on copies of the buffers. Manual page: sendmsg(2).
 *
 * @category messages
 * @since 0.1.0
 */
export const sendmsg = (sockfd: number, msg: Message, flags = 0): Effect.Effect<number, errors.SendmsgError> =>
  Effect.map(
    send(
      { nr: nr.sendmsg, errors: errors.sendmsg, several: false },
      sockfd,
      partsOf([msg]),
      flags,
      describe.sendingWaits(flags)
    ),
    ([bytes = 0]) => bytes
  )

/**
 * `sendmmsg(sockfd, messages, flags)`—Sends several messages, at most 1,024; returns the number of bytes of each that was
 * sent. It ends early, without an error, where a message cannot be sent and others were.
 *
 * Can block, like {@link sendmsg}. Since Linux 3.0. Manual page: sendmmsg(2).
 *
 * @category messages
 * @since 0.1.0
 */
export const sendmmsg = (
  sockfd: number,
  messages: ReadonlyArray<Message>,
  flags = 0
): Effect.Effect<ReadonlyArray<number>, errors.SendmmsgError> =>
  send(
    { nr: nr.sendmmsg, errors: errors.sendmmsg, several: true },
    sockfd,
    partsOf(messages),
    flags,
    describe.sendingWaits(flags)
  )

/**
 * `recvmsg(sockfd, room, flags)`—Receives a message into several buffers, with the address of who sent it and control
 * messages.
 *
 * **Descriptors** among the control messages (`Rights`, `Pidfd`) are this process's own from then on: who called must
 * close each of them, and gives `MSG_CMSG_CLOEXEC` lest a program that is started meanwhile inherits them. None is
 * received where `controllen` leaves no room, and of those that do not fit the kernel closes the rest (`MSG_CTRUNC` in
 * `flags`). Where the fiber was interrupted when a message had already come, its descriptors are closed.
 *
 * Can block: made on the JavaScript thread where there is something, else on another, where the kernel works on copies of
 * the buffers; interruptible. Manual page: recvmsg(2).
 *
 * @category messages
 * @since 0.1.0
 */
export const recvmsg = (
  sockfd: number,
  room: MessageRoom,
  flags = 0
): Effect.Effect<ReceivedMessage, errors.RecvmsgError> => receiveOne(sockfd, room, flags)

/**
 * `recvmsg(sockfd, room, flags)` with the descriptors that come with the message held by the scope: they are closed with
 * it, and none is lost, whenever the fiber is interrupted. `MSG_CMSG_CLOEXEC` is set.
 *
 * Only the wait for a message can be interrupted. Otherwise like {@link recvmsg}.
 *
 * @category messages
 * @since 0.1.0
 */
export const recvmsgScoped = (
  sockfd: number,
  room: MessageRoom,
  flags = 0
): Effect.Effect<ReceivedMessage, errors.RecvmsgError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.tap(receiveOne(sockfd, room, flags | MSG_CMSG_CLOEXEC, restore), ({ control }) =>
      Effect.addFinalizer(() =>
        Effect.forEach(descriptorsOf(control), (fd) => Effect.ignore(close(fd)), { discard: true })
      )
    )
  )

const receiveOne = (
  sockfd: number,
  room: MessageRoom,
  flags: number,
  whileWaiting?: WhileWaiting
): Effect.Effect<ReceivedMessage, errors.RecvmsgError> => {
  const receiving = { nr: nr.recvmsg, errors: errors.recvmsg, several: false }
  const give = ([message = nothingReceived]: ReadonlyArray<ReceivedMessage>) => message
  return receive(receiving, sockfd, [room], flags, describe.receivingWaits(flags), give, whileWaiting)
}

const nothingReceived: ReceivedMessage = { bytes: 0, address: undefined, control: [], flags: 0 }

/**
 * `recvmmsg(sockfd, rooms, flags, timeout)`—Receives several messages, at most 1,024: waits until all `rooms` are filled,
 * or with `MSG_WAITFORONE` until there is one. What is said at {@link recvmsg} of descriptors holds here.
 *
 * `timeout` is looked at only when a message has come (see BUGS in the manual page): null waits for as long as it takes.
 * Where the fiber is interrupted after some of the messages, the next call on the socket can fail with errno 512, which
 * Linux leaves there by mistake.
 *
 * Can block, like {@link recvmsg}. Since Linux 2.6.33. Manual page: recvmmsg(2).
 *
 * @category messages
 * @since 0.1.0
 */
export const recvmmsg = (
  sockfd: number,
  rooms: ReadonlyArray<MessageRoom>,
  flags = 0,
  timeout: Duration.Input | Abi.timespec | null = null
): Effect.Effect<ReadonlyArray<ReceivedMessage>, errors.RecvmmsgError> => {
  const wantsAll = (flags & MSG_WAITALL) !== 0 || ((flags & MSG_WAITFORONE) === 0 && rooms.length > 1)
  const receiving = {
    nr: nr.recvmmsg,
    errors: errors.recvmmsg,
    several: true,
    timeout: () => (timeout === null ? null : Abi.timespec.encode(toTimespec("timeout", timeout)))
  }
  return receive(receiving, sockfd, rooms, flags, describe.receivingWaits(flags, wantsAll), (messages) => messages)
}
