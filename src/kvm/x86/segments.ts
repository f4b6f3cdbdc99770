/**
 * Segments: the hidden part that a vCPU's registers hold (`kvm_segment`), and the descriptors that they come from.
 */
import type * as Effect from "effect/Effect"
import type { kvm_segment } from "../structs.ts"
import { broken, checked, type GuestStateError, hex } from "./rules.ts"

/**
 * A ring: 0 is the kernel's, 3 the user's.
 *
 * @category models
 * @since 0.1.0
 */
export type Ring = 0 | 1 | 2 | 3

/**
 * What a segment is to be.
 *
 * @category models
 * @since 0.1.0
 */
export interface SegmentOptions {
  /** `tss` is a busy task state segment of 32 or 64 bits, or of 16 with `bits: 16`. */
  readonly kind: "code" | "data" | "tss" | "ldt"
  /** Of code: how wide its addresses and operands are. Of data: 16 makes its stack's pointer SP. 32. */
  readonly bits?: 16 | 32 | 64 | undefined
  /** 0. */
  readonly base?: number | bigint | undefined
  /** The last offset. `0xffff_ffff`, of a task state segment 103. */
  readonly limit?: number | undefined
  /** Index times 8, and RPL. 0. */
  readonly selector?: number | undefined
  /** 0. */
  readonly dpl?: Ring | undefined
  /** Of code: whether it can be read. True. */
  readonly readable?: boolean | undefined
  /** Of data: whether it can be written. True. */
  readonly writable?: boolean | undefined
  /** Of code: whether outer rings call it in their own ring. False. */
  readonly conforming?: boolean | undefined
  /** Of data: whether its offsets are those above the limit. False. */
  readonly expandDown?: boolean | undefined
}

/**
 * A segment, present and accessed, in the form that `kvm_sregs` has.
 *
 * @example
 * ```ts
 * import { Kvm } from "effect-linux"
 *
 * const cs = Kvm.x86.segment({ kind: "code", bits: 64, selector: 8 })
 * const ss = Kvm.x86.segment({ kind: "data", selector: 16 })
 * ```
 *
 * @category segments
 * @since 0.1.0
 */
export const segment = (options: SegmentOptions): kvm_segment => {
  const { base = 0n, bits = 32, dpl = 0, kind, selector = 0 } = options
  const limit = options.limit ?? (kind === "tss" ? 103 : 0xffff_ffff)
  const system = kind === "tss" || kind === "ldt"
  const type =
    kind === "code"
      ? 0b1001 | (options.conforming === true ? 4 : 0) | (options.readable === false ? 0 : 2)
      : kind === "data"
        ? 0b0001 | (options.expandDown === true ? 4 : 0) | (options.writable === false ? 0 : 2)
        : kind === "ldt"
          ? 2
          : bits === 16
            ? 3
            : 11
  return {
    base: BigInt(base),
    limit,
    selector,
    type,
    present: 1,
    dpl,
    db: !system && (bits === 32 || (kind === "data" && bits === 64)) ? 1 : 0,
    s: system ? 0 : 1,
    l: kind === "code" && bits === 64 ? 1 : 0,
    g: limit > 0xf_ffff ? 1 : 0,
    avl: 0,
    unusable: 0
  }
}

/**
 * A segment as real mode has it: its base is the selector times 16, its limit 64 KiB.
 *
 * @category segments
 * @since 0.1.0
 */
export const realModeSegment = (selector: number, kind: "code" | "data" = "data"): kvm_segment =>
  segment({ kind, bits: 16, base: selector * 16, limit: 0xffff, selector })

/**
 * A segment as virtual-8086 mode has it.
 *
 * @category segments
 * @since 0.1.0
 */
export const virtual8086Segment = (selector: number): kvm_segment =>
  segment({ kind: "data", bits: 16, base: selector * 16, limit: 0xffff, selector, dpl: 3 })

/**
 * A register that holds no segment: using it faults.
 *
 * @category segments
 * @since 0.1.0
 */
export const unusableSegment: kvm_segment = {
  base: 0n,
  limit: 0,
  selector: 0,
  type: 0,
  present: 0,
  dpl: 0,
  db: 0,
  s: 0,
  l: 0,
  g: 0,
  avl: 0,
  unusable: 1
}

/**
 * The selector of the descriptor at an index of the GDT, or of the LDT.
 *
 * @category segments
 * @since 0.1.0
 */
export const selector = (index: number, rpl: Ring = 0, table: "gdt" | "ldt" = "gdt"): number =>
  (index << 3) | (table === "ldt" ? 4 : 0) | rpl

/** The descriptor, or a broken rule. */
export const descriptorOf = (segment_: kvm_segment, long: boolean): Uint8Array => {
  const { avl, base, db, dpl, g, l, limit, present, s, type, unusable } = segment_
  const wide = long && s === 0
  const bytes = new Uint8Array(wide ? 16 : 8)
  if (unusable !== 0) return bytes
  if (base < 0n || base >> (wide ? 64n : 32n) !== 0n)
    broken("descriptor.base", "descriptor", `the base is ${hex(base)}`)
  if (g === 0 ? limit > 0xf_ffff : (limit & 0xfff) !== 0xfff) {
    broken("descriptor.limit", "descriptor", `the limit is ${hex(limit)} with G=${g}`)
  }
  const pages = g === 0 ? limit : limit >>> 12
  const low = Number(base & 0xffff_ffffn)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, pages & 0xffff, true)
  view.setUint16(2, low & 0xffff, true)
  view.setUint8(4, (low >>> 16) & 0xff)
  view.setUint8(5, type | (s << 4) | (dpl << 5) | (present << 7))
  view.setUint8(6, (pages >>> 16) | (avl << 4) | (l << 5) | (db << 6) | (g << 7))
  view.setUint8(7, low >>> 24)
  if (wide) view.setUint32(8, Number(base >> 32n), true)
  return bytes
}

/**
 * The descriptor of a segment, as a GDT holds it: 8 bytes, 16 of a system segment for long mode. An unusable one gives the
 * null descriptor.
 *
 * @category segments
 * @since 0.1.0
 */
export const encodeDescriptor = (
  segment: kvm_segment,
  options: { readonly long?: boolean | undefined } = {}
): Effect.Effect<Uint8Array, GuestStateError> => checked(() => descriptorOf(segment, options.long === true))

/**
 * The segment that a descriptor of 8 or 16 bytes describes, as loading it under this selector does. One that is not
 * present is unusable.
 *
 * @category segments
 * @since 0.1.0
 */
export const decodeDescriptor = (bytes: Uint8Array, selector = 0): kvm_segment => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const access = view.getUint8(5)
  const flags = view.getUint8(6)
  const pages = view.getUint16(0, true) | ((flags & 0xf) << 16)
  const g = flags >> 7
  const low = view.getUint16(2, true) | (view.getUint8(4) << 16) | (view.getUint8(7) << 24)
  const s = (access >> 4) & 1
  const high = s === 0 && bytes.byteLength >= 16 ? view.getUint32(8, true) : 0
  const present = access >> 7
  return {
    base: BigInt(low >>> 0) | (BigInt(high) << 32n),
    limit: g === 0 ? pages : ((pages << 12) | 0xfff) >>> 0,
    selector,
    type: access & 0xf,
    present,
    dpl: (access >> 5) & 3,
    db: (flags >> 6) & 1,
    s,
    l: (flags >> 5) & 1,
    g,
    avl: (flags >> 4) & 1,
    unusable: 1 - present
  }
}
