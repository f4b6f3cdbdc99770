/** The rules for a processor's state: each is told from all others, and what none refuses runs. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Kvm } from "../src/index.ts"
import { expectExit, hlt, itKvm } from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"

const { x86 } = Kvm

interface State {
  readonly sregs: Kvm.kvm_sregs
  readonly regs: Kvm.kvm_regs
}

type SegmentName = "cs" | "ds" | "es" | "fs" | "gs" | "ss" | "tr" | "ldt"

const zeros = Kvm.kvm_regs.decode(new Uint8Array(Kvm.kvm_regs.size))
const regs: Kvm.kvm_regs = { ...zeros, rip: 0x1000n, rsp: 0x8000n, rflags: x86.RFLAGS_FIXED }

const data = x86.segment({ kind: "data", selector: 16 })

/** As `longMode` sets it. */
const long: State = {
  regs,
  sregs: {
    cs: x86.segment({ kind: "code", bits: 64, selector: 8 }),
    ds: data,
    es: data,
    fs: data,
    gs: data,
    ss: data,
    tr: x86.segment({ kind: "tss", selector: 0x30 }),
    ldt: x86.unusableSegment,
    gdt: { base: 0x1_0000n, limit: 0x3f },
    idt: { base: 0x1_1000n, limit: 0xfff },
    cr0: x86.CR0_PE | x86.CR0_ET | x86.CR0_PG,
    cr2: 0n,
    cr3: 0x1_2000n,
    cr4: x86.CR4_PAE,
    cr8: 0n,
    efer: x86.EFER_LME | x86.EFER_LMA,
    apic_base: 0xfee0_0900n,
    interrupt_bitmap: [0n, 0n, 0n, 0n]
  }
}

const changed = (
  { regs, sregs }: State,
  change: Partial<Kvm.kvm_sregs>,
  general: Partial<Kvm.kvm_regs> = {}
): State => ({
  regs: { ...regs, ...general },
  sregs: { ...sregs, ...change }
})

const segmentOf = (state: State, name: SegmentName, change: Partial<Kvm.kvm_segment>): State =>
  changed(state, { [name]: { ...state.sregs[name], ...change } })

const protected32 = changed(long, {
  cs: x86.segment({ kind: "code", selector: 8 }),
  cr0: x86.CR0_PE | x86.CR0_ET,
  cr3: 0n,
  cr4: 0n,
  efer: 0n
})

const real = changed(protected32, {
  cs: x86.realModeSegment(0, "code"),
  ds: x86.realModeSegment(0x1000),
  es: x86.realModeSegment(0x1001),
  fs: x86.realModeSegment(0x1002),
  gs: x86.realModeSegment(0x1003),
  ss: x86.realModeSegment(0x2001),
  tr: x86.segment({ kind: "tss", bits: 16, limit: 0xffff }),
  cr0: x86.CR0_ET
})

const virtual8086 = changed(
  protected32,
  Object.fromEntries(["cs", "ds", "es", "fs", "gs", "ss"].map((name, index) => [name, x86.virtual8086Segment(index)])),
  { rflags: x86.RFLAGS_FIXED | x86.RFLAGS_VM, rip: 0x100n }
)

const ring3 = changed(long, {
  cs: x86.segment({ kind: "code", bits: 64, selector: 0x2b, dpl: 3 }),
  ss: x86.segment({ kind: "data", selector: 0x23, dpl: 3 })
})

const valid: Readonly<Record<string, State>> = { long, protected32, real, virtual8086, ring3 }

/** States that break one rule, by the rule and the register that is named. */
const broken: ReadonlyArray<readonly [rule: Kvm.x86.Rule, register: string, state: State]> = [
  ["cr0.upper", "cr0", changed(long, { cr0: long.sregs.cr0 | (1n << 32n) })],
  ["cr0.reserved", "cr0", changed(long, { cr0: long.sregs.cr0 | (1n << 6n) })],
  ["cr0.reserved", "cr0", changed(real, { cr0: real.sregs.cr0 | (1n << 28n) })],
  ["cr0.pg", "cr0", changed(real, { cr0: real.sregs.cr0 | x86.CR0_PG })],
  ["cr0.nw", "cr0", changed(real, { cr0: real.sregs.cr0 | x86.CR0_NW })],
  ["cr3.width", "cr3", changed(long, { cr3: 1n << 52n })],
  ["cr4.reserved", "cr4", changed(long, { cr4: long.sregs.cr4 | (1n << 15n) })],
  ["cr4.reserved", "cr4", changed(long, { cr4: long.sregs.cr4 | (1n << 63n) })],
  ["cr4.pcide", "cr4", changed(protected32, { cr4: x86.CR4_PCIDE })],
  ["cr4.cet", "cr4", changed(long, { cr4: long.sregs.cr4 | x86.CR4_CET })],
  ["cr8.reserved", "cr8", changed(long, { cr8: 0x10n })],
  ["efer.reserved", "efer", changed(long, { efer: long.sregs.efer | 2n })],
  ["efer.lma", "efer", changed(protected32, { efer: x86.EFER_LMA })],
  ["efer.lma", "efer", changed(segmentOf(long, "cs", { l: 0, db: 1 }), { efer: x86.EFER_LME })],
  ["efer.pae", "efer", changed(long, { cr4: 0n })],
  ["apic_base.reserved", "apic_base", changed(long, { apic_base: 0xfee0_0901n })],
  ["apic_base.reserved", "apic_base", changed(long, { apic_base: 1n << 52n })],
  ["apic_base.x2apic", "apic_base", changed(long, { apic_base: 0xfee0_0400n })],
  ["segment.usable", "cs", segmentOf(long, "cs", { unusable: 1 })],
  ["segment.usable", "tr", segmentOf(long, "tr", { unusable: 1 })],
  ["segment.present", "ds", segmentOf(long, "ds", { present: 0 })],
  ["segment.present", "tr", segmentOf(long, "tr", { present: 0 })],
  ["segment.system", "es", segmentOf(long, "es", { s: 0 })],
  ["segment.system", "tr", segmentOf(long, "tr", { s: 1 })],
  ["segment.type", "cs", segmentOf(long, "cs", { type: 3 })],
  ["segment.type", "cs", segmentOf(long, "cs", { type: 10 })],
  ["segment.type", "ss", segmentOf(long, "ss", { type: 1 })],
  ["segment.type", "ss", segmentOf(long, "ss", { type: 11 })],
  ["segment.type", "ds", segmentOf(long, "ds", { type: 2 })],
  ["segment.type", "gs", segmentOf(long, "gs", { type: 9 })],
  ["segment.type", "tr", segmentOf(long, "tr", { type: 3 })],
  ["segment.type", "tr", segmentOf(protected32, "tr", { type: 9 })],
  ["segment.type", "ldt", changed(long, { ldt: x86.segment({ kind: "tss" }) })],
  ["segment.base.upper", "ds", segmentOf(long, "ds", { base: 1n << 32n })],
  ["segment.base.upper", "cs", segmentOf(long, "cs", { base: 1n << 63n })],
  ["segment.base.canonical", "fs", segmentOf(long, "fs", { base: 1n << 47n })],
  ["segment.base.canonical", "tr", segmentOf(long, "tr", { base: 1n << 63n })],
  ["segment.base.canonical", "ldt", changed(long, { ldt: x86.segment({ kind: "ldt", base: 1n << 50n }) })],
  ["segment.granularity", "ds", segmentOf(long, "ds", { limit: 0xffff_f000 })],
  ["segment.granularity", "ss", segmentOf(long, "ss", { g: 0 })],
  ["segment.granularity", "tr", segmentOf(long, "tr", { g: 1 })],
  ["segment.ti", "tr", segmentOf(long, "tr", { selector: 0x34 })],
  ["segment.ti", "ldt", changed(long, { ldt: x86.segment({ kind: "ldt", selector: 4 }) })],
  ["segment.long", "cs", segmentOf(protected32, "cs", { l: 1, db: 0 })],
  ["segment.long.size", "cs", segmentOf(long, "cs", { db: 1 })],
  ["segment.rpl", "ss", changed(ring3, { cs: { ...ring3.sregs.cs, selector: 0x28 } })],
  ["segment.dpl.cs", "cs", segmentOf(ring3, "cs", { dpl: 0 })],
  ["segment.dpl.cs", "cs", segmentOf(long, "cs", { type: 15, dpl: 1 })],
  ["segment.dpl.cs", "cs", segmentOf(real, "cs", { dpl: 3 })],
  ["segment.dpl.ss", "ss", segmentOf(real, "ss", { dpl: 3 })],
  ["segment.dpl.data", "ds", segmentOf(long, "ds", { selector: 0x13 })],
  ["virtual8086.base", "es", segmentOf(virtual8086, "es", { base: 0x21n })],
  ["virtual8086.limit", "cs", segmentOf(virtual8086, "cs", { limit: 0xfffff })],
  ["virtual8086.access", "ss", segmentOf(virtual8086, "ss", { dpl: 0 })],
  ["table.canonical", "gdt", changed(long, { gdt: { base: 1n << 47n, limit: 0xff } })],
  ["table.canonical", "idt", changed(long, { idt: { base: 1n << 63n, limit: 0xff } })],
  ["rip.upper", "rip", changed(protected32, {}, { rip: 1n << 32n })],
  ["rip.canonical", "rip", changed(long, {}, { rip: 1n << 47n })],
  ["rip.limit", "rip", changed(real, {}, { rip: 0x1_0000n })],
  ["rflags.fixed", "rflags", changed(long, {}, { rflags: 0n })],
  ["rflags.reserved", "rflags", changed(long, {}, { rflags: x86.RFLAGS_FIXED | 8n })],
  ["rflags.reserved", "rflags", changed(long, {}, { rflags: x86.RFLAGS_FIXED | (1n << 22n) })],
  ["rflags.vm", "rflags", changed(long, {}, { rflags: x86.RFLAGS_FIXED | x86.RFLAGS_VM })],
  ["rflags.vm", "rflags", changed(real, {}, { rflags: x86.RFLAGS_FIXED | x86.RFLAGS_VM })]
]

const rulesOf = ({ regs, sregs }: State, cpuid?: ReadonlyArray<Kvm.kvm_cpuid_entry2>) =>
  x86.violations(sregs, regs, cpuid).map(({ register, rule }) => [rule, register])

describe("Kvm.x86.check, violations", () => {
  for (const [name, state] of Object.entries(valid)) {
    it(`finds nothing in the state of ${name}`, () => assert.deepStrictEqual(rulesOf(state), []))
  }

  for (const [rule, register, state] of broken) {
    it(`${register}: ${x86.rules[rule]} (${rule})`, () => assert.deepStrictEqual(rulesOf(state), [[rule, register]]))
  }

  it("each rule of a processor's state has a state here that breaks it", () => {
    const tested = new Set<string>(broken.map(([rule]) => rule))
    const others = Object.keys(x86.rules).filter((rule) => !/^(descriptor|gate|page|memory|mode)\./.test(rule))
    // Features are of a processor's own.
    assert.deepStrictEqual(
      others.filter((rule) => !tested.has(rule)),
      ["cr4.feature", "efer.feature"]
    )
  })

  it.effect("fails with the first rule that is broken, in a message that says all", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(x86.check({ ...real.sregs, cr0: 0x8000_0010n }, real.regs))
      assert.strictEqual(
        error.message,
        "cr0: it is 0x80000010, but paging (CR0.PG) needs protected mode (CR0.PE) (cr0.pg)"
      )
      yield* x86.check(long.sregs, long.regs)
      yield* x86.check(long.sregs)
    })
  )

  it("bits that CPUID lacks the feature of are refused by its name", () => {
    const entry = (leaf: number, registers: Partial<Kvm.kvm_cpuid_entry2>): Kvm.kvm_cpuid_entry2 => ({
      function: leaf,
      index: 0,
      flags: 0,
      eax: 0,
      ebx: 0,
      ecx: 0,
      edx: 0,
      ...registers
    })
    const cpuid = [
      entry(1, { edx: 1 << 6 }), // PAE
      entry(7, {}),
      entry(0x8000_0001, { edx: 1 << 29 }), // LM
      entry(0x8000_0008, { eax: 40 })
    ]
    assert.deepStrictEqual(rulesOf(long, cpuid), [])
    const smep = changed(long, { cr4: x86.CR4_PAE | x86.CR4_SMEP, efer: long.sregs.efer | x86.EFER_NX, cr3: 1n << 40n })
    assert.deepStrictEqual(rulesOf(smep), [])
    const found = x86.violations(smep.sregs, smep.regs, cpuid)
    assert.deepStrictEqual(
      found.map(({ rule }) => rule),
      ["cr3.width", "cr4.feature", "efer.feature"]
    )
    assert.include(found[1]?.message, "SMEP")
    assert.include(found[2]?.message, "NX")
    // A vCPU that was told nothing: KVM assumes 36 bits of addresses and the oldest features.
    assert.deepStrictEqual(rulesOf(long, []), [])
    assert.deepStrictEqual(
      x86.violations(smep.sregs, smep.regs, []).map(({ rule }) => rule),
      ["cr3.width", "cr4.feature"]
    )
  })

  it("with LA57 addresses have 57 bits", () => {
    const wide = changed(long, { cr4: x86.CR4_PAE | x86.CR4_LA57 }, { rip: 1n << 55n })
    assert.deepStrictEqual(rulesOf(wide), [])
    assert.deepStrictEqual(rulesOf(changed(wide, {}, { rip: 1n << 56n })), [["rip.canonical", "rip"]])
  })
})

describeKvm("Kvm.x86.check beside KVM", () => {
  itKvm(
    "finds nothing in the state of a fresh vCPU",
    Effect.gen(function* () {
      const vcpu = yield* Kvm.createVcpu(yield* Kvm.createVm(), 0)
      yield* x86.check(yield* Kvm.getSregs(vcpu), yield* Kvm.getRegs(vcpu), yield* Kvm.getCpuid2(vcpu))
    })
  )

  itKvm(
    "what KVM refuses, a rule refuses",
    Effect.gen(function* () {
      const vcpu = yield* Kvm.createVcpu(yield* Kvm.createVm(), 0)
      yield* x86.setDefaultCpuid(vcpu)
      const cpuid = yield* Kvm.getCpuid2(vcpu)
      const fresh = yield* Kvm.getSregs(vcpu)
      for (const [name, state] of [
        ...Object.entries(valid),
        ...broken.map(([rule, , state]) => [rule, state] as const)
      ]) {
        const refused = (yield* Effect.result(Kvm.setSregs(vcpu, state.sregs)))._tag === "Failure"
        if (refused) assert.notDeepEqual(x86.violations(state.sregs, state.regs, cpuid), [], name)
        yield* Kvm.setSregs(vcpu, fresh)
      }
    })
  )

  const upTo = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

  /** A segment register changed in ways that the rules may allow or not. */
  const segment = Schema.Struct({
    name: Schema.Literals(["ds", "es", "fs", "gs", "ldt", "tr"]),
    type: upTo(15),
    dpl: upTo(3),
    rpl: upTo(3),
    base: Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: 0n, maximum: 0xffff_ffffn })),
    unusable: Schema.Boolean
  })

  let ran = 0

  it.live.prop(
    "what the rules allow KVM takes, and the guest runs",
    {
      mode: Schema.Literals(["real", "protected", "long"]),
      // Which bit is changed; mostly ones that there are.
      cr0: Schema.Literals([0, 1, 2, 3, 5, 16, 18, 29, 30, 31, 40]),
      cr4: Schema.Literals([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 16, 17, 18, 20, 21, 23, 50]),
      rflags: Schema.Literals([0, 1, 2, 3, 6, 7, 9, 10, 11, 12, 14, 16, 17, 18, 21, 60]),
      segments: Schema.Array(segment).check(Schema.isMaxLength(2))
    },
    ({ cr0, cr4, mode, rflags, segments }) =>
      Effect.gen(function* () {
        const vm = yield* Kvm.createVm()
        const memory = yield* Kvm.addMemory(vm, { guestAddress: 0, size: 0x2_0000 })
        memory.bytes.set(hlt, 0x1000)
        const vcpu = yield* Kvm.createVcpu(vm, 0)
        yield* x86.setDefaultCpuid(vcpu)
        const cpuid = yield* Kvm.getCpuid2(vcpu)
        const options = { entry: 0x1000, stack: 0x8000 }
        const made =
          mode === "real"
            ? yield* x86.realMode(vcpu, options)
            : mode === "protected"
              ? yield* x86.protectedMode(vcpu, memory, options)
              : yield* x86.longMode(vcpu, memory, { ...options, tables: 0x1_0000 })
        let sregs = {
          ...made.sregs,
          cr0: made.sregs.cr0 ^ (1n << BigInt(cr0)),
          cr4: made.sregs.cr4 ^ (1n << BigInt(cr4))
        }
        for (const { base, dpl, name, rpl, type, unusable } of segments) {
          const before = sregs[name]
          const s = name === "ldt" || name === "tr" ? 0 : 1
          const usable = { type, dpl, base, selector: 8 | rpl, s, present: 1, unusable: 0 }
          sregs = { ...sregs, [name]: unusable ? { ...x86.unusableSegment, base } : { ...before, ...usable } }
        }
        // A trap after the first instruction is another exit.
        const general = { ...made.regs, rflags: (made.regs.rflags ^ (1n << BigInt(rflags))) & ~x86.RFLAGS_TF }
        if (x86.violations(sregs, general, cpuid).length > 0) return
        // Without paging the code of another mode is other code: only what stays in its mode is compared.
        const modeBits = x86.CR0_PE | x86.CR0_PG
        if ((sregs.cr0 & modeBits) !== (made.sregs.cr0 & modeBits)) return
        ran++
        yield* Kvm.setSregs(vcpu, sregs)
        yield* Kvm.setRegs(vcpu, general)
        yield* expectExit(vcpu, "Hlt")
      }).pipe(Effect.scoped, Effect.provide(Kvm.layer)),
    { arbitrary: { runs: 150 } }
  )

  it("and there were many that they allow", () => assert.isAtLeast(ran, 10))
})
