/**
 * The registers of a vCPU at rest: general, special, and single ones by identifier.
 */
import * as Effect from "effect/Effect"
import { codes } from "../errors/errnos.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import * as Syscall from "../Syscall.ts"
import { KVM_REG_SIZE_MASK } from "./constants.ts"
import {
  KVM_GET_ONE_REG,
  KVM_GET_REGS,
  KVM_GET_SREGS,
  KVM_SET_ONE_REG,
  KVM_SET_REGS,
  KVM_SET_SREGS
} from "./requests.ts"
import type { kvm_regs, kvm_sregs } from "./structs.ts"
import { refuse, stopped, type Vcpu } from "./vcpu.ts"

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
