/**
 * What the architecture demands of a processor's state, rule by rule, and the error that names the one that is broken.
 * The rules are applied in `check.ts` and its neighbours, and where tables are written.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

/**
 * The rules, each with what it says. Those of the processor's state are what Intel's manual (volume 3, "Checks on the
 * Guest State Area") and AMD's (volume 2, "Canonicalization and Consistency Checks") demand where a guest is entered.
 *
 * @category rules
 * @since 0.1.0
 */
export const rules = {
  "cr0.upper": "bits 63:32 of CR0 are zero",
  "cr0.reserved": "bits 28:19, 17 and 15:6 of CR0 are zero",
  "cr0.pg": "paging (CR0.PG) needs protected mode (CR0.PE)",
  "cr0.nw": "CR0.NW needs CR0.CD",
  "cr3.width": "CR3 lies within the physical address width",
  "cr4.reserved": "reserved bits of CR4 are zero",
  "cr4.feature": "a bit of CR4 needs the feature that it turns on",
  "cr4.pcide": "CR4.PCIDE needs long mode (EFER.LMA)",
  "cr4.cet": "CR4.CET needs CR0.WP",
  "cr8.reserved": "bits 63:4 of CR8 are zero",
  "efer.reserved": "reserved bits of EFER are zero",
  "efer.feature": "a bit of EFER needs the feature that it turns on",
  "efer.lma": "EFER.LMA is set exactly when EFER.LME and CR0.PG are",
  "efer.pae": "paging with EFER.LME needs CR4.PAE",
  "apic_base.reserved": "reserved bits of the APIC base are zero, and it lies within the physical address width",
  "apic_base.x2apic": "x2APIC mode needs the APIC to be enabled, and the feature",
  "segment.usable": "CS and TR are usable",
  "segment.present": "a usable segment is present",
  "segment.system": "CS, SS, DS, ES, FS, GS are no system segments; TR and LDTR are",
  "segment.type": "a segment register holds a segment of a type that it can hold",
  "segment.base.upper": "bits 63:32 of the bases of CS, SS, DS and ES are zero",
  "segment.base.canonical": "the bases of FS, GS, TR and LDTR are canonical",
  "segment.granularity":
    "G is 0 where the limit's low 12 bits are not all ones, and 1 where its high 12 bits are not all zeros",
  "segment.ti": "TR and LDTR are selected from the GDT",
  "segment.long": "a 64-bit code segment (CS.L) needs long mode (EFER.LMA)",
  "segment.long.size": "a 64-bit code segment (CS.L) has CS.D clear",
  "segment.rpl": "SS and CS have the same RPL",
  "segment.dpl.cs": "CS has the DPL of SS, or if it is conforming none above it; in real mode 0",
  "segment.dpl.ss": "SS has a DPL equal to its RPL; in real mode 0",
  "segment.dpl.data": "a data or non-conforming code segment in DS, ES, FS, GS has a DPL not below its RPL",
  "virtual8086.base": "in virtual-8086 mode a segment's base is its selector times 16",
  "virtual8086.limit": "in virtual-8086 mode a segment's limit is 0xffff",
  "virtual8086.access": "in virtual-8086 mode each segment is a present, accessed, writable data segment of DPL 3",
  "table.canonical": "the bases of GDTR and IDTR are canonical",
  "rip.upper": "outside 64-bit code, bits 63:32 of RIP are zero",
  "rip.canonical": "in 64-bit code RIP is canonical",
  "rip.limit": "outside 64-bit code RIP lies within the limit of CS",
  "rflags.fixed": "bit 1 of RFLAGS is set",
  "rflags.reserved": "bits 63:22, 15, 5 and 3 of RFLAGS are zero",
  "rflags.vm": "virtual-8086 mode (RFLAGS.VM) needs protected mode and is none of long mode's",
  "descriptor.base": "a descriptor holds a base of 32 bits, or, of a system segment in long mode, of 64",
  "descriptor.limit": "a descriptor holds a limit of 20 bits, or of 4 KiB pages",
  "gate.offset": "a gate holds an offset of 16, 32 or 64 bits, by its mode",
  "gate.vector": "a vector is an integer from 0 to 255",
  "gate.ist": "an interrupt stack is one of 1 to 7, or 0 for none, and of long mode's only",
  "page.alignment": "addresses and sizes of pages and tables are multiples of the page size, and positive",
  "page.canonical": "a mapped address is one that the paging mode has",
  "page.width": "a page's physical address is one that its entry can hold",
  "page.overlap": "an address is mapped once",
  "page.execute": "pages that cannot be executed need PAE or long mode",
  "memory.range": "what is written lies in the guest's memory",
  "mode.entry": "execution begins at an address that is mapped, executable and, in ring 3, the user's",
  "mode.stack": "the stack lies below an address that the mode has",
  "mode.seen": "the tables that handlers need are mapped",
  "mode.kept": "KVM keeps the mode that it is given",
  "mode.tables": "page tables, and handlers of interrupts, need a place for the tables"
} as const

/**
 * The name of a rule.
 *
 * @category rules
 * @since 0.1.0
 */
export type Rule = keyof typeof rules

/**
 * A state that the architecture has not, found before the kernel is asked: which rule it breaks, in which register or
 * structure, and with what value.
 *
 * @category errors
 * @since 0.1.0
 */
export class GuestStateError extends Data.TaggedError("GuestStateError")<{
  readonly rule: Rule
  /** By the name of its field: `cr0`, `cs`, `gdt`, …; of structures in memory what they are. */
  readonly register: string
  /** The value, and what about it. */
  readonly detail: string
}> {
  override get message(): string {
    return `${this.register}: ${this.detail}, but ${rules[this.rule]} (${this.rule})`
  }
}

/** Says that a rule is broken. */
export type Report = (rule: Rule, register: string, detail: string) => void

/** Whether the upper bits of an address are all like the highest of those that count. */
export const isCanonical = (address: bigint, width: number): boolean =>
  BigInt.asUintN(64, BigInt.asIntN(width, address)) === address

/** A number as the manuals write it. */
export const hex = (value: number | bigint): string => (value < 0 ? `${value}` : `0x${value.toString(16)}`)

/** Breaks off with the error; only inside {@link checked}. */
export const broken = (rule: Rule, register: string, detail: string): never => {
  throw new GuestStateError({ rule, register, detail })
}

/** An address or size as a bigint. */
export const integer = (value: number | bigint, rule: Rule, register: string): bigint => {
  if (typeof value === "bigint") return value
  if (typeof value !== "number") throw new TypeError(`${register}: expected a number or bigint`)
  return Number.isSafeInteger(value) ? BigInt(value) : broken(rule, register, `${value} is no safe integer`)
}

/** Runs what may break off. */
export const checked = <A>(f: () => A): Effect.Effect<A, GuestStateError> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(f())
    } catch (thrown) {
      if (thrown instanceof GuestStateError) return Effect.fail(thrown)
      throw thrown
    }
  })
