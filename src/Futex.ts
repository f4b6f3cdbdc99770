/**
 * Futexes: words of shared memory that fibers, worker threads and processes wait on.
 *
 * A word is the first element of an `Int32Array` or `Uint32Array`: of a `SharedArrayBuffer`, or of a `Mapping`'s buffer,
 * which is shared with other processes where the mapping is (`new Int32Array(mapping.buffer, 8, 1)`). Who waits says which
 * value the word must have for it, so that a change between looking and waiting is not slept through; who changes the word
 * wakes. `Atomics` read and change it.
 *
 * A wait never blocks the event loop, can be interrupted, and given a limit by `Effect.timeout`. A wake that reaches a
 * fiber which was interrupted at that moment is passed on to the others, so none is lost. The memory stays where it is
 * while a call waits in it: the release of a mapping calls waits back, and they fail with `EFAULT`.
 *
 * `Atomics.wait` and `Atomics.notify` wait in lists of the runtime's own and have nothing to do with these. Futexes of a
 * `SharedArrayBuffer` or of a private mapping have `FUTEX_PRIVATE_FLAG`, of a shared mapping not: who waits or wakes there
 * by other means must do likewise. For a lock see `Mutex`. Manual page: futex(2), futex(7).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Abi from "./Abi.ts"
import * as errors from "./errors/calls.ts"
import { codes } from "./errors/errnos.ts"
import { atPlace, type Place, placeOf, privateFlag, waitAt, wakeAt, wakeNow } from "./file/futex-word.ts"
import { type Region, released } from "./file/mapping-region.ts"
import { int } from "./internal/arguments.ts"
import * as constants from "./internal/constants.ts"
import { Misuse, misuseOf, onThisThread, run } from "./internal/invoke.ts"
import type { Argument } from "./internal/native.ts"
import type { BlockingOptions } from "./internal/trampoline.ts"
import * as Syscall from "./Syscall.ts"

/**
 * The first element of a view of shared memory: of a `SharedArrayBuffer` or a `Mapping`.
 *
 * @category models
 * @since 0.1.0
 */
export type Word = Int32Array | Uint32Array

/**
 * How a wait ended that did not fail: `"ok"` says that somebody woke it, or that it is time to look again for another
 * reason; `"not-equal"` that the word had another value than expected, so that there was no wait. The words are those of
 * `Atomics.wait`.
 *
 * @category models
 * @since 0.1.0
 */
export type Waited = "ok" | "not-equal"

const everybody = constants.FUTEX_BITSET_MATCH_ANY
const all = 0x7fffffff

/** A value that a word must have: what an Int32Array shows as negative is the same bits. */
const value = (name: string, expected: number): number => int(name, expected) | 0

const maskOf = (mask = everybody): number => {
  if (int("mask", mask) === 0) throw new Misuse(codes.EINVAL, "mask: 0 would meet nobody")
  return mask
}

/** Nobody knows which of the others the wake was meant for as well as for this one: all of them look again. */
const passOn =
  (mask: number) =>
  (place: Place): void =>
    wakeNow(place, all, mask)

/**
 * Waits until a word is woken, if its value is `expected`.
 *
 * Look at the word again afterwards: it may have been changed back, or somebody else been quicker. With `mask`, 32 bits
 * that are not all 0, only a wake whose mask has a bit in common counts.
 *
 * Fails with `EINVAL` for memory that is not shared and `EFAULT` for a mapping that is released, or is meanwhile.
 *
 * Can wait: never on the JavaScript thread; interruptible. Manual page: futex(2), `FUTEX_WAIT`, `FUTEX_WAIT_BITSET`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Futex } from "effect-linux"
 *
 * // until somebody sets the word to something else than 0
 * const changed = (word: Int32Array) =>
 *   Effect.gen(function* () {
 *     while (Atomics.load(word, 0) === 0) yield* Futex.wait(word, 0)
 *     return Atomics.load(word, 0)
 *   })
 *
 * const limited = (word: Int32Array) => Effect.timeout(changed(word), "1 second")
 * ```
 *
 * @category waiting
 * @since 0.1.0
 */
export const wait = (
  word: Word,
  expected: number,
  options: { readonly mask?: number | undefined } = {}
): Effect.Effect<Waited, errors.FutexError> =>
  Effect.suspend(() => {
    const mask = options.mask ?? everybody
    const find = () => {
      maskOf(mask)
      value("expected", expected)
      return placeOf("word", word)
    }
    return Effect.matchEffect(waitAt(find, expected | 0, { mask, onAbandoned: passOn(mask) }), {
      onSuccess: (): Exit.Exit<Waited, errors.FutexError> => ok,
      onFailure: (error) => (error._tag === "EAGAIN" ? notEqual : Exit.fail(error))
    })
  })

const ok: Exit.Exit<Waited> = Exit.succeed("ok")
const notEqual: Exit.Exit<Waited> = Exit.succeed("not-equal")

/**
 * A word to wait on and the value that it must have.
 *
 * @category models
 * @since 0.1.0
 */
export interface Waiter {
  readonly word: Word
  readonly expected: number
}

const allRegions = (places: ReadonlyArray<Place>): ReadonlySet<Region> =>
  new Set(places.flatMap(({ region }) => (region === undefined ? [] : [region])))

const waitvOptions = (places: ReadonlyArray<Place>): BlockingOptions => {
  const regions = [...allRegions(places)]
  return {
    // The kernel says which of them it was, and the others may be woken once more for nothing.
    onAbandoned: (index) => {
      const place = places[Number(index)]
      if (place !== undefined) passOn(everybody)(place)
    },
    isOver: () => regions.some(({ over }) => over),
    onWaiting: (cancel) => {
      const told = regions.map((region) => region.onWaiting(cancel))
      return () => {
        for (const done of told) done()
      }
    }
  }
}

/** A list names addresses: what lies there stays reachable for as long as the arguments. */
const kept = new WeakMap<ReadonlyArray<Argument>, ReadonlyArray<Place>>()

/**
 * Waits until one of up to 128 words is woken, if all have the values expected; returns the index of one that was, and
 * `"not-equal"` where one has another value.
 *
 * Can wait: never on the JavaScript thread; interruptible. Fails as {@link wait} does. Since Linux 5.16. Manual page:
 * futex(2); the call is `futex_waitv`.
 *
 * @category waiting
 * @since 0.1.0
 */
export const waitAny = (waiters: ReadonlyArray<Waiter>): Effect.Effect<number | "not-equal", errors.FutexWaitvError> =>
  Effect.suspend((): Effect.Effect<number | "not-equal", errors.FutexWaitvError> => {
    if (!Array.isArray(waiters)) throw new TypeError("waiters: expected an array of records")
    // Found before it runs, as the options say which mappings it waits in.
    let waits: ReadonlyArray<{ readonly place: Place; readonly val: bigint }>
    try {
      waits = waiters.map(({ expected, word }: Waiter) => ({
        place: placeOf("word", word),
        val: BigInt(value("expected", expected) >>> 0)
      }))
    } catch (thrown) {
      const { code, detail } = misuseOf(thrown)
      return Exit.fail(errors.futex_waitv.make(code, undefined, undefined, detail))
    }
    const places = waits.map(({ place }) => place)
    const own: typeof errors.futex_waitv = {
      ...errors.futex_waitv,
      make: (code, path, fd, detail) =>
        (code === codes.EINTR || code === codes.EBADF) && places.some(({ region }) => region?.over === true)
          ? errors.futex_waitv.make(codes.EFAULT, path, fd, `${released} meanwhile`)
          : errors.futex_waitv.make(code, path, fd, detail)
    }
    const prepare = () => {
      const memory = new Uint8Array(waits.length * Abi.futex_waitv.size)
      waits.forEach(({ place, val }, index) => {
        const flags = constants.FUTEX2_SIZE_U32 | (place.confined ? constants.FUTEX2_PRIVATE : 0)
        Abi.futex_waitv.encode({ val, uaddr: place.address, flags }, memory, index * Abi.futex_waitv.size)
      })
      const args = [memory, waits.length, 0, null, 0]
      kept.set(args, places)
      return args
    }
    const options = waitvOptions(places)
    return Effect.matchEffect(run({ errors: own, nr: Syscall.nr.futex_waitv, prepare, decode: Number, options }), {
      onSuccess: (index): Exit.Exit<number | "not-equal", errors.FutexWaitvError> => Exit.succeed(index),
      onFailure: (error) => (error._tag === "EAGAIN" ? Exit.succeed("not-equal" as const) : Exit.fail(error))
    })
  })

/**
 * Wakes up to `count` (1) of those who wait on a word; returns how many.
 *
 * With `mask` only those whose own mask has a bit in common. Does not block. Manual page: futex(2), `FUTEX_WAKE`,
 * `FUTEX_WAKE_BITSET`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Futex } from "effect-linux"
 *
 * const set = (word: Int32Array, value: number) =>
 *   Effect.suspend(() => {
 *     Atomics.store(word, 0, value)
 *     return Futex.wakeAll(word)
 *   })
 * ```
 *
 * @category waking
 * @since 0.1.0
 */
export const wake = (
  word: Word,
  count = 1,
  options: { readonly mask?: number | undefined } = {}
): Effect.Effect<number, errors.FutexError> => {
  const find = () => {
    counted("count", count)
    maskOf(options.mask)
    return placeOf("word", word)
  }
  return wakeAt(find, count, options.mask ?? everybody)
}

const counted = (name: string, count: number): number => {
  if (typeof count !== "number") throw new TypeError(`${name}: expected a number`)
  if (!Number.isInteger(count) || count < 0 || count > all) {
    throw new Misuse(codes.EINVAL, `${name}: ${count} is no count from 0 to ${all}`)
  }
  return count
}

/**
 * Wakes all who wait on a word; returns how many.
 *
 * Does not block. Manual page: futex(2), `FUTEX_WAKE`.
 *
 * @category waking
 * @since 0.1.0
 */
export const wakeAll = (word: Word): Effect.Effect<number, errors.FutexError> => wake(word, all)

/**
 * Wakes up to `wake` (1) of those who wait on a word, and has up to `requeue` (all) of the others wait on `to`, so that
 * they need not wake up only to wait there; returns how many both are together. A wait that was moved and is interrupted
 * at the moment at which it is woken there passes the wake on at its first word only.
 *
 * Fails with `EAGAIN` where the word has not the value `expected`. Both words must be private to this process, or both
 * be of shared mappings (`EINVAL`). Does not block. Manual page: futex(2), `FUTEX_CMP_REQUEUE`.
 *
 * @category waking
 * @since 0.1.0
 */
export const requeue = (
  word: Word,
  to: Word,
  options: {
    readonly expected: number
    readonly wake?: number | undefined
    readonly requeue?: number | undefined
  }
): Effect.Effect<number, errors.FutexError> =>
  atPlace(
    () => placeOf("word", word),
    (place) => {
      const target = placeOf("to", to)
      if (target.confined !== place.confined) {
        throw new Misuse(codes.EINVAL, "to: one word is private to this process and the other is not")
      }
      const { expected, requeue = all, wake = 1 } = options
      return [
        [
          place.argument,
          constants.FUTEX_CMP_REQUEUE | privateFlag(place),
          counted("wake", wake),
          counted("requeue", requeue),
          target.argument,
          value("expected", expected)
        ],
        Number,
        onThisThread
      ]
    }
  )
