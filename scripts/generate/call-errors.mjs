// src/errors/calls.ts: the union of errors of each call, from the ERRORS section of its manual page and
// scripts/data/call-errors.json.
import { readErrnos } from "./errnos.mjs"
import { banner, data, manualPage, pascalCase } from "./headers.mjs"

/** The errnos that head a paragraph of a page's ERRORS section. */
export const errorsOfPage = (page) => {
  const text = manualPage(page)
  if (text === undefined) throw new Error(`${page}(2) is not installed: see the head of scripts/generate.mjs`)
  const names = new Set()
  let inErrors = false
  let heads = false
  for (const line of text.split("\n")) {
    if (/^\.SH/.test(line)) inErrors = /^\.SH "?ERRORS/.test(line)
    else if (/^\.T[PQ]/.test(line)) heads = true
    else if (!/^\.\\"/.test(line)) {
      if (inErrors && heads && /^\.B/.test(line))
        for (const name of line.match(/\bE[A-Z0-9]{2,}\b/g) ?? []) names.add(name)
      heads = false
    }
  }
  return names
}

export const errorsOfCall = (call, { add = [], pages = [call] }) => {
  const { aliases, codes } = readErrnos()
  const order = new Map(codes.map(({ code, name }) => [name, code]))
  const names = new Set()
  for (const name of [...pages.flatMap((page) => [...errorsOfPage(page)]), ...add]) {
    const known = aliases[name] ?? name
    if (!order.has(known)) throw new Error(`${call}: ${name} is no errno`)
    names.add(known)
  }
  return [...names].sort((a, b) => order.get(a) - order.get(b))
}

export const callErrors = () => {
  const lines = [
    banner("the manual pages' ERRORS sections and scripts/data/call-errors.json"),
    `import type * as E from "./errnos.ts"`,
    `import { type CallErrors, errorsOf, type OtherErrno } from "./registry.ts"`,
    ""
  ]
  for (const [call, where] of Object.entries(data("call-errors.json"))) {
    if (call === "//") continue
    const names = errorsOfCall(call, where)
    const type = `${pascalCase(call)}Error`
    const pages = (where.pages ?? [call]).map((page) => `${page}(2)`).join(", ")
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
