/**
 * Requests to terminals, to the masters of pseudo-terminals, and to serial lines: ioctl_tty(2), asm/ioctls.h.
 */
import * as Abi from "../Abi.ts"
import * as Struct from "../Struct.ts"
import { _IO, _IOR, _IOW, none, opensWith, read, value, write } from "./request.ts"
import { Device, Master, options } from "./terminal-device.ts"

export * from "./constants-terminal.ts"

export { Device, Master } from "./terminal-device.ts"
export * from "./terminal-serial.ts"

// ---------------------------------------------------------------------------------------------------------------------
// modes
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The modes of the terminal. {@link TCGETS2} has its speeds too.
 *
 * @category requests
 * @since 0.1.0
 */
export const TCGETS = read(Device, 0x5401, Abi.termios, options("TCGETS"))

/**
 * Sets the modes at once.
 *
 * @category requests
 * @since 0.1.0
 */
export const TCSETS = write(Device, 0x5402, Abi.termios, options("TCSETS"))

/**
 * Sets the modes when all output is sent. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const TCSETSW = write(Device, 0x5403, Abi.termios, options("TCSETSW", true))

/**
 * Sets the modes when all output is sent, and drops the input that nobody has read. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const TCSETSF = write(Device, 0x5404, Abi.termios, options("TCSETSF", true))

/**
 * The modes in the structure of System V.
 *
 * @category requests
 * @since 0.1.0
 */
export const TCGETA = read(Device, 0x5405, Abi.termio, options("TCGETA"))

/**
 * Sets the modes in the structure of System V.
 *
 * @category requests
 * @since 0.1.0
 */
export const TCSETA = write(Device, 0x5406, Abi.termio, options("TCSETA"))

/**
 * Sets the modes in the structure of System V, when all output is sent. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const TCSETAW = write(Device, 0x5407, Abi.termio, options("TCSETAW", true))

/**
 * Sets the modes in the structure of System V, when all output is sent, and drops the input. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const TCSETAF = write(Device, 0x5408, Abi.termio, options("TCSETAF", true))

/**
 * The modes of the terminal and its speeds in bits per second.
 *
 * @category requests
 * @since 0.1.0
 */
export const TCGETS2 = read(Device, _IOR("T", 0x2a, Abi.termios2), Abi.termios2, options("TCGETS2"))

/**
 * Sets the modes and speeds at once.
 *
 * @category requests
 * @since 0.1.0
 */
export const TCSETS2 = write(Device, _IOW("T", 0x2b, Abi.termios2), Abi.termios2, options("TCSETS2"))

/**
 * Sets the modes and speeds when all output is sent. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const TCSETSW2 = write(Device, _IOW("T", 0x2c, Abi.termios2), Abi.termios2, options("TCSETSW2", true))

/**
 * Sets the modes and speeds when all output is sent, and drops the input that nobody has read. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const TCSETSF2 = write(Device, _IOW("T", 0x2d, Abi.termios2), Abi.termios2, options("TCSETSF2", true))

/**
 * Which modes are locked, as bits of each.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCGLCKTRMIOS = read(Device, 0x5456, Abi.termios, options("TIOCGLCKTRMIOS"))

/**
 * Locks modes: those whose bits are set cannot be changed. For administrators.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCSLCKTRMIOS = write(Device, 0x5457, Abi.termios, options("TIOCSLCKTRMIOS"))

// ---------------------------------------------------------------------------------------------------------------------
// the line
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Sends a break with 0; with anything else only waits until all output is sent, as tcdrain(3) does. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const TCSBRK = value(Device, 0x5409, options("TCSBRK", true))

/**
 * Sends a break of so many tenths of a second. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const TCSBRKP = value(Device, 0x5425, options("TCSBRKP", true))

/**
 * Begins a break.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCSBRK = none(Device, 0x5427, options("TIOCSBRK"))

/**
 * Ends a break.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCCBRK = none(Device, 0x5428, options("TIOCCBRK"))

/**
 * Stops or starts output or input: `TCOOFF`, `TCOON`, `TCIOFF`, `TCION`.
 *
 * @category requests
 * @since 0.1.0
 */
export const TCXONC = value(Device, 0x540a, options("TCXONC"))

/**
 * Drops what is neither read nor sent: `TCIFLUSH`, `TCOFLUSH`, `TCIOFLUSH`.
 *
 * @category requests
 * @since 0.1.0
 */
export const TCFLSH = value(Device, 0x540b, options("TCFLSH"))

/**
 * How many bytes wait to be sent.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCOUTQ = read(Device, 0x5411, Struct.i32, options("TIOCOUTQ"))

/**
 * How many bytes wait to be read: `FIONREAD`.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCINQ = read(Device, 0x541b, Struct.i32, options("TIOCINQ"))

/**
 * Puts a byte into the input as if it had been typed. Often forbidden since Linux 6.2 (`EIO`).
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCSTI = write(Device, 0x5412, Struct.u8, options("TIOCSTI"))

// ---------------------------------------------------------------------------------------------------------------------
// the window and the session
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The size of the window.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCGWINSZ = read(Device, 0x5413, Abi.winsize, options("TIOCGWINSZ"))

/**
 * Sets the size of the window; the foreground processes get `SIGWINCH` where it is another.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCSWINSZ = write(Device, 0x5414, Abi.winsize, options("TIOCSWINSZ"))

/**
 * Makes the terminal the controlling one of this session, whose leader must ask; 1 takes it from another session.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCSCTTY = value(Device, 0x540e, options("TIOCSCTTY"))

/**
 * Gives the controlling terminal up; for a session's leader, its foreground processes get `SIGHUP`.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCNOTTY = none(Device, 0x5422, options("TIOCNOTTY"))

/**
 * The process group in the foreground.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCGPGRP = read(Device, 0x540f, Struct.i32, options("TIOCGPGRP"))

/**
 * Puts a process group of this session in the foreground. From the background this stops the process (`SIGTTOU`).
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCSPGRP = write(Device, 0x5410, Struct.i32, options("TIOCSPGRP"))

/**
 * The session that the terminal controls.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCGSID = read(Device, 0x5429, Struct.i32, options("TIOCGSID"))

/**
 * Nobody else may open the terminal (`EBUSY`), but for administrators.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCEXCL = none(Device, 0x540c, options("TIOCEXCL"))

/**
 * Anybody may open the terminal again.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCNXCL = none(Device, 0x540d, options("TIOCNXCL"))

/**
 * Whether nobody else may open the terminal: 1 or 0.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCGEXCL = read(Device, _IOR("T", 0x40, Struct.i32), Struct.i32, options("TIOCGEXCL"))

/**
 * Hangs the terminal up: whoever has it open reads its end. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCVHANGUP = none(Device, 0x5437, options("TIOCVHANGUP", true))

/**
 * The device that a console really is, as its number.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCGDEV = read(Device, _IOR("T", 0x32, Struct.u32), Struct.u32, options("TIOCGDEV"))

/**
 * Sends what is written to the console here. For administrators.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCCONS = none(Device, 0x541d, options("TIOCCONS"))

/**
 * The line discipline: one of `N_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCGETD = read(Device, 0x5424, Struct.i32, options("TIOCGETD"))

/**
 * Sets the line discipline: one of `N_*`. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCSETD = write(Device, 0x5423, Struct.i32, options("TIOCSETD", true))

// ---------------------------------------------------------------------------------------------------------------------
// pseudo-terminals
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The number of the pseudo-terminal: its other end is `/dev/pts/` and this.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCGPTN = read(Master, _IOR("T", 0x30, Struct.u32), Struct.u32, options("TIOCGPTN"))

/**
 * Locks the other end with 1, so that it cannot be opened, and unlocks it with 0. It begins locked.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCSPTLCK = write(Master, _IOW("T", 0x31, Struct.i32), Struct.i32, options("TIOCSPTLCK"))

/**
 * Whether the other end is locked: 1 or 0.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCGPTLCK = read(Master, _IOR("T", 0x39, Struct.i32), Struct.i32, options("TIOCGPTLCK"))

/**
 * Sets packet mode: each read of the master begins with a byte of `TIOCPKT_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCPKT = write(Master, 0x5420, Struct.i32, options("TIOCPKT"))

/**
 * Whether packet mode is set: 1 or 0.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCGPKT = read(Master, _IOR("T", 0x38, Struct.i32), Struct.i32, options("TIOCGPKT"))

/**
 * Sends a signal to the foreground processes of the other end: `SIGINT`, `SIGQUIT` or `SIGTSTP`.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCSIG = value(Master, _IOW("T", 0x36, Struct.i32), options("TIOCSIG"))

/**
 * Opens the other end, whatever /dev has: takes the flags of open(2). Made with `File.ioctlOpen`. Since Linux
 * 4.13.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCGPTPEER = opensWith(Master, _IO("T", 0x41), Device, options("TIOCGPTPEER"))
