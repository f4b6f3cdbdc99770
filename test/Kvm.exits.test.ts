/** Exits that a real guest provokes, and how they are answered. Fabricated ones: `Kvm.fabricated.test.ts`. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schema, Scope } from "effect"
import { File, Ioctl, Kvm, Struct, Syscall } from "../src/index.ts"
import {
  answeringRuns,
  asm,
  codeAddress,
  comesTrue,
  counted,
  expectErrno,
  expectExit,
  hlt,
  itKvm,
  makeGuest,
  makeLongGuest,
  memoryCounter,
  runToHlt,
  spin,
  userThreadIds
} from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"

const value = 0x8877_6655_4433_2211n
const bytesOfValue = Uint8Array.of(0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88)

/** The value as a width of bytes holds it. */
const cut = (bits: bigint, width: number): bigint => BigInt.asUintN(8 * width, bits)

const outs = [
  { width: 1, code: asm("out dx, al", 0xee) },
  { width: 2, code: asm("out dx, ax", 0xef) },
  { width: 4, code: asm("out dx, eax", 0x66, 0xef) }
]

const ins = [
  { width: 1, code: asm("in al, dx", 0xec) },
  { width: 2, code: asm("in ax, dx", 0xed) },
  { width: 4, code: asm("in eax, dx", 0x66, 0xed) }
]

// 64-bit mode, so that all four widths have an instruction. There is no memory at 0x10000.
const stores = [
  { width: 1, code: asm("mov [0x10000], al", 0x88, 0x04, 0x25, 0, 0, 1, 0) },
  { width: 2, code: asm("mov [0x10000], ax", 0x66, 0x89, 0x04, 0x25, 0, 0, 1, 0) },
  { width: 4, code: asm("mov [0x10000], eax", 0x89, 0x04, 0x25, 0, 0, 1, 0) },
  { width: 8, code: asm("mov [0x10000], rax", 0x48, 0x89, 0x04, 0x25, 0, 0, 1, 0) }
]

const loads = [
  { width: 1, code: asm("mov al, [0x10000]", 0x8a, 0x04, 0x25, 0, 0, 1, 0) },
  { width: 2, code: asm("mov ax, [0x10000]", 0x66, 0x8b, 0x04, 0x25, 0, 0, 1, 0) },
  { width: 4, code: asm("mov eax, [0x10000]", 0x8b, 0x04, 0x25, 0, 0, 1, 0) },
  { width: 8, code: asm("mov rax, [0x10000]", 0x48, 0x8b, 0x04, 0x25, 0, 0, 1, 0) }
]

describeKvm("Kvm exits: Io", () => {
  for (const { code, width } of outs) {
    itKvm(
      `out of ${width} bytes carries the port and the data`,
      Effect.gen(function* () {
        const { vcpu } = yield* makeGuest([...code, ...hlt], { rax: value, rdx: 0xabcdn })
        assert.deepStrictEqual(yield* runToHlt(vcpu), [
          {
            _tag: "Io",
            direction: "out",
            port: 0xabcd,
            size: width,
            count: 1,
            data: bytesOfValue.slice(0, width)
          },
          { _tag: "Hlt" }
        ])
      })
    )
  }

  for (const { code, width } of ins) {
    for (const [kind, answer] of [
      ["a bigint", cut(value, width)],
      ["a number", Number(cut(value, width))],
      ["bytes", bytesOfValue.slice(0, width)]
    ] as const) {
      itKvm(
        `in of ${width} bytes is answered with ${kind}, which the guest reads`,
        Effect.gen(function* () {
          const { vcpu } = yield* makeGuest([...code, ...hlt], { rax: 0xffff_ffff_ffff_ffffn, rdx: 0x60n })
          const exit = yield* expectExit(vcpu, "Io")
          if (exit.direction !== "in") return assert.fail("expected the guest to read the port")
          assert.deepStrictEqual(
            { port: exit.port, size: exit.size, count: exit.count, data: exit.data },
            { port: 0x60, size: width, count: 1, data: new Uint8Array(width) }
          )
          yield* exit.respond(answer)
          yield* expectExit(vcpu, "Hlt")
          assert.strictEqual(cut((yield* Kvm.getRegs(vcpu)).rax, width), cut(value, width))
        })
      )
    }
  }

  itKvm(
    "rep insb is one exit with a count, answered with that many bytes",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([...asm("rep insb", 0xf3, 0x6c), ...hlt], {
        rcx: 5n,
        rdx: 0x60n,
        rdi: 0x1800n
      })
      const exit = yield* expectExit(vcpu, "Io")
      if (exit.direction !== "in") return assert.fail("expected the guest to read the port")
      assert.deepStrictEqual([exit.size, exit.count, exit.data.length], [1, 5, 5])
      yield* expectErrno(exit.respond(7), "EINVAL")
      yield* expectErrno(exit.respond(Uint8Array.of(1, 2, 3, 4)), "EINVAL")
      yield* exit.respond(Uint8Array.of(1, 2, 3, 4, 5))
      yield* expectExit(vcpu, "Hlt")
      assert.deepStrictEqual([...memory.bytes.slice(0x800, 0x806)], [1, 2, 3, 4, 5, 0])
    })
  )

  itKvm(
    "rep insw answers words, size times count bytes in all",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([...asm("rep insw", 0xf3, 0x6d), ...hlt], {
        rcx: 3n,
        rdx: 0x60n,
        rdi: 0x1800n
      })
      const exit = yield* expectExit(vcpu, "Io")
      if (exit.direction !== "in") return assert.fail("expected the guest to read the port")
      assert.deepStrictEqual([exit.size, exit.count, exit.data.length], [2, 3, 6])
      yield* expectErrno(exit.respond(Uint8Array.of(1, 2, 3)), "EINVAL")
      yield* exit.respond(Uint8Array.of(1, 2, 3, 4, 5, 6))
      yield* expectExit(vcpu, "Hlt")
      assert.deepStrictEqual([...memory.bytes.slice(0x800, 0x807)], [1, 2, 3, 4, 5, 6, 0])
    })
  )

  itKvm(
    "rep outsb carries every byte, in one exit or in several",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([...asm("rep outsb", 0xf3, 0x6e), ...hlt], {
        rcx: 5n,
        rdx: 0x60n,
        rsi: 0x1800n
      })
      memory.bytes.set([5, 4, 3, 2, 1], 0x800)
      const written: Array<number> = []
      for (const exit of yield* runToHlt(vcpu)) {
        if (exit._tag !== "Io") continue
        assert.strictEqual(exit.data.length, exit.size * exit.count)
        written.push(...exit.data)
      }
      assert.deepStrictEqual(written, [5, 4, 3, 2, 1])
    })
  )

  itKvm(
    "what the guest wrote is a copy that a later run does not change",
    Effect.gen(function* () {
      const out = outs[0]?.code ?? []
      const { vcpu } = yield* makeGuest([...out, ...asm("inc ax", 0x40), ...out, ...hlt], { rax: 7n })
      const first = yield* expectExit(vcpu, "Io")
      const second = yield* expectExit(vcpu, "Io")
      assert.deepStrictEqual([[...first.data], [...second.data]], [[7], [8]])
    })
  )

  it.live.prop(
    "any answer of 32 bits reaches the guest, and what the guest writes reaches the host",
    { answer: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0xffff_ffff })) },
    ({ answer }) =>
      Effect.gen(function* () {
        const { vcpu } = yield* makeGuest([
          ...asm("in  eax, 0x60", 0x66, 0xe5, 0x60),
          ...asm("out 0x61, eax", 0x66, 0xe7, 0x61)
        ])
        const question = yield* expectExit(vcpu, "Io")
        if (question.direction !== "in") return assert.fail("expected the guest to read the port")
        yield* question.respond(answer)
        const { data } = yield* expectExit(vcpu, "Io")
        assert.strictEqual(new DataView(data.buffer).getUint32(data.byteOffset, true), answer)
      }).pipe(Effect.scoped, Effect.provide(Kvm.layer))
  )
})

describeKvm("Kvm exits: Mmio", () => {
  for (const { code, width } of stores) {
    itKvm(
      `a write of ${width} bytes carries the address and the data`,
      Effect.gen(function* () {
        const { vcpu } = yield* makeLongGuest([...code, ...hlt], { rax: value })
        assert.deepStrictEqual(yield* runToHlt(vcpu), [
          { _tag: "Mmio", isWrite: true, address: 0x10000n, data: bytesOfValue.slice(0, width) },
          { _tag: "Hlt" }
        ])
      })
    )
  }

  for (const { code, width } of loads) {
    itKvm(
      `a read of ${width} bytes is answered, and the guest reads the answer`,
      Effect.gen(function* () {
        const { vcpu } = yield* makeLongGuest([...code, ...hlt])
        const exit = yield* expectExit(vcpu, "Mmio")
        if (exit.isWrite) return assert.fail("expected the guest to read")
        assert.deepStrictEqual([exit.address, exit.data], [0x10000n, new Uint8Array(width)])
        yield* exit.respond(cut(value, width))
        yield* expectExit(vcpu, "Hlt")
        assert.strictEqual(cut((yield* Kvm.getRegs(vcpu)).rax, width), cut(value, width))
      })
    )
  }

  itKvm(
    "a read is answered with bytes too, of exactly its width",
    Effect.gen(function* () {
      const { vcpu } = yield* makeLongGuest([...(loads[3]?.code ?? []), ...hlt])
      const exit = yield* expectExit(vcpu, "Mmio")
      if (exit.isWrite) return assert.fail("expected the guest to read")
      yield* expectErrno(exit.respond(bytesOfValue.slice(0, 7)), "EINVAL")
      yield* expectErrno(exit.respond(new Uint8Array(9)), "EINVAL")
      yield* exit.respond(bytesOfValue)
      yield* expectExit(vcpu, "Hlt")
      assert.strictEqual((yield* Kvm.getRegs(vcpu)).rax, value)
    })
  )
})

describeKvm("Kvm exits: answers that are none", () => {
  const reading = makeGuest([...asm("in al, 0x60", 0xe4, 0x60), ...asm("in al, 0x60", 0xe4, 0x60), ...hlt])

  const question = (vcpu: Kvm.Vcpu) =>
    Effect.flatMap(expectExit(vcpu, "Io"), (exit) =>
      exit.direction === "in" ? Effect.succeed(exit) : Effect.die(new Error("expected the guest to read the port"))
    )

  itKvm(
    "a value that does not fit the width fails with EINVAL, and the guest reads none of it",
    Effect.gen(function* () {
      const { vcpu } = yield* reading
      const exit = yield* question(vcpu)
      for (const wrong of [256, -1, 0.5, Number.NaN, 2 ** 53, 256n, -1n, 1n << 64n, new Uint8Array(0)]) {
        yield* expectErrno(exit.respond(wrong), "EINVAL")
      }
      const error = yield* expectErrno(exit.respond(256), "EINVAL")
      assert.include(error.message, "256 does not fit in 1 bytes")
      yield* exit.respond(0x5a)
      yield* question(vcpu)
      assert.strictEqual((yield* Kvm.getRegs(vcpu)).rax & 0xffn, 0x5an)
    })
  )

  itKvm(
    "the last answer before the next run counts",
    Effect.gen(function* () {
      const { vcpu } = yield* reading
      const exit = yield* question(vcpu)
      yield* exit.respond(1)
      yield* exit.respond(2)
      yield* question(vcpu)
      assert.strictEqual((yield* Kvm.getRegs(vcpu)).rax & 0xffn, 2n)
    })
  )

  itKvm(
    "a value of another type is a defect",
    Effect.gen(function* () {
      const { vcpu } = yield* reading
      const exit = yield* question(vcpu)
      // @ts-expect-error a string is no answer
      const outcome = yield* Effect.exit(exit.respond("A"))
      assert.isTrue(Exit.hasDies(outcome))
    })
  )

  itKvm(
    "an exit of before another run fails with EINVAL and leaves the newer one alone",
    Effect.gen(function* () {
      const { vcpu } = yield* reading
      const stale = yield* question(vcpu)
      yield* stale.respond(1)
      const fresh = yield* question(vcpu)
      yield* fresh.respond(2)
      yield* expectErrno(stale.respond(3), "EINVAL")
      yield* expectExit(vcpu, "Hlt")
      yield* expectErrno(fresh.respond(4), "EINVAL")
      assert.strictEqual((yield* Kvm.getRegs(vcpu)).rax & 0xffn, 2n)
    })
  )

  itKvm(
    "an exit of a vCPU that is closed fails with EBADF",
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { vcpu } = yield* Scope.provide(reading, scope)
      const exit = yield* question(vcpu)
      yield* Scope.close(scope, Exit.void)
      yield* expectErrno(exit.respond(1), "EBADF")
      yield* expectErrno(Kvm.run(vcpu), "EBADF")
      yield* expectErrno(Kvm.runInline(vcpu), "EBADF")
      yield* expectErrno(Kvm.getRegs(vcpu), "EBADF")
    })
  )
})

describeKvm("Kvm exits: the others that a guest provokes", () => {
  itKvm(
    "hlt is Hlt",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      assert.deepStrictEqual(yield* Kvm.run(vcpu), { _tag: "Hlt" })
    })
  )

  itKvm(
    "runInline gives the same exits as run",
    Effect.gen(function* () {
      const code = [...asm("out 0x60, al", 0xe6, 0x60), ...asm("mov [0x8000], al", 0xa2, 0, 0x80), ...hlt]
      const inline = yield* makeGuest(code, { rax: 9n })
      const threaded = yield* makeGuest(code, { rax: 9n })
      const exits = yield* runToHlt(inline.vcpu, Kvm.runInline)
      assert.deepStrictEqual(exits, yield* runToHlt(threaded.vcpu))
      assert.deepStrictEqual(
        exits.map((exit) => exit._tag),
        ["Io", "Mmio", "Hlt"]
      )
    })
  )

  itKvm(
    "a triple fault is Shutdown",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...asm("ud2", 0x0f, 0x0b)])
      // No interrupt table: the fault cannot be delivered, nor the double fault for that.
      yield* Kvm.modifySregs(vcpu, ({ idt }) => ({ idt: { ...idt, limit: 0 } }))
      assert.deepStrictEqual(yield* Kvm.run(vcpu), { _tag: "Shutdown" })
    })
  )

  itKvm(
    "code where there is no memory is InternalError",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...asm("jmp 0xf000:0", 0xea, 0, 0, 0, 0xf0)])
      const exit = yield* expectExit(vcpu, "InternalError")
      assert.strictEqual(exit.suberror, Kvm.KVM_INTERNAL_ERROR_EMULATION)
      assert.isTrue(exit.data.every((word) => typeof word === "bigint"))
    })
  )

  itKvm(
    "single steps are Debug, by a request that a user declares: layer 2 suffices",
    Effect.gen(function* () {
      const kvm_guest_debug = Struct.make("kvm_guest_debug", {
        control: Struct.u32,
        pad: Struct.u32,
        debugreg: Struct.array(Struct.u64, 8)
      })
      const KVM_SET_GUEST_DEBUG = Ioctl.write(Kvm.KvmVcpu, Ioctl._IOW(0xae, 0x9b, kvm_guest_debug), kvm_guest_debug, {
        name: "KVM_SET_GUEST_DEBUG"
      })
      const enable = 1
      const singleStep = 2
      const { vcpu } = yield* makeGuest([...asm("inc ax", 0x40), ...asm("inc ax", 0x40), ...hlt])
      yield* File.ioctl(vcpu.file, KVM_SET_GUEST_DEBUG, {
        control: enable | singleStep,
        pad: 0,
        debugreg: [0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n]
      })
      for (const pc of [codeAddress + 1, codeAddress + 2]) {
        const exit = yield* expectExit(vcpu, "Debug")
        assert.deepStrictEqual([exit.pc, exit.exception], [BigInt(pc), 1])
        // Bit 14 of DR6: a single step.
        assert.strictEqual(exit.dr6 & 0x4000n, 0x4000n)
      }
      assert.strictEqual((yield* Kvm.getRegs(vcpu)).rax, 2n)
    })
  )

  itKvm(
    "a signal to the vCPU's thread is Intr, and the guest goes on from there",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([...memoryCounter])
      const before = new Set(userThreadIds())
      const signal = yield* Syscall.interruptSignal
      const fiber = yield* Effect.forkChild(Kvm.run(vcpu))
      assert.isTrue(yield* comesTrue(() => counted(memory) > 0))
      // The guest runs, so of the threads that are new one is the vCPU's.
      for (const thread of userThreadIds().filter((id) => !before.has(id))) {
        yield* Syscall.tgkill(process.pid, thread, signal)
      }
      assert.deepStrictEqual(yield* Fiber.join(fiber), { _tag: "Intr" })
      const sofar = counted(memory)
      yield* Effect.forkScoped(Kvm.run(vcpu))
      assert.isTrue(yield* comesTrue(() => counted(memory) !== sofar))
    })
  )

  itKvm(
    "immediate_exit, set as the guest is entered, is Intr of runInline too",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...spin])
      const exit = yield* Kvm.runInline(vcpu).pipe(
        answeringRuns((proceed) => {
          vcpu.page.bytes[Kvm.kvm_run.fields.immediate_exit.offset] = 1
          return proceed()
        })
      )
      assert.deepStrictEqual(exit, { _tag: "Intr" })
    })
  )
})
