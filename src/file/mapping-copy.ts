/**
 * A file's contents in memory of their own: what a mapping of a file that others shorten cannot promise.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import { long } from "../internal/arguments.ts"
import type { Descriptor } from "../internal/descriptor.ts"
import { type Owner, run } from "../internal/invoke.ts"
import type { BlockingOptions } from "../internal/trampoline.ts"
import * as Syscall from "../Syscall.ts"
import { map, shown } from "./mapping.ts"
import type { Mapping, Region } from "./mapping-region.ts"
import { stat } from "./metadata.ts"
import { type File, own } from "./model.ts"

const atOnce = 16 << 20

const readOptions: BlockingOptions = { inlineFirst: true }

/** A read has two that can end it early: the file may be closed, and the memory's scope. */
const both = (file: Descriptor, region: Region): Owner => ({
  fd: file.fd,
  awaits: file.awaits,
  traits: file.traits,
  get closed() {
    return file.closed || region.over
  },
  optionsFor: (options) => {
    const own = file.optionsFor(options)
    return {
      ...own,
      isOver: () => file.closed || region.over,
      onWaiting: (cancel) => {
        const told = own.onWaiting?.(cancel)
        const done = region.onWaiting(cancel)
        return () => {
          told?.()
          done()
        }
      }
    }
  }
})

/**
 * Reads a file into fresh memory, for as long as the scope is open: a mapping that nothing done to the file can reach.
 *
 * It has `length` bytes from `offset` on, or those that there are: all of the file unless said. Of a file that claims to be
 * empty, as those of /proc do, `length` is to be said. Fails with `EINVAL` where there is nothing to read.
 *
 * **When to use**
 *
 * In place of `File.mmap`, for a file that others may cut shorter while it is looked at.
 *
 * Can wait; interruptible. Manual page: pread(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File, Mapping } from "effect-linux"
 *
 * const magic = Effect.gen(function* () {
 *   const { bytes } = yield* Mapping.copyOf(yield* File.open("/bin/sh"))
 *   return bytes.slice(0, 4) // 0x7f, "ELF"
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const copyOf = (
  file: File<unknown>,
  options: { readonly offset?: number | undefined; readonly length?: number | undefined } = {}
): Effect.Effect<Mapping, errors.MmapError | errors.StatxError | errors.Pread64Error, Scope.Scope> =>
  Effect.gen(function* () {
    const { offset = 0 } = options
    const { stx_size } = yield* stat(file)
    const { length = Number(stx_size) - offset } = options
    const refuse = (detail: string) => Exit.fail(errors.mmap.make(codes.EINVAL, undefined, own(file).fd, detail))
    if (!Number.isSafeInteger(offset) || offset < 0) return yield* refuse(`offset: ${offset} is no offset`)
    if (!Number.isSafeInteger(length) || length < 1) return yield* refuse(`length: ${length} is no length`)
    const region = yield* map(-1, { length })
    const owner = both(own(file), region)
    let done = 0
    while (done < length) {
      const at = done
      const count = yield* run(
        {
          errors: errors.pread64,
          nr: Syscall.nr.pread64,
          // By its address: nobody else knows the memory yet, and bytes need not be copied to it twice.
          prepare: () => [
            owner.fd,
            region.address + BigInt(at),
            Math.min(length - at, atOnce),
            long("offset", offset + at)
          ],
          decode: Number,
          options: readOptions,
          subject: { fd: owner.fd }
        },
        undefined,
        owner
      )
      if (count === 0) break
      done += count
    }
    if (done === 0) return yield* refuse("the file has nothing there")
    region.length = done
    return yield* shown(region)
  })
