/** Programs and workers that use the built library, for what a test cannot do in its own process and thread. */

import { spawn } from "node:child_process"
import { createRequire } from "node:module"
import { fileURLToPath, pathToFileURL } from "node:url"
import { Worker } from "node:worker_threads"
import { Effect } from "effect"

const root = new URL("../../", import.meta.url)

/** Where the addon is. */
export const addonPath = fileURLToPath(new URL("build/Release/effect_linux.node", root))

// The sources are TypeScript, which no worker and no child can load without a loader: they get what `npm run build` made.
const library = new URL("dist/index.js", root).href
const effect = pathToFileURL(createRequire(import.meta.url).resolve("effect")).href

/** What a program ended with. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs a module in a process of its own. `Effect`, the modules of the library, `process` and `addon` are there for it.
 * One that does not end by itself is killed, and then has a `signal`.
 */
export const program = (body: string): Effect.Effect<Ended> =>
  Effect.callback<Ended>((resume) => {
    const source = `
      import * as NodeModule from "node:module"
      import * as Fs from "node:fs"
      import { Deferred, Effect, Exit, Fiber, Scope } from ${JSON.stringify(effect)}
      import { Errno, Fcntl, File, Futex, IoUring, Mapping, Mutex, Syscall } from ${JSON.stringify(library)}
      const addon = NodeModule.createRequire(${JSON.stringify(addonPath)})(${JSON.stringify(addonPath)})
      ${body}`
    const child = spawn(process.execPath, ["--input-type=module", "--eval", source], {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 20_000,
      killSignal: "SIGKILL"
    })
    const out: Array<Buffer> = []
    const err: Array<Buffer> = []
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk))
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk))
    child.on("close", (code, signal) =>
      resume(
        Effect.succeed({
          code,
          signal,
          stdout: Buffer.concat(out).toString(),
          stderr: Buffer.concat(err).toString()
        })
      )
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/**
 * Starts a worker thread whose body is the inside of an async function. `addon`, `library()` (a promise of `Effect` and
 * the modules of the library), `post` (to the test) and `data` (`workerData`) are there for it.
 */
export const worker = (body: string, data?: unknown): Worker =>
  new Worker(
    `
    const { parentPort, workerData: data } = require("node:worker_threads")
    const addon = require(${JSON.stringify(addonPath)})
    const library = async () =>
      ({ ...(await import(${JSON.stringify(effect)})), ...(await import(${JSON.stringify(library)})) })
    const post = (message) => parentPort.postMessage(message)
    const main = async () => {
      ${body}
    }
    main()`,
    { eval: true, execArgv: [], workerData: data }
  )

/** The next message of a worker; fails with the worker's error, or its end. */
export const message = (from: Worker): Effect.Effect<unknown, Error> =>
  Effect.callback<unknown, Error>((resume) => {
    const onMessage = (value: unknown) => settle(Effect.succeed(value))
    const onError = (error: Error) => settle(Effect.fail(error))
    const onExit = (code: number) => settle(Effect.fail(new Error(`the worker ended with ${code}`)))
    const settle = (result: Effect.Effect<unknown, Error>) => {
      from.off("message", onMessage).off("error", onError).off("exit", onExit)
      resume(result)
    }
    from.on("message", onMessage).on("error", onError).on("exit", onExit)
  })

/** The end of a worker that is still running: its exit code. */
export const ended = (of: Worker): Effect.Effect<number> =>
  Effect.callback<number>((resume) => {
    of.once("exit", (code) => resume(Effect.succeed(code)))
  })
