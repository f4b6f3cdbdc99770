/**
 * Capabilities that functions need: asked for before the request that would need them, and once for each machine.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { IoctlError } from "../errors/calls.ts"
import * as File from "../File.ts"
import * as constants from "./constants.ts"
import { KVM_CHECK_EXTENSION, KVM_CHECK_EXTENSION_VM } from "./requests.ts"
import { Kvm } from "./system.ts"
import { stateOf, type Vm } from "./vm.ts"

/**
 * The name of a capability of the kernel's.
 *
 * @category models
 * @since 0.1.0
 */
export type CapabilityName = Extract<keyof typeof constants, `KVM_CAP_${string}`>

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

/** All constants, to be looked up by name. */
const numbers = { ...constants }

/** Fails unless a machine has a capability; gives what its number says. */
export const requires = (vm: Vm, capability: CapabilityName): Effect.Effect<number, MissingCapability | IoctlError> =>
  Effect.suspend(() => {
    const { capabilities } = stateOf(vm)
    const number = numbers[capability]
    const known = capabilities.get(number)
    if (known !== undefined) return Effect.succeed(known)
    return Effect.flatMap(File.ioctl(vm.file, KVM_CHECK_EXTENSION_VM, number), (value) => {
      if (value === 0) return Effect.fail(new MissingCapability({ capability }))
      capabilities.set(number, value)
      return Effect.succeed(value)
    })
  })

/** The same of the system. */
export const systemRequires = (
  capability: CapabilityName
): Effect.Effect<number, MissingCapability | IoctlError, Kvm> =>
  Effect.flatMap(Kvm, ({ file }) =>
    Effect.flatMap(File.ioctl(file, KVM_CHECK_EXTENSION, numbers[capability]), (value) =>
      value === 0 ? Effect.fail(new MissingCapability({ capability })) : Effect.succeed(value)
    )
  )
