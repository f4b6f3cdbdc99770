/** What a vCPU is doing as a host of virtual machines of its own. */
import * as Struct from "../../Struct.ts"

/**
 * Nested virtualization on Intel hardware. `smm.flags` is made of `KVM_STATE_NESTED_SMM_*`, `flags` of
 * `KVM_STATE_VMX_*`; addresses are the guest's physical ones, all bits set for none.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_vmx_nested_state_hdr = Struct.make("kvm_vmx_nested_state_hdr", {
  vmxon_pa: Struct.u64,
  vmcs12_pa: Struct.u64,
  smm: Struct.make("kvm_vmx_nested_state_hdr.smm", { flags: Struct.u16 }),
  pad: Struct.padding(2, 2),
  flags: Struct.u32,
  preemption_timer_deadline: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_vmx_nested_state_hdr extends Struct.Type<typeof kvm_vmx_nested_state_hdr> {}

/**
 * Nested virtualization on AMD hardware.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_svm_nested_state_hdr = Struct.make("kvm_svm_nested_state_hdr", { vmcb_pa: Struct.u64 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_svm_nested_state_hdr extends Struct.Type<typeof kvm_svm_nested_state_hdr> {}

/**
 * The part of the nested state that differs by hardware.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_nested_state_hdr = Struct.union("kvm_nested_state.hdr", {
  vmx: kvm_vmx_nested_state_hdr,
  svm: kvm_svm_nested_state_hdr,
  pad: Struct.padding(120)
})

/**
 * The head of the nested state, `size` bytes with the data that follow it. `flags` is made of `KVM_STATE_NESTED_*`,
 * `format` is `KVM_STATE_NESTED_FORMAT_VMX` or `KVM_STATE_NESTED_FORMAT_SVM`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_nested_state = Struct.make("kvm_nested_state", {
  flags: Struct.u16,
  format: Struct.u16,
  size: Struct.u32,
  hdr: kvm_nested_state_hdr
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_nested_state extends Struct.Type<typeof kvm_nested_state> {}
