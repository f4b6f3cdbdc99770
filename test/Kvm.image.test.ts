/** Images in guest memory: flat ones and ELF files, good, wrong and hostile, from bytes and from files. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { File, Kvm, Pipe } from "../src/index.ts"
import { evaluateC, missing } from "./support/c.ts"
import { asm, enterLongMode, enterRealMode, expectErrno, expectExit, hlt, itKvm } from "./support/guests.ts"
import { describeKvm } from "./support/kvm.ts"
import { mappings, openFds } from "./support/process.ts"
import { temporaryDirectory } from "./support/temporary.ts"

const page = 0x1000

const holdings = Effect.all({ fds: openFds, mappings: mappings(/kvm|memfd:|\/dev\/zero/) })

interface Segment {
  readonly type?: number
  readonly address: number
  readonly virtualAddress?: number
  readonly bytes: ReadonlyArray<number>
  /** Beyond the bytes: zeros. */
  readonly size?: number
  readonly flags?: number
}

interface Program {
  readonly bits: 32 | 64
  readonly entry: number
  readonly segments: ReadonlyArray<Segment>
  readonly machine?: number
}

/** An ELF file: its header, those of its segments, then what they hold. */
const elf = ({ bits, entry, machine, segments }: Program): Uint8Array => {
  const [head, part] = bits === 64 ? [Kvm.elf64_hdr, Kvm.elf64_phdr] : [Kvm.elf32_hdr, Kvm.elf32_phdr]
  const tableAt = head.size
  let at = tableAt + segments.length * part.size
  const file = new Uint8Array(at + segments.reduce((sum, { bytes }) => sum + bytes.length, 0))
  const header = {
    e_ident: Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, bits / 32, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    e_type: Kvm.ET_EXEC,
    e_machine: machine ?? (bits === 64 ? Kvm.EM_X86_64 : Kvm.EM_386),
    e_version: 1,
    e_flags: 0,
    e_ehsize: head.size,
    e_phentsize: part.size,
    e_phnum: segments.length,
    e_shentsize: 0,
    e_shnum: 0,
    e_shstrndx: 0
  }
  if (bits === 64) {
    Kvm.elf64_hdr.encode({ ...header, e_entry: BigInt(entry), e_phoff: BigInt(tableAt), e_shoff: 0n }, file)
  } else {
    Kvm.elf32_hdr.encode({ ...header, e_entry: entry, e_phoff: tableAt, e_shoff: 0 }, file)
  }
  for (const [index, segment] of segments.entries()) {
    const { address, bytes, flags = 7, size = bytes.length, type = Kvm.PT_LOAD, virtualAddress = address } = segment
    const own = {
      p_type: type,
      p_flags: flags,
      p_offset: at,
      p_vaddr: virtualAddress,
      p_paddr: address,
      p_filesz: bytes.length,
      p_memsz: size,
      p_align: 1
    }
    if (bits === 64) {
      const wide = {
        ...own,
        p_offset: BigInt(own.p_offset),
        p_vaddr: BigInt(own.p_vaddr),
        p_paddr: BigInt(own.p_paddr),
        p_filesz: BigInt(own.p_filesz),
        p_memsz: BigInt(own.p_memsz),
        p_align: 1n
      }
      Kvm.elf64_phdr.encode(wide, file, tableAt + index * part.size)
    } else {
      Kvm.elf32_phdr.encode(own, file, tableAt + index * part.size)
    }
    file.set(bytes, at)
    at += bytes.length
  }
  return file
}

/** Tells two bytes through a port: data of the file, and a zero that is not in it. */
const telling = [
  ...asm("mov al, [0x3000]", 0xa0, 0x00, 0x30),
  ...asm("out 0x10, al", 0xe6, 0x10),
  ...asm("mov al, [0x3001]", 0xa0, 0x01, 0x30),
  ...asm("out 0x10, al", 0xe6, 0x10),
  ...hlt
]

/** The same in 64-bit mode. */
const tellingWide = [
  ...asm("movzx eax, byte [0x10000]", 0x0f, 0xb6, 0x04, 0x25, 0x00, 0x00, 0x01, 0x00),
  ...asm("out 0x10, al", 0xe6, 0x10),
  ...asm("movzx eax, byte [0x10001]", 0x0f, 0xb6, 0x04, 0x25, 0x01, 0x00, 0x01, 0x00),
  ...asm("out 0x10, al", 0xe6, 0x10),
  ...hlt
]

const narrow: Program = {
  bits: 32,
  entry: 0x1000,
  segments: [
    { address: 0x1000, bytes: telling, flags: 5 },
    { address: 0x3000, bytes: [0x5a], size: 0x800, flags: 6 }
  ]
}

const wide: Program = {
  bits: 64,
  entry: 0x1100,
  segments: [
    { address: 0x1100, bytes: tellingWide, flags: 5 },
    { address: 0x10000, bytes: [0x5a], size: 0x800, flags: 6 }
  ]
}

const makeMachine = Effect.gen(function* () {
  const vm = yield* Kvm.createVm()
  const memory = yield* Kvm.addMemory(vm, { guestAddress: 0x1000, size: 4 * page })
  memory.bytes.fill(0xcc)
  const vcpu = yield* Kvm.createVcpu(vm, 0)
  return { vm, memory, vcpu }
})

const told = (vcpu: Kvm.Vcpu) =>
  Effect.gen(function* () {
    const first = yield* expectExit(vcpu, "Io")
    const second = yield* expectExit(vcpu, "Io")
    yield* expectExit(vcpu, "Hlt")
    return [...first.data, ...second.data]
  })

/** The field that an image is refused for. */
const fieldOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Effect.flip(effect), (error) =>
    error instanceof Kvm.ImageError
      ? Effect.succeed(error.field)
      : Effect.die(new Error(`expected an ImageError, the effect failed with ${error}`))
  )

const fileOf = (bytes: Uint8Array) =>
  Effect.gen(function* () {
    const path = join(yield* temporaryDirectory, "image")
    writeFileSync(path, bytes)
    return yield* File.open(path)
  })

describeKvm("Kvm.loadElf", () => {
  itKvm(
    "loads a file of 32 bits that then runs, its data there and its other memory zeros",
    Effect.gen(function* () {
      const { memory, vcpu, vm } = yield* makeMachine
      const image = yield* Kvm.loadElf(vm, elf(narrow))
      assert.deepStrictEqual(image, {
        class: 32,
        machine: Kvm.EM_386,
        entry: 0x1000n,
        virtualEntry: 0x1000n,
        segments: [
          {
            address: 0x1000n,
            virtualAddress: 0x1000n,
            size: telling.length,
            fileSize: telling.length,
            readable: true,
            writable: false,
            executable: true
          },
          {
            address: 0x3000n,
            virtualAddress: 0x3000n,
            size: 0x800,
            fileSize: 1,
            readable: true,
            writable: true,
            executable: false
          }
        ],
        start: 0x1000n,
        end: 0x3800n,
        pvhEntry: undefined
      })
      yield* enterRealMode(vcpu, { rip: image.entry })
      assert.deepStrictEqual(yield* told(vcpu), [0x5a, 0])
      assert.isTrue(memory.bytes.subarray(0x2001, 0x2800).every((byte) => byte === 0))
      assert.strictEqual(memory.bytes[0x2800], 0xcc)
      assert.strictEqual(memory.bytes[telling.length], 0xcc)
    })
  )

  itKvm(
    "loads a file of 64 bits that then runs, from bytes or from a file",
    Effect.gen(function* () {
      for (const image of [elf(wide), yield* fileOf(elf(wide))]) {
        const { memory, vcpu, vm } = yield* makeMachine
        // Where the tables of pages go.
        yield* Kvm.fillMemory(vm, 0x2000, 0x3000)
        yield* Kvm.addMemory(vm, { guestAddress: 0x10000, size: page })
        const { class: bits, entry, machine } = yield* Kvm.loadElf(vm, image)
        assert.deepStrictEqual([bits, entry, machine], [64, 0x1100n, Kvm.EM_X86_64])
        yield* enterLongMode(vcpu, memory, { rip: entry })
        assert.deepStrictEqual(yield* told(vcpu), [0x5a, 0])
      }
    })
  )

  itKvm(
    "finds the physical entry where the header names a virtual one, and adds the offset asked for",
    Effect.gen(function* () {
      const { vm } = yield* makeMachine
      const program: Program = {
        bits: 64,
        entry: 0x40_0010,
        segments: [{ address: 0x1000, virtualAddress: 0x40_0000, bytes: Array.from({ length: 32 }, () => 0x90) }]
      }
      const { entry, segments, virtualEntry } = yield* Kvm.loadElf(vm, elf(program), { offset: 0x2000 })
      assert.deepStrictEqual(
        [entry, virtualEntry, segments[0]?.address, segments[0]?.virtualAddress],
        [0x3010n, 0x40_0010n, 0x3000n, 0x40_0000n]
      )
      assert.strictEqual(yield* Kvm.readU8(vm, 0x301f), 0x90)
    })
  )

  itKvm(
    "finds the entry of a kernel's PVH note",
    Effect.gen(function* () {
      const { vm } = yield* makeMachine
      const note = (owner: string, type: number, value: ReadonlyArray<number>) => [
        ...new Uint8Array(Uint32Array.of(owner.length, value.length, type).buffer),
        ...Buffer.from(owner.padEnd(Math.ceil(owner.length / 4) * 4, "\0")),
        ...value,
        ...Array.from({ length: -value.length & 3 }, () => 0)
      ]
      const notes = [
        ...note("GNU\0", 3, [1, 2, 3]),
        ...note("Xen\0", 18, [0x20, 0x10, 0, 0]),
        ...note("Xen\0", 18, [1])
      ]
      const withNotes = (bytes: ReadonlyArray<number>) =>
        Kvm.loadElf(vm, elf({ ...narrow, segments: [...narrow.segments, { type: Kvm.PT_NOTE, address: 0, bytes }] }))
      assert.strictEqual((yield* withNotes(notes)).pvhEntry, 0x1020n)
      // Notes that make no sense are nobody's.
      for (let length = 0; length < notes.length; length++) yield* withNotes(notes.slice(0, length))
      assert.isUndefined((yield* withNotes(Array.from({ length: 64 }, () => 0xff))).pvhEntry)
      assert.isUndefined((yield* withNotes(Array.from({ length: 64 }, () => 0))).pvhEntry)
    })
  )

  itKvm(
    "is refused before anything is written where the guest has no memory for it",
    Effect.gen(function* () {
      const { memory, vm } = yield* makeMachine
      for (const segment of [
        { address: 0x4800, bytes: [1], size: 0x900 },
        { address: 0x8000, bytes: [1] },
        { address: 0x2000, bytes: [], size: 0x4000_0000 }
      ]) {
        const program = { ...narrow, segments: [...narrow.segments.slice(0, 1), segment] }
        const error = yield* Effect.flip(Kvm.loadElf(vm, elf(program)))
        assert.instanceOf(error, Kvm.OutOfGuestMemory)
      }
      assert.isTrue(memory.bytes.every((byte) => byte === 0xcc))
    })
  )

  itKvm(
    "names the field that is wrong",
    Effect.gen(function* () {
      const { memory, vm } = yield* makeMachine
      yield* Kvm.addMemory(vm, { guestAddress: 0x10000, size: page })
      const patched = (program: Program, ...patches: ReadonlyArray<readonly [at: number, ...bytes: number[]]>) => {
        const file = elf(program)
        for (const [at, ...bytes] of patches) file.set(bytes, at)
        return file
      }
      const h = Kvm.elf64_hdr.fields
      const p = (field: keyof typeof Kvm.elf64_phdr.fields, segment = 0) =>
        Kvm.elf64_hdr.size + segment * Kvm.elf64_phdr.size + Kvm.elf64_phdr.fields[field].offset
      const ff = (length: number) => Array.from({ length }, () => 0xff)
      const cases: ReadonlyArray<readonly [field: string, image: Uint8Array]> = [
        ["e_ident", new Uint8Array(0)],
        ["e_ident", elf(wide).subarray(0, 15)],
        ["EI_MAG", new Uint8Array(64)],
        ["EI_CLASS", patched(wide, [4, 3])],
        ["EI_CLASS", patched(wide, [4, 0])],
        ["EI_DATA", patched(wide, [5, 2])],
        ["EI_VERSION", patched(wide, [6, 2])],
        ["e_ehsize", elf(wide).subarray(0, 63)],
        ["e_ehsize", elf(narrow).subarray(0, 51)],
        ["e_ehsize", patched(wide, [h.e_ehsize.offset, 52, 0])],
        ["e_type", patched(wide, [h.e_type.offset, 1, 0])],
        ["e_type", patched(wide, [h.e_type.offset, 4, 0])],
        ["e_machine", patched(wide, [h.e_machine.offset, Kvm.EM_AARCH64, 0])],
        ["e_version", patched(wide, [h.e_version.offset, 0])],
        ["e_phoff", patched(wide, [h.e_phoff.offset, ...ff(8)])],
        ["e_phoff", patched(wide, [h.e_phoff.offset, 200, 0])],
        ["e_phentsize", patched(wide, [h.e_phentsize.offset, 32, 0])],
        ["e_phnum", patched(wide, [h.e_phnum.offset, 0, 0])],
        ["e_phnum", patched(wide, [h.e_phnum.offset, 0xff, 0xff])],
        ["e_phnum", patched(wide, [p("p_type"), 6], [p("p_type", 1), 6])],
        ["e_entry", patched(wide, [h.e_entry.offset, 0, 0, 0, 1])],
        ["p_filesz of segment 0", patched(wide, [p("p_filesz"), ...ff(8)])],
        ["p_filesz of segment 1", patched(wide, [p("p_offset", 1), ...ff(8)])],
        ["p_memsz of segment 0", patched(wide, [p("p_memsz"), 0])],
        ["p_memsz of segment 0", patched(wide, [p("p_memsz"), ...ff(8)])],
        ["p_paddr of segment 0", patched(wide, [p("p_paddr"), ...ff(8)])],
        ["p_vaddr of segment 0", patched(wide, [p("p_vaddr"), ...ff(8)])],
        ["p_align of segment 0", patched(wide, [p("p_align"), 3])],
        ["p_paddr", patched(wide, [p("p_paddr", 1), 0x10, 0x11, 0])]
      ]
      for (const [field, image] of cases) {
        assert.strictEqual(yield* fieldOf(Kvm.loadElf(vm, image)), field)
        assert.strictEqual(yield* fieldOf(Effect.flatMap(fileOf(image), (file) => Kvm.loadElf(vm, file))), field)
      }
      assert.isTrue(memory.bytes.every((byte) => byte === 0xcc))
      const error = yield* Effect.flip(Kvm.loadElf(vm, patched(wide, [5, 2])))
      assert.strictEqual(error.message, "elf image: EI_DATA: 2 is not 1 (little-endian)")
      const foreign = elf({ ...narrow, machine: Kvm.EM_ARM })
      assert.strictEqual(yield* fieldOf(Kvm.loadElf(vm, foreign, { machine: Kvm.EM_386 })), "e_machine")
      yield* Kvm.loadElf(vm, foreign, { machine: [Kvm.EM_ARM, Kvm.EM_386] })
    })
  )

  itKvm(
    "survives any bytes at all: no more than a typed error comes of them",
    Effect.gen(function* () {
      const { memory, vm } = yield* makeMachine
      let seed = 1
      const random = (below: number) => {
        seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
        return Math.floor((seed / 2 ** 32) * below)
      }
      yield* Kvm.addMemory(vm, { guestAddress: 0x10000, size: page })
      let [loaded, refused] = [0, 0]
      for (let round = 0; round < 3000; round++) {
        const file = elf(round % 2 === 0 ? wide : narrow)
        const headers = round % 2 === 0 ? 64 + 2 * 56 : 52 + 2 * 32
        for (let count = random(4); count >= 0; count--) {
          const at = 16 + random(headers - 16)
          file[at] = [0, 1, 0x7f, 0x80, 0xff, random(256)][random(6)] ?? 0
        }
        const error = yield* Effect.flip(
          Effect.andThen(
            Kvm.loadElf(vm, file.subarray(0, random(5) === 0 ? random(file.length) : file.length)),
            Effect.fail("loaded")
          )
        )
        if (error === "loaded") {
          loaded++
        } else {
          refused++
          assert.isTrue(
            error instanceof Kvm.ImageError || error instanceof Kvm.OutOfGuestMemory,
            `round ${round}: ${error}`
          )
        }
      }
      assert.isAbove(loaded, 100)
      assert.isAbove(refused, 100)
      assert.strictEqual(memory.bytes.length, 4 * page)
    })
  )

  itKvm(
    "reads a large file a piece at a time into regions that adjoin, and can be interrupted",
    Effect.gen(function* () {
      const vm = yield* Kvm.createVm()
      const half = 4 << 20
      yield* Kvm.addMemory(vm, { guestAddress: 0, size: half })
      yield* Kvm.addMemory(vm, { guestAddress: half, size: half + (1 << 20) })
      const bytes = Array.from({ length: 1024 }, (_, index) => (index * 31) & 0xff)
      const program: Program = { bits: 64, entry: 0x1000, segments: [{ address: 0x1000, bytes: [], size: 2 * half }] }
      const head = elf(program)
      const file = new Uint8Array(head.length + 2 * half)
      file.set(head)
      for (let at = head.length; at < file.length; at += bytes.length) {
        file.set(bytes.slice(0, Math.min(bytes.length, file.length - at)), at)
      }
      new DataView(file.buffer).setBigUint64(64 + Kvm.elf64_phdr.fields.p_filesz.offset, BigInt(2 * half), true)
      new DataView(file.buffer).setBigUint64(64 + Kvm.elf64_phdr.fields.p_offset.offset, BigInt(head.length), true)
      const onDisk = yield* fileOf(file)
      yield* Kvm.loadElf(vm, onDisk)
      const loaded = yield* Kvm.readMemory(vm, 0x1000, 2 * half)
      assert.strictEqual(Buffer.compare(loaded, file.subarray(head.length)), 0)
      const before = yield* holdings
      for (let round = 0; round < 10; round++) {
        const loading = yield* Effect.forkChild(Kvm.loadElf(vm, onDisk), { startImmediately: true })
        for (let turn = 0; turn < round; turn++) yield* Effect.yieldNow
        yield* Fiber.interrupt(loading)
      }
      assert.deepStrictEqual(yield* holdings, before)
    })
  )
})

describeKvm("Kvm.loadFlat", () => {
  itKvm(
    "puts bytes or a file where they are to be, or a part of them",
    Effect.gen(function* () {
      const { memory, vcpu, vm } = yield* makeMachine
      assert.strictEqual(yield* Kvm.loadFlat(vm, Uint8Array.from(hlt), 0x1000), 1)
      yield* enterRealMode(vcpu)
      yield* expectExit(vcpu, "Hlt")
      const bytes = Uint8Array.from({ length: 300 }, (_, index) => index & 0xff)
      const file = yield* fileOf(bytes)
      for (const image of [bytes, file]) {
        memory.bytes.fill(0)
        assert.strictEqual(yield* Kvm.loadFlat(memory, image, 0x2000n), 300)
        assert.deepStrictEqual(memory.bytes.slice(0x1000, 0x1000 + 300), bytes)
        assert.strictEqual(yield* Kvm.loadFlat(vm, image, 0x3000, { offset: 100, length: 5 }), 5)
        assert.deepStrictEqual(memory.bytes.slice(0x2000, 0x2006), Uint8Array.of(100, 101, 102, 103, 104, 0))
        for (const [field, options] of [
          ["offset", { offset: 301 }],
          ["offset", { offset: -1 }],
          ["length", { length: 301 }],
          ["length", { offset: 299, length: 2 }],
          ["length", { length: 0.5 }]
        ] as const) {
          assert.strictEqual(yield* fieldOf(Kvm.loadFlat(vm, image, 0x1000, options)), field)
        }
        assert.instanceOf(yield* Effect.flip(Kvm.loadFlat(vm, image, 0x4ff0)), Kvm.OutOfGuestMemory)
        yield* expectErrno(Kvm.loadFlat(vm, image, 0.5), "EINVAL")
      }
    })
  )

  itKvm(
    "is for files that can be read at any place",
    Effect.gen(function* () {
      const { vm } = yield* makeMachine
      const { reader: read } = yield* Pipe.make()
      assert.strictEqual(yield* fieldOf(Kvm.loadFlat(vm, read, 0x1000)), "file")
      assert.strictEqual(yield* fieldOf(Kvm.loadElf(vm, read)), "file")
    })
  )
})

/**
 * A kernel of the boot protocol, as small as they come: in protected mode it writes its command line to the serial port,
 * then the first byte of its initial file system.
 */
const kernel = (changes: Partial<Kvm.setup_header> = {}, size = 4096): Uint8Array => {
  const code = [
    ...asm("      mov ebx, [esi + 0x228]", 0x8b, 0x9e, 0x28, 0x02, 0x00, 0x00),
    ...asm("      mov dx, 0x3f8", 0x66, 0xba, 0xf8, 0x03),
    ...asm("next: mov al, [ebx]", 0x8a, 0x03),
    ...asm("      test al, al", 0x84, 0xc0),
    ...asm("      jz done", 0x74, 0x04),
    ...asm("      out dx, al", 0xee),
    ...asm("      inc ebx", 0x43),
    ...asm("      jmp next", 0xeb, 0xf6),
    ...asm("done: mov ebx, [esi + 0x218]", 0x8b, 0x9e, 0x18, 0x02, 0x00, 0x00),
    ...asm("      mov al, [ebx]", 0x8a, 0x03),
    ...asm("      out dx, al", 0xee),
    ...hlt
  ]
  const image = new Uint8Array(5 * 512 + size)
  const empty = Kvm.setup_header.decode(new Uint8Array(Kvm.setup_header.size))
  const header = {
    ...empty,
    setup_sects: 4,
    syssize: size / 16,
    boot_flag: 0xaa55,
    jump: 0xeb | (0x6a << 8),
    header: 0x53726448,
    version: 0x020f,
    loadflags: 1,
    initrd_addr_max: 0x7fffffff,
    relocatable_kernel: 1,
    xloadflags: 1,
    cmdline_size: 64,
    pref_address: 0x200000n,
    init_size: 0x10000,
    ...changes
  }
  Kvm.setup_header.encode(header, image, 0x1f1)
  image.set(code, 5 * 512)
  return image
}

describeKvm("Kvm.loadBzImage", () => {
  const makePc = Effect.gen(function* () {
    const vm = yield* Kvm.createVm()
    const memory = yield* Kvm.addMemory(vm, { guestAddress: 0, size: 8 << 20 })
    const vcpu = yield* Kvm.createVcpu(vm, 0)
    return { vm, memory, vcpu }
  })

  /** Protected mode with flat segments, as the boot protocol asks for. */
  const enterProtectedMode = (vcpu: Kvm.Vcpu, regs: Partial<Kvm.kvm_regs>) =>
    Effect.gen(function* () {
      yield* Kvm.modifySregs(vcpu, (sregs) => {
        const data = {
          ...sregs.ds,
          base: 0n,
          limit: 0xffffffff,
          selector: 0x18,
          type: 3,
          present: 1,
          s: 1,
          db: 1,
          g: 1
        }
        const code = { ...data, selector: 0x10, type: 11 }
        return { cr0: 0x11n, cs: code, ds: data, es: data, fs: data, gs: data, ss: data }
      })
      yield* Kvm.modifyRegs(vcpu, () => ({ rflags: 2n, ...regs }))
    })

  const output = (vcpu: Kvm.Vcpu) =>
    Effect.gen(function* () {
      const bytes: Array<number> = []
      while (true) {
        const exit = yield* Kvm.run(vcpu)
        if (exit._tag !== "Io") return { text: Buffer.from(bytes).toString("latin1"), last: exit._tag }
        bytes.push(...exit.data)
      }
    })

  itKvm(
    "starts a kernel that finds its command line and its initial file system",
    Effect.gen(function* () {
      const initrd = Uint8Array.from({ length: 5000 }, (_, index) => (index + 0x21) & 0xff)
      for (const [image, files] of [
        [kernel(), initrd],
        [yield* fileOf(kernel()), yield* fileOf(initrd)]
      ] as const) {
        const { vcpu, vm } = yield* makePc
        const loaded = yield* Kvm.loadBzImage(vm, image, { commandLine: "console=ttyS0", initrd: files })
        assert.deepStrictEqual(
          [loaded.version, loaded.entry, loaded.entry64, loaded.zeroPage, loaded.size, loaded.initrd],
          [0x020f, 0x100000n, 0x100200n, 0x7000n, 4096, { address: 0x7fe000n, size: 5000 }]
        )
        assert.deepStrictEqual(yield* Kvm.readMemory(vm, 0x7fe000, 5000), initrd)
        yield* enterProtectedMode(vcpu, { rip: loaded.entry, rsi: loaded.zeroPage })
        assert.deepStrictEqual(yield* output(vcpu), { text: "console=ttyS0!", last: "Hlt" })
      }
    })
  )

  itKvm(
    "tells the kernel what memory there is, all of it or what was asked for",
    Effect.gen(function* () {
      const { vm } = yield* makePc
      yield* Kvm.addMemory(vm, { guestAddress: 8 << 20, size: 1 << 20 })
      yield* Kvm.addMemory(vm, { guestAddress: 0xfffff000, size: 0x1000, readOnly: true })
      yield* Kvm.addMemory(vm, { guestAddress: 0x1_0000_0000n, size: 1 << 20 })
      const mapAt = (zeroPage: bigint) =>
        Effect.gen(function* () {
          const count = yield* Kvm.readU8(vm, zeroPage + 0x1e8n)
          return yield* Effect.forEach(
            Array.from({ length: count }, (_, index) => index),
            (index) => Kvm.readStruct(vm, zeroPage + 0x2d0n + BigInt(index * 20), Kvm.boot_e820_entry)
          )
        })
      const { memoryMap, zeroPage } = yield* Kvm.loadBzImage(vm, kernel())
      assert.deepStrictEqual(memoryMap, [
        { addr: 0n, size: 0x9fc00n, type: 1 },
        { addr: 0x100000n, size: 0x800000n, type: 1 },
        { addr: 0x1_0000_0000n, size: 0x100000n, type: 1 }
      ])
      assert.deepStrictEqual(yield* mapAt(zeroPage), [...memoryMap])
      const own = [{ addr: 0n, size: 0x400000n, type: 1 }]
      const again = yield* Kvm.loadBzImage(vm, kernel(), { memoryMap: own, zeroPage: 0x9000, address: 0x200000 })
      assert.deepStrictEqual([again.zeroPage, again.entry], [0x9000n, 0x200000n])
      assert.deepStrictEqual(yield* mapAt(0x9000n), own)
      const header = yield* Kvm.readStruct(vm, 0x9000 + 0x1f1, Kvm.setup_header)
      assert.deepStrictEqual(header, again.header)
      assert.deepStrictEqual(
        [header.type_of_loader, header.cmd_line_ptr, header.code32_start],
        [0xff, 0x20000, 0x200000]
      )
    })
  )

  itKvm(
    "names what is wrong with an image, or with what is asked for",
    Effect.gen(function* () {
      const { memory, vm } = yield* makePc
      for (const [field, image] of [
        ["setup_sects", new Uint8Array(0)],
        ["setup_sects", kernel().subarray(0, 0x28f)],
        ["boot_flag", kernel({ boot_flag: 0 })],
        ["header", kernel({ header: 0 })],
        ["version", kernel({ version: 0x0203 })],
        ["loadflags", kernel({ loadflags: 0 })],
        ["syssize", kernel({ syssize: 0 })],
        ["syssize", kernel({ syssize: 0xffffffff })],
        ["syssize", kernel({ setup_sects: 255 })],
        ["syssize", kernel().subarray(0, 4000)]
      ] as const) {
        assert.strictEqual(yield* fieldOf(Kvm.loadBzImage(vm, image)), field)
      }
      for (const changes of [{ init_size: 0x10000000 }, { pref_address: 0x10000000n }]) {
        const error = yield* Effect.flip(Kvm.loadBzImage(vm, kernel(changes)))
        assert.instanceOf(error, Kvm.OutOfGuestMemory)
      }
      for (const options of [
        { commandLine: "x".repeat(65) },
        { commandLine: "a\0b" },
        { address: -1 },
        { zeroPage: 0.5 },
        { commandLineAddress: 2 ** 32 },
        { initrd: new Uint8Array(8 << 20) },
        // One would be written over the other.
        { zeroPage: 0x20000 },
        { zeroPage: 0x100000 },
        { commandLineAddress: 0x100800 },
        { commandLineAddress: 0x7fe800, initrd: new Uint8Array(5000) },
        { memoryMap: Array.from({ length: 129 }, () => ({ addr: 0n, size: 0n, type: 1 })) }
      ]) {
        yield* expectErrno(Kvm.loadBzImage(vm, kernel(), options), "EINVAL")
      }
      // Below the kernel there is room for it, but not on a PC, and not beside the command line.
      const initrd = new Uint8Array(0xf0000)
      yield* expectErrno(Kvm.loadBzImage(vm, kernel({ init_size: 0x600000 }), { initrd }), "EINVAL")
      yield* expectErrno(Kvm.loadBzImage(vm, kernel({ pref_address: 2n ** 64n - 1n })), "EINVAL")
      assert.isTrue(memory.bytes.every((byte) => byte === 0))
      // An older one has no fields beyond its own.
      const { entry64, header } = yield* Kvm.loadBzImage(vm, kernel({ version: 0x0204, jump: 0xeb | (0x2e << 8) }))
      assert.deepStrictEqual([entry64, header.pref_address, header.cmdline_size], [undefined, 0n, 0])
      const shorter = kernel().subarray(0, 5 * 512 + 4096 - 15)
      assert.strictEqual((yield* Kvm.loadBzImage(vm, shorter)).size, 4096)
    })
  )

  const reason = missing("x86_64")
  it.skipIf(reason !== undefined)(
    `writes the parameters where the kernel's headers have them${reason === undefined ? "" : ` (skipped: ${reason})`}`,
    () => {
      const values = evaluateC("x86_64", [
        {
          preamble: "#include <linux/types.h>\n#include <asm/bootparam.h>",
          questions: [
            ...["hdr", "e820_entries", "e820_table"].map((name) => ({
              name,
              expression: `__builtin_offsetof(struct boot_params, ${name})`
            })),
            { name: "size", expression: "sizeof(struct boot_params)" }
          ]
        }
      ])
      assert.deepStrictEqual(Object.fromEntries(values), {
        hdr: 0x1f1n,
        e820_entries: 0x1e8n,
        e820_table: 0x2d0n,
        size: 4096n
      })
    }
  )
})

describe("The types", () => {
  it("know that bytes cannot fail as files can", () => {
    const compiled = (vm: Kvm.Vm, file: File.File) => {
      const bytes: Effect.Effect<Kvm.ElfImage, Kvm.ImageError | Kvm.GuestMemoryError> = Kvm.loadElf(
        vm,
        new Uint8Array(0)
      )
      // @ts-expect-error reading a file has errors of its own
      const opened: Effect.Effect<Kvm.ElfImage, Kvm.ImageError | Kvm.GuestMemoryError> = Kvm.loadElf(vm, file)
      return [bytes, opened]
    }
    assert.isFunction(compiled)
  })
})
