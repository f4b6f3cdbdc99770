/** Exits that only architectures other than x86_64 have. */
import type * as Effect from "effect/Effect"
import type { Respond, RespondError, RespondNumber } from "./exit.ts"

/**
 * A LoongArch guest touched a register of the IOCSR space that the host emulates: `data` is what it wrote, of 1 to 8
 * bytes, or, to be filled by `respond`, zeros.
 *
 * @category exits
 * @since 0.1.0
 */
export type LoongarchIocsr =
  | { readonly _tag: "LoongarchIocsr"; readonly isWrite: true; readonly address: bigint; readonly data: Uint8Array }
  | {
      readonly _tag: "LoongarchIocsr"
      readonly isWrite: false
      readonly address: bigint
      readonly data: Uint8Array
      readonly respond: Respond
    }

/**
 * A PowerPC guest wrote `data` to a device control register, or reads one. No kernel of today gives it.
 *
 * @category exits
 * @since 0.1.0
 */
export type Dcr =
  | { readonly _tag: "Dcr"; readonly isWrite: true; readonly dcrn: number; readonly data: number }
  | { readonly _tag: "Dcr"; readonly isWrite: false; readonly dcrn: number; readonly respond: RespondNumber }

/**
 * Exits that only architectures other than x86_64 have.
 *
 * - `ArmNisv`: an aarch64 guest touched a device at `faultIpa` in a way that its syndrome, `esrIss`, does not describe
 *   (`KVM_CAP_ARM_NISV_TO_USER`)
 * - `RiscvSbi`, `RiscvCsr`: a call or register that the host is to emulate
 * - `LoongarchIocsr`: a register that the host is to emulate
 * - `Watchdog`: the guest's watchdog expired (PowerPC)
 * - `Epr`: the guest asks for the external interrupt's vector, which `respond` gives (PowerPC)
 * - `Dcr`: a device control register (PowerPC)
 * - `Osi`: a call of the OSI interface, with the 32 general registers, which `respond` sets (PowerPC)
 * - `PaprHcall`: a hypercall of the pSeries platform, whose result `respond` gives (PowerPC)
 * - `S390Sieic`, `S390Reset`, `S390Ucontrol`, `S390Tsch`, `S390Stsi`: intercepted instructions and the like (s390)
 *
 * @category exits
 * @since 0.1.0
 */
export type ArchitectureExit =
  | { readonly _tag: "ArmNisv"; readonly esrIss: bigint; readonly faultIpa: bigint }
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
  | LoongarchIocsr
  | { readonly _tag: "Watchdog" }
  | { readonly _tag: "Epr"; readonly respond: RespondNumber }
  | Dcr
  | {
      readonly _tag: "Osi"
      readonly gprs: ReadonlyArray<bigint>
      readonly respond: (gprs: ReadonlyArray<bigint>) => Effect.Effect<void, RespondError>
    }
  | {
      readonly _tag: "PaprHcall"
      readonly nr: bigint
      readonly args: ReadonlyArray<bigint>
      readonly respond: RespondNumber
    }
  | { readonly _tag: "S390Sieic"; readonly icptcode: number; readonly ipa: number; readonly ipb: number }
  | { readonly _tag: "S390Reset"; readonly flags: bigint }
  | { readonly _tag: "S390Ucontrol"; readonly transExcCode: bigint; readonly pgmCode: number }
  | {
      readonly _tag: "S390Tsch"
      readonly subchannelId: number
      readonly subchannelNr: number
      readonly ioIntParm: number
      readonly ioIntWord: number
      readonly ipb: number
      readonly dequeued: boolean
    }
  | {
      readonly _tag: "S390Stsi"
      readonly addr: bigint
      readonly ar: number
      readonly fc: number
      readonly sel1: number
      readonly sel2: number
    }
