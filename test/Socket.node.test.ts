/** Sockets of Node borrowed, and ours handed to Node. */
import { spawn } from "node:child_process"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { createConnection, createServer, Socket as NodeSocket, type Server } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Predicate } from "effect"
import { Fcntl, File, Socket, SocketAddress, SocketOption, Syscall } from "../src/index.ts"
import { text, utf8 } from "./support/files.ts"
import { eventually, openFds } from "./support/process.ts"

const { Ipv4 } = SocketAddress

/** The number of a descriptor that libuv has. */
const fdOf = (socket: object): number => {
  // Node's types do not have it.
  const handle = Predicate.hasProperty(socket, "_handle") ? socket._handle : undefined
  const fd = Predicate.hasProperty(handle, "fd") ? handle.fd : undefined
  if (typeof fd !== "number") throw new Error("this runtime does not show its descriptors")
  return fd
}

const nodeServer = Effect.acquireRelease(
  Effect.promise(async () => {
    const server = createServer()
    server.listen(0, Ipv4.LOOPBACK)
    await once(server, "listening")
    return server
  }),
  (server: Server) => Effect.sync(() => void server.close())
)

const portOf = (server: Server): number => {
  const address = server.address()
  return typeof address === "object" && address !== null ? address.port : 0
}

describe("a socket of Node", () => {
  it.live("is borrowed for its addresses and options, and stays Node's", () =>
    Effect.gen(function* () {
      const server = yield* nodeServer
      const client = yield* Effect.promise(async () => {
        const socket = createConnection(portOf(server), Ipv4.LOOPBACK)
        await once(socket, "connect")
        return socket
      })
      yield* Effect.gen(function* () {
        const socket = yield* Socket.fromFile(yield* File.borrow(fdOf(client)))
        assert.deepStrictEqual(yield* Socket.peerAddress(socket), SocketAddress.inet(Ipv4.LOOPBACK, portOf(server)))
        yield* Socket.setOption(socket, SocketOption.TCP_USER_TIMEOUT, 1234)
        assert.strictEqual(yield* Socket.getOption(socket, SocketOption.TCP_USER_TIMEOUT), 1234)
        assert.strictEqual((yield* Socket.getOption(socket, SocketOption.TCP_INFO)).tcpi_state, 1)
        // It is non-blocking, and what there is to read is libuv's.
        assert.strictEqual((yield* Effect.flip(Socket.recv(socket, new Uint8Array(1))))._tag, "EAGAIN")
        yield* File.close(socket)
      }).pipe(Effect.scoped)
      assert.isFalse(client.destroyed)
      yield* Effect.promise(async () => {
        client.destroy()
        await once(client, "close")
      })
    }).pipe(Effect.scoped)
  )

  it.live("that listens is borrowed to know of it, and a duplicate accepts when Node does not", () =>
    Effect.gen(function* () {
      const before = yield* openFds
      yield* Effect.gen(function* () {
        const server = yield* nodeServer
        const borrowed = yield* Socket.fromFile(yield* File.borrow(fdOf(server)))
        assert.isTrue(yield* Socket.getOption(borrowed, SocketOption.SO_ACCEPTCONN))
        const own = yield* File.duplicate(borrowed)
        yield* Effect.promise(async () => {
          server.close()
          await once(server, "close")
        })
        const waiting = yield* Effect.forkChild(Socket.accept(own), { startImmediately: true })
        const client = yield* Socket.dial(yield* Socket.localAddress(own))
        const { socket } = yield* Fiber.join(waiting)
        yield* Socket.sendAll(client, utf8("x"))
        assert.strictEqual(yield* Socket.recv(socket, new Uint8Array(1)), 1)
      }).pipe(Effect.scoped)
      assert.isTrue(yield* eventually(() => Effect.runSync(openFds) <= before))
    })
  )

  it.live("of datagrams is borrowed to set what Node has no name for", () =>
    Effect.gen(function* () {
      const node = yield* Effect.acquireRelease(
        Effect.promise(async () => {
          const socket = createSocket("udp4")
          socket.bind(0, Ipv4.LOOPBACK)
          await once(socket, "listening")
          return socket
        }),
        (socket) => Effect.sync(() => void socket.close())
      )
      // The wrapper of datagrams keeps its handle one level deeper.
      const symbol = Object.getOwnPropertySymbols(node).find(({ description }) => description === "state symbol")
      const state: unknown = symbol === undefined ? undefined : Object.getOwnPropertyDescriptor(node, symbol)?.value
      const handle = Predicate.hasProperty(state, "handle") ? state.handle : undefined
      const fd = Predicate.hasProperty(handle, "fd") ? handle.fd : undefined
      if (typeof fd !== "number") return assert.fail("this runtime does not show its descriptors")
      const socket = yield* Socket.fromFile(yield* File.borrow(fd))
      yield* Socket.setOption(socket, SocketOption.IP_RECVTTL, true)
      assert.isTrue(yield* Socket.getOption(socket, SocketOption.IP_RECVTTL))
      const message = once(node, "message")
      const client = yield* Socket.make("inet", "datagram")
      yield* Socket.sendTo(client, utf8("to node"), yield* Socket.localAddress(socket))
      const [received] = yield* Effect.promise(() => message)
      assert.strictEqual(String(received), "to node")
    }).pipe(Effect.scoped)
  )
})

describe("a Socket", () => {
  it.live("is handed to Node after File.release, which then owns and closes it", () =>
    Effect.gen(function* () {
      const before = yield* openFds
      yield* Effect.gen(function* () {
        const [ours, theirs] = yield* Socket.pair("stream")
        const fd = yield* File.release(theirs)
        const node = new NodeSocket({ fd, readable: true, writable: true })
        const data = once(node, "data")
        yield* Socket.sendAll(ours, utf8("to node"))
        const [chunk] = yield* Effect.promise(() => data)
        assert.strictEqual(String(chunk), "to node")
        node.write("from node")
        const buffer = new Uint8Array(16)
        assert.strictEqual(text(buffer.subarray(0, yield* Socket.recv(ours, buffer))), "from node")
        // The File is closed, whoever still holds it.
        assert.strictEqual((yield* Effect.flip(Socket.send(theirs, utf8("x"))))._tag, "EBADF")
        const closed = once(node, "close")
        node.destroy()
        yield* Effect.promise(() => closed)
        assert.strictEqual(yield* Socket.recv(ours, buffer), 0)
      }).pipe(Effect.scoped)
      assert.strictEqual(yield* openFds, before)
    })
  )

  it.live("speaks with node:net as any other does", () =>
    Effect.gen(function* () {
      const server = yield* nodeServer
      server.on("connection", (socket) => {
        socket.on("error", () => {})
        socket.pipe(socket)
      })
      const client = yield* Socket.dial(SocketAddress.inet(Ipv4.LOOPBACK, portOf(server)))
      yield* Socket.sendAll(client, utf8("echo"))
      yield* Socket.shutdown(client, "write")
      assert.strictEqual(text(yield* File.readAll(client)), "echo")
    }).pipe(Effect.scoped)
  )

  it.live("is a child's standard input and output, in blocking mode", () =>
    Effect.gen(function* () {
      const [ours, theirs] = yield* Socket.pair("stream")
      const fd = yield* File.fd(theirs)
      const child = spawn("cat", [], { stdio: [fd, fd, "inherit"] })
      const ended = once(child, "close")
      yield* File.close(theirs)
      yield* Socket.sendAll(ours, utf8("through cat"))
      yield* Socket.shutdown(ours, "write")
      assert.strictEqual(text(yield* File.readAll(ours)), "through cat")
      const [code] = yield* Effect.promise(() => ended)
      assert.strictEqual(code, 0)
      assert.strictEqual((yield* File.fcntl(ours, Fcntl.F_GETFL)) & Syscall.O_NONBLOCK, 0)
    }).pipe(Effect.scoped)
  )
})
