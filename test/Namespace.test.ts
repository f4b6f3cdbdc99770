/** Namespaces: what they are, whose they are, and threads that are in another one. */
import { spawn } from "node:child_process"
import { readlinkSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Errno, Fcntl, File, Namespace, Syscall } from "../src/index.ts"
import { turn, yieldingAt } from "./support/files.ts"
import { eventually, openFds, threads } from "./support/process.ts"

const privileged = process.geteuid?.() === 0

/** A process with namespaces of its own, which ends with the scope. */
const unshared = (...flags: ReadonlyArray<string>) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<ReturnType<typeof spawn>, Error>((resume) => {
        const child = spawn("unshare", [...flags, "sh", "-c", "echo ready; read line"], {
          stdio: ["pipe", "pipe", "ignore"]
        })
        child.stdout?.once("data", () => resume(Effect.succeed(child)))
        child.once("error", (error) => resume(Effect.fail(error)))
        child.once("exit", () => resume(Effect.fail(new Error("namespaces cannot be made here"))))
      }),
      (child) =>
        Effect.callback<void>((resume) => {
          child.once("exit", () => resume(Effect.void))
          child.kill("SIGKILL")
        })
    ),
    (child) => child.pid ?? 0
  )

/** Threads that wait for other calls may end later than ours, or be kept for a while. */
const noMoreThreadsThan = (count: number) => eventually(() => Effect.runSync(threads) <= count)

describe("Namespace", () => {
  it.effect("knows which kind it is, and is the same as itself", () =>
    Effect.gen(function* () {
      for (const kind of ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"] as const) {
        const [one, other] = [yield* Namespace.open(kind), yield* Namespace.open(kind, process.pid)]
        assert.strictEqual(yield* Namespace.kind(one), kind)
        assert.isTrue(yield* Namespace.same(one, other))
      }
      assert.strictEqual(yield* Namespace.kind(yield* Namespace.open("pidForChildren")), "pid")
      assert.isFalse(yield* Namespace.same(yield* Namespace.open("net"), yield* Namespace.open("uts")))
    })
  )

  it.effect("has an owner, and a parent where there is one that the caller sees", () =>
    Effect.gen(function* () {
      const net = yield* Namespace.open("net")
      const owner = yield* Effect.result(Namespace.owner(net))
      // In a container that may be out of sight.
      if (owner._tag === "Success") {
        assert.strictEqual(yield* Namespace.kind(owner.success), "user")
        assert.isAtLeast(yield* Namespace.ownerUid(owner.success), 0)
        assert.strictEqual(yield* File.fcntl(owner.success, Fcntl.F_GETFD), Syscall.FD_CLOEXEC)
      } else {
        assert.instanceOf(owner.failure, Errno.EPERM)
      }
      assert.instanceOf(yield* Effect.flip(Namespace.parent(net)), Errno.EINVAL)
      assert.instanceOf(yield* Effect.flip(Namespace.parent(yield* Namespace.open("pid"))), Errno.EPERM)
    })
  )

  it.effect("tells identifiers, where the kernel does", () =>
    Effect.gen(function* () {
      const mounts = yield* Effect.result(Namespace.mountId(yield* Namespace.open("mnt")))
      if (mounts._tag === "Failure") return yield* Effect.logInfo("skipped: this kernel is older than 6.11")
      assert.isTrue(mounts.success > 0n)
      const pids = yield* Namespace.open("pid")
      assert.strictEqual(yield* Namespace.pidIn(pids, process.pid), process.pid)
      assert.strictEqual(yield* Namespace.pidFrom(pids, process.pid), process.pid)
    })
  )

  it.effect("fails where there is none, and leaves no descriptor", () =>
    Effect.gen(function* () {
      const before = yield* openFds
      yield* Effect.scoped(
        Effect.gen(function* () {
          const error = yield* Effect.flip(Namespace.open("net", 2 ** 22 + 1))
          assert.instanceOf(error, Errno.ENOENT)
          const net = yield* Namespace.open("net")
          yield* File.close(net)
          assert.instanceOf(yield* Effect.flip(Namespace.kind(net)), Errno.EBADF)
          assert.instanceOf(yield* Effect.flip(Namespace.owner(net)), Errno.EBADF)
        })
      )
      assert.strictEqual(yield* openFds, before)
    })
  )

  it("takes kinds that there are, and files that are namespaces", () => {
    // @ts-expect-error no kind
    const kind = () => Namespace.open("network")
    // @ts-expect-error no namespace
    const file = (file: File.File) => Namespace.kind(file)
    assert.isFunction(kind ?? file)
  })
})

describe.skipIf(!privileged)(`a thread in namespaces${privileged ? "" : " (skipped: it needs CAP_SYS_ADMIN)"}`, () => {
  it.live("is there, while everything else stays where it was", () =>
    Effect.gen(function* () {
      const child = yield* Effect.result(unshared("--net", "--uts", "--mount"))
      if (child._tag === "Failure") return yield* Effect.logInfo(`skipped: ${child.failure.message}`)
      const [fds, count] = [yield* openFds, yield* threads]
      yield* Effect.scoped(
        Effect.gen(function* () {
          const [net, uts, mnt] = [
            yield* Namespace.open("net", child.success),
            yield* Namespace.open("uts", child.success),
            yield* Namespace.open("mnt", child.success)
          ]
          assert.isFalse(yield* Namespace.same(net, yield* Namespace.open("net")))
          const ours = readlinkSync("/proc/self/ns/net")
          const thread = yield* Namespace.enter([net, uts, mnt])
          // A socket made there is of that network: its namespace is told by SIOCGSKNS.
          const socket = yield* Namespace.fileOn(
            thread,
            Syscall.nr.socket,
            Syscall.AF_INET,
            Syscall.SOCK_STREAM | Syscall.SOCK_CLOEXEC,
            0
          )
          const SIOCGSKNS = 0x894c
          const of = yield* Syscall.call(Syscall.nr.ioctl, yield* File.fd(socket), SIOCGSKNS, 0)
          const theirs = File.asDevice(yield* File.fromFd(of), Namespace.device)
          assert.isTrue(yield* Namespace.same(theirs, net))
          const path = new TextEncoder().encode("/proc/thread-self/ns/mnt\0")
          const opened = yield* Namespace.fileOn(thread, Syscall.nr.openat, Syscall.AT_FDCWD, path, Syscall.O_RDONLY)
          assert.isTrue(yield* Namespace.same(File.asDevice(opened, Namespace.device), mnt))
          assert.strictEqual(readlinkSync("/proc/self/ns/net"), ours)
          assert.strictEqual(readlinkSync("/proc/thread-self/ns/net"), ours)
          const refused = yield* Effect.flip(Namespace.fileOn(thread, Syscall.nr.openat, -1, path.subarray(1), 0, 0))
          assert.strictEqual(refused.message, "openat(): EBADF, bad file number")
        })
      )
      assert.strictEqual(yield* openFds, fds)
      assert.isTrue(yield* noMoreThreadsThan(count))
    })
  )

  it.live("ends, and leaves nothing, wherever the fiber that makes it is interrupted", () =>
    Effect.gen(function* () {
      const uts = yield* Namespace.open("uts")
      const [fds, count] = [yield* openFds, yield* threads]
      for (let at = 1; at < 60; at += 3) {
        const socket = Effect.flatMap(Namespace.enter([uts]), (thread) =>
          Namespace.fileOn(thread, Syscall.nr.eventfd2, 0, Syscall.EFD_CLOEXEC)
        )
        const fiber = yield* Effect.forkChild(Effect.scoped(Effect.andThen(socket, Effect.never)).pipe(yieldingAt(at)))
        yield* turn
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* openFds, fds, `at ${at}`)
        assert.isTrue(yield* noMoreThreadsThan(count), `at ${at}`)
      }
    })
  )

  it.live("is not to be had in a user namespace, and ends where it could not enter", () =>
    Effect.gen(function* () {
      const count = yield* threads
      const error = yield* Effect.flip(
        Effect.scoped(Effect.flatMap(Namespace.open("user"), (user) => Namespace.enter([user])))
      )
      assert.instanceOf(error, Errno.EINVAL)
      assert.isTrue(yield* noMoreThreadsThan(count))
    })
  )
})
