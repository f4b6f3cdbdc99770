/**
 * Guest memory as the tables of this folder are written to and read from it: by physical address, over several regions.
 */
import type { GuestMemory } from "../memory.ts"
import { broken, hex } from "./rules.ts"

/**
 * The memory that tables are written to: a region, several, or all that a machine has (`Kvm.guestMemory`).
 *
 * @category models
 * @since 0.1.0
 */
export type PhysicalMemory = GuestMemory | ReadonlyArray<GuestMemory> | { readonly regions: ReadonlyArray<GuestMemory> }

const regionsOf = (memory: PhysicalMemory): ReadonlyArray<GuestMemory> =>
  "guestAddress" in memory ? [memory] : "regions" in memory ? memory.regions : memory

/** The bytes at an address, if they all lie in one region that is still there. */
export const lookAt = (memory: PhysicalMemory, address: bigint, length: number): DataView | undefined => {
  for (const { bytes, guestAddress } of regionsOf(memory)) {
    const offset = address - guestAddress
    if (offset >= 0n && offset + BigInt(length) <= BigInt(bytes.length)) {
      return new DataView(bytes.buffer, bytes.byteOffset + Number(offset), length)
    }
  }
  return undefined
}

/** The same, for what must be there. */
export const viewOf = (memory: PhysicalMemory, address: bigint, length: number, what: string): DataView =>
  lookAt(memory, address, length) ??
  broken("memory.range", what, `${length} bytes at ${hex(address)} are outside, or in several regions`)

/** Writes bytes. */
export const put = (memory: PhysicalMemory, address: bigint, bytes: Uint8Array, what: string): void => {
  const view = viewOf(memory, address, bytes.length, what)
  new Uint8Array(view.buffer, view.byteOffset, bytes.length).set(bytes)
}
