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
const exit = (member: string, type = "struct kvm_run"): InC => ({
  type: `__typeof__(((${type} *)0)->${member})`,
  size: `sizeof(((${type} *)0)->${member})`,
  alignment: `__alignof__(((${type} *)0)->${member})`,
  offset: (field) => exitOffset(type, `${member}.${field}`),
  value: (field) => `((${type} *)0)->${member}.${field}`
})

const runTypeOf = (member: string): string => (member === "memory_fault" ? "RUN" : "struct kvm_run")

/** The union itself: `padding` is the member that spans it, and its alignment is that of its strictest member. */
const exitUnion: InC = {
  type: undefined,
  size: "__builtin_offsetof(struct kvm_run, kvm_valid_regs) - __builtin_offsetof(struct kvm_run, padding)",
  alignment: Object.keys(Kvm.kvm_run_exit.fields)
    .map((member) => `__alignof__(((${runTypeOf(member)} *)0)->${member})`)
    .reduce((a, b) => `(${a} > ${b} ? ${a} : ${b})`),
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

const x86 = { architectures: ["x86_64"] } as const
const aarch64 = { architectures: ["aarch64"] } as const

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
  "kvm_run.memory_fault": { struct: exits.memory_fault.layout, c: exit("memory_fault", "RUN") },
  kvm_run: { struct: Kvm.kvm_run, c: run },
  "aarch64 user_pt_regs": { struct: Kvm.aarch64.user_pt_regs, c: named("struct user_pt_regs"), ...aarch64 },
  "aarch64 user_fpsimd_state": {
    struct: Kvm.aarch64.user_fpsimd_state,
    c: named("struct user_fpsimd_state"),
    ...aarch64
  },
  "aarch64 kvm_regs": { struct: Kvm.aarch64.kvm_regs, c: named("struct kvm_regs"), ...aarch64 },
  "aarch64 kvm_debug_exit_arch": {
    struct: Kvm.aarch64.kvm_debug_exit_arch,
    c: named("struct kvm_debug_exit_arch"),
    ...aarch64
  }
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

/* Since 6.8; for older headers this is Documentation/virt/kvm/api.rst. */
#ifdef KVM_EXIT_MEMORY_FAULT
#define RUN struct kvm_run
#else
struct run_of_6_8 {
  union {
    struct {
      __u64 flags;
      __u64 gpa;
      __u64 size;
    } memory_fault;
    char padding[256];
  };
};
#define RUN struct run_of_6_8
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

/** The structures that `Abi` and `Kvm` export or that are within those, by name. */
const inAbi = new Map<string, AnyStruct>()
const collect = (value: unknown): void => {
  if (!Struct.isStruct(value)) return
  inAbi.set(value.name, value)
  for (const { layout } of Object.values(value.fields)) collect(layout)
}
for (const value of [...Object.values(Abi), ...Object.values(Kvm)]) collect(value)

const native = architectures.find(isNative)
const reason = native === undefined ? "the machine is unknown" : missing(native)

for (const { entries, file } of subjects) {
  const title = `structures of ${file}${reason === undefined ? "" : ` (skipped: ${reason})`}`
  describe.skipIf(reason !== undefined)(title, () => {
    const structures = entries.flatMap((entry) => {
      const struct = inAbi.get(entry.name)
      return struct === undefined ? [] : [structureOf(entry, struct)]
    })
    let answers: ReadonlyMap<string, bigint> = new Map()
    beforeAll(() => {
      if (native !== undefined) answers = evaluateC(native, unitsOf(native, structures))
    })

    it("are all exported", () => {
      assert.deepStrictEqual(
        entries.map(({ name }) => name).filter((name) => !inAbi.has(name)),
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
    for (const { entries } of subjects) for (const { name } of entries) known.add(inAbi.get(name))
    const unlisted: Array<string> = []
    const visit = (path: string, value: unknown): void => {
      if (!Struct.isStruct(value)) return
      if (!known.has(value)) unlisted.push(path)
      for (const [name, field] of Object.entries(value.fields)) visit(`${path}.${name}`, field.layout)
    }
    const modules = { ...library, "Kvm.aarch64": Kvm.aarch64 }
    for (const [module, exported] of Object.entries(modules)) {
      for (const [name, value] of Object.entries(exported)) visit(`${module}.${name}`, value)
    }
    assert.deepStrictEqual(unlisted, [])
  })
})
