/**
 * Running a guest until something ends it, its exits answered by the devices of a bus and by handlers.
 *
 * Where the trampoline is the kernel itself, the vCPU's thread answers by itself what needs no JavaScript: see
 * `native/bus.h`. It puts writes by in a ring, which is emptied here, before any exit that came after them.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit_ from "effect/Exit"
import { codes } from "../errors/errnos.ts"
import { own } from "../file/model.ts"
import type { Descriptor } from "../internal/descriptor.ts"
import { type Fiber, Primitive } from "../internal/invoke.ts"
import { native } from "../internal/native.ts"
import { Kernel, Trampoline } from "../internal/trampoline.ts"
import * as Syscall from "../Syscall.ts"
import { type Bus, type BusState, stateOfBus } from "./bus.ts"
import {
  type ContextOf,
  type DeviceState,
  type Done,
  type DoneOf,
  type ErrorOf,
  type Handled,
  isDone,
  isEffect,
  unhandled
} from "./bus-device.ts"
import { KVM_EXIT_IO, KVM_EXIT_IO_OUT, KVM_EXIT_MMIO } from "./constants.ts"
import {
  answered,
  type Ended,
  enterThread,
  Flight,
  isPending,
  outcome,
  type Restore,
  type RunError,
  refusal,
  runPlainly,
  Tells,
  threadOf
} from "./entry.ts"
import { decode, type Exit } from "./exit.ts"
import { KVM_RUN } from "./requests.ts"
import { Ring } from "./ring.ts"
import { kvm_run, kvm_run_exit } from "./structs.ts"
import { refuse, stateOf, type Vcpu, type VcpuState } from "./vcpu.ts"

/**
 * The guest stopped for what neither a device of the bus nor a handler is there for. It stands there: it can be run on.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnhandledExit extends Data.TaggedError("UnhandledExit")<{ readonly exit: Exit }> {
  override get message(): string {
    const { exit } = this
    switch (exit._tag) {
      case "Io":
        return `nobody handles the guest's ${exit.direction} of ${exit.size} bytes at port 0x${exit.port.toString(16)}`
      case "Mmio": {
        const what = exit.isWrite ? "write" : "read"
        return `nobody handles the guest's ${what} of ${exit.data.length} bytes at 0x${exit.address.toString(16)}`
      }
      default:
        return `nobody handles the guest's exit ${exit._tag}`
    }
  }
}

/**
 * What is done about exits that no device of the bus is there for, by their tags: `onHlt`, `onShutdown`, …
 *
 * A handler that gives nothing, or an effect of nothing, has the guest go on; one that gives `Kvm.done(value)` ends
 * {@link runUntil}. One that answers what the guest reads does so with the exit's own `respond`.
 *
 * @category running
 * @since 0.1.0
 */
export type ExitHandlers = {
  readonly [Tag in Exit["_tag"] as `on${Tag}`]?: ((exit: Extract<Exit, { readonly _tag: Tag }>) => Handled) | undefined
}

interface Options extends ExitHandlers {
  readonly bus?: Bus<unknown, unknown, unknown> | undefined
}

type BusDone<O> = O extends { readonly bus: Bus<infer A, infer _E, infer _R> } ? A : never
type BusError<O> = O extends { readonly bus: Bus<infer _A, infer E, infer _R> } ? E : never
type BusContext<O> = O extends { readonly bus: Bus<infer _A, infer _E, infer R> } ? R : never
type OnlyHandlers<O> = Omit<O, "bus">

/** The milliseconds after which the ring is looked at again, once the bell has rung. */
const look = 2

// ---------------------------------------------------------------------------------------------------------------------
// the run page
// ---------------------------------------------------------------------------------------------------------------------

const details = kvm_run.fields.exit.offset
const io = kvm_run_exit.fields.io.layout.fields
const mmio = kvm_run_exit.fields.mmio.layout.fields

const valueAt = (view: DataView, at: number, size: number): bigint => {
  switch (size) {
    case 1:
      return BigInt(view.getUint8(at))
    case 2:
      return BigInt(view.getUint16(at, true))
    case 4:
      return BigInt(view.getUint32(at, true))
    case 8:
      return view.getBigUint64(at, true)
    default: {
      let value = 0n
      for (let index = size - 1; index >= 0; index--) value = (value << 8n) | BigInt(view.getUint8(at + index))
      return value
    }
  }
}

/** Puts down what the guest reads; false where it does not fit. */
const answerAt = (view: DataView, at: number, size: number, value: unknown): boolean => {
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value) || value < 0 || value >= 2 ** (8 * size)) return false
    if (size === 1) view.setUint8(at, value)
    else if (size === 2) view.setUint16(at, value, true)
    else if (size === 4) view.setUint32(at, value, true)
    else return answerAt(view, at, size, BigInt(value))
    return true
  }
  if (typeof value !== "bigint")
    throw new TypeError(`the value of a read: expected a number or bigint, got ${typeof value}`)
  if (value < 0n || value >> BigInt(8 * size) !== 0n) return false
  for (let index = 0; index < size; index++) view.setUint8(at + index, Number((value >> BigInt(8 * index)) & 0xffn))
  return true
}

// ---------------------------------------------------------------------------------------------------------------------
// a session
// ---------------------------------------------------------------------------------------------------------------------

type Any = Effect.Effect<unknown, unknown, unknown>

/** Exits after which the fiber gives way to others, where they come one after the other. */
const mostAtOnce = 100

/** One time that a guest is run until something ends it. An effect: of what ends it, from where it is. */
class Session extends Primitive<unknown, unknown, unknown> {
  private readonly state: VcpuState
  private readonly bus: BusState | undefined
  private readonly handlers: { readonly [name: string]: unknown }
  private readonly restore: Restore
  private readonly owner: Descriptor
  private readonly thread: Syscall.Thread
  private readonly ring: Ring | undefined
  private flight: Flight | undefined = undefined
  /** The exit that the run page tells of has not been handed to anybody. */
  private isUnseen = false
  /** How many exits came since the fiber last gave way: also those whose handlers' effects had nothing to wait for. */
  private inARow = 0
  /** What a device has ended it with that was told of writes late. */
  private finished: Done<unknown> | undefined = undefined

  constructor(state: VcpuState, thread: Syscall.Thread, bus: BusState | undefined, options: Options, restore: Restore) {
    super()
    this.state = state
    this.owner = own(state.file)
    this.bus = bus
    this.handlers = { ...options }
    this.restore = restore
    this.thread = thread
    if (bus === undefined || bus.tableLength === 0) {
      this.ring = undefined
    } else {
      state.ring ??= new Ring()
      this.ring = state.ring
      // The addon has both until `detach`.
      state.lent = bus.table
      native.busOfVcpu(thread.id, Syscall.addressOf(bus.table), bus.tableLength, state.ring.address)
    }
  }

  evaluate(fiber: Fiber): Any {
    const { owner, state, thread } = this
    if (!(fiber.getRef(Trampoline) instanceof Kernel)) {
      return Effect.flatMap(this.restore(runPlainly(state, thread)), (exit) => this.ofPlain(exit) ?? this)
    }
    while (this.inARow++ < mostAtOnce) {
      if (state.closed || owner.closed) return refuse(KVM_RUN.errors, codes.EBADF, "KVM_RUN: the vCPU is closed")
      let next: Any | undefined
      if (state.pauses > 0) {
        next = this.fly("go")
      } else if (state.kept) {
        state.kept = false
        next = this.stopped(undefined)
      } else {
        const result = enterThread(state, thread.id)
        if (isPending(result)) return this.fly("wait")
        state.rest()
        next = this.stopped(outcome(state, owner, result))
      }
      if (next !== undefined) return next
    }
    this.inARow = 0
    return Effect.andThen(this.restore(Effect.yieldNow), this)
  }

  // -- waiting --

  private fly(begin: "go" | "wait"): Any {
    const flight = new Flight(this.state, this.owner, this.thread.id)
    this.flight = flight
    flight[begin]()
    return this.watch(flight, false)
  }

  /** Waits until the flight is over or something is put by, and tells that. */
  private watch(flight: Flight, rung: boolean): Any {
    const waiting = Effect.callback<void>((resume) => {
      let timer: NodeJS.Timeout | undefined
      let isOver = false
      const over = (): void => {
        if (isOver) return
        isOver = true
        clearTimeout(timer)
        flight.whenOver(undefined)
        if (!rung) this.mute()
        resume(Exit_.void)
      }
      flight.whenOver(over)
      if (!isOver && rung) timer = setTimeout(over, look)
      else if (!isOver && this.isQuiet(over)) over()
      return Effect.sync(over)
    })
    return Effect.flatMap(this.restore(waiting), () => {
      const isRung = this.ring?.isEmpty === false
      return this.after(this.drain(), () => {
        if (this.finished !== undefined) return Exit_.succeed(this.finished.value)
        const { outcome } = flight
        if (outcome === undefined) return this.watch(flight, isRung)
        this.flight = undefined
        return this.stopped(outcome.failure) ?? this
      })
    })
  }

  /** Asks for the bell; false where it need not be waited for. */
  private isQuiet(ring: () => void): boolean {
    if (this.ring === undefined || this.state.closed) return false
    native.tellVcpu(this.thread.id, Tells.bell, ring)
    return !this.ring.arm()
  }

  private mute(): void {
    if (this.ring === undefined || this.state.closed) return
    this.ring.disarm()
    native.muteVcpu(this.thread.id)
  }

  /** Stops the guest, waits for it, and tells what is put by: at the end, however it came. */
  end(): Any {
    const { flight, state } = this
    const stopped =
      flight === undefined
        ? Effect.void
        : Effect.callback<void>((resume) => {
            flight.abandon()
            flight.whenOver(() => resume(Exit_.void))
          })
    return Effect.flatMap(stopped, () => {
      if (this.isUnseen && !state.closed) state.kept = true
      if (this.ring !== undefined && !state.closed) {
        native.busOfVcpu(this.thread.id, 0n, 0, 0n)
        state.lent = undefined
      }
      state.parked = false
      return this.drainAll()
    })
  }

  /** All that is put by, at the end: that one device failed keeps no other from being told. */
  private drainAll(): Any {
    return Effect.onExit(
      Effect.suspend((): Any => this.drain() ?? Effect.void),
      (exit) => (Exit_.isFailure(exit) && this.ring?.isEmpty === false ? this.drainAll() : Effect.void)
    )
  }

  private after(first: Any | undefined, next: () => Any): Any {
    return first === undefined ? next() : Effect.flatMap(first, next)
  }

  // -- what was put by --

  /** Tells devices what is put by, until nothing is; undefined where nothing has to be waited for. Not interrupted. */
  private drain(): Any | undefined {
    for (let some = this.ring?.take(); some !== undefined; some = this.ring?.take()) {
      const told = this.bus?.devices[some.device]?.behaviour.writes?.(some.writes)
      if (isDone(told)) this.finished ??= told
      else if (isEffect(told)) {
        return Effect.flatMap(told, (value) => {
          if (isDone(value)) this.finished ??= value
          return this.drain() ?? Effect.void
        })
      }
    }
    return undefined
  }

  // -- exits --

  /** The guest has stopped, or not been entered. Undefined: it goes on. */
  private stopped(failure: Ended | undefined): Any | undefined {
    this.isUnseen = failure === undefined
    const told = this.drain()
    if (told === undefined) return this.handle(failure)
    // Nobody has seen the exit while devices are being told: that is what a snapshot must know.
    this.state.parked = this.isUnseen
    return Effect.flatMap(told, () => this.handle(failure) ?? this)
  }

  private handle(failure: Ended | undefined): Any | undefined {
    this.state.parked = false
    if (this.finished !== undefined) return Exit_.succeed(this.finished.value)
    if (failure !== undefined) return Exit_.isSuccess(failure) ? this.told(failure.value) : failure
    this.isUnseen = false
    return this.access() ?? undefined
  }

  private ofPlain(exit: Exit): Any | undefined {
    return exit._tag === "Io" || exit._tag === "Mmio" ? this.access() : this.told(exit)
  }

  /** Asks the device that the guest speaks to, if it speaks to one. */
  private access(): Any | undefined {
    const { bus, state } = this
    const { reason, view } = state
    if (bus !== undefined && reason === KVM_EXIT_IO) {
      const size = view.getUint8(details + io.size.offset)
      const address = BigInt(view.getUint16(details + io.port.offset, true))
      const device = bus.find("pio", address, size)
      if (device !== undefined) {
        const isWrite = view.getUint8(details + io.direction.offset) === KVM_EXIT_IO_OUT
        const count = view.getUint32(details + io.count.offset, true)
        const at = Number(view.getBigUint64(details + io.data_offset.offset, true))
        return this.each(device, address, isWrite, size, at, count)
      }
    } else if (bus !== undefined && reason === KVM_EXIT_MMIO) {
      const size = view.getUint32(details + mmio.len.offset, true)
      const address = view.getBigUint64(details + mmio.phys_addr.offset, true)
      const device = bus.find("mmio", address, size)
      if (device !== undefined) {
        const isWrite = view.getUint8(details + mmio.is_write.offset) !== 0
        return this.each(device, address, isWrite, size, details + mmio.data.offset, 1)
      }
    }
    return this.told(decode(state))
  }

  /** One value after the other of a string instruction; most often there is one. */
  private each(
    device: DeviceState,
    address: bigint,
    isWrite: boolean,
    size: number,
    at: number,
    count: number
  ): Any | undefined {
    const { behaviour } = device
    const { view } = this.state
    for (let index = 0; index < count; index++) {
      const here = at + index * size
      const given = isWrite ? behaviour.write(address, size, valueAt(view, here, size)) : behaviour.read(address, size)
      if (given === undefined && isWrite) continue
      if (given === unhandled) return this.told(decode(this.state))
      if (isEffect(given)) {
        return Effect.flatMap(this.restore(given), (value): Any => {
          const over = this.taken(device, address, isWrite, size, here, value)
          return over ?? this.each(device, address, isWrite, size, here + size, count - index - 1) ?? this
        })
      }
      const over = this.taken(device, address, isWrite, size, here, given)
      if (over !== undefined) return over
    }
    answered(this.state)
    return undefined
  }

  /** What a handler has given; undefined: the guest goes on. */
  private taken(
    { name }: DeviceState,
    address: bigint,
    isWrite: boolean,
    size: number,
    at: number,
    given: unknown
  ): Any | undefined {
    if (isDone(given)) return Exit_.succeed(given.value)
    // It may have been closed meanwhile.
    if (isWrite || this.state.closed || answerAt(this.state.view, at, size, given)) return undefined
    const where = `the guest's read of ${size} bytes at 0x${address.toString(16)}`
    return refuse(KVM_RUN.errors, codes.EINVAL, `${name}: ${given} does not fit ${where}`)
  }

  /** Asks the handler of an exit. */
  private told(exit: Exit): Any | undefined {
    const handler = this.handlers[`on${exit._tag}`]
    // Somebody's signal to the thread, a debugger's for one, is nothing that the guest or its user has done.
    if (handler === undefined && exit._tag === "Intr" && !this.state.wasKicked) return undefined
    if (typeof handler !== "function") return Effect.fail(new UnhandledExit({ exit }))
    const given: unknown = handler(exit)
    if (isDone(given)) return Exit_.succeed(given.value)
    if (!isEffect(given)) return undefined
    return Effect.flatMap(this.restore(given), (value) => (isDone(value) ? Exit_.succeed(value.value) : this))
  }
}

/** Runs what devices have beside the guest while it runs. */
const withBeside = (bus: BusState | undefined, core: Any): Any => {
  const starts = bus?.devices.flatMap(({ behaviour: { beside } }) => (beside === undefined ? [] : [beside])) ?? []
  if (starts.length === 0) return core
  return Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.all(starts), (all) => {
      const ended = Effect.onExit(restore(core), () => Effect.forEach(all, ({ end }) => end, { discard: true }))
      const beside = Effect.all(
        all.map(({ run }) => run),
        { concurrency: "unbounded", discard: true }
      )
      return restore(Effect.raceFirst(ended, Effect.andThen(beside, Effect.never)))
    })
  )
}

/**
 * Runs a guest on the vCPU's own thread until something ends it: a device or a handler that gives `Kvm.done(value)`, which
 * is what it gives.
 *
 * The guest's accesses go to the devices of the bus, and all other exits to the handlers by their tags. What neither is
 * there for fails with {@link UnhandledExit}: so does a `Hlt`, unless there is `onHlt`. Accesses that need no JavaScript are
 * answered by the thread itself: writes to devices with `writes`, constants, a serial port.
 *
 * Interrupting the fiber stops the guest at once. What the guest has written by then is still told to its devices; an exit
 * that nobody has been told of is what the next run gives. Fails with `EBUSY` while another fiber runs the vCPU; its
 * handlers may do everything with the vCPU but run it.
 *
 * Request `KVM_RUN`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const decoder = new TextDecoder()
 *
 * const boot = Effect.fnUntraced(function* (vcpu: Kvm.Vcpu) {
 *   let log = ""
 *   const bus = yield* Kvm.bus([
 *     Kvm.serial({ output: (bytes) => { log += decoder.decode(bytes, { stream: true }) } }),
 *     Kvm.pio(0x80, 1, { out8: (_port, code) => Effect.logDebug(`POST code ${code}`) }),
 *     Kvm.ignore({ port: 0xcf8, length: 8 })
 *   ])
 *   const end = yield* Kvm.runUntil(vcpu, {
 *     bus,
 *     onHlt: () => Kvm.done("halt" as const),
 *     onShutdown: () => Kvm.done("triple fault" as const)
 *   })
 *   return { end, log }
 * })
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const runUntil = <const O extends Options>(
  vcpu: Vcpu,
  options: O & { readonly [K in Exclude<keyof O, keyof Options>]: never }
): Effect.Effect<
  BusDone<O> | DoneOf<OnlyHandlers<O>>,
  BusError<O> | ErrorOf<OnlyHandlers<O>> | RunError | Syscall.MakeThreadError | UnhandledExit,
  BusContext<O> | ContextOf<OnlyHandlers<O>>
> => {
  const ran: Any = Effect.suspend(() => {
    const given: Options = options
    const bus = given.bus === undefined ? undefined : stateOfBus(given.bus)
    const core = Effect.uninterruptibleMask((restore) =>
      Effect.suspend((): Any => {
        const state = stateOf(vcpu)
        const refused = refusal(state)
        if (refused !== undefined) return refused
        state.occupied = true
        return Effect.flatMap(threadOf(state), (thread) => {
          const session = new Session(state, thread, bus, given, restore)
          return Effect.onExit(session, () => session.end())
        }).pipe(
          Effect.ensuring(
            Effect.sync(() => {
              state.occupied = false
            })
          )
        )
      })
    )
    return withBeside(bus, core)
  })
  // What the handlers' types say, which are not known in here.
  return ran as ReturnType<typeof runUntil<O>>
}
