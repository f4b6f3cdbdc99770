/** Exits of a guest, and the life of a machine, beside a C program that makes the same ioctls: `kvm.c`. */
import { execFileSync, spawn } from "node:child_process"
import { accessSync, constants } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { Effect, Exit, Scope } from "effect"
import { Kvm } from "effect-linux"
import { compare, type Measured, type Settings, withDirectory } from "./support.ts"
import { type Outcome, type Row, row } from "./table.ts"

const source = fileURLToPath(new URL("../../../bench/kvm.c", import.meta.url))

/** The C program: a function that has it do something so many times, and gives the nanoseconds. */
const withProgram = <A>(
  settings: Settings,
  work: (command: (what: "out" | "life", times: number) => Promise<number>) => Promise<A>
): Promise<A> =>
  withDirectory(settings, async (directory) => {
    const path = join(directory, "kvm")
    execFileSync("cc", ["-O2", "-o", path, source], { stdio: ["ignore", "ignore", "inherit"] })
    const child = spawn(path, { stdio: ["pipe", "pipe", "inherit"] })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    try {
      return await work(async (what, times) => {
        child.stdin.write(`${what} ${times}\n`)
        return Number((await lines.next()).value)
      })
    } finally {
      child.stdin.end()
      await new Promise((resolve) => child.once("close", resolve))
    }
  })

const start = 0x1000
const size = 0x4000
const port = 0x10
const counter = [
  0x41, // next: inc cx
  ...[0x89, 0xc8], // mov ax, cx
  ...[0xe7, port], // out 0x10, ax
  ...[0xeb, 0xf9] // jmp next
]
const halt = [0xf4]

const make = Effect.fnUntraced(function* (code: ReadonlyArray<number>) {
  const vm = yield* Kvm.createVm()
  const memory = yield* Kvm.addMemory(vm, { slot: 0, guestAddress: start, size })
  memory.bytes.set(code)
  const vcpu = yield* Kvm.createVcpu(vm, 0)
  yield* Kvm.modifySregs(vcpu, ({ cs }) => ({ cs: { ...cs, base: 0n, selector: 0 } }))
  yield* Kvm.modifyRegs(vcpu, () => ({ rip: BigInt(start), rflags: 2n }))
  return vcpu
})

const names = {
  c: "a loop in C",
  inline: "Kvm.runInline",
  run: "Kvm.run, on the vCPU's thread",
  handler: "Kvm.runUntil with a handler",
  writes: "Kvm.runUntil with writes put by",
  life: "a scoped machine that runs a hlt"
}

/** Whether an exit is what the guest does, as the C program looks at it. */
const isOut = (exit: Kvm.Exit): boolean => exit._tag === "Io" && exit.direction === "out" && exit.port === port

const exits = (settings: Settings, vcpu: Kvm.Vcpu, c: (times: number) => Promise<number>): Promise<Measured> => {
  const loop = (run: typeof Kvm.run) => (times: number) =>
    Effect.runPromise(
      Effect.gen(function* () {
        for (let i = 0; i < times; i++) {
          if (!isOut(yield* run(vcpu))) throw new Error("the guest does something else")
        }
      })
    )
  let left = 0
  const handled = Effect.runSync(
    Kvm.bus([Kvm.pio(port, 2, { out16: () => (--left === 0 ? Kvm.done(undefined) : undefined) })])
  )
  const putBy = Effect.runSync(
    Kvm.bus([
      Kvm.pio(port, 2, {
        writes: (writes) => {
          left -= writes.length
          return left <= 0 ? Kvm.done(undefined) : undefined
        }
      })
    ])
  )
  return compare(settings, {
    title: "an exit for a write to a port",
    ours: { name: names.run, run: loop(Kvm.run) },
    others: [
      { name: names.c, run: c },
      { name: names.inline, run: loop(Kvm.runInline) },
      {
        name: names.handler,
        run: (times) => {
          left = times
          return Effect.runPromise(Kvm.runUntil(vcpu, { bus: handled }))
        }
      },
      {
        // It goes on until JavaScript hears that it is enough: what it really did is what counts.
        name: names.writes,
        run: async (times) => {
          left = times
          const from = process.hrtime.bigint()
          await Effect.runPromise(Kvm.runUntil(vcpu, { bus: putBy }))
          return (Number(process.hrtime.bigint() - from) * times) / (times - left)
        }
      }
    ]
  })
}

export const kvm = async (settings: Settings): Promise<Outcome> => {
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK)
  } catch (error) {
    return { rows: [], notes: [`kvm is left out: ${error}`] }
  }
  return withProgram(settings, async (command) => {
    const scope = Scope.makeUnsafe()
    try {
      const vcpu = await Effect.runPromise(make(counter).pipe(Scope.provide(scope), Effect.provide(Kvm.layer)))
      const measured = await exits(settings, vcpu, (times) => command("out", times))
      const lives = await Effect.runPromise(
        Effect.gen(function* () {
          const context = yield* Effect.context<Kvm.Kvm>()
          const one = Effect.scoped(Effect.flatMap(make(halt), Kvm.runInline))
          // The compiler sees each part of it once in a life: a few rounds would show how fast it compiles.
          yield* Effect.replicateEffect(one, settings.quick ? 10 : 3000, { discard: true })
          return yield* Effect.promise(() =>
            compare(settings, {
              title: "a machine: made, run to its hlt, destroyed",
              ours: {
                name: names.life,
                run: (times) => Effect.runPromiseWith(context)(Effect.replicateEffect(one, times, { discard: true }))
              },
              others: [{ name: names.c, run: (times) => command("life", times) }]
            })
          )
        }).pipe(Effect.provide(Kvm.layer))
      )
      const exit = (ours: string, what: string, atMost: number): Row =>
        row("kvm", measured, { what, ours, other: names.c, target: { atMost } })
      return {
        rows: [
          exit(names.inline, "exit, on this thread", 1.15),
          exit(names.run, "exit, on the vCPU's thread", 2.5),
          exit(names.handler, "exit to a handler of a bus", 2.5),
          exit(names.writes, "exit resolved natively", 1.1),
          row("kvm", lives, {
            what: "a machine's life",
            ours: names.life,
            other: names.c,
            target: { atMost: 1.3 }
          })
        ],
        measured: [measured, lives]
      }
    } finally {
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
  })
}
