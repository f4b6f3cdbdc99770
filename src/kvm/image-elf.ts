/** ELF files, of 32 and of 64 bits: their segments in guest memory. */
import * as Effect from "effect/Effect"
import type { Pread64Error, StatxError } from "../errors/calls.ts"
import type * as File from "../File.ts"
import { byArchitecture } from "../internal/architecture.ts"
import type { GuestMemoryError, Memory } from "./address-space.ts"
import {
  EM_386,
  EM_AARCH64,
  EM_ARM,
  EM_RISCV,
  EM_X86_64,
  ET_DYN,
  ET_EXEC,
  PF_R,
  PF_W,
  PF_X,
  PT_LOAD,
  PT_NOTE
} from "./constants.ts"
import { addressIn, ImageError, put, type Source, sourceOf, take } from "./image-source.ts"
import { elf32_hdr, elf32_phdr, elf64_hdr, elf64_phdr } from "./structs/image.ts"

/**
 * A segment of an ELF file as it lies in the guest's memory.
 *
 * @category models
 * @since 0.1.0
 */
export interface ElfSegment {
  /** Where it was put: `p_paddr`, and the option `offset` beside it. */
  readonly address: bigint
  /** Where the program expects to see it: `p_vaddr`. */
  readonly virtualAddress: bigint
  /** In bytes; those that the file does not have are zeros. */
  readonly size: number
  /** In bytes: how much of it is in the file. */
  readonly fileSize: number
  readonly readable: boolean
  readonly writable: boolean
  readonly executable: boolean
}

/**
 * What an ELF file said of itself when it was loaded.
 *
 * @category models
 * @since 0.1.0
 */
export interface ElfImage {
  readonly class: 32 | 64
  /** `e_machine`: one of `EM_*`. */
  readonly machine: number
  /** The guest address to start at: `e_entry`, which names a virtual address of a segment or a physical one. */
  readonly entry: bigint
  /** `e_entry` itself. */
  readonly virtualEntry: bigint
  /** Those that were loaded. */
  readonly segments: ReadonlyArray<ElfSegment>
  /** The lowest address of all segments. */
  readonly start: bigint
  /** The address behind the last of them. */
  readonly end: bigint
  /** Where a kernel is entered in protected mode by the PVH protocol, if it has a note that says so. */
  readonly pvhEntry: bigint | undefined
}

/**
 * How an ELF file is to be loaded.
 *
 * @category models
 * @since 0.1.0
 */
export interface ElfOptions {
  /** What `e_machine` may be: those that this host's guests run unless said. */
  readonly machine?: number | ReadonlyArray<number> | undefined
  /** Added to all physical addresses, the entry's and the segments': for position-independent files. 0. */
  readonly offset?: number | bigint | undefined
}

const machines: ReadonlyArray<number> = byArchitecture({
  x86_64: [EM_X86_64, EM_386],
  aarch64: [EM_AARCH64, EM_ARM],
  riscv64: [EM_RISCV]
})

/** A note of Xen's, by which a kernel says where it is entered: `XEN_ELFNOTE_PHYS32_ENTRY`. */
const pvhNote = { owner: "Xen\0", type: 18 }

/** More notes, in bytes, and more segments than any linker makes. */
const mostNotes = 1 << 20
const mostSegments = 4096

/** A segment's header, whichever its class. */
interface Header {
  readonly p_type: number
  readonly p_flags: number
  readonly p_offset: bigint
  readonly p_vaddr: bigint
  readonly p_paddr: bigint
  readonly p_filesz: bigint
  readonly p_memsz: bigint
  readonly p_align: bigint
}

const wrong = (field: string, reason: string): ImageError => new ImageError({ format: "elf", field, reason })

const hex = (value: number | bigint): string => `0x${value.toString(16)}`

/** What the file's first bytes say. */
interface Head {
  readonly bits: 32 | 64
  readonly machine: number
  readonly entry: bigint
  readonly tableAt: bigint
  readonly count: number
}

/** Reads the file's header, or throws what is wrong with it. */
const headOf = (ident: Uint8Array, bytes: Uint8Array, allowed: ReadonlyArray<number>): Head => {
  const bits = ident[4] === 2 ? 64 : 32
  const header = bits === 64 ? elf64_hdr.decode(bytes) : elf32_hdr.decode(bytes)
  const { e_ehsize, e_entry, e_machine, e_phentsize, e_phnum, e_phoff, e_type, e_version } = header
  if (e_type !== ET_EXEC && e_type !== ET_DYN) throw wrong("e_type", `${e_type} is no program that can be run`)
  if (!allowed.includes(e_machine)) throw wrong("e_machine", `${e_machine} is not among ${allowed.join(", ")}`)
  if (e_version !== 1) throw wrong("e_version", `${e_version} is not 1`)
  const [own, entry] = bits === 64 ? [elf64_hdr.size, elf64_phdr.size] : [elf32_hdr.size, elf32_phdr.size]
  if (e_ehsize < own) throw wrong("e_ehsize", `${e_ehsize} is less than a header's ${own}`)
  if (e_phnum === 0) throw wrong("e_phnum", "it has no segments")
  if (e_phnum > mostSegments) throw wrong("e_phnum", `${e_phnum} segments are more than ${mostSegments}`)
  if (e_phentsize !== entry) throw wrong("e_phentsize", `${e_phentsize} is not a segment header's ${entry}`)
  return { bits, machine: e_machine, entry: BigInt(e_entry), tableAt: BigInt(e_phoff), count: e_phnum }
}

/** Checks what identifies the file. */
const identify = (ident: Uint8Array): void => {
  if (ident[0] !== 0x7f || ident[1] !== 0x45 || ident[2] !== 0x4c || ident[3] !== 0x46) {
    throw wrong("EI_MAG", "it does not begin with 0x7f, ELF")
  }
  if (ident[4] !== 1 && ident[4] !== 2) throw wrong("EI_CLASS", `${ident[4]} is neither 1 (32 bits) nor 2 (64 bits)`)
  if (ident[5] !== 1) throw wrong("EI_DATA", `${ident[5]} is not 1 (little-endian)`)
  if (ident[6] !== 1) throw wrong("EI_VERSION", `${ident[6]} is not 1`)
}

const headersOf = (bytes: Uint8Array, { bits, count }: Head): ReadonlyArray<Header> =>
  Array.from({ length: count }, (_, index) => {
    if (bits === 64) return elf64_phdr.decode(bytes, index * elf64_phdr.size)
    const { p_align, p_filesz, p_flags, p_memsz, p_offset, p_paddr, p_type, p_vaddr } = elf32_phdr.decode(
      bytes,
      index * elf32_phdr.size
    )
    return {
      p_type,
      p_flags,
      p_offset: BigInt(p_offset),
      p_vaddr: BigInt(p_vaddr),
      p_paddr: BigInt(p_paddr),
      p_filesz: BigInt(p_filesz),
      p_memsz: BigInt(p_memsz),
      p_align: BigInt(p_align)
    }
  })

/** Throws what is wrong with a segment that is to be loaded. */
const check = (header: Header, index: number, size: number, bits: 32 | 64): void => {
  const { p_align, p_filesz, p_memsz, p_offset, p_paddr, p_vaddr } = header
  const field = (name: string) => `${name} of segment ${index}`
  const limit = 1n << BigInt(bits)
  if (p_offset + p_filesz > BigInt(size)) {
    throw wrong(field("p_filesz"), `${p_filesz} bytes at ${p_offset} are past the image's ${size}`)
  }
  if (p_filesz > p_memsz) throw wrong(field("p_memsz"), `${p_memsz} is less than the ${p_filesz} bytes in the file`)
  if (p_memsz > BigInt(Number.MAX_SAFE_INTEGER)) throw wrong(field("p_memsz"), `${p_memsz} is more than there can be`)
  for (const [name, value] of [
    ["p_paddr", p_paddr],
    ["p_vaddr", p_vaddr]
  ] as const) {
    if (value + p_memsz > limit) throw wrong(field(name), `${p_memsz} bytes at ${hex(value)} are past ${bits} bits`)
  }
  if ((p_align & (p_align - 1n)) !== 0n && p_align !== 0n) {
    throw wrong(field("p_align"), `${p_align} is no power of 2`)
  }
}

/** Throws where two segments would lie on each other. */
const checkApart = (segments: ReadonlyArray<Header>): void => {
  const sorted = segments.toSorted((a, b) => (a.p_paddr < b.p_paddr ? -1 : a.p_paddr > b.p_paddr ? 1 : 0))
  for (const [index, { p_paddr }] of sorted.entries()) {
    const before = sorted[index - 1]
    if (before !== undefined && before.p_paddr + before.p_memsz > p_paddr) {
      throw wrong("p_paddr", `the segments at ${hex(before.p_paddr)} and ${hex(p_paddr)} overlap`)
    }
  }
}

const within = (address: bigint, start: bigint, size: bigint): boolean => start <= address && address < start + size

/** The physical address of the entry: the header may name either. */
const entryOf = (entry: bigint, segments: ReadonlyArray<Header>): bigint => {
  if (entry === 0n) return 0n
  for (const { p_memsz, p_paddr, p_vaddr } of segments) {
    if (within(entry, p_vaddr, p_memsz)) return entry - p_vaddr + p_paddr
  }
  for (const { p_memsz, p_paddr } of segments) if (within(entry, p_paddr, p_memsz)) return entry
  throw wrong("e_entry", `${hex(entry)} is in no segment`)
}

/** The entry that a note names, among others in their segment. Notes that make no sense are somebody else's. */
const pvhEntryIn = (bytes: Uint8Array, alignment: number): bigint | undefined => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const padded = (length: number) => Math.ceil(length / alignment) * alignment
  let at = 0
  while (at + 12 <= bytes.length) {
    const nameSize = view.getUint32(at, true)
    const size = view.getUint32(at + 4, true)
    const type = view.getUint32(at + 8, true)
    const value = at + 12 + padded(nameSize)
    if (value + size > bytes.length) return undefined
    const owner = String.fromCharCode(...bytes.subarray(at + 12, at + 12 + Math.min(nameSize, 16)))
    if (owner === pvhNote.owner && type === pvhNote.type) {
      if (size === 4) return BigInt(view.getUint32(value, true))
      if (size === 8) return view.getBigUint64(value, true)
    }
    at = value + padded(size)
  }
  return undefined
}

const attempt = <A>(f: () => A): Effect.Effect<A, ImageError> =>
  Effect.try({
    try: f,
    catch: (thrown) => {
      if (thrown instanceof ImageError) return thrown
      throw thrown
    }
  })

const load = Effect.fnUntraced(function* (memory: Memory, source: Source, options: ElfOptions) {
  const { machine = machines } = options
  const offset = yield* addressIn(options.offset ?? 0)
  const ident = yield* take(source, 0, 16, "e_ident")
  yield* attempt(() => identify(ident))
  const bytes = yield* take(source, 0, ident[4] === 2 ? elf64_hdr.size : elf32_hdr.size, "e_ehsize")
  const head = yield* attempt(() => headOf(ident, bytes, typeof machine === "number" ? [machine] : machine))
  const { bits, count, tableAt } = head
  if (tableAt > BigInt(source.size)) {
    return yield* Effect.fail(wrong("e_phoff", `${tableAt} is past the image's ${source.size} bytes`))
  }
  const tableSize = count * (bits === 64 ? elf64_phdr.size : elf32_phdr.size)
  const headers = headersOf(yield* take(source, Number(tableAt), tableSize, "e_phoff"), head)
  const loads = yield* attempt(() => {
    const loads = headers.filter(({ p_memsz, p_type }, index) => {
      if (p_type !== PT_LOAD) return false
      const header = headers[index]
      if (header !== undefined) check(header, index, source.size, bits)
      return p_memsz > 0n
    })
    if (loads.length === 0) throw wrong("e_phnum", "no segment is to be loaded")
    checkApart(loads)
    return loads
  })
  const entry = yield* attempt(() => entryOf(head.entry, loads))
  const pvhEntry = yield* pvhEntryOf(source, headers)
  yield* put(
    memory,
    source,
    loads.map(({ p_filesz, p_memsz, p_offset, p_paddr }) => ({
      offset: Number(p_offset),
      length: Number(p_filesz),
      address: p_paddr + offset,
      size: Number(p_memsz)
    }))
  )
  const segments = loads.map(
    ({ p_filesz, p_flags, p_memsz, p_paddr, p_vaddr }): ElfSegment => ({
      address: p_paddr + offset,
      virtualAddress: p_vaddr,
      size: Number(p_memsz),
      fileSize: Number(p_filesz),
      readable: (p_flags & PF_R) !== 0,
      writable: (p_flags & PF_W) !== 0,
      executable: (p_flags & PF_X) !== 0
    })
  )
  const image: ElfImage = {
    class: bits,
    machine: head.machine,
    entry: head.entry === 0n ? 0n : entry + offset,
    virtualEntry: head.entry,
    segments,
    start: segments.reduce((least, { address }) => (address < least ? address : least), segments[0]?.address ?? 0n),
    end: segments.reduce(
      (most, { address, size }) => (address + BigInt(size) > most ? address + BigInt(size) : most),
      0n
    ),
    pvhEntry: pvhEntry === undefined ? undefined : pvhEntry + offset
  }
  return image
})

const pvhEntryOf = Effect.fnUntraced(function* (source: Source, headers: ReadonlyArray<Header>) {
  let read = 0n
  for (const { p_align, p_filesz, p_offset, p_type } of headers) {
    if (p_type !== PT_NOTE || read + p_filesz > BigInt(mostNotes)) continue
    if (p_offset + p_filesz > BigInt(source.size)) continue
    read += p_filesz
    const notes = yield* take(source, Number(p_offset), Number(p_filesz), "p_offset")
    const entry = pvhEntryIn(notes, p_align === 8n ? 8 : 4)
    if (entry !== undefined) return entry
  }
  return undefined
})

/**
 * Puts the segments of an ELF file (`PT_LOAD`) at their physical addresses, what the file does not have of them as zeros,
 * and tells where to start. Files of 32 and of 64 bits, little-endian, executable or position-independent.
 *
 * Fails with `ImageError`, which names the field, for what is no such file, and with `OutOfGuestMemory` where the guest
 * has no memory for a segment; nothing is written then. From a file it can wait, and reads a piece at a time straight into
 * the guest's memory; interruptible.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File, Kvm } from "effect-linux"
 *
 * const program = Effect.gen(function* () {
 *   const vm = yield* Kvm.createVm()
 *   yield* Kvm.addMemory(vm, { guestAddress: 0, size: 128 << 20 })
 *   const { entry, segments } = yield* Kvm.loadElf(vm, yield* File.open("kernel.elf"))
 *   return { entry, end: segments.at(-1)?.address }
 * }).pipe(Effect.scoped, Effect.provide(Kvm.layer))
 * ```
 *
 * @category images
 * @since 0.1.0
 */
export const loadElf: {
  (memory: Memory, image: Uint8Array, options?: ElfOptions): Effect.Effect<ElfImage, ImageError | GuestMemoryError>
  (
    memory: Memory,
    image: Uint8Array | File.File<unknown>,
    options?: ElfOptions
  ): Effect.Effect<ElfImage, ImageError | GuestMemoryError | Pread64Error | StatxError>
} = ((memory: Memory, image: Uint8Array | File.File<unknown>, options: ElfOptions = {}) =>
  Effect.flatMap(sourceOf("elf", image), (source) => load(memory, source, options))) as typeof loadElf
