/**
 * How much there may be of what: the capabilities that are numbers rather than yes or no.
 */
import type * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type { IoctlError } from "../errors/calls.ts"
import { KVM_CAP_MAX_VCPU_ID, KVM_CAP_MAX_VCPUS, KVM_CAP_NR_MEMSLOTS, KVM_CAP_NR_VCPUS } from "./constants.ts"
import type { Kvm } from "./system.ts"
import { checkExtension, type Vm } from "./vm.ts"

/**
 * A number of the system's, and, given a machine, of that machine's: `yield* Kvm.getMaxVcpus`,
 * `yield* Kvm.getMaxVcpus(vm)`.
 *
 * @category models
 * @since 0.1.0
 */
export interface CapabilityNumber extends Effect.Effect<number, IoctlError, Kvm> {
  (): Effect.Effect<number, IoctlError, Kvm>
  (vm: Vm): Effect.Effect<number, IoctlError>
}

const numberOf = (capability: number): CapabilityNumber => {
  const system = checkExtension(capability)
  function ask(): Effect.Effect<number, IoctlError, Kvm>
  function ask(vm: Vm): Effect.Effect<number, IoctlError>
  function ask(vm?: Vm): Effect.Effect<number, IoctlError, Kvm> {
    return vm === undefined ? system : checkExtension(vm, capability)
  }
  return Object.assign(
    ask,
    Effectable.Prototype<Effect.Effect<number, IoctlError, Kvm>>({ label: "Kvm", evaluate: () => system })
  )
}

/**
 * How many vCPUs a machine should have at most: about as many as the host has processors.
 *
 * Request `KVM_CHECK_EXTENSION` of `KVM_CAP_NR_VCPUS`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const both = Effect.fn(function* (vm: Kvm.Vm) {
 *   return { system: yield* Kvm.getNrVcpus, machine: yield* Kvm.getNrVcpus(vm) }
 * })
 * ```
 *
 * @category system
 * @since 0.1.0
 */
export const getNrVcpus: CapabilityNumber = numberOf(KVM_CAP_NR_VCPUS)

/**
 * How many vCPUs a machine can have at most.
 *
 * Request `KVM_CHECK_EXTENSION` of `KVM_CAP_MAX_VCPUS`.
 *
 * @category system
 * @since 0.1.0
 */
export const getMaxVcpus: CapabilityNumber = numberOf(KVM_CAP_MAX_VCPUS)

/**
 * What a vCPU's identifier must be less than.
 *
 * Request `KVM_CHECK_EXTENSION` of `KVM_CAP_MAX_VCPU_ID`.
 *
 * @category system
 * @since 0.1.0
 */
export const getMaxVcpuId: CapabilityNumber = numberOf(KVM_CAP_MAX_VCPU_ID)

/**
 * How many slots of memory a machine can have.
 *
 * Request `KVM_CHECK_EXTENSION` of `KVM_CAP_NR_MEMSLOTS`.
 *
 * @category system
 * @since 0.1.0
 */
export const getNrMemslots: CapabilityNumber = numberOf(KVM_CAP_NR_MEMSLOTS)
