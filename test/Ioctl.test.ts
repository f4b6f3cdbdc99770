/** Request numbers against the C compiler's, and requests made of real devices. */

import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { File, Ioctl, Struct, Syscall } from "../src/index.ts"
import { pipe, temporaryFile, text, utf8 } from "./support/files.ts"

/** What C expressions are worth, each as an unsigned number. */
const evaluate = (includes: ReadonlyArray<string>, expressions: ReadonlyArray<string>): ReadonlyArray<number> => {
  const directory = mkdtempSync(join(tmpdir(), "effect-linux-"))
  try {
    const program = [
      "#include <stdio.h>",
      ...includes.map((name) => `#include <${name}>`),
      "int main(void) {",
      ...expressions.map((expression) => `printf("%lu\\n", (unsigned long)(unsigned int)(${expression}));`),
      "}"
    ]
    writeFileSync(join(directory, "program.c"), program.join("\n"))
    execFileSync("gcc", ["-o", join(directory, "program"), join(directory, "program.c")])
    return execFileSync(join(directory, "program"), { encoding: "utf8" }).trim().split("\n").map(Number)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

const termios2Size = 44

describe("request numbers", () => {
  it("are those of the kernel's headers, for requests of every kind", () => {
    const { _IO, _IOR, _IOW, _IOWR } = Ioctl
    const requests: ReadonlyArray<readonly [expression: string, code: number]> = [
      ["KVM_GET_API_VERSION", _IO(0xae, 0x00)],
      ["KVM_RUN", _IO(0xae, 0x80)],
      ["KVM_GET_REGS", _IOR(0xae, 0x81, 144)],
      ["FIFREEZE", _IOWR("X", 119, 4)],
      ["FS_IOC_FIEMAP", _IOWR("f", 11, 32)],
      ["FS_IOC_GETFLAGS", _IOR("f", 1, 8)],
      ["FS_IOC_SETFLAGS", _IOW("f", 2, 8)],
      ["FICLONE", _IOW(0x94, 9, Struct.i32)],
      ["FICLONERANGE", _IOW(0x94, 13, 32)],
      ["FIDEDUPERANGE", _IOWR(0x94, 54, 24)],
      ["BLKGETSIZE64", _IOR(0x12, 114, Struct.u64)],
      ["BLKROGET", _IO(0x12, 94)],
      ["RNDGETENTCNT", _IOR("R", 0, Struct.i32)],
      ["RNDADDENTROPY", _IOW("R", 3, 8)],
      ["TIOCGPTN", _IOR("T", 0x30, Struct.u32)],
      ["TIOCSPTLCK", _IOW("T", 0x31, Struct.i32)],
      ["TCGETS2", _IOR("T", 0x2a, termios2Size)],
      ["TUNSETIFF", _IOW("T", 202, Struct.i32)],
      ["WDIOC_SETTIMEOUT", _IOWR("W", 6, Struct.i32)],
      ["LOOP_CTL_GET_FREE", 0x4c82]
    ]
    const values = evaluate(
      [
        "sys/ioctl.h",
        "asm/termbits.h",
        "linux/fs.h",
        "linux/fiemap.h",
        "linux/random.h",
        "linux/if_tun.h",
        "linux/watchdog.h",
        "linux/loop.h",
        ...(process.arch === "x64" ? ["linux/kvm.h"] : [])
      ],
      requests.map(([expression]) => (process.arch !== "x64" && expression.startsWith("KVM") ? "0" : expression))
    )
    for (const [index, [expression, code]] of requests.entries()) {
      if (process.arch !== "x64" && expression.startsWith("KVM")) continue
      assert.strictEqual(code.toString(16), values[index]?.toString(16), expression)
    }
  })

  it("are what the macros make at the ends of each field's range", () => {
    const corners = [
      [0, 0, 0],
      [255, 255, 16383],
      [1, 2, 3],
      [128, 127, 8192]
    ] as const
    const macro = (name: string, access: number) =>
      corners.map(([type, nr, size]) => `_IOC(${access}, ${type}, ${nr}, ${name === "_IO" ? 0 : size})`)
    const expected = evaluate(
      ["sys/ioctl.h"],
      [...macro("_IO", 0), ...macro("_IOW", 1), ...macro("_IOR", 2), ...macro("_IOWR", 3)]
    )
    const actual = [
      ...corners.map(([type, nr]) => Ioctl._IO(type, nr)),
      ...corners.map(([type, nr, size]) => Ioctl._IOW(type, nr, size)),
      ...corners.map(([type, nr, size]) => Ioctl._IOR(type, nr, size)),
      ...corners.map(([type, nr, size]) => Ioctl._IOWR(type, nr, size))
    ]
    assert.deepStrictEqual(actual, expected)
  })

  const field = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

  it.prop(
    "follow the formula: direction, size, type, number",
    { type: field(255), number: field(255), size: field(16383) },
    ({ number, size, type }) => {
      const rest = size * 65536 + type * 256 + number
      assert.strictEqual(Ioctl._IO(type, number), type * 256 + number)
      assert.strictEqual(Ioctl._IOW(type, number, size), 2 ** 30 + rest)
      assert.strictEqual(Ioctl._IOR(type, number, size), 2 ** 31 + rest)
      assert.strictEqual(Ioctl._IOWR(type, number, size), 2 ** 31 + 2 ** 30 + rest)
      assert.strictEqual(Ioctl._IO(String.fromCharCode(type), number), Ioctl._IO(type, number))
      assert.strictEqual(Ioctl._IOR(type, number, Struct.bytes(size)), Ioctl._IOR(type, number, size))
    }
  )

  it("are refused where a part does not fit, with its name", () => {
    for (const type of [-1, 256, 0.5, Number.NaN, "", "ab", "ł"]) {
      assert.throws(() => Ioctl._IO(type, 0), RangeError, "type")
    }
    for (const number of [-1, 256, 0.5, Number.NaN]) {
      assert.throws(() => Ioctl._IO("T", number), RangeError, "number")
    }
    for (const size of [-1, 16384, 0.5, Number.POSITIVE_INFINITY]) {
      assert.throws(() => Ioctl._IOR("T", 0, size), RangeError, "size")
      assert.throws(() => Ioctl._IOW("T", 0, size), RangeError, "size")
      assert.throws(() => Ioctl._IOWR("T", 0, size), RangeError, "size")
    }
    assert.throws(() => Ioctl._IOR("T", 0, Struct.bytes(16384)), RangeError, "size")
  })
})

const AnyFile: Ioctl.AnyDevice = Ioctl.device("AnyFile")
const FIONREAD = Ioctl.read(AnyFile, 0x541b, Struct.i32, { name: "FIONREAD" })

const Terminal = Ioctl.device("Terminal")
const PseudoTerminal = Ioctl.subDevice("PseudoTerminal", Terminal)
const Random = Ioctl.device("Random")

const winsize = Struct.make("winsize", {
  ws_row: Struct.u16,
  ws_col: Struct.u16,
  ws_xpixel: Struct.u16,
  ws_ypixel: Struct.u16
})
const TIOCGWINSZ = Ioctl.read(Terminal, 0x5413, winsize, { name: "TIOCGWINSZ" })
const TIOCSWINSZ = Ioctl.write(Terminal, 0x5414, winsize, { name: "TIOCSWINSZ" })
const TIOCGPTN = Ioctl.read(PseudoTerminal, Ioctl._IOR("T", 0x30, Struct.u32), Struct.u32, { name: "TIOCGPTN" })
const TIOCSPTLCK = Ioctl.write(PseudoTerminal, Ioctl._IOW("T", 0x31, Struct.i32), Struct.i32, { name: "TIOCSPTLCK" })
const TIOCGPTLCK = Ioctl.read(PseudoTerminal, Ioctl._IOR("T", 0x39, Struct.i32), Struct.i32)
const TIOCGPTPEER = Ioctl.value(PseudoTerminal, Ioctl._IO("T", 0x41), { name: "TIOCGPTPEER" })
const RNDGETENTCNT = Ioctl.read(Random, Ioctl._IOR("R", 0, Struct.i32), Struct.i32)

const openPty = Effect.map(File.open("/dev/ptmx", { access: "readWrite", noControllingTty: true }), (file) =>
  File.asDevice(file, PseudoTerminal)
)

describe("File.ioctl", () => {
  it.live("reads what the kernel writes: how much waits in a pipe", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* pipe
      assert.strictEqual(yield* File.ioctl(reader, FIONREAD), 0)
      yield* File.write(writer, new Uint8Array(300))
      assert.strictEqual(yield* File.ioctl(reader, FIONREAD), 300)
    })
  )

  it.live("makes its memory anew for each call", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* pipe
      const asked = File.ioctl(reader, FIONREAD)
      yield* File.write(writer, new Uint8Array(1))
      const answers = yield* Effect.all([asked, File.write(writer, new Uint8Array(1)), asked])
      assert.deepStrictEqual(answers, [1, 1, 2])
    })
  )

  it.live("opens a terminal by its numbers: reads a number, writes a lock, passes a value", () =>
    Effect.gen(function* () {
      const pty = yield* openPty
      const number = yield* File.ioctl(pty, TIOCGPTN)
      const locked = yield* Effect.flip(
        File.open(`/dev/pts/${number}`, { access: "readWrite", noControllingTty: true })
      )
      assert.strictEqual(locked.errno, 5)
      assert.strictEqual(yield* File.ioctl(pty, TIOCGPTLCK), 1)
      assert.strictEqual(yield* File.ioctl(pty, TIOCSPTLCK, 0), 0)
      assert.strictEqual(yield* File.ioctl(pty, TIOCGPTLCK), 0)
      const peer = yield* Effect.flatMap(
        File.ioctl(pty, TIOCGPTPEER, Syscall.O_RDWR | Syscall.O_NOCTTY | Syscall.O_CLOEXEC),
        File.fromFd
      )
      yield* File.write(peer, utf8("hello"))
      const buffer = new Uint8Array(10)
      const count = yield* File.read(pty, buffer)
      assert.strictEqual(text(buffer.subarray(0, count)), "hello")
    })
  )

  it.live("writes and reads a structure: the size of a terminal's window", () =>
    Effect.gen(function* () {
      const pty = yield* openPty
      const size = { ws_row: 50, ws_col: 132, ws_xpixel: 640, ws_ypixel: 480 }
      assert.strictEqual(yield* File.ioctl(pty, TIOCSWINSZ, size), 0)
      assert.deepStrictEqual(yield* File.ioctl(pty, TIOCGWINSZ), size)
    })
  )

  it.live("asks the kernel's random numbers how much entropy they have", () =>
    Effect.gen(function* () {
      const random = File.asDevice(yield* File.open("/dev/random"), Random)
      const bits = yield* File.ioctl(random, RNDGETENTCNT)
      assert.isAtLeast(bits, 0)
      assert.isAtMost(bits, 4096)
    })
  )

  it.live("writes and reads the same memory: a device that is told where the next extent lies", () =>
    Effect.gen(function* () {
      // FS_IOC_FIEMAP with room for no extent: the kernel counts them and gives the request back, filled in.
      const fiemap = Struct.make("fiemap", {
        fm_start: Struct.u64,
        fm_length: Struct.u64,
        fm_flags: Struct.u32,
        fm_mapped_extents: Struct.u32,
        fm_extent_count: Struct.u32,
        fm_reserved: Struct.padding(4)
      })
      const request = Ioctl.writeRead(AnyFile, Ioctl._IOWR("f", 11, fiemap), fiemap, { name: "FS_IOC_FIEMAP" })
      const file = yield* temporaryFile
      yield* File.write(file, new Uint8Array(4096))
      const question = { fm_start: 0n, fm_length: 4096n, fm_flags: 1, fm_mapped_extents: 0, fm_extent_count: 0 }
      const answer = yield* File.ioctl(file, request, question).pipe(
        // Not every file system can say.
        Effect.catchTag("OtherErrno", ({ code }) =>
          code === "EOPNOTSUPP" ? Effect.succeed({ ...question, fm_mapped_extents: 1 }) : Effect.die(code)
        ),
        Effect.catchTag("ENOTTY", () => Effect.succeed({ ...question, fm_mapped_extents: 1 }))
      )
      assert.deepStrictEqual(answer, { ...question, fm_mapped_extents: 1 })
    })
  )

  it.live("is ENOTTY where the driver knows nothing of it, and the error names the request", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const fd = yield* File.fd(file)
      const error = yield* Effect.flip(File.ioctl(File.asDevice(file, Terminal), TIOCGWINSZ))
      assert.strictEqual(error._tag, "ENOTTY")
      assert.strictEqual(error.fd, fd)
      assert.strictEqual(error.message, `ioctl(${fd}): ENOTTY, not a typewriter: TIOCGWINSZ`)
      // Without a name it is the number.
      const nameless = Ioctl.none(AnyFile, 0x5499)
      assert.include((yield* Effect.flip(File.ioctl(file, nameless))).message, "0x5499")
    })
  )

  it.live("refuses what does not fit the layout with EINVAL, by the field's name, and does not call the kernel", () =>
    Effect.gen(function* () {
      const pty = yield* openPty
      const calls: Array<string> = []
      const recording = Syscall.record(Syscall.kernel, ({ name }) => calls.push(name))
      const size = { ws_row: 65536, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 }
      const error = yield* Effect.flip(File.ioctl(pty, TIOCSWINSZ, size)).pipe(
        Effect.provideService(Syscall.Trampoline, recording)
      )
      assert.strictEqual(error._tag, "EINVAL")
      assert.include(error.message, "TIOCSWINSZ.ws_row: ")
      assert.deepStrictEqual(calls, [])
    })
  )
})
