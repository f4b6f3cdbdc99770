/** Struct for random records: what `encode` writes, `decode` reads, and a DataView by hand finds in its place. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Struct } from "../src/index.ts"

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const bigint = (minimum: bigint, maximum: bigint) => Schema.BigInt.check(Schema.isBetweenBigInt({ minimum, maximum }))

const u8 = integer(0, 0xff)
const i8 = integer(-0x80, 0x7f)
const u16 = integer(0, 0xffff)
const i16 = integer(-0x8000, 0x7fff)
const u32 = integer(0, 0xffffffff)
const i32 = integer(-0x80000000, 0x7fffffff)
const u64 = bigint(0n, 2n ** 64n - 1n)
const i64 = bigint(-(2n ** 63n), 2n ** 63n - 1n)
const list = <S extends Schema.Constraint>(item: S, length: number) =>
  Schema.Array(item).check(Schema.isBetweenLength(length, length))

/** What the structure below holds, as something that random values are made of. */
const Value = Schema.Struct({
  a: u8,
  b: i64,
  c: i8,
  d: u16,
  e: list(u8, 5),
  f: i32,
  g: Schema.Struct({ x: i16, y: u64 }),
  h: list(Schema.Struct({ x: i16, y: u64 }), 2),
  i: u32,
  j: list(u8, 3)
})

const Pair = Struct.make("pair", { x: Struct.i16, y: Struct.u64 })

const fields = {
  a: Struct.u8,
  b: Struct.i64,
  c: Struct.i8,
  pad: Struct.padding(3),
  d: Struct.u16,
  e: Struct.array(Struct.u8, 5),
  f: Struct.i32,
  g: Pair,
  h: Struct.array(Pair, 2),
  i: Struct.u32,
  j: Struct.bytes(3)
}

const Natural = Struct.make("natural", fields)
const Packed = Struct.packed("packed", fields)

const record = ({ j, ...value }: typeof Value.Type) => ({ ...value, j: Uint8Array.from(j) })

/** Where C puts the fields: worked out by hand. */
const naturalOffsets = {
  a: 0,
  b: 8,
  c: 16,
  d: 20,
  e: 22,
  f: 28,
  g: 32,
  h: 48,
  i: 80,
  j: 84,
  size: 88,
  x: 0,
  y: 8,
  pair: 16
}
const packedOffsets = {
  a: 0,
  b: 1,
  c: 9,
  d: 13,
  e: 15,
  f: 20,
  g: 24,
  h: 40,
  i: 72,
  j: 76,
  size: 79,
  x: 0,
  y: 8,
  pair: 16
}

const readByHand = (view: DataView, at: typeof naturalOffsets): typeof Value.Type => {
  const pair = (offset: number) => ({
    x: view.getInt16(offset + at.x, true),
    y: view.getBigUint64(offset + at.y, true)
  })
  const bytes = (offset: number, length: number) => Array.from({ length }, (_, index) => view.getUint8(offset + index))
  return {
    a: view.getUint8(at.a),
    b: view.getBigInt64(at.b, true),
    c: view.getInt8(at.c),
    d: view.getUint16(at.d, true),
    e: bytes(at.e, 5),
    f: view.getInt32(at.f, true),
    g: pair(at.g),
    h: [pair(at.h), pair(at.h + at.pair)],
    i: view.getUint32(at.i, true),
    j: bytes(at.j, 3)
  }
}

describe("for every record", () => {
  for (const [Layout, offsets] of [
    [Natural, naturalOffsets],
    [Packed, packedOffsets]
  ] as const) {
    it.prop(
      `decode reads what encode wrote, in a ${Layout.name} structure`,
      [Value, u8, u8],
      ([value, before, fill]) => {
        const expected = record(value)
        assert.strictEqual(Layout.size, offsets.size)
        assert.deepStrictEqual(Layout.decode(Layout.encode(expected)), expected)

        const memory = new Uint8Array(before + Layout.size + 8).fill(fill)
        Layout.encode(expected, memory, before)
        assert.deepStrictEqual(Layout.decode(memory, before), expected)
        const around = [...memory.subarray(0, before), ...memory.subarray(before + Layout.size)]
        assert.isTrue(around.every((byte) => byte === fill))
      }
    )

    it.prop(`encode writes where a DataView reads by hand, in a ${Layout.name} structure`, [Value], ([value]) => {
      const { buffer, byteLength, byteOffset } = Layout.encode(record(value))
      assert.deepStrictEqual(readByHand(new DataView(buffer, byteOffset, byteLength), offsets), value)
    })

    it.prop(`encode restores the bytes that decode read, in a ${Layout.name} structure`, [list(u8, 88)], ([bytes]) => {
      const memory = Uint8Array.from(bytes).subarray(0, Layout.size)
      const copy = Uint8Array.from(memory)
      Layout.encode(Layout.decode(memory), copy)
      assert.deepStrictEqual(copy, memory)
      // Into memory of other contents everything but padding is restored.
      const other = new Uint8Array(Layout.size).fill(0xa5)
      Layout.encode(Layout.decode(memory), other)
      assert.deepStrictEqual(Layout.decode(other), Layout.decode(memory))
    })
  }

  it.prop("a number that fits a field is kept and any other is refused", [Schema.Finite], ([number]) => {
    const ranges = [
      [Struct.u8, 0, 0xff],
      [Struct.i8, -0x80, 0x7f],
      [Struct.u16, 0, 0xffff],
      [Struct.i16, -0x8000, 0x7fff],
      [Struct.u32, 0, 0xffffffff],
      [Struct.i32, -0x80000000, 0x7fffffff]
    ] as const
    for (const [layout, minimum, maximum] of ranges) {
      const One = Struct.make("one", { x: layout })
      if (Number.isInteger(number) && number >= minimum && number <= maximum) {
        assert.isTrue(One.decode(One.encode({ x: number })).x === number)
      } else {
        assert.throws(() => One.encode({ x: number }), RangeError)
      }
    }
  })

  it.prop(
    "a bigint that fits a field is kept and any other is refused",
    [bigint(-(2n ** 65n), 2n ** 65n)],
    ([number]) => {
      const ranges = [
        [Struct.u64, 0n, 2n ** 64n - 1n],
        [Struct.i64, -(2n ** 63n), 2n ** 63n - 1n],
        [Struct.pointer, 0n, 2n ** 64n - 1n]
      ] as const
      for (const [layout, minimum, maximum] of ranges) {
        const One = Struct.make("one", { x: layout })
        if (number >= minimum && number <= maximum) {
          assert.strictEqual(One.decode(One.encode({ x: number })).x, number)
        } else {
          assert.throws(() => One.encode({ x: number }), RangeError)
        }
      }
    }
  )

  it.prop("text without a NUL is kept", [Schema.String], ([text]) => {
    const expected = text.replaceAll("\0", "").toWellFormed()
    const Text = Struct.make("text", { x: Struct.text(Buffer.byteLength(expected)) })
    assert.deepStrictEqual(Text.decode(Text.encode({ x: expected })), { x: expected })
  })
})
