/**
 * Calls on mounts, file systems and quotas whose arguments or results are more than one word or structure each. The
 * others are generated.
 */

import type * as Effect from "effect/Effect"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import { byArchitecture } from "../internal/architecture.ts"
import { type Buffer, bufferLength, descriptor, int, long, type PathLike, pathBytes } from "../internal/arguments.ts"
import { bytesOf } from "../internal/bytes.ts"
import {
  AT_FDCWD,
  FSCONFIG_SET_BINARY,
  FSCONFIG_SET_PATH,
  FSCONFIG_SET_PATH_EMPTY,
  STATMOUNT_FS_SUBTYPE,
  STATMOUNT_FS_TYPE,
  STATMOUNT_MNT_GIDMAP,
  STATMOUNT_MNT_OPTS,
  STATMOUNT_MNT_POINT,
  STATMOUNT_MNT_ROOT,
  STATMOUNT_MNT_UIDMAP,
  STATMOUNT_OPT_ARRAY,
  STATMOUNT_OPT_SEC_ARRAY,
  STATMOUNT_SB_SOURCE
} from "../internal/constants.ts"
import { Misuse, onThisThread, run } from "../internal/invoke.ts"
import type { Argument } from "../internal/native.ts"
import { type BlockingOptions, Direction, directions } from "../internal/trampoline.ts"
import { memoryAt, nothing, number } from "./convert.ts"
import { absent, closeAbandoned } from "./policy.ts"
import { nr } from "./raw.ts"

const { in: reads, out: writes } = Direction

/** Calls whose memory the kernel only reads. */
const readingOptions: BlockingOptions = { directions: directions(reads, reads, reads, reads, reads) }

const nameOrNull = (name: string, value: PathLike | null): Uint8Array | null =>
  value === null ? null : pathBytes(name, value)

// ---------------------------------------------------------------------------------------------------------------------
// mounting
// ---------------------------------------------------------------------------------------------------------------------

/** What the kernel copies of a file system's options: a page, the last byte of which it sets to NUL. */
const mostData = byArchitecture({ x86_64: 4096, aarch64: 65536, riscv64: 4096 })

/** All that the kernel reads is ours to show: it copies a whole page, however short the options. */
const mountData = (data: string | Buffer | null): Uint8Array | null => {
  if (data === null) return null
  const bytes = typeof data === "string" ? pathBytes("data", data) : bytesOf(data)
  if (bytes.length > mostData) throw new Misuse(codes.EINVAL, `data: ${bytes.length} bytes are more than a page`)
  const memory = new Uint8Array(mostData)
  memory.set(bytes)
  return memory
}

/**
 * `mount(source, target, filesystemtype, mountflags, data)`—Mounts a file system at `target`, or changes or moves a mount.
 *
 * `mountflags` are of `MS_*`; what the other arguments mean, and whether they are null, depends on them. `data` are the
 * file system's own options, as text separated by commas, or in the few cases that want them so as bytes; at most a page.
 *
 * Can wait for a disk or server: made on another thread; interruptible. Manual page: mount(2).
 *
 * @category mounts
 * @since 0.1.0
 */
export const mount = (
  source: PathLike | null,
  target: PathLike,
  filesystemtype: PathLike | null,
  mountflags: number | bigint = 0,
  data: string | Buffer | null = null
): Effect.Effect<void, errors.MountError> =>
  run({
    errors: errors.mount,
    nr: nr.mount,
    prepare: () => [
      nameOrNull("source", source),
      pathBytes("target", target),
      nameOrNull("filesystemtype", filesystemtype),
      long("mountflags", mountflags),
      mountData(data)
    ],
    decode: nothing,
    options: readingOptions,
    subject: { path: target }
  })

const openOptions: BlockingOptions = { ...readingOptions, onAbandoned: closeAbandoned }

/**
 * `open_tree_attr(dirfd, path, flags, attributes)`—Like {@link open_tree}, and changes the attributes of the detached copy
 * as {@link mount_setattr} does; null leaves them.
 *
 * Can wait for a disk or server: made on another thread; interruptible. Since Linux 6.15. Manual page: open_tree(2).
 *
 * @category mounts
 * @since 0.1.0
 */
export const open_tree_attr = (
  dirfd: number,
  path: PathLike,
  flags: number,
  attributes: Abi.mount_attr | null
): Effect.Effect<number, errors.OpenTreeAttrError> =>
  run({
    errors: errors.open_tree_attr,
    nr: nr.open_tree_attr,
    prepare: () => [
      descriptor("dirfd", dirfd),
      pathBytes("path", path),
      int("flags", flags),
      attributes === null ? null : Abi.mount_attr.encode(attributes),
      attributes === null ? 0 : Abi.mount_attr.size
    ],
    decode: number,
    options: openOptions,
    subject: path === "" ? { fd: dirfd } : { path }
  })

/** What `fsconfig` takes with a command: what `value` points to, and `aux`. */
const configured = (
  cmd: number,
  value: PathLike | Buffer | null,
  aux: number | undefined
): readonly [Argument, number] => {
  if (value === null) return [null, int("aux", aux ?? 0)]
  if (cmd === FSCONFIG_SET_BINARY) {
    if (typeof value === "string") throw new TypeError("value: expected a buffer or view for FSCONFIG_SET_BINARY")
    return [value, bufferLength("value", value, aux)]
  }
  if (typeof value !== "string" && !(value instanceof Uint8Array)) {
    throw new TypeError("value: expected a string or a Uint8Array")
  }
  const isPath = cmd === FSCONFIG_SET_PATH || cmd === FSCONFIG_SET_PATH_EMPTY
  return [pathBytes("value", value), int("aux", aux ?? (isPath ? AT_FDCWD : 0))]
}

/**
 * `fsconfig(fd, cmd, key, value, aux)`—Sets a parameter of a file system that {@link fsopen} or {@link fspick} began to
 * configure, or makes it (`FSCONFIG_CMD_CREATE`) or changes it (`FSCONFIG_CMD_RECONFIGURE`).
 *
 * With `FSCONFIG_SET_FLAG` there is no value; with `FSCONFIG_SET_STRING` it is text; with `FSCONFIG_SET_BINARY` bytes,
 * whose number is `aux`, by default all; with `FSCONFIG_SET_PATH` a path from the directory `aux`, by default the working
 * directory; with `FSCONFIG_SET_FD` the value is null and `aux` a descriptor. The commands have neither key nor value.
 *
 * Can wait for a disk or server: made on another thread; interruptible. Since Linux 5.2. Manual page: fsconfig(2).
 *
 * @category mounts
 * @since 0.1.0
 */
export const fsconfig = (
  fd: number,
  cmd: number,
  key: PathLike | null = null,
  value: PathLike | Buffer | null = null,
  aux?: number
): Effect.Effect<void, errors.FsconfigError> =>
  run({
    errors: errors.fsconfig,
    nr: nr.fsconfig,
    prepare: () => [descriptor("fd", fd), int("cmd", cmd), nameOrNull("key", key), ...configured(cmd, value, aux)],
    decode: nothing,
    options: readingOptions,
    subject: { fd }
  })

// ---------------------------------------------------------------------------------------------------------------------
// what is mounted
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Which mount {@link statmount} and {@link listmount} are asked about: by its unique identifier, as `statx` gives it with
 * `STATX_MNT_ID_UNIQUE`, or `LSMT_ROOT`.
 *
 * @category models
 * @since 0.1.0
 */
export interface MountRequest {
  readonly mnt_id: bigint
  /** `statmount`: what to tell, of `STATMOUNT_*`. `listmount`: the last identifier that is known already, or 0. */
  readonly param: number | bigint
  /** In which mount namespace, by its identifier; by default in the caller's own. */
  readonly mnt_ns_id?: bigint | undefined
  /** The same, by a descriptor (since Linux 6.18). */
  readonly mnt_ns_fd?: number | undefined
}

const request = ({ mnt_id, mnt_ns_fd = 0, mnt_ns_id = 0n, param }: MountRequest): Uint8Array =>
  Abi.mnt_id_req.encode({
    size: Abi.mnt_id_req.size,
    mnt_id,
    mnt_ns_fd,
    mnt_ns_id,
    param: BigInt(long("param", param))
  })

const strings = {
  mnt_opts: STATMOUNT_MNT_OPTS,
  fs_type: STATMOUNT_FS_TYPE,
  mnt_root: STATMOUNT_MNT_ROOT,
  mnt_point: STATMOUNT_MNT_POINT,
  fs_subtype: STATMOUNT_FS_SUBTYPE,
  sb_source: STATMOUNT_SB_SOURCE
} as const

const lists = {
  opt_array: [STATMOUNT_OPT_ARRAY, "opt_num"],
  opt_sec_array: [STATMOUNT_OPT_SEC_ARRAY, "opt_sec_num"],
  mnt_uidmap: [STATMOUNT_MNT_UIDMAP, "mnt_uidmap_num"],
  mnt_gidmap: [STATMOUNT_MNT_GIDMAP, "mnt_gidmap_num"]
} as const

type StringField = keyof typeof strings
type ListField = keyof typeof lists

/**
 * What `statmount` tells of a mount: {@link Abi.statmount} with its strings, as bytes. `mask` says what was told; strings
 * that were not are undefined.
 *
 * @category models
 * @since 0.1.0
 */
export interface MountStatus
  extends Omit<Abi.statmount, StringField | ListField>,
    Readonly<Record<StringField, Uint8Array | undefined>>,
    Readonly<Record<ListField, ReadonlyArray<Uint8Array> | undefined>> {}

const mountStatus = (memory: Uint8Array): MountStatus => {
  const status = Abi.statmount.decode(memory)
  const told = (bit: number): boolean => (status.mask & BigInt(bit)) !== 0n
  const stringAt = (offset: number): Uint8Array => {
    const rest = memory.subarray(Abi.statmount.size + offset)
    return rest.slice(0, rest.indexOf(0))
  }
  const stringOf = (field: StringField): Uint8Array | undefined =>
    told(strings[field]) ? stringAt(status[field]) : undefined
  const listOf = (field: ListField): ReadonlyArray<Uint8Array> | undefined => {
    const [bit, count] = lists[field]
    if (!told(bit)) return undefined
    let at = status[field]
    return Array.from({ length: status[count] }, () => {
      const string = stringAt(at)
      at += string.length + 1
      return string
    })
  }
  return {
    ...status,
    mnt_opts: stringOf("mnt_opts"),
    fs_type: stringOf("fs_type"),
    mnt_root: stringOf("mnt_root"),
    mnt_point: stringOf("mnt_point"),
    fs_subtype: stringOf("fs_subtype"),
    sb_source: stringOf("sb_source"),
    opt_array: listOf("opt_array"),
    opt_sec_array: listOf("opt_sec_array"),
    mnt_uidmap: listOf("mnt_uidmap"),
    mnt_gidmap: listOf("mnt_gidmap")
  }
}

const room = (name: string, value: number): number => {
  if (!Number.isInteger(value) || value < 0) throw new Misuse(codes.EINVAL, `${name}: ${value} is no length`)
  return value
}

const statmountOptions: BlockingOptions = { directions: directions(reads, writes) }

/**
 * `statmount(req, flags, stringBytes)`—Tells about a mount what `req.param` asks for.
 *
 * `flags` must be 0. There is room for `stringBytes` bytes of strings, by default 16,384; more fail with `EOVERFLOW`.
 *
 * Can wait for a file system to tell its options: made on another thread; interruptible. Since Linux 6.8. Manual page:
 * statmount(2).
 *
 * @category mounts
 * @since 0.1.0
 */
export const statmount = (
  req: MountRequest,
  flags = 0,
  stringBytes = 0x4000
): Effect.Effect<MountStatus, errors.StatmountError> =>
  run({
    errors: errors.statmount,
    nr: nr.statmount,
    prepare: () => {
      const size = Abi.statmount.size + room("stringBytes", stringBytes)
      return [request(req), new Uint8Array(size), size, int("flags", flags)]
    },
    decode: (_, args) => mountStatus(memoryAt(args, 1)),
    options: statmountOptions
  })

/**
 * `listmount(req, count, flags)`—Lists the unique identifiers of the mounts below `req.mnt_id`, at most `count` of them (by
 * default 1,024). For the next ones `req.param` is the last of these.
 *
 * `flags` is 0 or `LISTMOUNT_REVERSE`.
 *
 * Does not block. Since Linux 6.8. Manual page: listmount(2).
 *
 * @category mounts
 * @since 0.1.0
 */
export const listmount = (
  req: MountRequest,
  count = 1024,
  flags = 0
): Effect.Effect<ReadonlyArray<bigint>, errors.ListmountError> =>
  run({
    errors: errors.listmount,
    nr: nr.listmount,
    prepare: () => [request(req), new Uint8Array(8 * room("count", count)), count, int("flags", flags)],
    decode: (found, args) => {
      const view = new DataView(memoryAt(args, 1).buffer)
      return Array.from({ length: number(found) }, (_, index) => view.getBigUint64(8 * index, true))
    },
    options: onThisThread
  })

// ---------------------------------------------------------------------------------------------------------------------
// quotas
// ---------------------------------------------------------------------------------------------------------------------

/**
 * `QCMD(cmd, type)`—A command of {@link quotactl}: one of `Q_*` for one of `USRQUOTA`, `GRPQUOTA` and `PRJQUOTA`.
 *
 * @category mounts
 * @since 0.1.0
 */
export const QCMD = (cmd: number, type: number): number => ((cmd << 8) | (type & 0xff)) >>> 0

/** More than any structure that a quota command reads or writes. */
const quotaRoom = 4096

/** The kernel knows by the command how much it writes: with room for all of them no buffer is too small for it. */
const quotaMemory = (addr: PathLike | Buffer | null): Uint8Array | null => {
  if (addr === null) return null
  const bytes = typeof addr === "string" ? pathBytes("addr", addr) : bytesOf(addr)
  const memory = new Uint8Array(Math.max(bytes.length + 1, quotaRoom))
  memory.set(bytes)
  return memory
}

const giveBack = (addr: PathLike | Buffer | null, memory: Argument | undefined): void => {
  if (addr === null || typeof addr === "string" || !(memory instanceof Uint8Array) || addr.byteLength === 0) return
  bytesOf(addr).set(memory.subarray(0, addr.byteLength))
}

/**
 * `quotactl(cmd, special, id, addr)`—Manipulates the disk quotas of the file system on the block device `special`.
 *
 * `cmd` is one of {@link QCMD}; `id` a user, group or project. `addr` is memory for the command's structure, in which its
 * answer comes too ({@link Abi.if_dqblk}, {@link Abi.if_dqinfo}, {@link Abi.fs_disk_quota}, …), or for `Q_QUOTAON` a path.
 *
 * Can wait for a disk or server: made on another thread; interruptible. Manual page: quotactl(2).
 *
 * @category mounts
 * @since 0.1.0
 */
export const quotactl = (
  cmd: number,
  special: PathLike | null,
  id: number,
  addr: PathLike | Buffer | null
): Effect.Effect<void, errors.QuotactlError> =>
  run({
    errors: errors.quotactl,
    nr: nr.quotactl,
    prepare: () => [int("cmd", cmd), nameOrNull("special", special), int("id", id), quotaMemory(addr)],
    decode: (_, args) => giveBack(addr, args[3]),
    options: {},
    subject: { path: special ?? undefined }
  })

/**
 * `quotactl_fd(fd, cmd, id, addr)`—Like {@link quotactl}, of the file system that an open file is on.
 *
 * Can wait for a disk or server: made on another thread; interruptible. Since Linux 5.14. Manual page: quotactl(2).
 *
 * @category mounts
 * @since 0.1.0
 */
export const quotactl_fd = (
  fd: number,
  cmd: number,
  id: number,
  addr: PathLike | Buffer | null
): Effect.Effect<void, errors.QuotactlFdError> =>
  run({
    errors: errors.quotactl_fd,
    nr: nr.quotactl_fd,
    prepare: () => [descriptor("fd", fd), int("cmd", cmd), int("id", id), quotaMemory(addr)],
    decode: (_, args) => giveBack(addr, args[3]),
    options: {},
    subject: { fd }
  })

// ---------------------------------------------------------------------------------------------------------------------
// which file systems there are
// ---------------------------------------------------------------------------------------------------------------------

/** More than the name of any file system. */
const fsNameRoom = 4096

/**
 * `sysfs(option, argument)`—Tells the number of a file system type by its name (option 1), its name by its number (option
 * 2), or how many there are (option 3). `/proc/filesystems` tells the same.
 *
 * Does not block. Only on x86_64; elsewhere, and where the kernel is built without it, it fails with `ENOSYS`. Manual
 * page: sysfs(2).
 *
 * @category mounts
 * @since 0.1.0
 */
export function sysfs(option: 1, fsname: PathLike): Effect.Effect<number, errors.SysfsError>
export function sysfs(option: 2, index: number): Effect.Effect<string, errors.SysfsError>
export function sysfs(option: 3): Effect.Effect<number, errors.SysfsError>
export function sysfs(
  option: 1 | 2 | 3,
  argument: PathLike | number = 0
): Effect.Effect<number | string, errors.SysfsError> {
  return run({
    errors: errors.sysfs,
    nr: nr.sysfs ?? absent,
    prepare: () => [
      int("option", option),
      typeof argument === "number" ? int("index", argument) : pathBytes("fsname", argument),
      // What the kernel writes without asking how much there is room for.
      new Uint8Array(fsNameRoom)
    ],
    decode: (result, args) => {
      if (option !== 2) return number(result)
      const memory = memoryAt(args, 2)
      return new TextDecoder().decode(memory.subarray(0, memory.indexOf(0)))
    },
    options: onThisThread
  })
}
