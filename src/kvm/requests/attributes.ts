/** Requests that several kinds of KVM's descriptors answer: attributes, capabilities, statistics. */
import { errorsOf } from "../../errors/registry.ts"
import * as Ioctl from "../../Ioctl.ts"
import { keep } from "../../ioctl/request.ts"
import * as Syscall from "../../Syscall.ts"
import { KVMIO } from "../constants.ts"
import { kvm_device_attr, kvm_enable_cap } from "../structs/vm.ts"
import { type KvmDevice, type KvmSystem, type KvmVcpu, KvmVm } from "./devices.ts"

/** What has attributes, each of these; which of them it is matters to types alone. */
const attributed = KvmVm as KvmSystem | KvmVm | KvmVcpu | KvmDevice

const attributeErrors = errorsOf("ioctl", [
  "E2BIG",
  "EACCES",
  "EBADF",
  "EBUSY",
  "EEXIST",
  "EFAULT",
  "EINVAL",
  "EIO",
  "ENODEV",
  "ENOMEM",
  "ENOSPC",
  "ENOTTY",
  "ENXIO",
  "EOPNOTSUPP",
  "EPERM"
])

/**
 * Which attribute, and the memory of its value: as much as this attribute has, or the kernel reads and writes beyond.
 *
 * @category models
 * @since 0.1.0
 */
export interface DeviceAttr {
  readonly flags: number
  readonly group: number
  readonly attr: bigint
  readonly memory?: Uint8Array | undefined
}

const encode = ({ attr, flags, group, memory }: DeviceAttr): Uint8Array => {
  const addr = memory === undefined ? 0n : Syscall.addressOf(memory)
  return keep(kvm_device_attr.encode({ flags, group, attr, addr }), memory)
}

const attribute = (name: string, number: number) =>
  Ioctl.make(attributed, Ioctl._IOW(KVMIO, number, kvm_device_attr), {
    name,
    errors: attributeErrors,
    encode,
    decode: (result) => result
  })

/**
 * Of a device, a machine, a vCPU or the system.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_DEVICE_ATTR = attribute("KVM_SET_DEVICE_ATTR", 0xe1)

/**
 * Of a device, a machine, a vCPU or the system.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_DEVICE_ATTR = attribute("KVM_GET_DEVICE_ATTR", 0xe2)

/**
 * Of a device, a machine, a vCPU or the system.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_HAS_DEVICE_ATTR = attribute("KVM_HAS_DEVICE_ATTR", 0xe3)

const enabled = KvmVm as KvmVm | KvmVcpu

const enableErrors = errorsOf("ioctl", [
  "EBADF",
  "EBUSY",
  "EEXIST",
  "EFAULT",
  "EINVAL",
  "EIO",
  "ENODEV",
  "ENOENT",
  "ENOMEM",
  "ENOTTY",
  "ENXIO",
  "EOPNOTSUPP",
  "EPERM"
])

/**
 * Of a machine or a vCPU.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_ENABLE_CAP = Ioctl.write(enabled, Ioctl._IOW(KVMIO, 0xa3, kvm_enable_cap), kvm_enable_cap, {
  name: "KVM_ENABLE_CAP",
  errors: enableErrors
})

const statsErrors = errorsOf("ioctl", [
  "EBADF",
  "EBUSY",
  "EFAULT",
  "EINVAL",
  "EIO",
  "EMFILE",
  "ENFILE",
  "ENOMEM",
  "ENOTTY"
])

/** The device that the descriptor of statistics is: a plain file, that is read. */
const opened: Ioctl.AnyDevice = Ioctl.anyDevice

/**
 * Of a machine or a vCPU.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_STATS_FD = Ioctl.opens(enabled, Ioctl._IO(KVMIO, 0xce), opened, {
  name: "KVM_GET_STATS_FD",
  errors: statsErrors
})
