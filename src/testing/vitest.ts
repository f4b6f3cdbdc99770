/**
 * Virtual machines in Vitest: `describe` and `it` for tests that need KVM, which are skipped, with the reason, where there
 * is none.
 *
 * @since 0.1.0
 */
import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Kvm from "../Kvm.ts"
import { type TestVm, vm } from "./machine.ts"
import { kvmMissing, kvmRequired } from "./missing.ts"

const required = (): never => {
  throw new Error(`EFFECT_LINUX_REQUIRE_KVM is set, and there is no KVM: ${kvmMissing}`)
}

/**
 * `describe` for tests that need KVM. Where there is none they are skipped, and the name says why; with
 * `EFFECT_LINUX_REQUIRE_KVM=1` that is a failure.
 *
 * @example
 * ```ts
 * import { describeKvm, itVm } from "effect-linux/testing/vitest"
 * import { Effect } from "effect"
 *
 * describeKvm("my kernel", () => {
 *   itVm("halts", { code: [0xf4] }, () => Effect.void)
 * })
 * ```
 *
 * @category tests
 * @since 0.1.0
 */
export const describeKvm = (name: string, tests: () => void): void => {
  if (kvmMissing === undefined) describe(name, tests)
  else if (kvmRequired) describe(name, () => void it("needs KVM", required))
  else describe.skip(`${name} (skipped: ${kvmMissing})`, tests)
}

/**
 * `it.live` for a test with a machine of its own, made of the options of `Testing.vm`: within it `yield* Kvm.Vm`,
 * `yield* Kvm.Vcpu` and `yield* Kvm.Kvm` give it. It ends with the test, however that ends. Skipped, with the reason, where
 * there is no KVM.
 *
 * @category tests
 * @since 0.1.0
 */
export const itVm = <A, E>(
  name: string,
  options: TestVm,
  test: () => Effect.Effect<A, E, Kvm.Kvm | Kvm.Vm | Kvm.Vcpu | Scope.Scope>,
  timeout?: number
): void => {
  if (kvmMissing === undefined) {
    it.live(name, () => Effect.scoped(Effect.suspend(test)).pipe(Effect.provide(vm(options))), timeout)
  } else if (kvmRequired) it(name, required)
  else it.skip(`${name} (skipped: ${kvmMissing})`, () => {})
}
