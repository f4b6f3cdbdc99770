/**
 * Operations on sockets.
 */

import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { type File, own } from "../file/model.ts"
import { type Buffer, int } from "../internal/arguments.ts"
import * as constants from "../internal/constants.ts"
import { type ControlMessage, decodeControl, descriptorsOf, encodeControl } from "../syscall/control.ts"
import { bufferList } from "../syscall/convert.ts"
import type { MessageRoom, ReceivedMessage } from "../syscall/messages.ts"
import { closeAbandoned } from "../syscall/policy.ts"
import { decodeSockAddr, encodeSockAddr, type SockAddrLike, storageSize } from "../syscall/sockaddr.ts"
import type { Extent, Loan } from "./loan.ts"
import {
  asFile,
  asNothing,
  asNumber,
  BufferSlot,
  decoding,
  type Fields,
  type FixedBuffer,
  type FixedFile,
  fixedExtent,
  type Operation,
  operation,
  slotOf,
  type Target
} from "./operation.ts"

// ---------------------------------------------------------------------------------------------------------------------
// life of a socket
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Makes a socket, which becomes a `File` of the scope: the arguments are those of `Syscall.socket`. It is always
 * close-on-exec.
 *
 * Operation `IORING_OP_SOCKET`; since Linux 5.19.
 *
 * @category operations
 * @since 0.1.0
 */
export const socket = (domain: number, type: number, protocol = 0): Operation<File, errors.SocketError, Scope.Scope> =>
  operation({
    name: "SOCKET",
    op: constants.IORING_OP_SOCKET,
    errors: errors.socket,
    opens: true,
    fill: (fields) => {
      fields.fd = int("domain", domain)
      fields.off = int("type", type) | constants.SOCK_CLOEXEC
      fields.len = int("protocol", protocol)
      return asFile
    }
  })

const lendAddress = (fields: Fields, loan: Loan, address: SockAddrLike): void => {
  const bytes = encodeSockAddr(address)
  fields.addr = loan.copy(bytes)
  fields.off = bytes.length
}

/**
 * Gives a socket its local address.
 *
 * Operation `IORING_OP_BIND`; since Linux 6.11.
 *
 * @category operations
 * @since 0.1.0
 */
export const bind = (socket: Target, address: SockAddrLike): Operation<void, errors.BindError> =>
  operation({
    name: "BIND",
    op: constants.IORING_OP_BIND,
    errors: errors.bind,
    target: socket,
    fill: (fields, loan) => {
      lendAddress(fields, loan, address)
      return asNothing
    }
  })

/**
 * Has a socket wait for connections, up to `backlog` of which stand in line.
 *
 * Operation `IORING_OP_LISTEN`; since Linux 6.11.
 *
 * @category operations
 * @since 0.1.0
 */
export const listen = (socket: Target, backlog = 4096): Operation<void, errors.ListenError> =>
  operation({
    name: "LISTEN",
    op: constants.IORING_OP_LISTEN,
    errors: errors.listen,
    target: socket,
    fill: (fields) => {
      fields.len = int("backlog", backlog)
      return asNothing
    }
  })

/**
 * Connects a socket to an address.
 *
 * Operation `IORING_OP_CONNECT`.
 *
 * @category operations
 * @since 0.1.0
 */
export const connect = (socket: Target, address: SockAddrLike): Operation<void, errors.ConnectError> =>
  operation({
    name: "CONNECT",
    op: constants.IORING_OP_CONNECT,
    errors: errors.connect,
    target: socket,
    fill: (fields, loan) => {
      lendAddress(fields, loan, address)
      return asNothing
    }
  })

/**
 * Takes a connection that waits at a listening socket, as a `File` of the scope; it is always close-on-exec. `flags` are
 * of `Syscall.SOCK_NONBLOCK`. {@link acceptMany} takes all that come.
 *
 * Operation `IORING_OP_ACCEPT`.
 *
 * @category operations
 * @since 0.1.0
 */
export const accept = (listener: Target, flags = 0): Operation<File, errors.Accept4Error, Scope.Scope> =>
  operation({
    name: "ACCEPT",
    op: constants.IORING_OP_ACCEPT,
    errors: errors.accept4,
    target: listener,
    opens: true,
    fill: (fields) => {
      fields.rwFlags = int("flags", flags) | constants.SOCK_CLOEXEC
      return asFile
    }
  })

/**
 * Takes a connection into a place of the ring's table of files: it never has a descriptor.
 *
 * Operation `IORING_OP_ACCEPT` with a `file_index`; since Linux 5.15.
 *
 * @category operations
 * @since 0.1.0
 */
export const acceptFixed = (slot: FixedFile, listener: Target, flags = 0): Operation<void, errors.Accept4Error> =>
  operation({
    name: "ACCEPT",
    op: constants.IORING_OP_ACCEPT,
    errors: errors.accept4,
    target: listener,
    fill: (fields, loan) => {
      fields.rwFlags = int("flags", flags) & ~constants.SOCK_CLOEXEC
      fields.fileIndex = slotOf("slot", slot, loan.ring) + 1
      return asNothing
    }
  })

/**
 * Ends one or both directions of a connection: `how` is `Syscall.SHUT_RD`, `SHUT_WR` or `SHUT_RDWR`.
 *
 * Operation `IORING_OP_SHUTDOWN`.
 *
 * @category operations
 * @since 0.1.0
 */
export const shutdown = (socket: Target, how: number): Operation<void, errors.ShutdownError> =>
  operation({
    name: "SHUTDOWN",
    op: constants.IORING_OP_SHUTDOWN,
    errors: errors.shutdown,
    target: socket,
    fill: (fields) => {
      fields.len = int("how", how)
      return asNothing
    }
  })

// ---------------------------------------------------------------------------------------------------------------------
// bytes
// ---------------------------------------------------------------------------------------------------------------------

/**
 * How to receive: `flags` are of `Syscall.MSG_*`.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReceiveOptions {
  readonly flags?: number | undefined
}

/**
 * How to send: `flags` are of `Syscall.MSG_*`; `address` is to whom, where the socket is not connected.
 *
 * @category models
 * @since 0.1.0
 */
export interface SendOptions extends ReceiveOptions {
  readonly address?: SockAddrLike | undefined
}

/** Where to send stands elsewhere in the entry than where to connect. */
const lendDestination = (fields: Fields, loan: Loan, address: SockAddrLike | undefined): void => {
  if (address === undefined) return
  const bytes = encodeSockAddr(address)
  fields.off = loan.copy(bytes)
  fields.fileIndex = bytes.length
}

const place = (fields: Fields, { address, length }: Extent): void => {
  fields.addr = address
  fields.len = length
}

/**
 * Sends bytes; gives how many, which on a stream may be fewer (`Syscall.MSG_WAITALL` has the kernel go on).
 *
 * Operation `IORING_OP_SEND`.
 *
 * @category operations
 * @since 0.1.0
 */
export const send = (
  socket: Target,
  buffer: Buffer,
  options: SendOptions = {}
): Operation<number, errors.SendtoError> =>
  operation({
    name: "SEND",
    op: constants.IORING_OP_SEND,
    errors: errors.sendto,
    target: socket,
    fill: (fields, loan) => {
      place(fields, loan.source("buffer", [buffer]))
      lendDestination(fields, loan, options.address)
      fields.rwFlags = int("flags", options.flags ?? 0) | constants.MSG_NOSIGNAL
      return asNumber
    }
  })

/**
 * Receives bytes; gives how many, 0 when the other side has ended a stream. {@link recvMany} receives all that come.
 *
 * Operation `IORING_OP_RECV`.
 *
 * @category operations
 * @since 0.1.0
 */
export const recv = (
  socket: Target,
  buffer: Buffer,
  options: ReceiveOptions = {}
): Operation<number, errors.RecvfromError> =>
  operation({
    name: "RECV",
    op: constants.IORING_OP_RECV,
    errors: errors.recvfrom,
    target: socket,
    fill: (fields, loan) => {
      place(fields, loan.destination("buffer", [buffer]))
      fields.rwFlags = int("flags", options.flags ?? 0)
      return asNumber
    }
  })

/**
 * What a zero-copy send came to.
 *
 * @category models
 * @since 0.1.0
 */
export interface SentZeroCopy {
  /** How many bytes were sent. */
  readonly bytes: number
  /** Whether the kernel copied them all the same, as it does for connections within the machine. */
  readonly copied: boolean
}

/**
 * How to send registered memory.
 *
 * @category models
 * @since 0.1.0
 */
export interface SendZcOptions extends SendOptions {
  /** Where in registered memory: at its start unless said. */
  readonly at?: number | undefined
  /** How many bytes of registered memory: all from there on unless said. */
  readonly length?: number | undefined
}

const isFixedBuffer = (buffer: Buffer | FixedBuffer): buffer is FixedBuffer => buffer instanceof BufferSlot

/**
 * Sends bytes without a copy in the kernel. It ends when the kernel needs them no more, so that the memory can be used
 * anew: for a TCP connection when the other side has them.
 *
 * Only registered memory is never copied on this side either; `at` and `length` are about that. Operation
 * `IORING_OP_SEND_ZC`; since Linux 6.0.
 *
 * @category operations
 * @since 0.1.0
 */
export const sendZc = (
  socket: Target,
  buffer: Buffer | FixedBuffer,
  options: SendZcOptions = {}
): Operation<SentZeroCopy, errors.SendtoError> =>
  operation({
    name: "SEND_ZC",
    op: constants.IORING_OP_SEND_ZC,
    errors: errors.sendto,
    target: socket,
    fill: (fields, loan) => {
      lendDestination(fields, loan, options.address)
      fields.rwFlags = int("flags", options.flags ?? 0) | constants.MSG_NOSIGNAL
      if (isFixedBuffer(buffer)) {
        const extent = fixedExtent(buffer, loan, options)
        place(fields, extent)
        fields.bufIndex = extent.slot
        fields.ioprio = constants.IORING_SEND_ZC_REPORT_USAGE | constants.IORING_RECVSEND_FIXED_BUF
      } else {
        place(fields, loan.source("buffer", [buffer]))
        fields.ioprio = constants.IORING_SEND_ZC_REPORT_USAGE
      }
      return (bytes, flags) => Exit.succeed({ bytes, copied: flags < 0 })
    }
  })

// ---------------------------------------------------------------------------------------------------------------------
// messages
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A message to send.
 *
 * @category models
 * @since 0.1.0
 */
export interface Message {
  /** The data, one buffer after the other. */
  readonly iov: ReadonlyArray<Buffer>
  /** To whom, where the socket is not connected. */
  readonly address?: SockAddrLike | undefined
  readonly control?: ReadonlyArray<ControlMessage> | undefined
}

/** A `msghdr` of parts that are lent. */
const header = (name: Extent, data: Extent, control: Extent, loan: Loan) => {
  const iov = loan.copy(Abi.iovec.encode({ iov_base: BigInt(data.address), iov_len: BigInt(data.length) }))
  const room = loan.room(Abi.user_msghdr.size)
  Abi.user_msghdr.encode(
    {
      msg_name: name.length === 0 ? 0n : BigInt(name.address),
      msg_namelen: name.length,
      msg_iov: BigInt(iov),
      msg_iovlen: 1n,
      msg_control: control.length === 0 ? 0n : BigInt(control.address),
      msg_controllen: BigInt(control.length),
      msg_flags: 0
    },
    room.bytes
  )
  return room
}

const copied = (loan: Loan, bytes: Uint8Array): Extent => ({ address: loan.copy(bytes), length: bytes.length })

/**
 * Sends a message; gives the number of bytes. Descriptors in `control` stay the sender's too.
 *
 * Operation `IORING_OP_SENDMSG`.
 *
 * @category operations
 * @since 0.1.0
 */
export const sendMessage = (
  socket: Target,
  message: Message,
  options: ReceiveOptions = {}
): Operation<number, errors.SendmsgError> =>
  operation({
    name: "SENDMSG",
    op: constants.IORING_OP_SENDMSG,
    errors: errors.sendmsg,
    target: socket,
    fill: (fields, loan) => {
      const { address, control = [], iov } = message
      const name = address === undefined ? new Uint8Array(0) : encodeSockAddr(address)
      const data = loan.source("iov", bufferList("iov", iov))
      const memory = header(copied(loan, name), data, copied(loan, encodeControl(control)), loan)
      fields.addr = memory.address
      fields.len = 1
      fields.rwFlags = int("flags", options.flags ?? 0) | constants.MSG_NOSIGNAL
      return asNumber
    }
  })

/**
 * Receives a message. Descriptors that come with it are close-on-exec, and who called must close them.
 *
 * Operation `IORING_OP_RECVMSG`.
 *
 * @category operations
 * @since 0.1.0
 */
export const recvMessage = (
  socket: Target,
  room: MessageRoom,
  options: ReceiveOptions = {}
): Operation<ReceivedMessage, errors.RecvmsgError> =>
  operation({
    name: "RECVMSG",
    op: constants.IORING_OP_RECVMSG,
    errors: errors.recvmsg,
    target: socket,
    fill: (fields, loan) => {
      const { controllen = 0, iov } = room
      const data = loan.destination("iov", bufferList("iov", iov))
      const name = loan.room(storageSize)
      const control = loan.room(int("controllen", controllen))
      const memory = header(
        { address: name.address, length: storageSize },
        data,
        { address: control.address, length: control.bytes.length },
        loan
      )
      fields.addr = memory.address
      fields.len = 1
      fields.rwFlags = int("flags", options.flags ?? 0) | constants.MSG_CMSG_CLOEXEC
      const received = () => Abi.user_msghdr.decode(memory.bytes)
      const messages = () => decodeControl(control.bytes.slice(0, Number(received().msg_controllen)))
      loan.onAbandoned(() => {
        for (const fd of descriptorsOf(messages())) closeAbandoned(fd)
      })
      return decoding(errors.recvmsg, (bytes) => {
        const { msg_flags, msg_namelen } = received()
        return {
          bytes,
          address: decodeSockAddr(name.bytes.slice(0, Math.min(msg_namelen, storageSize))),
          control: messages(),
          flags: msg_flags
        }
      })
    }
  })

// ---------------------------------------------------------------------------------------------------------------------
// epoll
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Says to an epoll instance what to watch of a file: `op` is `Syscall.EPOLL_CTL_ADD`, `EPOLL_CTL_MOD` or
 * `EPOLL_CTL_DEL`; `event` is left out only for the last.
 *
 * Operation `IORING_OP_EPOLL_CTL`.
 *
 * @category operations
 * @since 0.1.0
 */
export const epollCtl = (
  epoll: File<unknown>,
  op: number,
  file: File<unknown>,
  event?: Abi.epoll_event
): Operation<void, errors.EpollCtlError> =>
  operation({
    name: "EPOLL_CTL",
    op: constants.IORING_OP_EPOLL_CTL,
    errors: errors.epoll_ctl,
    target: epoll,
    others: [file],
    fill: (fields, loan) => {
      fields.off = own(file).fd
      fields.len = int("op", op)
      fields.addr = event === undefined ? 0 : loan.copy(Abi.epoll_event.encode(event))
      return asNothing
    }
  })
