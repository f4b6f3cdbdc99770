/** Reading 4 KiB that the page cache has: inline, against node:fs in both its ways. */

import { closeSync, mkdtempSync, openSync, promises, readSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { File } from "effect-linux"
import { compare } from "./support.ts"

export const files = async (): Promise<void> => {
  const directory = mkdtempSync(join(tmpdir(), "effect-linux-bench-"))
  const path = join(directory, "data")
  writeFileSync(path, new Uint8Array(64 * 1024))
  const buffer = new Uint8Array(4096)
  const fd = openSync(path, "r")
  const handle = await promises.open(path)
  await compare("pread of 4 KiB, cached", 10_000, [
    {
      name: "File.pread, yielded",
      run: (times) =>
        Effect.runPromise(
          Effect.gen(function* () {
            const file = yield* File.borrow(fd)
            for (let i = 0; i < times; i++) yield* File.pread(file, buffer, 4096)
          })
        )
    },
    {
      name: "fs.readSync",
      run: (times) => {
        for (let i = 0; i < times; i++) readSync(fd, buffer, 0, 4096, 4096)
      }
    },
    {
      name: "FileHandle.read",
      run: async (times) => {
        for (let i = 0; i < times; i++) await handle.read(buffer, 0, 4096, 4096)
      }
    }
  ])
  await handle.close()
  closeSync(fd)
  rmSync(directory, { recursive: true })
}
