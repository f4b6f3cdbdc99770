/**
 * Virtual machines: what they are, and making them. Their memory is in `memory.ts`, their vCPUs in `vcpu.ts`.
 *
 * What belongs to a machine is released with it and in the right order (vCPUs, then memory, then the machine), whatever
 * the order in which it was made, and earlier where its own scope closes earlier.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { IoctlError } from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import * as part from "./part.ts"
import { KVM_CHECK_EXTENSION_VM, KVM_CREATE_VM, KvmVm } from "./requests.ts"
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

/** What is behind the public face. */
export class VmState implements Vm {
  readonly file: File.File<KvmVm>
  readonly vcpuMmapSize: number
  readonly scope: Scope.Scope
  readonly vcpus: part.Parts = new part.Parts()
  readonly memories: part.Parts = new part.Parts()
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
export type CreateVmError = Ioctl.RequestError<typeof KVM_CREATE_VM> | File.FromFdError

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
      File.ioctl(file, KVM_CREATE_VM, options.type ?? 0).pipe(
        Effect.flatMap(part.adopt),
        Effect.map((vm) => new VmState(File.asDevice(vm, KvmVm), vcpuMmapSize, scope))
      ),
      ({ memories, vcpus }) => {
        memories.closed = true
        return Effect.andThen(part.releaseAll(vcpus), part.releaseAll(memories))
      },
      () => KVM_CREATE_VM.errors.make(codes.EBADF)
    )
  )

/**
 * Asks what the kernel can do: 0 where it cannot, else 1 or what the capability, one of `KVM_CAP_*`, means by its number.
 * A machine's answer may differ from the system's.
 *
 * Request `KVM_CHECK_EXTENSION`.
 *
 * @category machines
 * @since 0.1.0
 */
export const checkExtension: {
  (capability: number): Effect.Effect<number, IoctlError, Kvm>
  (vm: Vm, capability: number): Effect.Effect<number, IoctlError>
} = ((...args: [number] | [Vm, number]) =>
  args.length === 1
    ? checkSystemExtension(args[0])
    : File.ioctl(args[0].file, KVM_CHECK_EXTENSION_VM, args[1])) as typeof checkExtension
