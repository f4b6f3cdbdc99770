/**
 * KVM on aarch64, where it differs: its structures, the requests that carry them, the functions that make those, and the
 * identifiers of its registers. What is the same on all architectures is in `Kvm` itself, constants too.
 *
 * On other architectures the kernel refuses these requests, and functions whose capability is missing fail with
 * `MissingCapability` before that.
 */
import * as Effect from "effect/Effect"
import type { IoctlError } from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import * as Syscall from "../Syscall.ts"
import { type MissingCapability, requires } from "./capability.ts"
import { KVM_ARM_FEATURE_ID_RANGE, KVM_ARM_FEATURE_ID_RANGE_SIZE, KVM_ARM_TAGS_FROM_GUEST } from "./constants.ts"
import {
  KVM_ARM_GET_REG_WRITABLE_MASKS,
  KVM_ARM_MTE_COPY_TAGS,
  KVM_ARM_PREFERRED_TARGET,
  KVM_ARM_SET_COUNTER_OFFSET,
  KVM_ARM_SET_DEVICE_ADDR,
  KVM_ARM_VCPU_FINALIZE,
  KVM_ARM_VCPU_INIT,
  KVM_GET_VCPU_EVENTS,
  KVM_SET_GUEST_DEBUG,
  KVM_SET_VCPU_EVENTS
} from "./requests/aarch64.ts"
import type { kvm_arm_device_addr, kvm_guest_debug, kvm_vcpu_events, kvm_vcpu_init } from "./structs/aarch64.ts"
import { refuse, stateOf, stopped, type Vcpu } from "./vcpu.ts"
import { asking } from "./vcpu-request.ts"
import type { Vm } from "./vm.ts"

export * from "./aarch64-registers.ts"
export * from "./requests/aarch64.ts"
export * from "./structs/aarch64.ts"

/**
 * The kind of processor that the host's is like, with no features, to be given to {@link vcpuInit}. `ENODEV` where it is
 * like none.
 *
 * Request `KVM_ARM_PREFERRED_TARGET`.
 *
 * @category machines
 * @since 0.1.0
 */
export const getPreferredTarget = (
  vm: Vm
): Effect.Effect<kvm_vcpu_init, Ioctl.RequestError<typeof KVM_ARM_PREFERRED_TARGET>> =>
  File.ioctl(vm.file, KVM_ARM_PREFERRED_TARGET)

/**
 * Makes a vCPU a processor of a kind, and resets its registers: needed before anything else is done with it.
 *
 * `EINVAL` for an unknown target or features that do not go together, or where another vCPU of the machine has others;
 * `ENOENT` for a feature that the host lacks.
 *
 * Request `KVM_ARM_VCPU_INIT`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // a vCPU like the host's processor, with PSCI 0.2
 * const boot = (vm: Kvm.Vm) =>
 *   Effect.gen(function* () {
 *     const vcpu = yield* Kvm.createVcpu(vm, 0)
 *     const { features, target } = yield* Kvm.aarch64.getPreferredTarget(vm)
 *     const [first = 0, ...others] = features
 *     yield* Kvm.aarch64.vcpuInit(vcpu, { target, features: [first | (1 << Kvm.KVM_ARM_VCPU_PSCI_0_2), ...others] })
 *     return vcpu
 *   })
 * ```
 *
 * @category vCPUs
 * @since 0.1.0
 */
export const vcpuInit = (
  vcpu: Vcpu,
  init: kvm_vcpu_init
): Effect.Effect<void, Ioctl.RequestError<typeof KVM_ARM_VCPU_INIT>> =>
  Effect.asVoid(asking(KVM_ARM_VCPU_INIT)(vcpu, init))

/**
 * Ends the configuration of a feature that {@link vcpuInit} asked for: only `KVM_ARM_VCPU_SVE` needs it. `EPERM` where it
 * is done already.
 *
 * Request `KVM_ARM_VCPU_FINALIZE`, capability `KVM_CAP_ARM_SVE`.
 *
 * @category vCPUs
 * @since 0.1.0
 */
export const vcpuFinalize = (
  vcpu: Vcpu,
  feature: number
): Effect.Effect<void, MissingCapability | IoctlError | Ioctl.RequestError<typeof KVM_ARM_VCPU_FINALIZE>> =>
  stopped<void, MissingCapability | IoctlError | Ioctl.RequestError<typeof KVM_ARM_VCPU_FINALIZE>>(
    vcpu,
    KVM_ARM_VCPU_FINALIZE,
    ({ file, vm }) =>
      Effect.andThen(requires(vm, "KVM_CAP_ARM_SVE"), Effect.asVoid(File.ioctl(file, KVM_ARM_VCPU_FINALIZE, feature)))
  )

/**
 * Tells where a device inside KVM is in the guest's memory: `id` has the device (`KVM_ARM_DEVICE_VGIC_V2`) from bit 16 on,
 * and which of its addresses (`KVM_VGIC_V2_ADDR_TYPE_*`) below. Newer devices have attributes for it.
 *
 * `EEXIST` where it is set already, `E2BIG` for an address out of range, `ENODEV` for an unknown device, `ENXIO` for one
 * that the host lacks.
 *
 * Request `KVM_ARM_SET_DEVICE_ADDR`, capability `KVM_CAP_ARM_SET_DEVICE_ADDR`.
 *
 * @category machines
 * @since 0.1.0
 */
export const setDeviceAddr = (
  vm: Vm,
  address: kvm_arm_device_addr
): Effect.Effect<void, MissingCapability | IoctlError | Ioctl.RequestError<typeof KVM_ARM_SET_DEVICE_ADDR>> =>
  Effect.andThen(
    requires(vm, "KVM_CAP_ARM_SET_DEVICE_ADDR"),
    Effect.asVoid(File.ioctl(vm.file, KVM_ARM_SET_DEVICE_ADDR, address))
  )

/** Bytes of memory that one tag stands for. */
const granule = 16

const copyTags = (vm: Vm, guestAddress: number | bigint, tags: Uint8Array, flags: number) =>
  Effect.flatMap(requires(vm, "KVM_CAP_ARM_MTE"), () => {
    if (typeof guestAddress === "number" && !Number.isSafeInteger(guestAddress)) {
      const detail = `KVM_ARM_MTE_COPY_TAGS: guestAddress: ${guestAddress} is no safe integer`
      return refuse(KVM_ARM_MTE_COPY_TAGS.errors, codes.EINVAL, detail)
    }
    return Effect.map(
      File.ioctl(vm.file, KVM_ARM_MTE_COPY_TAGS, {
        guest_ipa: BigInt(guestAddress),
        length: BigInt(tags.length * granule),
        addr: Syscall.addressOf(tags),
        flags: BigInt(flags)
      }),
      // The memory must outlive the call, and the call knows only its address.
      (bytes) => tags.subarray(0, bytes / granule).length
    )
  })

/**
 * The memory tags of `length` bytes of a guest's memory, both multiples of the page size: a byte for each 16 of them. Less
 * than asked for where the kernel stopped early.
 *
 * Request `KVM_ARM_MTE_COPY_TAGS`, capability `KVM_CAP_ARM_MTE`.
 *
 * @category memory
 * @since 0.1.0
 */
export const getMteTags = (
  vm: Vm,
  guestAddress: number | bigint,
  length: number
): Effect.Effect<Uint8Array, MissingCapability | IoctlError | Ioctl.RequestError<typeof KVM_ARM_MTE_COPY_TAGS>> =>
  Effect.suspend(() => {
    if (!Number.isSafeInteger(length) || length <= 0 || length % granule !== 0) {
      const detail = `KVM_ARM_MTE_COPY_TAGS: length: expected a multiple of the page size, got ${length}`
      return refuse(KVM_ARM_MTE_COPY_TAGS.errors, codes.EINVAL, detail)
    }
    const tags = new Uint8Array(length / granule)
    return Effect.map(copyTags(vm, guestAddress, tags, KVM_ARM_TAGS_FROM_GUEST), (count) => tags.subarray(0, count))
  })

/**
 * Sets memory tags of a guest's memory, from an address on that is a multiple of the page size: a byte for each 16 bytes
 * of memory, whole pages of it. Gives how many were set.
 *
 * Request `KVM_ARM_MTE_COPY_TAGS`, capability `KVM_CAP_ARM_MTE`.
 *
 * @category memory
 * @since 0.1.0
 */
export const setMteTags = (
  vm: Vm,
  guestAddress: number | bigint,
  tags: Uint8Array
): Effect.Effect<number, MissingCapability | IoctlError | Ioctl.RequestError<typeof KVM_ARM_MTE_COPY_TAGS>> =>
  Effect.suspend(() => copyTags(vm, guestAddress, tags.slice(), 0))

/**
 * Sets what the guest's counters are behind the host's, in ticks, for all vCPUs: writes to the counters have no effect
 * from then on. `EBUSY` while a vCPU runs.
 *
 * Request `KVM_ARM_SET_COUNTER_OFFSET`, capability `KVM_CAP_COUNTER_OFFSET`, since 6.4.
 *
 * @category machines
 * @since 0.1.0
 */
export const setCounterOffset = (
  vm: Vm,
  offset: bigint
): Effect.Effect<void, MissingCapability | IoctlError | Ioctl.RequestError<typeof KVM_ARM_SET_COUNTER_OFFSET>> =>
  Effect.andThen(
    requires(vm, "KVM_CAP_COUNTER_OFFSET"),
    Effect.asVoid(File.ioctl(vm.file, KVM_ARM_SET_COUNTER_OFFSET, { counter_offset: offset }))
  )

/**
 * Which bits of the feature identification registers can be written: a mask of 64 bits for each, in the kernel's order
 * (from op0 3, op1 0, CRn 0, CRm 0, op2 0 on, by op1, CRm and op2).
 *
 * Request `KVM_ARM_GET_REG_WRITABLE_MASKS`, capability `KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES`, since 6.7.
 *
 * @category machines
 * @since 0.1.0
 */
export const getRegWritableMasks = (
  vm: Vm
): Effect.Effect<
  ReadonlyArray<bigint>,
  MissingCapability | IoctlError | Ioctl.RequestError<typeof KVM_ARM_GET_REG_WRITABLE_MASKS>
> =>
  Effect.flatMap(requires(vm, "KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES"), () => {
    const masks = new BigUint64Array(KVM_ARM_FEATURE_ID_RANGE_SIZE)
    return Effect.map(
      File.ioctl(vm.file, KVM_ARM_GET_REG_WRITABLE_MASKS, {
        addr: Syscall.addressOf(masks),
        range: KVM_ARM_FEATURE_ID_RANGE
      }),
      () => [...masks]
    )
  })

/**
 * The exceptions that a vCPU has pending.
 *
 * Request `KVM_GET_VCPU_EVENTS`, capability `KVM_CAP_VCPU_EVENTS`.
 *
 * @category vCPUs
 * @since 0.1.0
 */
export const getVcpuEvents = (
  vcpu: Vcpu
): Effect.Effect<kvm_vcpu_events, Ioctl.RequestError<typeof KVM_GET_VCPU_EVENTS>> =>
  asking(KVM_GET_VCPU_EVENTS)(vcpu, undefined)

/**
 * Makes exceptions pending: a system error, or, with `KVM_CAP_ARM_INJECT_EXT_DABT`, an external data abort.
 *
 * Request `KVM_SET_VCPU_EVENTS`, capability `KVM_CAP_VCPU_EVENTS`.
 *
 * @category vCPUs
 * @since 0.1.0
 */
export const setVcpuEvents = (
  vcpu: Vcpu,
  events: kvm_vcpu_events
): Effect.Effect<void, Ioctl.RequestError<typeof KVM_SET_VCPU_EVENTS>> =>
  Effect.asVoid(asking(KVM_SET_VCPU_EVENTS)(vcpu, events))

/**
 * How the guest is debugged, from its next run on.
 *
 * Request `KVM_SET_GUEST_DEBUG`, capability `KVM_CAP_SET_GUEST_DEBUG`.
 *
 * @category vCPUs
 * @since 0.1.0
 */
export const setGuestDebug = (
  vcpu: Vcpu,
  debug: kvm_guest_debug
): Effect.Effect<void, MissingCapability | IoctlError | Ioctl.RequestError<typeof KVM_SET_GUEST_DEBUG>> =>
  Effect.suspend(() =>
    Effect.andThen(
      requires(stateOf(vcpu).vm, "KVM_CAP_SET_GUEST_DEBUG"),
      Effect.asVoid(asking(KVM_SET_GUEST_DEBUG)(vcpu, debug))
    )
  )
