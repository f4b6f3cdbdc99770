/** Model-specific registers of a real vCPU, the time stamp counter, and registers that tell of the system's features. */
import { assert, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Errno, Kvm, Syscall } from "../src/index.ts"
import { asm, expectErrno, expectExit, hlt, itKvm, makeGuest } from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"

const { CSTAR, KERNEL_GS_BASE, LSTAR, PAT, STAR, SYSENTER_EIP, TIME_STAMP_COUNTER } = Kvm.Msr

const u64 = Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: 0n, maximum: 0xffff_ffff_ffff_ffffn }))
/** An address that 48-bit paging can have, in either half. */
const canonical = Schema.BigInt.check(
  Schema.isBetweenBigInt({ minimum: -0x8000_0000_0000n, maximum: 0x7fff_ffff_ffffn })
)

/** No processor has it. */
const none = 0x1234_5678

/** How many requests of a kind are made while `effect` runs. */
const counting = <A, E, R>(request: { readonly code: number }, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    let count = 0
    const value = yield* effect.pipe(
      Effect.provideService(
        Syscall.Trampoline,
        Syscall.record(Syscall.kernel, ({ args, nr }) => {
          if (nr === Syscall.nr.ioctl && args[1] === request.code) count++
        })
      )
    )
    return { count, value }
  })

describeKvm("Kvm.getMsrs, setMsrs", () => {
  it.live.prop("what is set is what is read", { star: u64, lstar: canonical, gs: canonical }, ({ gs, lstar, star }) =>
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const entries = [
        { index: STAR, data: star },
        { index: LSTAR, data: BigInt.asUintN(64, lstar) },
        { index: KERNEL_GS_BASE, data: BigInt.asUintN(64, gs) }
      ]
      yield* Kvm.setMsrs(vcpu, entries)
      assert.deepStrictEqual(yield* Kvm.getMsrs(vcpu, [STAR, LSTAR, KERNEL_GS_BASE]), entries)
      assert.deepStrictEqual(yield* Kvm.getMsrs(vcpu, [LSTAR]), entries.slice(1, 2))
    }).pipe(Effect.scoped, Effect.provide(Kvm.layer))
  )

  itKvm(
    "the guest reads what the host set, and the host what the guest wrote",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest(
        [
          ...asm("rdmsr", 0x0f, 0x32),
          ...asm("inc eax", 0x66, 0x40),
          ...asm("inc ecx", 0x66, 0x41),
          ...asm("wrmsr", 0x0f, 0x30),
          ...hlt
        ],
        { rcx: BigInt(LSTAR) }
      )
      yield* Kvm.setMsrs(vcpu, [{ index: LSTAR, data: 0x7fff_1234_5678n }])
      yield* expectExit(vcpu, "Hlt")
      assert.deepStrictEqual(yield* Kvm.getMsrs(vcpu, [CSTAR]), [{ index: CSTAR, data: 0x7fff_1234_5679n }])
    })
  )

  itKvm(
    "reading stops at a register that there is none of, names it, and gives those before it",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      yield* Kvm.setMsrs(vcpu, [{ index: STAR, data: 7n }])
      const error = yield* Effect.flip(Kvm.getMsrs(vcpu, [STAR, none, PAT]))
      assert.instanceOf(error, Kvm.RefusedMsr)
      assert.deepInclude(error, { access: "read", index: none, data: undefined })
      assert.strictEqual(error.message, "KVM_GET_MSRS: MSR 0x12345678 cannot be read")
      if (error._tag === "RefusedMsr") assert.deepStrictEqual(error.done, [{ index: STAR, data: 7n }])
      const first = yield* Effect.flip(Kvm.getMsrs(vcpu, [none]))
      assert.deepInclude(first, { _tag: "RefusedMsr", index: none })
    })
  )

  itKvm(
    "setting stops at a value that the register cannot have, names it, and has set those before it and none after it",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const noAddress = 0x8000_0000_0000_0000n
      const error = yield* Effect.flip(
        Kvm.setMsrs(vcpu, [
          { index: STAR, data: 1n },
          { index: LSTAR, data: noAddress },
          { index: SYSENTER_EIP, data: 3n }
        ])
      )
      assert.deepInclude(error, { _tag: "RefusedMsr", access: "write", index: LSTAR, data: noAddress })
      assert.strictEqual(error.message, "KVM_SET_MSRS: MSR 0xc0000082 cannot be set to 0x8000000000000000")
      const now = yield* Kvm.getMsrs(vcpu, [STAR, LSTAR, SYSENTER_EIP])
      assert.deepStrictEqual(
        now.map(({ data }) => data),
        [1n, 0n, 0n]
      )
    })
  )

  itKvm(
    "of none nothing is asked, and of many as often as it takes",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      assert.deepStrictEqual(yield* counting(Kvm.KVM_GET_MSRS, Kvm.getMsrs(vcpu, [])), { count: 0, value: [] })
      yield* Kvm.setMsrs(vcpu, [])
      for (const length of [255, 256, 257, 1000]) {
        const entries = Array.from({ length }, (_, at) => ({ index: at % 2 === 0 ? STAR : LSTAR, data: BigInt(at) }))
        const written = yield* counting(Kvm.KVM_SET_MSRS, Kvm.setMsrs(vcpu, entries))
        assert.isAtMost(written.count, Math.ceil(length / 255))
        const { value } = yield* counting(
          Kvm.KVM_GET_MSRS,
          Kvm.getMsrs(
            vcpu,
            entries.map(({ index }) => index)
          )
        )
        assert.strictEqual(value.length, length)
        const last = entries.filter(({ index }) => index === STAR).at(-1)
        assert.deepStrictEqual(value[0], last)
        const error = yield* Effect.flip(Kvm.getMsrs(vcpu, [...entries.map(({ index }) => index), none, STAR]))
        assert.strictEqual(error._tag === "RefusedMsr" && error.done.length, length)
      }
    })
  )

  itKvm(
    "an older kernel that takes fewer at once is given fewer",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const sizes: Array<number> = []
      const values = yield* Kvm.getMsrs(
        vcpu,
        Array.from({ length: 40 }, () => STAR)
      ).pipe(
        Effect.provideService(
          Syscall.Trampoline,
          Syscall.intercept(Syscall.kernel, (nr, args, proceed) => {
            const [, code, memory] = args
            if (nr !== Syscall.nr.ioctl || code !== Kvm.KVM_GET_MSRS.code || !(memory instanceof Uint8Array)) {
              return proceed()
            }
            const { nmsrs } = Kvm.kvm_msrs.decode(memory)
            sizes.push(nmsrs)
            return nmsrs > 16 ? -Errno.codes.E2BIG : proceed()
          })
        )
      )
      assert.strictEqual(values.length, 40)
      assert.strictEqual(Math.max(...sizes.slice(-3)), 15)
    })
  )

  itKvm(
    "an index or value that does not fit fails with EINVAL naming it",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      for (const index of [-1, 2 ** 32, 1.5]) {
        const error = yield* expectErrno(Kvm.getMsrs(vcpu, [STAR, index]), "EINVAL")
        assert.include(error.message, "msrs[1].index")
      }
      const error = yield* expectErrno(Kvm.setMsrs(vcpu, [{ index: STAR, data: -1n }]), "EINVAL")
      assert.include(error.message, "msrs[0].data")
    })
  )
})

describeKvm("Kvm.getMsrIndexList", () => {
  itKvm(
    "has what a guest's state is made of; what a vCPU has of it can be set again as it was read",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      yield* Kvm.setCpuid2(vcpu, yield* Kvm.getSupportedCpuid)
      const indices = yield* Kvm.getMsrIndexList
      assert.includeMembers([...indices], [STAR, LSTAR, PAT, TIME_STAMP_COUNTER, Kvm.Msr.SYSENTER_CS])
      assert.strictEqual(new Set(indices).size, indices.length)
      let kept = 0
      for (const index of indices) {
        // Some of KVM's own need what this vCPU has not, be it for reading or for setting them.
        const saved = yield* Kvm.getMsrs(vcpu, [index]).pipe(
          Effect.tap((entries) => Kvm.setMsrs(vcpu, entries)),
          Effect.catchTag("RefusedMsr", (error) =>
            Effect.sync(() => {
              assert.strictEqual(error.index, index)
              return []
            })
          )
        )
        kept += saved.length
        if (saved.length === 1 && index !== TIME_STAMP_COUNTER) {
          assert.deepStrictEqual(yield* Kvm.getMsrs(vcpu, [index]), saved)
        }
      }
      assert.isAtLeast(kept, 10)
    })
  )

  itKvm(
    "asks again with more room for as long as the kernel says that there is too little",
    Effect.gen(function* () {
      const rooms: Array<number> = []
      const indices = yield* Kvm.getMsrIndexList.pipe(
        Effect.provideService(
          Syscall.Trampoline,
          Syscall.intercept(Syscall.kernel, (nr, args, proceed) => {
            const [, code, memory] = args
            if (
              nr !== Syscall.nr.ioctl ||
              code !== Kvm.KVM_GET_MSR_INDEX_LIST.code ||
              !(memory instanceof Uint8Array)
            ) {
              return proceed()
            }
            const room = memory.length / 4 - 1
            rooms.push(room)
            return room < 3000 ? -Errno.codes.E2BIG : proceed()
          })
        )
      )
      assert.deepStrictEqual(indices, yield* Kvm.getMsrIndexList)
      assert.deepStrictEqual(rooms, [512, 1024, 2048, 4096])
    })
  )
})

describeKvm("Kvm.getMsrFeatureIndexList, getFeatureMsrs", () => {
  itKvm(
    "every register that tells of features can be read",
    Effect.gen(function* () {
      const indices = yield* Kvm.getMsrFeatureIndexList
      const entries = yield* Kvm.getFeatureMsrs(indices)
      assert.deepStrictEqual(
        entries.map(({ index }) => index),
        indices
      )
    })
  )

  itKvm(
    "another one is named",
    Effect.gen(function* () {
      const error = yield* Effect.flip(Kvm.getFeatureMsrs([none]))
      assert.deepInclude(error, { _tag: "RefusedMsr", index: none, access: "read", done: [] })
    })
  )

  itKvm(
    "a kernel without them lacks a capability, which is known before they are asked for",
    Effect.gen(function* () {
      const asked: Array<Syscall.Argument> = []
      const error = yield* Effect.flip(Kvm.getMsrFeatureIndexList).pipe(
        Effect.provideService(
          Syscall.Trampoline,
          Syscall.intercept(Syscall.kernel, (nr, args, proceed) => {
            if (nr === Syscall.nr.ioctl) asked.push(args[1] ?? 0)
            return nr === Syscall.nr.ioctl && args[1] === Kvm.KVM_CHECK_EXTENSION.code ? 0 : proceed()
          })
        )
      )
      assert.deepInclude(error, { _tag: "MissingCapability", capability: "KVM_CAP_GET_MSR_FEATURES" })
      assert.deepStrictEqual(asked, [Kvm.KVM_CHECK_EXTENSION.code])
    })
  )
})

describeKvm("Kvm.getTscKhz, setTscKhz", () => {
  itKvm(
    "a vCPU's counter has a frequency; setting it needs hardware, and a kernel, that can",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt])
      const khz = yield* Kvm.getTscKhz(vcpu)
      assert.isAbove(khz, 100_000)
      if ((yield* Kvm.checkExtension(vm, Kvm.KVM_CAP_TSC_CONTROL)) === 0) {
        const error = yield* Effect.flip(Kvm.setTscKhz(vcpu, khz))
        assert.deepInclude(error, { _tag: "MissingCapability", capability: "KVM_CAP_TSC_CONTROL" })
      } else {
        yield* Kvm.setTscKhz(vcpu, khz - 1000)
        assert.strictEqual(yield* Kvm.getTscKhz(vcpu), khz - 1000)
      }
    })
  )

  itKvm(
    "a machine's is that of the vCPUs to come",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      if ((yield* Kvm.checkExtension(vm, Kvm.KVM_CAP_VM_TSC_CONTROL)) === 0) {
        for (const effect of [Kvm.getTscKhz(vm), Kvm.setTscKhz(vm, 1_000_000)]) {
          const error = yield* Effect.flip(Effect.asVoid(effect))
          assert.deepInclude(error, { _tag: "MissingCapability", capability: "KVM_CAP_VM_TSC_CONTROL" })
        }
        return
      }
      const khz = yield* Kvm.getTscKhz(vm)
      yield* Kvm.setTscKhz(vm, khz - 1000)
      assert.strictEqual(yield* Kvm.getTscKhz(yield* Kvm.createVcpu(vm, 0)), khz - 1000)
    })
  )

  itKvm(
    "a frequency that is no number of 64 bits fails with EINVAL, where it can be set at all",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const error = yield* Effect.flip(Kvm.setTscKhz(vcpu, 1.5))
      assert.include(["EINVAL", "MissingCapability"], error._tag)
    })
  )
})

describeKvm("Kvm.kvmclockCtrl", () => {
  itKvm(
    "sets the flag of a guest that uses the clock, and fails with EINVAL for one that does not",
    Effect.gen(function* () {
      const { memory, vcpu } = yield* makeGuest([...hlt])
      yield* expectErrno(Kvm.kvmclockCtrl(vcpu), "EINVAL")
      yield* Kvm.setCpuid2(vcpu, yield* Kvm.getSupportedCpuid)
      yield* Kvm.setMsrs(vcpu, [{ index: Kvm.Msr.KVM_SYSTEM_TIME_NEW, data: 0x1801n }])
      yield* Kvm.kvmclockCtrl(vcpu)
      yield* expectExit(vcpu, "Hlt")
      // struct pvclock_vcpu_time_info: the flags are in byte 29, the guest-stopped one is bit 1.
      assert.strictEqual((memory.bytes[0x800 + 29] ?? 0) & 2, 2)
    })
  )
})
