/** What failing costs: a call that fails and is caught by tag, against the same call succeeding, and against throwing. */

import { statSync } from "node:fs"
import { Effect } from "effect"
import { Syscall } from "effect-linux"
import { compare } from "./support.ts"

const repeat = <E>(times: number, effect: Effect.Effect<unknown, E>): Promise<void> =>
  Effect.runPromise(
    Effect.gen(function* () {
      for (let i = 0; i < times; i++) yield* effect
    }) as Effect.Effect<void>
  )

export const errors = async (): Promise<void> => {
  // fcntl is made on the JavaScript thread and cheap: what differs is the making and catching of the error.
  await compare("failing and catching by tag", 100_000, [
    {
      name: "fcntl(0, F_GETFD) succeeds, with a catchTag",
      run: (times) =>
        repeat(times, Syscall.fcntl(0, Syscall.F_GETFD).pipe(Effect.catchTag("EBADF", () => Effect.succeed(-1))))
    },
    {
      name: "fcntl(-1, F_GETFD) fails, caught by tag",
      run: (times) =>
        repeat(times, Syscall.fcntl(-1, Syscall.F_GETFD).pipe(Effect.catchTag("EBADF", () => Effect.succeed(-1))))
    },
    {
      name: "fs.statSync of nothing, thrown and caught",
      run: (times) => {
        for (let i = 0; i < times; i++) {
          try {
            statSync("/nope")
          } catch {}
        }
      }
    }
  ])
}
