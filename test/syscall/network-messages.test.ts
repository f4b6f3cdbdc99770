/** Messages against the real kernel: several buffers, control messages, descriptors, and none of them lost. */
import { fstatSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Abi, Errno, Syscall } from "../../src/index.ts"
import { setsockopt, socket } from "../../src/syscall/generated/network.ts"
import {
  bind,
  CMSG_SPACE,
  type ControlMessage,
  getsockname,
  recvfrom,
  recvmmsg,
  recvmsg,
  sendmmsg,
  sendmsg,
  socketpair
} from "../../src/syscall/network.ts"
import { asleepIn, held, memfd } from "../support/fds.ts"
import { eventually, openFds } from "../support/process.ts"

const { AF_INET, AF_UNIX, MSG_CMSG_CLOEXEC, MSG_DONTWAIT, nr, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK } = Syscall
const { SO_PASSCRED, SO_RCVTIMEO, SO_SNDBUF, SOCK_STREAM, SOL_SOCKET } = Syscall

const pair = (type: number, flags = 0) =>
  Effect.acquireRelease(socketpair(AF_UNIX, type | SOCK_CLOEXEC | flags), ([a, b]) =>
    Effect.andThen(Effect.ignore(Syscall.close(a)), Effect.ignore(Syscall.close(b)))
  )

const udp = Effect.gen(function* () {
  const fd = yield* held(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC))
  yield* bind(fd, { _tag: "Inet", address: "127.0.0.1", port: 0 })
  return { fd, address: yield* getsockname(fd) }
})

const forkAsleep = <A, E, R>(self: Effect.Effect<A, E, R>, number: number, first: number) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(self)
    assert.isTrue(yield* eventually(() => asleepIn(number, first) > 0), "the call is asleep in the kernel")
    return fiber
  })

/** Comes back when this process has that many descriptors; the event loop does not turn meanwhile. */
const awaitFds = (count: number): void => {
  const end = performance.now() + 5000
  let now: number
  do now = Effect.runSync(openFds)
  while (now !== count && performance.now() < end)
  assert.strictEqual(now, count)
}

const utf8 = (text: string) => new TextEncoder().encode(text)
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

const passing = (...fds: ReadonlyArray<number>): ControlMessage => ({ _tag: "Rights", fds })

const passed = (control: ReadonlyArray<ControlMessage>) =>
  control.flatMap((message) => (message._tag === "Rights" ? message.fds : []))

const sameFile = (a: number, b: number) => fstatSync(a).ino === fstatSync(b).ino

/** What a program asked of the kernel meanwhile, by name. */
const recorded = <A, E, R>(self: Effect.Effect<A, E, R>) => {
  const names: Array<string> = []
  const trampoline = Syscall.record(Syscall.kernel, ({ name }) => names.push(name))
  return Effect.map(Effect.provideService(self, Syscall.Trampoline, trampoline), (value) => ({ value, names }))
}

describe("sendmsg and recvmsg", () => {
  it.live("gather and scatter a datagram, with the address of who sent it", () =>
    Effect.gen(function* () {
      const [a, b] = [yield* udp, yield* udp]
      const iov = [utf8("hel"), new Uint8Array(0), new Uint16Array(utf8("lo").buffer), utf8("!").buffer]
      const sent = yield* recorded(sendmsg(a.fd, { address: b.address, iov }))
      assert.deepStrictEqual(sent, { value: 6, names: ["sendmsg"] })
      const [first, second] = [new Uint8Array(4), new DataView(new ArrayBuffer(8), 1, 4)]
      const received = yield* recorded(recvmsg(b.fd, { iov: [first, second] }))
      assert.deepStrictEqual(received.value, { bytes: 6, address: a.address, control: [], flags: 0 })
      assert.deepStrictEqual(received.names, ["recvmsg"])
      assert.strictEqual(text(first), "hell")
      assert.deepStrictEqual([...new Uint8Array(second.buffer)], [0, ...utf8("o!"), 0, 0, 0, 0, 0])
    })
  )

  it.live("wait on another thread with the same result", () =>
    Effect.gen(function* () {
      const [a, b] = [yield* udp, yield* udp]
      yield* setsockopt(b.fd, Syscall.IPPROTO_IP, Syscall.IP_PKTINFO, Int32Array.of(1))
      const buffer = new ArrayBuffer(8)
      const shared = new SharedArrayBuffer(4)
      const iov = [new Uint8Array(buffer, 2, 3), shared]
      const waiting = yield* forkAsleep(recvmsg(b.fd, { iov, controllen: 64 }), nr.recvmsg, b.fd)
      yield* sendmsg(a.fd, { address: b.address, iov: [utf8("hello")] })
      const { control, ...rest } = yield* Fiber.join(waiting)
      assert.deepStrictEqual(rest, { bytes: 5, address: a.address, flags: 0 })
      assert.deepStrictEqual([...new Uint8Array(buffer)], [0, 0, ...utf8("hel"), 0, 0, 0])
      assert.deepStrictEqual([...new Uint8Array(shared)], [...utf8("lo"), 0, 0])
      const [info] = control
      assert.strictEqual(control.length, 1)
      if (info?._tag !== "Raw") return assert.fail("the packet's information is no Raw")
      assert.deepStrictEqual([info.level, info.type], [Syscall.IPPROTO_IP, Syscall.IP_PKTINFO])
      const loopback = { s_addr: 0x0100007f }
      assert.deepInclude(Abi.in_pktinfo.decode(info.data), { ipi_spec_dst: loopback, ipi_addr: loopback })
    })
  )

  it.live("say how long a datagram was that did not fit", () =>
    Effect.gen(function* () {
      const [a, b] = yield* pair(SOCK_DGRAM)
      yield* sendmsg(a, { iov: [utf8("hello")] })
      const bytes = new Uint8Array(2)
      const whole = yield* recvmsg(b, { iov: [bytes] }, Syscall.MSG_TRUNC | Syscall.MSG_PEEK)
      assert.deepStrictEqual(whole, { bytes: 5, address: undefined, control: [], flags: Syscall.MSG_TRUNC })
      // The same where it was waited for: no more than there is room for is copied.
      yield* recvmsg(b, { iov: [bytes] })
      const waiting = yield* forkAsleep(recvmsg(b, { iov: [bytes] }, Syscall.MSG_TRUNC), nr.recvmsg, b)
      yield* sendmsg(a, { iov: [utf8("again")] })
      assert.deepInclude(yield* Fiber.join(waiting), { bytes: 5, flags: Syscall.MSG_TRUNC })
      assert.strictEqual(text(bytes), "ag")
    })
  )

  it.live("pass descriptors, which are the receiver's to close", () =>
    Effect.gen(function* () {
      const [a, b] = yield* pair(SOCK_STREAM)
      const [one, two] = [yield* memfd, yield* memfd]
      yield* sendmsg(a, { iov: [utf8("x")], control: [passing(one, two)] })
      const room = { iov: [new Uint8Array(1)], controllen: CMSG_SPACE(8) }
      const { control, flags } = yield* recvmsg(b, room, MSG_CMSG_CLOEXEC)
      const fds = passed(control)
      for (const fd of fds) yield* held(Effect.succeed(fd))
      assert.strictEqual(flags, MSG_CMSG_CLOEXEC)
      assert.strictEqual(fds.length, 2)
      assert.isTrue(sameFile(fds[0] ?? -1, one) && sameFile(fds[1] ?? -1, two))
      assert.strictEqual(yield* Syscall.fcntl(fds[0] ?? -1, Syscall.F_GETFD), Syscall.FD_CLOEXEC)
    })
  )

  it.live("receive no descriptor that was not asked for", () =>
    Effect.gen(function* () {
      const [a, b] = yield* pair(SOCK_DGRAM)
      const file = yield* memfd
      const before = yield* openFds
      yield* sendmsg(a, { iov: [utf8("x")], control: [passing(file, file)] })
      const none = yield* recvmsg(b, { iov: [new Uint8Array(1)] })
      assert.deepStrictEqual(none, { bytes: 1, address: undefined, control: [], flags: Syscall.MSG_CTRUNC })
      assert.strictEqual(yield* openFds, before)
      yield* sendmsg(a, { iov: [utf8("x")], control: [passing(file, file, file)] })
      const some = yield* recvmsg(b, { iov: [new Uint8Array(1)], controllen: 16 + 4 }, MSG_CMSG_CLOEXEC)
      for (const fd of passed(some.control)) yield* held(Effect.succeed(fd))
      assert.strictEqual(passed(some.control).length, 1)
      assert.isAbove(some.flags & Syscall.MSG_CTRUNC, 0)
      assert.strictEqual(yield* openFds, before + 1)
    })
  )

  it.live("close the descriptors of a message that came as the fiber was interrupted", () =>
    Effect.gen(function* () {
      const [a, b] = yield* pair(SOCK_STREAM)
      const file = yield* memfd
      const before = yield* openFds
      const room = { iov: [new Uint8Array(1)], controllen: CMSG_SPACE(12) }
      const waiting = yield* forkAsleep(recvmsg(b, room, MSG_CMSG_CLOEXEC), nr.recvmsg, b)
      yield* sendmsg(a, { iov: [utf8("x")], control: [passing(file, file, file)] })
      awaitFds(before + 3)
      yield* Fiber.interrupt(waiting)
      assert.strictEqual(yield* openFds, before)
    })
  )

  it.live("carry credentials", () =>
    Effect.gen(function* () {
      const [a, b] = yield* pair(SOCK_DGRAM)
      yield* setsockopt(b, SOL_SOCKET, SO_PASSCRED, Int32Array.of(1))
      const own = {
        _tag: "Credentials",
        pid: process.pid,
        uid: process.getuid?.() ?? -1,
        gid: process.getgid?.() ?? -1
      } as const
      const file = yield* memfd
      yield* sendmsg(a, { iov: [utf8("x")], control: [own, passing(file)] })
      const room = { iov: [new Uint8Array(1)], controllen: CMSG_SPACE(12) + CMSG_SPACE(4) }
      const { control } = yield* recvmsg(b, room, MSG_CMSG_CLOEXEC)
      for (const fd of passed(control)) yield* held(Effect.succeed(fd))
      assert.deepStrictEqual(
        control.find(({ _tag }) => _tag === "Credentials"),
        own
      )
      assert.strictEqual(passed(control).length, 1)
      const foreign = sendmsg(a, { iov: [utf8("x")], control: [{ ...own, pid: 0x7fffffff }] })
      // Who may lie is told that there is no such process.
      assert.include(["EPERM", "OtherErrno"], (yield* Effect.flip(foreign))._tag)
    })
  )

  it.live("send on a stream all that they are given, and its descriptors once", () =>
    Effect.gen(function* () {
      const [a, b] = yield* pair(SOCK_STREAM)
      yield* setsockopt(a, SOL_SOCKET, SO_SNDBUF, Int32Array.of(4096))
      const bytes = Uint8Array.from({ length: 300_000 }, (_, index) => index % 251)
      const file = yield* memfd
      const iov = [bytes.subarray(0, 7), bytes.subarray(7, 100_000), bytes.subarray(100_000)]
      const sending = yield* forkAsleep(sendmsg(a, { iov, control: [passing(file)] }), nr.sendmsg, a)
      const all = new Uint8Array(bytes.length)
      let fds = 0
      for (let at = 0; at < all.length; ) {
        const room = { iov: [all.subarray(at)], controllen: CMSG_SPACE(4) }
        const { bytes: more, control } = yield* recvmsg(b, room, MSG_CMSG_CLOEXEC)
        for (const fd of passed(control)) yield* held(Effect.succeed(fd))
        fds += passed(control).length
        at += more
      }
      assert.strictEqual(yield* Fiber.join(sending), bytes.length)
      assert.strictEqual(Buffer.compare(all, bytes), 0)
      assert.strictEqual(fds, 1)
    })
  )

  it.live("can be interrupted", () =>
    Effect.gen(function* () {
      const [a, b] = yield* pair(SOCK_STREAM)
      const receiving = yield* forkAsleep(recvmsg(b, { iov: [new Uint8Array(1)] }), nr.recvmsg, b)
      yield* Fiber.interrupt(receiving)
      const sending = yield* forkAsleep(sendmsg(a, { iov: [new Uint8Array(4 << 20)] }), nr.sendmsg, a)
      yield* Fiber.interrupt(sending)
      assert.strictEqual(asleepIn(nr.recvmsg, b) + asleepIn(nr.sendmsg, a), 0)
    })
  )

  it.live("give what came to buffers that are still there", () =>
    Effect.gen(function* () {
      const [a, b] = yield* pair(SOCK_STREAM)
      const [gone, here] = [new Uint8Array(2), new Uint8Array(2)]
      const waiting = yield* forkAsleep(recvmsg(b, { iov: [gone, here] }), nr.recvmsg, b)
      structuredClone(gone, { transfer: [gone.buffer] })
      yield* sendmsg(a, { iov: [utf8("abcd")] })
      assert.strictEqual((yield* Fiber.join(waiting)).bytes, 4)
      assert.strictEqual(text(here), "cd")
    })
  )

  it.live("say EAGAIN where they may not wait, or have waited for long enough", () =>
    Effect.gen(function* () {
      const [a, b] = yield* pair(SOCK_DGRAM)
      const room = { iov: [new Uint8Array(1)] }
      assert.instanceOf(yield* Effect.flip(recvmsg(b, room, MSG_DONTWAIT)), Errno.EAGAIN)
      yield* setsockopt(b, SOL_SOCKET, SO_RCVTIMEO, BigInt64Array.of(0n, 10_000n))
      assert.instanceOf(yield* Effect.flip(recvmsg(b, room)), Errno.EAGAIN)

      const [c, d] = yield* pair(SOCK_STREAM, SOCK_NONBLOCK)
      const again = yield* Effect.flip(recvmsg(d, room))
      assert.instanceOf(again, Errno.EAGAIN)
      assert.strictEqual(again.fd, d)
      const large = { iov: [new Uint8Array(4 << 20)] }
      const part = yield* sendmsg(c, large)
      assert.isTrue(part > 0 && part < 4 << 20)
      assert.instanceOf(yield* Effect.flip(sendmsg(c, large)), Errno.EAGAIN)
      // A blocking socket that may not wait this once.
      assert.isBelow(yield* sendmsg(a, { iov: [utf8("x")] }, MSG_DONTWAIT), 2)
    })
  )

  it.live("wait for all of it with MSG_WAITALL", () =>
    Effect.gen(function* () {
      const [a, b] = yield* pair(SOCK_STREAM)
      yield* sendmsg(a, { iov: [utf8("ab")] })
      const bytes = new Uint8Array(4)
      const waiting = yield* forkAsleep(recvmsg(b, { iov: [bytes] }, Syscall.MSG_WAITALL), nr.recvmsg, b)
      yield* sendmsg(a, { iov: [utf8("cd")] })
      assert.strictEqual((yield* Fiber.join(waiting)).bytes, 4)
      assert.strictEqual(text(bytes), "abcd")
    })
  )

  it.live("fail with the errnos of the manual, and refuse misuse", () =>
    Effect.gen(function* () {
      const { fd } = yield* udp
      const iov = [utf8("x")]
      assert.instanceOf(yield* Effect.flip(sendmsg(fd, { iov })), Errno.EDESTADDRREQ)
      assert.instanceOf(yield* Effect.flip(sendmsg(-1, { iov })), Errno.EBADF)
      assert.instanceOf(yield* Effect.flip(recvmsg(-1, { iov })), Errno.EBADF)
      assert.instanceOf(yield* Effect.flip(recvmsg(0.5, { iov })), Errno.EBADF)
      assert.instanceOf(yield* Effect.flip(recvmsg(fd, { iov }, 0.5)), Errno.EINVAL)
      assert.instanceOf(yield* Effect.flip(recvmsg(fd, { iov, controllen: -1 })), Errno.EINVAL)
      assert.instanceOf(yield* Effect.flip(sendmsg(fd, { iov, control: [passing(0.5)] })), Errno.EBADF)
      const [a] = yield* pair(SOCK_DGRAM)
      assert.instanceOf(yield* Effect.flip(sendmsg(a, { iov, control: [passing(12345)] })), Errno.EBADF)
      const gone = new Uint8Array(4)
      structuredClone(gone, { transfer: [gone.buffer] })
      assert.instanceOf(yield* Effect.flip(recvmsg(fd, { iov: [gone] })), Errno.EFAULT)
      assert.instanceOf(yield* Effect.flip(sendmsg(fd, { iov: [gone] })), Errno.EFAULT)
    })
  )
})

describe("sendmmsg and recvmmsg", () => {
  it.live("send and receive several messages with one call", () =>
    Effect.gen(function* () {
      const [a, b] = [yield* udp, yield* udp]
      const messages = ["one", "", "three"].map((word) => ({ address: b.address, iov: [utf8(word)] }))
      const sent = yield* recorded(sendmmsg(a.fd, messages))
      assert.deepStrictEqual(sent, { value: [3, 0, 5], names: ["sendmmsg"] })
      const buffers = Array.from({ length: 4 }, () => new Uint8Array(8))
      const rooms = buffers.map((buffer) => ({ iov: [buffer] }))
      const received = yield* recorded(recvmmsg(b.fd, rooms, Syscall.MSG_WAITFORONE))
      assert.deepStrictEqual(received.names, ["recvmmsg"])
      assert.deepStrictEqual(
        received.value.map(({ address, bytes }) => ({ address, bytes })),
        [3, 0, 5].map((bytes) => ({ address: a.address, bytes }))
      )
      assert.deepStrictEqual(
        buffers.map((buffer) => text(buffer).replaceAll("\0", "")),
        ["one", "", "three", ""]
      )
    })
  )

  it.live("wait for the first message, or for all", () =>
    Effect.gen(function* () {
      const [a, b] = yield* pair(SOCK_DGRAM)
      const buffers = [new Uint8Array(3), new Uint8Array(3)]
      const rooms = buffers.map((buffer) => ({ iov: [buffer], controllen: CMSG_SPACE(4) }))
      const flags = MSG_CMSG_CLOEXEC
      const first = yield* forkAsleep(recvmmsg(b, rooms, Syscall.MSG_WAITFORONE | flags), nr.recvmmsg, b)
      const file = yield* memfd
      yield* sendmmsg(a, [{ iov: [utf8("one")], control: [passing(file)] }])
      const [message, ...others] = yield* Fiber.join(first)
      for (const fd of passed(message?.control ?? [])) yield* held(Effect.succeed(fd))
      assert.strictEqual(passed(message?.control ?? []).length, 1)
      assert.deepStrictEqual(others, [])
      const all = yield* forkAsleep(recvmmsg(b, rooms, flags), nr.recvmmsg, b)
      yield* sendmmsg(a, [{ iov: [utf8("two")] }])
      assert.isTrue(yield* eventually(() => asleepIn(nr.recvmmsg, b) === 1))
      yield* sendmmsg(a, [{ iov: [utf8("six")] }])
      assert.strictEqual((yield* Fiber.join(all)).length, 2)
      assert.deepStrictEqual(buffers.map(text), ["two", "six"])
    })
  )

  it.live("recvmmsg closes the descriptors that came as its fiber was interrupted", () =>
    Effect.gen(function* () {
      const [a, b] = yield* pair(SOCK_DGRAM)
      const file = yield* memfd
      const before = yield* openFds
      const rooms = [1, 2, 3].map((length) => ({ iov: [new Uint8Array(length)], controllen: CMSG_SPACE(4) }))
      const waiting = yield* forkAsleep(recvmmsg(b, rooms, MSG_CMSG_CLOEXEC), nr.recvmmsg, b)
      const message = { iov: [utf8("x")], control: [passing(file)] }
      yield* sendmmsg(a, [message, message])
      awaitFds(before + 2)
      yield* Fiber.interrupt(waiting)
      assert.strictEqual(yield* openFds, before)
    })
  )

  it.live("recvmmsg takes a timeout that is over when a message has come", () =>
    Effect.gen(function* () {
      const [a, b] = yield* pair(SOCK_DGRAM)
      const rooms = [{ iov: [new Uint8Array(1)] }, { iov: [new Uint8Array(1)] }]
      yield* sendmmsg(a, [{ iov: [utf8("x")] }])
      // Nothing is left of it after the first message, so that the second is not waited for.
      assert.strictEqual((yield* recvmmsg(b, rooms, 0, 0)).length, 1)
      yield* sendmmsg(a, [{ iov: [utf8("x")] }])
      assert.strictEqual((yield* recvmmsg(b, rooms, 0, { tv_sec: 0n, tv_nsec: 0n })).length, 1)
      const wrong = recvmmsg(b, rooms, 0, { tv_sec: 0n, tv_nsec: -1n })
      assert.instanceOf(yield* Effect.flip(wrong), Errno.EINVAL)
    })
  )

  it.live("sendmmsg waits until all is sent, and ends early where a message cannot be", () =>
    Effect.gen(function* () {
      const [a, b] = yield* pair(SOCK_STREAM)
      yield* setsockopt(a, SOL_SOCKET, SO_SNDBUF, Int32Array.of(4096))
      const pieces = Array.from({ length: 8 }, (_, index) => new Uint8Array(10_000).fill(index + 1))
      const sending = yield* forkAsleep(
        sendmmsg(
          a,
          pieces.map((piece) => ({ iov: [piece] }))
        ),
        nr.sendmmsg,
        a
      )
      const all = new Uint8Array(80_000)
      for (let at = 0; at < all.length; ) at += (yield* recvfrom(b, all.subarray(at))).bytes
      const expected = new Uint8Array(80_000)
      pieces.forEach((piece, index) => {
        expected.set(piece, index * 10_000)
      })
      assert.strictEqual(Buffer.compare(all, expected), 0)
      assert.deepStrictEqual(
        yield* Fiber.join(sending),
        pieces.map(({ length }) => length)
      )

      const [c, d] = [yield* udp, yield* udp]
      const good = { address: d.address, iov: [utf8("x")] }
      const large = { address: d.address, iov: [new Uint8Array(70_000)] }
      assert.deepStrictEqual(yield* sendmmsg(c.fd, [good, large, good]), [1])
      assert.instanceOf(yield* Effect.flip(sendmmsg(c.fd, [large, good])), Errno.EMSGSIZE)
    })
  )

  it.live("say EAGAIN where they may not wait", () =>
    Effect.gen(function* () {
      const [a, b] = yield* pair(SOCK_STREAM, SOCK_NONBLOCK)
      const rooms = [{ iov: [new Uint8Array(1)] }, { iov: [new Uint8Array(1)] }]
      assert.instanceOf(yield* Effect.flip(recvmmsg(b, rooms)), Errno.EAGAIN)
      assert.instanceOf(yield* Effect.flip(recvmmsg(b, rooms, MSG_DONTWAIT)), Errno.EAGAIN)
      assert.instanceOf(yield* Effect.flip(recvmmsg(b, rooms, Syscall.MSG_WAITFORONE)), Errno.EAGAIN)
      const large = { iov: [new Uint8Array(4 << 20)] }
      const [part = 0, ...rest] = yield* sendmmsg(a, [large, large])
      assert.isTrue(part > 0 && part < 4 << 20)
      assert.deepStrictEqual(rest, [])
      assert.instanceOf(yield* Effect.flip(sendmmsg(a, [large])), Errno.EAGAIN)
      assert.deepStrictEqual(yield* sendmmsg(a, []), [])
      assert.deepStrictEqual(yield* recvmmsg(a, []), [])
    })
  )
})
