/**
 * What options of sockets are made of: how a value becomes memory and memory a value. The options themselves are beside
 * this, by level; `SocketOption` is the public face.
 */
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import * as Abi from "../Abi.ts"
import { codes } from "../errors/errnos.ts"
import { int as checkedInt, long } from "../internal/arguments.ts"
import { Misuse } from "../internal/invoke.ts"
import type * as Struct from "../Struct.ts"
import { type File, own } from "./model.ts"

/**
 * How the value of an option lies in memory: `A` is what reading gives, `I` what setting takes.
 *
 * Every structure of `Struct.make` is one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Codec<out A, in I = A> {
  /** The room that is offered when the option is read, in bytes. */
  readonly size: number
  /** The room that is offered where the kernel says that it was too little. */
  readonly largest?: number | undefined
  /** The value of exactly as many bytes as the kernel wrote. */
  readonly decode: (bytes: Uint8Array) => A
  /** The memory for a value; null for none. A `RangeError` is for a value that cannot be written. */
  readonly encode: (value: I) => Uint8Array | null
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** The bytes with zeros behind them: what a kernel does not know yet it does not write. */
const padded = (bytes: Uint8Array, size: number): Uint8Array => {
  if (bytes.length >= size) return bytes
  const whole = new Uint8Array(size)
  whole.set(bytes)
  return whole
}

/**
 * A value of any layout of `Struct`: a scalar, an array, a structure. Where the kernel's is shorter the rest is 0.
 *
 * @category codecs
 * @since 0.1.0
 */
export const struct = <A, I>(layout: Struct.Layout<A, I>): Codec<A, I> => ({
  size: layout.size,
  decode: (bytes) => layout.get(viewOf(padded(bytes, layout.size)), 0),
  encode: (value) => {
    const bytes = new Uint8Array(layout.size)
    layout.set(viewOf(bytes), 0, value, "value")
    return bytes
  }
})

const fromInt = (value: number): Uint8Array => {
  const bytes = new Uint8Array(4)
  viewOf(bytes).setInt32(0, checkedInt("value", value), true)
  return bytes
}

// Some options of one byte are answered with one byte where there is room for four.
const toInt = (bytes: Uint8Array): number => viewOf(padded(bytes, 4)).getInt32(0, true)

/**
 * An `int`, which is what most options are.
 *
 * @category codecs
 * @since 0.1.0
 */
export const int: Codec<number> = { size: 4, decode: toInt, encode: fromInt }

/**
 * An `unsigned int`.
 *
 * @category codecs
 * @since 0.1.0
 */
export const uint: Codec<number> = { size: 4, decode: (bytes) => toInt(bytes) >>> 0, encode: fromInt }

/**
 * A 64-bit number: a bigint when read, either when set.
 *
 * @category codecs
 * @since 0.1.0
 */
export const u64: Codec<bigint, bigint | number> = {
  size: 8,
  decode: (bytes) => viewOf(padded(bytes, 8)).getBigUint64(0, true),
  encode: (value) => {
    const bytes = new Uint8Array(8)
    viewOf(bytes).setBigUint64(0, BigInt(long("value", value)), true)
    return bytes
  }
}

/**
 * An `int` that is 0 or not: on or off.
 *
 * @category codecs
 * @since 0.1.0
 */
export const flag: Codec<boolean> = {
  size: 4,
  decode: (bytes) => toInt(bytes) !== 0,
  encode: (value) => {
    if (typeof value !== "boolean") throw new TypeError(`value: expected a boolean, got ${typeof value}`)
    return fromInt(value ? 1 : 0)
  }
}

/**
 * Nothing: of an option that is only to be set, whatever to.
 *
 * @category codecs
 * @since 0.1.0
 */
export const nothing: Codec<void> = { size: 0, decode: () => undefined, encode: () => fromInt(0) }

/**
 * Bytes as the kernel has them, at most `largest` when read.
 *
 * @category codecs
 * @since 0.1.0
 */
export const bytes = (largest: number): Codec<Uint8Array> => ({
  size: largest,
  decode: (memory) => memory.slice(),
  encode: (value) => {
    if (!(value instanceof Uint8Array)) throw new TypeError(`value: expected a Uint8Array, got ${typeof value}`)
    return value
  }
})

const encoder = new TextEncoder()

/**
 * A name in UTF-8 that ends with a NUL, with which it has at most `size` bytes.
 *
 * @category codecs
 * @since 0.1.0
 */
export const text = (size: number): Codec<string> => ({
  size,
  decode: (memory) => {
    const end = memory.indexOf(0)
    return new TextDecoder().decode(end < 0 ? memory : memory.subarray(0, end))
  },
  encode: (value) => {
    if (typeof value !== "string") throw new TypeError(`value: expected a string, got ${typeof value}`)
    const memory = encoder.encode(`${value}\0`)
    if (memory.length > size) {
      throw new RangeError(`value: ${memory.length - 1} bytes are more than the ${size - 1} that there is room for`)
    }
    if (memory.indexOf(0) !== memory.length - 1) throw new RangeError("value contains a NUL")
    return memory
  }
})

/**
 * A list of some layout, of at most `most` when read.
 *
 * @category codecs
 * @since 0.1.0
 */
export const list = <A, I>(
  layout: Struct.Layout<A, I>,
  most: number,
  first = most
): Codec<ReadonlyArray<A>, ReadonlyArray<I>> => ({
  size: first * layout.size,
  largest: most * layout.size,
  decode: (memory) =>
    Array.from({ length: Math.floor(memory.length / layout.size) }, (_, index) =>
      layout.get(viewOf(memory), index * layout.size)
    ),
  encode: (values) => {
    const memory = new Uint8Array(values.length * layout.size)
    for (const [index, value] of values.entries()) {
      layout.set(viewOf(memory), index * layout.size, value, `value[${index}]`)
    }
    return memory
  }
})

const second = 1_000_000n

/**
 * A `timeval` that limits how long something may take: `Duration.infinity` is no limit, for which the kernel has 0. A
 * duration of 0 is refused, as it would be none; what is below a microsecond is one.
 *
 * @category codecs
 * @since 0.1.0
 */
export const timeout: Codec<Duration.Duration, Duration.Input | Abi.timeval> = {
  size: Abi.timeval.size,
  decode: (memory) => {
    const { tv_sec, tv_usec } = Abi.timeval.decode(padded(memory, Abi.timeval.size))
    const micros = tv_sec * second + tv_usec
    return micros === 0n ? Duration.infinity : Duration.nanos(micros * 1000n)
  },
  encode: (value) => {
    if (Predicate.hasProperty(value, "tv_sec")) return Abi.timeval.encode(value as Abi.timeval)
    const duration = Duration.fromInputUnsafe(value as Duration.Input)
    if (!Duration.isFinite(duration)) return Abi.timeval.encode({ tv_sec: 0n, tv_usec: 0n })
    const nanos = Duration.toNanosUnsafe(duration)
    if (nanos <= 0n) throw new RangeError("value: a limit of 0 is none to the kernel: say Duration.infinity for that")
    const micros = (nanos + 999n) / 1000n
    return Abi.timeval.encode({ tv_sec: micros / second, tv_usec: micros % second })
  }
}

/**
 * A descriptor that the kernel takes by its number: the value is a `File`.
 *
 * @category codecs
 * @since 0.1.0
 */
export const file: Codec<number, File<unknown>> = {
  size: 4,
  decode: toInt,
  encode: (value) => {
    const { closed, fd } = own(value)
    if (closed) throw new Misuse(codes.EBADF, "value: the File is closed")
    return fromInt(fd)
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// options
// ---------------------------------------------------------------------------------------------------------------------

/** What every option has. */
interface Named {
  /** For messages: the kernel's name of it. */
  readonly name: string
  /** The protocol that knows it: one of `SOL_*` or `IPPROTO_*`. */
  readonly level: number
  readonly optname: number
}

/**
 * An option that can be read, which gives `A`; some are asked with a `Q`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Readable<out A, in Q = void> extends Named {
  /** The memory that the kernel is given to write to, anew for each call. */
  readonly room: (query: Q) => Uint8Array
  /** The room that is offered where the kernel says that it was too little, in bytes. */
  readonly largest: number
  readonly decode: (bytes: Uint8Array) => A
}

/**
 * An option that can be set, which takes `I`; some give an `R`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Writable<in I, out R = void> extends Named {
  /** The memory that the kernel is given, anew for each call. */
  readonly encode: (value: I) => Uint8Array | null
  /** What is made of the memory after the call. */
  readonly result: (memory: Uint8Array | null) => R
}

/**
 * An option that can be read, which gives `A`, and set, which takes `I`.
 *
 * @category models
 * @since 0.1.0
 */
export interface SocketOption<out A, in I = A> extends Readable<A>, Writable<I> {}

type AnyCodec<A, I> = Codec<A, I> | Struct.Layout<A, I>

const codecOf = <A, I>(codec: AnyCodec<A, I>): Codec<A, I> => ("get" in codec ? struct(codec) : codec)

const unchanged = (): void => {}

/**
 * An option that can only be read.
 *
 * @category constructors
 * @since 0.1.0
 */
export const readOnly = <A>(name: string, level: number, optname: number, codec: AnyCodec<A, never>): Readable<A> => {
  const { decode, largest, size } = codecOf(codec)
  return { name, level, optname, room: () => new Uint8Array(size), largest: largest ?? size, decode }
}

/**
 * An option that can only be set.
 *
 * @category constructors
 * @since 0.1.0
 */
export const writeOnly = <I>(
  name: string,
  level: number,
  optname: number,
  codec: AnyCodec<unknown, I>
): Writable<I> => {
  const { encode } = codecOf(codec)
  return { name, level, optname, encode, result: unchanged }
}

/**
 * An option that can be read and set: `level` and `optname` are the numbers that the kernel has for it, and the codec says
 * what its value is. A layout of `Struct` does, too.
 *
 * `setsockopt` and `getsockopt` take a pointer to whatever the option says: a number with the wrong codec is refused by the
 * kernel, or misread.
 *
 * @example
 * ```ts
 * import { SocketOption, Struct, Syscall } from "effect-linux"
 *
 * // an option of one's own protocol, with a structure
 * const Window = Struct.make("my_window", { low: Struct.u32, high: Struct.u32 })
 * const MY_WINDOW = SocketOption.make("MY_WINDOW", 300, 7, Window)
 *
 * // one that this module has already
 * const NODELAY = SocketOption.make("TCP_NODELAY", Syscall.IPPROTO_TCP, Syscall.TCP_NODELAY, SocketOption.flag)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <A, I>(name: string, level: number, optname: number, codec: AnyCodec<A, I>): SocketOption<A, I> => {
  const known = codecOf(codec)
  return { ...readOnly(name, level, optname, known), ...writeOnly(name, level, optname, known) }
}
