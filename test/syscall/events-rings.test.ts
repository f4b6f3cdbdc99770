/** Asynchronous input and output, by contexts and by rings, against the real kernel. */
import { readFileSync, readlinkSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Abi, Errno, Syscall } from "../../src/index.ts"
import * as Rings from "../../src/syscall/events-rings.ts"
import * as Generated from "../../src/syscall/generated/events.ts"
import { asleepIn, eventfd, memfd, pipe } from "../support/fds.ts"
import { eventually } from "../support/process.ts"

const all = Array.from({ length: 64 }, (_, index) => index + 1)

const tagged = <E extends { readonly _tag: string }>(tag: string, self: Effect.Effect<unknown, E>) =>
  Effect.map(Effect.flip(self), (error) => assert.strictEqual(error._tag, tag))

const context = Effect.acquireRelease(Rings.io_setup(8), (id) => Effect.ignore(Generated.io_destroy(id)))

/** Bytes where the kernel finds them whenever it looks. */
const steady = (bytes: Uint8Array) => {
  const memory = new Uint8Array(new SharedArrayBuffer(bytes.length))
  memory.set(bytes)
  return memory
}

const interrupted = (nr: number, first: number | bigint, wait: Effect.Effect<unknown, unknown>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(wait)
    assert.isTrue(yield* eventually(() => asleepIn(nr, first) === 1))
    yield* Fiber.interrupt(fiber)
    assert.strictEqual(asleepIn(nr, first), 0)
  })

describe("contexts", () => {
  it.live("io_setup, io_submit and io_getevents write and read a file, io_destroy ends the context", () =>
    Effect.gen(function* () {
      const id = yield* context
      const fd = yield* memfd
      const counter = yield* eventfd(0)
      const text = steady(new TextEncoder().encode("by and by"))
      const written = {
        aio_lio_opcode: Syscall.IOCB_CMD_PWRITE,
        aio_fildes: fd,
        aio_data: 17n,
        aio_buf: Syscall.addressOf(text),
        aio_nbytes: BigInt(text.length),
        aio_offset: 3n,
        aio_flags: Syscall.IOCB_FLAG_RESFD,
        aio_resfd: counter
      }
      assert.strictEqual(yield* Rings.io_submit(id, [written]), 1)
      const [event, ...others] = yield* Rings.io_getevents(id, 1, 4)
      assert.deepStrictEqual(others, [])
      assert.containsSubset(event, { data: 17n, res: BigInt(text.length), res2: 0n })
      assert.strictEqual(readFileSync(`/proc/self/fd/${fd}`, "utf8"), "\0\0\0by and by")
      assert.strictEqual(yield* Syscall.read(counter, new BigUint64Array(1)), 8)
      // An operation that lies in memory of the caller's.
      const target = steady(new Uint8Array(4))
      const block = steady(
        Abi.iocb.encode({
          ...Abi.iocb.decode(new Uint8Array(Abi.iocb.size)),
          aio_lio_opcode: Syscall.IOCB_CMD_PREAD,
          aio_fildes: fd,
          aio_buf: Syscall.addressOf(target),
          aio_nbytes: 4n,
          aio_offset: 3n
        })
      )
      assert.strictEqual(yield* Rings.io_submit(id, [Syscall.addressOf(block)]), 1)
      const [read] = yield* Rings.io_pgetevents(id, 1, 1, "1 hour", [40])
      assert.containsSubset(read, { obj: Syscall.addressOf(block), res: 4n })
      assert.strictEqual(new TextDecoder().decode(target.slice()), "by a")
      assert.deepStrictEqual(yield* Rings.io_getevents(id, 1, 1, "1 millis"), [])
      yield* Generated.io_destroy(id)
      yield* tagged("EINVAL", Generated.io_destroy(id))
      yield* tagged("EINVAL", Rings.io_submit(id, []))
      yield* tagged("EINVAL", Rings.io_getevents(id, 0, 1))
    })
  )

  it.live("io_getevents and io_pgetevents are interrupted; io_setup and io_submit fail as documented", () =>
    Effect.gen(function* () {
      const id = yield* context
      yield* interrupted(Syscall.nr.io_getevents, id, Rings.io_getevents(id, 1, 1))
      yield* interrupted(Syscall.nr.io_pgetevents, id, Rings.io_pgetevents(id, 1, 1, null, all))
      yield* tagged("EINVAL", Rings.io_setup(0))
      yield* tagged("EBADF", Rings.io_submit(id, [{ aio_lio_opcode: Syscall.IOCB_CMD_PREAD, aio_fildes: 0x7fffffff }]))
      yield* tagged("EFAULT", Rings.io_submit(id, [8n]))
      assert.strictEqual(yield* Rings.io_submit(id, []), 0)
    })
  )

  it.live("io_cancel cancels a poll, whose event then comes", () =>
    Effect.gen(function* () {
      const id = yield* context
      const [reader] = yield* pipe
      const block = steady(
        Abi.iocb.encode({
          ...Abi.iocb.decode(new Uint8Array(Abi.iocb.size)),
          aio_lio_opcode: Syscall.IOCB_CMD_POLL,
          aio_fildes: reader,
          aio_buf: BigInt(Syscall.POLLIN)
        })
      )
      const address = Syscall.addressOf(block)
      yield* tagged("EINVAL", Generated.io_cancel(id, address))
      assert.strictEqual(yield* Rings.io_submit(id, [address]), 1)
      yield* tagged("EINPROGRESS", Generated.io_cancel(id, address))
      assert.containsSubset((yield* Rings.io_getevents(id, 1, 1))[0], { obj: address })
    })
  )
})

/** A ring, or undefined where the machine's owner forbids them. */
const ring = Effect.acquireRelease(
  Effect.option(Rings.io_uring_setup(4, { flags: Syscall.IORING_SETUP_CLAMP })),
  (made) => (made._tag === "Some" ? Effect.ignore(Syscall.close(made.value.fd)) : Effect.void)
)

const mapped = (fd: number, length: number, offset: number) =>
  Effect.acquireRelease(
    Syscall.mmap(0, length, Syscall.PROT_READ | Syscall.PROT_WRITE, Syscall.MAP_SHARED, fd, offset),
    (address) => Effect.ignore(Syscall.munmap(address, length))
  )

describe("rings", () => {
  it.live(
    "io_uring_setup makes rings, io_uring_enter runs what stands there and io_uring_enter2 waits for a time",
    () =>
      Effect.gen(function* () {
        const made = yield* ring
        if (made._tag === "None") return
        const { fd, params } = made.value
        assert.strictEqual(readlinkSync(`/proc/self/fd/${fd}`), "anon_inode:[io_uring]")
        assert.strictEqual(params.sq_entries, 4)
        assert.strictEqual(params.cq_entries, 8)
        assert.notStrictEqual(params.features & Syscall.IORING_FEAT_SINGLE_MMAP, 0)

        // The rings are written and read where they lie, through the process's memory as a file.
        const ringBytes = params.cq_off.cqes + params.cq_entries * Abi.io_uring_cqe.size
        const rings = yield* mapped(fd, ringBytes, Syscall.IORING_OFF_SQ_RING)
        const entries = yield* mapped(fd, 4 * Abi.io_uring_sqe.size, Syscall.IORING_OFF_SQES)
        const memory = yield* Effect.acquireRelease(
          Syscall.openat(Syscall.AT_FDCWD, "/proc/self/mem", Syscall.O_RDWR | Syscall.O_CLOEXEC),
          (mem) => Effect.ignore(Syscall.close(mem))
        )
        const submit = Abi.io_uring_sqe.encode({
          ...Abi.io_uring_sqe.decode(new Uint8Array(Abi.io_uring_sqe.size)),
          opcode: Syscall.IORING_OP_NOP,
          user_data: 99n
        })
        yield* Syscall.pwrite64(memory, submit, entries)
        yield* Syscall.pwrite64(memory, new Uint32Array([0]), rings + BigInt(params.sq_off.array))
        yield* Syscall.pwrite64(memory, new Uint32Array([1]), rings + BigInt(params.sq_off.tail))

        assert.strictEqual(yield* Rings.io_uring_enter(fd, 1), 1)
        assert.strictEqual(yield* Rings.io_uring_enter(fd, 0, 1, Syscall.IORING_ENTER_GETEVENTS), 0)
        const done = new Uint8Array(Abi.io_uring_cqe.size)
        yield* Syscall.pread64(memory, done, rings + BigInt(params.cq_off.cqes))
        assert.deepStrictEqual(Abi.io_uring_cqe.decode(done), { user_data: 99n, res: 0, flags: 0 })
        yield* Syscall.pwrite64(memory, new Uint32Array([1]), rings + BigInt(params.cq_off.head))

        const { IORING_ENTER_GETEVENTS } = Syscall
        const wait = (arg: Rings.EnterArgument) => Rings.io_uring_enter2(fd, 0, 1, IORING_ENTER_GETEVENTS, arg)
        yield* tagged("ETIME", wait({ timeout: "2 millis" }))
        yield* interrupted(Syscall.nr.io_uring_enter, fd, wait({ timeout: "1 hour", sigmask: all }))
        yield* interrupted(
          Syscall.nr.io_uring_enter,
          fd,
          Rings.io_uring_enter(fd, 0, 1, Syscall.IORING_ENTER_GETEVENTS, all)
        )
        yield* tagged("EINVAL", Rings.io_uring_enter(fd, 0, 0, 1 << 30))
      })
  )

  it.live("io_uring_register tells what is supported and registers a counter", () =>
    Effect.gen(function* () {
      const made = yield* ring
      if (made._tag === "None") return
      const { fd } = made.value
      const count = 8
      const probe = new Uint8Array(Abi.io_uring_probe.size + count * Abi.io_uring_probe_op.size)
      assert.strictEqual(yield* Rings.io_uring_register(fd, Syscall.IORING_REGISTER_PROBE, probe, count), 0)
      assert.isTrue(Abi.io_uring_probe.decode(probe).last_op >= Syscall.IORING_OP_OPENAT)
      assert.deepStrictEqual(Abi.io_uring_probe_op.decode(probe, Abi.io_uring_probe.size), {
        op: Syscall.IORING_OP_NOP,
        flags: Syscall.IO_URING_OP_SUPPORTED
      })
      const counter = new Int32Array([yield* eventfd(0)])
      assert.strictEqual(yield* Rings.io_uring_register(fd, Syscall.IORING_REGISTER_EVENTFD, counter, 1), 0)
      yield* tagged("EBUSY", Rings.io_uring_register(fd, Syscall.IORING_REGISTER_EVENTFD, counter, 1))
      assert.strictEqual(yield* Rings.io_uring_register(fd, Syscall.IORING_UNREGISTER_EVENTFD), 0)
      const cancel = Abi.io_uring_sync_cancel_reg.encode({
        addr: 1n,
        fd: -1,
        flags: 0,
        timeout: { tv_sec: -1n, tv_nsec: -1n },
        opcode: 0
      })
      yield* tagged("ENOENT", Rings.io_uring_register(fd, Syscall.IORING_REGISTER_SYNC_CANCEL, cancel, 1))
      yield* tagged("EINVAL", Rings.io_uring_register(fd, 9999))
    })
  )

  it.effect("the calls on rings fail as documented", () =>
    Effect.gen(function* () {
      const refused = (error: Errno.Errno, code: number) =>
        // Where rings are forbidden, that is what is told.
        assert.include([code, Errno.codes.EPERM, Errno.codes.ENOSYS], error.errno)
      refused(yield* Effect.flip(Rings.io_uring_setup(0)), Errno.codes.EINVAL)
      refused(yield* Effect.flip(Rings.io_uring_enter(-1, 0)), Errno.codes.EBADF)
      refused(yield* Effect.flip(Rings.io_uring_enter2(-1, 0, 0, 0, {})), Errno.codes.EBADF)
      refused(yield* Effect.flip(Rings.io_uring_register(0x7fffffff, 0)), Errno.codes.EBADF)
      const fd = yield* memfd
      refused(yield* Effect.flip(Rings.io_uring_enter(fd, 0)), Errno.codes.EOPNOTSUPP)
    })
  )
})
