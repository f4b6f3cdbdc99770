/** What is set of a machine as a whole, mostly before it has vCPUs. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Ioctl from "../Ioctl.ts"
import { type Asked, ask, checked, u64 } from "./asking.ts"
import { systemRequires } from "./capability.ts"
import {
  KVM_GET_NR_MMU_PAGES,
  KVM_SET_BOOT_CPU_ID,
  KVM_SET_IDENTITY_MAP_ADDR,
  KVM_SET_NR_MMU_PAGES,
  KVM_SET_PMU_EVENT_FILTER,
  KVM_SET_TSS_ADDR,
  KVM_X86_SET_MSR_FILTER,
  type MsrFilterRange,
  type PmuEventFilter
} from "./requests.ts"
import type { Kvm } from "./system.ts"
import { type CreateVmError, createVm, type Vm } from "./vm.ts"

/**
 * Creates a virtual machine of a type, for as long as the scope is open. On x86_64 one of `KVM_X86_*_VM`, of which
 * `KVM_CAP_VM_TYPES` tells those that there are (bit by number); on aarch64 the size of guest addresses in bits.
 *
 * A type that this kernel does not offer is `EINVAL`.
 *
 * Request `KVM_CREATE_VM`, capability `KVM_CAP_VM_TYPES` on x86_64 for types other than the usual one.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const machine = Kvm.createVmWithType(Kvm.KVM_X86_SW_PROTECTED_VM).pipe(
 *   Effect.catchTag("MissingCapability", () => Kvm.createVm())
 * )
 * ```
 *
 * @category machines
 * @since 0.1.0
 */
export const createVmWithType = (type: number | bigint): Effect.Effect<Vm, Asked<CreateVmError>, Kvm | Scope.Scope> =>
  process.arch === "x64" && type !== 0 && type !== 0n
    ? Effect.flatMap(systemRequires("KVM_CAP_VM_TYPES"), () => createVm({ type }))
    : createVm({ type })

/**
 * @category errors
 * @since 0.1.0
 */
export type SetAddressError = Asked<Ioctl.RequestError<typeof KVM_SET_TSS_ADDR>>

/**
 * Names three pages of guest addresses, below 4 GiB and without memory, that Intel hosts use to run real mode.
 *
 * Request `KVM_SET_TSS_ADDR`, capability `KVM_CAP_SET_TSS_ADDR`.
 *
 * @category machines
 * @since 0.1.0
 */
export const setTssAddress = (vm: Vm, address: number | bigint): Effect.Effect<void, SetAddressError> =>
  Effect.asVoid(ask(vm, "KVM_CAP_SET_TSS_ADDR", KVM_SET_TSS_ADDR, address))

/**
 * Names a page of guest addresses, below 4 GiB and without memory, that Intel hosts use to run real mode; 0 is the usual
 * one. To be set before the vCPUs: `EINVAL` after.
 *
 * Request `KVM_SET_IDENTITY_MAP_ADDR`, capability `KVM_CAP_SET_IDENTITY_MAP_ADDR`.
 *
 * @category machines
 * @since 0.1.0
 */
export const setIdentityMapAddress = (vm: Vm, address: number | bigint): Effect.Effect<void, SetAddressError> =>
  checked(
    KVM_SET_IDENTITY_MAP_ADDR,
    () => u64("address", address),
    (addr) => Effect.asVoid(ask(vm, "KVM_CAP_SET_IDENTITY_MAP_ADDR", KVM_SET_IDENTITY_MAP_ADDR, addr))
  )

/**
 * @category errors
 * @since 0.1.0
 */
export type SetBootCpuIdError = Asked<Ioctl.RequestError<typeof KVM_SET_BOOT_CPU_ID>>

/**
 * Says which vCPU is the one that starts the machine: 0 unless said. To be set before the vCPUs: `EBUSY` after.
 *
 * Request `KVM_SET_BOOT_CPU_ID`, capability `KVM_CAP_SET_BOOT_CPU_ID`.
 *
 * @category machines
 * @since 0.1.0
 */
export const setBootCpuId = (vm: Vm, id: number): Effect.Effect<void, SetBootCpuIdError> =>
  Effect.asVoid(ask(vm, "KVM_CAP_SET_BOOT_CPU_ID", KVM_SET_BOOT_CPU_ID, id))

/**
 * @category errors
 * @since 0.1.0
 */
export type MmuPagesError = Asked<Ioctl.RequestError<typeof KVM_SET_NR_MMU_PAGES>>

/**
 * How many pages the kernel takes for a machine's shadow page tables.
 *
 * Request `KVM_GET_NR_MMU_PAGES`, capability `KVM_CAP_MMU_SHADOW_CACHE_CONTROL`. Younger kernels do not know it any more,
 * and say `ENOTTY`.
 *
 * @category machines
 * @since 0.1.0
 */
export const getNrMmuPages = (vm: Vm): Effect.Effect<number, MmuPagesError> =>
  ask(vm, "KVM_CAP_MMU_SHADOW_CACHE_CONTROL", KVM_GET_NR_MMU_PAGES)

/**
 * Limits the pages that the kernel takes for a machine's shadow page tables: 20 at least.
 *
 * Request `KVM_SET_NR_MMU_PAGES`, capability `KVM_CAP_MMU_SHADOW_CACHE_CONTROL`.
 *
 * @category machines
 * @since 0.1.0
 */
export const setNrMmuPages = (vm: Vm, pages: number): Effect.Effect<void, MmuPagesError> =>
  Effect.asVoid(ask(vm, "KVM_CAP_MMU_SHADOW_CACHE_CONTROL", KVM_SET_NR_MMU_PAGES, pages))

// ---------------------------------------------------------------------------------------------------------------------
// filters
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What setting a filter fails with: `E2BIG` for too many events, `EINVAL` for what is no filter.
 *
 * @category errors
 * @since 0.1.0
 */
export type FilterError = Asked<Ioctl.RequestError<typeof KVM_X86_SET_MSR_FILTER>>

/**
 * Says which model-specific registers a guest may use: those of the ranges as their bitmaps tell, all others as `flags`
 * tells, `KVM_MSR_FILTER_DEFAULT_ALLOW` or `KVM_MSR_FILTER_DEFAULT_DENY`. What is denied is an exception in the guest, or
 * an exit where {@link enableMsrExits} asked for it. No ranges at all: the filter is taken away.
 *
 * Can wait, some milliseconds; not interruptible.
 *
 * Request `KVM_X86_SET_MSR_FILTER`, capability `KVM_CAP_X86_MSR_FILTER`.
 *
 * @example
 * ```ts
 * import { Kvm } from "effect-linux"
 *
 * // the guest may read and write all registers but 0x10, the time stamp counter, which it may only read
 * const filter = (vm: Kvm.Vm) =>
 *   Kvm.setMsrFilter(vm, {
 *     flags: Kvm.KVM_MSR_FILTER_DEFAULT_ALLOW,
 *     ranges: [{ flags: Kvm.KVM_MSR_FILTER_WRITE, base: 0x10, nmsrs: 1, bitmap: Kvm.msrBitmap(0x10, 1, []) }]
 *   })
 * ```
 *
 * @category machines
 * @since 0.1.0
 */
export const setMsrFilter = (
  vm: Vm,
  filter: { readonly flags: number; readonly ranges: ReadonlyArray<MsrFilterRange> }
): Effect.Effect<void, FilterError> => Effect.asVoid(ask(vm, "KVM_CAP_X86_MSR_FILTER", KVM_X86_SET_MSR_FILTER, filter))

/**
 * The bitmap of a filter's range of `nmsrs` registers from `base` on, which allows these. Throws a `RangeError` for one
 * that is not in the range.
 *
 * @category machines
 * @since 0.1.0
 */
export const msrBitmap = (base: number, nmsrs: number, allowed: Iterable<number>): Uint8Array => {
  const bitmap = new Uint8Array(Math.ceil(nmsrs / 8))
  for (const index of allowed) {
    const bit = index - base
    if (!(Number.isInteger(bit) && bit >= 0 && bit < nmsrs)) {
      throw new RangeError(`allowed: ${index} is none of the ${nmsrs} registers from ${base} on`)
    }
    bitmap[bit >> 3] = (bitmap[bit >> 3] ?? 0) | (1 << (bit & 7))
  }
  return bitmap
}

/**
 * Says which performance events a guest may count. To be set again for each change: the last one holds.
 *
 * Can wait, some milliseconds; not interruptible.
 *
 * Request `KVM_SET_PMU_EVENT_FILTER`, capability `KVM_CAP_PMU_EVENT_FILTER`.
 *
 * @category machines
 * @since 0.1.0
 */
export const setPmuEventFilter = (vm: Vm, filter: PmuEventFilter): Effect.Effect<void, FilterError> =>
  Effect.uninterruptible(Effect.asVoid(ask(vm, "KVM_CAP_PMU_EVENT_FILTER", KVM_SET_PMU_EVENT_FILTER, filter)))
