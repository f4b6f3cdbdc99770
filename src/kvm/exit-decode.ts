/**
 * Reading exits from the run page. What they are is in `exit.ts`.
 *
 * Accesses to devices are read field by field and by hand, as a guest may make a hundred thousand of them a second; all
 * others through their structures.
 */
import * as constants from "./constants.ts"
import type {
  EmulationFailure,
  Exit,
  Hypercall,
  Hyperv,
  InternalError,
  Io,
  Mmio,
  RdMsr,
  Tdx,
  WrMsr,
  Xen
} from "./exit.ts"
import { decodeOfOtherArchitecture } from "./exit-decode-architectures.ts"
import {
  answer,
  copyOf,
  details,
  littleEndian,
  member,
  put,
  type RunPage,
  respondTo,
  respondWith,
  word16,
  word32,
  word64
} from "./exit-page.ts"
import { kvm_run } from "./structs.ts"

// ---------------------------------------------------------------------------------------------------------------------
// devices
// ---------------------------------------------------------------------------------------------------------------------

const reasonAt = kvm_run.fields.exit_reason.offset

const io = member("io").fields
const ioDirectionAt = details + io.direction.offset
const ioSizeAt = details + io.size.offset
const ioPortAt = details + io.port.offset
const ioCountAt = details + io.count.offset
const ioDataOffsetAt = details + io.data_offset.offset

const decodeIo = (page: RunPage): Io => {
  const { bytes } = page
  const size = bytes[ioSizeAt] ?? 0
  const port = word16(bytes, ioPortAt)
  const count = word32(bytes, ioCountAt)
  // Of 64 bits, but within the page.
  const at = word32(bytes, ioDataOffsetAt)
  if (bytes[ioDirectionAt] === constants.KVM_EXIT_IO_OUT) {
    return { _tag: "Io", direction: "out", port, size, count, data: copyOf(bytes, at, size * count) }
  }
  const stale = page.makeStale()
  return {
    _tag: "Io",
    direction: "in",
    port,
    size,
    count,
    data: new Uint8Array(size * count),
    respond: (value) => answer(stale, () => put(bytes, at, value, size, count))
  }
}

const mmio = member("mmio").fields
const mmioAddressAt = details + mmio.phys_addr.offset
const mmioDataAt = details + mmio.data.offset
const mmioLengthAt = details + mmio.len.offset
const mmioIsWriteAt = details + mmio.is_write.offset

const decodeMmio = (page: RunPage): Mmio => {
  const { bytes } = page
  const address = word64(bytes, mmioAddressAt)
  const length = word32(bytes, mmioLengthAt)
  if (bytes[mmioIsWriteAt] !== 0) {
    return { _tag: "Mmio", isWrite: true, address, data: copyOf(bytes, mmioDataAt, length) }
  }
  const stale = page.makeStale()
  return {
    _tag: "Mmio",
    isWrite: false,
    address,
    data: new Uint8Array(length),
    respond: (value) => answer(stale, () => put(bytes, mmioDataAt, value, length, 1))
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// registers and calls
// ---------------------------------------------------------------------------------------------------------------------

const msr = member("msr")
const msrErrorAt = details + msr.fields.error.offset
const msrDataAt = details + msr.fields.data.offset

const failMsr = (page: RunPage, stale: ReturnType<RunPage["makeStale"]>) =>
  answer(stale, () => {
    page.bytes[msrErrorAt] = 1
  })

const decodeRdMsr = (page: RunPage): RdMsr => {
  const { index, reason } = msr.decode(page.bytes, details)
  const stale = page.makeStale()
  return {
    _tag: "RdMsr",
    reason,
    index,
    respond: (value) =>
      answer(stale, () => {
        page.bytes.set(littleEndian(value, 8), msrDataAt)
        page.bytes[msrErrorAt] = 0
      }),
    fail: failMsr(page, stale)
  }
}

const decodeWrMsr = (page: RunPage): WrMsr => {
  const { data, index, reason } = msr.decode(page.bytes, details)
  return { _tag: "WrMsr", reason, index, data, fail: failMsr(page, page.makeStale()) }
}

const decodeHypercall = (page: RunPage): Hypercall => {
  const layout = member("hypercall")
  const { args, flags, nr } = layout.decode(page.bytes, details)
  return { _tag: "Hypercall", nr, args, flags, respond: respondTo(page, details + layout.fields.ret.offset) }
}

const other = (reason: number): Exit => ({ _tag: "Other", reason })

const decodeHyperv = (page: RunPage): Hyperv | undefined => {
  const layout = member("hyperv")
  const { type, u } = layout.decode(page.bytes, details)
  const at = details + layout.fields.u.offset
  switch (type) {
    case constants.KVM_EXIT_HYPERV_SYNIC: {
      const { control, evt_page, msg_page, msr } = u.synic
      return { _tag: "Hyperv", kind: "synic", msr, control, evtPage: evt_page, msgPage: msg_page }
    }
    case constants.KVM_EXIT_HYPERV_HCALL: {
      const { result } = layout.fields.u.layout.fields.hcall.layout.fields
      const { input, params } = u.hcall
      return { _tag: "Hyperv", kind: "hcall", input, params, respond: respondTo(page, at + result.offset) }
    }
    case constants.KVM_EXIT_HYPERV_SYNDBG: {
      const { status: field } = layout.fields.u.layout.fields.syndbg.layout.fields
      const { control, msr, pending_page, recv_page, send_page, status } = u.syndbg
      return {
        _tag: "Hyperv",
        kind: "syndbg",
        msr,
        control,
        status,
        sendPage: send_page,
        recvPage: recv_page,
        pendingPage: pending_page,
        respond: respondTo(page, at + field.offset)
      }
    }
  }
  return undefined
}

const decodeXen = (page: RunPage): Xen | undefined => {
  const layout = member("xen")
  const { type, u } = layout.decode(page.bytes, details)
  if (type !== constants.KVM_EXIT_XEN_HCALL) return undefined
  const { cpl, input, longmode, params } = u.hcall
  const { result } = layout.fields.u.layout.fields.hcall.layout.fields
  return {
    _tag: "Xen",
    kind: "hcall",
    longMode: longmode !== 0,
    cpl,
    input,
    params,
    respond: respondTo(page, details + layout.fields.u.offset + result.offset)
  }
}

const decodeTdx = (page: RunPage): Tdx => {
  const layout = member("tdx")
  const { flags, nr, u } = layout.decode(page.bytes, details)
  const at = details + layout.fields.u.offset
  // The status is the first field of each.
  const common = { _tag: "Tdx", flags, nr } as const
  switch (Number(nr)) {
    case constants.TDVMCALL_GET_QUOTE: {
      const { gpa, size } = u.get_quote
      return { ...common, kind: "getQuote", gpa, size, respond: respondTo(page, at) }
    }
    case constants.TDVMCALL_GET_TD_VM_CALL_INFO: {
      const { leaf } = u.get_tdvmcall_info
      const info = layout.fields.u.layout.fields.get_tdvmcall_info.layout
      const respond = respondWith(page, at, info, "info")
      return { ...common, kind: "getTdVmCallInfo", leaf, respond: (values) => respond({ ...values, leaf }) }
    }
    case constants.TDVMCALL_SETUP_EVENT_NOTIFY_INTERRUPT:
      return {
        ...common,
        kind: "setupEventNotify",
        vector: u.setup_event_notify.vector,
        respond: respondTo(page, at)
      }
    default:
      return { ...common, kind: "unknown", data: u.unknown.data, respond: respondTo(page, at) }
  }
}

const emulationFailureOf = (bytes: Uint8Array): EmulationFailure => {
  const { flags, insn_bytes, insn_size } = member("emulation_failure").decode(bytes, details)
  const told = (flags & BigInt(constants.KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)) !== 0n
  return { flags, insnBytes: told ? insn_bytes.slice(0, insn_size) : undefined }
}

const decodeInternalError = ({ bytes }: RunPage): InternalError => {
  const { data, ndata, suberror } = member("internal").decode(bytes, details)
  const common = { _tag: "InternalError", suberror, data: data.slice(0, ndata) } as const
  return suberror === constants.KVM_INTERNAL_ERROR_EMULATION && ndata > 0
    ? { ...common, emulation: emulationFailureOf(bytes) }
    : common
}

// ---------------------------------------------------------------------------------------------------------------------
// all
// ---------------------------------------------------------------------------------------------------------------------

/** The exit that the run page tells of. */
export const decode = (page: RunPage): Exit => {
  const reason = word32(page.bytes, reasonAt)
  switch (reason) {
    case constants.KVM_EXIT_IO:
      return decodeIo(page)
    case constants.KVM_EXIT_MMIO:
      return decodeMmio(page)
    case constants.KVM_EXIT_HLT:
      return { _tag: "Hlt" }
    case constants.KVM_EXIT_INTR:
      return { _tag: "Intr" }
    default:
      return decodeRarer(page, reason)
  }
}

const decodeRarer = (page: RunPage, reason: number): Exit => {
  const { bytes } = page
  switch (reason) {
    case constants.KVM_EXIT_UNKNOWN: {
      const { hardware_exit_reason } = member("hw").decode(bytes, details)
      return { _tag: "Unknown", hardwareExitReason: hardware_exit_reason }
    }
    case constants.KVM_EXIT_EXCEPTION: {
      const { error_code, exception } = member("ex").decode(bytes, details)
      return { _tag: "Exception", exception, errorCode: error_code }
    }
    case constants.KVM_EXIT_HYPERCALL:
      return decodeHypercall(page)
    case constants.KVM_EXIT_DEBUG: {
      const { arch } = member("debug").decode(bytes, details)
      return { _tag: "Debug", ...arch }
    }
    case constants.KVM_EXIT_IRQ_WINDOW_OPEN:
      return { _tag: "IrqWindowOpen" }
    case constants.KVM_EXIT_SHUTDOWN:
      return { _tag: "Shutdown" }
    case constants.KVM_EXIT_FAIL_ENTRY: {
      const { cpu, hardware_entry_failure_reason } = member("fail_entry").decode(bytes, details)
      return { _tag: "FailEntry", hardwareEntryFailureReason: hardware_entry_failure_reason, cpu }
    }
    case constants.KVM_EXIT_SET_TPR:
      return { _tag: "SetTpr", cr8: word64(bytes, kvm_run.fields.cr8.offset) }
    case constants.KVM_EXIT_TPR_ACCESS: {
      const { is_write, rip } = member("tpr_access").decode(bytes, details)
      return { _tag: "TprAccess", rip, isWrite: is_write !== 0 }
    }
    case constants.KVM_EXIT_NMI:
      return { _tag: "Nmi" }
    case constants.KVM_EXIT_INTERNAL_ERROR:
      return decodeInternalError(page)
    case constants.KVM_EXIT_SYSTEM_EVENT: {
      const { data, ndata, type } = member("system_event").decode(bytes, details)
      return { _tag: "SystemEvent", type, data: data.slice(0, ndata) }
    }
    case constants.KVM_EXIT_IOAPIC_EOI:
      return { _tag: "IoapicEoi", vector: member("eoi").decode(bytes, details).vector }
    case constants.KVM_EXIT_HYPERV:
      return decodeHyperv(page) ?? other(reason)
    case constants.KVM_EXIT_X86_RDMSR:
      return decodeRdMsr(page)
    case constants.KVM_EXIT_X86_WRMSR:
      return decodeWrMsr(page)
    case constants.KVM_EXIT_DIRTY_RING_FULL:
      return { _tag: "DirtyRingFull" }
    case constants.KVM_EXIT_AP_RESET_HOLD:
      return { _tag: "ApResetHold" }
    case constants.KVM_EXIT_X86_BUS_LOCK:
      return { _tag: "BusLock" }
    case constants.KVM_EXIT_XEN:
      return decodeXen(page) ?? other(reason)
    case constants.KVM_EXIT_NOTIFY:
      return { _tag: "Notify", flags: member("notify").decode(bytes, details).flags }
    case constants.KVM_EXIT_MEMORY_FAULT:
      return { _tag: "MemoryFault", ...member("memory_fault").decode(bytes, details) }
    case constants.KVM_EXIT_TDX:
      return decodeTdx(page)
    default:
      return decodeOfOtherArchitecture(page, reason) ?? other(reason)
  }
}
