/** Floating point, vector and extended state of an x86 vCPU, and its local APIC. */
import * as Struct from "../../Struct.ts"

/**
 * The x87 and SSE registers. `fpr` are ST0 to ST7 (10 bytes each, and 6 of padding), `xmm` are XMM0 to XMM15; `ftwx` is
 * the tag word as `fxsave` abridges it.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_fpu = Struct.make("kvm_fpu", {
  fpr: Struct.array(Struct.bytes(16), 8),
  fcw: Struct.u16,
  fsw: Struct.u16,
  ftwx: Struct.u8,
  pad1: Struct.padding(1),
  last_opcode: Struct.u16,
  last_ip: Struct.u64,
  last_dp: Struct.u64,
  xmm: Struct.array(Struct.bytes(16), 16),
  mxcsr: Struct.u32,
  pad2: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_fpu extends Struct.Type<typeof kvm_fpu> {}

/**
 * The registers of the local APIC, at the offsets that they have in its page.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_lapic_state = Struct.make("kvm_lapic_state", {
  regs: Struct.bytes(1024)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_lapic_state extends Struct.Type<typeof kvm_lapic_state> {}

/**
 * What `xsave` stores of a vCPU, in the standard format: the legacy region, the header, then components where CPUID leaf
 * 0xd says. 4,096 bytes; more may follow.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_xsave = Struct.make("kvm_xsave", {
  region: Struct.aligned(Struct.bytes(4096), 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_xsave extends Struct.Type<typeof kvm_xsave> {}

/**
 * An extended control register: number and value.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_xcr = Struct.make("kvm_xcr", {
  xcr: Struct.u32,
  reserved: Struct.padding(4, 4),
  value: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_xcr extends Struct.Type<typeof kvm_xcr> {}

/**
 * The extended control registers: the first `nr_xcrs` of `xcrs`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_xcrs = Struct.make("kvm_xcrs", {
  nr_xcrs: Struct.u32,
  flags: Struct.u32,
  xcrs: Struct.array(kvm_xcr, 16),
  padding: Struct.padding(128, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_xcrs extends Struct.Type<typeof kvm_xcrs> {}
