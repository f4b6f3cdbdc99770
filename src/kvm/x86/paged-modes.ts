/** Protected and long mode. */
import type * as Effect from "effect/Effect"
import type { Vcpu } from "../vcpu.ts"
import * as control from "./control.ts"
import {
  checkEntry,
  enter,
  expectOneOf,
  type ModeError,
  type PagedMode,
  type PagedModeOptions,
  rflagsOf,
  stackOf,
  writeTables,
  zeros
} from "./enter.ts"
import * as flags from "./flags.ts"
import { identity, type PageMapping, pageTablesAt } from "./paging.ts"
import type { PhysicalMemory } from "./physical.ts"
import { broken, integer } from "./rules.ts"
import { segment, unusableSegment } from "./segments.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Paging32 {
  /** Without PAE pages are of 4 KiB or 4 MiB; with it of 4 KiB or 2 MiB, and can be made not executable. True. */
  readonly pae?: boolean | undefined
  /** What is mapped. All 4 GiB to themselves, in large pages. */
  readonly map?: ReadonlyArray<PageMapping> | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface ProtectedModeOptions extends PagedModeOptions {
  /**
   * Where GDT, task state segment and IDT are written in the guest's physical memory, and after them page tables: a
   * multiple of 4 KiB. Without it there are no tables, and the guest keeps the segments that it starts with.
   */
  readonly tables?: number | bigint | undefined
  /** Whether there is paging, and how. False. */
  readonly paging?: boolean | Paging32 | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface LongModeOptions extends PagedModeOptions {
  /**
   * Where GDT, task state segment and IDT are written in the guest's physical memory, and after them page tables: a
   * multiple of 4 KiB. For `handlers` it must be mapped.
   */
  readonly tables: number | bigint
  /** What is mapped. The lowest 4 GiB to themselves, in pages of 2 MiB, ring 3's too where execution begins in it. */
  readonly map?: ReadonlyArray<PageMapping> | undefined
  /** How many levels page tables have; five need the feature `la57`. 4. */
  readonly levels?: 4 | 5 | undefined
  /** The interrupt stacks 1 to 7. */
  readonly ist?: ReadonlyArray<number | bigint> | undefined
}

/** The lowest 4 GiB, for a guest that begins in a ring. */
const everything = (ring: 0 | 3): ReadonlyArray<PageMapping> => [identity(1n << 32n, { user: ring === 3 })]

/**
 * The selectors of the GDT that `protectedMode` writes, RPL and all.
 *
 * @category modes
 * @since 0.1.0
 */
export const protectedModeSelectors = { code: 0x08, data: 0x10, userCode: 0x1b, userData: 0x23, tss: 0x28 } as const

/**
 * The selectors of the GDT that `longMode` writes, RPL and all, in an order that suits `syscall` and `sysret`.
 *
 * @category modes
 * @since 0.1.0
 */
export const longModeSelectors = {
  code: 0x08,
  data: 0x10,
  /** 32-bit code of ring 3. */
  userCode32: 0x1b,
  userData: 0x23,
  userCode: 0x2b,
  tss: 0x30
} as const

/**
 * Puts a vCPU into 32-bit protected mode with flat segments: all begin at 0 and are 4 GiB long. Given `tables`, a GDT with
 * the selectors of {@link protectedModeSelectors}, a task state segment and, for `handlers`, an IDT are written there,
 * and page tables where `paging` is asked for.
 *
 * Fails with `GuestStateError` where the architecture has no such state, or the tables find no room in `memory`; the
 * registers are as before then, and tables may be written.
 *
 * Requests `KVM_GET_SREGS`, `KVM_GET_CPUID2`, `KVM_SET_SREGS`, `KVM_SET_REGS`.
 *
 * @example
 * ```ts
 * import { Kvm } from "effect-linux"
 *
 * declare const vcpu: Kvm.Vcpu
 * declare const memory: Kvm.GuestMemory
 *
 * const flat = Kvm.x86.protectedMode(vcpu, memory, { entry: 0x1000, stack: 0x8000 })
 *
 * const paged = Kvm.x86.protectedMode(vcpu, memory, {
 *   entry: 0x1000,
 *   stack: 0x8000,
 *   tables: 0x10000,
 *   paging: true,
 *   handlers: { 14: 0x2000 } // page faults
 * })
 * ```
 *
 * @category modes
 * @since 0.1.0
 */
export const protectedMode = (
  vcpu: Vcpu,
  memory: PhysicalMemory,
  options: ProtectedModeOptions
): Effect.Effect<PagedMode, ModeError> =>
  enter(vcpu, (before): PagedMode => {
    const { cr0 = 0n, cr4 = 0n, efer = 0n, handlers, interrupts, paging = false, regs, ring = 0, tables } = options
    expectOneOf("ring", ring, [0, 3])
    const flat = [
      segment({ kind: "code", selector: protectedModeSelectors.code }),
      segment({ kind: "data", selector: protectedModeSelectors.data }),
      segment({ kind: "code", dpl: 3, selector: protectedModeSelectors.userCode }),
      segment({ kind: "data", dpl: 3, selector: protectedModeSelectors.userData })
    ] as const
    const [code, data, userCode, userData] = flat
    if (tables === undefined && (paging !== false || handlers !== undefined)) {
      broken("mode.tables", "tables", "there is none")
    }
    const { map = everything(ring), pae = true } = paging === false || paging === true ? {} : paging
    const seen = paging === false ? undefined : map
    const written = tables === undefined ? undefined : writeTables(memory, tables, 32, flat, seen, options)
    const pageTables =
      written !== undefined && paging !== false
        ? pageTablesAt(memory, { mode: pae ? "pae" : "32bit", address: written.end, map })
        : undefined
    const ds = ring === 0 ? data : userData
    const mode: PagedMode = {
      pageTables,
      end: written === undefined ? 0n : written.end + BigInt(pageTables?.size ?? 0),
      regs: {
        ...zeros,
        rip: integer(options.entry, "rip.upper", "rip"),
        rsp: stackOf(options.stack, 32),
        rflags: rflagsOf(interrupts),
        ...regs
      },
      sregs: {
        ...before,
        cr0: control.CR0_PE | control.CR0_ET | (pageTables === undefined ? 0n : control.CR0_PG) | cr0,
        cr2: 0n,
        cr3: pageTables?.cr3 ?? 0n,
        cr4: (pageTables?.cr4 ?? 0n) | cr4,
        efer: (pageTables?.efer ?? 0n) | efer,
        cs: ring === 0 ? code : userCode,
        ss: ds,
        ds,
        es: ds,
        fs: ds,
        gs: ds,
        tr: written?.tss ?? segment({ kind: "tss" }),
        ldt: unusableSegment,
        gdt: written?.gdt ?? { base: 0n, limit: 0 },
        idt: written?.idt ?? { base: 0n, limit: 0 }
      }
    }
    checkEntry(memory, mode, ring)
    return mode
  })

/**
 * Puts a vCPU into 64-bit mode. At `tables` are written a GDT with the selectors of {@link longModeSelectors}, a task state
 * segment, for `handlers` an IDT, and page tables, by default ones that map the lowest 4 GiB to themselves: seven pages,
 * eight with handlers. SSE is on.
 *
 * Fails with `GuestStateError` where the architecture has no such state, or the tables find no room in `memory`; the
 * registers are as before then, and tables may be written.
 *
 * Requests `KVM_GET_SREGS`, `KVM_GET_CPUID2`, `KVM_SET_SREGS`, `KVM_SET_REGS`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const program = Effect.gen(function* () {
 *   const vm = yield* Kvm.createVm()
 *   const memory = yield* Kvm.addMemory(vm, { slot: 0, guestAddress: 0, size: 0x20_0000 })
 *   const vcpu = yield* Kvm.createVcpu(vm, 0)
 *   memory.bytes.set([0x48, 0xff, 0xc0, 0xf4], 0x1000) // inc rax; hlt
 *   yield* Kvm.x86.longMode(vcpu, memory, { entry: 0x1000, stack: 0x8000, tables: 0x10000 })
 *   yield* Kvm.run(vcpu)
 *   return (yield* Kvm.getRegs(vcpu)).rax // 1n
 * }).pipe(Effect.scoped, Effect.provide(Kvm.layer))
 * ```
 *
 * @category modes
 * @since 0.1.0
 */
export const longMode = (
  vcpu: Vcpu,
  memory: PhysicalMemory,
  options: LongModeOptions
): Effect.Effect<PagedMode, ModeError> =>
  enter(vcpu, (before): PagedMode => {
    const { cr0 = 0n, cr4 = 0n, efer = 0n, interrupts, levels = 4, regs, ring = 0, tables } = options
    expectOneOf("ring", ring, [0, 3])
    expectOneOf("levels", levels, [4, 5])
    const flat = [
      segment({ kind: "code", bits: 64, selector: longModeSelectors.code }),
      segment({ kind: "data", selector: longModeSelectors.data }),
      segment({ kind: "code", dpl: 3, selector: longModeSelectors.userCode32 }),
      segment({ kind: "data", dpl: 3, selector: longModeSelectors.userData }),
      segment({ kind: "code", bits: 64, dpl: 3, selector: longModeSelectors.userCode })
    ] as const
    const [code, data, , userData, userCode] = flat
    const { map = everything(ring) } = options
    const written = writeTables(memory, tables, 64, flat, map, options)
    const pageTables = pageTablesAt(memory, {
      mode: levels === 5 ? "5level" : "4level",
      address: written.end,
      map
    })
    const ds = ring === 0 ? data : userData
    const mode: PagedMode = {
      pageTables,
      end: written.end + BigInt(pageTables.size),
      regs: {
        ...zeros,
        rip: integer(options.entry, "rip.canonical", "rip"),
        rsp: stackOf(options.stack, 64),
        rflags: rflagsOf(interrupts),
        ...regs
      },
      sregs: {
        ...before,
        cr0: control.CR0_PE | control.CR0_MP | control.CR0_ET | control.CR0_NE | control.CR0_PG | cr0,
        cr2: 0n,
        cr3: pageTables.cr3,
        cr4: pageTables.cr4 | control.CR4_OSFXSR | control.CR4_OSXMMEXCPT | cr4,
        efer: flags.EFER_LME | flags.EFER_LMA | pageTables.efer | efer,
        cs: ring === 0 ? code : userCode,
        ss: ds,
        ds,
        es: ds,
        fs: ds,
        gs: ds,
        tr: written.tss,
        ldt: unusableSegment,
        gdt: written.gdt,
        idt: written.idt
      }
    }
    checkEntry(memory, mode, ring)
    return mode
  })
