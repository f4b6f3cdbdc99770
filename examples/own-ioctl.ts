/**
 * Layer 2: a request of one's own. A driver that this library does not know is a device, a layout and a number; from then
 * on `File.ioctl` takes its requests, and only of that device.
 *
 * The driver here is one that every machine has: random(4), asked how much chance the kernel has collected.
 *
 *     node .build/programs/examples/own-ioctl.js
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import { File, Ioctl, Struct } from "effect-linux"

// What linux/random.h says in C:  #define RNDGETENTCNT _IOR('R', 0x00, int)
const Random = Ioctl.device("MyRandom")
const GET_ENTROPY = Ioctl.read(Random, Ioctl._IOR("R", 0x00, Struct.i32), Struct.i32, { name: "GET_ENTROPY" })

const main = Effect.gen(function* () {
  const random = File.asDevice(yield* File.open("/dev/random"), Random)
  const bits = yield* File.ioctl(random, GET_ENTROPY)
  console.log(`/dev/random has ${bits} bits of entropy`)

  // Another device's request does not compile: File.ioctl(random, Ioctl.Terminal.TIOCGWINSZ).
  // A file that is no such device answers ENOTTY, and the error names the request.
  const file = File.asDevice(yield* File.open("/dev/null"), Random)
  const answer = yield* File.ioctl(file, GET_ENTROPY).pipe(
    Effect.catchTag("ENOTTY", (error) => Effect.succeed(error.message))
  )
  console.log(answer)
}).pipe(Effect.scoped)

NodeRuntime.runMain(main)
