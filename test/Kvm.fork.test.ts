/** Forks: many machines of one snapshot, apart from each other; and snapshots in files, which may hold anything. */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert } from "@effect/vitest"
import { Effect, Exit, Fiber, Schema, Scope } from "effect"
import { File, Kvm, MemFd } from "../src/index.ts"
import { asm, counter, expectExit, hlt, itKvm, makeGuest } from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"
import { mappings, openFds } from "./support/process.ts"
import { temporaryDirectory } from "./support/temporary.ts"

/** All that machines and snapshots take of this process. */
const holdings = Effect.all({ fds: openFds, mappings: mappings(/kvm-vcpu|\/dev\/zero|memfd:effect-linux-snapshot/) })

/** Counts up the byte at 0x3000 and tells it through port 0x10. */
const marker = [
  ...asm("      inc byte [0x3000]", 0xfe, 0x06, 0x00, 0x30),
  ...asm("      mov al, [0x3000]", 0xa0, 0x00, 0x30),
  ...asm("      out 0x10, al", 0xe6, 0x10),
  ...hlt
]

const only = <A>([first]: ReadonlyArray<A>): A => {
  if (first === undefined) throw new Error("expected one, there is none")
  return first
}

/** The first bytes of outputs. */
const outputs = (vcpu: Kvm.Vcpu, count: number) =>
  Effect.map(
    Effect.forEach(Array.from({ length: count }), () => expectExit(vcpu, "Io")),
    (exits) => exits.map(({ data }) => data[0])
  )

const MiB = 1 << 20

/** A machine with much memory, something in every page of it. */
const makeLarge = Effect.gen(function* () {
  const guest = yield* makeGuest(counter)
  const large = yield* Kvm.addMemory(guest.vm, { slot: 1, guestAddress: MiB, size: 8 * MiB })
  for (let at = 0; at < large.size; at += 4096) large.bytes[at] = 1
  return { ...guest, large }
})

/** Memory of mappings of snapshots that is this process's alone, in KiB. */
const ownMemory = Effect.sync(() => {
  let isSnapshot = false
  let sum = 0
  for (const line of readFileSync("/proc/self/smaps", "utf8").split("\n")) {
    if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) isSnapshot = line.includes("memfd:effect-linux-snapshot")
    else if (isSnapshot && /^(Private_Dirty|Anonymous):/.test(line)) sum += Number(/\d+/.exec(line)?.[0])
  }
  return sum
})

describeKvm("Kvm.fork", () => {
  itKvm(
    "forks see neither each other's writes nor the machine's, and none of them changes the snapshot",
    Effect.gen(function* () {
      const { memory, vcpu, vm } = yield* makeGuest(marker)
      const snapshot = yield* Kvm.snapshot(vm)
      const [one, other] = [yield* Kvm.fork(snapshot), yield* Kvm.fork(snapshot)]
      only(one.memories).bytes[0x2000] = 10
      only(other.memories).bytes[0x2000] = 20
      memory.bytes[0x2000] = 30
      assert.deepStrictEqual(yield* outputs(only(one.vcpus), 1), [11])
      assert.deepStrictEqual(yield* outputs(only(other.vcpus), 1), [21])
      assert.deepStrictEqual(yield* outputs(vcpu, 1), [31])
      assert.deepStrictEqual(yield* outputs(only((yield* Kvm.fork(snapshot)).vcpus), 1), [1])
      assert.strictEqual(only(one.memories).bytes[0x2000], 11)
    })
  )

  itKvm(
    "what the machine writes before a fork reads it for the first time does not show either",
    Effect.gen(function* () {
      const { large, vm } = yield* makeLarge
      const { memories } = yield* Kvm.fork(yield* Kvm.snapshot(vm))
      large.bytes.fill(2)
      assert.isTrue(memories[1]?.bytes.every((byte, at) => byte === (at % 4096 === 0 ? 1 : 0)))
    })
  )

  itKvm(
    "a hundred at once go on, each from the same moment, share what they do not write, and leave nothing",
    Effect.gen(function* () {
      const before = yield* holdings
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { vcpu, vm } = yield* makeLarge
          yield* outputs(vcpu, 3)
          const snapshot = yield* Kvm.snapshot(vm)
          const forks = yield* Effect.forEach(Array.from({ length: 100 }), () => Kvm.fork(snapshot), {
            concurrency: "unbounded"
          })
          const told = yield* Effect.forEach(forks, ({ vcpus }) => outputs(only(vcpus), 2), { concurrency: 10 })
          for (const values of told) assert.deepStrictEqual(values, [4, 5])
          for (const { memories } of forks) assert.strictEqual(memories[1]?.bytes[4096 * 7], 1)
          // Some pages each, of more than 2,000.
          assert.isBelow(yield* ownMemory, 100 * 64)
        })
      )
      assert.deepStrictEqual(yield* holdings, before)
    })
  )

  itKvm(
    "may live longer than the snapshot and the machine that it was taken of",
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { vcpus } = yield* Effect.scoped(
        Effect.gen(function* () {
          const { vcpu, vm } = yield* makeGuest(counter)
          yield* outputs(vcpu, 1)
          const snapshot = yield* Kvm.snapshot(vm)
          return yield* Scope.provide(Kvm.fork(snapshot), scope)
        })
      )
      assert.deepStrictEqual(yield* outputs(only(vcpus), 3), [2, 3, 4])
      yield* Scope.close(scope, Exit.void)
    })
  )

  itKvm(
    "of a decoded snapshot shares its memory where that is asked for",
    Effect.gen(function* () {
      const { vm } = yield* makeLarge
      const decoded = yield* Effect.flatMap(
        Effect.flatMap(Kvm.snapshot(vm), Schema.encodeEffect(Kvm.Snapshot)),
        Schema.decodeEffect(Kvm.Snapshot)
      )
      assert.isUndefined(decoded.memory.file)
      const shared = yield* Kvm.shareSnapshot(decoded)
      assert.isDefined(shared.memory.file)
      assert.strictEqual(yield* Kvm.shareSnapshot(shared), shared)
      const fds = yield* openFds
      const { memories } = yield* Kvm.fork(shared)
      // The machine, its vCPU, and no other file.
      assert.strictEqual(yield* openFds, fds + 2)
      assert.strictEqual(memories[1]?.bytes[4096], 1)
    })
  )

  itKvm(
    "of a machine of nothing is one",
    Effect.gen(function* () {
      const file = yield* MemFd.make("saved")
      yield* Kvm.saveSnapshot(yield* Kvm.snapshot(yield* Kvm.createVm()), file)
      const { memories, vcpus } = yield* Kvm.fork(yield* Kvm.loadSnapshot(file))
      assert.deepStrictEqual([memories, vcpus], [[], []])
    })
  )

  itKvm(
    "does what is to be prepared before there are vCPUs, and fails with its failure",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest(counter)
      yield* outputs(vcpu, 1)
      const snapshot = yield* Kvm.snapshot(vm)
      const { vcpus } = yield* Kvm.fork(snapshot, { prepare: (made) => Kvm.setBootCpuId(made, 0) })
      assert.deepStrictEqual(yield* outputs(only(vcpus), 1), [2])
      const before = yield* holdings
      const failure = yield* Effect.flip(Kvm.fork(snapshot, { prepare: () => Effect.fail("no" as const) }))
      assert.strictEqual(failure, "no")
      assert.deepStrictEqual(yield* holdings, before)
    })
  )

  itKvm(
    "sets the clock to what it was, or to what it would be now",
    Effect.gen(function* () {
      const { vm } = yield* makeGuest(counter)
      const snapshot = yield* Kvm.snapshot(vm)
      const { clock } = snapshot.clock ?? { clock: 0n }
      const continued = yield* Kvm.getClock((yield* Kvm.restore(snapshot)).vm)
      const realtime = yield* Kvm.getClock((yield* Kvm.restore(snapshot, { clock: "realtime" })).vm)
      assert.isTrue(continued.clock >= clock && continued.clock < clock + 5_000_000_000n)
      assert.isTrue(realtime.clock >= clock && realtime.clock < clock + 5_000_000_000n)
    })
  )
})

describeKvm("Kvm.fork: interrupted", () => {
  const storm = (
    name: string,
    make: (
      guest: Effect.Success<typeof makeLarge>,
      snapshot: Kvm.Snapshot
    ) => Effect.Effect<unknown, unknown, Kvm.Kvm | Scope.Scope>
  ) =>
    itKvm(
      `${name}, at any moment, leaves nothing`,
      Effect.gen(function* () {
        const guest = yield* makeLarge
        const snapshot = yield* Kvm.snapshot(guest.vm)
        const before = yield* holdings
        let interrupted = 0
        for (let turns = 0; turns < 25; turns++) {
          const fiber = yield* Effect.forkChild(Effect.scoped(make(guest, snapshot)))
          for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
          if (Exit.hasInterrupts(yield* Fiber.await(fiber))) interrupted++
          assert.deepStrictEqual(yield* holdings, before)
        }
        assert.isAbove(interrupted, 0)
        // And the machine goes on.
        assert.deepStrictEqual(yield* outputs(guest.vcpu, 1), [1])
      })
    )

  storm("taking a snapshot", ({ vm }) => Kvm.snapshot(vm))
  storm("a restore", (_, snapshot) => Kvm.restore(snapshot))
  storm("a fork", (_, snapshot) => Effect.andThen(Effect.yieldNow, Kvm.fork(snapshot)))
  storm("a load", (_, snapshot) =>
    Effect.gen(function* () {
      const file = yield* MemFd.make("saved")
      yield* Kvm.saveSnapshot(snapshot, file)
      yield* Kvm.loadSnapshot(file)
    })
  )
})

describeKvm("Kvm.saveSnapshot", () => {
  itKvm(
    "keeps zeros as holes, also in a file that held something before",
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const { vcpu, vm } = yield* makeGuest(counter)
      const large = yield* Kvm.addMemory(vm, { slot: 1, guestAddress: MiB, size: 64 * MiB })
      large.bytes[32 * MiB + 5] = 9
      large.bytes[64 * MiB - 1] = 8
      yield* outputs(vcpu, 2)
      const file = yield* File.open(join(directory, "snapshot"), { access: "readWrite", create: true, mode: 0o600 })
      yield* File.writeAll(file, new Uint8Array(MiB).fill(0xff))
      yield* Kvm.saveSnapshot(yield* Kvm.snapshot(vm), file)
      const { stx_blocks, stx_size } = yield* File.stat(file)
      assert.isTrue(stx_size > 64n * BigInt(MiB))
      assert.isTrue(stx_blocks * 512n < BigInt(MiB))
      const loaded = yield* Kvm.loadSnapshot(file)
      assert.isBelow(loaded.memory.stored, 8 * 4096)
      for (const make of [Kvm.restore, Kvm.fork]) {
        const { memories, vcpus } = yield* make(loaded)
        assert.isTrue(Buffer.from(memories[1]?.bytes ?? []).equals(large.bytes))
        assert.deepStrictEqual(yield* outputs(only(vcpus), 2), [3, 4])
      }
    })
  )

  itKvm(
    "what is done to the file later does not reach what was loaded",
    Effect.gen(function* () {
      const { vm } = yield* makeLarge
      const file = yield* MemFd.make("saved")
      yield* Kvm.saveSnapshot(yield* Kvm.snapshot(vm), file)
      const { memories } = yield* Kvm.fork(yield* Kvm.loadSnapshot(file))
      yield* File.truncate(file, 0)
      assert.isTrue(memories[1]?.bytes.every((byte, at) => byte === (at % 4096 === 0 ? 1 : 0)))
    })
  )

  itKvm(
    "any file that is no snapshot is told from one, and why",
    Effect.gen(function* () {
      const { vm } = yield* makeGuest(counter)
      const saved = yield* MemFd.make("saved")
      yield* Kvm.saveSnapshot(yield* Kvm.snapshot(vm), saved)
      yield* File.seek(saved, File.Seek.start(0))
      const whole = yield* File.readAll(saved)
      const fieldOf = (bytes: Uint8Array) =>
        Effect.scoped(
          Effect.gen(function* () {
            const file = yield* MemFd.make("damaged")
            yield* File.pwriteAll(file, bytes, 0)
            const error = yield* Effect.flip(Kvm.loadSnapshot(file))
            assert.instanceOf(error, Kvm.BadSnapshot)
            return error instanceof Kvm.BadSnapshot ? error.field : undefined
          })
        )
      const changed = (at: number, byte: number) => {
        const bytes = whole.slice()
        bytes[at] = byte
        return bytes
      }
      assert.strictEqual(yield* fieldOf(new Uint8Array(0)), "magic")
      assert.strictEqual(yield* fieldOf(new Uint8Array(10_000)), "magic")
      assert.strictEqual(yield* fieldOf(changed(0, 0)), "magic")
      assert.strictEqual(yield* fieldOf(changed(8, 2)), "version")
      assert.strictEqual(yield* fieldOf(changed(16 + 7, 0xff)), "state_length")
      assert.strictEqual(yield* fieldOf(changed(24 + 6, 1)), "memory_offset")
      assert.strictEqual(yield* fieldOf(changed(32 + 6, 1)), "memory_size")
      assert.strictEqual(yield* fieldOf(changed(40, whole[40] === 0 ? 1 : 0)), "digest")
      assert.strictEqual(yield* fieldOf(changed(200, 0)), "digest")
      // Cut short anywhere, and any single byte of the head another one.
      for (const length of [1, 8, 71, 72, 73, 4096, whole.length - 4096, whole.length - 1]) {
        assert.isDefined(yield* fieldOf(whole.slice(0, length)))
      }
      for (let at = 0; at < 72; at++) assert.isDefined(yield* fieldOf(changed(at, (whole[at] ?? 0) ^ 0x80)))
      // A whole file that says what is not so.
      const length = Number(new DataView(whole.buffer, whole.byteOffset).getBigUint64(16, true))
      const text = new TextDecoder().decode(whole.subarray(72, 72 + length))
      const saying = (wrong: string) => {
        const bytes = whole.slice()
        bytes.set(new TextEncoder().encode(wrong.padEnd(length).slice(0, length)), 72)
        const digest = createHash("sha256")
          .update(bytes.subarray(0, 40))
          .update(bytes.subarray(72, 72 + length))
        bytes.set(digest.digest(), 40)
        return bytes
      }
      for (const wrong of ["", "{", "null", "[]", "[".repeat(length), text.replace('"version":1', '"version":2')]) {
        assert.strictEqual(yield* fieldOf(saying(wrong)), "state")
      }
      assert.strictEqual(
        yield* fieldOf(saying(text.replace('"memory":{"size":16384', '"memory":{"size":20480'))),
        "memory_size"
      )
      const missing = yield* Effect.flip(Kvm.loadSnapshot(yield* File.open("/dev/null")))
      assert.strictEqual(missing._tag, "BadSnapshot")
    })
  )

  itKvm(
    "fails with the kernel's own error where the file cannot be written",
    Effect.gen(function* () {
      const { vm } = yield* makeGuest(counter)
      const snapshot = yield* Kvm.snapshot(vm)
      const error = yield* Effect.flip(Kvm.saveSnapshot(snapshot, yield* File.open("/dev/null")))
      assert.strictEqual(error._tag, "EINVAL")
    })
  )
})
