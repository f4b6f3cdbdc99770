/** System calls on users, groups and capabilities whose result is a list or more than one number. */
import type * as Effect from "effect/Effect"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import { int } from "../internal/arguments.ts"
import { Misuse, onThisThread, run } from "../internal/invoke.ts"
import type { Argument } from "../internal/native.ts"
import { memoryAt, nothing, number } from "./convert.ts"
import { nr } from "./raw.ts"

const identifiers = (args: ReadonlyArray<Argument>, index: number): Uint32Array => {
  const memory = args[index]
  if (memory instanceof Uint32Array) return memory
  throw new TypeError(`argument ${index + 1} holds no identifiers`)
}

const first = (args: ReadonlyArray<Argument>, index: number): number => identifiers(args, index)[0] ?? 0

const three = () => [new Uint32Array(1), new Uint32Array(1), new Uint32Array(1)]

/**
 * `getresuid()`—The real, the effective and the saved user of the thread that JavaScript runs on.
 *
 * Does not block. Manual page: getresuid(2).
 *
 * @category process
 * @since 0.1.0
 */
export const getresuid: Effect.Effect<
  { readonly ruid: number; readonly euid: number; readonly suid: number },
  errors.GetresuidError
> = run({
  errors: errors.getresuid,
  nr: nr.getresuid,
  prepare: three,
  decode: (_, args) => ({ ruid: first(args, 0), euid: first(args, 1), suid: first(args, 2) }),
  options: onThisThread
})

/**
 * `getresgid()`—The real, the effective and the saved group of the thread that JavaScript runs on.
 *
 * Does not block. Manual page: getresgid(2).
 *
 * @category process
 * @since 0.1.0
 */
export const getresgid: Effect.Effect<
  { readonly rgid: number; readonly egid: number; readonly sgid: number },
  errors.GetresgidError
> = run({
  errors: errors.getresgid,
  nr: nr.getresgid,
  prepare: three,
  decode: (_, args) => ({ rgid: first(args, 0), egid: first(args, 1), sgid: first(args, 2) }),
  options: onThisThread
})

/** The most groups that Linux lets a process have. */
const NGROUPS_MAX = 65_536

/**
 * `getgroups()`—The supplementary groups of the thread that JavaScript runs on.
 *
 * Does not block. Manual page: getgroups(2).
 *
 * @category process
 * @since 0.1.0
 */
export const getgroups: Effect.Effect<ReadonlyArray<number>, errors.GetgroupsError> = run({
  errors: errors.getgroups,
  nr: nr.getgroups,
  prepare: () => [NGROUPS_MAX, new Uint32Array(NGROUPS_MAX)],
  decode: (count, args) => Array.from(identifiers(args, 1).subarray(0, number(count))),
  options: onThisThread
})

/**
 * `setgroups(list)`—Sets the supplementary groups, at most 65,536.
 *
 * Acts on the thread that JavaScript runs on, and on no other thread of the process: the kernel keeps these for each
 * thread, and it is libc that sets them for all. A program that means to change the whole process uses
 * `process.setgroups` of Node.
 *
 * Does not block. Manual page: setgroups(2).
 *
 * @category process
 * @since 0.1.0
 */
export const setgroups = (list: ReadonlyArray<number>): Effect.Effect<void, errors.SetgroupsError> =>
  run({
    errors: errors.setgroups,
    nr: nr.setgroups,
    prepare: () => [list.length, Uint32Array.from(list, (group, index) => int(`list[${index}]`, group))],
    decode: nothing,
    options: onThisThread
  })

/** The first version has one record, later ones two. Of versions it does not know the kernel writes none. */
const recordsOf = ({ version }: Abi.__user_cap_header_struct): number => (version === 0x19980330 ? 1 : 2)

const size = Abi.__user_cap_data_struct.size

/**
 * `capget(hdrp)`—The capabilities of the thread `hdrp.pid`, where 0 is the one that JavaScript runs on.
 *
 * With `_LINUX_CAPABILITY_VERSION_3` there are two records: capability `n` is bit `n % 32` of that with index `n / 32`,
 * rounded down.
 *
 * Does not block. Manual page: capget(2).
 *
 * @category process
 * @since 0.1.0
 */
export const capget = (
  hdrp: Abi.__user_cap_header_struct
): Effect.Effect<ReadonlyArray<Abi.__user_cap_data_struct>, errors.CapgetError> =>
  run({
    errors: errors.capget,
    nr: nr.capget,
    prepare: () => [Abi.__user_cap_header_struct.encode(hdrp), new Uint8Array(size * 2)],
    decode: (_, args) =>
      Array.from({ length: recordsOf(hdrp) }, (_, index) =>
        Abi.__user_cap_data_struct.decode(memoryAt(args, 1), index * size)
      ),
    options: onThisThread
  })

/**
 * `capset(hdrp, datap)`—Sets the capabilities of the thread that JavaScript runs on.
 *
 * `hdrp` is as for {@link capget} and its `pid` 0; `datap` has as many records as that returns. Other threads of the
 * process keep their capabilities.
 *
 * Does not block. Manual page: capset(2).
 *
 * @category process
 * @since 0.1.0
 */
export const capset = (
  hdrp: Abi.__user_cap_header_struct,
  datap: ReadonlyArray<Abi.__user_cap_data_struct>
): Effect.Effect<void, errors.CapsetError> =>
  run({
    errors: errors.capset,
    nr: nr.capset,
    prepare: () => {
      const records = recordsOf(hdrp)
      if (datap.length !== records) {
        throw new Misuse(codes.EINVAL, `datap: expected ${records} records, got ${datap.length}`)
      }
      const bytes = new Uint8Array(size * 2)
      datap.forEach((record, index) => {
        Abi.__user_cap_data_struct.encode(record, bytes, index * size)
      })
      return [Abi.__user_cap_header_struct.encode(hdrp), bytes]
    },
    decode: nothing,
    options: onThisThread
  })
