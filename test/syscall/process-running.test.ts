/** Programs that end, are replaced, waited for, traced and looked into, against the real kernel. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Abi, Errno, Syscall } from "../../src/index.ts"
import * as Generated from "../../src/syscall/generated/process.ts"
import * as Running from "../../src/syscall/process-running.ts"
import { asleepIn, held, memfd } from "../support/fds.ts"
import { eventually } from "../support/process.ts"
import { program } from "../support/program.ts"

const effect = JSON.stringify(pathToFileURL(createRequire(import.meta.url).resolve("effect")).href)
const built = JSON.stringify(new URL("../../dist/syscall/process-running.js", import.meta.url))

/** Runs effects of `Running` in a process that may end. */
const elsewhere = (body: string) =>
  program(`
    import { Worker } from "node:worker_threads"
    import * as Running from ${built}
    await Effect.runPromise(Effect.gen(function* () { ${body} }))
  `)

/**
 * A child that Node does not know of, so that Node does not wait for it: the orphan of a shell. It runs `script` with a
 * pipe as descriptor 3 that `release` closes.
 */
const orphan = (script: string) =>
  Effect.acquireRelease(
    Effect.gen(function* () {
      yield* Generated.prctl(Syscall.PR_SET_CHILD_SUBREAPER, 1)
      const shell = spawn("sh", ["-c", `(${script}) >/dev/null & echo $!`], {
        stdio: ["ignore", "pipe", "inherit", "pipe"]
      })
      const { stdout } = shell
      const pipe = shell.stdio[3]
      if (stdout === null) return yield* Effect.die("the shell has no output")
      let printed = ""
      stdout.on("data", (chunk) => {
        printed += String(chunk)
      })
      // Not "close", which comes only when the pipe is closed as well.
      yield* Effect.promise(() => Promise.all([once(shell, "exit"), once(stdout, "close")]))
      const pid = Number(printed)
      return { pid, release: Effect.sync(() => pipe?.destroy()) }
    }),
    ({ pid, release }) =>
      release.pipe(
        Effect.andThen(Syscall.kill(pid, Syscall.SIGKILL)),
        Effect.andThen(Running.wait4(pid, Syscall.__WALL)),
        Effect.ignore
      )
  )

const tagOf = <A, E extends { readonly _tag: string }>(self: Effect.Effect<A, E>) =>
  Effect.map(Effect.flip(self), ({ _tag }) => _tag)

describe("other programs", () => {
  it.effect("execve and execveat fail with the path they did not find", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Running.execve("/nope/nope", ["nope"], []))
      assert.containsSubset(error, { _tag: "ENOENT", path: "/nope/nope", syscall: "execve" })
      const at = yield* Effect.flip(Running.execveat(Syscall.AT_FDCWD, "/nope/nope", ["nope"], []))
      assert.containsSubset(at, { _tag: "ENOENT", path: "/nope/nope", syscall: "execveat" })
      assert.strictEqual(yield* tagOf(Running.execve("/", ["x"], [])), "EACCES")
    })
  )

  it.effect("execve and execveat refuse what is no string of C and no descriptor", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Running.execve("/bin/true", ["true", "a\0b"], []))
      assert.strictEqual(error._tag, "EINVAL")
      assert.include(error.message, "argv[1] contains a NUL")
      const environment = yield* Effect.flip(Running.execve("/bin/true", [], [new Uint8Array([65, 0])]))
      assert.include(environment.message, "envp[0]")
      const fd = yield* Effect.flip(Running.execveat(0.5, "", [], [], Syscall.AT_EMPTY_PATH))
      assert.strictEqual(fd.errno, Errno.codes.EBADF)
    })
  )

  it.live("execve replaces the program, with arguments and environment as bytes", () =>
    Effect.gen(function* () {
      const bytes = "new Uint8Array([0xff, 0x41])"
      const { code, stderr, stdout } = yield* elsewhere(`
        const script = 'echo "$0" "$#" "$1" "$FOO" "$(env | grep -c ^PATH=)"; printf %s "$2" | od -An -tx1; exit 9'
        // Node has set FD_CLOEXEC on the standard descriptors.
        for (const fd of [0, 1, 2]) yield* Syscall.fcntl(fd, 2, 0)
        yield* Running.execve("/bin/sh", ["sh", "-c", script, "nought", "grüße", ${bytes}], ["FOO=b a r"])
      `)
      assert.deepStrictEqual([stderr, stdout, code], ["", "nought 2 grüße b a r 0\n ff 41\n", 9])
    })
  )

  it.live("execveat replaces the program by that of a descriptor", () =>
    Effect.gen(function* () {
      const { code, stderr } = yield* elsewhere(`
        const fd = yield* Syscall.openat(-100, "/bin/true", 0o2000000)
        yield* Running.execveat(fd, "", ["true"], [], 0x1000)
      `)
      assert.deepStrictEqual([stderr, code], ["", 0])
    })
  )

  it.live("exit_group ends the process at once", () =>
    Effect.gen(function* () {
      const { code, stdout } = yield* elsewhere(`
        process.on("exit", () => Fs.writeSync(1, "handler"))
        yield* Effect.ensuring(Running.exit_group(259), Effect.sync(() => Fs.writeSync(1, "finalizer")))
      `)
      assert.deepStrictEqual([stdout, code], ["", 3])
    })
  )

  it.live("exit ends its thread and no other", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* elsewhere(`
        const worker = new Worker(
          "const { parentPort } = require('node:worker_threads');" +
          "import(" + JSON.stringify(${built}) + ").then(async (Running) => {" +
          "  const { Effect } = await import(" + JSON.stringify(${effect}) + ");" +
          "  const self = require('node:fs').readlinkSync('/proc/thread-self');" +
          "  parentPort.postMessage(self.split('/').pop());" +
          "  setTimeout(() => Effect.runSync(Running.exit(5)))" +
          "})", { eval: true, execArgv: [] })
        const tid = yield* Effect.callback((resume) => {
          worker.on("message", (message) => resume(Effect.succeed(message)))
          worker.on("error", (error) => resume(Effect.die(error)))
        })
        while (Fs.existsSync("/proc/self/task/" + tid)) yield* Effect.promise(() => new Promise(setImmediate))
        Fs.writeSync(1, "goes on")
        yield* Running.exit_group(0)
      `)
      assert.deepStrictEqual([stderr, stdout, code], ["", "goes on", 0])
    })
  )
})

describe("children", () => {
  it.live("wait4 and waitid tell how a child ended, and reap it", () =>
    Effect.gen(function* () {
      const { pid, release } = yield* orphan("read x <&3; exit 7")
      assert.strictEqual((yield* Running.wait4(pid, Syscall.WNOHANG)).pid, 0)
      const none = yield* Running.waitid(Syscall.P_PID, pid, Syscall.WEXITED | Syscall.WNOHANG)
      assert.strictEqual(none.siginfo.si_signo, 0)

      const fiber = yield* Effect.forkChild(Running.waitid(Syscall.P_PID, pid, Syscall.WEXITED | Syscall.WNOWAIT))
      assert.isTrue(yield* eventually(() => asleepIn(Syscall.nr.waitid) === 1))
      yield* release
      const { siginfo } = yield* Fiber.join(fiber)
      assert.containsSubset(siginfo, { si_signo: Syscall.SIGCHLD, si_code: Syscall.CLD_EXITED })
      assert.containsSubset(siginfo._sifields._sigchld, { _pid: pid, _status: 7, _uid: process.getuid?.() ?? 0 })

      const ended = yield* Running.wait4(pid)
      assert.strictEqual(ended.pid, pid)
      assert.deepStrictEqual(Running.waitStatus(ended.status), { _tag: "Exited", code: 7 })
      assert.isAbove(Number(ended.rusage.ru_maxrss), 0)
      assert.strictEqual(yield* tagOf(Running.wait4(pid)), "ECHILD")
      assert.strictEqual(yield* tagOf(Running.waitid(Syscall.P_PID, pid, Syscall.WEXITED)), "ECHILD")
    })
  )

  it.live("wait4 can be interrupted, and tells which signal ended, stopped or continued a child", () =>
    Effect.gen(function* () {
      const { pid } = yield* orphan("exec cat <&3")
      const fiber = yield* Effect.forkChild(Running.wait4(pid))
      assert.isTrue(yield* eventually(() => asleepIn(Syscall.nr.wait4) === 1))
      yield* Fiber.interrupt(fiber)
      const next = Effect.map(Running.wait4(pid, Syscall.WUNTRACED | Syscall.WCONTINUED), ({ status }) =>
        Running.waitStatus(status)
      )
      yield* Syscall.kill(pid, Syscall.SIGSTOP)
      assert.deepStrictEqual(yield* next, { _tag: "Stopped", signal: Syscall.SIGSTOP, event: 0 })
      yield* Syscall.kill(pid, Syscall.SIGCONT)
      assert.deepStrictEqual(yield* next, { _tag: "Continued" })
      yield* Syscall.kill(pid, Syscall.SIGKILL)
      assert.deepStrictEqual(yield* next, { _tag: "Signaled", signal: Syscall.SIGKILL, coreDumped: false })
    })
  )

  it.live("waitid takes a descriptor of a process, and wait4 and waitid refuse what they do not know", () =>
    Effect.gen(function* () {
      const { pid, release } = yield* orphan("read x <&3; exit 3")
      const pidfd = yield* held(Generated.pidfd_open(pid))
      yield* release
      const { siginfo } = yield* Running.waitid(Syscall.P_PIDFD, pidfd, Syscall.WEXITED)
      assert.strictEqual(siginfo._sifields._sigchld._status, 3)
      assert.strictEqual(yield* tagOf(Running.waitid(Syscall.P_PID, 1, 0)), "EINVAL")
      assert.strictEqual(yield* tagOf(Running.wait4(-1, 0x8000)), "EINVAL")
      assert.strictEqual(yield* tagOf(Running.wait4(0.5)), "EINVAL")
    })
  )

  it.live("ptrace stops a child, tells of it and lets it go on", () =>
    Effect.gen(function* () {
      const { pid } = yield* orphan("exec cat <&3")
      yield* Generated.ptrace(Syscall.PTRACE_SEIZE, pid, 0, Syscall.PTRACE_O_TRACESYSGOOD)
      yield* Generated.ptrace(Syscall.PTRACE_INTERRUPT, pid)
      const { status } = yield* Running.wait4(pid, Syscall.__WALL)
      const stopped = { _tag: "Stopped", signal: Syscall.SIGTRAP, event: Syscall.PTRACE_EVENT_STOP } as const
      assert.deepStrictEqual(Running.waitStatus(status), stopped)
      const info = new Uint8Array(Abi.ptrace_syscall_info.size)
      assert.isAtLeast(yield* Generated.ptrace(Syscall.PTRACE_GET_SYSCALL_INFO, pid, info.length, info), 24)
      const { instruction_pointer, op } = Abi.ptrace_syscall_info.decode(info)
      assert.strictEqual(op, Syscall.PTRACE_SYSCALL_INFO_NONE)
      const word = new Uint8Array(8)
      yield* Generated.ptrace(Syscall.PTRACE_PEEKTEXT, pid, instruction_pointer, word)
      assert.notDeepEqual(word, new Uint8Array(8))
      yield* Generated.ptrace(Syscall.PTRACE_DETACH, pid)
      assert.strictEqual(yield* tagOf(Generated.ptrace(Syscall.PTRACE_DETACH, pid)), "ESRCH")
    })
  )
})

describe("processes", () => {
  it.effect("process_vm_readv and process_vm_writev copy between buffers and addresses", () =>
    Effect.gen(function* () {
      const memory = new Uint8Array(1000).map((_, index) => index)
      const at = Syscall.addressOf(memory)
      const [a, b] = [new Uint8Array(3), new Uint8Array(10)]
      const remote = [
        { iov_base: at + 5n, iov_len: 4n },
        { iov_base: at + 100n, iov_len: 5n }
      ]
      assert.strictEqual(yield* Running.process_vm_readv(process.pid, [a, b], remote), 9)
      assert.deepStrictEqual([...a, ...b], [5, 6, 7, 8, 100, 101, 102, 103, 104, 0, 0, 0, 0])
      const source = new Uint8Array([1, 2, 3, 4, 5, 6])
      assert.strictEqual(yield* Running.process_vm_writev(process.pid, [source], remote), 6)
      assert.deepStrictEqual([...memory.subarray(5, 9), ...memory.subarray(100, 103)], [1, 2, 3, 4, 5, 6, 102])
    })
  )

  it.effect("process_vm_readv and process_vm_writev fail as the manual says", () =>
    Effect.gen(function* () {
      const nowhere = [{ iov_base: 8n, iov_len: 8n }]
      const buffer = new Uint8Array(8)
      assert.strictEqual(yield* tagOf(Running.process_vm_readv(process.pid, [buffer], nowhere)), "EFAULT")
      assert.strictEqual(yield* tagOf(Running.process_vm_writev(process.pid, [buffer], nowhere)), "EFAULT")
      assert.strictEqual(yield* tagOf(Running.process_vm_readv(0x3fffffff, [buffer], nowhere)), "ESRCH")
      assert.strictEqual(yield* tagOf(Running.process_vm_readv(process.pid, [buffer], nowhere, 1)), "EINVAL")
      assert.strictEqual(yield* Running.process_vm_readv(process.pid, [], []), 0)
      const many = Array.from({ length: 1025 }, () => ({ iov_base: 8n, iov_len: 8n }))
      assert.strictEqual(yield* tagOf(Running.process_vm_writev(process.pid, [buffer], many)), "EINVAL")
    })
  )

  it.effect("kcmp tells whether two descriptors are of one open file", () =>
    Effect.gen(function* () {
      const fd = yield* memfd
      const other = yield* memfd
      const same = yield* held(Syscall.dup(fd))
      const { pid } = process
      assert.strictEqual(yield* Generated.kcmp(pid, pid, Syscall.KCMP_FILE, fd, same), 0)
      assert.include([1, 2], yield* Generated.kcmp(pid, pid, Syscall.KCMP_FILE, fd, other))
      assert.strictEqual(yield* Generated.kcmp(pid, pid, Syscall.KCMP_VM), 0)
      assert.strictEqual(yield* tagOf(Generated.kcmp(pid, pid, 99)), "EINVAL")
      assert.strictEqual(yield* tagOf(Generated.kcmp(pid, pid, Syscall.KCMP_FILE, 987_654, fd)), "EBADF")
      const slot = Abi.kcmp_epoll_slot.encode({ efd: fd, tfd: other, toff: 0 })
      assert.notStrictEqual(yield* tagOf(Generated.kcmp(pid, pid, Syscall.KCMP_EPOLL_TFD, fd, slot)), "EFAULT")
    })
  )

  it.effect("prctl takes numbers and buffers", () =>
    Effect.gen(function* () {
      const name = new Uint8Array(16)
      yield* Generated.prctl(Syscall.PR_GET_NAME, name)
      const shown = () => readFileSync("/proc/thread-self/comm", "utf8").trimEnd()
      assert.strictEqual(new TextDecoder().decode(name.subarray(0, name.indexOf(0))), shown())
      yield* Generated.prctl(Syscall.PR_SET_NAME, new TextEncoder().encode("renamed\0"))
      assert.strictEqual(shown(), "renamed")
      yield* Generated.prctl(Syscall.PR_SET_NAME, name)
      assert.strictEqual(yield* Generated.prctl(Syscall.PR_GET_DUMPABLE), 1)
      assert.strictEqual(yield* tagOf(Generated.prctl(0x7fff_ffff)), "EINVAL")
    })
  )

  it.live("membarrier tells what it can do, and refuses what was not registered", () =>
    Effect.gen(function* () {
      const commands = yield* Generated.membarrier(Syscall.MEMBARRIER_CMD_QUERY)
      assert.strictEqual(commands & Syscall.MEMBARRIER_CMD_GLOBAL, Syscall.MEMBARRIER_CMD_GLOBAL)
      assert.strictEqual(yield* tagOf(Generated.membarrier(Syscall.MEMBARRIER_CMD_QUERY, 2)), "EINVAL")
      yield* Generated.membarrier(Syscall.MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
      assert.strictEqual(yield* Generated.membarrier(Syscall.MEMBARRIER_CMD_PRIVATE_EXPEDITED), 0)
    })
  )

  it.effect("get_robust_list tells where libc's list is", () =>
    Effect.gen(function* () {
      const { head, length } = yield* Running.get_robust_list(0)
      assert.strictEqual(length, 24n)
      assert.isTrue(head > 0n)
      assert.strictEqual(yield* tagOf(Running.get_robust_list(0x3fffffff)), "ESRCH")
    })
  )

  it.effect("iopl, ioperm and modify_ldt are of x86_64, and fail elsewhere and in kernels without them", () =>
    Effect.gen(function* () {
      const here = process.arch === "x64"
      const expected = (code: number) => (here ? [code, Errno.codes.ENOSYS] : [Errno.codes.ENOSYS])
      assert.include(expected(Errno.codes.EINVAL), (yield* Effect.flip(Generated.iopl(4))).errno)
      assert.include(expected(Errno.codes.EINVAL), (yield* Effect.flip(Generated.ioperm(70_000, 1, 1))).errno)
      const unknown = yield* Effect.flip(Running.modify_ldt(99, new Uint8Array(16)))
      assert.strictEqual(unknown.errno, Errno.codes.ENOSYS)
      const wrong = yield* Effect.flip(Running.modify_ldt(1, new Uint8Array(15)))
      assert.include(expected(Errno.codes.EINVAL), wrong.errno)
      const table = yield* Effect.orElseSucceed(Running.modify_ldt(0, new Uint8Array(16)), () => 0)
      assert.strictEqual(table, 0)
    })
  )
})
