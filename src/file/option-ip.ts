/**
 * The options of IPv4 sockets (`IPPROTO_IP`). Values with addresses are in option-groups.ts.
 */
import * as constants from "../internal/constants.ts"
import { bytes, flag, int, make, readOnly, writeOnly } from "./option-codec.ts"
import {
  group,
  groupFilter,
  groupSource,
  membership,
  multicastInterface,
  networkIndex,
  portRange,
  sourceFilter,
  sourceMembership
} from "./option-groups.ts"

/**
 * The type of service of what is sent.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_TOS = make("IP_TOS", constants.IPPROTO_IP, constants.IP_TOS, int)

/**
 * How many routers what is sent may pass, 1 to 255; -1 is the system's setting.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_TTL = make("IP_TTL", constants.IPPROTO_IP, constants.IP_TTL, int)

/**
 * Whether what is sent by a raw socket begins with its own header.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_HDRINCL = make("IP_HDRINCL", constants.IPPROTO_IP, constants.IP_HDRINCL, flag)

/**
 * The options in the header of what is sent.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_OPTIONS = make("IP_OPTIONS", constants.IPPROTO_IP, constants.IP_OPTIONS, bytes(40))

/**
 * Whether packets that are marked for routers are given to this raw socket.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_ROUTER_ALERT = make("IP_ROUTER_ALERT", constants.IPPROTO_IP, constants.IP_ROUTER_ALERT, flag)

/**
 * Whether messages come with the options of their header.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_RECVOPTS = make("IP_RECVOPTS", constants.IPPROTO_IP, constants.IP_RECVOPTS, flag)

/**
 * Whether messages come with the options of their header, as those of an answer.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_RETOPTS = make("IP_RETOPTS", constants.IPPROTO_IP, constants.IP_RETOPTS, flag)

/**
 * The same as `IP_RETOPTS`.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_RECVRETOPTS = make("IP_RECVRETOPTS", constants.IPPROTO_IP, constants.IP_RECVRETOPTS, flag)

/**
 * Whether messages come with the interface and address they were received at (`Abi.in_pktinfo`).
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_PKTINFO = make("IP_PKTINFO", constants.IPPROTO_IP, constants.IP_PKTINFO, flag)

/**
 * The control messages of the last packet of a stream.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_PKTOPTIONS = readOnly("IP_PKTOPTIONS", constants.IPPROTO_IP, constants.IP_PKTOPTIONS, bytes(1024))

/**
 * How the largest packet of a path is found: one of `IP_PMTUDISC_*`.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_MTU_DISCOVER = make("IP_MTU_DISCOVER", constants.IPPROTO_IP, constants.IP_MTU_DISCOVER, int)

/**
 * The largest packet of the path that the socket is connected over.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_MTU = readOnly("IP_MTU", constants.IPPROTO_IP, constants.IP_MTU, int)

/**
 * Whether errors are kept in the queue of errors.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_RECVERR = make("IP_RECVERR", constants.IPPROTO_IP, constants.IP_RECVERR, flag)

/**
 * Whether errors in the queue say where extensions of ICMP lie. Since Linux 5.9.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_RECVERR_RFC4884 = make("IP_RECVERR_RFC4884", constants.IPPROTO_IP, constants.IP_RECVERR_RFC4884, flag)

/**
 * Whether messages come with their time to live.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_RECVTTL = make("IP_RECVTTL", constants.IPPROTO_IP, constants.IP_RECVTTL, flag)

/**
 * Whether messages come with their type of service.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_RECVTOS = make("IP_RECVTOS", constants.IPPROTO_IP, constants.IP_RECVTOS, flag)

/**
 * Whether it may be bound to an address that the machine does not have yet.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_FREEBIND = make("IP_FREEBIND", constants.IPPROTO_IP, constants.IP_FREEBIND, flag)

/**
 * Whether it may be bound to addresses of others. Needs `CAP_NET_ADMIN` or `CAP_NET_RAW`.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_TRANSPARENT = make("IP_TRANSPARENT", constants.IPPROTO_IP, constants.IP_TRANSPARENT, flag)

/**
 * A policy for IPsec, as PF_KEY has it. Needs `CAP_NET_ADMIN`.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_IPSEC_POLICY = writeOnly("IP_IPSEC_POLICY", constants.IPPROTO_IP, constants.IP_IPSEC_POLICY, bytes(0))

/**
 * A policy for IPsec: a `struct xfrm_userpolicy_info` and what follows. Needs `CAP_NET_ADMIN`.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_XFRM_POLICY = writeOnly("IP_XFRM_POLICY", constants.IPPROTO_IP, constants.IP_XFRM_POLICY, bytes(0))

/**
 * Whether messages come with the security label of the sender.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_PASSSEC = make("IP_PASSSEC", constants.IPPROTO_IP, constants.IP_PASSSEC, flag)

/**
 * The same as `IP_RECVORIGDSTADDR`.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_ORIGDSTADDR = make("IP_ORIGDSTADDR", constants.IPPROTO_IP, constants.IP_ORIGDSTADDR, flag)

/**
 * Whether messages come with the address that they were sent to.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_RECVORIGDSTADDR = make("IP_RECVORIGDSTADDR", constants.IPPROTO_IP, constants.IP_RECVORIGDSTADDR, flag)

/**
 * The time to live below which packets are dropped.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_MINTTL = make("IP_MINTTL", constants.IPPROTO_IP, constants.IP_MINTTL, int)

/**
 * Whether fragments are left to the raw socket.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_NODEFRAG = make("IP_NODEFRAG", constants.IPPROTO_IP, constants.IP_NODEFRAG, flag)

/**
 * Whether messages come with their checksum.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_CHECKSUM = make("IP_CHECKSUM", constants.IPPROTO_IP, constants.IP_CHECKSUM, flag)

/**
 * Whether binding to port 0 leaves the choice of the port to `connect`.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_BIND_ADDRESS_NO_PORT = make(
  "IP_BIND_ADDRESS_NO_PORT",
  constants.IPPROTO_IP,
  constants.IP_BIND_ADDRESS_NO_PORT,
  flag
)

/**
 * Whether messages come with the size of their largest fragment.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_RECVFRAGSIZE = make("IP_RECVFRAGSIZE", constants.IPPROTO_IP, constants.IP_RECVFRAGSIZE, flag)

/**
 * The ports that the kernel chooses from. Since Linux 6.3.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_LOCAL_PORT_RANGE = make(
  "IP_LOCAL_PORT_RANGE",
  constants.IPPROTO_IP,
  constants.IP_LOCAL_PORT_RANGE,
  portRange
)

/**
 * The protocol of a raw socket. Since Linux 6.4.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_PROTOCOL = readOnly("IP_PROTOCOL", constants.IPPROTO_IP, constants.IP_PROTOCOL, int)

/**
 * The index of the interface that is used where the routing table leaves the choice.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_UNICAST_IF = make("IP_UNICAST_IF", constants.IPPROTO_IP, constants.IP_UNICAST_IF, networkIndex)

/**
 * The interface that multicast goes out by; read as its address.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_MULTICAST_IF = make(
  "IP_MULTICAST_IF",
  constants.IPPROTO_IP,
  constants.IP_MULTICAST_IF,
  multicastInterface
)

/**
 * How many routers multicast may pass, 1 unless set.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_MULTICAST_TTL = make("IP_MULTICAST_TTL", constants.IPPROTO_IP, constants.IP_MULTICAST_TTL, int)

/**
 * Whether multicast comes back to sockets of this machine. True unless set.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_MULTICAST_LOOP = make("IP_MULTICAST_LOOP", constants.IPPROTO_IP, constants.IP_MULTICAST_LOOP, flag)

/**
 * Whether it receives from every group that any socket joined. True unless set.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_MULTICAST_ALL = make("IP_MULTICAST_ALL", constants.IPPROTO_IP, constants.IP_MULTICAST_ALL, flag)

/**
 * Joins a multicast group.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_ADD_MEMBERSHIP = writeOnly(
  "IP_ADD_MEMBERSHIP",
  constants.IPPROTO_IP,
  constants.IP_ADD_MEMBERSHIP,
  membership
)

/**
 * Leaves a multicast group.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_DROP_MEMBERSHIP = writeOnly(
  "IP_DROP_MEMBERSHIP",
  constants.IPPROTO_IP,
  constants.IP_DROP_MEMBERSHIP,
  membership
)

/**
 * Joins a multicast group, for one source.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_ADD_SOURCE_MEMBERSHIP = writeOnly(
  "IP_ADD_SOURCE_MEMBERSHIP",
  constants.IPPROTO_IP,
  constants.IP_ADD_SOURCE_MEMBERSHIP,
  sourceMembership
)

/**
 * Leaves a multicast group, for one source.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_DROP_SOURCE_MEMBERSHIP = writeOnly(
  "IP_DROP_SOURCE_MEMBERSHIP",
  constants.IPPROTO_IP,
  constants.IP_DROP_SOURCE_MEMBERSHIP,
  sourceMembership
)

/**
 * Takes no more from one source of a multicast group.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_BLOCK_SOURCE = writeOnly(
  "IP_BLOCK_SOURCE",
  constants.IPPROTO_IP,
  constants.IP_BLOCK_SOURCE,
  sourceMembership
)

/**
 * Takes again from one source of a multicast group.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_UNBLOCK_SOURCE = writeOnly(
  "IP_UNBLOCK_SOURCE",
  constants.IPPROTO_IP,
  constants.IP_UNBLOCK_SOURCE,
  sourceMembership
)

/**
 * Which sources of a multicast group are wanted. Reading it says which group.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const IP_MSFILTER = sourceFilter("IP_MSFILTER", constants.IPPROTO_IP, constants.IP_MSFILTER)

/**
 * Joins a multicast group of IPv4.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const MCAST_JOIN_GROUP = writeOnly("MCAST_JOIN_GROUP", constants.IPPROTO_IP, constants.MCAST_JOIN_GROUP, group)

/**
 * Leaves a multicast group of IPv4.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const MCAST_LEAVE_GROUP = writeOnly(
  "MCAST_LEAVE_GROUP",
  constants.IPPROTO_IP,
  constants.MCAST_LEAVE_GROUP,
  group
)

/**
 * Joins a multicast group of IPv4, for one source.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const MCAST_JOIN_SOURCE_GROUP = writeOnly(
  "MCAST_JOIN_SOURCE_GROUP",
  constants.IPPROTO_IP,
  constants.MCAST_JOIN_SOURCE_GROUP,
  groupSource
)

/**
 * Leaves a multicast group of IPv4, for one source.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const MCAST_LEAVE_SOURCE_GROUP = writeOnly(
  "MCAST_LEAVE_SOURCE_GROUP",
  constants.IPPROTO_IP,
  constants.MCAST_LEAVE_SOURCE_GROUP,
  groupSource
)

/**
 * Takes no more from one source of a multicast group of IPv4.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const MCAST_BLOCK_SOURCE = writeOnly(
  "MCAST_BLOCK_SOURCE",
  constants.IPPROTO_IP,
  constants.MCAST_BLOCK_SOURCE,
  groupSource
)

/**
 * Takes again from one source of a multicast group of IPv4.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const MCAST_UNBLOCK_SOURCE = writeOnly(
  "MCAST_UNBLOCK_SOURCE",
  constants.IPPROTO_IP,
  constants.MCAST_UNBLOCK_SOURCE,
  groupSource
)

/**
 * Which sources of a multicast group of IPv4 are wanted. Reading it says which group.
 *
 * @category IPPROTO_IP
 * @since 0.1.0
 */
export const MCAST_MSFILTER = groupFilter("MCAST_MSFILTER", constants.IPPROTO_IP, constants.MCAST_MSFILTER)
