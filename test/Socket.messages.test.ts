/** Messages: bytes in pieces, control messages, and descriptors, none of which is lost, whatever is interrupted when. */
import { fstatSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, type Scope } from "effect"
import { type Errno, Fcntl, File, Socket, SocketAddress, SocketOption, Syscall } from "../src/index.ts"
import { callsOf, pipe, text, turn, utf8, yieldingAt } from "./support/files.ts"
import { eventually, openFds } from "./support/process.ts"

const startNow = { startImmediately: true } as const

const inode = (file: File.File<unknown>) => Effect.map(File.fd(file), (fd) => fstatSync(fd).ino)

const isTruncated = ({ isControlTruncated }: Socket.ReceivedMessage) => isControlTruncated

describe("Socket.sendMessage and recvMessage", () => {
  it.live("gather and scatter several buffers, with the address", () =>
    Effect.gen(function* () {
      const server = yield* Socket.make("inet", "datagram")
      yield* Socket.bind(server, SocketAddress.inet(SocketAddress.Ipv4.LOOPBACK, 0))
      const client = yield* Socket.make("inet", "datagram")
      const address = yield* Socket.localAddress(server)
      assert.strictEqual(yield* Socket.sendMessage(client, { data: [utf8("one"), utf8("two")], address }), 6)
      const [first, second] = [new Uint8Array(4), new Uint8Array(4)]
      const message = yield* Socket.recvMessage(server, { data: [first, second] })
      assert.strictEqual(message.bytes, 6)
      assert.strictEqual(message.address?._tag, "Inet")
      assert.strictEqual(text(first) + text(second.subarray(0, 2)), "onetwo")
      assert.isFalse(message.isTruncated)
      yield* Socket.sendMessage(client, { data: new Uint8Array(100), address })
      assert.isTrue((yield* Socket.recvMessage(server, { data: new Uint8Array(10) })).isTruncated)
    }).pipe(Effect.scoped)
  )

  it.live("send and receive several at a time, those that there are", () =>
    Effect.gen(function* () {
      const [a, b] = yield* Socket.pair("datagram")
      const sent = yield* Socket.sendMessages(a, [{ data: utf8("a") }, { data: utf8("bc") }, { data: utf8("def") }])
      assert.deepStrictEqual(sent, [1, 2, 3])
      const rooms = Array.from({ length: 5 }, () => ({ data: new Uint8Array(8) }))
      const received = yield* Socket.recvMessages(b, rooms)
      assert.deepStrictEqual(
        received.map(({ bytes }) => bytes),
        [1, 2, 3]
      )
      const waiting = yield* Effect.forkChild(Socket.recvMessages(b, rooms), startNow)
      yield* Socket.send(a, utf8("late"))
      assert.deepStrictEqual(
        (yield* Fiber.join(waiting)).map(({ bytes }) => bytes),
        [4]
      )
    }).pipe(Effect.scoped)
  )

  it.live("wait for all that was asked for with MSG_WAITALL", () =>
    Effect.gen(function* () {
      const [a, b] = yield* Socket.pair("stream")
      const data = new Uint8Array(6)
      const waiting = yield* Effect.forkChild(Socket.recvMessage(b, { data }, Syscall.MSG_WAITALL), startNow)
      yield* Socket.sendAll(a, utf8("one"))
      yield* turn
      yield* Socket.sendAll(a, utf8("two"))
      assert.strictEqual((yield* Fiber.join(waiting)).bytes, 6)
      assert.strictEqual(text(data), "onetwo")
    }).pipe(Effect.scoped)
  )

  it.live("carry credentials", () =>
    Effect.gen(function* () {
      const [a, b] = yield* Socket.pair("datagram")
      yield* Socket.setOption(b, SocketOption.SO_PASSCRED, true)
      yield* Socket.sendMessage(a, { data: utf8("x") })
      const room = { data: new Uint8Array(1), control: Syscall.CMSG_SPACE(12) }
      const { control } = yield* Socket.recvMessage(b, room)
      const uid = process.getuid?.() ?? -1
      const gid = process.getgid?.() ?? -1
      assert.deepStrictEqual(control, [{ _tag: "Credentials", pid: process.pid, uid, gid }])
      yield* Socket.sendMessage(a, { data: utf8("x"), control: [{ _tag: "Credentials", pid: process.pid, uid, gid }] })
      assert.strictEqual((yield* Socket.recvMessage(b, room)).control.length, 1)
    }).pipe(Effect.scoped)
  )

  it.live("carry a descriptor of the sender where that is asked for", (context) =>
    Effect.gen(function* () {
      const [a, b] = yield* Socket.pair("datagram")
      const asked = yield* Effect.exit(Socket.setOption(b, SocketOption.SO_PASSPIDFD, true))
      if (Exit.isFailure(asked)) return context.skip("this kernel has no SO_PASSPIDFD (6.5)")
      yield* Socket.sendMessage(a, { data: utf8("x") })
      const before = yield* openFds
      yield* Effect.gen(function* () {
        const { control, files, pidFd } = yield* Socket.recvMessage(b, {
          data: new Uint8Array(1),
          control: Syscall.CMSG_SPACE(4)
        })
        assert.deepStrictEqual([control, files], [[], []])
        if (pidFd === undefined) return assert.fail("no descriptor")
        assert.match(readFileSync(`/proc/self/fdinfo/${yield* File.fd(pidFd)}`, "utf8"), /^Pid:/m)
      }).pipe(Effect.scoped)
      assert.strictEqual(yield* openFds, before)
    }).pipe(Effect.scoped)
  )

  it.live("by several of many bytes over a stream send all in order, waiting for room", () =>
    Effect.gen(function* () {
      const [a, b] = yield* Socket.pair("stream")
      const bytes = Uint8Array.from({ length: 2 << 20 }, (_, index) => (index * 7) >> 2)
      const sending = yield* Effect.forkChild(
        Socket.sendMessage(a, { data: [bytes.subarray(0, 1000), bytes.subarray(1000)] })
      )
      const received = new Uint8Array(bytes.length)
      for (let done = 0; done < received.length; ) {
        done += (yield* Socket.recvMessage(b, { data: received.subarray(done) })).bytes
      }
      assert.strictEqual(yield* Fiber.join(sending), bytes.length)
      assert.isTrue(Buffer.from(received.buffer).equals(bytes))
    }).pipe(Effect.scoped)
  )
})

describe("descriptors", () => {
  it.live("arrive as Files of the same open files, closed with the receiver's scope and close-on-exec", () =>
    Effect.gen(function* () {
      const [a, b] = yield* Socket.pair("stream")
      const { reader, writer } = yield* pipe
      const before = yield* openFds
      yield* Socket.sendMessage(a, { data: utf8("x"), files: [reader, writer] })
      yield* Effect.gen(function* () {
        const { files, isControlTruncated } = yield* Socket.recvMessage(b, { data: new Uint8Array(1), files: 2 })
        assert.strictEqual(yield* openFds, before + 2)
        assert.isFalse(isControlTruncated)
        const [read, write] = files
        if (read === undefined || write === undefined) return assert.fail("they did not arrive")
        assert.strictEqual(yield* inode(read), yield* inode(reader))
        assert.strictEqual(yield* File.fcntl(write, Fcntl.F_GETFD), Syscall.FD_CLOEXEC)
        yield* File.writeAll(write, utf8("through"))
        const buffer = new Uint8Array(16)
        assert.strictEqual(yield* File.read(reader, buffer), 7)
      }).pipe(Effect.scoped)
      assert.strictEqual(yield* openFds, before)
    }).pipe(Effect.scoped)
  )

  it.live("are as many as there was room for, and the others are closed", () =>
    Effect.gen(function* () {
      const [a, b] = yield* Socket.pair("seqpacket")
      const { reader } = yield* pipe
      const before = yield* openFds
      for (const [asked, control] of [
        [1, 0],
        [1, 128],
        [3, 0],
        [3, 40],
        [0, 64],
        [5, 0]
      ] as const) {
        yield* Socket.sendMessage(a, { data: utf8("x"), files: Array.from({ length: 4 }, () => reader) })
        const room = { data: new Uint8Array(1), files: asked, control }
        const { files, isControlTruncated } = yield* Socket.recvMessage(b, room)
        assert.strictEqual(files.length, Math.min(asked, 4))
        assert.strictEqual(isControlTruncated, asked < 4)
        assert.strictEqual(yield* openFds, before + files.length)
        for (const file of files) yield* File.close(file)
      }
      for (const wrong of [
        { files: -1 },
        { files: 1.5 },
        { files: Number.NaN },
        { control: -1 },
        { control: Infinity }
      ]) {
        const error = yield* Effect.flip(Socket.recvMessage(b, { data: new Uint8Array(1), ...wrong }))
        assert.strictEqual(error._tag, "EINVAL")
        assert.include(error.message, Object.keys(wrong).join())
      }
    }).pipe(Effect.scoped)
  )

  it.live("can be sockets, over which more descriptors come", () =>
    Effect.gen(function* () {
      const [a, b] = yield* Socket.pair("seqpacket")
      const [c, d] = yield* Socket.pair("seqpacket")
      yield* Socket.sendMessage(a, { data: utf8("x"), files: [d] })
      const { files } = yield* Socket.recvMessage(b, { data: new Uint8Array(1), files: 1 })
      const arrived = yield* Effect.forEach(files, Socket.fromFile)
      yield* Socket.send(c, utf8("inner"))
      for (const socket of arrived) assert.strictEqual(yield* Socket.recv(socket, new Uint8Array(8)), 5)
      assert.strictEqual(arrived.length, 1)
    }).pipe(Effect.scoped)
  )

  it.live("for which there is no room are closed by the kernel, which is told", () =>
    Effect.gen(function* () {
      const [a, b] = yield* Socket.pair("datagram")
      const before = yield* openFds
      const file = yield* File.open("/dev/null")
      yield* Effect.gen(function* () {
        yield* Socket.sendMessage(a, { data: utf8("x"), files: [file, file, file, file] })
        const none = yield* Socket.recvMessage(b, { data: new Uint8Array(1) })
        assert.deepStrictEqual([none.files, isTruncated(none)], [[], true])
        yield* Socket.sendMessage(a, { data: utf8("x"), files: [file, file, file, file] })
        const some = yield* Socket.recvMessage(b, { data: new Uint8Array(1), files: 2 })
        assert.deepStrictEqual([some.files.length, isTruncated(some)], [2, true])
        assert.strictEqual(yield* openFds, before + 3)
      }).pipe(Effect.scoped)
      assert.strictEqual(yield* openFds, before + 1)
    }).pipe(Effect.scoped)
  )

  it.live(
    "of a file that is closed are refused, and those of one that is closed while the call waits still arrive",
    () =>
      Effect.gen(function* () {
        const [a, b] = yield* Socket.pair("datagram")
        const file = yield* File.open("/dev/null")
        const ino = yield* inode(file)
        const gone = yield* File.open("/dev/zero")
        yield* File.close(gone)
        const refused = yield* Effect.flip(Socket.sendMessage(a, { data: utf8("x"), files: [gone] }))
        assert.strictEqual(refused._tag, "EBADF")
        // As many datagrams as fit, and then one that waits.
        let fitted = 0
        while (Exit.isSuccess(yield* Effect.exit(Socket.send(a, utf8("x"), Syscall.MSG_DONTWAIT)))) fitted++
        const before = yield* openFds
        const waiting = yield* Effect.forkChild(Socket.sendMessage(a, { data: utf8("!"), files: [file] }), startNow)
        yield* turn
        yield* File.close(file)
        // Whatever takes its number now must not be what arrives.
        yield* File.open("/proc/self/status")
        for (let i = 0; i < fitted; i++) yield* Socket.recv(b, new Uint8Array(1))
        yield* Fiber.join(waiting)
        const { files } = yield* Socket.recvMessage(b, { data: new Uint8Array(1), files: 1 })
        assert.deepStrictEqual(yield* Effect.forEach(files, inode), [ino])
        assert.strictEqual(yield* openFds, before + 1)
      }).pipe(Effect.scoped)
  )

  it.live("are sent and received by one call each, so that they are in the scope before anything else happens", () =>
    Effect.gen(function* () {
      const [a, b] = yield* Socket.pair("datagram")
      const file = yield* File.open("/dev/null")
      const { calls } = yield* callsOf(
        Effect.andThen(
          Socket.sendMessage(a, { data: utf8("x"), files: [file] }),
          Socket.recvMessage(b, { data: new Uint8Array(1), files: 1 })
        )
      )
      assert.deepStrictEqual(
        calls.map(({ nr }) => nr),
        [Syscall.nr.sendmsg, Syscall.nr.recvmsg]
      )
    }).pipe(Effect.scoped)
  )
})

describe("an interruption", () => {
  const receiving: {
    readonly [name: string]: (socket: Socket.Socket, flags?: number) => Effect.Effect<unknown, Errno.Errno, Scope.Scope>
  } = {
    recvMessage: (socket, flags = 0) => Socket.recvMessage(socket, { data: new Uint8Array(1), files: 4 }, flags),
    recvMessages: (socket, flags = 0) =>
      Socket.recvMessages(
        socket,
        [1, 2].map(() => ({ data: new Uint8Array(1), files: 4 })),
        flags
      ),
    "recvMessage with MSG_WAITALL": (socket, flags = 0) =>
      Socket.recvMessage(socket, { data: new Uint8Array(1), files: 4 }, flags | Syscall.MSG_WAITALL)
  }

  for (const [name, receive] of Object.entries(receiving)) {
    it.live(`of ${name} loses no descriptor, wherever it happens`, () =>
      Effect.gen(function* () {
        const [a, b] = yield* Socket.pair("datagram")
        const { reader, writer } = yield* pipe
        const drain = Effect.ignore(Effect.scoped(receive(b, Syscall.MSG_DONTWAIT)))
        const before = yield* openFds
        for (let at = 1; at <= 80; at++) {
          const fiber = yield* Effect.forkChild(Effect.scoped(receive(b)).pipe(yieldingAt(at)), startNow)
          if (at % 3 === 0) yield* turn
          yield* Socket.sendMessage(a, { data: utf8("x"), files: [reader, writer] })
          if (at % 2 === 0) yield* turn
          yield* Fiber.interrupt(fiber)
          // Either it had the message, and its files are closed, or the message is still there.
          yield* drain
          assert.strictEqual(yield* openFds, before, `at ${at}`)
        }
      }).pipe(Effect.scoped)
    )
  }

  it.live("of many receivers at random loses no descriptor: a storm", () =>
    Effect.gen(function* () {
      const { reader } = yield* pipe
      const before = yield* openFds
      yield* Effect.gen(function* () {
        const [a, b] = yield* Socket.pair("seqpacket")
        let seed = 12345
        const random = (below: number) => {
          seed = (seed * 1103515245 + 12345) & 0x7fffffff
          return (seed >> 8) % below
        }
        let received = 0
        const receiver = Effect.scoped(
          Effect.gen(function* () {
            const { files } = yield* Socket.recvMessage(b, { data: new Uint8Array(1), files: 8 })
            received += files.length
            for (let i = random(3); i > 0; i--) yield* turn
            // They are open for as long as the scope is.
            for (const file of files) yield* File.fd(file)
          })
        )
        for (let round = 0; round < 300; round++) {
          const fibers = yield* Effect.forEach(Array.from({ length: 1 + random(4) }), () =>
            Effect.forkChild(receiver.pipe(yieldingAt(1 + random(60))), { startImmediately: random(2) === 0 })
          )
          const files = Array.from({ length: 1 + random(5) }, () => reader)
          yield* Socket.sendMessage(a, { data: utf8("x"), files })
          for (let i = random(3); i > 0; i--) yield* turn
          yield* Effect.forEach(fibers, Fiber.interrupt, { concurrency: "unbounded" })
          // What nobody took is taken now, lest it fills the socket.
          while (
            Exit.isSuccess(
              yield* Effect.exit(
                Effect.scoped(Socket.recvMessage(b, { data: new Uint8Array(1), files: 8 }, Syscall.MSG_DONTWAIT))
              )
            )
          ) {}
        }
        assert.isAbove(received, 0)
      }).pipe(Effect.scoped)
      assert.strictEqual(yield* openFds, before)
    }).pipe(Effect.scoped)
  )

  it.live("of a sender that waits gives back what it kept the files open by", () =>
    Effect.gen(function* () {
      const [a] = yield* Socket.pair("datagram")
      const file = yield* File.open("/dev/null")
      while (Exit.isSuccess(yield* Effect.exit(Socket.send(a, utf8("x"), Syscall.MSG_DONTWAIT)))) {}
      const before = yield* openFds
      for (let at = 1; at <= 40; at++) {
        const sending = Socket.sendMessage(a, { data: utf8("!"), files: [file] })
        const fiber = yield* Effect.forkChild(sending.pipe(yieldingAt(at)), startNow)
        if (at % 2 === 0) yield* turn
        yield* Fiber.interrupt(fiber)
      }
      assert.strictEqual(yield* openFds, before)
    }).pipe(Effect.scoped)
  )

  it.live("leaves the socket usable: what comes next is received by who asks next", () =>
    Effect.gen(function* () {
      const [a, b] = yield* Socket.pair("stream")
      const operations: ReadonlyArray<Effect.Effect<unknown, Errno.Errno>> = [
        Socket.recv(b, new Uint8Array(8)),
        Effect.scoped(Socket.recvMessage(b, { data: new Uint8Array(8) })),
        Socket.recvFrom(b, new Uint8Array(8)),
        File.read(b, new Uint8Array(8))
      ]
      for (const operation of operations) {
        const fiber = yield* Effect.forkChild(operation, startNow)
        yield* turn
        yield* Fiber.interrupt(fiber)
        yield* Socket.sendAll(a, utf8("next"))
        assert.strictEqual(yield* Socket.recv(b, new Uint8Array(8)), 4)
      }
    }).pipe(Effect.scoped)
  )

  it.live("by closing fails what waits with EBADF", () =>
    Effect.gen(function* () {
      const [, b] = yield* Socket.pair("stream")
      const operations: ReadonlyArray<Effect.Effect<unknown, Errno.Errno>> = [
        Socket.recv(b, new Uint8Array(8)),
        Socket.recvFrom(b, new Uint8Array(8)),
        Effect.scoped(Socket.recvMessage(b, { data: new Uint8Array(8) })),
        Effect.scoped(Socket.recvMessage(b, { data: new Uint8Array(8) }, Syscall.MSG_WAITALL))
      ]
      const waiting = yield* Effect.forEach(operations, (operation) =>
        Effect.forkChild(Effect.flip(operation), startNow)
      )
      yield* turn
      yield* File.close(b)
      for (const fiber of waiting) {
        assert.isTrue(yield* eventually(() => fiber.pollUnsafe() !== undefined))
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "EBADF")
      }
    }).pipe(Effect.scoped)
  )
})
