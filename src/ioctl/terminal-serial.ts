/**
 * Requests to serial lines and the modems behind them; part of `terminal.ts`.
 */
import * as Abi from "../Abi.ts"
import * as Struct from "../Struct.ts"
import { _IOR, _IOWR, read, value, write, writeRead } from "./request.ts"
import { Device, options } from "./terminal-device.ts"

/**
 * The lines of the modem, as bits of `TIOCM_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCMGET = read(Device, 0x5415, Struct.i32, options("TIOCMGET"))

/**
 * Raises lines of the modem: bits of `TIOCM_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCMBIS = write(Device, 0x5416, Struct.i32, options("TIOCMBIS"))

/**
 * Drops lines of the modem: bits of `TIOCM_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCMBIC = write(Device, 0x5417, Struct.i32, options("TIOCMBIC"))

/**
 * Sets the lines of the modem: bits of `TIOCM_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCMSET = write(Device, 0x5418, Struct.i32, options("TIOCMSET"))

/**
 * Waits until one of these lines changes: bits of `TIOCM_RNG`, `TIOCM_DSR`, `TIOCM_CD`, `TIOCM_CTS`. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCMIWAIT = value(Device, 0x545c, options("TIOCMIWAIT", true))

/**
 * What the line has counted.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCGICOUNT = read(Device, 0x545d, Abi.serial_icounter_struct, options("TIOCGICOUNT"))

/**
 * Whether the carrier is ignored (`CLOCAL`): 1 or 0.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCGSOFTCAR = read(Device, 0x5419, Struct.i32, options("TIOCGSOFTCAR"))

/**
 * Sets whether the carrier is ignored (`CLOCAL`).
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCSSOFTCAR = write(Device, 0x541a, Struct.i32, options("TIOCSSOFTCAR"))

/**
 * How the line is set up.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCGSERIAL = read(Device, 0x541e, Abi.serial_struct, options("TIOCGSERIAL"))

/**
 * Sets the line up. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCSSERIAL = write(Device, 0x541f, Abi.serial_struct, options("TIOCSSERIAL", true))

/**
 * Whether all is sent, to the last bit: `TIOCSER_TEMT` or 0.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCSERGETLSR = read(Device, 0x5459, Struct.i32, options("TIOCSERGETLSR"))

/**
 * How an RS-485 bus is driven.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCGRS485 = read(Device, 0x542e, Abi.serial_rs485, options("TIOCGRS485"))

/**
 * Sets how an RS-485 bus is driven; gives what the driver made of it.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCSRS485 = writeRead(Device, 0x542f, Abi.serial_rs485, options("TIOCSRS485"))

/**
 * How a smart card is driven. Since Linux 4.20.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCGISO7816 = read(
  Device,
  _IOR("T", 0x42, Abi.serial_iso7816),
  Abi.serial_iso7816,
  options("TIOCGISO7816")
)

/**
 * Sets how a smart card is driven; gives what the driver made of it. Since Linux 4.20.
 *
 * @category requests
 * @since 0.1.0
 */
export const TIOCSISO7816 = writeRead(
  Device,
  _IOWR("T", 0x43, Abi.serial_iso7816),
  Abi.serial_iso7816,
  options("TIOCSISO7816")
)
