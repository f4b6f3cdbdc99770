/**
 * Virtual machines: what they are, and making them. Their memory is in `memory.ts`, their vCPUs in `vcpu.ts`.
 *
 * What belongs to a machine is released with it and in the right order (vCPUs, then what is wired to it, devices, memory,
 * then the machine), whatever the order in which it was made, and earlier where its own scope closes earlier.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { IoctlError } from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import { numberOf } from "./capability-number.ts"
import type { CapabilityName } from "./capability-table.ts"
import * as part from "./part.ts"
import { KVM_CHECK_EXTENSION_VM, KVM_CREATE_VM, type KvmSystem, KvmVm } from "./requests.ts"
import type { GsiRoute } from "./routing.ts"
import { checkSystemExtension, Kvm } from "./system.ts"

/**
 * A virtual machine.
 *
 * @category models
 * @since 0.1.0
 */
export interface Vm {
  /** The machine's descriptor, for requests that have no function here. */
  readonly file: File.File<KvmVm>
}

/**
 * The machine that a program works with, as a service: whoever has one provides it.
 *
 * @category services
 * @since 0.1.0
 */
export const Vm: Context.Service<Vm, Vm> = Context.Service<Vm>("effect-linux/Kvm/Vm")

/** Something that is wired to a machine, and by what it is told from others: see `wire.ts`. */
export interface Wire {
  readonly key: ReadonlyArray<unknown>
  readonly release: Effect.Effect<void>
}

/** What is behind the public face. */
export class VmState implements Vm {
  readonly file: File.File<KvmVm>
  readonly vcpuMmapSize: number
  readonly scope: Scope.Scope
  readonly vcpus: part.Parts = new part.Parts()
  /** What is wired to it: eventfds, zones of collected writes. */
  readonly wires: part.Parts = new part.Parts()
  /** Descriptors that keep it alive in the kernel: devices, statistics. */
  readonly devices: part.Parts = new part.Parts()
  readonly memories: part.Parts = new part.Parts()
  /** What was wired by whom: to find it again. */
  readonly wired: Set<Wire> = new Set()
  /** The routes that were set last, which the kernel does not tell. */
  routing: ReadonlyArray<GsiRoute> | undefined = undefined
  /** What was switched on of it with `enableCap`, by number: the kernel does not tell. */
  readonly enabled: Map<number, { readonly args: ReadonlyArray<bigint>; readonly flags: number }> = new Map()
  /** The interrupt controllers that the kernel has of it. */
  irqchip: "none" | "kernel" | "split" = "none"
  /** Whether the kernel has a timer for it. */
  pit = false
  /** What `KVM_CHECK_EXTENSION` has said of it: see `capability.ts`. */
  readonly capabilities: Map<number, number> = new Map()

  constructor(file: File.File<KvmVm>, vcpuMmapSize: number, scope: Scope.Scope) {
    this.scope = scope
    this.file = file
    this.vcpuMmapSize = vcpuMmapSize
  }
}

export const stateOf = (vm: Vm): VmState => {
  if (vm instanceof VmState) return vm
  throw new TypeError("vm: expected a Vm")
}

/**
 * @category errors
 * @since 0.1.0
 */
export type CreateVmError = Ioctl.RequestError<typeof KVM_CREATE_VM>

/** It starts a thread of the kernel's, and a signal to ours ends that wait: a profiler's will do. */
const created = (file: File.File<KvmSystem>, type: number | bigint, times: number): ReturnType<typeof asked> =>
  Effect.catch(asked(file, type), (error) =>
    error.errno === codes.EINTR && times > 0 ? created(file, type, times - 1) : Effect.fail(error)
  )

const asked = (file: File.File<KvmSystem>, type: number | bigint) => File.ioctl(file, KVM_CREATE_VM, type)

/**
 * Creates a virtual machine without vCPUs or memory, for as long as the scope is open. `type` is the kind of machine, 0
 * for the usual one.
 *
 * Request `KVM_CREATE_VM`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const canMapReadOnly = Effect.gen(function* () {
 *   const vm = yield* Kvm.createVm()
 *   return (yield* Kvm.checkExtension(vm, Kvm.KVM_CAP_READONLY_MEM)) !== 0
 * }).pipe(Effect.scoped, Effect.provide(Kvm.layer))
 * ```
 *
 * @category machines
 * @since 0.1.0
 */
export const createVm = (
  options: { readonly type?: number | bigint | undefined } = {}
): Effect.Effect<Vm, CreateVmError, Kvm | Scope.Scope> =>
  Effect.flatMap(Effect.all([Kvm, Effect.scope]), ([{ file, vcpuMmapSize }, scope]) =>
    part.acquire(
      new part.Parts(),
      Effect.flatMap(created(file, options.type ?? 0, 100), (fd) =>
        Effect.map(part.adoptKeeper(fd), (vm) => new VmState(File.asDevice(vm, KvmVm), vcpuMmapSize, scope))
      ),
      ({ devices, memories, vcpus, wires }) => {
        for (const parts of [wires, devices, memories]) parts.closed = true
        return Effect.forEach([vcpus, wires, devices, memories], part.releaseAll, { discard: true })
      },
      () => KVM_CREATE_VM.errors.make(codes.EBADF)
    )
  )

/**
 * Asks what the kernel can do: 0 where it cannot, else 1 or what the capability, by its name or number (`KVM_CAP_*`),
 * means by its answer: see {@link capabilities}. A machine's answer may differ from the system's.
 *
 * Request `KVM_CHECK_EXTENSION`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const slots = Effect.gen(function* () {
 *   const ofSystem = yield* Kvm.checkExtension("KVM_CAP_NR_MEMSLOTS")
 *   const vm = yield* Kvm.createVm()
 *   return [ofSystem, yield* Kvm.checkExtension(vm, "KVM_CAP_NR_MEMSLOTS")]
 * }).pipe(Effect.scoped, Effect.provide(Kvm.layer))
 * ```
 *
 * @category capabilities
 * @since 0.1.0
 */
export const checkExtension: {
  (capability: CapabilityName | number): Effect.Effect<number, IoctlError, Kvm>
  (vm: Vm, capability: CapabilityName | number): Effect.Effect<number, IoctlError>
} = ((...args: [CapabilityName | number] | [Vm, CapabilityName | number]) =>
  args.length === 1
    ? Effect.suspend(() => checkSystemExtension(numberOf(args[0])))
    : Effect.suspend(() =>
        File.ioctl(args[0].file, KVM_CHECK_EXTENSION_VM, numberOf(args[1]))
      )) as typeof checkExtension
