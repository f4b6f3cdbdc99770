/** (f): streaming a directory of 20,000 entries, and walking a tree of as many. */
import { mkdirSync, promises, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Stream } from "effect"
import { File } from "effect-linux"
import { type Candidate, compare, fileSystemOf, type Settings, withDirectory } from "./support.ts"
import { type Outcome, row } from "./table.ts"

const names = {
  entries: "File.entries",
  walk: "File.walk",
  byHand: "File.openAt, File.entries",
  opendir: "fs.promises.opendir",
  opendirAll: "fs.promises.opendir, side by side",
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

// All of them count files, and look at each entry for that.

const countOf = <E>(found: Stream.Stream<File.Entry, E>): Effect.Effect<number, E> =>
  Stream.runFold(
    found,
    () => 0,
    (files, { type }) => (type === "directory" ? files : files + 1)
  )

const countEntries = (path: string): Promise<number> =>
  Effect.gen(function* () {
    return yield* countOf(File.entries(yield* File.open(path, { directory: true })))
  }).pipe(Effect.scoped, Effect.runPromise)

const countByWalk = (root: string): Promise<number> => Effect.runPromise(countOf(File.walk(root)))

type Count = Effect.Effect<
  number,
  Effect.Error<ReturnType<typeof File.open>> | Stream.Error<ReturnType<typeof File.entries>>
>

/** For those who want it otherwise: nothing but what any user has at hand. */
const countIn = (directory: File.File): Count =>
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

const countByHand = (root: string): Promise<number> =>
  File.open(root, { directory: true }).pipe(Effect.flatMap(countIn), Effect.scoped, Effect.runPromise)

const countByOpendir = async (path: string): Promise<number> => {
  let files = 0
  for await (const entry of await promises.opendir(path)) {
    if (entry.isDirectory()) files += await countByOpendir(join(path, entry.name))
    else files++
  }
  return files
}

const countByOpendirAll = async (path: string): Promise<number> => {
  let files = 0
  const below: Array<Promise<number>> = []
  for await (const entry of await promises.opendir(path)) {
    if (entry.isDirectory()) below.push(countByOpendirAll(join(path, entry.name)))
    else files++
  }
  for (const counted of await Promise.all(below)) files += counted
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
  withDirectory(settings, async (directory) => {
    const files = settings.quick ? 1_000 : 20_000
    const [one, tree] = [join(directory, "one"), join(directory, "tree")]
    mkdirSync(one)
    for (let leaf = 0; leaf < files; leaf++) writeFileSync(join(one, `leaf-${leaf}`), "")
    plant(tree, files)
    const fileSystem = fileSystemOf(directory)
    const counting =
      (path: string) =>
      (name: string, by: (path: string) => number | Promise<number>): Candidate => ({
        name,
        times: 1,
        run: async (times) => {
          for (let i = 0; i < times; i++) {
            const found = await by(path)
            if (found !== files) throw new Error(`${found} files were found, and ${files} are there`)
          }
        }
      })
    const inOne = counting(one)
    const inTree = counting(tree)
    const streamed = await compare(settings, {
      title: `streaming a directory of ${files} files, ${fileSystem}`,
      ours: inOne(names.entries, countEntries),
      others: [inOne(names.opendir, countByOpendir), inOne(names.readdirSync, countSync)]
    })
    const walked = await compare(settings, {
      title: `walking a tree of ${files} files, ${fileSystem}`,
      ours: inTree(names.walk, countByWalk),
      others: [
        inTree(names.byHand, countByHand),
        inTree(names.opendir, countByOpendir),
        inTree(names.opendirAll, countByOpendirAll),
        inTree(names.readdir, countByReaddir),
        inTree(names.readdirSync, countSync)
      ]
    })
    const [faster, atMost] = [{ faster: 5 }, { atMost: 1 }]
    const directoryOf = { what: `directory of ${files} files`, ours: names.entries }
    const walkOf = { what: `walk of ${files} files`, ours: names.walk }
    const byHand = { what: `walk of ${files} files, by hand`, ours: names.byHand }
    return {
      rows: [
        row("walk", streamed, { ...directoryOf, other: names.opendir, target: faster }),
        row("walk", streamed, { ...directoryOf, other: names.readdirSync, target: atMost }),
        row("walk", walked, { ...walkOf, other: names.opendir, target: faster }),
        row("walk", walked, { ...walkOf, other: names.opendirAll, target: faster }),
        row("walk", walked, { ...walkOf, other: names.readdirSync, target: atMost }),
        row("walk", walked, { ...byHand, other: names.opendir, target: faster }),
        row("walk", walked, { ...byHand, other: names.readdirSync, target: atMost })
      ],
      measured: [streamed, walked]
    }
  })
