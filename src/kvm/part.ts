/**
 * Parts of a machine: resources with a scope of their own that end with their maker's scope or with the machine,
 * whichever goes first, and once.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as File from "../File.ts"
import * as Syscall from "../Syscall.ts"

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

/** Takes over a descriptor that the kernel has just made; where that fails nobody else would close it. */
export const adopt = (fd: number): Effect.Effect<File.File, File.FromFdError, Scope.Scope> =>
  Effect.onError(File.fromFd(fd), () => Effect.ignore(Syscall.close(fd)))

/** Releases all, the youngest first, and admits no more. */
export const releaseAll = (parts: Parts): Effect.Effect<void> =>
  Effect.suspend(() => {
    parts.closed = true
    return Effect.forEach([...parts.all].reverse(), ({ release }) => release, { discard: true })
  })

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
      return acquisition.pipe(
        Scope.provide(scope),
        Effect.flatMap((a) => (parts.closed ? Effect.fail(ended()) : Effect.succeed(a))),
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))),
        Effect.flatMap((a) => {
          let ending: Deferred.Deferred<void> | undefined
          const part: Part = {
            scope: outer,
            value: a,
            release: Effect.suspend(() => {
              if (ending !== undefined) return Deferred.await(ending)
              const end = Deferred.makeUnsafe<void>()
              ending = end
              return before(a, outer).pipe(
                Effect.andThen(Scope.close(scope, Exit.void)),
                Effect.ensuring(
                  Effect.suspend(() => {
                    parts.all.delete(part)
                    return Deferred.succeed(end, undefined)
                  })
                ),
                Effect.uninterruptible
              )
            })
          }
          parts.all.add(part)
          // In the machine's own scope the machine's end is the part's, and that one has the right order.
          return outer === machine ? Effect.succeed(a) : Effect.as(Scope.addFinalizer(outer, part.release), a)
        })
      )
    })
  )
