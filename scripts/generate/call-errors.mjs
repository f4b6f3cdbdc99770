// src/errors/unions.ts and calls.ts: the union of errors of each call, from the ERRORS section of its manual page and what
// scripts/data/calls/*.json adds to it.
import { errorSources } from "./calls.mjs"
import { banner, pascalCase } from "./headers.mjs"
import { errorsOfCall } from "./manual-errors.mjs"

const described = () =>
  errorSources().map(([call, where]) => ({
    call,
    names: errorsOfCall(call, where),
    type: `${pascalCase(call)}Error`,
    pages: where.pages.length === 0 ? "the kernel's documentation" : where.pages.map((page) => `${page}(2)`).join(", ")
  }))

const inputs = "the manual pages' ERRORS sections and scripts/data/calls/*.json"

/** src/errors/unions.ts: the types. */
export const errorUnions = () =>
  [
    banner(inputs),
    `import type * as E from "./errnos.ts"`,
    `import type { OtherErrno } from "./registry.ts"`,
    "",
    ...described().flatMap(({ call, names, pages, type }) => [
      "/**",
      ` * What \`${call}\` fails with: the errnos of ${pages}, and \`OtherErrno\` for whatever else the kernel says.`,
      " *",
      " * @category errors",
      " * @since 0.1.0",
      " */",
      `export type ${type} =`,
      ...names.map((name) => `  | E.${name}`),
      "  | OtherErrno",
      ""
    ])
  ].join("\n")

/** src/errors/calls.ts: what makes them. */
export const callErrors = () =>
  [
    banner(inputs),
    `import { type CallErrors, errorsOf } from "./registry.ts"`,
    `import type * as U from "./unions.ts"`,
    "",
    `export type * from "./unions.ts"`,
    "",
    ...described().map(
      ({ call, names, type }) =>
        `export const ${call}: CallErrors<U.${type}> = errorsOf("${call}", [${names.map((name) => `"${name}"`).join(", ")}])`
    ),
    ""
  ].join("\n")
