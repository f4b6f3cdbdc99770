/**
 * Changes of files and directories, by their paths: `inotify`.
 *
 * A watch is of a file or directory, and not of what is in directories within it. `Fanotify` watches whole mounts and file
 * systems, and needs privileges.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Abi from "./Abi.ts"
import * as errors from "./errors/calls.ts"
import { codes } from "./errors/errnos.ts"
import type { File } from "./File.ts"
import { adopt, own } from "./file/model.ts"
import { attemptOn, ownerOf } from "./file/several.ts"
import { bitsOf, nameOf, wordsOf } from "./file/words.ts"
import * as Ioctl from "./Ioctl.ts"
import { type PathLike, pathBytes } from "./internal/arguments.ts"
import * as constants from "./internal/constants.ts"
import { type Descriptor, runOn } from "./internal/descriptor.ts"
import { type Description, decodedAs, Misuse, onThisThread, run } from "./internal/invoke.ts"
import { type BlockingOptions, Direction, directions } from "./internal/trampoline.ts"
import * as Syscall from "./Syscall.ts"
import { number } from "./syscall/convert.ts"
import * as describe from "./syscall/descriptions.ts"

/**
 * The kind of file: `File.asDevice(file, Inotify.device)` makes an `Inotify` of one that came from elsewhere.
 *
 * @category models
 * @since 0.1.0
 */
export const device = Ioctl.device("Inotify")

/**
 * A queue of changes, and the watches that fill it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Inotify extends File<typeof device> {}

/**
 * What can happen: to what is in a watched directory, or to the watched file itself (`deleteSelf`, `moveSelf`).
 *
 * @category models
 * @since 0.1.0
 */
export type Change =
  | "access"
  | "modify"
  | "attrib"
  | "closeWrite"
  | "closeNoWrite"
  | "open"
  | "movedFrom"
  | "movedTo"
  | "create"
  | "delete"
  | "deleteSelf"
  | "moveSelf"

/**
 * What a watch is of: changes, or several by one word; and how it watches: only a directory (`onlyDirectory`), not what a
 * symbolic link leads to (`noFollow`), not what was unlinked (`excludeUnlinked`), in addition to what the same file is
 * watched for already (`maskAdd`), only what is not watched yet (`maskCreate`, since Linux 4.18), once (`oneShot`).
 *
 * @category models
 * @since 0.1.0
 */
export type Interest =
  | Change
  | "close"
  | "move"
  | "all"
  | "onlyDirectory"
  | "noFollow"
  | "excludeUnlinked"
  | "maskAdd"
  | "maskCreate"
  | "oneShot"

const changes: { readonly [Word in Change]: number } = {
  access: constants.IN_ACCESS,
  modify: constants.IN_MODIFY,
  attrib: constants.IN_ATTRIB,
  closeWrite: constants.IN_CLOSE_WRITE,
  closeNoWrite: constants.IN_CLOSE_NOWRITE,
  open: constants.IN_OPEN,
  movedFrom: constants.IN_MOVED_FROM,
  movedTo: constants.IN_MOVED_TO,
  create: constants.IN_CREATE,
  delete: constants.IN_DELETE,
  deleteSelf: constants.IN_DELETE_SELF,
  moveSelf: constants.IN_MOVE_SELF
}

const interests: { readonly [Word in Interest]: number } = {
  ...changes,
  close: constants.IN_CLOSE,
  move: constants.IN_MOVE,
  all: constants.IN_ALL_EVENTS,
  onlyDirectory: constants.IN_ONLYDIR,
  noFollow: constants.IN_DONT_FOLLOW,
  excludeUnlinked: constants.IN_EXCL_UNLINK,
  maskAdd: constants.IN_MASK_ADD,
  maskCreate: constants.IN_MASK_CREATE,
  oneShot: constants.IN_ONESHOT
}

/**
 * A watch, by the number that the kernel has for it. Watching the same file twice gives the same watch.
 *
 * @category models
 * @since 0.1.0
 */
export interface Watch {
  readonly wd: number
  /** What it was put on. */
  readonly path: PathLike
}

/**
 * What comes out of a queue:
 *
 * - `Change`: something happened to the file that the watch `wd` is of or, where there is a `name`, to what has that name in
 *   the directory. `cookie` is the same for the two halves of a move, and 0 for all else.
 * - `Ignored`: the watch has ended, as it was removed or its file is gone.
 * - `Unmounted`: the file system of the watch was unmounted; `Ignored` follows.
 * - `Overflow`: the queue was full, and events were lost. Look at the files themselves.
 *
 * @category models
 * @since 0.1.0
 */
export type Event =
  | {
      readonly _tag: "Change"
      readonly wd: number
      readonly changes: ReadonlyArray<Change>
      readonly isDirectory: boolean
      /** Bytes where it is no UTF-8. */
      readonly name: string | Uint8Array | undefined
      readonly cookie: number
      /** The changes as a mask of `IN_*`. */
      readonly mask: number
    }
  | { readonly _tag: "Ignored"; readonly wd: number }
  | { readonly _tag: "Unmounted"; readonly wd: number }
  | { readonly _tag: "Overflow" }

/**
 * A file that was renamed, and both its names were watched.
 *
 * @category models
 * @since 0.1.0
 */
export interface Moved {
  readonly _tag: "Moved"
  readonly isDirectory: boolean
  readonly from: { readonly wd: number; readonly name: string | Uint8Array }
  readonly to: { readonly wd: number; readonly name: string | Uint8Array }
}

/**
 * Makes an empty queue, for as long as the scope is open. Watches end with it.
 *
 * Does not block. Manual page: inotify_init(2).
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Inotify } from "effect-linux"
 *
 * const program = Effect.gen(function* () {
 *   const queue = yield* Inotify.make
 *   yield* Inotify.add(queue, "/etc", ["closeWrite", "movedTo"])
 *   yield* Stream.runForEach(Inotify.events(queue), (event) => Effect.log(event))
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<Inotify, errors.InotifyInit1Error, Scope.Scope> = adopt<
  typeof device,
  errors.InotifyInit1Error
>(
  {
    errors: errors.inotify_init1,
    nr: Syscall.nr.inotify_init1,
    prepare: () => [constants.IN_CLOEXEC | constants.IN_NONBLOCK],
    decode: Number,
    options: onThisThread
  },
  undefined,
  true
)

const addOptions: BlockingOptions = { directions: directions(Direction.unknown, Direction.in) }

/**
 * Watches a file or directory, or changes what of it is watched. `events` are words, or a mask of `IN_*`.
 *
 * Fails with `ENOSPC` where the user has too many watches (`/proc/sys/fs/inotify/max_user_watches`), and with `EEXIST` for
 * `maskCreate` where there is one.
 *
 * Can wait for a disk or server; interruptible, and then it may watch or not. Manual page: inotify_add_watch(2).
 *
 * @category watches
 * @since 0.1.0
 */
export const add = (
  inotify: Inotify,
  path: PathLike,
  events: ReadonlyArray<Interest> | number
): Effect.Effect<Watch, errors.InotifyAddWatchError> =>
  Effect.suspend(() => {
    const self = own(inotify)
    return runOn(self, {
      errors: errors.inotify_add_watch,
      nr: Syscall.nr.inotify_add_watch,
      prepare: () => [self.fd, pathBytes("path", path), bitsOf("events", interests, events)],
      decode: (wd) => ({ wd: number(wd), path }),
      options: addOptions,
      subject: { path }
    })
  })

/**
 * Watches what a `File` is of, also where it has no path: as {@link add}.
 *
 * @category watches
 * @since 0.1.0
 */
export const addFile = (
  inotify: Inotify,
  file: File<unknown>,
  events: ReadonlyArray<Interest> | number
): Effect.Effect<Watch, errors.InotifyAddWatchError> =>
  Effect.suspend(() => {
    const [self, target] = [own(inotify), own(file)]
    const path = `/proc/self/fd/${target.fd}`
    return run(
      {
        errors: errors.inotify_add_watch,
        nr: Syscall.nr.inotify_add_watch,
        prepare: () => [self.fd, pathBytes("path", path), bitsOf("events", interests, events)],
        decode: (wd) => ({ wd: number(wd), path }),
        options: addOptions,
        subject: { path }
      },
      undefined,
      ownerOf([self, target])
    )
  })

/**
 * Ends a watch; an `Ignored` follows what is in the queue. Fails with `EINVAL` where there is none.
 *
 * Does not block. Manual page: inotify_rm_watch(2).
 *
 * @category watches
 * @since 0.1.0
 */
export const remove = (inotify: Inotify, watch: Watch): Effect.Effect<void, errors.InotifyRmWatchError> =>
  Effect.suspend(() => {
    const self = own(inotify)
    return runOn(self, {
      errors: errors.inotify_rm_watch,
      nr: Syscall.nr.inotify_rm_watch,
      prepare: () => [self.fd, watch.wd],
      decode: () => {},
      options: onThisThread,
      subject: { fd: self.fd }
    })
  })

/**
 * Watches a file or directory for as long as the scope is open: as {@link add}.
 *
 * Two watches of the same file are one to the kernel, and end together.
 *
 * @category watches
 * @since 0.1.0
 */
export const watch = (
  inotify: Inotify,
  path: PathLike,
  events: ReadonlyArray<Interest> | number
): Effect.Effect<Watch, errors.InotifyAddWatchError, Scope.Scope> =>
  Effect.acquireRelease(add(inotify, path, events), (watch) => Effect.ignore(remove(inotify, watch)))

const eventOf = ({ cookie, mask, name, wd }: Syscall.InotifyEvent): Event => {
  if ((mask & constants.IN_Q_OVERFLOW) !== 0) return { _tag: "Overflow" }
  if ((mask & constants.IN_IGNORED) !== 0) return { _tag: "Ignored", wd }
  if ((mask & constants.IN_UNMOUNT) !== 0) return { _tag: "Unmounted", wd }
  return {
    _tag: "Change",
    wd,
    changes: wordsOf(changes, mask),
    isDirectory: (mask & constants.IN_ISDIR) !== 0,
    name: name.length === 0 ? undefined : nameOf(name),
    cookie,
    mask
  }
}

/** Room for one event with the longest name, at least. */
const leastSize = Abi.inotify_event.size + 256

/**
 * How a stream reads the queue: with a buffer of so many bytes, 16 KiB unless said.
 *
 * @category models
 * @since 0.1.0
 */
export interface EventsOptions {
  readonly bufferSize?: number | undefined
}

const reading = (
  self: Descriptor,
  { bufferSize = 16 * 1024 }: EventsOptions
): Description<ReadonlyArray<Event>, errors.ReadError> => {
  const buffer = new Uint8Array(Number.isSafeInteger(bufferSize) && bufferSize >= leastSize ? bufferSize : 0)
  const described = describe.read(self.fd, buffer)
  return {
    ...decodedAs(described, (length) => Syscall.inotifyEvents(buffer, number(length)).map(eventOf)),
    prepare: () => {
      if (buffer.length === 0) {
        throw new Misuse(codes.EINVAL, `bufferSize: expected an integer of at least ${leastSize}, got ${bufferSize}`)
      }
      return described.prepare()
    }
  }
}

/**
 * What happens to the watched files, as it happens.
 *
 * Each event goes to one reader; those that a stream has read and nobody has taken are lost when it is interrupted. Ends
 * only with the queue, or with an error of reading it.
 *
 * @category events
 * @since 0.1.0
 */
export const events = (inotify: Inotify, options: EventsOptions = {}): Stream.Stream<Event, errors.ReadError> =>
  Stream.suspend(() => {
    const self = own(inotify)
    const description = reading(self, options)
    return Stream.paginate(undefined, () =>
      Effect.map(runOn(self, description), (events) => [events, Option.some(undefined)] as const)
    )
  })

/** How long the second half of a move may be behind the first, which the kernel adds to the queue right after it. */
const patience = Abi.timespec.encode({ tv_sec: 0n, tv_nsec: 10_000_000n })

const patienceOptions: BlockingOptions = { directions: directions(Direction.unknown) }

/** Waits a moment for more, on the kernel's clock and not on the program's, which may be a test's. */
const moment = (self: Descriptor): Description<void, errors.ReadError> => ({
  errors: errors.read,
  nr: Syscall.nr.ppoll,
  prepare: () => [
    Abi.pollfd.encode({ fd: self.fd, events: constants.POLLIN, revents: 0 }),
    1,
    patience.slice(),
    null,
    8
  ],
  decode: () => {},
  options: patienceOptions,
  subject: { fd: self.fd }
})

type Half = Extract<Event, { readonly _tag: "Change" }>

const isHalf = (event: Event | Moved, mask: number): event is Half =>
  event._tag === "Change" && (event.mask & mask) !== 0 && event.name !== undefined

/** Puts halves of moves together; what follows a first half goes on waiting for nothing. */
const paired = (list: ReadonlyArray<Event>): ReadonlyArray<Event | Moved> => {
  const taken = new Set<number>()
  return list.flatMap((event, index): ReadonlyArray<Event | Moved> => {
    if (taken.has(index)) return []
    if (!isHalf(event, constants.IN_MOVED_FROM)) return [event]
    const at = list.findIndex(
      (other, place) => place > index && isHalf(other, constants.IN_MOVED_TO) && other.cookie === event.cookie
    )
    const to = list[at]
    if (to === undefined || to._tag !== "Change" || to.name === undefined || event.name === undefined) return [event]
    taken.add(at)
    return [
      {
        _tag: "Moved",
        isDirectory: event.isDirectory,
        from: { wd: event.wd, name: event.name },
        to: { wd: to.wd, name: to.name }
      }
    ]
  })
}

/**
 * As {@link events}, with the two halves of a move as one `Moved`. A half whose other one is not watched stays a `Change`.
 *
 * @category events
 * @since 0.1.0
 */
export const eventsWithMoves = (
  inotify: Inotify,
  options: EventsOptions = {}
): Stream.Stream<Event | Moved, errors.ReadError> =>
  Stream.suspend(() => {
    const self = own(inotify)
    const description = reading(self, options)
    const more = (list: ReadonlyArray<Event>): Effect.Effect<ReadonlyArray<Event>, errors.ReadError> => {
      const last = list.at(-1)
      if (last === undefined || !isHalf(last, constants.IN_MOVED_FROM)) return Effect.succeed(list)
      return Effect.flatMap(runOn(self, moment(self)), () =>
        Effect.flatMap(attemptOn(self, description), (rest = []) =>
          rest.length === 0 ? Effect.succeed(list) : more([...list, ...rest])
        )
      )
    }
    return Stream.paginate(undefined, () =>
      Effect.map(
        Effect.flatMap(runOn(self, description), more),
        (events) => [paired(events), Option.some(undefined)] as const
      )
    )
  })
