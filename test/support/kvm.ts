/** Whether tests of KVM can run here, and if not, why. `EFFECT_LINUX_REQUIRE_KVM=1` makes a missing KVM a failure. */

import { accessSync, constants } from "node:fs"
import { describe } from "@effect/vitest"

const missing = ((): string | undefined => {
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
})()

/** `describe` for tests that need `/dev/kvm`. */
export const describeKvm = (name: string, tests: () => void): void => {
  if (missing === undefined) {
    describe(name, tests)
  } else if (process.env["EFFECT_LINUX_REQUIRE_KVM"] === "1") {
    describe(name, () => {
      throw new Error(`EFFECT_LINUX_REQUIRE_KVM is set, and there is no KVM: ${missing}`)
    })
  } else {
    describe.skip(`${name} (skipped: ${missing})`, tests)
  }
}
