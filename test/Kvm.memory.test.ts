/** Guest memory: what host and guest share, slots and their flags, and what is no slot. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Kvm, Mapping, Syscall } from "../src/index.ts"
import { architectures, evaluateC, isNative, missing, valid } from "./support/c.ts"
import {
  asm,
  codeAddress,
  enterRealMode,
  expectErrno,
  expectExit,
  hlt,
  itKvm,
  makeGuest,
  runToHlt
} from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"
import { mappings, openFds } from "./support/process.ts"

const holdings = Effect.all({ fds: openFds, mappings: mappings(/kvm-vcpu|\/dev\/zero/) })

const load = asm("mov al, [0x8000]", 0xa0, 0x00, 0x80)
const store = asm("mov [0x8000], al", 0xa2, 0x00, 0x80)

describeKvm("Kvm.addMemory", () => {
  itKvm(
    "is zeros, of the size asked for, where the guest sees it",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const memory = yield* Kvm.addMemory(vm, { slot: 3, guestAddress: 0x10_0000_0000n, size: 0x3000 })
      assert.deepStrictEqual(
        { slot: memory.slot, guestAddress: memory.guestAddress, size: memory.size, length: memory.bytes.length },
        { slot: 3, guestAddress: 0x10_0000_0000n, size: 0x3000, length: 0x3000 }
      )
      assert.isTrue(memory.bytes.every((byte) => byte === 0))
    })
  )

  itKvm(
    "is shared: the guest reads what the host wrote, the host what the guest wrote",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([
        ...asm("mov al, [0x1800]", 0xa0, 0x00, 0x18),
        ...asm("inc al", 0xfe, 0xc0),
        ...asm("mov [0x1801], al", 0xa2, 0x01, 0x18),
        ...hlt
      ])
      memory.bytes[0x800] = 41
      yield* expectExit(vcpu, "Hlt")
      assert.strictEqual(memory.bytes[0x801], 42)
    })
  )

  itKvm(
    "that is read-only can be read and run, and writes to it are Mmio exits that change nothing",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...load, ...store, ...hlt], { rax: 0n })
      const rom = yield* Kvm.addMemory(vm, { slot: 1, guestAddress: 0x8000, size: 0x1000, readOnly: true })
      rom.bytes[0] = 7
      assert.deepStrictEqual(yield* runToHlt(vcpu), [
        { _tag: "Mmio", isWrite: true, address: 0x8000n, data: Uint8Array.of(7) },
        { _tag: "Hlt" }
      ])
      assert.strictEqual(rom.bytes[0], 7)
    })
  )

  itKvm(
    "is gone for the guest when its scope has closed: what it touches there is Mmio again, and the slot is free",
    Effect.gen(function* () {
      const pause = asm("out 0x10, al", 0xe6, 0x10)
      const { vcpu, vm } = yield* makeGuest([...store, ...store, ...pause, ...store, ...store, ...hlt], { rax: 9n })
      const add = Kvm.addMemory(vm, { slot: 1, guestAddress: 0x8000, size: 0x1000 })
      yield* expectExit(vcpu, "Mmio")
      const bytes = yield* Effect.scoped(
        Effect.gen(function* () {
          const memory = yield* add
          yield* expectExit(vcpu, "Io")
          assert.strictEqual(memory.bytes[0], 9)
          return memory.bytes
        })
      )
      assert.strictEqual(bytes.length, 0)
      yield* expectExit(vcpu, "Mmio")
      const again = yield* add
      assert.strictEqual(again.bytes[0], 0)
      yield* expectExit(vcpu, "Hlt")
      assert.strictEqual(again.bytes[0], 9)
    })
  )

  itKvm(
    "can record which pages are written",
    Effect.gen(function* () {
      const calls: Array<bigint | number> = []
      const vm = yield* Kvm.createVm()
      yield* Kvm.addMemory(vm, { slot: 0, guestAddress: 0, size: 0x1000, logDirtyPages: true, readOnly: true }).pipe(
        Effect.provideService(
          Syscall.Trampoline,
          Syscall.record(Syscall.kernel, ({ args: [, request, region] }) => {
            if (request !== Kvm.KVM_SET_USER_MEMORY_REGION.code || !(region instanceof Uint8Array)) return
            calls.push(Kvm.kvm_userspace_memory_region.decode(region).flags)
          })
        )
      )
      assert.deepStrictEqual(calls, [Kvm.KVM_MEM_LOG_DIRTY_PAGES | Kvm.KVM_MEM_READONLY])
    })
  )

  itKvm(
    "that overlaps other memory is EEXIST, and nothing is left of it",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt])
      const before = yield* holdings
      for (const guestAddress of [codeAddress, 0x4000, 0x0]) {
        yield* expectErrno(Effect.scoped(Kvm.addMemory(vm, { slot: 1, guestAddress, size: 0x2000 })), "EEXIST")
      }
      assert.deepStrictEqual(yield* holdings, before)
      // The memory that was there is still there.
      yield* expectExit(vcpu, "Hlt")
    })
  )

  const wrong: ReadonlyArray<readonly [what: string, options: Kvm.MemoryOptions]> = [
    ["a size of 0", { slot: 1, guestAddress: 0x10000, size: 0 }],
    ["a size that is no multiple of the page", { slot: 1, guestAddress: 0x10000, size: 0x1001 }],
    ["a size that is no integer", { slot: 1, guestAddress: 0x10000, size: 4096.5 }],
    ["an address within a page", { slot: 1, guestAddress: 0x10001, size: 0x1000 }],
    ["a negative address", { slot: 1, guestAddress: -4096, size: 0x1000 }],
    ["an address that is no integer", { slot: 1, guestAddress: 4096.5, size: 0x1000 }],
    ["an address that is no safe integer", { slot: 1, guestAddress: 2 ** 53, size: 0x1000 }],
    ["an address that is no number", { slot: 1, guestAddress: Number.NaN, size: 0x1000 }],
    ["an address above 64 bits", { slot: 1, guestAddress: 1n << 64n, size: 0x1000 }],
    ["a slot that there is not", { slot: 0xffff, guestAddress: 0x10000, size: 0x1000 }],
    ["a negative slot", { slot: -1, guestAddress: 0x10000, size: 0x1000 }],
    ["a slot that is no integer", { slot: 0.5, guestAddress: 0x10000, size: 0x1000 }]
  ]
  for (const [what, options] of wrong) {
    itKvm(
      `${what} fails with EINVAL, and nothing is left`,
      Effect.gen(function* () {
        const vm = yield* Kvm.createVm()
        const before = yield* holdings
        yield* expectErrno(Effect.scoped(Kvm.addMemory(vm, options)), "EINVAL")
        assert.deepStrictEqual(yield* holdings, before)
        // Who comes next without a number gets one that there is.
        assert.strictEqual((yield* Kvm.addMemory(vm, { guestAddress: 0, size: 0x1000 })).slot, 0)
      })
    )
  }

  itKvm(
    "says which of the numbers is wrong",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      for (const [name, options] of [
        ["size", { guestAddress: 0, size: 0 }],
        ["size", { guestAddress: 0, size: -0x1000 }],
        ["size", { guestAddress: 0, size: Number.NaN }],
        ["slot", { slot: -1, guestAddress: 0, size: 0x1000 }],
        ["slot", { slot: 0.5, guestAddress: 0, size: 0x1000 }],
        ["guestAddress", { guestAddress: 0.5, size: 0x1000 }]
      ] as const) {
        const error = yield* Effect.flip(Kvm.addMemory(vm, options))
        assert.strictEqual(error._tag, "EINVAL")
        assert.include(error.message, `${name}: `)
      }
    })
  )
})

describeKvm("Kvm.setUserMemoryRegion", () => {
  const page = 0x1000n

  itKvm(
    "makes, moves and deletes a slot over memory of the caller's own",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const { address, bytes } = yield* Mapping.anonymous({ length: 0x1000, shared: true })
      bytes.set([...load, ...hlt])
      const vcpu = yield* Kvm.createVcpu(vm, 0)
      const slot = { slot: 0, flags: 0, memory_size: page, userspace_addr: address }
      const runAt = (rip: bigint) => Effect.andThen(enterRealMode(vcpu, { rip }), Kvm.run(vcpu))

      yield* Kvm.setUserMemoryRegion(vm, { ...slot, guest_phys_addr: 0x2000n })
      assert.strictEqual((yield* runAt(0x2000n))._tag, "Mmio")
      yield* expectExit(vcpu, "Hlt")

      yield* Kvm.setUserMemoryRegion(vm, { ...slot, guest_phys_addr: 0x8000n })
      bytes.set(hlt)
      assert.strictEqual((yield* runAt(0x8000n))._tag, "Hlt")
      assert.strictEqual((yield* runAt(0x2000n))._tag, "InternalError")

      yield* Kvm.setUserMemoryRegion(vm, { ...slot, guest_phys_addr: 0x8000n, memory_size: 0n })
      assert.strictEqual((yield* runAt(0x8000n))._tag, "InternalError")
    })
  )

  itKvm(
    "takes its flags, and changes the one that may change",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const { address } = yield* Mapping.anonymous({ length: 0x1000, shared: true })
      const slot = { slot: 0, guest_phys_addr: 0n, memory_size: page, userspace_addr: address }
      yield* Kvm.setUserMemoryRegion(vm, { ...slot, flags: 0 })
      yield* Kvm.setUserMemoryRegion(vm, { ...slot, flags: Kvm.KVM_MEM_LOG_DIRTY_PAGES })
      // A slot cannot become read-only while it is there.
      yield* expectErrno(Kvm.setUserMemoryRegion(vm, { ...slot, flags: Kvm.KVM_MEM_READONLY }), "EINVAL")
    })
  )

  itKvm(
    "fails with EINVAL for what is no region, naming the request",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const { address } = yield* Mapping.anonymous({ length: 0x2000, shared: true })
      const good = { slot: 0, flags: 0, guest_phys_addr: 0n, memory_size: page, userspace_addr: address }
      for (const bad of [
        { flags: 1 << 30 },
        { slot: 0xffff },
        { guest_phys_addr: 1n },
        { memory_size: 1n },
        { userspace_addr: address + 1n },
        { guest_phys_addr: 0xffff_ffff_ffff_f000n },
        { memory_size: 0n } // nothing to delete
      ]) {
        const error = yield* expectErrno(Kvm.setUserMemoryRegion(vm, { ...good, ...bad }), "EINVAL")
        assert.include(error.message, "KVM_SET_USER_MEMORY_REGION")
      }
      yield* Kvm.setUserMemoryRegion(vm, good)
    })
  )

  itKvm(
    "fails with EINVAL for numbers that do not fit their field, before the kernel is asked",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const good = { slot: 0, flags: 0, guest_phys_addr: 0n, memory_size: page, userspace_addr: 0n }
      const asked: Array<string> = []
      yield* Effect.forEach(
        [{ slot: -1 }, { slot: 2 ** 32 }, { flags: 0.5 }, { memory_size: -1n }, { guest_phys_addr: 1n << 64n }],
        (bad) => expectErrno(Kvm.setUserMemoryRegion(vm, { ...good, ...bad }), "EINVAL")
      ).pipe(
        Effect.provideService(
          Syscall.Trampoline,
          Syscall.record(Syscall.kernel, ({ name }) => asked.push(name))
        )
      )
      assert.deepStrictEqual(asked, [])
    })
  )
})

/** A kernel that has the capabilities, and answers a request of memory in the real one's place. */
const answering = (code: number, answer: (argument: Uint8Array) => number) =>
  Effect.provideService(
    Syscall.Trampoline,
    Syscall.intercept(Syscall.kernel, (nr, [, request, argument], proceed) => {
      if (nr !== Syscall.nr.ioctl) return proceed()
      if (request === Kvm.KVM_CHECK_EXTENSION.code) return 1
      return request === code && argument instanceof Uint8Array ? answer(argument) : proceed()
    })
  )

describeKvm("Kvm.setMemoryAttributes", () => {
  itKvm(
    "says to the kernel what a range is to be",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const asked: Array<Kvm.kvm_memory_attributes> = []
      const range = { address: 0x1000n, size: 0x2000n, attributes: BigInt(Kvm.KVM_MEMORY_ATTRIBUTE_PRIVATE) }
      yield* Kvm.setMemoryAttributes(vm, range).pipe(
        answering(Kvm.KVM_SET_MEMORY_ATTRIBUTES.code, (argument) => {
          asked.push(Kvm.kvm_memory_attributes.decode(argument))
          return 0
        })
      )
      assert.deepStrictEqual(asked, [{ ...range, flags: 0n }])
    })
  )
})

describeKvm("Kvm.preFaultMemory", () => {
  itKvm(
    "asks again for what the kernel has left, and no more than a piece at a time",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const asked: Array<readonly [gpa: bigint, size: bigint]> = []
      yield* Kvm.preFaultMemory(vcpu, { gpa: 0x1000n, size: 0x500_0000n }).pipe(
        answering(Kvm.KVM_PRE_FAULT_MEMORY.code, (argument) => {
          const { flags, gpa, size } = Kvm.kvm_pre_fault_memory.decode(argument)
          assert.strictEqual(flags, 0n)
          asked.push([gpa, size])
          // It comes as far as half, the first time.
          const done = asked.length === 1 ? size / 2n : size
          Kvm.kvm_pre_fault_memory.encode({ gpa: gpa + done, size: size - done, flags }, argument)
          return 0
        })
      )
      assert.deepStrictEqual(asked, [
        [0x1000n, 0x400_0000n],
        [0x200_1000n, 0x300_0000n]
      ])
      assert.strictEqual((yield* Kvm.run(vcpu))._tag, "Hlt")
    })
  )

  itKvm(
    "fails as the kernel does, and the vCPU is free again",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      yield* expectErrno(
        Kvm.preFaultMemory(vcpu, { gpa: 0x10_0000n, size: 0x1000n }).pipe(
          answering(Kvm.KVM_PRE_FAULT_MEMORY.code, () => -2)
        ),
        "ENOENT"
      )
      assert.strictEqual((yield* Kvm.run(vcpu))._tag, "Hlt")
    })
  )
})

describe("The requests about memory", () => {
  const requests = {
    KVM_SET_USER_MEMORY_REGION: Kvm.KVM_SET_USER_MEMORY_REGION,
    KVM_SET_USER_MEMORY_REGION2: Kvm.KVM_SET_USER_MEMORY_REGION2,
    KVM_CREATE_GUEST_MEMFD: Kvm.KVM_CREATE_GUEST_MEMFD,
    KVM_SET_MEMORY_ATTRIBUTES: Kvm.KVM_SET_MEMORY_ATTRIBUTES,
    KVM_GET_DIRTY_LOG: Kvm.KVM_GET_DIRTY_LOG,
    KVM_CLEAR_DIRTY_LOG: Kvm.KVM_CLEAR_DIRTY_LOG,
    KVM_RESET_DIRTY_RINGS: Kvm.KVM_RESET_DIRTY_RINGS,
    KVM_PRE_FAULT_MEMORY: Kvm.KVM_PRE_FAULT_MEMORY
  }
  /** Those that the oldest headers lack, as younger kernels number them. */
  const younger: Readonly<Record<string, number>> = {
    KVM_SET_USER_MEMORY_REGION2: 0x40a0ae49,
    KVM_CREATE_GUEST_MEMFD: 0xc040aed4,
    KVM_SET_MEMORY_ATTRIBUTES: 0x4020aed2,
    KVM_PRE_FAULT_MEMORY: 0xc040aed5
  }

  it("have the names they are known by, and the numbers of younger kernels", () => {
    for (const [name, request] of Object.entries(requests)) {
      assert.strictEqual(request.name, name)
      if (name in younger) assert.strictEqual(request.code, younger[name])
    }
  })

  const native = architectures.find(isNative)
  const reason = native === undefined ? "the machine is unknown" : missing(native)
  it.skipIf(reason !== undefined)(
    `have the numbers of the kernel's headers${reason === undefined ? "" : ` (skipped: ${reason})`}`,
    () => {
      if (native === undefined) return
      const preamble = "#include <linux/kvm.h>"
      const names = valid(native, preamble, Object.keys(requests))
      const values = evaluateC(native, [{ preamble, questions: names.map((name) => ({ name, expression: name })) }])
      assert.includeMembers(
        [...names],
        Object.keys(requests).filter((name) => !(name in younger))
      )
      for (const [name, { code }] of Object.entries(requests)) {
        if (values.has(name)) assert.strictEqual(BigInt.asUintN(32, values.get(name) ?? 0n), BigInt(code), name)
      }
    }
  )
})
