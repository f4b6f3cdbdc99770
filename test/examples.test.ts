/** The programs of `examples/`, run as a newcomer would: as they were compiled by `npm run build:programs`. */
import { spawn, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { temporaryPath } from "./support/files.ts"
import { asm } from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"

const programs = fileURLToPath(new URL("../.build/programs/examples", import.meta.url))

/** The command line of an example. */
const example = (name: string, ...args: ReadonlyArray<string>): ReadonlyArray<string> => {
  const path = join(programs, `${name}.js`)
  if (!existsSync(path)) throw new Error(`${path} is not there: "npm run build:programs" makes it`)
  return [process.execPath, path, ...args]
}

interface Outcome {
  readonly pid: number | undefined
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

const run = ([file = "", ...args]: ReadonlyArray<string>): Effect.Effect<Outcome> =>
  Effect.callback((resume) => {
    const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] })
    const stdout: Array<Buffer> = []
    const stderr: Array<Buffer> = []
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk))
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk))
    child.on("error", (error) => resume(Effect.die(error)))
    child.on("close", (code) =>
      resume(
        Effect.succeed({
          pid: child.pid,
          code,
          stdout: Buffer.concat(stdout),
          stderr: Buffer.concat(stderr).toString()
        })
      )
    )
    return Effect.sync(() => {
      child.kill("SIGKILL")
    })
  })

/** The lines of an output that ends with a newline. */
const linesOf = (output: Buffer | string): ReadonlyArray<string> => {
  const lines = output.toString().split("\n")
  assert.strictEqual(lines.pop(), "", "the output ends with a newline")
  return lines
}

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-linux-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

/**
 * Runs a command where `/dev` is a directory of its own, in a mount namespace, after a line of shell has prepared that.
 * Undefined where this user may make no namespace.
 */
const withOwnDev = ((): ((prepare: string, command: ReadonlyArray<string>) => ReadonlyArray<string>) | undefined => {
  const script = "mount -t tmpfs none /dev || exit 99"
  for (const flags of [["-m"], ["-r", "-m"]]) {
    if (spawnSync("unshare", [...flags, "sh", "-c", script]).status === 0) {
      return (prepare, command) => [
        "unshare",
        ...flags,
        "sh",
        "-c",
        `${script}\n${prepare}\nexec "$@"`,
        "sh",
        ...command
      ]
    }
  }
  return undefined
})()

// Side by side: each is a process that mostly starts.
describe.concurrent("examples", () => {
  describeKvm("hello-kvm", () => {
    it.live("prints the greeting, the registers, the exits by kind and count, and that every file is closed", () =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* run(example("hello-kvm"))
        assert.strictEqual(stderr, "")
        assert.strictEqual(code, 0)
        const lines = linesOf(stdout)
        assert.strictEqual(lines[0], "Hello from a KVM guest!")

        const registers = lines.slice(lines.indexOf("registers:") + 1, lines.indexOf("exits:"))
        const values = new Map(registers.map((line) => line.trim().split(/ +/) as [string, string]))
        const names = "rax rbx rcx rdx rsi rdi rsp rbp r8 r9 r10 r11 r12 r13 r14 r15 rip rflags".split(" ")
        assert.deepStrictEqual([...values.keys()], names)
        // The last character, the port, the counter run out, the instruction after hlt.
        assert.deepStrictEqual(
          ["rax", "rdx", "rcx", "rip"].map((name) => values.get(name)),
          ["0xa", "0x3f8", "0x0", "0x100e"]
        )

        const exits = lines.slice(lines.indexOf("exits:") + 1, -1).map((line) => line.trim().split(/ +/))
        assert.deepStrictEqual(exits, [
          ["Io", String("Hello from a KVM guest!\n".length)],
          ["Hlt", "1"]
        ])
        assert.strictEqual(lines.at(-1), "every file descriptor is closed again")
      })
    )
  })

  describeKvm("serial-console", () => {
    it.live("asks for a name and greets whoever is there", () =>
      Effect.gen(function* () {
        const command = `echo Ada | ${example("serial-console").join(" ")}`
        const { code, stderr, stdout } = yield* run(["sh", "-c", command])
        assert.strictEqual(stderr, "")
        assert.strictEqual(code, 0)
        assert.strictEqual(stdout.toString(), "What is your name? Hello, Ada!\n")
      })
    )
  })

  describeKvm("firmware", () => {
    it.live(
      "starts at the end of the last 64 KiB, prints what it says on its debug port, and ends by its debug exit",
      () =>
        Effect.gen(function* () {
          const firmware = new Uint8Array(0x1_0000).fill(0xf4)
          const code = [
            ...asm("      mov dx, 0x402", 0xba, 0x02, 0x04),
            ...asm("      in al, dx", 0xec), // is there one?
            ...asm("      out dx, al", 0xee),
            ...asm("      mov al, '!'", 0xb0, 0x21),
            ...asm("      out dx, al", 0xee),
            ...asm("      mov al, 7", 0xb0, 0x07),
            ...asm("      out 0xf4, al", 0xe6, 0xf4)
          ]
          firmware.set(code, 0x100)
          firmware.set(asm("jmp 0xf000:0x0100", 0xea, 0x00, 0x01, 0x00, 0xf0), 0xfff0)
          const path = yield* temporaryPath
          writeFileSync(path, firmware)
          const { code: exitCode, stderr, stdout } = yield* run(example("firmware", path, "20"))
          assert.strictEqual(stderr, "")
          assert.deepStrictEqual([...stdout], [0xe9, 0x21])
          assert.strictEqual(exitCode, 7)
        }).pipe(Effect.scoped)
    )
  })

  describeKvm("kvm-vm-setup", () => {
    it.live("tells each step, and the triple fault that the guest ends in", () =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* run(example("kvm-vm-setup"))
        assert.strictEqual(stderr, "")
        assert.strictEqual(code, 0)
        const text = stdout.toString()
        assert.match(
          text,
          new RegExp(
            [
              /^KVM API version 12/,
              /created a VM: File\(\d+\)/,
              /registered 4096 bytes of memory at 0x1000/,
              /created vCPU 0: File\(\d+\), run page of \d+ bytes/,
              /set initial register values/,
              /ran until: \{ _tag: 'Shutdown' \}/,
              /registers after running: \{/
            ]
              .map(({ source }) => source)
              .join("\\n")
          )
        )
        assert.match(text, /rip: 4096n/)
      })
    )
  })

  describe.skipIf(withOwnDev === undefined)("hello-kvm where there is no KVM", () => {
    const cases = [
      {
        what: "in the kernel",
        errno: "ENOENT",
        code: 3,
        prepare: "",
        wrap: (command: ReadonlyArray<string>) => command,
        advice: /no KVM/
      },
      {
        what: "for this user",
        errno: "EACCES",
        code: 4,
        prepare: ": > /dev/kvm; chmod 0 /dev/kvm",
        // Also root may not open it then.
        wrap: (command: ReadonlyArray<string>) => [
          "setpriv",
          "--bounding-set=-dac_override,-dac_read_search",
          ...command
        ],
        advice: /join the group kvm/
      },
      {
        what: "behind the device",
        errno: "ENXIO",
        code: 3,
        // A major number without a driver. Not every user may make one.
        prepare: "mknod /dev/kvm c 4095 0 2> /dev/null || exit 98",
        wrap: (command: ReadonlyArray<string>) => command,
        advice: /no KVM/
      }
    ]
    for (const { advice, code, errno, prepare, what, wrap } of cases) {
      it.live(`says so in one line (${what}: ${errno}), and exits with ${code}`, (context) =>
        Effect.gen(function* () {
          if (withOwnDev === undefined) return assert.fail("skipped")
          const outcome = yield* run(withOwnDev(prepare, wrap(example("hello-kvm"))))
          if (outcome.code === 98) return context.skip("this user may make no device")
          assert.strictEqual(outcome.stdout.toString(), "")
          const lines = linesOf(outcome.stderr)
          assert.strictEqual(lines.length, 1, outcome.stderr)
          assert.include(lines[0], `openat("/dev/kvm"): ${errno}`)
          assert.match(lines[0] ?? "", advice)
          assert.strictEqual(outcome.code, code)
        })
      )
    }
  })

  describe("cat", () => {
    it.live("prints its files one after the other, byte for byte", () =>
      Effect.gen(function* () {
        const path = yield* directory
        // More than one read's worth, and no text.
        const bytes = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7) & 0xff))
        writeFileSync(join(path, "bytes"), bytes)
        writeFileSync(join(path, "empty"), "")
        writeFileSync(join(path, "text"), "last line\n")
        const { code, stderr, stdout } = yield* run(
          example("cat", join(path, "bytes"), join(path, "empty"), join(path, "text"))
        )
        assert.strictEqual(stderr, "")
        assert.strictEqual(code, 0)
        assert.isTrue(stdout.equals(Buffer.concat([bytes, Buffer.from("last line\n")])))
      })
    )

    it.live("says of a missing file in one line that it is, goes on with the next, and exits with 1", () =>
      Effect.gen(function* () {
        const path = yield* directory
        writeFileSync(join(path, "text"), "here\n")
        const missing = join(path, "missing")
        const { code, stderr, stdout } = yield* run(example("cat", missing, join(path, "text")))
        assert.deepStrictEqual(linesOf(stderr), [`cat: openat("${missing}"): ENOENT, no such file or directory`])
        assert.strictEqual(stdout.toString(), "here\n")
        assert.strictEqual(code, 1)
      })
    )

    it.live("says of a directory in one line that it is one", () =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* run(example("cat", yield* directory))
        const lines = linesOf(stderr)
        assert.strictEqual(lines.length, 1, stderr)
        assert.include(lines[0], "EISDIR")
        assert.strictEqual(stdout.length, 0)
        assert.strictEqual(code, 1)
      })
    )
  })

  describe("getpid", () => {
    it.live("prints its own process and its parent's", () =>
      Effect.gen(function* () {
        const { code, pid, stderr, stdout } = yield* run(example("getpid"))
        assert.strictEqual(stderr, "")
        assert.strictEqual(code, 0)
        const lines = linesOf(stdout)
        assert.deepStrictEqual(lines.slice(0, 2), [`process ${pid}`, `process ${pid}, child of ${process.pid}`])
        assert.match(lines[2] ?? "", /^process 1 takes (no )?signals of ours$/)
      })
    )
  })

  describe("io-uring", () => {
    it.live("tells of each file, and of one that is not there", () =>
      Effect.gen(function* () {
        const here = join(yield* directory, "three")
        writeFileSync(here, "one\ntwo\nthree\n")
        const { stdout } = yield* run(example("io-uring", here))
        assert.strictEqual(stdout.toString(), `${here}: 3 lines in the first 14 bytes\n`)
      })
    )
  })

  describeKvm("fork", () => {
    it.live("asks each of its forks for another square", () =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* run(example("fork", "20"))
        assert.strictEqual(stderr, "")
        assert.strictEqual(code, 0)
        const [snapshot = "", ...squares] = linesOf(stdout)
        assert.match(snapshot, /^a snapshot of 1024 KiB, of which \d+ KiB are stored$/)
        assert.deepStrictEqual(
          squares,
          Array.from({ length: 20 }, (_, number) => `${number}² = ${number * number}`)
        )
      })
    )
  })

  describe("own-ioctl", () => {
    it.live("asks a driver by requests of its own, and says which it does not know", () =>
      Effect.gen(function* () {
        const { stdout } = yield* run(example("own-ioctl"))
        const [first = "", second = ""] = linesOf(stdout)
        assert.match(first, /^\/dev\/random has \d+ bits of entropy$/)
        assert.include(second, "ENOTTY")
        assert.include(second, "GET_ENTROPY")
      })
    )
  })

  describe("socket-option", () => {
    it.live("sets options of a connection, its own among them", () =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* run(example("socket-option"))
        assert.strictEqual(stderr, "")
        assert.strictEqual(code, 0)
        const lines = linesOf(stdout)
        assert.strictEqual(lines.length, 4)
        assert.match(lines[2] ?? "", /^segments of up to \d+ bytes$/)
      })
    )
  })
})
