/** Descriptors that come with a message and are held by a scope. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Syscall } from "../../src/index.ts"
import { openFds } from "../support/process.ts"
import { closing } from "../support/temporary.ts"

const pair = Effect.gen(function* () {
  const [a, b] = yield* Syscall.socketpair(Syscall.AF_UNIX, Syscall.SOCK_DGRAM | Syscall.SOCK_CLOEXEC, 0)
  yield* closing(Effect.succeed(a))
  yield* closing(Effect.succeed(b))
  return [a, b] as const
})

const room = () => ({ iov: [new Uint8Array(8)], controllen: Syscall.CMSG_SPACE(16) })

const giving = (fds: ReadonlyArray<number>) => ({
  iov: [new Uint8Array(1)],
  control: [{ _tag: "Rights" as const, fds }]
})

describe("recvmsgScoped", () => {
  it.live("closes what it received with its scope", () =>
    Effect.gen(function* () {
      const [a, b] = yield* pair
      yield* Syscall.sendmsg(a, giving([0, 1]))
      const before = yield* openFds
      yield* Effect.gen(function* () {
        const { control } = yield* Syscall.recvmsgScoped(b, room())
        assert.deepStrictEqual(
          control.map(({ _tag }) => _tag),
          ["Rights"]
        )
        assert.strictEqual(yield* openFds, before + 2)
      }).pipe(Effect.scoped)
      assert.strictEqual(yield* openFds, before)
    })
  )

  it.live("can be interrupted while it waits, and loses nothing of a message that comes at that moment", () =>
    Effect.gen(function* () {
      const [a, b] = yield* pair
      const before = yield* openFds
      for (let round = 0; round < 50; round++) {
        const receiver = yield* Effect.forkChild(Effect.scoped(Syscall.recvmsgScoped(b, room())), {
          startImmediately: true
        })
        yield* Syscall.sendmsg(a, giving([0]))
        yield* Fiber.interrupt(receiver)
        // Either it had the message, and closed the descriptor, or the message is still there.
        yield* Effect.exit(Effect.scoped(Syscall.recvmsgScoped(b, room(), Syscall.MSG_DONTWAIT)))
      }
      assert.strictEqual(yield* openFds, before)
    })
  )
})
