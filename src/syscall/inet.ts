/**
 * IP addresses as text and as bytes, the way inet_pton and inet_ntop do it. Not part of the public surface.
 */

const wrong = (name: string, expected: string, value: unknown): never => {
  if (typeof value !== "string") throw new TypeError(`${name}: expected a string, got ${typeof value}`)
  throw new RangeError(`${name}: expected ${expected}, got ${JSON.stringify(value)}`)
}

/** The four bytes of dotted decimal; undefined for what is none. No leading zeros: C would read them as octal. */
const inetBytes = (text: string): ReadonlyArray<number> | undefined => {
  const parts = text.split(".")
  const bytes = parts.map((part) => (/^(0|[1-9]\d{0,2})$/.test(part) ? Number(part) : 256))
  return bytes.length === 4 && bytes.every((byte) => byte < 256) ? bytes : undefined
}

/** An IPv4 address as it is sent. */
export const parseInet = (name: string, text: string): Uint8Array => {
  const bytes = typeof text === "string" ? inetBytes(text) : undefined
  return bytes === undefined ? wrong(name, "an IPv4 address", text) : Uint8Array.from(bytes)
}

export const formatInet = (bytes: Uint8Array): string => bytes.join(".")

/** The groups of one side of `::` as 16-bit numbers; an IPv4 address may stand for the last two. */
const groupsOf = (text: string, last: boolean): ReadonlyArray<number> | undefined => {
  if (text === "") return []
  const groups: Array<number> = []
  const parts = text.split(":")
  for (const [index, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16))
      continue
    }
    const bytes = last && index === parts.length - 1 ? inetBytes(part) : undefined
    if (bytes === undefined) return undefined
    const [a = 0, b = 0, c = 0, d = 0] = bytes
    groups.push((a << 8) | b, (c << 8) | d)
  }
  return groups
}

const inet6Groups = (text: string): ReadonlyArray<number> | undefined => {
  const sides = text.split("::")
  const [left = "", right] = sides
  if (sides.length > 2) return undefined
  const head = groupsOf(left, right === undefined)
  const tail = right === undefined ? [] : groupsOf(right, true)
  if (head === undefined || tail === undefined) return undefined
  const missing = 8 - head.length - tail.length
  // `::` stands for one group of zeros at least.
  if (right === undefined ? missing !== 0 : missing < 1) return undefined
  return [...head, ...new Array<number>(missing).fill(0), ...tail]
}

/** An IPv6 address as it is sent. A zone (`%eth0`) is no part of it. */
export const parseInet6 = (name: string, text: string): Uint8Array => {
  const groups = typeof text === "string" ? inet6Groups(text) : undefined
  if (groups === undefined) return wrong(name, "an IPv6 address", text)
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]))
}

/** The longest run of zero groups, the first of equal ones; a single group is no run. */
const longestRun = (groups: ReadonlyArray<number>): readonly [start: number, length: number] => {
  let best: readonly [number, number] = [-1, 1]
  for (let start = 0; start < groups.length; start++) {
    let end = start
    while (groups[end] === 0) end++
    if (end - start > best[1]) best = [start, end - start]
  }
  return best
}

export const formatInet6 = (bytes: Uint8Array): string => {
  const groups = Array.from({ length: 8 }, (_, index) => ((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0))
  const [start, length] = longestRun(groups)
  // IPv4 addresses that are mapped or compatible are shown as such.
  if (start === 0 && (length === 6 || (length === 5 && groups[5] === 0xffff))) {
    return `${length === 6 ? "::" : "::ffff:"}${formatInet(bytes.subarray(12))}`
  }
  const hex = (part: ReadonlyArray<number>): string => part.map((group) => group.toString(16)).join(":")
  return start < 0 ? hex(groups) : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`
}
