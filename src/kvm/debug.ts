/**
 * Debugging a guest: stepping it, stopping it at breakpoints, its own debug registers, and where its addresses lead.
 * x86_64.
 */
import * as Effect from "effect/Effect"
import type * as Ioctl from "../Ioctl.ts"
import { KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, KVM_SET_GUEST_DEBUG, KVM_TRANSLATE } from "./requests.ts"
import type { kvm_debugregs, kvm_guest_debug_arch, kvm_translation } from "./structs.ts"
import { stateOf, type Vcpu } from "./vcpu.ts"
import { asking, askingWith, type OptionalRequestError } from "./vcpu-request.ts"

// ---------------------------------------------------------------------------------------------------------------------
// from outside
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What setting up debugging fails with: `EBUSY` where an exception is pending already that is to be injected, and while
 * the guest runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type GuestDebugError = OptionalRequestError<typeof KVM_SET_GUEST_DEBUG>

const tellDebug = askingWith("KVM_CAP_SET_GUEST_DEBUG", KVM_SET_GUEST_DEBUG)

const noRegisters: kvm_guest_debug_arch = { debugreg: [0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n] }

/**
 * Sets how the guest is debugged, until it is set again: `control` is made of `KVM_GUESTDBG_*`, 0 for not at all.
 *
 * - `KVM_GUESTDBG_ENABLE` with `KVM_GUESTDBG_SINGLESTEP`: the guest stops with `Debug` after each instruction
 * - with `KVM_GUESTDBG_USE_HW_BP`: it stops at the breakpoints in `arch`, see {@link hardwareBreakpoints}; to go on from
 *   one for an instruction, step over it without them
 * - with `KVM_GUESTDBG_USE_SW_BP`: it stops at `int3` instructions, which the host has put into its memory
 * - with `KVM_GUESTDBG_INJECT_DB` or `KVM_GUESTDBG_INJECT_BP`: it takes the exception itself
 * - with `KVM_GUESTDBG_BLOCKIRQ`: it takes no interrupts meanwhile
 *
 * Request `KVM_SET_GUEST_DEBUG`, capability `KVM_CAP_SET_GUEST_DEBUG`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // where the guest is after its next instruction
 * const step = Effect.fn(function* (vcpu: Kvm.Vcpu) {
 *   yield* Kvm.setGuestDebug(vcpu, { control: Kvm.KVM_GUESTDBG_ENABLE | Kvm.KVM_GUESTDBG_SINGLESTEP })
 *   const exit = yield* Kvm.run(vcpu)
 *   yield* Kvm.setGuestDebug(vcpu, { control: 0 })
 *   return exit._tag === "Debug" ? exit.pc : undefined
 * })
 * ```
 *
 * @category debugging
 * @since 0.1.0
 */
export const setGuestDebug = (
  vcpu: Vcpu,
  debug: { readonly control: number; readonly arch?: kvm_guest_debug_arch | undefined }
): Effect.Effect<void, GuestDebugError> =>
  Effect.suspend(() => {
    const told = { control: debug.control, arch: debug.arch ?? noRegisters }
    return Effect.map(tellDebug(vcpu, told), () => {
      stateOf(vcpu).guestDebug = told
    })
  })

/**
 * A breakpoint of the hardware's: the guest stops before it executes the instruction at `address`, or after it wrote to,
 * or touched, any of the `length` bytes (1, 2, 4 or 8) from there on, which must be aligned to their length.
 *
 * @category models
 * @since 0.1.0
 */
export type HardwareBreakpoint =
  | { readonly address: bigint; readonly on: "execute" }
  | { readonly address: bigint; readonly on: "write" | "readWrite"; readonly length: 1 | 2 | 4 | 8 }

const lengthBits = { 1: 0n, 2: 1n, 8: 2n, 4: 3n } as const
const conditionBits = { execute: 0n, write: 1n, readWrite: 3n } as const

/**
 * The debug registers for up to four breakpoints, as {@link setGuestDebug} takes them with `KVM_GUESTDBG_USE_HW_BP`.
 * Addresses are the guest's linear ones.
 *
 * Throws a `RangeError` for more than four, or an address that is not aligned or has more than 64 bits.
 *
 * @example
 * ```ts
 * import { Kvm } from "effect-linux"
 *
 * declare const vcpu: Kvm.Vcpu
 *
 * const watching = Kvm.setGuestDebug(vcpu, {
 *   control: Kvm.KVM_GUESTDBG_ENABLE | Kvm.KVM_GUESTDBG_USE_HW_BP,
 *   arch: Kvm.hardwareBreakpoints([
 *     { address: 0x7c00n, on: "execute" },
 *     { address: 0x500n, on: "write", length: 2 }
 *   ])
 * })
 * ```
 *
 * @category debugging
 * @since 0.1.0
 */
export const hardwareBreakpoints = (breakpoints: ReadonlyArray<HardwareBreakpoint>): kvm_guest_debug_arch => {
  if (breakpoints.length > 4) {
    throw new RangeError(`breakpoints: the processor has registers for 4, got ${breakpoints.length}`)
  }
  const debugreg = [...noRegisters.debugreg]
  // Bits 8 and 10 are to be set: exact breakpoints, and one that is always 1.
  let dr7 = 0x500n
  breakpoints.forEach((breakpoint, at) => {
    const { address, on } = breakpoint
    const length = breakpoint.on === "execute" ? 1 : breakpoint.length
    const bits = lengthBits[length]
    if (bits === undefined || conditionBits[on] === undefined) {
      throw new TypeError(`breakpoints[${at}]: expected a length of 1, 2, 4 or 8 and "execute", "write" or "readWrite"`)
    }
    if (address < 0n || address >> 64n !== 0n || address % BigInt(length) !== 0n) {
      throw new RangeError(`breakpoints[${at}].address: expected 64 bits, aligned to ${length} bytes, got ${address}`)
    }
    debugreg[at] = address
    // Enabled for all tasks; then condition and length.
    dr7 |= (2n << BigInt(2 * at)) | ((conditionBits[on] | (bits << 2n)) << BigInt(16 + 4 * at))
  })
  debugreg[7] = dr7
  return { debugreg }
}

// ---------------------------------------------------------------------------------------------------------------------
// the guest's own
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What reading or writing the debug registers fails with; `EBUSY` while the guest runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type DebugRegsError = OptionalRequestError<typeof KVM_GET_DEBUGREGS>

const askDebugRegs = askingWith("KVM_CAP_DEBUGREGS", KVM_GET_DEBUGREGS)
const tellDebugRegs = askingWith("KVM_CAP_DEBUGREGS", KVM_SET_DEBUGREGS)

/**
 * The guest's own debug registers: `db` are DR0 to DR3. x86_64.
 *
 * Request `KVM_GET_DEBUGREGS`, capability `KVM_CAP_DEBUGREGS`.
 *
 * @category debugging
 * @since 0.1.0
 */
export const getDebugRegs = (vcpu: Vcpu): Effect.Effect<kvm_debugregs, DebugRegsError> => askDebugRegs(vcpu, undefined)

/**
 * Sets the guest's own debug registers, all of them.
 *
 * Fails with `EINVAL` where `flags` is not 0, or one of the upper 32 bits of `dr6` or `dr7` is set. x86_64.
 *
 * Request `KVM_SET_DEBUGREGS`, capability `KVM_CAP_DEBUGREGS`.
 *
 * @category debugging
 * @since 0.1.0
 */
export const setDebugRegs = (vcpu: Vcpu, registers: kvm_debugregs): Effect.Effect<void, DebugRegsError> =>
  Effect.asVoid(tellDebugRegs(vcpu, registers))

/**
 * What {@link translateGva} fails with; `EBUSY` while the guest runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type TranslateError = Ioctl.RequestError<typeof KVM_TRANSLATE>

const askTranslation = asking(KVM_TRANSLATE)

/**
 * Where a linear address of the guest's leads by its page tables: `physical_address`, where `valid` is 1. Without paging
 * it is the same address. `writeable` and `usermode` are not computed by the kernel. x86_64.
 *
 * Request `KVM_TRANSLATE`.
 *
 * @category debugging
 * @since 0.1.0
 */
export const translateGva = (vcpu: Vcpu, address: bigint): Effect.Effect<kvm_translation, TranslateError> =>
  askTranslation(vcpu, { linear_address: address, physical_address: 0n, valid: 0, writeable: 0, usermode: 0 })
