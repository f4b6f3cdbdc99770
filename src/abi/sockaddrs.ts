/** Addresses of sockets: those of the families that are met most, and what they are made of. */
import * as Struct from "../Struct.ts"

/**
 * An address of any family: `sa_data` is the family's.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr = Struct.make("sockaddr", {
  sa_family: Struct.u16,
  sa_data: Struct.bytes(14)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr extends Struct.Type<typeof sockaddr> {}

/**
 * An IPv4 address: the four bytes as they are sent, read as a little-endian number.
 *
 * @category structures
 * @since 0.1.0
 */
export const in_addr = Struct.make("in_addr", {
  s_addr: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface in_addr extends Struct.Type<typeof in_addr> {}

/**
 * An IPv4 address and port (`AF_INET`). `sin_port` is in network byte order, as `sin_addr` is.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_in = Struct.make("sockaddr_in", {
  sin_family: Struct.u16,
  sin_port: Struct.u16,
  sin_addr: in_addr,
  __pad: Struct.padding(8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_in extends Struct.Type<typeof sockaddr_in> {}

/**
 * An IPv6 address, as it is sent.
 *
 * @category structures
 * @since 0.1.0
 */
export const in6_addr = Struct.make("in6_addr", {
  u6_addr8: Struct.aligned(Struct.bytes(16), 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface in6_addr extends Struct.Type<typeof in6_addr> {}

/**
 * An IPv6 address and port (`AF_INET6`). `sin6_port` and `sin6_flowinfo` are in network byte order.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_in6 = Struct.make("sockaddr_in6", {
  sin6_family: Struct.u16,
  sin6_port: Struct.u16,
  sin6_flowinfo: Struct.u32,
  sin6_addr: in6_addr,
  sin6_scope_id: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_in6 extends Struct.Type<typeof sockaddr_in6> {}

/**
 * A name of a socket on this machine (`AF_UNIX`): a path, or behind a NUL an abstract name as long as the address'
 * length says.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_un = Struct.make("sockaddr_un", {
  sun_family: Struct.u16,
  sun_path: Struct.bytes(108)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_un extends Struct.Type<typeof sockaddr_un> {}

/**
 * A netlink port (`AF_NETLINK`).
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_nl = Struct.make("sockaddr_nl", {
  nl_family: Struct.u16,
  nl_pad: Struct.padding(2, 2),
  nl_pid: Struct.u32,
  nl_groups: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_nl extends Struct.Type<typeof sockaddr_nl> {}

/**
 * A link-layer address (`AF_PACKET`). `sll_protocol` is in network byte order.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_ll = Struct.make("sockaddr_ll", {
  sll_family: Struct.u16,
  sll_protocol: Struct.u16,
  sll_ifindex: Struct.i32,
  sll_hatype: Struct.u16,
  sll_pkttype: Struct.u8,
  sll_halen: Struct.u8,
  sll_addr: Struct.bytes(8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_ll extends Struct.Type<typeof sockaddr_ll> {}

/**
 * The address of the obsolete `SOCK_PACKET` sockets. `spkt_protocol` is in network byte order.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_pkt = Struct.make("sockaddr_pkt", {
  spkt_family: Struct.u16,
  spkt_device: Struct.bytes(14),
  spkt_protocol: Struct.u16
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_pkt extends Struct.Type<typeof sockaddr_pkt> {}

/**
 * A virtual machine, or its host, and a port (`AF_VSOCK`).
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_vm = Struct.make("sockaddr_vm", {
  svm_family: Struct.u16,
  svm_reserved1: Struct.padding(2, 2),
  svm_port: Struct.u32,
  svm_cid: Struct.u32,
  svm_flags: Struct.u8,
  svm_zero: Struct.padding(3)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_vm extends Struct.Type<typeof sockaddr_vm> {}

/**
 * A CAN interface (`AF_CAN`). `can_addr` is a union: identifiers to receive and send for ISO-TP, name, PGN and
 * address for J1939.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_can = Struct.make("sockaddr_can", {
  can_family: Struct.u16,
  can_ifindex: Struct.i32,
  can_addr: Struct.aligned(Struct.bytes(16), 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_can extends Struct.Type<typeof sockaddr_can> {}

/**
 * An algorithm of the kernel's crypto interface (`AF_ALG`).
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_alg = Struct.make("sockaddr_alg", {
  salg_family: Struct.u16,
  salg_type: Struct.bytes(14),
  salg_feat: Struct.u32,
  salg_mask: Struct.u32,
  salg_name: Struct.bytes(64)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_alg extends Struct.Type<typeof sockaddr_alg> {}

/**
 * The head of a `sockaddr_alg` whose name, which follows it, may be longer than 64 bytes.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_alg_new = Struct.make("sockaddr_alg_new", {
  salg_family: Struct.u16,
  salg_type: Struct.bytes(14),
  salg_feat: Struct.u32,
  salg_mask: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_alg_new extends Struct.Type<typeof sockaddr_alg_new> {}

/**
 * A queue of a network interface (`AF_XDP`).
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_xdp = Struct.make("sockaddr_xdp", {
  sxdp_family: Struct.u16,
  sxdp_flags: Struct.u16,
  sxdp_ifindex: Struct.u32,
  sxdp_queue_id: Struct.u32,
  sxdp_shared_umem_fd: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_xdp extends Struct.Type<typeof sockaddr_xdp> {}

/**
 * A socket of a TIPC node.
 *
 * @category structures
 * @since 0.1.0
 */
export const tipc_socket_addr = Struct.make("tipc_socket_addr", {
  ref: Struct.u32,
  node: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface tipc_socket_addr extends Struct.Type<typeof tipc_socket_addr> {}

/**
 * An instance of a TIPC service.
 *
 * @category structures
 * @since 0.1.0
 */
export const tipc_service_addr = Struct.make("tipc_service_addr", {
  type: Struct.u32,
  instance: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface tipc_service_addr extends Struct.Type<typeof tipc_service_addr> {}

/**
 * A range of instances of a TIPC service.
 *
 * @category structures
 * @since 0.1.0
 */
export const tipc_service_range = Struct.make("tipc_service_range", {
  type: Struct.u32,
  lower: Struct.u32,
  upper: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface tipc_service_range extends Struct.Type<typeof tipc_service_range> {}

/**
 * A TIPC address (`AF_TIPC`). `addr` is a union that `addrtype` tells: a `tipc_socket_addr`, a `tipc_service_range`,
 * or a `tipc_service_addr` and a domain.
 *
 * @category structures
 * @since 0.1.0
 */
export const sockaddr_tipc = Struct.make("sockaddr_tipc", {
  family: Struct.u16,
  addrtype: Struct.u8,
  scope: Struct.i8,
  addr: Struct.aligned(Struct.bytes(12), 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sockaddr_tipc extends Struct.Type<typeof sockaddr_tipc> {}
