/**
 * Structures of ours beside those of C: how each is asked about, and what is compared. Most are listed by subject in
 * test/layouts/SUBJECT.json, by the name that `Struct` is given:
 *
 * - `headers`: to be included after linux/types.h, and `before`: text that they need before them
 * - `type`: its type in C, if it is not `struct NAME`
 * - `fields`: the names in C of those fields that have another, perhaps with dots
 * - `declare`: its declaration, used where the headers lack the type
 * - `reserve`: the field that is room for younger kernels' fields, of which only the end is compared
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { Schema } from "effect"
import { Struct } from "../../src/index.ts"
import { type Architecture, hasType, type Unit, valid } from "./c.ts"

export type AnyStruct = Struct.Struct<Struct.Fields, unknown, never>

/** How C names a structure, its fields, and where they begin. */
export interface InC {
  /** Undefined where the bytes that belong to no field cannot be told. */
  readonly type: string | undefined
  readonly size: string
  readonly alignment: string
  readonly offset: (field: string) => string
  readonly value: (field: string) => string
}

/** A structure of ours and where it is in C. */
export interface Listed {
  readonly struct: AnyStruct
  readonly c: InC
  /** Whose headers have it; by default all. */
  readonly architectures?: ReadonlyArray<Architecture>
  /** Fields that have another type on other architectures. */
  readonly fieldsOf?: Readonly<Record<string, ReadonlyArray<Architecture>>>
  /** Room at the end that younger kernels use up: only its end is compared. */
  readonly reserve?: string
}

/** One with the fields that are to be compared. */
export interface Structure extends Listed {
  readonly key: string
  readonly fields: ReadonlyArray<readonly [name: string, field: Struct.Field<Struct.Layout<unknown, never>>]>
}

/** A structure whose type has a name, or an expression for it; `names` are the fields' own in C where they differ. */
export const named = (type: string, names: Readonly<Record<string, string>> = {}): InC => ({
  type,
  size: `sizeof(${type})`,
  alignment: `_Alignof(${type})`,
  offset: (field) => `__builtin_offsetof(${type}, ${names[field] ?? field})`,
  value: (field) => `((${type} *)0)->${names[field] ?? field}`
})

/** What the questions are asked with. */
export const asking = `
/* 1: an unsigned integer or a pointer, 2: a signed integer, 0: anything else. */
#define KIND(value) _Generic((value), \\
  unsigned char: 1, unsigned short: 1, unsigned int: 1, unsigned long: 1, unsigned long long: 1, \\
  signed char: 2, short: 2, int: 2, long: 2, long long: 2, default: __builtin_classify_type(value) == 5)

/* How many bytes of a type belong to a field, and not to one of ours: those of ours are 1 in a string. */
#define FORGOTTEN(type, ours) ({ \\
  type value; \\
  unsigned char *bytes = (unsigned char *)&value; \\
  int forgotten = 0; \\
  for (unsigned long i = 0; i < sizeof(value); i++) bytes[i] = 1; \\
  __builtin_clear_padding(&value); \\
  for (unsigned long i = 0; i < sizeof(value) && i < sizeof(ours); i++) forgotten += bytes[i] && ours[i] != '1'; \\
  forgotten; \\
})
`

/** Which bytes of a layout belong to a field, explicit padding among them: as text, a 1 for each that does. */
const coverageOf = (layout: Struct.Layout<unknown, never>): string => {
  if (!Struct.isStruct(layout)) return "1".repeat(layout.size)
  const bytes = Array.from({ length: layout.size }, () => "0")
  for (const field of Object.values(layout.fields)) {
    for (const [index, byte] of [...coverageOf(field.layout)].entries())
      if (byte === "1") bytes[field.offset + index] = "1"
  }
  return bytes.join("")
}

/** The scalars whose sign can be compared, too. */
const kinds = new Map<Struct.Layout<unknown, never>, bigint>([
  ...[Struct.u8, Struct.u16, Struct.u32, Struct.u64].map((layout) => [layout, 1n] as const),
  ...[Struct.i8, Struct.i16, Struct.i32, Struct.i64].map((layout) => [layout, 2n] as const)
])

export const questionsOf = ({ c, fields, key, struct }: Structure): Unit["questions"] => [
  { name: `${key} size`, expression: c.size },
  { name: `${key} alignment`, expression: c.alignment },
  ...(c.type === undefined
    ? []
    : [
        {
          name: `${key} forgotten`,
          expression: `FORGOTTEN(${c.type}, "${coverageOf(struct)}")`,
          condition: "__has_builtin(__builtin_clear_padding)"
        }
      ]),
  ...fields.flatMap(([field, { layout }]) => [
    { name: `${key} ${field} offset`, expression: c.offset(field) },
    { name: `${key} ${field} size`, expression: `sizeof(${c.value(field)})` },
    ...(kinds.has(layout) ? [{ name: `${key} ${field} kind`, expression: `KIND(${c.value(field)})` }] : [])
  ])
]

/** All that is compared, ours and the compiler's. */
export const compare = ({ fields, key, reserve, struct }: Structure, answers: ReadonlyMap<string, bigint>) => {
  const answer = (question: string): number => {
    const value = answers.get(question)
    if (value === undefined) throw new Error(`the compiler was not asked for ${question}`)
    return Number(value)
  }
  const ours: Record<string, number> = { size: struct.size, alignment: struct.alignment }
  const theirs: Record<string, number> = { size: answer(`${key} size`), alignment: answer(`${key} alignment`) }
  // A field that we forgot may hide in what we take for padding.
  ours["bytes that belong to no field of ours"] = 0
  theirs["bytes that belong to no field of ours"] = Number(answers.get(`${key} forgotten`) ?? 0)
  for (const [field, { layout, offset, size }] of fields) {
    const [theirOffset, theirSize] = [answer(`${key} ${field} offset`), answer(`${key} ${field} size`)]
    ours[`end of ${field}`] = offset + size
    theirs[`end of ${field}`] = theirOffset + theirSize
    if (field === reserve) continue
    ours[`offset of ${field}`] = offset
    theirs[`offset of ${field}`] = theirOffset
    const kind = kinds.get(layout)
    if (kind === undefined) continue
    ours[`kind of ${field}`] = Number(kind)
    theirs[`kind of ${field}`] = answer(`${key} ${field} kind`)
  }
  return { ours, theirs }
}

// ---------------------------------------------------------------------------------------------------------------------
// the lists by subject
// ---------------------------------------------------------------------------------------------------------------------

const Subject = Schema.Record(
  Schema.String,
  Schema.Struct({
    headers: Schema.Array(Schema.String),
    before: Schema.optionalKey(Schema.String),
    type: Schema.optionalKey(Schema.String),
    fields: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
    declare: Schema.optionalKey(Schema.String),
    reserve: Schema.optionalKey(Schema.String)
  })
)

export type Entry = (typeof Subject.Type)[string] & { readonly name: string }

const directory = new URL("../layouts/", import.meta.url)

export const subjects: ReadonlyArray<{ readonly file: string; readonly entries: ReadonlyArray<Entry> }> = (
  existsSync(directory) ? readdirSync(directory) : []
)
  .filter((file) => file.endsWith(".json"))
  .map((file) => ({
    file,
    entries: Object.entries(
      Schema.decodeUnknownSync(Subject)(JSON.parse(readFileSync(new URL(file, directory), "utf8")))
    ).map(([name, entry]) => ({ ...entry, name }))
  }))

export const structureOf = (entry: Entry, struct: AnyStruct): Structure & { readonly entry: Entry } => {
  const c = named(entry.type ?? `struct ${entry.name}`, entry.fields)
  return {
    entry,
    key: entry.name,
    struct,
    c,
    fields: Object.entries(struct.fields),
    ...(entry.reserve === undefined ? {} : { reserve: entry.reserve })
  }
}

/** One unit for each set of headers: not all can be read together. A declaration of ours is seen by what follows it. */
export const unitsOf = (
  architecture: Architecture,
  structures: ReadonlyArray<Structure & { readonly entry: Entry }>
): ReadonlyArray<Unit> => {
  const units = new Map<string, { preamble: string; readonly questions: Array<Unit["questions"][number]> }>()
  for (const structure of structures) {
    const { before = "", declare, headers, name, type = `struct ${name}` } = structure.entry
    const start = ["#include <linux/types.h>", before, ...headers.map((header) => `#include <${header}>`), asking].join(
      "\n"
    )
    const unit = units.get(start) ?? { preamble: start, questions: [] }
    units.set(start, unit)
    if (declare !== undefined && !hasType(architecture, unit.preamble, type)) unit.preamble += `\n${declare}`
    unit.questions.push(...questionsOf(structure))
  }
  // Of a structure that ends in an array of any length the compiler does not tell the padding.
  return [...units.values()].map(({ preamble, questions }) => {
    const coverages = questions.filter(({ name }) => name.endsWith(" forgotten"))
    const good = new Set(
      valid(
        architecture,
        preamble,
        coverages.map(({ expression }) => expression)
      )
    )
    return {
      preamble,
      questions: questions.filter((asked) => !coverages.includes(asked) || good.has(asked.expression))
    }
  })
}
