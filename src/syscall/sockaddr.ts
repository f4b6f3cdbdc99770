/**
 * Addresses of sockets as records, and as the bytes that the kernel takes and gives.
 */
import * as Abi from "../Abi.ts"
import type { PathLike } from "../internal/arguments.ts"
import { AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX, AF_VSOCK, UNIX_PATH_MAX } from "../internal/constants.ts"
import { formatInet, formatInet6, parseInet, parseInet6 } from "./inet.ts"

/**
 * An IPv4 address in dotted decimal, such as `"127.0.0.1"`, and a port.
 *
 * @category addresses
 * @since 0.1.0
 */
export interface SockAddrInet {
  readonly _tag: "Inet"
  readonly address: string
  readonly port: number
}

/**
 * An IPv6 address, such as `"::1"`, and a port. `flowinfo` is in the machine's byte order; `scopeId` is the index of the
 * interface, for link-local addresses.
 *
 * @category addresses
 * @since 0.1.0
 */
export interface SockAddrInet6 {
  readonly _tag: "Inet6"
  readonly address: string
  readonly port: number
  readonly flowinfo: number
  readonly scopeId: number
}

/**
 * A socket of this machine that has a name in the file system: any bytes but NUL.
 *
 * @category addresses
 * @since 0.1.0
 */
export interface SockAddrUnixPath<out Name extends PathLike = Uint8Array> {
  readonly _tag: "Unix"
  readonly path: Name
  readonly abstract?: undefined
  readonly unnamed?: undefined
}

/**
 * A socket of this machine that has a name of its own, in no file system: any bytes, NULs among them. The NUL that the
 * kernel puts before it is not part of `abstract`.
 *
 * @category addresses
 * @since 0.1.0
 */
export interface SockAddrUnixAbstract<out Name extends PathLike = Uint8Array> {
  readonly _tag: "Unix"
  readonly abstract: Name
  readonly path?: undefined
  readonly unnamed?: undefined
}

/**
 * A socket of this machine that has no name. `bind` to it gives the socket an abstract name that the kernel chooses.
 *
 * @category addresses
 * @since 0.1.0
 */
export interface SockAddrUnixUnnamed {
  readonly _tag: "Unix"
  readonly unnamed: true
  readonly path?: undefined
  readonly abstract?: undefined
}

/**
 * A socket of this machine, by path, abstract name, or without one.
 *
 * @category addresses
 * @since 0.1.0
 */
export type SockAddrUnix = SockAddrUnixPath | SockAddrUnixAbstract | SockAddrUnixUnnamed

/**
 * A netlink port: `pid` is 0 for the kernel; `groups` is a mask of multicast groups.
 *
 * @category addresses
 * @since 0.1.0
 */
export interface SockAddrNetlink {
  readonly _tag: "Netlink"
  readonly pid: number
  readonly groups: number
}

/**
 * A link-layer address: `protocol` is one of `ETH_P_*` in the machine's byte order, `ifindex` the interface (0: any),
 * `hatype` and `pkttype` say what the kernel received (`ARPHRD_*`, `PACKET_*`), `address` has up to 8 bytes.
 *
 * @category addresses
 * @since 0.1.0
 */
export interface SockAddrPacket {
  readonly _tag: "Packet"
  readonly protocol: number
  readonly ifindex: number
  readonly hatype: number
  readonly pkttype: number
  readonly address: Uint8Array
}

/**
 * A virtual machine or its host, by context identifier (`VMADDR_CID_*`), and a port. `flags` are of `VMADDR_FLAG_*`.
 *
 * @category addresses
 * @since 0.1.0
 */
export interface SockAddrVsock {
  readonly _tag: "Vsock"
  readonly cid: number
  readonly port: number
  readonly flags: number
}

/**
 * An address of any other family: `bytes` is what follows the family in memory. The structures of `Abi` have the
 * layouts; encode one and leave out the first two bytes.
 *
 * @category addresses
 * @since 0.1.0
 */
export interface SockAddrRaw {
  readonly _tag: "Raw"
  /** One of `AF_*`. `AF_UNSPEC` given to `connect` ends the connection of a datagram socket. */
  readonly family: number
  readonly bytes: Uint8Array
}

/**
 * The address of a socket, as calls give it.
 *
 * @category addresses
 * @since 0.1.0
 */
export type SockAddr =
  | SockAddrInet
  | SockAddrInet6
  | SockAddrUnix
  | SockAddrNetlink
  | SockAddrPacket
  | SockAddrVsock
  | SockAddrRaw

type Optional<A, Keys extends keyof A> = Omit<A, Keys> & { readonly [K in Keys]?: A[K] | undefined }

/**
 * The address of a socket, as calls take it: like {@link SockAddr}, where what is mostly 0 may be left out and names may be
 * strings.
 *
 * @category addresses
 * @since 0.1.0
 */
export type SockAddrLike =
  | SockAddrInet
  | Optional<SockAddrInet6, "flowinfo" | "scopeId">
  | SockAddrUnixPath<PathLike>
  | SockAddrUnixAbstract<PathLike>
  | SockAddrUnixUnnamed
  | Optional<SockAddrNetlink, "groups">
  | Optional<SockAddrPacket, "hatype" | "pkttype" | "address">
  | Optional<SockAddrVsock, "flags">
  | SockAddrRaw

/** The kernel's largest address, and so room for any. */
export const storageSize = 128

/** Where the family ends and what is of the family begins. */
const familySize = 2

/** A 16-bit number in the other byte order: ports and protocols travel with the high byte first. */
const swap16 = (name: string, value: number): number => {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff) {
    throw new RangeError(`${name}: expected an integer from 0 to 65535, got ${value}`)
  }
  return ((value & 0xff) << 8) | (value >> 8)
}

const swap32 = (name: string, value: number): number => {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) {
    throw new RangeError(`${name}: expected an integer from 0 to 4294967295, got ${value}`)
  }
  const view = new DataView(new ArrayBuffer(4))
  view.setUint32(0, value)
  return view.getUint32(0, true)
}

const encoder = new TextEncoder()

/** The bytes of a name, with `before` zeros in front and `after` behind. */
const nameBytes = (what: string, name: PathLike): Uint8Array => {
  if (typeof name !== "string") {
    if (!(name instanceof Uint8Array)) throw new TypeError(`${what}: expected a string or a Uint8Array`)
    return name
  }
  // A lone surrogate has no UTF-8: encoding it would name another socket.
  if (!name.isWellFormed()) throw new RangeError(`${what} is not well-formed Unicode; pass its bytes`)
  return encoder.encode(name)
}

const unix = (name: Uint8Array, before: number, after: number): Uint8Array => {
  const bytes = new Uint8Array(familySize + before + name.length + after)
  bytes[0] = AF_UNIX
  bytes.set(name, familySize + before)
  return bytes
}

const encodePath = (path: PathLike): Uint8Array => {
  const name = nameBytes("path", path)
  if (name.length === 0) throw new RangeError("path: an empty path would be an abstract name")
  if (name.includes(0)) throw new RangeError("path contains a NUL")
  if (name.length > UNIX_PATH_MAX) {
    throw new RangeError(`path: ${name.length} bytes are more than the ${UNIX_PATH_MAX} that an address holds`)
  }
  return unix(name, 0, name.length < UNIX_PATH_MAX ? 1 : 0)
}

const encodeAbstract = (abstract: PathLike): Uint8Array => {
  const name = nameBytes("abstract", abstract)
  if (name.length >= UNIX_PATH_MAX) {
    throw new RangeError(`abstract: ${name.length} bytes are more than the ${UNIX_PATH_MAX - 1} that an address holds`)
  }
  return unix(name, 1, 0)
}

const { in_addr, in6_addr } = Abi

/**
 * The bytes of an address, as the kernel takes them: exactly as many as its length says.
 *
 * Throws a `RangeError` for an address that cannot be written: no IP address, a port above 65,535, a path of over 108
 * bytes or with a NUL.
 *
 * @category addresses
 * @since 0.1.0
 */
export const encodeSockAddr = (addr: SockAddrLike): Uint8Array => {
  switch (addr._tag) {
    case "Inet":
      return Abi.sockaddr_in.encode({
        sin_family: AF_INET,
        sin_port: swap16("port", addr.port),
        sin_addr: in_addr.decode(parseInet("address", addr.address))
      })
    case "Inet6":
      return Abi.sockaddr_in6.encode({
        sin6_family: AF_INET6,
        sin6_port: swap16("port", addr.port),
        sin6_flowinfo: swap32("flowinfo", addr.flowinfo ?? 0),
        sin6_addr: in6_addr.decode(parseInet6("address", addr.address)),
        sin6_scope_id: addr.scopeId ?? 0
      })
    case "Unix":
      return addr.path !== undefined
        ? encodePath(addr.path)
        : addr.abstract !== undefined
          ? encodeAbstract(addr.abstract)
          : unix(new Uint8Array(0), 0, 0)
    case "Netlink":
      return Abi.sockaddr_nl.encode({ nl_family: AF_NETLINK, nl_pid: addr.pid, nl_groups: addr.groups ?? 0 })
    case "Packet": {
      const address = addr.address ?? new Uint8Array(0)
      return Abi.sockaddr_ll.encode({
        sll_family: AF_PACKET,
        sll_protocol: swap16("protocol", addr.protocol),
        sll_ifindex: addr.ifindex,
        sll_hatype: addr.hatype ?? 0,
        sll_pkttype: addr.pkttype ?? 0,
        sll_halen: address.length,
        sll_addr: address
      })
    }
    case "Vsock":
      return Abi.sockaddr_vm.encode({
        svm_family: AF_VSOCK,
        svm_port: addr.port,
        svm_cid: addr.cid,
        svm_flags: addr.flags ?? 0
      })
    case "Raw": {
      const bytes = new Uint8Array(familySize + addr.bytes.length)
      new DataView(bytes.buffer).setUint16(0, Number(swap16("family", addr.family)))
      bytes.set(addr.bytes, familySize)
      return bytes
    }
    default:
      throw new TypeError("addr: expected an address with one of the tags of SockAddr")
  }
}

const decodeUnix = (name: Uint8Array): SockAddrUnix => {
  if (name.length === 0) return { _tag: "Unix", unnamed: true }
  if (name[0] === 0) return { _tag: "Unix", abstract: name.slice(1) }
  const end = name.indexOf(0)
  return { _tag: "Unix", path: name.slice(0, end < 0 ? name.length : end) }
}

/**
 * The address that the kernel wrote into `bytes`, of which there are exactly as many as it said; undefined where it
 * wrote none. One that is shorter than its family's structure, or of a family without a record, is a `Raw`.
 *
 * @category addresses
 * @since 0.1.0
 */
export const decodeSockAddr = (bytes: Uint8Array): SockAddr | undefined => {
  if (bytes.length < familySize) return undefined
  const family = (bytes[0] ?? 0) | ((bytes[1] ?? 0) << 8)
  const holds = (struct: { readonly size: number }) => bytes.length >= struct.size
  if (family === AF_UNIX) return decodeUnix(bytes.subarray(familySize))
  if (family === AF_INET && holds(Abi.sockaddr_in)) {
    const { sin_addr, sin_port } = Abi.sockaddr_in.decode(bytes)
    return { _tag: "Inet", address: formatInet(in_addr.encode(sin_addr)), port: swap16("port", sin_port) }
  }
  if (family === AF_INET6 && holds(Abi.sockaddr_in6)) {
    const { sin6_addr, sin6_flowinfo, sin6_port, sin6_scope_id } = Abi.sockaddr_in6.decode(bytes)
    return {
      _tag: "Inet6",
      address: formatInet6(sin6_addr.u6_addr8),
      port: swap16("port", sin6_port),
      flowinfo: swap32("flowinfo", sin6_flowinfo),
      scopeId: sin6_scope_id
    }
  }
  if (family === AF_NETLINK && holds(Abi.sockaddr_nl)) {
    const { nl_groups, nl_pid } = Abi.sockaddr_nl.decode(bytes)
    return { _tag: "Netlink", pid: nl_pid, groups: nl_groups }
  }
  const beforeHardware = Abi.sockaddr_ll.fields.sll_addr.offset
  if (family === AF_PACKET && bytes.length >= beforeHardware) {
    // The kernel gives only as much of the hardware address as there is, which may be more than the 8 bytes of C.
    const whole = new Uint8Array(Abi.sockaddr_ll.size)
    whole.set(bytes.subarray(0, whole.length))
    const { sll_halen, sll_hatype, sll_ifindex, sll_pkttype, sll_protocol } = Abi.sockaddr_ll.decode(whole)
    return {
      _tag: "Packet",
      protocol: swap16("protocol", sll_protocol),
      ifindex: sll_ifindex,
      hatype: sll_hatype,
      pkttype: sll_pkttype,
      address: bytes.slice(beforeHardware, beforeHardware + sll_halen)
    }
  }
  if (family === AF_VSOCK && holds(Abi.sockaddr_vm)) {
    const { svm_cid, svm_flags, svm_port } = Abi.sockaddr_vm.decode(bytes)
    return { _tag: "Vsock", cid: svm_cid, port: svm_port, flags: svm_flags }
  }
  return { _tag: "Raw", family, bytes: bytes.slice(familySize) }
}
