// src/errors/errnos.ts: a class for each errno, from asm-generic/errno.h and errno-base.h.
import { readFileSync } from "node:fs"
import { banner } from "./headers.mjs"

const headers = ["errno-base.h", "errno.h"].map((name) => `/usr/include/asm-generic/${name}`)

/** ENOTSUP is libc's name, in no kernel header. */
const libcAliases = { ENOTSUP: "EOPNOTSUPP" }

export const readErrnos = () => {
  const codes = []
  const aliases = { ...libcAliases }
  for (const header of headers) {
    for (const line of readFileSync(header, "utf8").split("\n")) {
      const define = /^#define\s+(E[A-Z0-9]+)\s+(\w+)\s*(?:\/\*\s*(.*?)\s*\*\/)?/.exec(line)
      if (define === null) continue
      const [, name, value, text] = define
      if (/^\d+$/.test(value)) codes.push({ name, code: Number(value), text: text ?? name })
      else aliases[name] = value
    }
  }
  return { codes: codes.sort((a, b) => a.code - b.code), aliases }
}

/** "No such file or directory" reads on from "ENOENT, ", but acronyms keep their capitals. */
const decapitalize = (text) => (/^[A-Z][a-z]/.test(text) ? text[0].toLowerCase() + text.slice(1) : text)

export const errnos = () => {
  const { aliases, codes } = readErrnos()
  const lines = [
    banner("the kernel's asm-generic/errno-base.h and errno.h"),
    `import { define, ErrnoError, type ErrnoDetails } from "./ErrnoError.ts"`,
    ""
  ]
  for (const { code, name, text } of codes) {
    lines.push(
      "/**",
      ` * Errno ${code}: ${decapitalize(text)}.`,
      " *",
      " * @category errors",
      " * @since 0.1.0",
      " */",
      `export class ${name} extends ErrnoError {`,
      `  declare readonly _tag: "${name}"`,
      `  declare readonly errno: ${code}`,
      "  static {",
      `    define(this, "${name}", ${code}, ${JSON.stringify(decapitalize(text))})`,
      "  }",
      "}",
      ""
    )
  }
  for (const [alias, name] of Object.entries(aliases)) {
    lines.push(
      "/**",
      ` * Another name of {@link ${name}}.`,
      " *",
      " * @category errors",
      " * @since 0.1.0",
      " */",
      `export const ${alias}: typeof ${name} = ${name}`,
      "/**",
      ` * Another name of {@link ${name}}.`,
      " *",
      " * @category errors",
      " * @since 0.1.0",
      " */",
      `export type ${alias} = ${name}`,
      ""
    )
  }
  lines.push(
    "/** The union of all errnos that Linux names. */",
    "export type KnownErrno =",
    ...codes.map(({ name }) => `  | ${name}`),
    "",
    "/**",
    " * The number of each errno by its name, aliases included.",
    " *",
    " * @category constants",
    " * @since 0.1.0",
    " */",
    "export const codes: {",
    ...codes.map(({ code, name }) => `  readonly ${name}: ${code}`),
    ...Object.entries(aliases).map(
      ([alias, name]) => `  readonly ${alias}: ${codes.find((entry) => entry.name === name).code}`
    ),
    "} = {",
    [
      ...codes.map(({ code, name }) => `  ${name}: ${code}`),
      ...Object.entries(aliases).map(
        ([alias, name]) => `  ${alias}: ${codes.find((entry) => entry.name === name).code}`
      )
    ].join(",\n"),
    "}",
    "",
    "/** What constructs one of them. */",
    "export interface ErrnoClass {",
    "  new(details?: ErrnoDetails): KnownErrno",
    "  readonly prototype: KnownErrno",
    "}",
    "",
    "/** All classes, by number. */",
    "export const classes: ReadonlyArray<readonly [code: number, errno: ErrnoClass]> = [",
    codes.map(({ code, name }) => `  [${code}, ${name}]`).join(",\n"),
    "]",
    ""
  )
  return lines.join("\n")
}
