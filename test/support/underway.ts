/** Which calls wait, whatever the engine: asleep on a thread, in a ring, or for a descriptor to be ready. */
import { readdirSync, readFileSync } from "node:fs"
import { Syscall } from "../../src/index.ts"
import { engine } from "../../src/internal/engine/default.ts"
import { waitingForReady } from "../../src/internal/engine/elsewhere.ts"

/** An argument as the kernel has it: of memory its address. */
const wordOf = (argument: Syscall.Argument | undefined): bigint | undefined => {
  if (typeof argument === "number") return BigInt(argument)
  return ArrayBuffer.isView(argument) ? Syscall.addressOf(argument) : undefined
}

/**
 * How many calls with this number wait, and where said with this first argument: as the kernel sees it, where they are
 * on a thread.
 */
export const asleepIn = (nr: number, first?: number | bigint): number => {
  const onThreads = readdirSync("/proc/self/task").filter((task) => {
    // This very thread is in a read, of the file that tells.
    if (Number(task) === process.pid) return false
    try {
      const [number, word] = readFileSync(`/proc/self/task/${task}/syscall`, "utf8").split(" ")
      return Number(number) === nr && (first === undefined || BigInt(word ?? -1) === BigInt(first))
    } catch {
      return false // it ended meanwhile
    }
  })
  const elsewhere = [...engine.underWay(), ...waitingForReady()].filter(
    (call) => call.nr === nr && (first === undefined || wordOf(call.args[0]) === BigInt(first))
  )
  return onThreads.length + elsewhere.length
}
