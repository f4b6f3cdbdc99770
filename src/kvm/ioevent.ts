/** Eventfds that a guest signals by writing to an address: without an exit, or a program that is asked. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as EventFd from "../EventFd.ts"
import type { Eventfd2Error, FcntlError } from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import { Misuse } from "../internal/invoke.ts"
import { type Asked, checked, u64 } from "./asking.ts"
import { requires } from "./capability.ts"
import { KVM_IOEVENTFD_FLAG_DATAMATCH, KVM_IOEVENTFD_FLAG_DEASSIGN, KVM_IOEVENTFD_FLAG_PIO } from "./constants.ts"
import { KVM_IOEVENTFD } from "./requests.ts"
import type { Vm } from "./vm.ts"
import * as wire from "./wire.ts"

/**
 * Where a guest writes: to an I/O port, or to an address without memory.
 *
 * @category interrupts
 * @since 0.1.0
 */
export type IoEventAddress =
  | { readonly _tag: "Pio"; readonly port: number | bigint }
  | { readonly _tag: "Mmio"; readonly address: number | bigint }

/**
 * Constructors of addresses, with `IoEventAddress.$is` and `IoEventAddress.$match`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const IoEventAddress: Data.TaggedEnum.Constructor<IoEventAddress> = Data.taggedEnum<IoEventAddress>()

/**
 * Which writes signal: those of this many bytes, and, with `datamatch`, of this value. Without a length those of any
 * (`KVM_CAP_IOEVENTFD_ANY_LENGTH`).
 *
 * @category models
 * @since 0.1.0
 */
export type IoEventMatch =
  | { readonly length?: 0 | undefined; readonly datamatch?: undefined }
  | { readonly length: 1 | 2 | 4 | 8; readonly datamatch?: number | bigint | undefined }

/**
 * What wiring an eventfd to an address fails with: `EEXIST` where it is taken, `ENOENT` where there is none to take off,
 * `ENOSPC` where there are too many, `EINVAL` for a value that does not fit the length.
 *
 * @category errors
 * @since 0.1.0
 */
export type IoEventError = Asked<Ioctl.RequestError<typeof KVM_IOEVENTFD>> | FcntlError

const closedMachine = () => KVM_IOEVENTFD.errors.make(codes.EBADF, undefined, undefined, "the machine is closed")

const lengths: ReadonlyArray<number> = [0, 1, 2, 4, 8]

const describe = (address: IoEventAddress, { datamatch, length = 0 }: IoEventMatch) => {
  if (!lengths.includes(length)) throw new Misuse(codes.EINVAL, `length: expected 1, 2, 4, 8 or 0, got ${length}`)
  const value = datamatch === undefined ? 0n : u64("datamatch", datamatch)
  if (datamatch !== undefined && (datamatch < 0 || value >> BigInt(8 * length) !== 0n)) {
    throw new Misuse(codes.EINVAL, `datamatch: ${datamatch} does not fit in ${length} bytes`)
  }
  const isPort = address._tag === "Pio"
  const addr = isPort ? u64("port", address.port) : u64("address", address.address)
  const flags = (isPort ? KVM_IOEVENTFD_FLAG_PIO : 0) | (datamatch === undefined ? 0 : KVM_IOEVENTFD_FLAG_DATAMATCH)
  return { datamatch: value, addr, len: length, flags }
}

type Described = ReturnType<typeof describe>

const keyOf = (eventFd: EventFd.EventFd, { addr, datamatch, flags, len }: Described): ReadonlyArray<unknown> => [
  "ioevent",
  eventFd,
  addr,
  len,
  flags,
  datamatch
]

const needed = (vm: Vm, { len }: Described) =>
  requires(vm, len === 0 ? "KVM_CAP_IOEVENTFD_ANY_LENGTH" : "KVM_CAP_IOEVENTFD")

const assign = (vm: Vm, described: Described, fd: number, flags = 0) =>
  Effect.asVoid(File.ioctl(vm.file, KVM_IOEVENTFD, { ...described, fd, flags: described.flags | flags }))

/**
 * Makes a guest's write to an address add 1 to an eventfd, and no exit, for as long as the scope is open, and at most as
 * long as the machine is: the vCPU goes on at once, and whoever waits for the eventfd hears of it.
 *
 * The eventfd stays open for the machine until then, even if it is closed here.
 *
 * Can wait, some milliseconds; not interruptible.
 *
 * Request `KVM_IOEVENTFD`, capability `KVM_CAP_IOEVENTFD`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { EventFd, Kvm } from "effect-linux"
 *
 * // a guest that writes the word 3 to this address rings a bell
 * const bell = (vm: Kvm.Vm) =>
 *   Effect.gen(function* () {
 *     const rung = yield* EventFd.make()
 *     const address = Kvm.IoEventAddress.Mmio({ address: 0xd000_0050 })
 *     yield* Kvm.registerIoevent(vm, rung, address, { length: 2, datamatch: 3 })
 *     return yield* EventFd.read(rung)
 *   })
 * ```
 *
 * @category interrupts
 * @since 0.1.0
 */
export const registerIoevent = (
  vm: Vm,
  eventFd: EventFd.EventFd,
  address: IoEventAddress,
  match: IoEventMatch = {}
): Effect.Effect<void, IoEventError, Scope.Scope> =>
  checked(
    KVM_IOEVENTFD,
    () => describe(address, match),
    (described) =>
      Effect.asVoid(
        wire.acquire(
          vm,
          keyOf(eventFd, described),
          Effect.gen(function* () {
            yield* needed(vm, described)
            // See registerIrqfd.
            const fd = yield* Effect.flatMap(File.duplicate(eventFd), File.fd)
            yield* assign(vm, described, fd)
            return fd
          }),
          (fd) => assign(vm, described, fd, KVM_IOEVENTFD_FLAG_DEASSIGN),
          closedMachine
        )
      )
  )

/**
 * Ends what {@link registerIoevent} did with the same arguments, before its scope does. Fails with `ENOENT` where there is
 * none such.
 *
 * Request `KVM_IOEVENTFD` with `KVM_IOEVENTFD_FLAG_DEASSIGN`, capability `KVM_CAP_IOEVENTFD`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const unregisterIoevent = (
  vm: Vm,
  eventFd: EventFd.EventFd,
  address: IoEventAddress,
  match: IoEventMatch = {}
): Effect.Effect<void, IoEventError> =>
  checked(
    KVM_IOEVENTFD,
    () => describe(address, match),
    (described) =>
      wire.release(
        vm,
        keyOf(eventFd, described),
        Effect.flatMap(needed(vm, described), () =>
          Effect.flatMap(File.fd(eventFd), (fd) => assign(vm, described, fd, KVM_IOEVENTFD_FLAG_DEASSIGN))
        )
      )
  )

/**
 * An eventfd that a guest's write to an address signals: {@link registerIoevent} of a new one.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const ioevent = (
  vm: Vm,
  address: IoEventAddress,
  match: IoEventMatch = {}
): Effect.Effect<EventFd.EventFd, IoEventError | Eventfd2Error, Scope.Scope> =>
  Effect.tap(EventFd.make(), (eventFd) => registerIoevent(vm, eventFd, address, match))
