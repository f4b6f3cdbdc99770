/**
 * The native addon, typed. It checks the form of what it is given and nothing else; what may be done with it is for the
 * modules above to decide.
 */
import { createRequire } from "node:module"
// First, so that a wrong platform is told as such and not as a missing addon.
import "./architecture.ts"

/** What a system call takes: see `Syscall.Argument`. */
export type Argument =
  | number
  | bigint
  | ArrayBufferView
  | ArrayBufferLike
  | null
  | ReadonlyArray<ArrayBufferView | ArrayBufferLike>

/** What a system call returns: a bigint where a number would not be exact. */
export type Result = number | bigint

export interface Native {
  /** Makes the call here and now. */
  call(nr: number, ...args: ReadonlyArray<Argument>): Result
  /**
   * Makes the call if the kernel can answer without waiting: the result; undefined where nothing was done; `done` bytes
   * where a transfer was begun and the rest would have to be waited for.
   */
  attempt(nr: number, ...args: ReadonlyArray<Argument>): Result | undefined | { readonly done: number }
  /**
   * Makes the call on a thread (0: one that lives for the call) and hands the result to `callback`. `directions` has two
   * bits for each argument: see `Direction`.
   */
  start(
    call: ReadonlyArray<Argument>,
    directions: number,
    done: number,
    thread: number,
    callback: (result: Result) => void
  ): number
  /** Makes the kernel give a started call up, with EINTR; nothing happens if it is over. */
  interrupt(operation: number): void
  /** A thread's id, or -errno. */
  openThread(): number
  /** Calls back what the thread is doing and ends it; `callback` hears when it has ended. */
  closeThread(thread: number, callback: () => void): void
  /** The real-time signal that `interrupt` sends. */
  interruptSignal(): number
  /** An ArrayBuffer over mapped memory. */
  show(address: Result, length: number): ArrayBuffer
  /** The descriptor is to be closed with this environment, at the latest; `disown` says that it is not any more. */
  own(fd: number): void
  disown(fd: number): void
  /** Detaches it; false where its memory was moved to another buffer, so that it must not be unmapped. */
  hide(buffer: ArrayBuffer, address: Result): boolean
  /** Where a buffer's first byte lies. */
  address(buffer: ArrayBufferView | ArrayBufferLike): bigint
  /**
   * Says that mapped memory stays reachable by a buffer that cannot be detached: it is unmapped when the runtime lets go
   * of it. True where it has done so already, and nothing but unmapping is left.
   */
  abandon(address: Result): boolean
  /** The nanoseconds that a C loop of `times` calls takes. */
  callLoop(nr: number, times: number): number
}

const load = (): Native => {
  const path = "../../build/Release/effect_linux.node"
  try {
    return createRequire(import.meta.url)(path)
  } catch (cause) {
    throw new Error(
      "effect-linux: the native addon is missing or does not load. `npm rebuild effect-linux` builds it, and says what " +
        "it needs where that fails",
      { cause }
    )
  }
}

export const native: Native = load()
