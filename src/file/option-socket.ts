/**
 * The options that every socket has (`SOL_SOCKET`): buffers, addresses, behaviour. Those about time, filters and devices
 * are in option-socket-more.ts.
 */
import * as Abi from "../Abi.ts"
import * as constants from "../internal/constants.ts"
import * as Struct from "../Struct.ts"
import { flag, int, list, make, readOnly, struct, text, u64, uint, writeOnly } from "./option-codec.ts"
import { memory } from "./option-values.ts"

/**
 * Whether the network code tells what it does with the socket. Needs `CAP_NET_ADMIN`.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_DEBUG = make("SO_DEBUG", constants.SOL_SOCKET, constants.SO_DEBUG, flag)

/**
 * Whether it may be bound to an address that another socket uses or has just used.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_REUSEADDR = make("SO_REUSEADDR", constants.SOL_SOCKET, constants.SO_REUSEADDR, flag)

/**
 * Whether several sockets that all have this may be bound to one address; the kernel shares out what comes.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_REUSEPORT = make("SO_REUSEPORT", constants.SOL_SOCKET, constants.SO_REUSEPORT, flag)

/**
 * The type: one of `SOCK_*`.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_TYPE = readOnly("SO_TYPE", constants.SOL_SOCKET, constants.SO_TYPE, int)

/**
 * The family: one of `AF_*`.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_DOMAIN = readOnly("SO_DOMAIN", constants.SOL_SOCKET, constants.SO_DOMAIN, int)

/**
 * The protocol: one of `IPPROTO_*`.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_PROTOCOL = readOnly("SO_PROTOCOL", constants.SOL_SOCKET, constants.SO_PROTOCOL, int)

/**
 * The error that is pending, an errno or 0; reading takes it away. See `Socket.takeError`.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_ERROR = readOnly("SO_ERROR", constants.SOL_SOCKET, constants.SO_ERROR, int)

/**
 * Whether it is listening.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_ACCEPTCONN = readOnly("SO_ACCEPTCONN", constants.SOL_SOCKET, constants.SO_ACCEPTCONN, flag)

/**
 * Whether to send only to hosts that are connected directly.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_DONTROUTE = make("SO_DONTROUTE", constants.SOL_SOCKET, constants.SO_DONTROUTE, flag)

/**
 * Whether datagrams may be sent to a broadcast address.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_BROADCAST = make("SO_BROADCAST", constants.SOL_SOCKET, constants.SO_BROADCAST, flag)

/**
 * The largest send buffer, in bytes. The kernel doubles what is set.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_SNDBUF = make("SO_SNDBUF", constants.SOL_SOCKET, constants.SO_SNDBUF, int)

/**
 * The largest receive buffer, in bytes. The kernel doubles what is set.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_RCVBUF = make("SO_RCVBUF", constants.SOL_SOCKET, constants.SO_RCVBUF, int)

/**
 * `SO_SNDBUF` beyond the limit of the system. Needs `CAP_NET_ADMIN`.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_SNDBUFFORCE = writeOnly("SO_SNDBUFFORCE", constants.SOL_SOCKET, constants.SO_SNDBUFFORCE, int)

/**
 * `SO_RCVBUF` beyond the limit of the system. Needs `CAP_NET_ADMIN`.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_RCVBUFFORCE = writeOnly("SO_RCVBUFFORCE", constants.SOL_SOCKET, constants.SO_RCVBUFFORCE, int)

/**
 * Which buffers keep their size: 1 the send buffer, 2 the receive buffer. Since Linux 5.14.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_BUF_LOCK = make("SO_BUF_LOCK", constants.SOL_SOCKET, constants.SO_BUF_LOCK, int)

/**
 * Memory that is kept for the socket, in bytes. Since Linux 5.16.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_RESERVE_MEM = make("SO_RESERVE_MEM", constants.SOL_SOCKET, constants.SO_RESERVE_MEM, int)

/**
 * Whether to probe a connection on which nothing is sent.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_KEEPALIVE = make("SO_KEEPALIVE", constants.SOL_SOCKET, constants.SO_KEEPALIVE, flag)

/**
 * Whether urgent data come in their place among the others.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_OOBINLINE = make("SO_OOBINLINE", constants.SOL_SOCKET, constants.SO_OOBINLINE, flag)

/**
 * Whether UDP over IPv4 sends no checksums.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_NO_CHECK = make("SO_NO_CHECK", constants.SOL_SOCKET, constants.SO_NO_CHECK, flag)

/**
 * The priority of what is sent, 0 to 6; above that it needs `CAP_NET_ADMIN`.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_PRIORITY = make("SO_PRIORITY", constants.SOL_SOCKET, constants.SO_PRIORITY, int)

/**
 * Whether and for how many seconds closing waits for what was sent. With 0 seconds it resets the connection.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_LINGER = make("SO_LINGER", constants.SOL_SOCKET, constants.SO_LINGER, struct(Abi.linger))

/**
 * Nothing any more.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_BSDCOMPAT = make("SO_BSDCOMPAT", constants.SOL_SOCKET, constants.SO_BSDCOMPAT, flag)

/**
 * Whether messages come with the sender's credentials (`Credentials`).
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_PASSCRED = make("SO_PASSCRED", constants.SOL_SOCKET, constants.SO_PASSCRED, flag)

/**
 * Whether messages come with the sender's security label.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_PASSSEC = make("SO_PASSSEC", constants.SOL_SOCKET, constants.SO_PASSSEC, flag)

/**
 * Whether messages come with a descriptor of the sender (`Pidfd`). Since Linux 6.5.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_PASSPIDFD = make("SO_PASSPIDFD", constants.SOL_SOCKET, constants.SO_PASSPIDFD, flag)

/**
 * Whether descriptors may come with messages. True unless set. Since Linux 6.16.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_PASSRIGHTS = make("SO_PASSRIGHTS", constants.SOL_SOCKET, constants.SO_PASSRIGHTS, flag)

/**
 * The process at the other end of a Unix socket, as it was when it connected.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_PEERCRED = readOnly("SO_PEERCRED", constants.SOL_SOCKET, constants.SO_PEERCRED, struct(Abi.ucred))

/**
 * The supplementary groups of the process at the other end of a Unix socket.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_PEERGROUPS = readOnly(
  "SO_PEERGROUPS",
  constants.SOL_SOCKET,
  constants.SO_PEERGROUPS,
  list(Struct.u32, 65_536, 64)
)

/**
 * The security label of the process at the other end of a Unix socket; `ENOPROTOOPT` where there are none.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_PEERSEC = readOnly("SO_PEERSEC", constants.SOL_SOCKET, constants.SO_PEERSEC, text(4096))

/**
 * The interface that it is bound to, by name; an empty name ends that.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_BINDTODEVICE = make("SO_BINDTODEVICE", constants.SOL_SOCKET, constants.SO_BINDTODEVICE, text(16))

/**
 * The interface that it is bound to, by index; 0 ends that. Since Linux 5.1.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_BINDTOIFINDEX = make("SO_BINDTOIFINDEX", constants.SOL_SOCKET, constants.SO_BINDTOIFINDEX, int)

/**
 * The mark of what is sent, for routing and filtering. Needs `CAP_NET_ADMIN` or `CAP_NET_RAW`.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_MARK = make("SO_MARK", constants.SOL_SOCKET, constants.SO_MARK, uint)

/**
 * Whether messages come with their mark. Since Linux 5.19.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_RCVMARK = make("SO_RCVMARK", constants.SOL_SOCKET, constants.SO_RCVMARK, flag)

/**
 * Whether messages come with their priority. Since Linux 6.14.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_RCVPRIORITY = make("SO_RCVPRIORITY", constants.SOL_SOCKET, constants.SO_RCVPRIORITY, flag)

/**
 * Whether messages come with the number of those dropped since the socket was made.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_RXQ_OVFL = make("SO_RXQ_OVFL", constants.SOL_SOCKET, constants.SO_RXQ_OVFL, flag)

/**
 * How far into the data `MSG_PEEK` looks, in bytes; -1 switches it off.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_PEEK_OFF = make("SO_PEEK_OFF", constants.SOL_SOCKET, constants.SO_PEEK_OFF, int)

/**
 * Whether messages of a Unix stream come with the number of bytes that are left. Since Linux 6.17.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_INQ = make("SO_INQ", constants.SOL_SOCKET, constants.SO_INQ, flag)

/**
 * How many bytes there must be for the socket to be readable.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_RCVLOWAT = make("SO_RCVLOWAT", constants.SOL_SOCKET, constants.SO_RCVLOWAT, int)

/**
 * How many bytes there must be room for: always 1.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_SNDLOWAT = readOnly("SO_SNDLOWAT", constants.SOL_SOCKET, constants.SO_SNDLOWAT, int)

/**
 * The memory that the socket uses. Since Linux 4.11.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_MEMINFO = readOnly("SO_MEMINFO", constants.SOL_SOCKET, constants.SO_MEMINFO, memory)

/**
 * A number that no other socket of the system has. Since Linux 4.12.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_COOKIE = readOnly("SO_COOKIE", constants.SOL_SOCKET, constants.SO_COOKIE, u64)

/**
 * A number that no other network namespace of the system has. Since Linux 5.14.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_NETNS_COOKIE = readOnly("SO_NETNS_COOKIE", constants.SOL_SOCKET, constants.SO_NETNS_COOKIE, u64)

/**
 * 1 says that the connection goes badly, so that another route is looked for.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_CNX_ADVICE = writeOnly("SO_CNX_ADVICE", constants.SOL_SOCKET, constants.SO_CNX_ADVICE, int)

/**
 * Whether to look for another path when a connection stalls: 1, 0, or -1 for the system's setting. Since Linux 5.18.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_TXREHASH = make("SO_TXREHASH", constants.SOL_SOCKET, constants.SO_TXREHASH, int)
