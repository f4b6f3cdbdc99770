/**
 * Devices that a host gives to a guest: what answers the guest's accesses to a range of I/O ports or of addresses without
 * memory. How they come together is in `bus.ts`, who asks them in `run-until.ts`.
 */
import * as Effect from "effect/Effect"

export const TypeId = "~effect-linux/Kvm/Device" as const

/**
 * What a handler returns to end `Kvm.runUntil`, with what that gives: see {@link done}.
 *
 * @category devices
 * @since 0.1.0
 */
export class Done<out A> {
  readonly _tag = "Done"
  readonly value: A
  constructor(value: A) {
    this.value = value
  }
}

/**
 * Ends `Kvm.runUntil`, which then gives this value. The guest can be run again, and goes on after the access.
 *
 * @example
 * ```ts
 * import { Kvm } from "effect-linux"
 *
 * // a guest's last word
 * const last = Kvm.pio(0x10, 1, { out8: (_port, value) => Kvm.done(value) })
 * ```
 *
 * @category devices
 * @since 0.1.0
 */
export const done = <A>(value: A): Done<A> => new Done(value)

/**
 * What a handler may return, where nothing is asked of it: nothing, and the guest goes on; {@link done}; an effect of
 * either.
 *
 * @category devices
 * @since 0.1.0
 */
// biome-ignore lint/suspicious/noConfusingVoidType: a function that returns nothing is a handler, too
export type Handled = undefined | void | Done<unknown> | Effect.Effect<unknown, unknown, unknown>

/**
 * What a handler may return that the guest reads a `V` from.
 *
 * @category devices
 * @since 0.1.0
 */
export type Answered<V> = V | Done<unknown> | Effect.Effect<V | Done<unknown>, unknown, unknown>

type Settled<X> = X extends Effect.Effect<infer A, infer _E, infer _R> ? A : X
type Returned<H> = { [K in keyof H]: H[K] extends (...args: never) => infer X ? X : never }[keyof H]

/**
 * What handlers end `Kvm.runUntil` with.
 *
 * @category devices
 * @since 0.1.0
 */
export type DoneOf<H> = Settled<Returned<H>> extends infer X ? (X extends Done<infer A> ? A : never) : never

/**
 * What handlers fail with.
 *
 * @category devices
 * @since 0.1.0
 */
export type ErrorOf<H> =
  Returned<H> extends infer X ? (X extends Effect.Effect<infer _A, infer E, infer _R> ? E : never) : never

/**
 * What handlers need.
 *
 * @category devices
 * @since 0.1.0
 */
export type ContextOf<H> =
  Returned<H> extends infer X ? (X extends Effect.Effect<infer _A, infer _E, infer R> ? R : never) : never

/**
 * A device of a guest's: what answers a range of I/O ports (`pio`) or of addresses (`mmio`). `A` is what it can end
 * `Kvm.runUntil` with, `E` what its handlers fail with, `R` what they need.
 *
 * @category devices
 * @since 0.1.0
 */
export interface Device<out A = never, out E = never, out R = never> {
  readonly name: string
  readonly space: "pio" | "mmio"
  /** The first port or address. */
  readonly start: bigint
  /** How many there are. */
  readonly length: bigint
  readonly [TypeId]: { readonly _A: A; readonly _E: E; readonly _R: R }
}

/** What a device has no handler for. */
export const unhandled: unique symbol = Symbol("unhandled")

/** What a write of a range comes to without JavaScript, and what a read; as `native/bus.h` numbers them. */
export const OnWrite = { handler: 0, ring: 1, drop: 2, serial: 3 } as const
export const OnRead = { handler: 0, value: 1, serial: 3 } as const

/** What the addon may do by itself. */
export interface Native {
  readonly onWrite: (typeof OnWrite)[keyof typeof OnWrite]
  readonly onRead: (typeof OnRead)[keyof typeof OnRead]
  /** What is read, of any width. */
  readonly value?: bigint
  /** The state that it works on: shared memory. */
  readonly state?: SharedArrayBuffer
}

/** A write of the guest's that was put by to be told later. */
export interface RawWrite {
  readonly address: bigint
  readonly size: number
  readonly value: bigint
}

/** How a device is made. */
export interface Behaviour {
  /** What a read gives: a value, `Done`, an effect of either, or `unhandled`. */
  readonly read: (address: bigint, size: number) => unknown
  /** What is done about a write; gives nothing, `Done`, an effect, or `unhandled`. */
  readonly write: (address: bigint, size: number, value: bigint) => unknown
  /** The same for many, in order, that the addon has put by. */
  readonly writes?: ((writes: ReadonlyArray<RawWrite>) => unknown) | undefined
  readonly native?: Native | undefined
  /**
   * What goes on beside the guest, from the beginning of `runUntil` to its end: the first effect begins it and gives the
   * one to be run beside, whose failure ends all, and the one that is run at the end.
   */
  readonly beside?: Effect.Effect<Beside, unknown, unknown> | undefined
}

export interface Beside {
  readonly run: Effect.Effect<unknown, unknown, unknown>
  readonly end: Effect.Effect<void>
}

/** What is behind the public face. */
export class DeviceState implements Device {
  declare readonly [TypeId]: { readonly _A: never; readonly _E: never; readonly _R: never }
  readonly name: string
  readonly space: "pio" | "mmio"
  readonly start: bigint
  readonly length: bigint
  readonly behaviour: Behaviour

  constructor(name: string, space: "pio" | "mmio", start: number | bigint, length: number | bigint, does: Behaviour) {
    this.name = name
    this.space = space
    this.start = BigInt(start)
    this.length = BigInt(length)
    this.behaviour = does
  }
}

export const make = <A, E, R>(state: DeviceState): Device<A, E, R> =>
  state as Device<never, never, never> as Device<A, E, R>

export const stateOf = (device: Device<unknown, unknown, unknown>): DeviceState => {
  if (device instanceof DeviceState) return device
  throw new TypeError("device: expected a Device")
}

export const isDone = (u: unknown): u is Done<unknown> => u instanceof Done

export const isEffect = (u: unknown): u is Effect.Effect<unknown, unknown, unknown> => Effect.isEffect(u)

// ---------------------------------------------------------------------------------------------------------------------
// ports
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A write to an I/O port.
 *
 * @category devices
 * @since 0.1.0
 */
export interface PioWrite {
  readonly port: number
  /** In bytes: 1, 2 or 4. */
  readonly size: number
  readonly value: number
}

/**
 * What is done about accesses to I/O ports, by direction and width; a width that has no handler is none of this device's.
 *
 * The guest waits for a handler and for the effect that it returns. `writes` gets all writes, whatever their width, but
 * the guest does not wait for it: they are put by without JavaScript, and told in order and a few milliseconds late at
 * most, before any other exit. It is many times faster.
 *
 * @category devices
 * @since 0.1.0
 */
export type PioHandlers = {
  readonly in8?: ((port: number) => Answered<number>) | undefined
  readonly in16?: ((port: number) => Answered<number>) | undefined
  readonly in32?: ((port: number) => Answered<number>) | undefined
} & (
  | {
      readonly out8?: ((port: number, value: number) => Handled) | undefined
      readonly out16?: ((port: number, value: number) => Handled) | undefined
      readonly out32?: ((port: number, value: number) => Handled) | undefined
      readonly writes?: undefined
    }
  | {
      readonly writes: (writes: ReadonlyArray<PioWrite>) => Handled
      readonly out8?: undefined
      readonly out16?: undefined
      readonly out32?: undefined
    }
)

/**
 * A device on `length` I/O ports from `port` on, which handlers speak for.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // a latch that can be read back
 * const latch = (port: number) => {
 *   let latched = 0
 *   return Kvm.pio(port, 1, {
 *     in8: () => latched,
 *     out8: (_port, value) => {
 *       latched = value
 *     }
 *   })
 * }
 *
 * // what a guest says, by way of an effect
 * const codes = Kvm.pio(0x80, 1, { out8: (_port, code) => Effect.log(`POST code ${code}`) })
 * ```
 *
 * @category devices
 * @since 0.1.0
 */
export const pio = <const H extends PioHandlers>(
  port: number,
  length: number,
  handlers: H
): Device<DoneOf<H>, ErrorOf<H>, ContextOf<H>> => {
  const given: PioHandlers = handlers
  const { in16, in32, in8 } = given
  const reads = { 1: in8, 2: in16, 4: in32 } as const
  const read = (address: bigint, size: number): unknown => {
    const handler = size === 1 ? reads[1] : size === 2 ? reads[2] : size === 4 ? reads[4] : undefined
    return handler === undefined ? unhandled : handler(Number(address))
  }
  if (given.writes !== undefined) {
    const { writes } = given
    const tell = (raw: ReadonlyArray<RawWrite>): unknown =>
      writes(raw.map(({ address, size, value }) => ({ port: Number(address), size, value: Number(value) })))
    return make(
      new DeviceState("pio", "pio", port, length, {
        read,
        write: (address, size, value) => tell([{ address, size, value }]),
        writes: tell,
        native: { onWrite: OnWrite.ring, onRead: OnRead.handler }
      })
    )
  }
  const { out16, out32, out8 } = given
  const write = (address: bigint, size: number, value: bigint): unknown => {
    const handler = size === 1 ? out8 : size === 2 ? out16 : size === 4 ? out32 : undefined
    return handler === undefined ? unhandled : handler(Number(address), Number(value))
  }
  return make(new DeviceState("pio", "pio", port, length, { read, write }))
}

// ---------------------------------------------------------------------------------------------------------------------
// addresses
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A write to an address without memory.
 *
 * @category devices
 * @since 0.1.0
 */
export interface MmioWrite {
  readonly address: bigint
  /** In bytes: 1 to 8. */
  readonly size: number
  readonly value: bigint
}

/**
 * What is done about accesses to addresses, by direction and width: `read` and `write` are for every width that has no
 * handler of its own; a width that has none at all is none of this device's. `writes` is as in {@link PioHandlers}.
 *
 * @category devices
 * @since 0.1.0
 */
export type MmioHandlers = {
  readonly read8?: ((address: bigint) => Answered<number>) | undefined
  readonly read16?: ((address: bigint) => Answered<number>) | undefined
  readonly read32?: ((address: bigint) => Answered<number>) | undefined
  readonly read64?: ((address: bigint) => Answered<bigint>) | undefined
  readonly read?: ((address: bigint, size: number) => Answered<number | bigint>) | undefined
} & (
  | {
      readonly write8?: ((address: bigint, value: number) => Handled) | undefined
      readonly write16?: ((address: bigint, value: number) => Handled) | undefined
      readonly write32?: ((address: bigint, value: number) => Handled) | undefined
      readonly write64?: ((address: bigint, value: bigint) => Handled) | undefined
      readonly write?: ((address: bigint, value: bigint, size: number) => Handled) | undefined
      readonly writes?: undefined
    }
  | {
      readonly writes: (writes: ReadonlyArray<MmioWrite>) => Handled
      readonly write8?: undefined
      readonly write16?: undefined
      readonly write32?: undefined
      readonly write64?: undefined
      readonly write?: undefined
    }
)

/**
 * A device on `length` addresses from `address` on, behind which there is no memory, which handlers speak for.
 *
 * @example
 * ```ts
 * import { Kvm } from "effect-linux"
 *
 * // a register of 32 bits that counts how often it is read
 * const counter = (address: bigint) => {
 *   let count = 0
 *   return Kvm.mmio(address, 4, { read32: () => count++ })
 * }
 * ```
 *
 * @category devices
 * @since 0.1.0
 */
export const mmio = <const H extends MmioHandlers>(
  address: number | bigint,
  length: number | bigint,
  handlers: H
): Device<DoneOf<H>, ErrorOf<H>, ContextOf<H>> => {
  const given: MmioHandlers = handlers
  const { read16, read32, read64, read8, read: readAny } = given
  const read = (at: bigint, size: number): unknown => {
    const handler = size === 1 ? read8 : size === 2 ? read16 : size === 4 ? read32 : size === 8 ? read64 : undefined
    if (handler !== undefined) return handler(at)
    return readAny === undefined ? unhandled : readAny(at, size)
  }
  if (given.writes !== undefined) {
    const { writes } = given
    return make(
      new DeviceState("mmio", "mmio", address, length, {
        read,
        write: (at, size, value) => writes([{ address: at, size, value }]),
        writes,
        native: { onWrite: OnWrite.ring, onRead: OnRead.handler }
      })
    )
  }
  const { write16, write32, write64, write8, write: writeAny } = given
  const write = (at: bigint, size: number, value: bigint): unknown => {
    if (size === 8 && write64 !== undefined) return write64(at, value)
    const handler = size === 1 ? write8 : size === 2 ? write16 : size === 4 ? write32 : undefined
    if (handler !== undefined) return handler(at, Number(value))
    return writeAny === undefined ? unhandled : writeAny(at, value, size)
  }
  return make(new DeviceState("mmio", "mmio", address, length, { read, write }))
}

// ---------------------------------------------------------------------------------------------------------------------
// ready-made ones
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Where a device is: at I/O ports or at addresses, so many from there on (1 unless said).
 *
 * @category devices
 * @since 0.1.0
 */
export type Place =
  | { readonly port: number; readonly length?: number | undefined; readonly address?: undefined }
  | { readonly address: number | bigint; readonly length?: number | bigint | undefined; readonly port?: undefined }

const at = (name: string, place: Place, behaviour: Behaviour): DeviceState =>
  place.port !== undefined
    ? new DeviceState(name, "pio", place.port, place.length ?? 1, behaviour)
    : new DeviceState(name, "mmio", place.address, place.length ?? 1, behaviour)

/**
 * A place where the same value is always read, as many of its low bits as the guest asks for, and writes have no effect.
 * Neither needs JavaScript.
 *
 * @example
 * ```ts
 * import { Kvm } from "effect-linux"
 *
 * // the status of a keyboard controller that has nothing to say
 * const keyboard = Kvm.constant({ port: 0x64 }, 0)
 * ```
 *
 * @category devices
 * @since 0.1.0
 */
export const constant = (place: Place, value: number | bigint): Device => {
  const whole = BigInt.asUintN(64, BigInt(value))
  return make(
    at("constant", place, {
      read: (_address, size) => BigInt.asUintN(8 * size, whole),
      write: () => undefined,
      native: { onWrite: OnWrite.drop, onRead: OnRead.value, value: whole }
    })
  )
}

/**
 * A place where nothing is: reads give all ones, as on a bus that nobody drives, and writes have no effect.
 *
 * @category devices
 * @since 0.1.0
 */
export const ignore = (place: Place): Device =>
  make(
    at("ignore", place, {
      read: (_address, size) => BigInt.asUintN(8 * size, -1n),
      write: () => undefined,
      native: { onWrite: OnWrite.drop, onRead: OnRead.value, value: 0xffff_ffff_ffff_ffffn }
    })
  )

/**
 * A port by which a guest ends the program that it is: what it writes ends `Kvm.runUntil`, which gives it. That is QEMU's
 * `isa-debug-exit`, with the port 0xf4 unless said; `exitCode` makes of the value what QEMU would end with,
 * `value * 2 + 1`. Reads give all ones.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const verdict = Effect.fnUntraced(function* (vcpu: Kvm.Vcpu) {
 *   const bus = yield* Kvm.bus([Kvm.debugExit()])
 *   return (yield* Kvm.runUntil(vcpu, { bus })) === 0 ? "passed" : "failed"
 * })
 * ```
 *
 * @category devices
 * @since 0.1.0
 */
export const debugExit = (
  options: {
    readonly port?: number | undefined
    readonly length?: number | undefined
    readonly exitCode?: boolean | undefined
  } = {}
): Device<number> =>
  make(
    new DeviceState("debugExit", "pio", options.port ?? 0xf4, options.length ?? 4, {
      read: (_address, size) => BigInt.asUintN(8 * size, -1n),
      write: (_address, _size, value) => done(options.exitCode === true ? Number(value) * 2 + 1 : Number(value)),
      native: { onWrite: OnWrite.handler, onRead: OnRead.value, value: 0xffff_ffff_ffff_ffffn }
    })
  )
