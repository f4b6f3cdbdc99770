/** Semaphores, shared memory and message queues of System V and of POSIX, against the real kernel. */
import { closeSync, openSync, readFileSync, readSync, writeSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { type Abi, Errno, Syscall } from "../../src/index.ts"
import * as Queues from "../../src/syscall/events-queues.ts"
import * as Semaphores from "../../src/syscall/events-semaphores.ts"
import * as Generated from "../../src/syscall/generated/events.ts"
import { asleepIn, held } from "../support/fds.ts"
import { eventually } from "../support/process.ts"

const { GETALL, GETNCNT, GETPID, GETVAL, GETZCNT, IPC_CREAT, IPC_EXCL, IPC_INFO, IPC_NOWAIT, IPC_PRIVATE } = Syscall
const { IPC_RMID, IPC_SET, IPC_STAT, SETALL, SETVAL } = Syscall

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (from: Uint8Array) => new TextDecoder().decode(from)

const tagged = <E extends { readonly _tag: string }>(tag: string, self: Effect.Effect<unknown, E>) =>
  Effect.map(Effect.flip(self), (error) => assert.strictEqual(error._tag, tag))

const fork = <A, E>(nr: number, first: number, wait: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(wait)
    assert.isTrue(yield* eventually(() => asleepIn(nr, first) === 1))
    return fiber
  })

const interrupted = (nr: number, first: number, wait: Effect.Effect<unknown, unknown>) =>
  Effect.gen(function* () {
    yield* Fiber.interrupt(yield* fork(nr, first, wait))
    assert.strictEqual(asleepIn(nr, first), 0)
  })

/** The line about an object in one of the kernel's own lists. */
const listed = (kind: "sem" | "shm" | "msg", id: number): ReadonlyArray<number> =>
  readFileSync(`/proc/sysvipc/${kind}`, "utf8")
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/).map(Number))
    .find(([, identifier]) => identifier === id) ?? []

const set = (nsems: number) =>
  Effect.acquireRelease(Generated.semget(IPC_PRIVATE, nsems, 0o600), (id) =>
    Effect.ignore(Semaphores.semctl(id, 0, IPC_RMID))
  )

const operation = (sem_num: number, sem_op: number, sem_flg = 0): Abi.sembuf => ({ sem_num, sem_op, sem_flg })

describe("semaphores", () => {
  it.live("semget makes a set, semop and semtimedop change it and wait", () =>
    Effect.gen(function* () {
      const id = yield* set(3)
      yield* Semaphores.semop(id, [operation(0, 5), operation(2, 1)])
      assert.deepStrictEqual(yield* Semaphores.semctl(id, 0, GETALL), [5, 0, 1])
      yield* Semaphores.semop(id, [operation(0, -2), operation(1, 0, IPC_NOWAIT)])
      assert.strictEqual(yield* Semaphores.semctl(id, 0, GETVAL), 3)
      yield* tagged("EAGAIN", Semaphores.semop(id, [operation(1, -1, IPC_NOWAIT)]))
      yield* tagged("EAGAIN", Semaphores.semtimedop(id, [operation(1, -1)], "1 millis"))
      const { semop, semtimedop } = Syscall.nr
      const fiber = yield* fork(semop, id, Semaphores.semop(id, [operation(1, -1)]))
      assert.strictEqual(yield* Semaphores.semctl(id, 1, GETNCNT), 1)
      yield* Semaphores.semop(id, [operation(1, 1)])
      yield* Fiber.join(fiber)
      const zero = yield* fork(semtimedop, id, Semaphores.semtimedop(id, [operation(2, 0)], null))
      assert.strictEqual(yield* Semaphores.semctl(id, 2, GETZCNT), 1)
      yield* Fiber.interrupt(zero)
      assert.strictEqual(yield* Semaphores.semctl(id, 2, GETZCNT), 0)
      yield* interrupted(semop, id, Semaphores.semop(id, [operation(1, -1)]))
      yield* tagged("EFBIG", Semaphores.semop(id, [operation(3, 1)]))
      yield* tagged("EINVAL", Semaphores.semop(id, []))
      yield* tagged("EINVAL", Semaphores.semop(id, [operation(0, 40_000)]))
    })
  )

  it.effect("semctl tells all of a set, sets and removes it", () =>
    Effect.gen(function* () {
      const id = yield* set(2)
      yield* Semaphores.semctl(id, 0, SETALL, [7, 9])
      assert.strictEqual(yield* Semaphores.semctl(id, 1, SETVAL, 8), 0)
      assert.deepStrictEqual(yield* Semaphores.semctl(id, 0, GETALL), [7, 8])
      assert.strictEqual(yield* Semaphores.semctl(id, 1, GETPID), process.pid)
      const ds = yield* Semaphores.semctl(id, 0, IPC_STAT)
      assert.strictEqual(ds.sem_nsems, 2n)
      assert.strictEqual(ds.sem_perm.mode & 0o777, 0o600)
      assert.strictEqual(ds.sem_perm.uid, process.getuid?.())
      assert.closeTo(Number(ds.sem_ctime), Date.now() / 1000, 2)
      yield* Semaphores.semctl(id, 0, IPC_SET, { ...ds, sem_perm: { ...ds.sem_perm, mode: 0o640 } })
      // The mode is listed in octal.
      assert.strictEqual(listed("sem", id)[2], 640)
      const { highest, info } = yield* Semaphores.semctl(0, 0, Syscall.SEM_INFO)
      assert.isTrue(info.semusz >= 1 && info.semaem >= 2)
      const found: Array<number> = []
      for (let index = 0; index <= highest; index++) {
        const one = yield* Effect.option(Semaphores.semctl(index, 0, Syscall.SEM_STAT))
        if (one._tag === "Some") found.push(one.value.id)
      }
      assert.include(found, id)
      const limits = readFileSync("/proc/sys/kernel/sem", "utf8").trim().split(/\s+/).map(Number)
      assert.strictEqual((yield* Semaphores.semctl(0, 0, IPC_INFO)).info.semmsl, limits[0])
      yield* tagged("EINVAL", Semaphores.semctl(id, 0, SETALL, [1]))
      yield* tagged("ERANGE", Semaphores.semctl(id, 0, SETALL, [1, 0x10000]))
      yield* tagged("ERANGE", Semaphores.semctl(id, 0, SETVAL, 0x8000))
      yield* tagged("EINVAL", Semaphores.semctl(id, 0, 999))
      yield* Semaphores.semctl(id, 0, IPC_RMID)
      yield* tagged("EINVAL", Semaphores.semctl(id, 0, IPC_STAT))
      yield* tagged("EINVAL", Semaphores.semctl(id, 0, GETALL))
    })
  )

  it.effect("semget fails as documented", () =>
    Effect.gen(function* () {
      yield* tagged("EINVAL", Generated.semget(IPC_PRIVATE, -1))
      yield* tagged("EINVAL", Generated.semget(2 ** 40, 1))
      yield* tagged("ENOENT", Generated.semget(0x6c78e001, 1))
    })
  )
})

const segment = (size: number) =>
  Effect.acquireRelease(Generated.shmget(IPC_PRIVATE, size, IPC_CREAT | IPC_EXCL | 0o600), (id) =>
    Effect.ignore(Semaphores.shmctl(id, IPC_RMID))
  )

describe("shared memory", () => {
  it.effect("shmget makes a segment, shmat maps it twice, shmdt unmaps it", () =>
    Effect.gen(function* () {
      const id = yield* segment(8192)
      const attached = Effect.acquireRelease(Generated.shmat(id), (address) => Effect.ignore(Generated.shmdt(address)))
      const [first, second] = [yield* attached, yield* attached]
      const memory = openSync("/proc/self/mem", "r+")
      try {
        writeSync(memory, bytes("shared"), 0, 6, Number(first) + 4096)
        const read = new Uint8Array(6)
        readSync(memory, read, 0, 6, Number(second) + 4096)
        assert.strictEqual(text(read), "shared")
      } finally {
        closeSync(memory)
      }
      assert.strictEqual((yield* Semaphores.shmctl(id, IPC_STAT)).shm_nattch, 2n)
      yield* Generated.shmdt(first)
      assert.strictEqual((yield* Semaphores.shmctl(id, IPC_STAT)).shm_nattch, 1n)
      yield* tagged("EINVAL", Generated.shmdt(first))
      yield* tagged("EINVAL", Generated.shmat(id, 1))
      yield* tagged("EINVAL", Generated.shmat(-1))
      yield* tagged("EINVAL", Generated.shmget(IPC_PRIVATE, 0))
    })
  )

  it.effect("shmctl tells all of a segment, sets, locks and removes it", () =>
    Effect.gen(function* () {
      const id = yield* segment(5000)
      const ds = yield* Semaphores.shmctl(id, IPC_STAT)
      assert.strictEqual(ds.shm_segsz, 5000n)
      assert.strictEqual(ds.shm_cpid, process.pid)
      assert.strictEqual(listed("shm", id)[3], 5000)
      yield* Semaphores.shmctl(id, IPC_SET, { ...ds, shm_perm: { ...ds.shm_perm, mode: 0o640 } })
      assert.strictEqual((yield* Semaphores.shmctl(id, IPC_STAT)).shm_perm.mode & 0o777, 0o640)
      yield* Semaphores.shmctl(id, Syscall.SHM_LOCK)
      const { mode } = (yield* Semaphores.shmctl(id, IPC_STAT)).shm_perm
      assert.strictEqual(mode & Syscall.SHM_LOCKED, Syscall.SHM_LOCKED)
      yield* Semaphores.shmctl(id, Syscall.SHM_UNLOCK)
      const { highest, info } = yield* Semaphores.shmctl(0, Syscall.SHM_INFO)
      assert.isTrue(info.used_ids >= 1 && info.shm_tot >= 2n)
      const found: Array<number> = []
      for (let index = 0; index <= highest; index++) {
        const one = yield* Effect.option(Semaphores.shmctl(index, Syscall.SHM_STAT_ANY))
        if (one._tag === "Some") found.push(one.value.id)
      }
      assert.include(found, id)
      const limit = readFileSync("/proc/sys/kernel/shmmni", "utf8")
      assert.strictEqual((yield* Semaphores.shmctl(0, IPC_INFO)).info.shmmni, BigInt(limit.trim()))
      assert.strictEqual(yield* Semaphores.shmctl(id, IPC_RMID), 0)
      yield* tagged("EINVAL", Semaphores.shmctl(id, IPC_STAT))
    })
  )
})

const queue = Effect.acquireRelease(Generated.msgget(IPC_PRIVATE, 0o600), (id) =>
  Effect.ignore(Queues.msgctl(id, IPC_RMID))
)

describe("message queues", () => {
  it.live("msgget makes a queue, msgsnd sends, msgrcv chooses by type and waits", () =>
    Effect.gen(function* () {
      const id = yield* queue
      yield* Queues.msgsnd(id, 3, bytes("three"))
      yield* Queues.msgsnd(id, 2n, new DataView(bytes("__two").buffer, 2), IPC_NOWAIT)
      const two = yield* Queues.msgrcv(id, 100, -3)
      assert.deepStrictEqual([two.mtype, text(two.mtext)], [2n, "two"])
      yield* tagged("E2BIG", Queues.msgrcv(id, 2))
      const cut = yield* Queues.msgrcv(id, 2, 3, Syscall.MSG_NOERROR)
      assert.deepStrictEqual([cut.mtype, text(cut.mtext)], [3n, "th"])
      yield* tagged("ENOMSG", Queues.msgrcv(id, 10, 0, IPC_NOWAIT))
      yield* interrupted(Syscall.nr.msgrcv, id, Queues.msgrcv(id, 10))
      const fiber = yield* fork(Syscall.nr.msgrcv, id, Queues.msgrcv(id, 10, 7))
      yield* Queues.msgsnd(id, 7, new Uint8Array(0))
      assert.deepStrictEqual(yield* Fiber.join(fiber), { mtype: 7n, mtext: new Uint8Array(0) })
      yield* tagged("EINVAL", Queues.msgsnd(id, 0, bytes("no type")))
      yield* tagged("EINVAL", Queues.msgrcv(id, -1))
      yield* tagged("EINVAL", Queues.msgsnd(-1, 1, bytes("x")))
    })
  )

  it.live("msgctl tells all of a queue, sets and removes it; msgsnd waits while it is full", () =>
    Effect.gen(function* () {
      const id = yield* queue
      yield* Queues.msgsnd(id, 1, bytes("four"))
      const ds = yield* Queues.msgctl(id, IPC_STAT)
      assert.containsSubset(ds, { msg_qnum: 1n, msg_cbytes: 4n, msg_lspid: process.pid, msg_rtime: 0n })
      assert.strictEqual(listed("msg", id)[3], 4)
      yield* Queues.msgctl(id, IPC_SET, { ...ds, msg_qbytes: 8n })
      yield* tagged("EAGAIN", Queues.msgsnd(id, 1, bytes("fives"), IPC_NOWAIT))
      yield* interrupted(Syscall.nr.msgsnd, id, Queues.msgsnd(id, 1, bytes("fives")))
      assert.strictEqual((yield* Queues.msgctl(id, IPC_STAT)).msg_qbytes, 8n)
      const { highest, info } = yield* Queues.msgctl(0, Syscall.MSG_INFO)
      assert.isTrue(info.msgpool >= 1 && info.msgmap >= 1)
      const found: Array<number> = []
      for (let index = 0; index <= highest; index++) {
        const one = yield* Effect.option(Queues.msgctl(index, Syscall.MSG_STAT))
        if (one._tag === "Some") found.push(one.value.id)
      }
      assert.include(found, id)
      const limit = readFileSync("/proc/sys/kernel/msgmax", "utf8")
      assert.strictEqual((yield* Queues.msgctl(0, IPC_INFO)).info.msgmax, Number(limit))
      assert.strictEqual(yield* Queues.msgctl(id, IPC_RMID), 0)
      yield* tagged("EINVAL", Queues.msgctl(id, IPC_STAT))
      yield* tagged("ENOENT", Generated.msgget(0x6c78e002))
    })
  )
})

describe("POSIX message queues", () => {
  const name = `effect-linux-${process.pid}`
  const attr = { mq_flags: 0n, mq_maxmsg: 2n, mq_msgsize: 16n, mq_curmsgs: 0n }
  const flags = Syscall.O_RDWR | Syscall.O_CREAT | Syscall.O_EXCL | Syscall.O_CLOEXEC

  const opened = held(
    Effect.tap(Generated.mq_open(name, flags, 0o600, attr), () => Effect.orDie(Generated.mq_unlink(name)))
  )

  it.live("mq_open makes one, mq_timedsend and mq_timedreceive send and receive by priority and wait", () =>
    Effect.gen(function* () {
      const fd = yield* opened
      yield* Generated.mq_timedsend(fd, bytes("low"), 1)
      yield* Generated.mq_timedsend(fd, bytes("higher"), 32_767)
      const buffer = new Uint8Array(16)
      assert.deepStrictEqual(yield* Queues.mq_timedreceive(fd, buffer), { length: 6, prio: 32_767 })
      assert.strictEqual(text(buffer.subarray(0, 6)), "higher")
      assert.deepStrictEqual(yield* Queues.mq_timedreceive(fd, buffer), { length: 3, prio: 1 })
      assert.strictEqual(text(buffer), "lowher\0\0\0\0\0\0\0\0\0\0")
      yield* tagged("ETIMEDOUT", Queues.mq_timedreceive(fd, buffer, { tv_sec: 1n, tv_nsec: 0n }))
      yield* tagged("EMSGSIZE", Queues.mq_timedreceive(fd, new Uint8Array(15)))
      yield* tagged("EMSGSIZE", Generated.mq_timedsend(fd, new Uint8Array(17), 0))
      yield* tagged("EINVAL", Generated.mq_timedsend(fd, bytes("x"), 32_768))
      const { mq_timedreceive, mq_timedsend } = Syscall.nr
      yield* interrupted(mq_timedreceive, fd, Queues.mq_timedreceive(fd, buffer))
      const fiber = yield* fork(mq_timedreceive, fd, Queues.mq_timedreceive(fd, buffer))
      yield* Generated.mq_timedsend(fd, bytes("late"), 0)
      assert.deepStrictEqual(yield* Fiber.join(fiber), { length: 4, prio: 0 })
      yield* Generated.mq_timedsend(fd, bytes("1"), 0)
      yield* Generated.mq_timedsend(fd, bytes("2"), 0)
      yield* interrupted(mq_timedsend, fd, Generated.mq_timedsend(fd, bytes("3"), 0))
      yield* tagged("EBADF", Queues.mq_timedreceive(-1, buffer))
    })
  )

  it.effect("mq_getsetattr and mq_notify tell and change one", () =>
    Effect.gen(function* () {
      const fd = yield* opened
      assert.deepStrictEqual(yield* Generated.mq_getsetattr(fd, null), attr)
      const nonBlocking = { ...attr, mq_flags: BigInt(Syscall.O_NONBLOCK) }
      assert.deepStrictEqual(yield* Generated.mq_getsetattr(fd, nonBlocking), attr)
      assert.deepStrictEqual(yield* Generated.mq_getsetattr(fd, null), nonBlocking)
      yield* tagged("EAGAIN", Queues.mq_timedreceive(fd, new Uint8Array(16)))
      yield* Queues.mq_notify(fd, { sigev_notify: Syscall.SIGEV_NONE })
      yield* tagged("EBUSY", Queues.mq_notify(fd, { sigev_notify: Syscall.SIGEV_NONE }))
      yield* Queues.mq_notify(fd, null)
      yield* tagged("EINVAL", Queues.mq_notify(fd, { sigev_notify: 99 }))
      yield* tagged("EBADF", Queues.mq_notify(-1, null))
      yield* tagged("EBADF", Generated.mq_getsetattr(-1, null))
    })
  )

  it.effect("mq_open and mq_unlink fail as documented", () =>
    Effect.gen(function* () {
      yield* tagged("ENOENT", Generated.mq_open(name, Syscall.O_RDONLY))
      yield* tagged("ENOENT", Generated.mq_unlink(name))
      yield* tagged("EACCES", Generated.mq_open("with/slash", flags, 0o600))
      yield* tagged("EINVAL", Generated.mq_open("with\0nul", flags, 0o600))
      yield* tagged("ENAMETOOLONG", Generated.mq_unlink("x".repeat(256)))
      const error = yield* Effect.flip(Generated.mq_open(name, flags, 0o600, { ...attr, mq_maxmsg: 0n }))
      assert.strictEqual(error.errno, Errno.codes.EINVAL)
      yield* Effect.ignore(Generated.mq_unlink(name))
    })
  )
})
