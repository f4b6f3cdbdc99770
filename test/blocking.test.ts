/** Calls that wait: off the event loop, interruptible at any moment, and careful with the memory they are lent. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { Errno, Syscall } from "../src/index.ts"
import { asleepIn, directory, eventfd, held, memfd, pipe } from "./support/fds.ts"
import { eventually, openFds, poolThreads, threads } from "./support/process.ts"

const { nr } = Syscall
const { call } = Syscall.kernel

/** Starts a call and comes back when the kernel has put its thread to sleep. */
const forkAsleep = <A, E, R>(self: Effect.Effect<A, E, R>, number: number, first?: number | bigint) =>
  Effect.gen(function* () {
    const before = asleepIn(number, first)
    const fiber = yield* Effect.forkChild(self)
    assert.isTrue(yield* eventually(() => asleepIn(number, first) > before), "the call is asleep in the kernel")
    return fiber
  })

const readOf = (fd: number, buffer: Uint8Array = new Uint8Array(8)) =>
  Syscall.callBlocking(nr.read, fd, buffer, buffer.byteLength)

/** How long interrupting takes, in milliseconds. */
const timedInterrupt = (fiber: Fiber.Fiber<unknown, unknown>) =>
  Effect.gen(function* () {
    const start = performance.now()
    yield* Fiber.interrupt(fiber)
    return performance.now() - start
  })

/** That there are as many threads again as before, and that the pool ends those that have nothing to do. */
const threadsAreBack = (before: number) =>
  Effect.gen(function* () {
    yield* eventually(() => Effect.runSync(threads) === before && Effect.runSync(poolThreads) === 0)
    assert.strictEqual(yield* threads, before)
    assert.strictEqual(yield* poolThreads, 0)
  })

const isInterrupted = (fiber: Fiber.Fiber<unknown, unknown>) => Effect.map(Fiber.await(fiber), Exit.hasInterrupts)

describe("callBlocking", () => {
  it.live("gives what the kernel returned", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Syscall.callBlocking(nr.getppid), process.ppid)
      const [reader, writer] = yield* pipe
      assert.strictEqual(yield* Syscall.callBlocking(nr.write, writer, Uint8Array.of(1, 2, 3), 3), 3)
      const bytes = new Uint8Array(3)
      assert.strictEqual(yield* Syscall.callBlocking(nr.read, reader, bytes, 3), 3)
      assert.deepStrictEqual([...bytes], [1, 2, 3])
    })
  )

  it.live("fails with the errno's class", () =>
    Effect.gen(function* () {
      const closed = yield* Effect.flip(Syscall.callBlocking(nr.close, -1))
      assert.instanceOf(closed, Errno.EBADF)
      assert.strictEqual(closed.syscall, "close")
      assert.instanceOf(yield* Effect.flip(Syscall.callBlocking(100_000)), Errno.ENOSYS)
      const large = yield* Effect.flip(Syscall.callBlocking(nr.close, 2n ** 64n))
      assert.instanceOf(large, Errno.EINVAL)
      // @ts-expect-error a string is no argument
      assert.isTrue(Exit.hasDies(yield* Effect.exit(Syscall.callBlocking(nr.close, "1"))))
    })
  )

  it.live("runs on another thread, and leaves none behind", () =>
    Effect.gen(function* () {
      const before = yield* threads
      const here = yield* Syscall.gettid
      for (let round = 0; round < 10; round++) {
        assert.notStrictEqual(yield* Syscall.callBlocking(nr.gettid), here)
        assert.strictEqual(yield* threads, before)
      }
      yield* threadsAreBack(before)
    })
  )

  it.live("leaves the event loop free while it waits", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* pipe
      const fiber = yield* forkAsleep(readOf(reader), nr.read, reader)
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 1)))
      assert.isUndefined(fiber.pollUnsafe())
      yield* Syscall.write(writer, Uint8Array.of(1))
      assert.strictEqual(yield* Fiber.join(fiber), 1)
    })
  )

  it.live("lets many wait at once, each with its own answer", () =>
    Effect.gen(function* () {
      const before = yield* threads
      const counters = yield* Effect.all(Array.from({ length: 100 }, () => eventfd(0)))
      const fiber = yield* Effect.forkChild(
        Effect.forEach(
          counters,
          (fd) => {
            const value = new BigUint64Array(1)
            return Effect.map(Syscall.callBlocking(nr.read, fd, value, 8), () => value[0])
          },
          { concurrency: "unbounded" }
        )
      )
      assert.isTrue(yield* eventually(() => asleepIn(nr.read) >= 100))
      for (const [index, fd] of [...counters.entries()].reverse()) {
        yield* Syscall.write(fd, BigUint64Array.of(BigInt(index + 1)))
      }
      assert.deepStrictEqual(
        yield* Fiber.join(fiber),
        counters.map((_, index) => BigInt(index + 1))
      )
      yield* threadsAreBack(before)
    })
  )

  it.live("lets hundreds wait at once, and finds a thread for the call that ends their wait", () =>
    Effect.gen(function* () {
      const before = yield* threads
      const fd = yield* eventfd(0, Syscall.EFD_SEMAPHORE)
      const fibers = yield* Effect.forEach(Array.from({ length: 600 }), () => Effect.forkChild(readOf(fd)))
      const last = yield* Effect.forkChild(readOf(fd))
      assert.isTrue(yield* eventually(() => asleepIn(nr.read, fd) >= 500))
      assert.isBelow(yield* timedInterrupt(last), 1000)
      assert.isTrue(yield* isInterrupted(last))
      yield* Syscall.callBlocking(nr.write, fd, BigUint64Array.of(600n), 8)
      assert.deepStrictEqual(new Set(yield* Effect.forEach(fibers, Fiber.join)), new Set([8]))
      yield* threadsAreBack(before)
    })
  )
})

describe("interruption", () => {
  it.live("ends a read on an empty pipe at once, and the pipe loses nothing", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* pipe
      for (const read of [readOf(reader), Syscall.read(reader, new Uint8Array(8))]) {
        const fiber = yield* forkAsleep(read, nr.read, reader)
        assert.isBelow(yield* timedInterrupt(fiber), 1000)
        assert.isTrue(yield* isInterrupted(fiber))
        assert.strictEqual(asleepIn(nr.read, reader), 0)

        yield* Syscall.write(writer, Uint8Array.of(1, 2, 3, 4, 5))
        const bytes = new Uint8Array(8)
        assert.strictEqual(yield* Syscall.read(reader, bytes), 5)
        assert.deepStrictEqual([...bytes], [1, 2, 3, 4, 5, 0, 0, 0])
      }
    })
  )

  it.live("ends a sleep, a lock and an open that wait", () =>
    Effect.gen(function* () {
      const sleeping = yield* forkAsleep(Syscall.nanosleep("1 hour"), nr.nanosleep)
      assert.isBelow(yield* timedInterrupt(sleeping), 1000)

      const path = `${yield* directory}/fifo`
      const name = new TextEncoder().encode(`${path}\0`)
      yield* Syscall.call(nr.mknodat, Syscall.AT_FDCWD, name, Syscall.S_IFIFO | 0o600, 0)
      const opening = yield* forkAsleep(Syscall.openat(Syscall.AT_FDCWD, path, Syscall.O_RDONLY), nr.openat)
      assert.isBelow(yield* timedInterrupt(opening), 1000)

      const [first, second] = yield* Effect.all(
        [0, 0].map(() => Syscall.openat(Syscall.AT_FDCWD, path, Syscall.O_RDWR))
      )
      const exclusive = 2 // LOCK_EX
      yield* Syscall.call(nr.flock, first ?? -1, exclusive)
      const locking = yield* forkAsleep(Syscall.callBlocking(nr.flock, second ?? -1, exclusive), nr.flock, second)
      assert.isBelow(yield* timedInterrupt(locking), 1000)
      yield* Syscall.close(first ?? -1)
      yield* Syscall.close(second ?? -1)
    })
  )

  it.live("of one leaves the others waiting", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* pipe
      const first = yield* forkAsleep(readOf(reader), nr.read, reader)
      const second = yield* forkAsleep(readOf(reader), nr.read, reader)
      yield* Fiber.interrupt(first)
      assert.isUndefined(second.pollUnsafe())
      yield* Syscall.write(writer, Uint8Array.of(1))
      assert.strictEqual(yield* Fiber.join(second), 1)
    })
  )

  it.live("at any moment leaves no thread and no descriptor, and every byte is read by somebody", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* pipe
      const path = `${yield* directory}/fifo`
      const name = new TextEncoder().encode(`${path}\0`)
      yield* Syscall.call(nr.mknodat, Syscall.AT_FDCWD, name, Syscall.S_IFIFO | 0o600, 0)
      const before = { fds: yield* openFds, threads: yield* threads }
      const calls = [
        () => readOf(reader),
        () => Syscall.read(reader, new Uint8Array(8)),
        () => Syscall.nanosleep("1 hour"),
        // The opening at one end completes the one at the other: descriptors come into being as they are given up.
        () => Syscall.openat(Syscall.AT_FDCWD, path, Syscall.O_RDONLY),
        () => Syscall.openat(Syscall.AT_FDCWD, path, Syscall.O_WRONLY)
      ]
      const opened: Array<number> = []
      for (let round = 0; round < 400; round++) {
        const fibers = yield* Effect.forEach(
          [calls[round % calls.length], calls[Math.floor(Math.random() * calls.length)]],
          (make) => Effect.forkChild(make?.() ?? Effect.void)
        )
        // Somewhere between not begun and long asleep: spinning, as a timer is too coarse to strike in between.
        const until = performance.now() + Math.random() * 0.3
        if (round % 2 === 0) yield* Effect.yieldNow
        while (performance.now() < until);
        if (round % 3 === 0) yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        yield* Fiber.interruptAll(fibers)
        for (const fiber of fibers) {
          const exit = yield* Fiber.await(fiber)
          // A call that was over before: what it opened is ours to close.
          if (Exit.isSuccess(exit) && typeof exit.value === "number") opened.push(exit.value)
        }
        for (const fd of opened.splice(0)) yield* Syscall.close(fd)
      }
      assert.strictEqual(yield* openFds, before.fds)
      yield* threadsAreBack(before.threads)
      yield* Syscall.write(writer, Uint8Array.of(1, 2, 3))
      assert.strictEqual(yield* Syscall.read(reader, new Uint8Array(8)), 3)
    })
  )
})

describe("memory lent to a waiting call", () => {
  it.live("is written where the kernel wrote, and only there", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* pipe
      for (const read of [
        (view: DataView) => Syscall.callBlocking(nr.read, reader, view, view.byteLength),
        (view: DataView) => Syscall.read(reader, view)
      ]) {
        const bytes = new Uint8Array(24).fill(0xee)
        const fiber = yield* forkAsleep(read(new DataView(bytes.buffer, 4, 16)), nr.read, reader)
        bytes[0] = 1
        bytes[15] = 2 // inside the view, past what will be read
        bytes[23] = 3
        yield* Syscall.write(writer, Uint8Array.of(9, 8, 0xee))
        assert.strictEqual(yield* Fiber.join(fiber), 3)
        const expected = new Uint8Array(24).fill(0xee)
        expected.set([1], 0)
        expected.set([9, 8, 0xee], 4)
        expected.set([2], 15)
        expected.set([3], 23)
        assert.deepStrictEqual(bytes, expected)
      }
    })
  )

  it.live("may be a list of views, which are filled in order", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* pipe
      const bytes = new Uint8Array(8)
      const shared = new SharedArrayBuffer(2)
      const list = [bytes.subarray(4, 7), shared, bytes.subarray(0, 3)]
      for (const read of [Syscall.callBlocking(nr.readv, reader, list, 3), Syscall.readv(reader, list)]) {
        bytes.fill(0)
        const fiber = yield* forkAsleep(read, nr.readv, reader)
        yield* Syscall.write(writer, Uint8Array.of(1, 2, 3, 4, 5, 6))
        assert.strictEqual(yield* Fiber.join(fiber), 6)
        assert.deepStrictEqual([...bytes], [6, 0, 0, 0, 1, 2, 3, 0])
        assert.deepStrictEqual([...new Uint8Array(shared)], [4, 5])
      }
    })
  )

  it.live("is what it was when the call was made, for a call that reads it", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* pipe
      const size = yield* Syscall.fcntl(writer, Syscall.F_GETPIPE_SZ)
      yield* Syscall.write(writer, new Uint8Array(size))
      const bytes = Uint8Array.of(1, 2, 3, 4)
      const fiber = yield* forkAsleep(Syscall.write(writer, bytes), nr.write, writer)
      bytes.fill(9)
      const all = new Uint8Array(size)
      assert.strictEqual(yield* Syscall.read(reader, all), size)
      assert.strictEqual(yield* Fiber.join(fiber), 4)
      assert.strictEqual(yield* Syscall.read(reader, all), 4)
      assert.deepStrictEqual([...all.subarray(0, 4)], [1, 2, 3, 4])
    })
  )

  it.live("is never written once it was given away", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* pipe
      const reads = [
        [nr.read, (bytes: Uint8Array) => readOf(reader, bytes), "lost"],
        [nr.read, (bytes: Uint8Array) => Syscall.read(reader, bytes), "kept"],
        [nr.readv, (bytes: Uint8Array) => Syscall.readv(reader, [bytes.subarray(0, 2), bytes.subarray(2)]), "kept"]
      ] as const
      for (const [number, read, what] of reads) {
        const bytes = new Uint8Array(8)
        const fiber = yield* forkAsleep(read(bytes), number, reader)
        const moved = structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
        yield* Syscall.write(writer, Uint8Array.of(1, 2, 3))
        if (what === "lost") {
          assert.strictEqual(yield* Fiber.join(fiber), 3)
        } else {
          // It waits for the pipe to have something, and lends nothing meanwhile: nor does it take what it cannot give.
          assert.instanceOf(yield* Effect.flip(Fiber.join(fiber)), Errno.EFAULT)
          assert.strictEqual(yield* Syscall.read(reader, new Uint8Array(8)), 3)
        }
        assert.strictEqual(bytes.byteLength, 0)
        assert.deepStrictEqual([...new Uint8Array(moved)], [0, 0, 0, 0, 0, 0, 0, 0])
      }
    })
  )

  it.live("comes back with what a failed call wrote", () =>
    Effect.gen(function* () {
      // A sleep that is given up tells how long it had still to go.
      const remaining = new BigInt64Array(2)
      const scope = yield* Scope.make()
      const thread = yield* Scope.provide(Syscall.makeThread, scope)
      const sleep = Syscall.callOn(thread, nr.nanosleep, BigInt64Array.of(3600n, 0n), remaining)
      const fiber = yield* forkAsleep(Effect.flip(sleep), nr.nanosleep)
      yield* Scope.close(scope, Exit.void)
      assert.instanceOf(yield* Fiber.join(fiber), Errno.EINTR)
      assert.strictEqual(remaining[0], 3599n)
    })
  )

  it.live("is passed itself where it is shared: a futex wakes a thread that waits", () =>
    Effect.gen(function* () {
      const wait = 0 // FUTEX_WAIT
      const wake = 1 // FUTEX_WAKE
      const word = new Int32Array(new SharedArrayBuffer(8), 4)
      const waiting = Syscall.callBlocking(nr.futex, word, wait, 0, null)
      const fiber = yield* forkAsleep(waiting, nr.futex, Syscall.addressOf(word))
      Atomics.store(word, 0, 1)
      assert.isTrue(yield* eventually(() => call(nr.futex, word, wake, 1) === 1))
      assert.strictEqual(yield* Fiber.join(fiber), 0)
      // The kernel sees the value that was stored, and does not wait.
      assert.instanceOf(yield* Effect.flip(waiting), Errno.EAGAIN)
    })
  )
})

describe("inline first", () => {
  it.live("answers at once what is at hand, and waits for what is not, with the same result", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* pipe
      const fd = yield* memfd
      const bytes = new Uint8Array(4)
      yield* Syscall.pwrite64(fd, Uint8Array.of(1, 2, 3, 4), 0)
      yield* Syscall.write(writer, Uint8Array.of(5, 6))
      const before = yield* threads
      // runSync refuses an effect that waits.
      assert.strictEqual(Effect.runSync(Syscall.pread64(fd, bytes, 0)), 4)
      assert.strictEqual(Effect.runSync(Syscall.read(reader, bytes)), 2)
      assert.deepStrictEqual([...bytes], [5, 6, 3, 4])
      assert.strictEqual(yield* threads, before)

      const fiber = yield* forkAsleep(Syscall.read(reader, bytes), nr.read, reader)
      yield* Syscall.write(writer, Uint8Array.of(7))
      assert.strictEqual(yield* Fiber.join(fiber), 1)
      assert.deepStrictEqual([...bytes], [7, 6, 3, 4])
    })
  )

  it.live("gives all of a file whose pages are partly at hand", () =>
    Effect.gen(function* () {
      // Where the file lies on a disk only its head is in the page cache, so that a first attempt comes back short and
      // another thread goes on from there.
      const size = 20 << 20
      const content = new Uint8Array(size).map((_, index) => (index >> 8) + index + 1)
      const path = `${yield* directory}/file`
      const fd = yield* held(Syscall.openat(Syscall.AT_FDCWD, path, Syscall.O_RDWR | Syscall.O_CREAT, 0o600))
      for (let at = 0; at < size; ) at += yield* Syscall.pwrite64(fd, content.subarray(at), at)
      yield* Syscall.fsync(fd)
      const random = 1 // POSIX_FADV_RANDOM: nothing is read ahead
      const dontNeed = 4 // POSIX_FADV_DONTNEED
      yield* Syscall.call(nr.fadvise64, fd, 0, 0, random)
      const onlyTheHead = (length: number) =>
        Effect.gen(function* () {
          yield* Syscall.call(nr.fadvise64, fd, 0, 0, dontNeed)
          yield* Syscall.call(nr.pread64, fd, new Uint8Array(length), length, 0)
        })
      const isContent = (bytes: Uint8Array) => Buffer.compare(bytes, content) === 0

      for (const length of [4096, 3 << 20, 18 << 20]) {
        yield* onlyTheHead(length)
        const positioned = new Uint8Array(size)
        for (let done = 0; done < size; ) done += yield* Syscall.pread64(fd, positioned.subarray(done), done)
        assert.isTrue(isContent(positioned), `pread64, ${length} at hand`)

        yield* onlyTheHead(length)
        yield* Syscall.lseek(fd, 0, Syscall.SEEK_SET)
        const sequential = new Uint8Array(size)
        for (let done = 0; done < size; ) done += yield* Syscall.read(fd, sequential.subarray(done))
        assert.isTrue(isContent(sequential), `read, ${length} at hand`)

        yield* onlyTheHead(length)
        yield* Syscall.lseek(fd, 0, Syscall.SEEK_SET)
        const [first, second] = [new Uint8Array(5000), new Uint8Array(size - 5000)]
        for (let done = 0; done < size; ) {
          done += yield* Syscall.readv(fd, [first.subarray(done), second.subarray(Math.max(done - 5000, 0))])
        }
        assert.isTrue(isContent(Buffer.concat([first, second])), `readv, ${length} at hand`)
      }
    })
  )

  it.live("tells of EAGAIN only where the descriptor is non-blocking", () =>
    Effect.gen(function* () {
      const [reader, writer] = yield* Syscall.pipe2(Syscall.O_NONBLOCK)
      assert.instanceOf(yield* Effect.flip(Syscall.read(reader, new Uint8Array(1))), Errno.EAGAIN)
      yield* Syscall.close(reader)
      yield* Syscall.close(writer)
    })
  )
})

describe("makeThread and callOn", () => {
  it.live("make all calls of one thread on that one, in order", () =>
    Effect.gen(function* () {
      const before = yield* threads
      yield* Effect.gen(function* () {
        const [one, two] = yield* Effect.all([Syscall.makeThread, Syscall.makeThread])
        const tids = yield* Effect.all(
          [one, one, two, two].map((thread) => Syscall.callOn(thread, nr.gettid)),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(tids[0], tids[1])
        assert.strictEqual(tids[2], tids[3])
        assert.strictEqual(new Set([...tids, yield* Syscall.gettid]).size, 3)
        assert.strictEqual(yield* threads, before + 2)
      }).pipe(Effect.scoped)
      assert.strictEqual(yield* threads, before)
    })
  )

  it.live("block no signal but the library's own", () =>
    Effect.gen(function* () {
      const thread = yield* Syscall.makeThread
      const mask = new BigUint64Array(1)
      yield* Syscall.callOn(thread, nr.rt_sigprocmask, 0, null, mask, 8)
      const signal = yield* Syscall.interruptSignal
      // SIGKILL and SIGSTOP cannot be blocked; libc keeps the first real-time signals, 32 and 33, for itself.
      const blockable = (1n << 64n) - 1n - [9, 19, 32, 33, signal].reduce((bits, n) => bits | (1n << BigInt(n - 1)), 0n)
      assert.strictEqual((mask[0] ?? 0n) & blockable, blockable)
      assert.strictEqual((mask[0] ?? 0n) & (1n << BigInt(signal - 1)), 0n)
    })
  )

  it.live("can be interrupted, and the thread goes on", () =>
    Effect.gen(function* () {
      const [reader] = yield* pipe
      const thread = yield* Syscall.makeThread
      const tid = yield* Syscall.callOn(thread, nr.gettid)
      const running = yield* forkAsleep(Syscall.callOn(thread, nr.read, reader, new Uint8Array(1), 1), nr.read, reader)
      const queued = yield* Effect.forkChild(Syscall.callOn(thread, nr.gettid))
      const behind = yield* Effect.forkChild(Syscall.callOn(thread, nr.gettid))
      yield* Effect.yieldNow
      assert.isBelow(yield* timedInterrupt(queued), 1000)
      assert.isUndefined(running.pollUnsafe())
      assert.isBelow(yield* timedInterrupt(running), 1000)
      assert.strictEqual(yield* Fiber.join(behind), tid)
    })
  )

  it.live("end with EINTR when the thread's scope is closed, those that wait for their turn too", () =>
    Effect.gen(function* () {
      const before = yield* threads
      const [reader, writer] = yield* pipe
      const scope = yield* Scope.make()
      const thread = yield* Scope.provide(Syscall.makeThread, scope)
      const read = Syscall.callOn(thread, nr.read, reader, new Uint8Array(1), 1)
      const first = yield* forkAsleep(Effect.flip(read), nr.read, reader)
      const second = yield* Effect.forkChild(Effect.flip(read))
      yield* Effect.yieldNow
      const start = performance.now()
      yield* Scope.close(scope, Exit.void)
      assert.isBelow(performance.now() - start, 1000)
      assert.instanceOf(yield* Fiber.join(first), Errno.EINTR)
      assert.instanceOf(yield* Fiber.join(second), Errno.EINTR)
      assert.strictEqual(yield* threads, before)

      assert.instanceOf(yield* Effect.flip(read), Errno.EINVAL, "the thread is closed")
      yield* Syscall.write(writer, Uint8Array.of(1))
      assert.strictEqual(yield* Syscall.read(reader, new Uint8Array(1)), 1)
    })
  )
})

describe("a storm of interruptions", () => {
  it.live("finds calls before, on and after their way into the kernel, and ends each", () =>
    Effect.gen(function* () {
      const [read, write] = yield* Syscall.pipe2(Syscall.O_CLOEXEC)
      const buffer = new Uint8Array(1)
      // A thread that has just begun is where a handler could meet an allocation of its own thread.
      for (let round = 0; round < 4000; round++) {
        const fibers = yield* Effect.all(
          Array.from({ length: 4 }, () =>
            Effect.forkChild(Syscall.callBlocking(Syscall.nr.read, read, buffer, 1), { startImmediately: true })
          )
        )
        const until = performance.now() + (round % 15) / 100
        while (performance.now() < until);
        yield* Fiber.interruptAll(fibers)
      }
      yield* Syscall.close(read)
      yield* Syscall.close(write)
    })
  )
})
