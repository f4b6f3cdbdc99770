/** Pseudo-terminals, with programs on them. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { File, Ioctl, Pty, Tty } from "../src/index.ts"
import { text, utf8 } from "./support/files.ts"
import { openFds } from "./support/process.ts"

/** Reads until the text has come. */
const until = (master: Pty.Master, end: string) =>
  Effect.gen(function* () {
    const buffer = new Uint8Array(4096)
    let all = ""
    while (!all.includes(end)) all += text(buffer.subarray(0, yield* File.read(master, buffer)))
    return all
  })

const ended = (child: ChildProcess): Effect.Effect<number | null> =>
  Effect.callback((resume) => {
    child.once("exit", (code) => resume(Effect.succeed(code)))
  })

/** A program on a terminal; `ctty` makes it the controlling one of a session of the program's own. */
const onTerminal = (slave: Tty.Tty, command: string, ctty = false) =>
  Effect.acquireRelease(
    Effect.map(File.fd(slave), (fd) => {
      const [file, args] = ctty ? ["setsid", ["--ctty", "--wait", "sh", "-c", command]] : ["sh", ["-c", command]]
      return spawn(file as string, args as Array<string>, { stdio: [fd, fd, fd], env: { ...process.env, PS1: "$ " } })
    }),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

const hasSetsid = spawnSync("setsid", ["--help"], { encoding: "utf8" }).stdout?.includes("--ctty") === true

describe("Pty.open", () => {
  it.live("gives two ends: what is written to one is read from the other", () =>
    Effect.gen(function* () {
      const { master, path, slave } = yield* Pty.open({ windowSize: { rows: 30, columns: 90, xpixel: 7 } })
      assert.match(path, /^\/dev\/pts\/\d+$/)
      assert.strictEqual(yield* File.ioctl(master, Ioctl.Terminal.TIOCGPTLCK), 0)
      assert.deepStrictEqual(yield* Tty.windowSize(slave), { rows: 30, columns: 90, xpixel: 7, ypixel: 0 })
      yield* File.write(master, utf8("typed\n"))
      const buffer = new Uint8Array(100)
      assert.strictEqual(text(buffer.subarray(0, yield* File.read(slave, buffer))), "typed\n")
      // The echo, with its carriage return.
      assert.strictEqual(text(buffer.subarray(0, yield* File.read(master, buffer))), "typed\r\n")
    })
  )

  it.live("has the modes that it is given", () =>
    Effect.gen(function* () {
      const { slave } = yield* Pty.open({ attributes: Tty.rawChanges })
      assert.deepInclude(yield* Tty.attributes(slave), { echo: false, icanon: false, opost: false })
      const error = yield* Effect.flip(Effect.scoped(Pty.open({ attributes: { intr: 300 } })))
      assert.strictEqual(error._tag, "EINVAL")
    })
  )

  it.live("closes both ends with the scope, and whatever was open when it is interrupted", () =>
    Effect.gen(function* () {
      yield* Effect.scoped(Pty.open())
      const before = yield* openFds
      yield* Effect.scoped(Pty.open())
      for (let round = 0; round < 40; round++) {
        const fiber = yield* Effect.forkChild(Effect.scoped(Effect.andThen(Pty.open(), Effect.never)))
        for (let turns = 0; turns < round % 8; turns++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
      }
      assert.strictEqual(yield* openFds, before)
      const { slave } = yield* Effect.scoped(Pty.open())
      assert.strictEqual((yield* Effect.flip(Tty.windowSize(slave)))._tag, "EBADF")
    })
  )

  it.live("waits for what is typed and printed off the loop, interruptibly, on either end", () =>
    Effect.gen(function* () {
      const { master, slave } = yield* Pty.open()
      for (const end of [master, slave]) {
        const reading = yield* Effect.forkChild(File.read(end, new Uint8Array(10)))
        yield* Effect.yieldNow
        assert.isUndefined(reading.pollUnsafe())
        yield* Fiber.interrupt(reading)
      }
      // Both are as good as before.
      const buffer = new Uint8Array(10)
      const reading = yield* Effect.forkChild(File.read(slave, buffer))
      yield* File.write(master, utf8("x\n"))
      assert.strictEqual(yield* Fiber.join(reading), 2)
      // And a read that waits ends when its end is closed.
      const waiting = yield* Effect.forkChild(Effect.flip(File.read(slave, buffer)))
      yield* Effect.yieldNow
      yield* File.close(slave)
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "EBADF")
    })
  )
})

describe("Pty.output", () => {
  it.live("is all that a program prints, to its end", () =>
    Effect.gen(function* () {
      const { master, slave } = yield* Pty.open()
      const child = yield* onTerminal(slave, "test -t 0 && test -t 1 && seq 1 5000; tty")
      yield* File.close(slave)
      const printed = yield* Stream.mkString(Stream.decodeText(Pty.output(master)))
      const lines = printed.split("\r\n")
      assert.deepStrictEqual(lines.slice(0, 3), ["1", "2", "3"])
      assert.strictEqual(lines[4999], "5000")
      assert.strictEqual(lines[5000], yield* Pty.slavePath(master))
      assert.strictEqual(yield* Effect.sync(() => child.killed), false)
    })
  )

  it.live("ends at once where nobody has the slave open", () =>
    Effect.gen(function* () {
      const { master, slave } = yield* Pty.open()
      yield* File.write(slave, utf8("last words"))
      yield* File.close(slave)
      assert.strictEqual(yield* Stream.mkString(Stream.decodeText(Pty.output(master))), "last words")
      assert.strictEqual((yield* Effect.flip(File.read(master, new Uint8Array(1))))._tag, "EIO")
    })
  )
})

describe.skipIf(!hasSetsid)(`a shell on a pseudo-terminal${hasSetsid ? "" : " (skipped: no setsid --ctty)"}`, () => {
  it.live("is talked to, knows its window, is told when that changes, and is interrupted by ^C", () =>
    Effect.gen(function* () {
      const { master, slave } = yield* Pty.open({ windowSize: { rows: 33, columns: 77 } })
      const program =
        "trap 'stty size' WINCH; trap 'echo caught' INT; stty size; while :; do read x && echo \"got $x\" && test \"$x\" = end && exit 7; done"
      const child = yield* onTerminal(slave, program, true)
      const exit = yield* Effect.forkChild(ended(child))
      yield* File.close(slave)
      assert.include(yield* until(master, "33 77"), "33 77\r\n")
      // The session is the shell's, and it is in the foreground.
      assert.isAbove(yield* Tty.foregroundGroup(master), 1)
      assert.strictEqual(yield* Tty.session(master), yield* Tty.foregroundGroup(master))
      yield* File.write(master, utf8("hello\n"))
      yield* until(master, "got hello")
      yield* Tty.setWindowSize(master, { rows: 40, columns: 100 })
      // The signal interrupts nothing that a shell would not go on with: a line makes it look.
      yield* File.write(master, utf8("again\n"))
      yield* until(master, "40 100")
      yield* File.write(master, Uint8Array.of(3))
      yield* File.write(master, utf8("more\n"))
      yield* until(master, "caught")
      yield* File.write(master, utf8("end\n"))
      const rest = yield* Stream.mkString(Stream.decodeText(Pty.output(master)))
      assert.include(rest, "got end")
      assert.strictEqual(yield* Fiber.join(exit), 7)
    })
  )
})
