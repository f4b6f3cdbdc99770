/**
 * What a ring is, and how it is had: in a scope, as a service, or the one that this thread has anyway. What can be done
 * with it is in the modules beside this one.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import * as constants from "../internal/constants.ts"
import { Arena } from "../internal/engine/arena.ts"
import { engine } from "../internal/engine/default.ts"
import { Ring as Queues } from "../internal/engine/ring.ts"
import { RingEngine } from "../internal/engine/rings.ts"
import { Misuse } from "../internal/invoke.ts"
import { type Argument, native } from "../internal/native.ts"
import { nr } from "../internal/nr.ts"

const TypeId = "~effect-linux/IoUring/Ring" as const

/**
 * A ring of io_uring: a queue of operations for the kernel, and one of what became of them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ring {
  readonly [TypeId]: typeof TypeId
  /** For how many operations there is room between two visits of the kernel. */
  readonly submissions: number
  /** For how many results there is room before the kernel keeps them elsewhere. */
  readonly completions: number
}

/**
 * A ring for programs that have one and hand it around as a service.
 *
 * @category services
 * @since 0.1.0
 */
export class IoUring extends Context.Service<IoUring, Ring>()("effect-linux/IoUring") {}

/** Memory that is lent to the kernel: one for the thread, as it keeps what it has once mapped. */
export const arena: Arena = new Arena()

/** Numbers of which some are taken. */
export class Numbers {
  readonly most: number
  private next = 0
  private readonly free: Array<number> = []

  constructor(most: number) {
    this.most = most
  }

  take(): number | undefined {
    return this.free.pop() ?? (this.next < this.most ? this.next++ : undefined)
  }

  give(number: number): void {
    this.free.push(number)
  }
}

/** How many buffers, and files, can be registered with a ring at a time. */
const slots = 1024

/** A table of what is registered, made when it is first needed. */
class Table {
  readonly numbers: Numbers = new Numbers(slots)
  private isMade = false
  private readonly ring: RingState
  private readonly opcode: number

  constructor(ring: RingState, opcode: number) {
    this.ring = ring
    this.opcode = opcode
  }

  /** Makes it; 0 or -errno. */
  make(): number {
    if (this.isMade) return 0
    // struct io_uring_rsrc_register: nr, flags, and no memory.
    const register = new Int32Array(8)
    register[0] = slots
    register[1] = constants.IORING_RSRC_REGISTER_SPARSE
    const result = this.ring.register(this.opcode, register, register.byteLength)
    if (result >= 0) this.isMade = true
    return result
  }
}

/** What is behind the public face. */
export class RingState implements Ring {
  declare readonly [TypeId]: typeof TypeId
  readonly queues: Queues
  /** Whether the library's own calls go through it too. */
  readonly isShared: boolean
  /** No operation may begin any more. */
  closing = false
  readonly buffers: Table = new Table(this, constants.IORING_REGISTER_BUFFERS2)
  readonly files: Table = new Table(this, constants.IORING_REGISTER_FILES2)
  /** Groups of buffers that the kernel chooses from. */
  readonly bufferGroups: Numbers = new Numbers(0xffff)
  /** What is under way. */
  readonly groups: Set<{ readonly cancel: () => void; readonly again: (wasHeldUp: boolean) => void }> = new Set()
  /** How many operations are in flight that hold up those after them. */
  drains = 0
  /** What is to end when the ring is closed and waits for nothing in the kernel. */
  readonly onClose: Set<() => void> = new Set()

  constructor(queues: Queues, isShared: boolean) {
    this.queues = queues
    this.isShared = isShared
  }

  get closed(): boolean {
    return this.closing || this.queues.closed
  }

  get submissions(): number {
    return this.queues.memory.sqEntries
  }

  get completions(): number {
    return this.queues.memory.cqEntries
  }

  register(opcode: number, argument: Argument, count: number): number {
    return Number(native.call(nr.io_uring_register, this.queues.fd, opcode, argument, count))
  }

  cancel(slot: number): void {
    if (this.drains > 0) this.queues.cancelBeside(slot)
    else this.queues.cancel(slot)
  }

  toString(): string {
    return `IoUring(${this.queues.fd}${this.closed ? ", closed" : ""})`
  }

  toJSON(): unknown {
    return { _id: "IoUring", fd: this.queues.fd, closed: this.closed }
  }
}

/** What is behind a ring; a defect for what is none. */
export const stateOf = (ring: Ring): RingState => {
  if (ring instanceof RingState) return ring
  throw new TypeError("ring: expected a ring of IoUring")
}

/** Refuses what is asked of a ring that is closed. */
export const mustBeOpen = (ring: RingState): void => {
  if (ring.closed) throw new Misuse(codes.EBADF, "ring: it is closed")
}

/**
 * How a ring is to be.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * For how many operations there is room between two visits of the kernel, 1 to 32,768: 256 unless said, rounded up to a
   * power of two. Writing more is no error, and costs a visit. No chain can be longer.
   */
  readonly entries?: number | undefined
  /** For how many results there is room, at least `entries`: eight times that unless said. Others are late and not lost. */
  readonly completions?: number | undefined
  /** How many threads the kernel may start for what can only be done by waiting; its own limits unless said. */
  readonly workers?: { readonly bounded: number; readonly unbounded: number } | undefined
}

const mostEntries = 32_768

const openError = (code: number, detail?: string): Exit.Exit<never, errors.IoUringSetupError> =>
  Exit.fail(errors.io_uring_setup.make(code, undefined, undefined, detail))

const isCount = (value: number, least: number, most: number): boolean =>
  Number.isSafeInteger(value) && value >= least && value <= most

const open = ({ completions, entries = 256, workers }: Options): Exit.Exit<RingState, errors.IoUringSetupError> => {
  if (!isCount(entries, 1, mostEntries)) {
    return openError(codes.EINVAL, `entries: ${entries} is no number from 1 to ${mostEntries}`)
  }
  const room = completions ?? Math.min(8 * entries, 2 * mostEntries)
  if (!isCount(room, entries, 2 * mostEntries)) {
    return openError(codes.EINVAL, `completions: ${room} is no number from ${entries} to ${2 * mostEntries}`)
  }
  const limits = workers === undefined ? [] : [workers.bounded, workers.unbounded]
  if (!limits.every((limit) => isCount(limit, 1, 0x7fff_ffff))) {
    return openError(codes.EINVAL, "workers: expected numbers above 0")
  }
  const queues = Queues.open(entries, room)
  if (typeof queues === "number") return openError(queues)
  if (workers !== undefined) queues.limitWorkers(workers.bounded, workers.unbounded)
  return Exit.succeed(new RingState(queues, false))
}

const close = (ring: RingState): Effect.Effect<void> =>
  Effect.suspend(() => {
    ring.closing = true
    for (const end of [...ring.onClose]) end()
    for (const group of ring.groups) group.cancel()
    if (ring.queues.pending === 0) {
      ring.queues.close()
      return Exit.void
    }
    return Effect.callback<void>((resume) => {
      ring.queues.whenIdle(() => {
        ring.queues.close()
        resume(Exit.void)
      })
    })
  })

/**
 * A ring of one's own, for as long as the scope is open.
 *
 * Its operations are handed to the kernel once in each turn of the event loop, in one system call, and their results come
 * to the loop: a ring with operations in flight keeps the process up, an idle one does not. When the scope closes, what is
 * in flight is cancelled and waited for.
 *
 * **When to use**
 *
 * To order operations among themselves, for registered buffers and files, and to keep a crowd of operations apart from
 * those of the rest of the program. `File` goes through {@link shared} by itself where that serves.
 *
 * Fails with `EPERM` or `ENOSYS` where io_uring is not to be had: containers often forbid it.
 *
 * Does not block. Needs Linux 5.11. Manual page: io_uring_setup(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File, IoUring } from "effect-linux"
 *
 * const copyHead = Effect.gen(function* () {
 *   const ring = yield* IoUring.make({ entries: 64 })
 *   const file = yield* File.open("/etc/hostname")
 *   const buffer = new Uint8Array(64)
 *   const count = yield* IoUring.submit(ring, IoUring.read(file, buffer, { offset: 0 }))
 *   return buffer.subarray(0, count)
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options = {}): Effect.Effect<Ring, errors.IoUringSetupError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend(() => open(options)),
    close
  )

/**
 * A ring of one's own as a service, for as long as the layer lives.
 *
 * @category services
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<IoUring, errors.IoUringSetupError> =>
  Layer.effect(IoUring, make(options))

const ofThread: RingState | undefined = engine instanceof RingEngine ? new RingState(engine.ring, true) : undefined

/**
 * The ring through which calls of this thread go that have to wait. It is never closed, and nothing can hold up what comes
 * after it here: see `drain`.
 *
 * Fails with `OtherErrno` of `ENOSYS` where this thread does without io_uring: as it is not to be had, or as
 * `EFFECT_LINUX_ENGINE=threads` says so.
 *
 * @category constructors
 * @since 0.1.0
 */
export const shared: Effect.Effect<Ring, errors.IoUringSetupError> = Effect.suspend(() =>
  ofThread === undefined ? openError(codes.ENOSYS, "this thread does without io_uring") : Exit.succeed(ofThread)
)

/**
 * The ring's descriptor, to hand to a call that has no function here. It stays the ring's: do not close it.
 *
 * @category asking
 * @since 0.1.0
 */
export const fd = (ring: Ring): number => stateOf(ring).queues.fd
