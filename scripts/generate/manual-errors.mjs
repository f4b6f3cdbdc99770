// Which errnos a manual page documents for a call.
import { readErrnos } from "./errnos.mjs"
import { manualPage } from "./headers.mjs"

/** Names that pages mention and no caller sees: the kernel's own, for restarts, and libc's for another system's errno. */
const notSeen = new Set(["ERESTARTNOINTR", "ERESTARTSYS", "ERESTARTNOHAND", "ENOATTR"])

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
    if (notSeen.has(name)) continue
    const known = aliases[name] ?? name
    if (!order.has(known)) throw new Error(`${call}: ${name} is no errno`)
    names.add(known)
  }
  return [...names].sort((a, b) => order.get(a) - order.get(b))
}
