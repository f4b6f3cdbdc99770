/**
 * The structures of `linux/kvm.h`, by the kernel's names and field names. Structures that differ by architecture are
 * x86_64's here; those of aarch64 stand in `aarch64.ts`.
 */
import * as Struct from "../Struct.ts"

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
 * The general registers of an x86 vCPU.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_regs = Struct.make("kvm_regs", {
  rax: Struct.u64,
  rbx: Struct.u64,
  rcx: Struct.u64,
  rdx: Struct.u64,
  rsi: Struct.u64,
  rdi: Struct.u64,
  rsp: Struct.u64,
  rbp: Struct.u64,
  r8: Struct.u64,
  r9: Struct.u64,
  r10: Struct.u64,
  r11: Struct.u64,
  r12: Struct.u64,
  r13: Struct.u64,
  r14: Struct.u64,
  r15: Struct.u64,
  rip: Struct.u64,
  rflags: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_regs extends Struct.Type<typeof kvm_regs> {}

/**
 * A segment register with its hidden part.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_segment = Struct.make("kvm_segment", {
  base: Struct.u64,
  limit: Struct.u32,
  selector: Struct.u16,
  type: Struct.u8,
  present: Struct.u8,
  dpl: Struct.u8,
  db: Struct.u8,
  s: Struct.u8,
  l: Struct.u8,
  g: Struct.u8,
  avl: Struct.u8,
  unusable: Struct.u8,
  padding: Struct.padding(1)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_segment extends Struct.Type<typeof kvm_segment> {}

/**
 * A descriptor table register: GDTR or IDTR.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_dtable = Struct.make("kvm_dtable", {
  base: Struct.u64,
  limit: Struct.u16,
  padding: Struct.padding(6, 2)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_dtable extends Struct.Type<typeof kvm_dtable> {}

/**
 * The special registers of an x86 vCPU: segments, tables, control registers.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_sregs = Struct.make("kvm_sregs", {
  cs: kvm_segment,
  ds: kvm_segment,
  es: kvm_segment,
  fs: kvm_segment,
  gs: kvm_segment,
  ss: kvm_segment,
  tr: kvm_segment,
  ldt: kvm_segment,
  gdt: kvm_dtable,
  idt: kvm_dtable,
  cr0: Struct.u64,
  cr2: Struct.u64,
  cr3: Struct.u64,
  cr4: Struct.u64,
  cr8: Struct.u64,
  efer: Struct.u64,
  apic_base: Struct.u64,
  interrupt_bitmap: Struct.array(Struct.u64, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_sregs extends Struct.Type<typeof kvm_sregs> {}

/**
 * One register by its identifier, and where its value is.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_one_reg = Struct.make("kvm_one_reg", { id: Struct.u64, addr: Struct.pointer })
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_one_reg extends Struct.Type<typeof kvm_one_reg> {}

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
