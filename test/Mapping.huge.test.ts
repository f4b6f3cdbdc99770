/** Memory of huge pages: from the machine's pool, where this user may fill it, and by advice. */
import { readFileSync, writeFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { File, Mapping, Syscall } from "../src/index.ts"
import { callsOf } from "./support/files.ts"
import { mappings } from "./support/process.ts"

const page = 4096

/** What /proc/self/smaps says of the mapping at an address. */
const smaps = (address: bigint): ReadonlyMap<string, string> => {
  const lines = readFileSync("/proc/self/smaps", "utf8").split("\n")
  const fields = new Map<string, string>()
  let inside = false
  for (const line of lines) {
    const [, from, to, permissions = ""] = /^([0-9a-f]+)-([0-9a-f]+) (\S+)/.exec(line) ?? []
    if (from !== undefined) {
      inside = BigInt(`0x${from}`) <= address && address < BigInt(`0x${to}`)
      if (inside) fields.set("permissions", permissions)
    } else if (inside) {
      const [name = "", value = ""] = line.split(/:\s+/)
      fields.set(name, value)
    }
  }
  return fields
}

const kilobytes = (address: bigint, name: string): number => Number.parseInt(smaps(address).get(name) ?? "0", 10)

const vmFlags = (address: bigint): ReadonlyArray<string> => (smaps(address).get("VmFlags") ?? "").trim().split(" ")

const tagged = <E extends { readonly _tag: string }>(tag: string, self: Effect.Effect<unknown, E>) =>
  Effect.map(Effect.flip(self), (error) => {
    assert.strictEqual(error._tag, tag)
    return error
  })

const memfd = (length: number, flags: number) =>
  Effect.gen(function* () {
    const fd = yield* Syscall.memfd_create("effect-linux-mapping", Syscall.MFD_CLOEXEC | flags)
    const file = yield* File.fromFd(fd)
    yield* File.truncate(file, length)
    return file
  })

describe("huge pages", () => {
  const pool = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"

  /** Two huge pages for the machine's pool; how many it then has. */
  const reserved = Effect.acquireRelease(
    Effect.sync(() => {
      try {
        const before = readFileSync(pool, "utf8").trim()
        writeFileSync(pool, String(Number(before) + 2))
        return { before, pages: Number(readFileSync(pool, "utf8")) }
      } catch {
        return { before: undefined, pages: 0 }
      }
    }),
    ({ before }) => Effect.sync(() => before !== undefined && writeFileSync(pool, before))
  )

  it.live("are asked for by size, in multiples, and reserved", () =>
    Effect.gen(function* () {
      const map = (options: Omit<Mapping.AnonymousOptions, "shared">) => Effect.scoped(Mapping.anonymous(options))
      yield* tagged("EINVAL", map({ length: page, hugePages: "2MB" }))
      yield* tagged("EINVAL", map({ length: 2 << 20, hugePages: "2MB", noReserve: true }))
      // @ts-expect-error
      assert.isTrue(Exit.hasDies(yield* Effect.exit(map({ length: 2 << 20, hugePages: "3MB" }))))
      const { calls } = yield* callsOf(Effect.exit(map({ length: 2 << 30, hugePages: "1GB" })))
      assert.strictEqual(
        calls[0]?.args[3],
        Syscall.MAP_PRIVATE | Syscall.MAP_ANONYMOUS | Syscall.MAP_HUGETLB | Syscall.MAP_HUGE_1GB
      )
      // Far more than there are.
      const error = yield* Effect.flip(map({ length: 2 ** 40, hugePages: "2MB" }))
      assert.include(["ENOMEM", "EINVAL"], error._tag)
    })
  )

  it.live("hold what is written to them, and go back to the pool", (context) =>
    Effect.gen(function* () {
      const { pages } = yield* reserved
      if (pages < 2) return context.skip("this machine gives no huge pages of 2 MiB")
      const free = () => Number(readFileSync("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "utf8"))
      const before = free()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const mapping = yield* Mapping.anonymous({ length: 2 << 20, hugePages: "2MB", populate: true })
          mapping.bytes.fill(7)
          assert.strictEqual(kilobytes(mapping.address, "KernelPageSize"), 2048)
          // Of a file of huge pages a part may be shown; it is unmapped as a whole.
          const file = yield* memfd(2 << 20, Syscall.MFD_HUGETLB | Syscall.MFD_HUGE_2MB)
          const part = yield* File.mmap(file, { length: 100, shared: true })
          part.bytes.fill(7)
          assert.strictEqual(free(), before - 2)
        })
      )
      assert.strictEqual(free(), before)
      assert.strictEqual(yield* mappings(/effect-linux-mapping/), 0)
    })
  )

  it.live("come transparently by advice", () =>
    Effect.gen(function* () {
      const mapping = yield* Mapping.anonymous({ length: 4 << 20 })
      const exit = yield* Effect.exit(Mapping.advise(mapping, "hugePage"))
      if (Exit.isSuccess(exit)) assert.include(vmFlags(mapping.address), "hg")
    })
  )
})
