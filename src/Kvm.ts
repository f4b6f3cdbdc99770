/**
 * Layer 3: virtual machines of the Linux kernel, as scoped resources.
 *
 * A machine, its memory and its vCPUs each live as long as the scope they are made in; a machine's parts never outlive
 * it. Structures, constants and requests have the kernel's names (`kvm_regs`, `KVM_CAP_*`, `KVM_RUN`), so that the
 * kernel's Documentation/virt/kvm/api.rst is the reference for what they mean; whatever has no function here can be
 * asked with `File.ioctl` on the `file` of a machine or vCPU.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // a guest of one instruction: hlt
 * const program = Effect.gen(function*() {
 *   const vm = yield* Kvm.createVm()
 *   const memory = yield* Kvm.addMemory(vm, { slot: 0, guestAddress: 0x1000, size: 0x1000 })
 *   memory.bytes.set([0xf4])
 *   const vcpu = yield* Kvm.createVcpu(vm, 0)
 *   yield* Kvm.modifySregs(vcpu, ({ cs }) => ({ cs: { ...cs, base: 0n, selector: 0 } }))
 *   yield* Kvm.modifyRegs(vcpu, () => ({ rip: 0x1000n, rflags: 2n }))
 *   return yield* Kvm.run(vcpu) // { _tag: "Hlt" }
 * }).pipe(Effect.scoped, Effect.provide(Kvm.layer))
 * ```
 *
 * @since 0.1.0
 */
export * as aarch64 from "./kvm/aarch64.ts"
export {
  fillMemory,
  type GuestMemoryError,
  guestMemory,
  type Memory,
  OutOfGuestMemory,
  readCString,
  readMemory,
  readMemoryInto,
  readStruct,
  readU8,
  readU16,
  readU32,
  readU64,
  viewMemory,
  writeMemory,
  writeStruct,
  writeU8,
  writeU16,
  writeU32,
  writeU64
} from "./kvm/address-space.ts"
export { type Bus, bus, InvalidRange, OverlappingDevices } from "./kvm/bus.ts"
export {
  type Answered,
  type ContextOf,
  constant,
  type Device,
  Done,
  type DoneOf,
  debugExit,
  done,
  type ErrorOf,
  type Handled,
  ignore,
  type MmioHandlers,
  type MmioWrite,
  mmio,
  type PioHandlers,
  type PioWrite,
  type Place,
  pio
} from "./kvm/bus-device.ts"
export {
  type CapabilityName,
  capabilityBits,
  MissingCapability,
  supportedCapabilities
} from "./kvm/capability.ts"
export * from "./kvm/capability-table.ts"
export * from "./kvm/clock.ts"
export * from "./kvm/coalesced.ts"
export * from "./kvm/constants.ts"
export * from "./kvm/control.ts"
export * from "./kvm/cpuid.ts"
export * from "./kvm/debug.ts"
export * from "./kvm/device.ts"
export * from "./kvm/dirty.ts"
export {
  type CollectDirtyRingError,
  collectDirtyRing,
  type DirtyPage,
  enableDirtyLogRing,
  resetDirtyRings
} from "./kvm/dirty-ring.ts"
export * from "./kvm/enable-cap.ts"
export * from "./kvm/encryption.ts"
export * from "./kvm/events.ts"
export {
  type EmulationFailure,
  Exit,
  type Hypercall,
  type Hyperv,
  type InternalError,
  type Io,
  type Mmio,
  type RdMsr,
  type Respond,
  type RespondError,
  type RespondNumber,
  systemEventName,
  type TdVmCallInfo,
  type Tdx,
  type WrMsr,
  type Xen
} from "./kvm/exit.ts"
export type { ArchitectureExit, Dcr, LoongarchIocsr } from "./kvm/exit-architectures.ts"
export * from "./kvm/fpu.ts"
export * from "./kvm/guest-memfd.ts"
export * from "./kvm/hyperv.ts"
export * from "./kvm/image.ts"
export * from "./kvm/interrupts.ts"
export * from "./kvm/ioevent.ts"
export * from "./kvm/irqchip.ts"
export * from "./kvm/lapic.ts"
export {
  type Load,
  layerVcpu,
  layerVm,
  type ModeOptions,
  type VcpuLayerError,
  type VcpuOptions,
  type VmLayerError,
  type VmOptions
} from "./kvm/layers.ts"
export * from "./kvm/machine.ts"
export * from "./kvm/machine-check.ts"
export * from "./kvm/memory.ts"
export * from "./kvm/msr-index.ts"
export * from "./kvm/msrs.ts"
export * from "./kvm/nested.ts"
export * from "./kvm/numbers.ts"
export * from "./kvm/registers.ts"
export * from "./kvm/requests.ts"
export * as riscv64 from "./kvm/riscv64.ts"
export { defaultGsiRouting, GsiRoute } from "./kvm/routing.ts"
export * from "./kvm/run.ts"
export { getRunState, type RunPageError, type RunState, requestInterruptWindow } from "./kvm/run-page.ts"
export { type ExitHandlers, runUntil, UnhandledExit } from "./kvm/run-until.ts"
export { type SerialOptions, serial } from "./kvm/serial.ts"
export * from "./kvm/snapshot.ts"
export * from "./kvm/snapshot-file.ts"
export { type SnapshotExtent, SnapshotMemory } from "./kvm/snapshot-memory.ts"
export {
  Snapshot,
  type SnapshotEncoded,
  type SnapshotExit,
  type SnapshotIrqchip,
  type SnapshotRegion,
  type SnapshotVcpu
} from "./kvm/snapshot-model.ts"
export * from "./kvm/snapshot-restore.ts"
export * from "./kvm/stats.ts"
export * from "./kvm/structs.ts"
export * from "./kvm/sync-regs.ts"
export { getApiVersion, getVcpuMmapSize, Kvm, layer, UnsupportedApiVersion } from "./kvm/system.ts"
export * from "./kvm/tsc.ts"
export { type CreateVcpuError, createVcpu, Vcpu } from "./kvm/vcpu.ts"
export type { OptionalRequestError } from "./kvm/vcpu-request.ts"
export { type CreateVmError, checkExtension, createVm, Vm } from "./kvm/vm.ts"
export * as x86 from "./kvm/x86.ts"
export * from "./kvm/xen.ts"
