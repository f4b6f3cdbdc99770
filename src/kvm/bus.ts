/**
 * Devices put together: which of them an access is for, and the table by which the addon answers what needs no
 * JavaScript.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { addressOf } from "../Syscall.ts"
import { type Device, type DeviceState, OnRead, OnWrite, stateOf } from "./bus-device.ts"

const TypeId = "~effect-linux/Kvm/Bus" as const

/**
 * Two devices want the same ports or addresses.
 *
 * @category errors
 * @since 0.1.0
 */
export class OverlappingDevices extends Data.TaggedError("OverlappingDevices")<{
  readonly first: Device
  readonly second: Device
}> {
  override get message(): string {
    return `${rangeOf(this.first)} and ${rangeOf(this.second)} overlap`
  }
}

/**
 * A device is at no place that there is: it has no port or address at all, or reaches past the last one.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidRange extends Data.TaggedError("InvalidRange")<{ readonly device: Device }> {
  override get message(): string {
    return `${rangeOf(this.device)} is no range of ${this.device.space === "pio" ? "I/O ports" : "addresses"}`
  }
}

const rangeOf = ({ length, name, space, start }: Device): string => {
  const last = start + length - 1n
  return `${name} (${space} 0x${start.toString(16)} to ${last < 0n ? last : `0x${last.toString(16)}`})`
}

/**
 * The devices of a guest, each at a place of its own. `A` is what they can end `Kvm.runUntil` with, `E` what their handlers
 * fail with, `R` what they need.
 *
 * @category devices
 * @since 0.1.0
 */
export interface Bus<out A = never, out E = never, out R = never> {
  readonly devices: ReadonlyArray<Device<A, E, R>>
  readonly [TypeId]: typeof TypeId
}

/** An entry of the addon's table, as `native/bus.h` has it. */
const entrySize = 48

/** The place of each device by its number on the bus, with the bounds as numbers where that is exact: they are. */
export class BusState implements Bus {
  readonly [TypeId] = TypeId
  readonly devices: ReadonlyArray<DeviceState>
  private readonly pio: ReadonlyArray<DeviceState>
  private readonly mmio: ReadonlyArray<DeviceState>
  private lastPio: DeviceState | undefined = undefined
  private lastMmio: DeviceState | undefined = undefined
  private natives: SharedArrayBuffer | undefined = undefined

  constructor(devices: ReadonlyArray<DeviceState>) {
    this.devices = devices
    const of = (space: string) =>
      devices.filter((device) => device.space === space).sort((a, b) => (a.start < b.start ? -1 : 1))
    this.pio = of("pio")
    this.mmio = of("mmio")
  }

  /** The device that an access is for: all of it, as hardware would be asked for no part of it. */
  find(space: "pio" | "mmio", address: bigint, size: number): DeviceState | undefined {
    const last = space === "pio" ? this.lastPio : this.lastMmio
    if (last !== undefined && contains(last, address, size)) return last
    const sorted = space === "pio" ? this.pio : this.mmio
    let low = 0
    let high = sorted.length
    while (low < high) {
      const middle = (low + high) >> 1
      const device = sorted[middle]
      if (device !== undefined && device.start <= address) low = middle + 1
      else high = middle
    }
    const found = sorted[low - 1]
    if (found === undefined || !contains(found, address, size)) return undefined
    if (space === "pio") this.lastPio = found
    else this.lastMmio = found
    return found
  }

  /** What the addon can answer, ordered by space and address: shared memory, which the collector does not move. */
  get table(): SharedArrayBuffer {
    if (this.natives !== undefined) return this.natives
    const able = [...this.pio, ...this.mmio].filter(({ behaviour }) => behaviour.native !== undefined)
    const table = new SharedArrayBuffer(able.length * entrySize)
    const view = new DataView(table)
    for (const [index, device] of able.entries()) {
      const { onRead = OnRead.handler, onWrite = OnWrite.handler, state, value = 0n } = device.behaviour.native ?? {}
      const at = index * entrySize
      view.setBigUint64(at, device.start, true)
      view.setBigUint64(at + 8, device.start + device.length - 1n, true)
      view.setUint32(at + 16, device.space === "pio" ? 0 : 1, true)
      view.setUint32(at + 20, this.devices.indexOf(device), true)
      view.setUint32(at + 24, onWrite, true)
      view.setUint32(at + 28, onRead, true)
      view.setBigUint64(at + 32, value, true)
      view.setBigUint64(at + 40, state === undefined ? 0n : addressOf(state), true)
    }
    this.natives = table
    return table
  }

  get tableLength(): number {
    return this.table.byteLength / entrySize
  }
}

const contains = ({ length, start }: DeviceState, address: bigint, size: number): boolean =>
  address >= start && address + BigInt(size) <= start + length

const limits = { pio: 1n << 16n, mmio: 1n << 64n }

export const stateOfBus = (bus: Bus<unknown, unknown, unknown>): BusState => {
  if (bus instanceof BusState) return bus
  throw new TypeError("bus: expected a Bus")
}

type BusOf<D extends Device<unknown, unknown, unknown>> = Bus<
  D extends Device<infer A, infer _E, infer _R> ? A : never,
  D extends Device<infer _A, infer E, infer _R> ? E : never,
  D extends Device<infer _A, infer _E, infer R> ? R : never
>

/**
 * Puts devices together for `Kvm.runUntil`. No two may overlap. An access is a device's if all of it lies in its range.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const program = Effect.fnUntraced(function* (vcpu: Kvm.Vcpu) {
 *   const bus = yield* Kvm.bus([
 *     Kvm.serial({ port: 0x3f8, output: (bytes) => Effect.sync(() => process.stdout.write(bytes)) }),
 *     Kvm.constant({ port: 0x64 }, 0),
 *     Kvm.debugExit({ port: 0xf4 })
 *   ])
 *   return yield* Kvm.runUntil(vcpu, { bus, onHlt: () => Kvm.done("halted" as const) })
 * })
 * ```
 *
 * @category devices
 * @since 0.1.0
 */
export const bus = <const D extends Device<unknown, unknown, unknown>>(
  devices: ReadonlyArray<D>
): Effect.Effect<BusOf<D>, OverlappingDevices | InvalidRange> =>
  Effect.suspend((): Effect.Effect<BusOf<D>, OverlappingDevices | InvalidRange> => {
    const states = devices.map(stateOf)
    for (const device of states) {
      const { length, space, start } = device
      if (length <= 0n || start < 0n || start + length > limits[space]) return Effect.fail(new InvalidRange({ device }))
    }
    const order = [...states].sort((a, b) =>
      a.space === b.space ? (a.start < b.start ? -1 : 1) : a.space < b.space ? -1 : 1
    )
    for (const [index, second] of order.entries()) {
      const first = order[index - 1]
      if (first === undefined || first.space !== second.space) continue
      if (first.start + first.length > second.start) return Effect.fail(new OverlappingDevices({ first, second }))
    }
    const made: Bus = new BusState(states)
    return Effect.succeed(made as BusOf<D>)
  })
