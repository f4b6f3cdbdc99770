/** Devices in the kernel, attributes, the clock, and what else is set of a machine as a whole. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { expectTypeOf } from "vitest"
import { Fcntl, File, Kvm, Struct, Syscall } from "../src/index.ts"
import {
  asm,
  comesTrue,
  counted,
  enterRealMode,
  expectErrno,
  expectExit,
  hlt,
  itKvm,
  makeGuest,
  memoryCounter
} from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"
import { openFds } from "./support/process.ts"

/** Fails unless the effect fails for want of this capability. */
const expectMissing = <A, E, R>(effect: Effect.Effect<A, E, R>, capability: Kvm.CapabilityName) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, Kvm.MissingCapability)
    if (error instanceof Kvm.MissingCapability) assert.strictEqual(error.capability, capability)
  })

/** Does the one where the machine has a capability, else checks that it is refused for want of it. */
const ifOffered = <A, E, R>(vm: Kvm.Vm, capability: Kvm.CapabilityName, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    if ((yield* Kvm.checkExtension(vm, capability)) === 0) yield* expectMissing(effect, capability)
    else yield* effect
  })

describeKvm("Kvm.createDevice", () => {
  itKvm(
    "makes what this kernel has, for the scope, and refuses what it has not",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const before = yield* openFds
      assert.isFalse(yield* Kvm.hasDeviceType(vm, 0xffff))
      yield* expectErrno(Effect.scoped(Kvm.createDevice(vm, 0xffff)), "ENODEV")
      assert.strictEqual(yield* openFds, before)
      if (!(yield* Kvm.hasDeviceType(vm, Kvm.KVM_DEV_TYPE_VFIO))) return
      assert.strictEqual(yield* openFds, before)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const device = yield* Kvm.createDevice(vm, Kvm.KVM_DEV_TYPE_VFIO)
          assert.strictEqual(yield* openFds, before + 1)
          const flags = yield* File.fcntl(device, Fcntl.F_GETFD)
          assert.strictEqual(flags, Syscall.FD_CLOEXEC)
          const group = Kvm.KVM_DEV_VFIO_FILE
          assert.isTrue(yield* Kvm.hasDeviceAttr(device, { group, attr: Kvm.KVM_DEV_VFIO_FILE_ADD }))
          assert.isFalse(yield* Kvm.hasDeviceAttr(device, { group, attr: 77n }))
          // A file that is none of VFIO's.
          const add = { group, attr: Kvm.KVM_DEV_VFIO_FILE_ADD }
          const error = yield* Effect.flip(Kvm.setDeviceAttr(device, add, Struct.i32, yield* File.fd(vm.file)))
          assert.include(error.message, "KVM_SET_DEVICE_ATTR")
          yield* expectErrno(Effect.scoped(Kvm.createDevice(vm, Kvm.KVM_DEV_TYPE_VFIO)), "EBUSY")
        })
      )
      assert.strictEqual(yield* openFds, before)
    })
  )

  itKvm(
    "ends with the machine where its scope lives longer, and leaves nothing when interrupted",
    Effect.gen(function* () {
      const before = yield* openFds
      const outer = yield* Scope.make()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const vm = yield* Kvm.createVm()
          if (!(yield* Kvm.hasDeviceType(vm, Kvm.KVM_DEV_TYPE_VFIO))) return
          yield* Scope.provide(Kvm.createDevice(vm, Kvm.KVM_DEV_TYPE_VFIO), outer)
        })
      )
      assert.strictEqual(yield* openFds, before)
      yield* Scope.close(outer, Exit.void)
      for (let turns = 0; turns < 20; turns++) {
        const make = Effect.gen(function* () {
          const vm = yield* Kvm.createVm()
          yield* Effect.ignore(Kvm.createDevice(vm, Kvm.KVM_DEV_TYPE_VFIO))
          yield* Effect.never
        })
        const fiber = yield* Effect.forkChild(Effect.scoped(make))
        for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* openFds, before)
      }
    })
  )
})

describeKvm("attributes", () => {
  const tscOffset = { group: Kvm.KVM_VCPU_TSC_CTRL, attr: Kvm.KVM_VCPU_TSC_OFFSET }

  itKvm(
    "of a vCPU are read and set by a layout or as bytes",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      assert.isTrue(yield* Kvm.hasDeviceAttr(vcpu, tscOffset))
      assert.isFalse(yield* Kvm.hasDeviceAttr(vcpu, { ...tscOffset, attr: 99 }))
      assert.isFalse(yield* Kvm.hasDeviceAttr(vcpu, { group: 99, attr: 0n }))
      const offset = yield* Kvm.getDeviceAttr(vcpu, tscOffset, Struct.i64)
      const bytes = yield* Kvm.getDeviceAttr(vcpu, tscOffset, 8)
      assert.strictEqual(new DataView(bytes.buffer).getBigInt64(0, true), offset)
      yield* Kvm.setDeviceAttr(vcpu, tscOffset, Struct.i64, offset)
      yield* Kvm.setDeviceAttr(vcpu, tscOffset, bytes)
      yield* expectErrno(Kvm.getDeviceAttr(vcpu, { group: 99, attr: 0 }, Struct.u64), "ENXIO")
      yield* expectErrno(Kvm.setDeviceAttr(vcpu, { group: 99, attr: 0 }, Struct.u64, 1n), "ENXIO")
    })
  )

  itKvm(
    "of a vCPU that runs are EBUSY at once",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([...memoryCounter])
      const running = yield* Effect.forkChild(Kvm.run(vcpu))
      assert.isTrue(yield* comesTrue(() => counted(memory) > 0))
      yield* expectErrno(Kvm.hasDeviceAttr(vcpu, tscOffset), "EBUSY")
      yield* expectErrno(Kvm.getDeviceAttr(vcpu, tscOffset, Struct.u64), "EBUSY")
      yield* expectErrno(Kvm.setDeviceAttr(vcpu, tscOffset, Struct.u64, 1n), "EBUSY")
      yield* expectErrno(Kvm.enableCap(vcpu, "KVM_CAP_ENFORCE_PV_FEATURE_CPUID", [1]), "EBUSY")
      yield* Fiber.interrupt(running)
    })
  )

  itKvm(
    "of the system: the state that guests may be given",
    Effect.gen(function* () {
      const system = yield* Kvm.Kvm
      const attribute = { group: 0, attr: Kvm.KVM_X86_XCOMP_GUEST_SUPP }
      if ((yield* Kvm.checkExtension("KVM_CAP_SYS_ATTRIBUTES")) === 0) {
        yield* expectMissing(Kvm.hasDeviceAttr(system, attribute), "KVM_CAP_SYS_ATTRIBUTES")
        return
      }
      assert.isTrue(yield* Kvm.hasDeviceAttr(system, attribute))
      const state = yield* Kvm.getDeviceAttr(system, attribute, Struct.u64)
      assert.strictEqual(state & 3n, 3n, "x87 and SSE")
      assert.isFalse(yield* Kvm.hasDeviceAttr(system, { group: 99, attr: 0 }))
    })
  )

  itKvm(
    "of a machine need a capability",
    Effect.gen(function* () {
      const { vm } = yield* makeGuest([...hlt])
      yield* ifOffered(vm, "KVM_CAP_VM_ATTRIBUTES", Kvm.hasDeviceAttr(vm, { group: 0, attr: 0 }))
    })
  )

  itKvm(
    "refuse what is none, naming the argument",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const refused = [
        ["attr", Kvm.hasDeviceAttr(vcpu, { group: 0, attr: 0.5 })],
        ["group", Kvm.hasDeviceAttr(vcpu, { group: -1, attr: 0 })],
        ["size", Kvm.getDeviceAttr(vcpu, tscOffset, -1)],
        ["size", Kvm.getDeviceAttr(vcpu, tscOffset, Number.NaN)],
        ["value", Kvm.setDeviceAttr(vcpu, tscOffset, Struct.u64, -1n)]
      ] as const
      for (const [name, effect] of refused) {
        const error = yield* expectErrno<unknown, unknown, never, "EINVAL">(effect, "EINVAL")
        assert.include(error.message, name)
      }
    })
  )

  itKvm(
    "whose value is larger than the caller says are not written beyond it",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      assert.strictEqual((yield* Kvm.getDeviceAttr(vcpu, tscOffset, 1)).length, 1)
      assert.strictEqual((yield* Kvm.getDeviceAttr(vcpu, tscOffset, 0)).length, 0)
      yield* Kvm.setDeviceAttr(vcpu, tscOffset, new Uint8Array(0))
    })
  )
})

describeKvm("the clock of a machine", () => {
  itKvm(
    "goes on from where it is set",
    Effect.gen(function* () {
      const { vm } = yield* makeGuest([...hlt])
      const hour = 3_600_000_000_000n
      yield* Kvm.setClock(vm, { clock: hour })
      const { clock } = yield* Kvm.getClock(vm)
      assert.isTrue(clock >= hour && clock < hour + 60_000_000_000n, `${clock}`)
      const later = yield* Kvm.getClock(vm)
      assert.isTrue(later.clock >= clock)
      yield* expectErrno(Kvm.setClock(vm, { clock: 0n, flags: 0x4000 }), "EINVAL")
      const error = yield* expectErrno(Kvm.setClock(vm, { clock: -1n }), "EINVAL")
      assert.include(error.message, "clock")
    })
  )

  itKvm(
    "tells the host's time where it says so",
    Effect.gen(function* () {
      const { vm } = yield* makeGuest([...hlt])
      const { flags, host_tsc, realtime } = yield* Kvm.getClock(vm)
      if ((flags & Kvm.KVM_CLOCK_REALTIME) !== 0) assert.isTrue(realtime > 1_600_000_000_000_000_000n)
      else assert.strictEqual(realtime, 0n)
      if ((flags & Kvm.KVM_CLOCK_HOST_TSC) !== 0) assert.isTrue(host_tsc > 0n)
      // An hour ago by the real time: the clock is an hour ahead.
      const now = BigInt(Date.now()) * 1_000_000n
      const hour = 3_600_000_000_000n
      yield* Kvm.setClock(vm, { clock: 0n, flags: Kvm.KVM_CLOCK_REALTIME, realtime: now - hour })
      const { clock } = yield* Kvm.getClock(vm)
      assert.isTrue(clock > hour - 60_000_000_000n && clock < hour + 60_000_000_000n, `${clock}`)
    })
  )
})

describeKvm("a machine before its vCPUs", () => {
  itKvm(
    "is told which vCPU starts it, and which pages the host may use",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      yield* Kvm.setTssAddress(vm, 0xfffbd000)
      yield* Kvm.setIdentityMapAddress(vm, 0xfffbc000n)
      yield* Kvm.setBootCpuId(vm, 3)
      yield* Kvm.createVcpu(vm, 0)
      yield* expectErrno(Kvm.setBootCpuId(vm, 0), "EBUSY")
      yield* expectErrno(Kvm.setIdentityMapAddress(vm, 0xfffbc000), "EINVAL")
      const error = yield* expectErrno(Kvm.setIdentityMapAddress(vm, 0.5), "EINVAL")
      assert.include(error.message, "address")
      yield* expectErrno(Kvm.setTssAddress(vm, -1), "EINVAL")
      yield* expectErrno(Kvm.setTssAddress(vm, 0.5), "EINVAL")
    })
  )

  itKvm(
    "can have its shadow page tables limited, where the kernel still can",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      yield* Kvm.setNrMmuPages(vm, 100)
      yield* expectErrno(Kvm.setNrMmuPages(vm, 1), "EINVAL")
      const outcome = yield* Effect.exit(Kvm.getNrMmuPages(vm))
      if (Exit.isSuccess(outcome)) assert.strictEqual(outcome.value, 100)
      else yield* expectErrno(Kvm.getNrMmuPages(vm), "ENOTTY")
    })
  )

  itKvm(
    "is of a type, of those that there are",
    Effect.gen(function* () {
      yield* Effect.scoped(Kvm.createVmWithType(Kvm.KVM_X86_DEFAULT_VM))
      const types = yield* Kvm.checkExtension("KVM_CAP_VM_TYPES")
      for (const type of [Kvm.KVM_X86_SW_PROTECTED_VM, Kvm.KVM_X86_SNP_VM]) {
        const make = Effect.scoped(Kvm.createVmWithType(type))
        if (types === 0) yield* expectMissing(make, "KVM_CAP_VM_TYPES")
        else if ((types & (1 << type)) === 0) yield* expectErrno(make, "EINVAL")
      }
    })
  )
})

describeKvm("filters", () => {
  /** Reads the time stamp counter's register, and says so. */
  const reads = [
    ...asm("mov ecx, 0x10", 0x66, 0xb9, 0x10, 0x00, 0x00, 0x00),
    ...asm("rdmsr", 0x0f, 0x32),
    ...asm("out 0x10, al", 0xe6, 0x10),
    ...asm("hlt", 0xf4)
  ]

  const deny = {
    flags: Kvm.KVM_MSR_FILTER_DEFAULT_ALLOW,
    ranges: [
      {
        flags: Kvm.KVM_MSR_FILTER_READ | Kvm.KVM_MSR_FILTER_WRITE,
        base: 0x10,
        nmsrs: 2,
        bitmap: Kvm.msrBitmap(0x10, 2, [0x11])
      }
    ]
  }

  itKvm(
    "of registers: what is denied is an exit where that was asked for, and a filter can be taken away",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest(reads)
      yield* Kvm.enableMsrExits(vm, ["filter"])
      yield* Kvm.setMsrFilter(vm, deny)
      const denied = yield* Kvm.run(vcpu)
      assert.notStrictEqual(denied._tag, "Io")
      yield* Kvm.setMsrFilter(vm, { flags: Kvm.KVM_MSR_FILTER_DEFAULT_ALLOW, ranges: [] })
      const other = yield* Kvm.createVcpu(vm, 1)
      yield* enterRealMode(other)
      yield* expectExit(other, "Io")
    })
  )

  itKvm(
    "that are none are refused, naming the argument",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const range = { flags: Kvm.KVM_MSR_FILTER_READ, base: 0, nmsrs: 64, bitmap: new Uint8Array(8) }
      const short = yield* expectErrno(
        Kvm.setMsrFilter(vm, { flags: 0, ranges: [range, { ...range, bitmap: new Uint8Array(7) }] }),
        "EINVAL"
      )
      assert.include(short.message, "ranges[1].bitmap")
      const many = Array.from({ length: 17 }, () => range)
      const error = yield* expectErrno(Kvm.setMsrFilter(vm, { flags: 0, ranges: many }), "EINVAL")
      assert.include(error.message, "ranges")
      yield* Kvm.setMsrFilter(vm, { flags: 0, ranges: many.slice(1) })
      yield* expectErrno(Kvm.setMsrFilter(vm, { flags: 0x100, ranges: [range] }), "EINVAL")
      yield* expectErrno(Kvm.setMsrFilter(vm, { flags: 0, ranges: [{ ...range, flags: 0x100 }] }), "EINVAL")
      assert.throws(() => Kvm.msrBitmap(0x10, 8, [0x18]), RangeError)
      assert.deepStrictEqual(Kvm.msrBitmap(0x10, 9, [0x10, 0x18]), Uint8Array.of(1, 1))
    })
  )

  itKvm(
    "of performance events",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const set = (events: ReadonlyArray<bigint>, action = Kvm.KVM_PMU_EVENT_ALLOW) =>
        Kvm.setPmuEventFilter(vm, { action, events })
      yield* ifOffered(vm, "KVM_CAP_PMU_EVENT_FILTER", set([0x3cn, 0xc0n]))
      if ((yield* Kvm.checkExtension(vm, "KVM_CAP_PMU_EVENT_FILTER")) === 0) return
      yield* set([])
      yield* expectErrno(set([0x3cn], 7), "EINVAL")
      yield* expectErrno(set(Array.from({ length: 301 }, () => 0n)), "E2BIG")
      const error = yield* expectErrno(set([1n, -1n]), "EINVAL")
      assert.include(error.message, "events[1]")
    })
  )
})

describe("requests that wait until no vCPU looks at the old", () => {
  it("are made off the event loop", () => {
    const waiting = [
      Kvm.KVM_X86_SET_MSR_FILTER,
      Kvm.KVM_SET_PMU_EVENT_FILTER,
      Kvm.KVM_REGISTER_COALESCED_MMIO,
      Kvm.KVM_UNREGISTER_COALESCED_MMIO,
      Kvm.KVM_IOEVENTFD,
      Kvm.KVM_IRQFD,
      Kvm.KVM_SET_GSI_ROUTING,
      Kvm.KVM_CREATE_IRQCHIP,
      Kvm.KVM_CREATE_PIT,
      Kvm.KVM_CREATE_PIT2
    ]
    for (const { name, waits } of waiting) assert.isTrue(waits, name)
    // What is done often, and at once, is not.
    for (const { name, waits } of [Kvm.KVM_IRQ_LINE, Kvm.KVM_SIGNAL_MSI, Kvm.KVM_GET_CLOCK]) assert.isFalse(waits, name)
  })
})

describe("types", () => {
  /** Never called: whether it compiles is the test. */
  const compiles = (vm: Kvm.Vm, vcpu: Kvm.Vcpu, device: File.File<Kvm.KvmDevice>, plain: File.File) => [
    Kvm.hasDeviceAttr(vm, { group: 0, attr: 0 }),
    Kvm.hasDeviceAttr(vcpu, { group: 0, attr: 0 }),
    Kvm.hasDeviceAttr(device, { group: 0, attr: 0 }),
    // @ts-expect-error a file of which nothing is known has no attributes
    Kvm.hasDeviceAttr(plain, { group: 0, attr: 0 }),
    // @ts-expect-error the value is what the layout takes
    Kvm.setDeviceAttr(device, { group: 0, attr: 0 }, Struct.u64, 1),
    // @ts-expect-error a device has no capabilities to switch on
    Kvm.enableCap(device, "KVM_CAP_HALT_POLL"),
    // @ts-expect-error no such capability
    Kvm.enableCap(vm, "KVM_CAP_NONSENSE"),
    File.ioctl(vcpu.file, Kvm.KVM_ENABLE_CAP, { cap: 1, flags: 0, args: [0n, 0n, 0n, 0n] }),
    // @ts-expect-error the device of a capability is a machine or a vCPU
    File.ioctl(device, Kvm.KVM_ENABLE_CAP, { cap: 1, flags: 0, args: [0n, 0n, 0n, 0n] })
  ]

  it("tell targets of attributes apart, and values by their layout", () => {
    assert.isFunction(compiles)
    expectTypeOf<Effect.Success<ReturnType<typeof Kvm.createDevice>>>().toEqualTypeOf<File.File<Kvm.KvmDevice>>()
  })
})
