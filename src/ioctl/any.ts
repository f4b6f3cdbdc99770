/**
 * Requests that any file may be asked, and that the kernel answers before any driver, or most drivers alike: ioctl(2).
 */
import { errorsOf } from "../errors/registry.ts"
import * as Struct from "../Struct.ts"
import { anyDevice, none, read, write } from "./request.ts"

const errors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "ENOTTY"])

const options = (name: string, waits = false) => ({ name, waits, errors })

/**
 * How many bytes can be read at once: of a pipe, socket, terminal, inotify descriptor; of a regular file, those
 * between the offset and its end.
 *
 * @category requests
 * @since 0.1.0
 */
export const FIONREAD = read(anyDevice, 0x541b, Struct.i32, options("FIONREAD"))

/**
 * Sets `O_NONBLOCK` with 1, clears it with 0.
 *
 * @category requests
 * @since 0.1.0
 */
export const FIONBIO = write(anyDevice, 0x5421, Struct.i32, options("FIONBIO"))

/**
 * Sets `FASYNC` with 1, so that a signal says when the file is ready; clears it with 0.
 *
 * @category requests
 * @since 0.1.0
 */
export const FIOASYNC = write(anyDevice, 0x5452, Struct.i32, options("FIOASYNC"))

/**
 * Sets close-on-exec.
 *
 * @category requests
 * @since 0.1.0
 */
export const FIOCLEX = none(anyDevice, 0x5451, options("FIOCLEX"))

/**
 * Clears close-on-exec.
 *
 * @category requests
 * @since 0.1.0
 */
export const FIONCLEX = none(anyDevice, 0x5450, options("FIONCLEX"))

/**
 * How many bytes a file, directory or symbolic link takes up on its disk.
 *
 * @category requests
 * @since 0.1.0
 */
export const FIOQSIZE = read(anyDevice, 0x5460, Struct.i64, options("FIOQSIZE"))
