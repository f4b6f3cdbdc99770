// The files of named constants: from the headers that each scripts/data/constants/*.json names and, where those are too old
// or say nothing, from its `extra`. All go to src/internal/constants.ts but where `output` says otherwise. How the JSON
// files are written is in scripts/data/README.md.
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { banner, data, macroNames, macroValues, root } from "./headers.mjs"

const supported = ["x86_64", "aarch64", "riscv64"]

const common = "src/internal/constants.ts"

export const readConstants = (path) => {
  const files = readdirSync(join(root, "scripts/data/constants"))
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => data(`constants/${name}`))
    .filter(({ output = common }) => output === path)
  const groups = new Map()
  const all = new Map()
  for (const [title, { bigint = false, except, headers, match }] of files.flatMap((file) =>
    Object.entries(file.headers ?? {})
  )) {
    const constants = new Map()
    for (const architecture of supported) {
      const names = [...new Set(macroNames(architecture, headers))].filter(
        (name) => new RegExp(match).test(name) && !(except && new RegExp(except).test(name))
      )
      for (const [name, value] of macroValues(architecture, headers, names)) {
        constants.set(name, { ...constants.get(name), bigint, [architecture]: value })
      }
    }
    groups.set(title, new Map([...constants].filter(([name]) => !all.has(name))))
    for (const [name, values] of constants) all.set(name, values)
  }
  const extra = new Map()
  for (const [name, { value }] of files.flatMap((file) => Object.entries(file.extra ?? {}))) {
    if (all.has(name)) continue
    extra.set(
      name,
      typeof value === "string" && !/^\d|^-/.test(value)
        ? all.get(value)
        : Object.fromEntries(
            supported.map((architecture) => [
              architecture,
              BigInt(typeof value === "object" ? value[architecture] : value)
            ])
          )
    )
    if (extra.get(name) === undefined) throw new Error(`${name}: ${value} is no constant`)
  }
  groups.set("younger than the headers, or in none", extra)
  return groups
}

const literal = (value, bigint) =>
  bigint || value > BigInt(Number.MAX_SAFE_INTEGER) || value < BigInt(Number.MIN_SAFE_INTEGER)
    ? value < 0n
      ? `${value}n`
      : `0x${value.toString(16)}n`
    : value > 9n
      ? `0x${value.toString(16)}`
      : `${value}`

export const constants = (path) => () => {
  const lines = [banner("the headers that scripts/data/constants.json names"), ""]
  const seen = new Set()
  for (const [title, group] of readConstants(path)) {
    lines.push(`// ${title}`, "")
    for (const [name, values] of [...group].sort((a, b) => (a[0] < b[0] ? -1 : 1))) {
      if (seen.has(name)) continue
      seen.add(name)
      const present = supported.filter((architecture) => architecture in values)
      const distinct = new Set(present.map((architecture) => values[architecture]))
      if (distinct.size === 1) {
        // One that only some architectures have keeps its value everywhere: a kernel without it says EINVAL.
        lines.push(`export const ${name} = ${literal([...distinct][0], values.bigint)}`)
      } else {
        const list = supported.map(
          (architecture) => `${architecture}: ${literal(values[architecture] ?? 0n, values.bigint)}`
        )
        lines.push(`export const ${name}: number = byArchitecture({ ${list.join(", ")} })`)
      }
    }
    lines.push("")
  }
  const text = lines.join("\n")
  // Only a file with values that differ by architecture needs to know which one this is.
  const from = path.startsWith("src/internal/") ? "./architecture.ts" : "../internal/architecture.ts"
  return text.includes("byArchitecture(")
    ? text.replace("\n\n", `\n\nimport { byArchitecture } from "${from}"\n\n`)
    : text
}
