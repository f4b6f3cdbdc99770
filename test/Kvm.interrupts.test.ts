/** Interrupts of a machine: controllers and timers in the kernel, lines, messages, routes, and eventfds that raise them. */
import { assert } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { Errno, EventFd, File, Kvm, Syscall } from "../src/index.ts"
import { asm, comesTrue, expectErrno, hlt, itKvm, makeGuest } from "./support/guests.ts"
import {
  apicGuest,
  awake,
  initialiseApic,
  initialisePic,
  initialisePin10,
  initialiseTimer,
  isBlocking,
  nextByte,
  picGuest,
  ready,
  waitForInterrupts
} from "./support/interrupts.ts"
import { describeKvm } from "./support/kvm.ts"
import { openFds } from "./support/process.ts"

const pulse = (vm: Kvm.Vm, gsi: number) => Effect.andThen(Kvm.setIrqLine(vm, gsi, true), Kvm.setIrqLine(vm, gsi, false))

/** A guest that has halted: the fiber gets what it writes next. */
const halted = (vcpu: Kvm.Vcpu) =>
  Effect.gen(function* () {
    const asks = yield* isBlocking(vcpu)
    const next = yield* Effect.forkChild(nextByte(vcpu), { startImmediately: true })
    const waits = yield* comesTrue(() => Effect.runSync(asks))
    assert.isTrue(waits, "the guest halts")
    return next
  })

/** One of the 8259, about to wait, and not yet run on. */
const waitingPic = Effect.gen(function* () {
  const guest = yield* picGuest([...initialisePic, ...waitForInterrupts], [0x23, 0x25])
  assert.deepStrictEqual(yield* nextByte(guest.vcpu), ready)
  return guest
})

describeKvm("a guest that halts waits in the kernel until a handler of its own runs", () => {
  itKvm(
    "by a line of the 8259",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* waitingPic
      const next = yield* halted(vcpu)
      yield* pulse(vm, 5)
      assert.deepStrictEqual(yield* Fiber.join(next), [0x11, 0x25])
      assert.deepStrictEqual(yield* nextByte(vcpu), awake)
    })
  )

  itKvm(
    "by an eventfd that another fiber adds to, each time",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* waitingPic
      const line = yield* Kvm.irqfd(vm, 3)
      for (let time = 0; time < 3; time++) {
        const next = yield* halted(vcpu)
        yield* Effect.forkChild(EventFd.add(line))
        assert.deepStrictEqual(yield* Fiber.join(next), [0x11, 0x23])
        assert.deepStrictEqual(yield* nextByte(vcpu), awake)
      }
    })
  )

  itKvm(
    "by ticks of the timer that it programmed",
    Effect.gen(function* () {
      const code = [...initialisePic, ...initialiseTimer, ...waitForInterrupts]
      const { vcpu, vm } = yield* picGuest(code, [0x20], { pit: true })
      // On a busy machine those that were missed would keep it from ever saying that it woke up.
      yield* Kvm.reinjectControl(vm, false)
      assert.deepStrictEqual(yield* nextByte(vcpu), ready)
      for (let tick = 0; tick < 3; tick++) {
        assert.deepStrictEqual(yield* nextByte(vcpu), [0x11, 0x20])
        // Another tick may come before the guest says that it woke up.
        yield* Effect.repeat(nextByte(vcpu), { until: ([port]) => port === 0x10 })
      }
      const { channels } = yield* Kvm.getPit2(vm)
      assert.strictEqual(channels[0]?.mode, 2)
      assert.strictEqual(channels[0]?.count, 0x2e9c)
    })
  )

  itKvm(
    "by a message to its local APIC, and says whether it was delivered",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* apicGuest([...initialiseApic, ...waitForInterrupts], [0x40])
      const message = { address_lo: 0xfee0_0000, data: 0x40 }
      // The local APIC is off as yet.
      assert.isFalse(yield* Kvm.signalMsi(vm, message))
      assert.deepStrictEqual(yield* nextByte(vcpu), ready)
      const next = yield* halted(vcpu)
      assert.isTrue(yield* Kvm.signalMsi(vm, message))
      assert.deepStrictEqual(yield* Fiber.join(next), [0x11, 0x40])
      assert.isFalse(yield* Kvm.signalMsi(vm, { ...message, address_lo: 0xfee0_9000 }), "there is no vCPU 9")
    })
  )

  itKvm(
    "by a number whose route is a message",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* apicGuest([...initialiseApic, ...waitForInterrupts], [0x41])
      assert.strictEqual(yield* Kvm.gsiRouting(vm), undefined)
      const routes = [
        ...Kvm.defaultGsiRouting,
        Kvm.GsiRoute.Msi({ gsi: 24, address_lo: 0xfee0_0000, address_hi: 0, data: 0x41 })
      ]
      yield* Kvm.setGsiRouting(vm, routes)
      assert.deepStrictEqual(yield* Kvm.gsiRouting(vm), routes)
      assert.deepStrictEqual(yield* nextByte(vcpu), ready)
      const line = yield* Kvm.irqfd(vm, 24)
      const next = yield* halted(vcpu)
      yield* EventFd.add(line)
      assert.deepStrictEqual(yield* Fiber.join(next), [0x11, 0x41])
      assert.deepStrictEqual(yield* nextByte(vcpu), awake)
      const again = yield* halted(vcpu)
      assert.strictEqual(yield* Kvm.setIrqLineStatus(vm, 24, true), 1)
      assert.deepStrictEqual(yield* Fiber.join(again), [0x11, 0x41])
    })
  )

  itKvm(
    "by a level of the I/O APIC, whose end comes back by an eventfd",
    Effect.gen(function* () {
      const code = [...initialiseApic, ...initialisePin10, ...waitForInterrupts]
      const { vcpu, vm } = yield* apicGuest(code, [0x50])
      // Not to the 8259, whose end of it would come back as well.
      yield* Kvm.setGsiRouting(vm, [{ _tag: "Irqchip", gsi: 10, irqchip: Kvm.KVM_IRQCHIP_IOAPIC, pin: 10 }])
      assert.deepStrictEqual(yield* nextByte(vcpu), ready)
      const { resample, trigger } = yield* Kvm.irqfdWithResample(vm, 10)
      for (let time = 0; time < 2; time++) {
        const next = yield* halted(vcpu)
        yield* EventFd.add(trigger)
        assert.deepStrictEqual(yield* Fiber.join(next), [0x11, 0x50])
        const { ioapic } = yield* Kvm.getIrqchip(vm, "Ioapic")
        const entry = Kvm.decodeRedirection(ioapic.redirtbl[10] ?? 0n)
        assert.deepInclude(entry, { vector: 0x50, trig_mode: 1, mask: 0 })
        assert.deepStrictEqual(yield* nextByte(vcpu), awake)
        assert.strictEqual(yield* EventFd.read(resample), 1n)
      }
    })
  )

  itKvm(
    "and interrupting its run works, after which it goes on waiting",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* waitingPic
      for (let time = 0; time < 3; time++) {
        const next = yield* halted(vcpu)
        const began = performance.now()
        yield* Fiber.interrupt(next)
        assert.isBelow(performance.now() - began, 5000)
      }
      yield* pulse(vm, 3)
      assert.deepStrictEqual(yield* nextByte(vcpu), [0x11, 0x23])
      assert.deepStrictEqual(yield* nextByte(vcpu), awake)
    })
  )

  itKvm(
    "also while an interrupt is on its way: it is not lost",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* waitingPic
      const line = yield* Kvm.irqfd(vm, 3)
      for (let time = 0; time < 20; time++) {
        const next = yield* Effect.forkChild(nextByte(vcpu), { startImmediately: true })
        yield* EventFd.add(line)
        yield* Fiber.interrupt(next)
        const outcome = yield* Fiber.await(next)
        // Of what it says in between the host may have seen some before.
        if (Exit.isSuccess(outcome) && outcome.value[0] === 0x11) continue
        const told = yield* Effect.repeat(nextByte(vcpu), { until: ([port]) => port === 0x11 })
        assert.deepStrictEqual(told, [0x11, 0x23])
      }
    })
  )
})

describeKvm("a second vCPU", () => {
  /** Sends vCPU 1 an INIT and then the address to start at, 0x5000, by its local APIC. */
  const start = [
    ...asm("mov dword ptr ds:[0x310], 0x01000000", 0x66, 0xc7, 0x06, 0x10, 0x03, 0x00, 0x00, 0x00, 0x01),
    ...asm("mov dword ptr ds:[0x300], 0x4500", 0x66, 0xc7, 0x06, 0x00, 0x03, 0x00, 0x45, 0x00, 0x00),
    ...asm("mov dword ptr ds:[0x300], 0x4605", 0x66, 0xc7, 0x06, 0x00, 0x03, 0x05, 0x46, 0x00, 0x00)
  ]
  const started = [...asm("mov al, 'A'", 0xb0, 0x41), ...asm("out 0x12, al", 0xe6, 0x12), ...asm("hlt", 0xf4)]

  // Also where somebody else sees each call.
  for (const [how, trampoline] of [
    ["", Syscall.kernel],
    [", also by a trampoline", Syscall.intercept(Syscall.kernel, (_nr, _args, proceed) => proceed())]
  ] as const) {
    itKvm(
      `waits in the kernel until the guest starts it, and its run can be interrupted before${how}`,
      Effect.gen(function* () {
        const { memory, vcpu, vm } = yield* apicGuest([...initialiseApic, ...start, ...waitForInterrupts], [])
        memory.bytes.set(started, 0x5000)
        const second = yield* Kvm.createVcpu(vm, 1)
        const early = yield* halted(second)
        yield* Fiber.interrupt(early)
        // The kernel ends such a run with EAGAIN when the vCPU is started, and wants to be asked again.
        const next = yield* halted(second)
        assert.deepStrictEqual(yield* nextByte(vcpu), ready)
        assert.deepStrictEqual(yield* Fiber.join(next), [0x12, 0x41])
      }).pipe(Effect.provideService(Syscall.Trampoline, trampoline))
    )
  }
})

describeKvm("interrupt controllers", () => {
  itKvm(
    "are made once, before vCPUs, and needed by a timer",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      yield* expectErrno(Kvm.createPit2(vm), "ENOENT")
      yield* Kvm.createIrqChip(vm)
      yield* expectErrno(Kvm.createIrqChip(vm), "EEXIST")
      yield* Kvm.createPit2(vm, { flags: Kvm.KVM_PIT_SPEAKER_DUMMY })
      yield* expectErrno(Kvm.createPit(vm), "EEXIST")
      const { vm: late } = yield* makeGuest([...hlt])
      yield* expectErrno(Kvm.createIrqChip(late), "EINVAL")
    })
  )

  itKvm(
    "keep the state that they are given",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      yield* Kvm.createIrqChip(vm)
      for (const chip of ["PicMaster", "PicSlave"] as const) {
        const { _tag, pic } = yield* Kvm.getIrqchip(vm, chip)
        assert.strictEqual(_tag, chip)
        const changed = { ...pic, imr: chip === "PicMaster" ? 0xa5 : 0x5a, irq_base: 0x60 }
        yield* Kvm.setIrqchip(vm, { _tag: chip, pic: changed })
        assert.deepStrictEqual((yield* Kvm.getIrqchip(vm, chip)).pic, changed)
      }
      assert.strictEqual((yield* Kvm.getIrqchip(vm, "PicMaster")).pic.imr, 0xa5)

      const { ioapic } = yield* Kvm.getIrqchip(vm, "Ioapic")
      assert.strictEqual(ioapic.base_address, 0xfec0_0000n)
      assert.strictEqual(ioapic.redirtbl.length, 24)
      const redirtbl = ioapic.redirtbl.map((entry, pin) =>
        pin === 23 ? Kvm.encodeRedirection({ vector: 0x77, mask: 1, trig_mode: 1, dest_id: 0xfe }) : entry
      )
      yield* Kvm.setIrqchip(vm, Kvm.Irqchip.Ioapic({ ioapic: { ...ioapic, id: 3, redirtbl } }))
      const then = (yield* Kvm.getIrqchip(vm, "Ioapic")).ioapic
      assert.deepStrictEqual(then, { ...ioapic, id: 3, redirtbl })
      assert.deepInclude(Kvm.decodeRedirection(then.redirtbl[23] ?? 0n), { vector: 0x77, dest_id: 0xfe, mask: 1 })
    })
  )

  itKvm(
    "and timers keep theirs, and are not there unless made",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      yield* expectErrno(Kvm.getIrqchip(vm, "PicMaster"), "ENXIO")
      yield* expectErrno(Kvm.getPit2(vm), "ENXIO")
      yield* expectErrno(Kvm.reinjectControl(vm, false), "ENXIO")
      yield* Kvm.createIrqChip(vm)
      yield* Kvm.createPit2(vm)
      const state = yield* Kvm.getPit2(vm)
      assert.strictEqual(state.channels.length, 3)
      const channels = state.channels.map((channel, index) => ({ ...channel, mode: 3, count: 1000 + index }))
      yield* Kvm.setPit2(vm, { channels, flags: Kvm.KVM_PIT_FLAGS_HPET_LEGACY })
      const then = yield* Kvm.getPit2(vm)
      assert.deepStrictEqual(
        then.channels.map(({ count, mode }) => [count, mode]),
        [
          [1000, 3],
          [1001, 3],
          [1002, 3]
        ]
      )
      assert.strictEqual(then.flags, Kvm.KVM_PIT_FLAGS_HPET_LEGACY)
      const old = yield* Kvm.getPit(vm)
      assert.deepStrictEqual(
        old.channels.map(({ count }) => count),
        [1000, 1001, 1002]
      )
      yield* Kvm.setPit(vm, { channels: old.channels.map((channel) => ({ ...channel, count: 77 })) })
      assert.strictEqual((yield* Kvm.getPit2(vm)).channels[2]?.count, 77)
      yield* Kvm.reinjectControl(vm, false)
      yield* Kvm.reinjectControl(vm, true)
    })
  )

  itKvm(
    "can be left to the host program but for the local APICs, and a line is then nobody's",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      yield* Kvm.enableSplitIrqchip(vm, 24)
      yield* expectErrno(Kvm.createIrqChip(vm), "EEXIST")
      yield* expectErrno(Kvm.getIrqchip(vm, "Ioapic"), "ENXIO")
      const { id } = yield* Kvm.createVcpu(vm, 0)
      assert.strictEqual(id, 0)
      assert.isFalse(yield* Kvm.signalMsi(vm, { address_lo: 0xfee0_0000, data: 0x40 }))
    })
  )

  itKvm(
    "fields of a redirection that do not fit are a RangeError that names them",
    Effect.sync(() => {
      assert.throws(() => Kvm.encodeRedirection({ vector: 256 }), RangeError, /^vector/)
      assert.throws(() => Kvm.encodeRedirection({ mask: 2 }), RangeError, /^mask/)
      const entry = { vector: 0xfe, delivery_mode: 7, dest_mode: 1, delivery_status: 1, polarity: 1 }
      const rest = { remote_irr: 1, trig_mode: 1, mask: 1, dest_id: 0xab }
      assert.deepStrictEqual(Kvm.decodeRedirection(Kvm.encodeRedirection({ ...entry, ...rest })), { ...entry, ...rest })
      assert.strictEqual(Kvm.encodeRedirection({}), 0n)
    })
  )
})

describeKvm("interrupt lines", () => {
  itKvm(
    "tell what became of an interrupt",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* waitingPic
      assert.strictEqual(yield* Kvm.setIrqLineStatus(vm, 5, true), 1)
      yield* Kvm.setIrqLineStatus(vm, 5, false)
      // The first one is still pending.
      assert.strictEqual(yield* Kvm.setIrqLineStatus(vm, 5, true), 0)
      // No route has this number.
      assert.strictEqual(yield* Kvm.setIrqLineStatus(vm, 4000, true), -1)
      yield* expectErrno(Kvm.setIrqLine(vm, -1, true), "EINVAL")
      assert.deepStrictEqual(yield* nextByte(vcpu), [0x11, 0x25])
    })
  )

  itKvm(
    "need controllers, and an open machine",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      yield* expectErrno(Kvm.setIrqLine(vm, 5, true), "ENXIO")
      yield* expectErrno(Kvm.setIrqLineStatus(vm, 5, true), "ENXIO")
      yield* expectErrno(Kvm.signalMsi(vm, { address_lo: 0xfee0_0000, data: 0x40 }), "EINVAL")
      const scope = yield* Scope.make()
      const closed = yield* Scope.provide(Kvm.createVm(), scope)
      yield* Kvm.createIrqChip(closed)
      yield* Scope.close(scope, Exit.void)
      yield* expectErrno(Kvm.setIrqLine(closed, 5, true), "EBADF")
      yield* expectErrno(Kvm.irqfd(closed, 5), "EBADF")
    })
  )

  itKvm(
    "cannot have routes that are none, and keep those they had",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      yield* Kvm.createIrqChip(vm)
      const good = [Kvm.GsiRoute.Irqchip({ gsi: 3, irqchip: Kvm.KVM_IRQCHIP_PIC_MASTER, pin: 3 })]
      yield* Kvm.setGsiRouting(vm, good)
      yield* expectErrno(Kvm.setGsiRouting(vm, [Kvm.GsiRoute.Irqchip({ gsi: 3, irqchip: 9, pin: 3 })]), "EINVAL")
      const named = yield* expectErrno(
        Kvm.setGsiRouting(vm, [Kvm.GsiRoute.Irqchip({ gsi: -3, irqchip: 0, pin: 3 })]),
        "EINVAL"
      )
      assert.include(named.message, "gsi")
      assert.deepStrictEqual(yield* Kvm.gsiRouting(vm), good)
      const max = yield* Kvm.checkExtension(vm, "KVM_CAP_IRQ_ROUTING")
      yield* expectErrno(
        Kvm.setGsiRouting(
          vm,
          Array.from({ length: max + 1 }, () => good[0] ?? Kvm.GsiRoute.HvSint({ gsi: 0, vcpu: 0, sint: 0 }))
        ),
        "EINVAL"
      )
      yield* Kvm.setGsiRouting(vm, [])
      assert.strictEqual(yield* Kvm.setIrqLineStatus(vm, 3, true), -1)
    })
  )

  itKvm(
    "of every kind are given to the kernel as it has them",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const adapter = { ind_addr: 1n, summary_addr: 2n, ind_offset: 3n, summary_offset: 4, adapter_id: 5 }
      const routes = [
        Kvm.GsiRoute.Irqchip({ gsi: 1, irqchip: 2, pin: 3 }),
        Kvm.GsiRoute.Msi({ gsi: 2, address_lo: 0xfee0_0000, address_hi: 1, data: 2 }),
        Kvm.GsiRoute.Msi({ gsi: 3, address_lo: 0xfee0_0000, address_hi: 1, data: 2, devid: 9 }),
        Kvm.GsiRoute.S390Adapter({ gsi: 4, ...adapter }),
        Kvm.GsiRoute.HvSint({ gsi: 5, vcpu: 6, sint: 7 }),
        Kvm.GsiRoute.XenEvtchn({ gsi: 6, port: 1, vcpu: 2, priority: Kvm.KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL })
      ]
      let given = new Uint8Array()
      yield* Kvm.setGsiRouting(vm, routes).pipe(
        Effect.provideService(
          Syscall.Trampoline,
          Syscall.intercept(Syscall.kernel, (_nr, args, proceed) => {
            if (args[1] !== Kvm.KVM_SET_GSI_ROUTING.code || !(args[2] instanceof Uint8Array)) return proceed()
            given = args[2].slice()
            return 0
          })
        )
      )
      assert.deepStrictEqual(Kvm.kvm_irq_routing.decode(given), { nr: routes.length, flags: 0 })
      const entries = routes.map((_, index) => Kvm.kvm_irq_routing_entry.decode(given, 8 + 48 * index))
      assert.deepStrictEqual(
        entries.map(({ flags, gsi, type }) => [gsi, type, flags]),
        [
          [1, 1, 0],
          [2, 2, 0],
          [3, 2, 1],
          [4, 3, 0],
          [5, 4, 0],
          [6, 5, 0]
        ]
      )
      assert.deepStrictEqual(entries[0]?.u.irqchip, { irqchip: 2, pin: 3 })
      assert.deepStrictEqual(entries[2]?.u.msi, { address_lo: 0xfee0_0000, address_hi: 1, data: 2, devid: 9 })
      assert.deepStrictEqual(entries[3]?.u.adapter, adapter)
      assert.deepStrictEqual(entries[4]?.u.hv_sint, { vcpu: 6, sint: 7 })
      assert.deepStrictEqual(entries[5]?.u.xen_evtchn, { port: 1, vcpu: 2, priority: 0xffff_ffff })
    })
  )
})

describeKvm("Kvm.registerIrqfd", () => {
  itKvm(
    "lasts for its scope: after it, adding raises nothing, and the eventfd can be wired again",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* waitingPic
      const line = yield* EventFd.make()
      const before = yield* openFds
      yield* Effect.scoped(Kvm.registerIrqfd(vm, line, 5))
      assert.strictEqual(yield* openFds, before)
      yield* EventFd.add(line)
      yield* Kvm.registerIrqfd(vm, line, 3)
      yield* EventFd.read(line)
      yield* EventFd.add(line)
      assert.deepStrictEqual(yield* nextByte(vcpu), [0x11, 0x23])
      assert.deepStrictEqual(yield* nextByte(vcpu), awake)
      assert.strictEqual((yield* Kvm.getIrqchip(vm, "PicMaster")).pic.irr & 0x20, 0, "5 was not raised")
    })
  )

  itKvm(
    "ends before its scope with unregisterIrqfd, once",
    Effect.gen(function* () {
      const { vm } = yield* waitingPic
      const line = yield* EventFd.make()
      const before = yield* openFds
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Kvm.registerIrqfd(vm, line, 5)
          yield* expectErrno(Effect.scoped(Kvm.registerIrqfd(vm, line, 3)), "EBUSY")
          yield* Kvm.unregisterIrqfd(vm, line, 5)
          assert.strictEqual(yield* openFds, before)
          yield* Kvm.unregisterIrqfd(vm, line, 5)
          yield* Kvm.registerIrqfd(vm, line, 3)
        })
      )
      assert.strictEqual(yield* openFds, before)
    })
  )

  itKvm(
    "keeps working where the eventfd is closed here, and takes off the right one",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* waitingPic
      const before = yield* openFds
      const scope = yield* Scope.make()
      const line = yield* Scope.provide(EventFd.make(), scope)
      const other = yield* Scope.provide(File.duplicate(line), scope)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Kvm.registerIrqfd(vm, line, 3)
          yield* File.close(line)
          yield* EventFd.add(other)
          assert.deepStrictEqual(yield* nextByte(vcpu), [0x11, 0x23])
        })
      )
      assert.deepStrictEqual(yield* nextByte(vcpu), awake)
      yield* EventFd.add(other)
      assert.strictEqual((yield* Kvm.getIrqchip(vm, "PicMaster")).pic.irr & 0x08, 0)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* openFds, before)
      yield* expectErrno(Effect.scoped(Kvm.registerIrqfd(vm, line, 3)), "EBADF")
    })
  )

  itKvm(
    "ends with the machine, whatever the order of scopes, before the machine closes",
    Effect.gen(function* () {
      const outer = yield* Scope.make()
      const before = yield* openFds
      const log: Array<string> = []
      yield* Effect.gen(function* () {
        const vm = yield* Kvm.createVm()
        yield* Kvm.createIrqChip(vm)
        const line = yield* Scope.provide(Kvm.irqfd(vm, 5), outer)
        const vmFd = yield* File.fd(vm.file)
        yield* Effect.addFinalizer(() => Effect.sync(() => log.push("scope")))
        return { line, vmFd }
      }).pipe(
        Effect.scoped,
        Effect.provideService(
          Syscall.Trampoline,
          Syscall.intercept(Syscall.kernel, (nr, args, proceed) => {
            if (nr === Syscall.nr.ioctl && args[1] === Kvm.KVM_IRQFD.code) log.push("irqfd")
            if (nr === Syscall.nr.close) log.push("close")
            return proceed()
          })
        )
      )
      // Made, taken off, its own descriptor closed, the machine's closed; the eventfd itself is the outer scope's.
      assert.deepStrictEqual(log, ["irqfd", "scope", "irqfd", "close", "close"])
      assert.strictEqual(yield* openFds, before + 1)
      yield* Scope.close(outer, Exit.void)
      assert.strictEqual(yield* openFds, before)
    })
  )

  itKvm(
    "leaves nothing when a step of it fails, whichever",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      yield* Kvm.createIrqChip(vm)
      const before = yield* openFds
      let failures = 0
      for (let failing = 1; ; failing++) {
        let calls = 0
        const outcome = yield* Effect.exit(Effect.scoped(Kvm.irqfdWithResample(vm, 5))).pipe(
          Effect.provideService(
            Syscall.Trampoline,
            Syscall.intercept(Syscall.kernel, (nr, _args, proceed) =>
              nr !== Syscall.nr.close && ++calls === failing ? -Errno.codes.ENOMEM : proceed()
            )
          )
        )
        assert.strictEqual(yield* openFds, before)
        if (Exit.isSuccess(outcome)) break
        failures++
      }
      // Two eventfds, two duplicates, the request.
      assert.isAtLeast(failures, 5)
      yield* Effect.scoped(Kvm.irqfdWithResample(vm, 5))
    })
  )

  itKvm(
    "interrupted at any moment leaves nothing",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      yield* Kvm.createIrqChip(vm)
      const before = yield* openFds
      for (let turns = 0; turns < 30; turns++) {
        const fiber = yield* Effect.forkChild(
          Effect.scoped(
            Effect.andThen(
              Effect.forEach([3, 4, 5], (gsi) => Kvm.irqfd(vm, gsi)),
              Effect.never
            )
          )
        )
        for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* openFds, before)
      }
    })
  )

  itKvm(
    "needs controllers in the kernel",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const before = yield* openFds
      yield* expectErrno(Effect.scoped(Kvm.irqfd(vm, 5)), "EINVAL")
      assert.strictEqual(yield* openFds, before)
    })
  )
})
