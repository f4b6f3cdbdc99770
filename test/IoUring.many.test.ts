/** Operations with many results: none is lost, none is left open, and the kernel is asked again when it stops. */
import { assert, describe } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope, Stream } from "effect"
import { File, IoUring, Syscall } from "../src/index.ts"
import { pipe, text, turn, utf8 } from "./support/files.ts"
import { eventually, openFds as openNow } from "./support/process.ts"
import { openFds, socketPair, tcpClient, tcpListener, test } from "./support/rings.ts"

describe("IoUring.acceptMany", () => {
  test("gives each connection to a scope of its own", ["ACCEPT"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { address, listener } = yield* tcpListener
      const serving = yield* Effect.forkChild(
        IoUring.acceptMany(ring, listener).pipe(
          Stream.mapEffect(
            (connection) => Effect.scoped(Effect.flatMap(connection, (socket) => File.writeAll(socket, utf8("hi")))),
            { concurrency: "unbounded" }
          ),
          Stream.take(150),
          Stream.runDrain
        )
      )
      const client = Effect.scoped(Effect.flatMap(tcpClient(address), File.readAll))
      const answers = yield* Effect.all(
        Array.from({ length: 150 }, () => client),
        { concurrency: 20 }
      )
      assert.deepStrictEqual(new Set(answers.map(text)), new Set(["hi"]))
      yield* Fiber.join(serving)
    })
  )

  test("closes what nobody took, and none can be taken late or twice", ["ACCEPT"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { address, listener } = yield* tcpListener
      const before = yield* openFds
      const kept: Array<IoUring.Connection> = []
      const program = Effect.gen(function* () {
        const clients = yield* Effect.all(Array.from({ length: 100 }, () => tcpClient(address)))
        yield* IoUring.acceptMany(ring, listener).pipe(
          Stream.take(10),
          Stream.runForEach((connection) => Effect.sync(() => kept.push(connection)))
        )
        // The other side sees the end of each that was accepted: none is left open here.
        const [first] = clients
        if (first !== undefined) assert.strictEqual((yield* File.readAll(first)).length, 0)
        yield* tcpClient(address)
        const twice = yield* Stream.runHead(
          IoUring.acceptMany(ring, listener).pipe(Stream.mapEffect((one) => Effect.andThen(one, Effect.flip(one))))
        )
        assert.strictEqual(twice._tag === "Some" ? twice.value._tag : "", "EBADF")
      })
      yield* Effect.scoped(program)
      assert.strictEqual((yield* Effect.flip(Effect.scoped(kept[0] ?? Effect.die("none"))))._tag, "EBADF")
      assert.strictEqual(yield* openFds, before)
    })
  )

  test("loses no descriptor when interrupted at any moment", ["ACCEPT"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { address, listener } = yield* tcpListener
      const before = yield* openFds
      for (let turns = 0; turns < 12; turns++) {
        const serving = yield* Effect.forkChild(
          Stream.runForEach(IoUring.acceptMany(ring, listener), (one) => Effect.scoped(Effect.andThen(one, turn)))
        )
        const clients = yield* Effect.forkChild(
          Effect.scoped(
            Effect.all(
              Array.from({ length: 10 }, () => tcpClient(address)),
              { concurrency: 5 }
            )
          )
        )
        for (let i = 0; i < turns; i++) yield* turn
        yield* Fiber.interrupt(serving)
        yield* Fiber.join(clients)
      }
      // Clients that were never accepted are gone with the backlog.
      assert.isTrue(yield* eventually(() => Effect.runSync(openNow) === before))
    })
  )

  test("ends with EBADF when its listener is closed, and when its ring is", ["ACCEPT"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { listener } = yield* tcpListener
      const serving = yield* Effect.forkChild(Stream.runDrain(IoUring.acceptMany(ring, listener)))
      yield* turn
      yield* File.close(listener)
      assert.strictEqual((yield* Effect.flip(Fiber.join(serving)))._tag, "EBADF")

      const scope = yield* Scope.make()
      const other = yield* Scope.provide(IoUring.make(), scope)
      const { listener: second } = yield* tcpListener
      const more = yield* Effect.forkChild(Stream.runDrain(IoUring.acceptMany(other, second)))
      yield* turn
      yield* Scope.close(scope, Exit.void)
      const error = yield* Effect.flip(Fiber.join(more))
      assert.strictEqual(error._tag, "EBADF")
      assert.include(error.message, "ring")
    })
  )
})

describe("IoUring.recvMany", () => {
  test("gives all bytes in order, though there are few buffers and a slow reader", ["RECV"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { first, second } = yield* socketPair
      const sent = new Uint8Array(300_000).map((_, index) => index % 251)
      const writing = yield* Effect.forkChild(
        IoUring.chain(
          ring,
          [IoUring.send(first, sent, { flags: Syscall.MSG_WAITALL }), IoUring.shutdown(first, Syscall.SHUT_WR)],
          { hard: true }
        )
      )
      let at = 0
      let pieces = 0
      yield* IoUring.recvMany(ring, second, { bufferSize: 1000, buffers: 4 }).pipe(
        Stream.runForEach((piece) =>
          Effect.gen(function* () {
            assert.isAtMost(piece.length, 1000)
            assert.deepStrictEqual(piece, sent.subarray(at, at + piece.length))
            at += piece.length
            if (++pieces % 8 === 0) yield* turn
          })
        )
      )
      assert.strictEqual(at, sent.length)
      yield* Fiber.join(writing)
    })
  )

  test("can be interrupted while it waits, and begun again", ["RECV"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { first, second } = yield* socketPair
      for (let i = 0; i < 10; i++) {
        const reading = yield* Effect.forkChild(Stream.runDrain(IoUring.recvMany(ring, second)))
        if (i % 2 === 0) yield* turn
        yield* Fiber.interrupt(reading)
      }
      yield* File.write(first, utf8("still"))
      const head = yield* Stream.runHead(IoUring.recvMany(ring, second))
      assert.strictEqual(head._tag === "Some" ? text(head.value) : "", "still")
    })
  )

  test("names what it was given wrongly", ["RECV"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { first } = yield* socketPair
      const three = yield* Effect.flip(Stream.runDrain(IoUring.recvMany(ring, first, { buffers: 3 })))
      assert.strictEqual(three._tag, "EINVAL")
      assert.include(three.message, "buffers")
      const none = yield* Effect.flip(Stream.runDrain(IoUring.recvMany(ring, first, { bufferSize: 0 })))
      assert.include(none.message, "bufferSize")
      const { reader } = yield* pipe
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(IoUring.recvMany(ring, reader))))._tag, "ENOTSOCK")
    })
  )
})

describe("IoUring.pollMany", () => {
  test("tells each time that something comes", ["POLL_ADD"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { reader, writer } = yield* pipe
      const events: Array<number> = []
      const second = yield* Deferred.make<void>()
      const polling = yield* Effect.forkChild(
        Stream.runForEach(IoUring.pollMany(ring, reader, Syscall.POLLIN), (event) =>
          Effect.gen(function* () {
            events.push(event)
            if (events.length === 2) yield* Deferred.succeed(second, undefined)
          })
        )
      )
      yield* turn
      yield* File.write(writer, utf8("x"))
      assert.isTrue(yield* eventually(() => events.length === 1))
      yield* File.write(writer, utf8("y"))
      yield* Deferred.await(second)
      assert.deepStrictEqual(events, [Syscall.POLLIN, Syscall.POLLIN])
      yield* File.close(reader)
      assert.strictEqual((yield* Effect.flip(Fiber.join(polling)))._tag, "EBADF")
    })
  )
})

describe("IoUring.timeoutMany", () => {
  test("ticks as often as it is told", ["TIMEOUT"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const ticks = yield* Stream.runCollect(IoUring.timeoutMany(ring, "1 millis", { count: 5 }))
      assert.strictEqual(
        ticks.reduce((sum, n) => sum + n, 0),
        5
      )
      const some = yield* Stream.runCollect(Stream.take(IoUring.timeoutMany(ring, "1 millis"), 3))
      assert.strictEqual(some.length, 3)
      // It is over in the kernel, too: nothing is in flight.
      yield* IoUring.submit(ring, IoUring.nop)
    })
  )
})

describe("IoUring.messages", () => {
  test("gives what another ring sends", ["MSG_RING"], () =>
    Effect.gen(function* () {
      const from = yield* IoUring.make()
      const scope = yield* Scope.make()
      const to = yield* Scope.provide(IoUring.make(), scope)
      const hearing = yield* Effect.forkChild(Stream.runCollect(Stream.take(IoUring.messages(to), 3)))
      yield* turn
      yield* IoUring.submitAll(from, [
        IoUring.msgRing(to, 0xffff_fffe | 0, 7),
        IoUring.msgRing(IoUring.fd(to), 2, -3),
        IoUring.msgRing(to, 3)
      ])
      const heard = yield* Fiber.join(hearing)
      assert.deepStrictEqual(
        Array.from(heard).sort((a, b) => a.data - b.data),
        [
          { data: -2, res: 7 },
          { data: 2, res: -3 },
          { data: 3, res: 0 }
        ]
      )
      const waiting = yield* Effect.forkChild(Stream.runDrain(IoUring.messages(to)))
      yield* turn
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Effect.flip(Fiber.join(waiting)))._tag, "EBADF")
      assert.strictEqual((yield* Effect.flip(IoUring.submit(from, IoUring.msgRing(to, 1))))._tag, "EBADF")
    })
  )
})
