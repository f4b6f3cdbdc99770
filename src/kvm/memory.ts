/**
 * The memory of a machine.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { MmapError } from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import * as Mapping from "../Mapping.ts"
import { KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY } from "./constants.ts"
import * as part from "./part.ts"
import { KVM_SET_USER_MEMORY_REGION } from "./requests.ts"
import type { kvm_userspace_memory_region } from "./structs.ts"
import { stateOf, type Vm } from "./vm.ts"

/**
 * @category errors
 * @since 0.1.0
 */
export type MemoryRegionError = Ioctl.RequestError<typeof KVM_SET_USER_MEMORY_REGION>

/**
 * Creates, moves, changes or (with a size of 0) deletes a slot of guest memory. The host memory is the caller's to keep:
 * {@link addMemory} sees to all of it.
 *
 * Request `KVM_SET_USER_MEMORY_REGION`.
 *
 * @category memory
 * @since 0.1.0
 */
export const setUserMemoryRegion = (
  vm: Vm,
  region: kvm_userspace_memory_region
): Effect.Effect<void, MemoryRegionError> => Effect.asVoid(File.ioctl(vm.file, KVM_SET_USER_MEMORY_REGION, region))

/**
 * Memory of a guest, mapped in the host.
 *
 * @category models
 * @since 0.1.0
 */
export interface GuestMemory {
  readonly slot: number
  /** Where the guest sees it. */
  readonly guestAddress: bigint
  /** In bytes. */
  readonly size: number
  /** The memory itself, shared with the guest; of length 0 once it is released. */
  readonly bytes: Uint8Array
  readonly mapping: Mapping.Mapping
}

/**
 * What memory to give to a guest.
 *
 * @category models
 * @since 0.1.0
 */
export interface MemoryOptions {
  /** The slot's number, from 0; bits 16 to 31 are the address space. */
  readonly slot: number
  /** Where the guest sees it: a multiple of the page size. */
  readonly guestAddress: number | bigint
  /** In bytes: a multiple of the page size. */
  readonly size: number
  /** Writes of the guest end in `Mmio` exits. False. */
  readonly readOnly?: boolean | undefined
  /** Record which pages the guest writes. False. */
  readonly logDirtyPages?: boolean | undefined
}

/**
 * Gives a guest fresh memory, all zeros, for as long as the scope is open.
 *
 * Requests `KVM_SET_USER_MEMORY_REGION`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * const withCode = (vm: Kvm.Vm, code: Uint8Array) =>
 *   Effect.gen(function* () {
 *     const memory = yield* Kvm.addMemory(vm, { slot: 0, guestAddress: 0x1000, size: 0x10000 })
 *     memory.bytes.set(code)
 *     return memory
 *   })
 * ```
 *
 * @category memory
 * @since 0.1.0
 */
export const addMemory = (
  vm: Vm,
  options: MemoryOptions
): Effect.Effect<GuestMemory, MmapError | MemoryRegionError, Scope.Scope> =>
  Effect.suspend(() =>
    part.acquire(
      stateOf(vm).memories,
      Effect.gen(function* () {
        const { guestAddress, logDirtyPages = false, readOnly = false, size, slot } = options
        if (typeof guestAddress === "number" && !Number.isSafeInteger(guestAddress)) {
          const detail = `guestAddress: ${guestAddress} is no safe integer`
          return yield* Effect.fail(KVM_SET_USER_MEMORY_REGION.errors.make(codes.EINVAL, undefined, undefined, detail))
        }
        const mapping = yield* Mapping.anonymous({ length: size, shared: true, noReserve: true })
        const memory: GuestMemory = { slot, guestAddress: BigInt(guestAddress), size, bytes: mapping.bytes, mapping }
        yield* setUserMemoryRegion(vm, {
          slot,
          flags: (logDirtyPages ? KVM_MEM_LOG_DIRTY_PAGES : 0) | (readOnly ? KVM_MEM_READONLY : 0),
          guest_phys_addr: memory.guestAddress,
          memory_size: BigInt(size),
          userspace_addr: mapping.address
        })
        return memory
      }),
      // The guest must not see addresses of the host that may come to mean something else.
      // vCPUs that end with the same scope end before it.
      ({ guestAddress, slot }, scope) =>
        Effect.forEach(
          [...stateOf(vm).vcpus.all].filter((vcpu) => vcpu.scope === scope).reverse(),
          ({ release }) => release,
          { discard: true }
        ).pipe(
          Effect.andThen(
            setUserMemoryRegion(vm, {
              slot,
              flags: 0,
              guest_phys_addr: guestAddress,
              memory_size: 0n,
              userspace_addr: 0n
            })
          ),
          Effect.ignore
        ),
      () => KVM_SET_USER_MEMORY_REGION.errors.make(codes.EBADF, undefined, undefined, "the machine is closed"),
      stateOf(vm).scope
    )
  )
