/**
 * Which system calls io_uring can make, and how: a table from the number of a call to what is written into an entry. A
 * call that stands here goes through the ring wherever it would wait, whoever makes it; nothing else has to know.
 *
 * To add one: its line in the table, with the arguments as the kernel gets them (memory as addresses).
 */
import * as constants from "../constants.ts"
import { nr } from "../nr.ts"
import { set64 } from "./ring.ts"

/** The arguments of a call, as numbers: memory that is lent is an address. */
export type Words = ReadonlyArray<number>

export interface Operation {
  readonly op: number
  /** Whether the kernel is to make it on a thread of its own at once: for what it would otherwise try on ours, and wait. */
  readonly elsewhere: boolean
  /**
   * Whether it is a transfer. The kernel first tries those on our thread as well, and on a local file system they do not
   * wait there; but of a file on another one it asks first whether it is ready, and that waits for the server.
   */
  readonly isTransfer?: boolean
  /** The descriptor it is about. */
  readonly fd: (words: Words) => number
  /** Writes the rest of the entry; false where the ring has no way to say it. */
  readonly fill: (entry: Int32Array, words: Words) => boolean
}

const {
  AT_FDCWD,
  AT_REMOVEDIR,
  FUTEX_PRIVATE_FLAG,
  FUTEX2_SIZE_U32,
  IORING_FSYNC_DATASYNC,
  IORING_OP_ACCEPT,
  IORING_OP_FADVISE,
  IORING_OP_FALLOCATE,
  IORING_OP_FGETXATTR,
  IORING_OP_FSETXATTR,
  IORING_OP_FSYNC,
  IORING_OP_FTRUNCATE,
  IORING_OP_FUTEX_WAIT,
  IORING_OP_GETXATTR,
  IORING_OP_LINKAT,
  IORING_OP_MADVISE,
  IORING_OP_MKDIRAT,
  IORING_OP_OPENAT,
  IORING_OP_OPENAT2,
  IORING_OP_READ,
  IORING_OP_RENAMEAT,
  IORING_OP_SETXATTR,
  IORING_OP_SPLICE,
  IORING_OP_STATX,
  IORING_OP_SYMLINKAT,
  IORING_OP_SYNC_FILE_RANGE,
  IORING_OP_TEE,
  IORING_OP_UNLINKAT,
  IORING_OP_WAITID,
  IORING_OP_WRITE
} = constants

// The places of an entry, in 32-bit words.
const offAt = 2
const addrAt = 4
const lenAt = 6
const flagsAt = 7
const fileIndexAt = 11
const addr3At = 12

const most32 = 0xffff_ffff

const table = new Map<number, Operation>()

const word = (words: Words, at: number): number => words[at] ?? 0
const first = (words: Words): number => word(words, 0)
const here = (): number => AT_FDCWD

const add = (
  number: number | undefined,
  op: number,
  options: Pick<Operation, "elsewhere" | "isTransfer" | "fd">,
  fill: (entry: Int32Array, words: Words) => boolean | undefined
): void => {
  // This architecture may lack the call: then nobody makes it.
  if (number === undefined) return
  table.set(number, { op, ...options, fill: (entry, words) => fill(entry, words) !== false })
}

/** The entry's address, length, offset and flags, which is what most operations have. */
const write = (entry: Int32Array, addr: number, len: number, off: number, flags: number): void => {
  set64(entry, addrAt, addr)
  entry[lenAt] = len
  set64(entry, offAt, off)
  entry[flagsAt] = flags
}

// -- transfers: at -1 the kernel uses and moves the file's own offset ---------------------------------------------------

// The kernel first tries these itself without waiting, and then waits for the page or the device without a thread.
const onFile = { elsewhere: false, isTransfer: true, fd: first }

const transfer = (
  number: number | undefined,
  op: number,
  offset: (words: Words) => number,
  flags: (words: Words) => number
): void =>
  add(number, op, onFile, (entry, words) => {
    const at = offset(words)
    // What the plain calls say of a negative offset is for them to say.
    if (at < -1) return false
    write(entry, word(words, 1), Math.min(word(words, 2), most32), at, flags(words))
    return true
  })

const own = (): number => -1
const none = (): number => 0
const fourth = (words: Words): number => (word(words, 3) < 0 ? -2 : word(words, 3))
/** The v2 forms take -1 for the file's own offset, as the ring does. */
const fourthOrOwn = (words: Words): number => word(words, 3)

for (const [op, plain, vector, at, vectorAt, vectorAt2] of [
  [IORING_OP_READ, nr.read, nr.readv, nr.pread64, nr.preadv, nr.preadv2],
  [IORING_OP_WRITE, nr.write, nr.writev, nr.pwrite64, nr.pwritev, nr.pwritev2]
] as const) {
  transfer(plain, op, own, none)
  transfer(vector, op, own, none)
  transfer(at, op, fourth, none)
  transfer(vectorAt, op, fourth, none)
  transfer(vectorAt2, op, fourthOrOwn, (words) => word(words, 5))
}

// -- on descriptors ------------------------------------------------------------------------------------------------------

const onDescriptor = { elsewhere: true, fd: first }

add(nr.fsync, IORING_OP_FSYNC, onDescriptor, () => {})
add(nr.fdatasync, IORING_OP_FSYNC, onDescriptor, (entry) => {
  entry[flagsAt] = IORING_FSYNC_DATASYNC
})
add(nr.sync_file_range, IORING_OP_SYNC_FILE_RANGE, onDescriptor, (entry, [, offset = 0, length = 0, flags = 0]) => {
  write(entry, 0, length, offset, flags)
  return length <= most32
})
add(nr.fallocate, IORING_OP_FALLOCATE, onDescriptor, (entry, [, mode = 0, offset = 0, length = 0]) => {
  write(entry, length, mode, offset, 0)
})
add(nr.ftruncate, IORING_OP_FTRUNCATE, onDescriptor, (entry, [, length = 0]) => {
  set64(entry, offAt, length)
})
add(nr.fadvise64, IORING_OP_FADVISE, onDescriptor, (entry, [, offset = 0, length = 0, advice = 0]) => {
  write(entry, 0, length, offset, advice)
  return length <= most32
})
// Not close: the ring says that it is done before the file is let go, and who waited for that would be told too early.

add(nr.fsetxattr, IORING_OP_FSETXATTR, onDescriptor, (entry, [, name = 0, value = 0, size = 0, flags = 0]) => {
  write(entry, name, size, value, flags)
})
add(nr.fgetxattr, IORING_OP_FGETXATTR, onDescriptor, (entry, [, name = 0, value = 0, size = 0]) => {
  write(entry, name, size, value, 0)
})

// A descriptor on each side; pointers to offsets are not values, and the ring takes values.
add(
  nr.splice,
  IORING_OP_SPLICE,
  { elsewhere: true, fd: (words) => word(words, 2) },
  (entry, [from = 0, fromAt = 0, , toAt = 0, length = 0, flags = 0]) => {
    write(entry, -1, length, -1, flags)
    entry[fileIndexAt] = from
    return fromAt === 0 && toAt === 0 && length <= most32
  }
)
add(
  nr.tee,
  IORING_OP_TEE,
  { elsewhere: true, fd: (words) => word(words, 1) },
  (entry, [from = 0, , length = 0, flags = 0]) => {
    write(entry, 0, length, 0, flags)
    entry[fileIndexAt] = from
    return length <= most32
  }
)

// -- sockets: the kernel waits for these without a thread ----------------------------------------------------------------

// Not connect: a Unix socket whose peer has no room for more connections says all the same that it is ready.
const onSocket = { elsewhere: false, fd: first }

add(nr.accept4, IORING_OP_ACCEPT, onSocket, (entry, [, address = 0, length = 0, flags = 0]) => {
  write(entry, address, 0, length, flags)
})
add(nr.accept, IORING_OP_ACCEPT, onSocket, (entry, [, address = 0, length = 0]) => {
  write(entry, address, 0, length, 0)
})

// -- by path ---------------------------------------------------------------------------------------------------------------

const atDirectory = { elsewhere: true, fd: first }
const atPath = { elsewhere: true, fd: here }

add(nr.openat, IORING_OP_OPENAT, atDirectory, (entry, [, path = 0, flags = 0, mode = 0]) => {
  write(entry, path, mode, 0, flags)
})
add(nr.open, IORING_OP_OPENAT, atPath, (entry, [path = 0, flags = 0, mode = 0]) => {
  write(entry, path, mode, 0, flags)
})
add(nr.creat, IORING_OP_OPENAT, atPath, (entry, [path = 0, mode = 0]) => {
  write(entry, path, mode, 0, constants.O_CREAT | constants.O_WRONLY | constants.O_TRUNC)
})
add(nr.openat2, IORING_OP_OPENAT2, atDirectory, (entry, [, path = 0, how = 0, size = 0]) => {
  write(entry, path, size, how, 0)
})
add(nr.statx, IORING_OP_STATX, atDirectory, (entry, [, path = 0, flags = 0, mask = 0, buffer = 0]) => {
  write(entry, path, mask, buffer, flags)
})

add(nr.unlinkat, IORING_OP_UNLINKAT, atDirectory, (entry, [, path = 0, flags = 0]) => {
  write(entry, path, 0, 0, flags)
})
add(nr.unlink, IORING_OP_UNLINKAT, atPath, (entry, [path = 0]) => {
  write(entry, path, 0, 0, 0)
})
add(nr.rmdir, IORING_OP_UNLINKAT, atPath, (entry, [path = 0]) => {
  write(entry, path, 0, 0, AT_REMOVEDIR)
})
add(nr.mkdirat, IORING_OP_MKDIRAT, atDirectory, (entry, [, path = 0, mode = 0]) => {
  write(entry, path, mode, 0, 0)
})
add(nr.mkdir, IORING_OP_MKDIRAT, atPath, (entry, [path = 0, mode = 0]) => {
  write(entry, path, mode, 0, 0)
})

// Two paths, each with its directory: the second directory stands where others have a length.
const twoPaths = (
  op: number,
  both: number | undefined,
  withFlags: number | undefined,
  plain: number | undefined
): void => {
  const fill = (entry: Int32Array, [, from = 0, directory = 0, to = 0, flags = 0]: Words): undefined => {
    write(entry, from, directory, to, flags)
  }
  add(both, op, atDirectory, (entry, [fd = 0, from = 0, directory = 0, to = 0]) =>
    fill(entry, [fd, from, directory, to, 0])
  )
  add(withFlags, op, atDirectory, fill)
  add(plain, op, atPath, (entry, [from = 0, to = 0]) => fill(entry, [AT_FDCWD, from, AT_FDCWD, to, 0]))
}
twoPaths(IORING_OP_RENAMEAT, nr.renameat, nr.renameat2, nr.rename)
twoPaths(IORING_OP_LINKAT, undefined, nr.linkat, nr.link)

add(
  nr.symlinkat,
  IORING_OP_SYMLINKAT,
  { elsewhere: true, fd: (words) => word(words, 1) },
  (entry, [target = 0, , path = 0]) => {
    write(entry, target, 0, path, 0)
  }
)
add(nr.symlink, IORING_OP_SYMLINKAT, atPath, (entry, [target = 0, path = 0]) => {
  write(entry, target, 0, path, 0)
})

add(nr.setxattr, IORING_OP_SETXATTR, atPath, (entry, [path = 0, name = 0, value = 0, size = 0, flags = 0]) => {
  write(entry, name, size, value, flags)
  set64(entry, addr3At, path)
})
add(nr.getxattr, IORING_OP_GETXATTR, atPath, (entry, [path = 0, name = 0, value = 0, size = 0]) => {
  write(entry, name, size, value, 0)
  set64(entry, addr3At, path)
})

// -- memory, processes, futexes ---------------------------------------------------------------------------------------------

const onNothing = { elsewhere: true, fd: () => -1 }

add(nr.madvise, IORING_OP_MADVISE, onNothing, (entry, [address = 0, length = 0, advice = 0]) => {
  write(entry, address, length, 0, advice)
  return length <= most32
})

add(
  nr.waitid,
  IORING_OP_WAITID,
  { elsewhere: false, fd: (words) => word(words, 1) },
  (entry, [which = 0, , info = 0, options = 0, usage = 0]) => {
    write(entry, 0, which, info, 0)
    entry[fileIndexAt] = options
    return usage === 0
  }
)

// Of all that futex(2) does only the plain wait, and without a time: fd has the flags of the newer calls here.
add(
  nr.futex,
  IORING_OP_FUTEX_WAIT,
  {
    elsewhere: false,
    fd: (words) => FUTEX2_SIZE_U32 | ((word(words, 1) & FUTEX_PRIVATE_FLAG) === 0 ? 0 : FUTEX_PRIVATE_FLAG)
  },
  (entry, [address = 0, operation = 0, value = 0, timeout = 0]) => {
    write(entry, address, 0, value >>> 0, 0)
    set64(entry, addr3At, most32)
    return (operation & ~FUTEX_PRIVATE_FLAG) === 0 && timeout === 0
  }
)

/** How the ring makes a call; undefined where it cannot. */
export const operationOf = (number: number): Operation | undefined => table.get(number)
