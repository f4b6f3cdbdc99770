/** Connecting, accepting, serving: streams of connections with their scopes, and what an interruption leaves. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Result, Scope, Stream } from "effect"
import { Fcntl, File, Socket, SocketAddress, Syscall } from "../src/index.ts"
import { turn, utf8, yieldingAt } from "./support/files.ts"
import { eventually, openFds } from "./support/process.ts"

const loopback = SocketAddress.inet(SocketAddress.Ipv4.LOOPBACK, 0)

const listening = Effect.gen(function* () {
  const listener = yield* Socket.listener(loopback)
  return { listener, address: yield* Socket.localAddress(listener) }
})

/** An address that does not answer: of a listener whose queue is full. */
const silent = Effect.gen(function* () {
  const listener = yield* Socket.listener(loopback, { backlog: 0 })
  const address = yield* Socket.localAddress(listener)
  // How many the kernel lets wait is its own affair: this many it does not.
  const hanging = yield* Effect.forkScoped(Effect.scoped(Effect.andThen(Socket.dial(address), Effect.never)))
  yield* Effect.forkScoped(Effect.scoped(Effect.andThen(Socket.dial(address), Effect.never)))
  yield* turn
  return { address, hanging, listener }
})

const startNow = { startImmediately: true } as const

const isConnected = (socket: Socket.Socket) =>
  Effect.match(Socket.peerAddress(socket), { onFailure: () => false, onSuccess: () => true })

describe("Socket.connect", () => {
  it.live("waits without holding up the loop, and is interrupted at once", () =>
    Effect.gen(function* () {
      const { address } = yield* silent
      const socket = yield* Socket.make("inet", "stream")
      const fiber = yield* Effect.forkChild(Socket.connect(socket, address), startNow)
      for (let i = 0; i < 10; i++) yield* turn
      assert.isUndefined(fiber.pollUnsafe())
      const start = performance.now()
      yield* Fiber.interrupt(fiber)
      assert.isBelow(performance.now() - start, 1000)
    }).pipe(Effect.scoped)
  )

  it.live("that was interrupted leaves a socket that is not connected and can try again", () =>
    Effect.gen(function* () {
      const { address } = yield* silent
      const socket = yield* Socket.make("inet", "stream")
      const fiber = yield* Effect.forkChild(Socket.connect(socket, address), startNow)
      yield* turn
      yield* Fiber.interrupt(fiber)
      assert.isFalse(yield* isConnected(socket))
      assert.strictEqual((yield* File.fcntl(socket, Fcntl.F_GETFL)) & Syscall.O_NONBLOCK, 0)
      const good = yield* listening
      yield* Socket.connect(socket, good.address)
      const { socket: server } = yield* Socket.accept(good.listener)
      yield* Socket.sendAll(socket, utf8("x"))
      assert.strictEqual(yield* Socket.recv(server, new Uint8Array(1)), 1)
    }).pipe(Effect.scoped)
  )

  it.live("that failed leaves a socket that can try again", () =>
    Effect.gen(function* () {
      const gone = (yield* Effect.scoped(listening)).address
      const socket = yield* Socket.make("inet", "stream")
      assert.strictEqual((yield* Effect.flip(Socket.connect(socket, gone)))._tag, "ECONNREFUSED")
      assert.isFalse(yield* isConnected(socket))
      const good = yield* listening
      yield* Socket.connect(socket, good.address)
      assert.isTrue(yield* isConnected(socket))
      assert.strictEqual((yield* Effect.flip(Socket.connect(socket, good.address)))._tag, "EISCONN")
    }).pipe(Effect.scoped)
  )

  it.live("fails with EBADF when the socket is closed meanwhile", () =>
    Effect.gen(function* () {
      const { address } = yield* silent
      const socket = yield* Socket.make("inet", "stream")
      const fiber = yield* Effect.forkChild(Effect.flip(Socket.connect(socket, address)), startNow)
      yield* turn
      yield* File.close(socket)
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "EBADF")
    }).pipe(Effect.scoped)
  )

  it.live("ends when there is room again, of a Unix socket that is full, too", () =>
    Effect.gen(function* () {
      const listener = yield* Socket.listener(SocketAddress.unnamed, { backlog: 0 })
      const address = yield* Socket.localAddress(listener)
      yield* Socket.dial(address)
      const waiting = yield* Effect.forkChild(Socket.dial(address), startNow)
      const interrupted = yield* Effect.forkChild(Socket.dial(address), startNow)
      for (let i = 0; i < 10; i++) yield* turn
      assert.isUndefined(waiting.pollUnsafe())
      yield* Fiber.interrupt(interrupted)
      yield* Socket.accept(listener)
      yield* Socket.accept(listener)
      yield* Fiber.join(waiting)
    }).pipe(Effect.scoped)
  )

  it.live("is interrupted anywhere without a descriptor left, a flag changed or a half-open connection", () =>
    Effect.gen(function* () {
      const { address, listener } = yield* listening
      const path = SocketAddress.unnamed
      const unix = yield* Socket.listener(path)
      const unixAddress = yield* Socket.localAddress(unix)
      yield* Effect.forkScoped(Effect.ignore(Socket.serve(listener, () => Effect.void)))
      yield* Effect.forkScoped(Effect.ignore(Socket.serve(unix, () => Effect.void)))
      yield* turn
      const before = yield* openFds
      for (let at = 1; at < 60; at++) {
        for (const to of [address, unixAddress]) {
          const fiber = yield* Effect.forkChild(Effect.scoped(Socket.dial(to)).pipe(yieldingAt(at)), startNow)
          yield* Fiber.interrupt(fiber)
        }
      }
      // What the servers still have is closed as they come to it.
      yield* eventually(() => Effect.runSync(openFds) <= before)
      assert.strictEqual(yield* openFds, before)
    }).pipe(Effect.scoped)
  )
})

describe("Socket.dial and Socket.listener", () => {
  it.live("that fail leave nothing open", () =>
    Effect.gen(function* () {
      const gone = (yield* Effect.scoped(listening)).address
      const { address } = yield* listening
      const before = yield* openFds
      for (let i = 0; i < 20; i++) {
        assert.strictEqual((yield* Effect.flip(Socket.dial(gone)))._tag, "ECONNREFUSED")
        assert.strictEqual((yield* Effect.flip(Socket.listener(address)))._tag, "EADDRINUSE")
      }
      assert.strictEqual(yield* openFds, before)
    }).pipe(Effect.scoped)
  )

  it.live("take the address of this side, and share one with SO_REUSEPORT", () =>
    Effect.gen(function* () {
      const { address, listener } = yield* listening
      const client = yield* Socket.dial(address, { from: SocketAddress.inet("127.0.0.2", 0) })
      const { address: peer } = yield* Socket.accept(listener)
      assert.strictEqual(peer?._tag === "Inet" ? peer.address : peer, "127.0.0.2")
      assert.isTrue(yield* isConnected(client))
      const first = yield* Socket.listener(loopback, { reusePort: true })
      yield* Socket.listener(yield* Socket.localAddress(first), { reusePort: true })
    }).pipe(Effect.scoped)
  )
})

describe("Socket.accept", () => {
  it.live("waits, is interrupted at once, and loses no connection by that", () =>
    Effect.gen(function* () {
      const { address, listener } = yield* listening
      const before = yield* openFds
      for (let at = 1; at < 60; at++) {
        const fiber = yield* Effect.forkChild(Effect.scoped(Socket.accept(listener)).pipe(yieldingAt(at)), startNow)
        const client = yield* Effect.forkChild(Effect.scoped(Socket.dial(address)), startNow)
        yield* Fiber.interrupt(fiber)
        yield* Fiber.await(client)
        // Either it had been accepted, and was closed, or it waits still.
        yield* Effect.scoped(
          Effect.timeoutOption(Effect.andThen(Socket.dial(address), Socket.accept(listener)), "5 seconds")
        )
      }
      assert.strictEqual(yield* openFds, before)
    }).pipe(Effect.scoped)
  )

  it.live("fails with EBADF when the listener is closed meanwhile", () =>
    Effect.gen(function* () {
      const { listener } = yield* listening
      const fibers = yield* Effect.forEach([1, 2], () =>
        Effect.forkChild(Effect.flip(Effect.scoped(Socket.accept(listener))), startNow)
      )
      yield* turn
      yield* File.close(listener)
      for (const fiber of fibers) assert.strictEqual((yield* Fiber.join(fiber))._tag, "EBADF")
    }).pipe(Effect.scoped)
  )

  it.live("is woken when the listener is shut down", () =>
    Effect.gen(function* () {
      const { listener } = yield* listening
      const fiber = yield* Effect.forkChild(Effect.flip(Effect.scoped(Socket.accept(listener))), startNow)
      yield* turn
      yield* Socket.shutdown(listener)
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "EINVAL")
    }).pipe(Effect.scoped)
  )

  it.live("by several fibers gives each connection to one", () =>
    Effect.gen(function* () {
      const { address, listener } = yield* listening
      const fibers = yield* Effect.forEach(Array.from({ length: 8 }), () => Effect.forkChild(Socket.accept(listener)))
      const clients = yield* Effect.forEach(Array.from({ length: 8 }), () => Socket.dial(address))
      const accepted = yield* Effect.forEach(fibers, Fiber.join)
      const ports = yield* Effect.forEach(clients, (client) =>
        Effect.map(Socket.localAddress(client), SocketAddress.format)
      )
      const peers = accepted.map(({ address: peer }) => (peer === undefined ? "" : SocketAddress.format(peer)))
      assert.deepStrictEqual(peers.sort(), [...ports].sort())
    }).pipe(Effect.scoped)
  )
})

describe("Socket.connections", () => {
  it.live("are a stream of connections, each closed with its own scope", () =>
    Effect.gen(function* () {
      const { address, listener } = yield* listening
      const clients = yield* Effect.forEach([1, 2, 3], () => Socket.dial(address))
      const before = yield* openFds
      yield* Socket.connections(listener).pipe(
        Stream.take(3),
        Stream.runForEach(({ scope, socket }) =>
          Effect.gen(function* () {
            assert.strictEqual(yield* openFds, before + 1)
            yield* Socket.sendAll(socket, utf8("hello"))
            yield* Scope.close(scope, Exit.void)
            assert.strictEqual(yield* openFds, before)
          })
        )
      )
      for (const client of clients) assert.strictEqual((yield* File.readAll(client)).length, 5)
    }).pipe(Effect.scoped)
  )

  it.live("that nobody closed are closed when the stream ends", () =>
    Effect.gen(function* () {
      const { address, listener } = yield* listening
      yield* Effect.forEach([1, 2, 3], () => Socket.dial(address))
      const before = yield* openFds
      const taken = yield* Stream.runCollect(Stream.take(Socket.connections(listener), 3))
      assert.strictEqual(taken.length, 3)
      assert.strictEqual(yield* openFds, before)
      for (const { socket } of taken) {
        assert.strictEqual((yield* Effect.flip(Socket.send(socket, utf8("x"))))._tag, "EBADF")
      }
    }).pipe(Effect.scoped)
  )

  it.live("are accepted when asked for and no sooner", () =>
    Effect.gen(function* () {
      const { address, listener } = yield* listening
      yield* Effect.forEach([1, 2, 3], () => Socket.dial(address))
      yield* Stream.runDrain(Stream.take(Socket.connections(listener), 1))
      for (const _ of [1, 2]) yield* Socket.accept(listener)
    }).pipe(Effect.scoped)
  )

  it.live("end with an error when the listener is closed, or there are too many files", () =>
    Effect.gen(function* () {
      const { listener } = yield* listening
      const fiber = yield* Effect.forkChild(Effect.flip(Stream.runDrain(Socket.connections(listener))), startNow)
      yield* turn
      yield* File.close(listener)
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "EBADF")
    }).pipe(Effect.scoped)
  )

  it.live("pass over a connection that was lost before it was accepted", () =>
    Effect.gen(function* () {
      const { address, listener } = yield* listening
      yield* Socket.dial(address)
      let failures = 2
      const kernel = Syscall.kernel
      const faulty: typeof kernel = {
        ...kernel,
        call: (nr, ...args) =>
          nr === Syscall.nr.accept4 && failures-- > 0 ? -103 /* ECONNABORTED */ : kernel.call(nr, ...args)
      }
      const taken = yield* Stream.take(Socket.connections(listener), 1).pipe(
        Stream.runCount,
        Effect.provideService(Syscall.Trampoline, faulty)
      )
      assert.deepStrictEqual([taken, failures], [1, -1])
    }).pipe(Effect.scoped)
  )
})

describe("Socket.serve", () => {
  const echo = ({ socket }: Socket.Connection) =>
    Stream.runForEach(File.stream(socket), (chunk) => Socket.sendAll(socket, chunk))

  it.live("runs a handler for each connection, side by side, and closes it at its end", () =>
    Effect.gen(function* () {
      const { address, listener } = yield* listening
      const before = yield* openFds
      const server = yield* Effect.forkChild(Socket.serve(listener, echo))
      const answers = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, index) => index),
        (index) =>
          Effect.scoped(
            Effect.gen(function* () {
              const client = yield* Socket.dial(address)
              yield* Socket.sendAll(client, Uint8Array.of(index))
              const buffer = new Uint8Array(1)
              yield* Socket.recv(client, buffer)
              yield* Socket.shutdown(client, "write")
              assert.strictEqual((yield* File.readAll(client)).length, 0)
              return buffer[0]
            })
          ),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        answers,
        Array.from({ length: 20 }, (_, index) => index)
      )
      yield* Fiber.interrupt(server)
      assert.strictEqual(yield* openFds, before)
    }).pipe(Effect.scoped)
  )

  it.live("interrupts its handlers and closes their connections when it is interrupted", () =>
    Effect.gen(function* () {
      const { address, listener } = yield* listening
      const before = yield* openFds
      let ended = 0
      const started = yield* Latch.make()
      let running = 0
      const server = yield* Effect.forkChild(
        Socket.serve(listener, ({ socket }) =>
          Effect.gen(function* () {
            // A second thing in the connection's scope.
            yield* File.open("/dev/null")
            if (++running === 3) yield* started.open
            yield* Socket.recv(socket, new Uint8Array(1))
          }).pipe(Effect.onInterrupt(() => Effect.sync(() => void ended++)))
        )
      )
      yield* Effect.gen(function* () {
        const clients = yield* Effect.forEach([1, 2, 3], () => Socket.dial(address))
        yield* started.await
        assert.strictEqual(yield* openFds, before + 9)
        yield* Fiber.interrupt(server)
        assert.strictEqual(ended, 3)
        for (const client of clients) assert.strictEqual(yield* Socket.recv(client, new Uint8Array(1)), 0)
      }).pipe(Effect.scoped)
      assert.strictEqual(yield* openFds, before)
    }).pipe(Effect.scoped)
  )

  it.live("runs as many handlers at a time as it is told", () =>
    Effect.gen(function* () {
      const { address, listener } = yield* listening
      let running = 0
      let most = 0
      let done = 0
      yield* Effect.forkChild(
        Socket.serve(
          listener,
          ({ socket }) =>
            Effect.gen(function* () {
              most = Math.max(most, ++running)
              yield* Socket.recv(socket, new Uint8Array(1))
              running--
              done++
            }),
          { concurrency: 2 }
        )
      )
      const clients = yield* Effect.forEach([1, 2, 3, 4, 5], () => Socket.dial(address))
      for (const client of clients) yield* Socket.sendAll(client, utf8("x"))
      assert.isTrue(yield* eventually(() => done === 5))
      assert.isAtMost(most, 2)
    }).pipe(Effect.scoped)
  )

  it.live("ends with the error of a handler, which its type tells", () =>
    Effect.gen(function* () {
      const { address, listener } = yield* listening
      const before = yield* openFds
      const server: Effect.Effect<never, { readonly _tag: string } | "broken"> = Socket.serve(listener, () =>
        Effect.fail("broken" as const)
      )
      const fiber = yield* Effect.forkChild(Effect.result(server))
      yield* Effect.scoped(Socket.dial(address))
      assert.deepStrictEqual(yield* Fiber.join(fiber), Result.fail("broken" as const))
      assert.strictEqual(yield* openFds, before)
    }).pipe(Effect.scoped)
  )

  it.live("holds no connection longer than its handler: a thousand leave nothing", () =>
    Effect.gen(function* () {
      const { address, listener } = yield* listening
      const before = yield* openFds
      yield* Effect.forkChild(Socket.serve(listener, ({ socket }) => Socket.sendAll(socket, utf8("x"))))
      for (let i = 0; i < 1000; i++) {
        yield* Effect.scoped(Effect.flatMap(Socket.dial(address), (client) => Socket.recv(client, new Uint8Array(1))))
      }
      yield* eventually(() => Effect.runSync(openFds) <= before)
      assert.strictEqual(yield* openFds, before)
    }).pipe(Effect.scoped)
  )
})
