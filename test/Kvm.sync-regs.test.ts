/** Registers that a vCPU shares through its run page. */
import { assert } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { Kvm, Syscall } from "../src/index.ts"
import {
  asm,
  codeAddress,
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

const out = asm("out 0x10, al", 0xe6, 0x10)

const all = Kvm.KVM_SYNC_X86_REGS | Kvm.KVM_SYNC_X86_SREGS | Kvm.KVM_SYNC_X86_EVENTS

/** Answers what capabilities there are in the kernel's place. */
const havingCapability = (value: number) =>
  Effect.provideService(
    Syscall.Trampoline,
    Syscall.intercept(Syscall.kernel, (nr, args, proceed) =>
      nr === Syscall.nr.ioctl && args[1] === Kvm.KVM_CHECK_EXTENSION_VM.code ? value : proceed()
    )
  )

describeKvm("Kvm.syncRegs", () => {
  itKvm(
    "gives at each exit what the requests give: general registers, special ones, events",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...asm("inc bx", 0x43), ...out, ...asm("inc cx", 0x41), ...hlt], { rax: 7n })
      yield* Kvm.setSyncValidReg(vcpu, all)
      yield* expectExit(vcpu, "Io")
      const first = yield* Kvm.syncRegs(vcpu)
      assert.deepStrictEqual(first.regs, yield* Kvm.getRegs(vcpu))
      assert.deepStrictEqual([first.regs.rax, first.regs.rbx, first.regs.rcx], [7n, 1n, 0n])
      assert.deepStrictEqual(first.sregs, yield* Kvm.getSregs(vcpu))
      yield* expectExit(vcpu, "Hlt")
      const second = yield* Kvm.syncRegs(vcpu)
      assert.deepStrictEqual(second.regs, yield* Kvm.getRegs(vcpu))
      assert.strictEqual(second.regs.rcx, 1n)
      assert.strictEqual(second.events.exception.injected, 0)
    })
  )

  itKvm(
    "is zeros before, and what it was once nothing is asked for any more",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...asm("inc bx", 0x43), ...out, ...asm("inc bx", 0x43), ...hlt])
      assert.strictEqual((yield* Kvm.syncRegs(vcpu)).regs.rip, 0n)
      yield* Kvm.setSyncValidReg(vcpu, all)
      yield* Kvm.clearSyncValidReg(vcpu, Kvm.KVM_SYNC_X86_SREGS)
      yield* expectExit(vcpu, "Io")
      const { regs, sregs } = yield* Kvm.syncRegs(vcpu)
      assert.deepStrictEqual([regs.rbx, sregs.efer, sregs.apic_base], [1n, 0n, 0n])
      yield* Kvm.clearSyncValidReg(vcpu, all)
      yield* expectExit(vcpu, "Hlt")
      assert.strictEqual((yield* Kvm.syncRegs(vcpu)).regs.rbx, 1n)
      assert.strictEqual((yield* Kvm.getRegs(vcpu)).rbx, 2n)
    })
  )

  itKvm(
    "written, is what the guest goes on with, once",
    Effect.gen(function* () {
      // Twice the same code, and data that only differs by where a register points.
      const { vcpu } = yield* makeGuest([...out, ...asm("nop", 0x90), ...out, ...hlt], { rax: 1n })
      yield* Kvm.setSyncValidReg(vcpu, Kvm.KVM_SYNC_X86_REGS)
      const first = yield* expectExit(vcpu, "Io")
      assert.deepStrictEqual([...first.data], [1])
      const { regs } = yield* Kvm.syncRegs(vcpu)
      yield* Kvm.setSyncRegs(vcpu, { regs: { ...regs, rax: 9n } })
      const second = yield* expectExit(vcpu, "Io")
      assert.deepStrictEqual([...second.data], [9])
      const dirty = Kvm.kvm_run.fields.kvm_dirty_regs
      assert.strictEqual(dirty.layout.get(new DataView(vcpu.page.buffer), dirty.offset), 0n)
      yield* expectExit(vcpu, "Hlt")
    })
  )

  itKvm(
    "takes special registers too, and those that the requests set meanwhile where it was not written",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([...out, ...asm("mov [0x700], al", 0xa2, 0, 7), ...hlt], { rax: 5n })
      yield* Kvm.setSyncValidReg(vcpu, all)
      yield* expectExit(vcpu, "Io")
      const { sregs } = yield* Kvm.syncRegs(vcpu)
      yield* Kvm.setSyncRegs(vcpu, { sregs: { ...sregs, ds: { ...sregs.ds, selector: 0x110, base: 0x1100n } } })
      yield* Kvm.modifyRegs(vcpu, () => ({ rax: 6n }))
      yield* expectExit(vcpu, "Hlt")
      assert.strictEqual(memory.bytes[0x1100 + 0x700 - codeAddress], 6)
      assert.strictEqual((yield* Kvm.getSregs(vcpu)).ds.base, 0x1100n)
    })
  )

  itKvm(
    "is taken at the next run where setSyncDirtyReg says so, and not where clearSyncDirtyReg takes that back",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...out, ...out, ...out, ...hlt], { rax: 1n })
      yield* Kvm.setSyncValidReg(vcpu, Kvm.KVM_SYNC_X86_REGS)
      const dataOf = Effect.map(expectExit(vcpu, "Io"), ({ data }) => data[0])
      assert.strictEqual(yield* dataOf, 1)
      const { regs } = yield* Kvm.syncRegs(vcpu)
      yield* Kvm.setSyncRegs(vcpu, { regs: { ...regs, rax: 2n } })
      yield* Kvm.clearSyncDirtyReg(vcpu, Kvm.KVM_SYNC_X86_REGS)
      assert.strictEqual(yield* dataOf, 1)
      const now = (yield* Kvm.syncRegs(vcpu)).regs
      yield* Kvm.setSyncRegs(vcpu, { regs: { ...now, rax: 3n } })
      yield* Kvm.clearSyncDirtyReg(vcpu, all)
      yield* Kvm.setSyncDirtyReg(vcpu, Kvm.KVM_SYNC_X86_REGS)
      assert.strictEqual(yield* dataOf, 3)
    })
  )

  itKvm(
    "refuses registers that this kernel does not share, and values that do not fit, and changes nothing then",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...out, ...hlt])
      for (const wrong of [8, -1, 0.5, Number.NaN, 1 << 20]) {
        yield* expectErrno(Kvm.setSyncValidReg(vcpu, wrong), "EINVAL")
        yield* expectErrno(Kvm.setSyncDirtyReg(vcpu, wrong), "EINVAL")
      }
      yield* Kvm.setSyncValidReg(vcpu, all)
      yield* expectExit(vcpu, "Io")
      const before = yield* Kvm.syncRegs(vcpu)
      const error = yield* expectErrno(
        Kvm.setSyncRegs(vcpu, { regs: { ...before.regs, rax: 3n, rip: 1n << 64n } }),
        "EINVAL"
      )
      assert.include(error.message, "rip")
      assert.deepStrictEqual(yield* Kvm.syncRegs(vcpu), before)
      // @ts-expect-error a number is no bigint
      const wrong = Kvm.setSyncRegs(vcpu, { regs: { ...before.regs, rax: 1 } })
      assert.isTrue(Exit.hasDies(yield* Effect.exit(wrong)))
      yield* expectExit(vcpu, "Hlt")
    })
  )

  itKvm(
    "fails with MissingCapability where the kernel shares none, and with EINVAL where it shares others",
    Effect.gen(function* () {
      const none = yield* makeGuest([...hlt])
      const missing = yield* Effect.flip(Kvm.setSyncValidReg(none.vcpu, 1).pipe(havingCapability(0)))
      if (missing._tag !== "MissingCapability") return assert.fail(`expected MissingCapability, got ${missing}`)
      assert.strictEqual(missing.capability, "KVM_CAP_SYNC_REGS")
      const some = yield* makeGuest([...hlt])
      yield* expectErrno(Kvm.setSyncValidReg(some.vcpu, 2).pipe(havingCapability(1)), "EINVAL")
    })
  )

  itKvm(
    "fails with EBUSY while the guest runs, and with EBADF once the vCPU is closed",
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { memory, vcpu } = yield* Scope.provide(makeGuest([...memoryCounter]), scope)
      const fiber = yield* Effect.forkChild(Kvm.run(vcpu))
      assert.isTrue(yield* comesTrue(() => counted(memory) > 0))
      yield* expectErrno(Kvm.syncRegs(vcpu), "EBUSY")
      yield* expectErrno(Kvm.setSyncRegs(vcpu, {}), "EBUSY")
      yield* expectErrno(Kvm.setSyncValidReg(vcpu, 1), "EBUSY")
      yield* Fiber.interrupt(fiber)
      yield* Kvm.syncRegs(vcpu)
      yield* Scope.close(scope, Exit.void)
      yield* expectErrno(Kvm.syncRegs(vcpu), "EBADF")
      yield* expectErrno(Kvm.setSyncRegs(vcpu, {}), "EBADF")
      yield* expectErrno(Kvm.clearSyncDirtyReg(vcpu, 1), "EBADF")
    })
  )
})
