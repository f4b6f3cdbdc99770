/** Structures of asynchronous I/O: of io_uring and of the older AIO. */

import * as Struct from "../Struct.ts"
import { timespec } from "./time.ts"

/**
 * An asynchronous operation for `io_submit`. `aio_lio_opcode` is one of `IOCB_CMD_*`, `aio_buf` the address of its
 * data (for `IOCB_CMD_POLL` the events), `aio_nbytes` their length, `aio_offset` the place in the file, `aio_data`
 * what its event is to carry. `aio_rw_flags` are of `RWF_*`, `aio_flags` of `IOCB_FLAG_*`; `aio_resfd` is the eventfd
 * that counts it with `IOCB_FLAG_RESFD`.
 *
 * @category structures
 * @since 0.1.0
 */
export const iocb = Struct.make("iocb", {
  aio_data: Struct.u64,
  aio_key: Struct.u32,
  aio_rw_flags: Struct.i32,
  aio_lio_opcode: Struct.u16,
  aio_reqprio: Struct.i16,
  aio_fildes: Struct.u32,
  aio_buf: Struct.u64,
  aio_nbytes: Struct.u64,
  aio_offset: Struct.i64,
  aio_reserved2: Struct.u64,
  aio_flags: Struct.u32,
  aio_resfd: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface iocb extends Struct.Type<typeof iocb> {}

/**
 * An asynchronous operation that is over: `data` is its `aio_data`, `obj` the address that its `iocb` had, `res` what
 * its call would have returned, `-errno` for an error.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_event = Struct.make("io_event", {
  data: Struct.u64,
  obj: Struct.u64,
  res: Struct.i64,
  res2: Struct.i64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_event extends Struct.Type<typeof io_event> {}

/**
 * The signals that are blocked while `io_pgetevents` waits: the address of the set, and its size.
 *
 * @category structures
 * @since 0.1.0
 */
export const __aio_sigset = Struct.make("__aio_sigset", {
  sigmask: Struct.pointer,
  sigsetsize: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface __aio_sigset extends Struct.Type<typeof __aio_sigset> {}

/**
 * Where the parts of the submission ring lie in its mapping, in bytes from the start.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_sqring_offsets = Struct.make("io_sqring_offsets", {
  head: Struct.u32,
  tail: Struct.u32,
  ring_mask: Struct.u32,
  ring_entries: Struct.u32,
  flags: Struct.u32,
  dropped: Struct.u32,
  array: Struct.u32,
  resv1: Struct.padding(4, 4),
  user_addr: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_sqring_offsets extends Struct.Type<typeof io_sqring_offsets> {}

/**
 * Where the parts of the completion ring lie in its mapping, in bytes from the start.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_cqring_offsets = Struct.make("io_cqring_offsets", {
  head: Struct.u32,
  tail: Struct.u32,
  ring_mask: Struct.u32,
  ring_entries: Struct.u32,
  overflow: Struct.u32,
  cqes: Struct.u32,
  flags: Struct.u32,
  resv1: Struct.padding(4, 4),
  user_addr: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_cqring_offsets extends Struct.Type<typeof io_cqring_offsets> {}

/**
 * How a ring is made, and what it has: `flags` are of `IORING_SETUP_*`, `features` of `IORING_FEAT_*`,
 * `sq_thread_idle` in milliseconds.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_params = Struct.make("io_uring_params", {
  sq_entries: Struct.u32,
  cq_entries: Struct.u32,
  flags: Struct.u32,
  sq_thread_cpu: Struct.u32,
  sq_thread_idle: Struct.u32,
  features: Struct.u32,
  wq_fd: Struct.u32,
  resv: Struct.padding(12, 4),
  sq_off: io_sqring_offsets,
  cq_off: io_cqring_offsets
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_params extends Struct.Type<typeof io_uring_params> {}

/**
 * An entry of the submission ring. `opcode` is one of `IORING_OP_*`, `flags` are of `IOSQE_*`. In C most places have
 * several names: `off` is also `addr2` and (its lower half) `cmd_op`; `addr` is `splice_off_in`, and `level` and
 * `optname`; `rw_flags` are the flags of any operation; `buf_index` is `buf_group`; `splice_fd_in` is `file_index`
 * and `optlen`; `addr3` is `attr_ptr`, `optval` and the start of `cmd`; `__pad2` is `attr_type_mask`.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_sqe = Struct.make("io_uring_sqe", {
  opcode: Struct.u8,
  flags: Struct.u8,
  ioprio: Struct.u16,
  fd: Struct.i32,
  off: Struct.u64,
  addr: Struct.u64,
  len: Struct.u32,
  rw_flags: Struct.u32,
  user_data: Struct.u64,
  buf_index: Struct.u16,
  personality: Struct.u16,
  splice_fd_in: Struct.i32,
  addr3: Struct.u64,
  __pad2: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_sqe extends Struct.Type<typeof io_uring_sqe> {}

/**
 * An entry of the completion ring: `user_data` is that of the submission, `res` what its call would have returned,
 * `-errno` for an error, `flags` are of `IORING_CQE_F_*`. Rings with `IORING_SETUP_CQE32` have 16 bytes more behind
 * it.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_cqe = Struct.make("io_uring_cqe", {
  user_data: Struct.u64,
  res: Struct.i32,
  flags: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_cqe extends Struct.Type<typeof io_uring_cqe> {}

/**
 * What `io_uring_enter2` passes besides: the addresses of a signal set and of a time.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_getevents_arg = Struct.make("io_uring_getevents_arg", {
  sigmask: Struct.u64,
  sigmask_sz: Struct.u32,
  min_wait_usec: Struct.u32,
  ts: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_getevents_arg extends Struct.Type<typeof io_uring_getevents_arg> {}

/**
 * Which registered files are replaced: `fds` is the address of the new ones.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_files_update = Struct.make("io_uring_files_update", {
  offset: Struct.u32,
  resv: Struct.padding(4, 4),
  fds: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_files_update extends Struct.Type<typeof io_uring_files_update> {}

/**
 * Files or buffers to register, with tags.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_rsrc_register = Struct.make("io_uring_rsrc_register", {
  nr: Struct.u32,
  flags: Struct.u32,
  resv2: Struct.padding(8, 8),
  data: Struct.u64,
  tags: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_rsrc_register extends Struct.Type<typeof io_uring_rsrc_register> {}

/**
 * Registered files that are replaced.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_rsrc_update = Struct.make("io_uring_rsrc_update", {
  offset: Struct.u32,
  resv: Struct.padding(4, 4),
  data: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_rsrc_update extends Struct.Type<typeof io_uring_rsrc_update> {}

/**
 * Registered files or buffers that are replaced, with tags.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_rsrc_update2 = Struct.make("io_uring_rsrc_update2", {
  offset: Struct.u32,
  resv: Struct.padding(4, 4),
  data: Struct.u64,
  tags: Struct.u64,
  nr: Struct.u32,
  resv2: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_rsrc_update2 extends Struct.Type<typeof io_uring_rsrc_update2> {}

/**
 * Whether an operation is supported: `flags` has `IO_URING_OP_SUPPORTED`.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_probe_op = Struct.make("io_uring_probe_op", {
  op: Struct.u8,
  resv: Struct.padding(1),
  flags: Struct.u16,
  resv2: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_probe_op extends Struct.Type<typeof io_uring_probe_op> {}

/**
 * The head of what `IORING_REGISTER_PROBE` tells; an `io_uring_probe_op` for each operation follows.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_probe = Struct.make("io_uring_probe", {
  last_op: Struct.u8,
  ops_len: Struct.u8,
  resv: Struct.padding(2, 2),
  resv2: Struct.padding(12, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_probe extends Struct.Type<typeof io_uring_probe> {}

/**
 * What a ring is still to allow: `opcode` is one of `IORING_RESTRICTION_*`, `register_op` what it is about, an
 * operation or flags.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_restriction = Struct.make("io_uring_restriction", {
  opcode: Struct.u16,
  register_op: Struct.u8,
  resv: Struct.padding(1),
  resv2: Struct.padding(12, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_restriction extends Struct.Type<typeof io_uring_restriction> {}

/**
 * A buffer of a ring of buffers.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_buf = Struct.make("io_uring_buf", {
  addr: Struct.u64,
  len: Struct.u32,
  bid: Struct.u16,
  resv: Struct.u16
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_buf extends Struct.Type<typeof io_uring_buf> {}

/**
 * A ring of buffers to register. `flags` are of `IOU_PBUF_RING_*`.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_buf_reg = Struct.make("io_uring_buf_reg", {
  ring_addr: Struct.u64,
  ring_entries: Struct.u32,
  bgid: Struct.u16,
  flags: Struct.u16,
  resv: Struct.padding(24, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_buf_reg extends Struct.Type<typeof io_uring_buf_reg> {}

/**
 * How far the kernel has come in a ring of buffers.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_buf_status = Struct.make("io_uring_buf_status", {
  buf_group: Struct.u32,
  head: Struct.u32,
  resv: Struct.padding(32, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_buf_status extends Struct.Type<typeof io_uring_buf_status> {}

/**
 * Which operations `IORING_REGISTER_SYNC_CANCEL` cancels, and how long it waits for them. `flags` are of
 * `IORING_ASYNC_CANCEL_*`; -1 in both parts of `timeout` is for ever.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_sync_cancel_reg = Struct.make("io_uring_sync_cancel_reg", {
  addr: Struct.u64,
  fd: Struct.i32,
  flags: Struct.u32,
  timeout: timespec,
  opcode: Struct.u8,
  pad: Struct.padding(7),
  pad2: Struct.padding(24, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_sync_cancel_reg extends Struct.Type<typeof io_uring_sync_cancel_reg> {}

/**
 * The slots that are given out for files.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_file_index_range = Struct.make("io_uring_file_index_range", {
  off: Struct.u32,
  len: Struct.u32,
  resv: Struct.padding(8, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_file_index_range extends Struct.Type<typeof io_uring_file_index_range> {}

/**
 * The head of what a receive of many messages writes into a buffer: the lengths of what follows.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_recvmsg_out = Struct.make("io_uring_recvmsg_out", {
  namelen: Struct.u32,
  controllen: Struct.u32,
  payloadlen: Struct.u32,
  flags: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_recvmsg_out extends Struct.Type<typeof io_uring_recvmsg_out> {}

/**
 * The clock that waits of a ring go by, one of `CLOCK_MONOTONIC` and `CLOCK_BOOTTIME`.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_clock_register = Struct.make("io_uring_clock_register", {
  clockid: Struct.u32,
  __resv: Struct.padding(12, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_clock_register extends Struct.Type<typeof io_uring_clock_register> {}

/**
 * Registered buffers to take over from another ring.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_clone_buffers = Struct.make("io_uring_clone_buffers", {
  src_fd: Struct.u32,
  flags: Struct.u32,
  src_off: Struct.u32,
  dst_off: Struct.u32,
  nr: Struct.u32,
  pad: Struct.padding(12, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_clone_buffers extends Struct.Type<typeof io_uring_clone_buffers> {}

/**
 * How a ring polls network devices. `busy_poll_to` is in microseconds.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_napi = Struct.make("io_uring_napi", {
  busy_poll_to: Struct.u32,
  prefer_busy_poll: Struct.u8,
  opcode: Struct.u8,
  pad: Struct.padding(2),
  op_param: Struct.u32,
  resv: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_napi extends Struct.Type<typeof io_uring_napi> {}

/**
 * A piece of memory that a ring and its user share.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_region_desc = Struct.make("io_uring_region_desc", {
  user_addr: Struct.u64,
  size: Struct.u64,
  flags: Struct.u32,
  id: Struct.u32,
  mmap_offset: Struct.u64,
  __resv: Struct.padding(32, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_region_desc extends Struct.Type<typeof io_uring_region_desc> {}

/**
 * A piece of memory to register: `region_uptr` is the address of its `io_uring_region_desc`.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_mem_region_reg = Struct.make("io_uring_mem_region_reg", {
  region_uptr: Struct.u64,
  flags: Struct.u64,
  __resv: Struct.padding(16, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_mem_region_reg extends Struct.Type<typeof io_uring_mem_region_reg> {}

/**
 * How to wait, in registered memory. `flags` are of `IORING_REG_WAIT_TS`.
 *
 * @category structures
 * @since 0.1.0
 */
export const io_uring_reg_wait = Struct.make("io_uring_reg_wait", {
  ts: timespec,
  min_wait_usec: Struct.u32,
  flags: Struct.u32,
  sigmask: Struct.u64,
  sigmask_sz: Struct.u32,
  pad: Struct.padding(12, 4),
  pad2: Struct.padding(16, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface io_uring_reg_wait extends Struct.Type<typeof io_uring_reg_wait> {}
