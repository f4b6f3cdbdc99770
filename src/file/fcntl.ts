/**
 * Carrying out a typed command of `fcntl` on a file. The commands are in `Fcntl`.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as errors from "../errors/calls.ts"
import type { Buffer } from "../internal/arguments.ts"
import type { Descriptor } from "../internal/descriptor.ts"
import { runOn } from "../internal/descriptor.ts"
import { type Description, onThisThread, run } from "../internal/invoke.ts"
import { type BlockingOptions, kernel } from "../internal/trampoline.ts"
import * as Syscall from "../Syscall.ts"
import * as describe from "../syscall/descriptions.ts"
import { closeAbandoned } from "../syscall/policy.ts"
import type { Command, Duplicate } from "./fcntl-commands.ts"
import { adopt, type File, own } from "./model.ts"

const waiting: BlockingOptions = {}
const duplicating: BlockingOptions = { onAbandoned: closeAbandoned }

const described = <A, R>(
  owner: Descriptor,
  command: Command<A, R>,
  argument: A,
  options: BlockingOptions
): Description<R, errors.FcntlError> => ({
  errors: errors.fcntl,
  nr: Syscall.nr.fcntl,
  prepare: () => [owner.fd, command.code, command.prepare(argument)],
  decode: (result, [, , prepared = null]) => command.decode(Number(result), prepared),
  options,
  subject: { fd: owner.fd, request: command.name }
})

const carryOut = <A, R>(
  owner: Descriptor,
  command: Command<A, R>,
  argument: A
): Effect.Effect<R, errors.FcntlError> => {
  if (!command.waits) return runOn(owner, described(owner, command, argument, onThisThread))
  const { undo } = command
  if (undo === undefined) return runOn(owner, described(owner, command, argument, waiting))
  const onAbandoned = (): void => {
    const back = undo(argument)
    // With the file its locks are gone, and its number may be another's.
    if (back !== undefined && !owner.closed) kernel.call(Syscall.nr.fcntl, owner.fd, ...back)
  }
  return run(described(owner, command, argument, { onAbandoned }), undefined, owner)
}

/**
 * Carries out a command of `Fcntl` on a file; the command says what it takes and gives.
 *
 * Only the commands that wait for a lock, or for memory to be sealed, run off the event loop; they are interruptible.
 * Manual page: fcntl(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Fcntl, File, Syscall } from "effect-linux"
 *
 * const program = Effect.gen(function* () {
 *   const file = yield* File.open("/tmp/database", { access: "readWrite", create: true, mode: 0o600 })
 *   // waits until no other open file has a lock on the first 100 bytes
 *   yield* File.fcntl(file, Fcntl.F_OFD_SETLKW, { l_type: Syscall.F_WRLCK, l_len: 100 })
 *   // a descriptor with a number from 100 on, closed with the scope
 *   const second = yield* File.fcntl(file, Fcntl.F_DUPFD_CLOEXEC, 100)
 *   return yield* File.fcntl(second, Fcntl.F_GETFL)
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category devices
 * @since 0.1.0
 */
export function fcntl<D>(
  file: File<D>,
  command: Duplicate,
  minimum?: number
): Effect.Effect<File<D>, errors.FcntlError, Scope.Scope>
export function fcntl<A, R>(
  file: File<unknown>,
  command: Command<A, R>,
  ...argument: undefined extends A ? [argument?: NoInfer<A>] : [argument: NoInfer<A>]
): Effect.Effect<R, errors.FcntlError>
export function fcntl<A, R>(
  file: File<unknown>,
  command: Command<A, R> | Duplicate,
  // The overloads say which command takes what.
  argument?: unknown
): Effect.Effect<unknown, errors.FcntlError, Scope.Scope> {
  return Effect.suspend((): Effect.Effect<unknown, errors.FcntlError, Scope.Scope> => {
    const owner = own(file)
    const { fd } = owner
    switch (command["~effect-linux/Fcntl"]) {
      case "duplicate": {
        const duplicate = describe.fcntl(fd, command.code, rawArgument(argument))
        const options = duplicating
        owner.shared = true
        return adopt({ ...duplicate, options, subject: { fd, request: command.name } }, owner, owner.awaits)
      }
      case "raw":
        return runOn(owner, describe.fcntl(fd, command.code, rawArgument(argument)))
      default:
        return carryOut(owner, command, argument as A)
    }
  })
}

const rawArgument = (argument: unknown) => (argument ?? 0) as number | bigint | Buffer
