/** Virtual machines in tests: what `effect-linux/testing` gives to those who write them, and what its failures say. */
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { Kvm } from "../src/index.ts"
import "../src/testing/matchers.ts"
import { describeKvm as describeVm, itVm } from "../src/testing/vitest.ts"
import * as Testing from "../src/testing.ts"
import { asm, hlt } from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"
import { openFds } from "./support/process.ts"

const root = fileURLToPath(new URL("..", import.meta.url))

/** What a failing assertion throws: what it says, and what a test runner shows the difference of. */
const caught = (f: () => unknown) => {
  try {
    f()
  } catch (error) {
    if (error instanceof Error) return error
  }
  return assert.fail("nothing was thrown")
}

/** What a test runner shows the difference of. */
const difference = (error: Error) => [Reflect.get(error, "actual"), Reflect.get(error, "expected")]

/** The same of an effect. */
const diedWith = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(effect), (exit) => {
    const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
    return error instanceof Error ? error : assert.fail("it did not fail with an error")
  })

const io: Kvm.Exit = { _tag: "Io", direction: "out", port: 0x3f8, size: 1, count: 2, data: Uint8Array.of(0x48, 0x69) }

describe("expectExit", () => {
  it("gives the exit of its kind", () => {
    const exit = Testing.expectExit(io, "Io", { port: 0x3f8, data: [0x48, 0x69], direction: "out" })
    assert.strictEqual(exit, io)
    assert.strictEqual(exit.count, 2)
    Testing.expectExit(io, "Io", { data: Uint8Array.of(0x48, 0x69) })
    Testing.expectExit({ _tag: "SystemEvent", type: 1, data: [1n] }, "SystemEvent", { data: [1n] })
    // @ts-expect-error: no field of this kind
    caught(() => Testing.expectExit(io, "Io", { address: 0n }))
    // @ts-expect-error: no such kind
    caught(() => Testing.expectExit(io, "Ioo"))
  })

  it("says of another kind which it is, with all that it tells", () => {
    const error = caught(() => Testing.expectExit(io, "Hlt"))
    const shown = "Io { direction: out, port: 0x3f8, size: 1, count: 2, data: [48 69] }"
    assert.strictEqual(error.message, `expected the guest to stop with Hlt, it stopped with ${shown}`)
    assert.strictEqual(Testing.formatExit(io), shown)
    assert.strictEqual(Testing.formatExit({ _tag: "Hlt" }), "Hlt")
    assert.strictEqual(
      Testing.formatExit({ _tag: "MemoryFault", flags: 8n, gpa: 0x1000n, size: 0x1000n }),
      "MemoryFault { flags: 0x8, gpa: 0x1000, size: 0x1000 }"
    )
  })

  it("shows the difference of the fields that were expected", () => {
    const error = caught(() => Testing.expectExit(io, "Io", { port: 0x10, size: 1, data: [0x48] }))
    assert.include(error.message, "expected the guest to stop with Io { port: 0x10, size: 1, data: [48] }")
    assert.deepStrictEqual(difference(error), [
      { _tag: "Io", port: "0x3f8", size: 1, data: "[48 69]" },
      { _tag: "Io", port: "0x10", size: 1, data: "[48]" }
    ])
  })

  it("long data is not shown whole", () => {
    const exit: Kvm.Exit = { ...io, data: new Uint8Array(4096), count: 4096 }
    assert.include(Testing.formatExit(exit), "…, 4096 bytes]")
  })
})

describe("matchers", () => {
  it("toBeExit", () => {
    expect(io).toBeExit("Io")
    expect(io).toBeExit("Io", { port: 0x3f8, data: [0x48, 0x69] })
    expect(io).not.toBeExit("Hlt")
    expect(io).not.toBeExit("Io", { port: 0x10 })
    const error = caught(() => expect(io).toBeExit("Io", { port: 0x10 }))
    assert.include(error.message, "it stopped with Io { direction: out, port: 0x3f8")
    assert.deepStrictEqual(difference(error), [
      { _tag: "Io", port: "0x3f8" },
      { _tag: "Io", port: "0x10" }
    ])
    assert.include(caught(() => expect(io).not.toBeExit("Io")).message, "not to stop with Io {")
    assert.include(caught(() => expect(1).toBeExit("Io")).message, "expected an exit, got number")
    // @ts-expect-error: no such kind
    caught(() => expect(io).toBeExit("Ioo"))
  })

  it("toHaveRegs", () => {
    const regs = { ...Kvm.kvm_regs.decode(new Uint8Array(Kvm.kvm_regs.size)), rax: 0x1234n, rip: 0x1000n }
    expect(regs).toHaveRegs({ rax: 0x1234n, rbx: 0n })
    expect(regs).not.toHaveRegs({ rax: 1n })
    const error = caught(() => expect(regs).toHaveRegs({ rax: 0xffn, rip: 0x1000n }))
    assert.strictEqual(error.message, "the guest has rax 0x1234 instead of 0xff")
    assert.deepStrictEqual(difference(error), [
      { rax: "0x1234", rip: "0x1000" },
      { rax: "0xff", rip: "0x1000" }
    ])
    assert.include(caught(() => expect({}).toHaveRegs({})).message, "expected registers, got object")
    // @ts-expect-error: no such register
    caught(() => expect(regs).toHaveRegs({ eax: 1n }))
  })
})

/** Writes `al` to a port, as many times as there are values. */
const outs = (port: number, ...values: ReadonlyArray<number>) => [
  ...asm(`mov dx, ${port}`, 0xba, port & 0xff, port >> 8),
  ...values.flatMap((value) => [...asm(`mov al, ${value}`, 0xb0, value), ...asm("out dx, al", 0xee)])
]

describeVm("a test's machine", () => {
  itVm("is there with its vCPU and memory", { code: [...outs(0x10, 7), ...hlt] }, () =>
    Effect.gen(function* () {
      const vcpu = yield* Kvm.Vcpu
      const memory = Kvm.guestMemory(yield* Kvm.Vm)
      assert.strictEqual(memory.regions[0]?.size, 0x20_0000)
      const { data } = Testing.expectExit(yield* Kvm.run(vcpu), "Io", { port: 0x10, data: [7] })
      assert.strictEqual(data[0], 7)
      Testing.expectExit(yield* Kvm.run(vcpu), "Hlt")
      yield* Testing.expectRegs(vcpu, { rax: 7n, rdx: 0x10n })
      yield* Testing.expectMemory(memory, 0x1000, [0xba, 0x10, 0x00])
    })
  )

  itVm("begins where and as it is told", { entry: 0x3000, code: hlt, stack: 0x7000, regs: { rbx: 5n } }, () =>
    Effect.gen(function* () {
      yield* Testing.expectRegs(yield* Kvm.Vcpu, { rip: 0x3000n, rsp: 0x7000n, rbx: 5n, rax: 0n })
    })
  )

  for (const mode of ["protected", "long"] as const) {
    itVm(`in ${mode} mode`, { mode, code: hlt }, () =>
      Effect.gen(function* () {
        Testing.expectExit(yield* Kvm.run(yield* Kvm.Vcpu), "Hlt")
        const { cs } = yield* Kvm.getSregs(yield* Kvm.Vcpu)
        assert.deepStrictEqual([cs.l, cs.db], mode === "long" ? [1, 0] : [0, 1])
      })
    )
  }

  itVm(
    "with all that can be said",
    {
      memory: [{ guestAddress: 0, size: 0x8000 }],
      load: [{ address: 0x2000, bytes: [1, 2] }],
      mode: { real: { entry: 0x1000, data: 0x100 } },
      cpuid: { features: { SSE: true } },
      pit: true,
      code: outs(0x10, 1)
    },
    () =>
      Effect.gen(function* () {
        const vcpu = yield* Kvm.Vcpu
        yield* Testing.runToExit(vcpu, "Io")
        assert.strictEqual((yield* Kvm.getSregs(vcpu)).ds.base, 0x1000n)
        yield* Testing.expectMemory(Kvm.guestMemory(yield* Kvm.Vm), 0x2000, [1, 2])
        yield* Kvm.getPit2(yield* Kvm.Vm)
      })
  )

  it.live("leaves nothing when the test fails", () =>
    Effect.gen(function* () {
      const before = yield* openFds
      const test = Effect.flatMap(Kvm.Vcpu, (vcpu) => Testing.expectRegs(vcpu, { rax: 1n }))
      const error = yield* diedWith(Effect.provide(test, Testing.vm()))
      assert.strictEqual(error.message, "the guest has rax 0x0 instead of 0x1")
      assert.strictEqual(yield* openFds, before)
    })
  )

  itVm("memory that differs is shown from where it does", {}, () =>
    Effect.gen(function* () {
      const memory = Kvm.guestMemory(yield* Kvm.Vm)
      yield* Kvm.writeMemory(memory, 0x2000, Uint8Array.of(1, 2, 3))
      const error = yield* diedWith(Testing.expectMemory(memory, 0x2000, [1, 2, 4]))
      assert.strictEqual(error.message, "memory differs from 0x2002 on")
      assert.deepStrictEqual(difference(error), ["01 02 03", "01 02 04"])
    })
  )
})

describeVm("runToExit", () => {
  const code = [...outs(0x10, 1, 2), ...outs(0x20, 3), ...hlt]
  for (const inline of [false, true]) {
    itVm(`passes over other exits${inline ? ", inline" : ""}`, { code }, () =>
      Effect.gen(function* () {
        const vcpu = yield* Kvm.Vcpu
        const exit = yield* Testing.runToExit(vcpu, "Io", { port: 0x20 }, { inline })
        assert.deepStrictEqual(exit.data, Uint8Array.of(3))
        yield* Testing.runToExit(vcpu, "Hlt", {}, { inline })
      })
    )
  }

  itVm("a guest that ends in another way says how, and where it is", { code }, () =>
    Effect.gen(function* () {
      const error = yield* diedWith(Testing.runToExit(yield* Kvm.Vcpu, "Io", { port: 0x30 }))
      assert.match(
        error.message,
        /^expected the guest to stop with Io, it stopped with Io \{.*data: \[01\] \}.*, Hlt; it is/
      )
      assert.match(error.message, /in real mode, cs=0x0 base 0x0, .*rip=0x1010/)
    })
  )

  itVm("a guest that never stops so is given up", { code: [...outs(0x10, 1), ...asm("jmp start", 0xeb, 0xf9)] }, () =>
    Effect.gen(function* () {
      const error = yield* diedWith(Testing.runToExit(yield* Kvm.Vcpu, "Hlt", {}, { maxExits: 20 }))
      assert.include(error.message, "the guest has not stopped with Hlt in 20 exits")
    })
  )
})

describeVm("serialOutput", () => {
  const bytes = new TextEncoder().encode("grüß Gott\n")
  itVm("is what the guest wrote, as text", { code: [...outs(0x3f8, ...bytes), ...outs(0x80, 1), ...hlt] }, () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Testing.serialOutput(yield* Kvm.Vcpu), "grüß Gott\n")
    })
  )

  const waiting = [
    ...asm("wait: mov dx, 0x3fd", 0xba, 0xfd, 0x03),
    ...asm("      in al, dx", 0xec),
    ...asm("      test al, 0x20", 0xa8, 0x20),
    ...asm("      jz wait", 0x74, 0xf8),
    ...outs(0x3f8, 0x21),
    ...hlt
  ]
  itVm("a guest that waits for the line finds it ready", { code: waiting }, () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Testing.serialOutput(yield* Kvm.Vcpu, { inline: true }), "!")
    })
  )

  itVm(
    "of another port, up to another exit",
    { code: [...outs(0xe9, 0x41), ...asm("mov [0x8000000], al", 0x67, 0xa2, 0, 0, 0, 8)] },
    () =>
      Effect.gen(function* () {
        const vcpu = yield* Kvm.Vcpu
        yield* Kvm.modifySregs(vcpu, ({ ds }) => ({ ds: { ...ds, limit: 0xffff_ffff, g: 1 } }))
        assert.strictEqual(yield* Testing.serialOutput(vcpu, { port: 0xe9, until: "Mmio" }), "A")
      })
  )

  const broken = [
    ...asm("mov dx, 0x3f8", 0x66, 0xba, 0xf8, 0x03),
    ...asm("mov al, 0x41", 0xb0, 0x41),
    ...asm("out dx, al", 0xee),
    ...asm("ud2", 0x0f, 0x0b)
  ]
  // What nearly every guest does before it prints: sets the speed by what is the text's port otherwise.
  const withSpeed = [
    ...asm("mov dx, 0x3fb", 0xba, 0xfb, 0x03),
    ...asm("mov al, 0x80; out dx, al", 0xb0, 0x80, 0xee),
    ...asm("mov dx, 0x3f8", 0xba, 0xf8, 0x03),
    ...asm("mov al, 'x'; out dx, al", 0xb0, 0x78, 0xee),
    ...asm("mov dx, 0x3fb", 0xba, 0xfb, 0x03),
    ...asm("mov al, 3; out dx, al", 0xb0, 0x03, 0xee),
    ...asm("mov dx, 0x3f8", 0xba, 0xf8, 0x03),
    ...asm("mov al, 'B'; out dx, al", 0xb0, 0x42, 0xee),
    ...hlt
  ]
  itVm("the line's speed is no text", { code: withSpeed }, () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Testing.serialOutput(yield* Kvm.Vcpu), "B")
    })
  )

  itVm("a guest that breaks down says what it wrote before", { mode: "protected", code: broken }, () =>
    Effect.gen(function* () {
      const error = yield* diedWith(Testing.serialOutput(yield* Kvm.Vcpu))
      assert.match(error.message, /it stopped with Shutdown after it wrote "A"; it is in protected mode/)
    })
  )
})

describeKvm("tables", () => {
  const long = new Uint8Array(0x1_f801).fill(0x90)
  long.set(hlt, long.length - 1)
  for (const mode of ["protected", "long"] as const) {
    itVm(`of ${mode} mode are not written over code that is long`, { mode, code: long }, () =>
      Effect.gen(function* () {
        yield* Testing.expectMemory(Kvm.guestMemory(yield* Kvm.Vm), 0x1000, long)
      })
    )
  }
})

describeKvm("where there is no KVM", () => {
  /** A `/dev` of its own without it: undefined where this user may make none. */
  const without = ((): ReadonlyArray<string> | undefined => {
    const script = "mount -t tmpfs none /dev && : > /dev/null || exit 99"
    for (const flags of [["-m"], ["-r", "-m"]]) {
      if (spawnSync("unshare", [...flags, "sh", "-c", script]).status === 0) {
        return [...flags, "sh", "-c", `${script}\nexec "$@"`, "sh"]
      }
    }
    return undefined
  })()

  const run = (env: Readonly<Record<string, string>>, within = without ?? []) => {
    const vitest = [join(root, "node_modules/vitest/vitest.mjs"), "run", "--reporter", "verbose"]
    return spawnSync("unshare", [...within, process.execPath, ...vitest, "examples/testing/hello.test.ts"], {
      cwd: root,
      encoding: "utf8",
      env: { ...process.env, NO_COLOR: "1", EFFECT_LINUX_REQUIRE_KVM: "", ...env }
    })
  }

  it.skipIf(without === undefined)(
    "tests are skipped, and say why",
    () => {
      const { status, stdout } = run({})
      assert.strictEqual(status, 0, stdout)
      assert.include(stdout, "(skipped: ENOENT: no such file or directory, open '/dev/kvm')")
    },
    120_000
  )

  // Character device 0:0 is nobody's: a node that may be used, as in a container on a host without the module.
  const script = "mount -t tmpfs none /dev && : > /dev/null && mknod -m 666 /dev/kvm c 0 0 || exit 99"
  it.skipIf(spawnSync("unshare", ["-m", "sh", "-c", script]).status !== 0)(
    "the same where there is a node, and nothing behind it",
    () => {
      const { status, stdout } = run({}, ["-m", "sh", "-c", `${script}\nexec "$@"`, "sh"])
      assert.strictEqual(status, 0, stdout)
      assert.include(stdout, "(skipped: ENXIO: no such device or address, open '/dev/kvm')")
    },
    120_000
  )

  it.skipIf(without === undefined)(
    "with EFFECT_LINUX_REQUIRE_KVM=1 that is a failure",
    () => {
      const { status, stderr, stdout } = run({ EFFECT_LINUX_REQUIRE_KVM: "1" })
      assert.notStrictEqual(status, 0, stdout)
      assert.include(stdout + stderr, "EFFECT_LINUX_REQUIRE_KVM is set, and there is no KVM: ENOENT")
    },
    120_000
  )
})

describe("what is imported", () => {
  /** All modules that a module imports, by package name or path. */
  const imports = (path: string, seen = new Set<string>()): Set<string> => {
    const text = readFileSync(path, "utf8")
    for (const [, name = ""] of text.matchAll(/^(?:import|export)\s(?!type\b)(?:[*{\w][^"=]*?\sfrom\s)?"([^"]+)"/gm)) {
      const found = name.startsWith(".") ? join(dirname(path), name) : name
      if (seen.has(found)) continue
      seen.add(found)
      if (name.startsWith(".")) imports(found, seen)
    }
    return seen
  }

  it("no test runner comes with the library, nor with what needs none", () => {
    for (const entry of ["index.ts", "testing.ts"]) {
      const all = imports(join(root, "src", entry))
      assert.isAtLeast(all.size, 20)
      assert.isTrue(all.has("effect/Effect"))
      assert.deepStrictEqual(
        [...all].filter((name) => name.includes("vitest")),
        []
      )
    }
    assert.isTrue(imports(join(root, "src/testing/vitest.ts")).has("@effect/vitest"))
  })
})
