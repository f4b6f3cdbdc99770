/** The examples in the documentation and in the README compile against the library, with its strictest settings. */
import { spawnSync } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"

const root = fileURLToPath(new URL("..", import.meta.url))

const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts") && !path.includes("generated"))
  .map((path) => join("src", path))

/** Code blocks of TypeScript: of comments without their stars, of Markdown as they are. */
const blocks = (path: string): ReadonlyArray<string> =>
  [...readFileSync(join(root, path), "utf8").matchAll(/^( \* )?```ts\n([\s\S]*?)^(?: \* )?```$/gm)].map(
    ([, star, code = ""]) => (star === undefined ? code : code.replace(/^ \* ?/gm, ""))
  )

describe("examples in the documentation", () => {
  it("compile", () => {
    // Within the package, so that its own name means the package.
    const folder = join(root, ".build", "documentation")
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    const examples = [...sources, "README.md", "docs/guests.md"].flatMap((path) =>
      blocks(path)
        // The README's section on tests goes on from the one before.
        .filter((code) => code.includes("import "))
        .map((code, index) => [`${path.replaceAll("/", "_")}_${index}.ts`, code] as const)
    )
    assert.isAtLeast(examples.length, 20)
    for (const [name, code] of examples) writeFileSync(join(folder, name), `${code}\nexport {}\n`)
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        extends: "../../tsconfig.json",
        // An example declares what it shows and need not use it.
        compilerOptions: { noUnusedLocals: false, noImplicitReturns: false },
        include: ["*.ts"]
      })
    )
    const { status, stdout } = spawnSync(
      process.execPath,
      [join(root, "node_modules/typescript/bin/tsc"), "-p", folder],
      {
        encoding: "utf8"
      }
    )
    assert.strictEqual(status, 0, stdout)
  })
})
