/**
 * Registers that a vCPU shares through its run page: the kernel writes them there at each exit and takes them from there
 * at the next run, so that neither takes a request of its own.
 */
import * as Effect from "effect/Effect"
import type { IoctlError } from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import { type MissingCapability, requires } from "./capability.ts"
import { KVM_SYNC_X86_EVENTS, KVM_SYNC_X86_REGS, KVM_SYNC_X86_SREGS } from "./constants.ts"
import { onPage, type RunPageError, runPageErrors } from "./run-page.ts"
import { kvm_run, kvm_sync_regs } from "./structs.ts"
import { refuse, stateOf, type Vcpu, type VcpuState } from "./vcpu.ts"

/**
 * What reading or writing shared registers fails with: `EBADF` where the vCPU is closed, `EBUSY` while the guest runs,
 * `EINVAL` for registers that this kernel does not share, and for values that do not fit.
 *
 * @category errors
 * @since 0.1.0
 */
export type SyncRegsError = RunPageError

const validAt = kvm_run.fields.kvm_valid_regs
const dirtyAt = kvm_run.fields.kvm_dirty_regs
const regsAt = kvm_run.fields.s.offset

/** Fails unless this kernel shares all of these registers. */
const shared = (
  vcpu: Vcpu,
  name: string,
  registers: number
): Effect.Effect<VcpuState, MissingCapability | IoctlError | SyncRegsError> =>
  Effect.suspend(() => {
    const state = stateOf(vcpu)
    if (state.closed) return refuse(runPageErrors, codes.EBADF, `${name}: the vCPU is closed`)
    return Effect.flatMap(requires(state.vm, "KVM_CAP_SYNC_REGS"), (known) =>
      (registers & ~known) === 0 && Number.isInteger(registers)
        ? Effect.succeed(state)
        : refuse(
            runPageErrors,
            codes.EINVAL,
            `${name}: registers: ${registers} has others than 0x${known.toString(16)}`
          )
    )
  })

type Sharing = (vcpu: Vcpu, registers: number) => Effect.Effect<void, MissingCapability | IoctlError | SyncRegsError>

const setting =
  (name: string, field: typeof validAt): Sharing =>
  (vcpu, registers) =>
    Effect.andThen(
      shared(vcpu, name, registers),
      onPage(vcpu, name, (page) => {
        field.layout.set(page, field.offset, field.layout.get(page, field.offset) | BigInt(registers), name)
      })
    )

const clearing =
  (name: string, field: typeof validAt): Sharing =>
  (vcpu, registers) =>
    Effect.andThen(
      shared(vcpu, name, registers),
      onPage(vcpu, name, (page) => {
        field.layout.set(page, field.offset, field.layout.get(page, field.offset) & ~BigInt(registers), name)
      })
    )

/**
 * Makes the kernel write registers (one or more of `KVM_SYNC_X86_REGS`, `KVM_SYNC_X86_SREGS`, `KVM_SYNC_X86_EVENTS`) to
 * the run page at every exit, where {@link syncRegs} reads them.
 *
 * Capability `KVM_CAP_SYNC_REGS`, whose value is the set of those that can be shared.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // where the guest is at each of its exits
 * const traced = (vcpu: Kvm.Vcpu) =>
 *   Effect.gen(function* () {
 *     yield* Kvm.setSyncValidReg(vcpu, Kvm.KVM_SYNC_X86_REGS)
 *     yield* Kvm.run(vcpu)
 *     return (yield* Kvm.syncRegs(vcpu)).regs.rip
 *   })
 * ```
 *
 * @category registers
 * @since 0.1.0
 */
export const setSyncValidReg: Sharing = setting("setSyncValidReg", validAt)

/**
 * Ends what {@link setSyncValidReg} began, for these registers.
 *
 * @category registers
 * @since 0.1.0
 */
export const clearSyncValidReg: Sharing = clearing("clearSyncValidReg", validAt)

/**
 * Makes the kernel take registers (`KVM_SYNC_X86_*`) from the run page at the next run, once. {@link setSyncRegs} does it
 * for what it writes.
 *
 * @category registers
 * @since 0.1.0
 */
export const setSyncDirtyReg: Sharing = setting("setSyncDirtyReg", dirtyAt)

/**
 * Takes back what {@link setSyncDirtyReg} or {@link setSyncRegs} asked for, for these registers.
 *
 * @category registers
 * @since 0.1.0
 */
export const clearSyncDirtyReg: Sharing = clearing("clearSyncDirtyReg", dirtyAt)

/**
 * The registers in the run page: those that {@link setSyncValidReg} asked for are what they were at the last exit, others
 * what was there before, at first zeros.
 *
 * @category registers
 * @since 0.1.0
 */
export const syncRegs = (vcpu: Vcpu): Effect.Effect<kvm_sync_regs, SyncRegsError> =>
  onPage(vcpu, "syncRegs", (page) => kvm_sync_regs.decode(page, regsAt))

const parts = { regs: KVM_SYNC_X86_REGS, sregs: KVM_SYNC_X86_SREGS, events: KVM_SYNC_X86_EVENTS } as const

/**
 * Writes registers to the run page, those parts that are given, and makes the kernel take them at the next run.
 *
 * Capability `KVM_CAP_SYNC_REGS`.
 *
 * @category registers
 * @since 0.1.0
 */
export const setSyncRegs = (
  vcpu: Vcpu,
  regs: Partial<kvm_sync_regs>
): Effect.Effect<void, MissingCapability | IoctlError | SyncRegsError> => {
  const registers =
    (regs.regs === undefined ? 0 : parts.regs) |
    (regs.sregs === undefined ? 0 : parts.sregs) |
    (regs.events === undefined ? 0 : parts.events)
  return Effect.andThen(
    shared(vcpu, "setSyncRegs", registers),
    onPage(vcpu, "setSyncRegs", (page) => {
      // Into memory of its own first: a value that does not fit must leave the page as it was.
      const memory = new Uint8Array(page.buffer, page.byteOffset + regsAt, kvm_sync_regs.size).slice()
      const copy = new DataView(memory.buffer)
      const { events, regs: general, sregs } = kvm_sync_regs.fields
      if (regs.regs !== undefined) general.layout.set(copy, general.offset, regs.regs, "regs")
      if (regs.sregs !== undefined) sregs.layout.set(copy, sregs.offset, regs.sregs, "sregs")
      if (regs.events !== undefined) events.layout.set(copy, events.offset, regs.events, "events")
      new Uint8Array(page.buffer, page.byteOffset + regsAt).set(memory)
      dirtyAt.layout.set(page, dirtyAt.offset, dirtyAt.layout.get(page, dirtyAt.offset) | BigInt(registers), "dirty")
    })
  )
}
