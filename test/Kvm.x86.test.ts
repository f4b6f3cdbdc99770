/** Guests set up in every mode, and the tables they use: real code that runs, faults and comes back. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { Kvm } from "../src/index.ts"
import { evaluateC } from "./support/c.ts"
import { asm, expectExit, hlt, itKvm } from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"

const { x86 } = Kvm

/** A machine with 2 MiB from 0 on. */
const makeMachine = Effect.gen(function* () {
  const vm = yield* Kvm.createVm()
  const memory = yield* Kvm.addMemory(vm, { guestAddress: 0, size: 0x20_0000 })
  const vcpu = yield* Kvm.createVcpu(vm, 0)
  return { vm, memory, vcpu }
})

const entry = 0x1000
const stack = 0x8000
const kernelStack = 0x9000
const tables = 0x1_0000
const handler = 0x2000

/** Tells a byte that says where the guest is. */
const tell = (value: number) => [...asm(`mov al, ${value}`, 0xb0, value), ...asm("out 0x10, al", 0xe6, 0x10)]

/** Undefined by definition: the exception 6. */
const ud2 = asm("ud2", 0x0f, 0x0b)

const toldBy = (vcpu: Kvm.Vcpu) =>
  Effect.map(expectExit(vcpu, "Io"), ({ data, port }) => {
    assert.strictEqual(port, 0x10)
    return data[0]
  })

const expectState = <A, E, R>(effect: Effect.Effect<A, E, R>, rule: Kvm.x86.Rule, register: string) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, x86.GuestStateError)
    assert.deepStrictEqual([error.rule, error.register], [rule, register], error.message)
    assert.include(error.message, x86.rules[rule])
    return error
  })

describe("constants", () => {
  it("have the values of asm/processor-flags.h", () => {
    const preamble = "#include <asm/processor-flags.h>"
    const groups = [
      ["CR0_", "X86_CR0_"],
      ["CR4_", "X86_CR4_"],
      ["RFLAGS_", "X86_EFLAGS_"]
    ] as const
    const questions = Object.keys(x86).flatMap((name) => {
      const group = groups.find(([prefix]) => name.startsWith(prefix))
      if (group === undefined) return []
      const expression = name.replace(group[0], group[1])
      return [{ name, expression, condition: `defined(${expression})` }]
    })
    const values = evaluateC("x86_64", [{ preamble, questions }])
    assert.isAtLeast(values.size, 50)
    const ours: Readonly<Record<string, unknown>> = { ...x86 }
    for (const [name, value] of values) assert.strictEqual(ours[name], value, name)
    // What those headers lack is what is younger than they are.
    const missing = questions.map(({ name }) => name).filter((name) => !values.has(name))
    assert.deepStrictEqual(
      missing.filter((name) => !["CR4_FRED", "CR4_KL", "CR4_LAM_SUP", "CR4_PKS", "CR4_UINTR"].includes(name)),
      []
    )
  })
})

describeKvm("Kvm.x86.realMode", () => {
  itKvm(
    "the guest is at its entry with its stack, and computes",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeMachine
      memory.bytes.set([...asm("push ax", 0x50), ...asm("pop bx", 0x5b), ...hlt], entry)
      const mode = yield* x86.realMode(vcpu, { entry, stack, regs: { rax: 0x1234n } })
      yield* expectExit(vcpu, "Hlt")
      const regs = yield* Kvm.getRegs(vcpu)
      assert.deepStrictEqual([regs.rbx, regs.rsp], [0x1234n, BigInt(stack)])
      assert.strictEqual(new DataView(memory.bytes.buffer).getUint16(stack - 2, true), 0x1234)
      assert.deepStrictEqual([mode.regs.rip, mode.sregs.cs.base], [BigInt(entry), 0n])
    })
  )

  itKvm(
    "an entry above 64 KiB gets a segment of its own; data and stack have theirs",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeMachine
      memory.bytes.set([...asm("mov al, [0x10]", 0xa0, 0x10, 0x00), ...asm("push ax", 0x50), ...hlt], 0x2_3456)
      memory.bytes[0x4_0010] = 0x77
      yield* x86.realMode(vcpu, { entry: 0x2_3456, data: 0x4000, stack: { segment: 0x5000, offset: 0x100 } })
      yield* expectExit(vcpu, "Hlt")
      const { rax } = yield* Kvm.getRegs(vcpu)
      const { cs, ds, ss } = yield* Kvm.getSregs(vcpu)
      assert.deepStrictEqual([cs.base, ds.base, ss.base], [0x2_0000n, 0x4_0000n, 0x5_0000n])
      assert.deepStrictEqual([rax & 0xffn, memory.bytes[0x5_00fe]], [0x77n, 0x77])
    })
  )

  itKvm(
    "a vector written by writeIdt is where `int` goes, and `iret` comes back",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeMachine
      memory.bytes.set([...asm("int 0x21", 0xcd, 0x21), ...tell(2), ...hlt], entry)
      memory.bytes.set([...tell(1), ...asm("iret", 0xcf)], 0x1_2340)
      assert.deepStrictEqual(yield* x86.writeIdt(memory, 0, { 33: 0x1_2340 }, "real"), { base: 0n, limit: 0x3ff })
      yield* x86.realMode(vcpu, { entry, stack })
      assert.deepStrictEqual([yield* toldBy(vcpu), yield* toldBy(vcpu)], [1, 2])
      yield* expectExit(vcpu, "Hlt")
    })
  )

  itKvm(
    "comes back from long mode",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeMachine
      memory.bytes.set([...tell(1), ...hlt], entry)
      yield* x86.longMode(vcpu, memory, { entry, stack, tables })
      yield* x86.realMode(vcpu, { entry })
      const { cr0, cr4, efer } = yield* Kvm.getSregs(vcpu)
      assert.deepStrictEqual([cr0 & (x86.CR0_PE | x86.CR0_PG), cr4, efer & x86.EFER_LMA], [0n, 0n, 0n])
      assert.strictEqual(yield* toldBy(vcpu), 1)
    })
  )

  itKvm(
    "an entry or a stack that real mode has not is refused, and nothing is set",
    Effect.gen(function* () {
      const { vcpu } = yield* makeMachine
      const before = yield* Kvm.getSregs(vcpu)
      yield* expectState(x86.realMode(vcpu, { entry: 0x11_0000 }), "rip.limit", "rip")
      yield* expectState(x86.realMode(vcpu, { entry: { segment: 0, offset: 0x1_0000 } }), "rip.limit", "rip")
      yield* expectState(x86.realMode(vcpu, { entry: -1 }), "rip.limit", "rip")
      yield* expectState(x86.realMode(vcpu, { entry, stack: 1.5 }), "mode.stack", "rsp")
      yield* expectState(x86.realMode(vcpu, { entry, regs: { rflags: 0n } }), "rflags.fixed", "rflags")
      assert.deepStrictEqual(yield* Kvm.getSregs(vcpu), before)
    })
  )
})

describeKvm("Kvm.x86.protectedMode", () => {
  itKvm(
    "three lines, no tables: 32-bit code with flat segments",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeMachine
      memory.bytes.set(
        [
          ...asm("mov dword [0x123450], 0xdeadbeef", 0xc7, 0x05, 0x50, 0x34, 0x12, 0x00, 0xef, 0xbe, 0xad, 0xde),
          ...asm("push eax", 0x50),
          ...hlt
        ],
        entry
      )
      const mode = yield* x86.protectedMode(vcpu, memory, { entry, stack, regs: { rax: 0x8765_4321n } })
      yield* expectExit(vcpu, "Hlt")
      const view = new DataView(memory.bytes.buffer)
      assert.strictEqual(view.getUint32(0x12_3450, true), 0xdead_beef)
      assert.strictEqual(view.getUint32(stack - 4, true), 0x8765_4321)
      assert.deepStrictEqual([mode.end, mode.pageTables], [0n, undefined])
    })
  )

  itKvm(
    "an exception runs its handler, which comes back",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeMachine
      memory.bytes.set([...ud2, ...tell(2), ...hlt], entry)
      memory.bytes.set(
        [
          ...tell(1),
          ...asm("add dword [esp], 2", 0x83, 0x04, 0x24, 0x02),
          // Not iretd: a KVM that emulates has only real mode's.
          ...asm("retf 4", 0xca, 0x04, 0x00)
        ],
        handler
      )
      yield* x86.protectedMode(vcpu, memory, { entry, stack, tables, handlers: { 6: handler } })
      assert.deepStrictEqual([yield* toldBy(vcpu), yield* toldBy(vcpu)], [1, 2])
      yield* expectExit(vcpu, "Hlt")
    })
  )

  itKvm(
    "segments can be loaded again from the GDT",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeMachine
      memory.bytes.set(
        [
          ...asm("mov eax, 0x10", 0xb8, 0x10, 0x00, 0x00, 0x00),
          ...asm("mov ds, ax", 0x8e, 0xd8),
          ...asm("mov ss, ax", 0x8e, 0xd0),
          ...asm("jmp 8:next", 0xea, 0x10, 0x10, 0x00, 0x00, 0x08, 0x00),
          ...tell(1), // next, at 0x1010
          ...hlt
        ],
        entry
      )
      yield* x86.protectedMode(vcpu, memory, { entry, stack, tables })
      assert.strictEqual(yield* toldBy(vcpu), 1)
      yield* expectExit(vcpu, "Hlt")
      const { cs, ds, ss, tr } = yield* Kvm.getSregs(vcpu)
      const selectors = x86.protectedModeSelectors
      assert.deepStrictEqual([cs.selector, ds.selector, ss.selector, tr.selector], [8, 16, 16, selectors.tss])
      assert.deepStrictEqual(
        [cs.limit, cs.db, ds.limit, tr.base, tr.limit],
        [0xffff_ffff, 1, 0xffff_ffff, 0x1_0800n, 103]
      )
    })
  )

  itKvm(
    "in ring 3 a privileged instruction faults to ring 0, on the kernel's stack",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeMachine
      memory.bytes.set(hlt, entry)
      memory.bytes.set([...tell(13), ...hlt], handler)
      yield* x86.protectedMode(vcpu, memory, { entry, stack, kernelStack, ring: 3, tables, handlers: { 13: handler } })
      assert.strictEqual(yield* toldBy(vcpu), 13)
      // Error code, return address, code segment, flags, the user's stack and its segment.
      const { rsp } = yield* Kvm.getRegs(vcpu)
      assert.strictEqual(rsp, BigInt(kernelStack - 24))
      const frame = Array.from({ length: 6 }, (_, index) =>
        new DataView(memory.bytes.buffer).getUint32(kernelStack - 24 + 4 * index, true)
      )
      const { userCode, userData } = x86.protectedModeSelectors
      assert.deepStrictEqual([frame[0], frame[1], frame[2], frame[4], frame[5]], [0, entry, userCode, stack, userData])
    })
  )

  for (const pae of [false, true]) {
    itKvm(
      pae ? "paging with PAE" : "paging with 32-bit entries",
      Effect.gen(function* () {
        const { memory, vcpu } = yield* makeMachine
        // The page at 0x40_0000 is the one at 0x10_0000.
        memory.bytes.set([...asm("mov eax, [0x400010]", 0xa1, 0x10, 0x00, 0x40, 0x00), ...hlt], entry)
        memory.bytes.set([0x78, 0x56, 0x34, 0x12], 0x10_0010)
        const before = yield* Kvm.getSregs(vcpu)
        const made = x86.protectedMode(vcpu, memory, {
          entry,
          stack,
          tables,
          paging: { pae, map: [x86.identity(0x20_0000), { virtual: 0x40_0000, physical: 0x10_0000, size: 0x1000 }] }
        })
        const result = yield* Effect.result(made)
        if (result._tag === "Failure") {
          // A KVM without the hardware's help has long mode's paging alone, and forgets CR0.PG.
          assert.instanceOf(result.failure, x86.GuestStateError)
          assert.deepStrictEqual([result.failure.rule, result.failure.register], ["mode.kept", "cr0"])
          assert.deepStrictEqual(yield* Kvm.getSregs(vcpu), before)
          return
        }
        yield* expectExit(vcpu, "Hlt")
        assert.strictEqual((yield* Kvm.getRegs(vcpu)).rax, 0x1234_5678n)
        const translation = yield* Kvm.translateGva(vcpu, 0x40_0010n)
        assert.deepStrictEqual([translation.valid, translation.physical_address], [1, 0x10_0010n])
      })
    )
  }

  itKvm(
    "what needs tables is refused without a place for them",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeMachine
      yield* expectState(x86.protectedMode(vcpu, memory, { entry, paging: true }), "mode.tables", "tables")
      yield* expectState(x86.protectedMode(vcpu, memory, { entry, handlers: {} }), "mode.tables", "tables")
      yield* expectState(x86.protectedMode(vcpu, memory, { entry: 1n << 32n }), "rip.upper", "rip")
      yield* expectState(x86.protectedMode(vcpu, memory, { entry: -1 }), "rip.upper", "rip")
      yield* expectState(x86.protectedMode(vcpu, memory, { entry, stack: 1n << 32n }), "mode.stack", "rsp")
      yield* expectState(x86.protectedMode(vcpu, memory, { entry, tables: 0x1_0800 }), "page.alignment", "tables")
    })
  )
})

describeKvm("Kvm.x86.longMode", () => {
  itKvm(
    "three lines: 64-bit code with SSE",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeMachine
      memory.bytes.set(
        [...asm("push rax", 0x50), ...asm("pop r15", 0x41, 0x5f), ...asm("not r15", 0x49, 0xf7, 0xd7), ...hlt],
        entry
      )
      const mode = yield* x86.longMode(vcpu, memory, { entry, stack, tables, regs: { rax: 0x0123_4567_89ab_cdefn } })
      yield* expectExit(vcpu, "Hlt")
      assert.strictEqual((yield* Kvm.getRegs(vcpu)).r15, 0xfedc_ba98_7654_3210n)
      assert.strictEqual(mode.end, 0x1_7000n)
      assert.strictEqual(mode.sregs.cr4 & x86.CR4_OSFXSR, x86.CR4_OSFXSR)
    })
  )

  itKvm(
    "an exception runs its handler, which comes back",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeMachine
      memory.bytes.set([...ud2, ...tell(2), ...hlt], entry)
      memory.bytes.set(
        [...tell(1), ...asm("add qword [rsp], 2", 0x48, 0x83, 0x04, 0x24, 0x02), ...asm("iretq", 0x48, 0xcf)],
        handler
      )
      yield* x86.longMode(vcpu, memory, { entry, stack, tables, handlers: { 6: handler } })
      assert.deepStrictEqual([yield* toldBy(vcpu), yield* toldBy(vcpu)], [1, 2])
      yield* expectExit(vcpu, "Hlt")
    })
  )

  itKvm(
    "an interrupt from outside stops the guest that takes interrupts, and it goes on",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeMachine
      memory.bytes.set([...tell(1), ...asm("nop", 0x90), ...tell(2), ...hlt], entry)
      memory.bytes.set([...tell(0x30), ...asm("iretq", 0x48, 0xcf)], handler)
      yield* x86.longMode(vcpu, memory, { entry, stack, tables, interrupts: true, handlers: { 48: handler } })
      assert.strictEqual(yield* toldBy(vcpu), 1)
      yield* Kvm.interrupt(vcpu, 0x30)
      assert.deepStrictEqual([yield* toldBy(vcpu), yield* toldBy(vcpu)], [0x30, 2])
      yield* expectExit(vcpu, "Hlt")
      assert.strictEqual((yield* Kvm.getRegs(vcpu)).rflags & x86.RFLAGS_IF, x86.RFLAGS_IF)
    })
  )

  itKvm(
    "a handler runs on the interrupt stack of its gate",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeMachine
      memory.bytes.set(ud2, entry)
      memory.bytes.set(hlt, handler)
      const ist = [0xa000, 0xb000, 0xc000]
      yield* x86.longMode(vcpu, memory, { entry, stack, tables, ist, handlers: { 6: { handler, ist: 3 } } })
      yield* expectExit(vcpu, "Hlt")
      assert.strictEqual((yield* Kvm.getRegs(vcpu)).rsp, 0xc000n - 40n)
    })
  )

  itKvm(
    "ring 3 runs on its own pages, and faults to ring 0 on the kernel's stack; ring 0 goes on there by iretq",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeMachine
      memory.bytes.set(
        [...asm("inc rbx", 0x48, 0xff, 0xc3), ...ud2, ...asm("inc rbx", 0x48, 0xff, 0xc3), ...hlt],
        entry
      )
      memory.bytes.set(
        [...tell(6), ...asm("add qword [rsp], 2", 0x48, 0x83, 0x04, 0x24, 0x02), ...asm("iretq", 0x48, 0xcf)],
        handler
      )
      memory.bytes.set([...tell(13), ...hlt], handler + 0x100)
      const handlers = { 6: handler, 13: handler + 0x100 }
      yield* x86.longMode(vcpu, memory, { entry, stack, kernelStack, ring: 3, tables, handlers })
      assert.strictEqual((yield* Kvm.getSregs(vcpu)).cs.dpl, 3)
      assert.strictEqual(yield* toldBy(vcpu), 6)
      assert.strictEqual((yield* Kvm.getSregs(vcpu)).cs.selector, x86.longModeSelectors.code)
      assert.strictEqual(yield* toldBy(vcpu), 13)
      const { rbx, rsp } = yield* Kvm.getRegs(vcpu)
      assert.deepStrictEqual([rbx, rsp], [2n, BigInt(kernelStack - 48)])
    })
  )

  itKvm(
    "a kernel in the upper half, its data not executable: running them is a page fault that says so",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeMachine
      const upper = 0xffff_8000_0000_0000n
      memory.bytes.set([...asm("jmp rax", 0xff, 0xe0)], entry)
      memory.bytes.set([...tell(14), ...hlt], handler)
      yield* x86.longMode(vcpu, memory, {
        entry: upper + BigInt(entry),
        stack: upper + BigInt(stack),
        tables,
        map: [
          { virtual: upper, physical: 0, size: 0x8_0000 },
          { virtual: upper + 0x8_0000n, physical: 0x8_0000, size: 0x18_0000, executable: false }
        ],
        handlers: { 14: upper + BigInt(handler) },
        regs: { rax: upper + 0x8_1000n }
      })
      assert.strictEqual(yield* toldBy(vcpu), 14)
      const { cr2, efer } = yield* Kvm.getSregs(vcpu)
      assert.deepStrictEqual([cr2, efer & x86.EFER_NX], [upper + 0x8_1000n, x86.EFER_NX])
      // The error code: a fetch of a page that is present.
      const { rsp } = yield* Kvm.getRegs(vcpu)
      const code = new DataView(memory.bytes.buffer).getBigUint64(Number(rsp - upper), true)
      assert.strictEqual(code & 0x11n, 0x11n)
    })
  )

  itKvm(
    "an entry that would fault at once is refused",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeMachine
      const long = (options: Partial<Kvm.x86.LongModeOptions>) =>
        x86.longMode(vcpu, memory, { entry, stack, tables, ...options })
      yield* expectState(long({ entry: 0x20_0000, map: [x86.identity(0x20_0000)] }), "mode.entry", "rip")
      yield* expectState(long({ map: [x86.identity(0x20_0000, { executable: false })] }), "mode.entry", "rip")
      yield* expectState(long({ ring: 3, map: [x86.identity(0x20_0000)] }), "mode.entry", "rip")
      yield* expectState(long({ entry: 1n << 47n }), "mode.entry", "rip")
      yield* expectState(long({ entry: 0.5 }), "rip.canonical", "rip")
      yield* expectState(long({ map: [x86.identity(0x1_0000)], handlers: {} }), "mode.seen", "tss")
      yield* expectState(long({ tables: 0x1f_f000 }), "memory.range", "page tables")
      yield* expectState(long({ tables: 0x20_0000 }), "memory.range", "tss")
      yield* expectState(long({ handlers: { 256: 0 } }), "gate.vector", "idt")
      yield* expectState(long({ handlers: { 6: { handler, ist: 8 } } }), "gate.ist", "gate 6")
      yield* expectState(long({ cr4: x86.CR4_LA57 }), "cr4.feature", "cr4")
      yield* expectState(long({ cr0: x86.CR0_NW }), "cr0.nw", "cr0")
    })
  )

  itKvm(
    "five levels, where the host has them; else the rule that says so",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeMachine
      memory.bytes.set(hlt, entry)
      yield* x86.setDefaultCpuid(vcpu)
      const upper = 0xff00_0000_0000_0000n
      const long = x86.longMode(vcpu, memory, {
        entry: upper + BigInt(entry),
        stack,
        tables,
        levels: 5,
        map: [{ virtual: upper, physical: 0, size: 0x20_0000 }]
      })
      if (Kvm.hasCpuidFeature(yield* Kvm.getCpuid2(vcpu), Kvm.CpuidFeature.LA57)) {
        yield* long
        yield* expectExit(vcpu, "Hlt")
      } else yield* expectState(long, "cr4.feature", "cr4")
    })
  )

  itKvm(
    "tables and code over several regions",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      yield* Kvm.addMemory(vm, { guestAddress: 0, size: 0x4000 })
      yield* Kvm.addMemory(vm, { guestAddress: 0x1_0000, size: 0x1_0000 })
      const memory = Kvm.guestMemory(vm)
      yield* Kvm.writeMemory(memory, entry, Uint8Array.from([...tell(1), ...hlt]))
      const vcpu = yield* Kvm.createVcpu(vm, 0)
      yield* x86.longMode(vcpu, memory, { entry, stack: 0x4000, tables })
      assert.strictEqual(yield* toldBy(vcpu), 1)
    })
  )

  itKvm(
    "neither mode takes a ring or a depth of tables that there is not for another one",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeMachine
      const before = yield* Kvm.getSregs(vcpu)
      for (const [message, mode] of [
        // @ts-expect-error: none of 0 and 3
        ["ring: expected 0 or 3, got 1", x86.longMode(vcpu, memory, { entry, tables, ring: 1 })],
        // @ts-expect-error: the same
        ["ring: expected 0 or 3, got 4", x86.protectedMode(vcpu, memory, { entry, ring: 4 })],
        // @ts-expect-error: none of 4 and 5
        ["levels: expected 4 or 5, got 3", x86.longMode(vcpu, memory, { entry, tables, levels: 3 })]
      ] as const) {
        const exit = yield* Effect.exit(mode)
        const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        assert.instanceOf(error, TypeError)
        assert.strictEqual(error instanceof Error && error.message, message)
      }
      assert.deepStrictEqual(yield* Kvm.getSregs(vcpu), before)
      assert.isTrue(memory.bytes.every((byte) => byte === 0))
    })
  )
})

describe("types", () => {
  it("refuse what no mode has", () => {
    const types = (vcpu: Kvm.Vcpu, memory: Kvm.GuestMemory) => [
      // @ts-expect-error: long mode has page tables, which lie somewhere
      x86.longMode(vcpu, memory, { entry }),
      // @ts-expect-error: real mode has linear addresses, or segment and offset
      x86.realMode(vcpu, { entry: 0x1000n }),
      // @ts-expect-error: nobody begins in ring 1
      x86.protectedMode(vcpu, memory, { entry, ring: 1 }),
      // @ts-expect-error: no such feature
      x86.setDefaultCpuid(vcpu, { features: { AVX3: true } }),
      // @ts-expect-error: no such rule
      new x86.GuestStateError({ rule: "cr0", register: "cr0", detail: "" }),
      // @ts-expect-error: a page size is a name
      x86.identity(0x1000, { pageSize: 4096 })
    ]
    assert.isFunction(types)
  })
})

describeKvm("Kvm.x86.setDefaultCpuid", () => {
  itKvm(
    "gives the host's features, less those not wanted, and the vCPU's identifier; the guest sees it",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const memory = yield* Kvm.addMemory(vm, { guestAddress: 0, size: 0x20_0000 })
      const vcpu = yield* Kvm.createVcpu(vm, 3)
      const options = { vcpus: 4, features: { SSE: true, SSE2: false } } as const
      yield* x86.setDefaultCpuid(vcpu, options)
      const supported = yield* Kvm.getSupportedCpuid
      const wanted = yield* x86.cpuidFor(supported, 3, options)
      const { HYPERVISOR, SSE, SSE2 } = Kvm.CpuidFeature
      assert.isTrue([SSE, HYPERVISOR].every((feature) => Kvm.hasCpuidFeature(wanted, feature)))
      assert.isTrue(Kvm.hasCpuidFeature(supported, SSE2))
      assert.isFalse(Kvm.hasCpuidFeature(wanted, SSE2))
      const leaf = Kvm.findCpuid(wanted, 1)
      assert.deepStrictEqual([(leaf?.ebx ?? 0) >>> 24, ((leaf?.ebx ?? 0) >>> 16) & 0xff], [3, 4])
      const kept = Kvm.findCpuid(yield* Kvm.getCpuid2(vcpu), 1)
      assert.strictEqual(kept?.ebx, leaf?.ebx)
      memory.bytes.set([...asm("cpuid", 0x0f, 0xa2), ...hlt], entry)
      yield* x86.longMode(vcpu, memory, { entry, stack, tables, regs: { rax: 1n } })
      yield* expectExit(vcpu, "Hlt")
      const regs = yield* Kvm.getRegs(vcpu)
      assert.strictEqual(Number(regs.rbx >> 24n), 3)
      // A KVM without the hardware's help cannot hide what the host's processor does.
      const hidden = (((kept?.edx ?? 0) >>> SSE2.bit) & 1) === 0
      if (hidden) assert.strictEqual((Number(regs.rdx) >>> SSE2.bit) & 1, 0)
    })
  )

  itKvm(
    "a feature that the host lacks is a typed error that names it, and the vCPU is given nothing",
    Effect.gen(function* () {
      const { vcpu } = yield* makeMachine
      const supported = yield* Kvm.getSupportedCpuid
      const lacking = Object.entries(Kvm.CpuidFeature).find(([, feature]) => !Kvm.hasCpuidFeature(supported, feature))
      assert.isDefined(lacking, "there is no processor that has all of them")
      const error = yield* Effect.flip(x86.setDefaultCpuid(vcpu, { features: { [lacking?.[0] ?? ""]: true } }))
      assert.instanceOf(error, x86.MissingFeature)
      assert.include(error.message, lacking?.[0])
      assert.deepStrictEqual(yield* Kvm.getCpuid2(vcpu), [])
    })
  )

  it.effect("the topology leaves say how many there are, and which one this is", () =>
    Effect.gen(function* () {
      const leaf = (leaf: number, index = 0) => ({
        function: leaf,
        index,
        flags: 0,
        eax: leaf === 0 ? 0x20 : 0,
        ebx: 0,
        ecx: 0,
        edx: 0
      })
      const supported = [leaf(0), leaf(1), leaf(0xb), leaf(0xd, 1), leaf(0x8000_0008)]
      const entries = yield* x86.cpuidFor(supported, 5, { vcpus: 6 })
      const levels = entries.filter((entry) => entry.function === 0xb)
      assert.deepStrictEqual(
        levels.map(({ eax, ebx, ecx, edx, index }) => [index, eax, ebx, ecx, edx]),
        [
          [0, 0, 1, 0x100, 5],
          [1, 3, 6, 0x201, 5],
          [2, 0, 0, 2, 5]
        ]
      )
      assert.strictEqual(Kvm.findCpuid(entries, 0x8000_0008)?.ecx, 0x3005)
      const few = yield* x86.cpuidFor(supported, 0, { maxLeaf: 4 })
      assert.deepStrictEqual(
        few.map((entry) => entry.function),
        [0, 1, 0x8000_0008]
      )
      assert.strictEqual(Kvm.findCpuid(few, 0)?.eax, 4)
    })
  )
})
