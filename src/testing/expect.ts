/** Assertions on exits, registers and memory: plain functions and effects, for every test runner. */
import * as Effect from "effect/Effect"
import * as Kvm from "../Kvm.ts"
import { failed, formatExit, hex, shownExit, shownField } from "./describe.ts"

/**
 * The exit of a kind.
 *
 * @category models
 * @since 0.1.0
 */
export type ExitOf<Tag extends Kvm.Exit["_tag"]> = Extract<Kvm.Exit, { readonly _tag: Tag }>

type Every<T> = T extends unknown ? keyof T : never
type At<T, K> = T extends unknown ? (K extends keyof T ? T[K] : never) : never

/**
 * What fields of an exit are to be; bytes also as a list of numbers. Those that are not named may be anything.
 *
 * @category models
 * @since 0.1.0
 */
export type ExpectedFields<E> = {
  readonly [K in Exclude<Every<E>, "_tag"> as At<E, K> extends (...args: never) => unknown ? never : K]?: At<
    E,
    K
  > extends Uint8Array
    ? Uint8Array | ReadonlyArray<number>
    : At<E, K>
}

/** What of an exit differs from what was expected: undefined where nothing does. */
export const differences = (
  exit: Kvm.Exit,
  tag: Kvm.Exit["_tag"],
  fields: Readonly<Record<string, unknown>>
): { readonly actual: unknown; readonly expected: unknown; readonly message: string } | undefined => {
  const shown = shownExit(exit)
  const expected: Record<string, unknown> = { _tag: tag }
  const actual: Record<string, unknown> = { _tag: exit._tag }
  let differs = exit._tag !== tag
  for (const [name, value] of Object.entries(fields)) {
    const found: unknown = Reflect.get(exit, name)
    const wanted =
      found instanceof Uint8Array && Array.isArray(value)
        ? shownField(name, Uint8Array.from(value))
        : shownField(name, value)
    expected[name] = wanted
    actual[name] = shown[name]
    differs ||= !same(found, value)
  }
  if (!differs) return undefined
  const list = Object.entries(expected)
    .filter(([name]) => name !== "_tag")
    .map(([name, value]) => `${name}: ${value}`)
  const wanted = list.length === 0 ? tag : `${tag} { ${list.join(", ")} }`
  return {
    message: `expected the guest to stop with ${wanted}, it stopped with ${formatExit(exit)}`,
    // Of another kind all is shown.
    actual: exit._tag === tag ? actual : shown,
    expected
  }
}

const same = (found: unknown, wanted: unknown): boolean => {
  if (ArrayBuffer.isView(found) || Array.isArray(found)) {
    if (!ArrayBuffer.isView(wanted) && !Array.isArray(wanted)) return false
    const a = Array.from(found as ArrayLike<unknown>)
    const b = Array.from(wanted as ArrayLike<unknown>)
    return a.length === b.length && a.every((value, index) => same(value, b[index]))
  }
  return Object.is(found, wanted)
}

/**
 * Asserts of which kind an exit is, and what some of its fields are; TypeScript then knows the kind, and so does who takes
 * the result. Throws an `AssertionError` that shows the whole exit and the difference.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 * import * as Testing from "effect-linux/testing"
 *
 * const greets = Effect.gen(function* () {
 *   const exit = yield* Kvm.run(yield* Kvm.Vcpu)
 *   const { data } = Testing.expectExit(exit, "Io", { direction: "out", port: 0x3f8, data: [0x48] })
 *   return data
 * })
 * ```
 *
 * @category assertions
 * @since 0.1.0
 */
export const expectExit = <Tag extends Kvm.Exit["_tag"]>(
  exit: Kvm.Exit,
  tag: Tag,
  fields: ExpectedFields<ExitOf<Tag>> = {}
): ExitOf<Tag> => {
  const difference = differences(exit, tag, fields)
  if (difference !== undefined) throw failed(difference.message, difference.actual, difference.expected)
  if (!isOf(exit, tag)) throw new TypeError(`exit: expected ${tag}`)
  return exit
}

const isOf = <Tag extends Kvm.Exit["_tag"]>(exit: Kvm.Exit, tag: Tag): exit is ExitOf<Tag> => exit._tag === tag

const shownRegisters = (registers: Readonly<Record<string, unknown>>, names: ReadonlyArray<string>) =>
  Object.fromEntries(
    names.map((name) => {
      const value = registers[name]
      return [name, typeof value === "bigint" || typeof value === "number" ? hex(value) : value]
    })
  )

/** What of registers differs from what was expected: undefined where nothing does. */
export const registerDifferences = (
  actual: Kvm.kvm_regs,
  expected: Partial<Kvm.kvm_regs>
): { readonly actual: unknown; readonly expected: unknown; readonly message: string } | undefined => {
  const entries = Object.entries(expected)
  const found: Readonly<Record<string, unknown>> = { ...actual }
  const wrong = entries.filter(([name, value]) => found[name] !== value)
  if (wrong.length === 0) return undefined
  const list = wrong.map(([name, value]) => {
    const is = found[name]
    return `${name} ${typeof is === "bigint" ? hex(is) : is} instead of ${hex(value)}`
  })
  const names = entries.map(([name]) => name)
  return {
    message: `the guest has ${list.join(", ")}`,
    actual: shownRegisters(found, names),
    expected: shownRegisters(expected, names)
  }
}

/**
 * Asserts what some of a vCPU's general registers are; gives all of them. Dies with an `AssertionError` that says in
 * hexadecimal which differ.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 * import * as Testing from "effect-linux/testing"
 *
 * const counted = Effect.flatMap(Kvm.Vcpu, (vcpu) => Testing.expectRegs(vcpu, { rax: 42n, rcx: 0n }))
 * ```
 *
 * @category assertions
 * @since 0.1.0
 */
export const expectRegs = (
  vcpu: Kvm.Vcpu,
  expected: Partial<Kvm.kvm_regs>
): Effect.Effect<Kvm.kvm_regs, Kvm.RegisterError> =>
  Effect.flatMap(Kvm.getRegs(vcpu), (regs) => {
    const difference = registerDifferences(regs, expected)
    return difference === undefined
      ? Effect.succeed(regs)
      : Effect.die(failed(difference.message, difference.actual, difference.expected))
  })

/**
 * Asserts what bytes are at a guest address. Dies with an `AssertionError` that says where they begin to differ.
 *
 * @category assertions
 * @since 0.1.0
 */
export const expectMemory = (
  memory: Kvm.Memory,
  address: number | bigint,
  expected: Uint8Array | ReadonlyArray<number>
): Effect.Effect<void, Kvm.GuestMemoryError> =>
  Effect.flatMap(Kvm.readMemory(memory, address, expected.length), (bytes) => {
    const first = bytes.findIndex((byte, index) => byte !== expected[index])
    if (first < 0) return Effect.void
    const at = hex(BigInt(address) + BigInt(first))
    const shown = (list: ArrayLike<number>) => Array.from(list, (byte) => byte.toString(16).padStart(2, "0")).join(" ")
    return Effect.die(failed(`memory differs from ${at} on`, shown(bytes), shown(expected)))
  })
