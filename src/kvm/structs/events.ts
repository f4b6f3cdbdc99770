/** The events that an x86 vCPU has pending: exceptions, interrupts, what is masked. */
import * as Struct from "../../Struct.ts"

/**
 * The exceptions, interrupts, NMIs and SMIs that an x86 vCPU has pending or is about to deliver. `flags` says which of
 * them hold: `KVM_VCPUEVENT_VALID_*`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_vcpu_events = Struct.make("kvm_vcpu_events", {
  exception: Struct.make("kvm_vcpu_events.exception", {
    injected: Struct.u8,
    nr: Struct.u8,
    has_error_code: Struct.u8,
    pending: Struct.u8,
    error_code: Struct.u32
  }),
  interrupt: Struct.make("kvm_vcpu_events.interrupt", {
    injected: Struct.u8,
    nr: Struct.u8,
    soft: Struct.u8,
    shadow: Struct.u8
  }),
  nmi: Struct.make("kvm_vcpu_events.nmi", {
    injected: Struct.u8,
    pending: Struct.u8,
    masked: Struct.u8,
    pad: Struct.padding(1)
  }),
  sipi_vector: Struct.u32,
  flags: Struct.u32,
  smi: Struct.make("kvm_vcpu_events.smi", {
    smm: Struct.u8,
    pending: Struct.u8,
    smm_inside_nmi: Struct.u8,
    latched_init: Struct.u8
  }),
  triple_fault: Struct.make("kvm_vcpu_events.triple_fault", { pending: Struct.u8 }),
  reserved: Struct.padding(26),
  exception_has_payload: Struct.u8,
  exception_payload: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_vcpu_events extends Struct.Type<typeof kvm_vcpu_events> {}
