/**
 * The values of options that are more than one number and have no home of their own: filters, keys, what is known of a
 * connection. The plain ones are in option-codec.ts, those with IP addresses in option-groups.ts.
 */
import * as Abi from "../Abi.ts"
import * as Struct from "../Struct.ts"
import { addressOf } from "../syscall/raw.ts"
import type { SockAddrLike } from "../syscall/sockaddr.ts"
import { type Codec, list, type Readable, struct } from "./option-codec.ts"
import { storage, unreadable } from "./option-groups.ts"

/** The most instructions of a classic filter: BPF_MAXINSNS. */
const mostInstructions = 4096

/** A classic filter as it is read: the instructions. */
export const filterRead: Codec<ReadonlyArray<Abi.sock_filter>, ReadonlyArray<Abi.sock_filter>> = list(
  Abi.sock_filter,
  mostInstructions
)

/** A classic filter as it is set: where the instructions are and how many. */
export const filterWritten: Codec<never, ReadonlyArray<Abi.sock_filter>> = {
  size: 0,
  decode: unreadable,
  encode: (instructions) => {
    if (instructions.length > mostInstructions) {
      throw new RangeError(`value: ${instructions.length} instructions are more than ${mostInstructions}`)
    }
    // The instructions lie behind the structure, so that they live as long as it does.
    const { size } = Abi.sock_fprog
    const memory = new Uint8Array(size + instructions.length * Abi.sock_filter.size)
    for (const [index, instruction] of instructions.entries()) {
      Abi.sock_filter.encode(instruction, memory, size + index * Abi.sock_filter.size)
    }
    Abi.sock_fprog.encode({ len: instructions.length, filter: addressOf(memory) + BigInt(size) }, memory)
    return memory.subarray(0, size)
  }
}

/**
 * A key for a peer.
 *
 * @category models
 * @since 0.1.0
 */
export interface Md5Key {
  /** The peer: an IPv4 or IPv6 address, the port of which plays no part. */
  readonly tcpm_addr: SockAddrLike
  /** Of `TCP_MD5SIG_FLAG_*`: for `TCP_MD5SIG_EXT`. */
  readonly tcpm_flags?: number | undefined
  readonly tcpm_prefixlen?: number | undefined
  readonly tcpm_ifindex?: number | undefined
  /** Up to 80 bytes; none takes the key away. */
  readonly tcpm_key: Uint8Array
}

export const md5Key: Codec<never, Md5Key> = {
  size: 0,
  decode: unreadable,
  encode: ({ tcpm_addr, tcpm_flags = 0, tcpm_ifindex = 0, tcpm_key, tcpm_prefixlen = 0 }) =>
    Abi.tcp_md5sig.encode({
      tcpm_addr: storage(tcpm_addr),
      tcpm_flags,
      tcpm_prefixlen,
      tcpm_keylen: tcpm_key.length,
      tcpm_ifindex,
      tcpm_key
    })
}

/**
 * What is known of a TCP connection: see `Abi.tcp_info`, with the fields of a few bits by their names. Fields that the
 * kernel does not know yet are 0.
 *
 * @category models
 * @since 0.1.0
 */
export interface TcpInfo extends Omit<Abi.tcp_info, "tcpi_wscale" | "tcpi_flags"> {
  readonly tcpi_snd_wscale: number
  readonly tcpi_rcv_wscale: number
  readonly tcpi_delivery_rate_app_limited: number
  readonly tcpi_fastopen_client_fail: number
}

const tcpInfoLayout = struct(Abi.tcp_info)

export const tcpInfo: Codec<TcpInfo, never> = {
  size: tcpInfoLayout.size,
  decode: (bytes) => {
    const { tcpi_flags, tcpi_wscale, ...rest } = tcpInfoLayout.decode(bytes)
    return {
      ...rest,
      tcpi_snd_wscale: tcpi_wscale & 0xf,
      tcpi_rcv_wscale: tcpi_wscale >> 4,
      tcpi_delivery_rate_app_limited: tcpi_flags & 1,
      tcpi_fastopen_client_fail: (tcpi_flags >> 1) & 3
    }
  },
  encode: unreadable
}

const memoryInfo = Struct.array(Struct.u32, 9)

/**
 * The memory that a socket uses, in bytes but `drops`, a number of packets.
 *
 * @category models
 * @since 0.1.0
 */
export interface MemoryInfo {
  readonly rmem_alloc: number
  readonly rcvbuf: number
  readonly wmem_alloc: number
  readonly sndbuf: number
  readonly fwd_alloc: number
  readonly wmem_queued: number
  readonly optmem: number
  readonly backlog: number
  readonly drops: number
}

export const memory: Codec<MemoryInfo, never> = {
  size: memoryInfo.size,
  decode: (bytes) => {
    const [
      rmem_alloc = 0,
      rcvbuf = 0,
      wmem_alloc = 0,
      sndbuf = 0,
      fwd_alloc = 0,
      wmem_queued = 0,
      optmem = 0,
      backlog = 0,
      drops = 0
    ] = struct(memoryInfo).decode(bytes)
    return { rmem_alloc, rcvbuf, wmem_alloc, sndbuf, fwd_alloc, wmem_queued, optmem, backlog, drops }
  },
  encode: unreadable
}

/** An option of some bytes that is asked with some bytes. */
export const asked = (name: string, level: number, optname: number): Readable<Uint8Array, Uint8Array> => ({
  name,
  level,
  optname,
  room: (query) => query.slice(),
  largest: 0,
  decode: (bytes) => bytes.slice()
})
