/** Structures of KVM on riscv64, where they differ from x86_64's or are its own. */
import * as Struct from "../../Struct.ts"

const registers = <const Names extends ReadonlyArray<string>>(
  names: Names
): { readonly [Name in Names[number]]: typeof Struct.u64 } => {
  const fields: Record<string, typeof Struct.u64> = {}
  for (const name of names) fields[name] = Struct.u64
  // One field for each of the names, which is what the type says.
  return fields as { readonly [Name in Names[number]]: typeof Struct.u64 }
}

/**
 * The general registers.
 *
 * @category structures
 * @since 0.1.0
 */
export const user_regs_struct = Struct.make(
  "user_regs_struct",
  registers([
    ...["pc", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1"],
    ...["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7"],
    ...["s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11"],
    ...["t3", "t4", "t5", "t6"]
  ] as const)
)
/**
 * @category structures
 * @since 0.1.0
 */
export interface user_regs_struct extends Struct.Type<typeof user_regs_struct> {}

/**
 * How a vCPU is configured: its extensions, the sizes of its cache blocks, who made it.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_riscv_config = Struct.make(
  "kvm_riscv_config",
  registers([
    "isa",
    "zicbom_block_size",
    "mvendorid",
    "marchid",
    "mimpid",
    "zicboz_block_size",
    "satp_mode",
    "zicbop_block_size"
  ] as const)
)
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_riscv_config extends Struct.Type<typeof kvm_riscv_config> {}

/**
 * The core registers, and the privilege mode: `KVM_RISCV_MODE_S` or `KVM_RISCV_MODE_U`.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_riscv_core = Struct.make("kvm_riscv_core", { regs: user_regs_struct, mode: Struct.u64 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_riscv_core extends Struct.Type<typeof kvm_riscv_core> {}

/**
 * The control and status registers of supervisor mode.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_riscv_csr = Struct.make(
  "kvm_riscv_csr",
  registers([
    "sstatus",
    "sie",
    "stvec",
    "sscratch",
    "sepc",
    "scause",
    "stval",
    "sip",
    "satp",
    "scounteren",
    "senvcfg"
  ] as const)
)
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_riscv_csr extends Struct.Type<typeof kvm_riscv_csr> {}

/**
 * The control and status registers of the advanced interrupt architecture. Since 6.6.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_riscv_aia_csr = Struct.make(
  "kvm_riscv_aia_csr",
  registers(["siselect", "iprio1", "iprio2", "sieh", "siph", "iprio1h", "iprio2h"] as const)
)
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_riscv_aia_csr extends Struct.Type<typeof kvm_riscv_aia_csr> {}

/**
 * The control and status registers of the state enable extension. Since 6.7.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_riscv_smstateen_csr = Struct.make("kvm_riscv_smstateen_csr", registers(["sstateen0"] as const))
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_riscv_smstateen_csr extends Struct.Type<typeof kvm_riscv_smstateen_csr> {}

/**
 * The timer: its frequency in Hz, the time, when it fires, and whether it is on (`KVM_RISCV_TIMER_STATE_*`).
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_riscv_timer = Struct.make(
  "kvm_riscv_timer",
  registers(["frequency", "time", "compare", "state"] as const)
)
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_riscv_timer extends Struct.Type<typeof kvm_riscv_timer> {}

/**
 * The floating point registers of the F extension.
 *
 * @category structures
 * @since 0.1.0
 */
export const __riscv_f_ext_state = Struct.make("__riscv_f_ext_state", {
  f: Struct.array(Struct.u32, 32),
  fcsr: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface __riscv_f_ext_state extends Struct.Type<typeof __riscv_f_ext_state> {}

/**
 * The floating point registers of the D extension.
 *
 * @category structures
 * @since 0.1.0
 */
export const __riscv_d_ext_state = Struct.make("__riscv_d_ext_state", {
  f: Struct.array(Struct.u64, 32),
  fcsr: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface __riscv_d_ext_state extends Struct.Type<typeof __riscv_d_ext_state> {}

/**
 * The control registers of the V extension. Since 6.5.
 *
 * @category structures
 * @since 0.1.0
 */
export const __riscv_v_ext_state = Struct.make(
  "__riscv_v_ext_state",
  registers(["vstart", "vl", "vtype", "vcsr", "vlenb", "datap"] as const)
)
/**
 * @category structures
 * @since 0.1.0
 */
export interface __riscv_v_ext_state extends Struct.Type<typeof __riscv_v_ext_state> {}

/**
 * Where the memory is in which the guest learns of stolen time. Since 6.8.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_riscv_sbi_sta = Struct.make("kvm_riscv_sbi_sta", registers(["shmem_lo", "shmem_hi"] as const))
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_riscv_sbi_sta extends Struct.Type<typeof kvm_riscv_sbi_sta> {}

/**
 * A feature of the firmware. Since 6.18.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_riscv_sbi_fwft_feature = Struct.make(
  "kvm_riscv_sbi_fwft_feature",
  registers(["enable", "flags", "value"] as const)
)
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_riscv_sbi_fwft_feature extends Struct.Type<typeof kvm_riscv_sbi_fwft_feature> {}

/**
 * The features of the firmware. Since 6.18.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_riscv_sbi_fwft = Struct.make("kvm_riscv_sbi_fwft", {
  misaligned_deleg: kvm_riscv_sbi_fwft_feature,
  pointer_masking: kvm_riscv_sbi_fwft_feature
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_riscv_sbi_fwft extends Struct.Type<typeof kvm_riscv_sbi_fwft> {}

/**
 * Empty: registers are read one by one.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_regs = Struct.make("kvm_regs", {})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_regs extends Struct.Type<typeof kvm_regs> {}

/**
 * Empty: registers are read one by one.
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
 * Empty: registers are read one by one.
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
 * Empty: a debug exit tells nothing.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_debug_exit_arch = Struct.make("kvm_debug_exit_arch", {})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_debug_exit_arch extends Struct.Type<typeof kvm_debug_exit_arch> {}

/**
 * Empty: breakpoints are those in software.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_guest_debug_arch = Struct.make("kvm_guest_debug_arch", {})
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
 * Empty: no registers are shared.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_sync_regs = Struct.make("kvm_sync_regs", {})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_sync_regs extends Struct.Type<typeof kvm_sync_regs> {}
