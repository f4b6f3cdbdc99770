/**
 * System calls on the address space. Addresses are bigints; a mapping that JavaScript can look into is a `Mapping`.
 */
import type * as Effect from "effect/Effect"
import * as errors from "../errors/calls.ts"
import { long } from "../internal/arguments.ts"
import { inline, run } from "../internal/invoke.ts"
import * as describe from "./descriptions.ts"
import { nr } from "./raw.ts"

/**
 * `mmap(address, length, protection, flags, fd, offset)`—Maps a file or fresh memory into the address space; returns
 * where. `fd` is -1 with `MAP_ANONYMOUS`.
 *
 * Does not block; with `MAP_POPULATE` or `MAP_LOCKED`, which fault all pages in, it is made on another thread. With `MAP_FIXED` it replaces whatever is there, the runtime's own
 * memory not excepted. Manual page: mmap(2).
 *
 * @category memory
 * @since 0.1.0
 */
export const mmap = (
  address: number | bigint,
  length: number | bigint,
  protection: number,
  flags: number,
  fd: number,
  offset: number | bigint = 0
): Effect.Effect<bigint, errors.MmapError> => run(describe.mmap(address, length, protection, flags, fd, offset))

/**
 * `munmap(address, length)`—Unmaps. Memory that JavaScript still looks into must not be unmapped.
 *
 * Does not block. Manual page: munmap(2).
 *
 * @category memory
 * @since 0.1.0
 */
export const munmap = (address: number | bigint, length: number | bigint): Effect.Effect<void, errors.MunmapError> =>
  inline(
    errors.munmap,
    (call) => call(nr.munmap, long("address", address), long("length", length)),
    () => {}
  )
