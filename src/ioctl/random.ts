/**
 * Requests to the kernel's random numbers, `/dev/random` and `/dev/urandom`: random(4), linux/random.h.
 */
import * as Abi from "../Abi.ts"
import { errorsOf } from "../errors/registry.ts"
import * as Struct from "../Struct.ts"
import { _IO, _IOR, _IOW, device, make, none, read, write } from "./request.ts"

/**
 * What `/dev/random` and `/dev/urandom` open.
 *
 * @category devices
 * @since 0.1.0
 */
export const Device = device("Random")
/**
 * @category devices
 * @since 0.1.0
 */
export type Device = typeof Device

const errors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "ENOTTY", "EPERM", "EINTR"])

const options = (name: string, waits = false) => ({ name, waits, errors })

/**
 * How much chance is collected, in bits: 256 when the numbers are good.
 *
 * @category requests
 * @since 0.1.0
 */
export const RNDGETENTCNT = read(Device, _IOR("R", 0x00, Struct.i32), Struct.i32, options("RNDGETENTCNT"))

/**
 * Says that so many bits of chance were written to the device. For administrators.
 *
 * @category requests
 * @since 0.1.0
 */
export const RNDADDTOENTCNT = write(Device, _IOW("R", 0x01, Struct.i32), Struct.i32, options("RNDADDTOENTCNT"))

/**
 * Bytes of chance, and how many bits of it are in them at least.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entropy {
  /** In bits. */
  readonly entropy_count: number
  readonly buf: Uint8Array
}

/**
 * Adds bytes of chance and says how many bits of it are in them. For administrators.
 *
 * @category requests
 * @since 0.1.0
 */
export const RNDADDENTROPY = make(Device, _IOW("R", 0x03, 8), {
  ...options("RNDADDENTROPY"),
  encode: ({ buf, entropy_count }: Entropy) => {
    const memory = new Uint8Array(Abi.rand_pool_info.size + buf.length)
    memory.set(buf, Abi.rand_pool_info.size)
    return Abi.rand_pool_info.encode({ entropy_count, buf_size: buf.length }, memory)
  },
  decode: (result) => result
})

/**
 * Forgets how much chance is collected. For administrators.
 *
 * @category requests
 * @since 0.1.0
 */
export const RNDZAPENTCNT = none(Device, _IO("R", 0x04), options("RNDZAPENTCNT"))

/**
 * Forgets what chance is collected. For administrators.
 *
 * @category requests
 * @since 0.1.0
 */
export const RNDCLEARPOOL = none(Device, _IO("R", 0x06), options("RNDCLEARPOOL"))

/**
 * Begins the numbers anew from what chance is collected. For administrators. Since Linux 4.17.
 *
 * @category requests
 * @since 0.1.0
 */
export const RNDRESEEDCRNG = none(Device, _IO("R", 0x07), options("RNDRESEEDCRNG"))
