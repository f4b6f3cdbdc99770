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
import { acquire as map } from "../file/mapping.ts"
import { own } from "../file/model.ts"
import type * as Ioctl from "../Ioctl.ts"
import { Misuse } from "../internal/invoke.ts"
import type * as Mapping from "../Mapping.ts"
import type * as Syscall from "../Syscall.ts"
import type { RunPage } from "./exit.ts"
import * as part from "./part.ts"
import { KVM_CREATE_VCPU, KvmVcpu } from "./requests.ts"
import type { Ring } from "./ring.ts"
import { type kvm_guest_debug, kvm_run } from "./structs.ts"
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

/** The vCPUs that a machine has. */
const vcpusByVm = new WeakMap<VmState, Set<VcpuState>>()

export const vcpusOf = (vm: VmState): ReadonlyArray<VcpuState> => [...(vcpusByVm.get(vm) ?? [])]

/** What is behind the public face. */
export class VcpuState implements Vcpu, RunPage {
  readonly id: number
  readonly vm: VmState
  readonly file: File.File<KvmVcpu>
  readonly page: Mapping.Mapping
  readonly bytes: Uint8Array
  readonly scope: Scope.Scope
  readonly view: DataView
  closed = false
  /** The guest is being run at this moment: requests would wait. */
  running = false
  /** A fiber runs it, be it that the guest stands still meanwhile: paused, or while an exit is handled. */
  occupied = false
  /** An exit that no fiber has seen, as its fiber was interrupted when the guest had just stopped by itself. */
  kept = false
  /** The same of one that is held back until the vCPU is resumed. */
  parked = false
  /** The next run is to end with `Intr` before the guest is entered: see `control.ts`. */
  kicked = false
  /** The run that has just ended, or that is under way, was kicked. */
  wasKicked = false
  /** How often it has been paused without being resumed. */
  pauses = 0
  /** Makes the kernel come back from `KVM_RUN`; set while it runs on its thread. */
  stop: (() => void) | undefined = undefined
  /** The same of its thread, where it has one. */
  stopThread: (() => void) | undefined = undefined
  /** How often the guest was entered: an exit of an earlier time is stale. */
  entries = 0
  /** The entry whose exit was last answered: see `snapshot-exit.ts`. */
  answered = 0
  thread: Syscall.Thread | undefined
  /** Where its thread puts writes by, and the table by which it does: memory that it has while it runs a bus. */
  ring: Ring | undefined = undefined
  lent: SharedArrayBuffer | undefined = undefined
  /** What was last set by `KVM_SET_GUEST_DEBUG`, which cannot be asked for. */
  guestDebug: kvm_guest_debug | undefined = undefined
  /** Told, once, when the guest stands still. */
  private readonly atRest: Array<() => void> = []
  /** Told, once, when it is no longer paused, or closed. */
  private readonly onResumed: Set<() => void> = new Set()

  constructor(id: number, vm: VmState, file: File.File<KvmVcpu>, page: Mapping.Mapping, scope: Scope.Scope) {
    this.id = id
    this.vm = vm
    this.file = file
    this.page = page
    this.bytes = page.bytes
    this.scope = scope
    this.view = new DataView(page.buffer)
    const all = vcpusByVm.get(vm) ?? new Set()
    all.add(this)
    vcpusByVm.set(vm, all)
  }

  get reason(): number {
    return this.view.getUint32(reasonAt, true)
  }

  set reason(reason: number) {
    this.view.setUint32(reasonAt, reason, true)
  }

  /** Makes the kernel come back from `KVM_RUN` before it enters the guest, until the next run. */
  set immediateExit(value: 0 | 1) {
    // Somebody may have given the page's buffer away.
    if (this.view.buffer.byteLength > 0) this.view.setUint8(immediateExitAt, value)
  }

  /** The guest stands still from now on. */
  rest(): void {
    this.running = false
    this.stop = undefined
    if (this.atRest.length > 0) for (const told of this.atRest.splice(0)) told()
  }

  /** Calls `told` when the guest stands still. */
  whenAtRest(told: () => void): void {
    if (this.running) this.atRest.push(told)
    else told()
  }

  /** Calls `told` when it is resumed or closed; not any more when the function that is returned has been called. */
  whenResumed(told: () => void): () => void {
    this.onResumed.add(told)
    return () => this.onResumed.delete(told)
  }

  resume(): void {
    if (this.pauses > 0 && --this.pauses > 0) return
    this.tellResumed()
  }

  /** Nothing is begun any more; what waits hears of it. */
  close(): void {
    this.closed = true
    vcpusByVm.get(this.vm)?.delete(this)
    const machine = own(this.vm.file)
    // Whoever has a descriptor of the vCPU has the machine.
    if (own(this.file).shared) machine.shared = true
    if (!machine.closed) part.closesAtOnce(this.file)
    // The scope that closes next ends the thread, and by that the run: the flag is for a guest not yet entered.
    this.immediateExit = 1
    this.tellResumed()
  }

  private tellResumed(): void {
    const all = [...this.onResumed]
    this.onResumed.clear()
    for (const told of all) told()
  }

  makeStale(): () => Misuse | undefined {
    const { entries } = this
    return () => {
      if (this.closed) return new Misuse(codes.EBADF, "the vCPU is closed")
      if (this.entries !== entries) return new Misuse(codes.EINVAL, "the guest has been run since this exit")
      this.answered = entries
      return undefined
    }
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
export type CreateVcpuError = Ioctl.RequestError<typeof KVM_CREATE_VCPU> | MmapError | StatxError

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
      Effect.flatMap(File.ioctl(vm.file, KVM_CREATE_VCPU, id), (fd) =>
        Effect.flatMap(part.adoptKeeper(fd), (adopted) => {
          const file = File.asDevice(adopted, KvmVcpu)
          // Not by `File.mmap`, which first asks how long the file is: this one's length is known, and it is no file.
          return Effect.flatMap(map(fd, { length: vcpuMmapSize, shared: true }, own(file)), (page) =>
            Effect.map(Effect.scope, (scope) => new VcpuState(id, machine, file, page, scope))
          )
        })
      ),
      (state) => {
        state.close()
        return Exit_.void
      },
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
