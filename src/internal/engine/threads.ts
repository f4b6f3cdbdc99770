/** The engine without io_uring: the addon's threads for what has to wait, its epoll instance for what can be polled. */
import { codes } from "../../errors/errnos.ts"
import { native, type Result } from "../native.ts"
import type { Engine, Request } from "./engine.ts"
import { isBounded } from "./waits.ts"

/** Any thread of the pool; or one beyond its bound, for what may wait for ever and must not take the place of others. */
const pool = 0
const beyond = -1

const start = (
  { args, directions, done, isPollable, nr, thread }: Request,
  finish: (result: Result) => void
): (() => void) => {
  const where = thread?.id ?? (isBounded(nr) && !isPollable ? pool : beyond)
  const operation = native.start([nr, ...args], directions, done, where, finish)
  return () => native.interrupt(operation)
}

const awaitReady = (fd: number, events: number, ready: (events: number) => void): (() => void) => {
  let isOver = false
  let waiter = native.awaitReady(fd, events, (now) => {
    isOver = true
    ready(now)
  })
  if (waiter < 0) {
    const error = waiter
    waiter = 0
    // Later, as from the loop.
    setImmediate(() => {
      if (isOver) return
      isOver = true
      ready(error)
    })
  }
  return () => {
    if (isOver) return
    isOver = true
    if (waiter > 0) native.forget(waiter)
  }
}

export const threads: Engine = { name: "threads", start, awaitReady, underWay: () => [] }

/** Has the addon open what it needs for this engine, so that a program's open descriptors are the same before and after. */
export const prepare = (): void => {
  const waiter = native.awaitReady(-1, 0, () => {})
  if (waiter !== -codes.EBADF) native.forget(waiter)
}
