/**
 * What all errno classes share: their fields, their message, their equality. The classes themselves are generated
 * (`errnos.ts`); looking one up by number is `registry.ts`.
 *
 * Instances are objects whose prototype chain ends in `Error.prototype`, made without running the constructor of
 * `Error`: that one takes microseconds to capture a stack, and EAGAIN, ENOENT and EEXIST are answers, not accidents.
 */
import type * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"

/**
 * What is known of the call that failed.
 *
 * @category models
 * @since 0.1.0
 */
export interface ErrnoDetails {
  /** The system call, by the kernel's name. */
  readonly syscall?: string | undefined
  /** The path it was about. Linux paths are bytes, so a path that was given as bytes stays bytes. */
  readonly path?: string | Uint8Array | undefined
  /** The file descriptor it was about. */
  readonly fd?: number | undefined
  /**
   * What more there is to say: which argument was wrong, where this library refused the call before the kernel saw it;
   * which request was made, for an ioctl.
   */
  readonly detail?: string | undefined
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, index) => byte === b[index])

const samePath = (a: string | Uint8Array | undefined, b: string | Uint8Array | undefined): boolean =>
  a === b || (a instanceof Uint8Array && b instanceof Uint8Array && sameBytes(a, b))

const decoder = new TextDecoder()

/** As much of a path as a message shows: a longer one is the caller's mistake, and no reader's joy. */
const longest = 4096

const printPath = (path: string | Uint8Array): string => {
  const shown = path.length > longest ? path.slice(0, longest) : path
  const text = JSON.stringify(typeof shown === "string" ? shown : decoder.decode(shown))
  return shown === path ? text : `${text}…`
}

let stackTraces = false

/**
 * Turns stack traces of errnos on or off for this thread; returns whether they were on.
 *
 * **When to use**
 *
 * While you look for the place that an unexpected errno comes from. Each error then costs several microseconds more.
 * `Effect.withSpan` and `Effect.fn` name the place at no such price.
 *
 * @category debugging
 * @since 0.1.0
 */
export const setStackTraces = (enabled: boolean): boolean => {
  const before = stackTraces
  stackTraces = enabled
  return before
}

// A property of each instance and not of the class, as Node prints a rejection that nobody handled by its `stack` only
// where the reason has one of its own.
const ownStack: PropertyDescriptor = {
  get(this: ErrnoError): string {
    return this.message
  },
  configurable: true
}

// The class takes the methods of a yieldable error by its prototype, below, so the interface says that it has them.
export interface ErrnoError extends Cause.YieldableError, Equal.Equal {}
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: see the line above; no constructor of Error may run
export abstract class ErrnoError {
  /** The errno's name, such as `"ENOENT"`. */
  declare readonly _tag: string
  /** The errno's number, such as 2. */
  declare readonly errno: number
  /** The standard text, such as "no such file or directory". */
  declare readonly text: string

  // Declared and not defined: what is not known leaves no trace in a printed error.
  declare readonly syscall: string | undefined
  declare readonly path: string | Uint8Array | undefined
  declare readonly fd: number | undefined
  declare readonly detail: string | undefined

  constructor(details?: ErrnoDetails) {
    if (details?.syscall !== undefined) this.syscall = details.syscall
    if (details?.path !== undefined) this.path = details.path
    if (details?.fd !== undefined) this.fd = details.fd
    if (details?.detail !== undefined) this.detail = details.detail
    if (stackTraces) Error.captureStackTrace(this, new.target)
    else Object.defineProperty(this, "stack", ownStack)
  }

  get message(): string {
    const subject = this.path !== undefined ? printPath(this.path) : this.fd !== undefined ? String(this.fd) : ""
    const call = this.syscall === undefined ? "" : `${this.syscall}(${subject}): `
    return `${call}${this.name}, ${this.text}${this.detail === undefined ? "" : `: ${this.detail}`}`
  }

  /** A line like that of other errors; frames follow only while {@link setStackTraces} is on. */
  declare readonly stack: string

  toJSON(): unknown {
    const { _tag, detail, errno, fd, message, path, syscall } = this
    return {
      _tag,
      errno,
      message,
      ...(syscall === undefined ? undefined : { syscall }),
      ...(path === undefined ? undefined : { path: typeof path === "string" ? path : decoder.decode(path) }),
      ...(fd === undefined ? undefined : { fd }),
      ...(detail === undefined ? undefined : { detail })
    }
  }

  toString(): string {
    return this.message
  }
}

Object.setPrototypeOf(ErrnoError.prototype, Data.Error.prototype)

const constant = (target: object, name: PropertyKey, value: unknown): void => {
  Object.defineProperty(target, name, { value, writable: true, configurable: true })
}

constant(ErrnoError.prototype, Symbol.for("nodejs.util.inspect.custom"), function (this: ErrnoError) {
  return this.stack
})

constant(ErrnoError.prototype, Equal.symbol, function (this: ErrnoError, that: Equal.Equal): boolean {
  return (
    that instanceof ErrnoError &&
    this._tag === that._tag &&
    this.errno === that.errno &&
    this.syscall === that.syscall &&
    this.fd === that.fd &&
    this.detail === that.detail &&
    samePath(this.path, that.path)
  )
})

constant(ErrnoError.prototype, Hash.symbol, function (this: ErrnoError): number {
  return Hash.combine(Hash.string(this._tag), Hash.combine(Hash.string(this.syscall ?? ""), Hash.number(this.fd ?? -1)))
})

/**
 * Gives a class its name, number and text, on the prototype: an instance holds only what differs.
 *
 * @internal
 */
export const define = (target: { readonly prototype: ErrnoError }, name: string, errno: number, text: string): void => {
  constant(target.prototype, "_tag", name)
  constant(target.prototype, "name", name)
  constant(target.prototype, "errno", errno)
  constant(target.prototype, "text", text)
  constant(target.prototype, Symbol.toStringTag, name)
}
