/**
 * The nested state of a vCPU: its refusal by a kernel that has none, and its form on one that has, which the test plays.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { Errno, Kvm, Syscall } from "../src/index.ts"
import { expectErrno, hlt, itKvm, makeGuest } from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"

const none = 0xffff_ffff_ffff_ffffn

const vmx: Kvm.NestedState = {
  format: Kvm.KVM_STATE_NESTED_FORMAT_VMX,
  flags: Kvm.KVM_STATE_NESTED_GUEST_MODE,
  hdr: {
    vmx: {
      vmxon_pa: 0x1000n,
      vmcs12_pa: 0x2000n,
      smm: { flags: Kvm.KVM_STATE_NESTED_SMM_VMXON },
      flags: Kvm.KVM_STATE_VMX_PREEMPTION_TIMER_DEADLINE,
      preemption_timer_deadline: 0x1234_5678_9abcn
    }
  },
  data: Uint8Array.from({ length: 0x2000 }, (_, index) => index & 0xff)
}

const svm: Kvm.NestedState = {
  format: Kvm.KVM_STATE_NESTED_FORMAT_SVM,
  flags: Kvm.KVM_STATE_NESTED_GIF_SET,
  hdr: { svm: { vmcb_pa: none } },
  data: new Uint8Array(0)
}

/** A kernel that keeps a nested state of at most so many bytes. */
const kernelWith = (capability: number) => {
  const kernel = { state: new Uint8Array(0), sizes: [] as Array<number> }
  const trampoline = Syscall.intercept(Syscall.kernel, (nr, args, proceed) => {
    const [, code, argument] = args
    if (nr !== Syscall.nr.ioctl) return proceed()
    if (code === Kvm.KVM_CHECK_EXTENSION.code && argument === Kvm.KVM_CAP_NESTED_STATE) return capability
    if (!(argument instanceof Uint8Array)) return proceed()
    if (code === Kvm.KVM_SET_NESTED_STATE.code) {
      kernel.state = argument.slice(0, Kvm.kvm_nested_state.decode(argument).size)
      return 0
    }
    if (code === Kvm.KVM_GET_NESTED_STATE.code) {
      const { size } = Kvm.kvm_nested_state.decode(argument)
      kernel.sizes.push(size)
      if (size !== argument.length) return -Errno.codes.EFAULT
      if (size < kernel.state.length) return -Errno.codes.E2BIG
      argument.set(kernel.state)
      return 0
    }
    return proceed()
  })
  return { kernel, provide: Effect.provideService(Syscall.Trampoline, trampoline) }
}

describeKvm("Kvm.getNestedState, setNestedState", () => {
  itKvm(
    "give the state and take it again, or name the capability that this kernel lacks",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt])
      if ((yield* Kvm.checkExtension(vm, Kvm.KVM_CAP_NESTED_STATE)) === 0) {
        for (const effect of [Effect.asVoid(Kvm.getNestedState(vcpu)), Kvm.setNestedState(vcpu, svm)]) {
          const error = yield* Effect.flip<void, unknown, never>(effect)
          assert.deepInclude(error, { _tag: "MissingCapability", capability: "KVM_CAP_NESTED_STATE" })
        }
        return
      }
      yield* Kvm.setCpuid2(vcpu, yield* Kvm.getSupportedCpuid)
      const state = yield* Kvm.getNestedState(vcpu)
      yield* Kvm.setNestedState(vcpu, state)
      assert.deepStrictEqual(yield* Kvm.getNestedState(vcpu), state)
    })
  )

  for (const [name, state] of [
    ["Intel's", vmx],
    ["AMD's", svm]
  ] as const) {
    itKvm(
      `${name} is what was set, head and data`,
      Effect.gen(function* () {
        const { vcpu } = yield* makeGuest([...hlt])
        const { kernel, provide } = kernelWith(0x2080)
        yield* provide(Kvm.setNestedState(vcpu, state))
        assert.strictEqual(kernel.state.length, 128 + state.data.length)
        assert.deepStrictEqual(yield* provide(Kvm.getNestedState(vcpu)), state)
        assert.deepStrictEqual(kernel.sizes, [0x2080])
      })
    )
  }

  itKvm(
    "a state that has grown is asked for with more room, and one that is smaller than its head has room for the head",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const { kernel, provide } = kernelWith(1)
      yield* provide(Kvm.setNestedState(vcpu, { ...svm, data: new Uint8Array(400).fill(7) }))
      const { data } = yield* provide(Kvm.getNestedState(vcpu))
      assert.deepStrictEqual(kernel.sizes, [128, 256, 512, 1024])
      assert.deepStrictEqual(data, new Uint8Array(400).fill(7))
    })
  )

  itKvm(
    "a value that does not fit fails with EINVAL naming it",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const { provide } = kernelWith(0x2080)
      const flags = yield* expectErrno(provide(Kvm.setNestedState(vcpu, { ...svm, flags: 0x1_0000 })), "EINVAL")
      assert.include(flags.message, "flags")
      const address = yield* expectErrno(
        provide(Kvm.setNestedState(vcpu, { ...svm, hdr: { svm: { vmcb_pa: -1n } } })),
        "EINVAL"
      )
      assert.include(address.message, "vmcb_pa")
    })
  )
})
