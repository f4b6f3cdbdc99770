/**
 * Operations on files that are open: reading, writing, and what else is done with their contents.
 */
import type * as Scope from "effect/Scope"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import type { CallErrors } from "../errors/registry.ts"
import type { File } from "../file/model.ts"
import { type Buffer, int, long } from "../internal/arguments.ts"
import * as constants from "../internal/constants.ts"
import { Misuse } from "../internal/invoke.ts"
import { native } from "../internal/native.ts"
import { nr } from "../internal/nr.ts"
import { bufferList } from "../syscall/convert.ts"
import type { Extent, Loan } from "./loan.ts"
import {
  asFile,
  asNothing,
  asNumber,
  behind,
  FileSlot,
  type FixedBuffer,
  type FixedFile,
  fixedExtent,
  lengthOf,
  type Operation,
  offsetOf,
  operation,
  slotOf,
  type Target
} from "./operation.ts"

/**
 * Where to transfer, and how.
 *
 * @category models
 * @since 0.1.0
 */
export interface TransferOptions {
  /** Where in the file, in bytes from its start; at the file's own offset, which then moves, unless said. */
  readonly offset?: number | undefined
  /** Of `Syscall.RWF_*`. */
  readonly flags?: number | undefined
}

/**
 * Which part of registered memory, and where to transfer it.
 *
 * @category models
 * @since 0.1.0
 */
export interface FixedTransferOptions extends TransferOptions {
  /** Where in the memory: at its start unless said. */
  readonly at?: number | undefined
  /** How many bytes: all from there on unless said. */
  readonly length?: number | undefined
}

const transfer = <E>(
  name: "READ" | "WRITE",
  callErrors: CallErrors<E>,
  file: Target,
  extent: (loan: Loan) => Extent,
  { flags = 0, offset }: TransferOptions
): Operation<number, E> =>
  operation({
    name,
    op: name === "READ" ? constants.IORING_OP_READ : constants.IORING_OP_WRITE,
    errors: callErrors,
    target: file,
    fill: (fields, loan) => {
      fields.off = offsetOf("offset", offset)
      fields.rwFlags = int("flags", flags)
      const { address, length } = extent(loan)
      fields.addr = address
      fields.len = length
      return asNumber
    }
  })

/**
 * Reads into `buffer`; gives the number of bytes, which may be fewer than asked for, 0 at the end of the file.
 *
 * Operation `IORING_OP_READ`.
 *
 * @category operations
 * @since 0.1.0
 */
export const read = (
  file: Target,
  buffer: Buffer,
  options: TransferOptions = {}
): Operation<number, errors.Pread64Error> =>
  transfer("READ", errors.pread64, file, (loan) => loan.destination("buffer", [buffer]), options)

/**
 * Reads into several buffers, one after the other.
 *
 * Operation `IORING_OP_READ`, as the buffers are lent as one.
 *
 * @category operations
 * @since 0.1.0
 */
export const readv = (
  file: Target,
  buffers: ReadonlyArray<Buffer>,
  options: TransferOptions = {}
): Operation<number, errors.Preadv2Error> =>
  transfer("READ", errors.preadv2, file, (loan) => loan.destination("buffers", bufferList("buffers", buffers)), options)

/**
 * Writes `buffer`; gives the number of bytes, which may be fewer.
 *
 * Operation `IORING_OP_WRITE`.
 *
 * @category operations
 * @since 0.1.0
 */
export const write = (
  file: Target,
  buffer: Buffer,
  options: TransferOptions = {}
): Operation<number, errors.Pwrite64Error> =>
  transfer("WRITE", errors.pwrite64, file, (loan) => loan.source("buffer", [buffer]), options)

/**
 * Writes several buffers as one.
 *
 * Operation `IORING_OP_WRITE`, as the buffers are lent as one.
 *
 * @category operations
 * @since 0.1.0
 */
export const writev = (
  file: Target,
  buffers: ReadonlyArray<Buffer>,
  options: TransferOptions = {}
): Operation<number, errors.Pwritev2Error> =>
  transfer("WRITE", errors.pwritev2, file, (loan) => loan.source("buffers", bufferList("buffers", buffers)), options)

const fixedTransfer = <E>(
  name: "READ_FIXED" | "WRITE_FIXED",
  callErrors: CallErrors<E>,
  file: Target,
  buffer: FixedBuffer,
  options: FixedTransferOptions
): Operation<number, E> =>
  operation({
    name,
    op: name === "READ_FIXED" ? constants.IORING_OP_READ_FIXED : constants.IORING_OP_WRITE_FIXED,
    errors: callErrors,
    target: file,
    fill: (fields, loan) => {
      fields.off = offsetOf("offset", options.offset)
      fields.rwFlags = int("flags", options.flags ?? 0)
      const { address, length, slot } = fixedExtent(buffer, loan, options)
      fields.addr = address
      fields.len = length
      fields.bufIndex = slot
      return asNumber
    }
  })

/**
 * Reads into registered memory, without a copy; gives the number of bytes.
 *
 * Operation `IORING_OP_READ_FIXED`.
 *
 * @category operations
 * @since 0.1.0
 */
export const readFixed = (
  file: Target,
  buffer: FixedBuffer,
  options: FixedTransferOptions = {}
): Operation<number, errors.Pread64Error> => fixedTransfer("READ_FIXED", errors.pread64, file, buffer, options)

/**
 * Writes registered memory, without a copy; gives the number of bytes.
 *
 * Operation `IORING_OP_WRITE_FIXED`.
 *
 * @category operations
 * @since 0.1.0
 */
export const writeFixed = (
  file: Target,
  buffer: FixedBuffer,
  options: FixedTransferOptions = {}
): Operation<number, errors.Pwrite64Error> => fixedTransfer("WRITE_FIXED", errors.pwrite64, file, buffer, options)

// ---------------------------------------------------------------------------------------------------------------------
// contents
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Waits until what was written is on the disk; with `dataOnly` the contents and what is needed to find them.
 *
 * It is not ordered with writes that are under way: put it behind them in a chain. Operation `IORING_OP_FSYNC`.
 *
 * @category operations
 * @since 0.1.0
 */
export const fsync = (
  file: Target,
  options: { readonly dataOnly?: boolean | undefined } = {}
): Operation<void, errors.FsyncError> =>
  operation({
    name: "FSYNC",
    op: constants.IORING_OP_FSYNC,
    errors: errors.fsync,
    target: file,
    fill: (fields) => {
      fields.rwFlags = options.dataOnly === true ? constants.IORING_FSYNC_DATASYNC : 0
      return asNothing
    }
  })

/**
 * Has part of a file written to the disk. `flags` are of `Syscall.SYNC_FILE_RANGE_*`.
 *
 * Operation `IORING_OP_SYNC_FILE_RANGE`.
 *
 * @category operations
 * @since 0.1.0
 */
export const syncFileRange = (
  file: Target,
  offset: number,
  length: number,
  flags: number
): Operation<void, errors.SyncFileRangeError> =>
  operation({
    name: "SYNC_FILE_RANGE",
    op: constants.IORING_OP_SYNC_FILE_RANGE,
    errors: errors.sync_file_range,
    target: file,
    fill: (fields) => {
      fields.off = offsetOf("offset", offset)
      fields.len = lengthOf("length", length)
      fields.rwFlags = int("flags", flags)
      return asNothing
    }
  })

/**
 * Reserves room for part of a file, or makes a hole there: `mode` is of `Syscall.FALLOC_FL_*`.
 *
 * Operation `IORING_OP_FALLOCATE`.
 *
 * @category operations
 * @since 0.1.0
 */
export const fallocate = (
  file: Target,
  mode: number,
  offset: number,
  length: number
): Operation<void, errors.FallocateError> =>
  operation({
    name: "FALLOCATE",
    op: constants.IORING_OP_FALLOCATE,
    errors: errors.fallocate,
    target: file,
    fill: (fields) => {
      fields.off = Number(long("offset", offset))
      fields.addr = Number(long("length", length))
      fields.len = int("mode", mode)
      return asNothing
    }
  })

/**
 * Cuts a file to a length, or makes it that long.
 *
 * Operation `IORING_OP_FTRUNCATE`; since Linux 6.9.
 *
 * @category operations
 * @since 0.1.0
 */
export const ftruncate = (file: Target, length: number): Operation<void, errors.FtruncateError> =>
  operation({
    name: "FTRUNCATE",
    op: constants.IORING_OP_FTRUNCATE,
    errors: errors.ftruncate,
    target: file,
    fill: (fields) => {
      fields.off = Number(long("length", length))
      return asNothing
    }
  })

/**
 * Says how part of a file will be used: `advice` is one of `Syscall.POSIX_FADV_*`; a length of 0 is up to the end.
 *
 * Operation `IORING_OP_FADVISE`.
 *
 * @category operations
 * @since 0.1.0
 */
export const fadvise = (
  file: Target,
  offset: number,
  length: number,
  advice: number
): Operation<void, errors.Fadvise64Error> =>
  operation({
    name: "FADVISE",
    op: constants.IORING_OP_FADVISE,
    errors: errors.fadvise64,
    target: file,
    fill: (fields) => {
      fields.off = Number(long("offset", offset))
      fields.len = lengthOf("length", length)
      fields.rwFlags = int("advice", advice)
      return asNothing
    }
  })

/**
 * Says how memory will be used: `advice` is one of `Syscall.MADV_*`. As `Syscall.madvise`, it does to the address what it
 * is told: the memory must be yours, and stay mapped until the operation has ended.
 *
 * Operation `IORING_OP_MADVISE`.
 *
 * @category operations
 * @since 0.1.0
 */
export const madvise = (address: bigint, length: number, advice: number): Operation<void, errors.MadviseError> =>
  operation({
    name: "MADVISE",
    op: constants.IORING_OP_MADVISE,
    errors: errors.madvise,
    fill: (fields) => {
      fields.addr = Number(long("address", address))
      fields.len = lengthOf("length", length)
      fields.rwFlags = int("advice", advice)
      return asNothing
    }
  })

// ---------------------------------------------------------------------------------------------------------------------
// pipes
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Where to move bytes from and to.
 *
 * @category models
 * @since 0.1.0
 */
export interface SpliceOptions {
  /** How many bytes at most. */
  readonly length: number
  /** Where in the source, if that is no pipe; at its own offset unless said. */
  readonly fromOffset?: number | undefined
  /** Where in the destination, if that is no pipe; at its own offset unless said. */
  readonly toOffset?: number | undefined
  /** Of `Syscall.SPLICE_F_*`. */
  readonly flags?: number | undefined
}

const sourceFixed = 0x8000_0000

const source = (file: Target, loan: Loan): { readonly number: number; readonly flag: number } => {
  const it = behind(file)
  return it instanceof FileSlot
    ? { number: slotOf("from", it, loan.ring), flag: sourceFixed }
    : { number: it.fd, flag: 0 }
}

/**
 * Moves bytes between two files of which one is a pipe, without a copy; gives how many.
 *
 * Operation `IORING_OP_SPLICE`.
 *
 * @category operations
 * @since 0.1.0
 */
export const splice = (from: Target, to: Target, options: SpliceOptions): Operation<number, errors.SpliceError> =>
  operation({
    name: "SPLICE",
    op: constants.IORING_OP_SPLICE,
    errors: errors.splice,
    target: to,
    others: [from],
    fill: (fields, loan) => {
      const { flag, number } = source(from, loan)
      fields.fileIndex = number
      fields.addr = offsetOf("fromOffset", options.fromOffset)
      fields.off = offsetOf("toOffset", options.toOffset)
      fields.len = lengthOf("length", options.length)
      fields.rwFlags = int("flags", options.flags ?? 0) | flag
      return asNumber
    }
  })

/**
 * Copies bytes from a pipe to another, and leaves them there; gives how many.
 *
 * Operation `IORING_OP_TEE`.
 *
 * @category operations
 * @since 0.1.0
 */
export const tee = (
  from: Target,
  to: Target,
  options: { readonly length: number; readonly flags?: number | undefined }
): Operation<number, errors.TeeError> =>
  operation({
    name: "TEE",
    op: constants.IORING_OP_TEE,
    errors: errors.tee,
    target: to,
    others: [from],
    fill: (fields, loan) => {
      const { flag, number } = source(from, loan)
      fields.fileIndex = number
      fields.len = lengthOf("length", options.length)
      fields.rwFlags = int("flags", options.flags ?? 0) | flag
      return asNumber
    }
  })

// ---------------------------------------------------------------------------------------------------------------------
// descriptors
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Closes a file, or empties a place in the ring's table of files. Of a `File` nothing can be begun any more as soon as the
 * operation is submitted, and what waits on it is called back.
 *
 * The file is closed whatever becomes of the operation: where a chain broke before it, too. A borrowed file is its owner's
 * to close, and fails with `EINVAL`. Operation `IORING_OP_CLOSE`.
 *
 * @category operations
 * @since 0.1.0
 */
export const close = (file: Target): Operation<void, errors.CloseError> =>
  operation({
    name: "CLOSE",
    op: constants.IORING_OP_CLOSE,
    errors: errors.close,
    once: true,
    fill: (fields, loan) => {
      const self = behind(file)
      if (self instanceof FileSlot) {
        fields.fd = 0
        fields.fileIndex = slotOf("file", self, loan.ring) + 1
        return asNothing
      }
      if (self.closed) throw new Misuse(codes.EBADF, "the File is closed")
      if (!self.owned) throw new Misuse(codes.EINVAL, "file: it is borrowed, and its owner's to close")
      fields.fd = self.fd
      self.closed = true
      native.disown(self.fd)
      loan.onRefused(() => {
        self.closed = false
        native.own(self.fd)
      })
      loan.onBegun(() => self.callBack(() => {}))
      loan.onEnd((res) => {
        if (res === -codes.ECANCELED) native.call(nr.close, self.fd)
      })
      return asNothing
    }
  })

/**
 * Makes a descriptor of a registered file, which becomes a `File` of the scope.
 *
 * Operation `IORING_OP_FIXED_FD_INSTALL`; since Linux 6.8.
 *
 * @category operations
 * @since 0.1.0
 */
export const fixedFdInstall = (file: FixedFile): Operation<File, errors.FcntlError, Scope.Scope> =>
  operation({
    name: "FIXED_FD_INSTALL",
    op: constants.IORING_OP_FIXED_FD_INSTALL,
    errors: errors.fcntl,
    target: file,
    opens: true,
    fill: () => asFile
  })
