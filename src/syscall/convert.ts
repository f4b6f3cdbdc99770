/**
 * Between what callers have and what calls take and give, where that is more than one number: lists of buffers, signal
 * sets, spans of time, results. Not part of the public surface.
 */
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import type * as Abi from "../Abi.ts"
import { codes } from "../errors/errnos.ts"
import { type Buffer, bufferLength, long } from "../internal/arguments.ts"
import {
  PR_GET_CHILD_SUBREAPER,
  PR_GET_ENDIAN,
  PR_GET_FPEMU,
  PR_GET_FPEXC,
  PR_GET_NAME,
  PR_GET_PDEATHSIG,
  PR_GET_TID_ADDRESS,
  PR_GET_TSC,
  PR_GET_UNALIGN
} from "../internal/constants.ts"
import { Misuse } from "../internal/invoke.ts"
import type { Argument, Result } from "../internal/native.ts"

export const nothing = (): void => {}

/** A result as a number, where that is exact. */
export const number = (result: Result): number => {
  if (typeof result === "number") return result
  throw new Misuse(codes.EOVERFLOW, `the result ${result} is not exact as a number`)
}

/** The memory at a place of a call's arguments, which its description put there. */
export const memoryAt = (args: ReadonlyArray<Argument>, index: number): Uint8Array => {
  const memory = args[index]
  if (memory instanceof Uint8Array) return memory
  throw new TypeError(`argument ${index + 1} is no memory`)
}

/** A buffer of which a call uses `size` bytes, as its other arguments say. */
export const atLeast = <B extends Buffer | number | bigint | null>(
  name: string,
  buffer: B,
  size: number | bigint
): B => {
  if (typeof buffer !== "object" || buffer === null) return buffer
  if (BigInt(Number.isFinite(Number(size)) ? Math.ceil(Number(size)) : 0) > BigInt(bufferLength(name, buffer))) {
    throw new Misuse(
      codes.EFAULT,
      `${name}: the call uses ${size} bytes of it, and it has ${bufferLength(name, buffer)}`
    )
  }
  return buffer
}

/** The bytes that options of prctl write to the memory of their second argument. */
const prctlSizes = new Map([
  [PR_GET_PDEATHSIG, 4],
  [PR_GET_UNALIGN, 4],
  [PR_GET_FPEMU, 4],
  [PR_GET_FPEXC, 4],
  [PR_GET_ENDIAN, 4],
  [PR_GET_TSC, 4],
  [PR_GET_NAME, 16],
  [PR_GET_CHILD_SUBREAPER, 4],
  [PR_GET_TID_ADDRESS, 8]
])

export const prctlSize = (option: number): number => prctlSizes.get(option) ?? 0

/** A place in a file as the kernel takes it, in memory where it leaves the place after; null for the file's own offset. */
export const offsetMemory = (name: string, offset: number | bigint | null): Uint8Array | null =>
  offset === null ? null : new Uint8Array(BigInt64Array.of(BigInt(long(name, offset))).buffer)

/** The most buffers that the kernel takes: UIO_MAXIOV. */
const mostBuffers = 1024

/** A list of buffers for a scattered or gathered transfer: a copy, as getting an element could change the list. */
export const bufferList = (name: string, list: ReadonlyArray<Buffer>): ReadonlyArray<Buffer> => {
  if (!Array.isArray(list)) throw new TypeError(`${name}: expected an array of buffers or views`)
  if (list.length > mostBuffers) {
    throw new Misuse(codes.EINVAL, `${name}: ${list.length} buffers, and the kernel takes ${mostBuffers}`)
  }
  return Array.from(list, (buffer, index) => {
    bufferLength(`${name}[${index}]`, buffer)
    return buffer
  })
}

/** The same with its length, as two arguments of a call: that of the copy, whatever the list has become. */
export const bufferVector = (
  name: string,
  list: ReadonlyArray<Buffer>
): [list: ReadonlyArray<Buffer>, length: number] => {
  const copy = bufferList(name, list)
  return [copy, copy.length]
}

const highestSignal = 64

/** Signal numbers as the kernel's set of 64 bits. */
export const signalSet = (name: string, signals: ReadonlyArray<number>): Uint8Array => {
  if (!Array.isArray(signals)) throw new TypeError(`${name}: expected an array of signal numbers`)
  const set = new Uint8Array(highestSignal / 8)
  for (const signal of signals) {
    if (!Number.isInteger(signal) || signal < 1 || signal > highestSignal) {
      throw new Misuse(codes.EINVAL, `${name}: ${signal} is no signal number`)
    }
    const index = (signal - 1) >> 3
    set[index] = (set[index] ?? 0) | (1 << ((signal - 1) & 7))
  }
  return set
}

/** The signal numbers of a set, in order. */
export const signalsOf = (set: Uint8Array): ReadonlyArray<number> =>
  Array.from({ length: highestSignal }, (_, index) => index + 1).filter(
    (signal) => ((set[(signal - 1) >> 3] ?? 0) & (1 << ((signal - 1) & 7))) !== 0
  )

const billion = 1_000_000_000n

/** A span of time as the kernel has it. */
export const toTimespec = (name: string, input: Duration.Input | Abi.timespec): Abi.timespec => {
  if (Predicate.hasProperty(input, "tv_sec")) return input as Abi.timespec
  const duration = Duration.fromInputUnsafe(input as Duration.Input)
  const nanos = Duration.isFinite(duration) ? Duration.toNanosUnsafe(duration) : undefined
  if (nanos === undefined) throw new Misuse(codes.EINVAL, `${name}: an infinite duration is no span for the kernel`)
  return { tv_sec: nanos / billion, tv_nsec: nanos % billion }
}
