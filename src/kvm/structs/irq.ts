/** Structures of interrupts: controllers, timers, lines, routes, messages, and the descriptors that stand for them. */
import * as Struct from "../../Struct.ts"
import { KVM_IOAPIC_NUM_PINS } from "../constants.ts"

/**
 * An interrupt line and its level. `KVM_IRQ_LINE_STATUS` writes its answer, signed, over `irq`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_irq_level = Struct.make("kvm_irq_level", {
  irq: Struct.u32,
  level: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_irq_level extends Struct.Type<typeof kvm_irq_level> {}

/**
 * The state of one of the two 8259 interrupt controllers.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_pic_state = Struct.make("kvm_pic_state", {
  last_irr: Struct.u8,
  irr: Struct.u8,
  imr: Struct.u8,
  isr: Struct.u8,
  priority_add: Struct.u8,
  irq_base: Struct.u8,
  read_reg_select: Struct.u8,
  poll: Struct.u8,
  special_mask: Struct.u8,
  init_state: Struct.u8,
  auto_eoi: Struct.u8,
  rotate_on_auto_eoi: Struct.u8,
  special_fully_nested_mode: Struct.u8,
  init4: Struct.u8,
  elcr: Struct.u8,
  elcr_mask: Struct.u8
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_pic_state extends Struct.Type<typeof kvm_pic_state> {}

/**
 * The state of the I/O APIC. `redirtbl` has an entry for each pin: see `decodeRedirection`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_ioapic_state = Struct.make("kvm_ioapic_state", {
  base_address: Struct.u64,
  ioregsel: Struct.u32,
  id: Struct.u32,
  irr: Struct.u32,
  pad: Struct.padding(4, 4),
  redirtbl: Struct.array(Struct.u64, KVM_IOAPIC_NUM_PINS)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_ioapic_state extends Struct.Type<typeof kvm_ioapic_state> {}

/**
 * The state of an interrupt controller, of whichever kind `chip_id` tells.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_irqchip_chip = Struct.union("kvm_irqchip.chip", {
  dummy: Struct.padding(512),
  pic: kvm_pic_state,
  ioapic: kvm_ioapic_state
})

/**
 * The state of one of a machine's interrupt controllers.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_irqchip = Struct.make("kvm_irqchip", {
  chip_id: Struct.u32,
  pad: Struct.padding(4, 4),
  chip: kvm_irqchip_chip
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_irqchip extends Struct.Type<typeof kvm_irqchip> {}

/**
 * How the timer is made: `flags` of `KVM_PIT_SPEAKER_DUMMY`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_pit_config = Struct.make("kvm_pit_config", {
  flags: Struct.u32,
  pad: Struct.padding(60, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_pit_config extends Struct.Type<typeof kvm_pit_config> {}

/**
 * The state of one of the three channels of the 8254 timer. `count` is at most 65,536, `count_load_time` in nanoseconds.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_pit_channel_state = Struct.make("kvm_pit_channel_state", {
  count: Struct.u32,
  latched_count: Struct.u16,
  count_latched: Struct.u8,
  status_latched: Struct.u8,
  status: Struct.u8,
  read_state: Struct.u8,
  write_state: Struct.u8,
  write_latch: Struct.u8,
  rw_mode: Struct.u8,
  mode: Struct.u8,
  bcd: Struct.u8,
  gate: Struct.u8,
  count_load_time: Struct.i64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_pit_channel_state extends Struct.Type<typeof kvm_pit_channel_state> {}

/**
 * The state of the 8254 timer, of the oldest form.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_pit_state = Struct.make("kvm_pit_state", {
  channels: Struct.array(kvm_pit_channel_state, 3)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_pit_state extends Struct.Type<typeof kvm_pit_state> {}

/**
 * The state of the 8254 timer: `flags` of `KVM_PIT_FLAGS_*`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_pit_state2 = Struct.make("kvm_pit_state2", {
  channels: Struct.array(kvm_pit_channel_state, 3),
  flags: Struct.u32,
  reserved: Struct.padding(36, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_pit_state2 extends Struct.Type<typeof kvm_pit_state2> {}

/**
 * Whether ticks that the guest missed are made up for.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_reinject_control = Struct.make("kvm_reinject_control", {
  pit_reinject: Struct.u8,
  reserved: Struct.padding(31)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_reinject_control extends Struct.Type<typeof kvm_reinject_control> {}

/**
 * A route to a pin of an interrupt controller, `KVM_IRQCHIP_*`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_irq_routing_irqchip = Struct.make("kvm_irq_routing_irqchip", {
  irqchip: Struct.u32,
  pin: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_irq_routing_irqchip extends Struct.Type<typeof kvm_irq_routing_irqchip> {}

/**
 * A route to a message. `devid` is meant where `KVM_MSI_VALID_DEVID` is set.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_irq_routing_msi = Struct.make("kvm_irq_routing_msi", {
  address_lo: Struct.u32,
  address_hi: Struct.u32,
  data: Struct.u32,
  devid: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_irq_routing_msi extends Struct.Type<typeof kvm_irq_routing_msi> {}

/**
 * A route to an adapter interrupt of s390.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_irq_routing_s390_adapter = Struct.make("kvm_irq_routing_s390_adapter", {
  ind_addr: Struct.u64,
  summary_addr: Struct.u64,
  ind_offset: Struct.u64,
  summary_offset: Struct.u32,
  adapter_id: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_irq_routing_s390_adapter extends Struct.Type<typeof kvm_irq_routing_s390_adapter> {}

/**
 * A route to a synthetic interrupt source of Hyper-V's.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_irq_routing_hv_sint = Struct.make("kvm_irq_routing_hv_sint", {
  vcpu: Struct.u32,
  sint: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_irq_routing_hv_sint extends Struct.Type<typeof kvm_irq_routing_hv_sint> {}

/**
 * A route to an event channel of Xen's.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_irq_routing_xen_evtchn = Struct.make("kvm_irq_routing_xen_evtchn", {
  port: Struct.u32,
  vcpu: Struct.u32,
  priority: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_irq_routing_xen_evtchn extends Struct.Type<typeof kvm_irq_routing_xen_evtchn> {}

/**
 * Where an interrupt goes, of whichever kind `type` tells.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_irq_routing_entry_u = Struct.union("kvm_irq_routing_entry.u", {
  irqchip: kvm_irq_routing_irqchip,
  msi: kvm_irq_routing_msi,
  adapter: kvm_irq_routing_s390_adapter,
  hv_sint: kvm_irq_routing_hv_sint,
  xen_evtchn: kvm_irq_routing_xen_evtchn,
  pad: Struct.padding(32, 4)
})

/**
 * A route: where an interrupt goes that is known by the number `gsi`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_irq_routing_entry = Struct.make("kvm_irq_routing_entry", {
  gsi: Struct.u32,
  type: Struct.u32,
  flags: Struct.u32,
  pad: Struct.padding(4, 4),
  u: kvm_irq_routing_entry_u
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_irq_routing_entry extends Struct.Type<typeof kvm_irq_routing_entry> {}

/**
 * The routes of a machine: `nr` entries follow.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_irq_routing = Struct.make("kvm_irq_routing", {
  nr: Struct.aligned(Struct.u32, 8),
  flags: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_irq_routing extends Struct.Type<typeof kvm_irq_routing> {}

/**
 * A message-signalled interrupt. `devid` is meant where `flags` has `KVM_MSI_VALID_DEVID`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_msi = Struct.make("kvm_msi", {
  address_lo: Struct.u32,
  address_hi: Struct.u32,
  data: Struct.u32,
  flags: Struct.u32,
  devid: Struct.u32,
  pad: Struct.padding(12)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_msi extends Struct.Type<typeof kvm_msi> {}

/**
 * An eventfd that raises an interrupt. `resamplefd` is meant where `flags` has `KVM_IRQFD_FLAG_RESAMPLE`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_irqfd = Struct.make("kvm_irqfd", {
  fd: Struct.u32,
  gsi: Struct.u32,
  flags: Struct.u32,
  resamplefd: Struct.u32,
  pad: Struct.padding(16)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_irqfd extends Struct.Type<typeof kvm_irqfd> {}

/**
 * An eventfd that a guest's write to an address signals: `len` of 1, 2, 4 or 8 bytes, or 0 for any.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_ioeventfd = Struct.make("kvm_ioeventfd", {
  datamatch: Struct.u64,
  addr: Struct.u64,
  len: Struct.u32,
  fd: Struct.i32,
  flags: Struct.u32,
  pad: Struct.padding(36)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_ioeventfd extends Struct.Type<typeof kvm_ioeventfd> {}
