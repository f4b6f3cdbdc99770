/**
 * KVM on aarch64, where it differs: its structures and the requests that carry them.
 */
import * as Ioctl from "../Ioctl.ts"
import * as Struct from "../Struct.ts"
import { KVMIO } from "./constants.ts"
import { KvmVcpu } from "./requests.ts"

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
 * The registers of an aarch64 vCPU.
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
 * What an aarch64 vCPU tells of a debug exit.
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
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_REGS = Ioctl.read(KvmVcpu, Ioctl._IOR(KVMIO, 0x81, kvm_regs), kvm_regs, { name: "KVM_GET_REGS" })
/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_REGS = Ioctl.write(KvmVcpu, Ioctl._IOW(KVMIO, 0x82, kvm_regs), kvm_regs, { name: "KVM_SET_REGS" })
