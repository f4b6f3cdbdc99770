/** Copies into and out of guest memory by guest addresses, beside `Uint8Array.set` between the same two memories. */
import { accessSync, constants } from "node:fs"
import { Effect } from "effect"
import { Kvm } from "effect-linux"
import { compare, type Settings } from "./support.ts"
import { type Outcome, row } from "./table.ts"

const MiB = 1 << 20

const hasKvm = (): boolean => {
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** How `times` copies are made by our functions: one program, as a user would write it. */
const repeat = <E>(times: number, copy: Effect.Effect<void, E>): Promise<void> =>
  Effect.runPromise(
    Effect.gen(function* () {
      for (let i = 0; i < times; i++) yield* copy
    })
  )

const plainly = (times: number, to: Uint8Array, from: Uint8Array): void => {
  for (let i = 0; i < times; i++) to.set(from)
}

export const memory = async (settings: Settings): Promise<Outcome> => {
  if (!hasKvm()) return { rows: [], notes: ["guest memory is left out: there is no KVM"] }
  return Effect.runPromise(
    Effect.gen(function* () {
      const largest = 64 * MiB
      const vm = yield* Kvm.createVm()
      const base = 0x1_0000_0000n
      const guest = yield* Kvm.addMemory(vm, { guestAddress: base, size: largest })
      const own = new Uint8Array(largest).fill(1)
      // Pages that are there on both sides.
      guest.bytes.set(own)
      const outcomes: Array<Outcome> = []
      for (const size of settings.quick ? [MiB] : [4096, MiB, largest]) {
        const bytes = own.subarray(0, size)
        const there = guest.bytes.subarray(0, size)
        const name = size < MiB ? `${size / 1024} KiB` : `${size / MiB} MiB`
        for (const [what, ours, copy, to, from] of [
          [`${name} into guest memory`, "Kvm.writeMemory", Kvm.writeMemory(vm, base, bytes), there, bytes],
          [`${name} out of guest memory`, "Kvm.readMemoryInto", Kvm.readMemoryInto(vm, base, bytes), bytes, there]
        ] as const) {
          const other = "Uint8Array.set"
          const measured = yield* Effect.promise(() =>
            compare(settings, {
              title: what,
              ours: { name: ours, run: (times) => repeat(times, copy) },
              others: [{ name: other, run: (times) => plainly(times, to, from) }]
            })
          )
          // Of 4 KiB it is the call that costs; that line is to be seen, and has no target.
          const target = size < MiB ? {} : { target: { atMost: 1.05 } }
          outcomes.push({ rows: [row("memory", measured, { what, ours, other, ...target })], measured: [measured] })
        }
      }
      return {
        rows: outcomes.flatMap(({ rows }) => rows),
        measured: outcomes.flatMap(({ measured = [] }) => measured)
      }
    }).pipe(Effect.scoped, Effect.provide(Kvm.layer))
  )
}
