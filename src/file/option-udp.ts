/**
 * The options of UDP and vsock sockets (`IPPROTO_UDP`, `AF_VSOCK`).
 */
import * as constants from "../internal/constants.ts"
import { flag, int, make, readOnly, timeout, u64 } from "./option-codec.ts"

/**
 * Whether what is sent is gathered to one datagram.
 *
 * @category IPPROTO_UDP
 * @since 0.1.0
 */
export const UDP_CORK = make("UDP_CORK", constants.IPPROTO_UDP, constants.UDP_CORK, flag)

/**
 * What is encapsulated: one of `UDP_ENCAP_*`.
 *
 * @category IPPROTO_UDP
 * @since 0.1.0
 */
export const UDP_ENCAP = make("UDP_ENCAP", constants.IPPROTO_UDP, constants.UDP_ENCAP, int)

/**
 * Whether no checksums are sent over IPv6.
 *
 * @category IPPROTO_UDP
 * @since 0.1.0
 */
export const UDP_NO_CHECK6_TX = make("UDP_NO_CHECK6_TX", constants.IPPROTO_UDP, constants.UDP_NO_CHECK6_TX, flag)

/**
 * Whether no checksums are taken over IPv6.
 *
 * @category IPPROTO_UDP
 * @since 0.1.0
 */
export const UDP_NO_CHECK6_RX = make("UDP_NO_CHECK6_RX", constants.IPPROTO_UDP, constants.UDP_NO_CHECK6_RX, flag)

/**
 * The size of the datagrams that one large send is cut into, in bytes.
 *
 * @category IPPROTO_UDP
 * @since 0.1.0
 */
export const UDP_SEGMENT = make("UDP_SEGMENT", constants.IPPROTO_UDP, constants.UDP_SEGMENT, int)

/**
 * Whether several datagrams are received as one large one. Since Linux 5.0.
 *
 * @category IPPROTO_UDP
 * @since 0.1.0
 */
export const UDP_GRO = make("UDP_GRO", constants.IPPROTO_UDP, constants.UDP_GRO, flag)

/**
 * The buffer of a stream, in bytes.
 *
 * @category AF_VSOCK
 * @since 0.1.0
 */
export const SO_VM_SOCKETS_BUFFER_SIZE = make(
  "SO_VM_SOCKETS_BUFFER_SIZE",
  constants.AF_VSOCK,
  constants.SO_VM_SOCKETS_BUFFER_SIZE,
  u64
)

/**
 * The smallest buffer, in bytes.
 *
 * @category AF_VSOCK
 * @since 0.1.0
 */
export const SO_VM_SOCKETS_BUFFER_MIN_SIZE = make(
  "SO_VM_SOCKETS_BUFFER_MIN_SIZE",
  constants.AF_VSOCK,
  constants.SO_VM_SOCKETS_BUFFER_MIN_SIZE,
  u64
)

/**
 * The largest buffer, in bytes.
 *
 * @category AF_VSOCK
 * @since 0.1.0
 */
export const SO_VM_SOCKETS_BUFFER_MAX_SIZE = make(
  "SO_VM_SOCKETS_BUFFER_MAX_SIZE",
  constants.AF_VSOCK,
  constants.SO_VM_SOCKETS_BUFFER_MAX_SIZE,
  u64
)

/**
 * The identifier of the other end on its host: only over VMCI.
 *
 * @category AF_VSOCK
 * @since 0.1.0
 */
export const SO_VM_SOCKETS_PEER_HOST_VM_ID = readOnly(
  "SO_VM_SOCKETS_PEER_HOST_VM_ID",
  constants.AF_VSOCK,
  constants.SO_VM_SOCKETS_PEER_HOST_VM_ID,
  int
)

/**
 * Whether the other end is trusted: only over VMCI.
 *
 * @category AF_VSOCK
 * @since 0.1.0
 */
export const SO_VM_SOCKETS_TRUSTED = readOnly(
  "SO_VM_SOCKETS_TRUSTED",
  constants.AF_VSOCK,
  constants.SO_VM_SOCKETS_TRUSTED,
  flag
)

/**
 * How long connecting may take, 2 seconds unless set.
 *
 * @category AF_VSOCK
 * @since 0.1.0
 */
export const SO_VM_SOCKETS_CONNECT_TIMEOUT = make(
  "SO_VM_SOCKETS_CONNECT_TIMEOUT",
  constants.AF_VSOCK,
  constants.SO_VM_SOCKETS_CONNECT_TIMEOUT,
  timeout
)

/**
 * The same as `SO_VM_SOCKETS_CONNECT_TIMEOUT` on 64-bit machines.
 *
 * @category AF_VSOCK
 * @since 0.1.0
 */
export const SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD = make(
  "SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD",
  constants.AF_VSOCK,
  constants.SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD,
  timeout
)

/**
 * `SO_VM_SOCKETS_CONNECT_TIMEOUT` with 64-bit seconds on every machine.
 *
 * @category AF_VSOCK
 * @since 0.1.0
 */
export const SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW = make(
  "SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW",
  constants.AF_VSOCK,
  constants.SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW,
  timeout
)

/**
 * Whether sending and receiving in the kernel does not wait: only over VMCI.
 *
 * @category AF_VSOCK
 * @since 0.1.0
 */
export const SO_VM_SOCKETS_NONBLOCK_TXRX = make(
  "SO_VM_SOCKETS_NONBLOCK_TXRX",
  constants.AF_VSOCK,
  constants.SO_VM_SOCKETS_NONBLOCK_TXRX,
  flag
)
