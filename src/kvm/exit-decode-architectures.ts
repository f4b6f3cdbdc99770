/** Reading exits from the run page that only architectures other than x86_64 have. */
import * as constants from "./constants.ts"
import type { Exit } from "./exit.ts"
import type { Dcr, LoongarchIocsr } from "./exit-architectures.ts"
import { answer, details, member, put, type RunPage, respondTo, respondWith, word64 } from "./exit-page.ts"

const decodeIocsr = (page: RunPage): LoongarchIocsr => {
  const { bytes } = page
  const layout = member("iocsr_io")
  const { data, is_write, len, phys_addr } = layout.decode(bytes, details)
  if (is_write !== 0) {
    return { _tag: "LoongarchIocsr", isWrite: true, address: phys_addr, data: data.slice(0, len) }
  }
  const stale = page.makeStale()
  const at = details + layout.fields.data.offset
  return {
    _tag: "LoongarchIocsr",
    isWrite: false,
    address: phys_addr,
    data: new Uint8Array(len),
    respond: (value) => answer(stale, () => put(bytes, at, value, len, 1))
  }
}

const decodeDcr = (page: RunPage): Dcr => {
  const layout = member("dcr")
  const { data, dcrn, is_write } = layout.decode(page.bytes, details)
  return is_write !== 0
    ? { _tag: "Dcr", isWrite: true, dcrn, data }
    : { _tag: "Dcr", isWrite: false, dcrn, respond: respondTo(page, details + layout.fields.data.offset, 4) }
}

/** The exit that the run page tells of, if it is one of those. */
export const decodeOfOtherArchitecture = (page: RunPage, reason: number): Exit | undefined => {
  const { bytes } = page
  switch (reason) {
    case constants.KVM_EXIT_ARM_NISV: {
      const { esr_iss, fault_ipa } = member("arm_nisv").decode(bytes, details)
      return { _tag: "ArmNisv", esrIss: esr_iss, faultIpa: fault_ipa }
    }
    case constants.KVM_EXIT_RISCV_SBI: {
      const layout = member("riscv_sbi")
      const { args, extension_id, function_id } = layout.decode(bytes, details)
      const { ret } = layout.fields
      const respond = respondWith(page, details + ret.offset, ret.layout, "ret")
      return { _tag: "RiscvSbi", extensionId: extension_id, functionId: function_id, args, respond }
    }
    case constants.KVM_EXIT_RISCV_CSR: {
      const layout = member("riscv_csr")
      const { csr_num, new_value, write_mask } = layout.decode(bytes, details)
      const { ret_value } = layout.fields
      const respond = respondWith(page, details + ret_value.offset, ret_value.layout, "value")
      return { _tag: "RiscvCsr", csrNum: csr_num, newValue: new_value, writeMask: write_mask, respond }
    }
    case constants.KVM_EXIT_LOONGARCH_IOCSR:
      return decodeIocsr(page)
    case constants.KVM_EXIT_WATCHDOG:
      return { _tag: "Watchdog" }
    case constants.KVM_EXIT_EPR:
      return { _tag: "Epr", respond: respondTo(page, details + member("epr").fields.epr.offset, 4) }
    case constants.KVM_EXIT_DCR:
      return decodeDcr(page)
    case constants.KVM_EXIT_OSI: {
      const layout = member("osi")
      const { gprs } = layout.fields
      const respond = respondWith(page, details + gprs.offset, gprs.layout, "gprs")
      return { _tag: "Osi", gprs: layout.decode(bytes, details).gprs, respond }
    }
    case constants.KVM_EXIT_PAPR_HCALL: {
      const layout = member("papr_hcall")
      const { args, nr } = layout.decode(bytes, details)
      return { _tag: "PaprHcall", nr, args, respond: respondTo(page, details + layout.fields.ret.offset) }
    }
    case constants.KVM_EXIT_S390_SIEIC:
      return { _tag: "S390Sieic", ...member("s390_sieic").decode(bytes, details) }
    case constants.KVM_EXIT_S390_RESET:
      return { _tag: "S390Reset", flags: word64(bytes, details) }
    case constants.KVM_EXIT_S390_UCONTROL: {
      const { pgm_code, trans_exc_code } = member("s390_ucontrol").decode(bytes, details)
      return { _tag: "S390Ucontrol", transExcCode: trans_exc_code, pgmCode: pgm_code }
    }
    case constants.KVM_EXIT_S390_TSCH: {
      const call = member("s390_tsch").decode(bytes, details)
      return {
        _tag: "S390Tsch",
        subchannelId: call.subchannel_id,
        subchannelNr: call.subchannel_nr,
        ioIntParm: call.io_int_parm,
        ioIntWord: call.io_int_word,
        ipb: call.ipb,
        dequeued: call.dequeued !== 0
      }
    }
    case constants.KVM_EXIT_S390_STSI:
      return { _tag: "S390Stsi", ...member("s390_stsi").decode(bytes, details) }
    default:
      return undefined
  }
}
