/** Making, naming and removing what is in directories, and walking trees of them. */

import { spawnSync } from "node:child_process"
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { File, Syscall } from "../src/index.ts"
import { callsOf, temporaryDirectory, turn, utf8, yieldingAt } from "./support/files.ts"
import { openFds } from "./support/process.ts"

const tag = <E extends { readonly _tag: string }, R>(self: Effect.Effect<unknown, E, R>) =>
  Effect.map(Effect.flip(self), ({ _tag }) => _tag)

const opened = Effect.gen(function* () {
  const path = yield* temporaryDirectory
  return { path, directory: yield* File.open(path, { directory: true }) }
})

describe("making", () => {
  it.live("directories, FIFOs, sockets and files, by path and from a directory", () =>
    Effect.gen(function* () {
      const { directory, path } = yield* opened
      yield* File.mkdir(join(path, "a"), { mode: 0o751 })
      assert.strictEqual(statSync(join(path, "a")).mode & 0o777, 0o751 & ~process.umask())
      yield* File.mkdirAt(directory, "a/b", { mode: 0o700 })
      yield* File.mkfifo(join(path, "fifo"), { mode: 0o600 })
      yield* File.mkfifoAt(directory, "fifo2", { mode: 0o600 })
      yield* File.mknod(join(path, "socket"), { type: "socket", mode: 0o600 })
      yield* File.mknodAt(directory, "file", { type: "file", mode: 0o640 })
      assert.isTrue(statSync(join(path, "a/b")).isDirectory())
      assert.isTrue(statSync(join(path, "fifo")).isFIFO() && statSync(join(path, "fifo2")).isFIFO())
      assert.isTrue(statSync(join(path, "socket")).isSocket())
      assert.isTrue(statSync(join(path, "file")).isFile())
      for (const again of [
        File.mkdirAt(directory, "a", { mode: 0o700 }),
        File.mkfifoAt(directory, "a", { mode: 0o600 }),
        File.mknodAt(directory, "a", { type: "file", mode: 0o600 })
      ]) {
        assert.strictEqual(yield* tag(again), "EEXIST")
      }
    })
  )

  it.live("devices, where one may", ({ skip }) =>
    Effect.gen(function* () {
      const { directory, path } = yield* opened
      const made = yield* Effect.exit(
        File.mknodAt(directory, "null", { type: "characterDevice", mode: 0o600, major: 1, minor: 3 })
      )
      if (made._tag === "Failure") return skip("making devices is not allowed here")
      assert.strictEqual(statSync(join(path, "null")).rdev, Syscall.makedev(1, 3))
      yield* File.mknodAt(directory, "block", { type: "blockDevice", mode: 0o600, major: 300, minor: 70_000 })
      const { stx_rdev_major, stx_rdev_minor } = yield* File.statAt(directory, "block")
      assert.deepStrictEqual([stx_rdev_major, stx_rdev_minor], [300, 70_000])
    })
  )

  it.live("refuses numbers that are none", () =>
    Effect.gen(function* () {
      const { directory } = yield* opened
      assert.strictEqual(yield* tag(File.mknodAt(directory, "x", { type: "file", mode: 0o100600 })), "EINVAL")
      assert.strictEqual(yield* tag(File.mknodAt(directory, "x", { type: "fifo", mode: -1 })), "EINVAL")
      const device = { type: "blockDevice", mode: 0o600, major: 2 ** 12, minor: 0 } as const
      assert.strictEqual(yield* tag(File.mknodAt(directory, "x", device)), "EINVAL")
    })
  )

  it.live("asks for a mode, and for the numbers of devices", () =>
    Effect.sync(() => {
      const compiles = (_: () => unknown): void => {}
      // @ts-expect-error mode is missing
      compiles(() => File.mkdir("/p", {}))
      // @ts-expect-error options are missing
      compiles(() => File.mkdir("/p"))
      // @ts-expect-error mode is missing
      compiles(() => File.create("/p", {}))
      // @ts-expect-error what is created is not opened for reading only
      compiles(() => File.create("/p", { mode: 0o600, access: "read" }))
      // @ts-expect-error mode is missing
      compiles(() => File.tempFile("/p", {}))
      // @ts-expect-error a device has numbers
      compiles(() => File.mknod("/p", { type: "blockDevice", mode: 0o600 }))
      // @ts-expect-error a FIFO has none
      compiles(() => File.mknod("/p", { type: "fifo", mode: 0o600, major: 1, minor: 2 }))
      // @ts-expect-error a path is text or bytes
      compiles(() => File.unlink(3))
      // @ts-expect-error a directory is a File
      compiles(() => File.unlinkAt("/p", "name"))
      // @ts-expect-error mode is missing
      compiles(() => File.openAt2(File.cwd, "p", { create: true }))
      // @ts-expect-error no such word
      compiles(() => File.openAt2(File.cwd, "p", { resolve: { anywhere: true } }))
      // @ts-expect-error no such order
      compiles(() => File.walk("/p", { order: "in" }))
    })
  )
})

describe("links", () => {
  it.live("give a file more names", () =>
    Effect.gen(function* () {
      const { directory, path } = yield* opened
      writeFileSync(join(path, "file"), "contents")
      yield* File.link(join(path, "file"), join(path, "twin"))
      yield* File.linkAt(directory, "file", directory, "third")
      assert.strictEqual(statSync(join(path, "third")).nlink, 3)
      yield* File.symlinkAt("file", directory, "link")
      yield* File.linkAt(directory, "link", directory, "link itself")
      yield* File.linkAt(directory, "link", directory, "fourth", { followLinks: true })
      assert.isTrue(lstatSync(join(path, "link itself")).isSymbolicLink())
      assert.isTrue(lstatSync(join(path, "fourth")).isFile())
      assert.strictEqual(yield* tag(File.linkAt(directory, "file", directory, "twin")), "EEXIST")
    })
  )

  it.live("symbolic ones are read back, whatever bytes they are", () =>
    Effect.gen(function* () {
      const { directory, path } = yield* opened
      yield* File.symlink("../zażółć", join(path, "text"))
      yield* File.symlinkAt(Uint8Array.of(0x2e, 0xff), directory, "bytes")
      assert.strictEqual(readlinkSync(join(path, "text")), "../zażółć")
      assert.strictEqual(yield* File.readlink(join(path, "text")), "../zażółć")
      assert.deepStrictEqual(yield* File.readlinkAt(directory, "bytes"), Uint8Array.of(0x2e, 0xff))
      const itself = yield* File.openAt(directory, "text", { pathOnly: true, noFollow: true })
      assert.strictEqual(yield* File.readlinkAt(itself, ""), "../zażółć")
      assert.strictEqual(yield* tag(File.readlink(path)), "EINVAL")
    })
  )
})

describe("renaming and removing", () => {
  it.live("replaces, or refuses to, or exchanges", () =>
    Effect.gen(function* () {
      const { directory, path } = yield* opened
      writeFileSync(join(path, "a"), "a")
      writeFileSync(join(path, "b"), "b")
      const contents = (name: string) => readFileSync(join(path, name), "utf8")
      assert.strictEqual(yield* tag(File.renameAt(directory, "a", directory, "b", { noReplace: true })), "EEXIST")
      yield* File.renameAt(directory, "a", directory, "b", { exchange: true })
      assert.deepStrictEqual([contents("a"), contents("b")], ["b", "a"])
      yield* File.rename(join(path, "a"), join(path, "b"))
      assert.deepStrictEqual([contents("b"), existsSync(join(path, "a"))], ["b", false])
      mkdirSync(join(path, "sub"))
      yield* File.renameAt(directory, "b", yield* File.openAt(directory, "sub"), "c")
      assert.strictEqual(contents("sub/c"), "b")
      const error = yield* Effect.flip(File.renameAt(directory, "none", directory, "x"))
      assert.deepStrictEqual([error._tag, error.path], ["ENOENT", "none"])
      const both = File.renameAt(directory, "sub", directory, "x", { exchange: true, noReplace: true })
      assert.strictEqual(yield* tag(both), "EINVAL")
    })
  )

  it.live("removes files by unlink and directories by rmdir, and neither by the other", () =>
    Effect.gen(function* () {
      const { directory, path } = yield* opened
      mkdirSync(join(path, "sub"))
      writeFileSync(join(path, "sub/file"), "")
      writeFileSync(join(path, "file"), "")
      assert.strictEqual(yield* tag(File.unlink(join(path, "sub"))), "EISDIR")
      assert.strictEqual(yield* tag(File.rmdirAt(directory, "file")), "ENOTDIR")
      assert.strictEqual(yield* tag(File.rmdir(join(path, "sub"))), "ENOTEMPTY")
      yield* File.unlinkAt(directory, "sub/file")
      yield* File.rmdirAt(directory, "sub")
      yield* File.unlink(join(path, "file"))
      assert.deepStrictEqual(readdirSync(path), [])
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------

/** A tree with files at several depths, links, and a name that is no UTF-8. */
const tree = Effect.gen(function* () {
  const path = yield* temporaryDirectory
  for (const folder of ["a/b/c", "d", "e/f"]) mkdirSync(join(path, folder), { recursive: true })
  for (const file of ["top", "a/one", "a/b/two", "a/b/c/three", "e/f/four"]) writeFileSync(join(path, file), file)
  symlinkSync("..", join(path, "a/b/up"))
  symlinkSync("d", join(path, "to d"))
  symlinkSync("nowhere", join(path, "broken"))
  return path
})

const everything = [
  "a",
  "a/b",
  "a/b/c",
  "a/b/c/three",
  "a/b/two",
  "a/b/up",
  "a/one",
  "broken",
  "d",
  "e",
  "e/f",
  "e/f/four",
  "to d",
  "top"
]

const pathsOf = (path: string, options?: File.WalkOptions) =>
  Effect.gen(function* () {
    const directory = yield* File.open(path)
    const entries = yield* Stream.runCollect(File.walkAt(directory, ".", options))
    return entries.map(({ path }) => String(path))
  })

describe("File.walk", () => {
  it.live("finds all there is, once, with path, name, type, depth and inode", () =>
    Effect.gen(function* () {
      const path = yield* tree
      const entries = yield* Stream.runCollect(File.walk(path))
      assert.sameMembers(
        entries.map((entry) => String(entry.path)),
        everything.map((name) => join(path, name))
      )
      for (const { depth, inode, name, path: found, type } of entries) {
        const status = lstatSync(String(found), { bigint: true })
        assert.strictEqual(inode, status.ino)
        const kind = status.isDirectory() ? "directory" : status.isSymbolicLink() ? "symbolicLink" : "file"
        assert.strictEqual(type, kind)
        const parts = String(found)
          .slice(path.length + 1)
          .split("/")
        assert.deepStrictEqual([depth, name], [parts.length, parts.at(-1) ?? ""])
      }
    })
  )

  it.live("goes on where a directory is removed before it is read", () =>
    Effect.gen(function* () {
      const path = yield* tree
      const names = ["gone", "going", "here"]
      for (const name of names) mkdirSync(join(path, name))
      for (const order of ["pre", "post"] as const) {
        for (const errors of ["fail", "report"] as const) {
          const removed: Array<unknown> = []
          const descend = ({ name, path: found }: File.WalkEntry) => {
            if (name === "gone" || name === "going") {
              rmdirSync(String(found))
              removed.push(found)
            }
            return true
          }
          const entries = yield* Stream.runCollect(File.walk(path, { descend, errors, order }))
          assert.strictEqual(removed.length, 2)
          assert.includeMembers(
            entries.map(({ name }) => name),
            ["here"]
          )
          assert.isTrue(entries.every(({ error }) => error === undefined))
          for (const found of removed) mkdirSync(String(found))
        }
      }
    })
  )

  it.live("begins its paths with what it was given", () =>
    Effect.gen(function* () {
      const path = yield* tree
      const directory = yield* File.open(path)
      const first = (from: string) =>
        Effect.map(Stream.runCollect(File.walkAt(directory, from)), (entries) =>
          entries.map(({ path }) => String(path)).sort()
        )
      assert.deepStrictEqual(yield* first("."), everything)
      assert.deepStrictEqual(yield* first("e"), ["e/f", "e/f/four"])
      assert.deepStrictEqual(yield* first("e/"), ["e/f", "e/f/four"])
      for (const { path: found } of yield* Stream.runCollect(File.walkAt(directory, "e"))) {
        yield* File.openAt(directory, found)
      }
    })
  )

  it.live("tells a directory before or after what is in it, however many are read at once", () =>
    Effect.gen(function* () {
      const path = yield* tree
      for (const concurrency of [1, 2, 16]) {
        const before = yield* pathsOf(path, { concurrency })
        const after = yield* pathsOf(path, { concurrency, order: "post" })
        assert.deepStrictEqual([...before].sort(), everything)
        assert.deepStrictEqual([...after].sort(), everything)
        for (const inner of everything) {
          for (const outer of everything.filter((outer) => inner.startsWith(`${outer}/`))) {
            assert.isBelow(before.indexOf(outer), before.indexOf(inner))
            assert.isAbove(after.indexOf(outer), after.indexOf(inner))
          }
        }
      }
    })
  )

  it.live("goes no deeper than it is told", () =>
    Effect.gen(function* () {
      const path = yield* tree
      for (const order of ["pre", "post"] as const) {
        for (const maxDepth of [1, 2, 3, 100]) {
          const expected = everything.filter((name) => name.split("/").length <= maxDepth)
          assert.deepStrictEqual((yield* pathsOf(path, { maxDepth, order })).sort(), expected)
        }
        const descend = ({ name }: File.WalkEntry) => name !== "b"
        const expected = everything.filter((name) => !name.includes("/b/"))
        assert.deepStrictEqual((yield* pathsOf(path, { descend, order })).sort(), expected)
      }
      assert.strictEqual(yield* tag(Stream.runDrain(File.walk(path, { maxDepth: 0 }))), "EINVAL")
      assert.strictEqual(yield* tag(Stream.runDrain(File.walk(path, { concurrency: 0 }))), "EINVAL")
      // @ts-expect-error no such word: it would pass for "fail"
      const error = yield* Effect.flip(Stream.runDrain(File.walk(path, { errors: "reports" })))
      assert.include(error.message, "errors")
    })
  )

  it.live("follows links where it is told to, but not back to where it is", () =>
    Effect.gen(function* () {
      const path = yield* tree
      symlinkSync("../a/b", join(path, "d/to b"))
      const directory = yield* File.open(path)
      const entries = yield* Stream.runCollect(File.walkAt(directory, ".", { followLinks: true }))
      const types = Object.fromEntries(entries.map(({ path, type }) => [String(path), type]))
      // From here a is above, where it begins at d it is not; and "up" leads to a, of which b/up is a part again.
      assert.strictEqual(types["a/b/up"], "symbolicLink")
      assert.strictEqual(types["to d"], "directory")
      assert.strictEqual(types["broken"], "symbolicLink")
      assert.strictEqual(types["d/to b/two"], "file")
      assert.strictEqual(types["to d/to b/c/three"], "file")
      assert.strictEqual(types["d/to b/up"], "directory")
      assert.strictEqual(types["d/to b/up/one"], "file")
      assert.strictEqual(types["d/to b/up/b"], "directory")
    })
  )

  it.live("does not follow a link that takes the place of a directory meanwhile", () =>
    Effect.gen(function* () {
      const path = yield* tree
      const outside = yield* tree
      const directory = yield* File.open(path)
      const swapping = ({ name }: File.WalkEntry) => {
        if (name === "e") {
          // After it was seen as a directory, and before it is opened.
          Effect.runSync(
            Effect.sync(() => {
              Syscall.kernel.call(Syscall.nr.renameat2, -100, utf8(`${path}/e\0`), -100, utf8(`${path}/was e\0`), 0)
              symlinkSync(outside, join(path, "e"))
            })
          )
        }
        return true
      }
      const error = yield* Effect.flip(Stream.runDrain(File.walkAt(directory, ".", { descend: swapping })))
      assert.oneOf(error._tag, ["ELOOP", "ENOTDIR"])
    })
  )

  it.live("fails at a directory that cannot be read, or reports it and goes on", () =>
    Effect.gen(function* () {
      const path = yield* tree
      const bad = utf8("a/b\0")
      // Root may read everything: as if it might not.
      const forbidding: Syscall.Trampoline = {
        ...Syscall.kernel,
        callBlocking: (nr, args, options) => {
          const isOpen = nr === Syscall.nr.openat || nr === Syscall.nr.openat2
          return isOpen && args[1] instanceof Uint8Array && Buffer.from(args[1]).equals(bad)
            ? -13
            : Syscall.kernel.callBlocking(nr, args, options)
        }
      }
      const directory = yield* File.open(path)
      const walk = (options: File.WalkOptions) =>
        Effect.provideService(Stream.runCollect(File.walkAt(directory, ".", options)), Syscall.Trampoline, forbidding)
      assert.strictEqual(yield* tag(walk({})), "EACCES")
      const readable = everything.filter((name) => !name.startsWith("a/b/"))
      const before = yield* walk({ errors: "report" })
      assert.deepStrictEqual(before.map(({ path }) => String(path)).sort(), [...readable, "a/b"].sort())
      assert.deepStrictEqual(
        before.filter(({ path }) => path === "a/b").map(({ error }) => error?._tag),
        [undefined, "EACCES"]
      )
      const after = yield* walk({ errors: "report", order: "post" })
      assert.deepStrictEqual(after.map(({ path }) => String(path)).sort(), readable)
      assert.strictEqual(after.find(({ path }) => path === "a/b")?.error?._tag, "EACCES")
      assert.strictEqual(yield* tag(Stream.runDrain(File.walk(join(path, "none"), { errors: "report" }))), "ENOENT")
      assert.strictEqual(yield* tag(Stream.runDrain(File.walk(join(path, "top"), { errors: "report" }))), "ENOTDIR")
    })
  )

  it.live("looks at files where the file system does not say what they are", () =>
    Effect.gen(function* () {
      const path = yield* tree
      const silent: Syscall.Trampoline = {
        ...Syscall.kernel,
        callBlocking: (nr, args, options) => {
          const [, memory] = args
          if (nr !== Syscall.nr.getdents64 || !(memory instanceof Uint8Array)) {
            return Syscall.kernel.callBlocking(nr, args, options)
          }
          const length = Number(Syscall.kernel.call(nr, ...args))
          for (let at = 0; at < length; at += (memory[at + 16] ?? 0) | ((memory[at + 17] ?? 0) << 8))
            memory[at + 18] = 0
          return length
        }
      }
      const entries = yield* Effect.provideService(Stream.runCollect(File.walk(path)), Syscall.Trampoline, silent)
      assert.strictEqual(entries.length, everything.length)
      assert.isFalse(entries.some(({ type }) => type === "unknown"))
      const followed = yield* Effect.provideService(
        Stream.runCollect(File.walk(path, { followLinks: true })),
        Syscall.Trampoline,
        silent
      )
      assert.strictEqual(followed.find(({ name }) => name === "to d")?.type, "directory")
    })
  )

  it.live("does without openat2 where there is none", () =>
    Effect.gen(function* () {
      const path = yield* tree
      const old: Syscall.Trampoline = {
        ...Syscall.kernel,
        callBlocking: (nr, args, options) =>
          nr === Syscall.nr.openat2 ? -38 : Syscall.kernel.callBlocking(nr, args, options)
      }
      const { calls, result } = yield* callsOf(Stream.runCollect(File.walk(path)))
      assert.isTrue(calls.some(({ name }) => name === "openat2"))
      const without = yield* Effect.provideService(Stream.runCollect(File.walk(path)), Syscall.Trampoline, old)
      assert.strictEqual(without.length, result.length)
    })
  )

  it.live("stays on its mount where it is told to", () =>
    Effect.gen(function* () {
      const onlyProc = yield* Stream.runCollect(
        File.walk("/", { sameMount: true, maxDepth: 2, descend: ({ path }) => path === "/proc" || path === "/etc" })
      )
      assert.isTrue(onlyProc.some(({ path }) => path === "/proc"))
      assert.isFalse(onlyProc.some(({ path }) => String(path).startsWith("/proc/")))
      assert.isTrue(onlyProc.some(({ path }) => String(path).startsWith("/etc/")))
      assert.isFalse(onlyProc.some(({ error }) => error !== undefined))
      const after = yield* Stream.runCollect(
        File.walk("/", { sameMount: true, order: "post", maxDepth: 2, descend: ({ path }) => path === "/proc" })
      )
      assert.isTrue(after.some(({ path }) => path === "/proc"))
    })
  )

  it.live("takes names that are no UTF-8 for parts of paths", () =>
    Effect.gen(function* () {
      const { directory, path } = yield* opened
      const odd = Uint8Array.of(0x78, 0xff)
      yield* File.mkdirAt(directory, odd, { mode: 0o700 })
      const inside = yield* File.openAt(directory, odd)
      yield* File.createAt(inside, "file", { mode: 0o600 })
      const entries = yield* Stream.runCollect(File.walk(path))
      const file = entries.find(({ name }) => name === "file")
      assert.deepStrictEqual(file?.path, Uint8Array.from([...utf8(`${path}/`), 0x78, 0xff, ...utf8("/file")]))
      yield* File.open(file?.path ?? "")
    })
  )

  it.live("is no matter of the depth", () =>
    Effect.gen(function* () {
      const { directory, path } = yield* opened
      // Deeper than node:fs can remove it.
      yield* Effect.addFinalizer(() => Effect.sync(() => spawnSync("rm", ["-rf", path])))
      const name = "n".repeat(250)
      let inner = directory
      for (let depth = 0; depth < 40; depth++) {
        yield* File.mkdirAt(inner, name, { mode: 0o700 })
        inner = yield* File.openAt(inner, name)
      }
      yield* File.createAt(inner, "bottom", { mode: 0o600 })
      const before = yield* openFds
      for (const followLinks of [false, true]) {
        const entries = yield* Stream.runCollect(File.walk(path, { followLinks }))
        assert.strictEqual(entries.length, 41)
        assert.strictEqual(entries.at(-1)?.name, "bottom")
      }
      assert.strictEqual(yield* openFds, before)
    })
  )

  it.live("reads directories of many thousands in pieces, and holds few open", () =>
    Effect.gen(function* () {
      const { path } = yield* opened
      mkdirSync(join(path, "many"))
      writeFileSync(join(path, "many/0"), "")
      const expected = 15_000
      for (let index = 1; index < expected; index++) {
        linkSync(join(path, "many/0"), join(path, "many", `a rather long name that takes its room ${index}`))
      }
      const sizes: Array<number> = []
      const walk = Stream.runForEachArray(File.walk(path), (entries) => Effect.sync(() => sizes.push(entries.length)))
      const { calls } = yield* callsOf(walk)
      assert.strictEqual(
        sizes.reduce((sum, size) => sum + size),
        expected + 1
      )
      assert.isAbove(sizes.length, 2)
      assert.isBelow(calls.length, 40)
    })
  )

  it.live("leaves nothing open where it is left, or interrupted anywhere", () =>
    Effect.gen(function* () {
      const path = yield* tree
      const before = yield* openFds
      for (let count = 1; count < everything.length; count++) {
        yield* Stream.runDrain(Stream.take(File.walk(path, { concurrency: 2 }), count))
      }
      assert.strictEqual(yield* openFds, before)
      for (let place = 1; place <= 60; place++) {
        const fiber = yield* Effect.forkChild(Stream.runDrain(File.walk(path)).pipe(yieldingAt(place)), {
          startImmediately: true
        })
        for (let turns = 0; turns < place % 6; turns++) yield* turn
        yield* Fiber.interrupt(fiber)
      }
      assert.strictEqual(yield* openFds, before)
      const failing = File.walk(path, {
        descend: () => {
          throw new Error("no")
        }
      })
      yield* Effect.exit(Stream.runDrain(failing))
      assert.strictEqual(yield* openFds, before)
    })
  )

  it.live("in the order post removes a tree", () =>
    Effect.gen(function* () {
      const path = yield* tree
      yield* Stream.runForEach(File.walk(path, { order: "post" }), ({ path, type }) =>
        type === "directory" ? File.rmdir(path) : File.unlink(path)
      )
      assert.deepStrictEqual(readdirSync(path), [])
    })
  )

  it.live("finds what node:fs finds", () =>
    Effect.gen(function* () {
      const found = yield* Stream.runCollect(File.walk("/usr/include/linux"))
      const expected = readdirSync("/usr/include/linux", { recursive: true, encoding: "utf8" })
      assert.sameMembers(
        found.map(({ path }) => String(path)),
        expected.map((name) => `/usr/include/linux/${name}`)
      )
    })
  )
})

it.live("names that begin like text and end like none are told apart", () =>
  Effect.gen(function* () {
    const { directory } = yield* opened
    const names = ["ascii", "gemischt ä", Uint8Array.of(0x61, 0xe4), "z".repeat(255), "…"]
    for (const name of names) yield* File.createAt(directory, name, { mode: 0o600 })
    const found = (yield* Stream.runCollect(File.entries(directory))).map(({ name }) => name)
    assert.sameDeepMembers(found, names)
  })
)
