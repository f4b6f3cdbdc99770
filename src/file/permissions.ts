/**
 * Permissions and owners that the kernel would cut to their low bits without a word: refused here, by the argument's name.
 * Not part of the public surface.
 */
import * as Exit from "effect/Exit"
import { codes } from "../errors/errnos.ts"
import type { CallErrors } from "../errors/registry.ts"
import type { PathLike } from "../internal/arguments.ts"

/** All bits that are permissions. */
const permissions = 0o7777

// 4,294,967,295 is the kernel's way to say that nobody is meant.
const mostId = 0xffff_fffe

type Refused<E> = Exit.Exit<never, E> | undefined

const integer = (name: string, value: number): boolean => {
  if (typeof value !== "number") throw new TypeError(`${name}: expected a number, got ${typeof value}`)
  return Number.isInteger(value) && value >= 0
}

/** The failure of a call whose mode is more than permissions, or none. */
export const refusedMode = <E>(errors: CallErrors<E>, mode: number | undefined, path?: PathLike): Refused<E> =>
  mode === undefined || (integer("mode", mode) && mode <= permissions)
    ? undefined
    : Exit.fail(errors.make(codes.EINVAL, path, undefined, `mode: ${mode} is not from 0 to 0o7777`))

const refusedId = <E>(errors: CallErrors<E>, name: string, id: number | undefined, path?: PathLike): Refused<E> =>
  id === undefined || (integer(name, id) && id <= mostId)
    ? undefined
    : Exit.fail(errors.make(codes.EINVAL, path, undefined, `${name}: ${id} is not from 0 to ${mostId}`))

/** The failure of a call whose new owner or group cannot be, or none. */
export const refusedOwners = <E>(
  errors: CallErrors<E>,
  { gid, uid }: { readonly gid?: number | undefined; readonly uid?: number | undefined },
  path?: PathLike
): Refused<E> => refusedId(errors, "uid", uid, path) ?? refusedId(errors, "gid", gid, path)
