/** The programs of `examples/` about files, as `npm run build:programs` compiled them. */

import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { temporaryDirectory } from "./support/files.ts"

const programs = fileURLToPath(new URL("../.build/programs/examples", import.meta.url))

const run = (name: string, ...args: ReadonlyArray<string>) =>
  Effect.sync(() => {
    const path = join(programs, `${name}.js`)
    if (!existsSync(path)) throw new Error(`${path} is not there: "npm run build:programs" makes it`)
    const { status, stderr, stdout } = spawnSync(process.execPath, [path, ...args], { encoding: "utf8" })
    return { status, stderr, stdout }
  })

describe("examples/find", () => {
  it.live("prints all of a tree, or what ends like this", () =>
    Effect.gen(function* () {
      const path = yield* temporaryDirectory
      mkdirSync(join(path, "a/b"), { recursive: true })
      for (const name of ["one.txt", "a/two.txt", "a/b/three.md"]) writeFileSync(join(path, name), "")
      const all = yield* run("find", path)
      assert.deepStrictEqual([all.status, all.stderr], [0, ""])
      assert.sameMembers(
        all.stdout.trimEnd().split("\n"),
        ["a", "a/b", "a/b/three.md", "a/two.txt", "one.txt"].map((name) => join(path, name))
      )
      const some = yield* run("find", path, ".txt")
      assert.sameMembers(
        some.stdout.trimEnd().split("\n"),
        ["a/two.txt", "one.txt"].map((name) => join(path, name))
      )
    })
  )
})

describe("examples/copy", () => {
  it.live("copies contents, permissions and time, and replaces nothing", () =>
    Effect.gen(function* () {
      const path = yield* temporaryDirectory
      const [source, target] = [join(path, "source"), join(path, "target")]
      writeFileSync(source, "x".repeat(100_000), { mode: 0o640 })
      const { status, stderr, stdout } = yield* run("copy", source, target)
      assert.deepStrictEqual([status, stdout], [0, "copied 100000 bytes\n"], stderr)
      assert.include(stderr, "100000 of 100000 bytes")
      assert.isTrue(readFileSync(source).equals(readFileSync(target)))
      const [from, to] = [statSync(source, { bigint: true }), statSync(target, { bigint: true })]
      assert.deepStrictEqual([to.mode, to.mtimeNs], [from.mode, from.mtimeNs])
      const again = yield* run("copy", source, target)
      assert.deepStrictEqual([again.status, again.stderr.endsWith("is there already\n")], [1, true])
      const missing = yield* run("copy", join(path, "none"), join(path, "new"))
      assert.include(missing.stderr, "ENOENT")
      assert.deepStrictEqual(readdirSync(path).sort(), ["source", "target"])
    })
  )
})
