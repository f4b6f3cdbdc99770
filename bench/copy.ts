/** Copying a file of 1 GiB that the page cache has. */
import { promises, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { File } from "effect-linux"
import { compare, fileSystemOf, type Settings, withDirectory } from "./support.ts"
import { type Outcome, row } from "./table.ts"

const MiB = 1 << 20

const names = { ours: "File.copyTo", other: "fs.promises.copyFile" }

export const copy = (settings: Settings): Promise<Outcome> =>
  withDirectory(settings, async (directory) => {
    const size = (settings.quick ? 16 : 1024) * MiB
    const path = join(directory, "source")
    const target = join(directory, "target")
    // Real bytes, so that no file system can leave them out.
    writeFileSync(path, new Uint8Array(size).fill(1))
    const before = (): void => rmSync(target, { force: true })
    const measured = await compare(settings, {
      title: `copying a file of ${size / MiB} MiB, cached, ${fileSystemOf(path)}`,
      rounds: 5,
      ours: {
        name: names.ours,
        times: 1,
        before,
        run: async () => {
          const copied = await Effect.gen(function* () {
            const from = yield* File.open(path)
            const to = yield* File.create(target, { mode: 0o644 })
            return yield* File.copyTo(from, to)
          }).pipe(Effect.scoped, Effect.runPromise)
          if (copied !== size) throw new Error(`${copied} bytes were copied, and ${size} are there`)
        }
      },
      others: [{ name: names.other, times: 1, before, run: () => promises.copyFile(path, target) }]
    })
    const what = `copy of ${size / MiB} MiB`
    return { rows: [row("copy", measured, { what, ...names, target: { atMost: 1 } })], measured: [measured] }
  })
