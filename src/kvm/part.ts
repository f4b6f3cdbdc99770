/**
 * Parts of a machine: resources with a scope of their own that end with their maker's scope or with the machine,
 * whichever goes first, and once.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type * as File from "../File.ts"
import { hold, own } from "../file/model.ts"
import { Trait } from "../internal/attempt.ts"

export interface Part {
  /** The scope of its maker. */
  readonly scope: Scope.Scope
  /** What it is: whoever looks through parts knows the class. */
  readonly value: unknown
  /** Ends the part; who comes second waits for the first. */
  readonly release: Effect.Effect<void>
}

/** What a machine has of one kind. */
export class Parts {
  readonly all: Set<Part> = new Set()
  /** The machine is ending: nothing is added any more. */
  closed: boolean = false
}

/** Takes over a descriptor that the kernel has just made, where nothing can interrupt this. */
export const adopt = (fd: number): Effect.Effect<File.File, never, Scope.Scope> => hold(fd)

/** The same of one that keeps its machine alive: who closes the last of these waits, and there is no more to find out. */
export const adoptKeeper = (fd: number): Effect.Effect<File.File, never, Scope.Scope> => hold(fd, false, Trait.known)

/** Says of such a one that another keeps the machine alive, so that closing it does not wait. */
export const closesAtOnce = (file: File.File<unknown>): void => {
  own(file).traits.bits |= Trait.closeHere
}

/** Releases all, the youngest first, and admits no more. */
export const releaseAll = (parts: Parts): Effect.Effect<void> =>
  Effect.suspend(() => {
    parts.closed = true
    return Effect.forEach([...parts.all].reverse(), ({ release }) => release, { discard: true })
  })

/** A part that has been acquired. */
class Acquired<A> implements Part {
  readonly scope: Scope.Scope
  readonly value: A
  private readonly parts: Parts
  private readonly own: Scope.Closeable
  private readonly before: (a: A, scope: Scope.Scope) => Effect.Effect<void>
  /** Told when it has ended, by whoever came first. */
  private ending: Array<() => void> | undefined = undefined
  private ended = false

  constructor(
    parts: Parts,
    scope: Scope.Scope,
    own: Scope.Closeable,
    value: A,
    before: (a: A, scope: Scope.Scope) => Effect.Effect<void>
  ) {
    this.parts = parts
    this.scope = scope
    this.own = own
    this.value = value
    this.before = before
  }

  readonly release: Effect.Effect<void> = Effect.suspend(() => {
    if (this.ended) return Exit.void
    const { ending } = this
    if (ending !== undefined) {
      return Effect.callback<void>((resume) => {
        ending.push(() => resume(Exit.void))
      })
    }
    this.ending = []
    return Effect.uninterruptible(
      Effect.onExit(
        // Whatever becomes of what comes before, what was acquired is released.
        Effect.ensuring(
          Effect.suspend(() => this.before(this.value, this.scope)),
          Scope.close(this.own, Exit.void)
        ),
        () => this.over()
      )
    )
  })

  private over(): Effect.Effect<void> {
    this.parts.all.delete(this)
    this.ended = true
    for (const told of this.ending ?? []) told()
    return Exit.void
  }
}

/**
 * Acquires a part. `before` runs at its end before what it acquired is released; `parts` holds it while it lives. If the
 * machine is ending it fails with `ended`, also where it began to end meanwhile.
 */
export const acquire = <A, E, R>(
  parts: Parts,
  acquisition: Effect.Effect<A, E, R>,
  before: (a: A, scope: Scope.Scope) => Effect.Effect<void>,
  ended: () => E,
  machine?: Scope.Scope
): Effect.Effect<A, E, Exclude<R, Scope.Scope> | Scope.Scope> =>
  Effect.uninterruptible(
    Effect.flatMap(Effect.scope, (outer) => {
      if (parts.closed) return Effect.fail(ended())
      const scope = Scope.makeUnsafe()
      return Effect.matchCauseEffect(Scope.provide(acquisition, scope), {
        onFailure: (cause) => Effect.andThen(Scope.close(scope, Exit.failCause(cause)), Effect.failCause(cause)),
        onSuccess: (a): Effect.Effect<A, E> => {
          if (parts.closed) {
            const exit = Exit.fail(ended())
            return Effect.andThen(Scope.close(scope, exit), exit)
          }
          const part = new Acquired(parts, outer, scope, a, before)
          parts.all.add(part)
          // In the machine's own scope the machine's end is the part's, and that one has the right order.
          return outer === machine ? Exit.succeed(a) : Effect.as(Scope.addFinalizer(outer, part.release), a)
        }
      })
    })
  )
