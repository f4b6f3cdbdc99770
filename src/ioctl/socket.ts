/**
 * Requests that any socket may be asked about itself: ip(7), udp(7), tcp(7), unix(7), linux/sockios.h.
 */
import { errorsOf } from "../errors/registry.ts"
import * as Struct from "../Struct.ts"
import { device, opens, read, write } from "./request.ts"

/**
 * A socket.
 *
 * @category devices
 * @since 0.1.0
 */
export const Device = device("Socket")
/**
 * @category devices
 * @since 0.1.0
 */
export type Device = typeof Device

/**
 * The network namespace that {@link SIOCGSKNS} opens.
 *
 * @category devices
 * @since 0.1.0
 */
export const Namespace = device("Namespace")
/**
 * @category devices
 * @since 0.1.0
 */
export type Namespace = typeof Namespace

const errors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "ENOTTY", "EPERM", "ENOENT"])

const options = (name: string, waits = false) => ({ name, waits, errors })

/**
 * How many bytes wait to be read; of a datagram socket, those of the next.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCINQ = read(Device, 0x541b, Struct.i32, options("SIOCINQ"))

/**
 * How many bytes are not sent, or not known to have arrived.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCOUTQ = read(Device, 0x5411, Struct.i32, options("SIOCOUTQ"))

/**
 * How many bytes of a TCP socket are not sent.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCOUTQNSD = read(Device, 0x894b, Struct.i32, options("SIOCOUTQNSD"))

/**
 * Whether the next byte is where urgent data was: 1 or 0.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCATMARK = read(Device, 0x8905, Struct.i32, options("SIOCATMARK"))

/**
 * Who gets the signals of the socket: a process, a group where it is negative.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCGPGRP = read(Device, 0x8904, Struct.i32, options("SIOCGPGRP"))

/**
 * Sets who gets the signals of the socket: a process, a group where it is negative.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCSPGRP = write(Device, 0x8902, Struct.i32, options("SIOCSPGRP"))

/**
 * When the last packet came: `[seconds, microseconds]`.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCGSTAMP = read(Device, 0x8906, Struct.array(Struct.i64, 2), options("SIOCGSTAMP"))

/**
 * When the last packet came: `[seconds, nanoseconds]`.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCGSTAMPNS = read(Device, 0x8907, Struct.array(Struct.i64, 2), options("SIOCGSTAMPNS"))

/**
 * Opens the network namespace of the socket. For administrators. Made with `File.ioctlOpen`. Since Linux 4.10.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCGSKNS = opens(Device, 0x894c, Namespace, options("SIOCGSKNS"))
