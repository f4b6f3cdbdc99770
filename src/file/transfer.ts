/**
 * Reading and writing, and the offset at which both happen. Streams and copies are in `streaming.ts` and `copying.ts`.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import type { Buffer } from "../internal/arguments.ts"
import { Trait } from "../internal/attempt.ts"
import * as constants from "../internal/constants.ts"
import { type Descriptor, runOn } from "../internal/descriptor.ts"
import { type Description, Misuse, onThisThread, run } from "../internal/invoke.ts"
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
  describe.readOn(own(file), buffer)

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
  describe.writeOn(own(file), buffer)

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
): Effect.Effect<number, errors.Pread64Error> => describe.pread64On(own(file), buffer, offset)

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
): Effect.Effect<number, errors.Pwrite64Error> => describe.pwrite64On(own(file), buffer, offset)

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

/**
 * Reads into several buffers, one after the other, at `offset` bytes from the start; the file offset stays where it is.
 *
 * Can wait; interruptible. Manual page: preadv(2).
 *
 * @category reading
 * @since 0.1.0
 */
export const preadv = (
  file: File<unknown>,
  buffers: ReadonlyArray<Buffer>,
  offset: number | bigint
): Effect.Effect<number, errors.PreadvError> => runOn(own(file), describe.preadv(own(file).fd, buffers, offset))

/**
 * Writes several buffers as one at `offset` bytes from the start; the file offset stays where it is.
 *
 * Can wait; interruptible. Manual page: pwritev(2).
 *
 * @category writing
 * @since 0.1.0
 */
export const pwritev = (
  file: File<unknown>,
  buffers: ReadonlyArray<Buffer>,
  offset: number | bigint
): Effect.Effect<number, errors.PwritevError> => runOn(own(file), describe.pwritev(own(file).fd, buffers, offset))

/**
 * How one read is to be made, in words. All are false unless said.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReadFlags {
  /** In bytes from the start; the file offset, which moves, unless said. */
  readonly offset?: number | bigint | undefined
  /** Leave nothing in the page cache that was not there: `RWF_DONTCACHE`. Linux 6.14. */
  readonly dontCache?: boolean | undefined
  /** Poll for completion; for `direct` files: `RWF_HIPRI`. */
  readonly highPriority?: boolean | undefined
  /** Answer `EAGAIN` rather than wait: `RWF_NOWAIT`. Linux 4.14. */
  readonly noWait?: boolean | undefined
}

/**
 * How one write is to be made, in words. All are false unless said.
 *
 * @category models
 * @since 0.1.0
 */
export interface WriteFlags extends ReadFlags {
  /** To the end, wherever the offset says: `RWF_APPEND`. Linux 4.16. */
  readonly append?: boolean | undefined
  /** All or nothing, also when the power fails; for `direct` files: `RWF_ATOMIC`. Linux 6.11. */
  readonly atomic?: boolean | undefined
  /** Wait until it is on the disk, contents only: `RWF_DSYNC`. */
  readonly dataSync?: boolean | undefined
  /** At the offset, though the file is open for appending: `RWF_NOAPPEND`. Linux 6.9. */
  readonly noAppend?: boolean | undefined
  /** Wait until it is on the disk: `RWF_SYNC`. */
  readonly sync?: boolean | undefined
}

const flagWords: ReadonlyArray<readonly [keyof WriteFlags, number]> = [
  ["append", constants.RWF_APPEND],
  ["atomic", constants.RWF_ATOMIC],
  ["dataSync", constants.RWF_DSYNC],
  ["dontCache", constants.RWF_DONTCACHE],
  ["highPriority", constants.RWF_HIPRI],
  ["noAppend", constants.RWF_NOAPPEND],
  ["noWait", constants.RWF_NOWAIT],
  ["sync", constants.RWF_SYNC]
]

const flagBits = (flags: WriteFlags): number =>
  flagWords.reduce((bits, [word, bit]) => (flags[word] === true ? bits | bit : bits), 0)

/**
 * A transfer that must not wait is not waited for either, on a file whose calls else wait until it is ready: it is run
 * without its owner, of which it needs to know only whether it is open.
 */
const runOnce = <A, E>(self: Descriptor, description: Description<A, E>): Effect.Effect<A, E> =>
  description.options === onThisThread
    ? run({
        ...description,
        prepare: () => {
          if (self.closed) throw new Misuse(codes.EBADF, "the File is closed")
          return description.prepare()
        }
      })
    : runOn(self, description)

/** To the v2 calls an offset of -1 means the file's own. */
const offsetOf = (offset: number | bigint | undefined): number | bigint => offset ?? -1

/**
 * Reads into several buffers in a special way.
 *
 * Fails with `EOPNOTSUPP` where the kernel or the file does not know the way. Can wait, but with `noWait`; interruptible.
 * Manual page: preadv2(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File } from "effect-linux"
 *
 * // what the page cache has, and no more
 * const cached = (file: File.File, buffer: Uint8Array) =>
 *   File.preadv2(file, [buffer], { offset: 0, noWait: true }).pipe(Effect.catchTag("EAGAIN", () => Effect.succeed(0)))
 * ```
 *
 * @category reading
 * @since 0.1.0
 */
export const preadv2 = (
  file: File<unknown>,
  buffers: ReadonlyArray<Buffer>,
  flags: ReadFlags = {}
): Effect.Effect<number, errors.Preadv2Error> =>
  Effect.suspend(() => {
    const self = own(file)
    if (flags.offset !== undefined && flags.offset < 0) {
      return Exit.fail(errors.preadv2.make(codes.EINVAL, undefined, self.fd, `offset: ${flags.offset} is no offset`))
    }
    return runOnce(self, describe.preadv2(self.fd, buffers, offsetOf(flags.offset), flagBits(flags)))
  })

/**
 * Writes several buffers as one in a special way.
 *
 * Fails with `EOPNOTSUPP` where the kernel or the file does not know the way. Can wait, but with `noWait`; interruptible.
 * Manual page: pwritev2(2).
 *
 * @category writing
 * @since 0.1.0
 */
export const pwritev2 = (
  file: File<unknown>,
  buffers: ReadonlyArray<Buffer>,
  flags: WriteFlags = {}
): Effect.Effect<number, errors.Pwritev2Error> =>
  Effect.suspend(() => {
    const self = own(file)
    if (flags.offset !== undefined && flags.offset < 0) {
      return Exit.fail(errors.pwritev2.make(codes.EINVAL, undefined, self.fd, `offset: ${flags.offset} is no offset`))
    }
    return runOnce(self, describe.pwritev2(self.fd, buffers, offsetOf(flags.offset), flagBits(flags)))
  })

const tookNothing = "the kernel took no bytes"

// What the last file was read into first: to make such memory anew takes longer than to read a small file.
let spare: Uint8Array<ArrayBuffer> | undefined
const regular = Trait.local | Trait.memory
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
  const first = spare ?? new Uint8Array(firstChunk)
  spare = undefined
  const { traits } = own(file)
  let buffer = first
  let length = 0
  while (true) {
    if (length === buffer.length) {
      const larger = new Uint8Array(buffer.length * 2)
      larger.set(buffer)
      buffer = larger
    }
    const count = yield* read(file, length === 0 ? buffer : buffer.subarray(length))
    length += count
    // A regular file on a disk or in memory gives less than was asked for at its end only; others must be asked again.
    const isAtEnd = length < buffer.length && (traits.bits & regular) !== 0 && (traits.bits & Trait.pollable) === 0
    if (count === 0 || isAtEnd) {
      const all = buffer.slice(0, length)
      spare = first
      return all
    }
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
    const count = yield* write(file, done === 0 ? bytes : bytes.subarray(done))
    if (count === 0) return yield* Effect.fail(errors.write.make(codes.EIO, undefined, fd, tookNothing))
    done += count
  }
})

/**
 * Writes all of `bytes` at `offset` bytes from the start, going on where a write was short; the file offset stays where it
 * is.
 *
 * Can wait; interruptible, and then some of it may have been written.
 *
 * @category writing
 * @since 0.1.0
 */
export const pwriteAll = Effect.fnUntraced(function* (
  file: File<unknown>,
  bytes: Uint8Array,
  offset: number | bigint
): Effect.fn.Return<void, errors.Pwrite64Error> {
  const { closed, fd } = own(file)
  if (closed) return yield* Effect.fail(errors.pwrite64.make(codes.EBADF, undefined, fd, "the File is closed"))
  for (let done = 0; done < bytes.length; ) {
    const at = typeof offset === "bigint" ? offset + BigInt(done) : offset + done
    const count = yield* pwrite(file, done === 0 ? bytes : bytes.subarray(done), at)
    if (count === 0) return yield* Effect.fail(errors.pwrite64.make(codes.EIO, undefined, fd, tookNothing))
    done += count
  }
})

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
