/** Writes of guests that are collected and read together. */
import { assert } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { Kvm } from "../src/index.ts"
import { asm, expectErrno, expectExit, hlt, itKvm, makeGuest } from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"
import { openFds } from "./support/process.ts"

/** Where the guest's `ds` begins, at which there is no memory. */
const base = 0xd000_0000n

const writes = [
  ...asm("mov al, 0x41", 0xb0, 0x41),
  ...asm("mov byte ptr [0x10], al", 0xa2, 0x10, 0x00),
  ...asm("mov ax, 0x4243", 0xb8, 0x43, 0x42),
  ...asm("mov word ptr [0x12], ax", 0xa3, 0x12, 0x00),
  ...asm("mov al, 0x44", 0xb0, 0x44),
  ...asm("out 0x80, al", 0xe6, 0x80),
  ...asm("out 0x10, al", 0xe6, 0x10),
  ...asm("hlt", 0xf4)
]

/** Writes the numbers from 1 to 200, as words, then says so. */
const many = [
  ...asm("next: inc ax", 0x40),
  ...asm("      mov word ptr [0x10], ax", 0xa3, 0x10, 0x00),
  ...asm("      cmp ax, 200", 0x3d, 0xc8, 0x00),
  ...asm("      jne next", 0x75, 0xf7),
  ...asm("      out 0x10, al", 0xe6, 0x10),
  ...asm("      hlt", 0xf4)
]

const makeWriting = (code: ReadonlyArray<number>) =>
  Effect.tap(makeGuest(code), ({ vcpu }) => Kvm.modifySregs(vcpu, ({ ds }) => ({ ds: { ...ds, base } })))

const zone = { addr: base, size: 0x1000 }

describeKvm("Kvm.registerCoalescedMmio", () => {
  itKvm(
    "collects writes of every length, in their order, until they are read",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeWriting(writes)
      yield* Kvm.registerCoalescedMmio(vm, zone)
      yield* Kvm.registerCoalescedMmio(vm, { addr: 0x80, size: 1, pio: true })
      assert.strictEqual((yield* Kvm.coalescedMmioRead(vcpu))._tag, "None")
      assert.strictEqual((yield* expectExit(vcpu, "Io")).port, 0x10)
      const first = yield* Kvm.coalescedMmioRead(vcpu)
      assert.deepStrictEqual(first._tag === "Some" ? first.value : undefined, {
        phys_addr: base + 0x10n,
        pio: false,
        data: Uint8Array.of(0x41)
      })
      assert.deepStrictEqual(yield* Kvm.coalescedMmioReadAll(vcpu), [
        { phys_addr: base + 0x12n, pio: false, data: Uint8Array.of(0x43, 0x42) },
        { phys_addr: 0x80n, pio: true, data: Uint8Array.of(0x44) }
      ])
      assert.deepStrictEqual(yield* Kvm.coalescedMmioReadAll(vcpu), [])
    })
  )

  itKvm(
    "what does not fit any more is an exit, and none is lost, also where the ring comes round",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeWriting(many)
      yield* Kvm.registerCoalescedMmio(vm, zone)
      const numbers: Array<number> = []
      const wordOf = (data: Uint8Array) => (data[0] ?? 0) | ((data[1] ?? 0) << 8)
      let full = 0
      while (true) {
        const exit = yield* Kvm.run(vcpu)
        const collected = yield* Kvm.coalescedMmioReadAll(vcpu)
        numbers.push(...collected.map(({ data }) => wordOf(data)))
        if (exit._tag !== "Mmio") break
        full++
        numbers.push(wordOf(exit.data))
      }
      assert.deepStrictEqual(
        numbers,
        Array.from({ length: 200 }, (_, index) => index + 1)
      )
      assert.strictEqual(full, 1)
    })
  )

  itKvm(
    "ends with its scope, or before, and writes are exits again",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeWriting(writes)
      yield* Effect.scoped(Kvm.registerCoalescedMmio(vm, zone))
      assert.strictEqual((yield* expectExit(vcpu, "Mmio")).address, base + 0x10n)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Kvm.registerCoalescedMmio(vm, zone)
          yield* Kvm.unregisterCoalescedMmio(vm, zone)
          assert.strictEqual((yield* expectExit(vcpu, "Mmio")).address, base + 0x12n)
          // Where there is none the kernel does not mind.
          yield* Kvm.unregisterCoalescedMmio(vm, zone)
        })
      )
      assert.strictEqual((yield* expectExit(vcpu, "Io")).port, 0x80)
      assert.deepStrictEqual(yield* Kvm.coalescedMmioReadAll(vcpu), [])
    })
  )

  itKvm(
    "refuses what is no zone, and a vCPU or machine that is closed",
    Effect.gen(function* () {
      const { vm } = yield* makeGuest([...hlt])
      for (const addr of [0.5, 2 ** 60, 1n << 64n]) {
        const error = yield* expectErrno(Effect.scoped(Kvm.registerCoalescedMmio(vm, { addr, size: 1 })), "EINVAL")
        assert.include(error.message, "addr")
      }
      const error = yield* expectErrno(Effect.scoped(Kvm.registerCoalescedMmio(vm, { addr: 0, size: -1 })), "EINVAL")
      assert.include(error.message, "size")
      const scope = yield* Scope.make()
      const closed = yield* Scope.provide(makeGuest([...hlt]), scope)
      yield* Kvm.coalescedMmioReadAll(closed.vcpu)
      yield* Scope.close(scope, Exit.void)
      yield* expectErrno(Kvm.coalescedMmioRead(closed.vcpu), "EBADF")
      yield* expectErrno(Effect.scoped(Kvm.registerCoalescedMmio(closed.vm, zone)), "EBADF")
    })
  )

  itKvm(
    "interrupted at any moment leaves no zone and no descriptor",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeWriting(writes)
      const before = yield* openFds
      for (let turns = 0; turns < 20; turns++) {
        const fiber = yield* Effect.forkChild(
          Effect.scoped(Effect.andThen(Kvm.registerCoalescedMmio(vm, zone), Effect.never))
        )
        for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
      }
      assert.strictEqual(yield* openFds, before)
      yield* expectExit(vcpu, "Mmio")
    })
  )
})
