/**
 * What KVM has on other architectures and of other hypervisors: numbers against the headers, what functions ask the kernel
 * for, and how what this kernel lacks is refused. Layouts: `layouts.test.ts`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Predicate, type Scope } from "effect"
import { Errno, EventFd, File, type Ioctl, Kvm, Syscall } from "../src/index.ts"
import { type Architecture, architectures, evaluateC, isNative, missing, valid } from "./support/c.ts"
import { expectErrno, hlt, itKvm, makeGuest } from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"
import { openFds } from "./support/process.ts"

// ---------------------------------------------------------------------------------------------------------------------
// numbers
// ---------------------------------------------------------------------------------------------------------------------

const preamble = `
#include <linux/types.h>
#include <linux/kvm.h>
#ifndef offsetof
#define offsetof(type, member) __builtin_offsetof(type, member)
#endif
/* Since 6.4 and 6.7: what older headers lack. */
#ifndef KVM_ARM_SET_COUNTER_OFFSET
struct kvm_arm_counter_offset { __u64 counter_offset; __u64 reserved; };
#define KVM_ARM_SET_COUNTER_OFFSET _IOW(KVMIO, 0xb5, struct kvm_arm_counter_offset)
#endif
#ifndef KVM_ARM_GET_REG_WRITABLE_MASKS
struct reg_mask_range { __u64 addr; __u32 range; __u32 reserved[13]; };
#define KVM_ARM_GET_REG_WRITABLE_MASKS _IOR(KVMIO, 0xb6, struct reg_mask_range)
#endif
`

/** What an architecture's headers say of some expressions; of those that they do not know, nothing. */
const ask = (architecture: Architecture, expressions: ReadonlyArray<string>): ReadonlyMap<string, bigint> => {
  const known = valid(architecture, preamble, expressions)
  return evaluateC(architecture, [{ preamble, questions: known.map((name) => ({ name, expression: name })) }])
}

/** Compares numbers of ours with the headers'; `younger` are those that headers of 6.1 do not know. */
const agrees = (architecture: Architecture, ours: ReadonlyMap<string, bigint>, younger: (name: string) => boolean) => {
  const theirs = ask(architecture, [...ours.keys()])
  const unsigned = (value: bigint | undefined) => (value === undefined ? undefined : BigInt.asUintN(64, value))
  const wrong = [...ours].filter(([name, value]) => theirs.has(name) && unsigned(theirs.get(name)) !== unsigned(value))
  assert.deepStrictEqual(wrong, [])
  assert.deepStrictEqual(
    [...ours.keys()].filter((name) => !theirs.has(name) && !younger(name)),
    [],
    "what the headers do not know"
  )
}

const isRequest = (u: unknown): u is Ioctl.Request<never, never, unknown, unknown> =>
  Predicate.hasProperty(u, "~effect-linux/Request")

const requestsOf = (module: object) =>
  Object.entries(module).flatMap(([name, value]) => (isRequest(value) ? [[name, value] as const] : []))

/** A test that asks the headers of an architecture. */
const itC = (architecture: Architecture, name: string, test: () => void) => {
  const reason = missing(architecture)
  it.skipIf(reason !== undefined)(`${name}${reason === undefined ? "" : ` (skipped: ${reason})`}`, test)
}

describe("Kvm.aarch64", () => {
  itC("aarch64", "has requests with the numbers of the headers, and their names", () => {
    const requests = requestsOf(Kvm.aarch64)
    assert.isAtLeast(requests.length, 12)
    for (const [name, request] of requests) assert.strictEqual(request.name, name)
    agrees("aarch64", new Map(requests.map(([name, { code }]) => [name, BigInt(code)])), () => false)
  })

  itC("aarch64", "has the identifiers of core registers", () => {
    const core = (field: string, size = "U64") =>
      `KVM_REG_ARM64 | KVM_REG_SIZE_${size} | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(${field})`
    const ours = new Map<string, bigint>()
    for (let index = 0; index < 31; index++) ours.set(core(`regs.regs[${index}]`), Kvm.aarch64.coreReg(`x${index}`))
    for (const name of ["sp", "pc", "pstate"] as const) ours.set(core(`regs.${name}`), Kvm.aarch64.coreReg(name))
    for (const name of ["sp_el1", "elr_el1"] as const) ours.set(core(name), Kvm.aarch64.coreReg(name))
    for (let index = 0; index < 5; index++) ours.set(core(`spsr[${index}]`), Kvm.aarch64.coreReg(`spsr${index}`))
    for (let index = 0; index < 32; index++) {
      ours.set(core(`fp_regs.vregs[${index}]`, "U128"), Kvm.aarch64.coreReg(`v${index}`))
    }
    for (const name of ["fpsr", "fpcr"] as const) ours.set(core(`fp_regs.${name}`, "U32"), Kvm.aarch64.coreReg(name))
    assert.strictEqual(new Set(ours.values()).size, 75)
    agrees("aarch64", ours, () => false)
  })

  itC("aarch64", "has the identifiers of all others", () => {
    const ours = new Map<string, bigint>([
      ["KVM_REG_ARM_PTIMER_CTL", Kvm.aarch64.systemReg(3, 3, 14, 2, 1)],
      ["KVM_REG_ARM_TIMER_CNT", Kvm.KVM_REG_ARM_TIMER_CNT],
      ["KVM_REG_ARM_PSCI_VERSION", Kvm.aarch64.firmwareReg(0)],
      ["KVM_REG_ARM_FW_REG(65535)", Kvm.aarch64.firmwareReg(65535)],
      ["KVM_REG_ARM_VENDOR_HYP_BMAP", Kvm.aarch64.firmwareFeatureReg(2)],
      ["KVM_REG_ARM64_SVE_VLS", Kvm.KVM_REG_ARM64_SVE_VLS],
      [
        "KVM_REG_ARM64 | KVM_REG_SIZE_U32 | KVM_REG_ARM_DEMUX | KVM_REG_ARM_DEMUX_ID_CCSIDR | 5",
        Kvm.aarch64.ccsidrReg(5)
      ],
      [
        "3u << KVM_ARM_IRQ_VCPU2_SHIFT | KVM_ARM_IRQ_TYPE_PPI << KVM_ARM_IRQ_TYPE_SHIFT | 7 << KVM_ARM_IRQ_VCPU_SHIFT | 27",
        BigInt(Kvm.aarch64.irqLine(Kvm.KVM_ARM_IRQ_TYPE_PPI, 27, 3 * 256 + 7))
      ],
      ["15u << KVM_ARM_IRQ_VCPU2_SHIFT", BigInt(Kvm.aarch64.irqLine(0, 0, 15 * 256))]
    ])
    for (const [a, b, c, d, e] of [
      [3, 0, 1, 0, 0],
      [2, 7, 15, 15, 7],
      [0, 1, 2, 3, 4]
    ] as const) {
      ours.set(`ARM64_SYS_REG(${a}, ${b}, ${c}, ${d}, ${e})`, Kvm.aarch64.systemReg(a, b, c, d, e))
    }
    for (const slice of [0, 31]) {
      for (const index of [0, 17, 31]) {
        ours.set(`KVM_REG_ARM64_SVE_ZREG(${index}, ${slice})`, Kvm.aarch64.sveZReg(index, slice))
      }
      for (const index of [0, 9, 15]) {
        ours.set(`KVM_REG_ARM64_SVE_PREG(${index}, ${slice})`, Kvm.aarch64.svePReg(index, slice))
      }
      ours.set(`KVM_REG_ARM64_SVE_FFR(${slice})`, Kvm.aarch64.sveFfrReg(slice))
    }
    agrees("aarch64", ours, () => false)
  })

  it("refuses to name registers that there are not", () => {
    for (const name of ["x31", "x-1", "x01", "v32", "spsr5", "x", "y0", ""]) {
      // @ts-expect-error some of them are no names at all
      assert.throws(() => Kvm.aarch64.coreReg(name), RangeError)
    }
    assert.throws(() => Kvm.aarch64.systemReg(4, 0, 0, 0, 0), /op0/)
    assert.throws(() => Kvm.aarch64.systemReg(0, 0, 16, 0, 0), /crn/)
    assert.throws(() => Kvm.aarch64.systemReg(0, 0, 0, 0, 0.5), /op2/)
    assert.throws(() => Kvm.aarch64.sveZReg(32), RangeError)
    assert.throws(() => Kvm.aarch64.svePReg(16), RangeError)
    assert.throws(() => Kvm.aarch64.sveFfrReg(32), /slice/)
    assert.throws(() => Kvm.aarch64.ccsidrReg(256), RangeError)
    assert.throws(() => Kvm.aarch64.firmwareReg(65536), RangeError)
    assert.throws(() => Kvm.aarch64.irqLine(0, 65536), /number/)
    assert.throws(() => Kvm.aarch64.irqLine(0, 0, 4096), /vcpu/)
  })
})

describe("Kvm.riscv64", () => {
  itC("riscv64", "has requests with the numbers of the headers, and their names", () => {
    const requests = requestsOf(Kvm.riscv64)
    for (const [name, request] of requests) assert.strictEqual(request.name, name)
    agrees("riscv64", new Map(requests.map(([name, { code }]) => [name, BigInt(code)])), () => false)
  })

  itC("riscv64", "has the identifiers of registers", () => {
    const reg = (type: string, index: string, size = "U64") =>
      `KVM_REG_RISCV | KVM_REG_SIZE_${size} | KVM_REG_RISCV_${type} | ${index}`
    const ours = new Map<string, bigint>()
    const { configReg, coreReg, csrReg, timerReg } = Kvm.riscv64
    for (const name of ["isa", "zicbom_block_size"] as const) {
      ours.set(reg("CONFIG", `KVM_REG_RISCV_CONFIG_REG(${name})`), configReg(name))
    }
    for (const name of ["pc", "ra", "a7", "s11", "t6"] as const) {
      ours.set(reg("CORE", `KVM_REG_RISCV_CORE_REG(regs.${name})`), coreReg(name))
    }
    ours.set(reg("CORE", "KVM_REG_RISCV_CORE_REG(mode)"), coreReg("mode"))
    for (const name of ["sstatus", "satp", "scounteren"] as const) {
      ours.set(reg("CSR", `KVM_REG_RISCV_CSR_REG(${name})`), csrReg(name))
    }
    for (const name of ["frequency", "time", "compare", "state"] as const) {
      ours.set(reg("TIMER", `KVM_REG_RISCV_TIMER_REG(${name})`), timerReg(name))
    }
    for (const index of [0, 31]) {
      ours.set(reg("FP_F", `KVM_REG_RISCV_FP_F_REG(f[${index}])`, "U32"), Kvm.riscv64.fpFReg(index))
      ours.set(reg("FP_D", `KVM_REG_RISCV_FP_D_REG(f[${index}])`), Kvm.riscv64.fpDReg(index))
    }
    ours.set(reg("FP_F", "KVM_REG_RISCV_FP_F_REG(fcsr)", "U32"), Kvm.riscv64.fpFReg("fcsr"))
    ours.set(reg("FP_D", "KVM_REG_RISCV_FP_D_REG(fcsr)", "U32"), Kvm.riscv64.fpDReg("fcsr"))
    for (const name of Kvm.riscv64.isaExtensions) {
      ours.set(reg("ISA_EXT", `KVM_RISCV_ISA_EXT_${name}`), Kvm.riscv64.isaExtensionReg(name))
    }
    agrees("riscv64", ours, (name) => name.includes("KVM_RISCV_ISA_EXT_"))
  })

  it("has the identifiers of those that are younger than the headers", () => {
    // By hand: the architecture, the size, the type and subtype, and the index.
    const id = (size: number, type: number, subtype: number, index: number) =>
      (8n << 60n) | (BigInt(size) << 52n) | (BigInt(type) << 24n) | (BigInt(subtype) << 16n) | BigInt(index)
    const { riscv64 } = Kvm
    assert.deepStrictEqual(
      [
        riscv64.csrReg("siselect"),
        riscv64.csrReg("iprio2h"),
        riscv64.csrReg("sstateen0"),
        riscv64.csrReg("senvcfg"),
        riscv64.configReg("mvendorid"),
        riscv64.configReg("zicbop_block_size"),
        riscv64.configReg("satp_mode"),
        riscv64.isaMultiReg(1, "enable"),
        riscv64.isaMultiReg(1, "disable"),
        riscv64.sbiExtensionReg("V01"),
        riscv64.sbiExtensionReg("DBCN"),
        riscv64.sbiMultiReg(0, "enable"),
        riscv64.sbiMultiReg(2, "disable"),
        riscv64.vectorCsrReg("vlenb"),
        riscv64.vectorReg(0, 32),
        riscv64.vectorReg(31, 8192),
        riscv64.sbiStaReg("shmem_hi"),
        riscv64.sbiFwftReg("misaligned_deleg", "enable"),
        riscv64.sbiFwftReg("pointer_masking", "value"),
        riscv64.isaExtensionReg("ZALRSC"),
        riscv64.isaExtensionReg("SVADU")
      ],
      [
        id(3, 3, 1, 0),
        id(3, 3, 1, 6),
        id(3, 3, 2, 0),
        id(3, 3, 0, 10),
        id(3, 1, 0, 2),
        id(3, 1, 0, 7),
        id(3, 1, 0, 6),
        id(3, 7, 1, 1),
        id(3, 7, 2, 1),
        id(3, 8, 0, 0),
        id(3, 8, 0, 9),
        id(3, 8, 1, 0),
        id(3, 8, 2, 2),
        id(3, 9, 0, 4),
        id(5, 9, 0, 6),
        id(13, 9, 0, 37),
        id(3, 10, 0, 1),
        id(3, 10, 1, 0),
        id(3, 10, 1, 5),
        id(3, 7, 0, 70),
        id(3, 7, 0, 65)
      ]
    )
    assert.strictEqual(riscv64.imsicAddressAttribute(3), 4n)
    assert.strictEqual(riscv64.imsicAttribute(3, 0x70), 0x3070n)
  })

  it("refuses to name registers that there are not", () => {
    const { riscv64 } = Kvm
    // @ts-expect-error there is no such register
    assert.throws(() => riscv64.coreReg("x1"), RangeError)
    // @ts-expect-error there is no such register
    assert.throws(() => riscv64.csrReg("toString"), RangeError)
    // @ts-expect-error there is no such extension
    assert.throws(() => riscv64.isaExtensionReg("Z"), RangeError)
    // @ts-expect-error there is no such extension
    assert.throws(() => riscv64.sbiExtensionReg(""), RangeError)
    assert.throws(() => riscv64.fpFReg(32), RangeError)
    assert.throws(() => riscv64.fpDReg(-1), RangeError)
    assert.throws(() => riscv64.vectorReg(32, 32), RangeError)
    assert.throws(() => riscv64.vectorReg(0, 33), RangeError)
    assert.throws(() => riscv64.imsicAddressAttribute(16384), RangeError)
    assert.throws(() => riscv64.imsicAttribute(0, 4096), RangeError)
  })
})

describe("Kvm for guests of other hypervisors, and encrypted ones", () => {
  const native = architectures.find(isNative) ?? "x86_64"

  itC(native, "has requests with the numbers of the headers, and their names", () => {
    const requests = requestsOf(Kvm).filter(([name]) => /XEN|HYPERV|ENCRYPT/.test(name))
    assert.isAtLeast(requests.length, 10)
    for (const [name, request] of requests) assert.strictEqual(request.name, name.replace(/_VCPU$/, ""))
    agrees(native, new Map(requests.map(([, { code, name }]) => [name, BigInt(code)])), () => false)
  })

  itC(native, "has the numbers of commands, and constants, of the headers", () => {
    const ours = new Map<string, bigint>()
    for (const [name, value] of Object.entries(Kvm)) {
      const isConstant = typeof value === "number" || typeof value === "bigint"
      if (isConstant && /^KVM_(SEV|TDX|XEN|HYPERV)_/.test(name)) ours.set(name, BigInt(value))
    }
    for (const { id, name } of Object.values(Kvm.sev)) ours.set(name, BigInt(id))
    agrees(native, ours, (name) => /SNP|TDX|INIT2|_HVA$|RUNSTATE_UPDATE_FLAG|TSC_UNSTABLE|INVALID_/.test(name))
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// what this kernel says
// ---------------------------------------------------------------------------------------------------------------------

const missesCapability = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>, capability: Kvm.CapabilityName) =>
  Effect.gen(function* () {
    const error = yield* Effect.flip(effect)
    if (!(error instanceof Kvm.MissingCapability)) return assert.fail(`expected MissingCapability, got ${error}`)
    assert.strictEqual(error.capability, capability)
  })

const initOf = (target: number): Kvm.aarch64.kvm_vcpu_init => ({ target, features: [4, 0, 0, 0, 0, 0, 0] })

const likeXen: Kvm.kvm_xen_hvm_config = {
  flags: Kvm.KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL,
  msr: 0x4000_0000,
  blob_addr_32: 0n,
  blob_addr_64: 0n,
  blob_size_32: 0,
  blob_size_64: 0
}

const isX86 = isNative("x86_64")

describeKvm("Kvm where this kernel lacks it", () => {
  if (!isX86) return

  itKvm(
    "aarch64's requests are refused: by the name of the capability, or by the kernel",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt])
      yield* missesCapability(Kvm.aarch64.vcpuFinalize(vcpu, Kvm.KVM_ARM_VCPU_SVE), "KVM_CAP_ARM_SVE")
      const device = Kvm.aarch64.setDeviceAddr(vm, { id: 0n, addr: 0n })
      yield* missesCapability(device, "KVM_CAP_ARM_SET_DEVICE_ADDR")
      yield* missesCapability(Kvm.aarch64.getMteTags(vm, 0, 4096), "KVM_CAP_ARM_MTE")
      yield* missesCapability(Kvm.aarch64.setMteTags(vm, 0, new Uint8Array(256)), "KVM_CAP_ARM_MTE")
      yield* missesCapability(Kvm.aarch64.setCounterOffset(vm, 1n), "KVM_CAP_COUNTER_OFFSET")
      yield* missesCapability(Kvm.aarch64.getRegWritableMasks(vm), "KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES")
      yield* expectErrno(Kvm.aarch64.getPreferredTarget(vm), "ENOTTY")
      yield* expectErrno(Kvm.aarch64.vcpuInit(vcpu, initOf(5)), "EINVAL")
    })
  )

  itKvm(
    "Xen and Hyper-V work, or are refused by the name of the capability",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt])
      const hasXen = (yield* Kvm.checkExtension(vm, Kvm.KVM_CAP_XEN_HVM)) !== 0
      const xen: ReadonlyArray<Effect.Effect<unknown, Kvm.XenError>> = [
        Kvm.setXenHvmConfig(vm, likeXen),
        Kvm.setXenHvmAttr(vm, { type: Kvm.KVM_XEN_ATTR_TYPE_LONG_MODE, u: { long_mode: 1 } }),
        Kvm.getXenHvmAttr(vm, Kvm.KVM_XEN_ATTR_TYPE_LONG_MODE),
        Kvm.setXenVcpuAttr(vcpu, { type: Kvm.KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID, u: { vcpu_id: 0 } }),
        Kvm.getXenVcpuAttr(vcpu, Kvm.KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID)
      ]
      for (const call of xen) yield* hasXen ? call : missesCapability(call, "KVM_CAP_XEN_HVM")
      if (!hasXen) {
        yield* missesCapability(Kvm.sendXenEvtchn(vm, { port: 1, vcpu: 0, priority: 0xffff_ffff }), "KVM_CAP_XEN_HVM")
      }
      const hasHyperv = (yield* Kvm.checkExtension(vm, Kvm.KVM_CAP_HYPERV_EVENTFD)) !== 0
      const eventFd = yield* EventFd.make()
      const wired = Kvm.registerHypervEventfd(vm, eventFd, 1)
      yield* hasHyperv ? wired : missesCapability(wired, "KVM_CAP_HYPERV_EVENTFD")
      const unwired = Kvm.unregisterHypervEventfd(vm, 1)
      yield* hasHyperv ? unwired : missesCapability(unwired, "KVM_CAP_HYPERV_EVENTFD")
    })
  )

  itKvm(
    "encryption of a machine that is of no such kind is refused by the kernel",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt])
      const device = yield* File.open("/dev/null", { access: "readWrite" })
      const refused = (effect: Effect.Effect<unknown, Kvm.EncryptError | Kvm.EncRegionError>) =>
        Effect.map(Effect.flip(effect), (error) => assert.include(["ENOTTY", "EINVAL"], error._tag))
      yield* refused(Kvm.encryptOpSev(vm, device, Kvm.sev.init, undefined))
      yield* refused(Kvm.encryptOpTdx(vm, Kvm.tdxVm.capabilities, undefined))
      yield* refused(Kvm.encryptOpTdxVcpu(vcpu, Kvm.tdxVcpu.getCpuid, undefined))
      yield* refused(Kvm.registerEncMemoryRegion(vm, { addr: 0x10000n, size: 0x1000n }))
      yield* refused(Kvm.unregisterEncMemoryRegion(vm, { addr: 0x10000n, size: 0x1000n }))
    })
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// what functions ask for, where the test answers in the kernel's place
// ---------------------------------------------------------------------------------------------------------------------

/** Reads the memory of this process at an address that a request points to, as the kernel would. */
const memoryAt = (address: bigint, length: number): Uint8Array => {
  const into = new Uint8Array(length)
  const [local, remote] = [new BigUint64Array(2), new BigUint64Array(2)]
  local.set([Syscall.addressOf(into), BigInt(length)])
  remote.set([address, BigInt(length)])
  const { pid } = process
  Effect.runSync(Syscall.call(Syscall.nr.process_vm_readv, pid, local, 1, remote, 1, 0))
  return into
}

const writeMemoryAt = (address: bigint, bytes: Uint8Array): void => {
  const [local, remote] = [new BigUint64Array(2), new BigUint64Array(2)]
  local.set([Syscall.addressOf(bytes), BigInt(bytes.length)])
  remote.set([address, BigInt(bytes.length)])
  Effect.runSync(Syscall.call(Syscall.nr.process_vm_writev, process.pid, local, 1, remote, 1, 0))
}

/** Has every capability, and answers one request in the kernel's place. */
const answering = (code: number, answer: (memory: Uint8Array) => number) =>
  Effect.provideService(
    Syscall.Trampoline,
    Syscall.intercept(Syscall.kernel, (nr, args, proceed) => {
      if (nr !== Syscall.nr.ioctl) return proceed()
      if (args[1] === Kvm.KVM_CHECK_EXTENSION_VM.code) return 1
      const [, asked, memory] = args
      if (asked !== code) return proceed()
      return answer(memory instanceof Uint8Array ? memory : new Uint8Array(0))
    })
  )

describeKvm("Kvm asks the kernel", () => {
  itKvm(
    "for aarch64's processors, with the target's structure",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt])
      const target = yield* Kvm.aarch64.getPreferredTarget(vm).pipe(
        answering(Kvm.aarch64.KVM_ARM_PREFERRED_TARGET.code, (memory) => {
          Kvm.aarch64.kvm_vcpu_init.encode(initOf(5), memory)
          return 0
        })
      )
      assert.deepStrictEqual(target, initOf(5))
      let asked: unknown
      yield* Kvm.aarch64.vcpuInit(vcpu, target).pipe(
        answering(Kvm.aarch64.KVM_ARM_VCPU_INIT.code, (memory) => {
          asked = Kvm.aarch64.kvm_vcpu_init.decode(memory)
          return 0
        })
      )
      assert.deepStrictEqual(asked, target)
      const error = yield* Kvm.aarch64.vcpuInit(vcpu, target).pipe(
        answering(Kvm.aarch64.KVM_ARM_VCPU_INIT.code, () => -Errno.codes.ENOENT),
        (effect) => expectErrno(effect, "ENOENT")
      )
      assert.include(error.message, "KVM_ARM_VCPU_INIT")
      yield* Kvm.aarch64.vcpuFinalize(vcpu, 4).pipe(
        answering(Kvm.aarch64.KVM_ARM_VCPU_FINALIZE.code, (memory) => {
          asked = [...memory.subarray(0, 4)]
          return 0
        })
      )
      assert.deepStrictEqual(asked, [4, 0, 0, 0])
    })
  )

  itKvm(
    "for aarch64's memory tags, one for each 16 bytes, and gives those that it got",
    Effect.gen(function* () {
      const { vm } = yield* makeGuest([...hlt])
      const tags = yield* Kvm.aarch64.getMteTags(vm, 0x4000, 8192).pipe(
        answering(Kvm.aarch64.KVM_ARM_MTE_COPY_TAGS.code, (memory) => {
          const { addr, flags, guest_ipa, length } = Kvm.aarch64.kvm_arm_copy_mte_tags.decode(memory)
          assert.deepStrictEqual([guest_ipa, length, flags], [0x4000n, 8192n, 1n])
          writeMemoryAt(addr, new Uint8Array(256).fill(7))
          return 4096
        })
      )
      assert.deepStrictEqual(tags, new Uint8Array(256).fill(7))
      const given = Uint8Array.from({ length: 256 }, (_, index) => index & 15)
      const count = yield* Kvm.aarch64.setMteTags(vm, 0x4000n, given).pipe(
        answering(Kvm.aarch64.KVM_ARM_MTE_COPY_TAGS.code, (memory) => {
          const { addr, flags, length } = Kvm.aarch64.kvm_arm_copy_mte_tags.decode(memory)
          assert.deepStrictEqual([length, flags], [4096n, 0n])
          assert.deepStrictEqual(memoryAt(addr, 256), given)
          return 4096
        })
      )
      assert.strictEqual(count, 256)
      const never = answering(Kvm.aarch64.KVM_ARM_MTE_COPY_TAGS.code, () => assert.fail("the kernel was asked"))
      for (const length of [0, -16, 15, 0.5]) {
        yield* expectErrno(Kvm.aarch64.getMteTags(vm, 0, length).pipe(never), "EINVAL")
      }
      yield* expectErrno(Kvm.aarch64.getMteTags(vm, 2 ** 53, 4096).pipe(never), "EINVAL")
    })
  )

  itKvm(
    "for aarch64's writable bits, counters, devices and events",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt])
      const masks = yield* Kvm.aarch64.getRegWritableMasks(vm).pipe(
        answering(Kvm.aarch64.KVM_ARM_GET_REG_WRITABLE_MASKS.code, (memory) => {
          const { addr, range } = Kvm.aarch64.reg_mask_range.decode(memory)
          assert.strictEqual(range, 0)
          const words = new BigUint64Array(192)
          words[191] = 0xffn
          writeMemoryAt(addr, new Uint8Array(words.buffer))
          return 0
        })
      )
      assert.deepStrictEqual([masks.length, masks[0], masks[191]], [192, 0n, 0xffn])

      let asked: unknown
      yield* Kvm.aarch64.setCounterOffset(vm, 5n).pipe(
        answering(Kvm.aarch64.KVM_ARM_SET_COUNTER_OFFSET.code, (memory) => {
          asked = Kvm.aarch64.kvm_arm_counter_offset.decode(memory)
          return 0
        })
      )
      assert.deepStrictEqual(asked, { counter_offset: 5n })
      yield* Kvm.aarch64.setDeviceAddr(vm, { id: 1n, addr: 0x800_0000n }).pipe(
        answering(Kvm.aarch64.KVM_ARM_SET_DEVICE_ADDR.code, (memory) => {
          asked = Kvm.aarch64.kvm_arm_device_addr.decode(memory)
          return 0
        })
      )
      assert.deepStrictEqual(asked, { id: 1n, addr: 0x800_0000n })

      const events = {
        exception: { serror_pending: 1, serror_has_esr: 1, ext_dabt_pending: 0, serror_esr: 0x1ff_ffffn }
      }
      yield* Kvm.aarch64.setVcpuEvents(vcpu, events).pipe(
        answering(Kvm.aarch64.KVM_SET_VCPU_EVENTS.code, (memory) => {
          asked = Kvm.aarch64.kvm_vcpu_events.decode(memory)
          return 0
        })
      )
      assert.deepStrictEqual(asked, events)
      const got = yield* Kvm.aarch64.getVcpuEvents(vcpu).pipe(
        answering(Kvm.aarch64.KVM_GET_VCPU_EVENTS.code, (memory) => {
          Kvm.aarch64.kvm_vcpu_events.encode(events, memory)
          return 0
        })
      )
      assert.deepStrictEqual(got, events)
    })
  )

  itKvm(
    "for debugging of either architecture, with its own structure",
    Effect.gen(function* () {
      const { vcpu } = yield* makeGuest([...hlt])
      const none = new Array<bigint>(16).fill(0n)
      const arch = { dbg_bcr: none, dbg_bvr: none, dbg_wcr: none, dbg_wvr: none }
      let asked: unknown
      yield* Kvm.aarch64.setGuestDebug(vcpu, { control: 1, arch }).pipe(
        answering(Kvm.aarch64.KVM_SET_GUEST_DEBUG.code, (memory) => {
          asked = [memory.length, Kvm.aarch64.kvm_guest_debug.decode(memory).control]
          return 0
        })
      )
      assert.deepStrictEqual(asked, [520, 1])
      yield* Kvm.riscv64.setGuestDebug(vcpu, { control: 1, arch: {} }).pipe(
        answering(Kvm.riscv64.KVM_SET_GUEST_DEBUG.code, (memory) => {
          asked = [memory.length, Kvm.riscv64.kvm_guest_debug.decode(memory).control]
          return 0
        })
      )
      assert.deepStrictEqual(asked, [8, 1])
    })
  )

  itKvm(
    "for Xen's attributes, by type, with the member that is given",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt])
      let asked: unknown
      yield* Kvm.setXenHvmConfig(vm, likeXen).pipe(
        answering(Kvm.KVM_XEN_HVM_CONFIG.code, (memory) => {
          asked = Kvm.kvm_xen_hvm_config.decode(memory)
          return 0
        })
      )
      assert.deepStrictEqual(asked, likeXen)
      const evtchn = { send_port: 3, type: 1, flags: 0, deliver: { eventfd: { port: 0, fd: 9 } } }
      yield* Kvm.setXenHvmAttr(vm, { type: Kvm.KVM_XEN_ATTR_TYPE_EVTCHN, u: { evtchn } }).pipe(
        answering(Kvm.KVM_XEN_HVM_SET_ATTR.code, (memory) => {
          const { type, u } = Kvm.kvm_xen_hvm_attr.decode(memory)
          asked = [type, u.evtchn.send_port, u.evtchn.deliver.eventfd]
          return 0
        })
      )
      assert.deepStrictEqual(asked, [3, 3, { port: 0, fd: 9 }])
      const attr = yield* Kvm.getXenHvmAttr(vm, Kvm.KVM_XEN_ATTR_TYPE_XEN_VERSION).pipe(
        answering(Kvm.KVM_XEN_HVM_GET_ATTR.code, (memory) => {
          const { type } = Kvm.kvm_xen_hvm_attr.decode(memory)
          Kvm.kvm_xen_hvm_attr.encode({ type, u: { xen_version: 0x4_0011 } }, memory)
          return 0
        })
      )
      assert.strictEqual(attr.xen_version, 0x4_0011)
      yield* Kvm.setXenVcpuAttr(vcpu, {
        type: Kvm.KVM_XEN_VCPU_ATTR_TYPE_TIMER,
        u: { timer: { port: 1, priority: 2, expires_ns: 3n } }
      }).pipe(
        answering(Kvm.KVM_XEN_VCPU_SET_ATTR.code, (memory) => {
          asked = Kvm.kvm_xen_vcpu_attr.decode(memory).u.timer
          return 0
        })
      )
      assert.deepStrictEqual(asked, { port: 1, priority: 2, expires_ns: 3n })
      const timer = yield* Kvm.getXenVcpuAttr(vcpu, Kvm.KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO).pipe(
        answering(Kvm.KVM_XEN_VCPU_GET_ATTR.code, (memory) => {
          Kvm.kvm_xen_vcpu_attr.encode({ type: 0, u: { gpa: 0x7000n } }, memory)
          return 0
        })
      )
      assert.strictEqual(timer.gpa, 0x7000n)
      yield* Kvm.sendXenEvtchn(vm, { port: 4, vcpu: 1, priority: 0xffff_ffff }).pipe(
        answering(Kvm.KVM_XEN_HVM_EVTCHN_SEND.code, (memory) => {
          asked = Kvm.kvm_irq_routing_xen_evtchn.decode(memory)
          return 0
        })
      )
      assert.deepStrictEqual(asked, { port: 4, vcpu: 1, priority: 0xffff_ffff })
    })
  )

  itKvm(
    "to wire an eventfd to a connection of Hyper-V's, and takes it off once, whoever does",
    Effect.gen(function* () {
      const { vm } = yield* makeGuest([...hlt])
      const eventFd = yield* EventFd.make()
      const calls: Array<Kvm.kvm_hyperv_eventfd> = []
      const recording = answering(Kvm.KVM_HYPERV_EVENTFD.code, (memory) => {
        calls.push(Kvm.kvm_hyperv_eventfd.decode(memory))
        return 0
      })
      const fd = yield* File.fd(eventFd)
      const wired = { conn_id: 5, fd, flags: 0 }
      const unwired = { conn_id: 5, fd: -1, flags: Kvm.KVM_HYPERV_EVENTFD_DEASSIGN }
      yield* Kvm.registerHypervEventfd(vm, eventFd, 5).pipe(Effect.scoped, recording)
      assert.deepStrictEqual(calls.splice(0), [wired, unwired])
      // Taken off by name, and wired by another: that one stays when the first scope ends.
      yield* Effect.gen(function* () {
        yield* Effect.gen(function* () {
          yield* Kvm.registerHypervEventfd(vm, eventFd, 5)
          yield* Kvm.unregisterHypervEventfd(vm, 5)
        }).pipe(Effect.scoped)
        assert.deepStrictEqual(calls.splice(0), [wired, unwired])
        yield* Kvm.registerHypervEventfd(vm, eventFd, 5)
        assert.deepStrictEqual(calls.splice(0), [wired])
      }).pipe(Effect.scoped, recording)
      assert.deepStrictEqual(calls, [unwired])
    })
  )

  itKvm(
    "to do commands of SEV's, with the structure of each, and tells what the firmware said",
    Effect.gen(function* () {
      const { vm } = yield* makeGuest([...hlt])
      const device = yield* File.open("/dev/null", { access: "readWrite" })
      const fd = yield* File.fd(device)
      const before = yield* openFds
      const start = { handle: 0, policy: 1, dh_uaddr: 2n, dh_len: 3, session_uaddr: 4n, session_len: 5 }
      const started = yield* Kvm.encryptOpSev(vm, device, Kvm.sev.launchStart, start).pipe(
        answering(Kvm.KVM_MEMORY_ENCRYPT_OP.code, (memory) => {
          const { data, error, id, sev_fd } = Kvm.kvm_sev_cmd.decode(memory)
          assert.deepStrictEqual([id, error, sev_fd], [Kvm.KVM_SEV_LAUNCH_START, 0, fd])
          const { size } = Kvm.kvm_sev_launch_start
          const given = Kvm.kvm_sev_launch_start.decode(memoryAt(data, size))
          assert.deepStrictEqual(given, start)
          writeMemoryAt(data, Kvm.kvm_sev_launch_start.encode({ ...given, handle: 77 }))
          return 0
        })
      )
      assert.strictEqual(started.handle, 77)
      const failed = yield* Kvm.encryptOpSev(vm, device, Kvm.sev.launchFinish, undefined).pipe(
        answering(Kvm.KVM_MEMORY_ENCRYPT_OP.code, (memory) => {
          const { data, id, sev_fd } = Kvm.kvm_sev_cmd.decode(memory)
          assert.strictEqual(data, 0n)
          Kvm.kvm_sev_cmd.encode({ id, data, error: 0x16, sev_fd }, memory)
          return -Errno.codes.EIO
        }),
        Effect.flip
      )
      if (!(failed instanceof Kvm.FirmwareError)) return assert.fail(`expected FirmwareError, got ${failed}`)
      assert.deepStrictEqual([failed.command, failed.code, failed.cause._tag], ["KVM_SEV_LAUNCH_FINISH", 0x16n, "EIO"])
      assert.include(failed.message, "0x16")
      yield* expectErrno(
        Kvm.encryptOpSev(vm, device, Kvm.sev.launchStart, { ...start, policy: -1 }).pipe(
          answering(Kvm.KVM_MEMORY_ENCRYPT_OP.code, () => assert.fail("the kernel was asked"))
        ),
        "EINVAL"
      )
      // @ts-expect-error another command's structure
      const wrong = Kvm.encryptOpSev(vm, device, Kvm.sev.launchStart, { uaddr: 0n })
      assert.isTrue(Exit.hasDies(yield* Effect.exit(wrong)))
      assert.strictEqual(yield* openFds, before)
    })
  )

  itKvm(
    "to do commands of TDX's, with lists of what cpuid answers",
    Effect.gen(function* () {
      const { vcpu, vm } = yield* makeGuest([...hlt])
      const entry = { function: 7, index: 1, flags: 1, eax: 2, ebx: 3, ecx: 4, edx: 5 }
      const offset = Kvm.kvm_tdx_capabilities.fields.cpuid.offset
      const capabilities = yield* Kvm.encryptOpTdx(vm, Kvm.tdxVm.capabilities, undefined).pipe(
        answering(Kvm.KVM_MEMORY_ENCRYPT_OP.code, (memory) => {
          const { data, flags, id } = Kvm.kvm_tdx_cmd.decode(memory)
          assert.deepStrictEqual([id, flags], [Kvm.KVM_TDX_CAPABILITIES, 0])
          const head = memoryAt(data + BigInt(offset), 8)
          assert.strictEqual(Kvm.kvm_cpuid2.decode(head).nent, 256)
          writeMemoryAt(data + BigInt(offset), Kvm.kvm_cpuid2.encode({ nent: 1 }))
          writeMemoryAt(data + BigInt(offset) + 8n, Kvm.kvm_cpuid_entry2.encode(entry))
          return 0
        })
      )
      assert.deepStrictEqual(capabilities.entries, [entry])
      assert.strictEqual(capabilities.supported_attrs, 0n)

      const six = [1n, 2n, 3n, 4n, 5n, 6n]
      const made = { attributes: 1n, xfam: 2n, mrconfigid: six, mrowner: six, mrownerconfig: six }
      yield* Kvm.encryptOpTdx(vm, Kvm.tdxVm.initVm, { ...made, entries: [entry, entry] }).pipe(
        answering(Kvm.KVM_MEMORY_ENCRYPT_OP.code, (memory) => {
          const { data } = Kvm.kvm_tdx_cmd.decode(memory)
          const { size } = Kvm.kvm_tdx_init_vm
          const bytes = memoryAt(data, size + 80)
          assert.deepStrictEqual(Kvm.kvm_tdx_init_vm.decode(bytes), { ...made, cpuid: { nent: 2 } })
          assert.deepStrictEqual(Kvm.kvm_cpuid_entry2.decode(bytes, size + 40), entry)
          return 0
        })
      )
      yield* Kvm.encryptOpTdxVcpu(vcpu, Kvm.tdxVcpu.initVcpu, 0x1234n).pipe(
        answering(Kvm.KVM_MEMORY_ENCRYPT_OP_VCPU.code, (memory) => {
          assert.strictEqual(Kvm.kvm_tdx_cmd.decode(memory).data, 0x1234n)
          return 0
        })
      )
      const failed = yield* Kvm.encryptOpTdxVcpu(vcpu, Kvm.tdxVcpu.getCpuid, undefined).pipe(
        answering(Kvm.KVM_MEMORY_ENCRYPT_OP_VCPU.code, (memory) => {
          Kvm.kvm_tdx_cmd.encode({ id: 5, flags: 0, data: 0n, hw_error: 0xc000_0000_0000_0000n }, memory)
          return -Errno.codes.EIO
        }),
        Effect.flip
      )
      if (!(failed instanceof Kvm.FirmwareError)) return assert.fail(`expected FirmwareError, got ${failed}`)
      assert.strictEqual(failed.code, 0xc000_0000_0000_0000n)
    })
  )
})
