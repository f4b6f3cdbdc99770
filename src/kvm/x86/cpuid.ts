/**
 * CPUID for a guest: what the host supports, less what is not wanted, and for one vCPU.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { IoctlError } from "../../errors/calls.ts"
import type { MissingCapability } from "../capability.ts"
import { KVM_CAP_TSC_DEADLINE_TIMER, KVM_CPUID_FLAG_SIGNIFCANT_INDEX } from "../constants.ts"
import {
  CpuidFeature,
  getSupportedCpuid,
  hasCpuidFeature,
  modifyCpuid,
  type SetCpuidError,
  type SystemCpuidError,
  setCpuid2,
  withCpuidFeature
} from "../cpuid.ts"
import type { kvm_cpuid_entry2 } from "../structs.ts"
import { checkSystemExtension, type Kvm } from "../system.ts"
import type { Vcpu } from "../vcpu.ts"

/**
 * The name of a feature, one of `Kvm.CpuidFeature`'s.
 *
 * @category CPUID
 * @since 0.1.0
 */
export type FeatureName = keyof typeof CpuidFeature

/**
 * The host's processor, or its KVM, has not the feature that a guest was to have.
 *
 * @category errors
 * @since 0.1.0
 */
export class MissingFeature extends Data.TaggedError("MissingFeature")<{ readonly feature: FeatureName }> {
  override get message(): string {
    const { bit, index, leaf, register } = CpuidFeature[this.feature]
    return `this host supports no ${this.feature} (CPUID 0x${leaf.toString(16)}.${index}, ${register} bit ${bit})`
  }
}

/**
 * What a guest's CPUID is to be.
 *
 * @category models
 * @since 0.1.0
 */
export interface CpuidOptions {
  /** Features that the guest must have (true), or must not (false); all others are the host's. */
  readonly features?: { readonly [Name in FeatureName]?: boolean } | undefined
  /** How many vCPUs the machine has, for the leaves that tell of it. One more than the vCPU's identifier. */
  readonly vcpus?: number | undefined
  /** The highest leaf of the basic ones that there is; higher ones are left out. The host's. */
  readonly maxLeaf?: number | undefined
}

const isFeature = (name: string): name is FeatureName => name in CpuidFeature

/** The number of bits that tell that many apart. */
const bitsFor = (count: number): number => 32 - Math.clz32(Math.max(count, 1) - 1)

/**
 * The entries for one vCPU of a machine, made of those that the host supports: its identifier and how many there are in
 * the leaves that say so, and the features that are asked for or not wanted. `hypervisor` is set.
 *
 * Fails with `MissingFeature` where a feature is asked for that is not among the entries.
 *
 * @category CPUID
 * @since 0.1.0
 */
export const cpuidFor = (
  supported: ReadonlyArray<kvm_cpuid_entry2>,
  id: number,
  options: CpuidOptions = {}
): Effect.Effect<ReadonlyArray<kvm_cpuid_entry2>, MissingFeature> =>
  Effect.suspend(() => {
    const { features = {}, maxLeaf, vcpus = id + 1 } = options
    let entries = supported
    for (const [name, wanted] of Object.entries(features)) {
      if (!isFeature(name)) throw new TypeError(`features: there is no ${name}`)
      const feature = CpuidFeature[name]
      if (wanted === true && !hasCpuidFeature(entries, feature))
        return Effect.fail(new MissingFeature({ feature: name }))
      if (wanted === false) entries = withCpuidFeature(entries, feature, false)
    }
    if (maxLeaf !== undefined) {
      entries = modifyCpuid(
        entries.filter((entry) => entry.function >= 0x4000_0000 || entry.function <= maxLeaf),
        0,
        0,
        ({ eax }) => ({ eax: Math.min(eax, maxLeaf) })
      )
    }
    entries = withCpuidFeature(entries, CpuidFeature.HYPERVISOR)
    entries = withCpuidFeature(entries, CpuidFeature.HTT, vcpus > 1)
    const shift = bitsFor(vcpus)
    return Effect.succeed(
      entries.flatMap((entry): ReadonlyArray<kvm_cpuid_entry2> => {
        switch (entry.function) {
          case 1: {
            // The local APIC's identifier, how many identifiers there are, and the size of a cache line.
            const ebx = (entry.ebx & 0xffff) | (Math.min(vcpus, 255) << 16) | ((id & 0xff) << 24)
            return [{ ...entry, ebx: ebx >>> 0 }]
          }
          case 0xb:
          case 0x1f: {
            // Threads, of which a core has one, then cores.
            if (entry.index !== 0) return []
            const level = (index: number, eax: number, ebx: number, ecx: number) => ({
              ...entry,
              index,
              flags: KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
              eax,
              ebx,
              ecx,
              edx: id
            })
            return [level(0, 0, 1, 0x100), level(1, shift, vcpus, 0x201), level(2, 0, 0, 2)]
          }
          case 0x8000_0008:
            // How many there are less one, and how many bits of an identifier tell them apart.
            return [{ ...entry, ecx: ((entry.ecx & ~0xf0ff) | ((vcpus - 1) & 0xff) | ((shift & 0xf) << 12)) >>> 0 }]
          case 0x8000_001e:
            return [{ ...entry, eax: id, ebx: id & 0xff, ecx: 0 }]
          default:
            return [entry]
        }
      })
    )
  })

/**
 * What setting the default CPUID fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export type DefaultCpuidError = SystemCpuidError | SetCpuidError | MissingFeature | MissingCapability | IoctlError

/**
 * Gives a vCPU the CPUID of the host, as far as KVM supports it, with the vCPU's own identifier, and with the features that
 * `options` asks for. To be done before the registers are set whose bits features turn on, and before the guest runs.
 *
 * Fails with `MissingFeature`, which names it, where the host lacks a feature that is asked for.
 *
 * Requests `KVM_GET_SUPPORTED_CPUID`, `KVM_SET_CPUID2`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const program = Effect.gen(function* () {
 *   const vcpu = yield* Kvm.createVcpu(yield* Kvm.createVm(), 0)
 *   yield* Kvm.x86.setDefaultCpuid(vcpu, { features: { AVX2: true, SVM: false, VMX: false } })
 * }).pipe(
 *   Effect.catchTag("MissingFeature", ({ feature }) => Effect.log(`not on this machine: ${feature}`)),
 *   Effect.scoped,
 *   Effect.provide(Kvm.layer)
 * )
 * ```
 *
 * @category CPUID
 * @since 0.1.0
 */
export const setDefaultCpuid = (vcpu: Vcpu, options: CpuidOptions = {}): Effect.Effect<void, DefaultCpuidError, Kvm> =>
  Effect.gen(function* () {
    const supported = yield* getSupportedCpuid
    // Not among what KVM says that it supports: it depends on the local APIC, which says it by a capability.
    const timer = (yield* checkSystemExtension(KVM_CAP_TSC_DEADLINE_TIMER)) !== 0
    const offered = timer ? withCpuidFeature(supported, CpuidFeature.TSC_DEADLINE) : supported
    yield* setCpuid2(vcpu, yield* cpuidFor(offered, vcpu.id, options))
  })
