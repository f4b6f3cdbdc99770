/** How functions make their requests: arguments checked, capabilities asked for first. */
import * as Effect from "effect/Effect"
import type { IoctlError } from "../errors/calls.ts"
import type { CallErrors } from "../errors/registry.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import { long } from "../internal/arguments.ts"
import { misuseOf } from "../internal/invoke.ts"
import { type MissingCapability, requires } from "./capability.ts"
import type { CapabilityName } from "./capability-table.ts"
import type { KvmVm } from "./requests.ts"
import { refuse, type Vcpu, VcpuState } from "./vcpu.ts"
import { type Vm, VmState } from "./vm.ts"

/** What functions fail with whose request needs a capability. */
export type Asked<E> = E | MissingCapability | IoctlError

/** Goes on with what `make` gives; what it throws fails as the request would. */
export const checked = <A, B, E, E2, R>(
  { errors, name }: { readonly errors: CallErrors<E>; readonly name: string },
  make: () => A,
  f: (a: A) => Effect.Effect<B, E2, R>
): Effect.Effect<B, E | E2, R> =>
  Effect.suspend((): Effect.Effect<B, E | E2, R> => {
    let made: A
    try {
      made = make()
    } catch (thrown) {
      const { code, detail } = misuseOf(thrown)
      return refuse(errors, code, `${name}: ${detail}`)
    }
    return f(made)
  })

/** A number of 64 bits as the kernel has it: what is below 0 as its two's complement. */
export const u64 = (name: string, value: number | bigint): bigint => BigInt.asUintN(64, BigInt(long(name, value)))

/** A request to a machine that needs a capability. */
export const ask = <A, B, E>(
  vm: Vm,
  capability: CapabilityName,
  request: Ioctl.Request<KvmVm, A, B, E>,
  ...argument: undefined extends A ? [argument?: NoInfer<A>] : [argument: NoInfer<A>]
): Effect.Effect<B, Asked<E>> =>
  Effect.flatMap(requires(vm, capability), () => File.ioctl<KvmVm, A, B, E>(vm.file, request, ...argument))

/** The machine that a target is, or is a vCPU of. */
export const machineOf = (target: Vm | Vcpu): VmState => {
  if (target instanceof VmState) return target
  if (target instanceof VcpuState) return target.vm
  throw new TypeError("target: expected a Vm or a Vcpu")
}
