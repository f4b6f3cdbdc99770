/** Floating point, extended state and the local APIC of a real vCPU: what is set is what is read, and what the guest sees. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { File, Ioctl, Kvm } from "../src/index.ts"
import { asm, expectErrno, expectExit, hlt, itKvm, makeGuest } from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"

const u64 = Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: 0n, maximum: 0xffff_ffff_ffff_ffffn }))

/** A pattern of so many bytes that no two places of it share. */
const pattern = (length: number, seed: number) =>
  Uint8Array.from({ length }, (_, index) => (index * 7 + seed * 31 + 1) & 0xff)

/** Each register with another pattern; the x87 ones have 10 bytes. */
const registers = {
  fpr: Array.from({ length: 8 }, (_, index) => {
    const bytes = new Uint8Array(16)
    bytes.set(pattern(10, index))
    return bytes
  }),
  xmm: Array.from({ length: 16 }, (_, index) => pattern(16, index + 8))
}

const makeIrqchip = (vm: Kvm.Vm) =>
  File.ioctl(vm.file, Ioctl.none(Kvm.KvmVm, Ioctl._IO(Kvm.KVMIO, 0x60), { name: "KVM_CREATE_IRQCHIP" }))

/** Where the extended state's standard format has what. */
const mxcsrAt = 24
const xmmAt = 160
const headerAt = 512

/** Makes the processor take x87 and SSE registers from memory, not their initial values. */
const markUsed = (vcpu: Kvm.Vcpu) =>
  Effect.flatMap(Kvm.getXsave(vcpu), ({ region }) => {
    region[headerAt] = 3
    new DataView(region.buffer).setUint32(mxcsrAt, 0x1f80, true)
    return Kvm.setXsave(vcpu, { region })
  })

describeKvm("Kvm.getFpu, setFpu", () => {
  itKvm(
    "what is set is what is read, in every register but mxcsr",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const fpu: Kvm.kvm_fpu = {
        ...registers,
        fcw: 0x27f,
        fsw: 0x3800,
        ftwx: 0xa5,
        last_opcode: 0x123,
        last_ip: 0x1234_5678n,
        last_dp: 0x8765_4321n,
        mxcsr: 0
      }
      // The kernel transfers all but mxcsr, either way.
      yield* Kvm.setFpu(vcpu, { ...fpu, mxcsr: 0x1f80 })
      assert.deepStrictEqual(yield* Kvm.getFpu(vcpu), fpu)
    })
  )

  it.live.prop("so are any bytes of a vector register", { low: u64, high: u64 }, ({ high, low }) =>
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const fpu = yield* Kvm.getFpu(vcpu)
      const bytes = new Uint8Array(new BigUint64Array([low, high]).buffer)
      const xmm = [...fpu.xmm.slice(0, 15), bytes]
      yield* Kvm.setFpu(vcpu, { ...fpu, xmm })
      assert.deepStrictEqual((yield* Kvm.getFpu(vcpu)).xmm, xmm)
    }).pipe(Effect.scoped, Effect.provide(Kvm.layer))
  )

  itKvm(
    "the guest stores what the host set, and the host reads what it loaded",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([
        ...asm("fnstcw [0x1800]", 0xd9, 0x3e, 0x00, 0x18),
        ...asm("movdqu [0x1810], xmm1", 0xf3, 0x0f, 0x7f, 0x0e, 0x10, 0x18),
        ...asm("movdqu xmm2, [0x1820]", 0xf3, 0x0f, 0x6f, 0x16, 0x20, 0x18),
        ...hlt
      ])
      yield* Kvm.modifySregs(vcpu, ({ cr4 }) => ({ cr4: cr4 | 0x200n })) // OSFXSR
      yield* markUsed(vcpu)
      const fpu = yield* Kvm.getFpu(vcpu)
      const stored = pattern(16, 3)
      const loaded = pattern(16, 9)
      yield* Kvm.setFpu(vcpu, {
        ...fpu,
        fcw: 0x27f,
        xmm: fpu.xmm.map((bytes, index) => (index === 1 ? stored : bytes))
      })
      memory.bytes.set(loaded, 0x820)
      yield* expectExit(vcpu, "Hlt")
      assert.strictEqual(new DataView(memory.mapping.buffer).getUint16(0x800, true), 0x27f)
      assert.deepStrictEqual(memory.bytes.slice(0x810, 0x820), stored)
      assert.deepStrictEqual((yield* Kvm.getFpu(vcpu)).xmm[2], loaded)
    })
  )

  itKvm(
    "a value that does not fit fails with EINVAL naming the field, and sets nothing",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const before = yield* Kvm.getFpu(vcpu)
      const cases = [
        [{ ...before, fcw: 0x1_0000 }, "fcw"],
        [{ ...before, xmm: before.xmm.slice(1) }, "xmm"],
        [{ ...before, fpr: [...before.fpr.slice(1), new Uint8Array(17)] }, "fpr[7]"]
      ] as const
      for (const [fpu, field] of cases) {
        const error = yield* expectErrno(Kvm.setFpu(vcpu, { ...fpu, mxcsr: 0x1f80 }), "EINVAL")
        assert.include(error.message, field)
      }
      assert.deepStrictEqual(yield* Kvm.getFpu(vcpu), before)
    })
  )
})

describeKvm("Kvm.getXsave, getXsave2, setXsave", () => {
  itKvm(
    "hold the same registers as the floating point state, and what is set is what is read",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      yield* markUsed(vcpu)
      const fpu = yield* Kvm.getFpu(vcpu)
      yield* Kvm.setFpu(vcpu, { ...fpu, ...registers })
      const xsave = yield* Kvm.getXsave(vcpu)
      assert.strictEqual(xsave.region.length, 4096)
      registers.xmm.forEach((bytes, index) => {
        const at = xmmAt + 16 * index
        assert.deepStrictEqual(xsave.region.slice(at, at + 16), bytes)
      })
      const region = xsave.region.slice()
      region.set(pattern(16, 77), xmmAt + 16 * 15)
      yield* Kvm.setXsave(vcpu, { region })
      assert.deepStrictEqual((yield* Kvm.getFpu(vcpu)).xmm[15], pattern(16, 77))
      assert.deepStrictEqual((yield* Kvm.getXsave(vcpu)).region, region)
    })
  )

  itKvm(
    "the larger one has the size that the machine's capability says, and begins like the smaller one",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt])
      const size = yield* Kvm.checkExtension(vm, Kvm.KVM_CAP_XSAVE2)
      if (size === 0) {
        const error = yield* Effect.flip(Kvm.getXsave2(vcpu))
        assert.deepInclude(error, { _tag: "MissingCapability", capability: "KVM_CAP_XSAVE2" })
        return
      }
      const { region } = yield* Kvm.getXsave2(vcpu)
      assert.strictEqual(region.length, size)
      assert.deepStrictEqual(region.slice(0, 4096), (yield* Kvm.getXsave(vcpu)).region)
      yield* Kvm.setXsave(vcpu, { region })
      assert.deepStrictEqual((yield* Kvm.getXsave2(vcpu)).region, region)
    })
  )

  itKvm(
    "a region of another size fails with EINVAL naming it, and so does a component that the vCPU has not",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt])
      const size = Math.max(4096, yield* Kvm.checkExtension(vm, Kvm.KVM_CAP_XSAVE2))
      for (const length of [0, 4095, size + 1, size + 4096]) {
        const error = yield* expectErrno(Kvm.setXsave(vcpu, { region: new Uint8Array(length) }), "EINVAL")
        assert.include(error.message, String(length))
      }
      const { region } = yield* Kvm.getXsave(vcpu)
      region[headerAt + 7] = 0x40 // component 62
      yield* expectErrno(Kvm.setXsave(vcpu, { region }), "EINVAL")
    })
  )

  itKvm(
    "a request made with too little memory does not let the kernel write beyond it",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      for (const size of [0, 512, 4095, 1e9, Number.NaN]) {
        yield* expectErrno(File.ioctl(vcpu.file, Kvm.KVM_GET_XSAVE2, size), "EINVAL")
      }
    })
  )
})

describeKvm("Kvm.getXcrs, setXcrs", () => {
  itKvm(
    "XCR0 can be what the vCPU's CPUID allows, and nothing else",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      yield* Kvm.setCpuid2(vcpu, yield* Kvm.getSupportedCpuid)
      const xcrs = yield* Kvm.getXcrs(vcpu)
      if (xcrs.length === 0) return // a host without xsave
      assert.deepStrictEqual(xcrs, [{ xcr: 0, value: 1n }])
      yield* Kvm.setXcrs(vcpu, [{ xcr: 0, value: 3n }])
      assert.deepStrictEqual(yield* Kvm.getXcrs(vcpu), [{ xcr: 0, value: 3n }])
      // Without x87, and a component that no processor has.
      for (const value of [2n, 3n | (1n << 62n)]) {
        yield* expectErrno(Kvm.setXcrs(vcpu, [{ xcr: 0, value }]), "EINVAL")
      }
      assert.deepStrictEqual(yield* Kvm.getXcrs(vcpu), [{ xcr: 0, value: 3n }])
    })
  )

  itKvm(
    "more than there is room for fails with EINVAL naming them",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const many = Array.from({ length: 17 }, (_, xcr) => ({ xcr, value: 1n }))
      const error = yield* expectErrno(Kvm.setXcrs(vcpu, many), "EINVAL")
      assert.include(error.message, "xcrs")
    })
  )
})

describeKvm("Kvm.getLapic, setLapic", () => {
  const makeLapic = Effect.gen(function* () {
    const vm = yield* Kvm.createVm()
    yield* makeIrqchip(vm)
    return yield* Kvm.createVcpu(vm, 3)
  })
  const { ID, LVT_LINT0, LVT_LINT1, SVR, TPR, VERSION } = Kvm.LapicRegister

  itKvm(
    "registers are where the manual says, and what is set is what is read",
    Effect.gen(function* () {
      const vcpu = yield* makeLapic
      const lapic = yield* Kvm.getLapic(vcpu)
      assert.strictEqual(lapic.regs.length, Kvm.KVM_APIC_REG_SIZE)
      assert.strictEqual(Kvm.lapicRegister(lapic, ID), 3 << 24)
      assert.strictEqual(Kvm.lapicRegister(lapic, VERSION) & 0xff, 0x14)
      assert.strictEqual(Kvm.lapicRegister(lapic, SVR), 0xff)
      const changed = [
        [SVR, 0x1ef],
        [TPR, 0x20],
        [LVT_LINT0, 0x8700],
        [LVT_LINT1, 0x400]
      ] as const
      const wanted = changed.reduce((state, [offset, value]) => Kvm.withLapicRegister(state, offset, value), lapic)
      yield* Kvm.setLapic(vcpu, wanted)
      const now = yield* Kvm.getLapic(vcpu)
      for (const [offset, value] of changed) assert.strictEqual(Kvm.lapicRegister(now, offset), value)
      assert.strictEqual(Kvm.lapicRegister(lapic, SVR), 0xff, "the given state stays as it is")
    })
  )

  itKvm(
    "without an interrupt controller in the kernel it fails with EINVAL",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      yield* expectErrno(Kvm.getLapic(vcpu), "EINVAL")
      yield* expectErrno(Kvm.setLapic(vcpu, { regs: new Uint8Array(1024) }), "EINVAL")
    })
  )

  itKvm(
    "too many bytes fail with EINVAL naming them",
    Effect.gen(function* () {
      const vcpu = yield* makeLapic
      const error = yield* expectErrno(Kvm.setLapic(vcpu, { regs: new Uint8Array(1025) }), "EINVAL")
      assert.include(error.message, "regs")
    })
  )
})

describe("Kvm.lapicRegister, withLapicRegister", () => {
  const lapic: Kvm.kvm_lapic_state = { regs: new Uint8Array(1024) }

  it("read and write 32 bits, and refuse what is no register or does not fit", () => {
    const changed = Kvm.withLapicRegister(lapic, 0x3f0, 0xffff_fffe)
    assert.strictEqual(Kvm.lapicRegister(changed, 0x3f0), 0xffff_fffe)
    assert.strictEqual(Kvm.lapicRegister(changed, 0x3e0), 0)
    assert.deepStrictEqual(lapic.regs, new Uint8Array(1024))
    for (const offset of [-16, 4, 0x400, 0.5, Number.NaN]) {
      assert.throws(() => Kvm.lapicRegister(lapic, offset), RangeError, "offset")
    }
    for (const value of [-1, 2 ** 32, 1.5]) {
      assert.throws(() => Kvm.withLapicRegister(lapic, 0x20, value), RangeError, "value")
    }
    assert.throws(() => Kvm.lapicRegister({ regs: new Uint8Array(3) }, 0x20), RangeError, "regs")
  })

  it("work on a state that lies within another buffer", () => {
    const regs = new Uint8Array(2000).subarray(100, 1124)
    regs[0x20] = 5
    assert.strictEqual(Kvm.lapicRegister({ regs }, 0x20), 5)
  })
})
