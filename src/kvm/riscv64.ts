/**
 * KVM on riscv64, where it differs: its structures, and the identifiers of its registers, for `Kvm.getOneReg` and
 * `Kvm.setOneReg`. All its requests are those that `Kvm` itself has, but for debugging, whose structure is another.
 *
 * What the kernel calls a structure of registers is none that it reads or writes at once: it is where their identifiers
 * come from.
 */
import * as Effect from "effect/Effect"
import type { IoctlError } from "../errors/calls.ts"
import type * as Ioctl from "../Ioctl.ts"
import type * as Struct from "../Struct.ts"
import { type MissingCapability, requires } from "./capability.ts"
import * as constants from "./constants.ts"
import { KVM_SET_GUEST_DEBUG } from "./requests/riscv64.ts"
import * as structs from "./structs/riscv64.ts"
import { stateOf, type Vcpu } from "./vcpu.ts"
import { asking } from "./vcpu-request.ts"

export * from "./requests/riscv64.ts"
export * from "./structs/riscv64.ts"

/**
 * The part of an identifier that tells the subtype.
 *
 * @category registers
 * @since 0.1.0
 */
export const KVM_REG_RISCV_SUBTYPE_MASK = 0xff0000n
/**
 * @category registers
 * @since 0.1.0
 */
export const KVM_REG_RISCV_SUBTYPE_SHIFT = 16n
/**
 * @category registers
 * @since 0.1.0
 */
export const KVM_REG_RISCV_SBI_EXT = 0x8000000n
/**
 * @category registers
 * @since 0.1.0
 */
export const KVM_REG_RISCV_VECTOR = 0x9000000n
/**
 * @category registers
 * @since 0.1.0
 */
export const KVM_REG_RISCV_SBI_STATE = 0xa000000n

const subtype = (number: bigint): bigint => number << KVM_REG_RISCV_SUBTYPE_SHIFT

const id = (type: bigint, size: bigint, index: number | bigint): bigint =>
  constants.KVM_REG_RISCV | size | type | BigInt(index)

/** The identifier of the register that a field stands for: all of a structure's have one size. */
const fieldOf = (
  { fields, name: struct }: Struct.Struct<Struct.Fields, unknown, never>,
  type: bigint,
  name: string
): bigint => {
  const field = Object.hasOwn(fields, name) ? fields[name] : undefined
  if (field === undefined) throw new RangeError(`name: ${struct} has no register ${name}`)
  return id(type, constants.KVM_REG_SIZE_U64, field.offset / 8)
}

const indexOf = (kind: string, names: ReadonlyArray<string>, name: string): number => {
  const index = names.indexOf(name)
  if (index < 0) throw new RangeError(`name: there is no ${kind} ${name}`)
  return index
}

const inRange = (name: string, value: number, most: number): number => {
  if (Number.isInteger(value) && value >= 0 && value <= most) return value
  throw new RangeError(`${name}: expected an integer from 0 to ${most}, got ${value}`)
}

/**
 * The identifier of a configuration register. Throws a `RangeError` where there is none of that name.
 *
 * @category registers
 * @since 0.1.0
 */
export const configReg = (name: keyof structs.kvm_riscv_config): bigint =>
  fieldOf(structs.kvm_riscv_config, constants.KVM_REG_RISCV_CONFIG, name)

/**
 * The identifier of a core register: a general one, `pc`, or `mode`. Throws a `RangeError` where there is none of that
 * name.
 *
 * @example
 * ```ts
 * import { Kvm } from "effect-linux"
 *
 * const programCounter = (vcpu: Kvm.Vcpu) => Kvm.getOneReg(vcpu, Kvm.riscv64.coreReg("pc"))
 * ```
 *
 * @category registers
 * @since 0.1.0
 */
export const coreReg = (name: keyof structs.user_regs_struct | "mode"): bigint =>
  name === "mode"
    ? id(constants.KVM_REG_RISCV_CORE, constants.KVM_REG_SIZE_U64, structs.kvm_riscv_core.fields.mode.offset / 8)
    : fieldOf(structs.user_regs_struct, constants.KVM_REG_RISCV_CORE, name)

/**
 * The identifier of a control and status register: a general one, or one of the advanced interrupt architecture's (since
 * 6.6) or the state enable extension's (since 6.7). Throws a `RangeError` where there is none of that name.
 *
 * @category registers
 * @since 0.1.0
 */
export const csrReg = (
  name: keyof structs.kvm_riscv_csr | keyof structs.kvm_riscv_aia_csr | keyof structs.kvm_riscv_smstateen_csr
): bigint => {
  if (Object.hasOwn(structs.kvm_riscv_aia_csr.fields, name)) {
    return fieldOf(structs.kvm_riscv_aia_csr, constants.KVM_REG_RISCV_CSR | subtype(1n), name)
  }
  if (Object.hasOwn(structs.kvm_riscv_smstateen_csr.fields, name)) {
    return fieldOf(structs.kvm_riscv_smstateen_csr, constants.KVM_REG_RISCV_CSR | subtype(2n), name)
  }
  return fieldOf(structs.kvm_riscv_csr, constants.KVM_REG_RISCV_CSR, name)
}

/**
 * The identifier of a register of the timer. Throws a `RangeError` where there is none of that name.
 *
 * @category registers
 * @since 0.1.0
 */
export const timerReg = (name: keyof structs.kvm_riscv_timer): bigint =>
  fieldOf(structs.kvm_riscv_timer, constants.KVM_REG_RISCV_TIMER, name)

/**
 * The identifier of a floating point register of the F extension, of 32 bits: 0 to 31, or `fcsr`. Throws a `RangeError`
 * where there is none.
 *
 * @category registers
 * @since 0.1.0
 */
export const fpFReg = (register: number | "fcsr"): bigint => {
  const index = register === "fcsr" ? 32 : inRange("register", register, 31)
  return id(constants.KVM_REG_RISCV_FP_F, constants.KVM_REG_SIZE_U32, index)
}

/**
 * The identifier of a floating point register of the D extension, 0 to 31, of 64 bits, or `fcsr`, of 32. Throws a
 * `RangeError` where there is none.
 *
 * @category registers
 * @since 0.1.0
 */
export const fpDReg = (register: number | "fcsr"): bigint =>
  register === "fcsr"
    ? id(constants.KVM_REG_RISCV_FP_D, constants.KVM_REG_SIZE_U32, 32)
    : id(constants.KVM_REG_RISCV_FP_D, constants.KVM_REG_SIZE_U64, inRange("register", register, 31))

/**
 * The identifier of a control register of the V extension. Throws a `RangeError` where there is none of that name. Since
 * 6.5.
 *
 * @category registers
 * @since 0.1.0
 */
export const vectorCsrReg = (name: "vstart" | "vl" | "vtype" | "vcsr" | "vlenb"): bigint =>
  fieldOf(structs.__riscv_v_ext_state, KVM_REG_RISCV_VECTOR, name)

/**
 * The identifier of a vector register, 0 to 31, of `vlenb` bytes, a power of two. Throws a `RangeError` where there is
 * none. Since 6.5.
 *
 * @category registers
 * @since 0.1.0
 */
export const vectorReg = (index: number, vlenb: number): bigint => {
  const log = Math.log2(vlenb)
  inRange("the logarithm of vlenb", log, 13)
  const first = structs.__riscv_v_ext_state.size / 8
  return id(KVM_REG_RISCV_VECTOR, BigInt(log) << 52n, first + inRange("index", index, 31))
}

/**
 * The extensions of the instruction set that KVM knows, in the order of their numbers (`KVM_RISCV_ISA_EXT_*`).
 *
 * @category registers
 * @since 0.1.0
 */
export const isaExtensions = [
  ...(["A", "C", "D", "F", "H", "I", "M", "SVPBMT", "SSTC", "SVINVAL", "ZIHINTPAUSE", "ZICBOM", "ZICBOZ"] as const),
  ...(["ZBB", "SSAIA", "V", "SVNAPOT", "ZBA", "ZBS", "ZICNTR", "ZICSR", "ZIFENCEI", "ZIHPM", "SMSTATEEN"] as const),
  ...(["ZICOND", "ZBC", "ZBKB", "ZBKC", "ZBKX", "ZKND", "ZKNE", "ZKNH", "ZKR", "ZKSED", "ZKSH", "ZKT"] as const),
  ...(["ZVBB", "ZVBC", "ZVKB", "ZVKG", "ZVKNED", "ZVKNHA", "ZVKNHB", "ZVKSED", "ZVKSH", "ZVKT"] as const),
  ...(["ZFH", "ZFHMIN", "ZIHINTNTL", "ZVFH", "ZVFHMIN", "ZFA", "ZTSO", "ZACAS", "SSCOFPMF", "ZIMOP"] as const),
  ...(["ZCA", "ZCB", "ZCD", "ZCF", "ZCMOP", "ZAWRS", "SMNPM", "SSNPM", "SVADE", "SVADU", "SVVPTC"] as const),
  ...(["ZABHA", "ZICCRSE", "ZAAMO", "ZALRSC", "ZICBOP", "ZFBFMIN", "ZVFBFMIN", "ZVFBFWMA"] as const)
] as const

/**
 * The extensions of the supervisor binary interface that KVM knows, in the order of their numbers
 * (`KVM_RISCV_SBI_EXT_*`).
 *
 * @category registers
 * @since 0.1.0
 */
export const sbiExtensions = [
  ...(["V01", "TIME", "IPI", "RFENCE", "SRST", "HSM", "PMU", "EXPERIMENTAL", "VENDOR"] as const),
  ...(["DBCN", "STA", "SUSP", "FWFT"] as const)
] as const

/**
 * The identifier of the register that says whether a vCPU has an extension of the instruction set, and sets it before its
 * first run. Throws a `RangeError` for an unknown one.
 *
 * @category registers
 * @since 0.1.0
 */
export const isaExtensionReg = (name: (typeof isaExtensions)[number]): bigint =>
  id(
    constants.KVM_REG_RISCV_ISA_EXT,
    constants.KVM_REG_SIZE_U64,
    indexOf("extension of the instruction set", isaExtensions, name)
  )

/**
 * The identifier of a register that enables (or disables) many extensions of the instruction set at once: bit n of the
 * register `index` stands for the extension 64 × index + n. Throws a `RangeError` for a number above 65535. Since 6.6.
 *
 * @category registers
 * @since 0.1.0
 */
export const isaMultiReg = (index: number, action: "enable" | "disable"): bigint =>
  id(
    constants.KVM_REG_RISCV_ISA_EXT | subtype(action === "enable" ? 1n : 2n),
    constants.KVM_REG_SIZE_U64,
    inRange("index", index, 0xffff)
  )

/**
 * The identifier of the register that says whether a vCPU has an extension of the supervisor binary interface, and sets
 * it before its first run. Throws a `RangeError` for an unknown one. Since 6.4.
 *
 * @category registers
 * @since 0.1.0
 */
export const sbiExtensionReg = (name: (typeof sbiExtensions)[number]): bigint =>
  id(
    KVM_REG_RISCV_SBI_EXT,
    constants.KVM_REG_SIZE_U64,
    indexOf("extension of the supervisor binary interface", sbiExtensions, name)
  )

/**
 * The identifier of a register that enables (or disables) many extensions of the supervisor binary interface at once: bit
 * n of the register `index` stands for the extension 64 × index + n. Throws a `RangeError` for a number above 65535.
 * Since 6.4.
 *
 * @category registers
 * @since 0.1.0
 */
export const sbiMultiReg = (index: number, action: "enable" | "disable"): bigint =>
  id(
    KVM_REG_RISCV_SBI_EXT | subtype(action === "enable" ? 1n : 2n),
    constants.KVM_REG_SIZE_U64,
    inRange("index", index, 0xffff)
  )

/**
 * The identifier of a register of the stolen time extension's state. Throws a `RangeError` where there is none of that
 * name. Since 6.8.
 *
 * @category registers
 * @since 0.1.0
 */
export const sbiStaReg = (name: keyof structs.kvm_riscv_sbi_sta): bigint =>
  fieldOf(structs.kvm_riscv_sbi_sta, KVM_REG_RISCV_SBI_STATE, name)

/**
 * The identifier of a register of the firmware features extension's state. Throws a `RangeError` where there is none of
 * that name. Since 6.18.
 *
 * @category registers
 * @since 0.1.0
 */
export const sbiFwftReg = (
  feature: keyof structs.kvm_riscv_sbi_fwft,
  name: keyof structs.kvm_riscv_sbi_fwft_feature
): bigint => {
  const { fields } = structs.kvm_riscv_sbi_fwft
  if (!Object.hasOwn(fields, feature)) throw new RangeError(`feature: there is no ${feature}`)
  const type = KVM_REG_RISCV_SBI_STATE | subtype(1n)
  return fieldOf(structs.kvm_riscv_sbi_fwft_feature, type, name) + BigInt(fields[feature].offset / 8)
}

/**
 * The attribute (of the group `KVM_DEV_RISCV_AIA_GRP_ADDR`) that is the address of a vCPU's interrupt file. Throws a
 * `RangeError` for a number above 16383.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const imsicAddressAttribute = (vcpu: number): bigint =>
  BigInt(1 + inRange("vcpu", vcpu, constants.KVM_DEV_RISCV_APLIC_MAX_HARTS - 1))

/**
 * The attribute (of the group `KVM_DEV_RISCV_AIA_GRP_IMSIC`) that is a register of a vCPU's interrupt file, by what
 * `siselect` selects it with. Throws a `RangeError` for a part that does not fit.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const imsicAttribute = (vcpu: number, select: number): bigint =>
  (BigInt(inRange("vcpu", vcpu, constants.KVM_DEV_RISCV_APLIC_MAX_HARTS - 1)) <<
    BigInt(constants.KVM_DEV_RISCV_AIA_IMSIC_ISEL_BITS)) |
  BigInt(inRange("select", select, constants.KVM_DEV_RISCV_AIA_IMSIC_ISEL_MASK))

/**
 * How the guest is debugged, from its next run on: `KVM_GUESTDBG_ENABLE`, or 0.
 *
 * Request `KVM_SET_GUEST_DEBUG`, capability `KVM_CAP_SET_GUEST_DEBUG`, since 6.9.
 *
 * @category vCPUs
 * @since 0.1.0
 */
export const setGuestDebug = (
  vcpu: Vcpu,
  debug: structs.kvm_guest_debug
): Effect.Effect<void, MissingCapability | IoctlError | Ioctl.RequestError<typeof KVM_SET_GUEST_DEBUG>> =>
  Effect.suspend(() =>
    Effect.andThen(
      requires(stateOf(vcpu).vm, "KVM_CAP_SET_GUEST_DEBUG"),
      Effect.asVoid(asking(KVM_SET_GUEST_DEBUG)(vcpu, debug))
    )
  )
