/** The table of system calls as a whole: nothing is missing, nothing is untested, the index says what is there. */

import { existsSync, readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Syscall } from "../src/index.ts"

const { numbers, table } = Syscall
const names = Object.keys(table) as ReadonlyArray<Syscall.CallName>
const architectures = ["x86_64", "aarch64", "riscv64"] as const

const testSources = ["test", "test/syscall"]
  .flatMap((folder) =>
    readdirSync(new URL(`../${folder}/`, import.meta.url))
      .filter((file) => file.endsWith(".test.ts") && file !== "table.test.ts")
      .map((file) => readFileSync(new URL(`../${folder}/${file}`, import.meta.url), "utf8"))
  )
  .join("\n")

const withFunction = names.filter((name) => table[name].raw === undefined)

describe("the table of calls", () => {
  it("has every call of x86_64, aarch64 and riscv64, with its number on each", () => {
    for (const architecture of architectures) {
      for (const [name, number] of Object.entries(numbers[architecture])) {
        const entry = Object.entries(table).find(([key]) => key === name)
        assert.isDefined(entry, `${name} is not in the table`)
        assert.strictEqual(entry?.[1].numbers[architecture], number, `${name} on ${architecture}`)
      }
    }
  })

  it("goes up to file_setattr, 469", () => {
    for (const architecture of architectures) assert.strictEqual(table.file_setattr.numbers[architecture], 469)
  })

  it("has a function in Syscall for each call that is not raw only, and none for those", () => {
    for (const name of names) assert.strictEqual(name in Syscall, table[name].raw === undefined, name)
  })

  it("has functions for at least 320 calls of x86_64", () => {
    const own = withFunction.filter((name) => table[name].numbers.x86_64 !== undefined && table[name].of === undefined)
    assert.isAtLeast(own.length, 320)
  })

  it("says for each raw call why it has no function", () => {
    for (const name of names) assert.notStrictEqual(table[name].raw, "", name)
  })

  it("has a test that names it for every function", () => {
    const untested = withFunction.filter((name) => !new RegExp(`\\b${name}\\b`).test(testSources))
    assert.deepStrictEqual(untested, [])
  })

  it("is indexed in docs/calls.md", () => {
    const index = readFileSync(new URL("../docs/calls.md", import.meta.url), "utf8")
    for (const name of names) assert.include(index, `| \`${name}\` |`)
  })

  it("takes at most six arguments for each call, as the kernel does", () => {
    for (const name of names) assert.isAtMost(table[name].args.length, 6, name)
  })

  it.skipIf(!existsSync("/usr/share/man/man2/openat.2.gz"))("documents errors for what can fail", () => {
    const silent = withFunction.filter((name) => table[name].errors.length === 0)
    for (const name of silent) assert.strictEqual(table[name].way === "offload" && name !== "sync", false, name)
  })
})
