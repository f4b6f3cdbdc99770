/** Access to files, told and forbidden: what events bring, that it is closed, and that nobody waits for ever. */
import { spawn } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Stream } from "effect"
import { Errno, Fanotify, File, PidFd, Syscall } from "../src/index.ts"
import { temporaryDirectory, text, turn, yieldingAt } from "./support/files.ts"

const permitted = await Effect.runPromise(
  Effect.exit(Effect.scoped(Fanotify.make({ class: "content" }))).pipe(Effect.map(Exit.isSuccess))
)
const title = permitted ? "Fanotify" : "Fanotify (skipped: it needs CAP_SYS_ADMIN)"

/** The descriptors of files below a directory, and of processes, and of groups. */
const openBelow = (directory: string) =>
  Effect.sync(
    () =>
      readdirSync("/proc/self/fd").filter((fd) => {
        try {
          const link = readlinkSync(`/proc/self/fd/${fd}`)
          return link.startsWith(directory) || link.includes("fanotify") || link.includes("pidfd")
        } catch {
          return false
        }
      }).length
  )

/** What another process reads from a file, or that it may not. */
const readElsewhere = (path: string) =>
  Effect.callback<string>((resume) => {
    const child = spawn("/bin/cat", [path], { stdio: ["ignore", "pipe", "ignore"] })
    const chunks: Array<Buffer> = []
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk))
    child.on("close", (code) => resume(Effect.succeed(code === 0 ? Buffer.concat(chunks).toString() : "refused")))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

describe.skipIf(!permitted)(title, () => {
  it.live("brings the file that something happened to, open", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const path = join(directory, "file")
      const group = yield* Fanotify.make()
      yield* Fanotify.mark(group, { path: directory, events: ["closeWrite", "eventOnChild"] })
      const taking = yield* Effect.forkChild(
        Stream.runHead(
          Stream.mapEffect(Fanotify.events(group), (event) =>
            event._tag === "Notification" && event.file !== undefined
              ? Effect.map(File.readAll(event.file), (bytes) => [event.changes, event.pid, text(bytes)] as const)
              : Effect.die(event)
          )
        )
      )
      yield* turn
      writeFileSync(path, "contents")
      const taken = yield* Fiber.join(taking)
      assert.deepStrictEqual(taken._tag === "Some" && taken.value, [["closeWrite"], process.pid, "contents"])
      assert.strictEqual(yield* openBelow(directory), 1)
    })
  )

  it.live("closes what an event brought when it is done with, and all with the stream", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const before = yield* openBelow(directory)
      const group = yield* Fanotify.make({ report: ["pidfd"] })
      yield* Fanotify.mark(group, { path: directory, events: ["closeWrite", "eventOnChild"] })
      const seen: Array<number> = []
      const taking = yield* Effect.forkChild(
        Stream.runForEach(Fanotify.events(group), (event) =>
          Effect.gen(function* () {
            seen.push(yield* openBelow(directory))
            if (seen.length < 3) yield* Fanotify.close(event)
            if (event._tag === "Notification" && seen.length >= 3)
              yield* PidFd.sendSignal(event.process ?? (yield* Effect.die("no process")), 0)
            if (seen.length === 5) return yield* Effect.interrupt
          })
        )
      )
      yield* turn
      for (let index = 0; index < 5; index++) writeFileSync(join(directory, String(index)), "")
      yield* Fiber.await(taking)
      // A file and a process for each that is open, and the group itself.
      assert.isAtMost(Math.max(...seen), 11 + before)
      assert.strictEqual(yield* openBelow(directory), 1 + before)
    })
  )

  it.live("lets somebody read or not, as the answer is", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      for (const name of ["good", "bad", "other"]) writeFileSync(join(directory, name), name)
      const group = yield* Fanotify.make({ class: "content" })
      const file = yield* File.open(directory, { directory: true })
      yield* Fanotify.mark(group, { file, events: ["openPerm", "eventOnChild"] })
      const guarding = yield* Effect.forkChild(
        Fanotify.forEach(group, (event) =>
          Effect.gen(function* () {
            if (event._tag !== "Permission" || event.file === undefined) return
            assert.deepStrictEqual(event.changes, ["openPerm"])
            const name = text(yield* File.readAll(event.file))
            return name === "other" ? undefined : name === "good" ? "allow" : "deny"
          })
        )
      )
      assert.strictEqual(yield* readElsewhere(join(directory, "good")), "good")
      assert.strictEqual(yield* readElsewhere(join(directory, "bad")), "refused")
      assert.strictEqual(yield* readElsewhere(join(directory, "other")), "other")
      yield* Fiber.interrupt(guarding)
    })
  )

  it.live("answers for a handler that was interrupted, as was said", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      writeFileSync(join(directory, "file"), "contents")
      for (const otherwise of ["allow", "deny"] as const) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const group = yield* Fanotify.make({ class: "content" })
            yield* Fanotify.mark(group, { path: directory, events: ["openPerm", "eventOnChild"] })
            const reached = yield* Deferred.make<void>()
            const guarding = yield* Effect.forkChild(
              Fanotify.forEach(group, () => Effect.andThen(Deferred.succeed(reached, undefined), Effect.never), {
                otherwise
              })
            )
            const reading = yield* Effect.forkChild(readElsewhere(join(directory, "file")))
            yield* Deferred.await(reached)
            assert.isUndefined(reading.pollUnsafe())
            yield* Fiber.interrupt(guarding)
            assert.strictEqual(yield* Fiber.join(reading), otherwise === "allow" ? "contents" : "refused")
          })
        )
      }
      assert.strictEqual(yield* openBelow(directory), 0)
    })
  )

  it.live("lets who waits go on when the group is closed", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      writeFileSync(join(directory, "file"), "contents")
      const group = yield* Fanotify.make({ class: "content" })
      yield* Fanotify.mark(group, { path: directory, events: ["openPerm", "eventOnChild"] })
      const reading = yield* Effect.forkChild(readElsewhere(join(directory, "file")))
      yield* turn
      yield* File.close(group)
      assert.strictEqual(yield* Fiber.join(reading), "contents")
    })
  )

  it.live("names objects by handles, which can be opened", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const made = yield* Effect.result(Fanotify.make({ report: ["fid", "dirFid", "name"] }))
      if (made._tag === "Failure") return yield* Effect.logInfo("skipped: this kernel is older than 5.9")
      const group = made.success
      const marked = yield* Effect.result(
        Fanotify.mark(group, { path: directory, on: "inode", events: ["create", "rename", "onDir"] })
      )
      if (marked._tag === "Failure") return yield* Effect.logInfo("skipped: no handles here")
      writeFileSync(join(directory, "old"), "contents")
      renameSync(join(directory, "old"), join(directory, "new"))
      mkdirSync(join(directory, "sub"))
      const events = yield* Stream.runCollect(Stream.take(Fanotify.events(group), 3))
      assert.deepStrictEqual(
        events.map((event) =>
          event._tag === "Notification"
            ? [event.changes, event.isDirectory, event.objects.map(({ name, role }) => [role, name])]
            : event
        ),
        [
          [["create"], false, [["directory", "old"]]],
          [
            ["rename"],
            false,
            [
              ["oldDirectory", "old"],
              ["newDirectory", "new"]
            ]
          ],
          [["create"], true, [["directory", "sub"]]]
        ]
      )
      const [first] = events
      const object = first?._tag === "Notification" ? first.objects[0] : undefined
      assert.isDefined(object)
      if (object === undefined) return
      const mount = yield* File.open(directory, { directory: true })
      const opened = yield* Fanotify.open(mount, object, { access: "read" })
      assert.deepStrictEqual(yield* File.stat(opened), yield* File.stat(mount))
    })
  )

  it.live("says that events were lost when the queue was full", () =>
    Effect.gen(function* () {
      const most = Number(readFileSync("/proc/sys/fs/fanotify/max_queued_events", "utf8"))
      if (most > 20_000) return yield* Effect.logInfo("skipped: the queue is too long here")
      const directory = yield* temporaryDirectory
      const made = yield* Effect.result(Fanotify.make({ report: ["fid", "dirFid", "name"] }))
      if (made._tag === "Failure") return yield* Effect.logInfo("skipped: this kernel is older than 5.9")
      yield* Fanotify.mark(made.success, { path: directory, events: ["movedTo"] })
      // Events of the same name are merged: each has another one.
      writeFileSync(join(directory, "0"), "")
      for (let name = 0; name <= most; name++) {
        renameSync(join(directory, String(name)), join(directory, String(name + 1)))
      }
      const events = yield* Stream.runCollect(
        Stream.take(Stream.tap(Fanotify.events(made.success), Fanotify.close), most + 1)
      )
      assert.strictEqual(
        events.findIndex(({ _tag }) => _tag === "Overflow"),
        most
      )
    })
  )

  it.live("takes marks away, and says what is wrong with others", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const group = yield* Fanotify.make()
      const what = { path: directory, events: ["open", "eventOnChild", "onDir"] as const }
      yield* Fanotify.mark(group, what)
      yield* Fanotify.unmark(group, what)
      assert.instanceOf(yield* Effect.flip(Fanotify.unmark(group, what)), Errno.ENOENT)
      yield* Fanotify.mark(group, what)
      yield* Fanotify.flush(group)
      assert.instanceOf(yield* Effect.flip(Fanotify.unmark(group, what)), Errno.ENOENT)
      const error = yield* Effect.flip(Fanotify.mark(group, { path: "/nowhere", events: ["open"] }))
      assert.instanceOf(error, Errno.ENOENT)
      assert.strictEqual(error.path, "/nowhere")
      // Asking for permission is for other classes.
      assert.instanceOf(
        yield* Effect.flip(Fanotify.mark(group, { path: directory, events: ["openPerm"] })),
        Errno.EINVAL
      )
      assert.instanceOf(
        yield* Effect.flip(
          Fanotify.mark(group, { path: "/etc/passwd", events: Syscall.FAN_OPEN, onlyDirectory: true })
        ),
        Errno.ENOTDIR
      )
    })
  )

  it.live("loses no descriptor wherever the fiber that takes events is interrupted", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      for (let at = 1; at < 120; at += 3) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const group = yield* Fanotify.make()
            yield* Fanotify.mark(group, { path: directory, events: ["closeWrite", "eventOnChild"] })
            writeFileSync(join(directory, "a"), "")
            writeFileSync(join(directory, "b"), "")
            const fiber = yield* Effect.forkChild(Stream.runDrain(Fanotify.events(group)).pipe(yieldingAt(at)))
            yield* turn
            yield* Fiber.interrupt(fiber)
            assert.strictEqual(yield* openBelow(directory), 1, `at ${at}`)
          })
        )
      }
      assert.strictEqual(yield* openBelow(directory), 0)
    })
  )

  it("takes words that there are, and answers only to who asks", () => {
    const typed = (group: Fanotify.Fanotify, event: Fanotify.Event) => [
      // @ts-expect-error no change
      Fanotify.mark(group, { path: "/", events: ["written"] }),
      // @ts-expect-error neither path nor file
      Fanotify.mark(group, { events: ["open"] }),
      // @ts-expect-error may be one that does not ask
      Fanotify.respond(event, "allow")
    ]
    assert.isFunction(typed)
  })
})
