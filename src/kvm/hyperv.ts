/**
 * Guests that believe themselves on Hyper-V: eventfds that they signal. What they ask the host for ends in the exit
 * `Hyperv`, a crash that they report in `SystemEvent`.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as EventFd from "../EventFd.ts"
import type { IoctlError } from "../errors/calls.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import { type MissingCapability, requires } from "./capability.ts"
import { KVM_HYPERV_EVENTFD_DEASSIGN } from "./constants.ts"
import { KVM_HYPERV_EVENTFD } from "./requests/hyperv.ts"
import type { Vm } from "./vm.ts"

/**
 * What wiring an eventfd to a connection fails with: `EEXIST` where the connection has one, `EINVAL` for a connection
 * above `KVM_HYPERV_CONN_ID_MASK`.
 *
 * @category errors
 * @since 0.1.0
 */
export type HypervEventfdError = MissingCapability | IoctlError | Ioctl.RequestError<typeof KVM_HYPERV_EVENTFD>

/** Who holds each connection of a machine: what ends later must not take off another's. */
const holders = new WeakMap<Vm, Map<number, symbol>>()

const holdersOf = (vm: Vm): Map<number, symbol> => {
  const known = holders.get(vm)
  if (known !== undefined) return known
  const made = new Map<number, symbol>()
  holders.set(vm, made)
  return made
}

/**
 * Makes a guest's hypercall `HvSignalEvent` on a connection (0 to `KVM_HYPERV_CONN_ID_MASK`) add 1 to an eventfd, and no
 * exit, for as long as the scope is open, and at most as long as the machine is. The kernel holds the eventfd for itself
 * until then.
 *
 * Request `KVM_HYPERV_EVENTFD`, capability `KVM_CAP_HYPERV_EVENTFD`, since 4.17.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const registerHypervEventfd = (
  vm: Vm,
  eventFd: EventFd.EventFd,
  connection: number
): Effect.Effect<void, HypervEventfdError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.gen(function* () {
      yield* requires(vm, "KVM_CAP_HYPERV_EVENTFD")
      const fd = yield* File.fd(eventFd)
      yield* File.ioctl(vm.file, KVM_HYPERV_EVENTFD, { conn_id: connection, fd, flags: 0 })
      const holder = Symbol(String(connection))
      holdersOf(vm).set(connection, holder)
      return holder
    }),
    // A machine that has ended meanwhile has taken it off itself.
    (holder) =>
      Effect.suspend(() =>
        holdersOf(vm).get(connection) === holder ? Effect.ignore(unregisterHypervEventfd(vm, connection)) : Effect.void
      )
  ).pipe(Effect.asVoid)

/**
 * Takes off what {@link registerHypervEventfd} wired to a connection, before its scope does. `ENOENT` where there is
 * nothing.
 *
 * Request `KVM_HYPERV_EVENTFD`, capability `KVM_CAP_HYPERV_EVENTFD`, since 4.17.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const unregisterHypervEventfd = (vm: Vm, connection: number): Effect.Effect<void, HypervEventfdError> =>
  Effect.flatMap(requires(vm, "KVM_CAP_HYPERV_EVENTFD"), () =>
    Effect.map(
      File.ioctl(vm.file, KVM_HYPERV_EVENTFD, { conn_id: connection, fd: -1, flags: KVM_HYPERV_EVENTFD_DEASSIGN }),
      () => {
        holdersOf(vm).delete(connection)
      }
    )
  )
