/**
 * A program of its own, which `waiters.ts` starts for each measure, as memory that was once taken is not given back: reads
 * that wait on pipes into which nobody writes. `node waiting.js effect|node COUNT [watch]` prints what each costs.
 */
import { Socket } from "node:net"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Effect, Fiber } from "effect"
import { File, Syscall } from "effect-linux"
import { longestStall } from "./support.ts"

export interface Waiting {
  readonly waiters: number
  readonly pipes: number
  /** For each waiter. */
  readonly bytes: number
  readonly setUpNanos: number
  readonly endNanos: number
  /** In milliseconds, of all of them; undefined unless it was watched. */
  readonly stall: number | undefined
}

const RLIMIT_NOFILE = 7

setFlagsFromString("--expose-gc")
const gc: () => void = runInNewContext("gc")

const resident = (): number => {
  gc()
  return process.memoryUsage.rss()
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

type Pipe = readonly [read: number, write: number]

/** As many pipes as the limit allows, up to one for each waiter. */
const openPipes = (waiters: number): Effect.Effect<ReadonlyArray<Pipe>> =>
  Effect.gen(function* () {
    const wanted = BigInt(2 * waiters + 128)
    const { rlim_cur, rlim_max } = yield* Syscall.prlimit64(0, RLIMIT_NOFILE)
    // The hard limit is raised too where this user may.
    const limits = [
      { rlim_cur: wanted, rlim_max: wanted > rlim_max ? wanted : rlim_max },
      { rlim_cur: rlim_max, rlim_max }
    ]
    let raised = rlim_cur
    for (const limit of limits) {
      if (raised >= wanted) break
      if (yield* Effect.isSuccess(Syscall.prlimit64(0, RLIMIT_NOFILE, limit))) raised = limit.rlim_cur
    }
    const pipes: Array<Pipe> = []
    const count = Math.min(waiters, Math.floor((Number(raised) - 128) / 2))
    for (let i = 0; i < count; i++) pipes.push(yield* Syscall.pipe2(Syscall.O_CLOEXEC))
    return pipes
  }).pipe(Effect.orDie)

const since = (from: bigint): number => Number(process.hrtime.bigint() - from)

/** Fibers that read; they wait, once the last of them hears what is written into its pipe. */
const byEffect = (pipes: ReadonlyArray<Pipe>, waiters: number): Promise<Omit<Waiting, "pipes" | "stall">> =>
  Effect.gen(function* () {
    const before = resident()
    const from = process.hrtime.bigint()
    const files: Array<File.File> = []
    for (const [fd] of pipes) files.push(yield* File.fromFd(fd))
    const fibers: Array<Fiber.Fiber<number, unknown>> = []
    for (let i = 0; i < waiters; i++) {
      const file = files[i % files.length]
      if (file !== undefined) fibers.push(yield* Effect.forkChild(File.read(file, new Uint8Array(16))))
    }
    // One pipe may have many readers, of whom any may be the one that hears.
    const last = pipes[(waiters - 1) % pipes.length]
    const readers = fibers.filter((_, i) => i % pipes.length === (waiters - 1) % pipes.length)
    yield* Effect.promise(turn)
    if (last !== undefined) yield* Syscall.write(last[1], new Uint8Array(1))
    yield* Effect.raceAll(readers.map(Fiber.join))
    const setUp = since(from)
    const after = resident()
    const ending = process.hrtime.bigint()
    yield* Fiber.interruptAll(fibers)
    const end = since(ending)
    return { waiters, bytes: (after - before) / waiters, setUpNanos: setUp / waiters, endNanos: end / waiters }
  }).pipe(Effect.scoped, Effect.runPromise)

/** The same by node:net, whose sockets are what there is for pipes. */
const byNode = async (pipes: ReadonlyArray<Pipe>): Promise<Omit<Waiting, "pipes" | "stall">> => {
  const waiters = pipes.length
  const before = resident()
  const from = process.hrtime.bigint()
  const sockets = pipes.map(([fd]) => new Socket({ fd, readable: true, writable: false }))
  const heard = new Promise((resolve) => {
    for (const socket of sockets) socket.on("data", resolve)
  })
  await turn()
  const last = pipes.at(-1)
  if (last !== undefined) await Effect.runPromise(Syscall.write(last[1], new Uint8Array(1)))
  await heard
  const setUp = since(from)
  const after = resident()
  const ending = process.hrtime.bigint()
  const closed = sockets.map((socket) => new Promise((resolve) => socket.on("close", resolve)))
  for (const socket of sockets) socket.destroy()
  await Promise.all(closed)
  const end = since(ending)
  return { waiters, bytes: (after - before) / waiters, setUpNanos: setUp / waiters, endNanos: end / waiters }
}

const main = async ([by = "effect", count = "100", watch]: ReadonlyArray<string>): Promise<Waiting> => {
  const waiters = Number(count)
  const pipes = await Effect.runPromise(openPipes(waiters))
  let found: Omit<Waiting, "pipes" | "stall"> | undefined
  const work = async (): Promise<void> => {
    found = by === "effect" ? await byEffect(pipes, waiters) : await byNode(pipes)
  }
  let stall: number | undefined
  if (watch === "watch") stall = await longestStall(work)
  else await work()
  if (found === undefined) throw new Error("nothing was measured")
  return { ...found, pipes: pipes.length, stall }
}

console.log(JSON.stringify(await main(process.argv.slice(2))))
