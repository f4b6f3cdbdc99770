/** What is answered on the JavaScript thread: that it is, that it says what the plain call says, and that nothing else is. */

import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { own } from "../src/file/model.ts"
import { File, Syscall } from "../src/index.ts"
import { type Argument, native, type Result } from "../src/internal/native.ts"
import { openFds } from "./support/process.ts"
import { closing } from "./support/temporary.ts"

const { AT_FDCWD, nr } = Syscall
const scratch = new Int32Array(native.scratch)

const known = 1
const pollable = 2
const plain = 4
const noNowait = 8
const direct = 32
const closeHere = 64
const local = 128
const memory = 256
const socket = 512

const answered = 0
const wouldWait = 1
const partly = 2
const notReady = 3
const partlyNotReady = 4

/** An attempt with nothing known: its status, result and the traits as they are known after it. */
const attempt = (number: number, ...args: ReadonlyArray<Argument>) => {
  scratch[0] = 0
  const result = native.attempt(number, ...args)
  return { result, status: scratch[1] ?? -1, traits: scratch[0] ?? -1 }
}

const bytesOf = (path: string) => new TextEncoder().encode(`${path}\0`)

const shm = existsSync("/dev/shm") && native.call(nr.statfs ?? -1, bytesOf("/dev/shm"), new Uint8Array(120)) === 0
const inMemory = () => mkdtempSync(join(shm ? "/dev/shm" : tmpdir(), "effect-linux-"))
const onDisk = () => mkdtempSync(join(tmpdir(), "effect-linux-"))

const directoryFor = (make: () => string) =>
  Effect.acquireRelease(Effect.sync(make), (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true })))

/** Whether this directory's file system is one whose metadata does not wait, which the tests of that need. */
const isQuick = (path: string): number => {
  const fd = native.call(nr.openat, AT_FDCWD, bytesOf(path), Syscall.O_RDONLY, 0)
  const traits = native.traitsOf(Number(fd))
  native.call(nr.close, fd)
  return traits & (local | memory)
}

// The same numbers each time, so that what fails fails again.
const generator = (seed: number) => () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
  return seed / 2 ** 32
}

const prepare = (root: string) => {
  mkdirSync(`${root}/dir/deep/er`, { recursive: true })
  mkdirSync(`${root}/shut`)
  writeFileSync(`${root}/file`, "content")
  writeFileSync(`${root}/dir/inner`, "inner")
  writeFileSync(`${root}/shut/secret`, "secret")
  writeFileSync(`${root}/private`, "private")
  writeFileSync(`${root}/program`, "#!")
  symlinkSync("file", `${root}/link`)
  symlinkSync("dir", `${root}/dirlink`)
  symlinkSync("nothing", `${root}/dangling`)
  symlinkSync("loop", `${root}/loop`)
  symlinkSync("../file", `${root}/dir/up`)
  symlinkSync(`${"x".repeat(70)}`, `${root}/long`)
  native.call(nr.mknodat, AT_FDCWD, bytesOf(`${root}/fifo`), 0o010644, 0)
  chmodSync(root, 0o755)
  chmodSync(`${root}/shut`, 0o700)
  chmodSync(`${root}/private`, 0o600)
  chmodSync(`${root}/program`, 0o755)
}

const names = [
  "file",
  "dir",
  "dir/inner",
  "link",
  "dirlink",
  "dirlink/inner",
  "dirlink/",
  "dangling",
  "loop",
  "loop/x",
  "dir/up",
  "shut",
  "shut/secret",
  "private",
  "program",
  "long",
  "fifo",
  "nothing",
  "nothing/x",
  "file/",
  "file/x",
  "link/",
  "dir/",
  "dir/.",
  "dir/..",
  "dir/../file",
  "./file",
  ".",
  "",
  "dir//inner",
  "dir/deep/er/../../inner",
  "dangling/",
  `${"n".repeat(255)}`,
  `${"n".repeat(256)}`,
  "shut/..",
  "fifo/"
] as const

interface Case {
  readonly what: string
  readonly nr: number
  readonly args: (out: Uint8Array) => ReadonlyArray<Argument>
  /** The result is a descriptor. */
  readonly opens?: boolean
}

const cases = (root: string, dirfd: number, random: () => number): ReadonlyArray<Case> => {
  const pick = <A>(list: ReadonlyArray<A>): A => {
    const found = list[Math.floor(random() * list.length)]
    if (found === undefined) throw new Error("an empty list")
    return found
  }
  const name = pick(names)
  const from = pick([AT_FDCWD, dirfd, -1])
  const relative = random() < 0.5
  const path = bytesOf(relative && name !== "" ? name : name === "" ? "" : `${root}/${name}`)
  const absolute = bytesOf(name === "" ? "" : `${root}/${name}`)
  const atFlags = pick([0, 0x100, 0x800, 0x1000, 0x1100, 0x200, 0x40000])
  const mode = pick([0, 1, 2, 4, 7, 6, 8])
  const flags =
    pick([0, 1, 2, 3]) |
    pick([0, 0, 0o200000, 0o400000, 0o2000, 0o4000, 0o10000000, 0o10200000, 0o40000, 0o2000000, 0o1000000, 0x40000000])
  const how = new BigUint64Array([
    BigInt(flags & 0o17777777),
    pick([0n, 0n, 0n, 0o644n]),
    pick([0n, 1n, 2n, 4n, 8n, 16n, 24n, 64n])
  ])
  const label = `${name} of ${from} flags ${flags.toString(8)} at ${atFlags.toString(16)} mode ${mode}`
  return [
    { what: `stat ${label}`, nr: nr.stat ?? -1, args: (out) => [absolute, out] },
    { what: `lstat ${label}`, nr: nr.lstat ?? -1, args: (out) => [absolute, out] },
    { what: `newfstatat ${label}`, nr: nr.newfstatat ?? -1, args: (out) => [from, path, out, atFlags] },
    {
      what: `statx ${label}`,
      nr: nr.statx,
      args: (out) => [from, path, atFlags, pick([0xfff, 0, 1, 0x1fff, 0x5fff]), out]
    },
    { what: `access ${label}`, nr: nr.access ?? -1, args: () => [absolute, mode] },
    { what: `faccessat ${label}`, nr: nr.faccessat, args: () => [from, path, mode] },
    { what: `faccessat2 ${label}`, nr: nr.faccessat2, args: () => [from, path, mode, atFlags] },
    { what: `readlink ${label}`, nr: nr.readlink ?? -1, args: (out) => [absolute, out, pick([256, 3, 0])] },
    { what: `readlinkat ${label}`, nr: nr.readlinkat, args: (out) => [from, path, out, 256] },
    { what: `openat ${label}`, nr: nr.openat, args: () => [from, path, flags | 0o4000, 0o644], opens: true },
    {
      what: `openat2 ${label} ${how.join()}`,
      nr: nr.openat2,
      args: () => [from, path, new Uint8Array(how.buffer), 24],
      opens: true
    }
  ]
}

const view = (out: Uint8Array) => Array.from(out).join()

/** What is to be compared of a descriptor that was opened. */
const opened = (result: Result | undefined) => {
  if (result === undefined || result < 0) return String(result)
  const out = new Uint8Array(144)
  const flags = native.call(nr.fcntl, result, 3, 0)
  const cloexec = native.call(nr.fcntl, result, 1, 0)
  native.call(nr.fstat, result, out)
  native.call(nr.close, result)
  return `${result} ${flags} ${cloexec} ${view(out.subarray(0, 24))}`
}

/** Runs cases both ways and counts which were answered here. */
const compare = (root: string, dirfd: number, times: number, seed: number) => {
  const random = generator(seed)
  let here = 0
  let all = 0
  for (let i = 0; i < times; i++) {
    for (const one of cases(root, dirfd, random)) {
      if (one.nr < 0) continue
      all++
      const out = new Uint8Array(256)
      const args = one.args(out)
      const { result, status } = attempt(one.nr, ...args)
      if (status !== answered) continue
      here++
      const got = one.opens === true ? opened(result) : `${result} ${view(out)}`
      out.fill(0)
      const said = native.call(one.nr, ...args)
      const want = one.opens === true ? opened(said) : `${said} ${view(out)}`
      assert.strictEqual(got, want, one.what)
    }
  }
  return { here, all }
}

/** On this thread alone, and synchronously, as another user. */
const asNobody = <A>(run: () => A): A => {
  native.call(nr.setresgid, 65534, 65534, 0)
  native.call(nr.setresuid, 65534, 65534, 0)
  try {
    return run()
  } finally {
    native.call(nr.setresuid, 0, 0, 0)
    native.call(nr.setresgid, 0, 0, 0)
  }
}

describe("paths", () => {
  for (const [where, make] of [
    ["in memory", inMemory],
    ["on disk", onDisk]
  ] as const) {
    it.live(`are answered here like the plain call answers them, ${where}`, () =>
      Effect.scoped(
        Effect.gen(function* () {
          const root = yield* directoryFor(make)
          prepare(root)
          const dirfd = yield* closing(Syscall.openat(AT_FDCWD, root, Syscall.O_PATH | Syscall.O_DIRECTORY))
          const before = yield* openFds
          const { all, here } = compare(root, dirfd, 400, 1)
          if (isQuick(root) !== 0) assert.isAbove(here / all, 0.3)
          if (process.getuid?.() === 0) {
            const other = asNobody(() => compare(root, dirfd, 400, 2))
            if (isQuick(root) !== 0) assert.isAbove(other.here / other.all, 0.2)
          }
          assert.strictEqual(yield* openFds, before)
        })
      )
    )
  }

  it.live("are changed here like the plain call changes them", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const trees = [yield* directoryFor(inMemory), yield* directoryFor(inMemory)] as const
        for (const tree of trees) prepare(tree)
        const before = yield* openFds
        const random = generator(3)
        const pick = <A>(list: ReadonlyArray<A>) => list[Math.floor(random() * list.length)]
        const names = [
          "a",
          "b",
          "dir/a",
          "dir",
          "dir/",
          "file",
          "link",
          "dangling",
          "nothing/a",
          "dirlink/b",
          "a/",
          "dir/..",
          ".",
          "",
          "file/x",
          "fifo",
          "loop",
          "shut/a",
          "dir/deep/er",
          `${"n".repeat(256)}`
        ]
        let here = 0
        for (let i = 0; i < 3000; i++) {
          const first = pick(names) ?? ""
          const second = pick(names) ?? ""
          const which = Math.floor(random() * 7)
          const flags = pick([0, 1, 2, 3, 0x200, 0x400]) ?? 0
          const opening =
            (pick([0o100, 0o300, 0o1100, 0o1000, 0o101, 0o1102]) ?? 0) |
            (pick([1, 2, 0]) ?? 0) |
            (pick([0, 0o2000]) ?? 0)
          const results = trees.map((tree, index) => {
            const one = first === "" ? bytesOf("") : bytesOf(`${tree}/${first}`)
            const two = second === "" ? bytesOf("") : bytesOf(`${tree}/${second}`)
            const calls: ReadonlyArray<ReadonlyArray<Argument>> = [
              [nr.unlinkat, AT_FDCWD, one, flags],
              [nr.mkdirat, AT_FDCWD, one, 0o777],
              [nr.symlinkat, bytesOf(first), AT_FDCWD, two],
              [nr.renameat2, AT_FDCWD, one, AT_FDCWD, two, flags],
              [nr.linkat, AT_FDCWD, one, AT_FDCWD, two, flags],
              [nr.openat, AT_FDCWD, one, opening | 0o4000, 0o666],
              [nr.unlinkat, AT_FDCWD, two, flags]
            ]
            const [number, ...args] = calls[which] ?? []
            if (typeof number !== "number") throw new Error("no such call")
            const tried = index === 0 ? attempt(number, ...args) : { status: wouldWait, result: undefined }
            if (tried.status === answered) here++
            const result = tried.status === answered ? tried.result : native.call(number, ...args)
            if (number !== nr.openat || result === undefined || result < 0) return String(result)
            const status = native.call(nr.fcntl, result, 3, 0)
            native.call(nr.close, result)
            return `opened ${status} ${result}`
          })
          assert.strictEqual(results[0], results[1], `${which} ${first} ${second} ${flags} ${opening.toString(8)}`)
        }
        const listings = trees.map((tree) =>
          readdirSync(tree, { recursive: true })
            .map((entry) => String(entry))
            .sort()
            .join()
        )
        assert.strictEqual(listings[0], listings[1])
        if (isQuick(trees[0]) === memory) assert.isAbove(here, 500)
        assert.strictEqual(yield* openFds, before)
      })
    )
  )

  it.effect("are left alone where they are of a made-up address, too long or of no file system that is known", () =>
    Effect.sync(() => {
      const out = new Uint8Array(256)
      assert.strictEqual(attempt(nr.statx, AT_FDCWD, 16, 0, 0xfff, out).status, wouldWait)
      assert.strictEqual(attempt(nr.statx, AT_FDCWD, new Uint8Array(3).fill(97), 0, 0xfff, out).status, wouldWait)
      assert.strictEqual(attempt(nr.statx, AT_FDCWD, bytesOf("x".repeat(5000)), 0, 0xfff, out).status, wouldWait)
      assert.strictEqual(attempt(nr.statx, AT_FDCWD, bytesOf("/proc/self/stat"), 0, 0xfff, out).status, wouldWait)
      assert.strictEqual(attempt(nr.openat, AT_FDCWD, bytesOf("/proc/self/stat"), 0, 0).status, wouldWait)
      assert.strictEqual(attempt(nr.openat, AT_FDCWD, bytesOf("/dev/null"), 0, 0).status, wouldWait)
    })
  )
})

describe("traits", () => {
  it.live("tell what kind of descriptor it is", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const [reader, writer] = yield* Syscall.pipe2(Syscall.O_CLOEXEC)
        yield* closing(Effect.succeed(reader))
        yield* closing(Effect.succeed(writer))
        assert.strictEqual(native.traitsOf(reader), known | pollable | closeHere)
        const memfd = yield* closing(Syscall.memfd_create("traits", 0))
        assert.strictEqual(native.traitsOf(memfd), known | plain | closeHere | memory)
        const event = yield* closing(Syscall.eventfd2(0, 0))
        assert.strictEqual(native.traitsOf(event), known | pollable | closeHere)
        const inotify = yield* closing(Syscall.inotify_init1(0))
        assert.strictEqual(native.traitsOf(inotify), known | pollable)
        const peer = yield* closing(Syscall.socket(1, 1, 0))
        assert.strictEqual(native.traitsOf(peer), known | pollable | closeHere | socket)
        const proc = yield* closing(Syscall.openat(AT_FDCWD, "/proc/self/stat", 0))
        assert.strictEqual(native.traitsOf(proc), known)
        assert.strictEqual(native.traitsOf(-1), known)
        for (const root of [yield* directoryFor(onDisk), yield* directoryFor(inMemory)]) {
          const quick = isQuick(root)
          if (quick === 0) continue
          writeFileSync(`${root}/file`, "content")
          const read = yield* closing(Syscall.openat(AT_FDCWD, `${root}/file`, Syscall.O_RDONLY))
          const write = yield* closing(Syscall.openat(AT_FDCWD, `${root}/file`, Syscall.O_WRONLY))
          assert.strictEqual(native.traitsOf(read), known | closeHere | quick | (quick === memory ? plain : 0))
          assert.strictEqual(native.traitsOf(write), known | quick | (quick === memory ? plain | closeHere : 0))
          assert.strictEqual(native.kindByTable(read), quick === memory ? 2 : 1)
          const answer = attempt(nr.openat, AT_FDCWD, bytesOf(`${root}/file`), 0, 0)
          assert.strictEqual(answer.traits, native.traitsOf(Number(answer.result)))
          native.call(nr.close, answer.result ?? -1)
        }
      })
    )
  )

  it.live("keep O_DIRECT off the JavaScript thread", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const root = yield* directoryFor(onDisk)
        if (isQuick(root) !== local) return
        writeFileSync(`${root}/file`, new Uint8Array(8192))
        const fd = native.call(nr.openat, AT_FDCWD, bytesOf(`${root}/file`), Syscall.O_RDONLY | Syscall.O_DIRECT, 0)
        if (fd < 0) return
        assert.strictEqual(native.traitsOf(Number(fd)) & direct, direct)
        assert.strictEqual(attempt(nr.pread64, fd, new Uint8Array(4096), 4096, 0).status, wouldWait)
        native.call(nr.close, fd)
      })
    )
  )
})

describe("transfers", () => {
  it.live("say whether the descriptor can be waited for", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const [reader, writer] = yield* Syscall.pipe2(Syscall.O_CLOEXEC)
        yield* closing(Effect.succeed(reader))
        yield* closing(Effect.succeed(writer))
        const bytes = new Uint8Array(100_000)
        assert.strictEqual(attempt(nr.read, reader, bytes, 10).status, notReady)
        const written = attempt(nr.write, writer, bytes, bytes.length)
        assert.strictEqual(written.status, partlyNotReady)
        assert.strictEqual(attempt(nr.write, writer, bytes, 10).status, notReady)
        assert.strictEqual(attempt(nr.writev, writer, [bytes, bytes], 2).status, notReady)
        assert.strictEqual(attempt(nr.read, reader, bytes, bytes.length).result, written.result)
        const inotify = yield* closing(Syscall.inotify_init1(0))
        const first = attempt(nr.read, inotify, bytes, 100)
        assert.strictEqual(first.status, notReady)
        assert.strictEqual(first.traits & (noNowait | pollable), noNowait | pollable)
        const epoll = yield* closing(Syscall.epoll_create1(0))
        assert.strictEqual(attempt(nr.epoll_pwait, epoll, bytes, 1, -1, null, 8).status, notReady)
        assert.strictEqual(attempt(nr.epoll_pwait, epoll, bytes, 1, 1000, null, 8).status, wouldWait)
        assert.strictEqual(attempt(nr.epoll_pwait, epoll, bytes, 1, 0, null, 8).result, 0)
      })
    )
  )

  it.live("take no more than a mebibyte of a file in memory at once", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const fd = yield* closing(Syscall.memfd_create("large", 0))
        const bytes = new Uint8Array(3 << 20).fill(7)
        const part = attempt(nr.write, fd, bytes, bytes.length)
        assert.deepStrictEqual([part.status, part.result], [partly, 1 << 20])
        assert.strictEqual(attempt(nr.ftruncate, fd, 10).result, 0)
        const all = yield* Syscall.pwrite64(fd, bytes, 0)
        assert.strictEqual(all, bytes.length)
        const back = new Uint8Array(bytes.length)
        assert.strictEqual(yield* Syscall.pread64(fd, back, 0), bytes.length)
        assert.deepStrictEqual(back, bytes)
        assert.strictEqual(attempt(nr.fsync, fd).result, 0)
        assert.strictEqual(attempt(nr.fallocate, fd, 0, 0, 4096).result, 0)
      })
    )
  )
})

describe("closing", () => {
  it.live("is done here where it cannot wait, and elsewhere where it can", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const root = yield* directoryFor(onDisk)
        const path = `${root}/file`
        writeFileSync(path, "content")
        const open = (flags: number) => Number(native.call(nr.openat, AT_FDCWD, bytesOf(path), flags, 0))
        if (isQuick(root) === local) {
          assert.strictEqual(attempt(nr.close, open(Syscall.O_RDONLY)).result, 0)
          const writing = open(Syscall.O_WRONLY)
          assert.strictEqual(attempt(nr.close, writing).status, wouldWait)
          yield* Syscall.close(writing)
          const last = open(Syscall.O_RDONLY)
          const traits = native.traitsOf(last)
          rmSync(path)
          scratch[0] = traits
          native.attempt(nr.close, last)
          assert.strictEqual(scratch[1], wouldWait)
          yield* Syscall.close(last)
        }
        const lingering = yield* Syscall.socket(2, 1, 0)
        assert.strictEqual(native.call(nr.setsockopt, lingering, 1, 13, new Int32Array([1, 5]), 8), 0)
        assert.strictEqual(attempt(nr.close, lingering).status, wouldWait)
        yield* Syscall.close(lingering)
        assert.strictEqual(attempt(nr.close, -1).result, -9)
        assert.strictEqual((yield* Effect.flip(Syscall.close(lingering)))._tag, "EBADF")
      })
    )
  )

  it.live("of a large file without a name is done elsewhere", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const fd = yield* Syscall.memfd_create("large", 0)
        yield* Syscall.fallocate(fd, 0, 0, 32 << 20)
        assert.strictEqual(attempt(nr.close, fd).status, wouldWait)
        assert.strictEqual(attempt(nr.ftruncate, fd, 0).status, wouldWait)
        yield* Syscall.close(fd)
        if (!shm) return
        const root = yield* directoryFor(inMemory)
        writeFileSync(`${root}/large`, "")
        truncateSync(`${root}/large`, 64 << 20)
        assert.strictEqual(statSync(`${root}/large`).blocks, 0)
        assert.strictEqual(attempt(nr.unlinkat, AT_FDCWD, bytesOf(`${root}/large`), 0).result, 0)
      })
    )
  )
})

describe("what is known of a file", () => {
  it.live(
    "is found out by its first call, also where it was opened elsewhere, or by somebody in the kernel's place",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const path = join(yield* directoryFor(() => mkdtempSync(join(tmpdir(), "effect-linux-"))), "file")
          const created = yield* File.open(path, { access: "readWrite", create: true, mode: 0o600 })
          yield* File.pread(created, new Uint8Array(1), 0)
          assert.notStrictEqual(own(created).traits.bits & known, 0)

          const [reader] = yield* Syscall.pipe2(Syscall.O_CLOEXEC)
          const pretending = Syscall.intercept(Syscall.kernel, (number, _, proceed) =>
            number === nr.openat ? reader : proceed()
          )
          const pipe = yield* Effect.provideService(File.open(path), Syscall.Trampoline, pretending)
          assert.strictEqual(own(pipe).traits.bits & plain, 0)
          assert.strictEqual(own(pipe).traits.bits & known, 0)
        })
      )
  )

  it.live("is not that the data of a device are its file system's", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const device = yield* File.open("/dev/null")
        yield* File.read(device, new Uint8Array(1))
        assert.strictEqual(native.traitsOf(yield* File.fd(device)) & (local | memory), 0)
      })
    )
  )
})
