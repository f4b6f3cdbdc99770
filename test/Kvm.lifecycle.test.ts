/** Machines and their parts end with their scopes, in the right order, and leave nothing. */
import { assert } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { Errno, Fcntl, File, Kvm, Syscall } from "../src/index.ts"
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
  spin,
  threadIds,
  userThreadIds
} from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"
import { mappings, openFds } from "./support/process.ts"

/** All that a machine takes of this process: descriptors, and mappings of run pages and guest memory. */
const holdings = Effect.all({ fds: openFds, mappings: mappings(/kvm-vcpu|\/dev\/zero/) })

/**
 * A kernel that keeps a log of how a guest is released: which of its resources goes when, its vCPU's thread among them.
 * The log begins with `begin`.
 */
const makeWatch = () => {
  const before = new Set(userThreadIds())
  const names = new Map<string, string>()
  const log: Array<string> = []
  let own: ReadonlyArray<number> = []
  const trampoline = Syscall.intercept(Syscall.kernel, (nr, args, proceed) => {
    const isSlot = nr === Syscall.nr.ioctl && args[1] === Kvm.KVM_SET_USER_MEMORY_REGION.code
    const name = isSlot ? "remove slot" : names.get(`${Syscall.name(nr)} ${args[0]}`)
    if (names.size > 0 && name !== undefined) {
      if (!log.includes("end thread") && !threadIds().some((id) => own.includes(id))) log.push("end thread")
      log.push(name)
    }
    return proceed()
  })
  const begin = ({ memory, vcpu, vm }: Guest) =>
    Effect.gen(function* () {
      own = userThreadIds().filter((id) => !before.has(id))
      assert.strictEqual(own.length, 1, "the vCPU has one thread")
      names.set(`close ${yield* File.fd(vm.file)}`, "close vm")
      names.set(`close ${yield* File.fd(vcpu.file)}`, "close vcpu")
      names.set(`munmap ${vcpu.page.address}`, "unmap run page")
      names.set(`munmap ${memory.mapping.address}`, "unmap memory")
    })
  return { log, begin, provide: Effect.provideService(Syscall.Trampoline, trampoline) }
}

const order = ["end thread", "unmap run page", "close vcpu", "remove slot", "unmap memory", "close vm"]

const createMemory = (vm: Kvm.Vm) =>
  Effect.tap(Kvm.addMemory(vm, { slot: 0, guestAddress: codeAddress, size: 0x1000 }), ({ bytes }) =>
    Effect.sync(() => bytes.set(hlt))
  )

const createVcpu = (vm: Kvm.Vm) => Effect.tap(Kvm.createVcpu(vm, 0), (vcpu) => enterRealMode(vcpu))

describeKvm("the end of a machine", () => {
  itKvm(
    "is thread, run page, vCPU, memory, machine",
    Effect.gen(function* () {
      const { begin, log, provide } = makeWatch()
      yield* Effect.gen(function* () {
        const guest = yield* makeGuest([...hlt])
        yield* expectExit(guest.vcpu, "Hlt")
        yield* begin(guest)
      }).pipe(Effect.scoped, provide)
      assert.deepStrictEqual(log, order)
    })
  )

  itKvm(
    "is the same when the vCPU was made before the memory",
    Effect.gen(function* () {
      const { begin, log, provide } = makeWatch()
      yield* Effect.gen(function* () {
        const vm = yield* Kvm.createVm()
        const vcpu = yield* createVcpu(vm)
        const memory = yield* createMemory(vm)
        yield* expectExit(vcpu, "Hlt")
        yield* begin({ vm, memory, vcpu })
      }).pipe(Effect.scoped, provide)
      assert.deepStrictEqual(log, order)
    })
  )

  itKvm(
    "is the same when vCPU and memory, made in this order, share a scope within the machine's",
    Effect.gen(function* () {
      const { begin, log, provide } = makeWatch()
      yield* Effect.gen(function* () {
        const vm = yield* Kvm.createVm()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const vcpu = yield* createVcpu(vm)
            const memory = yield* createMemory(vm)
            yield* expectExit(vcpu, "Hlt")
            yield* begin({ vm, memory, vcpu })
          })
        )
      }).pipe(Effect.scoped, provide)
      assert.deepStrictEqual(log, order)
    })
  )

  itKvm(
    "is the same when only the vCPU belongs to a scope that lives longer",
    Effect.gen(function* () {
      const { begin, log, provide } = makeWatch()
      const outer = yield* Effect.scope
      yield* Effect.gen(function* () {
        const vm = yield* Kvm.createVm()
        const vcpu = yield* Scope.provide(createVcpu(vm), outer)
        const memory = yield* createMemory(vm)
        yield* expectExit(vcpu, "Hlt")
        yield* begin({ vm, memory, vcpu })
      }).pipe(Effect.scoped, provide)
      assert.deepStrictEqual(log, order)
    })
  )

  itKvm(
    "is the same when its parts belong to a scope that lives longer, which then has nothing left to do",
    Effect.gen(function* () {
      const { begin, log, provide } = makeWatch()
      const outer = yield* Scope.make()
      const guest = yield* Effect.gen(function* () {
        const vm = yield* Kvm.createVm()
        const vcpu = yield* Scope.provide(createVcpu(vm), outer)
        const memory = yield* Scope.provide(createMemory(vm), outer)
        yield* expectExit(vcpu, "Hlt")
        yield* begin({ vm, memory, vcpu })
        return { vm, memory, vcpu }
      }).pipe(Effect.scoped, provide)
      assert.deepStrictEqual(log, order)
      assert.strictEqual(guest.memory.bytes.length, 0)
      yield* expectErrno(Kvm.run(guest.vcpu), "EBADF")

      const calls: Array<string> = []
      yield* Scope.close(outer, Exit.void).pipe(
        Effect.provideService(
          Syscall.Trampoline,
          Syscall.record(Syscall.kernel, ({ name }) => calls.push(name))
        )
      )
      assert.deepStrictEqual(calls, [])
      assert.deepStrictEqual(log, order)
    })
  )

  itKvm(
    "comes after parts in nested scopes, each released once",
    Effect.gen(function* () {
      const { begin, log, provide } = makeWatch()
      yield* Effect.gen(function* () {
        const vm = yield* Kvm.createVm()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const memory = yield* createMemory(vm)
            yield* Effect.scoped(
              Effect.gen(function* () {
                const vcpu = yield* createVcpu(vm)
                yield* expectExit(vcpu, "Hlt")
                yield* begin({ vm, memory, vcpu })
              })
            )
            assert.deepStrictEqual(log, order.slice(0, 3))
          })
        )
        assert.deepStrictEqual(log, order.slice(0, 5))
        assert.strictEqual((yield* Kvm.checkExtension(vm, Kvm.KVM_CAP_NR_MEMSLOTS)) > 0, true)
      }).pipe(Effect.scoped, provide)
      assert.deepStrictEqual(log, order)
    })
  )

  itKvm(
    "is the same when its fiber is interrupted while the guest spins for ever",
    Effect.gen(function* () {
      const { begin, log, provide } = makeWatch()
      const made = yield* Deferred.make<Guest>()
      const fiber = yield* Effect.gen(function* () {
        const guest = yield* makeGuest([...memoryCounter])
        yield* Deferred.succeed(made, guest)
        return yield* Kvm.run(guest.vcpu)
      }).pipe(Effect.scoped, provide, Effect.forkChild)
      const guest = yield* Deferred.await(made)
      assert.isTrue(yield* comesTrue(() => counted(guest.memory) > 0))
      yield* begin(guest)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(log, order)
    })
  )

  itKvm(
    "is the same when the guest spins in a fiber that is not the machine's",
    Effect.gen(function* () {
      const { begin, log, provide } = makeWatch()
      const fiber = yield* Effect.gen(function* () {
        const guest = yield* makeGuest([...memoryCounter])
        const fiber = yield* Effect.forkDetach(Effect.flip(Kvm.run(guest.vcpu)))
        assert.isTrue(yield* comesTrue(() => counted(guest.memory) > 0))
        yield* begin(guest)
        return fiber
      }).pipe(Effect.scoped, provide)
      assert.deepStrictEqual(log, order)
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "EBADF")
    })
  )
})

describeKvm("a machine that has ended", () => {
  itKvm(
    "has memory of length 0, and its handles answer EBADF without asking the kernel",
    Effect.gen(function* () {
      const { memory, vcpu, vm } = yield* Effect.scoped(makeGuest([...hlt]))
      assert.strictEqual(memory.bytes.length, 0)
      assert.strictEqual(memory.mapping.buffer.byteLength, 0)
      assert.strictEqual(vcpu.page.bytes.length, 0)
      assert.isUndefined(memory.bytes[0])

      const calls: Array<string> = []
      yield* Effect.gen(function* () {
        yield* expectErrno(Kvm.run(vcpu), "EBADF")
        yield* expectErrno(Kvm.runInline(vcpu), "EBADF")
        yield* expectErrno(Kvm.getRegs(vcpu), "EBADF")
        yield* expectErrno(Kvm.getSregs(vcpu), "EBADF")
        yield* expectErrno(Kvm.checkExtension(vm, Kvm.KVM_CAP_NR_MEMSLOTS), "EBADF")
        yield* expectErrno(Effect.scoped(Kvm.createVcpu(vm, 1)), "EBADF")
      }).pipe(
        Effect.provideService(
          Syscall.Trampoline,
          Syscall.record(Syscall.kernel, ({ name }) => calls.push(name))
        )
      )
      assert.deepStrictEqual(calls, [])

      const before = yield* holdings
      yield* expectErrno(Effect.scoped(Kvm.addMemory(vm, { slot: 1, guestAddress: 0x8000, size: 0x1000 })), "EBADF")
      assert.deepStrictEqual(yield* holdings, before)
    })
  )

  itKvm(
    "leaves no descriptor, mapping or thread, a few hundred times",
    Effect.gen(function* () {
      const once = Effect.scoped(Effect.flatMap(makeGuest([...hlt]), ({ vcpu }) => expectExit(vcpu, "Hlt")))
      yield* once
      const before = yield* holdings
      const threads = new Set(threadIds())
      yield* Effect.repeat(once, { times: 300 })
      assert.deepStrictEqual(yield* holdings, before)
      assert.isTrue(yield* comesTrue(() => threadIds().every((id) => threads.has(id))))
    })
  )

  itKvm(
    "leaves nothing when a step of making it fails, whichever",
    Effect.gen(function* () {
      const before = yield* holdings
      const make = Effect.scoped(Effect.flatMap(makeGuest([...hlt]), ({ vcpu }) => Kvm.run(vcpu)))
      let failures = 0
      // The first call of the kernel fails, then the second, and so on, until all that there are have failed.
      for (let failing = 1; ; failing++) {
        let calls = 0
        const outcome = yield* Effect.exit(make).pipe(
          Effect.provideService(
            Syscall.Trampoline,
            Syscall.intercept(Syscall.kernel, (nr, _args, proceed) => {
              const undoing = nr === Syscall.nr.close || nr === Syscall.nr.munmap
              return !undoing && ++calls === failing ? -Errno.codes.ENOMEM : proceed()
            })
          )
        )
        assert.deepStrictEqual(yield* holdings, before, `after call ${failing} failed with ENOMEM`)
        if (Exit.isSuccess(outcome)) break
        failures++
      }
      // KVM_CREATE_VM, KVM_SET_USER_MEMORY_REGION, KVM_CREATE_VCPU, two mmaps, registers, KVM_RUN: all of them.
      assert.isAtLeast(failures, 9)
    })
  )
})

describeKvm("several at once", () => {
  const countAt = (address: number) => [
    ...asm("next: inc word [address]", 0xff, 0x06, address & 0xff, address >> 8),
    ...asm("      jmp next", 0xeb, 0xfa)
  ]

  itKvm(
    "two vCPUs of a machine run side by side on the same memory",
    Effect.gen(function* () {
      const { memory, vcpu: first, vm } = yield* makeGuest(countAt(0x1800))
      memory.bytes.set(countAt(0x1900), 0x100)
      const second = yield* Kvm.createVcpu(vm, 1)
      yield* enterRealMode(second, { rip: 0x1100n })
      const at = (address: number) => new DataView(memory.mapping.buffer).getUint16(address - codeAddress, true)
      yield* Effect.forkScoped(Kvm.run(first))
      yield* Effect.forkScoped(Kvm.run(second))
      assert.isTrue(yield* comesTrue(() => at(0x1800) > 0 && at(0x1900) > 0))
      const [a, b] = [at(0x1800), at(0x1900)]
      assert.isTrue(yield* comesTrue(() => at(0x1800) !== a && at(0x1900) !== b))
    })
  )

  itKvm(
    "two machines run side by side, and the end of one leaves the other running",
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const short = yield* Scope.provide(makeGuest([...memoryCounter]), scope)
      const long = yield* makeGuest([...memoryCounter])
      const shortRun = yield* Effect.forkChild(Effect.flip(Kvm.run(short.vcpu)))
      const longRun = yield* Effect.forkChild(Kvm.run(long.vcpu))
      assert.isTrue(yield* comesTrue(() => counted(short.memory) > 0 && counted(long.memory) > 0))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(shortRun))._tag, "EBADF")
      const sofar = counted(long.memory)
      assert.isTrue(yield* comesTrue(() => counted(long.memory) !== sofar))
      yield* Fiber.interrupt(longRun)
    })
  )

  itKvm(
    "a second fiber that runs the same vCPU gets EBUSY, and the first goes on",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([...memoryCounter])
      const first = yield* Effect.forkChild(Kvm.run(vcpu))
      assert.isTrue(yield* comesTrue(() => counted(memory) > 0))
      yield* expectErrno(Kvm.run(vcpu), "EBUSY")
      yield* expectErrno(Kvm.runInline(vcpu), "EBUSY")
      const sofar = counted(memory)
      assert.isTrue(yield* comesTrue(() => counted(memory) !== sofar))
      yield* Fiber.interrupt(first)
    })
  )

  itKvm(
    "many vCPUs spinning end together, leaving nothing",
    Effect.gen(function* () {
      const before = yield* holdings
      const threads = new Set(threadIds())
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { vcpu, vm } = yield* makeGuest([...spin])
          const rest = yield* Effect.forEach([1, 2, 3, 4, 5], (id) =>
            Effect.tap(Kvm.createVcpu(vm, id), (vcpu) => enterRealMode(vcpu))
          )
          for (const each of [vcpu, ...rest]) yield* Effect.forkScoped(Kvm.run(each))
          assert.isTrue(yield* comesTrue(() => threadIds().filter((id) => !threads.has(id)).length >= 6))
        })
      )
      assert.deepStrictEqual(yield* holdings, before)
      assert.isTrue(yield* comesTrue(() => threadIds().every((id) => threads.has(id))))
    })
  )
})

describeKvm("Kvm.createVcpu", () => {
  itKvm(
    "an identifier that is taken is EEXIST, one that cannot be is EINVAL, and nothing is left of either",
    Effect.gen(function* () {
      const { vm } = yield* makeGuest([...hlt])
      const before = yield* holdings
      yield* expectErrno(Effect.scoped(Kvm.createVcpu(vm, 0)), "EEXIST")
      for (const id of [-1, 0.5, 2 ** 31, 2 ** 32, Number.NaN]) {
        yield* expectErrno(Effect.scoped(Kvm.createVcpu(vm, id)), "EINVAL")
      }
      assert.deepStrictEqual(yield* holdings, before)
    })
  )
})

describeKvm("what the end of a machine asks the kernel for", () => {
  /** The calls that release a guest, where `before` is done with it first. */
  const released = (before: (guest: Guest) => Effect.Effect<unknown, unknown, Scope.Scope>) =>
    Effect.gen(function* () {
      const calls: Array<string> = []
      const trampoline = Syscall.record(Syscall.kernel, ({ args: [, request], name }) => {
        calls.push(request === Kvm.KVM_SET_USER_MEMORY_REGION.code ? "slot" : name)
      })
      const scope = yield* Scope.make()
      const other = yield* Scope.make()
      yield* Effect.gen(function* () {
        const guest = yield* makeGuest(hlt).pipe(Scope.provide(scope))
        yield* before(guest).pipe(Scope.provide(other))
        calls.length = 0
        yield* Scope.close(scope, Exit.void)
        yield* Scope.close(other, Exit.void)
      }).pipe(Effect.provideService(Syscall.Trampoline, trampoline))
      return calls
    })

  itKvm(
    "not to take memory away from what goes with it",
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* released(() => Effect.void), ["munmap", "close", "munmap", "close"])
    })
  )

  itKvm(
    "to do so where somebody else has the machine, or one of its vCPUs",
    Effect.gen(function* () {
      for (const file of [({ vm }: Guest) => vm.file, ({ vcpu }: Guest) => vcpu.file]) {
        for (const share of [
          File.duplicate,
          File.fd,
          (shared: File.File<unknown>) => File.fcntl(shared, Fcntl.F_DUPFD_CLOEXEC)
        ]) {
          const calls = yield* released((guest) => share(file(guest)))
          assert.deepStrictEqual(calls.slice(0, 5), ["munmap", "close", "slot", "munmap", "close"])
        }
      }
    })
  )

  itKvm(
    "to close a vCPU here, and the machine elsewhere",
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { vcpu, vm } = yield* makeGuest(hlt).pipe(Scope.provide(scope))
      const alone = yield* Scope.make()
      const second = yield* Kvm.createVcpu(vm, 1).pipe(Scope.provide(alone))
      const inline = (ended: Scope.Closeable) => Effect.runSyncExit(Scope.close(ended, Exit.void))
      assert.isTrue(Exit.isSuccess(inline(alone)), "a vCPU's end does not wait")
      yield* expectErrno(Kvm.getRegs(second), "EBADF")
      const third = yield* Scope.make()
      yield* Kvm.createVcpu(vm, 2).pipe(Scope.provide(third))
      // Now the vCPUs are what keeps the machine.
      yield* File.close(vm.file)
      const closing = yield* Effect.forkChild(Scope.close(third, Exit.void), { startImmediately: true })
      assert.isUndefined(closing.pollUnsafe(), "it is closed elsewhere")
      yield* Fiber.join(closing)
      yield* Scope.close(scope, Exit.void)
      yield* expectErrno(Kvm.getRegs(vcpu), "EBADF")
    })
  )

  itKvm(
    "ends a vCPU whose page somebody gave away, and its machine after it",
    Effect.gen(function* () {
      const before = yield* openFds
      yield* Effect.gen(function* () {
        const { memory, vm } = yield* makeGuest([...hlt])
        yield* Effect.scoped(
          Effect.gen(function* () {
            const vcpu = yield* Kvm.createVcpu(vm, 1)
            const { buffer } = vcpu.page
            // Newer runtimes have one way to give memory away, older ones the other.
            const transfer: unknown = Reflect.get(buffer, "transfer")
            if (typeof transfer === "function") Reflect.apply(transfer, buffer, [])
            else structuredClone(buffer, { transfer: [buffer] })
          })
        )
        assert.strictEqual(memory.bytes[0], 0xf4)
      }).pipe(Effect.scoped)
      assert.strictEqual(yield* openFds, before)
    })
  )
})
