/**
 * What a snapshot is, as a value and as a schema. Taking one is in `snapshot.ts`, making machines of one in
 * `snapshot-restore.ts`, files of them in `snapshot-file.ts`.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaIssue from "effect/SchemaIssue"
import type * as Struct from "../Struct.ts"
import { KVM_STATE_NESTED_FORMAT_SVM, KVM_STATE_NESTED_FORMAT_VMX } from "./constants.ts"
import type { NestedState } from "./nested.ts"
import type { GsiRoute } from "./routing.ts"
import { ofExtents, pageSize, type Run, type SnapshotExtent, SnapshotMemory } from "./snapshot-memory.ts"
import {
  kvm_clock_data,
  kvm_cpuid_entry2,
  kvm_debugregs,
  kvm_fpu,
  kvm_ioapic_state,
  kvm_lapic_state,
  kvm_mp_state,
  kvm_msr_entry,
  kvm_pic_state,
  kvm_pit_state2,
  kvm_regs,
  kvm_sregs,
  kvm_sregs2,
  kvm_svm_nested_state_hdr,
  kvm_vcpu_events,
  kvm_vmx_nested_state_hdr,
  kvm_xcr
} from "./structs.ts"

// ---------------------------------------------------------------------------------------------------------------------
// schemas of the kernel's structures
// ---------------------------------------------------------------------------------------------------------------------

/** The schema of values that look like this one. */
const looksLike = (sample: unknown): Schema.Codec<unknown> => {
  if (typeof sample === "bigint") return Schema.BigInt
  if (typeof sample === "number") return Schema.Int
  if (sample instanceof Uint8Array) return Schema.Uint8Array
  if (Array.isArray(sample)) return Schema.Array(looksLike(sample[0]))
  const fields = Object.entries(Object(sample)).map(([name, value]) => [name, looksLike(value)] as const)
  return Schema.Struct(Object.fromEntries(fields))
}

/** The schema of what a layout decodes to: of that form, and fit to be encoded. */
const schemaOf = <A>(layout: Struct.Layout<A>, name: string): Schema.Codec<A> => {
  const view = new DataView(new ArrayBuffer(layout.size))
  // Of the form that the layout gives, which is what A says.
  const form = looksLike(layout.get(view, 0)) as Schema.Codec<A>
  return form.check(
    Schema.makeFilter((value: A) => {
      try {
        layout.set(view, 0, value, name)
        return undefined
      } catch (thrown) {
        return thrown instanceof Error ? thrown.message : String(thrown)
      }
    })
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// models
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Memory that the guest of a snapshot sees. Where two regions have the same bytes of `memory` they are the same memory.
 *
 * @category snapshots
 * @since 0.1.0
 */
export interface SnapshotRegion {
  readonly slot: number
  readonly guestAddress: bigint
  /** In bytes. */
  readonly size: number
  readonly readOnly: boolean
  /** Where its contents begin in the snapshot's memory, in bytes. */
  readonly offset: number
}

/**
 * An exit that the guest had stopped with and that nobody had seen: what the first run of a restored vCPU gives.
 *
 * @category snapshots
 * @since 0.1.0
 */
export interface SnapshotExit {
  /** One of `KVM_EXIT_*`. */
  readonly exit_reason: number
  /** The union of details in `kvm_run`. */
  readonly details: Uint8Array
  /** Of an `Io`: the bytes that the guest wrote. */
  readonly data: Uint8Array
}

/**
 * The state of a vCPU, in the kernel's structures. What a kernel does not offer is missing.
 *
 * @category snapshots
 * @since 0.1.0
 */
export interface SnapshotVcpu {
  readonly id: number
  readonly regs: kvm_regs
  readonly sregs: kvm_sregs
  readonly sregs2?: kvm_sregs2 | undefined
  readonly fpu: kvm_fpu
  /** What `KVM_GET_XSAVE2` gave, of as many bytes as the vCPU's extended state takes. */
  readonly xsave?: Uint8Array | undefined
  readonly xcrs?: ReadonlyArray<kvm_xcr> | undefined
  readonly msrs: ReadonlyArray<kvm_msr_entry>
  readonly lapic?: kvm_lapic_state | undefined
  readonly mp_state?: kvm_mp_state | undefined
  readonly events?: kvm_vcpu_events | undefined
  readonly debugregs?: kvm_debugregs | undefined
  readonly cpuid: ReadonlyArray<kvm_cpuid_entry2>
  readonly tsc_khz?: number | undefined
  /** Of a guest that can run guests. */
  readonly nested_state?: NestedState | undefined
  readonly exit?: SnapshotExit | undefined
}

/**
 * The interrupt controllers that the kernel had for the machine.
 *
 * @category snapshots
 * @since 0.1.0
 */
export interface SnapshotIrqchip {
  readonly pic_master: kvm_pic_state
  readonly pic_slave: kvm_pic_state
  readonly ioapic: kvm_ioapic_state
}

/**
 * All of a machine's state at one moment: see `Kvm.snapshot`.
 *
 * @category snapshots
 * @since 0.1.0
 */
export interface Snapshot {
  readonly version: 1
  readonly architecture: "x86_64"
  readonly vcpus: ReadonlyArray<SnapshotVcpu>
  readonly irqchip?: SnapshotIrqchip | undefined
  readonly pit?: kvm_pit_state2 | undefined
  readonly clock?: kvm_clock_data | undefined
  /** The routes of interrupts, where `Kvm.setGsiRouting` has set any. */
  readonly routing?: ReadonlyArray<GsiRoute> | undefined
  readonly regions: ReadonlyArray<SnapshotRegion>
  readonly memory: SnapshotMemory
}

/** Ranges of the contents that regions lie in: those that touch each other by their bytes are one memory. */
export const partsOf = (regions: ReadonlyArray<SnapshotRegion>): ReadonlyArray<Run> => {
  const parts: Array<Run> = []
  for (const { offset, size } of [...regions].sort((a, b) => a.offset - b.offset)) {
    const last = parts.at(-1)
    if (last === undefined || offset >= last[0] + last[1]) parts.push([offset, size])
    else parts[parts.length - 1] = [last[0], Math.max(last[1], offset + size - last[0])]
  }
  return parts
}

// ---------------------------------------------------------------------------------------------------------------------
// schemas
// ---------------------------------------------------------------------------------------------------------------------

const u32 = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0xffff_ffff }))
const pages = Schema.Int.check(
  Schema.isGreaterThanOrEqualTo(0),
  Schema.makeFilter((value: number) => (value % pageSize === 0 ? undefined : `expected a multiple of ${pageSize}`))
)

const Extent: Schema.Codec<SnapshotExtent> = Schema.Struct({ offset: pages, bytes: Schema.Uint8Array })

/** Contents as plain data: they follow one another and lie within the size. */
const Contents = Schema.Struct({ size: pages, extents: Schema.Array(Extent) }).check(
  Schema.makeFilter(({ extents, size }) => {
    let end = 0
    for (const [index, { bytes, offset }] of extents.entries()) {
      if (offset < end) return { path: ["extents", index, "offset"], issue: `expected ${end} at least` }
      end = offset + bytes.length
      if (bytes.length === 0 || end > size)
        return { path: ["extents", index, "bytes"], issue: "expected some, within the size" }
    }
    return undefined
  })
)

const Memory: Schema.Codec<SnapshotMemory, typeof Contents.Encoded> = Contents.pipe(
  Schema.decodeTo(Schema.instanceOf(SnapshotMemory, { expected: "a SnapshotMemory" }), {
    decode: SchemaGetter.transform(({ extents, size }) => ofExtents(size, extents)),
    encode: SchemaGetter.transformEffect((memory: SnapshotMemory) => {
      try {
        // Copies, as the memory ends with its scope.
        const extents = Array.from(memory.extents(), ({ bytes, offset }) => ({ offset, bytes: bytes.slice() }))
        return Effect.succeed({ size: memory.size, extents })
      } catch (thrown) {
        if (!(thrown instanceof RangeError)) throw thrown
        return Effect.fail(new SchemaIssue.InvalidValue({ message: thrown.message }))
      }
    })
  })
)

const Region: Schema.Codec<SnapshotRegion> = Schema.Struct({
  slot: u32,
  guestAddress: Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: 0n, maximum: 2n ** 64n - 1n })),
  size: pages.check(Schema.isGreaterThanOrEqualTo(pageSize)),
  readOnly: Schema.Boolean,
  offset: pages
})

/** The size of the union of details in `kvm_run`. */
export const detailsSize = 256

const bytesUpTo = (most: number) =>
  Schema.Uint8Array.check(
    Schema.makeFilter(({ length }: Uint8Array) => (length <= most ? undefined : `expected at most ${most} bytes`))
  )

const PendingExit: Schema.Codec<SnapshotExit> = Schema.Struct({
  exit_reason: u32,
  details: bytesUpTo(detailsSize),
  data: bytesUpTo(pageSize)
})

const listOf = <A>(layout: Struct.Layout<A>, name: string, most: number) =>
  Schema.Array(schemaOf(layout, name)).check(
    Schema.makeFilter(({ length }: ReadonlyArray<A>) =>
      length <= most ? undefined : `expected at most ${most} elements`
    )
  )

/** More than the kernel takes of any list. */
const most = 4096

const nestedData = bytesUpTo(0x10000)
const u16 = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0xffff }))

const Nested: Schema.Codec<NestedState> = Schema.Union([
  Schema.Struct({
    format: Schema.Literal(KVM_STATE_NESTED_FORMAT_VMX),
    flags: u16,
    hdr: Schema.Struct({ vmx: schemaOf(kvm_vmx_nested_state_hdr, "vmx") }),
    data: nestedData
  }),
  Schema.Struct({
    format: Schema.Literal(KVM_STATE_NESTED_FORMAT_SVM),
    flags: u16,
    hdr: Schema.Struct({ svm: schemaOf(kvm_svm_nested_state_hdr, "svm") }),
    data: nestedData
  })
])

const VcpuState: Schema.Codec<SnapshotVcpu> = Schema.Struct({
  id: u32,
  regs: schemaOf(kvm_regs, "regs"),
  sregs: schemaOf(kvm_sregs, "sregs"),
  sregs2: Schema.optional(schemaOf(kvm_sregs2, "sregs2")),
  fpu: schemaOf(kvm_fpu, "fpu"),
  xsave: Schema.optional(bytesUpTo(0x10000)),
  xcrs: Schema.optional(listOf(kvm_xcr, "xcrs", 16)),
  msrs: listOf(kvm_msr_entry, "msrs", most),
  lapic: Schema.optional(schemaOf(kvm_lapic_state, "lapic")),
  mp_state: Schema.optional(schemaOf(kvm_mp_state, "mp_state")),
  events: Schema.optional(schemaOf(kvm_vcpu_events, "events")),
  debugregs: Schema.optional(schemaOf(kvm_debugregs, "debugregs")),
  cpuid: listOf(kvm_cpuid_entry2, "cpuid", most),
  tsc_khz: Schema.optional(u32),
  nested_state: Schema.optional(Nested),
  exit: Schema.optional(PendingExit)
})

const Route: Schema.Codec<GsiRoute> = Schema.Union([
  Schema.Struct({ _tag: Schema.tag("Irqchip"), gsi: u32, irqchip: u32, pin: u32 }),
  Schema.Struct({
    _tag: Schema.tag("Msi"),
    gsi: u32,
    address_lo: u32,
    address_hi: u32,
    data: u32,
    devid: Schema.optional(u32)
  }),
  Schema.Struct({
    _tag: Schema.tag("S390Adapter"),
    gsi: u32,
    ind_addr: Schema.BigInt,
    summary_addr: Schema.BigInt,
    ind_offset: Schema.BigInt,
    summary_offset: u32,
    adapter_id: u32
  }),
  Schema.Struct({ _tag: Schema.tag("HvSint"), gsi: u32, vcpu: u32, sint: u32 }),
  Schema.Struct({ _tag: Schema.tag("XenEvtchn"), gsi: u32, port: u32, vcpu: u32, priority: Schema.Int })
])

/** What is wrong with numbers that are to be different. */
const twice = (values: ReadonlyArray<number>): number | undefined => {
  const seen = new Set<number>()
  return values.find((value) => seen.size === seen.add(value).size)
}

const fields = {
  version: Schema.Literal(1),
  architecture: Schema.Literal("x86_64"),
  vcpus: Schema.Array(VcpuState),
  irqchip: Schema.optional(
    Schema.Struct({
      pic_master: schemaOf(kvm_pic_state, "pic_master"),
      pic_slave: schemaOf(kvm_pic_state, "pic_slave"),
      ioapic: schemaOf(kvm_ioapic_state, "ioapic")
    })
  ),
  pit: Schema.optional(schemaOf(kvm_pit_state2, "pit")),
  clock: Schema.optional(schemaOf(kvm_clock_data, "clock")),
  routing: Schema.optional(Schema.Array(Route)),
  regions: Schema.Array(Region)
}

/** What is wrong with a snapshot as a whole; undefined: nothing. */
const wrong = (
  { regions, vcpus }: Omit<Snapshot, "memory">,
  size: number
): { readonly path: ReadonlyArray<PropertyKey>; readonly issue: string } | undefined => {
  const outside = regions.findIndex((region) => region.offset + region.size > size)
  if (outside >= 0) return { path: ["regions", outside, "size"], issue: `it ends past the memory's ${size} bytes` }
  const slot = twice(regions.map((region) => region.slot))
  if (slot !== undefined) return { path: ["regions"], issue: `slot ${slot} is there twice` }
  const id = twice(vcpus.map((vcpu) => vcpu.id))
  return id === undefined ? undefined : { path: ["vcpus"], issue: `vCPU ${id} is there twice` }
}

/** All of a snapshot but the contents of its memory, of which it has `size` bytes: what a file of one begins with. */
export const SnapshotState = Schema.Struct({ ...fields, memory: Schema.Struct({ size: pages }) }).check(
  Schema.makeFilter((state) => wrong(state, state.memory.size))
)

/**
 * A snapshot as plain data: the contents of the memory are the pieces of it that are not all zeros.
 *
 * @category snapshots
 * @since 0.1.0
 */
export interface SnapshotEncoded extends Omit<Snapshot, "memory"> {
  /** Bytes at offsets that are multiples of 4,096, one after another; all else is zeros. */
  readonly memory: { readonly size: number; readonly extents: ReadonlyArray<SnapshotExtent> }
}

/**
 * The schema of a snapshot, so that it can go to wherever a value can go: `Schema.toCodecJson(Kvm.Snapshot)` makes JSON of
 * it, with numbers of 64 bits as text and bytes in base64, `SchemaBinary` bytes.
 *
 * Encoding takes the contents of the memory along, and needs the scope that the snapshot was taken in; a decoded one is
 * bytes and needs none. Decoding checks the form, ranges, and that regions lie within the memory; whether the kernel takes
 * such a state `Kvm.restore` will tell. For machines with much memory see `Kvm.saveSnapshot`, which copies none of it
 * through JavaScript values.
 *
 * @example
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const Json = Schema.fromJsonString(Schema.toCodecJson(Kvm.Snapshot))
 *
 * const toText = (vm: Kvm.Vm) => Effect.scoped(Effect.flatMap(Kvm.snapshot(vm), Schema.encodeEffect(Json)))
 * const fromText = (text: string) => Effect.flatMap(Schema.decodeEffect(Json)(text), (snapshot) => Kvm.restore(snapshot))
 * ```
 *
 * @category snapshots
 * @since 0.1.0
 */
export const Snapshot: Schema.Codec<Snapshot, SnapshotEncoded> = Schema.Struct({ ...fields, memory: Memory }).check(
  Schema.makeFilter((snapshot) => wrong(snapshot, snapshot.memory.size))
)
