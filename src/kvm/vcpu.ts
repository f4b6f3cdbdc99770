/**
 * Virtual CPUs: what they are, and making them. Running them is in `run.ts`, their state in `registers.ts` and its
 * neighbours.
 *
 * The kernel makes every request to a vCPU wait while it runs. Here it fails with `EBUSY` instead, as waiting would hold
 * up the event loop.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit_ from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { MmapError, StatxError } from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import type { CallErrors } from "../errors/registry.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import { Misuse } from "../internal/invoke.ts"
import type * as Mapping from "../Mapping.ts"
import type * as Syscall from "../Syscall.ts"
import type { RunPage } from "./exit.ts"
import * as part from "./part.ts"
import { KVM_CREATE_VCPU, KvmVcpu } from "./requests.ts"
import { kvm_run } from "./structs.ts"
import { type Vm, type VmState, stateOf as vmStateOf } from "./vm.ts"

/**
 * A virtual CPU.
 *
 * @category models
 * @since 0.1.0
 */
export interface Vcpu {
  readonly id: number
  /**
   * The vCPU's descriptor, for requests that have no function here. The kernel makes them wait while the guest runs: make
   * none then.
   */
  readonly file: File.File<KvmVcpu>
  /** The page it shares with the host: a `kvm_run`, and after it what exits refer to. */
  readonly page: Mapping.Mapping
}

/**
 * The vCPU that a program works with, as a service: whoever has one provides it.
 *
 * @category services
 * @since 0.1.0
 */
export const Vcpu: Context.Service<Vcpu, Vcpu> = Context.Service<Vcpu>("effect-linux/Kvm/Vcpu")

const reasonAt = kvm_run.fields.exit_reason.offset
const immediateExitAt = kvm_run.fields.immediate_exit.offset

/** What is behind the public face. */
export class VcpuState implements Vcpu, RunPage {
  readonly id: number
  readonly vm: VmState
  readonly file: File.File<KvmVcpu>
  readonly page: Mapping.Mapping
  readonly bytes: Uint8Array
  readonly scope: Scope.Scope
  private readonly view: DataView
  closed = false
  running = false
  /** An exit that no fiber has seen, as its fiber was interrupted when the guest had just stopped by itself. */
  kept = false
  /** How often the guest was entered: an exit of an earlier time is stale. */
  entries = 0
  thread: Syscall.Thread | undefined

  constructor(id: number, vm: VmState, file: File.File<KvmVcpu>, page: Mapping.Mapping, scope: Scope.Scope) {
    this.id = id
    this.vm = vm
    this.file = file
    this.page = page
    this.bytes = page.bytes
    this.scope = scope
    this.view = new DataView(page.buffer)
  }

  get reason(): number {
    return this.view.getUint32(reasonAt, true)
  }

  set reason(reason: number) {
    this.view.setUint32(reasonAt, reason, true)
  }

  /** Makes the kernel come back from `KVM_RUN` before it enters the guest, until the next run. */
  set immediateExit(value: 0 | 1) {
    this.view.setUint8(immediateExitAt, value)
  }

  makeStale(): () => Misuse | undefined {
    const { entries } = this
    return () =>
      this.closed
        ? new Misuse(codes.EBADF, "the vCPU is closed")
        : this.entries !== entries
          ? new Misuse(codes.EINVAL, "the guest has been run since this exit")
          : undefined
  }
}

export const stateOf = (vcpu: Vcpu): VcpuState => {
  if (vcpu instanceof VcpuState) return vcpu
  throw new TypeError("vcpu: expected a Vcpu")
}

/**
 * @category errors
 * @since 0.1.0
 */
export type CreateVcpuError = Ioctl.RequestError<typeof KVM_CREATE_VCPU> | File.FromFdError | MmapError | StatxError

/**
 * Adds a vCPU to a machine, for as long as the scope is open. Identifiers start at 0; how many there may be,
 * `KVM_CAP_MAX_VCPU_ID` tells.
 *
 * Request `KVM_CREATE_VCPU`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const pair = (vm: Kvm.Vm) => Effect.all([Kvm.createVcpu(vm, 0), Kvm.createVcpu(vm, 1)])
 * ```
 *
 * @category vCPUs
 * @since 0.1.0
 */
export const createVcpu = (vm: Vm, id: number): Effect.Effect<Vcpu, CreateVcpuError, Scope.Scope> => {
  return Effect.suspend(() => {
    const machine = vmStateOf(vm)
    const { scope, vcpuMmapSize, vcpus } = machine
    return part.acquire(
      vcpus,
      Effect.gen(function* () {
        const fd = yield* File.ioctl(vm.file, KVM_CREATE_VCPU, id)
        const file = File.asDevice(yield* part.adopt(fd), KvmVcpu)
        const page = yield* File.mmap(file, { length: vcpuMmapSize, shared: true })
        return new VcpuState(id, machine, file, page, yield* Effect.scope)
      }),
      (state) =>
        Effect.sync(() => {
          state.closed = true
          // The scope that closes next ends the thread, and by that the run: the flag is for a guest not yet entered.
          state.immediateExit = 1
        }),
      () => KVM_CREATE_VCPU.errors.make(codes.EBADF, undefined, undefined, "the machine is closed"),
      scope
    )
  })
}

/** Fails as the kernel would, before it is asked. */
export const refuse = <E>(errors: CallErrors<E>, code: number, detail: string): Exit_.Exit<never, E> =>
  Exit_.fail(errors.make(code, undefined, undefined, detail))

/**
 * A request to a vCPU at rest: the kernel would make one wait for the guest to stop, and the event loop with it.
 */
export const stopped = <A, E>(
  vcpu: Vcpu,
  { errors, name }: { readonly errors: CallErrors<E>; readonly name: string },
  f: (state: VcpuState) => Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    const state = stateOf(vcpu)
    return state.running ? refuse(errors, codes.EBUSY, `${name}: the vCPU is running`) : f(state)
  })
