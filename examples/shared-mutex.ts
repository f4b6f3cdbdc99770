/**
 * A lock between processes, and what it says when one of them dies with it.
 *
 *     node .build/programs/examples/shared-mutex.js
 *
 * The memory is a file without a name, which each process has mapped: first the lock, then two counters that it keeps
 * equal. Three processes count; then a fourth is killed in the middle.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { File, Mutex, Syscall } from "effect-linux"

const size = 4096
const times = 1000
const memoryFd = 3

/** The lock and the counters, as they lie in the memory of a file. */
const open = (file: File.File) =>
  Effect.gen(function* () {
    const mapping = yield* File.mmap(file, { length: size, shared: true })
    const mutex = yield* Mutex.at(mapping)
    return { mutex, counters: new Int32Array(mapping.buffer, Mutex.size, 2) }
  })

const add = (counters: Int32Array, index: number) => {
  counters[index] = (counters[index] ?? 0) + 1
}

const count = Effect.gen(function* () {
  const { counters, mutex } = yield* open(yield* File.borrow(memoryFd))
  for (let i = 0; i < times; i++) {
    yield* Mutex.withLock(
      mutex,
      Effect.sync(() => {
        add(counters, 0)
        add(counters, 1)
      })
    )
  }
}).pipe(Effect.scoped)

const die = Effect.gen(function* () {
  const { counters, mutex } = yield* open(yield* File.borrow(memoryFd))
  yield* Mutex.lock(mutex)
  add(counters, 0)
  process.kill(process.pid, "SIGKILL")
}).pipe(Effect.scoped)

const child = (role: string, fd: number) =>
  Effect.callback<string>((resume) => {
    const self: ChildProcess = spawn(process.execPath, [fileURLToPath(import.meta.url), role], {
      stdio: ["ignore", "inherit", "inherit", fd]
    })
    self.once("exit", (code, signal) => resume(Effect.succeed(signal ?? `exit code ${code}`)))
    return Effect.sync(() => self.kill("SIGKILL"))
  })

const main = Effect.gen(function* () {
  const fd = yield* Syscall.memfd_create("shared-mutex", Syscall.MFD_CLOEXEC)
  const file = yield* File.fromFd(fd)
  yield* File.truncate(file, size)
  const { counters, mutex } = yield* open(file)

  yield* Effect.all([child("count", fd), child("count", fd), child("count", fd)], { concurrency: "unbounded" })
  console.log(`three processes counted to ${counters.join(" and ")}`)

  console.log(`a fourth ended by ${yield* child("die", fd)}`)
  const show = Effect.sync(() => console.log(`the counters are ${counters.join(" and ")}`))
  yield* Mutex.withLock(mutex, show).pipe(
    Effect.catchTag("OwnerDied", (error) => Effect.sync(() => console.log(`OwnerDied: ${error.message}`)))
  )
  const repair = Effect.sync(() => {
    counters[1] = counters[0] ?? 0
  })
  yield* Mutex.withLock(mutex, show, { repair })
}).pipe(Effect.scoped)

const [role] = process.argv.slice(2)
await (role === "count" ? Effect.runPromise(count) : role === "die" ? Effect.runPromise(die) : Effect.runPromise(main))
