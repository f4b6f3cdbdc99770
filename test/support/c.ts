/**
 * Asks the C compiler what the kernel's headers say, for tests that believe neither our tables nor our layouts.
 *
 * Headers of another architecture are read by this machine's compiler: all the architectures here are little-endian with
 * 64-bit pointers and lay out the headers' types alike, and what differs between them is in the headers.
 */
import { execFileSync, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export type Architecture = "x86_64" | "aarch64" | "riscv64"

export const architectures: ReadonlyArray<Architecture> = ["x86_64", "aarch64", "riscv64"]

/** Node's name of each. */
export const nodeNames: Readonly<Record<Architecture, NodeJS.Architecture>> = {
  x86_64: "x64",
  aarch64: "arm64",
  riscv64: "riscv64"
}

const defines: Readonly<Record<Architecture, ReadonlyArray<string>>> = {
  x86_64: ["-D__x86_64__=1"],
  aarch64: ["-D__aarch64__=1"],
  riscv64: ["-D__riscv=1", "-D__riscv_xlen=64"]
}

export const isNative = (architecture: Architecture): boolean => process.arch === nodeNames[architecture]

const includeOf = (architecture: Architecture): string =>
  isNative(architecture) ? "/usr/include" : `/usr/${architecture}-linux-gnu/include`

const hasCompiler = ((): boolean => {
  try {
    execFileSync("gcc", ["--version"], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
})()

/** The oldest headers with all that is asked about: `struct statx` got its last fields used here with 6.1. */
const oldest = { version: "6.1", code: (6 << 16) | (1 << 8) }

/** Why the headers of an architecture cannot be asked on this machine; undefined where they can. */
export const missing = (architecture: Architecture): string | undefined => {
  if (!hasCompiler) return "there is no gcc"
  const header = join(includeOf(architecture), "linux/version.h")
  if (!existsSync(header)) return `there is no ${header}`
  const code = Number(/LINUX_VERSION_CODE (\d+)/.exec(readFileSync(header, "utf8"))?.[1])
  return code >= oldest.code ? undefined : `the headers in ${includeOf(architecture)} are older than ${oldest.version}`
}

/** How the compiler is made to read the headers of an architecture. */
const flagsOf = (architecture: Architecture): ReadonlyArray<string> => [
  "-std=gnu11",
  "-w",
  ...(isNative(architecture)
    ? []
    : [
        "-U__x86_64__",
        "-U__aarch64__",
        "-U__riscv",
        ...defines[architecture],
        "-nostdinc",
        "-isystem",
        includeOf(architecture)
      ])
]

/** Text that questions are asked after: each unit is compiled by itself, as not all headers can be read together. */
export interface Unit {
  readonly preamble: string
  readonly questions: ReadonlyArray<{
    readonly name: string
    readonly expression: string
    /** For the preprocessor: the question is left out where it does not hold. */
    readonly condition?: string
  }>
}

const functionOf = ({ preamble, questions }: Unit, index: number): string => {
  const asked = questions.map(({ condition = "1", expression, name }) =>
    [`#if ${condition}`, `  show("${name}", (${expression}) < 0, (unsigned long long)(${expression}));`, "#endif"].join(
      "\n"
    )
  )
  return `${preamble}
extern void show(const char *name, int negative, unsigned long long value);
void unit_${index}(void) {
${asked.join("\n")}
}
`
}

/** The values of integer expressions, by the names of their questions, as one program made of all units prints them. */
export const evaluateC = (architecture: Architecture, units: ReadonlyArray<Unit>): ReadonlyMap<string, bigint> => {
  const directory = mkdtempSync(join(tmpdir(), "effect-linux-c-"))
  try {
    const main = `
extern int printf(const char *, ...);
void show(const char *name, int negative, unsigned long long value) {
  printf(negative ? "%s\t%lld\\n" : "%s\t%llu\\n", name, value);
}
${units.map((_, index) => `void unit_${index}(void);`).join("\n")}
int main(void) {
${units.map((_, index) => `  unit_${index}();`).join("\n")}
  return 0;
}
`
    const files = [main, ...units.map(functionOf)].map((text, index) => {
      const path = join(directory, `${index}.c`)
      writeFileSync(path, text)
      return path
    })
    const binary = join(directory, "program")
    execFileSync("gcc", [...flagsOf(architecture), ...files, "-o", binary], { stdio: ["ignore", "ignore", "pipe"] })
    const printed = execFileSync(binary, { encoding: "utf8", maxBuffer: 64 << 20 })
    return new Map(
      printed
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => {
          const [name = "", value = ""] = line.split("\t")
          return [name, BigInt(value)]
        })
    )
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** What the compiler has against a text; empty where it takes it. */
const complaintsOf = (architecture: Architecture, text: string): string =>
  spawnSync("gcc", [...flagsOf(architecture), "-S", "-o", "/dev/null", "-fmax-errors=0", "-x", "c", "-"], {
    input: text,
    encoding: "utf8",
    env: { ...process.env, LC_ALL: "C" }
  }).stderr

/** Whether a type is known after some text. */
export const hasType = (architecture: Architecture, preamble: string, type: string): boolean =>
  complaintsOf(architecture, `${preamble}\nint size = sizeof(${type});\n`) === ""

/** Those of some expressions that are valid after some text. */
export const valid = (
  architecture: Architecture,
  preamble: string,
  expressions: ReadonlyArray<string>
): ReadonlyArray<string> => {
  const asked = expressions.map((expression, index) => `#line ${index + 1} "asked"\n  (void)(${expression});`)
  const text = `${preamble}\nvoid ask(void) {\n${asked.join("\n")}\n}\n`
  // Errors within a macro are reported at its definition, with a note of where it is used.
  const wrong = new Set(
    [...complaintsOf(architecture, text).matchAll(/^asked:(\d+):/gm)].map(([, line]) => Number(line) - 1)
  )
  return expressions.filter((_, index) => !wrong.has(index))
}
