/**
 * Images put into guest memory: flat ones here, ELF files in `image-elf.ts`, kernels of the Linux boot protocol in
 * `image-linux.ts`.
 *
 * An image is bytes, or a file of which no more is held than a piece at a time. What it says of itself is believed only
 * after it was checked: an image that is wrong or hostile is an `ImageError` that names the field.
 */
import * as Effect from "effect/Effect"
import type { Pread64Error, StatxError } from "../errors/calls.ts"
import type * as File from "../File.ts"
import type { GuestMemoryError, Memory } from "./address-space.ts"
import { addressIn, type ImageError, put, refuse, type Source, sourceOf } from "./image-source.ts"

export { type ElfImage, type ElfOptions, type ElfSegment, loadElf } from "./image-elf.ts"
export { type LinuxImage, type LinuxOptions, loadBzImage } from "./image-linux.ts"
export { ImageError } from "./image-source.ts"
export * from "./structs/image.ts"

/**
 * What loading an image from a file fails with, beside what loading it from bytes does.
 *
 * @category errors
 * @since 0.1.0
 */
export type ImageFileError = Pread64Error | StatxError

/**
 * Puts an image at a guest address as it is: all of it, or `length` bytes from its `offset` on. Gives how many bytes that
 * were.
 *
 * Nothing is written where it does not fit: `OutOfGuestMemory`. From a file it can wait; interruptible, and the guest's
 * memory then holds a part of it.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File, Kvm } from "effect-linux"
 *
 * // a firmware, so that it ends where the first 4 GiB do
 * const withFirmware = (vm: Kvm.Vm) =>
 *   Effect.gen(function* () {
 *     const rom = yield* Kvm.addMemory(vm, { guestAddress: 0xffff0000, size: 0x10000, readOnly: true })
 *     yield* Kvm.loadFlat(rom, yield* File.open("bios.bin"), 0xffff0000)
 *   })
 * ```
 *
 * @category images
 * @since 0.1.0
 */
export const loadFlat: {
  (
    memory: Memory,
    image: Uint8Array,
    address: number | bigint,
    options?: FlatOptions
  ): Effect.Effect<number, ImageError | GuestMemoryError>
  (
    memory: Memory,
    image: Uint8Array | File.File<unknown>,
    address: number | bigint,
    options?: FlatOptions
  ): Effect.Effect<number, ImageError | GuestMemoryError | ImageFileError>
} = ((memory: Memory, image: Uint8Array | File.File<unknown>, address: number | bigint, options: FlatOptions = {}) =>
  Effect.flatMap(sourceOf("flat", image), (source: Source) => {
    const { offset = 0 } = options
    const { length = source.size - offset } = options
    if (!Number.isSafeInteger(offset) || offset < 0 || offset > source.size) {
      return refuse("flat", "offset", `${offset} is not within the image's ${source.size} bytes`)
    }
    if (!Number.isSafeInteger(length) || length < 0 || length > source.size - offset) {
      return refuse("flat", "length", `${length} from ${offset} on is past the image's ${source.size} bytes`)
    }
    return Effect.flatMap(addressIn(address), (to) =>
      Effect.as(put(memory, source, [{ offset, length, address: to, size: length }]), length)
    )
  })) as typeof loadFlat

/**
 * Which part of an image to take.
 *
 * @category models
 * @since 0.1.0
 */
export interface FlatOptions {
  /** In bytes from the image's start. 0. */
  readonly offset?: number | undefined
  /** In bytes. To the image's end. */
  readonly length?: number | undefined
}
