/**
 * Layer 2: files held by a scope, read as streams, written in full.
 *
 *     node .build/programs/examples/cat.js FILE...
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Stream } from "effect"
import { type Errno, File } from "effect-linux"

const paths = process.argv.slice(2)

const cat = (path: string, output: File.File) =>
  Effect.gen(function* () {
    const file = yield* File.open(path)
    yield* Stream.runForEach(File.stream(file), (chunk) => File.writeAll(output, chunk))
  }).pipe(Effect.scoped)

const complain = (error: Errno.Errno) =>
  Effect.sync(() => {
    console.error(`cat: ${error.message}`)
    process.exitCode = 1
  })

const main = Effect.gen(function* () {
  // Node opened standard output and will close it: the file is only borrowed.
  const output = yield* File.borrow(1)
  for (const path of paths) {
    yield* cat(path, output).pipe(
      // Like cat(1): say what is wrong with this file and go on with the next.
      Effect.catchTags({ ENOENT: complain, EACCES: complain, EISDIR: complain })
    )
  }
})

NodeRuntime.runMain(main)
