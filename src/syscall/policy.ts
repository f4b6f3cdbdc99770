/**
 * What holds for many calls: a call that this architecture lacks, one that cannot fail, a descriptor that a call opened
 * for a fiber that is gone. Not part of the public surface.
 */
import type { CallErrors } from "../errors/registry.ts"
import type { Result } from "../internal/native.ts"
import { kernel } from "../internal/trampoline.ts"
import { nr } from "./raw.ts"

/** The number of a call that this architecture does not have: the kernel answers ENOSYS to it. */
export const absent = -1

/** The errors of a call that cannot fail: should the kernel say an errno all the same, a belief of this library is wrong. */
export const infallible = (syscall: string): CallErrors<never> => ({
  syscall,
  documented: [],
  make: (code) => {
    throw new Error(`${syscall} cannot fail, and failed with errno ${code}`)
  }
})

/** A descriptor that a call opened although its fiber was interrupted is closed: nobody else would. */
export const closeAbandoned = (fd: Result): void => {
  kernel.call(nr.close, fd)
}
