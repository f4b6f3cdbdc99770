/** Descriptors that are waited for again and again, on whichever engine, and sockets whose calls are made with few others. */
import { readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option } from "effect"
import { Errno, EventFd, File, Pipe, Socket, SocketAddress, SocketOption, Syscall } from "../src/index.ts"
import { asleepIn } from "./support/fds.ts"
import { eventually, openFds } from "./support/process.ts"
import { program } from "./support/program.ts"

const { nr } = Syscall
const { call } = Syscall.kernel

/** What the epoll instances of this process know of a number: the events of each registration. */
const registered = (fd: number): ReadonlyArray<number> =>
  readdirSync("/proc/self/fdinfo").flatMap((open) => {
    let text = ""
    try {
      text = readFileSync(`/proc/self/fdinfo/${open}`, "utf8")
    } catch {}
    return [...text.matchAll(/^tfd:\s+(\d+)\s+events:\s+([0-9a-f]+)/gm)].flatMap(([, number, events]) =>
      Number(number) === fd ? [Number.parseInt(events ?? "", 16)] : []
    )
  })

const waits = (fd: number) => eventually(() => asleepIn(nr.recvfrom, fd) > 0)

const numberOf = (socket: Socket.Socket) => Effect.orDie(File.fd(socket))

const bytes = (text: string) => new TextEncoder().encode(text)

/** Receives text. */
const hear = (socket: Socket.Socket, most = 64) =>
  Effect.gen(function* () {
    const buffer = new Uint8Array(most)
    return new TextDecoder().decode(buffer.subarray(0, yield* Socket.recv(socket, buffer)))
  })

/** Waits so often that the next wait is not the first: after that both ends stay registered. */
const pair = Effect.gen(function* () {
  const [one, other] = yield* Socket.pair("stream")
  for (let trip = 0; trip < 3; trip++) {
    for (const [from, to] of [
      [one, other],
      [other, one]
    ] as const) {
      const hearing = yield* Effect.forkChild(hear(to), { startImmediately: true })
      yield* Socket.sendAll(from, bytes("hello"))
      assert.strictEqual(yield* Fiber.join(hearing), "hello")
    }
  }
  return [one, other] as const
})

describe("a socket that is waited for again and again", () => {
  it.live("stays registered, once, and no longer than it is open", () =>
    Effect.gen(function* () {
      const [one] = yield* pair
      const fd = yield* numberOf(one)
      assert.deepStrictEqual(registered(fd).length, 1)
      // The file stays open, and would go on telling.
      const copy = Number(call(nr.fcntl, fd, Syscall.F_DUPFD_CLOEXEC, 0))
      yield* File.close(one)
      assert.deepStrictEqual(registered(fd), [])
      call(nr.close, copy)
    }).pipe(Effect.scoped)
  )

  it.live("is not told of for ever where nobody waits for what there is", () =>
    Effect.gen(function* () {
      const [one, other] = yield* pair
      const fd = yield* numberOf(one)
      assert.deepStrictEqual(
        registered(fd).map((events) => events & Syscall.POLLIN),
        [Syscall.POLLIN]
      )
      yield* Socket.sendAll(other, bytes("there"))
      // No more than errors, and those once.
      assert.isTrue(yield* eventually(() => registered(fd).every((events) => (events & Syscall.POLLIN) === 0)))
      assert.strictEqual(yield* hear(one), "there")
      const hearing = yield* Effect.forkChild(hear(one), { startImmediately: true })
      yield* Socket.sendAll(other, bytes("again"))
      assert.strictEqual(yield* Fiber.join(hearing), "again")
    }).pipe(Effect.scoped)
  )

  it.live("does not keep the loop busy when the other end is gone and nobody asks", () =>
    Effect.gen(function* () {
      const [one, other] = yield* pair
      yield* File.close(other)
      yield* Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 20)))
      const before = performance.eventLoopUtilization()
      yield* Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 200)))
      // A loop that is told of it again and again never sleeps.
      assert.isBelow(performance.eventLoopUtilization(before).utilization, 0.8)
      assert.strictEqual(yield* hear(one), "")
    }).pipe(Effect.scoped)
  )

  it.live("tells each of several what it waits for", () =>
    Effect.gen(function* () {
      const [one, other] = yield* pair
      const many = new Uint8Array(4 << 20)
      const sending = yield* Effect.forkChild(Socket.sendAll(one, many), { startImmediately: true })
      const hearing = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(hear(one, 1), { startImmediately: true }))
      yield* Socket.sendAll(other, bytes("abc"))
      const heard = yield* Effect.forEach(hearing, Fiber.join)
      assert.deepStrictEqual(heard.toSorted(), ["a", "b", "c"])
      assert.isUndefined(sending.pollUnsafe())
      const buffer = new Uint8Array(1 << 16)
      for (let got = 0; got < many.length; ) got += yield* Socket.recv(other, buffer)
      yield* Fiber.join(sending)
    }).pipe(Effect.scoped)
  )

  it.live("hears the end that lies behind the last bytes", () =>
    Effect.gen(function* () {
      const [one, other] = yield* pair
      yield* Socket.sendAll(other, bytes("bye"))
      yield* Socket.shutdown(other, "write")
      assert.strictEqual(yield* hear(one), "bye")
      assert.strictEqual(yield* hear(one), "")
      assert.strictEqual(yield* hear(one), "")
    }).pipe(Effect.scoped)
  )

  it.live("hears a connection being reset", () =>
    Effect.gen(function* () {
      const listener = yield* Socket.listener(SocketAddress.inet("127.0.0.1", 0))
      const client = yield* Socket.dial(yield* Socket.localAddress(listener))
      const { socket } = yield* Socket.accept(listener)
      for (const text of ["a", "b", "c"]) {
        const hearing = yield* Effect.forkChild(hear(client), { startImmediately: true })
        yield* Socket.sendAll(socket, bytes(text))
        assert.strictEqual(yield* Fiber.join(hearing), text)
      }
      const hearing = yield* Effect.forkChild(Effect.flip(hear(client)), { startImmediately: true })
      yield* Socket.setOption(socket, SocketOption.SO_LINGER, { l_onoff: 1, l_linger: 0 })
      yield* File.close(socket)
      assert.strictEqual((yield* Fiber.join(hearing))._tag, "ECONNRESET")
    }).pipe(Effect.scoped)
  )

  it.live("hears what came in several pieces, though it takes less than there is room for", () =>
    Effect.gen(function* () {
      const [one, other] = yield* pair
      // A descriptor ends what one receive takes.
      yield* Socket.sendMessage(other, { data: bytes("with"), files: [other] })
      yield* Socket.sendAll(other, bytes("without"))
      assert.strictEqual(yield* hear(one), "with")
      assert.strictEqual(yield* hear(one), "without")
    }).pipe(Effect.scoped)
  )

  it.live("gives up its wait when it is interrupted, and loses no bytes", () =>
    Effect.gen(function* () {
      const before = yield* openFds
      yield* Effect.scoped(
        Effect.gen(function* () {
          const [one, other] = yield* pair
          const fd = yield* numberOf(one)
          let heard = ""
          for (let time = 0; time < 200; time++) {
            const hearing = yield* Effect.forkChild(hear(one), { startImmediately: true })
            assert.isTrue(yield* waits(fd))
            if (time % 2 === 0) yield* Socket.sendAll(other, bytes(`${time % 10}`))
            const exit = yield* Fiber.interrupt(hearing).pipe(Effect.andThen(Fiber.await(hearing)))
            assert.strictEqual(asleepIn(nr.recvfrom, fd), 0)
            if (Exit.isSuccess(exit)) heard += exit.value
            else if (time % 2 === 0) heard += yield* hear(one)
          }
          assert.strictEqual(heard, "02468".repeat(20))
        })
      )
      assert.strictEqual(yield* openFds, before)
    })
  )

  it.live("fails its wait when it is closed", () =>
    Effect.gen(function* () {
      const [one] = yield* pair
      const hearing = yield* Effect.forkChild(Effect.flip(hear(one)), { startImmediately: true })
      assert.isTrue(yield* waits(yield* numberOf(one)))
      yield* File.close(one)
      const error = yield* Fiber.join(hearing)
      assert.instanceOf(error, Errno.EBADF)
      assert.strictEqual(asleepIn(nr.recvfrom), 0)
    }).pipe(Effect.scoped)
  )

  it.live("lets others have their turn, however much there is to hear", () =>
    Effect.gen(function* () {
      const [one, other] = yield* pair
      const echo = Effect.forever(Effect.flatMap(hear(other), (text) => Socket.sendAll(other, bytes(text))))
      const talk = Effect.forever(Effect.andThen(Socket.sendAll(one, bytes("ball")), hear(one)))
      yield* Effect.forkScoped(echo)
      yield* Effect.forkScoped(talk)
      let longest = 0
      for (let turn = 0; turn < 50; turn++) {
        const from = performance.now()
        yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
        longest = Math.max(longest, performance.now() - from)
      }
      // About a millisecond; and this machine may have other things to do.
      assert.isBelow(longest, 200)
    }).pipe(Effect.scoped)
  )
})

describe("a number that was given to another file behind our back", () => {
  it.live("is waited for as what it is", () =>
    Effect.gen(function* () {
      const [one] = yield* pair
      const [replacement, peer] = yield* Socket.pair("stream")
      const fd = yield* numberOf(one)
      assert.strictEqual(call(nr.dup3, yield* numberOf(replacement), fd, Syscall.O_CLOEXEC), fd)
      for (const text of ["x", "y"]) {
        const hearing = yield* Effect.forkChild(hear(one), { startImmediately: true })
        assert.isTrue(yield* waits(fd))
        yield* Socket.sendAll(peer, bytes(text))
        assert.strictEqual(yield* Fiber.join(hearing), text)
      }
    }).pipe(Effect.scoped)
  )

  it.live("is told to be none where it was closed", () =>
    Effect.gen(function* () {
      const [one, other] = yield* pair
      const fd = yield* numberOf(one)
      yield* Socket.sendAll(other, bytes("last"))
      assert.strictEqual(yield* hear(one), "last")
      assert.strictEqual(call(nr.close, fd), 0)
      assert.instanceOf(yield* Effect.flip(hear(one)), Errno.EBADF)
      // Whatever is opened next has the number, and the scope must not close it.
      yield* Effect.ignore(File.release(one))
    }).pipe(Effect.scoped)
  )

  it.live("does not keep the loop busy with what its file, open elsewhere, has to tell", () =>
    Effect.gen(function* () {
      const [one, other] = yield* pair
      const fd = yield* numberOf(one)
      const copy = Number(call(nr.fcntl, fd, Syscall.F_DUPFD_CLOEXEC, 0))
      assert.strictEqual(call(nr.close, fd), 0)
      yield* Socket.sendAll(other, bytes("to nobody"))
      assert.isTrue(yield* eventually(() => registered(fd).length === 0))
      yield* Effect.ignore(File.release(one))
      call(nr.close, copy)
      // All others are registered anew where they are needed.
      const [here, there] = yield* pair
      const hearing = yield* Effect.forkChild(hear(here), { startImmediately: true })
      yield* Socket.sendAll(there, bytes("still"))
      assert.strictEqual(yield* Fiber.join(hearing), "still")
    }).pipe(Effect.scoped)
  )

  // Being told of the file that had the number, it changed the registration of the one that has it now.
  it.live("does not take the events of a socket that has its number now", () =>
    Effect.gen(function* () {
      const [one, other] = yield* pair
      const fd = yield* numberOf(one)
      const copy = Number(call(nr.fcntl, fd, Syscall.F_DUPFD_CLOEXEC, 0))
      assert.strictEqual(call(nr.close, fd), 0)
      const [here, there] = yield* pair
      assert.strictEqual(yield* numberOf(here), fd)
      const hearing = yield* Effect.forkChild(hear(here), { startImmediately: true })
      yield* Socket.sendAll(other, bytes("to nobody"))
      yield* Effect.sleep(50)
      yield* Socket.sendAll(there, bytes("to somebody"))
      const heard = yield* Effect.timeoutOption(Fiber.join(hearing), 2_000)
      assert.deepStrictEqual(heard, Option.some("to somebody"))
      yield* Effect.ignore(File.release(one))
      call(nr.close, copy)
    }).pipe(Effect.scoped)
  )
})

describe("a socket that is told not to wait, after it has waited", () => {
  const O_NONBLOCK = Syscall.O_NONBLOCK

  it.live("by a flag set on its number, or on a copy of it, does not", () =>
    Effect.gen(function* () {
      for (const isCopy of [false, true]) {
        const [one, other] = yield* pair
        yield* Socket.sendAll(other, bytes("short"))
        assert.strictEqual(yield* hear(one), "short")
        const fd = isCopy ? yield* numberOf(yield* File.duplicate(one)) : yield* numberOf(one)
        assert.strictEqual(call(nr.fcntl, fd, Syscall.F_SETFL, O_NONBLOCK), 0)
        assert.instanceOf(yield* Effect.flip(hear(one)), Errno.EAGAIN)
        assert.strictEqual(call(nr.fcntl, fd, Syscall.F_SETFL, 0), 0)
        const hearing = yield* Effect.forkChild(hear(one), { startImmediately: true })
        yield* Socket.sendAll(other, bytes("again"))
        assert.strictEqual(yield* Fiber.join(hearing), "again")
      }
    }).pipe(Effect.scoped)
  )

  it.live("for longer than a time of its own, does not", () =>
    Effect.gen(function* () {
      const [one, other] = yield* pair
      yield* Socket.sendAll(other, bytes("short"))
      assert.strictEqual(yield* hear(one), "short")
      yield* Socket.setOption(one, SocketOption.SO_RCVTIMEO, { tv_sec: 0n, tv_usec: 20_000n })
      assert.instanceOf(yield* Effect.flip(hear(one)), Errno.EAGAIN)
    }).pipe(Effect.scoped)
  )
})

describe("other descriptors that are waited for again and again", () => {
  it.live("pipes and counters stay registered, too", () =>
    Effect.gen(function* () {
      const { reader, writer } = yield* Pipe.make()
      const counter = yield* EventFd.make()
      const buffer = new Uint8Array(8)
      for (let time = 0; time < 5; time++) {
        const reading = yield* Effect.forkChild(File.read(reader, buffer), { startImmediately: true })
        const counting = yield* Effect.forkChild(EventFd.read(counter), { startImmediately: true })
        yield* File.write(writer, bytes("one"))
        yield* EventFd.add(counter, 7n)
        assert.strictEqual(yield* Fiber.join(reading), 3)
        assert.strictEqual(yield* Fiber.join(counting), 7n)
      }
      assert.strictEqual(registered(yield* File.fd(reader)).length, 1)
      assert.strictEqual(registered(yield* File.fd(counter)).length, 1)
    }).pipe(Effect.scoped)
  )
})

describe("the loop of a process", () => {
  it.live("goes on while somebody waits, and no longer", () =>
    Effect.gen(function* () {
      const result = yield* program(`
        const log = (text) => Fs.writeSync(1, text + "\\n")
        const pair = new Int32Array(2)
        addon.call(${nr.socketpair}, 1, 1, 0, pair)
        const words = new Int32Array(addon.openWatches((count) => {
          log("told " + count + " " + words.slice(4, 7).join(" "))
          addon.holdWatches(false)
          Promise.resolve().then(() => log("microtask"))
        }))
        addon.watch(1, pair[0], 1, 5, 6)
        addon.holdWatches(true)
        setTimeout(() => addon.call(${nr.write}, pair[1], new Uint8Array(1), 1), 20)
        process.on("exit", () => log("end"))`)
      assert.deepStrictEqual(result, { code: 0, signal: null, stdout: "told 1 5 6 1\nmicrotask\nend\n", stderr: "" })
    })
  )
})
