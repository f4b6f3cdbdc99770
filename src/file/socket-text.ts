/**
 * Addresses of sockets as text, both ways: one form for each family, which keeps all that an address has. What an address
 * is stands in `SocketAddress`.
 */
import * as Result from "effect/Result"
import { EINVAL } from "../errors/errnos.ts"
import type { PathLike } from "../internal/arguments.ts"
import type { SocketAddress } from "../SocketAddress.ts"
import { formatInet6, parseInet, parseInet6 } from "../syscall/inet.ts"
import type { SockAddrLike } from "../syscall/sockaddr.ts"

// ---------------------------------------------------------------------------------------------------------------------
// printing
// ---------------------------------------------------------------------------------------------------------------------

const encoder = new TextEncoder()
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const hex = (byte: number): string => byte.toString(16).padStart(2, "0")

/** A name with what is not to be printed as `\xNN`. */
const formatName = (name: PathLike, isPath: boolean): string => {
  const bytes = typeof name === "string" ? encoder.encode(name) : name
  let text: string
  try {
    text = Array.from(strictDecoder.decode(bytes), (char) =>
      /^[\\\p{C}\p{Zl}\p{Zp}]$/u.test(char)
        ? Array.from(encoder.encode(char), (byte) => `\\x${hex(byte)}`).join("")
        : char
    ).join("")
  } catch {
    text = Array.from(bytes, (byte) =>
      byte > 0x20 && byte < 0x7f && byte !== 0x5c ? String.fromCharCode(byte) : `\\x${hex(byte)}`
    ).join("")
  }
  // An abstract name is told by its @, and so a path must not begin with one.
  return isPath && text.startsWith("@") ? `\\x40${text.slice(1)}` : text
}

/** What is not 0, behind a question mark. */
const formatRest = (rest: Readonly<Record<string, number | string | undefined>>): string => {
  const parts = Object.entries(rest).flatMap(([key, value]) => (value ? [`${key}=${value}`] : []))
  return parts.length === 0 ? "" : `?${parts.join("&")}`
}

const canonical = (address: string): string => {
  try {
    return formatInet6(parseInet6("address", address))
  } catch {
    return address
  }
}

/**
 * An address as text, in the form that {@link parse} reads:
 *
 * | address | text |
 * | --- | --- |
 * | `Inet` | `127.0.0.1:80` |
 * | `Inet6` | `[::1]:80`, `[fe80::1%2]:80` with a scope, `[::1]:80?flowinfo=7` |
 * | `Unix` | `unix:/run/name`, `unix:@abstract`, `unix:` for one without a name; `\x00` is a byte that cannot be printed |
 * | `Netlink` | `netlink:0`, `netlink:0?groups=1` |
 * | `Packet` | `packet:2?protocol=2048&address=02:00:00:00:00:01` |
 * | `Vsock` | `vsock:2:1024` |
 * | `Raw` | `raw:38:00ff` |
 *
 * @example
 * ```ts
 * import { SocketAddress } from "effect-linux"
 *
 * SocketAddress.format(SocketAddress.inet6("::1", 80)) // "[::1]:80"
 * SocketAddress.format(SocketAddress.abstract("bus")) // "unix:@bus"
 * ```
 *
 * @category text
 * @since 0.1.0
 */
export const format = (self: SockAddrLike): string => {
  switch (self._tag) {
    case "Inet":
      return `${self.address}:${self.port}`
    case "Inet6": {
      const scope = self.scopeId ? `%${self.scopeId}` : ""
      return `[${canonical(self.address)}${scope}]:${self.port}${formatRest({ flowinfo: self.flowinfo })}`
    }
    case "Unix":
      if (self.path !== undefined) return `unix:${formatName(self.path, true)}`
      return self.abstract === undefined ? "unix:" : `unix:@${formatName(self.abstract, false)}`
    case "Netlink":
      return `netlink:${self.pid}${formatRest({ groups: self.groups })}`
    case "Packet": {
      const { hatype, ifindex, pkttype, protocol } = self
      const address = Array.from(self.address ?? [], hex).join(":")
      return `packet:${ifindex}${formatRest({ protocol, hatype, pkttype, address })}`
    }
    case "Vsock":
      return `vsock:${self.cid}:${self.port}${formatRest({ flags: self.flags })}`
    case "Raw":
      return `raw:${self.family}:${Array.from(self.bytes, hex).join("")}`
    default:
      throw new TypeError("self: expected an address with one of the tags of SocketAddress")
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// reading
// ---------------------------------------------------------------------------------------------------------------------

/** Says what is wrong with a text: thrown and caught within this file. */
const wrong = (detail: string): never => {
  throw new RangeError(detail)
}

const numberOf = (what: string, text: string, most: number): number => {
  const value = /^(0|[1-9]\d*)$/.test(text) ? Number(text) : Number.NaN
  return value <= most ? value : wrong(`${what}: expected an integer from 0 to ${most}, got ${JSON.stringify(text)}`)
}

const most16 = 0xffff
const most32 = 0xffffffff

/** What stands behind the question mark, each value read by its name. */
const restOf = <Keys extends string>(
  text: string | undefined,
  readers: { readonly [K in Keys]: (value: string) => number | Uint8Array }
): ReadonlyMap<string, number | Uint8Array> => {
  const found = new Map<string, number | Uint8Array>()
  for (const part of text === undefined ? [] : text.split("&")) {
    const [key = "", value, ...more] = part.split("=")
    const read = Object.entries<(value: string) => number | Uint8Array>(readers).find(([name]) => name === key)?.[1]
    if (read === undefined || value === undefined || more.length > 0 || found.has(key)) {
      return wrong(`expected one of ${Object.keys(readers).join(", ")} once, got ${JSON.stringify(part)}`)
    }
    found.set(key, read(value))
  }
  return found
}

const numberIn = (rest: ReadonlyMap<string, number | Uint8Array>, key: string): number => {
  const value = rest.get(key)
  return typeof value === "number" ? value : 0
}

const number32 =
  (what: string) =>
  (text: string): number =>
    numberOf(what, text, most32)

const number16 =
  (what: string) =>
  (text: string): number =>
    numberOf(what, text, most16)

const bytesOf = (what: string, text: string, separator: string): Uint8Array => {
  const pairs = separator === "" ? (text.match(/../g) ?? []) : text.split(separator)
  if (text === "" && separator === "") return new Uint8Array(0)
  if (pairs.join(separator) !== text || !pairs.every((pair) => /^[0-9a-fA-F]{2}$/.test(pair))) {
    return wrong(`${what}: expected bytes of two hexadecimal digits, got ${JSON.stringify(text)}`)
  }
  return Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16))
}

const parseName = (text: string): PathLike => {
  if (!text.includes("\\")) return text
  const bytes: Array<number> = []
  for (const part of text.split(/(\\x[0-9a-fA-F]{2})/)) {
    if (/^\\x[0-9a-fA-F]{2}$/.test(part)) bytes.push(Number.parseInt(part.slice(2), 16))
    else if (part.includes("\\")) return wrong(`expected \\xNN after a backslash, got ${JSON.stringify(part)}`)
    else bytes.push(...encoder.encode(part))
  }
  const name = Uint8Array.from(bytes)
  try {
    return strictDecoder.decode(name)
  } catch {
    return name
  }
}

const parseUnix = (name: string): SocketAddress =>
  name === ""
    ? { _tag: "Unix", unnamed: true }
    : name.startsWith("@")
      ? { _tag: "Unix", abstract: parseName(name.slice(1)) }
      : { _tag: "Unix", path: parseName(name) }

const parsePacket = (ifindex: string, text: string | undefined): SocketAddress => {
  const rest = restOf(text, {
    protocol: number16("protocol"),
    hatype: number16("hatype"),
    pkttype: (value) => numberOf("pkttype", value, 0xff),
    address: (value) => bytesOf("address", value, ":")
  })
  const address = rest.get("address")
  return {
    _tag: "Packet",
    protocol: numberIn(rest, "protocol"),
    ifindex: numberOf("interface", ifindex, 0x7fffffff),
    hatype: numberIn(rest, "hatype"),
    pkttype: numberIn(rest, "pkttype"),
    address: address instanceof Uint8Array ? address : new Uint8Array(0)
  }
}

const parseInet6Address = (text: string): SocketAddress => {
  const [, address = "", , scope = "0", port = "", rest] =
    /^\[([^\]%]*)(%([^\]]*))?\]:([^?]*)(?:\?(.*))?$/.exec(text) ?? wrong("expected [ADDRESS]:PORT")
  const found = restOf(rest, { flowinfo: number32("flowinfo") })
  return {
    _tag: "Inet6",
    address: formatInet6(parseInet6("address", address)),
    port: numberOf("port", port, most16),
    flowinfo: numberIn(found, "flowinfo"),
    scopeId: numberOf("scope", scope, most32)
  }
}

const parseInetAddress = (text: string): SocketAddress => {
  const [, address = "", port = ""] = /^([^:]*):(.*)$/.exec(text) ?? wrong("expected ADDRESS:PORT")
  parseInet("address", address)
  return { _tag: "Inet", address, port: numberOf("port", port, most16) }
}

const parseVsock = (text: string, rest: string | undefined): SocketAddress => {
  const [, cid = "", port = ""] = /^([^:]*):([^:]*)$/.exec(text) ?? wrong("expected vsock:CID:PORT")
  return {
    _tag: "Vsock",
    cid: numberOf("cid", cid, most32),
    port: numberOf("port", port, most32),
    flags: numberIn(restOf(rest, { flags: (value) => numberOf("flags", value, 0xff) }), "flags")
  }
}

const parseRaw = (text: string): SocketAddress => {
  const [, family = "", bytes = ""] = /^([^:]*):([^:]*)$/.exec(text) ?? wrong("expected raw:FAMILY:BYTES")
  return { _tag: "Raw", family: numberOf("family", family, most16), bytes: bytesOf("bytes", bytes, "") }
}

const read = (text: string): SocketAddress => {
  if (text.startsWith("[")) return parseInet6Address(text)
  const [, kind, whole = ""] = /^(unix|netlink|packet|vsock|raw):(.*)$/s.exec(text) ?? []
  if (kind === undefined) return parseInetAddress(text)
  // A name may have question marks of its own.
  if (kind === "unix") return parseUnix(whole)
  const [, first = "", rest] = /^([^?]*)(?:\?(.*))?$/s.exec(whole) ?? []
  if (kind === "packet") return parsePacket(first, rest)
  if (kind === "vsock") return parseVsock(first, rest)
  if (kind === "raw") return parseRaw(whole)
  const groups = numberIn(restOf(rest, { groups: number32("groups") }), "groups")
  return { _tag: "Netlink", pid: numberOf("port", first, most32), groups }
}

/**
 * Reads an address from text: see {@link format} for the forms. Names of hosts are no addresses and are not looked up.
 *
 * Fails with `EINVAL`, whose `detail` says what was expected.
 *
 * @example
 * ```ts
 * import { Result } from "effect"
 * import { SocketAddress } from "effect-linux"
 *
 * Result.getOrThrow(SocketAddress.parse("[::1]:80")) // { _tag: "Inet6", address: "::1", port: 80, flowinfo: 0, scopeId: 0 }
 * ```
 *
 * @category text
 * @since 0.1.0
 */
export const parse = (text: string): Result.Result<SocketAddress, EINVAL> => {
  try {
    return Result.succeed(read(text))
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw thrown
    return Result.fail(new EINVAL({ detail: `${JSON.stringify(text)} is no address: ${thrown.message}` }))
  }
}
