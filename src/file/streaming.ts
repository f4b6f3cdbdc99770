/**
 * A file as a `Stream` of what is in it, and as a `Sink` of what goes into it.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import { type File, own } from "./model.ts"
import { pread, pwritev, read, writev } from "./transfer.ts"

/**
 * What part of a file is streamed, and in what pieces.
 *
 * @category models
 * @since 0.1.0
 */
export interface StreamOptions {
  /** The most bytes that are read at once: 64 KiB unless said, and below 2 GiB. */
  readonly chunkSize?: number | undefined
  /** The most bytes that are streamed: all there are, unless said. */
  readonly length?: number | undefined
  /** Where to begin, in bytes from the start, without moving the file offset; at the file offset, unless said. */
  readonly offset?: number | bigint | undefined
}

/** The most that the kernel transfers at once: MAX_RW_COUNT. */
const mostAtOnce = 0x7ffff000

const defaultChunk = 64 * 1024

/** Memory that is not cleared first, as a read fills it: what a read leaves is never shown. */
const fresh = (length: number): Uint8Array<ArrayBuffer> => {
  const { buffer, byteOffset } = Buffer.allocUnsafeSlow(length)
  return new Uint8Array(buffer, byteOffset, length)
}

/**
 * A file as a stream of chunks of at most `chunkSize` bytes, each its own memory: from the file offset, which moves, or from
 * `offset`, to the end or for `length` bytes.
 *
 * Nothing is read before it is asked for. A pipe, socket or terminal gives what it has, as it comes. What was read when the
 * stream is interrupted is lost with it, where the file cannot be read again. Can wait; interruptible.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { File } from "effect-linux"
 *
 * const size = Effect.gen(function* () {
 *   const file = yield* File.open("/etc/passwd")
 *   return yield* Stream.runFold(File.stream(file), () => 0, (sum: number, chunk) => sum + chunk.length)
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category streaming
 * @since 0.1.0
 */
export const stream = (
  file: File<unknown>,
  options: StreamOptions = {}
): Stream.Stream<Uint8Array, errors.ReadError | errors.Pread64Error> => {
  const { chunkSize = defaultChunk, length = Number.POSITIVE_INFINITY, offset } = options
  const refuse = (detail: string) => Stream.fail(errors.read.make(codes.EINVAL, undefined, own(file).fd, detail))
  if (!Number.isSafeInteger(chunkSize) || chunkSize <= 0 || chunkSize > mostAtOnce) {
    return refuse(`chunkSize: ${chunkSize} is no length of a chunk`)
  }
  if (length !== Number.POSITIVE_INFINITY && (!Number.isSafeInteger(length) || length < 0)) {
    return refuse(`length: ${length} is no length`)
  }
  return Stream.fromPull(
    Effect.sync(() => {
      let done = 0
      return Effect.suspend(() => {
        const wanted = Math.min(chunkSize, length - done)
        if (wanted === 0) return Cause.done()
        const chunk = fresh(wanted)
        const reading: Effect.Effect<number, errors.ReadError | errors.Pread64Error> =
          offset === undefined ? read(file, chunk) : pread(file, chunk, past(offset, done))
        return Effect.flatMap(reading, (count) => {
          if (count === 0) return Cause.done()
          done += count
          return Effect.succeed([count === wanted ? chunk : chunk.slice(0, count)] as const)
        })
      })
    })
  )
}

const past = (offset: number | bigint, done: number): number | bigint =>
  typeof offset === "bigint" ? offset + BigInt(done) : offset + done

/**
 * Where a sink writes, and in what pieces.
 *
 * @category models
 * @since 0.1.0
 */
export interface SinkOptions {
  /**
   * Gather at least so many bytes before each write, but for the last: for streams of many small pieces. Unless said,
   * what comes is written as it comes.
   */
  readonly chunkSize?: number | undefined
  /** Where to begin, in bytes from the start, without moving the file offset; at the file offset, unless said. */
  readonly offset?: number | bigint | undefined
}

/** The most buffers that the kernel takes: UIO_MAXIOV. */
const mostBuffers = 1024

/**
 * Writes all of the pieces; `at` is the place in the file, or undefined for its own offset. Memory that is full of small
 * pieces costs one call for a thousand of them.
 */
const writeEach = Effect.fnUntraced(function* (
  file: File<unknown>,
  pieces: ReadonlyArray<Uint8Array>,
  at: number | bigint | undefined
): Effect.fn.Return<number, errors.WritevError | errors.PwritevError> {
  let total = 0
  let left = pieces.filter(({ length }) => length > 0)
  while (left.length > 0) {
    const now = left.length > mostBuffers ? left.slice(0, mostBuffers) : left
    let count = yield* at === undefined ? writev(file, now) : pwritev(file, now, past(at, total))
    if (count === 0) {
      return yield* Effect.fail(errors.writev.make(codes.EIO, undefined, own(file).fd, "the kernel took no bytes"))
    }
    total += count
    let whole = 0
    for (let piece = left[0]; piece !== undefined && piece.length <= count; piece = left[++whole]) count -= piece.length
    left = left.slice(whole)
    if (count > 0 && left[0] !== undefined) left[0] = left[0].subarray(count)
  }
  return total
})

/**
 * A sink that writes all it is given, at the file offset, which moves, or from `offset` on; its result is the number of
 * bytes. Nothing more is asked for before what came is written.
 *
 * Write errors of the disk that come late are told by {@link sync} and {@link close}. Can wait; interruptible, and then some
 * of what came may have been written.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { File } from "effect-linux"
 *
 * const numbers = Effect.gen(function* () {
 *   const file = yield* File.create("/tmp/numbers", { mode: 0o644 })
 *   const lines = Stream.map(Stream.range(1, 1000), (n) => `${n}\n`)
 *   return yield* Stream.run(Stream.encodeText(lines), File.sink(file, { chunkSize: 64 * 1024 }))
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category streaming
 * @since 0.1.0
 */
export const sink = (
  file: File<unknown>,
  options: SinkOptions = {}
): Sink.Sink<number, Uint8Array, never, errors.WritevError | errors.PwritevError> => {
  const { chunkSize = 0, offset } = options
  if (!Number.isSafeInteger(chunkSize) || chunkSize < 0 || chunkSize > mostAtOnce) {
    const detail = `chunkSize: ${chunkSize} is no length of a chunk`
    return Sink.fail(errors.writev.make(codes.EINVAL, undefined, own(file).fd, detail))
  }
  return Sink.fromTransform((upstream) => {
    let total = 0
    let gathered: Array<Uint8Array> = []
    let size = 0
    const flush = Effect.suspend(() => {
      const pieces = gathered
      gathered = []
      size = 0
      return Effect.map(writeEach(file, pieces, offset === undefined ? undefined : past(offset, total)), (count) => {
        total += count
      })
    })
    return upstream.pipe(
      Effect.flatMap((pieces) => {
        for (const piece of pieces) {
          gathered.push(piece)
          size += piece.length
        }
        return size < chunkSize ? Effect.void : flush
      }),
      Effect.forever({ disableYield: true }),
      Pull.catchDone(() => Effect.map(flush, (): Sink.End<number> => [total]))
    )
  })
}
