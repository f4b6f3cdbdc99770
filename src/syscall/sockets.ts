/**
 * The calls on sockets, described apart from how they are run: `Syscall` runs them on plain numbers, `Socket` on
 * descriptors that can be closed meanwhile. Those with messages are in messages.ts. Not part of the public surface.
 */
import * as errors from "../errors/calls.ts"
import type { CallErrors } from "../errors/registry.ts"
import { type Buffer, bufferLength, descriptor, int } from "../internal/arguments.ts"
import {
  MSG_DONTWAIT,
  MSG_FASTOPEN,
  MSG_WAITALL,
  MSG_ZEROCOPY,
  POLLOUT,
  SO_GET_FILTER,
  SOL_SOCKET
} from "../internal/constants.ts"
import { type Description, onThisThread } from "../internal/invoke.ts"
import type { Argument } from "../internal/native.ts"
import { type BlockingOptions, Direction, directions } from "../internal/trampoline.ts"
import { memoryAt, nothing, number } from "./convert.ts"
import type { Waiting } from "./messages.ts"
import { closeAbandoned } from "./policy.ts"
import { nr } from "./raw.ts"
import { decodeSockAddr, encodeSockAddr, type SockAddr, type SockAddrLike, storageSize } from "./sockaddr.ts"

const { in: reads, outCount: fills, unknown } = Direction

/** An `int` or `socklen_t` in memory, that the kernel may write. */
const intMemory = (value: number): Uint8Array => new Uint8Array(Int32Array.of(value).buffer)

const intAt = (args: ReadonlyArray<Argument>, index: number, place = 0): number => {
  const memory = memoryAt(args, index)
  return new DataView(memory.buffer, memory.byteOffset, memory.byteLength).getInt32(4 * place, true)
}

/** Room for an address, and its length behind it. */
const addressRoom = (): [Uint8Array, Uint8Array] => [new Uint8Array(storageSize), intMemory(storageSize)]

/** The address that was written to such a room. The length is the address's own, which may be more than fitted. */
const addressAt = (args: ReadonlyArray<Argument>, index: number): SockAddr | undefined =>
  decodeSockAddr(memoryAt(args, index).subarray(0, intAt(args, index + 1)))

const decodeFd = (result: number | bigint): number => Number(result)

export const socket = (domain: number, type: number, protocol: number): Description<number, errors.SocketError> => ({
  errors: errors.socket,
  nr: nr.socket,
  prepare: () => [int("domain", domain), int("type", type), int("protocol", protocol)],
  decode: decodeFd,
  options: onThisThread
})

export const socketpair = (
  domain: number,
  type: number,
  protocol: number
): Description<readonly [first: number, second: number], errors.SocketpairError> => ({
  errors: errors.socketpair,
  nr: nr.socketpair,
  prepare: () => [int("domain", domain), int("type", type), int("protocol", protocol), new Uint8Array(8)],
  decode: (_, args) => [intAt(args, 3), intAt(args, 3, 1)] as const,
  options: onThisThread
})

const addressOptions: BlockingOptions = { directions: directions(unknown, reads), events: POLLOUT }

const prepareAddress = (sockfd: number, addr: SockAddrLike) => (): ReadonlyArray<Argument> => {
  const bytes = encodeSockAddr(addr)
  return [descriptor("sockfd", sockfd), bytes, bytes.length]
}

/** Whether an address is a path, which has to be looked up: that can wait for a disk or server. */
export const isPath = (addr: SockAddrLike): boolean => addr._tag === "Unix" && addr.path !== undefined

export const bind = (sockfd: number, addr: SockAddrLike): Description<void, errors.BindError> => ({
  errors: errors.bind,
  nr: nr.bind,
  prepare: prepareAddress(sockfd, addr),
  decode: nothing,
  options: isPath(addr) ? addressOptions : onThisThread,
  subject: { fd: sockfd }
})

export const connect = (sockfd: number, addr: SockAddrLike): Description<void, errors.ConnectError> => ({
  errors: errors.connect,
  nr: nr.connect,
  prepare: prepareAddress(sockfd, addr),
  decode: nothing,
  options: addressOptions,
  subject: { fd: sockfd }
})

export const listen = (sockfd: number, backlog: number): Description<void, errors.ListenError> => ({
  errors: errors.listen,
  nr: nr.listen,
  prepare: () => [descriptor("sockfd", sockfd), int("backlog", backlog)],
  decode: nothing,
  options: onThisThread,
  subject: { fd: sockfd }
})

export const shutdown = (sockfd: number, how: number): Description<void, errors.ShutdownError> => ({
  errors: errors.shutdown,
  nr: nr.shutdown,
  prepare: () => [descriptor("sockfd", sockfd), int("how", how)],
  decode: nothing,
  options: onThisThread,
  subject: { fd: sockfd }
})

/**
 * A connection that `accept` took.
 *
 * @category network
 * @since 0.1.0
 */
export interface Accepted {
  /** The new socket. Who called must close it. */
  readonly fd: number
  /** Who connected. */
  readonly address: SockAddr | undefined
}

const acceptOptions: BlockingOptions = { inlineFirst: true, onAbandoned: closeAbandoned }

const accepted = (result: number | bigint, args: ReadonlyArray<Argument>): Accepted => ({
  fd: Number(result),
  address: addressAt(args, 1)
})

export const accept = (sockfd: number): Description<Accepted, errors.AcceptError> => ({
  errors: errors.accept,
  nr: nr.accept,
  prepare: () => [descriptor("sockfd", sockfd), ...addressRoom()],
  decode: accepted,
  options: acceptOptions,
  subject: { fd: sockfd }
})

export const accept4 = (sockfd: number, flags: number): Description<Accepted, errors.Accept4Error> => ({
  errors: errors.accept4,
  nr: nr.accept4,
  prepare: () => [descriptor("sockfd", sockfd), ...addressRoom(), int("flags", flags)],
  decode: accepted,
  options: acceptOptions,
  subject: { fd: sockfd }
})

const nameOf = <E>(callErrors: CallErrors<E>, number: number, sockfd: number): Description<SockAddr, E> => ({
  errors: callErrors,
  nr: number,
  prepare: () => [descriptor("sockfd", sockfd), ...addressRoom()],
  decode: (_, args) => addressAt(args, 1) ?? { _tag: "Raw", family: 0, bytes: new Uint8Array(0) },
  options: onThisThread,
  subject: { fd: sockfd }
})

export const getsockname = (sockfd: number): Description<SockAddr, errors.GetsocknameError> =>
  nameOf(errors.getsockname, nr.getsockname, sockfd)

export const getpeername = (sockfd: number): Description<SockAddr, errors.GetpeernameError> =>
  nameOf(errors.getpeername, nr.getpeername, sockfd)

/** The one option whose length is a number of instructions of a filter, each of 8 bytes. */
const isFilter = (level: number, optname: number): boolean => level === SOL_SOCKET && optname === SO_GET_FILTER

const instructionSize = 8

/**
 * Reads an option into a buffer; `decode` is given it as it is then, the length that the kernel says, and the number of
 * bytes that it wrote.
 */
export const getsockopt = <A>(
  sockfd: number,
  level: number,
  optname: number,
  optval: () => Buffer,
  decode: (optval: Argument, length: number, bytes: number) => A
): Description<A, errors.GetsockoptError> => ({
  errors: errors.getsockopt,
  nr: nr.getsockopt,
  prepare: () => {
    const memory = optval()
    const bytes = bufferLength("optval", memory)
    return [
      descriptor("sockfd", sockfd),
      int("level", level),
      int("optname", optname),
      memory,
      // Told of bytes, the kernel would write eight times as many.
      intMemory(isFilter(level, optname) ? Math.floor(bytes / instructionSize) : bytes)
    ]
  },
  decode: (_, args) => {
    const length = intAt(args, 4)
    return decode(args[3] ?? null, length, isFilter(level, optname) ? length * instructionSize : length)
  },
  options: onThisThread,
  subject: { fd: sockfd }
})

export const setsockopt = (
  sockfd: number,
  level: number,
  optname: number,
  optval: () => Buffer | null
): Description<void, errors.SetsockoptError> => ({
  errors: errors.setsockopt,
  nr: nr.setsockopt,
  prepare: () => {
    const memory = optval()
    const length = memory === null ? 0 : bufferLength("optval", memory)
    return [descriptor("sockfd", sockfd), int("level", level), int("optname", optname), memory, length]
  },
  decode: nothing,
  options: onThisThread,
  subject: { fd: sockfd }
})

// ---------------------------------------------------------------------------------------------------------------------
// bytes
// ---------------------------------------------------------------------------------------------------------------------

/** Flags with one more; what is no number of 32 bits stays as it is, to be refused by name. */
export const withFlag = (flags: number, flag: number): number =>
  flags === (flags | 0) || flags === flags >>> 0 ? flags | flag : flags

/** How a call that sends is to wait. */
export const sendingWaits = (flags: number): Waiting =>
  // The kernel may read the buffers after the call: it must get those of the caller, and not copies that are gone by then.
  (flags & (MSG_DONTWAIT | MSG_ZEROCOPY)) !== 0
    ? "never"
    : // Told not to wait this answers EINPROGRESS, to which a caller that meant to wait has no answer.
      (flags & MSG_FASTOPEN) !== 0
      ? "atOnce"
      : "ifNeeded"

/** How a call that receives is to wait: one that wants all of something would be content with less if told not to. */
export const receivingWaits = (flags: number, wantsAll = (flags & MSG_WAITALL) !== 0): Waiting =>
  (flags & MSG_DONTWAIT) !== 0 ? "never" : wantsAll ? "atOnce" : "ifNeeded"

const sendDirections = directions(unknown, reads, unknown, unknown, reads)

// One object for each way, as a descriptor keeps what it adds to each.
const sendOptions: Readonly<Record<Waiting, BlockingOptions>> = {
  never: onThisThread,
  ifNeeded: { directions: sendDirections, events: POLLOUT, inlineFirst: true },
  whenReady: { directions: sendDirections, events: POLLOUT, inlineFirst: true },
  atOnce: { directions: sendDirections, events: POLLOUT }
}

export const sendto = (
  sockfd: number,
  buf: Buffer,
  flags: number,
  destAddr: SockAddrLike | null
): Description<number, errors.SendtoError> => {
  const waiting = sendingWaits(flags)
  return {
    errors: errors.sendto,
    nr: nr.sendto,
    prepare: () => {
      const addr = destAddr === null ? null : encodeSockAddr(destAddr)
      return [
        descriptor("sockfd", sockfd),
        buf,
        bufferLength("buf", buf),
        int("flags", flags) | (waiting === "never" ? MSG_DONTWAIT : 0),
        addr,
        addr?.length ?? 0
      ]
    },
    decode: number,
    options: sendOptions[waiting],
    subject: { fd: sockfd }
  }
}

/**
 * What `recvfrom` received.
 *
 * @category network
 * @since 0.1.0
 */
export interface Received {
  /** The number of bytes; with `MSG_TRUNC` that of the whole datagram, which may be more than the buffer holds. */
  readonly bytes: number
  /** Who sent them; undefined where the socket is connected, or the sender has no address. */
  readonly address: SockAddr | undefined
}

const receiveOptions: BlockingOptions = { inlineFirst: true, directions: directions(unknown, fills) }

export const recvfrom = (sockfd: number, buf: Buffer, flags: number): Description<Received, errors.RecvfromError> => ({
  errors: errors.recvfrom,
  nr: nr.recvfrom,
  prepare: () => [descriptor("sockfd", sockfd), buf, bufferLength("buf", buf), int("flags", flags), ...addressRoom()],
  decode: (result, args) => ({ bytes: number(result), address: addressAt(args, 4) }),
  options: receiveOptions,
  subject: { fd: sockfd }
})

/** The same without asking who sent them, which a stream does not tell: it saves the room for an address. */
export const recv = (sockfd: number, buf: Buffer, flags: number): Description<number, errors.RecvfromError> => ({
  errors: errors.recvfrom,
  nr: nr.recvfrom,
  prepare: () => [descriptor("sockfd", sockfd), buf, bufferLength("buf", buf), int("flags", flags), null, null],
  decode: number,
  options: receiveOptions,
  subject: { fd: sockfd }
})
