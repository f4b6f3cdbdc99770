/**
 * Names as the kernel gives them: bytes that are text in nearly all cases. And the entries of a directory, taken out of
 * the buffer that `getdents64` filled. Not part of the public surface.
 */
import { Buffer } from "node:buffer"
import { linux_dirent64 } from "../abi/paths.ts"

const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Text, or a copy of the bytes where they are no UTF-8. */
export const decodeName = (bytes: Uint8Array): string | Uint8Array => {
  try {
    return strictDecoder.decode(bytes)
  } catch {
    return bytes.slice()
  }
}

const { d_ino, d_reclen, d_type } = linux_dirent64.fields
const nameAt = d_type.offset + 1
const dot = 0x2e

/** How many bytes are made one string, of which names are parts: a name that is kept keeps no more of the others. */
const together = 2048

/**
 * Calls `take` with each entry that lies between two places of a buffer, but `.` and `..`.
 *
 * Written for speed: a directory tree is read as fast as its names can be made strings, and a string of many names at
 * once takes a tenth of the time.
 */
export const eachDirent = (
  buffer: Uint8Array<ArrayBuffer>,
  from: number,
  to: number,
  take: (name: string | Uint8Array, type: number, inode: bigint) => void
): void => {
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  const bytes = Buffer.from(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  let text = ""
  let textFrom = 0
  let textTo = 0
  for (let at = from; at + nameAt < to; ) {
    const next = at + view.getUint16(at + d_reclen.offset, true)
    // An answer that nobody's kernel gives, but a test may.
    if (next <= at + nameAt || next > to) return
    const start = at + nameAt
    let end = start
    let all = 0
    for (let byte = buffer[end]; byte !== undefined && byte !== 0 && end < next; byte = buffer[++end]) all |= byte
    const isDots = buffer[start] === dot && (end - start === 1 || (end - start === 2 && buffer[start + 1] === dot))
    if (!isDots) {
      if (end > textTo) {
        textFrom = start
        textTo = Math.min(to, start + together)
        text = bytes.toString("latin1", textFrom, textTo)
      }
      const name = all < 0x80 ? text.slice(start - textFrom, end - textFrom) : decodeName(buffer.subarray(start, end))
      take(name, buffer[at + d_type.offset] ?? 0, view.getBigUint64(at + d_ino.offset, true))
    }
    at = next
  }
}

/** Calls `take` with the type of each entry, `.` and `..` among them. */
export const eachType = (
  buffer: Uint8Array<ArrayBuffer>,
  from: number,
  to: number,
  take: (type: number) => void
): void => {
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  for (let at = from; at + nameAt < to; ) {
    take(buffer[at + d_type.offset] ?? 0)
    const length = view.getUint16(at + d_reclen.offset, true)
    if (length <= nameAt - d_ino.offset) return
    at += length
  }
}
