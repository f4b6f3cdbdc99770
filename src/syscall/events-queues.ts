/** System calls on semaphores, shared memory and message queues, of System V and of POSIX. */
import type * as Effect from "effect/Effect"
import * as Abi from "../Abi.ts"
import { codes } from "../errors/errnos.ts"
import * as errors from "../errors/calls.ts"
import { type Buffer, bufferLength, descriptor, int, long } from "../internal/arguments.ts"
import * as constants from "../internal/constants.ts"
import { inline, Misuse, onThisThread, run } from "../internal/invoke.ts"
import type { Argument, Result } from "../internal/native.ts"
import { type BlockingOptions, Direction, directions } from "../internal/trampoline.ts"
import type * as Struct from "../Struct.ts"
import { memoryAt, nothing, number } from "./convert.ts"
import { encodeList, type Timeout, timeoutMemory } from "./events-memory.ts"
import { nr } from "./raw.ts"
import { encodeSignalEvent, type SignalEvent } from "./time-sigevent.ts"

const { in: reads, out: writes, outCount: fills, unknown } = Direction

// ---------------------------------------------------------------------------------------------------------------------
// semaphores
// ---------------------------------------------------------------------------------------------------------------------

const semopOptions: BlockingOptions = { directions: directions(unknown, reads, unknown, reads) }

/** Operations that add never wait, and others do not where told so. */
const semopWay = (sops: ReadonlyArray<Abi.sembuf>): BlockingOptions =>
  Array.isArray(sops) && sops.some(({ sem_flg, sem_op }) => sem_op <= 0 && (sem_flg & constants.IPC_NOWAIT) === 0)
    ? semopOptions
    : onThisThread

const operations = (sops: ReadonlyArray<Abi.sembuf>): [memory: Uint8Array, count: number] => {
  const memory = encodeList(Abi.sembuf, "sops", sops)
  return [memory, memory.length / Abi.sembuf.size]
}

/**
 * `semop(semid, sops)`—Changes semaphores of a set, all at once, and waits until that is possible.
 *
 * Of each operation `sem_op` is added to the semaphore `sem_num`, which cannot go below 0; an operation of 0 waits until
 * it is 0. `sem_flg` are of `IPC_NOWAIT` (fail with `EAGAIN` rather than wait) and `SEM_UNDO`.
 *
 * Can block where an operation may wait: then made on another thread; interruptible. Manual page: semop(2).
 *
 * @category queues
 * @since 0.1.0
 */
export const semop = (semid: number, sops: ReadonlyArray<Abi.sembuf>): Effect.Effect<void, errors.SemopError> =>
  run({
    errors: errors.semop,
    nr: nr.semop,
    prepare: () => [int("semid", semid), ...operations(sops)],
    decode: nothing,
    options: semopWay(sops)
  })

/**
 * `semtimedop(semid, sops, timeout)`—Like {@link semop}, and waits no longer than `timeout`: then it fails with `EAGAIN`.
 *
 * `timeout` is null for ever.
 *
 * Can block where an operation may wait: then made on another thread; interruptible. Manual page: semop(2).
 *
 * @category queues
 * @since 0.1.0
 */
export const semtimedop = (
  semid: number,
  sops: ReadonlyArray<Abi.sembuf>,
  timeout: Timeout
): Effect.Effect<void, errors.SemtimedopError> =>
  run({
    errors: errors.semtimedop,
    nr: nr.semtimedop,
    prepare: () => [int("semid", semid), ...operations(sops), timeoutMemory("timeout", timeout)],
    decode: nothing,
    options: semopWay(sops)
  })

const semctlWith = <A>(
  semid: number,
  semnum: number,
  cmd: number,
  argument: () => Argument,
  decode: (result: Result, args: ReadonlyArray<Argument>) => A
): Effect.Effect<A, errors.SemctlError> =>
  run({
    errors: errors.semctl,
    nr: nr.semctl,
    prepare: () => [int("semid", semid), int("semnum", semnum), int("cmd", cmd), argument()],
    decode,
    options: onThisThread
  })

const semaphores = (semid: number, call: (...args: [number, ...Array<Argument>]) => Result): number | Result => {
  const set = new Uint8Array(Abi.semid64_ds.size)
  const result = call(nr.semctl, int("semid", semid), 0, constants.IPC_STAT, set)
  return result < 0 ? result : Number(Abi.semid64_ds.decode(set).sem_nsems)
}

/** How many there are is asked in the same step: the kernel writes or reads as many, whatever the memory's size. */
const allValues = (semid: number): Effect.Effect<ReadonlyArray<number>, errors.SemctlError> => {
  let values = new Uint16Array(0)
  return inline(
    errors.semctl,
    (call) => {
      const count = semaphores(semid, call)
      if (count < 0) return count
      values = new Uint16Array(Number(count))
      return call(nr.semctl, semid, 0, constants.GETALL, values)
    },
    () => Array.from(values)
  )
}

const setAll = (semid: number, values: unknown): Effect.Effect<void, errors.SemctlError> =>
  inline(
    errors.semctl,
    (call) => {
      if (!Array.isArray(values)) throw new TypeError("arg: expected an array of values")
      const count = semaphores(semid, call)
      if (count < 0) return count
      if (values.length !== count) {
        throw new Misuse(codes.EINVAL, `arg: ${values.length} values for a set of ${count} semaphores`)
      }
      const list: ReadonlyArray<number> = Array.from(values, (value: unknown) => {
        if (typeof value !== "number") throw new TypeError("arg: expected an array of values")
        if (!Number.isInteger(value) || value < 0 || value > 0xffff) {
          throw new Misuse(codes.ERANGE, `arg: ${value} is no value of a semaphore`)
        }
        return value
      })
      return call(nr.semctl, semid, 0, constants.SETALL, Uint16Array.from(list))
    },
    nothing
  )

/**
 * A structure at an index of the kernel's own list, and the identifier that it has.
 *
 * @category queues
 * @since 0.1.0
 */
export interface Indexed<A> {
  readonly id: number
  readonly ds: A
}

/**
 * Limits or what is in use, and the highest index of the kernel's own list.
 *
 * @category queues
 * @since 0.1.0
 */
export interface Limits<A> {
  readonly highest: number
  readonly info: A
}

const { IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT } = constants

const asStruct =
  <F extends Struct.Fields, A, I>(struct: Struct.Struct<F, A, I>, index: number) =>
  (_: Result, args: ReadonlyArray<Argument>): A =>
    struct.decode(memoryAt(args, index))

const asIndexed =
  <F extends Struct.Fields, A, I>(struct: Struct.Struct<F, A, I>, index: number) =>
  (result: Result, args: ReadonlyArray<Argument>): Indexed<A> => ({
    id: number(result),
    ds: struct.decode(memoryAt(args, index))
  })

const asLimits =
  <F extends Struct.Fields, A, I>(struct: Struct.Struct<F, A, I>, index: number) =>
  (result: Result, args: ReadonlyArray<Argument>): Limits<A> => ({
    highest: number(result),
    info: struct.decode(memoryAt(args, index))
  })

const room = (struct: { readonly size: number }) => (): Uint8Array => new Uint8Array(struct.size)

/** What a command that sets takes: the overloads below say so, but they can be called with anything. */
const given = <A>(name: string, value: A | number | undefined): A => {
  if (value === undefined || typeof value === "number") throw new TypeError(`${name}: expected a record`)
  return value
}

/** What a command takes that knows numbers only: anything else would be an address to the kernel. */
const plain = (name: string, value: unknown): number => {
  if (value === undefined) return 0
  if (typeof value !== "number") throw new TypeError(`${name}: this command takes a number`)
  return int(name, value)
}

/**
 * `semctl(semid, semnum, cmd, arg)`—Tells of a set of semaphores, and changes or removes it.
 *
 * What `cmd` is says what comes back and what `arg` is:
 *
 * - `IPC_STAT`: the set
 * - `IPC_SET`: takes a set, of which owner, group and mode count
 * - `IPC_RMID`: removes the set
 * - `GETVAL`, `GETPID`, `GETNCNT`, `GETZCNT`: the value of the semaphore `semnum`, the last process that changed it, how
 *   many wait for it to rise, and to be 0
 * - `SETVAL`: takes the value of the semaphore `semnum`
 * - `GETALL`, `SETALL`: gives, or takes, the values of all
 * - `IPC_INFO`, `SEM_INFO`: the limits, or what is in use
 * - `SEM_STAT`, `SEM_STAT_ANY`: the set with the index `semid` in the kernel's own list
 *
 * `GETALL` and `SETALL` first ask, by `IPC_STAT`, how many semaphores there are. Does not block. Manual page: semctl(2).
 *
 * @category queues
 * @since 0.1.0
 */
export function semctl(
  semid: number,
  semnum: number,
  cmd: typeof constants.IPC_STAT
): Effect.Effect<Abi.semid64_ds, errors.SemctlError>
export function semctl(
  semid: number,
  semnum: number,
  cmd: typeof constants.SEM_STAT | typeof constants.SEM_STAT_ANY
): Effect.Effect<Indexed<Abi.semid64_ds>, errors.SemctlError>
export function semctl(
  semid: number,
  semnum: number,
  cmd: typeof constants.IPC_INFO | typeof constants.SEM_INFO
): Effect.Effect<Limits<Abi.seminfo>, errors.SemctlError>
export function semctl(
  semid: number,
  semnum: number,
  cmd: typeof constants.GETALL
): Effect.Effect<ReadonlyArray<number>, errors.SemctlError>
export function semctl(
  semid: number,
  semnum: number,
  cmd: typeof constants.SETALL,
  arg: ReadonlyArray<number>
): Effect.Effect<void, errors.SemctlError>
export function semctl(
  semid: number,
  semnum: number,
  cmd: typeof constants.IPC_SET,
  arg: Abi.semid64_ds
): Effect.Effect<number, errors.SemctlError>
export function semctl(
  semid: number,
  semnum: number,
  cmd:
    | typeof constants.GETVAL
    | typeof constants.GETPID
    | typeof constants.GETNCNT
    | typeof constants.GETZCNT
    | typeof constants.IPC_RMID
    | typeof constants.SETVAL,
  arg?: number
): Effect.Effect<number, errors.SemctlError>
export function semctl(
  semid: number,
  semnum: number,
  cmd: number,
  arg?: number | ReadonlyArray<number> | Abi.semid64_ds
): Effect.Effect<unknown, errors.SemctlError>
export function semctl(
  semid: number,
  semnum: number,
  cmd: number,
  arg?: number | ReadonlyArray<number> | Abi.semid64_ds
): Effect.Effect<unknown, errors.SemctlError> {
  switch (cmd) {
    case IPC_STAT:
      return semctlWith(semid, semnum, cmd, room(Abi.semid64_ds), asStruct(Abi.semid64_ds, 3))
    case constants.SEM_STAT:
    case constants.SEM_STAT_ANY:
      return semctlWith(semid, semnum, cmd, room(Abi.semid64_ds), asIndexed(Abi.semid64_ds, 3))
    case IPC_INFO:
    case constants.SEM_INFO:
      return semctlWith(semid, semnum, cmd, room(Abi.seminfo), asLimits(Abi.seminfo, 3))
    case constants.GETALL:
      return allValues(semid)
    case constants.SETALL:
      return setAll(semid, arg)
    case IPC_SET:
      return semctlWith(
        semid,
        semnum,
        cmd,
        () => {
          if (Array.isArray(arg)) throw new TypeError("arg: expected a record")
          return Abi.semid64_ds.encode(given("arg", arg as Abi.semid64_ds | number | undefined))
        },
        number
      )
    default:
      return semctlWith(semid, semnum, cmd, () => plain("arg", arg), number)
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// shared memory
// ---------------------------------------------------------------------------------------------------------------------

/**
 * `shmctl(shmid, cmd, buf)`—Tells of a segment of shared memory, and changes, locks or removes it.
 *
 * What `cmd` is says what comes back: the segment for `IPC_STAT`; limits for `IPC_INFO` and what is in use for
 * `SHM_INFO`; the segment with the index `shmid` in the kernel's own list for `SHM_STAT` and `SHM_STAT_ANY`; 0 for
 * `IPC_SET`, which takes a segment of which owner, group and mode count, `IPC_RMID`, which removes it when nobody has it
 * mapped any more, `SHM_LOCK` and `SHM_UNLOCK`.
 *
 * Does not block. Manual page: shmctl(2).
 *
 * @category queues
 * @since 0.1.0
 */
export function shmctl(
  shmid: number,
  cmd: typeof constants.IPC_STAT
): Effect.Effect<Abi.shmid64_ds, errors.ShmctlError>
export function shmctl(
  shmid: number,
  cmd: typeof constants.SHM_STAT | typeof constants.SHM_STAT_ANY
): Effect.Effect<Indexed<Abi.shmid64_ds>, errors.ShmctlError>
export function shmctl(
  shmid: number,
  cmd: typeof constants.IPC_INFO
): Effect.Effect<Limits<Abi.shminfo64>, errors.ShmctlError>
export function shmctl(
  shmid: number,
  cmd: typeof constants.SHM_INFO
): Effect.Effect<Limits<Abi.shm_info>, errors.ShmctlError>
export function shmctl(
  shmid: number,
  cmd: typeof constants.IPC_SET,
  buf: Abi.shmid64_ds
): Effect.Effect<number, errors.ShmctlError>
export function shmctl(
  shmid: number,
  cmd: typeof constants.IPC_RMID | typeof constants.SHM_LOCK | typeof constants.SHM_UNLOCK
): Effect.Effect<number, errors.ShmctlError>
export function shmctl(
  shmid: number,
  cmd: number,
  buf?: Abi.shmid64_ds
): Effect.Effect<unknown, errors.ShmctlError>
export function shmctl(
  shmid: number,
  cmd: number,
  buf?: Abi.shmid64_ds
): Effect.Effect<unknown, errors.ShmctlError> {
  const make = <A>(
    argument: () => Argument,
    decode: (result: Result, args: ReadonlyArray<Argument>) => A
  ): Effect.Effect<A, errors.ShmctlError> =>
    run({
      errors: errors.shmctl,
      nr: nr.shmctl,
      prepare: () => [int("shmid", shmid), int("cmd", cmd), argument()],
      decode,
      options: onThisThread
    })
  switch (cmd) {
    case IPC_STAT:
      return make(room(Abi.shmid64_ds), asStruct(Abi.shmid64_ds, 2))
    case constants.SHM_STAT:
    case constants.SHM_STAT_ANY:
      return make(room(Abi.shmid64_ds), asIndexed(Abi.shmid64_ds, 2))
    case IPC_INFO:
      return make(room(Abi.shminfo64), asLimits(Abi.shminfo64, 2))
    case constants.SHM_INFO:
      return make(room(Abi.shm_info), asLimits(Abi.shm_info, 2))
    case IPC_SET:
      return make(() => Abi.shmid64_ds.encode(given("buf", buf)), number)
    default:
      return make(() => null, number)
  }
}

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
export interface Message {
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
): Effect.Effect<Message, errors.MsgrcvError> =>
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
export function msgctl(
  msqid: number,
  cmd: typeof constants.IPC_STAT
): Effect.Effect<Abi.msqid64_ds, errors.MsgctlError>
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
export function msgctl(
  msqid: number,
  cmd: typeof constants.IPC_RMID
): Effect.Effect<number, errors.MsgctlError>
export function msgctl(
  msqid: number,
  cmd: number,
  buf?: Abi.msqid64_ds
): Effect.Effect<unknown, errors.MsgctlError>
export function msgctl(
  msqid: number,
  cmd: number,
  buf?: Abi.msqid64_ds
): Effect.Effect<unknown, errors.MsgctlError> {
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
    case IPC_RMID:
      return make(() => null, number)
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
export interface Received {
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
): Effect.Effect<Received, errors.MqTimedreceiveError> =>
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
export const mq_notify = (
  mqdes: number,
  sevp: SignalEvent | null
): Effect.Effect<void, errors.MqNotifyError> =>
  run({
    errors: errors.mq_notify,
    nr: nr.mq_notify,
    prepare: () => [descriptor("mqdes", mqdes), encodeSignalEvent(sevp)],
    decode: nothing,
    options: onThisThread,
    subject: { fd: mqdes }
  })
