/** Structures that options of sockets take and give, beyond those of network.ts. */
import * as Struct from "../Struct.ts"
import { in6_addr, sockaddr_in6 } from "./sockaddrs.ts"

/**
 * What is known of a TCP connection (`TCP_INFO`). Times are in milliseconds but `tcpi_rto`, `tcpi_ato`, `tcpi_rtt`,
 * `tcpi_rttvar`, `tcpi_rcv_rtt`, `tcpi_min_rtt` and those of 64 bits, which are in microseconds.
 *
 * `tcpi_wscale` and `tcpi_flags` are the bytes of bit fields, which have no names in C: `SocketOption.TCP_INFO` gives the
 * fields. What comes after `tcpi_snd_wnd` is younger than Linux 5.4.
 *
 * @category structures
 * @since 0.1.0
 */
export const tcp_info = Struct.make("tcp_info", {
  tcpi_state: Struct.u8,
  tcpi_ca_state: Struct.u8,
  tcpi_retransmits: Struct.u8,
  tcpi_probes: Struct.u8,
  tcpi_backoff: Struct.u8,
  tcpi_options: Struct.u8,
  tcpi_wscale: Struct.u8,
  tcpi_flags: Struct.u8,
  tcpi_rto: Struct.u32,
  tcpi_ato: Struct.u32,
  tcpi_snd_mss: Struct.u32,
  tcpi_rcv_mss: Struct.u32,
  tcpi_unacked: Struct.u32,
  tcpi_sacked: Struct.u32,
  tcpi_lost: Struct.u32,
  tcpi_retrans: Struct.u32,
  tcpi_fackets: Struct.u32,
  tcpi_last_data_sent: Struct.u32,
  tcpi_last_ack_sent: Struct.u32,
  tcpi_last_data_recv: Struct.u32,
  tcpi_last_ack_recv: Struct.u32,
  tcpi_pmtu: Struct.u32,
  tcpi_rcv_ssthresh: Struct.u32,
  tcpi_rtt: Struct.u32,
  tcpi_rttvar: Struct.u32,
  tcpi_snd_ssthresh: Struct.u32,
  tcpi_snd_cwnd: Struct.u32,
  tcpi_advmss: Struct.u32,
  tcpi_reordering: Struct.u32,
  tcpi_rcv_rtt: Struct.u32,
  tcpi_rcv_space: Struct.u32,
  tcpi_total_retrans: Struct.u32,
  tcpi_pacing_rate: Struct.u64,
  tcpi_max_pacing_rate: Struct.u64,
  tcpi_bytes_acked: Struct.u64,
  tcpi_bytes_received: Struct.u64,
  tcpi_segs_out: Struct.u32,
  tcpi_segs_in: Struct.u32,
  tcpi_notsent_bytes: Struct.u32,
  tcpi_min_rtt: Struct.u32,
  tcpi_data_segs_in: Struct.u32,
  tcpi_data_segs_out: Struct.u32,
  tcpi_delivery_rate: Struct.u64,
  tcpi_busy_time: Struct.u64,
  tcpi_rwnd_limited: Struct.u64,
  tcpi_sndbuf_limited: Struct.u64,
  tcpi_delivered: Struct.u32,
  tcpi_delivered_ce: Struct.u32,
  tcpi_bytes_sent: Struct.u64,
  tcpi_bytes_retrans: Struct.u64,
  tcpi_dsack_dups: Struct.u32,
  tcpi_reord_seen: Struct.u32,
  tcpi_rcv_ooopack: Struct.u32,
  tcpi_snd_wnd: Struct.u32,
  tcpi_rcv_wnd: Struct.u32,
  tcpi_rehash: Struct.u32,
  tcpi_total_rto: Struct.u16,
  tcpi_total_rto_recoveries: Struct.u16,
  tcpi_total_rto_time: Struct.u32,
  tcpi_received_ce: Struct.u32,
  tcpi_delivered_e1_bytes: Struct.u32,
  tcpi_delivered_e0_bytes: Struct.u32,
  tcpi_delivered_ce_bytes: Struct.u32,
  tcpi_received_e1_bytes: Struct.u32,
  tcpi_received_e0_bytes: Struct.u32,
  tcpi_received_ce_bytes: Struct.u32,
  tcpi_accecn_fail_mode: Struct.u16,
  tcpi_accecn_opt_seen: Struct.u16
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface tcp_info extends Struct.Type<typeof tcp_info> {}

/**
 * An option of TCP that a connection under repair negotiated (`TCP_REPAIR_OPTIONS`).
 *
 * @category structures
 * @since 0.1.0
 */
export const tcp_repair_opt = Struct.make("tcp_repair_opt", { opt_code: Struct.u32, opt_val: Struct.u32 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface tcp_repair_opt extends Struct.Type<typeof tcp_repair_opt> {}

/**
 * The windows of a connection under repair (`TCP_REPAIR_WINDOW`).
 *
 * @category structures
 * @since 0.1.0
 */
export const tcp_repair_window = Struct.make("tcp_repair_window", {
  snd_wl1: Struct.u32,
  snd_wnd: Struct.u32,
  max_window: Struct.u32,
  rcv_wnd: Struct.u32,
  rcv_wup: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface tcp_repair_window extends Struct.Type<typeof tcp_repair_window> {}

/**
 * A key for a peer (`TCP_MD5SIG`, `TCP_MD5SIG_EXT`). `tcpm_addr` holds a `sockaddr_in` or `sockaddr_in6`.
 *
 * @category structures
 * @since 0.1.0
 */
export const tcp_md5sig = Struct.make("tcp_md5sig", {
  tcpm_addr: Struct.aligned(Struct.bytes(128), 8),
  tcpm_flags: Struct.u8,
  tcpm_prefixlen: Struct.u8,
  tcpm_keylen: Struct.u16,
  tcpm_ifindex: Struct.i32,
  tcpm_key: Struct.bytes(80)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface tcp_md5sig extends Struct.Type<typeof tcp_md5sig> {}

/**
 * The sources of a multicast group of IPv4 that are wanted or not (`IP_MSFILTER`). Addresses are in network byte order;
 * the list goes on behind the structure.
 *
 * @category structures
 * @since 0.1.0
 */
export const ip_msfilter = Struct.make("ip_msfilter", {
  imsf_multiaddr: Struct.u32,
  imsf_interface: Struct.u32,
  imsf_fmode: Struct.u32,
  imsf_numsrc: Struct.u32,
  imsf_slist: Struct.array(Struct.u32, 1)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface ip_msfilter extends Struct.Type<typeof ip_msfilter> {}

/**
 * The sources of a multicast group of either family that are wanted or not (`MCAST_MSFILTER`). `gf_group` and what is in
 * the list, which goes on behind the structure, are of `sockaddr_in` or `sockaddr_in6`.
 *
 * @category structures
 * @since 0.1.0
 */
export const group_filter = Struct.make("group_filter", {
  gf_interface: Struct.u32,
  gf_group: Struct.aligned(Struct.bytes(128), 8),
  gf_fmode: Struct.u32,
  gf_numsrc: Struct.u32,
  gf_slist: Struct.aligned(Struct.bytes(128), 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface group_filter extends Struct.Type<typeof group_filter> {}

/**
 * A flow label to be got, renewed or given up (`IPV6_FLOWLABEL_MGR`). `flr_label` is in network byte order.
 *
 * @category structures
 * @since 0.1.0
 */
export const in6_flowlabel_req = Struct.make("in6_flowlabel_req", {
  flr_dst: in6_addr,
  flr_label: Struct.u32,
  flr_action: Struct.u8,
  flr_share: Struct.u8,
  flr_flags: Struct.u16,
  flr_expires: Struct.u16,
  flr_linger: Struct.u16,
  __flr_pad: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface in6_flowlabel_req extends Struct.Type<typeof in6_flowlabel_req> {}

/**
 * How large a packet may be on the way to an address (`IPV6_PATHMTU`).
 *
 * @category structures
 * @since 0.1.0
 */
export const ip6_mtuinfo = Struct.make("ip6_mtuinfo", { ip6m_addr: sockaddr_in6, ip6m_mtu: Struct.u32 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface ip6_mtuinfo extends Struct.Type<typeof ip6_mtuinfo> {}

/**
 * Which time stamps a socket is to give (`SO_TIMESTAMPING`): `flags` are of `SOF_TIMESTAMPING_*`.
 *
 * @category structures
 * @since 0.1.0
 */
export const so_timestamping = Struct.make("so_timestamping", { flags: Struct.i32, bind_phc: Struct.i32 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface so_timestamping extends Struct.Type<typeof so_timestamping> {}

/**
 * The clock by which packets are sent at their time (`SO_TXTIME`): `flags` are of `SOF_TXTIME_*`.
 *
 * @category structures
 * @since 0.1.0
 */
export const sock_txtime = Struct.make("sock_txtime", { clockid: Struct.i32, flags: Struct.u32 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface sock_txtime extends Struct.Type<typeof sock_txtime> {}

/**
 * Pieces of device memory that are given back (`SO_DEVMEM_DONTNEED`).
 *
 * @category structures
 * @since 0.1.0
 */
export const dmabuf_token = Struct.make("dmabuf_token", { token_start: Struct.u32, token_count: Struct.u32 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface dmabuf_token extends Struct.Type<typeof dmabuf_token> {}
