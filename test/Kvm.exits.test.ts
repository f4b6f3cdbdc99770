import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { Kvm } from "../src/index.ts"
import { asm, hlt, makeGuest, makeLongGuest, runToHlt } from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"

describeKvm("x", () => {
  it.live("a", () => Effect.gen(function* () {
    const { vcpu } = yield* makeLongGuest([...asm("mov [0x10000], rax", 0x48, 0x89, 0x04, 0x25, 0, 0, 1, 0),
       ...asm("mov rbx, [0x10000]", 0x48, 0x8b, 0x1c, 0x25, 0, 0, 1, 0), ...hlt], { rax: 0x1122334455667788n })
    console.log(yield* runToHlt(vcpu))
  }).pipe(Effect.scoped, Effect.provide(Kvm.layer)))
  it.live("b", () => Effect.gen(function* () {
    const { vcpu } = yield* makeGuest([
      ...asm("mov [0x8000], al", 0xa2, 0, 0x80),
      ...asm("mov [0x8000], ax", 0xa3, 0, 0x80),
      ...asm("mov [0x8000], eax", 0x66, 0xa3, 0, 0x80),
      ...asm("mov dx, 0x10", 0xba, 0x10, 0),
      ...asm("out dx, eax", 0x66, 0xef),
      ...asm("mov si, 0x1000", 0xbe, 0, 0x10),
      ...asm("mov cx, 5", 0xb9, 5, 0),
      ...asm("rep outsb", 0xf3, 0x6e),
      ...asm("mov cx, 5", 0xb9, 3, 0),
      ...asm("rep outsw", 0xf3, 0x6f),
      ...asm("mov di, 0x1100", 0xbf, 0, 0x11),
      ...asm("mov cx, 5", 0xb9, 5, 0),
      ...asm("rep insb", 0xf3, 0x6c),
      ...hlt], { rax: 0x1122334455667788n })
    console.log(yield* runToHlt(vcpu))
    for (const c of [[0xcc], [0x0f, 0x0b], [0x0f,0xc7,0x0e,0x00,0x18], [0xcd, 0x20], [0x0f,0x20,0xc0,0xf4]]) {
    const g = yield* makeGuest(c)
    yield* Kvm.modifySregs(g.vcpu, ({ idt }) => ({ idt: { ...idt, limit: 0 } }))
    console.log(c, yield* Kvm.run(g.vcpu))
    }
  }).pipe(Effect.scoped, Effect.provide(Kvm.layer)))
  it.live("many", () => Effect.gen(function* () {
    const t = performance.now()
    for (let i = 0; i < 50; i++) yield* Effect.scoped(Effect.flatMap(makeGuest([...hlt]), ({vcpu}) => Kvm.run(vcpu)))
    console.log("50 vms", performance.now() - t)
  }).pipe(Effect.scoped, Effect.provide(Kvm.layer)))
})
