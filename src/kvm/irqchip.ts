/**
 * The interrupt controllers and the timer that the kernel can have for a machine: making them, their state. Raising
 * interrupts is in `interrupts.ts`.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Ioctl from "../Ioctl.ts"
import type * as Struct from "../Struct.ts"
import { type Asked, ask } from "./asking.ts"
import * as constants from "./constants.ts"
import {
  KVM_CREATE_IRQCHIP,
  KVM_CREATE_PIT,
  KVM_CREATE_PIT2,
  KVM_GET_IRQCHIP,
  KVM_GET_PIT,
  KVM_GET_PIT2,
  KVM_REINJECT_CONTROL,
  KVM_SET_IRQCHIP,
  KVM_SET_PIT,
  KVM_SET_PIT2
} from "./requests.ts"
import type { kvm_ioapic_state, kvm_irqchip, kvm_pic_state, kvm_pit_state, kvm_pit_state2 } from "./structs.ts"
import { stateOf, type Vm } from "./vm.ts"

/**
 * What making interrupt controllers and timers fails with: `EEXIST` where the machine has them, `EINVAL` where it has
 * vCPUs already, `ENOENT` or `ENXIO` for a timer without interrupt controllers.
 *
 * @category errors
 * @since 0.1.0
 */
export type CreateIrqChipError = Asked<Ioctl.RequestError<typeof KVM_CREATE_IRQCHIP>>

/** What is made is noted, whoever is interrupted meanwhile. */
const making = <E>(request: Effect.Effect<unknown, E>, note: () => void): Effect.Effect<void, E> =>
  Effect.uninterruptible(Effect.map(request, note))

/**
 * Gives a machine interrupt controllers in the kernel: on x86_64 two 8259, an I/O APIC, and a local APIC for each vCPU.
 * To be made before the vCPUs; it cannot be undone.
 *
 * A guest that halts then waits in the kernel for an interrupt, and `Hlt` is no exit any more.
 *
 * Can wait, some milliseconds; not interruptible.
 *
 * Request `KVM_CREATE_IRQCHIP`, capability `KVM_CAP_IRQCHIP`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const machine = Effect.gen(function* () {
 *   const vm = yield* Kvm.createVm()
 *   yield* Kvm.createIrqChip(vm)
 *   yield* Kvm.createPit2(vm)
 *   const vcpu = yield* Kvm.createVcpu(vm, 0)
 *   return { vm, vcpu }
 * })
 * ```
 *
 * @category interrupts
 * @since 0.1.0
 */
export const createIrqChip = (vm: Vm): Effect.Effect<void, CreateIrqChipError> =>
  making(ask(vm, "KVM_CAP_IRQCHIP", KVM_CREATE_IRQCHIP), () => {
    stateOf(vm).irqchip = "kernel"
  })

/**
 * Gives a machine with interrupt controllers an 8254 timer in the kernel, on line 0. `flags` of
 * `KVM_PIT_SPEAKER_DUMMY`: port 0x61 answers as if there were a speaker.
 *
 * Can wait, some milliseconds; not interruptible.
 *
 * Request `KVM_CREATE_PIT2`, capability `KVM_CAP_PIT2`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const createPit2 = (
  vm: Vm,
  options: { readonly flags?: number | undefined } = {}
): Effect.Effect<void, CreateIrqChipError> =>
  making(ask(vm, "KVM_CAP_PIT2", KVM_CREATE_PIT2, { flags: options.flags ?? 0 }), () => {
    stateOf(vm).pit = true
  })

/**
 * {@link createPit2} of older kernels.
 *
 * Request `KVM_CREATE_PIT`, capability `KVM_CAP_PIT`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const createPit = (vm: Vm): Effect.Effect<void, CreateIrqChipError> =>
  making(ask(vm, "KVM_CAP_PIT", KVM_CREATE_PIT), () => {
    stateOf(vm).pit = true
  })

// ---------------------------------------------------------------------------------------------------------------------
// interrupt controllers
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The state of one interrupt controller of a machine.
 *
 * @category interrupts
 * @since 0.1.0
 */
export type Irqchip =
  | { readonly _tag: "PicMaster"; readonly pic: kvm_pic_state }
  | { readonly _tag: "PicSlave"; readonly pic: kvm_pic_state }
  | { readonly _tag: "Ioapic"; readonly ioapic: kvm_ioapic_state }

/**
 * Constructors of interrupt controllers' states, with `Irqchip.$is` and `Irqchip.$match`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const Irqchip: Data.TaggedEnum.Constructor<Irqchip> = Data.taggedEnum<Irqchip>()

const chipIds: { readonly [Tag in Irqchip["_tag"]]: number } = {
  PicMaster: constants.KVM_IRQCHIP_PIC_MASTER,
  PicSlave: constants.KVM_IRQCHIP_PIC_SLAVE,
  Ioapic: constants.KVM_IRQCHIP_IOAPIC
}

const chipIdOf = (chip: Irqchip["_tag"]): number => {
  if (typeof chip === "string" && Object.hasOwn(chipIds, chip)) return chipIds[chip]
  throw new TypeError(`chip: expected one of ${Object.keys(chipIds).join(", ")}, got ${String(chip)}`)
}

/** What the kernel is given where it only writes. */
const noPic: kvm_pic_state = {
  last_irr: 0,
  irr: 0,
  imr: 0,
  isr: 0,
  priority_add: 0,
  irq_base: 0,
  read_reg_select: 0,
  poll: 0,
  special_mask: 0,
  init_state: 0,
  auto_eoi: 0,
  rotate_on_auto_eoi: 0,
  special_fully_nested_mode: 0,
  init4: 0,
  elcr: 0,
  elcr_mask: 0
}

const irqchipOf = (tag: Irqchip["_tag"], { chip }: kvm_irqchip): Irqchip =>
  tag === "Ioapic" ? { _tag: tag, ioapic: chip.ioapic } : { _tag: tag, pic: chip.pic }

/**
 * What reading and writing the state of interrupt controllers fails with: `ENXIO` where the kernel has none for the
 * machine.
 *
 * @category errors
 * @since 0.1.0
 */
export type IrqchipError = Asked<Ioctl.RequestError<typeof KVM_GET_IRQCHIP>>

/**
 * The state of an interrupt controller: `PicMaster` and `PicSlave` are the two 8259, `Ioapic` is the I/O APIC. The state
 * of local APICs is that of the vCPUs.
 *
 * Request `KVM_GET_IRQCHIP`, capability `KVM_CAP_IRQCHIP`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const getIrqchip = <Tag extends Irqchip["_tag"]>(
  vm: Vm,
  chip: Tag
): Effect.Effect<Extract<Irqchip, { readonly _tag: Tag }>, IrqchipError> =>
  Effect.suspend(() =>
    Effect.map(
      ask(vm, "KVM_CAP_IRQCHIP", KVM_GET_IRQCHIP, { chip_id: chipIdOf(chip), chip: { pic: noPic } }),
      // The state has the tag that was asked for, which the type of a conditional expression does not tell.
      (state) => irqchipOf(chip, state) as Extract<Irqchip, { readonly _tag: Tag }>
    )
  )

/**
 * Sets the state of an interrupt controller, all of it.
 *
 * Request `KVM_SET_IRQCHIP`, capability `KVM_CAP_IRQCHIP`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const setIrqchip = (vm: Vm, state: Irqchip): Effect.Effect<void, IrqchipError> =>
  Effect.suspend(() => {
    const chip: Struct.Encoded<typeof kvm_irqchip>["chip"] =
      state._tag === "Ioapic" ? { ioapic: state.ioapic } : { pic: state.pic }
    return Effect.asVoid(ask(vm, "KVM_CAP_IRQCHIP", KVM_SET_IRQCHIP, { chip_id: chipIdOf(state._tag), chip }))
  })

/**
 * An entry of the I/O APIC's redirection table: what becomes of the interrupts of a pin.
 *
 * @category interrupts
 * @since 0.1.0
 */
export interface Redirection {
  /** The interrupt's number in the guest, from 16. */
  readonly vector: number
  /** 0 fixed, 1 to the lowest priority, 2 SMI, 4 NMI, 5 INIT, 7 from the 8259. */
  readonly delivery_mode: number
  /** 0: `dest_id` is that of an APIC; 1: it is a set of them. */
  readonly dest_mode: number
  readonly delivery_status: number
  /** 1: active when low. */
  readonly polarity: number
  /** 1: delivered, and its end not yet told. */
  readonly remote_irr: number
  /** 0 edge, 1 level. */
  readonly trig_mode: number
  /** 1: held back. */
  readonly mask: number
  readonly dest_id: number
}

const redirectionBits: ReadonlyArray<readonly [field: keyof Redirection, shift: bigint, width: bigint]> = [
  ["vector", 0n, 8n],
  ["delivery_mode", 8n, 3n],
  ["dest_mode", 11n, 1n],
  ["delivery_status", 12n, 1n],
  ["polarity", 13n, 1n],
  ["remote_irr", 14n, 1n],
  ["trig_mode", 15n, 1n],
  ["mask", 16n, 1n],
  ["dest_id", 56n, 8n]
]

/**
 * The fields of an entry of `kvm_ioapic_state.redirtbl`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const decodeRedirection = (entry: bigint): Redirection => {
  const field = (shift: bigint, width: bigint): number => Number((entry >> shift) & ((1n << width) - 1n))
  return {
    vector: field(0n, 8n),
    delivery_mode: field(8n, 3n),
    dest_mode: field(11n, 1n),
    delivery_status: field(12n, 1n),
    polarity: field(13n, 1n),
    remote_irr: field(14n, 1n),
    trig_mode: field(15n, 1n),
    mask: field(16n, 1n),
    dest_id: field(56n, 8n)
  }
}

/**
 * An entry of `kvm_ioapic_state.redirtbl` of these fields, those left out 0. Throws a `RangeError` for a value that does
 * not fit its field.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const encodeRedirection = (redirection: Partial<Redirection>): bigint =>
  redirectionBits.reduce((entry, [name, shift, width]) => {
    const value = redirection[name] ?? 0
    if (!Number.isInteger(value) || value < 0 || value >= 1 << Number(width)) {
      throw new RangeError(`${name}: expected an integer of ${width} bits, got ${value}`)
    }
    return entry | (BigInt(value) << shift)
  }, 0n)

// ---------------------------------------------------------------------------------------------------------------------
// the timer
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What reading and writing the state of the timer fails with: `ENXIO` where the kernel has none for the machine.
 *
 * @category errors
 * @since 0.1.0
 */
export type PitError = Asked<Ioctl.RequestError<typeof KVM_GET_PIT2>>

/**
 * The state of the timer that {@link createPit2} made: three channels, and flags (`KVM_PIT_FLAGS_*`).
 *
 * Request `KVM_GET_PIT2`, capability `KVM_CAP_PIT_STATE2`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const getPit2 = (vm: Vm): Effect.Effect<kvm_pit_state2, PitError> => ask(vm, "KVM_CAP_PIT_STATE2", KVM_GET_PIT2)

/**
 * Sets the state of the timer: its counters start anew.
 *
 * Request `KVM_SET_PIT2`, capability `KVM_CAP_PIT_STATE2`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const setPit2 = (vm: Vm, state: kvm_pit_state2): Effect.Effect<void, PitError> =>
  Effect.asVoid(ask(vm, "KVM_CAP_PIT_STATE2", KVM_SET_PIT2, state))

/**
 * {@link getPit2} of older kernels, without the flags.
 *
 * Request `KVM_GET_PIT`, capability `KVM_CAP_PIT`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const getPit = (vm: Vm): Effect.Effect<kvm_pit_state, PitError> => ask(vm, "KVM_CAP_PIT", KVM_GET_PIT)

/**
 * {@link setPit2} of older kernels, without the flags.
 *
 * Request `KVM_SET_PIT`, capability `KVM_CAP_PIT`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const setPit = (vm: Vm, state: kvm_pit_state): Effect.Effect<void, PitError> =>
  Effect.asVoid(ask(vm, "KVM_CAP_PIT", KVM_SET_PIT, state))

/**
 * Whether ticks of the timer that the guest missed are made up for, which they are at first.
 *
 * Request `KVM_REINJECT_CONTROL`, capability `KVM_CAP_REINJECT_CONTROL`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const reinjectControl = (vm: Vm, reinject: boolean): Effect.Effect<void, PitError> =>
  Effect.asVoid(ask(vm, "KVM_CAP_REINJECT_CONTROL", KVM_REINJECT_CONTROL, { pit_reinject: reinject ? 1 : 0 }))
