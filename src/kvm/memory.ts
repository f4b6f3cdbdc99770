/**
 * Giving memory to a guest. Reading and writing it at the guest's addresses is in `address-space.ts`, which of it a guest
 * has written in `dirty.ts`, memory that the host cannot see in `guest-memfd.ts`.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { IoctlError, MadviseError, MmapError, StatxError } from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import * as File from "../File.ts"
import { own } from "../file/model.ts"
import type * as Ioctl from "../Ioctl.ts"
import * as Mapping from "../Mapping.ts"
import { type MissingCapability, requires } from "./capability.ts"
import { KVM_MEM_GUEST_MEMFD, KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY } from "./constants.ts"
import { type GuestMemory, GuestMemoryState, memoryOf, stateOfMemory } from "./memory-model.ts"
import * as part from "./part.ts"
import { KVM_SET_USER_MEMORY_REGION, KVM_SET_USER_MEMORY_REGION2, type KvmGuestMemfd } from "./requests.ts"
import type { kvm_userspace_memory_region, kvm_userspace_memory_region2 } from "./structs.ts"
import { stateOf, type Vm } from "./vm.ts"

export type { AddressSpace, GuestMemory } from "./memory-model.ts"

/**
 * @category errors
 * @since 0.1.0
 */
export type MemoryRegionError = Ioctl.RequestError<typeof KVM_SET_USER_MEMORY_REGION>

const noted = (vm: Vm, { flags, guest_phys_addr, memory_size, slot }: kvm_userspace_memory_region): void =>
  memoryOf(vm).note(slot, guest_phys_addr, memory_size, (flags & KVM_MEM_LOG_DIRTY_PAGES) !== 0)

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
): Effect.Effect<void, MemoryRegionError> =>
  Effect.map(File.ioctl(vm.file, KVM_SET_USER_MEMORY_REGION, region), () => noted(vm, region))

/**
 * The same with a `guest_memfd` beside it, for the flag `KVM_MEM_GUEST_MEMFD`: the slot's private memory lies there. The
 * file and the host memory are the caller's to keep: `Kvm.addMemory` sees to all of it.
 *
 * Request `KVM_SET_USER_MEMORY_REGION2`, capability `KVM_CAP_USER_MEMORY2`, since Linux 6.8.
 *
 * @category memory
 * @since 0.1.0
 */
export const setUserMemoryRegion2 = (
  vm: Vm,
  region: kvm_userspace_memory_region2
): Effect.Effect<void, MemoryRegionError | MissingCapability | IoctlError> =>
  Effect.andThen(
    requires(vm, "KVM_CAP_USER_MEMORY2"),
    Effect.map(File.ioctl(vm.file, KVM_SET_USER_MEMORY_REGION2, region), () => noted(vm, region))
  )

/**
 * Fresh memory, all zeros: what there is where nothing is said.
 *
 * @category models
 * @since 0.1.0
 */
export interface AnonymousBacking {
  readonly file?: undefined
  readonly mapping?: undefined
  /**
   * Pages of this size from the machine's pool of huge pages (`/proc/sys/vm/nr_hugepages`; `ENOMEM` where that has not
   * enough), or `transparent` ones, which the kernel makes where it can. A region takes advantage of them where its
   * guest address is a multiple of their size too.
   */
  readonly hugePages?: Mapping.HugePageSize | "transparent" | undefined
  /** Whether the memory is shared with processes that this one forks. True, but for transparent huge pages. */
  readonly shared?: boolean | undefined
  /** Fault all pages in at once, on another thread. False. */
  readonly populate?: boolean | undefined
  /** Keep it from being swapped out. False. */
  readonly locked?: boolean | undefined
}

/**
 * Memory of a file: of a memfd, of a file on disk, of a `guest_memfd` that can be mapped.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileBacking {
  /** Open for reading, and for writing where it is shared; it may be closed once the memory is there. */
  readonly file: File.File<unknown>
  readonly mapping?: undefined
  /** Where in the file it begins: a multiple of the page size. 0. */
  readonly offset?: number | bigint | undefined
  /**
   * Whether what guest and host write goes to the file, and so to all who share it. True. With false it stays in pages of
   * this memory's own: copy on write.
   */
  readonly shared?: boolean | undefined
  /** Only a memfd that nobody can make shorter any more: see `File.mmap`. False. */
  readonly sealed?: boolean | undefined
  /** Fault all pages in at once, on another thread. False. */
  readonly populate?: boolean | undefined
  /** Keep it from being swapped out. False. */
  readonly locked?: boolean | undefined
}

/**
 * Memory that is mapped already, or a part of it. It is pinned while the guest has it.
 *
 * @category models
 * @since 0.1.0
 */
export interface MappingBacking {
  readonly file?: undefined
  readonly mapping: Mapping.Mapping
  /** Where in the mapping it begins: a multiple of the page size. 0. */
  readonly offset?: number | undefined
}

/**
 * What stands behind guest memory.
 *
 * @category models
 * @since 0.1.0
 */
export type Backing = AnonymousBacking | FileBacking | MappingBacking

/**
 * What memory to give to a guest.
 *
 * @category models
 * @since 0.1.0
 */
export interface MemoryOptions {
  /** The slot's number, from 0; bits 16 to 31 are the address space. The lowest that is free. */
  readonly slot?: number | undefined
  /** Where the guest sees it: a multiple of the page size. */
  readonly guestAddress: number | bigint
  /** In bytes: a multiple of the page size. */
  readonly size: number
  /** Writes of the guest end in `Mmio` exits; the host may write. False. */
  readonly readOnly?: boolean | undefined
  /** Record which pages the guest writes: see `Kvm.dirtyPages`. False. */
  readonly logDirtyPages?: boolean | undefined
  /** Where the memory comes from. Fresh memory. */
  readonly backing?: Backing | undefined
  /**
   * Where memory lies that is private to the guest, of `Kvm.createGuestMemfd`; `offset` is where in it this begins. What
   * stands behind the rest is seen where the guest shares it.
   */
  readonly guestMemfd?: { readonly file: File.File<KvmGuestMemfd>; readonly offset?: number | bigint } | undefined
}

/**
 * @category errors
 * @since 0.1.0
 */
export type AddMemoryError = MmapError | StatxError | MadviseError | MemoryRegionError | MissingCapability | IoctlError

/** What this library refuses before the kernel is asked. */
const refuse = (code: number, detail: string) =>
  Effect.fail(KVM_SET_USER_MEMORY_REGION.errors.make(code, undefined, undefined, detail))

/** The host's memory, and where in it the guest's begins. */
const mappingFor = (
  backing: Backing,
  length: number
): Effect.Effect<Mapping.Mapping, MmapError | StatxError | MadviseError, Scope.Scope> => {
  if (backing.mapping !== undefined) return Effect.succeed(backing.mapping)
  if (backing.file !== undefined) {
    const { file, locked, offset, populate, sealed, shared = true } = backing
    return File.mmap(file, { length, offset, shared, sealed, populate, locked })
  }
  const { hugePages, locked, populate, shared = hugePages !== "transparent" } = backing
  if (hugePages === "transparent") {
    return Effect.tap(Mapping.anonymous({ length, shared, noReserve: true, locked }), (mapping) =>
      Effect.andThen(
        Mapping.advise(mapping, "hugePage"),
        populate === true ? Mapping.advise(mapping, "populateWrite") : Effect.void
      )
    )
  }
  return Mapping.anonymous({ length, shared, noReserve: hugePages === undefined, hugePages, populate, locked })
}

const anonymous: AnonymousBacking = {}

/** The mapping that stands behind it, pinned there, and where in it the guest's memory begins. */
interface Host {
  readonly address: bigint
  readonly mapping: Mapping.Mapping
  readonly offset: number
}

/** A mapping, the part of it that is the guest's, pinned. */
const backed = (backing: Backing, size: number, restore: Restore): Effect.Effect<Host, AddMemoryError, Scope.Scope> =>
  Effect.flatMap(restore(mappingFor(backing, size)), (mapping) =>
    Effect.flatMap(Mapping.pin(mapping), (address) => {
      if (backing.mapping === undefined) return Effect.succeed({ address, mapping, offset: 0 })
      // What lies behind the mapping is somebody else's.
      const { offset = 0 } = backing
      if (
        !Number.isSafeInteger(offset) ||
        offset < 0 ||
        !Number.isSafeInteger(size) ||
        offset + size > mapping.length
      ) {
        return refuse(codes.EINVAL, `size: ${size} at ${offset} is past the mapping's ${mapping.length}`)
      }
      return Effect.succeed({ address: address + BigInt(offset), mapping, offset })
    })
  )

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/**
 * Gives a guest memory for as long as the scope is open: fresh memory, all zeros, unless `backing` says otherwise.
 *
 * The memory is pinned: it stays where it is while the guest has it, whatever becomes of its mapping. Fails with `EEXIST`
 * where it would overlap other memory of the guest or the slot is taken, and with `EINVAL` for addresses and sizes that
 * are no multiples of the page size.
 *
 * Requests `KVM_SET_USER_MEMORY_REGION`; `KVM_SET_USER_MEMORY_REGION2` for a `guestMemfd`, since Linux 6.8.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm, MemFd } from "effect-linux"
 *
 * const withCode = (vm: Kvm.Vm, code: Uint8Array) =>
 *   Effect.gen(function* () {
 *     const memory = yield* Kvm.addMemory(vm, { guestAddress: 0x1000, size: 0x10000 })
 *     memory.bytes.set(code)
 *     return memory
 *   })
 *
 * // Two machines that share a page.
 * const mailbox = (one: Kvm.Vm, other: Kvm.Vm) =>
 *   Effect.gen(function* () {
 *     const file = yield* MemFd.make("mailbox", { size: 4096 })
 *     yield* Kvm.addMemory(one, { guestAddress: 0xd0000, size: 4096, backing: { file } })
 *     yield* Kvm.addMemory(other, { guestAddress: 0xd0000, size: 4096, backing: { file } })
 *   })
 * ```
 *
 * @category memory
 * @since 0.1.0
 */
export const addMemory = (vm: Vm, options: MemoryOptions): Effect.Effect<GuestMemory, AddMemoryError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() =>
      part.acquire(
        stateOf(vm).memories,
        add(vm, options, restore),
        // The guest must not see addresses of the host that may come to mean something else.
        // vCPUs that end with the same scope end before it.
        (memory, scope) => {
          const { all } = stateOf(vm).vcpus
          if (all.size === 0) return removed(vm, memory)
          return Effect.forEach([...all].filter((vcpu) => vcpu.scope === scope).reverse(), ({ release }) => release, {
            discard: true
          }).pipe(Effect.andThen(removed(vm, memory)))
        },
        () => KVM_SET_USER_MEMORY_REGION.errors.make(codes.EBADF, undefined, undefined, "the machine is closed"),
        stateOf(vm).scope
      )
    )
  )

const add = (
  vm: Vm,
  options: MemoryOptions,
  restore: Restore
): Effect.Effect<GuestMemoryState, AddMemoryError, Scope.Scope> => {
  const { backing = anonymous, guestAddress, readOnly = false, size } = options
  if (typeof guestAddress === "number" && !Number.isSafeInteger(guestAddress)) {
    return refuse(codes.EINVAL, `guestAddress: ${guestAddress} is no safe integer`)
  }
  if (!Number.isSafeInteger(size) || size <= 0) {
    return refuse(codes.EINVAL, `size: expected a length above 0, got ${size}`)
  }
  const { slot } = options
  // Before it is noted as taken, and then as free: `freeSlot` would give it to whoever comes next.
  if (slot !== undefined && !(Number.isInteger(slot) && slot >= 0 && slot <= 0xffff_ffff)) {
    return refuse(codes.EINVAL, `slot: expected an integer from 0 to 4294967295, got ${slot}`)
  }
  const host = Effect.flatMap(backed(backing, size, restore), (host) => given(vm, options, host))
  return readOnly ? Effect.andThen(requires(vm, "KVM_CAP_READONLY_MEM"), host) : host
}

/** Gives the guest what is mapped. */
const given = (
  vm: Vm,
  { guestAddress, guestMemfd, logDirtyPages = false, readOnly = false, size, slot: wanted }: MemoryOptions,
  host: Host
): Effect.Effect<GuestMemoryState, AddMemoryError> => {
  // It may have begun to end while the memory was made.
  if (stateOf(vm).memories.closed) return refuse(codes.EBADF, "the machine is closed")
  const machine = memoryOf(vm)
  const slot = wanted ?? machine.freeSlot()
  if (machine.slots.has(slot)) return refuse(codes.EEXIST, `slot: ${slot} is taken`)
  const memory = new GuestMemoryState({ slot, guestAddress: BigInt(guestAddress), size, readOnly }, host)
  const region = {
    slot,
    flags: (logDirtyPages ? KVM_MEM_LOG_DIRTY_PAGES : 0) | (readOnly ? KVM_MEM_READONLY : 0),
    guest_phys_addr: memory.guestAddress,
    memory_size: BigInt(size),
    userspace_addr: host.address
  }
  machine.reserve(slot)
  const set: Effect.Effect<void, AddMemoryError> =
    guestMemfd === undefined
      ? File.ioctl(vm.file, KVM_SET_USER_MEMORY_REGION, region)
      : withGuestMemfd(vm, region, guestMemfd)
  return Effect.matchCauseEffect(set, {
    onFailure: (cause) => {
      machine.note(slot, 0n, 0n)
      return Effect.failCause(cause)
    },
    onSuccess: () => {
      machine.take(memory, logDirtyPages)
      return Effect.succeed(memory)
    }
  })
}

const withGuestMemfd = (
  vm: Vm,
  region: kvm_userspace_memory_region,
  { file, offset = 0 }: NonNullable<MemoryOptions["guestMemfd"]>
) =>
  Effect.gen(function* () {
    yield* requires(vm, "KVM_CAP_USER_MEMORY2")
    yield* File.ioctl(vm.file, KVM_SET_USER_MEMORY_REGION2, {
      ...region,
      flags: region.flags | KVM_MEM_GUEST_MEMFD,
      guest_memfd: yield* File.fd(file),
      guest_memfd_offset: BigInt(offset)
    })
  })

/** Takes it from the guest again, if it is still there. */
const removed = (vm: Vm, memory: GuestMemoryState): Effect.Effect<void> => {
  const machine = memoryOf(vm)
  // Somebody deleted the slot by number, and who set it again owns it.
  if (machine.slots.get(memory.slot)?.memory !== memory) return Effect.void
  // With the machine its slots go too, and taking one away waits for the kernel. Nothing runs in it any more when the last
  // vCPU has ended, unless somebody else has it.
  const { memories, vcpus } = stateOf(vm)
  if (memories.closed && vcpus.closed && vcpus.all.size === 0 && !own(vm.file).shared) {
    machine.note(memory.slot, memory.guestAddress, 0n)
    return Effect.void
  }
  return File.ioctl(vm.file, KVM_SET_USER_MEMORY_REGION, {
    slot: memory.slot,
    flags: 0,
    guest_phys_addr: memory.guestAddress,
    memory_size: 0n,
    userspace_addr: 0n
  }).pipe(Effect.ignore, Effect.andThen(Effect.sync(() => machine.note(memory.slot, memory.guestAddress, 0n))))
}

/**
 * Shows a guest memory, or a part of it, at one more address, for as long as the scope is open. Both are the same bytes;
 * the guest may be another one than the memory's own.
 *
 * The alias may live longer than the memory: the guest then still has it, while `bytes` of both is of length 0.
 *
 * Request `KVM_SET_USER_MEMORY_REGION`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // The firmware's last 64 KiB also end at 1 MiB, where they are read-only.
 * const shadow = (vm: Kvm.Vm, rom: Kvm.GuestMemory) =>
 *   Kvm.aliasMemory(vm, rom, { guestAddress: 0xf0000, size: 0x10000, offset: rom.size - 0x10000, readOnly: true })
 * ```
 *
 * @category memory
 * @since 0.1.0
 */
export const aliasMemory = (
  vm: Vm,
  memory: GuestMemory,
  options: Omit<MemoryOptions, "backing" | "guestMemfd" | "size"> & {
    /** Where in the memory the alias begins: a multiple of the page size. 0. */
    readonly offset?: number | undefined
    /** In bytes: a multiple of the page size. To the memory's end. */
    readonly size?: number | undefined
  }
): Effect.Effect<GuestMemory, AddMemoryError, Scope.Scope> =>
  Effect.suspend(() => {
    const { hostAddress, mapping, size: whole } = stateOfMemory(memory)
    const { offset = 0, size = whole - offset, ...rest } = options
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + size > whole) {
      return refuse(codes.EINVAL, `size: ${size} at ${offset} is past the memory's ${whole}`)
    }
    return addMemory(vm, {
      ...rest,
      size,
      backing: { mapping, offset: Number(hostAddress - mapping.address) + offset }
    })
  })

/**
 * Begins or ends the recording of which pages a guest writes: what the option `logDirtyPages` of {@link addMemory} says
 * from the start.
 *
 * Memory that has a `guestMemfd` cannot be recorded: `EINVAL`.
 *
 * Request `KVM_SET_USER_MEMORY_REGION`.
 *
 * @category dirty pages
 * @since 0.1.0
 */
export const setDirtyLogging = (
  vm: Vm,
  memory: GuestMemory,
  enabled: boolean
): Effect.Effect<void, MemoryRegionError> =>
  Effect.suspend(() => {
    const state = stateOfMemory(memory)
    const slot = memoryOf(vm).slots.get(state.slot)
    if (slot?.memory !== state) return refuse(codes.EINVAL, "memory: it is released, or another machine's")
    return setUserMemoryRegion(vm, {
      slot: state.slot,
      flags: (state.readOnly ? KVM_MEM_READONLY : 0) | (enabled ? KVM_MEM_LOG_DIRTY_PAGES : 0),
      guest_phys_addr: state.guestAddress,
      memory_size: BigInt(state.size),
      userspace_addr: state.hostAddress
    })
  })
