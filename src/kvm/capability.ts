/**
 * Capabilities that functions need: asked for before the request that would need them, and once for each machine.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { IoctlError } from "../errors/calls.ts"
import * as File from "../File.ts"
import { wordsOf } from "../file/words.ts"
import { names, numberOf } from "./capability-number.ts"
import { type CapabilityName, capabilities } from "./capability-table.ts"

export type { CapabilityName } from "./capability-table.ts"

import { KVM_CHECK_EXTENSION, KVM_CHECK_EXTENSION_VM } from "./requests.ts"
import { Kvm } from "./system.ts"
import { checkExtension, stateOf, type Vm } from "./vm.ts"

/**
 * This kernel, on this machine, cannot do what was asked for; `capability` is the one it lacks.
 *
 * @category errors
 * @since 0.1.0
 */
export class MissingCapability extends Data.TaggedError("MissingCapability")<{
  readonly capability: CapabilityName
}> {
  override get message(): string {
    return `this kernel's KVM lacks ${this.capability}`
  }
}

/** Fails unless a machine has a capability; gives what its number says. */
export const requires = (vm: Vm, capability: CapabilityName): Effect.Effect<number, MissingCapability | IoctlError> =>
  Effect.suspend(() => {
    const { capabilities } = stateOf(vm)
    const number = numberOf(capability)
    const known = capabilities.get(number)
    if (known !== undefined) return Effect.succeed(known)
    return Effect.flatMap(File.ioctl(vm.file, KVM_CHECK_EXTENSION_VM, number), (value) => {
      if (value === 0) return Effect.fail(new MissingCapability({ capability }))
      capabilities.set(number, value)
      return Effect.succeed(value)
    })
  })

/** The same of the system, of which the service is at hand. */
export const systemHas = (
  { file }: Kvm["Service"],
  capability: CapabilityName
): Effect.Effect<number, MissingCapability | IoctlError> =>
  Effect.flatMap(File.ioctl(file, KVM_CHECK_EXTENSION, numberOf(capability)), (value) =>
    value === 0 ? Effect.fail(new MissingCapability({ capability })) : Effect.succeed(value)
  )

/** The same of the system. */
export const systemRequires = (
  capability: CapabilityName
): Effect.Effect<number, MissingCapability | IoctlError, Kvm> =>
  Effect.flatMap(Kvm, (system) => systemHas(system, capability))

const supported = <R>(check: (name: CapabilityName) => Effect.Effect<number, IoctlError, R>) =>
  Effect.map(
    Effect.forEach(names, (name) => Effect.map(check(name), (value) => [name, value] as const)),
    (all): ReadonlyMap<CapabilityName, number> => new Map(all.filter(([, value]) => value !== 0))
  )

/**
 * All capabilities of the system, or of a machine, whose may differ, with what the kernel answers for each: see
 * {@link capabilities} for what that means. Only those are among them that this library knows of.
 *
 * Request `KVM_CHECK_EXTENSION`, once for each.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const list = Effect.gen(function* () {
 *   const all = yield* Kvm.supportedCapabilities()
 *   for (const [name, value] of all) console.log(name, value, Kvm.capabilities[name].summary)
 * }).pipe(Effect.provide(Kvm.layer))
 * ```
 *
 * @category capabilities
 * @since 0.1.0
 */
export const supportedCapabilities: {
  (): Effect.Effect<ReadonlyMap<CapabilityName, number>, IoctlError, Kvm>
  (vm: Vm): Effect.Effect<ReadonlyMap<CapabilityName, number>, IoctlError>
} = ((...args: [] | [Vm]) =>
  args.length === 0
    ? supported((name) => checkExtension(name))
    : supported((name) => checkExtension(args[0], name))) as typeof supportedCapabilities

/**
 * The members of the set that the kernel's answer for a capability is, by the names of their constants; none of one whose
 * answer is no set. Bits that this library does not know are left out.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const flags = (vm: Kvm.Vm) =>
 *   Effect.map(Kvm.checkExtension(vm, "KVM_CAP_ADJUST_CLOCK"), (value) =>
 *     Kvm.capabilityBits("KVM_CAP_ADJUST_CLOCK", value) // ["KVM_CLOCK_TSC_STABLE", …]
 *   )
 * ```
 *
 * @category capabilities
 * @since 0.1.0
 */
export const capabilityBits = (capability: CapabilityName, value: number): ReadonlyArray<string> =>
  wordsOf(capabilities[capability].bits ?? {}, value)
