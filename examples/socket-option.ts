/**
 * Options of sockets: those that the library knows, and one's own.
 *
 *     node .build/programs/examples/socket-option.js
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import { Socket, SocketAddress, SocketOption, Struct, Syscall } from "effect-linux"

// An option of one's own, as for a protocol that the library has never heard of: a name for messages, the level and the
// number that the kernel has for it, and what its value is.
const Linger = Struct.make("linger", { l_onoff: Struct.i32, l_linger: Struct.i32 })
const MY_LINGER = SocketOption.make("MY_LINGER", Syscall.SOL_SOCKET, 13, Linger)

const main = Effect.gen(function* () {
  const listener = yield* Socket.listener(SocketAddress.inet(SocketAddress.Ipv4.LOOPBACK, 0))
  const address = yield* Socket.localAddress(listener)
  const socket = yield* Socket.dial(address)
  console.log(`connected to ${SocketAddress.format(address)}`)

  yield* Socket.setOption(socket, SocketOption.TCP_NODELAY, true)
  console.log(`TCP_NODELAY ${yield* Socket.getOption(socket, SocketOption.TCP_NODELAY)}`)

  const { tcpi_snd_mss } = yield* Socket.getOption(socket, SocketOption.TCP_INFO)
  console.log(`segments of up to ${tcpi_snd_mss} bytes`)

  yield* Socket.setOption(socket, MY_LINGER, { l_onoff: 1, l_linger: 5 })
  const { l_linger } = yield* Socket.getOption(socket, MY_LINGER)
  console.log(`closing waits up to ${l_linger} seconds`)

  // Socket.setOption(socket, SocketOption.TCP_INFO, …) does not compile: it can only be read.
}).pipe(Effect.scoped)

NodeRuntime.runMain(main)
