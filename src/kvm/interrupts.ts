/**
 * Raising interrupts of a machine: by line, by message, by an eventfd; and where they go. The controllers themselves are in
 * `irqchip.ts`, routes in `routing.ts`, eventfds that the guest signals in `ioevent.ts`.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as EventFd from "../EventFd.ts"
import type { Eventfd2Error, FcntlError } from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import { type Asked, ask } from "./asking.ts"
import { requires } from "./capability.ts"
import { KVM_IRQFD_FLAG_DEASSIGN, KVM_IRQFD_FLAG_RESAMPLE } from "./constants.ts"
import { KVM_IRQ_LINE, KVM_IRQ_LINE_STATUS, KVM_IRQFD, KVM_SET_GSI_ROUTING, KVM_SIGNAL_MSI } from "./requests.ts"
import { entryOf, type GsiRoute } from "./routing.ts"
import { stateOf, type Vm } from "./vm.ts"
import * as wire from "./wire.ts"

// ---------------------------------------------------------------------------------------------------------------------
// lines and messages
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What setting an interrupt line fails with: `ENXIO` where the kernel has no interrupt controllers for the machine.
 *
 * @category errors
 * @since 0.1.0
 */
export type IrqLineError = Asked<Ioctl.RequestError<typeof KVM_IRQ_LINE>>

/**
 * Sets the level of the interrupt line of a number. An interrupt of an edge is one call with true and one with false; a
 * level stays until it is set to false. On aarch64 `gsi` also tells the kind and the vCPU.
 *
 * Request `KVM_IRQ_LINE`, capability `KVM_CAP_IRQCHIP`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const pulse = (vm: Kvm.Vm, gsi: number) =>
 *   Effect.andThen(Kvm.setIrqLine(vm, gsi, true), Kvm.setIrqLine(vm, gsi, false))
 * ```
 *
 * @category interrupts
 * @since 0.1.0
 */
export const setIrqLine = (vm: Vm, gsi: number, active: boolean): Effect.Effect<void, IrqLineError> =>
  Effect.asVoid(ask(vm, "KVM_CAP_IRQCHIP", KVM_IRQ_LINE, { irq: gsi, level: active ? 1 : 0 }))

/**
 * {@link setIrqLine} that tells what became of the interrupt: to how many vCPUs it went; 0 where it became one with an
 * earlier one that the guest has not taken yet; -1 where the guest masks it, or nothing is at that number.
 *
 * Request `KVM_IRQ_LINE_STATUS`, capability `KVM_CAP_IRQ_INJECT_STATUS`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const setIrqLineStatus = (vm: Vm, gsi: number, active: boolean): Effect.Effect<number, IrqLineError> =>
  Effect.map(
    ask(vm, "KVM_CAP_IRQ_INJECT_STATUS", KVM_IRQ_LINE_STATUS, { irq: gsi, level: active ? 1 : 0 }),
    ({ irq }) => irq | 0
  )

/**
 * What sending a message fails with: `EPERM` where it names no vCPU, `EINVAL` where the kernel has no local APICs for the
 * machine.
 *
 * @category errors
 * @since 0.1.0
 */
export type SignalMsiError = Asked<Ioctl.RequestError<typeof KVM_SIGNAL_MSI>>

/**
 * A message-signalled interrupt: a write of `data` to an address, which on x86 names vCPU (bits 12 to 19 of 0xfee00000)
 * and vector (lowest byte of the data).
 *
 * @category models
 * @since 0.1.0
 */
export interface Msi {
  readonly address_lo: number
  /** 0. */
  readonly address_hi?: number | undefined
  readonly data: number
  /** `KVM_MSI_VALID_DEVID` where `devid` is meant. 0. */
  readonly flags?: number | undefined
  /** 0. */
  readonly devid?: number | undefined
}

/**
 * Sends a message-signalled interrupt, and says whether it was delivered: not where the guest blocked it.
 *
 * Request `KVM_SIGNAL_MSI`, capability `KVM_CAP_SIGNAL_MSI`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const signalMsi = (vm: Vm, message: Msi): Effect.Effect<boolean, SignalMsiError> =>
  Effect.suspend(() => {
    const { address_hi = 0, address_lo, data, devid = 0, flags = 0 } = message
    const msi = { address_lo, address_hi, data, flags, devid }
    return Effect.map(ask(vm, "KVM_CAP_SIGNAL_MSI", KVM_SIGNAL_MSI, msi), (count) => count > 0)
  })

/**
 * What setting routes fails with: `EINVAL` for one that cannot be, or for too many.
 *
 * @category errors
 * @since 0.1.0
 */
export type GsiRoutingError = Asked<Ioctl.RequestError<typeof KVM_SET_GSI_ROUTING>>

/**
 * Sets where interrupts go. It replaces all routes, also those that interrupt controllers began with: see
 * {@link defaultGsiRouting}.
 *
 * Can wait, some milliseconds; not interruptible.
 *
 * Request `KVM_SET_GSI_ROUTING`, capability `KVM_CAP_IRQ_ROUTING`.
 *
 * @example
 * ```ts
 * import { Kvm } from "effect-linux"
 *
 * // number 24 is a message to vCPU 0, vector 0x40
 * const route = (vm: Kvm.Vm) =>
 *   Kvm.setGsiRouting(vm, [
 *     ...Kvm.defaultGsiRouting,
 *     { _tag: "Msi", gsi: 24, address_lo: 0xfee00000, address_hi: 0, data: 0x40 }
 *   ])
 * ```
 *
 * @category interrupts
 * @since 0.1.0
 */
export const setGsiRouting = (vm: Vm, routes: ReadonlyArray<GsiRoute>): Effect.Effect<void, GsiRoutingError> =>
  Effect.suspend(() => {
    const all = [...routes]
    return Effect.map(ask(vm, "KVM_CAP_IRQ_ROUTING", KVM_SET_GSI_ROUTING, all.map(entryOf)), () => {
      stateOf(vm).routing = all
    })
  }).pipe(Effect.uninterruptible)

/**
 * The routes that {@link setGsiRouting} set last; undefined before that. The kernel does not tell them.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const gsiRouting = (vm: Vm): Effect.Effect<ReadonlyArray<GsiRoute> | undefined> =>
  Effect.sync(() => stateOf(vm).routing)

// ---------------------------------------------------------------------------------------------------------------------
// eventfds
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What wiring an eventfd to an interrupt fails with: `EBUSY` where the eventfd raises one already, `EINVAL` or `EAGAIN`
 * where the kernel has no interrupt controllers for the machine.
 *
 * @category errors
 * @since 0.1.0
 */
export type IrqfdError = Asked<Ioctl.RequestError<typeof KVM_IRQFD>> | FcntlError

const closedMachine = () => KVM_IRQFD.errors.make(codes.EBADF, undefined, undefined, "the machine is closed")

const assign = (vm: Vm, fd: number, gsi: number, flags: number, resamplefd: number) =>
  Effect.asVoid(File.ioctl(vm.file, KVM_IRQFD, { fd, gsi, flags, resamplefd }))

const registering = (
  vm: Vm,
  eventFd: EventFd.EventFd,
  gsi: number,
  resample: EventFd.EventFd | undefined
): Effect.Effect<void, IrqfdError, Scope.Scope> =>
  Effect.suspend(() =>
    wire.acquire(
      vm,
      ["irqfd", eventFd, gsi],
      Effect.gen(function* () {
        yield* requires(vm, resample === undefined ? "KVM_CAP_IRQFD" : "KVM_CAP_IRQFD_RESAMPLE")
        // A descriptor of its own: the kernel wants the eventfd again to take it off, and by then the user's number may be
        // closed, or somebody else's.
        const fd = yield* Effect.flatMap(File.duplicate(eventFd), File.fd)
        const resamplefd = resample === undefined ? 0 : yield* Effect.flatMap(File.duplicate(resample), File.fd)
        yield* assign(vm, fd, gsi, resample === undefined ? 0 : KVM_IRQFD_FLAG_RESAMPLE, resamplefd)
        return fd
      }),
      (fd) => assign(vm, fd, gsi, KVM_IRQFD_FLAG_DEASSIGN, 0),
      closedMachine
    )
  ).pipe(Effect.asVoid)

/**
 * Makes an eventfd raise the interrupt of a number, an edge each time that something is added to it, for as long as the
 * scope is open, and at most as long as the machine is. What is added meanwhile by whoever has the eventfd (a fiber,
 * another process, a device in the kernel) goes to the guest without this program.
 *
 * The eventfd stays open for the machine until then, even if it is closed here. It raises one interrupt at most.
 *
 * Can wait, some milliseconds; not interruptible.
 *
 * Request `KVM_IRQFD`, capability `KVM_CAP_IRQFD`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { EventFd, Kvm } from "effect-linux"
 *
 * const raise = (vm: Kvm.Vm) =>
 *   Effect.gen(function* () {
 *     const line = yield* EventFd.make()
 *     yield* Kvm.registerIrqfd(vm, line, 5)
 *     yield* EventFd.add(line) // interrupt 5
 *   })
 * ```
 *
 * @category interrupts
 * @since 0.1.0
 */
export const registerIrqfd = (
  vm: Vm,
  eventFd: EventFd.EventFd,
  gsi: number
): Effect.Effect<void, IrqfdError, Scope.Scope> => registering(vm, eventFd, gsi, undefined)

/**
 * {@link registerIrqfd} for an interrupt of a level: adding to `eventFd` raises the level, which falls when the guest has
 * told the end of the interrupt; `resampleFd` is signalled then, so that whoever still wants attention adds again.
 *
 * Request `KVM_IRQFD` with `KVM_IRQFD_FLAG_RESAMPLE`, capability `KVM_CAP_IRQFD_RESAMPLE`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const registerIrqfdWithResample = (
  vm: Vm,
  eventFd: EventFd.EventFd,
  resampleFd: EventFd.EventFd,
  gsi: number
): Effect.Effect<void, IrqfdError, Scope.Scope> => registering(vm, eventFd, gsi, resampleFd)

/**
 * Ends what {@link registerIrqfd} or {@link registerIrqfdWithResample} did, before its scope does. Does nothing where the
 * eventfd does not raise this interrupt.
 *
 * Request `KVM_IRQFD` with `KVM_IRQFD_FLAG_DEASSIGN`, capability `KVM_CAP_IRQFD`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const unregisterIrqfd = (vm: Vm, eventFd: EventFd.EventFd, gsi: number): Effect.Effect<void, IrqfdError> =>
  wire.release(
    vm,
    ["irqfd", eventFd, gsi],
    Effect.flatMap(requires(vm, "KVM_CAP_IRQFD"), () =>
      Effect.flatMap(File.fd(eventFd), (fd) => assign(vm, fd, gsi, KVM_IRQFD_FLAG_DEASSIGN, 0))
    )
  )

/**
 * An eventfd that raises the interrupt of a number: {@link registerIrqfd} of a new one.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { EventFd, Kvm } from "effect-linux"
 *
 * const raise = (vm: Kvm.Vm) => Effect.flatMap(Kvm.irqfd(vm, 5), (line) => EventFd.add(line))
 * ```
 *
 * @category interrupts
 * @since 0.1.0
 */
export const irqfd = (vm: Vm, gsi: number): Effect.Effect<EventFd.EventFd, IrqfdError | Eventfd2Error, Scope.Scope> =>
  Effect.tap(EventFd.make(), (eventFd) => registerIrqfd(vm, eventFd, gsi))

/**
 * Two eventfds for an interrupt of a level: {@link registerIrqfdWithResample} of new ones. Adding to `trigger` raises it;
 * `resample` is signalled when the guest has told its end.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const irqfdWithResample = (
  vm: Vm,
  gsi: number
): Effect.Effect<
  { readonly trigger: EventFd.EventFd; readonly resample: EventFd.EventFd },
  IrqfdError | Eventfd2Error,
  Scope.Scope
> =>
  Effect.tap(Effect.all({ trigger: EventFd.make(), resample: EventFd.make() }), ({ resample, trigger }) =>
    registerIrqfdWithResample(vm, trigger, resample, gsi)
  )
