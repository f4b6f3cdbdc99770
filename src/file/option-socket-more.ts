/**
 * The options that every socket has (`SOL_SOCKET`), continued: time, time stamps, filters, polling, memory of devices.
 */
import * as Abi from "../Abi.ts"
import * as constants from "../internal/constants.ts"
import {
  file,
  flag,
  int,
  list,
  make,
  nothing,
  readOnly,
  struct,
  timeout,
  u64,
  uint,
  writeOnly
} from "./option-codec.ts"
import { filterRead, filterWritten } from "./option-values.ts"

/**
 * How long the kernel lets a call wait that receives. Waits of this library do not look at it: see `Effect.timeout`.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_RCVTIMEO = make("SO_RCVTIMEO", constants.SOL_SOCKET, constants.SO_RCVTIMEO, timeout)

/**
 * How long the kernel lets a call wait that sends. Waits of this library do not look at it: see `Effect.timeout`.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_SNDTIMEO = make("SO_SNDTIMEO", constants.SOL_SOCKET, constants.SO_SNDTIMEO, timeout)

/**
 * The same as `SO_RCVTIMEO` on 64-bit machines.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_RCVTIMEO_OLD = make("SO_RCVTIMEO_OLD", constants.SOL_SOCKET, constants.SO_RCVTIMEO_OLD, timeout)

/**
 * The same as `SO_SNDTIMEO` on 64-bit machines.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_SNDTIMEO_OLD = make("SO_SNDTIMEO_OLD", constants.SOL_SOCKET, constants.SO_SNDTIMEO_OLD, timeout)

/**
 * `SO_RCVTIMEO` with 64-bit seconds on every machine. Since Linux 5.1.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_RCVTIMEO_NEW = make("SO_RCVTIMEO_NEW", constants.SOL_SOCKET, constants.SO_RCVTIMEO_NEW, timeout)

/**
 * `SO_SNDTIMEO` with 64-bit seconds on every machine. Since Linux 5.1.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_SNDTIMEO_NEW = make("SO_SNDTIMEO_NEW", constants.SOL_SOCKET, constants.SO_SNDTIMEO_NEW, timeout)

/**
 * Whether messages come with the time they were received at, in microseconds.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_TIMESTAMP = make("SO_TIMESTAMP", constants.SOL_SOCKET, constants.SO_TIMESTAMP, flag)

/**
 * The same as `SO_TIMESTAMP` on 64-bit machines.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_TIMESTAMP_OLD = make("SO_TIMESTAMP_OLD", constants.SOL_SOCKET, constants.SO_TIMESTAMP_OLD, flag)

/**
 * `SO_TIMESTAMP` with 64-bit seconds on every machine. Since Linux 5.1.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_TIMESTAMP_NEW = make("SO_TIMESTAMP_NEW", constants.SOL_SOCKET, constants.SO_TIMESTAMP_NEW, flag)

/**
 * Whether messages come with the time they were received at, in nanoseconds.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_TIMESTAMPNS = make("SO_TIMESTAMPNS", constants.SOL_SOCKET, constants.SO_TIMESTAMPNS, flag)

/**
 * The same as `SO_TIMESTAMPNS` on 64-bit machines.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_TIMESTAMPNS_OLD = make("SO_TIMESTAMPNS_OLD", constants.SOL_SOCKET, constants.SO_TIMESTAMPNS_OLD, flag)

/**
 * `SO_TIMESTAMPNS` with 64-bit seconds on every machine. Since Linux 5.1.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_TIMESTAMPNS_NEW = make("SO_TIMESTAMPNS_NEW", constants.SOL_SOCKET, constants.SO_TIMESTAMPNS_NEW, flag)

/**
 * Which time stamps are made, and by which clock: `flags` are of `SOF_TIMESTAMPING_*`.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_TIMESTAMPING = make(
  "SO_TIMESTAMPING",
  constants.SOL_SOCKET,
  constants.SO_TIMESTAMPING,
  struct(Abi.so_timestamping)
)

/**
 * The same as `SO_TIMESTAMPING` on 64-bit machines.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_TIMESTAMPING_OLD = make(
  "SO_TIMESTAMPING_OLD",
  constants.SOL_SOCKET,
  constants.SO_TIMESTAMPING_OLD,
  struct(Abi.so_timestamping)
)

/**
 * `SO_TIMESTAMPING` with 64-bit seconds on every machine. Since Linux 5.1.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_TIMESTAMPING_NEW = make(
  "SO_TIMESTAMPING_NEW",
  constants.SOL_SOCKET,
  constants.SO_TIMESTAMPING_NEW,
  struct(Abi.so_timestamping)
)

/**
 * Whether an error in the queue of errors makes the socket ready for `POLLPRI`.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_SELECT_ERR_QUEUE = make(
  "SO_SELECT_ERR_QUEUE",
  constants.SOL_SOCKET,
  constants.SO_SELECT_ERR_QUEUE,
  flag
)

/**
 * The clock by which messages are sent at the time that comes with them. Since Linux 4.19.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_TXTIME = make("SO_TXTIME", constants.SOL_SOCKET, constants.SO_TXTIME, struct(Abi.sock_txtime))

/**
 * How many bytes a second the kernel sends at most; all bits set are no limit.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_MAX_PACING_RATE = make("SO_MAX_PACING_RATE", constants.SOL_SOCKET, constants.SO_MAX_PACING_RATE, u64)

/**
 * Whether the status of a transmission over wireless comes back in the queue of errors.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_WIFI_STATUS = make("SO_WIFI_STATUS", constants.SOL_SOCKET, constants.SO_WIFI_STATUS, flag)

/**
 * Whether the frame checksum is left out, for tests.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_NOFCS = make("SO_NOFCS", constants.SOL_SOCKET, constants.SO_NOFCS, flag)

/**
 * Whether `MSG_ZEROCOPY` may be used.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_ZEROCOPY = make("SO_ZEROCOPY", constants.SOL_SOCKET, constants.SO_ZEROCOPY, flag)

/**
 * A classic filter for what comes in: the instructions.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_ATTACH_FILTER = writeOnly(
  "SO_ATTACH_FILTER",
  constants.SOL_SOCKET,
  constants.SO_ATTACH_FILTER,
  filterWritten
)

/**
 * The instructions of the classic filter; none where there is none.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_GET_FILTER = readOnly("SO_GET_FILTER", constants.SOL_SOCKET, constants.SO_GET_FILTER, filterRead)

/**
 * Takes the filter away, of either kind.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_DETACH_FILTER = writeOnly("SO_DETACH_FILTER", constants.SOL_SOCKET, constants.SO_DETACH_FILTER, nothing)

/**
 * A filter that was loaded with `bpf`.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_ATTACH_BPF = writeOnly("SO_ATTACH_BPF", constants.SOL_SOCKET, constants.SO_ATTACH_BPF, file)

/**
 * The same as `SO_DETACH_FILTER`.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_DETACH_BPF = writeOnly("SO_DETACH_BPF", constants.SOL_SOCKET, constants.SO_DETACH_BPF, nothing)

/**
 * Whether the filter can no longer be changed: once set this stays.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_LOCK_FILTER = make("SO_LOCK_FILTER", constants.SOL_SOCKET, constants.SO_LOCK_FILTER, flag)

/**
 * A classic filter that chooses among the sockets of a `SO_REUSEPORT` group.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_ATTACH_REUSEPORT_CBPF = writeOnly(
  "SO_ATTACH_REUSEPORT_CBPF",
  constants.SOL_SOCKET,
  constants.SO_ATTACH_REUSEPORT_CBPF,
  filterWritten
)

/**
 * A filter loaded with `bpf` that chooses among the sockets of a `SO_REUSEPORT` group.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_ATTACH_REUSEPORT_EBPF = writeOnly(
  "SO_ATTACH_REUSEPORT_EBPF",
  constants.SOL_SOCKET,
  constants.SO_ATTACH_REUSEPORT_EBPF,
  file
)

/**
 * Takes the filter of a `SO_REUSEPORT` group away. Since Linux 5.3.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_DETACH_REUSEPORT_BPF = writeOnly(
  "SO_DETACH_REUSEPORT_BPF",
  constants.SOL_SOCKET,
  constants.SO_DETACH_REUSEPORT_BPF,
  nothing
)

/**
 * How many extensions of classic filters the kernel has.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_BPF_EXTENSIONS = readOnly("SO_BPF_EXTENSIONS", constants.SOL_SOCKET, constants.SO_BPF_EXTENSIONS, int)

/**
 * The processor that is to take, or took, what came in.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_INCOMING_CPU = make("SO_INCOMING_CPU", constants.SOL_SOCKET, constants.SO_INCOMING_CPU, int)

/**
 * The queue of the device that the last packet came by, 0 for none.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_INCOMING_NAPI_ID = readOnly(
  "SO_INCOMING_NAPI_ID",
  constants.SOL_SOCKET,
  constants.SO_INCOMING_NAPI_ID,
  uint
)

/**
 * How long a call that would wait asks the device itself, in microseconds.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_BUSY_POLL = make("SO_BUSY_POLL", constants.SOL_SOCKET, constants.SO_BUSY_POLL, int)

/**
 * Whether to leave the device to be asked by calls rather than interrupt. Since Linux 5.11.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_PREFER_BUSY_POLL = make(
  "SO_PREFER_BUSY_POLL",
  constants.SOL_SOCKET,
  constants.SO_PREFER_BUSY_POLL,
  flag
)

/**
 * How many packets are taken each time that the device is asked. Since Linux 5.11.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_BUSY_POLL_BUDGET = writeOnly(
  "SO_BUSY_POLL_BUDGET",
  constants.SOL_SOCKET,
  constants.SO_BUSY_POLL_BUDGET,
  int
)

/**
 * Gives back memory of a device that messages came in. Since Linux 6.12.
 *
 * @category SOL_SOCKET
 * @since 0.1.0
 */
export const SO_DEVMEM_DONTNEED = writeOnly(
  "SO_DEVMEM_DONTNEED",
  constants.SOL_SOCKET,
  constants.SO_DEVMEM_DONTNEED,
  list(Abi.dmabuf_token, 128)
)
