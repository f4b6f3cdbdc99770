/**
 * Page tables written into guest memory: 32-bit, PAE, and those of long mode with four and five levels. Reading them, as
 * the processor would, is in `translate.ts`.
 */
import type * as Effect from "effect/Effect"
import { CR4_LA57, CR4_PAE, CR4_PGE, CR4_PSE } from "./control.ts"
import {
  EFER_NX,
  PTE_CACHE_DISABLE,
  PTE_GLOBAL,
  PTE_NX,
  PTE_PAGE_SIZE,
  PTE_PRESENT,
  PTE_USER,
  PTE_WRITABLE,
  PTE_WRITE_THROUGH
} from "./flags.ts"
import { type PhysicalMemory, viewOf } from "./physical.ts"
import { broken, checked, type GuestStateError, hex, integer } from "./rules.ts"

/**
 * How addresses are translated: with two levels of 32-bit entries, with PAE's of 64 bits, or as in long mode.
 *
 * @category models
 * @since 0.1.0
 */
export type PagingMode = "32bit" | "pae" | "4level" | "5level"

/**
 * A size of pages: `4M` is 32-bit paging's, `2M` the others', `1G` long mode's, of processors with the feature `pdpe1gb`.
 *
 * @category models
 * @since 0.1.0
 */
export type PageSize = "4K" | "2M" | "4M" | "1G"

/**
 * What may be done with a page.
 *
 * @category models
 * @since 0.1.0
 */
export interface PageFlags {
  /** True. */
  readonly writable?: boolean | undefined
  /** Whether ring 3 has access. False. */
  readonly user?: boolean | undefined
  /** False needs PAE or long mode, and EFER.NX. True. */
  readonly executable?: boolean | undefined
  /** Whether it stays in the TLB when CR3 changes; needs CR4.PGE. False. */
  readonly global?: boolean | undefined
  /** False. */
  readonly writeThrough?: boolean | undefined
  /** False. */
  readonly cacheDisable?: boolean | undefined
}

/**
 * A range of addresses and where it is in the guest's physical memory.
 *
 * @category models
 * @since 0.1.0
 */
export interface PageMapping extends PageFlags {
  readonly virtual: number | bigint
  /** The same as `virtual`. */
  readonly physical?: number | bigint | undefined
  /** In bytes: a multiple of 4 KiB. */
  readonly size: number | bigint
  /**
   * The largest pages to use: where addresses are no multiples of it, or less is left, smaller ones are. `2M`, and `4M` in
   * 32-bit paging.
   */
  readonly pageSize?: PageSize | undefined
}

/**
 * The lowest `size` bytes mapped to themselves.
 *
 * @category paging
 * @since 0.1.0
 */
export const identity = (
  size: number | bigint,
  options: PageFlags & { readonly pageSize?: PageSize | undefined } = {}
): PageMapping => ({ ...options, virtual: 0n, size })

/**
 * What page tables to write.
 *
 * @category models
 * @since 0.1.0
 */
export interface PageTableOptions {
  readonly mode: PagingMode
  /** Where they are written, in the guest's physical memory, one after the other: a multiple of 4 KiB. */
  readonly address: number | bigint
  readonly map: ReadonlyArray<PageMapping>
}

/**
 * Page tables in guest memory.
 *
 * @category models
 * @since 0.1.0
 */
export interface PageTables {
  readonly mode: PagingMode
  readonly cr3: bigint
  /** The bits of CR4 that they need. */
  readonly cr4: bigint
  /** The bits of EFER that they need, but for LME and LMA. */
  readonly efer: bigint
  /** How many bytes they take from `cr3` on. */
  readonly size: number
}

/** The format of a mode: by how much each level's index is shifted in an address, from the root down. */
export interface Format {
  readonly shifts: ReadonlyArray<number>
  readonly entrySize: 4 | 8
  /** How many bits an address has. */
  readonly width: number
  /** Bits of the index in every table but PAE's root, which has 4 entries. */
  readonly indexBits: number
}

export const formats: { readonly [Mode in PagingMode]: Format } = {
  "32bit": { shifts: [22, 12], entrySize: 4, width: 32, indexBits: 10 },
  pae: { shifts: [30, 21, 12], entrySize: 8, width: 32, indexBits: 9 },
  "4level": { shifts: [39, 30, 21, 12], entrySize: 8, width: 48, indexBits: 9 },
  "5level": { shifts: [48, 39, 30, 21, 12], entrySize: 8, width: 57, indexBits: 9 }
}

/** The physical addresses that entries hold. */
export const addressMask = 0x000f_ffff_ffff_f000n

/** Whether an address is one that a mode has, sign-extended in long mode. */
export const isAddress = (address: bigint, { width }: Format): boolean =>
  width === 32
    ? address >= 0n && address < 1n << 32n
    : address >= 0n && BigInt.asUintN(64, BigInt.asIntN(width, address)) === address

const pageShifts: { readonly [Size in PageSize]: number } = { "4K": 12, "2M": 21, "4M": 22, "1G": 30 }

const largestOf: { readonly [Mode in PagingMode]: ReadonlyArray<number> } = {
  "32bit": [22, 12],
  pae: [21, 12],
  "4level": [30, 21, 12],
  "5level": [30, 21, 12]
}

class Builder {
  readonly format: Format
  readonly memory: PhysicalMemory
  readonly mode: PagingMode
  readonly root: bigint
  next: bigint
  cr4: bigint
  efer = 0n

  constructor(memory: PhysicalMemory, mode: PagingMode, address: bigint) {
    this.memory = memory
    this.mode = mode
    this.format = formats[mode]
    this.root = address
    this.next = address
    this.cr4 = mode === "32bit" ? 0n : mode === "5level" ? CR4_PAE | CR4_LA57 : CR4_PAE
    this.table()
  }

  /** A fresh table. */
  table(): bigint {
    const address = this.next
    const view = viewOf(this.memory, address, 0x1000, "page tables")
    new Uint8Array(view.buffer, view.byteOffset, 0x1000).fill(0)
    this.next += 0x1000n
    return address
  }

  get(view: DataView, index: number): bigint {
    return this.format.entrySize === 4 ? BigInt(view.getUint32(4 * index, true)) : view.getBigUint64(8 * index, true)
  }

  set(view: DataView, index: number, entry: bigint): void {
    if (this.format.entrySize === 4) view.setUint32(4 * index, Number(entry), true)
    else view.setBigUint64(8 * index, entry, true)
  }

  indexOf(address: bigint, shift: number): number {
    return Number(BigInt.asUintN(this.format.indexBits, address >> BigInt(shift)))
  }

  /** The table whose entries stand for pages of this size, at an address; made where it is missing. */
  tableOf(address: bigint, pageShift: number): DataView {
    let table = this.root
    for (const shift of this.format.shifts) {
      const view = viewOf(this.memory, table, 0x1000, "page tables")
      if (shift === pageShift) return view
      const index = this.indexOf(address, shift)
      const entry = this.get(view, index)
      if ((entry & PTE_PRESENT) === 0n) {
        table = this.table()
        // What may be done is said by the last level alone. PAE's root has no such bits.
        const flags = this.mode === "pae" && shift === 30 ? PTE_PRESENT : PTE_PRESENT | PTE_WRITABLE | PTE_USER
        this.set(view, index, table | flags)
      } else if ((entry & PTE_PAGE_SIZE) !== 0n) {
        broken("page.overlap", "page tables", `${hex(address)} lies in a large page already`)
      } else table = entry & addressMask
    }
    return broken("page.alignment", "page tables", "there are no pages of this size")
  }

  map(mapping: PageMapping): void {
    const { mode } = this
    let address = integer(mapping.virtual, "page.canonical", "page tables")
    let physical = integer(mapping.physical ?? mapping.virtual, "page.width", "page tables")
    let left = integer(mapping.size, "page.alignment", "page tables")
    if (left <= 0n || ((address | physical | left) & 0xfffn) !== 0n) {
      broken("page.alignment", "page tables", `${hex(left)} bytes at ${hex(address)} are mapped to ${hex(physical)}`)
    }
    const last = address + left - 1n
    const half = (address: bigint) => (this.format.width === 32 ? 0n : address >> 63n)
    if (!isAddress(address, this.format) || !isAddress(last, this.format) || half(address) !== half(last)) {
      broken("page.canonical", "page tables", `${hex(address)} to ${hex(last)} is mapped in the mode ${mode}`)
    }
    if (physical < 0n || (physical + left - 1n) >> (mode === "32bit" ? 32n : 52n) !== 0n) {
      broken("page.width", "page tables", `${hex(physical)} to ${hex(physical + left - 1n)} is mapped to`)
    }
    const flags = this.flagsOf(mapping)
    const most = mapping.pageSize === undefined ? (mode === "32bit" ? 22 : 21) : pageShifts[mapping.pageSize]
    const shifts = largestOf[mode].filter((shift) => shift <= most)
    while (left > 0n) {
      const shift =
        shifts.find((shift) => left >> BigInt(shift) !== 0n && BigInt.asUintN(shift, address | physical) === 0n) ?? 12
      const size = 1n << BigInt(shift)
      const view = this.tableOf(address, shift)
      if (shift !== 12) this.cr4 |= mode === "32bit" ? CR4_PSE : 0n
      const entryFlags = shift === 12 ? flags : flags | PTE_PAGE_SIZE
      // Up to the end of this table: a larger page can only begin after it.
      for (let index = this.indexOf(address, shift); index < 0x1000 / this.format.entrySize && left >= size; index++) {
        if ((this.get(view, index) & PTE_PRESENT) !== 0n) {
          broken("page.overlap", "page tables", `${hex(address)} is mapped twice`)
        }
        this.set(view, index, physical | entryFlags)
        address += size
        physical += size
        left -= size
      }
    }
  }

  flagsOf(flags: PageFlags): bigint {
    let bits = PTE_PRESENT
    if (flags.writable !== false) bits |= PTE_WRITABLE
    if (flags.user === true) bits |= PTE_USER
    if (flags.writeThrough === true) bits |= PTE_WRITE_THROUGH
    if (flags.cacheDisable === true) bits |= PTE_CACHE_DISABLE
    if (flags.global === true) {
      bits |= PTE_GLOBAL
      this.cr4 |= CR4_PGE
    }
    if (flags.executable === false) {
      if (this.mode === "32bit") broken("page.execute", "page tables", "a mapping says executable: false")
      bits |= PTE_NX
      this.efer |= EFER_NX
    }
    return bits
  }
}

/** {@link writePageTables}, breaking off where a rule is broken. */
export const pageTablesAt = (memory: PhysicalMemory, options: PageTableOptions): PageTables => {
  const address = integer(options.address, "page.alignment", "page tables")
  if ((address & 0xfffn) !== 0n) broken("page.alignment", "page tables", `they are put at ${hex(address)}`)
  if (options.mode === "32bit" || options.mode === "pae") {
    if (address >> 32n !== 0n) broken("page.width", "page tables", `they are put at ${hex(address)}`)
  }
  const builder = new Builder(memory, options.mode, address)
  for (const mapping of options.map) builder.map(mapping)
  const { cr4, efer, next } = builder
  return { mode: options.mode, cr3: address, cr4, efer, size: Number(next - address) }
}

/**
 * Writes page tables. `longMode` and `protectedMode` do, with the registers; this is for what comes beside that.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const tables = (memory: Kvm.GuestMemory) =>
 *   Kvm.x86.writePageTables(memory, {
 *     mode: "4level",
 *     address: 0x10000,
 *     map: [
 *       Kvm.x86.identity(0x20_0000, { writable: false }),
 *       { virtual: 0xffff_8000_0000_0000n, physical: 0, size: 0x20_0000, executable: false }
 *     ]
 *   })
 * ```
 *
 * @category paging
 * @since 0.1.0
 */
export const writePageTables = (
  memory: PhysicalMemory,
  options: PageTableOptions
): Effect.Effect<PageTables, GuestStateError> => checked(() => pageTablesAt(memory, options))
