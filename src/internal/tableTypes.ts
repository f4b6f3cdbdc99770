/** What the table of system calls says of each: the types of `table.ts`, which is generated. */

/** One of a call's arguments as the kernel gets it. */
export interface ArgumentDescription {
  readonly name: string
  /**
   * What it is: `fd`, `int`, `long`, `path`, `address`; `in`, `out` and `memory` for buffers, `iovin`, `iovout` and `iov` for
   * lists of them; `struct`, `result` and `update` for a structure that the kernel reads, writes or both; `sigset`,
   * `duration`; `zero`, `null`, `size` and `constant` for what the function fills in itself.
   */
  readonly kind: string
  /** What the kernel does with its memory, for those that have memory. */
  readonly direction?: "in" | "out" | "inout"
}

/** One system call. */
export interface CallDescription {
  /** Its number on each architecture that has it. */
  readonly numbers: { readonly x86_64?: number; readonly aarch64?: number; readonly riscv64?: number }
  readonly args: ReadonlyArray<ArgumentDescription>
  /** What it returns: `void`, `number`, `fd`, `bigint`, `struct`, or `other` where the function's own type says. */
  readonly result: string
  /** How it runs: see `Syscall`. */
  readonly way: "inline" | "inlineFirst" | "offload"
  /** The kernel version it came with, where that is after 2.6. */
  readonly since?: string
  readonly subject: string
  /** The errnos that its manual page documents. */
  readonly errors: ReadonlyArray<string>
  /** Why there is no function for it, where there is none. */
  readonly raw?: string
  /** The call that it is a form of, where it is no call of its own. */
  readonly of?: string
}
