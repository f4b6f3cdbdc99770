/**
 * How a described call becomes an effect: the way it runs, its result decoded, its errors typed. Every function of
 * `Syscall` is one of these.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import { codes } from "../errors/errnos.ts"
import { type CallErrors, isErrorResult } from "../errors/registry.ts"
import { POLLIN } from "./constants.ts"
import type { Argument, Result } from "./native.ts"
import { nr } from "./nr.ts"
import { type BlockingOptions, Direction, directions, Trampoline } from "./trampoline.ts"

/** What a call was about, for its error. */
export interface Subject {
  readonly path?: string | Uint8Array | undefined
  readonly fd?: number | undefined
  /** What was asked of it, where the call alone does not tell: an ioctl request. */
  readonly request?: string | undefined
}

const noSubject: Subject = {}
const noArguments: ReadonlyArray<Argument> = []

/**
 * A misuse that the kernel cannot be asked about, found before the call is made: it fails like the kernel would.
 */
export class Misuse {
  readonly code: number
  readonly detail: string
  constructor(code: number, detail: string) {
    this.code = code
    this.detail = detail
  }
}

/**
 * What the addon or a layout threw, sorted: a value outside its range is EINVAL and a detached buffer EFAULT, in the
 * error channel; a value of another type is a defect.
 */
export const misuseOf = (thrown: unknown): Misuse => {
  if (thrown instanceof Misuse) return thrown
  if (thrown instanceof RangeError) return new Misuse(codes.EINVAL, thrown.message)
  if (thrown instanceof TypeError && Predicate.hasProperty(thrown, "code") && thrown.code === "ERR_DETACHED") {
    return new Misuse(codes.EFAULT, thrown.message)
  }
  throw thrown
}

const refuse = <E>(errors: CallErrors<E>, subject: Subject, thrown: unknown): Exit.Exit<never, E> => {
  const { code, detail } = misuseOf(thrown)
  return Exit.fail(errors.make(code, subject.path, subject.fd, detail))
}

const settle = <A, E>(
  errors: CallErrors<E>,
  subject: Subject,
  decode: (result: Result, args: ReadonlyArray<Argument>) => A,
  result: Result,
  args: ReadonlyArray<Argument>
): Exit.Exit<A, E> => {
  if (isErrorResult(result)) return Exit.fail(errors.make(-Number(result), subject.path, subject.fd, subject.request))
  try {
    return Exit.succeed(decode(result, args))
  } catch (thrown) {
    return refuse(errors, subject, thrown)
  }
}

/**
 * A call made on the JavaScript thread.
 *
 * `run` is given the trampoline's `call` and makes the call with arguments that it prepares there, so that an argument
 * refused while being prepared fails like one refused by the addon.
 */
export const inline = <A, E>(
  errors: CallErrors<E>,
  run: (call: Trampoline["call"]) => Result,
  decode: (result: Result) => A,
  subject: Subject = noSubject
): Effect.Effect<A, E> =>
  Effect.withFiber((fiber) => {
    let result: Result
    try {
      result = run(fiber.getRef(Trampoline).call)
    } catch (thrown) {
      return refuse(errors, subject, thrown)
    }
    return settle(errors, subject, decode, result, noArguments)
  })

/** A call that may wait, described apart from how it is run. */
export interface Description<out A, out E> {
  readonly errors: CallErrors<E>
  readonly nr: number
  /** The arguments, made anew for each run; throws a `Misuse` for what no kernel need see. */
  readonly prepare: () => ReadonlyArray<Argument>
  readonly decode: (result: Result, args: ReadonlyArray<Argument>) => A
  readonly options: BlockingOptions
  readonly subject?: Subject | undefined
}

/** The options of a described call that is made on the JavaScript thread: it does not wait. */
export const onThisThread: BlockingOptions = {}

/** A descriptor that may be closed while a call waits on it: see `descriptor.ts`. */
export interface Owner {
  readonly fd: number
  readonly closed: boolean
  /**
   * That its `O_NONBLOCK` is ours and not the user's: a call that the kernel answers with EAGAIN waits until the descriptor
   * is ready, and is made again.
   */
  readonly awaits: boolean
  /** The options of a call on it, so that closing it reaches the call. */
  readonly optionsFor: (options: BlockingOptions) => BlockingOptions
}

const readyOptions: BlockingOptions = { directions: directions(Direction.unknown) }

/**
 * Waits until a descriptor is ready for `events` (`POLLIN`, `POLLOUT`, `POLLPRI`), or has an error to tell, or its owner is
 * closed.
 */
export const ready = (fd: number, events: number, owner?: Owner): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    if (owner?.closed === true) return Exit.void
    const pollfd = new DataView(new ArrayBuffer(8))
    pollfd.setInt32(0, fd, true)
    pollfd.setInt16(4, events, true)
    const options = owner === undefined ? readyOptions : owner.optionsFor(readyOptions)
    const result = fiber.getRef(Trampoline).callBlocking(nr.ppoll, [pollfd, 1, null, null, 8], options)
    return typeof result === "object" ? Effect.orDie(Effect.asVoid(result)) : Exit.void
  })

/**
 * Runs a described call: inline first or on another thread, as its options say.
 *
 * `whileWaiting` is put around the wait, where there is one: an answer that is to be had at once does not pass through it.
 * With an `owner`, the call fails with EBADF if that is closed, and is called back if it is closed meanwhile.
 */
export const run = <A, E>(
  description: Description<A, E>,
  whileWaiting?: <B, E2>(wait: Effect.Effect<B, E2>) => Effect.Effect<B, E2>,
  owner?: Owner
): Effect.Effect<A, E> =>
  Effect.withFiber((fiber) => {
    const { decode, errors, options, subject = noSubject } = description
    let args: ReadonlyArray<Argument>
    let result: Result | Effect.Effect<Result, TypeError | RangeError>
    try {
      if (owner?.closed === true) {
        return refuse(errors, { ...subject, fd: owner.fd }, new Misuse(codes.EBADF, "the File is closed"))
      }
      args = description.prepare()
      const trampoline = fiber.getRef(Trampoline)
      result =
        options === onThisThread
          ? trampoline.call(description.nr, ...args)
          : trampoline.callBlocking(description.nr, args, owner === undefined ? options : owner.optionsFor(options))
    } catch (thrown) {
      return refuse(errors, subject, thrown)
    }
    if (typeof result !== "object") {
      if (result === -codes.EAGAIN && owner?.awaits === true) {
        return Effect.flatMap(ready(owner.fd, options.events ?? POLLIN, owner), () =>
          run(description, whileWaiting, owner)
        )
      }
      return settle(errors, subject, decode, result, args)
    }
    return Effect.matchEffect(whileWaiting === undefined ? result : whileWaiting(result), {
      onFailure: (thrown) => refuse(errors, subject, thrown),
      // The only way for a call on our threads to be interrupted while its fiber goes on is that its file was closed.
      onSuccess: (late): Exit.Exit<A, E> =>
        owner?.closed === true && (late === -codes.EINTR || late === -codes.EBADF)
          ? refuse(errors, subject, new Misuse(codes.EBADF, "the File was closed meanwhile"))
          : settle(errors, subject, decode, late, args)
    })
  })
