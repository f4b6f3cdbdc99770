/**
 * Requests to `/dev/uinput`, with which a program makes input devices: linux/uinput.h.
 */
import * as Abi from "../Abi.ts"
import { errorsOf } from "../errors/registry.ts"
import * as Struct from "../Struct.ts"
import { encodeText, textOf } from "./interface-name.ts"
import { _IO, _IOR, _IOW, _IOWR, device, make, none, read, value, write, writeRead } from "./request.ts"

export * from "./constants-input.ts"

/**
 * What `/dev/uinput` opens.
 *
 * @category devices
 * @since 0.1.0
 */
export const Device = device("UInput")
/**
 * @category devices
 * @since 0.1.0
 */
export type Device = typeof Device

const errors = errorsOf("ioctl", [
  "EBADF",
  "EFAULT",
  "EINVAL",
  "ENOTTY",
  "ENOMEM",
  "ENODEV",
  "EEXIST",
  "EINTR",
  "EPERM",
  "ENOENT"
])

const options = (name: string, waits = false) => ({ name, waits, errors })

/**
 * The version of the interface.
 *
 * @category requests
 * @since 0.1.0
 */
export const UI_GET_VERSION = read(Device, _IOR("U", 45, Struct.u32), Struct.u32, options("UI_GET_VERSION"))

/**
 * Says what the device is to be. Since Linux 4.5.
 *
 * @category requests
 * @since 0.1.0
 */
export const UI_DEV_SETUP = write(Device, _IOW("U", 3, Abi.uinput_setup), Abi.uinput_setup, options("UI_DEV_SETUP"))

/**
 * Says that the device is to have an axis, and its range. Since Linux 4.5.
 *
 * @category requests
 * @since 0.1.0
 */
export const UI_ABS_SETUP = write(
  Device,
  _IOW("U", 4, Abi.uinput_abs_setup),
  Abi.uinput_abs_setup,
  options("UI_ABS_SETUP")
)

/**
 * Makes the device. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const UI_DEV_CREATE = none(Device, _IO("U", 1), options("UI_DEV_CREATE", true))

/**
 * Takes the device away; closing the file does too. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const UI_DEV_DESTROY = none(Device, _IO("U", 2), options("UI_DEV_DESTROY", true))

/**
 * Says which types of events the device sends: `EV_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const UI_SET_EVBIT = value(Device, _IOW("U", 100, Struct.i32), options("UI_SET_EVBIT"))

/**
 * Says which keys and buttons it has: `KEY_*`, `BTN_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const UI_SET_KEYBIT = value(Device, _IOW("U", 101, Struct.i32), options("UI_SET_KEYBIT"))

/**
 * Says which relative axes it has: `REL_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const UI_SET_RELBIT = value(Device, _IOW("U", 102, Struct.i32), options("UI_SET_RELBIT"))

/**
 * Says which absolute axes it has: `ABS_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const UI_SET_ABSBIT = value(Device, _IOW("U", 103, Struct.i32), options("UI_SET_ABSBIT"))

/**
 * Says what else it tells: `MSC_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const UI_SET_MSCBIT = value(Device, _IOW("U", 104, Struct.i32), options("UI_SET_MSCBIT"))

/**
 * Says which lights it has: `LED_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const UI_SET_LEDBIT = value(Device, _IOW("U", 105, Struct.i32), options("UI_SET_LEDBIT"))

/**
 * Says which sounds it makes: `SND_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const UI_SET_SNDBIT = value(Device, _IOW("U", 106, Struct.i32), options("UI_SET_SNDBIT"))

/**
 * Says which effects it plays: `FF_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const UI_SET_FFBIT = value(Device, _IOW("U", 107, Struct.i32), options("UI_SET_FFBIT"))

/**
 * Says which switches it has: `SW_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const UI_SET_SWBIT = value(Device, _IOW("U", 109, Struct.i32), options("UI_SET_SWBIT"))

/**
 * Says what it is like: `INPUT_PROP_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const UI_SET_PROPBIT = value(Device, _IOW("U", 110, Struct.i32), options("UI_SET_PROPBIT"))

/**
 * Says where the device is, as it tells by `EVIOCGPHYS`.
 *
 * @category requests
 * @since 0.1.0
 */
export const UI_SET_PHYS = make(Device, _IOW("U", 108, Struct.pointer), {
  ...options("UI_SET_PHYS"),
  // The memory is as long as the text: the number's size is that of a pointer to it.
  encode: (phys: string) => encodeText("phys", phys, 1023),
  decode: (result) => result
})

/**
 * The name of the device below /sys/devices/virtual/input. Since Linux 3.15.
 *
 * @category requests
 * @since 0.1.0
 */
export const UI_GET_SYSNAME = make(Device, _IOR("U", 44, 64), {
  ...options("UI_GET_SYSNAME"),
  encode: (_: undefined) => new Uint8Array(64),
  decode: (_, memory) => textOf(memory)
})

/**
 * The effect that is to be played: told by an event `EV_UINPUT`, `UI_FF_UPLOAD`.
 *
 * @category requests
 * @since 0.1.0
 */
export const UI_BEGIN_FF_UPLOAD = writeRead(
  Device,
  _IOWR("U", 200, Abi.uinput_ff_upload),
  Abi.uinput_ff_upload,
  options("UI_BEGIN_FF_UPLOAD")
)

/**
 * Ends that: `retval` is 0 or minus an errno.
 *
 * @category requests
 * @since 0.1.0
 */
export const UI_END_FF_UPLOAD = write(
  Device,
  _IOW("U", 201, Abi.uinput_ff_upload),
  Abi.uinput_ff_upload,
  options("UI_END_FF_UPLOAD")
)

/**
 * The effect that is to be forgotten: told by an event `EV_UINPUT`, `UI_FF_ERASE`.
 *
 * @category requests
 * @since 0.1.0
 */
export const UI_BEGIN_FF_ERASE = writeRead(
  Device,
  _IOWR("U", 202, Abi.uinput_ff_erase),
  Abi.uinput_ff_erase,
  options("UI_BEGIN_FF_ERASE")
)

/**
 * Ends that: `retval` is 0 or minus an errno.
 *
 * @category requests
 * @since 0.1.0
 */
export const UI_END_FF_ERASE = write(
  Device,
  _IOW("U", 203, Abi.uinput_ff_erase),
  Abi.uinput_ff_erase,
  options("UI_END_FF_ERASE")
)
