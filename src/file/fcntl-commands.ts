/**
 * The commands of `fcntl`, each with what it takes and what it gives; `Fcntl` is the public face, and `fcntl.ts` beside
 * this file carries them out.
 */
import * as Abi from "../Abi.ts"
import { type Buffer, int, word } from "../internal/arguments.ts"
import * as constants from "../internal/constants.ts"
import type { Argument } from "../internal/native.ts"
import { fdOf } from "../ioctl/request.ts"
import * as Struct from "../Struct.ts"
import type { File } from "./model.ts"

// ---------------------------------------------------------------------------------------------------------------------
// models
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A command of `fcntl` that takes `A` and gives `R`: `File.fcntl` carries it out.
 *
 * @category models
 * @since 0.1.0
 */
export interface Command<in A, out R> {
  readonly "~effect-linux/Fcntl": "call" | "raw"
  readonly code: number
  /** For messages. */
  readonly name: string
  /** Whether it may wait: then it runs off the event loop. */
  readonly waits: boolean
  /** The argument as the kernel gets it; memory is made anew for each call. */
  readonly prepare: (argument: A) => Argument
  readonly decode: (result: number, prepared: Argument) => R
  /** The command and argument that take back what a call did of which no fiber hears any more. */
  readonly undo?: ((argument: A) => readonly [command: number, argument: Uint8Array] | undefined) | undefined
}

/**
 * A command that makes a second descriptor of the same open file: `File.fcntl` puts it into the scope.
 *
 * @category models
 * @since 0.1.0
 */
export interface Duplicate {
  readonly "~effect-linux/Fcntl": "duplicate"
  readonly code: number
  /** For messages. */
  readonly name: string
}

/**
 * A lock on a range of a file, as the kernel takes it; what is left out is 0.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lock {
  /** `Syscall.F_RDLCK`, `F_WRLCK` or `F_UNLCK`. */
  readonly l_type: number
  /** What `l_start` counts from: `Syscall.SEEK_SET`, `SEEK_CUR` or `SEEK_END`. */
  readonly l_whence?: number
  /** In bytes. */
  readonly l_start?: number | bigint
  /** In bytes; 0 is to the end, however far the file grows. */
  readonly l_len?: number | bigint
}

// ---------------------------------------------------------------------------------------------------------------------
// constructors
// ---------------------------------------------------------------------------------------------------------------------

const command = <A, R>(
  name: string,
  code: number,
  prepare: (argument: A) => Argument,
  decode: (result: number, prepared: Argument) => R,
  waits = false
): Command<A, R> => ({ "~effect-linux/Fcntl": "call", code, name, waits, prepare, decode })

/**
 * A command by its number, for one that is not here: the argument is a word or memory, the result the kernel's number.
 *
 * Nothing is known of it but what fcntl(2) had when this was written: whether it waits, how much memory it uses.
 *
 * @example
 * ```ts
 * import { Fcntl, File } from "effect-linux"
 *
 * const F_NEW_IN_THE_NEXT_KERNEL = Fcntl.make(1029)
 *
 * const ask = (file: File.File) => File.fcntl(file, F_NEW_IN_THE_NEXT_KERNEL, 1)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  code: number,
  // A literal type would be of no use: the name is for messages.
  name: string = String(code)
): Command<number | bigint | Buffer | null | undefined, number> => ({
  "~effect-linux/Fcntl": "raw",
  code,
  name,
  waits: false,
  prepare: (argument) => word("argument", argument ?? 0),
  decode: (result) => result
})

const asIs = (result: number): number => result
const nothing = (): void => {}
const zero = (): Argument => 0

/** Takes nothing, gives the kernel's number. */
const gets = (name: string, code: number): Command<void, number> => command(name, code, zero, asIs)

/** Takes a number of 32 bits. */
const sets = (name: string, code: number, waits?: boolean): Command<number, void> =>
  command(name, code, (argument) => int("argument", argument), nothing, waits)

const viewOf = (prepared: Argument): DataView => {
  if (!(prepared instanceof Uint8Array)) throw new TypeError("the command was prepared without memory")
  return new DataView(prepared.buffer, prepared.byteOffset, prepared.byteLength)
}

/** Takes nothing, gives what the kernel writes. */
const reads = <A, R>(
  name: string,
  code: number,
  layout: Struct.Layout<A, never>,
  as: (value: A) => R
): Command<void, R> =>
  command(
    name,
    code,
    () => new Uint8Array(layout.size),
    (_, prepared) => as(layout.get(viewOf(prepared), 0))
  )

const same = <A>(value: A): A => value

const lockBytes = ({ l_len = 0, l_start = 0, l_type, l_whence = 0 }: Lock): Uint8Array =>
  Abi.flock.encode({ l_type, l_whence, l_start: BigInt(l_start), l_len: BigInt(l_len), l_pid: 0 })

const locks = (name: string, code: number): Command<Lock, void> => command(name, code, lockBytes, nothing)

const locksWaiting = (name: string, code: number, immediate: number): Command<Lock, void> => ({
  ...command(name, code, lockBytes, nothing, true),
  undo: (lock) =>
    lock.l_type === constants.F_UNLCK
      ? undefined
      : [immediate, lockBytes({ ...lock, l_type: constants.F_UNLCK, l_whence: lock.l_whence ?? 0 })]
})

const lockQuery = (name: string, code: number): Command<Lock, Abi.flock> =>
  command(name, code, lockBytes, (_, prepared) => Abi.flock.get(viewOf(prepared), 0))

// ---------------------------------------------------------------------------------------------------------------------
// descriptors
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A second descriptor of the same open file, with the lowest free number from the argument on (0), that programs which
 * this one executes inherit: mostly {@link F_DUPFD_CLOEXEC} is what is wanted.
 *
 * @category descriptors
 * @since 0.1.0
 */
export const F_DUPFD: Duplicate = { "~effect-linux/Fcntl": "duplicate", code: constants.F_DUPFD, name: "F_DUPFD" }

/**
 * A second descriptor of the same open file, with the lowest free number from the argument on (0), closed in programs
 * that this one executes.
 *
 * @category descriptors
 * @since 0.1.0
 */
export const F_DUPFD_CLOEXEC: Duplicate = {
  "~effect-linux/Fcntl": "duplicate",
  code: constants.F_DUPFD_CLOEXEC,
  name: "F_DUPFD_CLOEXEC"
}

/**
 * Whether another file is the same open file: a duplicate. Since Linux 6.10, `EINVAL` before.
 *
 * @category descriptors
 * @since 0.1.0
 */
export const F_DUPFD_QUERY: Command<File<unknown>, boolean> = command(
  "F_DUPFD_QUERY",
  constants.F_DUPFD_QUERY,
  fdOf,
  (result) => result === 1
)

/**
 * Whether opening it created the file. Since Linux 6.12, `EINVAL` before.
 *
 * @category descriptors
 * @since 0.1.0
 */
export const F_CREATED_QUERY: Command<void, boolean> = command(
  "F_CREATED_QUERY",
  constants.F_CREATED_QUERY,
  zero,
  (result) => result === 1
)

/**
 * The flags of the descriptor: `Syscall.FD_CLOEXEC` or 0.
 *
 * @category descriptors
 * @since 0.1.0
 */
export const F_GETFD: Command<void, number> = gets("F_GETFD", constants.F_GETFD)

/**
 * Sets the flags of the descriptor: `Syscall.FD_CLOEXEC` or 0.
 *
 * @category descriptors
 * @since 0.1.0
 */
export const F_SETFD: Command<number, void> = sets("F_SETFD", constants.F_SETFD)

// ---------------------------------------------------------------------------------------------------------------------
// open files
// ---------------------------------------------------------------------------------------------------------------------

/**
 * How the file is open: the access and the status flags, as bits of `Syscall.O_*`. In words: `Fcntl.status`.
 *
 * @category open files
 * @since 0.1.0
 */
export const F_GETFL: Command<void, number> = gets("F_GETFL", constants.F_GETFL)

/**
 * Sets the status flags that can change: `O_APPEND`, `FASYNC`, `O_DIRECT`, `O_NOATIME`, `O_NONBLOCK`. All duplicates of
 * the descriptor share them, those of other processes too. In words: `Fcntl.setStatus`.
 *
 * @category open files
 * @since 0.1.0
 */
export const F_SETFL: Command<number, void> = sets("F_SETFL", constants.F_SETFL)

/**
 * Who gets the signals of `FASYNC`: a process, a group where it is negative, 0 for nobody.
 *
 * @category open files
 * @since 0.1.0
 */
export const F_GETOWN: Command<void, number> = reads(
  "F_GETOWN",
  // F_GETOWN itself answers a group as a negative number, which for small ones looks like an errno.
  constants.F_GETOWN_EX,
  Abi.f_owner_ex,
  ({ pid, type }) => (type === constants.F_OWNER_PGRP ? 0 - pid : pid)
)

/**
 * Who gets the signals of `FASYNC`: a process, a group where it is negative, 0 for nobody.
 *
 * @category open files
 * @since 0.1.0
 */
export const F_SETOWN: Command<number, void> = sets("F_SETOWN", constants.F_SETOWN)

/**
 * Who gets the signals of `FASYNC`: a thread, process or group (`Syscall.F_OWNER_*`).
 *
 * @category open files
 * @since 0.1.0
 */
export const F_GETOWN_EX: Command<void, Abi.f_owner_ex> = reads(
  "F_GETOWN_EX",
  constants.F_GETOWN_EX,
  Abi.f_owner_ex,
  same
)

/**
 * Sets who gets the signals of `FASYNC`: a thread, process or group (`Syscall.F_OWNER_*`).
 *
 * @category open files
 * @since 0.1.0
 */
export const F_SETOWN_EX: Command<Abi.f_owner_ex, void> = command(
  "F_SETOWN_EX",
  constants.F_SETOWN_EX,
  (owner) => Abi.f_owner_ex.encode(owner),
  nothing
)

/**
 * The real and the effective user of whoever set the owner. Where the kernel has checkpoints compiled in, else `EINVAL`.
 *
 * @category open files
 * @since 0.1.0
 */
export const F_GETOWNER_UIDS: Command<void, ReadonlyArray<number>> = reads(
  "F_GETOWNER_UIDS",
  constants.F_GETOWNER_UIDS,
  Struct.array(Struct.u32, 2),
  same
)

/**
 * The signal that is sent when the file is ready, 0 for `SIGIO`.
 *
 * @category open files
 * @since 0.1.0
 */
export const F_GETSIG: Command<void, number> = gets("F_GETSIG", constants.F_GETSIG)

/**
 * Sets the signal that is sent when the file is ready; 0 is `SIGIO`.
 *
 * @category open files
 * @since 0.1.0
 */
export const F_SETSIG: Command<number, void> = sets("F_SETSIG", constants.F_SETSIG)

/**
 * Has this process told by signal of what happens in a directory: bits of `Syscall.DN_*`, 0 to end it. `Inotify` is
 * better in every way.
 *
 * @category open files
 * @since 0.1.0
 */
export const F_NOTIFY: Command<number, void> = sets("F_NOTIFY", constants.F_NOTIFY)

// ---------------------------------------------------------------------------------------------------------------------
// locks and leases
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A lock of another process that is in the way of the one given; its `l_type` is `F_UNLCK` where none is.
 *
 * @category locks
 * @since 0.1.0
 */
export const F_GETLK: Command<Lock, Abi.flock> = lockQuery("F_GETLK", constants.F_GETLK)

/**
 * Locks or unlocks a range for this process; `EAGAIN` or `EACCES` where another one is in the way.
 *
 * Closing any descriptor of the file, in any part of the process, ends the process's locks on it: {@link F_OFD_SETLK} has
 * none of that.
 *
 * @category locks
 * @since 0.1.0
 */
export const F_SETLK: Command<Lock, void> = locks("F_SETLK", constants.F_SETLK)

/**
 * {@link F_SETLK} that waits until nobody is in the way: interruptible. A lock that comes at the very moment of an
 * interruption is given up again, and with it any that the process had on the range.
 *
 * @category locks
 * @since 0.1.0
 */
export const F_SETLKW: Command<Lock, void> = locksWaiting("F_SETLKW", constants.F_SETLKW, constants.F_SETLK)

/**
 * A lock of another process or open file that is in the way of the one given; its `l_type` is `F_UNLCK` where none is.
 *
 * @category locks
 * @since 0.1.0
 */
export const F_OFD_GETLK: Command<Lock, Abi.flock> = lockQuery("F_OFD_GETLK", constants.F_OFD_GETLK)

/**
 * Locks or unlocks a range for this open file, which duplicates share, until the last of them is closed; `EAGAIN` where
 * another open file is in the way.
 *
 * @category locks
 * @since 0.1.0
 */
export const F_OFD_SETLK: Command<Lock, void> = locks("F_OFD_SETLK", constants.F_OFD_SETLK)

/**
 * {@link F_OFD_SETLK} that waits until nobody is in the way: interruptible. A lock that comes at the very moment of an
 * interruption is given up again, and with it any that the open file had on the range.
 *
 * @category locks
 * @since 0.1.0
 */
export const F_OFD_SETLKW: Command<Lock, void> = locksWaiting(
  "F_OFD_SETLKW",
  constants.F_OFD_SETLKW,
  constants.F_OFD_SETLK
)

/**
 * The lease on the file: `Syscall.F_RDLCK`, `F_WRLCK` or `F_UNLCK`.
 *
 * @category locks
 * @since 0.1.0
 */
export const F_GETLEASE: Command<void, number> = gets("F_GETLEASE", constants.F_GETLEASE)

/**
 * Takes or ends a lease: `Syscall.F_RDLCK`, `F_WRLCK` or `F_UNLCK`. Who opens the file in the way of it waits until this
 * process, told by a signal, has given it up. The signal is `SIGIO` unless {@link F_SETSIG} says, and kills a process that
 * does not expect it.
 *
 * @category locks
 * @since 0.1.0
 */
export const F_SETLEASE: Command<number, void> = sets("F_SETLEASE", constants.F_SETLEASE)

// ---------------------------------------------------------------------------------------------------------------------
// pipes, memory, disks
// ---------------------------------------------------------------------------------------------------------------------

/**
 * How many bytes a pipe holds.
 *
 * @category pipes and memory
 * @since 0.1.0
 */
export const F_GETPIPE_SZ: Command<void, number> = gets("F_GETPIPE_SZ", constants.F_GETPIPE_SZ)

/**
 * Sets how many bytes a pipe holds, at least; gives how many it does. `EBUSY` where more are in it, `EPERM` above what
 * /proc/sys/fs/pipe-max-size allows.
 *
 * @category pipes and memory
 * @since 0.1.0
 */
export const F_SETPIPE_SZ: Command<number, number> = command(
  "F_SETPIPE_SZ",
  constants.F_SETPIPE_SZ,
  (bytes) => int("argument", bytes),
  asIs
)

/**
 * What is sealed about a memfd, as bits of `Syscall.F_SEAL_*`.
 *
 * @category pipes and memory
 * @since 0.1.0
 */
export const F_GET_SEALS: Command<void, number> = gets("F_GET_SEALS", constants.F_GET_SEALS)

/**
 * Seals a memfd, for good: bits of `Syscall.F_SEAL_*`. `EPERM` where it allows none, `EBUSY` for `F_SEAL_WRITE` while it is
 * mapped for writing.
 *
 * Can wait, for devices that still write to the memory.
 *
 * @category pipes and memory
 * @since 0.1.0
 */
export const F_ADD_SEALS: Command<number, void> = sets("F_ADD_SEALS", constants.F_ADD_SEALS, true)

const getsHint = (name: string, code: number): Command<void, number> => reads(name, code, Struct.u64, Number)

const setsHint = (name: string, code: number): Command<number, void> =>
  command(name, code, (hint) => new Uint8Array(BigUint64Array.of(BigInt(int("argument", hint))).buffer), nothing)

/**
 * How long data written to the file is expected to live: one of `Syscall.RWH_WRITE_LIFE_*`.
 *
 * @category pipes and memory
 * @since 0.1.0
 */
export const F_GET_RW_HINT: Command<void, number> = getsHint("F_GET_RW_HINT", constants.F_GET_RW_HINT)

/**
 * Says how long data written to the file is expected to live: one of `Syscall.RWH_WRITE_LIFE_*`.
 *
 * @category pipes and memory
 * @since 0.1.0
 */
export const F_SET_RW_HINT: Command<number, void> = setsHint("F_SET_RW_HINT", constants.F_SET_RW_HINT)

/**
 * {@link F_GET_RW_HINT} of this open file alone. Kernels from 5.17 on have it no more, and say `EINVAL`.
 *
 * @category pipes and memory
 * @since 0.1.0
 */
export const F_GET_FILE_RW_HINT: Command<void, number> = getsHint("F_GET_FILE_RW_HINT", constants.F_GET_FILE_RW_HINT)

/**
 * {@link F_SET_RW_HINT} of this open file alone. Kernels from 5.17 on have it no more, and say `EINVAL`.
 *
 * @category pipes and memory
 * @since 0.1.0
 */
export const F_SET_FILE_RW_HINT: Command<number, void> = setsHint("F_SET_FILE_RW_HINT", constants.F_SET_FILE_RW_HINT)
