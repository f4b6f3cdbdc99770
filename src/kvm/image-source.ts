/** Where images come from, and how pieces of them get into guest memory. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { Pread64Error, StatxError } from "../errors/calls.ts"
import { EINVAL } from "../errors/errnos.ts"
import * as File from "../File.ts"
import { S_IFMT, S_IFREG } from "../internal/constants.ts"
import { type GuestMemoryError, type Memory, viewsOf } from "./address-find.ts"
import { fillMemory } from "./address-space.ts"

/**
 * What is wrong with an image: which `field` of which `format`, and why.
 *
 * @category errors
 * @since 0.1.0
 */
export class ImageError extends Data.TaggedError("ImageError")<{
  readonly format: "flat" | "elf" | "bzImage"
  /** By its name in the format's own headers. */
  readonly field: string
  readonly reason: string
}> {
  override get message(): string {
    return `${this.format} image: ${this.field}: ${this.reason}`
  }
}

export type Format = ImageError["format"]

export const refuse = (format: Format, field: string, reason: string): Effect.Effect<never, ImageError> =>
  Effect.fail(new ImageError({ format, field, reason }))

/** An image, whichever way it is held. */
export interface Source {
  readonly format: Format
  /** In bytes. */
  readonly size: number
  /** Fills `bytes` from an offset on: all, or it fails naming the field that led there. */
  readonly fill: (offset: number, bytes: Uint8Array, field: string) => Effect.Effect<void, ImageError | Pread64Error>
}

/** Images are copied and read in pieces of this size: the loop turns between them. */
const atOnce = 1 << 20

export const sourceOf = (
  format: Format,
  image: Uint8Array | File.File<unknown>
): Effect.Effect<Source, StatxError | ImageError> => {
  if (image instanceof Uint8Array) {
    return Effect.succeed({
      format,
      size: image.length,
      fill: (offset, bytes, field) =>
        Effect.suspend(() => {
          // It was as long as that when it was measured; a buffer that was given away since is not.
          if (offset + bytes.length > image.length) return refuse(format, field, "the image ends before")
          bytes.set(image.subarray(offset, offset + bytes.length))
          return Effect.void
        })
    })
  }
  return Effect.flatMap(File.stat(image), ({ stx_mode, stx_size }) =>
    (stx_mode & S_IFMT) === S_IFREG
      ? Effect.succeed({
          format,
          size: Number(stx_size),
          fill: (offset, bytes, field) => fromFile(format, image, offset, bytes, field)
        })
      : refuse(format, "file", "it is no regular file")
  )
}

const fromFile = (
  format: Format,
  file: File.File<unknown>,
  offset: number,
  bytes: Uint8Array,
  field: string
): Effect.Effect<void, ImageError | Pread64Error> => {
  const { length } = bytes
  const from = (done: number): Effect.Effect<void, ImageError | Pread64Error> =>
    done >= length
      ? Effect.void
      : Effect.flatMap(File.pread(file, bytes.subarray(done), offset + done), (count) =>
          count === 0 ? refuse(format, field, "the file ends before") : from(done + count)
        )
  return from(0)
}

/** So many bytes of an image. */
export const take = (
  source: Source,
  offset: number,
  length: number,
  field: string
): Effect.Effect<Uint8Array, ImageError | Pread64Error> =>
  Effect.suspend(() => {
    if (offset + length > source.size) {
      return refuse(source.format, field, `${length} bytes at ${offset} are past the image's ${source.size}`)
    }
    const bytes = new Uint8Array(length)
    return Effect.as(source.fill(offset, bytes, field), bytes)
  })

/** A piece of an image, and where it goes: `size` bytes, of which those after the first `length` are zeros. */
export interface Chunk {
  readonly offset: number
  readonly length: number
  readonly address: bigint
  readonly size: number
}

/** Puts pieces into memory, when it is known that there is room for all of them. */
export const put = (
  memory: Memory,
  source: Source,
  chunks: ReadonlyArray<Chunk>
): Effect.Effect<void, ImageError | GuestMemoryError | Pread64Error> =>
  Effect.gen(function* () {
    for (const { address, size } of chunks) yield* viewsOf(memory, address, size)
    for (const { address, length, offset, size } of chunks) {
      for (let done = 0; done < length; done += atOnce) {
        const count = Math.min(atOnce, length - done)
        let at = offset + done
        for (const view of yield* viewsOf(memory, address + BigInt(done), count)) {
          const { length } = view
          yield* source.fill(at, view, "length")
          at += length
        }
        yield* Effect.yieldNow
        // Memory that was released meanwhile is not there, and has not got what it was to get.
        yield* viewsOf(memory, address + BigInt(done), count)
      }
      yield* fillMemory(memory, address + BigInt(length), size - length)
    }
  })

export const addressIn = (address: number | bigint): Effect.Effect<bigint, EINVAL> =>
  typeof address === "bigint" || Number.isSafeInteger(address)
    ? Effect.succeed(BigInt(address))
    : Effect.fail(new EINVAL({ detail: `address: ${address} is no address` }))
