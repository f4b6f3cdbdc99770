/** Real mode. */
import type * as Effect from "effect/Effect"
import type { kvm_regs } from "../structs.ts"
import type { Vcpu } from "../vcpu.ts"
import { CR0_ET } from "./control.ts"
import { enter, type Mode, type ModeError, rflagsOf, zeros } from "./enter.ts"
import { broken, hex } from "./rules.ts"
import { realModeSegment, segment } from "./segments.ts"

/**
 * A place in real mode: a linear address below 1 MiB + 64 KiB, or segment and offset.
 *
 * @category models
 * @since 0.1.0
 */
export type RealAddress = number | { readonly segment: number; readonly offset: number }

/**
 * @category models
 * @since 0.1.0
 */
export interface RealModeOptions {
  /** Where execution begins. A linear one below 64 KiB has the segment 0, any other one that ends in three zeros. */
  readonly entry: RealAddress
  /** Where the stack begins, to go down from there. The end of the first 64 KiB. */
  readonly stack?: RealAddress | undefined
  /** The segment in DS, ES, FS and GS. 0. */
  readonly data?: number | undefined
  /** Whether interrupts are taken from the start. False. */
  readonly interrupts?: boolean | undefined
  /** General registers, all others of which are 0. */
  readonly regs?: Partial<kvm_regs> | undefined
}

const split = (address: RealAddress, rule: "rip.limit" | "mode.stack", register: string) => {
  const { offset, segment } =
    typeof address === "number"
      ? { segment: (address >>> 4) & 0xf000, offset: address - (((address >>> 4) & 0xf000) << 4) }
      : address
  const word = (value: number) => Number.isInteger(value) && value >= 0 && value <= 0xffff
  if (!word(offset) || !word(segment)) {
    const shown = typeof address === "number" ? hex(address) : `${hex(segment)}:${hex(offset)}`
    return broken(rule, register, `it is ${shown}`)
  }
  return { segment, offset: BigInt(offset) }
}

/**
 * Puts a vCPU into 16-bit real mode. All addresses are then segment times 16 plus offset; the vectors of interrupts are
 * the lowest 1 KiB of memory (`writeIdt` with `"real"` writes them).
 *
 * Fails with `GuestStateError` where the architecture has no such state.
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
 *   const memory = yield* Kvm.addMemory(vm, { slot: 0, guestAddress: 0, size: 0x10000 })
 *   const vcpu = yield* Kvm.createVcpu(vm, 0)
 *   memory.bytes.set([0xf4], 0x1000) // hlt
 *   yield* Kvm.x86.realMode(vcpu, { entry: 0x1000 })
 *   return yield* Kvm.run(vcpu)
 * }).pipe(Effect.scoped, Effect.provide(Kvm.layer))
 * ```
 *
 * @category modes
 * @since 0.1.0
 */
export const realMode = (vcpu: Vcpu, options: RealModeOptions): Effect.Effect<Mode, ModeError> =>
  enter(vcpu, (before) => {
    const { data = 0, interrupts, regs, stack = { segment: 0, offset: 0 } } = options
    const entry = split(options.entry, "rip.limit", "rip")
    const top = split(stack, "mode.stack", "rsp")
    const ds = realModeSegment(data)
    return {
      regs: { ...zeros, rip: entry.offset, rsp: top.offset, rflags: rflagsOf(interrupts), ...regs },
      sregs: {
        ...before,
        cr0: CR0_ET,
        cr2: 0n,
        cr3: 0n,
        cr4: 0n,
        efer: 0n,
        cs: realModeSegment(entry.segment, "code"),
        ss: realModeSegment(top.segment),
        ds,
        es: ds,
        fs: ds,
        gs: ds,
        tr: segment({ kind: "tss", limit: 0xffff }),
        ldt: segment({ kind: "ldt", limit: 0xffff }),
        gdt: { base: 0n, limit: 0xffff },
        idt: { base: 0n, limit: 0x3ff }
      }
    }
  })
