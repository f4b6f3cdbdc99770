/**
 * C layouts, declared once and used both ways: `decode` reads a plain record out of memory, `encode` writes one.
 *
 * A layout follows the C rules of 64-bit Linux (natural alignment, padding between and after fields, little-endian).
 * Fields of 64 bits, pointers among them, are `bigint`; smaller ones are `number`; arrays of bytes are `Uint8Array`;
 * nested structures are records; a union is a record of which `encode` takes any one member and `decode` gives all.
 *
 * Values that do not fit their field are a `RangeError`, values of another type a `TypeError`; both name the field.
 *
 * @since 0.1.0
 */
import * as Predicate from "effect/Predicate"

const TypeId = "~effect-linux/Struct" as const

/**
 * Memory that a layout can be read from or written to.
 *
 * @category models
 * @since 0.1.0
 */
export type View = ArrayBufferView | ArrayBufferLike

/**
 * One piece of memory with a C type: a scalar, an array, a structure.
 *
 * `A` is what `decode` gives, `I` what `encode` takes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Layout<out A, in I = A> {
  readonly [TypeId]: typeof TypeId
  /** In bytes. */
  readonly size: number
  /** In bytes. */
  readonly alignment: number
  /** Reads a value; `offset` must lie within the view. */
  readonly get: (view: DataView, offset: number) => A
  /** Writes a value; `path` names it in errors. */
  readonly set: (view: DataView, offset: number, value: I, path: string) => void
}

/**
 * What a layout decodes to.
 *
 * @category models
 * @since 0.1.0
 */
export type Type<L> = L extends Layout<infer A, never> ? A : never

/**
 * What a layout encodes from.
 *
 * @category models
 * @since 0.1.0
 */
export type Encoded<L> = L extends Layout<unknown, infer I> ? I : never

/**
 * Where a field lies.
 *
 * @category models
 * @since 0.1.0
 */
export interface Field<out L extends Layout<unknown, never>> {
  /** In bytes from the start of the structure. */
  readonly offset: number
  /** In bytes. */
  readonly size: number
  readonly layout: L
}

/**
 * The fields of a structure by name; those made by `padding` carry no value.
 *
 * @category models
 * @since 0.1.0
 */
export type Fields = { readonly [name: string]: Layout<unknown, never> }

type ValueNames<F extends Fields> = { [K in keyof F]: F[K] extends Padding ? never : K }[keyof F]

type Simplify<T> = { [K in keyof T]: T[K] } & {}

/**
 * The record that a structure with these fields decodes to.
 *
 * @category models
 * @since 0.1.0
 */
export type RecordOf<F extends Fields> = Simplify<{ readonly [K in ValueNames<F>]: Type<F[K]> }>

/**
 * The record that a structure with these fields encodes from.
 *
 * @category models
 * @since 0.1.0
 */
export type InputOf<F extends Fields> = Simplify<{ readonly [K in ValueNames<F>]: Encoded<F[K]> }>

/**
 * A structure or union of C.
 *
 * @category models
 * @since 0.1.0
 */
export interface Struct<out F extends Fields, out A, in I = A> extends Layout<A, I> {
  readonly kind: "struct" | "union"
  /** The kernel's name of it, without `struct` or `union`. */
  readonly name: string
  readonly fields: { readonly [K in keyof F]: Field<F[K]> }
  /**
   * Reads a record at `offset` (0).
   *
   * Throws a `RangeError` if the view is too short.
   */
  readonly decode: (view: View, offset?: number) => A
  /**
   * Writes a record at `offset` (0) into `view`, or into fresh memory of the structure's size, which it returns as
   * bytes. Padding is left as it is.
   */
  readonly encode: (value: I, view?: View, offset?: number) => Uint8Array
}

/**
 * Whether a value is a structure or union declared with this module.
 *
 * @category guards
 * @since 0.1.0
 */
export const isStruct = (u: unknown): u is Struct<Fields, unknown, never> =>
  Predicate.hasProperty(u, TypeId) && Predicate.hasProperty(u, "fields")

// ---------------------------------------------------------------------------------------------------------------------
// scalars
// ---------------------------------------------------------------------------------------------------------------------

const layout = <A, I = A>(
  size: number,
  alignment: number,
  get: Layout<A, I>["get"],
  set: Layout<A, I>["set"]
): Layout<A, I> => ({ [TypeId]: TypeId, size, alignment, get, set })

const shown = (value: unknown): string =>
  typeof value === "bigint" ? `${value}n` : typeof value === "number" ? String(value) : typeof value

/** A value of the right type that the field cannot hold. */
const outOfRange = (path: string, value: unknown, expected: string): never => {
  throw new RangeError(`${path}: expected ${expected}, got ${shown(value)}`)
}

const wrongType = (path: string, value: unknown, expected: string): never => {
  throw new TypeError(`${path}: expected ${expected}, got ${shown(value)}`)
}

const integer = (
  bits: 8 | 16 | 32,
  signed: boolean,
  get: (view: DataView, offset: number) => number,
  set: (view: DataView, offset: number, value: number) => void
): Layout<number> => {
  const min = signed ? -(2 ** (bits - 1)) : 0
  const max = signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1
  const expected = `an integer from ${min} to ${max}`
  return layout(bits / 8, bits / 8, get, (view, offset, value, path) => {
    if (typeof value !== "number") wrongType(path, value, expected)
    if (!Number.isInteger(value) || value < min || value > max) outOfRange(path, value, expected)
    set(view, offset, value)
  })
}

const integer64 = (
  signed: boolean,
  get: (view: DataView, offset: number) => bigint,
  set: (view: DataView, offset: number, value: bigint) => void
): Layout<bigint> => {
  const min = signed ? -(2n ** 63n) : 0n
  const max = signed ? 2n ** 63n - 1n : 2n ** 64n - 1n
  const expected = `a bigint from ${min} to ${max}`
  return layout(8, 8, get, (view, offset, value, path) => {
    if (typeof value !== "bigint") wrongType(path, value, expected)
    if (value < min || value > max) outOfRange(path, value, expected)
    set(view, offset, value)
  })
}

/**
 * An unsigned integer of 8 bits: `__u8`, `unsigned char`.
 *
 * @category scalars
 * @since 0.1.0
 */
export const u8: Layout<number> = integer(
  8,
  false,
  (v, o) => v.getUint8(o),
  (v, o, n) => v.setUint8(o, n)
)
/**
 * A signed integer of 8 bits: `__s8`, `signed char`.
 *
 * @category scalars
 * @since 0.1.0
 */
export const i8: Layout<number> = integer(
  8,
  true,
  (v, o) => v.getInt8(o),
  (v, o, n) => v.setInt8(o, n)
)
/**
 * An unsigned integer of 16 bits: `__u16`, `unsigned short`.
 *
 * @category scalars
 * @since 0.1.0
 */
export const u16: Layout<number> = integer(
  16,
  false,
  (v, o) => v.getUint16(o, true),
  (v, o, n) => v.setUint16(o, n, true)
)
/**
 * A signed integer of 16 bits: `__s16`, `short`.
 *
 * @category scalars
 * @since 0.1.0
 */
export const i16: Layout<number> = integer(
  16,
  true,
  (v, o) => v.getInt16(o, true),
  (v, o, n) => v.setInt16(o, n, true)
)
/**
 * An unsigned integer of 32 bits: `__u32`, `unsigned int`.
 *
 * @category scalars
 * @since 0.1.0
 */
export const u32: Layout<number> = integer(
  32,
  false,
  (v, o) => v.getUint32(o, true),
  (v, o, n) => v.setUint32(o, n, true)
)
/**
 * A signed integer of 32 bits: `__s32`, `int`.
 *
 * @category scalars
 * @since 0.1.0
 */
export const i32: Layout<number> = integer(
  32,
  true,
  (v, o) => v.getInt32(o, true),
  (v, o, n) => v.setInt32(o, n, true)
)
/**
 * An unsigned integer of 64 bits: `__u64`, `unsigned long`.
 *
 * @category scalars
 * @since 0.1.0
 */
export const u64: Layout<bigint> = integer64(
  false,
  (v, o) => v.getBigUint64(o, true),
  (v, o, n) => v.setBigUint64(o, n, true)
)
/**
 * A signed integer of 64 bits: `__s64`, `long`.
 *
 * @category scalars
 * @since 0.1.0
 */
export const i64: Layout<bigint> = integer64(
  true,
  (v, o) => v.getBigInt64(o, true),
  (v, o, n) => v.setBigInt64(o, n, true)
)
/**
 * An address. It is not followed: what it points to is for the caller to keep alive.
 *
 * @category scalars
 * @since 0.1.0
 */
export const pointer: Layout<bigint> = u64

// ---------------------------------------------------------------------------------------------------------------------
// arrays
// ---------------------------------------------------------------------------------------------------------------------

const dataView = (view: View): DataView =>
  ArrayBuffer.isView(view) ? new DataView(view.buffer, view.byteOffset, view.byteLength) : new DataView(view)

const count = (length: number): number => {
  if (!Number.isSafeInteger(length) || length < 0) {
    throw new RangeError(`length: expected a non-negative integer, got ${length}`)
  }
  return length
}

/**
 * A fixed array of bytes, decoded to a copy of them. `encode` takes fewer bytes too and fills up with zeros.
 *
 * @category arrays
 * @since 0.1.0
 */
export const bytes = (length: number): Layout<Uint8Array> =>
  layout(
    count(length),
    1,
    (view, offset) => new Uint8Array(view.buffer, view.byteOffset + offset, length).slice(),
    (view, offset, value, path) => {
      if (!(value instanceof Uint8Array)) wrongType(path, value, "a Uint8Array")
      if (value.length > length) outOfRange(path, value.length, `at most ${length} bytes`)
      const target = new Uint8Array(view.buffer, view.byteOffset + offset, length)
      // In this order, as the value may lie in the memory that is written to.
      target.set(value)
      target.fill(0, value.length)
    }
  )

const decoder = new TextDecoder("utf-8", { ignoreBOM: true })
const encoder = new TextEncoder()

/**
 * A `char` array that holds a string ended by a NUL, or filled to the last byte. Only for what is text by definition;
 * names that may be any bytes are {@link bytes}.
 *
 * @category arrays
 * @since 0.1.0
 */
export const text = (length: number): Layout<string> => {
  const raw = bytes(length)
  return layout(
    length,
    1,
    (view, offset) => {
      const all = raw.get(view, offset)
      const end = all.indexOf(0)
      return decoder.decode(end < 0 ? all : all.subarray(0, end))
    },
    (view, offset, value, path) => {
      if (typeof value !== "string") wrongType(path, value, "a string")
      raw.set(view, offset, encoder.encode(value), path)
    }
  )
}

/**
 * A fixed array of anything else. `encode` wants exactly `length` elements.
 *
 * @category arrays
 * @since 0.1.0
 */
export const array = <A, I>(element: Layout<A, I>, length: number): Layout<ReadonlyArray<A>, ReadonlyArray<I>> =>
  layout(
    element.size * count(length),
    element.alignment,
    (view, offset) => Array.from({ length }, (_, index) => element.get(view, offset + index * element.size)),
    (view, offset, value, path) => {
      if (!Array.isArray(value)) wrongType(path, value, "an array")
      if (value.length !== length) outOfRange(path, value.length, `${length} elements`)
      // By index: a hole is a missing value, not one to leave as it is.
      for (let index = 0; index < length; index++) {
        // A missing one is not of type I, and the element's own check says so.
        element.set(view, offset + index * element.size, value[index] as I, `${path}[${index}]`)
      }
    }
  )

/**
 * Bytes that carry no value: `decode` skips them, `encode` neither asks for them nor touches them.
 *
 * @category arrays
 * @since 0.1.0
 */
export interface Padding extends Layout<undefined, undefined> {
  readonly padding: true
}

/**
 * Explicit padding, for what C declares as a `pad` or `reserved` field.
 *
 * @category arrays
 * @since 0.1.0
 */
export const padding = (length: number, alignment = 1): Padding => ({
  ...layout<undefined>(
    count(length),
    alignment,
    () => undefined,
    () => {}
  ),
  padding: true
})

/**
 * The same layout at a stronger alignment, as `__aligned_u64` has it in structures of 32-bit programs.
 *
 * @category arrays
 * @since 0.1.0
 */
export const aligned = <A, I>(self: Layout<A, I>, alignment: number): Layout<A, I> => ({ ...self, alignment })

// ---------------------------------------------------------------------------------------------------------------------
// structures
// ---------------------------------------------------------------------------------------------------------------------

const isPadding = (self: Layout<unknown, never>): boolean => Predicate.hasProperty(self, "padding")

const roundUp = (offset: number, alignment: number): number => Math.ceil(offset / alignment) * alignment

const checkRoom = (name: string, size: number, view: DataView, offset: number): void => {
  if (!Number.isSafeInteger(offset) || offset < 0 || offset + size > view.byteLength) {
    throw new RangeError(`${name}: ${size} bytes at offset ${offset} do not lie within the view's ${view.byteLength}`)
  }
}

// Fields are read and written by name, which their mapped types cannot follow; each is used with its own layout only.
type Slot = readonly [name: string, offset: number, layout: Layout<unknown, unknown>]

// ---------------------------------------------------------------------------------------------------------------------
// reading and writing records quickly
// ---------------------------------------------------------------------------------------------------------------------

// A record that is written as a literal has its shape from the start; one that is filled name by name ends, from some
// twenty fields on, as a dictionary, and takes ten times as long. So a structure that is read often gets a function with
// such a literal, made of its own layout; where the runtime forbids to make code it goes on as before.

/** From this many reads, or writes, on the function pays. */
const often = 16

/** The fields of those structures that may stand in others' literals. */
const slotsOf = new WeakMap<object, ReadonlyArray<Slot>>()

const scalarReads = new Map<object, string>([
  [u8, "getUint8"],
  [i8, "getInt8"],
  [u16, "getUint16"],
  [i16, "getInt16"],
  [u32, "getUint32"],
  [i32, "getInt32"],
  [u64, "getBigUint64"],
  [i64, "getBigInt64"]
])

const readerOf = (slots: ReadonlyArray<Slot>): ((view: DataView, base: number) => unknown) | undefined => {
  const others: Array<Layout<unknown, unknown>> = []
  const valueAt = (field: Layout<unknown, unknown>, at: number): string => {
    const scalar = scalarReads.get(field)
    if (scalar !== undefined) return `view.${scalar}(base + ${at}, true)`
    const nested = slotsOf.get(field)
    if (nested !== undefined) return literal(nested, at)
    return `others[${others.push(field) - 1}].get(view, base + ${at})`
  }
  // A field like others even if that is its name.
  const keyOf = (key: string): string => (key === "__proto__" ? `["__proto__"]` : JSON.stringify(key))
  const literal = (list: ReadonlyArray<Slot>, at: number): string =>
    `{ ${list.map(([key, offset, field]) => `${keyOf(key)}: ${valueAt(field, at + offset)}`).join(", ")} }`
  try {
    return new Function("others", `return (view, base) => (${literal(slots, 0)})`)(others)
  } catch {
    return undefined
  }
}

// Writing is not slow for the record's shape but for all that is done at each field, above all the name that it would have
// in an error: such a function looks whether the value fits, and leaves it to the field's layout where not.

const scalarWrites = new Map<object, readonly [method: string, fits: string]>([
  [u8, ["setUint8", `typeof v === "number" && (v & 0xff) === v`]],
  [i8, ["setInt8", `typeof v === "number" && (v << 24 >> 24) === v`]],
  [u16, ["setUint16", `typeof v === "number" && (v & 0xffff) === v`]],
  [i16, ["setInt16", `typeof v === "number" && (v << 16 >> 16) === v`]],
  [u32, ["setUint32", `typeof v === "number" && (v >>> 0) === v`]],
  [i32, ["setInt32", `typeof v === "number" && (v | 0) === v`]],
  [u64, ["setBigUint64", `typeof v === "bigint" && v >= 0n && v <= 0xffffffffffffffffn`]],
  [i64, ["setBigInt64", `typeof v === "bigint" && v >= -0x8000000000000000n && v <= 0x7fffffffffffffffn`]]
])

type Writer = (view: DataView, base: number, record: unknown, path: string) => void

const writerOf = (slots: ReadonlyArray<Slot>): Writer | undefined => {
  const fields: Array<Layout<unknown, unknown>> = []
  let records = 0
  const statements = (list: ReadonlyArray<Slot>, record: string, at: number, path: string): string =>
    list
      .map(([key, offset, field]) =>
        statement(field, `${record}[${JSON.stringify(key)}]`, at + offset, `${path}.${key}`)
      )
      .join("\n")
  const statement = (field: Layout<unknown, unknown>, value: string, at: number, path: string): string => {
    const place = `base + ${at}`
    const plainly = `fields[${fields.push(field) - 1}].set(view, ${place}, v, path + ${JSON.stringify(path)})`
    const scalar = scalarWrites.get(field)
    if (scalar !== undefined) {
      const [method, fits] = scalar
      return `v = ${value}; if (${fits}) view.${method}(${place}, v, true); else ${plainly}`
    }
    // Of a union not all members are written.
    const nested = isStruct(field) && field.kind === "union" ? undefined : slotsOf.get(field)
    if (nested === undefined) return `v = ${value}; ${plainly}`
    const record = `r${records++}`
    return `v = ${value}; if (isObject(v)) { const ${record} = v; ${statements(nested, record, at, path)} } else ${plainly}`
  }
  try {
    const body = statements(slots, "record", 0, "")
    return new Function("fields", "isObject", `return (view, base, record, path) => { let v; ${body} }`)(
      fields,
      Predicate.isObject
    )
  } catch {
    return undefined
  }
}

const make_ = <F extends Fields, A, I>(
  kind: "struct" | "union",
  name: string,
  fields: F,
  packed: boolean
): Struct<F, A, I> => {
  let size = 0
  let alignment = 1
  const placed: Record<string, Field<Layout<unknown, never>>> = {}
  const slots: Array<Slot> = []
  for (const [key, field] of Object.entries(fields)) {
    const own = packed ? 1 : field.alignment
    const offset = kind === "union" ? 0 : roundUp(size, own)
    placed[key] = { offset, size: field.size, layout: field }
    if (!isPadding(field)) slots.push([key, offset, field as Layout<unknown, unknown>])
    size = Math.max(size, offset + field.size)
    alignment = Math.max(alignment, own)
  }
  size = roundUp(size, alignment)

  const read = (view: DataView, base: number): unknown => {
    const record: Record<string, unknown> = {}
    for (const [key, offset, field] of slots) record[key] = field.get(view, base + offset)
    return record
  }
  let reads = 0
  let reader = read
  const get = (view: DataView, base: number): A => {
    if (++reads === often) reader = readerOf(slots) ?? read
    return reader(view, base) as A
  }

  const write: Writer = (view, base, value, path) => {
    // Whoever calls it has looked that it is one.
    const record = value as Readonly<Record<string, unknown>>
    for (const [key, offset, field] of slots) field.set(view, base + offset, record[key], `${path}.${key}`)
  }
  let writes = 0
  let writer = write
  const set = (view: DataView, base: number, value: I, path: string): void => {
    if (!Predicate.isObject(value)) wrongType(path, value, "a record")
    if (kind === "union") {
      const record = value as Readonly<Record<string, unknown>>
      const given = slots.filter(([key]) => record[key] !== undefined)
      if (given.length === 0) wrongType(path, value, `one of ${slots.map(([key]) => key).join(", ")}`)
      // A decoded union names every member, all of them views of the same bytes: the largest one holds them all.
      const [key, , field] = given.reduce((a, b) => (b[2].size > a[2].size ? b : a)) as Slot
      field.set(view, base, record[key], `${path}.${key}`)
      return
    }
    if (++writes === often) writer = writerOf(slots) ?? write
    writer(view, base, value, path)
  }

  const self: Struct<F, A, I> = {
    ...layout<A, I>(size, alignment, get, set),
    kind,
    name,
    fields: placed as Struct<F, A, I>["fields"],
    decode: (view, offset = 0) => {
      const data = dataView(view)
      checkRoom(name, size, data, offset)
      return get(data, offset)
    },
    encode: (value, view = new Uint8Array(size), offset = 0) => {
      const data = dataView(view)
      checkRoom(name, size, data, offset)
      set(data, offset, value, name)
      return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    }
  }
  slotsOf.set(self, slots)
  return self
}

/**
 * Declares a structure of C.
 *
 * @example
 * ```ts
 * import { Struct } from "effect-linux"
 *
 * const Timespec = Struct.make("timespec", { tv_sec: Struct.i64, tv_nsec: Struct.i64 })
 *
 * Timespec.size // 16
 * Timespec.fields.tv_nsec.offset // 8
 * Timespec.decode(Timespec.encode({ tv_sec: 1n, tv_nsec: 5n })) // { tv_sec: 1n, tv_nsec: 5n }
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <const F extends Fields>(name: string, fields: F): Struct<F, RecordOf<F>, InputOf<F>> =>
  make_("struct", name, fields, false)

/**
 * Declares a structure without padding: `__attribute__((packed))`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const packed = <const F extends Fields>(name: string, fields: F): Struct<F, RecordOf<F>, InputOf<F>> =>
  make_("struct", name, fields, true)

/**
 * Declares a union: `decode` gives every member's reading of the same bytes, `encode` takes one member or more and
 * writes the largest.
 *
 * @category constructors
 * @since 0.1.0
 */
export const union = <const F extends Fields>(name: string, fields: F): Struct<F, RecordOf<F>, Partial<InputOf<F>>> =>
  make_("union", name, fields, false)
