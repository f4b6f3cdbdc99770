/**
 * The ABI is checked, not believed: every structure that the project declares, field by field, against what the C
 * compiler says of the kernel's headers.
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import * as library from "../src/index.ts"
import { Abi, Kvm, Struct } from "../src/index.ts"
import { type Architecture, architectures, evaluateC, isNative, missing } from "./support/c.ts"
import {
  type AnyStruct,
  asking,
  compare,
  type InC,
  type Listed,
  named,
  questionsOf,
  structureOf,
  subjects,
  unitsOf
} from "./support/layouts.ts"

const exitOffset = (type: string, member: string): string =>
  `((long)__builtin_offsetof(${type}, ${member}) - (long)__builtin_offsetof(${type}, padding))`

/** A member of the union in `struct kvm_run`: its type has no name, so it is asked about through the member. */
const exit = (member: string, type = runTypeOf(member), names: Readonly<Record<string, string>> = {}): InC => ({
  type: `__typeof__(((${type} *)0)->${member})`,
  size: `sizeof(((${type} *)0)->${member})`,
  alignment: `__alignof__(((${type} *)0)->${member})`,
  offset: (field) => exitOffset(type, `${member}.${names[field] ?? field}`),
  value: (field) => `((${type} *)0)->${member}.${names[field] ?? field}`
})

/** Members that are younger than the oldest headers, at least in part. */
const younger = ["hypercall", "iocsr_io", "memory_fault", "tdx"]

const runTypeOf = (member: string): string => (younger.includes(member) ? "RUN" : "struct kvm_run")

/** A member of an anonymous union within a member of the union. */
const exitWithin = (member: string, within: string): InC => {
  const value = `((${runTypeOf(member)} *)0)->${member}.${within}`
  return named(`__typeof__(${value})`)
}

/** A member without a name of its own, or of a type without one, of a structure that has one. */
const within = (type: string, member: string): InC => named(`__typeof__(((${type} *)0)->${member})`)

/** The members of a union without a name, asked about through that structure whose parts they are. */
const withinAnonymous = (outer: string, spanning: string): InC => ({
  type: undefined,
  size: `sizeof(((${outer} *)0)->${spanning})`,
  alignment: `_Alignof(((${outer} *)0)->${spanning})`,
  offset: (member) =>
    `((long)__builtin_offsetof(${outer}, ${member}) - (long)__builtin_offsetof(${outer}, ${spanning}))`,
  value: (member) => `((${outer} *)0)->${member}`
})

/** The union itself: `padding` is the member that spans it, and its alignment is that of its strictest member. */
const exitUnion: InC = {
  type: undefined,
  size: "__builtin_offsetof(struct kvm_run, kvm_valid_regs) - __builtin_offsetof(struct kvm_run, padding)",
  alignment: `_Alignof(union { ${Object.keys(Kvm.kvm_run_exit.fields)
    .map((member) => `__typeof__(((${runTypeOf(member)} *)0)->${member}) ${member};`)
    .join(" ")} })`,
  offset: (member) => exitOffset(runTypeOf(member), member),
  value: (member) => `((${runTypeOf(member)} *)0)->${member}`
}

/** `exit` is our name of the union, which has none in C. */
const run: InC = {
  ...named("struct kvm_run"),
  offset: (field) => named("struct kvm_run").offset(field === "exit" ? "padding" : field),
  value: (field) => named("struct kvm_run").value(field === "exit" ? "padding" : field)
}

const { fields: exits } = Kvm.kvm_run_exit
const { fields: tdx } = exits.tdx.layout
const { fields: hyperv } = Kvm.kvm_hyperv_exit
const { fields: xen } = Kvm.kvm_xen_exit

const x86 = { architectures: ["x86_64"] } as const

/** Every structure of the project, by the name it is declared with, after its architecture where two share one. */
const listed: Readonly<Record<string, Listed>> = {
  __kernel_timespec: { struct: Abi.timespec, c: named("struct __kernel_timespec") },
  iovec: { struct: Abi.iovec, c: named("struct iovec") },
  new_utsname: { struct: Abi.new_utsname, c: named("struct new_utsname") },
  statx_timestamp: { struct: Abi.statx_timestamp, c: named("struct statx_timestamp") },
  statx: { struct: Abi.statx, c: named("struct statx"), reserve: "__spare3" },
  // Of a structure that ends in an array of any length the compiler does not tell the padding.
  linux_dirent64: { struct: Abi.linux_dirent64, c: { ...named("struct linux_dirent64"), type: undefined } },
  kvm_userspace_memory_region: {
    struct: Kvm.kvm_userspace_memory_region,
    c: named("struct kvm_userspace_memory_region")
  },
  kvm_regs: { struct: Kvm.kvm_regs, c: named("struct kvm_regs"), ...x86 },
  kvm_segment: { struct: Kvm.kvm_segment, c: named("struct kvm_segment"), ...x86 },
  kvm_dtable: { struct: Kvm.kvm_dtable, c: named("struct kvm_dtable"), ...x86 },
  kvm_sregs: { struct: Kvm.kvm_sregs, c: named("struct kvm_sregs"), ...x86 },
  kvm_one_reg: { struct: Kvm.kvm_one_reg, c: named("struct kvm_one_reg") },
  kvm_debug_exit_arch: {
    struct: Kvm.kvm_debug_exit_arch,
    c: named("struct kvm_debug_exit_arch"),
    ...x86
  },
  kvm_run_exit: { struct: Kvm.kvm_run_exit, c: exitUnion, fieldsOf: { debug: ["x86_64"] } },
  "kvm_run.hw": { struct: exits.hw.layout, c: exit("hw") },
  "kvm_run.fail_entry": { struct: exits.fail_entry.layout, c: exit("fail_entry") },
  "kvm_run.ex": { struct: exits.ex.layout, c: exit("ex") },
  "kvm_run.io": { struct: exits.io.layout, c: exit("io") },
  "kvm_run.debug": { struct: exits.debug.layout, c: exit("debug"), ...x86 },
  "kvm_run.mmio": { struct: exits.mmio.layout, c: exit("mmio") },
  "kvm_run.internal": { struct: exits.internal.layout, c: exit("internal") },
  "kvm_run.system_event": { struct: exits.system_event.layout, c: exit("system_event") },
  "kvm_run.riscv_sbi": { struct: exits.riscv_sbi.layout, c: exit("riscv_sbi") },
  "kvm_run.riscv_csr": { struct: exits.riscv_csr.layout, c: exit("riscv_csr") },
  "kvm_run.notify": { struct: exits.notify.layout, c: exit("notify") },
  "kvm_run.memory_fault": { struct: exits.memory_fault.layout, c: exit("memory_fault") },
  "kvm_run.hypercall": { struct: exits.hypercall.layout, c: exit("hypercall") },
  "kvm_run.tpr_access": { struct: exits.tpr_access.layout, c: exit("tpr_access") },
  "kvm_run.s390_sieic": { struct: exits.s390_sieic.layout, c: exit("s390_sieic") },
  "kvm_run.s390_ucontrol": { struct: exits.s390_ucontrol.layout, c: exit("s390_ucontrol") },
  "kvm_run.dcr": { struct: exits.dcr.layout, c: exit("dcr") },
  "kvm_run.emulation_failure": { struct: exits.emulation_failure.layout, c: exit("emulation_failure") },
  "kvm_run.osi": { struct: exits.osi.layout, c: exit("osi") },
  "kvm_run.papr_hcall": { struct: exits.papr_hcall.layout, c: exit("papr_hcall") },
  "kvm_run.s390_tsch": { struct: exits.s390_tsch.layout, c: exit("s390_tsch") },
  "kvm_run.epr": { struct: exits.epr.layout, c: exit("epr") },
  "kvm_run.s390_stsi": { struct: exits.s390_stsi.layout, c: exit("s390_stsi") },
  "kvm_run.eoi": { struct: exits.eoi.layout, c: exit("eoi") },
  "kvm_run.arm_nisv": { struct: exits.arm_nisv.layout, c: exit("arm_nisv") },
  "kvm_run.msr": { struct: exits.msr.layout, c: exit("msr") },
  "kvm_run.iocsr_io": { struct: exits.iocsr_io.layout, c: exit("iocsr_io") },
  // The union in it has no name in C: `unknown` is the member that spans it.
  "kvm_run.tdx": { struct: exits.tdx.layout, c: exit("tdx", "RUN", { u: "unknown" }) },
  "kvm_run.tdx.u": { struct: tdx.u.layout, c: withinAnonymous("__typeof__(((RUN *)0)->tdx)", "unknown") },
  "kvm_run.tdx.unknown": { struct: tdx.u.layout.fields.unknown.layout, c: exitWithin("tdx", "unknown") },
  "kvm_run.tdx.get_quote": { struct: tdx.u.layout.fields.get_quote.layout, c: exitWithin("tdx", "get_quote") },
  "kvm_run.tdx.get_tdvmcall_info": {
    struct: tdx.u.layout.fields.get_tdvmcall_info.layout,
    c: exitWithin("tdx", "get_tdvmcall_info")
  },
  "kvm_run.tdx.setup_event_notify": {
    struct: tdx.u.layout.fields.setup_event_notify.layout,
    c: exitWithin("tdx", "setup_event_notify")
  },
  kvm_hyperv_exit: { struct: Kvm.kvm_hyperv_exit, c: named("struct kvm_hyperv_exit") },
  "kvm_hyperv_exit.u": { struct: hyperv.u.layout, c: within("struct kvm_hyperv_exit", "u") },
  "kvm_hyperv_exit.u.synic": {
    struct: hyperv.u.layout.fields.synic.layout,
    c: within("struct kvm_hyperv_exit", "u.synic")
  },
  "kvm_hyperv_exit.u.hcall": {
    struct: hyperv.u.layout.fields.hcall.layout,
    c: within("struct kvm_hyperv_exit", "u.hcall")
  },
  "kvm_hyperv_exit.u.syndbg": {
    struct: hyperv.u.layout.fields.syndbg.layout,
    c: within("struct kvm_hyperv_exit", "u.syndbg")
  },
  kvm_xen_exit: { struct: Kvm.kvm_xen_exit, c: named("struct kvm_xen_exit") },
  "kvm_xen_exit.u": { struct: xen.u.layout, c: within("struct kvm_xen_exit", "u") },
  "kvm_xen_exit.u.hcall": { struct: xen.u.layout.fields.hcall.layout, c: within("struct kvm_xen_exit", "u.hcall") },
  kvm_sync_regs: { struct: Kvm.kvm_sync_regs, c: named("struct kvm_sync_regs"), ...x86 },
  "kvm_run.s": { struct: Kvm.kvm_run.fields.s.layout, c: within("struct kvm_run", "s"), ...x86 },
  kvm_vcpu_events: { struct: Kvm.kvm_vcpu_events, c: named("struct kvm_vcpu_events"), ...x86 },
  "kvm_vcpu_events.exception": {
    struct: Kvm.kvm_vcpu_events.fields.exception.layout,
    c: within("struct kvm_vcpu_events", "exception"),
    ...x86
  },
  "kvm_vcpu_events.interrupt": {
    struct: Kvm.kvm_vcpu_events.fields.interrupt.layout,
    c: within("struct kvm_vcpu_events", "interrupt"),
    ...x86
  },
  "kvm_vcpu_events.nmi": {
    struct: Kvm.kvm_vcpu_events.fields.nmi.layout,
    c: within("struct kvm_vcpu_events", "nmi"),
    ...x86
  },
  "kvm_vcpu_events.smi": {
    struct: Kvm.kvm_vcpu_events.fields.smi.layout,
    c: within("struct kvm_vcpu_events", "smi"),
    ...x86
  },
  "kvm_vcpu_events.triple_fault": {
    struct: Kvm.kvm_vcpu_events.fields.triple_fault.layout,
    c: within("struct kvm_vcpu_events", "triple_fault"),
    ...x86
  },
  kvm_run: { struct: Kvm.kvm_run, c: run }
}

const preamble = `
#include <linux/kvm.h>
#include <linux/stat.h>
#include <linux/time_types.h>
#include <linux/types.h>
#include <linux/uio.h>
#include <linux/utsname.h>

/* No header for programs has it: this is getdents64(2). */
struct linux_dirent64 {
  unsigned long long d_ino;
  long long d_off;
  unsigned short d_reclen;
  unsigned char d_type;
  char d_name[];
};

/* The members of the union that are younger than 6.1, for older headers, as Documentation/virt/kvm/api.rst has them:
   hypercall.flags since 6.4, memory_fault 6.8, iocsr_io 6.10, tdx 6.16. */
#ifdef KVM_EXIT_TDX
#define RUN struct kvm_run
#else
struct run_of_6_16 {
  union {
    struct {
      __u64 nr;
      __u64 args[6];
      __u64 ret;
      union {
        __u32 longmode;
        __u64 flags;
      };
    } hypercall;
    struct {
      __u64 phys_addr;
      __u8 data[8];
      __u32 len;
      __u8 is_write;
    } iocsr_io;
    struct {
      __u64 flags;
      __u64 gpa;
      __u64 size;
    } memory_fault;
    struct {
      __u64 flags;
      __u64 nr;
      union {
        struct {
          __u64 ret;
          __u64 data[5];
        } unknown;
        struct {
          __u64 ret;
          __u64 gpa;
          __u64 size;
        } get_quote;
        struct {
          __u64 ret;
          __u64 leaf;
          __u64 r11, r12, r13, r14;
        } get_tdvmcall_info;
        struct {
          __u64 ret;
          __u64 vector;
        } setup_event_notify;
      };
    } tdx;
    char padding[256];
  };
};
#define RUN struct run_of_6_16
#endif

${asking}
`

const on = (architecture: Architecture, among: ReadonlyArray<Architecture> | undefined): boolean =>
  among === undefined || among.includes(architecture)

const structuresOf = (architecture: Architecture) =>
  Object.entries(listed)
    .filter(([, entry]) => on(architecture, entry.architectures))
    .map(([key, entry]) => ({
      key,
      ...entry,
      fields: Object.entries(entry.struct.fields).filter(([field]) => on(architecture, entry.fieldsOf?.[field]))
    }))

for (const architecture of architectures) {
  const reason = missing(architecture)
  const title = `structures on ${architecture}${reason === undefined ? "" : ` (skipped: ${reason})`}`
  describe.skipIf(reason !== undefined)(title, () => {
    const structures = structuresOf(architecture)
    let answers: ReadonlyMap<string, bigint> = new Map()
    beforeAll(() => {
      answers = evaluateC(architecture, [{ preamble, questions: structures.flatMap(questionsOf) }])
    })

    for (const structure of structures) {
      it(`${structure.key} lies in memory as the kernel's headers say`, () => {
        const { ours, theirs } = compare(structure, answers)
        assert.deepStrictEqual(ours, theirs)
      })
    }
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// the structures of the subjects
// ---------------------------------------------------------------------------------------------------------------------

/** The structures that modules export or that are within those, by name. */
const structuresIn = (...modules: ReadonlyArray<object>): ReadonlyMap<string, AnyStruct> => {
  const found = new Map<string, AnyStruct>()
  const collect = (value: unknown): void => {
    if (!Struct.isStruct(value)) return
    found.set(value.name, value)
    for (const { layout } of Object.values(value.fields)) collect(layout)
  }
  for (const module of modules) for (const value of Object.values(module)) collect(value)
  return found
}

const native = architectures.find(isNative)

/** Subjects of an architecture, whose names may stand for other structures than they do elsewhere. */
const ofArchitecture: Readonly<Record<string, readonly [Architecture, ReadonlyMap<string, AnyStruct>]>> = {
  "kvm-aarch64.json": ["aarch64", structuresIn(Kvm.aarch64)],
  "kvm-riscv64.json": ["riscv64", structuresIn(Kvm.riscv64)]
}

const everywhere = structuresIn(Abi, Kvm, Kvm.x86)

/** Whose headers are asked about a subject, and our structures. */
const placeOf = (file: string): readonly [Architecture | undefined, ReadonlyMap<string, AnyStruct>] =>
  ofArchitecture[file] ?? [native, everywhere]

for (const { entries, file } of subjects) {
  const [architecture, known] = placeOf(file)
  const reason = architecture === undefined ? "the machine is unknown" : missing(architecture)
  const title = `structures of ${file}${reason === undefined ? "" : ` (skipped: ${reason})`}`
  describe.skipIf(reason !== undefined)(title, () => {
    const structures = entries.flatMap((entry) => {
      const struct = known.get(entry.name)
      return struct === undefined ? [] : [structureOf(entry, struct)]
    })
    let answers: ReadonlyMap<string, bigint> = new Map()
    beforeAll(() => {
      if (architecture !== undefined) answers = evaluateC(architecture, unitsOf(architecture, structures))
    })

    it("are all in Abi or Kvm", () => {
      assert.deepStrictEqual(
        entries.map(({ name }) => name).filter((name) => !known.has(name)),
        []
      )
    })

    for (const structure of structures) {
      it(`${structure.key} lies in memory as the kernel's headers say`, () => {
        const { ours, theirs } = compare(structure, answers)
        assert.deepStrictEqual(ours, theirs)
      })
    }
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// the list itself
// ---------------------------------------------------------------------------------------------------------------------

const source = fileURLToPath(new URL("../src", import.meta.url))

/** Our sources but for the module that defines what a declaration is. */
const sources: ReadonlyArray<string> = readdirSync(source, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts") && path !== "Struct.ts")
  .map((path) => readFileSync(join(source, path), "utf8"))

const withoutComments = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "")

/** The names of the structures that a source declares. */
const declarations = (text: string): ReadonlyArray<string> =>
  [...withoutComments(text).matchAll(/\bStruct\s*\.\s*(?:make|packed|union)\s*\(\s*(?:"([^"]*)")?/g)].map(
    ([, name]) => name ?? "(a name that is no string literal)"
  )

/** Whether a source could declare structures by other words than those that `declarations` looks for. */
const importsOtherwise = (text: string): boolean =>
  [...withoutComments(text).matchAll(/(?:import|export)\s+([^;"]*?)\s+from\s+"[^"]*\/Struct\.ts"/g)].some(
    ([, what]) => what !== "* as Struct" && !what?.startsWith("type ")
  )

describe("the list of structures", () => {
  it("has every structure that the sources declare, and no other", () => {
    const declared = sources.flatMap(declarations)
    assert.deepStrictEqual(
      declared.toSorted(),
      [
        ...Object.values(listed).map(({ struct }) => struct.name),
        // What a snapshot's file begins with is ours to say, and no header's.
        "snapshot_head",
        ...subjects.flatMap(({ entries }) => entries.map(({ name }) => name))
      ].toSorted()
    )
  })

  it("would not miss a declaration", () => {
    const declaring = `
      // Struct.make("in a comment", {})
      /** Struct.make("in documentation", {}) */
      export const a = Struct.make("a", { b: Struct.union("b", {}) })
      const c = Struct.packed(
        "c",
        { d: Struct.u8 }
      )
      const e = Struct.make(name, {})
    `
    assert.deepStrictEqual(declarations(declaring), ["a", "b", "c", "(a name that is no string literal)"])
  })

  it("is not evaded by another way of importing Struct", () => {
    assert.isTrue(importsOtherwise('import { make } from "../Struct.ts"'))
    assert.isTrue(importsOtherwise('import * as S from "../Struct.ts"'))
    assert.isFalse(importsOtherwise('import type * as S from "../Struct.ts"'))
    assert.deepStrictEqual(sources.filter(importsOtherwise), [])
  })

  it("has the structures themselves, by the names they are declared with", () => {
    for (const [key, { struct }] of Object.entries(listed)) {
      assert.isTrue(Struct.isStruct(struct), key)
      assert.strictEqual(struct.name, key.slice(key.indexOf(" ") + 1), key)
    }
    assert.strictEqual(new Set(Object.values(listed).map(({ struct }) => struct)).size, Object.keys(listed).length)
  })

  it("has every structure that can be reached from the index", () => {
    const known = new Set<unknown>(Object.values(listed).map(({ struct }) => struct))
    for (const { entries, file } of subjects) {
      const [, structures] = placeOf(file)
      for (const { name } of entries) known.add(structures.get(name))
    }
    const unlisted: Array<string> = []
    const visit = (path: string, value: unknown): void => {
      if (!Struct.isStruct(value)) return
      if (!known.has(value)) unlisted.push(path)
      for (const [name, field] of Object.entries(value.fields)) visit(`${path}.${name}`, field.layout)
    }
    const modules = { ...library, "Kvm.aarch64": Kvm.aarch64, "Kvm.riscv64": Kvm.riscv64, "Kvm.x86": Kvm.x86 }
    for (const [module, exported] of Object.entries(modules)) {
      for (const [name, value] of Object.entries(exported)) visit(`${module}.${name}`, value)
    }
    assert.deepStrictEqual(unlisted, [])
  })
})
