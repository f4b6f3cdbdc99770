/** That nothing of KVM is missing: each request of the headers that these architectures have, and a function for each. */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Predicate } from "effect"
import { Kvm } from "../src/index.ts"

const index = readFileSync(new URL("../docs/kvm.md", import.meta.url), "utf8")

const rows = index.split("\n").flatMap((line) => {
  const [, request, functions = ""] = /^\| `(KVM_\w+)` \| (.*?) \| .*\|$/.exec(line) ?? []
  return request === undefined ? [] : [{ request, functions: [...functions.matchAll(/`([\w.]+)`/g)].map(([, f]) => f) }]
})

/** The requests of linux/kvm.h, without those of other architectures and those that no kernel answers any more. */
const requested = (): ReadonlyArray<string> =>
  execFileSync("gcc", ["-E", "-dM", "-"], { input: "#include <linux/kvm.h>\n", encoding: "utf8" })
    .split("\n")
    .flatMap((line) => /^#define (KVM_\w+) _IO[RW]*\(KVMIO/.exec(line)?.slice(1) ?? [])
    .filter((name) => !/PPC|S390|SPAPR|_RMA$|ASSIGN|DIRTY_TLB|SET_MEMORY_(REGION|ALIAS)$/.test(name))

describe("the index of KVM's requests", () => {
  it("has each request of the headers, as a typed request too", () => {
    const typed = new Set(
      [Kvm, Kvm.aarch64, Kvm.riscv64]
        .flatMap((module) => Object.values<unknown>(module))
        .flatMap((value) =>
          Predicate.hasProperty(value, "~effect-linux/Request") && "name" in value ? [String(value.name)] : []
        )
    )
    const missing = requested().filter((name) => !typed.has(name) || !rows.some(({ request }) => request === name))
    assert.deepStrictEqual(missing, [])
  })

  it("names functions that there are, one at least for each request", () => {
    for (const { functions, request } of rows) {
      assert.isAtLeast(functions.length, 1, request)
      for (const path of functions) {
        const found = (path ?? "")
          .split(".")
          .reduce<unknown>((module, name) => (Predicate.hasProperty(module, name) ? module[name] : undefined), Kvm)
        assert.isDefined(found, `${request}: ${path}`)
      }
    }
  })
})
