/**
 * Taking snapshots of machines. What they are is in `snapshot-model.ts`, making machines of them in
 * `snapshot-restore.ts`, files of them in `snapshot-file.ts`.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { IoctlError, MincoreError } from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import * as File from "../File.ts"
import type * as Mapping from "../Mapping.ts"
import type { MissingCapability } from "./capability.ts"
import { type ClockError, getClock } from "./clock.ts"
import { whilePaused } from "./control.ts"
import { type GetCpuidError, getCpuid2 } from "./cpuid.ts"
import { type DebugRegsError, getDebugRegs } from "./debug.ts"
import { getMpState, getVcpuEvents, type MpStateError, type VcpuEventsError } from "./events.ts"
import { type FpuError, getFpu, getXcrs, getXsave, getXsave2, type XcrsError, type XsaveError } from "./fpu.ts"
import { getIrqchip, getPit2, type IrqchipError, type PitError } from "./irqchip.ts"
import { getLapic, type LapicError } from "./lapic.ts"
import { type GuestMemoryState, memoryOf } from "./memory-model.ts"
import { getMsrIndexList, getMsrs, type MsrIndexListError, type MsrsError } from "./msrs.ts"
import { getNestedState, type NestedStateError } from "./nested.ts"
import { getRegs, getSregs, getSregs2, type RegisterError, type Sregs2Error } from "./registers.ts"
import { KVM_GET_REGS, KVM_SET_USER_MEMORY_REGION } from "./requests.ts"
import type { RunError } from "./run.ts"
import { settled } from "./snapshot-exit.ts"
import { capture, type Run, type StoreError, store } from "./snapshot-memory.ts"
import type { Snapshot, SnapshotIrqchip, SnapshotRegion, SnapshotVcpu } from "./snapshot-model.ts"
import type { kvm_msr_entry } from "./structs.ts"
import type { Kvm } from "./system.ts"
import { getTscKhz, type TscError } from "./tsc.ts"
import { refuse, type VcpuState, vcpusOf } from "./vcpu.ts"
import { stateOf, type Vm } from "./vm.ts"

/**
 * What taking a snapshot fails with: `EBUSY` while one of the vCPUs runs, `EINVAL` of memory that cannot be read, and what
 * asking for any part of the state fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export type SnapshotError =
  | ClockError
  | DebugRegsError
  | FpuError
  | GetCpuidError
  | IoctlError
  | IrqchipError
  | LapicError
  | MincoreError
  | MpStateError
  | MsrIndexListError
  | MsrsError
  | NestedStateError
  | PitError
  | RegisterError
  | RunError
  | Sregs2Error
  | StoreError
  | TscError
  | VcpuEventsError
  | XcrsError
  | XsaveError

/** A part of the state that not every kernel has. */
const optional = <A, E, R>(part: Effect.Effect<A, E | MissingCapability, R>) =>
  Effect.catchTag(part, "MissingCapability", () => Effect.succeed(undefined))

// ---------------------------------------------------------------------------------------------------------------------
// vCPUs
// ---------------------------------------------------------------------------------------------------------------------

/** Those of the registers that this vCPU has. */
const msrsOf = (
  vcpu: VcpuState,
  indices: ReadonlyArray<number>
): Effect.Effect<ReadonlyArray<kvm_msr_entry>, MsrsError> =>
  Effect.catchTag(getMsrs(vcpu, indices), "RefusedMsr", ({ done }) =>
    Effect.map(msrsOf(vcpu, indices.slice(done.length + 1)), (others) => [...done, ...others])
  )

const vcpuOf = (vcpu: VcpuState, indices: ReadonlyArray<number>): Effect.Effect<SnapshotVcpu, SnapshotError> =>
  Effect.gen(function* () {
    const exit = yield* settled(vcpu)
    // First, as it makes the vCPU take up INIT and SIPI that it was sent, which changes all else.
    const mp_state = yield* optional(getMpState(vcpu))
    const nested_state = yield* optional(getNestedState(vcpu))
    const regs = yield* getRegs(vcpu)
    const sregs = yield* getSregs(vcpu)
    const sregs2 = yield* optional(getSregs2(vcpu))
    const fpu = yield* getFpu(vcpu)
    const xsave = yield* optional(Effect.catchTag(getXsave2(vcpu), "MissingCapability", () => getXsave(vcpu)))
    const xcrs = yield* optional(getXcrs(vcpu))
    const debugregs = yield* optional(getDebugRegs(vcpu))
    // EINVAL: the kernel has no interrupt controller for it.
    const lapic = yield* optional(Effect.catchTag(getLapic(vcpu), "EINVAL", () => Effect.succeed(undefined)))
    const msrs = yield* msrsOf(vcpu, indices)
    const cpuid = yield* getCpuid2(vcpu)
    // EIO: the host's counter is not stable.
    const tsc_khz = yield* optional(Effect.catchTag(getTscKhz(vcpu), "EIO", () => Effect.succeed(undefined)))
    // Last, as interrupts that the others have moved on stand here.
    const events = yield* optional(getVcpuEvents(vcpu))
    return {
      id: vcpu.id,
      regs,
      sregs,
      sregs2,
      fpu,
      xsave: xsave?.region,
      xcrs,
      msrs,
      lapic,
      mp_state,
      events,
      debugregs,
      cpuid,
      tsc_khz,
      nested_state,
      exit
    }
  })

// ---------------------------------------------------------------------------------------------------------------------
// the machine
// ---------------------------------------------------------------------------------------------------------------------

const irqchipOf = (vm: Vm): Effect.Effect<SnapshotIrqchip | undefined, IrqchipError> =>
  Effect.all([getIrqchip(vm, "PicMaster"), getIrqchip(vm, "PicSlave"), getIrqchip(vm, "Ioapic")]).pipe(
    Effect.map(([master, slave, { ioapic }]) => ({ pic_master: master.pic, pic_slave: slave.pic, ioapic })),
    // ENXIO: the kernel has none for this machine.
    Effect.catchTag("ENXIO", () => Effect.succeed(undefined)),
    optional
  )

/** Memory of the host that regions lie in, one or several, and what of it they reach. */
interface Part {
  readonly mapping: Mapping.Mapping
  start: number
  end: number
}

const startOf = ({ bytes, mapping }: GuestMemoryState): number => bytes.byteOffset - mapping.bytes.byteOffset

/** The memory behind regions: once, where several regions are the same. */
const partsOf = (regions: ReadonlyArray<GuestMemoryState>): ReadonlyMap<Mapping.Mapping, Part> => {
  const parts = new Map<Mapping.Mapping, Part>()
  for (const region of regions) {
    const { mapping, size } = region
    const start = startOf(region)
    const part = parts.get(mapping)
    if (part === undefined) {
      parts.set(mapping, { mapping, start, end: start + size })
    } else {
      part.start = Math.min(part.start, start)
      part.end = Math.max(part.end, start + size)
    }
  }
  return parts
}

/** A line of `/proc/self/maps`: where it begins and ends, and what is mapped there. */
const line = /^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ 00:\S+ \S+ *(\/memfd:.* \(deleted\)|\/dev\/zero \(deleted\))?$/

/** Whether there is no disk behind a mapping: memory of nothing, or of a memfd. */
const volatility = Effect.map(
  Effect.scoped(Effect.flatMap(File.open("/proc/self/maps"), File.readAll)),
  (bytes): ((mapping: Mapping.Mapping) => boolean) => {
    const ranges = new TextDecoder()
      .decode(bytes)
      .split("\n")
      .flatMap((text) => {
        const [, from, to] = line.exec(text) ?? []
        return from === undefined || to === undefined ? [] : [[BigInt(`0x${from}`), BigInt(`0x${to}`)] as const]
      })
    return ({ address, length }) => ranges.some(([from, to]) => from <= address && address + BigInt(length) <= to)
  }
).pipe(Effect.orElseSucceed(() => () => false))

/** What a snapshot of a machine's memory is made of. */
const memoryOfAll = (vm: Vm) =>
  Effect.gen(function* () {
    const slots = [...memoryOf(vm).slots.values()]
    const regions = slots.flatMap(({ memory }) => (memory === undefined ? [] : [memory]))
    const unreadable = regions.find(({ bytes, size }) => bytes.length !== size)
    if (unreadable !== undefined || regions.length < slots.length) {
      const which = unreadable === undefined ? "a slot was set by number" : `slot ${unreadable.slot} is released`
      return yield* refuse(KVM_SET_USER_MEMORY_REGION.errors, codes.EINVAL, `the memory cannot be read: ${which}`)
    }
    const parts = partsOf(regions)
    const offsets = new Map<Part, number>()
    const runs: Array<Run> = []
    let size = 0
    for (const part of parts.values()) {
      offsets.set(part, size)
      runs.push([size, part.end - part.start])
      size += part.end - part.start
    }
    const contents = yield* store(size, runs)
    const isVolatile = yield* volatility
    for (const part of parts.values()) {
      yield* capture(contents, offsets.get(part) ?? 0, part, isVolatile(part.mapping))
    }
    return {
      memory: yield* contents.done,
      regions: regions.map((region): SnapshotRegion => {
        const part = parts.get(region.mapping)
        const base = part === undefined ? 0 : (offsets.get(part) ?? 0) - part.start
        const { guestAddress, readOnly, size, slot } = region
        return { slot, guestAddress, size, readOnly, offset: base + startOf(region) }
      })
    }
  })

/**
 * Takes a snapshot of a machine whose vCPUs all stand still: the state of all vCPUs, of the interrupt controllers, timer
 * and clock that the kernel has for it, and its memory. The machine goes on afterwards as if nothing had been.
 *
 * The memory is copied into a sealed memfd, which is there as long as the scope is open: pages that are all zeros take no
 * room, and {@link fork} shares the others. The value can be encoded meanwhile: see {@link Snapshot}.
 *
 * Fails with `EBUSY` while a vCPU runs; one that is paused (`Kvm.pause`) does not. A vCPU that another fiber wants to run
 * meanwhile waits. What the machine's memory is written by others than the guest meanwhile may be in it or not.
 *
 * **Exits.** A vCPU may have stopped for anything. What it wrote to a device is done, in the snapshot too. What it reads
 * and was not answered before it asks again where the snapshot is restored, and can be answered here all the same. An exit
 * that nobody has seen, as its fiber was interrupted, is what the first run gives, here and there.
 *
 * **What is not in it**: capabilities that were enabled, filters, the addresses of TSS and identity map, breakpoints of the
 * host's, the recording of written pages, what is wired to eventfds, devices of `Kvm.createDevice`, banks for machine
 * checks; for these {@link restore} has `prepare`. Regions that map one file by several mappings are several memories
 * afterwards. Memory in a `guest_memfd`, and slots that were set by number, cannot be read: `EINVAL`.
 *
 * **Time.** The time stamp counter and the guest's clock go on from where they were. A period of the 8254 timer begins anew. A
 * timer of the local APIC that was to fire once and did does so once more, as the kernel does not tell whether the interrupt
 * has arrived; one with a deadline, or that repeats, does not. x86_64.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // the same guest, twice from here on
 * const twice = (vm: Kvm.Vm) =>
 *   Effect.gen(function* () {
 *     const snapshot = yield* Kvm.snapshot(vm)
 *     const { vcpus } = yield* Kvm.fork(snapshot)
 *     return yield* Effect.forEach(vcpus, Kvm.run)
 *   })
 * ```
 *
 * @category snapshots
 * @since 0.1.0
 */
export const snapshot = (vm: Vm): Effect.Effect<Snapshot, SnapshotError, Kvm | Scope.Scope> =>
  Effect.suspend((): Effect.Effect<Snapshot, SnapshotError, Kvm | Scope.Scope> => {
    const states = [...vcpusOf(stateOf(vm))].sort((a, b) => a.id - b.id)
    const busy = states.find(({ running }) => running)
    if (busy !== undefined) {
      return refuse(KVM_GET_REGS.errors, codes.EBUSY, `Kvm.snapshot: vCPU ${busy.id} is running`)
    }
    return whilePaused(
      vm,
      Effect.gen(function* () {
        const indices = yield* getMsrIndexList
        const vcpus = yield* Effect.forEach(states, (vcpu) => vcpuOf(vcpu, indices))
        const irqchip = yield* irqchipOf(vm)
        // ENXIO: the kernel has none for this machine.
        const pit = yield* optional(Effect.catchTag(getPit2(vm), "ENXIO", () => Effect.succeed(undefined)))
        const clock = yield* optional(getClock(vm))
        const { memory, regions } = yield* memoryOfAll(vm)
        const { routing } = stateOf(vm)
        return { version: 1, architecture: "x86_64", vcpus, irqchip, pit, clock, routing, regions, memory }
      })
    )
  })
