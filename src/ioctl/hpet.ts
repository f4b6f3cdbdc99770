/**
 * Requests to high-precision timers, `/dev/hpet`: linux/hpet.h.
 */
import * as Abi from "../Abi.ts"
import { errorsOf } from "../errors/registry.ts"
import * as Struct from "../Struct.ts"
import { _IO, _IOR, _IOW, device, none, read, value } from "./request.ts"

export { HPET_INFO_PERIODIC } from "./constants-devices.ts"

/**
 * What `/dev/hpet` opens.
 *
 * @category devices
 * @since 0.1.0
 */
export const Device = device("Hpet")
/**
 * @category devices
 * @since 0.1.0
 */
export type Device = typeof Device

const errors = errorsOf("ioctl", ["EBADF", "EACCES", "EBUSY", "EFAULT", "EINVAL", "EIO", "ENOTTY", "ENXIO"])

const options = (name: string, waits = false) => ({ name, waits, errors })

/**
 * Starts the timer: it can be read when it is due.
 *
 * @category requests
 * @since 0.1.0
 */
export const HPET_IE_ON = none(Device, _IO("h", 0x01), options("HPET_IE_ON"))

/**
 * Stops the timer.
 *
 * @category requests
 * @since 0.1.0
 */
export const HPET_IE_OFF = none(Device, _IO("h", 0x02), options("HPET_IE_OFF"))

/**
 * What the timer is and can.
 *
 * @category requests
 * @since 0.1.0
 */
export const HPET_INFO = read(Device, _IOR("h", 0x03, Abi.hpet_info), Abi.hpet_info, options("HPET_INFO"))

/**
 * Makes the timer periodic.
 *
 * @category requests
 * @since 0.1.0
 */
export const HPET_EPI = none(Device, _IO("h", 0x04), options("HPET_EPI"))

/**
 * Makes the timer not periodic.
 *
 * @category requests
 * @since 0.1.0
 */
export const HPET_DPI = none(Device, _IO("h", 0x05), options("HPET_DPI"))

/**
 * Sets how often the timer is due, in hertz.
 *
 * @category requests
 * @since 0.1.0
 */
export const HPET_IRQFREQ = value(Device, _IOW("h", 0x6, Struct.u64), options("HPET_IRQFREQ"))
