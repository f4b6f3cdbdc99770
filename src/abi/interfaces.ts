/** Structures of the requests about network interfaces. */

import * as Struct from "../Struct.ts"
import { in6_addr, sockaddr } from "./sockaddrs.ts"

/**
 * The hardware resources of an interface.
 *
 * @category structures
 * @since 0.1.0
 */
export const ifmap = Struct.make("ifmap", {
  mem_start: Struct.u64,
  mem_end: Struct.u64,
  base_addr: Struct.u16,
  irq: Struct.u8,
  dma: Struct.u8,
  port: Struct.u8
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface ifmap extends Struct.Type<typeof ifmap> {}

/**
 * Settings of a WAN interface: `ifs_ifsu` points to those of its type.
 *
 * @category structures
 * @since 0.1.0
 */
export const if_settings = Struct.make("if_settings", { type: Struct.u32, size: Struct.u32, ifs_ifsu: Struct.pointer })
/**
 * @category structures
 * @since 0.1.0
 */
export interface if_settings extends Struct.Type<typeof if_settings> {}

/**
 * What an `ifreq` tells or asks of an interface: which member it is depends on the request.
 *
 * @category structures
 * @since 0.1.0
 */
export const ifr_ifru = Struct.union("ifr_ifru", {
  ifru_addr: sockaddr,
  ifru_dstaddr: sockaddr,
  ifru_broadaddr: sockaddr,
  ifru_netmask: sockaddr,
  ifru_hwaddr: sockaddr,
  ifru_flags: Struct.i16,
  ifru_ivalue: Struct.i32,
  ifru_mtu: Struct.i32,
  ifru_map: ifmap,
  ifru_slave: Struct.bytes(16),
  ifru_newname: Struct.bytes(16),
  ifru_data: Struct.pointer,
  ifru_settings: if_settings
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface ifr_ifru extends Struct.Type<typeof ifr_ifru> {}

/**
 * An interface, by name, and what is told or asked of it.
 *
 * @category structures
 * @since 0.1.0
 */
export const ifreq = Struct.make("ifreq", { ifr_name: Struct.bytes(16), ifr_ifru: ifr_ifru })
/**
 * @category structures
 * @since 0.1.0
 */
export interface ifreq extends Struct.Type<typeof ifreq> {}

/**
 * Where a list of interfaces is to be written.
 *
 * @category structures
 * @since 0.1.0
 */
export const ifconf = Struct.make("ifconf", { ifc_len: Struct.i32, ifc_buf: Struct.pointer })
/**
 * @category structures
 * @since 0.1.0
 */
export interface ifconf extends Struct.Type<typeof ifconf> {}

/**
 * An address of an interface: of IPv6.
 *
 * @category structures
 * @since 0.1.0
 */
export const in6_ifreq = Struct.make("in6_ifreq", {
  ifr6_addr: in6_addr,
  ifr6_prefixlen: Struct.u32,
  ifr6_ifindex: Struct.i32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface in6_ifreq extends Struct.Type<typeof in6_ifreq> {}

/**
 * An entry of the table of neighbours.
 *
 * @category structures
 * @since 0.1.0
 */
export const arpreq = Struct.make("arpreq", {
  arp_pa: sockaddr,
  arp_ha: sockaddr,
  arp_flags: Struct.i32,
  arp_netmask: sockaddr,
  arp_dev: Struct.bytes(16)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface arpreq extends Struct.Type<typeof arpreq> {}

/**
 * A route of IPv4: `rt_dev` points to the interface's name. `rt_pad1` to `rt_pad4` are not used.
 *
 * @category structures
 * @since 0.1.0
 */
export const rtentry = Struct.make("rtentry", {
  rt_pad1: Struct.padding(8, 8),
  rt_dst: sockaddr,
  rt_gateway: sockaddr,
  rt_genmask: sockaddr,
  rt_flags: Struct.u16,
  rt_pad2: Struct.padding(2, 2),
  rt_pad3: Struct.padding(8, 8),
  rt_pad4: Struct.padding(8, 8),
  rt_metric: Struct.i16,
  rt_dev: Struct.pointer,
  rt_mtu: Struct.u64,
  rt_window: Struct.u64,
  rt_irtt: Struct.u16
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface rtentry extends Struct.Type<typeof rtentry> {}

/**
 * Which packets a tap interface takes; addresses of 6 bytes follow it.
 *
 * @category structures
 * @since 0.1.0
 */
export const tun_filter = Struct.make("tun_filter", { flags: Struct.u16, count: Struct.u16 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface tun_filter extends Struct.Type<typeof tun_filter> {}

/**
 * What precedes a packet of a tun or tap interface without `IFF_NO_PI`; `proto` is in network order.
 *
 * @category structures
 * @since 0.1.0
 */
export const tun_pi = Struct.make("tun_pi", { flags: Struct.u16, proto: Struct.u16 })
/**
 * @category structures
 * @since 0.1.0
 */
export interface tun_pi extends Struct.Type<typeof tun_pi> {}
