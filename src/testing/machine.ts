/** A machine for a test, as a layer. */
import * as Layer from "effect/Layer"
import type { IoctlError, OpenatError } from "../errors/calls.ts"
import * as Kvm from "../Kvm.ts"

/**
 * A machine of one vCPU, for a test: all is optional.
 *
 * @category models
 * @since 0.1.0
 */
export interface TestVm extends Omit<Kvm.VmOptions, "memory"> {
  /** How many bytes from address 0 on, or the regions one by one. 2 MiB. */
  readonly memory?: Kvm.VmOptions["memory"]
  /** The guest's code, where `entry` is. */
  readonly code?: Uint8Array | ReadonlyArray<number> | undefined
  /** Where execution begins. 0x1000. */
  readonly entry?: number | undefined
  /** Where the stack begins, to go down from there. 0x8000. */
  readonly stack?: number | undefined
  /** The mode of the processor: `long` has the lowest 4 GiB mapped to themselves. `real`. */
  readonly mode?: "real" | "protected" | "long" | Kvm.ModeOptions | undefined
  /**
   * Where the tables of protected and long mode are written: 32 KiB at most. 0x10000, or after the code where that is in
   * the way.
   */
  readonly tables?: number | undefined
  /** General registers at the start. */
  readonly regs?: Partial<Kvm.kvm_regs> | undefined
  /** What `cpuid` answers: what the host supports (true), with changes, or nothing. False. */
  readonly cpuid?: Kvm.VcpuOptions["cpuid"]
}

/**
 * What making a test's machine fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export type TestVmError = OpenatError | IoctlError | Kvm.UnsupportedApiVersion | Kvm.VmLayerError | Kvm.VcpuLayerError

const usualTables = 0x1_0000
const mostTables = 0x8000
const pageSize = 0x1000

/** Where tables do not overwrite the code. */
const tablesBeside = (start: number, end: number): number =>
  start < usualTables + mostTables && end > usualTables ? Math.ceil(end / pageSize) * pageSize : usualTables

/**
 * A fresh machine with a vCPU that is about to run the code, for as long as a test has the layer: `yield* Kvm.Vm` and
 * `yield* Kvm.Vcpu` give its parts, `Kvm.guestMemory(vm)` its memory. Nothing is left when the test ends, however it does.
 *
 * @example
 * ```ts
 * import { assert, it } from "@effect/vitest"
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 * import * as Testing from "effect-linux/testing"
 *
 * it.live("halts", () =>
 *   Effect.gen(function* () {
 *     assert.strictEqual((yield* Kvm.run(yield* Kvm.Vcpu))._tag, "Hlt")
 *   }).pipe(Effect.provide(Testing.vm({ code: [0xf4] })))
 * )
 * ```
 *
 * @category machines
 * @since 0.1.0
 */
export const vm = (options: TestVm = {}): Layer.Layer<Kvm.Kvm | Kvm.Vm | Kvm.Vcpu, TestVmError> => {
  const {
    code = [],
    cpuid,
    entry = 0x1000,
    load = [],
    memory = 0x20_0000,
    mode = "real",
    regs,
    tables = tablesBeside(entry, entry + code.length)
  } = options
  const { stack = 0x8000 } = options
  const common = { entry, stack, regs }
  const start: Kvm.ModeOptions =
    mode === "real"
      ? { real: common }
      : mode === "protected"
        ? { protected: { ...common, tables } }
        : mode === "long"
          ? { long: { ...common, tables } }
          : mode
  return Kvm.layerVcpu({ cpuid, mode: start }).pipe(
    Layer.provideMerge(
      Kvm.layerVm({
        memory,
        irqchip: options.irqchip,
        pit: options.pit,
        type: options.type,
        load: [...load, { address: entry, bytes: code }]
      })
    ),
    Layer.provideMerge(Kvm.layer)
  )
}
