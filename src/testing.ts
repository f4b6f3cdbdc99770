/**
 * Virtual machines in tests: a machine as a layer that lives as long as the test, assertions on exits, registers and
 * memory with messages that say where the guest is, and the reason to skip where there is no KVM.
 *
 * Nothing here needs a test runner; `effect-linux/testing/vitest` has what is Vitest's, and `effect-linux/testing/matchers`
 * its matchers.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 * import * as Testing from "effect-linux/testing"
 * import { itVm } from "effect-linux/testing/vitest"
 *
 * // add ax, bx; out 0x10, ax; hlt
 * itVm("adds", { code: [0x01, 0xd8, 0xe7, 0x10, 0xf4], regs: { rax: 2n, rbx: 3n } }, () =>
 *   Effect.gen(function* () {
 *     const vcpu = yield* Kvm.Vcpu
 *     Testing.expectExit(yield* Kvm.run(vcpu), "Io", { port: 0x10, data: [5, 0] })
 *     Testing.expectExit(yield* Kvm.run(vcpu), "Hlt")
 *     yield* Testing.expectRegs(vcpu, { rax: 5n })
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 */
export { AssertionError, formatExit } from "./testing/describe.ts"
export { type ExitOf, type ExpectedFields, expectExit, expectMemory, expectRegs } from "./testing/expect.ts"
export { type TestVm, type TestVmError, vm } from "./testing/machine.ts"
export { kvmMissing, kvmRequired } from "./testing/missing.ts"
export { type RunError, type RunOptions, runToExit, type SerialOptions, serialOutput } from "./testing/run.ts"
