/**
 * Finding guest memory by the guest's addresses, and what is not there: what the functions of `address-space.ts` share.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { EINVAL } from "../errors/errnos.ts"
import { Misuse, misuseOf } from "../internal/invoke.ts"
import { type AddressSpace, type GuestMemory, GuestMemoryState, memoryOf, Regions } from "./memory-model.ts"
import { type Vm, VmState } from "./vm.ts"

/**
 * The guest has no memory there: `missing` is the first address from `address` on, of `length` bytes, that is in no
 * region, or in one that was released.
 *
 * @category errors
 * @since 0.1.0
 */
export class OutOfGuestMemory extends Data.TaggedError("OutOfGuestMemory")<{
  readonly address: bigint
  /** In bytes. */
  readonly length: number
  readonly missing: bigint
}> {
  override get message(): string {
    const end = this.length === 1 ? "" : ` (of ${this.length} bytes from 0x${this.address.toString(16)} on)`
    return `the guest has no memory at 0x${this.missing.toString(16)}${end}`
  }
}

/**
 * What reading and writing guest memory fails with; `EINVAL` is for arguments that are no addresses, lengths or values of
 * their type.
 *
 * @category errors
 * @since 0.1.0
 */
export type GuestMemoryError = OutOfGuestMemory | EINVAL

/**
 * Memory that can be read and written at guest addresses: all that a machine has, or one of its address spaces
 * (`Kvm.guestMemory`), or one region.
 *
 * @category models
 * @since 0.1.0
 */
export type Memory = Vm | AddressSpace | GuestMemory

/** Where in a region an access begins: `find` leaves the offset here, as a record for each would cost more than the access. */
export let found = 0

const inRegion = (region: GuestMemoryState, address: number | bigint): GuestMemoryState | undefined => {
  const offset = typeof address === "number" ? address - region.start : Number(address - region.guestAddress)
  if (!(offset >= 0 && offset < region.size)) return undefined
  found = offset
  return region
}

const inSpace = (space: Regions, address: number | bigint): GuestMemoryState | undefined => {
  const region = typeof address === "number" ? space.at(address) : space.atLarge(address)
  return region === undefined ? undefined : inRegion(region, address)
}

/** The region of an address, where it can be reached. */
export const find = (memory: Memory, address: number | bigint): GuestMemoryState | undefined => {
  const region =
    memory instanceof GuestMemoryState
      ? inRegion(memory, address)
      : memory instanceof Regions
        ? inSpace(memory, address)
        : memory instanceof VmState
          ? inSpace(memoryOf(memory).space(0), address)
          : notMemory()
  return region?.present === true ? region : undefined
}

const notMemory = (): never => {
  throw new TypeError("memory: expected a Vm, a GuestMemory, or what guestMemory gives")
}

/** An address as a number, where that is exact. */
export const addressOf = (address: number | bigint): number | bigint => {
  if (typeof address === "bigint") {
    if (address < 0n) throw new Misuse(0, `address: ${address} is negative`)
    return address <= Number.MAX_SAFE_INTEGER ? Number(address) : address
  }
  if (typeof address !== "number") throw new TypeError(`address: expected a number or a bigint, got ${typeof address}`)
  if (!Number.isSafeInteger(address) || address < 0) throw new Misuse(0, `address: ${address} is no address`)
  return address
}

export const lengthOf = (length: number, name = "length"): number => {
  if (typeof length !== "number") throw new TypeError(`${name}: expected a number, got ${typeof length}`)
  if (!Number.isSafeInteger(length) || length < 0) throw new Misuse(0, `${name}: ${length} is no length`)
  return length
}

export const plus = (address: number | bigint, offset: number): number | bigint =>
  addressOf(BigInt(address) + BigInt(offset))

/** The part of an access that lies in one region. */
export interface Piece {
  readonly region: GuestMemoryState
  /** In the region. */
  readonly at: number
  readonly length: number
}

export const missing = (address: number | bigint, length: number, at: number | bigint): OutOfGuestMemory =>
  new OutOfGuestMemory({ address: BigInt(address), length, missing: BigInt(at) })

/** All parts of an access, found before the first of them is made. */
export const piecesOf = (memory: Memory, address: number | bigint, length: number): ReadonlyArray<Piece> => {
  const pieces: Array<Piece> = []
  let done = 0
  while (done < length) {
    const next = done === 0 ? address : plus(address, done)
    const region = find(memory, next)
    if (region === undefined) throw missing(address, length, next)
    const count = Math.min(length - done, region.size - found)
    pieces.push({ region, at: found, length: count })
    done += count
  }
  return pieces
}

const failed = (thrown: unknown): Exit.Exit<never, GuestMemoryError> => {
  if (thrown instanceof OutOfGuestMemory) return Exit.fail(thrown)
  return Exit.fail(new EINVAL({ detail: misuseOf(thrown).detail }))
}

/**
 * Runs what throws a `Misuse` or an `OutOfGuestMemory`. A fiber gives way to others after so many operations, whatever each
 * costs: each 16 KiB of these `bytes` counts as one, so that the loop is not held up by many copies.
 */
export const attempt = <A>(f: () => A, bytes = 0): Effect.Effect<A, GuestMemoryError> =>
  Effect.withFiber((fiber): Exit.Exit<A, GuestMemoryError> => {
    try {
      const running: { currentOpCount: number } = fiber
      running.currentOpCount += bytes >>> 14
      return Exit.succeed(f())
    } catch (thrown) {
      return failed(thrown)
    }
  })

/** More than this is copied in pieces, between which the loop turns: fresh pages take the kernel a millisecond or two. */
export const atOnce = 1 << 20

/** Makes a copy of `length` bytes piece by piece, when `check` has not thrown. */
export const inPieces = (
  length: number,
  check: () => void,
  copy: (done: number, count: number) => void
): Effect.Effect<void, GuestMemoryError> => {
  const from = (done: number): Effect.Effect<void, GuestMemoryError> => {
    const count = Math.min(length - done, atOnce)
    const piece = attempt(() => copy(done, count))
    return done + count === length
      ? piece
      : Effect.flatMap(Effect.andThen(piece, Effect.yieldNow), () => from(done + count))
  }
  return Effect.flatMap(attempt(check), () => from(0))
}

/** All regions, by their addresses. */
export const regionsOf = (memory: Memory): ReadonlyArray<GuestMemoryState> =>
  memory instanceof GuestMemoryState
    ? [memory]
    : memory instanceof Regions
      ? memory.list
      : memory instanceof VmState
        ? memoryOf(memory).space(0).list
        : notMemory()

/** The bytes of a range themselves, a view for each region that it lies in. */
export const viewsOf = (
  memory: Memory,
  address: number | bigint,
  length: number
): Effect.Effect<ReadonlyArray<Uint8Array>, GuestMemoryError> =>
  attempt(() =>
    piecesOf(memory, addressOf(address), lengthOf(length)).map(({ at, length: count, region }) =>
      region.bytes.subarray(at, at + count)
    )
  )
