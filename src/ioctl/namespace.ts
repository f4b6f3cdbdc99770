/**
 * Requests to namespaces, the files of `/proc/PID/ns`: ioctl_ns(2), linux/nsfs.h.
 */
import { errorsOf } from "../errors/registry.ts"
import * as Struct from "../Struct.ts"
import { _IO, device, none, opens, read } from "./request.ts"

/**
 * A namespace: what a file of `/proc/PID/ns` opens.
 *
 * @category devices
 * @since 0.1.0
 */
export const Device = device("Namespace")
/**
 * @category devices
 * @since 0.1.0
 */
export type Device = typeof Device

const errors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "ENOTTY", "EPERM", "EMFILE", "ENFILE", "ENOMEM"])

const options = (name: string, waits = false) => ({ name, waits, errors })

/**
 * Opens the user namespace that owns this one. Made with `File.ioctlOpen`. Since Linux 4.9.
 *
 * @category requests
 * @since 0.1.0
 */
export const NS_GET_USERNS = opens(Device, _IO(0xb7, 0x1), Device, options("NS_GET_USERNS"))

/**
 * Opens the namespace above, of users or processes. Made with `File.ioctlOpen`. Since Linux 4.9.
 *
 * @category requests
 * @since 0.1.0
 */
export const NS_GET_PARENT = opens(Device, _IO(0xb7, 0x2), Device, options("NS_GET_PARENT"))

/**
 * What kind of namespace it is: one of `Syscall.CLONE_NEW*`. Since Linux 4.11.
 *
 * @category requests
 * @since 0.1.0
 */
export const NS_GET_NSTYPE = none(Device, _IO(0xb7, 0x3), options("NS_GET_NSTYPE"))

/**
 * The user that owns a user namespace. Since Linux 4.11.
 *
 * @category requests
 * @since 0.1.0
 */
export const NS_GET_OWNER_UID = read(Device, _IO(0xb7, 0x4), Struct.u32, options("NS_GET_OWNER_UID"))
