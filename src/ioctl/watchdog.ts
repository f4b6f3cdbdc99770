/**
 * Requests to watchdogs, which start the machine again unless they are told that all is well: linux/watchdog.h.
 */
import * as Abi from "../Abi.ts"
import { errorsOf } from "../errors/registry.ts"
import * as Struct from "../Struct.ts"
import { _IOR, _IOWR, device, none, read, write, writeRead } from "./request.ts"

export * from "./constants-devices.ts"

/**
 * A watchdog: `/dev/watchdog0` and the like. Opening it starts it.
 *
 * @category devices
 * @since 0.1.0
 */
export const Device = device("Watchdog")
/**
 * @category devices
 * @since 0.1.0
 */
export type Device = typeof Device

const errors = errorsOf("ioctl", ["EBADF", "EBUSY", "EFAULT", "EINVAL", "EIO", "ENODEV", "ENOTTY", "EOPNOTSUPP"])

const options = (name: string, waits = false) => ({ name, waits, errors })

/**
 * What the watchdog is and can: `options` are bits of `WDIOF_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const WDIOC_GETSUPPORT = read(
  Device,
  _IOR("W", 0, Abi.watchdog_info),
  Abi.watchdog_info,
  options("WDIOC_GETSUPPORT")
)

/**
 * How things are: bits of `WDIOF_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const WDIOC_GETSTATUS = read(Device, _IOR("W", 1, Struct.i32), Struct.i32, options("WDIOC_GETSTATUS"))

/**
 * Why the machine was started last: bits of `WDIOF_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const WDIOC_GETBOOTSTATUS = read(Device, _IOR("W", 2, Struct.i32), Struct.i32, options("WDIOC_GETBOOTSTATUS"))

/**
 * The temperature, in degrees Fahrenheit.
 *
 * @category requests
 * @since 0.1.0
 */
export const WDIOC_GETTEMP = read(Device, _IOR("W", 3, Struct.i32), Struct.i32, options("WDIOC_GETTEMP"))

/**
 * Turns the watchdog on or off: bits of `WDIOS_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const WDIOC_SETOPTIONS = write(Device, _IOR("W", 4, Struct.i32), Struct.i32, options("WDIOC_SETOPTIONS"))

/**
 * Says that all is well.
 *
 * @category requests
 * @since 0.1.0
 */
export const WDIOC_KEEPALIVE = none(Device, _IOR("W", 5, Struct.i32), options("WDIOC_KEEPALIVE"))

/**
 * Sets how long the watchdog waits, in seconds; gives what it made of it.
 *
 * @category requests
 * @since 0.1.0
 */
export const WDIOC_SETTIMEOUT = writeRead(Device, _IOWR("W", 6, Struct.i32), Struct.i32, options("WDIOC_SETTIMEOUT"))

/**
 * How long the watchdog waits, in seconds.
 *
 * @category requests
 * @since 0.1.0
 */
export const WDIOC_GETTIMEOUT = read(Device, _IOR("W", 7, Struct.i32), Struct.i32, options("WDIOC_GETTIMEOUT"))

/**
 * Sets how long before that it warns, in seconds; gives what it made of it.
 *
 * @category requests
 * @since 0.1.0
 */
export const WDIOC_SETPRETIMEOUT = writeRead(
  Device,
  _IOWR("W", 8, Struct.i32),
  Struct.i32,
  options("WDIOC_SETPRETIMEOUT")
)

/**
 * How long before that it warns, in seconds.
 *
 * @category requests
 * @since 0.1.0
 */
export const WDIOC_GETPRETIMEOUT = read(Device, _IOR("W", 9, Struct.i32), Struct.i32, options("WDIOC_GETPRETIMEOUT"))

/**
 * How much time is left, in seconds.
 *
 * @category requests
 * @since 0.1.0
 */
export const WDIOC_GETTIMELEFT = read(Device, _IOR("W", 10, Struct.i32), Struct.i32, options("WDIOC_GETTIMELEFT"))
