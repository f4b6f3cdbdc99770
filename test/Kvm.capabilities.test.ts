/** Capabilities by name: asked, listed, explained, switched on; and the numbers of requests and constants. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Predicate } from "effect"
import { expectTypeOf } from "vitest"
import { type Ioctl, Kvm, Syscall } from "../src/index.ts"
import { architectures, evaluateC, isNative, missing, valid } from "./support/c.ts"
import { expectErrno, hlt, itKvm, makeGuest } from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"

/** Does nothing but fail where the effect does not fail for want of this capability. */
const expectMissing = <A, E, R>(effect: Effect.Effect<A, E, R>, capability: Kvm.CapabilityName) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, Kvm.MissingCapability)
    if (error instanceof Kvm.MissingCapability) assert.strictEqual(error.capability, capability)
  })

describeKvm("Kvm.checkExtension", () => {
  itKvm(
    "takes a name or a number, of the system or a machine",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      for (const name of ["KVM_CAP_NR_MEMSLOTS", "KVM_CAP_IRQCHIP", "KVM_CAP_S390_PSW"] as const) {
        assert.strictEqual(yield* Kvm.checkExtension(name), yield* Kvm.checkExtension(Kvm[name]))
        assert.strictEqual(yield* Kvm.checkExtension(vm, name), yield* Kvm.checkExtension(vm, Kvm[name]))
      }
      assert.isAbove(yield* Kvm.checkExtension(vm, "KVM_CAP_NR_MEMSLOTS"), 1)
    })
  )

  itKvm(
    "a name that is none is a defect, when the effect runs",
    Effect.gen(function* () {
      // @ts-expect-error no such capability
      const wrong = Kvm.checkExtension("KVM_CAP_NONSENSE")
      // @ts-expect-error not a capability, though a constant
      const other = Kvm.checkExtension("KVM_EXIT_IO")
      for (const effect of [wrong, other]) {
        const exit = yield* Effect.exit(effect)
        assert.include(String(exit), "capability")
        assert.strictEqual(exit._tag, "Failure")
      }
    })
  )
})

describeKvm("Kvm.supportedCapabilities", () => {
  itKvm(
    "are all that the system or the machine has",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const ofSystem = yield* Kvm.supportedCapabilities()
      const ofVm = yield* Kvm.supportedCapabilities(vm)
      assert.isAbove(ofSystem.size, 20)
      assert.isAtLeast(ofVm.get("KVM_CAP_USER_MEMORY") ?? 0, 1)
      for (const [name, value] of ofVm) {
        assert.notStrictEqual(value, 0)
        assert.strictEqual(value, yield* Kvm.checkExtension(vm, name))
      }
      assert.isFalse(ofVm.has("KVM_CAP_PPC_SMT"))
    })
  )

  itKvm(
    "and no other that this library does not name, up to the youngest",
    Effect.gen(function* () {
      const named = new Set(Object.values(Kvm.capabilities).map(({ number }) => number))
      const unnamed: Array<number> = []
      for (let number = 0; number <= Math.max(...named); number++) {
        if (!named.has(number) && (yield* Kvm.checkExtension(number)) !== 0) unnamed.push(number)
      }
      assert.deepStrictEqual(unnamed, [])
    })
  )
})

describe("Kvm.capabilities", () => {
  it("has every capability by its number, with a summary, and bits only where the answer is a set", () => {
    const constants = Object.entries(Kvm).flatMap(([name, value]) =>
      name.startsWith("KVM_CAP_") && typeof value === "number" ? [[name, value]] : []
    )
    assert.deepStrictEqual(
      Object.entries(Kvm.capabilities)
        .map(([name, { number }]) => [name, number])
        .toSorted(),
      constants.toSorted()
    )
    for (const [name, { bits, summary, value }] of Object.entries(Kvm.capabilities)) {
      assert.match(summary, /^\S.*[^.\s]$/, name)
      assert.strictEqual(bits !== undefined, value === "bits", name)
    }
    const numbers = Object.values(Kvm.capabilities).map(({ number }) => number)
    assert.strictEqual(new Set(numbers).size, numbers.length)
  })

  it("names functions that exist", () => {
    const functions = new Set(Object.keys(Kvm))
    for (const [name, { summary }] of Object.entries(Kvm.capabilities)) {
      for (const [word] of summary.matchAll(
        /\b(?:enable|register|disable)[A-Z]\w+\b|\bsignalMsi\b|\bcreateDevice\b/g
      )) {
        assert.isTrue(functions.has(word), `${name}: ${word}`)
      }
    }
  })

  it("are explained bit by bit", () => {
    const flags = Kvm.KVM_CLOCK_TSC_STABLE | Kvm.KVM_CLOCK_HOST_TSC
    assert.deepStrictEqual(Kvm.capabilityBits("KVM_CAP_ADJUST_CLOCK", flags | 0x8000), [
      "KVM_CLOCK_TSC_STABLE",
      "KVM_CLOCK_HOST_TSC"
    ])
    assert.deepStrictEqual(Kvm.capabilityBits("KVM_CAP_VM_TYPES", 0b11), [
      "KVM_X86_DEFAULT_VM",
      "KVM_X86_SW_PROTECTED_VM"
    ])
    assert.deepStrictEqual(Kvm.capabilityBits("KVM_CAP_NR_VCPUS", 3), [])
  })

  it("names are typed", () => {
    expectTypeOf<"KVM_CAP_IRQCHIP">().toExtend<Kvm.CapabilityName>()
    expectTypeOf<"KVM_EXIT_IO">().not.toExtend<Kvm.CapabilityName>()
  })
})

/** Each helper with a value that it takes and one that the kernel or we refuse. */
const helpers = {
  KVM_CAP_X86_USER_SPACE_MSR: [
    (vm: Kvm.Vm) => Kvm.enableMsrExits(vm, ["filter", "unknown", "inval"]),
    (vm: Kvm.Vm) => Kvm.enableMsrExits(vm, 0x100)
  ],
  KVM_CAP_EXIT_HYPERCALL: [
    (vm: Kvm.Vm) => Kvm.enableHypercallExits(vm, ["mapGpaRange"]),
    (vm: Kvm.Vm) => Kvm.enableHypercallExits(vm, 1)
  ],
  KVM_CAP_X86_BUS_LOCK_EXIT: [
    (vm: Kvm.Vm) => Kvm.setBusLockExits(vm, "exit"),
    (vm: Kvm.Vm) => Kvm.enableCap(vm, "KVM_CAP_X86_BUS_LOCK_EXIT", [3])
  ],
  KVM_CAP_X86_DISABLE_EXITS: [
    (vm: Kvm.Vm) => Kvm.disableExits(vm, ["hlt", "pause"]),
    (vm: Kvm.Vm) => Kvm.disableExits(vm, 0x1000)
  ],
  KVM_CAP_DISABLE_QUIRKS2: [
    (vm: Kvm.Vm) => Kvm.disableQuirks(vm, ["lint0Reenabled", "slotZapAll"]),
    (vm: Kvm.Vm) => Kvm.disableQuirks(vm, 0x8000_0000)
  ],
  KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: [
    (vm: Kvm.Vm) => Kvm.enableManualDirtyLogProtect(vm, { initiallySet: true }),
    (vm: Kvm.Vm) => Kvm.enableCap(vm, "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2", [0x10])
  ],
  KVM_CAP_SPLIT_IRQCHIP: [(vm: Kvm.Vm) => Kvm.enableSplitIrqchip(vm), (vm: Kvm.Vm) => Kvm.enableSplitIrqchip(vm, 5000)],
  KVM_CAP_MAX_VCPU_ID: [(vm: Kvm.Vm) => Kvm.setMaxVcpuId(vm, 4), (vm: Kvm.Vm) => Kvm.setMaxVcpuId(vm, 2 ** 20)],
  KVM_CAP_HALT_POLL: [(vm: Kvm.Vm) => Kvm.setHaltPoll(vm, 0), (vm: Kvm.Vm) => Kvm.setHaltPoll(vm, 2 ** 40)],
  KVM_CAP_EXIT_ON_EMULATION_FAILURE: [
    (vm: Kvm.Vm) => Kvm.setExitOnEmulationFailure(vm),
    (vm: Kvm.Vm) => Kvm.enableCap(vm, "KVM_CAP_EXIT_ON_EMULATION_FAILURE", [2])
  ],
  KVM_CAP_X86_NOTIFY_VMEXIT: [
    (vm: Kvm.Vm) => Kvm.enableNotifyVmexit(vm, { window: 1000, exit: true }),
    (vm: Kvm.Vm) => Kvm.enableNotifyVmexit(vm, { window: -1 })
  ],
  KVM_CAP_X2APIC_API: [
    (vm: Kvm.Vm) => Kvm.enableX2apicApi(vm, ["use32BitIds", "disableBroadcastQuirk"]),
    (vm: Kvm.Vm) => Kvm.enableX2apicApi(vm, 0x100)
  ],
  KVM_CAP_PMU_CAPABILITY: [
    (vm: Kvm.Vm) => Kvm.disablePmu(vm),
    (vm: Kvm.Vm) => Kvm.enableCap(vm, "KVM_CAP_PMU_CAPABILITY", [0x10])
  ],
  KVM_CAP_X86_APIC_BUS_CYCLES_NS: [
    (vm: Kvm.Vm) => Effect.andThen(Kvm.createIrqChip(vm), Kvm.setApicBusCycles(vm, 40)),
    (vm: Kvm.Vm) => Kvm.setApicBusCycles(vm, 0)
  ]
} as const

describeKvm("Kvm.enableCap", () => {
  for (const [name, [good, bad]] of Object.entries(helpers) as ReadonlyArray<
    [Kvm.CapabilityName, (typeof helpers)["KVM_CAP_HALT_POLL"]]
  >) {
    itKvm(
      `${name} is switched on with what it takes, where it is offered`,
      Effect.gen(function* () {
        const vm = yield* Kvm.createVm()
        const value = yield* Kvm.checkExtension(vm, name)
        if (value === 0) {
          const asked: Array<unknown> = []
          yield* expectMissing(good(vm), name).pipe(
            Effect.provideService(
              Syscall.Trampoline,
              Syscall.record(Syscall.kernel, ({ args }) => asked.push(args[1]))
            )
          )
          assert.notInclude(asked, Kvm.KVM_ENABLE_CAP.code, "it is not even tried")
          return
        }
        yield* good(vm)
        const other = yield* Kvm.createVm()
        yield* expectErrno(bad(other), "EINVAL")
      })
    )
  }

  itKvm(
    "of what comes too late is EINVAL, or the kernel's other word for it",
    Effect.gen(function* () {
      const { vm } = yield* makeGuest([...hlt])
      yield* expectErrno(Kvm.setMaxVcpuId(vm, 4), "EINVAL")
      yield* expectErrno(Kvm.disableExits(vm, ["hlt"]), "EINVAL")
      yield* expectErrno(Kvm.enableSplitIrqchip(vm), "EEXIST")
      const twice = yield* Kvm.createVm()
      yield* Kvm.enableSplitIrqchip(twice)
      yield* expectErrno(Kvm.enableSplitIrqchip(twice), "EEXIST")
    })
  )

  itKvm(
    "of a vCPU, by name, and arguments are checked",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt])
      yield* Kvm.enableCap(vcpu, "KVM_CAP_ENFORCE_PV_FEATURE_CPUID", [1])
      yield* expectMissing(Kvm.enableCap(vcpu, "KVM_CAP_S390_CSS_SUPPORT"), "KVM_CAP_S390_CSS_SUPPORT")
      yield* expectErrno(Kvm.enableCap(vcpu, 0x7fff), "EINVAL")
      yield* expectErrno(Kvm.enableCap(vm, 0x7fff, [1, 2n, 3, 4]), "EINVAL")
      const many = yield* expectErrno(Kvm.enableCap(vm, "KVM_CAP_HALT_POLL", [1, 2, 3, 4, 5]), "EINVAL")
      assert.include(many.message, "args")
      const half = yield* expectErrno(Kvm.enableCap(vm, "KVM_CAP_HALT_POLL", [0.5]), "EINVAL")
      assert.include(half.message, "args[0]")
      yield* expectErrno(Kvm.enableCap(vm, "KVM_CAP_HALT_POLL", [0], 1), "EINVAL")
    })
  )

  itKvm(
    "words that are none are a defect, where the types were evaded",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      // @ts-expect-error no such reason
      const exit = yield* Effect.exit(Kvm.enableMsrExits(vm, ["nonsense"]))
      assert.include(String(exit), "reasons: expected some of inval, unknown, filter")
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// numbers
// ---------------------------------------------------------------------------------------------------------------------

const isRequest = (u: unknown): u is Ioctl.Request<never, never, unknown, unknown> =>
  Predicate.hasProperty(u, "~effect-linux/Request")

const native = architectures.find(isNative)
const reason = native === undefined ? "the machine is unknown" : missing(native)

describe.skipIf(reason !== undefined)(`KVM's numbers${reason === undefined ? "" : ` (skipped: ${reason})`}`, () => {
  const preamble =
    "#include <linux/kvm.h>\n#include <linux/kvm_para.h>\n#include <stddef.h>\n#define PAGE_SIZE 4096ul\n"

  it("of requests are those of their macros, and all of this part are compared", () => {
    if (native === undefined) return
    const requests = Object.entries(Kvm).flatMap(([name, value]) => (isRequest(value) ? [[name, value] as const] : []))
    for (const [name, { name: told }] of requests) assert.isTrue(name === told || name.startsWith(`${told}_`), name)
    const macros = [...new Set(requests.map(([, { name }]) => name))]
    const known = valid(native, preamble, macros)
    const values = evaluateC(native, [
      { preamble, questions: known.map((expression) => ({ name: expression, expression: `(unsigned)${expression}` })) }
    ])
    const wrong = requests.filter(([, { code, name }]) => values.has(name) && values.get(name) !== BigInt(code))
    assert.deepStrictEqual(
      wrong.map(([name]) => name),
      []
    )
    const ours = `KVM_CREATE_IRQCHIP KVM_CREATE_PIT KVM_CREATE_PIT2 KVM_IRQ_LINE KVM_IRQ_LINE_STATUS KVM_GET_IRQCHIP
      KVM_SET_IRQCHIP KVM_GET_PIT KVM_SET_PIT KVM_GET_PIT2 KVM_SET_PIT2 KVM_REINJECT_CONTROL KVM_SET_GSI_ROUTING
      KVM_SIGNAL_MSI KVM_IRQFD KVM_IOEVENTFD KVM_SET_TSS_ADDR KVM_SET_IDENTITY_MAP_ADDR KVM_SET_BOOT_CPU_ID
      KVM_SET_NR_MMU_PAGES KVM_GET_NR_MMU_PAGES KVM_GET_CLOCK KVM_SET_CLOCK KVM_REGISTER_COALESCED_MMIO
      KVM_UNREGISTER_COALESCED_MMIO KVM_CREATE_DEVICE KVM_X86_SET_MSR_FILTER KVM_SET_PMU_EVENT_FILTER
      KVM_SET_DEVICE_ATTR KVM_GET_DEVICE_ATTR KVM_HAS_DEVICE_ATTR KVM_ENABLE_CAP KVM_GET_STATS_FD`.split(/\s+/)
    assert.deepStrictEqual(
      ours.filter((name) => !values.has(name)),
      []
    )
  })

  it("of capabilities and constants are those of the headers, as far as these are young enough", () => {
    if (native === undefined) return
    const constants = Object.entries(Kvm).filter(
      ([name, value]) => /^KVM/.test(name) && (typeof value === "number" || typeof value === "bigint")
    )
    const known = valid(
      native,
      preamble,
      constants.map(([name]) => name)
    )
    assert.isAbove(known.length, 300)
    const values = evaluateC(native, [
      { preamble, questions: known.map((expression) => ({ name: expression, expression })) }
    ])
    const low = (value: unknown) => BigInt.asUintN(64, BigInt(value as number | bigint))
    const wrong = constants.filter(([name, value]) => {
      const theirs = values.get(name)
      return (
        theirs !== undefined &&
        low(theirs) !== low(value) &&
        BigInt.asUintN(32, theirs) !== BigInt.asUintN(32, low(value))
      )
    })
    assert.deepStrictEqual(wrong, [])
  })
})
