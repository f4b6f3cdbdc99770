/**
 * A virtual machine that says hello: a 16-bit guest prints through an I/O port and halts, the host prints what it hears.
 *
 *     npm run demo
 */

import { readdirSync } from "node:fs"
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import { Errno, Kvm } from "effect-linux"

const guestAddress = 0x1000
const port = 0x3f8 // where a PC has its first serial line

const text = new TextEncoder().encode("Hello from a KVM guest!\n")

const code = Uint8Array.from(
  [
    [0xbe, 0x12, 0x10], //         mov  si, 0x1012     the text, which follows the code
    [0xba, 0xf8, 0x03], //         mov  dx, 0x3f8
    [0xb9, text.length, 0x00], //  mov  cx, length
    [0xac], //               next: lodsb               al = [si++]
    [0xee], //                     out  dx, al
    [0xe2, 0xfc], //               loop next
    [0xf4], //                     hlt
    [0x90, 0x90, 0x90, 0x90] //    nop, up to 0x1012
  ].flat()
)

// Node opens a descriptor of its own for standard output when that is first used: here, so that it is not counted below.
const { stdout } = process

const program = Effect.gen(function* () {
  const vm = yield* Kvm.createVm()
  const memory = yield* Kvm.addMemory(vm, { slot: 0, guestAddress, size: 0x1000 })
  memory.bytes.set(code)
  memory.bytes.set(text, code.length)

  const vcpu = yield* Kvm.createVcpu(vm, 0)
  // Real mode: addresses are segment base plus offset, so with all bases at 0 they are plain.
  yield* Kvm.modifySregs(vcpu, ({ cs, ds }) => ({
    cs: { ...cs, base: 0n, selector: 0 },
    ds: { ...ds, base: 0n, selector: 0 }
  }))
  yield* Kvm.modifyRegs(vcpu, () => ({ rip: BigInt(guestAddress), rflags: 2n }))

  const exits = new Map<string, number>()
  while (true) {
    const exit = yield* Kvm.run(vcpu)
    exits.set(exit._tag, (exits.get(exit._tag) ?? 0) + 1)
    if (exit._tag === "Io" && exit.direction === "out" && exit.port === port) {
      stdout.write(exit.data)
    } else if (exit._tag === "Hlt") {
      return { exits, regs: yield* Kvm.getRegs(vcpu) }
    } else {
      return yield* Effect.die(new Error(`the guest stopped for another reason: ${exit._tag}`))
    }
  }
})

const openFiles = Effect.sync(() => readdirSync("/proc/self/fd").length)

const main = Effect.gen(function* () {
  const before = yield* openFiles
  const { exits, regs } = yield* program.pipe(Effect.scoped, Effect.provide(Kvm.layer))
  const after = yield* openFiles

  console.log("\nregisters:")
  for (const [name, value] of Object.entries({ ...regs })) console.log(`  ${name.padEnd(6)} 0x${value.toString(16)}`)
  console.log("exits:")
  for (const [kind, count] of exits) console.log(`  ${kind.padEnd(6)} ${count}`)
  console.log(
    after === before ? "every file descriptor is closed again" : `${after - before} file descriptors were left open`
  )
})

const noKvm = "there is no KVM in this kernel; load the module kvm_intel or kvm_amd, or allow nested virtualization"
const notAllowed =
  "you may not use it; join the group kvm (sudo usermod -aG kvm $USER) and log in again, or give the container the device"

/** What to do about `/dev/kvm` that does not open, and the code that the program ends with. */
const advice: { readonly [tag: string]: readonly [exitCode: number, advice: string] } = {
  ENOENT: [3, noKvm],
  ENODEV: [3, noKvm],
  ENXIO: [3, noKvm],
  EACCES: [4, notAllowed],
  EPERM: [4, notAllowed]
}

main.pipe(
  Effect.catchIf(Errno.isErrno, (error) =>
    Effect.sync(() => {
      const [exitCode, what] = advice[error._tag] ?? [5, "this is not the /dev/kvm that it should be"]
      console.error(`no virtual machine: ${error.message}: ${what}`)
      process.exitCode = exitCode
    })
  ),
  NodeRuntime.runMain
)
