/**
 * Operations under way: what was written for them, what the kernel has said, how they are cancelled, and when all that
 * they were lent is their owners' again.
 */

import { codes } from "../errors/errnos.ts"
import { Trait } from "../internal/attempt.ts"
import * as constants from "../internal/constants.ts"
import { entryWords, type Handler } from "../internal/engine/ring.ts"
import { Misuse, misuseOf } from "../internal/invoke.ts"
import { native } from "../internal/native.ts"
import { nr } from "../internal/nr.ts"
import { Loan } from "./loan.ts"
import { mustBeOpen, type RingState } from "./model.ts"
import { behind, type Decode, Fields, FileSlot, ownerOf, type Prepared, slotOf, type Target } from "./operation.ts"

const answersHere = Trait.pollable | Trait.local | Trait.memory | Trait.socket

type AnyPrepared = Prepared<unknown, unknown, unknown>

/** How the operations of a group hang together. */
export const Link = { none: 0, soft: constants.IOSQE_IO_LINK, hard: constants.IOSQE_IO_HARDLINK } as const
export type Link = (typeof Link)[keyof typeof Link]

/** What the kernel says to itself where a call would be restarted after a signal, which some operations let out. */
const errnoOf = (res: number): number => (res <= -512 && res >= -516 ? -codes.EINTR : res)

const targetsOf = ({ parts }: AnyPrepared): ReadonlyArray<Target> => [
  ...(parts.target === undefined || parts.target === null ? [] : [parts.target]),
  ...(parts.others ?? [])
]

/** One operation under way. */
export class Flight implements Handler {
  readonly prepared: AnyPrepared
  readonly loan: Loan
  /** What the kernel answered, or -errno. */
  res = 0
  flags = 0
  /** What a second answer said, of an operation whose memory is used on after the first. */
  notified = 0
  /** Why it was not begun. */
  misuse: Misuse | undefined
  isTimedOut = false
  private wasClosed = false
  slot = -1
  private decode: Decode<unknown, unknown, unknown> | undefined
  private readonly group: Group
  private isOver = true
  private hasAnswered = false
  private readonly ends: Array<() => void> = []

  constructor(prepared: AnyPrepared, group: Group) {
    this.prepared = prepared
    this.group = group
    this.loan = new Loan(group.ring)
  }

  /** Writes its entry; false where what it was given is misuse. */
  write(words: Int32Array<ArrayBuffer>, link: number): boolean {
    const { parts, modifiers } = this.prepared
    const { ring } = this.group
    try {
      mustBeOpen(ring)
      if (!ring.queues.supports(parts.op))
        throw new Misuse(codes.EOPNOTSUPP, `this kernel has no IORING_OP_${parts.name}`)
      if ((modifiers & constants.IOSQE_IO_DRAIN) !== 0 && ring.isShared) {
        throw new Misuse(codes.EINVAL, "ring: an operation may not hold up the shared ring")
      }
      const fields = new Fields(words)
      words[0] = parts.op
      words[1] = -1
      if (parts.target === null) words[1] = constants.AT_FDCWD
      let fixed = 0
      targetsOf(this.prepared).forEach((target, index) => {
        const it = behind(target)
        const isFixed = it instanceof FileSlot
        if (!isFixed && it.closed) throw new Misuse(codes.EBADF, "the File is closed")
        const number = isFixed ? slotOf("file", it, ring) : it.fd
        if (index > 0 || parts.target === undefined || parts.target === null) return
        words[1] = number
        if (isFixed) fixed = constants.IOSQE_FIXED_FILE
      })
      // Of a file on a server the kernel first asks whether it is ready, on this thread, and that waits for the server.
      const isTransfer = parts.op === constants.IORING_OP_READ || parts.op === constants.IORING_OP_WRITE
      const away = isTransfer && fixed === 0 && (native.traitsOf(words[1] ?? -1) & answersHere) === 0
      fields.flags = modifiers | link | fixed | (away ? constants.IOSQE_ASYNC : 0)
      this.decode = parts.fill(fields, this.loan)
      return true
    } catch (thrown) {
      this.misuse = misuseOf(thrown)
      return false
    }
  }

  /** It is with the kernel, or on its way there. */
  begin(slot: number): void {
    this.slot = slot
    this.isOver = false
    for (const target of targetsOf(this.prepared)) {
      const onWaiting = ownerOf(target)?.optionsFor({}).onWaiting
      if (onWaiting !== undefined) this.ends.push(onWaiting(this.onClose))
    }
    this.loan.begin()
  }

  private readonly onClose = (): void => {
    // What is behind it in a chain may close its file, when its turn has come.
    if (this.group.isBeginning) return
    this.wasClosed = true
    this.cancel()
  }

  get isPending(): boolean {
    return !this.isOver
  }

  cancel(): void {
    if (!this.isOver) this.group.ring.cancel(this.slot)
  }

  complete(res: number, flags: number): void {
    const answer = errnoOf(res)
    if ((flags & constants.IORING_CQE_F_NOTIF) !== 0) {
      this.notified = res
    } else {
      this.res = answer
      this.flags = flags
      this.hasAnswered = true
    }
    if ((flags & constants.IORING_CQE_F_MORE) !== 0 || !this.hasAnswered) return
    // A thread of the kernel's was disturbed, and not by us.
    if (answer === -codes.EINTR && this.group.mayRepeat(this)) return
    this.isOver = true
    this.loan.end(this.res)
    for (const end of this.ends) end()
    this.group.over()
  }

  /** Whether it ended as a file of its was closed. */
  get isClosed(): boolean {
    return this.wasClosed && (this.res === -codes.ECANCELED || this.res === -codes.EINTR)
  }

  get decoded(): Decode<unknown, unknown, unknown> {
    if (this.decode === undefined) throw new Error("an operation that was never begun has no result")
    return this.decode
  }

  /** Nobody hears of its result. */
  abandon(): void {
    if (this.misuse === undefined && this.res >= 0) {
      if (this.prepared.parts.opens === true) native.call(nr.close, this.res)
      this.loan.abandon(this.res)
    }
    this.loan.release()
  }
}

/** The limit to how long an operation may take, which is an entry of its own behind it. */
class Limit implements Handler {
  private readonly flight: Flight
  private readonly group: Group

  constructor(flight: Flight, group: Group) {
    this.flight = flight
    this.group = group
  }

  complete(res: number): void {
    if (res === -codes.ETIME) this.flight.isTimedOut = true
    this.group.over()
  }
}

/** Operations that are handed to the kernel in one go. */
export class Group {
  readonly ring: RingState
  readonly flights: ReadonlyArray<Flight>
  private readonly link: Link
  private readonly finish: () => void
  private readonly drains: number
  private left = 0
  private isCancelled = false
  isBeginning = false

  constructor(ring: RingState, operations: ReadonlyArray<AnyPrepared>, link: Link, finish: () => void) {
    this.ring = ring
    this.link = link
    this.finish = finish
    this.flights = operations.map((prepared) => new Flight(prepared, this))
    this.drains = operations.filter(({ modifiers }) => (modifiers & constants.IOSQE_IO_DRAIN) !== 0).length
  }

  /** Begins all of them, or none where one is misused; `finish` is not called then. */
  begin(): boolean {
    const count = this.flights.reduce((sum, { prepared }) => sum + (prepared.limit === undefined ? 1 : 2), 0)
    const words = new Int32Array(count * entryWords)
    const handlers: Array<Handler> = []
    const room = this.ring.closed ? count : this.ring.submissions
    this.flights.forEach((flight, index) => {
      const { limit } = flight.prepared
      const next = index === this.flights.length - 1 ? 0 : this.link
      const place = () => words.subarray(handlers.length * entryWords, (handlers.length + 1) * entryWords)
      flight.write(place(), limit === undefined || next !== 0 ? next : constants.IOSQE_IO_LINK)
      handlers.push(flight)
      if (limit === undefined) return
      const fields = new Fields(place())
      fields.words[0] = constants.IORING_OP_LINK_TIMEOUT
      fields.words[1] = -1
      fields.flags = next
      fields.addr = flight.loan.copy(new Uint8Array(BigInt64Array.of(limit.tv_sec, limit.tv_nsec).buffer))
      fields.len = 1
      handlers.push(new Limit(flight, this))
    })
    const [first] = this.flights
    if (count > room && first !== undefined && first.misuse === undefined) {
      first.misuse = new Misuse(codes.EINVAL, `operations: ${count} entries, and the ring takes ${room} at a time`)
    }
    if (this.flights.some(({ misuse }) => misuse !== undefined)) {
      for (const { loan } of this.flights) loan.refuse()
      return false
    }
    this.left = handlers.length
    this.ring.drains += this.drains
    this.ring.groups.add(this)
    const slots = this.ring.queues.submitTogether(words, handlers)
    this.isBeginning = true
    handlers.forEach((handler, index) => {
      if (handler instanceof Flight) handler.begin(slots[index] ?? -1)
    })
    this.isBeginning = false
    return true
  }

  /** Makes the kernel give up what is under way. */
  readonly cancel = (): void => {
    this.isCancelled = true
    if (this.mayWait) this.again(false)
    else for (const flight of this.flights) flight.cancel()
    // The turn of one may just have come, and the kernel not begun it.
    if (this.mayWait) setImmediate(() => this.again(false))
  }

  /** Whether some may be waiting for their turn, in which the kernel finds none to cancel. */
  private get mayWait(): boolean {
    return this.ring.drains > 0 || (this.link !== Link.none && this.flights.length > 1)
  }

  /** Whether it does not matter that something was done twice, and it is done again. */
  mayRepeat(flight: Flight): boolean {
    if (
      this.isCancelled ||
      flight.prepared.parts.once === true ||
      this.flights.length > 1 ||
      flight.prepared.limit !== undefined ||
      this.ring.closed
    )
      return false
    if (flight.isClosed) return false
    const words = new Int32Array(entryWords)
    flight.loan.release()
    if (!flight.write(words, 0)) return false
    flight.slot = this.ring.queues.submitTogether(words, [flight])[0] ?? -1
    return true
  }

  /** One of its entries is over. */
  over(): void {
    const { ring } = this
    const wasHeldUp = ring.drains > 0
    if (--this.left === 0) {
      ring.drains -= this.drains
      ring.groups.delete(this)
      this.finish()
    }
    // What could not be cancelled, as its turn had not come, may be under way now, or in a moment.
    const again = () => {
      for (const group of ring.groups) group.again(wasHeldUp)
    }
    if (!wasHeldUp && this.link === Link.none) return
    again()
    if (ring.groups.size > 0) setImmediate(again)
  }

  /** Cancels once more what may have been waiting for its turn. */
  again(wasHeldUp: boolean): void {
    if (!this.isCancelled || !(wasHeldUp || this.mayWait)) return
    for (const flight of this.flights) if (flight.isPending) this.ring.queues.cancelBeside(flight.slot)
  }
}
