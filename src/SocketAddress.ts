/**
 * Addresses of sockets as plain data: made, compared, printed and read as text.
 *
 * An address is a record with the tag of its family: `Inet`, `Inet6`, `Unix`, `Netlink`, `Packet`, `Vsock`, and `Raw` for
 * any other. Calls take records that leave out what is mostly 0, and names of Unix sockets as text or bytes; what calls give
 * is complete, and has a name as text where it is UTF-8 and as bytes where it is not. A record is not checked when it is
 * made: an address that cannot be written fails with `EINVAL` where it is used.
 *
 * Sockets themselves are in `Socket`.
 *
 * @since 0.1.0
 */
import * as Equivalence from "effect/Equivalence"
import type { PathLike } from "./internal/arguments.ts"
import {
  AF_INET,
  AF_INET6,
  AF_NETLINK,
  AF_PACKET,
  AF_UNIX,
  AF_VSOCK,
  VMADDR_CID_ANY,
  VMADDR_CID_HOST,
  VMADDR_CID_LOCAL,
  VMADDR_PORT_ANY
} from "./internal/constants.ts"
import { formatInet, formatInet6, parseInet, parseInet6 } from "./syscall/inet.ts"
import {
  decodeSockAddr,
  encodeSockAddr,
  type SockAddr,
  type SockAddrInet,
  type SockAddrInet6,
  type SockAddrLike,
  type SockAddrNetlink,
  type SockAddrPacket,
  type SockAddrRaw,
  type SockAddrUnixAbstract,
  type SockAddrUnixPath,
  type SockAddrUnixUnnamed,
  type SockAddrVsock
} from "./syscall/sockaddr.ts"

export { format, parse } from "./file/socket-text.ts"

// ---------------------------------------------------------------------------------------------------------------------
// models
// ---------------------------------------------------------------------------------------------------------------------

/**
 * An IPv4 address and a port.
 *
 * @category models
 * @since 0.1.0
 */
export type Inet = SockAddrInet

/**
 * An IPv6 address and a port, with the index of the interface for link-local addresses.
 *
 * @category models
 * @since 0.1.0
 */
export type Inet6 = SockAddrInet6

/**
 * A socket of this machine: by path, by abstract name, or without a name.
 *
 * @category models
 * @since 0.1.0
 */
export type Unix = SockAddrUnixPath<PathLike> | SockAddrUnixAbstract<PathLike> | SockAddrUnixUnnamed

/**
 * A netlink port, and a mask of multicast groups.
 *
 * @category models
 * @since 0.1.0
 */
export type Netlink = SockAddrNetlink

/**
 * An interface and a link-layer address.
 *
 * @category models
 * @since 0.1.0
 */
export type Packet = SockAddrPacket

/**
 * A virtual machine, or its host, and a port.
 *
 * @category models
 * @since 0.1.0
 */
export type Vsock = SockAddrVsock

/**
 * An address of another family, as bytes.
 *
 * @category models
 * @since 0.1.0
 */
export type Raw = SockAddrRaw

/**
 * The address of a socket, as calls give it.
 *
 * @category models
 * @since 0.1.0
 */
export type SocketAddress = Inet | Inet6 | Unix | Netlink | Packet | Vsock | Raw

/**
 * The address of a socket, as calls take it.
 *
 * @category models
 * @since 0.1.0
 */
export type Input = SockAddrLike

// ---------------------------------------------------------------------------------------------------------------------
// constructors
// ---------------------------------------------------------------------------------------------------------------------

/**
 * An IPv4 address, such as `"127.0.0.1"`, and a port from 0 to 65,535; 0 lets the kernel choose one when it is bound.
 *
 * @category constructors
 * @since 0.1.0
 */
export const inet = (address: string, port: number): Inet => ({ _tag: "Inet", address, port })

/**
 * An IPv6 address, such as `"::1"`, and a port. `scopeId` is the index of the interface, which link-local addresses need.
 *
 * @category constructors
 * @since 0.1.0
 */
export const inet6 = (
  address: string,
  port: number,
  options: { readonly flowinfo?: number | undefined; readonly scopeId?: number | undefined } = {}
): Inet6 => ({ _tag: "Inet6", address, port, flowinfo: options.flowinfo ?? 0, scopeId: options.scopeId ?? 0 })

/**
 * An IP address of either version and a port: `Inet6` where the text has a colon, `Inet` otherwise.
 *
 * @example
 * ```ts
 * import { SocketAddress } from "effect-linux"
 *
 * SocketAddress.ip("127.0.0.1", 80)._tag // "Inet"
 * SocketAddress.ip("::1", 80)._tag // "Inet6"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const ip = (address: string, port: number): Inet | Inet6 =>
  address.includes(":") ? inet6(address, port) : inet(address, port)

/**
 * A Unix socket that has a name in the file system: up to 108 bytes, none of them NUL.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unix = <Name extends PathLike>(path: Name): SockAddrUnixPath<Name> => ({ _tag: "Unix", path })

/**
 * A Unix socket that has a name in no file system: up to 107 bytes, without the NUL that the kernel puts before it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const abstract = <Name extends PathLike>(name: Name): SockAddrUnixAbstract<Name> => ({
  _tag: "Unix",
  abstract: name
})

/**
 * A Unix socket that has no name. Binding to it lets the kernel choose an abstract one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unnamed: SockAddrUnixUnnamed = { _tag: "Unix", unnamed: true }

/**
 * A netlink port: 0 is the kernel when it is sent to, and lets the kernel choose when it is bound. `groups` is a mask of
 * multicast groups.
 *
 * @category constructors
 * @since 0.1.0
 */
export const netlink = (pid = 0, groups = 0): Netlink => ({ _tag: "Netlink", pid, groups })

/**
 * An interface, by its index (0: all), and the protocol, one of `ETH_P_*` in the machine's byte order; with an `address`
 * of up to 8 bytes the place to send to.
 *
 * @category constructors
 * @since 0.1.0
 */
export const packet = (
  ifindex: number,
  protocol: number,
  options: {
    readonly hatype?: number | undefined
    readonly pkttype?: number | undefined
    readonly address?: Uint8Array | undefined
  } = {}
): Packet => ({
  _tag: "Packet",
  protocol,
  ifindex,
  hatype: options.hatype ?? 0,
  pkttype: options.pkttype ?? 0,
  address: options.address ?? new Uint8Array(0)
})

/**
 * A virtual machine by its context identifier, or one of `VMADDR_CID_*`, and a port, or `VMADDR_PORT_ANY`. `flags` are of
 * `VMADDR_FLAG_*`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const vsock = (cid: number, port: number, flags = 0): Vsock => ({ _tag: "Vsock", cid, port, flags })

/**
 * An address of any family: `bytes` is what follows the family in memory.
 *
 * @category constructors
 * @since 0.1.0
 */
export const raw = (family: number, bytes: Uint8Array): Raw => ({ _tag: "Raw", family, bytes })

// ---------------------------------------------------------------------------------------------------------------------
// IP addresses
// ---------------------------------------------------------------------------------------------------------------------

/** An address of which there is none: the functions below refuse what is no IP address as a defect of the caller. */
const uint32 = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)

/**
 * IPv4 addresses without a port, as text. Functions that take one throw a `RangeError` for what is none.
 *
 * @example
 * ```ts
 * import { SocketAddress } from "effect-linux"
 *
 * const { Ipv4 } = SocketAddress
 *
 * SocketAddress.inet(Ipv4.LOOPBACK, 8080)
 * Ipv4.toMapped(Ipv4.LOOPBACK) // "::ffff:127.0.0.1"
 * ```
 *
 * @category IP addresses
 * @since 0.1.0
 */
export const Ipv4 = {
  /** `INADDR_ANY`: all interfaces. */
  ANY: "0.0.0.0",
  /** `INADDR_LOOPBACK` */
  LOOPBACK: "127.0.0.1",
  /** `INADDR_BROADCAST`: all hosts of the local network. */
  BROADCAST: "255.255.255.255",
  /** `INADDR_NONE`: an error of functions of C. */
  NONE: "255.255.255.255",
  /** `INADDR_DUMMY`: the source of ICMP replies where there is no address. */
  DUMMY: "192.0.0.8",
  /** `INADDR_UNSPEC_GROUP` */
  UNSPEC_GROUP: "224.0.0.0",
  /** `INADDR_ALLHOSTS_GROUP` */
  ALLHOSTS_GROUP: "224.0.0.1",
  /** `INADDR_ALLRTRS_GROUP` */
  ALLRTRS_GROUP: "224.0.0.2",
  /** `INADDR_ALLSNOOPERS_GROUP` */
  ALLSNOOPERS_GROUP: "224.0.0.106",
  /** From its four bytes. */
  fromBytes: (bytes: Uint8Array): string => {
    if (bytes.length !== 4) throw new RangeError(`bytes: expected 4, got ${bytes.length}`)
    return formatInet(bytes)
  },
  /** Its four bytes. */
  toBytes: (address: string): Uint8Array => parseInet("address", address),
  /** From a number of 32 bits: `0x7f000001` is the loopback address. */
  fromNumber: (value: number): string => {
    if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) {
      throw new RangeError(`value: expected an integer from 0 to 4294967295, got ${value}`)
    }
    return formatInet(Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value))
  },
  /** The number of 32 bits. */
  toNumber: (address: string): number => uint32(parseInet("address", address)),
  /** The IPv6 address that stands for it. */
  toMapped: (address: string): string => `::ffff:${formatInet(parseInet("address", address))}`
} as const

/**
 * IPv6 addresses without a port, as text. Functions that take one throw a `RangeError` for what is none.
 *
 * @category IP addresses
 * @since 0.1.0
 */
export const Ipv6 = {
  /** `IN6ADDR_ANY_INIT`: all interfaces. */
  ANY: "::",
  /** `IN6ADDR_LOOPBACK_INIT` */
  LOOPBACK: "::1",
  /** `IN6ADDR_LINKLOCAL_ALLNODES_INIT` */
  LINKLOCAL_ALLNODES: "ff02::1",
  /** `IN6ADDR_LINKLOCAL_ALLROUTERS_INIT` */
  LINKLOCAL_ALLROUTERS: "ff02::2",
  /** `IN6ADDR_INTERFACELOCAL_ALLNODES_INIT` */
  INTERFACELOCAL_ALLNODES: "ff01::1",
  /** `IN6ADDR_INTERFACELOCAL_ALLROUTERS_INIT` */
  INTERFACELOCAL_ALLROUTERS: "ff01::2",
  /** `IN6ADDR_SITELOCAL_ALLROUTERS_INIT` */
  SITELOCAL_ALLROUTERS: "ff05::2",
  /** From its sixteen bytes, in the form of RFC 5952. */
  fromBytes: (bytes: Uint8Array): string => {
    if (bytes.length !== 16) throw new RangeError(`bytes: expected 16, got ${bytes.length}`)
    return formatInet6(bytes)
  },
  /** Its sixteen bytes. */
  toBytes: (address: string): Uint8Array => parseInet6("address", address),
  /** The IPv4 address that it stands for; undefined where it stands for none. */
  fromMapped: (address: string): string | undefined => {
    const bytes = parseInet6("address", address)
    const isMapped = bytes.every((byte, index) => index >= 12 || byte === (index < 10 ? 0 : 0xff))
    return isMapped ? formatInet(bytes.subarray(12)) : undefined
  }
} as const

/**
 * The context identifiers and the port of `Vsock` addresses that have a meaning of their own.
 *
 * @category constants
 * @since 0.1.0
 */
export const Cid = {
  /** `VMADDR_CID_ANY`: whatever this machine's is. */
  ANY: VMADDR_CID_ANY,
  /** `VMADDR_CID_LOCAL`: this machine itself. */
  LOCAL: VMADDR_CID_LOCAL,
  /** `VMADDR_CID_HOST`: the machine that this one runs on. */
  HOST: VMADDR_CID_HOST,
  /** `VMADDR_PORT_ANY`: a port that the kernel chooses. */
  PORT_ANY: VMADDR_PORT_ANY
} as const

// ---------------------------------------------------------------------------------------------------------------------
// conversions and comparison
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The address as an IPv6 socket has it: an IPv4 address is mapped, an IPv6 address stays as it is. Throws a `RangeError`
 * for what is no IP address.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toMapped = (self: Inet | Inet6): Inet6 =>
  self._tag === "Inet" ? inet6(Ipv4.toMapped(self.address), self.port) : self

/**
 * The address without the mapping: an IPv6 address that stands for an IPv4 address becomes that, others stay. Throws a
 * `RangeError` for what is no IP address.
 *
 * @example
 * ```ts
 * import { SocketAddress } from "effect-linux"
 *
 * // who connected to a socket that takes both versions
 * SocketAddress.fromMapped(SocketAddress.inet6("::ffff:192.0.2.1", 443)) // { _tag: "Inet", address: "192.0.2.1", … }
 * ```
 *
 * @category conversions
 * @since 0.1.0
 */
export const fromMapped = (self: Inet | Inet6): Inet | Inet6 => {
  if (self._tag === "Inet") return self
  const address = Ipv6.fromMapped(self.address)
  return address === undefined ? self : inet(address, self.port)
}

const families = {
  Inet: AF_INET,
  Inet6: AF_INET6,
  Unix: AF_UNIX,
  Netlink: AF_NETLINK,
  Packet: AF_PACKET,
  Vsock: AF_VSOCK
} as const

/**
 * The family of an address, one of `AF_*`: what a socket for it is made of.
 *
 * @category conversions
 * @since 0.1.0
 */
export const family = (self: Input): number => (self._tag === "Raw" ? self.family : families[self._tag])

/**
 * The bytes of an address, as the kernel takes them. Throws a `RangeError` for one that cannot be written.
 *
 * @category conversions
 * @since 0.1.0
 */
export const encode: (self: Input) => Uint8Array = encodeSockAddr

const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const nameOf = (bytes: Uint8Array): PathLike => {
  try {
    return strictDecoder.decode(bytes)
  } catch {
    return bytes
  }
}

/**
 * The address that `Syscall` gives, with names of Unix sockets as text where they are UTF-8.
 *
 * @category conversions
 * @since 0.1.0
 */
export const fromSockAddr = (addr: SockAddr): SocketAddress => {
  if (addr._tag !== "Unix" || addr.unnamed === true) return addr
  return addr.path === undefined ? abstract(nameOf(addr.abstract)) : unix(nameOf(addr.path))
}

/**
 * The address that lies in memory, exactly as many bytes as it has; undefined where there is none.
 *
 * @category conversions
 * @since 0.1.0
 */
export const decode = (bytes: Uint8Array): SocketAddress | undefined => {
  const addr = decodeSockAddr(bytes)
  return addr === undefined ? undefined : fromSockAddr(addr)
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i])

const writable = (self: Input): Uint8Array | undefined => {
  try {
    return encodeSockAddr(self)
  } catch {
    return undefined
  }
}

/**
 * Whether two addresses are the same to the kernel: however the text is written, whether a name is text or bytes, and
 * whether what is 0 is left out. One that cannot be written is the same as none.
 *
 * Addresses that calls give are in one form, so that `Equal.equals` compares them, too.
 *
 * @example
 * ```ts
 * import { SocketAddress } from "effect-linux"
 *
 * SocketAddress.equals(SocketAddress.inet6("::1", 80), SocketAddress.inet6("0:0:0:0:0:0:0:1", 80)) // true
 * ```
 *
 * @category comparison
 * @since 0.1.0
 */
export const equals = (self: Input, that: Input): boolean => {
  const [a, b] = [writable(self), writable(that)]
  return a !== undefined && b !== undefined && sameBytes(a, b)
}

/**
 * {@link equals} as an `Equivalence`.
 *
 * @category comparison
 * @since 0.1.0
 */
export const equivalence: Equivalence.Equivalence<Input> = Equivalence.make(equals)
