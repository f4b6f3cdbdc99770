/**
 * Requests to `/dev/loop-control`, which makes loop devices: loop(4), linux/loop.h.
 */
import { errorsOf } from "../errors/registry.ts"
import { device, none, value } from "./request.ts"

/**
 * What `/dev/loop-control` opens.
 *
 * @category devices
 * @since 0.1.0
 */
export const Device = device("LoopControl")
/**
 * @category devices
 * @since 0.1.0
 */
export type Device = typeof Device

const errors = errorsOf("ioctl", [
  "EBADF",
  "EBUSY",
  "EEXIST",
  "EINVAL",
  "ENODEV",
  "ENOTTY",
  "EPERM",
  "EINTR",
  "ENOMEM",
  "ENOSPC"
])

const options = (name: string, waits = false) => ({ name, waits, errors })

/**
 * Makes the loop device of this number, or of any free one with -1; gives the number. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const LOOP_CTL_ADD = value(Device, 0x4c80, options("LOOP_CTL_ADD", true))

/**
 * Removes the loop device of this number. `EBUSY` where it is in use. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const LOOP_CTL_REMOVE = value(Device, 0x4c81, options("LOOP_CTL_REMOVE", true))

/**
 * The number of a loop device that shows nothing, which is made if need be. Somebody else may take it first. Can
 * wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const LOOP_CTL_GET_FREE = none(Device, 0x4c82, options("LOOP_CTL_GET_FREE", true))
