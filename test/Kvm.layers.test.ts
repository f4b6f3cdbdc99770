/** Machines and vCPUs as services: asked for by whoever needs them, made by a layer, gone with it. */
import { assert, it, layer } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { Errno, Kvm, Syscall } from "../src/index.ts"
import { asm, expectErrno, expectExit, hlt, spin, userThreadIds } from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"
import { mappings, openFds } from "./support/process.ts"

/** What a program that asks for a machine looks like. */
const program = Effect.gen(function* () {
  const memory = Kvm.guestMemory(yield* Kvm.Vm)
  yield* Kvm.writeMemory(memory, 0x1000, Uint8Array.from(hlt))
  return yield* Kvm.run(yield* Kvm.Vcpu)
})

const machine = (
  vm: Kvm.VmOptions = { memory: 0x1_0000 },
  vcpu: Kvm.VcpuOptions = { mode: { real: { entry: 0x1000 } } }
) => Kvm.layerVcpu(vcpu).pipe(Layer.provideMerge(Kvm.layerVm(vm)), Layer.provideMerge(Kvm.layer))

/** Fails unless as many descriptors are open after as before. */
const leavesNothing = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const before = yield* openFds
    const regions = yield* mappings(/kvm-vcpu/)
    const threads = userThreadIds().length
    const a = yield* effect
    assert.strictEqual(yield* openFds, before)
    assert.strictEqual(yield* mappings(/kvm-vcpu/), regions)
    assert.strictEqual(userThreadIds().length, threads)
    return a
  })

describeKvm("Kvm.layerVm, Kvm.layerVcpu", () => {
  it.live("a program asks for the machine, and the layer gives it; nothing is left of it", () =>
    Effect.gen(function* () {
      yield* Effect.provide(program, machine()) // the process's first machine has threads of the kernel's made
      const exit = yield* leavesNothing(Effect.provide(program, machine()))
      assert.deepStrictEqual(exit, { _tag: "Hlt" })
    })
  )

  it.live("regions, and what they hold from the start", () =>
    Effect.gen(function* () {
      const vm = yield* Kvm.Vm
      const memory = Kvm.guestMemory(vm)
      assert.deepStrictEqual(
        memory.regions.map(({ guestAddress, size }) => [guestAddress, size]),
        [
          [0n, 0x2000],
          [0x1_0000n, 0x1000]
        ]
      )
      assert.deepStrictEqual(yield* Kvm.readMemory(memory, 0x1_0ffe, 2), Uint8Array.of(7, 8))
      yield* expectExit(yield* Kvm.Vcpu, "Hlt")
    }).pipe(
      Effect.provide(
        machine({
          memory: [
            { guestAddress: 0, size: 0x2000 },
            { guestAddress: 0x1_0000, size: 0x1000 }
          ],
          load: [
            { address: 0x1000, bytes: hlt },
            { address: 0x1_0ffen, bytes: Uint8Array.of(7, 8) }
          ]
        })
      )
    )
  )

  it.live("each mode", () =>
    Effect.gen(function* () {
      const modes: ReadonlyArray<Kvm.ModeOptions> = [
        { real: { entry: 0x1000, stack: 0x8000 } },
        { protected: { entry: 0x1000, stack: 0x8000 } },
        { long: { entry: 0x1000, stack: 0x8000, tables: 0x1_0000 } }
      ]
      for (const mode of modes) {
        const sizes = yield* Effect.gen(function* () {
          const vcpu = yield* Kvm.Vcpu
          yield* expectExit(vcpu, "Hlt")
          return 0x8000n - (yield* Kvm.getRegs(vcpu)).rsp
        }).pipe(
          Effect.provide(
            machine(
              { memory: 0x2_0000, load: [{ address: 0x1000, bytes: [...asm("push (e/r)ax", 0x50), ...hlt] }] },
              { mode }
            )
          )
        )
        // What one push takes says in which mode it was.
        assert.strictEqual(sizes, "real" in mode ? 2n : "protected" in mode ? 4n : 8n)
      }
    })
  )

  it.live("interrupt controllers and timer are there where they are asked for", () =>
    Effect.gen(function* () {
      const vm = yield* Kvm.Vm
      yield* Kvm.getPit2(vm)
      yield* Kvm.setIrqLine(vm, 4, true)
    }).pipe(Effect.provide(machine({ memory: 0x1_0000, pit: true })))
  )

  it.live("without them setting a line is an error", () =>
    Effect.gen(function* () {
      yield* Effect.flip(Kvm.getPit2(yield* Kvm.Vm))
    }).pipe(Effect.provide(machine()))
  )

  it.live("several vCPUs, each with its identifier and CPUID", () =>
    Effect.gen(function* () {
      const vcpus = yield* Effect.forEach([0, 1], (id) => Layer.build(Kvm.layerVcpu({ id, cpuid: { vcpus: 2 } })))
      const leaves = yield* Effect.forEach(vcpus, (context) =>
        Effect.map(
          Kvm.getCpuid2(Context.get(context, Kvm.Vcpu)),
          (entries) => (Kvm.findCpuid(entries, 1)?.ebx ?? 0) >>> 24
        )
      )
      assert.deepStrictEqual(leaves, [0, 1])
    }).pipe(Effect.scoped, Effect.provide(Kvm.layerVm().pipe(Layer.provideMerge(Kvm.layer))))
  )

  it.live("what goes wrong is a typed error, and leaves nothing", () =>
    Effect.gen(function* () {
      const fails = (layer: ReturnType<typeof machine>) => leavesNothing(Effect.flip(Effect.provide(program, layer)))
      const outside = yield* fails(machine({ memory: 0x1000, load: [{ address: 0xfff, bytes: [1, 2] }] }))
      assert.strictEqual(outside._tag, "OutOfGuestMemory")
      const overlapping = yield* fails(
        machine({ memory: [0, 0x1000].map((guestAddress) => ({ guestAddress, size: 0x2000 })) })
      )
      assert.strictEqual(overlapping._tag, "EEXIST")
      const state = yield* fails(machine({}, { mode: { real: { entry: 0x20_0000 } } }))
      assert.strictEqual(state._tag, "GuestStateError")
      const feature = yield* fails(machine({}, { cpuid: { features: { VMX: true, SVM: true } } }))
      assert.strictEqual(feature._tag, "MissingFeature")
      yield* expectErrno(fails(machine({ type: 0xffff })).pipe(Effect.flip), "EINVAL")
    })
  )

  it.live("a program stopped in the midst of its guest leaves nothing", () =>
    leavesNothing(
      Effect.gen(function* () {
        const running = yield* Deferred.make<void>()
        const fiber = yield* Effect.gen(function* () {
          yield* Kvm.writeMemory(Kvm.guestMemory(yield* Kvm.Vm), 0x1000, Uint8Array.from(spin))
          yield* Deferred.succeed(running, undefined)
          return yield* Kvm.run(yield* Kvm.Vcpu)
        }).pipe(Effect.provide(machine()), Effect.forkChild)
        yield* Deferred.await(running)
        yield* Fiber.interrupt(fiber)
      })
    )
  )

  it.live("interrupted at any of its requests, making a machine leaves nothing", () =>
    Effect.gen(function* () {
      /** How many calls it takes, and, where `at` is one of them, interrupted in that one. */
      const make = (at: number) =>
        Effect.gen(function* () {
          let calls = 0
          const fiber = yield* Effect.suspend(() =>
            Effect.provide(Kvm.Vcpu, machine({ memory: 0x2000, pit: true }))
          ).pipe(
            Effect.provideService(
              Syscall.Trampoline,
              Syscall.intercept(Syscall.kernel, (_nr, _args, proceed) => {
                if (calls++ === at) fiber_?.interruptUnsafe()
                return proceed()
              })
            ),
            Effect.forkChild
          )
          fiber_ = fiber
          yield* Fiber.await(fiber)
          fiber_ = undefined
          return calls
        })
      let fiber_: Fiber.Fiber<unknown, unknown> | undefined
      const calls = yield* make(-1)
      assert.isAtLeast(calls, 8)
      for (let at = 0; at < calls; at++) yield* leavesNothing(make(at))
    })
  )

  it.live("the layer is what closes the machine: its parts are closed with it", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(machine(), scope)
      const vcpu = Context.get(context, Kvm.Vcpu)
      yield* Kvm.getRegs(vcpu)
      yield* Scope.close(scope, Exit.void)
      const error = yield* Effect.flip(Kvm.getRegs(vcpu))
      assert.instanceOf(error, Errno.EBADF)
    })
  )

  layer(machine())("with the layer of @effect/vitest, a machine for several tests", (it) => {
    it.effect("one writes", () =>
      Effect.gen(function* () {
        yield* Kvm.writeU8(Kvm.guestMemory(yield* Kvm.Vm), 0x2000, 42)
      })
    )
    it.effect("another reads", () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* Kvm.readU8(Kvm.guestMemory(yield* Kvm.Vm), 0x2000), 42)
      })
    )
  })
})
