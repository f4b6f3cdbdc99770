/**
 * Options of sockets as typed constants: each knows its level and number, what reading it gives and what setting it takes.
 * One that can only be read cannot be set, and the other way round, at compile time.
 *
 * They have the kernel's names and are read and set by `Socket.getOption` and `Socket.setOption`. Options of the kernel's
 * headers that are not here: those whose value is an address in memory (`TCP_ZEROCOPY_RECEIVE`), which `Syscall` has; the
 * other end of a connection (`SO_PEERPIDFD`, `SO_PEERNAME`), which `Socket.peerPidFd` and `Socket.peerAddress` give; and
 * names that Linux gave no meaning to (`SO_SECURITY_*`, `IPV6_NEXTHOP`, `IPV6_AUTHHDR`). For all others, and for protocols of one's own, there is `make`.
 *
 * `MCAST_*` has one number at two levels: those for IPv6 are `IPV6_MCAST_*` here.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Socket, SocketOption } from "effect-linux"
 *
 * const program = Effect.gen(function* () {
 *   const socket = yield* Socket.make("inet", "stream")
 *   yield* Socket.setOption(socket, SocketOption.TCP_NODELAY, true)
 *   const { tcpi_rtt } = yield* Socket.getOption(socket, SocketOption.TCP_INFO)
 *   return tcpi_rtt
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 */
export * from "./file/option-codec.ts"
export type {
  FlowLabel,
  Group,
  GroupFilter,
  GroupSource,
  Membership,
  Membership6,
  MtuInfo6,
  MulticastInterface,
  PacketInfo6,
  PortRange,
  SourceFilter,
  SourceMembership
} from "./file/option-groups.ts"
export * from "./file/option-ip.ts"
export * from "./file/option-ipv6.ts"
export * from "./file/option-ipv6-more.ts"
export * from "./file/option-socket.ts"
export * from "./file/option-socket-more.ts"
export * from "./file/option-tcp.ts"
export * from "./file/option-udp.ts"
export type { Md5Key, MemoryInfo, TcpInfo } from "./file/option-values.ts"
