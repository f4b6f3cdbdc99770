/** Kernels of the Linux/x86 boot protocol (`bzImage`), and the page of parameters that they are started with. */
import * as Effect from "effect/Effect"
import type { Pread64Error, StatxError } from "../errors/calls.ts"
import { EINVAL } from "../errors/errnos.ts"
import type * as File from "../File.ts"
import { type GuestMemoryError, type Memory, regionsOf, viewsOf } from "./address-find.ts"
import { writeMemory } from "./address-space.ts"
import { addressIn, type ImageError, put, refuse, type Source, sourceOf, take } from "./image-source.ts"
import { boot_e820_entry, setup_header } from "./structs/image.ts"

/**
 * What to tell a kernel, and where to put it.
 *
 * @category models
 * @since 0.1.0
 */
export interface LinuxOptions {
  /** The kernel's parameters: text without NUL, of at most as many bytes as the kernel takes. None. */
  readonly commandLine?: string | undefined
  /** The first file system of the kernel, put as high in memory as the kernel can reach it, and above 1 MiB. */
  readonly initrd?: Uint8Array | File.File<unknown> | undefined
  /** Where the kernel goes. 0x100000, 1 MiB. */
  readonly address?: number | bigint | undefined
  /** Where the page of parameters goes: 4 KiB below 1 MiB. 0x7000. */
  readonly zeroPage?: number | bigint | undefined
  /** Where the command line goes: below 1 MiB. 0x20000. */
  readonly commandLineAddress?: number | bigint | undefined
  /**
   * The memory map that the kernel is given; `type` is 1 for memory that it may use, 2 for what is reserved. All regions
   * that the guest can write, without what is 384 KiB below 1 MiB on a PC.
   */
  readonly memoryMap?: ReadonlyArray<boot_e820_entry> | undefined
}

/**
 * A kernel in memory: how to start it.
 *
 * @category models
 * @since 0.1.0
 */
export interface LinuxImage {
  /** Of the boot protocol: 0x020f is 2.15. */
  readonly version: number
  /** Where it is entered in protected mode: paging and interrupts off, flat segments, `esi` the parameters' page. */
  readonly entry: bigint
  /**
   * Where it is entered in long mode, if it can be: memory mapped to itself, interrupts off, `rsi` the parameters' page.
   */
  readonly entry64: bigint | undefined
  /** The address of the parameters' page (`struct boot_params`). */
  readonly zeroPage: bigint
  /** What the image said of itself, with what was put in. */
  readonly header: setup_header
  /** In bytes, from `entry` on: what is in the image. */
  readonly size: number
  readonly initrd: { readonly address: bigint; readonly size: number } | undefined
  readonly memoryMap: ReadonlyArray<boot_e820_entry>
}

// Of `struct boot_params`, by its offsets.
const headerAt = 0x1f1
const headerEnd = 0x290
const entriesAt = 0x1e8
const tableAt = 0x2d0
const mostEntries = 128

const sector = 512
const loadedHigh = 1
const canUseHeap = 0x80
const kernel64 = 1
/** A loader without a number of its own. */
const unknownLoader = 0xff
const oldest = 0x0204

const utf8 = new TextEncoder()

const wrong = (field: string, reason: string): Effect.Effect<never, ImageError> => refuse("bzImage", field, reason)

const hex = (value: number | bigint): string => `0x${value.toString(16)}`

/** Its header as far as the image has it: younger fields than its own are zeros. */
const headerOf = Effect.fnUntraced(function* (source: Source) {
  if (source.size < headerEnd) return yield* wrong("setup_sects", `${source.size} bytes have no room for a header`)
  const bytes = yield* take(source, 0, headerEnd, "setup_sects")
  const header = setup_header.decode(bytes, headerAt)
  if (header.boot_flag !== 0xaa55) return yield* wrong("boot_flag", `${hex(header.boot_flag)} is not 0xaa55`)
  if (header.header !== 0x53726448) return yield* wrong("header", "it does not say HdrS")
  if (header.version < oldest) return yield* wrong("version", `${hex(header.version)} is older than ${hex(oldest)}`)
  if ((header.loadflags & loadedHigh) === 0) return yield* wrong("loadflags", "it is to be loaded low")
  // The jump over the header tells its length.
  const end = Math.min(headerEnd, 0x202 + (header.jump >>> 8))
  const own = new Uint8Array(setup_header.size)
  own.set(bytes.subarray(headerAt, Math.min(end, headerAt + own.length)))
  return setup_header.decode(own)
})

/** What lies from one address up to another. */
interface Span {
  readonly start: bigint
  readonly end: bigint
}

/** The memory that the guest can write, in spans. */
const spansOf = (memory: Memory): ReadonlyArray<Span> => {
  const spans: Array<Span> = []
  for (const { guestAddress, present, readOnly, size } of regionsOf(memory)) {
    if (readOnly || !present) continue
    const last = spans.at(-1)
    const end = guestAddress + BigInt(size)
    if (last?.end === guestAddress) spans[spans.length - 1] = { start: last.start, end }
    else spans.push({ start: guestAddress, end })
  }
  return spans
}

const low: Span = { start: 0x9fc00n, end: 0x100000n }

/** Memory that a kernel may use, without what is no memory on a PC. */
const mapOf = (spans: ReadonlyArray<Span>): ReadonlyArray<boot_e820_entry> =>
  spans
    .flatMap(({ end, start }): ReadonlyArray<Span> => {
      if (end <= low.start || start >= low.end) return [{ start, end }]
      return [
        { start, end: low.start },
        { start: low.end, end }
      ].filter(({ end, start }) => start < end)
    })
    .map(({ end, start }) => ({ addr: start, size: end - start, type: 1 }))

/**
 * The highest place for so many bytes below a limit, and not in the kernel's way. Never below 1 MiB, where the parameters,
 * the command line and whatever the machine is set up with are, and memory that a PC has not.
 */
const placeFor = (spans: ReadonlyArray<Span>, size: bigint, limit: bigint, kernel: Span): bigint | undefined => {
  for (const { end, start: lowest } of spans.toReversed()) {
    const start = lowest > low.end ? lowest : low.end
    // Above the kernel, or below it.
    for (const top of [end, kernel.start < end ? kernel.start : start]) {
      const address = ((top < limit ? top : limit) - size) & ~0xfffn
      if (address >= start && (address >= kernel.end || address + size <= kernel.start)) return address
    }
  }
  return undefined
}

const invalid = (detail: string) => Effect.fail(new EINVAL({ detail }))

const load = Effect.fnUntraced(function* (memory: Memory, source: Source, options: LinuxOptions) {
  const { commandLine = "" } = options
  const address = yield* addressIn(options.address ?? 0x100000)
  const zeroPage = yield* addressIn(options.zeroPage ?? 0x7000)
  const commandLineAddress = yield* addressIn(options.commandLineAddress ?? 0x20000)
  const own = yield* headerOf(source)
  const setupSize = ((own.setup_sects === 0 ? 4 : own.setup_sects) + 1) * sector
  const size = own.syssize * 16
  // The last of its 16 bytes need not be in the file.
  if (size === 0 || setupSize + size - 15 > source.size) {
    return yield* wrong("syssize", `${size} bytes behind ${setupSize} are past the image's ${source.size}`)
  }
  const inFile = Math.min(size, source.size - setupSize)

  const text = utf8.encode(`${commandLine}\0`)
  const longest = own.version >= 0x0206 && own.cmdline_size > 0 ? own.cmdline_size : 255
  if (text.indexOf(0) !== text.length - 1) return yield* invalid("commandLine: it has a NUL")
  if (text.length - 1 > longest) {
    return yield* invalid(`commandLine: ${text.length - 1} bytes, and the kernel takes ${longest}`)
  }
  for (const [name, place] of [
    ["address", address],
    ["zeroPage", zeroPage],
    ["commandLineAddress", commandLineAddress]
  ] as const) {
    if (place < 0n || place > 0xffffffffn) return yield* invalid(`${name}: ${hex(place)} is not within 4 GiB`)
  }

  // It unpacks itself where it was linked to be, or where it lies.
  const preferred = own.version >= 0x020a ? own.pref_address : 0n
  const from = own.relocatable_kernel === 0 && preferred > 0n ? preferred : address
  const end = (preferred > from ? preferred : from) + BigInt(own.version >= 0x020a ? own.init_size : 0)
  const kernel: Span = { start: address, end: end > address + BigInt(size) ? end : address + BigInt(size) }
  yield* viewsOf(memory, kernel.start, Number(kernel.end - kernel.start))

  const spans = spansOf(memory)
  const { memoryMap = mapOf(spans) } = options
  if (memoryMap.length > mostEntries) return yield* invalid(`memoryMap: ${memoryMap.length} entries are too many`)

  let initrd: LinuxImage["initrd"]
  let initrdSource: Source | undefined
  if (options.initrd !== undefined) {
    initrdSource = yield* sourceOf("flat", options.initrd)
    const place = placeFor(spans, BigInt(initrdSource.size), BigInt(own.initrd_addr_max) + 1n, kernel)
    if (place === undefined) return yield* invalid(`initrd: there is no room for ${initrdSource.size} bytes`)
    initrd = { address: place, size: initrdSource.size }
  }

  // What is put down last would lie over the other, and the kernel start with half of it.
  const taken: Array<readonly [name: string, span: Span]> = [["the kernel", kernel]]
  if (initrd !== undefined) {
    taken.push(["the initrd", { start: initrd.address, end: initrd.address + BigInt(initrd.size) }])
  }
  for (const [name, start, length] of [
    ["zeroPage", zeroPage, 4096],
    ["commandLineAddress", commandLineAddress, text.length]
  ] as const) {
    const end = start + BigInt(length)
    const other = taken.find(([, span]) => start < span.end && span.start < end)
    if (other !== undefined) {
      return yield* invalid(`${name}: ${length} bytes at ${hex(start)} overlap ${other[0]} at ${hex(other[1].start)}`)
    }
    taken.push([name, { start, end }])
  }

  const header: setup_header = {
    ...own,
    type_of_loader: unknownLoader,
    loadflags: own.loadflags | canUseHeap,
    heap_end_ptr: 0xfe00,
    code32_start: Number(address),
    cmd_line_ptr: Number(commandLineAddress),
    ramdisk_image: Number(initrd?.address ?? 0n),
    ramdisk_size: initrd?.size ?? 0
  }
  const page = new Uint8Array(4096)
  setup_header.encode(header, page, headerAt)
  page[entriesAt] = memoryMap.length
  for (const [index, entry] of memoryMap.entries()) {
    boot_e820_entry.encode(entry, page, tableAt + index * boot_e820_entry.size)
  }

  yield* put(memory, source, [{ offset: setupSize, length: inFile, address, size }])
  if (initrd !== undefined && initrdSource !== undefined) {
    yield* put(memory, initrdSource, [{ offset: 0, length: initrd.size, address: initrd.address, size: initrd.size }])
  }
  yield* writeMemory(memory, commandLineAddress, text)
  yield* writeMemory(memory, zeroPage, page)
  const image: LinuxImage = {
    version: own.version,
    entry: address,
    entry64: own.version >= 0x020c && (own.xloadflags & kernel64) !== 0 ? address + 0x200n : undefined,
    zeroPage,
    header,
    size,
    initrd,
    memoryMap
  }
  return image
})

/**
 * Puts a Linux kernel for x86 (`bzImage`, boot protocol 2.04 or younger) into memory, with its command line, initial file
 * system and memory map, and tells how it is entered: in protected mode or, where it can be, in long mode.
 *
 * Fails with `ImageError`, which names the field, for what is no such kernel; with `OutOfGuestMemory` where the guest has
 * no memory for it to unpack itself; with `EINVAL` for a command line that it does not take, or where there is no room for
 * the `initrd`. From a file it can wait, and reads a piece at a time straight into the guest's memory; interruptible.
 *
 * The kernel's Documentation/arch/x86/boot.rst says more.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File, Kvm } from "effect-linux"
 *
 * const withKernel = (vm: Kvm.Vm) =>
 *   Effect.gen(function* () {
 *     yield* Kvm.addMemory(vm, { guestAddress: 0, size: 256 << 20 })
 *     return yield* Kvm.loadBzImage(vm, yield* File.open("/boot/vmlinuz"), {
 *       commandLine: "console=ttyS0 panic=-1",
 *       initrd: yield* File.open("/boot/initrd.img")
 *     })
 *   })
 * ```
 *
 * @category images
 * @since 0.1.0
 */
export const loadBzImage = (
  memory: Memory,
  image: Uint8Array | File.File<unknown>,
  options: LinuxOptions = {}
): Effect.Effect<LinuxImage, ImageError | GuestMemoryError | Pread64Error | StatxError> =>
  Effect.flatMap(sourceOf("bzImage", image), (source) => load(memory, source, options))
