/**
 * Asking a vCPU that is at rest: every function of its state is one of these.
 */
import * as Effect from "effect/Effect"
import type { IoctlError } from "../errors/calls.ts"
import { codes, E2BIG } from "../errors/errnos.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import { Misuse } from "../internal/invoke.ts"
import { type CapabilityName, type MissingCapability, requires } from "./capability.ts"
import type { KvmVcpu } from "./requests.ts"
import { stateOf, type Vcpu, type VcpuState } from "./vcpu.ts"

/**
 * What a request to a vCPU fails with that not every kernel knows: what the request itself fails with, `EBUSY` while the
 * guest runs among it, and `MissingCapability` where this kernel does not know it.
 *
 * @category errors
 * @since 0.1.0
 */
export type OptionalRequestError<Request> = Ioctl.RequestError<Request> | MissingCapability | IoctlError

/** A request's argument with the vCPU that it is made of. */
interface Asked<out A> {
  readonly state: VcpuState
  readonly argument: A
}

const guard = <A, R, E>(request: Ioctl.Request<KvmVcpu, A, R, E>): Ioctl.Request<KvmVcpu, Asked<A>, R, E> => ({
  "~effect-linux/Request": request["~effect-linux/Request"],
  code: request.code,
  name: request.name,
  errors: request.errors,
  waits: request.waits,
  direction: request.direction,
  decode: (result, prepared) => request.decode(result, prepared),
  prepare: ({ argument, state }) => {
    if (state.running) throw new Misuse(codes.EBUSY, `${request.name}: the vCPU is running`)
    return request.prepare(argument)
  }
})

/**
 * A request of a vCPU, by vCPU and argument: it fails with `EBUSY` while the guest runs, as the kernel would make it wait
 * for the guest to stop, and the event loop with it. That is looked at in the same moment in which the kernel is asked:
 * between two steps of a fiber another one may have started the guest.
 */
export const asking = <A, R, E>(
  request: Ioctl.Request<KvmVcpu, A, R, E>
): ((vcpu: Vcpu, argument: A) => Effect.Effect<R, E>) => {
  const guarded = guard(request)
  return (vcpu, argument) =>
    Effect.suspend(() => {
      const state = stateOf(vcpu)
      return File.ioctl(state.file, guarded, { state, argument })
    })
}

/** The same of a request that is there where the machine has a capability, which is asked for first. */
export const askingWith = <A, R, E>(
  capability: CapabilityName,
  request: Ioctl.Request<KvmVcpu, A, R, E>
): ((vcpu: Vcpu, argument: A) => Effect.Effect<R, E | MissingCapability | IoctlError>) => {
  const ask = asking(request)
  return (vcpu, argument) =>
    Effect.suspend(() => Effect.andThen(requires(stateOf(vcpu).vm, capability), ask(vcpu, argument)))
}

/** More entries than a list of the kernel's has. */
const mostEntries = 0x10000

/**
 * A list of unknown length: asked for with room for `room` entries, and with twice the room for as long as the kernel
 * says that it is too little.
 */
export const growing = <A, E, R>(
  ask: (room: number) => Effect.Effect<A, E | E2BIG, R>,
  room: number
): Effect.Effect<A, E, R> =>
  Effect.catch(ask(room), (error: E | E2BIG): Effect.Effect<A, E, R> => {
    if (!(error instanceof E2BIG)) return Effect.fail(error)
    if (room < mostEntries) return growing(ask, room * 2)
    return Effect.die(new Error(`a list of more than ${room} entries`, { cause: error }))
  })

/** What a request fails with once `growing` or pieces small enough have taken care of its length. */
export type Shorter<E> = Exclude<E, E2BIG>
