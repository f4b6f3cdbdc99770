/** The trampoline against a loop in C and against koffi, and the Effect layer on it. */

import { createRequire } from "node:module"
import { Effect } from "effect"
import { Syscall } from "effect-linux"
import koffi from "koffi"
import { compare } from "./support.ts"

// The C loop is the addon's own, for this benchmark only, so it is reached past the public surface.
const addon = createRequire(import.meta.url)("../../../build/Release/effect_linux.node")

export const trampoline = async (): Promise<void> => {
  const { getppid } = Syscall.nr
  const { call } = Syscall.kernel
  const viaKoffi = koffi.load("libc.so.6").func("int getppid()")
  await compare("getppid", 200_000, [
    { name: "C loop", run: (times) => addon.callLoop(getppid, times) },
    {
      name: "trampoline",
      run: (times) => {
        for (let i = 0; i < times; i++) call(getppid)
      }
    },
    {
      name: "koffi",
      run: (times) => {
        for (let i = 0; i < times; i++) viaKoffi()
      }
    },
    {
      name: "Syscall.getppid, yielded",
      run: (times) =>
        Effect.runPromise(
          Effect.gen(function* () {
            for (let i = 0; i < times; i++) yield* Syscall.getppid
          })
        )
    },
    {
      name: "Syscall.call(nr.getppid), yielded",
      run: (times) =>
        Effect.runPromise(
          Effect.gen(function* () {
            for (let i = 0; i < times; i++) yield* Syscall.call(getppid)
          })
        )
    }
  ])
}
