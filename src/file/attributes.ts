/**
 * Extended attributes: names and values that a file carries beside its contents.
 */
import * as Effect from "effect/Effect"
import type * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import type { PathLike } from "../internal/arguments.ts"
import * as constants from "../internal/constants.ts"
import { runOn } from "../internal/descriptor.ts"
import type { Description } from "../internal/invoke.ts"
import * as Syscall from "../Syscall.ts"
import * as describe from "../syscall/descriptions.ts"
import { type File, own } from "./model.ts"
import { decodeName } from "./names.ts"

const encoder = new TextEncoder()

/** The kernel's longest value, and longest list of names: XATTR_SIZE_MAX, XATTR_LIST_MAX. */
const longest = 65536
/** What is tried first: most are short. */
const usual = 256

/** Asks with a buffer that is usually long enough, and else with the longest that there can be. */
const withRoom = <E extends { readonly errno: number }>(
  file: File<unknown>,
  ask: (fd: number, buffer: Uint8Array) => Description<number, E>
): Effect.Effect<Uint8Array, E> =>
  Effect.suspend(() => {
    const self = own(file)
    const attempt = (size: number): Effect.Effect<Uint8Array, E> => {
      const buffer = new Uint8Array(size)
      return Effect.map(runOn(self, ask(self.fd, buffer)), (length) => buffer.slice(0, length))
    }
    return Effect.catch(attempt(usual), (error) =>
      error.errno === codes.ERANGE ? attempt(longest) : Effect.fail(error)
    )
  })

/**
 * The value of an extended attribute, such as `user.mime_type`.
 *
 * Fails with `ENODATA` where the file has none of this name, and `EOPNOTSUPP` where the file system has no such names. Can
 * wait for a disk or server. Manual page: getxattr(2).
 *
 * @category attributes
 * @since 0.1.0
 */
export const getXattr = (file: File<unknown>, name: PathLike): Effect.Effect<Uint8Array, errors.FgetxattrError> =>
  withRoom(file, (fd, buffer) => describe.fgetxattr(fd, name, buffer))

/**
 * Sets an extended attribute: to bytes, or to text as UTF-8.
 *
 * Can wait for a disk or server. Manual page: setxattr(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File } from "effect-linux"
 *
 * const label = Effect.gen(function* () {
 *   const file = yield* File.open("/srv/photo.jpg")
 *   yield* File.setXattr(file, "user.mime_type", "image/jpeg")
 *   return new TextDecoder().decode(yield* File.getXattr(file, "user.mime_type"))
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category attributes
 * @since 0.1.0
 */
export const setXattr = (
  file: File<unknown>,
  name: PathLike,
  value: string | Uint8Array,
  options: {
    /** `"create"`: fail with `EEXIST` if it is there; `"replace"`: with `ENODATA` if it is not. Either will do, unless said. */
    readonly only?: "create" | "replace" | undefined
  } = {}
): Effect.Effect<void, errors.FsetxattrError> =>
  Effect.suspend(() => {
    const { only } = options
    const flags = only === "create" ? constants.XATTR_CREATE : only === "replace" ? constants.XATTR_REPLACE : 0
    const bytes = typeof value === "string" ? encoder.encode(value) : value
    return runOn(own(file), describe.fsetxattr(own(file).fd, name, bytes, flags))
  })

/**
 * The names of the file's extended attributes that one may know of; bytes where they are no UTF-8.
 *
 * Can wait for a disk or server. Manual page: listxattr(2).
 *
 * @category attributes
 * @since 0.1.0
 */
export const listXattrs = (
  file: File<unknown>
): Effect.Effect<ReadonlyArray<string | Uint8Array>, errors.FlistxattrError> =>
  Effect.map(
    withRoom(file, (fd, buffer) => describe.flistxattr(fd, buffer)),
    (bytes) => Syscall.xattrNames(bytes).map(decodeName)
  )

/**
 * Takes an extended attribute away; fails with `ENODATA` where there is none of this name.
 *
 * Can wait for a disk or server. Manual page: removexattr(2).
 *
 * @category attributes
 * @since 0.1.0
 */
export const removeXattr = (file: File<unknown>, name: PathLike): Effect.Effect<void, errors.FremovexattrError> =>
  runOn(own(file), describe.fremovexattr(own(file).fd, name))
