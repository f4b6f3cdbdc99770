/**
 * The machinery of `Mutex`: a word of 64 bits that names its owner, waited on as a futex by its lower half.
 *
 *     bits 0 to 29    the owner's thread number; 0 where nobody has it
 *     bit 30          its owner died, and nobody has repaired what it guards: FUTEX_OWNER_DIED
 *     bit 31          somebody may wait: FUTEX_WAITERS
 *     bits 32 to 63   when the owner began
 *
 * The whole of an owner is in one word, so that there is no moment at which a lock is taken and does not say by whom. The
 * kernel could tell of a thread's death only by the list that glibc has registered, and only once it has; so those who
 * wait look now and then whether the owner lives. That also finds a lock whose release woke somebody who died of it.
 *
 * Fibers of one thread wait for each other without the kernel: one of them at a time deals with the word.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import * as constants from "../internal/constants.ts"
import { Misuse, misuseOf } from "../internal/invoke.ts"
import { Trampoline } from "../internal/trampoline.ts"
import { type Place, placeIn, placeOf, waitAt, wakeAt, wakeNow } from "./futex-word.ts"
import { type Mapping, Region, released } from "./mapping-region.ts"
import { isDead, type Self, threadMask } from "./mutex-owner.ts"

export const TypeId = "~effect-linux/Mutex" as const

/** In bytes: the word, the namespaces of its owners, and 4 that are not used. */
export const size = 16
export const alignment = 8

const died = BigInt(constants.FUTEX_OWNER_DIED)
const waiters = BigInt(constants.FUTEX_WAITERS)
const flags = died | waiters

/** How long one waits before looking whether the owner lives. */
const recheck = 200

const anybody = constants.FUTEX_BITSET_MATCH_ANY
const all = 0x7fffffff

/**
 * The last owner of a mutex died while it had it, or its memory was released under it: what the mutex guards may be half
 * changed. Every attempt to take the mutex fails with this until one that was given a `repair` has done it.
 *
 * @category errors
 * @since 0.1.0
 */
export class OwnerDied extends Data.TaggedError("OwnerDied")<{ readonly message: string }> {
  constructor() {
    super({ message: "the mutex's last owner died while it had it: what it guards may be half changed" })
  }
}

export type While = <A, E, R>(wait: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** How a lock was got: `marked` where what it guards has yet to be repaired. */
export type Got = "clean" | "marked"

/** A fiber that waits for another of its thread. */
interface Waiting {
  granted: boolean
  readonly go: () => void
}

export class State {
  readonly [TypeId]: typeof TypeId = TypeId
  readonly memory: Mapping | SharedArrayBuffer
  readonly offset: number
  private readonly region: Region | undefined
  private readonly self: Self
  private long: BigUint64Array
  private word: Int32Array
  /** Whether a fiber of this thread has the lock, or is about to. */
  private busy = false
  /** The fibers of this thread that wait for that one. */
  private readonly queue: Array<Waiting> = []
  /** Whether the word says that this thread has it. */
  private held = false

  constructor(memory: Mapping | SharedArrayBuffer, offset: number, self: Self) {
    this.memory = memory
    this.offset = offset
    this.self = self
    this.region = memory instanceof Region ? memory : undefined
    const { buffer } = this
    this.long = new BigUint64Array(buffer, offset, 1)
    this.word = new Int32Array(buffer, offset, 1)
  }

  private get buffer(): ArrayBuffer | SharedArrayBuffer {
    return this.memory instanceof SharedArrayBuffer ? this.memory : this.memory.buffer
  }

  /** The word, as long as there is one. A mapping that was remapped shows it in another buffer. */
  private view(): BigUint64Array {
    // Once its release has begun nobody may take it any more: there would be no moment left to give it back.
    if (this.region?.over === true) throw new Misuse(codes.EFAULT, released)
    if (this.long.length === 1) return this.long
    const { buffer, offset } = this
    if (buffer.byteLength < offset + size)
      throw new Misuse(codes.EFAULT, "the mapping does not show the mutex any more")
    this.long = new BigUint64Array(buffer, offset, 1)
    this.word = new Int32Array(buffer, offset, 1)
    return this.long
  }

  private readonly find = (): Place => {
    this.view()
    return placeOf("memory", this.word)
  }

  // -- among the fibers of this thread --

  /** Hands the word to the fiber that has waited longest: on its own turn, as it may go on for long. */
  private leave(fiber: Fiber.Fiber<unknown, unknown>): void {
    const next = this.queue.shift()
    if (next === undefined) {
      this.busy = false
      return
    }
    next.granted = true
    fiber.currentDispatcher.scheduleTask(next.go, 0)
  }

  private readonly left: Effect.Effect<void> = Effect.withFiber((fiber) => {
    this.leave(fiber)
    return Exit.void
  })

  /** Becomes the fiber that deals with the word. */
  private enter(restore: While): Effect.Effect<void> {
    if (!this.busy) {
      this.busy = true
      return Exit.void
    }
    return restore(
      Effect.callback<void>((resume) => {
        const waiting: Waiting = { granted: false, go: () => resume(Exit.void) }
        this.queue.push(waiting)
        return Effect.suspend(() => {
          // Interrupted between being granted it and its turn.
          if (waiting.granted) return this.left
          this.queue.splice(this.queue.indexOf(waiting), 1)
          return Exit.void
        })
      })
    )
  }

  // -- among threads and processes --

  private readonly got = (): void => {
    this.held = true
    this.region?.farewells.add(this.farewell)
  }

  /** Takes the lock, waiting in the kernel for it. */
  private take(
    repairs: boolean,
    restore: While | undefined,
    contended: boolean
  ): Effect.Effect<Got | undefined, Fails> {
    const { id } = this.self
    const long = this.view()
    for (;;) {
      const current = Atomics.load(long, 0)
      if ((current & threadMask) === 0n) {
        if ((current & died) !== 0n && !repairs) return Effect.fail(new OwnerDied())
        // Whoever has waited cannot tell whether others still do.
        const mine = id | (current & died) | (contended ? waiters : 0n)
        if (Atomics.compareExchange(long, 0, current, mine) !== current) continue
        this.got()
        return current === 0n ? clean : marked
      }
      if (restore === undefined) {
        return Effect.flatMap(this.bury(current), (buried) => (buried ? this.again(repairs, restore, contended) : no))
      }
      const waited = current | waiters
      if (current !== waited && Atomics.compareExchange(long, 0, current, waited) !== current) continue
      const wait = waitAt(this.find, Number(BigInt.asIntN(32, waited)), {
        mask: anybody,
        milliseconds: recheck,
        // The wake is somebody else's then.
        onAbandoned: (place) => wakeNow(place, 1, anybody),
        whileWaiting: restore
      })
      return Effect.matchEffect(wait, {
        onSuccess: () => this.again(repairs, restore, true),
        onFailure: (error): Effect.Effect<Got | undefined, Fails> => {
          switch (error._tag) {
            case "ETIMEDOUT":
              return Effect.andThen(this.bury(waited), this.again(repairs, restore, true))
            case "EAGAIN":
            case "EINTR":
              return this.again(repairs, restore, true)
            default:
              return Effect.fail(error)
          }
        }
      })
    }
  }

  private again(
    repairs: boolean,
    restore: While | undefined,
    contended: boolean
  ): Effect.Effect<Got | undefined, Fails> {
    return refusing(() => this.take(repairs, restore, contended))
  }

  /** Frees the lock of an owner that is dead, and marks it; false where the owner lives. */
  private bury(owner: bigint): Effect.Effect<boolean, errors.FutexError> {
    const who = owner & ~flags
    if (who === this.self.id) return Exit.succeed(false)
    return Effect.flatMap(isDead(who), (dead) => {
      if (!dead) return Exit.succeed(false)
      return refusing(() => {
        leaveWord(this.view(), who, true)
        // Others have waited for the dead as well, and all are to hear of it.
        return Effect.as(wakeAt(this.find, all, anybody), true)
      })
    })
  }

  /** The memory is about to be gone, and what the lock guards with it, in whatever state it is. */
  private readonly farewell = (): void => {
    this.held = false
    leaveWord(this.long, this.self.id, true)
    wakeNow(placeIn(this.word, this.region), all, anybody)
  }

  /** Takes the lock if nobody has it and nothing is to be said of it: what there is to do most of the time. */
  takeNow(): boolean {
    const { id } = this.self
    if (this.busy || this.region?.over === true || this.long.length === 0) return false
    if (Atomics.compareExchange(this.long, 0, 0n, id) !== 0n) return false
    this.busy = true
    this.got()
    return true
  }

  /** Takes the lock: undefined where it is not to be had without waiting, and `restore` is not given. */
  lock(repairs: boolean, restore: While | undefined): Effect.Effect<Got | undefined, Fails> {
    if (restore === undefined && this.busy) return no
    return Effect.flatMap(this.enter(restore ?? ((wait) => wait)), () =>
      Effect.onExit(this.again(repairs, restore, false), (exit) =>
        Exit.isFailure(exit) || exit.value === undefined ? this.left : Effect.void
      )
    )
  }

  /** What the lock guards is whole again. */
  readonly cleared: Effect.Effect<void> = Effect.sync(() => {
    if (!this.held) return
    Atomics.and(this.long, 0, ~died)
  })

  /** Gives the lock back; where it is still marked, everybody is to hear of it. */
  readonly unlock: Effect.Effect<void> = Effect.withFiber((fiber) => {
    // Else its memory was released before, and the lock with it.
    if (this.held) {
      this.held = false
      this.region?.farewells.delete(this.farewell)
      const before = leaveWord(this.long, this.self.id, false)
      // At once, while the memory is certain to be there.
      if ((before & waiters) !== 0n) {
        const { call } = fiber.getRef(Trampoline)
        wakeNow(placeIn(this.word, this.region), (before & died) === 0n ? 1 : all, anybody, call)
      }
    }
    this.leave(fiber)
    return Exit.void
  })

  toString(): string {
    return `Mutex(${this.offset})`
  }

  toJSON(): unknown {
    return { _id: "Mutex", offset: this.offset }
  }
}

/** Takes an owner out of the word, if it is there; returns what it said before. */
const leaveWord = (long: BigUint64Array, owner: bigint, dies: boolean): bigint => {
  for (;;) {
    const current = Atomics.load(long, 0)
    if ((current & ~flags) !== owner) return 0n
    const next = dies ? died : current & died
    if (Atomics.compareExchange(long, 0, current, next) === current) return current
  }
}

type Fails = OwnerDied | errors.FutexError

const clean: Exit.Exit<Got> = Exit.succeed("clean")
const marked: Exit.Exit<Got> = Exit.succeed("marked")
const no: Exit.Exit<undefined> = Exit.succeed(undefined)

/** What a view that is gone throws is an error of the call. */
export const refusing = <A, E>(body: () => Effect.Effect<A, E>): Effect.Effect<A, E | errors.FutexError> =>
  Effect.suspend((): Effect.Effect<A, E | errors.FutexError> => {
    try {
      return body()
    } catch (thrown) {
      const { code, detail } = misuseOf(thrown)
      return Exit.fail(errors.futex.make(code, undefined, undefined, detail))
    }
  })
