import { assert, describe, it } from "@effect/vitest"
import { expectTypeOf } from "vitest"
import { Struct } from "../src/index.ts"

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

const Timespec = Struct.make("timespec", { tv_sec: Struct.i64, tv_nsec: Struct.i64 })

/** Something of each alignment, in an order that makes padding. */
const Mixed = Struct.make("mixed", {
  a: Struct.u8,
  b: Struct.u16,
  c: Struct.u8,
  d: Struct.u32,
  e: Struct.u8,
  f: Struct.u64,
  g: Struct.u8
})

const placed = (struct: {
  readonly fields: Readonly<Record<string, { readonly offset: number; readonly size: number }>>
}) => Object.fromEntries(Object.entries(struct.fields).map(([name, { offset, size }]) => [name, [offset, size]]))

describe("the layout of a structure", () => {
  it("puts fields at their natural alignment and rounds the size up to the strictest", () => {
    assert.deepStrictEqual(placed(Mixed), {
      a: [0, 1],
      b: [2, 2],
      c: [4, 1],
      d: [8, 4],
      e: [12, 1],
      f: [16, 8],
      g: [24, 1]
    })
    assert.strictEqual(Mixed.size, 32)
    assert.strictEqual(Mixed.alignment, 8)
  })

  it("is that of the design's example", () => {
    assert.strictEqual(Timespec.size, 16)
    assert.strictEqual(Timespec.alignment, 8)
    assert.strictEqual(Timespec.fields.tv_nsec.offset, 8)
    assert.strictEqual(Timespec.fields.tv_nsec.size, 8)
    assert.strictEqual(Timespec.name, "timespec")
    assert.strictEqual(Timespec.kind, "struct")
  })

  it("has the sizes and alignments of C for scalars", () => {
    const scalars = [
      [Struct.u8, 1],
      [Struct.i8, 1],
      [Struct.u16, 2],
      [Struct.i16, 2],
      [Struct.u32, 4],
      [Struct.i32, 4],
      [Struct.u64, 8],
      [Struct.i64, 8],
      [Struct.pointer, 8]
    ] as const
    for (const [{ alignment, size }, expected] of scalars) {
      assert.deepStrictEqual([size, alignment], [expected, expected])
    }
  })

  it("leaves no padding in a packed structure", () => {
    const Packed = Struct.packed("packed", { a: Struct.u8, b: Struct.u64, c: Struct.u16, d: Mixed })
    assert.deepStrictEqual(placed(Packed), { a: [0, 1], b: [1, 8], c: [9, 2], d: [11, 32] })
    assert.strictEqual(Packed.size, 43)
    assert.strictEqual(Packed.alignment, 1)
  })

  it("puts all members of a union at its start", () => {
    const Union = Struct.union("union", { a: Struct.u8, b: Struct.bytes(9), c: Struct.u32 })
    assert.deepStrictEqual(placed(Union), { a: [0, 1], b: [0, 9], c: [0, 4] })
    assert.strictEqual(Union.size, 12)
    assert.strictEqual(Union.alignment, 4)
    assert.strictEqual(Union.kind, "union")
  })

  it("aligns arrays like their elements and nested structures like their strictest field", () => {
    const Outer = Struct.make("outer", {
      tag: Struct.u8,
      bytes: Struct.bytes(3),
      words: Struct.array(Struct.u16, 3),
      inner: Struct.make("inner", { x: Struct.u8, y: Struct.u32 }),
      times: Struct.array(Timespec, 2),
      text: Struct.text(5)
    })
    assert.deepStrictEqual(placed(Outer), {
      tag: [0, 1],
      bytes: [1, 3],
      words: [4, 6],
      inner: [12, 8],
      times: [24, 32],
      text: [56, 5]
    })
    assert.strictEqual(Outer.size, 64)
  })

  it("takes explicit padding and stronger alignment as they are given", () => {
    const Aligned = Struct.make("aligned", {
      a: Struct.u8,
      pad: Struct.padding(6, 2),
      wide: Struct.aligned(Struct.bytes(16), 16)
    })
    assert.deepStrictEqual(placed(Aligned), { a: [0, 1], pad: [2, 6], wide: [16, 16] })
    assert.strictEqual(Aligned.size, 32)
    assert.strictEqual(Aligned.alignment, 16)
  })

  it("is empty for a structure without fields", () => {
    const Empty = Struct.make("empty", {})
    assert.deepStrictEqual([Empty.size, Empty.alignment], [0, 1])
    assert.deepStrictEqual(Empty.decode(Empty.encode({})), {})
  })

  it("refuses a length that is none", () => {
    for (const length of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => Struct.bytes(length), RangeError)
      assert.throws(() => Struct.text(length), RangeError)
      assert.throws(() => Struct.padding(length), RangeError)
      assert.throws(() => Struct.array(Struct.u8, length), RangeError)
    }
  })

  it("is told from other values by isStruct", () => {
    assert.isTrue(Struct.isStruct(Timespec))
    assert.isTrue(Struct.isStruct(Struct.union("u", { a: Struct.u8 })))
    for (const other of [Struct.u8, Struct.array(Timespec, 1), {}, null, undefined, 1, "timespec"]) {
      assert.isFalse(Struct.isStruct(other))
    }
  })
})

describe("encode and decode", () => {
  it("write and read scalars in little-endian order", () => {
    const All = Struct.packed("all", {
      u8: Struct.u8,
      i8: Struct.i8,
      u16: Struct.u16,
      i16: Struct.i16,
      u32: Struct.u32,
      i32: Struct.i32,
      u64: Struct.u64,
      i64: Struct.i64,
      pointer: Struct.pointer
    })
    const value = {
      u8: 0x81,
      i8: -2,
      u16: 0x8203,
      i16: -0x1234,
      u32: 0x84050607,
      i32: -0x12345678,
      u64: 0x88090a0b0c0d0e0fn,
      i64: -0x123456789abcdef0n,
      pointer: 0xffffffffffffffffn
    }
    const bytes = All.encode(value)
    assert.strictEqual(
      hex(bytes),
      `81${"fe"}${"0382"}${"cced"}${"07060584"}${"88a9cbed"}${"0f0e0d0c0b0a0988"}${"1021436587a9cbed"}${"ff".repeat(8)}`
    )
    assert.deepStrictEqual(All.decode(bytes), value)
  })

  it("take the first and last value of each range", () => {
    const one = <A>(layout: Struct.Layout<A>, value: A) => {
      const One = Struct.make("one", { x: layout })
      assert.deepStrictEqual(One.decode(One.encode({ x: value })), { x: value })
    }
    for (const value of [0, 255]) one(Struct.u8, value)
    for (const value of [-128, 127]) one(Struct.i8, value)
    for (const value of [0, 65535]) one(Struct.u16, value)
    for (const value of [-32768, 32767]) one(Struct.i16, value)
    for (const value of [0, 4294967295]) one(Struct.u32, value)
    for (const value of [-2147483648, 2147483647]) one(Struct.i32, value)
    for (const value of [0n, 2n ** 64n - 1n]) one(Struct.u64, value)
    for (const value of [-(2n ** 63n), 2n ** 63n - 1n]) one(Struct.i64, value)
  })

  it("give fresh memory of the structure's size, all of it zero but the fields", () => {
    const bytes = Mixed.encode({ a: 255, b: 65535, c: 255, d: 4294967295, e: 255, f: 2n ** 64n - 1n, g: 255 })
    assert.instanceOf(bytes, Uint8Array)
    assert.strictEqual(hex(bytes), "ff00ffffff000000ffffffffff000000ffffffffffffffffff00000000000000")
  })

  it("leave padding and what lies around the structure as it is", () => {
    const Padded = Struct.make("padded", { a: Struct.u8, pad: Struct.padding(3), b: Struct.u8, c: Struct.u16 })
    const memory = new Uint8Array(12).fill(0xee)
    const result = Padded.encode({ a: 1, b: 2, c: 3 }, memory, 2)
    assert.strictEqual(hex(memory), "eeee01eeeeee02ee0300eeee")
    assert.strictEqual(result.buffer, memory.buffer)
    assert.deepStrictEqual([result.byteOffset, result.byteLength], [0, 12])
    assert.deepStrictEqual(Padded.decode(memory, 2), { a: 1, b: 2, c: 3 })
  })

  it("take every kind of view and buffer, at every offset, aligned or not", () => {
    const value = { tv_sec: -5n, tv_nsec: 999_999_999n }
    const make = (size: number) => new ArrayBuffer(size)
    const shared = (size: number) => new SharedArrayBuffer(size)
    for (const buffer of [make, shared]) {
      const views: ReadonlyArray<Struct.View> = [
        buffer(48),
        new Uint8Array(buffer(64), 8, 48),
        new Int8Array(buffer(64), 3, 48),
        new Uint8ClampedArray(buffer(64), 16, 48),
        new Uint16Array(buffer(64), 2, 24),
        new Int32Array(buffer(64), 4, 12),
        new Float64Array(buffer(64), 8, 6),
        new BigUint64Array(buffer(64), 16, 6),
        new BigInt64Array(buffer(64), 16, 6),
        new DataView(buffer(64), 5, 48)
      ]
      for (const view of views) {
        for (const offset of [0, 1, 7, 8, 32]) {
          Timespec.encode(value, view, offset)
          assert.deepStrictEqual(Timespec.decode(view, offset), value)
          const [memory, start] = ArrayBuffer.isView(view) ? [view.buffer, view.byteOffset] : [view, 0]
          assert.strictEqual(new DataView(memory).getBigInt64(start + offset, true), -5n)
        }
      }
    }
    const buffer = Buffer.alloc(20)
    Timespec.encode(value, buffer, 4)
    assert.deepStrictEqual(Timespec.decode(buffer.subarray(4)), value)
  })

  it("copy bytes and text out of shared memory", () => {
    const Name = Struct.make("name", { raw: Struct.bytes(4), text: Struct.text(4) })
    const memory = new Uint8Array(new SharedArrayBuffer(8))
    Name.encode({ raw: Uint8Array.of(1, 2), text: "ab" }, memory)
    const { raw, text } = Name.decode(memory)
    assert.deepStrictEqual([hex(raw), text], ["01020000", "ab"])
    assert.instanceOf(raw.buffer, ArrayBuffer)
    memory.fill(9)
    assert.strictEqual(hex(raw), "01020000")
  })

  it("give bytes that are a copy", () => {
    const Raw = Struct.make("raw", { x: Struct.bytes(2) })
    const memory = Uint8Array.of(1, 2)
    const { x } = Raw.decode(memory)
    memory.fill(7)
    assert.strictEqual(hex(x), "0102")
    x.fill(8)
    assert.strictEqual(hex(memory), "0707")
  })

  it("fill up short bytes with zeros", () => {
    const Raw = Struct.make("raw", { x: Struct.bytes(4), y: Struct.u8 })
    const memory = new Uint8Array(5).fill(0xff)
    Raw.encode({ x: Uint8Array.of(1), y: 2 }, memory)
    assert.strictEqual(hex(memory), "0100000002")
  })

  it("take bytes that lie in the memory that is written to", () => {
    const Raw = Struct.make("raw", { x: Struct.bytes(8) })
    const memory = Uint8Array.of(0, 0, 0, 0, 1, 2, 3, 4)
    Raw.encode({ x: memory.subarray(4) }, memory)
    assert.strictEqual(hex(memory), "0102030400000000")
  })

  it("end text at its first NUL, or at the last byte", () => {
    const Text = Struct.make("text", { x: Struct.text(4) })
    assert.strictEqual(hex(Text.encode({ x: "ab" })), "61620000")
    assert.strictEqual(hex(Text.encode({ x: "abcd" })), "61626364")
    assert.strictEqual(hex(Text.encode({ x: "é€".slice(0, 1) })), "c3a90000")
    assert.deepStrictEqual(Text.decode(Uint8Array.of(0x61, 0, 0x62, 0x63)), { x: "a" })
    assert.deepStrictEqual(Text.decode(Uint8Array.of(0x61, 0x62, 0x63, 0x64)), { x: "abcd" })
    assert.deepStrictEqual(Text.decode(new Uint8Array(4)), { x: "" })
  })

  it("keep a byte order mark, which is text like any other", () => {
    const Text = Struct.make("text", { x: Struct.text(4) })
    assert.deepStrictEqual(Text.decode(Text.encode({ x: "\uFEFFa" })), { x: "\uFEFFa" })
  })

  it("give every member of a union and write one", () => {
    const Union = Struct.union("union", { word: Struct.u32, half: Struct.u16, bytes: Struct.bytes(4) })
    const memory = Union.encode({ word: 0x04030201 })
    assert.deepStrictEqual(Union.decode(memory), {
      word: 0x04030201,
      half: 0x0201,
      bytes: Uint8Array.of(1, 2, 3, 4)
    })
    Union.encode({ half: 0xffff }, memory)
    assert.strictEqual(hex(memory), "ffff0304")
    Union.encode({ bytes: Uint8Array.of(9) }, memory)
    assert.strictEqual(hex(memory), "09000000")
  })

  it("write the largest of several members of a union", () => {
    const Union = Struct.union("union", { half: Struct.u16, word: Struct.u32 })
    assert.strictEqual(hex(Union.encode({ half: 0xaaaa, word: 0x04030201 })), "01020304")
    assert.strictEqual(hex(Union.encode(Union.decode(Uint8Array.of(1, 2, 3, 4)))), "01020304")
  })
})

describe("errors of encode and decode", () => {
  const Inner = Struct.make("inner", { x: Struct.u8, list: Struct.array(Struct.i16, 2) })
  const Outer = Struct.make("outer", {
    small: Struct.u8,
    big: Struct.u64,
    raw: Struct.bytes(2),
    name: Struct.text(2),
    inner: Inner,
    times: Struct.array(Timespec, 2),
    choice: Struct.union("choice", { a: Struct.u8, b: Struct.u32 })
  })
  const zero = { tv_sec: 0n, tv_nsec: 0n }
  const good = {
    small: 1,
    big: 1n,
    raw: Uint8Array.of(1),
    name: "a",
    inner: { x: 1, list: [1, 2] },
    times: [zero, zero],
    choice: { a: 1 }
  }
  const encode = (wrong: object) => () => Outer.encode(Object.assign({}, good, wrong))

  it("are a RangeError that names the field for a value outside its range", () => {
    const cases: ReadonlyArray<readonly [wrong: object, message: string]> = [
      [{ small: 256 }, "outer.small: expected an integer from 0 to 255, got 256"],
      [{ small: -1 }, "outer.small: expected an integer from 0 to 255, got -1"],
      [{ small: 1.5 }, "outer.small: expected an integer from 0 to 255, got 1.5"],
      [{ small: Number.NaN }, "outer.small: expected an integer from 0 to 255, got NaN"],
      [{ big: -1n }, "outer.big: expected a bigint from 0 to 18446744073709551615, got -1n"],
      [{ big: 2n ** 64n }, "outer.big: expected a bigint from 0 to 18446744073709551615, got 18446744073709551616n"],
      [{ raw: Uint8Array.of(1, 2, 3) }, "outer.raw: expected at most 2 bytes, got 3"],
      [{ name: "abc" }, "outer.name: expected at most 2 bytes, got 3"],
      [{ name: "a€" }, "outer.name: expected at most 2 bytes, got 4"],
      [{ inner: { x: 300, list: [1, 2] } }, "outer.inner.x: expected an integer from 0 to 255, got 300"],
      [
        { inner: { x: 1, list: [1, 40000] } },
        "outer.inner.list[1]: expected an integer from -32768 to 32767, got 40000"
      ],
      [{ inner: { x: 1, list: [1] } }, "outer.inner.list: expected 2 elements, got 1"],
      [
        { times: [zero, { tv_sec: 2n ** 63n, tv_nsec: 0n }] },
        "outer.times[1].tv_sec: expected a bigint from -9223372036854775808 to 9223372036854775807, got 9223372036854775808n"
      ],
      [{ choice: { b: -1 } }, "outer.choice.b: expected an integer from 0 to 4294967295, got -1"]
    ]
    for (const [wrong, message] of cases) {
      assert.throws(encode(wrong), RangeError)
      assert.throws(encode(wrong), message)
    }
  })

  it("are a TypeError that names the field for a value of another type", () => {
    const cases: ReadonlyArray<readonly [wrong: object, field: string]> = [
      [{ small: "1" }, "outer.small:"],
      [{ small: undefined }, "outer.small:"],
      [{ small: null }, "outer.small:"],
      [{ big: "1" }, "outer.big:"],
      [{ raw: [1] }, "outer.raw:"],
      [{ raw: "a" }, "outer.raw:"],
      [{ name: Uint8Array.of(1) }, "outer.name:"],
      [{ inner: null }, "outer.inner:"],
      [{ inner: [] }, "outer.inner:"],
      [{ inner: { x: 1 } }, "outer.inner.list:"],
      [{ inner: { x: 1, list: "ab" } }, "outer.inner.list:"],
      [{ inner: { x: 1, list: [1, "2"] } }, "outer.inner.list[1]:"],
      [{ times: [zero, undefined] }, "outer.times[1]:"],
      [{ choice: {} }, "outer.choice: expected one of a, b"],
      [{ choice: { a: "1" } }, "outer.choice.a:"]
    ]
    for (const [wrong, field] of cases) {
      assert.throws(encode(wrong), TypeError)
      assert.throws(encode(wrong), field)
    }
  })

  it("are a TypeError for a number where a bigint belongs, and the other way round", () => {
    const cases: ReadonlyArray<readonly [wrong: object, field: string]> = [
      [{ small: 1n }, "outer.small:"],
      [{ big: 1 }, "outer.big:"],
      [{ raw: 1 }, "outer.raw:"],
      [{ name: 1 }, "outer.name:"],
      [{ inner: 1 }, "outer.inner:"],
      [{ inner: { x: 1, list: 1 } }, "outer.inner.list:"]
    ]
    for (const [wrong, field] of cases) {
      assert.throws(encode(wrong), TypeError)
      assert.throws(encode(wrong), field)
    }
  })

  it("are a TypeError for an array with holes", () => {
    // A hole must not leave in memory what was there before.
    const list: Array<number> = [1]
    list.length = 2
    assert.throws(encode({ inner: { x: 1, list } }), TypeError)
    assert.throws(encode({ inner: { x: 1, list } }), "outer.inner.list[1]:")
  })

  it("are a RangeError that names the structure for a view that is too short", () => {
    const cases: ReadonlyArray<readonly [length: number, offset: number]> = [
      [0, 0],
      [15, 0],
      [16, 1],
      [20, 5],
      [32, -1],
      [32, 0.5],
      [32, Number.NaN],
      [32, Number.POSITIVE_INFINITY]
    ]
    for (const [length, offset] of cases) {
      const view = new Uint8Array(length)
      assert.throws(() => Timespec.decode(view, offset), RangeError)
      assert.throws(() => Timespec.encode(zero, view, offset), RangeError)
      assert.throws(() => Timespec.decode(view, offset), "timespec: 16 bytes at offset")
    }
    // The end of the view counts, not that of the buffer below it.
    assert.throws(() => Timespec.decode(new Uint8Array(new ArrayBuffer(64), 0, 8)), RangeError)
    assert.throws(() => Timespec.decode(new DataView(new ArrayBuffer(64), 60)), RangeError)
  })

  it("are a TypeError for detached memory", () => {
    const buffer = new ArrayBuffer(16)
    const view = new Uint8Array(buffer)
    structuredClone(buffer, { transfer: [buffer] })
    assert.throws(() => Timespec.decode(view), TypeError)
    assert.throws(() => Timespec.encode(zero, view), TypeError)
  })
})

describe("types", () => {
  const Everything = Struct.make("everything", {
    number: Struct.u32,
    big: Struct.i64,
    address: Struct.pointer,
    raw: Struct.bytes(4),
    text: Struct.text(4),
    pad: Struct.padding(4),
    list: Struct.array(Struct.u16, 2),
    aligned: Struct.aligned(Struct.u8, 16),
    inner: Timespec,
    inners: Struct.array(Timespec, 2),
    choice: Struct.union("choice", { a: Struct.u8, b: Struct.u64 }),
    packed: Struct.packed("packed", { x: Struct.i8, pad: Struct.padding(1) })
  })

  it("of a record follow from the fields", () => {
    interface Time {
      readonly tv_sec: bigint
      readonly tv_nsec: bigint
    }
    expectTypeOf<Struct.Type<typeof Everything>>().toEqualTypeOf<{
      readonly number: number
      readonly big: bigint
      readonly address: bigint
      readonly raw: Uint8Array
      readonly text: string
      readonly list: ReadonlyArray<number>
      readonly aligned: number
      readonly inner: Time
      readonly inners: ReadonlyArray<Time>
      readonly choice: { readonly a: number; readonly b: bigint }
      readonly packed: { readonly x: number }
    }>()
    expectTypeOf(Everything.decode).returns.toEqualTypeOf<Struct.Type<typeof Everything>>()
    expectTypeOf(Timespec.encode).parameter(0).toEqualTypeOf<Time>()
    expectTypeOf(Timespec.encode).returns.toEqualTypeOf<Uint8Array>()
  })

  it("let encode take any members of a union", () => {
    expectTypeOf<Struct.Encoded<typeof Everything>["choice"]>().toEqualTypeOf<{
      readonly a?: number
      readonly b?: bigint
    }>()
  })

  it("know the fields by name, padding too", () => {
    expectTypeOf<keyof typeof Timespec.fields>().toEqualTypeOf<"tv_sec" | "tv_nsec">()
    expectTypeOf(Everything.fields.inner.layout).toEqualTypeOf<typeof Timespec>()
    expectTypeOf(Everything.fields.pad.offset).toEqualTypeOf<number>()
    // @ts-expect-error: no such field
    assert.isUndefined(Timespec.fields.tv_usec)
  })

  it("refuse records of another shape", () => {
    // @ts-expect-error: 64-bit fields are bigint
    assert.throws(() => Timespec.encode({ tv_sec: 1, tv_nsec: 0n }))
    // @ts-expect-error: a field is missing
    assert.throws(() => Timespec.encode({ tv_sec: 1n }))
    // @ts-expect-error: there is no such field
    assert.doesNotThrow(() => Timespec.encode({ tv_sec: 1n, tv_nsec: 0n, tv_usec: 0n }))
    // @ts-expect-error: padding carries no value
    assert.isUndefined(Everything.decode(new Uint8Array(Everything.size)).pad)
    // @ts-expect-error: a view is not a list of numbers
    assert.throws(() => Timespec.decode([1, 2, 3]), TypeError)
  })
})

describe("A structure that is written often", () => {
  const Inner = Struct.make("often_inner", { a: Struct.u8, b: Struct.i64 })
  const Choice = Struct.union("often_choice", { small: Struct.u8, large: Struct.u64 })
  const Often = Struct.make("often", {
    u8: Struct.u8,
    i8: Struct.i8,
    u16: Struct.u16,
    i16: Struct.i16,
    u32: Struct.u32,
    i32: Struct.i32,
    u64: Struct.u64,
    i64: Struct.i64,
    inner: Inner,
    choice: Choice,
    list: Struct.array(Struct.u16, 2),
    pad: Struct.padding(2),
    raw: Struct.bytes(3)
  })
  const value = {
    u8: 0xff,
    i8: -0x80,
    u16: 0xffff,
    i16: -0x8000,
    u32: 0xffffffff,
    i32: -0x80000000,
    u64: 2n ** 64n - 1n,
    i64: -(2n ** 63n),
    inner: { a: 1, b: -1n },
    choice: { large: 0x0102030405060708n },
    list: [1, 2],
    raw: Uint8Array.of(7, 8)
  }
  const first = Often.encode(value, new Uint8Array(Often.size).fill(0xaa))
  for (let i = 0; i < 100; i++) Often.encode(value)

  it("is written as it was at first", () => {
    assert.deepStrictEqual(Often.encode(value, new Uint8Array(Often.size).fill(0xaa)), first)
    const smallest = { ...value, u8: -0, i8: 127, i16: 32767, i32: 2147483647, i64: 2n ** 63n - 1n, u64: 0n }
    const { choice, raw, ...rest } = Often.decode(Often.encode(smallest))
    const { choice: _choice, raw: _raw, ...expected } = smallest
    assert.deepStrictEqual(rest, { ...expected, u8: 0 })
    assert.strictEqual(choice.large, value.choice.large)
    assert.deepStrictEqual(raw, Uint8Array.of(7, 8, 0))
  })

  it("writes of a union what it is given", () => {
    const bytes = Often.encode({ ...value, choice: { small: 9 } })
    assert.strictEqual(bytes[Often.fields.choice.offset], 9)
    assert.throws(() => Often.encode({ ...value, choice: {} }), TypeError, "often.choice")
  })

  it("names the field whose value does not fit", () => {
    const wrong: ReadonlyArray<readonly [string, object, typeof RangeError | typeof TypeError]> = [
      ["often.u8", { u8: 256 }, RangeError],
      ["often.u8", { u8: 1.5 }, RangeError],
      ["often.i8", { i8: 128 }, RangeError],
      ["often.u16", { u16: -1 }, RangeError],
      ["often.i16", { i16: 32768 }, RangeError],
      ["often.u32", { u32: 2 ** 32 }, RangeError],
      ["often.u32", { u32: Number.NaN }, RangeError],
      ["often.i32", { i32: 2 ** 31 }, RangeError],
      ["often.u64", { u64: 2n ** 64n }, RangeError],
      ["often.u64", { u64: -1n }, RangeError],
      ["often.i64", { i64: 2n ** 63n }, RangeError],
      ["often.u32", { u32: 1n }, TypeError],
      ["often.u32", { u32: undefined }, TypeError],
      ["often.u64", { u64: 1 }, TypeError],
      ["often.inner", { inner: null }, TypeError],
      ["often.inner", { inner: [] }, TypeError],
      ["often.inner.b", { inner: { a: 1, b: 2n ** 63n } }, RangeError],
      ["often.list[1]", { list: [1, 65536] }, RangeError],
      ["often.raw", { raw: new Uint8Array(4) }, RangeError]
    ]
    for (const [path, change, Class] of wrong) {
      assert.throws(() => Often.encode({ ...value, ...change }), Class, `${path}:`)
    }
  })
})
