/**
 * Acquiring mapped memory; `Mapping` is its public face, and says what holds of it.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { type FcntlError, type MmapError, mmap as mmapErrors, type StatxError } from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import * as constants from "../internal/constants.ts"
import { answered, begin, goOn, type Owner, run, takeAnswer } from "../internal/invoke.ts"
import * as describe from "../syscall/descriptions.ts"
import { type Kind, type Mapping, Region } from "./mapping-region.ts"

export type { Mapping } from "./mapping-region.ts"

/**
 * The sizes that huge pages have on one machine or another: x86_64 has 2 MiB and 1 GiB, aarch64 with pages of 4 KiB
 * 64 KiB, 2 MiB, 32 MiB and 1 GiB.
 *
 * @category models
 * @since 0.1.0
 */
export type HugePageSize = keyof typeof hugePageFlags

const hugePageFlags = {
  "64KB": constants.MAP_HUGE_64KB,
  "512KB": constants.MAP_HUGE_512KB,
  "1MB": constants.MAP_HUGE_1MB,
  "2MB": constants.MAP_HUGE_2MB,
  "8MB": constants.MAP_HUGE_8MB,
  "16MB": constants.MAP_HUGE_16MB,
  "32MB": constants.MAP_HUGE_32MB,
  "256MB": constants.MAP_HUGE_256MB,
  "512MB": constants.MAP_HUGE_512MB,
  "1GB": constants.MAP_HUGE_1GB,
  "2GB": constants.MAP_HUGE_2GB,
  "16GB": constants.MAP_HUGE_16GB
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
  /**
   * Reserve no swap space: what is never touched costs nothing. False. Not with huge pages, which would kill the process
   * where a page is touched that is not there.
   */
  readonly noReserve?: boolean | undefined
  /** Fault all pages in at once, on another thread. False. */
  readonly populate?: boolean | undefined
  /** Keep the memory from being swapped out, as `Mapping.lock` does: `MAP_LOCKED`. False. */
  readonly locked?: boolean | undefined
  /**
   * Only a file that nobody can make shorter any more, with the seal `F_SEAL_SHRINK`: one that has it not fails with
   * `EPERM`, one that cannot have it (only a memfd can) with `EINVAL`. Of the pages of such a file none can be missing.
   * False.
   */
  readonly sealed?: boolean | undefined
}

/**
 * How fresh memory is to be mapped.
 *
 * @category models
 * @since 0.1.0
 */
export interface AnonymousOptions extends Omit<Options, "sealed"> {
  /**
   * Take it from the machine's pool of huge pages of this size (`/proc/sys/vm/nr_hugepages`), `ENOMEM` where that has not
   * enough; `length` is a multiple of it. For transparent huge pages, which need no pool, see `Mapping.advise`.
   */
  readonly hugePages?: HugePageSize | undefined
}

const refuse = (code: number, fd: number, detail: string): Exit.Exit<never, MmapError> =>
  Exit.fail(mmapErrors.make(code, undefined, fd === -1 ? undefined : fd, detail))

const flagsOf = (fd: number, options: AnonymousOptions): number =>
  (options.shared === true ? constants.MAP_SHARED : constants.MAP_PRIVATE) |
  (fd === -1 ? constants.MAP_ANONYMOUS : 0) |
  (options.noReserve === true ? constants.MAP_NORESERVE : 0) |
  (options.populate === true ? constants.MAP_POPULATE : 0) |
  (options.locked === true ? constants.MAP_LOCKED : 0) |
  (options.hugePages === undefined ? 0 : constants.MAP_HUGETLB | hugePageFlags[options.hugePages])

/** Memory under our control, not shown yet, in the scope. */
export const hold = (address: bigint, length: number, kind: Kind): Effect.Effect<Region, never, Scope.Scope> => {
  const region = new Region(address, length, kind)
  return Effect.as(
    Effect.addFinalizer(() => region.release),
    region
  )
}

/** From here on a buffer is so large that the runtime notices; and up to here any can make one. */
const isLarge = (length: number): boolean => length >= 1 << 20 && length < 2 ** 31

/** Shows a region when somebody looks, and fails where the runtime cannot. */
export const shown = (region: Region): Exit.Exit<Region, MmapError> => {
  try {
    if (isLarge(region.length)) region.showLater()
    else region.show()
    return Exit.succeed(region)
  } catch (thrown) {
    return refuse(codes.ENOMEM, -1, thrown instanceof Error ? thrown.message : String(thrown))
  }
}

/**
 * Memory of `fd`, or fresh where that is -1, shown to nobody yet. The wait of one that waits, to be populated, can be
 * interrupted.
 */
export const map = (
  fd: number,
  options: AnonymousOptions & { readonly offset?: number | bigint | undefined },
  owner?: Owner
): Effect.Effect<Region, MmapError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.suspend((): Effect.Effect<Region, MmapError, Scope.Scope> => {
      const { hugePages, length, noReserve = false, offset = 0, shared = false } = options
      if (hugePages !== undefined) {
        const flag = hugePageFlags[hugePages]
        if (flag === undefined) throw new TypeError(`hugePages: ${String(hugePages)} is no size of huge pages`)
        const size = 2 ** (flag >>> constants.MAP_HUGE_SHIFT)
        if (length % size !== 0) return refuse(codes.EINVAL, fd, `length: ${length} is no multiple of ${hugePages}`)
        if (noReserve) return refuse(codes.EINVAL, fd, "noReserve: huge pages are to be reserved")
      }
      // Pages that JavaScript could not write would turn a stray store into a crash, so all mappings can be written; that
      // of a file opened for reading only must be private, as mmap demands by itself.
      const protection = constants.PROT_READ | constants.PROT_WRITE
      const kind: Kind = { shared, file: fd !== -1 }
      const description = describe.mmap(0, length, protection, flagsOf(fd, options), fd, offset)
      return Effect.withFiber((fiber) => {
        const begun = begin(fiber, description, owner)
        if (begun === answered) return hold(takeAnswer<bigint>(), length, kind)
        const address = "args" in begun ? goOn(description, owner, begun, restore) : begun
        return Effect.flatMap(address, (address) => hold(address, length, kind))
      })
    })
  )

/** Whether nobody can make the file shorter, and it is long enough now. */
const checkSeals = (
  fd: number,
  { length, offset = 0 }: Options & { readonly offset?: number | bigint | undefined },
  owner: Owner | undefined
): Effect.Effect<void, MmapError | FcntlError | StatxError> =>
  Effect.gen(function* () {
    const seals = yield* run(describe.fcntl(fd, constants.F_GET_SEALS, 0), undefined, owner)
    if ((seals & constants.F_SEAL_SHRINK) === 0) {
      return yield* refuse(codes.EPERM, fd, "sealed: the file has no F_SEAL_SHRINK")
    }
    // Only now is its size what it will be at least.
    const status = describe.statx(fd, "", constants.AT_EMPTY_PATH, constants.STATX_SIZE)
    const { stx_size } = yield* run(status, undefined, owner)
    const valid = Number.isSafeInteger(length) && (typeof offset === "bigint" || Number.isSafeInteger(offset))
    const pages = ((stx_size + smallestPage - 1n) / smallestPage) * smallestPage
    if (valid && BigInt(offset) + BigInt(length) > pages) {
      return yield* refuse(codes.EINVAL, fd, `length: ${length} at ${offset} is past the file's ${stx_size}`)
    }
  })

// The smallest page of any architecture here: a file's last page is whole at this size too.
const smallestPage = 4096n

/**
 * Maps `fd`, or fresh memory where that is -1. `File.mmap` is the way for a file.
 */
export const acquire = (
  fd: number,
  options: Options & { readonly offset?: number | bigint | undefined },
  owner?: Owner
): Effect.Effect<Mapping, MmapError | StatxError, Scope.Scope> => {
  const mapped = Effect.flatMap(map(fd, options, owner), shown)
  if (options.sealed !== true) return mapped
  return Effect.andThen(
    Effect.catch(
      checkSeals(fd, options, owner),
      (error): Exit.Exit<never, MmapError | StatxError> =>
        error.syscall === "fcntl"
          ? refuse(
              error.errno,
              fd,
              error.errno === codes.EINVAL ? "sealed: the file cannot be sealed" : (error.detail ?? "")
            )
          : Exit.fail(error as MmapError | StatxError)
    ),
    mapped
  )
}

/**
 * Maps fresh memory, all zeros, for as long as the scope is open.
 *
 * Fails with `EINVAL` for a length of 0 and `ENOMEM` where there is not that much. Does not block; `populate` and
 * `locked` are done on another thread. Manual page: mmap(2).
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
export const anonymous = (options: AnonymousOptions): Effect.Effect<Mapping, MmapError, Scope.Scope> =>
  Effect.flatMap(map(-1, options), shown)
