/** What the types of operations promise: results in order, the errors of each, a scope where something opens. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Result, type Scope } from "effect"
import { type Abi, type Errno, File, IoUring } from "../src/index.ts"

declare const ring: IoUring.Ring
declare const file: File.File
declare const slot: IoUring.FixedFile
declare const memory: IoUring.FixedBuffer

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <_ extends true>(): void => {}

/** Never run: it only has to compile. */
const compiles = () => {
  const read = IoUring.submit(ring, IoUring.read(file, new Uint8Array(1)))
  same<Equal<typeof read, Effect.Effect<number, import("../src/errors/calls.ts").Pread64Error>>>()

  const opened = IoUring.submit(ring, IoUring.open("/"))
  same<Equal<Effect.Services<typeof opened>, Scope.Scope>>()
  // @ts-expect-error a scope is missing
  Effect.runPromise(opened)

  // What no system call says is no error of it.
  // @ts-expect-error
  Effect.catchTag(opened, "ECHILD", () => Effect.void)
  Effect.catchTag(opened, "ENOENT", () => Effect.void)

  const timed = IoUring.submit(ring, IoUring.withTimeout(IoUring.nop, "1 second"))
  Effect.catchTag(timed, "ETIME", () => Effect.void)
  // @ts-expect-error it has no limit
  Effect.catchTag(IoUring.submit(ring, IoUring.nop), "ETIME", () => Effect.void)

  const chain = IoUring.chain(ring, [IoUring.open("/"), IoUring.stat(file), IoUring.read(slot, new Uint8Array(1))])
  same<Equal<Effect.Success<typeof chain>, [File.File, Abi.statx, number]>>()
  same<Equal<Effect.Services<typeof chain>, Scope.Scope>>()
  Effect.catchTag(chain, "ECANCELED", () => Effect.void)

  const each = IoUring.submitEach(ring, [IoUring.nop, IoUring.read(file, new Uint8Array(1))])
  type Second = Effect.Success<typeof each>[1]
  same<Second extends Result.Result<number, infer E> ? (Errno.ECANCELED extends E ? true : false) : false>()

  // @ts-expect-error a registered file has no descriptor that a path could start at
  IoUring.open("name", { directory: slot })
  // @ts-expect-error only registered memory is read into like this
  IoUring.readFixed(file, new Uint8Array(1))
  IoUring.readFixed(slot, memory, { at: 1 })
  // @ts-expect-error nobody makes one but the ring
  const made: IoUring.FixedFile = { slot: 1 }
  // @ts-expect-error an operation is no effect
  Effect.map(IoUring.nop, () => made)
  Effect.runFork(Effect.asVoid(IoUring.run(IoUring.nop)).pipe(Effect.provide(IoUring.layer())))
  // @ts-expect-error the ring is missing
  Effect.runFork(IoUring.run(IoUring.nop))
}

describe("types of IoUring", () => {
  it("compile", () => {
    assert.isFunction(compiles)
    assert.isFunction(File.open)
  })
})
