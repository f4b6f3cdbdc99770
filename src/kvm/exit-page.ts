/** Reading the run page's union, and writing answers to it: what all decoding of exits is made of. */
import * as Effect from "effect/Effect"
import { codes } from "../errors/errnos.ts"
import { errorsOf } from "../errors/registry.ts"
import { Misuse, misuseOf } from "../internal/invoke.ts"
import type * as Struct from "../Struct.ts"
import type { RespondError, RespondNumber } from "./exit.ts"
import { kvm_run, kvm_run_exit } from "./structs.ts"

/** What decoding needs of a vCPU. */
export interface RunPage {
  readonly bytes: Uint8Array
  /** `EBADF` if the vCPU is closed, `EINVAL` if the guest has been run since this check was made; else undefined. */
  readonly makeStale: () => () => Misuse | undefined
}

const respondErrors = errorsOf("ioctl", ["EBADF", "EINVAL"])

/** Where the union of details lies in the run page. */
export const details = kvm_run.fields.exit.offset

export const member = <K extends keyof typeof kvm_run_exit.fields>(name: K) => kvm_run_exit.fields[name].layout

export const littleEndian = (value: number | bigint, width: number): Uint8Array => {
  if (typeof value !== "number" && typeof value !== "bigint") throw new TypeError("value: expected a number or bigint")
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new Misuse(codes.EINVAL, `value: ${value} is no safe integer`)
  }
  const bits = BigInt(value)
  if (bits < 0n || bits >> BigInt(8 * width) !== 0n) {
    throw new Misuse(codes.EINVAL, `value: ${value} does not fit in ${width} bytes`)
  }
  return Uint8Array.from({ length: width }, (_, index) => Number((bits >> BigInt(8 * index)) & 0xffn))
}

const bytesOf = (value: number | bigint | Uint8Array, size: number, count: number): Uint8Array => {
  if (value instanceof Uint8Array) {
    if (value.length === size * count) return value
    throw new Misuse(codes.EINVAL, `value: expected ${size * count} bytes, got ${value.length}`)
  }
  if (typeof value !== "number" && typeof value !== "bigint") {
    throw new TypeError("value: expected a number, bigint or Uint8Array")
  }
  if (count !== 1)
    throw new Misuse(codes.EINVAL, `value: expected ${size * count} bytes for ${count} reads, got a number`)
  return littleEndian(value, size)
}

/** Writes the answer that a guest reads, in the commonest form without any memory of its own. */
export const put = (
  bytes: Uint8Array,
  at: number,
  value: number | bigint | Uint8Array,
  size: number,
  count: number
): void => {
  // 2^(8 · size), also of 4 bytes, where a shift would not do.
  if (count === 1 && typeof value === "number" && size <= 4 && value >= 0 && value < 2 ** (8 * size)) {
    const whole = value >>> 0
    if (whole === value) {
      for (let index = 0; index < size; index++) bytes[at + index] = whole >>> (8 * index)
      return
    }
  }
  bytes.set(bytesOf(value, size, count), at)
}

export const answer = (stale: () => Misuse | undefined, write: () => void): Effect.Effect<void, RespondError> =>
  Effect.suspend(() => {
    try {
      const misuse = stale()
      if (misuse !== undefined) throw misuse
      write()
      return Effect.void
    } catch (thrown) {
      const { code, detail } = misuseOf(thrown)
      return Effect.fail(respondErrors.make(code, undefined, undefined, `KVM_RUN: ${detail}`))
    }
  })

/** An answer that is a number of a field's width. */
export const respondTo = (page: RunPage, at: number, width = 8): RespondNumber => {
  const stale = page.makeStale()
  return (value) => answer(stale, () => page.bytes.set(littleEndian(value, width), at))
}

/** An answer with the type of a field. */
export const respondWith = <I>(page: RunPage, at: number, layout: Struct.Layout<unknown, I>, name: string) => {
  const stale = page.makeStale()
  return (value: I) =>
    answer(stale, () => layout.set(new DataView(page.bytes.buffer, page.bytes.byteOffset), at, value, name))
}

/** Above this many bytes a copy in one piece is quicker than byte by byte. */
const fewBytes = 16

export const copyOf = (bytes: Uint8Array, at: number, length: number): Uint8Array => {
  if (length > fewBytes) return bytes.slice(at, at + length)
  const copy = new Uint8Array(length)
  for (let index = 0; index < length; index++) copy[index] = bytes[at + index] ?? 0
  return copy
}

export const word16 = (bytes: Uint8Array, at: number): number => (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)

export const word32 = (bytes: Uint8Array, at: number): number =>
  (word16(bytes, at) | (word16(bytes, at + 2) << 16)) >>> 0

const halves = new Uint32Array(2)
const whole = new BigUint64Array(halves.buffer)

export const word64 = (bytes: Uint8Array, at: number): bigint => {
  halves[0] = word32(bytes, at)
  halves[1] = word32(bytes, at + 4)
  return whole[0] ?? 0n
}
