/** The one function that makes any system call: what goes in, what comes out, and what never reaches the kernel. */
import { openSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { Errno, Syscall } from "../src/index.ts"
import { held, memfd } from "./support/fds.ts"
import { program } from "./support/program.ts"

const { nr } = Syscall
const { call } = Syscall.kernel

/** `lseek` on it answers with the offset it was given, whatever the 64 bits are. */
const echoFd = openSync("/proc/self/mem", "r")
const echo = (word: number | bigint) => call(nr.lseek, echoFd, word, Syscall.SEEK_SET)

const maxSafe = Number.MAX_SAFE_INTEGER
const numbers: ReadonlyArray<number> = [
  0,
  1,
  -4096,
  0x7fffffff,
  0x80000000,
  -0x80000000,
  -0x80000001,
  0xffffffff,
  2 ** 32,
  maxSafe - 1,
  maxSafe,
  -maxSafe
]
const bigints: ReadonlyArray<bigint> = [
  0n,
  1n,
  -4096n,
  2n ** 53n,
  2n ** 60n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 4096n,
  -(2n ** 53n),
  -(2n ** 63n)
]

const exact = (word: bigint): number | bigint =>
  word >= -BigInt(maxSafe) && word <= BigInt(maxSafe) ? Number(word) : word

const typedArrays: ReadonlyArray<(bytes: ArrayBuffer, offset: number, length: number) => ArrayBufferView> = [
  (...at) => new Int8Array(...at),
  (...at) => new Uint8Array(...at),
  (...at) => new Uint8ClampedArray(...at),
  (bytes, offset, length) => new Int16Array(bytes, offset, length / 2),
  (bytes, offset, length) => new Uint16Array(bytes, offset, length / 2),
  (bytes, offset, length) => new Int32Array(bytes, offset, length / 4),
  (bytes, offset, length) => new Uint32Array(bytes, offset, length / 4),
  (bytes, offset, length) => new Float32Array(bytes, offset, length / 4),
  (bytes, offset, length) => new Float64Array(bytes, offset, length / 8),
  (bytes, offset, length) => new BigInt64Array(bytes, offset, length / 8),
  (bytes, offset, length) => new BigUint64Array(bytes, offset, length / 8),
  (...at) => new DataView(...at),
  (...at) => Buffer.from(...at)
]

const counting = (length: number): Uint8Array<ArrayBuffer> => Uint8Array.from({ length }, (_, index) => index + 1)

const content = (fd: number): Uint8Array => {
  const all = new Uint8Array(256)
  const length = call(nr.pread64, fd, all, all.length, 0)
  return all.slice(0, Number(length))
}

const detach = <B extends ArrayBuffer>(buffer: B): B => {
  structuredClone(buffer, { transfer: [buffer] })
  return buffer
}

describe("words", () => {
  it.each(numbers)("passes the number %d", (number) => {
    assert.strictEqual(echo(number), number)
  })

  it.each(bigints)("passes the bigint %d as 64 bits, signed or unsigned", (bigint) => {
    assert.strictEqual(echo(bigint), exact(BigInt.asIntN(64, bigint)))
  })

  it.prop(
    "passes every safe integer and gives it back",
    [Schema.Int.check(Schema.isBetween({ minimum: -maxSafe, maximum: maxSafe }))],
    ([number]) => {
      assert.strictEqual(echo(number), number)
      assert.strictEqual(echo(BigInt(number)), number)
    },
    { arbitrary: { runs: 500 } }
  )

  it.prop(
    "passes every 64 bits and gives them back",
    [
      Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: 0n, maximum: 0xffffffffn })),
      Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: 0n, maximum: 0xffffffffn }))
    ],
    ([high, low]) => {
      const unsigned = (high << 32n) | low
      const signed = BigInt.asIntN(64, unsigned)
      assert.strictEqual(echo(unsigned), exact(signed))
      assert.strictEqual(echo(signed), exact(signed))
    },
    { arbitrary: { runs: 500 } }
  )

  it("gives a result above 2^53 as a bigint, and one below as a number", () => {
    assert.strictEqual(echo(2n ** 60n), 2n ** 60n)
    assert.strictEqual(echo(2n ** 53n), 2n ** 53n)
    assert.strictEqual(echo(2n ** 53n - 1n), maxSafe)
    assert.strictEqual(echo(-(2n ** 53n)), -(2n ** 53n))
  })

  it.effect("tells a result above 2^53 exactly with callBig, and refuses it with call", () =>
    Effect.gen(function* () {
      const args = [nr.lseek, echoFd, 2n ** 60n + 1n, Syscall.SEEK_SET] as const
      assert.strictEqual(yield* Syscall.callBig(...args), 2n ** 60n + 1n)
      const error = yield* Effect.flip(Syscall.call(...args))
      assert.instanceOf(error, Errno.EOVERFLOW)
      assert.strictEqual(yield* Syscall.callBig(nr.getpid), BigInt(process.pid))
    })
  )

  it.effect("passes all six arguments in their places", () =>
    Effect.gen(function* () {
      const fd = yield* memfd
      const page = 65536 // a multiple of the page size everywhere
      call(nr.ftruncate, fd, 2 * page)
      call(nr.pwrite64, fd, counting(16), 16, page)
      const { MAP_SHARED, PROT_READ } = Syscall
      const address = call(nr.mmap, 0, page, PROT_READ, MAP_SHARED, fd, page)
      const seen = new Uint8Array(16)
      assert.strictEqual(call(nr.pread64, echoFd, seen, 16, address), 16)
      assert.deepStrictEqual(seen, counting(16))
      assert.strictEqual(call(nr.munmap, address, page), 0)
    })
  )

  it("takes missing arguments for zeros and null for a null pointer", () => {
    assert.strictEqual(call(nr.lseek, echoFd), echo(0))
    assert.strictEqual(call(nr.uname, null), -Errno.codes.EFAULT)
  })

  it("returns errors as -errno and throws nothing", () => {
    assert.strictEqual(call(nr.close, -1), -Errno.codes.EBADF)
    assert.strictEqual(call(100_000), -Errno.codes.ENOSYS)
    assert.strictEqual(call(-5), -Errno.codes.ENOSYS)
    assert.strictEqual(call(nr.uname, 8), -Errno.codes.EFAULT)
    assert.strictEqual(call(nr.uname, 2n ** 64n - 1n), -Errno.codes.EFAULT)
  })
})

describe("memory", () => {
  it.effect("passes views of every kind, with their offset, to be read and to be written", () =>
    Effect.gen(function* () {
      const fd = yield* memfd
      for (const make of typedArrays) {
        const from = counting(64)
        assert.strictEqual(call(nr.pwrite64, fd, make(from.buffer, 16, 32), 32, 0), 32)
        assert.deepStrictEqual(content(fd), from.slice(16, 48))

        const to = new Uint8Array(64)
        const view = make(to.buffer, 8, 32)
        assert.strictEqual(call(nr.pread64, fd, view, 32, 0), 32, view.constructor.name)
        const expected = new Uint8Array(64)
        expected.set(from.slice(16, 48), 8)
        assert.deepStrictEqual(to, expected, view.constructor.name)
      }
    })
  )

  it.effect("passes small arrays whose memory was never asked for", () =>
    Effect.gen(function* () {
      const fd = yield* memfd
      call(nr.pwrite64, fd, counting(8), 8, 0)
      // Fresh ones each time: such memory lies on the garbage collector's own heap, which moves.
      for (let round = 0; round < 2_000; round++) {
        const small = new Uint8Array(8)
        const floats = new Float64Array(1)
        assert.strictEqual(call(nr.pread64, fd, small, 8, 0), 8)
        assert.strictEqual(call(nr.pread64, fd, floats, 8, 0), 8)
        assert.deepStrictEqual([...small], [1, 2, 3, 4, 5, 6, 7, 8])
        assert.deepStrictEqual(new Uint8Array(floats.buffer), small)
      }
    })
  )

  it.effect("passes ArrayBuffer, SharedArrayBuffer and views on it", () =>
    Effect.gen(function* () {
      const fd = yield* memfd
      const buffer = counting(16).buffer
      const shared = new SharedArrayBuffer(16)
      assert.strictEqual(call(nr.pwrite64, fd, buffer, 16, 0), 16)
      assert.strictEqual(call(nr.pread64, fd, shared, 16, 0), 16)
      assert.deepStrictEqual(Array.from(new Uint8Array(shared)), [...counting(16)])
      assert.strictEqual(call(nr.pwrite64, fd, new Uint32Array(shared, 4, 2), 8, 0), 8)
      assert.strictEqual(call(nr.pwrite64, fd, new DataView(shared, 12, 4), 4, 8), 4)
      assert.deepStrictEqual([...content(fd)], [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 13, 14, 15, 16])
    })
  )

  it.effect("passes memory of another realm", () =>
    Effect.gen(function* () {
      const fd = yield* memfd
      const { runInNewContext } = yield* Effect.promise(() => import("node:vm"))
      const foreign: unknown = runInNewContext("new SharedArrayBuffer(4)")
      const plain: unknown = runInNewContext("Uint8Array.of(1, 2, 3, 4)")
      assert.strictEqual(Reflect.apply(call, undefined, [nr.pwrite64, fd, plain, 4, 0]), 4)
      assert.strictEqual(Reflect.apply(call, undefined, [nr.pread64, fd, foreign, 4, 0]), 4)
      assert.strictEqual(Reflect.apply(call, undefined, [nr.pwrite64, fd, foreign, 4, 4]), 4)
      assert.deepStrictEqual([...content(fd)], [1, 2, 3, 4, 1, 2, 3, 4])
    })
  )

  it.effect("passes an empty view as an address where nothing is, not as null", () =>
    Effect.gen(function* () {
      const fd = yield* memfd
      const backing = new ArrayBuffer(8)
      const empty = [
        new Uint8Array(0),
        new Uint8Array(backing, 4, 0),
        new DataView(backing, 8, 0),
        new ArrayBuffer(0),
        new SharedArrayBuffer(0),
        Buffer.alloc(0)
      ]
      for (const view of empty) {
        assert.strictEqual(call(nr.write, fd, view, 0), 0)
        assert.strictEqual(call(nr.write, fd, view, 1), -Errno.codes.EFAULT)
        assert.strictEqual(call(nr.pread64, fd, view, 0, 0), 0)
        // Without times it is now; with times of no length it is a mistake.
        assert.strictEqual(call(nr.utimensat, fd, null, null, 0), 0)
        assert.strictEqual(call(nr.utimensat, fd, null, view, 0), -Errno.codes.EFAULT)
      }
    })
  )

  it("refuses detached memory by the argument's place", () => {
    const typed = new Uint8Array(8)
    const view = new DataView(new ArrayBuffer(8))
    const words = new BigInt64Array(2)
    for (const memory of [typed, view, words]) detach(memory.buffer)
    for (const memory of [typed, view, words, detach(new ArrayBuffer(8)), detach(new ArrayBuffer(0))]) {
      const refused = { name: "TypeError", code: "ERR_DETACHED", message: "argument 2: its ArrayBuffer is detached" }
      for (const argument of [memory, [new Uint8Array(1), memory]]) {
        assert.deepInclude(thrownBy(nr.write, [1, argument, 0]), refused)
      }
    }
  })

  it.effect("takes a view that a resized buffer left without memory for an empty one", () =>
    Effect.gen(function* () {
      const fd = yield* memfd
      const ended = yield* program(`
        const buffer = new ArrayBuffer(16, { maxByteLength: 64 })
        const outside = [new Uint8Array(buffer, 8, 8), new DataView(buffer, 8, 8), new Uint8Array(buffer, 8)]
        const grown = new Uint8Array(buffer)
        buffer.resize(4)
        for (const view of outside) if (addon.call(${nr.write}, 1, view, 0) !== 0) process.exit(1)
        for (const view of outside) if (addon.call(${nr.write}, 1, view, 1) !== -14) process.exit(2)
        buffer.resize(64)
        if (addon.call(${nr.getrandom}, grown, 64, 0) !== 64) process.exit(3)
        process.exit(9)`)
      assert.strictEqual(ended.code, 9, ended.stderr)
      assert.strictEqual(call(nr.lseek, fd, 0, Syscall.SEEK_CUR), 0)
    })
  )
})

describe("lists of views", () => {
  it.effect("pass as an array of iovec, each piece of any kind", () =>
    Effect.gen(function* () {
      const fd = yield* memfd
      const bytes = counting(16)
      const shared = new SharedArrayBuffer(3)
      new Uint8Array(shared).set([101, 102, 103])
      const pieces = [
        bytes.subarray(2, 4),
        new DataView(bytes.buffer, 15),
        shared,
        new ArrayBuffer(0),
        Buffer.from("hi")
      ]
      assert.strictEqual(call(nr.writev, fd, pieces, pieces.length), 8)
      assert.deepStrictEqual([...content(fd)], [3, 4, 16, 101, 102, 103, 104, 105])

      const to = new Uint8Array(8)
      const heads = [to.subarray(5, 8), to.subarray(0, 5)]
      assert.strictEqual(call(nr.lseek, fd, 0, Syscall.SEEK_SET), 0)
      assert.strictEqual(call(nr.readv, fd, heads, 2), 8)
      assert.deepStrictEqual([...to], [101, 102, 103, 104, 105, 3, 4, 16])
    })
  )

  it.effect("may be empty, and long", () =>
    Effect.gen(function* () {
      const fd = yield* memfd
      assert.strictEqual(call(nr.writev, fd, [], 0), 0)
      const pieces = Array.from({ length: 256 }, (_, index) => Uint8Array.of(index))
      assert.strictEqual(call(nr.writev, fd, pieces, pieces.length), 256)
      assert.deepStrictEqual(
        [...content(fd)],
        Array.from({ length: 256 }, (_, index) => index)
      )
    })
  )
})

/** Whatever a caller may pass that is no argument of a system call. */
const garbage: ReadonlyArray<() => unknown> = [
  () => undefined,
  () => true,
  () => "1",
  () => Symbol("s"),
  () => ({}),
  () => ({ length: 3, 0: 1 }),
  () => () => 1,
  () => Number.NaN,
  () => 0.5,
  () => Number.POSITIVE_INFINITY,
  () => -(2 ** 53),
  () => 2 ** 53,
  () => 2 ** 64,
  () => 1e300,
  () => 2n ** 64n,
  () => -(2n ** 63n) - 1n,
  () => 2n ** 4096n,
  () => Object(1),
  () => Object(1n),
  () => new Date(0),
  () => new Map(),
  () => new Proxy(new Uint8Array(8), {}),
  () => new Proxy([], {}),
  () => Object.create(Uint8Array.prototype),
  () => Object.create(SharedArrayBuffer.prototype),
  () => [1],
  () => [null],
  () => new Array(3),
  () => [[new Uint8Array(1)]],
  () => [new Uint8Array(1), "x"],
  () => [new Uint8Array(1), undefined],
  () => detach(new ArrayBuffer(8)),
  () => [detach(new ArrayBuffer(8))],
  () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    return proxy
  }
]

/** What may stand beside it. */
const fine: ReadonlyArray<() => unknown> = [
  () => 1,
  () => -1,
  () => 5n,
  () => null,
  () => new Uint8Array(8),
  () => new DataView(new ArrayBuffer(8)),
  () => new SharedArrayBuffer(8),
  () => [new Uint8Array(1)]
]

/** What a call throws; undefined where it throws nothing. */
const thrownBy = (number: unknown, args: ReadonlyArray<unknown>): unknown => {
  try {
    Reflect.apply(call, undefined, [number, ...args])
    return undefined
  } catch (thrown) {
    return thrown
  }
}

const isCall = (made: unknown): made is Effect.Effect<unknown, unknown> => Effect.isEffect(made)

const index = (length: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: length - 1 })))

const pick = (from: ReadonlyArray<() => unknown>) => Arbitrary.map(index(from.length), (at) => from[at]?.())

describe("misuse", () => {
  it("throws for too many arguments, and for none", () => {
    const six = [0, 0, 0, 0, 0, 0]
    assert.isUndefined(thrownBy(nr.getpid, six))
    assert.match(String(thrownBy(nr.getpid, [...six, 0])), /^TypeError: .*at most 6 arguments, got 7/)
    assert.match(String(thrownBy(nr.getpid, new Array(30).fill(0))), /^TypeError: .*at most 6 arguments, got 30/)
    assert.throws(() => Reflect.apply(call, undefined, []), TypeError, "system call number: expected a number")
  })

  it("throws for what is no number of a system call", () => {
    for (const wrong of [undefined, null, "39", 39n, {}, [39]]) assert.instanceOf(thrownBy(wrong, []), TypeError)
    for (const wrong of [1.5, Number.NaN, 2 ** 60]) assert.instanceOf(thrownBy(wrong, []), RangeError)
  })

  it("tells a wrong type from a wrong value, and which argument it is", () => {
    assert.match(String(thrownBy(nr.close, ["1"])), /^TypeError: argument 1: .* got a string$/)
    assert.match(String(thrownBy(nr.read, [0, {}])), /^TypeError: argument 2: .* got an object that is no buffer$/)
    assert.match(String(thrownBy(nr.read, [0, [1]])), /^TypeError: argument 2: element 0 of the list is no buffer/)
    assert.match(String(thrownBy(nr.read, [0, null, 0.5])), /^RangeError: argument 3: 0\.5 is not a safe integer$/)
    assert.match(String(thrownBy(nr.read, [0, null, 2 ** 53])), /^RangeError: argument 3: 9007199254740992 is not/)
    assert.match(String(thrownBy(nr.read, [0, null, 2n ** 64n])), /^RangeError: argument 3: the bigint does not fit/)
  })

  it.effect.prop(
    "anything wrong among the arguments is thrown before the kernel is called",
    { before: index(3), wrong: pick(garbage), beside: Arbitrary.array(pick(fine), { minLength: 0, maxLength: 2 }) },
    ({ before, beside, wrong }) =>
      Effect.gen(function* () {
        const fd = yield* held(Syscall.memfd_create("untouched"))
        // Extra arguments mean nothing to the kernel, so that this call would move the offset if it were made.
        const args: Array<unknown> = [fd, 1, Syscall.SEEK_CUR, ...beside]
        args.splice(3 + Math.min(before, beside.length), 0, wrong)
        const thrown = thrownBy(nr.lseek, args)
        assert.isTrue(thrown instanceof TypeError || thrown instanceof RangeError, String(thrown))
        // A call that is tried here first, and one that goes to another thread at once.
        for (const options of [{ inlineFirst: true }, {}]) {
          const exit = yield* Effect.exit(
            Effect.suspend(() => {
              const made: unknown = Reflect.apply(Syscall.kernel.callBlocking, undefined, [nr.lseek, args, options])
              return isCall(made) ? made : Effect.die("made")
            })
          )
          assert.match(String(exit), /TypeError|RangeError/)
        }
        assert.strictEqual(call(nr.lseek, fd, 0, Syscall.SEEK_CUR), 0)
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 200 } }
  )

  it.prop(
    "whatever is passed, a call returns or throws a TypeError or RangeError",
    { number: pick([...garbage, () => nr.getpid, () => 100_000]), args: Arbitrary.array(pick([...garbage, ...fine])) },
    ({ args, number }) => {
      const thrown = thrownBy(number, args)
      assert.isTrue(thrown === undefined || thrown instanceof TypeError || thrown instanceof RangeError)
    },
    { arbitrary: { runs: 500 } }
  )
})

// Each of these ended the process before it was refused, so each has a process of its own.
describe("a hostile argument does not end the process", () => {
  const survives = (body: string) =>
    Effect.gen(function* () {
      const ended = yield* program(`
        const attempts = {
          call: (...args) => addon.call(...args),
          attempt: (...args) => addon.attempt(...args),
          start: (...args) => addon.start(args, 0, 0, 0, () => {})
        }
        const readv = ${nr.readv}
        const [reader] = Effect.runSync(Syscall.pipe2(Syscall.O_NONBLOCK))
        for (const [name, make] of Object.entries(attempts)) {
          try { ${body} } catch (error) {
            if (!(error instanceof TypeError || error instanceof RangeError)) throw error
          }
        }
        console.log("alive")`)
      assert.deepInclude(ended, { code: 0, signal: null, stdout: "alive\n" }, ended.stderr)
    })

  it.live("a list that claims to be enormous", () =>
    survives(`const list = []; list.length = 2 ** 32 - 2; make(readv, reader, list, 1)`)
  )

  it.live("a list whose element takes away the memory of another while it is read", () =>
    survives(`
      const buffer = new ArrayBuffer(1 << 20, { maxByteLength: 1 << 20 })
      const list = [new Uint8Array(buffer)]
      Object.defineProperty(list, 1, { get() { buffer.resize(0); return new Uint8Array(1) } })
      make(readv, reader, list, 2)`)
  )

  it.live("a list whose element takes away the memory of an argument before it", () =>
    survives(`
      const buffer = new ArrayBuffer(1 << 20, { maxByteLength: 1 << 20 })
      const list = []
      Object.defineProperty(list, 0, { get() { buffer.resize(0); return new Uint8Array(1) } })
      make(readv, reader, new Uint8Array(buffer), list)`)
  )

  it.live("a buffer of which there is no memory to make a copy", () =>
    Effect.gen(function* () {
      const ended = yield* program(`
        const [reader] = Effect.runSync(Syscall.pipe2(Syscall.O_CLOEXEC))
        const buffer = new Uint8Array(512 << 20)
        const size = Number(/VmSize:\\s+(\\d+)/.exec(Fs.readFileSync("/proc/self/status", "utf8"))[1]) * 1024
        const limit = BigUint64Array.of(BigInt(size) + (256n << 20n), 2n ** 64n - 1n)
        Effect.runSync(Syscall.call(${nr.prlimit64}, 0, 9, limit, null))
        const exit = await Effect.runPromiseExit(Syscall.callBlocking(${nr.close}, -1, buffer))
        console.log(Exit.isFailure(exit) ? "refused" : "made")`)
      assert.deepInclude(ended, { code: 0, signal: null, stdout: "refused\n" }, ended.stderr)
    })
  )

  it.live("a list whose element throws", () =>
    survives(`
      const list = []
      Object.defineProperty(list, 0, { get() { throw new RangeError("mine") } })
      make(readv, reader, list, 1)`)
  )
})
