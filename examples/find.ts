/**
 * Layer 2: what is in a tree of directories, one path a line, as find(1) prints it; what cannot be read is complained of.
 *
 *     node .build/programs/examples/find.js DIRECTORY [SUFFIX]
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Stream } from "effect"
import { File } from "effect-linux"

const [directory = ".", suffix = ""] = process.argv.slice(2)

const newline = Uint8Array.of(0x0a)

/** Names on Linux are bytes: most are text, and one that is not is printed as it is. */
const bytesOf = (path: string | Uint8Array) => (typeof path === "string" ? new TextEncoder().encode(path) : path)

const main = Effect.gen(function* () {
  const output = yield* File.borrow(1)
  const wanted = File.walk(directory, { errors: "report" }).pipe(
    Stream.filterEffect(({ error, path }) => {
      if (error === undefined) return Effect.succeed(bytesOf(path).length > 0 && String(path).endsWith(suffix))
      process.exitCode = 1
      return Effect.as(
        Effect.sync(() => console.error(`find: ${error.message}`)),
        false
      )
    }),
    Stream.flatMap(({ path }) => Stream.make(bytesOf(path), newline))
  )
  // A few large writes rather than one for each name.
  yield* Stream.run(wanted, File.sink(output, { chunkSize: 64 * 1024 }))
})

NodeRuntime.runMain(main)
