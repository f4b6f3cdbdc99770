/**
 * Why a guest stopped: the run page's union as a tagged union, and the answers that some exits wait for.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { EBADF, EINVAL } from "../errors/errnos.ts"
import { codes } from "../errors/errnos.ts"
import { errorsOf, type OtherErrno } from "../errors/registry.ts"
import { Misuse, misuseOf } from "../internal/invoke.ts"
import * as constants from "./constants.ts"
import { kvm_run, kvm_run_exit } from "./structs.ts"

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
 * Why a guest stopped.
 *
 * - `Unknown`: for a reason of the hardware that KVM does not know
 * - `FailEntry`: the hardware did not enter the guest; `cpu` is the host's
 * - `Exception`: an exception that nobody handles (never on x86)
 * - `Io`, `Mmio`: the guest spoke to a device
 * - `Debug`: a breakpoint or single step; the fields are of x86_64
 * - `Hlt`: the guest halted, and no interrupt controller of KVM's waits for it
 * - `Shutdown`: a triple fault
 * - `SystemEvent`: the guest asked for power off, reset, …: `type` is one of `KVM_SYSTEM_EVENT_*`
 * - `InternalError`: KVM gave up; `suberror` is one of `KVM_INTERNAL_ERROR_*`
 * - `Intr`: a signal, or `immediate_exit`
 * - `RiscvSbi`, `RiscvCsr`: a call or register that the host is to emulate
 * - `Notify`: the guest was stuck without an exit
 * - `MemoryFault`: the guest touched `size` bytes at `gpa` that KVM could not resolve
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
  | {
      readonly _tag: "Debug"
      readonly exception: number
      readonly pc: bigint
      readonly dr6: bigint
      readonly dr7: bigint
    }
  | { readonly _tag: "Hlt" }
  | { readonly _tag: "Shutdown" }
  | { readonly _tag: "SystemEvent"; readonly type: number; readonly data: ReadonlyArray<bigint> }
  | { readonly _tag: "InternalError"; readonly suberror: number; readonly data: ReadonlyArray<bigint> }
  | { readonly _tag: "Intr" }
  | {
      readonly _tag: "RiscvSbi"
      readonly extensionId: bigint
      readonly functionId: bigint
      readonly args: ReadonlyArray<bigint>
      readonly respond: (ret: readonly [error: bigint, value: bigint]) => Effect.Effect<void, RespondError>
    }
  | {
      readonly _tag: "RiscvCsr"
      readonly csrNum: bigint
      readonly newValue: bigint
      readonly writeMask: bigint
      readonly respond: (value: bigint) => Effect.Effect<void, RespondError>
    }
  | { readonly _tag: "Notify"; readonly flags: number }
  | { readonly _tag: "MemoryFault"; readonly flags: bigint; readonly gpa: bigint; readonly size: bigint }
  | { readonly _tag: "Other"; readonly reason: number }

/**
 * Constructors of exits, for tests of what handles them, with `Exit.$is` and `Exit.$match`.
 *
 * @category exits
 * @since 0.1.0
 */
export const Exit: Data.TaggedEnum.Constructor<Exit> = Data.taggedEnum<Exit>()

const respondErrors = errorsOf("ioctl", ["EBADF", "EINVAL"])

/** Where the union of details lies in the run page. */
const details = kvm_run.fields.exit.offset

const member = <K extends keyof typeof kvm_run_exit.fields>(name: K) => kvm_run_exit.fields[name].layout

const littleEndian = (value: number | bigint, width: number): Uint8Array => {
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new Misuse(codes.EINVAL, `value: ${value} is no safe integer`)
  }
  const bits = BigInt(value)
  if (bits < 0n || bits >> BigInt(8 * width) !== 0n) {
    throw new Misuse(codes.EINVAL, `value: ${value} does not fit in ${width} bytes`)
  }
  return Uint8Array.from({ length: width }, (_, index) => Number((bits >> BigInt(8 * index)) & 0xffn))
}

const bytesOf = (value: number | bigint | Uint8Array, size: number, count: number): Uint8Array => {
  if (value instanceof Uint8Array) {
    if (value.length === size * count) return value
    throw new Misuse(codes.EINVAL, `value: expected ${size * count} bytes, got ${value.length}`)
  }
  if (typeof value !== "number" && typeof value !== "bigint") {
    throw new TypeError("value: expected a number, bigint or Uint8Array")
  }
  if (count !== 1)
    throw new Misuse(codes.EINVAL, `value: expected ${size * count} bytes for ${count} reads, got a number`)
  return littleEndian(value, size)
}

/** What decoding needs of a vCPU. */
export interface RunPage {
  readonly bytes: Uint8Array
  /** `EBADF` if the vCPU is closed, `EINVAL` if the guest has been run since this check was made; else undefined. */
  readonly makeStale: () => () => Misuse | undefined
}

const answer = (stale: () => Misuse | undefined, write: () => void): Effect.Effect<void, RespondError> =>
  Effect.suspend(() => {
    try {
      const misuse = stale()
      if (misuse !== undefined) throw misuse
      write()
      return Effect.void
    } catch (thrown) {
      const { code, detail } = misuseOf(thrown)
      return Effect.fail(respondErrors.make(code, undefined, undefined, `KVM_RUN: ${detail}`))
    }
  })

const decodeIo = (page: RunPage): Io => {
  const { count, data_offset, direction, port, size } = member("io").decode(page.bytes, details)
  const at = Number(data_offset)
  const data = page.bytes.slice(at, at + size * count)
  const common = { _tag: "Io", port, size, count } as const
  if (direction === constants.KVM_EXIT_IO_OUT) return { ...common, direction: "out", data }
  const stale = page.makeStale()
  return {
    ...common,
    direction: "in",
    data: data.fill(0),
    respond: (value) => answer(stale, () => page.bytes.set(bytesOf(value, size, count), at))
  }
}

const decodeMmio = (page: RunPage): Mmio => {
  const layout = member("mmio")
  const { data, is_write, len, phys_addr } = layout.decode(page.bytes, details)
  const common = { _tag: "Mmio", address: phys_addr } as const
  if (is_write !== 0) return { ...common, isWrite: true, data: data.slice(0, len) }
  const stale = page.makeStale()
  const at = details + layout.fields.data.offset
  return {
    ...common,
    isWrite: false,
    data: new Uint8Array(len),
    respond: (value) => answer(stale, () => page.bytes.set(bytesOf(value, len, 1), at))
  }
}

/** The exit that the run page tells of. */
export const decode = (page: RunPage): Exit => {
  const { bytes } = page
  const reason = kvm_run.fields.exit_reason.layout.get(
    new DataView(bytes.buffer, bytes.byteOffset),
    kvm_run.fields.exit_reason.offset
  )
  switch (reason) {
    case constants.KVM_EXIT_UNKNOWN: {
      const { hardware_exit_reason } = member("hw").decode(bytes, details)
      return { _tag: "Unknown", hardwareExitReason: hardware_exit_reason }
    }
    case constants.KVM_EXIT_EXCEPTION: {
      const { error_code, exception } = member("ex").decode(bytes, details)
      return { _tag: "Exception", exception, errorCode: error_code }
    }
    case constants.KVM_EXIT_IO:
      return decodeIo(page)
    case constants.KVM_EXIT_DEBUG: {
      const { arch } = member("debug").decode(bytes, details)
      return { _tag: "Debug", ...arch }
    }
    case constants.KVM_EXIT_HLT:
      return { _tag: "Hlt" }
    case constants.KVM_EXIT_MMIO:
      return decodeMmio(page)
    case constants.KVM_EXIT_SHUTDOWN:
      return { _tag: "Shutdown" }
    case constants.KVM_EXIT_FAIL_ENTRY: {
      const { cpu, hardware_entry_failure_reason } = member("fail_entry").decode(bytes, details)
      return { _tag: "FailEntry", hardwareEntryFailureReason: hardware_entry_failure_reason, cpu }
    }
    case constants.KVM_EXIT_INTR:
      return { _tag: "Intr" }
    case constants.KVM_EXIT_INTERNAL_ERROR: {
      const { data, ndata, suberror } = member("internal").decode(bytes, details)
      return { _tag: "InternalError", suberror, data: data.slice(0, ndata) }
    }
    case constants.KVM_EXIT_SYSTEM_EVENT: {
      const { data, ndata, type } = member("system_event").decode(bytes, details)
      return { _tag: "SystemEvent", type, data: data.slice(0, ndata) }
    }
    case constants.KVM_EXIT_RISCV_SBI: {
      const layout = member("riscv_sbi")
      const { args, extension_id, function_id } = layout.decode(bytes, details)
      const stale = page.makeStale()
      return {
        _tag: "RiscvSbi",
        extensionId: extension_id,
        functionId: function_id,
        args,
        respond: (ret) => {
          const at = details + layout.fields.ret.offset
          return answer(stale, () => layout.fields.ret.layout.set(new DataView(bytes.buffer), at, ret, "ret"))
        }
      }
    }
    case constants.KVM_EXIT_RISCV_CSR: {
      const layout = member("riscv_csr")
      const { csr_num, new_value, write_mask } = layout.decode(bytes, details)
      const stale = page.makeStale()
      return {
        _tag: "RiscvCsr",
        csrNum: csr_num,
        newValue: new_value,
        writeMask: write_mask,
        respond: (value) => {
          const at = details + layout.fields.ret_value.offset
          return answer(stale, () => layout.fields.ret_value.layout.set(new DataView(bytes.buffer), at, value, "value"))
        }
      }
    }
    case constants.KVM_EXIT_NOTIFY:
      return { _tag: "Notify", flags: member("notify").decode(bytes, details).flags }
    case constants.KVM_EXIT_MEMORY_FAULT:
      return { _tag: "MemoryFault", ...member("memory_fault").decode(bytes, details) }
    default:
      return { _tag: "Other", reason }
  }
}
