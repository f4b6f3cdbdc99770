/** System calls on message queues, of System V and of POSIX. */
import type * as Effect from "effect/Effect"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import { type Buffer, bufferLength, descriptor, int, long } from "../internal/arguments.ts"
import * as constants from "../internal/constants.ts"
import { Misuse, onThisThread, run } from "../internal/invoke.ts"
import type { Argument, Result } from "../internal/native.ts"
import { type BlockingOptions, Direction, directions } from "../internal/trampoline.ts"
import { memoryAt, nothing, number } from "./convert.ts"
import { asIndexed, asLimits, asStruct, given, type Indexed, type Limits, room } from "./events-ipc.ts"
import { nr } from "./raw.ts"
import { encodeSignalEvent, type SignalEvent } from "./time-sigevent.ts"

const { in: reads, out: writes, outCount: fills, unknown } = Direction
const { IPC_INFO, IPC_SET, IPC_STAT } = constants

// ---------------------------------------------------------------------------------------------------------------------
// message queues
// ---------------------------------------------------------------------------------------------------------------------

const mtypeSize = 8

const messageWay = (msgflg: number, options: BlockingOptions): BlockingOptions =>
  (msgflg & constants.IPC_NOWAIT) === 0 ? options : onThisThread

const sendOptions: BlockingOptions = { directions: directions(unknown, reads) }

/**
 * `msgsnd(msqid, mtype, mtext, msgflg)`—Sends a message to a queue, and waits while that is full.
 *
 * `mtype` is above 0, for the receiver to choose by. `msgflg` is 0 or `IPC_NOWAIT`: fail with `EAGAIN` rather than wait.
 *
 * Can block without `IPC_NOWAIT`: then made on another thread; interruptible. Manual page: msgop(2).
 *
 * @category queues
 * @since 0.1.0
 */
export const msgsnd = (
  msqid: number,
  mtype: number | bigint,
  mtext: Buffer,
  msgflg = 0
): Effect.Effect<void, errors.MsgsndError> =>
  run({
    errors: errors.msgsnd,
    nr: nr.msgsnd,
    prepare: () => {
      const length = bufferLength("mtext", mtext)
      const memory = new Uint8Array(mtypeSize + length)
      new DataView(memory.buffer).setBigInt64(0, BigInt(long("mtype", mtype)), true)
      memory.set(
        ArrayBuffer.isView(mtext) ? new Uint8Array(mtext.buffer, mtext.byteOffset, length) : new Uint8Array(mtext),
        mtypeSize
      )
      return [int("msqid", msqid), memory, length, int("msgflg", msgflg)]
    },
    decode: nothing,
    options: messageWay(msgflg, sendOptions)
  })

/**
 * A message of a queue.
 *
 * @category queues
 * @since 0.1.0
 */
export interface QueueMessage {
  readonly mtype: bigint
  readonly mtext: Uint8Array
}

/**
 * `msgrcv(msqid, msgsz, msgtyp, msgflg)`—Takes a message of at most `msgsz` bytes from a queue, and waits while there is
 * none.
 *
 * `msgtyp` chooses: 0 the oldest, above 0 the oldest of that type, below 0 the one with the lowest type up to `-msgtyp`.
 * `msgflg` are of `IPC_NOWAIT` (fail with `ENOMSG` rather than wait), `MSG_NOERROR` (cut one that is longer, rather than
 * fail with `E2BIG`), `MSG_EXCEPT` (any type but `msgtyp`) and `MSG_COPY` (leave it there; `msgtyp` is its place).
 *
 * Can block without `IPC_NOWAIT`: then made on another thread; interruptible. A message that was taken just before the
 * fiber was interrupted is lost. Manual page: msgop(2).
 *
 * @category queues
 * @since 0.1.0
 */
export const msgrcv = (
  msqid: number,
  msgsz: number,
  msgtyp: number | bigint = 0,
  msgflg = 0
): Effect.Effect<QueueMessage, errors.MsgrcvError> =>
  run({
    errors: errors.msgrcv,
    nr: nr.msgrcv,
    prepare: () => {
      const size = int("msgsz", msgsz)
      if (size < 0) throw new Misuse(codes.EINVAL, `msgsz: ${size} is no length`)
      const memory = new Uint8Array(mtypeSize + size)
      return [int("msqid", msqid), memory, size, long("msgtyp", msgtyp), int("msgflg", msgflg)]
    },
    decode: (length, args) => {
      const memory = memoryAt(args, 1)
      return {
        mtype: new DataView(memory.buffer, memory.byteOffset).getBigInt64(0, true),
        mtext: memory.slice(mtypeSize, mtypeSize + number(length))
      }
    },
    options: messageWay(msgflg, {})
  })

/**
 * `msgctl(msqid, cmd, buf)`—Tells of a message queue, and changes or removes it.
 *
 * What `cmd` is says what comes back: the queue for `IPC_STAT`; limits for `IPC_INFO` and what is in use for `MSG_INFO`;
 * the queue with the index `msqid` in the kernel's own list for `MSG_STAT` and `MSG_STAT_ANY`; 0 for `IPC_SET`, which
 * takes a queue of which owner, group, mode and `msg_qbytes` count, and for `IPC_RMID`, which removes it.
 *
 * Does not block. Manual page: msgctl(2).
 *
 * @category queues
 * @since 0.1.0
 */
export function msgctl(msqid: number, cmd: typeof constants.IPC_STAT): Effect.Effect<Abi.msqid64_ds, errors.MsgctlError>
export function msgctl(
  msqid: number,
  cmd: typeof constants.MSG_STAT | typeof constants.MSG_STAT_ANY
): Effect.Effect<Indexed<Abi.msqid64_ds>, errors.MsgctlError>
export function msgctl(
  msqid: number,
  cmd: typeof constants.IPC_INFO | typeof constants.MSG_INFO
): Effect.Effect<Limits<Abi.msginfo>, errors.MsgctlError>
export function msgctl(
  msqid: number,
  cmd: typeof constants.IPC_SET,
  buf: Abi.msqid64_ds
): Effect.Effect<number, errors.MsgctlError>
export function msgctl(msqid: number, cmd: typeof constants.IPC_RMID): Effect.Effect<number, errors.MsgctlError>
export function msgctl(msqid: number, cmd: number, buf?: Abi.msqid64_ds): Effect.Effect<unknown, errors.MsgctlError>
export function msgctl(msqid: number, cmd: number, buf?: Abi.msqid64_ds): Effect.Effect<unknown, errors.MsgctlError> {
  const make = <A>(
    argument: () => Argument,
    decode: (result: Result, args: ReadonlyArray<Argument>) => A
  ): Effect.Effect<A, errors.MsgctlError> =>
    run({
      errors: errors.msgctl,
      nr: nr.msgctl,
      prepare: () => [int("msqid", msqid), int("cmd", cmd), argument()],
      decode,
      options: onThisThread
    })
  switch (cmd) {
    case IPC_STAT:
      return make(room(Abi.msqid64_ds), asStruct(Abi.msqid64_ds, 2))
    case constants.MSG_STAT:
    case constants.MSG_STAT_ANY:
      return make(room(Abi.msqid64_ds), asIndexed(Abi.msqid64_ds, 2))
    case IPC_INFO:
    case constants.MSG_INFO:
      return make(room(Abi.msginfo), asLimits(Abi.msginfo, 2))
    case IPC_SET:
      return make(() => Abi.msqid64_ds.encode(given("buf", buf)), number)
    default:
      return make(() => null, number)
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// POSIX message queues
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What `mq_timedreceive` received: the bytes of the message in the buffer, and its priority.
 *
 * @category queues
 * @since 0.1.0
 */
export interface QueueReceived {
  readonly length: number
  readonly prio: number
}

const receiveOptions: BlockingOptions = { directions: directions(unknown, fills, unknown, writes, reads) }

/**
 * `mq_timedreceive(mqdes, msg, timeout)`—Takes the oldest message of the highest priority from a POSIX queue into a
 * buffer, and waits while the queue is empty.
 *
 * The buffer must have the `mq_msgsize` bytes that a message can be long, or the call fails with `EMSGSIZE`. `timeout` is
 * a time of `CLOCK_REALTIME`, and null for ever.
 *
 * Can block: made on another thread; interruptible. A message that was taken just before the fiber was interrupted is
 * lost. Since Linux 2.6.6. Manual page: mq_receive(3).
 *
 * @category queues
 * @since 0.1.0
 */
export const mq_timedreceive = (
  mqdes: number,
  msg: Buffer,
  timeout: Abi.timespec | null = null
): Effect.Effect<QueueReceived, errors.MqTimedreceiveError> =>
  run({
    errors: errors.mq_timedreceive,
    nr: nr.mq_timedreceive,
    prepare: () => [
      descriptor("mqdes", mqdes),
      msg,
      bufferLength("msg", msg),
      new Uint8Array(4),
      timeout === null ? null : Abi.timespec.encode(timeout)
    ],
    decode: (length, args) => ({
      length: number(length),
      prio: new DataView(memoryAt(args, 3).buffer).getUint32(0, true)
    }),
    options: receiveOptions,
    subject: { fd: mqdes }
  })

/**
 * `mq_notify(mqdes, sevp)`—Asks to be told, once, when a message comes to a POSIX queue that was empty; with null takes
 * that back.
 *
 * Does not block. Since Linux 2.6.6. Manual page: mq_notify(3).
 *
 * @category queues
 * @since 0.1.0
 */
export const mq_notify = (mqdes: number, sevp: SignalEvent | null): Effect.Effect<void, errors.MqNotifyError> =>
  run({
    errors: errors.mq_notify,
    nr: nr.mq_notify,
    prepare: () => [descriptor("mqdes", mqdes), encodeSignalEvent(sevp)],
    decode: nothing,
    options: onThisThread,
    subject: { fd: mqdes }
  })
