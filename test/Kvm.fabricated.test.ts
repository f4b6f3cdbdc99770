/**
 * Exits that hardware like this does not give, decoded from a run page that the test writes in the kernel's place.
 *
 * Offsets are those of `struct kvm_run` in linux/kvm.h, by hand: the union of details begins at byte 32.
 */
import { assert } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
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
  { reason: 7, details: () => {}, expected: { _tag: "IrqWindowOpen" } },
  { reason: 11, details: (page) => page.setBigUint64(16, 7n, true), expected: { _tag: "SetTpr", cr8: 7n } },
  {
    reason: 12,
    details: (page) => {
      words(page, 32, [big])
      page.setUint32(40, 1, true)
    },
    expected: { _tag: "TprAccess", rip: big, isWrite: true }
  },
  {
    reason: 12,
    details: (page) => words(page, 32, [big]),
    expected: { _tag: "TprAccess", rip: big, isWrite: false }
  },
  {
    reason: 13,
    details: (page) => {
      page.setUint8(32, 4)
      page.setUint16(34, 0xb234, true)
      page.setUint32(36, 0xfff0_0000, true)
    },
    expected: { _tag: "S390Sieic", icptcode: 4, ipa: 0xb234, ipb: 0xfff0_0000 }
  },
  { reason: 14, details: (page) => words(page, 32, [19n]), expected: { _tag: "S390Reset", flags: 19n } },
  {
    reason: 15,
    details: (page) => {
      page.setUint32(32, 0x15, true)
      page.setUint32(36, 0xffff_fff0, true)
      page.setUint8(40, 1)
    },
    expected: { _tag: "Dcr", isWrite: true, dcrn: 0x15, data: 0xffff_fff0 }
  },
  { reason: 16, details: () => {}, expected: { _tag: "Nmi" } },
  {
    // An emulation failure, with three words: the flags, and the instruction.
    reason: 17,
    details: (page) => {
      page.setUint32(32, 1, true)
      page.setUint32(36, 3, true)
      words(page, 40, [1n, 0x0007_0605_0403_0203n, big])
    },
    expected: {
      _tag: "InternalError",
      suberror: 1,
      data: [1n, 0x0007_0605_0403_0203n, big],
      emulation: { flags: 1n, insnBytes: Uint8Array.of(2, 3, 4) }
    }
  },
  {
    reason: 17,
    details: (page) => {
      page.setUint32(32, 1, true)
      page.setUint32(36, 1, true)
      words(page, 40, [2n, big])
    },
    expected: { _tag: "InternalError", suberror: 1, data: [2n], emulation: { flags: 2n, insnBytes: undefined } }
  },
  {
    reason: 17,
    details: (page) => page.setUint32(32, 1, true),
    expected: { _tag: "InternalError", suberror: 1, data: [] }
  },
  {
    reason: 20,
    details: (page) => {
      words(page, 32, [big])
      page.setUint32(40, 0x11, true)
    },
    expected: { _tag: "S390Ucontrol", transExcCode: big, pgmCode: 0x11 }
  },
  { reason: 21, details: () => {}, expected: { _tag: "Watchdog" } },
  {
    reason: 22,
    details: (page) => {
      page.setUint16(32, 1, true)
      page.setUint16(34, 2, true)
      page.setUint32(36, 3, true)
      page.setUint32(40, 4, true)
      page.setUint32(44, 5, true)
      page.setUint8(48, 1)
    },
    expected: {
      _tag: "S390Tsch",
      subchannelId: 1,
      subchannelNr: 2,
      ioIntParm: 3,
      ioIntWord: 4,
      ipb: 5,
      dequeued: true
    }
  },
  {
    reason: 25,
    details: (page) => {
      words(page, 32, [big])
      page.setUint8(40, 1)
      page.setUint8(42, 2)
      page.setUint8(43, 3)
      page.setUint16(44, 4, true)
    },
    expected: { _tag: "S390Stsi", addr: big, ar: 1, fc: 2, sel1: 3, sel2: 4 }
  },
  { reason: 26, details: (page) => page.setUint8(32, 0x30), expected: { _tag: "IoapicEoi", vector: 0x30 } },
  {
    reason: 27,
    details: (page) => {
      page.setUint32(32, 1, true)
      page.setUint32(40, 0x4000_0080, true)
      words(page, 48, [1n, 2n, big])
    },
    expected: { _tag: "Hyperv", kind: "synic", msr: 0x4000_0080, control: 1n, evtPage: 2n, msgPage: big }
  },
  { reason: 27, details: (page) => page.setUint32(32, 99, true), expected: { _tag: "Other", reason: 27 } },
  {
    reason: 28,
    details: (page) => words(page, 32, [big, 0x9000n]),
    expected: { _tag: "ArmNisv", esrIss: big, faultIpa: 0x9000n }
  },
  { reason: 31, details: () => {}, expected: { _tag: "DirtyRingFull" } },
  { reason: 32, details: () => {}, expected: { _tag: "ApResetHold" } },
  { reason: 33, details: () => {}, expected: { _tag: "BusLock" } },
  { reason: 34, details: (page) => page.setUint32(32, 99, true), expected: { _tag: "Other", reason: 34 } },
  {
    reason: 38,
    details: (page) => {
      words(page, 32, [big, 0x0807_0605_0403_0201n])
      page.setUint32(48, 4, true)
      page.setUint8(52, 1)
    },
    expected: { _tag: "LoongarchIocsr", isWrite: true, address: big, data: Uint8Array.of(1, 2, 3, 4) }
  },
  { reason: 41, details: () => {}, expected: { _tag: "Other", reason: 41 } },
  { reason: 0xffff_fff0, details: () => {}, expected: { _tag: "Other", reason: 0xffff_fff0 } }
]

describeKvm("Kvm exits that this hardware does not give", () => {
  for (const { details, expected, reason } of cases) {
    itKvm(
      `reason ${reason} is ${expected._tag}${"kind" in expected ? ` (${expected.kind})` : ""}`,
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

/** What of an exit is no answer. */
const fieldsOf = (exit: Kvm.Exit): object =>
  Object.fromEntries(Object.entries(exit).filter(([name]) => name !== "respond" && name !== "fail"))

const readWords = (page: DataView, offset: number, count: number): ReadonlyArray<bigint> =>
  Array.from({ length: count }, (_, index) => page.getBigUint64(offset + 8 * index, true))

/** An exit that waits for an answer: a number of some bytes, at a place in the page. */
const answered: ReadonlyArray<{
  readonly reason: number
  readonly details: (page: DataView) => void
  readonly fields: object
  readonly at: number
  readonly bytes: 4 | 8
}> = [
  {
    reason: 3,
    details: (page) => words(page, 32, [12n, 1n, 2n, 3n, 4n, 5n, big, 99n, 1n]),
    fields: { _tag: "Hypercall", nr: 12n, args: [1n, 2n, 3n, 4n, 5n, big], flags: 1n },
    at: 88,
    bytes: 8
  },
  {
    reason: 15,
    details: (page) => page.setUint32(32, 0x15, true),
    fields: { _tag: "Dcr", isWrite: false, dcrn: 0x15 },
    at: 36,
    bytes: 4
  },
  {
    reason: 19,
    details: (page) => words(page, 32, [0x124n, 99n, 1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, big]),
    fields: { _tag: "PaprHcall", nr: 0x124n, args: [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, big] },
    at: 40,
    bytes: 8
  },
  { reason: 23, details: () => {}, fields: { _tag: "Epr" }, at: 32, bytes: 4 },
  {
    reason: 27,
    details: (page) => {
      page.setUint32(32, 2, true)
      words(page, 40, [0x5cn, 99n, 1n, big])
    },
    fields: { _tag: "Hyperv", kind: "hcall", input: 0x5cn, params: [1n, big] },
    at: 48,
    bytes: 8
  },
  {
    reason: 27,
    details: (page) => {
      page.setUint32(32, 3, true)
      page.setUint32(40, 0x4000_00f1, true)
      words(page, 48, [1n, 2n, 3n, 4n, big])
    },
    fields: {
      _tag: "Hyperv",
      kind: "syndbg",
      msr: 0x4000_00f1,
      control: 1n,
      status: 2n,
      sendPage: 3n,
      recvPage: 4n,
      pendingPage: big
    },
    at: 56,
    bytes: 8
  },
  {
    reason: 29,
    details: (page) => {
      page.setUint32(40, 2, true)
      page.setUint32(44, 0xc000_0080, true)
    },
    fields: { _tag: "RdMsr", reason: 2, index: 0xc000_0080 },
    at: 48,
    bytes: 8
  },
  {
    reason: 34,
    details: (page) => {
      page.setUint32(32, 1, true)
      page.setUint32(40, 1, true)
      page.setUint32(44, 3, true)
      words(page, 48, [0x11n, 99n, 1n, 2n, 3n, 4n, 5n, big])
    },
    fields: { _tag: "Xen", kind: "hcall", longMode: true, cpl: 3, input: 0x11n, params: [1n, 2n, 3n, 4n, 5n, big] },
    at: 56,
    bytes: 8
  },
  {
    reason: 40,
    details: (page) => words(page, 32, [0n, 0x10002n, 99n, big, 0x1000n]),
    fields: { _tag: "Tdx", kind: "getQuote", flags: 0n, nr: 0x10002n, gpa: big, size: 0x1000n },
    at: 48,
    bytes: 8
  },
  {
    reason: 40,
    details: (page) => words(page, 32, [0n, 0x10004n, 99n, 0x30n]),
    fields: { _tag: "Tdx", kind: "setupEventNotify", flags: 0n, nr: 0x10004n, vector: 0x30n },
    at: 48,
    bytes: 8
  },
  {
    reason: 40,
    details: (page) => words(page, 32, [1n, big, 99n, 1n, 2n, 3n, 4n, 5n]),
    fields: { _tag: "Tdx", kind: "unknown", flags: 1n, nr: big, data: [1n, 2n, 3n, 4n, 5n] },
    at: 48,
    bytes: 8
  }
]

const respondOf = (exit: Kvm.Exit): Kvm.RespondNumber => {
  switch (exit._tag) {
    case "Hypercall":
    case "PaprHcall":
    case "Epr":
    case "RdMsr":
    case "Xen":
      return exit.respond
    case "Dcr":
      if (!exit.isWrite) return exit.respond
      break
    case "Hyperv":
      if (exit.kind !== "synic") return exit.respond
      break
    case "Tdx":
      if (exit.kind !== "getTdVmCallInfo") return exit.respond
  }
  return assert.fail(`${exit._tag} is not answered with a number`)
}

describeKvm("Kvm exits that wait for a number", () => {
  for (const { at, bytes, details, fields, reason } of answered) {
    const { _tag, kind } = { kind: "", _tag: "", ...fields }
    itKvm(
      `reason ${reason} is ${_tag}${kind === "" ? "" : ` (${kind})`}, answered with ${bytes} bytes`,
      Effect.gen(function* () {
        const { vcpu } = yield* makeGuest([...hlt])
        const exit = yield* fabricate(vcpu, reason, details)
        assert.deepStrictEqual(fieldsOf(exit), fields)
        const respond = respondOf(exit)
        const before = vcpu.page.bytes.slice()
        for (const wrong of [-1, 0.5, Number.NaN, 2 ** 53, -1n, 1n << BigInt(8 * bytes)]) {
          yield* expectErrno(respond(wrong), "EINVAL")
        }
        // @ts-expect-error a string is no number
        assert.isTrue(Exit.hasDies(yield* Effect.exit(respond("1"))))
        assert.deepStrictEqual(vcpu.page.bytes.slice(), before)
        const most = (1n << BigInt(8 * bytes)) - 1n
        yield* respond(most - 1n)
        // That, and nothing but that.
        const expected = before.slice()
        expected.fill(0xff, at, at + bytes)
        expected[at] = 0xfe
        assert.deepStrictEqual(vcpu.page.bytes.slice(), expected)
        yield* respond(5)
        expected.fill(0, at, at + bytes)
        expected[at] = 5
        assert.deepStrictEqual(vcpu.page.bytes.slice(), expected)
        yield* Kvm.run(vcpu)
        yield* expectErrno(respond(1), "EINVAL")
      })
    )
  }

  itKvm(
    "reasons 29 and 30 are RdMsr and WrMsr, which can be made to fail",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const page = new DataView(vcpu.page.buffer)
      const details = (view: DataView) => {
        view.setUint32(40, 4, true)
        view.setUint32(44, 0x277, true)
        words(view, 48, [big])
      }
      const write = yield* fabricate(vcpu, 30, details)
      if (write._tag !== "WrMsr") return assert.fail(`expected WrMsr, got ${write._tag}`)
      assert.deepStrictEqual(fieldsOf(write), { _tag: "WrMsr", reason: 4, index: 0x277, data: big })
      assert.strictEqual(page.getUint8(32), 0)
      yield* write.fail
      assert.deepStrictEqual([page.getUint8(32), page.getBigUint64(48, true)], [1, big])
      const read = yield* fabricate(vcpu, 29, details)
      if (read._tag !== "RdMsr") return assert.fail(`expected RdMsr, got ${read._tag}`)
      yield* read.fail
      assert.strictEqual(page.getUint8(32), 1)
      yield* read.respond(7)
      assert.deepStrictEqual([page.getUint8(32), page.getBigUint64(48, true)], [0, 7n])
      yield* expectErrno(write.fail, "EINVAL")
    })
  )

  itKvm(
    "reason 40 is Tdx (getTdVmCallInfo), answered with a status and four registers",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const exit = yield* fabricate(vcpu, 40, (page) => words(page, 32, [0n, 0x10000n, 99n, 1n]))
      if (exit._tag !== "Tdx" || exit.kind !== "getTdVmCallInfo") return assert.fail("expected getTdVmCallInfo")
      assert.deepStrictEqual(fieldsOf(exit), {
        _tag: "Tdx",
        kind: "getTdVmCallInfo",
        flags: 0n,
        nr: 0x10000n,
        leaf: 1n
      })
      yield* exit.respond({ ret: 0n, r11: 2n, r12: 3n, r13: 4n, r14: big })
      const page = new DataView(vcpu.page.buffer)
      assert.deepStrictEqual(readWords(page, 32, 8), [0n, 0x10000n, 0n, 1n, 2n, 3n, 4n, big])
    })
  )

  itKvm(
    "reason 18 is Osi, answered with all registers",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const gprs = Array.from({ length: 32 }, (_, index) => BigInt(index))
      const exit = yield* fabricate(vcpu, 18, (page) => words(page, 32, gprs))
      if (exit._tag !== "Osi") return assert.fail(`expected Osi, got ${exit._tag}`)
      assert.deepStrictEqual(exit.gprs, gprs)
      yield* expectErrno(exit.respond([1n]), "EINVAL")
      yield* exit.respond(gprs.map((value) => value + 1n))
      const page = new DataView(vcpu.page.buffer)
      assert.deepStrictEqual(
        readWords(page, 32, 32),
        gprs.map((value) => value + 1n)
      )
    })
  )

  itKvm(
    "reason 38 is LoongarchIocsr, whose read is answered as one of memory is",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const exit = yield* fabricate(vcpu, 38, (page) => {
        words(page, 32, [0x1020n])
        page.setUint32(48, 8, true)
      })
      if (exit._tag !== "LoongarchIocsr" || exit.isWrite) return assert.fail("expected a read")
      assert.deepStrictEqual([exit.address, exit.data], [0x1020n, new Uint8Array(8)])
      yield* expectErrno(exit.respond(Uint8Array.of(1)), "EINVAL")
      yield* exit.respond(big)
      const page = new DataView(vcpu.page.buffer)
      assert.strictEqual(page.getBigUint64(40, true), big)
      yield* exit.respond(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8))
      assert.strictEqual(page.getBigUint64(40, true), 0x0807_0605_0403_0201n)
    })
  )
})

const sbi = (page: DataView) => words(page, 32, [0x10n, 3n, 1n, 2n, 3n, 4n, 5n, big])
const csr = (page: DataView) => words(page, 32, [0x15n, big, 0xffn])

describeKvm("Kvm.getRunState", () => {
  itKvm(
    "tells what the page says beside the exit, and fails with EBADF once the vCPU is closed",
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { vcpu } = yield* Scope.provide(makeGuest([...hlt]), scope)
      yield* fabricate(vcpu, 33, (page) => {
        page.setUint8(12, 1)
        page.setUint8(13, 1)
        page.setUint16(14, Kvm.KVM_RUN_X86_BUS_LOCK | Kvm.KVM_RUN_X86_SMM, true)
        words(page, 16, [9n, big])
      })
      assert.deepStrictEqual(yield* Kvm.getRunState(vcpu), {
        readyForInterruptInjection: true,
        ifFlag: true,
        flags: 3,
        cr8: 9n,
        apicBase: big
      })
      yield* Scope.close(scope, Exit.void)
      yield* expectErrno(Kvm.getRunState(vcpu), "EBADF")
      yield* expectErrno(Kvm.requestInterruptWindow(vcpu, true), "EBADF")
    })
  )
})

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
      assert.strictEqual(Kvm.Exit.InternalError({ suberror: 3, data: [] }).suberror, 3)
    })
  )

  itKvm(
    "names system events",
    Effect.sync(() => {
      assert.strictEqual(Kvm.systemEventName(Kvm.KVM_SYSTEM_EVENT_CRASH), "CRASH")
      assert.strictEqual(Kvm.systemEventName(Kvm.KVM_SYSTEM_EVENT_TDX_FATAL), "TDX_FATAL")
      for (const [name, value] of Object.entries(Kvm)) {
        if (!/^KVM_SYSTEM_EVENT_/.test(name) || /FLAG/.test(name) || typeof value !== "number") continue
        assert.strictEqual(`KVM_SYSTEM_EVENT_${Kvm.systemEventName(value)}`, name)
      }
      for (const none of [0, 8, -1, 0.5]) assert.isUndefined(Kvm.systemEventName(none))
    })
  )

  itKvm(
    "has a variant for every KVM_EXIT_* that there is",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const reasons = Object.entries(Kvm).flatMap(([name, value]) =>
        /^KVM_EXIT_(?!IO_(IN|OUT)$|HYPERV_|XEN_|FAIL_ENTRY_|HYPERCALL_)/.test(name) && typeof value === "number"
          ? [[name, value] as const]
          : []
      )
      assert.strictEqual(new Set(reasons.map(([, reason]) => reason)).size, 41)
      for (const [name, reason] of reasons) {
        // Where a reason has kinds: the first of them.
        const exit = yield* fabricate(vcpu, reason, (page) => page.setUint32(32, 1, true))
        assert.notStrictEqual(exit._tag, "Other", name)
      }
    })
  )
})
