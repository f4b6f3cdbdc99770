/**
 * Virtual CPUs: making them, their registers, running them.
 *
 * The kernel makes every request to a vCPU wait while it runs. Here it fails with `EBUSY` instead, as waiting would hold
 * up the event loop.
 */
import * as Effect from "effect/Effect"
import * as Exit_ from "effect/Exit"
import * as Scope from "effect/Scope"
import type { MmapError, StatxError } from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import type { CallErrors } from "../errors/registry.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import { Misuse } from "../internal/invoke.ts"
import type * as Mapping from "../Mapping.ts"
import * as Syscall from "../Syscall.ts"
import { KVM_EXIT_MEMORY_FAULT, KVM_EXIT_UNKNOWN, KVM_REG_SIZE_MASK } from "./constants.ts"
import { decode, type Exit, type RunPage } from "./exit.ts"
import * as part from "./part.ts"
import {
  KVM_CREATE_VCPU,
  KVM_GET_ONE_REG,
  KVM_GET_REGS,
  KVM_GET_SREGS,
  KVM_RUN,
  KVM_SET_ONE_REG,
  KVM_SET_REGS,
  KVM_SET_SREGS,
  KvmVcpu
} from "./requests.ts"
import { type kvm_regs, kvm_run, type kvm_sregs } from "./structs.ts"
import { type Vm, stateOf as vmStateOf } from "./vm.ts"

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

const reasonAt = kvm_run.fields.exit_reason.offset
const immediateExitAt = kvm_run.fields.immediate_exit.offset

/** What is behind the public face. */
class VcpuState implements Vcpu, RunPage {
  readonly id: number
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

  constructor(id: number, file: File.File<KvmVcpu>, page: Mapping.Mapping, scope: Scope.Scope) {
    this.id = id
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

const stateOf = (vcpu: Vcpu): VcpuState => {
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
    const { scope, vcpuMmapSize, vcpus } = vmStateOf(vm)
    return part.acquire(
      vcpus,
      Effect.gen(function* () {
        const fd = yield* File.ioctl(vm.file, KVM_CREATE_VCPU, id)
        const file = File.asDevice(yield* part.adopt(fd), KvmVcpu)
        const page = yield* File.mmap(file, { length: vcpuMmapSize, shared: true })
        return new VcpuState(id, file, page, yield* Effect.scope)
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

// ---------------------------------------------------------------------------------------------------------------------
// running
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What running a guest fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export type RunError = Ioctl.RequestError<typeof KVM_RUN>

const refuse = <E>(errors: CallErrors<E>, code: number, detail: string): Exit_.Exit<never, E> =>
  Exit_.fail(errors.make(code, undefined, undefined, detail))

const closedMeanwhile = () => refuse(KVM_RUN.errors, codes.EBADF, "KVM_RUN: the vCPU was closed meanwhile")

const atRest = (state: VcpuState): Exit_.Exit<Exit, RunError> =>
  state.closed ? closedMeanwhile() : Exit_.succeed(decode(state))

/** What a request that failed means: to stop for a signal or a fault is an exit like others. */
const failed = <E extends { readonly errno: number }>(state: VcpuState, error: E): Exit_.Exit<Exit, E | RunError> => {
  if (state.closed) return closedMeanwhile()
  if (error.errno === codes.EINTR) return Exit_.succeed({ _tag: "Intr" })
  const faulted = error.errno === codes.EFAULT || error.errno === codes.EHWPOISON
  return faulted && state.reason === KVM_EXIT_MEMORY_FAULT ? atRest(state) : Exit_.fail(error)
}

/** Marks the vCPU as running for the time that `enter` takes, unless there is an exit that nobody has seen yet. */
const entering = <E extends { readonly errno: number }>(
  vcpu: Vcpu,
  enter: (state: VcpuState) => Effect.Effect<number, E>
): Effect.Effect<Exit, E | RunError> =>
  Effect.suspend((): Effect.Effect<Exit, E | RunError> => {
    const state = stateOf(vcpu)
    if (state.closed) return refuse(KVM_RUN.errors, codes.EBADF, "KVM_RUN: the vCPU is closed")
    if (state.running) return refuse(KVM_RUN.errors, codes.EBUSY, "KVM_RUN: the vCPU is running")
    if (state.kept) {
      state.kept = false
      return atRest(state)
    }
    state.running = true
    state.entries++
    state.immediateExit = 0
    // The reason is also input: by it the kernel completes the access that the guest stopped for. Only the one that is
    // believed although the call failed must not be an old one.
    if (state.reason === KVM_EXIT_MEMORY_FAULT) state.reason = KVM_EXIT_UNKNOWN
    return enter(state).pipe(
      Effect.onExit(() =>
        Effect.sync(() => {
          state.running = false
        })
      ),
      Effect.matchEffect({
        onFailure: (error) => failed(state, error),
        onSuccess: () => atRest(state)
      })
    )
  })

/** The vCPU's own thread, made when it is first needed and ended with the vCPU. */
const threadOf = (state: VcpuState): Effect.Effect<Syscall.Thread, Syscall.MakeThreadError> =>
  state.thread !== undefined
    ? Effect.succeed(state.thread)
    : Effect.map(Scope.provide(Syscall.makeThread, state.scope), (thread) => {
        state.thread = thread
        return thread
      })

/**
 * Runs the guest until it stops, on the vCPU's own thread: the event loop goes on meanwhile.
 *
 * Interrupting the fiber stops the guest at once, wherever it is, and running it again goes on from there. An exit that
 * came at the same moment is not lost: the next run gives it. Fails with `EBUSY` while another fiber runs it.
 *
 * Request `KVM_RUN`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // runs until the guest halts, a second at most
 * const untilHalt = (vcpu: Kvm.Vcpu) =>
 *   Kvm.run(vcpu).pipe(
 *     Effect.repeat({ until: ({ _tag }) => _tag === "Hlt" }),
 *     Effect.timeout("1 second")
 *   )
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const run = (vcpu: Vcpu): Effect.Effect<Exit, RunError | Syscall.MakeThreadError> =>
  entering(vcpu, (state) =>
    Effect.flatMap(threadOf(state), (thread) =>
      File.ioctlOn(state.file, thread, KVM_RUN, {
        // For a guest that is not yet entered; one that is, the signal gets out.
        onInterrupt: () => {
          if (!state.closed) state.immediateExit = 1
        },
        onAbandoned: () => {
          state.kept = true
        }
      })
    )
  )

/**
 * Runs the guest until it stops, on the JavaScript thread: faster by two switches of threads, and nothing else happens
 * meanwhile. A guest that does not stop stops the program.
 *
 * **When to use**
 *
 * For guests that are known to stop soon, and for speed.
 *
 * Request `KVM_RUN`.
 *
 * @category running
 * @since 0.1.0
 */
export const runInline = (vcpu: Vcpu): Effect.Effect<Exit, RunError> =>
  entering(vcpu, ({ file }) => File.ioctl(file, KVM_RUN))

// ---------------------------------------------------------------------------------------------------------------------
// registers
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What reading or writing registers fails with; `EBUSY` while the guest runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type RegisterError = Ioctl.RequestError<typeof KVM_GET_REGS>

const stopped = <A, E>(
  vcpu: Vcpu,
  { errors, name }: { readonly errors: CallErrors<E>; readonly name: string },
  f: (state: VcpuState) => Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    const state = stateOf(vcpu)
    return state.running ? refuse(errors, codes.EBUSY, `${name}: the vCPU is running`) : f(state)
  })

/**
 * The general registers. x86_64; aarch64's are another structure: see `Kvm.aarch64`.
 *
 * Request `KVM_GET_REGS`.
 *
 * @category registers
 * @since 0.1.0
 */
export const getRegs = (vcpu: Vcpu): Effect.Effect<kvm_regs, RegisterError> =>
  stopped(vcpu, KVM_GET_REGS, ({ file }) => File.ioctl(file, KVM_GET_REGS))

/**
 * Sets the general registers, all of them.
 *
 * Request `KVM_SET_REGS`.
 *
 * @category registers
 * @since 0.1.0
 */
export const setRegs = (vcpu: Vcpu, regs: kvm_regs): Effect.Effect<void, RegisterError> =>
  stopped(vcpu, KVM_SET_REGS, ({ file }) => Effect.asVoid(File.ioctl(file, KVM_SET_REGS, regs)))

/**
 * Sets those general registers that `f` returns, which it is given all of; returns what they are then.
 *
 * Requests `KVM_GET_REGS`, `KVM_SET_REGS`.
 *
 * @example
 * ```ts
 * import { Kvm } from "effect-linux"
 *
 * declare const vcpu: Kvm.Vcpu
 *
 * const start = Kvm.modifyRegs(vcpu, () => ({ rip: 0x1000n, rflags: 2n }))
 * ```
 *
 * @category registers
 * @since 0.1.0
 */
export const modifyRegs = (
  vcpu: Vcpu,
  f: (regs: kvm_regs) => Partial<kvm_regs>
): Effect.Effect<kvm_regs, RegisterError> =>
  Effect.flatMap(getRegs(vcpu), (regs) => {
    const changed = { ...regs, ...f(regs) }
    return Effect.as(setRegs(vcpu, changed), changed)
  })

/**
 * The special registers. x86_64.
 *
 * Request `KVM_GET_SREGS`.
 *
 * @category registers
 * @since 0.1.0
 */
export const getSregs = (vcpu: Vcpu): Effect.Effect<kvm_sregs, RegisterError> =>
  stopped(vcpu, KVM_GET_SREGS, ({ file }) => File.ioctl(file, KVM_GET_SREGS))

/**
 * Sets the special registers, all of them.
 *
 * Request `KVM_SET_SREGS`.
 *
 * @category registers
 * @since 0.1.0
 */
export const setSregs = (vcpu: Vcpu, sregs: kvm_sregs): Effect.Effect<void, RegisterError> =>
  stopped(vcpu, KVM_SET_SREGS, ({ file }) => Effect.asVoid(File.ioctl(file, KVM_SET_SREGS, sregs)))

/**
 * Sets those special registers that `f` returns, which it is given all of; returns what they are then.
 *
 * Requests `KVM_GET_SREGS`, `KVM_SET_SREGS`.
 *
 * @category registers
 * @since 0.1.0
 */
export const modifySregs = (
  vcpu: Vcpu,
  f: (sregs: kvm_sregs) => Partial<kvm_sregs>
): Effect.Effect<kvm_sregs, RegisterError> =>
  Effect.flatMap(getSregs(vcpu), (sregs) => {
    const changed = { ...sregs, ...f(sregs) }
    return Effect.as(setSregs(vcpu, changed), changed)
  })

/**
 * What reading or writing one register fails with: `ENOENT` or `EINVAL` where there is no such register.
 *
 * @category errors
 * @since 0.1.0
 */
export type OneRegError = Ioctl.RequestError<typeof KVM_GET_ONE_REG>

/** The size in bytes that a register's identifier tells. */
const sizeOfReg = (id: bigint): number => 1 << Number((id & KVM_REG_SIZE_MASK) >> 52n)

/**
 * One register by its identifier (architecture, size and index: `KVM_REG_*`), of 8 to 2,048 bits, unsigned.
 *
 * Request `KVM_GET_ONE_REG`, on x86_64 since Linux 6.18.
 *
 * @category registers
 * @since 0.1.0
 */
export const getOneReg = (vcpu: Vcpu, id: bigint): Effect.Effect<bigint, OneRegError> =>
  stopped(vcpu, KVM_GET_ONE_REG, ({ file }) => {
    const value = new Uint8Array(sizeOfReg(id))
    return Effect.map(File.ioctl(file, KVM_GET_ONE_REG, { id, addr: Syscall.addressOf(value) }), () =>
      value.reduceRight((bits, byte) => (bits << 8n) | BigInt(byte), 0n)
    )
  })

/**
 * Sets one register by its identifier; a value that does not fit fails with `EINVAL`.
 *
 * Request `KVM_SET_ONE_REG`, on x86_64 since Linux 6.18.
 *
 * @category registers
 * @since 0.1.0
 */
export const setOneReg = (vcpu: Vcpu, id: bigint, value: bigint): Effect.Effect<void, OneRegError> =>
  stopped(vcpu, KVM_SET_ONE_REG, ({ file }) => {
    const size = sizeOfReg(id)
    if (value < 0n || value >> BigInt(8 * size) !== 0n) {
      return refuse(KVM_SET_ONE_REG.errors, codes.EINVAL, `value: ${value} does not fit in ${size} bytes`)
    }
    const bytes = Uint8Array.from({ length: size }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn))
    return Effect.map(File.ioctl(file, KVM_SET_ONE_REG, { id, addr: Syscall.addressOf(bytes) }), () => {
      // The memory must outlive the call, and the call knows only its address.
      bytes.fill(0)
    })
  })
