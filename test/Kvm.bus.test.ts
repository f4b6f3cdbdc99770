/** Guests whose devices are on a bus: what is asked of whom, what needs no JavaScript, what ends a run. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Data, Deferred, Effect, Fiber, Queue, Sink, Stream } from "effect"
import { Kvm, Syscall } from "../src/index.ts"
import {
  asm,
  codeAddress,
  comesTrue,
  expectExit,
  hlt,
  itKvm,
  makeGuest,
  makeLongGuest,
  spin
} from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"
import { openFds } from "./support/process.ts"

const out8 = (port: number, value: number) => [
  ...asm("mov dx, port", 0xba, port & 0xff, port >> 8),
  ...asm("mov al, value", 0xb0, value),
  ...asm("out dx, al", 0xee)
]

const print = (text: string, port = 0x3f8) => Array.from(text).flatMap((char) => out8(port, char.charCodeAt(0)))

/** Reads a byte of a port, and writes it to another. */
const copy8 = (from: number, to: number) => [
  ...asm("mov dx, from", 0xba, from & 0xff, from >> 8),
  ...asm("in al, dx", 0xec),
  ...asm("mov dx, to", 0xba, to & 0xff, to >> 8),
  ...asm("out dx, al", 0xee)
]

/** Sends 1, 2, … `count`, words, to port 0x10 and halts. */
const words = (count: number) => [
  ...asm("      mov dx, 0x10", 0xba, 0x10, 0x00),
  ...asm("next: inc cx", 0x41),
  ...asm("      mov ax, cx", 0x89, 0xc8),
  ...asm("      out dx, ax", 0xef),
  ...asm("      cmp cx, count", 0x81, 0xf9, count & 0xff, count >> 8),
  ...asm("      jne next", 0x75, 0xf6),
  ...hlt
]

const collected = () => {
  const bytes: Array<number> = []
  return {
    bytes,
    output: (some: Uint8Array): void => {
      bytes.push(...some)
    },
    text: () => new TextDecoder().decode(Uint8Array.from(bytes))
  }
}

const sinkOf: <E>(take: (bytes: Uint8Array) => Effect.Effect<void, E>) => Sink.Sink<void, Uint8Array, never, E> =
  Sink.forEach

const halts = { onHlt: () => Kvm.done("halted" as const) }

/** By the thread's short way, and by calls that the trampoline sees. */
const ways = {
  "by the vCPU's thread": <A, E, R>(effect: Effect.Effect<A, E, R>) => effect,
  "with a trampoline that sees the calls": Effect.provideService(
    Syscall.Trampoline,
    Syscall.record(Syscall.kernel, () => {})
  )
}

class Odd extends Data.TaggedError("Odd")<{ readonly value: number }> {}

for (const [name, way] of Object.entries(ways)) {
  describeKvm(`runUntil, ${name}`, () => {
    itKvm(
      "ends with what a handler of an exit gives, at once or by an effect",
      Effect.gen(function* () {
        const { vcpu } = yield* makeGuest([...hlt, ...hlt])
        assert.strictEqual(yield* way(Kvm.runUntil(vcpu, halts)), "halted")
        const later = Kvm.runUntil(vcpu, { onHlt: () => Effect.delay(Effect.succeed(Kvm.done(7)), "1 millis") })
        assert.strictEqual(yield* way(later), 7)
      })
    )

    itKvm(
      "asks a device by direction and width, and gives the guest what it answers",
      Effect.gen(function* () {
        const { vcpu } = yield* makeGuest([
          ...asm("in al, 0x20", 0xe4, 0x20),
          ...asm("out 0x30, al", 0xe6, 0x30),
          ...asm("in ax, 0x22", 0xe5, 0x22),
          ...asm("out 0x32, ax", 0xe7, 0x32),
          ...asm("in eax, 0x24", 0x66, 0xe5, 0x24),
          ...asm("out 0x34, eax", 0x66, 0xe7, 0x34),
          ...hlt
        ])
        const told: Array<readonly [string, number, number]> = []
        const bus = yield* Kvm.bus([
          Kvm.pio(0x20, 8, {
            in8: (port) => port + 1,
            in16: (port) => Effect.succeed(port + 0x1000),
            in32: (port) => Effect.delay(Effect.succeed(0xfedc_ba00 + port), "1 millis")
          }),
          Kvm.pio(0x30, 8, {
            out8: (port, value) => void told.push(["8", port, value]),
            out16: (port, value) => Effect.sync(() => void told.push(["16", port, value])),
            out32: (port, value) => void told.push(["32", port, value])
          })
        ])
        yield* way(Kvm.runUntil(vcpu, { bus, ...halts }))
        assert.deepStrictEqual(told, [
          ["8", 0x30, 0x21],
          ["16", 0x32, 0x1022],
          ["32", 0x34, 0xfedc_ba24]
        ])
      })
    )

    itKvm(
      "does the same for addresses without memory",
      Effect.gen(function* () {
        const { vcpu } = yield* makeLongGuest([
          ...asm("mov ebx, 0x100000", 0xbb, 0x00, 0x00, 0x10, 0x00),
          ...asm("mov rax, [rbx]", 0x48, 0x8b, 0x03),
          ...asm("inc rax", 0x48, 0xff, 0xc0),
          ...asm("mov [rbx+8], rax", 0x48, 0x89, 0x43, 0x08),
          ...asm("mov [rbx+16], eax", 0x89, 0x43, 0x10),
          ...asm("mov [rbx+20], al", 0x88, 0x43, 0x14),
          ...hlt
        ])
        const told: Array<readonly [bigint, number | bigint]> = []
        const bus = yield* Kvm.bus([
          Kvm.mmio(0x10_0000, 8, { read64: () => 0x1234_5678_9abc_deffn }),
          Kvm.mmio(0x10_0008n, 0x100n, {
            write64: (address, value) => void told.push([address, value]),
            write32: (address, value) => void told.push([address, value]),
            write: (address, value, size) => void told.push([address, value + BigInt(size) * 1000n])
          })
        ])
        yield* way(Kvm.runUntil(vcpu, { bus, ...halts }))
        assert.deepStrictEqual(told, [
          [0x10_0008n, 0x1234_5678_9abc_df00n],
          [0x10_0010n, 0x9abc_df00],
          [0x10_0014n, 1000n]
        ])
      })
    )

    itKvm(
      "ends with what a device gives, and the guest goes on after the access when it is run again",
      Effect.gen(function* () {
        const { vcpu } = yield* makeGuest([...out8(0xf4, 21), ...out8(0xf4, 0), ...hlt])
        const plain = yield* Kvm.bus([Kvm.debugExit()])
        const likeQemu = yield* Kvm.bus([Kvm.debugExit({ exitCode: true })])
        assert.strictEqual(yield* way(Kvm.runUntil(vcpu, { bus: plain })), 21)
        assert.strictEqual(yield* way(Kvm.runUntil(vcpu, { bus: likeQemu })), 1)
        assert.strictEqual(yield* way(Kvm.runUntil(vcpu, { bus: plain, ...halts })), "halted")
      })
    )

    itKvm(
      "fails with what nobody handles, which can then be answered and the guest run on",
      Effect.gen(function* () {
        const { vcpu } = yield* makeGuest([...copy8(0x44, 0x45), ...hlt])
        const bus = yield* Kvm.bus([Kvm.pio(0x44, 1, { in16: () => 1 })])
        const error = yield* way(Effect.flip(Kvm.runUntil(vcpu, { bus, ...halts })))
        assert.strictEqual(error._tag, "UnhandledExit")
        assert.include(error.message, "port 0x44")
        if (error._tag !== "UnhandledExit" || error.exit._tag !== "Io" || error.exit.direction !== "in")
          return assert.fail()
        yield* error.exit.respond(0x5a)
        const seen: Array<number> = []
        const handled = Kvm.runUntil(vcpu, { bus, ...halts, onIo: ({ data }) => void seen.push(...data) })
        assert.strictEqual(yield* way(handled), "halted")
        assert.deepStrictEqual(seen, [0x5a])
      })
    )

    itKvm(
      "fails with what a handler fails with, and needs what it needs",
      Effect.gen(function* () {
        class Limit extends Context.Service<Limit, number>()("test/Limit") {}
        const { vcpu } = yield* makeGuest([...out8(0x10, 4), ...out8(0x10, 5), ...hlt])
        const bus = yield* Kvm.bus([
          Kvm.pio(0x10, 1, {
            out8: (_port, value) =>
              Effect.flatMap(Limit, (limit) => (value > limit ? Effect.fail(new Odd({ value })) : Effect.void))
          })
        ])
        const error = yield* way(Effect.flip(Kvm.runUntil(vcpu, { bus, ...halts }))).pipe(
          Effect.provideService(Limit, 4)
        )
        assert.deepStrictEqual(error, new Odd({ value: 5 }))
      })
    )

    itKvm(
      "refuses a value that does not fit what the guest reads",
      Effect.gen(function* () {
        for (const value of [256, -1, 1.5, Number.NaN]) {
          const { vcpu } = yield* makeGuest([...copy8(0x44, 0x45), ...hlt])
          const bus = yield* Kvm.bus([Kvm.pio(0x44, 1, { in8: () => value })])
          const error = yield* way(Effect.flip(Kvm.runUntil(vcpu, { bus })))
          assert.strictEqual(error._tag, "EINVAL")
          assert.include(error.message, `${value} does not fit`)
        }
      })
    )

    itKvm(
      "gives all values of a string instruction to its device, and takes them from it",
      Effect.gen(function* () {
        const { memory, vcpu } = yield* makeGuest([
          ...asm("cld", 0xfc),
          ...asm("mov si, 0x1100", 0xbe, 0x00, 0x11),
          ...asm("mov di, 0x1200", 0xbf, 0x00, 0x12),
          ...asm("mov cx, 5", 0xb9, 0x05, 0x00),
          ...asm("mov dx, 0x10", 0xba, 0x10, 0x00),
          ...asm("rep outsb", 0xf3, 0x6e),
          ...asm("mov cx, 5", 0xb9, 0x05, 0x00),
          ...asm("rep insb", 0xf3, 0x6c),
          ...hlt
        ])
        memory.bytes.set([1, 2, 3, 4, 5], 0x100)
        const seen: Array<number> = []
        let next = 10
        const bus = yield* Kvm.bus([
          Kvm.pio(0x10, 1, {
            out8: (_port, value) => (value === 3 ? Effect.sync(() => void seen.push(value)) : void seen.push(value)),
            in8: () => (next % 2 === 0 ? next++ : Effect.sync(() => next++))
          })
        ])
        yield* way(Kvm.runUntil(vcpu, { bus, ...halts }))
        assert.deepStrictEqual(seen, [1, 2, 3, 4, 5])
        assert.deepStrictEqual([...memory.bytes.slice(0x200, 0x205)], [10, 11, 12, 13, 14])
      })
    )

    itKvm(
      "tells writes that were put by in order, before what comes after them",
      Effect.gen(function* () {
        const { vcpu } = yield* makeGuest([...words(5000)])
        const seen: Array<number> = []
        const bus = yield* Kvm.bus([
          Kvm.pio(0x10, 2, {
            writes: (writes) => {
              for (const { port, size, value } of writes) {
                assert.strictEqual(port, 0x10)
                assert.strictEqual(size, 2)
                seen.push(value)
              }
            }
          })
        ])
        yield* way(
          Kvm.runUntil(vcpu, {
            bus,
            onHlt: () => {
              assert.strictEqual(seen.length, 5000)
              return Kvm.done(undefined)
            }
          })
        )
        assert.deepStrictEqual(
          seen,
          Array.from({ length: 5000 }, (_, index) => index + 1)
        )
      })
    )

    itKvm(
      "keeps the order among devices",
      Effect.gen(function* () {
        const { vcpu } = yield* makeGuest([
          ...out8(0x10, 1),
          ...out8(0x11, 2),
          ...out8(0x12, 3),
          ...out8(0x10, 4),
          ...out8(0x11, 5),
          ...hlt
        ])
        const seen: Array<number> = []
        const writes = (some: ReadonlyArray<Kvm.PioWrite>) => void seen.push(...some.map(({ value }) => value))
        const bus = yield* Kvm.bus([
          Kvm.pio(0x12, 1, { out8: (_port, value) => void seen.push(value) }),
          Kvm.pio(0x10, 1, { writes }),
          Kvm.pio(0x11, 1, { writes: (some) => Effect.sync(() => writes(some)) })
        ])
        yield* way(Kvm.runUntil(vcpu, { bus, ...halts }))
        assert.deepStrictEqual(seen, [1, 2, 3, 4, 5])
      })
    )

    itKvm(
      "answers constants and places where nothing is",
      Effect.gen(function* () {
        const { vcpu } = yield* makeGuest([
          ...asm("in al, 0x64", 0xe4, 0x64),
          ...asm("out 0x10, al", 0xe6, 0x10),
          ...asm("in eax, 0x64", 0x66, 0xe5, 0x64),
          ...asm("out 0x10, eax", 0x66, 0xe7, 0x10),
          ...asm("out 0x64, al", 0xe6, 0x64),
          ...asm("in ax, 0x70", 0xe5, 0x70),
          ...asm("out 0x10, ax", 0xe7, 0x10),
          ...asm("mov ax, [0x8000]", 0xa1, 0x00, 0x80),
          ...asm("out 0x10, ax", 0xe7, 0x10),
          ...hlt
        ])
        const seen: Array<number> = []
        const bus = yield* Kvm.bus([
          Kvm.constant({ port: 0x64, length: 4 }, 0x1_2345_67a9n),
          Kvm.ignore({ port: 0x70, length: 2 }),
          Kvm.constant({ address: 0x8000, length: 0x1000 }, 0xbeef),
          Kvm.pio(0x10, 4, { writes: (some) => void seen.push(...some.map(({ value }) => value)) })
        ])
        yield* way(Kvm.runUntil(vcpu, { bus, ...halts }))
        assert.deepStrictEqual(seen, [0xa9, 0x2345_67a9, 0xffff, 0xbeef])
      })
    )

    itKvm(
      "lets handlers do everything with the vCPU but run it",
      Effect.gen(function* () {
        const { vcpu } = yield* makeGuest([...out8(0x10, 1), ...hlt])
        const bus = yield* Kvm.bus([
          Kvm.pio(0x10, 1, {
            out8: () =>
              Effect.gen(function* () {
                const error = yield* Effect.flip(Kvm.run(vcpu))
                const { rip } = yield* Kvm.getRegs(vcpu)
                return Kvm.done({ tag: error._tag, rip })
              })
          })
        ])
        const end = yield* way(Kvm.runUntil(vcpu, { bus }))
        assert.strictEqual(end.tag, "EBUSY")
        assert.isAbove(Number(end.rip), codeAddress)
      })
    )
  })
}

describeKvm("a serial port", () => {
  for (const [name, way] of Object.entries(ways)) {
    itKvm(
      `sends to a function, ${name}`,
      Effect.gen(function* () {
        const { vcpu } = yield* makeGuest([...print("Hello, world!"), ...hlt])
        const { output, text } = collected()
        const bus = yield* Kvm.bus([Kvm.serial({ output })])
        yield* way(Kvm.runUntil(vcpu, { bus, ...halts }))
        assert.strictEqual(text(), "Hello, world!")
      })
    )

    itKvm(
      `is set up, polled and read as a driver does it, ${name}`,
      Effect.gen(function* () {
        // Divisor, line control and scratch are there; the loop echoes what comes until a zero.
        const { vcpu } = yield* makeGuest([
          ...out8(0x3fb, 0x83),
          ...out8(0x3f8, 1),
          ...out8(0x3f9, 0),
          ...out8(0x3fb, 3),
          ...out8(0x3fa, 7),
          ...out8(0x3fc, 3),
          ...out8(0x3ff, 0x5a),
          ...copy8(0x3ff, 0x10),
          ...copy8(0x3fa, 0x10),
          ...copy8(0x3fe, 0x10),
          ...asm("      mov dx, 0x3fd", 0xba, 0xfd, 0x03),
          ...asm("poll: in al, dx", 0xec),
          ...asm("      test al, 1", 0xa8, 0x01),
          ...asm("      jz poll", 0x74, 0xfb),
          ...asm("      mov dx, 0x3f8", 0xba, 0xf8, 0x03),
          ...asm("      in al, dx", 0xec),
          ...asm("      test al, al", 0x84, 0xc0),
          ...asm("      jz end", 0x74, 0x06),
          ...asm("      out dx, al", 0xee),
          ...asm("      mov dx, 0x3fd", 0xba, 0xfd, 0x03),
          ...asm("      jmp poll", 0xeb, 0xed),
          ...asm("end:  hlt", 0xf4)
        ])
        const { bytes, output } = collected()
        const registers: Array<number> = []
        const bus = yield* Kvm.bus([
          Kvm.serial({ output, input: Stream.make(Uint8Array.of(104, 105), Uint8Array.of(33, 0, 9)) }),
          Kvm.pio(0x10, 1, { out8: (_port, value) => void registers.push(value) })
        ])
        yield* way(Kvm.runUntil(vcpu, { bus, ...halts }))
        assert.deepStrictEqual(registers, [0x5a, 0xc1, 0xb0])
        assert.deepStrictEqual(bytes, [104, 105, 33])
      })
    )
  }

  itKvm(
    "sends to a sink, all of it before runUntil is over",
    Effect.gen(function* () {
      const text = "x".repeat(300)
      const { vcpu } = yield* makeGuest([...print("0123456789"), ...print(text), ...hlt])
      const { output, text: got } = collected()
      const slow = sinkOf((bytes) =>
        Effect.delay(
          Effect.sync(() => output(bytes)),
          "3 millis"
        )
      )
      const bus = yield* Kvm.bus([Kvm.serial({ output: slow })])
      yield* Kvm.runUntil(vcpu, { bus, ...halts })
      assert.strictEqual(got(), `0123456789${text}`)
    })
  )

  itKvm(
    "fails with what its sink or its input fails with, and stops the guest",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...print("ab"), ...spin])
      const broken = sinkOf(() => Effect.fail(new Odd({ value: 1 })))
      const bus = yield* Kvm.bus([Kvm.serial({ output: broken })])
      assert.deepStrictEqual(yield* Effect.flip(Kvm.runUntil(vcpu, { bus })), new Odd({ value: 1 }))
      const deaf = yield* Kvm.bus([Kvm.serial({ input: Stream.fail(new Odd({ value: 2 })) })])
      assert.deepStrictEqual(yield* Effect.flip(Kvm.runUntil(vcpu, { bus: deaf })), new Odd({ value: 2 }))
    })
  )

  itKvm(
    "tells its interrupt line",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([
        ...out8(0x3f9, 2), // may send: at once
        ...copy8(0x3fa, 0x10),
        ...out8(0x3f8, 65),
        ...copy8(0x3fa, 0x10),
        ...out8(0x3f9, 0),
        ...hlt
      ])
      const { output, text } = collected()
      const line: Array<boolean> = []
      const ids: Array<number> = []
      const bus = yield* Kvm.bus([
        Kvm.serial({ output: (bytes) => output(bytes), interrupt: (active) => void line.push(active) }),
        Kvm.pio(0x10, 1, { out8: (_port, value) => void ids.push(value) })
      ])
      yield* Kvm.runUntil(vcpu, { bus, ...halts })
      assert.strictEqual(text(), "A")
      assert.deepStrictEqual(ids, [2, 2])
      assert.deepStrictEqual(line, [true, false, true, false])
    })
  )

  itKvm(
    "tells the first byte of a guest that then only spins, and what comes later",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([
        ...print("a"),
        ...asm("wait: cmp byte [0x1800], 0", 0x80, 0x3e, 0x00, 0x18, 0x00),
        ...asm("      je wait", 0x74, 0xf9),
        ...print("b"),
        ...spin
      ])
      const heard = yield* Queue.unbounded<string>()
      const bus = yield* Kvm.bus([
        Kvm.serial({ output: (bytes) => Queue.offer(heard, new TextDecoder().decode(bytes)) })
      ])
      const fiber = yield* Effect.forkChild(Kvm.runUntil(vcpu, { bus }))
      assert.strictEqual(yield* Queue.take(heard), "a")
      yield* Effect.sleep("20 millis") // long enough for the bell to be armed again
      memory.bytes[0x800] = 1
      assert.strictEqual(yield* Queue.take(heard), "b")
      yield* Fiber.interrupt(fiber)
    })
  )
})

describe("a bus", () => {
  it.effect("refuses devices that overlap, and says which", () =>
    Effect.gen(function* () {
      const first = Kvm.serial({ port: 0x3f8 })
      const second = Kvm.constant({ port: 0x3ff, length: 2 }, 0)
      const elsewhere = Kvm.constant({ address: 0x3ff }, 0)
      const error = yield* Effect.flip(Kvm.bus([second, elsewhere, first]))
      assert.strictEqual(error._tag, "OverlappingDevices")
      assert.include(error.message, "0x3f8")
      assert.include(error.message, "0x3ff")
      yield* Kvm.bus([first, elsewhere, Kvm.constant({ port: 0x400 }, 0)])
    })
  )

  it.effect("refuses devices at no place that there is", () =>
    Effect.gen(function* () {
      const places: ReadonlyArray<Kvm.Place> = [
        { port: 0xffff, length: 2 },
        { port: -1 },
        { port: 0x10, length: 0 },
        { address: 2n ** 64n - 1n, length: 2n },
        { address: -8n, length: 4 }
      ]
      for (const place of places) {
        assert.strictEqual((yield* Effect.flip(Kvm.bus([Kvm.ignore(place)])))._tag, "InvalidRange")
      }
      yield* Kvm.bus([Kvm.ignore({ address: 0, length: 2n ** 64n }), Kvm.ignore({ port: 0, length: 0x10000 })])
    })
  )
})

describeKvm("interrupting runUntil", () => {
  itKvm(
    "loses no write that was put by, and none is told twice, whenever it comes",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([
        ...asm("      mov dx, 0x10", 0xba, 0x10, 0x00),
        ...asm("next: inc cx", 0x41),
        ...asm("      mov ax, cx", 0x89, 0xc8),
        ...asm("      out dx, ax", 0xef),
        ...asm("      test cl, 7", 0xf6, 0xc1, 0x07),
        ...asm("      jnz next", 0x75, 0xf7),
        ...asm("      out 0x20, ax", 0xe7, 0x20),
        ...asm("      jmp next", 0xeb, 0xf3)
      ])
      const seen: Array<number> = []
      const others: Array<number> = []
      const bus = yield* Kvm.bus([
        Kvm.pio(0x10, 2, { writes: (some) => void seen.push(...some.map(({ value }) => value)) }),
        Kvm.pio(0x20, 2, {
          out16: (_port, value) => {
            // What came before it has been told.
            others.push(value, seen.at(-1) ?? 0)
          }
        })
      ])
      const before = yield* openFds
      let state = 7
      for (let round = 0; round < 300 || (seen.length < 3000 && round < 5000); round++) {
        const fiber = yield* Effect.forkChild(Kvm.runUntil(vcpu, { bus }), { startImmediately: round % 2 === 0 })
        state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff
        for (let turn = (state >> 8) % 4; turn > 0; turn--) yield* Effect.promise(() => new Promise(setImmediate))
        const until = performance.now() + ((state >> 12) % 200) / 1000
        while (performance.now() < until);
        yield* Fiber.interrupt(fiber)
      }
      assert.isAtLeast(seen.length, 1000)
      assert.deepStrictEqual(
        seen,
        seen.map((_, index) => (index + 1) & 0xffff)
      )
      for (let index = 0; index < others.length; index += 2) {
        assert.strictEqual(others[index], ((index / 2 + 1) * 8) & 0xffff)
        assert.strictEqual(others[index + 1], others[index])
      }
      assert.strictEqual(yield* openFds, before)
    })
  )

  itKvm(
    "interrupts the effect of a handler",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...out8(0x10, 1), ...hlt])
      const begun = yield* Deferred.make<void>()
      const bus = yield* Kvm.bus([
        Kvm.pio(0x10, 1, { out8: () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never) })
      ])
      const fiber = yield* Effect.forkChild(Kvm.runUntil(vcpu, { bus }))
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(fiber)
      yield* expectExit(vcpu, "Hlt")
    })
  )
})

describe("the types of runUntil", () => {
  it("are those of its devices and handlers", () => {
    const check = (vcpu: Kvm.Vcpu, service: Context.Service<"service", number>) =>
      Effect.gen(function* () {
        const bus = yield* Kvm.bus([
          Kvm.pio(1, 1, { out8: (port: number) => (port > 0 ? Kvm.done("text" as const) : undefined), in8: () => 1 }),
          Kvm.mmio(1, 1, { read: () => Effect.as(service, 1), write: () => Effect.fail(new Odd({ value: 1 })) })
        ])
        const typed: Kvm.Bus<"text", Odd, "service"> = bus
        // @ts-expect-error a device of it needs a service
        const wrong: Kvm.Bus<"text", Odd> = bus
        // @ts-expect-error it ends with more than that
        const narrow: Effect.Effect<"text", unknown, unknown> = Kvm.runUntil(vcpu, { bus, onHlt: () => Kvm.done(3) })
        const ended: "text" | 3 | number = yield* Kvm.runUntil(vcpu, { bus, onHlt: () => Kvm.done(3) })
        return [typed, wrong, narrow, ended]
      })
    // @ts-expect-error a read must be answered
    const silent = () => Kvm.pio(1, 1, { in8: () => undefined })
    // @ts-expect-error writes are told one by one or put by, not both
    const both = () => Kvm.pio(1, 1, { out8: () => undefined, writes: () => undefined })
    // @ts-expect-error there is no such exit
    const none = (vcpu: Kvm.Vcpu) => Kvm.runUntil(vcpu, { onNothing: () => undefined })
    assert.strictEqual([check, silent, both, none].length, 4)
  })

  itKvm(
    "is still told to a device where another one fails, and never to those of the next run",
    Effect.gen(function* () {
      const out = (port: number, value: number) => [
        ...asm("mov al, value", 0xb0, value),
        ...asm("out port, al", 0xe6, port)
      ]
      const { memory, vcpu } = yield* makeGuest([
        ...out(0x40, 0),
        ...out(0x10, 1),
        ...out(0x20, 2),
        ...out(0x10, 3),
        ...out(0x20, 4),
        ...asm("      mov byte [0x1800], 1", 0xc6, 0x06, 0x00, 0x18, 0x01),
        ...asm("wait: cmp byte [0x1801], 0", 0x80, 0x3e, 0x01, 0x18, 0x00),
        ...asm("      je wait", 0x74, 0xf9),
        ...hlt
      ])
      const allWritten = comesTrue(() => memory.bytes[0x800] === 1)
      const told: Array<number> = []
      const bus = yield* Kvm.bus([
        // All is put by while this one is being told.
        Kvm.pio(0x40, 1, { writes: () => Effect.asVoid(allWritten) }),
        Kvm.pio(0x10, 1, { writes: () => Effect.fail("broken" as const) }),
        Kvm.pio(0x20, 1, {
          writes: (writes) => {
            told.push(...writes.map(({ value }) => Number(value)))
          }
        })
      ])
      const onHlt = () => Kvm.done("halted" as const)
      assert.strictEqual(yield* Effect.flip(Kvm.runUntil(vcpu, { bus, onHlt })), "broken")
      memory.bytes[0x801] = 1
      const others: Array<number> = []
      const next = yield* Kvm.bus([
        Kvm.pio(0x30, 1, { writes: (writes) => void others.push(writes.length) }),
        Kvm.pio(0x20, 1, {
          writes: (writes) => {
            told.push(...writes.map(({ value }) => Number(value)))
          }
        }),
        Kvm.ignore({ port: 0x10, length: 1 })
      ])
      assert.strictEqual(yield* Kvm.runUntil(vcpu, { bus: next, onHlt }), "halted")
      assert.deepStrictEqual(told, [2, 4])
      assert.deepStrictEqual(others, [])
    })
  )
})
