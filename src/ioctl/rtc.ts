/**
 * Requests to real-time clocks: rtc(4), linux/rtc.h.
 */
import * as Abi from "../Abi.ts"
import { errorsOf } from "../errors/registry.ts"
import * as Struct from "../Struct.ts"
import { _IO, _IOR, _IOW, device, none, read, value, write, writeRead } from "./request.ts"

export * from "./constants-devices.ts"

/**
 * A real-time clock: `/dev/rtc0` and the like.
 *
 * @category devices
 * @since 0.1.0
 */
export const Device = device("RealTimeClock")
/**
 * @category devices
 * @since 0.1.0
 */
export type Device = typeof Device

const errors = errorsOf("ioctl", ["EBADF", "EACCES", "EBUSY", "EFAULT", "EINVAL", "EIO", "ENOTTY", "EDOM", "ERANGE"])

const options = (name: string, waits = false) => ({ name, waits, errors })

/**
 * Tells of the alarm, as something to read. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_AIE_ON = none(Device, _IO("p", 0x01), options("RTC_AIE_ON", true))

/**
 * Tells of the alarm no more. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_AIE_OFF = none(Device, _IO("p", 0x02), options("RTC_AIE_OFF", true))

/**
 * Tells of each second. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_UIE_ON = none(Device, _IO("p", 0x03), options("RTC_UIE_ON", true))

/**
 * Tells of each second no more. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_UIE_OFF = none(Device, _IO("p", 0x04), options("RTC_UIE_OFF", true))

/**
 * Tells of each period. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_PIE_ON = none(Device, _IO("p", 0x05), options("RTC_PIE_ON", true))

/**
 * Tells of each period no more. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_PIE_OFF = none(Device, _IO("p", 0x06), options("RTC_PIE_OFF", true))

/**
 * Turns the watchdog on. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_WIE_ON = none(Device, _IO("p", 0x0f), options("RTC_WIE_ON", true))

/**
 * Turns the watchdog off. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_WIE_OFF = none(Device, _IO("p", 0x10), options("RTC_WIE_OFF", true))

/**
 * Sets the alarm: hours, minutes and seconds. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_ALM_SET = write(Device, _IOW("p", 0x07, Abi.rtc_time), Abi.rtc_time, options("RTC_ALM_SET", true))

/**
 * The alarm. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_ALM_READ = read(Device, _IOR("p", 0x08, Abi.rtc_time), Abi.rtc_time, options("RTC_ALM_READ", true))

/**
 * The time. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_RD_TIME = read(Device, _IOR("p", 0x09, Abi.rtc_time), Abi.rtc_time, options("RTC_RD_TIME", true))

/**
 * Sets the time. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_SET_TIME = write(Device, _IOW("p", 0x0a, Abi.rtc_time), Abi.rtc_time, options("RTC_SET_TIME", true))

/**
 * How many periods a second has. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_IRQP_READ = read(Device, _IOR("p", 0x0b, Struct.u64), Struct.u64, options("RTC_IRQP_READ", true))

/**
 * Sets how many periods a second has: a power of two from 2 to `RTC_MAX_FREQ`. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_IRQP_SET = value(Device, _IOW("p", 0x0c, Struct.u64), options("RTC_IRQP_SET", true))

/**
 * The year from which the clock counts. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_EPOCH_READ = read(Device, _IOR("p", 0x0d, Struct.u64), Struct.u64, options("RTC_EPOCH_READ", true))

/**
 * Sets the year from which the clock counts. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_EPOCH_SET = value(Device, _IOW("p", 0x0e, Struct.u64), options("RTC_EPOCH_SET", true))

/**
 * Sets the alarm that wakes the machine. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_WKALM_SET = write(
  Device,
  _IOW("p", 0x0f, Abi.rtc_wkalrm),
  Abi.rtc_wkalrm,
  options("RTC_WKALM_SET", true)
)

/**
 * The alarm that wakes the machine. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_WKALM_RD = read(Device, _IOR("p", 0x10, Abi.rtc_wkalrm), Abi.rtc_wkalrm, options("RTC_WKALM_RD", true))

/**
 * How the clock is corrected. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_PLL_GET = read(
  Device,
  _IOR("p", 0x11, Abi.rtc_pll_info),
  Abi.rtc_pll_info,
  options("RTC_PLL_GET", true)
)

/**
 * Sets how the clock is corrected. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_PLL_SET = write(
  Device,
  _IOW("p", 0x12, Abi.rtc_pll_info),
  Abi.rtc_pll_info,
  options("RTC_PLL_SET", true)
)

/**
 * A parameter: one of `RTC_PARAM_*`. Since Linux 5.16. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_PARAM_GET = writeRead(
  Device,
  _IOW("p", 0x13, Abi.rtc_param),
  Abi.rtc_param,
  options("RTC_PARAM_GET", true)
)

/**
 * Sets a parameter. Since Linux 5.16. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_PARAM_SET = write(
  Device,
  _IOW("p", 0x14, Abi.rtc_param),
  Abi.rtc_param,
  options("RTC_PARAM_SET", true)
)

/**
 * Whether the voltage was too low: bits of `RTC_VL_*`. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_VL_READ = read(Device, _IOR("p", 0x13, Struct.u32), Struct.u32, options("RTC_VL_READ", true))

/**
 * Forgets that the voltage was too low. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const RTC_VL_CLR = none(Device, _IO("p", 0x14), options("RTC_VL_CLR", true))
