// src/errors/calls.ts: the union of errors of each call, from the ERRORS section of its manual page and what
// scripts/data/calls/*.json adds to it.
import { errorSources } from "./calls.mjs"
import { banner, pascalCase } from "./headers.mjs"
import { errorsOfCall } from "./manual-errors.mjs"

export const callErrors = () => {
  const lines = [
    banner("the manual pages' ERRORS sections and scripts/data/calls/*.json"),
    `import type * as E from "./errnos.ts"`,
    `import { type CallErrors, errorsOf, type OtherErrno } from "./registry.ts"`,
    ""
  ]
  for (const [call, where] of errorSources()) {
    const names = errorsOfCall(call, where)
    const type = `${pascalCase(call)}Error`
    const pages =
      where.pages.length === 0 ? "the kernel's documentation" : where.pages.map((page) => `${page}(2)`).join(", ")
    lines.push(
      "/**",
      ` * What \`${call}\` fails with: the errnos of ${pages}, and \`OtherErrno\` for whatever else the kernel says.`,
      " *",
      " * @category errors",
      " * @since 0.1.0",
      " */",
      `export type ${type} =`,
      ...names.map((name) => `  | E.${name}`),
      "  | OtherErrno",
      `export const ${call}: CallErrors<${type}> = errorsOf("${call}", [${names.map((name) => `"${name}"`).join(", ")}])`,
      ""
    )
  }
  return lines.join("\n")
}
