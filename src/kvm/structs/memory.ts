/** Structures of a machine's memory. */
import * as Struct from "../../Struct.ts"

/**
 * A slot of guest memory: `memory_size` bytes at the guest's `guest_phys_addr` are the host's at `userspace_addr`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_userspace_memory_region = Struct.make("kvm_userspace_memory_region", {
  slot: Struct.u32,
  flags: Struct.u32,
  guest_phys_addr: Struct.u64,
  memory_size: Struct.u64,
  userspace_addr: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_userspace_memory_region extends Struct.Type<typeof kvm_userspace_memory_region> {}
