/** Snapshots: a guest that goes on from one does what it would have done, wherever that is. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema } from "effect"
import { SchemaBinary } from "effect/encoding"
import { File, Kvm, MemFd, Syscall } from "../src/index.ts"
import { stateOf } from "../src/kvm/vcpu.ts"
import {
  asm,
  codeAddress,
  comesTrue,
  counted,
  counter,
  enterRealMode,
  expectErrno,
  expectExit,
  hlt,
  itKvm,
  makeGuest,
  makeLongGuest,
  memoryCounter,
  spin
} from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"
import { openFds } from "./support/process.ts"
import { program } from "./support/program.ts"

const Json = Schema.fromJsonString(Schema.toCodecJson(Kvm.Snapshot))
const Binary = SchemaBinary.toCodec(Kvm.Snapshot)

/** A random sequence that runs through memory: each number, of 64 steps, is told through port 0x10. */
const sequence = [
  ...asm("next: imul eax, eax, 1664525", 0x69, 0xc0, 0x0d, 0x66, 0x19, 0x00),
  ...asm("      add eax, 1013904223", 0x05, 0x5f, 0xf3, 0x6e, 0x3c),
  ...asm("      mov [rsi + 4 * rcx], eax", 0x89, 0x04, 0x8e),
  ...asm("      inc ecx", 0xff, 0xc1),
  ...asm("      and ecx, 0xff", 0x81, 0xe1, 0xff, 0x00, 0x00, 0x00),
  ...asm("      xor eax, [rsi + 4 * rcx]", 0x33, 0x04, 0x8e),
  ...asm("      dec ebx", 0xff, 0xcb),
  ...asm("      jnz next", 0x75, 0xe3),
  ...asm("      mov ebx, 64", 0xbb, 0x40, 0x00, 0x00, 0x00),
  ...asm("      mov dx, 0x10", 0x66, 0xba, 0x10, 0x00),
  ...asm("      out dx, eax", 0xef),
  ...asm("      jmp next", 0xeb, 0xd7)
]

const makeSequence = makeLongGuest(sequence, { rsi: 0x1800n, rbx: 64n, rax: 42n })

/** Adds xmm1 to xmm0, and tells the lowest sum through the port in dx, for ever. */
const vectors = [
  ...asm("next: paddd xmm0, xmm1", 0x66, 0x0f, 0xfe, 0xc1),
  ...asm("      movd eax, xmm0", 0x66, 0x0f, 0x7e, 0xc0),
  ...asm("      out dx, eax", 0xef),
  ...asm("      jmp next", 0xeb, 0xf5)
]

/** Sets the interrupt controllers up so that line 0 is vector 0x20, all lines masked but those of `open`. */
const initializePics = (open: number) => [
  ...asm("      cli", 0xfa),
  ...asm("      mov al, 0x11", 0xb0, 0x11),
  ...asm("      out 0x20, al", 0xe6, 0x20),
  ...asm("      mov al, 0x20", 0xb0, 0x20),
  ...asm("      out 0x21, al", 0xe6, 0x21),
  ...asm("      mov al, 0x04", 0xb0, 0x04),
  ...asm("      out 0x21, al", 0xe6, 0x21),
  ...asm("      mov al, 0x01", 0xb0, 0x01),
  ...asm("      out 0x21, al", 0xe6, 0x21),
  ...asm("      mov al, ~open", 0xb0, 0xff & ~open),
  ...asm("      out 0x21, al", 0xe6, 0x21)
]

/** Real mode: counts the ticks of the timer, each told through port 0x10, and halts between them. */
const ticker = [
  ...initializePics(1),
  ...asm("      mov word [0x80], tick", 0xc7, 0x06, 0x80, 0x00, 0x31, 0x10),
  ...asm("      mov word [0x82], 0", 0xc7, 0x06, 0x82, 0x00, 0x00, 0x00),
  ...asm("      mov al, 0x34", 0xb0, 0x34), // channel 0, both bytes, periodic
  ...asm("      out 0x43, al", 0xe6, 0x43),
  ...asm("      mov al, 0", 0xb0, 0x00),
  ...asm("      out 0x40, al", 0xe6, 0x40),
  ...asm("      mov al, 8", 0xb0, 0x08),
  ...asm("      out 0x40, al", 0xe6, 0x40), // every 2,048 / 1,193,182 Hz: 1.7 ms
  ...asm("      sti", 0xfb),
  ...asm("wait: hlt", 0xf4),
  ...asm("      jmp wait", 0xeb, 0xfd),
  ...asm("tick: inc bx", 0x43),
  ...asm("      mov ax, bx", 0x89, 0xd8),
  ...asm("      mov dx, 0x10", 0xba, 0x10, 0x00),
  ...asm("      out dx, ax", 0xef),
  ...asm("      mov al, 0x20", 0xb0, 0x20),
  ...asm("      out 0x20, al", 0xe6, 0x20),
  ...asm("      iret", 0xcf)
]

/** Real mode: stops with line 1 open and interrupts off, then lets them in; tells 1 of the interrupt, 2 afterwards. */
const latecomer = [
  ...initializePics(2),
  ...asm("      mov word [0x84], irq", 0xc7, 0x06, 0x84, 0x00, 0x2a, 0x10),
  ...asm("      mov word [0x86], 0", 0xc7, 0x06, 0x86, 0x00, 0x00, 0x00),
  ...asm("      out 0x10, al", 0xe6, 0x10),
  ...asm("      sti", 0xfb),
  ...asm("      hlt", 0xf4),
  ...asm("      mov al, 2", 0xb0, 0x02),
  ...asm("      out 0x10, al", 0xe6, 0x10),
  ...hlt,
  ...asm("irq:  mov al, 1", 0xb0, 0x01),
  ...asm("      out 0x10, al", 0xe6, 0x10),
  ...asm("      mov al, 0x20", 0xb0, 0x20),
  ...asm("      out 0x20, al", 0xe6, 0x20),
  ...asm("      iret", 0xcf)
]

/** Protected mode: the same as the ticker by the timer of the local APIC. */
const apicTicker = [
  ...asm("      mov esi, 0xfee00000", 0xbe, 0x00, 0x00, 0xe0, 0xfe),
  ...asm("      mov dword [esi + 0xf0], 0x1ff", 0xc7, 0x86, 0xf0, 0x00, 0x00, 0x00, 0xff, 0x01, 0x00, 0x00),
  ...asm("      mov dword [esi + 0x3e0], 0xb", 0xc7, 0x86, 0xe0, 0x03, 0x00, 0x00, 0x0b, 0x00, 0x00, 0x00),
  ...asm("      mov dword [esi + 0x320], 0x20030", 0xc7, 0x86, 0x20, 0x03, 0x00, 0x00, 0x30, 0x00, 0x02, 0x00),
  ...asm("      mov dword [esi + 0x380], 2000000", 0xc7, 0x86, 0x80, 0x03, 0x00, 0x00, 0x80, 0x84, 0x1e, 0x00),
  ...asm("      sti", 0xfb),
  ...asm("wait: hlt", 0xf4),
  ...asm("      jmp wait", 0xeb, 0xfd),
  ...asm("tick: inc ebx", 0x43),
  ...asm("      mov eax, ebx", 0x89, 0xd8),
  ...asm("      mov dx, 0x10", 0x66, 0xba, 0x10, 0x00),
  ...asm("      out dx, eax", 0xef),
  ...asm("      mov dword [esi + 0xb0], 0", 0xc7, 0x86, 0xb0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00),
  ...asm("      add esp, 12", 0x83, 0xc4, 0x0c), // not iret, which not every KVM emulates in this mode
  ...asm("      sti", 0xfb),
  ...asm("rest: hlt", 0xf4),
  ...asm("      jmp rest", 0xeb, 0xfd)
]

/** A machine with interrupt controllers and a timer, memory from 0 on, and this code in real mode. */
const makeMachine = (code: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    const vm = yield* Kvm.createVm()
    yield* Kvm.createIrqChip(vm)
    yield* Kvm.createPit2(vm)
    const memory = yield* Kvm.addMemory(vm, { slot: 0, guestAddress: 0, size: 0x8000 })
    memory.bytes.set(code, codeAddress)
    const vcpu = yield* Kvm.createVcpu(vm, 0)
    yield* enterRealMode(vcpu)
    return { vm, memory, vcpu }
  })

/** Flat segments and a table of interrupts with one, 0x30, whose handler is at an address. */
const enterProtectedMode = (vcpu: Kvm.Vcpu, memory: Kvm.GuestMemory, handler: number) =>
  Effect.gen(function* () {
    const view = new DataView(memory.bytes.buffer, memory.bytes.byteOffset)
    const gdt = 0x2000
    const idt = 0x3000
    view.setBigUint64(gdt + 8, 0x00cf9a000000ffffn, true)
    view.setBigUint64(gdt + 16, 0x00cf92000000ffffn, true)
    view.setUint16(idt + 8 * 0x30, handler, true)
    view.setUint32(idt + 8 * 0x30 + 2, 0x8e000008 & 0xffff, true)
    view.setUint16(idt + 8 * 0x30 + 4, 0x8e00, true)
    view.setUint16(idt + 8 * 0x30 + 2, 8, true)
    yield* Kvm.modifySregs(vcpu, (sregs) => {
      const data = { ...sregs.ds, base: 0n, limit: 0xffffffff, selector: 16, type: 3, present: 1, s: 1, db: 1, g: 1 }
      return {
        cr0: 0x11n,
        gdt: { base: BigInt(gdt), limit: 23 },
        idt: { base: BigInt(idt), limit: 8 * 0x31 - 1 },
        cs: { ...data, selector: 8, type: 11 },
        ds: data,
        es: data,
        fs: data,
        gs: data,
        ss: data
      }
    })
    yield* Kvm.modifyRegs(vcpu, () => ({ rip: BigInt(codeAddress), rflags: 2n, rsp: 0x7000n }))
  })

const numberOf = (data: Uint8Array): number => data.reduceRight((value, byte) => value * 256 + byte, 0)

/** What a guest tells in its next exits, which must all be outputs. */
const outputs = (vcpu: Kvm.Vcpu, count: number) =>
  Effect.gen(function* () {
    const values: Array<number> = []
    while (values.length < count) values.push(numberOf((yield* expectExit(vcpu, "Io")).data))
    return values
  })

const only = <A>([first]: ReadonlyArray<A>): A => {
  if (first === undefined) throw new Error("expected one, there is none")
  return first
}

/** The vCPU of a machine of one. */
const restored = (snapshot: Kvm.Snapshot, make: typeof Kvm.restore = Kvm.restore) =>
  Effect.map(make(snapshot), ({ vcpus }) => only(vcpus))

describeKvm("Kvm.snapshot: the guest goes on", () => {
  itKvm(
    "in real mode, as the machine itself does, its forks and what was made of its text",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest(counter)
      assert.deepStrictEqual(yield* outputs(vcpu, 5), [1, 2, 3, 4, 5])
      const snapshot = yield* Kvm.snapshot(vm)
      const text = yield* Schema.encodeEffect(Json)(snapshot)
      const bytes = yield* Schema.encodeEffect(Binary)(snapshot)
      const machines = [
        vcpu,
        yield* restored(snapshot),
        yield* restored(snapshot, Kvm.fork),
        yield* restored(yield* Schema.decodeEffect(Json)(text)),
        yield* restored(yield* Schema.decodeEffect(Json)(text), Kvm.fork),
        yield* restored(yield* Schema.decodeEffect(Binary)(bytes.slice()))
      ]
      for (const one of machines) assert.deepStrictEqual(yield* outputs(one, 5), [6, 7, 8, 9, 10])
    })
  )

  itKvm(
    "in long mode, through memory of its own",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeSequence
      yield* outputs(vcpu, 10)
      const snapshot = yield* Kvm.snapshot(vm)
      const expected = yield* outputs(vcpu, 30)
      assert.strictEqual(new Set(expected).size, 30)
      assert.deepStrictEqual(yield* outputs(yield* restored(snapshot), 30), expected)
      assert.deepStrictEqual(yield* outputs(yield* restored(snapshot, Kvm.fork), 30), expected)
    })
  )

  itKvm(
    "in a process of its own, from a file",
    Effect.scoped(
      Effect.gen(function* () {
        const { vcpu, vm } = yield* makeSequence
        yield* outputs(vcpu, 10)
        const file = yield* MemFd.make("snapshot")
        yield* Kvm.saveSnapshot(yield* Kvm.snapshot(vm), file)
        const expected = yield* outputs(vcpu, 20)
        const library = new URL("../dist/index.js", import.meta.url).href
        const path = `/proc/${process.pid}/fd/${yield* File.fd(file)}`
        const ended = yield* program(`
          const { Kvm } = await import(${JSON.stringify(library)})
          const values = await Effect.runPromise(
            Effect.gen(function* () {
              const snapshot = yield* Kvm.loadSnapshot(yield* File.open(${JSON.stringify(path)}))
              const { vcpus } = yield* Kvm.fork(snapshot)
              const values = []
              while (values.length < 20) {
                const { data } = yield* Kvm.run(vcpus[0])
                values.push(new DataView(data.buffer).getUint32(0, true))
              }
              return values
            }).pipe(Effect.scoped, Effect.provide(Kvm.layer))
          )
          console.log(JSON.stringify(values))`)
        assert.strictEqual(ended.stderr, "")
        assert.deepStrictEqual(JSON.parse(ended.stdout), expected)
      })
    )
  )

  itKvm(
    "with what its vector registers hold",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeLongGuest(vectors, { rdx: 0x10n })
      yield* Kvm.modifySregs(vcpu, ({ cr4 }) => ({ cr4: cr4 | 0x600n })) // OSFXSR, OSXMMEXCPT
      const fpu = yield* Kvm.getFpu(vcpu)
      const xmm = fpu.xmm.map((_, index) => Uint8Array.from({ length: 16 }, (_, byte) => (byte === 0 ? index : byte)))
      yield* Kvm.setFpu(vcpu, { ...fpu, xmm, mxcsr: 0x1f80 })
      const before = yield* Kvm.getFpu(vcpu)
      const snapshot = yield* Kvm.snapshot(vm)
      const other = yield* restored(snapshot, Kvm.fork)
      assert.deepStrictEqual(yield* Kvm.getFpu(other), before)
      const first = yield* Kvm.run(vcpu)
      // Not every KVM emulates these instructions, where it emulates.
      if (first._tag !== "Io") return assert.strictEqual((yield* Kvm.run(other))._tag, first._tag)
      const expected = [numberOf(first.data), ...(yield* outputs(vcpu, 4))]
      assert.deepStrictEqual(yield* outputs(other, 5), expected)
    })
  )

  itKvm(
    "with ticks of the timer to come",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeMachine(ticker)
      assert.deepStrictEqual(yield* outputs(vcpu, 3), [1, 2, 3])
      const snapshot = yield* Kvm.snapshot(vm)
      assert.deepStrictEqual(yield* outputs(yield* restored(snapshot), 5), [4, 5, 6, 7, 8])
      assert.deepStrictEqual(yield* outputs(yield* restored(snapshot, Kvm.fork), 5), [4, 5, 6, 7, 8])
      assert.deepStrictEqual(yield* outputs(vcpu, 5), [4, 5, 6, 7, 8])
    })
  )

  itKvm(
    "halted, until the timer of its local APIC ticks",
    Effect.gen(function* () {
      const { memory, vcpu, vm } = yield* makeMachine(apicTicker)
      yield* Kvm.setCpuid2(vcpu, yield* Kvm.getSupportedCpuid) // without it the timer does not repeat
      yield* enterProtectedMode(vcpu, memory, codeAddress + 0x31)
      assert.deepStrictEqual(yield* outputs(vcpu, 2), [1, 2])
      const running = yield* Effect.forkChild(Kvm.run(vcpu))
      // It has told its second tick and waits for the third.
      yield* Effect.yieldNow
      yield* Fiber.interrupt(running)
      const snapshot = yield* Kvm.snapshot(vm)
      const rest = [3, 4, 5, 6]
      assert.deepStrictEqual(yield* outputs(yield* restored(snapshot), 4), rest)
      assert.deepStrictEqual(yield* outputs(yield* restored(snapshot, Kvm.fork), 4), rest)
      assert.deepStrictEqual(yield* outputs(vcpu, 4), rest)
    })
  )

  itKvm(
    "with a deadline of its timer, far in the future",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeMachine(spin)
      const cpuid = yield* Kvm.getSupportedCpuid
      yield* Kvm.setCpuid2(vcpu, Kvm.withCpuidFeature(cpuid, Kvm.CpuidFeature.TSC_DEADLINE, true))
      const { LVT_TIMER, SVR } = Kvm.LapicRegister
      const lapic = yield* Kvm.getLapic(vcpu)
      yield* Kvm.setLapic(vcpu, Kvm.withLapicRegister(Kvm.withLapicRegister(lapic, SVR, 0x1ff), LVT_TIMER, 0x40030))
      const [now] = yield* Kvm.getMsrs(vcpu, [0x10])
      const deadline = { index: 0x6e0, data: (now?.data ?? 0n) + 10n ** 15n }
      yield* Kvm.setMsrs(vcpu, [deadline])
      const other = yield* restored(yield* Kvm.snapshot(vm))
      assert.deepStrictEqual(yield* Kvm.getMsrs(other, [0x6e0]), [deadline])
    })
  )

  itKvm(
    "with an interrupt that it has not let in yet",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeMachine(latecomer)
      yield* outputs(vcpu, 1)
      yield* Kvm.setIrqLine(vm, 1, true)
      yield* Kvm.setIrqLine(vm, 1, false)
      const snapshot = yield* Kvm.snapshot(vm)
      for (const one of [vcpu, yield* restored(snapshot), yield* restored(snapshot, Kvm.fork)]) {
        assert.deepStrictEqual(yield* outputs(one, 2), [1, 2])
      }
    })
  )

  itKvm(
    "with all that can be asked of a vCPU",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeMachine(ticker)
      yield* Kvm.setCpuid2(vcpu, yield* Kvm.getSupportedCpuid)
      yield* Kvm.modifyRegs(vcpu, () => ({ r8: 8n, r15: 0xffff_ffff_ffff_ffffn }))
      yield* Kvm.setDebugRegs(vcpu, { ...(yield* Kvm.getDebugRegs(vcpu)), db: [1n, 2n, 3n, 4n] })
      yield* Kvm.setMsrs(vcpu, [{ index: 0x174, data: 0x1234n }]) // IA32_SYSENTER_CS
      const other = yield* restored(yield* Kvm.snapshot(vm))
      const asked = [
        Kvm.getRegs,
        Kvm.getSregs,
        Kvm.getSregs2,
        Kvm.getFpu,
        Kvm.getXsave,
        Kvm.getXcrs,
        Kvm.getDebugRegs,
        Kvm.getMpState,
        Kvm.getVcpuEvents,
        Kvm.getCpuid2,
        (one: Kvm.Vcpu) => Kvm.getMsrs(one, [0x174, 0x277, 0x1a0])
      ] as const
      for (const ask of asked) assert.deepStrictEqual(yield* ask(other), yield* ask(vcpu))
      const lapic = yield* Kvm.getLapic(vcpu)
      assert.deepStrictEqual((yield* Kvm.getLapic(other)).regs, lapic.regs)
      // The counter goes on from where it was.
      const [counterNow] = yield* Kvm.getMsrs(other, [0x10])
      const [counterThen] = yield* Kvm.getMsrs(vcpu, [0x10])
      const difference = (counterThen?.data ?? 0n) - (counterNow?.data ?? 0n)
      assert.isTrue(difference > -10_000_000_000n && difference < 10_000_000_000n)
    })
  )

  itKvm(
    "on all of its vCPUs",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest(counter)
      const second = yield* Kvm.createVcpu(vm, 3)
      yield* enterRealMode(second)
      yield* outputs(vcpu, 5)
      yield* outputs(second, 2)
      const { vcpus } = yield* Kvm.fork(yield* Kvm.snapshot(vm))
      assert.deepStrictEqual(
        vcpus.map(({ id }) => id),
        [0, 3]
      )
      assert.deepStrictEqual(yield* Effect.forEach(vcpus, (one) => outputs(one, 2), { concurrency: 2 }), [
        [6, 7],
        [3, 4]
      ])
    })
  )
})

/** Adds what it reads from port 0x11 to `bx`, and tells the sum through port 0x10, for ever. */
const adder = [
  ...asm("next: in al, 0x11", 0xe4, 0x11),
  ...asm("      mov ah, 0", 0xb4, 0x00),
  ...asm("      add bx, ax", 0x01, 0xc3),
  ...asm("      mov ax, bx", 0x89, 0xd8),
  ...asm("      out 0x10, ax", 0xe7, 0x10),
  ...asm("      jmp next", 0xeb, 0xf4)
]

const respond = (exit: Kvm.Exit, value: number) =>
  exit._tag === "Io" && exit.direction === "in"
    ? exit.respond(value)
    : Effect.die(new Error(`expected a read, got ${exit._tag}`))

describeKvm("Kvm.snapshot: exits", () => {
  itKvm(
    "what was not answered is asked again in the copy, and can still be answered here",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest(adder)
      const asked = yield* Kvm.run(vcpu)
      const snapshot = yield* Kvm.snapshot(vm)
      yield* respond(asked, 5)
      assert.deepStrictEqual(yield* outputs(vcpu, 1), [5])
      const other = yield* restored(snapshot)
      yield* respond(yield* Kvm.run(other), 7)
      assert.deepStrictEqual(yield* outputs(other, 1), [7])
    })
  )

  itKvm(
    "what was answered is done, here and there",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest(adder)
      const asked = yield* Kvm.run(vcpu)
      yield* respond(asked, 5)
      const snapshot = yield* Kvm.snapshot(vm)
      // Too late.
      yield* expectErrno(respond(asked, 6), "EINVAL")
      assert.deepStrictEqual(yield* outputs(vcpu, 1), [5])
      assert.deepStrictEqual(yield* outputs(yield* restored(snapshot), 1), [5])
    })
  )

  itKvm(
    "so is what a device has answered, though the guest is held before it goes on",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest(adder)
      let asked = 0
      const bus = yield* Kvm.bus([
        Kvm.pio(0, 0x10000, {
          in8: () => Effect.as(Effect.sleep("2 millis"), ++asked),
          in16: () => Effect.as(Effect.sleep("2 millis"), ++asked),
          out8: (_port, value) => Kvm.done(value),
          out16: (_port, value) => Kvm.done(value)
        })
      ])
      const running = yield* Effect.forkChild(Kvm.runUntil(vcpu, { bus }))
      assert.isTrue(yield* comesTrue(() => asked === 1))
      yield* Kvm.pause(vm)
      yield* Effect.sleep("10 millis")
      const snapshot = yield* Kvm.snapshot(vm)
      yield* Kvm.resume(vm)
      assert.strictEqual(yield* Fiber.join(running), 1)
      // Asked once more, it would give 2: a device that gives each byte once would have lost one.
      const other = yield* restored(snapshot)
      assert.strictEqual(yield* Kvm.runUntil(other, { bus }), 1)
    })
  )

  itKvm(
    "an exit that nobody has seen is what the next run gives, here and there",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest(counter)
      let last = 0
      for (let round = 0; round < 50; round++) {
        const running = yield* Effect.forkChild(
          Effect.forever(
            Effect.tap(Kvm.run(vcpu), (exit) =>
              Effect.sync(() => {
                if (exit._tag === "Io") last = numberOf(exit.data)
              })
            )
          )
        )
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        yield* Fiber.interrupt(running)
        yield* Effect.scoped(
          Effect.gen(function* () {
            const snapshot = yield* Kvm.snapshot(vm)
            const next = [last + 1, last + 2].map((value) => value & 0xffff)
            assert.deepStrictEqual(yield* outputs(yield* restored(snapshot, Kvm.fork), 2), next)
          })
        )
      }
      assert.isTrue(last > 0)
    })
  )

  itKvm(
    "so is one that is held back while the machine is paused, and who runs it gets it too",
    Effect.gen(function* () {
      const { memory, vcpu, vm } = yield* makeGuest([
        ...asm("      mov cx, 20000", 0xb9, 0x20, 0x4e),
        ...asm("wait: loop wait", 0xe2, 0xfe),
        ...asm("      inc byte [0x1800]", 0xfe, 0x06, 0x00, 0x18),
        ...asm("      out 0x10, al", 0xe6, 0x10),
        ...hlt
      ])
      const running = yield* Effect.forkChild(Kvm.run(vcpu))
      yield* Effect.yieldNow
      // The guest stops while this thread has no time to hear of it, and so it is the pause that it meets.
      while (memory.bytes[0x800] === 0);
      for (const until = performance.now() + 50; performance.now() < until; );
      yield* Kvm.pause(vm)
      assert.isUndefined(running.pollUnsafe())
      const snapshot = yield* Kvm.snapshot(vm)
      assert.strictEqual(only(snapshot.vcpus).exit?.exit_reason, Kvm.KVM_EXIT_IO)
      yield* Kvm.resume(vm)
      const exit = yield* Fiber.join(running)
      assert.strictEqual(exit._tag, "Io")
      const other = yield* restored(snapshot, Kvm.fork)
      assert.deepStrictEqual(yield* Kvm.run(other), exit)
      for (const one of [vcpu, other]) yield* expectExit(one, "Hlt")
    })
  )

  itKvm(
    "also where it is known that nobody has seen it",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest(counter)
      const seen = yield* Kvm.run(vcpu)
      stateOf(vcpu).kept = true
      const snapshot = yield* Kvm.snapshot(vm)
      assert.strictEqual(only(snapshot.vcpus).exit?.exit_reason, Kvm.KVM_EXIT_IO)
      const text = yield* Schema.encodeEffect(Json)(snapshot)
      for (const one of [vcpu, yield* restored(yield* Schema.decodeEffect(Json)(text))]) {
        assert.deepStrictEqual(yield* Kvm.run(one), seen)
        assert.deepStrictEqual(yield* outputs(one, 2), [2, 3])
      }
    })
  )

  itKvm(
    "a read that nobody has seen is asked, here and there",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest(adder)
      yield* Kvm.run(vcpu)
      stateOf(vcpu).kept = true
      const snapshot = yield* Kvm.snapshot(vm)
      for (const one of [vcpu, yield* restored(snapshot)]) {
        yield* respond(yield* Kvm.run(one), 3)
        assert.deepStrictEqual(yield* outputs(one, 1), [3])
      }
    })
  )

  itKvm(
    "a write to a device is done, and its exit not told twice",
    Effect.gen(function* () {
      // mov [0xf000], al / inc al / jmp back
      const { vcpu, vm } = yield* makeGuest([0xa2, 0x00, 0xf0, 0xfe, 0xc0, 0xeb, 0xf9])
      yield* expectExit(vcpu, "Mmio")
      const written = function* (one: Kvm.Vcpu) {
        const exit = yield* expectExit(one, "Mmio")
        return exit.data[0]
      }
      const other = yield* restored(yield* Kvm.snapshot(vm))
      assert.strictEqual(yield* written(vcpu), 1)
      assert.strictEqual(yield* written(other), 1)
    })
  )

  itKvm(
    "a guest that has halted or shut down is where it was",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt, ...counter])
      yield* expectExit(vcpu, "Hlt")
      const other = yield* restored(yield* Kvm.snapshot(vm))
      assert.deepStrictEqual(yield* outputs(other, 2), [1, 2])
    })
  )
})

describeKvm("Kvm.snapshot: when", () => {
  itKvm(
    "fails with EBUSY while a vCPU runs, and not while it is paused, of which its fiber hears nothing",
    Effect.gen(function* () {
      const { memory, vcpu, vm } = yield* makeGuest(memoryCounter)
      const running = yield* Effect.forkChild(Kvm.run(vcpu))
      assert.isTrue(yield* comesTrue(() => counted(memory) > 0))
      const error = yield* expectErrno(Kvm.snapshot(vm), "EBUSY")
      assert.include(error.message, "vCPU 0 is running")
      yield* Kvm.pause(vm)
      const snapshot = yield* Kvm.snapshot(vm)
      const before = counted(memory)
      yield* Kvm.resume(vm)
      assert.isTrue(yield* comesTrue(() => counted(memory) !== before))
      assert.isUndefined(running.pollUnsafe())
      yield* Fiber.interrupt(running)
      const { memories } = yield* Kvm.restore(snapshot)
      assert.strictEqual(counted(only(memories)), before)
    })
  )

  itKvm(
    "vCPUs that are to be run meanwhile wait for it",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest(counter)
      const [snapshot] = yield* Effect.all([Kvm.snapshot(vm), Effect.repeat(Kvm.run(vcpu), { times: 20 })], {
        concurrency: 2
      })
      assert.deepStrictEqual(yield* outputs(yield* restored(snapshot), 2), [1, 2])
    })
  )

  itKvm(
    "fails with EINVAL of memory that was set by number or is gone",
    Effect.gen(function* () {
      const { vm } = yield* makeGuest(spin)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const bytes = yield* Effect.acquireRelease(
            Syscall.mmap(
              0,
              0x1000,
              Syscall.PROT_READ | Syscall.PROT_WRITE,
              Syscall.MAP_PRIVATE | Syscall.MAP_ANONYMOUS,
              -1,
              0
            ),
            (address) => Effect.ignore(Syscall.munmap(address, 0x1000))
          )
          yield* Kvm.setUserMemoryRegion(vm, {
            slot: 9,
            flags: 0,
            guest_phys_addr: 0x100000n,
            memory_size: 0x1000n,
            userspace_addr: bytes
          })
          const error = yield* expectErrno(Kvm.snapshot(vm), "EINVAL")
          assert.include(error.message, "set by number")
          yield* Kvm.setUserMemoryRegion(vm, {
            slot: 9,
            flags: 0,
            guest_phys_addr: 0x100000n,
            memory_size: 0n,
            userspace_addr: 0n
          })
        })
      )
      yield* Kvm.snapshot(vm)
    })
  )
})

describeKvm("Kvm.snapshot: memory", () => {
  itKvm(
    "pages that are all zeros are not stored",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const memory = yield* Kvm.addMemory(vm, { slot: 0, guestAddress: 0, size: 64 << 20 })
      memory.bytes[0x5000] = 1
      memory.bytes[0x6fff] = 2
      memory.bytes[0x8000] = 0 // there is a page, of zeros
      memory.bytes[memory.size - 1] = 3
      const snapshot = yield* Kvm.snapshot(vm)
      assert.strictEqual(snapshot.memory.size, 64 << 20)
      assert.strictEqual(snapshot.memory.stored, 3 * 4096)
      assert.deepStrictEqual(
        Array.from(snapshot.memory.extents(), ({ bytes, offset }) => [offset, bytes.length]),
        [
          [0x5000, 0x2000],
          [memory.size - 4096, 4096]
        ]
      )
      const { file } = snapshot.memory
      if (file === undefined) throw new Error("expected a memfd")
      assert.strictEqual(Number((yield* File.stat(file)).stx_blocks) * 512, 3 * 4096)
      assert.deepStrictEqual([...(yield* MemFd.getSeals(file))].sort(), ["grow", "seal", "shrink", "write"])
      // To look at it has not filled the machine's own memory.
      const residency = new Uint8Array(memory.size / 4096)
      yield* Syscall.mincore(memory.mapping.address, memory.size, residency)
      assert.strictEqual(residency.filter((byte) => (byte & 1) === 1).length, 4)
      const { memories } = yield* Kvm.restore(snapshot)
      assert.isTrue(Buffer.from(only(memories).bytes).equals(memory.bytes))
    })
  )

  itKvm(
    "of a memfd, of a part of a mapping, read-only, and one region at two addresses",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest(counter)
      const file = yield* MemFd.make("guest", { size: 0x3000 })
      yield* File.pwriteAll(file, new Uint8Array(0x3000).fill(7), 0)
      yield* Kvm.addMemory(vm, {
        slot: 4,
        guestAddress: 0x10000,
        size: 0x2000,
        readOnly: true,
        backing: { file, offset: 0x1000, shared: false }
      })
      const shared = yield* Kvm.addMemory(vm, { slot: 5, guestAddress: 0x20000, size: 0x3000 })
      shared.bytes.fill(9, 0x1000, 0x2000)
      yield* Kvm.aliasMemory(vm, shared, { slot: 6, guestAddress: 0x30000, offset: 0x1000, size: 0x1000 })
      yield* outputs(vcpu, 1)
      const snapshot = yield* Kvm.snapshot(vm)
      for (const make of [Kvm.restore, Kvm.fork]) {
        const { memories, vcpus } = yield* make(snapshot)
        assert.deepStrictEqual(
          memories.map(({ guestAddress, size, slot }) => [slot, guestAddress, size]),
          [
            [0, 0x1000n, 0x4000],
            [4, 0x10000n, 0x2000],
            [5, 0x20000n, 0x3000],
            [6, 0x30000n, 0x1000]
          ]
        )
        const [, readOnly, first, second] = memories
        assert.isTrue(readOnly?.bytes.every((byte) => byte === 7))
        assert.strictEqual(second?.bytes[0], 9)
        // One memory still, and another one than the machine's.
        if (first !== undefined) first.bytes[0x1000] = 10
        assert.strictEqual(second?.bytes[0], 10)
        assert.strictEqual(shared.bytes[0x1000], 9)
        assert.deepStrictEqual(yield* outputs(only(vcpus), 2), [2, 3])
      }
      // Read-only: what the guest writes there is an exit.
      const { vcpus } = yield* Kvm.fork(snapshot)
      const writer = only(vcpus)
      yield* Kvm.modifySregs(writer, ({ ds }) => ({ ds: { ...ds, base: 0x10000n, selector: 0x1000 } }))
      yield* Kvm.modifyRegs(writer, () => ({ rip: 0x1100n }))
      const [code] = (yield* Kvm.fork(snapshot)).memories
      assert.isDefined(code)
    })
  )

  itKvm(
    "of a fork, with what it has written",
    Effect.gen(function* () {
      const { memory, vm } = yield* makeGuest(memoryCounter)
      const { memories, vm: forked } = yield* Kvm.fork(yield* Kvm.snapshot(vm))
      const mine = only(memories)
      mine.bytes[0x2000] = 5
      const second = yield* Kvm.snapshot(forked)
      // The page of the code, and the one that was written.
      assert.strictEqual(second.memory.stored, 2 * 4096)
      const again = yield* Kvm.restore(second)
      assert.strictEqual(only(again.memories).bytes[0x2000], 5)
      assert.deepStrictEqual(only(again.memories).bytes.slice(0, 4), memory.bytes.slice(0, 4))
      assert.strictEqual(memory.bytes[0x2000], 0)
    })
  )
})

const encoded = Effect.gen(function* () {
  const { vcpu, vm } = yield* makeMachine(ticker)
  yield* outputs(vcpu, 1)
  return yield* Schema.encodeEffect(Kvm.Snapshot)(yield* Kvm.snapshot(vm))
})

describeKvm("Kvm.Snapshot", () => {
  itKvm(
    "goes to text, bytes and another thread's value and back, and is the same then",
    Effect.gen(function* () {
      const value = yield* Effect.scoped(encoded)
      const same = (snapshot: Kvm.Snapshot) =>
        Effect.map(Schema.encodeEffect(Kvm.Snapshot)(snapshot), (again) => assert.deepStrictEqual(again, value))
      const snapshot = yield* Schema.decodeEffect(Kvm.Snapshot)(structuredClone(value))
      yield* same(snapshot)
      const text = yield* Schema.encodeEffect(Json)(snapshot)
      assert.strictEqual(JSON.parse(text).version, 1)
      yield* same(yield* Schema.decodeEffect(Json)(text))
      yield* same(yield* Schema.decodeEffect(Binary)((yield* Schema.encodeEffect(Binary)(snapshot)).slice()))
    })
  )

  itKvm(
    "is not encoded when its memory is released",
    Effect.gen(function* () {
      const { vm } = yield* makeGuest(spin)
      const snapshot = yield* Effect.scoped(Kvm.snapshot(vm))
      const error = yield* Effect.flip(Schema.encodeEffect(Kvm.Snapshot)(snapshot))
      assert.include(error.message, "its scope has closed")
      yield* expectErrno(Kvm.fork(snapshot), "EBADF")
    })
  )

  itKvm(
    "says what is wrong with a value that is none",
    Effect.gen(function* () {
      const value = yield* Effect.scoped(encoded)
      const [region, vcpu] = [only(value.regions), only(value.vcpus)]
      const wrong: ReadonlyArray<readonly [change: object, said: string]> = [
        [{ version: 2 }, "version"],
        [{ architecture: "aarch64" }, "architecture"],
        [{ memory: { ...value.memory, size: 4095 } }, "size"],
        [{ memory: { ...value.memory, size: 0 } }, "extents"],
        [{ memory: { size: value.memory.size, extents: [{ offset: 1, bytes: new Uint8Array(1) }] } }, "offset"],
        [{ regions: [{ ...region, offset: region.size }] }, "ends past"],
        [{ regions: [{ ...region, offset: -4096 }] }, "offset"],
        [{ regions: [{ ...region, size: 0 }] }, "size"],
        [{ regions: [{ ...region, size: 2 ** 40 }] }, "ends past"],
        [{ regions: [{ ...region, guestAddress: -1n }] }, "guestAddress"],
        [{ regions: [region, region] }, "slot 0 is there twice"],
        [{ vcpus: [vcpu, vcpu] }, "vCPU 0 is there twice"],
        [{ vcpus: [{ ...vcpu, regs: { ...vcpu.regs, rax: 2n ** 64n } }] }, "rax"],
        [{ vcpus: [{ ...vcpu, sregs: { ...vcpu.sregs, cs: { ...vcpu.sregs.cs, limit: -1 } } }] }, "limit"],
        [{ vcpus: [{ ...vcpu, lapic: { regs: new Uint8Array(1025) } }] }, "lapic"],
        [{ vcpus: [{ ...vcpu, msrs: [{ index: 1, data: "1" }] }] }, "data"],
        [{ vcpus: undefined }, "vcpus"]
      ]
      for (const [change, said] of wrong) {
        const error = yield* Effect.flip(Schema.decodeUnknownEffect(Kvm.Snapshot)({ ...value, ...change }))
        assert.include(error.message, said)
      }
    })
  )

  itKvm(
    "whose state the kernel refuses is a typed failure of restoring, and leaves nothing",
    Effect.gen(function* () {
      const value = yield* Effect.scoped(encoded)
      const before = yield* openFds
      const vcpu = only(value.vcpus)
      const { sregs } = vcpu
      const bad = (change: Partial<Kvm.SnapshotVcpu>) =>
        Effect.flatMap(Schema.decodeEffect(Kvm.Snapshot)({ ...value, vcpus: [{ ...vcpu, ...change }] }), (snapshot) =>
          Effect.flip(Kvm.restore(snapshot))
        )
      const refused = yield* bad({ msrs: [...vcpu.msrs, { index: 0x9999, data: 1n }] })
      assert.strictEqual(refused._tag, "RefusedMsr")
      // Paging without protected mode.
      assert.strictEqual((yield* bad({ sregs2: undefined, sregs: { ...sregs, cr0: 0x80000000n } }))._tag, "EINVAL")
      assert.strictEqual((yield* bad({ id: 0x7fffffff }))._tag, "EINVAL")
      // More memory than any process has.
      const size = 2 ** 46
      const endless = yield* Schema.decodeEffect(Kvm.Snapshot)({
        ...value,
        regions: [{ ...only(value.regions), size }],
        memory: { size, extents: [] }
      })
      assert.strictEqual((yield* Effect.flip(Kvm.restore(endless)))._tag, "ENOMEM")
      assert.include(["ENOMEM", "EFBIG", "EINVAL"], (yield* Effect.flip(Kvm.fork(endless)))._tag)
      assert.strictEqual(yield* openFds, before)
    })
  )

  itKvm(
    "whose exit is no exit of any kernel does no harm",
    Effect.gen(function* () {
      const { vm } = yield* makeGuest(counter)
      const value = yield* Schema.encodeEffect(Kvm.Snapshot)(yield* Kvm.snapshot(vm))
      const vcpu = only(value.vcpus)
      const details = Uint8Array.from({ length: 256 }, () => 0xff)
      for (let exit_reason = 0; exit_reason < 45; exit_reason++) {
        for (const length of [0, 1, 4096]) {
          const exit = { exit_reason, details, data: new Uint8Array(length) }
          const snapshot = yield* Schema.decodeEffect(Kvm.Snapshot)({ ...value, vcpus: [{ ...vcpu, exit }] })
          if (exit_reason % 8 !== 2 && length > 0) continue
          yield* Effect.scoped(Effect.flatMap(restored(snapshot), Kvm.run))
        }
      }
    })
  )
})

describe("Kvm.snapshot: types", () => {
  it("a snapshot is a value of its schema", () => {
    const check = (snapshot: Kvm.Snapshot): typeof Kvm.Snapshot.Type => snapshot
    // @ts-expect-error: a machine is none
    const wrong = (vm: Kvm.Vm) => Kvm.restore(vm)
    assert.isFunction(check)
    assert.isFunction(wrong)
  })
})
