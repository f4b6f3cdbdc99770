/** The numbers of system calls on this machine's architecture; `Syscall.nr` is their public face. */
import { byArchitecture } from "./architecture.ts"
import { aarch64, riscv64, x86_64 } from "./numbers.ts"

type Everywhere = keyof typeof x86_64 & keyof typeof aarch64 & keyof typeof riscv64
type Somewhere = keyof typeof x86_64 | keyof typeof aarch64 | keyof typeof riscv64

export type Numbers = { readonly [K in Everywhere]: number } & {
  readonly [K in Exclude<Somewhere, Everywhere>]?: number
}

export const nr: Numbers = byArchitecture<Numbers>({ x86_64, aarch64, riscv64 })
