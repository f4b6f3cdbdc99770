/** Structures of watchdogs, real-time clocks and timers. */
import * as Struct from "../Struct.ts"

/**
 * What a watchdog is and can.
 *
 * @category structures
 * @since 0.1.0
 */
export const watchdog_info = Struct.make("watchdog_info", {
  options: Struct.u32,
  firmware_version: Struct.u32,
  identity: Struct.bytes(32)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface watchdog_info extends Struct.Type<typeof watchdog_info> {}

/**
 * A time of a real-time clock: months from 0, years from 1900.
 *
 * @category structures
 * @since 0.1.0
 */
export const rtc_time = Struct.make("rtc_time", {
  tm_sec: Struct.i32,
  tm_min: Struct.i32,
  tm_hour: Struct.i32,
  tm_mday: Struct.i32,
  tm_mon: Struct.i32,
  tm_year: Struct.i32,
  tm_wday: Struct.i32,
  tm_yday: Struct.i32,
  tm_isdst: Struct.i32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface rtc_time extends Struct.Type<typeof rtc_time> {}

/**
 * The alarm of a real-time clock that wakes the machine.
 *
 * @category structures
 * @since 0.1.0
 */
export const rtc_wkalrm = Struct.make("rtc_wkalrm", { enabled: Struct.u8, pending: Struct.u8, time: rtc_time })
/**
 * @category structures
 * @since 0.1.0
 */
export interface rtc_wkalrm extends Struct.Type<typeof rtc_wkalrm> {}

/**
 * How a real-time clock is corrected.
 *
 * @category structures
 * @since 0.1.0
 */
export const rtc_pll_info = Struct.make("rtc_pll_info", {
  pll_ctrl: Struct.i32,
  pll_value: Struct.i32,
  pll_max: Struct.i32,
  pll_min: Struct.i32,
  pll_posmult: Struct.i32,
  pll_negmult: Struct.i32,
  pll_clock: Struct.i64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface rtc_pll_info extends Struct.Type<typeof rtc_pll_info> {}

/**
 * A parameter of a real-time clock; signed ones are in `uvalue` as two's complement. Since Linux 5.16.
 *
 * @category structures
 * @since 0.1.0
 */
export const rtc_param = Struct.make("rtc_param", {
  param: Struct.u64,
  uvalue: Struct.u64,
  index: Struct.u32,
  __pad: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface rtc_param extends Struct.Type<typeof rtc_param> {}

/**
 * What a high-precision timer is and can.
 *
 * @category structures
 * @since 0.1.0
 */
export const hpet_info = Struct.make("hpet_info", {
  hi_ireqfreq: Struct.u64,
  hi_flags: Struct.u64,
  hi_hpet: Struct.u16,
  hi_timer: Struct.u16
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface hpet_info extends Struct.Type<typeof hpet_info> {}
