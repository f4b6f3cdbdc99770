/**
 * Which pages a guest has written: the bitmap that the kernel keeps of a slot (here), or the rings that it keeps of each
 * vCPU (`dirty-ring.ts`), and either as ranges of guest addresses.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type { IoctlError, MmapError } from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import * as Mapping from "../Mapping.ts"
import * as Syscall from "../Syscall.ts"
import { type MissingCapability, requires } from "./capability.ts"
import { KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 } from "./constants.ts"
import { dirtyOf, pageSize, type Ranges, rangesOf, ringEntries } from "./dirty-model.ts"
import { type CollectDirtyRingError, collectAll } from "./dirty-ring.ts"
import { type GuestMemory, memoryOf, stateOfMemory } from "./memory-model.ts"
import { KVM_CLEAR_DIRTY_LOG, KVM_GET_DIRTY_LOG } from "./requests.ts"
import { stateOf, type Vm } from "./vm.ts"

/**
 * @category errors
 * @since 0.1.0
 */
export type DirtyLogError = Ioctl.RequestError<typeof KVM_GET_DIRTY_LOG>

const refuse = (code: number, detail: string) =>
  Effect.fail(KVM_GET_DIRTY_LOG.errors.make(code, undefined, undefined, detail))

const isLength = (length: number): boolean => Number.isSafeInteger(length) && length >= 0

/** The bytes that the kernel moves for so many pages: whole longs. */
const bitmapLength = (pages: number): number => Math.ceil(pages / 64) * 8

/** The bitmap of the largest slot that the kernel takes. */
const largestBitmap = bitmapLength(2 ** 31)

const getLog = (vm: Vm, slot: number, bitmap: Uint8Array): Effect.Effect<Uint8Array, DirtyLogError> =>
  Effect.suspend(() =>
    Effect.map(File.ioctl(vm.file, KVM_GET_DIRTY_LOG, { slot, dirty_bitmap: Syscall.addressOf(bitmap) }), () => bitmap)
  )

/**
 * Which pages of a slot have been written since this was last asked: a bit for each page, from the lowest bit of the first
 * byte on, in whole 8 bytes. `memorySize` is the slot's in bytes. `Kvm.dirtyPages` gives the same as ranges.
 *
 * The kernel forgets with the answer what it says, unless `Kvm.enableManualDirtyLogProtect` was called: then
 * {@link clearDirtyLog} makes it.
 *
 * Fails with `ENOENT` where the slot is not recorded (`logDirtyPages`), with `ENXIO` where rings are used in its place.
 *
 * Request `KVM_GET_DIRTY_LOG`.
 *
 * @category dirty pages
 * @since 0.1.0
 */
export const getDirtyLog = (
  vm: Vm,
  slot: number,
  memorySize: number
): Effect.Effect<Uint8Array, DirtyLogError | MmapError> =>
  Effect.suspend(() => {
    if (!isLength(memorySize)) return refuse(codes.EINVAL, `memorySize: ${memorySize} is no length`)
    const length = bitmapLength(memorySize / pageSize())
    const known = memoryOf(vm).slots.get(slot)
    if (known !== undefined) {
      // The kernel writes as much as the slot is large, whatever is said of it here.
      const room = Math.max(length, bitmapLength(Number(known.size) / pageSize()))
      return Effect.map(getLog(vm, slot, new Uint8Array(new ArrayBuffer(room))), (bitmap) => bitmap.subarray(0, length))
    }
    // A slot that nobody here knows the size of: there is room for the largest, which costs what the kernel writes.
    return Effect.scoped(
      Effect.flatMap(Mapping.anonymous({ length: largestBitmap, noReserve: true }), ({ bytes }) =>
        Effect.map(getLog(vm, slot, bytes), () => bytes.slice(0, length))
      )
    )
  })

/**
 * @category errors
 * @since 0.1.0
 */
export type ClearDirtyLogError = Ioctl.RequestError<typeof KVM_CLEAR_DIRTY_LOG> | MissingCapability | IoctlError

/**
 * Says of pages that they are clean again, after `Kvm.enableManualDirtyLogProtect`, so that the kernel tells when they are next written: those of `num_pages` from
 * `first_page` on whose bit is set in `dirty_bitmap`, whose first bit is that of `first_page`. Copy what the pages hold
 * after this, not before.
 *
 * `first_page` is a multiple of 64, and `num_pages` too unless it goes to the slot's end.
 *
 * Request `KVM_CLEAR_DIRTY_LOG`, capability `KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2`, since Linux 5.0.
 *
 * @category dirty pages
 * @since 0.1.0
 */
export const clearDirtyLog = (
  vm: Vm,
  range: {
    readonly slot: number
    readonly num_pages: number
    readonly first_page: bigint
    readonly dirty_bitmap: Uint8Array
  }
): Effect.Effect<void, ClearDirtyLogError> =>
  Effect.andThen(
    requires(vm, "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2"),
    Effect.suspend(() => {
      const { dirty_bitmap, first_page, num_pages, slot } = range
      const fail = (detail: string) =>
        Effect.fail(KVM_CLEAR_DIRTY_LOG.errors.make(codes.EINVAL, undefined, undefined, detail))
      if (!isLength(num_pages)) return fail(`num_pages: ${num_pages} is no number of pages`)
      if (dirty_bitmap.length * 8 < num_pages) {
        return fail(`dirty_bitmap: ${dirty_bitmap.length} bytes have no bits for ${num_pages} pages`)
      }
      // The kernel reads whole longs.
      const length = bitmapLength(num_pages)
      const bitmap = new Uint8Array(new ArrayBuffer(length))
      bitmap.set(dirty_bitmap.subarray(0, length))
      const address = Syscall.addressOf(bitmap)
      return Effect.map(
        File.ioctl(vm.file, KVM_CLEAR_DIRTY_LOG, { slot, num_pages, first_page, dirty_bitmap: address }),
        () => {
          // The memory must outlive the call, and the call knows only its address.
          bitmap.fill(0)
        }
      )
    })
  )

/**
 * Pages of a guest that were written: `size` bytes, a multiple of the page size, from `guestAddress` on.
 *
 * @category models
 * @since 0.1.0
 */
export interface DirtyRange {
  readonly guestAddress: bigint
  /** In bytes. */
  readonly size: number
}

/**
 * @category errors
 * @since 0.1.0
 */
export type DirtyPagesError = DirtyLogError | ClearDirtyLogError | CollectDirtyRingError | MmapError

/**
 * Which pages of a memory its guest has written since this was last asked, as ranges in the order of their addresses; the
 * memory is to be added with `logDirtyPages`. Only the guest's writes count, not the host's.
 *
 * The bitmap of its slot tells, or where `Kvm.enableDirtyLogRing` was called, the vCPUs' rings. What the pages hold is to be
 * copied afterwards: a page that is written meanwhile is in the next answer too.
 *
 * **Details**
 *
 * What a vCPU has written since it last stopped may not be told before it stops again: stop the guest before the last
 * round of a copy. Where a ring was overrun, which only an emulated kernel lets happen, all pages count as written from then
 * on. An answer is complete even where its fiber is interrupted in the middle, so one that nobody gets is
 * lost.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // copies of all that changed since the last time
 * const changes = (vm: Kvm.Vm, memory: Kvm.GuestMemory) =>
 *   Effect.flatMap(Kvm.dirtyPages(vm, memory), (ranges) =>
 *     Effect.forEach(ranges, ({ guestAddress, size }) => Kvm.readMemory(memory, guestAddress, size))
 *   )
 * ```
 *
 * @category dirty pages
 * @since 0.1.0
 */
export const dirtyPages = (vm: Vm, memory: GuestMemory): Effect.Effect<ReadonlyArray<DirtyRange>, DirtyPagesError> =>
  Effect.uninterruptible(
    Effect.suspend((): Effect.Effect<ReadonlyArray<DirtyRange>, DirtyPagesError> => {
      const state = stateOfMemory(memory)
      const slot = memoryOf(vm).slots.get(state.slot)
      if (slot?.memory !== state) return refuse(codes.ENOENT, "memory: it is released, or another machine's")
      if (!slot.logged) return refuse(codes.ENOENT, "memory: it is not recorded: logDirtyPages, or setDirtyLogging")
      const dirty = dirtyOf(vm)
      const addressed = (ranges: Ranges): ReadonlyArray<DirtyRange> =>
        ranges.map(([offset, size]) => ({ guestAddress: state.guestAddress + BigInt(offset), size }))
      if (ringEntries(vm) > 0) {
        return Effect.map(collectAll(vm), () => addressed(rangesOf(dirty.take(state.slot), state.size)))
      }
      return Effect.flatMap(getDirtyLog(vm, state.slot, state.size), (bitmap) => {
        const ranges = addressed(rangesOf(bitmap, state.size))
        // Else the kernel has forgotten them with its answer, and some may be written again by now.
        const [how = 0n] = stateOf(vm).enabled.get(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)?.args ?? []
        if (how === 0n || ranges.length === 0) return Effect.succeed(ranges)
        return Effect.as(
          clearDirtyLog(vm, {
            slot: state.slot,
            num_pages: state.size / pageSize(),
            first_page: 0n,
            dirty_bitmap: bitmap
          }),
          ranges
        )
      })
    })
  )

/**
 * {@link dirtyPages} again and again: each range as it is found, the first at once, then after each `interval` (100 ms), or
 * as `schedule` says. It ends with the schedule, and fails with `ENOENT` when the memory is released.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // what a machine's first second writes, in bytes
 * const written = (vm: Kvm.Vm, memory: Kvm.GuestMemory) =>
 *   Kvm.dirtyStream(vm, memory, { interval: "10 millis" }).pipe(
 *     Stream.interruptWhen(Effect.sleep("1 second")),
 *     Stream.runFold(() => 0, (sum, { size }) => sum + size)
 *   )
 * ```
 *
 * @category dirty pages
 * @since 0.1.0
 */
export const dirtyStream = (
  vm: Vm,
  memory: GuestMemory,
  options: {
    readonly interval?: Duration.Input | undefined
    readonly schedule?: Schedule.Schedule<unknown, ReadonlyArray<DirtyRange>> | undefined
  } = {}
): Stream.Stream<DirtyRange, DirtyPagesError> =>
  Stream.flattenIterable(
    Stream.fromEffectSchedule(
      dirtyPages(vm, memory),
      options.schedule ?? Schedule.spaced(options.interval ?? "100 millis")
    )
  )
