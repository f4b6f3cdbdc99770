// src/internal/numbers.ts: the number of each system call on each architecture, from asm/unistd.h of each, completed by
// scripts/data/newer-syscalls.json for kernels younger than the headers.
import { architectures, banner, data, macroNames, macroValues } from "./headers.mjs"

/** Macros of asm/unistd.h that are no system call. */
const notCalls = new Set([
  "BASE",
  "syscalls",
  "arch_specific_syscall",
  "OABI_SYSCALL_BASE",
  "SYSCALL_BASE",
  "SYSCALL_MASK"
])

export const readNumbers = (architecture) => {
  // __ARM_NR_: the private calls of 32-bit ARM.
  const names = macroNames(architecture, ["asm/unistd.h"]).filter((name) => /^__(ARM_)?NR_/.test(name))
  const numbers = new Map()
  for (const [macro, value] of macroValues(architecture, ["asm/unistd.h"], names)) {
    const name = macro.replace(/^__(ARM_)?NR_/, "")
    if (!notCalls.has(name) && !name.startsWith("3264")) numbers.set(name, Number(value))
  }
  for (const [name, number] of Object.entries(data("newer-syscalls.json"))) {
    if (typeof number === "number") numbers.set(name, number)
    else if (architecture in number) numbers.set(name, number[architecture])
  }
  return new Map([...numbers].sort((a, b) => a[1] - b[1] || a[0].localeCompare(b[0])))
}

export const numbers = () => {
  const lines = [banner("each architecture's asm/unistd.h and scripts/data/newer-syscalls.json"), ""]
  for (const architecture of Object.keys(architectures)) {
    const entries = [...readNumbers(architecture)]
    lines.push(
      `export const ${architecture}: {`,
      ...entries.map(([name, number]) => `  readonly ${name}: ${number}`),
      "} = {",
      entries.map(([name, number]) => `  ${name}: ${number}`).join(",\n"),
      "}",
      ""
    )
  }
  return lines.join("\n")
}
