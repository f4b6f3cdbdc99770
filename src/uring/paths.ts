/**
 * Operations on files by their paths: opening, looking at, moving and removing them, and their attributes.
 */
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import type { CallErrors } from "../errors/registry.ts"
import { type File, own } from "../file/model.ts"
import { type Buffer, int, type PathLike, pathBytes } from "../internal/arguments.ts"
import * as constants from "../internal/constants.ts"
import type { Loan } from "./loan.ts"
import {
  asFile,
  asNothing,
  decoding,
  type Fields,
  type FixedFile,
  type Operation,
  operation,
  slotOf
} from "./operation.ts"

/**
 * Where a path starts that is not absolute: at an open directory, and at the working directory unless said.
 *
 * @category models
 * @since 0.1.0
 */
export interface PathOptions {
  readonly directory?: File<unknown> | undefined
}

/** The descriptor where a path starts is that of the entry. */
const startOf = ({ directory }: PathOptions): File<unknown> | null => directory ?? null

const lendPath = (fields: Fields, loan: Loan, path: PathLike): void => {
  fields.addr = loan.copy(pathBytes("path", path))
}

// ---------------------------------------------------------------------------------------------------------------------
// opening
// ---------------------------------------------------------------------------------------------------------------------

/**
 * How a file is opened: `flags` are of `Syscall.O_*` (`O_RDONLY` unless said), `mode` has the permissions of a file that is
 * created.
 *
 * @category models
 * @since 0.1.0
 */
export interface OpenOptions extends PathOptions {
  readonly flags?: number | undefined
  readonly mode?: number | undefined
}

/**
 * Opens a file, which becomes a `File` of the scope. It is always close-on-exec.
 *
 * Operation `IORING_OP_OPENAT`.
 *
 * @category operations
 * @since 0.1.0
 */
export const open = (path: PathLike, options: OpenOptions = {}): Operation<File, errors.OpenatError, Scope.Scope> =>
  operation({
    name: "OPENAT",
    op: constants.IORING_OP_OPENAT,
    errors: errors.openat,
    subject: { path },
    target: startOf(options),
    opens: true,
    fill: (fields, loan) => {
      lendPath(fields, loan, path)
      fields.rwFlags = int("flags", options.flags ?? constants.O_RDONLY) | constants.O_CLOEXEC
      fields.len = int("mode", options.mode ?? 0)
      return asFile
    }
  })

/**
 * Opens a file into a place of the ring's table of files: it never has a descriptor. What is behind it in a chain can use
 * it, as it is there when its turn comes.
 *
 * Operation `IORING_OP_OPENAT` with a `file_index`; since Linux 5.15.
 *
 * @category operations
 * @since 0.1.0
 */
export const openFixed = (
  slot: FixedFile,
  path: PathLike,
  options: OpenOptions = {}
): Operation<void, errors.OpenatError> =>
  operation({
    name: "OPENAT",
    op: constants.IORING_OP_OPENAT,
    errors: errors.openat,
    subject: { path },
    target: startOf(options),
    fill: (fields, loan) => {
      lendPath(fields, loan, path)
      fields.fileIndex = slotOf("slot", slot, loan.ring) + 1
      fields.rwFlags = int("flags", options.flags ?? constants.O_RDONLY) & ~constants.O_CLOEXEC
      fields.len = int("mode", options.mode ?? 0)
      return asNothing
    }
  })

/**
 * How `openAt2` opens: `resolve` is of `Syscall.RESOLVE_*`.
 *
 * @category models
 * @since 0.1.0
 */
export interface OpenAt2Options extends OpenOptions {
  readonly resolve?: number | undefined
}

/**
 * Opens a file with a say in how its path is resolved; it becomes a `File` of the scope, and is always close-on-exec.
 *
 * Operation `IORING_OP_OPENAT2`.
 *
 * @category operations
 * @since 0.1.0
 */
export const openAt2 = (
  path: PathLike,
  options: OpenAt2Options = {}
): Operation<File, errors.Openat2Error, Scope.Scope> =>
  operation({
    name: "OPENAT2",
    op: constants.IORING_OP_OPENAT2,
    errors: errors.openat2,
    subject: { path },
    target: startOf(options),
    opens: true,
    fill: (fields, loan) => {
      lendPath(fields, loan, path)
      const { flags = constants.O_RDONLY, mode = 0, resolve = 0 } = options
      const how = {
        flags: BigInt((int("flags", flags) | constants.O_CLOEXEC) >>> 0),
        mode: BigInt(int("mode", mode) >>> 0),
        resolve: BigInt(int("resolve", resolve) >>> 0)
      }
      fields.off = loan.copy(Abi.open_how.encode(how))
      fields.len = Abi.open_how.size
      return asFile
    }
  })

// ---------------------------------------------------------------------------------------------------------------------
// looking
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What to tell of a file, and how: `flags` are of `Syscall.AT_*`, `mask` of `Syscall.STATX_*` (`STATX_BASIC_STATS` and the
 * time of birth unless said).
 *
 * @category models
 * @since 0.1.0
 */
export interface StatxOptions extends PathOptions {
  readonly flags?: number | undefined
  readonly mask?: number | undefined
}

const statOf = (
  directory: File<unknown> | null,
  path: PathLike,
  flags: number,
  mask: number
): Operation<Abi.statx, errors.StatxError> =>
  operation({
    name: "STATX",
    op: constants.IORING_OP_STATX,
    errors: errors.statx,
    subject: path === "" ? {} : { path },
    target: directory,
    fill: (fields, loan) => {
      lendPath(fields, loan, path)
      const { address, bytes } = loan.room(Abi.statx.size)
      fields.off = address
      fields.len = int("mask", mask)
      fields.rwFlags = int("flags", flags)
      return decoding(errors.statx, () => Abi.statx.decode(bytes))
    }
  })

const everything = constants.STATX_BASIC_STATS | constants.STATX_BTIME

/**
 * What is known of the file at a path.
 *
 * Operation `IORING_OP_STATX`.
 *
 * @category operations
 * @since 0.1.0
 */
export const statx = (path: PathLike, options: StatxOptions = {}): Operation<Abi.statx, errors.StatxError> =>
  statOf(startOf(options), path, options.flags ?? 0, options.mask ?? everything)

/**
 * What is known of an open file.
 *
 * Operation `IORING_OP_STATX`.
 *
 * @category operations
 * @since 0.1.0
 */
export const stat = (
  file: File<unknown>,
  options: { readonly mask?: number | undefined } = {}
): Operation<Abi.statx, errors.StatxError> => statOf(file, "", constants.AT_EMPTY_PATH, options.mask ?? everything)

// ---------------------------------------------------------------------------------------------------------------------
// names
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Removes a name: with `Syscall.AT_REMOVEDIR` in `flags` that of an empty directory.
 *
 * Operation `IORING_OP_UNLINKAT`.
 *
 * @category operations
 * @since 0.1.0
 */
export const unlink = (
  path: PathLike,
  options: PathOptions & { readonly flags?: number | undefined } = {}
): Operation<void, errors.UnlinkatError> =>
  operation({
    name: "UNLINKAT",
    op: constants.IORING_OP_UNLINKAT,
    errors: errors.unlinkat,
    subject: { path },
    target: startOf(options),
    fill: (fields, loan) => {
      lendPath(fields, loan, path)
      fields.rwFlags = int("flags", options.flags ?? 0)
      return asNothing
    }
  })

/**
 * Makes a directory, with the permissions `mode`, which the umask cuts.
 *
 * Operation `IORING_OP_MKDIRAT`.
 *
 * @category operations
 * @since 0.1.0
 */
export const mkdir = (path: PathLike, mode: number, options: PathOptions = {}): Operation<void, errors.MkdiratError> =>
  operation({
    name: "MKDIRAT",
    op: constants.IORING_OP_MKDIRAT,
    errors: errors.mkdirat,
    subject: { path },
    target: startOf(options),
    fill: (fields, loan) => {
      lendPath(fields, loan, path)
      fields.len = int("mode", mode)
      return asNothing
    }
  })

/**
 * Where two paths start, and how: `flags` are of `Syscall.RENAME_*` for `rename`, of `Syscall.AT_*` for `link`.
 *
 * @category models
 * @since 0.1.0
 */
export interface TwoPathsOptions {
  /** Where the first path starts. */
  readonly fromDirectory?: File<unknown> | undefined
  /** Where the second path starts. */
  readonly toDirectory?: File<unknown> | undefined
  readonly flags?: number | undefined
}

const twoPaths = <E>(
  name: "RENAMEAT" | "LINKAT",
  callErrors: CallErrors<E>,
  from: PathLike,
  to: PathLike,
  { flags = 0, fromDirectory, toDirectory }: TwoPathsOptions
): Operation<void, E> =>
  operation({
    name,
    op: name === "RENAMEAT" ? constants.IORING_OP_RENAMEAT : constants.IORING_OP_LINKAT,
    errors: callErrors,
    subject: { path: from },
    target: fromDirectory ?? null,
    others: toDirectory === undefined ? [] : [toDirectory],
    fill: (fields, loan) => {
      fields.addr = loan.copy(pathBytes("from", from))
      fields.off = loan.copy(pathBytes("to", to))
      fields.len = toDirectory === undefined ? constants.AT_FDCWD : own(toDirectory).fd
      fields.rwFlags = int("flags", flags)
      return asNothing
    }
  })

/**
 * Gives a file another name, at which nothing stays that was there unless `flags` say so.
 *
 * Operation `IORING_OP_RENAMEAT`.
 *
 * @category operations
 * @since 0.1.0
 */
export const rename = (
  from: PathLike,
  to: PathLike,
  options: TwoPathsOptions = {}
): Operation<void, errors.Renameat2Error> => twoPaths("RENAMEAT", errors.renameat2, from, to, options)

/**
 * Gives a file one more name.
 *
 * Operation `IORING_OP_LINKAT`.
 *
 * @category operations
 * @since 0.1.0
 */
export const link = (
  from: PathLike,
  to: PathLike,
  options: TwoPathsOptions = {}
): Operation<void, errors.LinkatError> => twoPaths("LINKAT", errors.linkat, from, to, options)

/**
 * Makes a symbolic link at `path` that says `target`.
 *
 * Operation `IORING_OP_SYMLINKAT`.
 *
 * @category operations
 * @since 0.1.0
 */
export const symlink = (
  target: PathLike,
  path: PathLike,
  options: PathOptions = {}
): Operation<void, errors.SymlinkatError> =>
  operation({
    name: "SYMLINKAT",
    op: constants.IORING_OP_SYMLINKAT,
    errors: errors.symlinkat,
    subject: { path },
    target: startOf(options),
    fill: (fields, loan) => {
      fields.addr = loan.copy(pathBytes("target", target))
      fields.off = loan.copy(pathBytes("path", path))
      return asNothing
    }
  })

// ---------------------------------------------------------------------------------------------------------------------
// attributes
// ---------------------------------------------------------------------------------------------------------------------

/** The longest value of an attribute. */
const mostXattr = 65_536

const lendXattr = (fields: Fields, loan: Loan, name: PathLike, value: Buffer, flags: number): void => {
  fields.addr = loan.copy(pathBytes("name", name))
  const { address, length } = loan.source("value", [value])
  fields.off = address
  fields.len = length
  fields.rwFlags = int("flags", flags)
}

const roomForXattr = (fields: Fields, loan: Loan, name: PathLike) => {
  fields.addr = loan.copy(pathBytes("name", name))
  const { address, bytes } = loan.room(mostXattr)
  fields.off = address
  fields.len = mostXattr
  return (res: number) => Exit.succeed(bytes.slice(0, res))
}

/**
 * An attribute of the file at a path, such as `"user.comment"`. The path starts at the working directory.
 *
 * Operation `IORING_OP_GETXATTR`; since Linux 5.19.
 *
 * @category operations
 * @since 0.1.0
 */
export const getxattr = (path: PathLike, name: PathLike): Operation<Uint8Array, errors.GetxattrError> =>
  operation({
    name: "GETXATTR",
    op: constants.IORING_OP_GETXATTR,
    errors: errors.getxattr,
    subject: { path },
    fill: (fields, loan) => {
      fields.addr3 = loan.copy(pathBytes("path", path))
      return roomForXattr(fields, loan, name)
    }
  })

/**
 * An attribute of an open file.
 *
 * Operation `IORING_OP_FGETXATTR`; since Linux 5.19.
 *
 * @category operations
 * @since 0.1.0
 */
export const fgetxattr = (file: File<unknown>, name: PathLike): Operation<Uint8Array, errors.FgetxattrError> =>
  operation({
    name: "FGETXATTR",
    op: constants.IORING_OP_FGETXATTR,
    errors: errors.fgetxattr,
    target: file,
    fill: (fields, loan) => roomForXattr(fields, loan, name)
  })

/**
 * Sets an attribute of the file at a path: `flags` are of `Syscall.XATTR_*`. The path starts at the working directory.
 *
 * Operation `IORING_OP_SETXATTR`; since Linux 5.19.
 *
 * @category operations
 * @since 0.1.0
 */
export const setxattr = (
  path: PathLike,
  name: PathLike,
  value: Buffer,
  flags = 0
): Operation<void, errors.SetxattrError> =>
  operation({
    name: "SETXATTR",
    op: constants.IORING_OP_SETXATTR,
    errors: errors.setxattr,
    subject: { path },
    fill: (fields, loan) => {
      fields.addr3 = loan.copy(pathBytes("path", path))
      lendXattr(fields, loan, name, value, flags)
      return asNothing
    }
  })

/**
 * Sets an attribute of an open file: `flags` are of `Syscall.XATTR_*`.
 *
 * Operation `IORING_OP_FSETXATTR`; since Linux 5.19.
 *
 * @category operations
 * @since 0.1.0
 */
export const fsetxattr = (
  file: File<unknown>,
  name: PathLike,
  value: Buffer,
  flags = 0
): Operation<void, errors.FsetxattrError> =>
  operation({
    name: "FSETXATTR",
    op: constants.IORING_OP_FSETXATTR,
    errors: errors.fsetxattr,
    target: file,
    fill: (fields, loan) => {
      lendXattr(fields, loan, name, value, flags)
      return asNothing
    }
  })
