/** The state of an x86 vCPU. */
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
