/**
 * Layer 1 in its smallest form: a system call is an effect, and its errors have names.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import { Syscall } from "effect-linux"

const main = Effect.gen(function* () {
  // A call without arguments is a value. This one cannot fail, and its type says so.
  console.log(`process ${yield* Syscall.getpid}`)

  // The same by its number, as any call can be made.
  console.log(`process ${yield* Syscall.call(Syscall.nr.getpid)}, child of ${yield* Syscall.call(Syscall.nr.getppid)}`)

  // An errno is caught by its name; the rest of the union is still there.
  const answer = yield* Syscall.kill(1, 0).pipe(
    Effect.as("process 1 takes signals of ours"),
    Effect.catchTag("EPERM", () => Effect.succeed("process 1 takes no signals of ours"))
  )
  console.log(answer)
})

NodeRuntime.runMain(main)
