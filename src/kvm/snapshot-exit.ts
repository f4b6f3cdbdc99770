/**
 * Snapshots of vCPUs that stopped for something: what the kernel has not completed yet it tells nobody of, so that it is
 * completed before the state is read, or is asked anew where the state is set.
 *
 * The kernel's Documentation/virt/kvm/api.rst, on `kvm_run`: after an access to a device the guest's state is consistent
 * only when `KVM_RUN` was entered again, which completes the access before it looks at `immediate_exit`.
 */
import * as Effect from "effect/Effect"
import * as File from "../File.ts"
import * as constants from "./constants.ts"
import { KVM_RUN } from "./requests.ts"
import type { RunError } from "./run.ts"
import type { SnapshotExit } from "./snapshot-model.ts"
import { kvm_run, kvm_run_exit } from "./structs.ts"
import type { VcpuState } from "./vcpu.ts"

const { exit: details, exit_reason: reason } = kvm_run.fields
const io = kvm_run_exit.fields.io.layout.fields
const mmio = kvm_run_exit.fields.mmio.layout.fields

/** Where the kernel has the bytes of an access to a port: the page after the structure's. */
const dataAt = constants.KVM_PIO_PAGE_OFFSET * 4096

const field = ({ view }: VcpuState, { offset, size }: { readonly offset: number; readonly size: number }): number =>
  size === 1 ? view.getUint8(details.offset + offset) : view.getUint32(details.offset + offset, true)

/**
 * What an exit leaves to be done before the guest's state is whole.
 *
 * - `nothing`: it is whole
 * - `answer`: the guest waits for a value; its state is the one before the instruction, which asks again when it is
 *   executed again
 * - `completion`: the guest's part is done, and the kernel's not
 */
const leftBy = (state: VcpuState, seen: boolean): "nothing" | "answer" | "completion" => {
  const answered = seen && state.answered === state.entries
  switch (state.reason) {
    case constants.KVM_EXIT_IO:
      return field(state, io.direction) === constants.KVM_EXIT_IO_OUT || answered ? "completion" : "answer"
    case constants.KVM_EXIT_MMIO:
      if (field(state, mmio.is_write) === 0) return answered ? "completion" : "answer"
      // Done when it is told, but where it is told in pieces: the next one that nobody knows of would be lost here.
      return seen ? "completion" : "nothing"
    case constants.KVM_EXIT_X86_RDMSR:
    case constants.KVM_EXIT_HYPERCALL:
    case constants.KVM_EXIT_XEN:
    case constants.KVM_EXIT_HYPERV:
      return answered ? "completion" : "answer"
    case constants.KVM_EXIT_X86_WRMSR:
      // Without an answer it is written.
      return seen ? "completion" : "answer"
    default:
      return "nothing"
  }
}

const exitOf = (state: VcpuState): SnapshotExit => {
  const { bytes } = state
  const isIo = state.reason === constants.KVM_EXIT_IO
  const from = Number(state.view.getBigUint64(details.offset + io.data_offset.offset, true))
  const length = field(state, io.size) * field(state, io.count)
  return {
    exit_reason: state.reason,
    details: bytes.slice(details.offset, details.offset + details.size),
    data: isIo ? bytes.slice(from, from + length) : new Uint8Array(0)
  }
}

/**
 * Lets the kernel complete what the guest stopped for, without executing anything of it; whether the guest has stopped
 * anew by that.
 */
const complete = (state: VcpuState): Effect.Effect<boolean, RunError> =>
  Effect.suspend(() => {
    const { bytes } = state
    // The kernel writes the reason of this stop over that of the last, which somebody may yet read.
    const page = bytes.slice()
    state.immediateExit = 1
    return File.ioctl(state.file, KVM_RUN).pipe(
      Effect.as(true),
      Effect.catchTag("EINTR", () => Effect.succeed(false)),
      Effect.tap((stoppedAnew) =>
        Effect.sync(() => {
          if (!stoppedAnew) bytes.set(page)
        })
      ),
      Effect.ensuring(
        Effect.sync(() => {
          if (!state.closed) state.immediateExit = 0
        })
      )
    )
  })

/** More pieces than an access is told in. */
const mostPieces = 16

/**
 * Makes the state of a vCPU at rest whole; gives the exit that nobody has seen of it, if there is one.
 *
 * The vCPU itself loses nothing by it: an exit that nobody has seen is what its next run gives, and a value that it waits
 * for it still waits for.
 */
export const settled = (state: VcpuState): Effect.Effect<SnapshotExit | undefined, RunError> =>
  Effect.gen(function* () {
    const isUnseen = () => state.kept || state.parked
    if (state.entries === 0 && !isUnseen()) return undefined
    for (let piece = 0; piece < mostPieces; piece++) {
      const unseen = isUnseen()
      const left = leftBy(state, !unseen)
      if (left === "answer") return undefined
      if (left === "nothing") break
      const stoppedAnew = yield* complete(state)
      // Answers to the exit that is completed now come too late.
      if (!unseen) state.entries++
      if (!stoppedAnew || unseen) break
      // Another piece of the same access, of which nobody knows.
      state.kept = true
    }
    return isUnseen() ? exitOf(state) : undefined
  })

/** What a restored vCPU's first run is to give. */
export const pretend = (state: VcpuState, exit: SnapshotExit): void => {
  const { bytes, view } = state
  bytes.set(exit.details.subarray(0, details.size), details.offset)
  view.setUint32(reason.offset, exit.exit_reason, true)
  if (exit.exit_reason === constants.KVM_EXIT_IO) {
    // Whoever made the snapshot, nothing outside of the data is read.
    const { length } = exit.data
    const size = view.getUint8(details.offset + io.size.offset)
    const isWhole = size > 0 && length % size === 0
    view.setBigUint64(details.offset + io.data_offset.offset, BigInt(dataAt), true)
    view.setUint32(details.offset + io.count.offset, isWhole ? length / size : 0, true)
    bytes.set(exit.data, dataAt)
  }
  state.kept = true
}
