/**
 * Terminals: their modes in the words of stty(1), raw mode for as long as a scope is open, the window's size, what waits
 * to be read and sent, the processes in the foreground.
 *
 * A `Tty` is a `File` that is known to be a terminal: {@link fromFile} asks the kernel, {@link controlling} and
 * {@link open} open one, and `Pty` makes them. The requests that all this is made of are in `Ioctl.Terminal`.
 *
 * A process in the background that changes a terminal is stopped by `SIGTTOU`, like any program, unless it ignores that
 * signal.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Abi from "./Abi.ts"
import type { OpenatError } from "./errors/calls.ts"
import { ioctl } from "./file/ioctl.ts"
import { type File, own } from "./file/model.ts"
import { asDevice, open as openFile } from "./file/opening.ts"
import { type Attributes, apply, attributesOf, type Changes, rawChanges } from "./file/tty-attributes.ts"
import type { PathLike } from "./internal/arguments.ts"
import { misuseOf } from "./internal/invoke.ts"
import type { RequestError } from "./ioctl/request.ts"
import * as Terminal from "./ioctl/terminal.ts"

export { type Attributes, type Changes, rawChanges } from "./file/tty-attributes.ts"

/**
 * A file that is a terminal.
 *
 * @category models
 * @since 0.1.0
 */
export type Tty = File<Terminal.Device>

/**
 * What a terminal's requests fail with: `EIO` where it has been hung up.
 *
 * @category errors
 * @since 0.1.0
 */
export type TtyError = RequestError<typeof Terminal.TCGETS2>

// ---------------------------------------------------------------------------------------------------------------------
// opening
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Whether a file is a terminal. Also false for one that has been hung up.
 *
 * Does not block. Manual page: isatty(3).
 *
 * @category opening
 * @since 0.1.0
 */
export const isTerminal = (file: File<unknown>): Effect.Effect<boolean, TtyError> =>
  Effect.catchTags(Effect.as(ioctl(asDevice(file, Terminal.Device), Terminal.TCGETS2), true), {
    ENOTTY: () => Effect.succeed(false),
    EINVAL: () => Effect.succeed(false),
    EIO: () => Effect.succeed(false)
  })

/**
 * The same file as a terminal. Fails with `ENOTTY` where it is none.
 *
 * Does not block. Manual page: ioctl_tty(2).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File, Tty } from "effect-linux"
 *
 * const width = Effect.gen(function* () {
 *   const terminal = yield* Tty.fromFile(yield* File.borrow(1))
 *   return (yield* Tty.windowSize(terminal)).columns
 * }).pipe(Effect.catchTag("ENOTTY", () => Effect.succeed(80)))
 * ```
 *
 * @category opening
 * @since 0.1.0
 */
export const fromFile = (file: File<unknown>): Effect.Effect<Tty, TtyError> =>
  Effect.suspend(() => {
    const tty = asDevice(file, Terminal.Device)
    return Effect.as(ioctl(tty, Terminal.TCGETS2), tty)
  })

/**
 * Opens a terminal for reading and writing, for as long as the scope is open; it does not become the controlling one.
 *
 * Can wait, for the carrier of a modem. Manual page: openat(2).
 *
 * @category opening
 * @since 0.1.0
 */
export const open = (path: PathLike): Effect.Effect<Tty, OpenatError | TtyError, Scope.Scope> =>
  Effect.flatMap(openFile(path, { access: "readWrite", noControllingTty: true }), fromFile)

/**
 * Opens the terminal that controls this process, `/dev/tty`. Fails with `OtherErrno` (`ENXIO`) where none does.
 *
 * @category opening
 * @since 0.1.0
 */
export const controlling: Effect.Effect<Tty, OpenatError | TtyError, Scope.Scope> = open("/dev/tty")

// ---------------------------------------------------------------------------------------------------------------------
// modes
// ---------------------------------------------------------------------------------------------------------------------

/**
 * When a change takes place: `"now"`, `"drain"` when all output is sent, or `"flush"` then too, dropping the input that
 * nobody has read.
 *
 * @category modes
 * @since 0.1.0
 */
export type When = "now" | "drain" | "flush"

const setters = { now: Terminal.TCSETS2, drain: Terminal.TCSETSW2, flush: Terminal.TCSETSF2 }

const set = (tty: Tty, termios: Abi.termios2, when: When): Effect.Effect<void, TtyError> =>
  Effect.asVoid(ioctl(tty, setters[when], termios))

/** A value that a mode cannot have is EINVAL, like anything else that the kernel need not see. */
const change = (tty: Tty, before: Abi.termios2, changes: Changes, when: When): Effect.Effect<void, TtyError> => {
  try {
    return set(tty, apply(before, changes), when)
  } catch (thrown) {
    const { code, detail } = misuseOf(thrown)
    return Effect.fail(setters[when].errors.make(code, undefined, own(tty).fd, detail))
  }
}

/**
 * The modes of a terminal.
 *
 * Does not block. Manual page: termios(3).
 *
 * @category modes
 * @since 0.1.0
 */
export const attributes = (tty: Tty): Effect.Effect<Attributes, TtyError> =>
  Effect.map(ioctl(tty, Terminal.TCGETS2), attributesOf)

/**
 * Changes the modes that are named, and leaves the others. What the terminal cannot do it leaves out silently: ask for
 * the {@link attributes} where that matters.
 *
 * Can wait with `"drain"` and `"flush"`. Manual page: termios(3).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Tty } from "effect-linux"
 *
 * const serial = Effect.gen(function* () {
 *   const line = yield* Tty.open("/dev/ttyUSB0")
 *   yield* Tty.setAttributes(line, { ...Tty.rawChanges, ispeed: 115_200, ospeed: 115_200, csize: 8, crtscts: false })
 *   return line
 * })
 * ```
 *
 * @category modes
 * @since 0.1.0
 */
export const setAttributes = (tty: Tty, changes: Changes, when: When = "now"): Effect.Effect<void, TtyError> =>
  Effect.flatMap(ioctl(tty, Terminal.TCGETS2), (termios) => change(tty, termios, changes, when))

/**
 * Changes the modes that are named for as long as the scope is open, and then makes all modes what they were: however the
 * scope ends, by interruption and defect too. Only the end of the whole process by a signal leaves them.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { File, Tty } from "effect-linux"
 *
 * const password = Effect.gen(function* () {
 *   const terminal = yield* Tty.controlling
 *   yield* Tty.changed(terminal, { echo: false })
 *   const buffer = new Uint8Array(256)
 *   const length = yield* File.read(terminal, buffer)
 *   return new TextDecoder().decode(buffer.subarray(0, length)).trimEnd()
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category modes
 * @since 0.1.0
 */
export const changed = (
  tty: Tty,
  changes: Changes,
  when: Exclude<When, "drain"> = "now"
): Effect.Effect<void, TtyError, Scope.Scope> =>
  Effect.asVoid(
    // One step that nothing can interrupt: the modes are never changed with nobody to change them back.
    Effect.acquireRelease(
      Effect.flatMap(ioctl(tty, Terminal.TCGETS2), (before) => Effect.as(change(tty, before, changes, when), before)),
      // At once, as output that is stopped would never be sent. A terminal that is gone needs no modes.
      (before) => Effect.ignore(set(tty, before, "now"))
    )
  )

/**
 * Raw mode for as long as the scope is open: each byte is read as it comes, none is echoed, changed or taken for a signal.
 *
 * Manual page: termios(3), cfmakeraw.
 *
 * @category modes
 * @since 0.1.0
 */
export const raw = (tty: Tty): Effect.Effect<void, TtyError, Scope.Scope> => changed(tty, rawChanges)

// ---------------------------------------------------------------------------------------------------------------------
// the window
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The size of a terminal's window: in characters and, where it is known, in pixels. All are 0 where nobody has said.
 *
 * @category window
 * @since 0.1.0
 */
export interface WindowSize {
  readonly rows: number
  readonly columns: number
  readonly xpixel: number
  readonly ypixel: number
}

/**
 * The size of the window.
 *
 * Does not block. Manual page: ioctl_tty(2), `TIOCGWINSZ`.
 *
 * @category window
 * @since 0.1.0
 */
export const windowSize = (tty: Tty): Effect.Effect<WindowSize, TtyError> =>
  Effect.map(ioctl(tty, Terminal.TIOCGWINSZ), ({ ws_col, ws_row, ws_xpixel, ws_ypixel }) => ({
    rows: ws_row,
    columns: ws_col,
    xpixel: ws_xpixel,
    ypixel: ws_ypixel
  }))

/**
 * Sets the size of the window, up to 65,535 each. Where it is another, the processes in the foreground get `SIGWINCH`.
 *
 * Does not block. Manual page: ioctl_tty(2), `TIOCSWINSZ`.
 *
 * @category window
 * @since 0.1.0
 */
export const setWindowSize = (
  tty: Tty,
  { columns, rows, xpixel = 0, ypixel = 0 }: Pick<WindowSize, "rows" | "columns"> & Partial<WindowSize>
): Effect.Effect<void, TtyError> =>
  Effect.asVoid(
    ioctl(tty, Terminal.TIOCSWINSZ, { ws_row: rows, ws_col: columns, ws_xpixel: xpixel, ws_ypixel: ypixel })
  )

// ---------------------------------------------------------------------------------------------------------------------
// what waits
// ---------------------------------------------------------------------------------------------------------------------

/**
 * How many bytes can be read: in canonical mode only whole lines count.
 *
 * Does not block. Manual page: ioctl_tty(2), `FIONREAD`.
 *
 * @category queues
 * @since 0.1.0
 */
export const readable = (tty: Tty): Effect.Effect<number, TtyError> => ioctl(tty, Terminal.TIOCINQ)

/**
 * How many bytes are not sent yet.
 *
 * Does not block. Manual page: ioctl_tty(2), `TIOCOUTQ`.
 *
 * @category queues
 * @since 0.1.0
 */
export const unsent = (tty: Tty): Effect.Effect<number, TtyError> => ioctl(tty, Terminal.TIOCOUTQ)

/**
 * Waits until all output is sent.
 *
 * Interruptible. Manual page: tcdrain(3).
 *
 * @category queues
 * @since 0.1.0
 */
export const drain = (tty: Tty): Effect.Effect<void, TtyError> => Effect.asVoid(ioctl(tty, Terminal.TCSBRK, 1))

const queues = { input: Terminal.TCIFLUSH, output: Terminal.TCOFLUSH, both: Terminal.TCIOFLUSH }

/**
 * Drops what came in and is not read, what is not sent, or both.
 *
 * Does not block. Manual page: tcflush(3).
 *
 * @category queues
 * @since 0.1.0
 */
export const flush = (tty: Tty, what: "input" | "output" | "both"): Effect.Effect<void, TtyError> =>
  Effect.suspend(() => Effect.asVoid(ioctl(tty, Terminal.TCFLSH, known("what", queues, what))))

const actions = {
  stopOutput: Terminal.TCOOFF,
  startOutput: Terminal.TCOON,
  stopInput: Terminal.TCIOFF,
  startInput: Terminal.TCION
}

/**
 * Stops or starts the output, or tells the other end to stop or start sending.
 *
 * Does not block. Manual page: tcflow(3).
 *
 * @category queues
 * @since 0.1.0
 */
export const flow = (
  tty: Tty,
  action: "stopOutput" | "startOutput" | "stopInput" | "startInput"
): Effect.Effect<void, TtyError> =>
  Effect.suspend(() => Effect.asVoid(ioctl(tty, Terminal.TCXONC, known("action", actions, action))))

/**
 * Sends a break: of a quarter to half a second.
 *
 * Waits for its end; interruptible. Manual page: tcsendbreak(3).
 *
 * @category queues
 * @since 0.1.0
 */
export const sendBreak = (tty: Tty): Effect.Effect<void, TtyError> => Effect.asVoid(ioctl(tty, Terminal.TCSBRK, 0))

// ---------------------------------------------------------------------------------------------------------------------
// processes
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The process group in the foreground. Fails with `ENOTTY` where the terminal does not control this process, but for the
 * master of a pseudo-terminal, which may always ask.
 *
 * Does not block. Manual page: tcgetpgrp(3).
 *
 * @category processes
 * @since 0.1.0
 */
export const foregroundGroup = (tty: Tty): Effect.Effect<number, TtyError> => ioctl(tty, Terminal.TIOCGPGRP)

/**
 * Puts a process group of this session in the foreground.
 *
 * Does not block. Manual page: tcsetpgrp(3).
 *
 * @category processes
 * @since 0.1.0
 */
export const setForegroundGroup = (tty: Tty, group: number): Effect.Effect<void, TtyError> =>
  Effect.asVoid(ioctl(tty, Terminal.TIOCSPGRP, group))

/**
 * The session that the terminal controls, by its leader. Fails like {@link foregroundGroup}.
 *
 * Does not block. Manual page: tcgetsid(3).
 *
 * @category processes
 * @since 0.1.0
 */
export const session = (tty: Tty): Effect.Effect<number, TtyError> => ioctl(tty, Terminal.TIOCGSID)

const known = <K extends string>(name: string, words: { readonly [Word in K]: number }, word: K): number => {
  const value: number | undefined = words[word]
  if (value === undefined) {
    throw new TypeError(`${name}: expected one of ${Object.keys(words).join(", ")}, got ${String(word)}`)
  }
  return value
}
