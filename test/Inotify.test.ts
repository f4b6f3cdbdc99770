/** Changes of files: what is told, with which names, in pairs, and that a full queue says so. */
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { Errno, File, Inotify, Syscall } from "../src/index.ts"
import { temporaryDirectory, turn, utf8 } from "./support/files.ts"
import { openFds } from "./support/process.ts"

const take = (queue: Inotify.Inotify, count: number) => Stream.runCollect(Stream.take(Inotify.events(queue), count))

describe("Inotify", () => {
  it.live("tells what happens in a directory, with names", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const queue = yield* Inotify.make
      const { wd } = yield* Inotify.add(queue, directory, ["create", "closeWrite", "delete", "onlyDirectory"])
      const collecting = yield* Effect.forkChild(take(queue, 4))
      yield* turn
      assert.isUndefined(collecting.pollUnsafe())
      writeFileSync(join(directory, "naïve"), "")
      mkdirSync(join(directory, "sub"))
      rmSync(join(directory, "naïve"))
      const events = yield* Fiber.join(collecting)
      assert.deepStrictEqual(
        events.map((event) =>
          event._tag === "Change" ? [event.wd, event.changes, event.name, event.isDirectory, event.cookie] : event
        ),
        [
          [wd, ["create"], "naïve", false, 0],
          [wd, ["closeWrite"], "naïve", false, 0],
          [wd, ["create"], "sub", true, 0],
          [wd, ["delete"], "naïve", false, 0]
        ]
      )
    })
  )

  it.live("gives names that are no UTF-8 as bytes", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const queue = yield* Inotify.make
      yield* Inotify.add(queue, directory, Syscall.IN_CREATE)
      const name = Uint8Array.of(0x66, 0xff, 0xfe)
      const path = Uint8Array.of(...utf8(`${directory}/`), ...name)
      yield* Effect.scoped(File.open(path, { access: "write", create: true, mode: 0o600 }))
      const [event] = yield* take(queue, 1)
      assert.deepStrictEqual(event?._tag === "Change" ? event.name : undefined, name)
    })
  )

  it.live("tells of the watched file itself, and that its watch has ended", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const path = join(directory, "file")
      writeFileSync(path, "")
      const queue = yield* Inotify.make
      const { wd } = yield* Inotify.add(queue, path, ["modify", "deleteSelf"])
      writeFileSync(path, "more")
      rmSync(path)
      const [first, second, third] = yield* take(queue, 3)
      assert.deepStrictEqual(first?._tag === "Change" && [first.changes, first.name], [["modify"], undefined])
      assert.deepStrictEqual(second?._tag === "Change" && second.changes, ["deleteSelf"])
      assert.deepStrictEqual(third, { _tag: "Ignored", wd })
    })
  )

  it.live("puts the halves of a move together, and leaves a half that is alone", () =>
    Effect.gen(function* () {
      const [from, to] = [yield* temporaryDirectory, yield* temporaryDirectory]
      const queue = yield* Inotify.make
      const watches = [yield* Inotify.add(queue, from, ["move"]), yield* Inotify.add(queue, to, ["move"])]
      writeFileSync(join(from, "a"), "")
      mkdirSync(join(from, "d"))
      renameSync(join(from, "a"), join(to, "b"))
      renameSync(join(from, "d"), join(from, "e"))
      const stream = Inotify.eventsWithMoves(queue)
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(stream, 2)), [
        {
          _tag: "Moved",
          isDirectory: false,
          from: { wd: watches[0]?.wd ?? 0, name: "a" },
          to: { wd: watches[1]?.wd ?? 0, name: "b" }
        },
        {
          _tag: "Moved",
          isDirectory: true,
          from: { wd: watches[0]?.wd ?? 0, name: "d" },
          to: { wd: watches[0]?.wd ?? 0, name: "e" }
        }
      ])
      const outside = yield* temporaryDirectory
      renameSync(join(to, "b"), join(outside, "c"))
      const [half] = yield* Stream.runCollect(Stream.take(stream, 1))
      assert.deepStrictEqual(half?._tag === "Change" && [half.changes, half.name], [["movedFrom"], "b"])
      renameSync(join(outside, "c"), join(to, "f"))
      const [other] = yield* Stream.runCollect(Stream.take(stream, 1))
      assert.deepStrictEqual(other?._tag === "Change" && [other.changes, other.name], [["movedTo"], "f"])
    })
  )

  it.live("says that events were lost when the queue was full", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const most = Number(readFileSync("/proc/sys/fs/inotify/max_queued_events", "utf8"))
      if (most > 100_000) return yield* Effect.logInfo("skipped: the queue is too long here")
      const queue = yield* Inotify.make
      const path = join(directory, "file")
      writeFileSync(path, "")
      yield* Inotify.add(queue, directory, ["open", "closeNoWrite"])
      for (let index = 0; index * 2 <= most; index++) closeSync(openSync(path, "r"))
      const events = yield* take(queue, most + 1)
      assert.deepStrictEqual(events.at(-1), { _tag: "Overflow" })
      assert.strictEqual(
        events.findIndex(({ _tag }) => _tag === "Overflow"),
        most
      )
    })
  )

  it.live("watches for as long as the scope is open, or until it is removed", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const queue = yield* Inotify.make
      const { wd } = yield* Effect.scoped(Inotify.watch(queue, directory, ["create"]))
      mkdirSync(join(directory, "unseen"))
      const watch = yield* Inotify.add(queue, directory, ["create"])
      mkdirSync(join(directory, "seen"))
      yield* Inotify.remove(queue, watch)
      const events = yield* take(queue, 3)
      assert.deepStrictEqual(events[0], { _tag: "Ignored", wd })
      assert.strictEqual(events[1]?._tag === "Change" ? events[1].name : undefined, "seen")
      assert.deepStrictEqual(events[2], { _tag: "Ignored", wd: watch.wd })
      assert.instanceOf(yield* Effect.flip(Inotify.remove(queue, watch)), Errno.EINVAL)
    })
  )

  it.live("watches what a File is of, and adds to what is watched", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const queue = yield* Inotify.make
      const file = yield* File.open(directory, { pathOnly: true })
      const first = yield* Inotify.addFile(queue, file, ["create"])
      const second = yield* Inotify.add(queue, directory, ["delete", "maskAdd"])
      assert.strictEqual(first.wd, second.wd)
      assert.instanceOf(yield* Effect.flip(Inotify.add(queue, directory, ["open", "maskCreate"])), Errno.EEXIST)
      mkdirSync(join(directory, "x"))
      rmdirSync(join(directory, "x"))
      assert.lengthOf(yield* take(queue, 2), 2)
    })
  )

  it.effect("fails for what is not there, and for what is no directory", () =>
    Effect.gen(function* () {
      const queue = yield* Inotify.make
      const error = yield* Effect.flip(Inotify.add(queue, "/nowhere", ["all"]))
      assert.instanceOf(error, Errno.ENOENT)
      assert.strictEqual(error.path, "/nowhere")
      assert.instanceOf(yield* Effect.flip(Inotify.add(queue, "/etc/passwd", ["all", "onlyDirectory"])), Errno.ENOTDIR)
      const small = yield* Effect.flip(Stream.runDrain(Inotify.events(queue, { bufferSize: 16 })))
      assert.include(small.message, "bufferSize")
    })
  )

  it.live("can be interrupted and closed while it is read, and leaves no descriptor", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const before = yield* openFds
      yield* Effect.scoped(
        Effect.gen(function* () {
          const queue = yield* Inotify.make
          yield* Inotify.add(queue, directory, ["create"])
          const interrupted = yield* Effect.forkChild(take(queue, 1))
          yield* turn
          yield* Fiber.interrupt(interrupted)
          mkdirSync(join(directory, "x"))
          assert.lengthOf(yield* take(queue, 1), 1)
          const closed = yield* Effect.forkChild(Effect.flip(take(queue, 1)))
          yield* turn
          yield* File.close(queue)
          assert.instanceOf(yield* Fiber.join(closed), Errno.EBADF)
        })
      )
      assert.strictEqual(yield* openFds, before)
    })
  )

  it("takes words, and only those there are", () => {
    // @ts-expect-error no change
    const wrong = (queue: Inotify.Inotify) => Inotify.add(queue, "/", ["written"])
    assert.isFunction(wrong)
  })
})
