/** What the `cpuid` instruction answers. */
import * as Struct from "../../Struct.ts"

/**
 * What `cpuid` answers where `eax` is `function` and, if `flags` has `KVM_CPUID_FLAG_SIGNIFCANT_INDEX`, `ecx` is `index`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_cpuid_entry2 = Struct.make("kvm_cpuid_entry2", {
  function: Struct.u32,
  index: Struct.u32,
  flags: Struct.u32,
  eax: Struct.u32,
  ebx: Struct.u32,
  ecx: Struct.u32,
  edx: Struct.u32,
  padding: Struct.padding(12, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_cpuid_entry2 extends Struct.Type<typeof kvm_cpuid_entry2> {}

/**
 * The head of a list of answers: `nent` times `kvm_cpuid_entry2` follow.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_cpuid2 = Struct.make("kvm_cpuid2", { nent: Struct.u32, padding: Struct.padding(4, 4) })
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_cpuid2 extends Struct.Type<typeof kvm_cpuid2> {}

/**
 * What `cpuid` answers where `eax` is `function`, whatever `ecx` is: the form of before Linux 2.6.26.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_cpuid_entry = Struct.make("kvm_cpuid_entry", {
  function: Struct.u32,
  eax: Struct.u32,
  ebx: Struct.u32,
  ecx: Struct.u32,
  edx: Struct.u32,
  padding: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_cpuid_entry extends Struct.Type<typeof kvm_cpuid_entry> {}

/**
 * The head of a list of answers: `nent` times `kvm_cpuid_entry` follow.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_cpuid = Struct.make("kvm_cpuid", { nent: Struct.u32, padding: Struct.padding(4, 4) })
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_cpuid extends Struct.Type<typeof kvm_cpuid> {}
