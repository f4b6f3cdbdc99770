/**
 * What the `cpuid` instruction answers: what the host can offer, what a vCPU's does, and finding one's way in it. x86_64.
 */
import * as Effect from "effect/Effect"
import type { IoctlError } from "../errors/calls.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import { type CapabilityName, type MissingCapability, systemRequires } from "./capability.ts"
import { KVM_CPUID_FLAG_SIGNIFCANT_INDEX } from "./constants.ts"
import {
  KVM_GET_CPUID2,
  KVM_GET_EMULATED_CPUID,
  KVM_GET_SUPPORTED_CPUID,
  KVM_GET_SUPPORTED_HV_CPUID,
  KVM_GET_SUPPORTED_HV_CPUID_VCPU,
  KVM_SET_CPUID,
  KVM_SET_CPUID2
} from "./requests.ts"
import type { kvm_cpuid_entry, kvm_cpuid_entry2 } from "./structs.ts"
import { Kvm } from "./system.ts"
import type { Vcpu } from "./vcpu.ts"
import { asking, askingWith, growing, type Shorter } from "./vcpu-request.ts"

/** Room for as many as kernels of today take. */
const usualRoom = 256

// ---------------------------------------------------------------------------------------------------------------------
// the system's
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What asking the system for CPUID fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export type SystemCpuidError =
  | Shorter<Ioctl.RequestError<typeof KVM_GET_SUPPORTED_CPUID>>
  | MissingCapability
  | IoctlError

const systemCpuid = (
  capability: CapabilityName,
  request: typeof KVM_GET_SUPPORTED_CPUID
): Effect.Effect<ReadonlyArray<kvm_cpuid_entry2>, SystemCpuidError, Kvm> =>
  Effect.andThen(
    systemRequires(capability),
    Effect.flatMap(Kvm, ({ file }) => growing((room) => File.ioctl(file, request, room), usualRoom))
  )

/**
 * What a guest's `cpuid` may answer at most: features that the hardware and KVM have in their default configuration.
 *
 * **When to use**
 *
 * As the start of what {@link setCpuid2} gives a vCPU; a fresh one answers nothing.
 *
 * Request `KVM_GET_SUPPORTED_CPUID`, capability `KVM_CAP_EXT_CPUID`. x86_64.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // a vCPU like the host's, without AVX2
 * const withoutAvx2 = (vcpu: Kvm.Vcpu) =>
 *   Effect.flatMap(Kvm.getSupportedCpuid, (supported) =>
 *     Kvm.setCpuid2(vcpu, Kvm.withCpuidFeature(supported, Kvm.CpuidFeature.AVX2, false))
 *   )
 * ```
 *
 * @category CPUID
 * @since 0.1.0
 */
export const getSupportedCpuid: Effect.Effect<ReadonlyArray<kvm_cpuid_entry2>, SystemCpuidError, Kvm> = systemCpuid(
  "KVM_CAP_EXT_CPUID",
  KVM_GET_SUPPORTED_CPUID
)

/**
 * Features that KVM emulates in software and that are not among {@link getSupportedCpuid}'s. x86_64.
 *
 * Request `KVM_GET_EMULATED_CPUID`, capability `KVM_CAP_EXT_EMUL_CPUID`.
 *
 * @category CPUID
 * @since 0.1.0
 */
export const getEmulatedCpuid: Effect.Effect<ReadonlyArray<kvm_cpuid_entry2>, SystemCpuidError, Kvm> = systemCpuid(
  "KVM_CAP_EXT_EMUL_CPUID",
  KVM_GET_EMULATED_CPUID
)

/**
 * The leaves of a Hyper-V that KVM can be for a guest: to be added to the vCPU's own. x86_64.
 *
 * Request `KVM_GET_SUPPORTED_HV_CPUID`, capability `KVM_CAP_SYS_HYPERV_CPUID`. Since Linux 5.11; before that a vCPU is
 * asked: {@link getVcpuSupportedHvCpuid}.
 *
 * @category CPUID
 * @since 0.1.0
 */
export const getSupportedHvCpuid: Effect.Effect<ReadonlyArray<kvm_cpuid_entry2>, SystemCpuidError, Kvm> = systemCpuid(
  "KVM_CAP_SYS_HYPERV_CPUID",
  KVM_GET_SUPPORTED_HV_CPUID
)

// ---------------------------------------------------------------------------------------------------------------------
// a vCPU's
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What reading a vCPU's CPUID fails with; `EBUSY` while the guest runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type GetCpuidError = Shorter<Ioctl.RequestError<typeof KVM_GET_CPUID2>>

/**
 * What setting a vCPU's CPUID fails with: `E2BIG` for more than 256 entries, `EINVAL` where the guest has run and the
 * answers would change, `EBUSY` while the guest runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type SetCpuidError = Ioctl.RequestError<typeof KVM_SET_CPUID2>

const askCpuid2 = asking(KVM_GET_CPUID2)
const tellCpuid2 = asking(KVM_SET_CPUID2)
const tellCpuid = asking(KVM_SET_CPUID)
const askHvCpuid = askingWith("KVM_CAP_HYPERV_CPUID", KVM_GET_SUPPORTED_HV_CPUID_VCPU)

/**
 * What a vCPU's `cpuid` answers: what was set, and in it what KVM keeps up to date, such as whether the guest has
 * enabled `xsave`. x86_64.
 *
 * Request `KVM_GET_CPUID2`.
 *
 * @category CPUID
 * @since 0.1.0
 */
export const getCpuid2 = (vcpu: Vcpu): Effect.Effect<ReadonlyArray<kvm_cpuid_entry2>, GetCpuidError> =>
  growing((room) => askCpuid2(vcpu, room), usualRoom)

/**
 * Sets what a vCPU's `cpuid` answers, which also says which registers and MSRs it has: do it before they are set.
 * x86_64.
 *
 * Request `KVM_SET_CPUID2`.
 *
 * @category CPUID
 * @since 0.1.0
 */
export const setCpuid2 = (vcpu: Vcpu, entries: ReadonlyArray<kvm_cpuid_entry2>): Effect.Effect<void, SetCpuidError> =>
  tellCpuid2(vcpu, entries)

/**
 * Sets what a vCPU's `cpuid` answers in the form of before Linux 2.6.26, which has no answers that depend on `ecx`;
 * {@link setCpuid2} is the one to use. x86_64.
 *
 * Request `KVM_SET_CPUID`.
 *
 * @category CPUID
 * @since 0.1.0
 */
export const setCpuid = (vcpu: Vcpu, entries: ReadonlyArray<kvm_cpuid_entry>): Effect.Effect<void, SetCpuidError> =>
  tellCpuid(vcpu, entries)

/**
 * {@link getSupportedHvCpuid} asked of a vCPU, whose other settings may make a difference. x86_64.
 *
 * Request `KVM_GET_SUPPORTED_HV_CPUID`, capability `KVM_CAP_HYPERV_CPUID`.
 *
 * @category CPUID
 * @since 0.1.0
 */
export const getVcpuSupportedHvCpuid = (
  vcpu: Vcpu
): Effect.Effect<ReadonlyArray<kvm_cpuid_entry2>, GetCpuidError | MissingCapability | IoctlError> =>
  growing((room) => askHvCpuid(vcpu, room), usualRoom)

// ---------------------------------------------------------------------------------------------------------------------
// entries
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A register of an answer.
 *
 * @category models
 * @since 0.1.0
 */
export type CpuidRegister = "eax" | "ebx" | "ecx" | "edx"

/**
 * The entry that answers `cpuid` for `eax` = `leaf` and `ecx` = `index`, as the processor would: an entry whose index is
 * not significant answers for each.
 *
 * @category CPUID
 * @since 0.1.0
 */
export const findCpuid = (
  entries: ReadonlyArray<kvm_cpuid_entry2>,
  leaf: number,
  index = 0
): kvm_cpuid_entry2 | undefined =>
  entries.find(
    (entry) =>
      entry.function === leaf && ((entry.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) === 0 || entry.index === index)
  )

/**
 * The entries with those registers of one changed that `f` returns; where there is no such entry, a new one of zeros is
 * what `f` is given, and added. The given list stays as it is.
 *
 * @example
 * ```ts
 * import { Kvm } from "effect-linux"
 *
 * declare const entries: ReadonlyArray<Kvm.kvm_cpuid_entry2>
 *
 * // the vCPU's identifier, in leaf 1 and as the second one of its package in the topology leaf
 * const ofSecond = Kvm.modifyCpuid(entries, 1, 0, ({ ebx }) => ({ ebx: ((ebx & 0xff_ffff) | (1 << 24)) >>> 0 }))
 * ```
 *
 * @category CPUID
 * @since 0.1.0
 */
export const modifyCpuid = (
  entries: ReadonlyArray<kvm_cpuid_entry2>,
  leaf: number,
  index: number,
  f: (entry: kvm_cpuid_entry2) => Partial<Pick<kvm_cpuid_entry2, CpuidRegister>>
): ReadonlyArray<kvm_cpuid_entry2> => {
  const found = findCpuid(entries, leaf, index)
  if (found !== undefined) return entries.map((entry) => (entry === found ? { ...entry, ...f(entry) } : entry))
  // Where a leaf has several answers each says for which index it is.
  const flags = index === 0 && !entries.some((entry) => entry.function === leaf) ? 0 : KVM_CPUID_FLAG_SIGNIFCANT_INDEX
  const fresh: kvm_cpuid_entry2 = { function: leaf, index, flags, eax: 0, ebx: 0, ecx: 0, edx: 0 }
  return [...entries, { ...fresh, ...f(fresh) }]
}

/**
 * Where a feature's bit is.
 *
 * @category models
 * @since 0.1.0
 */
export interface CpuidFeature {
  readonly leaf: number
  readonly index: number
  readonly register: CpuidRegister
  /** From 0 to 31. */
  readonly bit: number
}

const maskOf = ({ bit }: CpuidFeature): number => {
  if (!Number.isInteger(bit) || bit < 0 || bit > 31) throw new RangeError(`bit: expected 0 to 31, got ${bit}`)
  return (1 << bit) >>> 0
}

/**
 * Whether the entries have a feature; {@link CpuidFeature} has names for many.
 *
 * @category CPUID
 * @since 0.1.0
 */
export const hasCpuidFeature = (entries: ReadonlyArray<kvm_cpuid_entry2>, feature: CpuidFeature): boolean => {
  const entry = findCpuid(entries, feature.leaf, feature.index)
  return entry !== undefined && (entry[feature.register] & maskOf(feature)) !== 0
}

/**
 * The entries with a feature switched on or off. The given list stays as it is.
 *
 * @category CPUID
 * @since 0.1.0
 */
export const withCpuidFeature = (
  entries: ReadonlyArray<kvm_cpuid_entry2>,
  feature: CpuidFeature,
  enabled = true
): ReadonlyArray<kvm_cpuid_entry2> => {
  const { index, leaf, register } = feature
  const mask = maskOf(feature)
  if (!enabled && findCpuid(entries, leaf, index) === undefined) return entries
  return modifyCpuid(entries, leaf, index, (entry) => ({
    [register]: (enabled ? entry[register] | mask : entry[register] & ~mask) >>> 0
  }))
}

const at =
  (leaf: number, register: CpuidRegister, index = 0) =>
  (bit: number): CpuidFeature => ({
    leaf,
    index,
    register,
    bit
  })

const ecx1 = at(1, "ecx")
const edx1 = at(1, "edx")
const eax6 = at(6, "eax")
const ebx7 = at(7, "ebx")
const ecx7 = at(7, "ecx")
const edx7 = at(7, "edx")
const eax7_1 = at(7, "eax", 1)
const eaxD_1 = at(0xd, "eax", 1)
const ecx8000_0001 = at(0x8000_0001, "ecx")
const edx8000_0001 = at(0x8000_0001, "edx")
const edx8000_0007 = at(0x8000_0007, "edx")
const eax4000_0001 = at(0x4000_0001, "eax")

/**
 * Features by the names of the processors' manuals; KVM's own, in the leaf that it adds, begin with `KVM_`.
 *
 * @category CPUID
 * @since 0.1.0
 */
export const CpuidFeature = {
  FPU: edx1(0),
  VME: edx1(1),
  DE: edx1(2),
  PSE: edx1(3),
  TSC: edx1(4),
  MSR: edx1(5),
  PAE: edx1(6),
  MCE: edx1(7),
  CX8: edx1(8),
  APIC: edx1(9),
  SEP: edx1(11),
  MTRR: edx1(12),
  PGE: edx1(13),
  MCA: edx1(14),
  CMOV: edx1(15),
  PAT: edx1(16),
  PSE36: edx1(17),
  CLFLUSH: edx1(19),
  MMX: edx1(23),
  FXSR: edx1(24),
  SSE: edx1(25),
  SSE2: edx1(26),
  HTT: edx1(28),
  SSE3: ecx1(0),
  PCLMULQDQ: ecx1(1),
  MONITOR: ecx1(3),
  VMX: ecx1(5),
  SSSE3: ecx1(9),
  FMA: ecx1(12),
  CX16: ecx1(13),
  PCID: ecx1(17),
  SSE4_1: ecx1(19),
  SSE4_2: ecx1(20),
  X2APIC: ecx1(21),
  MOVBE: ecx1(22),
  POPCNT: ecx1(23),
  TSC_DEADLINE: ecx1(24),
  AES: ecx1(25),
  XSAVE: ecx1(26),
  OSXSAVE: ecx1(27),
  AVX: ecx1(28),
  F16C: ecx1(29),
  RDRAND: ecx1(30),
  HYPERVISOR: ecx1(31),
  ARAT: eax6(2),
  FSGSBASE: ebx7(0),
  TSC_ADJUST: ebx7(1),
  BMI1: ebx7(3),
  HLE: ebx7(4),
  AVX2: ebx7(5),
  SMEP: ebx7(7),
  BMI2: ebx7(8),
  ERMS: ebx7(9),
  INVPCID: ebx7(10),
  RTM: ebx7(11),
  MPX: ebx7(14),
  AVX512F: ebx7(16),
  AVX512DQ: ebx7(17),
  RDSEED: ebx7(18),
  ADX: ebx7(19),
  SMAP: ebx7(20),
  CLFLUSHOPT: ebx7(23),
  CLWB: ebx7(24),
  AVX512CD: ebx7(28),
  SHA: ebx7(29),
  AVX512BW: ebx7(30),
  AVX512VL: ebx7(31),
  UMIP: ecx7(2),
  PKU: ecx7(3),
  OSPKE: ecx7(4),
  SHSTK: ecx7(7),
  GFNI: ecx7(8),
  VAES: ecx7(9),
  LA57: ecx7(16),
  RDPID: ecx7(22),
  FSRM: edx7(4),
  IBT: edx7(20),
  AMX_BF16: edx7(22),
  AMX_TILE: edx7(24),
  AMX_INT8: edx7(25),
  SPEC_CTRL: edx7(26),
  STIBP: edx7(27),
  FLUSH_L1D: edx7(28),
  ARCH_CAPABILITIES: edx7(29),
  SSBD: edx7(31),
  AVX_VNNI: eax7_1(4),
  AVX512_BF16: eax7_1(5),
  FRED: eax7_1(17),
  XSAVEOPT: eaxD_1(0),
  XSAVEC: eaxD_1(1),
  XGETBV1: eaxD_1(2),
  XSAVES: eaxD_1(3),
  LAHF_LM: ecx8000_0001(0),
  SVM: ecx8000_0001(2),
  ABM: ecx8000_0001(5),
  SSE4A: ecx8000_0001(6),
  TOPOEXT: ecx8000_0001(22),
  SYSCALL: edx8000_0001(11),
  NX: edx8000_0001(20),
  PDPE1GB: edx8000_0001(26),
  RDTSCP: edx8000_0001(27),
  LM: edx8000_0001(29),
  INVARIANT_TSC: edx8000_0007(8),
  KVM_CLOCKSOURCE: eax4000_0001(0),
  KVM_NOP_IO_DELAY: eax4000_0001(1),
  KVM_CLOCKSOURCE2: eax4000_0001(3),
  KVM_ASYNC_PF: eax4000_0001(4),
  KVM_STEAL_TIME: eax4000_0001(5),
  KVM_PV_EOI: eax4000_0001(6),
  KVM_PV_UNHALT: eax4000_0001(7),
  KVM_PV_TLB_FLUSH: eax4000_0001(9),
  KVM_PV_SEND_IPI: eax4000_0001(11),
  KVM_POLL_CONTROL: eax4000_0001(12),
  KVM_PV_SCHED_YIELD: eax4000_0001(13),
  KVM_ASYNC_PF_INT: eax4000_0001(14),
  KVM_MSI_EXT_DEST_ID: eax4000_0001(15),
  KVM_HC_MAP_GPA_RANGE: eax4000_0001(16),
  KVM_MIGRATION_CONTROL: eax4000_0001(17),
  KVM_CLOCKSOURCE_STABLE: eax4000_0001(24)
} as const satisfies Readonly<Record<string, CpuidFeature>>
