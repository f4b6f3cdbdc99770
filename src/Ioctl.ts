/**
 * Typed `ioctl` requests: each knows its number, what it takes, what it gives, and which device understands it.
 *
 * `ioctl` passes a pointer to whatever a driver makes of it, so a request sent to the wrong device, or with the wrong
 * structure, can overwrite memory. Here a request is a value tied to a device, `File.ioctl` refuses one of another device
 * at compile time, and the memory is made from the request's own layout.
 *
 * The requests that the kernel's headers define are in namespaces, by the device that understands them, with their
 * constants: `Ioctl.Terminal.TIOCGWINSZ`. Each has its `Device`, but for those that any file may be asked. The structures
 * are in `Abi`. Requests of other drivers are made with the functions here, in a line each.
 *
 * @since 0.1.0
 */
export * as AnyFile from "./ioctl/any.ts"
export * as Block from "./ioctl/block.ts"
export * as FileSystem from "./ioctl/filesystem.ts"
export * as Hpet from "./ioctl/hpet.ts"
export * as Input from "./ioctl/input.ts"
export * as Loop from "./ioctl/loop.ts"
export * as LoopControl from "./ioctl/loop-control.ts"
export * as Namespace from "./ioctl/namespace.ts"
export * as Network from "./ioctl/network.ts"
export * as Random from "./ioctl/random.ts"
export {
  _IO,
  _IOR,
  _IOW,
  _IOWR,
  type AnyDevice,
  anyDevice,
  type Device,
  device,
  fdOf,
  type MakeOptions,
  make,
  none,
  type OpeningRequest,
  opens,
  opensWith,
  type Request,
  type RequestError,
  type RequestOptions,
  read,
  subDevice,
  value,
  write,
  writeRead
} from "./ioctl/request.ts"
export * as RealTimeClock from "./ioctl/rtc.ts"
export * as Socket from "./ioctl/socket.ts"
export * as Terminal from "./ioctl/terminal.ts"
export * as Tun from "./ioctl/tun.ts"
export * as UInput from "./ioctl/uinput.ts"
export * as Vsock from "./ioctl/vsock.ts"
export * as Watchdog from "./ioctl/watchdog.ts"
