/** The page that a vCPU shares with its host, `kvm_run`, and what it tells of each exit. */
import * as Struct from "../../Struct.ts"

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
  internal: Struct.make("kvm_run.internal", {
    suberror: Struct.u32,
    ndata: Struct.u32,
    data: Struct.array(Struct.u64, 16)
  }),
  system_event: Struct.make("kvm_run.system_event", {
    type: Struct.u32,
    ndata: Struct.u32,
    data: Struct.array(Struct.u64, 16)
  }),
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
  memory_fault: Struct.make("kvm_run.memory_fault", { flags: Struct.u64, gpa: Struct.u64, size: Struct.u64 }),
  padding: Struct.padding(256)
})

/**
 * The page that a vCPU shares with its host: what the host asks for, and why the guest stopped.
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
  s: Struct.padding(2048, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_run extends Struct.Type<typeof kvm_run> {}
