/**
 * What a ring can do, on this kernel.
 */
import * as constants from "../internal/constants.ts"
import { type Ring, stateOf } from "./model.ts"

const opNames = {
  NOP: constants.IORING_OP_NOP,
  READV: constants.IORING_OP_READV,
  WRITEV: constants.IORING_OP_WRITEV,
  FSYNC: constants.IORING_OP_FSYNC,
  READ_FIXED: constants.IORING_OP_READ_FIXED,
  WRITE_FIXED: constants.IORING_OP_WRITE_FIXED,
  POLL_ADD: constants.IORING_OP_POLL_ADD,
  POLL_REMOVE: constants.IORING_OP_POLL_REMOVE,
  SYNC_FILE_RANGE: constants.IORING_OP_SYNC_FILE_RANGE,
  SENDMSG: constants.IORING_OP_SENDMSG,
  RECVMSG: constants.IORING_OP_RECVMSG,
  TIMEOUT: constants.IORING_OP_TIMEOUT,
  TIMEOUT_REMOVE: constants.IORING_OP_TIMEOUT_REMOVE,
  ACCEPT: constants.IORING_OP_ACCEPT,
  ASYNC_CANCEL: constants.IORING_OP_ASYNC_CANCEL,
  LINK_TIMEOUT: constants.IORING_OP_LINK_TIMEOUT,
  CONNECT: constants.IORING_OP_CONNECT,
  FALLOCATE: constants.IORING_OP_FALLOCATE,
  OPENAT: constants.IORING_OP_OPENAT,
  CLOSE: constants.IORING_OP_CLOSE,
  FILES_UPDATE: constants.IORING_OP_FILES_UPDATE,
  STATX: constants.IORING_OP_STATX,
  READ: constants.IORING_OP_READ,
  WRITE: constants.IORING_OP_WRITE,
  FADVISE: constants.IORING_OP_FADVISE,
  MADVISE: constants.IORING_OP_MADVISE,
  SEND: constants.IORING_OP_SEND,
  RECV: constants.IORING_OP_RECV,
  OPENAT2: constants.IORING_OP_OPENAT2,
  EPOLL_CTL: constants.IORING_OP_EPOLL_CTL,
  SPLICE: constants.IORING_OP_SPLICE,
  PROVIDE_BUFFERS: constants.IORING_OP_PROVIDE_BUFFERS,
  REMOVE_BUFFERS: constants.IORING_OP_REMOVE_BUFFERS,
  TEE: constants.IORING_OP_TEE,
  SHUTDOWN: constants.IORING_OP_SHUTDOWN,
  RENAMEAT: constants.IORING_OP_RENAMEAT,
  UNLINKAT: constants.IORING_OP_UNLINKAT,
  MKDIRAT: constants.IORING_OP_MKDIRAT,
  SYMLINKAT: constants.IORING_OP_SYMLINKAT,
  LINKAT: constants.IORING_OP_LINKAT,
  MSG_RING: constants.IORING_OP_MSG_RING,
  FSETXATTR: constants.IORING_OP_FSETXATTR,
  SETXATTR: constants.IORING_OP_SETXATTR,
  FGETXATTR: constants.IORING_OP_FGETXATTR,
  GETXATTR: constants.IORING_OP_GETXATTR,
  SOCKET: constants.IORING_OP_SOCKET,
  URING_CMD: constants.IORING_OP_URING_CMD,
  SEND_ZC: constants.IORING_OP_SEND_ZC,
  SENDMSG_ZC: constants.IORING_OP_SENDMSG_ZC,
  READ_MULTISHOT: constants.IORING_OP_READ_MULTISHOT,
  WAITID: constants.IORING_OP_WAITID,
  FUTEX_WAIT: constants.IORING_OP_FUTEX_WAIT,
  FUTEX_WAKE: constants.IORING_OP_FUTEX_WAKE,
  FUTEX_WAITV: constants.IORING_OP_FUTEX_WAITV,
  FIXED_FD_INSTALL: constants.IORING_OP_FIXED_FD_INSTALL,
  FTRUNCATE: constants.IORING_OP_FTRUNCATE,
  BIND: constants.IORING_OP_BIND,
  LISTEN: constants.IORING_OP_LISTEN,
  RECV_ZC: constants.IORING_OP_RECV_ZC,
  EPOLL_WAIT: constants.IORING_OP_EPOLL_WAIT,
  READV_FIXED: constants.IORING_OP_READV_FIXED,
  WRITEV_FIXED: constants.IORING_OP_WRITEV_FIXED,
  PIPE: constants.IORING_OP_PIPE
} as const

const featureNames = {
  SINGLE_MMAP: constants.IORING_FEAT_SINGLE_MMAP,
  NODROP: constants.IORING_FEAT_NODROP,
  SUBMIT_STABLE: constants.IORING_FEAT_SUBMIT_STABLE,
  RW_CUR_POS: constants.IORING_FEAT_RW_CUR_POS,
  CUR_PERSONALITY: constants.IORING_FEAT_CUR_PERSONALITY,
  FAST_POLL: constants.IORING_FEAT_FAST_POLL,
  POLL_32BITS: constants.IORING_FEAT_POLL_32BITS,
  SQPOLL_NONFIXED: constants.IORING_FEAT_SQPOLL_NONFIXED,
  EXT_ARG: constants.IORING_FEAT_EXT_ARG,
  NATIVE_WORKERS: constants.IORING_FEAT_NATIVE_WORKERS,
  RSRC_TAGS: constants.IORING_FEAT_RSRC_TAGS,
  CQE_SKIP: constants.IORING_FEAT_CQE_SKIP,
  LINKED_FILE: constants.IORING_FEAT_LINKED_FILE,
  REG_REG_RING: constants.IORING_FEAT_REG_REG_RING,
  RECVSEND_BUNDLE: constants.IORING_FEAT_RECVSEND_BUNDLE,
  MIN_TIMEOUT: constants.IORING_FEAT_MIN_TIMEOUT,
  RW_ATTR: constants.IORING_FEAT_RW_ATTR,
  NO_IOWAIT: constants.IORING_FEAT_NO_IOWAIT
} as const

const setupNames = {
  IOPOLL: constants.IORING_SETUP_IOPOLL,
  SQPOLL: constants.IORING_SETUP_SQPOLL,
  CQSIZE: constants.IORING_SETUP_CQSIZE,
  CLAMP: constants.IORING_SETUP_CLAMP,
  ATTACH_WQ: constants.IORING_SETUP_ATTACH_WQ,
  SUBMIT_ALL: constants.IORING_SETUP_SUBMIT_ALL,
  COOP_TASKRUN: constants.IORING_SETUP_COOP_TASKRUN,
  TASKRUN_FLAG: constants.IORING_SETUP_TASKRUN_FLAG,
  SINGLE_ISSUER: constants.IORING_SETUP_SINGLE_ISSUER,
  DEFER_TASKRUN: constants.IORING_SETUP_DEFER_TASKRUN
} as const

/**
 * The name of an operation, as in `IORING_OP_*`.
 *
 * @category asking
 * @since 0.1.0
 */
export type OperationName = keyof typeof opNames

/**
 * The name of a feature, as in `IORING_FEAT_*`.
 *
 * @category asking
 * @since 0.1.0
 */
export type FeatureName = keyof typeof featureNames

/**
 * The name of how a ring was set up, as in `IORING_SETUP_*`.
 *
 * @category asking
 * @since 0.1.0
 */
export type SetupName = keyof typeof setupNames

/**
 * What {@link probe} tells.
 *
 * @category asking
 * @since 0.1.0
 */
export interface Probe {
  /** The operations that this kernel has. */
  readonly operations: ReadonlySet<OperationName>
  /** What this kernel's rings can do besides. */
  readonly features: ReadonlySet<FeatureName>
  /** How this ring was set up. */
  readonly setup: ReadonlySet<SetupName>
}

const isNameOf =
  <Names extends object>(names: Names) =>
  (name: string): name is Extract<keyof Names, string> =>
    Object.hasOwn(names, name)

const namesOf = <Names extends Readonly<Record<string, number>>>(
  names: Names,
  has: (value: number) => boolean
): ReadonlySet<Extract<keyof Names, string>> =>
  new Set(
    Object.keys(names)
      .filter(isNameOf(names))
      .filter((name) => has(names[name] ?? 0))
  )

/**
 * What a ring can do on this kernel. An operation that is missing fails with `EOPNOTSUPP`.
 *
 * Does not ask the kernel: it was asked when the ring was made.
 *
 * @example
 * ```ts
 * import { IoUring } from "effect-linux"
 *
 * const canWaitForChildren = (ring: IoUring.Ring) => IoUring.probe(ring).operations.has("WAITID")
 * ```
 *
 * @category asking
 * @since 0.1.0
 */
export const probe = (ring: Ring): Probe => {
  const { queues } = stateOf(ring)
  const { features, flags } = queues.memory
  return {
    operations: namesOf(opNames, (op) => queues.supports(op)),
    features: namesOf(featureNames, (bit) => (features & bit) !== 0),
    setup: namesOf(setupNames, (bit) => (flags & bit) !== 0)
  }
}
