/**
 * Writes of a guest's that were put by, by the vCPU's thread, for JavaScript to tell its devices later: shared memory with
 * one writer and one reader.
 */
import * as Syscall from "../Syscall.ts"
import type { RawWrite } from "./bus-device.ts"

/** As `native/bus.h` has it: words of the header, 64 bytes each apart, then entries of 32 bytes. */
const ring = { head: 0, tail: 16, armed: 32, header: 192, entry: 32, entries: 4096 } as const

/** What the thread puts by. */
export class Ring {
  readonly memory: SharedArrayBuffer = new SharedArrayBuffer(ring.header + ring.entry * ring.entries)
  readonly address: bigint = Syscall.addressOf(this.memory)
  private readonly words: Int32Array = new Int32Array(this.memory, 0, ring.header / 4)
  private readonly entries: Uint32Array = new Uint32Array(this.memory, ring.header)
  private readonly wide: BigUint64Array = new BigUint64Array(this.memory, ring.header)

  get isEmpty(): boolean {
    return Atomics.load(this.words, ring.tail) === Atomics.load(this.words, ring.head)
  }

  /** Asks for the bell at the next write; false where there is one already. */
  arm(): boolean {
    Atomics.store(this.words, ring.armed, 1)
    return this.isEmpty
  }

  disarm(): void {
    Atomics.store(this.words, ring.armed, 0)
  }

  /** The writes of one device that come next, taken out; undefined: none. */
  take(): { readonly device: number; readonly writes: ReadonlyArray<RawWrite> } | undefined {
    const tail = Atomics.load(this.words, ring.tail)
    let head = Atomics.load(this.words, ring.head)
    if (head === tail) return undefined
    const device = this.entries[(head & (ring.entries - 1)) * 8] ?? 0
    const writes: Array<RawWrite> = []
    for (; head !== tail; head = (head + 1) | 0) {
      const slot = head & (ring.entries - 1)
      if (this.entries[slot * 8] !== device) break
      writes.push({
        size: this.entries[slot * 8 + 1] ?? 0,
        address: this.wide[slot * 4 + 1] ?? 0n,
        value: this.wide[slot * 4 + 2] ?? 0n
      })
    }
    Atomics.store(this.words, ring.head, head)
    return { device, writes }
  }
}
