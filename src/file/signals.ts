/** Signals by name. Not part of the public surface. */
import { int } from "../internal/arguments.ts"
import * as constants from "../internal/constants.ts"
import { codeOf, wordOf } from "./words.ts"

/**
 * The signals that have a name.
 *
 * @category models
 * @since 0.1.0
 */
export type SignalName = keyof typeof signals

export const signals = {
  SIGHUP: constants.SIGHUP,
  SIGINT: constants.SIGINT,
  SIGQUIT: constants.SIGQUIT,
  SIGILL: constants.SIGILL,
  SIGTRAP: constants.SIGTRAP,
  SIGABRT: constants.SIGABRT,
  SIGBUS: constants.SIGBUS,
  SIGFPE: constants.SIGFPE,
  SIGKILL: constants.SIGKILL,
  SIGUSR1: constants.SIGUSR1,
  SIGSEGV: constants.SIGSEGV,
  SIGUSR2: constants.SIGUSR2,
  SIGPIPE: constants.SIGPIPE,
  SIGALRM: constants.SIGALRM,
  SIGTERM: constants.SIGTERM,
  SIGCHLD: constants.SIGCHLD,
  SIGCONT: constants.SIGCONT,
  SIGSTOP: constants.SIGSTOP,
  SIGTSTP: constants.SIGTSTP,
  SIGTTIN: constants.SIGTTIN,
  SIGTTOU: constants.SIGTTOU,
  SIGURG: constants.SIGURG,
  SIGXCPU: constants.SIGXCPU,
  SIGXFSZ: constants.SIGXFSZ,
  SIGVTALRM: constants.SIGVTALRM,
  SIGPROF: constants.SIGPROF,
  SIGWINCH: constants.SIGWINCH,
  SIGIO: constants.SIGIO,
  SIGPWR: constants.SIGPWR,
  SIGSYS: constants.SIGSYS
} as const

/** The number of a signal, given by name or number. */
export const numberOf = (name: string, signal: SignalName | number): number =>
  typeof signal === "number" ? int(name, signal) : codeOf(name, signals, signal)

/** The name of a signal, where it has one: real-time signals have none. */
export const nameOfSignal = (signal: number): SignalName | undefined => wordOf(signals, signal)
