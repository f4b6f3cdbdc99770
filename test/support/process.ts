/** What this process holds of the kernel's resources, for tests that nothing is leaked. */

import { readdirSync, readFileSync } from "node:fs"
import { Effect } from "effect"

/** Open file descriptors, as `number -> what it is`, without the one that the count itself takes. */
export const openFds = Effect.sync(() => readdirSync("/proc/self/fd").length - 1)

/** Threads. */
export const threads = Effect.sync(() => readdirSync("/proc/self/task").length)

/** Mappings of the address space whose line matches. */
export const mappings = (pattern: RegExp) =>
  Effect.sync(
    () =>
      readFileSync("/proc/self/maps", "utf8")
        .split("\n")
        .filter((line) => pattern.test(line)).length
  )

/** Whether a condition comes true while the event loop turns; never waits by the clock alone. */
export const eventually = (condition: () => boolean, turns = 10_000): Effect.Effect<boolean> =>
  Effect.gen(function* () {
    for (let turn = 0; turn < turns; turn++) {
      if (condition()) return true
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    }
    return condition()
  })
