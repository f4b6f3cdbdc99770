/**
 * The commands of `fcntl`, typed: what each takes, what it gives, whether it waits. `File.fcntl` carries them out.
 *
 * All that the kernel's headers define are here but `F_CANCELLK`, which is the kernel's own; one that is not here is made
 * with {@link make}. The status flags of a file are here in words too. Locks, seals and the like in words are with `File`
 * and the modules of their descriptors.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { FcntlError } from "./errors/calls.ts"
import { fcntl } from "./file/fcntl.ts"
import { F_GETFL, F_SETFL } from "./file/fcntl-commands.ts"
import type { File } from "./file/model.ts"
import * as constants from "./internal/constants.ts"

export * from "./file/fcntl-commands.ts"

/**
 * The status flags of an open file that can change. Duplicates of the descriptor share them, in other processes too.
 *
 * @category status
 * @since 0.1.0
 */
export interface StatusFlags {
  /** Each write goes to the end: `O_APPEND`. */
  readonly append: boolean
  /** A signal says when the file is ready: `FASYNC`. */
  readonly async: boolean
  /** Around the page cache: `O_DIRECT`; of a pipe, packets. */
  readonly direct: boolean
  /** The access time stays: `O_NOATIME`. */
  readonly noAtime: boolean
  /** `EAGAIN` rather than waiting: `O_NONBLOCK`. */
  readonly nonBlocking: boolean
}

/**
 * How a file is open.
 *
 * @category status
 * @since 0.1.0
 */
export interface Status extends StatusFlags {
  /** What it may be used for; `"path"` is a reference only: `O_PATH`. */
  readonly access: "read" | "write" | "readWrite" | "path"
  /** Writes wait for the disk, contents and what is needed to find them: `O_DSYNC`. */
  readonly dataSync: boolean
  /** Writes wait for the disk, all of the metadata too: `O_SYNC`. */
  readonly sync: boolean
}

const flags: { readonly [Word in keyof StatusFlags]: number } = {
  append: constants.O_APPEND,
  async: constants.FASYNC,
  direct: constants.O_DIRECT,
  noAtime: constants.O_NOATIME,
  nonBlocking: constants.O_NONBLOCK
}

const access = ["read", "write", "readWrite"] as const

const statusOf = (bits: number): Status => {
  const has = (flag: number): boolean => (bits & flag) === flag
  return {
    access: has(constants.O_PATH) ? "path" : (access[bits & constants.O_ACCMODE] ?? "readWrite"),
    append: has(flags.append),
    async: has(flags.async),
    dataSync: has(constants.O_DSYNC),
    direct: has(flags.direct),
    noAtime: has(flags.noAtime),
    nonBlocking: has(flags.nonBlocking),
    sync: has(constants.O_SYNC)
  }
}

/**
 * How a file is open, in words.
 *
 * Does not block. Manual page: fcntl(2), `F_GETFL`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Fcntl, File } from "effect-linux"
 *
 * const isWritable = (file: File.File) =>
 *   Effect.map(Fcntl.status(file), ({ access }) => access === "write" || access === "readWrite")
 * ```
 *
 * @category status
 * @since 0.1.0
 */
export const status = (file: File<unknown>): Effect.Effect<Status, FcntlError> =>
  Effect.map(fcntl(file, F_GETFL), statusOf)

/**
 * Changes the status flags that are named, and leaves the others.
 *
 * The kernel has no such change in one step: of two at a time by processes that share the open file one can be lost.
 *
 * Does not block. Manual page: fcntl(2), `F_SETFL`.
 *
 * @category status
 * @since 0.1.0
 */
export const setStatus = (
  file: File<unknown>,
  changes: { readonly [Word in keyof StatusFlags]?: boolean | undefined }
): Effect.Effect<void, FcntlError> =>
  Effect.flatMap(fcntl(file, F_GETFL), (before) => {
    let bits = before
    for (const [word, flag] of Object.entries(flags)) {
      const on = changes[word as keyof StatusFlags]
      if (on !== undefined) bits = on ? bits | flag : bits & ~flag
    }
    return fcntl(file, F_SETFL, bits)
  })
