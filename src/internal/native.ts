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

/** A ring of io_uring as the addon opened it: its descriptor, and where things lie in its memory. */
export interface RingMemory {
  readonly fd: number
  readonly flags: number
  readonly features: number
  readonly sqEntries: number
  readonly cqEntries: number
  readonly sqHead: number
  readonly sqTail: number
  readonly sqFlags: number
  readonly cqHead: number
  readonly cqTail: number
  readonly cqOverflow: number
  readonly cqes: number
  readonly rings: ArrayBuffer
  readonly sqes: ArrayBuffer
}

export interface Native {
  /** Makes the call here and now. */
  call(nr: number, ...args: ReadonlyArray<Argument>): Result
  /** Attempts the call in a form that does not wait: see `attempt.ts`. */
  attempt(nr: number, ...args: ReadonlyArray<Argument>): Result | undefined
  /** Where `attempt` takes the descriptor's traits from and leaves them, and what it came to. */
  readonly scratch: ArrayBuffer
  /**
   * Attempts a transfer that can be asked with RWF_NOWAIT at once; its words and its result stand in `scratch` as doubles:
   * see `transferNow`. Leaves the status -1 where it is no such case, and nothing was done.
   */
  transfer(buffer: ArrayBufferView | ArrayBufferLike): void
  /** The same for `sendto` and `recvfrom` without an address: see `exchangeNow`. */
  exchange(buffer: ArrayBufferView | ArrayBufferLike): void
  /** The traits of a descriptor, found without asking its file system. */
  traitsOf(fd: number): number
  /** What file system a descriptor is on as kernels before 6.8 tell it: 0 any, 1 local, 2 in memory. For tests. */
  kindByTable(fd: number): number
  /**
   * Makes the call on a thread and hands the result to `callback`: one of `openThread`, 0 for the pool, or -1 for the pool
   * where the call may wait for ever for somebody else: it then is made at once, whatever the pool's size, and takes no
   * other call's place. `directions` has two bits for each argument: see `Direction`.
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
  /**
   * How many calls the pool of this environment makes at once, from now on: 1 to 1024; at first what the environment
   * variable `EFFECT_LINUX_THREADS` says, or 64. More are made, up to 1024, when none comes back for 50 ms although others
   * are queued: they may be waiting for one of those.
   */
  setThreads(count: number): void
  /** A thread's id, or -errno. */
  openThread(): number
  /** Calls back what the thread is doing and ends it; `callback` hears when it has ended. */
  closeThread(thread: number, callback: () => void): void
  /**
   * Makes a thread one that enters a guest when it is told to: `fd` is the vCPU, `request` is `KVM_RUN`, and its run page is
   * of `length` bytes. 0, or -errno.
   */
  attachVcpu(thread: number, fd: number, request: number, length: number): Result
  /**
   * Has the guest entered, and waits a few microseconds where it has been quick of late: what `KVM_RUN` answered, or 1 while
   * it goes on.
   */
  enterVcpu(thread: number): Result
  /**
   * Calls back, once, with what the guest's run came to (0), or when its ring has something for whoever asks, with 0 (1).
   * The event loop goes on for it. What is there already is returned, and not told; else 1.
   */
  tellVcpu(thread: number, what: number, callback: (result: Result) => void): Result
  /** The bell is not rung any more. */
  muteVcpu(thread: number): void
  /** Makes the guest stop, with EINTR; nothing happens where it has. To be entered again it need only be told to. */
  stopVcpu(thread: number): void
  /** What is answered without JavaScript from now on, as `native/bus.h` has it; both 0n: nothing. For a guest at rest. */
  busOfVcpu(thread: number, table: bigint, count: number, ring: bigint): void
  /** The real-time signal that `interrupt` sends. */
  interruptSignal(): number
  /**
   * Blocks signals in other threads of the process, and waits until they have, for a fifth of a second at most; the set in
   * two halves of 32 bits. Whether they did is for the caller to look at.
   */
  blockIn(threads: ReadonlyArray<number>, low: number, high: number): void
  /** The real-time signal by which `blockIn` asks them. */
  carrierSignal(): number
  /**
   * Calls back once when the descriptor is ready for one of `events` (those of poll), or has an error or hang-up to tell:
   * with the events, or with -EBADF where it was closed and its number is used anew. Returns an id, or -errno; -EPERM for
   * a file that is always ready. The descriptor is left as it is, and may be waited for any number of times at once.
   */
  awaitReady(fd: number, events: number, callback: (events: number) => void): number
  /**
   * An epoll instance for descriptors that are waited for again and again, or -errno: the memory into which events are put,
   * three words each from the fifth on (place, generation, events), before `onEvents` is called with their number. Nothing
   * is put there while the first word is not 0.
   */
  openWatches(onEvents: (count: number) => void): ArrayBuffer | number
  /** Begins anew, with nothing registered: 0, or -errno. */
  renewWatches(): number
  /** What epoll_ctl does: 0, or -errno. */
  watch(operation: number, fd: number, events: number, place: number, generation: number): number
  /** Puts events into the memory now; their number. */
  collectWatches(): number
  /** Whether they keep the event loop alive. */
  holdWatches(waiting: boolean): void
  /** The callback is not called any more. To be called before the descriptor is closed. */
  forget(waiter: number): void
  /** An ArrayBuffer over the first `length` bytes of memory, of which `mapped` bytes are mapped. */
  show(address: Result, length: number, mapped: number): ArrayBuffer
  /** The descriptor is to be closed with this environment, at the latest; `disown` says that it is not any more. */
  own(fd: number): void
  disown(fd: number): void
  /** Detaches it; false where its memory was moved to another buffer, so that it must not be unmapped. */
  hide(buffer: ArrayBuffer, address: Result): boolean
  /** Fresh memory to be lent to the kernel, or -errno; it stays until `unreserve`, or until nothing is in flight any more. */
  reserve(length: number): ArrayBuffer | number
  /** Detaches and unmaps it. */
  unreserve(buffer: ArrayBuffer): void
  /** Where a buffer's first byte lies. */
  address(buffer: ArrayBufferView | ArrayBufferLike): bigint
  /**
   * Says that mapped memory stays reachable by a buffer that cannot be detached: it is unmapped when the runtime lets go
   * of it. True where it has done so already, and nothing but unmapping is left.
   */
  abandon(address: Result): boolean
  /** The nanoseconds that a C loop of `times` calls takes: by libc, or by the bare instruction. */
  callLoop(nr: number, times: number, bare?: boolean): number
  /** A ring of io_uring, or -errno; `onCompletions` is called when there are completions to take. */
  openRing(submissions: number, completions: number, onCompletions: () => void): RingMemory | number
  /** Submits what was written to it now, and not only before the loop waits; with `collect` takes what is finished. */
  submitRing(ring: number, collect: boolean): number
  /** Whether it keeps the event loop alive. */
  holdRing(ring: number, pending: boolean): void
  /** Detaches its memory and closes it; false where the kernel did not let go of what it was lent. */
  closeRing(ring: number, rings: ArrayBuffer, sqes: ArrayBuffer): boolean
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
