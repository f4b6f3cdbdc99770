/**
 * The indices of model-specific registers, by the names of the processors' manuals, and of KVM's own.
 */

/**
 * Indices of model-specific registers: those of the architecture by the names of Intel's and AMD's manuals, without
 * `IA32_`, and KVM's own with `KVM_`.
 *
 * @example
 * ```ts
 * import { Kvm } from "effect-linux"
 *
 * declare const vcpu: Kvm.Vcpu
 *
 * const systemCalls = Kvm.setMsrs(vcpu, [
 *   { index: Kvm.Msr.STAR, data: 0x0023_0010_0000_0000n },
 *   { index: Kvm.Msr.LSTAR, data: 0xffff_ffff_8100_0000n },
 *   { index: Kvm.Msr.SYSCALL_MASK, data: 0x4_7700n }
 * ])
 * ```
 *
 * @category model-specific registers
 * @since 0.1.0
 */
export const Msr = {
  TIME_STAMP_COUNTER: 0x10,
  APIC_BASE: 0x1b,
  FEATURE_CONTROL: 0x3a,
  TSC_ADJUST: 0x3b,
  SPEC_CTRL: 0x48,
  PRED_CMD: 0x49,
  UCODE_REV: 0x8b,
  MTRRCAP: 0xfe,
  ARCH_CAPABILITIES: 0x10a,
  FLUSH_CMD: 0x10b,
  TSX_CTRL: 0x122,
  SYSENTER_CS: 0x174,
  SYSENTER_ESP: 0x175,
  SYSENTER_EIP: 0x176,
  MCG_CAP: 0x179,
  MCG_STATUS: 0x17a,
  MCG_CTL: 0x17b,
  MISC_ENABLE: 0x1a0,
  DEBUGCTL: 0x1d9,
  MTRR_PHYSBASE0: 0x200,
  MTRR_PHYSMASK0: 0x201,
  MTRR_FIX64K_00000: 0x250,
  MTRR_FIX16K_80000: 0x258,
  MTRR_FIX16K_A0000: 0x259,
  PAT: 0x277,
  MTRR_DEF_TYPE: 0x2ff,
  PERF_CAPABILITIES: 0x345,
  MC0_CTL: 0x400,
  MC0_STATUS: 0x401,
  MC0_ADDR: 0x402,
  MC0_MISC: 0x403,
  VMX_BASIC: 0x480,
  VMX_PINBASED_CTLS: 0x481,
  VMX_PROCBASED_CTLS: 0x482,
  VMX_EXIT_CTLS: 0x483,
  VMX_ENTRY_CTLS: 0x484,
  VMX_MISC: 0x485,
  VMX_EPT_VPID_CAP: 0x48c,
  U_CET: 0x6a0,
  S_CET: 0x6a2,
  TSC_DEADLINE: 0x6e0,
  XFD: 0x1c4,
  XFD_ERR: 0x1c5,
  XSS: 0xda0,
  EFER: 0xc000_0080,
  STAR: 0xc000_0081,
  LSTAR: 0xc000_0082,
  CSTAR: 0xc000_0083,
  SYSCALL_MASK: 0xc000_0084,
  FS_BASE: 0xc000_0100,
  GS_BASE: 0xc000_0101,
  KERNEL_GS_BASE: 0xc000_0102,
  TSC_AUX: 0xc000_0103,
  AMD64_TSC_RATIO: 0xc000_0104,
  VM_CR: 0xc001_0114,
  VM_HSAVE_PA: 0xc001_0117,
  AMD64_VIRT_SPEC_CTRL: 0xc001_011f,
  HV_X64_GUEST_OS_ID: 0x4000_0000,
  HV_X64_HYPERCALL: 0x4000_0001,
  HV_X64_VP_INDEX: 0x4000_0002,
  HV_X64_TIME_REF_COUNT: 0x4000_0020,
  HV_X64_REFERENCE_TSC: 0x4000_0021,
  HV_X64_CRASH_P0: 0x4000_0100,
  HV_X64_CRASH_CTL: 0x4000_0105,
  KVM_WALL_CLOCK: 0x11,
  KVM_SYSTEM_TIME: 0x12,
  KVM_WALL_CLOCK_NEW: 0x4b56_4d00,
  KVM_SYSTEM_TIME_NEW: 0x4b56_4d01,
  KVM_ASYNC_PF_EN: 0x4b56_4d02,
  KVM_STEAL_TIME: 0x4b56_4d03,
  KVM_PV_EOI_EN: 0x4b56_4d04,
  KVM_POLL_CONTROL: 0x4b56_4d05,
  KVM_ASYNC_PF_INT: 0x4b56_4d06,
  KVM_ASYNC_PF_ACK: 0x4b56_4d07,
  KVM_MIGRATION_CONTROL: 0x4b56_4d08
} as const
