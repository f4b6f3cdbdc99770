/**
 * Calls about more than one file, and calls that bring descriptors which must not be lost: who is told when one of the
 * files is closed meanwhile, and where a fiber may be interrupted. Not part of the public surface.
 */
import * as Effect from "effect/Effect"
import { codes } from "../errors/errnos.ts"
import type { CallErrors } from "../errors/registry.ts"
import { POLLIN } from "../internal/constants.ts"
import type { Descriptor } from "../internal/descriptor.ts"
import { type Description, failingWith, type Owner, ready, run } from "../internal/invoke.ts"
import type { BlockingOptions } from "../internal/trampoline.ts"

/**
 * The owner of a call that uses several files: closing any of them calls it back. Its errors name the one that is closed,
 * else `fd`.
 */
export const ownerOf = (
  descriptors: ReadonlyArray<Descriptor>,
  fd: number = descriptors[0]?.fd ?? -1,
  awaits = false
): Owner => ({
  get fd() {
    return descriptors.find(({ closed }) => closed)?.fd ?? fd
  },
  get closed() {
    return descriptors.some(({ closed }) => closed)
  },
  awaits,
  traits: descriptors[0]?.traits ?? { bits: 0 },
  optionsFor: (options) => ({
    ...options,
    isOver: () => descriptors.some(({ closed }) => closed),
    onWaiting: (cancel) => {
      const over = descriptors.map((descriptor) => descriptor.optionsFor(options).onWaiting?.(cancel))
      return () => {
        for (const told of over) told?.()
      }
    }
  })
})

/** Runs a call on two files, of which the first is what it may have to wait for. */
export const runOnBoth = <A, E>(
  first: Descriptor,
  second: Descriptor,
  description: Description<A, E>
): Effect.Effect<A, E> => run(description, undefined, ownerOf([first, second], first.fd, first.awaits))

const hookOptions: BlockingOptions = {}

/** Calls `hook` just before the descriptor is closed, while its number is still its own; undone by what it returns. */
export const beforeClose = (descriptor: Descriptor, hook: () => void): (() => void) => {
  let over: (() => void) | undefined
  const end = () => {
    const told = over
    over = undefined
    told?.()
  }
  over = descriptor.optionsFor(hookOptions).onWaiting?.(() => {
    hook()
    end()
  })
  return end
}

/** The same descriptor, whose calls answer EAGAIN rather than wait. */
export const notWaiting = (self: Descriptor): Owner => ({
  fd: self.fd,
  get closed() {
    return self.closed
  },
  awaits: false,
  traits: self.traits,
  optionsFor: (options) => self.optionsFor(options)
})

const wouldWait: unique symbol = Symbol()

const marking = <E>(errors: CallErrors<E>): CallErrors<E | typeof wouldWait> => ({
  ...errors,
  make: (code, path, fd, detail) => (code === codes.EAGAIN ? wouldWait : errors.make(code, path, fd, detail))
})

/** Makes a call once, without waiting: undefined where it would have to. */
export const attemptOn = <A, E>(self: Descriptor, description: Description<A, E>): Effect.Effect<A | undefined, E> =>
  Effect.catch(
    run(failingWith(description, marking(description.errors)), undefined, notWaiting(self)),
    (error): Effect.Effect<undefined, E> => (error === wouldWait ? Effect.undefined : Effect.fail(error))
  )

/**
 * Makes a call on a descriptor that does not block, whenever it is ready, until it gives something. Only the wait can be
 * interrupted: what the call brought is handed to `take` in the same step.
 */
export const takeOn = <A, E, B, E2, R>(
  self: Descriptor,
  description: Description<A, E>,
  take: (value: A) => Effect.Effect<B, E2, R>,
  events: number = POLLIN
): Effect.Effect<B, E | E2, R> =>
  Effect.uninterruptibleMask((restore) => {
    const again: Effect.Effect<B, E | E2, R> = Effect.suspend(() =>
      Effect.flatMap(attemptOn(self, description), (value) =>
        value === undefined ? Effect.flatMap(restore(ready(self.fd, events, self)), () => again) : take(value)
      )
    )
    return again
  })
