/**
 * The tables that a processor finds its segments and handlers in, written into guest memory: GDT, IDT, the interrupt
 * vectors of real mode, task state segments.
 */
import type * as Effect from "effect/Effect"
import * as Struct from "../../Struct.ts"
import type { kvm_dtable, kvm_segment } from "../structs.ts"
import { type PhysicalMemory, put } from "./physical.ts"
import { broken, checked, type GuestStateError, hex, integer } from "./rules.ts"
import { descriptorOf, type Ring, segment } from "./segments.ts"

/**
 * The task state segment of 32 bits: the stacks of the inner rings, and the registers of a task that is not running.
 *
 * @category structures
 * @since 0.1.0
 */
export const tss32 = Struct.packed("tss32", {
  link: Struct.u32,
  esp0: Struct.u32,
  ss0: Struct.u32,
  esp1: Struct.u32,
  ss1: Struct.u32,
  esp2: Struct.u32,
  ss2: Struct.u32,
  cr3: Struct.u32,
  eip: Struct.u32,
  eflags: Struct.u32,
  eax: Struct.u32,
  ecx: Struct.u32,
  edx: Struct.u32,
  ebx: Struct.u32,
  esp: Struct.u32,
  ebp: Struct.u32,
  esi: Struct.u32,
  edi: Struct.u32,
  es: Struct.u32,
  cs: Struct.u32,
  ss: Struct.u32,
  ds: Struct.u32,
  fs: Struct.u32,
  gs: Struct.u32,
  ldt: Struct.u32,
  trap: Struct.u16,
  io_bitmap_base: Struct.u16
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface tss32 extends Struct.Type<typeof tss32> {}

/**
 * The task state segment of long mode: the stacks of the inner rings, and those of interrupts.
 *
 * @category structures
 * @since 0.1.0
 */
export const tss64 = Struct.packed("tss64", {
  reserved1: Struct.padding(4),
  sp0: Struct.u64,
  sp1: Struct.u64,
  sp2: Struct.u64,
  reserved2: Struct.padding(8),
  ist: Struct.array(Struct.u64, 7),
  reserved3: Struct.padding(10),
  io_bitmap_base: Struct.u16
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface tss64 extends Struct.Type<typeof tss64> {}

/**
 * A GDT in guest memory.
 *
 * @category models
 * @since 0.1.0
 */
export interface Gdt {
  /** For `kvm_sregs`. */
  readonly gdt: kvm_dtable
  /** The segments in their order, each with its selector, whose RPL is its DPL. */
  readonly segments: ReadonlyArray<kvm_segment>
}

/** {@link writeGdt}, breaking off where a rule is broken. */
export const gdtAt = (
  memory: PhysicalMemory,
  address: bigint,
  segments: ReadonlyArray<kvm_segment>,
  long: boolean
): Gdt => {
  const descriptors = segments.map((segment) => descriptorOf(segment, long))
  const bytes = new Uint8Array(8 + descriptors.reduce((sum, { length }) => sum + length, 0))
  let offset = 8
  const placed = segments.map((segment, index): kvm_segment => {
    const descriptor = descriptors[index] ?? new Uint8Array(8)
    const selector = offset | (segment.s === 0 ? 0 : segment.dpl)
    bytes.set(descriptor, offset)
    offset += descriptor.length
    return { ...segment, selector }
  })
  put(memory, address, bytes, "gdt")
  return { gdt: { base: address, limit: bytes.length - 1 }, segments: placed }
}

/**
 * Writes a GDT: the null descriptor, then these segments. In long mode (`long`) a system segment takes two places.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const flat = (memory: Kvm.GuestMemory, vcpu: Kvm.Vcpu) =>
 *   Effect.gen(function* () {
 *     const { gdt, segments } = yield* Kvm.x86.writeGdt(memory, 0x800, [
 *       Kvm.x86.segment({ kind: "code" }), // selector 8
 *       Kvm.x86.segment({ kind: "data" }) // selector 16
 *     ])
 *     yield* Kvm.modifySregs(vcpu, ({ cs }) => ({ gdt, cs: segments[0] ?? cs }))
 *   })
 * ```
 *
 * @category tables
 * @since 0.1.0
 */
export const writeGdt = (
  memory: PhysicalMemory,
  address: number | bigint,
  segments: ReadonlyArray<kvm_segment>,
  options: { readonly long?: boolean | undefined } = {}
): Effect.Effect<Gdt, GuestStateError> =>
  checked(() => gdtAt(memory, integer(address, "memory.range", "gdt"), segments, options.long === true))

/**
 * The code that an interrupt or exception runs.
 *
 * @category models
 * @since 0.1.0
 */
export interface Gate {
  /** Its offset in its code segment. */
  readonly handler: number | bigint
  /** Its code segment. 8. */
  readonly selector?: number | undefined
  /** An interrupt gate clears RFLAGS.IF, a trap gate does not. `interrupt`. */
  readonly kind?: "interrupt" | "trap" | undefined
  /** The outermost ring that may come here by `int`. 0. */
  readonly dpl?: Ring | undefined
  /** Long mode: which of the interrupt stacks of the task state segment it runs on, 1 to 7; 0 for none. */
  readonly ist?: number | undefined
}

/**
 * Gates by vector: a number alone is the handler of an interrupt gate.
 *
 * @category models
 * @since 0.1.0
 */
export type Gates = { readonly [vector: number]: number | bigint | Gate }

/**
 * The width of a gate's handler, by the mode that uses the table; `"real"` is the vectors of real mode.
 *
 * @category models
 * @since 0.1.0
 */
export type GateBits = "real" | 16 | 32 | 64

const sizes = { real: 4, 16: 8, 32: 8, 64: 16 } as const

const gateOf = (gate: Gate, bits: GateBits, what: string): Uint8Array => {
  const { dpl = 0, ist = 0, kind = "interrupt" } = gate
  const handler = integer(gate.handler, "gate.offset", what)
  const view = new DataView(new ArrayBuffer(sizes[bits]))
  if (!Number.isInteger(ist) || ist < 0 || ist > (bits === 64 ? 7 : 0)) broken("gate.ist", what, `it is ${ist}`)
  const [offset, selector] =
    bits === "real" && gate.selector === undefined
      ? handler < 0x1_0000n
        ? [handler, 0]
        : [handler & 0xfn, Number(handler >> 4n)]
      : [handler, gate.selector ?? 8]
  const width = bits === "real" ? 16n : BigInt(bits)
  if (offset < 0n || offset >> width !== 0n || selector > 0xffff) {
    broken("gate.offset", what, `the handler is at ${hex(handler)}`)
  }
  view.setUint16(0, Number(offset & 0xffffn), true)
  view.setUint16(2, selector, true)
  if (bits === "real") return new Uint8Array(view.buffer)
  view.setUint8(4, ist)
  view.setUint8(5, 0x80 | (dpl << 5) | (bits === 16 ? 0x06 : 0x0e) | (kind === "trap" ? 1 : 0))
  if (bits !== 16) view.setUint16(6, Number((offset >> 16n) & 0xffffn), true)
  if (bits === 64) view.setUint32(8, Number(offset >> 32n), true)
  return new Uint8Array(view.buffer)
}

/** {@link writeIdt}, breaking off where a rule is broken. */
export const idtAt = (memory: PhysicalMemory, address: bigint, gates: Gates, bits: GateBits): kvm_dtable => {
  const size = sizes[bits]
  const vectors = Object.keys(gates).map(Number)
  for (const vector of vectors) {
    if (!Number.isInteger(vector) || vector < 0 || vector > 255)
      broken("gate.vector", "idt", `there is one for ${vector}`)
  }
  const bytes = new Uint8Array(256 * size)
  for (const vector of vectors) {
    const gate = gates[vector]
    if (gate === undefined) continue
    bytes.set(gateOf(typeof gate === "object" ? gate : { handler: gate }, bits, `gate ${vector}`), vector * size)
  }
  put(memory, address, bytes, "idt")
  return { base: address, limit: bytes.length - 1 }
}

/**
 * Writes an IDT of 256 gates, those that are not given not present: 4 KiB in long mode, 2 KiB in protected mode. For real
 * mode it is the 1 KiB of vectors, where a handler without a selector is a linear address below 1 MiB.
 *
 * @category tables
 * @since 0.1.0
 */
export const writeIdt = (
  memory: PhysicalMemory,
  address: number | bigint,
  gates: Gates,
  bits: GateBits
): Effect.Effect<kvm_dtable, GuestStateError> =>
  checked(() => idtAt(memory, integer(address, "memory.range", "idt"), gates, bits))

/**
 * What to put into a task state segment: addresses of stacks, which go down from there.
 *
 * @category models
 * @since 0.1.0
 */
export interface TssOptions {
  /** 32 or 64: the mode. */
  readonly bits: 32 | 64
  /** The stack on which ring 0 is entered from outer rings. */
  readonly stack?: number | bigint | undefined
  /** 32 bits: the selector of that stack's segment. 16. */
  readonly stackSelector?: number | undefined
  /** 64 bits: the interrupt stacks 1 to 7. */
  readonly ist?: ReadonlyArray<number | bigint> | undefined
  /** The selector of the descriptor that the segment has, or is to have. */
  readonly selector?: number | undefined
}

/** {@link writeTss}, breaking off where a rule is broken. */
export const tssAt = (memory: PhysicalMemory, address: bigint, options: TssOptions): kvm_segment => {
  const { bits, ist = [], selector = 0, stackSelector = 16 } = options
  const stack = integer(options.stack ?? 0, "mode.stack", "tss")
  if (stack < 0n || stack >> BigInt(bits) !== 0n) broken("mode.stack", "tss", `it is ${hex(stack)}`)
  if (ist.length > (bits === 64 ? 7 : 0)) broken("gate.ist", "tss", `there are ${ist.length}`)
  const stacks = ist.map((stack) => BigInt.asUintN(64, integer(stack, "gate.ist", "tss")))
  // A bitmap of ports that begins after the end allows none to ring 3.
  const bytes =
    bits === 64
      ? tss64.encode({
          sp0: stack,
          sp1: 0n,
          sp2: 0n,
          ist: Array.from({ length: 7 }, (_, index) => stacks[index] ?? 0n),
          io_bitmap_base: 104
        })
      : tss32.encode({ ...emptyTss32, esp0: Number(stack), ss0: stackSelector, io_bitmap_base: 104 })
  put(memory, address, bytes, "tss")
  return segment({ kind: "tss", base: address, selector })
}

const emptyTss32: tss32 = tss32.decode(new Uint8Array(tss32.size))

/**
 * Writes a task state segment of 104 bytes, without a bitmap of ports; gives the busy segment for TR, and for the GDT.
 *
 * @category tables
 * @since 0.1.0
 */
export const writeTss = (
  memory: PhysicalMemory,
  address: number | bigint,
  options: TssOptions
): Effect.Effect<kvm_segment, GuestStateError> =>
  checked(() => tssAt(memory, integer(address, "memory.range", "tss"), options))
