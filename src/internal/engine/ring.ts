/**
 * One ring of io_uring: its two queues in memory that the kernel shares, and whose completion is whose. What an entry
 * asks for, and what memory it lends, is for the modules that use this one.
 *
 * Entries are submitted by the addon once in each turn of the event loop, just before it waits: all that a turn wrote goes
 * in one system call.
 */
import { codes } from "../../errors/errnos.ts"
import {
  IORING_CQE_F_MORE,
  IORING_ENTER_GETEVENTS,
  IORING_REGISTER_SYNC_CANCEL,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SQ_CQ_OVERFLOW
} from "../constants.ts"
import { native, type RingMemory } from "../native.ts"
import { nr } from "../nr.ts"

/** Hears of the completions of one entry. */
export interface Handler {
  /** `res` is what the call would have returned; with `IORING_CQE_F_MORE` in `flags` there will be others. */
  readonly complete: (res: number, flags: number) => void
}

/** How many 32-bit words an entry of the submission queue has. */
export const entryWords = 16

/** Writes a 64-bit word of an entry: a safe integer, negative ones as two's complement. */
export const set64 = (entry: Int32Array, at: number, value: number): void => {
  entry[at] = value
  entry[at + 1] = Math.floor(value / 2 ** 32)
}

/** The upper half of the user_data of a completion that another ring sent: the lower half is for the receiver. */
export const messageMark = 0x4d53_4752

const asyncCancel = 14
const longestBetweenCancels = 128 // milliseconds
const registerProbe = 8
const registerWorkers = 19
const opSupported = 1

// A handler runs the fiber that waits, which may do much before it waits again: after so long the loop has its turn.
const mostAtOnce = 2 // milliseconds
const betweenLooks = 16 // completions

export class Ring {
  readonly fd: number
  readonly memory: RingMemory
  /** The entry that is being written: see `submit`. */
  readonly entry: Int32Array<ArrayBuffer> = new Int32Array(entryWords)
  /** How many entries are in the kernel, or on their way there. */
  pending = 0
  closed = false
  private readonly words: Int32Array
  private readonly entries: Int32Array
  private readonly sqHead: number
  private readonly sqTail: number
  private readonly sqFlags: number
  private readonly cqHead: number
  private readonly cqTail: number
  private readonly cqes: number
  private readonly handlers: Array<Handler | undefined> = []
  private readonly free: Array<number> = []
  /** How often each place among the handlers has been taken, to tell one that took it from the next. */
  private readonly uses: Array<number> = []
  /** Entries that found the queue full and the kernel unwilling to take more: in order, behind those in the queue. */
  private readonly backlog: Array<Int32Array> = []
  /** Hears of what other rings send to this one. */
  onMessage: ((data: number, res: number) => void) | undefined = undefined
  private readonly onIdle: Array<() => void> = []
  private readonly supported: Uint8Array

  /** Opens a ring with room for so many submissions and completions, or says which errno there was. */
  static open(submissions: number, completions: number): Ring | number {
    let ring: Ring | undefined
    const memory = native.openRing(submissions, completions, () => ring?.drain())
    if (typeof memory === "number") return -memory
    ring = new Ring(memory)
    return ring
  }

  private constructor(memory: RingMemory) {
    this.memory = memory
    this.fd = memory.fd
    this.words = new Int32Array(memory.rings)
    this.entries = new Int32Array(memory.sqes)
    this.sqHead = memory.sqHead >> 2
    this.sqTail = memory.sqTail >> 2
    this.sqFlags = memory.sqFlags >> 2
    this.cqHead = memory.cqHead >> 2
    this.cqTail = memory.cqTail >> 2
    this.cqes = memory.cqes >> 2
    this.supported = this.probe()
  }

  private probe(): Uint8Array {
    const most = 256
    const bytes = new Uint8Array(16 + most * 8)
    const supported = new Uint8Array(most)
    if (Number(native.call(nr.io_uring_register, this.fd, registerProbe, bytes, most)) < 0) return supported
    for (let op = 0; op < most; op++) supported[op] = (bytes[16 + op * 8 + 2] ?? 0) & opSupported
    return supported
  }

  /** Whether this kernel knows an operation. */
  supports(op: number): boolean {
    return this.supported[op] === 1
  }

  /** The most threads that the kernel starts for what can only be done by waiting: for files, and for all else. */
  limitWorkers(bounded: number, unbounded: number): void {
    native.call(nr.io_uring_register, this.fd, registerWorkers, Uint32Array.of(bounded, unbounded), 2)
  }

  /** An empty entry to write: the next `submit` takes it. */
  begin(op: number, flags: number, fd: number): Int32Array<ArrayBuffer> {
    const { entry } = this
    entry.fill(0)
    entry[0] = op | (flags << 8)
    entry[1] = fd
    return entry
  }

  /** Submits what `begin` began; the number by which to cancel it. */
  submit(handler: Handler): number {
    const slot = this.take(handler)
    this.entry[8] = slot
    this.entry[9] = 0
    this.push(this.entry)
    return slot
  }

  /**
   * Submits several entries, which the kernel gets in one go, as links between them demand; the numbers by which to cancel
   * them. There must not be more than the queue has room for.
   */
  submitTogether(entries: Int32Array<ArrayBuffer>, handlers: ReadonlyArray<Handler>): ReadonlyArray<number> {
    const slots = handlers.map((handler) => this.take(handler))
    slots.forEach((slot, index) => {
      entries[index * entryWords + 8] = slot
      entries[index * entryWords + 9] = 0
    })
    this.push(entries)
    return slots
  }

  private take(handler: Handler): number {
    const slot = this.free.pop() ?? this.handlers.length
    this.handlers[slot] = handler
    this.uses[slot] = ((this.uses[slot] ?? 0) + 1) | 0
    if (this.pending++ === 0) native.holdRing(this.fd, true)
    return slot
  }

  /** Makes the kernel give an entry up, if it can: the handler hears ECANCELED or EINTR then, or how it ended. */
  cancel(slot: number): void {
    this.tryCancel(slot, this.uses[slot] ?? 0, 0)
  }

  private tryCancel(slot: number, use: number, attempts: number): void {
    if (this.closed) return
    const entry = this.begin(asyncCancel, 0, -1)
    entry[4] = slot
    this.submit({
      complete: (res) => {
        if (res < 0) this.later(slot, use, attempts, () => this.tryCancel(slot, use, attempts + 1))
      }
    })
  }

  /** The same without an entry, which would have to wait where another one holds up all that come after it. */
  cancelBeside(slot: number): void {
    this.tryBeside(slot, this.uses[slot] ?? 0, 0)
  }

  private tryBeside(slot: number, use: number, attempts: number): void {
    if (this.closed) return
    native.submitRing(this.fd, true)
    // No time to wait: the handler hears of it.
    const cancel = new Int32Array(16)
    cancel[0] = slot
    cancel[2] = -1
    const result = native.call(nr.io_uring_register, this.fd, IORING_REGISTER_SYNC_CANCEL, cancel, 1)
    // A kernel before 6.0 knows only the other way.
    if (result === -codes.EINVAL) this.tryCancel(slot, use, attempts)
    else if (result !== 0) this.later(slot, use, attempts, () => this.tryBeside(slot, use, attempts + 1))
  }

  // A cancellation can miss: a thread of the kernel's had just begun with the entry, or it was on its way from one state of
  // waiting to another, or its turn had not come.
  private later(slot: number, use: number, attempts: number, again: () => void): void {
    const isUnderWay = () => !this.closed && this.uses[slot] === use && this.handlers[slot] !== undefined
    if (!isUnderWay()) return
    setTimeout(() => isUnderWay() && again(), Math.min(2 ** attempts, longestBetweenCancels))
  }

  /** Submits now what was written, and not only before the loop waits. */
  flush(): void {
    if (!this.closed) native.submitRing(this.fd, false)
  }

  private push(entries: Int32Array): void {
    if (this.backlog.length > 0 || !this.hasRoom(entries.length)) this.backlog.push(entries.slice())
    else this.write(entries)
  }

  private hasRoom(words: number): boolean {
    const isFull = () =>
      (((this.words[this.sqTail] ?? 0) - Atomics.load(this.words, this.sqHead)) | 0) + words / entryWords >
      this.memory.sqEntries
    if (!isFull()) return true
    this.flush()
    return !isFull()
  }

  private write(entries: Int32Array): void {
    const mask = this.memory.sqEntries - 1
    let tail = this.words[this.sqTail] ?? 0
    for (let at = 0; at < entries.length; at += entryWords) {
      const entry = entries.length === entryWords ? entries : entries.subarray(at, at + entryWords)
      this.entries.set(entry, (tail & mask) * entryWords)
      tail = (tail + 1) | 0
    }
    Atomics.store(this.words, this.sqTail, tail)
  }

  /** Called by the addon when there are completions. */
  private drain(): void {
    if (this.closed) return
    const { cqHead, cqTail, handlers, words } = this
    const mask = this.memory.cqEntries - 1
    const began = performance.now()
    let taken = 0
    let head = words[cqHead] ?? 0
    while (!this.closed && head !== Atomics.load(words, cqTail)) {
      if (++taken % betweenLooks === 0 && performance.now() - began > mostAtOnce) {
        setImmediate(() => this.drain())
        break
      }
      const at = this.cqes + (head & mask) * 4
      const slot = words[at] ?? -1
      const mark = words[at + 1] ?? 0
      const res = words[at + 2] ?? 0
      const flags = words[at + 3] ?? 0
      head = (head + 1) | 0
      // Given back before the handler runs, which may write entries of its own.
      Atomics.store(words, cqHead, head)
      const handler = mark === messageMark ? this.receiving(slot) : handlers[slot]
      if (handler === undefined) continue
      if ((flags & IORING_CQE_F_MORE) === 0 && mark !== messageMark) {
        handlers[slot] = undefined
        this.free.push(slot)
        this.pending--
      }
      try {
        handler.complete(res, flags)
      } catch (thrown) {
        // One handler's failure must not keep the others from hearing.
        queueMicrotask(() => {
          throw thrown
        })
      }
      head = words[cqHead] ?? 0
    }
    if (this.closed) return
    // Those that found no room in the queue are posted when somebody asks, now that there is room.
    if ((Atomics.load(words, this.sqFlags) & IORING_SQ_CQ_OVERFLOW) !== 0) native.submitRing(this.fd, true)
    for (let next = this.backlog[0]; next !== undefined && this.hasRoom(next.length); next = this.backlog[0]) {
      this.backlog.shift()
      this.write(next)
    }
    if (this.pending === 0) {
      native.holdRing(this.fd, false)
      for (const told of this.onIdle.splice(0)) told()
    }
  }

  private receiving(data: number): Handler | undefined {
    const { onMessage } = this
    return onMessage === undefined ? undefined : { complete: (res) => onMessage(data, res) }
  }

  /** Calls `idle` when nothing is in flight. */
  whenIdle(idle: () => void): void {
    if (this.pending === 0) idle()
    else this.onIdle.push(idle)
  }

  /** Cancels what is in flight; `idle` is called when the kernel has let go of all of it. */
  cancelAll(idle: () => void): void {
    if (this.pending === 0) {
      idle()
      return
    }
    this.onIdle.push(idle)
    // Not what is added meanwhile: cancellations are entries, too.
    const slots = this.handlers.flatMap((handler, slot) => (handler === undefined ? [] : [slot]))
    for (const slot of slots) this.cancel(slot)
  }

  /** Closes the ring; false where the kernel could not be made to let go of everything. */
  close(): boolean {
    if (this.closed) return true
    this.closed = true
    return native.closeRing(this.fd, this.memory.rings, this.memory.sqes)
  }

  /** Whether completions are posted only when they are asked for, and so in batches. */
  get isDeferred(): boolean {
    return (this.memory.flags & IORING_SETUP_DEFER_TASKRUN) !== 0
  }

  /** Waits here and now for completions: for benchmarks and tests, as nothing else happens meanwhile. */
  waitInline(least: number): void {
    const unsubmitted = ((this.words[this.sqTail] ?? 0) - Atomics.load(this.words, this.sqHead)) | 0
    native.call(nr.io_uring_enter, this.fd, unsubmitted, least, IORING_ENTER_GETEVENTS, null, 0)
    this.drain()
  }
}
