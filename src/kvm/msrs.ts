/**
 * Model-specific registers: which there are, those of a vCPU at rest, and those that tell of the system's features.
 * x86_64.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { IoctlError } from "../errors/calls.ts"
import { E2BIG } from "../errors/errnos.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import { type MissingCapability, systemRequires } from "./capability.ts"
import {
  KVM_GET_MSR_FEATURE_INDEX_LIST,
  KVM_GET_MSR_INDEX_LIST,
  KVM_GET_MSRS,
  KVM_GET_MSRS_SYSTEM,
  KVM_SET_MSRS
} from "./requests.ts"
import type { kvm_msr_entry } from "./structs.ts"
import { Kvm } from "./system.ts"
import type { Vcpu } from "./vcpu.ts"
import { asking, growing, type Shorter } from "./vcpu-request.ts"

/**
 * A model-specific register that cannot be read or written: KVM does not have it, this vCPU's CPUID has not the feature
 * that it belongs to, or the value is not one that it can have.
 *
 * Those before it are done; those after it are not.
 *
 * @category errors
 * @since 0.1.0
 */
export class RefusedMsr extends Data.TaggedError("RefusedMsr")<{
  readonly access: "read" | "write"
  readonly index: number
  /** What was to be written. */
  readonly data: bigint | undefined
  /** The registers before it, as they were read or written. */
  readonly done: ReadonlyArray<kvm_msr_entry>
}> {
  override get message(): string {
    const register = `MSR 0x${this.index.toString(16)}`
    return this.data === undefined
      ? `KVM_GET_MSRS: ${register} cannot be read`
      : `KVM_SET_MSRS: ${register} cannot be set to 0x${this.data.toString(16)}`
  }
}

/** As many as the kernel takes at once. */
const mostAtOnce = 255

/** All registers, in as many requests as it takes; up to the first that is refused. */
const inPieces = <I, E, R>(
  items: ReadonlyArray<I>,
  ask: (piece: ReadonlyArray<I>) => Effect.Effect<ReadonlyArray<kvm_msr_entry>, E | E2BIG, R>,
  refusal: (item: I, done: ReadonlyArray<kvm_msr_entry>) => RefusedMsr,
  done: ReadonlyArray<kvm_msr_entry> = [],
  most = mostAtOnce
): Effect.Effect<ReadonlyArray<kvm_msr_entry>, E | RefusedMsr, R> => {
  const piece = items.slice(done.length, done.length + most)
  if (piece.length === 0) return Effect.succeed(done)
  return Effect.matchEffect(ask(piece), {
    onFailure: (error: E | E2BIG): Effect.Effect<ReadonlyArray<kvm_msr_entry>, E | RefusedMsr, R> => {
      if (!(error instanceof E2BIG)) return Effect.fail(error)
      return most > 1 ? inPieces(items, ask, refusal, done, most >> 1) : Effect.die(error)
    },
    onSuccess: (answer) => {
      const all = done.length === 0 ? answer : [...done, ...answer]
      const refused = piece[answer.length]
      return refused === undefined ? inPieces(items, ask, refusal, all, most) : Effect.fail(refusal(refused, all))
    }
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// a vCPU's
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What reading or writing model-specific registers fails with: `RefusedMsr` names the one that cannot be, `EBUSY` while
 * the guest runs.
 *
 * @category errors
 * @since 0.1.0
 */
export type MsrsError = Shorter<Ioctl.RequestError<typeof KVM_GET_MSRS>> | RefusedMsr

const askMsrs = asking(KVM_GET_MSRS)
const tellMsrs = asking(KVM_SET_MSRS)

/**
 * Model-specific registers by their indices, in that order; {@link Msr} has names for many, and
 * {@link getMsrIndexList} tells which a guest's state is made of. x86_64.
 *
 * Request `KVM_GET_MSRS`, more than one where there are many.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // all that KVM saves of a vCPU and this vCPU has
 * const save = Effect.fn(function* (vcpu: Kvm.Vcpu) {
 *   const saved: Array<Kvm.kvm_msr_entry> = []
 *   for (const index of yield* Kvm.getMsrIndexList) {
 *     saved.push(...(yield* Kvm.getMsrs(vcpu, [index]).pipe(Effect.catchTag("RefusedMsr", () => Effect.succeed([])))))
 *   }
 *   return saved
 * })
 * ```
 *
 * @category model-specific registers
 * @since 0.1.0
 */
export const getMsrs = (
  vcpu: Vcpu,
  indices: ReadonlyArray<number>
): Effect.Effect<ReadonlyArray<kvm_msr_entry>, MsrsError> =>
  Effect.suspend(() =>
    inPieces(
      indices,
      (piece) => askMsrs(vcpu, piece),
      (index, done) => new RefusedMsr({ access: "read", index, data: undefined, done })
    )
  )

/**
 * Sets model-specific registers one after the other; those after the first that cannot be set are not set. x86_64.
 *
 * Request `KVM_SET_MSRS`, more than one where there are many.
 *
 * @category model-specific registers
 * @since 0.1.0
 */
export const setMsrs = (vcpu: Vcpu, entries: ReadonlyArray<kvm_msr_entry>): Effect.Effect<void, MsrsError> =>
  Effect.suspend(() =>
    Effect.asVoid(
      inPieces(
        entries,
        (piece) => Effect.map(tellMsrs(vcpu, piece), (count) => piece.slice(0, count)),
        ({ data, index }, done) => new RefusedMsr({ access: "write", index, data, done })
      )
    )
  )

// ---------------------------------------------------------------------------------------------------------------------
// the system's
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What asking the system for its model-specific registers fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export type MsrIndexListError = Shorter<Ioctl.RequestError<typeof KVM_GET_MSR_INDEX_LIST>>

/** Room for as many as kernels of today have. */
const usualRoom = 512

/**
 * The indices of the registers that a vCPU's state is made of, on this host: those to be saved and restored. Not every
 * vCPU has each of them. x86_64.
 *
 * Request `KVM_GET_MSR_INDEX_LIST`.
 *
 * @category model-specific registers
 * @since 0.1.0
 */
export const getMsrIndexList: Effect.Effect<ReadonlyArray<number>, MsrIndexListError, Kvm> = Effect.flatMap(
  Kvm,
  ({ file }) => growing((room) => File.ioctl(file, KVM_GET_MSR_INDEX_LIST, room), usualRoom)
)

/**
 * The indices of the registers that tell of the host's features: see {@link getFeatureMsrs}. x86_64.
 *
 * Request `KVM_GET_MSR_FEATURE_INDEX_LIST`, capability `KVM_CAP_GET_MSR_FEATURES`.
 *
 * @category model-specific registers
 * @since 0.1.0
 */
export const getMsrFeatureIndexList: Effect.Effect<
  ReadonlyArray<number>,
  MsrIndexListError | MissingCapability | IoctlError,
  Kvm
> = Effect.andThen(
  systemRequires("KVM_CAP_GET_MSR_FEATURES"),
  Effect.flatMap(Kvm, ({ file }) =>
    growing((room) => File.ioctl(file, KVM_GET_MSR_FEATURE_INDEX_LIST, room), usualRoom)
  )
)

/**
 * What {@link getFeatureMsrs} fails with: `RefusedMsr` names the register that cannot be read.
 *
 * @category errors
 * @since 0.1.0
 */
export type FeatureMsrsError =
  | Shorter<Ioctl.RequestError<typeof KVM_GET_MSRS_SYSTEM>>
  | RefusedMsr
  | MissingCapability
  | IoctlError

/**
 * The values of registers that tell of the host's features, by their indices: what a guest may have at most.
 * {@link getMsrFeatureIndexList} tells which there are. x86_64.
 *
 * Request `KVM_GET_MSRS` of the system, capability `KVM_CAP_GET_MSR_FEATURES`.
 *
 * @category model-specific registers
 * @since 0.1.0
 */
export const getFeatureMsrs = (
  indices: ReadonlyArray<number>
): Effect.Effect<ReadonlyArray<kvm_msr_entry>, FeatureMsrsError, Kvm> =>
  Effect.andThen(
    systemRequires("KVM_CAP_GET_MSR_FEATURES"),
    Effect.flatMap(Kvm, ({ file }) =>
      inPieces(
        indices,
        (piece) => File.ioctl(file, KVM_GET_MSRS_SYSTEM, piece),
        (index, done) => new RefusedMsr({ access: "read", index, data: undefined, done })
      )
    )
  )
