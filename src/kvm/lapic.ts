/**
 * The local APIC of a vCPU at rest, and where its registers are. x86_64.
 */
import * as Effect from "effect/Effect"
import { KVM_APIC_REG_SIZE } from "./constants.ts"
import { KVM_GET_LAPIC, KVM_SET_LAPIC } from "./requests.ts"
import type { kvm_lapic_state } from "./structs.ts"
import type { Vcpu } from "./vcpu.ts"
import { askingWith, type OptionalRequestError } from "./vcpu-request.ts"

/**
 * The offsets of the local APIC's registers, in bytes; each register has 32 bits. `ISR`, `TMR` and `IRR` are the first
 * of eight registers each, `0x10` apart, of 32 vectors each.
 *
 * @category local APIC
 * @since 0.1.0
 */
export const LapicRegister = {
  ID: 0x20,
  VERSION: 0x30,
  /** Task priority. */
  TPR: 0x80,
  /** Arbitration priority. */
  APR: 0x90,
  /** Processor priority. */
  PPR: 0xa0,
  /** End of interrupt. */
  EOI: 0xb0,
  /** Remote read. */
  RRR: 0xc0,
  /** Logical destination. */
  LDR: 0xd0,
  /** Destination format. */
  DFR: 0xe0,
  /** Spurious interrupt vector; bit 8 switches the APIC on. */
  SVR: 0xf0,
  /** In service. */
  ISR: 0x100,
  /** Trigger mode. */
  TMR: 0x180,
  /** Interrupt request. */
  IRR: 0x200,
  /** Error status. */
  ESR: 0x280,
  LVT_CMCI: 0x2f0,
  /** Interrupt command, lower half. */
  ICR_LOW: 0x300,
  /** Interrupt command, upper half. */
  ICR_HIGH: 0x310,
  LVT_TIMER: 0x320,
  LVT_THERMAL: 0x330,
  LVT_PERFORMANCE: 0x340,
  LVT_LINT0: 0x350,
  LVT_LINT1: 0x360,
  LVT_ERROR: 0x370,
  /** Timer: initial count. */
  TIMER_INITIAL: 0x380,
  /** Timer: current count. */
  TIMER_CURRENT: 0x390,
  /** Timer: divide configuration. */
  TIMER_DIVIDE: 0x3e0
} as const

/**
 * What reading or writing the local APIC fails with: `EINVAL` where the machine has none in the kernel, `EBUSY` while
 * the guest runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type LapicError = OptionalRequestError<typeof KVM_GET_LAPIC>

const ask = askingWith("KVM_CAP_IRQCHIP", KVM_GET_LAPIC)
const tell = askingWith("KVM_CAP_IRQCHIP", KVM_SET_LAPIC)

/**
 * The registers of the local APIC, as a page of them; {@link lapicRegister} reads one.
 *
 * The vCPU must have been created after the machine's interrupt controller. x86_64.
 *
 * Request `KVM_GET_LAPIC`, capability `KVM_CAP_IRQCHIP`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // lets LINT0 carry interrupts of the PIC
 * const virtualWire = (vcpu: Kvm.Vcpu) =>
 *   Effect.flatMap(Kvm.getLapic(vcpu), (lapic) =>
 *     Kvm.setLapic(vcpu, Kvm.withLapicRegister(lapic, Kvm.LapicRegister.LVT_LINT0, 0x700))
 *   )
 * ```
 *
 * @category local APIC
 * @since 0.1.0
 */
export const getLapic = (vcpu: Vcpu): Effect.Effect<kvm_lapic_state, LapicError> => ask(vcpu, undefined)

/**
 * Sets the registers of the local APIC, all of them; {@link withLapicRegister} changes one. x86_64.
 *
 * Request `KVM_SET_LAPIC`, capability `KVM_CAP_IRQCHIP`.
 *
 * @category local APIC
 * @since 0.1.0
 */
export const setLapic = (vcpu: Vcpu, lapic: kvm_lapic_state): Effect.Effect<void, LapicError> =>
  Effect.asVoid(tell(vcpu, lapic))

const checkOffset = ({ regs }: kvm_lapic_state, offset: number): void => {
  if (!Number.isInteger(offset) || offset < 0 || offset % 16 !== 0 || offset + 4 > KVM_APIC_REG_SIZE) {
    throw new RangeError(`offset: expected a multiple of 16 below ${KVM_APIC_REG_SIZE}, got ${offset}`)
  }
  if (regs.length !== KVM_APIC_REG_SIZE) {
    throw new RangeError(`regs: expected ${KVM_APIC_REG_SIZE} bytes, got ${regs.length}`)
  }
}

const viewOf = ({ buffer, byteLength, byteOffset }: Uint8Array): DataView =>
  new DataView(buffer, byteOffset, byteLength)

/**
 * One register of a local APIC's state, by its offset: one of {@link LapicRegister}, or any other multiple of 16.
 *
 * Throws a `RangeError` for an offset that is no register's.
 *
 * @category local APIC
 * @since 0.1.0
 */
export const lapicRegister = (lapic: kvm_lapic_state, offset: number): number => {
  checkOffset(lapic, offset)
  return viewOf(lapic.regs).getUint32(offset, true)
}

/**
 * A local APIC's state with one register changed, to an unsigned number of 32 bits. The given state stays as it is.
 *
 * Throws a `RangeError` for an offset that is no register's, or a value that does not fit.
 *
 * @category local APIC
 * @since 0.1.0
 */
export const withLapicRegister = (lapic: kvm_lapic_state, offset: number, value: number): kvm_lapic_state => {
  checkOffset(lapic, offset)
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    throw new RangeError(`value: expected an integer from 0 to 4294967295, got ${value}`)
  }
  const regs = lapic.regs.slice()
  viewOf(regs).setUint32(offset, value, true)
  return { regs }
}
