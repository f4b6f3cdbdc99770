/**
 * Reading and setting the options of a socket. Which there are is in `SocketOption`.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import { type Errno, fromCode } from "../errors/registry.ts"
import type * as Ioctl from "../Ioctl.ts"
import * as constants from "../internal/constants.ts"
import { type Descriptor, runOn } from "../internal/descriptor.ts"
import * as describe from "../syscall/sockets.ts"
import { adopt, type File, own } from "./model.ts"
import type { Readable, Writable } from "./option-codec.ts"
import { SO_ERROR, SO_TYPE } from "./option-socket.ts"
import type { Socket } from "./socket.ts"

const read = <A>(
  owner: Descriptor,
  { decode, level, optname }: Pick<Readable<A, never>, "decode" | "level" | "optname">,
  room: () => Uint8Array
) =>
  runOn(
    owner,
    describe.getsockopt(owner.fd, level, optname, room, (memory, _, written) =>
      decode(memory instanceof Uint8Array ? memory.subarray(0, written) : new Uint8Array(0))
    )
  )

/**
 * Reads an option. One that can only be set does not compile; some ask which one is meant.
 *
 * Does not block. Manual page: getsockopt(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Socket, SocketOption } from "effect-linux"
 *
 * const isListening = (socket: Socket.Socket) => Socket.getOption(socket, SocketOption.SO_ACCEPTCONN)
 *
 * const rtt = (socket: Socket.Socket) =>
 *   Effect.map(Socket.getOption(socket, SocketOption.TCP_INFO), ({ tcpi_rtt }) => tcpi_rtt)
 * ```
 *
 * @category options
 * @since 0.1.0
 */
export const getOption = <A, Q = void>(
  socket: Socket,
  option: Readable<A, Q>,
  ...[query]: undefined extends Q ? [query?: NoInfer<Q>] : [query: NoInfer<Q>]
): Effect.Effect<A, errors.GetsockoptError> =>
  Effect.suspend(() => {
    const owner = own(socket)
    // Where the option asks nothing Q is void, and undefined is its value.
    const room = () => option.room(query as Q)
    const first = read(owner, option, room)
    if (option.largest === 0) return first
    return Effect.catchIf(
      first,
      (error) => error.errno === codes.ERANGE && option.largest > room().length,
      () => read(owner, option, () => new Uint8Array(option.largest))
    )
  })

/**
 * Sets an option. One that can only be read does not compile.
 *
 * Does not block. Manual page: setsockopt(2).
 *
 * @example
 * ```ts
 * import { Socket, SocketOption } from "effect-linux"
 *
 * const hurry = (socket: Socket.Socket) => Socket.setOption(socket, SocketOption.TCP_NODELAY, true)
 *
 * const giveUpAfter = (socket: Socket.Socket) => Socket.setOption(socket, SocketOption.SO_SNDTIMEO, "5 seconds")
 * ```
 *
 * @category options
 * @since 0.1.0
 */
export const setOption = <I, R>(
  socket: Socket,
  option: Writable<I, R>,
  value: NoInfer<I>
): Effect.Effect<R, errors.SetsockoptError> =>
  Effect.suspend(() => {
    const owner = own(socket)
    let memory: Uint8Array | null = null
    const description = describe.setsockopt(owner.fd, option.level, option.optname, () => {
      memory = option.encode(value)
      return memory
    })
    return Effect.map(runOn(owner, description), () => option.result(memory))
  })

/**
 * Takes the error that is pending on a socket, if there is one: of a connection that was begun, or of a datagram that was
 * not delivered.
 *
 * Does not block.
 *
 * @category options
 * @since 0.1.0
 */
export const takeError = (socket: Socket): Effect.Effect<Option.Option<Errno>, errors.GetsockoptError> =>
  Effect.map(getOption(socket, SO_ERROR), (errno) =>
    errno === 0 ? Option.none() : Option.some(fromCode(errno, { fd: own(socket).fd }))
  )

/**
 * A descriptor of the process at the other end of a Unix socket, as it was when it connected: it can be waited for and sent
 * signals without the danger that its number has become another's.
 *
 * Does not block. Since Linux 6.5. Manual page: unix(7), `SO_PEERPIDFD`.
 *
 * @category options
 * @since 0.1.0
 */
export const peerPidFd = (socket: Socket): Effect.Effect<File, errors.GetsockoptError, Scope.Scope> =>
  Effect.suspend(() => {
    const owner = own(socket)
    const description = describe.getsockopt(
      owner.fd,
      constants.SOL_SOCKET,
      constants.SO_PEERPIDFD,
      () => new Uint8Array(4),
      (memory) => (memory instanceof Uint8Array ? new DataView(memory.buffer).getInt32(0, true) : -1)
    )
    return adopt<Ioctl.AnyDevice, errors.GetsockoptError>(description, owner)
  })

/**
 * A file that is a socket, as a `Socket`: one that was inherited, borrowed or received.
 *
 * Fails with `ENOTSOCK` where it is none. Does not block.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromFile = (file: File<unknown>): Effect.Effect<Socket, errors.GetsockoptError> =>
  Effect.suspend(() => {
    const owner = own(file)
    return Effect.as(getOption(owner, SO_TYPE), owner)
  })
