/** Switching on capabilities that are off until asked for; those whose argument means something have a function each. */
import * as Effect from "effect/Effect"
import { codes } from "../errors/errnos.ts"
import * as File from "../File.ts"
import { bitsOf, type Table } from "../file/words.ts"
import type * as Ioctl from "../Ioctl.ts"
import { Misuse } from "../internal/invoke.ts"
import { type Asked, checked, machineOf, u64 } from "./asking.ts"
import { requires } from "./capability.ts"
import { nameOf, numberOf } from "./capability-number.ts"
import type { CapabilityName } from "./capability-table.ts"
import * as constants from "./constants.ts"
import { KVM_ENABLE_CAP } from "./requests.ts"
import { type Vcpu, VcpuState } from "./vcpu.ts"
import { asking } from "./vcpu-request.ts"
import type { Vm } from "./vm.ts"

/**
 * What switching on a capability fails with: `EINVAL` for arguments that it does not take or where it is too late (of some
 * `EEXIST`), `EBUSY` while the vCPU runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type EnableCapError = Asked<Ioctl.RequestError<typeof KVM_ENABLE_CAP>>

/**
 * Switches on a capability of a machine or a vCPU, by its name or number, with at most four arguments of 64 bits that it
 * defines; there is no switching off but by its arguments.
 *
 * Request `KVM_ENABLE_CAP`, capability `KVM_CAP_ENABLE_CAP_VM` or, of a vCPU, `KVM_CAP_ENABLE_CAP`; and the one that is
 * switched on: a kernel without it is `MissingCapability`.
 *
 * @example
 * ```ts
 * import { Kvm } from "effect-linux"
 *
 * const exact = (vm: Kvm.Vm) => Kvm.enableCap(vm, "KVM_CAP_EXCEPTION_PAYLOAD", [1])
 * ```
 *
 * @category capabilities
 * @since 0.1.0
 */
export const enableCap = (
  target: Vm | Vcpu,
  capability: CapabilityName | number,
  args: ReadonlyArray<number | bigint> = [],
  flags = 0
): Effect.Effect<void, EnableCapError> =>
  checked(
    KVM_ENABLE_CAP,
    () => {
      if (args.length > 4) throw new Misuse(codes.EINVAL, `args: expected at most 4, got ${args.length}`)
      return {
        cap: numberOf(capability),
        flags,
        args: [0, 1, 2, 3].map((index) => u64(`args[${index}]`, args[index] ?? 0))
      }
    },
    (argument) => {
      const name = nameOf(argument.cap)
      const vm = machineOf(target)
      const known = Effect.andThen(
        requires(vm, target instanceof VcpuState ? "KVM_CAP_ENABLE_CAP" : "KVM_CAP_ENABLE_CAP_VM"),
        name === undefined ? Effect.void : requires(vm, name)
      )
      const enable =
        target instanceof VcpuState
          ? asking(KVM_ENABLE_CAP)(target, argument)
          : File.ioctl(vm.file, KVM_ENABLE_CAP, argument)
      return Effect.map(Effect.andThen(known, enable), () => {
        if (argument.cap === constants.KVM_CAP_SPLIT_IRQCHIP) vm.irqchip = "split"
        if (target === vm) vm.enabled.set(argument.cap, { args: argument.args, flags })
      })
    }
  )

const bits =
  <W extends string>(capability: CapabilityName, name: string, table: Table<W>) =>
  (vm: Vm, words: ReadonlyArray<W> | number): Effect.Effect<void, EnableCapError> =>
    checked(
      KVM_ENABLE_CAP,
      () => bitsOf(name, table, words),
      (mask) => enableCap(vm, capability, [mask])
    )

const msrReasons = {
  inval: constants.KVM_MSR_EXIT_REASON_INVAL,
  unknown: constants.KVM_MSR_EXIT_REASON_UNKNOWN,
  filter: constants.KVM_MSR_EXIT_REASON_FILTER
} satisfies Table<string>

/**
 * Makes model-specific registers end in exits instead of exceptions: `unknown` those that KVM does not know, `inval` what
 * they do not take, `filter` what {@link setMsrFilter} denies. An empty list: none.
 *
 * Capability `KVM_CAP_X86_USER_SPACE_MSR`.
 *
 * @category capabilities
 * @since 0.1.0
 */
export const enableMsrExits: (
  vm: Vm,
  reasons: ReadonlyArray<"inval" | "unknown" | "filter"> | number
) => Effect.Effect<void, EnableCapError> = bits("KVM_CAP_X86_USER_SPACE_MSR", "reasons", msrReasons)

const hypercalls = { mapGpaRange: 1 << constants.KVM_HC_MAP_GPA_RANGE } satisfies Table<string>

/**
 * Makes hypercalls of the guest end in exits: `mapGpaRange` is `KVM_HC_MAP_GPA_RANGE`. An empty list: none.
 *
 * Capability `KVM_CAP_EXIT_HYPERCALL`.
 *
 * @category capabilities
 * @since 0.1.0
 */
export const enableHypercallExits: (
  vm: Vm,
  hypercalls: ReadonlyArray<"mapGpaRange"> | number
) => Effect.Effect<void, EnableCapError> = bits("KVM_CAP_EXIT_HYPERCALL", "hypercalls", hypercalls)

const busLocks = {
  off: constants.KVM_BUS_LOCK_DETECTION_OFF,
  exit: constants.KVM_BUS_LOCK_DETECTION_EXIT
} satisfies Table<string>

/**
 * Makes locked accesses across cache lines, which hold up all processors, end in exits, or not.
 *
 * Capability `KVM_CAP_X86_BUS_LOCK_EXIT`.
 *
 * @category capabilities
 * @since 0.1.0
 */
export const setBusLockExits = (vm: Vm, mode: "off" | "exit"): Effect.Effect<void, EnableCapError> =>
  bits("KVM_CAP_X86_BUS_LOCK_EXIT", "mode", busLocks)(vm, [mode])

const instructions = {
  mwait: constants.KVM_X86_DISABLE_EXITS_MWAIT,
  hlt: constants.KVM_X86_DISABLE_EXITS_HLT,
  pause: constants.KVM_X86_DISABLE_EXITS_PAUSE,
  cstate: constants.KVM_X86_DISABLE_EXITS_CSTATE,
  aperfmperf: constants.KVM_X86_DISABLE_EXITS_APERFMPERF
} satisfies Table<string>

/**
 * Lets a guest use instructions without KVM stepping in, which is faster for it and takes the processor from others. Of a
 * machine without vCPUs; those that there can be, the capability's bits tell.
 *
 * Capability `KVM_CAP_X86_DISABLE_EXITS`.
 *
 * @category capabilities
 * @since 0.1.0
 */
export const disableExits: (
  vm: Vm,
  instructions: ReadonlyArray<"mwait" | "hlt" | "pause" | "cstate" | "aperfmperf"> | number
) => Effect.Effect<void, EnableCapError> = bits("KVM_CAP_X86_DISABLE_EXITS", "instructions", instructions)

const quirks = {
  lint0Reenabled: constants.KVM_X86_QUIRK_LINT0_REENABLED,
  cdNwCleared: constants.KVM_X86_QUIRK_CD_NW_CLEARED,
  lapicMmioHole: constants.KVM_X86_QUIRK_LAPIC_MMIO_HOLE,
  out7eIncRip: constants.KVM_X86_QUIRK_OUT_7E_INC_RIP,
  miscEnableNoMwait: constants.KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT,
  fixHypercallInsn: constants.KVM_X86_QUIRK_FIX_HYPERCALL_INSN,
  mwaitNeverUdFaults: constants.KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS,
  slotZapAll: constants.KVM_X86_QUIRK_SLOT_ZAP_ALL,
  stuffFeatureMsrs: constants.KVM_X86_QUIRK_STUFF_FEATURE_MSRS,
  ignoreGuestPat: constants.KVM_X86_QUIRK_IGNORE_GUEST_PAT
} satisfies Table<string>

/**
 * A habit of KVM's that differs from hardware's: the kernel's `KVM_X86_QUIRK_*`.
 *
 * @category models
 * @since 0.1.0
 */
export type Quirk = keyof typeof quirks

/**
 * Takes from a machine habits of KVM's that differ from hardware's. Of a machine without vCPUs; those that there are, the
 * capability's bits tell.
 *
 * Capability `KVM_CAP_DISABLE_QUIRKS2`.
 *
 * @category capabilities
 * @since 0.1.0
 */
export const disableQuirks: (vm: Vm, quirks: ReadonlyArray<Quirk> | number) => Effect.Effect<void, EnableCapError> =
  bits("KVM_CAP_DISABLE_QUIRKS2", "quirks", quirks)

const protections = {
  manualProtect: constants.KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE,
  initiallySet: constants.KVM_DIRTY_LOG_INITIALLY_SET
} satisfies Table<string>

/**
 * Makes reading the log of written pages not begin a new one: pages are logged anew when the log is cleared of them. With
 * `initiallySet` all pages are in the log at first.
 *
 * Capability `KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2`.
 *
 * @category capabilities
 * @since 0.1.0
 */
export const enableManualDirtyLogProtect = (
  vm: Vm,
  options: { readonly initiallySet?: boolean | undefined } = {}
): Effect.Effect<void, EnableCapError> =>
  bits(
    "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2",
    "options",
    protections
  )(vm, options.initiallySet === true ? ["manualProtect", "initiallySet"] : ["manualProtect"])

/**
 * Leaves only the local APICs to the kernel: the 8259, the I/O APIC and the timer are the host program's, which sends
 * interrupts as messages. The first `pins` numbers are those of the I/O APIC, whose ends of interrupts are exits. Of a
 * machine without vCPUs and other interrupt controllers.
 *
 * Capability `KVM_CAP_SPLIT_IRQCHIP`.
 *
 * @category capabilities
 * @since 0.1.0
 */
export const enableSplitIrqchip = (vm: Vm, pins = constants.KVM_IOAPIC_NUM_PINS): Effect.Effect<void, EnableCapError> =>
  enableCap(vm, "KVM_CAP_SPLIT_IRQCHIP", [pins])

/**
 * Limits the identifiers that vCPUs may have, so that the kernel takes less memory: each is below `count`. Of a machine
 * without vCPUs, once.
 *
 * Capability `KVM_CAP_MAX_VCPU_ID`.
 *
 * @category capabilities
 * @since 0.1.0
 */
export const setMaxVcpuId = (vm: Vm, count: number): Effect.Effect<void, EnableCapError> =>
  enableCap(vm, "KVM_CAP_MAX_VCPU_ID", [count])

/**
 * How long at most the kernel spins for a vCPU that halted before it puts it to sleep, in nanoseconds; 0 for never.
 *
 * Capability `KVM_CAP_HALT_POLL`.
 *
 * @category capabilities
 * @since 0.1.0
 */
export const setHaltPoll = (vm: Vm, nanoseconds: number): Effect.Effect<void, EnableCapError> =>
  enableCap(vm, "KVM_CAP_HALT_POLL", [nanoseconds])

/**
 * How long a cycle of the local APICs' timers takes, in nanoseconds: 1 unless said. Of a machine with interrupt
 * controllers and without vCPUs.
 *
 * Capability `KVM_CAP_X86_APIC_BUS_CYCLES_NS`, since Linux 6.11.
 *
 * @category capabilities
 * @since 0.1.0
 */
export const setApicBusCycles = (vm: Vm, nanoseconds: number): Effect.Effect<void, EnableCapError> =>
  enableCap(vm, "KVM_CAP_X86_APIC_BUS_CYCLES_NS", [nanoseconds])

/**
 * Makes an instruction that KVM cannot emulate an exit also where the guest would get an exception, with the instruction's
 * bytes.
 *
 * Capability `KVM_CAP_EXIT_ON_EMULATION_FAILURE`.
 *
 * @category capabilities
 * @since 0.1.0
 */
export const setExitOnEmulationFailure = (vm: Vm, enabled = true): Effect.Effect<void, EnableCapError> =>
  enableCap(vm, "KVM_CAP_EXIT_ON_EMULATION_FAILURE", [enabled ? 1 : 0])

/**
 * Makes the hardware stop a guest that lets no event in for a `window` of so many cycles of the time stamp counter. With
 * `exit` each is an exit; without it KVM only counts, but for those that it cannot go on from.
 *
 * Capability `KVM_CAP_X86_NOTIFY_VMEXIT`, since Linux 6.0.
 *
 * @category capabilities
 * @since 0.1.0
 */
export const enableNotifyVmexit = (
  vm: Vm,
  options: { readonly window: number; readonly exit?: boolean | undefined }
): Effect.Effect<void, EnableCapError> =>
  checked(
    KVM_ENABLE_CAP,
    () => {
      const { exit = false, window } = options
      if (!Number.isInteger(window) || window < 0 || window > 0xffff_ffff) {
        throw new Misuse(codes.EINVAL, `window: ${window} is no unsigned integer of 32 bits`)
      }
      const flags = constants.KVM_X86_NOTIFY_VMEXIT_ENABLED | (exit ? constants.KVM_X86_NOTIFY_VMEXIT_USER : 0)
      return (BigInt(window) << 32n) | BigInt(flags)
    },
    (argument) => enableCap(vm, "KVM_CAP_X86_NOTIFY_VMEXIT", [argument])
  )

const x2apic = {
  use32BitIds: constants.KVM_X2APIC_API_USE_32BIT_IDS,
  disableBroadcastQuirk: constants.KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK,
  enableSuppressEoiBroadcast: constants.KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST,
  disableSuppressEoiBroadcast: constants.KVM_X2APIC_DISABLE_SUPPRESS_EOI_BROADCAST
} satisfies Table<string>

/**
 * A change of how local APICs are spoken to: the kernel's `KVM_X2APIC_*`.
 *
 * @category models
 * @since 0.1.0
 */
export type X2apicOption = keyof typeof x2apic

/**
 * Lets interrupts name local APICs by 32 bits (`use32BitIds`), for machines of more than 255 vCPUs, takes the meaning of
 * all from the identifier 0xff (`disableBroadcastQuirk`), and says whether guests are offered to keep ends of interrupts
 * from the I/O APIC. The capability's bits tell which there are.
 *
 * Capability `KVM_CAP_X2APIC_API`.
 *
 * @category capabilities
 * @since 0.1.0
 */
export const enableX2apicApi: (
  vm: Vm,
  options: ReadonlyArray<X2apicOption> | number
) => Effect.Effect<void, EnableCapError> = bits("KVM_CAP_X2APIC_API", "options", x2apic)

/**
 * Takes the performance counters from a machine. Of one without vCPUs.
 *
 * Capability `KVM_CAP_PMU_CAPABILITY`, since Linux 5.18.
 *
 * @category capabilities
 * @since 0.1.0
 */
export const disablePmu = (vm: Vm): Effect.Effect<void, EnableCapError> =>
  enableCap(vm, "KVM_CAP_PMU_CAPABILITY", [constants.KVM_PMU_CAP_DISABLE])
