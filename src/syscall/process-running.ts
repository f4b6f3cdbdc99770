/**
 * System calls that end a program, replace it, wait for others or look into their memory, as far as they are more than
 * the table of calls can say.
 */
import type * as Effect from "effect/Effect"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import { type Buffer, bufferLength, descriptor, int, type PathLike, pathBytes } from "../internal/arguments.ts"
import { Misuse, onThisThread, run } from "../internal/invoke.ts"
import { native, type Result } from "../internal/native.ts"
import { type BlockingOptions, Direction, directions } from "../internal/trampoline.ts"
import { bufferVector, memoryAt, number } from "./convert.ts"
import { absent, infallible } from "./policy.ts"
import { nr } from "./raw.ts"

const { in: reads, out: writes, outCount: fills, unknown } = Direction

// ---------------------------------------------------------------------------------------------------------------------
// other programs
// ---------------------------------------------------------------------------------------------------------------------

/** A list of strings as C has it: pointers and a null, and behind them the strings, in one piece of memory. */
const strings = (name: string, list: ReadonlyArray<PathLike>): Uint8Array => {
  if (!Array.isArray(list)) throw new TypeError(`${name}: expected an array of strings or bytes`)
  const encoded = list.map((item, index) => pathBytes(`${name}[${index}]`, item))
  const pointers = 8 * (encoded.length + 1)
  // A buffer of its own: the address of a small view could still change.
  const memory = new ArrayBuffer(encoded.reduce((size, { length }) => size + length, pointers))
  const view = new DataView(memory)
  const bytes = new Uint8Array(memory)
  const base = native.address(memory)
  let offset = pointers
  encoded.forEach((string, index) => {
    view.setBigUint64(8 * index, base + BigInt(offset), true)
    bytes.set(string, offset)
    offset += string.length
  })
  return bytes
}

const gone = (name: string) => (): never => {
  throw new Error(`${name} has returned, which the kernel never does where it succeeds`)
}

/**
 * `execve(pathname, argv, envp)`—Replaces the program that the process runs; returns only if it fails.
 *
 * `argv` are the arguments, the name of the program first; `envp` is the environment, each string `NAME=value`. What the
 * runtime was doing is lost: nothing is finalized, no exit handler runs, all other threads end. Descriptors stay open but
 * for those with `FD_CLOEXEC`, which Node sets on the standard ones as well: `fcntl` with `F_SETFD` and 0 has them stay.
 * Ignored signals (`SIGPIPE` is, with Node) stay ignored, and blocked ones blocked.
 *
 * Does not block. Manual page: execve(2).
 *
 * @category process
 * @since 0.1.0
 */
export const execve = (
  pathname: PathLike,
  argv: ReadonlyArray<PathLike>,
  envp: ReadonlyArray<PathLike>
): Effect.Effect<never, errors.ExecveError> =>
  run({
    errors: errors.execve,
    nr: nr.execve,
    prepare: () => [pathBytes("pathname", pathname), strings("argv", argv), strings("envp", envp)],
    decode: gone("execve"),
    options: onThisThread,
    subject: { path: pathname }
  })

/**
 * `execveat(dirfd, pathname, argv, envp, flags)`—Replaces the program that the process runs, as {@link execve} does, by a
 * path from the directory `dirfd` or, with `AT_EMPTY_PATH` and an empty path, by that descriptor itself.
 *
 * `flags` are of `AT_EMPTY_PATH`, `AT_SYMLINK_NOFOLLOW` and, since Linux 6.14, `AT_EXECVE_CHECK`.
 *
 * Does not block. Since Linux 3.19. Manual page: execveat(2).
 *
 * @category process
 * @since 0.1.0
 */
export const execveat = (
  dirfd: number,
  pathname: PathLike,
  argv: ReadonlyArray<PathLike>,
  envp: ReadonlyArray<PathLike>,
  flags = 0
): Effect.Effect<never, errors.ExecveatError> =>
  run({
    errors: errors.execveat,
    nr: nr.execveat,
    prepare: () => [
      descriptor("dirfd", dirfd),
      pathBytes("pathname", pathname),
      strings("argv", argv),
      strings("envp", envp),
      int("flags", flags)
    ],
    decode: gone("execveat"),
    options: onThisThread,
    subject: pathname.length === 0 ? { fd: dirfd } : { path: pathname }
  })

/**
 * `exit(status)`—Ends the thread that JavaScript runs on, and no other thread.
 *
 * The process goes on without JavaScript for as long as the runtime's other threads do, which is for ever: whoever means
 * to end the process takes {@link exit_group}, or `process.exit` to have exit handlers run. Nothing is finalized.
 *
 * Never returns. Manual page: exit(2).
 *
 * @category process
 * @since 0.1.0
 */
export const exit = (status: number): Effect.Effect<never> =>
  run({
    errors: infallible("exit"),
    nr: nr.exit,
    prepare: () => [int("status", status)],
    decode: gone("exit"),
    options: onThisThread
  })

/**
 * `exit_group(status)`—Ends the process, with the low eight bits of `status` for its parent.
 *
 * At once: nothing is finalized, no exit handler runs, and output that Node holds back is lost. `process.exit` is what
 * does those.
 *
 * Never returns. Manual page: exit_group(2).
 *
 * @category process
 * @since 0.1.0
 */
export const exit_group = (status: number): Effect.Effect<never> =>
  run({
    errors: infallible("exit_group"),
    nr: nr.exit_group,
    prepare: () => [int("status", status)],
    decode: gone("exit_group"),
    options: onThisThread
  })

// ---------------------------------------------------------------------------------------------------------------------
// children
// ---------------------------------------------------------------------------------------------------------------------

const wait4Options: BlockingOptions = { directions: directions(unknown, writes, unknown, writes) }
const waitidOptions: BlockingOptions = { directions: directions(unknown, unknown, writes, unknown, writes) }

/**
 * `wait4(pid, options)`—Waits for a child to change state, and reaps it when it has ended; returns which child it is, its
 * status and what it has used.
 *
 * `pid` names a child, -1 any child, 0 any of the caller's process group, and below -1 any of the process group `-pid`.
 * `options` are of `WNOHANG`, `WUNTRACED`, `WCONTINUED`, `__WALL`, `__WCLONE` and `__WNOTHREAD`; with `WNOHANG` the `pid`
 * of the result is 0 where no child has changed. {@link waitStatus} says what the status means. A child of
 * `node:child_process` is Node's to wait for: who reaps it here keeps Node from hearing of its end.
 *
 * Can block: made on another thread; interruptible. Manual page: wait4(2).
 *
 * @category process
 * @since 0.1.0
 */
export const wait4 = (
  pid: number,
  options = 0
): Effect.Effect<{ readonly pid: number; readonly status: number; readonly rusage: Abi.rusage }, errors.Wait4Error> =>
  run({
    errors: errors.wait4,
    nr: nr.wait4,
    prepare: () => [int("pid", pid), new Int32Array(1), int("options", options), new Uint8Array(Abi.rusage.size)],
    decode: (child, args) => ({
      pid: number(child),
      status: args[1] instanceof Int32Array ? (args[1][0] ?? 0) : 0,
      rusage: Abi.rusage.decode(memoryAt(args, 3))
    }),
    options: wait4Options
  })

/**
 * `waitid(idtype, id, options)`—Waits for a child to change state; returns what happened, as the signal `SIGCHLD` tells
 * it, and what the child has used.
 *
 * `idtype` is `P_ALL`, `P_PID`, `P_PGID` or, since Linux 5.4, `P_PIDFD`, and `id` what that asks for. `options` have at
 * least one of `WEXITED`, `WSTOPPED` and `WCONTINUED`, and of `WNOHANG`, `WNOWAIT` (does not reap), `__WALL`, `__WCLONE`
 * and `__WNOTHREAD`. `siginfo.si_code` is one of `CLD_*`, and `siginfo._sifields._sigchld` has the child's identifier and
 * its exit code or signal; with `WNOHANG` `siginfo.si_signo` is 0 where no child has changed. A child of
 * `node:child_process` is Node's to wait for: who reaps it here keeps Node from hearing of its end.
 *
 * Can block: made on another thread; interruptible. Manual page: waitid(2).
 *
 * @category process
 * @since 0.1.0
 */
export const waitid = (
  idtype: number,
  id: number,
  options: number
): Effect.Effect<{ readonly siginfo: Abi.siginfo; readonly rusage: Abi.rusage }, errors.WaitidError> =>
  run({
    errors: errors.waitid,
    nr: nr.waitid,
    prepare: () => [
      int("idtype", idtype),
      int("id", id),
      new Uint8Array(Abi.siginfo.size),
      int("options", options),
      new Uint8Array(Abi.rusage.size)
    ],
    decode: (_, args) => ({
      siginfo: Abi.siginfo.decode(memoryAt(args, 2)),
      rusage: Abi.rusage.decode(memoryAt(args, 4))
    }),
    options: waitidOptions
  })

/**
 * What a status of {@link wait4} means.
 *
 * @category process
 * @since 0.1.0
 */
export type WaitStatus =
  | { readonly _tag: "Exited"; readonly code: number }
  | { readonly _tag: "Signaled"; readonly signal: number; readonly coreDumped: boolean }
  /** `event` is one of `PTRACE_EVENT_*`, or 0 where none of them stopped the tracee. */
  | { readonly _tag: "Stopped"; readonly signal: number; readonly event: number }
  | { readonly _tag: "Continued" }

/**
 * Says what a status of {@link wait4} means: how the child ended, or by what it was stopped.
 *
 * @category process
 * @since 0.1.0
 */
export const waitStatus = (status: number): WaitStatus => {
  if (status === 0xffff) return { _tag: "Continued" }
  const low = status & 0x7f
  if (low === 0) return { _tag: "Exited", code: (status >> 8) & 0xff }
  if (low === 0x7f) return { _tag: "Stopped", signal: (status >> 8) & 0xff, event: status >> 16 }
  return { _tag: "Signaled", signal: low, coreDumped: (status & 0x80) !== 0 }
}

// ---------------------------------------------------------------------------------------------------------------------
// what is known of processes
// ---------------------------------------------------------------------------------------------------------------------

/**
 * `times()`—The processor times that the process and its children have used, and a clock of the same ticks, of which
 * there are 100 a second; from when on it counts is not said.
 *
 * Does not block. Manual page: times(2).
 *
 * @category process
 * @since 0.1.0
 */
export const times: Effect.Effect<{ readonly ticks: number; readonly tms: Abi.tms }, errors.TimesError> = run({
  errors: errors.times,
  nr: nr.times,
  prepare: () => [new Uint8Array(Abi.tms.size)],
  decode: (ticks, args) => ({ ticks: number(ticks), tms: Abi.tms.decode(memoryAt(args, 0)) }),
  options: onThisThread
})

/**
 * `get_robust_list(pid)`—Where the list of robust futexes of a thread is in its memory, and the size of its head.
 *
 * `pid` 0 is the thread that JavaScript runs on.
 *
 * Does not block. Since Linux 2.6.17. Manual page: get_robust_list(2).
 *
 * @category process
 * @since 0.1.0
 */
export const get_robust_list = (
  pid: number
): Effect.Effect<{ readonly head: bigint; readonly length: bigint }, errors.GetRobustListError> => {
  const words = (args: ReadonlyArray<unknown>, index: number): bigint => {
    const memory = args[index]
    return memory instanceof BigUint64Array ? (memory[0] ?? 0n) : 0n
  }
  return run({
    errors: errors.get_robust_list,
    nr: nr.get_robust_list,
    prepare: () => [int("pid", pid), new BigUint64Array(1), new BigUint64Array(1)],
    decode: (_, args) => ({ head: words(args, 1), length: words(args, 2) }),
    options: onThisThread
  })
}

/**
 * `modify_ldt(func, ptr)`—Reads (`func` 0, or 2 for the default) or writes (1, or 0x11) the process's local descriptor
 * table; returns the number of bytes read, or 0.
 *
 * `ptr` is filled when reading; when writing it holds one `struct user_desc` of 16 bytes.
 *
 * Does not block. Only on x86_64; elsewhere it fails with `ENOSYS`, as it does on kernels built without it. Manual page:
 * modify_ldt(2).
 *
 * @category process
 * @since 0.1.0
 */
export const modify_ldt = (func: number, ptr: Buffer): Effect.Effect<number, errors.ModifyLdtError> =>
  run({
    errors: errors.modify_ldt,
    nr: nr.modify_ldt ?? absent,
    prepare: () => [int("func", func), ptr, bufferLength("ptr", ptr)],
    decode: (result: Result) => {
      // This one call answers in 32 bits, so that its errors do not look like errors.
      const answer = Number(BigInt.asIntN(32, BigInt(result)))
      if (answer < 0) throw new Misuse(-answer, `func ${func}`)
      return answer
    },
    options: onThisThread
  })

// ---------------------------------------------------------------------------------------------------------------------
// the memory of other processes
// ---------------------------------------------------------------------------------------------------------------------

const remoteMemory = (list: ReadonlyArray<Abi.iovec>): Uint8Array => {
  if (!Array.isArray(list)) throw new TypeError("remote: expected an array of records of iovec")
  if (list.length > 1024) throw new Misuse(codes.EINVAL, `remote: ${list.length} pieces are more than 1,024`)
  const bytes = new Uint8Array(list.length * Abi.iovec.size)
  list.forEach((piece, index) => {
    Abi.iovec.encode(piece, bytes, index * Abi.iovec.size)
  })
  return bytes
}

const vmOperands = (pid: number, local: ReadonlyArray<Buffer>, remote: ReadonlyArray<Abi.iovec>, flags: number) => {
  const pieces = remoteMemory(remote)
  return [int("pid", pid), ...bufferVector("local", local), pieces, pieces.length / Abi.iovec.size, int("flags", flags)]
}

const vmReadOptions: BlockingOptions = { directions: directions(unknown, fills, unknown, reads) }
const vmWriteOptions: BlockingOptions = { directions: directions(unknown, reads, unknown, reads) }

/**
 * `process_vm_readv(pid, local, remote, flags)`—Copies from the memory of another process, whose pieces `remote` names by
 * address and length, into the buffers of `local`; returns the number of bytes, which is less where a piece is not
 * mapped.
 *
 * The caller must be allowed to trace the process. At most 1,024 pieces on each side; `flags` must be 0.
 *
 * Can block: made on another thread; interruptible. Since Linux 3.2. Manual page: process_vm_readv(2).
 *
 * @category process
 * @since 0.1.0
 */
export const process_vm_readv = (
  pid: number,
  local: ReadonlyArray<Buffer>,
  remote: ReadonlyArray<Abi.iovec>,
  flags = 0
): Effect.Effect<number, errors.ProcessVmReadvError> =>
  run({
    errors: errors.process_vm_readv,
    nr: nr.process_vm_readv,
    prepare: () => vmOperands(pid, local, remote, flags),
    decode: number,
    options: vmReadOptions
  })

/**
 * `process_vm_writev(pid, local, remote, flags)`—Copies from the buffers of `local` into the memory of another process,
 * whose pieces `remote` names by address and length; returns the number of bytes, which is less where a piece is not
 * mapped.
 *
 * The caller must be allowed to trace the process. At most 1,024 pieces on each side; `flags` must be 0.
 *
 * Can block: made on another thread; interruptible. Since Linux 3.2. Manual page: process_vm_writev(2).
 *
 * @category process
 * @since 0.1.0
 */
export const process_vm_writev = (
  pid: number,
  local: ReadonlyArray<Buffer>,
  remote: ReadonlyArray<Abi.iovec>,
  flags = 0
): Effect.Effect<number, errors.ProcessVmWritevError> =>
  run({
    errors: errors.process_vm_writev,
    nr: nr.process_vm_writev,
    prepare: () => vmOperands(pid, local, remote, flags),
    decode: number,
    options: vmWriteOptions
  })
