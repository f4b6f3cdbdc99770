/**
 * Any system call by its number: the door to what has no function of its own. Here too are the numbers, the threads
 * that blocking calls run on, and the service through which all calls go.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { codes, type EAGAIN, type ENOMEM, type EPERM } from "../errors/errnos.ts"
import { type CallErrors, type Errno, errorsOf, fromCode, type OtherErrno } from "../errors/registry.ts"
import { inline, Misuse, run } from "../internal/invoke.ts"
import * as native from "../internal/native.ts"
import * as ours from "../internal/nr.ts"
import * as tables from "../internal/numbers.ts"
import * as internal from "../internal/trampoline.ts"

/**
 * What a system call takes in one of its six places.
 *
 * - a number: a safe integer, negative ones as two's complement
 * - a bigint: from -2^63 to 2^64 - 1
 * - a view or buffer: the address of its first byte
 * - a list of views or buffers: the address of an array of `struct iovec`
 * - null: a null pointer
 *
 * @category models
 * @since 0.1.0
 */
export type Argument = native.Argument

/**
 * What a system call returns: a number, or a bigint where a number would not be exact; `-errno` for an error.
 *
 * @category models
 * @since 0.1.0
 */
export type Result = native.Result

// ---------------------------------------------------------------------------------------------------------------------
// numbers
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The numbers of all system calls on each architecture that is known here. x86 and arm are there as data, for who reads
 * traces of 32-bit programs.
 *
 * @category numbers
 * @since 0.1.0
 */
export const numbers = {
  x86_64: tables.x86_64,
  aarch64: tables.aarch64,
  riscv64: tables.riscv64,
  x86: tables.x86,
  arm: tables.arm
} as const

/**
 * System call numbers by name: those that all of x86_64, aarch64 and riscv64 have, and, perhaps undefined, those that
 * only some of them have (`open`, `fork`, …).
 *
 * @category numbers
 * @since 0.1.0
 */
export type Numbers = ours.Numbers

/**
 * The numbers of the system calls on this machine's architecture.
 *
 * @category numbers
 * @since 0.1.0
 */
export const nr: Numbers = ours.nr

const names = new Map(Object.entries(nr).map(([key, number]) => [number, key]))

/**
 * The name of a system call by its number on this machine's architecture; undefined where there is none.
 *
 * @category numbers
 * @since 0.1.0
 */
export const name = (number: number): string | undefined => names.get(number)

// ---------------------------------------------------------------------------------------------------------------------
// the seam
// ---------------------------------------------------------------------------------------------------------------------

/**
 * How a blocking call is to be made.
 *
 * @category trampoline
 * @since 0.1.0
 */
export interface BlockingOptions extends internal.BlockingOptions {}

/**
 * What every system call of this library goes through.
 *
 * `call` makes a call on the JavaScript thread. `callBlocking` makes one that may wait: its result, where it was to be
 * had at once, or an effect of it. Both return what the kernel returned, errors as `-errno`, and throw a `TypeError` or
 * `RangeError` for arguments that are none; neither knows what the call means.
 *
 * @category trampoline
 * @since 0.1.0
 */
export interface Trampoline extends internal.Trampoline {}

/**
 * The service through which every system call of this library goes; by default the real kernel.
 *
 * **When to use**
 *
 * Provide another one in a test, to inject faults that cannot be provoked otherwise, or to see every call a program
 * makes. {@link intercept} and {@link record} make such ones.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Errno, Syscall } from "effect-linux"
 *
 * declare const program: Effect.Effect<void>
 *
 * // the third write finds the disk full
 * let writes = 0
 * const full = Syscall.intercept(Syscall.kernel, (nr, _args, proceed) =>
 *   nr === Syscall.nr.write && ++writes === 3 ? -Errno.codes.ENOSPC : proceed())
 *
 * program.pipe(Effect.provideService(Syscall.Trampoline, full))
 * ```
 *
 * @category trampoline
 * @since 0.1.0
 */
export const Trampoline: Context.Reference<Trampoline> = internal.Trampoline

/**
 * The trampoline that makes real system calls.
 *
 * @category trampoline
 * @since 0.1.0
 */
export const kernel: Trampoline = internal.kernel

/**
 * A trampoline that asks `decide` about each call: it answers in the kernel's place, or says `proceed()`.
 *
 * `proceed` makes the call with `base` and returns what that does: a result, or for a call that has to wait an effect of
 * one. A result that `decide` returns is the kernel's: `-errno` for an error.
 *
 * @category trampoline
 * @since 0.1.0
 */
export const intercept = (
  base: Trampoline,
  decide: (
    nr: number,
    args: ReadonlyArray<Argument>,
    proceed: () => Result | Effect.Effect<Result, TypeError | RangeError>
  ) => Result | Effect.Effect<Result, TypeError | RangeError>
): Trampoline => ({
  call: (number, ...args) => {
    const result = decide(number, args, () => base.call(number, ...args))
    if (typeof result === "object") {
      throw new TypeError(`${name(number) ?? number} is made on the JavaScript thread: its result cannot be an effect`)
    }
    return result
  },
  callBlocking: (number, args, options) => decide(number, args, () => base.callBlocking(number, args, options))
})

/**
 * One system call that a program made.
 *
 * @category trampoline
 * @since 0.1.0
 */
export interface Call {
  readonly nr: number
  /** The call's name; its number as text where it has none. */
  readonly name: string
  /** What was passed. Buffers are the caller's own, not copies. */
  readonly args: ReadonlyArray<Argument>
  /** What the kernel returned: `-errno` for an error. */
  readonly result: Result
}

/**
 * A trampoline that reports each call when it is over, in the order in which they end. A call whose fiber is interrupted
 * while it waits is not reported.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Syscall } from "effect-linux"
 *
 * declare const program: Effect.Effect<void>
 *
 * const traced = program.pipe(
 *   Effect.provideService(
 *     Syscall.Trampoline,
 *     Syscall.record(Syscall.kernel, ({ name, result }) => console.log(name, "=", result))
 *   )
 * )
 * ```
 *
 * @category trampoline
 * @since 0.1.0
 */
export const record = (base: Trampoline, onCall: (call: Call) => void): Trampoline =>
  intercept(base, (number, args, proceed) => {
    const report = (result: Result): Result => {
      onCall({ nr: number, name: name(number) ?? String(number), args, result })
      return result
    }
    const result = proceed()
    return typeof result === "object" ? Effect.map(result, report) : report(result)
  })

// ---------------------------------------------------------------------------------------------------------------------
// calls by number
// ---------------------------------------------------------------------------------------------------------------------

const anyErrors = new Map<number, CallErrors<Errno>>()

const errorsFor = (number: number): CallErrors<Errno> => {
  const known = anyErrors.get(number)
  if (known !== undefined) return known
  const syscall = name(number) ?? `syscall_${number}`
  const errors: CallErrors<Errno> = {
    syscall,
    documented: [],
    make: (code, path, fd, detail) => fromCode(code, { syscall, path, fd, detail })
  }
  if (names.has(number)) anyErrors.set(number, errors)
  return errors
}

const exact = (result: Result): number => {
  if (typeof result === "number") return result
  throw new Misuse(codes.EOVERFLOW, `the result ${result} is not exact as a number; callBig gives it as a bigint`)
}

/**
 * `call(nr, ...args)`—Makes any system call on the JavaScript thread.
 *
 * **When to use**
 *
 * For a call that has no function here. This is the one door with a sign on it: addresses and lengths go to the kernel as
 * they are, and a wrong length lets it write past the end of a buffer. A call that waits holds up the event loop; use
 * {@link callBlocking} for those.
 *
 * **Details**
 *
 * Numbers and bigints outside the range of an argument fail with `EINVAL`, detached buffers with `EFAULT`; values of
 * another type are defects. A result that is not exact as a number fails with `EOVERFLOW`: see {@link callBig}.
 *
 * @example
 * ```ts
 * import { Syscall } from "effect-linux"
 *
 * const parent = Syscall.call(Syscall.nr.getppid)
 * ```
 *
 * @category raw
 * @since 0.1.0
 */
export const call = (nr: number, ...args: ReadonlyArray<Argument>): Effect.Effect<number, Errno> =>
  inline(errorsFor(nr), (make) => make(nr, ...args), exact)

/**
 * `callBig(nr, ...args)`—Like {@link call}, with the result as a bigint: signed, as the kernel returned it.
 *
 * @category raw
 * @since 0.1.0
 */
export const callBig = (nr: number, ...args: ReadonlyArray<Argument>): Effect.Effect<bigint, Errno> =>
  inline(errorsFor(nr), (make) => make(nr, ...args), BigInt)

/**
 * `callBlocking(nr, ...args)`—Makes any system call on another thread.
 *
 * **Details**
 *
 * The event loop goes on meanwhile. Interrupting the fiber makes the kernel give the call up, by a real-time signal to
 * the thread, and the fiber ends when it has; a call that the kernel had completed by then is complete, its result lost.
 *
 * The kernel works on copies of the buffers (not of shared ones, which it gets themselves), and what it wrote is copied
 * back when the call is over: JavaScript may do with its buffers what it likes meanwhile.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Syscall } from "effect-linux"
 *
 * // gives up after a second, and the pipe is as it was
 * const readOrGiveUp = (fd: number, buffer: Uint8Array) =>
 *   Syscall.callBlocking(Syscall.nr.read, fd, buffer, buffer.length).pipe(Effect.timeout("1 second"))
 * ```
 *
 * @category raw
 * @since 0.1.0
 */
export const callBlocking = (nr: number, ...args: ReadonlyArray<Argument>): Effect.Effect<number, Errno> =>
  run({ errors: errorsFor(nr), nr, prepare: () => args, decode: exact, options: {} })

/**
 * Where a buffer's first byte lies, for a pointer inside a structure.
 *
 * The address is good for as long as the buffer is referenced and not detached: make the call on the JavaScript thread
 * and use the buffer after it. A call on another thread gets copies of the buffers it is passed itself, but not of what
 * they point to.
 *
 * Throws a `TypeError` for what is no buffer or is detached.
 *
 * @category raw
 * @since 0.1.0
 */
export const addressOf = (buffer: ArrayBufferView | ArrayBufferLike): bigint => native.native.address(buffer)

// ---------------------------------------------------------------------------------------------------------------------
// threads
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A thread of its own for calls that must come from the same one every time.
 *
 * @category threads
 * @since 0.1.0
 */
export interface Thread extends internal.Thread {}

const threadErrors = errorsOf("clone", ["EAGAIN", "ENOMEM", "EPERM"])

/**
 * What {@link makeThread} fails with: the system has no thread to give.
 *
 * @category threads
 * @since 0.1.0
 */
export type MakeThreadError = EAGAIN | ENOMEM | EPERM | OtherErrno

const openThread: Effect.Effect<Thread, MakeThreadError> = Effect.suspend(() => {
  const id = native.native.openThread()
  return id < 0 ? Exit.fail(threadErrors.make(-id)) : Exit.succeed(new internal.Thread(id))
})

/**
 * Starts a thread that does nothing but what {@link callOn} gives it; it is ended and joined with the scope, and what it
 * is doing then ends with EINTR.
 *
 * All signals are blocked on it but the one that interrupts its calls.
 *
 * @category threads
 * @since 0.1.0
 */
export const makeThread: Effect.Effect<Thread, MakeThreadError, Scope.Scope> = Effect.acquireRelease(
  openThread,
  (thread) => Effect.callback<void>((ended) => native.native.closeThread(thread.id, () => ended(Exit.void)))
)

/**
 * `callOn(thread, nr, ...args)`—Like {@link callBlocking}, on a thread of {@link makeThread}. Calls given to one thread
 * are made one after the other.
 *
 * @category threads
 * @since 0.1.0
 */
export const callOn = (thread: Thread, nr: number, ...args: ReadonlyArray<Argument>): Effect.Effect<number, Errno> =>
  run({
    errors: errorsFor(nr),
    nr,
    prepare: () => {
      if (thread instanceof internal.Thread) return args
      throw new TypeError("thread: expected a Thread")
    },
    decode: exact,
    options: { thread }
  })

/**
 * The real-time signal that this library takes for interrupting blocked calls: the highest one that nobody had a handler
 * for. It is sent to the library's own threads only.
 *
 * @category threads
 * @since 0.1.0
 */
export const interruptSignal: Effect.Effect<number> = Effect.sync(() => native.native.interruptSignal())
