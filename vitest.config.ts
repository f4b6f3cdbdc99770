import { defineConfig } from "vitest/config"

// Vitest's reporter groups failures with Map.groupBy, which Node has since 21; without it a failing test is not shown.
if (!("groupBy" in Map)) {
  Object.defineProperty(Map, "groupBy", {
    value: <K, V>(items: Iterable<V>, keyOf: (item: V, index: number) => K): Map<K, Array<V>> => {
      const groups = new Map<K, Array<V>>()
      let index = 0
      for (const item of items) {
        const key = keyOf(item, index++)
        groups.set(key, [...(groups.get(key) ?? []), item])
      }
      return groups
    }
  })
}

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    // Descriptors, threads and mappings are counted for the whole process, so each file has one to itself.
    pool: "forks",
    testTimeout: 30_000,
    reporters: ["default", "./test/support/summary.ts"]
  }
})
