/**
 * Namespaces as files: which one a process is in, what holds it, and threads that are in another one.
 *
 * A thread and not the process enters a namespace, and JavaScript's thread stays where it is: everything else that the
 * program does would be done in the other namespace too. {@link enter} makes a thread of its own for it, and what is to
 * happen there is called on that thread: a socket made there belongs to that network for as long as it lives, whoever
 * uses it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Errno } from "./Errno.ts"
import * as errors from "./errors/calls.ts"
import type { EBADF, EINVAL, ENOTTY, EPERM, ESRCH } from "./errors/errnos.ts"
import { errorsOf, fromCode, type OtherErrno } from "./errors/registry.ts"
import type { File } from "./File.ts"
import { ioctl } from "./file/device.ts"
import { adopt, own } from "./file/model.ts"
import { files, type Kind, kinds } from "./file/namespaces.ts"
import { wordOf } from "./file/words.ts"
import * as Ioctl from "./Ioctl.ts"
import { int } from "./internal/arguments.ts"
import * as constants from "./internal/constants.ts"
import { runOn } from "./internal/descriptor.ts"
import { onThisThread } from "./internal/invoke.ts"
import * as Struct from "./Struct.ts"
import * as Syscall from "./Syscall.ts"
import * as describe from "./syscall/descriptions.ts"
import { closeAbandoned } from "./syscall/policy.ts"

export type { Kind } from "./file/namespaces.ts"

/**
 * The kind of file: `File.asDevice(file, Namespace.device)` says of a file that came from elsewhere, such as one that
 * `ip netns` bound to a path, that it is a namespace.
 *
 * @category models
 * @since 0.1.0
 */
export const device = Ioctl.device("Namespace")

/**
 * A namespace. It lives for as long as this file is open.
 *
 * @category models
 * @since 0.1.0
 */
export interface Namespace extends File<typeof device> {}

/**
 * What asking about a namespace fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export type RequestError = EBADF | EINVAL | ENOTTY | EPERM | ESRCH | OtherErrno

const requestErrors = errorsOf("ioctl", ["EBADF", "EINVAL", "ENOTTY", "EPERM", "ESRCH"])

const NSIO = 0xb7

const NS_GET_NSTYPE = Ioctl.none(device, Ioctl._IO(NSIO, 0x3), { name: "NS_GET_NSTYPE", errors: requestErrors })
const NS_GET_OWNER_UID = Ioctl.read(device, Ioctl._IO(NSIO, 0x4), Struct.u32, {
  name: "NS_GET_OWNER_UID",
  errors: requestErrors
})
const NS_GET_MNTNS_ID = Ioctl.read(device, Ioctl._IOR(NSIO, 0x5, Struct.u64), Struct.u64, {
  name: "NS_GET_MNTNS_ID",
  errors: requestErrors
})
const NS_GET_TGID_FROM_PIDNS = Ioctl.value(device, Ioctl._IOR(NSIO, 0x7, Struct.i32), {
  name: "NS_GET_TGID_FROM_PIDNS",
  errors: requestErrors
})
const NS_GET_TGID_IN_PIDNS = Ioctl.value(device, Ioctl._IOR(NSIO, 0x9, Struct.i32), {
  name: "NS_GET_TGID_IN_PIDNS",
  errors: requestErrors
})

/**
 * Opens a namespace that a process is in: `"self"`, by default, or one with an identifier.
 *
 * `"self"` is that of the process's first thread, `"thread-self"` that of the thread that happens to open it. Needs the
 * right to trace another user's process. Manual page: namespaces(7).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Namespace } from "effect-linux"
 *
 * // whether a process sees the same network as we
 * const sharesNetwork = (pid: number) =>
 *   Effect.gen(function* () {
 *     const [ours, theirs] = [yield* Namespace.open("net"), yield* Namespace.open("net", pid)]
 *     return yield* Namespace.same(ours, theirs)
 *   }).pipe(Effect.scoped)
 * ```
 *
 * @category opening
 * @since 0.1.0
 */
export const open = (
  kind: Kind,
  process: number | "self" | "thread-self" = "self"
): Effect.Effect<Namespace, errors.OpenatError, Scope.Scope> =>
  Effect.suspend(() => {
    if (!Object.hasOwn(files, kind)) throw new TypeError(`kind: expected one of ${Object.keys(files).join(", ")}`)
    const path = `/proc/${process}/ns/${files[kind]}`
    return adopt<typeof device, errors.OpenatError>(
      describe.openat(constants.AT_FDCWD, path, constants.O_RDONLY | constants.O_CLOEXEC, 0)
    )
  })

const related = (namespace: Namespace, request: number): Effect.Effect<Namespace, RequestError, Scope.Scope> =>
  Effect.suspend(() =>
    adopt<typeof device, RequestError>(
      {
        errors: requestErrors,
        nr: Syscall.nr.ioctl,
        prepare: () => [own(namespace).fd, request, 0],
        decode: Number,
        options: onThisThread,
        subject: { fd: own(namespace).fd, request: request === userns ? "NS_GET_USERNS" : "NS_GET_PARENT" }
      },
      own(namespace)
    )
  )

const userns = Ioctl._IO(NSIO, 0x1)
const parentns = Ioctl._IO(NSIO, 0x2)

/**
 * The user namespace that a namespace belongs to, or, of a user namespace, its parent.
 *
 * Fails with `EPERM` where that is outside of what the caller sees. Manual page: ioctl_ns(2), `NS_GET_USERNS`.
 *
 * @category asking
 * @since 0.1.0
 */
export const owner = (namespace: Namespace): Effect.Effect<Namespace, RequestError, Scope.Scope> =>
  related(namespace, userns)

/**
 * The namespace that a PID or user namespace is within.
 *
 * Fails with `EINVAL` for another kind, and with `EPERM` for the outermost that the caller sees. Manual page: ioctl_ns(2),
 * `NS_GET_PARENT`.
 *
 * @category asking
 * @since 0.1.0
 */
export const parent = (namespace: Namespace): Effect.Effect<Namespace, RequestError, Scope.Scope> =>
  related(namespace, parentns)

/**
 * Which kind of namespace it is; undefined for one that is younger than this library. Manual page: ioctl_ns(2),
 * `NS_GET_NSTYPE`.
 *
 * @category asking
 * @since 0.1.0
 */
export const kind = (namespace: Namespace): Effect.Effect<keyof typeof kinds | undefined, RequestError> =>
  Effect.map(ioctl(namespace, NS_GET_NSTYPE), (type) => wordOf(kinds, type))

/**
 * The identifier of the user who made a user namespace. Manual page: ioctl_ns(2), `NS_GET_OWNER_UID`.
 *
 * @category asking
 * @since 0.1.0
 */
export const ownerUid = (namespace: Namespace): Effect.Effect<number, RequestError> =>
  ioctl(namespace, NS_GET_OWNER_UID)

/**
 * The identifier of a mount namespace, for `statmount` and `listmount`. Since Linux 6.11: `NS_GET_MNTNS_ID`.
 *
 * @category asking
 * @since 0.1.0
 */
export const mountId = (namespace: Namespace): Effect.Effect<bigint, RequestError> => ioctl(namespace, NS_GET_MNTNS_ID)

/**
 * The identifier that a process of a PID namespace has in the caller's: `pid` is that in the namespace. Since Linux 6.11:
 * `NS_GET_TGID_FROM_PIDNS`.
 *
 * @category asking
 * @since 0.1.0
 */
export const pidFrom = (namespace: Namespace, pid: number): Effect.Effect<number, RequestError> =>
  ioctl(namespace, NS_GET_TGID_FROM_PIDNS, pid)

/**
 * The identifier that a process has in a PID namespace: `pid` is that in the caller's. Since Linux 6.11:
 * `NS_GET_TGID_IN_PIDNS`.
 *
 * @category asking
 * @since 0.1.0
 */
export const pidIn = (namespace: Namespace, pid: number): Effect.Effect<number, RequestError> =>
  ioctl(namespace, NS_GET_TGID_IN_PIDNS, pid)

const identity = (namespace: Namespace): Effect.Effect<string, errors.StatxError> =>
  Effect.suspend(() =>
    Effect.map(
      runOn(own(namespace), describe.statx(own(namespace).fd, "", constants.AT_EMPTY_PATH, constants.STATX_INO)),
      ({ stx_dev_major, stx_dev_minor, stx_ino }) => `${stx_dev_major}:${stx_dev_minor}:${stx_ino}`
    )
  )

/**
 * Whether two files are the same namespace. Manual page: namespaces(7).
 *
 * @category asking
 * @since 0.1.0
 */
export const same = (left: Namespace, right: Namespace): Effect.Effect<boolean, errors.StatxError> =>
  Effect.zipWith(identity(left), identity(right), (left, right) => left === right)

/**
 * Makes a thread, for as long as the scope is open, and lets it enter namespaces, one after the other. `Syscall.callOn` and
 * {@link fileOn} make calls there; everything else goes on where it was.
 *
 * Into a mount namespace the thread goes with a working directory, root and umask of its own. A PID or time namespace is
 * that of the thread's children only. A user namespace cannot be entered (`EINVAL`): the kernel wants a process of one
 * thread for that. Needs `CAP_SYS_ADMIN` in the user namespace that owns it. Manual page: setns(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Namespace, Syscall } from "effect-linux"
 *
 * // a socket in the network of a container
 * const socketIn = (pid: number) =>
 *   Effect.gen(function* () {
 *     const network = yield* Namespace.open("net", pid)
 *     const thread = yield* Namespace.enter([network])
 *     return yield* Namespace.fileOn(thread, Syscall.nr.socket, Syscall.AF_INET, Syscall.SOCK_STREAM | Syscall.SOCK_CLOEXEC, 0)
 *   })
 * ```
 *
 * @category entering
 * @since 0.1.0
 */
export const enter = Effect.fnUntraced(function* (
  namespaces: ReadonlyArray<Namespace>
): Effect.fn.Return<
  Syscall.Thread,
  Syscall.MakeThreadError | errors.SetnsError | errors.UnshareError | RequestError,
  Scope.Scope
> {
  const thread = yield* Syscall.makeThread
  for (const namespace of namespaces) {
    if ((yield* kind(namespace)) === "mnt") {
      yield* runOn<void, errors.UnshareError>(own(namespace), {
        errors: errors.unshare,
        nr: Syscall.nr.unshare,
        prepare: () => [constants.CLONE_FS],
        decode: () => {},
        options: { thread }
      })
    }
    yield* runOn<void, errors.SetnsError>(own(namespace), {
      errors: errors.setns,
      nr: Syscall.nr.setns,
      prepare: () => [own(namespace).fd, 0],
      decode: () => {},
      options: { thread },
      subject: { fd: own(namespace).fd }
    })
  }
  return thread
})

/**
 * Makes any call that returns a descriptor on a thread, and puts the descriptor into the scope. Say close-on-exec where the
 * call has a flag for it.
 *
 * Can wait; interruptible.
 *
 * @category entering
 * @since 0.1.0
 */
export const fileOn = (
  thread: Syscall.Thread,
  nr: number,
  ...args: ReadonlyArray<Syscall.Argument>
): Effect.Effect<File, Errno, Scope.Scope> =>
  Effect.suspend(() => {
    const syscall = Syscall.name(nr) ?? `syscall_${nr}`
    return adopt<Ioctl.AnyDevice, Errno>({
      errors: {
        syscall,
        documented: [],
        make: (code, path, fd, detail) => fromCode(code, { syscall, path, fd, detail })
      },
      nr: int("nr", nr),
      prepare: () => args,
      decode: Number,
      options: { thread, onAbandoned: closeAbandoned }
    })
  })
