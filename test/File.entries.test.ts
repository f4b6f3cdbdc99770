/** What a directory holds. */

import { mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { File, Syscall } from "../src/index.ts"
import { callsOf, makeFifo, temporaryDirectory, temporaryFile } from "./support/files.ts"

describe("File.entries", () => {
  const namesOf = (directory: File.File) =>
    Effect.map(Stream.runCollect(File.entries(directory)), (entries) => entries.map(({ name }) => name).sort())

  it.live("tells names, kinds and inodes, without . and ..", () =>
    Effect.gen(function* () {
      const path = yield* temporaryDirectory
      writeFileSync(join(path, "plain"), "")
      mkdirSync(join(path, "sub"))
      symlinkSync("plain", join(path, "link"))
      yield* makeFifo(join(path, "fifo"))
      const directory = yield* File.open(path)
      const entries = yield* Stream.runCollect(File.entries(directory))
      assert.deepStrictEqual(Object.fromEntries(entries.map(({ name, type }) => [String(name), type])), {
        plain: "file",
        sub: "directory",
        link: "symbolicLink",
        fifo: "fifo"
      })
      const plain = yield* File.stat(yield* File.openAt(directory, "plain"))
      assert.strictEqual(entries.find(({ name }) => name === "plain")?.inode, plain.stx_ino)
    })
  )

  it.live("of /dev knows character devices", () =>
    Effect.gen(function* () {
      const entries = yield* Stream.runCollect(File.entries(yield* File.open("/dev")))
      assert.strictEqual(entries.find(({ name }) => name === "null")?.type, "characterDevice")
    })
  )

  it.live("gives names that are no UTF-8 as bytes, which open the file", () =>
    Effect.gen(function* () {
      const directory = yield* File.open(yield* temporaryDirectory)
      const names = ["plain", "zażółć 🐧", "\ufeffbom", Uint8Array.of(0xff, 0x41), Uint8Array.of(0xc3)]
      for (const name of names) yield* File.openAt(directory, name, { create: true, mode: 0o600 })
      const found = (yield* Stream.runCollect(File.entries(directory))).map(({ name }) => name)
      assert.sameDeepMembers(
        found.map((name) => (typeof name === "string" ? name : [...name])),
        names.map((name) => (typeof name === "string" ? name : [...name]))
      )
      for (const name of found) {
        yield* File.openAt(directory, name)
        yield* Syscall.unlinkat(yield* File.fd(directory), name)
      }
      assert.deepStrictEqual(yield* namesOf(directory), [])
    })
  )

  it.live("gives thousands, each once, and starts anew with each run", () =>
    Effect.gen(function* () {
      const path = yield* temporaryDirectory
      const expected = Array.from({ length: 3000 }, (_, index) => `entry with a rather long name ${index}`).sort()
      for (const name of expected) writeFileSync(join(path, name), "")
      const directory = yield* File.open(path)
      const { calls, result } = yield* callsOf(namesOf(directory))
      assert.deepStrictEqual(result, expected)
      // More than one full buffer, or the test would not show that they are put together.
      assert.isAbove(calls.filter(({ name }) => name === "getdents64").length, 2)
      assert.strictEqual((yield* Stream.runCollect(Stream.take(File.entries(directory), 10))).length, 10)
      assert.deepStrictEqual(yield* namesOf(directory), expected)
    })
  )

  it.live("of what is no directory is ENOTDIR", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Stream.runDrain(File.entries(yield* temporaryFile)))
      assert.strictEqual(error._tag, "ENOTDIR")
    })
  )
})
