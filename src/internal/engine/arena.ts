/**
 * Memory that is lent to the kernel while an operation is under way. JavaScript can give its own buffers away meanwhile
 * (transfer them, detach them, let a worker have them), so that the kernel never gets those: it works on pieces of this
 * memory, which nobody else sees and which stays where it is, and what it wrote is copied when it is done.
 *
 * Pieces are taken and given back without asking the system for memory each time: their sizes are powers of two.
 */
import { native } from "../native.ts"

/** A piece of the memory. From 4 KiB on they begin at a page, as direct I/O needs it. */
export interface Chunk {
  readonly address: number
  readonly bytes: Uint8Array<ArrayBuffer>
}

const smallest = 6 // 64 bytes, as power of two
const largest = 20 // 1 MiB: larger ones are mapped for the occasion
const regionSize = 1 << largest
const page = 4096

const map = (length: number): Chunk | undefined => {
  const buffer = native.reserve(length)
  return typeof buffer === "number"
    ? undefined
    : { address: Number(native.address(buffer)), bytes: new Uint8Array(buffer) }
}

export class Arena {
  /** What is free, by size. */
  private readonly free: Array<Array<Chunk>> = Array.from({ length: largest + 1 }, () => [])
  private region: Chunk | undefined
  private used = regionSize

  private carve(size: number): Chunk | undefined {
    const alignment = Math.min(size, page)
    let at = Math.ceil(this.used / alignment) * alignment
    if (this.region === undefined || at + size > regionSize) {
      this.region = map(regionSize)
      if (this.region === undefined) return undefined
      at = 0
    }
    this.used = at + size
    const { address, bytes } = this.region
    return { address: address + at, bytes: bytes.subarray(at, at + size) }
  }

  /** A piece of at least `length` bytes, with anything in them; undefined where there is no memory. */
  take(length: number): Chunk | undefined {
    const power = length <= 64 ? smallest : 32 - Math.clz32(length - 1)
    if (power > largest || length > regionSize) return map(Math.ceil(length / page) * page)
    return this.free[power]?.pop() ?? this.carve(2 ** power)
  }

  /** The kernel is done with it. */
  give(chunk: Chunk): void {
    const { length } = chunk.bytes
    if (length > regionSize) {
      native.unreserve(chunk.bytes.buffer)
      return
    }
    this.free[31 - Math.clz32(length)]?.push(chunk)
  }
}
