/**
 * Matchers for Vitest's `expect`: importing this module adds them, and their types.
 *
 * @example
 * ```ts
 * import { expect } from "@effect/vitest"
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 * import "effect-linux/testing/matchers"
 *
 * const test = Effect.gen(function* () {
 *   const vcpu = yield* Kvm.Vcpu
 *   expect(yield* Kvm.run(vcpu)).toBeExit("Io", { direction: "out", port: 0x3f8 })
 *   expect(yield* Kvm.getRegs(vcpu)).toHaveRegs({ rax: 0x48n })
 * })
 * ```
 *
 * @since 0.1.0
 */
import { expect } from "vitest"
import type * as Kvm from "../Kvm.ts"
import { formatExit } from "./describe.ts"
import { differences, type ExitOf, type ExpectedFields, registerDifferences } from "./expect.ts"

declare module "vitest" {
  interface Matchers<R, T> {
    /**
     * That a `Kvm.Exit` is of this kind, with these fields.
     */
    toBeExit: <Tag extends Kvm.Exit["_tag"]>(tag: Tag, fields?: ExpectedFields<ExitOf<Tag>>) => R
    /**
     * That registers, as `Kvm.getRegs` gives them, have these values.
     */
    toHaveRegs: (registers: Partial<Kvm.kvm_regs>) => R
  }
}

const isExit = (u: unknown): u is Kvm.Exit =>
  typeof u === "object" && u !== null && "_tag" in u && typeof u._tag === "string"

const isRegs = (u: unknown): u is Kvm.kvm_regs => typeof u === "object" && u !== null && "rip" in u && "rflags" in u

expect.extend({
  toBeExit(received: unknown, tag: Kvm.Exit["_tag"], fields: Readonly<Record<string, unknown>> = {}) {
    if (!isExit(received)) return { pass: false, message: () => `expected an exit, got ${typeof received}` }
    const difference = differences(received, tag, fields)
    if (difference === undefined) {
      return { pass: true, message: () => `expected the guest not to stop with ${formatExit(received)}` }
    }
    const { actual, expected, message } = difference
    return { pass: false, message: () => message, actual, expected }
  },
  toHaveRegs(received: unknown, registers: Partial<Kvm.kvm_regs>) {
    if (!isRegs(received)) return { pass: false, message: () => `expected registers, got ${typeof received}` }
    const difference = registerDifferences(received, registers)
    if (difference === undefined) {
      return { pass: true, message: () => `expected other registers than ${Object.keys(registers).join(", ")} say` }
    }
    const { actual, expected, message } = difference
    return { pass: false, message: () => message, actual, expected }
  }
})
