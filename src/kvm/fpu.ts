/**
 * Floating point, vector and extended state of a vCPU at rest. x86_64.
 */
import * as Effect from "effect/Effect"
import { codes } from "../errors/errnos.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import { requires } from "./capability.ts"
import { KVM_CAP_XSAVE2, KVM_MAX_XCRS } from "./constants.ts"
import {
  KVM_CHECK_EXTENSION_VM,
  KVM_GET_FPU,
  KVM_GET_XCRS,
  KVM_GET_XSAVE,
  KVM_GET_XSAVE2,
  KVM_SET_FPU,
  KVM_SET_XCRS,
  KVM_SET_XSAVE
} from "./requests.ts"
import { type kvm_fpu, type kvm_xcr, kvm_xsave } from "./structs.ts"
import { refuse, stateOf, type Vcpu } from "./vcpu.ts"
import { asking, askingWith, type OptionalRequestError } from "./vcpu-request.ts"

// ---------------------------------------------------------------------------------------------------------------------
// x87 and SSE
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What reading or writing the floating point state fails with; `EBUSY` while the guest runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type FpuError = Ioctl.RequestError<typeof KVM_GET_FPU>

const askFpu = asking(KVM_GET_FPU)
const tellFpu = asking(KVM_SET_FPU)

/**
 * The x87 and SSE registers but for `mxcsr`, which the kernel does not tell. That one, the upper halves of the YMM
 * registers, and whatever else is younger, are in {@link getXsave}. x86_64.
 *
 * Request `KVM_GET_FPU`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const xmm0 = (vcpu: Kvm.Vcpu) => Effect.map(Kvm.getFpu(vcpu), ({ xmm }) => xmm[0])
 * ```
 *
 * @category floating point
 * @since 0.1.0
 */
export const getFpu = (vcpu: Vcpu): Effect.Effect<kvm_fpu, FpuError> => askFpu(vcpu, undefined)

/**
 * Sets the x87 and SSE registers, all of them but `mxcsr`. x86_64.
 *
 * **Gotchas**
 *
 * Where the extended state's header says that they have their initial values, as it does of a fresh vCPU, the processor
 * takes those. {@link setXsave} sets the header too.
 *
 * Request `KVM_SET_FPU`.
 *
 * @category floating point
 * @since 0.1.0
 */
export const setFpu = (vcpu: Vcpu, fpu: kvm_fpu): Effect.Effect<void, FpuError> => Effect.asVoid(tellFpu(vcpu, fpu))

// ---------------------------------------------------------------------------------------------------------------------
// the extended state
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What reading or writing the extended state fails with; `EBUSY` while the guest runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type XsaveError = OptionalRequestError<typeof KVM_GET_XSAVE>

const askXsave = askingWith("KVM_CAP_XSAVE", KVM_GET_XSAVE)
const askXsave2 = asking(KVM_GET_XSAVE2)
const tellXsave = askingWith("KVM_CAP_XSAVE", KVM_SET_XSAVE)

/**
 * The extended state, as `xsave` stores it in the standard format: its first 4,096 bytes. CPUID leaf 0xd says where in
 * `region` each component is.
 *
 * Fails with `EINVAL` where the vCPU's state is larger: see {@link getXsave2}. x86_64.
 *
 * Request `KVM_GET_XSAVE`, capability `KVM_CAP_XSAVE`.
 *
 * @category floating point
 * @since 0.1.0
 */
export const getXsave = (vcpu: Vcpu): Effect.Effect<kvm_xsave, XsaveError> => askXsave(vcpu, undefined)

/**
 * The size of the extended state, of which the process's permission for dynamic features is a part: it may have grown
 * since it was asked last, and the kernel writes as much as it takes.
 */
const extendedSize = (vcpu: Vcpu) => File.ioctl(stateOf(vcpu).vm.file, KVM_CHECK_EXTENSION_VM, KVM_CAP_XSAVE2)

/**
 * The extended state, all of it: `region` is at least 4,096 bytes, and more where the guest may use features that the
 * process has asked for with arch_prctl(2), such as AMX. x86_64.
 *
 * Request `KVM_GET_XSAVE2`, capability `KVM_CAP_XSAVE2`, whose value is the size. Since Linux 5.17.
 *
 * @category floating point
 * @since 0.1.0
 */
export const getXsave2 = (vcpu: Vcpu): Effect.Effect<kvm_xsave, XsaveError> =>
  Effect.suspend(() =>
    Effect.flatMap(Effect.andThen(requires(stateOf(vcpu).vm, "KVM_CAP_XSAVE2"), extendedSize(vcpu)), (size) =>
      askXsave2(vcpu, size)
    )
  )

/**
 * Sets the extended state, from what {@link getXsave} or {@link getXsave2} gave: `region` is 4,096 bytes or more, up to
 * the size of this vCPU's state.
 *
 * Fails with `EINVAL` where `region` has another size, or its header names components that the vCPU does not have.
 * x86_64.
 *
 * Request `KVM_SET_XSAVE`, capability `KVM_CAP_XSAVE`.
 *
 * @category floating point
 * @since 0.1.0
 */
export const setXsave = (vcpu: Vcpu, xsave: kvm_xsave): Effect.Effect<void, XsaveError> =>
  Effect.suspend((): Effect.Effect<void, XsaveError> => {
    const { length } = xsave.region
    if (length <= kvm_xsave.size) return tellXsave(vcpu, xsave)
    return Effect.flatMap(extendedSize(vcpu), (size): Effect.Effect<void, XsaveError> => {
      const most = Math.max(size, kvm_xsave.size)
      return length <= most
        ? tellXsave(vcpu, xsave)
        : refuse(
            KVM_SET_XSAVE.errors,
            codes.EINVAL,
            `KVM_SET_XSAVE: region: ${length} bytes are more than the ${most} of this vCPU's state`
          )
    })
  })

/**
 * What reading or writing the extended control registers fails with; `EBUSY` while the guest runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type XcrsError = OptionalRequestError<typeof KVM_GET_XCRS>

const askXcrs = askingWith("KVM_CAP_XCRS", KVM_GET_XCRS)
const tellXcrs = askingWith("KVM_CAP_XCRS", KVM_SET_XCRS)

/**
 * The extended control registers: XCR0, whose bits say which components of the extended state are enabled, and those
 * that come after it. Empty where the host has no `xsave`. x86_64.
 *
 * Request `KVM_GET_XCRS`, capability `KVM_CAP_XCRS`.
 *
 * @category floating point
 * @since 0.1.0
 */
export const getXcrs = (vcpu: Vcpu): Effect.Effect<ReadonlyArray<kvm_xcr>, XcrsError> =>
  Effect.map(askXcrs(vcpu, undefined), ({ nr_xcrs, xcrs }) => xcrs.slice(0, nr_xcrs))

/**
 * Sets extended control registers; of all but XCR0 the kernel takes no notice.
 *
 * Fails with `EINVAL` where a component is not among those that the vCPU's CPUID leaf 0xd allows: set CPUID first.
 * x86_64.
 *
 * Request `KVM_SET_XCRS`, capability `KVM_CAP_XCRS`.
 *
 * @category floating point
 * @since 0.1.0
 */
export const setXcrs = (vcpu: Vcpu, xcrs: ReadonlyArray<kvm_xcr>): Effect.Effect<void, XcrsError> =>
  Effect.suspend((): Effect.Effect<void, XcrsError> => {
    const { length } = xcrs
    if (length > KVM_MAX_XCRS) {
      return refuse(
        KVM_SET_XCRS.errors,
        codes.EINVAL,
        `KVM_SET_XCRS: xcrs: expected at most ${KVM_MAX_XCRS}, got ${length}`
      )
    }
    const unused = Array.from({ length: KVM_MAX_XCRS - length }, () => ({ xcr: 0, value: 0n }))
    return Effect.asVoid(tellXcrs(vcpu, { nr_xcrs: length, flags: 0, xcrs: [...xcrs, ...unused] }))
  })
