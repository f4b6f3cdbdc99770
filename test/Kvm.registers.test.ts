/** Registers of a real vCPU: what is set is what is read, and what the guest sees. */
import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Errno, Kvm, Syscall } from "../src/index.ts"
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

const most = 0xffff_ffff_ffff_ffffn
const u64 = Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: 0n, maximum: most }))
/** An address that 48-bit paging can have, in either half. */
const canonical = Schema.BigInt.check(
  Schema.isBetweenBigInt({ minimum: -0x8000_0000_0000n, maximum: 0x7fff_ffff_ffffn })
)

const general = {
  rax: u64,
  rbx: u64,
  rcx: u64,
  rdx: u64,
  rsi: u64,
  rdi: u64,
  rsp: u64,
  rbp: u64,
  r8: u64,
  r9: u64,
  r10: u64,
  r11: u64,
  r12: u64,
  r13: u64,
  r14: u64,
  r15: u64,
  rip: u64
}

describeKvm("Kvm.getRegs, setRegs, modifyRegs", () => {
  it.live.prop("what is set is what is read, in all 64 bits of every register", general, (values) =>
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      // Bit 1 of rflags is always set; the others are flags of arithmetic.
      const regs = { ...values, rflags: 0x8d7n }
      yield* Kvm.setRegs(vcpu, regs)
      assert.deepStrictEqual(yield* Kvm.getRegs(vcpu), regs)
    }).pipe(Effect.scoped, Effect.provide(Kvm.layer))
  )

  itKvm(
    "a fresh vCPU is as x86 resets it",
    Effect.gen(function* () {
      const vcpu = yield* Kvm.createVcpu(yield* Kvm.createVm(), 0)
      const { rflags, rip } = yield* Kvm.getRegs(vcpu)
      assert.deepStrictEqual({ rflags, rip }, { rflags: 2n, rip: 0xfff0n })
      const { cr0, cs } = yield* Kvm.getSregs(vcpu)
      assert.deepStrictEqual([cs.base, cs.selector, cr0 & 1n], [0xffff0000n, 0xf000, 0n])
    })
  )

  itKvm(
    "modifyRegs changes what the function returns, leaves the rest and gives all",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const before = yield* Kvm.getRegs(vcpu)
      const changed = yield* Kvm.modifyRegs(vcpu, ({ rax, rsp }) => ({ rax: rax + 1n, r15: rsp }))
      assert.deepStrictEqual(changed, { ...before, rax: before.rax + 1n, r15: before.rsp })
      assert.deepStrictEqual(yield* Kvm.getRegs(vcpu), changed)
    })
  )

  itKvm(
    "the guest computes with all 64 bits that the host set, and the host reads what it computed",
    Effect.gen(function* () {
      const { vcpu } = yield* makeLongGuest(
        [...asm("xor rax, r9", 0x4c, 0x31, 0xc8), ...asm("not rax", 0x48, 0xf7, 0xd0), ...hlt],
        { rax: 0x0123_4567_89ab_cdefn, r9: 0xf0f0_f0f0_0f0f_0f0fn }
      )
      yield* expectExit(vcpu, "Hlt")
      const expected = BigInt.asUintN(64, ~(0x0123_4567_89ab_cdefn ^ 0xf0f0_f0f0_0f0f_0f0fn))
      assert.strictEqual((yield* Kvm.getRegs(vcpu)).rax, expected)
    })
  )

  itKvm(
    "a value that is no unsigned 64-bit integer fails with EINVAL naming the register, and sets nothing",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const before = yield* Kvm.getRegs(vcpu)
      for (const rbx of [-1n, most + 1n]) {
        const error = yield* expectErrno(
          Kvm.modifyRegs(vcpu, () => ({ rax: 5n, rbx })),
          "EINVAL"
        )
        assert.include(error.message, "rbx")
      }
      assert.deepStrictEqual(yield* Kvm.getRegs(vcpu), before)
    })
  )
})

describeKvm("Kvm.getSregs, setSregs, modifySregs", () => {
  it.live.prop(
    "what is set is what is read, in all bits that an address may have",
    { cr2: u64, fs: canonical, gs: canonical, gdt: canonical, idt: canonical },
    (values) =>
      Effect.gen(function* () {
        const { vcpu } = yield* makeGuest([...hlt])
        const address = (value: bigint) => BigInt.asUintN(64, value)
        const sregs = yield* Kvm.modifySregs(vcpu, ({ fs, gs }) => ({
          cr2: values.cr2,
          fs: { ...fs, base: address(values.fs), selector: 0x1234 },
          gs: { ...gs, base: address(values.gs), selector: 0xffff },
          gdt: { base: address(values.gdt), limit: 0xffff },
          idt: { base: address(values.idt), limit: 0x3ff }
        }))
        const now = yield* Kvm.getSregs(vcpu)
        assert.strictEqual(now.cr2, values.cr2)
        assert.deepStrictEqual([now.fs, now.gs, now.gdt, now.idt], [sregs.fs, sregs.gs, sregs.gdt, sregs.idt])
      }).pipe(Effect.scoped, Effect.provide(Kvm.layer))
  )

  itKvm(
    "all of them can be set again as they were read",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const sregs = yield* Kvm.getSregs(vcpu)
      assert.strictEqual(sregs.interrupt_bitmap.length, 4)
      yield* Kvm.setSregs(vcpu, sregs)
      assert.deepStrictEqual(yield* Kvm.getSregs(vcpu), sregs)
    })
  )

  itKvm(
    "modifySregs changes what the function returns, leaves the rest and gives all",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const before = yield* Kvm.getSregs(vcpu)
      const changed = yield* Kvm.modifySregs(vcpu, ({ es }) => ({ es: { ...es, base: 0x12340n, selector: 0x1234 } }))
      assert.deepStrictEqual(changed, { ...before, es: { ...before.es, base: 0x12340n, selector: 0x1234 } })
      assert.deepStrictEqual(yield* Kvm.getSregs(vcpu), changed)
    })
  )

  itKvm(
    "the guest sees a segment's base",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([...asm("mov al, [0x10]", 0xa0, 0x10, 0x00), ...hlt])
      memory.bytes[0x810] = 0x77
      yield* Kvm.modifySregs(vcpu, ({ ds }) => ({ ds: { ...ds, base: 0x1800n, selector: 0x180 } }))
      yield* expectExit(vcpu, "Hlt")
      assert.strictEqual((yield* Kvm.getRegs(vcpu)).rax & 0xffn, 0x77n)
    })
  )

  itKvm(
    "what the processor cannot be in fails with EINVAL",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      // Paging without protection.
      yield* expectErrno(
        Kvm.modifySregs(vcpu, ({ cr0 }) => ({ cr0: (cr0 & ~1n) | 0x8000_0000n })),
        "EINVAL"
      )
    })
  )
})

describeKvm("Kvm.getSregs2, setSregs2", () => {
  itKvm(
    "have what the special registers have, and can be set again as they were read",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const { interrupt_bitmap, ...sregs } = yield* Kvm.getSregs(vcpu)
      assert.strictEqual(interrupt_bitmap.length, 4)
      const sregs2 = yield* Kvm.getSregs2(vcpu)
      assert.deepInclude(sregs2, sregs)
      assert.strictEqual(sregs2.flags, 0n, "no page directory pointers without PAE paging")
      yield* Kvm.setSregs2(vcpu, sregs2)
      assert.deepStrictEqual(yield* Kvm.getSregs2(vcpu), sregs2)
      yield* Kvm.setSregs2(vcpu, { ...sregs2, cr2: most, es: { ...sregs2.es, base: 0x5550n, selector: 0x555 } })
      const now = yield* Kvm.getSregs(vcpu)
      assert.deepStrictEqual([now.cr2, now.es.base, now.es.selector], [most, 0x5550n, 0x555])
    })
  )

  itKvm(
    "page directory pointers that are set are those that the guest has, and unknown flags are EINVAL",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const real = yield* Kvm.getSregs2(vcpu)
      const flat = { base: 0n, limit: 0xffff_ffff, present: 1, s: 1, db: 1, g: 1, dpl: 0, l: 0, avl: 0, unusable: 0 }
      const data = { ...flat, selector: 16, type: 3 }
      const pdptrs = [0x2001n, 0x3001n, 0n, 0n]
      const paging = {
        ...real,
        cs: { ...flat, selector: 8, type: 11 },
        ds: data,
        es: data,
        ss: data,
        cr0: 0x8000_0011n,
        cr3: 0x4000n,
        cr4: 0x20n,
        flags: BigInt(Kvm.KVM_SREGS2_FLAGS_PDPTRS_VALID),
        pdptrs
      }
      yield* expectErrno(Kvm.setSregs2(vcpu, { ...paging, flags: 4n }), "EINVAL")
      yield* Kvm.setSregs2(vcpu, paging)
      const now = yield* Kvm.getSregs2(vcpu)
      // A KVM without shadow or nested paging keeps them in memory.
      if (now.flags === paging.flags) assert.deepStrictEqual(now.pdptrs, pdptrs)
      const error = yield* expectErrno(Kvm.setSregs2(vcpu, { ...paging, pdptrs: [1n] }), "EINVAL")
      assert.include(error.message, "pdptrs")
    })
  )
})

describeKvm("Kvm.getOneReg, setOneReg, getRegList", () => {
  const msr = (index: bigint) => Kvm.KVM_X86_REG_MSR(Number(index))
  const STAR = msr(0xc000_0081n)

  /** Whether this kernel has them; where it has not, it says so by the capability. */
  const supported = (vm: Kvm.Vm, vcpu: Kvm.Vcpu) =>
    Effect.gen(function* () {
      if ((yield* Kvm.checkExtension(vm, Kvm.KVM_CAP_ONE_REG)) !== 0) return true
      for (const effect of [Kvm.getOneReg(vcpu, STAR), Kvm.setOneReg(vcpu, STAR, 0n), Kvm.getRegList(vcpu)]) {
        const error = yield* Effect.flip(Effect.asVoid<unknown, Kvm.OneRegError | Kvm.RegListError, never>(effect))
        assert.deepInclude(error, { _tag: "MissingCapability", capability: "KVM_CAP_ONE_REG" })
      }
      return false
    })

  it("identifiers of model-specific registers, and of KVM's own, are as Linux 6.18 has them", () => {
    assert.strictEqual(STAR, 0x2030_0002_c000_0081n)
    assert.strictEqual(Kvm.KVM_X86_REG_KVM(Kvm.KVM_REG_GUEST_SSP), 0x2030_0003_0000_0000n)
    for (const index of [-1, 2 ** 32, 0.5]) assert.throws(() => Kvm.KVM_X86_REG_MSR(index), RangeError, "index")
  })

  itKvm(
    "the list has identifiers that can be read, and is asked for again with more room where it is longer",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt])
      if (!(yield* supported(vm, vcpu))) return
      yield* Kvm.setCpuid2(vcpu, yield* Kvm.getSupportedCpuid)
      for (const id of yield* Kvm.getRegList(vcpu)) yield* Kvm.getOneReg(vcpu, id)
      const rooms: Array<number> = []
      const list = yield* Kvm.getRegList(vcpu).pipe(
        Effect.provideService(
          Syscall.Trampoline,
          Syscall.intercept(Syscall.kernel, (nr, args, proceed) => {
            const [, code, memory] = args
            if (nr !== Syscall.nr.ioctl || code !== Kvm.KVM_GET_REG_LIST.code || !(memory instanceof Uint8Array)) {
              return proceed()
            }
            rooms.push(memory.length / 8 - 1)
            if (memory.length < 8 * 101) return -Errno.codes.E2BIG
            Kvm.kvm_reg_list.encode({ n: 100n }, memory)
            new BigUint64Array(memory.buffer, memory.byteOffset).fill(STAR, 1)
            return 0
          })
        )
      )
      assert.deepStrictEqual(rooms, [64, 128])
      assert.deepStrictEqual(
        list,
        Array.from({ length: 100 }, () => STAR)
      )
    })
  )

  itKvm(
    "what is set is what is read, in all 64 bits; a kernel without them says so by a typed error",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt])
      if (!(yield* supported(vm, vcpu))) return
      for (const value of [0n, 0x0023_0010_8765_4321n, 0xfedc_ba98_7654_3210n, most]) {
        yield* Kvm.setOneReg(vcpu, STAR, value)
        assert.strictEqual(yield* Kvm.getOneReg(vcpu, STAR), value)
      }
    })
  )

  itKvm(
    "the guest reads what was set",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...asm("rdmsr", 0x0f, 0x32), ...hlt], { rcx: 0xc000_0081n })
      if (!(yield* supported(vm, vcpu))) return
      yield* Kvm.setOneReg(vcpu, STAR, 0x0023_0010_8765_4321n)
      yield* expectExit(vcpu, "Hlt")
      const { rax, rdx } = yield* Kvm.getRegs(vcpu)
      assert.deepStrictEqual([rdx, rax], [0x0023_0010n, 0x8765_4321n])
    })
  )

  itKvm(
    "a register that does not exist, or of another size, is a typed error",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt])
      if (!(yield* supported(vm, vcpu))) return
      const index = STAR & 0xffff_ffffn
      const another = [msr(0xffff_fff0n), Kvm.KVM_REG_X86 | Kvm.KVM_REG_SIZE_U8 | (2n << 32n) | index, 0n]
      for (const id of another) {
        const error = yield* Effect.flip(Kvm.getOneReg(vcpu, id))
        assert.include(["EINVAL", "ENOENT"], error._tag)
        assert.include(error.message, "KVM_GET_ONE_REG")
      }
    })
  )

  itKvm(
    "a value that does not fit the register, or an identifier above 64 bits, fails with EINVAL before the kernel is asked",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const asked: Array<Syscall.Call> = []
      yield* Effect.gen(function* () {
        for (const value of [-1n, most + 1n]) yield* expectErrno(Kvm.setOneReg(vcpu, STAR, value), "EINVAL")
        yield* expectErrno(Kvm.setOneReg(vcpu, STAR | (1n << 64n), 0n), "EINVAL")
        yield* expectErrno(Kvm.getOneReg(vcpu, STAR | (1n << 64n)), "EINVAL")
      }).pipe(
        Effect.provideService(
          Syscall.Trampoline,
          Syscall.record(Syscall.kernel, (call) => asked.push(call))
        )
      )
      assert.deepStrictEqual(asked, [])
    })
  )
})

describeKvm("Kvm registers of a running guest", () => {
  itKvm(
    "fail with EBUSY instead of holding up the loop, and are there again when it has stopped",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([...memoryCounter])
      const regs = yield* Kvm.getRegs(vcpu)
      const sregs = yield* Kvm.getSregs(vcpu)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Effect.forkScoped(Kvm.run(vcpu))
          assert.isTrue(yield* comesTrue(() => counted(memory) > 0))
          yield* expectErrno(Kvm.getRegs(vcpu), "EBUSY")
          yield* expectErrno(Kvm.setRegs(vcpu, regs), "EBUSY")
          yield* expectErrno(
            Kvm.modifyRegs(vcpu, () => ({})),
            "EBUSY"
          )
          yield* expectErrno(Kvm.getSregs(vcpu), "EBUSY")
          yield* expectErrno(Kvm.setSregs(vcpu, sregs), "EBUSY")
          yield* expectErrno(Kvm.getOneReg(vcpu, 0n), "EBUSY")
          yield* expectErrno(Kvm.setOneReg(vcpu, 0n, 0n), "EBUSY")
          yield* expectErrno(Kvm.runInline(vcpu), "EBUSY")
        })
      )
      assert.include([0x1000n, 0x1004n], (yield* Kvm.getRegs(vcpu)).rip)
    })
  )
})
