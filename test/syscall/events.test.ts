/** Sets of files that are waited for, against the real kernel. */
import { readFileSync, readlinkSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { type Duration, Effect, Fiber } from "effect"
import { Abi, Errno, Syscall } from "../../src/index.ts"
import * as Events from "../../src/syscall/events.ts"
import * as Generated from "../../src/syscall/generated/events.ts"
import { asleepIn, eventfd, held, pipe } from "../support/fds.ts"
import { eventually } from "../support/process.ts"

const one = new BigUint64Array([1n])

const epoll = held(Generated.epoll_create1(Syscall.EPOLL_CLOEXEC))

const tagged = <E extends { readonly _tag: string }>(tag: string, self: Effect.Effect<unknown, E>) =>
  Effect.map(Effect.flip(self), (error) => assert.strictEqual(error._tag, tag))

/** Where this architecture lacks a call: its function says so. */
const lacks = (nr: number | undefined, self: Effect.Effect<unknown, { readonly errno: number }>) =>
  nr === undefined
    ? Effect.map(Effect.flip(self), ({ errno }) => {
        assert.strictEqual(errno, Errno.codes.ENOSYS)
        return true
      })
    : Effect.succeed(false)

/** Forks a wait, and sees it asleep: threads of the runtime's own sleep too. */
const asleep = <A, E>(nr: number, wait: Effect.Effect<A, E>, then: (fiber: Fiber.Fiber<A, E>) => Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const before = asleepIn(nr)
    const fiber = yield* Effect.forkChild(wait)
    assert.isTrue(yield* eventually(() => asleepIn(nr) === before + 1))
    const result = yield* then(fiber)
    assert.isTrue(yield* eventually(() => asleepIn(nr) === before))
    return result
  })

const wakened = <A, E>(nr: number, wait: Effect.Effect<A, E>, wake: Effect.Effect<unknown, unknown>) =>
  asleep(nr, wait, (fiber) => Effect.andThen(Effect.orDie(wake), Fiber.join(fiber)))

const interrupted = (nr: number, wait: Effect.Effect<unknown, unknown>) =>
  asleep<unknown, unknown>(nr, wait, (fiber) => Fiber.interrupt(fiber))

describe("counters", () => {
  it.effect("eventfd and eventfd2 make one", () =>
    Effect.gen(function* () {
      const counter = yield* eventfd(3)
      assert.strictEqual(readlinkSync(`/proc/self/fd/${counter}`), "anon_inode:[eventfd]")
      if (yield* lacks(Syscall.nr.eventfd, Generated.eventfd(5))) return
      const fd = yield* held(Generated.eventfd(5))
      assert.match(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"), /eventfd-count: +5\n/)
      yield* tagged("EINVAL", Generated.eventfd(2 ** 32))
    })
  )
})

describe("epoll", () => {
  it.effect("epoll_create and epoll_create1 make a set", () =>
    Effect.gen(function* () {
      const set = yield* epoll
      assert.strictEqual(readlinkSync(`/proc/self/fd/${set}`), "anon_inode:[eventpoll]")
      assert.match(readFileSync(`/proc/self/fdinfo/${set}`, "utf8"), /flags:\t02000002/)
      yield* tagged("EINVAL", Generated.epoll_create1(1))
      if (yield* lacks(Syscall.nr.epoll_create, Generated.epoll_create())) return
      const old = yield* held(Generated.epoll_create())
      assert.match(readFileSync(`/proc/self/fdinfo/${old}`, "utf8"), /flags:\t02\n/)
      yield* tagged("EINVAL", Generated.epoll_create(0))
    })
  )

  it.effect("epoll_ctl adds, changes and takes out", () =>
    Effect.gen(function* () {
      const set = yield* epoll
      const fd = yield* eventfd(1)
      const event = { events: Syscall.EPOLLIN | Syscall.EPOLLOUT, data: 0xfedcba9876543210n }
      yield* Generated.epoll_ctl(set, Syscall.EPOLL_CTL_ADD, fd, event)
      assert.match(readFileSync(`/proc/self/fdinfo/${set}`, "utf8"), /data: fedcba9876543210/)
      yield* tagged("EEXIST", Generated.epoll_ctl(set, Syscall.EPOLL_CTL_ADD, fd, event))
      assert.deepStrictEqual(yield* Events.epoll_pwait(set, 4, 0), [event])
      yield* Generated.epoll_ctl(set, Syscall.EPOLL_CTL_MOD, fd, { events: Syscall.EPOLLET, data: 1n })
      assert.deepStrictEqual(yield* Events.epoll_pwait(set, 4, 0), [])
      yield* Generated.epoll_ctl(set, Syscall.EPOLL_CTL_DEL, fd)
      yield* tagged("ENOENT", Generated.epoll_ctl(set, Syscall.EPOLL_CTL_DEL, fd))
      yield* tagged("EBADF", Generated.epoll_ctl(-1, Syscall.EPOLL_CTL_DEL, fd))
    })
  )

  it.live("epoll_wait gives several events, waits and is interrupted", () =>
    Effect.gen(function* () {
      const set = yield* epoll
      const { epoll_wait: nr } = Syscall.nr
      if (yield* lacks(nr, Events.epoll_wait(set, 1))) return
      const fds = [yield* eventfd(0), yield* eventfd(0), yield* eventfd(0)]
      for (const fd of fds) {
        yield* Generated.epoll_ctl(set, Syscall.EPOLL_CTL_ADD, fd, { events: Syscall.EPOLLIN, data: BigInt(fd) })
      }
      assert.deepStrictEqual(yield* Events.epoll_wait(set, 8, 0), [])
      assert.deepStrictEqual(yield* Events.epoll_wait(set, 8, 1), [])
      const write = (fd = -1) => Syscall.write(fd, one)
      assert.deepStrictEqual(yield* wakened(nr ?? -1, Events.epoll_wait(set, 8), write(fds[1])), [
        { events: Syscall.EPOLLIN, data: BigInt(fds[1] ?? -1) }
      ])
      yield* write(fds[2])
      assert.sameMembers(
        (yield* Events.epoll_wait(set, 8)).map(({ data }) => Number(data)),
        fds.slice(1)
      )
      assert.strictEqual((yield* Events.epoll_wait(set, 1)).length, 1)
      yield* tagged("EINVAL", Events.epoll_wait(set, 0))
      yield* tagged("EINVAL", Events.epoll_wait(set, 0x7fffffff))
      yield* tagged("EINVAL", Events.epoll_wait(set, 0.5))
      yield* tagged("EBADF", Events.epoll_wait(-1, 1))
      const empty = yield* epoll
      yield* interrupted(nr ?? -1, Events.epoll_wait(empty, 1))
    })
  )

  it.live("epoll_pwait and epoll_pwait2 wait with a mask and are interrupted whatever it has", () =>
    Effect.gen(function* () {
      const set = yield* epoll
      const fd = yield* eventfd(0)
      yield* Generated.epoll_ctl(set, Syscall.EPOLL_CTL_ADD, fd, { events: Syscall.EPOLLIN, data: 5n })
      const all = Array.from({ length: 64 }, (_, index) => index + 1)
      const { epoll_pwait, epoll_pwait2 } = Syscall.nr
      yield* interrupted(epoll_pwait, Events.epoll_pwait(set, 1, -1, all))
      yield* interrupted(epoll_pwait2, Events.epoll_pwait2(set, 1, null, all))
      assert.deepStrictEqual(yield* Events.epoll_pwait2(set, 1, "1 millis"), [])
      const event = { events: Syscall.EPOLLIN, data: 5n }
      assert.deepStrictEqual(
        yield* wakened(epoll_pwait2, Events.epoll_pwait2(set, 1, "1 hour", [40]), Syscall.write(fd, one)),
        [event]
      )
      assert.deepStrictEqual(yield* Events.epoll_pwait(set, 1, -1, [40]), [event])
      yield* tagged("EINVAL", Events.epoll_pwait(set, 1, -1, [65]))
      yield* tagged("EINVAL", Events.epoll_pwait2(set, 1, { tv_sec: 0n, tv_nsec: -1n }))
    })
  )
})

describe("poll", () => {
  it.live("poll tells of each file in order, waits and is interrupted", () =>
    Effect.gen(function* () {
      const { poll: nr } = Syscall.nr
      if (yield* lacks(nr, Events.poll([], 0))) return
      const [reader, writer] = yield* pipe
      const { POLLIN, POLLNVAL, POLLOUT } = Syscall
      assert.deepStrictEqual(
        yield* Events.poll([
          { fd: reader, events: POLLIN },
          { fd: writer, events: POLLOUT },
          { fd: -1, events: POLLIN },
          { fd: 0x7fffffff, events: POLLIN }
        ]),
        [
          { fd: reader, events: POLLIN, revents: 0 },
          { fd: writer, events: POLLOUT, revents: POLLOUT },
          { fd: -1, events: POLLIN, revents: 0 },
          { fd: 0x7fffffff, events: POLLIN, revents: POLLNVAL }
        ]
      )
      const reading = [{ fd: reader, events: POLLIN }]
      assert.strictEqual((yield* Events.poll(reading, 0))[0]?.revents, 0)
      yield* interrupted(nr ?? -1, Events.poll(reading))
      const [ready] = yield* wakened(nr ?? -1, Events.poll(reading), Syscall.write(writer, one))
      assert.strictEqual(ready?.revents, POLLIN)
      yield* tagged("EINVAL", Events.poll([{ fd: reader, events: 0x10000 }]))
    })
  )

  it.live("ppoll waits with a mask and is interrupted", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* pipe
      const reading = [{ fd: reader, events: Syscall.POLLIN }]
      const { ppoll: nr } = Syscall.nr
      assert.strictEqual((yield* Events.ppoll(reading, "1 millis"))[0]?.revents, 0)
      yield* interrupted(nr, Events.ppoll(reading, null, [yield* Syscall.interruptSignal]))
      const [ready] = yield* wakened(nr, Events.ppoll(reading), Syscall.write(writer, one))
      assert.strictEqual(ready?.revents, Syscall.POLLIN)
      yield* tagged("EINVAL", Events.ppoll(reading, { tv_sec: -1n, tv_nsec: 0n }))
      yield* tagged("EINVAL", Events.ppoll(reading, Number.POSITIVE_INFINITY))
    })
  )
})

describe("select", () => {
  type Form = (
    readfds: ReadonlyArray<number>,
    writefds?: ReadonlyArray<number>,
    exceptfds?: ReadonlyArray<number>,
    timeout?: Duration.Input | null
  ) => Effect.Effect<Events.Selected<{ readonly tv_sec: bigint }>, Errno.Errno>

  const forms: ReadonlyArray<readonly [name: string, nr: number | undefined, call: Form]> = [
    ["select", Syscall.nr.select, Events.select],
    ["pselect6", Syscall.nr.pselect6, Events.pselect6]
  ]

  for (const [name, nr, call] of forms) {
    it.live(`${name} tells the files that are ready, waits and is interrupted`, () =>
      Effect.gen(function* () {
        const [reader, writer] = yield* pipe
        if (yield* lacks(nr, call([reader], [], [], 0))) return
        const ready = yield* call([reader], [writer])
        assert.deepStrictEqual(ready, { readfds: [], writefds: [writer], exceptfds: [], timeout: null })
        const none = yield* call([reader], [], [reader], "1 millis")
        assert.deepStrictEqual(none.readfds, [])
        assert.strictEqual(none.timeout?.tv_sec, 0n)
        yield* interrupted(nr ?? -1, call([reader]))
        const read = yield* wakened(nr ?? -1, call([reader], [], [], "1 hour"), Syscall.write(writer, one))
        assert.deepStrictEqual(read.readfds, [reader])
        assert.strictEqual(read.timeout?.tv_sec, 3599n)
        // One far above 1,024, which is as far as libc's sets go.
        const high = yield* held(Syscall.fcntl(reader, Syscall.F_DUPFD, 2000))
        assert.deepStrictEqual((yield* call([reader, high])).readfds, [reader, high])
        yield* tagged("EBADF", call([-1]))
        yield* tagged("EBADF", call([0x7fffffff]))
        yield* tagged("EBADF", call([1_000_000, reader]))
        yield* tagged("EBADF", call([high + 1, reader]))
      })
    )
  }

  it.live("pselect6 waits with a mask, and is interrupted whatever it has", () =>
    Effect.gen(function* () {
      const [reader] = yield* pipe
      const all = Array.from({ length: 64 }, (_, index) => index + 1)
      yield* interrupted(Syscall.nr.pselect6, Events.pselect6([reader], [], [], null, all))
      yield* tagged("EINVAL", Events.pselect6([reader], [], [], null, [0]))
    })
  )

  it.effect("epoll events are packed where the kernel packs them", () =>
    Effect.sync(() => assert.strictEqual(Abi.epoll_event.size, process.arch === "x64" ? 12 : 16))
  )
})
