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

/**
 * The same, and where in a `guest_memfd` the slot's private memory lies. Since Linux 6.8.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_userspace_memory_region2 = Struct.make("kvm_userspace_memory_region2", {
  slot: Struct.u32,
  flags: Struct.u32,
  guest_phys_addr: Struct.u64,
  memory_size: Struct.u64,
  userspace_addr: Struct.u64,
  guest_memfd_offset: Struct.u64,
  guest_memfd: Struct.u32,
  pad1: Struct.padding(4, 4),
  pad2: Struct.padding(112, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_userspace_memory_region2 extends Struct.Type<typeof kvm_userspace_memory_region2> {}

/**
 * How large a `guest_memfd` is to be, in bytes, and its `GUEST_MEMFD_FLAG_*`. Since Linux 6.8.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_create_guest_memfd = Struct.make("kvm_create_guest_memfd", {
  size: Struct.u64,
  flags: Struct.u64,
  reserved: Struct.padding(48, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_create_guest_memfd extends Struct.Type<typeof kvm_create_guest_memfd> {}

/**
 * What a range of guest addresses is to be: `KVM_MEMORY_ATTRIBUTE_*`. Since Linux 6.8.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_memory_attributes = Struct.make("kvm_memory_attributes", {
  address: Struct.u64,
  size: Struct.u64,
  attributes: Struct.u64,
  flags: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_memory_attributes extends Struct.Type<typeof kvm_memory_attributes> {}

/**
 * Where the kernel is to put a slot's dirty bitmap: `dirty_bitmap` is an address, of memory that has a bit for each page.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_dirty_log = Struct.make("kvm_dirty_log", {
  slot: Struct.u32,
  padding1: Struct.padding(4, 4),
  dirty_bitmap: Struct.pointer
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_dirty_log extends Struct.Type<typeof kvm_dirty_log> {}

/**
 * Which pages of a slot are clean again: those of `num_pages` from `first_page` on, a multiple of 64, whose bit is set in
 * the memory at `dirty_bitmap`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_clear_dirty_log = Struct.make("kvm_clear_dirty_log", {
  slot: Struct.u32,
  num_pages: Struct.u32,
  first_page: Struct.u64,
  dirty_bitmap: Struct.pointer
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_clear_dirty_log extends Struct.Type<typeof kvm_clear_dirty_log> {}

/**
 * An entry of a vCPU's dirty ring: a page, counted from the start of its slot, and `KVM_DIRTY_GFN_F_*`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_dirty_gfn = Struct.make("kvm_dirty_gfn", {
  flags: Struct.u32,
  slot: Struct.u32,
  offset: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_dirty_gfn extends Struct.Type<typeof kvm_dirty_gfn> {}

/**
 * Which guest addresses are to be mapped before the guest touches them; the kernel leaves there what is still to do. Since
 * Linux 6.11.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_pre_fault_memory = Struct.make("kvm_pre_fault_memory", {
  gpa: Struct.u64,
  size: Struct.u64,
  flags: Struct.u64,
  padding: Struct.padding(40, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_pre_fault_memory extends Struct.Type<typeof kvm_pre_fault_memory> {}
