/** For tests of rings of io_uring: skipping where there are none, and what they are about. */
import { it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { File, IoUring, Syscall } from "../../src/index.ts"
import { turn } from "./files.ts"
import { openFds as openNow } from "./process.ts"

/** Why there is no ring here; undefined where there is one. */
const refusal = Effect.runSync(
  Effect.scoped(
    Effect.match(IoUring.make({ entries: 1 }), { onFailure: (error) => error.message, onSuccess: () => undefined })
  )
)

if (refusal !== undefined) console.warn(`tests of IoUring are skipped: ${refusal}`)

const supported =
  refusal === undefined
    ? Effect.runSync(Effect.scoped(Effect.map(IoUring.make({ entries: 1 }), (ring) => IoUring.probe(ring).operations)))
    : new Set<IoUring.OperationName>()

/** A test that needs some operations, skipped with its reason where the kernel has not all of them. */
export const test = <A, E>(
  name: string,
  needs: ReadonlyArray<IoUring.OperationName>,
  body: () => Effect.Effect<A, E, Scope.Scope>
): void => {
  const missing = needs.filter((op) => !supported.has(op))
  const why = missing.length > 0 ? ` (skipped: this kernel has no ${missing.join(", ")})` : ""
  it.live.skipIf(refusal !== undefined || missing.length > 0)(name + why, () => Effect.scoped(body()))
}

/** Open descriptors, when those of rings that were closed before are gone: the loop closes them some turns later. */
export const openFds = Effect.gen(function* () {
  for (let i = 0; i < 5; i++) yield* turn
  return yield* openNow
})

/** Two sockets that are connected. */
export const socketPair = Effect.gen(function* () {
  const [first, second] = yield* Syscall.socketpair(Syscall.AF_UNIX, Syscall.SOCK_STREAM | Syscall.SOCK_CLOEXEC)
  return { first: yield* File.fromFd(first), second: yield* File.fromFd(second) }
})

/** A listening socket of TCP on this machine, and its address. */
export const tcpListener = Effect.gen(function* () {
  const fd = yield* Syscall.socket(Syscall.AF_INET, Syscall.SOCK_STREAM | Syscall.SOCK_CLOEXEC)
  const listener = yield* File.fromFd(fd)
  yield* Syscall.bind(fd, { _tag: "Inet", address: "127.0.0.1", port: 0 })
  yield* Syscall.listen(fd, 128)
  return { listener, address: yield* Syscall.getsockname(fd) }
})

/** A client that is connected to an address. */
export const tcpClient = (address: Syscall.SockAddr) =>
  Effect.gen(function* () {
    const fd = yield* Syscall.socket(Syscall.AF_INET, Syscall.SOCK_STREAM | Syscall.SOCK_CLOEXEC)
    const client = yield* File.fromFd(fd)
    yield* Syscall.connect(fd, address)
    return client
  })
