/**
 * Where a futex lies: what the kernel is to be told of a word in shared memory, and what keeps that memory where it is
 * while a call waits there. `Futex` is the public face.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import * as constants from "../internal/constants.ts"
import { Misuse, misuseOf, onThisThread, run } from "../internal/invoke.ts"
import type { Argument, Result } from "../internal/native.ts"
import { type BlockingOptions, Direction, directions, kernel, type Trampoline } from "../internal/trampoline.ts"
import * as Syscall from "../Syscall.ts"
import { type Region, regionOf, released, runIn } from "./mapping-region.ts"

/** A word that can be waited on, found. */
export interface Place {
  /** How the kernel is told of it: an address would outlive a SharedArrayBuffer that nothing else holds, so that goes itself. */
  readonly argument: Argument
  readonly address: bigint
  /** Whether only this process can see the memory. */
  readonly confined: boolean
  readonly region: Region | undefined
}

/** The place of a word that is known to be in a mapping's memory, or in a SharedArrayBuffer. */
export const placeIn = (word: Int32Array | Uint32Array, region: Region | undefined): Place => {
  if (region === undefined) {
    return { argument: word, address: Syscall.addressOf(word), confined: true, region: undefined }
  }
  const address = region.address + BigInt(word.byteOffset)
  return { argument: address, address, confined: !region.kind.shared, region }
}

/** Finds the first word of a view; what is no shared memory is refused. */
export const placeOf = (name: string, word: Int32Array | Uint32Array): Place => {
  if (!(word instanceof Int32Array || word instanceof Uint32Array)) {
    throw new TypeError(`${name}: expected an Int32Array or a Uint32Array`)
  }
  const { buffer } = word
  if (buffer instanceof SharedArrayBuffer) {
    if (word.length < 1) throw new Misuse(codes.EINVAL, `${name}: the view is empty`)
    return placeIn(word, undefined)
  }
  const region = regionOf(buffer)
  if (region === undefined) {
    const detail = "expected memory of a SharedArrayBuffer or a Mapping, which nobody can move"
    throw new Misuse(codes.EINVAL, `${name}: ${detail}`)
  }
  if (region.over) throw new Misuse(codes.EFAULT, `${name}: ${released}`)
  if (region.buffer !== buffer || buffer.byteLength === 0)
    throw new Misuse(codes.EFAULT, `${name}: the view is detached`)
  if (word.length < 1) throw new Misuse(codes.EINVAL, `${name}: the view is empty`)
  return placeIn(word, region)
}

/** Waiters and wakers must agree on this: a futex that is private to a process is another than one that is not. */
export const privateFlag = (place: Place): number => (place.confined ? constants.FUTEX_PRIVATE_FLAG : 0)

/** Makes the kernel wake who waits at a place, from where no effect can run. */
export const wakeNow = (place: Place, count: number, mask: number, call: Trampoline["call"] = kernel.call): void => {
  // Still mapped, also where a release is under way.
  if (place.region?.visible === false) return
  const operation = constants.FUTEX_WAKE_BITSET | privateFlag(place)
  call(Syscall.nr.futex, place.argument, operation, count, null, null, mask)
}

const waitDirections = directions(Direction.unknown, Direction.unknown, Direction.unknown, Direction.in)

type While = <B, E2>(wait: Effect.Effect<B, E2>) => Effect.Effect<B, E2>

/** Makes a call of `futex` about a place, which is found when it runs. */
export const atPlace = <A>(
  find: () => Place,
  call: (
    place: Place,
    current: () => Place
  ) => readonly [args: ReadonlyArray<Argument>, decode: (result: Result) => A, BlockingOptions],
  whileWaiting?: While
): Effect.Effect<A, errors.FutexError> =>
  Effect.suspend((): Effect.Effect<A, errors.FutexError> => {
    try {
      let place = find()
      const [, decode, options] = call(place, () => place)
      const description = {
        errors: errors.futex,
        nr: Syscall.nr.futex,
        // Once more, as the fiber may have given way meanwhile and the mapping been moved.
        prepare: () => {
          place = find()
          return call(place, () => place)[0]
        },
        decode,
        options
      }
      return place.region === undefined
        ? run(description, whileWaiting)
        : runIn(place.region, description, codes.EFAULT, whileWaiting)
    } catch (thrown) {
      const { code, detail } = misuseOf(thrown)
      return Exit.fail(errors.futex.make(code, undefined, undefined, detail))
    }
  })

/**
 * Waits at a place. `onAbandoned` is called where a wake reached a fiber that is gone. With `milliseconds` it ends with
 * ETIMEDOUT.
 */
export const waitAt = (
  find: () => Place,
  expected: number,
  options: {
    readonly mask: number
    readonly milliseconds?: number | undefined
    readonly onAbandoned: (place: Place) => void
    readonly whileWaiting?: While | undefined
  }
): Effect.Effect<void, errors.FutexError> =>
  atPlace(
    find,
    (place, current) => {
      const { mask, milliseconds, onAbandoned } = options
      const timed = milliseconds !== undefined
      // The bitset form takes a time of the clock; only the plain one takes a span.
      const operation = (timed ? constants.FUTEX_WAIT : constants.FUTEX_WAIT_BITSET) | privateFlag(place)
      const timeout = timed
        ? Abi.timespec.encode({
            tv_sec: BigInt(Math.floor(milliseconds / 1000)),
            tv_nsec: BigInt((milliseconds % 1000) * 1e6)
          })
        : null
      const blocking: BlockingOptions = { directions: waitDirections, onAbandoned: () => onAbandoned(current()) }
      return [[place.argument, operation, expected, timeout, null, mask], () => {}, blocking]
    },
    options.whileWaiting
  )

/** Wakes up to `count` of those who wait at a place. */
export const wakeAt = (find: () => Place, count: number, mask: number): Effect.Effect<number, errors.FutexError> =>
  atPlace(find, (place) => [
    [place.argument, constants.FUTEX_WAKE_BITSET | privateFlag(place), count, null, null, mask],
    Number,
    onThisThread
  ])
