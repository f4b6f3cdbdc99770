/** What a user sees of an errno that nobody caught: the output of a process that dies of it. */
import { execFileSync, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"

const root = fileURLToPath(new URL("..", import.meta.url))

describe("an uncaught errno", () => {
  let directory = ""

  // The child runs these very sources, and not all versions of Node take TypeScript: they are compiled for it.
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "effect-linux-uncaught-"))
    symlinkSync(join(root, "node_modules"), join(directory, "node_modules"))
    writeFileSync(join(directory, "package.json"), '{ "type": "module" }')
    const options = ["--noCheck", "--declaration", "false", "--declarationMap", "false", "--sourceMap", "false"]
    execFileSync(
      process.execPath,
      [
        join(root, "node_modules/typescript/bin/tsc"),
        ...["-p", join(root, "tsconfig.build.json"), "--outDir", join(directory, "out"), ...options]
      ],
      { stdio: "pipe" }
    )
    assert.isTrue(existsSync(join(directory, "out/Errno.js")))
  })

  afterAll(() => {
    rmSync(directory, { recursive: true, force: true })
  })

  const run = (statement: string) => {
    const program = join(directory, "program.mjs")
    writeFileSync(
      program,
      `import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Errno from "./out/Errno.js"
const error = Errno.fromCode(2, { syscall: "openat", path: "/nope" })
${statement}
`
    )
    const { status, stderr, stdout } = spawnSync(process.execPath, [program], { encoding: "utf8" })
    return { status, stderr, stdout }
  }

  const line = 'openat("/nope"): ENOENT, no such file or directory'

  it.each([
    ["thrown", "throw error"],
    ["thrown by Effect.runSync", "Effect.runSync(Effect.fail(error))"],
    ["thrown by Effect.runSync out of a generator", "Effect.runSync(Effect.gen(function* () { yield* error }))"],
    ["that rejects an awaited promise", "await Effect.runPromise(Effect.fail(error))"]
  ])("%s ends the process with its message", (_, statement) => {
    const { status, stderr } = run(statement)
    assert.strictEqual(status, 1)
    assert.include(stderr, line)
  })

  it("that rejects a promise which nobody awaits is named by what Node says of it", () => {
    const { status, stderr } = run("Effect.runPromise(Effect.fail(error))")
    assert.strictEqual(status, 1)
    assert.include(stderr, "ENOENT")
  })

  it("is logged with its message", () => {
    const { status, stderr, stdout } = run("Effect.runSync(Effect.logError(Cause.fail(error)))\nconsole.log(error)")
    assert.strictEqual(status, 0)
    assert.include(stdout + stderr, `\n${line}\n`)
    assert.strictEqual((stdout + stderr).split(line).length, 3)
  })
})
