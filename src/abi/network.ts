/** Structures of sockets: addresses, messages, what options take and give. */
import * as Struct from "../Struct.ts"
import { in_addr, in6_addr } from "./sockaddrs.ts"

export * from "./sockaddrs.ts"
export * from "./sockaddrs-rare.ts"

/**
 * What `sendmsg` and `recvmsg` take: where the address, the pieces of data and the control messages lie.
 *
 * @category structures
 * @since 0.1.0
 */
export const user_msghdr = Struct.make("user_msghdr", {
  msg_name: Struct.pointer,
  msg_namelen: Struct.i32,
  msg_iov: Struct.pointer,
  msg_iovlen: Struct.u64,
  msg_control: Struct.pointer,
  msg_controllen: Struct.u64,
  msg_flags: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface user_msghdr extends Struct.Type<typeof user_msghdr> {}

/**
 * One of the messages of `sendmmsg` and `recvmmsg`; the kernel writes its length.
 *
 * @category structures
 * @since 0.1.0
 */
export const mmsghdr = Struct.make("mmsghdr", {
  msg_hdr: user_msghdr,
  msg_len: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface mmsghdr extends Struct.Type<typeof mmsghdr> {}

/**
 * The head of a control message; its data follow, and the next one begins at a multiple of 8.
 *
 * @category structures
 * @since 0.1.0
 */
export const cmsghdr = Struct.make("cmsghdr", {
  cmsg_len: Struct.u64,
  cmsg_level: Struct.i32,
  cmsg_type: Struct.i32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface cmsghdr extends Struct.Type<typeof cmsghdr> {}

/**
 * Who sent a message, or is at the other end of a socket (`SCM_CREDENTIALS`, `SO_PEERCRED`).
 *
 * @category structures
 * @since 0.1.0
 */
export const ucred = Struct.make("ucred", {
  pid: Struct.u32,
  uid: Struct.u32,
  gid: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface ucred extends Struct.Type<typeof ucred> {}

/**
 * How long `close` waits for what was sent, in seconds (`SO_LINGER`).
 *
 * @category structures
 * @since 0.1.0
 */
export const linger = Struct.make("linger", {
  l_onoff: Struct.i32,
  l_linger: Struct.i32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface linger extends Struct.Type<typeof linger> {}

/**
 * A multicast group and the interface, by its address, to join it on (`IP_ADD_MEMBERSHIP`).
 *
 * @category structures
 * @since 0.1.0
 */
export const ip_mreq = Struct.make("ip_mreq", {
  imr_multiaddr: in_addr,
  imr_interface: in_addr
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface ip_mreq extends Struct.Type<typeof ip_mreq> {}

/**
 * A multicast group and the interface, by address or index, to join it on.
 *
 * @category structures
 * @since 0.1.0
 */
export const ip_mreqn = Struct.make("ip_mreqn", {
  imr_multiaddr: in_addr,
  imr_address: in_addr,
  imr_ifindex: Struct.i32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface ip_mreqn extends Struct.Type<typeof ip_mreqn> {}

/**
 * A multicast group, an interface and a source (`IP_ADD_SOURCE_MEMBERSHIP`).
 *
 * @category structures
 * @since 0.1.0
 */
export const ip_mreq_source = Struct.make("ip_mreq_source", {
  imr_multiaddr: Struct.u32,
  imr_interface: Struct.u32,
  imr_sourceaddr: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface ip_mreq_source extends Struct.Type<typeof ip_mreq_source> {}

/**
 * A multicast group of either family (`MCAST_JOIN_GROUP`). `gr_group` holds a `sockaddr_in` or `sockaddr_in6`.
 *
 * @category structures
 * @since 0.1.0
 */
export const group_req = Struct.make("group_req", {
  gr_interface: Struct.u32,
  gr_group: Struct.aligned(Struct.bytes(128), 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface group_req extends Struct.Type<typeof group_req> {}

/**
 * A multicast group and a source, of either family (`MCAST_JOIN_SOURCE_GROUP`).
 *
 * @category structures
 * @since 0.1.0
 */
export const group_source_req = Struct.make("group_source_req", {
  gsr_interface: Struct.u32,
  gsr_group: Struct.aligned(Struct.bytes(128), 8),
  gsr_source: Struct.aligned(Struct.bytes(128), 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface group_source_req extends Struct.Type<typeof group_source_req> {}

/**
 * Where a datagram came in, or is to go out (`IP_PKTINFO`).
 *
 * @category structures
 * @since 0.1.0
 */
export const in_pktinfo = Struct.make("in_pktinfo", {
  ipi_ifindex: Struct.i32,
  ipi_spec_dst: in_addr,
  ipi_addr: in_addr
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface in_pktinfo extends Struct.Type<typeof in_pktinfo> {}

/**
 * Where a datagram came in, or is to go out (`IPV6_PKTINFO`).
 *
 * @category structures
 * @since 0.1.0
 */
export const in6_pktinfo = Struct.make("in6_pktinfo", {
  ipi6_addr: in6_addr,
  ipi6_ifindex: Struct.i32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface in6_pktinfo extends Struct.Type<typeof in6_pktinfo> {}

/**
 * A multicast group and the interface to join it on (`IPV6_ADD_MEMBERSHIP`).
 *
 * @category structures
 * @since 0.1.0
 */
export const ipv6_mreq = Struct.make("ipv6_mreq", {
  ipv6mr_multiaddr: in6_addr,
  ipv6mr_ifindex: Struct.i32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface ipv6_mreq extends Struct.Type<typeof ipv6_mreq> {}

/**
 * What else an interface is to receive (`PACKET_ADD_MEMBERSHIP`).
 *
 * @category structures
 * @since 0.1.0
 */
export const packet_mreq = Struct.make("packet_mreq", {
  mr_ifindex: Struct.i32,
  mr_type: Struct.u16,
  mr_alen: Struct.u16,
  mr_address: Struct.bytes(8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface packet_mreq extends Struct.Type<typeof packet_mreq> {}

/**
 * How many packets a packet socket received and dropped (`PACKET_STATISTICS`).
 *
 * @category structures
 * @since 0.1.0
 */
export const tpacket_stats = Struct.make("tpacket_stats", {
  tp_packets: Struct.u32,
  tp_drops: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface tpacket_stats extends Struct.Type<typeof tpacket_stats> {}

/**
 * What a packet socket tells of a packet in a control message (`PACKET_AUXDATA`).
 *
 * @category structures
 * @since 0.1.0
 */
export const tpacket_auxdata = Struct.make("tpacket_auxdata", {
  tp_status: Struct.u32,
  tp_len: Struct.u32,
  tp_snaplen: Struct.u32,
  tp_mac: Struct.u16,
  tp_net: Struct.u16,
  tp_vlan_tci: Struct.u16,
  tp_vlan_tpid: Struct.u16
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface tpacket_auxdata extends Struct.Type<typeof tpacket_auxdata> {}

/**
 * An error that a socket queued (`IP_RECVERR`, `IPV6_RECVERR`), received with `MSG_ERRQUEUE`.
 *
 * @category structures
 * @since 0.1.0
 */
export const sock_extended_err = Struct.make("sock_extended_err", {
  ee_errno: Struct.u32,
  ee_origin: Struct.u8,
  ee_type: Struct.u8,
  ee_code: Struct.u8,
  ee_pad: Struct.padding(1),
  ee_info: Struct.u32,
  ee_data: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sock_extended_err extends Struct.Type<typeof sock_extended_err> {}

/**
 * The head of a netlink message; its payload follows, and the next one begins at a multiple of 4.
 *
 * @category structures
 * @since 0.1.0
 */
export const nlmsghdr = Struct.make("nlmsghdr", {
  nlmsg_len: Struct.u32,
  nlmsg_type: Struct.u16,
  nlmsg_flags: Struct.u16,
  nlmsg_seq: Struct.u32,
  nlmsg_pid: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface nlmsghdr extends Struct.Type<typeof nlmsghdr> {}

/**
 * The payload of an `NLMSG_ERROR`: 0 or a negative errno, and the head of the message it answers.
 *
 * @category structures
 * @since 0.1.0
 */
export const nlmsgerr = Struct.make("nlmsgerr", {
  error: Struct.i32,
  msg: nlmsghdr
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface nlmsgerr extends Struct.Type<typeof nlmsgerr> {}

/**
 * The head of a netlink attribute; its payload follows, and the next one begins at a multiple of 4.
 *
 * @category structures
 * @since 0.1.0
 */
export const nlattr = Struct.make("nlattr", {
  nla_len: Struct.u16,
  nla_type: Struct.u16
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface nlattr extends Struct.Type<typeof nlattr> {}
