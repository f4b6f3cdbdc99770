/**
 * System calls on file descriptors and paths. Raw numbers go in and come out: whoever wants them closed by a scope uses
 * `File`.
 */
import * as Effect from "effect/Effect"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { type Buffer, bufferLength, descriptor, int, type PathLike, pathBytes, word } from "../internal/arguments.ts"
import { SPLICE_F_NONBLOCK } from "../internal/constants.ts"
import { inline, onThisThread, run } from "../internal/invoke.ts"
import { atLeast, bufferVector, memoryAt, number } from "./convert.ts"
import * as describe from "./descriptions.ts"

import { absent } from "./policy.ts"
import { nr } from "./raw.ts"

/**
 * `openat(dirfd, path, flags, mode)`—Opens a file, and creates it where `flags` have `O_CREAT`.
 *
 * `path` is taken from the directory `dirfd`, or from the working directory where that is `AT_FDCWD`. `mode` counts only
 * with `O_CREAT` and `O_TMPFILE` and is cut by the umask. `O_CLOEXEC` is not set by itself.
 *
 * Can block, on a FIFO, a disk or a server: runs on the JavaScript thread for what the kernel has cached of a regular file
 * or directory on a disk, and on file systems in memory, else on another; interruptible. Manual page: openat(2).
 *
 * @category files
 * @since 0.1.0
 */
export const openat = (
  dirfd: number,
  path: PathLike,
  flags: number,
  mode = 0
): Effect.Effect<number, errors.OpenatError> => run(describe.openat(dirfd, path, flags, mode))

/**
 * `close(fd)`—Closes a file descriptor.
 *
 * On Linux the descriptor is gone also where this fails, with `EINTR` too: never close it again.
 *
 * Can wait, where the file system writes back on close, for a socket that lingers (`SO_LINGER`) with something to send, or
 * for the last name's file to be freed: runs on the JavaScript thread where it cannot (pipes, sockets, event descriptors,
 * what was only read on a disk, anything in memory), else on another. Not interruptible: once begun it is done. Manual
 * page: close(2).
 *
 * @category files
 * @since 0.1.0
 */
export const close = (fd: number): Effect.Effect<void, errors.CloseError> =>
  run(describe.close(fd), Effect.uninterruptible)

/**
 * `read(fd, buffer, count)`—Reads at the file offset, which moves on; returns the number of bytes, 0 at the end.
 *
 * `count` is the buffer's length by default, and fails with `EFAULT` where it exceeds that.
 *
 * Can block: runs on the JavaScript thread where the kernel has the bytes at hand, else on another; interruptible.
 * Manual page: read(2).
 *
 * @category files
 * @since 0.1.0
 */
export const read = (fd: number, buffer: Buffer, count?: number): Effect.Effect<number, errors.ReadError> =>
  run(describe.read(fd, buffer, count))

/**
 * `write(fd, buffer, count)`—Writes at the file offset, which moves on; returns the number of bytes, which may be fewer.
 *
 * Can block: runs on the JavaScript thread where the kernel takes the bytes at once, else on another; interruptible.
 * Manual page: write(2).
 *
 * @category files
 * @since 0.1.0
 */
export const write = (fd: number, buffer: Buffer, count?: number): Effect.Effect<number, errors.WriteError> =>
  run(describe.write(fd, buffer, count))

/**
 * `pread64(fd, buffer, offset)`—Reads at `offset` bytes from the start; the file offset stays where it is.
 *
 * Can block, like {@link read}. Manual page: pread(2).
 *
 * @category files
 * @since 0.1.0
 */
export const pread64 = (
  fd: number,
  buffer: Buffer,
  offset: number | bigint
): Effect.Effect<number, errors.Pread64Error> => run(describe.pread64(fd, buffer, offset))

/**
 * `pwrite64(fd, buffer, offset)`—Writes at `offset` bytes from the start; the file offset stays where it is.
 *
 * On a file opened with `O_APPEND` Linux appends whatever the offset. Can block, like {@link write}. Manual page:
 * pwrite(2).
 *
 * @category files
 * @since 0.1.0
 */
export const pwrite64 = (
  fd: number,
  buffer: Buffer,
  offset: number | bigint
): Effect.Effect<number, errors.Pwrite64Error> => run(describe.pwrite64(fd, buffer, offset))

/**
 * `readv(fd, buffers)`—Reads into several buffers, one after the other; at most 1,024 of them.
 *
 * Can block, like {@link read}. Manual page: readv(2).
 *
 * @category files
 * @since 0.1.0
 */
export const readv = (fd: number, buffers: ReadonlyArray<Buffer>): Effect.Effect<number, errors.ReadvError> =>
  run(describe.readv(fd, buffers))

/**
 * `writev(fd, buffers)`—Writes several buffers as one; at most 1,024 of them.
 *
 * Can block, like {@link write}. Manual page: writev(2).
 *
 * @category files
 * @since 0.1.0
 */
export const writev = (fd: number, buffers: ReadonlyArray<Buffer>): Effect.Effect<number, errors.WritevError> =>
  run(describe.writev(fd, buffers))

/**
 * `vmsplice(fd, buffers, flags)`—Maps the pages of buffers into a pipe, or reads a pipe into buffers; returns the number of
 * bytes.
 *
 * What is mapped is not copied: leave the buffers alone until the other end has read them. `flags` are of `SPLICE_F_*`.
 *
 * Made on the JavaScript thread, as the pages must be the caller's own, with `SPLICE_F_NONBLOCK` always: a full or empty
 * pipe fails with `EAGAIN`. Since Linux 2.6.17. Manual page: vmsplice(2).
 *
 * @category files
 * @since 0.1.0
 */
export const vmsplice = (
  fd: number,
  buffers: ReadonlyArray<Buffer>,
  flags = 0
): Effect.Effect<number, errors.VmspliceError> =>
  inline(
    errors.vmsplice,
    (call) =>
      call(
        nr.vmsplice,
        descriptor("fd", fd),
        ...bufferVector("buffers", buffers),
        int("flags", flags) | SPLICE_F_NONBLOCK
      ),
    number,
    { fd }
  )

/**
 * `lseek(fd, offset, whence)`—Moves the file offset; returns the new one, in bytes from the start.
 *
 * `whence` is `SEEK_SET`, `SEEK_CUR`, `SEEK_END`, `SEEK_DATA` or `SEEK_HOLE`. An offset that is not exact as a number
 * fails with `EOVERFLOW`. Does not block. Manual page: lseek(2).
 *
 * @category files
 * @since 0.1.0
 */
export const lseek = (fd: number, offset: number | bigint, whence: number): Effect.Effect<number, errors.LseekError> =>
  run(describe.lseek(fd, offset, whence))

/**
 * `dup(oldfd)`—A second descriptor of the same open file, the lowest free number, without close-on-exec.
 *
 * Does not block. Manual page: dup(2).
 *
 * @category files
 * @since 0.1.0
 */
export const dup = (oldfd: number): Effect.Effect<number, errors.DupError> =>
  inline(errors.dup, (call) => call(nr.dup, descriptor("oldfd", oldfd)), number, { fd: oldfd })

/**
 * `dup3(oldfd, newfd, flags)`—Makes `newfd` a descriptor of the same open file, closing what it was. `flags` is 0 or
 * `O_CLOEXEC`.
 *
 * Does not block. Manual page: dup3(2).
 *
 * @category files
 * @since 0.1.0
 */
export const dup3 = (oldfd: number, newfd: number, flags = 0): Effect.Effect<number, errors.Dup3Error> =>
  inline(
    errors.dup3,
    (call) => call(nr.dup3, descriptor("oldfd", oldfd), descriptor("newfd", newfd), int("flags", flags)),
    number,
    { fd: oldfd }
  )

/**
 * `pipe2(flags)`—A pipe: what is written to the second descriptor is read from the first. `flags` are of `O_CLOEXEC`,
 * `O_NONBLOCK`, `O_DIRECT`.
 *
 * Does not block. Manual page: pipe2(2).
 *
 * @category files
 * @since 0.1.0
 */
export const pipe2 = (flags = 0): Effect.Effect<readonly [read: number, write: number], errors.Pipe2Error> => {
  const pair = new Int32Array(2)
  return inline(
    errors.pipe2,
    (call) => call(nr.pipe2, pair, int("flags", flags)),
    () => [pair[0] ?? -1, pair[1] ?? -1]
  )
}

/**
 * `pipe()`—A pipe: what is written to the second descriptor is read from the first. Close-on-exec is not set: see
 * {@link pipe2}.
 *
 * Does not block. Only on x86_64; elsewhere it fails with `ENOSYS`. Manual page: pipe(2).
 *
 * @category files
 * @since 0.1.0
 */
export const pipe: Effect.Effect<readonly [read: number, write: number], errors.PipeError> = run({
  errors: errors.pipe,
  nr: nr.pipe ?? absent,
  prepare: () => [new Uint8Array(Int32Array.BYTES_PER_ELEMENT * 2)],
  decode: (_, args) => {
    const { buffer } = memoryAt(args, 0)
    const [read = -1, write = -1] = new Int32Array(buffer)
    return [read, write] as const
  },
  options: onThisThread
})

/**
 * `fcntl(fd, command, argument)`—Manipulates a descriptor; what the argument is and what comes back depends on the
 * command, one of `F_*`.
 *
 * Blocks only with `F_SETLKW` and `F_OFD_SETLKW`, which run on another thread; interruptible. Manual page: fcntl(2).
 *
 * @category files
 * @since 0.1.0
 */
export const fcntl = (
  fd: number,
  command: number,
  argument: number | bigint | Buffer | null = 0
): Effect.Effect<number, errors.FcntlError> => run(describe.fcntl(fd, command, argument))

/**
 * `ioctl(fd, request, argument)`—Asks a device or file for what only its driver knows.
 *
 * The memory of `argument` must be as large as the request has it: `File.ioctl` with a typed request sees to that.
 *
 * Runs on the JavaScript thread. Some requests block; make those with {@link callBlocking}. Manual page: ioctl(2).
 *
 * @category files
 * @since 0.1.0
 */
export const ioctl = (
  fd: number,
  request: number,
  argument: number | bigint | Buffer | null = 0
): Effect.Effect<number, errors.IoctlError> =>
  inline(
    errors.ioctl,
    (call) => {
      const scratch = scratchFor(request, argument)
      const memory = scratch ?? ioctlArgument(request, argument)
      const result = call(nr.ioctl, descriptor("fd", fd), int("request", request), memory)
      if (scratch !== undefined) bytesOf(argument).set(scratch.subarray(0, bytesOf(argument).length))
      return result
    },
    number,
    { fd }
  )

const bytesOf = (memory: number | bigint | Buffer | null): Uint8Array =>
  typeof memory !== "object" || memory === null
    ? new Uint8Array()
    : ArrayBuffer.isView(memory)
      ? new Uint8Array(memory.buffer, memory.byteOffset, memory.byteLength)
      : new Uint8Array(memory)

/**
 * Memory in place of a short buffer, for requests from before numbers told the size (terminals, sockets, disks): they
 * write as much as they write.
 */
const scratchFor = (request: number, argument: number | bigint | Buffer | null): Uint8Array | undefined => {
  if (request >>> 30 !== 0 || typeof argument !== "object" || argument === null) return undefined
  if (bufferLength("argument", argument) >= scratchBytes) return undefined
  const scratch = new Uint8Array(scratchBytes)
  scratch.set(bytesOf(argument))
  return scratch
}

/** More than any request uses whose number does not say how much. */
const scratchBytes = 4096

/** Most requests say in their number how much memory they read or write: a buffer must have as much. */
const ioctlArgument = (request: number, argument: number | bigint | Buffer | null) => {
  const size = (request >>> 16) & 0x3fff
  const hasMemory = request >>> 30 !== 0
  return word("argument", hasMemory ? atLeast("argument", argument, size) : argument)
}

/**
 * `statx(dirfd, path, flags, mask)`—All that is known of a file. With an empty path and `AT_EMPTY_PATH`, of `dirfd`
 * itself.
 *
 * Can wait for a disk or server: runs on the JavaScript thread where the kernel has the path and the file cached, on a disk
 * or in memory, else on another. Since Linux 4.11. Manual page: statx(2).
 *
 * @category files
 * @since 0.1.0
 */
export const statx = (
  dirfd: number,
  path: PathLike,
  flags: number,
  mask: number
): Effect.Effect<Abi.statx, errors.StatxError> => run(describe.statx(dirfd, path, flags, mask))

/**
 * An entry of a directory.
 *
 * @category models
 * @since 0.1.0
 */
export interface Dirent extends Abi.linux_dirent64 {
  /** The name as Linux keeps it: any bytes but `/` and NUL. */
  readonly d_name: Uint8Array
}

/**
 * `getdents64(fd, buffer)`—Reads entries of a directory into `buffer`; returns the number of bytes, 0 at the end.
 * {@link dirents} decodes them. A buffer too small for the next entry fails with `EINVAL`.
 *
 * Can wait for a disk or server: runs on the JavaScript thread where the file system is in memory, else on another. Manual
 * page: getdents64(2).
 *
 * @category files
 * @since 0.1.0
 */
export const getdents64 = (fd: number, buffer: Buffer): Effect.Effect<number, errors.Getdents64Error> =>
  run(describe.getdents64(fd, buffer))

/**
 * Decodes the entries that {@link getdents64} wrote into the first `length` bytes of a buffer. Without `length` it ends
 * where there is no entry any more.
 *
 * @category files
 * @since 0.1.0
 */
export const dirents = (buffer: Uint8Array, length: number = buffer.byteLength): ReadonlyArray<Dirent> => {
  const entries: Array<Dirent> = []
  const nameAt = Abi.linux_dirent64.fields.d_type.offset + 1
  let at = 0
  const end = Math.min(length, buffer.byteLength)
  while (at + Abi.linux_dirent64.size <= end) {
    const head = Abi.linux_dirent64.decode(buffer, at)
    // Behind the last entry there are zeros, or what was there before.
    if (head.d_reclen < Abi.linux_dirent64.size || at + head.d_reclen > end) break
    const name = buffer.subarray(at + nameAt, at + head.d_reclen)
    entries.push({ ...head, d_name: name.slice(0, name.indexOf(0)) })
    at += head.d_reclen
  }
  return entries
}

/**
 * `unlinkat(dirfd, path, flags)`—Removes a name, and the file with its last one; a directory with `AT_REMOVEDIR`.
 *
 * Can wait for a disk or server: runs on the JavaScript thread where the file system is in memory, else on another. Manual
 * page: unlinkat(2).
 *
 * @category files
 * @since 0.1.0
 */
export const unlinkat = (dirfd: number, path: PathLike, flags = 0): Effect.Effect<void, errors.UnlinkatError> =>
  run(describe.unlinkat(dirfd, path, flags))

/**
 * `mkdirat(dirfd, path, mode)`—Makes a directory; `mode` is cut by the umask.
 *
 * Can wait for a disk or server: runs on the JavaScript thread where the file system is in memory, else on another. Manual
 * page: mkdirat(2).
 *
 * @category files
 * @since 0.1.0
 */
export const mkdirat = (dirfd: number, path: PathLike, mode: number): Effect.Effect<void, errors.MkdiratError> =>
  run(describe.mkdirat(dirfd, path, mode))

/**
 * `renameat2(olddirfd, oldpath, newdirfd, newpath, flags)`—Renames a file. `flags` is one of `RENAME_NOREPLACE`,
 * `RENAME_EXCHANGE` and `RENAME_WHITEOUT`, or 0.
 *
 * Can wait for a disk or server: runs on the JavaScript thread where the file system is in memory, else on another. Manual
 * page: renameat2(2).
 *
 * @category files
 * @since 0.1.0
 */
export const renameat2 = (
  olddirfd: number,
  oldpath: PathLike,
  newdirfd: number,
  newpath: PathLike,
  flags = 0
): Effect.Effect<void, errors.Renameat2Error> => run(describe.renameat2(olddirfd, oldpath, newdirfd, newpath, flags))

/**
 * `linkat(olddirfd, oldpath, newdirfd, newpath, flags)`—Gives a file another name. `flags` are of `AT_SYMLINK_FOLLOW` and
 * `AT_EMPTY_PATH`.
 *
 * Can wait for a disk or server: runs on the JavaScript thread where the file system is in memory, else on another. Manual
 * page: linkat(2).
 *
 * @category files
 * @since 0.1.0
 */
export const linkat = (
  olddirfd: number,
  oldpath: PathLike,
  newdirfd: number,
  newpath: PathLike,
  flags = 0
): Effect.Effect<void, errors.LinkatError> => run(describe.linkat(olddirfd, oldpath, newdirfd, newpath, flags))

/**
 * `symlinkat(target, newdirfd, linkpath)`—Makes a symbolic link that says `target`.
 *
 * Can wait for a disk or server: runs on the JavaScript thread where the file system is in memory, else on another. Manual
 * page: symlinkat(2).
 *
 * @category files
 * @since 0.1.0
 */
export const symlinkat = (
  target: PathLike,
  newdirfd: number,
  linkpath: PathLike
): Effect.Effect<void, errors.SymlinkatError> => run(describe.symlinkat(target, newdirfd, linkpath))

/**
 * `readlinkat(dirfd, path)`—What a symbolic link says, as bytes.
 *
 * Can wait for a disk or server: runs on the JavaScript thread for short links of ext4 and those in memory that the kernel
 * has cached, else on another. Manual page: readlinkat(2).
 *
 * @category files
 * @since 0.1.0
 */
export const readlinkat = (dirfd: number, path: PathLike): Effect.Effect<Uint8Array, errors.ReadlinkatError> =>
  run(describe.readlinkat(dirfd, path))

/**
 * `fsync(fd)`—Waits until a file's contents and all that is known of it are on the disk.
 *
 * Blocks, but for a file in memory; runs on another thread then. Manual page: fsync(2).
 *
 * @category files
 * @since 0.1.0
 */
export const fsync = (fd: number): Effect.Effect<void, errors.FsyncError> => run(describe.fsync(fd))

/**
 * `fdatasync(fd)`—Like {@link fsync}, without what is not needed to read the contents back.
 *
 * Blocks, but for a file in memory; runs on another thread then. Manual page: fdatasync(2).
 *
 * @category files
 * @since 0.1.0
 */
export const fdatasync = (fd: number): Effect.Effect<void, errors.FdatasyncError> => run(describe.fdatasync(fd))

/**
 * `ftruncate(fd, length)`—Makes a file `length` bytes long, by cutting it or by zeros at its end.
 *
 * Can wait for a disk: runs on the JavaScript thread for a small file in memory, else on another. Manual page:
 * ftruncate(2).
 *
 * @category files
 * @since 0.1.0
 */
export const ftruncate = (fd: number, length: number | bigint): Effect.Effect<void, errors.FtruncateError> =>
  run(describe.ftruncate(fd, length))

/**
 * `eventfd2(initial, flags)`—A counter of 64 bits behind a descriptor. `flags` are of `EFD_CLOEXEC`, `EFD_NONBLOCK`,
 * `EFD_SEMAPHORE`.
 *
 * Does not block. Manual page: eventfd(2).
 *
 * @category files
 * @since 0.1.0
 */
export const eventfd2 = (initial: number, flags = 0): Effect.Effect<number, errors.Eventfd2Error> =>
  inline(errors.eventfd2, (call) => call(nr.eventfd2, int("initial", initial), int("flags", flags)), number)

/**
 * `memfd_create(name, flags)`—A file in memory that no directory knows. `flags` are of `MFD_*`; the name, of at most 249
 * bytes, is for people.
 *
 * Does not block. Since Linux 3.17. Manual page: memfd_create(2).
 *
 * @category files
 * @since 0.1.0
 */
export const memfd_create = (name: PathLike, flags = 0): Effect.Effect<number, errors.MemfdCreateError> =>
  inline(errors.memfd_create, (call) => call(nr.memfd_create, pathBytes("name", name), int("flags", flags)), number)
