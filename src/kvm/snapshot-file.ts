/**
 * Snapshots in files: a head of fixed size, the state as JSON, and the contents of the memory, with holes where they are
 * zeros.
 *
 * All numbers are little-endian. The contents begin at a multiple of the page size, so that they can be shared with others'
 * tools by `mmap`, and end with the file.
 */
import { createHash } from "node:crypto"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as errors from "../errors/calls.ts"
import * as File from "../File.ts"
import * as Struct from "../Struct.ts"
import { pageSize, type StoreError, store } from "./snapshot-memory.ts"
import { partsOf, type Snapshot, SnapshotState } from "./snapshot-model.ts"

/**
 * A file that is no snapshot, or not a whole one: `field` of it is not as it has to be.
 *
 * @category errors
 * @since 0.1.0
 */
export class BadSnapshot extends Data.TaggedError("BadSnapshot")<{
  readonly field: "magic" | "version" | "state_length" | "memory_offset" | "memory_size" | "digest" | "state" | "memory"
  readonly detail: string
}> {
  override get message(): string {
    return `not a snapshot: ${this.field}: ${this.detail}`
  }
}

/** What a file begins with: `digest` is the SHA-256 of what is before it, and of the state behind it. */
const head = Struct.make("snapshot_head", {
  magic: Struct.bytes(8),
  version: Struct.u32,
  flags: Struct.u32,
  state_length: Struct.u64,
  memory_offset: Struct.u64,
  memory_size: Struct.u64,
  digest: Struct.bytes(32)
})

const magic = new TextEncoder().encode("EFLXSNAP")
const version = 1

/** More than the state of any machine takes as text. */
const longestState = 64 << 20

/** What is read at once. */
const atOnce = 1 << 20

const StateText = Schema.fromJsonString(Schema.toCodecJson(SnapshotState))
const encodeState = Schema.encodeEffect(StateText)
const decodeState = Schema.decodeEffect(StateText)

const digestOf = (headBytes: Uint8Array, state: Uint8Array): Uint8Array =>
  new Uint8Array(createHash("sha256").update(headBytes.subarray(0, head.fields.digest.offset)).update(state).digest())

const roundUp = (value: number): number => Math.ceil(value / pageSize) * pageSize

/**
 * What writing a snapshot to a file fails with; `EINVAL` or `ESPIPE` where that is no regular file.
 *
 * @category errors
 * @since 0.1.0
 */
export type SaveSnapshotError = errors.FtruncateError | errors.Pwrite64Error

/**
 * Writes a snapshot to a regular file, open for writing, in place of what is in it: pages that are all zeros become holes.
 * The file offset plays no part. Read it with {@link loadSnapshot}.
 *
 * The head is written last: a file whose writing was interrupted is no snapshot. Whoever has to rely on it being on the
 * disk calls `File.sync`.
 *
 * Can wait for a disk; interruptible.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File, Kvm } from "effect-linux"
 *
 * const freeze = (vm: Kvm.Vm, path: string) =>
 *   Effect.gen(function* () {
 *     const file = yield* File.create(path, { mode: 0o600 })
 *     yield* Kvm.saveSnapshot(yield* Kvm.snapshot(vm), file)
 *   }).pipe(Effect.scoped)
 *
 * const thaw = (path: string) =>
 *   Effect.gen(function* () {
 *     const snapshot = yield* Kvm.loadSnapshot(yield* File.open(path))
 *     return yield* Kvm.fork(snapshot)
 *   })
 * ```
 *
 * @category snapshots
 * @since 0.1.0
 */
export const saveSnapshot = Effect.fnUntraced(function* (
  snapshot: Snapshot,
  file: File.File<unknown>
): Effect.fn.Return<void, SaveSnapshotError> {
  const { memory, ...rest } = snapshot
  // A snapshot that does not fit its own schema is no Snapshot.
  const text = yield* Effect.orDie(encodeState({ ...rest, memory: { size: memory.size } }))
  const state = new TextEncoder().encode(text)
  const memoryOffset = roundUp(head.size + state.length)
  yield* File.truncate(file, 0)
  yield* File.truncate(file, memoryOffset + memory.size)
  for (const { bytes, offset } of memory.extents()) yield* File.pwriteAll(file, bytes, memoryOffset + offset)
  yield* File.pwriteAll(file, state, head.size)
  const headBytes = head.encode({
    magic,
    version,
    flags: 0,
    state_length: BigInt(state.length),
    memory_offset: BigInt(memoryOffset),
    memory_size: BigInt(memory.size),
    digest: new Uint8Array(0)
  })
  headBytes.set(digestOf(headBytes, state), head.fields.digest.offset)
  yield* File.pwriteAll(file, headBytes, 0)
})

/**
 * What reading a snapshot from a file fails with: `BadSnapshot` where that is none.
 *
 * @category errors
 * @since 0.1.0
 */
export type LoadSnapshotError = BadSnapshot | StoreError | errors.Pread64Error | errors.LseekError

/** Fills a buffer from a place in a file; false where the file ends before. */
const readFully = Effect.fnUntraced(function* (
  file: File.File<unknown>,
  buffer: Uint8Array,
  offset: number
): Effect.fn.Return<boolean, errors.Pread64Error> {
  for (let done = 0; done < buffer.length; ) {
    const count = yield* File.pread(file, buffer.subarray(done), offset + done)
    if (count === 0) return false
    done += count
  }
  return true
})

const bad = (field: BadSnapshot["field"], detail: string) => Effect.fail(new BadSnapshot({ field, detail }))

/** The head and the state behind it, checked. */
const readState = Effect.fnUntraced(function* (file: File.File<unknown>) {
  const headBytes = new Uint8Array(head.size)
  if (!(yield* readFully(file, headBytes, 0))) return yield* bad("magic", "the file ends before")
  const fields = head.decode(headBytes)
  if (fields.magic.some((byte, index) => byte !== magic[index]))
    return yield* bad("magic", "it is another kind of file")
  if (fields.version !== version) return yield* bad("version", `${fields.version} is not ${version}`)
  const { stx_size } = yield* File.stat(file)
  const { memory_offset, memory_size, state_length } = fields
  if (state_length > longestState) return yield* bad("state_length", `${state_length} is more than ${longestState}`)
  if (memory_offset !== BigInt(roundUp(head.size + Number(state_length)))) {
    return yield* bad("memory_offset", `${memory_offset} is not where the state ends`)
  }
  // No larger than the file, whose size is exact as a number.
  if (memory_offset + memory_size !== stx_size || stx_size > Number.MAX_SAFE_INTEGER) {
    return yield* bad("memory_size", `${memory_size} is not what the file of ${stx_size} bytes has`)
  }
  const state = new Uint8Array(Number(state_length))
  if (!(yield* readFully(file, state, head.size))) return yield* bad("state", "the file ends before")
  if (digestOf(headBytes, state).some((byte, index) => byte !== fields.digest[index])) {
    return yield* bad("digest", "the head or the state is damaged")
  }
  const decoded = yield* Effect.catchTag(decodeState(new TextDecoder().decode(state)), "SchemaError", ({ message }) =>
    bad("state", message)
  )
  if (BigInt(decoded.memory.size) !== memory_size) {
    return yield* bad("memory_size", `${memory_size} is not the state's ${decoded.memory.size}`)
  }
  return { decoded, memoryOffset: Number(memory_offset) }
})

/** Where the next byte lies that is not in a hole, from a place in the file on. */
const seekData = (file: File.File<unknown>, offset: number): Effect.Effect<number | undefined, errors.LseekError> =>
  File.seek(file, File.Seek.data(offset)).pipe(
    Effect.catchTag("ENXIO", () => Effect.succeed(undefined)),
    // A file system that does not know of holes.
    Effect.catchTag("EINVAL", () => Effect.succeed(offset))
  )

/**
 * Reads a snapshot from a file that {@link saveSnapshot} wrote. The contents of its memory are copied to a sealed memfd of
 * the scope, holes left out: nothing done to the file later reaches them, and forks share them.
 *
 * Whatever the file holds, it is checked before it is believed: `BadSnapshot` tells what is wrong with it. Moves the file
 * offset.
 *
 * Can wait for a disk; interruptible.
 *
 * @category snapshots
 * @since 0.1.0
 */
export const loadSnapshot = Effect.fnUntraced(function* (
  file: File.File<unknown>
): Effect.fn.Return<Snapshot, LoadSnapshotError, Scope.Scope> {
  const { decoded, memoryOffset } = yield* readState(file)
  const { memory, ...state } = decoded
  const contents = yield* store(memory.size, partsOf(state.regions))
  const end = memoryOffset + memory.size
  const buffer = new Uint8Array(Math.min(atOnce, memory.size))
  for (let at: number | undefined = memoryOffset; at < end; ) {
    const data: number | undefined = yield* seekData(file, at)
    if (data === undefined || data >= end) break
    // Blocks of file systems are as large as pages, or parts of them.
    at = Math.max(memoryOffset, data - ((data - memoryOffset) % pageSize))
    const piece = buffer.subarray(0, Math.min(buffer.length, end - at))
    if (!(yield* readFully(file, piece, at))) return yield* bad("memory", "the file became shorter")
    yield* contents.put(at - memoryOffset, piece)
    at += piece.length
  }
  return { ...state, memory: yield* contents.done }
})
