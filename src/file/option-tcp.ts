/**
 * The options of TCP sockets (`IPPROTO_TCP`).
 */
import * as Abi from "../Abi.ts"
import * as constants from "../internal/constants.ts"
import { bytes, flag, int, list, make, readOnly, struct, text, uint, writeOnly } from "./option-codec.ts"
import { asked, md5Key, tcpInfo } from "./option-values.ts"

/**
 * Whether small pieces are sent at once rather than gathered.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_NODELAY = make("TCP_NODELAY", constants.IPPROTO_TCP, constants.TCP_NODELAY, flag)

/**
 * Whether only full packets are sent, for up to 200 ms.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_CORK = make("TCP_CORK", constants.IPPROTO_TCP, constants.TCP_CORK, flag)

/**
 * The largest segment, in bytes.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_MAXSEG = make("TCP_MAXSEG", constants.IPPROTO_TCP, constants.TCP_MAXSEG, int)

/**
 * After how many seconds without data a connection is probed.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_KEEPIDLE = make("TCP_KEEPIDLE", constants.IPPROTO_TCP, constants.TCP_KEEPIDLE, int)

/**
 * How many seconds lie between probes.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_KEEPINTVL = make("TCP_KEEPINTVL", constants.IPPROTO_TCP, constants.TCP_KEEPINTVL, int)

/**
 * After how many probes without an answer a connection is given up.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_KEEPCNT = make("TCP_KEEPCNT", constants.IPPROTO_TCP, constants.TCP_KEEPCNT, int)

/**
 * How many times the first packet is sent before connecting is given up.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_SYNCNT = make("TCP_SYNCNT", constants.IPPROTO_TCP, constants.TCP_SYNCNT, int)

/**
 * How many seconds a closed connection waits for the other side's end; -1 is not at all.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_LINGER2 = make("TCP_LINGER2", constants.IPPROTO_TCP, constants.TCP_LINGER2, int)

/**
 * For how many seconds a listener waits for data before it gives a connection to `accept`.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_DEFER_ACCEPT = make("TCP_DEFER_ACCEPT", constants.IPPROTO_TCP, constants.TCP_DEFER_ACCEPT, int)

/**
 * The largest window that is offered, in bytes.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_WINDOW_CLAMP = make("TCP_WINDOW_CLAMP", constants.IPPROTO_TCP, constants.TCP_WINDOW_CLAMP, int)

/**
 * What is known of the connection.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_INFO = readOnly("TCP_INFO", constants.IPPROTO_TCP, constants.TCP_INFO, tcpInfo)

/**
 * Whether what comes is acknowledged at once. The kernel changes it as it sees fit.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_QUICKACK = make("TCP_QUICKACK", constants.IPPROTO_TCP, constants.TCP_QUICKACK, flag)

/**
 * The name of the congestion control.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_CONGESTION = make("TCP_CONGESTION", constants.IPPROTO_TCP, constants.TCP_CONGESTION, text(16))

/**
 * What the congestion control tells of itself: `union tcp_cc_info`.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_CC_INFO = readOnly("TCP_CC_INFO", constants.IPPROTO_TCP, constants.TCP_CC_INFO, bytes(64))

/**
 * A key that signs what is exchanged with a peer (RFC 2385).
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_MD5SIG = writeOnly("TCP_MD5SIG", constants.IPPROTO_TCP, constants.TCP_MD5SIG, md5Key)

/**
 * The same for a range of addresses or one interface.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_MD5SIG_EXT = writeOnly("TCP_MD5SIG_EXT", constants.IPPROTO_TCP, constants.TCP_MD5SIG_EXT, md5Key)

/**
 * Whether a stream of few packets sends them again at even intervals.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_THIN_LINEAR_TIMEOUTS = make(
  "TCP_THIN_LINEAR_TIMEOUTS",
  constants.IPPROTO_TCP,
  constants.TCP_THIN_LINEAR_TIMEOUTS,
  flag
)

/**
 * Nothing any more.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_THIN_DUPACK = make("TCP_THIN_DUPACK", constants.IPPROTO_TCP, constants.TCP_THIN_DUPACK, flag)

/**
 * After how many milliseconds without an acknowledgement a connection is given up; 0 is the system's setting.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_USER_TIMEOUT = make("TCP_USER_TIMEOUT", constants.IPPROTO_TCP, constants.TCP_USER_TIMEOUT, uint)

/**
 * Whether the connection is under repair: `TCP_REPAIR_ON`, `TCP_REPAIR_OFF`, `TCP_REPAIR_OFF_NO_WP`. Needs
 * `CAP_NET_ADMIN`.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_REPAIR = make("TCP_REPAIR", constants.IPPROTO_TCP, constants.TCP_REPAIR, int)

/**
 * Which queue of a connection under repair is meant: 0 none, 1 received, 2 to be sent.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_REPAIR_QUEUE = make("TCP_REPAIR_QUEUE", constants.IPPROTO_TCP, constants.TCP_REPAIR_QUEUE, int)

/**
 * The sequence number of that queue.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_QUEUE_SEQ = make("TCP_QUEUE_SEQ", constants.IPPROTO_TCP, constants.TCP_QUEUE_SEQ, uint)

/**
 * The options that a connection under repair negotiated.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_REPAIR_OPTIONS = writeOnly(
  "TCP_REPAIR_OPTIONS",
  constants.IPPROTO_TCP,
  constants.TCP_REPAIR_OPTIONS,
  list(Abi.tcp_repair_opt, 16)
)

/**
 * The windows of a connection under repair.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_REPAIR_WINDOW = make(
  "TCP_REPAIR_WINDOW",
  constants.IPPROTO_TCP,
  constants.TCP_REPAIR_WINDOW,
  struct(Abi.tcp_repair_window)
)

/**
 * The clock of the time stamps of a connection under repair.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_TIMESTAMP = make("TCP_TIMESTAMP", constants.IPPROTO_TCP, constants.TCP_TIMESTAMP, uint)

/**
 * How many connections may carry data before they are established: of a listener.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_FASTOPEN = make("TCP_FASTOPEN", constants.IPPROTO_TCP, constants.TCP_FASTOPEN, int)

/**
 * Whether `connect` waits for data, and sends them with the first packet.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_FASTOPEN_CONNECT = make(
  "TCP_FASTOPEN_CONNECT",
  constants.IPPROTO_TCP,
  constants.TCP_FASTOPEN_CONNECT,
  flag
)

/**
 * The key of the cookies: 16 bytes, or 32 for one and its successor.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_FASTOPEN_KEY = make("TCP_FASTOPEN_KEY", constants.IPPROTO_TCP, constants.TCP_FASTOPEN_KEY, bytes(32))

/**
 * Whether no cookies are needed.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_FASTOPEN_NO_COOKIE = make(
  "TCP_FASTOPEN_NO_COOKIE",
  constants.IPPROTO_TCP,
  constants.TCP_FASTOPEN_NO_COOKIE,
  flag
)

/**
 * How many bytes may wait to be sent for the socket to be writable.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_NOTSENT_LOWAT = make("TCP_NOTSENT_LOWAT", constants.IPPROTO_TCP, constants.TCP_NOTSENT_LOWAT, uint)

/**
 * Whether a listener keeps the headers of first packets: 1, or 2 with those of the link layer.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_SAVE_SYN = make("TCP_SAVE_SYN", constants.IPPROTO_TCP, constants.TCP_SAVE_SYN, int)

/**
 * The headers of the first packet: given once.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_SAVED_SYN = readOnly("TCP_SAVED_SYN", constants.IPPROTO_TCP, constants.TCP_SAVED_SYN, bytes(512))

/**
 * The protocol above this one, such as `"tls"`.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_ULP = make("TCP_ULP", constants.IPPROTO_TCP, constants.TCP_ULP, text(16))

/**
 * Whether messages come with the number of bytes that are left.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_INQ = make("TCP_INQ", constants.IPPROTO_TCP, constants.TCP_INQ, flag)

/**
 * For how many microseconds what is sent is held back, for tests. Since Linux 5.3.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_TX_DELAY = make("TCP_TX_DELAY", constants.IPPROTO_TCP, constants.TCP_TX_DELAY, int)

/**
 * Adds a key for authentication: `struct tcp_ao_add`. Since Linux 6.7.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_AO_ADD_KEY = writeOnly("TCP_AO_ADD_KEY", constants.IPPROTO_TCP, constants.TCP_AO_ADD_KEY, bytes(0))

/**
 * Takes a key for authentication away: `struct tcp_ao_del`. Since Linux 6.7.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_AO_DEL_KEY = writeOnly("TCP_AO_DEL_KEY", constants.IPPROTO_TCP, constants.TCP_AO_DEL_KEY, bytes(0))

/**
 * What is set for authentication: `struct tcp_ao_info_opt`. Since Linux 6.7.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_AO_INFO = make("TCP_AO_INFO", constants.IPPROTO_TCP, constants.TCP_AO_INFO, bytes(64))

/**
 * The keys for authentication: asked with an array of `struct tcp_ao_getsockopt`, given as one. Since Linux 6.7.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_AO_GET_KEYS = asked("TCP_AO_GET_KEYS", constants.IPPROTO_TCP, constants.TCP_AO_GET_KEYS)

/**
 * The state of authentication of a connection under repair: `struct tcp_ao_repair`. Since Linux 6.7.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_AO_REPAIR = make("TCP_AO_REPAIR", constants.IPPROTO_TCP, constants.TCP_AO_REPAIR, bytes(64))

/**
 * Whether the connection is one of several paths. Since Linux 6.9.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_IS_MPTCP = readOnly("TCP_IS_MPTCP", constants.IPPROTO_TCP, constants.TCP_IS_MPTCP, flag)

/**
 * The longest time before data are sent again, in milliseconds. Since Linux 6.15.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_RTO_MAX_MS = make("TCP_RTO_MAX_MS", constants.IPPROTO_TCP, constants.TCP_RTO_MAX_MS, int)

/**
 * The shortest time before data are sent again, in microseconds. Since Linux 6.15.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_RTO_MIN_US = make("TCP_RTO_MIN_US", constants.IPPROTO_TCP, constants.TCP_RTO_MIN_US, int)

/**
 * The longest time that an acknowledgement is held back, in microseconds. Since Linux 6.15.
 *
 * @category IPPROTO_TCP
 * @since 0.1.0
 */
export const TCP_DELACK_MAX_US = make("TCP_DELACK_MAX_US", constants.IPPROTO_TCP, constants.TCP_DELACK_MAX_US, int)
