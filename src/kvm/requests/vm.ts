/**
 * Requests to a machine, but for those about its memory and its interrupts.
 *
 * Those marked as waiting change what vCPUs look at without a lock, and wait until none looks at the old: some
 * milliseconds on a busy machine.
 */
import { errorsOf } from "../../errors/registry.ts"
import * as Ioctl from "../../Ioctl.ts"
import { keep } from "../../ioctl/request.ts"
import * as Struct from "../../Struct.ts"
import * as Syscall from "../../Syscall.ts"
import { KVM_MSR_FILTER_MAX_RANGES, KVMIO } from "../constants.ts"
import {
  kvm_clock_data,
  kvm_coalesced_mmio_zone,
  kvm_create_device,
  kvm_msr_filter,
  type kvm_msr_filter_range,
  kvm_pmu_event_filter
} from "../structs/vm.ts"
import { KvmVm } from "./devices.ts"

/**
 * {@link KVM_CHECK_EXTENSION} asked of a machine, whose answer may differ from the system's.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_CHECK_EXTENSION_VM = Ioctl.value(KvmVm, Ioctl._IO(KVMIO, 0x03), { name: "KVM_CHECK_EXTENSION" })

const createVcpuErrors = errorsOf("ioctl", [
  "EBADF",
  "EBUSY",
  "EEXIST",
  "EFAULT",
  "EINVAL",
  "EIO",
  "EMFILE",
  "ENFILE",
  "ENOMEM",
  "ENOTTY",
  "EPERM"
])

/**
 * Takes the vCPU's identifier, gives a descriptor.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_CREATE_VCPU = Ioctl.value(KvmVm, Ioctl._IO(KVMIO, 0x41), {
  name: "KVM_CREATE_VCPU",
  errors: createVcpuErrors
})

const addressErrors = errorsOf("ioctl", ["EBADF", "EEXIST", "EFAULT", "EINVAL", "EIO", "ENOMEM", "ENOTTY"])

/**
 * Takes a guest address, of three pages that the host uses.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_TSS_ADDR = Ioctl.value(KvmVm, Ioctl._IO(KVMIO, 0x47), {
  name: "KVM_SET_TSS_ADDR",
  errors: addressErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_IDENTITY_MAP_ADDR = Ioctl.write(KvmVm, Ioctl._IOW(KVMIO, 0x48, Struct.u64), Struct.u64, {
  name: "KVM_SET_IDENTITY_MAP_ADDR",
  errors: addressErrors
})

const bootErrors = errorsOf("ioctl", ["EBADF", "EBUSY", "EFAULT", "EINVAL", "EIO", "ENOTTY"])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_BOOT_CPU_ID = Ioctl.value(KvmVm, Ioctl._IO(KVMIO, 0x78), {
  name: "KVM_SET_BOOT_CPU_ID",
  errors: bootErrors
})

const mmuErrors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "EIO", "ENOMEM", "ENOTTY"])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_NR_MMU_PAGES = Ioctl.value(KvmVm, Ioctl._IO(KVMIO, 0x44), {
  name: "KVM_SET_NR_MMU_PAGES",
  errors: mmuErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_NR_MMU_PAGES = Ioctl.none(KvmVm, Ioctl._IO(KVMIO, 0x45), {
  name: "KVM_GET_NR_MMU_PAGES",
  errors: mmuErrors
})

const clockErrors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "EIO", "ENOTTY"])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_GET_CLOCK = Ioctl.read(KvmVm, Ioctl._IOR(KVMIO, 0x7c, kvm_clock_data), kvm_clock_data, {
  name: "KVM_GET_CLOCK",
  errors: clockErrors
})

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_CLOCK = Ioctl.write(KvmVm, Ioctl._IOW(KVMIO, 0x7b, kvm_clock_data), kvm_clock_data, {
  name: "KVM_SET_CLOCK",
  errors: clockErrors
})

const zoneErrors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "EIO", "ENOMEM", "ENOSPC", "ENOTTY", "ENXIO"])

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_REGISTER_COALESCED_MMIO = Ioctl.write(
  KvmVm,
  Ioctl._IOW(KVMIO, 0x67, kvm_coalesced_mmio_zone),
  kvm_coalesced_mmio_zone,
  { name: "KVM_REGISTER_COALESCED_MMIO", errors: zoneErrors, waits: true }
)

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_UNREGISTER_COALESCED_MMIO = Ioctl.write(
  KvmVm,
  Ioctl._IOW(KVMIO, 0x68, kvm_coalesced_mmio_zone),
  kvm_coalesced_mmio_zone,
  { name: "KVM_UNREGISTER_COALESCED_MMIO", errors: zoneErrors, waits: true }
)

const deviceErrors = errorsOf("ioctl", [
  "EBADF",
  "EBUSY",
  "EEXIST",
  "EFAULT",
  "EINVAL",
  "EIO",
  "EMFILE",
  "ENFILE",
  "ENODEV",
  "ENOMEM",
  "ENOTTY",
  "EPERM"
])

/**
 * Gives a descriptor, as `fd`.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_CREATE_DEVICE = Ioctl.writeRead(
  KvmVm,
  Ioctl._IOWR(KVMIO, 0xe0, kvm_create_device),
  kvm_create_device,
  { name: "KVM_CREATE_DEVICE", errors: deviceErrors }
)

const filterErrors = errorsOf("ioctl", ["E2BIG", "EBADF", "EFAULT", "EINVAL", "EIO", "ENOMEM", "ENOTTY"])

/**
 * A range of a filter with its bitmap, of a bit for each of `nmsrs` registers: 1 allows what `flags` names.
 *
 * @category structures
 * @since 0.1.0
 */
export interface MsrFilterRange {
  /** `KVM_MSR_FILTER_READ`, `KVM_MSR_FILTER_WRITE` or both. */
  readonly flags: number
  /** How many registers: at most 12,288. */
  readonly nmsrs: number
  /** The first of them. */
  readonly base: number
  /** The lowest bit of the first byte is that of `base`. */
  readonly bitmap: Uint8Array
}

const noRange: kvm_msr_filter_range = { flags: 0, nmsrs: 0, base: 0, bitmap: 0n }

/**
 * Takes at most `KVM_MSR_FILTER_MAX_RANGES` ranges.
 *
 * @category requests
 * @since 0.1.0
 */
export const KVM_X86_SET_MSR_FILTER = Ioctl.make(KvmVm, Ioctl._IOW(KVMIO, 0xc6, kvm_msr_filter), {
  name: "KVM_X86_SET_MSR_FILTER",
  errors: filterErrors,
  waits: true,
  encode: ({ flags, ranges }: { readonly flags: number; readonly ranges: ReadonlyArray<MsrFilterRange> }) => {
    if (ranges.length > KVM_MSR_FILTER_MAX_RANGES) {
      throw new RangeError(`ranges: expected at most ${KVM_MSR_FILTER_MAX_RANGES}, got ${ranges.length}`)
    }
    const bitmaps = ranges.map(({ bitmap, nmsrs }, index) => {
      const length = Math.ceil(nmsrs / 8)
      if (bitmap.length < length) {
        throw new RangeError(`ranges[${index}].bitmap: ${nmsrs} registers need ${length} bytes, got ${bitmap.length}`)
      }
      // The kernel reads whole words.
      const whole = new Uint8Array(Math.max(8, Math.ceil(length / 8) * 8))
      whole.set(bitmap.subarray(0, length))
      return whole
    })
    const encoded = ranges.map(({ base, flags, nmsrs }, index) => {
      const bitmap = bitmaps[index]
      return { flags, nmsrs, base, bitmap: bitmap === undefined ? 0n : Syscall.addressOf(bitmap) }
    })
    const none = Array.from({ length: KVM_MSR_FILTER_MAX_RANGES - ranges.length }, () => noRange)
    return keep(kvm_msr_filter.encode({ flags, ranges: [...encoded, ...none] }), bitmaps)
  },
  decode: (result) => result
})

/**
 * Which performance events a guest may count.
 *
 * @category structures
 * @since 0.1.0
 */
export interface PmuEventFilter {
  /** `KVM_PMU_EVENT_ALLOW` or `KVM_PMU_EVENT_DENY`: what is done with the events of the list. */
  readonly action: number
  /** A bit for each fixed counter, which is allowed or denied likewise. 0. */
  readonly fixed_counter_bitmap?: number | undefined
  /** `KVM_PMU_EVENT_FLAG_MASKED_EVENTS`, where the events are masked entries. 0. */
  readonly flags?: number | undefined
  /** Event select and unit mask of each. */
  readonly events: ReadonlyArray<bigint>
}

/**
 * @category requests
 * @since 0.1.0
 */
export const KVM_SET_PMU_EVENT_FILTER = Ioctl.make(KvmVm, Ioctl._IOW(KVMIO, 0xb2, kvm_pmu_event_filter), {
  name: "KVM_SET_PMU_EVENT_FILTER",
  errors: filterErrors,
  waits: true,
  encode: ({ action, events, fixed_counter_bitmap = 0, flags = 0 }: PmuEventFilter) => {
    const list = Struct.array(Struct.u64, events.length)
    const memory = new Uint8Array(kvm_pmu_event_filter.size + list.size)
    kvm_pmu_event_filter.encode({ action, nevents: events.length, fixed_counter_bitmap, flags }, memory)
    list.set(new DataView(memory.buffer), kvm_pmu_event_filter.size, events, "events")
    return memory
  },
  decode: (result) => result
})
