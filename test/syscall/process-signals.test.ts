/** Signals, timers that send them and descriptors of processes, against the real kernel. */
import { spawn } from "node:child_process"
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Abi, Errno, Syscall } from "../../src/index.ts"
import * as Generated from "../../src/syscall/generated/process.ts"
import * as Signals from "../../src/syscall/process-signals.ts"
import { held } from "../support/fds.ts"
import { eventually } from "../support/process.ts"

/** A signal that nobody uses, far from the one that interrupts calls. */
const signal = 40

const { pid } = process

const status = (field: string): string => {
  const text = readFileSync("/proc/thread-self/status", "utf8")
  return new RegExp(`^${field}:\\t(.*)$`, "m").exec(text)?.[1] ?? ""
}

/** Runs an effect with a signal blocked on this thread, and takes what of it is still pending. */
const blocking = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.acquireUseRelease(
    Generated.rt_sigprocmask(Syscall.SIG_BLOCK, [signal]),
    () => self,
    (before) => Effect.ignore(Generated.rt_sigprocmask(Syscall.SIG_SETMASK, before))
  )

const pending = held(Generated.signalfd4(-1, [signal], Syscall.SFD_CLOEXEC | Syscall.SFD_NONBLOCK))

const take = (fd: number) =>
  Effect.gen(function* () {
    const buffer = new Uint8Array(Abi.signalfd_siginfo.size)
    assert.strictEqual(yield* Syscall.read(fd, buffer), buffer.length)
    return Abi.signalfd_siginfo.decode(buffer)
  })

/** The thread of this process that is asleep in a system call. */
const threadIn = (nr: number): number | undefined => {
  const found = readdirSync("/proc/self/task").find((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/syscall`, "utf8").startsWith(`${nr} `)
    } catch {
      return false // it ended meanwhile
    }
  })
  return found === undefined ? undefined : Number(found)
}

/** A child that lives until its standard input ends, and what it ends with. */
const child = Effect.acquireRelease(
  Effect.sync(() => {
    const started = spawn("cat", { stdio: ["pipe", "ignore", "inherit"] })
    const ended = new Promise<NodeJS.Signals | null>((resolve) => started.on("close", (_, by) => resolve(by)))
    return { pid: started.pid ?? 0, started, ended: Effect.promise(() => ended) }
  }),
  ({ started }) => Effect.sync(() => started.kill("SIGKILL"))
)

describe("signal masks", () => {
  it.effect("rt_sigprocmask blocks, tells what was blocked, and restores it", () =>
    Effect.gen(function* () {
      const before = yield* Generated.rt_sigprocmask(Syscall.SIG_BLOCK, null)
      assert.notInclude(before, signal)
      assert.deepStrictEqual(yield* Generated.rt_sigprocmask(Syscall.SIG_BLOCK, [signal, 33, 64]), before)
      const blocked = BigInt(`0x${status("SigBlk")}`)
      for (const one of [signal, 33, 64]) assert.strictEqual((blocked >> BigInt(one - 1)) & 1n, 1n)
      assert.includeMembers([...(yield* Generated.rt_sigprocmask(Syscall.SIG_UNBLOCK, [33]))], [33, signal, 64])
      const now = yield* Generated.rt_sigprocmask(Syscall.SIG_SETMASK, before)
      assert.deepStrictEqual(
        now,
        [...new Set([...before, signal, 64])].filter((one) => one !== 33).sort((a, b) => a - b)
      )
    })
  )

  it.effect("rt_sigprocmask refuses what is no signal and fails with EINVAL for what is no way", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(Generated.rt_sigprocmask(9, [])))._tag, "EINVAL")
      const error = yield* Effect.flip(Generated.rt_sigprocmask(Syscall.SIG_BLOCK, [65]))
      assert.strictEqual(error._tag, "EINVAL")
      assert.include(error.message, "65 is no signal number")
    })
  )

  it.effect("rt_sigpending tells of a signal that tkill and tgkill sent to this thread, signalfd4 gives it", () =>
    blocking(
      Effect.gen(function* () {
        const fd = yield* pending
        const tid = yield* Syscall.gettid
        assert.notInclude(yield* Generated.rt_sigpending, signal)
        yield* Generated.tkill(tid, signal)
        assert.include(yield* Generated.rt_sigpending, signal)
        const info = yield* take(fd)
        assert.containsSubset(info, { ssi_signo: signal, ssi_code: Syscall.SI_TKILL, ssi_pid: pid })
        yield* Syscall.tgkill(pid, tid, signal)
        assert.strictEqual((yield* take(fd)).ssi_signo, signal)
        assert.notInclude(yield* Generated.rt_sigpending, signal)
        assert.strictEqual((yield* Effect.flip(take(fd)))._tag, "EAGAIN")
      })
    )
  )

  it.effect("signalfd changes the signals of a descriptor and makes one", () =>
    blocking(
      Effect.gen(function* () {
        const fd = yield* pending
        const nr = Syscall.nr.signalfd
        if (nr === undefined) {
          assert.strictEqual((yield* Effect.flip(Generated.signalfd(fd, [33]))).errno, Errno.codes.ENOSYS)
          return
        }
        assert.strictEqual(yield* Generated.signalfd(fd, [33]), fd)
        const mask = /sigmask:\t(\w+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1]
        assert.strictEqual(BigInt(`0x${mask}`), 1n << 32n)
        const other = yield* held(Generated.signalfd(-1, [33]))
        assert.strictEqual(readlinkSync(`/proc/self/fd/${other}`), "anon_inode:[signalfd]")
      })
    )
  )

  it.effect("signalfd4 and signalfd fail with EBADF and EINVAL", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(Generated.signalfd4(-1, [], 1)))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(Generated.signalfd4(987_654, [])))._tag, "EBADF")
      assert.strictEqual((yield* Effect.flip(Generated.signalfd4(0.5, [])))._tag, "EBADF")
    })
  )
})

describe("signals with data", () => {
  const info = (code: number, value: number) => ({
    si_signo: signal,
    si_errno: 0,
    si_code: code,
    _sifields: { _rt: { _pid: pid, _uid: 0, _sigval: { sival_int: value } } }
  })

  it.effect("rt_tgsigqueueinfo sends a number that the receiver reads", () =>
    blocking(
      Effect.gen(function* () {
        const fd = yield* pending
        yield* Signals.rt_tgsigqueueinfo(pid, yield* Syscall.gettid, signal, info(Syscall.SI_QUEUE, -77))
        const received = yield* take(fd)
        assert.containsSubset(received, { ssi_signo: signal, ssi_code: Syscall.SI_QUEUE, ssi_int: -77, ssi_pid: pid })
      })
    )
  )

  it.live("rt_sigqueueinfo ends a child, and may not pretend that the kernel sent the signal", () =>
    Effect.gen(function* () {
      const { ended, pid: other } = yield* child
      const forged = yield* Effect.flip(Signals.rt_sigqueueinfo(other, Syscall.SIGTERM, info(Syscall.SI_USER, 0)))
      assert.strictEqual(forged._tag, "EPERM")
      yield* Signals.rt_sigqueueinfo(other, Syscall.SIGTERM, info(Syscall.SI_QUEUE, 1))
      assert.strictEqual(yield* ended, "SIGTERM")
    })
  )

  it.effect(
    "rt_sigqueueinfo, rt_tgsigqueueinfo, tkill and kill fail with EINVAL for no signal and ESRCH for no process",
    () =>
      Effect.gen(function* () {
        const data = info(Syscall.SI_QUEUE, 0)
        assert.strictEqual((yield* Effect.flip(Signals.rt_sigqueueinfo(pid, 65, data)))._tag, "EINVAL")
        assert.strictEqual((yield* Effect.flip(Signals.rt_sigqueueinfo(0x3fffffff, 0, data)))._tag, "ESRCH")
        assert.strictEqual((yield* Effect.flip(Signals.rt_tgsigqueueinfo(pid, 0x3fffffff, 0, data)))._tag, "ESRCH")
        assert.strictEqual((yield* Effect.flip(Generated.tkill(-1, 0)))._tag, "EINVAL")
        assert.strictEqual((yield* Effect.flip(Syscall.kill(0x3fffffff, 0)))._tag, "ESRCH")
        yield* Syscall.kill(pid, 0)
      })
  )
})

describe("waiting for signals", () => {
  it.live("rt_sigtimedwait gives a signal and what is known of it", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Generated.rt_sigtimedwait([signal], "10 seconds"))
      assert.isTrue(yield* eventually(() => threadIn(Syscall.nr.rt_sigtimedwait) !== undefined))
      yield* Syscall.tgkill(pid, threadIn(Syscall.nr.rt_sigtimedwait) ?? 0, signal)
      const info = yield* Fiber.join(fiber)
      assert.containsSubset(info, { si_signo: signal, si_code: Syscall.SI_TKILL, si_errno: 0 })
      assert.deepStrictEqual(info._sifields._kill, { _pid: pid, _uid: process.getuid?.() ?? 0 })
    })
  )

  it.live("rt_sigtimedwait fails with EAGAIN when the time is over, and EINVAL for no time", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(Generated.rt_sigtimedwait([signal], 1)))._tag, "EAGAIN")
      const never = Generated.rt_sigtimedwait([signal], { tv_sec: 0n, tv_nsec: 1_000_000_000n })
      assert.strictEqual((yield* Effect.flip(never))._tag, "EINVAL")
    })
  )

  it.live("rt_sigsuspend ends with EINTR after a handler, and can be interrupted with all signals blocked", () =>
    Effect.gen(function* () {
      const heard = new Promise<void>((resolve) => process.once("SIGWINCH", () => resolve()))
      const all = Array.from({ length: 64 }, (_, index) => index + 1)
      const fiber = yield* Effect.forkChild(
        Effect.flip(Signals.rt_sigsuspend(all.filter((one) => one !== Syscall.SIGWINCH)))
      )
      assert.isTrue(yield* eventually(() => threadIn(Syscall.nr.rt_sigsuspend) !== undefined))
      yield* Syscall.tgkill(pid, threadIn(Syscall.nr.rt_sigsuspend) ?? 0, Syscall.SIGWINCH)
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "EINTR")
      yield* Effect.promise(() => heard)

      const deaf = yield* Effect.forkChild(Signals.rt_sigsuspend(all))
      assert.isTrue(yield* eventually(() => threadIn(Syscall.nr.rt_sigsuspend) !== undefined))
      yield* Fiber.interrupt(deaf)
      assert.isUndefined(threadIn(Syscall.nr.rt_sigsuspend))
    })
  )

  it.live("pause waits until its fiber is interrupted", () =>
    Effect.gen(function* () {
      const nr = Syscall.nr.pause
      if (nr === undefined) {
        assert.strictEqual((yield* Effect.flip(Generated.pause)).errno, Errno.codes.ENOSYS)
        return
      }
      const fiber = yield* Effect.forkChild(Generated.pause)
      assert.isTrue(yield* eventually(() => threadIn(nr) !== undefined))
      yield* Fiber.interrupt(fiber)
      assert.isUndefined(threadIn(nr))
    })
  )
})

describe("interval timers", () => {
  const seconds = (n: bigint) => ({
    it_interval: { tv_sec: 0n, tv_usec: 0n },
    it_value: { tv_sec: n, tv_usec: 0n }
  })

  it.effect("setitimer, getitimer and alarm are about one timer", () =>
    Effect.gen(function* () {
      const set = { it_interval: { tv_sec: 5n, tv_usec: 250_000n }, it_value: { tv_sec: 1000n, tv_usec: 500_000n } }
      assert.deepStrictEqual(yield* Generated.setitimer(Syscall.ITIMER_REAL, set), seconds(0n))
      const left = yield* Generated.getitimer(Syscall.ITIMER_REAL)
      assert.deepStrictEqual(left.it_interval, set.it_interval)
      assert.isTrue(left.it_value.tv_sec >= 990n && left.it_value.tv_sec <= 1000n)
      if (Syscall.nr.alarm === undefined) {
        yield* Generated.setitimer(Syscall.ITIMER_REAL, seconds(0n))
        assert.strictEqual((yield* Effect.flip(Generated.alarm(0)))._tag, "ENOSYS")
        return
      }
      const rest = yield* Generated.alarm(500)
      assert.isTrue(rest >= 990 && rest <= 1001)
      const before = yield* Generated.setitimer(Syscall.ITIMER_REAL, seconds(0n))
      assert.isTrue(before.it_value.tv_sec >= 490n && before.it_value.tv_sec <= 500n)
      assert.strictEqual(yield* Generated.alarm(0), 0)
    })
  )

  it.effect("setitimer and getitimer fail with EINVAL for no timer and no time", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(Generated.getitimer(3)))._tag, "EINVAL")
      const wrong = { ...seconds(0n), it_value: { tv_sec: 1n, tv_usec: 1_000_000n } }
      assert.strictEqual((yield* Effect.flip(Generated.setitimer(Syscall.ITIMER_PROF, wrong)))._tag, "EINVAL")
    })
  )
})

describe("descriptors of processes", () => {
  it.live("pidfd_open names a process, pidfd_getfd takes its descriptors, pidfd_send_signal signals it", () =>
    Effect.gen(function* () {
      const { ended, pid: other } = yield* child
      const pidfd = yield* held(Generated.pidfd_open(other, Syscall.PIDFD_NONBLOCK))
      const fdinfo = readFileSync(`/proc/self/fdinfo/${pidfd}`, "utf8")
      assert.match(fdinfo, new RegExp(`^Pid:\\t${other}$`, "m"))
      const stdin = yield* held(Generated.pidfd_getfd(pidfd, 0))
      assert.strictEqual(readlinkSync(`/proc/self/fd/${stdin}`), readlinkSync(`/proc/${other}/fd/0`))
      assert.strictEqual((yield* Effect.flip(Generated.pidfd_getfd(pidfd, 999)))._tag, "EBADF")
      yield* Signals.pidfd_send_signal(pidfd, 0)
      const info = {
        si_signo: Syscall.SIGUSR1,
        si_errno: 0,
        si_code: Syscall.SI_QUEUE,
        _sifields: { _rt: { _pid: pid, _uid: 0, _sigval: { sival_ptr: 5n } } }
      }
      const mismatch = yield* Effect.flip(Signals.pidfd_send_signal(pidfd, Syscall.SIGUSR2, info))
      assert.strictEqual(mismatch._tag, "EINVAL")
      yield* Signals.pidfd_send_signal(pidfd, Syscall.SIGUSR1, info)
      assert.strictEqual(yield* ended, "SIGUSR1")
    })
  )

  it.effect("pidfd_open, pidfd_getfd and pidfd_send_signal fail as the manual says", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(Generated.pidfd_open(0)))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(Generated.pidfd_open(0x3fffffff)))._tag, "ESRCH")
      assert.strictEqual((yield* Effect.flip(Generated.pidfd_open(pid, 1)))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(Generated.pidfd_getfd(-1, 0)))._tag, "EBADF")
      const error = yield* Effect.flip(Signals.pidfd_send_signal(0.5, 0))
      assert.containsSubset(error, { _tag: "EBADF", fd: 0.5 })
    })
  )
})
