/**
 * What requests about network interfaces are made of: an `ifreq` with the name of one and the member that the request means;
 * part of `network.ts`.
 */
import * as Abi from "../Abi.ts"
import { errorsOf } from "../errors/registry.ts"
import { decodeSockAddr, encodeSockAddr, type SockAddr, type SockAddrInet } from "../syscall/sockaddr.ts"
import { interfaceName, type Named } from "./interface-name.ts"

const errors = errorsOf("ioctl", [
  "EBADF",
  "EADDRNOTAVAIL",
  "EBUSY",
  "EEXIST",
  "EFAULT",
  "EINTR",
  "EINVAL",
  "ENODEV",
  "ENOENT",
  "ENOMEM",
  "ENOTTY",
  "ENXIO",
  "EOPNOTSUPP",
  "EPERM",
  "ERANGE",
  "EADDRINUSE"
])

export const options = (name: string, waits = false) => ({ name, waits, errors })

type Told = Abi.ifreq["ifr_ifru"]
type Asked = Parameters<typeof Abi.ifreq.encode>[0]["ifr_ifru"]

export const ifreq = (name: string, ifr_ifru: Asked): Uint8Array =>
  Abi.ifreq.encode({ ifr_name: interfaceName(name), ifr_ifru })

/** Tells something of the interface that is named. */
export const tells = <R>(name: string, decode: (told: Told) => R) => ({
  ...options(name),
  encode: (ifr_name: string) => ifreq(ifr_name, { ifru_ivalue: 0 }),
  decode: (_: number, memory: Uint8Array) => decode(Abi.ifreq.decode(memory).ifr_ifru)
})

/** Changes something of the interface that is named. */
export const changes = <A extends Named>(name: string, encode: (argument: A) => Asked) => ({
  ...options(name, true),
  encode: (argument: A) => ifreq(argument.ifr_name, encode(argument)),
  decode: (result: number) => result
})

export const addressOf = ({ sa_data, sa_family }: Abi.sockaddr): SockAddr | undefined =>
  sa_family === 0 ? undefined : decodeSockAddr(Abi.sockaddr.encode({ sa_data, sa_family }))

/** An address of IPv4: the structure has room for no longer one. */
export const inetOf = (address: string): Abi.sockaddr =>
  Abi.sockaddr.decode(encodeSockAddr({ _tag: "Inet", address, port: 0 }))

export const inetTold = (told: Abi.sockaddr): string => {
  const address = addressOf(told)
  return address !== undefined && isInet(address) ? address.address : "0.0.0.0"
}

const isInet = (address: SockAddr): address is SockAddrInet => address._tag === "Inet"

/** The kernel reads and writes 16 bits, and the highest has no sign. */
export const flagsOf = (flags: number): number => flags & 0xffff

export const signed = (flags: number): number => {
  if (!Number.isInteger(flags) || flags < 0 || flags > 0xffff) {
    throw new RangeError(`ifr_flags: expected an integer from 0 to 65535, got ${flags}`)
  }
  return (flags << 16) >> 16
}
