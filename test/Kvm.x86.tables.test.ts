/** Descriptors, gates, task state segments and page tables, bit by bit, and as the kernel reads them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Kvm } from "../src/index.ts"
import { itKvm } from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"

const { x86 } = Kvm

/** Memory of a guest that no guest has: tables need nothing but its bytes. */
const memoryAt = (guestAddress: number, size: number): Kvm.GuestMemory => {
  const bytes = new Uint8Array(size)
  return {
    slot: 0,
    guestAddress: BigInt(guestAddress),
    size,
    bytes,
    get mapping(): never {
      throw new Error("there is no mapping")
    }
  }
}

const hexOf = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")

const refused = <A>(effect: Effect.Effect<A, Kvm.x86.GuestStateError>, rule: Kvm.x86.Rule) =>
  Effect.map(Effect.flip(effect), (error) => assert.strictEqual(error.rule, rule, error.message))

const dpl = Schema.Literals([0, 1, 2, 3])
const base32 = Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: 0n, maximum: 0xffff_ffffn }))
const base64 = Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: 0n, maximum: (1n << 64n) - 1n }))
const pages = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0xf_ffff }))

describe("Kvm.x86.segment, encodeDescriptor, decodeDescriptor", () => {
  it.effect("the flat segments that everybody has", () =>
    Effect.gen(function* () {
      const encoded = (segment: Kvm.kvm_segment) => Effect.map(x86.encodeDescriptor(segment), hexOf)
      // In memory's order: the lowest byte first.
      assert.strictEqual(yield* encoded(x86.segment({ kind: "code" })), "ffff0000009bcf00")
      assert.strictEqual(yield* encoded(x86.segment({ kind: "data" })), "ffff00000093cf00")
      assert.strictEqual(yield* encoded(x86.segment({ kind: "code", bits: 64 })), "ffff0000009baf00")
      assert.strictEqual(yield* encoded(x86.segment({ kind: "code", dpl: 3 })), "ffff000000fbcf00")
      assert.strictEqual(yield* encoded(x86.segment({ kind: "data", dpl: 3 })), "ffff000000f3cf00")
      assert.strictEqual(yield* encoded(x86.realModeSegment(0x1234, "code")), "ffff4023019b0000")
      assert.strictEqual(yield* encoded(x86.segment({ kind: "tss", base: 0x1234_5678 })), "67007856348b0012")
      assert.strictEqual(yield* encoded(x86.unusableSegment), "0000000000000000")
      assert.strictEqual(
        hexOf(yield* x86.encodeDescriptor(x86.segment({ kind: "tss", base: 0x1234_5678_9abc_def0n }), { long: true })),
        "6700f0debc8b009a7856341200000000"
      )
    })
  )

  it.effect.prop(
    "what is encoded is what is decoded",
    {
      kind: Schema.Literals(["code", "data", "ldt", "tss"]),
      bits: Schema.Literals([16, 32, 64]),
      base: base64,
      pages,
      granular: Schema.Boolean,
      dpl,
      a: Schema.Boolean,
      b: Schema.Boolean,
      selector: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0xffff }))
    },
    ({ a, b, base, bits, dpl, granular, kind, pages, selector }) =>
      Effect.gen(function* () {
        const long = bits === 64
        const system = kind === "ldt" || kind === "tss"
        const segment = x86.segment({
          kind,
          bits,
          base: long && system ? base : base & 0xffff_ffffn,
          limit: granular ? pages * 4096 + 4095 : pages,
          selector,
          dpl,
          readable: a,
          writable: a,
          conforming: b,
          expandDown: b
        })
        const bytes = yield* x86.encodeDescriptor(segment, { long })
        assert.strictEqual(bytes.length, long && system ? 16 : 8)
        assert.deepStrictEqual(x86.decodeDescriptor(bytes, selector), segment)
      })
  )

  it.effect("what a descriptor cannot hold is refused", () =>
    Effect.gen(function* () {
      const data = x86.segment({ kind: "data" })
      yield* refused(x86.encodeDescriptor({ ...data, base: 1n << 32n }), "descriptor.base")
      yield* refused(x86.encodeDescriptor({ ...data, base: -1n }), "descriptor.base")
      yield* refused(x86.encodeDescriptor({ ...data, g: 0 }), "descriptor.limit")
      yield* refused(x86.encodeDescriptor({ ...data, limit: 0x10_0000 }), "descriptor.limit")
    })
  )

  it("selectors", () => {
    assert.deepStrictEqual([x86.selector(1), x86.selector(3, 3), x86.selector(2, 1, "ldt")], [8, 0x1b, 0x15])
  })
})

describe("Kvm.x86.writeGdt, writeIdt, writeTss", () => {
  it.effect("a GDT begins with the null descriptor, and gives each segment its selector", () =>
    Effect.gen(function* () {
      const memory = memoryAt(0x1000, 0x1000)
      memory.bytes.fill(0xff)
      const { gdt, segments } = yield* x86.writeGdt(
        memory,
        0x1800,
        [
          x86.segment({ kind: "code", bits: 64 }),
          x86.segment({ kind: "tss", base: 1n << 40n }),
          x86.segment({ kind: "data", dpl: 3 })
        ],
        { long: true }
      )
      assert.deepStrictEqual(gdt, { base: 0x1800n, limit: 39 })
      assert.deepStrictEqual(
        segments.map(({ selector }) => selector),
        [8, 16, 0x23]
      )
      assert.strictEqual(
        hexOf(memory.bytes.subarray(0x800, 0x828)),
        `${"00".repeat(8)}ffff0000009baf0067000000008b00000001000000000000ffff000000f3cf00`
      )
      assert.strictEqual(memory.bytes[0x828], 0xff)
    })
  )

  it.effect("gates of each width", () =>
    Effect.gen(function* () {
      const memory = memoryAt(0, 0x4000)
      const at = (address: number, length: number) => hexOf(memory.bytes.subarray(address, address + length))
      const handler = 0x1234_5678_9abc_def0n
      const gate = { handler, selector: 0x10, kind: "trap", dpl: 3, ist: 2 } as const
      assert.deepStrictEqual(yield* x86.writeIdt(memory, 0x1000, { 3: gate, 255: 0x42 }, 64), {
        base: 0x1000n,
        limit: 4095
      })
      assert.strictEqual(at(0x1030, 16), "f0de100002efbc9a7856341200000000")
      assert.strictEqual(at(0x1ff0, 16), "42000800008e00000000000000000000")
      assert.strictEqual(at(0x1040, 16), "00".repeat(16))
      assert.deepStrictEqual(yield* x86.writeIdt(memory, 0x2000, { 1: 0x9abc_def0 }, 32), {
        base: 0x2000n,
        limit: 2047
      })
      assert.strictEqual(at(0x2008, 8), "f0de0800008ebc9a")
      yield* x86.writeIdt(memory, 0x3000, { 1: 0xdef0 }, 16)
      assert.strictEqual(at(0x3008, 8), "f0de080000860000")
      yield* x86.writeIdt(memory, 0, { 1: { handler: 0x5678, selector: 0x1234 }, 2: 0x9abcd, 3: 0xfff0 }, "real")
      assert.strictEqual(at(4, 12), "78563412" + "0d00bc9a" + "f0ff0000")
    })
  )

  it.effect("what a gate or a vector cannot be is refused, and memory stays as it was", () =>
    Effect.gen(function* () {
      const memory = memoryAt(0, 0x1000)
      yield* refused(x86.writeIdt(memory, 0, { 1: 1n << 32n }, 32), "gate.offset")
      yield* refused(x86.writeIdt(memory, 0, { 1: 0x1_0000 }, 16), "gate.offset")
      yield* refused(x86.writeIdt(memory, 0, { 1: 1n << 20n }, "real"), "gate.offset")
      yield* refused(x86.writeIdt(memory, 0, { 1: -1 }, 64), "gate.offset")
      yield* refused(x86.writeIdt(memory, 0, { 1: 1.5 }, 64), "gate.offset")
      yield* refused(x86.writeIdt(memory, 0, { 256: 1 }, 64), "gate.vector")
      yield* refused(x86.writeIdt(memory, 0, { 1: { handler: 0, ist: 1 } }, 32), "gate.ist")
      yield* refused(x86.writeIdt(memory, 1, { 1: 1 }, 64), "memory.range")
      assert.isTrue(memory.bytes.every((byte) => byte === 0))
    })
  )

  it.effect("task state segments are as long as the processor reads, with the stacks where it looks", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual([x86.tss32.size, x86.tss64.size], [104, 104])
      const memory = memoryAt(0, 0x1000)
      const view = new DataView(memory.bytes.buffer)
      const ist = [1n, 2n, 3n, 4n, 5n, 6n, 0xffff_8000_0000_0007n]
      const tss = yield* x86.writeTss(memory, 0x100, { bits: 64, stack: 0x1234_5678_9abcn, ist, selector: 0x30 })
      assert.deepStrictEqual([tss.base, tss.limit, tss.type, tss.s, tss.selector], [0x100n, 103, 11, 0, 0x30])
      assert.strictEqual(view.getBigUint64(0x104, true), 0x1234_5678_9abcn)
      for (const [index, stack] of ist.entries()) assert.strictEqual(view.getBigUint64(0x124 + 8 * index, true), stack)
      assert.strictEqual(view.getUint16(0x166, true), 104)
      yield* x86.writeTss(memory, 0x200, { bits: 32, stack: 0x8765_4321 })
      assert.deepStrictEqual([view.getUint32(0x204, true), view.getUint32(0x208, true)], [0x8765_4321, 16])
      assert.strictEqual(view.getUint16(0x266, true), 104)
      yield* refused(x86.writeTss(memory, 0, { bits: 32, stack: 1n << 32n }), "mode.stack")
      yield* refused(x86.writeTss(memory, 0, { bits: 64, ist: [0, 0, 0, 0, 0, 0, 0, 0] }), "gate.ist")
      yield* refused(x86.writeTss(memory, 0x1000, { bits: 64 }), "memory.range")
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// page tables
// ---------------------------------------------------------------------------------------------------------------------

const modes: ReadonlyArray<Kvm.x86.PagingMode> = ["32bit", "pae", "4level", "5level"]

/** What says that paging is on in a mode. */
const registersOf = (tables: Kvm.x86.PageTables): Kvm.x86.PagingRegisters => ({
  cr0: x86.CR0_PE | x86.CR0_PG,
  cr3: tables.cr3,
  cr4: tables.cr4,
  efer: tables.efer | (tables.mode.endsWith("level") ? x86.EFER_LME | x86.EFER_LMA : 0n)
})

const kib4 = 0x1000n

/** Some ranges that do not overlap, in pages: gaps and lengths after one another. */
const ranges = Schema.Array(
  Schema.Struct({
    gap: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0x600 })),
    length: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 0x900 })),
    physical: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0xf_0000 })),
    aligned: Schema.Boolean,
    writable: Schema.Boolean,
    user: Schema.Boolean,
    executable: Schema.Boolean,
    global: Schema.Boolean,
    pageSize: Schema.Literals(["4K", "2M", "4M", "1G"])
  })
).check(Schema.isMinLength(1), Schema.isMaxLength(4))

type Range = (typeof ranges)["Type"][number]

const mappingsOf = (mode: Kvm.x86.PagingMode, base: bigint, list: ReadonlyArray<Range>): Array<Kvm.x86.PageMapping> => {
  let next = base
  return list.map(({ aligned, executable, gap, length, physical, ...flags }) => {
    // Aligned ones can use large pages.
    const round = (address: bigint) => (aligned ? (address + 0x3f_ffffn) & ~0x3f_ffffn : address)
    const virtual = round(next + BigInt(gap) * kib4)
    next = virtual + BigInt(length) * kib4
    return {
      ...flags,
      executable: mode === "32bit" || executable,
      virtual,
      physical: round(BigInt(physical) * kib4),
      size: BigInt(length) * kib4
    }
  })
}

describe("Kvm.x86.writePageTables, translate", () => {
  for (const mode of modes) {
    it.effect.prop(
      `${mode}: every page leads where it was mapped to, with its flags, and no other one anywhere`,
      { list: ranges },
      ({ list }) =>
        Effect.gen(function* () {
          const memory = memoryAt(0x10_0000, 0x10_0000)
          const base =
            mode === "4level" ? 0xffff_8000_0000_0000n : mode === "5level" ? 0xff80_0000_0000_0000n : 0x1000_0000n
          const map = mappingsOf(mode, base, list)
          const tables = yield* x86.writePageTables(memory, { mode, address: 0x10_0000, map })
          const registers = registersOf(tables)
          assert.strictEqual(x86.pagingMode(registers), mode)
          for (const { executable = true, global, physical = 0, size, user, virtual, writable } of map) {
            for (const offset of [0n, 0xfffn, BigInt(size) / 2n, BigInt(size) - 1n]) {
              const found = yield* x86.translate(memory, registers, BigInt(virtual) + offset)
              assert.deepStrictEqual(
                { ...found, pageSize: 0 },
                {
                  physical: BigInt(physical) + offset,
                  pageSize: 0,
                  writable: writable === true,
                  user: user === true,
                  executable,
                  global: global === true
                }
              )
            }
            for (const outside of [BigInt(virtual) - 1n, BigInt(virtual) + BigInt(size)]) {
              const inside = map.some(
                ({ size, virtual }) => outside >= BigInt(virtual) && outside < BigInt(virtual) + BigInt(size)
              )
              const result = yield* Effect.result(x86.translate(memory, registers, outside))
              assert.strictEqual(result._tag, inside ? "Success" : "Failure", `0x${outside.toString(16)}`)
            }
          }
        }),
      { arbitrary: { runs: 60 } }
    )
  }

  it.effect("pages are as large as addresses, sizes and the wish for it allow", () =>
    Effect.gen(function* () {
      const sizes = (mode: Kvm.x86.PagingMode, mapping: Kvm.x86.PageMapping, ...addresses: ReadonlyArray<bigint>) =>
        Effect.gen(function* () {
          const memory = memoryAt(0, 0x20_0000)
          const tables = yield* x86.writePageTables(memory, { mode, address: 0, map: [mapping] })
          const found = yield* Effect.forEach(addresses, (address) =>
            x86.translate(memory, registersOf(tables), address)
          )
          return { sizes: found.map(({ pageSize }) => pageSize), pages: tables.size / 4096, cr4: tables.cr4 }
        })
      const gib = 1n << 30n
      const mib2 = 0x20_0000n
      assert.deepStrictEqual(yield* sizes("4level", x86.identity(4n * gib), 0n, 4n * gib - 1n), {
        sizes: [0x20_0000, 0x20_0000],
        pages: 6,
        cr4: x86.CR4_PAE
      })
      assert.deepStrictEqual(
        yield* sizes("5level", x86.identity(gib + mib2 + kib4, { pageSize: "1G" }), 0n, gib, gib + mib2),
        { sizes: [0x4000_0000, 0x20_0000, 0x1000], pages: 5, cr4: x86.CR4_PAE | x86.CR4_LA57 }
      )
      assert.deepStrictEqual(
        yield* sizes(
          "4level",
          { virtual: mib2 - kib4, physical: 3n * mib2 - kib4, size: mib2 + 2n * kib4 },
          mib2 - 1n,
          mib2,
          2n * mib2
        ),
        { sizes: [0x1000, 0x20_0000, 0x1000], pages: 5, cr4: x86.CR4_PAE }
      )
      assert.deepStrictEqual(yield* sizes("32bit", x86.identity(4n * gib), 0n, 4n * gib - 1n), {
        sizes: [0x40_0000, 0x40_0000],
        pages: 1,
        cr4: x86.CR4_PSE
      })
      assert.deepStrictEqual(yield* sizes("32bit", x86.identity(mib2, { pageSize: "4K", global: true }), 0n), {
        sizes: [0x1000],
        pages: 2,
        cr4: x86.CR4_PGE
      })
      assert.deepStrictEqual(yield* sizes("pae", x86.identity(4n * gib), 0n, 4n * gib - 1n), {
        sizes: [0x20_0000, 0x20_0000],
        pages: 5,
        cr4: x86.CR4_PAE
      })
    })
  )

  it.effect("what no page table can say is refused", () =>
    Effect.gen(function* () {
      const memory = memoryAt(0, 0x8000)
      const write = (mode: Kvm.x86.PagingMode, ...map: ReadonlyArray<Kvm.x86.PageMapping>) =>
        x86.writePageTables(memory, { mode, address: 0, map })
      yield* refused(write("4level", { virtual: 0x800, size: 0x1000 }), "page.alignment")
      yield* refused(write("4level", { virtual: 0, physical: 1, size: 0x1000 }), "page.alignment")
      yield* refused(write("4level", { virtual: 0, size: 0 }), "page.alignment")
      yield* refused(write("4level", { virtual: 0, size: -0x1000 }), "page.alignment")
      yield* refused(write("4level", { virtual: 0.5, size: 0x1000 }), "page.canonical")
      yield* refused(write("4level", { virtual: 1n << 47n, physical: 0, size: 0x1000 }), "page.canonical")
      yield* refused(write("4level", { virtual: (1n << 47n) - kib4, physical: 0, size: 0x2000 }), "page.canonical")
      yield* refused(write("4level", { virtual: -4096, physical: 0, size: 0x1000 }), "page.canonical")
      yield* refused(write("32bit", { virtual: 1n << 32n, physical: 0, size: 0x1000 }), "page.canonical")
      yield* refused(write("pae", { virtual: 0xffff_f000n, physical: 0, size: 0x2000 }), "page.canonical")
      yield* refused(write("4level", { virtual: 0, physical: 1n << 52n, size: 0x1000 }), "page.width")
      yield* refused(write("32bit", { virtual: 0, physical: 1n << 32n, size: 0x1000 }), "page.width")
      yield* refused(write("32bit", { virtual: 0, size: 0x1000, executable: false }), "page.execute")
      yield* refused(write("4level", x86.identity(0x20_0000), { virtual: 0x1f_f000, size: 0x1000 }), "page.overlap")
      yield* refused(write("4level", x86.identity(0x2000), { virtual: 0x1000, size: 0x1000 }), "page.overlap")
      yield* refused(write("4level", { virtual: 0x1000, size: 0x1000 }, x86.identity(0x20_0000)), "page.overlap")
      yield* refused(write("4level", x86.identity(1n << 36n)), "memory.range")
      yield* refused(x86.writePageTables(memory, { mode: "4level", address: 0x800, map: [] }), "page.alignment")
      yield* refused(x86.writePageTables(memory, { mode: "pae", address: 1n << 32n, map: [] }), "page.width")
    })
  )

  it.effect("what is in the way of a translation is told", () =>
    Effect.gen(function* () {
      const memory = memoryAt(0, 0x8000)
      const tables = yield* x86.writePageTables(memory, {
        mode: "4level",
        address: 0,
        map: [x86.identity(0x1000, { executable: false })]
      })
      const registers = registersOf(tables)
      const reason = (address: bigint, sregs = registers) =>
        Effect.map(Effect.flip(x86.translate(memory, sregs, address)), (error) => {
          assert.instanceOf(error, x86.UnmappedAddress)
          assert.include(error.message, `0x${address.toString(16)}`)
          return [error.reason, error.level]
        })
      assert.deepStrictEqual(yield* reason(0x1000n), ["present", 1])
      assert.deepStrictEqual(yield* reason(0x20_0000n), ["present", 2])
      assert.deepStrictEqual(yield* reason(1n << 39n), ["present", 4])
      assert.deepStrictEqual(yield* reason(1n << 47n), ["address", 0])
      assert.deepStrictEqual(yield* reason(0n, { ...registers, cr3: 0x10_0000n }), ["memory", 4])
      assert.deepStrictEqual(yield* reason(0n, { ...registers, efer: x86.EFER_LME | x86.EFER_LMA }), ["reserved", 1])
      const without = yield* x86.translate(memory, { ...registers, cr0: x86.CR0_PE }, 0x1234)
      assert.deepStrictEqual([without.physical, without.pageSize], [0x1234n, 0])
      yield* refused(
        Effect.catchTag(x86.translate(memory, registers, 1.5), "UnmappedAddress", (error) => Effect.die(error)),
        "page.canonical"
      )
    })
  )
})

describeKvm("Kvm.x86.translate beside the kernel's own", () => {
  it.live.prop(
    "both say the same of every address",
    {
      list: ranges,
      offsets: Schema.Array(base32).check(Schema.isMinLength(4), Schema.isMaxLength(8))
    },
    ({ list, offsets }) =>
      Effect.gen(function* () {
        const vm = yield* Kvm.createVm()
        const memory = yield* Kvm.addMemory(vm, { guestAddress: 0, size: 0x20_0000 })
        const vcpu = yield* Kvm.createVcpu(vm, 0)
        // KVM says 36 bits of addresses where there is no CPUID.
        const base = 0xffff_8000_0000_0000n
        const map = mappingsOf("4level", base, list).map(
          (mapping): Kvm.x86.PageMapping =>
            // Pages of 1 GiB are a feature.
            mapping.pageSize === "1G" ? { ...mapping, pageSize: "2M" } : mapping
        )
        const { sregs } = yield* x86.longMode(vcpu, memory, {
          entry: 0x1000,
          tables: 0x10_0000,
          map: [x86.identity(0x10_0000), ...map],
          efer: x86.EFER_NX
        })
        const edges = map.flatMap(({ size, virtual }) => [
          BigInt(virtual) - 1n,
          BigInt(virtual),
          BigInt(virtual) + BigInt(size) - 1n,
          BigInt(virtual) + BigInt(size)
        ])
        for (const address of [...edges, ...offsets.map((offset) => base + (offset & 0x3ff_ffffn)), ...offsets]) {
          if (address === base - 1n) continue
          const ours = yield* Effect.result(x86.translate(memory, sregs, address))
          const theirs = yield* Kvm.translateGva(vcpu, address)
          const name = `0x${address.toString(16)}`
          assert.strictEqual(theirs.valid === 1, ours._tag === "Success", name)
          if (ours._tag === "Success") assert.strictEqual(theirs.physical_address, ours.success.physical, name)
        }
      }).pipe(Effect.scoped, Effect.provide(Kvm.layer)),
    { arbitrary: { runs: 30 } }
  )

  itKvm(
    "pages of 1 GiB",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const memory = yield* Kvm.addMemory(vm, { guestAddress: 0, size: 0x20_0000 })
      const vcpu = yield* Kvm.createVcpu(vm, 0)
      yield* x86.setDefaultCpuid(vcpu)
      const map = [x86.identity(1n << 32n, { pageSize: "1G" })]
      const { end, sregs } = yield* x86.longMode(vcpu, memory, { entry: 0x1000, tables: 0x1_0000, map })
      assert.strictEqual(end, 0x1_3000n)
      assert.strictEqual((yield* x86.translate(memory, sregs, 0xdead_beef)).pageSize, 1 << 30)
      if (!Kvm.hasCpuidFeature(yield* Kvm.getCpuid2(vcpu), Kvm.CpuidFeature.PDPE1GB)) return
      assert.strictEqual((yield* Kvm.translateGva(vcpu, 0xdead_beefn)).physical_address, 0xdead_beefn)
    })
  )
})
