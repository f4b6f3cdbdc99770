/** What compiles and what does not. The compiler checks this file; running it only shows that it was found. */

import { describe, expectTypeOf, it } from "@effect/vitest"
import { Effect, type Scope, type Sink, Stream } from "effect"
import { type Abi, type Errno, File, Ioctl, type Mapping, Struct } from "../src/index.ts"

type ErrorOf<T> = T extends Effect.Effect<infer _A, infer E, infer _R> ? E : never
type TagOf<T> = ErrorOf<T> extends { readonly _tag: infer Tag } ? Tag : never

declare const file: File.File
declare const yes: boolean
declare const buffer: Uint8Array

/** Type-checked and never run. */
const compiles = (_: () => unknown): void => {}

describe("mode", () => {
  it("is demanded where the options can create", () => {
    compiles(() => [
      File.open("/p", { create: true, mode: 0o600 }),
      File.open("/p", { create: yes, mode: 0o600 }),
      File.open("/p", { tempFile: true, access: "write", mode: 0o600 }),
      File.open("/p", { tempFile: yes, mode: 0o600 }),
      File.open("/p", { create: yes, tempFile: yes, mode: 0o600 }),
      File.open("/p", { create: false, tempFile: true, mode: 0o600 }),
      File.openAt(file, "p", { create: true, mode: 0o600 }),
      File.openAt(file, "p", { tempFile: true, mode: 0o600 })
    ])
    // @ts-expect-error create may create
    compiles(() => File.open("/p", { create: true }))
    // @ts-expect-error so may a variable
    compiles(() => File.open("/p", { create: yes }))
    // @ts-expect-error and one that may be missing
    compiles((_create: boolean | undefined = undefined) => File.open("/p", { create: _create }))
    // @ts-expect-error a temporary file is created
    compiles(() => File.open("/p", { tempFile: true, access: "write" }))
    // @ts-expect-error so may a variable
    compiles(() => File.open("/p", { tempFile: yes }))
    // @ts-expect-error whatever else there is
    compiles(() => File.open("/p", { create: false, tempFile: true }))
    // @ts-expect-error undefined is no mode
    compiles(() => File.open("/p", { create: true, mode: undefined }))
    // @ts-expect-error the same relative to a directory
    compiles(() => File.openAt(file, "p", { create: true }))
    // @ts-expect-error the same relative to a directory
    compiles(() => File.openAt(file, "p", { tempFile: yes }))
  })

  it("is refused where they cannot", () => {
    compiles(() => [
      File.open("/p"),
      File.open("/p", {}),
      File.open("/p", { create: false }),
      File.open("/p", { create: undefined, tempFile: false }),
      File.open("/p", { truncate: true, access: "write" })
    ])
    // @ts-expect-error nothing is created
    compiles(() => File.open("/p", { mode: 0o600 }))
    // @ts-expect-error nothing is created
    compiles(() => File.open("/p", { access: "write", truncate: true, mode: 0o600 }))
    // @ts-expect-error nothing is created
    compiles(() => File.openAt(file, "p", { mode: 0o600 }))
  })

  it("is a number", () => {
    // @ts-expect-error
    compiles(() => File.open("/p", { create: true, mode: "0600" }))
    // @ts-expect-error
    compiles(() => File.open("/p", { create: true, mode: 0o600n }))
  })
})

describe("options", () => {
  it("are known words with known values", () => {
    // @ts-expect-error an unknown word
    compiles(() => File.open("/p", { readonly: true }))
    // @ts-expect-error the kernel's name is not the word
    compiles(() => File.open("/p", { O_APPEND: true }))
    // @ts-expect-error misspelled
    compiles(() => File.open("/p", { apend: true }))
    // @ts-expect-error an unknown access
    compiles(() => File.open("/p", { access: "rw" }))
    // @ts-expect-error flags are words, not numbers
    compiles(() => File.open("/p", 0))
    // @ts-expect-error words are booleans
    compiles(() => File.open("/p", { append: 1 }))
    // @ts-expect-error a path is text or bytes
    compiles(() => File.open(new URL("file:///p")))
    // @ts-expect-error a directory is a File
    compiles(() => File.openAt(3, "p"))
  })

  it("can be passed on as a value", () => {
    const pass = (options: File.OpenOptions) => File.open("/p", options)
    expectTypeOf(pass).returns.toEqualTypeOf<Effect.Effect<File.File, ErrorOf<ReturnType<typeof pass>>, Scope.Scope>>()
  })
})

const Radio = Ioctl.device("Radio")
const Tuner = Ioctl.subDevice("Tuner", Radio)
const PocketTuner = Ioctl.subDevice("PocketTuner", Tuner)
const Watchdog = Ioctl.device("Watchdog")
const Anything: Ioctl.AnyDevice = Ioctl.device("Anything")

const station = Struct.make("station", { frequency: Struct.u32, name: Struct.u64 })

const ask = Ioctl.none(Radio, 1)
const get = Ioctl.read(Radio, 2, station)
const set = Ioctl.write(Radio, 3, station)
const tune = Ioctl.writeRead(Radio, 4, station)
const volume = Ioctl.value(Radio, 5)
const bark = Ioctl.none(Watchdog, 6)
const fine = Ioctl.none(Tuner, 7)
const pending = Ioctl.read(Anything, 8, Struct.i32)

declare const radio: File.File<typeof Radio>
declare const tuner: File.File<typeof Tuner>
declare const pocketTuner: File.File<typeof PocketTuner>
declare const watchdog: File.File<typeof Watchdog>

describe("requests and devices", () => {
  it("a device takes its own requests", () => {
    compiles(() => [File.ioctl(radio, ask), File.ioctl(watchdog, bark), File.ioctl(tuner, fine)])
  })

  it("a request of another device does not compile", () => {
    // @ts-expect-error a radio is no watchdog
    compiles(() => File.ioctl(radio, bark))
    // @ts-expect-error a watchdog is no radio
    compiles(() => File.ioctl(watchdog, ask))
    // @ts-expect-error nor does one with memory
    compiles(() => File.ioctl(watchdog, get))
    // @ts-expect-error nor does one with an argument
    compiles(() => File.ioctl(watchdog, volume, 1))
  })

  it("a sub-device takes the requests of all its parents", () => {
    compiles(() => [
      File.ioctl(tuner, ask),
      File.ioctl(tuner, get),
      File.ioctl(pocketTuner, ask),
      File.ioctl(pocketTuner, fine)
    ])
    // @ts-expect-error but not those of others
    compiles(() => File.ioctl(pocketTuner, bark))
    // @ts-expect-error and its parent does not take its own
    compiles(() => File.ioctl(radio, fine))
  })

  it("a file of no known device takes no device's requests, until it is said to be one", () => {
    // @ts-expect-error not known to be a radio
    compiles(() => File.ioctl(file, ask))
    // @ts-expect-error what open gives is not known to be one
    compiles(() => Effect.flatMap(File.open("/dev/radio0"), (opened) => File.ioctl(opened, ask)))
    compiles(() => File.ioctl(File.asDevice(file, Radio), ask))
    // @ts-expect-error only what it was said to be
    compiles(() => File.ioctl(File.asDevice(file, Radio), bark))
  })

  it("every file takes the requests that any driver may be asked", () => {
    compiles(() => [
      File.ioctl(file, pending),
      File.ioctl(radio, pending),
      File.ioctl(pocketTuner, pending),
      File.ioctl(watchdog, pending)
    ])
  })

  it("a File of a sub-device is one of its parent, and of a file, and not the other way round", () => {
    expectTypeOf<File.File<typeof Tuner>>().toExtend<File.File<typeof Radio>>()
    expectTypeOf<File.File<typeof Radio>>().toExtend<File.File>()
    expectTypeOf<File.File<typeof Radio>>().not.toExtend<File.File<typeof Tuner>>()
    expectTypeOf<File.File<typeof Radio>>().not.toExtend<File.File<typeof Watchdog>>()
    expectTypeOf<File.File>().not.toExtend<File.File<typeof Radio>>()
  })

  it("a duplicate is the same device", () => {
    expectTypeOf(File.duplicate<typeof Tuner>).returns.toExtend<Effect.Effect<typeof tuner, unknown, Scope.Scope>>()
    compiles(() => Effect.flatMap(File.duplicate(radio), (twin) => File.ioctl(twin, ask)))
    // @ts-expect-error and no other
    compiles(() => Effect.flatMap(File.duplicate(radio), (twin) => File.ioctl(twin, bark)))
  })

  it("what takes any file takes a device", () => {
    compiles(() => [File.read(radio, buffer), File.stat(watchdog), File.close(tuner), File.mmap(radio, { length: 1 })])
  })
})

describe("arguments and results of requests", () => {
  it("none takes nothing and gives the kernel's number", () => {
    compiles(() => File.ioctl(radio, ask))
    expectTypeOf(() => File.ioctl(radio, ask)).returns.toEqualTypeOf<
      Effect.Effect<number, Ioctl.RequestError<typeof ask>>
    >()
    // @ts-expect-error it takes nothing
    compiles(() => File.ioctl(radio, ask, 1))
  })

  it("read takes nothing and gives the record", () => {
    expectTypeOf(() => File.ioctl(radio, get)).returns.toExtend<
      Effect.Effect<{ readonly frequency: number; readonly name: bigint }, unknown>
    >()
    // @ts-expect-error it takes nothing
    compiles(() => File.ioctl(radio, get, { frequency: 1, name: 1n }))
  })

  it("write takes the record and gives the kernel's number", () => {
    expectTypeOf(() => File.ioctl(radio, set, { frequency: 1, name: 1n })).returns.toExtend<
      Effect.Effect<number, unknown>
    >()
    // @ts-expect-error it has to be given
    compiles(() => File.ioctl(radio, set))
    // @ts-expect-error all of it
    compiles(() => File.ioctl(radio, set, { frequency: 1 }))
    // @ts-expect-error 64 bits are a bigint
    compiles(() => File.ioctl(radio, set, { frequency: 1, name: 1 }))
  })

  it("writeRead takes the record and gives it back", () => {
    expectTypeOf(() => File.ioctl(radio, tune, { frequency: 1, name: 1n })).returns.toExtend<
      Effect.Effect<{ readonly frequency: number; readonly name: bigint }, unknown>
    >()
    // @ts-expect-error it has to be given
    compiles(() => File.ioctl(radio, tune))
  })

  it("value takes a number or a bigint", () => {
    compiles(() => [File.ioctl(radio, volume, 1), File.ioctl(radio, volume, 1n)])
    // @ts-expect-error it has to be given
    compiles(() => File.ioctl(radio, volume))
    // @ts-expect-error no text
    compiles(() => File.ioctl(radio, volume, "loud"))
  })

  it("a layout stands for a size, and nothing else does", () => {
    compiles(() => [Ioctl._IOR("T", 1, station), Ioctl._IOW(1, 1, 4), Ioctl._IO("T", 1)])
    // @ts-expect-error _IO has no memory
    compiles(() => Ioctl._IO("T", 1, 4))
    // @ts-expect-error _IOR has some
    compiles(() => Ioctl._IOR("T", 1))
    // @ts-expect-error a size is a number or a layout
    compiles(() => Ioctl._IOR("T", 1, "int"))
  })
})

describe("errors", () => {
  it("are what the manual page documents, and OtherErrno", () => {
    expectTypeOf<"ENOENT" | "EACCES" | "EEXIST" | "ELOOP" | "OtherErrno">().toExtend<
      TagOf<ReturnType<typeof File.open>>
    >()
    expectTypeOf<"EPIPE" | "ENOSPC" | "OtherErrno">().toExtend<TagOf<ReturnType<typeof File.write>>>()
    expectTypeOf<"EISDIR" | "EBADF" | "OtherErrno">().toExtend<TagOf<ReturnType<typeof File.read>>>()
    expectTypeOf<"ENOENT">().not.toExtend<TagOf<ReturnType<typeof File.read>>>()
    expectTypeOf<"EPIPE">().not.toExtend<TagOf<ReturnType<typeof File.read>>>()
    expectTypeOf<"ESPIPE">().toExtend<TagOf<ReturnType<typeof File.pread>>>()
    expectTypeOf<"ESPIPE">().not.toExtend<TagOf<ReturnType<typeof File.write>>>()
  })

  it("of what makes no call are only that the File is closed", () => {
    expectTypeOf(File.fd).returns.toEqualTypeOf<Effect.Effect<number, Errno.EBADF>>()
    expectTypeOf(File.release).returns.toEqualTypeOf<Effect.Effect<number, Errno.EBADF>>()
  })

  it("of every operation can be EBADF", () => {
    expectTypeOf<"EBADF">().toExtend<TagOf<ReturnType<typeof File.stat>>>()
    expectTypeOf<"EBADF">().toExtend<TagOf<ReturnType<typeof File.seek>>>()
    expectTypeOf<"EBADF">().toExtend<TagOf<ReturnType<typeof File.sync>>>()
    expectTypeOf<"EBADF">().toExtend<TagOf<ReturnType<typeof File.truncate>>>()
    expectTypeOf<"EBADF">().toExtend<TagOf<ReturnType<typeof File.mmap>>>()
    expectTypeOf<"EBADF">().toExtend<TagOf<ReturnType<typeof File.openAt>>>()
  })

  it("are narrowed by catchTag", () => {
    compiles(() => {
      const caught = File.stat(file).pipe(Effect.catchTag("EBADF", () => Effect.void))
      expectTypeOf<"EBADF">().not.toExtend<TagOf<typeof caught>>()
    })
    // @ts-expect-error a tag that cannot come
    compiles(() => File.read(file, buffer).pipe(Effect.catchTag("ENOENT", () => Effect.void)))
  })

  it("of a request are those it was given", () => {
    expectTypeOf<"ENOTTY" | "EFAULT">().toExtend<TagOf<ReturnType<typeof requestErrors>>>()
  })
})

declare const requestErrors: () => Effect.Effect<number, Ioctl.RequestError<typeof ask>>

describe("results", () => {
  it("are what the names say", () => {
    expectTypeOf(File.read).returns.toExtend<Effect.Effect<number, Errno.Errno>>()
    expectTypeOf(File.readAll).returns.toExtend<Effect.Effect<Uint8Array, Errno.Errno>>()
    expectTypeOf(File.writeAll).returns.toExtend<Effect.Effect<void, Errno.Errno>>()
    expectTypeOf(File.stat).returns.toExtend<Effect.Effect<Abi.statx, Errno.Errno>>()
    expectTypeOf(File.stream).returns.toExtend<Stream.Stream<Uint8Array, Errno.Errno>>()
    expectTypeOf(File.entries).returns.toExtend<Stream.Stream<File.Entry, Errno.Errno>>()
    expectTypeOf<File.Entry["name"]>().toEqualTypeOf<string | Uint8Array>()
  })

  it("of copies have the errors and needs of who is told of their progress", () => {
    const plain = () => File.copyTo(file, file)
    expectTypeOf(plain).returns.toEqualTypeOf<Effect.Effect<number, File.CopyError>>()
    const told = () => File.copyTo(file, file, { onProgress: () => Effect.fail("enough" as const) })
    expectTypeOf(told).returns.toEqualTypeOf<Effect.Effect<number, File.CopyError | "enough">>()
    const scoped = () => File.copyTo(file, file, { onProgress: () => Effect.scope })
    expectTypeOf(scoped).returns.toEqualTypeOf<Effect.Effect<number, File.CopyError, Scope.Scope>>()
    expectTypeOf<"EXDEV" | "EPIPE" | "ENOSPC" | "EISDIR">().toExtend<File.CopyError["_tag"]>()
  })

  it("of sinks are the bytes that were written", () => {
    expectTypeOf(File.sink).returns.toExtend<Sink.Sink<number, Uint8Array, never, Errno.Errno>>()
    // @ts-expect-error bytes, and no text
    compiles(() => Stream.run(Stream.make("text"), File.sink(file)))
  })

  it("of walks are entries with a path", () => {
    expectTypeOf(File.walk).returns.toEqualTypeOf<Stream.Stream<File.WalkEntry, File.WalkError>>()
    expectTypeOf<File.WalkEntry>().toExtend<File.Entry>()
  })

  it("of what asks whether something is there cannot be that it is not", () => {
    expectTypeOf<"ENOENT" | "ENOTDIR">().not.toExtend<TagOf<ReturnType<typeof File.exists>>>()
    expectTypeOf<"EACCES">().toExtend<TagOf<ReturnType<typeof File.exists>>>()
    expectTypeOf(File.isTerminal).returns.toEqualTypeOf<Effect.Effect<boolean, Errno.EBADF>>()
    expectTypeOf<"ENOTEMPTY">().toExtend<TagOf<ReturnType<typeof File.rmdir>>>()
  })

  it("of locks need a scope", () => {
    expectTypeOf(File.flock).returns.not.toExtend<Effect.Effect<unknown, unknown>>()
    expectTypeOf(File.lockRange).returns.not.toExtend<Effect.Effect<unknown, unknown>>()
    // @ts-expect-error no such kind
    compiles(() => File.flock(file, "write"))
    // @ts-expect-error a range says its kind
    compiles(() => File.lockRange(file, {}))
    // @ts-expect-error no such seal
    compiles(() => File.addSeals(file, ["everything"]))
    // @ts-expect-error no such word
    compiles(() => File.preadv2(file, [buffer], { append: true }))
  })

  it("that the kernel hands out need a scope, and others do not", () => {
    expectTypeOf(File.open).returns.not.toExtend<Effect.Effect<unknown, unknown>>()
    expectTypeOf(File.fromFd).returns.not.toExtend<Effect.Effect<unknown, unknown>>()
    expectTypeOf(File.mmap).returns.toExtend<Effect.Effect<Mapping.Mapping, Errno.Errno, Scope.Scope>>()
    expectTypeOf(File.mmap).returns.not.toExtend<Effect.Effect<unknown, unknown>>()
    expectTypeOf(File.borrow).returns.toExtend<Effect.Effect<File.File, Errno.Errno>>()
  })
})
