/** The requests of `Kvm` against the macros of linux/kvm.h. */
import { assert, describe, it } from "@effect/vitest"
import { Predicate } from "effect"
import { File, type Ioctl, Kvm } from "../src/index.ts"
import { evaluateC, isNative, missing, valid } from "./support/c.ts"

const isRequest = (u: unknown): u is Ioctl.Request<never, never, unknown, unknown> =>
  Predicate.hasProperty(u, "~effect-linux/Request")

const requests = Object.entries(Kvm).flatMap(([name, value]) => (isRequest(value) ? [[name, value] as const] : []))

/** What the headers of 6.1 do not have, from the kernel's sources. */
const younger: Readonly<Record<string, number>> = {
  KVM_SET_USER_MEMORY_REGION2: 0x40a0ae49,
  KVM_SET_MEMORY_ATTRIBUTES: 0x4020aed2,
  KVM_CREATE_GUEST_MEMFD: 0xc040aed4,
  KVM_PRE_FAULT_MEMORY: 0xc040aed5
}

const reason = isNative("x86_64") ? missing("x86_64") : "the headers are of another architecture"

describe("requests of Kvm", () => {
  it("have the kernel's names, and one that several kinds of descriptors take has theirs behind it", () => {
    for (const [exported, { name }] of requests) {
      assert.include(["", "_VM", "_VCPU", "_SYSTEM", "_DEVICE"], exported.replace(name, ""))
    }
  })

  it.skipIf(reason !== undefined)("have the numbers of the kernel's headers", () => {
    const preamble = "#include <linux/types.h>\n#include <linux/kvm.h>"
    const names = [...new Set(requests.map(([, { name }]) => name))]
    const known = valid("x86_64", preamble, names)
    const values = evaluateC("x86_64", [
      { preamble, questions: known.map((name) => ({ name, expression: `(unsigned)(${name})` })) }
    ])
    const unlike = requests.flatMap(([exported, { code, name }]) => {
      const theirs = values.get(name) ?? younger[name]
      return theirs !== undefined && BigInt(theirs) === BigInt(code) ? [] : [{ exported, ours: code, theirs }]
    })
    assert.deepStrictEqual(unlike, [])
    assert.isAtLeast(known.length, 50)
  })

  it("are refused for another descriptor, and with another argument, at compile time", () => {
    const wrong = (vm: Kvm.Vm, vcpu: Kvm.Vcpu) => [
      // @ts-expect-error: a vCPU's request
      File.ioctl(vm.file, Kvm.KVM_GET_FPU),
      // @ts-expect-error: the system's request
      File.ioctl(vcpu.file, Kvm.KVM_GET_SUPPORTED_CPUID, 10),
      // @ts-expect-error: 64 bits are a bigint
      File.ioctl(vcpu.file, Kvm.KVM_SET_VAPIC_ADDR, { vapic_addr: 1 }),
      // @ts-expect-error: a field is missing
      Kvm.setMsrs(vcpu, [{ index: 1 }]),
      // @ts-expect-error: of a vCPU
      Kvm.nmi(vm)
    ]
    assert.isFunction(wrong)
  })
})
