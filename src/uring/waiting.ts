/**
 * Operations that wait for something, or for nothing: readiness, time, futexes, children; and those about others.
 */
import type * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { codes, type EBADF, type EINVAL } from "../errors/errnos.ts"
import { errorsOf, type OtherErrno } from "../errors/registry.ts"
import type { File } from "../file/model.ts"
import { own } from "../file/model.ts"
import { bufferLength, int } from "../internal/arguments.ts"
import * as constants from "../internal/constants.ts"
import { messageMark } from "../internal/engine/ring.ts"
import { Misuse } from "../internal/invoke.ts"
import { native } from "../internal/native.ts"
import type { Loan } from "./loan.ts"
import { mustBeOpen, type Ring, stateOf } from "./model.ts"
import { asNothing, asNumber, type Operation, operation, type Target, timespecOf } from "./operation.ts"

/**
 * What operations fail with that have no system call of their own.
 *
 * @category errors
 * @since 0.1.0
 */
export type RingError = EBADF | EINVAL | OtherErrno

export const ringErrors = (name: string) => errorsOf(`io_uring ${name}`, ["EBADF", "EINVAL"])

/**
 * Does nothing: to measure what an operation costs, or to have an end for others to wait for.
 *
 * Operation `IORING_OP_NOP`.
 *
 * @category operations
 * @since 0.1.0
 */
export const nop: Operation<void, RingError> = operation({
  name: "NOP",
  op: constants.IORING_OP_NOP,
  errors: ringErrors("nop"),
  fill: () => asNothing
})

/**
 * Waits until a file is ready for one of `events` (`Syscall.POLLIN`, `POLLOUT`, `POLLPRI` …); gives what it is ready for,
 * with `POLLERR` and `POLLHUP` where those are so.
 *
 * Operation `IORING_OP_POLL_ADD`.
 *
 * @category operations
 * @since 0.1.0
 */
export const poll = (file: Target, events: number): Operation<number, RingError> =>
  operation({
    name: "POLL_ADD",
    op: constants.IORING_OP_POLL_ADD,
    errors: ringErrors("poll_add"),
    target: file,
    fill: (fields) => {
      fields.rwFlags = int("events", events)
      return asNumber
    }
  })

/** A `timespec` in memory that is lent. */
const spanMemory = (loan: Loan, duration: Duration.Input): number => {
  const { tv_nsec, tv_sec } = timespecOf(duration)
  return loan.copy(Abi.timespec.encode({ tv_sec, tv_nsec }))
}

/**
 * Waits for a span of time. In a chain it parts those before it from those behind it by that time.
 *
 * Operation `IORING_OP_TIMEOUT`.
 *
 * @category operations
 * @since 0.1.0
 */
export const timeout = (duration: Duration.Input): Operation<void, RingError> =>
  operation({
    name: "TIMEOUT",
    op: constants.IORING_OP_TIMEOUT,
    errors: ringErrors("timeout"),
    // That its time is over is what it is for.
    answers: new Map([[codes.ETIME, 0]]),
    fill: (fields, loan) => {
      fields.addr = spanMemory(loan, duration)
      fields.len = 1
      // So that a chain goes on behind it.
      fields.rwFlags = constants.IORING_TIMEOUT_ETIME_SUCCESS
      return asNothing
    }
  })

/**
 * Cancels all operations of the ring that are about a file; gives how many there were. They fail with `ECANCELED`.
 *
 * Operation `IORING_OP_ASYNC_CANCEL`; since Linux 5.19.
 *
 * @category operations
 * @since 0.1.0
 */
export const cancel = (file: Target): Operation<number, RingError> =>
  operation({
    name: "ASYNC_CANCEL",
    op: constants.IORING_OP_ASYNC_CANCEL,
    errors: ringErrors("async_cancel"),
    target: file,
    answers: new Map([[codes.ENOENT, 0]]),
    fill: (fields) => {
      const words = fields.words
      // The flag of an entry that says so is not for this operation, which has its own.
      const isFixed = ((words[0] ?? 0) & (constants.IOSQE_FIXED_FILE << 8)) !== 0
      words[0] = (words[0] ?? 0) & ~(constants.IOSQE_FIXED_FILE << 8)
      const { IORING_ASYNC_CANCEL_ALL, IORING_ASYNC_CANCEL_FD, IORING_ASYNC_CANCEL_FD_FIXED } = constants
      fields.rwFlags = IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_FD | (isFixed ? IORING_ASYNC_CANCEL_FD_FIXED : 0)
      return asNumber
    }
  })

// ---------------------------------------------------------------------------------------------------------------------
// futexes and children
// ---------------------------------------------------------------------------------------------------------------------

const { FUTEX2_SIZE_U32, FUTEX2_PRIVATE } = constants

const anyBit = 0xffff_ffff

const futexAddress = (loan: Loan, word: Int32Array | Uint32Array): number => {
  if (!(word instanceof Int32Array || word instanceof Uint32Array)) {
    throw new TypeError("word: expected an Int32Array or a Uint32Array")
  }
  if (!(word.buffer instanceof SharedArrayBuffer)) {
    throw new Misuse(codes.EINVAL, "word: to wait on, a view must be of a SharedArrayBuffer")
  }
  if (bufferLength("word", word) < 4) throw new Misuse(codes.EINVAL, "word: the view is empty")
  loan.keep(word)
  return Number(native.address(word))
}

/**
 * Waits on the first element of a view of shared memory, if it is `expected`, until {@link futexWake} wakes it; fails with
 * `EAGAIN` if it is not.
 *
 * Operation `IORING_OP_FUTEX_WAIT`; since Linux 6.7.
 *
 * @category operations
 * @since 0.1.0
 */
export const futexWait = (word: Int32Array | Uint32Array, expected: number): Operation<void, errors.FutexWaitError> =>
  operation({
    name: "FUTEX_WAIT",
    op: constants.IORING_OP_FUTEX_WAIT,
    errors: errors.futex_wait,
    fill: (fields, loan) => {
      fields.fd = FUTEX2_SIZE_U32 | FUTEX2_PRIVATE
      fields.addr = futexAddress(loan, word)
      fields.off = int("expected", expected) >>> 0
      fields.addr3 = anyBit
      return asNothing
    }
  })

/**
 * Wakes up to `count` of those who wait on the first element of a view of shared memory; gives how many.
 *
 * Operation `IORING_OP_FUTEX_WAKE`; since Linux 6.7.
 *
 * @category operations
 * @since 0.1.0
 */
export const futexWake = (word: Int32Array | Uint32Array, count: number): Operation<number, errors.FutexWakeError> =>
  operation({
    name: "FUTEX_WAKE",
    op: constants.IORING_OP_FUTEX_WAKE,
    errors: errors.futex_wake,
    fill: (fields, loan) => {
      fields.fd = FUTEX2_SIZE_U32 | FUTEX2_PRIVATE
      fields.addr = futexAddress(loan, word)
      fields.off = int("count", count)
      fields.addr3 = anyBit
      return asNumber
    }
  })

/**
 * Waits for a child to change state; gives what happened. The arguments are those of `Syscall.waitid`, which says more.
 *
 * Operation `IORING_OP_WAITID`; since Linux 6.7.
 *
 * @category operations
 * @since 0.1.0
 */
export const waitid = (
  idtype: number,
  id: number | File<unknown>,
  options: number
): Operation<Abi.siginfo, errors.WaitidError> =>
  operation({
    name: "WAITID",
    op: constants.IORING_OP_WAITID,
    errors: errors.waitid,
    others: typeof id === "number" ? [] : [id],
    fill: (fields, loan) => {
      const info = loan.room(Abi.siginfo.size)
      fields.fd = typeof id === "number" ? int("id", id) : own(id).fd
      fields.len = int("idtype", idtype)
      fields.fileIndex = int("options", options)
      fields.off = info.address
      return () => Exit.succeed(Abi.siginfo.decode(info.bytes))
    }
  })

// ---------------------------------------------------------------------------------------------------------------------
// other rings
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Sends a message to another ring of this process, by itself or, from another thread, by its descriptor: see `messages`.
 * `data` is any number of 32 bits, and so is `res`, which is 0 unless said.
 *
 * Operation `IORING_OP_MSG_RING`; since Linux 5.18.
 *
 * @category operations
 * @since 0.1.0
 */
export const msgRing = (to: Ring | number, data: number, res = 0): Operation<void, RingError> =>
  operation({
    name: "MSG_RING",
    op: constants.IORING_OP_MSG_RING,
    errors: ringErrors("msg_ring"),
    fill: (fields) => {
      if (typeof to !== "number") mustBeOpen(stateOf(to))
      fields.fd = typeof to === "number" ? int("to", to) : stateOf(to).queues.fd
      fields.len = int("res", res)
      fields.words[2] = int("data", data)
      fields.words[3] = messageMark
      return asNothing
    }
  })
