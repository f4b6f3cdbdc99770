/** Exits that a real guest provokes, and how they are answered. Fabricated ones: `Kvm.fabricated.test.ts`. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Schema, Scope } from "effect"
import { File, Ioctl, Kvm, Struct, Syscall } from "../src/index.ts"
import {
  answeringRuns,
  asm,
  codeAddress,
  comesTrue,
  counted,
  enterLongMode,
  enterRealMode,
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

  for (const { code, width } of [
    { width: 2, code: asm("rep outsw", 0xf3, 0x6f) },
    { width: 4, code: asm("rep outsd", 0xf3, 0x66, 0x6f) }
  ]) {
    itKvm(
      `rep outs of ${width} bytes carries every value, in one exit or in several`,
      Effect.gen(function* () {
        const { memory, vcpu } = yield* makeGuest([...code, ...hlt], { rcx: 3n, rdx: 0x60n, rsi: 0x1800n })
        const bytes = Uint8Array.from({ length: 3 * width }, (_, index) => index + 1)
        memory.bytes.set(bytes, 0x800)
        const written: Array<number> = []
        for (const exit of yield* runToHlt(vcpu)) {
          if (exit._tag !== "Io") continue
          assert.deepStrictEqual([exit.size, exit.data.length], [width, width * exit.count])
          written.push(...exit.data)
        }
        assert.deepStrictEqual(written, [...bytes])
      })
    )
  }

  itKvm(
    "rep insd of more than the page holds at once is answered exit by exit",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([...asm("rep insd", 0xf3, 0x66, 0x6d), ...hlt], {
        rcx: 0x400n, // 4 KiB
        rdx: 0x60n,
        rdi: 0x2000n
      })
      let next = 0
      while (true) {
        const exit = yield* Kvm.run(vcpu)
        if (exit._tag === "Hlt") break
        if (exit._tag !== "Io" || exit.direction !== "in") return assert.fail(`expected Io in, got ${exit._tag}`)
        assert.strictEqual(exit.data.length, 4 * exit.count)
        const values = Uint32Array.from({ length: exit.count }, () => next++)
        yield* exit.respond(exit.count === 1 ? (values[0] ?? 0) : new Uint8Array(values.buffer))
      }
      assert.strictEqual(next, 0x400)
      const read = new Uint32Array(memory.bytes.slice(0x1000, 0x2000).buffer)
      assert.deepStrictEqual(
        read,
        Uint32Array.from({ length: 0x400 }, (_, index) => index)
      )
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

const kvm_enable_cap = Struct.make("kvm_enable_cap", {
  cap: Struct.u32,
  flags: Struct.u32,
  args: Struct.array(Struct.u64, 4),
  pad: Struct.padding(64)
})
const KVM_ENABLE_CAP = Ioctl.write(Kvm.KvmVm, Ioctl._IOW(0xae, 0xa3, kvm_enable_cap), kvm_enable_cap, {
  name: "KVM_ENABLE_CAP"
})

/** By requests that a user declares: layer 2 suffices. */
const enable = (vm: Kvm.Vm, cap: number, arg: number) =>
  File.ioctl(vm.file, KVM_ENABLE_CAP, { cap, flags: 0, args: [BigInt(arg), 0n, 0n, 0n] })

const KVM_CREATE_IRQCHIP = Ioctl.none(Kvm.KvmVm, Ioctl._IO(0xae, 0x60), { name: "KVM_CREATE_IRQCHIP" })

/** The exits of a guest up to the first of a kind, which is the last of them. */
const runTo = <Tag extends Kvm.Exit["_tag"]>(vcpu: Kvm.Vcpu, tag: Tag) =>
  Effect.gen(function* () {
    for (let count = 0; count < 1000; count++) {
      const exit = yield* Kvm.run(vcpu)
      if (Kvm.Exit.$is(tag)(exit)) return exit
      if (exit._tag === "InternalError" || exit._tag === "Shutdown") break
    }
    return yield* Effect.die(new Error(`the guest does not stop with ${tag}`))
  })

/** Where a guest in real mode has its interrupt table, and a handler for one vector, which tells 0x99 and halts. */
const faultHandler = (memory: Kvm.GuestMemory, vcpu: Kvm.Vcpu, vector: number, code: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    yield* Kvm.modifySregs(vcpu, ({ idt }) => ({ idt: { ...idt, base: 0x3000n, limit: 0x3ff } }))
    memory.bytes.set([0x00, 0x11, 0x00, 0x00], 0x3000 - codeAddress + 4 * vector) // 0:0x1100
    memory.bytes.set(code, 0x1100 - codeAddress)
  })

const tellAndHalt = [...asm("mov al, 0x99", 0xb0, 0x99), ...asm("out 0x10, al", 0xe6, 0x10), ...hlt]

describeKvm("Kvm exits: RdMsr and WrMsr", () => {
  const unknown = 0x1234_5678

  const reading = (regs: Partial<Kvm.kvm_regs> = {}) =>
    Effect.tap(
      makeGuest([...asm("rdmsr", 0x0f, 0x32), ...hlt], { rcx: BigInt(unknown), rax: 1n, rdx: 2n, ...regs }),
      ({ vm }) => enable(vm, Kvm.KVM_CAP_X86_USER_SPACE_MSR, Kvm.KVM_MSR_EXIT_REASON_UNKNOWN)
    )

  itKvm(
    "a read of a register that KVM does not know is answered, and the guest reads the answer",
    Effect.gen(function* () {
      const { vcpu } = yield* reading()
      const exit = yield* expectExit(vcpu, "RdMsr")
      assert.deepStrictEqual([exit.index, exit.reason], [unknown, Kvm.KVM_MSR_EXIT_REASON_UNKNOWN])
      yield* expectErrno(exit.respond(-1), "EINVAL")
      yield* expectErrno(exit.respond(1n << 64n), "EINVAL")
      yield* exit.respond(value)
      yield* expectExit(vcpu, "Hlt")
      const { rax, rdx } = yield* Kvm.getRegs(vcpu)
      assert.deepStrictEqual([rax, rdx], [value & 0xffff_ffffn, value >> 32n])
      yield* expectErrno(exit.respond(0), "EINVAL")
      yield* expectErrno(exit.fail, "EINVAL")
    })
  )

  itKvm(
    "a read without an answer gives 0",
    Effect.gen(function* () {
      const { vcpu } = yield* reading()
      yield* expectExit(vcpu, "RdMsr")
      yield* expectExit(vcpu, "Hlt")
      const { rax, rdx } = yield* Kvm.getRegs(vcpu)
      assert.deepStrictEqual([rax, rdx], [0n, 0n])
    })
  )

  itKvm(
    "a read that fails is a general protection fault, unless it is answered after all",
    Effect.gen(function* () {
      const failing = yield* reading()
      yield* faultHandler(failing.memory, failing.vcpu, 13, tellAndHalt)
      const exit = yield* expectExit(failing.vcpu, "RdMsr")
      yield* exit.respond(7)
      yield* exit.fail
      assert.deepStrictEqual([...(yield* expectExit(failing.vcpu, "Io")).data], [0x99])

      const answered = yield* reading()
      const second = yield* expectExit(answered.vcpu, "RdMsr")
      yield* second.fail
      yield* second.respond(7)
      yield* expectExit(answered.vcpu, "Hlt")
      assert.strictEqual((yield* Kvm.getRegs(answered.vcpu)).rax, 7n)
    })
  )

  itKvm(
    "a write carries the data; without an answer it is done, and failed it is a general protection fault",
    Effect.gen(function* () {
      const guest = Effect.tap(
        makeGuest([...asm("wrmsr", 0x0f, 0x30), ...hlt], {
          rcx: BigInt(unknown),
          rax: 0x5566_7788n,
          rdx: 0x1122_3344n
        }),
        ({ vm }) => enable(vm, Kvm.KVM_CAP_X86_USER_SPACE_MSR, Kvm.KVM_MSR_EXIT_REASON_UNKNOWN)
      )
      const done = yield* guest
      const exit = yield* expectExit(done.vcpu, "WrMsr")
      assert.deepStrictEqual(
        [exit.index, exit.data, exit.reason],
        [unknown, 0x1122_3344_5566_7788n, Kvm.KVM_MSR_EXIT_REASON_UNKNOWN]
      )
      yield* expectExit(done.vcpu, "Hlt")

      const failing = yield* guest
      yield* faultHandler(failing.memory, failing.vcpu, 13, tellAndHalt)
      const second = yield* expectExit(failing.vcpu, "WrMsr")
      yield* second.fail
      assert.deepStrictEqual([...(yield* expectExit(failing.vcpu, "Io")).data], [0x99])
    })
  )

  itKvm(
    "a register that a filter denies is told with that reason",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...asm("rdmsr", 0x0f, 0x32), ...hlt], { rcx: 0x277n })
      yield* enable(vm, Kvm.KVM_CAP_X86_USER_SPACE_MSR, Kvm.KVM_MSR_EXIT_REASON_FILTER)
      // All denied but the register 0: struct kvm_msr_filter with one range, whose bitmap is one byte.
      const bitmap = new Uint8Array(64)
      bitmap[0] = 1
      const filter = new DataView(new ArrayBuffer(8 + 16 * 24))
      filter.setUint32(0, 1, true) // KVM_MSR_FILTER_DEFAULT_DENY
      filter.setUint32(8, 3, true) // reads and writes
      filter.setUint32(12, 1, true)
      filter.setBigUint64(24, Syscall.addressOf(bitmap), true)
      const KVM_X86_SET_MSR_FILTER = Ioctl.make(Kvm.KvmVm, Ioctl._IOW(0xae, 0xc6, filter.byteLength), {
        encode: (bytes: Uint8Array) => bytes,
        decode: (result) => result
      })
      yield* File.ioctl(vm.file, KVM_X86_SET_MSR_FILTER, new Uint8Array(filter.buffer))
      const exit = yield* expectExit(vcpu, "RdMsr")
      assert.deepStrictEqual([exit.index, exit.reason], [0x277, Kvm.KVM_MSR_EXIT_REASON_FILTER])
      assert.strictEqual(bitmap[0], 1)
    })
  )
})

describeKvm("Kvm exits: the others that a guest provokes", () => {
  itKvm(
    "a full ring of dirty pages is DirtyRingFull, and stays so until it is emptied",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const ringBytes = 4096 // 256 entries
      yield* enable(vm, Kvm.KVM_CAP_DIRTY_LOG_RING_ACQ_REL, ringBytes)
      const memory = yield* Kvm.addMemory(vm, { slot: 0, guestAddress: codeAddress, size: 0x4000 })
      yield* Kvm.addMemory(vm, { slot: 1, guestAddress: 0x100000, size: 0x100000, logDirtyPages: true })
      memory.bytes.set([
        ...asm("next: inc byte [rdi]", 0xfe, 0x07),
        ...asm("      out 0x10, al", 0xe6, 0x10), // the ring is only looked at between exits
        ...asm("      add rdi, 4096", 0x48, 0x81, 0xc7, 0, 0x10, 0, 0),
        ...asm("      dec ecx", 0xff, 0xc9),
        ...asm("      jnz next", 0x75, 0xf1),
        ...hlt
      ])
      const vcpu = yield* Kvm.createVcpu(vm, 0)
      yield* enterLongMode(vcpu, memory, { rdi: 0x100000n, rcx: 256n })
      assert.deepStrictEqual(yield* runTo(vcpu, "DirtyRingFull"), { _tag: "DirtyRingFull" })
      assert.deepStrictEqual(yield* Kvm.run(vcpu), { _tag: "DirtyRingFull" })
      const ring = yield* File.mmap(vcpu.file, { length: ringBytes, offset: 64 * 4096, shared: true })
      const flags = new DataView(ring.buffer)
      let collected = 0
      // Each entry: flags (1: dirty, 2: to be reset), slot, offset.
      for (; collected < 256 && flags.getUint32(16 * collected, true) === 1; collected++) {
        flags.setUint32(16 * collected, 2, true)
      }
      assert.isAbove(collected, 100)
      const KVM_RESET_DIRTY_RINGS = Ioctl.none(Kvm.KvmVm, Ioctl._IO(0xae, 0xc7), { name: "KVM_RESET_DIRTY_RINGS" })
      assert.strictEqual(yield* File.ioctl(vm.file, KVM_RESET_DIRTY_RINGS), collected)
      yield* runTo(vcpu, "Hlt").pipe(Effect.timeout("30 seconds"))
    })
  )

  itKvm(
    "a guest that can take an interrupt is IrqWindowOpen, where the run page asks for it",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...asm("sti", 0xfb), ...asm("nop", 0x90), ...spin])
      yield* Kvm.requestInterruptWindow(vcpu, true)
      assert.deepStrictEqual(yield* Kvm.run(vcpu), { _tag: "IrqWindowOpen" })
      const { flags, ifFlag, readyForInterruptInjection } = yield* Kvm.getRunState(vcpu)
      assert.deepStrictEqual([ifFlag, readyForInterruptInjection, flags], [true, true, 0])
      assert.strictEqual((yield* Kvm.getRegs(vcpu)).rflags & 0x200n, 0x200n)
      yield* Kvm.requestInterruptWindow(vcpu, false)
      assert.isTrue(Option.isNone(yield* Kvm.run(vcpu).pipe(Effect.timeoutOption("50 millis"))))
    })
  )

  itKvm(
    "an access to the task priority register is TprAccess, where that is asked for",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      yield* File.ioctl(vm.file, KVM_CREATE_IRQCHIP)
      const memory = yield* Kvm.addMemory(vm, { slot: 0, guestAddress: codeAddress, size: 0x4000 })
      memory.bytes.set([
        ...asm("mov dword [es:0x80], 0x20", 0x66, 0x26, 0xc7, 0x06, 0x80, 0x00, 0x20, 0, 0, 0),
        ...asm("out 0x10, al", 0xe6, 0x10),
        ...spin
      ])
      const vcpu = yield* Kvm.createVcpu(vm, 0)
      yield* enterRealMode(vcpu)
      yield* Kvm.modifySregs(vcpu, ({ es }) => ({ es: { ...es, base: 0xfee0_0000n, limit: 0xfff } }))
      const kvm_tpr_access_ctl = Struct.make("kvm_tpr_access_ctl", {
        enabled: Struct.u32,
        flags: Struct.u32,
        reserved: Struct.padding(32)
      })
      const code = Ioctl._IOWR(0xae, 0x92, kvm_tpr_access_ctl)
      const KVM_TPR_ACCESS_REPORTING = Ioctl.writeRead(Kvm.KvmVcpu, code, kvm_tpr_access_ctl)
      yield* File.ioctl(vcpu.file, KVM_TPR_ACCESS_REPORTING, { enabled: 1, flags: 0 })
      const exit = yield* runTo(vcpu, "TprAccess").pipe(Effect.timeout("30 seconds"))
      assert.isTrue(exit.isWrite)
    })
  )

  itKvm(
    "the end of a level-triggered interrupt is IoapicEoi, with a split interrupt controller",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      yield* enable(vm, Kvm.KVM_CAP_SPLIT_IRQCHIP, 24)
      const memory = yield* Kvm.addMemory(vm, { slot: 0, guestAddress: codeAddress, size: 0x4000 })
      memory.bytes.set([
        ...asm("mov dword [es:0xf0], 0x1ff", 0x66, 0x26, 0xc7, 0x06, 0xf0, 0x00, 0xff, 0x01, 0, 0), // enable
        ...asm("out 0x20, al", 0xe6, 0x20),
        ...asm("sti", 0xfb),
        ...spin
      ])
      const vcpu = yield* Kvm.createVcpu(vm, 0)
      yield* enterRealMode(vcpu)
      yield* Kvm.modifySregs(vcpu, ({ es }) => ({ es: { ...es, base: 0xfee0_0000n, limit: 0xfff } }))
      yield* faultHandler(memory, vcpu, 0x30, [
        ...asm("mov dword [es:0xb0], 0", 0x66, 0x26, 0xc7, 0x06, 0xb0, 0x00, 0, 0, 0, 0), // end of interrupt
        ...tellAndHalt
      ])
      // One route: the pin 0 is the message of vector 0x30, level-triggered. struct kvm_irq_routing and its entry.
      const routing = new DataView(new ArrayBuffer(8 + 48))
      routing.setUint32(0, 1, true)
      routing.setUint32(8 + 4, 2, true) // KVM_IRQ_ROUTING_MSI
      routing.setUint32(8 + 16, 0xfee0_0000, true)
      routing.setUint32(8 + 24, 0xc030, true)
      const KVM_SET_GSI_ROUTING = Ioctl.make(Kvm.KvmVm, Ioctl._IOW(0xae, 0x6a, 8), {
        encode: (bytes: Uint8Array) => bytes,
        decode: (result) => result
      })
      yield* File.ioctl(vm.file, KVM_SET_GSI_ROUTING, new Uint8Array(routing.buffer))
      const enabled = yield* expectExit(vcpu, "Io")
      assert.strictEqual(enabled.port, 0x20)
      const message = new DataView(new ArrayBuffer(32))
      message.setUint32(0, 0xfee0_0000, true)
      message.setUint32(8, 0xc030, true)
      const KVM_SIGNAL_MSI = Ioctl.make(Kvm.KvmVm, Ioctl._IOW(0xae, 0xa5, 32), {
        encode: (bytes: Uint8Array) => bytes,
        decode: (result) => result
      })
      yield* File.ioctl(vm.file, KVM_SIGNAL_MSI, new Uint8Array(message.buffer))
      const exit = yield* runTo(vcpu, "IoapicEoi").pipe(Effect.timeout("30 seconds"))
      assert.deepStrictEqual(exit, { _tag: "IoapicEoi", vector: 0x30 })
    })
  )

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
    "an instruction that KVM cannot emulate is InternalError with the instruction, or is run",
    Effect.gen(function* () {
      const code = asm("xrstor [0x4000]", 0x0f, 0xae, 0x2c, 0x25, 0, 0x40, 0, 0)
      const { vcpu } = yield* makeLongGuest([...code, ...hlt])
      const exit = yield* Kvm.run(vcpu)
      if (exit._tag !== "InternalError") return // hardware that runs it itself
      assert.strictEqual(exit.suberror, Kvm.KVM_INTERNAL_ERROR_EMULATION)
      const { flags, insnBytes } = exit.emulation ?? assert.fail("expected to be told of the failure")
      assert.strictEqual(flags, 1n)
      assert.deepStrictEqual([...(insnBytes ?? [])].slice(0, code.length), [...code])
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
    "a hardware breakpoint is Debug, at its address, before the instruction",
    Effect.gen(function* () {
      const kvm_guest_debug = Struct.make("kvm_guest_debug", {
        control: Struct.u32,
        pad: Struct.u32,
        debugreg: Struct.array(Struct.u64, 8)
      })
      const KVM_SET_GUEST_DEBUG = Ioctl.write(Kvm.KvmVcpu, Ioctl._IOW(0xae, 0x9b, kvm_guest_debug), kvm_guest_debug)
      const { vcpu } = yield* makeLongGuest([...asm("nop", 0x90), ...asm("inc eax", 0xff, 0xc0), ...hlt])
      yield* File.ioctl(vcpu.file, KVM_SET_GUEST_DEBUG, {
        control: Kvm.KVM_GUESTDBG_ENABLE | Kvm.KVM_GUESTDBG_USE_HW_BP,
        pad: 0,
        // The breakpoint 0, for execution.
        debugreg: [BigInt(codeAddress + 1), 0n, 0n, 0n, 0n, 0n, 0n, 0x402n]
      })
      const exit = yield* expectExit(vcpu, "Debug")
      assert.deepStrictEqual([exit.pc, exit.exception, exit.dr6 & 0xfn], [BigInt(codeAddress + 1), 1, 1n])
      assert.strictEqual((yield* Kvm.getRegs(vcpu)).rax, 0n)
      yield* File.ioctl(vcpu.file, KVM_SET_GUEST_DEBUG, { control: 0, pad: 0, debugreg: new Array<bigint>(8).fill(0n) })
      yield* expectExit(vcpu, "Hlt")
      assert.strictEqual((yield* Kvm.getRegs(vcpu)).rax, 1n)
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
