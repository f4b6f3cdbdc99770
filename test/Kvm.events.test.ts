/** What happens to a guest: exceptions, interrupts, NMIs, machine checks; and whether its vCPU runs, halts or waits. */
import { assert } from "@effect/vitest"
import { Effect, Fiber, References, type Scope } from "effect"
import { File, Ioctl, Kvm } from "../src/index.ts"
import {
  asm,
  codeAddress,
  comesTrue,
  counted,
  enterRealMode,
  expectErrno,
  expectExit,
  type Guest,
  hlt,
  itKvm,
  makeGuest,
  memoryCounter,
  spin
} from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"

const handler = 0x1100
const vectors = 0x3000

/** Tells that it ran, through a port, and returns. */
const telling = (port: number) => [...asm("out PORT, al", 0xe6, port), ...asm("iret", 0xcf)]

/** What the guest does when this vector comes. */
const handling = ({ memory, vcpu }: Guest, vector: number, code: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    yield* Kvm.modifySregs(vcpu, () => ({ idt: { base: BigInt(vectors), limit: 0x3ff } }))
    memory.bytes.set(code, handler - codeAddress)
    const view = new DataView(memory.mapping.buffer)
    view.setUint16(vectors - codeAddress + 4 * vector, handler, true)
    view.setUint16(vectors - codeAddress + 4 * vector + 2, 0, true)
  })

const makeIrqchip = (vm: Kvm.Vm) =>
  File.ioctl(vm.file, Ioctl.none(Kvm.KvmVm, Ioctl._IO(Kvm.KVMIO, 0x60), { name: "KVM_CREATE_IRQCHIP" }))

/** A guest whose interrupt controller is in the kernel. */
const makeGuestWithIrqchip = (code: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    const vm = yield* Kvm.createVm()
    yield* makeIrqchip(vm)
    const memory = yield* Kvm.addMemory(vm, { slot: 0, guestAddress: codeAddress, size: 0x4000 })
    memory.bytes.set(code)
    const vcpu = yield* Kvm.createVcpu(vm, 0)
    yield* enterRealMode(vcpu)
    return { vm, memory, vcpu }
  })

const interruptsEnabled = { rflags: 0x202n }

describeKvm("Kvm.interrupt", () => {
  itKvm(
    "a guest that has halted goes on in its handler",
    Effect.gen(function* () {
      const guest = yield* makeGuest([...hlt, ...asm("out 0x11, al", 0xe6, 0x11), ...hlt], interruptsEnabled)
      const { vcpu } = guest
      yield* handling(guest, 0x20, telling(0x10))
      yield* expectExit(vcpu, "Hlt")
      yield* Kvm.interrupt(vcpu, 0x20)
      assert.strictEqual((yield* expectExit(vcpu, "Io")).port, 0x10)
      assert.strictEqual((yield* expectExit(vcpu, "Io")).port, 0x11)
      yield* expectExit(vcpu, "Hlt")
    })
  )

  itKvm(
    "every vector comes, again and again, to a guest that never halts",
    Effect.gen(function* () {
      const guest = yield* makeGuest([...spin], interruptsEnabled)
      for (const vector of [0x20, 0x21, 0x80, 0xfe, 0xff, 0x20]) {
        yield* handling(guest, vector, telling(vector))
        yield* Kvm.interrupt(guest.vcpu, vector)
        assert.strictEqual((yield* expectExit(guest.vcpu, "Io")).port, vector)
      }
    })
  )

  itKvm(
    "a vector above 255 is EINVAL, one that is no number of 32 bits by name, and with a PIC in the kernel it is ENXIO",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      yield* expectErrno(Kvm.interrupt(vcpu, 256), "EINVAL")
      const error = yield* expectErrno(Kvm.interrupt(vcpu, -1), "EINVAL")
      assert.include(error.message, "irq")
      const other = yield* makeGuestWithIrqchip([...hlt])
      yield* expectErrno(Kvm.interrupt(other.vcpu, 0x20), "ENXIO")
    })
  )
})

describeKvm("Kvm.nmi, smi", () => {
  const itComes = (title: string, make: Effect.Effect<Guest, unknown, Kvm.Kvm | Scope.Scope>) =>
    itKvm(
      title,
      Effect.gen(function* () {
        const guest = yield* make
        const { vcpu } = guest
        yield* handling(guest, 2, telling(0x10))
        yield* Kvm.nmi(vcpu)
        assert.deepInclude((yield* Kvm.getVcpuEvents(vcpu)).nmi, { pending: 1, masked: 0 })
        assert.strictEqual((yield* expectExit(vcpu, "Io")).port, 0x10)
        assert.deepInclude((yield* Kvm.getVcpuEvents(vcpu)).nmi, { pending: 0, masked: 1 })
        // A second one waits until the handler has returned.
        yield* Kvm.nmi(vcpu)
        const ports: Array<number> = []
        while (ports.length < 10 && ports.at(-1) !== 0x10) ports.push((yield* expectExit(vcpu, "Io")).port)
        assert.strictEqual(ports.at(-1), 0x10)
        assert.deepInclude((yield* Kvm.getVcpuEvents(vcpu)).nmi, { pending: 0, masked: 1 })
        assert.strictEqual((yield* expectExit(vcpu, "Io")).port, 0x11)
        assert.deepInclude((yield* Kvm.getVcpuEvents(vcpu)).nmi, { pending: 0, masked: 0 })
      })
    )

  const code = [...asm("next: out 0x11, al", 0xe6, 0x11), ...asm("jmp next", 0xeb, 0xfc)]

  itComes("an NMI comes although interrupts are disabled, and masks others until its handler returns", makeGuest(code))
  itComes("and so it does where the interrupt controller is in the kernel", makeGuestWithIrqchip(code))

  itKvm(
    "an SMI enters system management mode, or names the capability that this kernel lacks",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt])
      if ((yield* Kvm.checkExtension(vm, Kvm.KVM_CAP_X86_SMM)) === 0) {
        const error = yield* Effect.flip(Kvm.smi(vcpu))
        assert.deepInclude(error, { _tag: "MissingCapability", capability: "KVM_CAP_X86_SMM" })
        assert.strictEqual(error.message, "this kernel's KVM lacks KVM_CAP_X86_SMM")
      } else {
        yield* Kvm.smi(vcpu)
        assert.strictEqual((yield* Kvm.getVcpuEvents(vcpu)).smi.pending, 1)
      }
    })
  )
})

describeKvm("Kvm.getVcpuEvents, setVcpuEvents", () => {
  itKvm(
    "a fresh vCPU has none",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const { exception, interrupt, nmi, smi } = yield* Kvm.getVcpuEvents(vcpu)
      for (const field of [exception.injected, interrupt.injected, nmi.pending, nmi.masked, smi.smm]) {
        assert.strictEqual(field, 0)
      }
    })
  )

  itKvm(
    "what is set is what is read, and pending ones only where the flags say so",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const events = yield* Kvm.getVcpuEvents(vcpu)
      const wanted = {
        ...events,
        exception: { injected: 1, nr: 13, has_error_code: 1, pending: 0, error_code: 0xdead_beef },
        interrupt: { ...events.interrupt, injected: 0, nr: 0x55, soft: 0 },
        nmi: { injected: 0, pending: 1, masked: 1 }
      }
      yield* Kvm.setVcpuEvents(vcpu, { ...wanted, flags: 0 })
      assert.deepInclude((yield* Kvm.getVcpuEvents(vcpu)).nmi, { pending: 0, masked: 1 })
      yield* Kvm.setVcpuEvents(vcpu, { ...wanted, flags: Kvm.KVM_VCPUEVENT_VALID_NMI_PENDING })
      const now = yield* Kvm.getVcpuEvents(vcpu)
      assert.deepStrictEqual(now.exception, wanted.exception)
      assert.deepStrictEqual(now.nmi, wanted.nmi)
      yield* Kvm.setVcpuEvents(vcpu, events)
      assert.deepStrictEqual((yield* Kvm.getVcpuEvents(vcpu)).exception.injected, 0)
    })
  )

  itKvm(
    "the guest takes an exception that is injected",
    Effect.gen(function* () {
      const guest = yield* makeGuest([...asm("nop", 0x90), ...hlt])
      const { vcpu } = guest
      yield* handling(guest, 6, telling(0x10))
      const events = yield* Kvm.getVcpuEvents(vcpu)
      yield* Kvm.setVcpuEvents(vcpu, { ...events, exception: { ...events.exception, injected: 1, nr: 6 } })
      assert.strictEqual((yield* expectExit(vcpu, "Io")).port, 0x10)
      yield* expectExit(vcpu, "Hlt")
    })
  )

  itKvm(
    "a vector that is no exception's, and flags of what is not switched on, are EINVAL; a value that does not fit, by name",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt])
      const events = yield* Kvm.getVcpuEvents(vcpu)
      const exception = { ...events.exception, injected: 1 }
      for (const nr of [2, 32]) {
        yield* expectErrno(Kvm.setVcpuEvents(vcpu, { ...events, exception: { ...exception, nr } }), "EINVAL")
      }
      yield* expectErrno(Kvm.setVcpuEvents(vcpu, { ...events, flags: 0x8000_0000 }), "EINVAL")
      const payload = Kvm.KVM_VCPUEVENT_VALID_PAYLOAD
      yield* expectErrno(Kvm.setVcpuEvents(vcpu, { ...events, flags: payload }), "EINVAL")
      const error = yield* expectErrno(
        Kvm.setVcpuEvents(vcpu, { ...events, exception: { ...exception, nr: 256 } }),
        "EINVAL"
      )
      assert.include(error.message, "exception.nr")
      assert.isAtLeast(yield* Kvm.checkExtension(vm, Kvm.KVM_CAP_VCPU_EVENTS), 1)
    })
  )
})

describeKvm("Kvm.getMpState, setMpState", () => {
  const { KVM_MP_STATE_HALTED, KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_UNINITIALIZED } = Kvm

  itKvm(
    "without an interrupt controller in the kernel a vCPU can only run",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      assert.deepStrictEqual(yield* Kvm.getMpState(vcpu), { mp_state: KVM_MP_STATE_RUNNABLE })
      yield* Kvm.setMpState(vcpu, { mp_state: KVM_MP_STATE_RUNNABLE })
      yield* expectErrno(Kvm.setMpState(vcpu, { mp_state: KVM_MP_STATE_HALTED }), "EINVAL")
      yield* expectErrno(Kvm.setMpState(vcpu, { mp_state: 99 }), "EINVAL")
      const error = yield* expectErrno(Kvm.setMpState(vcpu, { mp_state: -1 }), "EINVAL")
      assert.include(error.message, "mp_state")
    })
  )

  itKvm(
    "with one, what is set is what is read, and a second vCPU waits until it is made to run",
    Effect.gen(function* () {
      const { memory, vcpu, vm } = yield* makeGuestWithIrqchip([...memoryCounter])
      for (const mp_state of [KVM_MP_STATE_HALTED, KVM_MP_STATE_RUNNABLE]) {
        yield* Kvm.setMpState(vcpu, { mp_state })
        assert.deepStrictEqual(yield* Kvm.getMpState(vcpu), { mp_state })
      }
      const second = yield* Kvm.createVcpu(vm, 1)
      assert.deepStrictEqual(yield* Kvm.getMpState(second), { mp_state: KVM_MP_STATE_UNINITIALIZED })
      yield* enterRealMode(second)
      yield* Kvm.setMpState(second, { mp_state: KVM_MP_STATE_RUNNABLE })
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Effect.forkScoped(Kvm.run(second))
          assert.isTrue(yield* comesTrue(() => counted(memory) > 0))
        })
      )
    })
  )

  itKvm(
    "a vCPU that is made to halt goes on when an NMI comes",
    Effect.gen(function* () {
      const guest = yield* makeGuestWithIrqchip([...spin])
      const { vcpu } = guest
      yield* handling(guest, 2, telling(0x10))
      yield* Kvm.setMpState(vcpu, { mp_state: KVM_MP_STATE_HALTED })
      yield* Kvm.nmi(vcpu)
      assert.strictEqual((yield* expectExit(vcpu, "Io")).port, 0x10)
      assert.deepStrictEqual(yield* Kvm.getMpState(vcpu), { mp_state: KVM_MP_STATE_RUNNABLE })
    })
  )
})

describeKvm("Kvm.setSignalMask", () => {
  itKvm(
    "a guest whose signals are blocked can still be interrupted, and run again",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([...memoryCounter])
      for (const signals of [[1, 2, 15, 31], [], null]) {
        yield* Kvm.setSignalMask(vcpu, signals)
        const before = counted(memory)
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* Effect.forkScoped(Kvm.run(vcpu))
            assert.isTrue(yield* comesTrue(() => counted(memory) !== before))
          })
        )
        // It is at rest: the registers can be read.
        assert.include([0x1000n, 0x1004n], (yield* Kvm.getRegs(vcpu)).rip)
      }
    })
  )

  itKvm(
    "a number that is no signal's, or that may be the one that interrupts runs, is EINVAL naming it",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      for (const signal of [0, -1, 1.5, 32, 64, 65, Number.NaN]) {
        const error = yield* expectErrno(Kvm.setSignalMask(vcpu, [2, signal]), "EINVAL")
        assert.include(error.message, `got ${signal}`)
      }
      yield* expectExit(vcpu, "Hlt")
    })
  )
})

describeKvm("Kvm.tprAccessReporting, setVapicAddr", () => {
  itKvm(
    "are accepted where there is a local APIC in the kernel, and memory for the mirror",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuestWithIrqchip([...hlt])
      yield* Kvm.tprAccessReporting(vcpu, true)
      yield* Kvm.tprAccessReporting(vcpu, false)
      yield* Kvm.setVapicAddr(vcpu, 0x1800n)
      yield* expectErrno(Kvm.setVapicAddr(vcpu, 0x7000_0000n), "EINVAL")
      yield* Kvm.setVapicAddr(vcpu, 0n)
      const error = yield* expectErrno(Kvm.setVapicAddr(vcpu, -1n), "EINVAL")
      assert.include(error.message, "vapic_addr")
      const other = yield* makeGuest([...hlt])
      yield* expectErrno(Kvm.setVapicAddr(other.vcpu, 0x1800n), "EINVAL")
    })
  )
})

describeKvm("Kvm.getMceCapSupported, setupMce, setMce", () => {
  const { MC0_ADDR, MC0_CTL, MC0_MISC, MC0_STATUS, MCG_CAP, MCG_CTL } = Kvm.Msr
  const all = 0xffff_ffff_ffff_ffffn
  const valid = 1n << 63n
  const uncorrected = 1n << 61n

  itKvm(
    "what is reported is in its bank",
    Effect.gen(function* () {
      const supported = yield* Kvm.getMceCapSupported
      const { vcpu } = yield* makeGuest([...hlt])
      yield* Kvm.setupMce(vcpu, 10n | (supported & 0x100n))
      assert.deepStrictEqual(yield* Kvm.getMsrs(vcpu, [MCG_CAP]), [
        { index: MCG_CAP, data: 10n | (supported & 0x100n) }
      ])
      yield* Kvm.setMce(vcpu, { status: valid, addr: 0x1234n, misc: 0x5678n, mcg_status: 0n, bank: 3 })
      const bank = [MC0_STATUS, MC0_ADDR, MC0_MISC].map((index) => index + 4 * 3)
      assert.deepStrictEqual(
        (yield* Kvm.getMsrs(vcpu, bank)).map(({ data }) => data),
        [valid, 0x1234n, 0x5678n]
      )
    })
  )

  itKvm(
    "an error that is not corrected is an exception of the guest's",
    Effect.gen(function* () {
      const guest = yield* makeGuest([...asm("nop", 0x90), ...hlt])
      const { vcpu } = guest
      yield* handling(guest, 18, telling(0x10))
      yield* Kvm.setupMce(vcpu, 10n | 0x100n)
      yield* Kvm.modifySregs(vcpu, ({ cr4 }) => ({ cr4: cr4 | 0x40n })) // MCE
      yield* Kvm.setMsrs(vcpu, [
        { index: MCG_CTL, data: all },
        { index: MC0_CTL + 4, data: all }
      ])
      yield* Kvm.setMce(vcpu, { status: valid | uncorrected, addr: 0n, misc: 0n, mcg_status: 4n, bank: 1 })
      assert.strictEqual((yield* expectExit(vcpu, "Io")).port, 0x10)
      yield* expectExit(vcpu, "Hlt")
    })
  )

  itKvm(
    "no banks, too many, a bank that there is not, and a status that is not valid are EINVAL",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt])
      const most = BigInt(yield* Kvm.checkExtension(vm, Kvm.KVM_CAP_MCE))
      for (const cap of [0n, most + 1n, 1n | (1n << 62n)]) yield* expectErrno(Kvm.setupMce(vcpu, cap), "EINVAL")
      yield* Kvm.setupMce(vcpu, 2n)
      const mce = { status: valid, addr: 0n, misc: 0n, mcg_status: 0n, bank: 1 }
      yield* Kvm.setMce(vcpu, mce)
      yield* expectErrno(Kvm.setMce(vcpu, { ...mce, bank: 2 }), "EINVAL")
      yield* expectErrno(Kvm.setMce(vcpu, { ...mce, status: 0n }), "EINVAL")
      const error = yield* expectErrno(Kvm.setMce(vcpu, { ...mce, bank: 256 }), "EINVAL")
      assert.include(error.message, "bank")
    })
  )
})

describeKvm("what is told to a guest that runs", () => {
  itKvm(
    "fails with EBUSY instead of holding up the loop",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([...memoryCounter])
      const events = yield* Kvm.getVcpuEvents(vcpu)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Effect.forkScoped(Kvm.run(vcpu))
          assert.isTrue(yield* comesTrue(() => counted(memory) > 0))
          yield* expectErrno(Kvm.interrupt(vcpu, 0x20), "EBUSY")
          yield* expectErrno(Kvm.nmi(vcpu), "EBUSY")
          yield* expectErrno(Kvm.getVcpuEvents(vcpu), "EBUSY")
          yield* expectErrno(Kvm.setVcpuEvents(vcpu, events), "EBUSY")
          yield* expectErrno(Kvm.getMpState(vcpu), "EBUSY")
          yield* expectErrno(Kvm.setMpState(vcpu, { mp_state: 0 }), "EBUSY")
          yield* expectErrno(Kvm.setSignalMask(vcpu, null), "EBUSY")
          yield* expectErrno(Kvm.tprAccessReporting(vcpu, true), "EBUSY")
          yield* expectErrno(Kvm.setupMce(vcpu, 1n), "EBUSY")
          yield* expectErrno(Kvm.getFpu(vcpu), "EBUSY")
          yield* expectErrno(Kvm.getXsave(vcpu), "EBUSY")
          yield* expectErrno(Kvm.getMsrs(vcpu, [0x10]), "EBUSY")
          yield* expectErrno(Kvm.getCpuid2(vcpu), "EBUSY")
          yield* expectErrno(Kvm.getSregs2(vcpu), "EBUSY")
          yield* expectErrno(Kvm.getTscKhz(vcpu), "EBUSY")
          yield* expectErrno(Kvm.kvmclockCtrl(vcpu), "EBUSY")
        })
      )
    })
  )

  itKvm(
    "a guest that another fiber starts between two steps is not waited for",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([...memoryCounter])
      // The fiber gives way to others every few steps; to wait for the guest would be to wait for ever.
      const answers: Array<string> = []
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Kvm.getRegs(vcpu).pipe(
            Effect.match({
              onFailure: ({ _tag }) => answers.push(_tag),
              onSuccess: () => answers.push("registers")
            }),
            Effect.forever,
            Effect.provideService(References.MaxOpsBeforeYield, 5),
            Effect.forkScoped
          )
          for (let round = 0; round < 10; round++) {
            const before = counted(memory)
            const running = yield* Effect.forkChild(Kvm.run(vcpu))
            assert.isTrue(yield* comesTrue(() => counted(memory) !== before))
            yield* Fiber.interrupt(running)
          }
        })
      )
      assert.deepStrictEqual([...new Set(answers)].toSorted(), ["EBUSY", "registers"])
    })
  )
})

describeKvm("a closed vCPU", () => {
  itKvm(
    "answers EBADF",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const vcpu = yield* Effect.scoped(Kvm.createVcpu(vm, 0))
      yield* expectErrno(Kvm.getFpu(vcpu), "EBADF")
      yield* expectErrno(Kvm.getXsave(vcpu), "EBADF")
      yield* expectErrno(Kvm.getXsave2(vcpu), "EBADF")
      yield* expectErrno(Kvm.getMsrs(vcpu, [0x10]), "EBADF")
      yield* expectErrno(Kvm.setCpuid2(vcpu, []), "EBADF")
      yield* expectErrno(Kvm.nmi(vcpu), "EBADF")
      yield* expectErrno(Kvm.interrupt(vcpu, 1), "EBADF")
      yield* expectErrno(Kvm.setSignalMask(vcpu, null), "EBADF")
      yield* expectErrno(Kvm.setGuestDebug(vcpu, { control: 0 }), "EBADF")
    })
  )
})
