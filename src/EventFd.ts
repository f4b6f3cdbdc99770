/**
 * Counters that are waited for: `eventfd`. One side adds to the counter, the other waits until it is not 0 and takes it.
 *
 * An `EventFd` is a `File`, and can be handed to whatever signals by one: `Epoll`, KVM, io_uring, another process.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as errors from "./errors/calls.ts"
import { codes } from "./errors/errnos.ts"
import type { File } from "./File.ts"
import { adopt, own } from "./file/model.ts"
import { attemptOn } from "./file/several.ts"
import * as Ioctl from "./Ioctl.ts"
import { int, long } from "./internal/arguments.ts"
import * as constants from "./internal/constants.ts"
import { runOn } from "./internal/descriptor.ts"
import { type Description, decodedAs, Misuse, onThisThread } from "./internal/invoke.ts"
import * as Poll from "./Poll.ts"
import * as Syscall from "./Syscall.ts"
import * as describe from "./syscall/descriptions.ts"

/**
 * The kind of file: `File.asDevice(file, EventFd.device)` makes an `EventFd` of one that came from elsewhere.
 *
 * @category models
 * @since 0.1.0
 */
export const device = Ioctl.device("EventFd")

/**
 * A counter of 64 bits.
 *
 * @category models
 * @since 0.1.0
 */
export interface EventFd extends File<typeof device> {}

/**
 * Makes a counter, for as long as the scope is open. It begins at `initial`, 0 unless said and at most 2³² - 1. With
 * `semaphore` each read takes 1 of it, else all.
 *
 * Does not block. Manual page: eventfd(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { EventFd } from "effect-linux"
 *
 * const program = Effect.gen(function* () {
 *   const counter = yield* EventFd.make()
 *   yield* EventFd.add(counter, 2n)
 *   yield* EventFd.add(counter, 3n)
 *   return yield* EventFd.read(counter) // 5n
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: { readonly initial?: number | undefined; readonly semaphore?: boolean | undefined } = {}
): Effect.Effect<EventFd, errors.Eventfd2Error, Scope.Scope> => {
  const { initial = 0, semaphore = false } = options
  return adopt<typeof device, errors.Eventfd2Error>(
    {
      errors: errors.eventfd2,
      nr: Syscall.nr.eventfd2,
      prepare: () => {
        if (int("initial", initial) < 0) throw new Misuse(codes.EINVAL, `initial: ${initial} is below 0`)
        const flags = constants.EFD_CLOEXEC | constants.EFD_NONBLOCK
        return [initial, semaphore ? flags | constants.EFD_SEMAPHORE : flags]
      },
      decode: Number,
      options: onThisThread
    },
    undefined,
    true
  )
}

const reading = (fd: number): Description<bigint, errors.ReadError> => {
  const counter = new BigUint64Array(1)
  return decodedAs(describe.read(fd, counter), () => counter[0] ?? 0n)
}

/**
 * Waits until the counter is not 0 and takes it: all of it, or 1 of a semaphore.
 *
 * Can wait; interruptible. Manual page: eventfd(2).
 *
 * @category reading
 * @since 0.1.0
 */
export const read = (counter: EventFd): Effect.Effect<bigint, errors.ReadError> =>
  Effect.suspend(() => runOn(own(counter), reading(own(counter).fd)))

/**
 * Takes what the counter has now; nothing where it is 0.
 *
 * Does not wait for a counter that `make` made. Manual page: eventfd(2).
 *
 * @category reading
 * @since 0.1.0
 */
export const tryRead = (counter: EventFd): Effect.Effect<Option.Option<bigint>, errors.ReadError> =>
  Effect.suspend(() => Effect.map(attemptOn(own(counter), reading(own(counter).fd)), Option.fromUndefinedOr))

/**
 * Adds to the counter, which at most becomes 2⁶⁴ - 2: waits until there is room for `value`.
 *
 * Can wait; interruptible. Manual page: eventfd(2).
 *
 * @category writing
 * @since 0.1.0
 */
export const add = (counter: EventFd, value: bigint | number = 1n): Effect.Effect<void, errors.WriteError> =>
  Effect.suspend(() => {
    const { fd } = own(counter)
    return runOn(own(counter), {
      ...decodedAs(describe.write(fd, new Uint8Array()), () => {}),
      prepare: () => {
        const amount = BigInt(long("value", value))
        if (amount < 0n) throw new Misuse(codes.EINVAL, `value: ${value} is below 0`)
        return [fd, new Uint8Array(BigUint64Array.of(amount).buffer), 8]
      }
    })
  })

/**
 * Waits until the counter is not 0, and leaves it as it is.
 *
 * Can wait; interruptible. Manual page: eventfd(2).
 *
 * @category waiting
 * @since 0.1.0
 */
export const wait = (counter: EventFd): Effect.Effect<void, Poll.PollError> =>
  Effect.asVoid(Poll.ready(counter, ["in"]))
