/**
 * A PC's firmware, started where a processor starts: 16 bytes below 4 GiB. What it says on its debug port is printed, until
 * it ends by the debug-exit port, falls silent for good, or the time is over.
 *
 *     apt-get install seabios
 *     node .build/programs/examples/firmware.js /usr/share/seabios/bios.bin 10
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Option } from "effect"
import { File, Kvm } from "effect-linux"

const mebibyte = 1 << 20
const memory = 32 * mebibyte

/** The clock's memory, by which a firmware learns how much memory there is: in 64 KiB above 16 MiB. */
const realTimeClock = () => {
  const above = (memory - 16 * mebibyte) >> 16
  const known = new Map([
    [0x0a, 0x26],
    [0x0b, 0x02],
    [0x0d, 0x80],
    [0x34, above & 0xff],
    [0x35, above >> 8]
  ])
  let index = 0
  return Kvm.pio(0x70, 2, {
    out8: (port, value) => {
      if (port === 0x70) index = value & 0x7f
    },
    in8: (port) => (port === 0x71 ? (known.get(index) ?? 0) : 0xff)
  })
}

const program = Effect.gen(function* () {
  const [, , path = "/usr/share/seabios/bios.bin", seconds = "10"] = process.argv
  const firmware = yield* File.readAll(yield* File.open(path))

  const vm = yield* Kvm.createVm()
  // Three pages that some hosts need for real mode, out of the way of the firmware.
  yield* Kvm.setTssAddress(vm, 0xfffb_d000)
  yield* Kvm.createIrqChip(vm)
  yield* Kvm.createPit2(vm, { flags: Kvm.KVM_PIT_SPEAKER_DUMMY })

  // A PC has its firmware twice: all of it below 4 GiB, and the end of it below 1 MiB, where it can be written over.
  yield* Kvm.addMemory(vm, { guestAddress: 0, size: 0xa_0000 })
  const low = yield* Kvm.addMemory(vm, { guestAddress: 0xc_0000, size: 0x4_0000 })
  yield* Kvm.addMemory(vm, { guestAddress: mebibyte, size: memory - mebibyte })
  const high = yield* Kvm.addMemory(vm, {
    guestAddress: 0x1_0000_0000 - firmware.length,
    size: firmware.length,
    readOnly: true
  })
  high.bytes.set(firmware)
  const end = firmware.subarray(-0x2_0000)
  low.bytes.set(end, low.size - end.length)

  // A new vCPU is as after a reset already.
  const vcpu = yield* Kvm.createVcpu(vm, 0)
  yield* Kvm.x86.setDefaultCpuid(vcpu)

  const bus = yield* Kvm.bus([
    realTimeClock(),
    Kvm.pio(0x402, 1, {
      in8: () => 0xe9, // there is a debug port
      writes: (all) => {
        process.stdout.write(Uint8Array.from(all, ({ value }) => value))
      }
    }),
    Kvm.serial({ output: (bytes) => void process.stdout.write(bytes) }),
    Kvm.constant({ port: 0x92, length: 1 }, 2), // the gate of address line 20 is open
    Kvm.debugExit()
  ])
  const run = Kvm.runUntil(vcpu, {
    bus,
    // Whatever else it looks for is not there: all lines are high.
    onIo: (exit) => (exit.direction === "in" ? exit.respond(exit.data.map(() => 0xff)) : undefined),
    onMmio: (exit) => (exit.isWrite ? undefined : exit.respond(exit.data.map(() => 0xff))),
    onShutdown: () => Kvm.done(1)
  })
  const code = yield* Effect.timeoutOption(run, `${Number(seconds)} seconds`)
  process.exitCode = Option.getOrElse(code, () => 0)
})

program.pipe(Effect.scoped, Effect.provide(Kvm.layer), NodeRuntime.runMain)
