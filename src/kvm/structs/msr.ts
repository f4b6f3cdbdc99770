/** Model-specific registers of an x86 vCPU. */
import * as Struct from "../../Struct.ts"

/**
 * A model-specific register: its index, as `rdmsr` takes it in `ecx`, and its value.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_msr_entry = Struct.make("kvm_msr_entry", {
  index: Struct.u32,
  reserved: Struct.padding(4, 4),
  data: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_msr_entry extends Struct.Type<typeof kvm_msr_entry> {}

/**
 * The head of a list of registers: `nmsrs` times `kvm_msr_entry` follow.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_msrs = Struct.make("kvm_msrs", { nmsrs: Struct.aligned(Struct.u32, 8), pad: Struct.padding(4, 4) })
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_msrs extends Struct.Type<typeof kvm_msrs> {}

/**
 * The head of a list of indices: `nmsrs` of them, 32 bits each, follow.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_msr_list = Struct.make("kvm_msr_list", { nmsrs: Struct.u32 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_msr_list extends Struct.Type<typeof kvm_msr_list> {}
