/** Statistics that the kernel keeps of machines and vCPUs, in binary form, by their names. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Pread64Error } from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import * as File from "../File.ts"
import { own } from "../file/model.ts"
import { type Table, wordOf } from "../file/words.ts"
import type * as Ioctl from "../Ioctl.ts"
import { runOn } from "../internal/descriptor.ts"
import { decodedAs, onThisThread } from "../internal/invoke.ts"
import * as Struct from "../Struct.ts"
import { pread64 as describePread } from "../syscall/descriptions.ts"
import { type Asked, machineOf } from "./asking.ts"
import { requires } from "./capability.ts"
import * as constants from "./constants.ts"
import * as part from "./part.ts"
import { KVM_GET_STATS_FD } from "./requests.ts"
import { kvm_stats_desc, kvm_stats_header } from "./structs.ts"
import { stopped, type Vcpu, VcpuState } from "./vcpu.ts"
import type { Vm } from "./vm.ts"

const types = {
  cumulative: constants.KVM_STATS_TYPE_CUMULATIVE,
  instant: constants.KVM_STATS_TYPE_INSTANT,
  peak: constants.KVM_STATS_TYPE_PEAK,
  linearHistogram: constants.KVM_STATS_TYPE_LINEAR_HIST,
  logHistogram: constants.KVM_STATS_TYPE_LOG_HIST
} satisfies Table<string>

const units = {
  none: constants.KVM_STATS_UNIT_NONE,
  bytes: constants.KVM_STATS_UNIT_BYTES,
  seconds: constants.KVM_STATS_UNIT_SECONDS,
  cycles: constants.KVM_STATS_UNIT_CYCLES,
  boolean: constants.KVM_STATS_UNIT_BOOLEAN
} satisfies Table<string>

/**
 * What a statistic is.
 *
 * Its values are in `base ** exponent` of the unit: with `seconds`, base 10 and exponent -9 in nanoseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface StatDescriptor {
  readonly name: string
  /**
   * `cumulative` only grows, `instant` grows and falls, `peak` is the highest so far; the values of a histogram are its
   * buckets. `other` is of a kernel younger than this library.
   */
  readonly type: keyof typeof types | "other"
  readonly unit: keyof typeof units | "other"
  readonly base: 2 | 10
  readonly exponent: number
  /** How many values it has: 1 but of histograms. */
  readonly size: number
  /** Where the values are, in bytes from the start of all values. */
  readonly offset: number
  /** How wide a bucket of a linear histogram is; a bucket of a logarithmic one is twice as wide as the one before. */
  readonly bucket_size: number
  /** As the kernel has type, unit and base. */
  readonly flags: number
}

/**
 * The statistics of a machine or vCPU.
 *
 * @category models
 * @since 0.1.0
 */
export interface Stats {
  /** What the statistics are of, as the kernel tells it: `kvm-1234`, `kvm-1234/vcpu-0`. */
  readonly id: string
  readonly descriptors: ReadonlyArray<StatDescriptor>
  /** The descriptor, for those who read it themselves. */
  readonly file: File.File
  readonly header: Struct.Type<typeof kvm_stats_header>
}

/**
 * @category errors
 * @since 0.1.0
 */
export type StatsError = Asked<Ioctl.RequestError<typeof KVM_GET_STATS_FD>> | Pread64Error

const ended = (detail: string) => KVM_GET_STATS_FD.errors.make(codes.EIO, undefined, undefined, detail)

/** Reads so many bytes from there on, here and now: the kernel has them, though it does not know how to be asked. */
const readAt = (file: File.File, offset: number, length: number): Effect.Effect<DataView, StatsError> =>
  Effect.gen(function* () {
    const bytes = new Uint8Array(length)
    let done = 0
    while (done < length) {
      const read = describePread(own(file).fd, bytes.subarray(done), offset + done)
      const count = yield* runOn(own(file), { ...decodedAs(read, Number), options: onThisThread })
      if (count === 0) return yield* Effect.fail(ended("the statistics end early"))
      done += count
    }
    return new DataView(bytes.buffer)
  })

const descriptorAt = (view: DataView, at: number, nameSize: number): StatDescriptor => {
  const { bucket_size, exponent, flags, offset, size } = kvm_stats_desc.decode(view, at)
  return {
    name: Struct.text(nameSize).get(view, at + kvm_stats_desc.size),
    type: wordOf(types, flags & constants.KVM_STATS_TYPE_MASK) ?? "other",
    unit: wordOf(units, flags & constants.KVM_STATS_UNIT_MASK) ?? "other",
    base: (flags & constants.KVM_STATS_BASE_MASK) === constants.KVM_STATS_BASE_POW2 ? 2 : 10,
    exponent,
    size,
    offset,
    bucket_size,
    flags
  }
}

const describe = (file: File.File): Effect.Effect<Stats, StatsError> =>
  Effect.gen(function* () {
    const header = kvm_stats_header.decode(yield* readAt(file, 0, kvm_stats_header.size))
    const { desc_offset, id_offset, name_size, num_desc } = header
    const id = Struct.text(name_size).get(yield* readAt(file, id_offset, name_size), 0)
    const each = kvm_stats_desc.size + name_size
    const all = yield* readAt(file, desc_offset, num_desc * each)
    const descriptors = Array.from({ length: num_desc }, (_, index) => descriptorAt(all, index * each, name_size))
    return { id, descriptors, file, header }
  })

/**
 * The statistics of a machine or of a vCPU at rest, for as long as the scope is open and at most as long as the machine
 * is: what there are, to be read with {@link readStats}.
 *
 * Request `KVM_GET_STATS_FD`, capability `KVM_CAP_BINARY_STATS_FD`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const exits = (vcpu: Kvm.Vcpu) =>
 *   Effect.gen(function* () {
 *     const stats = yield* Kvm.getStatsFd(vcpu)
 *     yield* Kvm.run(vcpu)
 *     return (yield* Kvm.readStats(stats)).get("exits")
 *   })
 * ```
 *
 * @category statistics
 * @since 0.1.0
 */
export const getStatsFd = (target: Vm | Vcpu): Effect.Effect<Stats, StatsError, Scope.Scope> =>
  Effect.suspend(() => {
    const vm = machineOf(target)
    const open =
      target instanceof VcpuState
        ? stopped(target, KVM_GET_STATS_FD, ({ file }) => Effect.succeed(File.ioctlOpen(file, KVM_GET_STATS_FD))).pipe(
            Effect.flatten
          )
        : File.ioctlOpen(vm.file, KVM_GET_STATS_FD)
    return part.acquire(
      vm.devices,
      Effect.flatMap(requires(vm, "KVM_CAP_BINARY_STATS_FD"), () => Effect.flatMap(open, describe)),
      () => Effect.void,
      (): StatsError => KVM_GET_STATS_FD.errors.make(codes.EBADF, undefined, undefined, "the machine is closed"),
      vm.scope
    )
  })

/**
 * What all statistics are now, by their names: one value each, of histograms a value for each bucket.
 *
 * Does not block: also while the vCPU runs.
 *
 * @category statistics
 * @since 0.1.0
 */
export const readStats = (stats: Stats): Effect.Effect<ReadonlyMap<string, ReadonlyArray<bigint>>, StatsError> =>
  Effect.suspend(() => {
    const { descriptors, file, header } = stats
    const length = Math.max(0, ...descriptors.map(({ offset, size }) => offset + 8 * size))
    return Effect.map(
      readAt(file, header.data_offset, length),
      (view) =>
        new Map(
          descriptors.map(({ name, offset, size }) => [
            name,
            Array.from({ length: size }, (_, index) => view.getBigUint64(offset + 8 * index, true))
          ])
        )
    )
  })
