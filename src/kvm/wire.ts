/**
 * What is wired to a machine for as long as a scope is open: it is taken off with the scope, by name before that, or with
 * the machine, whichever comes first, and once.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as part from "./part.ts"
import { stateOf, type Vm, type Wire } from "./vm.ts"

/** Wires something: `connect` may acquire what it needs, which is released after `disconnect`. */
export const acquire = <A, E, R>(
  vm: Vm,
  key: ReadonlyArray<unknown>,
  connect: Effect.Effect<A, E, R>,
  disconnect: (a: A) => Effect.Effect<void, unknown>,
  ended: () => E
): Effect.Effect<A, E, Exclude<R, Scope.Scope> | Scope.Scope> =>
  Effect.uninterruptible(
    Effect.flatMap(Effect.scope, (outer) => {
      const { wired, wires } = stateOf(vm)
      const scope = Scope.forkUnsafe(outer)
      const wire: Wire = { key, release: Scope.close(scope, Exit.void) }
      const taken = Effect.sync(() => wired.delete(wire))
      return part
        .acquire(wires, connect, (a) => Effect.andThen(taken, Effect.ignore(disconnect(a))), ended)
        .pipe(
          Scope.provide(scope),
          Effect.tap(() => Effect.sync(() => wired.add(wire))),
          Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
        )
    })
  )

/** Takes off what was wired with this key; what else is to be done where nothing was. */
export const release = <E>(
  vm: Vm,
  key: ReadonlyArray<unknown>,
  otherwise: Effect.Effect<void, E>
): Effect.Effect<void, E> =>
  Effect.suspend(() => {
    for (const { key: other, release } of stateOf(vm).wired) {
      if (key.length === other.length && key.every((value, index) => Object.is(value, other[index]))) return release
    }
    return otherwise
  })
