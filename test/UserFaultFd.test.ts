/** Page faults, served: by copies, zeros and as they are, of reads and writes, on other threads than JavaScript's. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Stream } from "effect"
import * as Abi from "../src/Abi.ts"
import { Errno, File, Ioctl, Mapping, MemFd, Pipe, Syscall, UserFaultFd } from "../src/index.ts"
import { architectures, evaluateC, isNative, missing } from "./support/c.ts"
import { turn, yieldingAt } from "./support/files.ts"
import { openFds } from "./support/process.ts"

const permitted = await Effect.runPromise(
  Effect.exit(Effect.scoped(UserFaultFd.make())).pipe(Effect.map(Exit.isSuccess))
)
const title = permitted ? "UserFaultFd" : "UserFaultFd (skipped: it needs CAP_SYS_PTRACE, or is not in this kernel)"

const page = 4096

/** Writes memory into a pipe on another thread, which touches it there; gives what came out of the pipe. */
const touch = (address: bigint, length: number) =>
  Effect.gen(function* () {
    const { reader, writer } = yield* Pipe.make({ size: 1 << 20 })
    const fd = yield* File.fd(writer)
    const count = yield* Syscall.callBlocking(Syscall.nr.write, fd, address, length)
    const buffer = new Uint8Array(length)
    return buffer.subarray(0, count === 0 ? 0 : yield* File.read(reader, buffer))
  }).pipe(Effect.scoped)

/** Reads a file into memory on another thread, which writes it there. */
const store = (address: bigint, bytes: Uint8Array) =>
  Effect.gen(function* () {
    const { reader, writer } = yield* Pipe.make()
    yield* File.writeAll(writer, bytes)
    const fd = yield* File.fd(reader)
    return yield* Syscall.callBlocking(Syscall.nr.read, fd, address, bytes.length)
  }).pipe(Effect.scoped)

const next = (faults: UserFaultFd.UserFaultFd) =>
  Effect.flatMap(Stream.runHead(UserFaultFd.events(faults)), (event) =>
    event._tag === "Some" ? Effect.succeed(event.value) : Effect.die("no event")
  )

describe.skipIf(!permitted)(title, () => {
  it.live("serves a fault with a copy", () =>
    Effect.gen(function* () {
      const memory = yield* Mapping.anonymous({ length: 4 * page })
      const faults = yield* UserFaultFd.make()
      yield* UserFaultFd.register(faults, memory, ["missing"])
      const toucher = yield* Effect.forkChild(touch(memory.address + 4096n + 5n, 3))
      const event = yield* next(faults)
      assert.deepStrictEqual(event, {
        _tag: "PageFault",
        page: memory.address + 4096n,
        address: memory.address + 4096n,
        isWrite: false,
        isWriteProtected: false,
        isMinor: false,
        thread: 0
      })
      assert.isUndefined(toucher.pollUnsafe())
      const bytes = new Uint8Array(page).map((_, index) => index)
      assert.strictEqual(yield* UserFaultFd.copy(faults, memory.address + 4096n, bytes), page)
      assert.deepStrictEqual(yield* Fiber.join(toucher), Uint8Array.of(5, 6, 7))
      assert.instanceOf(yield* Effect.flip(UserFaultFd.copy(faults, memory.address + 4096n, bytes)), Errno.EEXIST)
      // What is there now may be touched by anybody.
      assert.strictEqual(memory.bytes[page + 9], 9)
    })
  )

  it.live("serves all faults of a range with a stream", () =>
    Effect.gen(function* () {
      const memory = yield* Mapping.anonymous({ length: 16 * page })
      const faults = yield* UserFaultFd.make()
      yield* UserFaultFd.register(faults, memory, ["missing"])
      yield* Effect.forkScoped(
        Stream.runForEach(UserFaultFd.events(faults), (event) =>
          event._tag === "PageFault"
            ? UserFaultFd.copy(
                faults,
                event.page,
                new Uint8Array(page).fill(Number((event.page - memory.address) / 4096n))
              )
            : Effect.void
        )
      )
      const bytes = yield* touch(memory.address, 16 * page)
      for (let index = 0; index < 16; index++) assert.strictEqual(bytes[index * page], index)
    })
  )

  it.live("serves a write with zeros, and wakes only when it is told to", () =>
    Effect.gen(function* () {
      const memory = yield* Mapping.anonymous({ length: page })
      const faults = yield* UserFaultFd.make()
      yield* UserFaultFd.register(faults, memory, ["missing"])
      const storing = yield* Effect.forkChild(store(memory.address, Uint8Array.of(1, 2, 3)))
      const event = yield* next(faults)
      assert.isTrue(event._tag === "PageFault" && event.isWrite)
      assert.strictEqual(yield* UserFaultFd.zeropage(faults, memory, { wake: false }), page)
      yield* turn
      assert.isUndefined(storing.pollUnsafe())
      yield* UserFaultFd.wake(faults, memory)
      assert.strictEqual(yield* Fiber.join(storing), 3)
      assert.deepStrictEqual([...memory.bytes.subarray(0, 4)], [1, 2, 3, 0])
    })
  )

  it.live("tells of writes to protected pages", () =>
    Effect.gen(function* () {
      const memory = yield* Mapping.anonymous({ length: page, populate: true })
      const made = yield* Effect.result(UserFaultFd.make({ features: ["pagefaultFlagWp"] }))
      if (made._tag === "Failure") return yield* Effect.logInfo("skipped: no protection against writing here")
      const faults = made.success
      yield* UserFaultFd.register(faults, memory, ["wp"])
      yield* UserFaultFd.writeProtect(faults, memory, true)
      const storing = yield* Effect.forkChild(store(memory.address, Uint8Array.of(7)))
      const event = yield* next(faults)
      assert.isTrue(event._tag === "PageFault" && event.isWrite && event.isWriteProtected)
      assert.strictEqual(memory.bytes[0], 0)
      yield* UserFaultFd.writeProtect(faults, memory, false)
      yield* Fiber.join(storing)
      assert.strictEqual(memory.bytes[0], 7)
    })
  )

  it.live("maps pages of shared memory that are there", () =>
    Effect.gen(function* () {
      const file = yield* MemFd.make("shared", { size: page })
      yield* File.pwrite(file, Uint8Array.of(42), 0)
      const memory = yield* File.mmap(file, { length: page, shared: true })
      const made = yield* Effect.result(UserFaultFd.make({ features: ["minorShmem"] }))
      if (made._tag === "Failure") return yield* Effect.logInfo("skipped: no minor faults here")
      yield* UserFaultFd.register(made.success, memory, ["minor"])
      const toucher = yield* Effect.forkChild(touch(memory.address, 1))
      const event = yield* next(made.success)
      assert.isTrue(event._tag === "PageFault" && event.isMinor)
      assert.strictEqual(yield* UserFaultFd.proceed(made.success, memory), page)
      assert.deepStrictEqual(yield* Fiber.join(toucher), Uint8Array.of(42))
    })
  )

  it.live("lets who waits go on when it is closed, or the range is unregistered", () =>
    Effect.gen(function* () {
      const before = yield* openFds
      yield* Effect.scoped(
        Effect.gen(function* () {
          const memory = yield* Mapping.anonymous({ length: 2 * page })
          const faults = yield* UserFaultFd.make()
          yield* UserFaultFd.register(faults, memory, ["missing"])
          const first = yield* Effect.forkChild(touch(memory.address, 1))
          yield* next(faults)
          yield* UserFaultFd.unregister(faults, { address: memory.address, length: page })
          assert.deepStrictEqual(yield* Fiber.join(first), Uint8Array.of(0))
          const second = yield* Effect.forkChild(touch(memory.address + 4096n, 1))
          yield* next(faults)
          const reading = yield* Effect.forkChild(Effect.flip(next(faults)))
          yield* turn
          yield* File.close(faults)
          assert.instanceOf(yield* Fiber.join(reading), Errno.EBADF)
          assert.deepStrictEqual(yield* Fiber.join(second), Uint8Array.of(0))
        })
      )
      assert.strictEqual(yield* openFds, before)
    })
  )

  it.live("tells of memory that is let go, with the feature for it", () =>
    Effect.gen(function* () {
      const memory = yield* Mapping.anonymous({ length: 2 * page, populate: true })
      const made = yield* Effect.result(UserFaultFd.make({ features: ["eventRemove", "threadId"] }))
      if (made._tag === "Failure") return yield* Effect.logInfo("skipped: no such events here")
      yield* UserFaultFd.register(made.success, memory, ["missing"])
      // It waits until it was read: never on JavaScript's own thread.
      const advising = yield* Effect.forkChild(
        Syscall.callBlocking(Syscall.nr.madvise, memory.address, page, Syscall.MADV_DONTNEED)
      )
      assert.deepStrictEqual(yield* next(made.success), {
        _tag: "Remove",
        start: memory.address,
        end: memory.address + 4096n
      })
      yield* Fiber.join(advising)
      const toucher = yield* Effect.forkChild(touch(memory.address, 1))
      const event = yield* next(made.success)
      assert.isTrue(event._tag === "PageFault" && event.thread > 0 && event.thread !== process.pid)
      yield* UserFaultFd.zeropage(made.success, { address: memory.address, length: page })
      yield* Fiber.join(toucher)
    })
  )

  it.effect("refuses what the kernel does, as it says", () =>
    Effect.gen(function* () {
      const memory = yield* Mapping.anonymous({ length: page })
      const faults = yield* UserFaultFd.make()
      const other = { address: memory.address, length: page }
      assert.instanceOf(yield* Effect.flip(UserFaultFd.unregister(faults, { ...other, length: 1 })), Errno.EINVAL)
      assert.instanceOf(yield* Effect.flip(UserFaultFd.zeropage(faults, other)), Errno.ENOENT)
      assert.instanceOf(yield* Effect.flip(UserFaultFd.copy(faults, memory.address, new Uint8Array(1))), Errno.EINVAL)
      assert.instanceOf(yield* Effect.flip(Effect.scoped(UserFaultFd.make({ features: 0x8000_0000 }))), Errno.EINVAL)
      assert.includeMembers([...(yield* UserFaultFd.supported)], ["eventFork", "missingShmem"])
      assert.strictEqual(memory.bytes[0], 0)
    })
  )

  it.live("leaves no descriptor wherever its maker is interrupted", () =>
    Effect.gen(function* () {
      const before = yield* openFds
      for (let at = 1; at < 40; at++) {
        const fiber = yield* Effect.forkChild(
          Effect.scoped(Effect.andThen(UserFaultFd.make(), Effect.never)).pipe(yieldingAt(at))
        )
        yield* turn
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* openFds, before, `at ${at}`)
      }
    })
  )

  it("takes words, and only those there are", () => {
    // @ts-expect-error no feature
    const feature = () => UserFaultFd.make({ features: ["magic"] })
    const mode = (faults: UserFaultFd.UserFaultFd, range: UserFaultFd.Range) =>
      // @ts-expect-error no mode
      UserFaultFd.register(faults, range, ["read"])
    assert.isFunction(feature ?? mode)
  })
})

const native = architectures.find(isNative)
const reason = native === undefined ? "the machine is unknown" : missing(native)

describe.skipIf(reason !== undefined)("the numbers of requests", () => {
  it("are those of the kernel's headers", () => {
    if (native === undefined) return
    const { _IO, _IOR, _IOWR } = Ioctl
    const expected: ReadonlyArray<readonly [string, number]> = [
      ["UFFDIO_API", _IOWR(0xaa, 0x3f, Abi.uffdio_api)],
      ["UFFDIO_REGISTER", _IOWR(0xaa, 0, Abi.uffdio_register)],
      ["UFFDIO_UNREGISTER", _IOR(0xaa, 1, Abi.uffdio_range)],
      ["UFFDIO_WAKE", _IOR(0xaa, 2, Abi.uffdio_range)],
      ["UFFDIO_COPY", _IOWR(0xaa, 3, Abi.uffdio_copy)],
      ["UFFDIO_ZEROPAGE", _IOWR(0xaa, 4, Abi.uffdio_zeropage)],
      ["UFFDIO_WRITEPROTECT", _IOWR(0xaa, 6, Abi.uffdio_writeprotect)],
      ["UFFDIO_CONTINUE", _IOWR(0xaa, 7, Abi.uffdio_continue)],
      ["NS_GET_USERNS", _IO(0xb7, 1)],
      ["NS_GET_PARENT", _IO(0xb7, 2)],
      ["NS_GET_NSTYPE", _IO(0xb7, 3)],
      ["NS_GET_OWNER_UID", _IO(0xb7, 4)]
    ]
    const preamble = "#include <linux/types.h>\n#include <linux/userfaultfd.h>\n#include <linux/nsfs.h>"
    const answers = evaluateC(native, [
      { preamble, questions: expected.map(([name]) => ({ name, expression: `(unsigned long)(unsigned int)${name}` })) }
    ])
    for (const [name, value] of expected) assert.strictEqual(answers.get(name), BigInt(value), name)
  })
})
