/** System calls of asynchronous input and output: the older contexts and the rings of io_uring. */
import type * as Effect from "effect/Effect"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { type Buffer, descriptor, int, long, word } from "../internal/arguments.ts"
import {
  IORING_ENTER_EXT_ARG,
  IORING_ENTER_GETEVENTS,
  IORING_ENTER_SQ_WAIT,
  IORING_REGISTER_SYNC_CANCEL
} from "../internal/constants.ts"
import { onThisThread, run } from "../internal/invoke.ts"
import type { Argument, Result } from "../internal/native.ts"
import { type BlockingOptions, Direction, directions } from "../internal/trampoline.ts"
import * as Struct from "../Struct.ts"
import { memoryAt, number } from "./convert.ts"
import {
  decodeList,
  encodeSome,
  maskSize,
  maskStructure,
  steady,
  type Timeout,
  timeoutMemory,
  waitingMask
} from "./events-memory.ts"
import { nr } from "./raw.ts"

const { in: reads, out: writes, unknown } = Direction

// ---------------------------------------------------------------------------------------------------------------------
// contexts
// ---------------------------------------------------------------------------------------------------------------------

const u64At = (memory: Uint8Array, offset: number): bigint =>
  Struct.u64.get(new DataView(memory.buffer, memory.byteOffset, memory.byteLength), offset)

/**
 * `io_setup(nr_events)`—Makes a context for `nr_events` asynchronous operations at a time; returns its identifier, which
 * `io_destroy` gives back.
 *
 * Does not block. Manual page: io_setup(2).
 *
 * @category rings
 * @since 0.1.0
 */
export const io_setup = (nr_events: number): Effect.Effect<bigint, errors.IoSetupError> =>
  run({
    errors: errors.io_setup,
    nr: nr.io_setup,
    prepare: () => [int("nr_events", nr_events), new Uint8Array(8)],
    decode: (_, args) => u64At(memoryAt(args, 1), 0),
    options: onThisThread
  })

/**
 * An asynchronous operation; fields that are left out are 0. See `Abi.iocb`.
 *
 * @category rings
 * @since 0.1.0
 */
export interface IoControlBlock extends Partial<Abi.iocb> {
  /** One of `IOCB_CMD_*`. */
  readonly aio_lio_opcode: number
  readonly aio_fildes: number
}

const controlBlocks = (iocbs: ReadonlyArray<IoControlBlock | bigint>): Uint8Array => {
  if (!Array.isArray(iocbs)) throw new TypeError("iocbs: expected an array of records or addresses")
  const list: ReadonlyArray<IoControlBlock | bigint> = Array.from(iocbs)
  const size = Struct.pointer.size + Abi.iocb.size
  const { address, memory } = steady(list.length * size)
  const view = new DataView(memory.buffer)
  list.forEach((iocb, index) => {
    const at = list.length * Struct.pointer.size + index * Abi.iocb.size
    const pointer = typeof iocb === "bigint" ? iocb : address + BigInt(at)
    if (typeof iocb !== "bigint") memory.set(encodeSome(Abi.iocb, iocb), at)
    Struct.pointer.set(view, index * Struct.pointer.size, pointer, `iocbs[${index}]`)
  })
  return memory
}

/**
 * `io_submit(ctx_id, iocbs)`—Begins asynchronous operations; returns how many, which may be fewer.
 *
 * The memory that `aio_buf` points to is for the caller to keep, and must not move: that of a SharedArrayBuffer that
 * stays referenced or mapped memory, until the operation's event has come. An operation is a record or the address
 * of an `Abi.iocb`, which can then be given to `io_cancel`.
 *
 * Can block: made on another thread; interruptible. Manual page: io_submit(2).
 *
 * @category rings
 * @since 0.1.0
 */
export const io_submit = (
  ctx_id: bigint,
  iocbs: ReadonlyArray<IoControlBlock | bigint>
): Effect.Effect<number, errors.IoSubmitError> =>
  run({
    errors: errors.io_submit,
    nr: nr.io_submit,
    prepare: () => {
      const memory = controlBlocks(iocbs)
      return [long("ctx_id", ctx_id), memory.length / (Struct.pointer.size + Abi.iocb.size), memory]
    },
    decode: number,
    options: {}
  })

const geteventsOptions: BlockingOptions = { directions: directions(unknown, unknown, unknown, writes) }

const geteventsArguments = (
  ctx_id: bigint,
  min_nr: number,
  count: number,
  timeout: Timeout
): ReadonlyArray<Argument> => {
  const room = int("nr", count)
  return [
    long("ctx_id", ctx_id),
    int("min_nr", min_nr),
    room,
    new Uint8Array(Math.max(0, room) * Abi.io_event.size),
    timeoutMemory("timeout", timeout)
  ]
}

const eventsAt3 = (count: Result, args: ReadonlyArray<Argument>): ReadonlyArray<Abi.io_event> =>
  decodeList(Abi.io_event, memoryAt(args, 3), number(count))

/**
 * `io_getevents(ctx_id, min_nr, nr, timeout)`—Waits for at least `min_nr` operations to end; returns the events of up to
 * `nr`.
 *
 * `timeout` is null for ever; when the time is over there may be fewer.
 *
 * Can block: made on another thread; interruptible. Manual page: io_getevents(2).
 *
 * @category rings
 * @since 0.1.0
 */
export const io_getevents = (
  ctx_id: bigint,
  min_nr: number,
  count: number,
  timeout: Timeout = null
): Effect.Effect<ReadonlyArray<Abi.io_event>, errors.IoGeteventsError> =>
  run({
    errors: errors.io_getevents,
    nr: nr.io_getevents,
    prepare: () => geteventsArguments(ctx_id, min_nr, count, timeout),
    decode: eventsAt3,
    options: geteventsOptions
  })

/**
 * `io_pgetevents(ctx_id, min_nr, nr, timeout, sigmask)`—Like {@link io_getevents}, with `sigmask` for the blocked
 * signals.
 *
 * With null the signals that are blocked stay so; those that `sigmask` leaves out can be delivered to the thread that
 * waits, which fails with `EINTR`.
 *
 * Can block: made on another thread; interruptible. Since Linux 4.18. Manual page: io_getevents(2).
 *
 * @category rings
 * @since 0.1.0
 */
export const io_pgetevents = (
  ctx_id: bigint,
  min_nr: number,
  count: number,
  timeout: Timeout = null,
  sigmask: ReadonlyArray<number> | null = null
): Effect.Effect<ReadonlyArray<Abi.io_event>, errors.IoPgeteventsError> =>
  run({
    errors: errors.io_pgetevents,
    nr: nr.io_pgetevents,
    prepare: () => [...geteventsArguments(ctx_id, min_nr, count, timeout), maskStructure("sigmask", sigmask)],
    decode: eventsAt3,
    options: geteventsOptions
  })

// ---------------------------------------------------------------------------------------------------------------------
// io_uring
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A new ring.
 *
 * @category rings
 * @since 0.1.0
 */
export interface Ring {
  readonly fd: number
  /** What the kernel made: the sizes of the rings, its features, and where all lies that is to be mapped. */
  readonly params: Abi.io_uring_params
}

/**
 * `io_uring_setup(entries, params)`—Makes a pair of rings with room for `entries` submissions; returns its descriptor and
 * what it is like.
 *
 * `params.flags` are of `IORING_SETUP_*`; fields that are left out are 0. The rings are mapped from the descriptor at
 * `IORING_OFF_SQ_RING`, `IORING_OFF_CQ_RING` and `IORING_OFF_SQES`. `O_CLOEXEC` is always set.
 *
 * Does not block. Since Linux 5.1. Manual page: io_uring_setup(2).
 *
 * @category rings
 * @since 0.1.0
 */
export const io_uring_setup = (
  entries: number,
  params: Partial<Abi.io_uring_params> = {}
): Effect.Effect<Ring, errors.IoUringSetupError> =>
  run({
    errors: errors.io_uring_setup,
    nr: nr.io_uring_setup,
    prepare: () => [int("entries", entries), encodeSome(Abi.io_uring_params, params)],
    decode: (fd, args) => ({ fd: number(fd), params: Abi.io_uring_params.decode(memoryAt(args, 1)) }),
    options: onThisThread
  })

const enterOptions: BlockingOptions = { directions: directions(unknown, unknown, unknown, unknown, reads) }

/** A call that waits for nothing is made here: the operations that a thread submitted end with it. */
const enterWay = (min_complete: number, flags: number): BlockingOptions =>
  ((flags & IORING_ENTER_GETEVENTS) !== 0 && min_complete > 0) || (flags & IORING_ENTER_SQ_WAIT) !== 0
    ? enterOptions
    : onThisThread

/**
 * `io_uring_enter(fd, to_submit, min_complete, flags, sigmask)`—Submits operations that stand in a ring, and with
 * `IORING_ENTER_GETEVENTS` waits for `min_complete` to end; returns how many were submitted.
 *
 * `flags` are of `IORING_ENTER_*`. `sigmask` has the signals that are blocked meanwhile, null those that are blocked
 * already.
 *
 * **Details**
 *
 * A call that waits is made on another thread, which ends with it, and Linux cancels what a thread has submitted when it
 * ends: submit with a call that does not wait, and wait with one that submits nothing (or make both on a thread of
 * `makeThread`, as a ring with `IORING_SETUP_SINGLE_ISSUER` wants it). A call with neither `IORING_ENTER_SQ_WAIT` nor
 * something to wait for is made on the JavaScript thread.
 *
 * Can block where it waits; interruptible. Since Linux 5.1. Manual page: io_uring_enter(2).
 *
 * @category rings
 * @since 0.1.0
 */
export const io_uring_enter = (
  fd: number,
  to_submit: number,
  min_complete = 0,
  flags = 0,
  sigmask: ReadonlyArray<number> | null = null
): Effect.Effect<number, errors.IoUringEnterError> =>
  run({
    errors: errors.io_uring_enter,
    nr: nr.io_uring_enter,
    prepare: () => [
      descriptor("fd", fd),
      int("to_submit", to_submit),
      int("min_complete", min_complete),
      int("flags", flags),
      waitingMask("sigmask", sigmask),
      maskSize
    ],
    decode: number,
    options: enterWay(min_complete, flags),
    subject: { fd }
  })

/**
 * What `io_uring_enter2` waits with.
 *
 * @category rings
 * @since 0.1.0
 */
export interface EnterArgument {
  /** How long to wait, for ever where left out; then the call fails with `ETIME`. */
  readonly timeout?: Exclude<Timeout, null> | undefined
  /** The signals that are blocked meanwhile; those that are blocked already where left out. */
  readonly sigmask?: ReadonlyArray<number> | undefined
  /** For how many microseconds to wait for more than one to end; since Linux 6.12. */
  readonly min_wait_usec?: number | undefined
}

const getevents = ({ min_wait_usec = 0, sigmask, timeout }: EnterArgument): Uint8Array => {
  const mask = waitingMask("sigmask", sigmask ?? null)
  const span = timeoutMemory("timeout", timeout ?? null)
  const maskAt = Abi.io_uring_getevents_arg.size
  const spanAt = maskAt + maskSize
  const { address, memory } = steady(spanAt + Abi.timespec.size)
  if (mask !== null) memory.set(mask, maskAt)
  if (span !== null) memory.set(span, spanAt)
  Abi.io_uring_getevents_arg.encode(
    {
      sigmask: mask === null ? 0n : address + BigInt(maskAt),
      sigmask_sz: mask === null ? 0 : maskSize,
      min_wait_usec,
      ts: span === null ? 0n : address + BigInt(spanAt)
    },
    memory
  )
  return memory
}

/**
 * `io_uring_enter2(fd, to_submit, min_complete, flags, arg)`—Like {@link io_uring_enter}, and waits no longer than
 * `arg.timeout`. It is the same call with `IORING_ENTER_EXT_ARG` in `flags`, which is set here.
 *
 * Can block where it waits; interruptible. Since Linux 5.11. Manual page: io_uring_enter(2).
 *
 * @category rings
 * @since 0.1.0
 */
export const io_uring_enter2 = (
  fd: number,
  to_submit: number,
  min_complete: number,
  flags: number,
  arg: EnterArgument
): Effect.Effect<number, errors.IoUringEnter2Error> =>
  run({
    errors: errors.io_uring_enter2,
    nr: nr.io_uring_enter,
    prepare: () => [
      descriptor("fd", fd),
      int("to_submit", to_submit),
      int("min_complete", min_complete),
      int("flags", flags) | IORING_ENTER_EXT_ARG,
      getevents(arg),
      Abi.io_uring_getevents_arg.size
    ],
    decode: number,
    options: enterWay(min_complete, flags),
    subject: { fd }
  })

/**
 * `io_uring_register(fd, opcode, arg, nr_args)`—Registers files, buffers and more with a ring, or asks something of it;
 * returns what the operation does, mostly 0.
 *
 * `opcode` is one of `IORING_REGISTER_*` and `IORING_UNREGISTER_*`, which says what `arg` is: a number, or memory of
 * `nr_args` structures, which the kernel may write too. Addresses within it are for the caller to keep good.
 *
 * Made on the JavaScript thread, as some of it is about the calling thread; `IORING_REGISTER_SYNC_CANCEL` can block, and
 * is made on another. Since Linux 5.1. Manual page: io_uring_register(2).
 *
 * @category rings
 * @since 0.1.0
 */
export const io_uring_register = (
  fd: number,
  opcode: number,
  arg: number | bigint | Buffer | null = null,
  nr_args = 0
): Effect.Effect<number, errors.IoUringRegisterError> =>
  run({
    errors: errors.io_uring_register,
    nr: nr.io_uring_register,
    prepare: () => [descriptor("fd", fd), int("opcode", opcode), word("arg", arg), int("nr_args", nr_args)],
    decode: number,
    options: opcode === IORING_REGISTER_SYNC_CANCEL ? {} : onThisThread,
    subject: { fd }
  })
