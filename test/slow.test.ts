/** A file system whose server does not answer: everything on it waits, and the event loop turns all the same. */

import { monitorEventLoopDelay } from "node:perf_hooks"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Stream } from "effect"
import { File, Syscall } from "../src/index.ts"
import { native } from "../src/internal/native.ts"
import { stalling, whyNoFuse } from "./support/fuse.ts"

const why = whyNoFuse()
const skipped = why === undefined ? "" : ` (skipped: ${why})`

const turns = (count: number): Effect.Effect<void> =>
  Effect.promise(async () => {
    for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
  })

/** Runs effects while the daemon stands still; all must be waiting after many turns of a loop that was not held up. */
const whileStalled = <A, E>(
  files: { readonly stop: () => void; readonly go: () => void },
  effects: ReadonlyArray<Effect.Effect<A, E>>
) =>
  Effect.gen(function* () {
    files.stop()
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    const fibers: Array<Fiber.Fiber<A, E>> = []
    for (const effect of effects) fibers.push(yield* Effect.forkChild(effect, { startImmediately: true }))
    yield* turns(50)
    yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 60)))
    yield* turns(50)
    delay.disable()
    const waiting = fibers.map((fiber) => fiber.pollUnsafe() === undefined)
    files.go()
    const exits = yield* Effect.forEach(fibers, Fiber.await)
    return { waiting, longest: delay.max / 1e6, exits }
  })

describe.skipIf(why !== undefined)(`a file system that does not answer${skipped}`, () => {
  it.live(
    "holds up its callers and not the loop",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const files = yield* stalling
          if (!files.mounted) return yield* Effect.die(new Error(`no FUSE here: ${files.said}`))
          const path = `${files.path}/file`
          // Before the stall: what is open is used during it.
          const file = yield* File.open(path)
          const rawFd = yield* Syscall.openat(Syscall.AT_FDCWD, path, Syscall.O_WRONLY)
          const closed = yield* Syscall.openat(Syscall.AT_FDCWD, path, Syscall.O_RDONLY)
          const directory = yield* Syscall.openat(Syscall.AT_FDCWD, files.path, Syscall.O_DIRECTORY)
          // Its kind, and that nothing of it is believed to be quick.
          for (const fd of [rawFd, closed, directory]) assert.strictEqual(native.traitsOf(fd) & (4 | 64 | 128 | 256), 0)
          assert.strictEqual(native.kindByTable(rawFd), 0)
          const bytes = new Uint8Array(100)
          const statfs = Syscall.statfs(files.path)
          const { exits, longest, waiting } = yield* whileStalled<void, unknown>(files, [
            Effect.asVoid(Syscall.stat(path)),
            Effect.asVoid(Syscall.statx(Syscall.AT_FDCWD, path, 0, Syscall.STATX_BASIC_STATS)),
            Effect.asVoid(Syscall.fstat(rawFd)),
            Effect.asVoid(Effect.scoped(File.open(path))),
            Effect.asVoid(File.pread(file, bytes, 0)),
            Effect.asVoid(Syscall.pwrite64(rawFd, Uint8Array.of(1), 0)),
            Effect.asVoid(Syscall.getdents64(directory, new Uint8Array(1024))),
            Effect.asVoid(statfs),
            Effect.asVoid(Syscall.fstatfs(rawFd)),
            Effect.asVoid(Syscall.access(path, Syscall.R_OK))
          ])
          assert.deepStrictEqual(
            waiting,
            waiting.map(() => true)
          )
          for (const exit of exits) assert.isTrue(Exit.isSuccess(exit) || Exit.isFailure(exit))
          assert.isTrue(exits.slice(0, 4).every(Exit.isSuccess))
          assert.isBelow(longest, 150)
          // Closing flushes, and the flush waits.
          const closing = yield* whileStalled(files, [
            Syscall.close(rawFd),
            Syscall.close(closed),
            Syscall.close(directory)
          ])
          assert.isBelow(closing.longest, 150)
          assert.isTrue(closing.waiting[0])
          assert.isTrue(closing.exits.every(Exit.isSuccess))
          // A walk over it.
          const listing = yield* whileStalled(files, [
            Effect.scoped(
              Effect.flatMap(File.open(files.path, { directory: true }), (opened) =>
                Stream.runCollect(File.entries(opened))
              )
            )
          ])
          assert.isTrue(listing.waiting[0])
          assert.isBelow(listing.longest, 150)
        })
      ),
    30_000
  )

  it.live(
    "gives up what waits when its server dies",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const files = yield* stalling
          if (!files.mounted) return yield* Effect.die(new Error(`no FUSE here: ${files.said}`))
          files.stop()
          const waiting = yield* Effect.forkChild(Syscall.stat(`${files.path}/file`), { startImmediately: true })
          yield* turns(20)
          assert.isUndefined(waiting.pollUnsafe())
          files.child.kill("SIGKILL")
          assert.isTrue(Exit.isFailure(yield* Fiber.await(waiting)))
        })
      ),
    30_000
  )
})
