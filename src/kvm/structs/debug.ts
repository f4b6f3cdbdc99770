/** Debug registers of an x86 vCPU, the guest's own and those of whoever debugs it. */
import * as Struct from "../../Struct.ts"

/**
 * The debug registers as the guest has set them: `db` are DR0 to DR3. `flags` must be 0.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_debugregs = Struct.make("kvm_debugregs", {
  db: Struct.array(Struct.u64, 4),
  dr6: Struct.u64,
  dr7: Struct.u64,
  flags: Struct.u64,
  reserved: Struct.padding(72, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_debugregs extends Struct.Type<typeof kvm_debugregs> {}

/**
 * The debug registers of whoever debugs the guest: DR0 to DR7, of which DR0 to DR3 and DR7 are used.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_guest_debug_arch = Struct.make("kvm_guest_debug_arch", {
  debugreg: Struct.array(Struct.u64, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_guest_debug_arch extends Struct.Type<typeof kvm_guest_debug_arch> {}

/**
 * How a guest is debugged: `control` is made of `KVM_GUESTDBG_*`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_guest_debug = Struct.make("kvm_guest_debug", {
  control: Struct.u32,
  pad: Struct.padding(4, 4),
  arch: kvm_guest_debug_arch
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_guest_debug extends Struct.Type<typeof kvm_guest_debug> {}
