/**
 * Who owns a mutex: a thread, told from every other one there is or was by its number and when it began; and whether it
 * still lives.
 */
import * as Effect from "effect/Effect"
import type { Errno } from "../errors/registry.ts"
import { pathBytes } from "../internal/arguments.ts"
import * as constants from "../internal/constants.ts"
import * as Syscall from "../Syscall.ts"

/** The thread's number, in the form of the kernel's own robust futexes: its two highest bits are for flags. */
export const threadMask: bigint = BigInt(constants.FUTEX_TID_MASK)

/** This thread, as it stands in the word of a mutex. */
export interface Self {
  /** Its number in the lower half, and in the upper one when it began. */
  readonly id: bigint
  /** The namespaces that give both a meaning: the number says nothing outside of them. Not 0. */
  readonly space: number
}

// Files of /proc that are made up when they are read: no disk, no wait, so they are read here and now.
const readProc = (path: string): Effect.Effect<string, Errno> =>
  Effect.uninterruptible(
    Effect.gen(function* () {
      const { AT_FDCWD, O_CLOEXEC, O_RDONLY } = constants
      const { nr } = Syscall
      const fd = yield* Syscall.call(nr.openat, AT_FDCWD, pathBytes("path", path), O_RDONLY | O_CLOEXEC, 0)
      const memory = new Uint8Array(1024)
      const count = yield* Effect.onExit(Syscall.call(nr.read, fd, memory, memory.length), () =>
        Effect.ignore(Syscall.call(nr.close, fd))
      )
      return new TextDecoder().decode(memory.subarray(0, count))
    })
  )

const readLink = (path: string): Effect.Effect<string, Errno> =>
  Effect.suspend(() => {
    const memory = new Uint8Array(256)
    const call = Syscall.call(Syscall.nr.readlinkat, constants.AT_FDCWD, pathBytes("path", path), memory, memory.length)
    return Effect.map(call, (count) => new TextDecoder().decode(memory.subarray(0, count)))
  })

interface Status {
  readonly state: string
  /** In clock ticks since the machine began, as far as 32 bits tell. */
  readonly start: bigint
}

// The name in parentheses may hold anything, parentheses too.
const parse = (stat: string): Status => {
  const [state = "", ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return { state, start: BigInt.asUintN(32, BigInt(fields[18] ?? 0)) }
}

const statusOf = (thread: number | string): Effect.Effect<Status, Errno> =>
  Effect.map(readProc(`/proc/${thread}/stat`), parse)

const idOf = (thread: number, start: bigint): bigint => (start << 32n) | BigInt(thread)

const inode = (link: string): number => Number(/\[(\d+)\]/.exec(link)?.[1] ?? 0)

let known: Self | undefined

/** This JavaScript thread. */
export const self: Effect.Effect<Self, Errno> = Effect.suspend(() => {
  if (known !== undefined) return Effect.succeed(known)
  return Effect.gen(function* () {
    const thread = yield* Syscall.gettid
    const { start } = yield* statusOf("thread-self")
    const pid = inode(yield* readLink("/proc/thread-self/ns/pid"))
    // Times are told as of the reader's namespace, since there are such (Linux 5.6).
    const time = inode(yield* Effect.catch(readLink("/proc/thread-self/ns/time"), () => Effect.succeed("")))
    const space = (Math.imul(pid, 0x9e3779b1) ^ Math.imul(time, 0x85ebca77)) | 0
    known = { id: idOf(thread, start), space: space === 0 ? 1 : space }
    return known
  })
})

/**
 * Whether a thread is gone for certain. Where it cannot be told, as /proc is hidden, it lives: a lock taken from a living
 * owner would be worse than one not taken from a dead one.
 */
export const isDead = (id: bigint): Effect.Effect<boolean> => {
  const thread = Number(id & threadMask)
  return Effect.matchEffect(statusOf(thread), {
    onSuccess: ({ start, state }) => Effect.succeed(start !== id >> 32n || state === "Z" || state === "X"),
    onFailure: () =>
      Effect.match(Syscall.call(Syscall.nr.kill, thread, 0), {
        onSuccess: () => false,
        onFailure: ({ _tag }) => _tag === "ESRCH"
      })
  })
}
