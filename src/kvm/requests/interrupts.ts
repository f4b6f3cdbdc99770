/**
 * Requests to a machine about interrupts: controllers, timers, lines, routes, messages, descriptors.
 *
 * Those marked as waiting change what vCPUs look at without a lock, and wait until none looks at the old: some
 * milliseconds on a busy machine.
 */
import { errorsOf } from "../../errors/registry.ts"
import * as Ioctl from "../../Ioctl.ts"
import type * as Struct from "../../Struct.ts"
import { KVMIO } from "../constants.ts"
import {
  kvm_ioeventfd,
  kvm_irq_level,
  kvm_irq_routing,
  kvm_irq_routing_entry,
  kvm_irqchip,
  kvm_irqfd,
  kvm_msi,
  kvm_pit_config,
  kvm_pit_state,
  kvm_pit_state2,
  kvm_reinject_control
} from "../structs/irq.ts"
import { KvmVm } from "./devices.ts"

const createErrors = errorsOf("ioctl", [
  "EBADF",
  "EEXIST",
  "EFAULT",
  "EINVAL",
  "EIO",
  "ENOENT",
  "ENOMEM",
  "ENOTTY",
  "ENXIO"
])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_CREATE_IRQCHIP = Ioctl.none(KvmVm, Ioctl._IO(KVMIO, 0x60), {
  name: "KVM_CREATE_IRQCHIP",
  errors: createErrors,
  waits: true
})

/**
 * The oldest form of {@link KVM_CREATE_PIT2}, without flags.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_CREATE_PIT = Ioctl.none(KvmVm, Ioctl._IO(KVMIO, 0x64), {
  name: "KVM_CREATE_PIT",
  errors: createErrors,
  waits: true
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_CREATE_PIT2 = Ioctl.write(KvmVm, Ioctl._IOW(KVMIO, 0x77, kvm_pit_config), kvm_pit_config, {
  name: "KVM_CREATE_PIT2",
  errors: createErrors,
  waits: true
})

const lineErrors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "EIO", "ENOTTY", "ENXIO"])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_IRQ_LINE = Ioctl.write(KvmVm, Ioctl._IOW(KVMIO, 0x61, kvm_irq_level), kvm_irq_level, {
  name: "KVM_IRQ_LINE",
  errors: lineErrors
})

/**
 * {@link KVM_IRQ_LINE} that tells what became of the interrupt, over `irq`.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_IRQ_LINE_STATUS = Ioctl.writeRead(KvmVm, Ioctl._IOWR(KVMIO, 0x67, kvm_irq_level), kvm_irq_level, {
  name: "KVM_IRQ_LINE_STATUS",
  errors: lineErrors
})

const chipErrors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "EIO", "ENOMEM", "ENOTTY", "ENXIO"])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_IRQCHIP = Ioctl.writeRead(KvmVm, Ioctl._IOWR(KVMIO, 0x62, kvm_irqchip), kvm_irqchip, {
  name: "KVM_GET_IRQCHIP",
  errors: chipErrors
})

/**
 * Its number says that the kernel writes, but it reads.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_IRQCHIP = Ioctl.write(KvmVm, Ioctl._IOR(KVMIO, 0x63, kvm_irqchip), kvm_irqchip, {
  name: "KVM_SET_IRQCHIP",
  errors: chipErrors
})

const pitErrors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "EIO", "ENOTTY", "ENXIO"])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_PIT = Ioctl.read(KvmVm, Ioctl._IOWR(KVMIO, 0x65, kvm_pit_state), kvm_pit_state, {
  name: "KVM_GET_PIT",
  errors: pitErrors
})

/**
 * Its number says that the kernel writes, but it reads.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_PIT = Ioctl.write(KvmVm, Ioctl._IOR(KVMIO, 0x66, kvm_pit_state), kvm_pit_state, {
  name: "KVM_SET_PIT",
  errors: pitErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_PIT2 = Ioctl.read(KvmVm, Ioctl._IOR(KVMIO, 0x9f, kvm_pit_state2), kvm_pit_state2, {
  name: "KVM_GET_PIT2",
  errors: pitErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_PIT2 = Ioctl.write(KvmVm, Ioctl._IOW(KVMIO, 0xa0, kvm_pit_state2), kvm_pit_state2, {
  name: "KVM_SET_PIT2",
  errors: pitErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_REINJECT_CONTROL = Ioctl.write(KvmVm, Ioctl._IO(KVMIO, 0x71), kvm_reinject_control, {
  name: "KVM_REINJECT_CONTROL",
  errors: pitErrors
})

const routingErrors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "EIO", "ENOMEM", "ENOTTY"])

/**
 * Replaces all routes of a machine.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_GSI_ROUTING = Ioctl.make(KvmVm, Ioctl._IOW(KVMIO, 0x6a, kvm_irq_routing), {
  name: "KVM_SET_GSI_ROUTING",
  errors: routingErrors,
  waits: true,
  encode: (entries: ReadonlyArray<Struct.Encoded<typeof kvm_irq_routing_entry>>) => {
    const memory = new Uint8Array(kvm_irq_routing.size + entries.length * kvm_irq_routing_entry.size)
    kvm_irq_routing.encode({ nr: entries.length, flags: 0 }, memory)
    entries.forEach((entry, index) => {
      kvm_irq_routing_entry.encode(entry, memory, kvm_irq_routing.size + index * kvm_irq_routing_entry.size)
    })
    return memory
  },
  decode: (result) => result
})

const msiErrors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "EIO", "ENOMEM", "ENOTTY", "ENXIO", "EPERM"])

/**
 * Gives how many vCPUs the message was delivered to, 0 where the guest blocked it; `EPERM` where it names none.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_SIGNAL_MSI = Ioctl.write(KvmVm, Ioctl._IOW(KVMIO, 0xa5, kvm_msi), kvm_msi, {
  name: "KVM_SIGNAL_MSI",
  errors: msiErrors
})

const irqfdErrors = errorsOf("ioctl", [
  "EAGAIN",
  "EBADF",
  "EBUSY",
  "EFAULT",
  "EINVAL",
  "EIO",
  "EMFILE",
  "ENOMEM",
  "ENOTTY"
])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_IRQFD = Ioctl.write(KvmVm, Ioctl._IOW(KVMIO, 0x76, kvm_irqfd), kvm_irqfd, {
  name: "KVM_IRQFD",
  errors: irqfdErrors,
  waits: true
})

const ioeventfdErrors = errorsOf("ioctl", [
  "EBADF",
  "EEXIST",
  "EFAULT",
  "EINVAL",
  "EIO",
  "ENOENT",
  "ENOMEM",
  "ENOSPC",
  "ENOTTY"
])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_IOEVENTFD = Ioctl.write(KvmVm, Ioctl._IOW(KVMIO, 0x79, kvm_ioeventfd), kvm_ioeventfd, {
  name: "KVM_IOEVENTFD",
  errors: ioeventfdErrors,
  waits: true
})
