/**
 * What an operation is: data, that say what is to be written into an entry of the ring, what memory is lent with it, and
 * what its result means. Which operations there are is in the modules beside this one.
 */
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { codes, ETIME } from "../errors/errnos.ts"
import type { CallErrors } from "../errors/registry.ts"
import { type File, hold, isFile, own } from "../file/model.ts"
import * as constants from "../internal/constants.ts"
import type { Descriptor } from "../internal/descriptor.ts"
import { set64 } from "../internal/engine/ring.ts"
import { Misuse, misuseOf, type Subject } from "../internal/invoke.ts"
import { type Extent, type Loan, most32 } from "./loan.ts"
import type { RingState } from "./model.ts"

const TypeId = "~effect-linux/IoUring/Operation" as const
const FixedTypeId = "~effect-linux/IoUring/Fixed" as const

/**
 * An operation for the kernel, as data: {@link submit} runs it. It can be run many times, each time on the same memory.
 *
 * `A` is its result, `E` are the errors that its system call documents; `R` is a `Scope` where it opens something.
 *
 * @category models
 * @since 0.1.0
 */
export interface Operation<out A, out E = never, out R = never> {
  readonly [TypeId]: { readonly _A: (_: never) => A; readonly _E: (_: never) => E; readonly _R: (_: never) => R }
  /** Which one it is: the name in `IORING_OP_*`. */
  readonly name: string
}

/**
 * A place in a ring's table of files, and the file there: see `registerFiles`. Operations take it wherever they take a
 * `File`, on the ring that it is of.
 *
 * @category models
 * @since 0.1.0
 */
export interface FixedFile {
  readonly [FixedTypeId]: "file"
  /** Its number in the table. */
  readonly slot: number
}

/**
 * Memory that is registered with a ring: see `registerBuffers`.
 *
 * @category models
 * @since 0.1.0
 */
export interface FixedBuffer {
  readonly [FixedTypeId]: "buffer"
  /** The memory itself; of length 0 once it is released. */
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** What is behind a registered file. */
export class FileSlot implements FixedFile {
  declare readonly [FixedTypeId]: "file"
  readonly slot: number
  readonly ring: RingState
  closed: boolean = false

  constructor(ring: RingState, slot: number) {
    this.ring = ring
    this.slot = slot
  }
}

/** What is behind registered memory. */
export class BufferSlot implements FixedBuffer {
  declare readonly [FixedTypeId]: "buffer"
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly address: number
  readonly slot: number
  readonly ring: RingState
  /** How many operations use it. */
  uses = 0
  /** Nothing may begin on it any more. */
  released = false
  onUnused: (() => void) | undefined = undefined

  constructor(ring: RingState, slot: number, address: number, bytes: Uint8Array<ArrayBuffer>) {
    this.ring = ring
    this.slot = slot
    this.address = address
    this.bytes = bytes
  }

  /** An operation uses it, until its loan ends. */
  begin(loan: Loan): void {
    this.uses++
    loan.onFree(() => {
      if (--this.uses === 0) this.onUnused?.()
    })
  }
}

/**
 * What operations are about: a file, or one that is registered with the ring.
 *
 * @category models
 * @since 0.1.0
 */
export type Target = File<unknown> | FixedFile

/** An entry of the queue, by the names that its places have in `io_uring_sqe`. */
export class Fields {
  readonly words: Int32Array<ArrayBuffer>

  constructor(words: Int32Array<ArrayBuffer>) {
    this.words = words
  }

  set flags(bits: number) {
    this.words[0] = (this.words[0] ?? 0) | (bits << 8)
  }
  set ioprio(value: number) {
    this.words[0] = (this.words[0] ?? 0) | (value << 16)
  }
  set fd(value: number) {
    this.words[1] = value
  }
  set off(value: number) {
    set64(this.words, 2, value)
  }
  set addr(value: number) {
    set64(this.words, 4, value)
  }
  set len(value: number) {
    this.words[6] = value
  }
  set rwFlags(value: number) {
    this.words[7] = value
  }
  set bufIndex(value: number) {
    this.words[10] = (this.words[10] ?? 0) | (value & 0xffff)
  }
  set fileIndex(value: number) {
    this.words[11] = value
  }
  set addr3(value: number) {
    set64(this.words, 12, value)
  }
}

/** What a result means, once the kernel has said it: `res` is not negative. */
export type Decode<A, E, R> = (res: number, flags: number) => Effect.Effect<A, E, R>

/** What an operation consists of. */
export interface Parts<A, E, R> {
  readonly name: string
  readonly op: number
  readonly errors: CallErrors<E>
  readonly subject?: Subject | undefined
  /** What it is about, first what stands in the entry as its descriptor; null for the working directory. */
  readonly target?: Target | null | undefined
  /** Other files that it uses: it is cancelled when they are closed, too. */
  readonly others?: ReadonlyArray<Target> | undefined
  /** Writes the rest of the entry; throws a `Misuse` for what no kernel need see. */
  readonly fill: (fields: Fields, loan: Loan) => Decode<A, E, R>
  /** Whether the result is a descriptor, which somebody has to close. */
  readonly opens?: boolean | undefined
  /** Whether it must not be made anew when it was disturbed. */
  readonly once?: boolean | undefined
  /** Errnos that are an answer and no error, as results. */
  readonly answers?: ReadonlyMap<number, number> | undefined
}

/** An operation, to those who run it. */
export class Prepared<A, E, R> implements Operation<A, E, R> {
  declare readonly [TypeId]: {
    readonly _A: (_: never) => A
    readonly _E: (_: never) => E
    readonly _R: (_: never) => R
  }
  readonly parts: Parts<A, E, R>
  /** `IOSQE_*` */
  readonly modifiers: number
  /** How long it may take. */
  readonly limit: Span | undefined

  constructor(parts: Parts<A, E, R>, modifiers = 0, limit?: Span) {
    this.parts = parts
    this.modifiers = modifiers
    this.limit = limit
  }

  get name(): string {
    return this.parts.name
  }

  toString(): string {
    return `IoUring.Operation(${this.name})`
  }
}

/** A span of time in the kernel's words. */
export type Span = { readonly tv_sec: bigint; readonly tv_nsec: bigint }

/** What is behind an operation; a defect for what is none. */
export const preparedOf = <A, E, R>(operation: Operation<A, E, R>): Prepared<A, E, R> => {
  if (operation instanceof Prepared) return operation
  throw new TypeError("operation: expected an operation of IoUring")
}

export const operation = <A, E, R = never>(parts: Parts<A, E, R>): Operation<A, E, R> => new Prepared(parts)

// -- results ---------------------------------------------------------------------------------------------------------------

export const asNumber = (res: number): Exit.Exit<number> => Exit.succeed(res)
export const asNothing = (): Exit.Exit<void> => Exit.void
export const asFile = (res: number): Effect.Effect<File, never, Scope.Scope> => hold(res)

/** A result that is read from memory; what cannot be read is an error like the kernel's. */
export const decoding =
  <A, E>(errors: CallErrors<E>, decode: (res: number) => A): Decode<A, E, never> =>
  (res) => {
    try {
      return Exit.succeed(decode(res))
    } catch (thrown) {
      const { code, detail } = misuseOf(thrown)
      return Exit.fail(errors.make(code, undefined, undefined, detail))
    }
  }

// -- arguments -------------------------------------------------------------------------------------------------------------

/** What is behind a target: a descriptor, or a place in a ring's table. */
export const behind = (target: Target): Descriptor | FileSlot => {
  if (target instanceof FileSlot) return target
  if (isFile(target)) return own(target)
  throw new TypeError("file: expected a File or a registered file")
}

export const ownerOf = (target: Target): Descriptor | undefined => {
  const it = behind(target)
  return it instanceof FileSlot ? undefined : it
}

/** Checks a registered file, and says where it is. */
export const slotOf = (name: string, file: FixedFile, ring: RingState): number => {
  if (!(file instanceof FileSlot)) throw new TypeError(`${name}: expected a registered file`)
  if (file.ring !== ring) throw new Misuse(codes.EBADF, `${name}: it is registered with another ring`)
  if (file.closed) throw new Misuse(codes.EBADF, `${name}: it is registered no more`)
  return file.slot
}

/** What a target is called in an error. */
export const subjectOf = (target: Target): Subject => ({ fd: ownerOf(target)?.fd })

/** Where in a file: undefined is the file's own offset, which then moves. */
export const offsetOf = (name: string, offset: number | undefined): number => {
  if (offset === undefined) return -1
  if (typeof offset !== "number") throw new TypeError(`${name}: expected a number`)
  if (!Number.isSafeInteger(offset) || offset < 0)
    throw new Misuse(codes.EINVAL, `${name}: ${offset} is no place in a file`)
  return offset
}

/** A length of 32 bits, which is all that an entry has room for. */
export const lengthOf = (name: string, length: number): number => {
  if (typeof length !== "number") throw new TypeError(`${name}: expected a number`)
  if (!Number.isSafeInteger(length) || length < 0 || length > most32) {
    throw new Misuse(codes.EINVAL, `${name}: ${length} is no length of 32 bits`)
  }
  return length
}

/** A part of registered memory, of a ring. */
export const fixedExtent = (
  buffer: FixedBuffer,
  loan: Loan,
  { at = 0, length }: { readonly at?: number | undefined; readonly length?: number | undefined }
): Extent & { readonly slot: number } => {
  if (!(buffer instanceof BufferSlot)) throw new TypeError("buffer: expected registered memory")
  if (buffer.ring !== loan.ring) throw new Misuse(codes.EFAULT, "buffer: it is registered with another ring")
  const room = buffer.bytes.length
  if (room === 0 || buffer.released) throw new Misuse(codes.EFAULT, "buffer: it is registered no more")
  if (!Number.isSafeInteger(at) || at < 0 || at > room) {
    throw new Misuse(codes.EFAULT, `at: ${at} is no place in a buffer of ${room} bytes`)
  }
  const count = length ?? room - at
  if (!Number.isSafeInteger(count) || count < 0) throw new Misuse(codes.EINVAL, `length: ${count} is no length`)
  if (count > room - at) {
    throw new Misuse(codes.EFAULT, `length: ${count} at ${at} is past the end of a buffer of ${room} bytes`)
  }
  buffer.begin(loan)
  return { address: buffer.address + at, length: count, slot: buffer.slot }
}

// -- modifiers ---------------------------------------------------------------------------------------------------------------

const modified = <A, E, R>(self: Operation<A, E, R>, bits: number): Operation<A, E, R> => {
  const { limit, modifiers, parts } = preparedOf(self)
  return new Prepared(parts, modifiers | bits, limit)
}

/**
 * The operation, to begin only when all that were submitted to the ring before it have ended; and none that comes after
 * begins before it has ended.
 *
 * Until its turn has come it cannot be cancelled: a fiber that is interrupted waits for what is before it. On the shared
 * ring it is refused with `EINVAL`, as it would hold up the whole program. Flag `IOSQE_IO_DRAIN`.
 *
 * @category modifiers
 * @since 0.1.0
 */
export const drain = <A, E, R>(self: Operation<A, E, R>): Operation<A, E, R> => modified(self, constants.IOSQE_IO_DRAIN)

/**
 * The operation, made by a thread of the kernel's at once, rather than tried first where it is submitted: for what is
 * known to take long. Flag `IOSQE_ASYNC`.
 *
 * @category modifiers
 * @since 0.1.0
 */
export const elsewhere = <A, E, R>(self: Operation<A, E, R>): Operation<A, E, R> =>
  modified(self, constants.IOSQE_ASYNC)

/**
 * The operation with a limit to how long it may take, from when it begins: then the kernel cancels it, and it fails with
 * `ETIME`. In a chain the time begins when its turn has come.
 *
 * Operation `IORING_OP_LINK_TIMEOUT`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { type File, IoUring } from "effect-linux"
 *
 * const orNothing = (ring: IoUring.Ring, socket: File.File, buffer: Uint8Array) =>
 *   IoUring.submit(ring, IoUring.withTimeout(IoUring.recv(socket, buffer), "1 second")).pipe(
 *     Effect.catchTag("ETIME", () => Effect.succeed(0))
 *   )
 * ```
 *
 * @category modifiers
 * @since 0.1.0
 */
export const withTimeout = <A, E, R>(
  self: Operation<A, E, R>,
  duration: Duration.Input
): Operation<A, E | ETIME, R> => {
  const { modifiers, parts } = preparedOf(self)
  const { errors } = parts
  const timed: CallErrors<E | ETIME> = {
    ...errors,
    make: (code, path, fd, detail) =>
      code === codes.ETIME
        ? new ETIME({ syscall: errors.syscall, path, fd, detail })
        : errors.make(code, path, fd, detail)
  }
  return new Prepared<A, E | ETIME, R>({ ...parts, errors: timed }, modifiers, timespecOf(duration))
}

/** A span of time; one that never ends is the kernel's longest. */
export const timespecOf = (input: Duration.Input): Span => {
  const duration = Duration.fromInputUnsafe(input)
  const nanos = Duration.isFinite(duration) ? Duration.toNanosUnsafe(duration) : 2n ** 62n
  return { tv_sec: nanos / 1_000_000_000n, tv_nsec: nanos % 1_000_000_000n }
}
