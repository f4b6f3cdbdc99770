/**
 * What putting a vCPU into a mode is made of: checking and setting, and the tables that modes with descriptors need. The
 * modes are in `real-mode.ts` and `paged-modes.ts`.
 */
import * as Effect from "effect/Effect"
import { type GetCpuidError, getCpuid2 } from "../cpuid.ts"
import { getSregs, type RegisterError, setRegs, setSregs } from "../registers.ts"
import { kvm_regs, type kvm_segment, type kvm_sregs } from "../structs.ts"
import type { Vcpu } from "../vcpu.ts"
import { check } from "./check.ts"
import * as control from "./control.ts"
import * as flags from "./flags.ts"
import type { PageMapping, PageTables } from "./paging.ts"
import type { PhysicalMemory } from "./physical.ts"
import { broken, checked, GuestStateError, hex, integer } from "./rules.ts"
import { type Gates, gdtAt, idtAt, tssAt } from "./tables.ts"
import { resolve, UnmappedAddress } from "./translate.ts"

/**
 * What setting up a mode fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export type ModeError = GuestStateError | RegisterError | GetCpuidError

/**
 * What a vCPU was set to.
 *
 * @category models
 * @since 0.1.0
 */
export interface Mode {
  readonly regs: kvm_regs
  readonly sregs: kvm_sregs
}

export const zeros: kvm_regs = kvm_regs.decode(new Uint8Array(kvm_regs.size))

export const rflagsOf = (interrupts: boolean | undefined): bigint =>
  flags.RFLAGS_FIXED | (interrupts === true ? flags.RFLAGS_IF : 0n)

/** What makes the mode: a KVM that does not offer one may take the bits and forget them. */
const modeBits = ["cr0", "cr4", "efer"] as const
const made: { readonly [Name in (typeof modeBits)[number]]: bigint } = {
  cr0: control.CR0_PE | control.CR0_PG,
  cr4: control.CR4_PAE | control.CR4_LA57,
  efer: flags.EFER_LME | flags.EFER_LMA
}

/** Checks, sets, and looks at what has become of it. */
export const enter = <M extends Mode>(vcpu: Vcpu, make: (before: kvm_sregs) => M): Effect.Effect<M, ModeError> =>
  Effect.gen(function* () {
    const before = yield* getSregs(vcpu)
    const cpuid = yield* getCpuid2(vcpu)
    const mode = yield* checked(() => make(before))
    yield* check(mode.sregs, mode.regs, cpuid)
    yield* setSregs(vcpu, mode.sregs)
    const after = yield* getSregs(vcpu)
    for (const name of modeBits) {
      if ((after[name] & made[name]) !== (mode.sregs[name] & made[name])) {
        yield* setSregs(vcpu, before)
        const detail = `it is ${hex(after[name])} instead of ${hex(mode.sregs[name])}`
        return yield* new GuestStateError({ rule: "mode.kept", register: name, detail })
      }
    }
    yield* setRegs(vcpu, mode.regs)
    return mode
  })

/**
 * What protected and long mode have in common.
 *
 * @category models
 * @since 0.1.0
 */
export interface PagedModeOptions {
  /** Where execution begins: a linear address, which is virtual with paging. */
  readonly entry: number | bigint
  /** Where the stack begins, to go down from there. 0: there is none. */
  readonly stack?: number | bigint | undefined
  /** The ring in which execution begins. 0. */
  readonly ring?: 0 | 3 | undefined
  /** The stack on which interrupts from ring 3 run. Where `stack` is, in ring 0. */
  readonly kernelStack?: number | bigint | undefined
  /** What interrupts and exceptions run, by vector: linear addresses, or gates. */
  readonly handlers?: Gates | undefined
  /** Whether interrupts are taken from the start. False. */
  readonly interrupts?: boolean | undefined
  /** General registers, all others of which are 0. */
  readonly regs?: Partial<kvm_regs> | undefined
  /** Bits of CR0 beyond those that the mode needs. */
  readonly cr0?: bigint | undefined
  /** Bits of CR4 beyond those that the mode needs. */
  readonly cr4?: bigint | undefined
  /** Bits of EFER beyond those that the mode needs. */
  readonly efer?: bigint | undefined
}

/**
 * What a vCPU was set to, and where its tables are.
 *
 * @category models
 * @since 0.1.0
 */
export interface PagedMode extends Mode {
  readonly pageTables: PageTables | undefined
  /** The first address after the tables; where there are none, 0. */
  readonly end: bigint
}

/** In the page of the GDT. */
const tssOffset = 0x800n

interface Tables {
  readonly gdt: kvm_sregs["gdt"]
  readonly idt: kvm_sregs["idt"]
  readonly tss: kvm_segment
  /** Where what comes next can be put. */
  readonly end: bigint
}

/** Where the guest sees a physical address: undefined where it does not. Without paging everything is where it is. */
const linearOf = (physical: bigint, map: ReadonlyArray<PageMapping> | undefined): bigint | undefined => {
  if (map === undefined) return physical
  for (const mapping of map) {
    const virtual = integer(mapping.virtual, "page.canonical", "page tables")
    const start = integer(mapping.physical ?? virtual, "page.width", "page tables")
    if (physical >= start && physical - start < integer(mapping.size, "page.alignment", "page tables")) {
      return virtual + (physical - start)
    }
  }
  return undefined
}

/** GDT and task state segment in one page, and the IDT in another where there is one. */
export const writeTables = (
  memory: PhysicalMemory,
  at: number | bigint,
  bits: 32 | 64,
  segments: ReadonlyArray<kvm_segment>,
  map: ReadonlyArray<PageMapping> | undefined,
  options: PagedModeOptions & { readonly ist?: ReadonlyArray<number | bigint> | undefined }
): Tables => {
  const address = integer(at, "page.alignment", "tables")
  if ((address & 0xfffn) !== 0n) broken("page.alignment", "tables", `they are put at ${hex(address)}`)
  const { handlers, ist, kernelStack, ring = 0, stack = 0 } = options
  /** Only handlers need them to be seen. */
  const seen = (physical: bigint, what: string) =>
    linearOf(physical, map) ??
    (handlers === undefined ? 0n : broken("mode.seen", what, `it is written to ${hex(physical)}, which is not mapped`))
  const task = tssAt(memory, address + tssOffset, {
    bits,
    stack: kernelStack ?? (ring === 0 ? stack : 0),
    ...(bits === 64 && ist !== undefined ? { ist } : {})
  })
  const tss = { ...task, base: seen(task.base, "tss") }
  const { gdt, segments: placed } = gdtAt(memory, address, [...segments, tss], bits === 64)
  const common = { gdt: { ...gdt, base: seen(gdt.base, "gdt") }, tss: placed.at(-1) ?? tss }
  if (handlers === undefined) return { ...common, idt: { base: 0n, limit: 0 }, end: address + 0x1000n }
  const idt = idtAt(memory, address + 0x1000n, handlers, bits)
  return { ...common, idt: { ...idt, base: seen(idt.base, "idt") }, end: address + 0x2000n }
}

/** Refuses what would fault at once: the architecture allows it, and nobody wants it. */
export const checkEntry = (memory: PhysicalMemory, { regs, sregs }: Mode, ring: 0 | 3): void => {
  const linear = regs.rip + (sregs.cs.l !== 0 ? 0n : sregs.cs.base)
  const found = resolve(memory, sregs, linear)
  if (found instanceof UnmappedAddress) broken("mode.entry", "rip", found.message)
  else if (!found.executable) broken("mode.entry", "rip", `the page of ${hex(linear)} is not executable`)
  else if (ring === 3 && !found.user) broken("mode.entry", "rip", `the page of ${hex(linear)} is none of ring 3's`)
}

/** Refuses what the types exclude, and what would be taken for the usual one. */
export const expectOneOf = (name: string, value: number, known: ReadonlyArray<number>): void => {
  if (!known.includes(value)) throw new TypeError(`${name}: expected ${known.join(" or ")}, got ${String(value)}`)
}

export const stackOf = (stack: number | bigint | undefined, bits: 32 | 64): bigint => {
  const address = integer(stack ?? 0, "mode.stack", "rsp")
  if (address < 0n || address >> BigInt(bits) !== 0n) broken("mode.stack", "rsp", `it is ${hex(address)}`)
  return address
}
