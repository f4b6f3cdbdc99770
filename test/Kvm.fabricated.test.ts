/**
 * Exits that hardware like this does not give, decoded from a run page that the test writes in the kernel's place.
 *
 * Offsets are those of `struct kvm_run` in linux/kvm.h, by hand: the union of details begins at byte 32.
 */
import { assert } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { Errno, Kvm } from "../src/index.ts"
import { answeringRuns, expectErrno, hlt, itKvm, makeGuest } from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"

/** Runs a guest, and has this exit, written to the run page, for the kernel's answer. */
const fabricate = (vcpu: Kvm.Vcpu, reason: number, details: (page: DataView) => void, result = 0) =>
  Kvm.run(vcpu).pipe(
    answeringRuns(() => {
      const page = new DataView(vcpu.page.buffer)
      vcpu.page.bytes.fill(0, 32, 32 + 256)
      page.setUint32(8, reason, true)
      details(page)
      return result
    })
  )

const words = (page: DataView, offset: number, list: ReadonlyArray<bigint>) => {
  list.forEach((word, index) => {
    page.setBigUint64(offset + 8 * index, word, true)
  })
}

const big = 0xfedc_ba98_7654_3210n

const cases: ReadonlyArray<{
  readonly reason: number
  readonly details: (page: DataView) => void
  readonly expected: Kvm.Exit
}> = [
  {
    reason: 0,
    details: (page) => words(page, 32, [big]),
    expected: { _tag: "Unknown", hardwareExitReason: big }
  },
  {
    reason: 1,
    details: (page) => {
      page.setUint32(32, 14, true)
      page.setUint32(36, 0xffff_fff0, true)
    },
    expected: { _tag: "Exception", exception: 14, errorCode: 0xffff_fff0 }
  },
  {
    reason: 4,
    details: (page) => {
      page.setUint32(32, 3, true)
      words(page, 40, [0x1234n, 0xffff_0ff0n, 0x400n])
    },
    expected: { _tag: "Debug", exception: 3, pc: 0x1234n, dr6: 0xffff_0ff0n, dr7: 0x400n }
  },
  {
    reason: 9,
    details: (page) => {
      words(page, 32, [0x8000_0021n])
      page.setUint32(40, 7, true)
    },
    expected: { _tag: "FailEntry", hardwareEntryFailureReason: 0x8000_0021n, cpu: 7 }
  },
  { reason: 10, details: () => {}, expected: { _tag: "Intr" } },
  {
    reason: 17,
    details: (page) => {
      page.setUint32(32, 3, true)
      page.setUint32(36, 2, true)
      words(page, 40, [1n, big, 99n])
    },
    expected: { _tag: "InternalError", suberror: 3, data: [1n, big] }
  },
  {
    reason: 24,
    details: (page) => {
      page.setUint32(32, 2, true)
      page.setUint32(36, 1, true)
      words(page, 40, [big, 99n])
    },
    expected: { _tag: "SystemEvent", type: 2, data: [big] }
  },
  { reason: 37, details: (page) => page.setUint32(32, 1, true), expected: { _tag: "Notify", flags: 1 } },
  { reason: 3, details: () => {}, expected: { _tag: "Other", reason: 3 } },
  { reason: 0xffff_fff0, details: () => {}, expected: { _tag: "Other", reason: 0xffff_fff0 } }
]

describeKvm("Kvm exits that this hardware does not give", () => {
  for (const { details, expected, reason } of cases) {
    itKvm(
      `reason ${reason} is ${expected._tag}`,
      Effect.gen(function* () {
        const { vcpu } = yield* makeGuest([...hlt])
        assert.deepStrictEqual(yield* fabricate(vcpu, reason, details), expected)
        // Nothing of it sticks: the real guest is as it was.
        assert.deepStrictEqual(yield* Kvm.run(vcpu), { _tag: "Hlt" })
      })
    )
  }

  itKvm(
    "Io out with a count above 1 carries all values, from where the page says",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const exit = yield* fabricate(vcpu, 2, (page) => {
        page.setUint8(32, 1) // out
        page.setUint8(33, 2) // bytes each
        page.setUint16(34, 0x3f8, true)
        page.setUint32(36, 3, true)
        page.setBigUint64(40, 0x1000n, true)
        vcpu.page.bytes.set([1, 2, 3, 4, 5, 6, 7], 0x1000)
      })
      assert.deepStrictEqual(exit, {
        _tag: "Io",
        direction: "out",
        port: 0x3f8,
        size: 2,
        count: 3,
        data: Uint8Array.of(1, 2, 3, 4, 5, 6)
      })
    })
  )

  for (const code of ["EFAULT", "EHWPOISON"] as const) {
    itKvm(
      `reason 39 with ${code} is MemoryFault, no error`,
      Effect.gen(function* () {
        const { vcpu } = yield* makeGuest([...hlt])
        const exit = yield* fabricate(vcpu, 39, (page) => words(page, 32, [8n, big, 0x1000n]), -Errno.codes[code])
        assert.deepStrictEqual(exit, { _tag: "MemoryFault", flags: 8n, gpa: big, size: 0x1000n })
      })
    )
  }

  itKvm(
    "EFAULT without that reason is the error EFAULT, of the request KVM_RUN",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const error = yield* expectErrno(
        fabricate(vcpu, 0, () => {}, -Errno.codes.EFAULT),
        "EFAULT"
      )
      assert.include(error.message, "KVM_RUN")
    })
  )

  itKvm(
    "an errno that KVM does not document is OtherErrno with its name",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const error = yield* expectErrno(
        fabricate(vcpu, 0, () => {}, -Errno.codes.EXDEV),
        "OtherErrno"
      )
      assert.strictEqual(error.errno, Errno.codes.EXDEV)
    })
  )

  itKvm(
    "EINTR is Intr, whatever the page said before",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      assert.deepStrictEqual(yield* fabricate(vcpu, 5, () => {}, -Errno.codes.EINTR), { _tag: "Intr" })
    })
  )
})

const sbi = (page: DataView) => words(page, 32, [0x10n, 3n, 1n, 2n, 3n, 4n, 5n, big])
const csr = (page: DataView) => words(page, 32, [0x15n, big, 0xffn])

describeKvm("Kvm exits of RISC-V", () => {
  itKvm(
    "reason 35 is RiscvSbi, answered with an error and a value",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const exit = yield* fabricate(vcpu, 35, sbi)
      if (exit._tag !== "RiscvSbi") return assert.fail(`expected RiscvSbi, got ${exit._tag}`)
      const { args, extensionId, functionId } = exit
      assert.deepStrictEqual(
        { args, extensionId, functionId },
        { extensionId: 0x10n, functionId: 3n, args: [1n, 2n, 3n, 4n, 5n, big] }
      )
      yield* exit.respond([7n, big])
      const page = new DataView(vcpu.page.buffer)
      assert.deepStrictEqual([page.getBigUint64(96, true), page.getBigUint64(104, true)], [7n, big])
    })
  )

  itKvm(
    "reason 36 is RiscvCsr, answered with a value",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const exit = yield* fabricate(vcpu, 36, csr)
      if (exit._tag !== "RiscvCsr") return assert.fail(`expected RiscvCsr, got ${exit._tag}`)
      const { csrNum, newValue, writeMask } = exit
      assert.deepStrictEqual({ csrNum, newValue, writeMask }, { csrNum: 0x15n, newValue: big, writeMask: 0xffn })
      yield* exit.respond(big)
      assert.strictEqual(new DataView(vcpu.page.buffer).getBigUint64(56, true), big)
    })
  )

  itKvm(
    "an answer that does not fit fails with EINVAL, one of another type is a defect",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const call = yield* fabricate(vcpu, 35, sbi)
      if (call._tag !== "RiscvSbi") return assert.fail(`expected RiscvSbi, got ${call._tag}`)
      yield* expectErrno(call.respond([0n, 1n << 64n]), "EINVAL")
      yield* expectErrno(call.respond([-1n, 0n]), "EINVAL")
      // @ts-expect-error numbers are no bigints
      assert.isTrue(Exit.hasDies(yield* Effect.exit(call.respond(["0", "0"]))))

      const register = yield* fabricate(vcpu, 36, csr)
      if (register._tag !== "RiscvCsr") return assert.fail(`expected RiscvCsr, got ${register._tag}`)
      yield* expectErrno(register.respond(1n << 64n), "EINVAL")
      // @ts-expect-error a string is no bigint
      assert.isTrue(Exit.hasDies(yield* Effect.exit(register.respond("1"))))
    })
  )

  itKvm(
    "an exit of before another run fails with EINVAL",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const call = yield* fabricate(vcpu, 35, sbi)
      const register = yield* fabricate(vcpu, 36, csr)
      yield* Kvm.run(vcpu)
      if (call._tag !== "RiscvSbi" || register._tag !== "RiscvCsr") return assert.fail("expected exits of RISC-V")
      yield* expectErrno(call.respond([0n, 0n]), "EINVAL")
      yield* expectErrno(register.respond(0n), "EINVAL")
    })
  )
})

describeKvm("Kvm.Exit", () => {
  itKvm(
    "has constructors, guards and a matcher for programs that handle exits",
    Effect.sync(() => {
      const exit = Kvm.Exit.Notify({ flags: 1 })
      assert.deepStrictEqual({ ...exit }, { _tag: "Notify", flags: 1 })
      assert.isTrue(Kvm.Exit.$is("Notify")(exit))
      assert.isFalse(Kvm.Exit.$is("Hlt")(exit))
    })
  )
})
