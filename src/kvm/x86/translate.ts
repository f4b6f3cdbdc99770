/**
 * Addresses translated as the processor would, from the page tables in guest memory.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { kvm_sregs } from "../structs.ts"
import { CR0_PG, CR4_LA57, CR4_PAE, CR4_PSE } from "./control.ts"
import { EFER_LMA, EFER_NX, PTE_GLOBAL, PTE_NX, PTE_PAGE_SIZE, PTE_PRESENT, PTE_USER, PTE_WRITABLE } from "./flags.ts"
import { addressMask, formats, isAddress, type PagingMode } from "./paging.ts"
import { lookAt, type PhysicalMemory } from "./physical.ts"
import { checked, type GuestStateError, hex, integer } from "./rules.ts"

/**
 * Where an address leads, and what may be done there.
 *
 * @category models
 * @since 0.1.0
 */
export interface Translation {
  readonly physical: bigint
  /** In bytes; 0 without paging. */
  readonly pageSize: number
  readonly writable: boolean
  /** Whether ring 3 has access. */
  readonly user: boolean
  readonly executable: boolean
  readonly global: boolean
}

/**
 * An address that leads nowhere.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnmappedAddress extends Data.TaggedError("UnmappedAddress")<{
  readonly address: bigint
  /**
   * The mode has no such address; an entry is not present, or has bits that must be zero; or a table lies outside of the
   * memory that is looked at.
   */
  readonly reason: "address" | "present" | "reserved" | "memory"
  /** Of the table whose entry it is: 1 is the last. 0 where there is none. */
  readonly level: number
}> {
  override get message(): string {
    const what = {
      address: "is none that the paging mode has",
      present: `is not mapped, at level ${this.level}`,
      reserved: `meets reserved bits, at level ${this.level}`,
      memory: `needs a table outside of memory, at level ${this.level}`
    }
    return `${hex(this.address)} ${what[this.reason]}`
  }
}

/** What paging depends on. */
export type PagingRegisters = Pick<kvm_sregs, "cr0" | "cr3" | "cr4" | "efer">

/**
 * The paging mode that registers say; undefined without paging.
 *
 * @category paging
 * @since 0.1.0
 */
export const pagingMode = ({ cr0, cr4, efer }: PagingRegisters): PagingMode | undefined =>
  (cr0 & CR0_PG) === 0n
    ? undefined
    : (efer & EFER_LMA) !== 0n
      ? (cr4 & CR4_LA57) !== 0n
        ? "5level"
        : "4level"
      : (cr4 & CR4_PAE) !== 0n
        ? "pae"
        : "32bit"

/** The translation, or what is in its way. */
export const resolve = (
  memory: PhysicalMemory,
  sregs: PagingRegisters,
  address: bigint
): Translation | UnmappedAddress => {
  const mode = pagingMode(sregs)
  if (mode === undefined) {
    return { physical: address, pageSize: 0, writable: true, user: true, executable: true, global: false }
  }
  const format = formats[mode]
  const { entrySize, indexBits, shifts } = format
  if (!isAddress(address, format)) return new UnmappedAddress({ address, reason: "address", level: 0 })
  let table = mode === "pae" ? sregs.cr3 & 0xffff_ffe0n : sregs.cr3 & addressMask
  let writable = true
  let user = true
  let executable = true
  for (const [depth, shift] of shifts.entries()) {
    const level = shifts.length - depth
    const stop = (reason: "present" | "reserved" | "memory") => new UnmappedAddress({ address, reason, level })
    const index = BigInt.asUintN(indexBits, address >> BigInt(shift))
    const view = lookAt(memory, table + index * BigInt(entrySize), entrySize)
    if (view === undefined) return stop("memory")
    const entry = entrySize === 4 ? BigInt(view.getUint32(0, true)) : view.getBigUint64(0, true)
    if ((entry & PTE_PRESENT) === 0n) return stop("present")
    const root = mode === "pae" && level === 3
    if ((entry & PTE_NX) !== 0n && ((sregs.efer & EFER_NX) === 0n || root)) return stop("reserved")
    if (root && (entry & 0x1e6n) !== 0n) return stop("reserved")
    if (!root) {
      writable &&= (entry & PTE_WRITABLE) !== 0n
      user &&= (entry & PTE_USER) !== 0n
      executable &&= (entry & PTE_NX) === 0n
    }
    const heeded = level > 1 && (mode !== "32bit" || (sregs.cr4 & CR4_PSE) !== 0n)
    const large = heeded && (entry & PTE_PAGE_SIZE) !== 0n
    if (large && shift > 30) return stop("reserved")
    if (level > 1 && !large) {
      table = entry & (mode === "32bit" ? 0xffff_f000n : addressMask)
      continue
    }
    const global = (entry & PTE_GLOBAL) !== 0n
    const size = 1n << BigInt(shift)
    // The bits of a large page's entry between its attributes and its address: PAT, and of 4 MiB pages bits 39:32.
    const between = entry & (size - 1n) & ~0x1fffn
    if (large && mode !== "32bit" && between !== 0n) return stop("reserved")
    if (large && mode === "32bit" && (entry & (1n << 21n)) !== 0n) return stop("reserved")
    const high = large && mode === "32bit" ? ((entry >> 13n) & 0xffn) << 32n : 0n
    const physical = (entry & addressMask & ~(size - 1n)) | high | (address & (size - 1n))
    return { physical, pageSize: Number(size), writable, user, executable, global }
  }
  return new UnmappedAddress({ address, reason: "present", level: 0 })
}

/**
 * Translates an address as the processor would with these registers, in every paging mode and page size, without
 * looking at rings or setting accessed bits; `Kvm.translateGva` asks the kernel. Works while the guest runs, as far as
 * its tables hold still.
 *
 * @category paging
 * @since 0.1.0
 */
export const translate = (
  memory: PhysicalMemory,
  sregs: PagingRegisters,
  address: number | bigint
): Effect.Effect<Translation, UnmappedAddress | GuestStateError> =>
  Effect.flatMap(
    checked(() => resolve(memory, sregs, integer(address, "page.canonical", "address"))),
    (found) => (found instanceof UnmappedAddress ? Effect.fail(found) : Effect.succeed(found))
  )
