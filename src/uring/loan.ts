/**
 * Memory that an operation lends to the kernel: copies at which nobody else gets, shared memory, and what is to be done when
 * it is given back.
 */

import { codes } from "../errors/errnos.ts"
import { type Buffer, bufferLength } from "../internal/arguments.ts"
import { bytesOf } from "../internal/bytes.ts"
import type { Chunk } from "../internal/engine/arena.ts"
import { Misuse } from "../internal/invoke.ts"
import { native } from "../internal/native.ts"
import { arena, type RingState } from "./model.ts"

/** As much as one operation transfers through memory that is lent: it is copied on this thread. */
const mostLent = 16 * 1024 * 1024

const isShared = (buffer: Buffer): boolean =>
  (ArrayBuffer.isView(buffer) ? buffer.buffer : buffer) instanceof SharedArrayBuffer

/** What one run of an operation lends to the kernel, until it is done. */
export class Loan {
  readonly ring: RingState
  private readonly chunks: Array<Chunk> = []
  /** What the kernel works on itself, and so must not be collected meanwhile. */
  private readonly kept: Array<unknown> = []
  private readonly returns: Array<(res: number) => void> = []
  private readonly undos: Array<() => void> = []
  private abandoned: ((res: number) => void) | undefined
  private readonly frees: Array<() => void> = []
  private readonly begun: Array<() => void> = []

  constructor(ring: RingState) {
    this.ring = ring
  }

  private take(length: number): Chunk {
    const chunk = arena.take(length)
    if (chunk === undefined) throw new Misuse(codes.ENOMEM, `no memory to lend ${length} bytes`)
    this.chunks.push(chunk)
    return chunk
  }

  /** Memory of `length` bytes that the kernel may do anything with: zeros first. */
  room(length: number): Chunk {
    const { address, bytes } = this.take(length)
    return { address, bytes: bytes.subarray(0, length).fill(0) }
  }

  /** A copy of `bytes` that the kernel reads. */
  copy(bytes: Uint8Array): number {
    const chunk = this.take(bytes.length)
    chunk.bytes.set(bytes)
    return chunk.address
  }

  /** Several buffers as one that the kernel reads. */
  source(name: string, buffers: ReadonlyArray<Buffer>): Extent {
    const [only] = buffers
    if (buffers.length === 1 && only !== undefined && isShared(only)) return this.direct(name, only)
    return this.joined(name, buffers, (pieces, chunk) => {
      for (const { at, bytes } of pieces) chunk.bytes.set(bytes, at)
    })
  }

  /** Several buffers as one into which the kernel writes as many bytes as it says. */
  destination(name: string, buffers: ReadonlyArray<Buffer>): Extent {
    const [only] = buffers
    if (buffers.length === 1 && only !== undefined && isShared(only)) return this.direct(name, only)
    return this.joined(name, buffers, (pieces, chunk) => {
      this.returns.push((res) => {
        for (const { at, bytes } of pieces) {
          const count = Math.min(res - at, bytes.length)
          if (count > 0) bytes.set(chunk.bytes.subarray(at, at + count))
        }
      })
    })
  }

  private direct(name: string, buffer: Buffer): Extent {
    const length = Math.min(bufferLength(name, buffer), most32)
    this.kept.push(buffer)
    return { address: length === 0 ? 0 : Number(native.address(buffer)), length }
  }

  private joined(
    name: string,
    buffers: ReadonlyArray<Buffer>,
    use: (pieces: ReadonlyArray<{ readonly bytes: Uint8Array; readonly at: number }>, chunk: Chunk) => void
  ): Extent {
    let length = 0
    const pieces: Array<{ readonly bytes: Uint8Array; readonly at: number }> = []
    buffers.forEach((buffer, index) => {
      bufferLength(buffers.length === 1 ? name : `${name}[${index}]`, buffer)
      native.address(buffer) // refuses a detached one
      const bytes = bytesOf(buffer)
      const count = Math.min(bytes.length, mostLent - length)
      if (count > 0) pieces.push({ bytes: bytes.subarray(0, count), at: length })
      length += count
    })
    const chunk = this.take(length)
    use(pieces, chunk)
    return { address: chunk.address, length }
  }

  /** Does something when nothing is lent any more. */
  onFree(told: () => void): void {
    this.frees.push(told)
  }

  /** Keeps something from being collected. */
  keep(value: unknown): void {
    this.kept.push(value)
  }

  /** Does something with the result before anybody hears of it, whoever that is. */
  onEnd(told: (res: number) => void): void {
    this.returns.push(told)
  }

  /** Undoes something where the operation is not begun after all. */
  onRefused(undo: () => void): void {
    this.undos.push(undo)
  }

  /** Does something with a result that no fiber hears of. */
  onAbandoned(told: (res: number) => void): void {
    this.abandoned = told
  }

  /** No fiber hears of the result. */
  abandon(res: number): void {
    this.abandoned?.(res)
  }

  /** Does something when the operation is on its way. */
  onBegun(told: () => void): void {
    this.begun.push(told)
  }

  /** It is on its way. */
  begin(): void {
    for (const told of this.begun.splice(0)) told()
  }

  /** It is not begun. */
  refuse(): void {
    for (const undo of this.undos) undo()
    this.release()
  }

  /** Ends it: what the kernel wrote goes to where it belongs. */
  end(res: number): void {
    // Memory that was given away meanwhile has length 0, and gets nothing.
    for (const give of this.returns) give(res)
  }

  /** Gives the memory back: after `end`, and after the result has been looked at. */
  release(): void {
    this.returns.length = this.kept.length = this.undos.length = this.begun.length = 0
    for (const free of this.frees.splice(0)) free()
    for (const chunk of this.chunks.splice(0)) arena.give(chunk)
  }
}

/** A piece of memory. */
export interface Extent {
  readonly address: number
  readonly length: number
}

export const most32 = 0xffff_ffff
