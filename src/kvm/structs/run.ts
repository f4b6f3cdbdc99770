/** The page that a vCPU shares with its host, `kvm_run`, and what it tells of each exit. */
import * as Struct from "../../Struct.ts"
import { kvm_vcpu_events } from "./events.ts"
import { kvm_regs, kvm_sregs } from "./vcpu.ts"

/**
 * What an x86 vCPU tells of a debug exit.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_debug_exit_arch = Struct.make("kvm_debug_exit_arch", {
  exception: Struct.u32,
  pad: Struct.padding(4, 4),
  pc: Struct.u64,
  dr6: Struct.u64,
  dr7: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_debug_exit_arch extends Struct.Type<typeof kvm_debug_exit_arch> {}

/**
 * What a guest asked of Hyper-V that the host is to see to. `type` (`KVM_EXIT_HYPERV_*`) says which member of `u` holds.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_hyperv_exit = Struct.make("kvm_hyperv_exit", {
  type: Struct.u32,
  pad1: Struct.padding(4, 4),
  u: Struct.union("kvm_hyperv_exit.u", {
    synic: Struct.make("kvm_hyperv_exit.u.synic", {
      msr: Struct.u32,
      pad2: Struct.padding(4, 4),
      control: Struct.u64,
      evt_page: Struct.u64,
      msg_page: Struct.u64
    }),
    hcall: Struct.make("kvm_hyperv_exit.u.hcall", {
      input: Struct.u64,
      result: Struct.u64,
      params: Struct.array(Struct.u64, 2)
    }),
    syndbg: Struct.make("kvm_hyperv_exit.u.syndbg", {
      msr: Struct.u32,
      pad2: Struct.padding(4, 4),
      control: Struct.u64,
      status: Struct.u64,
      send_page: Struct.u64,
      recv_page: Struct.u64,
      pending_page: Struct.u64
    })
  })
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_hyperv_exit extends Struct.Type<typeof kvm_hyperv_exit> {}

/**
 * What a guest asked of Xen that the host is to see to. `type` is `KVM_EXIT_XEN_HCALL`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_xen_exit = Struct.make("kvm_xen_exit", {
  type: Struct.u32,
  u: Struct.union("kvm_xen_exit.u", {
    hcall: Struct.make("kvm_xen_exit.u.hcall", {
      longmode: Struct.u32,
      cpl: Struct.u32,
      input: Struct.u64,
      result: Struct.u64,
      params: Struct.array(Struct.u64, 6)
    })
  })
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_xen_exit extends Struct.Type<typeof kvm_xen_exit> {}

/**
 * The registers of an x86 vCPU that are shared through its run page, in both directions.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_sync_regs = Struct.make("kvm_sync_regs", {
  regs: kvm_regs,
  sregs: kvm_sregs,
  events: kvm_vcpu_events
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_sync_regs extends Struct.Type<typeof kvm_sync_regs> {}

/**
 * What the kernel says of each kind of exit: the members of the union in `kvm_run`. The kernel has no names for their
 * types, so they have those of the members.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_run_exit = Struct.union("kvm_run_exit", {
  hw: Struct.make("kvm_run.hw", { hardware_exit_reason: Struct.u64 }),
  fail_entry: Struct.make("kvm_run.fail_entry", { hardware_entry_failure_reason: Struct.u64, cpu: Struct.u32 }),
  ex: Struct.make("kvm_run.ex", { exception: Struct.u32, error_code: Struct.u32 }),
  io: Struct.make("kvm_run.io", {
    direction: Struct.u8,
    size: Struct.u8,
    port: Struct.u16,
    count: Struct.u32,
    data_offset: Struct.u64
  }),
  debug: Struct.make("kvm_run.debug", { arch: kvm_debug_exit_arch }),
  mmio: Struct.make("kvm_run.mmio", {
    phys_addr: Struct.u64,
    data: Struct.bytes(8),
    len: Struct.u32,
    is_write: Struct.u8
  }),
  hypercall: Struct.make("kvm_run.hypercall", {
    nr: Struct.u64,
    args: Struct.array(Struct.u64, 6),
    ret: Struct.u64,
    flags: Struct.u64
  }),
  tpr_access: Struct.make("kvm_run.tpr_access", {
    rip: Struct.u64,
    is_write: Struct.u32,
    pad: Struct.padding(4, 4)
  }),
  s390_sieic: Struct.make("kvm_run.s390_sieic", { icptcode: Struct.u8, ipa: Struct.u16, ipb: Struct.u32 }),
  s390_reset_flags: Struct.u64,
  s390_ucontrol: Struct.make("kvm_run.s390_ucontrol", { trans_exc_code: Struct.u64, pgm_code: Struct.u32 }),
  dcr: Struct.make("kvm_run.dcr", { dcrn: Struct.u32, data: Struct.u32, is_write: Struct.u8 }),
  internal: Struct.make("kvm_run.internal", {
    suberror: Struct.u32,
    ndata: Struct.u32,
    data: Struct.array(Struct.u64, 16)
  }),
  emulation_failure: Struct.make("kvm_run.emulation_failure", {
    suberror: Struct.u32,
    ndata: Struct.u32,
    flags: Struct.u64,
    insn_size: Struct.u8,
    insn_bytes: Struct.bytes(15)
  }),
  osi: Struct.make("kvm_run.osi", { gprs: Struct.array(Struct.u64, 32) }),
  papr_hcall: Struct.make("kvm_run.papr_hcall", {
    nr: Struct.u64,
    ret: Struct.u64,
    args: Struct.array(Struct.u64, 9)
  }),
  s390_tsch: Struct.make("kvm_run.s390_tsch", {
    subchannel_id: Struct.u16,
    subchannel_nr: Struct.u16,
    io_int_parm: Struct.u32,
    io_int_word: Struct.u32,
    ipb: Struct.u32,
    dequeued: Struct.u8
  }),
  epr: Struct.make("kvm_run.epr", { epr: Struct.u32 }),
  system_event: Struct.make("kvm_run.system_event", {
    type: Struct.u32,
    ndata: Struct.u32,
    data: Struct.array(Struct.u64, 16)
  }),
  s390_stsi: Struct.make("kvm_run.s390_stsi", {
    addr: Struct.u64,
    ar: Struct.u8,
    reserved: Struct.padding(1),
    fc: Struct.u8,
    sel1: Struct.u8,
    sel2: Struct.u16
  }),
  eoi: Struct.make("kvm_run.eoi", { vector: Struct.u8 }),
  hyperv: kvm_hyperv_exit,
  arm_nisv: Struct.make("kvm_run.arm_nisv", { esr_iss: Struct.u64, fault_ipa: Struct.u64 }),
  msr: Struct.make("kvm_run.msr", {
    error: Struct.u8,
    pad: Struct.padding(7),
    reason: Struct.u32,
    index: Struct.u32,
    data: Struct.u64
  }),
  xen: kvm_xen_exit,
  riscv_sbi: Struct.make("kvm_run.riscv_sbi", {
    extension_id: Struct.u64,
    function_id: Struct.u64,
    args: Struct.array(Struct.u64, 6),
    ret: Struct.array(Struct.u64, 2)
  }),
  riscv_csr: Struct.make("kvm_run.riscv_csr", {
    csr_num: Struct.u64,
    new_value: Struct.u64,
    write_mask: Struct.u64,
    ret_value: Struct.u64
  }),
  notify: Struct.make("kvm_run.notify", { flags: Struct.u32 }),
  iocsr_io: Struct.make("kvm_run.iocsr_io", {
    phys_addr: Struct.u64,
    data: Struct.bytes(8),
    len: Struct.u32,
    is_write: Struct.u8
  }),
  memory_fault: Struct.make("kvm_run.memory_fault", { flags: Struct.u64, gpa: Struct.u64, size: Struct.u64 }),
  tdx: Struct.make("kvm_run.tdx", {
    flags: Struct.u64,
    nr: Struct.u64,
    u: Struct.union("kvm_run.tdx.u", {
      unknown: Struct.make("kvm_run.tdx.unknown", { ret: Struct.u64, data: Struct.array(Struct.u64, 5) }),
      get_quote: Struct.make("kvm_run.tdx.get_quote", { ret: Struct.u64, gpa: Struct.u64, size: Struct.u64 }),
      get_tdvmcall_info: Struct.make("kvm_run.tdx.get_tdvmcall_info", {
        ret: Struct.u64,
        leaf: Struct.u64,
        r11: Struct.u64,
        r12: Struct.u64,
        r13: Struct.u64,
        r14: Struct.u64
      }),
      setup_event_notify: Struct.make("kvm_run.tdx.setup_event_notify", { ret: Struct.u64, vector: Struct.u64 })
    })
  }),
  padding: Struct.padding(256)
})

/**
 * The page that a vCPU shares with its host: what the host asks for, and why the guest stopped. What is x86_64's own in it
 * (the details of a debug exit, the shared registers in `s`) means nothing on other architectures.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_run = Struct.make("kvm_run", {
  request_interrupt_window: Struct.u8,
  immediate_exit: Struct.u8,
  padding1: Struct.padding(6),
  exit_reason: Struct.u32,
  ready_for_interrupt_injection: Struct.u8,
  if_flag: Struct.u8,
  flags: Struct.u16,
  cr8: Struct.u64,
  apic_base: Struct.u64,
  exit: kvm_run_exit,
  kvm_valid_regs: Struct.u64,
  kvm_dirty_regs: Struct.u64,
  s: Struct.union("kvm_run.s", { regs: kvm_sync_regs, padding: Struct.padding(2048) })
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_run extends Struct.Type<typeof kvm_run> {}
