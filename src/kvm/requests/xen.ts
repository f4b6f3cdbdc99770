/** Requests of guests that believe themselves on Xen. */
import { errorsOf } from "../../errors/registry.ts"
import * as Ioctl from "../../Ioctl.ts"
import { KVMIO } from "../constants.ts"
import { kvm_irq_routing_xen_evtchn } from "../structs/irq.ts"
import { kvm_xen_hvm_attr, kvm_xen_hvm_config, kvm_xen_vcpu_attr } from "../structs/xen.ts"
import { KvmVcpu, KvmVm } from "./devices.ts"

const configErrors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "ENOTTY"])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_XEN_HVM_CONFIG = Ioctl.write(KvmVm, Ioctl._IOW(KVMIO, 0x7a, kvm_xen_hvm_config), kvm_xen_hvm_config, {
  name: "KVM_XEN_HVM_CONFIG",
  errors: configErrors
})

const attrErrors = errorsOf("ioctl", [
  "EBADF",
  "EBUSY",
  "EEXIST",
  "EFAULT",
  "EINVAL",
  "ENOENT",
  "ENOMEM",
  "ENOSPC",
  "ENOTTY",
  "EOPNOTSUPP"
])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_XEN_HVM_GET_ATTR = Ioctl.writeRead(
  KvmVm,
  Ioctl._IOWR(KVMIO, 0xc8, kvm_xen_hvm_attr),
  kvm_xen_hvm_attr,
  { name: "KVM_XEN_HVM_GET_ATTR", errors: attrErrors }
)

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_XEN_HVM_SET_ATTR = Ioctl.write(KvmVm, Ioctl._IOW(KVMIO, 0xc9, kvm_xen_hvm_attr), kvm_xen_hvm_attr, {
  name: "KVM_XEN_HVM_SET_ATTR",
  errors: attrErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_XEN_VCPU_GET_ATTR = Ioctl.writeRead(
  KvmVcpu,
  Ioctl._IOWR(KVMIO, 0xca, kvm_xen_vcpu_attr),
  kvm_xen_vcpu_attr,
  { name: "KVM_XEN_VCPU_GET_ATTR", errors: attrErrors }
)

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_XEN_VCPU_SET_ATTR = Ioctl.write(
  KvmVcpu,
  Ioctl._IOW(KVMIO, 0xcb, kvm_xen_vcpu_attr),
  kvm_xen_vcpu_attr,
  { name: "KVM_XEN_VCPU_SET_ATTR", errors: attrErrors }
)

const sendErrors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "ENOENT", "ENOTTY"])

/**
 * Since 5.17.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_XEN_HVM_EVTCHN_SEND = Ioctl.write(
  KvmVm,
  Ioctl._IOW(KVMIO, 0xd0, kvm_irq_routing_xen_evtchn),
  kvm_irq_routing_xen_evtchn,
  { name: "KVM_XEN_HVM_EVTCHN_SEND", errors: sendErrors }
)
