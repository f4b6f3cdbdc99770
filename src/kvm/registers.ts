/**
 * The registers of a vCPU at rest: general, special, and single ones by identifier.
 */
import * as Effect from "effect/Effect"
import type { IoctlError } from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import type { CallErrors } from "../errors/registry.ts"
import type * as Ioctl from "../Ioctl.ts"
import * as Syscall from "../Syscall.ts"
import type { MissingCapability } from "./capability.ts"
import {
  KVM_REG_SIZE_MASK,
  KVM_REG_SIZE_U64,
  KVM_REG_X86,
  KVM_X86_REG_TYPE_KVM,
  KVM_X86_REG_TYPE_MSR
} from "./constants.ts"
import {
  KVM_GET_ONE_REG,
  KVM_GET_REG_LIST,
  KVM_GET_REGS,
  KVM_GET_SREGS,
  KVM_GET_SREGS2,
  KVM_SET_ONE_REG,
  KVM_SET_REGS,
  KVM_SET_SREGS,
  KVM_SET_SREGS2
} from "./requests.ts"
import type { kvm_regs, kvm_sregs, kvm_sregs2 } from "./structs.ts"
import { refuse, type Vcpu } from "./vcpu.ts"
import { asking, askingWith, growing, type OptionalRequestError, type Shorter } from "./vcpu-request.ts"

const askRegs = asking(KVM_GET_REGS)
const tellRegs = asking(KVM_SET_REGS)
const askSregs = asking(KVM_GET_SREGS)
const tellSregs = asking(KVM_SET_SREGS)
const askSregs2 = askingWith("KVM_CAP_SREGS2", KVM_GET_SREGS2)
const tellSregs2 = askingWith("KVM_CAP_SREGS2", KVM_SET_SREGS2)
const askOneReg = askingWith("KVM_CAP_ONE_REG", KVM_GET_ONE_REG)
const tellOneReg = askingWith("KVM_CAP_ONE_REG", KVM_SET_ONE_REG)
const askRegList = askingWith("KVM_CAP_ONE_REG", KVM_GET_REG_LIST)

/**
 * What reading or writing registers fails with; `EBUSY` while the guest runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type RegisterError = Ioctl.RequestError<typeof KVM_GET_REGS>

/**
 * The general registers. x86_64; aarch64's are another structure: see `Kvm.aarch64`.
 *
 * Request `KVM_GET_REGS`.
 *
 * @category registers
 * @since 0.1.0
 */
export const getRegs = (vcpu: Vcpu): Effect.Effect<kvm_regs, RegisterError> => askRegs(vcpu, undefined)

/**
 * Sets the general registers, all of them.
 *
 * Request `KVM_SET_REGS`.
 *
 * @category registers
 * @since 0.1.0
 */
export const setRegs = (vcpu: Vcpu, regs: kvm_regs): Effect.Effect<void, RegisterError> =>
  Effect.asVoid(tellRegs(vcpu, regs))

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
export const getSregs = (vcpu: Vcpu): Effect.Effect<kvm_sregs, RegisterError> => askSregs(vcpu, undefined)

/**
 * Sets the special registers, all of them.
 *
 * Request `KVM_SET_SREGS`.
 *
 * @category registers
 * @since 0.1.0
 */
export const setSregs = (vcpu: Vcpu, sregs: kvm_sregs): Effect.Effect<void, RegisterError> =>
  Effect.asVoid(tellSregs(vcpu, sregs))

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
 * What {@link getSregs2} and {@link setSregs2} fail with; `EBUSY` while the guest runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type Sregs2Error = OptionalRequestError<typeof KVM_GET_SREGS2>

/**
 * The special registers, with the page directory pointers that 32-bit paging with PAE has loaded, and without the
 * interrupt that is pending. x86_64.
 *
 * Request `KVM_GET_SREGS2`, capability `KVM_CAP_SREGS2`. Since Linux 5.14.
 *
 * @category registers
 * @since 0.1.0
 */
export const getSregs2 = (vcpu: Vcpu): Effect.Effect<kvm_sregs2, Sregs2Error> => askSregs2(vcpu, undefined)

/**
 * Sets the special registers, all of them; `pdptrs` where `flags` has `KVM_SREGS2_FLAGS_PDPTRS_VALID`, else the guest
 * loads them from memory. An interrupt that is pending stays. x86_64.
 *
 * Request `KVM_SET_SREGS2`, capability `KVM_CAP_SREGS2`. Since Linux 5.14.
 *
 * @category registers
 * @since 0.1.0
 */
export const setSregs2 = (vcpu: Vcpu, sregs: kvm_sregs2): Effect.Effect<void, Sregs2Error> =>
  Effect.asVoid(tellSregs2(vcpu, sregs))

/**
 * What reading or writing one register fails with: `ENOENT` or `EINVAL` where there is no such register,
 * `MissingCapability` where this kernel knows none on this architecture.
 *
 * @category errors
 * @since 0.1.0
 */
export type OneRegError = OptionalRequestError<typeof KVM_GET_ONE_REG>

/**
 * The identifier of a model-specific register, by its index: for {@link getOneReg} on x86_64.
 *
 * @category registers
 * @since 0.1.0
 */
export const KVM_X86_REG_MSR = (index: number): bigint => x86Register(KVM_X86_REG_TYPE_MSR, index)

/**
 * The index of the shadow stack's pointer among the registers that KVM itself defines: see {@link KVM_X86_REG_KVM}.
 *
 * @category registers
 * @since 0.1.0
 */
export const KVM_REG_GUEST_SSP = 0

/**
 * The identifier of a register that KVM itself defines, of 64 bits: `KVM_REG_GUEST_SSP`, the shadow stack's pointer. For
 * {@link getOneReg} on x86_64.
 *
 * @category registers
 * @since 0.1.0
 */
export const KVM_X86_REG_KVM = (index: number): bigint => x86Register(KVM_X86_REG_TYPE_KVM, index)

const x86Register = (type: number, index: number): bigint => {
  if (!Number.isInteger(index) || index < 0 || index > 0xffff_ffff) {
    throw new RangeError(`index: expected an integer from 0 to 4294967295, got ${index}`)
  }
  return KVM_REG_X86 | KVM_REG_SIZE_U64 | (BigInt(type) << 32n) | BigInt(index)
}

/** The size in bytes that a register's identifier tells. */
const sizeOfReg = (id: bigint): number => 1 << Number((id & KVM_REG_SIZE_MASK) >> 52n)

/** Fails for what is no identifier, before the kernel is asked. */
const checkId = <E>({ errors, name }: { readonly errors: CallErrors<E>; readonly name: string }, id: bigint) =>
  id < 0n || id >> 64n !== 0n
    ? refuse(errors, codes.EINVAL, `${name}: id: expected a bigint from 0 to 2^64 - 1, got ${id}`)
    : undefined

/**
 * One register by its identifier (architecture, size and index: `KVM_REG_*`), of 8 to 2,048 bits, unsigned.
 *
 * Request `KVM_GET_ONE_REG`, capability `KVM_CAP_ONE_REG`: on x86_64 since Linux 6.18, where {@link KVM_X86_REG_MSR}
 * and {@link KVM_X86_REG_KVM} make identifiers.
 *
 * @example
 * ```ts
 * import { Kvm } from "effect-linux"
 *
 * declare const vcpu: Kvm.Vcpu
 *
 * const pat = Kvm.getOneReg(vcpu, Kvm.KVM_X86_REG_MSR(Kvm.Msr.PAT))
 * ```
 *
 * @category registers
 * @since 0.1.0
 */
export const getOneReg = (vcpu: Vcpu, id: bigint): Effect.Effect<bigint, OneRegError> =>
  Effect.suspend(() => {
    const misuse = checkId(KVM_GET_ONE_REG, id)
    if (misuse !== undefined) return misuse
    const value = new Uint8Array(sizeOfReg(id))
    return Effect.map(askOneReg(vcpu, { id, addr: Syscall.addressOf(value) }), () =>
      value.reduceRight((bits, byte) => (bits << 8n) | BigInt(byte), 0n)
    )
  })

/**
 * Sets one register by its identifier; a value that does not fit fails with `EINVAL`.
 *
 * Request `KVM_SET_ONE_REG`, capability `KVM_CAP_ONE_REG`: on x86_64 since Linux 6.18.
 *
 * @category registers
 * @since 0.1.0
 */
export const setOneReg = (vcpu: Vcpu, id: bigint, value: bigint): Effect.Effect<void, OneRegError> =>
  Effect.suspend(() => {
    const misuse = checkId(KVM_SET_ONE_REG, id)
    if (misuse !== undefined) return misuse
    const size = sizeOfReg(id)
    if (value < 0n || value >> BigInt(8 * size) !== 0n) {
      return refuse(
        KVM_SET_ONE_REG.errors,
        codes.EINVAL,
        `KVM_SET_ONE_REG: value: ${value} does not fit in ${size} bytes`
      )
    }
    const bytes = Uint8Array.from({ length: size }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn))
    return Effect.map(tellOneReg(vcpu, { id, addr: Syscall.addressOf(bytes) }), () => {
      // The memory must outlive the call, and the call knows only its address.
      bytes.fill(0)
    })
  })

/**
 * What {@link getRegList} fails with: `MissingCapability` where this kernel knows no registers by identifier on this
 * architecture.
 *
 * @category errors
 * @since 0.1.0
 */
export type RegListError = Shorter<Ioctl.RequestError<typeof KVM_GET_REG_LIST>> | MissingCapability | IoctlError

/**
 * The identifiers of the registers that {@link getOneReg} and {@link setOneReg} take. On x86_64 these are only the ones
 * that no other request has; model-specific registers are listed by {@link getMsrIndexList}.
 *
 * Request `KVM_GET_REG_LIST`, capability `KVM_CAP_ONE_REG`: on x86_64 since Linux 6.18.
 *
 * @category registers
 * @since 0.1.0
 */
export const getRegList = (vcpu: Vcpu): Effect.Effect<ReadonlyArray<bigint>, RegListError> =>
  growing((room) => askRegList(vcpu, room), 64)
