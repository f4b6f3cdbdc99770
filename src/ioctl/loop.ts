/**
 * Requests to loop devices, which show a file as a disk: loop(4), linux/loop.h.
 */
import * as Abi from "../Abi.ts"
import { errorsOf } from "../errors/registry.ts"
import type { File } from "../file/model.ts"
import { Device as Block } from "./block.ts"
import { fdOf, make, none, read, subDevice, value, write } from "./request.ts"

export {
  LO_FLAGS_AUTOCLEAR,
  LO_FLAGS_DIRECT_IO,
  LO_FLAGS_PARTSCAN,
  LO_FLAGS_READ_ONLY
} from "./constants-filesystem.ts"

/**
 * A loop device: `/dev/loop0` and the like. It takes the requests of disks too.
 *
 * @category devices
 * @since 0.1.0
 */
export const Device = subDevice("Loop", Block)
/**
 * @category devices
 * @since 0.1.0
 */
export type Device = typeof Device

const errors = errorsOf("ioctl", [
  "EBADF",
  "EBUSY",
  "EFAULT",
  "EINVAL",
  "ENOTTY",
  "ENXIO",
  "EPERM",
  "EACCES",
  "EAGAIN",
  "EINTR",
  "EOVERFLOW",
  "ENOMEM",
  "EROFS"
])

const options = (name: string, waits = false) => ({ name, waits, errors })

const withFile = (name: string) => ({
  ...options(name, true),
  encode: fdOf,
  decode: (result: number) => result,
  files: (file: File<unknown>) => [file]
})

/**
 * All that sets a loop device up, in one step.
 *
 * @category models
 * @since 0.1.0
 */
export interface Config {
  /** The file that is shown. The device keeps it open. */
  readonly fd: File<unknown>
  /** In bytes, a power of two from 512 up to a page; 0 for the file's own. */
  readonly block_size: number
  /** What of the file is shown, and how; what is left out is 0. */
  readonly info?: Partial<Abi.loop_info64>
}

const noInfo = Abi.loop_info64.decode(new Uint8Array(Abi.loop_info64.size))

/**
 * Sets the device up with a file, in one step. Since Linux 5.8. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const LOOP_CONFIGURE = make(Device, 0x4c0a, {
  ...options("LOOP_CONFIGURE", true),
  encode: ({ block_size, fd, info }: Config) =>
    Abi.loop_config.encode({ fd: fdOf(fd), block_size, info: { ...noInfo, ...info } }),
  decode: (result) => result,
  files: ({ fd }) => [fd]
})

/**
 * Shows this file. {@link LOOP_CONFIGURE} does it in one step with the rest. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const LOOP_SET_FD = make(Device, 0x4c00, withFile("LOOP_SET_FD"))

/**
 * Shows another file of the same size, of a device that is read-only. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const LOOP_CHANGE_FD = make(Device, 0x4c06, withFile("LOOP_CHANGE_FD"))

/**
 * Shows no file any more; when the last that has the device open has closed it. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const LOOP_CLR_FD = none(Device, 0x4c01, options("LOOP_CLR_FD", true))

/**
 * What the device shows, and how. `ENXIO` where that is nothing.
 *
 * @category requests
 * @since 0.1.0
 */
export const LOOP_GET_STATUS64 = read(Device, 0x4c05, Abi.loop_info64, options("LOOP_GET_STATUS64"))

/**
 * Sets what of the file is shown, and how. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const LOOP_SET_STATUS64 = write(Device, 0x4c04, Abi.loop_info64, options("LOOP_SET_STATUS64", true))

/**
 * Takes notice of the file's size, which has changed. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const LOOP_SET_CAPACITY = none(Device, 0x4c07, options("LOOP_SET_CAPACITY", true))

/**
 * Goes around the page cache of the file with 1, through it with 0. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const LOOP_SET_DIRECT_IO = value(Device, 0x4c08, options("LOOP_SET_DIRECT_IO", true))

/**
 * Sets the size of a block, in bytes. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const LOOP_SET_BLOCK_SIZE = value(Device, 0x4c09, options("LOOP_SET_BLOCK_SIZE", true))
