/** What can be done with memory that is mapped, and that none of it lets JavaScript touch what is not there. */
import { readFileSync, writeFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { Errno, File, Mapping, Syscall } from "../src/index.ts"
import { callsOf, temporaryFile, temporaryPath, turn, utf8, yieldingAt } from "./support/files.ts"
import { mappings, openFds } from "./support/process.ts"

const page = 4096

/** What /proc/self/smaps says of the mapping at an address. */
const smaps = (address: bigint): ReadonlyMap<string, string> => {
  const lines = readFileSync("/proc/self/smaps", "utf8").split("\n")
  const fields = new Map<string, string>()
  let inside = false
  for (const line of lines) {
    const [, from, to, permissions = ""] = /^([0-9a-f]+)-([0-9a-f]+) (\S+)/.exec(line) ?? []
    if (from !== undefined) {
      inside = BigInt(`0x${from}`) <= address && address < BigInt(`0x${to}`)
      if (inside) fields.set("permissions", permissions)
    } else if (inside) {
      const [name = "", value = ""] = line.split(/:\s+/)
      fields.set(name, value)
    }
  }
  return fields
}

const isMapped = (address: bigint): boolean => smaps(address).size > 0

const kilobytes = (address: bigint, name: string): number => Number.parseInt(smaps(address).get(name) ?? "0", 10)

const vmFlags = (address: bigint): ReadonlyArray<string> => (smaps(address).get("VmFlags") ?? "").trim().split(" ")

const tagged = <E extends { readonly _tag: string }>(tag: string, self: Effect.Effect<unknown, E>) =>
  Effect.map(Effect.flip(self), (error) => {
    assert.strictEqual(error._tag, tag)
    return error
  })

/** Shared memory that nothing else here looks like, so that neighbours are not shown as one. */
const memfd = (length: number) =>
  Effect.gen(function* () {
    const fd = yield* Syscall.memfd_create("effect-linux-mapping", Syscall.MFD_CLOEXEC)
    const file = yield* File.fromFd(fd)
    if (length > 0) yield* File.truncate(file, length)
    return file
  })

const released = Effect.scoped(Mapping.anonymous({ length: page }))

describe("Mapping.isMapping", () => {
  it.live("knows a mapping, also when it is released, and nothing else", () =>
    Effect.gen(function* () {
      assert.isTrue(Mapping.isMapping(yield* Mapping.anonymous({ length: 1 })))
      const mapping = yield* released
      assert.isTrue(Mapping.isMapping(mapping))
      assert.isFalse(Mapping.isMapping({ ...mapping }))
      // @ts-expect-error: what looks like one is none
      const fake: Mapping.Mapping = { address: 0n, length: 1, buffer: new ArrayBuffer(1), bytes: new Uint8Array(1) }
      assert.isTrue(Exit.hasDies(yield* Effect.exit(Mapping.advise(fake, "normal"))))
      assert.strictEqual(String(mapping), `Mapping(0x${mapping.address.toString(16)}, ${page}, released)`)
    })
  )
})

describe("Mapping.advise", () => {
  const everyAdvice: ReadonlyArray<Mapping.Advice> = [
    "normal",
    "random",
    "sequential",
    "willNeed",
    "dontNeed",
    "dontNeedLocked",
    "free",
    "cold",
    "pageOut",
    "populateRead",
    "populateWrite",
    "collapse",
    "hugePage",
    "noHugePage",
    "mergeable",
    "unmergeable",
    "dontFork",
    "doFork",
    "wipeOnFork",
    "keepOnFork",
    "dontDump",
    "doDump"
  ]

  it.live("takes every advice that kernels of some age and kind know", () =>
    Effect.gen(function* () {
      const mapping = yield* Mapping.anonymous({ length: 4 << 20 })
      for (const advice of everyAdvice) {
        const { calls, result } = yield* callsOf(Effect.exit(Mapping.advise(mapping, advice)))
        assert.strictEqual(calls.length, 1, advice)
        // An advice that this kernel lacks, or that has nothing to work on.
        const failed = Exit.isFailure(result)
          ? [...Exit.findErrorOption(result).pipe((e) => (e._tag === "Some" ? [e.value._tag] : ["?"]))]
          : []
        assert.includeMembers(["EINVAL", "EAGAIN", "ENOMEM", "EBUSY"], failed, advice)
      }
      // @ts-expect-error
      assert.isTrue(Exit.hasDies(yield* Effect.exit(Mapping.advise(mapping, "poison"))))
      // @ts-expect-error: not even by way of the prototype
      assert.isTrue(Exit.hasDies(yield* Effect.exit(Mapping.advise(mapping, "toString"))))
    })
  )

  it.live("reaches the kernel: flags of the mapping, and contents destroyed where it says so", () =>
    Effect.gen(function* () {
      const mapping = yield* Mapping.anonymous({ length: 2 * page })
      yield* Mapping.advise(mapping, "dontDump")
      assert.include(vmFlags(mapping.address), "dd")
      yield* Mapping.advise(mapping, "doDump")
      assert.notInclude(vmFlags(mapping.address), "dd")
      mapping.bytes.fill(7)
      yield* Mapping.advise(mapping, "dontNeed", { offset: page })
      assert.deepStrictEqual([mapping.bytes[page - 1], mapping.bytes[page]], [7, 0])

      const file = yield* memfd(2 * page)
      const one = yield* File.mmap(file, { length: 2 * page, shared: true })
      const two = yield* File.mmap(file, { length: 2 * page, shared: true })
      one.bytes.fill(7)
      yield* Mapping.advise(one, "dontNeed")
      assert.strictEqual(one.bytes[0], 7)
      yield* Mapping.advise(one, "remove", { length: page })
      assert.deepStrictEqual([two.bytes[0], two.bytes[page]], [0, 7])
    })
  )

  it.live("is of the mapping alone: no range reaches past it", () =>
    Effect.gen(function* () {
      const mapping = yield* Mapping.anonymous({ length: 2 * page })
      for (const range of [
        { offset: 2 * page, length: 1 },
        { length: 2 * page + 1 },
        { offset: page, length: page + 1 },
        { offset: -page },
        { offset: 0.5 },
        { length: Number.NaN },
        { offset: 3 * page },
        { offset: 1 }
      ]) {
        yield* tagged("EINVAL", Mapping.advise(mapping, "dontNeed", range))
      }
    })
  )

  it.live("of a released mapping is what the kernel says of addresses where nothing is", () =>
    Effect.gen(function* () {
      const mapping = yield* released
      const error = yield* tagged("ENOMEM", Mapping.advise(mapping, "normal"))
      assert.include(String(error), "released")
      yield* tagged("ENOMEM", Mapping.sync(mapping))
      yield* tagged("ENOMEM", Mapping.lock(mapping))
      yield* tagged("ENOMEM", Mapping.unlock(mapping))
      yield* tagged("ENOMEM", Mapping.protect(mapping, { execute: true }))
      yield* tagged("ENOMEM", Mapping.protect(mapping, { write: false }))
      yield* tagged("EFAULT", Mapping.remap(mapping, page))
      yield* tagged("EFAULT", Mapping.snapshot(mapping))
      yield* tagged("EFAULT", Effect.scoped(Mapping.pin(mapping)))
    })
  )
})

describe("Mapping.sync", () => {
  it.live("writes a shared mapping to its file, off the loop", () =>
    Effect.gen(function* () {
      const path = yield* temporaryPath
      writeFileSync(path, new Uint8Array(3 * page))
      const file = yield* File.open(path, { access: "readWrite" })
      const mapping = yield* File.mmap(file, { length: 3 * page, shared: true })
      mapping.bytes.set(utf8("changed"), page)
      const { calls } = yield* callsOf(
        Effect.all([
          Mapping.sync(mapping),
          Mapping.sync(mapping, { offset: page, length: 10 }),
          Mapping.sync(mapping, { wait: false }),
          Mapping.sync(mapping, { invalidate: true })
        ])
      )
      const { MS_ASYNC, MS_INVALIDATE, MS_SYNC } = Syscall
      assert.deepStrictEqual(
        calls.map(({ args }) => args[2]),
        [MS_SYNC, MS_SYNC, MS_ASYNC, MS_SYNC | MS_INVALIDATE]
      )
      assert.strictEqual(readFileSync(path).toString("latin1", page, page + 7), "changed")
      yield* Mapping.lock(mapping)
      yield* tagged("EBUSY", Mapping.sync(mapping, { invalidate: true }))
    })
  )

  it.live("is waited for by the release of the mapping", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      yield* File.truncate(file, 64 << 20)
      for (let round = 0; round < 5; round++) {
        const scope = yield* Scope.make()
        const mapping = yield* Scope.provide(File.mmap(file, { length: 64 << 20, shared: true }), scope)
        for (let at = 0; at < mapping.length; at += 1 << 20) mapping.bytes[at] = round + 1
        const fiber = yield* Effect.forkChild(Effect.exit(Mapping.sync(mapping)), { startImmediately: true })
        for (let i = 0; i < round; i++) yield* turn
        yield* Scope.close(scope, Exit.void)
        assert.isFalse(isMapped(mapping.address))
        const exit = yield* Fiber.join(fiber)
        if (Exit.isFailure(exit)) assert.include(String(exit.cause), "ENOMEM")
      }
    })
  )
})

describe("Mapping.lock", () => {
  it.live("locks all at once, or on touching, until it is unlocked", () =>
    Effect.gen(function* () {
      const mapping = yield* Mapping.anonymous({ length: 8 * page, shared: true })
      const locked = () => kilobytes(mapping.address, "Locked")
      yield* Mapping.lock(mapping)
      assert.strictEqual(locked(), 32)
      yield* Mapping.unlock(mapping, { offset: 4 * page })
      assert.strictEqual(locked(), 16)
      yield* Mapping.unlock(mapping)
      assert.strictEqual(locked(), 0)
      const lazy = yield* Mapping.anonymous({ length: 8 * page, shared: true })
      yield* Mapping.lock(lazy, { onFault: true })
      assert.strictEqual(kilobytes(lazy.address, "Rss"), 0)
      lazy.bytes[0] = 1
      assert.strictEqual(kilobytes(lazy.address, "Locked"), 4)
      const born = yield* Mapping.anonymous({ length: 2 * page, shared: true, locked: true })
      assert.strictEqual(kilobytes(born.address, "Locked"), 8)
    })
  )
})

describe("Mapping.protect", () => {
  it.live("leaves the views while the memory can be read and written", () =>
    Effect.gen(function* () {
      const mapping = yield* Mapping.anonymous({ length: page })
      const { bytes } = mapping
      yield* Mapping.protect(mapping, { execute: true })
      assert.strictEqual(smaps(mapping.address).get("permissions"), "rwxp")
      bytes[0] = 7
      assert.strictEqual(mapping.bytes, bytes)
      yield* Mapping.protect(mapping, {})
      assert.strictEqual(smaps(mapping.address).get("permissions"), "rw-p")
    })
  )

  it.live("takes them away with the permission, so that no store can crash, and gives new ones back", () =>
    Effect.gen(function* () {
      const mapping = yield* Mapping.anonymous({ length: page })
      const { bytes } = mapping
      bytes.fill(7)
      for (const [protection, permissions] of [
        [{ write: false }, "r--p"],
        [{ write: false, execute: true }, "r-xp"],
        [{ read: false, write: false }, "---p"],
        [{ read: false }, "-w-p"]
      ] as const) {
        yield* Mapping.protect(mapping, protection)
        assert.strictEqual(smaps(mapping.address).get("permissions"), permissions)
        assert.deepStrictEqual([bytes.length, mapping.bytes.length, mapping.buffer.byteLength], [0, 0, 0])
        bytes[0] = 8
        mapping.bytes[0] = 8
        if ("read" in protection) yield* tagged("EFAULT", Mapping.snapshot(mapping))
        else {
          const copy = yield* Mapping.snapshot(mapping, { offset: 1, length: 3 })
          assert.deepStrictEqual([...copy], [7, 7, 7])
          assert.strictEqual(mapping.bytes.length, 0)
        }
      }
      yield* Mapping.protect(mapping, { read: true, write: true })
      assert.strictEqual(mapping.bytes.length, page)
      assert.strictEqual(mapping.bytes[0], 7)
      assert.deepStrictEqual(yield* Mapping.snapshot(mapping), new Uint8Array(page).fill(7))
      yield* tagged("EINVAL", Mapping.snapshot(mapping, { length: page + 1 }))
    })
  )

  it.live("that the kernel refuses leaves the views as they were", () =>
    Effect.gen(function* () {
      const mapping = yield* Mapping.anonymous({ length: page })
      mapping.bytes[0] = 7
      const failing = Syscall.intercept(Syscall.kernel, (nr, _, proceed) =>
        nr === Syscall.nr.mprotect ? -Errno.codes.EACCES : proceed()
      )
      const refused = Mapping.protect(mapping, { write: false })
      yield* tagged("EACCES", Effect.provideService(refused, Syscall.Trampoline, failing))
      assert.strictEqual(mapping.bytes[0], 7)
    })
  )

  it.live("is released from every state", () =>
    Effect.gen(function* () {
      const addresses: Array<bigint> = []
      for (const protection of [{ write: false }, { read: false, write: false }, { execute: true }]) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const mapping = yield* Effect.flatMap(memfd(page), (file) =>
              File.mmap(file, { length: page, shared: true })
            )
            addresses.push(mapping.address)
            yield* Mapping.protect(mapping, protection)
          })
        )
      }
      assert.strictEqual(yield* mappings(/effect-linux-mapping/), 0)
      assert.strictEqual(addresses.length, 3)
    })
  )
})

describe("Mapping.remap", () => {
  it.live("grows, moves and shrinks, with what it holds; the old views are detached", () =>
    Effect.gen(function* () {
      const mapping = yield* Mapping.anonymous({ length: page, shared: false })
      mapping.bytes.fill(7)
      for (const length of [64 * page, 16 << 20, 3 * page, 100, 1]) {
        const { address, buffer, bytes } = mapping
        yield* Mapping.remap(mapping, length)
        assert.deepStrictEqual([bytes.length, buffer.byteLength], [0, 0])
        assert.deepStrictEqual(
          [mapping.length, mapping.bytes.length, mapping.buffer.byteLength],
          [length, length, length]
        )
        assert.strictEqual(mapping.bytes[0], 7)
        assert.strictEqual(Syscall.addressOf(mapping.bytes), mapping.address)
        if (mapping.address !== address) assert.isFalse(isMapped(address))
        mapping.bytes[length - 1] = 7
      }
    })
  )

  it.live("does not move where it may not, and stays whole when it fails", () =>
    Effect.gen(function* () {
      const mapping = yield* Mapping.anonymous({ length: page, shared: true })
      mapping.bytes[0] = 7
      yield* tagged("ENOMEM", Mapping.remap(mapping, 2 ** 46, { mayMove: false }))
      for (const length of [0, -1, 0.5, Number.NaN, 2 ** 60]) yield* tagged("EINVAL", Mapping.remap(mapping, length))
      assert.strictEqual(mapping.bytes[0], 7)
      assert.strictEqual(mapping.length, page)
    })
  )

  it.live("of a file goes as far as the file, so that no access to it can be a crash", () =>
    Effect.gen(function* () {
      const file = yield* memfd(64 * page + 10)
      const mapping = yield* File.mmap(file, { length: page, shared: true })
      mapping.bytes[0] = 7
      yield* Mapping.remap(mapping, 64 * page + 10)
      assert.strictEqual(mapping.bytes[64 * page + 9], 0)
      yield* Mapping.remap(mapping, 65 * page)
      const error = yield* tagged("EINVAL", Mapping.remap(mapping, 65 * page + 1))
      assert.include(String(error), "end of the file")
      assert.deepStrictEqual([mapping.length, mapping.bytes.length, mapping.bytes[0]], [65 * page, 65 * page, 7])
      yield* Mapping.remap(mapping, page)
      yield* tagged("EINVAL", Mapping.remap(mapping, 1 << 30))
      assert.strictEqual(mapping.bytes[0], 7)
    })
  )

  it.live("leaves nothing, wherever its fiber gives way and is interrupted", () =>
    Effect.gen(function* () {
      const file = yield* memfd(8 * page)
      const before = { fds: yield* openFds, mapped: yield* mappings(/effect-linux-mapping/) }
      const program = Effect.scoped(
        Effect.gen(function* () {
          const mapping = yield* File.mmap(file, { length: page, shared: true })
          yield* Mapping.remap(mapping, 4 * page)
          yield* Mapping.protect(mapping, { write: false })
          yield* Mapping.remap(mapping, 2 * page)
          yield* Mapping.protect(mapping, {})
          yield* Effect.scoped(Mapping.pin(mapping))
        })
      )
      yield* program
      for (let place = 1; place <= 60; place++) {
        for (let turns = 0; turns < 3; turns++) {
          const fiber = yield* Effect.forkChild(program.pipe(yieldingAt(place)), { startImmediately: true })
          for (let i = 0; i < turns; i++) yield* turn
          yield* Fiber.interrupt(fiber)
        }
      }
      assert.deepStrictEqual({ fds: yield* openFds, mapped: yield* mappings(/effect-linux-mapping/) }, before)
    })
  )

  it.live("is safe from a scope that closes while the end of the file is looked at", () =>
    Effect.gen(function* () {
      const file = yield* memfd(8 * page)
      for (let turns = 0; turns < 4; turns++) {
        const scope = yield* Scope.make()
        const mapping = yield* Scope.provide(File.mmap(file, { length: page, shared: true }), scope)
        const fiber = yield* Effect.forkChild(Effect.exit(Mapping.remap(mapping, 8 * page)), { startImmediately: true })
        yield* tagged("EBUSY", Mapping.remap(mapping, 2 * page)).pipe(Effect.when(Effect.succeed(turns === 0)))
        for (let i = 0; i < turns; i++) yield* turn
        yield* Scope.close(scope, Exit.void)
        yield* Fiber.join(fiber)
        assert.strictEqual(mapping.bytes.length, 0)
        assert.strictEqual(yield* mappings(/effect-linux-mapping/), 0)
      }
    })
  )
})

describe("a mapping that is populated at once", () => {
  it.live("leaves nothing where it is interrupted", () =>
    Effect.gen(function* () {
      const file = yield* memfd(256 * page)
      const before = { fds: yield* openFds, mapped: yield* mappings(/effect-linux-mapping/) }
      const map = File.mmap(file, { length: 256 * page, shared: true, populate: true })
      yield* Effect.scoped(Effect.map(map, ({ address }) => assert.strictEqual(kilobytes(address, "Rss"), 1024)))
      for (let place = 1; place <= 30; place++) {
        for (let turns = 0; turns < 4; turns++) {
          const fiber = yield* Effect.forkChild(Effect.scoped(map).pipe(yieldingAt(place)), { startImmediately: true })
          for (let i = 0; i < turns; i++) yield* turn
          yield* Fiber.interrupt(fiber)
        }
      }
      assert.deepStrictEqual({ fds: yield* openFds, mapped: yield* mappings(/effect-linux-mapping/) }, before)
    })
  )
})

describe("Mapping.pin", () => {
  it.live("keeps the memory where it is: no remap, no loss of protection, and unmapped only after it", () =>
    Effect.gen(function* () {
      const file = yield* memfd(page)
      const scope = yield* Scope.make()
      const pinning = yield* Scope.make()
      const mapping = yield* Scope.provide(File.mmap(file, { length: page, shared: true }), scope)
      const address = yield* Scope.provide(Mapping.pin(mapping), pinning)
      assert.strictEqual(address, mapping.address)
      yield* tagged("EBUSY", Mapping.remap(mapping, 1))
      yield* tagged("EBUSY", Mapping.protect(mapping, { write: false }))
      yield* Mapping.protect(mapping, { execute: true })
      yield* Mapping.advise(mapping, "willNeed")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(mapping.bytes.length, 0)
      assert.isTrue(isMapped(address))
      yield* Scope.close(pinning, Exit.void)
      assert.strictEqual(yield* mappings(/effect-linux-mapping/), 0)

      // The usual order: the pin goes first.
      yield* Effect.scoped(
        Effect.gen(function* () {
          const again = yield* File.mmap(file, { length: page, shared: true })
          yield* Effect.scoped(Mapping.pin(again))
          yield* Mapping.remap(again, 1)
          yield* Mapping.pin(again)
        })
      )
      assert.strictEqual(yield* mappings(/effect-linux-mapping/), 0)
    })
  )
})
