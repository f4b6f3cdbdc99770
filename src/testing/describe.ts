/** How exits, registers and states are shown where a test fails. */
import * as Effect from "effect/Effect"
import * as Kvm from "../Kvm.ts"

const { CR0_PE, EFER_LMA } = Kvm.x86

/** A number as registers are read. */
export const hex = (value: number | bigint): string => `0x${value.toString(16)}`

const bytes = (data: Uint8Array): string => {
  const shown = [...data.subarray(0, 16)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ")
  return data.length > 16 ? `[${shown} …, ${data.length} bytes]` : `[${shown}]`
}

const decimal: ReadonlySet<string> = new Set(["size", "count", "cpu", "suberror", "exception", "type"])

/** A field of an exit, comparable and readable. */
export const shownField = (name: string, value: unknown): unknown =>
  value instanceof Uint8Array
    ? bytes(value)
    : Array.isArray(value)
      ? value.map((item) => shownField("", item))
      : (typeof value === "number" && !decimal.has(name)) || typeof value === "bigint"
        ? hex(value)
        : value

/** The fields of an exit as they are shown: not how it is answered. */
export const shownExit = (exit: Kvm.Exit): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    Object.entries(exit)
      .filter(([, value]) => typeof value !== "function")
      .map(([name, value]) => [name, shownField(name, value)])
  )

/**
 * An exit in one line: `Io { direction: out, port: 0x3f8, size: 1, count: 1, data: [48] }`.
 *
 * @category showing
 * @since 0.1.0
 */
export const formatExit = (exit: Kvm.Exit): string => {
  const { _tag, ...fields } = shownExit(exit)
  const list = Object.entries(fields).map(
    ([name, value]) => `${name}: ${Array.isArray(value) ? value.join(" ") : value}`
  )
  return list.length === 0 ? exit._tag : `${exit._tag} { ${list.join(", ")} }`
}

/**
 * An assertion that failed: `actual` and `expected` are what a test runner shows the difference of.
 *
 * @category errors
 * @since 0.1.0
 */
export class AssertionError extends Error {
  override readonly name = "AssertionError"
  readonly actual: unknown
  readonly expected: unknown
  /** For runners that ask. */
  readonly showDiff = true

  constructor(message: string, actual: unknown, expected: unknown) {
    super(message)
    this.actual = actual
    this.expected = expected
  }
}

export const failed = (message: string, actual: unknown, expected: unknown): AssertionError =>
  new AssertionError(message, actual, expected)

/** Where a guest is: for messages, so that nothing here fails. */
export const whereabouts = (vcpu: Kvm.Vcpu): Effect.Effect<string> =>
  Effect.all([Kvm.getRegs(vcpu), Kvm.getSregs(vcpu)]).pipe(
    Effect.map(([regs, { cr0, cr2, cs, efer }]) => {
      const mode =
        (cr0 & CR0_PE) === 0n ? "real" : (efer & EFER_LMA) === 0n ? "protected" : cs.l !== 0 ? "long" : "compatibility"
      const registers = Object.entries<bigint>({ ...regs })
        .filter(([, value]) => value !== 0n)
        .map(([name, value]) => `${name}=${hex(value)}`)
      return `in ${mode} mode, cs=${hex(cs.selector)} base ${hex(cs.base)}, cr2=${hex(cr2)}, ${registers.join(" ")}`
    }),
    Effect.catchCause(() => Effect.succeed("its registers cannot be read"))
  )
