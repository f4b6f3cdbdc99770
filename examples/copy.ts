/**
 * Layer 2: copies a file in the kernel, telling how far it is; who reads the target sees all of the copy or none.
 *
 *     node .build/programs/examples/copy.js SOURCE TARGET
 */
import { dirname } from "node:path"
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import { File } from "effect-linux"

const [source = "", target = ""] = process.argv.slice(2)

const copy = Effect.gen(function* () {
  const from = yield* File.open(source)
  const { stx_mode, stx_mtime, stx_size } = yield* File.stat(from)
  // A file without a name: if anything goes wrong, or somebody presses Ctrl-C, nothing is left of it.
  const to = yield* File.tempFile(dirname(target), { mode: stx_mode & 0o7777 })
  const copied = yield* File.copyTo(from, to, {
    onProgress: (bytes) => Effect.sync(() => console.error(`${bytes} of ${stx_size} bytes`))
  })
  yield* File.setTimes(to, { modified: { tv_sec: stx_mtime.tv_sec, tv_nsec: BigInt(stx_mtime.tv_nsec) } })
  yield* File.sync(to)
  yield* File.linkInto(to, target)
  return copied
}).pipe(Effect.scoped)

const main = copy.pipe(
  Effect.flatMap((bytes) => Effect.sync(() => console.log(`copied ${bytes} bytes`))),
  Effect.catchTags({
    ENOENT: (error) => complain(error.message),
    EEXIST: () => complain(`${target} is there already`)
  })
)

const complain = (message: string) =>
  Effect.sync(() => {
    console.error(`copy: ${message}`)
    process.exitCode = 1
  })

NodeRuntime.runMain(main)
