/** What the descriptors of KVM are: each request is tied to one of these. */
import * as Ioctl from "../../Ioctl.ts"

/**
 * The device of `/dev/kvm` itself.
 *
 * @category devices
 * @since 0.1.0
 */
export const KvmSystem = Ioctl.device("KvmSystem")
/**
 * @category devices
 * @since 0.1.0
 */
export type KvmSystem = typeof KvmSystem

/**
 * The device that a virtual machine's descriptor is.
 *
 * @category devices
 * @since 0.1.0
 */
export const KvmVm = Ioctl.device("KvmVm")
/**
 * @category devices
 * @since 0.1.0
 */
export type KvmVm = typeof KvmVm

/**
 * The device that a virtual CPU's descriptor is.
 *
 * @category devices
 * @since 0.1.0
 */
export const KvmVcpu = Ioctl.device("KvmVcpu")
/**
 * @category devices
 * @since 0.1.0
 */
export type KvmVcpu = typeof KvmVcpu

/**
 * A device inside a machine, made with `KVM_CREATE_DEVICE`.
 *
 * @category devices
 * @since 0.1.0
 */
export const KvmDevice = Ioctl.device("KvmDevice")
/**
 * @category devices
 * @since 0.1.0
 */
export type KvmDevice = typeof KvmDevice
