/** System calls that send signals with data, and wait for one with another mask. */
import type * as Effect from "effect/Effect"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { descriptor, int } from "../internal/arguments.ts"
import { inline, run } from "../internal/invoke.ts"
import { native } from "../internal/native.ts"
import { type BlockingOptions, Direction, directions } from "../internal/trampoline.ts"
import type * as Struct from "../Struct.ts"
import { nothing, signalSet } from "./convert.ts"
import { nr } from "./raw.ts"

/**
 * What is to be told with a signal: of `_sifields` one member is enough.
 *
 * @category process
 * @since 0.1.0
 */
export type SignalInformation = Struct.Encoded<typeof Abi.siginfo>

/**
 * `pidfd_send_signal(pidfd, signal, info, flags)`—Sends a signal to the process that a descriptor of `pidfd_open` is of;
 * with signal 0 only asks whether it could.
 *
 * Where `info` is null the signal is as `kill` sends it; else `info.si_signo` must be the signal, and to other processes
 * `info.si_code` must be negative and not `SI_TKILL`. `flags` are 0 or, since Linux 6.9, one of `PIDFD_SIGNAL_THREAD`,
 * `PIDFD_SIGNAL_THREAD_GROUP` and `PIDFD_SIGNAL_PROCESS_GROUP`.
 *
 * Does not block. Since Linux 5.1. Manual page: pidfd_send_signal(2).
 *
 * @category process
 * @since 0.1.0
 */
export const pidfd_send_signal = (
  pidfd: number,
  signal: number,
  info: SignalInformation | null = null,
  flags = 0
): Effect.Effect<void, errors.PidfdSendSignalError> =>
  inline(
    errors.pidfd_send_signal,
    (call) =>
      call(
        nr.pidfd_send_signal,
        descriptor("pidfd", pidfd),
        int("signal", signal),
        info === null ? null : Abi.siginfo.encode(info),
        int("flags", flags)
      ),
    nothing,
    { fd: pidfd }
  )

/**
 * `rt_sigqueueinfo(tgid, signal, info)`—Sends a signal to a process, with all that its receiver is told.
 *
 * `info.si_code` is `SI_QUEUE` for data in `info._sifields._rt`; to other processes it must be negative and not
 * `SI_TKILL`. The kernel sets `info.si_signo`.
 *
 * Does not block. Manual page: rt_sigqueueinfo(2).
 *
 * @category process
 * @since 0.1.0
 */
export const rt_sigqueueinfo = (
  tgid: number,
  signal: number,
  info: SignalInformation
): Effect.Effect<void, errors.RtSigqueueinfoError> =>
  inline(
    errors.rt_sigqueueinfo,
    (call) => call(nr.rt_sigqueueinfo, int("tgid", tgid), int("signal", signal), Abi.siginfo.encode(info)),
    nothing
  )

/**
 * `rt_tgsigqueueinfo(tgid, tid, signal, info)`—Sends a signal to the thread `tid` of the process `tgid`, with all that
 * its receiver is told.
 *
 * `info` is as for {@link rt_sigqueueinfo}.
 *
 * Does not block. Since Linux 2.6.31. Manual page: rt_tgsigqueueinfo(2).
 *
 * @category process
 * @since 0.1.0
 */
export const rt_tgsigqueueinfo = (
  tgid: number,
  tid: number,
  signal: number,
  info: SignalInformation
): Effect.Effect<void, errors.RtTgsigqueueinfoError> =>
  inline(
    errors.rt_tgsigqueueinfo,
    (call) =>
      call(nr.rt_tgsigqueueinfo, int("tgid", tgid), int("tid", tid), int("signal", signal), Abi.siginfo.encode(info)),
    nothing
  )

const suspendOptions: BlockingOptions = { directions: directions(Direction.in) }

/**
 * `rt_sigsuspend(mask)`—Waits, with `mask` for the blocked signals, until a signal has been handled; ends with `EINTR`.
 *
 * It is made on a thread of its own. The signals that `mask` leaves out can be delivered there, and are taken by another
 * thread where that has them unblocked; one without a handler does what it always does, such as ending the process. The
 * signal that interrupts the call (see `interruptSignal`) stays unblocked whatever `mask` says.
 *
 * Can block: made on another thread; interruptible. Manual page: rt_sigsuspend(2).
 *
 * @category process
 * @since 0.1.0
 */
export const rt_sigsuspend = (mask: ReadonlyArray<number>): Effect.Effect<void, errors.RtSigsuspendError> =>
  run({
    errors: errors.rt_sigsuspend,
    nr: nr.rt_sigsuspend,
    prepare: () => {
      const set = signalSet("mask", mask)
      // Blocked, it would leave no way to call the wait back.
      const index = native.interruptSignal() - 1
      set[index >> 3] = (set[index >> 3] ?? 0) & ~(1 << (index & 7))
      return [set, set.length]
    },
    decode: nothing,
    options: suspendOptions
  })
