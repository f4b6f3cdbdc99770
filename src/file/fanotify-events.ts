/**
 * What comes out of a group of fanotify: events, what they bring, and answers to those who wait for permission.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import type { File } from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import * as constants from "../internal/constants.ts"
import type { Descriptor } from "../internal/descriptor.ts"
import { type Description, decodedAs, Misuse, run } from "../internal/invoke.ts"
import { type BlockingOptions, Direction, directions } from "../internal/trampoline.ts"
import type * as PidFd from "../PidFd.ts"
import * as Syscall from "../Syscall.ts"
import { number } from "../syscall/convert.ts"
import * as describe from "../syscall/descriptions.ts"
import { closeAbandoned } from "../syscall/policy.ts"
import { accesses, type Change, changes, type Fanotify } from "./fanotify-groups.ts"
import { adopt, hold, own } from "./model.ts"
import { ownerOf, takeOn } from "./several.ts"
import { codeOf, nameOf, wordsOf } from "./words.ts"

/**
 * What all events have: what happened, to what, and who did it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Details {
  readonly changes: ReadonlyArray<Change>
  /** The same as a mask of `FAN_*`. */
  readonly mask: bigint
  readonly isDirectory: boolean
  /** The process, or with `tid` the thread; 0 where it is outside of what the caller sees. */
  readonly pid: number
  /** The file, opened; undefined in groups that report handles. */
  readonly file: File | undefined
  /** With `pidfd`: the process, undefined where it has ended. */
  readonly process: PidFd.PidFd | undefined
  /** With `fid` and its like: which objects, by their handles, and in directories by their names. */
  readonly objects: ReadonlyArray<FileObject>
  /** What else the kernel says: errors of file systems, ranges that are accessed, mounts. */
  readonly information: ReadonlyArray<Syscall.FanotifyInformation>
}

/**
 * An object of a file system by its handle. `role` says which part it has in the event: the object itself, the directory
 * that it is in, or the old or new directory of one that was renamed.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileObject {
  readonly role: "object" | "directory" | "oldDirectory" | "newDirectory"
  readonly fsid: ReadonlyArray<number>
  readonly handle: Syscall.FileHandle
  /** The name in the directory; bytes where it is no UTF-8. */
  readonly name: string | Uint8Array | undefined
}

/**
 * Something that happened.
 *
 * @category models
 * @since 0.1.0
 */
export interface Notification extends Details {
  readonly _tag: "Notification"
}

/**
 * Somebody waits to be allowed something: see {@link respond}.
 *
 * @category models
 * @since 0.1.0
 */
export interface Permission extends Details {
  readonly _tag: "Permission"
}

/**
 * The queue was full, and events were lost.
 *
 * @category models
 * @since 0.1.0
 */
export interface Overflow {
  readonly _tag: "Overflow"
}

/**
 * What comes out of a group.
 *
 * @category models
 * @since 0.1.0
 */
export type Event = Notification | Permission | Overflow

const roles: ReadonlyMap<number, FileObject["role"]> = new Map([
  [constants.FAN_EVENT_INFO_TYPE_FID, "object"],
  [constants.FAN_EVENT_INFO_TYPE_DFID, "directory"],
  [constants.FAN_EVENT_INFO_TYPE_DFID_NAME, "directory"],
  [constants.FAN_EVENT_INFO_TYPE_OLD_DFID_NAME, "oldDirectory"],
  [constants.FAN_EVENT_INFO_TYPE_NEW_DFID_NAME, "newDirectory"]
])

const permissions =
  constants.FAN_OPEN_PERM | constants.FAN_ACCESS_PERM | constants.FAN_OPEN_EXEC_PERM | constants.FAN_PRE_ACCESS

interface Pending {
  readonly scope: Scope.Closeable
  readonly group: Descriptor
  /** Of one who waits for permission, as long as there was no answer. */
  waiting: Descriptor | undefined
}

const pending = new WeakMap<Event, Pending>()

type Raw = Syscall.FanotifyEvent

const objectsOf = (information: Raw["information"]): ReadonlyArray<FileObject> =>
  information.flatMap((record) => {
    if (record._tag !== "File") return []
    const { fsid, handle, info_type, name } = record
    // "." is the directory itself.
    const text = name === undefined || name.length === 0 ? undefined : nameOf(name)
    return [{ role: roles.get(info_type) ?? "object", fsid, handle, name: text }]
  })

/** Puts what an event brought into a scope of its own within the stream's; nothing in it can be interrupted. */
const eventOf =
  (group: Descriptor, parent: Scope.Scope, otherwise: Answer) =>
  (raw: Raw): Effect.Effect<Event> =>
    Effect.gen(function* () {
      if ((Number(raw.mask) & constants.FAN_Q_OVERFLOW) !== 0) return { _tag: "Overflow" }
      const scope = yield* Scope.fork(parent)
      const keep = <D>(fd: number): Effect.Effect<File<D>> => Scope.provide(hold<D>(fd), scope)
      const file = raw.fd < 0 ? undefined : yield* keep<Ioctl.AnyDevice>(raw.fd)
      let process: PidFd.PidFd | undefined
      for (const record of raw.information) {
        if (record._tag === "Process" && record.pidfd >= 0) process = yield* keep<typeof PidFd.device>(record.pidfd)
      }
      const asks = (Number(raw.mask) & permissions) !== 0
      const event: Notification | Permission = {
        _tag: asks ? "Permission" : "Notification",
        changes: wordsOf(changes, Number(BigInt.asUintN(32, raw.mask))),
        mask: raw.mask,
        isDirectory: (Number(raw.mask) & constants.FAN_ONDIR) !== 0,
        pid: raw.pid,
        file,
        process,
        objects: objectsOf(raw.information),
        information: raw.information.filter(({ _tag }) => _tag !== "File" && _tag !== "Process")
      }
      const state: Pending = { scope, group, waiting: asks && file !== undefined ? own(file) : undefined }
      pending.set(event, state)
      // Before the descriptor is closed, as it names who waits.
      if (asks) yield* Scope.addFinalizer(scope, Effect.ignore(answer(state, otherwise, {})))
      return event
    })

/** Room for some events with the longest names; the kernel gives whole events only. */
const bufferSize = 16 * 1024

const reading = (self: Descriptor): Description<ReadonlyArray<Raw>, errors.ReadError> => {
  const buffer = new Uint8Array(bufferSize)
  return decodedAs(describe.read(self.fd, buffer), (length) => Syscall.fanotifyEvents(buffer, number(length)))
}

/**
 * What may be answered to who waits for permission.
 *
 * @category models
 * @since 0.1.0
 */
export type Answer = "allow" | "deny"

const answers: { readonly [A in Answer]: number } = { allow: constants.FAN_ALLOW, deny: constants.FAN_DENY }

/**
 * What is done with who waits for permission when nobody has answered: `allow` unless said, as the kernel does it.
 *
 * @category models
 * @since 0.1.0
 */
export interface EventsOptions {
  readonly otherwise?: Answer | undefined
}

/**
 * The events, as they come.
 *
 * What an event brought is open until {@link close}, and at the longest until the stream's scope closes: whoever still
 * waits for permission then is answered as `otherwise` says. Ends only with the group, or with an error of reading it.
 *
 * @category events
 * @since 0.1.0
 */
export const events = (group: Fanotify, options: EventsOptions = {}): Stream.Stream<Event, errors.ReadError> =>
  Stream.unwrap(
    Effect.map(Effect.scope, (scope) => {
      const self = own(group)
      const description = reading(self)
      const take = eventOf(self, scope, options.otherwise ?? "allow")
      return Stream.paginate(undefined, () =>
        Effect.map(
          takeOn(self, description, (list) => Effect.forEach(list, take)),
          (events) => [events, Option.some(undefined)] as const
        )
      )
    })
  )

/**
 * Closes what an event brought, and answers as `otherwise` says where nobody has.
 *
 * @category events
 * @since 0.1.0
 */
export const close = (event: Event): Effect.Effect<void> =>
  Effect.suspend(() => {
    const state = pending.get(event)
    return state === undefined ? Effect.void : Scope.close(state.scope, Exit.void)
  })

/**
 * What goes with an answer: with `deny`, since Linux 6.13 and for `preContent`, the errno that the other one gets instead of
 * `EPERM`; whether it is put into the audit log, of a group that was made for that.
 *
 * @category models
 * @since 0.1.0
 */
export interface AnswerOptions {
  readonly errno?: number | undefined
  readonly audit?: boolean | undefined
}

const answer = (state: Pending, response: Answer, options: AnswerOptions): Effect.Effect<void, errors.WriteError> =>
  Effect.suspend(() => {
    const { group, waiting } = state
    if (waiting === undefined) return Effect.void
    const { audit = false, errno = 0 } = options
    return Effect.map(
      run(
        {
          ...decodedAs(describe.write(group.fd, new Uint8Array()), () => {}),
          prepare: () => {
            if (!Number.isInteger(errno) || errno < 0 || errno > constants.FAN_ERRNO_MASK) {
              throw new Misuse(codes.EINVAL, `errno: ${errno} is none`)
            }
            const bits =
              codeOf("response", answers, response) |
              (errno << constants.FAN_ERRNO_SHIFT) |
              (audit ? constants.FAN_AUDIT : 0)
            const memory = Abi.fanotify_response.encode({ fd: waiting.fd, response: bits >>> 0 })
            return [group.fd, memory, memory.length]
          }
        },
        undefined,
        ownerOf([group, waiting])
      ),
      () => {
        state.waiting = undefined
      }
    )
  })

/**
 * Answers who waits for permission. Only the first answer counts. The event's file must be open still: it says who it is.
 *
 * Does not block. Manual page: fanotify(7).
 *
 * @category events
 * @since 0.1.0
 */
export const respond = (
  event: Permission,
  response: Answer,
  options: AnswerOptions = {}
): Effect.Effect<void, errors.WriteError> =>
  Effect.suspend(() => {
    const state = pending.get(event)
    return state === undefined ? Effect.void : answer(state, response, options)
  })

/**
 * Does something with each event, one after the other; for one that asks for permission what it gives is the answer.
 *
 * What an event brought is closed when it is done with, however that ends. Where it gives no answer, fails or is
 * interrupted, the answer is that of `otherwise`.
 *
 * @category events
 * @since 0.1.0
 */
export const forEach = <E, R>(
  group: Fanotify,
  handler: (event: Event) => Effect.Effect<Answer | undefined, E, R>,
  options: EventsOptions = {}
): Effect.Effect<void, E | errors.ReadError | errors.WriteError, R> =>
  Stream.runForEach(events(group, options), (event) =>
    Effect.ensuring(
      Effect.flatMap(handler(event), (answer) =>
        answer !== undefined && event._tag === "Permission" ? respond(event, answer) : Effect.void
      ),
      close(event)
    )
  )

const openOptions: BlockingOptions = {
  directions: directions(Direction.unknown, Direction.in),
  onAbandoned: closeAbandoned
}

/**
 * Opens an object of an event, by its handle. `mount` is any open file of its file system; only as a path unless `access`
 * is said.
 *
 * Fails with `ESTALE` for an object that is gone, and without `CAP_DAC_READ_SEARCH` with `EPERM`.
 *
 * Can wait for a disk or server; interruptible. Manual page: open_by_handle_at(2).
 *
 * @category objects
 * @since 0.1.0
 */
export const open = (
  mount: File<unknown>,
  object: FileObject,
  options: { readonly access?: "read" | "write" | "readWrite" | undefined } = {}
): Effect.Effect<File, errors.OpenByHandleAtError, Scope.Scope> =>
  Effect.suspend(() => {
    const owner = own(mount)
    const { access } = options
    return adopt<Ioctl.AnyDevice, errors.OpenByHandleAtError>(
      {
        errors: errors.open_by_handle_at,
        nr: Syscall.nr.open_by_handle_at,
        prepare: () => {
          const { f_handle, handle_type } = object.handle
          const memory = new Uint8Array(Abi.file_handle.size + f_handle.length)
          Abi.file_handle.encode({ handle_bytes: f_handle.length, handle_type }, memory)
          memory.set(f_handle, Abi.file_handle.size)
          const flags = access === undefined ? constants.O_PATH : codeOf("access", accesses, access)
          return [owner.fd, memory, flags | constants.O_CLOEXEC]
        },
        decode: Number,
        options: openOptions,
        subject: { fd: owner.fd }
      },
      owner
    )
  })
