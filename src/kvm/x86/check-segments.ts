/** The rules on segment registers. */
import type { kvm_segment, kvm_sregs } from "../structs.ts"
import { isCanonical as canonical, hex, type Report } from "./rules.ts"

/** The modes that rules distinguish. */
export interface Modes {
  readonly protected: boolean
  /** Long mode is on, be its code of 64 bits or less. */
  readonly long: boolean
  readonly code64: boolean
  readonly virtual8086: boolean
  /** How many bits a linear address has. */
  readonly width: number
}

const ordinary = ["cs", "ss", "ds", "es", "fs", "gs"] as const
type Ordinary = (typeof ordinary)[number]

const described = ({ db, dpl, g, l, present, s, type, unusable }: kvm_segment): string =>
  `it has type ${hex(type)}, S=${s}, DPL=${dpl}, P=${present}, D=${db}, L=${l}, G=${g}${unusable === 0 ? "" : ", unusable"}`

const granularityViolated = ({ g, limit }: kvm_segment): boolean =>
  ((limit & 0xfff) !== 0xfff && g !== 0) || (limit >>> 20 !== 0 && g === 0)

const virtual8086Violations = (name: Ordinary, segment: kvm_segment, report: Report): void => {
  const { base, dpl, limit, present, s, selector, type, unusable } = segment
  if (base !== BigInt(selector) << 4n) report("virtual8086.base", name, `${hex(base)} of the selector ${hex(selector)}`)
  if (limit !== 0xffff) report("virtual8086.limit", name, `it is ${hex(limit)}`)
  if (type !== 3 || s !== 1 || dpl !== 3 || present !== 1 || unusable !== 0) {
    report("virtual8086.access", name, described(segment))
  }
}

const typeAllowed = (name: Ordinary, type: number, modes: Modes): boolean => {
  if (name === "cs") return (type & 9) === 9 || (!modes.protected && type === 3)
  if (name === "ss") return type === 3 || type === 7
  return (type & 1) === 1 && ((type & 8) === 0 || (type & 2) !== 0)
}

const dplViolations = (name: Ordinary, sregs: kvm_sregs, modes: Modes, report: Report): void => {
  const { ss } = sregs
  const segment = sregs[name]
  const { dpl, selector, type } = segment
  const rpl = selector & 3
  if (name === "cs") {
    const wrong = !modes.protected ? dpl !== 0 : (type & 4) === 0 ? dpl !== ss.dpl : dpl > ss.dpl
    // An unusable SS still has a DPL, the ring: 0 where none was said.
    if (wrong) report("segment.dpl.cs", name, `its DPL is ${dpl}, that of SS ${ss.dpl}`)
  } else if (name === "ss") {
    if (modes.protected && rpl !== (sregs.cs.selector & 3)) {
      report("segment.rpl", name, `its selector is ${hex(selector)}, that of CS ${hex(sregs.cs.selector)}`)
    }
    if (dpl !== (modes.protected ? rpl : 0)) report("segment.dpl.ss", name, `its DPL is ${dpl}, its RPL ${rpl}`)
  } else if (modes.protected && segment.unusable === 0 && type < 12 && dpl < rpl) {
    report("segment.dpl.data", name, `its DPL is ${dpl}, its RPL ${rpl}`)
  }
}

const ordinaryViolations = (name: Ordinary, sregs: kvm_sregs, modes: Modes, report: Report): void => {
  const segment = sregs[name]
  const { base, db, l, present, s, type, unusable } = segment
  if (name === "cs" && unusable !== 0) {
    report("segment.usable", name, described(segment))
    return
  }
  if (name === "fs" || name === "gs") {
    if (!canonical(base, modes.width)) report("segment.base.canonical", name, `it is ${hex(base)}`)
  } else if (base >> 32n !== 0n && unusable === 0) report("segment.base.upper", name, `it is ${hex(base)}`)
  dplViolations(name, sregs, modes, report)
  if (unusable !== 0) return
  if (present !== 1) report("segment.present", name, described(segment))
  if (s !== 1) report("segment.system", name, described(segment))
  else if (!typeAllowed(name, type, modes)) report("segment.type", name, described(segment))
  if (granularityViolated(segment))
    report("segment.granularity", name, `G=${segment.g}, the limit is ${hex(segment.limit)}`)
  if (name === "cs" && l !== 0) {
    if (!modes.long) report("segment.long", name, described(segment))
    if (db !== 0) report("segment.long.size", name, described(segment))
  }
}

const systemViolations = (name: "tr" | "ldt", sregs: kvm_sregs, modes: Modes, report: Report): void => {
  const segment = sregs[name]
  const { base, present, s, selector, type, unusable } = segment
  if (unusable !== 0) {
    if (name === "tr") report("segment.usable", name, described(segment))
    return
  }
  if ((selector & 4) !== 0) report("segment.ti", name, `its selector is ${hex(selector)}`)
  if (!canonical(base, modes.width)) report("segment.base.canonical", name, `it is ${hex(base)}`)
  if (present !== 1) report("segment.present", name, described(segment))
  if (s !== 0) report("segment.system", name, described(segment))
  else if (name === "ldt" ? type !== 2 : type !== 11 && (modes.long || type !== 3)) {
    report("segment.type", name, described(segment))
  }
  if (granularityViolated(segment))
    report("segment.granularity", name, `G=${segment.g}, the limit is ${hex(segment.limit)}`)
}

/** Reports what is wrong with the segments. */
export const segmentViolations = (sregs: kvm_sregs, modes: Modes, report: Report): void => {
  for (const name of ordinary) {
    if (modes.virtual8086) virtual8086Violations(name, sregs[name], report)
    else ordinaryViolations(name, sregs, modes, report)
  }
  systemViolations("tr", sregs, modes, report)
  systemViolations("ldt", sregs, modes, report)
}
