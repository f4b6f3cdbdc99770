/**
 * The options of IPv6 sockets (`IPPROTO_IPV6`), continued: what comes with messages by RFC 2292, flow labels, policies,
 * multicast groups.
 */
import * as constants from "../internal/constants.ts"
import { bytes, flag, int, make, writeOnly } from "./option-codec.ts"
import { flowLabel, group, groupFilter, groupSource } from "./option-groups.ts"

/**
 * `IPV6_RECVPKTINFO` as RFC 2292 has it.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_2292PKTINFO = make("IPV6_2292PKTINFO", constants.IPPROTO_IPV6, constants.IPV6_2292PKTINFO, flag)

/**
 * `IPV6_RECVHOPLIMIT` as RFC 2292 has it.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_2292HOPLIMIT = make("IPV6_2292HOPLIMIT", constants.IPPROTO_IPV6, constants.IPV6_2292HOPLIMIT, flag)

/**
 * `IPV6_RECVHOPOPTS` as RFC 2292 has it.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_2292HOPOPTS = make("IPV6_2292HOPOPTS", constants.IPPROTO_IPV6, constants.IPV6_2292HOPOPTS, flag)

/**
 * `IPV6_RECVDSTOPTS` as RFC 2292 has it.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_2292DSTOPTS = make("IPV6_2292DSTOPTS", constants.IPPROTO_IPV6, constants.IPV6_2292DSTOPTS, flag)

/**
 * `IPV6_RECVRTHDR` as RFC 2292 has it.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_2292RTHDR = make("IPV6_2292RTHDR", constants.IPPROTO_IPV6, constants.IPV6_2292RTHDR, flag)

/**
 * The control messages of all that is sent, as RFC 2292 has it; read, those of the last packet of a stream.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_2292PKTOPTIONS = make(
  "IPV6_2292PKTOPTIONS",
  constants.IPPROTO_IPV6,
  constants.IPV6_2292PKTOPTIONS,
  bytes(2048)
)

/**
 * Whether messages come with their flow label and class.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_FLOWINFO = make("IPV6_FLOWINFO", constants.IPPROTO_IPV6, constants.IPV6_FLOWINFO, flag)

/**
 * Whether the `flowinfo` of addresses is looked at when sending.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_FLOWINFO_SEND = make("IPV6_FLOWINFO_SEND", constants.IPPROTO_IPV6, constants.IPV6_FLOWINFO_SEND, flag)

/**
 * Gets, renews or gives up a flow label. Setting gives the request with the label that the kernel chose.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_FLOWLABEL_MGR = flowLabel("IPV6_FLOWLABEL_MGR", constants.IPPROTO_IPV6, constants.IPV6_FLOWLABEL_MGR)

/**
 * Whether the kernel makes flow labels.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_AUTOFLOWLABEL = make("IPV6_AUTOFLOWLABEL", constants.IPPROTO_IPV6, constants.IPV6_AUTOFLOWLABEL, flag)

/**
 * Which source addresses are preferred: of `IPV6_PREFER_SRC_*`.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_ADDR_PREFERENCES = make(
  "IPV6_ADDR_PREFERENCES",
  constants.IPPROTO_IPV6,
  constants.IPV6_ADDR_PREFERENCES,
  int
)

/**
 * Whether it may be bound to an address that the machine does not have yet.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_FREEBIND = make("IPV6_FREEBIND", constants.IPPROTO_IPV6, constants.IPV6_FREEBIND, flag)

/**
 * Whether it may be bound to addresses of others. Needs `CAP_NET_ADMIN` or `CAP_NET_RAW`.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_TRANSPARENT = make("IPV6_TRANSPARENT", constants.IPPROTO_IPV6, constants.IPV6_TRANSPARENT, flag)

/**
 * The same as `IPV6_RECVORIGDSTADDR`.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_ORIGDSTADDR = make("IPV6_ORIGDSTADDR", constants.IPPROTO_IPV6, constants.IPV6_ORIGDSTADDR, flag)

/**
 * Whether messages come with the address that they were sent to.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_RECVORIGDSTADDR = make(
  "IPV6_RECVORIGDSTADDR",
  constants.IPPROTO_IPV6,
  constants.IPV6_RECVORIGDSTADDR,
  flag
)

/**
 * A policy for IPsec, as PF_KEY has it. Needs `CAP_NET_ADMIN`.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_IPSEC_POLICY = writeOnly(
  "IPV6_IPSEC_POLICY",
  constants.IPPROTO_IPV6,
  constants.IPV6_IPSEC_POLICY,
  bytes(0)
)

/**
 * A policy for IPsec: a `struct xfrm_userpolicy_info` and what follows. Needs `CAP_NET_ADMIN`.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_XFRM_POLICY = writeOnly(
  "IPV6_XFRM_POLICY",
  constants.IPPROTO_IPV6,
  constants.IPV6_XFRM_POLICY,
  bytes(0)
)

/**
 * `MCAST_JOIN_GROUP` for a multicast group of IPv6.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_MCAST_JOIN_GROUP = writeOnly(
  "MCAST_JOIN_GROUP",
  constants.IPPROTO_IPV6,
  constants.MCAST_JOIN_GROUP,
  group
)

/**
 * `MCAST_LEAVE_GROUP` for a multicast group of IPv6.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_MCAST_LEAVE_GROUP = writeOnly(
  "MCAST_LEAVE_GROUP",
  constants.IPPROTO_IPV6,
  constants.MCAST_LEAVE_GROUP,
  group
)

/**
 * `MCAST_JOIN_SOURCE_GROUP` for a multicast group of IPv6.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_MCAST_JOIN_SOURCE_GROUP = writeOnly(
  "MCAST_JOIN_SOURCE_GROUP",
  constants.IPPROTO_IPV6,
  constants.MCAST_JOIN_SOURCE_GROUP,
  groupSource
)

/**
 * `MCAST_LEAVE_SOURCE_GROUP` for a multicast group of IPv6.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_MCAST_LEAVE_SOURCE_GROUP = writeOnly(
  "MCAST_LEAVE_SOURCE_GROUP",
  constants.IPPROTO_IPV6,
  constants.MCAST_LEAVE_SOURCE_GROUP,
  groupSource
)

/**
 * `MCAST_BLOCK_SOURCE` for a multicast group of IPv6.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_MCAST_BLOCK_SOURCE = writeOnly(
  "MCAST_BLOCK_SOURCE",
  constants.IPPROTO_IPV6,
  constants.MCAST_BLOCK_SOURCE,
  groupSource
)

/**
 * `MCAST_UNBLOCK_SOURCE` for a multicast group of IPv6.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_MCAST_UNBLOCK_SOURCE = writeOnly(
  "MCAST_UNBLOCK_SOURCE",
  constants.IPPROTO_IPV6,
  constants.MCAST_UNBLOCK_SOURCE,
  groupSource
)

/**
 * `MCAST_MSFILTER` for a multicast group of IPv6.
 *
 * @category IPPROTO_IPV6
 * @since 0.1.0
 */
export const IPV6_MCAST_MSFILTER = groupFilter("MCAST_MSFILTER", constants.IPPROTO_IPV6, constants.MCAST_MSFILTER)
