/**
 * Which machine this is. Importing the library anywhere else than on Linux, or on an architecture it has no numbers
 * for, ends here with one clear error.
 */

/** An architecture that effect-linux runs on. */
export type Architecture = "x86_64" | "aarch64" | "riscv64"

const detect = (): Architecture => {
  if (process.platform !== "linux") {
    throw new Error(`effect-linux speaks to the Linux kernel and cannot run on ${process.platform}`)
  }
  switch (process.arch) {
    case "x64":
      return "x86_64"
    case "arm64":
      return "aarch64"
    case "riscv64":
      return "riscv64"
    default:
      throw new Error(`effect-linux knows Linux on x86_64, aarch64 and riscv64, and this is ${process.arch}`)
  }
}

export const architecture: Architecture = detect()

export const byArchitecture = <A>(values: Readonly<Record<Architecture, A>>): A => values[architecture]
