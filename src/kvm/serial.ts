/**
 * A serial port, as far as a driver that polls it can tell: a 16550A whose line is of no speed and has no errors.
 *
 * Its registers lie in shared memory, where the addon answers most accesses by the same rules (`native/bus.cc`); what is
 * here is for those that it leaves to JavaScript, and for a trampoline that is not the kernel's.
 */

import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import { type Beside, type Device, DeviceState, make, OnRead, OnWrite, type RawWrite, unhandled } from "./bus-device.ts"

/** Where things lie in the state, in words; the input follows, in bytes. */
const at = { dll: 0, dlm: 1, ier: 2, fcr: 3, lcr: 4, mcr: 5, scr: 6, thri: 7, wired: 8, head: 9, tail: 10 } as const
const inputAt = 64
const inputSize = 4096

const LCR_DLAB = 0x80
const MCR_LOOP = 0x10
const IER_RDI = 1
const IER_THRI = 2
const FCR_ENABLE = 1
const IIR_NONE = 1
const IIR_THRI = 2
const IIR_RDI = 4
const IIR_FIFOS = 0xc0
const LSR_DATA = 1
const LSR_EMPTY = 0x60 // THRE and TEMT: what is sent is gone at once
const MSR_CONNECTED = 0xb0 // DCD, DSR, CTS

/**
 * What is at the other end of a serial line.
 *
 * @category devices
 * @since 0.1.0
 */
export interface SerialOptions<out A = unknown, out B = unknown, E = unknown, R = unknown, E2 = unknown, R2 = unknown> {
  /** Its first port, of 8: 0x3f8 (COM1 of a PC) unless said. */
  readonly port?: number | undefined
  /** Told what the guest sends, in order, some bytes at a time; or a sink that takes it, anew in each `Kvm.runUntil`. */
  readonly output?: ((bytes: Uint8Array) => A) | Sink.Sink<unknown, Uint8Array, unknown, E, R> | undefined
  /** What the guest receives; it begins with each `Kvm.runUntil`. What the guest has not read by its end stays for the next. */
  readonly input?: Stream.Stream<Uint8Array, E2, R2> | undefined
  /**
   * Told when the port's interrupt line rises or falls, for a driver that does not poll: with it the guest's accesses to
   * its interrupt registers take the way through JavaScript.
   */
  readonly interrupt?: ((active: boolean) => B) | undefined
}

class Port {
  readonly memory: SharedArrayBuffer = new SharedArrayBuffer(inputAt + inputSize)
  private readonly words: Int32Array = new Int32Array(this.memory, 0, inputAt / 4)
  private readonly input: Uint8Array = new Uint8Array(this.memory, inputAt)
  /** Input for which there was no room. */
  private readonly more: Array<Uint8Array> = []
  private level = false

  constructor(wired: boolean) {
    this.words[at.lcr] = 3
    this.words[at.dll] = 12
    this.words[at.mcr] = 8
    this.words[at.wired] = wired ? 1 : 0
  }

  private get(word: number): number {
    return Atomics.load(this.words, word)
  }

  private set(word: number, value: number): void {
    Atomics.store(this.words, word, value)
  }

  private get waiting(): number {
    return (this.get(at.tail) - this.get(at.head)) >>> 0
  }

  /** Gives the guest what there is room for; true when nothing is left. */
  refill(): boolean {
    while (this.more.length > 0) {
      const [first] = this.more
      if (first === undefined) break
      const room = inputSize - this.waiting
      if (room === 0) return false
      const tail = this.get(at.tail)
      const count = Math.min(room, first.length)
      for (let index = 0; index < count; index++) this.input[(tail + index) & (inputSize - 1)] = first[index] ?? 0
      this.set(at.tail, (tail + count) | 0)
      if (count === first.length) this.more.shift()
      else this.more[0] = first.subarray(count)
    }
    return true
  }

  receive(bytes: Uint8Array): void {
    if (bytes.length > 0) this.more.push(bytes.slice())
    this.refill()
  }

  private pop(): number {
    const head = this.get(at.head)
    if (this.waiting === 0) return 0
    const byte = this.input[head & (inputSize - 1)] ?? 0
    // Another vCPU may have taken it just now.
    if (Atomics.compareExchange(this.words, at.head, head, (head + 1) | 0) !== head) return this.pop()
    this.refill()
    return byte
  }

  private get pending(): number {
    const ier = this.get(at.ier)
    if ((ier & IER_RDI) !== 0 && this.waiting > 0) return IIR_RDI
    return (ier & IER_THRI) !== 0 && this.get(at.thri) !== 0 ? IIR_THRI : IIR_NONE
  }

  read(register: number): number {
    const divisor = (this.get(at.lcr) & LCR_DLAB) !== 0
    switch (register) {
      case 0:
        return divisor ? this.get(at.dll) : this.pop()
      case 1:
        return divisor ? this.get(at.dlm) : this.get(at.ier)
      case 2: {
        const { pending } = this
        // To be told that it may send is all that this interrupt is for.
        if (pending === IIR_THRI) this.set(at.thri, 0)
        return pending | ((this.get(at.fcr) & FCR_ENABLE) !== 0 ? IIR_FIFOS : 0)
      }
      case 3:
        return this.get(at.lcr)
      case 4:
        return this.get(at.mcr)
      case 5:
        return LSR_EMPTY | (this.waiting > 0 ? LSR_DATA : 0)
      case 6: {
        const mcr = this.get(at.mcr)
        if ((mcr & MCR_LOOP) === 0) return MSR_CONNECTED
        return ((mcr & 1) << 5) | ((mcr & 2) << 3) | ((mcr & 4) << 4) | ((mcr & 8) << 4)
      }
      default:
        return this.get(at.scr)
    }
  }

  /** What is sent by it, if anything. */
  write(register: number, value: number): number | undefined {
    const divisor = (this.get(at.lcr) & LCR_DLAB) !== 0
    switch (register) {
      case 0:
        if (divisor) {
          this.set(at.dll, value)
          return undefined
        }
        this.set(at.thri, 1)
        if ((this.get(at.mcr) & MCR_LOOP) === 0) return value
        this.receive(Uint8Array.of(value))
        return undefined
      case 1:
        if (!divisor && (value & IER_THRI) !== 0 && (this.get(at.ier) & IER_THRI) === 0) this.set(at.thri, 1)
        this.set(divisor ? at.dlm : at.ier, divisor ? value : value & 0xf)
        return undefined
      case 2:
        // Clearing the input drops nothing: what the guest has not read is still on the line.
        this.set(at.fcr, value)
        return undefined
      case 3:
        this.set(at.lcr, value)
        return undefined
      case 4:
        this.set(at.mcr, value & 0x1f)
        return undefined
      case 7:
        this.set(at.scr, value)
        return undefined
      default:
        return undefined
    }
  }

  /** Whether the interrupt line is another one than when this was last asked; `up` is what it is. */
  changed(): { readonly up: boolean } | undefined {
    const up = this.pending !== IIR_NONE
    if (up === this.level) return undefined
    this.level = up
    return { up }
  }
}

type ErrorOf<A> = A extends Effect.Effect<infer _A, infer E, infer _R> ? E : never
type ContextOf<A> = A extends Effect.Effect<infer _A, infer _E, infer R> ? R : never

/** One after the other, where there is anything to wait for. */
const both = (first: unknown, second: () => unknown): unknown =>
  Effect.isEffect(first)
    ? Effect.flatMap(first, () => {
        const then = second()
        return Effect.isEffect(then) ? then : Effect.void
      })
    : second()

/** The milliseconds after which room for input is looked for. */
const look = 2

const pause = Effect.callback<void>((resume) => {
  const timer = setTimeout(() => resume(Effect.void), look)
  return Effect.sync(() => clearTimeout(timer))
})

/**
 * A serial port, as a PC has it: what a kernel, a firmware or a boot loader speaks to that has no screen.
 *
 * It is a 16550A whose line is always free and has no errors, enough for drivers that poll it; speed, parity and modem
 * lines can be set and mean nothing. What the guest sends is put by without JavaScript, and told a few milliseconds late at
 * most, before any other exit; nothing is lost when `Kvm.runUntil` ends or is interrupted. `output` holds up the guest only
 * when thousands of bytes wait for it. A port can be used by several vCPUs at once.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { File, Kvm } from "effect-linux"
 *
 * const lines: Array<string> = []
 * const decoder = new TextDecoder()
 *
 * // to a function
 * const log = Kvm.serial({
 *   output: (bytes) => {
 *     lines.push(decoder.decode(bytes, { stream: true }))
 *   }
 * })
 *
 * // to and from files
 * const console = (terminal: File.File) =>
 *   Kvm.serial({ port: 0x2f8, output: File.sink(terminal), input: File.stream(terminal) })
 * ```
 *
 * @category devices
 * @since 0.1.0
 */
export const serial = <A = void, B = void, E = never, R = never, E2 = never, R2 = never>(
  options: SerialOptions<A, B, E, R, E2, R2> = {}
): Device<never, E | E2 | ErrorOf<A | B>, R | R2 | ContextOf<A | B>> => {
  const { input, interrupt, output } = options
  const port = new Port(interrupt !== undefined)
  const start = options.port ?? 0x3f8
  let queue: Queue.Queue<Uint8Array, Cause.Done> | undefined

  const send = (bytes: Uint8Array): unknown => {
    if (output === undefined) return undefined
    if (!Sink.isSink(output)) return output(bytes)
    return queue === undefined ? undefined : Effect.uninterruptible(Effect.asVoid(Queue.offer(queue, bytes)))
  }
  const line = (): unknown => {
    if (interrupt === undefined) return undefined
    const changed = port.changed()
    return changed === undefined ? undefined : interrupt(changed.up)
  }

  const attend = (sink: Sink.Sink<unknown, Uint8Array, unknown, E, R> | undefined) =>
    Effect.gen(function* () {
      const made = yield* Queue.bounded<Uint8Array, Cause.Done>(64)
      queue = made
      const consumed =
        sink === undefined
          ? undefined
          : yield* Effect.forkDetach(Effect.ensuring(Stream.run(Stream.fromQueue(made), sink), Queue.shutdown(made)))
      const feed = Stream.runForEach(input ?? Stream.empty, (bytes) =>
        Effect.suspend(() => {
          port.receive(bytes)
          const told = line()
          const room: Effect.Effect<void> = Effect.suspend(() =>
            port.refill() ? Effect.void : Effect.andThen(pause, room)
          )
          return Effect.isEffect(told) ? Effect.andThen(told, room) : room
        })
      )
      const beside: Beside = {
        run: consumed === undefined ? feed : Effect.all([feed, Fiber.join(consumed)], { concurrency: "unbounded" }),
        end: Effect.gen(function* () {
          yield* Queue.end(made)
          if (consumed !== undefined) yield* Fiber.await(consumed)
          if (queue === made) queue = undefined
        })
      }
      return beside
    })
  const sink = output !== undefined && Sink.isSink(output) ? output : undefined

  return make(
    new DeviceState("serial", "pio", start, 8, {
      read: (address, size) => {
        if (size !== 1) return unhandled
        const value = port.read(Number(address) - start)
        const told = line()
        return Effect.isEffect(told) ? Effect.as(told, value) : value
      },
      write: (address, size, value) => {
        if (size !== 1) return unhandled
        const sent = port.write(Number(address) - start, Number(value))
        return both(sent === undefined ? undefined : send(Uint8Array.of(sent)), line)
      },
      writes: (writes: ReadonlyArray<RawWrite>) => send(Uint8Array.from(writes, ({ value }) => Number(value))),
      native: { onWrite: OnWrite.serial, onRead: OnRead.serial, state: port.memory },
      beside: sink === undefined && input === undefined ? undefined : attend(sink)
    })
  )
}
