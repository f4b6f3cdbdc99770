/**
 * One call that would have to wait, from there on: waited for and asked again as often as it takes, or started elsewhere;
 * and how it ends when its fiber is interrupted, or its descriptor closed.
 */

import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { codes } from "../../errors/errnos.ts"
import { isErrorResult } from "../../errors/registry.ts"
import { attempt, exchangeNow, lastStatus, notTried, Status, Trait, type Traits } from "../attempt.ts"
import { bytesOf } from "../bytes.ts"
import { POLLIN, POLLNVAL, POLLOUT } from "../constants.ts"
import type { Argument, Result } from "../native.ts"
import { nr } from "../nr.ts"
import type { Engine, Options } from "./engine.ts"
import type { Waiter, Watch } from "./watches.ts"

/** Calls that wait for room; all others wait for something to come. */
const writers = new Set([nr.write, nr.writev, nr.pwrite64, nr.pwritev, nr.pwritev2, nr.sendto, nr.sendmsg, nr.sendmmsg])

const isBuffer = (argument: Argument): argument is ArrayBufferView | ArrayBufferLike =>
  typeof argument === "object" && argument !== null && !Array.isArray(argument)

/** The arguments of a transfer without its first bytes. */
const skip = (args: ReadonlyArray<Argument>, done: number): ReadonlyArray<Argument> => {
  const [fd = null, memory = null, count = 0, ...more] = args
  if (isBuffer(memory)) return [fd, bytesOf(memory).subarray(done), Number(count) - done, ...more]
  if (typeof memory === "number" || typeof memory === "bigint") {
    return [fd, BigInt(memory) + BigInt(done), Number(count) - done, ...more]
  }
  if (!Array.isArray(memory)) return args
  let left = done
  const rest = memory.flatMap((piece) => {
    const bytes = bytesOf(piece)
    const here = Math.min(left, bytes.length)
    left -= here
    return here === bytes.length ? [] : [bytes.subarray(here)]
  })
  return [fd, rest, rest.length, ...more]
}

// A write is of the bytes that it was given when it began, so while it waits it has them in memory of its own. What is
// longer than this stays its caller's to leave alone: copying it would hold up the loop.
const mostCopied = 1 << 20

/** The arguments of a write with a copy of its bytes. */
const withCopy = (args: ReadonlyArray<Argument>): ReadonlyArray<Argument> => {
  const [fd = null, memory = null, ...more] = args
  if (isBuffer(memory)) return memory.byteLength > mostCopied ? args : [fd, bytesOf(memory).slice(), ...more]
  if (!Array.isArray(memory)) return args
  const pieces = memory.map(bytesOf)
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  return length > mostCopied ? args : [fd, pieces.map((piece) => piece.slice()), ...more]
}

type Ended = Exit.Exit<Result, TypeError | RangeError>

/** What the addon throws for arguments that it does not take, which is an error, or whatever else, which is a defect. */
const refused = (thrown: unknown): Ended =>
  thrown instanceof TypeError || thrown instanceof RangeError ? Exit.fail(thrown) : Exit.die(thrown)

/** A call that waits for a descriptor to be ready. They hang together in a list, for tests to look at. */
export interface Waits {
  readonly nr: number
  readonly args: ReadonlyArray<Argument>
  before: Waits | undefined
  after: Waits | undefined
}

let newest: Waits | undefined

export const enlist = (waits: Waits): void => {
  waits.before = newest
  if (newest !== undefined) newest.after = waits
  newest = waits
}

export const dismiss = (waits: Waits): void => {
  if (waits.after !== undefined) waits.after.before = waits.before
  else if (newest === waits) newest = waits.before
  if (waits.before !== undefined) waits.before.after = waits.after
  waits.before = waits.after = undefined
}

/** The calls that wait for a descriptor to be ready: for tests. */
export const waitingForReady = (): ReadonlyArray<{ readonly nr: number; readonly args: ReadonlyArray<Argument> }> => {
  const all: Array<Waits> = []
  for (let waits = newest; waits !== undefined; waits = waits.before) all.push(waits)
  return all
}

/** What a result means to who made the call. */
export type Conclude<A, E> = (ended: Exit.Exit<Result, TypeError | RangeError>) => Effect.Effect<A, E>

class Call<A, E> implements Waits, Waiter {
  before: Waits | undefined = undefined
  after: Waits | undefined = undefined
  readonly nr: number
  args: ReadonlyArray<Argument>
  /** What its descriptor has to be ready for. */
  events = 0
  private readonly engine: Engine
  private readonly options: Options
  private readonly traits: Traits
  private readonly resume: (effect: Effect.Effect<A, E>) => void
  private readonly conclude: Conclude<A, E>
  private done = 0
  /** How often it was woken. */
  private woken = 0
  private stop: (() => void) | undefined = undefined
  private watch: Watch | undefined = undefined
  private isWaiting = false
  private isCopied = false
  private result: Ended | undefined = undefined
  private onOver: (() => void) | undefined = undefined
  private onInterrupted: (() => void) | undefined = undefined

  constructor(
    engine: Engine,
    nr: number,
    args: ReadonlyArray<Argument>,
    options: Options,
    traits: number,
    resume: (effect: Effect.Effect<A, E>) => void,
    conclude: Conclude<A, E>
  ) {
    this.engine = engine
    this.nr = nr
    this.args = args
    this.options = options
    this.traits = options.traits ?? { bits: traits }
    this.resume = resume
    this.conclude = conclude
  }

  /** Begins after an attempt; gives the effect that calls it back when its fiber is interrupted, where it is not over. */
  begin(status: number, done: number): Effect.Effect<void> | undefined {
    this.go(status, done)
    if (this.result !== undefined) return undefined
    this.onOver = this.options.onWaiting?.(this.interrupt)
    return Effect.callback((ended) => this.giveUp(() => ended(Exit.void)))
  }

  /** The fiber is interrupted; it ends only when the kernel has let go of the memory it was lent. */
  private giveUp(ended: () => void): void {
    // Over, but the fiber was interrupted before it had the result.
    if (this.result !== undefined) {
      this.abandon(this.result)
      ended()
      return
    }
    this.onInterrupted = ended
    try {
      this.options.onInterrupt?.()
    } finally {
      this.interrupt()
    }
  }

  /** Goes on after an attempt that came to `status`, with `done` bytes done. */
  private go(status: number, done: number): void {
    try {
      if (status === Status.notReady || status === Status.partlyReady) this.wait(done)
      else this.start(done)
    } catch (thrown) {
      this.end(refused(thrown))
    }
  }

  private wait(done: number): void {
    if (done > 0) {
      this.done += done
      this.args = skip(this.args, done)
    }
    const { events, watch } = this.options
    const isWrite = writers.has(this.nr)
    if (isWrite && !this.isCopied) {
      this.isCopied = true
      this.args = withCopy(this.args)
    }
    this.events = events ?? (isWrite ? POLLOUT : POLLIN)
    this.isWaiting = true
    enlist(this)
    const fd = Number(this.args[0])
    if (watch?.fd === fd && watch.await(this)) this.watch = watch
    else this.stop = this.engine.awaitReady(fd, this.events, () => this.ready())
  }

  /** Its descriptor is ready, or has an error to tell: that is for the call to find out. */
  ready(): void {
    this.over()
    this.again()
  }

  private over(): void {
    this.isWaiting = false
    this.watch = undefined
    dismiss(this)
  }

  private again(): void {
    let answer: Result | undefined
    try {
      if (this.options.isOver?.() === true) answer = -codes.EBADF
      else answer = this.attempt()
    } catch (thrown) {
      this.end(refused(thrown))
      return
    }
    if (answer === -codes.EBADF || lastStatus() === Status.answered) this.end(Exit.succeed(answer ?? 0))
    else this.go(lastStatus(), Number(answer ?? 0))
  }

  private attempt(): Result | undefined {
    const [fd = null, memory = null, count, flags, address] = this.args
    // Woken in vain it is asked in the way that finds out whether it is of use to wait for readiness at all.
    const isQuick = this.woken++ === 0 && (this.nr === nr.recvfrom || this.nr === nr.sendto) && address === null
    if (isQuick && memory instanceof Uint8Array && memory.length < 2 ** 31 && typeof fd === "number") {
      const answer = exchangeNow(this.nr, fd, memory, Number(count), Number(flags), this.traits)
      if (lastStatus() !== notTried) return answer
    }
    return attempt(this.nr, this.args, this.traits)
  }

  private start(done: number): void {
    const { args, nr, options, traits } = this
    const { directions = 0, thread } = options
    const isPollable = (traits.bits & Trait.pollable) !== 0
    const isLocal = (traits.bits & (Trait.local | Trait.memory)) !== 0
    // The engine counts what this attempt did; what earlier ones did is cut off the arguments.
    this.stop = this.engine.start({ nr, args, directions, thread, done, isPollable, isLocal }, (result) =>
      this.end(Exit.succeed(result))
    )
  }

  private end(ended: Ended): void {
    if (this.done === 0) {
      this.finish(ended)
      return
    }
    // An error after some bytes is told by the next call, as the kernel has it.
    const more = Exit.isSuccess(ended) ? Math.max(Number(ended.value), 0) : 0
    this.finish(Exit.succeed(this.done + more))
  }

  private finish(ended: Ended): void {
    this.result = ended
    const { onInterrupted } = this
    // First what is left is put away: when the wait is over its descriptor may be closed, and its number another's.
    if (onInterrupted !== undefined) this.abandon(ended)
    this.onOver?.()
    if (onInterrupted === undefined) this.resume(this.conclude(ended))
    else onInterrupted()
  }

  private abandon(ended: Ended): void {
    if (Exit.isSuccess(ended) && !isErrorResult(ended.value)) this.options.onAbandoned?.(ended.value)
  }

  /** Makes the kernel give the call up: it ends with EINTR, at once where nothing is lent. */
  readonly interrupt = (): void => {
    if (this.watch === undefined) this.stop?.()
    else this.watch.forget(this)
    if (!this.isWaiting) return
    this.over()
    this.end(Exit.succeed(-codes.EINTR))
  }
}

/**
 * A call that is not answered here, as an effect that can be interrupted. `status` and `done` are what an attempt came to,
 * and `traits` what it found out.
 */
export const elsewhere = <A, E>(
  engine: Engine,
  nr: number,
  args: ReadonlyArray<Argument>,
  options: Options,
  status: number,
  done: number,
  traits: number,
  conclude: Conclude<A, E>
): Effect.Effect<A, E> =>
  Effect.callback<A, E>((resume) => {
    // This runs some time after the caller asked.
    if (options.isOver?.() === true) {
      resume(conclude(Exit.succeed(-codes.EBADF)))
      return undefined
    }
    return new Call(engine, nr, args, options, traits, resume, conclude).begin(status, done)
  })

/** The `pollfd` of a call that is nothing but the wait for one descriptor, however long it takes. */
export const soleDescriptor = (number: number, args: ReadonlyArray<Argument>): DataView | undefined => {
  const [pollfd = null, count, timeout, sigmask] = args
  const isForEver = number === nr.ppoll ? timeout === null && sigmask === null : number === nr.poll && timeout === -1
  if (!isForEver || count !== 1 || !ArrayBuffer.isView(pollfd) || pollfd.byteLength < 8) return undefined
  return new DataView(pollfd.buffer, pollfd.byteOffset, 8)
}

/** Waits for one descriptor, with the answer that poll(2) would give. */
export const pollOne = (engine: Engine, pollfd: DataView, options: Options): Effect.Effect<Result> =>
  Effect.callback<Result>((resume) => {
    if (options.isOver?.() === true) {
      resume(Exit.succeed(-codes.EBADF))
      return
    }
    const fd = pollfd.getInt32(0, true)
    const wanted = pollfd.getInt16(4, true)
    const waiting: Waits = { nr: nr.ppoll, args: [fd], before: undefined, after: undefined }
    enlist(waiting)
    let onOver: (() => void) | undefined
    const waiter: Waiter = {
      events: wanted & 0xffff,
      ready: (events) => {
        over()
        // A file that cannot be polled is always ready; a number that is no descriptor is told as such.
        const ready = events === -codes.EPERM ? wanted & (POLLIN | POLLOUT) : events < 0 ? POLLNVAL : events
        if (pollfd.buffer.byteLength > 0) pollfd.setInt16(6, ready, true)
        resume(Exit.succeed(1))
      }
    }
    const { watch } = options
    const forget =
      watch?.fd === fd && watch.await(waiter)
        ? () => watch.forget(waiter)
        : engine.awaitReady(fd, wanted, (events) => waiter.ready(events))
    const over = () => {
      dismiss(waiting)
      onOver?.()
    }
    onOver = options.onWaiting?.(() => {
      forget()
      over()
      resume(Exit.succeed(-codes.EINTR))
    })
    return Effect.sync(() => {
      forget()
      over()
    })
  })
