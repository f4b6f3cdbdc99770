/**
 * Rings of io_uring: each file is opened, looked at, read and closed in one chain, all chains in one visit of the kernel,
 * and no file ever has a descriptor.
 *
 *     node .build/programs/examples/io-uring.js FILE...
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Result } from "effect"
import { IoUring } from "effect-linux"

const paths = process.argv.slice(2)

const mostRead = 64 * 1024

/** The first bytes of a file, in a chain that goes on where a file is shorter: it is closed in any case. */
const head = (ring: IoUring.Ring, path: string) =>
  Effect.gen(function* () {
    const [slot] = yield* IoUring.registerFiles(ring, [null])
    const buffer = new Uint8Array(mostRead)
    const [opened, read] = yield* IoUring.chainEach(
      ring,
      [
        IoUring.openFixed(slot, path),
        IoUring.withTimeout(IoUring.read(slot, buffer, { offset: 0 }), "1 second"),
        IoUring.close(slot)
      ],
      { hard: true }
    )
    yield* Effect.fromResult(opened)
    return buffer.subarray(0, yield* Effect.fromResult(read))
  }).pipe(Effect.scoped)

const main = Effect.gen(function* () {
  const ring = yield* IoUring.make({ entries: 64 })
  const heads = yield* Effect.forEach(paths, (path) => Effect.result(head(ring, path)), { concurrency: 16 })
  heads.forEach((outcome, index) => {
    if (Result.isFailure(outcome)) {
      console.error(`${paths[index]}: ${outcome.failure.message}`)
      process.exitCode = 1
      return
    }
    const newlines = outcome.success.reduce((count, byte) => count + (byte === 10 ? 1 : 0), 0)
    console.log(`${paths[index]}: ${newlines} lines in the first ${outcome.success.length} bytes`)
  })
}).pipe(
  Effect.scoped,
  Effect.catchTag("EPERM", () =>
    Effect.sync(() => {
      console.error("io_uring is forbidden here, as in many containers")
      process.exitCode = 2
    })
  )
)

NodeRuntime.runMain(main)
