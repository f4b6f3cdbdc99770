/**
 * Files as devices and as memory: `mmap` here; `ioctl` and `fcntl` in files of their own.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import * as constants from "../internal/constants.ts"
import * as Mapping from "./mapping.ts"
import { stat } from "./metadata.ts"
import { type File, own } from "./model.ts"

export * from "./fcntl.ts"
export * from "./ioctl.ts"

/**
 * Maps the file into memory, for as long as the scope is open. The file may be closed before.
 *
 * `shared` mappings need a file that is open for reading and writing. A range that goes past the last page of a regular
 * file fails with `EINVAL`: touching it would kill the process.
 *
 * Can wait for a disk or server, for the file's size. Manual page: mmap(2).
 *
 * @category memory
 * @since 0.1.0
 */
export const mmap = (
  file: File<unknown>,
  options: Mapping.Options & { readonly offset?: number | bigint | undefined }
): Effect.Effect<Mapping.Mapping, errors.MmapError | errors.StatxError, Scope.Scope> =>
  Effect.flatMap(stat(file), ({ stx_mode, stx_size }) => {
    const owner = own(file)
    const { length, offset = 0 } = options
    const pages = ((stx_size + pageSize - 1n) / pageSize) * pageSize
    const isRegular = (stx_mode & constants.S_IFMT) === constants.S_IFREG
    const valid = Number.isSafeInteger(length) && (typeof offset === "bigint" || Number.isSafeInteger(offset))
    if (isRegular && valid && BigInt(offset) + BigInt(length) > pages) {
      const detail = `length: ${length} at ${offset} is past the file's ${stx_size}`
      return Exit.fail(errors.mmap.make(codes.EINVAL, undefined, owner.fd, detail))
    }
    return Mapping.acquire(owner.fd, options, owner)
  })

// The smallest page of any architecture here: a file's last page is whole at this size too.
const pageSize = 4096n
