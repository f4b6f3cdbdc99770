/** Guests that are stepped, stopped at breakpoints and looked into. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
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
  makeLongGuest,
  memoryCounter
} from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"

const { KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP, KVM_GUESTDBG_USE_HW_BP } = Kvm

const stepping = { control: KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP }
const off = { control: 0 }

const breaking = (breakpoints: ReadonlyArray<Kvm.HardwareBreakpoint>) => ({
  control: KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP,
  arch: Kvm.hardwareBreakpoints(breakpoints)
})

/** Stores a word and halts. */
const storing = [
  ...asm("mov ax, 0x4321", 0xb8, 0x21, 0x43), // 0x1000
  ...asm("mov [0x1800], ax", 0xa3, 0x00, 0x18), // 0x1003
  ...asm("nop", 0x90), // 0x1006
  ...hlt // 0x1007
]

const u64 = Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: 0n, maximum: 0xffff_ffff_ffff_ffffn }))

/** The word that {@link storing} stores. */
const stored = (memory: Kvm.GuestMemory) => new DataView(memory.mapping.buffer).getUint16(0x800, true)

describeKvm("Kvm.setGuestDebug: single steps", () => {
  itKvm(
    "the guest stops after each instruction, and its registers show what that one did",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest(storing)
      yield* Kvm.setGuestDebug(vcpu, stepping)
      const seen: Array<readonly [pc: bigint, rax: bigint, stored: number]> = []
      for (let step = 0; step < 3; step++) {
        const { exception, pc } = yield* expectExit(vcpu, "Debug")
        assert.strictEqual(exception, 1)
        const { rax, rip } = yield* Kvm.getRegs(vcpu)
        assert.strictEqual(rip, pc)
        seen.push([pc, rax, stored(memory)])
      }
      assert.deepStrictEqual(seen, [
        [0x1003n, 0x4321n, 0],
        [0x1006n, 0x4321n, 0x4321],
        [0x1007n, 0x4321n, 0x4321]
      ])
      yield* Kvm.setGuestDebug(vcpu, off)
      yield* expectExit(vcpu, "Hlt")
    })
  )

  itKvm(
    "a loop of hundreds of instructions is seen one by one",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([
        ...asm("      mov cx, 300", 0xb9, 0x2c, 0x01), // 0x1000
        ...asm("next: inc bx", 0x43), // 0x1003
        ...asm("      loop next", 0xe2, 0xfd), // 0x1004
        ...hlt
      ])
      yield* Kvm.setGuestDebug(vcpu, stepping)
      assert.strictEqual((yield* expectExit(vcpu, "Debug")).pc, 0x1003n)
      for (let round = 1; round <= 300; round++) {
        assert.strictEqual((yield* expectExit(vcpu, "Debug")).pc, 0x1004n)
        assert.strictEqual((yield* expectExit(vcpu, "Debug")).pc, round === 300 ? 0x1006n : 0x1003n)
      }
      yield* Kvm.setGuestDebug(vcpu, off)
      yield* expectExit(vcpu, "Hlt")
      assert.strictEqual((yield* Kvm.getRegs(vcpu)).rbx, 300n)
    })
  )

  itKvm(
    "switched off, the guest runs through",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest(storing)
      yield* Kvm.setGuestDebug(vcpu, stepping)
      yield* expectExit(vcpu, "Debug")
      yield* Kvm.setGuestDebug(vcpu, off)
      yield* expectExit(vcpu, "Hlt")
    })
  )

  itKvm(
    "in 64-bit mode it is the same",
    Effect.gen(function* () {
      const { vcpu } = yield* makeLongGuest([
        ...asm("mov rax, 0x1122334455667788", 0x48, 0xb8, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11),
        ...asm("not rax", 0x48, 0xf7, 0xd0),
        ...hlt
      ])
      yield* Kvm.setGuestDebug(vcpu, stepping)
      assert.strictEqual((yield* expectExit(vcpu, "Debug")).pc, 0x100an)
      assert.strictEqual((yield* Kvm.getRegs(vcpu)).rax, 0x1122_3344_5566_7788n)
      assert.strictEqual((yield* expectExit(vcpu, "Debug")).pc, 0x100dn)
      assert.strictEqual((yield* Kvm.getRegs(vcpu)).rax, 0xeedd_ccbb_aa99_8877n)
    })
  )
})

describeKvm("Kvm.setGuestDebug: hardware breakpoints", () => {
  itKvm(
    "the guest stops before the instruction, again and again until it is stepped or the breakpoint is gone",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest(storing)
      yield* Kvm.setGuestDebug(vcpu, breaking([{ address: 0x1003n, on: "execute" }]))
      const { dr6, pc } = yield* expectExit(vcpu, "Debug")
      assert.deepStrictEqual([pc, dr6 & 0xfn, stored(memory)], [0x1003n, 1n, 0])
      yield* Kvm.setGuestDebug(vcpu, breaking([{ address: 0x1006n, on: "execute" }]))
      assert.strictEqual((yield* expectExit(vcpu, "Debug")).pc, 0x1006n)
      assert.strictEqual(stored(memory), 0x4321)
      yield* Kvm.setGuestDebug(vcpu, off)
      yield* expectExit(vcpu, "Hlt")
    })
  )

  itKvm(
    "four at once each tell which they are",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, ...hlt])
      const addresses = [0x1006n, 0x1004n, 0x1002n, 0x1001n]
      for (const [at, address] of [...addresses.entries()].reverse()) {
        const later = addresses.map((other, index) => ({
          address: index <= at ? other : 0xf000n,
          on: "execute" as const
        }))
        yield* Kvm.setGuestDebug(vcpu, breaking(later))
        const { dr6, pc } = yield* expectExit(vcpu, "Debug")
        assert.deepStrictEqual([pc, dr6 & 0xfn], [address, 1n << BigInt(at)])
      }
    })
  )

  itKvm(
    "a write is told after it, where the processor watches data",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest(storing)
      yield* Kvm.setGuestDebug(vcpu, breaking([{ address: 0x1800n, on: "write", length: 2 }]))
      const exit = yield* Kvm.run(vcpu)
      assert.strictEqual(stored(memory), 0x4321)
      // A KVM that emulates the guest's instructions looks at those for instructions only.
      if (exit._tag === "Debug") assert.deepStrictEqual([exit.pc, exit.dr6 & 1n], [0x1006n, 1n])
      else assert.strictEqual(exit._tag, "Hlt")
    })
  )
})

describeKvm("Kvm.setGuestDebug: injection", () => {
  itKvm(
    "the guest takes the exception itself, and a second one while that is pending is EBUSY",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([...asm("nop", 0x90), ...hlt])
      yield* Kvm.modifySregs(vcpu, () => ({ idt: { base: 0x3000n, limit: 0x3ff } }))
      memory.bytes.set([...asm("out 0x10, al", 0xe6, 0x10), ...asm("iret", 0xcf)], 0x100)
      new DataView(memory.mapping.buffer).setUint16(0x2000 + 4 * 1, 0x1100, true)
      const inject = { control: KVM_GUESTDBG_ENABLE | Kvm.KVM_GUESTDBG_INJECT_DB }
      yield* Kvm.setGuestDebug(vcpu, inject)
      yield* expectErrno(Kvm.setGuestDebug(vcpu, inject), "EBUSY")
      assert.strictEqual((yield* expectExit(vcpu, "Io")).port, 0x10)
      yield* expectExit(vcpu, "Hlt")
    })
  )

  itKvm(
    "values that do not fit fail with EINVAL naming them",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const control = yield* expectErrno(Kvm.setGuestDebug(vcpu, { control: -1 }), "EINVAL")
      assert.include(control.message, "control")
      const short = yield* expectErrno(Kvm.setGuestDebug(vcpu, { control: 1, arch: { debugreg: [0n] } }), "EINVAL")
      assert.include(short.message, "debugreg")
    })
  )
})

describe("Kvm.hardwareBreakpoints", () => {
  const dr7 = (breakpoints: ReadonlyArray<Kvm.HardwareBreakpoint>) => {
    const { debugreg } = Kvm.hardwareBreakpoints(breakpoints)
    assert.strictEqual(debugreg.length, 8)
    return debugreg[7]
  }

  it("are as the manual has them in the debug registers", () => {
    assert.strictEqual(dr7([]), 0x500n)
    assert.strictEqual(dr7([{ address: 1n, on: "execute" }]), 0x502n)
    assert.strictEqual(dr7([{ address: 2n, on: "write", length: 2 }]), 0x5_0502n)
    assert.strictEqual(dr7([{ address: 8n, on: "readWrite", length: 8 }]), 0xb_0502n)
    const four = Kvm.hardwareBreakpoints([
      { address: 0x1000n, on: "execute" },
      { address: 0x2000n, on: "write", length: 1 },
      { address: 0x3000n, on: "write", length: 4 },
      { address: 0xffff_ffff_ffff_fff8n, on: "readWrite", length: 4 }
    ])
    assert.deepStrictEqual(four.debugreg, [0x1000n, 0x2000n, 0x3000n, 0xffff_ffff_ffff_fff8n, 0n, 0n, 0n, 0xfd10_05aan])
  })

  it("refuse what the processor has no registers for", () => {
    const five = Array.from({ length: 5 }, () => ({ address: 0n, on: "execute" as const }))
    assert.throws(() => Kvm.hardwareBreakpoints(five), RangeError, "breakpoints")
    for (const address of [-4n, 2n, 2n ** 64n]) {
      assert.throws(() => Kvm.hardwareBreakpoints([{ address, on: "write", length: 4 }]), RangeError, "breakpoints[0]")
    }
    // @ts-expect-error: there is no such length
    assert.throws(() => Kvm.hardwareBreakpoints([{ address: 0n, on: "write", length: 3 }]), TypeError)
    // @ts-expect-error: nor is there such an access
    assert.throws(() => Kvm.hardwareBreakpoints([{ address: 0n, on: "read", length: 1 }]), TypeError)
  })
})

describeKvm("Kvm.getDebugRegs, setDebugRegs", () => {
  it.live.prop("what is set is what is read", { a: u64, b: u64, c: u64, d: u64 }, ({ a, b, c, d }) =>
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const before = yield* Kvm.getDebugRegs(vcpu)
      const registers = { ...before, db: [a, b, c, d], dr7: 0x4aan }
      yield* Kvm.setDebugRegs(vcpu, registers)
      assert.deepStrictEqual(yield* Kvm.getDebugRegs(vcpu), registers)
    }).pipe(Effect.scoped, Effect.provide(Kvm.layer))
  )

  itKvm(
    "the guest reads its own, and they are not those of whoever debugs it",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...asm("mov eax, dr3", 0x0f, 0x21, 0xd8), ...hlt])
      const before = yield* Kvm.getDebugRegs(vcpu)
      yield* Kvm.setDebugRegs(vcpu, { ...before, db: [0n, 0n, 0n, 0x1234_5678n] })
      yield* expectExit(vcpu, "Hlt")
      assert.strictEqual((yield* Kvm.getRegs(vcpu)).rax, 0x1234_5678n)
    })
  )

  itKvm(
    "flags, and upper halves that do not exist, are EINVAL, and so is a list of another length, by name",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const registers = yield* Kvm.getDebugRegs(vcpu)
      for (const change of [{ flags: 1n }, { dr6: 1n << 32n }, { dr7: 1n << 40n }]) {
        yield* expectErrno(Kvm.setDebugRegs(vcpu, { ...registers, ...change }), "EINVAL")
      }
      const error = yield* expectErrno(Kvm.setDebugRegs(vcpu, { ...registers, db: [1n] }), "EINVAL")
      assert.include(error.message, "db")
      assert.deepStrictEqual(yield* Kvm.getDebugRegs(vcpu), registers)
    })
  )
})

describeKvm("Kvm.translateGva", () => {
  itKvm(
    "without paging an address is itself",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const translation = yield* Kvm.translateGva(vcpu, 0x1234n)
      assert.deepInclude(translation, { linear_address: 0x1234n, physical_address: 0x1234n, valid: 1 })
    })
  )

  itKvm(
    "with paging the page tables say where it leads, or that it leads nowhere",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeLongGuest([...hlt])
      // The second GiB of the table that maps the lowest 2 MiB to themselves: the same page, at 0x4000_0000.
      const view = new DataView(memory.mapping.buffer)
      view.setBigUint64(0x3000 - 0x1000 + 8, BigInt(0x4000 | 3), true)
      const at = (address: bigint) =>
        Effect.map(Kvm.translateGva(vcpu, address), ({ physical_address, valid }) =>
          valid === 0 ? undefined : physical_address
        )
      assert.strictEqual(yield* at(0x1_2345n), 0x1_2345n)
      assert.strictEqual(yield* at(0x4001_2345n), 0x1_2345n)
      assert.isUndefined(yield* at(0x20_0000n))
      assert.isUndefined(yield* at(0x8000_0000n))
    })
  )

  itKvm(
    "an address of more than 64 bits fails with EINVAL naming it",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const error = yield* expectErrno(Kvm.translateGva(vcpu, 1n << 64n), "EINVAL")
      assert.include(error.message, "linear_address")
    })
  )
})

describeKvm("debugging a guest that runs", () => {
  itKvm(
    "fails with EBUSY; a guest that spins can be stopped, looked at, stepped and left to itself again",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([...memoryCounter])
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Effect.forkScoped(Kvm.run(vcpu))
          assert.isTrue(yield* comesTrue(() => counted(memory) > 0))
          yield* expectErrno(Kvm.setGuestDebug(vcpu, stepping), "EBUSY")
          yield* expectErrno(Kvm.getDebugRegs(vcpu), "EBUSY")
          yield* expectErrno(Kvm.translateGva(vcpu, 0n), "EBUSY")
        })
      )
      yield* Kvm.setGuestDebug(vcpu, stepping)
      for (let step = 0; step < 10; step++) {
        const before = counted(memory)
        const { pc } = yield* expectExit(vcpu, "Debug")
        assert.include([0x1000n, 0x1004n], pc)
        if (pc === 0x1004n) assert.strictEqual(counted(memory), (before + 1) & 0xffff)
      }
      yield* Kvm.setGuestDebug(vcpu, off)
      const halted = counted(memory)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Effect.forkScoped(Kvm.run(vcpu))
          assert.isTrue(yield* comesTrue(() => counted(memory) !== halted))
        })
      )
    })
  )
})
