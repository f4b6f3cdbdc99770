/**
 * Tests of code that runs in a virtual machine of its own: copy this file, and put your guest where these are.
 *
 *     npx vitest run examples/testing/hello.test.ts
 *
 * Where there is no KVM the tests are skipped, and say why; `EFFECT_LINUX_REQUIRE_KVM=1` makes that a failure.
 */
import { assert, expect, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Kvm } from "effect-linux"
import * as Testing from "effect-linux/testing"
import { describeKvm, itVm } from "effect-linux/testing/vitest"
import "effect-linux/testing/matchers"

const text = new TextEncoder().encode("hello\n")

/** 16-bit code that writes the text, which follows it, to the serial line, and halts. */
const hello = [
  [0xbe, 0x0e, 0x10], //       mov  si, 0x100e
  [0xba, 0xf8, 0x03], //       mov  dx, 0x3f8
  [0xb1, text.length], //      mov  cl, length
  [0xac], //             next: lodsb
  [0xee], //                   out  dx, al
  [0xe2, 0xfc], //             loop next
  [0xf4], //                   hlt
  [0x90], //                   nop, up to 0x100e
  [...text]
].flat()

describeKvm("a guest", () => {
  // Each of these has a machine of its own, which ends with the test.
  itVm("says hello", { code: hello }, () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Testing.serialOutput(yield* Kvm.Vcpu), "hello\n")
    })
  )

  itVm("stops at its first letter", { code: hello }, () =>
    Effect.gen(function* () {
      const vcpu = yield* Kvm.Vcpu
      const exit = yield* Kvm.run(vcpu)
      Testing.expectExit(exit, "Io", { direction: "out", port: 0x3f8, data: [0x68] })
      yield* Testing.expectRegs(vcpu, { rcx: 6n, rsi: 0x100fn })

      // The same with Vitest's expect.
      expect(exit).toBeExit("Io", { port: 0x3f8 })
      expect(yield* Kvm.getRegs(vcpu)).toHaveRegs({ rcx: 6n })
    })
  )

  // 64-bit code, its page tables and all: not rax; mov [rbx], rax; hlt
  const code = [0x48, 0xf7, 0xd0, 0x48, 0x89, 0x03, 0xf4]
  itVm("computes in 64 bits", { mode: "long", code, regs: { rax: 0xffn, rbx: 0x2000n } }, () =>
    Effect.gen(function* () {
      yield* Testing.runToExit(yield* Kvm.Vcpu, "Hlt")
      const memory = Kvm.guestMemory(yield* Kvm.Vm)
      assert.strictEqual(yield* Kvm.readU64(memory, 0x2000), 0xffff_ffff_ffff_ff00n)
    })
  )

  // These share one, as @effect/vitest's layers do.
  layer(Testing.vm({ memory: 0x1_0000 }))("one machine", (it) => {
    it.effect("has memory", () =>
      Effect.gen(function* () {
        yield* Kvm.writeU32(Kvm.guestMemory(yield* Kvm.Vm), 0x8000, 42)
      })
    )

    it.effect("keeps it from test to test", () =>
      Effect.gen(function* () {
        yield* Testing.expectMemory(Kvm.guestMemory(yield* Kvm.Vm), 0x8000, [42, 0, 0, 0])
      })
    )
  })
})
