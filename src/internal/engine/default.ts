/**
 * The engine of this thread: io_uring where the kernel allows it, threads where it does not, or where
 * `EFFECT_LINUX_ENGINE=threads` says so. Each worker loads this module for itself, and so has its own.
 */
import type { Engine } from "./engine.ts"
import { Ring } from "./ring.ts"
import { RingEngine } from "./rings.ts"
import { prepare, threads } from "./threads.ts"

// One turn of the loop seldom writes more, and then submits in between; completions beyond theirs wait in the kernel.
const submissions = 256
const completions = 2048

// The ring's own threads: how many calls on files may be stuck in a disk or server at once before others wait, and how
// many on all else, each of which may wait for ever.
const fileWorkers = 64
const otherWorkers = 4096

const choose = (): Engine => {
  const wish = process.env["EFFECT_LINUX_ENGINE"]
  switch (wish) {
    case "threads":
      prepare()
      return threads
    case undefined:
    case "":
    case "io_uring": {
      const ring = Ring.open(submissions, completions)
      if (typeof ring === "number") {
        prepare()
        return threads
      }
      ring.limitWorkers(fileWorkers, otherWorkers)
      return new RingEngine(ring)
    }
    default:
      throw new Error(`EFFECT_LINUX_ENGINE: expected "io_uring" or "threads", got "${wish}"`)
  }
}

export const engine: Engine = choose()
