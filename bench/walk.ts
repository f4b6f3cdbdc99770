/** (f): walking a tree of 20,000 files. */
import { mkdirSync, promises, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Stream } from "effect"
import { File } from "effect-linux"
import { compare, fileSystemOf, type Settings, withDirectory } from "./support.ts"
import { type Outcome, row } from "./table.ts"

const names = {
  ours: "File.openAt, File.entries",
  opendir: "fs.promises.opendir",
  readdir: "fs.promises.readdir",
  readdirSync: "fs.readdirSync"
}

const perDirectory = 100

/** Two levels of directories, a hundred files in each of the lower ones. */
const plant = (root: string, files: number): void => {
  for (let directory = 0; directory < files / perDirectory; directory++) {
    const path = join(root, `branch-${directory % 10}`, `twig-${directory}`)
    mkdirSync(path, { recursive: true })
    for (let leaf = 0; leaf < perDirectory; leaf++) writeFileSync(join(path, `leaf-${leaf}`), "")
  }
}

type Walk = Effect.Effect<
  number,
  Effect.Error<ReturnType<typeof File.open>> | Stream.Error<ReturnType<typeof File.entries>>
>

// Nothing but what any user has at hand.
const countIn = (directory: File.File): Walk =>
  Effect.gen(function* () {
    let files = 0
    const below: Array<string | Uint8Array> = []
    yield* Stream.runForEachArray(File.entries(directory), (entries) =>
      Effect.sync(() => {
        for (const { name, type } of entries) {
          if (type === "directory") below.push(name)
          else files++
        }
      })
    )
    for (const name of below) {
      files += yield* Effect.scoped(Effect.flatMap(File.openAt(directory, name, { directory: true }), countIn))
    }
    return files
  })

const count = (root: string): Promise<number> =>
  File.open(root, { directory: true }).pipe(Effect.flatMap(countIn), Effect.scoped, Effect.runPromise)

const countByOpendir = async (path: string): Promise<number> => {
  let files = 0
  for await (const entry of await promises.opendir(path)) {
    if (entry.isDirectory()) files += await countByOpendir(join(path, entry.name))
    else files++
  }
  return files
}

const countByReaddir = async (path: string): Promise<number> => {
  let files = 0
  for (const entry of await promises.readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory()) files += await countByReaddir(join(path, entry.name))
    else files++
  }
  return files
}

const countSync = (path: string): number => {
  let files = 0
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) files += countSync(join(path, entry.name))
    else files++
  }
  return files
}

export const walk = (settings: Settings): Promise<Outcome> =>
  withDirectory(settings, async (root) => {
    const files = settings.quick ? 1_000 : 20_000
    plant(root, files)
    const walked = (by: (root: string) => number | Promise<number>) => async (times: number) => {
      for (let i = 0; i < times; i++) {
        const found = await by(root)
        if (found !== files) throw new Error(`${found} files were found, and ${files} are there`)
      }
    }
    const measured = await compare(settings, {
      title: `walking a tree of ${files} files, ${fileSystemOf(root)}`,
      ours: { name: names.ours, times: 1, run: walked(count) },
      others: [
        { name: names.opendir, times: 1, run: walked(countByOpendir) },
        { name: names.readdir, times: 1, run: walked(countByReaddir) },
        { name: names.readdirSync, times: 1, run: walked(countSync) }
      ]
    })
    const what = `walk of ${files} files`
    const { ours } = names
    return {
      rows: [
        row("walk", measured, { what, ours, other: names.opendir, target: { faster: 5 } }),
        row("walk", measured, { what, ours, other: names.readdirSync, target: { atMost: 1 } })
      ],
      measured: [measured]
    }
  })
