/** (j): what failing costs: a call that fails and is caught by tag, against it succeeding, and against throwing. */
import { statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { Syscall } from "effect-linux"
import { compare, type Settings, withDirectory } from "./support.ts"
import { type Outcome, row } from "./table.ts"

const names = {
  fcntlFails: "fcntl(-1, F_GETFD), caught by tag",
  fcntlSucceeds: "fcntl(0, F_GETFD) with the same catchTag",
  statFails: "statx of nothing, caught by tag",
  statSucceeds: "statx of a file with the same catchTag",
  thrown: "fs.statSync of nothing, thrown and caught"
}

const flags = (fd: number) =>
  Syscall.fcntl(fd, Syscall.F_GETFD).pipe(Effect.catchTag("EBADF", () => Effect.succeed(-1)))

const size = (path: string) =>
  Syscall.statx(Syscall.AT_FDCWD, path, 0, Syscall.STATX_BASIC_STATS).pipe(
    Effect.map(({ stx_size }) => stx_size),
    Effect.catchTag("ENOENT", () => Effect.succeed(0n))
  )

const repeated =
  (make: () => Effect.Effect<unknown, unknown>) =>
  (times: number): Promise<void> =>
    Effect.runPromise(
      Effect.gen(function* () {
        for (let i = 0; i < times; i++) yield* make()
      })
    )

export const errors = (settings: Settings): Promise<Outcome> =>
  withDirectory(settings, async (directory) => {
    const there = join(directory, "there")
    const missing = join(directory, "missing")
    writeFileSync(there, "")
    const throwing = {
      name: names.thrown,
      run: (times: number) => {
        for (let i = 0; i < times; i++) {
          try {
            statSync(missing)
          } catch {}
        }
      }
    }
    const fcntl = await compare(settings, {
      title: "failing and catching: fcntl",
      ours: { name: names.fcntlFails, run: repeated(() => flags(-1)) },
      others: [{ name: names.fcntlSucceeds, run: repeated(() => flags(0)) }, throwing]
    })
    const stat = await compare(settings, {
      title: "failing and catching: stat",
      ours: { name: names.statFails, run: repeated(() => size(missing)) },
      others: [{ name: names.statSucceeds, run: repeated(() => size(there)) }, throwing]
    })
    return {
      rows: [
        row("errors", fcntl, {
          what: "fcntl fails and is caught",
          ours: names.fcntlFails,
          other: names.fcntlSucceeds,
          target: { atMost: 2 }
        }),
        row("errors", fcntl, {
          what: "fcntl fails and is caught",
          ours: names.fcntlFails,
          other: names.thrown,
          target: { faster: 3 }
        }),
        row("errors", stat, {
          what: "stat fails and is caught",
          ours: names.statFails,
          other: names.statSucceeds,
          target: { atMost: 2 }
        }),
        row("errors", stat, {
          what: "stat fails and is caught",
          ours: names.statFails,
          other: names.thrown,
          target: { faster: 3 }
        })
      ],
      measured: [fcntl, stat]
    }
  })
