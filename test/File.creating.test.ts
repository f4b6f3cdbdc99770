/** Creating files, files without a name, and paths that may not lead everywhere. */

import { mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Stream } from "effect"
import { File, Syscall } from "../src/index.ts"
import { makeFifo, temporaryDirectory, temporaryFile, temporaryPath, text, turn, utf8 } from "./support/files.ts"
import { openFds } from "./support/process.ts"

describe("File.create", () => {
  it.live("makes a file to be written, and cuts one that is there", () =>
    Effect.gen(function* () {
      const path = yield* temporaryPath
      for (const contents of ["the first one", "second"]) {
        const file = yield* File.create(path, { mode: 0o640 })
        yield* File.writeAll(file, utf8(contents))
        assert.strictEqual(readFileSync(path, "utf8"), contents)
        assert.strictEqual((yield* Effect.flip(File.read(file, new Uint8Array(1))))._tag, "EBADF")
      }
      assert.strictEqual(statSync(path).mode & 0o777, 0o640 & ~process.umask())
    })
  )

  it.live("create, write, close, open, read, close", () =>
    Effect.gen(function* () {
      const path = yield* temporaryPath
      const written = yield* File.create(path, { mode: 0o600 })
      assert.strictEqual(yield* File.write(written, utf8("hello!\n")), 7)
      yield* File.close(written)
      const file = yield* File.open(path)
      const buffer = new Uint8Array(64)
      assert.strictEqual(yield* File.read(file, buffer), 7)
      assert.strictEqual(text(buffer.subarray(0, 7)), "hello!\n")
      assert.strictEqual(yield* File.read(file, buffer), 0)
      yield* File.close(file)
    })
  )

  it.live("takes the other words", () =>
    Effect.gen(function* () {
      const directory = yield* File.open(yield* temporaryDirectory)
      const file = yield* File.createAt(directory, "a", { mode: 0o600, access: "readWrite", exclusive: true })
      yield* File.writeAll(file, utf8("abc"))
      const again = File.createAt(directory, "a", { mode: 0o600, exclusive: true })
      assert.strictEqual((yield* Effect.flip(again))._tag, "EEXIST")
      const appending = yield* File.createAt(directory, "a", { mode: 0o600, append: true, truncate: false })
      yield* File.writeAll(appending, utf8("def"))
      yield* File.seek(file, File.Seek.start(0))
      assert.strictEqual(text(yield* File.readAll(file)), "abcdef")
    })
  )
})

describe("File.tempFile", () => {
  it.live("has no name, and can be given one, and another", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const file = yield* File.tempFile(directory, { mode: 0o600 })
      yield* File.writeAll(file, utf8("contents"))
      assert.deepStrictEqual(readdirSync(directory), [])
      yield* File.linkInto(file, join(directory, "one"))
      yield* File.linkIntoAt(file, yield* File.open(directory), "two")
      assert.strictEqual(readFileSync(join(directory, "one"), "utf8"), "contents")
      assert.strictEqual(statSync(join(directory, "two")).nlink, 2)
      const error = yield* Effect.flip(File.linkInto(file, join(directory, "one")))
      assert.strictEqual(error._tag, "EEXIST")
      assert.strictEqual(error.path, join(directory, "one"))
    })
  )

  it.live("cannot be given one where it was said so, nor where the directory is missing", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const file = yield* File.tempFile(directory, { mode: 0o600, linkable: false, access: "write" })
      assert.strictEqual((yield* Effect.flip(File.linkInto(file, join(directory, "one"))))._tag, "ENOENT")
      assert.deepStrictEqual(readdirSync(directory), [])
      const other = yield* File.tempFile(directory, { mode: 0o600 })
      assert.strictEqual((yield* Effect.flip(File.linkInto(other, join(directory, "no", "one"))))._tag, "ENOENT")
    })
  )

  it.live("is linked by way of /proc where the kernel does not let it be done directly", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const file = yield* File.tempFile(directory, { mode: 0o600 })
      const forbidding: Syscall.Trampoline = {
        ...Syscall.kernel,
        callBlocking: (nr, args, options) =>
          nr === Syscall.nr.linkat && args[4] === Syscall.AT_EMPTY_PATH
            ? -2
            : Syscall.kernel.callBlocking(nr, args, options)
      }
      yield* Effect.provideService(File.linkInto(file, join(directory, "one")), Syscall.Trampoline, forbidding)
      assert.strictEqual(BigInt(statSync(join(directory, "one")).ino), (yield* File.stat(file)).stx_ino)
    })
  )

  it.live("is gone with its descriptor", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const number = yield* Effect.scoped(
        Effect.gen(function* () {
          const fd = yield* File.fd(yield* File.tempFile(directory, { mode: 0o600 }))
          assert.include(readlinkSync(`/proc/self/fd/${fd}`), "(deleted)")
          return fd
        })
      )
      const left = yield* Effect.exit(Effect.try(() => readlinkSync(`/proc/self/fd/${number}`)))
      if (Exit.isSuccess(left)) assert.notInclude(left.value, directory)
    })
  )
})

describe("File.openAt2", () => {
  /** A directory with a file, a link out of it, a magic link, and a file beside it. */
  const jail = Effect.gen(function* () {
    const outer = yield* temporaryDirectory
    mkdirSync(join(outer, "jail"))
    writeFileSync(join(outer, "secret"), "secret")
    writeFileSync(join(outer, "jail", "file"), "inside")
    symlinkSync("../secret", join(outer, "jail", "out"))
    symlinkSync("file", join(outer, "jail", "link"))
    symlinkSync("/file", join(outer, "jail", "rooted"))
    return { outer, directory: yield* File.open(join(outer, "jail"), { directory: true }) }
  })

  const tag = <E extends { readonly _tag: string }, R>(self: Effect.Effect<unknown, E, R>) =>
    Effect.map(Effect.flip(self), ({ _tag }) => _tag)

  it.live("leads where openAt leads, unless told otherwise", () =>
    Effect.gen(function* () {
      const { directory } = yield* jail
      assert.strictEqual(text(yield* File.readAll(yield* File.openAt2(directory, "out"))), "secret")
      const made = yield* File.openAt2(directory, "new", { create: true, mode: 0o600, access: "write" })
      yield* File.writeAll(made, utf8("x"))
    })
  )

  it.live("beneath keeps to the directory", () =>
    Effect.gen(function* () {
      const { directory, outer } = yield* jail
      const resolve = { beneath: true }
      assert.strictEqual(text(yield* File.readAll(yield* File.openAt2(directory, "link", { resolve }))), "inside")
      for (const path of ["out", "../secret", join(outer, "secret"), "rooted"]) {
        assert.strictEqual(yield* tag(File.openAt2(directory, path, { resolve })), "EXDEV", path)
      }
    })
  )

  it.live("inRoot takes the directory for the root", () =>
    Effect.gen(function* () {
      const { directory } = yield* jail
      for (const path of ["rooted", "/file", "../../file"]) {
        const file = yield* File.openAt2(directory, path, { resolve: { inRoot: true } })
        assert.strictEqual(text(yield* File.readAll(file)), "inside", path)
      }
      assert.strictEqual(yield* tag(File.openAt2(directory, "out", { resolve: { inRoot: true } })), "ENOENT")
    })
  )

  it.live("noSymlinks, noMagicLinks and noXdev refuse what they say", () =>
    Effect.gen(function* () {
      const { directory } = yield* jail
      assert.strictEqual(yield* tag(File.openAt2(directory, "link", { resolve: { noSymlinks: true } })), "ELOOP")
      const fd = yield* File.fd(directory)
      const magic = `/proc/self/fd/${fd}`
      assert.strictEqual(yield* tag(File.openAt2(File.cwd, magic, { resolve: { noMagicLinks: true } })), "ELOOP")
      assert.strictEqual(yield* tag(File.openAt2(File.cwd, "/proc/version", { resolve: { noXdev: true } })), "EXDEV")
    })
  )

  it.live("cached answers from the cache or EAGAIN", () =>
    Effect.gen(function* () {
      const { directory } = yield* jail
      const cached = File.openAt2(directory, "file", { resolve: { cached: true } })
      const exit = yield* Effect.exit(cached)
      if (Exit.isFailure(exit)) assert.propertyVal(Cause.squash(exit.cause), "_tag", "EAGAIN")
      assert.strictEqual(
        yield* tag(File.openAt2(directory, "x", { create: true, mode: 0o600, resolve: { cached: true } })),
        "EAGAIN"
      )
    })
  )

  it.live("refuses a mode that is none before the kernel does", () =>
    Effect.gen(function* () {
      const { directory } = yield* jail
      const error = yield* Effect.flip(File.openAt2(directory, "new", { create: true, mode: 0.5 }))
      assert.strictEqual(error._tag, "EINVAL")
      assert.include(error.message, "mode: 0.5")
    })
  )

  it.live("leaves nothing open where it is interrupted while it waits for a FIFO's other end", () =>
    Effect.gen(function* () {
      const { directory, outer } = yield* jail
      yield* makeFifo(join(outer, "jail", "fifo"))
      const before = yield* openFds
      for (let turns = 0; turns < 5; turns++) {
        const fiber = yield* Effect.forkChild(Effect.scoped(File.openAt2(directory, "fifo")))
        for (let i = 0; i < turns; i++) yield* turn
        yield* Fiber.interrupt(fiber)
      }
      assert.strictEqual(yield* openFds, before)
    })
  )
})

describe("File.cwd", () => {
  it.live("is where relative paths start, now and later", () =>
    Effect.gen(function* () {
      const here = yield* File.stat(File.cwd)
      assert.strictEqual(here.stx_ino, (yield* File.statAt(File.cwd, ".")).stx_ino)
      assert.strictEqual(here.stx_ino, BigInt(statSync(process.cwd()).ino))
      assert.isTrue(yield* File.existsAt(File.cwd, "package.json"))
    })
  )

  it.live("is open always, and nobody can close it", () =>
    Effect.gen(function* () {
      yield* File.close(File.cwd)
      assert.strictEqual(yield* File.release(File.cwd), Syscall.AT_FDCWD)
      assert.strictEqual(yield* File.fd(File.cwd), Syscall.AT_FDCWD)
      assert.isTrue(yield* File.existsAt(File.cwd, "package.json"))
    })
  )

  it.live("is no file to be read", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(File.read(File.cwd, new Uint8Array(1))))._tag, "EBADF")
      assert.strictEqual((yield* Effect.flip(Effect.scoped(File.duplicate(File.cwd))))._tag, "EBADF")
    })
  )
})

describe("File.duplicate", () => {
  it.live("shares the offset, and lives when the other is closed", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      yield* File.writeAll(file, utf8("0123456789"))
      const twin = yield* File.duplicate(file)
      assert.strictEqual(yield* File.seek(twin, File.Seek.current(0)), 10)
      yield* File.seek(file, File.Seek.start(4))
      yield* File.close(file)
      assert.strictEqual(text(yield* File.readAll(twin)), "456789")
      assert.deepStrictEqual(yield* Stream.runCollect(File.stream(twin)), [])
    })
  )
})
