/**
 * Layer 2: timeout(1). A command is given some time; a process and a timer are waited for together.
 *
 *     node .build/programs/examples/timeout.js SECONDS COMMAND ARGUMENT...
 */
import { spawn } from "node:child_process"
import { NodeRuntime } from "@effect/platform-node"
import { Duration, Effect } from "effect"
import { PidFd, Poll, TimerFd } from "effect-linux"

const [seconds = "1", command = "true", ...args] = process.argv.slice(2)

/** As timeout(1) has it. */
const tooLate = 124

const main = Effect.gen(function* () {
  const timer = yield* TimerFd.make()
  const child = yield* PidFd.ofChild(spawn(command, args, { stdio: "inherit" }))
  yield* TimerFd.set(timer, { after: Duration.seconds(Number(seconds)) })
  const ready = yield* Poll.poll([
    { file: child, events: ["in"] },
    { file: timer, events: ["in"] }
  ])
  if (!ready.some(({ file }) => file === child)) {
    yield* PidFd.sendSignal(child, "SIGTERM")
    process.exitCode = tooLate
  }
  const status = yield* PidFd.exit(child)
  if (process.exitCode !== tooLate) {
    process.exitCode = status._tag === "Exited" ? status.code : 128 + status.signal
  }
}).pipe(Effect.scoped)

NodeRuntime.runMain(main)
