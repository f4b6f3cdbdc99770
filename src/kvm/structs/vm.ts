/** Structures of a machine as a whole: its clock, devices, attributes, capabilities, filters, statistics. */
import * as Struct from "../../Struct.ts"
import { KVM_MSR_FILTER_MAX_RANGES } from "../constants.ts"

/**
 * The clock that guests see, in nanoseconds, and those of the host at that moment, where `flags` says so.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_clock_data = Struct.make("kvm_clock_data", {
  clock: Struct.u64,
  flags: Struct.u32,
  pad0: Struct.padding(4, 4),
  realtime: Struct.u64,
  host_tsc: Struct.u64,
  pad: Struct.padding(16, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_clock_data extends Struct.Type<typeof kvm_clock_data> {}

/**
 * A device to be made, of type `KVM_DEV_TYPE_*`; `fd` is the kernel's answer.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_create_device = Struct.make("kvm_create_device", {
  type: Struct.u32,
  fd: Struct.u32,
  flags: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_create_device extends Struct.Type<typeof kvm_create_device> {}

/**
 * An attribute, and where its value is.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_device_attr = Struct.make("kvm_device_attr", {
  flags: Struct.u32,
  group: Struct.u32,
  attr: Struct.u64,
  addr: Struct.pointer
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_device_attr extends Struct.Type<typeof kvm_device_attr> {}

/**
 * A capability to be switched on, with the arguments it takes.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_enable_cap = Struct.make("kvm_enable_cap", {
  cap: Struct.u32,
  flags: Struct.u32,
  args: Struct.array(Struct.u64, 4),
  pad: Struct.padding(64)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_enable_cap extends Struct.Type<typeof kvm_enable_cap> {}

/**
 * `nmsrs` model-specific registers from `base` on, and where a bit for each is: 1 allows what `flags` names.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_msr_filter_range = Struct.make("kvm_msr_filter_range", {
  flags: Struct.u32,
  nmsrs: Struct.u32,
  base: Struct.u32,
  bitmap: Struct.pointer
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_msr_filter_range extends Struct.Type<typeof kvm_msr_filter_range> {}

/**
 * Which model-specific registers a guest may use.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_msr_filter = Struct.make("kvm_msr_filter", {
  flags: Struct.u32,
  ranges: Struct.array(kvm_msr_filter_range, KVM_MSR_FILTER_MAX_RANGES)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_msr_filter extends Struct.Type<typeof kvm_msr_filter> {}

/**
 * Which performance events a guest may count: `nevents` of 8 bytes follow.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_pmu_event_filter = Struct.make("kvm_pmu_event_filter", {
  action: Struct.aligned(Struct.u32, 8),
  nevents: Struct.u32,
  fixed_counter_bitmap: Struct.u32,
  flags: Struct.u32,
  pad: Struct.padding(16, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_pmu_event_filter extends Struct.Type<typeof kvm_pmu_event_filter> {}

/**
 * Addresses, or with `pio` ports, writes to which are collected.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_coalesced_mmio_zone = Struct.make("kvm_coalesced_mmio_zone", {
  addr: Struct.u64,
  size: Struct.u32,
  pio: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_coalesced_mmio_zone extends Struct.Type<typeof kvm_coalesced_mmio_zone> {}

/**
 * A write that was collected.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_coalesced_mmio = Struct.make("kvm_coalesced_mmio", {
  phys_addr: Struct.u64,
  len: Struct.u32,
  pio: Struct.u32,
  data: Struct.bytes(8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_coalesced_mmio extends Struct.Type<typeof kvm_coalesced_mmio> {}

/**
 * The ring of writes that were collected: as many as fit into the page follow, those from `first` to before `last` to be read.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_coalesced_mmio_ring = Struct.make("kvm_coalesced_mmio_ring", {
  first: Struct.aligned(Struct.u32, 8),
  last: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_coalesced_mmio_ring extends Struct.Type<typeof kvm_coalesced_mmio_ring> {}

/**
 * What a statistics descriptor begins with: where in it everything lies.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_stats_header = Struct.make("kvm_stats_header", {
  flags: Struct.u32,
  name_size: Struct.u32,
  num_desc: Struct.u32,
  id_offset: Struct.u32,
  desc_offset: Struct.u32,
  data_offset: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_stats_header extends Struct.Type<typeof kvm_stats_header> {}

/**
 * What a statistic is; its name follows.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_stats_desc = Struct.make("kvm_stats_desc", {
  flags: Struct.u32,
  exponent: Struct.i16,
  size: Struct.u16,
  offset: Struct.u32,
  bucket_size: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_stats_desc extends Struct.Type<typeof kvm_stats_desc> {}
