/** Running a guest up to where a test wants it. */
import * as Effect from "effect/Effect"
import * as Kvm from "../Kvm.ts"
import type * as Syscall from "../Syscall.ts"
import { failed, formatExit, whereabouts } from "./describe.ts"
import { differences, type ExitOf, type ExpectedFields } from "./expect.ts"

/**
 * What running a guest in a test fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export type RunError = Kvm.RunError | Syscall.MakeThreadError

/**
 * @category models
 * @since 0.1.0
 */
export interface RunOptions {
  /** After how many exits a guest is one that does not come to an end. 10,000. */
  readonly maxExits?: number | undefined
  /** Whether the guest runs on the JavaScript thread (`Kvm.runInline`): faster, for guests that stop soon. False. */
  readonly inline?: boolean | undefined
}

/** After these a guest does not go on in a way that any test could want. */
const ends: ReadonlySet<Kvm.Exit["_tag"]> = new Set(["Hlt", "Shutdown", "FailEntry", "InternalError", "SystemEvent"])

/** Answers who reads with zeros. */
const zeros = (exit: Kvm.Exit): Effect.Effect<void> =>
  (exit._tag === "Io" && exit.direction === "in") || (exit._tag === "Mmio" && !exit.isWrite)
    ? Effect.ignore(exit.respond(new Uint8Array(exit.data.length)))
    : Effect.void

/**
 * Runs a guest until it stops with an exit of this kind whose fields are as given; other exits before it are passed over,
 * those that read get zeros. Dies with an `AssertionError` where the guest ends in another way (it halts, it shuts down, KVM
 * gives up), which shows the last exits and where the guest is.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 * import * as Testing from "effect-linux/testing"
 *
 * const asksForKey = Effect.gen(function* () {
 *   const exit = yield* Testing.runToExit(yield* Kvm.Vcpu, "Io", { direction: "in", port: 0x60 })
 *   if (exit.direction === "in") yield* exit.respond(0x1c)
 * })
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const runToExit = <Tag extends Kvm.Exit["_tag"]>(
  vcpu: Kvm.Vcpu,
  tag: Tag,
  fields: ExpectedFields<ExitOf<Tag>> = {},
  options: RunOptions = {}
): Effect.Effect<ExitOf<Tag>, RunError> =>
  Effect.gen(function* () {
    const wanted = (exit: Kvm.Exit): exit is ExitOf<Tag> => differences(exit, tag, fields) === undefined
    const last: Array<string> = []
    const { maxExits = 10_000 } = options
    const step: Effect.Effect<Kvm.Exit, RunError> = options.inline === true ? Kvm.runInline(vcpu) : Kvm.run(vcpu)
    for (let count = 0; count < maxExits; count++) {
      const exit = yield* step
      if (wanted(exit)) return exit
      yield* zeros(exit)
      last.push(formatExit(exit))
      if (last.length > 5) last.shift()
      if (ends.has(exit._tag)) {
        const message = `expected the guest to stop with ${tag}, it stopped with ${last.join(", ")}`
        return yield* Effect.die(failed(`${message}; it is ${yield* whereabouts(vcpu)}`, exit._tag, tag))
      }
    }
    const message = `the guest has not stopped with ${tag} in ${maxExits} exits, the last of which are ${last.join(", ")}`
    return yield* Effect.die(failed(`${message}; it is ${yield* whereabouts(vcpu)}`, last.at(-1), tag))
  })

/**
 * @category models
 * @since 0.1.0
 */
export interface SerialOptions extends RunOptions {
  /** The port that text goes to. 0x3f8, a PC's first serial line. */
  readonly port?: number | undefined
  /** The kind of exit that ends it. `Hlt`. */
  readonly until?: Kvm.Exit["_tag"] | undefined
}

/**
 * Runs a guest until it halts; gives what it wrote to a serial line, as text of UTF-8. Whoever asks the line's status
 * (5 ports above) is told that it can write; all else that it reads is zero. What is written while bit 7 of the line's
 * control register (3 ports above) is set is its speed, and no text.
 *
 * @example
 * ```ts
 * import { assert } from "@effect/vitest"
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 * import * as Testing from "effect-linux/testing"
 *
 * const greets = Effect.gen(function* () {
 *   assert.strictEqual(yield* Testing.serialOutput(yield* Kvm.Vcpu), "hello\n")
 * })
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const serialOutput = (vcpu: Kvm.Vcpu, options: SerialOptions = {}): Effect.Effect<string, RunError> =>
  Effect.gen(function* () {
    const { maxExits = 100_000, port = 0x3f8, until = "Hlt" } = options
    const step: Effect.Effect<Kvm.Exit, RunError> = options.inline === true ? Kvm.runInline(vcpu) : Kvm.run(vcpu)
    const decoder = new TextDecoder()
    let text = ""
    let setsSpeed = false
    for (let count = 0; count < maxExits; count++) {
      const exit = yield* step
      if (exit._tag === until) return text + decoder.decode()
      if (exit._tag === "Io") {
        if (exit.direction === "out" && exit.port === port && !setsSpeed) {
          text += decoder.decode(exit.data, { stream: true })
        }
        if (exit.direction === "out" && exit.port === port + 3) {
          setsSpeed = ((exit.data.at(-exit.size) ?? 0) & 0x80) !== 0
        }
        // Empty, and ready to send.
        const status = exit.direction === "in" && exit.port === port + 5
        yield* status ? Effect.ignore(exit.respond(new Uint8Array(exit.data.length).fill(0x60))) : zeros(exit)
      } else if (ends.has(exit._tag)) {
        const message = `expected the guest to stop with ${until}, it stopped with ${formatExit(exit)}`
        const after = `after it wrote ${JSON.stringify(text)}; it is ${yield* whereabouts(vcpu)}`
        return yield* Effect.die(failed(`${message} ${after}`, exit._tag, until))
      }
    }
    return yield* Effect.die(failed(`the guest has not stopped in ${maxExits} exits after it wrote`, text, until))
  })
