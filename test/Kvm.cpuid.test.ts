/** What the `cpuid` instruction answers, of the system and in a guest, and how much of everything there may be. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Errno, Kvm, Syscall } from "../src/index.ts"
import { asm, expectErrno, expectExit, hlt, itKvm, makeGuest } from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"

const entry = (leaf: number, index: number, registers: Partial<Kvm.kvm_cpuid_entry2>): Kvm.kvm_cpuid_entry2 => ({
  function: leaf,
  index,
  flags: 0,
  eax: 0,
  ebx: 0,
  ecx: 0,
  edx: 0,
  ...registers
})

const registersOf = ({ eax, ebx, ecx, edx }: Kvm.kvm_cpuid_entry2) => [eax, ebx, ecx, edx]

/** Asks the processor, in the guest. */
const cpuid = [...asm("cpuid", 0x0f, 0xa2), ...hlt]

/** Answers `KVM_CHECK_EXTENSION` for a capability in the kernel's place, and another request with what `answer` says. */
const pretending = (
  capability: number,
  value: number,
  request: { readonly code: number },
  answer: (memory: Uint8Array) => number
) =>
  Effect.provideService(
    Syscall.Trampoline,
    Syscall.intercept(Syscall.kernel, (nr, args, proceed) => {
      const [, code, argument] = args
      if (nr !== Syscall.nr.ioctl) return proceed()
      if (code === Kvm.KVM_CHECK_EXTENSION.code && argument === capability) return value
      if (code === request.code && argument instanceof Uint8Array) return answer(argument)
      return proceed()
    })
  )

const u32 = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0xffff_ffff }))

describeKvm("Kvm.getSupportedCpuid, getEmulatedCpuid", () => {
  itKvm(
    "tell of the processor: a vendor, and what every processor of 64 bits has",
    Effect.gen(function* () {
      const supported = yield* Kvm.getSupportedCpuid
      const vendor = Kvm.findCpuid(supported, 0)
      assert.isDefined(vendor)
      assert.isAtLeast(vendor?.eax ?? 0, 1)
      const text = new Uint8Array(Uint32Array.of(vendor?.ebx ?? 0, vendor?.edx ?? 0, vendor?.ecx ?? 0).buffer)
      assert.match(new TextDecoder().decode(text), /^[\x20-\x7e]{12}$/)
      for (const feature of ["FPU", "TSC", "MSR", "PAE", "CX8", "SSE2", "LM"] as const) {
        assert.isTrue(Kvm.hasCpuidFeature(supported, Kvm.CpuidFeature[feature]), feature)
      }
      assert.isTrue(Kvm.hasCpuidFeature(supported, Kvm.CpuidFeature.HYPERVISOR))
      const kvm = Kvm.findCpuid(supported, 0x4000_0000)
      assert.strictEqual(kvm?.ebx, 0x4b4d_564b) // KVMK
    })
  )

  itKvm(
    "emulated features are a list of the same form",
    Effect.gen(function* () {
      const emulated = yield* Kvm.getEmulatedCpuid
      assert.isDefined(Kvm.findCpuid(emulated, 1))
      assert.isTrue(Kvm.hasCpuidFeature(emulated, Kvm.CpuidFeature.MOVBE))
    })
  )

  itKvm(
    "a kernel with more entries is asked again with more room",
    Effect.gen(function* () {
      const rooms: Array<number> = []
      const entries = yield* Kvm.getSupportedCpuid.pipe(
        pretending(Kvm.KVM_CAP_EXT_CPUID, 1, Kvm.KVM_GET_SUPPORTED_CPUID, (memory) => {
          const { nent } = Kvm.kvm_cpuid2.decode(memory)
          rooms.push(nent)
          if (nent < 600) return -Errno.codes.E2BIG
          Kvm.kvm_cpuid2.encode({ nent: 600 }, memory)
          for (let at = 0; at < 600; at++) Kvm.kvm_cpuid_entry2.encode(entry(at, 0, { eax: 5 }), memory, 8 + 40 * at)
          return 0
        })
      )
      assert.deepStrictEqual(rooms, [256, 512, 1024])
      assert.strictEqual(entries.length, 600)
      assert.deepStrictEqual(entries[599], entry(599, 0, { eax: 5 }))
    })
  )
})

describeKvm("Kvm.getSupportedHvCpuid, getVcpuSupportedHvCpuid", () => {
  itKvm(
    "give the leaves of Hyper-V, or name the capability that this kernel lacks",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt])
      const asked = [
        [Kvm.getSupportedHvCpuid, yield* Kvm.checkExtension(Kvm.KVM_CAP_SYS_HYPERV_CPUID), "KVM_CAP_SYS_HYPERV_CPUID"],
        [
          Kvm.getVcpuSupportedHvCpuid(vcpu),
          yield* Kvm.checkExtension(vm, Kvm.KVM_CAP_HYPERV_CPUID),
          "KVM_CAP_HYPERV_CPUID"
        ]
      ] as const
      for (const [effect, supported, capability] of asked) {
        if (supported === 0) {
          const error = yield* Effect.flip<ReadonlyArray<unknown>, Kvm.SystemCpuidError | Kvm.GetCpuidError, Kvm.Kvm>(
            effect
          )
          assert.deepInclude(error, { _tag: "MissingCapability", capability })
        } else {
          assert.isDefined(Kvm.findCpuid(yield* effect, 0x4000_0000))
        }
      }
    })
  )

  itKvm(
    "are decoded where the kernel has them",
    Effect.gen(function* () {
      const hyperv = entry(0x4000_0000, 0, { eax: 0x4000_000a })
      const entries = yield* Kvm.getSupportedHvCpuid.pipe(
        pretending(Kvm.KVM_CAP_SYS_HYPERV_CPUID, 1, Kvm.KVM_GET_SUPPORTED_HV_CPUID, (memory) => {
          Kvm.kvm_cpuid2.encode({ nent: 1 }, memory)
          Kvm.kvm_cpuid_entry2.encode(hyperv, memory, 8)
          return 0
        })
      )
      assert.deepStrictEqual(entries, [hyperv])
    })
  )
})

describeKvm("Kvm.getCpuid2, setCpuid2", () => {
  itKvm(
    "a fresh vCPU answers nothing; what is set is what is read, but for what KVM keeps up to date",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      assert.deepStrictEqual(yield* Kvm.getCpuid2(vcpu), [])
      const supported = yield* Kvm.getSupportedCpuid
      yield* Kvm.setCpuid2(vcpu, supported)
      const now = yield* Kvm.getCpuid2(vcpu)
      const key = ({ function: leaf, index }: Kvm.kvm_cpuid_entry2) => `${leaf}.${index}`
      assert.deepStrictEqual(now.map(key), supported.map(key))
      assert.deepStrictEqual(Kvm.findCpuid(now, 0), Kvm.findCpuid(supported, 0))
      assert.deepStrictEqual(Kvm.findCpuid(now, 0x8000_0002), Kvm.findCpuid(supported, 0x8000_0002))
    })
  )

  itKvm(
    "as many as the kernel takes can be set and read; one more is E2BIG",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const entries = Array.from({ length: 256 }, (_, at) => entry(0x5000_0000 + at, 0, { eax: at, edx: 0xffff_ffff }))
      yield* Kvm.setCpuid2(vcpu, entries)
      assert.deepStrictEqual(yield* Kvm.getCpuid2(vcpu), entries)
      yield* expectErrno(Kvm.setCpuid2(vcpu, [...entries, entry(1, 0, {})]), "E2BIG")
    })
  )

  it.live.prop(
    "the guest's instruction answers what was set",
    { eax: u32, ebx: u32, ecx: u32, edx: u32 },
    (registers) =>
      Effect.gen(function* () {
        const { vcpu } = yield* makeGuest(cpuid, { rax: 0x4000_0123n, rcx: 7n })
        const flags = Kvm.KVM_CPUID_FLAG_SIGNIFCANT_INDEX
        yield* Kvm.setCpuid2(vcpu, [
          entry(0x4000_0000, 0, { eax: 0x4000_0123 }),
          entry(0x4000_0123, 6, { flags, eax: 1 }),
          entry(0x4000_0123, 7, { flags, ...registers }),
          entry(0x4000_0123, 8, { flags, eax: 2 })
        ])
        yield* expectExit(vcpu, "Hlt")
        const { rax, rbx, rcx, rdx } = yield* Kvm.getRegs(vcpu)
        assert.deepStrictEqual([rax, rbx, rcx, rdx].map(Number), Object.values(registers))
      }).pipe(Effect.scoped, Effect.provide(Kvm.layer))
  )

  itKvm(
    "once the guest has run the answers may not change",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest(cpuid)
      yield* Kvm.setCpuid2(vcpu, yield* Kvm.getSupportedCpuid)
      yield* expectExit(vcpu, "Hlt")
      const entries = yield* Kvm.getCpuid2(vcpu)
      yield* Kvm.setCpuid2(vcpu, entries)
      const changed = Kvm.modifyCpuid(entries, 0x4000_0000, 0, ({ ebx }) => ({ ebx: ebx ^ 1 }))
      yield* expectErrno(Kvm.setCpuid2(vcpu, changed), "EINVAL")
    })
  )

  itKvm(
    "a value that does not fit fails with EINVAL naming it",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const error = yield* expectErrno(Kvm.setCpuid2(vcpu, [entry(0, 0, {}), entry(1, 0, { ebx: -1 })]), "EINVAL")
      assert.include(error.message, "entries[1].ebx")
    })
  )

  itKvm(
    "the form of before has no index",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest(cpuid, { rax: 0n, rcx: 5n })
      yield* Kvm.setCpuid(vcpu, [{ function: 0, eax: 0xd, ebx: 1, ecx: 2, edx: 3 }])
      assert.deepStrictEqual(yield* Kvm.getCpuid2(vcpu), [entry(0, 0, { eax: 0xd, ebx: 1, ecx: 2, edx: 3 })])
      yield* expectExit(vcpu, "Hlt")
      assert.strictEqual((yield* Kvm.getRegs(vcpu)).rcx, 2n)
      const error = yield* expectErrno(
        Kvm.setCpuid(vcpu, [{ function: 0, eax: 2 ** 32, ebx: 0, ecx: 0, edx: 0 }]),
        "EINVAL"
      )
      assert.include(error.message, "entries[0].eax")
    })
  )
})

describe("Kvm.findCpuid, modifyCpuid, hasCpuidFeature, withCpuidFeature", () => {
  const significant = { flags: Kvm.KVM_CPUID_FLAG_SIGNIFCANT_INDEX }
  const entries = [
    entry(0, 0, { eax: 7 }),
    entry(1, 0, { ebx: 0xff00_0800, ecx: 1 << 5 }),
    entry(7, 0, { ...significant, ebx: 0x20 }),
    entry(7, 1, { ...significant, eax: 0x10 })
  ]

  it("find the entry that the processor would answer with", () => {
    assert.strictEqual(Kvm.findCpuid(entries, 7), entries[2])
    assert.strictEqual(Kvm.findCpuid(entries, 7, 1), entries[3])
    assert.isUndefined(Kvm.findCpuid(entries, 7, 2))
    assert.strictEqual(Kvm.findCpuid(entries, 1, 99), entries[1], "an index that is not significant answers for all")
    assert.isUndefined(Kvm.findCpuid(entries, 2))
  })

  it("change one entry, and leave the list and the others as they are", () => {
    const copy = structuredClone(entries)
    const changed = Kvm.modifyCpuid(entries, 1, 0, ({ ebx }) => ({ ebx: ebx + 1 }))
    assert.deepStrictEqual(entries, copy)
    assert.deepStrictEqual(changed[1], { ...entry(1, 0, { ecx: 1 << 5 }), ebx: 0xff00_0801 })
    assert.strictEqual(changed[0], entries[0])
    assert.strictEqual(changed.length, entries.length)
  })

  it("add an entry that there is not, whose index is significant where the leaf has others", () => {
    const added = Kvm.modifyCpuid(entries, 0x4000_0001, 0, () => ({ eax: 9 }))
    assert.deepStrictEqual(added.at(-1), entry(0x4000_0001, 0, { eax: 9 }))
    const second = Kvm.modifyCpuid(entries, 7, 2, () => ({ edx: 9 }))
    assert.deepStrictEqual(second.at(-1), entry(7, 2, { ...significant, edx: 9 }))
    assert.strictEqual(second.length, entries.length + 1)
  })

  it("tell and switch features, in any bit", () => {
    const { AVX2, SMEP, AVX512VL, AVX_VNNI, VMX } = Kvm.CpuidFeature
    const features = (list: ReadonlyArray<Kvm.kvm_cpuid_entry2>) =>
      [AVX2, SMEP, AVX512VL, AVX_VNNI, VMX].map((feature) => Kvm.hasCpuidFeature(list, feature))
    assert.deepStrictEqual(features(entries), [true, false, false, true, true])
    const changed = Kvm.withCpuidFeature(
      Kvm.withCpuidFeature(Kvm.withCpuidFeature(entries, AVX512VL), AVX2, false),
      VMX,
      false
    )
    assert.deepStrictEqual(features(changed), [false, false, true, true, false])
    assert.strictEqual(Kvm.findCpuid(changed, 7)?.ebx, 0x8000_0000)
    assert.strictEqual(Kvm.withCpuidFeature([], AVX2, false).length, 0, "nothing to switch off")
    assert.deepStrictEqual(registersOf(Kvm.withCpuidFeature([], AVX2)[0] ?? entry(0, 0, {})), [0, 0x20, 0, 0])
    assert.throws(() => Kvm.hasCpuidFeature(entries, { leaf: 1, index: 0, register: "eax", bit: 32 }), RangeError)
  })

  it("every feature has a place of its own", () => {
    const places = Object.values(Kvm.CpuidFeature).map((feature) => JSON.stringify(feature))
    assert.strictEqual(new Set(places).size, places.length)
  })
})

describeKvm("Kvm.getNrVcpus, getMaxVcpus, getMaxVcpuId, getNrMemslots", () => {
  const numbers = [
    [Kvm.getNrVcpus, Kvm.KVM_CAP_NR_VCPUS],
    [Kvm.getMaxVcpus, Kvm.KVM_CAP_MAX_VCPUS],
    [Kvm.getMaxVcpuId, Kvm.KVM_CAP_MAX_VCPU_ID],
    [Kvm.getNrMemslots, Kvm.KVM_CAP_NR_MEMSLOTS]
  ] as const

  itKvm(
    "are effects of the system's numbers and, called with a machine, of the machine's",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      for (const [number, capability] of numbers) {
        const expected = yield* Kvm.checkExtension(capability)
        assert.isAbove(expected, 0)
        assert.strictEqual(yield* number, expected)
        assert.strictEqual(yield* number(), expected)
        assert.strictEqual(yield* Effect.map(number, (value) => value + 1), expected + 1)
        assert.strictEqual(yield* number.pipe(Effect.map((value) => value + 2)), expected + 2)
        assert.strictEqual(yield* number(vm), yield* Kvm.checkExtension(vm, capability))
      }
    })
  )

  itKvm(
    "a machine takes as many slots as they say, and no more",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const slots = yield* Kvm.getNrMemslots(vm)
      yield* Kvm.addMemory(vm, { slot: slots - 1, guestAddress: 0x1000, size: 0x1000 })
      yield* expectErrno(Kvm.addMemory(vm, { slot: slots, guestAddress: 0x2000, size: 0x1000 }), "EINVAL")
      yield* Kvm.createVcpu(vm, (yield* Kvm.getMaxVcpuId(vm)) - 1)
      yield* expectErrno(Kvm.createVcpu(vm, yield* Kvm.getMaxVcpuId(vm)), "EINVAL")
    })
  )
})
