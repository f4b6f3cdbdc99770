/**
 * Requests to `/dev/vsock`: vsock(7), linux/vm_sockets.h.
 */
import { errorsOf } from "../errors/registry.ts"
import * as Struct from "../Struct.ts"
import { _IO, device, read } from "./request.ts"

/**
 * What `/dev/vsock` opens.
 *
 * @category devices
 * @since 0.1.0
 */
export const Device = device("Vsock")
/**
 * @category devices
 * @since 0.1.0
 */
export type Device = typeof Device

const errors = errorsOf("ioctl", ["EBADF", "EFAULT", "EINVAL", "ENOTTY", "EADDRNOTAVAIL"])

const options = (name: string, waits = false) => ({ name, waits, errors })

/**
 * The context identifier of this machine.
 *
 * @category requests
 * @since 0.1.0
 */
export const IOCTL_VM_SOCKETS_GET_LOCAL_CID = read(
  Device,
  _IO(7, 0xb9),
  Struct.u32,
  options("IOCTL_VM_SOCKETS_GET_LOCAL_CID")
)
