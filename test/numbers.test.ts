/** System call numbers against what the C preprocessor says of the kernel's own headers. */
import { spawnSync } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { expectTypeOf } from "vitest"
import { Syscall } from "../src/index.ts"

/** The `__NR_` macros of a header by name, followed to their number; or why there are none to be had. */
const macros = (header: string, defines: ReadonlyArray<string> = []): ReadonlyMap<string, number> | string => {
  const gcc = process.env["CC"] ?? "gcc"
  const { error, status, stderr, stdout } = spawnSync(gcc, ["-E", "-dM", ...defines.map((name) => `-D${name}`), "-"], {
    input: `#include <${header}>\n`,
    encoding: "utf8"
  })
  if (error !== undefined) return `${gcc} does not run: ${error.message}`
  if (status !== 0) return /.*fatal error.*/.exec(stderr)?.[0] ?? `${gcc} ended with ${status}`
  const definitions = new Map<string, string>()
  for (const [, name = "", value = ""] of stdout.matchAll(/^#define (__NR\w*) (.+)$/gm)) definitions.set(name, value)
  const evaluate = (text: string): number => {
    const known = definitions.get(text)
    if (known !== undefined) return evaluate(known)
    const sum = /^\(?(\w+)\s*\+\s*(\w+)\)?$/.exec(text)
    return sum === null ? Number(text) : evaluate(sum[1] ?? "") + evaluate(sum[2] ?? "")
  }
  const numbers = new Map<string, number>()
  for (const [name, value] of definitions) {
    if (name.startsWith("__NR_")) numbers.set(name.slice(5), evaluate(value))
  }
  return numbers
}

/** `describe` for tests that read a header; skipped, with the reason, where it is not there. */
const describeHeader = (
  name: string,
  found: ReadonlyMap<string, number> | string,
  tests: (macros: ReadonlyMap<string, number>) => void
) => {
  if (typeof found === "string") describe.skip(`${name} (skipped: ${found})`, () => it("is compared", () => {}))
  else describe(name, () => tests(found))
}

type Table = { readonly [name: string]: number }

/** A header may be younger than the table: what it has past the table's end is not held against it. */
const assertSame = (table: Table, found: ReadonlyMap<string, number>) => {
  const last = Math.max(...Object.values(table))
  const differing = [...found]
    .filter(([name, number]) => table[name] !== number && (name in table || number <= last))
    .map(([name, number]) => `${name}: ${table[name]}, and the header says ${number}`)
  assert.deepStrictEqual(differing, [])
}

/** The other way about: a name in the table that the header does not have must be younger than the header. */
const assertNoneInvented = (table: Table, found: ReadonlyMap<string, number>, exceptions: ReadonlyArray<string>) => {
  const last = Math.max(...found.values())
  const invented = Object.entries(table).filter(
    ([name, number]) => !found.has(name) && number <= last && !exceptions.includes(name)
  )
  assert.deepStrictEqual(invented, [])
}

describeHeader("x86_64, against asm/unistd_64.h", macros("asm/unistd_64.h"), (found) => {
  it("has every macro with its number", () => {
    assert.isAbove(found.size, 300)
    assertSame(Syscall.numbers.x86_64, found)
  })
  // Calls that only the kernel's own trampolines make; older headers do not name them.
  it("has no name that the header lacks", () =>
    assertNoneInvented(Syscall.numbers.x86_64, found, ["uprobe", "uretprobe"]))
})

/** What each architecture that uses the generic table asks of it, and what it has of its own. */
const generic = [
  {
    name: "aarch64",
    table: Syscall.numbers.aarch64,
    wants: ["RENAMEAT", "NEW_STAT", "SET_GET_RLIMIT", "MEMFD_SECRET", "SYS_CLONE3"],
    own: []
  },
  {
    name: "riscv64",
    table: Syscall.numbers.riscv64,
    wants: ["NEW_STAT", "SET_GET_RLIMIT", "MEMFD_SECRET", "SYS_CLONE3"],
    own: ["riscv_flush_icache", "riscv_hwprobe"]
  }
]

for (const { name, own, table, wants } of generic) {
  const found = macros("asm-generic/unistd.h", [
    "__BITS_PER_LONG=64",
    "__LP64__=1",
    ...wants.map((want) => `__ARCH_WANT_${want}`)
  ])
  describeHeader(`${name}, against asm-generic/unistd.h`, found, (macros) => {
    // The number of calls, and the start of each architecture's own range.
    const notCalls = new Set(["syscalls", "arch_specific_syscall"])
    const calls = new Map([...macros].filter(([macro]) => !notCalls.has(macro)))
    it("has every macro with its number", () => {
      assert.isAbove(calls.size, 300)
      assertSame(table, calls)
    })
    it("has no name that the header lacks", () => assertNoneInvented(table, calls, own))
  })
}

describeHeader("x86, against asm/unistd_32.h", macros("asm/unistd_32.h"), (found) => {
  it("has every macro with its number", () => {
    assert.isAbove(found.size, 300)
    assertSame(Syscall.numbers.x86, found)
  })
})

describe("numbers", () => {
  it("have each number once in each table, but for an alias of 32-bit arm", () => {
    for (const [architecture, table] of Object.entries(Syscall.numbers)) {
      const values = Object.entries(table).flatMap(([name, number]) => (name === "arm_sync_file_range" ? [] : [number]))
      assert.strictEqual(new Set(values).size, values.length, architecture)
    }
  })

  it("are literal types, of which those that are not everywhere may be missing here", () => {
    expectTypeOf(Syscall.numbers.aarch64.openat).toEqualTypeOf<56>()
    expectTypeOf(Syscall.numbers.x86_64.open).toEqualTypeOf<2>()
    expectTypeOf(Syscall.numbers.arm.openat).toEqualTypeOf<322>()
    expectTypeOf(Syscall.nr.openat).toEqualTypeOf<number>()
    expectTypeOf(Syscall.nr.open).toEqualTypeOf<number | undefined>()
    // @ts-expect-error aarch64 has no `open`
    assert.isUndefined(Syscall.numbers.aarch64.open)
    // @ts-expect-error no architecture has this
    assert.isUndefined(Syscall.nr.opened)
  })

  it("of this machine are those of its architecture", () => {
    const here = { x64: "x86_64", arm64: "aarch64", riscv64: "riscv64" } as const
    const entries = Object.entries(here).find(([arch]) => arch === process.arch)
    assert.isDefined(entries)
    assert.strictEqual(Syscall.nr, entries === undefined ? undefined : Syscall.numbers[entries[1]])
  })

  it("have a name, and back", () => {
    for (const [name, number] of Object.entries(Syscall.nr)) assert.strictEqual(Syscall.name(number), name)
    assert.isUndefined(Syscall.name(100_000))
    assert.isUndefined(Syscall.name(-1))
    assert.isUndefined(Syscall.name(0.5))
  })

  it.effect("are the kernel's: a call by number does what its name says", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Syscall.call(Syscall.nr.getpid), process.pid)
      assert.strictEqual(yield* Syscall.call(Syscall.nr.getppid), process.ppid)
      assert.strictEqual(yield* Syscall.call(Syscall.nr.getuid), process.getuid?.())
    })
  )
})
