/** Eventfds that guests signal by writing to ports and addresses: without an exit. */
import { assert } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { Errno, EventFd, File, Kvm, Syscall } from "../src/index.ts"
import { asm, comesTrue, expectErrno, expectExit, hlt, itKvm, makeGuest, makeLongGuest } from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"
import { openFds } from "./support/process.ts"

const { Mmio, Pio } = Kvm.IoEventAddress

/** Writes a byte 1 to port 0x30 twice, then a byte 7, then a word 7, and says so on port 0x10. */
const ports = [
  ...asm("mov al, 1", 0xb0, 0x01),
  ...asm("out 0x30, al", 0xe6, 0x30),
  ...asm("out 0x30, al", 0xe6, 0x30),
  ...asm("mov al, 7", 0xb0, 0x07),
  ...asm("out 0x30, al", 0xe6, 0x30),
  ...asm("mov ax, 7", 0xb8, 0x07, 0x00),
  ...asm("out 0x30, ax", 0xe7, 0x30),
  ...asm("out 0x10, al", 0xe6, 0x10),
  ...asm("hlt", 0xf4)
]

/** In 64-bit mode: writes the low 1, 2, 4 and 8 bytes of a number to 0x100000, says so, and writes the next number. */
const widths = [
  ...asm("mov eax, 0x100000", 0xb8, 0x00, 0x00, 0x10, 0x00),
  ...asm("mov rcx, 0x0102030405060708", 0x48, 0xb9, 0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01),
  ...asm("mov [rax], cl", 0x88, 0x08),
  ...asm("mov [rax], cx", 0x66, 0x89, 0x08),
  ...asm("mov [rax], ecx", 0x89, 0x08),
  ...asm("mov [rax], rcx", 0x48, 0x89, 0x08),
  ...asm("out 0x10, al", 0xe6, 0x10),
  ...asm("inc rcx", 0x48, 0xff, 0xc1),
  ...asm("mov [rax], rcx", 0x48, 0x89, 0x08),
  ...asm("hlt", 0xf4)
]

/** Exits up to the halt, in short: port or address, and the bytes. */
const exits = (vcpu: Kvm.Vcpu) =>
  Effect.gen(function* () {
    const seen: Array<string> = []
    while (true) {
      const exit = yield* Kvm.run(vcpu)
      if (exit._tag === "Hlt") return seen
      if (exit._tag === "Io") seen.push(`${exit.port.toString(16)}: ${[...exit.data].join(" ")}`)
      else if (exit._tag === "Mmio") seen.push(`${exit.address.toString(16)}: ${[...exit.data].join(" ")}`)
      else return yield* Effect.die(new Error(`the guest stopped with ${exit._tag}`))
    }
  })

const taken = (counter: EventFd.EventFd) =>
  Effect.map(EventFd.tryRead(counter), (value) => (value._tag === "Some" ? Number(value.value) : 0))

describeKvm("Kvm.registerIoevent", () => {
  itKvm(
    "a write to a port signals instead of an exit, whatever its length and value",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest(ports)
      const bell = yield* Kvm.ioevent(vm, Pio({ port: 0x30 }))
      assert.deepStrictEqual(yield* exits(vcpu), ["10: 7"])
      assert.strictEqual(yield* taken(bell), 4)
    })
  )

  itKvm(
    "only of its length",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest(ports)
      const bytes = yield* Kvm.ioevent(vm, Pio({ port: 0x30 }), { length: 1 })
      assert.deepStrictEqual(yield* exits(vcpu), ["30: 7 0", "10: 7"])
      assert.strictEqual(yield* taken(bytes), 3)
    })
  )

  itKvm(
    "only of its value, and each value may have an eventfd of its own",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest(ports)
      const ones = yield* Kvm.ioevent(vm, Pio({ port: 0x30n }), { length: 1, datamatch: 1 })
      const words = yield* Kvm.ioevent(vm, Pio({ port: 0x30 }), { length: 2, datamatch: 7n })
      assert.deepStrictEqual(yield* exits(vcpu), ["30: 7", "10: 7"])
      assert.deepStrictEqual([yield* taken(ones), yield* taken(words)], [2, 1])
    })
  )

  itKvm(
    "at addresses of 1, 2, 4 and 8 bytes",
    Effect.gen(function* () {
      const all = 0x0102_0304_0506_0708n
      for (const length of [1, 2, 4, 8] as const) {
        const { vcpu, vm } = yield* makeLongGuest(widths)
        const address = Mmio({ address: 0x10_0000 })
        const matching = yield* Kvm.ioevent(vm, address, { length, datamatch: BigInt.asUintN(8 * length, all) })
        const written = yield* exits(vcpu)
        assert.strictEqual(yield* taken(matching), 1, `${length} bytes`)
        const others = [1, 2, 4, 8].filter((other) => other !== length)
        assert.deepStrictEqual(written, [
          ...others.map((other) => `100000: ${[8, 7, 6, 5, 4, 3, 2, 1].slice(0, other).join(" ")}`).slice(0, 3),
          `10: 0`,
          "100000: 9 7 6 5 4 3 2 1"
        ])
      }
      const { vcpu, vm } = yield* makeLongGuest(widths)
      const any = yield* Kvm.ioevent(vm, Mmio({ address: 0x10_0000n }))
      assert.deepStrictEqual(yield* exits(vcpu), ["10: 0"])
      assert.strictEqual(yield* taken(any), 5)
    })
  )

  itKvm(
    "while the guest runs a fiber waits for the bell",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest(ports)
      const bell = yield* Kvm.ioevent(vm, Pio({ port: 0x30 }))
      const heard = yield* Effect.forkChild(EventFd.wait(bell), { startImmediately: true })
      yield* expectExit(vcpu, "Io")
      yield* Fiber.join(heard)
      assert.strictEqual(yield* EventFd.read(bell), 4n)
    })
  )

  itKvm(
    "an eventfd of a line makes a guest interrupt another machine without the host program",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest(ports)
      const other = yield* Kvm.createVm()
      yield* Kvm.createIrqChip(other)
      const line = yield* EventFd.make()
      yield* Kvm.registerIrqfd(other, line, 5)
      yield* Kvm.registerIoevent(vm, line, Pio({ port: 0x30 }))
      assert.strictEqual((yield* Kvm.getIrqchip(other, "PicMaster")).pic.irr, 0)
      yield* expectExit(vcpu, "Io")
      // The kernel raises it in the background.
      const pending = Kvm.getIrqchip(other, "PicMaster").pipe(Effect.map(({ pic }) => pic.irr === 1 << 5))
      assert.isTrue(yield* comesTrue(() => Effect.runSync(pending)))
    })
  )

  itKvm(
    "ends with its scope, or before, and writes are exits again",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest(ports)
      const bell = yield* EventFd.make()
      const before = yield* openFds
      const address = Pio({ port: 0x30 })
      yield* Effect.scoped(Kvm.registerIoevent(vm, bell, address))
      assert.strictEqual(yield* openFds, before)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Kvm.registerIoevent(vm, bell, address, { length: 1, datamatch: 1 })
          yield* Kvm.registerIoevent(vm, bell, address, { length: 1, datamatch: 7 })
          const twice = Kvm.registerIoevent(vm, bell, address, { length: 1, datamatch: 7 })
          yield* expectErrno(Effect.scoped(twice), "EEXIST")
          yield* Kvm.unregisterIoevent(vm, bell, Pio({ port: 0x30 }), { length: 1, datamatch: 1n })
          yield* expectErrno(Kvm.unregisterIoevent(vm, bell, address, { length: 1, datamatch: 1 }), "ENOENT")
          yield* expectErrno(Kvm.unregisterIoevent(vm, bell, address), "ENOENT")
          assert.strictEqual(yield* openFds, before + 1)
          assert.deepStrictEqual(yield* expectExit(vcpu, "Io").pipe(Effect.map(({ data }) => [...data])), [1])
        })
      )
      assert.strictEqual(yield* openFds, before)
      assert.deepStrictEqual(yield* exits(vcpu), ["30: 1", "30: 7", "30: 7 0", "10: 7"])
      assert.strictEqual(yield* taken(bell), 0)
    })
  )

  itKvm(
    "outlives the eventfd's closing here, and ends with the machine",
    Effect.gen(function* () {
      const before = yield* openFds
      const outer = yield* Scope.make()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { vcpu, vm } = yield* makeGuest(ports)
          const bell = yield* Scope.provide(Kvm.ioevent(vm, Pio({ port: 0x30 })), outer)
          yield* File.close(bell)
          // Numbers that are closed come back: none may be mistaken for the bell's.
          const fresh = yield* EventFd.make()
          assert.deepStrictEqual(yield* exits(vcpu), ["10: 7"])
          assert.strictEqual(yield* taken(fresh), 0)
        })
      )
      assert.strictEqual(yield* openFds, before)
      const calls: Array<string> = []
      yield* Scope.close(outer, Exit.void).pipe(
        Effect.provideService(
          Syscall.Trampoline,
          Syscall.record(Syscall.kernel, ({ name }) => calls.push(name))
        )
      )
      assert.deepStrictEqual(calls, [])
    })
  )

  itKvm(
    "what cannot be is refused, naming the argument, and leaves nothing",
    Effect.gen(function* () {
      const { vm } = yield* makeGuest([...hlt])
      const before = yield* openFds
      const bell = yield* EventFd.make()
      const refused = [
        ["datamatch", Kvm.registerIoevent(vm, bell, Pio({ port: 1 }), { length: 1, datamatch: 256 })],
        ["datamatch", Kvm.registerIoevent(vm, bell, Pio({ port: 1 }), { length: 4, datamatch: -1 })],
        ["datamatch", Kvm.registerIoevent(vm, bell, Pio({ port: 1 }), { length: 8, datamatch: 1n << 64n })],
        ["datamatch", Kvm.registerIoevent(vm, bell, Pio({ port: 1 }), { length: 8, datamatch: 2 ** 60 })],
        ["port", Kvm.registerIoevent(vm, bell, Pio({ port: 0.5 }))],
        ["address", Kvm.registerIoevent(vm, bell, Mmio({ address: Number.NaN }))],
        // @ts-expect-error no such length
        ["length", Kvm.registerIoevent(vm, bell, Pio({ port: 1 }), { length: 3 })],
        // @ts-expect-error a value needs a length
        ["datamatch", Kvm.registerIoevent(vm, bell, Pio({ port: 1 }), { datamatch: 3 })],
        ["IOEVENTFD", Kvm.registerIoevent(vm, bell, Mmio({ address: (1n << 64n) - 1n }), { length: 8 })]
      ] as const
      for (const [name, effect] of refused) {
        const error = yield* expectErrno(Effect.scoped(effect), "EINVAL")
        assert.include(error.message, name)
      }
      yield* File.close(bell)
      yield* expectErrno(Effect.scoped(Kvm.registerIoevent(vm, bell, Pio({ port: 1 }))), "EBADF")
      const notOne = yield* File.open("/dev/null")
      // @ts-expect-error a file is no eventfd
      yield* expectErrno(Effect.scoped(Kvm.registerIoevent(vm, notOne, Pio({ port: 1 }))), "EINVAL")
      yield* File.close(notOne)
      assert.strictEqual(yield* openFds, before)
    })
  )

  itKvm(
    "leaves nothing when a step of it fails, or it is interrupted, whenever",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest(ports)
      const before = yield* openFds
      const make = Effect.scoped(Kvm.ioevent(vm, Pio({ port: 0x30 })))
      let failures = 0
      for (let failing = 1; ; failing++) {
        let calls = 0
        let requests = 0
        const outcome = yield* Effect.exit(make).pipe(
          Effect.provideService(
            Syscall.Trampoline,
            Syscall.intercept(Syscall.kernel, (nr, args, proceed) => {
              const isRequest = nr === Syscall.nr.ioctl && args[1] === Kvm.KVM_IOEVENTFD.code
              const undoing = nr === Syscall.nr.close || (isRequest && ++requests === 2)
              return !undoing && ++calls === failing ? -Errno.codes.ENOMEM : proceed()
            })
          )
        )
        assert.strictEqual(yield* openFds, before)
        if (Exit.isSuccess(outcome)) break
        failures++
      }
      assert.isAtLeast(failures, 3)
      for (let turns = 0; turns < 20; turns++) {
        const fiber = yield* Effect.forkChild(
          Effect.scoped(Effect.andThen(Kvm.ioevent(vm, Pio({ port: 0x30 })), Effect.never))
        )
        for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* openFds, before)
      }
      assert.deepStrictEqual(yield* exits(vcpu), ["30: 1", "30: 1", "30: 7", "30: 7 0", "10: 7"])
    })
  )

  itKvm(
    "three hundred come and go",
    Effect.gen(function* () {
      const { vm } = yield* makeGuest([...hlt])
      const before = yield* openFds
      for (let round = 0; round < 3; round++) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            for (let port = 0; port < 100; port++) yield* Kvm.ioevent(vm, Pio({ port: 0x1000 + port }), { length: 2 })
            assert.strictEqual(yield* openFds, before + 200)
          })
        )
        assert.strictEqual(yield* openFds, before)
      }
    })
  )
})
