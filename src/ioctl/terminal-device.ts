/**
 * Terminals as devices, and what their requests fail with; part of `terminal.ts`.
 */
import { errorsOf } from "../errors/registry.ts"
import { device, subDevice } from "./request.ts"

/**
 * A terminal: a console, a serial line, either end of a pseudo-terminal.
 *
 * @category devices
 * @since 0.1.0
 */
export const Device = device("Terminal")
/**
 * @category devices
 * @since 0.1.0
 */
export type Device = typeof Device

/**
 * The master of a pseudo-terminal: what `/dev/ptmx` opens. It takes the requests of terminals too, for the other end.
 *
 * @category devices
 * @since 0.1.0
 */
export const Master = subDevice("PseudoTerminal", Device)
/**
 * @category devices
 * @since 0.1.0
 */
export type Master = typeof Master

const errors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "EIO", "ENOTTY", "EPERM", "EINTR", "EBUSY"])

export const options = (name: string, waits = false) => ({ name, waits, errors })
