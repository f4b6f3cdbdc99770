/**
 * Reading and writing guest memory at the guest's addresses: within one region or across several that lie side by side,
 * with bounds checked before anything is touched. What memory a guest has is said in `memory.ts`.
 */
import * as Effect from "effect/Effect"
import { Misuse } from "../internal/invoke.ts"
import * as Struct from "../Struct.ts"
import {
  addressOf,
  atOnce,
  attempt,
  find,
  found,
  type GuestMemoryError,
  inPieces,
  lengthOf,
  type Memory,
  missing,
  type Piece,
  piecesOf,
  plus
} from "./address-find.ts"
import { type AddressSpace, memoryOf } from "./memory-model.ts"
import type { Vm } from "./vm.ts"

export { type GuestMemoryError, type Memory, OutOfGuestMemory } from "./address-find.ts"

/**
 * All memory of a machine, as its guest sees it: regions that `Kvm.addMemory` and `Kvm.aliasMemory` gave it, now or later.
 * `addressSpace` is the number of another address space than the one that CPUs see first: on x86_64 1 is what they see in
 * system management mode.
 *
 * **Details**
 *
 * The guest may run meanwhile: it is the same memory, and no order is kept between it and the guest's accesses, beyond
 * what the processor keeps. Where a region is read-only for the guest, the host writes all the same. Memory that was set by
 * `Kvm.setUserMemoryRegion` is not in it: the library does not know what is at its address.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Abi, Kvm } from "effect-linux"
 *
 * const example = (vm: Kvm.Vm, code: Uint8Array) =>
 *   Effect.gen(function* () {
 *     yield* Kvm.writeMemory(vm, 0x1000, code)
 *     yield* Kvm.writeStruct(vm, 0x2000, Abi.timespec, { tv_sec: 1n, tv_nsec: 0n })
 *     const value = yield* Kvm.readU32(vm, 0x3000)
 *     return { value, regions: Kvm.guestMemory(vm).regions }
 *   })
 * ```
 *
 * @category guest memory
 * @since 0.1.0
 */
export const guestMemory = (vm: Vm, options: { readonly addressSpace?: number | undefined } = {}): AddressSpace =>
  memoryOf(vm).space(options.addressSpace ?? 0)

// ---------------------------------------------------------------------------------------------------------------------
// bytes
// ---------------------------------------------------------------------------------------------------------------------

const copyOut = (memory: Memory, address: number | bigint, bytes: Uint8Array): void => {
  const { length } = bytes
  const region = find(memory, address)
  if (region !== undefined && found + length <= region.size) {
    bytes.set(length === region.size ? region.bytes : region.bytes.subarray(found, found + length))
    return
  }
  let done = 0
  for (const piece of piecesOf(memory, address, length)) {
    bytes.set(piece.region.bytes.subarray(piece.at, piece.at + piece.length), done)
    done += piece.length
  }
}

const copyIn = (memory: Memory, address: number | bigint, bytes: Uint8Array): void => {
  const { length } = bytes
  const region = find(memory, address)
  if (region !== undefined && found + length <= region.size) {
    region.bytes.set(bytes, found)
    return
  }
  let done = 0
  for (const piece of piecesOf(memory, address, length)) {
    piece.region.bytes.set(bytes.subarray(done, done + piece.length), piece.at)
    done += piece.length
  }
}

const bytesOf = (bytes: Uint8Array): Uint8Array => {
  if (!(bytes instanceof Uint8Array)) throw new TypeError(`bytes: expected a Uint8Array, got ${typeof bytes}`)
  return bytes
}

/**
 * A copy of `length` bytes from a guest address on.
 *
 * Fails with `OutOfGuestMemory` where not all of them are in regions that adjoin. More than 1 MiB are copied in pieces,
 * between which the event loop turns.
 *
 * @category guest memory
 * @since 0.1.0
 */
export const readMemory = (
  memory: Memory,
  address: number | bigint,
  length: number
): Effect.Effect<Uint8Array, GuestMemoryError> => {
  // Found before there is room made for it: a length may be the guest's.
  const room = () => {
    piecesOf(memory, addressOf(address), lengthOf(length))
    return new Uint8Array(length)
  }
  if (length > atOnce)
    return Effect.flatMap(attempt(room), (bytes) => Effect.as(readMemoryInto(memory, address, bytes), bytes))
  return attempt(() => {
    const from = addressOf(address)
    const region = find(memory, from)
    if (region !== undefined && found + lengthOf(length) <= region.size)
      return region.bytes.slice(found, found + length)
    const bytes = room()
    copyOut(memory, from, bytes)
    return bytes
  }, length)
}

/**
 * Fills a buffer with the bytes from a guest address on, all of it or, where there is not so much memory, nothing. More
 * than 1 MiB are copied in pieces, between which the event loop turns.
 *
 * @category guest memory
 * @since 0.1.0
 */
export const readMemoryInto = (
  memory: Memory,
  address: number | bigint,
  bytes: Uint8Array
): Effect.Effect<void, GuestMemoryError> => {
  const length = bytes instanceof Uint8Array ? bytes.length : 0
  if (length <= atOnce) return attempt(() => copyOut(memory, addressOf(address), bytesOf(bytes)), length)
  return inPieces(
    length,
    () => piecesOf(memory, addressOf(address), length),
    (done, count) => copyOut(memory, plus(address, done), bytes.subarray(done, done + count))
  )
}

/**
 * Writes bytes to a guest address, all of them or, where there is not so much memory, none. More than 1 MiB are copied in
 * pieces, between which the event loop turns.
 *
 * @category guest memory
 * @since 0.1.0
 */
export const writeMemory = (
  memory: Memory,
  address: number | bigint,
  bytes: Uint8Array
): Effect.Effect<void, GuestMemoryError> => {
  const length = bytes instanceof Uint8Array ? bytes.length : 0
  if (length <= atOnce) return attempt(() => copyIn(memory, addressOf(address), bytesOf(bytes)), length)
  return inPieces(
    length,
    () => piecesOf(memory, addressOf(address), length),
    (done, count) => copyIn(memory, plus(address, done), bytes.subarray(done, done + count))
  )
}

/**
 * Sets `length` bytes from a guest address on to one value: 0 unless said.
 *
 * @category guest memory
 * @since 0.1.0
 */
export const fillMemory = (
  memory: Memory,
  address: number | bigint,
  length: number,
  value = 0
): Effect.Effect<void, GuestMemoryError> => {
  const check = () => {
    if (!Number.isInteger(value) || value < 0 || value > 0xff) throw new Misuse(0, `value: ${value} is no byte`)
    return piecesOf(memory, addressOf(address), lengthOf(length))
  }
  const fill = (pieces: ReadonlyArray<Piece>) => {
    for (const { at, length: count, region } of pieces) region.bytes.fill(value, at, at + count)
  }
  return length > atOnce
    ? inPieces(length, check, (done, count) => fill(piecesOf(memory, plus(address, done), count)))
    : attempt(() => fill(check()), length)
}

/**
 * The bytes from a guest address on themselves, not a copy: for devices that work in the guest's memory. They must lie in
 * one region; the view has length 0 once that is released.
 *
 * @category guest memory
 * @since 0.1.0
 */
export const viewMemory = (
  memory: Memory,
  address: number | bigint,
  length: number
): Effect.Effect<Uint8Array, GuestMemoryError> =>
  attempt(() => {
    const from = addressOf(address)
    const region = find(memory, from)
    if (region === undefined || found + lengthOf(length) > region.size) {
      throw missing(from, length, region === undefined ? from : region.guestAddress + BigInt(region.size))
    }
    return region.bytes.subarray(found, found + length)
  })

const decoder = new TextDecoder()

/**
 * The text up to the next NUL, as UTF-8; bytes that are none become U+FFFD. A text of more than `maxLength` bytes (4,096)
 * fails with `EINVAL`.
 *
 * @category guest memory
 * @since 0.1.0
 */
export const readCString = (
  memory: Memory,
  address: number | bigint,
  options: { readonly maxLength?: number | undefined } = {}
): Effect.Effect<string, GuestMemoryError> =>
  attempt(() => {
    const from = addressOf(address)
    const maxLength = lengthOf(options.maxLength ?? 4096, "maxLength")
    const parts: Array<Uint8Array> = []
    let done = 0
    while (done <= maxLength) {
      const next = done === 0 ? from : plus(from, done)
      const region = find(memory, next)
      if (region === undefined) throw missing(from, done + 1, next)
      const part = region.bytes.subarray(found, found + maxLength + 1 - done)
      const end = part.indexOf(0)
      if (end >= 0) {
        parts.push(part.subarray(0, end))
        return parts.map((bytes) => decoder.decode(bytes, { stream: true })).join("") + decoder.decode()
      }
      parts.push(part)
      done += part.length
    }
    throw new Misuse(0, `maxLength: there is no NUL within ${maxLength} bytes`)
  })

// ---------------------------------------------------------------------------------------------------------------------
// values
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The value of a layout at a guest address, which need not be aligned: a number (`Struct.u32`), an array, a structure.
 *
 * @category guest memory
 * @since 0.1.0
 */
export const readStruct = <A>(
  memory: Memory,
  address: number | bigint,
  layout: Struct.Layout<A, never>
): Effect.Effect<A, GuestMemoryError> =>
  attempt(() => {
    const from = addressOf(address)
    const region = find(memory, from)
    if (region !== undefined && found + layout.size <= region.size) return layout.get(region.view, found)
    const bytes = new Uint8Array(layout.size)
    copyOut(memory, from, bytes)
    return layout.get(new DataView(bytes.buffer), 0)
  })

/**
 * Writes a value of a layout to a guest address, which need not be aligned. Bytes between fields stay as they are. A value
 * that does not fit fails with `EINVAL`, and nothing is written.
 *
 * @category guest memory
 * @since 0.1.0
 */
export const writeStruct = <I>(
  memory: Memory,
  address: number | bigint,
  layout: Struct.Layout<unknown, I>,
  value: I
): Effect.Effect<void, GuestMemoryError> =>
  attempt(() => {
    const from = addressOf(address)
    const name = Struct.isStruct(layout) ? layout.name : "value"
    const region = find(memory, from)
    if (region !== undefined && found + layout.size <= region.size) {
      const at = found
      // What is refused halfway is refused before the guest sees any of it.
      if (layout.size > 8) layout.set(new DataView(new ArrayBuffer(layout.size)), 0, value, name)
      layout.set(region.view, at, value, name)
      return
    }
    const bytes = new Uint8Array(layout.size)
    copyOut(memory, from, bytes)
    layout.set(new DataView(bytes.buffer), 0, value, name)
    copyIn(memory, from, bytes)
  })

const reading =
  <A>(layout: Struct.Layout<A, never>) =>
  (memory: Memory, address: number | bigint): Effect.Effect<A, GuestMemoryError> =>
    readStruct(memory, address, layout)

const writing =
  <I>(layout: Struct.Layout<unknown, I>) =>
  (memory: Memory, address: number | bigint, value: I): Effect.Effect<void, GuestMemoryError> =>
    writeStruct(memory, address, layout, value)

/** How a value of one type is read. */
type Reading<A> = (memory: Memory, address: number | bigint) => Effect.Effect<A, GuestMemoryError>
/** How a value of one type is written. */
type Writing<I> = (memory: Memory, address: number | bigint, value: I) => Effect.Effect<void, GuestMemoryError>

/**
 * The unsigned byte at a guest address.
 *
 * @category guest memory
 * @since 0.1.0
 */
export const readU8: Reading<number> = reading(Struct.u8)

/**
 * The unsigned number of 16 bits at a guest address, little-endian.
 *
 * @category guest memory
 * @since 0.1.0
 */
export const readU16: Reading<number> = reading(Struct.u16)

/**
 * The unsigned number of 32 bits at a guest address, little-endian.
 *
 * @category guest memory
 * @since 0.1.0
 */
export const readU32: Reading<number> = reading(Struct.u32)

/**
 * The unsigned number of 64 bits at a guest address, little-endian.
 *
 * @category guest memory
 * @since 0.1.0
 */
export const readU64: Reading<bigint> = reading(Struct.u64)

/**
 * Writes a byte, from 0 to 255, to a guest address.
 *
 * @category guest memory
 * @since 0.1.0
 */
export const writeU8: Writing<number> = writing(Struct.u8)

/**
 * Writes an unsigned number of 16 bits to a guest address, little-endian.
 *
 * @category guest memory
 * @since 0.1.0
 */
export const writeU16: Writing<number> = writing(Struct.u16)

/**
 * Writes an unsigned number of 32 bits to a guest address, little-endian.
 *
 * @category guest memory
 * @since 0.1.0
 */
export const writeU32: Writing<number> = writing(Struct.u32)

/**
 * Writes an unsigned number of 64 bits to a guest address, little-endian.
 *
 * @category guest memory
 * @since 0.1.0
 */
export const writeU64: Writing<bigint> = writing(Struct.u64)
