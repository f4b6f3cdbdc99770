/**
 * Layer 2: what happens in a directory, as it happens, until somebody says that it is enough.
 *
 *     node .build/programs/examples/watch.js DIRECTORY
 */
import { Console, Effect, Stream } from "effect"
import { Inotify, SignalFd } from "effect-linux"

const [directory = "."] = process.argv.slice(2)

const shown = (name: string | Uint8Array | undefined): string =>
  name === undefined ? directory : typeof name === "string" ? name : Buffer.from(name).toString("latin1")

const lineOf = (event: Inotify.Event | Inotify.Moved): string => {
  switch (event._tag) {
    case "Change":
      return `${event.changes.join(" ")}: ${shown(event.name)}`
    case "Moved":
      return `moved: ${shown(event.from.name)} -> ${shown(event.to.name)}`
    default:
      return event._tag.toLowerCase()
  }
}

const main = Effect.gen(function* () {
  const signals = yield* SignalFd.make(["SIGINT", "SIGTERM"])
  const queue = yield* Inotify.make
  yield* Inotify.add(queue, directory, ["create", "delete", "move", "closeWrite", "onlyDirectory"])
  yield* Console.log(`watching ${directory}`)
  const watching = Stream.runForEach(Inotify.eventsWithMoves(queue), (event) => Console.log(lineOf(event)))
  const { name } = yield* Effect.raceFirst(SignalFd.read(signals), Effect.andThen(watching, Effect.never))
  yield* Console.log(`enough: ${name}`)
}).pipe(
  Effect.scoped,
  Effect.catchTags({
    ENOENT: (error) => Effect.sync(() => fail(error.message)),
    ENOTDIR: (error) => Effect.sync(() => fail(error.message))
  })
)

const fail = (message: string): void => {
  console.error(`watch: ${message}`)
  process.exitCode = 1
}

// Not by NodeRuntime.runMain, which listens to the same signals and interrupts the program.
await Effect.runPromise(main)
