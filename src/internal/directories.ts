/**
 * Reading several directories in one go: on one thread, one after the other, so that each does not cost a hop there and
 * back. What becomes of the entries is for walking.ts.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { codes } from "../errors/errnos.ts"
import type { Descriptor } from "./descriptor.ts"
import { native } from "./native.ts"
import { nr } from "./nr.ts"
import { Direction, directions } from "./trampoline.ts"

/** How directories are opened: flags of open(2), and of openat2(2) where there is that call. */
export interface Manner {
  readonly flags: number
  readonly resolve: number
  readonly openat2: boolean
}

/** What became of one of them. */
export const Outcome = {
  /** It was read to its end. */
  complete: 0,
  /** An errno of reading it has this added, one of opening it has not. */
  reading: 0x10000,
  /** Even by itself it has more entries than there is room for. */
  tooMuch: -1
} as const

// After so long no further one is begun: who waits for the entries is not to wait for all.
const microseconds = 1000

const head = 16
const readsDirectories = 2 ** 31
const { in: reads, outCount: fills, unknown } = Direction
const lent = directions(unknown, reads, unknown, fills) + readsDirectories
const pool = 0

const ended = (result: number | bigint): number => Number(result)

/**
 * Reads directories by their paths from `above`, of which an empty one is that itself, into `answer`; gives the number of
 * bytes there, or -errno. There may be fewer records than paths: those left are to be asked for again.
 */
export const readDirectories = (
  above: Descriptor,
  { flags, openat2, resolve }: Manner,
  paths: ReadonlyArray<Uint8Array>,
  answer: Uint8Array<ArrayBuffer>
): Effect.Effect<number> =>
  Effect.callback<number>((resume) => {
    if (above.closed) {
      resume(Exit.succeed(-codes.EBADF))
      return undefined
    }
    const request = new Uint8Array(paths.reduce((sum, { length }) => sum + length + 1, head))
    new Int32Array(request.buffer, 0, 4).set([flags, resolve, openat2 ? 1 : 0, microseconds])
    let at = head
    for (const path of paths) {
      request.set(path, at)
      at += path.length + 1
    }
    let isOver = false
    let onOver: (() => void) | undefined
    const call = [nr.getdents64, above.fd, request, request.length, answer, answer.length]
    const operation = native.start(call, lent, 0, pool, (result) => {
      isOver = true
      above.ended(waiting)
      if (onOver === undefined) resume(Exit.succeed(ended(result)))
      else onOver()
    })
    const waiting = { cancel: () => native.interrupt(operation) }
    above.begun(waiting)
    // The fiber ends only when the thread has let go of the descriptors.
    return Effect.callback<void>((resumeInterrupted) => {
      if (isOver) {
        resumeInterrupted(Exit.void)
        return
      }
      onOver = () => resumeInterrupted(Exit.void)
      native.interrupt(operation)
    })
  })

/** Calls `take` with each record of an answer: what became of a directory, and where its entries lie. */
export const eachRecord = (
  answer: Uint8Array<ArrayBuffer>,
  length: number,
  take: (outcome: number, from: number, to: number) => void
): void => {
  const view = new DataView(answer.buffer, answer.byteOffset, answer.byteLength)
  for (let at = 0; at + 8 <= length; ) {
    const from = at + 8
    const to = from + view.getInt32(at + 4, true)
    take(view.getInt32(at, true), from, to)
    at = (to + 7) & ~7
  }
}
