/**
 * Sending and receiving messages: bytes with an address, with descriptors, and with what else travels beside them.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import type * as Ioctl from "../Ioctl.ts"
import type { Buffer } from "../internal/arguments.ts"
import { F_DUPFD_CLOEXEC, MSG_CMSG_CLOEXEC, MSG_CTRUNC, MSG_NOSIGNAL, MSG_TRUNC } from "../internal/constants.ts"
import { Misuse, misuseOf } from "../internal/invoke.ts"
import { Trampoline } from "../internal/trampoline.ts"
import * as SocketAddress from "../SocketAddress.ts"
import {
  CMSG_SPACE,
  type ControlCredentials,
  type ControlMessage,
  type ControlRaw,
  encodeControl
} from "../syscall/control.ts"
import * as messages from "../syscall/messages.ts"
import { nr } from "../syscall/raw.ts"
import { encodeSockAddr } from "../syscall/sockaddr.ts"
import { receivingWaits, sendingWaits, withFlag } from "../syscall/sockets.ts"
import { type File, hold, own } from "./model.ts"
import type { Socket } from "./socket.ts"

// ---------------------------------------------------------------------------------------------------------------------
// sending
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A message to be sent.
 *
 * @category models
 * @since 0.1.0
 */
export interface Message {
  /** The bytes: one buffer, or up to 1,024, one after the other. */
  readonly data: Buffer | ReadonlyArray<Buffer>
  /** Where to; not for a socket that is connected. */
  readonly address?: SocketAddress.Input | undefined
  /** Files that the receiver of a Unix socket gets descriptors of. They stay the sender's, too. */
  readonly files?: ReadonlyArray<File<unknown>> | undefined
  /** Credentials and others. */
  readonly control?: ReadonlyArray<ControlCredentials | ControlRaw> | undefined
}

const listOf = (data: Buffer | ReadonlyArray<Buffer>): ReadonlyArray<Buffer> =>
  ArrayBuffer.isView(data) || data instanceof ArrayBuffer || data instanceof SharedArrayBuffer ? [data] : data

const openFd = (file: File<unknown>): number => {
  const self = own(file)
  if (self.closed) throw new Misuse(codes.EBADF, "files: one of them is closed")
  // Whoever receives it, perhaps this process, has the same open file.
  self.shared = true
  return self.fd
}

/**
 * Descriptors to send. A call on another thread looks at their numbers when it likes, and by then a file may be closed and
 * its number another's: such a call is given duplicates.
 */
const lending = <A, E>(
  use: (
    fdsOf: (files: ReadonlyArray<File<unknown>>, where: messages.Where) => ReadonlyArray<number>
  ) => Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.withFiber((fiber) => {
    const { call } = fiber.getRef(Trampoline)
    const duplicates = new Map<File<unknown>, number>()
    const duplicate = (file: File<unknown>): number => {
      const known = duplicates.get(file)
      if (known !== undefined) return known
      const fd = Number(call(nr.fcntl, openFd(file), F_DUPFD_CLOEXEC, 0))
      if (fd < 0) throw new Misuse(-fd, "files: no descriptor to keep one of them open by")
      duplicates.set(file, fd)
      return fd
    }
    const giveBack = Effect.sync(() => {
      for (const fd of duplicates.values()) call(nr.close, fd)
    })
    return Effect.ensuring(
      use((files, where) => files.map(where === "here" ? openFd : duplicate)),
      giveBack
    )
  })

const sendThem = <E>(
  sending: messages.Sending<E>,
  socket: Socket,
  list: ReadonlyArray<Message>,
  flags: number
): Effect.Effect<ReadonlyArray<number>, E> =>
  Effect.suspend(() => {
    const owner = own(socket)
    return lending((fdsOf) => {
      const partsOf = (where: messages.Where): ReadonlyArray<messages.Parts> =>
        list.map(({ address, control = [], data, files = [] }) => {
          const rights: ReadonlyArray<ControlMessage> =
            files.length === 0 ? [] : [{ _tag: "Rights", fds: fdsOf(files, where) }]
          return {
            name: address === undefined ? null : encodeSockAddr(address),
            iov: messages.viewsOf(listOf(data)),
            control: encodeControl([...rights, ...control])
          }
        })
      const all = withFlag(flags, MSG_NOSIGNAL)
      return messages.send({ ...sending, owner }, owner.fd, partsOf, all, sendingWaits(all))
    })
  })

/**
 * Sends several buffers as one, with files and other control messages; returns the number of bytes, which on a stream may
 * be fewer. Over a stream files need at least one byte to travel with. `flags` as for `send`.
 *
 * Can wait; interruptible. Manual page: sendmsg(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File, Socket } from "effect-linux"
 *
 * const handOver = (socket: Socket.Socket) =>
 *   Effect.gen(function* () {
 *     const file = yield* File.open("/etc/hostname")
 *     yield* Socket.sendMessage(socket, { data: Uint8Array.of(0), files: [file] })
 *   }).pipe(Effect.scoped)
 * ```
 *
 * @category messages
 * @since 0.1.0
 */
export const sendMessage = (socket: Socket, message: Message, flags = 0): Effect.Effect<number, errors.SendmsgError> =>
  Effect.map(
    sendThem({ nr: nr.sendmsg, errors: errors.sendmsg, several: false }, socket, [message], flags),
    ([bytes = 0]) => bytes
  )

/**
 * Sends several messages, at most 1,024; returns the number of bytes of each that was sent. It ends early, without an
 * error, where a message cannot be sent and others were.
 *
 * Can wait; interruptible. Manual page: sendmmsg(2).
 *
 * @category messages
 * @since 0.1.0
 */
export const sendMessages = (
  socket: Socket,
  list: ReadonlyArray<Message>,
  flags = 0
): Effect.Effect<ReadonlyArray<number>, errors.SendmmsgError> =>
  sendThem({ nr: nr.sendmmsg, errors: errors.sendmmsg, several: true }, socket, list, flags)

// ---------------------------------------------------------------------------------------------------------------------
// receiving
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What a message is to be received into.
 *
 * @category models
 * @since 0.1.0
 */
export interface MessageRoom {
  /** Where the bytes go: one buffer, or several, one after the other. */
  readonly data: Buffer | ReadonlyArray<Buffer>
  /** How many files there is room for: none by default, at most 253 come with a message. The kernel closes the others. */
  readonly files?: number | undefined
  /** The room for other control messages in bytes: a sum of `Syscall.CMSG_SPACE`. None by default. */
  readonly control?: number | undefined
}

/**
 * A message that was received.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReceivedMessage {
  /** The number of bytes; with `MSG_TRUNC` that of the whole datagram, which may be more than there was room for. */
  readonly bytes: number
  /** Who sent it; undefined where the socket is connected, or the sender has no address. */
  readonly address: SocketAddress.SocketAddress | undefined
  /** The files that came with it: the scope closes them. */
  readonly files: ReadonlyArray<File>
  /** The process that sent it, where `SO_PASSPIDFD` is set: the scope closes it. */
  readonly pidFd: File | undefined
  readonly control: ReadonlyArray<ControlCredentials | ControlRaw>
  /** Of `MSG_EOR`, `MSG_OOB`, `MSG_ERRQUEUE` and others. */
  readonly flags: number
  /** The datagram was longer than the room for it, and the rest is lost. */
  readonly isTruncated: boolean
  /** There were more control messages, or files, than room for them, and the rest is lost. */
  readonly isControlTruncated: boolean
}

// SCM_MAX_FD of the kernel: more files than these never come with a message.
const mostFiles = 253

const checkedCount = (name: string, value: number): number => {
  if (typeof value !== "number") throw new TypeError(`${name}: expected a number, got ${typeof value}`)
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${name}: ${value} is no count`)
  return value
}

const roomOf = ({ control = 0, data, files = 0 }: MessageRoom): messages.MessageRoom => ({
  iov: listOf(data),
  controllen:
    checkedCount("control", control) +
    (checkedCount("files", files) === 0 ? 0 : CMSG_SPACE(4 * Math.min(files, mostFiles)))
})

const holdAny = (fd: number): Effect.Effect<File, never, Scope.Scope> => hold<Ioctl.AnyDevice>(fd)

const holdAll = (
  { address, bytes, control, flags }: messages.ReceivedMessage,
  most: number
): Effect.Effect<ReceivedMessage, never, Scope.Scope> => {
  const all = control.flatMap((message) => (message._tag === "Rights" ? message.fds : []))
  // Room is counted in steps of eight bytes, and what other messages leave of theirs is room too: more files may come than
  // were asked for, and the kernel does not know to close them.
  const fds = all.slice(0, most)
  const surplus = all.slice(most)
  const pidFds = control.flatMap((message) => (message._tag === "Pidfd" && message.fd >= 0 ? [message.fd] : []))
  const others = control.flatMap((message) =>
    message._tag === "Credentials" || message._tag === "Raw" ? [message] : []
  )
  return Effect.map(
    Effect.all([
      Effect.forEach(fds, holdAny),
      Effect.forEach(pidFds, holdAny),
      surplus.length === 0 ? Effect.void : Effect.scoped(Effect.forEach(surplus, holdAny, { discard: true }))
    ]),
    ([files, [pidFd]]): ReceivedMessage => ({
      bytes,
      address: address === undefined ? undefined : SocketAddress.fromSockAddr(address),
      files,
      pidFd,
      control: others,
      flags,
      isTruncated: (flags & MSG_TRUNC) !== 0,
      isControlTruncated: (flags & MSG_CTRUNC) !== 0 || surplus.length > 0
    })
  )
}

const receiveThem = <E>(
  call: messages.Receiving<E>,
  socket: Socket,
  rooms: ReadonlyArray<MessageRoom>,
  flags: number,
  wait: messages.Waiting
): Effect.Effect<ReadonlyArray<ReceivedMessage>, E, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => {
      const owner = own(socket)
      let list: ReadonlyArray<messages.MessageRoom>
      try {
        list = rooms.map(roomOf)
      } catch (thrown) {
        const { code, detail } = misuseOf(thrown)
        return Effect.fail(call.errors.make(code, undefined, owner.fd, detail))
      }
      // Between the kernel's answer and the scope nothing can be interrupted, so that no descriptor is lost.
      return Effect.flatMap(
        messages.receive(
          { ...call, owner },
          owner.fd,
          list,
          withFlag(flags, MSG_CMSG_CLOEXEC),
          wait,
          (all) => all,
          restore
        ),
        (all) => Effect.forEach(all, (message, index) => holdAll(message, rooms[index]?.files ?? 0))
      )
    })
  )

const nothing: ReceivedMessage = {
  bytes: 0,
  address: undefined,
  files: [],
  pidFd: undefined,
  control: [],
  flags: 0,
  isTruncated: false,
  isControlTruncated: false
}

/** It is asked again and again rather than made on another thread, where that does not change what it does. */
const patient = (wait: messages.Waiting): messages.Waiting => (wait === "ifNeeded" ? "whenReady" : wait)

/**
 * Receives a message into several buffers, with the address of who sent it, files and other control messages. The files
 * are in the scope; they are closed in programs that this one executes.
 *
 * Can wait; interruptible, and no file is lost by that: a message is either still waiting then or its files are in the
 * scope. No bytes mean that the stream has ended, or an empty datagram. Manual page: recvmsg(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File, Socket } from "effect-linux"
 *
 * const takeOver = (socket: Socket.Socket) =>
 *   Effect.gen(function* () {
 *     const { files } = yield* Socket.recvMessage(socket, { data: new Uint8Array(1), files: 1 })
 *     return yield* Effect.forEach(files, File.readAll)
 *   }).pipe(Effect.scoped)
 * ```
 *
 * @category messages
 * @since 0.1.0
 */
export const recvMessage = (
  socket: Socket,
  room: MessageRoom,
  flags = 0
): Effect.Effect<ReceivedMessage, errors.RecvmsgError, Scope.Scope> =>
  Effect.map(
    receiveThem(
      { nr: nr.recvmsg, errors: errors.recvmsg, several: false },
      socket,
      [room],
      flags,
      patient(receivingWaits(flags))
    ),
    ([message = nothing]) => message
  )

/**
 * Receives the messages that there are, at least one and at most as many as `rooms`, and 1,024.
 *
 * Can wait for the first, like {@link recvMessage}. Manual page: recvmmsg(2).
 *
 * @category messages
 * @since 0.1.0
 */
export const recvMessages = (
  socket: Socket,
  rooms: ReadonlyArray<MessageRoom>,
  flags = 0
): Effect.Effect<ReadonlyArray<ReceivedMessage>, errors.RecvmmsgError, Scope.Scope> =>
  receiveThem(
    { nr: nr.recvmmsg, errors: errors.recvmmsg, several: true, timeout: () => null },
    socket,
    rooms,
    flags,
    patient(receivingWaits(flags, false))
  )
