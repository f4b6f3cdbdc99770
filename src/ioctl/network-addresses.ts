/**
 * Requests about the addresses of network interfaces, and about neighbours; part of `network.ts`.
 */
import * as Abi from "../Abi.ts"
import { errorsOf } from "../errors/registry.ts"
import { AF_INET } from "../internal/constants.ts"
import * as Syscall from "../Syscall.ts"
import { RTF_GATEWAY, RTF_HOST, RTF_MTU, RTF_UP, RTF_WINDOW } from "./constants-network.ts"
import { interfaceName, type Named, textOf } from "./interface-name.ts"
import { changes, inetOf, inetTold, options, tells } from "./network-request.ts"
import { keep, make } from "./request.ts"
import { Device } from "./socket.ts"

// ---------------------------------------------------------------------------------------------------------------------
// addresses
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The hardware address: `sa_family` is one of `ARPHRD_*`, and `sa_data` begins with the address.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCGIFHWADDR = make(
  Device,
  0x8927,
  tells("SIOCGIFHWADDR", ({ ifru_hwaddr }) => ifru_hwaddr)
)

/**
 * Sets the hardware address: `sa_family` is the interface's own of `ARPHRD_*`. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCSIFHWADDR = make(
  Device,
  0x8924,
  changes("SIOCSIFHWADDR", ({ ifr_hwaddr }: Named & { readonly ifr_hwaddr: Abi.sockaddr }) => ({
    ifru_hwaddr: ifr_hwaddr
  }))
)

/**
 * Sets the hardware address of all. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCSIFHWBROADCAST = make(
  Device,
  0x8937,
  changes("SIOCSIFHWBROADCAST", ({ ifr_hwaddr }: Named & { readonly ifr_hwaddr: Abi.sockaddr }) => ({
    ifru_hwaddr: ifr_hwaddr
  }))
)

/**
 * Listens to a multicast address of the link layer. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCADDMULTI = make(
  Device,
  0x8931,
  changes("SIOCADDMULTI", ({ ifr_hwaddr }: Named & { readonly ifr_hwaddr: Abi.sockaddr }) => ({
    ifru_hwaddr: ifr_hwaddr
  }))
)

/**
 * Listens to a multicast address of the link layer no more. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCDELMULTI = make(
  Device,
  0x8932,
  changes("SIOCDELMULTI", ({ ifr_hwaddr }: Named & { readonly ifr_hwaddr: Abi.sockaddr }) => ({
    ifru_hwaddr: ifr_hwaddr
  }))
)

/**
 * The address of IPv4, such as `"192.0.2.1"`. Of a socket of IPv4.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCGIFADDR = make(
  Device,
  0x8915,
  tells("SIOCGIFADDR", ({ ifru_addr }) => inetTold(ifru_addr))
)

/**
 * Sets the address of IPv4, such as `"192.0.2.1"`. Of a socket of IPv4. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCSIFADDR = make(
  Device,
  0x8916,
  changes("SIOCSIFADDR", ({ ifr_addr }: Named & { readonly ifr_addr: string }) => ({ ifru_addr: inetOf(ifr_addr) }))
)

/**
 * The address of the other end of a link between two, such as `"192.0.2.1"`. Of a socket of IPv4.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCGIFDSTADDR = make(
  Device,
  0x8917,
  tells("SIOCGIFDSTADDR", ({ ifru_dstaddr }) => inetTold(ifru_dstaddr))
)

/**
 * Sets the address of the other end of a link between two, such as `"192.0.2.1"`. Of a socket of IPv4. For
 * administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCSIFDSTADDR = make(
  Device,
  0x8918,
  changes("SIOCSIFDSTADDR", ({ ifr_dstaddr }: Named & { readonly ifr_dstaddr: string }) => ({
    ifru_dstaddr: inetOf(ifr_dstaddr)
  }))
)

/**
 * The address of all, such as `"192.0.2.1"`. Of a socket of IPv4.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCGIFBRDADDR = make(
  Device,
  0x8919,
  tells("SIOCGIFBRDADDR", ({ ifru_broadaddr }) => inetTold(ifru_broadaddr))
)

/**
 * Sets the address of all, such as `"192.0.2.1"`. Of a socket of IPv4. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCSIFBRDADDR = make(
  Device,
  0x891a,
  changes("SIOCSIFBRDADDR", ({ ifr_broadaddr }: Named & { readonly ifr_broadaddr: string }) => ({
    ifru_broadaddr: inetOf(ifr_broadaddr)
  }))
)

/**
 * The mask of the network, such as `"192.0.2.1"`. Of a socket of IPv4.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCGIFNETMASK = make(
  Device,
  0x891b,
  tells("SIOCGIFNETMASK", ({ ifru_netmask }) => inetTold(ifru_netmask))
)

/**
 * Sets the mask of the network, such as `"192.0.2.1"`. Of a socket of IPv4. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCSIFNETMASK = make(
  Device,
  0x891c,
  changes("SIOCSIFNETMASK", ({ ifr_netmask }: Named & { readonly ifr_netmask: string }) => ({
    ifru_netmask: inetOf(ifr_netmask)
  }))
)

// ---------------------------------------------------------------------------------------------------------------------
// neighbours
// ---------------------------------------------------------------------------------------------------------------------

/**
 * An entry of the table of neighbours.
 *
 * @category models
 * @since 0.1.0
 */
export interface Neighbour {
  /** An address of IPv4. */
  readonly arp_pa: string
  /** The hardware address, and its kind. */
  readonly arp_ha: Abi.sockaddr
  /** Bits of `ATF_*`. */
  readonly arp_flags: number
  /** The interface. */
  readonly arp_dev: string
}

const noAddress: Abi.sockaddr = { sa_family: 0, sa_data: new Uint8Array(0) }

const arpreq = ({ arp_dev, arp_flags, arp_ha, arp_pa }: Neighbour): Uint8Array =>
  Abi.arpreq.encode({
    arp_pa: inetOf(arp_pa),
    arp_ha,
    arp_flags,
    arp_netmask: noAddress,
    arp_dev: interfaceName(arp_dev)
  })

/**
 * The neighbour with this address of IPv4, on the interface that is named. `ENXIO` where none is known.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCGARP = make(Device, 0x8954, {
  ...options("SIOCGARP"),
  encode: ({ arp_dev, arp_pa }: Pick<Neighbour, "arp_dev" | "arp_pa">) =>
    arpreq({ arp_pa, arp_dev, arp_flags: 0, arp_ha: { ...noAddress, sa_family: AF_INET } }),
  decode: (_, memory): Neighbour => {
    const { arp_dev, arp_flags, arp_ha, arp_pa } = Abi.arpreq.decode(memory)
    return { arp_pa: inetTold(arp_pa), arp_ha, arp_flags, arp_dev: textOf(arp_dev) }
  }
})

/**
 * Sets a neighbour. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCSARP = make(Device, 0x8955, {
  ...options("SIOCSARP", true),
  encode: arpreq,
  decode: (result) => result
})

/**
 * Forgets a neighbour. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCDARP = make(Device, 0x8953, {
  ...options("SIOCDARP", true),
  encode: arpreq,
  decode: (result) => result
})

// ---------------------------------------------------------------------------------------------------------------------
// routes
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A route of IPv4. Addresses are such as `"192.0.2.1"`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Route {
  /** Where it leads: a network, or one host. */
  readonly rt_dst: string
  /** The mask of the network; 255.255.255.255 unless said. */
  readonly rt_genmask?: string | undefined
  /** Through whom; what is behind no gateway is on the interface itself. */
  readonly rt_gateway?: string | undefined
  /** The interface; the kernel finds it by the gateway where none is said. */
  readonly rt_dev?: string | undefined
  /** How far it is, from 0 (the default) to 32,766: of several routes the least is taken. */
  readonly rt_metric?: number | undefined
  /** The largest packet in bytes; the interface's own unless said. */
  readonly rt_mtu?: number | undefined
  /** The window of TCP in bytes; not limited unless said. */
  readonly rt_window?: number | undefined
  /** Bits of `RTF_*` beside those that follow from the rest, such as `RTF_REJECT`. */
  readonly rt_flags?: number | undefined
}

const routeErrors = errorsOf("ioctl", [
  "EBADF",
  "EEXIST",
  "EFAULT",
  "EINTR",
  "EINVAL",
  "ENETDOWN",
  "ENETUNREACH",
  "ENODEV",
  "ENOMEM",
  "ENOTTY",
  "EPERM",
  "ESRCH"
])

const everyBit = "255.255.255.255"

const rtentry = (route: Route): Uint8Array => {
  const { rt_dev, rt_dst, rt_flags = 0, rt_gateway, rt_genmask = everyBit } = route
  const { rt_metric = 0, rt_mtu = 0, rt_window = 0 } = route
  // The kernel counts from 1, 0 being none.
  if (!Number.isInteger(rt_metric) || rt_metric < 0 || rt_metric > 32_766) {
    throw new RangeError(`rt_metric: expected an integer from 0 to 32766, got ${rt_metric}`)
  }
  const name = rt_dev === undefined ? undefined : Uint8Array.of(...interfaceName(rt_dev), 0)
  const memory = Abi.rtentry.encode({
    rt_dst: inetOf(rt_dst),
    rt_gateway: rt_gateway === undefined ? { ...noAddress, sa_family: AF_INET } : inetOf(rt_gateway),
    rt_genmask: inetOf(rt_genmask),
    rt_flags:
      rt_flags |
      RTF_UP |
      (rt_gateway === undefined ? 0 : RTF_GATEWAY) |
      (rt_genmask === everyBit ? RTF_HOST : 0) |
      (rt_mtu === 0 ? 0 : RTF_MTU) |
      (rt_window === 0 ? 0 : RTF_WINDOW),
    rt_metric: rt_metric + 1,
    rt_dev: name === undefined ? 0n : Syscall.addressOf(name),
    rt_mtu: BigInt(rt_mtu),
    rt_window: BigInt(rt_window),
    rt_irtt: 0
  })
  return name === undefined ? memory : keep(memory, name)
}

/**
 * Adds a route. Of a socket of IPv4. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCADDRT = make(Device, 0x890b, {
  ...options("SIOCADDRT", true),
  errors: routeErrors,
  encode: rtentry,
  decode: (result) => result
})

/**
 * Removes a route; `ESRCH` where there is none like it. Of a socket of IPv4. For administrators. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const SIOCDELRT = make(Device, 0x890c, {
  ...options("SIOCDELRT", true),
  errors: routeErrors,
  encode: rtentry,
  decode: (result) => result
})
