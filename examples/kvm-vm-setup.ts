/**
 * Layer 3, step by step: a machine with one read-only page of memory and one vCPU, run once.
 *
 * The guest is a single instruction, `ud2`, which is undefined by definition. A guest without an interrupt table cannot
 * handle that, so the run ends in a triple fault; the point is to see each step's result.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import { Kvm } from "effect-linux"

const guestAddress = 0x1000

const program = Effect.gen(function* () {
  console.log(`KVM API version ${yield* Kvm.getApiVersion}`)

  const vm = yield* Kvm.createVm()
  console.log(`created a VM: ${vm.file}`)

  const memory = yield* Kvm.addMemory(vm, { slot: 0, guestAddress, size: 0x1000, readOnly: true })
  memory.bytes.set([0x0f, 0x0b]) // ud2
  console.log(`registered ${memory.size} bytes of memory at 0x${memory.guestAddress.toString(16)}`)

  const vcpu = yield* Kvm.createVcpu(vm, 0)
  console.log(`created vCPU ${vcpu.id}: ${vcpu.file}, run page of ${vcpu.page.length} bytes`)

  yield* Kvm.modifySregs(vcpu, ({ cs, idt }) => ({
    cs: { ...cs, base: 0n, selector: 0 },
    idt: { ...idt, limit: 0 } // no interrupt table: the fault cannot be delivered
  }))
  yield* Kvm.modifyRegs(vcpu, () => ({ rip: BigInt(guestAddress), rflags: 2n }))
  console.log("set initial register values")

  const exit = yield* Kvm.run(vcpu)
  console.log("ran until:", exit)
  const regs = yield* Kvm.getRegs(vcpu)
  console.log("registers after running:", regs)
})

program.pipe(Effect.scoped, Effect.provide(Kvm.layer), NodeRuntime.runMain)
