/** Terminals: the kernel's own, made with `Pty`. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Scope } from "effect"
import { File, type File as FileModule, Ioctl, Pty, Syscall, Tty } from "../src/index.ts"
import { pipe, temporaryFile, text, utf8 } from "./support/files.ts"

const pty = Pty.open()

describe("Tty.isTerminal", () => {
  it.live("is true of both ends of a pseudo-terminal, and of nothing else", () =>
    Effect.gen(function* () {
      const { master, slave } = yield* pty
      assert.isTrue(yield* Tty.isTerminal(slave))
      assert.isTrue(yield* Tty.isTerminal(master))
      assert.isFalse(yield* Tty.isTerminal(yield* temporaryFile))
      assert.isFalse(yield* Tty.isTerminal((yield* pipe).reader))
      assert.isFalse(yield* Tty.isTerminal(yield* File.open("/dev/null")))
      yield* File.close(slave)
      assert.strictEqual((yield* Effect.flip(Tty.isTerminal(slave)))._tag, "EBADF")
    })
  )

  it.live("makes a file a terminal only where it is one", () =>
    Effect.gen(function* () {
      const { path } = yield* pty
      const terminal = yield* Tty.open(path)
      assert.strictEqual((yield* Tty.windowSize(terminal)).rows, 24)
      const error = yield* Effect.flip(Tty.fromFile(yield* temporaryFile))
      assert.strictEqual(error._tag, "ENOTTY")
      assert.strictEqual((yield* Effect.flip(Tty.open("/dev/null")))._tag, "ENOTTY")
    })
  )
})

describe("modes", () => {
  it.live("are told in the words of stty", () =>
    Effect.gen(function* () {
      const { slave } = yield* pty
      const modes = yield* Tty.attributes(slave)
      assert.deepInclude(modes, {
        icanon: true,
        echo: true,
        isig: true,
        icrnl: true,
        opost: true,
        onlcr: true,
        cread: true,
        csize: 8,
        parenb: false,
        tabdly: 0,
        ispeed: 38_400,
        ospeed: 38_400,
        intr: 3,
        eof: 4,
        erase: 127,
        line: Ioctl.Terminal.N_TTY
      })
    })
  )

  it.live("are changed one by one, to what stty reads", () =>
    Effect.gen(function* () {
      const { slave } = yield* pty
      const before = yield* Tty.attributes(slave)
      const changes = { echo: false, tabdly: 3, intr: 24, ospeed: 12_345, ispeed: 12_345, eof: 0 } as const
      yield* Tty.setAttributes(slave, changes)
      assert.deepStrictEqual(yield* Tty.attributes(slave), { ...before, ...changes })
      yield* Tty.setAttributes(slave, { echo: true, tabdly: 0, noflsh: undefined }, "drain")
      yield* Tty.setAttributes(slave, { intr: 3 }, "flush")
      assert.deepStrictEqual(yield* Tty.attributes(slave), { ...before, ispeed: 12_345, ospeed: 12_345, eof: 0 })
    })
  )

  it.live("that no terminal has are EINVAL, by name; what is no mode is a defect", () =>
    Effect.gen(function* () {
      const { slave } = yield* pty
      const before = yield* Tty.attributes(slave)
      for (const changes of [{ intr: 256 }, { min: -1 }, { tabdly: 4 }, { ospeed: 2 ** 32 }, { time: 0.5 }]) {
        const error = yield* Effect.flip(Tty.setAttributes(slave, changes))
        assert.strictEqual(error._tag, "EINVAL")
        assert.include(error.message, Object.keys(changes).join())
        assert.strictEqual((yield* Effect.flip(Effect.scoped(Tty.changed(slave, changes))))._tag, "EINVAL")
      }
      for (const changes of [{ echoo: true }, { echo: 1 }, { intr: "c" }, { min: true }]) {
        const exit = yield* Effect.exit(Tty.setAttributes(slave, changes as Tty.Changes))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause), JSON.stringify(changes))
      }
      assert.deepStrictEqual(yield* Tty.attributes(slave), before)
    })
  )
})

describe("Tty.raw", () => {
  const isRaw = (tty: Tty.Tty) => Effect.map(Tty.attributes(tty), ({ echo, icanon, isig }) => !(echo || icanon || isig))

  it.live("reads each byte as it comes, and changes none", () =>
    Effect.gen(function* () {
      const { master, slave } = yield* pty
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Tty.raw(slave)
          yield* File.write(master, Uint8Array.of(3, 13, 4))
          const buffer = new Uint8Array(10)
          const count = yield* File.read(slave, buffer)
          assert.deepStrictEqual([...buffer.subarray(0, count)], [3, 13, 4])
          yield* File.write(slave, utf8("a\n"))
          const printed = yield* File.read(master, buffer)
          assert.strictEqual(text(buffer.subarray(0, printed)), "a\n")
        })
      )
      yield* File.write(slave, utf8("a\n"))
      const buffer = new Uint8Array(10)
      const printed = yield* File.read(master, buffer)
      assert.strictEqual(text(buffer.subarray(0, printed)), "a\r\n")
    })
  )

  it.live("ends with the scope: by success, failure, defect and interruption", () =>
    Effect.gen(function* () {
      const { slave } = yield* pty
      yield* Tty.setAttributes(slave, { echoe: false, intr: 5 })
      const before = yield* Tty.attributes(slave)
      const during = Effect.andThen(Tty.raw(slave), isRaw(slave))
      const ways: ReadonlyArray<(raw: Effect.Effect<boolean, unknown>) => Effect.Effect<unknown, unknown>> = [
        (raw) => Effect.map(raw, (is) => assert.isTrue(is)),
        (raw) => Effect.andThen(raw, Effect.fail("failure")),
        (raw) => Effect.andThen(raw, Effect.die("defect")),
        (raw) => Effect.andThen(raw, Effect.interrupt)
      ]
      for (const way of ways) {
        yield* Effect.exit(
          Effect.scoped(Effect.flatMap(Effect.scope, (scope) => way(Effect.provideService(during, Scope.Scope, scope))))
        )
        assert.deepStrictEqual(yield* Tty.attributes(slave), before)
      }
    })
  )

  it.live("is never left by an interruption, whenever that comes", () =>
    Effect.gen(function* () {
      const { slave } = yield* pty
      const before = yield* Tty.attributes(slave)
      for (let round = 0; round < 50; round++) {
        const fiber = yield* Effect.forkChild(
          Effect.scoped(
            Effect.andThen(
              Tty.changed(slave, Tty.rawChanges, round % 2 === 0 ? "now" : "flush"),
              File.read(slave, new Uint8Array(1))
            )
          )
        )
        for (let turns = 0; turns < round % 5; turns++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* Tty.attributes(slave), before)
      }
    })
  )

  it.live("can be within a change, and gives that back", () =>
    Effect.gen(function* () {
      const { slave } = yield* pty
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Tty.changed(slave, { echo: false })
          yield* Effect.scoped(Tty.raw(slave))
          assert.deepInclude(yield* Tty.attributes(slave), { echo: false, icanon: true })
        })
      )
      assert.deepInclude(yield* Tty.attributes(slave), { echo: true, icanon: true })
    })
  )

  it.live("ends quietly where the terminal is gone", () =>
    Effect.gen(function* () {
      const { master, slave } = yield* pty
      yield* Effect.scoped(Effect.andThen(Tty.raw(slave), File.close(master)))
      yield* Effect.scoped(
        Effect.flatMap(pty, (other) => Effect.andThen(Tty.raw(other.slave), File.close(other.slave)))
      )
    })
  )
})

describe("the window and the queues", () => {
  it.live("have a size, which is set and told", () =>
    Effect.gen(function* () {
      const { master, slave } = yield* pty
      yield* Tty.setWindowSize(master, { rows: 50, columns: 132 })
      assert.deepStrictEqual(yield* Tty.windowSize(slave), { rows: 50, columns: 132, xpixel: 0, ypixel: 0 })
      const error = yield* Effect.flip(Tty.setWindowSize(slave, { rows: 65_536, columns: 1 }))
      assert.strictEqual(error._tag, "EINVAL")
      assert.include(error.message, "ws_row")
    })
  )

  it.live("tell what waits, and drop it", () =>
    Effect.gen(function* () {
      const { master, slave } = yield* pty
      // The kernel takes what is typed in its own time: the echo says that it has.
      const echo = Effect.fnUntraced(function* (length: number) {
        for (let done = 0; done < length; ) done += yield* File.read(master, new Uint8Array(length - done))
      })
      yield* File.write(master, utf8("no line yet"))
      yield* echo(11)
      assert.strictEqual(yield* Tty.readable(slave), 0)
      yield* File.write(master, utf8("\n"))
      yield* echo(2)
      assert.strictEqual(yield* Tty.readable(slave), 12)
      yield* Tty.flush(slave, "input")
      assert.strictEqual(yield* Tty.readable(slave), 0)
      yield* Tty.drain(slave)
      assert.strictEqual(yield* Tty.unsent(slave), 0)
      const exit = yield* Effect.exit(Tty.flush(slave, "everything" as "both"))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    })
  )

  it.live("stop and start the output", () =>
    Effect.gen(function* () {
      const { master, slave } = yield* pty
      yield* Tty.flow(slave, "stopOutput")
      const writing = yield* Effect.forkChild(File.write(slave, utf8("later")))
      yield* Effect.yieldNow
      assert.isUndefined(writing.pollUnsafe())
      yield* Tty.flow(slave, "startOutput")
      assert.strictEqual(yield* Fiber.join(writing), 5)
      const buffer = new Uint8Array(10)
      assert.strictEqual(text(buffer.subarray(0, yield* File.read(master, buffer))), "later")
    })
  )

  it.live("belong to no session until somebody takes them", () =>
    Effect.gen(function* () {
      const { master, slave } = yield* pty
      assert.strictEqual((yield* Effect.flip(Tty.foregroundGroup(slave)))._tag, "ENOTTY")
      assert.strictEqual(yield* Tty.foregroundGroup(master), 0)
      assert.strictEqual((yield* Effect.flip(Tty.session(slave)))._tag, "ENOTTY")
      assert.strictEqual((yield* Effect.flip(Tty.setForegroundGroup(slave, process.pid)))._tag, "ENOTTY")
    })
  )
})

describe("types", () => {
  /** Type-checked and never run. */
  const compiles = (_: () => unknown): void => {}
  const file = undefined as unknown as FileModule.File
  const tty = undefined as unknown as Tty.Tty
  const master = undefined as unknown as Pty.Master

  it("let only terminals be asked", () => {
    compiles(() => [Tty.isTerminal(file), Tty.fromFile(file), Tty.raw(tty), Tty.raw(master)])
    // @ts-expect-error not every file is a terminal
    compiles(() => Tty.raw(file))
    // @ts-expect-error no mode of that name
    compiles(() => Tty.setAttributes(tty, { ehco: true }))
    // @ts-expect-error it is on or off
    compiles(() => Tty.setAttributes(tty, { echo: 1 }))
    // @ts-expect-error a character has 5 to 8 bits
    compiles(() => Tty.setAttributes(tty, { csize: 9 }))
    // @ts-expect-error no such moment
    compiles(() => Tty.setAttributes(tty, {}, "later"))
    // @ts-expect-error a terminal is no master
    compiles(() => Pty.slavePath(tty))
    assert.isNumber(Syscall.O_NOCTTY)
  })
})
