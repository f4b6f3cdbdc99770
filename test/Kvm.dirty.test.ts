/** Which pages a guest has written: bitmaps, rings, and both as ranges. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schedule, Scope, Stream } from "effect"
import { File, Kvm, Mapping, Syscall } from "../src/index.ts"
import { rangesOf } from "../src/kvm/dirty-model.ts"
import { asm, comesTrue, enterLongMode, enterRealMode, expectErrno, expectExit, hlt, itKvm } from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"
import { mappings, openFds } from "./support/process.ts"

const page = 0x1000

const holdings = Effect.all({ fds: openFds, mappings: mappings(/kvm|memfd:|\/dev\/zero/) })

/** Where the memory begins whose pages are recorded, and its size. */
const base = 0x10000
const size = 32 * page

/** Writes a byte to the page whose number is in `ax`, counted from 0x10000 on: `es` takes 16 bytes a unit. */
const touch = [
  ...asm("shl ax, 8", 0xc1, 0xe0, 0x08),
  ...asm("add ax, 0x1000", 0x05, 0x00, 0x10),
  ...asm("mov es, ax", 0x8e, 0xc0),
  ...asm("mov byte [es:0x10], 1", 0x26, 0xc6, 0x06, 0x10, 0x00, 0x01)
]

/** Touches the pages one after the other, then tells so through a port, and again for each list. */
const touching = (...lists: ReadonlyArray<ReadonlyArray<number>>) =>
  lists.flatMap((pages) => [
    ...pages.flatMap((index) => [...asm("mov ax, index", 0xb8, index, 0x00), ...touch]),
    ...asm("out 0x10, al", 0xe6, 0x10)
  ])

interface Options {
  readonly rings?: number
  readonly logDirtyPages?: boolean
}

/** A guest whose code is in one memory, and whose writes go to another that is recorded. */
const makeWriter = (code: ReadonlyArray<number>, { logDirtyPages = true, rings }: Options = {}) =>
  Effect.gen(function* () {
    const vm = yield* Kvm.createVm()
    if (rings !== undefined) yield* Kvm.enableDirtyLogRing(vm, { entries: rings })
    yield* Kvm.addMemory(vm, { guestAddress: 0x1000, size: 4 * page })
    yield* Kvm.writeMemory(vm, 0x1000, Uint8Array.from(code))
    const memory = yield* Kvm.addMemory(vm, { guestAddress: base, size, logDirtyPages })
    const vcpu = yield* Kvm.createVcpu(vm, 0)
    yield* enterRealMode(vcpu)
    return { vm, vcpu, memory }
  })

/** Ranges as numbers of pages: the first and how many. */
const pagesOf = (ranges: ReadonlyArray<Kvm.DirtyRange>) =>
  ranges.map(({ guestAddress, size }) => [(Number(guestAddress) - base) / page, size / page])

const lacksRings = Effect.map(
  Effect.flatMap(Kvm.createVm(), (vm) => Kvm.checkExtension(vm, Kvm.KVM_CAP_DIRTY_LOG_RING_ACQ_REL)),
  (size) => size === 0
)

describeKvm("Kvm.dirtyPages", () => {
  itKvm(
    "are exactly those that the guest wrote since the last time",
    Effect.gen(function* () {
      const { memory, vcpu, vm } = yield* makeWriter(touching([0, 3, 4, 5, 31], [], [7, 4]))
      assert.deepStrictEqual(yield* Kvm.dirtyPages(vm, memory), [])
      yield* expectExit(vcpu, "Io")
      const ranges = yield* Kvm.dirtyPages(vm, memory)
      assert.deepStrictEqual(ranges[1], { guestAddress: BigInt(base + 3 * page), size: 3 * page })
      assert.deepStrictEqual(pagesOf(ranges), [
        [0, 1],
        [3, 3],
        [31, 1]
      ])
      yield* expectExit(vcpu, "Io")
      assert.deepStrictEqual(yield* Kvm.dirtyPages(vm, memory), [])
      // What the host writes does not count.
      memory.bytes[9 * page] = 1
      yield* expectExit(vcpu, "Io")
      assert.deepStrictEqual(pagesOf(yield* Kvm.dirtyPages(vm, memory)), [
        [4, 1],
        [7, 1]
      ])
    })
  )

  itKvm(
    "are the same where the kernel keeps its bits until they are cleared",
    Effect.gen(function* () {
      const { memory, vcpu, vm } = yield* makeWriter(touching([1, 2], [2], [3]))
      yield* Kvm.enableManualDirtyLogProtect(vm)
      yield* expectExit(vcpu, "Io")
      const bitmap = yield* Kvm.getDirtyLog(vm, memory.slot, memory.size)
      assert.deepStrictEqual([...bitmap], [0b110, 0, 0, 0, 0, 0, 0, 0])
      assert.deepStrictEqual(yield* Kvm.getDirtyLog(vm, memory.slot, memory.size), bitmap)
      assert.deepStrictEqual(pagesOf(yield* Kvm.dirtyPages(vm, memory)), [[1, 2]])
      assert.deepStrictEqual(yield* Kvm.dirtyPages(vm, memory), [])
      yield* expectExit(vcpu, "Io")
      assert.deepStrictEqual(pagesOf(yield* Kvm.dirtyPages(vm, memory)), [[2, 1]])
      // By hand, one of two.
      yield* expectExit(vcpu, "Io")
      const range = { slot: memory.slot, num_pages: 32, first_page: 0n }
      yield* Kvm.clearDirtyLog(vm, { ...range, dirty_bitmap: Uint8Array.of(0b10, 0, 0, 0) })
      assert.deepStrictEqual(pagesOf(yield* Kvm.dirtyPages(vm, memory)), [[3, 1]])
    })
  )

  itKvm(
    "can begin with all of them",
    Effect.gen(function* () {
      const { memory, vcpu, vm } = yield* makeWriter(touching([6]), { logDirtyPages: false })
      yield* Kvm.enableManualDirtyLogProtect(vm, { initiallySet: true })
      yield* Kvm.setDirtyLogging(vm, memory, true)
      assert.deepStrictEqual(pagesOf(yield* Kvm.dirtyPages(vm, memory)), [[0, 32]])
      yield* expectExit(vcpu, "Io")
      assert.deepStrictEqual(pagesOf(yield* Kvm.dirtyPages(vm, memory)), [[6, 1]])
    })
  )

  itKvm(
    "are recorded from when that is asked for until it no longer is",
    Effect.gen(function* () {
      const { memory, vcpu, vm } = yield* makeWriter(touching([1], [2], [3]), { logDirtyPages: false })
      yield* expectErrno(Kvm.dirtyPages(vm, memory), "ENOENT")
      yield* expectExit(vcpu, "Io")
      yield* Kvm.setDirtyLogging(vm, memory, true)
      yield* expectExit(vcpu, "Io")
      assert.deepStrictEqual(pagesOf(yield* Kvm.dirtyPages(vm, memory)), [[2, 1]])
      yield* Kvm.setDirtyLogging(vm, memory, false)
      yield* expectExit(vcpu, "Io")
      yield* expectErrno(Kvm.dirtyPages(vm, memory), "ENOENT")
    })
  )

  itKvm(
    "of memory that is released, or another machine's, are ENOENT",
    Effect.gen(function* () {
      const { memory, vm } = yield* makeWriter([...hlt])
      yield* expectErrno(Kvm.dirtyPages(yield* Kvm.createVm(), memory), "ENOENT")
      const gone = yield* Effect.scoped(Kvm.addMemory(vm, { guestAddress: 0x100000, size: page, logDirtyPages: true }))
      yield* expectErrno(Kvm.dirtyPages(vm, gone), "ENOENT")
    })
  )

  itKvm(
    "of a large memory are told in a moment",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeWriter(touching([5]), { logDirtyPages: false })
      // Beginning where no whole word of the bitmap does.
      const memory = yield* Kvm.addMemory(vm, { guestAddress: 0x100000, size: 0x4000_7000, logDirtyPages: true })
      yield* expectExit(vcpu, "Io")
      assert.deepStrictEqual(yield* Kvm.dirtyPages(vm, memory), [])
      assert.strictEqual((yield* Kvm.getDirtyLog(vm, memory.slot, memory.size)).length, 0x8008)
    })
  )
})

describeKvm("Kvm.getDirtyLog", () => {
  itKvm(
    "takes a slot by number, whatever is said of its size",
    Effect.gen(function* () {
      const { memory, vcpu, vm } = yield* makeWriter(touching([0, 9], [0, 9]))
      yield* expectExit(vcpu, "Io")
      assert.deepStrictEqual([...(yield* Kvm.getDirtyLog(vm, memory.slot, 0))], [])
      yield* expectExit(vcpu, "Io")
      assert.deepStrictEqual([...(yield* Kvm.getDirtyLog(vm, memory.slot, page))], [1, 2, 0, 0, 0, 0, 0, 0])
      for (const wrong of [-1, 0.5, Number.NaN, 2 ** 60]) {
        yield* expectErrno(Kvm.getDirtyLog(vm, memory.slot, wrong), "EINVAL")
      }
      yield* expectErrno(Kvm.getDirtyLog(vm, 99, page), "ENOENT")
      yield* expectErrno(Kvm.getDirtyLog(vm, -1, page), "EINVAL")
    })
  )

  itKvm(
    "has room for a slot that only the kernel knows",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const { address } = yield* Mapping.anonymous({ length: 1 << 30, noReserve: true })
      const before = yield* holdings
      yield* Syscall.call(
        Syscall.nr.ioctl,
        yield* fdOf(vm),
        Kvm.KVM_SET_USER_MEMORY_REGION.code,
        Kvm.kvm_userspace_memory_region.encode({
          slot: 5,
          flags: Kvm.KVM_MEM_LOG_DIRTY_PAGES,
          guest_phys_addr: 0n,
          memory_size: 1n << 30n,
          userspace_addr: address
        })
      )
      assert.strictEqual((yield* Kvm.getDirtyLog(vm, 5, page)).length, 8)
      assert.deepStrictEqual(yield* holdings, before)
    })
  )
})

describeKvm("Kvm.clearDirtyLog", () => {
  itKvm(
    "refuses what is no range of the slot, and a bitmap that is too short",
    Effect.gen(function* () {
      const { memory, vm } = yield* makeWriter([...hlt])
      yield* Kvm.enableManualDirtyLogProtect(vm)
      const range = { slot: memory.slot, num_pages: 32, first_page: 0n, dirty_bitmap: new Uint8Array(4) }
      yield* Kvm.clearDirtyLog(vm, range)
      for (const wrong of [
        { dirty_bitmap: new Uint8Array(3) },
        { num_pages: -1 },
        { num_pages: 0.5 },
        { num_pages: 2 ** 33, dirty_bitmap: new Uint8Array(8) },
        { first_page: 1n },
        { first_page: 64n },
        { first_page: -1n },
        { num_pages: 8 }
      ]) {
        yield* expectErrno(Kvm.clearDirtyLog(vm, { ...range, ...wrong }), "EINVAL")
      }
      yield* expectErrno(Kvm.clearDirtyLog(vm, { ...range, slot: 9 }), "ENOENT")
    })
  )
})

describeKvm("Dirty rings", () => {
  itKvm(
    "tell exactly the pages that the guest wrote, by memory",
    Effect.gen(function* () {
      if (yield* lacksRings) return
      const { memory, vcpu, vm } = yield* makeWriter(touching([0, 3, 4, 5, 31], [], [7, 4], [8]), { rings: 256 })
      // Below 64 KiB only page 0xf is beside the code: by another segment it is a memory of its own.
      const other = yield* Kvm.addMemory(vm, { guestAddress: base + size, size: page, logDirtyPages: true })
      yield* expectExit(vcpu, "Io")
      assert.deepStrictEqual(yield* Kvm.dirtyPages(vm, other), [])
      assert.deepStrictEqual(pagesOf(yield* Kvm.dirtyPages(vm, memory)), [
        [0, 1],
        [3, 3],
        [31, 1]
      ])
      yield* expectExit(vcpu, "Io")
      assert.deepStrictEqual(yield* Kvm.dirtyPages(vm, memory), [])
      yield* expectExit(vcpu, "Io")
      assert.deepStrictEqual(pagesOf(yield* Kvm.dirtyPages(vm, memory)), [
        [4, 1],
        [7, 1]
      ])
      yield* expectErrno(Kvm.getDirtyLog(vm, memory.slot, memory.size), "ENXIO")
      yield* expectExit(vcpu, "Io")
      assert.deepStrictEqual(yield* Kvm.collectDirtyRing(vcpu), [{ slot: memory.slot, offset: 8 }])
      assert.deepStrictEqual(yield* Kvm.collectDirtyRing(vcpu), [])
      assert.strictEqual(yield* Kvm.resetDirtyRings(vm), 1)
    })
  )

  itKvm(
    "that are full stop the guest until they are collected, and lose nothing, round after round",
    Effect.gen(function* () {
      if (yield* lacksRings) return
      // Writes to the 256 pages from 1 MiB on in turn, for ever.
      const code = [
        ...asm("      mov ebx, 0x100000", 0xbb, 0x00, 0x00, 0x10, 0x00),
        ...asm("next: inc dword [rbx]", 0xff, 0x03),
        ...asm("      add ebx, 0x1000", 0x81, 0xc3, 0x00, 0x10, 0x00, 0x00),
        ...asm("      and ebx, 0x1fffff", 0x81, 0xe3, 0xff, 0xff, 0x1f, 0x00),
        ...asm("      or ebx, 0x100000", 0x81, 0xcb, 0x00, 0x00, 0x10, 0x00),
        ...asm("      jmp next", 0xeb, 0xea)
      ]
      const vm = yield* Kvm.createVm()
      yield* Kvm.enableDirtyLogRing(vm, { entries: 4096 })
      const low = yield* Kvm.addMemory(vm, { guestAddress: 0x1000, size: 4 * page })
      low.bytes.set(code)
      const memory = yield* Kvm.addMemory(vm, { guestAddress: 0x100000, size: 0x100000, logDirtyPages: true })
      const vcpu = yield* Kvm.createVcpu(vm, 0)
      yield* enterLongMode(vcpu, low)
      const counts = () => Array.from({ length: 256 }, (_, index) => memory.bytes[index * page] ?? 0)
      let before = counts()
      for (let round = 0; round < 6; round++) {
        const exit = yield* Kvm.run(vcpu)
        assert.notInclude(["Hlt", "Shutdown", "InternalError"], exit._tag)
        const ranges = yield* Kvm.dirtyPages(vm, memory)
        const now = counts()
        const written = now.flatMap((count, index) => (count === before[index] ? [] : [index]))
        const told = ranges.flatMap(({ guestAddress, size }) =>
          Array.from({ length: size / page }, (_, index) => Number(guestAddress - 0x100000n) / page + index)
        )
        assert.includeMembers(told, written)
        before = now
      }
    })
  )

  itKvm(
    "are mapped once, with each vCPU, and unmapped with it, and what was left in them is kept",
    Effect.gen(function* () {
      if (yield* lacksRings) return
      const vm = yield* Kvm.createVm()
      yield* Kvm.enableDirtyLogRing(vm, { entries: 256 })
      yield* Kvm.addMemory(vm, { guestAddress: 0x1000, size: 4 * page })
      yield* Kvm.writeMemory(vm, 0x1000, Uint8Array.from(touching([2], [3])))
      const memory = yield* Kvm.addMemory(vm, { guestAddress: base, size, logDirtyPages: true })
      const before = yield* holdings
      yield* Effect.scoped(
        Effect.gen(function* () {
          const vcpu = yield* Kvm.createVcpu(vm, 0)
          yield* enterRealMode(vcpu)
          // The page that it shares with its host, which its thread maps once more.
          const bare = 2
          yield* expectExit(vcpu, "Io")
          const both = [Kvm.dirtyPages(vm, memory), Kvm.dirtyPages(vm, memory)]
          const told = (yield* Effect.all(both, { concurrency: "unbounded" })).flat()
          assert.deepStrictEqual(pagesOf(told), [[2, 1]])
          assert.strictEqual(yield* mappings(/kvm-vcpu/), bare + 1)
          yield* expectExit(vcpu, "Io")
        })
      )
      assert.deepStrictEqual(yield* holdings, before)
      assert.deepStrictEqual(pagesOf(yield* Kvm.dirtyPages(vm, memory)), [[3, 1]])
    })
  )

  itKvm(
    "are refused once there are vCPUs, of sizes that there are not, and where they are not enabled",
    Effect.gen(function* () {
      if (yield* lacksRings) return
      const { vcpu, vm } = yield* makeWriter([...hlt])
      yield* expectErrno(Kvm.enableDirtyLogRing(vm), "EINVAL")
      yield* expectErrno(Kvm.collectDirtyRing(vcpu), "EINVAL")
      yield* expectErrno(Kvm.resetDirtyRings(vm), "EINVAL")
      const fresh = yield* Kvm.createVm()
      for (const entries of [0, -1, 0.5, 1, 255, 300, 2 ** 20]) {
        yield* expectErrno(Kvm.enableDirtyLogRing(fresh, { entries }), "EINVAL")
      }
      yield* Kvm.enableDirtyLogRing(fresh)
      yield* expectErrno(Kvm.enableDirtyLogRing(fresh), "EINVAL")
      const ended = yield* Effect.scoped(Kvm.createVcpu(fresh, 0))
      yield* expectErrno(Kvm.collectDirtyRing(ended), "EBADF")
    })
  )

  itKvm(
    "forget a slot when it gets other memory",
    Effect.gen(function* () {
      if (yield* lacksRings) return
      const { memory: code, vcpu, vm } = yield* makeWriter(touching([31]), { rings: 256 })
      const scope = yield* Scope.make()
      const add = Kvm.addMemory(vm, { guestAddress: base + size, size: page, logDirtyPages: true, slot: 9 })
      yield* Scope.provide(add, scope)
      yield* expectExit(vcpu, "Io")
      yield* Kvm.dirtyPages(vm, code)
      yield* Scope.close(scope, Exit.void)
      const again = yield* add
      assert.deepStrictEqual(yield* Kvm.dirtyPages(vm, again), [])
    })
  )
})

describeKvm("Kvm.dirtyStream", () => {
  itKvm(
    "gives ranges as they are found, round after round",
    Effect.gen(function* () {
      const { memory, vcpu, vm } = yield* makeWriter(touching([1], [2, 3], [], [4]))
      const found: Array<readonly number[]> = []
      const streaming = yield* Effect.forkChild(
        Stream.runForEach(Kvm.dirtyStream(vm, memory, { interval: "1 millis" }), (range) =>
          Effect.sync(() => {
            found.push(...pagesOf([range]))
          })
        )
      )
      for (const expected of [1, 2, 2, 3]) {
        yield* expectExit(vcpu, "Io")
        assert.isTrue(yield* comesTrue(() => found.length === expected))
      }
      yield* Fiber.interrupt(streaming)
      assert.deepStrictEqual(found, [
        [1, 1],
        [2, 2],
        [4, 1]
      ])
    })
  )

  itKvm(
    "ends with its schedule, and fails when the memory is released",
    Effect.gen(function* () {
      const { memory, vcpu, vm } = yield* makeWriter(touching([1, 5]))
      yield* expectExit(vcpu, "Io")
      const all = yield* Stream.runCollect(Kvm.dirtyStream(vm, memory, { schedule: Schedule.recurs(3) }))
      assert.deepStrictEqual(pagesOf(all), [
        [1, 1],
        [5, 1]
      ])
      const gone = yield* Effect.scoped(Kvm.addMemory(vm, { guestAddress: 0x100000, size: page, logDirtyPages: true }))
      yield* expectErrno(Stream.runDrain(Kvm.dirtyStream(vm, gone)), "ENOENT")
    })
  )
})

describe("A bitmap", () => {
  it("is the runs of its bits", () => {
    const ranges = (bits: ReadonlyArray<number>, pages: number) => {
      const bitmap = new Uint8Array(Math.ceil(pages / 64) * 8)
      for (const bit of bits) bitmap[bit >>> 3] = (bitmap[bit >>> 3] ?? 0) | (1 << (bit & 7))
      return rangesOf(bitmap, pages * page).map(([offset, size]) => [offset / page, size / page])
    }
    const upTo = (count: number) => Array.from({ length: count }, (_, index) => index)
    assert.deepStrictEqual(ranges([], 200), [])
    assert.deepStrictEqual(ranges(upTo(200), 200), [[0, 200]])
    assert.deepStrictEqual(ranges([0, 31, 32, 63, 64, 199], 200), [
      [0, 1],
      [31, 2],
      [63, 2],
      [199, 1]
    ])
    // Bits beyond the last page are nobody's.
    assert.deepStrictEqual(ranges([3, 4, 5, 6, 40], 5), [[3, 2]])
    for (let round = 0; round < 200; round++) {
      const pages = 1 + ((round * 7919) % 300)
      const bits = upTo(pages).filter((bit) => ((bit + round) * 2654435761) % 2 ** 32 < 2 ** 32 * ((round % 10) / 9))
      assert.deepStrictEqual(
        ranges(bits, pages).flatMap(([start = 0, count = 0]) => upTo(count).map((index) => start + index)),
        bits
      )
    }
  })
})

const fdOf = (vm: Kvm.Vm) => File.fd(vm.file)
