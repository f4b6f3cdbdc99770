/**
 * Acquiring and releasing mapped memory; `Mapping` is its public face, and says what holds of it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type MmapError, mmap as mmapErrors } from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import * as constants from "../internal/constants.ts"
import { type Owner, run } from "../internal/invoke.ts"
import { native } from "../internal/native.ts"
import * as Syscall from "../Syscall.ts"
import * as describe from "../syscall/descriptions.ts"

/**
 * A piece of memory that the kernel mapped.
 *
 * @category models
 * @since 0.1.0
 */
export interface Mapping {
  /** Where it lies in the address space. */
  readonly address: bigint
  /** In bytes, as asked for. */
  readonly length: number
  /** The memory itself; detached when the scope closes. */
  readonly buffer: ArrayBuffer
  /** The same as bytes; of length 0 once the scope has closed. */
  readonly bytes: Uint8Array
}

/**
 * How memory is to be mapped.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** In bytes, above 0. */
  readonly length: number
  /** Whether others see what is written here, the file among them; else writes stay in a private copy. False. */
  readonly shared?: boolean | undefined
  /** Reserve no swap space: what is never touched costs nothing. False. */
  readonly noReserve?: boolean | undefined
  /** Fault all pages in at once. False. */
  readonly populate?: boolean | undefined
}

// Newer runtimes let JavaScript take a buffer's memory away, and let a buffer be marked so that nobody can, which their
// detaching for addons does not survive: there the memory is first moved to a buffer that nobody else has seen.
const transfer = Object.getOwnPropertyDescriptor(ArrayBuffer.prototype, "transfer")?.value

/** Makes the memory unreachable; false where it may still be reached, through a buffer that cannot be found or detached. */
const hide = (buffer: ArrayBuffer, address: bigint): boolean => {
  if (typeof transfer !== "function") return native.hide(buffer, address)
  try {
    return native.hide(transfer.call(buffer), address)
  } catch {
    return native.abandon(address)
  }
}

const release = (mapping: Mapping): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { address, buffer, length } = mapping
    if (hide(buffer, address)) return Effect.orDie(Syscall.munmap(address, length))
    // Somebody moved the memory to a buffer that nobody can find, or forbade to detach it. Fresh pages go over it, so that the file behind it is
    // let go and that buffer still reads something; the addresses are free when it is collected.
    const { MAP_ANONYMOUS, MAP_FIXED, MAP_NORESERVE, MAP_PRIVATE, PROT_READ, PROT_WRITE } = constants
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE
    return Effect.orDie(Effect.asVoid(Syscall.mmap(address, length, PROT_READ | PROT_WRITE, flags, -1, 0)))
  })

/**
 * Maps `fd`, or fresh memory where that is -1. `File.mmap` is the way for a file.
 */
export const acquire = (
  fd: number,
  options: Options & { readonly offset?: number | bigint | undefined },
  owner?: Owner
): Effect.Effect<Mapping, MmapError, Scope.Scope> => {
  const { length, noReserve = false, offset = 0, populate = false, shared = false } = options
  // Pages that JavaScript could not write would turn a stray store into a crash, so all mappings can be written; that of
  // a file opened for reading only must be private, as mmap demands by itself.
  const protection = constants.PROT_READ | constants.PROT_WRITE
  const flags =
    (shared ? constants.MAP_SHARED : constants.MAP_PRIVATE) |
    (fd === -1 ? constants.MAP_ANONYMOUS : 0) |
    (noReserve ? constants.MAP_NORESERVE : 0) |
    (populate ? constants.MAP_POPULATE : 0)
  return Effect.acquireRelease(
    Effect.flatMap(run(describe.mmap(0, length, protection, flags, fd, offset), undefined, owner), (address) => {
      try {
        const buffer = native.show(address, length)
        return Effect.succeed({ address, length, buffer, bytes: new Uint8Array(buffer) })
      } catch (thrown) {
        const detail = thrown instanceof Error ? thrown.message : String(thrown)
        return Effect.andThen(
          Effect.orDie(Syscall.munmap(address, length)),
          Effect.fail(mmapErrors.make(codes.ENOMEM, undefined, undefined, detail))
        )
      }
    }),
    release
  )
}

/**
 * Maps fresh memory, all zeros, for as long as the scope is open.
 *
 * Fails with `EINVAL` for a length of 0 and `ENOMEM` where there is not that much. Does not block. Manual page: mmap(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Mapping } from "effect-linux"
 *
 * const program = Effect.gen(function*() {
 *   const { bytes } = yield* Mapping.anonymous({ length: 1 << 20 })
 *   bytes[0] = 1
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const anonymous = (options: Options): Effect.Effect<Mapping, MmapError, Scope.Scope> => acquire(-1, options)
