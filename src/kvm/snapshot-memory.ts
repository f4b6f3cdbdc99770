/**
 * What a snapshot holds of a machine's memory: the pages that are not all zeros, in a sealed memfd or in bytes of a value.
 * Which machine they belong to, `snapshot-model.ts` tells.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type * as errors from "../errors/calls.ts"
import * as File from "../File.ts"
import type * as Mapping from "../Mapping.ts"
import * as MemFd from "../MemFd.ts"
import * as Syscall from "../Syscall.ts"

/** A page of the architecture at its smallest: what is all zeros by this size is not stored. */
export const pageSize = 4096

/** What is looked at, copied or written at once: little enough that the event loop does not notice. */
const atOnce = 1 << 20

const zeros = Buffer.alloc(pageSize)

/**
 * Bytes of a snapshot's memory, and where they lie in it.
 *
 * @category snapshots
 * @since 0.1.0
 */
export interface SnapshotExtent {
  /** In bytes from the start. */
  readonly offset: number
  readonly bytes: Uint8Array
}

/** Pages that are stored: from, and how many bytes. */
export type Run = readonly [offset: number, length: number]

/**
 * The contents of a machine's memory, one region after another: pages that are all zeros take no room.
 *
 * It lies either in a sealed memfd, which forks share and nobody can change any more, or, where the snapshot was decoded, in
 * bytes.
 *
 * @category snapshots
 * @since 0.1.0
 */
export class SnapshotMemory {
  /** In bytes, zeros included. */
  readonly size: number
  /** The memfd that holds it for as long as the scope is open that it was made in; undefined where it is bytes. */
  readonly file: MemFd.MemFd | undefined
  private readonly runs: ReadonlyArray<Run>
  private readonly at: (offset: number, length: number) => Uint8Array

  /** @internal */
  constructor(
    size: number,
    file: MemFd.MemFd | undefined,
    runs: ReadonlyArray<Run>,
    at: (offset: number, length: number) => Uint8Array
  ) {
    this.size = size
    this.file = file
    this.runs = runs
    this.at = at
  }

  /** How many bytes are stored. */
  get stored(): number {
    return this.runs.reduce((sum, [, length]) => sum + length, 0)
  }

  /**
   * What is stored between two offsets, in pieces of 1 MiB at most. The bytes are views, and must not be written to.
   *
   * Throws a `RangeError` where the memory is released with its scope.
   */
  *extents(from = 0, to = this.size): Generator<SnapshotExtent> {
    for (const [start, length] of this.runs) {
      const end = Math.min(start + length, to)
      for (let offset = Math.max(start, from); offset < end; offset += atOnce) {
        const bytes = this.at(offset, Math.min(atOnce, end - offset))
        if (bytes.length === 0) throw new RangeError("the snapshot's memory is released: its scope has closed")
        yield { offset, bytes }
      }
    }
  }

  toJSON(): unknown {
    return { _id: "SnapshotMemory", size: this.size, stored: this.stored, shared: this.file !== undefined }
  }
}

/** Contents out of bytes; the extents follow one another and lie within the size. */
export const ofExtents = (size: number, extents: ReadonlyArray<SnapshotExtent>): SnapshotMemory => {
  const starts = extents.map(({ offset }) => offset)
  const at = (offset: number, length: number): Uint8Array => {
    let low = 0
    for (let high = starts.length; high - low > 1; ) {
      const middle = (low + high) >> 1
      if ((starts[middle] ?? 0) <= offset) low = middle
      else high = middle
    }
    const extent = extents[low]
    const begin = offset - (extent?.offset ?? 0)
    return extent?.bytes.subarray(begin, begin + length) ?? new Uint8Array(0)
  }
  return new SnapshotMemory(
    size,
    undefined,
    extents.map(({ bytes, offset }): Run => [offset, bytes.length]),
    at
  )
}

/** What making the contents fails with. */
export type StoreError =
  | errors.MemfdCreateError
  | errors.FtruncateError
  | errors.Pwrite64Error
  | errors.FcntlError
  | errors.MmapError
  | errors.StatxError

/** Contents that are being written. */
export interface Store {
  /** Puts bytes at an offset, a multiple of the page size; pages of zeros, and what is in no part, are left out. */
  readonly put: (offset: number, bytes: Uint8Array) => Effect.Effect<void, errors.Pwrite64Error>
  /** Ends it: nobody can change the contents any more. */
  readonly done: Effect.Effect<SnapshotMemory, StoreError, Scope.Scope>
}

const isZero = (bytes: Uint8Array, at: number, end: number): boolean =>
  bytes[at] === 0 && zeros.compare(bytes, at, end, 0, end - at) === 0

/** Begins contents of so many bytes in a memfd of the scope. `parts` are what can be in it, in their order: what
 * is mapped by itself. */
export const store = (size: number, parts: ReadonlyArray<Run>): Effect.Effect<Store, StoreError, Scope.Scope> =>
  Effect.gen(function* () {
    const file = yield* MemFd.make("effect-linux-snapshot", { allowSealing: true, size })
    const runs: Array<Run> = []
    const note = (offset: number, length: number): void => {
      const last = runs.at(-1)
      const goesOn = last !== undefined && last[0] + last[1] === offset && !parts.some(([start]) => start === offset)
      if (goesOn) runs[runs.length - 1] = [last[0], last[1] + length]
      else runs.push([offset, length])
    }
    const putPart = Effect.fnUntraced(function* (offset: number, bytes: Uint8Array) {
      for (let at = 0; at < bytes.length; ) {
        let end = at
        while (end < bytes.length && isZero(bytes, end, Math.min(end + pageSize, bytes.length))) end += pageSize
        at = end
        while (end < bytes.length && !isZero(bytes, end, Math.min(end + pageSize, bytes.length))) end += pageSize
        if (at >= bytes.length) break
        const piece = bytes.subarray(at, end)
        yield* File.pwriteAll(file, piece, offset + at)
        note(offset + at, piece.length)
        at = end
      }
    })
    const put: Store["put"] = Effect.fnUntraced(function* (offset, bytes) {
      for (const [start, length] of parts) {
        const from = Math.max(offset, start)
        const to = Math.min(offset + bytes.length, start + length)
        if (from < to) yield* putPart(from, bytes.subarray(from - offset, to - offset))
      }
    })
    const done = Effect.gen(function* () {
      yield* MemFd.addSeals(file, ["shrink", "grow", "write", "seal"])
      const shown: Array<readonly [start: number, mapping: Mapping.Mapping]> = []
      for (const [offset, length] of parts) {
        if (length > 0) shown.push([offset, yield* File.mmap(file, { offset, length, noReserve: true })])
      }
      return new SnapshotMemory(size, file, runs, (offset, length) => {
        const [start, mapping] = shown.findLast(([start]) => start <= offset) ?? [0, undefined]
        const bytes = mapping?.bytes ?? new Uint8Array(0)
        // A part of memory that is released cannot be made.
        return bytes.length === 0 ? bytes : bytes.subarray(offset - start, offset - start + length)
      })
    })
    return { put, done }
  })

/** Whether memory can be elsewhere than where `mincore` looks. */
const hasSwap: Effect.Effect<boolean> = Effect.match(Syscall.sysinfo, {
  onFailure: () => true,
  onSuccess: ({ totalswap }) => totalswap !== 0n
})

/** What `mincore` is asked about at once. */
const window = 256 << 20

/** A part of a mapping. */
export interface Source {
  readonly mapping: Mapping.Mapping
  readonly start: number
  readonly end: number
}

/**
 * Puts a guest's memory into a store. Memory that no disk is behind (`volatile`) is looked at only where there is any: to
 * look at a hole would fill it.
 */
export const capture = (
  { put }: Store,
  offset: number,
  { end, mapping, start }: Source,
  isVolatile: boolean
): Effect.Effect<void, errors.Pwrite64Error | errors.MincoreError> =>
  Effect.gen(function* () {
    const { address, bytes } = mapping
    const length = end - start
    const tells = isVolatile && !(yield* hasSwap)
    const resident = new Uint8Array(Math.ceil(Math.min(window, length) / pageSize)).fill(1)
    let looked = 0
    for (let base = 0; base < length; base += window) {
      const size = Math.min(window, length - base)
      if (tells) yield* Syscall.mincore(address + BigInt(start + base), size, resident)
      const pages = Math.ceil(size / pageSize)
      for (let first = 0; first < pages; ) {
        while (first < pages && ((resident[first] ?? 0) & 1) === 0) first++
        let last = first
        while (last < pages && last - first < atOnce / pageSize && ((resident[last] ?? 0) & 1) === 1) last++
        if (last === first) break
        const from = base + first * pageSize
        yield* put(offset + from, bytes.subarray(start + from, start + Math.min(base + last * pageSize, length)))
        looked += (last - first) * pageSize
        first = last
        // What turned out to be zeros was quick for the store and is time all the same.
        if (looked >= atOnce) {
          looked = 0
          yield* Effect.yieldNow
        }
      }
    }
  })

/** Fills memory that is all zeros with what is stored between two offsets. */
export const fill = (target: Uint8Array, memory: SnapshotMemory, offset: number): Effect.Effect<void> =>
  Effect.gen(function* () {
    let copied = 0
    for (const { bytes, offset: at } of memory.extents(offset, offset + target.length)) {
      target.set(bytes, at - offset)
      copied += bytes.length
      if (copied >= atOnce) {
        copied = 0
        yield* Effect.yieldNow
      }
    }
  })

/** The same contents in a memfd: what forks share. */
export const shared = (
  memory: SnapshotMemory,
  parts: ReadonlyArray<Run>
): Effect.Effect<SnapshotMemory, StoreError, Scope.Scope> =>
  memory.file !== undefined
    ? Exit.succeed(memory)
    : Effect.gen(function* () {
        const { done, put } = yield* store(memory.size, parts)
        for (const { bytes, offset } of memory.extents()) yield* put(offset, bytes)
        return yield* done
      })
