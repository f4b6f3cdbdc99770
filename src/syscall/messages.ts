/**
 * The memory of `sendmsg`, `recvmsg` and their forms for several messages, and how these calls are run. Not part of the
 * public surface.
 *
 * Their headers point to everything else. What a call on the JavaScript thread points to is the caller's own buffers. A
 * call on another thread could not be given those: JavaScript can move or detach them meanwhile, and the copies that the
 * trampoline makes for other calls are of what is passed itself. So all that such a call points to lies in one
 * SharedArrayBuffer, which nobody else knows and nothing can detach, and the data are copied before and after.
 */
import * as Effect from "effect/Effect"
import * as Abi from "../Abi.ts"
import { codes } from "../errors/errnos.ts"
import type { CallErrors } from "../errors/registry.ts"
import { type Buffer, descriptor, int } from "../internal/arguments.ts"
import { F_GETFL, MSG_DONTWAIT, O_NONBLOCK, POLLIN } from "../internal/constants.ts"
import { type Description, type Owner, onThisThread, ready, run } from "../internal/invoke.ts"
import type { Argument, Result } from "../internal/native.ts"
import { Trampoline } from "../internal/trampoline.ts"
import { type ControlMessage, decodeControl, descriptorsOf } from "./control.ts"
import { bufferList, number } from "./convert.ts"
import { closeAbandoned } from "./policy.ts"
import { addressOf, nr } from "./raw.ts"
import { decodeSockAddr, type SockAddr, storageSize } from "./sockaddr.ts"

// ---------------------------------------------------------------------------------------------------------------------
// memory
// ---------------------------------------------------------------------------------------------------------------------

/** A message before it has a place in memory. */
export interface Parts {
  /** The address to send to, or room for the one that sent; null for neither. */
  readonly name: Uint8Array | null
  readonly iov: ReadonlyArray<Uint8Array>
  /** Control messages to send, or room for those that come. */
  readonly control: Uint8Array
}

const align = (offset: number): number => Math.ceil(offset / 8) * 8

/**
 * The bytes of a buffer, as a view of our own: a subclass can run code and say anything where it is asked for its place and
 * length, and so is asked once, before any address is taken.
 */
const bytesOf = (buffer: Buffer): Uint8Array => {
  addressOf(buffer) // refuses a detached one
  return ArrayBuffer.isView(buffer)
    ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
    : new Uint8Array(buffer)
}

/** A list of buffers as views of our own. */
export const viewsOf = (iov: ReadonlyArray<Buffer>): ReadonlyArray<Uint8Array> => bufferList("iov", iov).map(bytesOf)

interface Piece {
  readonly bytes: Uint8Array
  readonly length: number
  /** Where its copy lies; undefined where the kernel works on the buffer itself. */
  readonly copy: number | undefined
}

/** A number of messages in memory: the array of `mmsghdr` begins it, and the first `msghdr` that. */
export class Frame {
  /** What the kernel is given. */
  readonly memory: Uint8Array
  private readonly base: bigint
  private readonly pieces: ReadonlyArray<ReadonlyArray<Piece>>

  constructor(parts: ReadonlyArray<Parts>, shared: boolean) {
    let end = parts.length * Abi.mmsghdr.size
    const take = (length: number): number => {
      const at = end
      end = align(at + length)
      return at
    }
    const placed = parts.map(({ control, iov, name }) => {
      const vectorAt = take(iov.length * Abi.iovec.size)
      const nameAt = take(name?.length ?? 0)
      const controlAt = take(control.length)
      const pieces = iov.map(
        (bytes): Piece => ({ bytes, length: bytes.length, copy: shared ? take(bytes.length) : undefined })
      )
      return { vectorAt, nameAt, controlAt, pieces, name, control }
    })
    this.memory = new Uint8Array(shared ? new SharedArrayBuffer(end) : new ArrayBuffer(end))
    this.pieces = placed.map(({ pieces }) => pieces)
    this.base = addressOf(this.memory)
    const { base } = this
    placed.forEach(({ control, controlAt, name, nameAt, pieces, vectorAt }, index) => {
      if (name !== null) this.memory.set(name, nameAt)
      this.memory.set(control, controlAt)
      pieces.forEach(({ bytes, copy, length }, place) => {
        // Also where there is a copy: it refuses what has been detached by the code of a subclass.
        const own = addressOf(bytes)
        if (copy !== undefined) this.memory.set(bytes, copy)
        const piece = { iov_base: copy === undefined ? own : base + BigInt(copy), iov_len: BigInt(length) }
        Abi.iovec.encode(piece, this.memory, vectorAt + place * Abi.iovec.size)
      })
      const msg_hdr = {
        msg_name: name === null ? 0n : base + BigInt(nameAt),
        msg_namelen: name?.length ?? 0,
        msg_iov: base + BigInt(vectorAt),
        msg_iovlen: BigInt(pieces.length),
        msg_control: control.length === 0 ? 0n : base + BigInt(controlAt),
        msg_controllen: BigInt(control.length),
        msg_flags: 0
      }
      Abi.mmsghdr.encode({ msg_hdr, msg_len: 0 }, this.memory, index * Abi.mmsghdr.size)
    })
  }

  /** The memory as an argument: the trampoline passes a SharedArrayBuffer itself, and views as copies. */
  get argument(): Argument {
    return this.memory.buffer instanceof SharedArrayBuffer ? this.memory.buffer : this.memory
  }

  header(index: number): Abi.mmsghdr {
    return Abi.mmsghdr.decode(this.memory, index * Abi.mmsghdr.size)
  }

  /** What lies at an address that is within the memory. */
  at(address: bigint, length: number): Uint8Array {
    const start = Number(address - this.base)
    return this.memory.slice(start, start + length)
  }

  /** Copies the first `length` bytes of a message to where they belong; a buffer that is gone meanwhile gets nothing. */
  scatter(index: number, length: number): void {
    let left = length
    for (const { bytes, copy, length: room } of this.pieces[index] ?? []) {
      const here = Math.min(left, room)
      left -= here
      if (copy === undefined || here === 0 || bytes.length !== room) continue
      bytes.set(this.memory.subarray(copy, copy + here))
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// running
// ---------------------------------------------------------------------------------------------------------------------

/** What stands for the EAGAIN of a call that was told not to wait although its caller would. */
const wouldWait = Symbol("wouldWait")

const noticing = <E>(errors: CallErrors<E>): CallErrors<E | typeof wouldWait> => ({
  ...errors,
  make: (code, path, fd, detail) => (code === codes.EAGAIN ? wouldWait : errors.make(code, path, fd, detail))
})

/** Whether calls on a descriptor do not wait whatever their flags. */
export const isNonBlocking = (fd: number): Effect.Effect<boolean> =>
  Effect.withFiber((fiber) => {
    const flags = Number(fiber.getRef(Trampoline).call(nr.fcntl, fd, F_GETFL))
    return Effect.succeed(flags >= 0 && (flags & O_NONBLOCK) !== 0)
  })

/**
 * How a call is to wait:
 *
 * - `never`: it is made on the JavaScript thread, told not to
 * - `ifNeeded`: it is first asked so, and made on another thread if it would have to
 * - `whenReady`: it is first asked so, and again whenever the descriptor is ready, so that only the wait can be interrupted
 * - `atOnce`: it is made on another thread, as being told not to wait would change what it does
 */
export type Waiting = "never" | "ifNeeded" | "whenReady" | "atOnce"

/** What is done around a wait: `restore`, where all but the wait is uninterruptible. */
export type WhileWaiting = <A, E>(wait: Effect.Effect<A, E>) => Effect.Effect<A, E>

/** Where a call is made: here, told not to wait, or on another thread. */
export type Where = "here" | "elsewhere"

/** One of these calls. */
interface Attempt<A, E> {
  readonly fd: number
  readonly owner: Owner | undefined
  readonly errors: CallErrors<E>
  readonly waiting: Waiting
  /** The call, made anew for each run: here, told not to wait, or on another thread. */
  readonly describe: (where: Where) => Description<A, E>
  /** Put around the wait, where there is one. */
  readonly whileWaiting?: WhileWaiting | undefined
  /** What is to be waited for after a first answer; undefined where it is the whole answer, and so always by default. */
  readonly rest?: ((first: A) => Effect.Effect<A, E> | undefined) | undefined
}

const attempt = <A, E>(call: Attempt<A, E>): Effect.Effect<A, E> => {
  const { describe, errors, fd, owner, rest, waiting, whileWaiting } = call
  const here = Effect.suspend(() => run(describe("here"), undefined, owner))
  if (waiting === "never") return here
  const elsewhere = Effect.suspend(() => run(describe("elsewhere"), whileWaiting, owner))
  if (waiting === "atOnce") return elsewhere
  const asked = Effect.suspend(() =>
    run<A, E | typeof wouldWait>({ ...describe("here"), errors: noticing(errors) }, undefined, owner)
  )
  const again = (): Effect.Effect<A, E> => {
    if (waiting === "ifNeeded") return elsewhere
    const wait = ready(fd, POLLIN, owner)
    return Effect.andThen(whileWaiting === undefined ? wait : whileWaiting(wait), attempt(call))
  }
  const onFailure = (error: E | typeof wouldWait): Effect.Effect<A, E> =>
    error === wouldWait
      ? Effect.flatMap(isNonBlocking(fd), (never) =>
          never ? Effect.fail(errors.make(codes.EAGAIN, undefined, fd)) : again()
        )
      : Effect.fail(error)
  // An answer passes through nothing here: at every step a fiber may be interrupted, and descriptors with it be lost.
  if (rest === undefined) return Effect.catch(asked, onFailure)
  return Effect.matchEffect(asked, {
    onFailure,
    onSuccess: (first) => {
      const more = rest(first)
      if (more === undefined) return Effect.succeed(first)
      return Effect.flatMap(isNonBlocking(fd), (never) => (never ? Effect.succeed(first) : more))
    }
  })
}

const argumentsOf = (
  fd: number,
  frame: Frame,
  count: number | undefined,
  flags: number,
  where: Where
): ReadonlyArray<Argument> => {
  const all = int("flags", flags) | (where === "here" ? MSG_DONTWAIT : 0)
  const sockfd = descriptor("sockfd", fd)
  return count === undefined ? [sockfd, frame.argument, all] : [sockfd, frame.argument, count, all]
}

// ---------------------------------------------------------------------------------------------------------------------
// sending
// ---------------------------------------------------------------------------------------------------------------------

/** The bytes of a message from a place on. */
const tail = (iov: ReadonlyArray<Uint8Array>, from: number): ReadonlyArray<Uint8Array> => {
  let skip = from
  return iov.map((bytes) => {
    const here = Math.min(skip, bytes.length)
    skip -= here
    return bytes.subarray(here)
  })
}

/** The most messages that one call sends; it leaves the others. */
const UIO_MAXIOV = 1024

const lengthOf = (iov: ReadonlyArray<Uint8Array>): number => iov.reduce((sum, { length }) => sum + length, 0)

/** What `send` needs to know of the call. */
export interface Sending<out E> {
  readonly nr: number
  readonly errors: CallErrors<E>
  /** Whether it takes an array of messages and their number, and counts messages rather than bytes. */
  readonly several: boolean
  /** Whose descriptor it is, where it can be closed meanwhile. */
  readonly owner?: Owner | undefined
}

/** Sends messages, made anew for each run; gives the number of bytes of each that was sent. */
export const send = <E>(
  sending: Sending<E>,
  fd: number,
  parts: (where: Where) => ReadonlyArray<Parts>,
  flags: number,
  waiting: Waiting
): Effect.Effect<ReadonlyArray<number>, E> => {
  const { errors, owner, several } = sending
  /** What the last run was about. */
  let asked: ReadonlyArray<Parts> = []
  const describe =
    (list: (where: Where) => ReadonlyArray<Parts>) =>
    (where: Where): Description<ReadonlyArray<number>, E> => {
      let frame: Frame | undefined
      return {
        errors,
        nr: sending.nr,
        prepare: () => {
          asked = list(where)
          frame = new Frame(asked, where === "elsewhere")
          return argumentsOf(fd, frame, several ? asked.length : undefined, flags, where)
        },
        // That this refers to the frame keeps its memory, and the buffers it points to, until the call is over.
        decode: (result) =>
          several
            ? Array.from({ length: number(result) }, (_, index) => frame?.header(index).msg_len ?? 0)
            : [number(result)],
        options: where === "elsewhere" ? {} : onThisThread,
        subject: { fd }
      }
    }
  const rest = (first: ReadonlyArray<number>): Effect.Effect<ReadonlyArray<number>, E> | undefined => {
    const all = asked.slice(0, UIO_MAXIOV)
    const last = all[first.length - 1]
    const sent = first.at(-1) ?? 0
    const isShort = last !== undefined && sent < lengthOf(last.iov)
    if (!isShort && first.length === all.length) return undefined
    // Its control messages went with the first bytes.
    const short = isShort ? [{ ...last, iov: tail(last.iov, sent), control: new Uint8Array(0) }] : []
    const others = first.length === all.length ? [] : parts("elsewhere").slice(first.length, UIO_MAXIOV)
    const left = [...short, ...others]
    const before = isShort ? first.slice(0, -1) : first
    return Effect.match(run(describe(() => left)("elsewhere"), undefined, owner), {
      // As the kernel has it: what was sent before counts, and the error comes with the next call.
      onFailure: () => first,
      onSuccess: ([head = 0, ...more]) => [...before, isShort ? sent + head : head, ...more]
    })
  }
  return attempt({ fd, owner, errors, waiting, describe: describe(parts), rest })
}

// ---------------------------------------------------------------------------------------------------------------------
// receiving
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What `recvmsg` is to receive into.
 *
 * @category messages
 * @since 0.1.0
 */
export interface MessageRoom {
  /** The buffers that the data go to, one after the other. */
  readonly iov: ReadonlyArray<Buffer>
  /** The room for control messages in bytes, 0 by default: a sum of `CMSG_SPACE`. */
  readonly controllen?: number | undefined
}

/**
 * A message that `recvmsg` received.
 *
 * @category messages
 * @since 0.1.0
 */
export interface ReceivedMessage {
  /** The number of bytes; with `MSG_TRUNC` that of the whole datagram, which may be more than there was room for. */
  readonly bytes: number
  /** Who sent it; undefined where the socket is connected, or the sender has no address. */
  readonly address: SockAddr | undefined
  readonly control: ReadonlyArray<ControlMessage>
  /** Of `MSG_EOR`, `MSG_TRUNC`, `MSG_CTRUNC`, `MSG_OOB`, `MSG_ERRQUEUE` and others. */
  readonly flags: number
}

const receivedControl = (frame: Frame, index: number): ReadonlyArray<ControlMessage> => {
  const { msg_control, msg_controllen } = frame.header(index).msg_hdr
  return msg_control === 0n ? [] : decodeControl(frame.at(msg_control, Number(msg_controllen)))
}

const received = (frame: Frame, index: number, bytes: number): ReceivedMessage => {
  const { msg_flags, msg_name, msg_namelen } = frame.header(index).msg_hdr
  frame.scatter(index, bytes)
  return {
    bytes,
    address: decodeSockAddr(frame.at(msg_name, Math.min(msg_namelen, storageSize))),
    control: receivedControl(frame, index),
    flags: msg_flags
  }
}

const partsOf = (messages: ReadonlyArray<MessageRoom>): ReadonlyArray<Parts> =>
  messages.map(({ controllen = 0, iov }) => ({
    name: new Uint8Array(storageSize),
    iov: viewsOf(iov),
    control: new Uint8Array(controllen)
  }))

/** What `receive` needs to know of the call. */
export interface Receiving<out E> extends Sending<E> {
  /** The argument behind the flags of `recvmmsg`, made anew for each run. */
  readonly timeout?: (() => Argument) | undefined
}

/** Receives messages, and gives what `give` makes of them. */
export const receive = <A, E>(
  receiving: Receiving<E>,
  fd: number,
  messages: ReadonlyArray<MessageRoom>,
  flags: number,
  waiting: Waiting,
  give: (messages: ReadonlyArray<ReceivedMessage>) => A,
  whileWaiting?: WhileWaiting
): Effect.Effect<A, E> => {
  const { errors, owner, several, timeout } = receiving
  const describe = (where: Where): Description<A, E> => {
    let frame: Frame | undefined
    const indices = (result: Result) => Array.from({ length: several ? number(result) : 1 }, (_, index) => index)
    return {
      errors,
      nr: receiving.nr,
      prepare: () => {
        frame = new Frame(partsOf(messages), where === "elsewhere")
        const args = argumentsOf(fd, frame, several ? messages.length : undefined, flags, where)
        return timeout === undefined ? args : [...args, timeout()]
      },
      // Nothing here may throw: there may be descriptors among what was received.
      decode: (result) => {
        const filled = frame
        if (filled === undefined) return give([])
        return give(
          indices(result).map((index) =>
            received(filled, index, several ? filled.header(index).msg_len : number(result))
          )
        )
      },
      options:
        where === "here"
          ? onThisThread
          : {
              onAbandoned: (result) => {
                const filled = frame
                if (filled === undefined) return
                const lost = indices(result).flatMap((index) => descriptorsOf(receivedControl(filled, index)))
                for (const own of lost) closeAbandoned(own)
              }
            },
      subject: { fd }
    }
  }
  return attempt({ fd, owner, errors, waiting, describe, whileWaiting })
}
