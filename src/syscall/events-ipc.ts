/**
 * What the commands of System V objects give: the object, with its identifier, or limits. Not part of the public surface
 * but for the types.
 */
import type { Argument, Result } from "../internal/native.ts"
import type * as Struct from "../Struct.ts"
import { memoryAt, number } from "./convert.ts"

/**
 * A structure at an index of the kernel's own list, and the identifier that it has.
 *
 * @category queues
 * @since 0.1.0
 */
export interface Indexed<A> {
  readonly id: number
  readonly ds: A
}

/**
 * Limits or what is in use, and the highest index of the kernel's own list.
 *
 * @category queues
 * @since 0.1.0
 */
export interface Limits<A> {
  readonly highest: number
  readonly info: A
}

export const asStruct =
  <F extends Struct.Fields, A, I>(struct: Struct.Struct<F, A, I>, index: number) =>
  (_: Result, args: ReadonlyArray<Argument>): A =>
    struct.decode(memoryAt(args, index))

export const asIndexed =
  <F extends Struct.Fields, A, I>(struct: Struct.Struct<F, A, I>, index: number) =>
  (result: Result, args: ReadonlyArray<Argument>): Indexed<A> => ({
    id: number(result),
    ds: struct.decode(memoryAt(args, index))
  })

export const asLimits =
  <F extends Struct.Fields, A, I>(struct: Struct.Struct<F, A, I>, index: number) =>
  (result: Result, args: ReadonlyArray<Argument>): Limits<A> => ({
    highest: number(result),
    info: struct.decode(memoryAt(args, index))
  })

/** Memory for a structure. */
export const room = (struct: { readonly size: number }) => (): Uint8Array => new Uint8Array(struct.size)

/** What a command that sets takes: overloads say so, but anything can be passed. */
export const given = <A>(name: string, value: A | undefined): A => {
  if (value === undefined) throw new TypeError(`${name}: this command takes a record`)
  return value
}
