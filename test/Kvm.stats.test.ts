/** Statistics of machines and vCPUs. */
import { assert } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { Kvm } from "../src/index.ts"
import {
  asm,
  comesTrue,
  counted,
  expectErrno,
  expectExit,
  hlt,
  itKvm,
  makeGuest,
  memoryCounter
} from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"
import { openFds } from "./support/process.ts"

const outs = [...asm("out 0x10, al", 0xe6, 0x10), ...asm("out 0x10, al", 0xe6, 0x10), ...asm("hlt", 0xf4)]

describeKvm("Kvm.getStatsFd", () => {
  itKvm(
    "of a vCPU counts its exits",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest(outs)
      const stats = yield* Kvm.getStatsFd(vcpu)
      assert.match(stats.id, /^kvm-\d+\/vcpu-0$/)
      const before = yield* Kvm.readStats(stats)
      yield* expectExit(vcpu, "Io")
      yield* expectExit(vcpu, "Io")
      yield* expectExit(vcpu, "Hlt")
      const after = yield* Kvm.readStats(stats)
      const grown = (name: string) => Number((after.get(name)?.[0] ?? 0n) - (before.get(name)?.[0] ?? 0n))
      assert.isAtLeast(grown("exits") + grown("io_exits") + grown("insn_emulation"), 2)
      assert.deepStrictEqual([...after.keys()].sort(), stats.descriptors.map(({ name }) => name).sort())
    })
  )

  itKvm(
    "of a machine tells what there is, with units",
    Effect.gen(function* () {
      const { vm } = yield* makeGuest([...hlt])
      const stats = yield* Kvm.getStatsFd(vm)
      assert.match(stats.id, /^kvm-\d+$/)
      assert.strictEqual(stats.descriptors.length, stats.header.num_desc)
      for (const { base, name, offset, size, type, unit } of stats.descriptors) {
        assert.match(name, /^[a-z0-9_]+$/)
        assert.isAtLeast(size, 1)
        assert.strictEqual(offset % 8, 0)
        assert.notStrictEqual(type, "other")
        assert.notStrictEqual(unit, "other")
        assert.include([2, 10], base)
      }
      const values = yield* Kvm.readStats(stats)
      for (const { name, size } of stats.descriptors) assert.strictEqual(values.get(name)?.length, size)
    })
  )

  itKvm(
    "has histograms of as many buckets, and times in nanoseconds",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const { descriptors } = yield* Kvm.getStatsFd(vcpu)
      const histogram = descriptors.find(({ name }) => name === "halt_wait_hist")
      assert.deepInclude(histogram, { type: "logHistogram", unit: "seconds", base: 10, exponent: -9 })
      assert.isAbove(histogram?.size ?? 0, 1)
      assert.deepInclude(
        descriptors.find(({ name }) => name === "blocking"),
        { type: "instant", unit: "boolean" }
      )
    })
  )

  itKvm(
    "can be read while the vCPU runs, but not opened then",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([...memoryCounter])
      const stats = yield* Kvm.getStatsFd(vcpu)
      const running = yield* Effect.forkChild(Kvm.run(vcpu))
      assert.isTrue(yield* comesTrue(() => counted(memory) > 0))
      assert.isAbove((yield* Kvm.readStats(stats)).size, 0)
      yield* expectErrno(Effect.scoped(Kvm.getStatsFd(vcpu)), "EBUSY")
      yield* Fiber.interrupt(running)
    })
  )

  itKvm(
    "is closed with its scope, or with the machine, and leaves nothing",
    Effect.gen(function* () {
      const before = yield* openFds
      const outer = yield* Scope.make()
      const stats = yield* Effect.scoped(
        Effect.gen(function* () {
          const { vcpu, vm } = yield* makeGuest([...hlt])
          const inside = yield* openFds
          yield* Effect.scoped(Effect.andThen(Kvm.getStatsFd(vm), Kvm.getStatsFd(vcpu)))
          assert.strictEqual(yield* openFds, inside)
          return yield* Scope.provide(Kvm.getStatsFd(vm), outer)
        })
      )
      assert.strictEqual(yield* openFds, before)
      yield* expectErrno(Kvm.readStats(stats), "EBADF")
      yield* Scope.close(outer, Exit.void)
      assert.strictEqual(yield* openFds, before)
    })
  )

  itKvm(
    "interrupted at any moment leaves no descriptor",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt])
      const before = yield* openFds
      for (let turns = 0; turns < 20; turns++) {
        const both = Effect.andThen(Kvm.getStatsFd(vm), Kvm.getStatsFd(vcpu))
        const fiber = yield* Effect.forkChild(Effect.scoped(Effect.andThen(both, Effect.never)))
        for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* openFds, before)
      }
    })
  )
})
