/** Sockets of every family: made, bound, connected, accepted; bytes there and back; errors as values. */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Result, type Scope, Stream } from "effect"
import { Fcntl, File, Ioctl, Socket, SocketAddress, SocketOption, Struct, Syscall } from "../src/index.ts"
import { callsOf, text, turn, utf8 } from "./support/files.ts"
import { openFds } from "./support/process.ts"
import { temporaryDirectory } from "./support/temporary.ts"

const { Ipv4, Ipv6 } = SocketAddress
const loopback = SocketAddress.inet(Ipv4.LOOPBACK, 0)

/** Both ends of a connection over TCP. */
const connected = Effect.gen(function* () {
  const listener = yield* Socket.listener(loopback)
  const client = yield* Socket.dial(yield* Socket.localAddress(listener))
  const { socket } = yield* Socket.accept(listener)
  return [client, socket] as const
})

const codeOf = (error: { readonly _tag: string; readonly code?: unknown }) =>
  error._tag === "OtherErrno" ? error.code : error._tag

describe("binds of TCP", () => {
  const addresses: ReadonlyArray<readonly [string, SocketAddress.Inet | SocketAddress.Inet6, number]> = [
    ["IPv4", SocketAddress.inet(Ipv4.LOOPBACK, 0), Syscall.AF_INET],
    ["IPv6", SocketAddress.inet6(Ipv6.LOOPBACK, 0), Syscall.AF_INET6],
    ["either that is IPv4", SocketAddress.ip(Ipv4.LOOPBACK, 0), Syscall.AF_INET],
    ["either that is IPv6", SocketAddress.ip(Ipv6.LOOPBACK, 0), Syscall.AF_INET6],
    ["IPv4 mapped to IPv6", SocketAddress.ip(Ipv4.toMapped(Ipv4.LOOPBACK), 0), Syscall.AF_INET6]
  ]
  for (const [name, address, family] of addresses) {
    it.live(`take an address of ${name}, and connections to it`, () =>
      Effect.gen(function* () {
        assert.strictEqual(SocketAddress.family(address), family)
        const socket = yield* Socket.make(family, "stream")
        yield* Socket.bind(socket, address)
        yield* Socket.listen(socket)
        const local = yield* Socket.localAddress(socket)
        assert.isTrue(SocketAddress.equals({ ...address, port: "port" in local ? local.port : 0 }, local))
        const client = yield* Socket.dial(local)
        const { address: peer, socket: server } = yield* Socket.accept(socket)
        assert.deepStrictEqual(peer, yield* Socket.localAddress(client))
        assert.deepStrictEqual(yield* Socket.peerAddress(client), local)
        assert.deepStrictEqual(yield* Socket.localAddress(server), local)
      }).pipe(Effect.scoped)
    )
  }

  it.live("on the IPv6 address of all interfaces take IPv4, too, whose addresses are then mapped", () =>
    Effect.gen(function* () {
      const listener = yield* Socket.listener(SocketAddress.inet6(Ipv6.ANY, 0), { onlyIpv6: false })
      const local = yield* Socket.localAddress(listener)
      assert.strictEqual(local._tag, "Inet6")
      if (local._tag !== "Inet6") return
      const client = yield* Socket.dial(SocketAddress.inet(Ipv4.LOOPBACK, local.port))
      const { address } = yield* Socket.accept(listener)
      assert.strictEqual(address?._tag, "Inet6")
      if (address?._tag !== "Inet6") return
      assert.strictEqual(address.address, "::ffff:127.0.0.1")
      assert.deepStrictEqual(SocketAddress.fromMapped(address), yield* Socket.localAddress(client))

      const only = yield* Socket.listener(SocketAddress.inet6(Ipv6.ANY, 0), { onlyIpv6: true })
      const at = yield* Socket.localAddress(only)
      if (at._tag !== "Inet6") return assert.fail()
      const refused = yield* Effect.flip(Socket.dial(SocketAddress.inet(Ipv4.LOOPBACK, at.port)))
      assert.strictEqual(refused._tag, "ECONNREFUSED")
    }).pipe(Effect.scoped)
  )
})

describe("a connection", () => {
  it.live("carries bytes both ways, and is a File: read, written, streamed, closed as one", () =>
    Effect.gen(function* () {
      const [client, server] = yield* connected
      assert.isTrue(File.isFile(client))
      yield* Socket.sendAll(client, utf8("hello"))
      const FIONREAD = Ioctl.read(Ioctl.anyDevice, 0x541b, Struct.i32)
      assert.strictEqual(yield* File.ioctl(server, FIONREAD), 5)
      const buffer = new Uint8Array(16)
      assert.strictEqual(yield* Socket.recv(server, buffer), 5)
      yield* File.writeAll(server, buffer.subarray(0, 5))
      assert.strictEqual(yield* File.read(client, buffer), 5)
      assert.strictEqual(text(buffer.subarray(0, 5)), "hello")
      yield* Socket.sendAll(server, utf8("one, two"))
      yield* Socket.shutdown(server, "write")
      assert.strictEqual(text(yield* File.readAll(client)), "one, two")
      assert.strictEqual(yield* Socket.recv(client, buffer), 0)
      yield* Socket.sendAll(client, new Uint8Array(100_000).fill(7))
      yield* File.close(client)
      const size = yield* Stream.runFold(
        File.stream(server),
        () => 0,
        (sum: number, chunk) => sum + chunk.length
      )
      assert.strictEqual(size, 100_000)
    }).pipe(Effect.scoped)
  )

  it.live("takes more than its buffers hold, while the other side reads", () =>
    Effect.gen(function* () {
      const [client, server] = yield* connected
      const bytes = Uint8Array.from({ length: 8 << 20 }, (_, index) => (index * 31) >> 3)
      const sender = yield* Effect.forkChild(
        Effect.andThen(Socket.sendAll(client, bytes), Socket.shutdown(client, "write"))
      )
      const received = yield* File.readAll(server)
      yield* Fiber.join(sender)
      assert.isTrue(Buffer.from(received.buffer, received.byteOffset, received.length).equals(bytes))
    }).pipe(Effect.scoped)
  )

  it.live("that is gone is EPIPE, and no signal", () =>
    Effect.gen(function* () {
      const [a, b] = yield* Socket.pair("stream")
      yield* File.close(b)
      assert.strictEqual((yield* Effect.flip(Socket.send(a, utf8("x"))))._tag, "EPIPE")
      assert.strictEqual((yield* Effect.flip(Socket.sendMessage(a, { data: utf8("x") })))._tag, "EPIPE")
    }).pipe(Effect.scoped)
  )

  it.effect("is told not to raise a signal by every call that sends", () =>
    Effect.gen(function* () {
      const [a] = yield* Socket.pair("datagram")
      const { calls } = yield* callsOf(
        Effect.gen(function* () {
          yield* Socket.send(a, utf8("x"))
          yield* Effect.ignore(Socket.sendTo(a, utf8("x"), SocketAddress.abstract("nobody")))
          yield* Socket.sendMessage(a, { data: utf8("x") })
          yield* Socket.sendMessages(a, [{ data: utf8("x") }])
        })
      )
      const flags = calls.flatMap(({ args, nr }) =>
        nr === Syscall.nr.sendto || nr === Syscall.nr.sendmmsg ? [args[3]] : nr === Syscall.nr.sendmsg ? [args[2]] : []
      )
      assert.strictEqual(flags.length, 4)
      for (const flag of flags) assert.strictEqual(Number(flag) & Syscall.MSG_NOSIGNAL, Syscall.MSG_NOSIGNAL)
    }).pipe(Effect.scoped)
  )

  it.live("that was reset is ECONNRESET", () =>
    Effect.gen(function* () {
      const [client, server] = yield* connected
      yield* Socket.setOption(server, SocketOption.SO_LINGER, { l_onoff: 1, l_linger: 0 })
      yield* File.close(server)
      assert.strictEqual((yield* Effect.flip(Socket.recv(client, new Uint8Array(1))))._tag, "ECONNRESET")
    }).pipe(Effect.scoped)
  )

  it.live("can be used by a reader and a writer at a time", () =>
    Effect.gen(function* () {
      const [a, b] = yield* Socket.pair("stream")
      const reader = yield* Effect.forkChild(Socket.recv(a, new Uint8Array(1)), { startImmediately: true })
      yield* Socket.sendAll(a, utf8("x"))
      assert.strictEqual(yield* Socket.recv(b, new Uint8Array(1)), 1)
      yield* Socket.sendAll(b, utf8("y"))
      assert.strictEqual(yield* Fiber.join(reader), 1)
    }).pipe(Effect.scoped)
  )
})

describe("a hundred sockets on which nothing comes", () => {
  it.live("do not hold up the loop, and are all let go when they are interrupted", () =>
    Effect.gen(function* () {
      const before = yield* openFds
      yield* Effect.gen(function* () {
        const pairs = yield* Effect.forEach(Array.from({ length: 100 }), () => Socket.pair("stream"))
        const fibers = yield* Effect.forEach(pairs, ([a], index) =>
          Effect.forkChild(
            Effect.scoped(
              index % 2 === 0
                ? Socket.recv(a, new Uint8Array(1))
                : Effect.asVoid(Socket.recvMessage(a, { data: new Uint8Array(1), files: 1 }))
            ),
            { startImmediately: true }
          )
        )
        let longest = 0
        for (let i = 0; i < 50; i++) {
          const start = performance.now()
          yield* turn
          longest = Math.max(longest, performance.now() - start)
        }
        // Nothing comes, so that a call which held up the loop would never end.
        assert.isBelow(longest, 1000)
        yield* Effect.forEach(fibers, Fiber.interrupt, { concurrency: "unbounded" })
      }).pipe(Effect.scoped)
      assert.strictEqual(yield* openFds, before)
    })
  )
})

describe("datagrams", () => {
  it.live("come with the address of who sent them, and can be answered", () =>
    Effect.gen(function* () {
      const server = yield* Socket.make("inet", "datagram")
      yield* Socket.bind(server, loopback)
      const client = yield* Socket.make("inet", "datagram")
      yield* Socket.sendTo(client, utf8("question"), yield* Socket.localAddress(server))
      const buffer = new Uint8Array(64)
      const { address, bytes } = yield* Socket.recvFrom(server, buffer)
      assert.strictEqual(text(buffer.subarray(0, bytes)), "question")
      if (address === undefined) return assert.fail("no address")
      yield* Socket.sendTo(server, utf8("answer"), address)
      yield* Socket.connect(client, yield* Socket.localAddress(server))
      assert.strictEqual(text(buffer.subarray(0, yield* Socket.recv(client, buffer))), "answer")
      // What is longer than the buffer is cut, and MSG_TRUNC tells how long it was.
      yield* Socket.sendTo(server, new Uint8Array(100), address)
      assert.strictEqual(yield* Socket.recv(client, new Uint8Array(10), Syscall.MSG_TRUNC), 100)
    }).pipe(Effect.scoped)
  )

  it.live("to nobody are an error that is pending, and can be taken", () =>
    Effect.gen(function* () {
      const gone = yield* Effect.scoped(
        Effect.gen(function* () {
          const socket = yield* Socket.make("inet", "datagram")
          yield* Socket.bind(socket, loopback)
          return yield* Socket.localAddress(socket)
        })
      )
      const socket = yield* Socket.make("inet", "datagram")
      yield* Socket.connect(socket, gone)
      yield* Socket.send(socket, utf8("?"))
      const error = yield* Socket.takeError(socket)
      assert.strictEqual(Option.getOrUndefined(error)?._tag, "ECONNREFUSED")
      assert.isTrue(Option.isNone(yield* Socket.takeError(socket)))
    }).pipe(Effect.scoped)
  )
})

describe("Unix sockets", () => {
  it.live("by path are files, which a listener removes with its scope", () =>
    Effect.gen(function* () {
      const path = join(yield* temporaryDirectory, "socket")
      yield* Effect.gen(function* () {
        const listener = yield* Socket.listener(SocketAddress.unix(path))
        assert.isTrue(existsSync(path))
        assert.deepStrictEqual(yield* Socket.localAddress(listener), SocketAddress.unix(path))
        const client = yield* Socket.dial(SocketAddress.unix(path))
        const { address, socket } = yield* Socket.accept(listener)
        assert.deepStrictEqual(address, SocketAddress.unnamed)
        yield* Socket.sendAll(client, utf8("x"))
        assert.strictEqual(yield* Socket.recv(socket, new Uint8Array(1)), 1)
        assert.strictEqual((yield* Effect.flip(Socket.listener(SocketAddress.unix(path))))._tag, "EADDRINUSE")
        // The failed one must not have removed it.
        assert.isTrue(existsSync(path))
      }).pipe(Effect.scoped)
      assert.isFalse(existsSync(path))
      assert.strictEqual((yield* Effect.flip(Socket.dial(SocketAddress.unix(path))))._tag, "ENOENT")
      yield* Effect.scoped(Socket.listener(SocketAddress.unix(path), { unlink: false }))
      assert.isTrue(existsSync(path))
      assert.strictEqual((yield* Effect.flip(Socket.dial(SocketAddress.unix(path))))._tag, "ECONNREFUSED")
    }).pipe(Effect.scoped)
  )

  it.live("by abstract name and seqpacket keep messages apart", () =>
    Effect.gen(function* () {
      const listener = yield* Socket.listener(SocketAddress.unnamed, { type: "seqpacket" })
      const address = yield* Socket.localAddress(listener)
      const client = yield* Socket.dial(address, { type: "seqpacket" })
      const { socket } = yield* Socket.accept(listener)
      yield* Socket.send(client, utf8("one"))
      yield* Socket.send(client, utf8("two"))
      const buffer = new Uint8Array(16)
      assert.strictEqual(yield* Socket.recv(socket, buffer), 3)
      assert.strictEqual(yield* Socket.recv(socket, buffer), 3)
      assert.strictEqual(text(buffer.subarray(0, 3)), "two")
    }).pipe(Effect.scoped)
  )

  it.live("say which process is at the other end, also by a descriptor of it", (context) =>
    Effect.gen(function* () {
      const [a] = yield* Socket.pair("stream")
      const before = yield* openFds
      const made = yield* Effect.result(
        Effect.scoped(
          Effect.gen(function* () {
            const pidFd = yield* Socket.peerPidFd(a)
            assert.strictEqual(yield* openFds, before + 1)
            return readFileSync(`/proc/self/fdinfo/${yield* File.fd(pidFd)}`, "utf8")
          })
        )
      )
      if (Result.isFailure(made)) return context.skip(`SO_PEERPIDFD: ${made.failure.message}`)
      assert.match(made.success, new RegExp(`^Pid:\\s+${process.pid}$`, "m"))
      assert.strictEqual(yield* openFds, before)
    }).pipe(Effect.scoped)
  )
})

describe("other families", () => {
  it.live("netlink answers: the interfaces of this machine", () =>
    Effect.gen(function* () {
      const socket = yield* Socket.make("netlink", "raw", { protocol: Syscall.NETLINK_ROUTE })
      yield* Socket.bind(socket, SocketAddress.netlink())
      // RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP
      const request = new Uint8Array(20)
      const view = new DataView(request.buffer)
      view.setUint32(0, 20, true)
      view.setUint16(4, 18, true)
      view.setUint16(6, 0x301, true)
      yield* Socket.sendTo(socket, request, SocketAddress.netlink())
      const buffer = new Uint8Array(1 << 16)
      const { address, bytes } = yield* Socket.recvFrom(socket, buffer)
      assert.deepStrictEqual(address, SocketAddress.netlink())
      assert.isAbove(bytes, 16)
      assert.strictEqual(new DataView(buffer.buffer).getUint16(4, true), 16) // RTM_NEWLINK
    }).pipe(Effect.scoped)
  )

  it.live("vsock reaches this machine itself, where the kernel has that", (context) =>
    Effect.gen(function* () {
      const listening = yield* Effect.result(
        Socket.listener(SocketAddress.vsock(SocketAddress.Cid.ANY, SocketAddress.Cid.PORT_ANY))
      )
      if (Result.isFailure(listening)) return context.skip(`vsock: ${listening.failure.message}`)
      const address = yield* Socket.localAddress(listening.success)
      if (address._tag !== "Vsock") return assert.fail(SocketAddress.format(address))
      const client = yield* Effect.result(Socket.dial(SocketAddress.vsock(SocketAddress.Cid.LOCAL, address.port)))
      if (Result.isFailure(client)) return context.skip(`no loopback of vsock: ${client.failure.message}`)
      const { socket } = yield* Socket.accept(listening.success)
      yield* Socket.sendAll(client.success, utf8("x"))
      assert.strictEqual(yield* Socket.recv(socket, new Uint8Array(1)), 1)
    }).pipe(Effect.scoped)
  )

  it.live("packet sockets see what goes over an interface", (context) =>
    Effect.gen(function* () {
      const made = yield* Effect.result(Socket.make("packet", "datagram"))
      if (Result.isFailure(made)) return context.skip(`packet sockets: ${made.failure.message}`)
      yield* Socket.bind(made.success, SocketAddress.packet(1, Syscall.ETH_P_IP))
      const udp = yield* Socket.make("inet", "datagram")
      yield* Socket.bind(udp, loopback)
      const mark = utf8("effect-linux packet test")
      yield* Socket.sendTo(udp, mark, yield* Socket.localAddress(udp))
      const buffer = new Uint8Array(2048)
      while (true) {
        const { address, bytes } = yield* Socket.recvFrom(made.success, buffer)
        if (!text(buffer.subarray(0, bytes)).endsWith(text(mark))) continue
        assert.strictEqual(address?._tag, "Packet")
        if (address?._tag !== "Packet") return
        assert.deepStrictEqual([address.protocol, address.ifindex], [Syscall.ETH_P_IP, 1])
        return
      }
    }).pipe(Effect.scoped)
  )
})

describe("misuse", () => {
  it.effect("fails with a typed error that names the argument, or is a defect where the type is wrong", () =>
    Effect.gen(function* () {
      const [a] = yield* Socket.pair("stream")
      const tooMany = yield* Effect.flip(Socket.send(a, new Uint8Array(1), 2 ** 40))
      assert.strictEqual(tooMany._tag, "EINVAL")
      assert.include(tooMany.message, "flags")
      const detached = new Uint8Array(8)
      structuredClone(detached.buffer, { transfer: [detached.buffer] })
      assert.strictEqual((yield* Effect.flip(Socket.recvMessage(a, { data: [detached] })))._tag, "EFAULT")
      // @ts-expect-error no family
      assert.isTrue(Exit.hasDies(yield* Effect.exit(Socket.make("ipv4", "stream"))))
      // @ts-expect-error no type
      assert.isTrue(Exit.hasDies(yield* Effect.exit(Socket.pair("bytes"))))
      // @ts-expect-error no socket
      assert.isTrue(Exit.hasDies(yield* Effect.exit(Socket.send(5, new Uint8Array(1)))))
    }).pipe(Effect.scoped)
  )

  it.effect("of a file that is no socket fails with ENOTSOCK, also when it is to become one", () =>
    Effect.gen(function* () {
      const file = yield* File.open("/dev/null")
      // @ts-expect-error a file is no socket, as far as anybody knows
      assert.strictEqual((yield* Effect.flip(Socket.send(file, new Uint8Array(1))))._tag, "ENOTSOCK")
      assert.strictEqual((yield* Effect.flip(Socket.fromFile(file)))._tag, "ENOTSOCK")
      const [a] = yield* Socket.pair("stream")
      const borrowed = yield* File.borrow(yield* File.fd(a))
      const socket = yield* Socket.fromFile(borrowed)
      assert.strictEqual(yield* Socket.send(socket, new Uint8Array(1)), 1)
    }).pipe(Effect.scoped)
  )

  it.effect("of a closed socket fails with EBADF and asks the kernel nothing", () =>
    Effect.gen(function* () {
      const [a] = yield* Socket.pair("stream")
      yield* File.close(a)
      const message = { data: new Uint8Array(1) }
      const all: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }, Scope.Scope>> = [
        Socket.bind(a, SocketAddress.unnamed),
        Socket.bind(a, SocketAddress.unix("/nowhere")),
        Socket.connect(a, SocketAddress.abstract("x")),
        Socket.connect(a, SocketAddress.unix("/nowhere")),
        Socket.listen(a),
        Socket.accept(a),
        Socket.shutdown(a),
        Socket.localAddress(a),
        Socket.peerAddress(a),
        Socket.send(a, message.data),
        Socket.sendAll(a, message.data),
        Socket.sendTo(a, message.data, SocketAddress.unnamed),
        Socket.sendMessage(a, message),
        Socket.sendMessages(a, [message]),
        Socket.recv(a, message.data),
        Socket.recvFrom(a, message.data),
        Socket.recvMessage(a, message),
        Socket.recvMessages(a, [message]),
        Socket.takeError(a),
        Socket.peerPidFd(a),
        Socket.fromFile(a)
      ]
      const { calls } = yield* callsOf(
        Effect.forEach(all, (operation) =>
          Effect.map(Effect.flip(operation), ({ _tag }) => assert.strictEqual(_tag, "EBADF"))
        )
      )
      assert.deepStrictEqual(calls, [])
    }).pipe(Effect.scoped)
  )

  it.effect("of sockets that are not connected or bound is told by its errno", () =>
    Effect.gen(function* () {
      const socket = yield* Socket.make("inet", "stream")
      assert.strictEqual((yield* Effect.flip(Socket.peerAddress(socket)))._tag, "ENOTCONN")
      assert.strictEqual((yield* Effect.flip(Socket.shutdown(socket)))._tag, "ENOTCONN")
      assert.strictEqual((yield* Effect.flip(Socket.accept(socket)))._tag, "EINVAL")
      const udp = yield* Socket.make("inet", "datagram")
      assert.strictEqual((yield* Effect.flip(Socket.send(udp, new Uint8Array(1))))._tag, "EDESTADDRREQ")
      assert.strictEqual(codeOf(yield* Effect.flip(Socket.listen(udp))), "EOPNOTSUPP")
      const error = yield* Effect.flip(Socket.make("inet", "seqpacket"))
      assert.strictEqual(codeOf(error), "ESOCKTNOSUPPORT")
    }).pipe(Effect.scoped)
  )
})

describe("a socket that does not wait", () => {
  it.live("answers EAGAIN and EINPROGRESS", () =>
    Effect.gen(function* () {
      const [a] = yield* Socket.pair("stream", { nonBlocking: true })
      assert.strictEqual((yield* Effect.flip(Socket.recv(a, new Uint8Array(1))))._tag, "EAGAIN")
      assert.strictEqual((yield* Effect.flip(Socket.recvMessage(a, { data: new Uint8Array(1) })))._tag, "EAGAIN")
      const listener = yield* Socket.make("inet", "stream", { nonBlocking: true })
      yield* Socket.bind(listener, loopback)
      yield* Socket.listen(listener)
      assert.strictEqual((yield* Effect.flip(Socket.accept(listener)))._tag, "EAGAIN")
      const client = yield* Socket.make("inet", "stream", { nonBlocking: true })
      const started = yield* Effect.result(Socket.connect(client, yield* Socket.localAddress(listener)))
      assert.isTrue(Result.isSuccess(started) || started.failure._tag === "EINPROGRESS")
    }).pipe(Effect.scoped)
  )

  it.live("is told call by call on any other", () =>
    Effect.gen(function* () {
      const [a] = yield* Socket.pair("stream")
      const flags = Syscall.MSG_DONTWAIT
      assert.strictEqual((yield* Effect.flip(Socket.recv(a, new Uint8Array(1), flags)))._tag, "EAGAIN")
      assert.strictEqual((yield* Effect.flip(Socket.recvMessage(a, { data: new Uint8Array(1) }, flags)))._tag, "EAGAIN")
    }).pipe(Effect.scoped)
  )
})

describe("the mode of sockets", () => {
  it.live("is blocking for all but listeners, also after connecting, and descriptors are close-on-exec", () =>
    Effect.gen(function* () {
      const [client, server] = yield* connected
      const [a, b] = yield* Socket.pair("stream")
      for (const socket of [client, server, a, b]) {
        assert.strictEqual((yield* File.fcntl(socket, Fcntl.F_GETFL)) & Syscall.O_NONBLOCK, 0)
        assert.strictEqual(yield* File.fcntl(socket, Fcntl.F_GETFD), Syscall.FD_CLOEXEC)
      }
      const inherited = yield* Socket.make("inet", "stream", { closeOnExec: false })
      assert.strictEqual(yield* File.fcntl(inherited, Fcntl.F_GETFD), 0)
    }).pipe(Effect.scoped)
  )

  it.live("of a listener that was inherited is left as it is, and it waits all the same", () =>
    Effect.gen(function* () {
      const listener = yield* Socket.listener(loopback)
      const flags = yield* File.fcntl(listener, Fcntl.F_GETFL)
      yield* File.fcntl(listener, Fcntl.F_SETFL, flags & ~Syscall.O_NONBLOCK)
      const waiting = yield* Effect.forkChild(Effect.scoped(Socket.accept(listener)), { startImmediately: true })
      yield* Socket.dial(yield* Socket.localAddress(listener))
      yield* Fiber.join(waiting)
      assert.strictEqual((yield* File.fcntl(listener, Fcntl.F_GETFL)) & Syscall.O_NONBLOCK, 0)
    }).pipe(Effect.scoped)
  )

  it.live("of a listener's duplicate is the same, and it waits", () =>
    Effect.gen(function* () {
      const listener = yield* Socket.listener(loopback)
      const duplicate = yield* File.duplicate(listener)
      const waiting = yield* Effect.forkChild(Effect.scoped(Socket.accept(duplicate)), { startImmediately: true })
      yield* Socket.dial(yield* Socket.localAddress(listener))
      yield* Fiber.join(waiting)
    }).pipe(Effect.scoped)
  )
})
