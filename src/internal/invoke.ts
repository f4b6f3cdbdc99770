/**
 * How a described call becomes an effect: the way it runs, its result decoded, its errors typed. Every function of
 * `Syscall` is one of these.
 */
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import { codes } from "../errors/errnos.ts"
import { type CallErrors, isErrorResult } from "../errors/registry.ts"
import { attempt, lastStatus, lastTraits, Status, type Traits } from "./attempt.ts"
import { POLLIN } from "./constants.ts"
import type { Conclude } from "./engine/elsewhere.ts"
import type { Argument, Result } from "./native.ts"
import { nr } from "./nr.ts"
import {
  type Attempted,
  type BlockingOptions,
  Direction,
  directions,
  Kernel,
  type Owner,
  Trampoline
} from "./trampoline.ts"

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
  /**
   * For calls that are often answered at once: the attempt of one, with memory of this thread that is good until the next
   * call, and what its result means. Used where nobody else is to see the arguments.
   */
  readonly quick?: Quick<A> | undefined
}

/** See `Description`. */
export interface Quick<out A> {
  readonly attempt: (traits: Traits | undefined) => Result | undefined
  readonly decode: (result: Result) => A
}

/** The same call, whose result means something else. */
export const decodedAs = <A, E, B>(
  description: Description<A, E>,
  decode: (result: Result, args: ReadonlyArray<Argument>) => B
): Description<B, E> => ({
  errors: description.errors,
  nr: description.nr,
  prepare: () => description.prepare(),
  decode,
  options: description.options,
  subject: description.subject
})

/** The same call, with other errors. */
export const failingWith = <A, E, E2>(description: Description<A, E>, errors: CallErrors<E2>): Description<A, E2> => ({
  errors,
  nr: description.nr,
  prepare: () => description.prepare(),
  decode: (result, args) => description.decode(result, args),
  options: description.options,
  subject: description.subject
})

/** The options of a described call that is made on the JavaScript thread: it does not wait. */
export const onThisThread: BlockingOptions = {}

export type { Owner } from "./trampoline.ts"

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

// ---------------------------------------------------------------------------------------------------------------------
// beginning
// ---------------------------------------------------------------------------------------------------------------------

/** The fibers that effects run on. */
export type Fiber = Parameters<Parameters<typeof Effect.withFiber<void>>[0]>[0]

let lastContext: Fiber["context"] | undefined
let lastTrampoline: Trampoline | undefined

/**
 * The trampoline of a fiber. Contexts do not change, and most calls come from the same one as the last: to look it up anew
 * costs as much as a tenth of a call.
 */
export const trampolineOf = (fiber: Fiber): Trampoline => {
  const { context } = fiber
  if (context === lastContext && lastTrampoline !== undefined) return lastTrampoline
  lastTrampoline = fiber.getRef(Trampoline)
  lastContext = context
  return lastTrampoline
}

/** A call that would have to wait: the effect of its result; undefined where its descriptor is to be waited for. */
export interface Waiting {
  readonly args: ReadonlyArray<Argument>
  readonly result: Effect.Effect<Result, TypeError | RangeError> | undefined
  /** What the kernel, asked not to wait, left to be done. */
  readonly left: Left | undefined
}

interface Left extends Attempted {
  readonly kernel: Kernel
}

/** What `begin` says of a call that was answered at once, and whose value is `answer`. */
export const answered: unique symbol = Symbol("answered")
let answer: unknown

/** The value of the call of which `begin` has just said that it is answered. */
export const takeAnswer = <A>(): A => {
  const value = answer
  answer = undefined
  // `begin` left it, for the description of that type.
  return value as A
}

// A fiber gives way to others after so many operations, whatever each costs: a call counts as two of them, and each 4 KiB
// that it transferred as one, so that the loop is not held up by many calls that are quick one by one.
export const charge = (fiber: Fiber, bytes: number): void => {
  const running: { currentOpCount: number } = fiber
  running.currentOpCount += 2 + (bytes > 0 ? bytes >>> 12 : 0)
}

const closedNow = <E>(description: Description<unknown, E>, owner: Owner): Exit.Exit<never, E> =>
  refuse(description.errors, { ...description.subject, fd: owner.fd }, new Misuse(codes.EBADF, "the File is closed"))

/** Makes a described call as far as it can be made without waiting. */
export const begin = <A, E>(
  fiber: Fiber,
  description: Description<A, E>,
  owner: Owner | undefined
): typeof answered | Exit.Exit<A, E> | Waiting => {
  const { errors, options, quick } = description
  if (owner?.closed === true) return closedNow(description, owner)
  let args = noArguments
  let result: Result | Effect.Effect<Result, TypeError | RangeError>
  try {
    const trampoline = trampolineOf(fiber)
    if (trampoline instanceof Kernel && (quick !== undefined || options.inlineFirst === true)) {
      let first: Result | undefined
      if (quick === undefined) {
        args = description.prepare()
        first = attempt(description.nr, args, owner?.traits)
      } else {
        first = quick.attempt(owner?.traits)
      }
      if (lastStatus() === Status.answered) {
        result = first ?? 0
      } else {
        const left = { kernel: trampoline, status: lastStatus(), traits: lastTraits(), answer: first }
        // Other memory than that of the attempt, which the next call may use.
        if (quick !== undefined) args = description.prepare()
        return { args, result: undefined, left }
      }
    } else {
      args = description.prepare()
      result =
        options === onThisThread
          ? callWith(trampoline, description.nr, args)
          : trampoline.callBlocking(description.nr, args, owner === undefined ? options : owner.optionsFor(options))
    }
    if (typeof result !== "object" && !isErrorResult(result)) {
      // Without a list of arguments it was a quick one.
      answer = quick !== undefined && args === noArguments ? quick.decode(result) : description.decode(result, args)
      charge(fiber, Number(result))
      return answered
    }
  } catch (thrown) {
    return refuse(errors, description.subject ?? noSubject, thrown)
  }
  if (typeof result === "object") return { args, result, left: undefined }
  if (result === -codes.EAGAIN && owner?.awaits === true) return { args, result: undefined, left: undefined }
  return failed(description, result)
}

/** Goes on with a call whose first attempt was made by whoever calls this, and did not succeed. */
export const continued = <A, E>(
  kernel: Kernel,
  description: Description<A, E>,
  owner: Owner,
  status: number,
  answer: Result
): Effect.Effect<A, E> => {
  if (status === Status.answered && (answer !== -codes.EAGAIN || !owner.awaits)) return failed(description, answer)
  const args = description.prepare()
  const left = status === Status.answered ? undefined : { kernel, status, traits: owner.traits.bits, answer }
  return goOn(description, owner, { args, result: undefined, left }, undefined)
}

/** What a call that waited answers when its file is closed. */
export const closedMeanwhile = <E>(description: Description<unknown, E>, owner: Owner): Exit.Exit<never, E> =>
  refuse(description.errors, { fd: owner.fd }, new Misuse(codes.EBADF, "the File was closed meanwhile"))

// Written out, as spreading a list costs as much as a third of a call.
const callWith = (trampoline: Trampoline, nr: number, args: ReadonlyArray<Argument>): Result => {
  const [a, b, c] = args
  switch (args.length) {
    case 0:
      return trampoline.call(nr)
    case 1:
      if (a !== undefined) return trampoline.call(nr, a)
      break
    case 2:
      if (a !== undefined && b !== undefined) return trampoline.call(nr, a, b)
      break
    case 3:
      if (a !== undefined && b !== undefined && c !== undefined) return trampoline.call(nr, a, b, c)
      break
  }
  return trampoline.call(nr, ...args)
}

const failed = <E>(description: Description<unknown, E>, result: Result): Exit.Exit<never, E> => {
  const { errors, subject = noSubject } = description
  return Exit.fail(errors.make(-Number(result), subject.path, subject.fd, subject.request))
}

/** Goes on with a call that `begin` left waiting. */
export const goOn = <A, E>(
  description: Description<A, E>,
  owner: Owner | undefined,
  waiting: Waiting,
  whileWaiting: WhileWaiting | undefined
): Effect.Effect<A, E> => {
  const { errors, options, subject = noSubject } = description
  const whenReady = (): Effect.Effect<A, E> => {
    const wait = ready(owner?.fd ?? -1, options.events ?? POLLIN, owner)
    return Effect.flatMap(whileWaiting === undefined ? wait : whileWaiting(wait), () =>
      run(description, whileWaiting, owner)
    )
  }
  const onFailure = (thrown: TypeError | RangeError) => refuse(errors, subject, thrown)
  const onSuccess = (late: Result): Effect.Effect<A, E> => {
    // The only way for a call on our side to be given up while its fiber goes on is that its file was closed.
    if (owner?.closed === true && (late === -codes.EINTR || late === -codes.EBADF)) {
      return refuse(errors, subject, new Misuse(codes.EBADF, "the File was closed meanwhile"))
    }
    if (owner?.awaits === true && late === -codes.EAGAIN) return whenReady()
    return settle(errors, subject, description.decode, late, waiting.args)
  }
  const conclude: Conclude<A, E> = (ended) =>
    Exit.isSuccess(ended) ? onSuccess(ended.value) : Effect.matchEffect(ended, { onFailure, onSuccess })
  const { args, left, result } = waiting
  if (left !== undefined) {
    const { kernel } = left
    if (whileWaiting === undefined) return kernel.goOn(description.nr, args, options, owner, left, conclude)
    // What becomes of the result is not part of the wait.
    const late = kernel.goOn(description.nr, args, options, owner, left, asAnswer)
    return Effect.flatMap(whileWaiting(late), conclude)
  }
  if (result === undefined) return whenReady()
  return Effect.matchEffect(whileWaiting === undefined ? result : whileWaiting(result), { onFailure, onSuccess })
}

const asAnswer: Conclude<Exit.Exit<Result, TypeError | RangeError>, never> = (ended) => Exit.succeed(ended)

// ---------------------------------------------------------------------------------------------------------------------
// running
// ---------------------------------------------------------------------------------------------------------------------

/** Put around a wait, where there is one: an answer that is to be had at once does not pass through it. */
export type WhileWaiting = <A, E>(wait: Effect.Effect<A, E>) => Effect.Effect<A, E>

/** The fiber's own way of going on with a value, without an Exit around it that it would have to open. */
interface Succeeding {
  readonly succeedWith: (value: unknown) => Effect.Effect<never>
}

const canSucceedWith = (fiber: object): fiber is Succeeding =>
  "succeedWith" in fiber && typeof fiber.succeedWith === "function"

/** Goes on with the value of a call that was answered. That way is not promised, and so only used where there is one. */
export const succeed = (fiber: Fiber): Effect.Effect<never> => succeedWith(fiber, takeAnswer<never>())

export const succeedWith = <A>(fiber: Fiber, value: A): Effect.Effect<A> =>
  canSucceedWith(fiber) ? fiber.succeedWith(value) : Exit.succeed(value)

interface Runs<out A, out E, out R> {
  readonly evaluate: (fiber: Fiber) => Effect.Effect<A, E, R>
}

const evaluating = function (
  this: Runs<unknown, unknown, unknown>,
  fiber: Fiber
): Effect.Effect<unknown, unknown, unknown> {
  return this.evaluate(fiber)
}

const primitive = Effectable.Prototype<Effect.Effect<unknown, unknown, unknown> & Runs<unknown, unknown, unknown>>({
  label: "Syscall",
  evaluate: evaluating
})

/** Under what the fiber finds that. */
const evaluateKey = Reflect.ownKeys(primitive).find((key) => Reflect.get(primitive, key) === evaluating)

/** An effect of our own kind: what `Effectable.Class` is, but with the fiber at hand. */
export const Primitive: new <A, E, R = never>() => Effect.Effect<A, E, R> = (() => {
  class Base {}
  Object.setPrototypeOf(Base.prototype, primitive)
  return Base as unknown as new <A, E, R = never>() => Effect.Effect<A, E, R>
})()

/**
 * Has the fiber call the `evaluate` of a class by itself, and not through a function that calls those of all of them: for
 * classes whose effects are run most.
 */
export const evaluatedDirectly = (Class: { readonly prototype: Runs<unknown, unknown, unknown> }): void => {
  if (evaluateKey === undefined) return
  Object.defineProperty(Class.prototype, evaluateKey, { value: Class.prototype.evaluate })
}

class Run<A, E> extends Primitive<A, E> implements Runs<A, E, never> {
  readonly description: Description<A, E>
  readonly whileWaiting: WhileWaiting | undefined
  readonly owner: Owner | undefined

  constructor(description: Description<A, E>, whileWaiting: WhileWaiting | undefined, owner: Owner | undefined) {
    super()
    this.description = description
    this.whileWaiting = whileWaiting
    this.owner = owner
  }

  evaluate(fiber: Fiber): Effect.Effect<A, E> {
    const begun = begin(fiber, this.description, this.owner)
    // Outside of what catches, as the fiber goes on in here.
    if (begun === answered) return succeed(fiber)
    return "args" in begun ? goOn(this.description, this.owner, begun, this.whileWaiting) : begun
  }
}

evaluatedDirectly(Run)

/**
 * Runs a described call: inline first or elsewhere, as its options say.
 *
 * `whileWaiting` is put around the wait, where there is one. With an `owner`, the call fails with EBADF if that is closed,
 * and is called back if it is closed meanwhile.
 */
export const run = <A, E>(
  description: Description<A, E>,
  whileWaiting?: WhileWaiting,
  owner?: Owner
): Effect.Effect<A, E> => new Run(description, whileWaiting, owner)
