/**
 * Signals as a stream: `signalfd`.
 *
 * Signals are taken from the list of those that are pending, so that they must be blocked: a thread that does not block
 * one gets it as ever, and the process may end by it. {@link make} blocks them for the thread that JavaScript runs on, and
 * in the threads that Node has beside it, which keep them blocked for good: whoever takes them afterwards is the main
 * thread, as ever. So all that is sent comes with all that is known of it, to the process or to this thread, real-time
 * signals in the order in which they were sent.
 *
 * Where a thread cannot be reached, as it blocks everything while it starts, or is another one's JavaScript thread:
 *
 * - On the main thread `make` has Node catch a signal that this thread might be given, and sends it on to the descriptor: it
 *   comes, but who sent it is lost. It is `forwarded`. Whoever else listens by `process.on` hears of it too, such as
 *   `NodeRuntime.runMain`, which then interrupts the program.
 * - Where Node cannot do that, for real-time signals and in worker threads (where the main thread takes what is sent to
 *   the process), `make` fails with {@link Unblocked}, unless only what is sent to this thread is asked for.
 *
 * Children do not inherit this: Node starts them with no signal blocked.
 *
 * @since 0.1.0
 */
import { readdirSync, readFileSync } from "node:fs"
import { isMainThread } from "node:worker_threads"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Abi from "./Abi.ts"
import * as errors from "./errors/calls.ts"
import { codes } from "./errors/errnos.ts"
import type { File } from "./File.ts"
import { adopt, own } from "./file/model.ts"
import { attemptOn } from "./file/several.ts"
import { nameOfSignal, numberOf, type SignalName } from "./file/signals.ts"
import * as Ioctl from "./Ioctl.ts"
import * as constants from "./internal/constants.ts"
import type { Descriptor } from "./internal/descriptor.ts"
import { type Description, decodedAs, Misuse, misuseOf, onThisThread, ready } from "./internal/invoke.ts"
import { native } from "./internal/native.ts"
import { kernel } from "./internal/trampoline.ts"
import * as Syscall from "./Syscall.ts"
import { number, signalSet, signalsOf } from "./syscall/convert.ts"
import * as describe from "./syscall/descriptions.ts"
import { decodeList } from "./syscall/events-memory.ts"

export type { SignalName } from "./file/signals.ts"

/**
 * The kind of file: `File.asDevice(file, SignalFd.device)` makes a `SignalFd` of one that came from elsewhere.
 *
 * @category models
 * @since 0.1.0
 */
export const device = Ioctl.device("SignalFd")

/**
 * A queue of signals.
 *
 * @category models
 * @since 0.1.0
 */
export interface SignalFd extends File<typeof device> {}

/**
 * Signals that other threads of the process do not block, so that they might be given to those: see the module.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unblocked extends Data.TaggedError("Unblocked")<{
  readonly signals: ReadonlyArray<number>
  readonly threads: ReadonlyArray<{ readonly tid: number; readonly name: string }>
}> {
  override get message(): string {
    const names = this.signals.map((signal) => nameOfSignal(signal) ?? String(signal)).join(", ")
    return `${names}: not blocked by ${this.threads.map(({ name, tid }) => `${name} (${tid})`).join(", ")}`
  }
}

/**
 * A signal.
 *
 * @category models
 * @since 0.1.0
 */
export interface Signal {
  readonly number: number
  /** Undefined for real-time signals. */
  readonly name: SignalName | undefined
  /** That it was caught by another thread and sent on: `information` says nothing but the number. */
  readonly forwarded: boolean
  /** All that the kernel tells: who sent it, its value, the child that ended, … */
  readonly information: Abi.signalfd_siginfo
}

/**
 * What reading signals needs.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Only signals that are sent to this thread; what is sent to the process goes wherever the kernel gives it. False. */
  readonly thisThreadOnly?: boolean | undefined
}

/** What a signal that is sent on carries, to be known by. */
const mark = 0x6566_6665_6374_6c78n

/** Signals that the thread itself raises by what it does: blocked, they end the process at once. */
const raised: ReadonlyArray<number> = [
  constants.SIGSEGV,
  constants.SIGBUS,
  constants.SIGFPE,
  constants.SIGILL,
  constants.SIGTRAP,
  constants.SIGSYS,
  constants.SIGABRT
]

const setOf = (signals: ReadonlyArray<SignalName | number>): Uint8Array => {
  const numbers = Array.from(signals, (signal) => numberOf("signals", signal))
  for (const signal of numbers) {
    if (signal === constants.SIGKILL || signal === constants.SIGSTOP) {
      throw new Misuse(codes.EINVAL, `signals: ${nameOfSignal(signal)} cannot be blocked`)
    }
    if (raised.includes(signal)) {
      throw new Misuse(codes.EINVAL, `signals: ${nameOfSignal(signal)} is raised by the thread that it is sent to`)
    }
    if (signal === native.interruptSignal()) {
      throw new Misuse(codes.EINVAL, `signals: ${signal} is what this library interrupts calls by`)
    }
    // Blocked in other threads it would reach none of them any more.
    if (signal === native.carrierSignal()) {
      throw new Misuse(codes.EINVAL, `signals: ${signal} is what this library has other threads block signals by`)
    }
  }
  return signalSet("signals", numbers)
}

interface Held {
  /** How many descriptors have it blocked, and whether it was before any of them. */
  count: number
  readonly before: boolean
}

/** What is blocked for descriptors of this thread: each has a copy of this module. */
const held = new Map<number, Held>()

const blocked = (how: number, signals: ReadonlyArray<number>): ReadonlyArray<number> => {
  const old = new Uint8Array(8)
  kernel.call(Syscall.nr.rt_sigprocmask, how, signalSet("signals", signals), old, old.length)
  return signalsOf(old)
}

const block = (signals: ReadonlyArray<number>): void => {
  const before = blocked(constants.SIG_BLOCK, signals)
  for (const signal of signals) {
    const known = held.get(signal)
    if (known !== undefined) known.count++
    else held.set(signal, { count: 1, before: before.includes(signal) })
  }
}

const nothingLeft = Abi.timespec.encode({ tv_sec: 0n, tv_nsec: 0n })

/** Signals that nobody read would do what they do by default, and end the process: they are dropped. */
const unblock = (signals: ReadonlyArray<number>): void => {
  const last = signals.filter((signal) => {
    const known = held.get(signal)
    if (known === undefined || --known.count > 0) return false
    held.delete(signal)
    return !known.before
  })
  if (last.length === 0) return
  const set = signalSet("signals", last)
  while (Number(kernel.call(Syscall.nr.rt_sigtimedwait, set, null, nothingLeft, set.length)) > 0) {
    // another one may be pending
  }
  blocked(constants.SIG_UNBLOCK, last)
}

interface Task {
  readonly tid: number
  readonly name: string
  readonly leaves: ReadonlyArray<number>
}

const errnoOf = (thrown: unknown): number | undefined =>
  Predicate.hasProperty(thrown, "errno") && typeof thrown.errno === "number" ? -thrown.errno : undefined

const isGone = (thrown: unknown): boolean => [codes.ENOENT, codes.ESRCH].some((code) => code === errnoOf(thrown))

/** The threads of this process that leave some of the signals unblocked, and which. */
const unblockedBy = (signals: ReadonlyArray<number>): ReadonlyArray<Task> =>
  readdirSync("/proc/self/task").flatMap((tid): ReadonlyArray<Task> => {
    let status: string
    try {
      status = readFileSync(`/proc/self/task/${tid}/status`, "utf8")
    } catch (thrown) {
      if (isGone(thrown)) return [] // it ended meanwhile
      throw thrown
    }
    const mask = BigInt(`0x${/^SigBlk:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`)
    const leaves = signals.filter((signal) => (mask & (1n << BigInt(signal - 1))) === 0n)
    const name = /^Name:\s*(.*)$/m.exec(status)?.[1] ?? ""
    return leaves.length === 0 ? [] : [{ tid: Number(tid), name, leaves }]
  })

/**
 * Has other threads block the signals. They go on doing so when nobody here does any more: this thread then takes what is
 * sent to the process. For that reason the main thread is left alone, which outlives all others.
 */
const blockElsewhere = (signals: ReadonlyArray<number>): void => {
  const threads = unblockedBy(signals).filter(({ tid }) => tid !== process.pid)
  if (threads.length === 0) return
  const set = signalSet("signals", signals)
  const view = new DataView(set.buffer, set.byteOffset, set.byteLength)
  native.blockIn(
    threads.map(({ tid }) => tid),
    view.getUint32(0, true),
    view.getUint32(4, true)
  )
}

/** Those who wait for signals that are sent on. */
const wakers = new WeakMap<Descriptor, Set<() => void>>()

const wake = (self: Descriptor): void => {
  // A copy: who is told may wait again at once.
  for (const told of [...(wakers.get(self) ?? [])]) told()
}

const sendOn = (signal: number): void => {
  const information = Abi.siginfo.encode({
    si_signo: signal,
    si_errno: 0,
    si_code: constants.SI_QUEUE,
    _sifields: { _rt: { _pid: 0, _uid: 0, _sigval: { sival_ptr: mark } } }
  })
  // Only the main thread does this, whose identifier is the process's.
  kernel.call(Syscall.nr.rt_tgsigqueueinfo, process.pid, process.pid, signal, information)
}

/** Who is told of a signal that Node caught: one catches for all descriptors. */
const catching = new Map<SignalName, { readonly descriptors: Set<Descriptor>; readonly listener: () => void }>()

const forward = (name: SignalName, self: Descriptor): void => {
  const known = catching.get(name)
  if (known !== undefined) {
    known.descriptors.add(self)
    return
  }
  const descriptors = new Set([self])
  const listener = () => {
    sendOn(numberOf("signal", name))
    for (const descriptor of descriptors) wake(descriptor)
  }
  catching.set(name, { descriptors, listener })
  process.on(name, listener)
}

const stopForwarding = (name: SignalName, self: Descriptor): void => {
  const known = catching.get(name)
  if (known === undefined) return
  known.descriptors.delete(self)
  if (known.descriptors.size > 0) return
  catching.delete(name)
  process.off(name, known.listener)
}

/** Sees to it that signals come which other threads still do not block; fails where that cannot be. */
const attend = (
  self: Descriptor,
  signals: ReadonlyArray<number>
): Effect.Effect<void, errors.Signalfd4Error | Unblocked, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend((): Effect.Effect<ReadonlyArray<SignalName>, errors.Signalfd4Error | Unblocked> => {
      let tasks: ReadonlyArray<Task>
      try {
        blockElsewhere(signals)
        tasks = unblockedBy(signals)
      } catch (thrown) {
        // There is no descriptor left to look at the threads by.
        const code = errnoOf(thrown)
        if (code === undefined) throw thrown
        return Effect.fail(errors.signalfd4.make(code, undefined, undefined, "/proc/self/task"))
      }
      const leaves = signals.filter((signal) => tasks.some((task) => task.leaves.includes(signal)))
      const names = leaves.map(nameOfSignal)
      const nameless = leaves.filter((_, index) => !isMainThread || names[index] === undefined)
      if (nameless.length > 0) {
        const threads = tasks.filter((task) => task.leaves.some((signal) => nameless.includes(signal)))
        return Effect.fail(
          new Unblocked({ signals: nameless, threads: threads.map(({ name, tid }) => ({ name, tid })) })
        )
      }
      const forwarded = names.filter((name) => name !== undefined)
      for (const name of forwarded) forward(name, self)
      return Effect.succeed(forwarded)
    }),
    (forwarded) =>
      Effect.sync(() => {
        for (const name of forwarded) stopForwarding(name, self)
      })
  )

/**
 * Blocks signals and makes a queue of them, for as long as the scope is open: then they do again what they did before, and
 * those that nobody has read are dropped.
 *
 * Fails with `EINVAL` for `SIGKILL` and `SIGSTOP`, which cannot be blocked, for signals that a thread raises by a fault of
 * its own, such as `SIGSEGV`, and for the two that this library uses, most often 63 and 64; with {@link Unblocked} where
 * signals could be given to other threads, and not be caught there. Does not block. Manual page: signalfd(2).
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { SignalFd } from "effect-linux"
 *
 * const untilTold = Effect.gen(function* () {
 *   const queue = yield* SignalFd.make(["SIGTERM", "SIGINT", "SIGUSR1"])
 *   yield* SignalFd.signals(queue).pipe(
 *     Stream.takeUntil(({ name }) => name !== "SIGUSR1"),
 *     Stream.runForEach(({ information, name }) => Effect.log(`${name} from process ${information.ssi_pid}`))
 *   )
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  signals: ReadonlyArray<SignalName | number>,
  options: Options = {}
): Effect.Effect<SignalFd, errors.Signalfd4Error | Unblocked, Scope.Scope> =>
  Effect.gen(function* () {
    let set: Uint8Array
    try {
      set = setOf(signals)
    } catch (thrown) {
      const { code, detail } = misuseOf(thrown)
      return yield* Effect.fail(errors.signalfd4.make(code, undefined, undefined, detail))
    }
    const numbers = signalsOf(set)
    yield* Effect.acquireRelease(
      Effect.sync(() => block(numbers)),
      () => Effect.sync(() => unblock(numbers))
    )
    const file = yield* adopt<typeof device, errors.Signalfd4Error>(
      {
        errors: errors.signalfd4,
        nr: Syscall.nr.signalfd4,
        prepare: () => [-1, set, set.length, constants.SFD_CLOEXEC | constants.SFD_NONBLOCK],
        decode: Number,
        options: onThisThread
      },
      undefined,
      true
    )
    if (options.thisThreadOnly !== true) yield* attend(own(file), numbers)
    return file
  })

const signalOf = (information: Abi.signalfd_siginfo): Signal => ({
  number: information.ssi_signo,
  name: nameOfSignal(information.ssi_signo),
  forwarded: information.ssi_code === constants.SI_QUEUE && information.ssi_ptr === mark,
  information
})

const reading = (self: Descriptor, atOnce: number): Description<ReadonlyArray<Signal>, errors.ReadError> => {
  const buffer = new Uint8Array(atOnce * Abi.signalfd_siginfo.size)
  return decodedAs(describe.read(self.fd, buffer), (length) =>
    decodeList(Abi.signalfd_siginfo, buffer, Math.floor(number(length) / Abi.signalfd_siginfo.size)).map(signalOf)
  )
}

/** Waits until there may be something to read: what is sent on to this thread alone, other threads cannot see. */
const untilSome = (self: Descriptor): Effect.Effect<void> =>
  Effect.raceFirst(
    ready(self.fd, constants.POLLIN, self),
    Effect.callback<void>((resume) => {
      const told = () => resume(Exit.void)
      const waiting = wakers.get(self) ?? new Set()
      wakers.set(self, waiting.add(told))
      return Effect.sync(() => {
        waiting.delete(told)
      })
    })
  )

const take = (self: Descriptor, atOnce: number): Effect.Effect<ReadonlyArray<Signal>, errors.ReadError> => {
  const description = reading(self, atOnce)
  const again: Effect.Effect<ReadonlyArray<Signal>, errors.ReadError> = Effect.flatMap(
    attemptOn(self, description),
    (signals) => (signals === undefined ? Effect.flatMap(untilSome(self), () => again) : Effect.succeed(signals))
  )
  return again
}

/**
 * Waits for a signal. Those that came while nobody read are told first, of each that is no real-time signal one.
 *
 * Can wait; interruptible. Manual page: signalfd(2).
 *
 * @category reading
 * @since 0.1.0
 */
export const read = (queue: SignalFd): Effect.Effect<Signal, errors.ReadError> =>
  Effect.suspend(() =>
    Effect.flatMap(take(own(queue), 1), ([signal]) => (signal === undefined ? read(queue) : Effect.succeed(signal)))
  )

/**
 * A signal that has come by now, if there is one. Does not wait.
 *
 * @category reading
 * @since 0.1.0
 */
export const tryRead = (queue: SignalFd): Effect.Effect<Option.Option<Signal>, errors.ReadError> =>
  Effect.suspend(() =>
    Effect.map(attemptOn(own(queue), reading(own(queue), 1)), (signals) => Option.fromUndefinedOr(signals?.[0]))
  )

/**
 * The signals, as they come. Ends only with the queue, or with an error of reading it.
 *
 * @category reading
 * @since 0.1.0
 */
export const signals = (queue: SignalFd): Stream.Stream<Signal, errors.ReadError> =>
  Stream.paginate(undefined, () => Effect.map(take(own(queue), 16), (list) => [list, Option.some(undefined)] as const))
