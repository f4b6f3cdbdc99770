/** Memory of the kernel shown to JavaScript: what is in it, and that it is gone when it is gone. */

import { execFile } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { File, Mapping, Syscall } from "../src/index.ts"
import { callsOf, pipe, temporaryFile, temporaryPath, text, turn, utf8, yieldingAt } from "./support/files.ts"
import { mappings, openFds } from "./support/process.ts"

const page = 4096

/** Whether any mapping of this process begins where this one did. */
// Within a line and not at its start: the kernel shows neighbours that are alike as one.
const isMapped = (address: bigint): boolean =>
  readFileSync("/proc/self/maps", "utf8")
    .split("\n")
    .some((line) => {
      const [, from = "0", to = "0"] = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line) ?? []
      return BigInt(`0x${from}`) <= address && address < BigInt(`0x${to}`)
    })

/** What shared anonymous memory is called in /proc/self/maps: nothing else here has that name. */
const sharedAnonymous = mappings(/\/dev\/zero \(deleted\)$/)

const holding = (bytes: Uint8Array) => Effect.tap(temporaryFile, (file) => File.writeAll(file, bytes))

describe("Mapping.anonymous", () => {
  it.live("gives zeros that can be written and read", () =>
    Effect.gen(function* () {
      const { buffer, bytes, length } = yield* Mapping.anonymous({ length: 3 * page })
      assert.strictEqual(length, 3 * page)
      assert.strictEqual(buffer.byteLength, 3 * page)
      assert.strictEqual(bytes.buffer, buffer)
      assert.strictEqual(bytes.length, 3 * page)
      assert.isTrue(bytes.every((byte) => byte === 0))
      bytes.fill(0xab)
      assert.strictEqual(new DataView(buffer).getUint32(page), 0xabababab)
    })
  )

  it.live("lies where it says: the kernel reads from the address what was written to the bytes", () =>
    Effect.gen(function* () {
      const { address, bytes } = yield* Mapping.anonymous({ length: page })
      assert.strictEqual(address % BigInt(page), 0n)
      assert.isTrue(isMapped(address))
      assert.strictEqual(Syscall.addressOf(bytes), address)
      bytes.set(utf8("through the kernel"))
      const { reader, writer } = yield* pipe
      yield* Syscall.call(Syscall.nr.write, yield* File.fd(writer), address, 18)
      const buffer = new Uint8Array(100)
      const count = yield* File.read(reader, buffer)
      assert.strictEqual(text(buffer.subarray(0, count)), "through the kernel")
    })
  )

  it.live("may be of a length that is no multiple of a page, and shows no more", () =>
    Effect.gen(function* () {
      const mapping = yield* Mapping.anonymous({ length: 100 })
      assert.strictEqual(mapping.length, 100)
      assert.strictEqual(mapping.buffer.byteLength, 100)
    })
  )

  it.live("is lent to reads and writes like any buffer", () =>
    Effect.gen(function* () {
      const file = yield* holding(utf8("0123456789"))
      const { bytes } = yield* Mapping.anonymous({ length: page })
      assert.strictEqual(yield* File.pread(file, bytes, 2), 8)
      assert.strictEqual(text(bytes.subarray(0, 8)), "23456789")
      assert.strictEqual(yield* File.pwrite(file, bytes.subarray(0, 2), 0), 2)
    })
  )

  it.live("asks for what its options say", () =>
    Effect.gen(function* () {
      const { MAP_ANONYMOUS, MAP_NORESERVE, MAP_POPULATE, MAP_PRIVATE, MAP_SHARED } = Syscall
      const cases: ReadonlyArray<readonly [options: Partial<Mapping.Options>, flags: number]> = [
        [{}, MAP_PRIVATE | MAP_ANONYMOUS],
        [{ shared: true }, MAP_SHARED | MAP_ANONYMOUS],
        [{ noReserve: true }, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE],
        [{ populate: true }, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE]
      ]
      for (const [options, flags] of cases) {
        const { calls } = yield* callsOf(Effect.scoped(Mapping.anonymous({ length: page, ...options })))
        assert.deepStrictEqual(
          calls.map(({ name }) => name),
          ["mmap", "munmap"]
        )
        assert.strictEqual(calls[0]?.args[3], flags)
      }
    })
  )

  it.live("of no length is EINVAL, of too much ENOMEM, and leaves nothing mapped", () =>
    Effect.gen(function* () {
      const before = yield* sharedAnonymous
      for (const [length, tag] of [
        [0, "EINVAL"],
        [0.5, "EINVAL"],
        [Number.NaN, "EINVAL"],
        [-1, "ENOMEM"],
        [2 ** 50, "ENOMEM"]
      ] as const) {
        const options = { length, shared: true, noReserve: true }
        const error = yield* Effect.flip(Effect.scoped(Mapping.anonymous(options)))
        assert.strictEqual(error._tag, tag, String(length))
      }
      // The kernel gives this much of address space; whether an ArrayBuffer can show it depends on the runtime.
      const options = { length: 2 ** 45, shared: true, noReserve: true }
      const error = yield* Effect.flip(Effect.scoped(Mapping.anonymous(options))).pipe(Effect.option)
      if (error._tag === "Some") assert.strictEqual(error.value._tag, "ENOMEM")
      assert.strictEqual(yield* sharedAnonymous, before)
    })
  )
})

describe("a mapping whose scope has closed", () => {
  it.live("is detached and unmapped: its views have no length and a DataView throws", () =>
    Effect.gen(function* () {
      const { mapping, view } = yield* Effect.scoped(
        Effect.map(Mapping.anonymous({ length: page }), (made) => {
          made.bytes[0] = 1
          assert.isTrue(isMapped(made.address))
          return { mapping: made, view: new DataView(made.buffer) }
        })
      )
      assert.isFalse(isMapped(mapping.address))
      assert.strictEqual(mapping.bytes.length, 0)
      assert.strictEqual(mapping.buffer.byteLength, 0)
      assert.isUndefined(mapping.bytes[0])
      assert.throws(() => view.getUint8(0), TypeError)
      mapping.bytes[0] = 2
      assert.throws(() => new Uint8Array(mapping.buffer), TypeError)
      // The kernel is not given the stale address either.
      const { writer } = yield* pipe
      assert.strictEqual((yield* Effect.flip(File.write(writer, mapping.bytes)))._tag, "EFAULT")
    })
  )

  it.live("is unmapped off the event loop where it is large, and is then gone just as well", () =>
    Effect.gen(function* () {
      const before = yield* sharedAnonymous
      const ways: Array<string> = []
      const seeing = Syscall.intercept(Syscall.kernel, (nr, _args, proceed) => {
        const result = proceed()
        if (nr === Syscall.nr.munmap) ways.push(typeof result === "object" ? "elsewhere" : "here")
        return result
      })
      for (const length of [page, 64 << 20]) {
        yield* Effect.scoped(
          Effect.map(Mapping.anonymous({ length, shared: true }), ({ bytes }) => {
            bytes[0] = 1
          })
        ).pipe(Effect.provideService(Syscall.Trampoline, seeing))
      }
      assert.deepStrictEqual(ways, ["here", "elsewhere"])
      assert.strictEqual(yield* sharedAnonymous, before)
    })
  )

  it.live("is unmapped in failure, defect and interruption", () =>
    Effect.gen(function* () {
      const before = yield* sharedAnonymous
      const map = Mapping.anonymous({ length: page, shared: true })
      for (const ending of [Effect.fail("failed"), Effect.die("broken"), Effect.interrupt]) {
        const exit = yield* Effect.exit(Effect.scoped(Effect.andThen(map, ending)))
        assert.isTrue(Exit.isFailure(exit))
        assert.strictEqual(yield* sharedAnonymous, before)
      }
      const fiber = yield* Effect.forkChild(Effect.scoped(Effect.andThen(map, Effect.never)), {
        startImmediately: true
      })
      assert.strictEqual(yield* sharedAnonymous, before + 1)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* sharedAnonymous, before)
    })
  )

  it.live("leaves nothing, wherever its fiber gives way and is interrupted", () =>
    Effect.gen(function* () {
      const file = yield* holding(new Uint8Array(page))
      const before = { anonymous: yield* sharedAnonymous, fds: yield* openFds, files: yield* mappings(/deleted/) }
      for (const map of [
        Mapping.anonymous({ length: page, shared: true }),
        File.mmap(file, { length: page, shared: true })
      ]) {
        for (let place = 1; place <= 25; place++) {
          for (let turns = 0; turns < 4; turns++) {
            const fiber = yield* Effect.forkChild(Effect.scoped(map).pipe(yieldingAt(place)), {
              startImmediately: true
            })
            for (let i = 0; i < turns; i++) yield* turn
            yield* Fiber.interrupt(fiber)
          }
        }
      }
      const after = { anonymous: yield* sharedAnonymous, fds: yield* openFds, files: yield* mappings(/deleted/) }
      assert.deepStrictEqual(after, before)
    })
  )

  it.live("leaves nothing, a thousand times in a row", () =>
    Effect.gen(function* () {
      const before = [yield* sharedAnonymous, yield* openFds]
      for (let i = 0; i < 1000; i++) {
        yield* Effect.scoped(
          Effect.map(Mapping.anonymous({ length: 16 * page, shared: true }), ({ bytes }) => {
            bytes[i] = 1
          })
        )
      }
      assert.deepStrictEqual([yield* sharedAnonymous, yield* openFds], before)
    })
  )
})

describe("File.mmap", () => {
  it.live("private: shows the file, and keeps what is written to itself", () =>
    Effect.gen(function* () {
      const path = yield* temporaryPath
      writeFileSync(path, "contents of the file")
      const { bytes } = yield* File.mmap(yield* File.open(path), { length: 20 })
      assert.strictEqual(text(bytes), "contents of the file")
      bytes.set(utf8("CHANGED!"))
      assert.strictEqual(text(bytes), "CHANGED! of the file")
      assert.strictEqual(readFileSync(path, "utf8"), "contents of the file")
    })
  )

  it.live("shared: what is written on either side is seen on the other", () =>
    Effect.gen(function* () {
      const path = yield* temporaryPath
      writeFileSync(path, "contents")
      const file = yield* File.open(path, { access: "readWrite" })
      const one = yield* File.mmap(file, { length: 8, shared: true })
      const two = yield* File.mmap(file, { length: 8, shared: true })
      one.bytes.set(utf8("CON"))
      assert.strictEqual(text(two.bytes), "CONtents")
      assert.strictEqual(readFileSync(path, "utf8"), "CONtents")
      yield* File.pwrite(file, utf8("S"), 7)
      assert.strictEqual(text(one.bytes), "CONtentS")
    })
  )

  it.live("maps from an offset, up to the end of the last page and no further", () =>
    Effect.gen(function* () {
      const bytes = new Uint8Array(2 * page + 10).fill(1, 0, page).fill(2, page)
      const file = yield* holding(bytes)
      const mapping = yield* File.mmap(file, { length: page, offset: page })
      assert.strictEqual(mapping.bytes[0], 2)
      const tail = yield* File.mmap(file, { length: page, offset: BigInt(2 * page) })
      // Past the end of the file its last page is zeros.
      assert.deepStrictEqual([tail.bytes[9], tail.bytes[10], tail.bytes[page - 1]], [2, 0, 0])
      for (const [length, offset] of [
        [3 * page + 1, 0],
        [page + 1, 2 * page],
        [1, 3 * page]
      ] as const) {
        const error = yield* Effect.flip(File.mmap(file, { length, offset }))
        assert.strictEqual(error._tag, "EINVAL", `${length} at ${offset}`)
        assert.include(error.message, "length")
      }
    })
  )

  it.live("refuses an empty file, no length, and an offset that is no multiple of a page", () =>
    Effect.gen(function* () {
      const file = yield* holding(new Uint8Array(2 * page))
      const empty = yield* temporaryFile
      const tags = yield* Effect.forEach(
        [
          File.mmap(empty, { length: 1 }),
          File.mmap(file, { length: 0 }),
          File.mmap(file, { length: 1, offset: 1 }),
          File.mmap(file, { length: 1, offset: page - 1 }),
          File.mmap(file, { length: 1.5 }),
          File.mmap(file, { length: 1, offset: 0.5 }),
          File.mmap(file, { length: 1, offset: Number.NaN }),
          File.mmap(file, { length: 1, offset: 2n ** 64n })
        ],
        (map) => Effect.flip(map)
      )
      for (const error of tags) assert.strictEqual(error._tag, "EINVAL")
    })
  )

  it.live("shared needs a file that can be written, private does not", () =>
    Effect.gen(function* () {
      const path = yield* temporaryPath
      writeFileSync(path, "contents")
      const file = yield* File.open(path)
      assert.strictEqual((yield* Effect.flip(File.mmap(file, { length: 8, shared: true })))._tag, "EACCES")
      yield* File.mmap(file, { length: 8 })
      const writeOnly = yield* File.open(path, { access: "write" })
      assert.strictEqual((yield* Effect.flip(File.mmap(writeOnly, { length: 8 })))._tag, "EACCES")
    })
  )

  it.live("refuses what cannot be mapped", () =>
    Effect.gen(function* () {
      const { reader } = yield* pipe
      assert.strictEqual((yield* Effect.flip(File.mmap(reader, { length: page })))._tag, "ENODEV")
    })
  )

  it.live("outlives the file that it was made of", () =>
    Effect.gen(function* () {
      const file = yield* holding(utf8("still here"))
      const { bytes } = yield* File.mmap(file, { length: 10 })
      yield* File.close(file)
      assert.strictEqual(text(bytes), "still here")
    })
  )
})

describe("memory that JavaScript tries to give away", () => {
  // In a process of its own: where it goes wrong, it crashes. Each part says its name first, so that the output of a
  // process that died tells where.
  const program = `
    import * as Effect from "effect/Effect"
    import * as Exit from "effect/Exit"
    import * as Scope from "effect/Scope"
    import * as File from "effect-linux/File"
    import * as Mapping from "effect-linux/Mapping"
    import * as Syscall from "effect-linux/Syscall"
    import { readFileSync } from "node:fs"
    import { markAsUntransferable, MessageChannel } from "node:worker_threads"

    const touch = (buffer) => {
      if (buffer === undefined || buffer.byteLength === 0) return
      const bytes = new Uint8Array(buffer)
      let sum = 0
      for (const byte of bytes) sum += byte
      bytes.fill(7)
    }
    const collect = async () => {
      for (let i = 0; i < 5; i++) { gc(); await new Promise((resolve) => setImmediate(resolve)) }
    }
    const expect = (truth, message) => { if (!truth) throw new Error(message) }

    const moves = {
      structuredClone: (buffer) => structuredClone(buffer, { transfer: [buffer] }),
      postMessage: (buffer) => new MessageChannel().port1.postMessage(buffer, [buffer]),
      transfer: (buffer) => buffer.transfer?.(),
      transferToFixedLength: (buffer) => buffer.transferToFixedLength?.(),
      transferShorter: (buffer) => buffer.transfer?.(100),
      transferTwice: (buffer) => buffer.transfer?.().transfer(),
      // Newer versions of Node let nobody detach it then, so that it stays in sight, over memory that is something else.
      markAsUntransferable: (buffer) => markAsUntransferable(buffer),
      nothing: () => undefined
    }
    for (const [name, move] of Object.entries(moves)) {
      console.log(name)
      const scope = Effect.runSync(Scope.make())
      const { buffer, bytes } = Effect.runSync(Scope.provide(Mapping.anonymous({ length: 1 << 18 }), scope))
      let moved
      try { moved = move(buffer) } catch {}
      touch(buffer); touch(moved)
      Effect.runSync(Scope.close(scope, Exit.void))
      expect(name === "markAsUntransferable" || (buffer.byteLength === 0 && bytes.length === 0), "still shown")
      touch(buffer); touch(moved)
      await collect()
      touch(buffer); touch(moved)
      moved = undefined
      await collect()
    }

    console.log("file")
    const mapped = () => readFileSync("/proc/self/maps", "utf8").includes("the-file-behind-it")
    const moved = await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
      const file = yield* Effect.flatMap(Syscall.memfd_create("the-file-behind-it"), File.fromFd)
      yield* File.truncate(file, 4096)
      const { buffer } = yield* File.mmap(file, { length: 4096, shared: true })
      expect(mapped(), "not mapped")
      return buffer.transfer?.()
    })))
    expect(!mapped(), "still mapped")
    touch(moved)

    console.log("exit")
    globalThis.kept = Effect.runSync(Scope.provide(Mapping.anonymous({ length: 4096 }), Effect.runSync(Scope.make())))
    kept.bytes.fill(1)
  `

  it.live("survives it, before and after its scope closes, lets go of the file behind it, and exits", () =>
    Effect.gen(function* () {
      const args = ["--expose-gc", "--input-type=module", "--eval", program]
      const { stdout } = yield* Effect.promise(() =>
        promisify(execFile)(process.execPath, args, { cwd: new URL("..", import.meta.url) })
      )
      assert.deepStrictEqual(stdout.trim().split("\n"), [
        "structuredClone",
        "postMessage",
        "transfer",
        "transferToFixedLength",
        "transferShorter",
        "transferTwice",
        "markAsUntransferable",
        "nothing",
        "file",
        "exit"
      ])
    })
  )
})
