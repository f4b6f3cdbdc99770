/**
 * Devices inside a machine, and attributes: settings that devices, machines, vCPUs and the system itself have, each a
 * number in a group.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { codes } from "../errors/errnos.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import { Misuse } from "../internal/invoke.ts"
import type * as Struct from "../Struct.ts"
import { type Asked, checked, u64 } from "./asking.ts"
import { requires, systemHas } from "./capability.ts"
import { KVM_CREATE_DEVICE_TEST } from "./constants.ts"
import * as part from "./part.ts"
import {
  KVM_CREATE_DEVICE,
  KVM_GET_DEVICE_ATTR,
  KVM_HAS_DEVICE_ATTR,
  KVM_SET_DEVICE_ATTR,
  KvmDevice,
  type KvmSystem,
  type KvmVcpu,
  type KvmVm
} from "./requests.ts"
import type { Kvm } from "./system.ts"
import { stopped, type Vcpu, VcpuState } from "./vcpu.ts"
import { stateOf, type Vm, VmState } from "./vm.ts"

/**
 * What making a device fails with: `ENODEV` where this kernel has no such type, `EEXIST` where the machine has the one that
 * it may have.
 *
 * @category errors
 * @since 0.1.0
 */
export type CreateDeviceError = Asked<Ioctl.RequestError<typeof KVM_CREATE_DEVICE>> | File.FromFdError

/**
 * Makes a device inside a machine, of a type `KVM_DEV_TYPE_*`: its file, for as long as the scope is open and at most as
 * long as the machine is. The device itself stays until the machine ends.
 *
 * Request `KVM_CREATE_DEVICE`, capability `KVM_CAP_DEVICE_CTRL`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const vfio = (vm: Kvm.Vm) =>
 *   Effect.gen(function* () {
 *     const device = yield* Kvm.createDevice(vm, Kvm.KVM_DEV_TYPE_VFIO)
 *     return yield* Kvm.hasDeviceAttr(device, { group: Kvm.KVM_DEV_VFIO_FILE, attr: Kvm.KVM_DEV_VFIO_FILE_ADD })
 *   })
 * ```
 *
 * @category devices
 * @since 0.1.0
 */
export const createDevice = (
  vm: Vm,
  type: number
): Effect.Effect<File.File<KvmDevice>, CreateDeviceError, Scope.Scope> =>
  Effect.suspend(() =>
    part.acquire(
      stateOf(vm).devices,
      Effect.gen(function* () {
        yield* requires(vm, "KVM_CAP_DEVICE_CTRL")
        const { fd } = yield* File.ioctl(vm.file, KVM_CREATE_DEVICE, { type, fd: 0, flags: 0 })
        return File.asDevice(yield* part.adopt(fd), KvmDevice)
      }),
      () => Effect.void,
      (): CreateDeviceError =>
        KVM_CREATE_DEVICE.errors.make(codes.EBADF, undefined, undefined, "the machine is closed"),
      stateOf(vm).scope
    )
  )

/**
 * Whether this kernel has a type of device, `KVM_DEV_TYPE_*`. Makes none.
 *
 * Request `KVM_CREATE_DEVICE` with `KVM_CREATE_DEVICE_TEST`, capability `KVM_CAP_DEVICE_CTRL`.
 *
 * @category devices
 * @since 0.1.0
 */
export const hasDeviceType = (vm: Vm, type: number): Effect.Effect<boolean, CreateDeviceError> =>
  Effect.suspend(() =>
    Effect.flatMap(requires(vm, "KVM_CAP_DEVICE_CTRL"), () =>
      File.ioctl(vm.file, KVM_CREATE_DEVICE, { type, fd: 0, flags: KVM_CREATE_DEVICE_TEST }).pipe(
        Effect.as(true),
        Effect.catch((error) => (error.errno === codes.ENODEV ? Effect.succeed(false) : Effect.fail(error)))
      )
    )
  )

// ---------------------------------------------------------------------------------------------------------------------
// attributes
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What has attributes: a machine, a vCPU, a device's file, or the service `Kvm.Kvm`.
 *
 * @category models
 * @since 0.1.0
 */
export type AttributeTarget = Vm | Vcpu | File.File<KvmDevice> | Kvm["Service"]

/**
 * Which attribute: a number in a group, both of the target's own.
 *
 * @category models
 * @since 0.1.0
 */
export interface Attribute {
  readonly group: number
  readonly attr: number | bigint
  /** None is defined. 0. */
  readonly flags?: number | undefined
}

/**
 * What reading and writing attributes fails with: `ENXIO` where there is no such attribute, `EPERM` where it cannot be
 * read or written (now), `EBUSY` while the vCPU runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type AttributeError = Asked<Ioctl.RequestError<typeof KVM_GET_DEVICE_ATTR>>

type AttributeRequest = typeof KVM_GET_DEVICE_ATTR

type AnyKvmFile = File.File<KvmSystem | KvmVm | KvmVcpu | KvmDevice>

const withTarget = <A, E>(
  target: AttributeTarget,
  request: AttributeRequest,
  f: (file: AnyKvmFile) => Effect.Effect<A, E>
): Effect.Effect<A, E | AttributeError> =>
  Effect.suspend((): Effect.Effect<A, E | AttributeError> => {
    if (File.isFile(target)) return f(File.asDevice(target, KvmDevice))
    if (target instanceof VmState) {
      return Effect.flatMap(requires(target, "KVM_CAP_VM_ATTRIBUTES"), () => f(target.file))
    }
    if (target instanceof VcpuState) {
      return Effect.flatMap(requires(target.vm, "KVM_CAP_VCPU_ATTRIBUTES"), () =>
        stopped<A, E | AttributeError>(target, request, ({ file }) => f(file))
      )
    }
    if ("vcpuMmapSize" in target) {
      return Effect.flatMap(systemHas(target, "KVM_CAP_SYS_ATTRIBUTES"), () => f(target.file))
    }
    throw new TypeError("target: expected a Vm, a Vcpu, a device or the service Kvm")
  })

/** More than any attribute has: nothing is read or written beyond our memory, whatever the caller says its size is. */
const roomFor = (size: number): Uint8Array => new Uint8Array(Math.max(size, 4096))

const attributeOf = ({ attr, flags = 0, group }: Attribute, memory?: Uint8Array) => ({
  flags,
  group,
  attr: u64("attr", attr),
  memory
})

/**
 * Whether a target has an attribute.
 *
 * Request `KVM_HAS_DEVICE_ATTR`, capability `KVM_CAP_DEVICE_CTRL`; of a machine `KVM_CAP_VM_ATTRIBUTES`, of a vCPU
 * `KVM_CAP_VCPU_ATTRIBUTES`, of the system `KVM_CAP_SYS_ATTRIBUTES`.
 *
 * @example
 * ```ts
 * import { Kvm } from "effect-linux"
 *
 * const hasTscOffset = (vcpu: Kvm.Vcpu) =>
 *   Kvm.hasDeviceAttr(vcpu, { group: Kvm.KVM_VCPU_TSC_CTRL, attr: Kvm.KVM_VCPU_TSC_OFFSET })
 * ```
 *
 * @category devices
 * @since 0.1.0
 */
export const hasDeviceAttr = (target: AttributeTarget, attribute: Attribute): Effect.Effect<boolean, AttributeError> =>
  withTarget(target, KVM_HAS_DEVICE_ATTR, (file) =>
    checked(
      KVM_HAS_DEVICE_ATTR,
      () => attributeOf(attribute),
      (argument) =>
        File.ioctl(file, KVM_HAS_DEVICE_ATTR, argument).pipe(
          Effect.as(true),
          Effect.catch((error) => (error.errno === codes.ENXIO ? Effect.succeed(false) : Effect.fail(error)))
        )
    )
  )

/**
 * Reads an attribute: of a layout, such as `Struct.u64`, or so many bytes. Some read what the memory holds before.
 *
 * Request `KVM_GET_DEVICE_ATTR`; for the capabilities see {@link hasDeviceAttr}.
 *
 * @example
 * ```ts
 * import { Kvm, Struct } from "effect-linux"
 *
 * const tscOffset = (vcpu: Kvm.Vcpu) =>
 *   Kvm.getDeviceAttr(vcpu, { group: Kvm.KVM_VCPU_TSC_CTRL, attr: Kvm.KVM_VCPU_TSC_OFFSET }, Struct.i64)
 * ```
 *
 * @category devices
 * @since 0.1.0
 */
export const getDeviceAttr: {
  <A>(target: AttributeTarget, attribute: Attribute, layout: Struct.Layout<A, never>): Effect.Effect<A, AttributeError>
  (target: AttributeTarget, attribute: Attribute, size: number): Effect.Effect<Uint8Array, AttributeError>
} = (<A>(target: AttributeTarget, attribute: Attribute, what: Struct.Layout<A, never> | number) =>
  withTarget(target, KVM_GET_DEVICE_ATTR, (file) =>
    checked(
      KVM_GET_DEVICE_ATTR,
      () => {
        const size = typeof what === "number" ? what : what.size
        if (!Number.isSafeInteger(size) || size < 0) throw new Misuse(codes.EINVAL, `size: ${size} is no length`)
        const memory = roomFor(size)
        return { argument: attributeOf(attribute, memory), memory }
      },
      ({ argument, memory }) =>
        Effect.map(File.ioctl(file, KVM_GET_DEVICE_ATTR, argument), () =>
          typeof what === "number" ? memory.slice(0, what) : what.get(new DataView(memory.buffer), 0)
        )
    )
  )) as typeof getDeviceAttr

/**
 * Sets an attribute: a value of a layout, such as `Struct.u64`, or bytes; without either, one that takes no value.
 *
 * Request `KVM_SET_DEVICE_ATTR`; for the capabilities see {@link hasDeviceAttr}.
 *
 * @example
 * ```ts
 * import { Kvm, Struct } from "effect-linux"
 *
 * const setTscOffset = (vcpu: Kvm.Vcpu, offset: bigint) =>
 *   Kvm.setDeviceAttr(vcpu, { group: Kvm.KVM_VCPU_TSC_CTRL, attr: Kvm.KVM_VCPU_TSC_OFFSET }, Struct.i64, offset)
 * ```
 *
 * @category devices
 * @since 0.1.0
 */
export const setDeviceAttr: {
  (target: AttributeTarget, attribute: Attribute, bytes?: Uint8Array): Effect.Effect<void, AttributeError>
  <I>(
    target: AttributeTarget,
    attribute: Attribute,
    layout: Struct.Layout<unknown, I>,
    value: NoInfer<I>
  ): Effect.Effect<void, AttributeError>
} = <I>(target: AttributeTarget, attribute: Attribute, what?: Struct.Layout<unknown, I> | Uint8Array, value?: I) =>
  withTarget(target, KVM_SET_DEVICE_ATTR, (file) =>
    checked(
      KVM_SET_DEVICE_ATTR,
      () => {
        if (what === undefined) return attributeOf(attribute)
        if (what instanceof Uint8Array) {
          const memory = roomFor(what.length)
          memory.set(what)
          return attributeOf(attribute, memory)
        }
        const memory = roomFor(what.size)
        // With a layout there is a value: see the overloads.
        what.set(new DataView(memory.buffer), 0, value as I, "value")
        return attributeOf(attribute, memory)
      },
      (argument) => Effect.asVoid(File.ioctl(file, KVM_SET_DEVICE_ATTR, argument))
    )
  )
