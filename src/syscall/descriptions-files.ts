/**
 * Descriptions of the calls by which `File` moves bytes between descriptors, changes what a file is, and locks it. Not
 * part of the public surface; `descriptions.ts` has those that `Syscall` shares.
 */
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { type Buffer, bufferLength, descriptor, int, long, type PathLike, pathBytes } from "../internal/arguments.ts"
import * as constants from "../internal/constants.ts"
import { type Description, onThisThread, type Subject } from "../internal/invoke.ts"
import { type BlockingOptions, Direction, directions, kernel } from "../internal/trampoline.ts"
import { bufferVector, memoryAt, nothing, number, offsetMemory } from "./convert.ts"
import { closeAbandoned } from "./policy.ts"
import { nr } from "./raw.ts"

const { in: reads, out: writes, outCount: fills, unknown } = Direction

const plain: BlockingOptions = {}
/** Calls whose memory the kernel only reads: paths, names, values, offsets. */
const reading: BlockingOptions = { directions: directions(reads, reads, reads, reads, reads, reads) }
const scattering: BlockingOptions = { inlineFirst: true, directions: directions(unknown, fills) }
const gathering: BlockingOptions = {
  inlineFirst: true,
  directions: directions(unknown, reads),
  events: constants.POLLOUT
}
const scatteringLater: BlockingOptions = { directions: directions(unknown, fills) }
const gatheringLater: BlockingOptions = { directions: directions(unknown, reads), events: constants.POLLOUT }
const opening: BlockingOptions = { ...reading, onAbandoned: closeAbandoned }
const locking: BlockingOptions = { inlineFirst: true }

/** What a call by path is about; an empty path means the descriptor itself. */
const subjectOf = (dirfd: number, path: PathLike): Subject => (path === "" ? { fd: dirfd } : { path })

// ---------------------------------------------------------------------------------------------------------------------
// opening
// ---------------------------------------------------------------------------------------------------------------------

export const openat2 = (
  dirfd: number,
  path: PathLike,
  how: Abi.open_how
): Description<number, errors.Openat2Error> => ({
  errors: errors.openat2,
  nr: nr.openat2,
  prepare: () => [descriptor("dirfd", dirfd), pathBytes("path", path), Abi.open_how.encode(how), Abi.open_how.size],
  decode: number,
  options: opening,
  subject: { path }
})

// ---------------------------------------------------------------------------------------------------------------------
// bytes
// ---------------------------------------------------------------------------------------------------------------------

export const preadv = (
  fd: number,
  buffers: ReadonlyArray<Buffer>,
  offset: number | bigint
): Description<number, errors.PreadvError> => ({
  errors: errors.preadv,
  nr: nr.preadv,
  prepare: () => [descriptor("fd", fd), ...bufferVector("buffers", buffers), long("offset", offset), 0],
  decode: number,
  options: scattering,
  subject: { fd }
})

export const pwritev = (
  fd: number,
  buffers: ReadonlyArray<Buffer>,
  offset: number | bigint
): Description<number, errors.PwritevError> => ({
  errors: errors.pwritev,
  nr: nr.pwritev,
  prepare: () => [descriptor("fd", fd), ...bufferVector("buffers", buffers), long("offset", offset), 0],
  decode: number,
  options: gathering,
  subject: { fd }
})

/** With `RWF_NOWAIT` the kernel itself sees to it that nothing waits. */
const optionsFor = (flags: number, waiting: BlockingOptions): BlockingOptions =>
  (flags & constants.RWF_NOWAIT) === 0 ? waiting : onThisThread

export const preadv2 = (
  fd: number,
  buffers: ReadonlyArray<Buffer>,
  offset: number | bigint,
  flags: number
): Description<number, errors.Preadv2Error> => ({
  errors: errors.preadv2,
  nr: nr.preadv2,
  prepare: () => [
    descriptor("fd", fd),
    ...bufferVector("buffers", buffers),
    long("offset", offset),
    0,
    int("flags", flags)
  ],
  decode: number,
  options: optionsFor(flags, scatteringLater),
  subject: { fd }
})

export const pwritev2 = (
  fd: number,
  buffers: ReadonlyArray<Buffer>,
  offset: number | bigint,
  flags: number
): Description<number, errors.Pwritev2Error> => ({
  errors: errors.pwritev2,
  nr: nr.pwritev2,
  prepare: () => [
    descriptor("fd", fd),
    ...bufferVector("buffers", buffers),
    long("offset", offset),
    0,
    int("flags", flags)
  ],
  decode: number,
  options: optionsFor(flags, gatheringLater),
  subject: { fd }
})

/** A transfer between two descriptors, each at the given offset, or at its own and moving it where that is null. */
const between = (
  fd_in: number,
  off_in: number | bigint | null,
  fd_out: number,
  off_out: number | bigint | null,
  length: number
) => ({
  prepare: () => [
    descriptor("fd_in", fd_in),
    offsetMemory("off_in", off_in),
    descriptor("fd_out", fd_out),
    offsetMemory("off_out", off_out),
    long("length", length),
    0
  ],
  decode: number,
  options: reading,
  subject: { fd: fd_in }
})

export const copy_file_range = (
  ...args: Parameters<typeof between>
): Description<number, errors.CopyFileRangeError> => ({
  errors: errors.copy_file_range,
  nr: nr.copy_file_range,
  ...between(...args)
})

export const splice = (...args: Parameters<typeof between>): Description<number, errors.SpliceError> => ({
  errors: errors.splice,
  nr: nr.splice,
  ...between(...args)
})

export const sendfile = (
  out_fd: number,
  in_fd: number,
  offset: number | bigint | null,
  count: number
): Description<number, errors.SendfileError> => ({
  errors: errors.sendfile,
  nr: nr.sendfile,
  prepare: () => [
    descriptor("out_fd", out_fd),
    descriptor("in_fd", in_fd),
    offsetMemory("offset", offset),
    long("count", count)
  ],
  decode: number,
  options: reading,
  subject: { fd: out_fd }
})

// ---------------------------------------------------------------------------------------------------------------------
// space and caches
// ---------------------------------------------------------------------------------------------------------------------

export const fallocate = (
  fd: number,
  mode: number,
  offset: number | bigint,
  length: number | bigint
): Description<void, errors.FallocateError> => ({
  errors: errors.fallocate,
  nr: nr.fallocate,
  prepare: () => [descriptor("fd", fd), int("mode", mode), long("offset", offset), long("length", length)],
  decode: nothing,
  options: plain,
  subject: { fd }
})

export const fadvise64 = (
  fd: number,
  offset: number | bigint,
  length: number | bigint,
  advice: number
): Description<void, errors.Fadvise64Error> => ({
  errors: errors.fadvise64,
  nr: nr.fadvise64,
  prepare: () => [descriptor("fd", fd), long("offset", offset), long("length", length), int("advice", advice)],
  decode: nothing,
  // Those that make the kernel read ahead or throw pages away may wait for the disk; the others set a word.
  options: advice === constants.POSIX_FADV_WILLNEED || advice === constants.POSIX_FADV_DONTNEED ? plain : onThisThread,
  subject: { fd }
})

export const syncfs = (fd: number): Description<void, errors.SyncfsError> => ({
  errors: errors.syncfs,
  nr: nr.syncfs,
  prepare: () => [descriptor("fd", fd)],
  decode: nothing,
  options: plain,
  subject: { fd }
})

// ---------------------------------------------------------------------------------------------------------------------
// metadata
// ---------------------------------------------------------------------------------------------------------------------

const statfsOptions: BlockingOptions = { directions: directions(unknown, writes) }

export const fstatfs = (fd: number): Description<Abi.statfs, errors.FstatfsError> => ({
  errors: errors.fstatfs,
  nr: nr.fstatfs,
  prepare: () => [descriptor("fd", fd), new Uint8Array(Abi.statfs.size)],
  decode: (_, args) => Abi.statfs.decode(memoryAt(args, 1)),
  options: statfsOptions,
  subject: { fd }
})

export const fchmod = (fd: number, mode: number): Description<void, errors.FchmodError> => ({
  errors: errors.fchmod,
  nr: nr.fchmod,
  prepare: () => [descriptor("fd", fd), int("mode", mode)],
  decode: nothing,
  options: plain,
  subject: { fd }
})

export const fchmodat = (dirfd: number, path: PathLike, mode: number): Description<void, errors.FchmodatError> => ({
  errors: errors.fchmodat,
  nr: nr.fchmodat,
  prepare: () => [descriptor("dirfd", dirfd), pathBytes("path", path), int("mode", mode)],
  decode: nothing,
  options: reading,
  subject: { path }
})

export const fchmodat2 = (
  dirfd: number,
  path: PathLike,
  mode: number,
  flags: number
): Description<void, errors.Fchmodat2Error> => ({
  errors: errors.fchmodat2,
  nr: nr.fchmodat2,
  prepare: () => [descriptor("dirfd", dirfd), pathBytes("path", path), int("mode", mode), int("flags", flags)],
  decode: nothing,
  options: reading,
  subject: subjectOf(dirfd, path)
})

export const fchownat = (
  dirfd: number,
  path: PathLike,
  owner: number,
  group: number,
  flags: number
): Description<void, errors.FchownatError> => ({
  errors: errors.fchownat,
  nr: nr.fchownat,
  prepare: () => [
    descriptor("dirfd", dirfd),
    pathBytes("path", path),
    int("uid", owner),
    int("gid", group),
    int("flags", flags)
  ],
  decode: nothing,
  options: reading,
  subject: subjectOf(dirfd, path)
})

export const utimensat = (
  dirfd: number,
  path: PathLike | null,
  times: readonly [access: () => Abi.timespec, modification: () => Abi.timespec],
  flags: number
): Description<void, errors.UtimensatError> => ({
  errors: errors.utimensat,
  nr: nr.utimensat,
  prepare: () => {
    const memory = new Uint8Array(2 * Abi.timespec.size)
    Abi.timespec.encode(times[0](), memory)
    Abi.timespec.encode(times[1](), memory, Abi.timespec.size)
    return [descriptor("dirfd", dirfd), path === null ? null : pathBytes("path", path), memory, int("flags", flags)]
  },
  decode: nothing,
  options: reading,
  subject: path === null ? { fd: dirfd } : { path }
})

export const faccessat2 = (
  dirfd: number,
  path: PathLike,
  mode: number,
  flags: number
): Description<void, errors.Faccessat2Error> => ({
  errors: errors.faccessat2,
  nr: nr.faccessat2,
  prepare: () => [descriptor("dirfd", dirfd), pathBytes("path", path), int("mode", mode), int("flags", flags)],
  decode: nothing,
  options: reading,
  subject: subjectOf(dirfd, path)
})

export const mknodat = (
  dirfd: number,
  path: PathLike,
  mode: number,
  dev: () => number
): Description<void, errors.MknodatError> => ({
  errors: errors.mknodat,
  nr: nr.mknodat,
  prepare: () => [descriptor("dirfd", dirfd), pathBytes("path", path), int("mode", mode), int("dev", dev())],
  decode: nothing,
  options: reading,
  subject: { path }
})

// ---------------------------------------------------------------------------------------------------------------------
// extended attributes
// ---------------------------------------------------------------------------------------------------------------------

const getting: BlockingOptions = { directions: directions(unknown, reads, fills) }
const listing: BlockingOptions = { directions: directions(unknown, fills) }

export const fgetxattr = (
  fd: number,
  name: PathLike,
  value: Uint8Array
): Description<number, errors.FgetxattrError> => ({
  errors: errors.fgetxattr,
  nr: nr.fgetxattr,
  prepare: () => [descriptor("fd", fd), pathBytes("name", name), value, value.length],
  decode: number,
  options: getting,
  subject: { fd }
})

export const fsetxattr = (
  fd: number,
  name: PathLike,
  value: Uint8Array,
  flags: number
): Description<void, errors.FsetxattrError> => ({
  errors: errors.fsetxattr,
  nr: nr.fsetxattr,
  prepare: () => [
    descriptor("fd", fd),
    pathBytes("name", name),
    value,
    bufferLength("value", value),
    int("flags", flags)
  ],
  decode: nothing,
  options: reading,
  subject: { fd }
})

export const flistxattr = (fd: number, list: Uint8Array): Description<number, errors.FlistxattrError> => ({
  errors: errors.flistxattr,
  nr: nr.flistxattr,
  prepare: () => [descriptor("fd", fd), list, list.length],
  decode: number,
  options: listing,
  subject: { fd }
})

export const fremovexattr = (fd: number, name: PathLike): Description<void, errors.FremovexattrError> => ({
  errors: errors.fremovexattr,
  nr: nr.fremovexattr,
  prepare: () => [descriptor("fd", fd), pathBytes("name", name)],
  decode: nothing,
  options: reading,
  subject: { fd }
})

// ---------------------------------------------------------------------------------------------------------------------
// locks
// ---------------------------------------------------------------------------------------------------------------------

/** `stillOpen` says whether the number is still the file's: a lock that came for a fiber that is gone is then undone. */
export const flock = (
  fd: number,
  operation: number,
  stillOpen: () => boolean
): Description<void, errors.FlockError> => ({
  errors: errors.flock,
  nr: nr.flock,
  prepare: () => [descriptor("fd", fd), int("operation", operation)],
  decode: nothing,
  options:
    (operation & constants.LOCK_UN) !== 0
      ? locking
      : {
          ...locking,
          onAbandoned: () => {
            if (stillOpen()) kernel.call(nr.flock, fd, constants.LOCK_UN)
          }
        },
  subject: { fd }
})

/**
 * A command of fcntl on a range of the file; decodes to what the kernel left in the structure. A server may be asked, so
 * that none of them is made on the JavaScript thread.
 */
export const fcntlRange = (
  fd: number,
  command: number,
  range: Abi.flock,
  stillOpen: () => boolean
): Description<Abi.flock, errors.FcntlError> => ({
  errors: errors.fcntl,
  nr: nr.fcntl,
  prepare: () => [descriptor("fd", fd), command, Abi.flock.encode(range)],
  decode: (_, args) => Abi.flock.decode(memoryAt(args, 2)),
  options:
    command !== constants.F_OFD_GETLK && range.l_type !== constants.F_UNLCK
      ? {
          onAbandoned: () => {
            const free = { ...range, l_type: constants.F_UNLCK }
            if (stillOpen()) kernel.call(nr.fcntl, fd, constants.F_OFD_SETLK, Abi.flock.encode(free))
          }
        }
      : plain,
  subject: { fd }
})

/** A command of fcntl that may wait: sealing waits for pages that somebody has pinned. */
export const fcntlLater = (fd: number, command: number, argument: number): Description<number, errors.FcntlError> => ({
  errors: errors.fcntl,
  nr: nr.fcntl,
  prepare: () => [descriptor("fd", fd), command, int("argument", argument)],
  decode: number,
  options: plain,
  subject: { fd }
})
