/** Structures of KVM on aarch64, where they differ from x86_64's or are its own. */
import * as Struct from "../../Struct.ts"
import { KVM_ARM_MAX_DBG_REGS } from "../constants.ts"

/** `__uint128_t`, as its bytes. */
const u128 = Struct.aligned(Struct.bytes(16), 16)

/**
 * The general registers of user mode.
 *
 * @category structures
 * @since 0.1.0
 */
export const user_pt_regs = Struct.make("user_pt_regs", {
  regs: Struct.array(Struct.u64, 31),
  sp: Struct.u64,
  pc: Struct.u64,
  pstate: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface user_pt_regs extends Struct.Type<typeof user_pt_regs> {}

/**
 * The floating point and vector registers.
 *
 * @category structures
 * @since 0.1.0
 */
export const user_fpsimd_state = Struct.make("user_fpsimd_state", {
  vregs: Struct.array(u128, 32),
  fpsr: Struct.u32,
  fpcr: Struct.u32,
  __reserved: Struct.array(Struct.u32, 2)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface user_fpsimd_state extends Struct.Type<typeof user_fpsimd_state> {}

/**
 * The registers of an aarch64 vCPU. The kernel has no request for all of them: each is read by its identifier, which
 * {@link coreReg} gives.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_regs = Struct.make("kvm_regs", {
  regs: user_pt_regs,
  sp_el1: Struct.u64,
  elr_el1: Struct.u64,
  spsr: Struct.array(Struct.u64, 5),
  fp_regs: user_fpsimd_state
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_regs extends Struct.Type<typeof kvm_regs> {}

/**
 * Empty: there are no special registers on aarch64.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_sregs = Struct.make("kvm_sregs", {})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_sregs extends Struct.Type<typeof kvm_sregs> {}

/**
 * Empty: the floating point registers are among the others.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_fpu = Struct.make("kvm_fpu", {})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_fpu extends Struct.Type<typeof kvm_fpu> {}

/**
 * What kind of processor a vCPU is (`target`, one of `KVM_ARM_TARGET_*`), and which features it has: bit n of the words
 * stands for the feature n, `KVM_ARM_VCPU_*`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_vcpu_init = Struct.make("kvm_vcpu_init", {
  target: Struct.u32,
  features: Struct.array(Struct.u32, 7)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_vcpu_init extends Struct.Type<typeof kvm_vcpu_init> {}

/**
 * Breakpoints and watchpoints: control and value registers of each.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_guest_debug_arch = Struct.make("kvm_guest_debug_arch", {
  dbg_bcr: Struct.array(Struct.u64, KVM_ARM_MAX_DBG_REGS),
  dbg_bvr: Struct.array(Struct.u64, KVM_ARM_MAX_DBG_REGS),
  dbg_wcr: Struct.array(Struct.u64, KVM_ARM_MAX_DBG_REGS),
  dbg_wvr: Struct.array(Struct.u64, KVM_ARM_MAX_DBG_REGS)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_guest_debug_arch extends Struct.Type<typeof kvm_guest_debug_arch> {}

/**
 * How a guest is debugged: `control` is a set of `KVM_GUESTDBG_*`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_guest_debug = Struct.make("kvm_guest_debug", {
  control: Struct.u32,
  pad: Struct.padding(4, 4),
  arch: kvm_guest_debug_arch
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_guest_debug extends Struct.Type<typeof kvm_guest_debug> {}

/**
 * What an aarch64 vCPU tells of a debug exit. `hsr_high` holds where the run page's flags have
 * `KVM_DEBUG_ARCH_HSR_HIGH_VALID`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_debug_exit_arch = Struct.make("kvm_debug_exit_arch", {
  hsr: Struct.u32,
  hsr_high: Struct.u32,
  far: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_debug_exit_arch extends Struct.Type<typeof kvm_debug_exit_arch> {}

/**
 * What an aarch64 vCPU shares in its run page: the lines that devices inside KVM raise, `KVM_ARM_DEV_*`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_sync_regs = Struct.make("kvm_sync_regs", { device_irq_level: Struct.u64 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_sync_regs extends Struct.Type<typeof kvm_sync_regs> {}

/**
 * Which events a guest may count: `nevents` from `base_event` on, allowed (0) or denied (1).
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_pmu_event_filter = Struct.make("kvm_pmu_event_filter", {
  base_event: Struct.u16,
  nevents: Struct.u16,
  action: Struct.u8,
  pad: Struct.padding(3)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_pmu_event_filter extends Struct.Type<typeof kvm_pmu_event_filter> {}

/**
 * The exceptions that an aarch64 vCPU has pending.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_vcpu_events = Struct.make("kvm_vcpu_events", {
  exception: Struct.make("kvm_vcpu_events.exception", {
    serror_pending: Struct.u8,
    serror_has_esr: Struct.u8,
    ext_dabt_pending: Struct.u8,
    pad: Struct.padding(5),
    serror_esr: Struct.u64
  }),
  reserved: Struct.padding(48, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_vcpu_events extends Struct.Type<typeof kvm_vcpu_events> {}

/**
 * Memory tags to be copied: of `length` bytes at `guest_ipa`, a byte for each 16 of them, at `addr`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_arm_copy_mte_tags = Struct.make("kvm_arm_copy_mte_tags", {
  guest_ipa: Struct.u64,
  length: Struct.u64,
  addr: Struct.pointer,
  flags: Struct.u64,
  reserved: Struct.padding(16, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_arm_copy_mte_tags extends Struct.Type<typeof kvm_arm_copy_mte_tags> {}

/**
 * What the guest's virtual and physical counters are behind the host's. Since 6.4.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_arm_counter_offset = Struct.make("kvm_arm_counter_offset", {
  counter_offset: Struct.u64,
  reserved: Struct.padding(8, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_arm_counter_offset extends Struct.Type<typeof kvm_arm_counter_offset> {}

/**
 * What becomes of `nr_functions` of a guest's SMCCC calls from `base` on: `action` is one of `KVM_SMCCC_FILTER_*`. Set as
 * the attribute `KVM_ARM_VM_SMCCC_FILTER` of a machine. Since 6.4.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_smccc_filter = Struct.make("kvm_smccc_filter", {
  base: Struct.u32,
  nr_functions: Struct.u32,
  action: Struct.u8,
  pad: Struct.padding(15)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_smccc_filter extends Struct.Type<typeof kvm_smccc_filter> {}

/**
 * Which masks of writable bits are asked for, and where they go. Since 6.7.
 *
 * @category structures
 * @since 0.1.0
 */
export const reg_mask_range = Struct.make("reg_mask_range", {
  addr: Struct.pointer,
  range: Struct.u32,
  reserved: Struct.padding(52, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface reg_mask_range extends Struct.Type<typeof reg_mask_range> {}

/**
 * Where a device inside KVM is in the guest's memory.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_arm_device_addr = Struct.make("kvm_arm_device_addr", { id: Struct.u64, addr: Struct.u64 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_arm_device_addr extends Struct.Type<typeof kvm_arm_device_addr> {}
