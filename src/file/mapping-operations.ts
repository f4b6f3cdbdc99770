/**
 * What can be done with memory that is mapped: advice, locking, writing back, protection, another size.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as errors from "../errors/calls.ts"
import { codes, EBUSY, EFAULT, EINVAL } from "../errors/errnos.ts"
import type { CallErrors } from "../errors/registry.ts"
import { int } from "../internal/arguments.ts"
import * as constants from "../internal/constants.ts"
import { Misuse, onThisThread } from "../internal/invoke.ts"
import type { BlockingOptions } from "../internal/trampoline.ts"
import * as Syscall from "../Syscall.ts"
import { type Mapping, own, type Region, released, runIn } from "./mapping-region.ts"

/**
 * A part of a mapping: all of it unless said.
 *
 * @category models
 * @since 0.1.0
 */
export interface Range {
  /** Where it begins, in bytes from the mapping's start: a multiple of the page size. 0. */
  readonly offset?: number | undefined
  /** In bytes; the kernel takes whole pages. To the mapping's end. */
  readonly length?: number | undefined
}

const rangeOf = (region: Region, range: Range): readonly [address: bigint, length: number] => {
  const { offset = 0 } = range
  const { length = region.length - offset } = range
  for (const [name, value] of [
    ["offset", offset],
    ["length", length]
  ] as const) {
    if (typeof value !== "number") throw new TypeError(`${name}: expected a number, got ${typeof value}`)
    if (!Number.isSafeInteger(value) || value < 0) throw new Misuse(codes.EINVAL, `${name}: ${value} is no length`)
  }
  // What lies behind the mapping is somebody else's.
  if (offset + length > region.length) {
    throw new Misuse(codes.EINVAL, `length: ${length} at ${offset} is past the mapping's ${region.length}`)
  }
  return [region.address + BigInt(offset), length]
}

const waits: BlockingOptions = {}

const onRange = <E>(
  mapping: Mapping,
  range: Range,
  call: {
    readonly errors: CallErrors<E>
    readonly nr: number
    readonly options: BlockingOptions
    readonly argument?: () => number
  }
): Effect.Effect<void, E> =>
  Effect.suspend(() => {
    const region = own(mapping)
    const { argument, errors, nr, options } = call
    const prepare = () => {
      const words = rangeOf(region, range)
      return argument === undefined ? words : [...words, argument()]
    }
    return runIn(region, { errors, nr, prepare, decode: () => {}, options }, codes.ENOMEM)
  })

const advices = {
  normal: constants.MADV_NORMAL,
  random: constants.MADV_RANDOM,
  sequential: constants.MADV_SEQUENTIAL,
  willNeed: constants.MADV_WILLNEED,
  dontNeed: constants.MADV_DONTNEED,
  dontNeedLocked: constants.MADV_DONTNEED_LOCKED,
  free: constants.MADV_FREE,
  remove: constants.MADV_REMOVE,
  cold: constants.MADV_COLD,
  pageOut: constants.MADV_PAGEOUT,
  populateRead: constants.MADV_POPULATE_READ,
  populateWrite: constants.MADV_POPULATE_WRITE,
  collapse: constants.MADV_COLLAPSE,
  hugePage: constants.MADV_HUGEPAGE,
  noHugePage: constants.MADV_NOHUGEPAGE,
  mergeable: constants.MADV_MERGEABLE,
  unmergeable: constants.MADV_UNMERGEABLE,
  dontFork: constants.MADV_DONTFORK,
  doFork: constants.MADV_DOFORK,
  wipeOnFork: constants.MADV_WIPEONFORK,
  keepOnFork: constants.MADV_KEEPONFORK,
  dontDump: constants.MADV_DONTDUMP,
  doDump: constants.MADV_DODUMP
}

/** Advice that is only noted down. Whatever reads, writes back, frees or merges pages takes its time. */
const noted: ReadonlySet<string> = new Set<keyof typeof advices>([
  "normal",
  "random",
  "sequential",
  "hugePage",
  "noHugePage",
  "dontFork",
  "doFork",
  "wipeOnFork",
  "keepOnFork",
  "dontDump",
  "doDump"
])

/**
 * How memory is going to be used, by the kernel's `MADV_` words:
 *
 * - `normal`, `random`, `sequential`: in which order, so how much of the file to read ahead
 * - `willNeed`: soon, so begin to read it
 * - `cold`, `pageOut` (5.4): not soon; swap it out when memory is short, or at once
 * - `populateRead`, `populateWrite` (5.14): at once; fails with `EFAULT` where touching it would kill the process
 * - `hugePage`, `noHugePage`, `collapse` (6.1): in transparent huge pages, when the kernel comes to it; or at once
 * - `mergeable`, `unmergeable`: pages of equal contents may be one until they are written to
 * - `dontFork`, `doFork`, `wipeOnFork` (private and anonymous), `keepOnFork`: what a forked child gets of it
 * - `dontDump`, `doDump`: whether a core dump has it
 *
 * These **destroy** what the memory holds:
 *
 * - `dontNeed`: private memory is zeros, or what the file says, at once; shared memory is untouched. `dontNeedLocked`
 *   (5.18) does it to locked memory too
 * - `free` (private and anonymous): zeros at some time in future, unless it is written to before
 * - `remove` (shared): zeros, for all who share it, the file included: it punches a hole
 *
 * The kernel's `MADV_HWPOISON` and `MADV_SOFT_OFFLINE` are not among them: the next access could kill the process.
 *
 * @category models
 * @since 0.1.0
 */
export type Advice = keyof typeof advices

/**
 * Tells the kernel how memory will be used. Some of this destroys what it holds: see {@link Advice}.
 *
 * `EINVAL` is also the answer of a kernel that is too old for the advice, or has that part of it switched off.
 *
 * Advice that takes the kernel a while is given on another thread. Fails with `ENOMEM` when the mapping is released.
 * Manual page: madvise(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Mapping } from "effect-linux"
 *
 * const program = Effect.gen(function* () {
 *   const mapping = yield* Mapping.anonymous({ length: 64 << 20 })
 *   yield* Mapping.advise(mapping, "hugePage")
 *   // Give 1 MiB back to the system: it reads as zeros from here on.
 *   yield* Mapping.advise(mapping, "dontNeed", { offset: 1 << 20, length: 1 << 20 })
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category operations
 * @since 0.1.0
 */
export const advise = (mapping: Mapping, advice: Advice, range: Range = {}): Effect.Effect<void, errors.MadviseError> =>
  onRange(mapping, range, {
    errors: errors.madvise,
    nr: Syscall.nr.madvise,
    options: noted.has(advice) ? onThisThread : waits,
    argument: () => {
      if (!Object.hasOwn(advices, advice)) throw new TypeError(`advice: ${String(advice)} is no advice`)
      return int("advice", advices[advice])
    }
  })

/**
 * Writes what was changed in a shared mapping of a file to the file, and waits until the disk has it.
 *
 * With `wait: false` it only asks the kernel to begin, which Linux does by itself; with `invalidate` other mappings of the
 * file are made to see what the file holds, which on Linux they do anyway, and locked memory fails with `EBUSY`.
 *
 * Can wait: on another thread, interruptibly. Fails with `ENOMEM` when the mapping is released. Manual page: msync(2).
 *
 * @category operations
 * @since 0.1.0
 */
export const sync = (
  mapping: Mapping,
  options: Range & { readonly wait?: boolean | undefined; readonly invalidate?: boolean | undefined } = {}
): Effect.Effect<void, errors.MsyncError> =>
  onRange(mapping, options, {
    errors: errors.msync,
    nr: Syscall.nr.msync,
    options: waits,
    argument: () =>
      (options.wait === false ? constants.MS_ASYNC : constants.MS_SYNC) |
      (options.invalidate === true ? constants.MS_INVALIDATE : 0)
  })

/**
 * Keeps memory from being swapped out, until {@link unlock} or the mapping's release: all of it faulted in at once, or
 * with `onFault` each page when it is first touched.
 *
 * Locking does not nest: one `unlock` undoes any number of locks. Limited by `RLIMIT_MEMLOCK` (`ENOMEM`, `EPERM`).
 *
 * Can wait: on another thread. Fails with `ENOMEM` when the mapping is released. Manual page: mlock2(2).
 *
 * @category operations
 * @since 0.1.0
 */
export const lock = (
  mapping: Mapping,
  options: Range & { readonly onFault?: boolean | undefined } = {}
): Effect.Effect<void, errors.Mlock2Error> =>
  onRange(mapping, options, {
    errors: errors.mlock2,
    nr: Syscall.nr.mlock2,
    options: waits,
    argument: () => (options.onFault === true ? constants.MLOCK_ONFAULT : 0)
  })

/**
 * Lets memory be swapped out again.
 *
 * Can wait: on another thread. Fails with `ENOMEM` when the mapping is released. Manual page: munlock(2).
 *
 * @category operations
 * @since 0.1.0
 */
export const unlock = (mapping: Mapping, range: Range = {}): Effect.Effect<void, errors.MunlockError> =>
  onRange(mapping, range, { errors: errors.munlock, nr: Syscall.nr.munlock, options: waits })

/**
 * Keeps the memory mapped at its address while the scope is open, and returns the address: for who hands it to the kernel,
 * or to another library, for longer than one call of this one.
 *
 * A pinned mapping fails to be remapped, or to lose its protection, with `EBUSY`. When the mapping's own scope closes
 * first, its views are detached as always, and the memory is unmapped at the end of the last pin.
 *
 * @category operations
 * @since 0.1.0
 */
export const pin = (mapping: Mapping): Effect.Effect<bigint, EFAULT, Scope.Scope> =>
  Effect.suspend(() => own(mapping).pin)

const movedAway = "its memory was moved to another ArrayBuffer"

/** Takes the views away for a change that they would not survive. */
const withoutViews = <A, E>(
  region: Region,
  errors: CallErrors<E>,
  gone: number,
  change: Effect.Effect<A, E>
): Effect.Effect<A, E | EBUSY> =>
  Effect.uninterruptible(
    Effect.suspend((): Effect.Effect<A, E | EBUSY> => {
      const fail = (code: number, detail: string) => Effect.fail(errors.make(code, undefined, undefined, detail))
      if (region.over) return fail(gone, released)
      if (region.busy) {
        return Effect.fail(new EBUSY({ syscall: errors.syscall, detail: "the mapping is pinned, or a call uses it" }))
      }
      if (!region.conceal()) return Effect.andThen(region.forsake, fail(gone, movedAway))
      region.moving = true
      return Effect.onExit(change, () =>
        Effect.suspend(() => {
          region.moving = false
          if (region.over) return Effect.void
          try {
            if (region.accessible) region.show()
            else region.showLater()
            return Effect.void
          } catch {
            // There is no memory for the buffer: the mapping stays, and shows nothing.
            return Effect.void
          }
        })
      )
    })
  )

/**
 * What may be done with memory.
 *
 * @category models
 * @since 0.1.0
 */
export interface Protection {
  /** True. */
  readonly read?: boolean | undefined
  /** True. */
  readonly write?: boolean | undefined
  /** Run machine code in it. False. */
  readonly execute?: boolean | undefined
}

/**
 * Changes what may be done with the memory, always all of it: a store by JavaScript to a page that cannot be written would
 * kill the process, so the views go with the permission.
 *
 * While the memory can be read and written the views stay (with or without `execute`). Otherwise they are detached,
 * `bytes` and `buffer` are empty, and only the kernel, guests and native code reach the memory; JavaScript has
 * {@link snapshot} to look at what can be read. When it is made readable and writable again there are new views.
 *
 * Fails with `EBUSY` where views would go and the memory is pinned or used by a call, and with `ENOMEM` when the mapping
 * is released. Does not block. Manual page: mprotect(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Mapping } from "effect-linux"
 *
 * const program = Effect.gen(function* () {
 *   const mapping = yield* Mapping.anonymous({ length: 4096 })
 *   mapping.bytes.fill(7)
 *   yield* Mapping.protect(mapping, { write: false })
 *   mapping.bytes.length // 0
 *   return yield* Mapping.snapshot(mapping, { length: 16 })
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category operations
 * @since 0.1.0
 */
export const protect = (mapping: Mapping, protection: Protection): Effect.Effect<void, errors.MprotectError | EBUSY> =>
  Effect.suspend((): Effect.Effect<void, errors.MprotectError | EBUSY> => {
    const region = own(mapping)
    const { execute = false, read = true, write = true } = protection
    const wanted =
      (read ? constants.PROT_READ : 0) | (write ? constants.PROT_WRITE : 0) | (execute ? constants.PROT_EXEC : 0)
    const change = Effect.suspend(() =>
      runIn(
        region,
        {
          errors: errors.mprotect,
          nr: Syscall.nr.mprotect,
          prepare: () => [region.address, region.extent, wanted],
          decode: () => {
            region.protection = wanted
          },
          options: onThisThread
        },
        codes.ENOMEM
      )
    )
    if (read && write && region.accessible) return change
    return withoutViews(region, errors.mprotect, codes.ENOMEM, change)
  })

/**
 * A copy of what the memory holds at this moment, also while it cannot be written and has no views.
 *
 * Fails with `EFAULT` where it cannot be read, or is released. Copies on the JavaScript thread.
 *
 * @category operations
 * @since 0.1.0
 */
export const snapshot = (mapping: Mapping, range: Range = {}): Effect.Effect<Uint8Array, EFAULT | EINVAL> =>
  Effect.suspend((): Exit.Exit<Uint8Array, EFAULT | EINVAL> => {
    const region = own(mapping)
    if (region.over || region.moving) return Exit.fail(new EFAULT({ detail: released }))
    if ((region.protection & constants.PROT_READ) === 0) {
      return Exit.fail(new EFAULT({ detail: "the memory cannot be read" }))
    }
    try {
      const [address, length] = rangeOf(region, range)
      const start = Number(address - region.address)
      if (region.isLazy) region.show()
      if (region.visible) return Exit.succeed(region.bytes.slice(start, start + length))
      if (region.accessible) return Exit.fail(new EFAULT({ detail: movedAway }))
      // Seen by nobody but these lines, which do not write.
      region.show()
      const copy = region.bytes.slice(start, start + length)
      region.conceal()
      region.showLater()
      return Exit.succeed(copy)
    } catch (thrown) {
      if (thrown instanceof Misuse) return Exit.fail(new EINVAL({ detail: thrown.detail }))
      if (thrown instanceof RangeError) return Exit.fail(new EFAULT({ detail: thrown.message }))
      throw thrown
    }
  })

/**
 * Gives a mapping another length, and by that, where it does not fit any more, another address. What it holds stays; what
 * is new of anonymous memory is zeros.
 *
 * All views there were are detached: `mapping.bytes` is a new one. With `mayMove: false` it fails with `ENOMEM` where it
 * would have to move. A mapping of a file grows as far as the file goes (`EINVAL`; since Linux 5.14). Private memory that
 * others found by its address, a guest's for instance, must not be remapped under them: {@link pin} sees to that.
 *
 * Fails with `EBUSY` where the memory is pinned, holds a mutex that is locked, or is used by a call, a futex waited on
 * among them; with `EFAULT` when the mapping is released. Does not block; the end of a file is looked at on another thread,
 * and until that is done the mapping has no views. Manual page: mremap(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Mapping } from "effect-linux"
 *
 * const program = Effect.gen(function* () {
 *   const mapping = yield* Mapping.anonymous({ length: 1 << 20 })
 *   mapping.bytes[0] = 7
 *   yield* Mapping.remap(mapping, 1 << 24)
 *   return mapping.bytes[0] // 7
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category operations
 * @since 0.1.0
 */
export const remap = (
  mapping: Mapping,
  length: number,
  options: { readonly mayMove?: boolean | undefined } = {}
): Effect.Effect<void, errors.MremapError | EBUSY> =>
  Effect.suspend((): Effect.Effect<void, errors.MremapError | EBUSY> => {
    const region = own(mapping)
    if (typeof length !== "number") throw new TypeError(`length: expected a number, got ${typeof length}`)
    const refuse = (code: number, detail: string) => Effect.fail(errors.mremap.make(code, undefined, undefined, detail))
    if (!Number.isSafeInteger(length) || length < 1) return refuse(codes.EINVAL, `length: ${length} is no length`)
    const flags = options.mayMove === false ? 0 : constants.MREMAP_MAYMOVE
    const resize = (to: number) =>
      Effect.map(Syscall.mremap(region.address, region.extent, to, flags), (address) => {
        region.address = address
        region.length = to
        region.extent = to
      })
    const before = region.length
    if (region.kind.file && length > before && !region.accessible) {
      return refuse(codes.EINVAL, "a mapping of a file that cannot be read and written does not grow")
    }
    const change = Effect.andThen(
      resize(length),
      region.kind.file && length > before
        ? Effect.catch(lastPage(region), () =>
            region.over
              ? refuse(codes.EFAULT, "the mapping was released meanwhile")
              : Effect.andThen(resize(before), refuse(codes.EINVAL, `length: ${length} is past the end of the file`))
          )
        : Effect.void
    )
    return withoutViews(region, errors.mremap, codes.EFAULT, change)
  })

/** Whether the mapping's last page is there: the kernel says no where an access would end in SIGBUS. */
const lastPage = (region: Region): Effect.Effect<void, errors.MadviseError> =>
  Effect.suspend(() => {
    const end = region.address + BigInt(region.length)
    // The start of a page, whatever its size here.
    const aligned = ((end - 1n) >> 16n) << 16n
    const start = aligned > region.address ? aligned : region.address
    return runIn(
      region,
      {
        errors: errors.madvise,
        nr: Syscall.nr.madvise,
        prepare: () => [start, end - start, constants.MADV_POPULATE_READ],
        decode: () => {},
        options: waits
      },
      codes.ENOMEM
    )
  })
