/** Who owns a descriptor, and when it is closed. What happens to calls that are under way is in `File.closing.test.ts`. */

import { closeSync, fstatSync, openSync, readFileSync, readlinkSync, writeFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Scope } from "effect"
import { File, Syscall } from "../src/index.ts"
import {
  callsOf,
  operations,
  pipe,
  temporaryDirectory,
  temporaryFile,
  temporaryPath,
  text,
  utf8
} from "./support/files.ts"
import { openFds } from "./support/process.ts"

const target = "/etc/passwd"

/** The closes of a descriptor among recorded calls. */
const closesOf = (calls: ReadonlyArray<Syscall.Call>, fd: number) =>
  calls.filter(({ args, name }) => name === "close" && args[0] === fd).map(({ result }) => result)

const isOpen = (fd: number): boolean => {
  try {
    fstatSync(fd)
    return true
  } catch {
    return false
  }
}

describe("the scope of a File", () => {
  const endings: ReadonlyArray<readonly [name: string, ending: Effect.Effect<void, string>]> = [
    ["success", Effect.void],
    ["failure", Effect.fail("failed")],
    ["a defect", Effect.die("broken")],
    ["interruption from inside", Effect.interrupt]
  ]
  for (const [name, ending] of endings) {
    it.live(`closes it once, on ${name}`, () =>
      Effect.gen(function* () {
        const before = yield* openFds
        let fd = -1
        const { calls } = yield* callsOf(
          Effect.exit(
            Effect.scoped(
              Effect.gen(function* () {
                fd = yield* File.fd(yield* File.open(target))
                assert.isTrue(isOpen(fd))
                yield* ending
              })
            )
          )
        )
        assert.deepStrictEqual(closesOf(calls, fd), [0])
        assert.strictEqual(yield* openFds, before)
      })
    )
  }

  it.live("closes it once, on interruption from outside, also while a call waits", () =>
    Effect.gen(function* () {
      const before = yield* openFds
      for (const wait of [
        () => Effect.never,
        (reader: File.File) => Effect.asVoid(File.read(reader, new Uint8Array(1)))
      ]) {
        let fd = -1
        const { calls } = yield* callsOf(
          Effect.gen(function* () {
            const fiber = yield* Effect.forkChild(
              Effect.scoped(
                Effect.gen(function* () {
                  const { reader } = yield* pipe
                  fd = yield* File.fd(reader)
                  yield* wait(reader)
                })
              ),
              { startImmediately: true }
            )
            assert.isTrue(isOpen(fd))
            yield* Fiber.interrupt(fiber)
          })
        )
        assert.deepStrictEqual(closesOf(calls, fd), [0])
      }
      assert.strictEqual(yield* openFds, before)
    })
  )

  it.live("closes files in the opposite order of their opening", () =>
    Effect.gen(function* () {
      let fds: ReadonlyArray<number> = []
      const { calls } = yield* callsOf(
        Effect.scoped(
          Effect.gen(function* () {
            const first = yield* File.open(target)
            const second = yield* File.open(target)
            fds = [yield* File.fd(first), yield* File.fd(second)]
          })
        )
      )
      assert.deepStrictEqual(
        calls.filter(({ name }) => name === "close").map(({ args }) => args[0]),
        [...fds].reverse()
      )
    })
  )

  it.live("that is closed already keeps nothing open", () =>
    Effect.gen(function* () {
      const before = yield* openFds
      const scope = yield* Scope.make()
      yield* Scope.close(scope, Exit.void)
      const file = yield* Scope.provide(File.open(target), scope)
      assert.strictEqual((yield* Effect.flip(File.fd(file)))._tag, "EBADF")
      assert.strictEqual(yield* openFds, before)
    })
  )

  it.live("is not disturbed by an error of close", () =>
    Effect.gen(function* () {
      const failing = Syscall.intercept(Syscall.kernel, (nr, _args, proceed) => {
        const result = proceed()
        return nr === Syscall.nr.close ? -5 : result
      })
      const before = yield* openFds
      const exit = yield* Effect.exit(Effect.scoped(Effect.as(File.open(target), "done"))).pipe(
        Effect.provideService(Syscall.Trampoline, failing)
      )
      assert.deepStrictEqual(exit, Exit.succeed("done"))
      assert.strictEqual(yield* openFds, before)
    })
  )
})

describe("a closed File", () => {
  for (const [name, operation] of Object.entries(operations)) {
    it.live(`answers EBADF to ${name}, and the kernel hears nothing of it`, () =>
      Effect.gen(function* () {
        const file = yield* File.open(yield* temporaryDirectory)
        const fd = yield* File.fd(file)
        yield* File.close(file)
        const { calls, result } = yield* callsOf(Effect.flip(Effect.scoped(operation(file))))
        assert.strictEqual(result._tag, "EBADF")
        assert.strictEqual(result.fd, fd)
        assert.include(result.message, "the File is closed")
        assert.deepStrictEqual(calls, [])
      })
    )
  }

  it.live("says so when it is printed", () =>
    Effect.gen(function* () {
      const file = yield* File.open(target)
      const fd = yield* File.fd(file)
      assert.strictEqual(String(file), `File(${fd})`)
      yield* File.close(file)
      assert.strictEqual(String(file), `File(${fd}, closed)`)
      assert.deepStrictEqual(JSON.parse(JSON.stringify(file)), { _id: "File", fd, closed: true })
    })
  )

  it.live("never touches the file that has its number now", () =>
    Effect.gen(function* () {
      const path = yield* temporaryPath
      writeFileSync(path, "untouched")
      const stale = yield* File.open(target)
      const number = yield* File.fd(stale)
      yield* File.close(stale)
      const heir = yield* File.open(path, { access: "readWrite" })
      // Linux gives the lowest free number.
      assert.strictEqual(yield* File.fd(heir), number)
      for (const operation of Object.values(operations)) {
        const error = yield* Effect.flip(Effect.scoped(operation(stale)))
        assert.strictEqual(error._tag, "EBADF")
      }
      assert.strictEqual(yield* File.seek(heir, File.Seek.current(0)), 0)
      assert.strictEqual(text(yield* File.readAll(heir)), "untouched")
      assert.strictEqual(readFileSync(path, "utf8"), "untouched")
    })
  )

  it.live("does not take the heir of its number with it when its scope closes", () =>
    Effect.gen(function* () {
      const outer = yield* Effect.scope
      const heir = yield* Effect.scoped(
        Effect.gen(function* () {
          const stale = yield* File.open(target)
          const number = yield* File.fd(stale)
          yield* File.close(stale)
          const next = yield* Scope.provide(File.open(target), outer)
          assert.strictEqual(yield* File.fd(next), number)
          return next
        })
      )
      assert.isTrue(isOpen(yield* File.fd(heir)))
      yield* File.stat(heir)
    })
  )
})

describe("File.close", () => {
  it.live("and then the scope close it once", () =>
    Effect.gen(function* () {
      let fd = -1
      const { calls } = yield* callsOf(
        Effect.scoped(
          Effect.gen(function* () {
            const file = yield* File.open(target)
            fd = yield* File.fd(file)
            yield* File.close(file)
            assert.isFalse(isOpen(fd))
          })
        )
      )
      assert.deepStrictEqual(closesOf(calls, fd), [0])
    })
  )

  it.live("called twice is EBADF the second time", () =>
    Effect.gen(function* () {
      const file = yield* File.open(target)
      yield* File.close(file)
      assert.strictEqual((yield* Effect.flip(File.close(file)))._tag, "EBADF")
    })
  )

  it.live("tells what the kernel says, and does not repeat a close that a signal interrupted", () =>
    Effect.gen(function* () {
      let closes = 0
      const interrupted = Syscall.intercept(Syscall.kernel, (nr, _args, proceed) => {
        const result = proceed()
        if (nr !== Syscall.nr.close) return result
        closes++
        return -4
      })
      const error = yield* Effect.flip(Effect.scoped(Effect.flatMap(File.open(target), File.close))).pipe(
        Effect.provideService(Syscall.Trampoline, interrupted)
      )
      assert.strictEqual(error._tag, "EINTR")
      assert.strictEqual(closes, 1)
    })
  )
})

describe("File.release", () => {
  it.live("gives the number away, and neither the scope nor the File closes it", () =>
    Effect.gen(function* () {
      const { calls, result: fd } = yield* callsOf(
        Effect.scoped(
          Effect.gen(function* () {
            const file = yield* File.open(target)
            const number = yield* File.release(file)
            assert.strictEqual((yield* Effect.flip(File.release(file)))._tag, "EBADF")
            assert.strictEqual((yield* Effect.flip(File.close(file)))._tag, "EBADF")
            assert.strictEqual((yield* Effect.flip(File.stat(file)))._tag, "EBADF")
            return number
          })
        )
      )
      assert.deepStrictEqual(closesOf(calls, fd), [])
      assert.strictEqual(readlinkSync(`/proc/self/fd/${fd}`), target)
      closeSync(fd)
    })
  )
})

describe("File.fromFd", () => {
  it.live("takes a descriptor over: the scope closes it", () =>
    Effect.gen(function* () {
      const fd = openSync(target, "r")
      const contents = yield* Effect.scoped(Effect.flatMap(File.fromFd(fd), File.readAll))
      assert.strictEqual(text(contents), readFileSync(target, "utf8"))
      assert.isFalse(isOpen(fd))
    })
  )

  it.live("takes over what was released", () =>
    Effect.gen(function* () {
      const before = yield* openFds
      const fd = yield* Effect.scoped(Effect.flatMap(File.open(target), File.release))
      yield* Effect.scoped(Effect.flatMap(File.fromFd(fd), File.stat))
      assert.strictEqual(yield* openFds, before)
    })
  )

  for (const fd of [-1, 1_000_000, 0.5, 2 ** 32, Number.NaN]) {
    it.live(`refuses ${fd}, which is no open descriptor, and closes nothing`, () =>
      Effect.gen(function* () {
        const { calls, result } = yield* callsOf(Effect.flip(Effect.scoped(File.fromFd(fd))))
        assert.strictEqual(result._tag, "EBADF")
        assert.isEmpty(calls.filter(({ name }) => name === "close"))
      })
    )
  }
})

describe("File.borrow", () => {
  it.live("uses a descriptor and leaves it to its owner", () =>
    Effect.gen(function* () {
      const fd = openSync(target, "r")
      const { calls } = yield* callsOf(
        Effect.scoped(
          Effect.gen(function* () {
            const file = yield* File.borrow(fd)
            assert.strictEqual(yield* File.fd(file), fd)
            assert.isAbove((yield* File.readAll(file)).length, 0)
          })
        )
      )
      assert.deepStrictEqual(closesOf(calls, fd), [])
      assert.isTrue(isOpen(fd))
      closeSync(fd)
    })
  )

  it.live("refuses a number that is no open descriptor", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(File.borrow(1_000_000)))._tag, "EBADF")
      assert.strictEqual((yield* Effect.flip(File.borrow(-1)))._tag, "EBADF")
    })
  )

  it.live("of a string is a defect", () =>
    Effect.gen(function* () {
      // @ts-expect-error that is what the types are for
      const exit = yield* Effect.exit(File.borrow("1"))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    })
  )
})

describe("an error of an operation", () => {
  it.live("tells the call and the descriptor", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const fd = yield* File.fd(file)
      const error = yield* Effect.flip(File.truncate(file, -1))
      assert.strictEqual(error.message, `ftruncate(${fd}): EINVAL, invalid argument`)
      const { writer } = yield* pipe
      const spipe = yield* Effect.flip(File.pwrite(writer, utf8("x"), 0))
      assert.strictEqual(spipe.message, `pwrite64(${yield* File.fd(writer)}): ESPIPE, illegal seek`)
    })
  )
})

describe("writing nothing", () => {
  it.live("to a closed File is EBADF as well", () =>
    Effect.gen(function* () {
      const file = yield* Effect.scoped(File.open("/dev/null", { access: "write" }))
      assert.strictEqual((yield* Effect.flip(File.writeAll(file, new Uint8Array())))._tag, "EBADF")
    })
  )
})
