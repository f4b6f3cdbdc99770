/** Several vCPUs of a machine, and machines of several threads, at once. */
import { readdirSync, readFileSync } from "node:fs"
import { assert } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Kvm } from "../src/index.ts"
import {
  asm,
  codeAddress,
  comesTrue,
  enterRealMode,
  hlt,
  itKvm,
  makeGuest,
  memoryCounter,
  userThreadIds
} from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"
import { mappings, openFds } from "./support/process.ts"
import { message, worker } from "./support/program.ts"

const userThreadNames = () =>
  userThreadIds().map((id) => {
    try {
      return readFileSync(`/proc/self/task/${id}/comm`, "utf8").trimEnd()
    } catch {
      return "" // ended between the two looks
    }
  })

const machine = Effect.fnUntraced(function* (code: ReadonlyArray<number>, count: number) {
  const vm = yield* Kvm.createVm()
  const memory = yield* Kvm.addMemory(vm, { slot: 0, guestAddress: codeAddress, size: 0x4000 })
  memory.bytes.set(code)
  const vcpus = yield* Effect.forEach(
    Array.from({ length: count }, (_, id) => id),
    (id) => Kvm.createVcpu(vm, id)
  )
  for (const vcpu of vcpus) yield* enterRealMode(vcpu, { rbx: BigInt(vcpu.id) })
  return { vm, memory, vcpus }
})

describeKvm("vCPUs of one machine", () => {
  itKvm(
    "run at once: two of them play ping-pong in memory and both finish",
    Effect.gen(function* () {
      // Each waits until the word says that it is its turn, and hands on: a hundred times.
      const { memory, vcpus } = yield* machine(
        [
          ...asm("      mov cx, 100", 0xb9, 0x64, 0x00),
          ...asm("wait: cmp [0x1800], bx", 0x39, 0x1e, 0x00, 0x18),
          ...asm("      jne wait", 0x75, 0xfa),
          ...asm("      inc word [0x1802]", 0xff, 0x06, 0x02, 0x18),
          ...asm("      mov ax, bx", 0x89, 0xd8),
          ...asm("      xor ax, 1", 0x83, 0xf0, 0x01),
          ...asm("      mov [0x1800], ax", 0xa3, 0x00, 0x18),
          ...asm("      loop wait", 0xe2, 0xec),
          ...hlt
        ],
        2
      )
      const ends = yield* Effect.all(vcpus.map(Kvm.run), { concurrency: "unbounded" })
      assert.deepStrictEqual(
        ends.map(({ _tag }) => _tag),
        ["Hlt", "Hlt"]
      )
      assert.strictEqual(new DataView(memory.mapping.buffer).getUint16(0x802, true), 200)
    })
  )

  itKvm(
    "run at once on fewer processors, with devices of their own and one in common",
    Effect.gen(function* () {
      const { vcpus } = yield* machine(
        [
          ...asm("      mov cx, 200", 0xb9, 0xc8, 0x00),
          ...asm("      mov dx, 0x10", 0xba, 0x10, 0x00),
          ...asm("      mov al, bl", 0x88, 0xd8),
          ...asm("next: out dx, al", 0xee),
          ...asm("      out 0x20, al", 0xe6, 0x20),
          ...asm("      loop next", 0xe2, 0xfb),
          ...hlt
        ],
        8
      )
      const sent = vcpus.map(() => 0)
      const asked = vcpus.map(() => 0)
      const bus = yield* Kvm.bus([
        Kvm.pio(0x10, 1, {
          writes: (some) => {
            for (const { value } of some) sent[value] = (sent[value] ?? 0) + 1
          }
        }),
        Kvm.pio(0x20, 1, {
          out8: (_port, value) => {
            asked[value] = (asked[value] ?? 0) + 1
          }
        })
      ])
      const run = (vcpu: Kvm.Vcpu) => Kvm.runUntil(vcpu, { bus, onHlt: () => Kvm.done(vcpu.id) })
      assert.deepStrictEqual(yield* Effect.all(vcpus.map(run), { concurrency: "unbounded" }), [0, 1, 2, 3, 4, 5, 6, 7])
      assert.deepStrictEqual(
        sent,
        vcpus.map(() => 200)
      )
      assert.deepStrictEqual(
        asked,
        vcpus.map(() => 200)
      )
    })
  )

  itKvm(
    "are paused and resumed together",
    Effect.gen(function* () {
      // Each counts a word of its own.
      const { memory, vcpus, vm } = yield* machine(
        [
          ...asm("      add bx, bx", 0x01, 0xdb),
          ...asm("next: inc word [bx+0x1800]", 0xff, 0x87, 0x00, 0x18),
          ...asm("      jmp next", 0xeb, 0xfa)
        ],
        4
      )
      const view = new DataView(memory.mapping.buffer)
      const counts = () => vcpus.map(({ id }) => view.getUint16(0x800 + 2 * id, true))
      const fibers = yield* Effect.forEach(vcpus, (vcpu) => Effect.forkChild(Kvm.run(vcpu)))
      for (let round = 0; round < 5; round++) {
        const sofar = counts()
        assert.isTrue(yield* comesTrue(() => counts().every((count, index) => count !== sofar[index])))
        yield* Kvm.whilePaused(
          vm,
          Effect.gen(function* () {
            const held = counts()
            yield* Effect.forEach(vcpus, Kvm.getRegs)
            yield* Effect.sleep("2 millis")
            assert.deepStrictEqual(counts(), held)
          })
        )
      }
      yield* Fiber.interruptAll(fibers)
    })
  )
})

describeKvm("a guest that spins for ever", () => {
  itKvm(
    "is interrupted within 50 ms, and holds the loop up for less than 10 ms",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([...memoryCounter])
      // The best of some rounds: on a busy machine this process may get no processor for as long as that.
      let stall = Number.POSITIVE_INFINITY
      let took = Number.POSITIVE_INFINITY
      for (let round = 0; round < 200 && (stall >= 10 || took >= 50); round++) {
        const sofar = new DataView(memory.mapping.buffer).getUint16(0x800, true)
        const fiber = yield* Effect.forkChild(Kvm.run(vcpu))
        let last = performance.now()
        let longest = 0
        const until = last + 15
        while (last < until) {
          yield* Effect.promise(() => new Promise(setImmediate))
          const now = performance.now()
          longest = Math.max(longest, now - last)
          last = now
        }
        assert.isTrue(yield* comesTrue(() => new DataView(memory.mapping.buffer).getUint16(0x800, true) !== sofar))
        stall = Math.min(stall, longest)
        const from = performance.now()
        yield* Fiber.interrupt(fiber)
        took = Math.min(took, performance.now() - from)
      }
      assert.isBelow(took, 50)
      assert.isBelow(stall, 10)
    })
  )
})

describeKvm("machines made and dropped", () => {
  itKvm(
    "leave no descriptor, thread or mapping, a thousand times",
    Effect.gen(function* () {
      const once = Effect.scoped(
        Effect.gen(function* () {
          const { vcpu } = yield* makeGuest([...asm("out 0x10, al", 0xe6, 0x10), ...hlt])
          const bus = yield* Kvm.bus([Kvm.serial(), Kvm.pio(0x10, 1, { writes: () => undefined })])
          return yield* Kvm.runUntil(vcpu, { bus, onHlt: () => Kvm.done(1) })
        })
      )
      yield* once
      const held = mappings(/kvm|zero/)
      const before = { fds: yield* openFds, mappings: yield* held }
      const threads = new Set(userThreadIds())
      let ended = 0
      for (let round = 0; round < 1000; round++) ended += yield* once
      assert.strictEqual(ended, 1000)
      assert.deepStrictEqual({ fds: yield* openFds, mappings: yield* held }, before)
      assert.isTrue(yield* comesTrue(() => userThreadIds().every((id) => threads.has(id))))
    })
  )
})

describeKvm("workers with a machine each", () => {
  itKvm(
    "run their guests at once, and leave nothing when they are terminated while these spin",
    Effect.gen(function* () {
      const body = `
        const { Effect, Kvm } = await library()
        const main = Effect.gen(function* () {
          const vm = yield* Kvm.createVm()
          const memory = yield* Kvm.addMemory(vm, { slot: 0, guestAddress: 0x1000, size: 0x4000 })
          memory.bytes.set(data)
          const vcpu = yield* Kvm.createVcpu(vm, 0)
          yield* Kvm.modifySregs(vcpu, ({ cs }) => ({ cs: { ...cs, base: 0n, selector: 0 } }))
          yield* Kvm.modifyRegs(vcpu, () => ({ rip: 0x1000n, rflags: 2n }))
          let sum = 0
          const bus = yield* Kvm.bus([
            Kvm.pio(0x10, 2, { writes: (some) => { for (const { value } of some) sum += value } }),
            Kvm.pio(0x20, 2, { out16: () => post(sum) })
          ])
          yield* Kvm.runUntil(vcpu, { bus })
        })
        await Effect.runPromise(main.pipe(Effect.scoped, Effect.provide(Kvm.layer)))
      `
      const code = [
        ...asm("      mov dx, 0x10", 0xba, 0x10, 0x00),
        ...asm("next: inc cx", 0x41),
        ...asm("      mov ax, cx", 0x89, 0xc8),
        ...asm("      out dx, ax", 0xef),
        ...asm("      cmp cx, 1000", 0x81, 0xf9, 0xe8, 0x03),
        ...asm("      jne next", 0x75, 0xf6),
        ...asm("      out 0x20, ax", 0xe7, 0x20),
        ...asm("here: jmp here", 0xeb, 0xfe)
      ]
      // What a worker's loop opens goes with it, some time after it.
      const held = () => readdirSync("/proc/self/fd").length
      const before = held()
      const workers = [worker(body, code), worker(body, code)]
      const sums = yield* Effect.all(workers.map(message), { concurrency: "unbounded" })
      assert.deepStrictEqual(sums, [500_500, 500_500])
      for (const each of workers) {
        yield* Effect.promise(() => each.terminate())
      }
      assert.isTrue(yield* comesTrue(() => held() === before))
      assert.isTrue(yield* comesTrue(() => userThreadNames().every((name) => name !== "effect-thread")))
    })
  )
})
