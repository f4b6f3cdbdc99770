/**
 * Requests to disks and other block devices: sd(4), linux/fs.h, linux/blkpg.h, linux/blkzoned.h, linux/hdreg.h.
 */
import * as Abi from "../Abi.ts"
import { errorsOf } from "../errors/registry.ts"
import * as Struct from "../Struct.ts"
import * as Syscall from "../Syscall.ts"
import { _IO, _IOR, _IOW, _IOWR, device, keep, make, none, read, value, write } from "./request.ts"

export { BLKPG_ADD_PARTITION, BLKPG_DEL_PARTITION, BLKPG_RESIZE_PARTITION } from "./constants-filesystem.ts"

/**
 * A block device: a disk, a partition, whatever looks like one.
 *
 * @category devices
 * @since 0.1.0
 */
export const Device = device("Block")
/**
 * @category devices
 * @since 0.1.0
 */
export type Device = typeof Device

const errors = errorsOf("ioctl", [
  "EBADF",
  "EBUSY",
  "EFAULT",
  "EINVAL",
  "EIO",
  "ENOTTY",
  "ENXIO",
  "EPERM",
  "EACCES",
  "EINTR",
  "EOPNOTSUPP",
  "EROFS",
  "EREMOTEIO",
  "ENOMEM"
])

const options = (name: string, waits = false) => ({ name, waits, errors })

const rangeOfBytes = Struct.array(Struct.u64, 2)

// ---------------------------------------------------------------------------------------------------------------------
// sizes
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The size of the device, in bytes.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKGETSIZE64 = read(Device, _IOR(0x12, 114, Struct.u64), Struct.u64, options("BLKGETSIZE64"))

/**
 * The size of the device, in sectors of 512 bytes.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKGETSIZE = read(Device, _IO(0x12, 96), Struct.u64, options("BLKGETSIZE"))

/**
 * The size of a logical sector, in bytes: the least that is read and written.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKSSZGET = read(Device, _IO(0x12, 104), Struct.i32, options("BLKSSZGET"))

/**
 * The size of a physical sector, in bytes.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKPBSZGET = read(Device, _IO(0x12, 123), Struct.u32, options("BLKPBSZGET"))

/**
 * The size of a block of the page cache, in bytes.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKBSZGET = read(Device, _IOR(0x12, 112, Struct.u64), Struct.i32, options("BLKBSZGET"))

/**
 * Sets the size of a block of the page cache, in bytes. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKBSZSET = write(Device, _IOW(0x12, 113, Struct.u64), Struct.i32, options("BLKBSZSET", true))

/**
 * The least that is read and written without loss of speed, in bytes.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKIOMIN = read(Device, _IO(0x12, 120), Struct.u32, options("BLKIOMIN"))

/**
 * What is best read and written at a time, in bytes; 0 where it does not say.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKIOOPT = read(Device, _IO(0x12, 121), Struct.u32, options("BLKIOOPT"))

/**
 * How far the device's start is from a physical sector's, in bytes.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKALIGNOFF = read(Device, _IO(0x12, 122), Struct.i32, options("BLKALIGNOFF"))

/**
 * The most that is asked of the device at a time, in sectors of 512 bytes.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKSECTGET = read(Device, _IO(0x12, 103), Struct.u16, options("BLKSECTGET"))

/**
 * How much is read ahead, in sectors of 512 bytes.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKRAGET = read(Device, _IO(0x12, 99), Struct.u64, options("BLKRAGET"))

/**
 * Sets how much is read ahead, in sectors of 512 bytes.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKRASET = value(Device, _IO(0x12, 98), options("BLKRASET"))

/**
 * How much a file system on it reads ahead, in sectors of 512 bytes.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKFRAGET = read(Device, _IO(0x12, 101), Struct.u64, options("BLKFRAGET"))

/**
 * Sets how much a file system on it reads ahead, in sectors of 512 bytes.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKFRASET = value(Device, _IO(0x12, 100), options("BLKFRASET"))

/**
 * Whether it turns: 1 or 0.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKROTATIONAL = read(Device, _IO(0x12, 126), Struct.u16, options("BLKROTATIONAL"))

/**
 * Whether discarded sectors read as zeros: 0, since Linux 4.12 says no more.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKDISCARDZEROES = read(Device, _IO(0x12, 124), Struct.u32, options("BLKDISCARDZEROES"))

/**
 * A number that no other disk ever has, until the machine is started again. Since Linux 5.15.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKGETDISKSEQ = read(Device, _IOR(0x12, 128, Struct.u64), Struct.u64, options("BLKGETDISKSEQ"))

/**
 * The shape that the disk is said to have, and the sector at which a partition begins.
 *
 * @category requests
 * @since 0.1.0
 */
export const HDIO_GETGEO = read(Device, 0x0301, Abi.hd_geometry, options("HDIO_GETGEO"))

// ---------------------------------------------------------------------------------------------------------------------
// contents
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Whether the device is read-only: 1 or 0.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKROGET = read(Device, _IO(0x12, 94), Struct.i32, options("BLKROGET"))

/**
 * Makes the device read-only with 1, writable with 0. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKROSET = write(Device, _IO(0x12, 93), Struct.i32, options("BLKROSET", true))

/**
 * Writes all that is cached of the device and drops it. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKFLSBUF = none(Device, _IO(0x12, 97), options("BLKFLSBUF", true))

/**
 * Reads the partition table again. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKRRPART = none(Device, _IO(0x12, 95), options("BLKRRPART", true))

/**
 * DESTROYS DATA: discards a range, `[start, length]` in bytes, whose contents are undefined then. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKDISCARD = write(Device, _IO(0x12, 119), rangeOfBytes, options("BLKDISCARD", true))

/**
 * DESTROYS DATA: discards a range, `[start, length]` in bytes, so that nothing can be found of it. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKSECDISCARD = write(Device, _IO(0x12, 125), rangeOfBytes, options("BLKSECDISCARD", true))

/**
 * DESTROYS DATA: makes a range zeros, `[start, length]` in bytes. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKZEROOUT = write(Device, _IO(0x12, 127), rangeOfBytes, options("BLKZEROOUT", true))

// ---------------------------------------------------------------------------------------------------------------------
// partitions
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A change to the kernel's idea of a disk's partitions; the table on the disk stays as it is.
 *
 * @category models
 * @since 0.1.0
 */
export interface PartitionChange {
  /** `BLKPG_ADD_PARTITION`, `BLKPG_DEL_PARTITION` or `BLKPG_RESIZE_PARTITION`. */
  readonly op: number
  /** The number of the partition, from 1 on. */
  readonly pno: number
  /** Where it begins, in bytes; for deleting 0. */
  readonly start?: bigint
  /** In bytes; for deleting 0. */
  readonly length?: bigint
}

/**
 * Adds, deletes or resizes a partition in the kernel's mind. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKPG = make(Device, _IO(0x12, 105), {
  ...options("BLKPG"),
  encode: ({ length = 0n, op, pno, start = 0n }: PartitionChange) => {
    const nameless = new Uint8Array(0)
    const partition = Abi.blkpg_partition.encode({ start, length, pno, devname: nameless, volname: nameless })
    const data = Syscall.addressOf(partition)
    return keep(Abi.blkpg_ioctl_arg.encode({ op, flags: 0, datalen: partition.length, data }), partition)
  },
  decode: (result) => result
})

// ---------------------------------------------------------------------------------------------------------------------
// zones
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Which zones of a zoned disk are to be told: at most `nr_zones` from the one that holds `sector` on.
 *
 * @category models
 * @since 0.1.0
 */
export interface ZoneQuery {
  /** In sectors of 512 bytes. */
  readonly sector: bigint
  /** Up to 4,096. */
  readonly nr_zones: number
}

const zonesBytes = (zones: number): number => {
  if (!Number.isInteger(zones) || zones < 0 || zones > 4096) {
    throw new RangeError(`nr_zones: expected an integer from 0 to 4096, got ${zones}`)
  }
  return Abi.blk_zone_report.size + zones * Abi.blk_zone.size
}

/**
 * The zones of a zoned disk. Since Linux 4.10. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKREPORTZONE = make(Device, _IOWR(0x12, 130, Abi.blk_zone_report), {
  ...options("BLKREPORTZONE", true),
  encode: ({ nr_zones, sector }: ZoneQuery) =>
    Abi.blk_zone_report.encode({ sector, nr_zones, flags: 0 }, new Uint8Array(zonesBytes(nr_zones))),
  decode: (_, memory) => {
    const { nr_zones } = Abi.blk_zone_report.decode(memory)
    return Array.from({ length: nr_zones }, (_, index) =>
      Abi.blk_zone.decode(memory, Abi.blk_zone_report.size + index * Abi.blk_zone.size)
    )
  }
})

/**
 * DESTROYS DATA: empties zones. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKRESETZONE = write(
  Device,
  _IOW(0x12, 131, Abi.blk_zone_range),
  Abi.blk_zone_range,
  options("BLKRESETZONE", true)
)

/**
 * Opens zones for writing. Since Linux 5.5. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKOPENZONE = write(
  Device,
  _IOW(0x12, 134, Abi.blk_zone_range),
  Abi.blk_zone_range,
  options("BLKOPENZONE", true)
)

/**
 * Closes zones. Since Linux 5.5. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKCLOSEZONE = write(
  Device,
  _IOW(0x12, 135, Abi.blk_zone_range),
  Abi.blk_zone_range,
  options("BLKCLOSEZONE", true)
)

/**
 * Makes zones full. Since Linux 5.5. Can wait.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKFINISHZONE = write(
  Device,
  _IOW(0x12, 136, Abi.blk_zone_range),
  Abi.blk_zone_range,
  options("BLKFINISHZONE", true)
)

/**
 * The size of a zone, in sectors of 512 bytes; 0 where there are none. Since Linux 4.20.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKGETZONESZ = read(Device, _IOR(0x12, 132, Struct.u32), Struct.u32, options("BLKGETZONESZ"))

/**
 * How many zones there are. Since Linux 4.20.
 *
 * @category requests
 * @since 0.1.0
 */
export const BLKGETNRZONES = read(Device, _IOR(0x12, 133, Struct.u32), Struct.u32, options("BLKGETNRZONES"))
