/**
 * Requests about network interfaces, made of any socket: netdevice(7), linux/sockios.h. What a request tells of an interface
 * it tells of the one that is named; netlink tells more, of all at once.
 */
import * as Abi from "../Abi.ts"
import * as Syscall from "../Syscall.ts"
import type { SockAddr } from "../syscall/sockaddr.ts"
import { interfaceName, type Named, textOf } from "./interface-name.ts"
import { addressOf, changes, flagsOf, options, signed, tells } from "./network-request.ts"
import { keep, keptOf, make } from "./request.ts"
import { Device } from "./socket.ts"

export * from "./constants-network.ts"
export type { Named } from "./interface-name.ts"
export * from "./network-addresses.ts"
export { Device } from "./socket.ts"

// ---------------------------------------------------------------------------------------------------------------------
// which interfaces there are
// ---------------------------------------------------------------------------------------------------------------------

/**
 * An interface that has an address of IPv4.
 *
 * @category models
 * @since 0.1.0
 */
export interface Configured extends Named {
  readonly ifr_addr: SockAddr | undefined
}

/**
 * The interfaces that have an address of IPv4, one for each address; at most as many as the argument says. Where
 * it tells as many, there may be more.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCGIFCONF = make(Device, 0x8912, {
  ...options("SIOCGIFCONF"),
  encode: (most: number) => {
    if (!Number.isInteger(most) || most < 1 || most > 65_536) {
      throw new RangeError(`expected an integer from 1 to 65536, got ${most}`)
    }
    const buffer = new Uint8Array(most * Abi.ifreq.size)
    const ifc_buf = Syscall.addressOf(buffer)
    const memory = Abi.ifconf.encode({ ifc_len: buffer.length, ifc_buf })
    return keep(memory, buffer)
  },
  decode: (_, memory): ReadonlyArray<Configured> => {
    const { ifc_len } = Abi.ifconf.decode(memory)
    const buffer = keptOf(memory)
    if (!(buffer instanceof Uint8Array)) throw new Error("the list has no memory")
    return Array.from({ length: ifc_len / Abi.ifreq.size }, (_, index) => {
      const { ifr_ifru, ifr_name } = Abi.ifreq.decode(buffer, index * Abi.ifreq.size)
      return { ifr_name: textOf(ifr_name), ifr_addr: addressOf(ifr_ifru.ifru_addr) }
    })
  }
})

/**
 * The name of the interface with this index.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCGIFNAME = make(Device, 0x8910, {
  ...options("SIOCGIFNAME"),
  encode: (index: number) => Abi.ifreq.encode({ ifr_name: new Uint8Array(0), ifr_ifru: { ifru_ivalue: index } }),
  decode: (_, memory) => textOf(Abi.ifreq.decode(memory).ifr_name)
})

/**
 * The index of the interface with this name.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCGIFINDEX = make(
  Device,
  0x8933,
  tells("SIOCGIFINDEX", ({ ifru_ivalue }) => ifru_ivalue)
)

// ---------------------------------------------------------------------------------------------------------------------
// what an interface is like
// ---------------------------------------------------------------------------------------------------------------------

/**
 * How the interface is: bits of `IFF_*`, the lowest 16.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCGIFFLAGS = make(
  Device,
  0x8913,
  tells("SIOCGIFFLAGS", ({ ifru_flags }) => flagsOf(ifru_flags))
)

/**
 * Sets how the interface is: bits of `IFF_*`. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCSIFFLAGS = make(
  Device,
  0x8914,
  changes("SIOCSIFFLAGS", ({ ifr_flags }: Named & { readonly ifr_flags: number }) => ({
    ifru_flags: signed(ifr_flags)
  }))
)

/**
 * The size of the largest packet, in bytes.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCGIFMTU = make(
  Device,
  0x8921,
  tells("SIOCGIFMTU", ({ ifru_mtu }) => ifru_mtu)
)

/**
 * Sets the size of the largest packet, in bytes. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCSIFMTU = make(
  Device,
  0x8922,
  changes("SIOCSIFMTU", ({ ifr_mtu }: Named & { readonly ifr_mtu: number }) => ({ ifru_mtu: ifr_mtu }))
)

/**
 * The metric of the interface: always 0.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCGIFMETRIC = make(
  Device,
  0x891d,
  tells("SIOCGIFMETRIC", ({ ifru_ivalue }) => ifru_ivalue)
)

/**
 * How many packets may wait to be sent.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCGIFTXQLEN = make(
  Device,
  0x8942,
  tells("SIOCGIFTXQLEN", ({ ifru_ivalue }) => ifru_ivalue)
)

/**
 * Sets how many packets may wait to be sent. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCSIFTXQLEN = make(
  Device,
  0x8943,
  changes("SIOCSIFTXQLEN", ({ ifr_qlen }: Named & { readonly ifr_qlen: number }) => ({ ifru_ivalue: ifr_qlen }))
)

/**
 * The hardware resources of the interface.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCGIFMAP = make(
  Device,
  0x8970,
  tells("SIOCGIFMAP", ({ ifru_map }) => ifru_map)
)

/**
 * Sets the hardware resources of the interface. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCSIFMAP = make(
  Device,
  0x8971,
  changes("SIOCSIFMAP", ({ ifr_map }: Named & { readonly ifr_map: Abi.ifmap }) => ({ ifru_map: ifr_map }))
)

/**
 * Gives the interface another name, while it is down. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCSIFNAME = make(
  Device,
  0x8923,
  changes("SIOCSIFNAME", ({ ifr_newname }: Named & { readonly ifr_newname: string }) => ({
    ifru_newname: interfaceName(ifr_newname)
  }))
)

// ---------------------------------------------------------------------------------------------------------------------
// bridges
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Makes a bridge of this name. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCBRADDBR = make(Device, 0x89a0, {
  ...options("SIOCBRADDBR", true),
  encode: (name: string) => {
    const memory = new Uint8Array(Abi.ifreq.fields.ifr_name.size)
    memory.set(interfaceName(name))
    return memory
  },
  decode: (result) => result
})

/**
 * Removes the bridge of this name. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCBRDELBR = make(Device, 0x89a1, {
  ...options("SIOCBRDELBR", true),
  encode: (name: string) => {
    const memory = new Uint8Array(Abi.ifreq.fields.ifr_name.size)
    memory.set(interfaceName(name))
    return memory
  },
  decode: (result) => result
})

/**
 * Adds the interface with this index to the bridge that is named. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCBRADDIF = make(
  Device,
  0x89a2,
  changes("SIOCBRADDIF", ({ ifr_ifindex }: Named & { readonly ifr_ifindex: number }) => ({ ifru_ivalue: ifr_ifindex }))
)

/**
 * Removes the interface with this index from the bridge that is named. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCBRDELIF = make(
  Device,
  0x89a3,
  changes("SIOCBRDELIF", ({ ifr_ifindex }: Named & { readonly ifr_ifindex: number }) => ({ ifru_ivalue: ifr_ifindex }))
)
