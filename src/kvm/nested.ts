/**
 * What a vCPU at rest is doing as a host of virtual machines of its own. x86_64.
 */
import * as Effect from "effect/Effect"
import type { IoctlError } from "../errors/calls.ts"
import type * as Ioctl from "../Ioctl.ts"
import { type MissingCapability, requires } from "./capability.ts"
import type { KVM_STATE_NESTED_FORMAT_SVM } from "./constants.ts"
import { KVM_STATE_NESTED_FORMAT_VMX } from "./constants.ts"
import { KVM_GET_NESTED_STATE, KVM_SET_NESTED_STATE } from "./requests.ts"
import { kvm_nested_state, type kvm_svm_nested_state_hdr, type kvm_vmx_nested_state_hdr } from "./structs.ts"
import { stateOf, type Vcpu } from "./vcpu.ts"
import { asking, askingWith, growing, type Shorter } from "./vcpu-request.ts"

/**
 * The nested state of a vCPU: of Intel hardware where `format` is `KVM_STATE_NESTED_FORMAT_VMX`, of AMD hardware where it
 * is `KVM_STATE_NESTED_FORMAT_SVM`. `data` are the control blocks, empty where no nested guest runs.
 *
 * @category models
 * @since 0.1.0
 */
export type NestedState =
  | {
      readonly format: typeof KVM_STATE_NESTED_FORMAT_VMX
      readonly flags: number
      readonly hdr: { readonly vmx: kvm_vmx_nested_state_hdr }
      readonly data: Uint8Array
    }
  | {
      readonly format: typeof KVM_STATE_NESTED_FORMAT_SVM
      readonly flags: number
      readonly hdr: { readonly svm: kvm_svm_nested_state_hdr }
      readonly data: Uint8Array
    }

/**
 * What reading or writing the nested state fails with; `EBUSY` while the guest runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type NestedStateError = Shorter<Ioctl.RequestError<typeof KVM_GET_NESTED_STATE>> | MissingCapability | IoctlError

const ask = asking(KVM_GET_NESTED_STATE)
const tell = askingWith("KVM_CAP_NESTED_STATE", KVM_SET_NESTED_STATE)

/**
 * What the vCPU is doing as a host of virtual machines. To be read before the registers are, and set after CPUID,
 * special registers and MSRs are. x86_64.
 *
 * Request `KVM_GET_NESTED_STATE`, capability `KVM_CAP_NESTED_STATE`, whose value is the largest size. Since Linux 4.20.
 *
 * @category nested virtualization
 * @since 0.1.0
 */
export const getNestedState = (vcpu: Vcpu): Effect.Effect<NestedState, NestedStateError> =>
  Effect.suspend(() =>
    Effect.flatMap(requires(stateOf(vcpu).vm, "KVM_CAP_NESTED_STATE"), (size) =>
      Effect.map(
        growing((room) => ask(vcpu, room), Math.max(size, kvm_nested_state.size)),
        ({ data, flags, format, hdr }): NestedState =>
          format === KVM_STATE_NESTED_FORMAT_VMX
            ? { format, flags, hdr: { vmx: hdr.vmx }, data }
            : { format: 1, flags, hdr: { svm: hdr.svm }, data }
      )
    )
  )

/**
 * Sets what the vCPU is doing as a host of virtual machines, from what {@link getNestedState} gave.
 *
 * Fails with `EINVAL` where the state is not of this hardware, or the vCPU's registers do not go with it. x86_64.
 *
 * Request `KVM_SET_NESTED_STATE`, capability `KVM_CAP_NESTED_STATE`. Since Linux 4.20.
 *
 * @category nested virtualization
 * @since 0.1.0
 */
export const setNestedState = (
  vcpu: Vcpu,
  state: NestedState
): Effect.Effect<void, Ioctl.RequestError<typeof KVM_SET_NESTED_STATE> | MissingCapability | IoctlError> =>
  tell(vcpu, state)
