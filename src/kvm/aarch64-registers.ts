/** The identifiers of an aarch64 vCPU's registers, for `Kvm.getOneReg` and `Kvm.setOneReg`. */
import * as constants from "./constants.ts"
import { kvm_regs } from "./structs/aarch64.ts"

const inRange = (name: string, value: number, most: number): bigint => {
  if (Number.isInteger(value) && value >= 0 && value <= most) return BigInt(value)
  throw new RangeError(`${name}: expected an integer from 0 to ${most}, got ${value}`)
}

const core = (offset: number, size: bigint): bigint =>
  constants.KVM_REG_ARM64 | size | constants.KVM_REG_ARM_CORE | BigInt(offset / 4)

const { fp_regs, regs, spsr, ...single } = kvm_regs.fields
const general = regs.layout.fields
const vector = fp_regs.layout.fields

/**
 * The name of a core register: `x0` to `x30`, `v0` to `v31`, `spsr0` to `spsr4` (by `KVM_SPSR_*`), and the others by their
 * field's name.
 *
 * @category registers
 * @since 0.1.0
 */
export type CoreReg =
  | `x${number}`
  | `v${number}`
  | `spsr${number}`
  | "sp"
  | "pc"
  | "pstate"
  | "sp_el1"
  | "elr_el1"
  | "fpsr"
  | "fpcr"

/**
 * The identifier of a core register: of 64 bits; `v0` to `v31` have 128, `fpsr` and `fpcr` 32. Throws a `RangeError` where
 * there is none of that name.
 *
 * @example
 * ```ts
 * import { Kvm } from "effect-linux"
 *
 * const programCounter = (vcpu: Kvm.Vcpu) => Kvm.getOneReg(vcpu, Kvm.aarch64.coreReg("pc"))
 * ```
 *
 * @category registers
 * @since 0.1.0
 */
export const coreReg = (name: CoreReg): bigint => {
  switch (name) {
    case "sp":
    case "pc":
    case "pstate":
      return core(regs.offset + general[name].offset, constants.KVM_REG_SIZE_U64)
    case "sp_el1":
    case "elr_el1":
      return core(single[name].offset, constants.KVM_REG_SIZE_U64)
    case "fpsr":
    case "fpcr":
      return core(fp_regs.offset + vector[name].offset, constants.KVM_REG_SIZE_U32)
  }
  const [, kind, digits] = /^(x|v|spsr)(\d|[1-9]\d)$/.exec(name) ?? []
  if (digits === undefined) throw new RangeError(`name: there is no core register ${name}`)
  const index = Number(digits)
  switch (kind) {
    case "x":
      inRange(name, index, 30)
      return core(regs.offset + general.regs.offset + 8 * index, constants.KVM_REG_SIZE_U64)
    case "v":
      inRange(name, index, 31)
      return core(fp_regs.offset + vector.vregs.offset + 16 * index, constants.KVM_REG_SIZE_U128)
    default:
      inRange(name, index, 4)
      return core(spsr.offset + 8 * index, constants.KVM_REG_SIZE_U64)
  }
}

/**
 * The identifier of a system register, of 64 bits, by its encoding: `systemReg(3, 0, 1, 0, 0)` is `SCTLR_EL1`. Those of
 * the virtual timer are to be taken from `KVM_REG_ARM_TIMER_*`, as the kernel swapped two of them. Throws a `RangeError`
 * for a part that does not fit.
 *
 * @category registers
 * @since 0.1.0
 */
export const systemReg = (op0: number, op1: number, crn: number, crm: number, op2: number): bigint =>
  constants.KVM_REG_ARM64 |
  constants.KVM_REG_SIZE_U64 |
  constants.KVM_REG_ARM64_SYSREG |
  (inRange("op0", op0, 3) << constants.KVM_REG_ARM64_SYSREG_OP0_SHIFT) |
  (inRange("op1", op1, 7) << constants.KVM_REG_ARM64_SYSREG_OP1_SHIFT) |
  (inRange("crn", crn, 15) << constants.KVM_REG_ARM64_SYSREG_CRN_SHIFT) |
  (inRange("crm", crm, 15) << constants.KVM_REG_ARM64_SYSREG_CRM_SHIFT) |
  (inRange("op2", op2, 7) << constants.KVM_REG_ARM64_SYSREG_OP2_SHIFT)

/**
 * The identifier of a cache size register (`CCSIDR`), of 32 bits, by what `CSSELR` selects it with. Throws a `RangeError`
 * for a number above 255.
 *
 * @category registers
 * @since 0.1.0
 */
export const ccsidrReg = (csselr: number): bigint =>
  constants.KVM_REG_ARM64 |
  constants.KVM_REG_SIZE_U32 |
  constants.KVM_REG_ARM_DEMUX |
  constants.KVM_REG_ARM_DEMUX_ID_CCSIDR |
  inRange("csselr", csselr, 255)

/**
 * The identifier of a firmware pseudo-register, of 64 bits; `KVM_REG_ARM_PSCI_VERSION` is the first of them. Throws a
 * `RangeError` for a number above 65535.
 *
 * @category registers
 * @since 0.1.0
 */
export const firmwareReg = (index: number): bigint =>
  constants.KVM_REG_ARM64 | constants.KVM_REG_SIZE_U64 | constants.KVM_REG_ARM_FW | inRange("index", index, 0xffff)

/**
 * The identifier of a bitmap of firmware features, of 64 bits; `KVM_REG_ARM_STD_BMAP` is the first of them. Throws a
 * `RangeError` for a number above 65535.
 *
 * @category registers
 * @since 0.1.0
 */
export const firmwareFeatureReg = (index: number): bigint =>
  constants.KVM_REG_ARM64 |
  constants.KVM_REG_SIZE_U64 |
  constants.KVM_REG_ARM_FW_FEAT_BMAP |
  inRange("index", index, 0xffff)

const sve = (base: bigint, size: bigint, index: bigint, slice: number): bigint =>
  constants.KVM_REG_ARM64 |
  constants.KVM_REG_ARM64_SVE |
  base |
  size |
  (index << 5n) |
  inRange("slice", slice, constants.KVM_ARM64_SVE_MAX_SLICES - 1)

/**
 * The identifier of a slice of an SVE vector register `z0` to `z31`, of 2,048 bits. Throws a `RangeError` where there is
 * none.
 *
 * @category registers
 * @since 0.1.0
 */
export const sveZReg = (index: number, slice = 0): bigint =>
  sve(
    constants.KVM_REG_ARM64_SVE_ZREG_BASE,
    constants.KVM_REG_SIZE_U2048,
    inRange("index", index, constants.KVM_ARM64_SVE_NUM_ZREGS - 1),
    slice
  )

/**
 * The identifier of a slice of an SVE predicate register `p0` to `p15`, of 256 bits. Throws a `RangeError` where there is
 * none.
 *
 * @category registers
 * @since 0.1.0
 */
export const svePReg = (index: number, slice = 0): bigint =>
  sve(
    constants.KVM_REG_ARM64_SVE_PREG_BASE,
    constants.KVM_REG_SIZE_U256,
    inRange("index", index, constants.KVM_ARM64_SVE_NUM_PREGS - 1),
    slice
  )

/**
 * The identifier of a slice of the SVE first-fault register, of 256 bits. Throws a `RangeError` where there is none.
 *
 * @category registers
 * @since 0.1.0
 */
export const sveFfrReg = (slice = 0): bigint =>
  sve(constants.KVM_REG_ARM64_SVE_FFR_BASE, constants.KVM_REG_SIZE_U256, 0n, slice)

/**
 * What `KVM_IRQ_LINE` takes as the line's number on aarch64: `type` is one of `KVM_ARM_IRQ_TYPE_*`, `vcpu` (0 to 4095)
 * the vCPU's index where the interrupt is one vCPU's own. Throws a `RangeError` for a part that does not fit.
 *
 * @category registers
 * @since 0.1.0
 */
export const irqLine = (type: number, number: number, vcpu = 0): number => {
  inRange("type", type, constants.KVM_ARM_IRQ_TYPE_MASK)
  inRange("number", number, constants.KVM_ARM_IRQ_NUM_MASK)
  inRange("vcpu", vcpu, ((constants.KVM_ARM_IRQ_VCPU2_MASK + 1) << 8) - 1)
  return (
    (((vcpu >>> 8) << constants.KVM_ARM_IRQ_VCPU2_SHIFT) |
      (type << constants.KVM_ARM_IRQ_TYPE_SHIFT) |
      ((vcpu & constants.KVM_ARM_IRQ_VCPU_MASK) << constants.KVM_ARM_IRQ_VCPU_SHIFT) |
      number) >>>
    0
  )
}
