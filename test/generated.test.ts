/** What is generated is what the generator writes, where its inputs are the ones that the committed files came from. */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"

const version = (): string | undefined => {
  const header = "/usr/include/linux/version.h"
  if (!existsSync(header)) return undefined
  const text = readFileSync(header, "utf8")
  return ["MAJOR", "PATCHLEVEL"].map((part) => new RegExp(`LINUX_VERSION_${part} (\\d+)`).exec(text)?.[1]).join(".")
}

const inputs = [
  "/usr/aarch64-linux-gnu/include/asm/unistd.h",
  "/usr/riscv64-linux-gnu/include/asm/unistd.h",
  "/usr/arm-linux-gnueabihf/include/asm/unistd.h",
  "/usr/share/man/man2/openat.2.gz"
]
const missing = version() === "6.1" ? inputs.find((path) => !existsSync(path)) : `headers of 6.1 (here: ${version()})`

describe.skipIf(missing !== undefined)(
  `the generated files${missing === undefined ? "" : ` (skipped: no ${missing})`}`,
  () => {
    it("are what scripts/generate.mjs writes", () => {
      const root = fileURLToPath(new URL("..", import.meta.url))
      const { status, stderr } = spawnSync(process.execPath, ["scripts/generate.mjs", "--check"], {
        cwd: root,
        encoding: "utf8"
      })
      assert.strictEqual(status, 0, stderr)
    })
  }
)
