/**
 * Groups of fanotify and their marks; what comes out of them is in `fanotify-events.ts`.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as errors from "../errors/calls.ts"
import type { File } from "../File.ts"
import * as Ioctl from "../Ioctl.ts"
import { long, type PathLike, pathBytes } from "../internal/arguments.ts"
import * as constants from "../internal/constants.ts"
import { onThisThread, run } from "../internal/invoke.ts"
import { type BlockingOptions, Direction, directions } from "../internal/trampoline.ts"
import * as Syscall from "../Syscall.ts"
import { adopt, own } from "./model.ts"
import { ownerOf } from "./several.ts"
import { bitsOf, codeOf } from "./words.ts"

/**
 * The kind of file: `File.asDevice(file, Fanotify.device)` makes a `Fanotify` of one that came from elsewhere.
 *
 * @category models
 * @since 0.1.0
 */
export const device = Ioctl.device("Fanotify")

/**
 * A queue of events, and the marks that fill it: a group, as the manual pages call it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Fanotify extends File<typeof device> {}

/**
 * What a group is for: only to be told (`notification`), or also to be asked, when the contents are final (`content`) or
 * before they are there (`preContent`).
 *
 * @category models
 * @since 0.1.0
 */
export type Class = "notification" | "content" | "preContent"

const classes: { readonly [C in Class]: number } = {
  notification: constants.FAN_CLASS_NOTIF,
  content: constants.FAN_CLASS_CONTENT,
  preContent: constants.FAN_CLASS_PRE_CONTENT
}

/**
 * What events bring instead of, or beside, a descriptor: which object by its handle (`fid`, since Linux 5.1), which
 * directory (`dirFid`, 5.9), by which name in it (`name`, 5.9, with `dirFid`), also the object that the name is of
 * (`targetFid`, 5.17), the process as a `PidFd` (`pidfd`, 5.15), the thread and not the process (`tid`, 4.20), why there is
 * no descriptor (`fdError`, 6.13), mounts (`mnt`, 6.15).
 *
 * @category models
 * @since 0.1.0
 */
export type Report = "fid" | "dirFid" | "name" | "targetFid" | "pidfd" | "tid" | "fdError" | "mnt"

const reports: { readonly [R in Report]: number } = {
  fid: constants.FAN_REPORT_FID,
  dirFid: constants.FAN_REPORT_DIR_FID,
  name: constants.FAN_REPORT_NAME,
  targetFid: constants.FAN_REPORT_TARGET_FID,
  pidfd: constants.FAN_REPORT_PIDFD,
  tid: constants.FAN_REPORT_TID,
  fdError: constants.FAN_REPORT_FD_ERROR,
  mnt: constants.FAN_REPORT_MNT
}

export const accesses = { read: constants.O_RDONLY, write: constants.O_WRONLY, readWrite: constants.O_RDWR }

/**
 * How a group is made.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** `notification` unless said. */
  readonly class?: Class | undefined
  /** A descriptor only, unless said. A mask of `FAN_REPORT_*` will do too. */
  readonly report?: ReadonlyArray<Report> | number | undefined
  /** No limit of 16,384 events in the queue: needs `CAP_SYS_ADMIN`. False. */
  readonly unlimitedQueue?: boolean | undefined
  /** No limit of marks: needs `CAP_SYS_ADMIN`. False. */
  readonly unlimitedMarks?: boolean | undefined
  /** Responses can be put into the audit log: needs `CAP_AUDIT_WRITE`. False. */
  readonly audit?: boolean | undefined
  /** What the descriptors of events are opened for: `read` unless said. */
  readonly access?: "read" | "write" | "readWrite" | undefined
}

/**
 * Makes a group without marks, for as long as the scope is open. When it is closed, whoever waits for permission has it.
 *
 * Does not block. Manual page: fanotify_init(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Fanotify, File } from "effect-linux"
 *
 * // nobody opens what begins with "MZ"
 * const guard = Effect.gen(function* () {
 *   const group = yield* Fanotify.make({ class: "content" })
 *   yield* Fanotify.mark(group, { path: "/home", on: "mount", events: ["openPerm"] })
 *   yield* Fanotify.forEach(group, (event) =>
 *     Effect.gen(function* () {
 *       if (event._tag !== "Permission" || event.file === undefined) return
 *       const magic = new Uint8Array(2)
 *       yield* File.pread(event.file, magic, 0)
 *       return magic[0] === 0x4d && magic[1] === 0x5a ? "deny" : "allow"
 *     })
 *   )
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options = {}): Effect.Effect<Fanotify, errors.FanotifyInitError, Scope.Scope> => {
  const { access = "read", audit = false, class: kind = "notification", report = 0 } = options
  const { unlimitedMarks = false, unlimitedQueue = false } = options
  return adopt<typeof device, errors.FanotifyInitError>(
    {
      errors: errors.fanotify_init,
      nr: Syscall.nr.fanotify_init,
      prepare: () => [
        codeOf("class", classes, kind) |
          bitsOf("report", reports, report) |
          constants.FAN_CLOEXEC |
          constants.FAN_NONBLOCK |
          (unlimitedQueue ? constants.FAN_UNLIMITED_QUEUE : 0) |
          (unlimitedMarks ? constants.FAN_UNLIMITED_MARKS : 0) |
          (audit ? constants.FAN_ENABLE_AUDIT : 0),
        codeOf("access", accesses, access) | constants.O_CLOEXEC | constants.O_LARGEFILE
      ],
      decode: Number,
      options: onThisThread
    },
    undefined,
    true
  )
}

/**
 * What can happen. Those that end in `Perm`, and `preAccess`, ask for permission: only in groups of another class than
 * `notification`.
 *
 * @category models
 * @since 0.1.0
 */
export type Change = keyof typeof changes

export const changes = {
  access: constants.FAN_ACCESS,
  modify: constants.FAN_MODIFY,
  attrib: constants.FAN_ATTRIB,
  closeWrite: constants.FAN_CLOSE_WRITE,
  closeNoWrite: constants.FAN_CLOSE_NOWRITE,
  open: constants.FAN_OPEN,
  movedFrom: constants.FAN_MOVED_FROM,
  movedTo: constants.FAN_MOVED_TO,
  create: constants.FAN_CREATE,
  delete: constants.FAN_DELETE,
  deleteSelf: constants.FAN_DELETE_SELF,
  moveSelf: constants.FAN_MOVE_SELF,
  openExec: constants.FAN_OPEN_EXEC,
  rename: constants.FAN_RENAME,
  fsError: constants.FAN_FS_ERROR,
  openPerm: constants.FAN_OPEN_PERM,
  accessPerm: constants.FAN_ACCESS_PERM,
  openExecPerm: constants.FAN_OPEN_EXEC_PERM,
  preAccess: constants.FAN_PRE_ACCESS,
  mntAttach: constants.FAN_MNT_ATTACH,
  mntDetach: constants.FAN_MNT_DETACH
} as const

/**
 * What a mark is of: changes, also those of directories (`onDir`), also those of what is in a marked directory
 * (`eventOnChild`).
 *
 * @category models
 * @since 0.1.0
 */
export type Interest = Change | "close" | "move" | "onDir" | "eventOnChild"

const interests: { readonly [Word in Interest]: number } = {
  ...changes,
  close: constants.FAN_CLOSE,
  move: constants.FAN_MOVE,
  onDir: constants.FAN_ONDIR,
  eventOnChild: constants.FAN_EVENT_ON_CHILD
}

const scopes = {
  inode: constants.FAN_MARK_INODE,
  mount: constants.FAN_MARK_MOUNT,
  filesystem: constants.FAN_MARK_FILESYSTEM,
  mntns: constants.FAN_MARK_MNTNS
}

/**
 * What is marked and how. Either a path, or a `File`, which must not be only a path (`EBADF`).
 *
 * @category models
 * @since 0.1.0
 */
export type Mark = {
  /** In words, or as a mask of `FAN_*`. */
  readonly events: ReadonlyArray<Interest> | number | bigint
  /** The file or directory itself, the mount or file system that it is on, or the mount namespace that it is: `inode`. */
  readonly on?: "inode" | "mount" | "filesystem" | "mntns" | undefined
  /** Fail with `ENOTDIR` for what is no directory. False. */
  readonly onlyDirectory?: boolean | undefined
  /** Mark a symbolic link and not what it leads to. False. */
  readonly noFollow?: boolean | undefined
  /**
   * Leave these events out, where another mark would tell of them; `survivesModify` also after the file was modified. Since
   * Linux 6.0.
   */
  readonly ignore?: boolean | "survivesModify" | undefined
  /** The kernel may forget the mark when it is short of memory. Since Linux 5.19. False. */
  readonly evictable?: boolean | undefined
} & (
  | { readonly path: PathLike; readonly file?: undefined }
  | { readonly file: File<unknown>; readonly path?: undefined }
)

const markOptions: BlockingOptions = {
  directions: directions(Direction.unknown, Direction.unknown, Direction.unknown, Direction.unknown, Direction.in)
}

const marking = (group: Fanotify, operation: number, mark: Mark): Effect.Effect<void, errors.FanotifyMarkError> =>
  Effect.suspend(() => {
    const { events, evictable = false, file, ignore = false, noFollow = false, on = "inode", path } = mark
    const self = own(group)
    const target = file === undefined ? undefined : own(file)
    const flags =
      operation |
      codeOf("on", scopes, on) |
      (mark.onlyDirectory === true ? constants.FAN_MARK_ONLYDIR : 0) |
      (noFollow ? constants.FAN_MARK_DONT_FOLLOW : 0) |
      (evictable ? constants.FAN_MARK_EVICTABLE : 0) |
      (ignore === false ? 0 : ignore === "survivesModify" ? constants.FAN_MARK_IGNORE_SURV : constants.FAN_MARK_IGNORE)
    return run(
      {
        errors: errors.fanotify_mark,
        nr: Syscall.nr.fanotify_mark,
        prepare: () => [
          self.fd,
          flags,
          typeof events === "bigint" ? long("events", events) : bitsOf("events", interests, events),
          target?.fd ?? constants.AT_FDCWD,
          path === undefined ? null : pathBytes("path", path)
        ],
        decode: () => {},
        options: markOptions,
        subject: path === undefined ? { fd: target?.fd } : { path }
      },
      undefined,
      ownerOf(target === undefined ? [self] : [self, target])
    )
  })

/**
 * Marks a file, directory, mount or file system, or adds to its mark.
 *
 * Can wait for a disk or server; interruptible, and then it may be marked or not. Manual page: fanotify_mark(2).
 *
 * @category marks
 * @since 0.1.0
 */
export const mark = (group: Fanotify, what: Mark): Effect.Effect<void, errors.FanotifyMarkError> =>
  marking(group, constants.FAN_MARK_ADD, what)

/**
 * Takes events from a mark, and with the last of them the mark.
 *
 * Fails with `ENOENT` where there is none. Can wait for a disk or server; interruptible. Manual page: fanotify_mark(2).
 *
 * @category marks
 * @since 0.1.0
 */
export const unmark = (group: Fanotify, what: Mark): Effect.Effect<void, errors.FanotifyMarkError> =>
  marking(group, constants.FAN_MARK_REMOVE, what)

/**
 * Removes all marks of files and directories, of mounts, or of file systems. Manual page: fanotify_mark(2).
 *
 * @category marks
 * @since 0.1.0
 */
export const flush = (
  group: Fanotify,
  on: "inode" | "mount" | "filesystem" = "inode"
): Effect.Effect<void, errors.FanotifyMarkError> =>
  marking(group, constants.FAN_MARK_FLUSH, { path: "/", on, events: 0 })
