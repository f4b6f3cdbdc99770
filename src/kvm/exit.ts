/**
 * Why a guest stopped: the run page's union as a tagged union, and the answers that some exits wait for. How it is read
 * from the page is in `exit-decode.ts`.
 */
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { EBADF, EINVAL } from "../errors/errnos.ts"
import type { OtherErrno } from "../errors/registry.ts"
import type { ArchitectureExit } from "./exit-architectures.ts"

export { decode } from "./exit-decode.ts"
export type { RunPage } from "./exit-page.ts"

/**
 * What answering an exit fails with: `EINVAL` where the value does not fit the width that the guest reads, or the guest
 * has been run since; `EBADF` where the vCPU is closed.
 *
 * @category errors
 * @since 0.1.0
 */
export type RespondError = EINVAL | EBADF | OtherErrno

/**
 * Gives the guest what it reads: an unsigned number of the exit's width, or exactly as many bytes.
 *
 * @category models
 * @since 0.1.0
 */
export type Respond = (value: number | bigint | Uint8Array) => Effect.Effect<void, RespondError>

/**
 * Gives the guest an unsigned number of 64 bits.
 *
 * @category models
 * @since 0.1.0
 */
export type RespondNumber = (value: number | bigint) => Effect.Effect<void, RespondError>

/**
 * The guest wrote to an I/O port, or reads one.
 *
 * `data` holds `count` values of `size` bytes (1, 2 or 4) each: what the guest wrote, or, to be filled by `respond`,
 * zeros. A count above 1 is a string instruction (`rep outsb`, `rep insb`).
 *
 * @category exits
 * @since 0.1.0
 */
export type Io =
  | {
      readonly _tag: "Io"
      readonly direction: "out"
      readonly port: number
      readonly size: number
      readonly count: number
      readonly data: Uint8Array
    }
  | {
      readonly _tag: "Io"
      readonly direction: "in"
      readonly port: number
      readonly size: number
      readonly count: number
      readonly data: Uint8Array
      readonly respond: Respond
    }

/**
 * The guest touched an address behind which there is no memory: `data` is what it wrote, of 1 to 8 bytes, or, to be
 * filled by `respond`, zeros.
 *
 * @category exits
 * @since 0.1.0
 */
export type Mmio =
  | { readonly _tag: "Mmio"; readonly isWrite: true; readonly address: bigint; readonly data: Uint8Array }
  | {
      readonly _tag: "Mmio"
      readonly isWrite: false
      readonly address: bigint
      readonly data: Uint8Array
      readonly respond: Respond
    }

/**
 * What KVM could not emulate: `insnBytes` are the bytes of the instruction that it had fetched (up to 15), undefined
 * where `flags` (`KVM_INTERNAL_ERROR_EMULATION_FLAG_*`) do not say that they hold.
 *
 * @category models
 * @since 0.1.0
 */
export interface EmulationFailure {
  readonly flags: bigint
  readonly insnBytes: Uint8Array | undefined
}

/**
 * KVM gave up. `suberror` is one of `KVM_INTERNAL_ERROR_*`, `data` what it said of it: debugging information without a
 * fixed form, but for `KVM_INTERNAL_ERROR_EMULATION`, whose `emulation` is decoded where the kernel gave it (since 5.14,
 * and only with `KVM_CAP_EXIT_ON_EMULATION_FAILURE` or for code of user mode).
 *
 * @category exits
 * @since 0.1.0
 */
export interface InternalError {
  readonly _tag: "InternalError"
  readonly suberror: number
  readonly data: ReadonlyArray<bigint>
  readonly emulation?: EmulationFailure | undefined
}

/**
 * The guest reads a model-specific register that the host sees to (`KVM_CAP_X86_USER_SPACE_MSR`). `reason` is one of
 * `KVM_MSR_EXIT_REASON_*`. It reads 0 unless `respond` says otherwise; `fail` makes it a general protection fault.
 *
 * @category exits
 * @since 0.1.0
 */
export interface RdMsr {
  readonly _tag: "RdMsr"
  readonly reason: number
  readonly index: number
  readonly respond: RespondNumber
  readonly fail: Effect.Effect<void, RespondError>
}

/**
 * The guest writes `data` to a model-specific register that the host sees to (`KVM_CAP_X86_USER_SPACE_MSR`). `reason` is
 * one of `KVM_MSR_EXIT_REASON_*`. Without an answer it has been written; `fail` makes it a general protection fault.
 *
 * @category exits
 * @since 0.1.0
 */
export interface WrMsr {
  readonly _tag: "WrMsr"
  readonly reason: number
  readonly index: number
  readonly data: bigint
  readonly fail: Effect.Effect<void, RespondError>
}

/**
 * The guest calls its hypervisor for something that the host is to do: `nr` is one of `KVM_HC_*`, those that
 * `KVM_CAP_EXIT_HYPERCALL` was enabled for. Without an answer the call returns 0.
 *
 * `flags` has `KVM_EXIT_HYPERCALL_LONG_MODE` where the guest is in 64-bit mode.
 *
 * @category exits
 * @since 0.1.0
 */
export interface Hypercall {
  readonly _tag: "Hypercall"
  readonly nr: bigint
  /** Six. */
  readonly args: ReadonlyArray<bigint>
  readonly flags: bigint
  readonly respond: RespondNumber
}

/**
 * The guest used an interface of Hyper-V's that the host is to see to.
 *
 * - `synic`: it wrote `msr` of the synthetic interrupt controller, whose state this is
 * - `hcall`: a hypercall, `input` and two `params`; `respond` gives its result
 * - `syndbg`: it wrote `msr` of the synthetic debugger; `respond` gives the status
 *
 * @category exits
 * @since 0.1.0
 */
export type Hyperv =
  | {
      readonly _tag: "Hyperv"
      readonly kind: "synic"
      readonly msr: number
      readonly control: bigint
      readonly evtPage: bigint
      readonly msgPage: bigint
    }
  | {
      readonly _tag: "Hyperv"
      readonly kind: "hcall"
      readonly input: bigint
      /** Two. */
      readonly params: ReadonlyArray<bigint>
      readonly respond: RespondNumber
    }
  | {
      readonly _tag: "Hyperv"
      readonly kind: "syndbg"
      readonly msr: number
      readonly control: bigint
      readonly status: bigint
      readonly sendPage: bigint
      readonly recvPage: bigint
      readonly pendingPage: bigint
      readonly respond: RespondNumber
    }

/**
 * The guest made a hypercall of Xen's (`KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL`): `input` is its number, `params` are its
 * six arguments, `cpl` is the privilege level it was made at. `respond` gives its result.
 *
 * @category exits
 * @since 0.1.0
 */
export interface Xen {
  readonly _tag: "Xen"
  readonly kind: "hcall"
  readonly longMode: boolean
  readonly cpl: number
  readonly input: bigint
  readonly params: ReadonlyArray<bigint>
  readonly respond: RespondNumber
}

/**
 * What `TDVMCALL_GET_TD_VM_CALL_INFO` gives to the guest: a status, 0 for success, and four registers.
 *
 * @category models
 * @since 0.1.0
 */
export interface TdVmCallInfo {
  readonly ret: bigint
  readonly r11: bigint
  readonly r12: bigint
  readonly r13: bigint
  readonly r14: bigint
}

/**
 * A confidential guest of Intel's TDX asks the host for something: `nr` is one of `TDVMCALL_*`. `respond` gives the
 * status, one of `TDVMCALL_STATUS_*`; without an answer most calls end as unsupported.
 *
 * - `getQuote`: a signed quote for the report in the shared memory at `gpa`, of `size` bytes
 * - `getTdVmCallInfo`: which calls there are
 * - `setupEventNotify`: the interrupt `vector` by which it wants to be notified
 * - `unknown`: any other, with its registers
 *
 * @category exits
 * @since 0.1.0
 */
export type Tdx =
  | {
      readonly _tag: "Tdx"
      readonly kind: "getQuote"
      readonly flags: bigint
      readonly nr: bigint
      readonly gpa: bigint
      readonly size: bigint
      readonly respond: RespondNumber
    }
  | {
      readonly _tag: "Tdx"
      readonly kind: "getTdVmCallInfo"
      readonly flags: bigint
      readonly nr: bigint
      readonly leaf: bigint
      readonly respond: (info: TdVmCallInfo) => Effect.Effect<void, RespondError>
    }
  | {
      readonly _tag: "Tdx"
      readonly kind: "setupEventNotify"
      readonly flags: bigint
      readonly nr: bigint
      readonly vector: bigint
      readonly respond: RespondNumber
    }
  | {
      readonly _tag: "Tdx"
      readonly kind: "unknown"
      readonly flags: bigint
      readonly nr: bigint
      readonly data: ReadonlyArray<bigint>
      readonly respond: RespondNumber
    }

/**
 * Why a guest stopped.
 *
 * - `Unknown`: for a reason of the hardware that KVM does not know
 * - `FailEntry`: the hardware did not enter the guest; `cpu` is the host's
 * - `Exception`: an exception that nobody handles (never on x86)
 * - `Io`, `Mmio`: the guest spoke to a device
 * - `RdMsr`, `WrMsr`: the guest touched a model-specific register that the host sees to
 * - `Hypercall`, `Hyperv`, `Xen`, `Tdx`: the guest called its hypervisor
 * - `Debug`: a breakpoint or single step; the fields are of x86_64
 * - `Hlt`: the guest halted, and no interrupt controller of KVM's waits for it
 * - `IrqWindowOpen`: the guest can take an interrupt now, which `request_interrupt_window` asked to be told
 * - `Nmi`: an NMI of the host came
 * - `SetTpr`: the guest lowered its task priority to `cr8` (0 to 15), with an interrupt controller that is not KVM's
 * - `TprAccess`: the guest touched its task priority register, which `KVM_TPR_ACCESS_REPORTING` asked to be told
 * - `IoapicEoi`: the guest ended the interrupt `vector`, with a split interrupt controller (`KVM_CAP_SPLIT_IRQCHIP`)
 * - `ApResetHold`: a processor of an encrypted guest waits for being started
 * - `Shutdown`: a triple fault
 * - `SystemEvent`: the guest asked for power off, reset, …: `type` is one of `KVM_SYSTEM_EVENT_*`, whose name
 *   {@link systemEventName} gives
 * - `InternalError`: KVM gave up
 * - `Intr`: a signal, or `immediate_exit`
 * - `DirtyRingFull`: the ring of pages that the guest wrote must be emptied before it can go on
 * - `BusLock`: the guest locked the bus (`KVM_BUS_LOCK_DETECTION_EXIT`)
 * - `Notify`: the guest was stuck without an exit
 * - `MemoryFault`: the guest touched `size` bytes at `gpa` that KVM could not resolve
 * - those of other architectures: see {@link ArchitectureExit}
 * - `Other`: any other `KVM_EXIT_*`; its details are in the vCPU's run page
 *
 * @category exits
 * @since 0.1.0
 */
export type Exit =
  | { readonly _tag: "Unknown"; readonly hardwareExitReason: bigint }
  | { readonly _tag: "FailEntry"; readonly hardwareEntryFailureReason: bigint; readonly cpu: number }
  | { readonly _tag: "Exception"; readonly exception: number; readonly errorCode: number }
  | Io
  | Mmio
  | RdMsr
  | WrMsr
  | Hypercall
  | Hyperv
  | Xen
  | Tdx
  | {
      readonly _tag: "Debug"
      readonly exception: number
      readonly pc: bigint
      readonly dr6: bigint
      readonly dr7: bigint
    }
  | { readonly _tag: "Hlt" }
  | { readonly _tag: "IrqWindowOpen" }
  | { readonly _tag: "Nmi" }
  | { readonly _tag: "SetTpr"; readonly cr8: bigint }
  | { readonly _tag: "TprAccess"; readonly rip: bigint; readonly isWrite: boolean }
  | { readonly _tag: "IoapicEoi"; readonly vector: number }
  | { readonly _tag: "ApResetHold" }
  | { readonly _tag: "Shutdown" }
  | { readonly _tag: "SystemEvent"; readonly type: number; readonly data: ReadonlyArray<bigint> }
  | InternalError
  | { readonly _tag: "Intr" }
  | { readonly _tag: "DirtyRingFull" }
  | { readonly _tag: "BusLock" }
  | { readonly _tag: "Notify"; readonly flags: number }
  | { readonly _tag: "MemoryFault"; readonly flags: bigint; readonly gpa: bigint; readonly size: bigint }
  | ArchitectureExit
  | { readonly _tag: "Other"; readonly reason: number }

/**
 * Constructors of exits, for tests of what handles them, with `Exit.$is` and `Exit.$match`.
 *
 * @category exits
 * @since 0.1.0
 */
export const Exit: Data.TaggedEnum.Constructor<Exit> = Data.taggedEnum<Exit>()

const systemEvents = [undefined, "SHUTDOWN", "RESET", "CRASH", "WAKEUP", "SUSPEND", "SEV_TERM", "TDX_FATAL"] as const

/**
 * What a `SystemEvent` is, by its `type`: the kernel's name without `KVM_SYSTEM_EVENT_`, undefined where there is none.
 *
 * @category exits
 * @since 0.1.0
 */
export const systemEventName = (type: number): (typeof systemEvents)[number] => systemEvents[type]
