/**
 * What a request is, and the constructors of all kinds; `src/Ioctl.ts` is the public face. The requests that the kernel's
 * headers define are in the files beside this one, by the device that understands them.
 */
import { type IoctlError, ioctl as ioctlErrors } from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import type { CallErrors } from "../errors/registry.ts"
import type { File } from "../file/model.ts"
import { isDescriptor, notAFile } from "../internal/descriptor.ts"
import { Misuse } from "../internal/invoke.ts"
import type { Argument } from "../internal/native.ts"
import type * as Struct from "../Struct.ts"

// ---------------------------------------------------------------------------------------------------------------------
// devices
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A kind of device, as a marker in types: the names it goes by, its own and those of its parents.
 *
 * @category devices
 * @since 0.1.0
 */
export interface Device<in Names extends string> {
  readonly "~effect-linux/Device": { readonly [Name in Names]: true }
}

/**
 * What every file is: the device of requests that any driver may be asked.
 *
 * @category devices
 * @since 0.1.0
 */
export type AnyDevice = Device<never>

/**
 * The device of requests that any file may be asked: `FIONREAD` and the like.
 *
 * @category devices
 * @since 0.1.0
 */
export const anyDevice: AnyDevice = { "~effect-linux/Device": {} }

const marker = (names: ReadonlyArray<string>): { readonly [name: string]: true } =>
  Object.fromEntries(names.map((name) => [name, true]))

/**
 * Declares a kind of device.
 *
 * @example
 * ```ts
 * import { Ioctl } from "effect-linux"
 *
 * const Watchdog = Ioctl.device("Watchdog")
 * ```
 *
 * @category devices
 * @since 0.1.0
 */
export const device = <const Name extends string>(name: Name): Device<Name> => ({
  "~effect-linux/Device": marker([name]) as { readonly [K in Name]: true }
})

/**
 * Declares a kind of device that understands the requests of another one too.
 *
 * @category devices
 * @since 0.1.0
 */
export const subDevice = <const Name extends string, Parents extends string>(
  name: Name,
  parent: Device<Parents>
): Device<Name | Parents> => ({
  "~effect-linux/Device": marker([name, ...Object.keys(parent["~effect-linux/Device"])]) as {
    readonly [K in Name | Parents]: true
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// numbers
// ---------------------------------------------------------------------------------------------------------------------

const typeOf = (type: number | string): number => {
  const code = typeof type === "number" ? type : type.length === 1 ? type.charCodeAt(0) : Number.NaN
  if (!Number.isInteger(code) || code < 0 || code > 0xff) {
    throw new RangeError(`type: expected a number from 0 to 255 or a character, got ${type}`)
  }
  return code
}

const encode = (direction: number, type: number | string, number: number, size: number): number => {
  if (!Number.isInteger(number) || number < 0 || number > 0xff) {
    throw new RangeError(`number: expected an integer from 0 to 255, got ${number}`)
  }
  if (!Number.isInteger(size) || size < 0 || size > 0x3fff) {
    throw new RangeError(`size: expected an integer from 0 to 16383, got ${size}`)
  }
  return ((direction << 30) | (size << 16) | (typeOf(type) << 8) | number) >>> 0
}

const sizeOf = (size: number | Struct.Layout<unknown, never>): number => (typeof size === "number" ? size : size.size)

/**
 * The number of a request without memory. `type` is a byte or an ASCII character, `number` from 0 to 255.
 *
 * @category numbers
 * @since 0.1.0
 */
export const _IO = (type: number | string, number: number): number => encode(0, type, number, 0)

/**
 * The number of a request whose memory the kernel writes; its size in bytes, or the layout that has it.
 *
 * @category numbers
 * @since 0.1.0
 */
export const _IOR = (type: number | string, number: number, size: number | Struct.Layout<unknown, never>): number =>
  encode(2, type, number, sizeOf(size))

/**
 * The number of a request whose memory the kernel reads.
 *
 * @category numbers
 * @since 0.1.0
 */
export const _IOW = (type: number | string, number: number, size: number | Struct.Layout<unknown, never>): number =>
  encode(1, type, number, sizeOf(size))

/**
 * The number of a request whose memory the kernel reads and writes.
 *
 * @category numbers
 * @since 0.1.0
 */
export const _IOWR = (type: number | string, number: number, size: number | Struct.Layout<unknown, never>): number =>
  encode(3, type, number, sizeOf(size))

// ---------------------------------------------------------------------------------------------------------------------
// requests
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A request to a device: takes `A`, gives `R`, fails with `E`.
 *
 * @category requests
 * @since 0.1.0
 */
export interface Request<in D, in A, out R, out E = IoctlError> {
  /** Only a type: which devices understand the request. */
  readonly "~effect-linux/Request": (device: D) => void
  readonly code: number
  /** For messages. */
  readonly name: string
  readonly errors: CallErrors<E>
  /** Whether the driver may take its time: then it is asked on another thread, interruptibly where the driver allows. */
  readonly waits: boolean
  /** What the driver does with the request's memory, seen from it: reads it, or writes it too. */
  readonly direction: "in" | "inOut"
  /** The argument as the kernel gets it; memory is made anew for each call. */
  readonly prepare: (argument: A) => Argument
  readonly decode: (result: number, prepared: Argument) => R
  /** The files that the argument names, which must stay open for as long as the request takes. */
  readonly files?: ((argument: A) => ReadonlyArray<File<unknown>>) | undefined
}

/**
 * A request that opens a descriptor, of a device `Opened`: `File.ioctlOpen` puts it into the scope.
 *
 * @category requests
 * @since 0.1.0
 */
export interface OpeningRequest<in D, in A, out Opened, out E = IoctlError> extends Request<D, A, number, E> {
  /** Only a type: what is opened. */
  readonly "~effect-linux/Opened": () => Opened
}

/**
 * What a request fails with.
 *
 * @category requests
 * @since 0.1.0
 */
export type RequestError<R> = R extends Request<never, never, unknown, infer E> ? E : never

/**
 * What a request may have beside its number.
 *
 * @category requests
 * @since 0.1.0
 */
export interface RequestOptions<E> {
  /** For messages; the number in hexadecimal by default. */
  readonly name?: string
  /** Which errnos the driver documents; those of ioctl(2) by default. */
  readonly errors?: CallErrors<E>
  /**
   * Whether the driver may take its time: for a disk, a cable, another process. Such a request is made on another thread,
   * so that the event loop goes on. False by default: the request is made here and now.
   */
  readonly waits?: boolean
}

const unused = (): void => {}

const request = <D, A, R, E>(
  code: number,
  options: RequestOptions<E> | undefined,
  direction: "in" | "inOut",
  prepare: (argument: A) => Argument,
  decode: (result: number, prepared: Argument) => R
): Request<D, A, R, E> => ({
  "~effect-linux/Request": unused,
  code,
  name: nameOf(code, options),
  // Without `errors` the type parameter is IoctlError, which is what ioctlErrors makes.
  errors: options?.errors ?? (ioctlErrors as CallErrors<unknown> as CallErrors<E>),
  waits: options?.waits === true,
  direction,
  prepare,
  decode
})

const memoryOf = (prepared: Argument): Uint8Array => {
  if (prepared instanceof Uint8Array) return prepared
  throw new TypeError("the request was prepared without memory")
}

const viewOf = (prepared: Argument): DataView => {
  const memory = memoryOf(prepared)
  return new DataView(memory.buffer, memory.byteOffset, memory.byteLength)
}

/** More than any request uses whose number does not say how much. */
const mostBytes = 4096

/**
 * Memory for a request. Numbers from before they told the size mean different things to different drivers: there is room
 * for whatever the driver makes of one.
 */
const memoryFor = (code: number, size: number): Uint8Array =>
  new Uint8Array(Math.max(size, code >>> 30 === 0 ? mostBytes : sizeIn(code)))

/** Some numbers say `long` where `int` is meant: there is room for what they say. */
const sizeIn = (code: number): number => (code >>> 16) & 0x3fff

/** What a request is called in messages: its number says little. */
const nameOf = (code: number, options: { readonly name?: string | undefined } | undefined): string =>
  options?.name ?? `0x${code.toString(16)}`

const encoded = <I>(layout: Struct.Layout<unknown, I>, argument: I, code: number, name: string): Uint8Array => {
  const memory = memoryFor(code, layout.size)
  layout.set(viewOf(memory), 0, argument, name)
  return memory
}

const result = (value: number): number => value

/**
 * A request that takes nothing and gives the number that the kernel returns.
 *
 * @category requests
 * @since 0.1.0
 */
export const none = <D, E = IoctlError>(
  _device: D,
  code: number,
  options?: RequestOptions<E>
): Request<D, void, number, E> => request(code, options, "in", () => 0, result)

/**
 * A request whose argument is passed as it is, without memory; gives the number that the kernel returns.
 *
 * @category requests
 * @since 0.1.0
 */
export const value = <D, E = IoctlError>(
  _device: D,
  code: number,
  options?: RequestOptions<E>
): Request<D, number | bigint, number, E> => request(code, options, "in", (argument) => argument, result)

/**
 * A request that takes nothing and gives what the kernel writes.
 *
 * @example
 * ```ts
 * import { Ioctl, Struct } from "effect-linux"
 *
 * const Thermometer = Ioctl.device("Thermometer")
 * const READ_CELSIUS = Ioctl.read(Thermometer, Ioctl._IOR("t", 1, Struct.i32), Struct.i32)
 * ```
 *
 * @category requests
 * @since 0.1.0
 */
export const read = <D, A, E = IoctlError>(
  _device: D,
  code: number,
  layout: Struct.Layout<A, never>,
  options?: RequestOptions<E>
): Request<D, void, A, E> =>
  request(
    code,
    options,
    "inOut",
    () => memoryFor(code, layout.size),
    (_, memory) => layout.get(viewOf(memory), 0)
  )

/**
 * A request that takes what the kernel reads and gives the number that it returns.
 *
 * @category requests
 * @since 0.1.0
 */
export const write = <D, I, E = IoctlError>(
  _device: D,
  code: number,
  layout: Struct.Layout<unknown, I>,
  options?: RequestOptions<E>
): Request<D, I, number, E> => {
  const name = nameOf(code, options)
  return request(code, options, "in", (argument) => encoded(layout, argument, code, name), result)
}

/**
 * A request that takes what the kernel reads and gives what it writes to the same memory.
 *
 * @category requests
 * @since 0.1.0
 */
export const writeRead = <D, A, I, E = IoctlError>(
  _device: D,
  code: number,
  layout: Struct.Layout<A, I>,
  options?: RequestOptions<E>
): Request<D, I, A, E> => {
  const name = nameOf(code, options)
  return request(
    code,
    options,
    "inOut",
    (argument) => encoded(layout, argument, code, name),
    (_, memory) => layout.get(viewOf(memory), 0)
  )
}

/**
 * How a request is made that none of the other constructors fits.
 *
 * @category requests
 * @since 0.1.0
 */
export interface MakeOptions<A, R, E> extends RequestOptions<E> {
  /**
   * The argument as the kernel gets it: a value, or memory, which is the caller's and must be made anew each time. A
   * `RangeError` thrown here is the request's `EINVAL`.
   */
  readonly encode: (argument: A) => number | bigint | Uint8Array
  /** The result, from the number that the kernel returned and the memory after the call (empty where it was a value). */
  readonly decode: (result: number, memory: Uint8Array) => R
  /** Files that the argument names by their numbers: see {@link fdOf}. */
  readonly files?: (argument: A) => ReadonlyArray<File<unknown>>
}

/**
 * A request of any form: arrays of a length that is known when it is made, arguments that are not the kernel's own.
 *
 * @example
 * ```ts
 * import { Ioctl } from "effect-linux"
 *
 * const Joystick = Ioctl.device("Joystick")
 *
 * // JSIOCGNAME(length) of linux/joystick.h: a text of at most so many bytes
 * const JSIOCGNAME = (length: number) =>
 *   Ioctl.make(Joystick, Ioctl._IOR("j", 0x13, length), {
 *     name: "JSIOCGNAME",
 *     encode: (_: undefined) => new Uint8Array(length),
 *     decode: (count, memory) => new TextDecoder().decode(memory.subarray(0, count))
 *   })
 * ```
 *
 * @category requests
 * @since 0.1.0
 */
export const make = <D, A, R, E = IoctlError>(
  _device: D,
  code: number,
  options: MakeOptions<A, R, E>
): Request<D, A, R, E> => {
  const made: Request<D, A, R, E> = request(
    code,
    options,
    "inOut",
    (argument: A) => {
      const prepared = options.encode(argument)
      if (!(prepared instanceof Uint8Array) || code >>> 30 !== 0) return prepared
      const memory = memoryFor(code, prepared.length)
      memory.set(prepared)
      keep(memory, prepared)
      return memory
    },
    (value, prepared) => options.decode(value, prepared instanceof Uint8Array ? prepared : nothing)
  )
  return options.files === undefined ? made : { ...made, files: options.files }
}

const nothing = new Uint8Array(0)

const kept = new WeakMap<Uint8Array, unknown>()

/** Keeps what memory points to alive for as long as the memory is. */
export const keep = (memory: Uint8Array, pointedTo: unknown): Uint8Array => {
  kept.set(memory, pointedTo)
  return memory
}

/** What {@link keep} was given for the memory, through the larger memory that {@link make} may have put in its place. */
export const keptOf = (memory: Uint8Array): unknown => {
  const pointedTo = kept.get(memory)
  return pointedTo instanceof Uint8Array && kept.has(pointedTo) ? kept.get(pointedTo) : pointedTo
}

/**
 * A request that opens a descriptor of a device `opened`: made with `File.ioctlOpen`. The argument is passed as it is.
 *
 * @category requests
 * @since 0.1.0
 */
export const opensWith = <D, Opened, E = IoctlError>(
  device: D,
  code: number,
  _opened: Opened,
  options?: RequestOptions<E>
): OpeningRequest<D, number | bigint, Opened, E> => opening(value(device, code, options))

/**
 * A request that takes nothing and opens a descriptor of a device `opened`: made with `File.ioctlOpen`.
 *
 * @category requests
 * @since 0.1.0
 */
export const opens = <D, Opened, E = IoctlError>(
  device: D,
  code: number,
  _opened: Opened,
  options?: RequestOptions<E>
): OpeningRequest<D, void, Opened, E> => opening(none(device, code, options))

const opening = <D, A, Opened, E>(self: Request<D, A, number, E>): OpeningRequest<D, A, Opened, E> => ({
  ...self,
  "~effect-linux/Opened": () => {
    throw new Error("the opened device is only a type")
  }
})

/**
 * The number of a file that an argument names, for {@link make}. Name the file in `files` too, so that it stays open
 * while the request waits.
 *
 * @category requests
 * @since 0.1.0
 */
export const fdOf = (file: File<unknown>): number => {
  const self = isDescriptor(file) ? file : notAFile
  if (self.closed) throw new Misuse(codes.EBADF, `the File ${self.fd} in the argument is closed`)
  return self.fd
}
