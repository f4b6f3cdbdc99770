/**
 * Calls on files by name whose arguments or results are more than one word or structure each: times, links, handles,
 * extended attributes of descriptors. The others are generated; what watches and directories write is decoded in
 * `paths-events.ts`.
 */
import type * as Effect from "effect/Effect"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { type Buffer, bufferLength, descriptor, int, type PathLike, pathBytes } from "../internal/arguments.ts"
import { AT_HANDLE_MNT_ID_UNIQUE, MAX_HANDLE_SZ, PATH_MAX, UTIME_NOW, UTIME_OMIT } from "../internal/constants.ts"
import { onThisThread, run, type Subject } from "../internal/invoke.ts"
import type { Argument } from "../internal/native.ts"
import { type BlockingOptions, Direction, directions } from "../internal/trampoline.ts"
import { memoryAt, nothing, number } from "./convert.ts"
import { absent, closeAbandoned } from "./policy.ts"
import { addressOf, nr } from "./raw.ts"

const { in: reads, out: writes, outCount: fills, unknown } = Direction

/** Calls whose memory the kernel only reads. */
const readingOptions: BlockingOptions = { directions: directions(reads, reads, reads, reads, reads) }

// ---------------------------------------------------------------------------------------------------------------------
// device numbers
// ---------------------------------------------------------------------------------------------------------------------

const part = (name: string, value: number, bits: number): number => {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** bits) {
    throw new RangeError(`${name}: expected an integer of ${bits} bits, got ${value}`)
  }
  return value
}

/**
 * `makedev(major, minor)`—The number of a device, as `mknod`, `stat` and `ustat` have it, from its major number (12 bits)
 * and its minor number (20 bits).
 *
 * Throws a `RangeError` for a number out of its range.
 *
 * @category paths
 * @since 0.1.0
 */
export const makedev = (major: number, minor: number): number =>
  ((part("minor", minor, 20) & 0xff) | (part("major", major, 12) << 8) | ((minor & ~0xff) << 12)) >>> 0

/**
 * `major(dev)`—The major number of a device.
 *
 * @category paths
 * @since 0.1.0
 */
export const major = (dev: number | bigint): number => (Number(dev) >>> 8) & 0xfff

/**
 * `minor(dev)`—The minor number of a device.
 *
 * @category paths
 * @since 0.1.0
 */
export const minor = (dev: number | bigint): number => (Number(dev) & 0xff) | ((Number(dev) >>> 12) & 0xfff00)

// ---------------------------------------------------------------------------------------------------------------------
// the working directory and links
// ---------------------------------------------------------------------------------------------------------------------

/**
 * `getcwd`—The path of the working directory, as bytes. One that cannot be reached from the root begins with
 * `(unreachable)`.
 *
 * Does not block. Manual page: getcwd(2).
 *
 * @category paths
 * @since 0.1.0
 */
export const getcwd: Effect.Effect<Uint8Array, errors.GetcwdError> = run({
  errors: errors.getcwd,
  nr: nr.getcwd,
  // The kernel has no longer path than that.
  prepare: () => [new Uint8Array(PATH_MAX), PATH_MAX],
  // It counts the NUL.
  decode: (length, args) => memoryAt(args, 0).slice(0, number(length) - 1),
  options: onThisThread
})

const readlinkOptions: BlockingOptions = { inlineFirst: true, directions: directions(reads, fills) }

/**
 * `readlink(path)`—What a symbolic link says, as bytes.
 *
 * Can wait for a disk or server: made on the JavaScript thread for short links of ext4 and those in memory that the kernel
 * has cached, else on another; interruptible. Only on x86_64; elsewhere it fails with `ENOSYS`. Manual page: readlink(2).
 *
 * @category paths
 * @since 0.1.0
 */
export const readlink = (path: PathLike): Effect.Effect<Uint8Array, errors.ReadlinkError> =>
  run({
    errors: errors.readlink,
    nr: nr.readlink ?? absent,
    prepare: () => [pathBytes("path", path), new Uint8Array(PATH_MAX), PATH_MAX],
    decode: (length, args) => memoryAt(args, 1).slice(0, number(length)),
    options: readlinkOptions,
    subject: { path }
  })

// ---------------------------------------------------------------------------------------------------------------------
// times
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A time to give to a file: a point in time since the epoch, now, or the one that it has.
 *
 * @category models
 * @since 0.1.0
 */
export type FileTime = Abi.timespec | "now" | "omit"

const toTime = (time: FileTime): Abi.timespec =>
  time === "now"
    ? { tv_sec: 0n, tv_nsec: BigInt(UTIME_NOW) }
    : time === "omit"
      ? { tv_sec: 0n, tv_nsec: BigInt(UTIME_OMIT) }
      : time

const timespecs = (times: readonly [FileTime, FileTime] | null): Uint8Array | null => {
  if (times === null) return null
  const memory = new Uint8Array(2 * Abi.timespec.size)
  Abi.timespec.encode(toTime(times[0]), memory)
  return Abi.timespec.encode(toTime(times[1]), memory, Abi.timespec.size)
}

const timevals = (times: readonly [Abi.timeval, Abi.timeval] | null): Uint8Array | null => {
  if (times === null) return null
  const memory = new Uint8Array(2 * Abi.timeval.size)
  Abi.timeval.encode(times[0], memory)
  return Abi.timeval.encode(times[1], memory, Abi.timeval.size)
}

const subjectOf = (dirfd: number, path: PathLike | null): Subject => (path === null ? { fd: dirfd } : { path })

/**
 * `utimes(path, times)`—Sets the times of a file's last access and last change, in microseconds; null sets both to now.
 *
 * Can wait for a disk or server: made on another thread; interruptible. Only on x86_64; elsewhere it fails with
 * `ENOSYS`. Manual page: utimes(2).
 *
 * @category paths
 * @since 0.1.0
 */
export const utimes = (
  path: PathLike,
  times: readonly [access: Abi.timeval, modification: Abi.timeval] | null
): Effect.Effect<void, errors.UtimesError> =>
  run({
    errors: errors.utimes,
    nr: nr.utimes ?? absent,
    prepare: () => [pathBytes("path", path), timevals(times)],
    decode: nothing,
    options: readingOptions,
    subject: { path }
  })

/**
 * `futimesat(dirfd, path, times)`—Sets the times of a file's last access and last change, in microseconds, by its path
 * from a directory; with null for the path, those of `dirfd` itself. Null for the times sets both to now.
 *
 * Can wait for a disk or server: made on another thread; interruptible. Since Linux 2.6.16. Only on x86_64; elsewhere it
 * fails with `ENOSYS`. Manual page: futimesat(2).
 *
 * @category paths
 * @since 0.1.0
 */
export const futimesat = (
  dirfd: number,
  path: PathLike | null,
  times: readonly [access: Abi.timeval, modification: Abi.timeval] | null
): Effect.Effect<void, errors.FutimesatError> =>
  run({
    errors: errors.futimesat,
    nr: nr.futimesat ?? absent,
    prepare: () => [descriptor("dirfd", dirfd), path === null ? null : pathBytes("path", path), timevals(times)],
    decode: nothing,
    options: readingOptions,
    subject: subjectOf(dirfd, path)
  })

/**
 * `utimensat(dirfd, path, times, flags)`—Sets the times of a file's last access and last change, in nanoseconds, by its
 * path from a directory; with null for the path, those of `dirfd` itself. Null for the times sets both to now.
 *
 * `flags` are of `AT_SYMLINK_NOFOLLOW` and `AT_EMPTY_PATH`.
 *
 * Can wait for a disk or server: made on another thread; interruptible. Since Linux 2.6.22. Manual page: utimensat(2).
 *
 * @category paths
 * @since 0.1.0
 */
export const utimensat = (
  dirfd: number,
  path: PathLike | null,
  times: readonly [access: FileTime, modification: FileTime] | null,
  flags = 0
): Effect.Effect<void, errors.UtimensatError> =>
  run({
    errors: errors.utimensat,
    nr: nr.utimensat,
    prepare: () => [
      descriptor("dirfd", dirfd),
      path === null ? null : pathBytes("path", path),
      timespecs(times),
      int("flags", flags)
    ],
    decode: nothing,
    options: readingOptions,
    subject: subjectOf(dirfd, path)
  })

// ---------------------------------------------------------------------------------------------------------------------
// handles
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What a file is found by without its path: opaque, and good as long as its file system is.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileHandle {
  readonly handle_type: number
  readonly f_handle: Uint8Array
}

const handleOptions: BlockingOptions = { directions: directions(unknown, reads, unknown, writes) }

/**
 * `name_to_handle_at(dirfd, path, flags)`—A handle by which {@link open_by_handle_at} finds a file without its path, and
 * the mount that it is on: as `/proc/self/mountinfo` counts mounts, or with `AT_HANDLE_MNT_ID_UNIQUE` as `statmount` does.
 *
 * `flags` are of `AT_EMPTY_PATH`, `AT_SYMLINK_FOLLOW`, `AT_HANDLE_FID`, `AT_HANDLE_CONNECTABLE` and
 * `AT_HANDLE_MNT_ID_UNIQUE`. File systems without handles answer `EOPNOTSUPP`.
 *
 * Can wait for a disk or server: made on another thread; interruptible. Since Linux 2.6.39. Manual page:
 * name_to_handle_at(2).
 *
 * @category paths
 * @since 0.1.0
 */
export const name_to_handle_at = (
  dirfd: number,
  path: PathLike,
  flags = 0
): Effect.Effect<{ readonly handle: FileHandle; readonly mount_id: bigint }, errors.NameToHandleAtError> =>
  run({
    errors: errors.name_to_handle_at,
    nr: nr.name_to_handle_at,
    prepare: () => [
      descriptor("dirfd", dirfd),
      pathBytes("path", path),
      Abi.file_handle.encode(
        { handle_bytes: MAX_HANDLE_SZ, handle_type: 0 },
        new Uint8Array(Abi.file_handle.size + MAX_HANDLE_SZ)
      ),
      new Uint8Array(8),
      int("flags", flags)
    ],
    decode: (_, args) => {
      const memory = memoryAt(args, 2)
      const { handle_bytes, handle_type } = Abi.file_handle.decode(memory)
      const mount = new DataView(memoryAt(args, 3).buffer)
      return {
        handle: { handle_type, f_handle: memory.slice(Abi.file_handle.size, Abi.file_handle.size + handle_bytes) },
        mount_id:
          (flags & AT_HANDLE_MNT_ID_UNIQUE) === 0 ? BigInt(mount.getInt32(0, true)) : mount.getBigUint64(0, true)
      }
    },
    options: handleOptions,
    subject: path === "" ? { fd: dirfd } : { path }
  })

const openByHandleOptions: BlockingOptions = { directions: directions(unknown, reads), onAbandoned: closeAbandoned }

/**
 * `open_by_handle_at(mountFd, handle, flags)`—Opens a file by its handle. `mountFd` is any open file of the file system;
 * `flags` are those of {@link openat}. Needs `CAP_DAC_READ_SEARCH`; a file that is gone answers `ESTALE`.
 *
 * Can wait for a disk or server: made on another thread; interruptible. Since Linux 2.6.39. Manual page:
 * open_by_handle_at(2).
 *
 * @category paths
 * @since 0.1.0
 */
export const open_by_handle_at = (
  mountFd: number,
  handle: FileHandle,
  flags: number
): Effect.Effect<number, errors.OpenByHandleAtError> =>
  run({
    errors: errors.open_by_handle_at,
    nr: nr.open_by_handle_at,
    prepare: () => {
      const { f_handle, handle_type } = handle
      const memory = new Uint8Array(Abi.file_handle.size + f_handle.length)
      Abi.file_handle.encode({ handle_bytes: f_handle.length, handle_type }, memory)
      memory.set(f_handle, Abi.file_handle.size)
      return [descriptor("mountFd", mountFd), memory, int("flags", flags)]
    },
    decode: number,
    options: openByHandleOptions,
    subject: { fd: mountFd }
  })

// ---------------------------------------------------------------------------------------------------------------------
// extended attributes
// ---------------------------------------------------------------------------------------------------------------------

const gettingOptions: BlockingOptions = { directions: directions(unknown, reads, fills) }

/**
 * `fsetxattr(fd, name, value, flags)`—Sets an extended attribute of the file behind a descriptor. `flags` is 0,
 * `XATTR_CREATE` or `XATTR_REPLACE`.
 *
 * Can wait for a disk or server: made on another thread; interruptible. Manual page: setxattr(2).
 *
 * @category paths
 * @since 0.1.0
 */
export const fsetxattr = (
  fd: number,
  name: PathLike,
  value: Buffer,
  flags = 0
): Effect.Effect<void, errors.FsetxattrError> =>
  run({
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
    options: readingOptions,
    subject: { fd }
  })

/**
 * `fgetxattr(fd, name, value)`—Reads an extended attribute of the file behind a descriptor; returns its length. An empty
 * buffer asks for the length alone; one too small fails with `ERANGE`.
 *
 * Can wait for a disk or server: made on another thread; interruptible. Manual page: getxattr(2).
 *
 * @category paths
 * @since 0.1.0
 */
export const fgetxattr = (fd: number, name: PathLike, value: Buffer): Effect.Effect<number, errors.FgetxattrError> =>
  run({
    errors: errors.fgetxattr,
    nr: nr.fgetxattr,
    prepare: () => [descriptor("fd", fd), pathBytes("name", name), value, bufferLength("value", value)],
    decode: number,
    options: gettingOptions,
    subject: { fd }
  })

/**
 * `fremovexattr(fd, name)`—Removes an extended attribute of the file behind a descriptor.
 *
 * Can wait for a disk or server: made on another thread; interruptible. Manual page: removexattr(2).
 *
 * @category paths
 * @since 0.1.0
 */
export const fremovexattr = (fd: number, name: PathLike): Effect.Effect<void, errors.FremovexattrError> =>
  run({
    errors: errors.fremovexattr,
    nr: nr.fremovexattr,
    prepare: () => [descriptor("fd", fd), pathBytes("name", name)],
    decode: nothing,
    options: readingOptions,
    subject: { fd }
  })

/** The bytes of a buffer; a detached one has none. */
const bytesOf = (buffer: Buffer): Uint8Array =>
  buffer.byteLength === 0
    ? new Uint8Array(0)
    : ArrayBuffer.isView(buffer)
      ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
      : new Uint8Array(buffer)

/**
 * `struct xattr_args` and the value that it points to, in one piece of shared memory: that is passed to the kernel
 * itself, where of other memory a call on another thread gets a copy, which would not be where the pointer says.
 */
const xattrMemory = (value: Buffer, flags: number): SharedArrayBuffer => {
  const size = bufferLength("value", value)
  addressOf(value) // refuses a detached buffer
  const memory = new SharedArrayBuffer(Abi.xattr_args.size + size)
  Abi.xattr_args.encode({ value: addressOf(memory) + BigInt(Abi.xattr_args.size), size, flags }, memory)
  return memory
}

const xattrArguments = (
  dirfd: number,
  path: PathLike,
  atFlags: number,
  name: PathLike,
  memory: SharedArrayBuffer
): ReadonlyArray<Argument> => [
  descriptor("dirfd", dirfd),
  pathBytes("path", path),
  int("atFlags", atFlags),
  pathBytes("name", name),
  memory,
  Abi.xattr_args.size
]

/**
 * `setxattrat(dirfd, path, atFlags, name, value, flags)`—Sets an extended attribute of a file, by its path from a
 * directory. `atFlags` are of `AT_SYMLINK_NOFOLLOW` and `AT_EMPTY_PATH`; `flags` is 0, `XATTR_CREATE` or
 * `XATTR_REPLACE`.
 *
 * Can wait for a disk or server: made on another thread; interruptible. Since Linux 6.13. Manual page: setxattr(2).
 *
 * @category paths
 * @since 0.1.0
 */
export const setxattrat = (
  dirfd: number,
  path: PathLike,
  atFlags: number,
  name: PathLike,
  value: Buffer,
  flags = 0
): Effect.Effect<void, errors.SetxattratError> =>
  run({
    errors: errors.setxattrat,
    nr: nr.setxattrat,
    prepare: () => {
      const memory = xattrMemory(value, flags)
      new Uint8Array(memory, Abi.xattr_args.size).set(bytesOf(value))
      return xattrArguments(dirfd, path, atFlags, name, memory)
    },
    decode: nothing,
    options: readingOptions,
    subject: path === "" ? { fd: dirfd } : { path }
  })

/**
 * `getxattrat(dirfd, path, atFlags, name, value)`—Reads an extended attribute of a file, by its path from a directory;
 * returns its length. `atFlags` are of `AT_SYMLINK_NOFOLLOW` and `AT_EMPTY_PATH`. An empty buffer asks for the length
 * alone; one too small fails with `ERANGE`.
 *
 * Can wait for a disk or server: made on another thread; interruptible. Since Linux 6.13. Manual page: getxattr(2).
 *
 * @category paths
 * @since 0.1.0
 */
export const getxattrat = (
  dirfd: number,
  path: PathLike,
  atFlags: number,
  name: PathLike,
  value: Buffer
): Effect.Effect<number, errors.GetxattratError> =>
  run({
    errors: errors.getxattrat,
    nr: nr.getxattrat,
    prepare: () => xattrArguments(dirfd, path, atFlags, name, xattrMemory(value, 0)),
    decode: (result, args) => {
      const length = number(result)
      const memory = args[4]
      const target = bytesOf(value)
      if (memory instanceof SharedArrayBuffer) {
        target.set(new Uint8Array(memory, Abi.xattr_args.size).subarray(0, Math.min(length, target.length)))
      }
      return length
    },
    options: {},
    subject: path === "" ? { fd: dirfd } : { path }
  })
