/** Signals: those sent to the thread, to a process whose threads all block them, and those that Node has to catch. */
import { execFileSync, spawn } from "node:child_process"
import { readFile } from "node:fs/promises"
import { Worker } from "node:worker_threads"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Stream } from "effect"
import { Errno, File, PidFd, SignalFd, Syscall } from "../src/index.ts"
import { turn, yieldingAt } from "./support/files.ts"
import { openFds } from "./support/process.ts"

/** Sends a signal to this thread, with a value. */
const toThread = (signal: number, value: bigint) =>
  Effect.gen(function* () {
    const [pid, tid] = [yield* Syscall.getpid, yield* Syscall.gettid]
    yield* Syscall.rt_tgsigqueueinfo(pid, tid, signal, {
      si_signo: signal,
      si_errno: 0,
      si_code: Syscall.SI_QUEUE,
      _sifields: { _rt: { _pid: pid, _uid: 0, _sigval: { sival_ptr: value } } }
    })
  })

const blockedNow = Effect.map(Syscall.rt_sigprocmask(Syscall.SIG_BLOCK, []), (mask) => [...mask])

describe("SignalFd", () => {
  it.effect("gives what is sent to this thread, with all that is known of it", () =>
    Effect.gen(function* () {
      const queue = yield* SignalFd.make([34, "SIGUSR2"], { thisThreadOnly: true })
      assert.deepStrictEqual(yield* SignalFd.tryRead(queue), Option.none())
      yield* toThread(34, 7n)
      yield* toThread(34, 8n)
      yield* Syscall.tgkill(yield* Syscall.getpid, yield* Syscall.gettid, Syscall.SIGUSR2)
      const signals = yield* Stream.runCollect(Stream.take(SignalFd.signals(queue), 3))
      const told = signals.map(({ forwarded, information, name, number }) => [
        number,
        name,
        forwarded,
        information.ssi_ptr
      ])
      assert.deepStrictEqual(told, [
        [Syscall.SIGUSR2, "SIGUSR2", false, 0n],
        [34, undefined, false, 7n],
        [34, undefined, false, 8n]
      ])
      assert.strictEqual(signals[0]?.information.ssi_pid, process.pid)
    })
  )

  it.live("gives what another process sends to this one, and tells who did", () =>
    Effect.gen(function* () {
      const queue = yield* SignalFd.make(["SIGUSR1", "SIGUSR2", "SIGTERM", "SIGINT"])
      const collecting = yield* Effect.forkChild(Stream.runCollect(Stream.take(SignalFd.signals(queue), 4)))
      yield* turn
      assert.isUndefined(collecting.pollUnsafe())
      const script = ["USR1", "USR2", "TERM", "INT"].map((name) => `kill -${name} ${process.pid}`).join(";")
      const child = spawn("/bin/sh", ["-c", script], { stdio: "ignore" })
      const signals = yield* Fiber.join(collecting)
      assert.deepStrictEqual(signals.map(({ name }) => String(name)).toSorted(), [
        "SIGINT",
        "SIGTERM",
        "SIGUSR1",
        "SIGUSR2"
      ])
      for (const { forwarded, information } of signals) {
        assert.isFalse(forwarded)
        assert.strictEqual(information.ssi_pid, child.pid)
      }
    })
  )

  it.live("gives real-time signals to the process in order, each with its value", () =>
    Effect.gen(function* () {
      const queue = yield* SignalFd.make([35])
      const self = yield* PidFd.open(process.pid)
      for (const value of [1n, 2n, 3n]) yield* PidFd.sendSignal(self, 35, { value })
      const signals = yield* Stream.runCollect(Stream.take(SignalFd.signals(queue), 3))
      assert.deepStrictEqual(
        signals.map(({ information }) => information.ssi_ptr),
        [1n, 2n, 3n]
      )
    })
  )

  it.live("finds the threads blocked that Node starts later", () =>
    Effect.gen(function* () {
      const queue = yield* SignalFd.make(["SIGUSR2"])
      yield* Effect.promise(() => Promise.all([1, 2, 3, 4].map(() => readFile("/etc/hostname"))))
      const running = new Worker("require('node:worker_threads').parentPort.once('message', () => {})", { eval: true })
      yield* Effect.promise(() => new Promise((resolve) => running.once("online", resolve)))
      for (let index = 0; index < 20; index++) {
        process.kill(process.pid, "SIGUSR2")
        assert.isFalse((yield* SignalFd.read(queue)).forwarded)
      }
      yield* Effect.promise(() => running.terminate())
    })
  )

  it.live("gives a signal to each of two queues' readers that ask for it first, and stays blocked for the other", () =>
    Effect.gen(function* () {
      const outer = yield* SignalFd.make(["SIGUSR2"])
      yield* Effect.scoped(SignalFd.make(["SIGUSR2", "SIGHUP"]))
      assert.include(yield* blockedNow, Syscall.SIGUSR2)
      assert.notInclude(yield* blockedNow, Syscall.SIGHUP)
      process.kill(process.pid, "SIGUSR2")
      assert.strictEqual((yield* SignalFd.read(outer)).name, "SIGUSR2")
    })
  )

  it.effect("blocks for as long as the scope is open, and drops what nobody read", () =>
    Effect.gen(function* () {
      const before = yield* blockedNow
      yield* Effect.scoped(
        Effect.gen(function* () {
          const queue = yield* SignalFd.make(["SIGUSR2", 34], { thisThreadOnly: true })
          assert.includeMembers([...(yield* blockedNow)], [Syscall.SIGUSR2, 34])
          // By default these end the process.
          yield* toThread(34, 1n)
          yield* toThread(34, 2n)
          yield* toThread(Syscall.SIGUSR2, 3n)
          yield* File.close(queue)
        })
      )
      assert.deepStrictEqual(yield* blockedNow, before)
      assert.strictEqual(process.listenerCount("SIGUSR2"), 0)
    })
  )

  it.effect("lets children begin with nothing blocked", () =>
    Effect.gen(function* () {
      yield* SignalFd.make(["SIGUSR1", "SIGUSR2", "SIGTERM"])
      const status = execFileSync("/bin/cat", ["/proc/self/status"], { encoding: "utf8" })
      assert.match(status, /^SigBlk:\t0+$/m)
    })
  )

  it.effect("refuses signals that cannot be read, by name", () =>
    Effect.gen(function* () {
      for (const signal of ["SIGKILL", "SIGSTOP", "SIGSEGV", yield* Syscall.interruptSignal, 65, 0] as const) {
        const error = yield* Effect.flip(Effect.scoped(SignalFd.make([signal])))
        assert.strictEqual(error._tag, "EINVAL")
        assert.include(error.message, "signals")
      }
    })
  )

  it.live("fails where no descriptor is left, also to look at the threads by", () =>
    Effect.gen(function* () {
      const before = new BigUint64Array(2)
      const limit = (set: BigUint64Array | null, old: BigUint64Array | null) =>
        Syscall.kernel.call(Syscall.nr.prlimit64, 0, 7, set, old) // RLIMIT_NOFILE
      limit(null, before)
      const fds = BigInt(yield* openFds)
      yield* Effect.gen(function* () {
        limit(BigUint64Array.of(fds + 32n, before[1] ?? 0n), null)
        const all: Array<File.File> = []
        for (let before = -1; before < all.length; ) {
          before = all.length
          yield* Effect.ignore(Effect.map(File.open("/dev/null"), (file) => all.push(file)))
        }
        const make = Effect.flip(Effect.scoped(SignalFd.make(["SIGUSR2"])))
        assert.strictEqual((yield* make)._tag, "EMFILE")
        const [one] = all
        if (one !== undefined) yield* File.close(one)
        assert.strictEqual((yield* make)._tag, "EMFILE")
      }).pipe(Effect.scoped, Effect.ensuring(Effect.sync(() => limit(before, null))))
      assert.strictEqual(BigInt(yield* openFds), fds)
    })
  )

  // Blocked in other threads, the signal that asks them to block others reached none of them, for good.
  it.live("keeps the signal by which it asks other threads", () =>
    Effect.gen(function* () {
      const realTime = Array.from({ length: 31 }, (_, index) => 34 + index)
      for (const signal of realTime) yield* Effect.exit(Effect.scoped(SignalFd.make([signal])))
      const refused = yield* Effect.filter(realTime, (signal) =>
        Effect.map(Effect.exit(Effect.scoped(SignalFd.make([signal]))), (exit) => exit._tag === "Failure")
      )
      assert.strictEqual(refused.length, 2)
      assert.include(refused, yield* Syscall.interruptSignal)
    })
  )

  it.live("can be interrupted and closed while it is read, and leaves nothing", () =>
    Effect.gen(function* () {
      const [fds, mask] = [yield* openFds, yield* blockedNow]
      yield* Effect.scoped(
        Effect.gen(function* () {
          const queue = yield* SignalFd.make(["SIGUSR2"])
          const interrupted = yield* Effect.forkChild(SignalFd.read(queue))
          const closed = yield* Effect.forkChild(Effect.flip(SignalFd.read(queue)))
          yield* turn
          yield* Fiber.interrupt(interrupted)
          yield* File.close(queue)
          assert.instanceOf(yield* Fiber.join(closed), Errno.EBADF)
        })
      )
      assert.strictEqual(yield* openFds, fds)
      assert.deepStrictEqual(yield* blockedNow, mask)
    })
  )

  it.live("leaves nothing wherever its maker is interrupted", () =>
    Effect.gen(function* () {
      const [fds, mask] = [yield* openFds, yield* blockedNow]
      for (let at = 1; at < 80; at += 2) {
        const fiber = yield* Effect.forkChild(
          Effect.scoped(Effect.andThen(SignalFd.make(["SIGUSR2"]), Effect.never)).pipe(yieldingAt(at))
        )
        yield* turn
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* openFds, fds, `at ${at}`)
        assert.deepStrictEqual(yield* blockedNow, mask, `at ${at}`)
        assert.strictEqual(process.listenerCount("SIGUSR2"), 0, `at ${at}`)
      }
    })
  )

  it("takes signals by names that there are", () => {
    // @ts-expect-error no signal
    const wrong = () => SignalFd.make(["SIGSOMETHING"])
    assert.isFunction(wrong)
  })
})
