/**
 * Pseudo-terminals: a pair of files, of which one, the slave, is a terminal to whatever program gets it, and the other,
 * the master, is that terminal's keyboard and screen.
 *
 * Both are `File`s: what is written to the master is typed, what the program prints is read from it; reading waits, off
 * the event loop and interruptibly. When nobody has the slave open any more, reading the master fails with `EIO`, which
 * is its end: {@link output} is a stream that just ends there. Close one's own slave (`File.close`) when the program has
 * it, or that end never comes.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { OpenatError, ReadError } from "./errors/calls.ts"
import { ioctl, ioctlOpen } from "./file/ioctl.ts"
import { adopt, type File } from "./file/model.ts"
import { read } from "./file/transfer.ts"
import * as constants from "./internal/constants.ts"
import * as Terminal from "./ioctl/terminal.ts"
import * as describe from "./syscall/descriptions.ts"
import * as Tty from "./Tty.ts"

/**
 * The master of a pseudo-terminal. It takes the requests of terminals too, for its slave: so do the functions of `Tty`.
 *
 * @category models
 * @since 0.1.0
 */
export type Master = File<Terminal.Master>

/**
 * A pseudo-terminal: its two ends.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pty {
  readonly master: Master
  readonly slave: Tty.Tty
  /** The path of the slave, such as `/dev/pts/3`. */
  readonly path: string
}

/**
 * How a pseudo-terminal is to be.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** 24 rows of 80 characters unless said. */
  readonly windowSize?: (Pick<Tty.WindowSize, "rows" | "columns"> & Partial<Tty.WindowSize>) | undefined
  /** The modes of the slave, where they are not to be the kernel's: `Tty.rawChanges` for none of its doings. */
  readonly attributes?: Tty.Changes | undefined
}

// The master is nobody's but ours: its O_NONBLOCK lets a thousand of them be waited for without a thread for each.
const masterFlags = constants.O_RDWR | constants.O_NOCTTY | constants.O_CLOEXEC | constants.O_NONBLOCK
// The slave becomes a program's, which would not expect it.
const slaveFlags = constants.O_RDWR | constants.O_NOCTTY | constants.O_CLOEXEC

/**
 * Opens the master of a new pseudo-terminal, for as long as the scope is open. The slave can be opened once it is
 * unlocked: {@link open} does all of that.
 *
 * Manual page: pts(4).
 *
 * @category opening
 * @since 0.1.0
 */
export const openMaster: Effect.Effect<Master, OpenatError, Scope.Scope> = Effect.suspend(() =>
  adopt<Terminal.Master, OpenatError>(describe.openat(constants.AT_FDCWD, "/dev/ptmx", masterFlags, 0), undefined, true)
)

/**
 * Unlocks the slave of a master, and opens it, for as long as the scope is open: by the master itself, so that it is the
 * right one whatever is mounted on /dev/pts.
 *
 * Since Linux 4.13. Manual page: ioctl_tty(2), `TIOCGPTPEER`.
 *
 * @category opening
 * @since 0.1.0
 */
export const openSlave = (master: Master): Effect.Effect<Tty.Tty, Tty.TtyError, Scope.Scope> =>
  Effect.andThen(ioctl(master, Terminal.TIOCSPTLCK, 0), ioctlOpen(master, Terminal.TIOCGPTPEER, slaveFlags))

/**
 * The path of a master's slave, such as `/dev/pts/3`.
 *
 * Does not block. Manual page: ptsname(3).
 *
 * @category opening
 * @since 0.1.0
 */
export const slavePath = (master: Master): Effect.Effect<string, Tty.TtyError> =>
  Effect.map(ioctl(master, Terminal.TIOCGPTN), (number) => `/dev/pts/${number}`)

/**
 * Opens a pseudo-terminal, both ends, for as long as the scope is open.
 *
 * @example
 * ```ts
 * import { spawn } from "node:child_process"
 * import { Effect, Stream } from "effect"
 * import { File, Pty } from "effect-linux"
 *
 * // what a program prints when it believes that it has a terminal
 * const coloured = Effect.gen(function* () {
 *   const { master, slave } = yield* Pty.open({ windowSize: { rows: 50, columns: 132 } })
 *   const fd = yield* File.fd(slave)
 *   spawn("ls", ["--color=auto", "/"], { stdio: [fd, fd, fd] })
 *   yield* File.close(slave)
 *   return yield* Stream.mkString(Stream.decodeText(Pty.output(master)))
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category opening
 * @since 0.1.0
 */
export const open = (options: Options = {}): Effect.Effect<Pty, OpenatError | Tty.TtyError, Scope.Scope> =>
  Effect.gen(function* () {
    const { attributes, windowSize = { rows: 24, columns: 80 } } = options
    const master = yield* openMaster
    const slave = yield* openSlave(master)
    const path = yield* slavePath(master)
    yield* Tty.setWindowSize(master, windowSize)
    if (attributes !== undefined) yield* Tty.setAttributes(slave, attributes)
    return { master, slave, path }
  })

const chunkSize = 4096

/**
 * What is printed on a pseudo-terminal, until nobody has its slave open any more.
 *
 * @category reading
 * @since 0.1.0
 */
export const output = (master: Master): Stream.Stream<Uint8Array, ReadError> =>
  Stream.paginate(undefined, () => {
    const chunk = new Uint8Array(chunkSize)
    return read(master, chunk).pipe(
      // The kernel's way of saying that the other end is closed.
      Effect.catchTag("EIO", () => Effect.succeed(0)),
      Effect.map((count) =>
        count === 0
          ? ([[], Option.none<undefined>()] as const)
          : ([[chunk.slice(0, count)], Option.some(undefined)] as const)
      )
    )
  })
