/**
 * Memory that is private to a guest, which of its addresses are private, and memory mapped for it beforehand.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { IoctlError } from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import { type MissingCapability, requires } from "./capability.ts"
import * as part from "./part.ts"
import { KVM_CREATE_GUEST_MEMFD, KVM_PRE_FAULT_MEMORY, KVM_SET_MEMORY_ATTRIBUTES, KvmGuestMemfd } from "./requests.ts"
import type { kvm_memory_attributes } from "./structs.ts"
import { refuse, stopped, type Vcpu } from "./vcpu.ts"
import type { Vm } from "./vm.ts"

/**
 * @category errors
 * @since 0.1.0
 */
export type CreateGuestMemfdError =
  | Ioctl.RequestError<typeof KVM_CREATE_GUEST_MEMFD>
  | File.FromFdError
  | MissingCapability
  | IoctlError

/**
 * Makes memory for one machine's guest, for as long as the scope is open or a slot has it (`Kvm.addMemory` with
 * `guestMemfd`). It can be neither read nor written by its descriptor.
 *
 * `size` is in bytes, a multiple of the page size. `flags` are of `GUEST_MEMFD_FLAG_*`, of which
 * `KVM_CAP_GUEST_MEMFD_FLAGS` tells what there is (since Linux 6.18): with `GUEST_MEMFD_FLAG_MMAP` it can be mapped, and
 * with `GUEST_MEMFD_FLAG_INIT_SHARED` the host may also touch what it mapped: without it an access kills the process.
 *
 * Request `KVM_CREATE_GUEST_MEMFD`, capability `KVM_CAP_GUEST_MEMFD`, since Linux 6.8.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const privateMemory = (vm: Kvm.Vm, size: number) =>
 *   Effect.gen(function* () {
 *     const file = yield* Kvm.createGuestMemfd(vm, { size })
 *     return yield* Kvm.addMemory(vm, { guestAddress: 0, size, guestMemfd: { file } })
 *   })
 * ```
 *
 * @category memory
 * @since 0.1.0
 */
export const createGuestMemfd = (
  vm: Vm,
  options: { readonly size: number | bigint; readonly flags?: number | bigint | undefined }
): Effect.Effect<File.File<KvmGuestMemfd>, CreateGuestMemfdError, Scope.Scope> =>
  Effect.uninterruptible(
    Effect.gen(function* () {
      const { flags = 0, size } = options
      for (const [name, value] of [
        ["size", size],
        ["flags", flags]
      ] as const) {
        if (typeof value === "number" && !Number.isSafeInteger(value)) {
          const detail = `${name}: ${value} is no safe integer`
          return yield* Effect.fail(KVM_CREATE_GUEST_MEMFD.errors.make(codes.EINVAL, undefined, undefined, detail))
        }
      }
      yield* requires(vm, "KVM_CAP_GUEST_MEMFD")
      const request = { size: BigInt(size), flags: BigInt(flags) }
      const fd = yield* File.ioctl(vm.file, KVM_CREATE_GUEST_MEMFD, request)
      return File.asDevice(yield* part.adopt(fd), KvmGuestMemfd)
    })
  )

/**
 * @category errors
 * @since 0.1.0
 */
export type MemoryAttributesError =
  | Ioctl.RequestError<typeof KVM_SET_MEMORY_ATTRIBUTES>
  | MissingCapability
  | IoctlError

/**
 * Says of a range of guest addresses whether its memory is private (`KVM_MEMORY_ATTRIBUTE_PRIVATE`), so in the
 * `guest_memfd`, or shared with the host (0). `address` and `size` are multiples of the page size, `flags` is 0.
 *
 * `KVM_CAP_MEMORY_ATTRIBUTES` tells by its number which attributes a machine has; those of the usual type have none.
 *
 * Request `KVM_SET_MEMORY_ATTRIBUTES`, capability `KVM_CAP_MEMORY_ATTRIBUTES`, since Linux 6.8.
 *
 * @category memory
 * @since 0.1.0
 */
export const setMemoryAttributes = (
  vm: Vm,
  attributes: Omit<kvm_memory_attributes, "flags"> & { readonly flags?: bigint | undefined }
): Effect.Effect<void, MemoryAttributesError> =>
  Effect.andThen(
    requires(vm, "KVM_CAP_MEMORY_ATTRIBUTES"),
    Effect.asVoid(File.ioctl(vm.file, KVM_SET_MEMORY_ATTRIBUTES, { ...attributes, flags: attributes.flags ?? 0n }))
  )

/**
 * @category errors
 * @since 0.1.0
 */
export type PreFaultMemoryError = Ioctl.RequestError<typeof KVM_PRE_FAULT_MEMORY> | MissingCapability | IoctlError

/** As much as is asked for at once: an interruption waits no longer than for this. */
const atOnce = 64n << 20n

/**
 * Maps memory for a guest before it touches it, as reads by this vCPU would: it then runs on without a fault. `gpa` and
 * `size` are in bytes, multiples of the page size.
 *
 * Fails with `ENOENT` where an address has no memory; what lies before that is mapped then. On another thread, and the
 * vCPU counts as running meanwhile: `EBUSY`. Interruptible.
 *
 * Request `KVM_PRE_FAULT_MEMORY`, capability `KVM_CAP_PRE_FAULT_MEMORY`, since Linux 6.11.
 *
 * @category memory
 * @since 0.1.0
 */
export const preFaultMemory = (
  vcpu: Vcpu,
  range: { readonly gpa: bigint; readonly size: bigint }
): Effect.Effect<void, PreFaultMemoryError> =>
  stopped(vcpu, KVM_PRE_FAULT_MEMORY, (state) =>
    Effect.andThen(
      requires(state.vm, "KVM_CAP_PRE_FAULT_MEMORY"),
      Effect.suspend(() => {
        // Another fiber may have started it meanwhile.
        if (state.running || state.occupied) {
          const { errors, name } = KVM_PRE_FAULT_MEMORY
          return refuse(errors, codes.EBUSY, `${name}: the vCPU is running`)
        }
        state.running = true
        const from = (
          gpa: bigint,
          size: bigint
        ): Effect.Effect<void, Ioctl.RequestError<typeof KVM_PRE_FAULT_MEMORY>> => {
          const chunk = size < atOnce ? size : atOnce
          return Effect.flatMap(
            File.ioctl(state.file, KVM_PRE_FAULT_MEMORY, { gpa, size: chunk, flags: 0n }),
            // The kernel stops early where it is asked to do something else, and tells how far it has come.
            (left) => {
              const rest = size - (chunk - left.size)
              return rest === 0n ? Effect.void : from(left.gpa, rest)
            }
          )
        }
        return Effect.ensuring(
          from(range.gpa, range.size),
          Effect.sync(() => {
            state.rest()
          })
        )
      })
    )
  )
