/** Calls about the machine. What only root may do is asked for in a way that the kernel refuses. */

import { spawnSync } from "node:child_process"
import { hostname, totalmem } from "node:os"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Abi, Syscall } from "../../src/index.ts"
import * as system from "../../src/syscall/generated/system.ts"

const bytes = (text: string) => new TextEncoder().encode(text)

describe("what the machine is", () => {
  it.effect("uname names it", () =>
    Effect.gen(function* () {
      const { nodename, sysname } = yield* Syscall.uname
      assert.strictEqual(sysname, "Linux")
      assert.strictEqual(nodename, hostname())
    })
  )

  it.effect("sysinfo tells its memory and uptime", () =>
    Effect.gen(function* () {
      const { mem_unit, totalram, uptime } = yield* system.sysinfo
      assert.strictEqual(Number(totalram) * mem_unit, totalmem())
      assert.isTrue(uptime > 0n)
      assert.strictEqual(Abi.sysinfo.size, 112)
    })
  )

  it.effect("getrandom fills a buffer", () =>
    Effect.gen(function* () {
      const buffer = new Uint8Array(64)
      assert.strictEqual(yield* Syscall.getrandom(buffer), 64)
      assert.isTrue(buffer.some((byte) => byte !== 0))
      assert.strictEqual((yield* Effect.flip(Syscall.getrandom(buffer, 0x100)))._tag, "EINVAL")
    })
  )

  it.live("sync writes all to the disks", () => system.sync)

  it.effect("syslog tells the size of the log, and refuses an unknown request", () =>
    Effect.gen(function* () {
      const size = yield* system.syslog(10, null, 0).pipe(Effect.catchTag("EPERM", () => Effect.succeed(0)))
      assert.isAtLeast(size, 0)
      const error = yield* Effect.flip(system.syslog(99, null, 0))
      assert.include(["EINVAL", "EPERM"], error._tag)
    })
  )
})

describe("changing the machine", () => {
  it.effect("sethostname and setdomainname refuse names that are too long", () =>
    Effect.gen(function* () {
      const long = bytes("x".repeat(65))
      assert.include(["EINVAL", "EPERM"], (yield* Effect.flip(system.sethostname(long)))._tag)
      assert.include(["EINVAL", "EPERM"], (yield* Effect.flip(system.setdomainname(long)))._tag)
    })
  )

  it.effect("reboot does nothing without the magic numbers", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(system.reboot(1, 2, Syscall.LINUX_REBOOT_CMD_CAD_OFF, 0))
      assert.include(["EINVAL", "EPERM"], error._tag)
    })
  )

  it.live("acct refuses a file that is not there", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(system.acct("/nope/nope"))
      assert.include(["ENOENT", "EPERM", "OtherErrno"], error._tag)
    })
  )

  it.live("init_module, finit_module and delete_module refuse what is no module", () =>
    Effect.gen(function* () {
      assert.isTrue((yield* Effect.exit(system.init_module(bytes("no module"), "")))._tag === "Failure")
      assert.isTrue((yield* Effect.exit(system.finit_module(-1, "")))._tag === "Failure")
      assert.isTrue((yield* Effect.exit(system.delete_module("no_such_module", Syscall.O_NONBLOCK)))._tag === "Failure")
    })
  )

  it.live("kexec_load and kexec_file_load refuse what is no kernel", () =>
    Effect.gen(function* () {
      assert.isTrue((yield* Effect.exit(system.kexec_load(0, 17, null, 1 << 20)))._tag === "Failure")
      assert.isTrue((yield* Effect.exit(system.kexec_file_load(-1, -1, 1, bytes("\0"), 1 << 20)))._tag === "Failure")
    })
  )

  it("vhangup is refused to who may not, and harms nobody without a terminal", () => {
    // In a session of its own, which has no terminal: this one's might be the tester's.
    const program = `
      import { Effect } from "effect"
      import { Syscall } from "effect-linux"
      const exit = await Effect.runPromiseExit(Syscall.vhangup)
      console.log(exit._tag)`
    const { status, stdout } = spawnSync("setsid", ["-w", process.execPath, "--input-type=module", "-e", program], {
      cwd: fileURLToPath(new URL("../..", import.meta.url)),
      encoding: "utf8"
    })
    assert.strictEqual(status, 0)
    assert.strictEqual(stdout.trim(), process.geteuid?.() === 0 ? "Success" : "Failure")
  })

  it.effect("riscv_hwprobe and riscv_flush_icache are not there on other processors", () =>
    Effect.gen(function* () {
      if (process.arch === "riscv64") return
      const probed = yield* Effect.flip(system.riscv_hwprobe(new Uint8Array(16), 1, 0, null))
      assert.strictEqual(probed._tag, "ENOSYS")
      assert.strictEqual((yield* Effect.flip(system.riscv_flush_icache(0, 0)))._tag, "ENOSYS")
    })
  )
})
