/** The examples of descriptors, run as a newcomer would: as they were compiled by `npm run build:programs`. */
import { spawn } from "node:child_process"
import { existsSync, mkdirSync, renameSync, rmdirSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { temporaryDirectory } from "./support/temporary.ts"

const programs = fileURLToPath(new URL("../.build/programs/examples", import.meta.url))

/** Runs an example; `onLine` sees each line of its output, and may do something about it. */
const run = (
  name: string,
  args: ReadonlyArray<string>,
  onLine: (line: string, kill: (signal: NodeJS.Signals) => void) => void = () => {}
): Effect.Effect<{ readonly code: number | null; readonly lines: ReadonlyArray<string>; readonly stderr: string }> =>
  Effect.callback((resume) => {
    const path = join(programs, `${name}.js`)
    if (!existsSync(path)) throw new Error(`${path} is not there: "npm run build:programs" makes it`)
    const child = spawn(process.execPath, [path, ...args], { stdio: ["ignore", "pipe", "pipe"] })
    const lines: Array<string> = []
    let rest = ""
    let stderr = ""
    child.stdout.on("data", (chunk: Buffer) => {
      const parts = (rest + chunk.toString()).split("\n")
      rest = parts.pop() ?? ""
      for (const line of parts) {
        lines.push(line)
        onLine(line, (signal) => child.kill(signal))
      }
    })
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString()
    })
    child.on("close", (code) => resume(Effect.succeed({ code, lines, stderr })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

describe.concurrent("examples", () => {
  it.live("watch tells what happens, and ends when it is told to", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const { code, lines, stderr } = yield* run("watch", [directory], (line, kill) => {
        if (line.startsWith("watching")) {
          mkdirSync(join(directory, "one"))
          renameSync(join(directory, "one"), join(directory, "two"))
          rmdirSync(join(directory, "two"))
        }
        if (line === "delete: two") kill("SIGTERM")
      })
      assert.strictEqual(stderr, "")
      assert.strictEqual(code, 0)
      assert.deepStrictEqual(lines, [
        `watching ${directory}`,
        "create: one",
        "moved: one -> two",
        "delete: two",
        "enough: SIGTERM"
      ])
    })
  )

  it.live("watch says what is wrong with its directory", () =>
    Effect.gen(function* () {
      const { code, stderr } = yield* run("watch", ["/nowhere"])
      assert.strictEqual(code, 1)
      assert.include(stderr, 'watch: inotify_add_watch("/nowhere"): ENOENT')
    })
  )

  it.live("timeout ends as its command does, or ends it", () =>
    Effect.gen(function* () {
      const ends = yield* Effect.all(
        [
          run("timeout", ["60", "sh", "-c", "exit 3"]),
          run("timeout", ["60", "sh", "-c", "kill -KILL $$"]),
          run("timeout", ["0.05", "sleep", "60"])
        ],
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        ends.map(({ code }) => code),
        [3, 137, 124]
      )
    })
  )
})
