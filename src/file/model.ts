/**
 * What a `File` is, and how a descriptor becomes one.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Ioctl from "../Ioctl.ts"
import { Descriptor, isDescriptor, notAFile, retire, type TypeId } from "../internal/descriptor.ts"
import { type Description, run } from "../internal/invoke.ts"
import * as Syscall from "../Syscall.ts"

/**
 * An open file of any kind, and which device it is, where that is known.
 *
 * @category models
 * @since 0.1.0
 */
export interface File<out D = Ioctl.AnyDevice> {
  /** Only a type: the device. */
  readonly [TypeId]: (never_: never) => D
}

/**
 * Whether a value is a `File`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isFile = (u: unknown): u is File => isDescriptor(u)

/** What is behind the public face. */
export const own = (file: File<unknown>): Descriptor => (isDescriptor(file) ? file : notAFile)

// Errors of closing at the end of a scope have nobody to go to; whoever must know of a write that failed late calls
// `sync` or `close` before.
const closeQuietly = (self: Descriptor): Effect.Effect<void> =>
  Effect.flatMap(retire(self), (mine) => (mine ? Effect.ignore(Syscall.close(self.fd)) : Effect.void))

/**
 * Puts the descriptor that a call opens into the scope. The wait of a call that waits can be interrupted; between its
 * end and the scope's taking over nothing can.
 */
export const adopt = <D, E>(
  description: Description<number, E>,
  owner?: Descriptor,
  awaits?: boolean
): Effect.Effect<File<D>, E, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) => Effect.flatMap(run(description, restore, owner), (fd) => hold<D>(fd, awaits)))

/** Puts a descriptor that is open into the scope. For `awaits` see `Owner`. */
export const hold = <D>(fd: number, awaits = false): Effect.Effect<File<D>, never, Scope.Scope> => {
  const self = new Descriptor(fd, true, awaits)
  return Effect.as(
    Effect.addFinalizer(() => closeQuietly(self)),
    self
  )
}
