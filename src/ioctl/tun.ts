/**
 * Requests to `/dev/net/tun`, whose files are the other ends of network interfaces: linux/if_tun.h.
 */
import * as Abi from "../Abi.ts"
import { errorsOf } from "../errors/registry.ts"
import * as Struct from "../Struct.ts"
import { interfaceName, type Named, textOf } from "./interface-name.ts"
import { _IO, _IOR, _IOW, device, make, opens, read, value, write } from "./request.ts"

export * from "./constants-network.ts"

/**
 * What `/dev/net/tun` opens.
 *
 * @category devices
 * @since 0.1.0
 */
export const Device = device("Tun")
/**
 * @category devices
 * @since 0.1.0
 */
export type Device = typeof Device

/**
 * The network namespace that {@link TUNGETDEVNETNS} opens.
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

const errors = errorsOf("ioctl", [
  "EBADF",
  "EBADFD",
  "EBUSY",
  "EFAULT",
  "EINVAL",
  "ENOTTY",
  "EPERM",
  "EINTR",
  "EEXIST",
  "E2BIG",
  "ENOMEM",
  "ENODEV"
])

const options = (name: string, waits = false) => ({ name, waits, errors })

const flagged = (name: string, waits = false) => ({
  ...options(name, waits),
  encode: ({ ifr_flags, ifr_name }: Flagged) =>
    Abi.ifreq.encode({
      ifr_name: interfaceName(ifr_name),
      ifr_ifru: { ifru_slave: Uint8Array.of(ifr_flags & 0xff, ifr_flags >> 8) }
    }),
  decode: (_: number, memory: Uint8Array): Flagged => {
    const { ifr_ifru, ifr_name } = Abi.ifreq.decode(memory)
    return { ifr_name: textOf(ifr_name), ifr_flags: ifr_ifru.ifru_flags & 0xffff }
  }
})

/**
 * A tun or tap interface: its name, and bits of `IFF_*`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Flagged extends Named {
  /** `IFF_TUN` or `IFF_TAP`, and what else of `IFF_*`. */
  readonly ifr_flags: number
}

/**
 * Makes the interface, or joins it where it is there: gives its name, which the kernel chooses where it is empty
 * or has a `%d`. It is gone with the file unless {@link TUNSETPERSIST} says. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNSETIFF = make(Device, _IOW("T", 202, Struct.i32), flagged("TUNSETIFF", true))

/**
 * The name of the interface, and its bits of `IFF_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNGETIFF = make(Device, _IOR("T", 210, Struct.u32), {
  ...flagged("TUNGETIFF"),
  encode: (_: undefined) => new Uint8Array(Abi.ifreq.size)
})

/**
 * Attaches a queue of the interface with `IFF_ATTACH_QUEUE`, detaches it with `IFF_DETACH_QUEUE`.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNSETQUEUE = make(Device, _IOW("T", 217, Struct.i32), flagged("TUNSETQUEUE", true))

/**
 * Turns checksums off with 1: has no effect any more.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNSETNOCSUM = value(Device, _IOW("T", 200, Struct.i32), options("TUNSETNOCSUM"))

/**
 * Sets how much is logged: has no effect in most kernels.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNSETDEBUG = value(Device, _IOW("T", 201, Struct.i32), options("TUNSETDEBUG"))

/**
 * Keeps the interface when the file is closed with 1, not with 0.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNSETPERSIST = value(Device, _IOW("T", 203, Struct.i32), options("TUNSETPERSIST"))

/**
 * Who may use the interface: a user's number, -1 for nobody in particular.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNSETOWNER = value(Device, _IOW("T", 204, Struct.i32), options("TUNSETOWNER"))

/**
 * Who may use the interface: a group's number, -1 for none in particular.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNSETGROUP = value(Device, _IOW("T", 206, Struct.i32), options("TUNSETGROUP"))

/**
 * Sets what kind of link it is, one of `ARPHRD_*`, while it is down.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNSETLINK = value(Device, _IOW("T", 205, Struct.i32), options("TUNSETLINK"))

/**
 * What the kernel can: bits of `IFF_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNGETFEATURES = read(Device, _IOR("T", 207, Struct.u32), Struct.u32, options("TUNGETFEATURES"))

/**
 * What this program takes unfinished: bits of `TUN_F_*`.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNSETOFFLOAD = value(Device, _IOW("T", 208, Struct.u32), options("TUNSETOFFLOAD"))

/**
 * Which packets a tap interface takes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Filter {
  /** `TUN_FLT_ALLMULTI` for all multicast, or 0. */
  readonly flags: number
  /** Link-layer addresses of 6 bytes each; none takes every packet. */
  readonly addr: ReadonlyArray<Uint8Array>
}

/**
 * Sets which packets a tap interface takes; gives how many addresses are compared exactly.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNSETTXFILTER = make(Device, _IOW("T", 209, Struct.u32), {
  ...options("TUNSETTXFILTER"),
  encode: ({ addr, flags }: Filter) => {
    const memory = new Uint8Array(Abi.tun_filter.size + 6 * addr.length)
    for (const [index, address] of addr.entries()) {
      if (address.length !== 6) throw new RangeError(`addr[${index}]: expected 6 bytes, got ${address.length}`)
      memory.set(address, Abi.tun_filter.size + 6 * index)
    }
    return Abi.tun_filter.encode({ flags, count: addr.length }, memory)
  },
  decode: (result) => result
})

/**
 * How many bytes may wait to be read.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNGETSNDBUF = read(Device, _IOR("T", 211, Struct.i32), Struct.i32, options("TUNGETSNDBUF"))

/**
 * Sets how many bytes may wait to be read.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNSETSNDBUF = write(Device, _IOW("T", 212, Struct.i32), Struct.i32, options("TUNSETSNDBUF"))

/**
 * The size of the header before each packet with `IFF_VNET_HDR`, in bytes.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNGETVNETHDRSZ = read(Device, _IOR("T", 215, Struct.i32), Struct.i32, options("TUNGETVNETHDRSZ"))

/**
 * Sets the size of the header before each packet with `IFF_VNET_HDR`, in bytes.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNSETVNETHDRSZ = write(Device, _IOW("T", 216, Struct.i32), Struct.i32, options("TUNSETVNETHDRSZ"))

/**
 * Sets the index that the interface is to have, before it is made.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNSETIFINDEX = write(Device, _IOW("T", 218, Struct.u32), Struct.u32, options("TUNSETIFINDEX"))

/**
 * Makes that header little-endian with 1.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNSETVNETLE = write(Device, _IOW("T", 220, Struct.i32), Struct.i32, options("TUNSETVNETLE"))

/**
 * Whether that header is little-endian: 1 or 0.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNGETVNETLE = read(Device, _IOR("T", 221, Struct.i32), Struct.i32, options("TUNGETVNETLE"))

/**
 * Makes that header big-endian with 1. Where the kernel can, else `EINVAL`.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNSETVNETBE = write(Device, _IOW("T", 222, Struct.i32), Struct.i32, options("TUNSETVNETBE"))

/**
 * Whether that header is big-endian: 1 or 0.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNGETVNETBE = read(Device, _IOR("T", 223, Struct.i32), Struct.i32, options("TUNGETVNETBE"))

/**
 * Sets the BPF program that chooses the queue, by its descriptor; -1 for none. Since Linux 4.16.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNSETSTEERINGEBPF = write(Device, _IOR("T", 224, Struct.i32), Struct.i32, options("TUNSETSTEERINGEBPF"))

/**
 * Sets the BPF program that chooses the packets, by its descriptor; -1 for none. Since Linux 4.16.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNSETFILTEREBPF = write(Device, _IOR("T", 225, Struct.i32), Struct.i32, options("TUNSETFILTEREBPF"))

/**
 * Plugs the cable in with 1, out with 0. Since Linux 5.0.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNSETCARRIER = write(Device, _IOW("T", 226, Struct.i32), Struct.i32, options("TUNSETCARRIER"))

/**
 * Opens the network namespace of the interface. Made with `File.ioctlOpen`. Since Linux 5.2.
 *
 * @category requests
 * @since 0.1.0
 */
export const TUNGETDEVNETNS = opens(Device, _IO("T", 227), Namespace, options("TUNGETDEVNETNS"))
