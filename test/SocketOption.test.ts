/** Options: complete, with the numbers of C, typed, and with values that the kernel keeps. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Option, Result } from "effect"
import { Abi, File, Socket, SocketAddress, SocketOption, Struct, Syscall } from "../src/index.ts"
import { evaluateC, missing, valid } from "./support/c.ts"

interface AnyOption {
  readonly name: string
  readonly level: number
  readonly optname: number
}

const isOption = (u: unknown): u is AnyOption =>
  typeof u === "object" && u !== null && "level" in u && "optname" in u && "name" in u

const options = new Map(
  Object.entries(SocketOption).flatMap(([name, value]) => (isOption(value) ? [[name, value] as const] : []))
)

describe("the options", () => {
  /** Names of the same headers that are no options, and options that are not here. */
  const others = [
    /^SO_EE_/, // of the queue of errors
    /^SO_DEVMEM_(LINEAR|DMABUF)$/, // control messages
    /^SO_(SECURITY_AUTHENTICATION|SECURITY_ENCRYPTION_(NETWORK|TRANSPORT))$/, // never had a meaning
    /^SO_PEER(NAME|PIDFD)$/, // Socket.peerAddress, Socket.peerPidFd
    /^IP_(PMTUDISC|DEFAULT)_/, // values
    /^IPV6_(FL_[AFS]_|FLOWINFO_(FLOWLABEL|PRIORITY)$|PMTUDISC_|PREFER_SRC_|PRIORITY_|TLV_)/, // values
    /^IPV6_HOPLIMIT$/, // a control message
    /^IPV6_(NEXTHOP|AUTHHDR)$/, // never had a meaning
    /^MCAST_(IN|EX)CLUDE$/, // values
    /^TCP_(CM_INQ|MSS_|MD5SIG_(FLAG|MAXKEYLEN)|REPAIR_(ON|OFF)|RECEIVE_ZEROCOPY_FLAG)/, // values, and a control message
    /^TCP_ZEROCOPY_RECEIVE$/, // its value has addresses in memory
    /^UDP_ENCAP_/ // values
  ]

  it("are all that the headers define for sockets, IP, IPv6, TCP, UDP and vsock", () => {
    const defined = Object.keys(Syscall).filter((name) => /^(SO|IP|IPV6|MCAST|TCP|UDP)_/.test(name))
    const forgotten = defined.filter((name) => !options.has(name) && !others.some((other) => other.test(name)))
    assert.deepStrictEqual(forgotten, [])
    assert.isAtLeast(options.size, 240)
  })

  const levelOf = (name: string): string =>
    name.startsWith("SO_VM_")
      ? "AF_VSOCK"
      : name.startsWith("SO_")
        ? "SOL_SOCKET"
        : name.startsWith("IPV6_")
          ? "IPPROTO_IPV6"
          : name.startsWith("IP_") || name.startsWith("MCAST_")
            ? "IPPROTO_IP"
            : `IPPROTO_${name.slice(0, 3)}`

  const reason = missing("x86_64")
  it.skipIf(reason !== undefined)("have the level and number that C has for them", () => {
    const preamble = [
      "sys/socket.h",
      "linux/types.h",
      "linux/in.h",
      "linux/in6.h",
      "linux/tcp.h",
      "linux/udp.h",
      "linux/vm_sockets.h",
      "asm/socket.h"
    ]
      .map((header) => `#include <${header}>`)
      .join("\n")
    const questions = [...options].flatMap(([key, { name }]) => [
      { name: `${key} number`, expression: name },
      { name: `${key} level`, expression: levelOf(key) }
    ])
    const known = new Set(valid("x86_64", preamble, [...new Set(questions.map(({ expression }) => expression))]))
    const asked = questions.filter(({ expression }) => known.has(expression))
    assert.isAtLeast(asked.length, 2 * 230)
    const theirs = evaluateC("x86_64", [{ preamble, questions: asked }])
    const ours = new Map(
      [...options].flatMap(([key, { level, optname }]) => [
        [`${key} number`, BigInt(optname)],
        [`${key} level`, BigInt(level)]
      ])
    )
    const names = asked.map(({ name }) => name)
    assert.deepStrictEqual(
      Object.fromEntries(names.map((name) => [name, ours.get(name)])),
      Object.fromEntries(names.map((name) => [name, theirs.get(name)]))
    )
  })

  it("that younger headers have, too, have the numbers of Syscall", () => {
    for (const [key, { name, optname }] of options) {
      assert.strictEqual(optname, (Syscall as Readonly<Record<string, unknown>>)[name], key)
      assert.isTrue(key === name || key === `IPV6_${name}`, key)
    }
  })

  it.skipIf(reason !== undefined)("have tcp_info as C has it, as far as its headers go", () => {
    const preamble = "#include <linux/types.h>\n#include <linux/tcp.h>"
    const offset = (field: string) => `__builtin_offsetof(struct tcp_info, ${field})`
    const fields = Object.keys(Abi.tcp_info.fields)
    const known = valid("x86_64", preamble, fields.map(offset))
    assert.isAtLeast(known.length, 50)
    const asked = fields.filter((field) => known.includes(offset(field)))
    const theirs = evaluateC("x86_64", [
      { preamble, questions: asked.map((name) => ({ name, expression: offset(name) })) }
    ])
    const { fields: ours } = Abi.tcp_info
    for (const field of asked) {
      assert.strictEqual(BigInt(ours[field as keyof typeof ours].offset), theirs.get(field), field)
    }
  })
})

const tcp = Socket.make("inet", "stream")
const udp = Socket.make("inet", "datagram")
const udp6 = Socket.make("inet6", "datagram")
const loopback = SocketAddress.inet(SocketAddress.Ipv4.LOOPBACK, 0)

describe("Socket.getOption", () => {
  it.effect("tells that a socket listens, and that it does not", () =>
    Effect.gen(function* () {
      const socket = yield* tcp
      yield* Socket.bind(socket, loopback)
      assert.isFalse(yield* Socket.getOption(socket, SocketOption.SO_ACCEPTCONN))
      yield* Socket.listen(socket, 1)
      assert.isTrue(yield* Socket.getOption(socket, SocketOption.SO_ACCEPTCONN))
    }).pipe(Effect.scoped)
  )

  it.effect("reads numbers, names, records and lists", () =>
    Effect.gen(function* () {
      const listener = yield* Socket.listener(loopback)
      const socket = yield* Socket.dial(yield* Socket.localAddress(listener))
      assert.strictEqual(yield* Socket.getOption(socket, SocketOption.SO_TYPE), Syscall.SOCK_STREAM)
      assert.strictEqual(yield* Socket.getOption(socket, SocketOption.SO_DOMAIN), Syscall.AF_INET)
      assert.strictEqual(yield* Socket.getOption(socket, SocketOption.SO_PROTOCOL), Syscall.IPPROTO_TCP)
      assert.match(yield* Socket.getOption(socket, SocketOption.TCP_CONGESTION), /^[a-z]+$/)
      assert.isAbove(Number(yield* Socket.getOption(socket, SocketOption.SO_COOKIE)), 0)
      const info = yield* Socket.getOption(socket, SocketOption.TCP_INFO)
      assert.strictEqual(info.tcpi_state, 1) // TCP_ESTABLISHED
      assert.isAbove(info.tcpi_snd_mss, 0)
      assert.isAbove(info.tcpi_rcv_wscale, 0)
      assert.isTrue(Option.isNone(yield* Socket.takeError(socket)))

      const [unix] = yield* Socket.pair("stream")
      const { gid, pid, uid } = yield* Socket.getOption(unix, SocketOption.SO_PEERCRED)
      assert.deepStrictEqual({ gid, pid, uid }, { gid: process.getgid?.(), pid: process.pid, uid: process.getuid?.() })
      const groups = yield* Socket.getOption(unix, SocketOption.SO_PEERGROUPS)
      assert.isTrue(groups.every(Number.isInteger))
    }).pipe(Effect.scoped)
  )

  it.effect("knows what the kernel wrote: all of tcp_info that there is, and nothing beyond", () =>
    Effect.gen(function* () {
      const socket = yield* tcp
      const fd = yield* File.fd(socket)
      const room = new Uint8Array(1024).fill(0xaa)
      const length = yield* Syscall.getsockopt(fd, Syscall.IPPROTO_TCP, Syscall.TCP_INFO, room)
      assert.isTrue(room.subarray(length).every((byte) => byte === 0xaa))
      if (length > Abi.tcp_info.size) console.warn(`this kernel's tcp_info has ${length} bytes`)
      const { tcpi_accecn_opt_seen, tcpi_state } = yield* Socket.getOption(socket, SocketOption.TCP_INFO)
      assert.deepStrictEqual([tcpi_state, tcpi_accecn_opt_seen], [7, 0]) // TCP_CLOSE
    }).pipe(Effect.scoped)
  )

  it.effect("asks again with all the room that there can be where the kernel says that it was too little", () =>
    Effect.gen(function* () {
      const [unix] = yield* Socket.pair("stream")
      const rooms: Array<number> = []
      const { kernel } = Syscall
      const faulty: typeof kernel = {
        ...kernel,
        call: (nr, ...args) => {
          const [, , , room] = args
          rooms.push(ArrayBuffer.isView(room) ? room.byteLength : 0)
          return rooms.length === 1 ? -34 /* ERANGE */ : kernel.call(nr, ...args)
        }
      }
      const groups = yield* Socket.getOption(unix, SocketOption.SO_PEERGROUPS).pipe(
        Effect.provideService(Syscall.Trampoline, faulty)
      )
      assert.isTrue(groups.every(Number.isInteger))
      assert.deepStrictEqual(rooms, [256, 4 * 65_536])
    }).pipe(Effect.scoped)
  )

  it.effect("fails where the socket does not know the option", () =>
    Effect.gen(function* () {
      const [unix] = yield* Socket.pair("stream")
      const error = yield* Effect.flip(Socket.getOption(unix, SocketOption.TCP_NODELAY))
      assert.strictEqual(error._tag === "OtherErrno" ? error.code : error._tag, "EOPNOTSUPP")
    }).pipe(Effect.scoped)
  )
})

describe("Socket.setOption", () => {
  it.effect("sets what is then read: SO_DONTROUTE", () =>
    Effect.gen(function* () {
      const socket = yield* tcp
      yield* Socket.bind(socket, loopback)
      assert.isFalse(yield* Socket.getOption(socket, SocketOption.SO_DONTROUTE))
      yield* Socket.setOption(socket, SocketOption.SO_DONTROUTE, true)
      assert.isTrue(yield* Socket.getOption(socket, SocketOption.SO_DONTROUTE))
    }).pipe(Effect.scoped)
  )

  const round = <A, I extends A>(make: typeof tcp, option: SocketOption.SocketOption<A, I>, value: NoInfer<I>) =>
    it.effect(`sets what is then read: ${option.name}`, () =>
      Effect.gen(function* () {
        const socket = yield* make
        yield* Socket.setOption(socket, option, value)
        assert.deepStrictEqual<A>(yield* Socket.getOption(socket, option), value)
      }).pipe(Effect.scoped)
    )

  round(tcp, SocketOption.TCP_NODELAY, true)
  round(tcp, SocketOption.TCP_CORK, true)
  round(tcp, SocketOption.TCP_KEEPIDLE, 77)
  round(tcp, SocketOption.TCP_USER_TIMEOUT, 30_000)
  round(tcp, SocketOption.TCP_NOTSENT_LOWAT, 0xffff_fffe)
  round(tcp, SocketOption.SO_LINGER, { l_onoff: 1, l_linger: 3 })
  round(tcp, SocketOption.SO_MAX_PACING_RATE, 123_456n)
  round(tcp, SocketOption.SO_REUSEPORT, true)
  round(tcp, SocketOption.IP_TOS, 0x10)
  round(tcp, SocketOption.IP_TTL, 33)
  round(tcp, SocketOption.SO_BINDTODEVICE, "lo")
  round(tcp, SocketOption.SO_BINDTOIFINDEX, 1)
  round(udp, SocketOption.SO_BROADCAST, true)
  round(udp, SocketOption.SO_PRIORITY, 6)
  round(udp, SocketOption.IP_MULTICAST_TTL, 5)
  round(udp, SocketOption.IP_UNICAST_IF, 1)
  round(udp, SocketOption.SO_TIMESTAMPING, { flags: 1 << 3, bind_phc: 0 })
  round(udp6, SocketOption.IPV6_V6ONLY, true)
  round(udp6, SocketOption.IPV6_UNICAST_HOPS, 9)
  round(udp6, SocketOption.IPV6_UNICAST_IF, 1)
  round(udp6, SocketOption.IPV6_MULTICAST_IF, 1)
  round(udp, SocketOption.UDP_SEGMENT, 1200)

  it.effect("takes a limit of time as a Duration or timeval, and Infinity for none", () =>
    Effect.gen(function* () {
      const socket = yield* tcp
      const limit = Socket.getOption(socket, SocketOption.SO_RCVTIMEO)
      assert.isFalse(Duration.isFinite(yield* limit))
      yield* Socket.setOption(socket, SocketOption.SO_RCVTIMEO, "2 seconds")
      assert.strictEqual(Duration.toMillis(yield* limit), 2000)
      yield* Socket.setOption(socket, SocketOption.SO_RCVTIMEO, { tv_sec: 3n, tv_usec: 0n })
      assert.strictEqual(Duration.toMillis(yield* limit), 3000)
      yield* Socket.setOption(socket, SocketOption.SO_RCVTIMEO, Duration.infinity)
      assert.isFalse(Duration.isFinite(yield* limit))
      // The kernel would take 0 for no limit.
      const error = yield* Effect.flip(Socket.setOption(socket, SocketOption.SO_RCVTIMEO, 0))
      assert.strictEqual(error._tag, "EINVAL")
      yield* Socket.setOption(socket, SocketOption.SO_RCVTIMEO, "1 nano")
      assert.isTrue(Duration.isFinite(yield* limit))
    }).pipe(Effect.scoped)
  )

  it.effect("joins and leaves multicast groups, and keeps lists of sources", () =>
    Effect.gen(function* () {
      const socket = yield* udp
      const group = { imr_multiaddr: "239.1.2.3", imr_address: SocketAddress.Ipv4.LOOPBACK }
      yield* Socket.setOption(socket, SocketOption.IP_ADD_MEMBERSHIP, group)
      const again = yield* Effect.flip(Socket.setOption(socket, SocketOption.IP_ADD_MEMBERSHIP, group))
      assert.strictEqual(again._tag === "OtherErrno" ? again.code : again._tag, "EADDRINUSE")
      const filter = {
        imsf_multiaddr: "239.1.2.3",
        imsf_interface: SocketAddress.Ipv4.LOOPBACK,
        imsf_fmode: Syscall.MCAST_EXCLUDE,
        imsf_slist: ["192.0.2.1", "192.0.2.2"]
      }
      yield* Socket.setOption(socket, SocketOption.IP_MSFILTER, filter)
      const { imsf_interface, imsf_multiaddr } = filter
      const kept = yield* Socket.getOption(socket, SocketOption.IP_MSFILTER, { imsf_interface, imsf_multiaddr })
      assert.deepStrictEqual({ ...kept, imsf_slist: [...kept.imsf_slist].sort() }, filter)
      yield* Socket.setOption(socket, SocketOption.IP_DROP_MEMBERSHIP, group)
      yield* Socket.setOption(socket, SocketOption.IP_MULTICAST_IF, { imr_address: SocketAddress.Ipv4.LOOPBACK })
      assert.strictEqual(yield* Socket.getOption(socket, SocketOption.IP_MULTICAST_IF), SocketAddress.Ipv4.LOOPBACK)

      const six = yield* udp6
      const gr_group = SocketAddress.inet6("ff02::1234", 0)
      yield* Socket.setOption(six, SocketOption.IPV6_MCAST_JOIN_GROUP, { gr_interface: 1, gr_group })
      const source = SocketAddress.inet6("2001:db8::1", 0)
      yield* Socket.setOption(six, SocketOption.IPV6_MCAST_MSFILTER, {
        gf_interface: 1,
        gf_group: gr_group,
        gf_fmode: Syscall.MCAST_EXCLUDE,
        gf_slist: [source]
      })
      const { gf_fmode, gf_slist } = yield* Socket.getOption(six, SocketOption.IPV6_MCAST_MSFILTER, {
        gf_interface: 1,
        gf_group: gr_group
      })
      assert.strictEqual(gf_fmode, Syscall.MCAST_EXCLUDE)
      assert.isTrue(gf_slist.length === 1 && gf_slist.every((address) => SocketAddress.equals(address, source)))
    }).pipe(Effect.scoped)
  )

  it.effect("attaches classic filters, which are read back and take effect", () =>
    Effect.gen(function* () {
      const [a, b] = yield* Socket.pair("datagram")
      const dropAll = [{ code: 0x06, jt: 0, jf: 0, k: 0 }] // BPF_RET | BPF_K: nothing of the packet
      yield* Socket.setOption(b, SocketOption.SO_ATTACH_FILTER, dropAll)
      assert.deepStrictEqual(yield* Socket.getOption(b, SocketOption.SO_GET_FILTER), dropAll)
      const dropped = yield* Effect.result(Socket.send(a, Uint8Array.of(1)))
      yield* Socket.setOption(b, SocketOption.SO_DETACH_FILTER, undefined)
      yield* Socket.send(a, Uint8Array.of(2))
      const buffer = new Uint8Array(1)
      yield* Socket.recv(b, buffer)
      assert.deepStrictEqual([...buffer], [2])
      assert.isTrue(Result.isSuccess(dropped) || dropped.failure._tag === "EPERM")
      assert.deepStrictEqual(yield* Socket.getOption(b, SocketOption.SO_GET_FILTER), [])
    }).pipe(Effect.scoped)
  )

  it.effect("lets the kernel write no more than there is room for, also by the plain call", () =>
    Effect.gen(function* () {
      const [a] = yield* Socket.pair("datagram")
      const long = Array.from({ length: 64 }, () => ({ code: 0x06, jt: 0, jf: 0, k: 0xffff_ffff }))
      yield* Socket.setOption(a, SocketOption.SO_ATTACH_FILTER, long)
      const fd = yield* File.fd(a)
      const memory = new Uint8Array(512).fill(0xaa)
      const room = memory.subarray(0, 64)
      const error = yield* Effect.flip(Syscall.getsockopt(fd, Syscall.SOL_SOCKET, Syscall.SO_GET_FILTER, room))
      assert.strictEqual(error._tag, "EINVAL")
      assert.isTrue(memory.every((byte) => byte === 0xaa))
      assert.deepStrictEqual(yield* Socket.getOption(a, SocketOption.SO_GET_FILTER), long)
    }).pipe(Effect.scoped)
  )

  it.effect("gives the flow label that the kernel chose", () =>
    Effect.gen(function* () {
      const socket = yield* udp6
      const wanted = {
        flr_dst: SocketAddress.Ipv6.LOOPBACK,
        flr_label: 0,
        flr_action: Syscall.IPV6_FL_A_GET,
        flr_share: Syscall.IPV6_FL_S_ANY,
        flr_flags: Syscall.IPV6_FL_F_CREATE,
        flr_expires: 6,
        flr_linger: 6
      }
      const { flr_label } = yield* Socket.setOption(socket, SocketOption.IPV6_FLOWLABEL_MGR, wanted)
      assert.isAbove(flr_label, 0)
      assert.isAtMost(flr_label, 0xfffff)
    }).pipe(Effect.scoped)
  )

  it.effect("refuses values that the kernel would cut, with EINVAL, and a closed File with EBADF", () =>
    Effect.gen(function* () {
      const socket = yield* tcp
      for (const set of [
        Socket.setOption(socket, SocketOption.TCP_KEEPIDLE, 2 ** 40),
        Socket.setOption(socket, SocketOption.TCP_KEEPIDLE, 1.5),
        Socket.setOption(socket, SocketOption.SO_BINDTODEVICE, "x".repeat(16)),
        Socket.setOption(socket, SocketOption.SO_BINDTODEVICE, "l\0o"),
        Socket.setOption(socket, SocketOption.IP_ADD_MEMBERSHIP, { imr_multiaddr: "group" }),
        Socket.setOption(socket, SocketOption.SO_MAX_PACING_RATE, 2n ** 64n)
      ]) {
        assert.strictEqual((yield* Effect.flip(set))._tag, "EINVAL")
      }
      const program = yield* File.open("/dev/null")
      yield* File.close(program)
      const closed = yield* Effect.flip(Socket.setOption(socket, SocketOption.SO_ATTACH_BPF, program))
      assert.strictEqual(closed._tag, "EBADF")
      yield* File.close(socket)
      const gone = [
        yield* Effect.flip(Socket.getOption(socket, SocketOption.SO_TYPE)),
        yield* Effect.flip(Socket.setOption(socket, SocketOption.SO_KEEPALIVE, true))
      ]
      assert.deepStrictEqual(
        gone.map(({ _tag }) => _tag),
        ["EBADF", "EBADF"]
      )
    }).pipe(Effect.scoped)
  )
})

describe("SocketOption.make", () => {
  it.effect("makes options of a codec, and of a layout", () =>
    Effect.gen(function* () {
      const socket = yield* tcp
      const keepAlive = SocketOption.make("mine", Syscall.SOL_SOCKET, Syscall.SO_KEEPALIVE, SocketOption.flag)
      yield* Socket.setOption(socket, keepAlive, true)
      assert.isTrue(yield* Socket.getOption(socket, SocketOption.SO_KEEPALIVE))
      const Linger = Struct.make("linger", { l_onoff: Struct.i32, l_linger: Struct.i32 })
      const linger = SocketOption.make("mine", Syscall.SOL_SOCKET, Syscall.SO_LINGER, Linger)
      yield* Socket.setOption(socket, linger, { l_onoff: 1, l_linger: 5 })
      assert.deepStrictEqual(yield* Socket.getOption(socket, linger), { l_onoff: 1, l_linger: 5 })
      const type = SocketOption.readOnly("mine", Syscall.SOL_SOCKET, Syscall.SO_TYPE, Struct.i32)
      assert.strictEqual(yield* Socket.getOption(socket, type), Syscall.SOCK_STREAM)
    }).pipe(Effect.scoped)
  )
})

describe("types", () => {
  it("refuse an option that cannot be set or read, another value, and a file that is no socket", () => {
    const never = (socket: Socket.Socket, file: File.File) => {
      // @ts-expect-error it can only be read
      Socket.setOption(socket, SocketOption.SO_ACCEPTCONN, true)
      // @ts-expect-error it can only be set
      Socket.getOption(socket, SocketOption.SO_SNDBUFFORCE)
      // @ts-expect-error it takes a boolean
      Socket.setOption(socket, SocketOption.TCP_NODELAY, 1)
      // @ts-expect-error it takes a record
      Socket.setOption(socket, SocketOption.SO_LINGER, 1)
      // @ts-expect-error it asks which group
      Socket.getOption(socket, SocketOption.IP_MSFILTER)
      // @ts-expect-error it asks nothing
      Socket.getOption(socket, SocketOption.TCP_NODELAY, 1)
      // @ts-expect-error no socket, as far as anybody knows
      Socket.getOption(file, SocketOption.SO_TYPE)
      // @ts-expect-error it gives a string
      const name: Effect.Effect<number, unknown> = Socket.getOption(socket, SocketOption.TCP_CONGESTION)
      return name
    }
    assert.isFunction(never)
  })
})
