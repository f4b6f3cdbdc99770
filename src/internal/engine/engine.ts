/**
 * What there is between an operation and its way of running, once it is known that it would have to wait.
 *
 * `trampoline.ts` asks the kernel first what it can answer at once. What it cannot goes one of two ways, whatever the
 * operation: a descriptor that can be polled is waited for until it is ready, and asked again; all else is started
 * elsewhere, and its result comes when it is done. An engine is a way of doing these two. There is one on io_uring
 * (`rings.ts`) and one on threads (`threads.ts`).
 *
 * A new operation needs nothing here. To have it go through io_uring add it to the table in `operations.ts`.
 */
import type { Traits } from "../attempt.ts"
import type { Argument, Result } from "../native.ts"
import type { Watch } from "./watches.ts"

/** A thread of its own for blocking calls: see `Syscall.makeThread`. */
export class Thread {
  readonly id: number
  constructor(id: number) {
    this.id = id
  }
}

/** What the kernel does with the memory of an argument: two bits each, as the addon takes them. */
export const Direction = {
  /** Whatever it likes. */
  unknown: 0,
  /** It reads it. */
  in: 1,
  /** It writes all of it, or nothing when it fails. */
  out: 2,
  /** It writes as many bytes as the call returns. */
  outCount: 3
} as const

/** The directions of a call's arguments, in order, as the addon takes them. */
export const directions = (...list: ReadonlyArray<(typeof Direction)[keyof typeof Direction]>): number =>
  list.reduce<number>((bits, direction, index) => bits | (direction << (2 * index)), 0)

/** The direction of one of them. */
export const directionAt = (bits: number, index: number): number => (bits >>> (2 * index)) & 3

/** How a call that may wait is to be made, apart from the way. */
export interface Options {
  /** Where it is kept what kind of descriptor it is about, so that it need not be found out anew. */
  readonly traits?: Traits | undefined
  /** How its descriptor is waited for again and again, where it has one that stays the same. */
  readonly watch?: Watch | undefined
  /** What a descriptor has to be ready for, where the call does not say it: `POLLIN`, `POLLOUT`, `POLLPRI`. */
  readonly events?: number | undefined
  /** The thread to make it on; by default any. */
  readonly thread?: Thread | undefined
  /** What the kernel does with the memory of each argument: bits that `directions` makes. */
  readonly directions?: number | undefined
  /**
   * Called with a result that no fiber receives, as its fiber was interrupted when the kernel had already done the
   * work: the place to close a descriptor that the call opened.
   */
  readonly onAbandoned?: ((result: Result) => void) | undefined
  /** Whether what the call is about is closed by now: the call then is not begun, and ends with EBADF. */
  readonly isOver?: (() => boolean) | undefined
  /** Called just before the kernel is made to give the call up, as its fiber is interrupted. */
  readonly onInterrupt?: (() => void) | undefined
  /**
   * Called when the call begins to wait, with a function that makes the kernel give it up (it then ends with EINTR);
   * what it returns is called when the wait is over. Whoever closes a descriptor ends by it what still waits there.
   */
  readonly onWaiting?: ((cancel: () => void) => () => void) | undefined
}

/** A call that is to be made elsewhere. */
export interface Request {
  readonly nr: number
  readonly args: ReadonlyArray<Argument>
  /** What the kernel does with the memory of each argument: bits that `directions` makes. */
  readonly directions: number
  /** The thread to make it on, where it has to be that one. */
  readonly thread: Thread | undefined
  /** How many bytes of the transfer are done already, and are not to be done again; they count in the result. */
  readonly done: number
  /** Whether its descriptor can be polled, so that the wait is for somebody else and may be for ever. */
  readonly isPollable: boolean
  /** Whether its file system is known to answer for what is cached without asking anybody. */
  readonly isLocal: boolean
}

export interface Engine {
  readonly name: "io_uring" | "threads"
  /**
   * Makes a call elsewhere. `finish` gets its result, later and once. The function that is returned makes the kernel give
   * the call up; `finish` then hears EINTR, or how it ended all the same: only with that the kernel has let go of the
   * memory. Throws what the addon throws for arguments that it does not take.
   */
  readonly start: (request: Request, finish: (result: Result) => void) => () => void
  /**
   * Waits until a descriptor is ready for one of `events`. `ready` gets what it is ready for, or -errno, later and once;
   * not any more when the function that is returned has been called.
   */
  readonly awaitReady: (fd: number, events: number, ready: (events: number) => void) => () => void
  /** The calls that are under way and on no thread that /proc shows in them, all with the kernel by now: for tests. */
  readonly underWay: () => ReadonlyArray<Request>
}
