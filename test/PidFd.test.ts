/** Processes: their end and status, signals to them, their files, and that Node hears of its children all the same. */
import { type ChildProcess, spawn } from "node:child_process"
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Errno, Fcntl, File, Namespace, PidFd, Syscall } from "../src/index.ts"
import { temporaryFile, text, turn, utf8 } from "./support/files.ts"

/** A shell that ends with the scope, at the latest, and what Node hears of its end. */
const shell = (script: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => spawn("/bin/sh", ["-c", script], { stdio: ["pipe", "ignore", "ignore"] })),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    ),
    (child) => ({ child, pid: child.pid ?? 0, ended: endOf(child) })
  )

const endOf = (child: ChildProcess): Effect.Effect<readonly [number | null, NodeJS.Signals | null]> => {
  const ended = new Promise<readonly [number | null, NodeJS.Signals | null]>((resolve) => {
    child.on("exit", (code, signal) => resolve([code, signal]))
  })
  return Effect.promise(() => ended)
}

/** How many processes this one has a descriptor of: other descriptors come and go with Node's children. */
const openPidFds = Effect.sync(
  () =>
    readdirSync("/proc/self/fd").filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).includes("pidfd")
      } catch {
        return false // that of the list itself
      }
    }).length
)

describe("PidFd", () => {
  it.live("tells how a child ended, and Node hears of it all the same", () =>
    Effect.gen(function* () {
      const { child, ended, pid } = yield* shell("read line; exit 7")
      const process = yield* PidFd.open(pid)
      const status = yield* Effect.forkChild(PidFd.exit(process))
      yield* turn
      assert.isUndefined(status.pollUnsafe())
      child.stdin?.end("\n")
      assert.deepStrictEqual(yield* Fiber.join(status), { _tag: "Exited", code: 7 })
      assert.deepStrictEqual(yield* ended, [7, null])
      // After Node has waited for it: the kernel remembers.
      const late = yield* Effect.result(PidFd.exit(process))
      if (late._tag === "Success") assert.deepStrictEqual(late.success, { _tag: "Exited", code: 7 })
      else assert.instanceOf(late.failure, Errno.ECHILD)
      yield* PidFd.ended(process)
    })
  )

  it.live("tells which signal ended it", () =>
    Effect.gen(function* () {
      const { ended, pid } = yield* shell("read line")
      const process = yield* PidFd.open(pid)
      yield* PidFd.sendSignal(process, 0)
      yield* PidFd.sendSignal(process, "SIGKILL")
      assert.deepStrictEqual(yield* PidFd.exit(process), { _tag: "Signaled", signal: 9, coreDumped: false })
      assert.deepStrictEqual(yield* ended, [null, "SIGKILL"])
      assert.instanceOf(yield* Effect.flip(PidFd.sendSignal(process, "SIGTERM")), Errno.ESRCH)
    })
  )

  it.live("reaps a child that is its own, and then nobody else can", () =>
    Effect.gen(function* () {
      // Node waits for it only when its event loop turns: not before this is over, as nothing here waits.
      const child = spawn("/bin/sh", ["-c", "exit 3"], { stdio: "ignore" })
      child.unref()
      const process = yield* PidFd.ofChild(child)
      const until = Date.now() + 10_000
      while (!/\) Z /.test(readFileSync(`/proc/${child.pid}/stat`, "utf8"))) {
        assert.isBelow(Date.now(), until, "the child has ended")
      }
      assert.deepStrictEqual(yield* PidFd.exit(process), { _tag: "Exited", code: 3 })
      const { rusage, status } = yield* PidFd.reap(process)
      assert.deepStrictEqual(status, { _tag: "Exited", code: 3 })
      assert.isAtLeast(Number(rusage.ru_maxrss), 1)
      assert.instanceOf(yield* Effect.flip(PidFd.reap(process)), Errno.ECHILD)
    })
  )

  it.live("waits for a process that is no child, and tells how it ended where the kernel does", () =>
    Effect.gen(function* () {
      // The shell's own child: its number is told, and it ends when the pipe does.
      const child = spawn("/bin/sh", ["-c", "cat <&3 >/dev/null & echo $!; wait; exit 0"], {
        stdio: ["ignore", "pipe", "ignore", "pipe"]
      })
      const told = yield* Effect.promise(
        () => new Promise<string>((resolve) => child.stdout?.once("data", (chunk: Buffer) => resolve(String(chunk))))
      )
      const process = yield* PidFd.open(Number.parseInt(told, 10))
      const status = yield* Effect.forkChild(Effect.result(PidFd.exit(process)))
      yield* turn
      assert.isUndefined(status.pollUnsafe())
      yield* PidFd.sendSignal(process, "SIGTERM")
      const result = yield* Fiber.join(status)
      if (result._tag === "Success") {
        assert.deepStrictEqual(result.success, { _tag: "Signaled", signal: 15, coreDumped: false })
      } else {
        assert.instanceOf(result.failure, Errno.ECHILD)
      }
      child.kill("SIGKILL")
    })
  )

  it.live("can be interrupted and closed while it is waited for, and leaves no descriptor", () =>
    Effect.gen(function* () {
      const { pid } = yield* shell("read line")
      const before = yield* openPidFds
      yield* Effect.scoped(
        Effect.gen(function* () {
          const process = yield* PidFd.open(pid)
          const interrupted = yield* Effect.forkChild(PidFd.exit(process))
          const closed = yield* Effect.forkChild(Effect.flip(PidFd.exit(process)))
          yield* turn
          yield* Fiber.interrupt(interrupted)
          yield* File.close(process)
          assert.instanceOf(yield* Fiber.join(closed), Errno.EBADF)
          assert.instanceOf(yield* Effect.flip(PidFd.ended(process)), Errno.EBADF)
        })
      )
      assert.strictEqual(yield* openPidFds, before)
    })
  )

  it.live("gives a descriptor of another process's file", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const fd = yield* File.fd(file)
      const child = spawn("/bin/sh", ["-c", "read line"], { stdio: ["pipe", "ignore", "ignore", fd] })
      yield* Effect.addFinalizer(() => Effect.sync(() => child.kill("SIGKILL")))
      const process = yield* PidFd.open(child.pid ?? 0)
      const theirs = yield* PidFd.getFd(process, 3)
      yield* File.writeAll(theirs, utf8("theirs"))
      const buffer = new Uint8Array(6)
      yield* File.pread(file, buffer, 0)
      assert.strictEqual(text(buffer), "theirs")
      assert.instanceOf(yield* Effect.flip(PidFd.getFd(process, 99)), Errno.EBADF)
      assert.strictEqual(yield* File.fcntl(theirs, Fcntl.F_GETFD), Syscall.FD_CLOEXEC)
    })
  )

  it.live("knows what the process is and which namespaces it is in, where the kernel tells", () =>
    Effect.gen(function* () {
      const { pid } = yield* shell("read line")
      const child = yield* PidFd.open(pid)
      const info = yield* Effect.result(PidFd.info(child))
      if (info._tag === "Failure") return yield* Effect.logInfo("skipped: this kernel is older than 6.13")
      assert.deepStrictEqual(info.success.process, { pid, tgid: pid, ppid: process.pid })
      assert.strictEqual(info.success.credentials?.euid, process.geteuid?.())
      assert.isUndefined(info.success.exit)
      const [theirs, ours] = [yield* PidFd.namespace(child, "net"), yield* Namespace.open("net")]
      assert.isTrue(yield* Namespace.same(theirs, ours))
      assert.strictEqual(yield* Namespace.kind(theirs), "net")
    })
  )

  it.effect("fails with ESRCH where there is no process", () =>
    Effect.gen(function* () {
      assert.instanceOf(yield* Effect.flip(PidFd.open(2 ** 22 + 1)), Errno.ESRCH)
      assert.instanceOf(yield* Effect.flip(PidFd.open(-1)), Errno.EINVAL)
      const nowhere = spawn("/nowhere")
      nowhere.on("error", () => {})
      assert.instanceOf(yield* Effect.flip(PidFd.ofChild(nowhere)), Errno.ESRCH)
    })
  )

  it("takes signals by names that there are", () => {
    // @ts-expect-error no signal
    const wrong = (process: PidFd.PidFd) => PidFd.sendSignal(process, "SIGSOMETHING")
    assert.isFunction(wrong)
  })
})
