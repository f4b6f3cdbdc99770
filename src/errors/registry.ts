/**
 * From the number that the kernel answered to the error that a caller sees: by number alone, or among those that a
 * call's manual page documents.
 */
import { define, type ErrnoDetails, ErrnoError } from "./ErrnoError.ts"
import { classes, codes, type ErrnoClass, type KnownErrno } from "./errnos.ts"

/** The highest number that the kernel uses for an errno: results below -4095 are values. */
const maxErrno = 4095

const byCode: Array<ErrnoClass | undefined> = []
for (const [code, errno] of classes) byCode[code] = errno

/**
 * An errno that the manual page of the call does not document, or that has no name at all.
 *
 * **When to use**
 *
 * Catch it to handle what "cannot happen": drivers, file systems and security modules answer what they like. `code`
 * says which errno it was, where Linux has a name for it, and `errno` its number.
 *
 * @category errors
 * @since 0.1.0
 */
export class OtherErrno extends ErrnoError {
  declare readonly _tag: "OtherErrno"
  override readonly errno: number
  override readonly text: string
  /** The name of the errno, such as `"EMULTIHOP"`; undefined where Linux has none for the number. */
  readonly code: KnownErrno["_tag"] | undefined

  static {
    define(OtherErrno, "OtherErrno", 0, "")
  }

  constructor(errno: number, details?: ErrnoDetails) {
    super(details)
    const known = byCode[errno]?.prototype
    this.errno = errno
    this.code = known?._tag
    this.text = known === undefined ? `errno ${errno}` : `${known._tag}, ${known.text}`
  }
}

/**
 * Any error that a system call can end in.
 *
 * @category errors
 * @since 0.1.0
 */
export type Errno = KnownErrno | OtherErrno

/**
 * The error of a number: an instance of its class, or of `OtherErrno` where Linux has no name for the number.
 *
 * A negative number is taken as the kernel's `-errno`.
 *
 * @example
 * ```ts
 * import { Errno } from "effect-linux"
 *
 * Errno.fromCode(2, { syscall: "openat", path: "/nope" }).message
 * // openat("/nope"): ENOENT, no such file or directory
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromCode: {
  <Code extends KnownErrno["errno"]>(code: Code, details?: ErrnoDetails): Extract<KnownErrno, { readonly errno: Code }>
  (code: number, details?: ErrnoDetails): Errno
} = (code: number, details?: ErrnoDetails) => {
  const Class = byCode[Math.abs(code)]
  // The overload says which class a literal number has; a map by number cannot.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  return (Class === undefined ? new OtherErrno(Math.abs(code), details) : new Class(details)) as any
}

/**
 * Whether a value is one of this library's errors, whichever errno.
 *
 * @category guards
 * @since 0.1.0
 */
export const isErrno = (u: unknown): u is Errno => u instanceof ErrnoError

/**
 * Whether what the kernel returned stands for an error.
 *
 * @category guards
 * @since 0.1.0
 */
export const isErrorResult = (result: number | bigint): boolean => result < 0 && result >= -maxErrno

/**
 * The errors of one system call: makes the documented ones as their classes and all others as `OtherErrno`.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallErrors<out E> {
  readonly syscall: string
  /** The names of the documented errnos. */
  readonly documented: ReadonlyArray<KnownErrno["_tag"]>
  /** `code` is positive. */
  readonly make: (code: number, path?: string | Uint8Array, fd?: number, detail?: string) => E
}

/**
 * Describes the errors of one system call or ioctl request by the names that its documentation lists.
 *
 * @category constructors
 * @since 0.1.0
 */
export const errorsOf = <const Names extends ReadonlyArray<keyof typeof codes>>(
  syscall: string,
  names: Names
): CallErrors<Extract<KnownErrno, { readonly errno: (typeof codes)[Names[number]] }> | OtherErrno> => {
  const own: Array<ErrnoClass | undefined> = []
  const documented: Array<KnownErrno["_tag"]> = []
  for (const name of names) {
    const Class = byCode[codes[name]]
    if (Class === undefined) continue
    own[codes[name]] = Class
    documented.push(Class.prototype._tag)
  }
  return {
    syscall,
    documented,
    make: (code, path, fd, detail) => {
      const details = { syscall, path, fd, detail }
      const Class = own[code]
      // Only classes of `names` are in `own`, which is what the type of the result says.
      // biome-ignore lint/suspicious/noExplicitAny: see above
      return (Class === undefined ? new OtherErrno(code, details) : new Class(details)) as any
    }
  }
}
