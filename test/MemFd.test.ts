/** Files in memory: what they hold, how they are sealed, and what they are made of. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Errno, Fcntl, File, MemFd, Syscall } from "../src/index.ts"
import { text, utf8 } from "./support/files.ts"
import { openFds } from "./support/process.ts"

describe("MemFd", () => {
  it.effect("is a file of the length that was asked for", () =>
    Effect.gen(function* () {
      const memory = yield* MemFd.make("memory", { size: 10 })
      assert.strictEqual(yield* MemFd.size(memory), 10n)
      yield* File.pwrite(memory, utf8("hello"), 2)
      assert.strictEqual(text(yield* File.readAll(memory)), "\0\0hello\0\0\0")
      assert.strictEqual(yield* File.fcntl(memory, Fcntl.F_GETFD), Syscall.FD_CLOEXEC)
    })
  )

  it.effect("cannot be sealed unless it was made so", () =>
    Effect.gen(function* () {
      const memory = yield* MemFd.make("memory")
      assert.include(yield* MemFd.getSeals(memory), "seal")
      assert.instanceOf(yield* Effect.flip(MemFd.addSeals(memory, ["write"])), Errno.EPERM)
    })
  )

  it.effect("refuses what it was sealed against, for good", () =>
    Effect.gen(function* () {
      const memory = yield* MemFd.make("memory", { allowSealing: true, size: 4096 })
      assert.deepStrictEqual(yield* MemFd.getSeals(memory), [])
      yield* MemFd.addSeals(memory, ["shrink", "grow"])
      assert.deepStrictEqual(yield* MemFd.getSeals(memory), ["shrink", "grow"])
      assert.instanceOf(yield* Effect.flip(File.truncate(memory, 1)), Errno.EPERM)
      assert.instanceOf(yield* Effect.flip(File.truncate(memory, 8192)), Errno.EPERM)
      yield* File.pwrite(memory, utf8("x"), 0)
      yield* MemFd.addSeals(memory, Syscall.F_SEAL_WRITE | Syscall.F_SEAL_SEAL)
      assert.instanceOf(yield* Effect.flip(File.pwrite(memory, utf8("y"), 0)), Errno.EPERM)
      assert.instanceOf(yield* Effect.flip(MemFd.addSeals(memory, ["futureWrite"])), Errno.EPERM)
      const duplicate = yield* File.duplicate(memory)
      assert.deepStrictEqual(yield* MemFd.getSeals(duplicate), ["seal", "shrink", "grow", "write"])
    })
  )

  it.effect("cannot be sealed against writing while a shared mapping can write", () =>
    Effect.gen(function* () {
      const memory = yield* MemFd.make("memory", { allowSealing: true, size: 4096 })
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* File.mmap(memory, { length: 4096, shared: true })
          assert.instanceOf(yield* Effect.flip(MemFd.addSeals(memory, ["write"])), Errno.EBUSY)
          yield* MemFd.addSeals(memory, ["futureWrite"])
        })
      )
      yield* MemFd.addSeals(memory, ["write"])
    })
  )

  it.effect("may be executed or not, as it was said", () =>
    Effect.gen(function* () {
      const made = yield* Effect.result(MemFd.make("program", { executable: true }))
      if (made._tag === "Failure") return yield* Effect.logInfo("skipped: this kernel is older than 6.3")
      assert.notStrictEqual((yield* File.stat(made.success)).stx_mode & 0o111, 0)
      const data = yield* MemFd.make("data", { executable: false })
      assert.strictEqual((yield* File.stat(data)).stx_mode & 0o111, 0)
      assert.deepStrictEqual(yield* MemFd.getSeals(data), ["exec"])
    })
  )

  it.effect("can be of huge pages", () =>
    Effect.gen(function* () {
      const made = yield* Effect.result(MemFd.make("huge", { hugePages: "default" }))
      if (made._tag === "Failure") return yield* Effect.logInfo(`skipped: no huge pages (${made.failure._tag})`)
      assert.isAtLeast((yield* File.stat(made.success)).stx_blksize, 1 << 16)
      const unknown = yield* Effect.result(MemFd.make("huge", { hugePages: "16GB" }))
      if (unknown._tag === "Failure") assert.include(["ENODEV", "EINVAL", "OtherErrno"], unknown.failure._tag)
    })
  )

  it.effect("can be kept from the kernel itself, where the system lets it", () =>
    Effect.gen(function* () {
      const made = yield* Effect.result(MemFd.secret(4096))
      if (made._tag === "Failure") return yield* Effect.logInfo(`skipped: no secret memory (${made.failure._tag})`)
      const { bytes } = yield* File.mmap(made.success, { length: 4096, shared: true })
      bytes[0] = 1
      assert.strictEqual(bytes[0], 1)
      assert.strictEqual((yield* Effect.flip(File.pread(made.success, new Uint8Array(1), 0))).syscall, "pread64")
    })
  )

  it.effect("refuses names that the kernel would not take, and leaves nothing", () =>
    Effect.gen(function* () {
      const before = yield* openFds
      const long = yield* Effect.flip(Effect.scoped(MemFd.make("x".repeat(250))))
      assert.strictEqual(long._tag, "EINVAL")
      assert.include(long.message, "name")
      assert.strictEqual((yield* Effect.flip(Effect.scoped(MemFd.make("a\0b"))))._tag, "EINVAL")
      yield* Effect.scoped(MemFd.make("x".repeat(249)))
      yield* Effect.flip(Effect.scoped(MemFd.make("x", { size: -1 })))
      assert.strictEqual(yield* openFds, before)
    })
  )

  it("takes words, and only those there are", () => {
    // @ts-expect-error no seal
    const seal = (memory: MemFd.MemFd) => MemFd.addSeals(memory, ["read"])
    // @ts-expect-error no size of pages
    const pages = () => MemFd.make("x", { hugePages: "4KB" })
    // @ts-expect-error no file in memory
    const file = (file: File.File) => MemFd.addSeals(file, ["write"])
    assert.isFunction(seal ?? pages ?? file)
  })
})
