/** Guests that wait for interrupts: machines with controllers in the kernel, and handlers in real mode. */
import { Effect } from "effect"
import { Kvm } from "../../src/index.ts"
import { asm, codeAddress, enterRealMode } from "./guests.ts"

/** Sets up both 8259 for vectors from 0x20 and 0x28 on, edges, nothing masked. */
export const initialisePic = [
  ...asm("cli", 0xfa),
  ...asm("mov al, 0x11", 0xb0, 0x11),
  ...asm("out 0x20, al", 0xe6, 0x20),
  ...asm("out 0xa0, al", 0xe6, 0xa0),
  ...asm("mov al, 0x20", 0xb0, 0x20),
  ...asm("out 0x21, al", 0xe6, 0x21),
  ...asm("mov al, 0x28", 0xb0, 0x28),
  ...asm("out 0xa1, al", 0xe6, 0xa1),
  ...asm("mov al, 4", 0xb0, 0x04),
  ...asm("out 0x21, al", 0xe6, 0x21),
  ...asm("mov al, 2", 0xb0, 0x02),
  ...asm("out 0xa1, al", 0xe6, 0xa1),
  ...asm("mov al, 1", 0xb0, 0x01),
  ...asm("out 0x21, al", 0xe6, 0x21),
  ...asm("out 0xa1, al", 0xe6, 0xa1),
  ...asm("mov al, 0", 0xb0, 0x00),
  ...asm("out 0x21, al", 0xe6, 0x21),
  ...asm("out 0xa1, al", 0xe6, 0xa1)
]

/** Makes channel 0 of the timer tick a hundred times a second. */
export const initialiseTimer = [
  ...asm("mov al, 0x34", 0xb0, 0x34),
  ...asm("out 0x43, al", 0xe6, 0x43),
  ...asm("mov al, 0x9c", 0xb0, 0x9c),
  ...asm("out 0x40, al", 0xe6, 0x40),
  ...asm("mov al, 0x2e", 0xb0, 0x2e),
  ...asm("out 0x40, al", 0xe6, 0x40)
]

/** Where {@link apicGuest} has the local APIC: at the base of `ds`. */
const localApic = 0xfee0_0000n

/** Where it has the I/O APIC: at the base of `es`. */
const ioApic = 0xfec0_0000n

/** Masks all of the 8259, which would interrupt too, and switches the local APIC on. */
export const initialiseApic = [
  ...asm("cli", 0xfa),
  ...asm("mov al, 0xff", 0xb0, 0xff),
  ...asm("out 0x21, al", 0xe6, 0x21),
  ...asm("out 0xa1, al", 0xe6, 0xa1),
  ...asm("mov dword ptr ds:[0xf0], 0x1ff", 0x66, 0xc7, 0x06, 0xf0, 0x00, 0xff, 0x01, 0x00, 0x00)
]

/** Makes pin 10 of the I/O APIC vector 0x50 of a level, for vCPU 0. */
export const initialisePin10 = [
  ...asm("mov dword ptr es:[0], 0x24", 0x26, 0x66, 0xc7, 0x06, 0x00, 0x00, 0x24, 0x00, 0x00, 0x00),
  ...asm("mov dword ptr es:[0x10], 0x8050", 0x26, 0x66, 0xc7, 0x06, 0x10, 0x00, 0x50, 0x80, 0x00, 0x00),
  ...asm("mov dword ptr es:[0], 0x25", 0x26, 0x66, 0xc7, 0x06, 0x00, 0x00, 0x25, 0x00, 0x00, 0x00),
  ...asm("mov dword ptr es:[0x10], 0", 0x26, 0x66, 0xc7, 0x06, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00)
]

/** Says "R" on port 0x10, then halts for ever, and says "H" each time that it wakes up. */
export const waitForInterrupts = [
  ...asm("      mov al, 'R'", 0xb0, 0x52),
  ...asm("      out 0x10, al", 0xe6, 0x10),
  ...asm("      sti", 0xfb),
  ...asm("wait: hlt", 0xf4),
  ...asm("      mov al, 'H'", 0xb0, 0x48),
  ...asm("      out 0x10, al", 0xe6, 0x10),
  ...asm("      jmp wait", 0xeb, 0xf9)
]

/** Tells its vector on port 0x11, and the end of the interrupt to the first 8259. */
const picHandler = (vector: number) => [
  ...asm("push ax", 0x50),
  ...asm("mov al, vector", 0xb0, vector),
  ...asm("out 0x11, al", 0xe6, 0x11),
  ...asm("mov al, 0x20", 0xb0, 0x20),
  ...asm("out 0x20, al", 0xe6, 0x20),
  ...asm("pop ax", 0x58),
  ...asm("iret", 0xcf)
]

/** Tells its vector on port 0x11, and the end of the interrupt to the local APIC. */
const apicHandler = (vector: number) => [
  ...asm("push ax", 0x50),
  ...asm("mov al, vector", 0xb0, vector),
  ...asm("out 0x11, al", 0xe6, 0x11),
  ...asm("mov dword ptr ds:[0xb0], 0", 0x66, 0xc7, 0x06, 0xb0, 0x00, 0x00, 0x00, 0x00, 0x00),
  ...asm("pop ax", 0x58),
  ...asm("iret", 0xcf)
]

const makeWith = (
  code: ReadonlyArray<number>,
  handler: (vector: number) => ReadonlyArray<number>,
  vectors: ReadonlyArray<number>,
  options: { readonly pit?: boolean }
) =>
  Effect.gen(function* () {
    const vm = yield* Kvm.createVm()
    yield* Kvm.createIrqChip(vm)
    if (options.pit === true) yield* Kvm.createPit2(vm)
    const memory = yield* Kvm.addMemory(vm, { slot: 0, guestAddress: 0, size: 0x10000 })
    memory.bytes.set(code, codeAddress)
    const view = new DataView(memory.mapping.buffer)
    vectors.forEach((vector, index) => {
      const address = 0x3000 + 0x20 * index
      memory.bytes.set(handler(vector), address)
      view.setUint16(4 * vector, address, true)
      view.setUint16(4 * vector + 2, 0, true)
    })
    const vcpu = yield* Kvm.createVcpu(vm, 0)
    yield* enterRealMode(vcpu)
    return { vm, memory, vcpu }
  })

/** A machine with 8259, about to run the code; its handlers tell their vectors. */
export const picGuest = (
  code: ReadonlyArray<number>,
  vectors: ReadonlyArray<number>,
  options: { readonly pit?: boolean } = {}
) => makeWith(code, picHandler, vectors, options)

/** The same with the APICs at the bases of `ds` and `es`, to be set up by the code. */
export const apicGuest = (code: ReadonlyArray<number>, vectors: ReadonlyArray<number>) =>
  Effect.tap(makeWith(code, apicHandler, vectors, {}), ({ vcpu }) =>
    Kvm.modifySregs(vcpu, ({ ds, es }) => ({ ds: { ...ds, base: localApic }, es: { ...es, base: ioApic } }))
  )

/** The byte that the guest writes next, and the port: `[0x11, 0x25]`. */
export const nextByte = (vcpu: Kvm.Vcpu) =>
  Effect.flatMap(Kvm.run(vcpu), (exit) =>
    exit._tag === "Io" && exit.direction === "out"
      ? Effect.succeed([exit.port, exit.data[0]] as const)
      : Effect.die(new Error(`expected the guest to write a byte, it stopped with ${exit._tag}`))
  )

export const ready = [0x10, 0x52] as const
export const awake = [0x10, 0x48] as const

/** Whether a vCPU has halted and waits in the kernel: asked while it runs. */
export const isBlocking = (vcpu: Kvm.Vcpu) =>
  Effect.map(Kvm.getStatsFd(vcpu), (stats) =>
    Effect.map(Kvm.readStats(stats), (all) => all.get("blocking")?.[0] === 1n)
  )
