/** What this process holds of the kernel's resources, for tests that nothing is leaked. */

import { readdirSync, readFileSync } from "node:fs"
import { Effect } from "effect"

/** Open file descriptors, as `number -> what it is`, without the one that the count itself takes. */
export const openFds = Effect.sync(() => readdirSync("/proc/self/fd").length - 1)

const namesOfThreads = (): ReadonlyArray<string> =>
  readdirSync("/proc/self/task").flatMap((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/comm`, "utf8").trimEnd()
    } catch {
      return [] // it ended meanwhile
    }
  })

const ofPool = "effect-pool"

/**
 * Threads, without those of the library's pool, which come and go with the work there is, and those of the kernel's own
 * that an idle ring of io_uring keeps for some seconds.
 */
export const threads = Effect.sync(
  () => namesOfThreads().filter((name) => name !== ofPool && !name.startsWith("iou-wrk")).length
)

/** Threads of the pool: those at work, and idle ones, which soon end. */
export const poolThreads = Effect.sync(() => namesOfThreads().filter((name) => name === ofPool).length)

/** Mappings of the address space whose line matches. */
export const mappings = (pattern: RegExp) =>
  Effect.sync(
    () =>
      readFileSync("/proc/self/maps", "utf8")
        .split("\n")
        .filter((line) => pattern.test(line)).length
  )

/** Whether a condition comes true while the event loop turns: so many times, and for some seconds. */
export const eventually = (condition: () => boolean, turns = 10_000): Effect.Effect<boolean> =>
  Effect.gen(function* () {
    const until = performance.now() + 5_000
    for (let turn = 0; turn < turns || performance.now() < until; turn++) {
      if (condition()) return true
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    }
    return condition()
  })
