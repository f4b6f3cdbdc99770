/** Sockets against the real kernel: names, options, connections, bytes. */
import { existsSync, readFileSync } from "node:fs"
import { type AddressInfo, createServer, connect as nodeConnect, type Server, type Socket } from "node:net"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { Abi, Errno, Syscall } from "../../src/index.ts"
import { listen, setsockopt, shutdown, socket } from "../../src/syscall/generated/network.ts"
import {
  accept,
  accept4,
  bind,
  connect,
  encodeSockAddr,
  getpeername,
  getsockname,
  getsockopt,
  recvfrom,
  type SockAddr,
  type SockAddrLike,
  sendto,
  socketpair
} from "../../src/syscall/network.ts"
import { asleepIn, directory, held } from "../support/fds.ts"
import { eventually, openFds } from "../support/process.ts"

const { AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, nr, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM } = Syscall
const { SO_ERROR, SO_LINGER, SO_PEERCRED, SO_RCVTIMEO, SO_REUSEADDR, SO_TYPE, SOL_SOCKET } = Syscall

const inet = (port = 0): SockAddrLike => ({ _tag: "Inet", address: "127.0.0.1", port })

const portOf = (address: SockAddr | undefined): number =>
  address?._tag === "Inet" || address?._tag === "Inet6" ? address.port : -1

const stream = (domain: number = AF_INET, flags = 0) => held(socket(domain, SOCK_STREAM | SOCK_CLOEXEC | flags))
const datagram = (domain: number = AF_INET, flags = 0) => held(socket(domain, SOCK_DGRAM | SOCK_CLOEXEC | flags))

const pair = (type: number, flags = 0) =>
  Effect.acquireRelease(socketpair(AF_UNIX, type | SOCK_CLOEXEC | flags), ([a, b]) =>
    Effect.andThen(Effect.ignore(Syscall.close(a)), Effect.ignore(Syscall.close(b)))
  )

/** A listening socket and where it listens. */
const listening = (flags = 0) =>
  Effect.gen(function* () {
    const fd = yield* stream(AF_INET, flags)
    yield* bind(fd, inet())
    yield* listen(fd, 8)
    return { fd, address: yield* getsockname(fd) }
  })

const forkAsleep = <A, E, R>(self: Effect.Effect<A, E, R>, number: number, first: number) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(self)
    assert.isTrue(yield* eventually(() => asleepIn(number, first) > 0), "the call is asleep in the kernel")
    return fiber
  })

/** Node's own, as the other side. */
const nodeClient = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<Socket>((resume) => {
      const client = nodeConnect(port, "127.0.0.1", () => resume(Effect.succeed(client)))
    }),
    (client) => Effect.sync(() => client.destroy())
  )

const nodeServer = Effect.acquireRelease(
  Effect.callback<Server>((resume) => {
    const server = createServer((client) => client.pipe(client)).listen(0, "127.0.0.1", () =>
      resume(Effect.succeed(server))
    )
  }),
  (server) => Effect.sync(() => server.close())
)

const isPort = (info: AddressInfo | string | null): info is AddressInfo => typeof info === "object" && info !== null

const utf8 = (text: string) => new TextEncoder().encode(text)

const tagOf = <A, E>(self: Effect.Effect<A, E>) => Effect.flip(self)

describe("socket", () => {
  it.live("makes a socket of the domain and type", () =>
    Effect.gen(function* () {
      const fd = yield* datagram()
      const type = new Int32Array(1)
      assert.strictEqual(yield* getsockopt(fd, SOL_SOCKET, SO_TYPE, type), 4)
      assert.strictEqual(type[0], SOCK_DGRAM)
      assert.strictEqual(yield* Syscall.fcntl(fd, Syscall.F_GETFD), Syscall.FD_CLOEXEC)
      const other = yield* datagram(AF_INET, SOCK_NONBLOCK)
      assert.isAbove((yield* Syscall.fcntl(other, Syscall.F_GETFL)) & Syscall.O_NONBLOCK, 0)
    })
  )

  it.live("fails with the errnos of the manual", () =>
    Effect.gen(function* () {
      assert.instanceOf(yield* tagOf(socket(9999, SOCK_STREAM)), Errno.EAFNOSUPPORT)
      assert.instanceOf(yield* tagOf(socket(AF_INET, 99)), Errno.EINVAL)
      assert.instanceOf(yield* tagOf(socket(AF_INET, SOCK_STREAM, Syscall.IPPROTO_UDP)), Errno.EPROTONOSUPPORT)
      const misuse = yield* tagOf(socket(AF_INET, 1.5))
      assert.instanceOf(misuse, Errno.EINVAL)
    })
  )
})

describe("socketpair", () => {
  it.live("makes two sockets that speak to each other", () =>
    Effect.gen(function* () {
      const [a, b] = yield* pair(SOCK_STREAM)
      assert.strictEqual(yield* Syscall.write(a, utf8("hello")), 5)
      const bytes = new Uint8Array(8)
      assert.strictEqual(yield* Syscall.read(b, bytes), 5)
      assert.deepStrictEqual(yield* getsockname(a), { _tag: "Unix", unnamed: true })
      assert.deepStrictEqual(yield* getpeername(a), { _tag: "Unix", unnamed: true })
      assert.instanceOf(yield* tagOf(socketpair(AF_INET, SOCK_STREAM)), Errno.EOPNOTSUPP)
    })
  )
})

describe("bind and getsockname", () => {
  it.live("give and tell an Inet and an Inet6 address", () =>
    Effect.gen(function* () {
      const fd = yield* stream()
      yield* bind(fd, inet())
      const name = yield* getsockname(fd)
      assert.isAbove(portOf(name), 0)
      assert.deepStrictEqual(name, { _tag: "Inet", address: "127.0.0.1", port: portOf(name) })
      assert.instanceOf(yield* tagOf(bind(fd, inet())), Errno.EINVAL)

      const six = yield* Effect.exit(stream(AF_INET6))
      if (Exit.isFailure(six)) return
      // An address of no interface: the kernel says so if it has IPv6, and takes the address if it may be foreign.
      const free: SockAddrLike = { _tag: "Inet6", address: "2001:db8::1", port: 0 }
      yield* setsockopt(six.value, Syscall.IPPROTO_IPV6, Syscall.IPV6_FREEBIND, Int32Array.of(1))
      yield* bind(six.value, free)
      const name6 = yield* getsockname(six.value)
      assert.deepStrictEqual(name6, { ...free, port: portOf(name6), flowinfo: 0, scopeId: 0 })
    })
  )

  it.live("give and tell a Unix path, and the longest one", () =>
    Effect.gen(function* () {
      const base = yield* directory
      const short = join(base, "socket")
      for (const path of [short, join(base, "x".repeat(Syscall.UNIX_PATH_MAX - base.length - 1))]) {
        const fd = yield* stream(AF_UNIX)
        yield* bind(fd, { _tag: "Unix", path })
        assert.isTrue(existsSync(path))
        assert.deepStrictEqual(yield* getsockname(fd), { _tag: "Unix", path: utf8(path) })
      }
      const again = yield* stream(AF_UNIX)
      assert.instanceOf(yield* tagOf(bind(again, { _tag: "Unix", path: short })), Errno.EADDRINUSE)
      const nowhere = yield* tagOf(bind(again, { _tag: "Unix", path: join(base, "no", "where") }))
      assert.instanceOf(nowhere, Errno.ENOENT)
      const misuse = yield* tagOf(bind(again, { _tag: "Unix", path: "a\0b" }))
      assert.instanceOf(misuse, Errno.EINVAL)
      assert.match(misuse.message, /NUL/)
    })
  )

  it.live("give and tell an abstract Unix name, chosen or not", () =>
    Effect.gen(function* () {
      const fd = yield* stream(AF_UNIX)
      const abstract = `effect-linux-${process.pid}`
      yield* bind(fd, { _tag: "Unix", abstract })
      assert.deepStrictEqual(yield* getsockname(fd), { _tag: "Unix", abstract: utf8(abstract) })
      assert.include(readFileSync("/proc/net/unix", "utf8"), `@${abstract}\n`)
      const other = yield* stream(AF_UNIX)
      yield* bind(other, { _tag: "Unix", unnamed: true })
      const name = yield* getsockname(other)
      assert.strictEqual(name._tag === "Unix" ? name.abstract?.length : undefined, 5)
    })
  )

  it.live("give and tell a netlink port", () =>
    Effect.gen(function* () {
      const fd = yield* held(socket(AF_NETLINK, Syscall.SOCK_RAW | SOCK_CLOEXEC, Syscall.NETLINK_ROUTE))
      const pid = 0x40000000 + process.pid
      yield* bind(fd, { _tag: "Netlink", pid })
      assert.deepStrictEqual(yield* getsockname(fd), { _tag: "Netlink", pid, groups: 0 })
    })
  )

  it.live("refuse what is no socket or no descriptor", () =>
    Effect.gen(function* () {
      const [reader] = yield* Syscall.pipe2(Syscall.O_CLOEXEC)
      assert.instanceOf(yield* tagOf(bind(reader, inet())), Errno.ENOTSOCK)
      assert.instanceOf(yield* tagOf(getsockname(reader)), Errno.ENOTSOCK)
      assert.instanceOf(yield* tagOf(getpeername(reader)), Errno.ENOTSOCK)
      yield* Syscall.close(reader)
      assert.instanceOf(yield* tagOf(getsockname(-1)), Errno.EBADF)
      assert.instanceOf(yield* tagOf(bind(1.5, inet())), Errno.EBADF)
    })
  )
})

describe("listen, accept and accept4", () => {
  it.live("take a connection that Node made", () =>
    Effect.gen(function* () {
      const { address, fd } = yield* listening()
      const client = yield* nodeClient(portOf(address))
      const accepted = yield* accept4(fd, SOCK_CLOEXEC | SOCK_NONBLOCK)
      yield* held(Effect.succeed(accepted.fd))
      assert.deepStrictEqual(accepted.address, { _tag: "Inet", address: "127.0.0.1", port: client.localPort ?? -1 })
      assert.deepStrictEqual(yield* getpeername(accepted.fd), accepted.address)
      assert.deepStrictEqual(yield* getsockname(accepted.fd), address)
      assert.strictEqual(yield* Syscall.fcntl(accepted.fd, Syscall.F_GETFD), Syscall.FD_CLOEXEC)
      assert.isAbove((yield* Syscall.fcntl(accepted.fd, Syscall.F_GETFL)) & Syscall.O_NONBLOCK, 0)
    })
  )

  it.live("accept waits for a connection, and can be interrupted", () =>
    Effect.gen(function* () {
      const { address, fd } = yield* listening()
      const waiting = yield* forkAsleep(accept(fd), nr.accept, fd)
      const client = yield* stream()
      yield* connect(client, address)
      const accepted = yield* Fiber.join(waiting)
      yield* held(Effect.succeed(accepted.fd))
      assert.deepStrictEqual(accepted.address, yield* getsockname(client))
      assert.strictEqual(yield* Syscall.fcntl(accepted.fd, Syscall.F_GETFD), 0)
      const other = yield* forkAsleep(accept4(fd), nr.accept4, fd)
      yield* Fiber.interrupt(other)
      assert.strictEqual(asleepIn(nr.accept4, fd), 0)
    })
  )

  it.live("accept4 leaves a connection that came as its fiber was interrupted to who asks next", () =>
    Effect.gen(function* () {
      const { address, fd } = yield* listening()
      const client = yield* stream(AF_INET, SOCK_NONBLOCK)
      const before = yield* openFds
      const waiting = yield* forkAsleep(accept4(fd, SOCK_CLOEXEC), nr.accept4, fd)
      // The event loop does not turn between the two.
      assert.isAtMost(Number(Syscall.kernel.call(nr.connect, client, encodeSockAddr(address), 16)), 0)
      yield* Fiber.interrupt(waiting)
      assert.strictEqual(yield* openFds, before)
      const accepted = yield* accept4(fd, SOCK_CLOEXEC)
      yield* held(Effect.succeed(accepted.fd))
      assert.deepStrictEqual(accepted.address, yield* getsockname(client))
    })
  )

  it.live("say EAGAIN where nothing waits and they may not", () =>
    Effect.gen(function* () {
      const { fd } = yield* listening(SOCK_NONBLOCK)
      assert.instanceOf(yield* tagOf(accept(fd)), Errno.EAGAIN)
      assert.instanceOf(yield* tagOf(accept4(fd)), Errno.EAGAIN)
      assert.instanceOf(yield* tagOf(accept4(fd, 1)), Errno.EINVAL)
      assert.instanceOf(yield* tagOf(accept(yield* stream())), Errno.EINVAL)
      assert.instanceOf(yield* tagOf(listen(yield* datagram(), 1)), Errno.EOPNOTSUPP)
    })
  )

  it.live("tell who connected over a Unix socket", () =>
    Effect.gen(function* () {
      const server = yield* stream(AF_UNIX)
      const client = yield* stream(AF_UNIX)
      const name = { _tag: "Unix", abstract: utf8(`effect-linux-${process.pid}-s`) } as const
      yield* bind(server, name)
      yield* listen(server, 1)
      yield* bind(client, { _tag: "Unix", abstract: `effect-linux-${process.pid}-c` })
      yield* connect(client, name)
      const { address, fd } = yield* accept(server)
      yield* held(Effect.succeed(fd))
      assert.deepStrictEqual(address, { _tag: "Unix", abstract: utf8(`effect-linux-${process.pid}-c`) })
      assert.deepStrictEqual(yield* getpeername(client), name)
      const cred = new Uint8Array(Abi.ucred.size)
      assert.strictEqual(yield* getsockopt(client, SOL_SOCKET, SO_PEERCRED, cred), Abi.ucred.size)
      assert.strictEqual(Abi.ucred.decode(cred).pid, process.pid)
    })
  )
})

describe("connect", () => {
  it.live("reaches a server that Node runs", () =>
    Effect.gen(function* () {
      const info = (yield* nodeServer).address()
      const port = isPort(info) ? info.port : -1
      const fd = yield* stream()
      yield* connect(fd, inet(port))
      assert.deepStrictEqual(yield* getpeername(fd), { _tag: "Inet", address: "127.0.0.1", port })
      assert.strictEqual(yield* sendto(fd, utf8("echo")), 4)
      const bytes = new Uint8Array(16)
      assert.deepStrictEqual(yield* recvfrom(fd, bytes), { bytes: 4, address: undefined })
      assert.deepStrictEqual(bytes.subarray(0, 4), utf8("echo"))
      assert.instanceOf(yield* tagOf(connect(fd, inet(port))), Errno.EISCONN)
      yield* shutdown(fd, Syscall.SHUT_WR)
      assert.deepStrictEqual(yield* recvfrom(fd, bytes), { bytes: 0, address: undefined })
    })
  )

  it.live("fails where nobody listens", () =>
    Effect.gen(function* () {
      const unused = yield* stream()
      yield* bind(unused, inet())
      const fd = yield* stream()
      const refused = yield* tagOf(connect(fd, yield* getsockname(unused)))
      assert.instanceOf(refused, Errno.ECONNREFUSED)
      assert.strictEqual(refused.fd, fd)
      const unix = yield* stream(AF_UNIX)
      assert.instanceOf(yield* tagOf(connect(unix, { _tag: "Unix", path: "/nowhere/socket" })), Errno.ENOENT)
      assert.instanceOf(yield* tagOf(connect(unix, inet(1))), Errno.EINVAL)
      assert.instanceOf(yield* tagOf(connect(fd, { _tag: "Inet", address: "localhost", port: 1 })), Errno.EINVAL)
      assert.instanceOf(yield* tagOf(getpeername(fd)), Errno.ENOTCONN)
    })
  )

  it.live("says with whom a datagram socket speaks, and with AF_UNSPEC that it is nobody", () =>
    Effect.gen(function* () {
      const fd = yield* datagram()
      const other = yield* datagram()
      yield* bind(other, inet())
      yield* connect(fd, yield* getsockname(other))
      assert.deepStrictEqual(yield* getpeername(fd), yield* getsockname(other))
      yield* connect(fd, { _tag: "Raw", family: Syscall.AF_UNSPEC, bytes: new Uint8Array(14) })
      assert.instanceOf(yield* tagOf(getpeername(fd)), Errno.ENOTCONN)
    })
  )
})

describe("setsockopt and getsockopt", () => {
  it.live("set and read a number and a structure", () =>
    Effect.gen(function* () {
      const fd = yield* stream()
      yield* setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, Int32Array.of(1))
      const value = new Int32Array(1)
      assert.strictEqual(yield* getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, value), 4)
      assert.strictEqual(value[0], 1)
      yield* setsockopt(fd, SOL_SOCKET, SO_LINGER, Abi.linger.encode({ l_onoff: 1, l_linger: 30 }))
      const linger = new Uint8Array(64)
      const length = yield* getsockopt(fd, SOL_SOCKET, SO_LINGER, linger)
      assert.strictEqual(length, Abi.linger.size)
      assert.deepStrictEqual(Abi.linger.decode(linger), { l_onoff: 1, l_linger: 30 })
      yield* setsockopt(fd, Syscall.IPPROTO_TCP, Syscall.TCP_NODELAY, Int32Array.of(1))
      yield* getsockopt(fd, Syscall.IPPROTO_TCP, Syscall.TCP_NODELAY, value)
      assert.strictEqual(value[0], 1)
      yield* getsockopt(fd, SOL_SOCKET, SO_ERROR, value)
      assert.strictEqual(value[0], 0)
    })
  )

  it.live("fail with the errnos of the manual", () =>
    Effect.gen(function* () {
      const fd = yield* stream()
      const value = new Int32Array(1)
      assert.instanceOf(yield* tagOf(getsockopt(fd, SOL_SOCKET, 9999, value)), Errno.ENOPROTOOPT)
      assert.instanceOf(yield* tagOf(setsockopt(fd, SOL_SOCKET, 9999, value)), Errno.ENOPROTOOPT)
      assert.instanceOf(yield* tagOf(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, new Uint8Array(1))), Errno.EINVAL)
      assert.instanceOf(yield* tagOf(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, null)), Errno.EINVAL)
      assert.instanceOf(yield* tagOf(setsockopt(-1, SOL_SOCKET, SO_REUSEADDR, value)), Errno.EBADF)
      const gone = new Uint8Array(4)
      structuredClone(gone, { transfer: [gone.buffer] })
      assert.instanceOf(yield* tagOf(getsockopt(fd, SOL_SOCKET, SO_TYPE, gone)), Errno.EFAULT)
    })
  )
})

describe("sendto and recvfrom", () => {
  it.live("send a datagram and tell who sent it", () =>
    Effect.gen(function* () {
      const a = yield* datagram()
      const b = yield* datagram()
      yield* bind(a, inet())
      yield* bind(b, inet())
      assert.strictEqual(yield* sendto(a, utf8("hello"), 0, yield* getsockname(b)), 5)
      const bytes = new Uint8Array(3)
      const received = yield* recvfrom(b, bytes, Syscall.MSG_TRUNC)
      assert.deepStrictEqual(received, { bytes: 5, address: yield* getsockname(a) })
      assert.deepStrictEqual(bytes, utf8("hel"))
    })
  )

  it.live("wait, and can be interrupted", () =>
    Effect.gen(function* () {
      const a = yield* datagram()
      const b = yield* datagram()
      yield* bind(b, inet())
      const bytes = new Uint8Array(8)
      const waiting = yield* forkAsleep(recvfrom(b, bytes), nr.recvfrom, b)
      yield* sendto(a, utf8("late"), 0, yield* getsockname(b))
      const received = yield* Fiber.join(waiting)
      assert.deepStrictEqual(received, {
        bytes: 4,
        address: { _tag: "Inet", address: "127.0.0.1", port: portOf(yield* getsockname(a)) }
      })
      assert.deepStrictEqual(bytes.subarray(0, 4), utf8("late"))
      const other = yield* forkAsleep(recvfrom(b, bytes), nr.recvfrom, b)
      yield* Fiber.interrupt(other)
      assert.strictEqual(asleepIn(nr.recvfrom, b), 0)
    })
  )

  it.live("say EAGAIN where they may not wait, or have waited for long enough", () =>
    Effect.gen(function* () {
      const [a] = yield* pair(SOCK_DGRAM)
      const bytes = new Uint8Array(8)
      assert.instanceOf(yield* tagOf(recvfrom(a, bytes, Syscall.MSG_DONTWAIT)), Errno.EAGAIN)
      yield* setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, BigInt64Array.of(0n, 10_000n))
      assert.instanceOf(yield* tagOf(recvfrom(a, bytes)), Errno.EAGAIN)
    })
  )

  it.live("fail with the errnos of the manual", () =>
    Effect.gen(function* () {
      const fd = yield* datagram()
      assert.instanceOf(yield* tagOf(sendto(fd, utf8("x"))), Errno.EDESTADDRREQ)
      const large = yield* tagOf(sendto(fd, new Uint8Array(70_000), 0, inet(9)))
      assert.instanceOf(large, Errno.EMSGSIZE)
      assert.instanceOf(yield* tagOf(recvfrom(yield* stream(), new Uint8Array(1))), Errno.ENOTCONN)
      const [a, b] = yield* pair(SOCK_STREAM)
      yield* Syscall.close(b)
      assert.instanceOf(yield* tagOf(sendto(a, utf8("x"), Syscall.MSG_NOSIGNAL)), Errno.EPIPE)
      assert.instanceOf(yield* tagOf(sendto(a, utf8("x"), 0.5)), Errno.EINVAL)
      assert.instanceOf(yield* tagOf(sendto(2 ** 40, utf8("x"))), Errno.EBADF)
    })
  )
})

describe("shutdown", () => {
  it.live("ends one direction, or wakes who waits on it", () =>
    Effect.gen(function* () {
      const [a, b] = yield* pair(SOCK_STREAM)
      const bytes = new Uint8Array(4)
      const waiting = yield* forkAsleep(recvfrom(b, bytes), nr.recvfrom, b)
      yield* shutdown(a, Syscall.SHUT_WR)
      assert.strictEqual((yield* Fiber.join(waiting)).bytes, 0)
      assert.strictEqual(yield* sendto(b, utf8("back")), 4)
      assert.strictEqual((yield* recvfrom(a, bytes)).bytes, 4)
      assert.instanceOf(yield* tagOf(shutdown(a, 9)), Errno.EINVAL)
      assert.instanceOf(yield* tagOf(shutdown(yield* stream(), Syscall.SHUT_RDWR)), Errno.ENOTCONN)
    })
  )
})
