/** Structures of System V semaphores, shared memory and message queues, and of POSIX queues. */

import { architecture } from "../internal/architecture.ts"
import * as Struct from "../Struct.ts"

/**
 * An operation on one semaphore of a set: `sem_op` is added to it, or waits until it is 0 where 0. `sem_flg` is of
 * `IPC_NOWAIT` and `SEM_UNDO`.
 *
 * @category structures
 * @since 0.1.0
 */
export const sembuf = Struct.make("sembuf", {
  sem_num: Struct.u16,
  sem_op: Struct.i16,
  sem_flg: Struct.i16
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sembuf extends Struct.Type<typeof sembuf> {}

/**
 * The key of a System V object, who owns it and made it, and who may use it.
 *
 * @category structures
 * @since 0.1.0
 */
export const ipc64_perm = Struct.make("ipc64_perm", {
  key: Struct.i32,
  uid: Struct.u32,
  gid: Struct.u32,
  cuid: Struct.u32,
  cgid: Struct.u32,
  mode: Struct.u32,
  seq: Struct.u16,
  __pad2: Struct.padding(2, 2),
  __unused1: Struct.padding(8, 8),
  __unused2: Struct.padding(8, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface ipc64_perm extends Struct.Type<typeof ipc64_perm> {}

/** What only x86_64 has in this structure: room behind each time. It is no part of records. */
const unused = (name: string): Readonly<Record<never, never>> =>
  architecture === "x86_64" ? { [name]: Struct.padding(8, 8) } : {}

/**
 * A set of semaphores. Times are in seconds since the epoch.
 *
 * @category structures
 * @since 0.1.0
 */
export const semid64_ds = Struct.make("semid64_ds", {
  sem_perm: ipc64_perm,
  sem_otime: Struct.i64,
  ...unused("__unused1"),
  sem_ctime: Struct.i64,
  ...unused("__unused2"),
  sem_nsems: Struct.u64,
  __unused3: Struct.padding(8, 8),
  __unused4: Struct.padding(8, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface semid64_ds extends Struct.Type<typeof semid64_ds> {}

/**
 * The limits of semaphores, and with `SEM_INFO` what is in use: `semusz` sets and `semaem` semaphores.
 *
 * @category structures
 * @since 0.1.0
 */
export const seminfo = Struct.make("seminfo", {
  semmap: Struct.i32,
  semmni: Struct.i32,
  semmns: Struct.i32,
  semmnu: Struct.i32,
  semmsl: Struct.i32,
  semopm: Struct.i32,
  semume: Struct.i32,
  semusz: Struct.i32,
  semvmx: Struct.i32,
  semaem: Struct.i32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface seminfo extends Struct.Type<typeof seminfo> {}

/**
 * A shared memory segment: its size in bytes, when it was last attached, detached and changed in seconds since the
 * epoch, which processes made and last used it, and how often it is attached.
 *
 * @category structures
 * @since 0.1.0
 */
export const shmid64_ds = Struct.make("shmid64_ds", {
  shm_perm: ipc64_perm,
  shm_segsz: Struct.u64,
  shm_atime: Struct.i64,
  shm_dtime: Struct.i64,
  shm_ctime: Struct.i64,
  shm_cpid: Struct.i32,
  shm_lpid: Struct.i32,
  shm_nattch: Struct.u64,
  __unused4: Struct.padding(8, 8),
  __unused5: Struct.padding(8, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface shmid64_ds extends Struct.Type<typeof shmid64_ds> {}

/**
 * The limits of shared memory: the largest and smallest segment in bytes, how many there can be and one process can
 * attach, and the pages of all.
 *
 * @category structures
 * @since 0.1.0
 */
export const shminfo64 = Struct.make("shminfo64", {
  shmmax: Struct.u64,
  shmmin: Struct.u64,
  shmmni: Struct.u64,
  shmseg: Struct.u64,
  shmall: Struct.u64,
  __unused1: Struct.padding(8, 8),
  __unused2: Struct.padding(8, 8),
  __unused3: Struct.padding(8, 8),
  __unused4: Struct.padding(8, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface shminfo64 extends Struct.Type<typeof shminfo64> {}

/**
 * The shared memory in use: segments, and pages in all, in memory and swapped out.
 *
 * @category structures
 * @since 0.1.0
 */
export const shm_info = Struct.make("shm_info", {
  used_ids: Struct.i32,
  shm_tot: Struct.u64,
  shm_rss: Struct.u64,
  shm_swp: Struct.u64,
  swap_attempts: Struct.u64,
  swap_successes: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface shm_info extends Struct.Type<typeof shm_info> {}

/**
 * A message queue: when it was last sent to, received from and changed in seconds since the epoch, its bytes and
 * messages, how many bytes it can hold, and which processes last sent and received.
 *
 * @category structures
 * @since 0.1.0
 */
export const msqid64_ds = Struct.make("msqid64_ds", {
  msg_perm: ipc64_perm,
  msg_stime: Struct.i64,
  msg_rtime: Struct.i64,
  msg_ctime: Struct.i64,
  msg_cbytes: Struct.u64,
  msg_qnum: Struct.u64,
  msg_qbytes: Struct.u64,
  msg_lspid: Struct.i32,
  msg_lrpid: Struct.i32,
  __unused4: Struct.padding(8, 8),
  __unused5: Struct.padding(8, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface msqid64_ds extends Struct.Type<typeof msqid64_ds> {}

/**
 * The limits of message queues, and with `MSG_INFO` what is in use: `msgpool` queues, `msgmap` messages and `msgtql`
 * bytes.
 *
 * @category structures
 * @since 0.1.0
 */
export const msginfo = Struct.make("msginfo", {
  msgpool: Struct.i32,
  msgmap: Struct.i32,
  msgmax: Struct.i32,
  msgmnb: Struct.i32,
  msgmni: Struct.i32,
  msgssz: Struct.i32,
  msgtql: Struct.i32,
  msgseg: Struct.u16
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface msginfo extends Struct.Type<typeof msginfo> {}

/**
 * A POSIX message queue: `mq_flags` is 0 or `O_NONBLOCK`, `mq_maxmsg` how many messages it holds, `mq_msgsize` how
 * many bytes one may have, `mq_curmsgs` how many there are now.
 *
 * @category structures
 * @since 0.1.0
 */
export const mq_attr = Struct.make("mq_attr", {
  mq_flags: Struct.i64,
  mq_maxmsg: Struct.i64,
  mq_msgsize: Struct.i64,
  mq_curmsgs: Struct.i64,
  __reserved: Struct.padding(32, 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface mq_attr extends Struct.Type<typeof mq_attr> {}
