import { assert, describe, it } from "@effect/vitest"
import { Errno } from "../src/index.ts"

describe("Errno", () => {
  it("makes an instance from a code", () => {
    const error = Errno.fromCode(2, { syscall: "openat", path: "/nope" })
    assert.instanceOf(error, Errno.ENOENT)
    assert.strictEqual(error.message, 'openat("/nope"): ENOENT, no such file or directory')
  })
})
