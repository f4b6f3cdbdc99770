/**
 * The engine on io_uring: calls become entries of a ring, and what they lend to the kernel is memory of our own.
 *
 * A call that the ring cannot make (no operation of its own, memory that the kernel may do anything with, a thread that
 * it has to run on) is made by the threads, as if there were no ring.
 */

import { codes } from "../../errors/errnos.ts"
import { bytesOf } from "../bytes.ts"
import { IORING_OP_POLL_ADD, IOSQE_ASYNC } from "../constants.ts"
import { type Argument, native, type Result } from "../native.ts"
import { Arena, type Chunk } from "./arena.ts"
import { Direction, directionAt, type Engine, type Request } from "./engine.ts"
import { type Operation, operationOf } from "./operations.ts"
import type { Handler, Ring } from "./ring.ts"
import { threads } from "./threads.ts"

/** As much as one call transfers: its bytes are copied on this thread. It then comes back short, as it may. */
const mostCopied = 16 * 1024 * 1024

/** Our own view of a buffer, where the kernel's copy of it lies, and what it is for. */
interface Loan {
  readonly bytes: Uint8Array
  readonly chunk: Chunk
  readonly at: number
  readonly length: number
  readonly direction: number
}

/** All that a call lends. */
interface Lent {
  readonly words: Array<number>
  readonly loans: Array<Loan>
  readonly chunks: Array<Chunk>
  /** What the kernel works on itself, and so must not be collected meanwhile: shared memory. */
  readonly kept: Array<Argument>
}

/** One call in flight. */
class Flight implements Handler {
  readonly request: Request
  private readonly engine: RingEngine
  private readonly operation: Operation
  private readonly lent: Lent
  private readonly finish: (result: Result) => void
  private isCancelled = false
  private isOver = false
  private slot = -1

  constructor(
    engine: RingEngine,
    request: Request,
    operation: Operation,
    lent: Lent,
    finish: (result: Result) => void
  ) {
    this.engine = engine
    this.request = request
    this.operation = operation
    this.lent = lent
    this.finish = finish
  }

  /** Writes and submits the entry; false where the ring cannot say it. */
  take(): boolean {
    const { operation, request } = this
    const { words } = this.lent
    const { flights, ring } = this.engine
    const mustWaitElsewhere = operation.elsewhere || (operation.isTransfer === true && !request.isLocal)
    const flags = mustWaitElsewhere ? IOSQE_ASYNC : 0
    const entry = ring.begin(operation.op, flags, operation.fd(words))
    if (!operation.fill(entry, words)) return false
    this.slot = ring.submit(this)
    flights.add(this)
    return true
  }

  readonly cancel = (): void => {
    if (this.isOver || this.isCancelled) return
    this.isCancelled = true
    this.engine.ring.cancel(this.slot)
  }

  complete(answer: number): void {
    // What the kernel says to itself where a call would be restarted after a signal, which some operations let out.
    const res = answer <= -512 && answer >= -516 ? -codes.EINTR : answer
    // A thread of the kernel's was disturbed, and not by us.
    if (res === -codes.EINTR && !this.isCancelled && this.take()) return
    this.isOver = true
    this.engine.flights.delete(this)
    this.giveBack(res)
    const { done } = this.request
    const result = res === -codes.ECANCELED && this.isCancelled ? -codes.EINTR : res
    this.finish(done === 0 ? result : done + Math.max(result, 0))
  }

  /** Copies what the kernel wrote to where it belongs. Memory that was given away meanwhile gets nothing. */
  private giveBack(res: number): void {
    let counted = Math.max(res, 0)
    for (const { at, bytes, chunk, direction, length } of this.lent.loans) {
      let wrote = length
      if (direction === Direction.outCount) {
        wrote = Math.min(counted, length)
        counted -= wrote
      }
      if (direction === Direction.in || res < 0 || wrote === 0 || bytes.length < wrote) continue
      bytes.set(at === 0 && wrote === chunk.bytes.length ? chunk.bytes : chunk.bytes.subarray(at, at + wrote))
    }
    for (const chunk of this.lent.chunks) this.engine.arena.give(chunk)
  }
}

/** Waits for readiness. Nothing is lent, so whoever waits may go at once. */
class Readiness implements Handler {
  private ready: ((events: number) => void) | undefined
  private readonly ring: Ring
  private readonly slot: number

  constructor(ring: Ring, fd: number, events: number, ready: (events: number) => void) {
    this.ring = ring
    this.ready = ready
    const entry = ring.begin(IORING_OP_POLL_ADD, 0, fd)
    entry[7] = events
    this.slot = ring.submit(this)
  }

  readonly forget = (): void => {
    if (this.ready === undefined) return
    this.ready = undefined
    this.ring.cancel(this.slot)
  }

  complete(res: number): void {
    const { ready } = this
    this.ready = undefined
    ready?.(res)
  }
}

export class RingEngine implements Engine {
  readonly name = "io_uring"
  readonly ring: Ring
  readonly arena: Arena = new Arena()
  readonly flights: Set<Flight> = new Set()

  constructor(ring: Ring) {
    this.ring = ring
  }

  readonly awaitReady = (fd: number, events: number, ready: (events: number) => void): (() => void) =>
    new Readiness(this.ring, fd, events, ready).forget

  readonly underWay = (): ReadonlyArray<Request> => {
    this.ring.flush()
    return Array.from(this.flights, ({ request }) => request)
  }

  readonly start = (request: Request, finish: (result: Result) => void): (() => void) =>
    this.tryStart(request, finish) ?? threads.start(request, finish)

  private tryStart(request: Request, finish: (result: Result) => void): (() => void) | undefined {
    if (request.thread !== undefined || this.ring.closed) return undefined
    const operation = operationOf(request.nr)
    if (operation === undefined || !this.ring.supports(operation.op)) return undefined
    // The ring would wait until the descriptor says that it is ready. That has been waited for already, or it never does:
    // some can be written and do not tell (fanotify).
    if (operation.isTransfer === true && request.isPollable) return undefined
    const lent: Lent = { words: [], loans: [], chunks: [], kept: [] }
    if (this.lend(request, lent)) {
      const flight = new Flight(this, request, operation, lent, finish)
      if (flight.take()) return flight.cancel
    }
    for (const chunk of lent.chunks) this.arena.give(chunk)
    return undefined
  }

  /** Makes the arguments what the kernel is to have; false where they are no case for the ring. */
  private lend(request: Request, lent: Lent): boolean {
    const { args, directions, done } = request
    const { words } = lent
    for (let index = 0; index < args.length; index++) {
      const argument = args[index] ?? null
      const direction = directionAt(directions, index)
      if (typeof argument === "number" || typeof argument === "bigint") {
        const word = Number(argument)
        // Whatever is wrong with it, the addon says it.
        if (!Number.isSafeInteger(word)) return false
        words.push(word)
      } else if (argument === null) {
        words.push(0)
      } else if (isList(argument)) {
        // A list of buffers: one piece of memory, as the ring takes one as well.
        const pieces = argument.map(bytesOf)
        const count = Math.min(Number(args[index + 1]), pieces.length)
        if (direction === Direction.unknown || !(count >= 0)) return false
        if (!this.lendPieces(pieces.slice(0, count), direction, done, lent, true)) return false
        index++
      } else if (isShared(argument)) {
        lent.kept.push(argument)
        words.push(Number(native.address(argument)))
      } else {
        const bytes = bytesOf(argument)
        // Where it has a length of its own next to it, no more of it than that.
        const isTransfer = index === 1 && transfers(request)
        const count = isTransfer ? Math.min(Number(args[2]), bytes.length) : bytes.length
        if (direction === Direction.unknown || bytes.length === 0 || !(count >= 0)) return false
        const piece = bytes.length === count ? bytes : bytes.subarray(0, count)
        if (!this.lendPieces([piece], direction, done, lent, isTransfer)) return false
        if (isTransfer) index++
      }
    }
    if (done > 0) {
      // Of memory that is given by its address nothing was cut off.
      if (typeof args[1] === "number" || typeof args[1] === "bigint") {
        words[1] = (words[1] ?? 0) + done
        words[2] = (words[2] ?? 0) - done
      }
      if (words.length > 3) words[3] = (words[3] ?? 0) + done
    }
    return true
  }

  /** Lends several buffers as one piece of memory, without what is done of them; its length is a word too. */
  private lendPieces(
    pieces: ReadonlyArray<Uint8Array>,
    direction: number,
    done: number,
    { chunks, loans, words }: Lent,
    withLength: boolean
  ): boolean {
    const all = pieces.reduce((sum, { length }) => sum + length, 0)
    const length = Math.min(all - done, mostCopied)
    const chunk = length < 0 ? undefined : this.arena.take(length)
    if (chunk === undefined) return false
    chunks.push(chunk)
    let skip = done
    let at = 0
    for (const piece of pieces) {
      const here = Math.min(skip, piece.length)
      skip -= here
      const room = Math.min(piece.length - here, length - at)
      if (room === 0) continue
      const bytes = here === 0 && room === piece.length ? piece : piece.subarray(here, here + room)
      if (direction === Direction.in) chunk.bytes.set(bytes, at)
      loans.push({ bytes, chunk, at, length: room, direction })
      at += room
    }
    words.push(chunk.address)
    if (withLength) words.push(length)
    return true
  }
}

const isList = (argument: Argument): argument is ReadonlyArray<ArrayBufferView | ArrayBufferLike> =>
  Array.isArray(argument)

const isShared = (argument: ArrayBufferView | ArrayBufferLike): boolean =>
  (ArrayBuffer.isView(argument) ? argument.buffer : argument) instanceof SharedArrayBuffer

/** Whether the third argument is the length of the second. */
const transfers = ({ nr }: Request): boolean => {
  const operation = operationOf(nr)
  return operation !== undefined && !operation.elsewhere
}
