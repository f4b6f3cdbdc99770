/** What is known of a machine's dirty pages between two questions, and bitmaps as ranges. */
import { readFileSync } from "node:fs"
import { architecture } from "../internal/architecture.ts"
import { KVM_CAP_DIRTY_LOG_RING, KVM_CAP_DIRTY_LOG_RING_ACQ_REL } from "./constants.ts"
import { memoryOf } from "./memory-model.ts"
import { kvm_dirty_gfn } from "./structs.ts"
import { stateOf, type Vm, type VmState } from "./vm.ts"

let pageBytes = 0

const AT_PAGESZ = 6n

/** The size of the host's pages, which is what the kernel counts in. Only aarch64 has more than one. */
export const pageSize = (): number => {
  if (pageBytes === 0) pageBytes = architecture === "aarch64" ? fromAuxiliaryVector() : 4096
  return pageBytes
}

const fromAuxiliaryVector = (): number => {
  const bytes = readFileSync("/proc/self/auxv")
  for (let at = 0; at + 16 <= bytes.length; at += 16) {
    if (bytes.readBigUInt64LE(at) === AT_PAGESZ) return Number(bytes.readBigUInt64LE(at + 8))
  }
  return 4096
}

/** Offsets and sizes in bytes, in order. */
export type Ranges = ReadonlyArray<readonly [offset: number, size: number]>

/** The runs of bits that are set, as bytes of a memory that is `size` bytes long. */
export const rangesOf = (bitmap: Uint8Array, size: number): Ranges => {
  const ranges: Array<readonly [number, number]> = []
  const page = pageSize()
  const pages = size / page
  // In words, most of which are 0 or all ones.
  const words = new Uint32Array(
    bitmap.buffer,
    bitmap.byteOffset,
    Math.min(bitmap.byteLength >>> 2, Math.ceil(pages / 32))
  )
  let start = -1
  const end = (at: number): void => {
    if (start >= 0 && start < pages) ranges.push([start * page, (Math.min(at, pages) - start) * page])
    start = -1
  }
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? 0
    if (word === 0) {
      end(index * 32)
    } else if (word === 0xffff_ffff) {
      if (start < 0) start = index * 32
    } else {
      for (let bit = 0; bit < 32; bit++) {
        if ((word & (1 << bit)) === 0) end(index * 32 + bit)
        else if (start < 0) start = index * 32 + bit
      }
    }
  }
  end(words.length * 32)
  return ranges
}

/** A vCPU's ring, mapped. */
export interface Ring {
  /** Its entries, as `kvm_dirty_gfn` has them. */
  readonly words: Int32Array
  /** The entry that the kernel fills next, as far as is known. */
  next: number
}

const entrySize = kvm_dirty_gfn.size

/** How many entries each vCPU's ring has; 0 where there are none. */
export const ringEntries = (vm: Vm): number => {
  const { enabled } = stateOf(vm)
  const ring = enabled.get(KVM_CAP_DIRTY_LOG_RING_ACQ_REL) ?? enabled.get(KVM_CAP_DIRTY_LOG_RING)
  return Number(ring?.args[0] ?? 0n) / entrySize
}

const noPages = new Uint8Array(0)

/** How a machine's dirty pages are told, and which were told already that nobody has asked for. */
export class Dirty {
  /** How many entries of the rings were read that the kernel has not taken back. */
  handedBack = 0
  /** A ring was overrun: the kernel has overwritten entries that were not read. */
  overrun = false
  /** What the rings have told, as a bitmap for each slot. */
  private readonly pending: Map<number, Uint8Array> = new Map()

  add(slot: number, page: number): void {
    let bitmap = this.pending.get(slot)
    const at = page >>> 3
    if (bitmap === undefined || at >= bitmap.length) {
      const larger = new Uint8Array(Math.max(64, 2 ** Math.ceil(Math.log2(at + 1)), 2 * (bitmap?.length ?? 0)))
      if (bitmap !== undefined) larger.set(bitmap)
      bitmap = larger
      this.pending.set(slot, bitmap)
    }
    bitmap[at] = (bitmap[at] ?? 0) | (1 << (page & 7))
  }

  /** Takes it that each page of a slot, of so many, was written. */
  addAll(slot: number, pages: number): void {
    this.pending.set(slot, new Uint8Array(Math.ceil(pages / 64) * 8).fill(0xff))
  }

  /** What was told of a slot, which is then forgotten. */
  take(slot: number): Uint8Array {
    const bitmap = this.pending.get(slot) ?? noPages
    this.pending.delete(slot)
    return bitmap
  }
}

const machines = new WeakMap<VmState, Dirty>()

export const dirtyOf = (vm: Vm): Dirty => {
  const machine = stateOf(vm)
  let dirty = machines.get(machine)
  if (dirty === undefined) {
    const made = new Dirty()
    dirty = made
    machines.set(machine, made)
    // What the guest wrote to a slot's old memory says nothing of its new.
    memoryOf(vm).onTaken = (slot) => made.take(slot)
  }
  return dirty
}
