/** Guests that are run exit by exit, and stopped from outside: kicked, paused, stepped. */
import { assert } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { Kvm, Syscall } from "../src/index.ts"
import { stateOf } from "../src/kvm/vcpu.ts"
import {
  asm,
  codeAddress,
  comesTrue,
  counted,
  counter,
  expectErrno,
  expectExit,
  hlt,
  itKvm,
  makeGuest,
  memoryCounter,
  spin
} from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"
import { openFds } from "./support/process.ts"

/** By the thread's short way, and by calls that the trampoline sees. */
const ways = {
  "by the vCPU's thread": <A, E, R>(effect: Effect.Effect<A, E, R>) => effect,
  "with a trampoline that sees the calls": Effect.provideService(
    Syscall.Trampoline,
    Syscall.record(Syscall.kernel, () => {})
  )
}

const numberOf = (exit: Kvm.Exit): number =>
  exit._tag === "Io" ? (exit.data[0] ?? 0) | ((exit.data[1] ?? 0) << 8) : -1

describeKvm("Kvm.exits", () => {
  itKvm(
    "gives one exit after the other, each run for when it is pulled",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...counter])
      const first = yield* Kvm.exits(vcpu).pipe(Stream.take(5), Stream.map(numberOf), Stream.runCollect)
      assert.deepStrictEqual(first, [1, 2, 3, 4, 5])
      assert.strictEqual(numberOf(yield* Kvm.run(vcpu)), 6)
    })
  )

  itKvm(
    "does not end at a halt, and fails with what a run fails with",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt, ...hlt, ...spin])
      const tags = yield* Kvm.exits(vcpu).pipe(
        Stream.take(2),
        Stream.map(({ _tag }) => _tag),
        Stream.runCollect
      )
      assert.deepStrictEqual(tags, ["Hlt", "Hlt"])
      const busy = yield* Effect.forkChild(Kvm.run(vcpu), { startImmediately: true })
      yield* expectErrno(Stream.runDrain(Kvm.exits(vcpu)), "EBUSY")
      yield* Fiber.interrupt(busy)
    })
  )
})

for (const [name, way] of Object.entries(ways)) {
  describeKvm(`Kvm.kick, ${name}`, () => {
    itKvm(
      "stops a guest that spins, again and again",
      Effect.gen(function* () {
        const { memory, vcpu } = yield* makeGuest([...memoryCounter])
        for (let round = 0; round < 20; round++) {
          const sofar = counted(memory)
          const fiber = yield* Effect.forkChild(way(Kvm.run(vcpu)), { startImmediately: true })
          assert.isTrue(yield* comesTrue(() => counted(memory) !== sofar))
          yield* Kvm.kick(vcpu)
          assert.deepStrictEqual(yield* Fiber.join(fiber), { _tag: "Intr" })
        }
      })
    )

    itKvm(
      "of a guest that nobody runs is not lost: the next run completes the access, and enters nothing",
      Effect.gen(function* () {
        const { vcpu } = yield* makeGuest([
          ...asm("in al, 0x44", 0xe4, 0x44),
          ...asm("out 0x45, al", 0xe6, 0x45),
          ...hlt
        ])
        const read = yield* way(Kvm.run(vcpu))
        if (read._tag !== "Io" || read.direction !== "in") return assert.fail()
        yield* read.respond(0x77)
        yield* Kvm.kick(vcpu)
        yield* Kvm.kick(vcpu)
        assert.strictEqual((yield* way(Kvm.run(vcpu)))._tag, "Intr")
        const { rax, rip } = yield* Kvm.getRegs(vcpu)
        assert.strictEqual(rax & 0xffn, 0x77n)
        assert.strictEqual(rip, BigInt(codeAddress + 2))
        assert.strictEqual((yield* way(Kvm.run(vcpu)))._tag, "Io")
        yield* Kvm.kick(vcpu)
        assert.strictEqual((yield* way(Kvm.runInline(vcpu)))._tag, "Intr")
        assert.strictEqual((yield* way(Kvm.run(vcpu)))._tag, "Hlt")
      })
    )

    itKvm(
      "in runUntil is an exit like others",
      Effect.gen(function* () {
        const { memory, vcpu } = yield* makeGuest([...memoryCounter])
        const handled = yield* Effect.forkChild(way(Kvm.runUntil(vcpu, { onIntr: () => Kvm.done("kicked") })))
        assert.isTrue(yield* comesTrue(() => counted(memory) > 0))
        yield* Kvm.kick(vcpu)
        assert.strictEqual(yield* Fiber.join(handled), "kicked")
        const not = yield* Effect.forkChild(Effect.flip(way(Kvm.runUntil(vcpu, {}))))
        yield* Effect.yieldNow
        yield* Kvm.kick(vcpu)
        assert.strictEqual((yield* Fiber.join(not))._tag, "UnhandledExit")
      })
    )
  })

  describeKvm(`Kvm.pause and Kvm.resume, ${name}`, () => {
    itKvm(
      "lose no exit that nobody has seen yet: who runs the guest meanwhile gets it when it is resumed",
      Effect.gen(function* () {
        const { vcpu } = yield* makeGuest([
          ...asm("in al, 0x44", 0xe4, 0x44),
          ...asm("out 0x45, al", 0xe6, 0x45),
          ...asm("in al, 0x44", 0xe4, 0x44),
          ...asm("out 0x45, al", 0xe6, 0x45)
        ])
        // As if its fiber had been interrupted just when the guest stopped.
        const whilePaused = Effect.fnUntraced(function* <A, E>(running: Effect.Effect<A, E>) {
          stateOf(vcpu).kept = true
          yield* Kvm.pause(vcpu)
          const fiber = yield* Effect.forkChild(way(running), { startImmediately: true })
          yield* Effect.sleep("1 millis")
          assert.isUndefined(fiber.pollUnsafe())
          yield* Kvm.resume(vcpu)
          return yield* Fiber.join(fiber)
        })
        yield* way(Kvm.run(vcpu))
        const asked = yield* whilePaused(Kvm.run(vcpu))
        if (asked._tag !== "Io" || asked.direction !== "in") return assert.fail()
        yield* asked.respond(0x55)
        assert.strictEqual(numberOf(yield* way(Kvm.run(vcpu))), 0x55)

        yield* way(Kvm.run(vcpu))
        const bus = yield* Kvm.bus([Kvm.pio(0x44, 2, { in8: () => 0x66, out8: (_port, value) => Kvm.done(value) })])
        assert.strictEqual(yield* whilePaused(Kvm.runUntil(vcpu, { bus })), 0x66)
      })
    )

    itKvm(
      "hold a guest, whose state can be read and set, while its fiber goes on waiting",
      Effect.gen(function* () {
        const { memory, vcpu } = yield* makeGuest([...memoryCounter])
        const fiber = yield* Effect.forkChild(way(Kvm.run(vcpu)))
        for (let round = 0; round < 10; round++) {
          const sofar = counted(memory)
          assert.isTrue(yield* comesTrue(() => counted(memory) !== sofar))
          yield* Kvm.pause(vcpu)
          const held = counted(memory)
          yield* Effect.sleep("1 millis")
          assert.strictEqual(counted(memory), held)
          yield* Kvm.modifyRegs(vcpu, () => ({ rbx: BigInt(round) }))
          yield* expectErrno(Kvm.run(vcpu), "EBUSY")
          yield* Kvm.resume(vcpu)
        }
        assert.isUndefined(fiber.pollUnsafe())
        assert.strictEqual((yield* Kvm.whilePaused(vcpu, Kvm.getRegs(vcpu))).rbx, 9n)
        const sofar = counted(memory)
        assert.isTrue(yield* comesTrue(() => counted(memory) !== sofar))
        yield* Fiber.interrupt(fiber)
      })
    )

    itKvm(
      "nest, and hold off who runs it meanwhile",
      Effect.gen(function* () {
        const { vcpu } = yield* makeGuest([...hlt, ...hlt])
        yield* Kvm.pause(vcpu)
        yield* Kvm.pause(vcpu)
        const fiber = yield* Effect.forkChild(way(Kvm.run(vcpu)), { startImmediately: true })
        const inline = yield* Effect.forkChild(Effect.exit(Kvm.runInline(vcpu)), { startImmediately: true })
        yield* Kvm.resume(vcpu)
        yield* Effect.sleep("2 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* Kvm.resume(vcpu)
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "Hlt")
        yield* Fiber.join(inline)
        yield* Kvm.resume(vcpu) // one too many is none
        assert.strictEqual((yield* way(Kvm.run(vcpu)))._tag, "Hlt")
      })
    )

    itKvm(
      "lose no exit: a counter that is paused at any moment has no gap",
      Effect.gen(function* () {
        const { vcpu } = yield* makeGuest([...counter])
        const seen: Array<number> = []
        const listen = yield* Effect.forkChild(
          way(Effect.forever(Effect.map(Kvm.run(vcpu), (exit) => void seen.push(numberOf(exit)))))
        )
        for (let round = 0; round < 200 || seen.length < 300; round++) {
          yield* Kvm.pause(vcpu)
          if (round % 3 === 0) yield* Kvm.getRegs(vcpu)
          if (round % 2 === 0) yield* Effect.promise(() => new Promise(setImmediate))
          yield* Kvm.resume(vcpu)
          yield* Effect.promise(() => new Promise(setImmediate))
        }
        yield* Fiber.interrupt(listen)
        assert.deepStrictEqual(
          seen,
          seen.map((_, index) => (index + 1) & 0xffff)
        )
      })
    )

    itKvm(
      "an interruption ends a run that is paused, and leaves nothing",
      Effect.gen(function* () {
        const before = yield* openFds
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { memory, vcpu } = yield* makeGuest([...memoryCounter])
            const fiber = yield* Effect.forkChild(way(Kvm.run(vcpu)))
            assert.isTrue(yield* comesTrue(() => counted(memory) > 0))
            yield* Kvm.pause(vcpu)
            yield* Fiber.interrupt(fiber)
            const waiting = yield* Effect.forkChild(way(Kvm.run(vcpu)), { startImmediately: true })
            yield* Fiber.interrupt(waiting)
            yield* Kvm.resume(vcpu)
            const sofar = counted(memory)
            const again = yield* Effect.forkChild(way(Kvm.run(vcpu)))
            assert.isTrue(yield* comesTrue(() => counted(memory) !== sofar))
            yield* Fiber.interrupt(again)
          })
        )
        assert.strictEqual(yield* openFds, before)
      })
    )

    itKvm(
      "the end of a machine ends a run that is paused",
      Effect.gen(function* () {
        const fiber = yield* Effect.scoped(
          Effect.gen(function* () {
            const { vcpu } = yield* makeGuest([...spin])
            yield* Kvm.pause(vcpu)
            return yield* Effect.forkDetach(Effect.flip(way(Kvm.run(vcpu))), { startImmediately: true })
          })
        )
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "EBADF")
      })
    )

    itKvm(
      "a kick of a guest that is paused comes when it is resumed",
      Effect.gen(function* () {
        const { memory, vcpu } = yield* makeGuest([...memoryCounter])
        const fiber = yield* Effect.forkChild(way(Kvm.run(vcpu)))
        assert.isTrue(yield* comesTrue(() => counted(memory) > 0))
        yield* Kvm.pause(vcpu)
        yield* Kvm.kick(vcpu)
        yield* Effect.sleep("2 millis")
        assert.isUndefined(fiber.pollUnsafe())
        const held = counted(memory)
        yield* Kvm.resume(vcpu)
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "Intr")
        assert.strictEqual(counted(memory), held)
      })
    )
  })
}

describeKvm("Kvm.pause of runUntil", () => {
  itKvm(
    "holds the guest, whose devices are told what it wrote before",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...counter])
      const seen: Array<number> = []
      const bus = yield* Kvm.bus([
        Kvm.pio(0x10, 2, { writes: (some) => void seen.push(...some.map(({ value }) => value)) })
      ])
      const fiber = yield* Effect.forkChild(Kvm.runUntil(vcpu, { bus }))
      for (let round = 0; round < 20; round++) {
        const sofar = seen.length
        assert.isTrue(yield* comesTrue(() => seen.length > sofar))
        yield* Kvm.pause(vcpu)
        const { rcx } = yield* Kvm.getRegs(vcpu)
        // The last one may not have been written yet.
        assert.isTrue(yield* comesTrue(() => seen.length >= Number(rcx & 0xffffn) - 1))
        yield* Effect.sleep("1 millis")
        assert.strictEqual((yield* Kvm.getRegs(vcpu)).rcx, rcx)
        assert.isAtMost(seen.length, Number(rcx & 0xffffn))
        yield* Kvm.resume(vcpu)
      }
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(
        seen,
        seen.map((_, index) => (index + 1) & 0xffff)
      )
    })
  )
})

describeKvm("Kvm.step", () => {
  itKvm(
    "executes one instruction, and leaves no trace of itself",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([
        ...asm("inc ax", 0x40),
        ...asm("mov bx, 5", 0xbb, 0x05, 0x00),
        ...asm("out 0x10, al", 0xe6, 0x10),
        ...asm("inc cx", 0x41),
        ...hlt
      ])
      const at = (offset: number) =>
        Effect.map(Kvm.getRegs(vcpu), ({ rip }) => assert.strictEqual(rip, BigInt(codeAddress + offset)))
      assert.strictEqual((yield* Kvm.step(vcpu))._tag, "Debug")
      yield* at(1)
      assert.strictEqual((yield* Kvm.step(vcpu))._tag, "Debug")
      yield* at(4)
      assert.strictEqual((yield* Kvm.step(vcpu))._tag, "Io")
      assert.strictEqual((yield* Kvm.step(vcpu))._tag, "Debug")
      yield* expectExit(vcpu, "Hlt")
      assert.strictEqual((yield* Kvm.getRegs(vcpu)).rcx, 1n)
    })
  )

  itKvm(
    "ends as a run does when it is interrupted or the vCPU runs",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...spin])
      const busy = yield* Effect.forkChild(Kvm.run(vcpu), { startImmediately: true })
      yield* expectErrno(Kvm.step(vcpu), "EBUSY")
      yield* Fiber.interrupt(busy)
      assert.strictEqual((yield* Kvm.step(vcpu))._tag, "Debug")
    })
  )
})
