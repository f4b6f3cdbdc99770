/**
 * What guest memory is, and which of it a machine has: slots by number, regions by address. Giving memory to a guest is in
 * `memory.ts`, reading and writing it in `address-space.ts`.
 */
import type * as Mapping from "../Mapping.ts"
import { stateOf, type Vm, type VmState } from "./vm.ts"

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
  /** The host's mapping of it, or of more than it: it is pinned, and so cannot be remapped while the guest has it. */
  readonly mapping: Mapping.Mapping
}

/**
 * All memory that a guest sees at its addresses, as it is at the moment: what `Kvm.addMemory` gives later is in it, what
 * is released no more.
 *
 * @category models
 * @since 0.1.0
 */
export interface AddressSpace {
  /** The regions there are now, by their addresses. They do not overlap. */
  readonly regions: ReadonlyArray<GuestMemory>
}

const nothing = new DataView(new ArrayBuffer(0))

/** What is behind the public face. */
export class GuestMemoryState implements GuestMemory {
  readonly slot: number
  guestAddress: bigint
  /** The same as a number, exactly; infinite where numbers are not exact any more. */
  start: number
  readonly size: number
  readonly mapping: Mapping.Mapping
  /** Where in the mapping it begins, in bytes. */
  readonly offset: number
  /** Where the host has it: it is pinned there. */
  readonly hostAddress: bigint
  readonly readOnly: boolean
  private seen: Uint8Array | undefined
  private shown: DataView | undefined

  constructor(
    options: {
      readonly slot: number
      readonly guestAddress: bigint
      readonly size: number
      readonly readOnly: boolean
    },
    host: { readonly address: bigint; readonly mapping: Mapping.Mapping; readonly offset: number }
  ) {
    this.slot = options.slot
    this.guestAddress = options.guestAddress
    this.start = exact(options.guestAddress)
    this.size = options.size
    this.readOnly = options.readOnly
    this.mapping = host.mapping
    this.offset = host.offset
    this.hostAddress = host.address
  }

  get bytes(): Uint8Array {
    if (this.seen === undefined) {
      // Only here, as the mapping is shown to JavaScript when somebody looks. Of one that is released no part can be made.
      const { bytes } = this.mapping
      this.seen = bytes.length === 0 ? bytes : bytes.subarray(this.offset, this.offset + this.size)
    }
    return this.seen
  }

  /** Whether the memory can be reached: a mapping that is released has no bytes any more. */
  get present(): boolean {
    return this.bytes.length === this.size
  }

  get view(): DataView {
    if (!this.present) return nothing
    this.shown ??= new DataView(this.bytes.buffer, this.bytes.byteOffset, this.size)
    return this.shown
  }
}

const exact = (address: bigint): number => (address <= Number.MAX_SAFE_INTEGER ? Number(address) : Infinity)

export const stateOfMemory = (memory: GuestMemory): GuestMemoryState => {
  if (memory instanceof GuestMemoryState) return memory
  throw new TypeError("memory: expected a GuestMemory")
}

/** Regions in the order of their addresses. */
export class Regions implements AddressSpace {
  readonly list: Array<GuestMemoryState> = []

  get regions(): ReadonlyArray<GuestMemory> {
    return [...this.list]
  }

  add(memory: GuestMemoryState): void {
    const { list } = this
    let at = list.length
    while (at > 0 && (list[at - 1]?.guestAddress ?? 0n) > memory.guestAddress) at--
    list.splice(at, 0, memory)
  }

  remove(memory: GuestMemoryState): void {
    const at = this.list.indexOf(memory)
    if (at >= 0) this.list.splice(at, 1)
  }

  /** The region that an address, exact as a number, lies in. */
  at(address: number): GuestMemoryState | undefined {
    const { list } = this
    let low = 0
    let high = list.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const memory = list[middle]
      if (memory === undefined || address < memory.start) high = middle
      else if (address - memory.start < memory.size) return memory
      else low = middle + 1
    }
    return undefined
  }

  /** The same for an address that is too large for that. */
  atLarge(address: bigint): GuestMemoryState | undefined {
    return this.list.find(({ guestAddress, size }) => guestAddress <= address && address - guestAddress < BigInt(size))
  }
}

/** A slot that is taken: how large it is, in bytes, and whose. */
interface Slot {
  readonly size: bigint
  readonly memory: GuestMemoryState | undefined
  /** Whether the kernel records which of its pages are written. */
  readonly logged: boolean
}

/** The memory of one machine. */
export class MachineMemory {
  /** The slots that functions of this library have set. */
  readonly slots: Map<number, Slot> = new Map()
  /** Told when a slot gets new memory. */
  onTaken: ((slot: number) => void) | undefined
  /** The address spaces by number: the one that all CPUs see first, then those of their modes. */
  private readonly spaces: Array<Regions> = []
  /** Below it no slot is free: where to look for the next one. */
  private lowest = 0

  space(index: number): Regions {
    let space = this.spaces[index]
    if (space === undefined) {
      space = new Regions()
      this.spaces[index] = space
    }
    return space
  }

  /** The lowest slot of the first address space that is free. */
  freeSlot(): number {
    while (this.slots.has(this.lowest)) this.lowest++
    return this.lowest
  }

  /** Nobody else gets the slot meanwhile. */
  reserve(slot: number): void {
    this.slots.set(slot, { size: 0n, memory: undefined, logged: false })
  }

  /** The slot is the memory's from now on. */
  take(memory: GuestMemoryState, logged: boolean): void {
    this.slots.set(memory.slot, { size: BigInt(memory.size), memory, logged })
    this.space(memory.slot >>> 16).add(memory)
    this.onTaken?.(memory.slot)
  }

  /** Notes what a slot was set to by number. */
  note(slot: number, guestAddress: bigint, size: bigint, logged = false): void {
    const memory = this.slots.get(slot)?.memory
    if (size === 0n) {
      this.slots.delete(slot)
      if (slot < this.lowest) this.lowest = slot
      if (memory !== undefined) this.space(slot >>> 16).remove(memory)
      return
    }
    this.slots.set(slot, { size, memory, logged })
    if (memory === undefined || memory.guestAddress === guestAddress) return
    const space = this.space(slot >>> 16)
    space.remove(memory)
    memory.guestAddress = guestAddress
    memory.start = exact(guestAddress)
    space.add(memory)
  }
}

const machines = new WeakMap<VmState, MachineMemory>()

export const memoryOf = (vm: Vm): MachineMemory => {
  const machine = stateOf(vm)
  let memory = machines.get(machine)
  if (memory === undefined) {
    memory = new MachineMemory()
    machines.set(machine, memory)
  }
  return memory
}
