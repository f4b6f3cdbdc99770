/** (c), (d), (e): what is in the page cache and the directory cache, against node:fs in both its ways. */
import { closeSync, openSync, promises, readFileSync, readSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { File, Syscall } from "effect-linux"
import { compare, fileSystemOf, type Settings, withDirectory } from "./support.ts"
import { type Outcome, row } from "./table.ts"

/** Reading 4 KiB that the page cache has. */
export const pread = (settings: Settings): Promise<Outcome> =>
  withDirectory(settings, async (directory) => {
    const ours = "File.pread"
    const path = join(directory, "data")
    writeFileSync(path, new Uint8Array(64 * 1024).fill(1))
    const buffer = new Uint8Array(4096)
    const fd = openSync(path, "r")
    const handle = await promises.open(path)
    try {
      const measured = await compare(settings, {
        title: `pread of 4 KiB, cached, ${fileSystemOf(path)}`,
        ours: {
          name: ours,
          run: (times) =>
            Effect.gen(function* () {
              const file = yield* File.open(path)
              for (let i = 0; i < times; i++) yield* File.pread(file, buffer, 4096)
            }).pipe(Effect.scoped, Effect.runPromise)
        },
        others: [
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
        ]
      })
      const what = "pread 4 KiB, cached"
      return {
        rows: [
          row("pread", measured, { what, ours, other: "fs.readSync", target: { atMost: 1 } }),
          row("pread", measured, { what, ours, other: "FileHandle.read", target: { faster: 50 } })
        ],
        measured: [measured]
      }
    } finally {
      await handle.close()
      closeSync(fd)
    }
  })

/** Opening a file of 4 KiB, reading all of it, closing it. */
export const open = (settings: Settings): Promise<Outcome> =>
  withDirectory(settings, async (directory) => {
    const readAll = "File.open, readAll, scoped"
    const read = "File.open, read, scoped"
    const path = join(directory, "data")
    writeFileSync(path, new Uint8Array(4096).fill(1))
    const buffer = new Uint8Array(4096)
    const whole = Effect.scoped(
      Effect.gen(function* () {
        return yield* File.readAll(yield* File.open(path))
      })
    )
    const into = Effect.scoped(
      Effect.gen(function* () {
        return yield* File.read(yield* File.open(path), buffer)
      })
    )
    const repeated =
      <E>(effect: Effect.Effect<unknown, E>) =>
      (times: number): Promise<void> =>
        Effect.runPromise(
          Effect.gen(function* () {
            for (let i = 0; i < times; i++) yield* effect
          })
        )
    const measured = await compare(settings, {
      title: `open, read 4 KiB, close, ${fileSystemOf(path)}`,
      ours: { name: readAll, run: repeated(whole) },
      others: [
        { name: read, run: repeated(into) },
        {
          name: "fs.readFileSync",
          run: (times) => {
            for (let i = 0; i < times; i++) readFileSync(path)
          }
        },
        {
          name: "fs.promises.readFile",
          run: async (times) => {
            for (let i = 0; i < times; i++) await promises.readFile(path)
          }
        }
      ]
    })
    const what = "open, readAll, close, scoped"
    return {
      rows: [
        row("open", measured, { what, ours: readAll, other: "fs.readFileSync", target: { atMost: 1.5 } }),
        row("open", measured, { what, ours: readAll, other: "fs.promises.readFile", target: { faster: 15 } }),
        row("open", measured, { what: "the same into a buffer", ours: read, other: "fs.readFileSync" })
      ],
      measured: [measured]
    }
  })

/** All that is known of a path that the directory cache has. */
export const stat = (settings: Settings): Promise<Outcome> =>
  withDirectory(settings, async (directory) => {
    const ours = "Syscall.statx"
    const path = join(directory, "data")
    writeFileSync(path, "")
    const measured = await compare(settings, {
      title: `stat of a path, cached, ${fileSystemOf(path)}`,
      ours: {
        name: ours,
        run: (times) =>
          Effect.runPromise(
            Effect.gen(function* () {
              for (let i = 0; i < times; i++) {
                yield* Syscall.statx(Syscall.AT_FDCWD, path, 0, Syscall.STATX_BASIC_STATS)
              }
            })
          )
      },
      others: [
        {
          name: "fs.statSync",
          run: (times) => {
            for (let i = 0; i < times; i++) statSync(path)
          }
        },
        {
          name: "fs.statSync, bigint",
          run: (times) => {
            for (let i = 0; i < times; i++) statSync(path, { bigint: true })
          }
        },
        {
          name: "fs.promises.stat",
          run: async (times) => {
            for (let i = 0; i < times; i++) await promises.stat(path)
          }
        }
      ]
    })
    const what = "stat of a path, cached"
    return {
      rows: [
        row("stat", measured, { what, ours, other: "fs.statSync", target: { atMost: 1.5 } }),
        row("stat", measured, { what, ours, other: "fs.promises.stat", target: { faster: 20 } })
      ],
      measured: [measured]
    }
  })
