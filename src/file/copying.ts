/**
 * Copying from one descriptor to another without the bytes passing through JavaScript, where the kernel can.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import type { Errno } from "../errors/registry.ts"
import * as constants from "../internal/constants.ts"
import type { Descriptor } from "../internal/descriptor.ts"
import * as describe from "../syscall/descriptions.ts"
import { stat } from "./metadata.ts"
import { type File, own } from "./model.ts"
import { runOnBoth } from "./several.ts"
import { pwriteAll, writeAll } from "./transfer.ts"

/**
 * What is copied, and how.
 *
 * @category models
 * @since 0.1.0
 */
export interface CopyOptions<E = never, R = never> {
  /** The most bytes that are asked for at once, and then told to `onProgress`: 16 MiB unless said. */
  readonly chunkSize?: number | undefined
  /** The most bytes that are copied: all there are, unless said. */
  readonly length?: number | undefined
  /** Run after each piece with the bytes copied so far; the next piece waits for it. */
  readonly onProgress?: ((copied: number) => Effect.Effect<unknown, E, R>) | undefined
  /** Where to read, in bytes from the start, without moving the file offset; at the file offset, unless said. */
  readonly sourceOffset?: number | bigint | undefined
  /** Where to write, in bytes from the start, without moving the file offset; at the file offset, unless said. */
  readonly targetOffset?: number | bigint | undefined
}

/**
 * What copying fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export type CopyError =
  | errors.CopyFileRangeError
  | errors.SendfileError
  | errors.SpliceError
  | errors.ReadError
  | errors.Pread64Error
  | errors.WriteError
  | errors.Pwrite64Error
  | errors.StatxError

const defaultChunk = 16 * 1024 * 1024
const mostAtOnce = 0x7ffff000
/** What goes through JavaScript at once, where the kernel cannot do it. */
const buffered = 256 * 1024

/**
 * The errnos by which a call says that it is not made for these files. What is wrong with the files themselves, reading and
 * writing will say, which are asked last.
 */
const unsuited: ReadonlySet<number> = new Set([
  codes.EBADF,
  codes.EINVAL,
  codes.EISDIR,
  codes.ENODEV,
  codes.ENOSYS,
  codes.EOPNOTSUPP,
  codes.EOVERFLOW,
  codes.EPERM,
  codes.ESPIPE,
  codes.EXDEV
])

/** Moves up to `wanted` bytes when `done` of them are copied; returns how many, 0 at the end. */
type Move = (done: number, wanted: number) => Effect.Effect<number, CopyError>

const place = (offset: number | bigint | undefined, done: number): number | bigint | null =>
  offset === undefined ? null : typeof offset === "bigint" ? offset + BigInt(done) : offset + done

/** By reading and writing. */
const byHand = (
  source: File<unknown>,
  target: File<unknown>,
  { sourceOffset, targetOffset }: CopyOptions<unknown, unknown>
): Move => {
  const buffer = new Uint8Array(buffered)
  // Who waits for the source hears of the target's closing too.
  const get = (room: Uint8Array, from: number | bigint | null): Effect.Effect<number, CopyError> =>
    from === null
      ? runOnBoth(own(source), own(target), describe.read(own(source).fd, room))
      : runOnBoth(own(source), own(target), describe.pread64(own(source).fd, room, from))
  return Effect.fnUntraced(function* (done, wanted): Effect.fn.Return<number, CopyError> {
    const room = wanted < buffered ? buffer.subarray(0, wanted) : buffer
    const from = place(sourceOffset, done)
    const to = place(targetOffset, done)
    const count = yield* get(room, from)
    if (count === 0) return 0
    const bytes = room.subarray(0, count)
    yield* to === null ? writeAll(target, bytes) : pwriteAll(target, bytes, to)
    return count
  })
}

/** The ways to copy, the best first. */
const movesOf = (
  source: File<unknown>,
  target: File<unknown>,
  options: CopyOptions<unknown, unknown>
): ReadonlyArray<() => Move> => {
  const from = own(source)
  const to = own(target)
  const { sourceOffset, targetOffset } = options
  const range: Move = (done, wanted) => {
    const places = [from.fd, place(sourceOffset, done), to.fd, place(targetOffset, done), wanted] as const
    return runOnBoth(from, to, describe.copy_file_range(...places))
  }
  const sendfile: Move = (done, wanted) =>
    runOnBoth(from, to, describe.sendfile(to.fd, from.fd, place(sourceOffset, done), wanted))
  const splice: Move = (done, wanted) => {
    const places = [from.fd, place(sourceOffset, done), to.fd, place(targetOffset, done), wanted] as const
    return runOnBoth(from, to, describe.splice(...places))
  }
  return [
    () => range,
    // sendfile has no place of its own to write to.
    ...(targetOffset === undefined ? [() => sendfile] : []),
    () => splice,
    () => byHand(source, target, options)
  ]
}

/** Whether both are the same regular file: then a copy onto itself is refused, as the kernel does, and not tried by other ways. */
const areOne = (source: Descriptor, target: Descriptor): Effect.Effect<boolean, errors.StatxError> =>
  Effect.map(
    Effect.all([stat(source), stat(target)]),
    ([a, b]) =>
      (a.stx_mode & constants.S_IFMT) === constants.S_IFREG &&
      a.stx_ino === b.stx_ino &&
      a.stx_dev_major === b.stx_dev_major &&
      a.stx_dev_minor === b.stx_dev_minor
  )

/**
 * Copies from one file to another, from file offset to file offset unless said otherwise, to the end of the source;
 * returns the number of bytes.
 *
 * The kernel copies by itself where it can: it shares the blocks of files on file systems that know how (`copy_file_range`),
 * or moves pages (`sendfile`, `splice`); else the bytes are read and written. All kinds of files will do: regular
 * ones, pipes, sockets, devices, files of `/proc`. Copying between overlapping ranges of one file fails with `EINVAL`.
 *
 * Can wait; interruptible, and then some of it may have been copied. Manual pages: copy_file_range(2), sendfile(2),
 * splice(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File } from "effect-linux"
 *
 * const copy = (from: string, to: string) =>
 *   Effect.gen(function* () {
 *     const source = yield* File.open(from)
 *     const target = yield* File.create(to, { mode: 0o644 })
 *     return yield* File.copyTo(source, target, {
 *       onProgress: (copied) => Effect.log(`${copied} bytes`)
 *     })
 *   }).pipe(Effect.scoped)
 * ```
 *
 * @category copying
 * @since 0.1.0
 */
export const copyTo = Effect.fnUntraced(function* <E = never, R = never>(
  source: File<unknown>,
  target: File<unknown>,
  options: CopyOptions<E, R> = {}
): Effect.fn.Return<number, CopyError | E, R> {
  const { chunkSize = defaultChunk, length = Number.POSITIVE_INFINITY, onProgress } = options
  const refuse = (detail: string) =>
    Effect.fail(errors.copy_file_range.make(codes.EINVAL, undefined, own(source).fd, detail))
  if (!Number.isSafeInteger(chunkSize) || chunkSize <= 0) return yield* refuse(`chunkSize: ${chunkSize} is no length`)
  if (length !== Number.POSITIVE_INFINITY && (!Number.isSafeInteger(length) || length < 0)) {
    return yield* refuse(`length: ${length} is no length`)
  }
  const [first, ...others] = movesOf(source, target, options)
  let move = first?.()
  let done = 0
  while (move !== undefined && done < length) {
    const moved: Exit.Exit<number, CopyError> = yield* Effect.exit(
      move(done, Math.min(chunkSize, length - done, mostAtOnce))
    )
    if (Exit.isSuccess(moved)) {
      if (moved.value > 0) {
        done += moved.value
        if (onProgress !== undefined) yield* onProgress(done)
        continue
      }
      // A file of /proc has nothing to copy for those who ask its size.
      if (done > 0 || others.length === 0) return done
    } else {
      const error: Errno | undefined = errnoOf(moved)
      if (error === undefined || !unsuited.has(error.errno) || others.length === 0) return yield* moved
      if (error.errno === codes.EINVAL && (yield* areOne(own(source), own(target)))) return yield* moved
    }
    move = others.shift()?.()
  }
  return done
})

const errnoOf = (exit: Exit.Exit<unknown, CopyError>): CopyError | undefined => {
  const [reason] = Exit.isFailure(exit) ? exit.cause.reasons : []
  return reason?._tag === "Fail" ? reason.error : undefined
}
