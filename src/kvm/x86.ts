/**
 * Setting x86 guests up: modes in one call each, and what they are made of: segments and their descriptors, GDT, IDT and
 * task state segments, page tables, the bits of control registers, CPUID, and the architecture's rules for a
 * processor's state.
 *
 * Nothing here knows more of KVM than a vCPU's registers and a guest's memory.
 */
export { check, violations } from "./x86/check.ts"
export * from "./x86/control.ts"
export * from "./x86/cpuid.ts"
export type { Mode, ModeError, PagedMode, PagedModeOptions } from "./x86/enter.ts"
export * from "./x86/flags.ts"
export * from "./x86/paged-modes.ts"
export {
  identity,
  type PageFlags,
  type PageMapping,
  type PageSize,
  type PageTableOptions,
  type PageTables,
  type PagingMode,
  writePageTables
} from "./x86/paging.ts"
export type { PhysicalMemory } from "./x86/physical.ts"
export * from "./x86/real-mode.ts"
export { GuestStateError, type Rule, rules } from "./x86/rules.ts"
export {
  decodeDescriptor,
  encodeDescriptor,
  type Ring,
  realModeSegment,
  type SegmentOptions,
  segment,
  selector,
  unusableSegment,
  virtual8086Segment
} from "./x86/segments.ts"
export {
  type Gate,
  type GateBits,
  type Gates,
  type Gdt,
  type TssOptions,
  tss32,
  tss64,
  writeGdt,
  writeIdt,
  writeTss
} from "./x86/tables.ts"
export { type PagingRegisters, pagingMode, type Translation, translate, UnmappedAddress } from "./x86/translate.ts"
