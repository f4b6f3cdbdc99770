/**
 * One operation with many results under way, as a stream: asked for when somebody pulls, told to stop when too much waits,
 * and asked for again when the kernel has stopped.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { codes } from "../errors/errnos.ts"
import type { CallErrors } from "../errors/registry.ts"
import * as constants from "../internal/constants.ts"
import type { Handler } from "../internal/engine/ring.ts"
import { Misuse, misuseOf } from "../internal/invoke.ts"
import { mustBeOpen, type Ring, type RingState, stateOf } from "./model.ts"
import { behind, Fields, FileSlot, ownerOf, slotOf, type Target } from "./operation.ts"

/** How the results of one such operation are asked for and kept. */
export interface Kind<Item, A, E> {
  readonly name: string
  readonly op: number
  readonly errors: CallErrors<E>
  readonly target?: Target | undefined
  readonly fill: (fields: Fields) => void
  /** What a result is; undefined where it ends the stream. */
  readonly item: (res: number, flags: number) => Item | undefined
  /** Makes of all that has come what the stream gives; not empty. */
  readonly give: (items: ReadonlyArray<Item>) => readonly [A, ...Array<A>]
  /** So many results may wait to be taken before the kernel is told to stop. */
  readonly most: number
  /** Errnos that only mean that it is to be asked again. */
  readonly ended?: number | undefined
  /** Errnos that are results. */
  readonly answers?: number | undefined
}

export const isNotEmpty = <A>(list: ReadonlyArray<A>): list is readonly [A, ...Array<A>] => list.length > 0

/** One of them under way. */
class Many<Item, A, E> implements Handler {
  readonly ring: RingState
  private readonly kind: Kind<Item, A, E>
  private items: Array<Item> = []
  private error: Misuse | undefined
  private slot = -1
  private isArmed = false
  private isStopping = false
  private isOver = false
  private wake: (() => void) | undefined
  private onDisarmed: (() => void) | undefined
  private endWait: (() => void) | undefined

  constructor(ring: RingState, kind: Kind<Item, A, E>) {
    this.ring = ring
    this.kind = kind
  }

  private arm(): void {
    const { kind, ring } = this
    mustBeOpen(ring)
    if (!ring.queues.supports(kind.op)) throw new Misuse(codes.EOPNOTSUPP, `this kernel has no IORING_OP_${kind.name}`)
    const it = kind.target === undefined ? undefined : behind(kind.target)
    if (it !== undefined && !(it instanceof FileSlot) && it.closed) throw new Misuse(codes.EBADF, "the File is closed")
    const isFixed = it instanceof FileSlot
    const fd = it === undefined ? -1 : isFixed ? slotOf("file", it, ring) : it.fd
    const fields = new Fields(ring.queues.begin(kind.op, isFixed ? constants.IOSQE_FIXED_FILE : 0, fd))
    kind.fill(fields)
    this.slot = ring.queues.submit(this)
    this.isArmed = true
    this.isStopping = false
    if (it === undefined || it instanceof FileSlot) return
    this.endWait = it.optionsFor({}).onWaiting?.(this.stop)
  }

  readonly stop = (): void => {
    if (!this.isArmed || this.isStopping) return
    this.isStopping = true
    this.ring.cancel(this.slot)
  }

  complete(res: number, flags: number): void {
    const { kind } = this
    if (res >= 0 || res === -(kind.answers ?? 0)) {
      const item = kind.item(res, flags)
      if (item === undefined) this.isOver = true
      else this.items.push(item)
    }
    if ((flags & constants.IORING_CQE_F_MORE) === 0) this.disarmed(res)
    else if (this.items.length >= kind.most) this.stop()
    this.tell()
  }

  private disarmed(res: number): void {
    const { kind } = this
    this.isArmed = false
    this.endWait?.()
    this.endWait = undefined
    const owner = kind.target === undefined ? undefined : ownerOf(kind.target)
    if (this.ring.closed) this.error = new Misuse(codes.EBADF, "ring: it was closed meanwhile")
    else if (owner?.closed === true) this.error = new Misuse(codes.EBADF, "the File was closed meanwhile")
    else if (res < 0 && res !== -(kind.ended ?? 0) && res !== -(kind.answers ?? 0)) {
      const isOurs = this.isStopping && (res === -codes.ECANCELED || res === -codes.EINTR)
      if (!isOurs) this.error = new Misuse(-res, "")
    }
    this.onDisarmed?.()
  }

  private tell(): void {
    const { wake } = this
    this.wake = undefined
    wake?.()
  }

  private fail(misuse: Misuse): Exit.Exit<never, E> {
    const { errors, target } = this.kind
    const fd = target === undefined ? undefined : ownerOf(target)?.fd
    return Exit.fail(errors.make(misuse.code, undefined, fd, misuse.detail === "" ? undefined : misuse.detail))
  }

  readonly pull: Effect.Effect<readonly [A, ...Array<A>], E | Cause.Done> = Effect.suspend(() => {
    if (this.items.length > 0) {
      const items = this.items
      this.items = []
      return Exit.succeed(this.kind.give(items))
    }
    if (this.isOver) return Cause.done()
    if (this.error !== undefined) return this.fail(this.error)
    try {
      if (!this.isArmed) this.arm()
    } catch (thrown) {
      return this.fail(misuseOf(thrown))
    }
    return Effect.flatMap(this.woken, () => this.pull)
  })

  private readonly woken: Effect.Effect<void> = Effect.callback<void>((resume) => {
    if (this.items.length > 0 || this.isOver || this.error !== undefined) {
      resume(Exit.void)
      return
    }
    this.wake = () => resume(Exit.void)
    return Effect.sync(() => {
      this.wake = undefined
    })
  })

  /** Ends it, when the kernel has let go; the results that nobody took. */
  readonly close: Effect.Effect<ReadonlyArray<Item>> = Effect.callback<ReadonlyArray<Item>>((resume) => {
    this.ring.onClose.delete(this.stop)
    const over = () => resume(Exit.succeed(this.items.splice(0)))
    if (!this.isArmed) {
      over()
      return
    }
    this.onDisarmed = over
    this.stop()
  })
}

/** Runs one for as long as its stream is run; `lost` gets the results that nobody took. */
export const running = <Item, A, E>(
  ring: Ring,
  kind: Kind<Item, A, E>,
  lost: (items: ReadonlyArray<Item>) => void = () => {}
): Effect.Effect<Stream.Stream<A, E>, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const many = new Many(stateOf(ring), kind)
        many.ring.onClose.add(many.stop)
        return many
      }),
      (many) => Effect.map(many.close, lost)
    ),
    (many) => Stream.fromPull(Effect.succeed(many.pull))
  )
