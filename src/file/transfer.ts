/**
 * Reading and writing, and the offset at which both happen.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import type { Buffer } from "../internal/arguments.ts"
import * as constants from "../internal/constants.ts"
import { runOn } from "../internal/descriptor.ts"
import * as describe from "../syscall/descriptions.ts"
import { type File, own } from "./model.ts"

/**
 * Reads at the file offset into `buffer`; returns the number of bytes, 0 at the end of the file.
 *
 * Can wait; interruptible. Manual page: read(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File } from "effect-linux"
 *
 * const magic = Effect.gen(function* () {
 *   const file = yield* File.open("/bin/sh")
 *   const buffer = new Uint8Array(4)
 *   yield* File.read(file, buffer)
 *   return buffer // 0x7f, "ELF"
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category reading
 * @since 0.1.0
 */
export const read = (file: File<unknown>, buffer: Buffer): Effect.Effect<number, errors.ReadError> =>
  runOn(own(file), describe.read(own(file).fd, buffer))

/**
 * Writes `buffer` at the file offset; returns the number of bytes, which may be fewer: see {@link writeAll}.
 *
 * Can wait; interruptible. Manual page: write(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File } from "effect-linux"
 *
 * const hello = Effect.gen(function* () {
 *   const file = yield* File.open("/tmp/hello", { access: "write", create: true, truncate: true, mode: 0o644 })
 *   return yield* File.write(file, new TextEncoder().encode("hello")) // 5
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category writing
 * @since 0.1.0
 */
export const write = (file: File<unknown>, buffer: Buffer): Effect.Effect<number, errors.WriteError> =>
  runOn(own(file), describe.write(own(file).fd, buffer))

/**
 * Reads at `offset` bytes from the start; the file offset stays where it is.
 *
 * Can wait; interruptible. Manual page: pread(2).
 *
 * @category reading
 * @since 0.1.0
 */
export const pread = (
  file: File<unknown>,
  buffer: Buffer,
  offset: number | bigint
): Effect.Effect<number, errors.Pread64Error> => runOn(own(file), describe.pread64(own(file).fd, buffer, offset))

/**
 * Writes at `offset` bytes from the start; the file offset stays where it is.
 *
 * Can wait; interruptible. Manual page: pwrite(2).
 *
 * @category writing
 * @since 0.1.0
 */
export const pwrite = (
  file: File<unknown>,
  buffer: Buffer,
  offset: number | bigint
): Effect.Effect<number, errors.Pwrite64Error> => runOn(own(file), describe.pwrite64(own(file).fd, buffer, offset))

/**
 * Reads into several buffers, one after the other.
 *
 * Can wait; interruptible. Manual page: readv(2).
 *
 * @category reading
 * @since 0.1.0
 */
export const readv = (file: File<unknown>, buffers: ReadonlyArray<Buffer>): Effect.Effect<number, errors.ReadvError> =>
  runOn(own(file), describe.readv(own(file).fd, buffers))

/**
 * Writes several buffers as one.
 *
 * Can wait; interruptible. Manual page: writev(2).
 *
 * @category writing
 * @since 0.1.0
 */
export const writev = (
  file: File<unknown>,
  buffers: ReadonlyArray<Buffer>
): Effect.Effect<number, errors.WritevError> => runOn(own(file), describe.writev(own(file).fd, buffers))

const firstChunk = 16 * 1024

/**
 * Reads from the file offset to the end of the file. The length that the file claims to have plays no part, so that it is
 * right for files of /proc, for pipes and for files that grow meanwhile.
 *
 * Can wait; interruptible.
 *
 * @category reading
 * @since 0.1.0
 */
export const readAll = Effect.fnUntraced(function* (
  file: File<unknown>
): Effect.fn.Return<Uint8Array, errors.ReadError> {
  let buffer = new Uint8Array(firstChunk)
  let length = 0
  while (true) {
    if (length === buffer.length) {
      const larger = new Uint8Array(buffer.length * 2)
      larger.set(buffer)
      buffer = larger
    }
    const count = yield* read(file, buffer.subarray(length))
    if (count === 0) return buffer.slice(0, length)
    length += count
  }
})

/**
 * Writes all of `buffer` at the file offset, going on where a write was short.
 *
 * Can wait; interruptible, and then some of it may have been written.
 *
 * @category writing
 * @since 0.1.0
 */
export const writeAll = Effect.fnUntraced(function* (
  file: File<unknown>,
  bytes: Uint8Array
): Effect.fn.Return<void, errors.WriteError> {
  const { closed, fd } = own(file)
  if (closed) return yield* Effect.fail(errors.write.make(codes.EBADF, undefined, fd, "the File is closed"))
  for (let done = 0; done < bytes.length; ) {
    const count = yield* write(file, bytes.subarray(done))
    if (count === 0) {
      return yield* Effect.fail(errors.write.make(codes.EIO, undefined, own(file).fd, "the kernel took no bytes"))
    }
    done += count
  }
})

/**
 * The file from its offset to its end as a stream of chunks of at most `chunkSize` bytes (64 KiB), each its own memory.
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
 * @category reading
 * @since 0.1.0
 */
export const stream = (
  file: File<unknown>,
  options: { readonly chunkSize?: number } = {}
): Stream.Stream<Uint8Array, errors.ReadError> => {
  const { chunkSize = 64 * 1024 } = options
  if (!Number.isSafeInteger(chunkSize) || chunkSize <= 0) {
    return Stream.fail(errors.read.make(codes.EINVAL, undefined, own(file).fd, `chunkSize: ${chunkSize} is no length`))
  }
  return Stream.paginate(undefined, () => {
    const chunk = new Uint8Array(chunkSize)
    return Effect.map(read(file, chunk), (count) =>
      count === 0
        ? ([[], Option.none<undefined>()] as const)
        : ([[count === chunkSize ? chunk : chunk.slice(0, count)], Option.some(undefined)] as const)
    )
  })
}

/**
 * Where to move the file offset: `offset` bytes from the start, the current offset or the end of the file; or to the
 * first byte of data, or the first hole, at or after `offset` from the start.
 *
 * @category models
 * @since 0.1.0
 */
export interface Seek {
  readonly from: "start" | "current" | "end" | "data" | "hole"
  readonly offset: number | bigint
}

const seekTo =
  (from: Seek["from"]) =>
  (offset: number | bigint): Seek => ({ from, offset })

/**
 * Makes {@link Seek} values: `Seek.end(-10)`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const Seek: { readonly [From in Seek["from"]]: (offset: number | bigint) => Seek } = {
  start: seekTo("start"),
  current: seekTo("current"),
  end: seekTo("end"),
  data: seekTo("data"),
  hole: seekTo("hole")
}

const whence = {
  start: constants.SEEK_SET,
  current: constants.SEEK_CUR,
  end: constants.SEEK_END,
  data: constants.SEEK_DATA,
  hole: constants.SEEK_HOLE
}

/**
 * Moves the file offset; returns the new one, in bytes from the start.
 *
 * Does not block. Manual page: lseek(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File } from "effect-linux"
 *
 * const lastLine = Effect.gen(function* () {
 *   const file = yield* File.open("/etc/passwd")
 *   yield* File.seek(file, File.Seek.end(-64))
 *   return yield* File.readAll(file)
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category offset
 * @since 0.1.0
 */
export const seek = (file: File<unknown>, to: Seek): Effect.Effect<number, errors.LseekError> =>
  runOn(own(file), describe.lseek(own(file).fd, to.offset, whence[to.from]))
