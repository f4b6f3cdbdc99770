/**
 * What is registered with a ring so that its operations need not look it up or lock it each time: memory and files.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import * as Mapping from "../file/mapping.ts"
import { type File, own } from "../file/model.ts"
import * as constants from "../internal/constants.ts"
import { arena, type Ring, type RingState, stateOf } from "./model.ts"
import { BufferSlot, FileSlot, type FixedBuffer, type FixedFile } from "./operation.ts"

const refuse = (code: number, detail?: string): Exit.Exit<never, errors.IoUringRegisterError> =>
  Exit.fail(errors.io_uring_register.make(code, undefined, undefined, detail))

/** A place in a table: 0 and up, or -errno. */
const place = (ring: RingState, table: RingState["buffers"]): number => {
  if (ring.closed) return -codes.EBADF
  const made = table.make()
  return made < 0 ? made : (table.numbers.take() ?? -codes.ENOSPC)
}

const noPlace = (ring: RingState, code: number): Exit.Exit<never, errors.IoUringRegisterError> =>
  refuse(code, ring.closed ? "ring: it is closed" : code === codes.ENOSPC ? "the ring's table is full" : undefined)

// ---------------------------------------------------------------------------------------------------------------------
// memory
// ---------------------------------------------------------------------------------------------------------------------

/** Puts memory into a place of the table, or empties it; 0 and up, or -errno. */
const updateBuffer = (ring: RingState, slot: number, address: number, length: number): number => {
  const chunk = arena.take(Abi.iovec.size)
  if (chunk === undefined) return -codes.ENOMEM
  Abi.iovec.encode({ iov_base: BigInt(address), iov_len: BigInt(length) }, chunk.bytes)
  const update = Abi.io_uring_rsrc_update2.encode({ offset: slot, data: BigInt(chunk.address), tags: 0n, nr: 1 })
  const result = ring.register(constants.IORING_REGISTER_BUFFERS_UPDATE, update, update.length)
  arena.give(chunk)
  return result
}

const registerBuffer = (
  ring: RingState,
  { address, bytes, buffer }: Mapping.Mapping
): Effect.Effect<BufferSlot, errors.IoUringRegisterError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const slot = place(ring, ring.buffers)
      if (slot < 0) return noPlace(ring, -slot)
      const result = updateBuffer(ring, slot, Number(address), bytes.length)
      if (result >= 0) return Exit.succeed(new BufferSlot(ring, slot, Number(address), new Uint8Array(buffer)))
      ring.buffers.numbers.give(slot)
      return refuse(-result)
    }),
    (self) =>
      Effect.callback<void>((resume) => {
        // Nothing begins on it any more, and what uses it is waited for.
        self.released = true
        const release = () => {
          if (!ring.closed) updateBuffer(ring, self.slot, 0, 0)
          ring.buffers.numbers.give(self.slot)
          resume(Exit.void)
        }
        if (self.uses === 0) release()
        else self.onUnused = release
      })
  )

/**
 * Memory of given lengths that is registered with a ring, for as long as the scope is open: the kernel has it at hand, and
 * works on it without a copy. It is zeros, and its `bytes` are detached when the scope closes, after the operations that
 * use it have ended.
 *
 * Counts against `RLIMIT_MEMLOCK`, and fails with `ENOMEM` above it; fails with `ENOSPC` (as `OtherErrno`) beyond 1,024
 * buffers. Does not block. Since Linux 5.19. Manual page: io_uring_register(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { type File, IoUring } from "effect-linux"
 *
 * const firstBlock = (ring: IoUring.Ring, file: File.File) =>
 *   Effect.gen(function* () {
 *     const [buffer] = yield* IoUring.registerBuffers(ring, [4096])
 *     yield* IoUring.submit(ring, IoUring.readFixed(file, buffer, { offset: 0 }))
 *     return buffer.bytes.slice(0, 16)
 *   }).pipe(Effect.scoped)
 * ```
 *
 * @category registering
 * @since 0.1.0
 */
export const registerBuffers = <const Lengths extends ReadonlyArray<number>>(
  ring: Ring,
  lengths: Lengths
): Effect.Effect<
  { readonly [K in keyof Lengths]: FixedBuffer },
  errors.IoUringRegisterError | errors.MmapError,
  Scope.Scope
> => {
  const registered = Effect.forEach(lengths, (length) =>
    Effect.flatMap(Mapping.acquire(-1, { length }), (mapping) => registerBuffer(stateOf(ring), mapping))
  )
  // A list of as many as there are lengths.
  return registered as Effect.Effect<never, errors.IoUringRegisterError | errors.MmapError, Scope.Scope>
}

// ---------------------------------------------------------------------------------------------------------------------
// files
// ---------------------------------------------------------------------------------------------------------------------

const nobody = -1

/** Puts a file into a place of the table, or empties it; 0 and up, or -errno. */
const updateSlot = (ring: RingState, slot: number, fd: number): number => {
  const chunk = arena.take(4)
  if (chunk === undefined) return -codes.ENOMEM
  new DataView(chunk.bytes.buffer, chunk.bytes.byteOffset).setInt32(0, fd, true)
  const update = Abi.io_uring_files_update.encode({ offset: slot, fds: BigInt(chunk.address) })
  const result = ring.register(constants.IORING_REGISTER_FILES_UPDATE, update, 1)
  arena.give(chunk)
  return result
}

const registerFile = (
  ring: RingState,
  file: File<unknown> | null
): Effect.Effect<FileSlot, errors.IoUringRegisterError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const descriptor = file === null ? undefined : own(file)
      if (descriptor?.closed === true) return refuse(codes.EBADF, "the File is closed")
      const slot = place(ring, ring.files)
      if (slot < 0) return noPlace(ring, -slot)
      const result = descriptor === undefined ? 0 : updateSlot(ring, slot, descriptor.fd)
      if (result >= 0) return Exit.succeed(new FileSlot(ring, slot))
      ring.files.numbers.give(slot)
      return refuse(-result)
    }),
    (self) =>
      Effect.sync(() => {
        self.closed = true
        if (!ring.closed) updateSlot(ring, self.slot, nobody)
        ring.files.numbers.give(self.slot)
      })
  )

/**
 * Registers files with a ring, for as long as the scope is open: the kernel then has them at hand. Null makes an empty
 * place, for `openFixed`, `acceptFixed` and {@link updateFile}.
 *
 * The kernel keeps a file open that is registered, also when its `File` is closed. Fails with `ENOSPC` (as `OtherErrno`)
 * beyond 1,024 files. Does not block. Since Linux 5.19. Manual page: io_uring_register(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { IoUring } from "effect-linux"
 *
 * // opened, read and closed in one visit of the kernel, and without a descriptor
 * const readSmall = (ring: IoUring.Ring, path: string) =>
 *   Effect.gen(function* () {
 *     const [slot] = yield* IoUring.registerFiles(ring, [null])
 *     const buffer = new Uint8Array(4096)
 *     const [, count] = yield* IoUring.chain(
 *       ring,
 *       [IoUring.openFixed(slot, path), IoUring.read(slot, buffer), IoUring.close(slot)],
 *       { hard: true }
 *     )
 *     return buffer.subarray(0, count)
 *   }).pipe(Effect.scoped)
 * ```
 *
 * @category registering
 * @since 0.1.0
 */
export const registerFiles = <const Files extends ReadonlyArray<File<unknown> | null>>(
  ring: Ring,
  files: Files
): Effect.Effect<{ readonly [K in keyof Files]: FixedFile }, errors.IoUringRegisterError, Scope.Scope> => {
  const registered = Effect.forEach(files, (file) => registerFile(stateOf(ring), file))
  // A list of as many as there are files.
  return registered as Effect.Effect<never, errors.IoUringRegisterError, Scope.Scope>
}

/**
 * Puts another file into a place of the ring's table, or empties it. Operations that are under way go on with the one they
 * began with.
 *
 * Does not block. Manual page: io_uring_register(2).
 *
 * @category registering
 * @since 0.1.0
 */
export const updateFile = (
  slot: FixedFile,
  file: File<unknown> | null
): Effect.Effect<void, errors.IoUringRegisterError> =>
  Effect.suspend(() => {
    if (!(slot instanceof FileSlot)) throw new TypeError("slot: expected a registered file")
    if (slot.closed || slot.ring.closed) return refuse(codes.EBADF, "slot: it is registered no more")
    const descriptor = file === null ? undefined : own(file)
    if (descriptor?.closed === true) return refuse(codes.EBADF, "the File is closed")
    const result = updateSlot(slot.ring, slot.slot, descriptor?.fd ?? nobody)
    return result < 0 ? refuse(-result) : Exit.void
  })
