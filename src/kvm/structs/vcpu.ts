/**
 * The registers of an x86 vCPU and small things that are told to one. Floating point and the local APIC are in `fpu.ts`,
 * model-specific registers in `msr.ts`, debugging in `debug.ts`, pending events in `events.ts`.
 */
import * as Struct from "../../Struct.ts"

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
 * The special registers without pending interrupts, but with the page directory pointers of 32-bit paging with PAE:
 * `pdptrs` are valid where `flags` has `KVM_SREGS2_FLAGS_PDPTRS_VALID`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_sregs2 = Struct.make("kvm_sregs2", {
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
  flags: Struct.u64,
  pdptrs: Struct.array(Struct.u64, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_sregs2 extends Struct.Type<typeof kvm_sregs2> {}

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
 * The head of a list of register identifiers: `n` of them, 64 bits each, follow.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_reg_list = Struct.make("kvm_reg_list", { n: Struct.u64 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_reg_list extends Struct.Type<typeof kvm_reg_list> {}

/**
 * Where a linear address of the guest's leads: `valid` is 0 where no page is mapped there.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_translation = Struct.make("kvm_translation", {
  linear_address: Struct.u64,
  physical_address: Struct.u64,
  valid: Struct.u8,
  writeable: Struct.u8,
  usermode: Struct.u8,
  pad: Struct.padding(5)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_translation extends Struct.Type<typeof kvm_translation> {}

/**
 * An interrupt vector to be injected.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_interrupt = Struct.make("kvm_interrupt", { irq: Struct.u32 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_interrupt extends Struct.Type<typeof kvm_interrupt> {}

/**
 * Whether a vCPU runs, halts or waits to be started: one of `KVM_MP_STATE_*`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_mp_state = Struct.make("kvm_mp_state", { mp_state: Struct.u32 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_mp_state extends Struct.Type<typeof kvm_mp_state> {}

/**
 * The head of a signal mask: a set of `len` bytes follows.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_signal_mask = Struct.make("kvm_signal_mask", { len: Struct.u32 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_signal_mask extends Struct.Type<typeof kvm_signal_mask> {}

/**
 * Whether accesses to the task priority register are told.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_tpr_access_ctl = Struct.make("kvm_tpr_access_ctl", {
  enabled: Struct.u32,
  flags: Struct.u32,
  reserved: Struct.padding(32, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_tpr_access_ctl extends Struct.Type<typeof kvm_tpr_access_ctl> {}

/**
 * Where in guest memory the task priority register is mirrored; 0 for nowhere.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_vapic_addr = Struct.make("kvm_vapic_addr", { vapic_addr: Struct.u64 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_vapic_addr extends Struct.Type<typeof kvm_vapic_addr> {}

/**
 * A machine check to be injected: what bank `bank` says of it.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_x86_mce = Struct.make("kvm_x86_mce", {
  status: Struct.u64,
  addr: Struct.u64,
  misc: Struct.u64,
  mcg_status: Struct.u64,
  bank: Struct.u8,
  pad1: Struct.padding(7),
  pad2: Struct.padding(24, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_x86_mce extends Struct.Type<typeof kvm_x86_mce> {}
