/** System calls on futexes: words of memory that threads and processes wait on. */
import type * as Effect from "effect/Effect"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import { bufferLength, int, long } from "../internal/arguments.ts"
import {
  CLOCK_MONOTONIC,
  FUTEX_CLOCK_REALTIME,
  FUTEX_CMP_REQUEUE,
  FUTEX_CMP_REQUEUE_PI,
  FUTEX_LOCK_PI,
  FUTEX_LOCK_PI2,
  FUTEX_PRIVATE_FLAG,
  FUTEX_REQUEUE,
  FUTEX_WAIT,
  FUTEX_WAIT_BITSET,
  FUTEX_WAIT_REQUEUE_PI,
  FUTEX_WAKE_OP,
  FUTEX2_NUMA
} from "../internal/constants.ts"
import { Misuse, onThisThread, run } from "../internal/invoke.ts"
import type { Argument } from "../internal/native.ts"
import { type BlockingOptions, Direction, directions } from "../internal/trampoline.ts"
import { nothing, number } from "./convert.ts"
import { encodeList, type Timeout, timeoutMemory } from "./events-memory.ts"
import { addressOf, nr } from "./raw.ts"

/**
 * A word of 32 bits in memory: the first element of a view, or what lies at an address.
 *
 * To wait on, a view must be of a SharedArrayBuffer: another thread would get a copy of any other buffer. Memory that is
 * mapped into a plain ArrayBuffer is named by its address (see `addressOf`), and stays mapped while a call waits.
 *
 * @category futexes
 * @since 0.1.0
 */
export type FutexWord = Int32Array | Uint32Array | bigint

/** A view that can be used. */
const view = (name: string, word: Exclude<FutexWord, bigint>, waits: boolean, flags = 0): Int32Array | Uint32Array => {
  if (!(word instanceof Int32Array || word instanceof Uint32Array)) {
    throw new TypeError(`${name}: expected an Int32Array, a Uint32Array or an address`)
  }
  // The kernel keeps the node in a second word.
  const size = (flags & FUTEX2_NUMA) === 0 ? 4 : 8
  if (bufferLength(name, word) < size) throw new Misuse(codes.EINVAL, `${name}: the view has less than ${size} bytes`)
  if (waits && !(word.buffer instanceof SharedArrayBuffer)) {
    throw new Misuse(
      codes.EINVAL,
      `${name}: to wait on, a view must be of a SharedArrayBuffer; name mapped memory by its address`
    )
  }
  return word
}

const wordArgument = (name: string, word: FutexWord, waits: boolean, flags = 0): Argument =>
  typeof word === "bigint" ? long(name, word) : view(name, word, waits, flags)

const wordAddress = (name: string, word: FutexWord, waits: boolean, flags: number): bigint =>
  typeof word === "bigint" ? BigInt.asUintN(64, BigInt(long(name, word))) : addressOf(view(name, word, waits, flags))

/** A value that a word must have: what an Int32Array shows as negative is the same bits. */
const value = (name: string, val: number | bigint): number | bigint =>
  typeof val === "number" && val < 0 ? int(name, val) >>> 0 : long(name, val)

const waiting: ReadonlyArray<number> = [
  FUTEX_WAIT,
  FUTEX_WAIT_BITSET,
  FUTEX_LOCK_PI,
  FUTEX_LOCK_PI2,
  FUTEX_WAIT_REQUEUE_PI
]
const counting: ReadonlyArray<number> = [FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP, FUTEX_CMP_REQUEUE_PI]

const waitOptions: BlockingOptions = {
  directions: directions(Direction.unknown, Direction.unknown, Direction.unknown, Direction.in)
}

const timeoutOf = (operation: number, timeout: Timeout): Argument => {
  if (!counting.includes(operation)) return timeoutMemory("timeout", timeout)
  if (typeof timeout !== "number") throw new Misuse(codes.EINVAL, "timeout: this operation takes a number here")
  return int("timeout", timeout)
}

/**
 * `futex(uaddr, futex_op, val, timeout, uaddr2, val3)`—Waits on a word of memory, or wakes who waits there; returns what
 * the operation does: how many were woken, or 0.
 *
 * `futex_op` is one of `FUTEX_WAIT`, `FUTEX_WAKE` and so on, with `FUTEX_PRIVATE_FLAG` where only this process waits, and
 * `FUTEX_CLOCK_REALTIME`. `FUTEX_WAIT` waits if the word is `val` (and else fails with `EAGAIN`) for the span `timeout`,
 * for ever where that is null; `FUTEX_WAIT_BITSET` and `FUTEX_LOCK_PI` take a time for it and no span, an `Abi.timespec`.
 * `FUTEX_REQUEUE`, `FUTEX_CMP_REQUEUE`, `FUTEX_WAKE_OP` and `FUTEX_CMP_REQUEUE_PI` take a number there, how many
 * are moved or woken at `uaddr2`. `val3` is the bit mask, the value to compare or the operation of those that have one.
 *
 * A lock of `FUTEX_LOCK_PI` belongs to the thread that took it: only on a thread of `makeThread`, by `callOn`, is there
 * one to speak of.
 *
 * Operations that wait are made on another thread and can be interrupted; others do not block. Manual page: futex(2).
 *
 * @category futexes
 * @since 0.1.0
 */
export const futex = (
  uaddr: FutexWord,
  futex_op: number,
  val: number,
  timeout: Timeout = null,
  uaddr2: FutexWord | null = null,
  val3 = 0
): Effect.Effect<number, errors.FutexError> => {
  const operation = futex_op & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME)
  const waits = waiting.includes(operation)
  return run({
    errors: errors.futex,
    nr: nr.futex,
    prepare: () => [
      wordArgument("uaddr", uaddr, waits),
      int("futex_op", futex_op),
      int("val", val),
      timeoutOf(operation, timeout),
      uaddr2 === null ? null : wordArgument("uaddr2", uaddr2, waits),
      int("val3", val3)
    ],
    decode: number,
    options: waits ? waitOptions : onThisThread
  })
}

/** A time of a clock, and no span. */
const time = (timeout: Abi.timespec | null): Uint8Array | null =>
  timeout === null ? null : Abi.timespec.encode(timeout)

/**
 * `futex_wait(uaddr, val, mask, flags, timeout, clockid)`—Waits on a word of memory if its value is `val`, until
 * {@link futex_wake} wakes it with a bit of `mask`; fails with `EAGAIN` if it is another.
 *
 * `flags` are `FUTEX2_SIZE_U32` and of `FUTEX2_PRIVATE`, where only this process waits, `FUTEX2_NUMA` and `FUTEX2_MPOL`.
 * `timeout` is a time of the clock `clockid`, which is `CLOCK_MONOTONIC` or `CLOCK_REALTIME`; null is for ever.
 *
 * Can block: made on another thread; interruptible. Since Linux 6.7. Manual page: futex(2).
 *
 * @category futexes
 * @since 0.1.0
 */
export const futex_wait = (
  uaddr: FutexWord,
  val: number | bigint,
  mask: number | bigint,
  flags: number,
  timeout: Abi.timespec | null = null,
  clockid: number = CLOCK_MONOTONIC
): Effect.Effect<void, errors.FutexWaitError> =>
  run({
    errors: errors.futex_wait,
    nr: nr.futex_wait,
    prepare: () => [
      wordArgument("uaddr", uaddr, true, flags),
      value("val", val),
      long("mask", mask),
      int("flags", flags),
      time(timeout),
      int("clockid", clockid)
    ],
    decode: nothing,
    options: {}
  })

/**
 * `futex_wake(uaddr, mask, nr, flags)`—Wakes up to `nr` of those who wait on a word of memory with a bit of `mask`;
 * returns how many.
 *
 * `flags` are as for {@link futex_wait}. Does not block. Since Linux 6.7. Manual page: futex(2).
 *
 * @category futexes
 * @since 0.1.0
 */
export const futex_wake = (
  uaddr: FutexWord,
  mask: number | bigint,
  count: number,
  flags: number
): Effect.Effect<number, errors.FutexWakeError> =>
  run({
    errors: errors.futex_wake,
    nr: nr.futex_wake,
    prepare: () => [
      wordArgument("uaddr", uaddr, false, flags),
      long("mask", mask),
      int("nr", count),
      int("flags", flags)
    ],
    decode: number,
    options: onThisThread
  })

/**
 * A word to wait on and the value that it must have.
 *
 * @category futexes
 * @since 0.1.0
 */
export interface FutexWaiter {
  readonly uaddr: FutexWord
  readonly val: number | bigint
  /** `FUTEX2_SIZE_U32` and of `FUTEX2_PRIVATE`, `FUTEX2_NUMA` and `FUTEX2_MPOL`. */
  readonly flags: number
}

const waiterMemory = (waiters: ReadonlyArray<FutexWaiter>, waits: boolean): Uint8Array =>
  encodeList(
    Abi.futex_waitv,
    "waiters",
    waiters.map(({ flags, uaddr, val }) => ({
      uaddr: wordAddress("uaddr", uaddr, waits, flags),
      val: BigInt.asUintN(64, BigInt(value("val", val))),
      flags: int("flags", flags) >>> 0
    }))
  )

/**
 * The kernel is given addresses of words: their views stay reachable for as long as the arguments of the call, which `run`
 * keeps until it has the result.
 */
const words = new WeakMap<ReadonlyArray<Argument>, ReadonlyArray<FutexWaiter>>()

/**
 * `futex_waitv(waiters, flags, timeout, clockid)`—Waits on up to 128 words of memory, if all have their values; returns
 * the index of one that was woken.
 *
 * `flags` must be 0. `timeout` and `clockid` are as for {@link futex_wait}.
 *
 * Can block: made on another thread; interruptible. Since Linux 5.16. Manual page: futex(2).
 *
 * @category futexes
 * @since 0.1.0
 */
export const futex_waitv = (
  waiters: ReadonlyArray<FutexWaiter>,
  flags = 0,
  timeout: Abi.timespec | null = null,
  clockid: number = CLOCK_MONOTONIC
): Effect.Effect<number, errors.FutexWaitvError> =>
  run({
    errors: errors.futex_waitv,
    nr: nr.futex_waitv,
    prepare: () => {
      if (!Array.isArray(waiters)) throw new TypeError("waiters: expected an array of records")
      const list = Array.from(waiters, ({ flags, uaddr, val }: FutexWaiter) => ({ flags, uaddr, val }))
      const args = [waiterMemory(list, true), list.length, int("flags", flags), time(timeout), int("clockid", clockid)]
      words.set(args, list)
      return args
    },
    decode: number,
    options: {}
  })

/**
 * `futex_requeue(from, to, flags, nr_wake, nr_requeue)`—Wakes up to `nr_wake` of those who wait on the word `from`, if its
 * value is `from.val`, and has up to `nr_requeue` of the others wait on the word `to`; returns how many they are together.
 *
 * `flags` must be 0, as must be `to.val`. Does not block. Since Linux 6.7. Manual page: futex(2).
 *
 * @category futexes
 * @since 0.1.0
 */
export const futex_requeue = (
  from: FutexWaiter,
  to: FutexWaiter,
  flags: number,
  nr_wake: number,
  nr_requeue: number
): Effect.Effect<number, errors.FutexRequeueError> =>
  run({
    errors: errors.futex_requeue,
    nr: nr.futex_requeue,
    prepare: () => [
      waiterMemory([from, to], false),
      int("flags", flags),
      int("nr_wake", nr_wake),
      int("nr_requeue", nr_requeue)
    ],
    decode: number,
    options: onThisThread
  })
