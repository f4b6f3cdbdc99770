/** (a), (b): the trampoline against loops in C and against koffi, and the Effect layer on it. */
import { createRequire } from "node:module"
import { Effect } from "effect"
import { Syscall } from "effect-linux"
import koffi from "koffi"
import { compare, type Settings } from "./support.ts"
import { type Outcome, row } from "./table.ts"

// The loops in C are the addon's own, for this benchmark only, so they are reached past the public surface.
const addon = createRequire(import.meta.url)("../../../build/Release/effect_linux.node")

const names = {
  loop: "a loop in C, by libc's syscall()",
  bare: "a loop in C, of the bare instruction",
  call: "Syscall.kernel.call",
  koffi: "koffi",
  value: "yield* Syscall.getppid",
  byNumber: "yield* Syscall.call(nr.getppid)"
}

export const trampoline = async (settings: Settings): Promise<Outcome> => {
  const { getppid } = Syscall.nr
  const { call } = Syscall.kernel
  const viaKoffi = koffi.load("libc.so.6").func("int getppid()")
  const measured = await compare(settings, {
    title: "getppid",
    ours: {
      name: names.value,
      run: (times) =>
        Effect.runPromise(
          Effect.gen(function* () {
            for (let i = 0; i < times; i++) yield* Syscall.getppid
          })
        )
    },
    others: [
      {
        name: names.byNumber,
        run: (times) =>
          Effect.runPromise(
            Effect.gen(function* () {
              for (let i = 0; i < times; i++) yield* Syscall.call(getppid)
            })
          )
      },
      {
        name: names.call,
        run: (times) => {
          for (let i = 0; i < times; i++) call(getppid)
        }
      },
      // As a C program makes it; and as no function can, as it would have to return.
      { name: names.loop, run: (times) => addon.callLoop(getppid, times) },
      { name: names.bare, run: (times) => addon.callLoop(getppid, times, true) },
      {
        name: names.koffi,
        run: (times) => {
          for (let i = 0; i < times; i++) viaKoffi()
        }
      }
    ]
  })
  // The plain calls are a loop of JavaScript without an end in it: they have no event loop to stall.
  const plain = { ...measured, stall: Number.NaN }
  return {
    rows: [
      row("trampoline", plain, {
        what: "getppid, trampoline",
        ours: names.call,
        other: names.loop,
        target: { atMost: 1.6 }
      }),
      row("trampoline", plain, { what: "getppid, trampoline", ours: names.call, other: names.bare }),
      row("trampoline", plain, {
        what: "getppid, trampoline",
        ours: names.call,
        other: names.koffi,
        target: { atMost: 1 }
      }),
      row("trampoline", measured, {
        what: "getppid in a generator",
        ours: names.value,
        other: names.call,
        target: { above: 300 }
      }),
      row("trampoline", measured, {
        what: "call(nr) in a generator",
        ours: names.byNumber,
        other: names.call,
        target: { above: 300 }
      })
    ],
    measured: [measured]
  }
}
