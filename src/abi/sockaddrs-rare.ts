/** Addresses of sockets: those of the families that are met seldom. */
import * as Struct from "../Struct.ts"
import { in_addr, in6_addr } from "./sockaddrs.ts"

/**
 * An 802.2 LLC address (`AF_LLC`).
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_llc = Struct.make("sockaddr_llc", {
  sllc_family: Struct.u16,
  sllc_arphrd: Struct.u16,
  sllc_test: Struct.u8,
  sllc_xid: Struct.u8,
  sllc_ua: Struct.u8,
  sllc_sap: Struct.u8,
  sllc_mac: Struct.bytes(6),
  __pad: Struct.padding(2)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_llc extends Struct.Type<typeof sockaddr_llc> {}

/**
 * A node and port of the Qualcomm IPC router (`AF_QIPCRTR`).
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_qrtr = Struct.make("sockaddr_qrtr", {
  sq_family: Struct.u16,
  sq_node: Struct.u32,
  sq_port: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_qrtr extends Struct.Type<typeof sockaddr_qrtr> {}

/**
 * An MCTP endpoint (`AF_MCTP`). `smctp_addr` is the endpoint's identifier.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_mctp = Struct.make("sockaddr_mctp", {
  smctp_family: Struct.u16,
  __smctp_pad0: Struct.padding(2, 2),
  smctp_network: Struct.u32,
  smctp_addr: Struct.u8,
  smctp_type: Struct.u8,
  smctp_tag: Struct.u8,
  __smctp_pad1: Struct.padding(1)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_mctp extends Struct.Type<typeof sockaddr_mctp> {}

/**
 * An MCTP endpoint with its interface and hardware address.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_mctp_ext = Struct.make("sockaddr_mctp_ext", {
  smctp_base: sockaddr_mctp,
  smctp_ifindex: Struct.i32,
  smctp_halen: Struct.u8,
  __smctp_pad0: Struct.padding(3),
  smctp_haddr: Struct.bytes(32)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_mctp_ext extends Struct.Type<typeof sockaddr_mctp_ext> {}

/**
 * An NFC target (`AF_NFC`).
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_nfc = Struct.make("sockaddr_nfc", {
  sa_family: Struct.u16,
  dev_idx: Struct.u32,
  target_idx: Struct.u32,
  nfc_protocol: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_nfc extends Struct.Type<typeof sockaddr_nfc> {}

/**
 * A service of an NFC target.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_nfc_llcp = Struct.make("sockaddr_nfc_llcp", {
  sa_family: Struct.u16,
  dev_idx: Struct.u32,
  target_idx: Struct.u32,
  nfc_protocol: Struct.u32,
  dsap: Struct.u8,
  ssap: Struct.u8,
  service_name: Struct.bytes(63),
  service_name_len: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_nfc_llcp extends Struct.Type<typeof sockaddr_nfc_llcp> {}

/**
 * An L2TP tunnel over IPv4. The address is in network byte order.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_l2tpip = Struct.make("sockaddr_l2tpip", {
  l2tp_family: Struct.u16,
  l2tp_unused: Struct.u16,
  l2tp_addr: in_addr,
  l2tp_conn_id: Struct.u32,
  __pad: Struct.padding(4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_l2tpip extends Struct.Type<typeof sockaddr_l2tpip> {}

/**
 * An L2TP tunnel over IPv6. `l2tp_flowinfo` is in network byte order.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_l2tpip6 = Struct.make("sockaddr_l2tpip6", {
  l2tp_family: Struct.u16,
  l2tp_unused: Struct.u16,
  l2tp_flowinfo: Struct.u32,
  l2tp_addr: in6_addr,
  l2tp_scope_id: Struct.u32,
  l2tp_conn_id: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_l2tpip6 extends Struct.Type<typeof sockaddr_l2tpip6> {}

/**
 * An amateur radio station (`AF_AX25`): its call, shifted left by one bit.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_ax25 = Struct.make("sockaddr_ax25", {
  sax25_family: Struct.u16,
  sax25_call: Struct.bytes(7),
  sax25_ndigis: Struct.i32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_ax25 extends Struct.Type<typeof sockaddr_ax25> {}

/**
 * An amateur radio station and the digipeaters on the way to it, 7 bytes each.
 *
 * @category structures
 * @since 0.1.0
 */
export const full_sockaddr_ax25 = Struct.make("full_sockaddr_ax25", {
  fsa_ax25: sockaddr_ax25,
  fsa_digipeater: Struct.bytes(56)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface full_sockaddr_ax25 extends Struct.Type<typeof full_sockaddr_ax25> {}

/**
 * A ROSE address with one digipeater (`AF_ROSE`).
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_rose = Struct.make("sockaddr_rose", {
  srose_family: Struct.u16,
  srose_addr: Struct.bytes(5),
  srose_call: Struct.bytes(7),
  srose_ndigis: Struct.i32,
  srose_digi: Struct.bytes(7)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_rose extends Struct.Type<typeof sockaddr_rose> {}

/**
 * A ROSE address with up to 6 digipeaters, 7 bytes each.
 *
 * @category structures
 * @since 0.1.0
 */
export const full_sockaddr_rose = Struct.make("full_sockaddr_rose", {
  srose_family: Struct.u16,
  srose_addr: Struct.bytes(5),
  srose_call: Struct.bytes(7),
  srose_ndigis: Struct.u32,
  srose_digis: Struct.bytes(42)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface full_sockaddr_rose extends Struct.Type<typeof full_sockaddr_rose> {}

/**
 * An X.25 address (`AF_X25`): up to 15 digits and a NUL.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_x25 = Struct.make("sockaddr_x25", {
  sx25_family: Struct.u16,
  sx25_addr: Struct.bytes(16)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_x25 extends Struct.Type<typeof sockaddr_x25> {}

/**
 * A permanent virtual circuit of ATM (`AF_ATMPVC`). `sap_addr` is interface, VPI and VCI.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_atmpvc = Struct.make("sockaddr_atmpvc", {
  sap_family: Struct.u16,
  sap_addr: Struct.aligned(Struct.bytes(8), 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_atmpvc extends Struct.Type<typeof sockaddr_atmpvc> {}

/**
 * A switched virtual circuit of ATM (`AF_ATMSVC`). `sas_addr` is the private and public address and the role in a
 * join.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_atmsvc = Struct.make("sockaddr_atmsvc", {
  sas_family: Struct.u16,
  sas_addr: Struct.aligned(Struct.bytes(40), 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_atmsvc extends Struct.Type<typeof sockaddr_atmsvc> {}

/**
 * An AppleTalk address (`AF_APPLETALK`): network, in network byte order, and node in `sat_addr`.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_at = Struct.make("sockaddr_at", {
  sat_family: Struct.u16,
  sat_port: Struct.u8,
  sat_addr: Struct.aligned(Struct.bytes(4), 2),
  sat_zero: Struct.padding(8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_at extends Struct.Type<typeof sockaddr_at> {}

/**
 * An address of the CAIF modem protocol (`AF_CAIF`). `u` is a union that the socket's protocol tells.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_caif = Struct.make("sockaddr_caif", {
  family: Struct.u16,
  u: Struct.aligned(Struct.bytes(20), 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_caif extends Struct.Type<typeof sockaddr_caif> {}

/**
 * A Phonet address (`AF_PHONET`).
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_pn = Struct.packed("sockaddr_pn", {
  spn_family: Struct.u16,
  spn_obj: Struct.u8,
  spn_dev: Struct.u8,
  spn_resource: Struct.u8,
  spn_zero: Struct.padding(11)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_pn extends Struct.Type<typeof sockaddr_pn> {}

/**
 * An RxRPC service over UDP (`AF_RXRPC`). `transport` holds a `sockaddr_in` or `sockaddr_in6`.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_rxrpc = Struct.make("sockaddr_rxrpc", {
  srx_family: Struct.u16,
  srx_service: Struct.u16,
  transport_type: Struct.u16,
  transport_len: Struct.u16,
  transport: Struct.aligned(Struct.bytes(28), 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_rxrpc extends Struct.Type<typeof sockaddr_rxrpc> {}

/**
 * A PPP session over something (`AF_PPPOX`). `sa_addr` is a union that `sa_protocol` tells.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_pppox = Struct.packed("sockaddr_pppox", {
  sa_family: Struct.u16,
  sa_protocol: Struct.u32,
  sa_addr: Struct.bytes(24)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_pppox extends Struct.Type<typeof sockaddr_pppox> {}

/**
 * A PPP session over L2TP version 2 and IPv4.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_pppol2tp = Struct.packed("sockaddr_pppol2tp", {
  sa_family: Struct.u16,
  sa_protocol: Struct.u32,
  pppol2tp: Struct.bytes(32)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_pppol2tp extends Struct.Type<typeof sockaddr_pppol2tp> {}

/**
 * A PPP session over L2TP version 2 and IPv6.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_pppol2tpin6 = Struct.packed("sockaddr_pppol2tpin6", {
  sa_family: Struct.u16,
  sa_protocol: Struct.u32,
  pppol2tp: Struct.bytes(44)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_pppol2tpin6 extends Struct.Type<typeof sockaddr_pppol2tpin6> {}

/**
 * A PPP session over L2TP version 3 and IPv4.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_pppol2tpv3 = Struct.packed("sockaddr_pppol2tpv3", {
  sa_family: Struct.u16,
  sa_protocol: Struct.u32,
  pppol2tp: Struct.bytes(40)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_pppol2tpv3 extends Struct.Type<typeof sockaddr_pppol2tpv3> {}

/**
 * A PPP session over L2TP version 3 and IPv6.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_pppol2tpv3in6 = Struct.packed("sockaddr_pppol2tpv3in6", {
  sa_family: Struct.u16,
  sa_protocol: Struct.u32,
  pppol2tp: Struct.bytes(52)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_pppol2tpv3in6 extends Struct.Type<typeof sockaddr_pppol2tpv3in6> {}
