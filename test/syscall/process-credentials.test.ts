/** Users, groups, capabilities, sessions and namespaces, against the real kernel. */
import { readFileSync, readlinkSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Syscall } from "../../src/index.ts"
import * as Generated from "../../src/syscall/generated/process.ts"
import * as Credentials from "../../src/syscall/process-credentials.ts"
import { held } from "../support/fds.ts"
import { program } from "../support/program.ts"

const status = (field: string): string => {
  const text = readFileSync("/proc/thread-self/status", "utf8")
  return new RegExp(`^${field}:[ \\t]*(.*)$`, "m").exec(text)?.[1] ?? ""
}

const numbers = (field: string): ReadonlyArray<number> =>
  status(field)
    .split(/\s+/)
    .filter((word) => word !== "")
    .map(Number)

const isRoot = process.getuid?.() === 0

/** Runs effects in a process that may change itself as it likes; gives what it prints, as JSON. */
const elsewhere = (body: string) =>
  Effect.map(
    program(`
      import * as Generated from ${JSON.stringify(new URL("../../dist/syscall/generated/process.js", import.meta.url))}
      import * as Credentials from ${JSON.stringify(new URL("../../dist/syscall/process-credentials.js", import.meta.url))}
      const line = (field) =>
        new RegExp("^" + field + ":\\\\s*(.*)$", "m").exec(Fs.readFileSync("/proc/thread-self/status", "utf8"))[1]
          .trim().split(/\\s+/).map(Number)
      const tag = (effect) => Effect.map(Effect.flip(effect), (error) => error._tag)
      const out = await Effect.runPromise(Effect.gen(function* () { ${body} }))
      console.log(JSON.stringify(out))
    `),
    ({ stdout, stderr }): unknown => {
      if (stdout === "") throw new Error(stderr)
      return JSON.parse(stdout)
    }
  )

describe("users and groups", () => {
  it.effect("getuid, geteuid, getgid, getegid, getpid, getppid and gettid tell what Node and /proc do", () =>
    Effect.gen(function* () {
      const [ruid, euid] = numbers("Uid")
      const [rgid, egid] = numbers("Gid")
      assert.deepStrictEqual([yield* Syscall.getuid, yield* Syscall.geteuid], [ruid, euid])
      assert.deepStrictEqual([yield* Syscall.getgid, yield* Syscall.getegid], [rgid, egid])
      assert.deepStrictEqual([yield* Syscall.getpid, yield* Syscall.getppid], [process.pid, process.ppid])
      assert.strictEqual(readlinkSync("/proc/thread-self"), `${process.pid}/task/${yield* Syscall.gettid}`)
    })
  )

  it.effect("getresuid and getresgid tell what /proc does", () =>
    Effect.gen(function* () {
      const { euid, ruid, suid } = yield* Credentials.getresuid
      assert.deepStrictEqual([ruid, euid, suid], numbers("Uid").slice(0, 3))
      const { egid, rgid, sgid } = yield* Credentials.getresgid
      assert.deepStrictEqual([rgid, egid, sgid], numbers("Gid").slice(0, 3))
    })
  )

  it.effect("getgroups tells what /proc does", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Credentials.getgroups, numbers("Groups"))
    })
  )

  it.effect("setreuid, setregid, setresuid and setresgid leave at -1 what is there", () =>
    Effect.gen(function* () {
      const before = [status("Uid"), status("Gid")]
      yield* Generated.setreuid(-1, -1)
      yield* Generated.setregid(-1, -1)
      yield* Generated.setresuid(-1, -1, -1)
      yield* Generated.setresgid(-1, -1, -1)
      assert.deepStrictEqual([status("Uid"), status("Gid")], before)
    })
  )

  it.effect("setfsuid and setfsgid tell the user and the group of files", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Generated.setfsuid(-1), numbers("Uid")[3])
      assert.strictEqual(yield* Generated.setfsgid(-1), numbers("Gid")[3])
    })
  )

  it.effect("setuid, setgid and setgroups refuse what is no identifier", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(Generated.setuid(-1)))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(Generated.setgid(-1)))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(Generated.setuid(2 ** 32)))._tag, "EINVAL")
      const error = yield* Effect.flip(Credentials.setgroups([1, 0.5]))
      assert.strictEqual(error._tag, "EINVAL")
      assert.include(error.message, "list[1]")
    })
  )

  const reason = isRoot ? "" : " (skipped: not root)"
  it.live.skipIf(!isRoot)(`setuid and its kin change this thread, and take the right to change back${reason}`, () =>
    Effect.gen(function* () {
      const out = yield* elsewhere(`
        const result = {}
        yield* Credentials.setgroups([7, 5, 4294967294])
        result.groups = [yield* Credentials.getgroups, line("Groups")]
        yield* Generated.setregid(11, 12)
        result.regid = line("Gid")
        yield* Generated.setgid(13)
        result.gid = line("Gid")
        yield* Generated.setresgid(1, 2, 3)
        result.resgid = yield* Credentials.getresgid
        result.fsgid = [yield* Generated.setfsgid(3), yield* Generated.setfsgid(-1)]
        result.fsuid = [yield* Generated.setfsuid(4), line("Uid"), yield* Generated.setfsuid(0)]
        yield* Generated.setreuid(21, 0)
        result.reuid = line("Uid")
        yield* Generated.setresuid(22, 23, 24)
        result.resuid = yield* Credentials.getresuid
        result.back = yield* tag(Generated.setuid(0))
        result.other = yield* tag(Credentials.setgroups([1]))
        yield* Generated.setuid(24)
        result.uid = line("Uid")
        return result
      `)
      assert.deepStrictEqual(out, {
        groups: [
          [5, 7, 4294967294],
          [5, 7, 4294967294]
        ],
        regid: [11, 12, 12, 12],
        gid: [13, 13, 13, 13],
        resgid: { rgid: 1, egid: 2, sgid: 3 },
        fsgid: [2, 3],
        fsuid: [0, [0, 0, 0, 4], 4],
        reuid: [21, 0, 0, 0],
        resuid: { ruid: 22, euid: 23, suid: 24 },
        back: "EPERM",
        other: "EPERM",
        uid: [22, 24, 24, 24]
      })
    })
  )
})

describe("capabilities", () => {
  const header = { version: Syscall._LINUX_CAPABILITY_VERSION_3, pid: 0 }
  const joined = (words: ReadonlyArray<number>): bigint =>
    words.reduce((sum, word, index) => sum | (BigInt(word) << BigInt(32 * index)), 0n)

  it.effect("capget tells what /proc does, and capset takes it back", () =>
    Effect.gen(function* () {
      const data = yield* Credentials.capget(header)
      assert.strictEqual(data.length, 2)
      assert.strictEqual(joined(data.map(({ effective }) => effective)), BigInt(`0x${status("CapEff")}`))
      assert.strictEqual(joined(data.map(({ permitted }) => permitted)), BigInt(`0x${status("CapPrm")}`))
      assert.strictEqual(joined(data.map(({ inheritable }) => inheritable)), BigInt(`0x${status("CapInh")}`))
      yield* Credentials.capset(header, data)
      assert.deepStrictEqual(yield* Credentials.capget(header), data)
      const first = yield* Credentials.capget({ version: Syscall._LINUX_CAPABILITY_VERSION_1, pid: process.pid })
      assert.deepStrictEqual(first, data.slice(0, 1))
    })
  )

  it.effect("capget and capset fail as the manual says", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(Credentials.capget({ version: 1, pid: 0 })))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(Credentials.capget({ ...header, pid: 0x3fffffff })))._tag, "ESRCH")
      const none = { effective: 0, permitted: 0, inheritable: 0 }
      const error = yield* Effect.flip(Credentials.capset(header, [none]))
      assert.strictEqual(error._tag, "EINVAL")
      assert.include(error.message, "expected 2 records")
      const foreign = yield* Effect.flip(Credentials.capset({ ...header, pid: 1 }, [none, none]))
      assert.strictEqual(foreign._tag, "EPERM")
    })
  )

  it.live("capset takes capabilities away from a thread for good", () =>
    Effect.gen(function* () {
      const out = yield* elsewhere(`
        const header = { version: Syscall._LINUX_CAPABILITY_VERSION_3 ?? 0x20080522, pid: 0 }
        const none = { effective: 0, permitted: 0, inheritable: 0 }
        yield* Credentials.capset(header, [none, none])
        const all = { ...none, effective: 1, permitted: 1 }
        return [yield* Credentials.capget(header), yield* tag(Credentials.capset(header, [all, none]))]
      `)
      const none = { effective: 0, permitted: 0, inheritable: 0 }
      assert.deepStrictEqual(out, [[none, none], "EPERM"])
    })
  )
})

describe("sessions and process groups", () => {
  const [, , , , group, session] = readFileSync("/proc/self/stat", "utf8")
    .replace(/\(.*\)/, "x")
    .split(" ")
    .map(Number)

  it.effect("getpgid, getpgrp and getsid tell what /proc does", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Generated.getpgid(0), group)
      assert.strictEqual(yield* Generated.getpgid(process.pid), group)
      assert.strictEqual(yield* Generated.getsid(0), session)
      if (Syscall.nr.getpgrp === undefined) assert.strictEqual((yield* Effect.flip(Generated.getpgrp))._tag, "ENOSYS")
      else assert.strictEqual(yield* Generated.getpgrp, group)
    })
  )

  it.effect("getpgid, getsid and setpgid fail with ESRCH for no process and EINVAL for no group", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(Generated.getpgid(0x3fffffff)))._tag, "ESRCH")
      assert.strictEqual((yield* Effect.flip(Generated.getsid(0x3fffffff)))._tag, "ESRCH")
      assert.strictEqual((yield* Effect.flip(Generated.setpgid(0x3fffffff, 0)))._tag, "ESRCH")
      assert.strictEqual((yield* Effect.flip(Generated.setpgid(0, -1)))._tag, "EINVAL")
    })
  )

  it.live("setpgid makes a process group, whose leader setsid refuses", () =>
    Effect.gen(function* () {
      const out = yield* elsewhere(`
        yield* Generated.setpgid(0, 0)
        return [(yield* Generated.getpgid(0)) === process.pid, yield* tag(Generated.setsid)]
      `)
      assert.deepStrictEqual(out, [true, "EPERM"])
    })
  )

  it.live("setsid makes a session", () =>
    Effect.gen(function* () {
      const out = yield* elsewhere(`
        const made = yield* Generated.setsid
        return [made === process.pid, (yield* Generated.getsid(0)) === made, (yield* Generated.getpgid(0)) === made]
      `)
      assert.deepStrictEqual(out, [true, true, true])
    })
  )
})

describe("namespaces and the execution domain", () => {
  it.effect("unshare of nothing does nothing, and a user namespace is refused to several threads", () =>
    Effect.gen(function* () {
      yield* Generated.unshare(0)
      assert.strictEqual((yield* Effect.flip(Generated.unshare(Syscall.CLONE_NEWUSER)))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(Generated.unshare(0x8000_0000)))._tag, "EINVAL")
    })
  )

  it.effect("setns fails with EBADF for no descriptor and EINVAL for one that is no namespace", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(Generated.setns(-1)))._tag, "EBADF")
      const fd = yield* held(Syscall.openat(Syscall.AT_FDCWD, "/proc/thread-self/ns/uts", Syscall.O_RDONLY))
      assert.strictEqual((yield* Effect.flip(Generated.setns(fd, Syscall.CLONE_NEWNET)))._tag, "EINVAL")
      const memory = yield* held(Syscall.memfd_create("effect-linux-test", Syscall.MFD_CLOEXEC))
      assert.strictEqual((yield* Effect.flip(Generated.setns(memory)))._tag, "EINVAL")
    })
  )

  const reason = isRoot ? "" : " (skipped: not root)"
  it.live.skipIf(!isRoot)(`unshare gives this thread a namespace of its own, setns brings it back${reason}`, () =>
    Effect.gen(function* () {
      const out = yield* elsewhere(`
        const own = () => Fs.readlinkSync("/proc/thread-self/ns/uts")
        const before = own()
        const fd = yield* Syscall.openat(-100, "/proc/thread-self/ns/uts", 0)
        yield* Generated.unshare(0x04000000)
        const apart = own()
        yield* Generated.setns(fd, 0x04000000)
        return { before, apart, after: own() }
      `)
      const own = readlinkSync("/proc/self/ns/uts")
      assert.containsSubset(out, { before: own, after: own })
      assert.notDeepEqual(out, { before: own, apart: own, after: own })
    })
  )

  it.effect("personality tells the execution domain and sets it", () =>
    Effect.gen(function* () {
      const shown = () => Number.parseInt(readFileSync("/proc/thread-self/personality", "utf8"), 16)
      const before = yield* Generated.personality(0xffff_ffff)
      assert.strictEqual(before, shown())
      assert.strictEqual(yield* Generated.personality(before | Syscall.ADDR_NO_RANDOMIZE), before)
      assert.strictEqual(shown(), before | Syscall.ADDR_NO_RANDOMIZE)
      assert.strictEqual(yield* Generated.personality(before), before | Syscall.ADDR_NO_RANDOMIZE)
    })
  )
})
