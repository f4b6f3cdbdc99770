/**
 * Forks a virtual machine: `node fork.js [count]`.
 *
 * The guest takes its time to start, then asks for a number and tells its square. It is started once; a snapshot of it,
 * taken when it asks, is forked for each number, and all forks go on at once. They share the memory of the snapshot: each
 * has to itself only the pages that it writes.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import { Kvm } from "effect-linux"

const guestAddress = 0x1000
const question = 0x11
const answer = 0x10

// 16-bit real mode, with intel syntax beside it
const code = Uint8Array.from(
  [
    [0xb9, 0x10, 0x27], //        mov  cx, 10000
    [0xff, 0x06, 0x00, 0x20], // wait: inc word [0x2000]
    [0xe2, 0xfa], //              loop wait
    [0xe4, question], //          in   al, question
    [0xf6, 0xe0], //              mul  al                  ax = al * al
    [0xe7, answer], //            out  answer, ax
    [0xf4] //                     hlt
  ].flat()
)

/** A guest that has started and asks. */
const start = Effect.gen(function* () {
  const vm = yield* Kvm.createVm()
  const memory = yield* Kvm.addMemory(vm, { slot: 0, guestAddress, size: 1 << 20 })
  memory.bytes.set(code)
  const vcpu = yield* Kvm.createVcpu(vm, 0)
  yield* Kvm.modifySregs(vcpu, ({ cs, ds }) => ({
    cs: { ...cs, base: 0n, selector: 0 },
    ds: { ...ds, base: 0n, selector: 0 }
  }))
  yield* Kvm.modifyRegs(vcpu, () => ({ rip: BigInt(guestAddress), rflags: 2n }))
  const { _tag } = yield* Kvm.run(vcpu)
  return _tag === "Io" ? vm : yield* Effect.die(new Error(`the guest did not ask, but stopped with ${_tag}`))
})

/** What a fork says when it is asked. */
const ask = Effect.fn(function* (snapshot: Kvm.Snapshot, number: number) {
  const { vcpus } = yield* Kvm.fork(snapshot)
  for (const vcpu of vcpus) {
    while (true) {
      const exit = yield* Kvm.run(vcpu)
      if (exit._tag !== "Io") break
      // What the snapshot's guest was not answered, each fork asks again.
      if (exit.direction === "in") yield* exit.respond(number)
      else return new DataView(exit.data.buffer).getUint16(0, true)
    }
  }
  return undefined
}, Effect.scoped)

const main = Effect.gen(function* () {
  const count = Number(process.argv[2] ?? 16)
  const snapshot = yield* Kvm.snapshot(yield* start)
  const { size, stored } = snapshot.memory
  console.log(`a snapshot of ${size / 1024} KiB, of which ${stored / 1024} KiB are stored`)
  const numbers = Array.from({ length: count }, (_, index) => index % 256)
  const squares = yield* Effect.forEach(numbers, (number) => ask(snapshot, number), { concurrency: 16 })
  for (const [index, square] of squares.entries()) console.log(`${numbers[index]}² = ${square}`)
})

main.pipe(Effect.scoped, Effect.provide(Kvm.layer), NodeRuntime.runMain)
