/**
 * Making machines of snapshots: with memory of their own, or with memory that they share until they write to it.
 *
 * The order in which the state is set is the kernel's. Interrupt controllers are made before vCPUs, which get a local APIC
 * only then. Of a vCPU:
 *
 * - CPUID and the frequency of the counter first: by them the kernel judges and scales all that follows
 * - special registers: they switch the local APIC to its mode, which its registers are read by, and set a pending interrupt,
 *   which the events set too, rightly, and later
 * - the local APIC before MSRs: a deadline of its timer is taken only where it is in that mode; and among MSRs the counter
 *   before the deadline, which is compared with it
 * - XCRs before the state that they switch on
 * - nested state after special registers and MSRs, which it has to go with
 * - general registers before events, as setting them drops a pending exception; the state of running or halting after special
 *   registers, which wake a vCPU that looks like after a reset; events last
 *
 * Then what belongs to the machine: the I/O APIC after the local ones, into which it delivers at once what is pending; the
 * timer; the clock, as the last one, for it goes from the moment that it is set.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { IoctlError } from "../errors/calls.ts"
import * as File from "../File.ts"
import * as Mapping from "../Mapping.ts"
import { type ClockError, setClock } from "./clock.ts"
import { KVM_CLOCK_REALTIME } from "./constants.ts"
import { type SetCpuidError, setCpuid2 } from "./cpuid.ts"
import { type DebugRegsError, setDebugRegs } from "./debug.ts"
import { type MpStateError, setMpState, setVcpuEvents, type VcpuEventsError } from "./events.ts"
import { type FpuError, setFpu, setXcrs, setXsave, type XcrsError, type XsaveError } from "./fpu.ts"
import { type GsiRoutingError, setGsiRouting } from "./interrupts.ts"
import {
  type CreateIrqChipError,
  createIrqChip,
  createPit2,
  type IrqchipError,
  type PitError,
  setIrqchip,
  setPit2
} from "./irqchip.ts"
import { type LapicError, setLapic } from "./lapic.ts"
import { type AddMemoryError, addMemory, type GuestMemory } from "./memory.ts"
import { getMsrs, type MsrsError, setMsrs } from "./msrs.ts"
import { type NestedStateError, setNestedState } from "./nested.ts"
import { type RegisterError, type Sregs2Error, setRegs, setSregs, setSregs2 } from "./registers.ts"
import { pretend } from "./snapshot-exit.ts"
import { fill, type Run, type SnapshotMemory, type StoreError, shared } from "./snapshot-memory.ts"
import { partsOf, type Snapshot, type SnapshotVcpu } from "./snapshot-model.ts"
import { type kvm_msr_entry, kvm_run } from "./structs.ts"
import type { Kvm } from "./system.ts"
import { getTscKhz, kvmclockCtrl, setTscKhz, type TscError } from "./tsc.ts"
import { type CreateVcpuError, createVcpu, stateOf, type Vcpu } from "./vcpu.ts"
import { type CreateVmError, createVm, type Vm } from "./vm.ts"

/**
 * What making a machine of a snapshot fails with: `RefusedMsr` names a register that this host cannot have as it was,
 * `MissingCapability` what this kernel lacks, `EINVAL` is its answer to what is no state.
 *
 * @category errors
 * @since 0.1.0
 */
export type RestoreError =
  | AddMemoryError
  | ClockError
  | CreateIrqChipError
  | CreateVcpuError
  | CreateVmError
  | DebugRegsError
  | FpuError
  | GsiRoutingError
  | IoctlError
  | IrqchipError
  | LapicError
  | MpStateError
  | MsrsError
  | NestedStateError
  | PitError
  | RegisterError
  | SetCpuidError
  | Sregs2Error
  | StoreError
  | TscError
  | VcpuEventsError
  | XcrsError
  | XsaveError

/**
 * A machine made of a snapshot, its vCPUs and memory in the snapshot's order.
 *
 * @category snapshots
 * @since 0.1.0
 */
export interface Restored {
  readonly vm: Vm
  readonly vcpus: ReadonlyArray<Vcpu>
  readonly memories: ReadonlyArray<GuestMemory>
}

/**
 * How a machine is made of a snapshot.
 *
 * @category snapshots
 * @since 0.1.0
 */
export interface RestoreOptions<E = never, R = never> {
  /**
   * Done with the machine before it has vCPUs: for what is not in a snapshot, such as capabilities that are to be enabled,
   * filters, or the addresses that Intel hosts need.
   */
  readonly prepare?: ((vm: Vm) => Effect.Effect<unknown, E, R>) | undefined
  /**
   * What the guest's clock says: `continue`, and it was never stopped, or the `realtime` that has passed since, where the
   * host told it. `continue` unless said.
   */
  readonly clock?: "continue" | "realtime" | undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// vCPUs
// ---------------------------------------------------------------------------------------------------------------------

/** The time stamp counter. */
const MSR_IA32_TSC = 0x10
/** What lets a guest be a host, and must be set before the bit of CR4 that says that it is. */
const MSR_IA32_FEATURE_CONTROL = 0x3a
/** When the local APIC's timer is due. */
const MSR_IA32_TSC_DEADLINE = 0x6e0

const rank = ({ index }: kvm_msr_entry): number =>
  index === MSR_IA32_TSC ? 0 : index === MSR_IA32_TSC_DEADLINE ? 2 : 1

/** Sets registers; one that cannot be set need not be where it has its value already, as many have that tell of the host. */
const setMsrsOf = (vcpu: Vcpu, msrs: ReadonlyArray<kvm_msr_entry>): Effect.Effect<void, MsrsError> =>
  msrs.length === 0
    ? Effect.void
    : Effect.catchTag(setMsrs(vcpu, msrs), "RefusedMsr", (refused) =>
        Effect.flatMap(
          Effect.catchTag(getMsrs(vcpu, [refused.index]), "RefusedMsr", () => Effect.fail(refused)),
          ([now]) =>
            now?.data === refused.data ? setMsrsOf(vcpu, msrs.slice(refused.done.length + 1)) : Effect.fail(refused)
        )
      )

const setVcpu = (vcpu: Vcpu, saved: SnapshotVcpu): Effect.Effect<void, RestoreError> =>
  Effect.gen(function* () {
    const state = stateOf(vcpu)
    const { nested_state, sregs2, tsc_khz, xsave } = saved
    if (saved.cpuid.length > 0) yield* setCpuid2(vcpu, saved.cpuid)
    if (tsc_khz !== undefined && tsc_khz !== (yield* getTscKhz(vcpu))) yield* setTscKhz(vcpu, tsc_khz)
    const msrs = [...saved.msrs].sort((a, b) => rank(a) - rank(b))
    if (nested_state !== undefined)
      yield* setMsrsOf(
        vcpu,
        msrs.filter(({ index }) => index === MSR_IA32_FEATURE_CONTROL)
      )
    if (sregs2 === undefined) yield* setSregs(vcpu, saved.sregs)
    else yield* Effect.catchTag(setSregs2(vcpu, sregs2), "MissingCapability", () => setSregs(vcpu, saved.sregs))
    if (saved.lapic !== undefined) yield* setLapic(vcpu, saved.lapic)
    yield* setMsrsOf(vcpu, msrs)
    if (saved.xcrs !== undefined && saved.xcrs.length > 0) yield* setXcrs(vcpu, saved.xcrs)
    if (xsave !== undefined) yield* setXsave(vcpu, { region: xsave })
    // Also with the other: of what its head marks as unused it has nothing, and KVM_SET_FPU marks nothing as used.
    yield* setFpu(vcpu, saved.fpu)
    if (nested_state !== undefined) yield* setNestedState(vcpu, nested_state)
    if (saved.debugregs !== undefined) yield* setDebugRegs(vcpu, saved.debugregs)
    yield* setRegs(vcpu, saved.regs)
    if (saved.mp_state !== undefined) yield* setMpState(vcpu, saved.mp_state)
    if (saved.events !== undefined) yield* setVcpuEvents(vcpu, saved.events)
    // Without a local APIC the kernel takes the task priority from the page at each run.
    state.view.setBigUint64(kvm_run.fields.cr8.offset, saved.sregs.cr8, true)
    if (saved.exit !== undefined) pretend(state, saved.exit)
  })

// ---------------------------------------------------------------------------------------------------------------------
// memory
// ---------------------------------------------------------------------------------------------------------------------

/** The host's memory for one part of the contents. */
type MakeMapping = (part: Run) => Effect.Effect<Mapping.Mapping, RestoreError, Scope.Scope>

const copied =
  (memory: SnapshotMemory): MakeMapping =>
  ([offset, length]) =>
    Effect.tap(Mapping.anonymous({ length, shared: true, noReserve: true }), ({ bytes }) => fill(bytes, memory, offset))

const forked =
  (memory: SnapshotMemory): MakeMapping =>
  ([offset, length]) =>
    Effect.suspend(() => {
      const { file } = memory
      return file === undefined
        ? Effect.die(new TypeError("memory: expected one in a memfd"))
        : File.mmap(file, { length, offset, noReserve: true })
    })

const addMemories = (
  vm: Vm,
  { regions }: Snapshot,
  makeMapping: MakeMapping
): Effect.Effect<ReadonlyArray<GuestMemory>, RestoreError, Scope.Scope> =>
  Effect.gen(function* () {
    const parts: Array<readonly [part: Run, mapping: Mapping.Mapping]> = []
    for (const part of partsOf(regions)) parts.push([part, yield* makeMapping(part)])
    return yield* Effect.forEach(regions, ({ guestAddress, offset, readOnly, size, slot }) => {
      const [[start], mapping] = parts.findLast(([[start]]) => start <= offset) ?? [[0, 0], undefined]
      return mapping === undefined
        ? Effect.die(new RangeError(`regions: none of the contents is at ${offset}`))
        : addMemory(vm, {
            guestAddress,
            readOnly,
            size,
            slot,
            backing: { mapping, offset: offset - start }
          })
    })
  })

// ---------------------------------------------------------------------------------------------------------------------
// machines
// ---------------------------------------------------------------------------------------------------------------------

/** Tells a guest that looks at kvmclock; EINVAL: it does not. */
const tellStopped = (vcpu: Vcpu) =>
  Effect.catchTag(kvmclockCtrl(vcpu), ["EINVAL", "MissingCapability"], () => Effect.void)

const make = <E, R>(
  snapshot: Snapshot,
  { clock = "continue", prepare }: RestoreOptions<E, R>,
  makeMapping: MakeMapping
): Effect.Effect<Restored, RestoreError | E, Kvm | Scope.Scope | R> =>
  Effect.gen(function* () {
    const { irqchip, pit, routing } = snapshot
    const vm = yield* createVm()
    if (irqchip !== undefined) yield* createIrqChip(vm)
    if (prepare !== undefined) yield* prepare(vm)
    // EEXIST: the preparation has made it.
    if (pit !== undefined) yield* Effect.catchTag(createPit2(vm), "EEXIST", () => Effect.void)
    if (routing !== undefined) yield* setGsiRouting(vm, routing)
    const memories = yield* addMemories(vm, snapshot, makeMapping)
    const vcpus: Array<Vcpu> = []
    for (const { id } of snapshot.vcpus) vcpus.push(yield* createVcpu(vm, id))
    for (const [index, vcpu] of vcpus.entries()) {
      const saved = snapshot.vcpus[index]
      if (saved !== undefined) yield* setVcpu(vcpu, saved)
    }
    if (irqchip !== undefined) {
      yield* setIrqchip(vm, { _tag: "PicMaster", pic: irqchip.pic_master })
      yield* setIrqchip(vm, { _tag: "PicSlave", pic: irqchip.pic_slave })
      yield* setIrqchip(vm, { _tag: "Ioapic", ioapic: irqchip.ioapic })
    }
    if (pit !== undefined) yield* setPit2(vm, pit)
    if (snapshot.clock !== undefined) {
      const { clock: nanos, flags, realtime } = snapshot.clock
      yield* setClock(vm, { clock: nanos, flags: clock === "realtime" ? flags & KVM_CLOCK_REALTIME : 0, realtime })
    }
    for (const vcpu of vcpus) yield* tellStopped(vcpu)
    return { vm, vcpus, memories }
  })

/** All or nothing: what was made before something failed does not wait for the scope to close. */
const whole = <A, E, R>(made: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, Scope.Scope> | Scope.Scope> =>
  Effect.flatMap(Effect.scope, (outer) =>
    Effect.uninterruptibleMask((restore) => {
      const inner = Scope.makeUnsafe()
      return restore(Scope.provide(made, inner)).pipe(
        Effect.onError((cause) => Scope.close(inner, Exit.failCause(cause))),
        Effect.tap(() => Scope.addFinalizerExit(outer, (exit) => Scope.close(inner, exit)))
      )
    })
  )

/**
 * Makes a machine of a snapshot, with memory of its own, for as long as the scope is open. Its vCPUs go on where those of
 * the snapshot were.
 *
 * Fails where this host or kernel cannot have the guest as it was, `RefusedMsr` among others, and leaves nothing then. To be
 * interrupted at any time. x86_64.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // what the guest does next, in a machine that nobody minds
 * const ahead = (snapshot: Kvm.Snapshot) =>
 *   Effect.gen(function* () {
 *     const { vcpus } = yield* Kvm.restore(snapshot)
 *     return yield* Effect.forEach(vcpus, Kvm.run)
 *   }).pipe(Effect.scoped, Effect.provide(Kvm.layer))
 * ```
 *
 * @category snapshots
 * @since 0.1.0
 */
export const restore = <E = never, R = never>(
  snapshot: Snapshot,
  options: RestoreOptions<E, R> = {}
): Effect.Effect<Restored, RestoreError | E, Kvm | Scope.Scope | R> =>
  whole(make(snapshot, options, copied(snapshot.memory)))

/**
 * Puts the contents of a snapshot's memory into a memfd of the scope, where they are not in one: what {@link fork} shares.
 *
 * @category snapshots
 * @since 0.1.0
 */
export const shareSnapshot = (snapshot: Snapshot): Effect.Effect<Snapshot, StoreError, Scope.Scope> =>
  snapshot.memory.file === undefined
    ? Effect.map(whole(shared(snapshot.memory, partsOf(snapshot.regions))), (memory) => ({ ...snapshot, memory }))
    : Effect.succeed(snapshot)

/**
 * Makes a machine of a snapshot, which shares the snapshot's memory until it writes to it: only the pages that a fork writes
 * are its own. Forks do not see each other's writes, nor does the machine that the snapshot was taken of; a fork may live
 * longer than the snapshot.
 *
 * How much memory there is makes no difference to how long it takes. Of a snapshot that was decoded each fork has a copy of
 * its own: see {@link shareSnapshot}.
 *
 * Fails as {@link restore} does. x86_64.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // each input from the same moment on, in a machine of its own
 * const explore = (snapshot: Kvm.Snapshot, inputs: ReadonlyArray<Uint8Array>, address: bigint) =>
 *   Effect.forEach(
 *     inputs,
 *     (input) =>
 *       Effect.scoped(
 *         Effect.gen(function* () {
 *           const { vcpus, vm } = yield* Kvm.fork(snapshot)
 *           yield* Kvm.writeMemory(Kvm.guestMemory(vm), address, input)
 *           return yield* Effect.forEach(vcpus, Kvm.run)
 *         })
 *       ),
 *     { concurrency: 10 }
 *   )
 * ```
 *
 * @category snapshots
 * @since 0.1.0
 */
export const fork = <E = never, R = never>(
  snapshot: Snapshot,
  options: RestoreOptions<E, R> = {}
): Effect.Effect<Restored, RestoreError | E, Kvm | Scope.Scope | R> =>
  whole(Effect.flatMap(shareSnapshot(snapshot), (source) => make(source, options, forked(source.memory))))
