/**
 * Files as devices and as memory: `ioctl`, `fcntl`, `mmap`.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import type * as Ioctl from "../Ioctl.ts"
import type { Buffer } from "../internal/arguments.ts"
import * as constants from "../internal/constants.ts"
import { runOn } from "../internal/descriptor.ts"
import { onThisThread } from "../internal/invoke.ts"
import * as Syscall from "../Syscall.ts"
import * as describe from "../syscall/descriptions.ts"
import * as Mapping from "./mapping.ts"
import { stat } from "./metadata.ts"
import { type File, own } from "./model.ts"

/**
 * Asks the device what only its driver knows. A request for another kind of device does not compile.
 *
 * Made on the JavaScript thread. Manual page: ioctl(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File, Ioctl, Struct } from "effect-linux"
 *
 * // how many bytes wait in a pipe, socket or terminal
 * const FIONREAD = Ioctl.read(Ioctl.anyDevice, 0x541b, Struct.i32)
 *
 * const waiting = (file: File.File) => File.ioctl(file, FIONREAD)
 * ```
 *
 * @category devices
 * @since 0.1.0
 */
export const ioctl = <D, A, R, E>(
  file: File<NoInfer<D>>,
  request: Ioctl.Request<D, A, R, E>,
  ...[argument]: undefined extends A ? [argument?: NoInfer<A>] : [argument: NoInfer<A>]
): Effect.Effect<R, E> =>
  Effect.suspend(() => {
    const owner = own(file)
    return runOn(owner, {
      errors: request.errors,
      nr: Syscall.nr.ioctl,
      // Where the request takes no argument A is void, and undefined is its value.
      prepare: () => [owner.fd, request.code, request.prepare(argument as A)],
      decode: (result, [, , memory = null]) => request.decode(Number(result), memory),
      options: onThisThread,
      subject: { fd: owner.fd, request: request.name }
    })
  })

/**
 * Makes a request that waits, on a thread of `Syscall.makeThread`: the event loop goes on meanwhile, and interrupting the
 * fiber, or closing the file, makes the kernel give the request up.
 *
 * The request takes no argument. `onInterrupt` is called just before the kernel is made to give it up, `onAbandoned` where
 * it was done at that moment and no fiber hears of it.
 *
 * Manual page: ioctl(2).
 *
 * @category devices
 * @since 0.1.0
 */
export const ioctlOn = <D, R, E>(
  file: File<NoInfer<D>>,
  thread: Syscall.Thread,
  request: Ioctl.Request<D, void, R, E>,
  options: {
    readonly onInterrupt?: (() => void) | undefined
    readonly onAbandoned?: (() => void) | undefined
  } = {}
): Effect.Effect<R, E> =>
  Effect.suspend(() => {
    const owner = own(file)
    return runOn(owner, {
      errors: request.errors,
      nr: Syscall.nr.ioctl,
      prepare: () => [owner.fd, request.code, request.prepare()],
      decode: (result, [, , memory = null]) => request.decode(Number(result), memory),
      options: { thread, ...options },
      subject: { fd: owner.fd, request: request.name }
    })
  })

/**
 * `fcntl` by its raw command.
 *
 * @category devices
 * @since 0.1.0
 */
export const fcntl = (
  file: File<unknown>,
  command: number,
  argument: number | bigint | Buffer | null = 0
): Effect.Effect<number, errors.FcntlError> => runOn(own(file), describe.fcntl(own(file).fd, command, argument))

/**
 * Maps the file into memory, for as long as the scope is open. The file may be closed before.
 *
 * `shared` mappings need a file that is open for reading and writing. A range that goes past the last page of a regular
 * file fails with `EINVAL`: touching it would kill the process.
 *
 * Can wait for a disk or server, for the file's size. Manual page: mmap(2).
 *
 * @category memory
 * @since 0.1.0
 */
export const mmap = (
  file: File<unknown>,
  options: Mapping.Options & { readonly offset?: number | bigint | undefined }
): Effect.Effect<Mapping.Mapping, errors.MmapError | errors.StatxError, Scope.Scope> =>
  Effect.flatMap(stat(file), ({ stx_mode, stx_size }) => {
    const owner = own(file)
    const { length, offset = 0 } = options
    const pages = ((stx_size + pageSize - 1n) / pageSize) * pageSize
    const isRegular = (stx_mode & constants.S_IFMT) === constants.S_IFREG
    const valid = Number.isSafeInteger(length) && (typeof offset === "bigint" || Number.isSafeInteger(offset))
    if (isRegular && valid && BigInt(offset) + BigInt(length) > pages) {
      const detail = `length: ${length} at ${offset} is past the file's ${stx_size}`
      return Exit.fail(errors.mmap.make(codes.EINVAL, undefined, owner.fd, detail))
    }
    return Mapping.acquire(owner.fd, options, owner)
  })

// The smallest page of any architecture here: a file's last page is whole at this size too.
const pageSize = 4096n
