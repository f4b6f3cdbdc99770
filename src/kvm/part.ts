/**
 * Parts of a machine: resources with a scope of their own that end with their maker's scope or with the machine,
 * whichever goes first, and once.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"

export interface Part {
  /** Ends the part; who comes second waits for the first. */
  readonly release: Effect.Effect<void>
}

/** Releases all, the youngest first. */
export const releaseAll = (parts: Set<Part>): Effect.Effect<void> =>
  Effect.suspend(() => Effect.forEach([...parts].reverse(), ({ release }) => release, { discard: true }))

/**
 * Acquires a part. `before` runs at its end before what it acquired is released; `parts` holds it while it lives.
 */
export const acquire = <A, E, R>(
  parts: Set<Part>,
  acquisition: Effect.Effect<A, E, R>,
  before: (a: A) => Effect.Effect<void>
): Effect.Effect<A, E, Exclude<R, Scope.Scope> | Scope.Scope> =>
  Effect.uninterruptible(
    Effect.flatMap(Effect.scope, (outer) => {
      const scope = Scope.makeUnsafe()
      return acquisition.pipe(
        Scope.provide(scope),
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))),
        Effect.flatMap((a) => {
          let ended: Deferred.Deferred<void> | undefined
          const part: Part = {
            release: Effect.suspend(() => {
              if (ended !== undefined) return Deferred.await(ended)
              const end = Deferred.makeUnsafe<void>()
              ended = end
              parts.delete(part)
              return before(a).pipe(
                Effect.andThen(Scope.close(scope, Exit.void)),
                Effect.ensuring(Deferred.succeed(end, undefined)),
                Effect.uninterruptible
              )
            })
          }
          parts.add(part)
          return Effect.as(Scope.addFinalizer(outer, part.release), a)
        })
      )
    })
  )
