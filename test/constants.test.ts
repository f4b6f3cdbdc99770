/**
 * The generated constants against what the C compiler says of the installed headers. The generator has its own little
 * evaluator of C expressions: only its list of headers is used here.
 */
import { readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { vi } from "vitest"
import { Kvm, Syscall } from "../src/index.ts"
import * as constants from "../src/internal/constants.ts"
import * as kvm from "../src/kvm/constants.ts"
import { type Architecture, architectures, evaluateC, isNative, missing, nodeNames, valid } from "./support/c.ts"

type Constants = Readonly<Record<string, number | bigint>>

/** Which headers have which constants, and those that a person wrote down since no header has them. */
const Sources = Schema.Struct({
  headers: Schema.Record(Schema.String, Schema.Struct({ headers: Schema.Array(Schema.String) })),
  extra: Schema.optionalKey(Schema.Record(Schema.String, Schema.Struct({ why: Schema.String })))
})

const directory = new URL("../scripts/data/constants/", import.meta.url)

const sources = readdirSync(directory)
  .filter((name) => name.endsWith(".json"))
  .map((name) => Schema.decodeUnknownSync(Sources)(JSON.parse(readFileSync(new URL(name, directory), "utf8"))))

const extra = new Map(sources.flatMap((source) => Object.entries(source.extra ?? {})))

const include = (headers: ReadonlyArray<string>): string => headers.map((header) => `#include <${header}>`).join("\n")

/** All headers at once, after what some of them need and do not include: they count on libc's. */
const kernel = `
${include(["linux/types.h", "linux/time.h"])}
typedef unsigned short sa_family_t;
struct sockaddr { sa_family_t sa_family; char sa_data[14]; };
${include([...new Set(sources.flatMap(({ headers }) => Object.values(headers).flatMap((group) => group.headers)))])}
`

/** What no header of the kernel's says may stand in one of libc's, which cannot be read together with the kernel's. */
const libc = `
#define _GNU_SOURCE
${include([
  "dirent.h",
  "fcntl.h",
  "netinet/in.h",
  "sched.h",
  "sys/epoll.h",
  "sys/eventfd.h",
  "sys/mman.h",
  "sys/mount.h",
  "sys/socket.h",
  "sys/stat.h",
  "sys/timerfd.h",
  "sys/wait.h",
  "unistd.h"
])}
`

/** What the installed headers may be too old for: written down here from the kernel's sources, a second time. */
const younger: Constants = {
  KVM_CAP_COUNTER_OFFSET: 227, // 6.4
  KVM_CAP_USER_MEMORY2: 231, // 6.8
  KVM_CAP_MEMORY_FAULT_INFO: 232, // 6.8
  KVM_CAP_MEMORY_ATTRIBUTES: 233, // 6.8
  KVM_CAP_GUEST_MEMFD: 234, // 6.8
  KVM_CAP_VM_TYPES: 235, // 6.8
  KVM_CAP_PRE_FAULT_MEMORY: 236, // 6.11
  KVM_CAP_X86_APIC_BUS_CYCLES_NS: 237, // 6.11
  KVM_CAP_X86_GUEST_MODE: 238, // 6.12
  KVM_EXIT_LOONGARCH_IOCSR: 38, // 6.10
  KVM_EXIT_MEMORY_FAULT: 39, // 6.8
  KVM_EXIT_TDX: 40, // 6.16
  KVM_MEM_GUEST_MEMFD: 1 << 2, // 6.8
  MFD_EXEC: 0x10, // 6.3
  MFD_NOEXEC_SEAL: 0x8, // 6.3
  RWF_ATOMIC: 0x40, // 6.11
  RWF_DONTCACHE: 0x80, // 6.14
  RWF_NOAPPEND: 0x20, // 6.9
  STATX_DIO_READ_ALIGN: 0x20000, // 6.14
  STATX_MNT_ID_UNIQUE: 0x4000, // 6.8
  STATX_SUBVOL: 0x8000, // 6.10
  STATX_WRITE_ATOMIC: 0x10000 // 6.11
}

/** Masks that mean "all that there are": they grow with the headers. */
const growing = new Set(["RWF_SUPPORTED"])

/** What the macros of the kernel's headers stand for. */
const macros = (architecture: Architecture, names: ReadonlyArray<string>): ReadonlyMap<string, bigint> =>
  evaluateC(architecture, [
    {
      preamble: kernel,
      questions: names.map((name) => ({ name, expression: name, condition: `defined(${name})` }))
    }
  ])

/** What the names that are no macros of a kernel header stand for: enumerators, and what libc has. */
const others = (architecture: Architecture, names: ReadonlyArray<string>): ReadonlyMap<string, bigint> => {
  const enumerators = valid(architecture, kernel, names)
  const left = names.filter((name) => !enumerators.includes(name))
  return evaluateC(architecture, [
    { preamble: kernel, questions: enumerators.map((name) => ({ name, expression: name })) },
    { preamble: libc, questions: valid(architecture, libc, left).map((name) => ({ name, expression: name })) }
  ])
}

const asBigints = (values: Constants): Record<string, bigint> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, BigInt(value)]))

/** Bits of a word that C reads as a negative number and we do not, or the other way round. */
const sameBits = new Set(["MS_NOUSER", "PR_SET_PTRACER_ANY"])

const bits = (name: string, value: bigint | undefined): bigint | undefined =>
  value === undefined || !sameBits.has(name) ? value : BigInt.asUintN(name === "MS_NOUSER" ? 32 : 64, value)

/** Those of our constants that the compiler has an answer for, beside its answers. */
const compare = (ours: Constants, theirs: ReadonlyMap<string, bigint>): void => {
  const asked = [...theirs.keys()].filter((name) => !growing.has(name))
  const mine = asBigints(ours)
  assert.deepStrictEqual(
    Object.fromEntries(asked.map((name) => [name, bits(name, mine[name])])),
    Object.fromEntries(asked.map((name) => [name, bits(name, theirs.get(name))]))
  )
}

/** The constants as another architecture would have them: they are chosen when their module is evaluated. */
const constantsOf = async (architecture: Architecture): Promise<Constants> => {
  const arch = Object.getOwnPropertyDescriptor(process, "arch")
  if (arch === undefined) throw new Error("process.arch is no property of its own")
  Object.defineProperty(process, "arch", { ...arch, value: nodeNames[architecture] })
  vi.resetModules()
  try {
    return { ...(await import("../src/internal/constants.ts")), ...(await import("../src/kvm/constants.ts")) }
  } finally {
    Object.defineProperty(process, "arch", arch)
    vi.resetModules()
  }
}

for (const architecture of architectures) {
  const reason = missing(architecture)
  const title = `constants of ${architecture}${reason === undefined ? "" : ` (skipped: ${reason})`}`
  describe.skipIf(reason !== undefined)(title, () => {
    it("have the values that the kernel's headers define", async () => {
      const ours = await constantsOf(architecture)
      const theirs = macros(architecture, Object.keys(ours))
      compare(ours, theirs)
      // Were the headers found but empty of what is asked, the comparison would say nothing.
      assert.containsAllKeys(Object.fromEntries(theirs), ["O_DIRECTORY", "STATX_SIZE", "SIGKILL", "KVM_EXIT_IO"])
    })
  })
}

// The headers of x86_64 name what those of other machines do not, such as the PIT of KVM.
const reason = isNative("x86_64") ? missing("x86_64") : "this machine is no x86_64"

describe.skipIf(reason !== undefined)(`constants${reason === undefined ? "" : ` (skipped: ${reason})`}`, () => {
  it("that are no macros of the kernel's headers have the values that enumerators and libc's headers define", () => {
    const ours: Constants = { ...constants, ...kvm }
    const byMacros = macros("x86_64", Object.keys(ours))
    const rest = Object.keys(ours).filter((name) => !byMacros.has(name))
    const byOthers = others("x86_64", rest)
    compare(ours, byOthers)
    assert.containsAllKeys(Object.fromEntries(byOthers), ["DT_REG", "EFD_SEMAPHORE", "MAP_ANON"])

    // What only another architecture's headers have is compared above, where they are installed.
    const elsewhere = new Set(
      architectures
        .filter((architecture) => architecture !== "x86_64" && missing(architecture) === undefined)
        .flatMap((architecture) => [...macros(architecture, rest).keys()])
    )
    const unexplained = rest.filter((name) => !byOthers.has(name) && !elsewhere.has(name) && !extra.has(name))
    const allInstalled = architectures.every((architecture) => missing(architecture) === undefined)
    if (allInstalled) assert.deepStrictEqual(unexplained, [], "nothing says what these are")
  })
})

describe("constants", () => {
  it("that headers may be too old for have the values of the kernel's sources", () => {
    const ours = asBigints({ ...constants, ...kvm })
    assert.deepStrictEqual(
      Object.fromEntries(Object.keys(younger).map((name) => [name, ours[name]])),
      asBigints(younger)
    )
  })

  it("that differ by architecture do so where open(2) would be misunderstood otherwise", async () => {
    const values: Record<string, unknown> = {}
    for (const architecture of architectures) values[architecture] = (await constantsOf(architecture))["O_DIRECTORY"]
    assert.deepStrictEqual(values, { x86_64: 0o200000, aarch64: 0o40000, riscv64: 0o200000 })
  })

  it("are bigints where they name registers or would not be exact, and numbers otherwise", () => {
    for (const [name, value] of Object.entries({ ...constants, ...kvm })) {
      if (name.startsWith("KVM_REG_")) assert.strictEqual(typeof value, "bigint", name)
      else assert.isTrue(typeof value === "bigint" || Number.isSafeInteger(value), name)
    }
    assert.strictEqual(constants.O_RDWR, 2)
  })

  it("are all on Syscall and Kvm, by the kernel's names", () => {
    assert.containsSubset(Syscall, constants)
    assert.containsSubset(Kvm, kvm)
  })
})
