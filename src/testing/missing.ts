/** Whether virtual machines can be made here, and if not, why. */
import { closeSync, openSync } from "node:fs"

/**
 * Why there is no KVM here: what opening `/dev/kvm` would fail with. Undefined where there is one.
 *
 * @example
 * ```ts
 * import { describe } from "vitest"
 * import * as Testing from "effect-linux/testing"
 *
 * describe.skipIf(Testing.kvmMissing !== undefined)(`machines (${Testing.kvmMissing ?? "KVM"})`, () => {})
 * ```
 *
 * @category conditions
 * @since 0.1.0
 */
export const kvmMissing: string | undefined = ((): string | undefined => {
  try {
    // Whether it may be used does not say whether anything is behind it: a container has a node without a module, or one
    // that its control group forbids.
    closeSync(openSync("/dev/kvm", "r+"))
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
})()

/**
 * Whether a missing KVM is to be a failure rather than a reason to skip: the environment variable
 * `EFFECT_LINUX_REQUIRE_KVM` is 1. For machines of continuous integration that ought to have one.
 *
 * @category conditions
 * @since 0.1.0
 */
export const kvmRequired: boolean = process.env["EFFECT_LINUX_REQUIRE_KVM"] === "1"
