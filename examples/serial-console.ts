/**
 * A virtual machine with a serial console: a 16-bit guest asks for a name, polls its port for the answer as a firmware
 * would, and ends by a word to its debug port, whose value is this program's exit code.
 *
 *     echo Ada | node .build/programs/examples/serial-console.js
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import { Errno, File, Kvm } from "effect-linux"

const guestAddress = 0x1000
const question = "What is your name? "
const greeting = "Hello, "

const code = Uint8Array.from(
  [
    [0xbe, 0x60, 0x10], //        mov  si, 0x1060      the question
    [0xe8, 0x2c, 0x00], //        call print
    [0xbe, 0x80, 0x10], //        mov  si, 0x1080      the greeting
    [0xe8, 0x26, 0x00], //        call print
    [0xba, 0xfd, 0x03], // echo:  mov  dx, 0x3fd       line status
    [0xec], //              poll: in   al, dx
    [0xa8, 0x01], //              test al, 1           is there a byte?
    [0x74, 0xfb], //              jz   poll
    [0xba, 0xf8, 0x03], //        mov  dx, 0x3f8
    [0xec], //                    in   al, dx
    [0x3c, 0x0a], //              cmp  al, 10
    [0x74, 0x03], //              je   end
    [0xee], //                    out  dx, al
    [0xeb, 0xed], //              jmp  echo
    [0xb0, 0x21], //        end:  mov  al, '!'
    [0xee], //                    out  dx, al
    [0xb0, 0x0a], //              mov  al, 10
    [0xee], //                    out  dx, al
    [0xb0, 0x00], //              mov  al, 0
    [0xe6, 0xf4], //              out  0xf4, al        done
    [0xf4], //                    hlt
    Array.from({ length: 8 }, () => 0x90),
    [0xba, 0xf8, 0x03], // print: mov  dx, 0x3f8
    [0xac], //              next: lodsb                al = [si++]
    [0x84, 0xc0], //              test al, al
    [0x74, 0x03], //              jz   over
    [0xee], //                    out  dx, al
    [0xeb, 0xf8], //              jmp  next
    [0xc3] //               over: ret
  ].flat()
)

const program = Effect.gen(function* () {
  const vm = yield* Kvm.createVm()
  const memory = yield* Kvm.addMemory(vm, { slot: 0, guestAddress, size: 0x1000 })
  const encoder = new TextEncoder()
  memory.bytes.set(code)
  memory.bytes.set(encoder.encode(question), 0x60)
  memory.bytes.set(encoder.encode(greeting), 0x80)

  const vcpu = yield* Kvm.createVcpu(vm, 0)
  yield* Kvm.modifySregs(vcpu, ({ cs, ds, ss }) => ({
    cs: { ...cs, base: 0n, selector: 0 },
    ds: { ...ds, base: 0n, selector: 0 },
    ss: { ...ss, base: 0n, selector: 0 }
  }))
  yield* Kvm.modifyRegs(vcpu, () => ({ rip: BigInt(guestAddress), rsp: 0x2000n, rflags: 2n }))

  const bus = yield* Kvm.bus([
    Kvm.serial({
      port: 0x3f8,
      output: File.sink(yield* File.borrow(1)),
      input: File.stream(yield* File.borrow(0))
    }),
    Kvm.debugExit({ port: 0xf4 })
  ])
  return yield* Kvm.runUntil(vcpu, { bus })
})

program.pipe(
  Effect.scoped,
  Effect.provide(Kvm.layer),
  Effect.tap((exitCode) =>
    Effect.sync(() => {
      process.exitCode = exitCode
    })
  ),
  Effect.catchIf(Errno.isErrno, (error) =>
    Effect.sync(() => {
      console.error(`no virtual machine: ${error.message}`)
      process.exitCode = 3
    })
  ),
  NodeRuntime.runMain
)
