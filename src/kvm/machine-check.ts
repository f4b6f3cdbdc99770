/**
 * Machine checks: errors of the hardware that a guest is told of. x86_64.
 */
import * as Effect from "effect/Effect"
import type { IoctlError } from "../errors/calls.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import { type MissingCapability, systemRequires } from "./capability.ts"
import { KVM_X86_GET_MCE_CAP_SUPPORTED, KVM_X86_SET_MCE, KVM_X86_SETUP_MCE } from "./requests.ts"
import type { kvm_x86_mce } from "./structs.ts"
import { Kvm } from "./system.ts"
import type { Vcpu } from "./vcpu.ts"
import { askingWith, type OptionalRequestError } from "./vcpu-request.ts"

/**
 * What a vCPU's `IA32_MCG_CAP` may have: its features, without the number of banks, of which `KVM_CAP_MCE` says how many
 * there may be. x86_64.
 *
 * Request `KVM_X86_GET_MCE_CAP_SUPPORTED`, capability `KVM_CAP_MCE`.
 *
 * @category machine checks
 * @since 0.1.0
 */
export const getMceCapSupported: Effect.Effect<
  bigint,
  Ioctl.RequestError<typeof KVM_X86_GET_MCE_CAP_SUPPORTED> | MissingCapability | IoctlError,
  Kvm
> = Effect.andThen(
  systemRequires("KVM_CAP_MCE"),
  Effect.flatMap(Kvm, ({ file }) => File.ioctl(file, KVM_X86_GET_MCE_CAP_SUPPORTED))
)

/**
 * What setting up or injecting a machine check fails with; `EBUSY` while the guest runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type MceError = OptionalRequestError<typeof KVM_X86_SET_MCE>

const tellSetup = askingWith("KVM_CAP_MCE", KVM_X86_SETUP_MCE)
const tellMce = askingWith("KVM_CAP_MCE", KVM_X86_SET_MCE)

/**
 * Gives a vCPU its banks: `mcgCap` is its `IA32_MCG_CAP`, whose lowest byte is their number.
 *
 * Fails with `EINVAL` where that is 0 or above `KVM_CAP_MCE`'s value, or a feature is not among those of
 * {@link getMceCapSupported}. x86_64.
 *
 * Request `KVM_X86_SETUP_MCE`, capability `KVM_CAP_MCE`.
 *
 * @category machine checks
 * @since 0.1.0
 */
export const setupMce = (vcpu: Vcpu, mcgCap: bigint): Effect.Effect<void, MceError> =>
  Effect.asVoid(tellSetup(vcpu, mcgCap))

/**
 * Reports a machine check to the guest: it takes an exception where `status` says that the error is not corrected, and
 * finds the values in its bank.
 *
 * Fails with `EINVAL` where there is no such bank, or `status` does not say that it is valid (bit 63). x86_64.
 *
 * Request `KVM_X86_SET_MCE`, capability `KVM_CAP_MCE`.
 *
 * @category machine checks
 * @since 0.1.0
 */
export const setMce = (vcpu: Vcpu, mce: kvm_x86_mce): Effect.Effect<void, MceError> => Effect.asVoid(tellMce(vcpu, mce))
