/**
 * Dirty rings: in each vCPU's own ring the kernel notes the pages that it writes. `Kvm.dirtyPages` reads them all; here
 * they are enabled, and read one by one.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { IoctlError, MmapError, StatxError } from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import { type MissingCapability, requires } from "./capability.ts"
import { KVM_DIRTY_GFN_F_DIRTY, KVM_DIRTY_GFN_F_RESET, KVM_DIRTY_LOG_PAGE_OFFSET } from "./constants.ts"
import { dirtyOf, pageSize, type Ring, ringEntries } from "./dirty-model.ts"
import { type EnableCapError, enableCap } from "./enable-cap.ts"
import { memoryOf } from "./memory-model.ts"
import { KVM_ENABLE_CAP, KVM_RESET_DIRTY_RINGS } from "./requests.ts"
import { kvm_dirty_gfn } from "./structs.ts"
import { stateOf, type Vcpu, VcpuState } from "./vcpu.ts"
import { stateOf as stateOfVm, type Vm } from "./vm.ts"

const entrySize = kvm_dirty_gfn.size

/**
 * Gives each vCPU a ring in place of the slots' bitmaps: of `entries` pages, a power of 2 of at least 256, as many as
 * `KVM_CAP_DIRTY_LOG_RING` divided by 16 tells unless said (65,536). It is to be called before the first vCPU is made, and
 * once: `EINVAL`.
 *
 * A ring that is nearly full ends a run with the exit `KVM_EXIT_DIRTY_RING_FULL`: collect it, with `Kvm.dirtyPages` or
 * {@link collectDirtyRing} and {@link resetDirtyRings}, and run on.
 *
 * Request `KVM_ENABLE_CAP`, capability `KVM_CAP_DIRTY_LOG_RING` or `KVM_CAP_DIRTY_LOG_RING_ACQ_REL`, since Linux 5.11 or
 * 6.2.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const recorded = Effect.gen(function* () {
 *   const vm = yield* Kvm.createVm()
 *   yield* Kvm.enableDirtyLogRing(vm, { entries: 4096 })
 *   const memory = yield* Kvm.addMemory(vm, { guestAddress: 0, size: 1 << 20, logDirtyPages: true })
 *   const vcpu = yield* Kvm.createVcpu(vm, 0)
 *   yield* Kvm.run(vcpu)
 *   return yield* Kvm.dirtyPages(vm, memory)
 * }).pipe(Effect.scoped, Effect.provide(Kvm.layer))
 * ```
 *
 * @category dirty pages
 * @since 0.1.0
 */
export const enableDirtyLogRing = (
  vm: Vm,
  options: { readonly entries?: number | undefined } = {}
): Effect.Effect<void, EnableCapError> =>
  Effect.gen(function* () {
    // Where the processor may reorder stores only the second one is there.
    const [capability, most] = yield* requires(vm, "KVM_CAP_DIRTY_LOG_RING_ACQ_REL").pipe(
      Effect.map((most) => ["KVM_CAP_DIRTY_LOG_RING_ACQ_REL", most] as const),
      Effect.catchTag("MissingCapability", () =>
        Effect.map(requires(vm, "KVM_CAP_DIRTY_LOG_RING"), (most) => ["KVM_CAP_DIRTY_LOG_RING", most] as const)
      )
    )
    const { entries = most / entrySize } = options
    const refuse = (detail: string) =>
      Effect.fail(KVM_ENABLE_CAP.errors.make(codes.EINVAL, undefined, undefined, detail))
    if (!Number.isSafeInteger(entries) || entries < 1 || entries * entrySize > most) {
      return yield* refuse(`entries: ${entries} is not from 1 to ${most / entrySize}`)
    }
    if (stateOfVm(vm).vcpus.all.size > 0) return yield* refuse("the machine has vCPUs already")
    yield* enableCap(vm, capability, [entries * entrySize])
  })

/**
 * A page that a vCPU wrote: counted from the start of its slot.
 *
 * @category models
 * @since 0.1.0
 */
export interface DirtyPage {
  readonly slot: number
  readonly offset: number
}

/**
 * @category errors
 * @since 0.1.0
 */
export type CollectDirtyRingError = MmapError | StatxError | Ioctl.RequestError<typeof KVM_RESET_DIRTY_RINGS>

const rings = new WeakMap<VcpuState, Deferred.Deferred<Ring, MmapError | StatxError>>()

/** The vCPU's ring, mapped when it is first needed and unmapped with the vCPU. What is left in it then is kept. */
const ringOf = (state: VcpuState): Effect.Effect<Ring, MmapError | StatxError> =>
  Effect.suspend(() => {
    const known = rings.get(state)
    if (known !== undefined) return Deferred.await(known)
    const mapped = Deferred.makeUnsafe<Ring, MmapError | StatxError>()
    rings.set(state, mapped)
    return File.mmap(state.file, {
      length: ringEntries(state.vm) * entrySize,
      shared: true,
      offset: KVM_DIRTY_LOG_PAGE_OFFSET * pageSize()
    }).pipe(
      Effect.map(({ buffer }): Ring => ({ words: new Int32Array(buffer), next: 0 })),
      Effect.tap((ring) =>
        Effect.addFinalizer(() =>
          // The thread that runs it ends after this: the guest must write no more before the ring is looked through.
          Effect.callback<void>((resume) => {
            state.stop?.()
            state.whenAtRest(() => {
              gather(state.vm, ring)
              resume(Effect.void)
            })
          })
        )
      ),
      Scope.provide(state.scope),
      Effect.onExit((exit) => {
        if (Exit.isFailure(exit)) rings.delete(state)
        return Deferred.done(mapped, exit)
      })
    )
  })

const wordsOf = entrySize / 4
const slotWord = kvm_dirty_gfn.fields.slot.offset / 4
const offsetWord = kvm_dirty_gfn.fields.offset.offset / 4

const entriesOf = ({ words }: Ring): number => words.length / wordsOf

const isDirty = ({ words }: Ring, entry: number): boolean =>
  (Atomics.load(words, entry * wordsOf) & KVM_DIRTY_GFN_F_DIRTY) !== 0

/** Tells the kernel that entries, so many from the ring's place on, were read, and goes on behind them. */
const handBack = (ring: Ring, count: number): void => {
  const entries = entriesOf(ring)
  for (let done = 0; done < count; done++) {
    Atomics.store(ring.words, ring.next * wordsOf, KVM_DIRTY_GFN_F_RESET)
    ring.next = (ring.next + 1) % entries
  }
}

const pageAt = ({ words }: Ring, entry: number): DirtyPage => {
  const at = entry * wordsOf
  const low = (words[at + offsetWord] ?? 0) >>> 0
  const high = (words[at + offsetWord + 1] ?? 0) >>> 0
  return { slot: (words[at + slotWord] ?? 0) >>> 0, offset: high * 2 ** 32 + low }
}

/** Takes what is in a ring, in its order. */
const collect = (ring: Ring): ReadonlyArray<DirtyPage> => {
  const entries = entriesOf(ring)
  const pages: Array<DirtyPage> = []
  // The kernel writes the flags last, and takes the entry back when they say so.
  while (pages.length < entries && isDirty(ring, ring.next)) {
    pages.push(pageAt(ring, ring.next))
    handBack(ring, 1)
  }
  return pages
}

/** Whether there are entries that do not lie where the next one should. */
const hasStrays = (ring: Ring): boolean => {
  for (let entry = 0; entry < entriesOf(ring); entry++) {
    // A guest that runs may have begun with the next one meanwhile.
    if (isDirty(ring, entry)) return !isDirty(ring, ring.next)
  }
  return false
}

/**
 * Takes what is in a ring into what is known of its machine.
 *
 * The kernel promises to stop a guest before its ring is full. Where it is slow to see that, as an emulated one is, it goes
 * on at the ring's start, over entries that nobody has read, and is out of step with its reader from then on.
 */
const gather = (vm: Vm, ring: Ring): void => {
  const dirty = dirtyOf(vm)
  const pages = collect(ring)
  for (const { offset, slot } of pages) dirty.add(slot, offset)
  dirty.handedBack += pages.length
  if (pages.length === entriesOf(ring) || hasStrays(ring)) dirty.overrun = true
}

/**
 * Takes the pages out of a vCPU's ring, in the order in which they were written. There is room for others in their place
 * after {@link resetDirtyRings}. `Kvm.dirtyPages` does both, for all vCPUs, and does not see what is taken here.
 *
 * The vCPU may run meanwhile. As many pages as the ring has entries mean that others may be lost: a kernel does not let it
 * come to that, but an emulated one may. `Kvm.dirtyPages` then says that all pages were written. Fails with `EINVAL` where
 * there is no ring.
 *
 * @category dirty pages
 * @since 0.1.0
 */
export const collectDirtyRing = (vcpu: Vcpu): Effect.Effect<ReadonlyArray<DirtyPage>, CollectDirtyRingError> =>
  Effect.suspend((): Effect.Effect<ReadonlyArray<DirtyPage>, CollectDirtyRingError> => {
    const state = stateOf(vcpu)
    const fail = (code: number, detail: string) =>
      Effect.fail(KVM_RESET_DIRTY_RINGS.errors.make(code, undefined, undefined, detail))
    if (state.closed) return fail(codes.EBADF, "the vCPU is closed")
    if (ringEntries(state.vm) === 0) return fail(codes.EINVAL, "dirty rings are not enabled")
    return Effect.uninterruptible(
      Effect.map(ringOf(state), (ring) => {
        const pages = collect(ring)
        dirtyOf(state.vm).handedBack += pages.length
        return pages
      })
    )
  })

/**
 * Gives entries of the rings that were collected back to the kernel, which tells of those pages anew when they are next
 * written; returns how many. Copy what the pages hold after this, not before.
 *
 * Request `KVM_RESET_DIRTY_RINGS`, since Linux 5.11.
 *
 * @category dirty pages
 * @since 0.1.0
 */
export const resetDirtyRings = (
  vm: Vm
): Effect.Effect<number, Ioctl.RequestError<typeof KVM_RESET_DIRTY_RINGS> | MissingCapability | IoctlError> =>
  Effect.andThen(
    Effect.catchTag(requires(vm, "KVM_CAP_DIRTY_LOG_RING_ACQ_REL"), "MissingCapability", () =>
      requires(vm, "KVM_CAP_DIRTY_LOG_RING")
    ),
    reset(vm)
  )

const reset = (vm: Vm): Effect.Effect<number, Ioctl.RequestError<typeof KVM_RESET_DIRTY_RINGS>> =>
  // A signal that this thread got stops it early, and what it did until then is done.
  File.ioctl(vm.file, KVM_RESET_DIRTY_RINGS).pipe(
    Effect.tapErrorTag("EINTR", () =>
      Effect.sync(() => {
        dirtyOf(vm).handedBack = 0
      })
    ),
    Effect.retry({ while: ({ _tag }) => _tag === "EINTR" }),
    Effect.map((count) => {
      const dirty = dirtyOf(vm)
      if (count < dirty.handedBack) dirty.overrun = true
      dirty.handedBack = 0
      return count
    })
  )

/** Collects all rings of a machine. */
export const collectAll = (vm: Vm): Effect.Effect<void, CollectDirtyRingError> =>
  Effect.suspend(() => {
    const machine = stateOfVm(vm)
    const states = [...machine.vcpus.all].flatMap(({ value }) =>
      value instanceof VcpuState && !value.closed ? [value] : []
    )
    return Effect.andThen(
      Effect.forEach(
        states,
        (state) =>
          Effect.map(ringOf(state), (ring) => {
            gather(state.vm, ring)
          }),
        { discard: true }
      ),
      Effect.map(reset(vm), () => {
        const dirty = dirtyOf(vm)
        if (!dirty.overrun) return
        // Entries may be lost that nobody has read: any page may be one of theirs, now and from now on.
        for (const [slot, { logged, size }] of memoryOf(vm).slots) {
          if (logged) dirty.addAll(slot, Number(size) / pageSize())
        }
      })
    )
  })
