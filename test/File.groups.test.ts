/** Directories that are read several at once: what becomes of each, and that a walk by them finds what there is. */
import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { own } from "../src/file/model.ts"
import { eachDirent } from "../src/file/names.ts"
import { Errno, File, Syscall } from "../src/index.ts"
import { eachRecord, Outcome, readDirectories } from "../src/internal/directories.ts"
import { openFds } from "./support/process.ts"
import { temporaryDirectory } from "./support/temporary.ts"

const manner = { flags: Syscall.O_RDONLY | Syscall.O_DIRECTORY | Syscall.O_CLOEXEC, resolve: 0, openat2: true }

/** What became of each, and the names in it. */
const read = (root: File.File, paths: ReadonlyArray<string>, room = 64 * 1024, how = manner) =>
  Effect.gen(function* () {
    const answer = new Uint8Array(room)
    const encoder = new TextEncoder()
    const length = yield* readDirectories(
      own(root),
      how,
      paths.map((path) => encoder.encode(path)),
      answer
    )
    const found: Array<readonly [outcome: number, names: ReadonlyArray<unknown>]> = []
    eachRecord(answer, length, (outcome, from, to) => {
      const names: Array<unknown> = []
      eachDirent(answer, from, to, (name) => names.push(name))
      found.push([outcome, names.toSorted()])
    })
    return { length, found }
  })

const tree = Effect.gen(function* () {
  const path = yield* temporaryDirectory
  for (const name of ["a", "b", "c"]) {
    mkdirSync(join(path, name))
    writeFileSync(join(path, name, `in-${name}`), "")
  }
  mkdirSync(join(path, "empty"))
  writeFileSync(join(path, "file"), "")
  symlinkSync("a", join(path, "link"))
  return { path, root: yield* File.open(path, { directory: true }) }
})

describe("directories read in one go", () => {
  it.live("come in order, each with its entries or what is wrong with it", () =>
    Effect.gen(function* () {
      const { root } = yield* tree
      const before = yield* openFds
      const { found } = yield* read(root, ["b", "missing", "empty", "file", "a"])
      assert.deepStrictEqual(found, [
        [Outcome.complete, ["in-b"]],
        [Errno.codes.ENOENT, []],
        [Outcome.complete, []],
        [Errno.codes.ENOTDIR, []],
        [Outcome.complete, ["in-a"]]
      ])
      assert.strictEqual(yield* openFds, before)
    }).pipe(Effect.scoped)
  )

  it.live("may have the one among them that the paths begin at", () =>
    Effect.gen(function* () {
      const { root } = yield* tree
      const { found } = yield* read(root, ["", "a"])
      assert.deepStrictEqual(found, [
        [Outcome.complete, ["a", "b", "c", "empty", "file", "link"]],
        [Outcome.complete, ["in-a"]]
      ])
    }).pipe(Effect.scoped)
  )

  it.live("are opened as they are to be", () =>
    Effect.gen(function* () {
      const { root } = yield* tree
      const strictly = { ...manner, resolve: Syscall.RESOLVE_NO_SYMLINKS }
      assert.deepStrictEqual((yield* read(root, ["link"], 4096, strictly)).found, [[Errno.codes.ELOOP, []]])
      assert.deepStrictEqual((yield* read(root, ["link"])).found, [[Outcome.complete, ["in-a"]]])
      // Without openat2, what only that knows is not asked for.
      const plainly = { ...strictly, openat2: false }
      assert.deepStrictEqual((yield* read(root, ["link"], 4096, plainly)).found, [[Outcome.complete, ["in-a"]]])
    }).pipe(Effect.scoped)
  )

  it.live("are left where there is no room for them, and one that never finds it is told as such", () =>
    Effect.gen(function* () {
      const { path, root } = yield* tree
      mkdirSync(join(path, "large"))
      for (let i = 0; i < 100; i++) writeFileSync(join(path, "large", `${i}-${"x".repeat(200)}`), "")
      const { found } = yield* read(root, ["a", "large", "b"], 8192)
      assert.deepStrictEqual(found, [[Outcome.complete, ["in-a"]]])
      const alone = yield* read(root, ["large", "b"], 8192)
      assert.deepStrictEqual(alone.found, [[Outcome.tooMuch, []]])
      const enough = yield* read(root, ["large", "b"], 64 * 1024)
      assert.deepStrictEqual(
        enough.found.map(([outcome, names]) => [outcome, names.length]),
        [
          [Outcome.complete, 100],
          [Outcome.complete, 1]
        ]
      )
      // One that was begun can be read from its beginning all the same.
      const large = yield* File.openAt(root, "large", { directory: true })
      assert.deepStrictEqual((yield* read(large, [""], 8192)).found, [[Outcome.tooMuch, []]])
      const names = yield* Stream.runCollect(File.entries(large))
      assert.strictEqual(names.length, 100)
    }).pipe(Effect.scoped)
  )

  it.live("are read with nothing left open, interrupted at any moment", () =>
    Effect.gen(function* () {
      const { root } = yield* tree
      const before = yield* openFds
      const paths = Array.from({ length: 64 }, () => "a")
      for (let time = 0; time < 100; time++) {
        const reading = yield* Effect.forkChild(read(root, paths), { startImmediately: true })
        for (let turn = 0; turn < time % 5; turn++)
          yield* Effect.promise(() => new Promise<void>((r) => setImmediate(r)))
        yield* Fiber.interrupt(reading)
        assert.strictEqual(yield* openFds, before)
      }
      assert.isTrue(own(root).isIdle)
    }).pipe(Effect.scoped)
  )

  it.live("answer EBADF where the one they begin at is closed", () =>
    Effect.gen(function* () {
      const { root } = yield* tree
      yield* File.close(root)
      assert.strictEqual((yield* read(root, ["a"])).length, -Errno.codes.EBADF)
    }).pipe(Effect.scoped)
  )
})

describe("File.walk of directories with more names than there is room for at once", () => {
  const namesIn = (root: string): ReadonlyArray<string> => readdirSync(root, { recursive: true }).map(String).toSorted()

  it.live("finds each once, whatever is read at the same time", () =>
    Effect.gen(function* () {
      const path = yield* temporaryDirectory
      for (let i = 0; i < 100; i++) {
        mkdirSync(join(path, `${i % 4}`, `${i}`), { recursive: true })
        for (let j = 0; j < 20; j++) writeFileSync(join(path, `${i % 4}`, `${i}`, `${j}-${"x".repeat(220)}`), "")
      }
      const all = namesIn(path)
      for (const concurrency of [1, 2, 16]) {
        for (const order of ["pre", "post"] as const) {
          const found = yield* Stream.runCollect(File.walk(path, { concurrency, order }))
          const names = found.map(({ path: found }) => String(found).slice(path.length + 1))
          assert.deepStrictEqual(names.toSorted(), all)
          const at = new Map(names.map((name, index) => [name, index]))
          for (const name of names) {
            const above = name.lastIndexOf("/") < 0 ? undefined : at.get(name.slice(0, name.lastIndexOf("/")))
            if (above === undefined) continue
            if (order === "pre") assert.isBelow(above, at.get(name) ?? -1)
            else assert.isAbove(above, at.get(name) ?? -1)
          }
        }
      }
    }).pipe(Effect.scoped)
  )

  it.live("reads a first directory that may be read and not searched", () =>
    Effect.gen(function* () {
      const path = yield* temporaryDirectory
      writeFileSync(join(path, "file"), "")
      chmodSync(path, 0o444)
      assert.deepStrictEqual(
        (yield* Stream.runCollect(File.walk(path))).map(({ name }) => name),
        ["file"]
      )
      chmodSync(path, 0o755)
    }).pipe(Effect.scoped)
  )
})
