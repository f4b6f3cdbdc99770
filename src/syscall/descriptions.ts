/**
 * The calls on descriptors and paths that may wait, described apart from how they are run: `Syscall` runs them on plain
 * numbers, `File` on descriptors that can be closed meanwhile. Not part of the public surface.
 */
import type * as Effect from "effect/Effect"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import type { CallErrors } from "../errors/registry.ts"
import {
  type Buffer,
  bufferLength,
  descriptor,
  int,
  long,
  type PathLike,
  pathBytes,
  pathForNow,
  word
} from "../internal/arguments.ts"
import {
  attempt1,
  attempt3,
  attempt4,
  attempt5,
  lastStatus,
  notTried,
  type Traits,
  transferNow
} from "../internal/attempt.ts"
import * as constants from "../internal/constants.ts"
import {
  answered,
  begin,
  type Description,
  type Fiber,
  goOn,
  Misuse,
  type Owner,
  onThisThread,
  Primitive,
  type Quick,
  type Subject,
  succeed
} from "../internal/invoke.ts"
import type { Argument, Result } from "../internal/native.ts"
import { type BlockingOptions, Direction, directions, kernel } from "../internal/trampoline.ts"
import * as Struct from "../Struct.ts"
import { atLeast, bufferVector, memoryAt, nothing, number } from "./convert.ts"
import { closeAbandoned } from "./policy.ts"
import { nr } from "./raw.ts"

export * from "./descriptions-files.ts"

const { in: reads, out: writes, outCount: fills, unknown } = Direction

const readOptions: BlockingOptions = { inlineFirst: true, directions: directions(unknown, fills) }
const writeOptions: BlockingOptions = {
  inlineFirst: true,
  directions: directions(unknown, reads),
  events: constants.POLLOUT
}
const plain: BlockingOptions = {}
/** Calls that cannot wait on a file in memory. */
const memoryOptions: BlockingOptions = { inlineFirst: true }
/** Calls whose memory the kernel only reads: paths. */
const pathOptions: BlockingOptions = { inlineFirst: true, directions: directions(reads, reads, reads, reads, reads) }
const openOptions: BlockingOptions = {
  ...pathOptions,
  onAbandoned: closeAbandoned
}
const statxOptions: BlockingOptions = {
  inlineFirst: true,
  directions: directions(unknown, reads, unknown, unknown, writes)
}
const getdentsOptions: BlockingOptions = { inlineFirst: true, directions: directions(unknown, fills) }
const readlinkOptions: BlockingOptions = { inlineFirst: true, directions: directions(unknown, reads, fills) }

export const openat = (
  dirfd: number,
  path: PathLike,
  flags: number,
  mode: number
): Description<number, errors.OpenatError> => ({
  errors: errors.openat,
  nr: nr.openat,
  prepare: () => [descriptor("dirfd", dirfd), pathBytes("path", path), int("flags", flags), int("mode", mode)],
  decode: number,
  options: openOptions,
  subject: { path },
  quick: {
    // The traits that an attempt leaves are those of what it opened, and not the directory's.
    attempt: () =>
      attempt4(
        nr.openat,
        descriptor("dirfd", dirfd),
        pathForNow("path", path),
        int("flags", flags),
        int("mode", mode),
        undefined
      ),
    decode: number
  }
})

/** `traits` are those of the descriptor, where they are known. */
export const close = (fd: number, traits?: Traits): Description<void, errors.CloseError> => ({
  errors: errors.close,
  nr: nr.close,
  prepare: () => [descriptor("fd", fd)],
  decode: nothing,
  options: memoryOptions,
  subject: { fd },
  quick: { attempt: () => attempt1(nr.close, descriptor("fd", fd), traits), decode: nothing }
})

/** What the four plain transfers have in common: one class, so that the most frequent calls make few objects. */
class Transfer<E> extends Primitive<number, E> implements Description<number, E>, Quick<number> {
  readonly kind: TransferKind<E>
  readonly fd: number
  readonly buffer: Buffer
  readonly count: number | undefined
  readonly offset: number | bigint | undefined
  readonly owner: Owner | undefined

  constructor(
    kind: TransferKind<E>,
    fd: number,
    buffer: Buffer,
    count: number | undefined,
    offset: number | bigint | undefined,
    owner?: Owner
  ) {
    super()
    this.owner = owner
    this.kind = kind
    this.fd = fd
    this.buffer = buffer
    this.count = count
    this.offset = offset
  }

  get errors(): CallErrors<E> {
    return this.kind.errors
  }

  get nr(): number {
    return this.kind.nr
  }

  get options(): BlockingOptions {
    return this.kind.options
  }

  get subject(): Subject {
    return { fd: this.fd }
  }

  get quick(): Quick<number> {
    return this
  }

  prepare(): ReadonlyArray<Argument> {
    const { buffer, count, fd, offset } = this
    const common = [descriptor("fd", fd), buffer, bufferLength("buffer", buffer, count)]
    return offset === undefined ? common : [...common, long("offset", offset)]
  }

  attempt(traits: Traits | undefined): Result | undefined {
    const { buffer, count, fd, kind, offset } = this
    descriptor("fd", fd)
    const length = bufferLength("buffer", buffer, count)
    if (traits !== undefined && (offset === undefined || (Number.isSafeInteger(offset) && offset >= 0))) {
      const result = transferNow(kind.nr, fd, buffer, length, offset === undefined ? -1 : Number(offset), traits)
      if (lastStatus() !== notTried) return result
    }
    return offset === undefined
      ? attempt3(kind.nr, fd, buffer, length, traits)
      : attempt4(kind.nr, fd, buffer, length, long("offset", offset), traits)
  }

  decode(result: Result): number {
    return number(result)
  }

  /** It is an effect as well: that of the call on its owner. */
  evaluate(fiber: Fiber): Effect.Effect<number, E> {
    const begun = begin(fiber, this, this.owner)
    if (begun === answered) return succeed(fiber)
    return "args" in begun ? goOn(this, this.owner, begun, undefined) : begun
  }
}

interface TransferKind<out E> {
  readonly errors: CallErrors<E>
  readonly nr: number
  readonly options: BlockingOptions
}

const kinds = {
  read: { errors: errors.read, nr: nr.read, options: readOptions },
  write: { errors: errors.write, nr: nr.write, options: writeOptions },
  pread64: { errors: errors.pread64, nr: nr.pread64, options: readOptions },
  pwrite64: { errors: errors.pwrite64, nr: nr.pwrite64, options: writeOptions }
}

export const read = (fd: number, buffer: Buffer, count?: number): Description<number, errors.ReadError> =>
  new Transfer(kinds.read, fd, buffer, count, undefined)

/** The same on a descriptor, as an effect. */
export const readOn = (owner: Owner, buffer: Buffer): Effect.Effect<number, errors.ReadError> =>
  new Transfer(kinds.read, owner.fd, buffer, undefined, undefined, owner)

export const write = (fd: number, buffer: Buffer, count?: number): Description<number, errors.WriteError> =>
  new Transfer(kinds.write, fd, buffer, count, undefined)

/** The same on a descriptor, as an effect. */
export const writeOn = (owner: Owner, buffer: Buffer): Effect.Effect<number, errors.WriteError> =>
  new Transfer(kinds.write, owner.fd, buffer, undefined, undefined, owner)

export const pread64 = (
  fd: number,
  buffer: Buffer,
  offset: number | bigint
): Description<number, errors.Pread64Error> => new Transfer(kinds.pread64, fd, buffer, undefined, offset)

/** The same on a descriptor, as an effect. */
export const pread64On = (
  owner: Owner,
  buffer: Buffer,
  offset: number | bigint
): Effect.Effect<number, errors.Pread64Error> => new Transfer(kinds.pread64, owner.fd, buffer, undefined, offset, owner)

export const pwrite64 = (
  fd: number,
  buffer: Buffer,
  offset: number | bigint
): Description<number, errors.Pwrite64Error> => new Transfer(kinds.pwrite64, fd, buffer, undefined, offset)

/** The same on a descriptor, as an effect. */
export const pwrite64On = (
  owner: Owner,
  buffer: Buffer,
  offset: number | bigint
): Effect.Effect<number, errors.Pwrite64Error> =>
  new Transfer(kinds.pwrite64, owner.fd, buffer, undefined, offset, owner)

export const readv = (fd: number, buffers: ReadonlyArray<Buffer>): Description<number, errors.ReadvError> => ({
  errors: errors.readv,
  nr: nr.readv,
  prepare: () => [descriptor("fd", fd), ...bufferVector("buffers", buffers)],
  decode: number,
  options: readOptions,
  subject: { fd }
})

export const writev = (fd: number, buffers: ReadonlyArray<Buffer>): Description<number, errors.WritevError> => ({
  errors: errors.writev,
  nr: nr.writev,
  prepare: () => [descriptor("fd", fd), ...bufferVector("buffers", buffers)],
  decode: number,
  options: writeOptions,
  subject: { fd }
})

// Where the answer of a `statx` that is made at once lies until it is decoded.
const statxMemory = new Uint8Array(Abi.statx.size)
const statxView = new DataView(statxMemory.buffer)

export const statx = (
  dirfd: number,
  path: PathLike,
  flags: number,
  mask: number
): Description<Abi.statx, errors.StatxError> => ({
  errors: errors.statx,
  nr: nr.statx,
  prepare: () => [
    descriptor("dirfd", dirfd),
    pathBytes("path", path),
    int("flags", flags),
    int("mask", mask),
    new Uint8Array(Abi.statx.size)
  ],
  decode: (_, args) => Abi.statx.decode(memoryAt(args, 4)),
  quick: {
    attempt: (traits) =>
      attempt5(
        nr.statx,
        descriptor("dirfd", dirfd),
        pathForNow("path", path),
        int("flags", flags),
        int("mask", mask),
        statxMemory,
        traits
      ),
    decode: () => Abi.statx.get(statxView, 0)
  },
  options: statxOptions,
  // An empty path means the descriptor itself.
  subject: path === "" ? { fd: dirfd } : { path }
})

export const getdents64 = (fd: number, buffer: Buffer): Description<number, errors.Getdents64Error> => ({
  errors: errors.getdents64,
  nr: nr.getdents64,
  prepare: () => [descriptor("fd", fd), buffer, bufferLength("buffer", buffer)],
  decode: number,
  options: getdentsOptions,
  subject: { fd }
})

export const unlinkat = (dirfd: number, path: PathLike, flags: number): Description<void, errors.UnlinkatError> => ({
  errors: errors.unlinkat,
  nr: nr.unlinkat,
  prepare: () => [descriptor("dirfd", dirfd), pathBytes("path", path), int("flags", flags)],
  decode: nothing,
  options: pathOptions,
  subject: { path }
})

export const mkdirat = (dirfd: number, path: PathLike, mode: number): Description<void, errors.MkdiratError> => ({
  errors: errors.mkdirat,
  nr: nr.mkdirat,
  prepare: () => [descriptor("dirfd", dirfd), pathBytes("path", path), int("mode", mode)],
  decode: nothing,
  options: pathOptions,
  subject: { path }
})

const twoPaths = (olddirfd: number, oldpath: PathLike, newdirfd: number, newpath: PathLike, flags: number) => ({
  prepare: () => [
    descriptor("olddirfd", olddirfd),
    pathBytes("oldpath", oldpath),
    descriptor("newdirfd", newdirfd),
    pathBytes("newpath", newpath),
    int("flags", flags)
  ],
  decode: nothing,
  options: pathOptions,
  subject: { path: oldpath }
})

export const renameat2 = (...args: Parameters<typeof twoPaths>): Description<void, errors.Renameat2Error> => ({
  errors: errors.renameat2,
  nr: nr.renameat2,
  ...twoPaths(...args)
})

export const linkat = (...args: Parameters<typeof twoPaths>): Description<void, errors.LinkatError> => ({
  errors: errors.linkat,
  nr: nr.linkat,
  ...twoPaths(...args)
})

export const symlinkat = (
  target: PathLike,
  newdirfd: number,
  linkpath: PathLike
): Description<void, errors.SymlinkatError> => ({
  errors: errors.symlinkat,
  nr: nr.symlinkat,
  prepare: () => [pathBytes("target", target), descriptor("newdirfd", newdirfd), pathBytes("linkpath", linkpath)],
  decode: nothing,
  options: pathOptions,
  subject: { path: linkpath }
})

/** The kernel's longest path, with its NUL. */
const PATH_MAX = 4096

export const readlinkat = (dirfd: number, path: PathLike): Description<Uint8Array, errors.ReadlinkatError> => ({
  errors: errors.readlinkat,
  nr: nr.readlinkat,
  prepare: () => [descriptor("dirfd", dirfd), pathBytes("path", path), new Uint8Array(PATH_MAX), PATH_MAX],
  decode: (length, args) => memoryAt(args, 2).slice(0, number(length)),
  options: readlinkOptions,
  subject: { path }
})

export const fsync = (fd: number): Description<void, errors.FsyncError> => ({
  errors: errors.fsync,
  nr: nr.fsync,
  prepare: () => [descriptor("fd", fd)],
  decode: nothing,
  options: memoryOptions,
  subject: { fd }
})

export const fdatasync = (fd: number): Description<void, errors.FdatasyncError> => ({
  errors: errors.fdatasync,
  nr: nr.fdatasync,
  prepare: () => [descriptor("fd", fd)],
  decode: nothing,
  options: memoryOptions,
  subject: { fd }
})

export const ftruncate = (fd: number, length: number | bigint): Description<void, errors.FtruncateError> => ({
  errors: errors.ftruncate,
  nr: nr.ftruncate,
  prepare: () => [descriptor("fd", fd), long("length", length)],
  decode: nothing,
  options: memoryOptions,
  subject: { fd }
})

export const lseek = (fd: number, offset: number | bigint, whence: number): Description<number, errors.LseekError> => ({
  errors: errors.lseek,
  nr: nr.lseek,
  prepare: () => [descriptor("fd", fd), long("offset", offset), int("whence", whence)],
  decode: number,
  // Where data and holes begin may have to be read from the disk, and where the end is be asked of a server.
  options: memoryOptions,
  subject: { fd }
})

/** What a command of fcntl reads or writes, for those that take a pointer. */
const fcntlMemory = new Map<number, Struct.Layout<unknown, never>>([
  [constants.F_GETLK, Abi.flock],
  [constants.F_SETLK, Abi.flock],
  [constants.F_SETLKW, Abi.flock],
  [constants.F_OFD_GETLK, Abi.flock],
  [constants.F_OFD_SETLK, Abi.flock],
  [constants.F_OFD_SETLKW, Abi.flock],
  [constants.F_GETOWN_EX, Abi.f_owner_ex],
  [constants.F_SETOWN_EX, Abi.f_owner_ex],
  [constants.F_GETOWNER_UIDS, Struct.array(Struct.u32, 2)],
  [constants.F_GET_RW_HINT, Struct.u64],
  [constants.F_SET_RW_HINT, Struct.u64],
  [constants.F_GET_FILE_RW_HINT, Struct.u64],
  [constants.F_SET_FILE_RW_HINT, Struct.u64]
])

const fcntlArgument = (command: number, argument: number | bigint | Buffer | null): Argument => {
  const size = fcntlMemory.get(command)?.size
  if (size === undefined || argument === null) return word("argument", argument)
  if (typeof argument === "number" || typeof argument === "bigint") {
    throw new Misuse(codes.EFAULT, `argument: command ${command} takes a buffer, not a number`)
  }
  return atLeast("argument", argument, size)
}

/** How the commands are made that do not act on what the process has: some wait for others, some ask a server. */
const fcntlOptions = new Map<number, BlockingOptions>([
  [constants.F_SETLKW, plain],
  [constants.F_OFD_SETLKW, plain],
  [constants.F_SETLK, memoryOptions],
  [constants.F_GETLK, memoryOptions],
  [constants.F_OFD_SETLK, memoryOptions],
  [constants.F_OFD_GETLK, memoryOptions]
])

export const fcntl = (
  fd: number,
  command: number,
  argument: number | bigint | Buffer | null
): Description<number, errors.FcntlError> => ({
  errors: errors.fcntl,
  nr: nr.fcntl,
  prepare: () => [descriptor("fd", fd), int("command", command), fcntlArgument(command, argument)],
  decode: number,
  options: fcntlOptions.get(command) ?? onThisThread,
  subject: { fd }
})

const populating = (length: number | bigint): BlockingOptions => ({
  onAbandoned: (address) => {
    kernel.call(nr.munmap, address, length)
  }
})

export const mmap = (
  address: number | bigint,
  length: number | bigint,
  protection: number,
  flags: number,
  fd: number,
  offset: number | bigint
): Description<bigint, errors.MmapError> => ({
  errors: errors.mmap,
  nr: nr.mmap,
  prepare: () => [
    long("address", address),
    long("length", length),
    int("protection", protection),
    int("flags", flags),
    descriptor("fd", fd),
    long("offset", offset)
  ],
  decode: BigInt,
  // Faulting all pages in takes a while.
  options: (flags & (constants.MAP_POPULATE | constants.MAP_LOCKED)) === 0 ? onThisThread : populating(length),
  subject: { fd }
})
