/**
 * Bits of the kernel by words: what modules take and give instead of masks. Not part of the public surface.
 */
import { int } from "../internal/arguments.ts"

/** What each word stands for. */
export type Table<W extends string> = { readonly [Word in W]: number }

/** The bits of words; a number is taken as it is. A word that is none is a defect. */
export const bitsOf = <W extends string>(name: string, table: Table<W>, words: ReadonlyArray<W> | number): number => {
  if (typeof words === "number") return int(name, words) >>> 0
  if (!Array.isArray(words)) throw new TypeError(`${name}: expected an array of words or a number`)
  return words.reduce((bits, word: W) => {
    if (!Object.hasOwn(table, word)) {
      throw new TypeError(`${name}: expected some of ${Object.keys(table).join(", ")}, got ${String(word)}`)
    }
    return (bits | table[word]) >>> 0
  }, 0)
}

const keysOf = <W extends string>(table: Table<W>): ReadonlyArray<W> =>
  Object.keys(table) as ReadonlyArray<string> as ReadonlyArray<W>

/** The words whose bits are all set. */
export const wordsOf = <W extends string>(table: Table<W>, bits: number): ReadonlyArray<W> =>
  keysOf(table).filter((word) => (bits & table[word]) >>> 0 === table[word] && table[word] !== 0)

/** The word that stands for a number, if one does. */
export const wordOf = <W extends string>(table: Table<W>, value: number): W | undefined =>
  keysOf(table).find((word) => table[word] === value)

/** The number that one word stands for. A word that is none is a defect. */
export const codeOf = <W extends string>(name: string, table: Table<W>, word: W): number => {
  if (typeof word === "string" && Object.hasOwn(table, word)) return table[word]
  throw new TypeError(`${name}: expected one of ${Object.keys(table).join(", ")}, got ${String(word)}`)
}

const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** A name as text, or its bytes where they are no UTF-8. */
export const nameOf = (bytes: Uint8Array): string | Uint8Array => {
  try {
    return strictDecoder.decode(bytes)
  } catch {
    return bytes
  }
}
