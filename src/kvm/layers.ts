/**
 * Machines and vCPUs as layers: what a program asks for by `yield* Kvm.Vm` and `yield* Kvm.Vcpu`, and a test, or another
 * program, provides.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type GuestMemoryError, guestMemory, writeMemory } from "./address-space.ts"
import { type CreateIrqChipError, createIrqChip, createPit2 } from "./irqchip.ts"
import { type AddMemoryError, addMemory, type MemoryOptions } from "./memory.ts"
import type { Kvm } from "./system.ts"
import { type CreateVcpuError, createVcpu, Vcpu } from "./vcpu.ts"
import { type CreateVmError, createVm, Vm } from "./vm.ts"
import { type CpuidOptions, type DefaultCpuidError, setDefaultCpuid } from "./x86/cpuid.ts"
import type { ModeError } from "./x86/enter.ts"
import { type LongModeOptions, longMode, type ProtectedModeOptions, protectedMode } from "./x86/paged-modes.ts"
import { type RealModeOptions, realMode } from "./x86/real-mode.ts"

/**
 * Bytes that a machine's memory holds from the start.
 *
 * @category models
 * @since 0.1.0
 */
export interface Load {
  /** In the guest's physical memory. */
  readonly address: number | bigint
  readonly bytes: Uint8Array | ReadonlyArray<number>
}

/**
 * What a machine has.
 *
 * @category models
 * @since 0.1.0
 */
export interface VmOptions {
  /** How many bytes from address 0 on, or the regions one by one. None. */
  readonly memory?: number | ReadonlyArray<MemoryOptions> | undefined
  /** What its memory holds. */
  readonly load?: ReadonlyArray<Load> | undefined
  /** Interrupt controllers in the kernel: a guest that halts then waits there, without an exit. False. */
  readonly irqchip?: boolean | undefined
  /** A timer in the kernel, with the interrupt controllers, which it needs. False. */
  readonly pit?: boolean | undefined
  /** The kind of machine, 0 for the usual one. */
  readonly type?: number | bigint | undefined
}

/**
 * What making a machine with all that it has fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export type VmLayerError = CreateVmError | AddMemoryError | CreateIrqChipError | GuestMemoryError

/**
 * A machine for as long as the layer lives: the service {@link Vm}. Its memory is what `Kvm.guestMemory(vm)` gives.
 *
 * @example
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // asks for the machine and its vCPU, whoever has made them
 * const program = Effect.gen(function* () {
 *   const memory = Kvm.guestMemory(yield* Kvm.Vm)
 *   yield* Kvm.writeMemory(memory, 0x1000, Uint8Array.of(0xf4)) // hlt
 *   return yield* Kvm.run(yield* Kvm.Vcpu)
 * })
 *
 * const machine = Kvm.layerVcpu({ mode: { real: { entry: 0x1000 } } }).pipe(
 *   Layer.provideMerge(Kvm.layerVm({ memory: 0x10000 })),
 *   Layer.provide(Kvm.layer)
 * )
 *
 * Effect.runPromise(Effect.provide(program, machine))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerVm = (options: VmOptions = {}): Layer.Layer<Vm, VmLayerError, Kvm> =>
  Layer.effect(
    Vm,
    Effect.gen(function* () {
      const { irqchip = false, load = [], memory = [], pit = false, type } = options
      const vm = yield* createVm({ type })
      if (irqchip || pit) yield* createIrqChip(vm)
      if (pit) yield* createPit2(vm)
      const regions = typeof memory === "number" ? [{ guestAddress: 0, size: memory }] : memory
      for (const region of regions) yield* addMemory(vm, region)
      for (const { address, bytes } of load) yield* writeMemory(guestMemory(vm), address, Uint8Array.from(bytes))
      return vm
    })
  )

/**
 * The mode in which a vCPU begins, with the options of `Kvm.x86.realMode`, `protectedMode` or `longMode`.
 *
 * @category models
 * @since 0.1.0
 */
export type ModeOptions =
  | { readonly real: RealModeOptions }
  | { readonly protected: ProtectedModeOptions }
  | { readonly long: LongModeOptions }

/**
 * What a vCPU begins with.
 *
 * @category models
 * @since 0.1.0
 */
export interface VcpuOptions {
  /** 0. */
  readonly id?: number | undefined
  /** What `cpuid` answers: what the host supports (true), with changes, or nothing. False. */
  readonly cpuid?: boolean | CpuidOptions | undefined
  /** The mode. As x86 resets it. */
  readonly mode?: ModeOptions | undefined
}

/**
 * What making a vCPU with its mode fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export type VcpuLayerError = CreateVcpuError | ModeError | DefaultCpuidError

/**
 * Sets the mode in which a vCPU begins; tables are written to the machine's memory.
 *
 * @category modes
 * @since 0.1.0
 */
export const setMode = (vm: Vm, vcpu: Vcpu, mode: ModeOptions): Effect.Effect<void, ModeError> =>
  Effect.asVoid(
    "real" in mode
      ? realMode(vcpu, mode.real)
      : "protected" in mode
        ? protectedMode(vcpu, guestMemory(vm), mode.protected)
        : longMode(vcpu, guestMemory(vm), mode.long)
  )

/**
 * A vCPU of the machine for as long as the layer lives: the service {@link Vcpu}. {@link layerVm} has an example.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerVcpu = (options: VcpuOptions = {}): Layer.Layer<Vcpu, VcpuLayerError, Vm | Kvm> =>
  Layer.effect(
    Vcpu,
    Effect.gen(function* () {
      const { cpuid = false, id = 0, mode } = options
      const vm = yield* Vm
      const vcpu = yield* createVcpu(vm, id)
      if (cpuid !== false) yield* setDefaultCpuid(vcpu, cpuid === true ? {} : cpuid)
      if (mode !== undefined) yield* setMode(vm, vcpu, mode)
      return vcpu
    })
  )
