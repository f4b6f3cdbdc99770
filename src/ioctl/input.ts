/**
 * Requests to input devices, `/dev/input/event0` and the like: linux/input.h.
 */
import * as Abi from "../Abi.ts"
import { errorsOf } from "../errors/registry.ts"
import * as Struct from "../Struct.ts"
import { textOf } from "./interface-name.ts"
import { _IOR, _IOW, device, make, read, value, write, writeRead } from "./request.ts"

export * from "./constants-input.ts"

/**
 * An input device: keyboard, mouse, gamepad, touch screen.
 *
 * @category devices
 * @since 0.1.0
 */
export const Device = device("Input")
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
  "ENODEV",
  "ENOENT",
  "ENOSYS",
  "ENOTTY",
  "EINTR",
  "EPERM"
])

const options = (name: string, waits = false) => ({ name, waits, errors })

const text = (name: string) => ({
  ...options(name),
  encode: (_: undefined) => new Uint8Array(256),
  decode: (_: number, memory: Uint8Array) => textOf(memory)
})

/** The numbers of the bits that are set. */
const bitsOf = (bytes: Uint8Array): ReadonlyArray<number> =>
  [...bytes].flatMap((byte, index) =>
    [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => byte & (1 << bit)).map((bit) => 8 * index + bit)
  )

// Room for the most codes that a type of events has, KEY_CNT.
const bitBytes = 96

const bits = (name: string) => ({
  ...options(name),
  encode: (_: undefined) => new Uint8Array(bitBytes),
  decode: (_: number, memory: Uint8Array) => bitsOf(memory)
})

const axis = (name: string, axis: number): number => {
  if (!Number.isInteger(axis) || axis < 0 || axis > 0x3f) {
    throw new RangeError(`${name}: expected an axis from 0 to 63, got ${axis}`)
  }
  return axis
}

/**
 * The version of the interface.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCGVERSION = read(Device, _IOR("E", 0x01, Struct.i32), Struct.i32, options("EVIOCGVERSION"))

/**
 * What the device is.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCGID = read(Device, _IOR("E", 0x02, Abi.input_id), Abi.input_id, options("EVIOCGID"))

/**
 * How keys repeat: `[delay, period]` in milliseconds.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCGREP = read(Device, _IOR("E", 0x03, 8), Struct.array(Struct.u32, 2), options("EVIOCGREP"))

/**
 * Sets how keys repeat: `[delay, period]` in milliseconds.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCSREP = write(Device, _IOW("E", 0x03, 8), Struct.array(Struct.u32, 2), options("EVIOCSREP"))

/**
 * The key code of a scan code, or of an index with `INPUT_KEYMAP_BY_INDEX`.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCGKEYCODE_V2 = writeRead(
  Device,
  _IOR("E", 0x04, Abi.input_keymap_entry),
  Abi.input_keymap_entry,
  options("EVIOCGKEYCODE_V2")
)

/**
 * Sets the key code of a scan code.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCSKEYCODE_V2 = write(
  Device,
  _IOW("E", 0x04, Abi.input_keymap_entry),
  Abi.input_keymap_entry,
  options("EVIOCSKEYCODE_V2")
)

/**
 * The name of the device.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCGNAME = make(Device, _IOR("E", 0x06, 256), text("EVIOCGNAME"))

/**
 * Where the device is.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCGPHYS = make(Device, _IOR("E", 0x07, 256), text("EVIOCGPHYS"))

/**
 * What tells it from others of its kind.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCGUNIQ = make(Device, _IOR("E", 0x08, 256), text("EVIOCGUNIQ"))

/**
 * What the device is like: numbers of `INPUT_PROP_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCGPROP = make(Device, _IOR("E", 0x09, bitBytes), bits("EVIOCGPROP"))

/**
 * Which keys and buttons are down: numbers of `KEY_*`, `BTN_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCGKEY = make(Device, _IOR("E", 0x18, bitBytes), bits("EVIOCGKEY"))

/**
 * Which lights are on: numbers of `LED_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCGLED = make(Device, _IOR("E", 0x19, bitBytes), bits("EVIOCGLED"))

/**
 * Which sounds are on: numbers of `SND_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCGSND = make(Device, _IOR("E", 0x1a, bitBytes), bits("EVIOCGSND"))

/**
 * Which switches are on: numbers of `SW_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCGSW = make(Device, _IOR("E", 0x1b, bitBytes), bits("EVIOCGSW"))

/**
 * Which codes the device has of a type of events (`EV_*`); of type 0, which types.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCGBIT = (type: number) => make(Device, _IOR("E", 0x20 + type, bitBytes), bits(`EVIOCGBIT(${type})`))

/**
 * The value and the range of an axis, one of `ABS_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCGABS = (abs: number) =>
  read(
    Device,
    _IOR("E", 0x40 + axis("EVIOCGABS", abs), Abi.input_absinfo),
    Abi.input_absinfo,
    options(`EVIOCGABS(${abs})`)
  )

/**
 * Sets the value and the range of an axis, one of `ABS_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCSABS = (abs: number) =>
  write(
    Device,
    _IOW("E", 0xc0 + axis("EVIOCSABS", abs), Abi.input_absinfo),
    Abi.input_absinfo,
    options(`EVIOCSABS(${abs})`)
  )

/**
 * Gives the device an effect; with `id` -1 a new one, whose number comes back. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCSFF = writeRead(Device, _IOW("E", 0x80, Abi.ff_effect), Abi.ff_effect, options("EVIOCSFF", true))

/**
 * Has the device forget an effect, by its number. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCRMFF = value(Device, _IOW("E", 0x81, Struct.i32), options("EVIOCRMFF", true))

/**
 * How many effects the device can play at a time.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCGEFFECTS = read(Device, _IOR("E", 0x84, Struct.i32), Struct.i32, options("EVIOCGEFFECTS"))

/**
 * Has all events to oneself with 1, shares them with 0.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCGRAB = value(Device, _IOW("E", 0x90, Struct.i32), options("EVIOCGRAB"))

/**
 * Ends the use of this file for good, in whatever hands; takes 0.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCREVOKE = value(Device, _IOW("E", 0x91, Struct.i32), options("EVIOCREVOKE"))

/**
 * Which clock the times of events are of: `Syscall.CLOCK_REALTIME`, `CLOCK_MONOTONIC`, `CLOCK_BOOTTIME`.
 *
 * @category requests
 * @since 0.1.0
 */
export const EVIOCSCLOCKID = write(Device, _IOW("E", 0xa0, Struct.i32), Struct.i32, options("EVIOCSCLOCKID"))
