/** A file that is cut shorter under a mapping: what happens, and the means against it. The danger is met by other processes. */
import { writeFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, type Scope } from "effect"
import { Fcntl, File, Mapping, Syscall } from "../src/index.ts"
import { callsOf, pipe, temporaryFile, temporaryPath, turn, utf8, yieldingAt } from "./support/files.ts"
import { mappings, openFds } from "./support/process.ts"
import { program } from "./support/program.ts"

const page = 4096

const memfd = (length: number, flags = 0) =>
  Effect.gen(function* () {
    const fd = yield* Syscall.memfd_create("effect-linux-shrinking", Syscall.MFD_CLOEXEC | flags)
    const file = yield* File.fromFd(fd)
    yield* File.truncate(file, length)
    return file
  })

const tagged = <E extends { readonly _tag: string }>(tag: string, self: Effect.Effect<unknown, E, Scope.Scope>) =>
  Effect.map(Effect.flip(Effect.scoped(self)), (error) => {
    assert.strictEqual(error._tag, tag)
    return error
  })

/** A program with a file of two pages: `file`, its descriptor `fd`, and `shrink`, which cuts it to one. */
const withFile = (body: string) =>
  program(`
    await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
      const fd = yield* Syscall.memfd_create("shrinking", Syscall.MFD_ALLOW_SEALING)
      const file = yield* File.fromFd(fd)
      yield* File.truncate(file, 8192)
      const shrink = File.truncate(file, 4096)
      ${body}
    })))`)

describe.concurrent("a file that is cut shorter under a mapping", () => {
  const cases = {
    shared: `const { bytes } = yield* File.mmap(file, { length: 8192, shared: true })`,
    private: `const { bytes } = yield* File.mmap(file, { length: 8192 })`,
    // The kernel takes back also what was a private copy.
    "private, of pages written to before": `
      const { bytes } = yield* File.mmap(file, { length: 8192 })
      bytes.fill(7)`
  }
  for (const [what, map] of Object.entries(cases)) {
    it.live(`kills the process that touches what is gone (${what})`, () =>
      Effect.gen(function* () {
        const ended = yield* withFile(`${map}
          yield* shrink
          console.log("one page is left: " + bytes[4095])
          bytes[4096]
          console.log("survived")`)
        assert.strictEqual(ended.signal, "SIGBUS", ended.stderr)
        assert.match(ended.stdout, /^one page is left: \d+\n$/)
      })
    )
  }

  it.live("is told by advice that touches the pages itself", () =>
    Effect.gen(function* () {
      const ended = yield* withFile(`
        const mapping = yield* File.mmap(file, { length: 8192, shared: true })
        yield* Mapping.advise(mapping, "populateWrite")
        yield* shrink
        const error = yield* Effect.flip(Mapping.advise(mapping, "populateRead"))
        console.log(error._tag)`)
      assert.deepInclude(ended, { code: 0, stdout: "EFAULT\n" }, ended.stderr)
    })
  )

  it.live("cannot be if it is sealed, which a mapping can insist on", () =>
    Effect.gen(function* () {
      const ended = yield* withFile(`
        const map = File.mmap(file, { length: 8192, shared: true, sealed: true })
        console.log((yield* Effect.flip(map))._tag)
        yield* File.fcntl(file, Fcntl.F_ADD_SEALS, Syscall.F_SEAL_SHRINK)
        const { bytes } = yield* map
        console.log((yield* Effect.flip(shrink))._tag)
        bytes.fill(7)
        console.log(bytes[8191])`)
      assert.deepInclude(ended, { code: 0, stdout: "EPERM\nEPERM\n7\n" }, ended.stderr)
    })
  )

  it.live("does nothing to a copy", () =>
    Effect.gen(function* () {
      const ended = yield* withFile(`
        yield* File.pwrite(file, new Uint8Array(8192).fill(7), 0)
        const { bytes } = yield* Mapping.copyOf(file)
        yield* File.truncate(file, 0)
        console.log(bytes.every((byte) => byte === 7), bytes.length)`)
      assert.deepInclude(ended, { code: 0, stdout: "true 8192\n" }, ended.stderr)
    })
  )
})

describe("File.mmap of what is sealed", () => {
  it.live("asks for the seal, and only then for the size", () =>
    Effect.gen(function* () {
      const file = yield* memfd(2 * page, Syscall.MFD_ALLOW_SEALING)
      const map = (length: number, offset = 0) => File.mmap(file, { length, offset, sealed: true })
      const error = yield* tagged("EPERM", map(page))
      assert.include(error.message, "F_SEAL_SHRINK")
      yield* File.fcntl(file, Fcntl.F_ADD_SEALS, Syscall.F_SEAL_SHRINK)
      const { calls } = yield* callsOf(Effect.scoped(map(page)))
      const names = calls.map(({ name }) => name)
      const [seals, size, mapped] = [names.indexOf("fcntl"), names.lastIndexOf("statx"), names.indexOf("mmap")]
      assert.isTrue(0 <= seals && seals < size && size < mapped, names.join())
      yield* tagged("EINVAL", map(2 * page + 1))
      yield* tagged("EINVAL", map(page + 1, page))
      // Of what is sealed against writing, a private mapping.
      yield* File.fcntl(file, Fcntl.F_ADD_SEALS, Syscall.F_SEAL_WRITE)
      const { bytes } = yield* map(page)
      bytes[0] = 7
      yield* tagged("EPERM", File.mmap(file, { length: page, shared: true, sealed: true }))
    })
  )

  it.live("fails for a file that cannot be sealed, and one that is closed", () =>
    Effect.gen(function* () {
      const plain = yield* temporaryFile
      yield* File.truncate(plain, page)
      // A file of a memory file system can be sealed in principle, and is not.
      const error = yield* Effect.flip(Effect.scoped(File.mmap(plain, { length: page, sealed: true })))
      assert.include(["EINVAL", "EPERM"], error._tag)
      assert.include(error.message, "sealed")
      const file = yield* memfd(page)
      yield* File.close(file)
      yield* tagged("EBADF", File.mmap(file, { length: page, sealed: true }))
    })
  )
})

describe("Mapping.copyOf", () => {
  it.live("holds the file's bytes, of any length, or a part of them", () =>
    Effect.gen(function* () {
      const path = yield* temporaryPath
      const contents = Uint8Array.from({ length: 3 * page + 17 }, (_, index) => (index * 7) & 0xff)
      writeFileSync(path, contents)
      const file = yield* File.open(path)
      const all = yield* Mapping.copyOf(file)
      assert.deepStrictEqual([...all.bytes], [...contents])
      assert.strictEqual(all.length, contents.length)
      const part = yield* Mapping.copyOf(file, { offset: page, length: 10 })
      assert.deepStrictEqual([...part.bytes], [...contents.slice(page, page + 10)])
      const tail = yield* Mapping.copyOf(file, { offset: 3 * page, length: 1 << 20 })
      assert.deepStrictEqual([...tail.bytes], [...contents.slice(3 * page)])
      // The file offset plays no part, and is not moved.
      assert.strictEqual(yield* File.seek(file, File.Seek.current(0)), 0)
      // It is a mapping like any other.
      yield* Mapping.remap(tail, 2 << 20)
      assert.deepStrictEqual([tail.bytes[0], tail.bytes[(2 << 20) - 1]], [contents[3 * page], 0])
    })
  )

  it.live("of a large file is read off the loop", () =>
    Effect.gen(function* () {
      const file = yield* memfd(40 << 20)
      yield* File.pwrite(file, utf8("end"), (40 << 20) - 3)
      const { bytes } = yield* Mapping.copyOf(file)
      assert.strictEqual(new TextDecoder().decode(bytes.subarray(-3)), "end")
    })
  )

  it.live("of a file of /proc takes a length", () =>
    Effect.gen(function* () {
      const file = yield* File.open("/proc/self/status")
      yield* tagged("EINVAL", Mapping.copyOf(file))
      const { bytes } = yield* Mapping.copyOf(file, { length: 1 << 16 })
      assert.match(new TextDecoder().decode(bytes), /^Name:/)
    })
  )

  it.live("refuses what there is nothing of, and what cannot be read at an offset", () =>
    Effect.gen(function* () {
      const file = yield* memfd(page)
      for (const options of [
        { offset: page },
        { offset: -1 },
        { offset: 0.5 },
        { length: 0 },
        { length: Number.NaN }
      ]) {
        yield* tagged("EINVAL", Mapping.copyOf(file, options))
      }
      yield* tagged("EINVAL", Mapping.copyOf(file, { offset: page, length: 1 }))
      const { reader } = yield* pipe
      yield* tagged("ESPIPE", Mapping.copyOf(reader, { length: 1 }))
      yield* File.close(file)
      yield* tagged("EBADF", Mapping.copyOf(file))
    })
  )

  it.live("leaves nothing, wherever its fiber gives way and is interrupted", () =>
    Effect.gen(function* () {
      const file = yield* memfd(3 << 20)
      const anonymous = mappings(/rw-p .* 00:00 0 *$/)
      const program = Effect.scoped(Mapping.copyOf(file))
      yield* program
      const before = { fds: yield* openFds, mapped: yield* anonymous }
      for (let place = 1; place <= 40; place++) {
        for (let turns = 0; turns < 3; turns++) {
          const fiber = yield* Effect.forkChild(program.pipe(yieldingAt(place)), { startImmediately: true })
          for (let i = 0; i < turns; i++) yield* turn
          yield* Fiber.interrupt(fiber)
        }
      }
      assert.strictEqual(yield* openFds, before.fds)
      // The runtime has such memory too, and takes and gives some as it likes: a leak would be a hundred.
      assert.isAtMost((yield* anonymous) - before.mapped, 30)
      assert.isTrue(Exit.isSuccess(yield* Effect.exit(program)))
    })
  )
})
