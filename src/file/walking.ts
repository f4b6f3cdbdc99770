/**
 * Walking a tree of directories.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import type * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import type { PathLike } from "../internal/arguments.ts"
import * as constants from "../internal/constants.ts"
import { Descriptor, retire, runOn } from "../internal/descriptor.ts"
import { eachRecord, type Manner, Outcome, readDirectories } from "../internal/directories.ts"
import { type Description, run } from "../internal/invoke.ts"
import { Kernel, Trampoline } from "../internal/trampoline.ts"
import * as Syscall from "../Syscall.ts"
import * as describe from "../syscall/descriptions.ts"
import { direntBytes, type Entry, type EntryType, entryType } from "./directories.ts"
import { cwd, type File, own } from "./model.ts"
import { eachDirent, eachType } from "./names.ts"

/**
 * What reading a directory of a tree fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export type WalkError = errors.OpenatError | errors.Openat2Error | errors.Getdents64Error | errors.StatxError

/**
 * Something that was found in a tree of directories.
 *
 * @category models
 * @since 0.1.0
 */
export interface WalkEntry extends Entry {
  /** The path that the walk began with and the names below it; bytes where a name is no UTF-8. */
  readonly path: string | Uint8Array
  /** 1 for what is in the directory that the walk began with, 2 for what is in directories there. */
  readonly depth: number
  /** Why this directory could not be read to its end; only with `errors: "report"`. */
  readonly error?: WalkError | undefined
}

/**
 * How a tree is walked.
 *
 * @category models
 * @since 0.1.0
 */
export interface WalkOptions {
  /** How many directories are read at the same time: 16 unless said. */
  readonly concurrency?: number | undefined
  /** Whether to go into this directory; into all, unless said. */
  readonly descend?: ((entry: WalkEntry) => boolean) | undefined
  /**
   * What becomes of a directory below the first that cannot be read: the stream fails (`"fail"`, unless said), or goes on
   * (`"report"`) after an entry that has the `error`; in the order `"pre"` that is a second entry of the directory.
   */
  readonly errors?: "fail" | "report" | undefined
  /**
   * Whether a symbolic link stands for what it leads to. False unless said. A link back to a directory that it lies in is
   * told as a link, and not followed.
   */
  readonly followLinks?: boolean | undefined
  /** The deepest that is told: 1 for the entries of the first directory only. No limit unless said. */
  readonly maxDepth?: number | undefined
  /** Whether a directory comes before (`"pre"`, unless said) or after (`"post"`) all that is in it. */
  readonly order?: "pre" | "post" | undefined
  /** Do not go into other mounts. False unless said. Linux 5.6. */
  readonly sameMount?: boolean | undefined
}

/** A directory that is to be read, or being read. */
interface Directory {
  readonly parent: Directory | undefined
  /** Undefined for the first. */
  readonly entry: WalkEntry | undefined
  readonly depth: number
  /** From the first directory. */
  readonly path: string | Uint8Array
  descriptor: Descriptor | undefined
  /** It is read by itself, piece by piece. */
  isLarge: boolean
  /** Which directory it is; known only where links are followed. */
  identity: string | undefined
  error: WalkError | undefined
  /** What has to be over before all of it is told: its own reading, and each directory in it. */
  pending: number
}

const slash = 0x2f
const encoder = new TextEncoder()

const bytesOf = (path: string | Uint8Array): Uint8Array => (typeof path === "string" ? encoder.encode(path) : path)

/** A path with one more name. */
const join = (path: string | Uint8Array, name: string | Uint8Array): string | Uint8Array => {
  if (path.length === 0) return name
  if (name.length === 0) return path
  if (typeof path === "string" && typeof name === "string") {
    return path.charCodeAt(path.length - 1) === slash ? path + name : `${path}/${name}`
  }
  const [head, tail] = [bytesOf(path), bytesOf(name)]
  const between = head[head.length - 1] === slash ? 0 : 1
  const joined = new Uint8Array(head.length + between + tail.length).fill(slash)
  joined.set(head)
  joined.set(tail, head.length + between)
  return joined
}

const identityOf = ({ stx_dev_major, stx_dev_minor, stx_ino }: Abi.statx): string =>
  `${stx_dev_major}:${stx_dev_minor}:${stx_ino}`

const isDirectory = ({ stx_mode }: Abi.statx): boolean => (stx_mode & constants.S_IFMT) === constants.S_IFDIR

/** The longest path that is given to the kernel; what is deeper is opened in steps. */
const longestPath = 4000

const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_CLOEXEC

/** The buffers of a walk, each as long as one read of a directory; as many as are read at once. */
class Walk {
  readonly options: WalkOptions
  readonly prefix: string | Uint8Array
  /** Directories to be read, the last first. */
  readonly stack: Array<Directory> = []
  readonly open: Set<Descriptor> = new Set()
  readonly buffers: Array<Uint8Array<ArrayBuffer>> = []
  /** Room for groups of directories, likewise. */
  readonly answers: Array<Uint8Array<ArrayBuffer>> = []
  /** How many directories make a group: fewer where they take long to read. */
  together = 16
  root: Descriptor | undefined
  found: Array<WalkEntry> = []
  /** Whether this kernel has openat2. */
  hasOpenat2 = true

  constructor(prefix: string | Uint8Array, options: WalkOptions) {
    this.prefix = prefix
    this.options = options
  }
}

/** Opens by one call; the descriptor is in `walk.open` then, whatever happens to the fiber. */
const openBy = <E>(
  walk: Walk,
  description: Description<number, E>,
  owner: Descriptor | undefined
): Effect.Effect<Descriptor, E> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.map(run(description, restore, owner), (fd) => {
      const descriptor = new Descriptor(fd)
      walk.open.add(descriptor)
      return descriptor
    })
  )

const close = (walk: Walk, descriptor: Descriptor): Effect.Effect<void> =>
  Effect.flatMap(retire(descriptor), (mine) => {
    walk.open.delete(descriptor)
    return mine ? Effect.ignore(Syscall.close(descriptor.fd)) : Effect.void
  })

/** Opens a directory by its path from one above. Unless links are followed, none in the path is, whoever puts one there. */
const openFrom = (
  walk: Walk,
  above: Descriptor,
  path: string | Uint8Array
): Effect.Effect<Descriptor, errors.OpenatError | errors.Openat2Error> => {
  const { followLinks = false, sameMount = false } = walk.options
  const flags = directoryFlags | (followLinks ? 0 : constants.O_NOFOLLOW)
  const resolve = (followLinks ? 0 : constants.RESOLVE_NO_SYMLINKS) | (sameMount ? constants.RESOLVE_NO_XDEV : 0)
  const plainly = () => openBy(walk, describe.openat(above.fd, path, flags, 0), above)
  if (resolve === 0 || !walk.hasOpenat2) return plainly()
  const how = { flags: BigInt(flags), mode: 0n, resolve: BigInt(resolve) }
  return Effect.catchIf(
    openBy(walk, describe.openat2(above.fd, path, how), above),
    ({ errno }) => errno === codes.ENOSYS && !sameMount,
    () => {
      walk.hasOpenat2 = false
      return plainly()
    }
  )
}

/** The same for a path that may be longer than the kernel takes. */
const openDirectory = (
  walk: Walk,
  root: Descriptor,
  path: string | Uint8Array
): Effect.Effect<Descriptor, errors.OpenatError | errors.Openat2Error> => {
  if (path.length * 3 <= longestPath) return openFrom(walk, root, path)
  const bytes = bytesOf(path)
  if (bytes.length <= longestPath) return openFrom(walk, root, path)
  return Effect.gen(function* () {
    let above = root
    for (let rest = bytes; ; ) {
      const end = rest.length <= longestPath ? -1 : rest.lastIndexOf(slash, longestPath)
      const opening = openFrom(walk, above, end < 0 ? rest : rest.subarray(0, end))
      const next: Descriptor = yield* above === root ? opening : Effect.ensuring(opening, close(walk, above))
      if (end < 0) return next
      above = next
      rest = rest.subarray(end + 1)
    }
  })
}

/** All of a directory is told: in the order "post" it is its turn now, and it may have been the last that another waited for. */
const settle = (walk: Walk, directory: Directory): void => {
  const isPost = walk.options.order === "post"
  for (let self: Directory | undefined = directory; self !== undefined && --self.pending === 0; self = self.parent) {
    const { entry, error } = self
    if (entry === undefined) continue
    if (error !== undefined) walk.found.push({ ...entry, error })
    else if (isPost) walk.found.push(entry)
  }
}

/** Tells an entry, and keeps in mind what is in it. */
const take = (walk: Walk, within: Directory, entry: WalkEntry): void => {
  const { descend, maxDepth = Number.POSITIVE_INFINITY, order } = walk.options
  const goesOn = entry.type === "directory" && entry.depth < maxDepth && (descend === undefined || descend(entry))
  if (order !== "post" || !goesOn) walk.found.push(entry)
  if (!goesOn) return
  within.pending++
  walk.stack.push({
    parent: within,
    entry,
    depth: entry.depth,
    path: join(within.path, entry.name),
    descriptor: undefined,
    isLarge: false,
    identity: undefined,
    error: undefined,
    pending: 1
  })
}

/** What an entry is that the file system does not say it of, or that a link leads to. */
const lookAt = (
  walk: Walk,
  within: Directory,
  descriptor: Descriptor,
  entry: WalkEntry
): Effect.Effect<void, errors.StatxError> =>
  Effect.gen(function* () {
    const { followLinks = false } = walk.options
    const look = (flags: number) =>
      runOn(
        descriptor,
        describe.statx(descriptor.fd, entry.name, flags | constants.AT_NO_AUTOMOUNT, constants.STATX_BASIC_STATS)
      )
    let type: EntryType = entry.type
    if (type === "unknown") {
      // Gone by now, or not to be looked at: it stays unknown.
      const status = yield* Effect.option(look(constants.AT_SYMLINK_NOFOLLOW))
      if (status._tag === "Some") type = entryType((status.value.stx_mode & constants.S_IFMT) >> 12)
    }
    if (type === "symbolicLink" && followLinks) {
      const target = yield* Effect.option(look(0))
      if (target._tag === "Some") {
        const led = entryType((target.value.stx_mode & constants.S_IFMT) >> 12)
        const identity = isDirectory(target.value) ? identityOf(target.value) : undefined
        let back: Directory | undefined = identity === undefined ? undefined : within
        while (back !== undefined && back.identity !== identity) back = back.parent
        if (back === undefined) return take(walk, within, { ...entry, type: led, inode: target.value.stx_ino })
      }
    }
    take(walk, within, type === entry.type ? entry : { ...entry, type })
  })

// ---------------------------------------------------------------------------------------------------------------------
// many at once
// ---------------------------------------------------------------------------------------------------------------------

/** Room for the entries of a group of directories: what is made of them at once takes about a millisecond. */
const answerBytes = 128 * 1024

/** How many directories are in a group, where they are read quickly. */
const mostTogether = 64
/** How many are read for one pull, at most; or as many at the same time as are allowed. */
const mostAtOnce = 128

/**
 * Directories that can be read in groups, the last ones of the stack: they need not be looked at more closely, and their
 * paths are not too long.
 */
const grouped = (walk: Walk, concurrency: number): ReadonlyArray<Array<Directory>> => {
  const groups: Array<Array<Directory>> = []
  const { stack, together } = walk
  const most = Math.min(concurrency, Math.max(2, Math.floor(mostAtOnce / together)))
  // As many groups as are read at the same time, rather than few large ones.
  const size = Math.min(together, Math.ceil(stack.length / Math.min(most, usualGroups)))
  while (groups.length < most) {
    const group: Array<Directory> = []
    while (group.length < size) {
      const last = stack[stack.length - 1]
      if (last === undefined || !canBeGrouped(walk, last)) break
      group.push(last)
      stack.pop()
    }
    if (group.length === 0) break
    groups.push(group)
  }
  return groups
}

/** Into how many groups they are divided where there are few. */
const usualGroups = 2

const canBeGrouped = ({ options }: Walk, { descriptor, isLarge, path }: Directory): boolean =>
  descriptor === undefined && !isLarge && options.followLinks !== true && path.length * 3 <= longestPath

/** The last ones of the stack that have to be read one by one. */
const alone = (walk: Walk, concurrency: number, canGroup: boolean): Array<Directory> => {
  const { stack } = walk
  let from = stack.length
  for (; from > 0 && stack.length - from < concurrency; from--) {
    const directory = stack[from - 1]
    if (canGroup && directory !== undefined && canBeGrouped(walk, directory)) break
  }
  return stack.splice(from)
}

/** Reads a group of directories as far as the time goes, and sees to what comes of it. */
const advanceGroup = (walk: Walk, root: Descriptor, group: Array<Directory>): Effect.Effect<void, WalkError> =>
  Effect.suspend(() => {
    const manner = mannerOf(walk)
    const answer = walk.answers.pop() ?? new Uint8Array(answerBytes)
    const paths = group.map(({ path }) => bytesOf(path))
    return Effect.flatMap(readDirectories(root, manner, paths, answer), (length) => {
      let done = 0
      const failures: Array<readonly [Directory, WalkError]> = []
      if (length >= 0) {
        eachRecord(answer, length, (outcome, from, to) => {
          const directory = group[done++]
          if (directory === undefined) return
          if (outcome === codes.ENOSYS && manner.openat2) {
            // By itself it is opened in the older way, or fails.
            if (walk.options.sameMount !== true) walk.hasOpenat2 = false
            directory.isLarge = true
            walk.stack.push(directory)
          } else if (outcome === Outcome.tooMuch || (outcome === 0 && isUnclear(answer, from, to))) {
            directory.isLarge = true
            walk.stack.push(directory)
          } else if (outcome === Outcome.complete) {
            takeAll(walk, directory, answer, from, to)
            settle(walk, directory)
          } else {
            failures.push([directory, errorOf(manner, directory, outcome)])
          }
        })
      }
      walk.answers.push(answer)
      // What did not have its turn is next, and in smaller groups where that was for want of time.
      for (let left = group.length - 1; left >= done; left--) {
        const directory = group[left]
        if (directory !== undefined) walk.stack.push(directory)
      }
      walk.together = done < group.length ? Math.max(1, done) : Math.min(mostTogether, walk.together * 2)
      if (length < 0) return Effect.fail(errors.getdents64.make(-length, undefined, root.fd))
      return Effect.forEach(failures, ([directory, error]) => failWith(walk, directory, error), { discard: true })
    })
  })

const takeAll = (walk: Walk, directory: Directory, answer: Uint8Array<ArrayBuffer>, from: number, to: number): void => {
  const path = join(walk.prefix, directory.path)
  const depth = directory.depth + 1
  const { found } = walk
  // Most are no directories, and have names that are text.
  const before = typeof path !== "string" || path === "" || path.endsWith("/") ? path : `${path}/`
  eachDirent(answer, from, to, (name, number, inode) => {
    const type = entryType(number)
    const isText = typeof before === "string" && typeof name === "string"
    const entry = { name, type, inode, path: isText ? before + name : join(path, name), depth }
    if (type === "directory") take(walk, directory, entry)
    else found.push(entry)
  })
}

/** Whether the file system does not say of some entry what it is. */
const isUnclear = (answer: Uint8Array<ArrayBuffer>, from: number, to: number): boolean => {
  let found = false
  eachType(answer, from, to, (number) => {
    if (entryType(number) === "unknown") found = true
  })
  return found
}

const mannerOf = (walk: Walk): Manner => {
  const { sameMount = false } = walk.options
  const resolve = constants.RESOLVE_NO_SYMLINKS | (sameMount ? constants.RESOLVE_NO_XDEV : 0)
  return { flags: directoryFlags | constants.O_NOFOLLOW, resolve, openat2: walk.hasOpenat2 }
}

const errorOf = ({ openat2 }: Manner, { path }: Directory, outcome: number): WalkError => {
  if (outcome >= Outcome.reading) return errors.getdents64.make(outcome - Outcome.reading, path)
  return openat2 ? errors.openat2.make(outcome, path) : errors.openat.make(outcome, path)
}

// ---------------------------------------------------------------------------------------------------------------------
// one by one
// ---------------------------------------------------------------------------------------------------------------------

/** How many reads of a directory are made before others have their turn. */
const readsAtOnce = 4

/** Reads a directory to its end, or a good part of it, and tells whether there is more. */
const readSome = (walk: Walk, directory: Directory): Effect.Effect<boolean, WalkError> =>
  Effect.gen(function* () {
    const { options, root } = walk
    if (root === undefined) return false
    const { followLinks = false } = options
    // All others are opened from the first one.
    const isFirst = directory.entry === undefined
    const descriptor = directory.descriptor ?? (isFirst ? root : yield* openDirectory(walk, root, directory.path))
    directory.descriptor = descriptor
    if (followLinks && directory.identity === undefined) {
      const status = describe.statx(descriptor.fd, "", constants.AT_EMPTY_PATH, constants.STATX_BASIC_STATS)
      directory.identity = identityOf(yield* runOn(descriptor, status))
    }
    const depth = directory.depth + 1
    const { prefix } = walk
    const path = join(prefix, directory.path)
    const buffer = walk.buffers.pop() ?? new Uint8Array(direntBytes)
    const unclear: Array<WalkEntry> = []
    for (let reads = 0; reads < readsAtOnce; reads++) {
      const length = yield* runOn(descriptor, describe.getdents64(descriptor.fd, buffer))
      if (length === 0) {
        walk.buffers.push(buffer)
        if (descriptor !== root) yield* close(walk, descriptor)
        return false
      }
      eachDirent(buffer, 0, length, (name, number, inode) => {
        const type = entryType(number)
        const entry: WalkEntry = { name, type, inode, path: join(path, name), depth }
        if (type === "unknown" || (followLinks && type === "symbolicLink")) unclear.push(entry)
        else take(walk, directory, entry)
      })
      for (const entry of unclear.splice(0)) yield* lookAt(walk, directory, descriptor, entry)
    }
    walk.buffers.push(buffer)
    return true
  })

/** Reads on in a directory, and sees to what comes of it. */
const advance = (walk: Walk, directory: Directory): Effect.Effect<void, WalkError> =>
  Effect.matchEffect(readSome(walk, directory), {
    onSuccess: (isMore) => {
      if (isMore) walk.stack.push(directory)
      else settle(walk, directory)
      return Effect.void
    },
    onFailure: (error) => failWith(walk, directory, error)
  })

/** What becomes of a directory that cannot be read, or not to its end. */
const failWith = (walk: Walk, directory: Directory, error: WalkError): Effect.Effect<void, WalkError> => {
  const { errors: handling, sameMount } = walk.options
  if (sameMount === true && error.errno === codes.EXDEV) {
    settle(walk, directory)
    return Effect.void
  }
  if (directory.entry === undefined) return Effect.fail(error)
  // Removed since its entry was read: nothing is in it.
  if (error.errno !== codes.ENOENT) {
    if (handling !== "report") return Effect.fail(error)
    directory.error = error
  }
  settle(walk, directory)
  return directory.descriptor === undefined ? Effect.void : close(walk, directory.descriptor)
}

const pullFrom = (walk: Walk, concurrency: number): Pull.Pull<Arr.NonEmptyReadonlyArray<WalkEntry>, WalkError> => {
  const pull: Pull.Pull<Arr.NonEmptyReadonlyArray<WalkEntry>, WalkError> = Effect.withFiber((fiber) => {
    const { root, stack } = walk
    if (stack.length === 0 || root === undefined) return Cause.done()
    // Who stands in for the kernel is asked call by call.
    const canGroup = fiber.getRef(Trampoline) instanceof Kernel
    const groups = canGroup ? grouped(walk, concurrency) : []
    const [group] = groups
    const next = group === undefined ? alone(walk, concurrency, canGroup) : []
    const [only] = next
    const all = { concurrency: "unbounded", discard: true } as const
    let reading: Effect.Effect<void, WalkError>
    if (group !== undefined) {
      reading =
        groups.length === 1
          ? advanceGroup(walk, root, group)
          : Effect.forEach(groups, (group) => advanceGroup(walk, root, group), all)
    } else {
      reading =
        next.length === 1 && only !== undefined
          ? advance(walk, only)
          : Effect.forEach(next, (directory) => advance(walk, directory), all)
    }
    return Effect.flatMap(reading, () => {
      const { found } = walk
      walk.found = []
      return Arr.isArrayNonEmpty(found) ? Effect.succeed(found) : pull
    })
  })
  return pull
}

const usualConcurrency = 16

/**
 * All that is in a directory and in the directories there, in any order but that of `order`.
 *
 * Directories are read in large pieces, several at a time, and what an entry is comes with its name: no file is looked at.
 * What is removed or made meanwhile may be told or not. Deeper trees than the longest path are no matter; unless links are
 * followed, nothing outside of the directory is read, whoever exchanges directories for links meanwhile (Linux 5.6).
 *
 * Fails where the first directory cannot be read; for others see `errors`. Can wait for a disk or server; interruptible.
 * Manual pages: getdents64(2), openat2(2).
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { File } from "effect-linux"
 *
 * const sources = File.walk("/usr/src", { descend: ({ name }) => name !== ".git" }).pipe(
 *   Stream.filter(({ name, type }) => type === "file" && typeof name === "string" && name.endsWith(".c")),
 *   Stream.runForEach(({ path }) => Effect.log(path))
 * )
 * ```
 *
 * @category directories
 * @since 0.1.0
 */
export const walk = (path: PathLike, options: WalkOptions = {}): Stream.Stream<WalkEntry, WalkError> =>
  walkAt(cwd, path, options)

/**
 * All that is in a directory, by its path from another, and in the directories there: see {@link walk}. `"."` is the
 * directory itself, and then paths begin with the names in it.
 *
 * @category directories
 * @since 0.1.0
 */
export const walkAt = (
  directory: File<unknown>,
  path: PathLike,
  options: WalkOptions = {}
): Stream.Stream<WalkEntry, WalkError> =>
  Stream.suspend(() => {
    const { concurrency = usualConcurrency, errors: handling = "fail", maxDepth = 1, order = "pre" } = options
    const refuse = (detail: string) => Stream.fail(errors.openat.make(codes.EINVAL, path, undefined, detail))
    if (!Number.isSafeInteger(concurrency) || concurrency < 1) return refuse(`concurrency: ${concurrency} is no number`)
    if (order !== "pre" && order !== "post") return refuse(`order: expected "pre" or "post", got ${String(order)}`)
    if (handling !== "fail" && handling !== "report") {
      return refuse(`errors: expected "fail" or "report", got ${String(handling)}`)
    }
    if (!(maxDepth >= 1)) return refuse(`maxDepth: ${maxDepth} is less than 1`)
    const state = new Walk(path === "." ? "" : path, options)
    // What is open when the walk ends or is interrupted; no fiber of it is left then.
    const closeAll = Effect.suspend(() =>
      Effect.forEach([...state.open], (open) => close(state, open), { discard: true })
    )
    const start = Effect.gen(function* () {
      yield* Effect.addFinalizer(() => closeAll)
      const owner = own(directory)
      state.root = yield* openBy(state, describe.openat(owner.fd, path, directoryFlags, 0), owner)
      state.stack.push({
        parent: undefined,
        entry: undefined,
        depth: 0,
        path: "",
        descriptor: options.followLinks === true ? state.root : undefined,
        isLarge: false,
        identity: undefined,
        error: undefined,
        pending: 1
      })
      return Stream.fromPull(Effect.succeed(pullFrom(state, concurrency)))
    })
    return Stream.unwrap(start)
  })
