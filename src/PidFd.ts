/**
 * Processes as files: `pidfd`. A `PidFd` is of one process for good, also when that has ended and its number is another's.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Abi from "./Abi.ts"
import * as errors from "./errors/calls.ts"
import { codes, EBADF, type EINVAL, type ENOTTY, type EOPNOTSUPP, type EPERM, type ESRCH } from "./errors/errnos.ts"
import { errorsOf, type OtherErrno } from "./errors/registry.ts"
import type { File } from "./File.ts"
import { ioctl } from "./file/device.ts"
import { adopt, own } from "./file/model.ts"
import type { Kind } from "./file/namespaces.ts"
import { numberOf, type SignalName } from "./file/signals.ts"
import { codeOf } from "./file/words.ts"
import * as Ioctl from "./Ioctl.ts"
import { descriptor, int } from "./internal/arguments.ts"
import * as constants from "./internal/constants.ts"
import { runOn } from "./internal/descriptor.ts"
import { type Description, onThisThread, ready } from "./internal/invoke.ts"
import type * as Namespace from "./Namespace.ts"
import * as Syscall from "./Syscall.ts"
import { memoryAt } from "./syscall/convert.ts"

export type { SignalName } from "./file/signals.ts"

/**
 * The kind of file: `File.asDevice(file, PidFd.device)` makes a `PidFd` of one that came from elsewhere.
 *
 * @category models
 * @since 0.1.0
 */
export const device = Ioctl.device("PidFd")

/**
 * A process.
 *
 * @category models
 * @since 0.1.0
 */
export interface PidFd extends File<typeof device> {}

/**
 * How a process ended.
 *
 * @category models
 * @since 0.1.0
 */
export type ExitStatus = Extract<Syscall.WaitStatus, { readonly _tag: "Exited" | "Signaled" }>

/**
 * Opens a process by its number, for as long as the scope is open. With `thread` any thread will do, and it is the thread
 * that is meant (since Linux 6.9).
 *
 * Of a child that was not waited for yet the number is right; any other could have ended, and its number be another's,
 * before it is opened. A process of `node:child_process` is opened by its `pid`, in the turn of the event loop in which it
 * was spawned. Fails with `ESRCH` where there is none.
 *
 * Does not block. Since Linux 5.3. Manual page: pidfd_open(2).
 *
 * @example
 * ```ts
 * import { spawn } from "node:child_process"
 * import { Effect } from "effect"
 * import { PidFd } from "effect-linux"
 *
 * const program = Effect.gen(function* () {
 *   const child = spawn("sleep", ["10"])
 *   const process = yield* PidFd.ofChild(child)
 *   yield* PidFd.sendSignal(process, "SIGTERM")
 *   return yield* PidFd.exit(process) // { _tag: "Signaled", signal: 15, coreDumped: false }
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category opening
 * @since 0.1.0
 */
export const open = (
  pid: number,
  options: { readonly thread?: boolean | undefined } = {}
): Effect.Effect<PidFd, errors.PidfdOpenError, Scope.Scope> =>
  adopt<typeof device, errors.PidfdOpenError>({
    errors: errors.pidfd_open,
    nr: Syscall.nr.pidfd_open,
    prepare: () => [int("pid", pid), options.thread === true ? constants.PIDFD_THREAD : 0],
    decode: Number,
    options: onThisThread
  })

/**
 * Opens a child of `node:child_process`, for as long as the scope is open. Call it in the turn of the event loop in which
 * the child was spawned, or later if it cannot have ended by then.
 *
 * Fails with `ESRCH` where it could not be spawned, or has ended and Node has heard of it. Does not block. Since Linux 5.3.
 *
 * @category opening
 * @since 0.1.0
 */
export const ofChild = (child: {
  readonly pid?: number | undefined
}): Effect.Effect<PidFd, errors.PidfdOpenError, Scope.Scope> =>
  Effect.suspend(() =>
    child.pid === undefined
      ? Effect.fail(errors.pidfd_open.make(codes.ESRCH, undefined, undefined, "child: it was not spawned"))
      : open(child.pid)
  )

/**
 * Waits until the process has ended: any process, not only a child. Nothing is taken from whoever waits for its status.
 *
 * Can wait; interruptible. Manual page: pidfd_open(2).
 *
 * @category waiting
 * @since 0.1.0
 */
export const ended = (process: PidFd): Effect.Effect<void, EBADF> =>
  Effect.suspend(() => {
    const self = own(process)
    return Effect.flatMap(ready(self.fd, constants.POLLIN, self), () =>
      self.closed ? Effect.fail(new EBADF({ syscall: "poll", fd: self.fd, detail: "the File is closed" })) : Effect.void
    )
  })

const statusOf = ({ si_code, _sifields }: Abi.siginfo): ExitStatus => {
  const { _status } = _sifields._sigchld
  return si_code === constants.CLD_EXITED
    ? { _tag: "Exited", code: _status }
    : { _tag: "Signaled", signal: _status, coreDumped: si_code === constants.CLD_DUMPED }
}

interface Waited {
  readonly status: ExitStatus
  readonly rusage: Abi.rusage
}

const waiting = (fd: number, flags: number): Description<Waited | undefined, errors.WaitidError> => ({
  errors: errors.waitid,
  nr: Syscall.nr.waitid,
  prepare: () => [
    constants.P_PIDFD,
    fd,
    new Uint8Array(Abi.siginfo.size),
    constants.WEXITED | constants.WNOHANG | constants.__WALL | flags,
    new Uint8Array(Abi.rusage.size)
  ],
  decode: (_, args) => {
    const info = Abi.siginfo.decode(memoryAt(args, 2))
    // Not ended: another thread of it is still running.
    return info.si_signo === 0 ? undefined : { status: statusOf(info), rusage: Abi.rusage.decode(memoryAt(args, 4)) }
  },
  options: onThisThread,
  subject: { fd }
})

/**
 * What asking about a process fails with: among others `ESRCH` for one that has ended, and `ENOTTY` where the kernel is
 * too old for the question.
 *
 * @category errors
 * @since 0.1.0
 */
export type RequestError = EBADF | EINVAL | ENOTTY | EOPNOTSUPP | EPERM | ESRCH | OtherErrno

const requestErrors = errorsOf("ioctl", ["EBADF", "EINVAL", "ENOTTY", "EOPNOTSUPP", "EPERM", "ESRCH"])

// linux/pidfd.h since 6.11 and 6.13.
const PIDFS_IOCTL_MAGIC = 0xff
const PIDFD_INFO_CREDS = 1n << 1n
const PIDFD_INFO_CGROUPID = 1n << 2n
const PIDFD_INFO_EXIT = 1n << 3n
const PIDFD_GET_INFO = Ioctl.writeRead(device, Ioctl._IOWR(PIDFS_IOCTL_MAGIC, 11, Abi.pidfd_info), Abi.pidfd_info, {
  name: "PIDFD_GET_INFO",
  errors: requestErrors
})

const empty = Abi.pidfd_info.decode(new Uint8Array(Abi.pidfd_info.size))

const endOf = (status: number): ExitStatus | undefined => {
  const end = Syscall.waitStatus(status)
  return end._tag === "Exited" || end._tag === "Signaled" ? end : undefined
}

/** The status of a process that was waited for, by whomever; undefined where there is none to be had, or not yet. */
const remembered = (process: PidFd): Effect.Effect<ExitStatus | undefined, RequestError> =>
  Effect.map(ioctl(process, PIDFD_GET_INFO, { ...empty, mask: PIDFD_INFO_EXIT }), ({ exit_code, mask }) =>
    (mask & PIDFD_INFO_EXIT) === 0n ? undefined : endOf(exit_code)
  )

/**
 * Waits until the process has ended; tells how. Nothing is taken from whoever waits for it.
 *
 * A child of this process is looked at and left for its parent to wait for: `child_process` hears of its children as ever.
 * Where Node was faster, and of processes that are no children, the status is to be had since Linux 6.15, when their
 * parent has waited for them; on older kernels that fails with `ECHILD`, and {@link ended} is what there is.
 *
 * Can wait; interruptible. Manual pages: pidfd_open(2), waitid(2).
 *
 * @category waiting
 * @since 0.1.0
 */
export const exit = (process: PidFd): Effect.Effect<ExitStatus, errors.WaitidError> =>
  Effect.suspend(() => {
    const self = own(process)
    const noStatus = (detail: string) => Effect.fail(errors.waitid.make(codes.ECHILD, undefined, self.fd, detail))
    // What a fiber looks at is there until its parent waits: after that the kernel remembers it, and tells so by POLLHUP.
    const fromKernel: Effect.Effect<ExitStatus, errors.WaitidError> = Effect.suspend(() =>
      Effect.matchEffect(remembered(process), {
        onFailure: (error) =>
          error.errno === codes.EBADF
            ? Effect.fail(errors.waitid.make(codes.EBADF, undefined, self.fd, "the File is closed"))
            : noStatus("no child, and this kernel tells no status of others"),
        onSuccess: (status) =>
          status === undefined
            ? Effect.flatMap(ready(self.fd, 0, self), () =>
                Effect.flatMap(
                  Effect.mapError(remembered(process), (error) => errors.waitid.make(error.errno, undefined, self.fd)),
                  (status) =>
                    status === undefined
                      ? noStatus("this kernel tells no status of processes that were waited for")
                      : Effect.succeed(status)
                )
              )
            : Effect.succeed(status)
      })
    )
    const end = Effect.mapError(
      ended(process),
      (): errors.WaitidError => errors.waitid.make(codes.EBADF, undefined, self.fd, "the File is closed")
    )
    // Looked at first, so that Node, who waits in another turn of the event loop, is not faster.
    const again: Effect.Effect<ExitStatus, errors.WaitidError> = Effect.matchEffect(
      runOn(self, waiting(self.fd, constants.WNOWAIT)),
      {
        onFailure: (error) => (error._tag === "ECHILD" ? Effect.andThen(end, fromKernel) : Effect.fail(error)),
        onSuccess: (waited) => (waited === undefined ? Effect.andThen(end, again) : Effect.succeed(waited.status))
      }
    )
    return again
  })

/**
 * Waits until a child has ended and removes it from the list of those that were not waited for; tells how it ended and
 * what it has used.
 *
 * For children that the program made by itself. One of `node:child_process` is Node's to wait for: who reaps it here keeps
 * Node from hearing of its end. Fails with `ECHILD` for what is no child, or was waited for.
 *
 * Can wait; interruptible. Since Linux 5.4. Manual page: waitid(2).
 *
 * @category waiting
 * @since 0.1.0
 */
export const reap = (
  process: PidFd
): Effect.Effect<{ readonly status: ExitStatus; readonly rusage: Abi.rusage }, errors.WaitidError> =>
  Effect.suspend(() => {
    const self = own(process)
    const again: Effect.Effect<Waited, errors.WaitidError> = Effect.flatMap(
      runOn(self, waiting(self.fd, 0)),
      (waited) =>
        waited === undefined
          ? Effect.flatMap(ready(self.fd, constants.POLLIN, self), () => again)
          : Effect.succeed(waited)
    )
    return again
  })

/**
 * What goes with a signal.
 *
 * @category models
 * @since 0.1.0
 */
export interface SignalOptions {
  /** A value for the receiver, as `sigqueue` has it, in `si_value`. */
  readonly value?: bigint | number | undefined
  /**
   * Who is meant, since Linux 6.9: the thread of a `PidFd` of a thread, the process, or its process group. What the
   * descriptor is of, unless said.
   */
  readonly to?: "thread" | "threadGroup" | "processGroup" | undefined
}

const receivers = {
  thread: constants.PIDFD_SIGNAL_THREAD,
  threadGroup: constants.PIDFD_SIGNAL_THREAD_GROUP,
  processGroup: constants.PIDFD_SIGNAL_PROCESS_GROUP
}

/**
 * Sends a signal, by name or number; with 0 only asks whether it could.
 *
 * Fails with `ESRCH` for a process that has ended, never hitting another one. Does not block. Since Linux 5.1. Manual page:
 * pidfd_send_signal(2).
 *
 * @category signals
 * @since 0.1.0
 */
export const sendSignal = (
  process: PidFd,
  signal: SignalName | number,
  options: SignalOptions = {}
): Effect.Effect<void, errors.PidfdSendSignalError> =>
  Effect.suspend(() => {
    const self = own(process)
    const { to, value } = options
    return runOn(self, {
      errors: errors.pidfd_send_signal,
      nr: Syscall.nr.pidfd_send_signal,
      prepare: () => {
        const number = numberOf("signal", signal)
        const information =
          value === undefined
            ? null
            : Abi.siginfo.encode({
                si_signo: number,
                si_errno: 0,
                si_code: constants.SI_QUEUE,
                _sifields: {
                  _rt: {
                    _pid: globalThis.process.pid,
                    _uid: globalThis.process.getuid?.() ?? 0,
                    _sigval: { sival_ptr: BigInt.asUintN(64, BigInt(value)) }
                  }
                }
              })
        return [self.fd, number, information, to === undefined ? 0 : codeOf("to", receivers, to)]
      },
      decode: () => {},
      options: onThisThread,
      subject: { fd: self.fd }
    })
  })

/**
 * A descriptor of another process's file, by the number that it has there: the same open file, as after `File.duplicate`.
 *
 * Needs the right to trace the process. Does not block. Since Linux 5.6. Manual page: pidfd_getfd(2).
 *
 * @category files
 * @since 0.1.0
 */
export const getFd = (process: PidFd, fd: number): Effect.Effect<File, errors.PidfdGetfdError, Scope.Scope> =>
  Effect.suspend(() => {
    const self = own(process)
    return adopt<Ioctl.AnyDevice, errors.PidfdGetfdError>(
      {
        errors: errors.pidfd_getfd,
        nr: Syscall.nr.pidfd_getfd,
        prepare: () => [self.fd, descriptor("fd", fd), 0],
        decode: Number,
        options: onThisThread,
        subject: { fd: self.fd }
      },
      self
    )
  })

const namespaceRequests: { readonly [K in Kind]: number } = {
  cgroup: 1,
  ipc: 2,
  mnt: 3,
  net: 4,
  pid: 5,
  pidForChildren: 6,
  time: 7,
  timeForChildren: 8,
  user: 9,
  uts: 10
}

/**
 * A namespace that the process is in.
 *
 * Needs the right to trace the process. Does not block. Since Linux 6.11: `PIDFD_GET_NET_NAMESPACE` and its like; older
 * kernels answer `ENOTTY` or `EINVAL`, and `Namespace.open` is to be had.
 *
 * @category files
 * @since 0.1.0
 */
export const namespace = (process: PidFd, kind: Kind): Effect.Effect<Namespace.Namespace, RequestError, Scope.Scope> =>
  Effect.suspend(() => {
    const self = own(process)
    return adopt<typeof Namespace.device, RequestError>(
      {
        errors: requestErrors,
        nr: Syscall.nr.ioctl,
        prepare: () => [self.fd, Ioctl._IO(PIDFS_IOCTL_MAGIC, codeOf("kind", namespaceRequests, kind)), 0],
        decode: Number,
        options: onThisThread,
        subject: { fd: self.fd, request: "PIDFD_GET_NAMESPACE" }
      },
      self
    )
  })

/**
 * What is known of a process: `exit` of one that has ended and was waited for, since Linux 6.15; of such a one the rest is
 * undefined.
 *
 * @category models
 * @since 0.1.0
 */
export interface Information {
  readonly process: { readonly pid: number; readonly tgid: number; readonly ppid: number } | undefined
  readonly credentials:
    | {
        readonly ruid: number
        readonly rgid: number
        readonly euid: number
        readonly egid: number
        readonly suid: number
        readonly sgid: number
        readonly fsuid: number
        readonly fsgid: number
      }
    | undefined
  readonly cgroupid: bigint | undefined
  readonly exit: ExitStatus | undefined
}

/**
 * What is known of the process, as one that the caller can see.
 *
 * Does not block. Since Linux 6.13: `PIDFD_GET_INFO`.
 *
 * @category files
 * @since 0.1.0
 */
export const info = (process: PidFd): Effect.Effect<Information, RequestError> =>
  Effect.map(
    ioctl(process, PIDFD_GET_INFO, { ...empty, mask: PIDFD_INFO_CREDS | PIDFD_INFO_CGROUPID | PIDFD_INFO_EXIT }),
    ({ cgroupid, exit_code, mask, pid, ppid, tgid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid }) => ({
      process: pid === 0 ? undefined : { pid, tgid, ppid },
      credentials: (mask & PIDFD_INFO_CREDS) === 0n ? undefined : { ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid },
      cgroupid: (mask & PIDFD_INFO_CGROUPID) === 0n ? undefined : cgroupid,
      exit: (mask & PIDFD_INFO_EXIT) === 0n ? undefined : endOf(exit_code)
    })
  )
