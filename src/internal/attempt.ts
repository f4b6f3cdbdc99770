/**
 * Asking the kernel what it can answer without waiting: the call is made on the JavaScript thread in a form that does not
 * wait, in one hop into the addon, which knows those forms.
 */
import { type Argument, native, type Result } from "./native.ts"
import { nr } from "./nr.ts"

/** What an attempt came to. */
export const Status = {
  /** The kernel answered. */
  answered: 0,
  /** It would wait; nothing is done. */
  wouldWait: 1,
  /** The bytes that it returned are done, and for the rest it would wait. */
  partly: 2,
  /** As `wouldWait`, and the descriptor can be polled: when it is ready the call is to be attempted again. */
  notReady: 3,
  /** As `partly`, likewise. */
  partlyReady: 4
} as const

/** The kinds of descriptors, as the addon finds them out. */
export const Trait = {
  /** They have been found out. */
  known: 1,
  /** It can be polled. */
  pollable: 2,
  /** A file in memory: a plain call on it does not wait. */
  plain: 4,
  /** It cannot be read with `RWF_NOWAIT`. */
  noNowait: 8,
  /** It cannot be written so. */
  noNowaitWrite: 16,
  /** `O_DIRECT`: also with `RWF_NOWAIT` it waits for the device. */
  direct: 32,
  /** Closing it does not wait. */
  closeHere: 64,
  /** It is on a file system that answers for what is in memory without asking anybody. */
  local: 128,
  /** It is on a file system in memory. */
  memory: 256,
  socket: 512,
  /** Not found out yet, and to be found out by the first attempt. */
  learn: 1024,
  /** A socket of a stream whose last receive came back short: there may be nothing more. */
  emptied: 2048
} as const

/** What is known of a descriptor: bits of `Trait`. */
export interface Traits {
  bits: number
  /** `lastManners` when it was last known that calls on this socket wait, and without a timeout of its own. */
  manners?: number
}

// Where the addon takes the traits from and leaves them, and leaves the status.
const scratch = new Int32Array(native.scratch)

/** What the last attempt came to. */
export const lastStatus = (): number => scratch[1] ?? 0

/** What the last attempt left of traits. */
export const lastTraits = (): number => scratch[0] ?? 0

// Written out for the calls that there are: spreading a list into the addon costs as much as a third of a call. What has a
// hole is spread, for the addon to refuse.
const make = (nr: number, args: ReadonlyArray<Argument>): Result | undefined => {
  const [a, b, c, d, e] = args
  switch (args.length) {
    case 1:
      if (a !== undefined) return native.attempt(nr, a)
      break
    case 3:
      if (a !== undefined && b !== undefined && c !== undefined) return native.attempt(nr, a, b, c)
      break
    case 4:
      if (a !== undefined && b !== undefined && c !== undefined && d !== undefined) {
        return native.attempt(nr, a, b, c, d)
      }
      break
    case 5:
      if (a !== undefined && b !== undefined && c !== undefined && d !== undefined && e !== undefined) {
        return native.attempt(nr, a, b, c, d, e)
      }
      break
  }
  return native.attempt(nr, ...args)
}

/** Calls whose attempt leaves the traits of what they opened. */
const opens = new Set<number | undefined>([nr.open, nr.openat, nr.openat2, nr.creat])

/** Attempts a call; see `lastStatus` for what the result means. */
export const attempt = (
  number: number,
  args: ReadonlyArray<Argument>,
  traits: Traits | undefined
): Result | undefined => {
  scratch[0] = traits === undefined ? 0 : traits.bits
  const answer = make(number, args)
  if (traits !== undefined && !opens.has(number)) traits.bits = scratch[0] ?? 0
  return answer
}

// The same for the calls that are made most, without a list of arguments.

export const attempt1 = (nr: number, a: Argument, traits: Traits | undefined): Result | undefined => {
  scratch[0] = traits === undefined ? 0 : traits.bits
  const answer = native.attempt(nr, a)
  if (traits !== undefined) traits.bits = scratch[0] ?? 0
  return answer
}

export const attempt3 = (
  nr: number,
  a: Argument,
  b: Argument,
  c: Argument,
  traits: Traits | undefined
): Result | undefined => {
  scratch[0] = traits === undefined ? 0 : traits.bits
  const answer = native.attempt(nr, a, b, c)
  if (traits !== undefined) traits.bits = scratch[0] ?? 0
  return answer
}

export const attempt4 = (
  nr: number,
  a: Argument,
  b: Argument,
  c: Argument,
  d: Argument,
  traits: Traits | undefined
): Result | undefined => {
  scratch[0] = traits === undefined ? 0 : traits.bits
  const answer = native.attempt(nr, a, b, c, d)
  if (traits !== undefined) traits.bits = scratch[0] ?? 0
  return answer
}

export const attempt5 = (
  nr: number,
  a: Argument,
  b: Argument,
  c: Argument,
  d: Argument,
  e: Argument,
  traits: Traits | undefined
): Result | undefined => {
  scratch[0] = traits === undefined ? 0 : traits.bits
  const answer = native.attempt(nr, a, b, c, d, e)
  if (traits !== undefined) traits.bits = scratch[0] ?? 0
  return answer
}

const numbers = new Float64Array(native.scratch)

/**
 * How often a call was made that may have given a number to another file, or changed how its calls wait: as it was before
 * the last attempt, or after the last such call of this thread.
 */
export const lastManners = (): number => scratch[14] ?? 0

/** What `lastStatus` is where `transferNow` did nothing. */
export const notTried = -1

/**
 * The same for a transfer of one buffer, where that is a plain case: its words go through memory, which is cheaper than as
 * arguments. `offset` is -1 where there is none.
 */
export const transferNow = (
  nr: number,
  fd: number,
  buffer: ArrayBufferView | ArrayBufferLike,
  count: number,
  offset: number,
  traits: Traits
): number => {
  scratch[0] = traits.bits
  numbers[1] = nr
  numbers[2] = fd
  numbers[3] = count
  numbers[4] = offset
  native.transfer(buffer)
  traits.bits = scratch[0] ?? 0
  return numbers[5] ?? 0
}

/**
 * The same for `sendto` and `recvfrom` without an address; `count` is below 2 GiB. That a socket's calls are to wait is
 * looked up again only where something may have changed it since.
 */
export const exchangeNow = (
  nr: number,
  fd: number,
  buffer: ArrayBufferView | ArrayBufferLike,
  count: number,
  flags: number,
  traits: Traits
): number => {
  scratch[0] = traits.bits
  scratch[2] = nr
  scratch[3] = fd
  scratch[4] = count
  scratch[5] = flags
  scratch[7] = traits.manners ?? 0
  native.exchange(buffer)
  traits.bits = scratch[0] ?? 0
  traits.manners = scratch[7] ?? 0
  return scratch[6] ?? 0
}
