/**
 * What the calls that wait for events have in common: lists of structures, structures of which only some fields are
 * given, times and signal masks of waits. Not part of the public surface.
 */
import type * as Duration from "effect/Duration"
import * as Abi from "../Abi.ts"
import { native } from "../internal/native.ts"
import type * as Struct from "../Struct.ts"
import { signalSet, toTimespec } from "./convert.ts"
import { addressOf } from "./raw.ts"

/** A structure of which only some fields are given: the others are 0. */
export const encodeSome = <F extends Struct.Fields, A extends I, I>(
  struct: Struct.Struct<F, A, I>,
  some: Partial<I>
): Uint8Array => struct.encode({ ...struct.decode(new Uint8Array(struct.size)), ...some })

/** A list of structures, one after the other. */
export const encodeList = <F extends Struct.Fields, A, I>(
  struct: Struct.Struct<F, A, I>,
  name: string,
  list: ReadonlyArray<I>
): Uint8Array => {
  if (!Array.isArray(list)) throw new TypeError(`${name}: expected an array of records`)
  const items: ReadonlyArray<I> = Array.from(list)
  const memory = new Uint8Array(items.length * struct.size)
  items.forEach((item, index) => {
    struct.encode(item, memory, index * struct.size)
  })
  return memory
}

/** The first `count` structures of memory. */
export const decodeList = <F extends Struct.Fields, A, I>(
  struct: Struct.Struct<F, A, I>,
  memory: Uint8Array,
  count: number
): ReadonlyArray<A> => Array.from({ length: count }, (_, index) => struct.decode(memory, index * struct.size))

/** Memory that stays where it is for as long as it is an argument, on whatever thread: for what holds pointers into itself. */
export const steady = (size: number): { readonly memory: Uint8Array; readonly address: bigint } => {
  const memory = new Uint8Array(new SharedArrayBuffer(size))
  return { memory, address: addressOf(memory) }
}

/** How long a call waits: null for ever. */
export type Timeout = Duration.Input | Abi.timespec | null

export const timeoutMemory = (name: string, timeout: Timeout): Uint8Array | null =>
  timeout === null ? null : Abi.timespec.encode(toTimespec(name, timeout))

/**
 * The signals that are blocked during a wait. The one that interrupts calls stays unblocked: there would be no way to
 * call the wait back.
 */
export const waitingMask = (name: string, mask: ReadonlyArray<number> | null): Uint8Array | null => {
  if (mask === null) return null
  const set = signalSet(name, mask)
  const index = native.interruptSignal() - 1
  set[index >> 3] = (set[index >> 3] ?? 0) & ~(1 << (index & 7))
  return set
}

/** The size of the kernel's signal sets. */
export const maskSize = 8

/** The argument that some calls have for both a signal set and its size: a structure that points behind itself. */
export const maskStructure = (name: string, mask: ReadonlyArray<number> | null): Uint8Array | null => {
  const set = waitingMask(name, mask)
  if (set === null) return null
  const { address, memory } = steady(Abi.__aio_sigset.size + set.length)
  Abi.__aio_sigset.encode({ sigmask: address + BigInt(Abi.__aio_sigset.size), sigsetsize: BigInt(set.length) }, memory)
  memory.set(set, Abi.__aio_sigset.size)
  return memory
}
