/**
 * Typed `ioctl` requests: each knows its number, what it takes, what it gives, and which device understands it.
 *
 * `ioctl` passes a pointer to whatever a driver makes of it, so a request sent to the wrong device, or with the wrong
 * structure, can overwrite memory. Here a request is a value tied to a device, `File.ioctl` refuses one of another device
 * at compile time, and the memory is made from the request's own layout.
 *
 * @since 0.1.0
 */
import { type IoctlError, ioctl as ioctlErrors } from "./errors/calls.ts"
import type { CallErrors } from "./errors/registry.ts"
import type { Argument } from "./internal/native.ts"
import type * as Struct from "./Struct.ts"

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
  /** The argument as the kernel gets it; memory is made anew for each call. */
  readonly prepare: (argument: A) => Argument
  readonly decode: (result: number, prepared: Argument) => R
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
}

const unused = (): void => {}

const request = <D, A, R, E>(
  code: number,
  options: RequestOptions<E> & { readonly errors: CallErrors<E> },
  prepare: (argument: A) => Argument,
  decode: (result: number, prepared: Argument) => R
): Request<D, A, R, E> => ({
  "~effect-linux/Request": unused,
  code,
  name: options.name ?? `0x${code.toString(16)}`,
  errors: options.errors,
  prepare,
  decode
})

// Without `errors` the type parameter is IoctlError, which is what ioctlErrors makes.
const withErrors = <E>(options: RequestOptions<E> | undefined) => ({
  ...options,
  errors: options?.errors ?? (ioctlErrors as CallErrors<unknown> as CallErrors<E>)
})

const memoryOf = (prepared: Argument): Uint8Array => {
  if (prepared instanceof Uint8Array) return prepared
  throw new TypeError("the request was prepared without memory")
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
): Request<D, void, number, E> => request(code, withErrors(options), () => 0, result)

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
): Request<D, number | bigint, number, E> => request(code, withErrors(options), (argument) => argument, result)

/**
 * A request that takes nothing and gives what the kernel writes.
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
    withErrors(options),
    () => new Uint8Array(layout.size),
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
): Request<D, I, number, E> => request(code, withErrors(options), (argument) => encoded(layout, argument, code), result)

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
): Request<D, I, A, E> =>
  request(
    code,
    withErrors(options),
    (argument) => encoded(layout, argument, code),
    (_, memory) => layout.get(viewOf(memory), 0)
  )

const viewOf = (prepared: Argument): DataView => {
  const memory = memoryOf(prepared)
  return new DataView(memory.buffer, memory.byteOffset, memory.byteLength)
}

const encoded = <I>(layout: Struct.Layout<unknown, I>, argument: I, code: number): Uint8Array => {
  const memory = new Uint8Array(layout.size)
  layout.set(viewOf(memory), 0, argument, `0x${code.toString(16)}`)
  return memory
}
