/**
 * Making a typed request of a file: here and now, or off the event loop where the request says that it may wait. What
 * requests are is in `Ioctl`.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Ioctl from "../Ioctl.ts"
import { type Descriptor, runOn } from "../internal/descriptor.ts"
import { type Description, type Owner, onThisThread, run } from "../internal/invoke.ts"
import { type BlockingOptions, Direction, directions } from "../internal/trampoline.ts"
import * as Syscall from "../Syscall.ts"
import { closeAbandoned } from "../syscall/policy.ts"
import { adopt, type File, own } from "./model.ts"
import { ownerOf } from "./several.ts"

// The memory of a request is copied to the thread that waits, and back from it where the driver writes it.
const optionsOf: { readonly [Direction in "in" | "inOut"]: BlockingOptions } = {
  in: { directions: directions(Direction.unknown, Direction.unknown, Direction.in) },
  inOut: { directions: directions(Direction.unknown, Direction.unknown, Direction.unknown) }
}
const openingOptions: BlockingOptions = { ...optionsOf.in, onAbandoned: closeAbandoned }

const describeIoctl = <A, R, E>(
  fd: number,
  request: Ioctl.Request<never, A, R, E>,
  argument: A,
  waiting: BlockingOptions
): Description<R, E> => ({
  errors: request.errors,
  nr: Syscall.nr.ioctl,
  prepare: () => [fd, request.code, request.prepare(argument)],
  decode: (result, [, , memory = null]) => request.decode(Number(result), memory),
  options: request.waits ? waiting : onThisThread,
  subject: { fd, request: request.name }
})

/** The request's own file, and those that its argument names: closing any of them ends the wait. */
const ownerFor = <A>(owner: Descriptor, request: Ioctl.Request<never, A, unknown, unknown>, argument: A): Owner =>
  request.files === undefined ? owner : ownerOf([owner, ...request.files(argument).map(own)], owner.fd)

/**
 * Asks the device what only its driver knows. A request for another kind of device does not compile.
 *
 * `Ioctl` has the requests that the kernel's headers define, and makes those of other drivers. One that may wait is made
 * on another thread, and interrupting the fiber, or closing the file, makes the kernel give it up where the driver can;
 * all others are made on the JavaScript thread. Manual page: ioctl(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File, Ioctl, Struct } from "effect-linux"
 *
 * // how many bytes wait in a pipe, socket or terminal
 * const waiting = (file: File.File) => File.ioctl(file, Ioctl.AnyFile.FIONREAD)
 *
 * // a request of one's own driver
 * const Blinker = Ioctl.device("Blinker")
 * const SET_RATE = Ioctl.write(Blinker, Ioctl._IOW("b", 1, Struct.u32), Struct.u32, { name: "SET_RATE" })
 *
 * const blink = Effect.gen(function* () {
 *   const blinker = File.asDevice(yield* File.open("/dev/blinker", { access: "readWrite" }), Blinker)
 *   yield* File.ioctl(blinker, SET_RATE, 50)
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category devices
 * @since 0.1.0
 */
export const ioctl = <D, A, R, E>(
  file: File<NoInfer<D>>,
  request: Ioctl.Request<D, A, R, E>,
  ...[argument]: undefined extends A ? [argument?: NoInfer<A>] : [argument: NoInfer<A>]
): Effect.Effect<R, E> =>
  Effect.suspend(() => {
    const owner = own(file)
    // Where the request takes no argument A is void, and undefined is its value.
    const given = argument as A
    const described = describeIoctl(owner.fd, request, given, optionsOf[request.direction])
    return run(described, undefined, ownerFor(owner, request, given))
  })

/**
 * Makes a request that opens a descriptor, which is closed with the scope.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File, Ioctl } from "effect-linux"
 *
 * // the user namespace that owns this process's network namespace
 * const owner = Effect.gen(function* () {
 *   const network = File.asDevice(yield* File.open("/proc/self/ns/net"), Ioctl.Namespace.Device)
 *   return yield* File.ioctlOpen(network, Ioctl.Namespace.NS_GET_USERNS)
 * })
 * ```
 *
 * @category devices
 * @since 0.1.0
 */
export const ioctlOpen = <D, A, Opened, E>(
  file: File<NoInfer<D>>,
  request: Ioctl.OpeningRequest<D, A, Opened, E>,
  ...[argument]: undefined extends A ? [argument?: NoInfer<A>] : [argument: NoInfer<A>]
): Effect.Effect<File<Opened>, E, Scope.Scope> =>
  Effect.suspend(() => {
    const owner = own(file)
    return adopt<Opened, E>(describeIoctl(owner.fd, request, argument as A, openingOptions), owner)
  })

/**
 * Makes a request that waits, on a thread of `Syscall.makeThread`: the event loop goes on meanwhile, and interrupting the
 * fiber, or closing the file, makes the kernel give the request up.
 *
 * The request takes no argument. `onInterrupt` is called just before the kernel is made to give it up, `onAbandoned` where
 * it was done at that moment and no fiber hears of it.
 *
 * Manual page: ioctl(2).
 *
 * @category devices
 * @since 0.1.0
 */
export const ioctlOn = <D, R, E>(
  file: File<NoInfer<D>>,
  thread: Syscall.Thread,
  request: Ioctl.Request<D, void, R, E>,
  options: {
    readonly onInterrupt?: (() => void) | undefined
    readonly onAbandoned?: (() => void) | undefined
  } = {}
): Effect.Effect<R, E> =>
  Effect.suspend(() => {
    const owner = own(file)
    return runOn(owner, { ...describeIoctl(owner.fd, request, undefined, {}), options: { thread, ...options } })
  })
