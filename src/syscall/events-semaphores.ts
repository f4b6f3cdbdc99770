/** System calls on semaphores and shared memory of System V. */
import type * as Effect from "effect/Effect"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import { int } from "../internal/arguments.ts"
import * as constants from "../internal/constants.ts"
import { inline, Misuse, onThisThread, run } from "../internal/invoke.ts"
import type { Argument, Result } from "../internal/native.ts"
import { type BlockingOptions, Direction, directions } from "../internal/trampoline.ts"
import { nothing, number } from "./convert.ts"
import { asIndexed, asLimits, asStruct, given, type Indexed, type Limits, room } from "./events-ipc.ts"
import { encodeList, type Timeout, timeoutMemory } from "./events-memory.ts"
import { nr } from "./raw.ts"

export type { Indexed, Limits } from "./events-ipc.ts"

const { in: reads, unknown } = Direction
const { IPC_INFO, IPC_SET, IPC_STAT } = constants

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

const semaphores = (semid: number, call: (...args: [number, ...Array<Argument>]) => Result): Result => {
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
          if (typeof arg !== "object" || !("sem_perm" in arg)) throw new TypeError("arg: this command takes a record")
          return Abi.semid64_ds.encode(arg)
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
export function shmctl(shmid: number, cmd: typeof constants.IPC_STAT): Effect.Effect<Abi.shmid64_ds, errors.ShmctlError>
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
export function shmctl(shmid: number, cmd: number, buf?: Abi.shmid64_ds): Effect.Effect<unknown, errors.ShmctlError>
export function shmctl(shmid: number, cmd: number, buf?: Abi.shmid64_ds): Effect.Effect<unknown, errors.ShmctlError> {
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
