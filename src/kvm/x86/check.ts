/**
 * Whether a processor's state is one that the architecture has: the rules of `rules.ts` applied. Those on segments are in
 * `check-segments.ts`.
 */
import * as Effect from "effect/Effect"
import { CpuidFeature, findCpuid, hasCpuidFeature } from "../cpuid.ts"
import type { kvm_cpuid_entry2, kvm_regs, kvm_sregs } from "../structs.ts"
import { type Modes, segmentViolations } from "./check-segments.ts"
import * as control from "./control.ts"
import * as flags from "./flags.ts"
import { GuestStateError, hex, isCanonical, type Report } from "./rules.ts"

/** Features that bits of control registers turn on and that `CpuidFeature` has no name for. */
const further = {
  SMX: { leaf: 1, index: 0, register: "ecx", bit: 6 },
  KL: { leaf: 7, index: 0, register: "ecx", bit: 23 },
  PKS: { leaf: 7, index: 0, register: "ecx", bit: 31 },
  UINTR: { leaf: 7, index: 0, register: "edx", bit: 5 },
  LAM: { leaf: 7, index: 1, register: "eax", bit: 26 },
  TCE: { leaf: 0x8000_0001, index: 0, register: "ecx", bit: 17 },
  FXSR_OPT: { leaf: 0x8000_0001, index: 0, register: "edx", bit: 25 },
  MCOMMIT: { leaf: 0x8000_0008, index: 0, register: "ebx", bit: 8 },
  INT_WBINVD: { leaf: 0x8000_0008, index: 0, register: "ebx", bit: 13 },
  UPPER_ADDRESS_IGNORE: { leaf: 0x8000_0021, index: 0, register: "eax", bit: 7 },
  AUTOIBRS: { leaf: 0x8000_0021, index: 0, register: "eax", bit: 8 }
} as const satisfies Readonly<Record<string, CpuidFeature>>

const features = { ...further, ...CpuidFeature }
type Name = keyof typeof features

/** What KVM lets a vCPU use whose CPUID was never set. */
const assumed: ReadonlySet<Name> = new Set(["VME", "TSC", "DE", "PSE", "PAE", "PGE", "FXSR", "SSE"])

type Entries = ReadonlyArray<kvm_cpuid_entry2>

const hasFeature = (cpuid: Entries, name: Name): boolean => hasCpuidFeature(cpuid, features[name])

/** How many bits a physical address has; 36 where CPUID does not say. */
const physicalBits = (cpuid: Entries): number => {
  const bits = (findCpuid(cpuid, 0x8000_0008)?.eax ?? 0) & 0xff
  return bits === 0 ? 36 : bits
}

const cr4Features: ReadonlyArray<readonly [name: string, bit: bigint, feature: Name]> = [
  ["VME", control.CR4_VME, "VME"],
  ["PVI", control.CR4_PVI, "VME"],
  ["TSD", control.CR4_TSD, "TSC"],
  ["DE", control.CR4_DE, "DE"],
  ["PSE", control.CR4_PSE, "PSE"],
  ["PAE", control.CR4_PAE, "PAE"],
  ["PGE", control.CR4_PGE, "PGE"],
  ["OSFXSR", control.CR4_OSFXSR, "FXSR"],
  ["OSXMMEXCPT", control.CR4_OSXMMEXCPT, "SSE"],
  ["UMIP", control.CR4_UMIP, "UMIP"],
  ["LA57", control.CR4_LA57, "LA57"],
  ["VMXE", control.CR4_VMXE, "VMX"],
  ["SMXE", control.CR4_SMXE, "SMX"],
  ["FSGSBASE", control.CR4_FSGSBASE, "FSGSBASE"],
  ["PCIDE", control.CR4_PCIDE, "PCID"],
  ["OSXSAVE", control.CR4_OSXSAVE, "XSAVE"],
  ["KL", control.CR4_KL, "KL"],
  ["SMEP", control.CR4_SMEP, "SMEP"],
  ["SMAP", control.CR4_SMAP, "SMAP"],
  ["PKE", control.CR4_PKE, "PKU"],
  ["PKS", control.CR4_PKS, "PKS"],
  ["UINTR", control.CR4_UINTR, "UINTR"],
  ["LAM_SUP", control.CR4_LAM_SUP, "LAM"],
  ["FRED", control.CR4_FRED, "FRED"]
]

const eferFeatures: ReadonlyArray<readonly [name: string, bit: bigint, feature: Name]> = [
  ["SCE", flags.EFER_SCE, "SYSCALL"],
  ["LME", flags.EFER_LME, "LM"],
  ["NX", flags.EFER_NX, "NX"],
  ["SVME", flags.EFER_SVME, "SVM"],
  ["FFXSR", flags.EFER_FFXSR, "FXSR_OPT"],
  ["TCE", flags.EFER_TCE, "TCE"],
  ["MCOMMIT", flags.EFER_MCOMMIT, "MCOMMIT"],
  ["INTWB", flags.EFER_INTWB, "INT_WBINVD"],
  ["UAIE", flags.EFER_UAIE, "UPPER_ADDRESS_IGNORE"],
  ["AUTOIBRS", flags.EFER_AUTOIBRS, "AUTOIBRS"]
]

/** All bits of a register that are among these constants. */
const known = (constants: Readonly<Record<string, bigint>>, prefix: string): bigint =>
  Object.entries(constants).reduce((bits, [name, bit]) => (name.startsWith(prefix) ? bits | bit : bits), 0n)

const cr0Known = known(control, "CR0_")
const cr4Known = known(control, "CR4_")
const eferKnown = known(flags, "EFER_")
const rflagsKnown = known(flags, "RFLAGS_")

const controlViolations = (sregs: kvm_sregs, cpuid: Entries | undefined, report: Report): void => {
  const { apic_base, cr0, cr3, cr4, cr8, efer } = sregs
  const has = (register: bigint, bit: bigint) => (register & bit) !== 0n
  const lacks = (feature: Name) => cpuid !== undefined && cpuid.length > 0 && !hasFeature(cpuid, feature)
  // Without entries KVM still refuses some bits.
  const lacksFor4 = (feature: Name) =>
    cpuid !== undefined && !(cpuid.length === 0 && assumed.has(feature)) && !hasFeature(cpuid, feature)

  if (cr0 >> 32n !== 0n) report("cr0.upper", "cr0", `it is ${hex(cr0)}`)
  if ((cr0 & 0xffff_ffffn & ~cr0Known) !== 0n) report("cr0.reserved", "cr0", `it is ${hex(cr0)}`)
  if (has(cr0, control.CR0_PG) && !has(cr0, control.CR0_PE)) report("cr0.pg", "cr0", `it is ${hex(cr0)}`)
  if (has(cr0, control.CR0_NW) && !has(cr0, control.CR0_CD)) report("cr0.nw", "cr0", `it is ${hex(cr0)}`)

  const bits = cpuid === undefined ? 52 : physicalBits(cpuid)
  // LAM's bits 62:61 of CR3 are what its feature adds to an address that the width allows.
  const lam = cpuid === undefined || hasFeature(cpuid, "LAM") ? 3n << 61n : 0n
  if ((cr3 & ~lam) >> BigInt(bits) !== 0n) report("cr3.width", "cr3", `it is ${hex(cr3)}, the width ${bits} bits`)

  if ((cr4 & ~cr4Known) !== 0n) report("cr4.reserved", "cr4", `it is ${hex(cr4)}`)
  for (const [name, bit, feature] of cr4Features) {
    if (has(cr4, bit) && lacksFor4(feature)) report("cr4.feature", "cr4", `${name} is set, and CPUID has no ${feature}`)
  }
  if (has(cr4, control.CR4_CET)) {
    if (lacksFor4("SHSTK") && lacksFor4("IBT"))
      report("cr4.feature", "cr4", "CET is set, and CPUID has no SHSTK or IBT")
    if (!has(cr0, control.CR0_WP)) report("cr4.cet", "cr4", `it is ${hex(cr4)} with CR0 ${hex(cr0)}`)
  }
  if (has(cr4, control.CR4_PCIDE) && !has(efer, flags.EFER_LMA)) {
    report("cr4.pcide", "cr4", `it is ${hex(cr4)} with EFER ${hex(efer)}`)
  }

  if (cr8 > 0xfn) report("cr8.reserved", "cr8", `it is ${hex(cr8)}`)

  if ((efer & ~eferKnown) !== 0n) report("efer.reserved", "efer", `it is ${hex(efer)}`)
  for (const [name, bit, feature] of eferFeatures) {
    if (has(efer, bit) && lacks(feature)) report("efer.feature", "efer", `${name} is set, and CPUID has no ${feature}`)
  }
  const paged = has(efer, flags.EFER_LME) && has(cr0, control.CR0_PG)
  if (has(efer, flags.EFER_LMA) !== paged) report("efer.lma", "efer", `it is ${hex(efer)} with CR0 ${hex(cr0)}`)
  if (paged && !has(cr4, control.CR4_PAE)) report("efer.pae", "efer", `it is ${hex(efer)} with CR4 ${hex(cr4)}`)

  // Bit 8: the first processor; 10: x2APIC; 11: on.
  if ((apic_base & 0x2ffn) !== 0n || apic_base >> BigInt(bits) !== 0n) {
    report("apic_base.reserved", "apic_base", `it is ${hex(apic_base)}, the width ${bits} bits`)
  }
  if ((apic_base & 0x400n) !== 0n && ((apic_base & 0x800n) === 0n || lacks("X2APIC"))) {
    report("apic_base.x2apic", "apic_base", `it is ${hex(apic_base)}`)
  }
}

const registerViolations = (
  sregs: kvm_sregs,
  { rflags, rip }: Pick<kvm_regs, "rflags" | "rip">,
  modes: Modes,
  report: Report
): void => {
  const { cs } = sregs
  if (modes.code64) {
    if (!isCanonical(rip, modes.width)) report("rip.canonical", "rip", `it is ${hex(rip)} of ${modes.width} bits`)
  } else if (rip >> 32n !== 0n) report("rip.upper", "rip", `it is ${hex(rip)}`)
  else if (rip > BigInt(cs.limit)) report("rip.limit", "rip", `it is ${hex(rip)}, the limit ${hex(cs.limit)}`)
  if ((rflags & flags.RFLAGS_FIXED) === 0n) report("rflags.fixed", "rflags", `it is ${hex(rflags)}`)
  if ((rflags & ~rflagsKnown) !== 0n) report("rflags.reserved", "rflags", `it is ${hex(rflags)}`)
  if ((rflags & flags.RFLAGS_VM) !== 0n && (modes.long || !modes.protected)) {
    report("rflags.vm", "rflags", `it is ${hex(rflags)} with CR0 ${hex(sregs.cr0)} and EFER ${hex(sregs.efer)}`)
  }
}

/**
 * What is wrong with a state, all of it: empty where nothing is. {@link check} says what is looked at.
 *
 * @category checking
 * @since 0.1.0
 */
export const violations = (
  sregs: kvm_sregs,
  regs?: Pick<kvm_regs, "rflags" | "rip">,
  cpuid?: ReadonlyArray<kvm_cpuid_entry2>
): ReadonlyArray<GuestStateError> => {
  const found: Array<GuestStateError> = []
  const report: Report = (rule, register, detail) => found.push(new GuestStateError({ rule, register, detail }))
  const { cr0, cr4, cs, efer, gdt, idt } = sregs
  const isProtected = (cr0 & control.CR0_PE) !== 0n
  const long = (efer & flags.EFER_LMA) !== 0n
  const modes: Modes = {
    protected: isProtected,
    long,
    code64: long && cs.l !== 0,
    virtual8086: isProtected && !long && regs !== undefined && (regs.rflags & flags.RFLAGS_VM) !== 0n,
    width: (cr4 & control.CR4_LA57) !== 0n ? 57 : 48
  }
  controlViolations(sregs, cpuid, report)
  segmentViolations(sregs, modes, report)
  for (const [name, { base }] of [
    ["gdt", gdt],
    ["idt", idt]
  ] as const) {
    if (!isCanonical(base, modes.width)) report("table.canonical", name, `the base is ${hex(base)}`)
  }
  if (regs !== undefined) registerViolations(sregs, regs, modes, report)
  return found
}

/**
 * Checks a state against the rules of the architecture, before the kernel is asked, which says of most only `EINVAL`, or
 * lets the guest fail at its first instruction: fails with the first rule that is broken.
 *
 * Looked at are the control registers, EFER, the APIC base, the segments, the tables' bases, and, where they are given,
 * RIP and RFLAGS; and with the entries of the vCPU's CPUID (`Kvm.getCpuid2`) also the features that bits turn on, and how
 * wide physical addresses are. An empty list is a vCPU whose CPUID was never set: 36 bits, and few features.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const set = (vcpu: Kvm.Vcpu, sregs: Kvm.kvm_sregs) =>
 *   Kvm.x86.check(sregs).pipe(
 *     Effect.andThen(Kvm.setSregs(vcpu, sregs)),
 *     Effect.catchTag("GuestStateError", ({ message }) => Effect.logError(message))
 *     // cr0: it is 0x80000000, but paging (CR0.PG) needs protected mode (CR0.PE) (cr0.pg)
 *   )
 * ```
 *
 * @category checking
 * @since 0.1.0
 */
export const check = (
  sregs: kvm_sregs,
  regs?: Pick<kvm_regs, "rflags" | "rip">,
  cpuid?: ReadonlyArray<kvm_cpuid_entry2>
): Effect.Effect<void, GuestStateError> =>
  Effect.suspend(() => {
    const [first] = violations(sregs, regs, cpuid)
    return first === undefined ? Effect.void : Effect.fail(first)
  })
