/**
 * The values of options that have IP addresses in them, which are text here: multicast groups and their sources, flow
 * labels, interfaces.
 */
import * as Abi from "../Abi.ts"
import * as Struct from "../Struct.ts"
import { formatInet, formatInet6, parseInet, parseInet6 } from "../syscall/inet.ts"
import { decodeSockAddr, encodeSockAddr, type SockAddr, type SockAddrLike, storageSize } from "../syscall/sockaddr.ts"
import { type Codec, int, type Readable, struct, type Writable } from "./option-codec.ts"

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

// ---------------------------------------------------------------------------------------------------------------------
// IP addresses
// ---------------------------------------------------------------------------------------------------------------------

const inetNumber = (name: string, address: string): number => viewOf(parseInet(name, address)).getUint32(0, true)

const in_addr = (name: string, address: string): Abi.in_addr => ({ s_addr: inetNumber(name, address) })

const in6_addr = (name: string, address: string): Abi.in6_addr => ({ u6_addr8: parseInet6(name, address) })

const numberInet = (value: number): string => {
  const bytes = new Uint8Array(4)
  viewOf(bytes).setUint32(0, value, true)
  return formatInet(bytes)
}

/** An interface by its index, which these options have in network byte order. */
export const networkIndex: Codec<number> = {
  size: 4,
  decode: (bytes) => (bytes.length < 4 ? 0 : viewOf(bytes).getUint32(0)),
  encode: (value) => {
    const bytes = int.encode(value)
    return bytes === null ? null : bytes.reverse()
  }
}

/**
 * A multicast group of IPv4, and the interface to join it on: by its index, by its address, or by neither, where the
 * routing table decides.
 *
 * @category models
 * @since 0.1.0
 */
export interface Membership {
  readonly imr_multiaddr: string
  readonly imr_address?: string | undefined
  readonly imr_ifindex?: number | undefined
}

export const membership: Codec<never, Membership> = {
  size: 0,
  decode: () => unreadable(),
  encode: ({ imr_address = "0.0.0.0", imr_ifindex = 0, imr_multiaddr }) =>
    Abi.ip_mreqn.encode({
      imr_multiaddr: in_addr("imr_multiaddr", imr_multiaddr),
      imr_address: in_addr("imr_address", imr_address),
      imr_ifindex
    })
}

/** Of an option that can only be set, or only be read. */
export const unreadable = (): never => {
  throw new Error("the option cannot be used this way")
}

/**
 * The interface that multicast goes out by: by its index or address.
 *
 * @category models
 * @since 0.1.0
 */
export interface MulticastInterface {
  readonly imr_address?: string | undefined
  readonly imr_ifindex?: number | undefined
}

/** Read as an address, set as an address or index. */
export const multicastInterface: Codec<string, MulticastInterface> = {
  size: 4,
  decode: formatInet,
  encode: (value) => membership.encode({ imr_multiaddr: "0.0.0.0", ...value })
}

/**
 * A multicast group of IPv4, a source of it, and the address of the interface; `"0.0.0.0"` lets the routing table decide.
 *
 * @category models
 * @since 0.1.0
 */
export interface SourceMembership {
  readonly imr_multiaddr: string
  readonly imr_sourceaddr: string
  readonly imr_interface?: string | undefined
}

export const sourceMembership: Codec<never, SourceMembership> = {
  size: 0,
  decode: unreadable,
  encode: ({ imr_interface = "0.0.0.0", imr_multiaddr, imr_sourceaddr }) =>
    Abi.ip_mreq_source.encode({
      imr_multiaddr: inetNumber("imr_multiaddr", imr_multiaddr),
      imr_interface: inetNumber("imr_interface", imr_interface),
      imr_sourceaddr: inetNumber("imr_sourceaddr", imr_sourceaddr)
    })
}

/**
 * A multicast group of IPv6, or an anycast address, and the index of the interface; 0 lets the routing table decide.
 *
 * @category models
 * @since 0.1.0
 */
export interface Membership6 {
  readonly ipv6mr_multiaddr: string
  readonly ipv6mr_ifindex?: number | undefined
}

export const membership6: Codec<never, Membership6> = {
  size: 0,
  decode: unreadable,
  encode: ({ ipv6mr_ifindex = 0, ipv6mr_multiaddr }) =>
    Abi.ipv6_mreq.encode({ ipv6mr_multiaddr: in6_addr("ipv6mr_multiaddr", ipv6mr_multiaddr), ipv6mr_ifindex })
}

/**
 * Where datagrams are to come from: the source address and the index of the interface.
 *
 * @category models
 * @since 0.1.0
 */
export interface PacketInfo6 {
  readonly ipi6_addr: string
  readonly ipi6_ifindex: number
}

export const packetInfo6: Codec<never, PacketInfo6> = {
  size: 0,
  decode: unreadable,
  encode: ({ ipi6_addr, ipi6_ifindex }) =>
    Abi.in6_pktinfo.encode({ ipi6_addr: in6_addr("ipi6_addr", ipi6_addr), ipi6_ifindex })
}

/**
 * The largest packet on the way to the address that a socket is connected to. Linux leaves that address out when the option
 * is read.
 *
 * @category models
 * @since 0.1.0
 */
export interface MtuInfo6 {
  readonly ip6m_addr: SockAddr | undefined
  readonly ip6m_mtu: number
}

export const mtuInfo6: Codec<MtuInfo6, never> = {
  size: Abi.ip6_mtuinfo.size,
  decode: (bytes) => {
    const { ip6m_addr, ip6m_mtu } = Abi.ip6_mtuinfo.decode(bytes)
    // Linux says only how large.
    const told = ip6m_addr.sin6_family !== 0
    return { ip6m_addr: told ? decodeSockAddr(bytes.subarray(0, Abi.sockaddr_in6.size)) : undefined, ip6m_mtu }
  },
  encode: unreadable
}

/**
 * The local ports that the kernel may choose from; 0 is the bound of the system.
 *
 * @category models
 * @since 0.1.0
 */
export interface PortRange {
  readonly low: number
  readonly high: number
}

const ports = Struct.array(Struct.u16, 2)

export const portRange: Codec<PortRange> = {
  size: ports.size,
  decode: (bytes) => {
    const [low = 0, high = 0] = struct(ports).decode(bytes)
    return { low, high }
  },
  encode: ({ high, low }) => struct(ports).encode([low, high])
}

// ---------------------------------------------------------------------------------------------------------------------
// groups of either family
// ---------------------------------------------------------------------------------------------------------------------

/** Room for an address of any family. */
export const storage = (addr: SockAddrLike): Uint8Array => {
  const bytes = new Uint8Array(storageSize)
  bytes.set(encodeSockAddr(addr))
  return bytes
}

/**
 * A multicast group of either family, and the index of the interface to join it on; 0 lets the routing table decide.
 *
 * @category models
 * @since 0.1.0
 */
export interface Group {
  readonly gr_interface: number
  readonly gr_group: SockAddrLike
}

export const group: Codec<never, Group> = {
  size: 0,
  decode: unreadable,
  encode: ({ gr_group, gr_interface }) => Abi.group_req.encode({ gr_interface, gr_group: storage(gr_group) })
}

/**
 * A multicast group of either family and a source of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface GroupSource {
  readonly gsr_interface: number
  readonly gsr_group: SockAddrLike
  readonly gsr_source: SockAddrLike
}

export const groupSource: Codec<never, GroupSource> = {
  size: 0,
  decode: unreadable,
  encode: ({ gsr_group, gsr_interface, gsr_source }) =>
    Abi.group_source_req.encode({ gsr_interface, gsr_group: storage(gsr_group), gsr_source: storage(gsr_source) })
}

/** The most sources that are asked for; the system's limit is 10 unless it was raised. */
const mostSources = 1024

/**
 * Which sources of a multicast group of IPv4 are wanted: those listed (`MCAST_INCLUDE`), or all others (`MCAST_EXCLUDE`).
 *
 * @category models
 * @since 0.1.0
 */
export interface SourceFilter {
  readonly imsf_multiaddr: string
  readonly imsf_interface: string
  readonly imsf_fmode: number
  readonly imsf_slist: ReadonlyArray<string>
}

const sourceListAt = Abi.ip_msfilter.fields.imsf_slist.offset

const encodeSourceFilter = (value: SourceFilter, room: number): Uint8Array => {
  const { imsf_fmode, imsf_interface, imsf_multiaddr, imsf_slist } = value
  const count = Math.max(room, imsf_slist.length)
  const bytes = new Uint8Array(Math.max(Abi.ip_msfilter.size, sourceListAt + 4 * count))
  Abi.ip_msfilter.encode(
    {
      imsf_multiaddr: inetNumber("imsf_multiaddr", imsf_multiaddr),
      imsf_interface: inetNumber("imsf_interface", imsf_interface),
      imsf_fmode,
      imsf_numsrc: count,
      imsf_slist: [0]
    },
    bytes
  )
  for (const [index, source] of imsf_slist.entries()) {
    bytes.set(parseInet(`imsf_slist[${index}]`, source), sourceListAt + 4 * index)
  }
  return bytes.subarray(0, sourceListAt + 4 * count)
}

/** `IP_MSFILTER`: which group it is about is said when it is read, too. */
export const sourceFilter = (
  name: string,
  level: number,
  optname: number
): Readable<SourceFilter, Pick<SourceFilter, "imsf_multiaddr" | "imsf_interface">> & Writable<SourceFilter> => ({
  name,
  level,
  optname,
  room: (query) => encodeSourceFilter({ imsf_fmode: 0, imsf_slist: [], ...query }, mostSources),
  largest: 0,
  decode: (bytes) => {
    const { imsf_fmode, imsf_interface, imsf_multiaddr, imsf_numsrc } = Abi.ip_msfilter.decode(bytes)
    const held = Math.min(imsf_numsrc, Math.floor((bytes.length - sourceListAt) / 4))
    return {
      imsf_multiaddr: numberInet(imsf_multiaddr),
      imsf_interface: numberInet(imsf_interface),
      imsf_fmode,
      imsf_slist: Array.from({ length: held }, (_, index) => {
        const at = sourceListAt + 4 * index
        return formatInet(bytes.subarray(at, at + 4))
      })
    }
  },
  encode: (value) => encodeSourceFilter(value, 0),
  result: () => {}
})

/**
 * Which sources of a multicast group of either family are wanted: those listed (`MCAST_INCLUDE`), or all others
 * (`MCAST_EXCLUDE`).
 *
 * @category models
 * @since 0.1.0
 */
export interface GroupFilter {
  readonly gf_interface: number
  readonly gf_group: SockAddrLike
  readonly gf_fmode: number
  readonly gf_slist: ReadonlyArray<SockAddrLike>
}

const groupListAt = Abi.group_filter.fields.gf_slist.offset

const encodeGroupFilter = (value: GroupFilter, room: number): Uint8Array => {
  const { gf_fmode, gf_group, gf_interface, gf_slist } = value
  const count = Math.max(room, gf_slist.length)
  const bytes = new Uint8Array(Math.max(Abi.group_filter.size, groupListAt + storageSize * count))
  const gf_slist_first = new Uint8Array(storageSize)
  Abi.group_filter.encode(
    { gf_interface, gf_group: storage(gf_group), gf_fmode, gf_numsrc: count, gf_slist: gf_slist_first },
    bytes
  )
  for (const [index, source] of gf_slist.entries()) bytes.set(storage(source), groupListAt + storageSize * index)
  return bytes.subarray(0, groupListAt + storageSize * count)
}

/** `MCAST_MSFILTER`: which group it is about is said when it is read, too. */
export const groupFilter = (
  name: string,
  level: number,
  optname: number
): Readable<GroupFilter, Pick<GroupFilter, "gf_interface" | "gf_group">> & Writable<GroupFilter> => ({
  name,
  level,
  optname,
  room: (query) => encodeGroupFilter({ gf_fmode: 0, gf_slist: [], ...query }, mostSources),
  largest: 0,
  decode: (bytes) => {
    const { gf_fmode, gf_group, gf_interface, gf_numsrc } = Abi.group_filter.decode(bytes)
    const held = Math.min(gf_numsrc, Math.floor((bytes.length - groupListAt) / storageSize))
    const none: SockAddrLike = { _tag: "Raw", family: 0, bytes: new Uint8Array(0) }
    return {
      gf_interface,
      gf_group: decodeSockAddr(gf_group) ?? none,
      gf_fmode,
      gf_slist: Array.from({ length: held }, (_, index) => {
        const at = groupListAt + storageSize * index
        return decodeSockAddr(bytes.subarray(at, at + storageSize)) ?? none
      })
    }
  },
  encode: (value) => encodeGroupFilter(value, 0),
  result: () => {}
})

/**
 * What is asked of the manager of flow labels: `flr_action` is one of `IPV6_FL_A_*`, `flr_share` of `IPV6_FL_S_*`,
 * `flr_flags` of `IPV6_FL_F_*`; the times are in seconds. The label is in the machine's byte order, 0 for any.
 *
 * @category models
 * @since 0.1.0
 */
export interface FlowLabel {
  readonly flr_dst: string
  readonly flr_label: number
  readonly flr_action: number
  readonly flr_share: number
  readonly flr_flags: number
  readonly flr_expires: number
  readonly flr_linger: number
}

const swap32 = (value: number): number => {
  const bytes = new Uint8Array(4)
  viewOf(bytes).setUint32(0, value)
  return viewOf(bytes).getUint32(0, true)
}

const encodeFlowLabel = (value: FlowLabel): Uint8Array =>
  Abi.in6_flowlabel_req.encode({
    ...value,
    flr_dst: in6_addr("flr_dst", value.flr_dst),
    flr_label: swap32(value.flr_label)
  })

const decodeFlowLabel = (bytes: Uint8Array): FlowLabel => {
  const { flr_action, flr_dst, flr_expires, flr_flags, flr_label, flr_linger, flr_share } =
    Abi.in6_flowlabel_req.decode(bytes)
  return {
    flr_dst: formatInet6(flr_dst.u6_addr8),
    flr_label: swap32(flr_label),
    flr_action,
    flr_share,
    flr_flags,
    flr_expires,
    flr_linger
  }
}

/** `IPV6_FLOWLABEL_MGR`: the kernel writes the label that it chose to the memory that it was given. */
export const flowLabel = (
  name: string,
  level: number,
  optname: number
): Readable<FlowLabel, FlowLabel> & Writable<FlowLabel, FlowLabel> => ({
  name,
  level,
  optname,
  room: encodeFlowLabel,
  largest: 0,
  decode: decodeFlowLabel,
  encode: encodeFlowLabel,
  result: (memory) => decodeFlowLabel(memory ?? new Uint8Array(Abi.in6_flowlabel_req.size))
})
