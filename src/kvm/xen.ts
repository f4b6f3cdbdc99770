/**
 * Guests that believe themselves on Xen: how a machine is made to look so, and its event channels. Their hypercalls end in
 * the exit `Xen`; interrupts reach them by routes of the kind `KVM_IRQ_ROUTING_XEN_EVTCHN`.
 */
import * as Effect from "effect/Effect"
import type { IoctlError } from "../errors/calls.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import type * as Struct from "../Struct.ts"
import { type MissingCapability, requires } from "./capability.ts"
import {
  KVM_XEN_HVM_CONFIG,
  KVM_XEN_HVM_EVTCHN_SEND,
  KVM_XEN_HVM_GET_ATTR,
  KVM_XEN_HVM_SET_ATTR,
  KVM_XEN_VCPU_GET_ATTR,
  KVM_XEN_VCPU_SET_ATTR
} from "./requests/xen.ts"
import type { kvm_irq_routing_xen_evtchn } from "./structs/irq.ts"
import type { kvm_xen_hvm_attr, kvm_xen_hvm_config, kvm_xen_vcpu_attr } from "./structs/xen.ts"
import { stateOf, type Vcpu } from "./vcpu.ts"
import { asking } from "./vcpu-request.ts"
import type { Vm } from "./vm.ts"

/**
 * What functions of Xen fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export type XenError =
  | MissingCapability
  | IoctlError
  | Ioctl.RequestError<typeof KVM_XEN_HVM_CONFIG>
  | Ioctl.RequestError<typeof KVM_XEN_HVM_SET_ATTR>
  | Ioctl.RequestError<typeof KVM_XEN_HVM_EVTCHN_SEND>

/**
 * Makes a machine look like Xen: see {@link kvm_xen_hvm_config}. With `KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL` the guest's
 * hypercalls end in the exit `Xen`.
 *
 * Request `KVM_XEN_HVM_CONFIG`, capability `KVM_CAP_XEN_HVM`, whose value is the set of `flags` that the kernel knows.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const likeXen = (vm: Kvm.Vm) =>
 *   Kvm.setXenHvmConfig(vm, {
 *     flags: Kvm.KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL,
 *     msr: 0x4000_0000,
 *     blob_addr_32: 0n,
 *     blob_addr_64: 0n,
 *     blob_size_32: 0,
 *     blob_size_64: 0
 *   }).pipe(Effect.catchTag("MissingCapability", () => Effect.logInfo("this kernel was built without Xen")))
 * ```
 *
 * @category machines
 * @since 0.1.0
 */
export const setXenHvmConfig = (vm: Vm, config: kvm_xen_hvm_config): Effect.Effect<void, XenError> =>
  Effect.andThen(requires(vm, "KVM_CAP_XEN_HVM"), Effect.asVoid(File.ioctl(vm.file, KVM_XEN_HVM_CONFIG, config)))

const empty = { xen_version: 0 }

/**
 * An attribute of a machine that looks like Xen, by its type (`KVM_XEN_ATTR_TYPE_*`): that member of the union holds.
 * `ENOENT` for one that cannot be read.
 *
 * Request `KVM_XEN_HVM_GET_ATTR`, capability `KVM_CAP_XEN_HVM`, since 5.12.
 *
 * @category machines
 * @since 0.1.0
 */
export const getXenHvmAttr = (vm: Vm, type: number): Effect.Effect<kvm_xen_hvm_attr["u"], XenError> =>
  Effect.flatMap(requires(vm, "KVM_CAP_XEN_HVM"), () =>
    Effect.map(File.ioctl(vm.file, KVM_XEN_HVM_GET_ATTR, { type, u: empty }), ({ u }) => u)
  )

/**
 * Sets an attribute of a machine that looks like Xen: the member of `u` that its type says.
 *
 * Request `KVM_XEN_HVM_SET_ATTR`, capability `KVM_CAP_XEN_HVM`, since 5.12.
 *
 * @category machines
 * @since 0.1.0
 */
export const setXenHvmAttr = (vm: Vm, attr: Struct.Encoded<typeof kvm_xen_hvm_attr>): Effect.Effect<void, XenError> =>
  Effect.flatMap(requires(vm, "KVM_CAP_XEN_HVM"), () => Effect.asVoid(File.ioctl(vm.file, KVM_XEN_HVM_SET_ATTR, attr)))

/**
 * An attribute of a vCPU of such a machine, by its type (`KVM_XEN_VCPU_ATTR_TYPE_*`): that member of the union holds.
 * `ENOENT` for one that cannot be read.
 *
 * Request `KVM_XEN_VCPU_GET_ATTR`, capability `KVM_CAP_XEN_HVM`, since 5.12.
 *
 * @category vCPUs
 * @since 0.1.0
 */
export const getXenVcpuAttr = (vcpu: Vcpu, type: number): Effect.Effect<kvm_xen_vcpu_attr["u"], XenError> =>
  Effect.suspend(() =>
    Effect.andThen(
      requires(stateOf(vcpu).vm, "KVM_CAP_XEN_HVM"),
      Effect.map(asking(KVM_XEN_VCPU_GET_ATTR)(vcpu, { type, u: { gpa: 0n } }), ({ u }) => u)
    )
  )

/**
 * Sets an attribute of a vCPU of such a machine: the member of `u` that its type says.
 *
 * Request `KVM_XEN_VCPU_SET_ATTR`, capability `KVM_CAP_XEN_HVM`, since 5.12.
 *
 * @category vCPUs
 * @since 0.1.0
 */
export const setXenVcpuAttr = (
  vcpu: Vcpu,
  attr: Struct.Encoded<typeof kvm_xen_vcpu_attr>
): Effect.Effect<void, XenError> =>
  Effect.suspend(() =>
    Effect.andThen(
      requires(stateOf(vcpu).vm, "KVM_CAP_XEN_HVM"),
      Effect.asVoid(asking(KVM_XEN_VCPU_SET_ATTR)(vcpu, attr))
    )
  )

/**
 * Sends an event to a guest: through its port `port` to its vCPU `vcpu`. `priority` is
 * `KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL`.
 *
 * Request `KVM_XEN_HVM_EVTCHN_SEND`, capability `KVM_CAP_XEN_HVM` with `KVM_XEN_HVM_CONFIG_EVTCHN_SEND`, since 5.17.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const sendXenEvtchn = (vm: Vm, event: kvm_irq_routing_xen_evtchn): Effect.Effect<void, XenError> =>
  Effect.andThen(requires(vm, "KVM_CAP_XEN_HVM"), Effect.asVoid(File.ioctl(vm.file, KVM_XEN_HVM_EVTCHN_SEND, event)))
