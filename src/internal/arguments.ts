/**
 * Preparing what a caller passes for the kernel: paths as bytes, numbers within their C type, lengths within their
 * buffer. What the kernel would silently cut or misread is refused here, by name.
 */
import { codes } from "../errors/errnos.ts"
import { Misuse } from "./invoke.ts"
import type { Argument } from "./native.ts"

/** A path or name: Linux takes any bytes but NUL, so a name that is no UTF-8 is passed as bytes. */
export type PathLike = string | Uint8Array

/** Memory that a call reads or writes. */
export type Buffer = ArrayBufferView | ArrayBufferLike

const encoder = new TextEncoder()

const copyOf = (name: string, bytes: Uint8Array): Uint8Array => {
  try {
    return Uint8Array.prototype.slice.call(bytes)
  } catch {
    throw new Misuse(codes.EFAULT, `${name}: its ArrayBuffer is detached`)
  }
}

/** The bytes of a path with the NUL that ends it. */
export const pathBytes = (name: string, path: PathLike): Uint8Array => {
  if (typeof path === "string") {
    if (path.includes("\0")) throw new Misuse(codes.EINVAL, `${name} contains a NUL`)
    // A lone surrogate has no UTF-8: encoding it would name another file.
    if (!path.isWellFormed()) throw new Misuse(codes.EINVAL, `${name} is not well-formed Unicode; pass its bytes`)
    return encoder.encode(`${path}\0`)
  }
  if (!(path instanceof Uint8Array)) throw new TypeError(`${name}: expected a string or a Uint8Array`)
  const bytes = copyOf(name, path)
  if (bytes.includes(0)) throw new Misuse(codes.EINVAL, `${name} contains a NUL`)
  const ended = new Uint8Array(bytes.length + 1)
  ended.set(bytes)
  return ended
}

// For the paths of calls that are over when they return: making memory for each costs as much as half a call.
const scratch = new Uint8Array(1024)

/** The same in memory of this thread that is good until the next path is asked for. */
export const pathForNow = (name: string, path: PathLike): Uint8Array => {
  if (typeof path !== "string" || path.length >= scratch.length) return pathBytes(name, path)
  const { length } = path
  for (let i = 0; i < length; i++) {
    const code = path.charCodeAt(i)
    // What is not plain ASCII is encoded, or refused, by those who know how.
    if (code === 0 || code > 127) return pathBytes(name, path)
    scratch[i] = code
  }
  scratch[length] = 0
  return scratch
}

const wrongType = (name: string, expected: string, value: unknown): never => {
  throw new TypeError(`${name}: expected ${expected}, got ${value === null ? "null" : typeof value}`)
}

/** A descriptor: what is no int cannot be one. */
export const descriptor = (name: string, fd: number): number => {
  if (typeof fd !== "number") wrongType(name, "a number", fd)
  if ((fd | 0) !== fd) throw new Misuse(codes.EBADF, `${name}: ${fd} is no file descriptor`)
  return fd
}

/** An `int` or `unsigned int`: flags, modes, signals, identifiers. The kernel would drop higher bits unseen. */
export const int = (name: string, value: number): number => {
  if (typeof value !== "number") wrongType(name, "a number", value)
  if (!Number.isInteger(value) || value < -0x80000000 || value > 0xffffffff) {
    throw new Misuse(codes.EINVAL, `${name}: ${value} is no integer of 32 bits`)
  }
  return value
}

/** A `loff_t`, `size_t` or other 64-bit value. */
export const long = (name: string, value: number | bigint): number | bigint => {
  if (typeof value === "bigint") {
    if (value < -(2n ** 63n) || value >= 2n ** 64n)
      throw new Misuse(codes.EINVAL, `${name}: ${value} needs over 64 bits`)
    return value
  }
  if (typeof value !== "number") wrongType(name, "a number or bigint", value)
  if (!Number.isSafeInteger(value)) throw new Misuse(codes.EINVAL, `${name}: ${value} is no safe integer`)
  return value
}

const lengthGetter = (prototype: object): (() => number) => {
  const get = Object.getOwnPropertyDescriptor(prototype, "byteLength")?.get
  if (get === undefined) throw new Error("this runtime's buffers have no byteLength")
  return get
}

// The built-in getters: a subclass could say anything of its length, and the kernel would write as much.
const typedArrayLength = lengthGetter(Object.getPrototypeOf(Uint8Array.prototype))
const dataViewLength = lengthGetter(DataView.prototype)
const arrayBufferLength = lengthGetter(ArrayBuffer.prototype)
const sharedLength = lengthGetter(SharedArrayBuffer.prototype)

const trueLength = (name: string, buffer: Buffer): number => {
  if (ArrayBuffer.isView(buffer)) {
    if (!(buffer instanceof DataView)) return typedArrayLength.call(buffer)
    try {
      return dataViewLength.call(buffer)
    } catch {
      // The only thing that it throws for is a detached buffer.
      throw new Misuse(codes.EFAULT, `${name}: its ArrayBuffer is detached`)
    }
  }
  if (buffer instanceof ArrayBuffer) return arrayBufferLength.call(buffer)
  if (buffer instanceof SharedArrayBuffer) return sharedLength.call(buffer)
  return wrongType(name, "a buffer or view", buffer)
}

/** The bytes of a buffer that a call is to use: all of them, or the first `count`. */
export const bufferLength = (name: string, buffer: Buffer, count?: number): number => {
  const length = trueLength(name, buffer)
  if (count === undefined) return length
  if (!Number.isSafeInteger(count) || count < 0) throw new Misuse(codes.EINVAL, `count: ${count} is no length`)
  if (count > length) throw new Misuse(codes.EFAULT, `count: ${count} is past the end of ${name}, which has ${length}`)
  return count
}

/** The argument of `ioctl` and `fcntl`: a word or memory. */
export const word = (name: string, value: Exclude<Argument, ReadonlyArray<Buffer>>): Argument =>
  typeof value === "number" ? long(name, value) : value
