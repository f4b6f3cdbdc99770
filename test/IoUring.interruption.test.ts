/** Operations that are given up, at whatever moment: no byte is written late, nothing stays open, and what closes waits. */
import { spawn } from "node:child_process"
import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Fiber, type Scope, Stream } from "effect"
import { type Errno, File, IoUring, Syscall } from "../src/index.ts"
import { pipe, turn, utf8 } from "./support/files.ts"
import { openFds, socketPair, tcpClient, tcpListener, test } from "./support/rings.ts"

const poison = 0xee

describe("interruption", () => {
  test("takes back every buffer: nothing is written into one later", ["READ", "RECV"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make({ entries: 32 })
      const { reader, writer } = yield* pipe
      const { first, second } = yield* socketPair
      const before = yield* openFds
      for (let round = 0; round < 20; round++) {
        const buffers = Array.from({ length: 100 }, () => new Uint8Array(64).fill(poison))
        const fibers = yield* Effect.forEach(buffers, (buffer, index) =>
          Effect.forkChild(
            index % 2 === 0
              ? Effect.asVoid(IoUring.submit(ring, IoUring.read(reader, buffer)))
              : Effect.asVoid(IoUring.submit(ring, IoUring.recv(second, buffer))),
            { startImmediately: true }
          )
        )
        if (round % 3 > 0) yield* turn
        // Some get their bytes at the very moment.
        if (round % 3 > 1) {
          yield* IoUring.submitAll(ring, [IoUring.write(writer, utf8("abc")), IoUring.send(first, utf8("abc"))])
        }
        yield* Fiber.interruptAll(fibers)
        const after = buffers.map((buffer) => buffer.slice())
        // What is in flight still would have them.
        yield* IoUring.submitAll(ring, [IoUring.write(writer, utf8("late")), IoUring.send(first, utf8("late"))])
        yield* turn
        assert.deepStrictEqual(buffers, after)
        const drained = new Uint8Array(4096)
        yield* IoUring.submitAll(ring, [IoUring.read(reader, drained), IoUring.recv(second, drained)])
      }
      assert.strictEqual(yield* openFds, before)
    })
  )

  test("gives nothing to a buffer that was given away meanwhile", ["READ"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { reader, writer } = yield* pipe
      const buffer = new Uint8Array(16)
      const reading = yield* Effect.forkChild(IoUring.submit(ring, IoUring.read(reader, buffer)), {
        startImmediately: true
      })
      yield* turn
      const moved = new Uint8Array(structuredClone(buffer.buffer, { transfer: [buffer.buffer] }))
      yield* File.write(writer, utf8("bytes"))
      assert.strictEqual(yield* Fiber.join(reading), 5)
      assert.deepStrictEqual(moved, new Uint8Array(16))
    })
  )

  test("closes what was opened for nobody", ["OPENAT", "ACCEPT", "SOCKET"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { address, listener } = yield* tcpListener
      const before = yield* openFds
      for (let turns = 0; turns < 8; turns++) {
        const opening = yield* Effect.forkChild(
          Effect.scoped(
            IoUring.submitAll(ring, [
              IoUring.open("/dev/null"),
              IoUring.elsewhere(IoUring.open("/dev/zero")),
              IoUring.socket(Syscall.AF_INET, Syscall.SOCK_STREAM),
              IoUring.accept(listener)
            ])
          ),
          { startImmediately: true }
        )
        const client = yield* Effect.forkChild(Effect.exit(Effect.scoped(tcpClient(address))))
        for (let i = 0; i < turns; i++) yield* turn
        yield* Fiber.interrupt(opening)
        yield* Fiber.join(client)
        // The connection may wait in line still.
        if (!(yield* Effect.map(Fiber.await(opening), Exit.isSuccess))) yield* turn
      }
      assert.strictEqual(yield* openFds, before)
    })
  )

  test("closes descriptors of a message that nobody hears of", ["RECVMSG"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { first, second } = yield* socketPair
      const fds = [yield* File.fd(first)]
      const before = yield* openFds
      for (let round = 0; round < 10; round++) {
        const room = { iov: [new Uint8Array(8)], controllen: Syscall.CMSG_SPACE(4) }
        const hearing = yield* Effect.forkChild(IoUring.submit(ring, IoUring.recvMessage(second, room)), {
          startImmediately: true
        })
        yield* turn
        const control = [{ _tag: "Rights" as const, fds }]
        // In one batch with the cancellation, which comes late.
        const sending = yield* Effect.forkChild(
          IoUring.submit(ring, IoUring.sendMessage(first, { iov: [utf8("x")], control })),
          { startImmediately: true }
        )
        yield* Fiber.interrupt(hearing)
        yield* Fiber.join(sending)
        const drained = yield* Effect.exit(
          IoUring.submit(ring, IoUring.recv(second, new Uint8Array(8), { flags: Syscall.MSG_DONTWAIT }))
        )
        assert.isTrue(Exit.isSuccess(drained) || Exit.isFailure(drained))
      }
      assert.strictEqual(yield* openFds, before)
    })
  )

  test("ends whatever waits", ["FUTEX_WAIT", "WAITID", "ACCEPT", "TIMEOUT", "POLL_ADD"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { reader } = yield* pipe
      const { first } = yield* socketPair
      const { listener } = yield* tcpListener
      const [memory] = yield* IoUring.registerBuffers(ring, [64])
      const child = yield* Effect.acquireRelease(
        Effect.sync(() => spawn("sleep", ["60"])),
        (self) => Effect.sync(() => self.kill("SIGKILL"))
      )
      const waiting: ReadonlyArray<Effect.Effect<unknown, Errno.Errno, Scope.Scope>> = [
        IoUring.submit(ring, IoUring.timeout("1 hour")),
        IoUring.submit(ring, IoUring.futexWait(new Int32Array(new SharedArrayBuffer(4)), 0)),
        IoUring.submit(ring, IoUring.poll(reader, Syscall.POLLIN)),
        IoUring.submit(ring, IoUring.accept(listener)),
        IoUring.submit(ring, IoUring.recv(first, new Uint8Array(1))),
        IoUring.submit(ring, IoUring.recvMessage(first, { iov: [new Uint8Array(1)] })),
        IoUring.submit(ring, IoUring.readFixed(reader, memory)),
        IoUring.submit(ring, IoUring.elsewhere(IoUring.read(reader, new Uint8Array(1)))),
        IoUring.submit(ring, IoUring.withTimeout(IoUring.read(reader, new Uint8Array(1)), "1 hour")),
        IoUring.submit(ring, IoUring.waitid(Syscall.P_PID, child.pid ?? -1, Syscall.WEXITED | Syscall.WNOWAIT)),
        Stream.runDrain(IoUring.acceptMany(ring, listener)),
        Stream.runDrain(IoUring.recvMany(ring, first)),
        Stream.runDrain(IoUring.pollMany(ring, reader, Syscall.POLLIN)),
        Stream.runDrain(IoUring.timeoutMany(ring, "1 hour")),
        Stream.runDrain(IoUring.messages(ring))
      ]
      for (const turns of [0, 1, 3]) {
        const fibers = yield* Effect.forEach(waiting, (one) => Effect.forkChild(Effect.scoped(one)))
        for (let i = 0; i < turns; i++) yield* turn
        yield* Fiber.interruptAll(fibers)
        for (const fiber of fibers) assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      }
    })
  )

  test("ends chains, soft and hard, and those with limits", ["LINK_TIMEOUT"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { reader } = yield* pipe
      const read = IoUring.read(reader, new Uint8Array(1))
      for (const hard of [false, true]) {
        for (const op of [read, IoUring.withTimeout(read, "1 hour")]) {
          const chain = yield* Effect.forkChild(IoUring.chain(ring, [IoUring.nop, op, op, op], { hard }), {
            startImmediately: true
          })
          yield* turn
          yield* Fiber.interrupt(chain)
        }
      }
    })
  )

  test("is what closing a file does to what waits on it", ["READ", "POLL_ADD"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { reader } = yield* pipe
      const waiting = yield* Effect.forEach(
        [IoUring.read(reader, new Uint8Array(1)), IoUring.poll(reader, Syscall.POLLIN)] as const,
        (op) => Effect.forkChild(IoUring.submit(ring, op), { startImmediately: true })
      )
      yield* turn
      yield* File.close(reader)
      for (const fiber of waiting) {
        const error = yield* Effect.flip(Fiber.join(fiber))
        assert.strictEqual(error._tag, "EBADF")
        assert.include(error.message, "closed meanwhile")
      }
      const late = yield* Effect.flip(IoUring.submit(ring, IoUring.read(reader, new Uint8Array(1))))
      assert.include(late.message, "the File is closed")
    })
  )

  test("is what another operation can do to all on a file", ["ASYNC_CANCEL"], () =>
    Effect.gen(function* () {
      const ring = yield* IoUring.make()
      const { reader } = yield* pipe
      const read = IoUring.read(reader, new Uint8Array(1))
      const both = yield* Effect.forkChild(IoUring.submitEach(ring, [read, read]), { startImmediately: true })
      yield* turn
      assert.strictEqual(yield* IoUring.submit(ring, IoUring.cancel(reader)), 2)
      const outcomes = yield* Fiber.join(both)
      for (const outcome of outcomes)
        assert.strictEqual(outcome._tag === "Failure" ? outcome.failure._tag : "", "ECANCELED")
      assert.strictEqual(yield* IoUring.submit(ring, IoUring.cancel(reader)), 0)
    })
  )
})
