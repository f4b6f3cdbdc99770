/**
 * System calls of Landlock and of security modules: those whose arguments depend on one another.
 */
import type * as Effect from "effect/Effect"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import { type Buffer, bufferLength, descriptor, int } from "../internal/arguments.ts"
import { LANDLOCK_RULE_NET_PORT, LANDLOCK_RULE_PATH_BENEATH } from "../internal/constants.ts"
import { inline, Misuse, onThisThread, run } from "../internal/invoke.ts"
import { memoryAt, nothing, number } from "./convert.ts"
import { nr } from "./raw.ts"

/**
 * `landlock_create_ruleset(attr, flags)`—Makes a ruleset that denies what it handles; returns a descriptor of it, which is
 * close-on-exec.
 *
 * With null and `LANDLOCK_CREATE_RULESET_VERSION`, returns the version of the interface instead.
 *
 * Does not block. Since Linux 5.13. Manual page: landlock_create_ruleset(2).
 *
 * @category security
 * @since 0.1.0
 */
export const landlock_create_ruleset = (
  attr: Abi.landlock_ruleset_attr | null,
  flags = 0
): Effect.Effect<number, errors.LandlockCreateRulesetError> =>
  inline(
    errors.landlock_create_ruleset,
    (call) =>
      attr === null
        ? call(nr.landlock_create_ruleset, null, 0, int("flags", flags))
        : call(
            nr.landlock_create_ruleset,
            Abi.landlock_ruleset_attr.encode(attr),
            Abi.landlock_ruleset_attr.size,
            int("flags", flags)
          ),
    number
  )

/**
 * A rule of a Landlock ruleset: of type `LANDLOCK_RULE_PATH_BENEATH` or `LANDLOCK_RULE_NET_PORT`.
 *
 * @category models
 * @since 0.1.0
 */
export type LandlockRule = Abi.landlock_path_beneath_attr | Abi.landlock_net_port_attr

const encodeRule = (type: number, rule: LandlockRule): Uint8Array => {
  if (type === LANDLOCK_RULE_PATH_BENEATH && "parent_fd" in rule) return Abi.landlock_path_beneath_attr.encode(rule)
  if (type === LANDLOCK_RULE_NET_PORT && "port" in rule) return Abi.landlock_net_port_attr.encode(rule)
  throw new Misuse(codes.EINVAL, `rule: not one of type ${type}`)
}

/**
 * `landlock_add_rule(ruleset_fd, rule_type, rule, flags)`—Adds a rule to a ruleset: what is allowed beneath a directory, or
 * on a TCP port.
 *
 * Does not block. Since Linux 5.13. Manual page: landlock_add_rule(2).
 *
 * @category security
 * @since 0.1.0
 */
export const landlock_add_rule = (
  ruleset_fd: number,
  rule_type: number,
  rule: LandlockRule,
  flags = 0
): Effect.Effect<void, errors.LandlockAddRuleError> =>
  inline(
    errors.landlock_add_rule,
    (call) =>
      call(
        nr.landlock_add_rule,
        descriptor("ruleset_fd", ruleset_fd),
        int("rule_type", rule_type),
        encodeRule(rule_type, rule),
        int("flags", flags)
      ),
    nothing,
    { fd: ruleset_fd }
  )

/**
 * What a security module says of a process.
 *
 * @category models
 * @since 0.1.0
 */
export interface LsmContext extends Abi.lsm_ctx {
  readonly ctx: Uint8Array
}

const contexts = (buffer: Uint8Array, count: number): ReadonlyArray<LsmContext> => {
  const found: Array<LsmContext> = []
  for (let at = 0; found.length < count; ) {
    const head = Abi.lsm_ctx.decode(buffer, at)
    const start = at + Abi.lsm_ctx.size
    found.push({ ...head, ctx: buffer.slice(start, start + Number(head.ctx_len)) })
    at += Number(head.len)
  }
  return found
}

/** More than the modules of any kernel say today; where it is not enough the kernel answers E2BIG. */
const contextBytes = 64 * 1024

/**
 * `lsm_get_self_attr(attr, flags)`—What the security modules say of the calling thread: one context each.
 *
 * `attr` is one of `LSM_ATTR_*`. Does not block. Since Linux 6.8.
 *
 * @category security
 * @since 0.1.0
 */
export const lsm_get_self_attr = (
  attr: number,
  flags = 0
): Effect.Effect<ReadonlyArray<LsmContext>, errors.LsmGetSelfAttrError> =>
  run({
    errors: errors.lsm_get_self_attr,
    nr: nr.lsm_get_self_attr,
    prepare: () => [
      int("attr", attr),
      new Uint8Array(contextBytes),
      new Uint8Array(Uint32Array.of(contextBytes).buffer),
      int("flags", flags)
    ],
    decode: (count, args) => contexts(memoryAt(args, 1), number(count)),
    options: onThisThread
  })

/**
 * `lsm_set_self_attr(attr, context, flags)`—Sets what a security module says of the calling thread. `context` is an
 * `lsm_ctx` with its bytes behind it.
 *
 * `attr` is one of `LSM_ATTR_*`. Does not block. Since Linux 6.8.
 *
 * @category security
 * @since 0.1.0
 */
export const lsm_set_self_attr = (
  attr: number,
  context: Buffer,
  flags = 0
): Effect.Effect<void, errors.LsmSetSelfAttrError> =>
  inline(
    errors.lsm_set_self_attr,
    (call) =>
      call(nr.lsm_set_self_attr, int("attr", attr), context, bufferLength("context", context), int("flags", flags)),
    nothing
  )

const mostModules = 64

/**
 * `lsm_list_modules(flags)`—The security modules of the running kernel, in their order, by identifiers `LSM_ID_*`.
 *
 * Does not block. Since Linux 6.8.
 *
 * @category security
 * @since 0.1.0
 */
export const lsm_list_modules: Effect.Effect<ReadonlyArray<bigint>, errors.LsmListModulesError> = run({
  errors: errors.lsm_list_modules,
  nr: nr.lsm_list_modules,
  prepare: () => {
    const bytes = mostModules * BigUint64Array.BYTES_PER_ELEMENT
    return [new Uint8Array(bytes), new Uint8Array(Uint32Array.of(bytes).buffer), 0]
  },
  decode: (count, args) => [...new BigUint64Array(memoryAt(args, 0).buffer)].slice(0, number(count)),
  options: onThisThread
})
