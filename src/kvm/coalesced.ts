/** Writes of a guest that are collected, without an exit each, and read together. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { codes } from "../errors/errnos.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import { type Asked, checked, u64 } from "./asking.ts"
import { requires } from "./capability.ts"
import { KVM_REGISTER_COALESCED_MMIO, KVM_UNREGISTER_COALESCED_MMIO } from "./requests.ts"
import { kvm_coalesced_mmio, kvm_coalesced_mmio_ring } from "./structs.ts"
import { refuse, stateOf, type Vcpu, type VcpuState } from "./vcpu.ts"
import type { Vm } from "./vm.ts"
import * as wire from "./wire.ts"

/**
 * Addresses, or with `pio` I/O ports, writes to which are collected.
 *
 * @category models
 * @since 0.1.0
 */
export interface CoalescedZone {
  readonly addr: number | bigint
  /** In bytes, or ports. */
  readonly size: number
  /** Needs `KVM_CAP_COALESCED_PIO`. False. */
  readonly pio?: boolean | undefined
}

/**
 * A write that was collected: `data` is of 1 to 8 bytes.
 *
 * @category models
 * @since 0.1.0
 */
export interface CoalescedWrite {
  readonly phys_addr: bigint
  readonly pio: boolean
  readonly data: Uint8Array
}

/**
 * What collecting writes fails with: `ENOSPC` where there are too many zones.
 *
 * @category errors
 * @since 0.1.0
 */
export type CoalescedError = Asked<Ioctl.RequestError<typeof KVM_REGISTER_COALESCED_MMIO>>

const describe = ({ addr, pio = false, size }: CoalescedZone) => ({ addr: u64("addr", addr), size, pio: pio ? 1 : 0 })

type Described = ReturnType<typeof describe>

const keyOf = ({ addr, pio, size }: Described): ReadonlyArray<unknown> => ["coalesced", addr, size, pio]

const needed = (vm: Vm, { pio }: Described) =>
  requires(vm, pio === 0 ? "KVM_CAP_COALESCED_MMIO" : "KVM_CAP_COALESCED_PIO")

/**
 * Collects a guest's writes to a zone, for as long as the scope is open, and at most as long as the machine is. The guest
 * does not stop for them; they are read with {@link coalescedMmioReadAll}, usually after an exit for another reason. A
 * write for which there is no more room (170 on x86_64) is an exit like any other.
 *
 * For writes whose only effect is seen later: to a frame buffer, an index register.
 *
 * Can wait, some milliseconds; not interruptible.
 *
 * Request `KVM_REGISTER_COALESCED_MMIO`, capability `KVM_CAP_COALESCED_MMIO`; for ports `KVM_CAP_COALESCED_PIO`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const drawn = (vm: Kvm.Vm, vcpu: Kvm.Vcpu) =>
 *   Effect.gen(function* () {
 *     yield* Kvm.registerCoalescedMmio(vm, { addr: 0xa0000, size: 0x10000 })
 *     yield* Kvm.run(vcpu)
 *     return yield* Kvm.coalescedMmioReadAll(vcpu)
 *   })
 * ```
 *
 * @category interrupts
 * @since 0.1.0
 */
export const registerCoalescedMmio = (vm: Vm, zone: CoalescedZone): Effect.Effect<void, CoalescedError, Scope.Scope> =>
  checked(
    KVM_REGISTER_COALESCED_MMIO,
    () => describe(zone),
    (described) =>
      Effect.asVoid(
        wire.acquire(
          vm,
          keyOf(described),
          Effect.flatMap(needed(vm, described), () => File.ioctl(vm.file, KVM_REGISTER_COALESCED_MMIO, described)),
          () => File.ioctl(vm.file, KVM_UNREGISTER_COALESCED_MMIO, described),
          () => KVM_REGISTER_COALESCED_MMIO.errors.make(codes.EBADF, undefined, undefined, "the machine is closed")
        )
      )
  )

/**
 * Ends what {@link registerCoalescedMmio} did with the same zone, before its scope does. The kernel ends all zones that
 * lie within this one.
 *
 * Request `KVM_UNREGISTER_COALESCED_MMIO`, capability `KVM_CAP_COALESCED_MMIO`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const unregisterCoalescedMmio = (vm: Vm, zone: CoalescedZone): Effect.Effect<void, CoalescedError> =>
  checked(
    KVM_REGISTER_COALESCED_MMIO,
    () => describe(zone),
    (described) =>
      wire.release(
        vm,
        keyOf(described),
        Effect.flatMap(needed(vm, described), () =>
          Effect.asVoid(File.ioctl(vm.file, KVM_UNREGISTER_COALESCED_MMIO, described))
        )
      )
  )

// ---------------------------------------------------------------------------------------------------------------------
// the ring
// ---------------------------------------------------------------------------------------------------------------------

const first = kvm_coalesced_mmio_ring.fields.first.offset / 4
const last = kvm_coalesced_mmio_ring.fields.last.offset / 4
const entries = kvm_coalesced_mmio_ring.size

/** Where pages begin, and how long they are: the mapping is that of whole pages, of which the ring is `page`. */
const ringOf = ({ bytes, vm }: VcpuState, page: number): Uint8Array => {
  const size = vm.vcpuMmapSize / (page + 1)
  return bytes.subarray(page * size, (page + 1) * size)
}

const take = (ring: Uint8Array): CoalescedWrite | undefined => {
  const ends = new Uint32Array(ring.buffer, ring.byteOffset, 2)
  const capacity = Math.floor((ring.length - entries) / kvm_coalesced_mmio.size)
  // The kernel writes an entry before it moves `last`, and reuses one only when `first` is past it.
  const at = Atomics.load(ends, first)
  if (at === Atomics.load(ends, last) || at >= capacity) return undefined
  const { data, len, phys_addr, pio } = kvm_coalesced_mmio.decode(ring, entries + at * kvm_coalesced_mmio.size)
  Atomics.store(ends, first, (at + 1) % capacity)
  return { phys_addr, pio: pio !== 0, data: data.subarray(0, Math.min(len, data.length)) }
}

const reading = <A>(vcpu: Vcpu, read: (ring: Uint8Array) => A): Effect.Effect<A, CoalescedError> =>
  Effect.suspend(() => {
    const state = stateOf(vcpu)
    return Effect.flatMap(requires(state.vm, "KVM_CAP_COALESCED_MMIO"), (page) =>
      state.closed || state.bytes.length === 0
        ? refuse(KVM_REGISTER_COALESCED_MMIO.errors, codes.EBADF, "the vCPU is closed")
        : Effect.sync(() => read(ringOf(state, page)))
    )
  })

/**
 * Takes the oldest of the writes that were collected, of all vCPUs of the machine; nothing where there is none. Asks the
 * kernel nothing; the guest may run meanwhile.
 *
 * Capability `KVM_CAP_COALESCED_MMIO`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const coalescedMmioRead = (vcpu: Vcpu): Effect.Effect<Option.Option<CoalescedWrite>, CoalescedError> =>
  reading(vcpu, (ring) => Option.fromUndefinedOr(take(ring)))

/**
 * Takes all writes that were collected, the oldest first, of all vCPUs of the machine.
 *
 * Capability `KVM_CAP_COALESCED_MMIO`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const coalescedMmioReadAll = (vcpu: Vcpu): Effect.Effect<ReadonlyArray<CoalescedWrite>, CoalescedError> =>
  reading(vcpu, (ring) => {
    const all: Array<CoalescedWrite> = []
    // A guest that goes on writing must not keep us here.
    for (let count = 0; count < ring.length / kvm_coalesced_mmio.size; count++) {
      const write = take(ring)
      if (write === undefined) break
      all.push(write)
    }
    return all
  })
