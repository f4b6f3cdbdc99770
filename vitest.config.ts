import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Descriptors, threads and mappings are counted for the whole process, so each file has one to itself.
    pool: "forks",
    testTimeout: 30_000,
    reporters: ["default", "./test/support/summary.ts"]
  }
})
