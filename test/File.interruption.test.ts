/** Operations interrupted at random moments: the file is usable or closed afterwards, and nothing is left. */

import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema, type Scope, Stream } from "effect"
import { type Errno, File } from "../src/index.ts"
import {
  makeFifo,
  operations,
  pipe,
  temporaryDirectory,
  temporaryFile,
  text,
  turn,
  utf8,
  yieldingAt
} from "./support/files.ts"
import { eventually, openFds, threads } from "./support/process.ts"

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** When an operation is interrupted: as its fiber gives way for this operation, after these turns of the event loop. */
const Moment = { place: integer(1, 40), turns: integer(0, 6) }

/** Runs an effect on a fiber that is interrupted then, if it is not over; it has ended when this ends. */
const interrupted = <A, E>(self: Effect.Effect<A, E>, { place, turns }: { place: number; turns: number }) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(self.pipe(yieldingAt(place)), { startImmediately: true })
    for (let i = 0; i < turns; i++) yield* turn
    yield* Fiber.interrupt(fiber)
  })

/** The counts of descriptors and threads before and after. */
const leavingNothing = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const before = { fds: yield* openFds, threads: yield* threads }
    const result = yield* self
    assert.strictEqual(yield* openFds, before.fds)
    // A thread of a pool ends a while after it was needed.
    assert.isTrue(yield* eventually(() => Effect.runSync(threads) <= before.threads + 4))
    return result
  })

/** What may wait for ever, and what opens descriptors. */
const waiting: {
  readonly [name: string]: (of: {
    readonly reader: File.File
    readonly writer: File.File
    readonly file: File.File
    readonly directory: File.File
    readonly path: string
  }) => Effect.Effect<unknown, Errno.Errno, Scope.Scope>
} = {
  read: ({ reader }) => File.read(reader, new Uint8Array(8)),
  readv: ({ reader }) => File.readv(reader, [new Uint8Array(8)]),
  readAll: ({ reader }) => File.readAll(reader),
  write: ({ writer }) => File.write(writer, new Uint8Array(200_000)),
  writeAll: ({ writer }) => File.writeAll(writer, new Uint8Array(200_000)),
  stream: ({ reader }) => Stream.runDrain(File.stream(reader)),
  sink: ({ writer }) => Stream.run(Stream.fromEffectRepeat(Effect.succeed(new Uint8Array(50_000))), File.sink(writer)),
  copyTo: ({ file, reader }) => File.copyTo(reader, file),
  "copyTo a pipe": ({ file, writer }) => File.copyTo(file, writer),
  open: ({ path }) => File.open(join(path, "fifo")),
  openAt: ({ directory }) => File.openAt(directory, "fifo"),
  openAt2: ({ directory }) => File.openAt2(directory, "fifo"),
  create: ({ path }) => File.create(join(path, "new"), { mode: 0o600 }),
  tempFile: ({ path }) => File.tempFile(path, { mode: 0o600 }),
  duplicate: ({ file }) => File.duplicate(file),
  flock: ({ file }) => File.flock(file, "exclusive"),
  lockRange: ({ file }) => File.lockRange(file, { kind: "exclusive" }),
  entries: ({ directory }) => Stream.runDrain(File.entries(directory)),
  walk: ({ path }) => Stream.runDrain(File.walk(path, { concurrency: 3 })),
  "walk with links": ({ path }) => Stream.runDrain(File.walk(path, { followLinks: true, order: "post" })),
  mmap: ({ file }) => File.mmap(file, { length: 4096 }),
  sync: ({ file }) => File.dataSync(file)
}

const scene = Effect.gen(function* () {
  const path = yield* temporaryDirectory
  mkdirSync(join(path, "a/b"), { recursive: true })
  for (const name of ["one", "a/two", "a/b/three"]) writeFileSync(join(path, name), "")
  yield* makeFifo(join(path, "fifo"))
  const file = yield* temporaryFile
  yield* File.writeAll(file, new Uint8Array(300_000))
  yield* File.seek(file, File.Seek.start(0))
  return { ...(yield* pipe), file, directory: yield* File.open(path), path }
})

describe("an operation that is interrupted", () => {
  for (const [name, operation] of Object.entries(waiting)) {
    it.live.prop(
      `leaves nothing behind, and files that can be used: ${name}`,
      [Schema.Array(Schema.Struct(Moment)).check(Schema.isBetweenLength(3, 3))],
      ([moments]) =>
        leavingNothing(
          Effect.scoped(
            Effect.gen(function* () {
              const of = yield* scene
              const before = yield* openFds
              for (const moment of moments) yield* interrupted(Effect.scoped(operation(of)), moment)
              assert.strictEqual(yield* openFds, before)
              // Whatever it did before, all files do what they did.
              yield* File.seek(of.file, File.Seek.start(0))
              assert.strictEqual(yield* File.read(of.file, new Uint8Array(10)), 10)
              assert.isTrue(yield* Effect.scoped(File.tryFlock(of.file, "exclusive")))
              assert.isTrue(yield* Effect.scoped(File.tryLockRange(of.file, { kind: "exclusive" })))
              const fresh = yield* pipe
              yield* File.writeAll(fresh.writer, utf8("ok"))
              const buffer = new Uint8Array(2)
              yield* File.read(fresh.reader, buffer)
              assert.strictEqual(text(buffer), "ok")
              const drain = yield* Effect.forkChild(File.readAll(of.reader))
              yield* File.writeAll(of.writer, utf8("last"))
              yield* File.close(of.writer)
              assert.isTrue(text(yield* Fiber.join(drain)).endsWith("last"))
            })
          )
        ),
      { arbitrary: { runs: 6 } }
    )
  }

  it.live.prop(
    "of any kind, at any moment, a hundred times",
    [Schema.Literals(Object.keys(operations)), Schema.Struct(Moment)],
    ([name, moment]) =>
      leavingNothing(
        Effect.scoped(
          Effect.gen(function* () {
            const { directory, file } = yield* scene
            const before = yield* openFds
            const operation = operations[name]
            if (operation === undefined || name === "release" || name === "syncFs") return
            for (const target of [file, directory]) {
              yield* interrupted(Effect.scoped(Effect.exit(operation(target))), moment)
            }
            const gone = name === "close" ? [file, directory] : []
            const closed = yield* Effect.forEach(gone, (file) => Effect.exit(File.fd(file)))
            const closings = closed.filter(({ _tag }) => _tag === "Failure").length
            assert.strictEqual(yield* openFds, before - closings)
            if (name !== "close") assert.strictEqual((yield* File.stat(file)).stx_nlink, 0)
          })
        )
      ),
    { arbitrary: { runs: 100 } }
  )
})
