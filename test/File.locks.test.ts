/** Locks, leases and seals. Two openings of one file stand against each other like two processes. */

import { writeFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Scope } from "effect"
import { File, Syscall } from "../src/index.ts"
import { isAsleepIn, pipe, temporaryFile, temporaryPath, turn, utf8, yieldingAt } from "./support/files.ts"
import { eventually, openFds } from "./support/process.ts"

/** Two openings of one file of ten bytes. */
const twice = Effect.gen(function* () {
  const path = yield* temporaryPath
  writeFileSync(path, "0123456789")
  const open = File.open(path, { access: "readWrite" })
  return { path, open, one: yield* open, two: yield* open }
})

/** Until some thread sleeps in this call. */
const untilAsleepIn = (nr: number) =>
  Effect.gen(function* () {
    assert.isTrue(yield* eventually(() => isAsleepIn(nr)))
  })

type Lock = (
  file: File.File,
  kind: "shared" | "exclusive"
) => {
  readonly wait: Effect.Effect<void, { readonly _tag: string }, Scope.Scope>
  readonly now: Effect.Effect<boolean, { readonly _tag: string }, Scope.Scope>
}

const locks: ReadonlyArray<readonly [name: string, lock: Lock, nr: number]> = [
  ["File.flock", (file, kind) => ({ wait: File.flock(file, kind), now: File.tryFlock(file, kind) }), Syscall.nr.flock],
  [
    "File.lockRange",
    (file, kind) => ({
      wait: File.lockRange(file, { kind, start: 2, length: 3n }),
      now: File.tryLockRange(file, { kind, start: 4n, length: 4 })
    }),
    Syscall.nr.fcntl
  ]
]

for (const [name, lock, nr] of locks) {
  describe(name, () => {
    it.live("keeps others out for as long as the scope is open", () =>
      Effect.gen(function* () {
        const { one, two } = yield* twice
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* lock(one, "exclusive").wait
            assert.isFalse(yield* lock(two, "exclusive").now)
            assert.isFalse(yield* lock(two, "shared").now)
          })
        )
        assert.isTrue(yield* lock(two, "exclusive").now)
      })
    )

    it.live("is shared by those who say so", () =>
      Effect.gen(function* () {
        const { one, two } = yield* twice
        yield* lock(one, "shared").wait
        yield* Effect.scoped(lock(two, "shared").wait)
        assert.isTrue(yield* Effect.scoped(lock(two, "shared").now))
        assert.isFalse(yield* Effect.scoped(lock(two, "exclusive").now))
      })
    )

    it.live("waits its turn, off the event loop", () =>
      Effect.gen(function* () {
        const { one, two } = yield* twice
        const scope = yield* Scope.make()
        yield* Scope.provide(lock(one, "exclusive").wait, scope)
        const order: Array<string> = []
        const waiter = yield* Effect.forkChild(
          Effect.scoped(
            Effect.andThen(
              lock(two, "exclusive").wait,
              Effect.sync(() => order.push("locked"))
            )
          )
        )
        yield* untilAsleepIn(nr)
        order.push("free")
        yield* Scope.close(scope, Exit.void)
        yield* Fiber.join(waiter)
        assert.deepStrictEqual(order, ["free", "locked"])
      })
    )

    it.live("that is interrupted while it waits leaves no lock", () =>
      Effect.gen(function* () {
        const { one, open, two } = yield* twice
        const scope = yield* Scope.make()
        yield* Scope.provide(lock(one, "exclusive").wait, scope)
        const waiter = yield* Effect.forkChild(Effect.scoped(lock(two, "exclusive").wait))
        yield* untilAsleepIn(nr)
        yield* Fiber.interrupt(waiter)
        yield* Scope.close(scope, Exit.void)
        assert.isTrue(yield* Effect.scoped(lock(yield* open, "exclusive").now))
      })
    )

    it.live("leaves no lock where it is interrupted at the moment that it is taken", () =>
      Effect.gen(function* () {
        const { one, open, two } = yield* twice
        const third = yield* open
        for (let round = 0; round < 40; round++) {
          const scope = yield* Scope.make()
          yield* Scope.provide(lock(one, "exclusive").wait, scope)
          const waiter = yield* Effect.forkChild(
            Effect.scoped(Effect.andThen(lock(two, "exclusive").wait, Effect.never)).pipe(yieldingAt(round % 20)),
            { startImmediately: true }
          )
          if (round % 2 === 0) yield* untilAsleepIn(nr)
          yield* Scope.close(scope, Exit.void)
          for (let turns = 0; turns < round % 5; turns++) yield* turn
          yield* Fiber.interrupt(waiter)
          assert.isTrue(yield* Effect.scoped(lock(third, "exclusive").now), `in round ${round}`)
        }
      })
    )

    it.live("ends with EBADF where its file is closed while it waits", () =>
      Effect.gen(function* () {
        const { one, two } = yield* twice
        yield* lock(one, "exclusive").wait
        const waiter = yield* Effect.forkChild(Effect.flip(Effect.scoped(lock(two, "exclusive").wait)))
        yield* untilAsleepIn(nr)
        yield* File.close(two)
        assert.strictEqual((yield* Fiber.join(waiter))._tag, "EBADF")
      })
    )

    it.live("is over where its file is closed before the scope", () =>
      Effect.gen(function* () {
        const { one, two } = yield* twice
        yield* lock(one, "exclusive").wait
        yield* File.close(one)
        assert.isTrue(yield* lock(two, "exclusive").now)
      })
    )

    it.live("of a kind that is none is a defect", () =>
      Effect.gen(function* () {
        const { one } = yield* twice
        // @ts-expect-error no such kind
        const exit = yield* Effect.exit(Effect.scoped(lock(one, "both").wait))
        assert.include(String(exit._tag === "Failure" ? exit.cause : ""), "kind: expected")
      })
    )
  })
}

describe("ranges", () => {
  it.live("that do not overlap do not stand against each other", () =>
    Effect.gen(function* () {
      const { one, two } = yield* twice
      yield* File.lockRange(one, { kind: "exclusive", start: 0, length: 4 })
      assert.isTrue(yield* File.tryLockRange(two, { kind: "exclusive", start: 4 }))
      assert.isFalse(yield* File.tryLockRange(two, { kind: "exclusive", start: 3, length: 1 }))
    })
  )

  it.live("are told of by File.testRange, and not locked", () =>
    Effect.gen(function* () {
      const { one, two } = yield* twice
      const ask = File.testRange(two, { kind: "exclusive" })
      assert.isTrue(Option.isNone(yield* ask))
      yield* File.lockRange(one, { kind: "shared", start: 2, length: 3 })
      assert.deepStrictEqual(Option.getOrUndefined(yield* ask), {
        kind: "shared",
        start: 2n,
        length: 3n,
        pid: undefined
      })
      assert.isTrue(Option.isNone(yield* File.testRange(two, { kind: "shared" })))
      assert.isTrue(yield* File.tryLockRange(two, { kind: "shared" }))
    })
  )

  it.live("are refused where they are none, or the file is open otherwise", () =>
    Effect.gen(function* () {
      const { one, path } = yield* twice
      const error = yield* Effect.flip(Effect.scoped(File.lockRange(one, { kind: "shared", start: 0.5 })))
      assert.strictEqual(error._tag, "EINVAL")
      assert.include(error.message, "start: 0.5")
      const reading = yield* File.open(path)
      const refused = yield* Effect.flip(Effect.scoped(File.lockRange(reading, { kind: "exclusive" })))
      assert.strictEqual(refused._tag, "EBADF")
      const negative = yield* Effect.flip(Effect.scoped(File.tryLockRange(one, { kind: "shared", start: -5 })))
      assert.strictEqual(negative._tag, "EINVAL")
    })
  )
})

it.live("locks do not pile up in a file that is locked again and again", () =>
  Effect.gen(function* () {
    const { one, two } = yield* twice
    const before = yield* openFds
    for (let round = 0; round < 200; round++) {
      yield* Effect.scoped(Effect.andThen(File.flock(one, "exclusive"), File.tryFlock(two, "shared")))
    }
    assert.isTrue(yield* File.tryFlock(two, "exclusive"))
    assert.strictEqual(yield* openFds, before)
    // Nothing of them is kept with the file.
    assert.isBelow(
      Object.values(one).reduce((sum, part) => sum + (part instanceof Map ? part.size : 0), 0),
      10
    )
  })
)

describe("File.lease", () => {
  it.live("holds off who opens the file otherwise until it is given back, and tells that somebody waits", () =>
    Effect.gen(function* () {
      const path = yield* temporaryPath
      writeFileSync(path, "")
      const file = yield* File.open(path)
      const scope = yield* Scope.make()
      yield* Scope.provide(File.lease(file, "read"), scope)
      assert.strictEqual(yield* File.leaseOf(file), "read")
      let signals = 0
      const onSignal = () => {
        signals++
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => process.on("SIGURG", onSignal)),
        () => Effect.sync(() => process.off("SIGURG", onSignal))
      )
      yield* Effect.scoped(File.open(path))
      assert.strictEqual(yield* File.leaseOf(file), "read")
      const opening = yield* Effect.forkChild(Effect.scoped(File.open(path, { access: "write" })))
      assert.isTrue(yield* eventually(() => signals > 0))
      assert.strictEqual(yield* File.leaseOf(file), "none")
      assert.isUndefined(opening.pollUnsafe())
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.join(opening)
    })
  )

  it.live("is refused where somebody has the file open otherwise", () =>
    Effect.gen(function* () {
      const { one, path } = yield* twice
      const error = yield* Effect.flip(Effect.scoped(File.lease(one, "read")))
      assert.strictEqual(error._tag, "EAGAIN")
      const reading = yield* File.open(path)
      assert.strictEqual((yield* Effect.flip(Effect.scoped(File.lease(reading, "write"))))._tag, "EAGAIN")
      assert.strictEqual(yield* File.leaseOf(one), "none")
    })
  )
})

describe("seals", () => {
  const sealable = Effect.flatMap(
    Syscall.memfd_create("effect-linux-test", Syscall.MFD_CLOEXEC | Syscall.MFD_ALLOW_SEALING),
    File.fromFd
  )

  it.live("are added and told, and hold", () =>
    Effect.gen(function* () {
      const file = yield* sealable
      yield* File.writeAll(file, utf8("0123456789"))
      assert.deepStrictEqual([...(yield* File.getSeals(file))], [])
      yield* File.addSeals(file, ["shrink", "grow"])
      assert.sameMembers([...(yield* File.getSeals(file))], ["grow", "shrink"])
      assert.strictEqual((yield* Effect.flip(File.truncate(file, 5)))._tag, "EPERM")
      assert.strictEqual((yield* Effect.flip(File.pwrite(file, utf8("x"), 10)))._tag, "EPERM")
      yield* File.pwrite(file, utf8("x"), 0)
      yield* File.addSeals(file, ["write", "seal"])
      assert.strictEqual((yield* Effect.flip(File.pwrite(file, utf8("x"), 0)))._tag, "EPERM")
      assert.strictEqual((yield* Effect.flip(File.addSeals(file, ["futureWrite"])))._tag, "EPERM")
    })
  )

  it.live("to writing wait for nobody that has it mapped", () =>
    Effect.gen(function* () {
      const file = yield* sealable
      yield* File.truncate(file, 4096)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* File.mmap(file, { length: 4096, shared: true })
          assert.strictEqual((yield* Effect.flip(File.addSeals(file, ["write"])))._tag, "EBUSY")
        })
      )
      yield* File.addSeals(file, ["write"])
    })
  )

  it.live("are of files in memory only", () =>
    Effect.gen(function* () {
      const { reader } = yield* pipe
      assert.strictEqual((yield* Effect.flip(File.getSeals(reader)))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(File.addSeals(yield* temporaryFile, ["grow"])))._tag, "EINVAL")
    })
  )
})
