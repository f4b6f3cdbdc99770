/** Opening: each option word, what it makes of the kernel's flags and what it does. */

import { readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { Fcntl, File, Syscall } from "../src/index.ts"
import { makeFifo, temporaryDirectory, temporaryPath, text, utf8 } from "./support/files.ts"

const existing = (contents = "contents") =>
  Effect.tap(temporaryPath, (path) => Effect.sync(() => writeFileSync(path, contents)))

/** The flags that `open` passes to openat. */
const passed = (path: string, options: File.OpenOptions) =>
  Effect.gen(function* () {
    let flags: unknown
    const recording = Syscall.record(Syscall.kernel, ({ args, name }) => {
      if (name === "openat") flags = args[2]
    })
    yield* File.open(path, options).pipe(
      Effect.scoped,
      Effect.exit,
      Effect.provideService(Syscall.Trampoline, recording)
    )
    assert.isNumber(flags)
    return flags
  })

/** The flags that the kernel keeps for the open file, but O_LARGEFILE, which it adds by itself. */
const kept = (path: string, options: File.OpenOptions) =>
  Effect.scoped(
    Effect.gen(function* () {
      const file = yield* File.open(path, options)
      return (yield* File.fcntl(file, Fcntl.F_GETFL)) & ~0o100000
    })
  )

const umask = process.umask()

describe("File.open", () => {
  describe("flags", () => {
    const words: ReadonlyArray<readonly [word: string, options: File.OpenOptions, flag: number]> = [
      ["append", { append: true }, Syscall.O_APPEND],
      ["create", { create: true, mode: 0o600 }, Syscall.O_CREAT],
      ["dataSync", { dataSync: true }, Syscall.O_DSYNC],
      ["direct", { direct: true }, Syscall.O_DIRECT],
      ["directory", { directory: true }, Syscall.O_DIRECTORY],
      ["exclusive", { exclusive: true }, Syscall.O_EXCL],
      ["noAtime", { noAtime: true }, Syscall.O_NOATIME],
      ["noControllingTty", { noControllingTty: true }, Syscall.O_NOCTTY],
      ["noFollow", { noFollow: true }, Syscall.O_NOFOLLOW],
      ["nonBlocking", { nonBlocking: true }, Syscall.O_NONBLOCK],
      ["pathOnly", { pathOnly: true }, Syscall.O_PATH],
      ["sync", { sync: true }, Syscall.O_SYNC],
      ["tempFile", { tempFile: true, mode: 0o600, access: "write" }, Syscall.O_TMPFILE | Syscall.O_WRONLY],
      ["truncate", { truncate: true }, Syscall.O_TRUNC],
      ['access "read"', { access: "read" }, Syscall.O_RDONLY],
      ['access "write"', { access: "write" }, Syscall.O_WRONLY],
      ['access "readWrite"', { access: "readWrite" }, Syscall.O_RDWR]
    ]

    for (const [word, options, flag] of words) {
      it.live(`${word} passes its flag and close-on-exec, and nothing else`, () =>
        Effect.gen(function* () {
          const path = yield* existing()
          assert.strictEqual(yield* passed(path, options), flag | Syscall.O_CLOEXEC)
        })
      )
    }

    it.live("a word that is false passes nothing", () =>
      Effect.gen(function* () {
        const path = yield* existing()
        const flags = yield* passed(path, { append: false, create: false, truncate: false, closeOnExec: false })
        assert.strictEqual(flags, 0)
      })
    )

    it.live("words are or-ed together", () =>
      Effect.gen(function* () {
        const path = yield* existing()
        assert.strictEqual(
          yield* passed(path, { access: "readWrite", append: true, nonBlocking: true, noFollow: true }),
          Syscall.O_RDWR | Syscall.O_APPEND | Syscall.O_NONBLOCK | Syscall.O_NOFOLLOW | Syscall.O_CLOEXEC
        )
      })
    )

    const visible: ReadonlyArray<readonly [word: string, options: File.OpenOptions, flag: number]> = [
      ["append", { append: true }, Syscall.O_APPEND],
      ["dataSync", { dataSync: true }, Syscall.O_DSYNC],
      ["noAtime", { noAtime: true }, Syscall.O_NOATIME],
      ["nonBlocking", { nonBlocking: true }, Syscall.O_NONBLOCK],
      ["pathOnly", { pathOnly: true }, Syscall.O_PATH],
      ["sync", { sync: true }, Syscall.O_SYNC],
      ['access "write"', { access: "write" }, Syscall.O_WRONLY],
      ['access "readWrite"', { access: "readWrite" }, Syscall.O_RDWR],
      ["nothing", {}, Syscall.O_RDONLY]
    ]

    for (const [word, options, flag] of visible) {
      it.live(`${word} is what the kernel keeps for the open file`, () =>
        Effect.gen(function* () {
          assert.strictEqual(yield* kept(yield* existing(), options), flag)
        })
      )
    }

    it.live("direct is what the kernel keeps for the open file, where the file system has it", () =>
      Effect.gen(function* () {
        const path = yield* existing()
        const flags = yield* kept(path, { direct: true }).pipe(
          Effect.catchTag("EINVAL", () => Effect.succeed(undefined))
        )
        if (flags !== undefined) assert.strictEqual(flags, Syscall.O_DIRECT)
      })
    )

    it.live("close-on-exec is set unless it is refused", () =>
      Effect.gen(function* () {
        const path = yield* existing()
        const set = yield* File.open(path)
        const unset = yield* File.open(path, { closeOnExec: false })
        assert.strictEqual(yield* File.fcntl(set, Fcntl.F_GETFD), Syscall.FD_CLOEXEC)
        assert.strictEqual(yield* File.fcntl(unset, Fcntl.F_GETFD), 0)
      })
    )
  })

  describe("access", () => {
    it.live("reading is all that is allowed unless more is asked for", () =>
      Effect.gen(function* () {
        const file = yield* File.open(yield* existing("abc"))
        assert.strictEqual(text(yield* File.readAll(file)), "abc")
        const error = yield* Effect.flip(File.write(file, utf8("x")))
        assert.strictEqual(error._tag, "EBADF")
      })
    )

    it.live('"write" writes and does not read', () =>
      Effect.gen(function* () {
        const path = yield* existing("abc")
        const file = yield* File.open(path, { access: "write" })
        assert.strictEqual(yield* File.write(file, utf8("X")), 1)
        assert.strictEqual((yield* Effect.flip(File.read(file, new Uint8Array(1))))._tag, "EBADF")
        assert.strictEqual(readFileSync(path, "utf8"), "Xbc")
      })
    )

    it.live('"readWrite" does both', () =>
      Effect.gen(function* () {
        const file = yield* File.open(yield* existing("abc"), { access: "readWrite" })
        yield* File.write(file, utf8("X"))
        assert.strictEqual(text(yield* File.readAll(file)), "bc")
      })
    )

    it.live("an access that is none of the three is a defect", () =>
      Effect.gen(function* () {
        // @ts-expect-error that is what the types are for
        const exit = yield* Effect.exit(File.open("/etc/passwd", { access: "execute" }))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      })
    )
  })

  describe("creating", () => {
    it.live("a file that is not there is ENOENT, and the error names it", () =>
      Effect.gen(function* () {
        const path = yield* temporaryPath
        const error = yield* Effect.flip(File.open(path, { access: "write" }))
        assert.strictEqual(error._tag, "ENOENT")
        assert.strictEqual(error.path, path)
        assert.strictEqual(error.message, `openat("${path}"): ENOENT, no such file or directory`)
      })
    )

    it.live("create makes the file with the mode, cut by the umask", () =>
      Effect.gen(function* () {
        const path = yield* temporaryPath
        yield* File.open(path, { access: "write", create: true, mode: 0o646 })
        assert.strictEqual(statSync(path).mode & 0o7777, 0o646 & ~umask)
        assert.strictEqual(statSync(path).size, 0)
      })
    )

    it.live("create opens a file that is there and leaves its contents and its mode", () =>
      Effect.gen(function* () {
        const path = yield* existing("kept")
        const before = statSync(path).mode
        const file = yield* File.open(path, { create: true, mode: 0o777 })
        assert.strictEqual(text(yield* File.readAll(file)), "kept")
        assert.strictEqual(statSync(path).mode, before)
      })
    )

    it.live("exclusive refuses a file that is there", () =>
      Effect.gen(function* () {
        const path = yield* temporaryPath
        const make = File.open(path, { access: "write", create: true, exclusive: true, mode: 0o600 })
        yield* make
        assert.strictEqual((yield* Effect.flip(make))._tag, "EEXIST")
      })
    )

    it.live("truncate cuts the file", () =>
      Effect.gen(function* () {
        const path = yield* existing("something")
        yield* File.open(path, { access: "write", truncate: true })
        assert.strictEqual(statSync(path).size, 0)
      })
    )

    it.live("append writes to the end, wherever the offset is", () =>
      Effect.gen(function* () {
        const path = yield* existing("one")
        const file = yield* File.open(path, { access: "write", append: true })
        yield* File.seek(file, File.Seek.start(0))
        yield* File.write(file, utf8(" two"))
        assert.strictEqual(readFileSync(path, "utf8"), "one two")
      })
    )

    it.live("tempFile makes a file that no directory knows", () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const file = yield* File.open(directory, { access: "readWrite", tempFile: true, mode: 0o640 })
        yield* File.writeAll(file, utf8("unseen"))
        const { stx_mode, stx_nlink, stx_size } = yield* File.stat(file)
        assert.strictEqual(stx_nlink, 0)
        assert.strictEqual(stx_size, 6n)
        assert.strictEqual(stx_mode & 0o7777, 0o640 & ~umask)
        assert.deepStrictEqual(readdirSync(directory), [])
        assert.strictEqual(yield* File.seek(file, File.Seek.start(0)), 0)
        assert.strictEqual(text(yield* File.readAll(file)), "unseen")
      })
    )

    it.live("a mode that is no integer is EINVAL, and the kernel is not called", () =>
      Effect.gen(function* () {
        const path = yield* temporaryPath
        const error = yield* Effect.flip(File.open(path, { create: true, mode: 0.5 }))
        assert.strictEqual(error._tag, "EINVAL")
        assert.include(error.message, "mode")
      })
    )
  })

  describe("kinds of files", () => {
    it.live("directory refuses what is none", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(File.open(yield* existing(), { directory: true }))
        assert.strictEqual(error._tag, "ENOTDIR")
        yield* File.open(yield* temporaryDirectory, { directory: true })
      })
    )

    it.live("a directory cannot be opened for writing", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(File.open(yield* temporaryDirectory, { access: "write" }))
        assert.strictEqual(error._tag, "EISDIR")
      })
    )

    it.live("noFollow refuses a symbolic link", () =>
      Effect.gen(function* () {
        const path = yield* existing()
        symlinkSync(path, `${path}.link`)
        assert.strictEqual((yield* Effect.flip(File.open(`${path}.link`, { noFollow: true })))._tag, "ELOOP")
        yield* File.open(`${path}.link`)
      })
    )

    it.live("nonBlocking opens a FIFO that nobody writes to, and its reads answer at once", () =>
      Effect.gen(function* () {
        const path = yield* temporaryPath
        yield* makeFifo(path)
        const file = yield* File.open(path, { nonBlocking: true })
        // Without a writer a FIFO is at its end.
        assert.strictEqual(yield* File.read(file, new Uint8Array(1)), 0)
        yield* File.open(path, { access: "write", nonBlocking: true })
        assert.strictEqual((yield* Effect.flip(File.read(file, new Uint8Array(1))))._tag, "EAGAIN")
      })
    )

    it.live("pathOnly gives a reference without contents", () =>
      Effect.gen(function* () {
        const path = yield* existing("abc")
        const file = yield* File.open(path, { pathOnly: true })
        assert.strictEqual((yield* Effect.flip(File.read(file, new Uint8Array(1))))._tag, "EBADF")
        assert.strictEqual((yield* File.stat(file)).stx_size, 3n)
      })
    )
  })

  describe("paths", () => {
    it.live("may be bytes that are no UTF-8", () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const name = Uint8Array.of(0x66, 0xff, 0xfe, 0x6f)
        const path = Buffer.concat([utf8(`${directory}/`), name])
        const file = yield* File.open(path, { access: "write", create: true, mode: 0o600 })
        yield* File.writeAll(file, utf8("found"))
        assert.deepStrictEqual(readdirSync(directory, "buffer"), [Buffer.from(name)])
        assert.strictEqual(text(yield* File.readAll(yield* File.open(path))), "found")
        // The test's own clean-up knows names as text only.
        yield* Syscall.unlinkat(Syscall.AT_FDCWD, path)
      })
    )

    it.live("that the kernel cannot be asked about are EINVAL without a call", () =>
      Effect.gen(function* () {
        const calls: Array<string> = []
        const recording = Syscall.record(Syscall.kernel, ({ name }) => calls.push(name))
        for (const path of ["/etc/pass\0wd", Uint8Array.of(0x2f, 0, 0x2f), "/tmp/\ud800"]) {
          const error = yield* Effect.flip(File.open(path)).pipe(Effect.provideService(Syscall.Trampoline, recording))
          assert.strictEqual(error._tag, "EINVAL")
          assert.include(error.message, "path")
        }
        assert.deepStrictEqual(calls, [])
      })
    )

    it.live("of a wrong type are defects", () =>
      Effect.gen(function* () {
        // @ts-expect-error that is what the types are for
        const exit = yield* Effect.exit(File.open(17))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      })
    )
  })
})

describe("File.openAt", () => {
  it.live("starts at the directory", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      writeFileSync(join(directory, "here"), "yes")
      for (const options of [{ directory: true }, { pathOnly: true }]) {
        const at = yield* File.open(directory, options)
        assert.strictEqual(text(yield* File.readAll(yield* File.openAt(at, "here"))), "yes")
        assert.strictEqual(text(yield* File.readAll(yield* File.openAt(at, utf8("./here")))), "yes")
      }
    })
  )

  it.live("takes an absolute path as it is", () =>
    Effect.gen(function* () {
      const at = yield* File.open(yield* temporaryDirectory)
      const path = yield* existing("elsewhere")
      assert.strictEqual(text(yield* File.readAll(yield* File.openAt(at, path))), "elsewhere")
    })
  )

  it.live("creates in the directory, with the mode", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const at = yield* File.open(directory)
      yield* File.openAt(at, "new", { access: "write", create: true, mode: 0o604 })
      assert.strictEqual(statSync(join(directory, "new")).mode & 0o7777, 0o604 & ~umask)
    })
  )

  it.live("refuses what is no directory", () =>
    Effect.gen(function* () {
      const at = yield* File.open(yield* existing())
      const error = yield* Effect.flip(File.openAt(at, "name"))
      assert.strictEqual(error._tag, "ENOTDIR")
      assert.strictEqual(error.path, "name")
    })
  )
})
