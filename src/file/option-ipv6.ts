/**
 * The options of IPv6 sockets (`IPPROTO_IPV6`). Values with addresses are in option-groups.ts.
 */
import * as constants from "../internal/constants.ts"
import { bytes, flag, int, make, readOnly, writeOnly } from "./option-codec.ts"
import { membership6, mtuInfo6, networkIndex, packetInfo6 } from "./option-groups.ts"

/**
 * The family: `AF_INET` makes an IPv4 socket of one that is connected to a mapped address.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_ADDRFORM = make("IPV6_ADDRFORM", constants.IPPROTO_IPV6, constants.IPV6_ADDRFORM, int)

/**
 * Whether it leaves IPv4 to others; else it takes both, with mapped addresses.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_V6ONLY = make("IPV6_V6ONLY", constants.IPPROTO_IPV6, constants.IPV6_V6ONLY, flag)

/**
 * How many routers what is sent may pass, 0 to 255; -1 is the system's setting.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_UNICAST_HOPS = make("IPV6_UNICAST_HOPS", constants.IPPROTO_IPV6, constants.IPV6_UNICAST_HOPS, int)

/**
 * How many routers multicast may pass, 0 to 255; -1 is 1.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_MULTICAST_HOPS = make(
  "IPV6_MULTICAST_HOPS",
  constants.IPPROTO_IPV6,
  constants.IPV6_MULTICAST_HOPS,
  int
)

/**
 * The index of the interface that multicast goes out by.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_MULTICAST_IF = make("IPV6_MULTICAST_IF", constants.IPPROTO_IPV6, constants.IPV6_MULTICAST_IF, int)

/**
 * Whether multicast comes back to sockets of this machine. True unless set.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_MULTICAST_LOOP = make(
  "IPV6_MULTICAST_LOOP",
  constants.IPPROTO_IPV6,
  constants.IPV6_MULTICAST_LOOP,
  flag
)

/**
 * Whether it receives from every group that any socket joined. True unless set.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_MULTICAST_ALL = make("IPV6_MULTICAST_ALL", constants.IPPROTO_IPV6, constants.IPV6_MULTICAST_ALL, flag)

/**
 * The index of the interface that is used where the routing table leaves the choice.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_UNICAST_IF = make("IPV6_UNICAST_IF", constants.IPPROTO_IPV6, constants.IPV6_UNICAST_IF, networkIndex)

/**
 * Joins a multicast group.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_ADD_MEMBERSHIP = writeOnly(
  "IPV6_ADD_MEMBERSHIP",
  constants.IPPROTO_IPV6,
  constants.IPV6_ADD_MEMBERSHIP,
  membership6
)

/**
 * Leaves a multicast group.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_DROP_MEMBERSHIP = writeOnly(
  "IPV6_DROP_MEMBERSHIP",
  constants.IPPROTO_IPV6,
  constants.IPV6_DROP_MEMBERSHIP,
  membership6
)

/**
 * Takes an anycast address. Needs `CAP_NET_ADMIN`.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_JOIN_ANYCAST = writeOnly(
  "IPV6_JOIN_ANYCAST",
  constants.IPPROTO_IPV6,
  constants.IPV6_JOIN_ANYCAST,
  membership6
)

/**
 * Gives an anycast address up.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_LEAVE_ANYCAST = writeOnly(
  "IPV6_LEAVE_ANYCAST",
  constants.IPPROTO_IPV6,
  constants.IPV6_LEAVE_ANYCAST,
  membership6
)

/**
 * The largest packet: read of the path that it is connected over, set for what is sent.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_MTU = make("IPV6_MTU", constants.IPPROTO_IPV6, constants.IPV6_MTU, int)

/**
 * How the largest packet of a path is found: one of `IPV6_PMTUDISC_*`.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_MTU_DISCOVER = make("IPV6_MTU_DISCOVER", constants.IPPROTO_IPV6, constants.IPV6_MTU_DISCOVER, int)

/**
 * The largest packet of the path that it is connected over, and the address at its end.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_PATHMTU = readOnly("IPV6_PATHMTU", constants.IPPROTO_IPV6, constants.IPV6_PATHMTU, mtuInfo6)

/**
 * Whether a change of the largest packet comes as a message.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_RECVPATHMTU = make("IPV6_RECVPATHMTU", constants.IPPROTO_IPV6, constants.IPV6_RECVPATHMTU, flag)

/**
 * Whether a datagram that is too large is an error and not cut into fragments.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_DONTFRAG = make("IPV6_DONTFRAG", constants.IPPROTO_IPV6, constants.IPV6_DONTFRAG, flag)

/**
 * Whether errors are kept in the queue of errors.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_RECVERR = make("IPV6_RECVERR", constants.IPPROTO_IPV6, constants.IPV6_RECVERR, flag)

/**
 * Whether errors in the queue say where extensions of ICMP lie. Since Linux 5.9.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_RECVERR_RFC4884 = make(
  "IPV6_RECVERR_RFC4884",
  constants.IPPROTO_IPV6,
  constants.IPV6_RECVERR_RFC4884,
  flag
)

/**
 * Where a raw socket's messages have their checksum, in bytes; -1 for none.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_CHECKSUM = make("IPV6_CHECKSUM", constants.IPPROTO_IPV6, constants.IPV6_CHECKSUM, int)

/**
 * Whether what is sent by a raw socket begins with its own header.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_HDRINCL = make("IPV6_HDRINCL", constants.IPPROTO_IPV6, constants.IPV6_HDRINCL, flag)

/**
 * The value of the router alerts that are given to this raw socket; -1 for none.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_ROUTER_ALERT = writeOnly(
  "IPV6_ROUTER_ALERT",
  constants.IPPROTO_IPV6,
  constants.IPV6_ROUTER_ALERT,
  int
)

/**
 * Whether router alerts of other network namespaces stay there. Since Linux 5.1.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_ROUTER_ALERT_ISOLATE = make(
  "IPV6_ROUTER_ALERT_ISOLATE",
  constants.IPPROTO_IPV6,
  constants.IPV6_ROUTER_ALERT_ISOLATE,
  flag
)

/**
 * The traffic class of what is sent; -1 is the system's setting.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_TCLASS = make("IPV6_TCLASS", constants.IPPROTO_IPV6, constants.IPV6_TCLASS, int)

/**
 * Whether messages come with their traffic class.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_RECVTCLASS = make("IPV6_RECVTCLASS", constants.IPPROTO_IPV6, constants.IPV6_RECVTCLASS, flag)

/**
 * Whether messages come with their hop limit.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_RECVHOPLIMIT = make("IPV6_RECVHOPLIMIT", constants.IPPROTO_IPV6, constants.IPV6_RECVHOPLIMIT, flag)

/**
 * The hop limit below which packets are dropped.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_MINHOPCOUNT = make("IPV6_MINHOPCOUNT", constants.IPPROTO_IPV6, constants.IPV6_MINHOPCOUNT, int)

/**
 * Whether messages come with the interface and address they were received at (`Abi.in6_pktinfo`).
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_RECVPKTINFO = make("IPV6_RECVPKTINFO", constants.IPPROTO_IPV6, constants.IPV6_RECVPKTINFO, flag)

/**
 * The address and interface that what is sent comes from.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_PKTINFO = writeOnly("IPV6_PKTINFO", constants.IPPROTO_IPV6, constants.IPV6_PKTINFO, packetInfo6)

/**
 * Whether messages come with the options for each hop.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_RECVHOPOPTS = make("IPV6_RECVHOPOPTS", constants.IPPROTO_IPV6, constants.IPV6_RECVHOPOPTS, flag)

/**
 * The options for each hop of what is sent. Needs `CAP_NET_RAW`.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_HOPOPTS = make("IPV6_HOPOPTS", constants.IPPROTO_IPV6, constants.IPV6_HOPOPTS, bytes(2048))

/**
 * Whether messages come with the options for the destination.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_RECVDSTOPTS = make("IPV6_RECVDSTOPTS", constants.IPPROTO_IPV6, constants.IPV6_RECVDSTOPTS, flag)

/**
 * The options for the destination of what is sent. Needs `CAP_NET_RAW`.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_DSTOPTS = make("IPV6_DSTOPTS", constants.IPPROTO_IPV6, constants.IPV6_DSTOPTS, bytes(2048))

/**
 * The options for each destination of the routing header. Needs `CAP_NET_RAW`.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_RTHDRDSTOPTS = make(
  "IPV6_RTHDRDSTOPTS",
  constants.IPPROTO_IPV6,
  constants.IPV6_RTHDRDSTOPTS,
  bytes(2048)
)

/**
 * Whether messages come with the routing header.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_RECVRTHDR = make("IPV6_RECVRTHDR", constants.IPPROTO_IPV6, constants.IPV6_RECVRTHDR, flag)

/**
 * The routing header of what is sent.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_RTHDR = make("IPV6_RTHDR", constants.IPPROTO_IPV6, constants.IPV6_RTHDR, bytes(2048))

/**
 * Whether messages come with the size of their largest fragment.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_RECVFRAGSIZE = make("IPV6_RECVFRAGSIZE", constants.IPPROTO_IPV6, constants.IPV6_RECVFRAGSIZE, flag)
