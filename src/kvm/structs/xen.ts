/** Structures of guests that believe themselves on Xen. */
import * as Struct from "../../Struct.ts"

/**
 * How a machine is made to look like Xen: `flags` is a set of `KVM_XEN_HVM_CONFIG_*`, `msr` the register through which the
 * guest asks for its hypercall page. The page is the blob at `blob_addr_32` or `blob_addr_64`, of so many pages, unless
 * the flags have `KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_xen_hvm_config = Struct.make("kvm_xen_hvm_config", {
  flags: Struct.u32,
  msr: Struct.u32,
  blob_addr_32: Struct.pointer,
  blob_addr_64: Struct.pointer,
  blob_size_32: Struct.u8,
  blob_size_64: Struct.u8,
  pad2: Struct.padding(30)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_xen_hvm_config extends Struct.Type<typeof kvm_xen_hvm_config> {}

/**
 * What a guest's event channel does: `send_port` is the guest's own, `deliver` where its events go, a port of a vCPU or
 * an eventfd. `flags` are `KVM_XEN_EVTCHN_*`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_xen_hvm_attr_evtchn = Struct.make("kvm_xen_hvm_attr.u.evtchn", {
  send_port: Struct.u32,
  type: Struct.u32,
  flags: Struct.u32,
  deliver: Struct.union("kvm_xen_hvm_attr.u.evtchn.deliver", {
    port: Struct.make("kvm_xen_hvm_attr.u.evtchn.deliver.port", {
      port: Struct.u32,
      vcpu: Struct.u32,
      priority: Struct.u32
    }),
    eventfd: Struct.make("kvm_xen_hvm_attr.u.evtchn.deliver.eventfd", { port: Struct.u32, fd: Struct.i32 }),
    padding: Struct.padding(16, 4)
  })
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_xen_hvm_attr_evtchn extends Struct.Type<typeof kvm_xen_hvm_attr_evtchn> {}

/**
 * An attribute of a machine that looks like Xen: `type` (`KVM_XEN_ATTR_TYPE_*`) says which member of `u` it is.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_xen_hvm_attr = Struct.make("kvm_xen_hvm_attr", {
  type: Struct.u16,
  pad: Struct.padding(6, 2),
  u: Struct.union("kvm_xen_hvm_attr.u", {
    long_mode: Struct.u8,
    vector: Struct.u8,
    runstate_update_flag: Struct.u8,
    shared_info: Struct.union("kvm_xen_hvm_attr.u.shared_info", { gfn: Struct.u64, hva: Struct.u64 }),
    evtchn: kvm_xen_hvm_attr_evtchn,
    xen_version: Struct.u32,
    pad: Struct.padding(64, 8)
  })
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_xen_hvm_attr extends Struct.Type<typeof kvm_xen_hvm_attr> {}

/**
 * An attribute of a vCPU of a machine that looks like Xen: `type` (`KVM_XEN_VCPU_ATTR_TYPE_*`) says which member of `u` it
 * is.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_xen_vcpu_attr = Struct.make("kvm_xen_vcpu_attr", {
  type: Struct.u16,
  pad: Struct.padding(6, 2),
  u: Struct.union("kvm_xen_vcpu_attr.u", {
    gpa: Struct.u64,
    hva: Struct.u64,
    runstate: Struct.make("kvm_xen_vcpu_attr.u.runstate", {
      state: Struct.u64,
      state_entry_time: Struct.u64,
      time_running: Struct.u64,
      time_runnable: Struct.u64,
      time_blocked: Struct.u64,
      time_offline: Struct.u64
    }),
    vcpu_id: Struct.u32,
    timer: Struct.make("kvm_xen_vcpu_attr.u.timer", {
      port: Struct.u32,
      priority: Struct.u32,
      expires_ns: Struct.u64
    }),
    vector: Struct.u8,
    pad: Struct.padding(64, 8)
  })
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_xen_vcpu_attr extends Struct.Type<typeof kvm_xen_vcpu_attr> {}
