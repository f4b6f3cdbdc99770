/**
 * What a `File` is, and how a descriptor becomes one.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type * as errors from "../errors/calls.ts"
import type * as Ioctl from "../Ioctl.ts"
import { lastTraits } from "../internal/attempt.ts"
import { AT_FDCWD } from "../internal/constants.ts"
import { Descriptor, isDescriptor, notAFile, retire, type TypeId } from "../internal/descriptor.ts"
import {
  answered,
  begin,
  type Description,
  type Fiber,
  goOn,
  type Owner,
  Primitive,
  run,
  takeAnswer,
  type WhileWaiting
} from "../internal/invoke.ts"
import { Kernel, Trampoline } from "../internal/trampoline.ts"
import * as describe from "../syscall/descriptions.ts"

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

/** Closes a descriptor that has been retired: here where that cannot wait, else elsewhere. */
export const closeNow = (self: Descriptor): Effect.Effect<void, errors.CloseError> =>
  Effect.uninterruptible(run(describe.close(self.fd, self.traits)))

/**
 * The working directory of the process, wherever that is when it is used: a place for functions that take a directory to
 * start at. It is always open, and closing it does nothing.
 *
 * @example
 * ```ts
 * import { File } from "effect-linux"
 *
 * const link = File.statAt(File.cwd, "/etc/localtime", { followLinks: false })
 * ```
 *
 * @category paths
 * @since 0.1.0
 */
export const cwd: File = Object.defineProperty(new Descriptor(AT_FDCWD, false), "closed", {
  get: () => false,
  set: () => {}
})

// Errors of closing at the end of a scope have nobody to go to; whoever must know of a write that failed late calls
// `sync` or `close` before.
class Closing extends Primitive<void, never> {
  readonly self: Descriptor
  /** The one that it was opened by: who records or intercepts calls gets its closing too. */
  readonly trampoline: Trampoline

  constructor(self: Descriptor, trampoline: Trampoline) {
    super()
    this.self = self
    this.trampoline = trampoline
  }

  evaluate(fiber: Fiber): Effect.Effect<void> {
    const { self, trampoline } = this
    if (!self.isIdle) {
      return Effect.flatMap(retire(self), (mine) => (mine ? this.close() : Effect.void))
    }
    if (self.closed) return Exit.void
    self.retireNow()
    if (trampoline !== fiber.getRef(Trampoline)) return this.close()
    const description = describe.close(self.fd, self.traits)
    const begun = begin(fiber, description, undefined)
    if (begun === answered) takeAnswer<void>()
    else if ("args" in begun) {
      return Effect.uninterruptible(Effect.ignore(goOn(description, undefined, begun, undefined)))
    }
    return Exit.void
  }

  private close(): Effect.Effect<void> {
    return Effect.provideService(Effect.ignore(closeNow(this.self)), Trampoline, this.trampoline)
  }
}

/** Opens a descriptor and puts it into the scope, where nothing can interrupt it but its wait. */
class Adopting<D, E> extends Primitive<File<D>, E, Scope.Scope> {
  readonly description: Description<number, E>
  readonly owner: Owner | undefined
  readonly awaits: boolean
  readonly restore: WhileWaiting

  constructor(description: Description<number, E>, owner: Owner | undefined, awaits: boolean, restore: WhileWaiting) {
    super()
    this.description = description
    this.owner = owner
    this.awaits = awaits
    this.restore = restore
  }

  evaluate(fiber: Fiber): Effect.Effect<File<D>, E, Scope.Scope> {
    const { awaits, description, owner, restore } = this
    const begun = begin(fiber, description, owner)
    if (begun === answered) {
      // A quick attempt leaves the traits of what it opened; whoever stands in for the kernel does not.
      const isKnown = description.quick !== undefined && fiber.getRef(Trampoline) instanceof Kernel
      return hold<D>(takeAnswer<number>(), awaits, isKnown ? lastTraits() : undefined)
    }
    if (!("args" in begun)) return Effect.flatMap(begun, (fd) => hold<D>(fd, awaits))
    return Effect.flatMap(goOn(description, owner, begun, restore), (fd) => hold<D>(fd, awaits))
  }
}

/**
 * Puts the descriptor that a call opens into the scope. The wait of a call that waits can be interrupted; between its
 * end and the scope's taking over nothing can.
 */
export const adopt = <D, E>(
  description: Description<number, E>,
  owner?: Owner,
  awaits = false
): Effect.Effect<File<D>, E, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) => new Adopting<D, E>(description, owner, awaits, restore))

/** Puts a descriptor that is open into the scope, where nothing can interrupt this. For `awaits` see `Owner`. */
export const hold = <D>(fd: number, awaits = false, traits?: number): Effect.Effect<File<D>, never, Scope.Scope> => {
  const self = new Descriptor(fd, true, awaits)
  if (traits !== undefined) self.traits.bits = traits
  return Effect.withFiber((fiber: Fiber) => {
    const scope = Context.getUnsafe(fiber.context, Scope.Scope)
    return Effect.as(Scope.addFinalizer(scope, new Closing(self, fiber.getRef(Trampoline))), self)
  })
}
