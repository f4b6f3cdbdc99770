/** Guest memory by the guest's addresses: what stands behind it, where it lies, and reading and writing it there. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Exit, Fiber, Schema, Scope } from "effect"
import { Abi, type Errno, File, Kvm, Mapping, MemFd, Struct } from "../src/index.ts"
import { asm, expectErrno, expectExit, hlt, itKvm, makeGuest, runToHlt } from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"
import { mappings, openFds } from "./support/process.ts"

const page = 0x1000

const holdings = Effect.all({ fds: openFds, mappings: mappings(/kvm-gmem|memfd:|guest_memfd|\/dev\/zero/) })

const load = asm("mov al, [0x8000]", 0xa0, 0x00, 0x80)
const store = asm("mov [0x8000], al", 0xa2, 0x00, 0x80)

/** The error that the effect fails with, which must be of this class. */
const expectOutside = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Effect.flip(effect), (error) =>
    error instanceof Kvm.OutOfGuestMemory
      ? Effect.succeed({ address: error.address, length: error.length, missing: error.missing })
      : Effect.die(new Error(`expected OutOfGuestMemory, the effect failed with ${error}`))
  )

describeKvm("What stands behind guest memory", () => {
  itKvm(
    "can be a memfd: two machines, and whoever maps it, see what one of them writes",
    Effect.gen(function* () {
      const file = yield* MemFd.make("shared", { size: 2 * page })
      const shared = { guestAddress: 0x8000, size: page, backing: { file, offset: page } }
      const writer = yield* makeGuest([...store, ...hlt], { rax: 0x5an })
      const reader = yield* makeGuest([...load, ...asm("out 0x10, al", 0xe6, 0x10), ...hlt])
      yield* Kvm.addMemory(writer.vm, shared)
      const memory = yield* Kvm.addMemory(reader.vm, shared)
      yield* expectExit(writer.vcpu, "Hlt")
      const exit = yield* expectExit(reader.vcpu, "Io")
      assert.deepStrictEqual(exit.data, Uint8Array.of(0x5a))
      assert.strictEqual(memory.bytes[0], 0x5a)
      const byte = new Uint8Array(1)
      yield* File.pread(file, byte, page)
      assert.strictEqual(byte[0], 0x5a)
    })
  )

  itKvm(
    "can be a private copy of a file, page by page: the file and other copies stay as they were",
    Effect.gen(function* () {
      const file = yield* MemFd.make("template", { size: page })
      yield* File.pwrite(file, Uint8Array.of(1, 2, 3), 0)
      const copied = { guestAddress: 0x8000, size: page, backing: { file, shared: false } }
      const [one, other] = yield* Effect.all([makeGuest([...store, ...hlt], { rax: 9n }), makeGuest([...hlt])])
      const mine = yield* Kvm.addMemory(one.vm, copied)
      const theirs = yield* Kvm.addMemory(other.vm, copied)
      yield* expectExit(one.vcpu, "Hlt")
      theirs.bytes[1] = 8
      const bytes = new Uint8Array(3)
      yield* File.pread(file, bytes, 0)
      assert.deepStrictEqual(
        [mine.bytes.slice(0, 3), theirs.bytes.slice(0, 3), bytes],
        [Uint8Array.of(9, 2, 3), Uint8Array.of(1, 8, 3), Uint8Array.of(1, 2, 3)]
      )
    })
  )

  itKvm(
    "stays when the file is closed",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const memory = yield* Effect.flatMap(Effect.scope, (scope) =>
        Effect.scoped(
          Effect.flatMap(MemFd.make("short", { size: page }), (file) =>
            Scope.provide(Kvm.addMemory(vm, { guestAddress: 0, size: page, backing: { file } }), scope)
          )
        )
      )
      memory.bytes[7] = 7
      assert.strictEqual(yield* Kvm.readU8(vm, 7), 7)
    })
  )

  itKvm(
    "is refused where the file is shorter, and must be sealed where that is asked for",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const file = yield* MemFd.make("short", { size: page, allowSealing: true })
      const before = yield* holdings
      yield* expectErrno(
        Effect.scoped(Kvm.addMemory(vm, { guestAddress: 0, size: 2 * page, backing: { file } })),
        "EINVAL"
      )
      const sealed = Effect.scoped(Kvm.addMemory(vm, { guestAddress: 0, size: page, backing: { file, sealed: true } }))
      yield* expectErrno(sealed, "EPERM")
      yield* MemFd.addSeals(file, ["shrink"])
      yield* sealed
      assert.deepStrictEqual(yield* holdings, before)
    })
  )

  itKvm(
    "can be a part of a mapping of one's own, which stays where it is while the guest has it",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...store, ...hlt], { rax: 3n })
      const mapping = yield* Mapping.anonymous({ length: 4 * page })
      const backing = { mapping, offset: 2 * page }
      yield* Effect.scoped(
        Effect.gen(function* () {
          const memory = yield* Kvm.addMemory(vm, { guestAddress: 0x8000, size: page, backing })
          yield* expectExit(vcpu, "Hlt")
          assert.strictEqual(mapping.bytes[2 * page], 3)
          assert.strictEqual(memory.bytes.byteOffset, 2 * page)
          yield* expectErrno(Mapping.remap(mapping, 8 * page), "EBUSY")
        })
      )
      yield* Mapping.remap(mapping, 8 * page)
      // Whatever of it does not lie within the mapping is refused.
      for (const [offset, size] of [
        [8 * page, page],
        [7 * page, 2 * page],
        [-page, page],
        [0.5, page],
        [0, 2 ** 53]
      ] as const) {
        const backing = { mapping, offset }
        yield* expectErrno(Effect.scoped(Kvm.addMemory(vm, { guestAddress: 0x8000, size, backing })), "EINVAL")
      }
    })
  )

  itKvm(
    "is pinned also when it is the library's own",
    Effect.gen(function* () {
      const { memory } = yield* makeGuest([...hlt])
      yield* expectErrno(Mapping.remap(memory.mapping, 0x8000), "EBUSY")
      yield* expectErrno(Mapping.protect(memory.mapping, { write: false }), "EBUSY")
    })
  )

  itKvm(
    "can be huge pages, transparent ones or of the pool, and all there from the start",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const size = 4 << 20
      const transparent = yield* Kvm.addMemory(vm, {
        guestAddress: 0,
        size,
        backing: { hugePages: "transparent", populate: true }
      })
      transparent.bytes.fill(1)
      yield* Kvm.addMemory(vm, { guestAddress: size, size, backing: { populate: true, locked: true } })
      const pool = yield* Effect.exit(
        Effect.scoped(Kvm.addMemory(vm, { guestAddress: 2 * size, size, backing: { hugePages: "2MB" } }))
      )
      // A pool without pages is how machines come.
      if (Exit.isFailure(pool)) {
        yield* expectErrno(
          Effect.scoped(Kvm.addMemory(vm, { guestAddress: 2 * size, size, backing: { hugePages: "2MB" } })),
          "ENOMEM"
        )
      }
    })
  )

  itKvm(
    "can be a guest_memfd that can be mapped, which is then all that the guest has",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...store, ...hlt], { rax: 0x77n })
      const flags = yield* Kvm.checkExtension(vm, Kvm.KVM_CAP_GUEST_MEMFD_FLAGS)
      const both = Kvm.GUEST_MEMFD_FLAG_MMAP | Kvm.GUEST_MEMFD_FLAG_INIT_SHARED
      if ((flags & both) !== both) return
      const before = yield* holdings
      yield* Effect.scoped(
        Effect.gen(function* () {
          const file = yield* Kvm.createGuestMemfd(vm, { size: 2 * page, flags: both })
          const memory = yield* Kvm.addMemory(vm, {
            guestAddress: 0x8000,
            size: page,
            backing: { file, offset: page },
            guestMemfd: { file, offset: page }
          })
          yield* expectExit(vcpu, "Hlt")
          assert.strictEqual(memory.bytes[0], 0x77)
        })
      )
      assert.deepStrictEqual(yield* holdings, before)
    })
  )
})

describeKvm("Kvm.aliasMemory", () => {
  itKvm(
    "shows the same bytes at one more address, or a part of them",
    Effect.gen(function* () {
      const { memory, vcpu, vm } = yield* makeGuest([...store, ...hlt], { rax: 0x42n })
      const alias = yield* Kvm.aliasMemory(vm, memory, { guestAddress: 0x8000, offset: 2 * page, size: page })
      yield* expectExit(vcpu, "Hlt")
      assert.strictEqual(memory.bytes[2 * page], 0x42)
      assert.deepStrictEqual([alias.slot, alias.guestAddress, alias.size], [1, 0x8000n, page])
      assert.strictEqual(yield* Kvm.readU8(vm, 0x8000), 0x42)
      // An alias of the alias begins where that does.
      const again = yield* Kvm.aliasMemory(vm, alias, { guestAddress: 0x9000 })
      assert.strictEqual(again.bytes[0], 0x42)
    })
  )

  itKvm(
    "can be read-only beside memory that is not, and of another machine",
    Effect.gen(function* () {
      const one = yield* makeGuest([...hlt])
      const other = yield* makeGuest([...load, ...store, ...hlt])
      one.memory.bytes[page] = 6
      yield* Kvm.aliasMemory(other.vm, one.memory, { guestAddress: 0x8000, offset: page, size: page, readOnly: true })
      assert.deepStrictEqual(yield* runToHlt(other.vcpu), [
        { _tag: "Mmio", isWrite: true, address: 0x8000n, data: Uint8Array.of(6) },
        { _tag: "Hlt" }
      ])
    })
  )

  itKvm(
    "may live longer than the memory: the guest still has it, the host has not",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...load, ...asm("out 0x10, al", 0xe6, 0x10), ...hlt])
      const scope = yield* Scope.make()
      const memory = yield* Scope.provide(Kvm.addMemory(vm, { guestAddress: 0x10000, size: page }), scope)
      memory.bytes[0] = 5
      const alias = yield* Kvm.aliasMemory(vm, memory, { guestAddress: 0x8000 })
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual((yield* expectExit(vcpu, "Io")).data, Uint8Array.of(5))
      assert.strictEqual(alias.bytes.length, 0)
      yield* expectOutside(Kvm.readU8(vm, 0x8000))
      yield* expectErrno(Effect.scoped(Kvm.aliasMemory(vm, memory, { guestAddress: 0x20000 })), "EFAULT")
    })
  )

  itKvm(
    "that goes past the memory, or lies on other memory, is refused",
    Effect.gen(function* () {
      const { memory, vm } = yield* makeGuest([...hlt])
      for (const part of [{ offset: 0x5000 }, { offset: 0x3000, size: 0x2000 }, { offset: -page }, { size: 0x8000 }]) {
        yield* expectErrno(Effect.scoped(Kvm.aliasMemory(vm, memory, { guestAddress: 0x8000, ...part })), "EINVAL")
      }
      yield* expectErrno(Effect.scoped(Kvm.aliasMemory(vm, memory, { guestAddress: 0x2000 })), "EEXIST")
    })
  )
})

describeKvm("A slot", () => {
  itKvm(
    "that is not named is the lowest that is free",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const at = (guestAddress: number, slot?: number) => Kvm.addMemory(vm, { guestAddress, size: page, slot })
      const scope = yield* Scope.make()
      assert.strictEqual((yield* at(0x0000)).slot, 0)
      assert.strictEqual((yield* Scope.provide(at(0x1000), scope)).slot, 1)
      assert.strictEqual((yield* at(0x2000, 3)).slot, 3)
      assert.strictEqual((yield* at(0x3000)).slot, 2)
      assert.strictEqual((yield* at(0x4000)).slot, 4)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* at(0x1000)).slot, 1)
      assert.strictEqual((yield* at(0x5000)).slot, 5)
    })
  )

  itKvm(
    "that is taken is EEXIST, be it taken by number",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const { address } = yield* Mapping.anonymous({ length: page })
      const region = { slot: 7, flags: 0, guest_phys_addr: 0n, memory_size: 0x1000n, userspace_addr: address }
      yield* Kvm.setUserMemoryRegion(vm, region)
      const add = Effect.scoped(Kvm.addMemory(vm, { guestAddress: 0x10000, size: page, slot: 7 }))
      yield* expectErrno(add, "EEXIST")
      yield* Kvm.setUserMemoryRegion(vm, { ...region, memory_size: 0n })
      yield* add
    })
  )

  itKvm(
    "that was deleted or moved by number is the memory's no more, or where it was moved",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const { address } = yield* Mapping.anonymous({ length: page })
      const scope = yield* Scope.make()
      const memory = yield* Scope.provide(Kvm.addMemory(vm, { guestAddress: 0, size: page }), scope)
      memory.bytes[0] = 4
      const region = {
        slot: 0,
        flags: 0,
        guest_phys_addr: 0x9000n,
        memory_size: 0x1000n,
        userspace_addr: memory.mapping.address
      }
      yield* Kvm.setUserMemoryRegion(vm, region)
      assert.strictEqual(memory.guestAddress, 0x9000n)
      assert.strictEqual(yield* Kvm.readU8(vm, 0x9000), 4)
      yield* expectOutside(Kvm.readU8(vm, 0))
      yield* Kvm.setUserMemoryRegion(vm, { ...region, memory_size: 0n })
      assert.deepStrictEqual(Kvm.guestMemory(vm).regions, [])
      // Who sets it now owns it: the end of the memory's scope leaves it alone.
      yield* Kvm.setUserMemoryRegion(vm, { ...region, userspace_addr: address })
      yield* Scope.close(scope, Exit.void)
      yield* Kvm.setUserMemoryRegion(vm, { ...region, memory_size: 0n, userspace_addr: address })
    })
  )

  itKvm(
    "can be set with what the younger request has",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      if ((yield* Kvm.checkExtension(vm, Kvm.KVM_CAP_USER_MEMORY2)) === 0) return
      const { address } = yield* Mapping.anonymous({ length: page })
      const region = {
        slot: 0,
        flags: 0,
        guest_phys_addr: 0n,
        memory_size: 0x1000n,
        userspace_addr: address,
        guest_memfd: 0,
        guest_memfd_offset: 0n
      }
      yield* Kvm.setUserMemoryRegion2(vm, region)
      yield* Kvm.setUserMemoryRegion2(vm, { ...region, memory_size: 0n })
      const withFlag = { ...region, flags: Kvm.KVM_MEM_GUEST_MEMFD, guest_memfd: 0xffff }
      yield* expectErrno(Kvm.setUserMemoryRegion2(vm, withFlag), "EBADF")
    })
  )
})

describeKvm("Kvm.createGuestMemfd", () => {
  itKvm(
    "makes memory that cannot be read, of the size asked for, for as long as its scope",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      if ((yield* Kvm.checkExtension(vm, Kvm.KVM_CAP_GUEST_MEMFD)) === 0) return
      const before = yield* openFds
      yield* Effect.scoped(
        Effect.gen(function* () {
          const file = yield* Kvm.createGuestMemfd(vm, { size: 0x10000 })
          assert.strictEqual((yield* File.stat(file)).stx_size, 0x10000n)
          assert.strictEqual(yield* openFds, before + 1)
          yield* Effect.flip(File.read(file, new Uint8Array(1)))
        })
      )
      assert.strictEqual(yield* openFds, before)
      for (const [size, flags] of [
        [0, 0],
        [1, 0],
        [page, 1 << 20],
        [0.5, 0],
        [page, 0.5],
        [-1n, 0]
      ] as const) {
        yield* expectErrno(Effect.scoped(Kvm.createGuestMemfd(vm, { size, flags })), "EINVAL")
      }
    })
  )

  itKvm(
    "stands behind a slot whose memory is shared until it is made private",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...store, ...hlt], { rax: 1n })
      if ((yield* Kvm.checkExtension(vm, Kvm.KVM_CAP_GUEST_MEMFD)) === 0) return
      const file = yield* Kvm.createGuestMemfd(vm, { size: page })
      const memory = yield* Kvm.addMemory(vm, { guestAddress: 0x8000, size: page, guestMemfd: { file } })
      yield* expectExit(vcpu, "Hlt")
      assert.strictEqual(memory.bytes[0], 1)
      yield* expectErrno(Kvm.setDirtyLogging(vm, memory, true), "EINVAL")
    })
  )
})

describeKvm("What this kernel lacks", () => {
  itKvm(
    "is said by name before it is asked for",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt])
      for (const [capability, number, use] of [
        [
          "KVM_CAP_MEMORY_ATTRIBUTES",
          Kvm.KVM_CAP_MEMORY_ATTRIBUTES,
          Kvm.setMemoryAttributes(vm, { address: 0x1000n, size: 0x1000n, attributes: 0n })
        ],
        [
          "KVM_CAP_PRE_FAULT_MEMORY",
          Kvm.KVM_CAP_PRE_FAULT_MEMORY,
          Kvm.preFaultMemory(vcpu, { gpa: 0x1000n, size: 0x1000n })
        ]
      ] as const) {
        if ((yield* Kvm.checkExtension(vm, number)) > 0) {
          yield* use
          continue
        }
        const error = yield* Effect.flip(use)
        assert.instanceOf(error, Kvm.MissingCapability)
        if (error instanceof Kvm.MissingCapability) assert.strictEqual(error.capability, capability)
      }
    })
  )
})

describeKvm("Kvm.guestMemory", () => {
  /** Three regions that adjoin, the last two out of order, then a hole, and one more. */
  const makeSpace = Effect.gen(function* () {
    const vm = yield* Kvm.createVm()
    const at = (guestAddress: number | bigint, size = page) => Kvm.addMemory(vm, { guestAddress, size })
    const first = yield* at(0x10000)
    const third = yield* at(0x12000)
    const second = yield* at(0x11000)
    const far = yield* at(0x20000, 2 * page)
    return { vm, first, second, third, far }
  })

  itKvm(
    "has the regions there are, by their addresses",
    Effect.gen(function* () {
      const { far, first, second, third, vm } = yield* makeSpace
      const space = Kvm.guestMemory(vm)
      assert.deepStrictEqual(space.regions, [first, second, third, far])
      assert.deepStrictEqual(Kvm.guestMemory(vm, { addressSpace: 1 }).regions, [])
      yield* Effect.scoped(
        Effect.gen(function* () {
          const memory = yield* Kvm.addMemory(vm, { guestAddress: 0, size: page })
          assert.strictEqual(space.regions[0], memory)
        })
      )
      assert.deepStrictEqual(space.regions, [first, second, third, far])
    })
  )

  itKvm(
    "is read and written across regions that adjoin, not across a hole",
    Effect.gen(function* () {
      const { first, second, third, vm } = yield* makeSpace
      const bytes = Uint8Array.from({ length: 3 * page }, (_, index) => (index * 7) & 0xff)
      yield* Kvm.writeMemory(vm, 0x10000, bytes)
      assert.deepStrictEqual(first.bytes, bytes.subarray(0, page))
      assert.deepStrictEqual(second.bytes, bytes.subarray(page, 2 * page))
      assert.deepStrictEqual(third.bytes, bytes.subarray(2 * page))
      assert.deepStrictEqual(yield* Kvm.readMemory(vm, 0x10ffe, page + 4), bytes.slice(0xffe, 0x2002))
      assert.deepStrictEqual(yield* expectOutside(Kvm.readMemory(vm, 0x12ff0n, 0x20)), {
        address: 0x12ff0n,
        length: 0x20,
        missing: 0x13000n
      })
      // What does not fit is not begun.
      yield* expectOutside(Kvm.writeMemory(vm, 0x12ff0, new Uint8Array(0x20).fill(0xee)))
      yield* expectOutside(Kvm.fillMemory(vm, 0x12ff0, 0x20, 0xee))
      assert.deepStrictEqual(third.bytes, bytes.subarray(2 * page))
      yield* Kvm.fillMemory(vm, 0x10800, page)
      assert.isTrue((yield* Kvm.readMemory(vm, 0x10800, page)).every((byte) => byte === 0))
      assert.deepStrictEqual(first.bytes.subarray(0, 0x800), bytes.subarray(0, 0x800))
      assert.deepStrictEqual(second.bytes.subarray(0x800), bytes.subarray(page + 0x800, 2 * page))
    })
  )

  itKvm(
    "is read and written by one region, too, at the guest's addresses",
    Effect.gen(function* () {
      const { second, vm } = yield* makeSpace
      yield* Kvm.writeU32(second, 0x11000, 0x01020304)
      assert.strictEqual(yield* Kvm.readU16(vm, 0x11002), 0x0102)
      yield* expectOutside(Kvm.readU8(second, 0x10fff))
      yield* expectOutside(Kvm.readU32(second, 0x11ffd))
      assert.strictEqual(yield* Kvm.readU32(vm, 0x11ffd), 0)
    })
  )

  itKvm(
    "has values: numbers, structures, text, also where regions meet",
    Effect.gen(function* () {
      const { second, vm } = yield* makeSpace
      for (const address of [0x10000, 0x10ffb, 0x10fff, 0x11001n]) {
        yield* Kvm.writeU8(vm, address, 0xfe)
        assert.strictEqual(yield* Kvm.readU8(vm, address), 0xfe)
        yield* Kvm.writeU16(vm, address, 0xfedc)
        assert.strictEqual(yield* Kvm.readU16(vm, address), 0xfedc)
        yield* Kvm.writeU32(vm, address, 0xfedcba98)
        assert.strictEqual(yield* Kvm.readU32(vm, address), 0xfedcba98)
        yield* Kvm.writeU64(vm, address, 0xfedc_ba98_7654_3210n)
        assert.strictEqual(yield* Kvm.readU64(vm, address), 0xfedc_ba98_7654_3210n)
        const time = { tv_sec: -5n, tv_nsec: 7n }
        yield* Kvm.writeStruct(vm, address, Abi.timespec, time)
        assert.deepStrictEqual(yield* Kvm.readStruct(vm, address, Abi.timespec), time)
        yield* Kvm.writeMemory(vm, address, new TextEncoder().encode("Grüße aus dem Gast\0!"))
        assert.strictEqual(yield* Kvm.readCString(vm, address), "Grüße aus dem Gast")
      }
      const padded = Struct.make("padded", { a: Struct.u8, b: Struct.u32 })
      for (const address of [0x11800, 0x10ffe]) {
        yield* Kvm.fillMemory(vm, address, 8, 0xaa)
        yield* Kvm.writeStruct(vm, address, padded, { a: 1, b: 2 })
        assert.deepStrictEqual(
          yield* Kvm.readMemory(vm, address, 8),
          Uint8Array.of(1, 0xaa, 0xaa, 0xaa, 2, 0, 0, 0),
          "what belongs to no field stays"
        )
      }
      const view = yield* Kvm.viewMemory(vm, 0x11004, 8)
      view[0] = 0x99
      assert.strictEqual(second.bytes[4], 0x99)
      assert.strictEqual(view.length, 8)
      yield* expectOutside(Kvm.viewMemory(vm, 0x10ffe, 8))
    })
  )

  itKvm(
    "refuses values that do not fit, and writes nothing of them",
    Effect.gen(function* () {
      const { vm } = yield* makeSpace
      yield* Kvm.fillMemory(vm, 0x10000, 64, 0x55)
      const wide = Struct.make("wide", { a: Struct.u64, b: Struct.u8 })
      for (const wrong of [
        Kvm.writeU8(vm, 0x10000, 256),
        Kvm.writeU16(vm, 0x10000, -1),
        Kvm.writeU32(vm, 0x10000, 0.5),
        Kvm.writeU64(vm, 0x10000, 1n << 64n),
        Kvm.writeStruct(vm, 0x10000, wide, { a: 1n, b: 300 }),
        Kvm.fillMemory(vm, 0x10000, 8, 256),
        Kvm.readMemory(vm, 0x10000, -1),
        Kvm.readMemory(vm, 0x10000, 0.5),
        Kvm.readMemory(vm, -1, 1),
        Kvm.readMemory(vm, -1n, 1),
        Kvm.readMemory(vm, 0.5, 1),
        Kvm.readMemory(vm, Number.NaN, 1),
        Kvm.readMemory(vm, 2 ** 60, 1),
        Kvm.readCString(vm, 0x10000, { maxLength: 8 }),
        Kvm.readCString(vm, 0x10000, { maxLength: -1 })
      ]) {
        yield* expectErrno<unknown, Kvm.GuestMemoryError, never, "EINVAL">(wrong, "EINVAL")
      }
      assert.isTrue((yield* Kvm.readMemory(vm, 0x10000, 64)).every((byte) => byte === 0x55))
      // A length that a guest made up takes no memory of ours.
      yield* expectOutside(Kvm.readMemory(vm, 0x10000, 2 ** 50))
    })
  )

  itKvm(
    "is out of memory at any address that there is not",
    Effect.gen(function* () {
      const { vm } = yield* makeSpace
      for (const address of [0, 0xffff, 0x13000, 0x1ffff, 0x22000, 2 ** 52, 2n ** 60n, 2n ** 64n - 1n, 2n ** 64n]) {
        assert.deepStrictEqual(yield* expectOutside(Kvm.readU8(vm, address)), {
          address: BigInt(address),
          length: 1,
          missing: BigInt(address)
        })
      }
      assert.strictEqual((yield* Kvm.readMemory(vm, 0, 0)).length, 0)
      const text = yield* Kvm.readCString(vm, 0x21ff0)
      assert.strictEqual(text, "")
      yield* Kvm.fillMemory(vm, 0x21ff0, 16, 0x41)
      assert.deepStrictEqual((yield* expectOutside(Kvm.readCString(vm, 0x21ff0))).missing, 0x22000n)
    })
  )

  itKvm(
    "that was released is a typed error, whatever is done with it",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const memory = yield* Effect.scoped(Kvm.addMemory(vm, { guestAddress: 0x1000, size: page }))
      for (const use of [
        Kvm.readMemory(memory, 0x1000, 1),
        Kvm.readMemoryInto(memory, 0x1000, new Uint8Array(1)),
        Kvm.writeMemory(memory, 0x1000, new Uint8Array(1)),
        Kvm.fillMemory(memory, 0x1000, 1),
        Kvm.viewMemory(memory, 0x1000, 1),
        Kvm.readU64(memory, 0x1000),
        Kvm.writeU64(memory, 0x1000, 1n),
        Kvm.readStruct(memory, 0x1000, Abi.timespec),
        Kvm.readCString(memory, 0x1000),
        Kvm.readU8(vm, 0x1000)
      ]) {
        yield* expectOutside<unknown, Kvm.GuestMemoryError, never>(use)
      }
      yield* expectErrno(Kvm.setDirtyLogging(vm, memory, true), "EINVAL")
    })
  )

  itKvm(
    "can be read and written while the guest runs",
    Effect.gen(function* () {
      const { memory, vcpu, vm } = yield* makeGuest([
        ...asm("wait: cmp byte [0x1800], 0", 0x80, 0x3e, 0x00, 0x18, 0x00),
        ...asm("      je wait", 0x74, 0xf9),
        ...asm("      mov byte [0x1801], 7", 0xc6, 0x06, 0x01, 0x18, 0x07),
        ...hlt
      ])
      const running = yield* Effect.forkChild(Kvm.run(vcpu), { startImmediately: true })
      yield* Kvm.writeU8(vm, 0x1800, 1)
      assert.strictEqual((yield* Fiber.join(running))._tag, "Hlt")
      assert.strictEqual(yield* Kvm.readU8(memory, 0x1801), 7)
    })
  )

  itKvm(
    "is what a plain array says, for any regions and any accesses",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const base = 0x100000
      const whole = 16
      // Eight pages of sixteen, in pieces of one and two pages.
      const pages = [0, 1, 2, 3, 5, 6, 10, 11, 12, 15]
      for (const [index, size] of [
        [5, 2],
        [0, 1],
        [3, 1],
        [1, 2],
        [12, 1],
        [10, 2],
        [15, 1]
      ] as const) {
        yield* Kvm.addMemory(vm, { guestAddress: base + index * page, size: size * page })
      }
      const model = new Uint8Array((whole + 4) * page)
      const there = (offset: number) => pages.includes(Math.floor(offset / page))
      const missingIn = (offset: number, length: number): number | undefined => {
        for (let at = offset; at < offset + length; at++) if (!there(at)) return at
        return undefined
      }
      const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
      const Access = Schema.Struct({
        // Near the ends of pages, where regions may meet.
        page: integer(0, whole),
        around: integer(-9, 9),
        length: Schema.Union([integer(0, 24), integer(0, 3 * page)]),
        value: integer(0, 255),
        kind: Schema.Literals(["write", "fill", "read", "into", "struct"])
      })
      const agrees = Effect.fnUntraced(function* ({
        around,
        kind,
        length: asked,
        page: index,
        value
      }: typeof Access.Type) {
        const offset = Math.max(0, index * page + around)
        const length = kind === "struct" ? Abi.timespec.size : asked
        const address = value % 2 === 0 ? base + offset : BigInt(base + offset)
        const expected = missingIn(offset, length)
        const bytes = Uint8Array.from({ length }, (_, index) => (value + index) & 0xff)
        const uses: Readonly<Record<typeof kind, Effect.Effect<unknown, Kvm.GuestMemoryError>>> = {
          write: Kvm.writeMemory(vm, address, bytes),
          fill: Kvm.fillMemory(vm, address, length, value),
          struct: Effect.suspend(() => Kvm.writeStruct(vm, address, Abi.timespec, Abi.timespec.decode(bytes))),
          into: Effect.suspend(() => {
            const into = new Uint8Array(length)
            return Effect.as(Kvm.readMemoryInto(vm, address, into), into)
          }),
          read: Kvm.readMemory(vm, address, length)
        }
        if (expected !== undefined) {
          return (yield* expectOutside(uses[kind])).missing === BigInt(base + expected)
        }
        const result = yield* uses[kind]
        if (result instanceof Uint8Array) return Buffer.compare(result, model.subarray(offset, offset + length)) === 0
        if (kind === "fill") model.fill(value, offset, offset + length)
        else model.set(bytes, offset)
        return true
      })
      const same = Effect.map(
        Effect.forEach(pages, (index) => Kvm.readMemory(vm, base + index * page, page)),
        (all) =>
          all.every((bytes, at) => {
            const index = pages[at] ?? 0
            return Buffer.compare(bytes, model.subarray(index * page, (index + 1) * page)) === 0
          })
      )
      const result = yield* Arbitrary.checkEffect(
        Arbitrary.schema(Schema.Array(Access)),
        (accesses) =>
          Effect.gen(function* () {
            model.fill(0)
            for (const { bytes } of Kvm.guestMemory(vm).regions) bytes.fill(0)
            for (const access of accesses) if (!(yield* agrees(access))) return false
            return yield* same
          }),
        { runs: 200 }
      )
      assert.isUndefined(Arbitrary.formatCheckFailure(result))
    })
  )

  itKvm(
    "of addresses that are no exact numbers is found all the same, where a machine has as many bits",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const guestAddress = (1n << 53n) + 0x1000n
      const added = yield* Effect.exit(Kvm.addMemory(vm, { guestAddress, size: page }))
      if (Exit.isFailure(added)) return
      yield* Kvm.writeU16(vm, guestAddress + 0xff1n, 0xabcd)
      assert.strictEqual(added.value.bytes[0xff1], 0xcd)
      assert.strictEqual(yield* Kvm.readU8(vm, guestAddress + 0xff2n), 0xab)
      yield* expectOutside(Kvm.readU16(vm, guestAddress + 0xfffn))
    })
  )
})

describeKvm("Guest memory that comes and goes", () => {
  itKvm(
    "leaves no descriptor and no mapping, a thousand times",
    Effect.gen(function* () {
      const { memory, vm } = yield* makeGuest([...hlt])
      const file = yield* MemFd.make("often", { size: page })
      const round = Effect.scoped(
        Effect.all([
          Kvm.addMemory(vm, { guestAddress: 0x20000, size: page }),
          Kvm.addMemory(vm, { guestAddress: 0x30000, size: page, backing: { file, shared: false } }),
          Kvm.aliasMemory(vm, memory, { guestAddress: 0x40000 })
        ])
      )
      yield* round
      const before = yield* holdings
      for (let count = 0; count < 350; count++) yield* round
      assert.deepStrictEqual(yield* holdings, before)
      assert.deepStrictEqual(Kvm.guestMemory(vm).regions, [memory])
    })
  )

  itKvm(
    "is whole or not there at all, wherever its fiber is interrupted",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const file = yield* MemFd.make("interrupted", { size: 16 * page })
      const options = [
        { guestAddress: 0x20000, size: page },
        { guestAddress: 0x20000, size: 16 * page, backing: { populate: true } },
        { guestAddress: 0x20000, size: 16 * page, backing: { file, populate: true } },
        { guestAddress: 0x20000, size: 1 << 21, backing: { hugePages: "transparent", populate: true } }
      ] as const
      for (const option of options) yield* Effect.scoped(Kvm.addMemory(vm, option))
      const before = yield* holdings
      for (let round = 0; round < 120; round++) {
        const option = options[round % options.length]
        if (option === undefined) continue
        const fiber = yield* Effect.forkChild(
          Effect.scoped(Effect.andThen(Kvm.addMemory(vm, option), Effect.yieldNow)),
          {
            startImmediately: round % 3 !== 0
          }
        )
        for (let turn = 0; turn < round % 5; turn++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(Kvm.guestMemory(vm).regions, [])
      }
      assert.deepStrictEqual(yield* holdings, before)
    })
  )
})

describe("OutOfGuestMemory", () => {
  it("says where the memory ends, and of what access", () => {
    assert.strictEqual(
      new Kvm.OutOfGuestMemory({ address: 0x1000n, length: 1, missing: 0x1000n }).message,
      "the guest has no memory at 0x1000"
    )
    assert.strictEqual(
      new Kvm.OutOfGuestMemory({ address: 0xffen, length: 16, missing: 0x1000n }).message,
      "the guest has no memory at 0x1000 (of 16 bytes from 0xffe on)"
    )
  })
})

describe("The types", () => {
  it("tell what stands behind memory apart", () => {
    const compiled = (vm: Kvm.Vm, mapping: Mapping.Mapping, file: File.File) => {
      const place = { guestAddress: 0, size: page }
      Kvm.addMemory(vm, { ...place, backing: { file, shared: false } })
      Kvm.addMemory(vm, { ...place, backing: { mapping, offset: page } })
      // @ts-expect-error a file and a mapping at once
      Kvm.addMemory(vm, { ...place, backing: { file, mapping } })
      // @ts-expect-error a mapping is as it was mapped
      Kvm.addMemory(vm, { ...place, backing: { mapping, hugePages: "2MB" } })
      // @ts-expect-error any file is no guest_memfd
      Kvm.addMemory(vm, { ...place, guestMemfd: { file } })
      // @ts-expect-error 64 bits are a bigint
      Kvm.writeU64(vm, 0, 1)
      // @ts-expect-error a structure is of its own fields
      Kvm.writeStruct(vm, 0, Abi.timespec, { tv_sec: 0n })
      const value: Effect.Effect<bigint, Kvm.OutOfGuestMemory | Errno.EINVAL> = Kvm.readU64(vm, 0)
      return value
    }
    assert.isFunction(compiled)
  })
})
