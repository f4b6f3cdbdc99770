/**
 * What the kernel writes into a buffer in pieces of their own lengths, taken apart: names of extended attributes, old
 * entries of directories, events of inotify and fanotify.
 */
import * as Abi from "../Abi.ts"
import {
  FAN_EVENT_INFO_TYPE_DFID,
  FAN_EVENT_INFO_TYPE_DFID_NAME,
  FAN_EVENT_INFO_TYPE_ERROR,
  FAN_EVENT_INFO_TYPE_FID,
  FAN_EVENT_INFO_TYPE_MNT,
  FAN_EVENT_INFO_TYPE_NEW_DFID_NAME,
  FAN_EVENT_INFO_TYPE_OLD_DFID_NAME,
  FAN_EVENT_INFO_TYPE_PIDFD,
  FAN_EVENT_INFO_TYPE_RANGE
} from "../internal/constants.ts"
import type { Dirent } from "./files.ts"
import type { FileHandle } from "./paths.ts"

/** The bytes up to the first NUL, or all. */
const untilNul = (bytes: Uint8Array): Uint8Array => {
  const end = bytes.indexOf(0)
  return bytes.slice(0, end < 0 ? bytes.length : end)
}

/**
 * Pieces that say their own length: `take` is given the bytes from one's beginning on, and tells its value and its
 * length. What is too short for its head, or says that it is longer than the rest, ends the list: the kernel writes
 * whole pieces only.
 */
const pieces = <A>(
  bytes: Uint8Array,
  head: number,
  take: (rest: Uint8Array) => { readonly length: number; readonly value: () => A }
): ReadonlyArray<A> => {
  const list: Array<A> = []
  for (let at = 0; at + head <= bytes.length; ) {
    const { length, value } = take(bytes.subarray(at))
    if (length < head || at + length > bytes.length) break
    list.push(value())
    at += length
  }
  return list
}

/**
 * Decodes the names that `listxattr` and its kin wrote into the first `length` bytes of a buffer.
 *
 * @category paths
 * @since 0.1.0
 */
export const xattrNames = (buffer: Uint8Array, length: number = buffer.byteLength): ReadonlyArray<Uint8Array> => {
  const names: Array<Uint8Array> = []
  for (let at = 0; at < length; ) {
    const name = untilNul(buffer.subarray(at, length))
    names.push(name)
    at += name.length + 1
  }
  return names
}

/**
 * Decodes the entries that `getdents` wrote into the first `length` bytes of a buffer.
 *
 * @category paths
 * @since 0.1.0
 */
export const oldDirents = (buffer: Uint8Array, length: number = buffer.byteLength): ReadonlyArray<Dirent> => {
  const nameAt = Abi.linux_dirent.fields.d_reclen.offset + Abi.linux_dirent.fields.d_reclen.size
  // The structure's size has the padding that the name begins in.
  return pieces(buffer.subarray(0, length), Abi.linux_dirent.size, (rest) => {
    const head = Abi.linux_dirent.decode(rest)
    return {
      length: head.d_reclen,
      value: () => ({
        ...head,
        d_type: rest[head.d_reclen - 1] ?? 0,
        d_name: untilNul(rest.subarray(nameAt, head.d_reclen - 1))
      })
    }
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// inotify
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Something that happened to a watched file, or in a watched directory.
 *
 * @category models
 * @since 0.1.0
 */
export interface InotifyEvent extends Abi.inotify_event {
  /** The name in the watched directory, as Linux keeps it; empty where the event is about the watched file itself. */
  readonly name: Uint8Array
}

/**
 * Decodes the events that were read from the queue of `inotify_init1` into the first `length` bytes of a buffer.
 *
 * @category paths
 * @since 0.1.0
 */
export const inotifyEvents = (buffer: Uint8Array, length: number = buffer.byteLength): ReadonlyArray<InotifyEvent> =>
  pieces(buffer.subarray(0, length), Abi.inotify_event.size, (rest) => {
    const head = Abi.inotify_event.decode(rest)
    const length = Abi.inotify_event.size + head.len
    return { length, value: () => ({ ...head, name: untilNul(rest.subarray(Abi.inotify_event.size, length)) }) }
  })

// ---------------------------------------------------------------------------------------------------------------------
// fanotify
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A record that says more of a fanotify event: which file by its handle (and in a directory by its name), which process,
 * which error, which part of the file, which mount. `info_type` is one of `FAN_EVENT_INFO_TYPE_*`.
 *
 * @category models
 * @since 0.1.0
 */
export type FanotifyInformation =
  | {
      readonly _tag: "File"
      readonly info_type: number
      readonly fsid: ReadonlyArray<number>
      readonly handle: FileHandle
      /** As Linux keeps it; undefined for types of record that have none. */
      readonly name: Uint8Array | undefined
    }
  | { readonly _tag: "Process"; readonly info_type: number; readonly pidfd: number }
  | { readonly _tag: "Error"; readonly info_type: number; readonly error: number; readonly error_count: number }
  | { readonly _tag: "Range"; readonly info_type: number; readonly offset: bigint; readonly count: bigint }
  | { readonly _tag: "Mount"; readonly info_type: number; readonly mnt_id: bigint }
  /** Of a type that is not known here: the bytes behind the head. */
  | { readonly _tag: "Other"; readonly info_type: number; readonly bytes: Uint8Array }

/**
 * Something that happened on a marked file, mount or file system.
 *
 * `fd`, where it is not `FAN_NOFD`, is an open descriptor that is now the reader's to close; so is the descriptor of a
 * `Process`.
 *
 * @category models
 * @since 0.1.0
 */
export interface FanotifyEvent extends Abi.fanotify_event_metadata {
  readonly information: ReadonlyArray<FanotifyInformation>
}

const withName: ReadonlyArray<number> = [
  FAN_EVENT_INFO_TYPE_DFID_NAME,
  FAN_EVENT_INFO_TYPE_OLD_DFID_NAME,
  FAN_EVENT_INFO_TYPE_NEW_DFID_NAME
]

const information = (info_type: number, record: Uint8Array): FanotifyInformation => {
  switch (info_type) {
    case FAN_EVENT_INFO_TYPE_FID:
    case FAN_EVENT_INFO_TYPE_DFID:
    case FAN_EVENT_INFO_TYPE_DFID_NAME:
    case FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
    case FAN_EVENT_INFO_TYPE_NEW_DFID_NAME: {
      const { fsid } = Abi.fanotify_event_info_fid.decode(record)
      const { handle_bytes, handle_type } = Abi.file_handle.decode(record, Abi.fanotify_event_info_fid.size)
      const handleAt = Abi.fanotify_event_info_fid.size + Abi.file_handle.size
      return {
        _tag: "File",
        info_type,
        fsid,
        handle: { handle_type, f_handle: record.slice(handleAt, handleAt + handle_bytes) },
        name: withName.includes(info_type) ? untilNul(record.subarray(handleAt + handle_bytes)) : undefined
      }
    }
    case FAN_EVENT_INFO_TYPE_PIDFD:
      return { _tag: "Process", info_type, pidfd: Abi.fanotify_event_info_pidfd.decode(record).pidfd }
    case FAN_EVENT_INFO_TYPE_ERROR: {
      const { error, error_count } = Abi.fanotify_event_info_error.decode(record)
      return { _tag: "Error", info_type, error, error_count }
    }
    case FAN_EVENT_INFO_TYPE_RANGE: {
      const { count, offset } = Abi.fanotify_event_info_range.decode(record)
      return { _tag: "Range", info_type, offset, count }
    }
    case FAN_EVENT_INFO_TYPE_MNT:
      return { _tag: "Mount", info_type, mnt_id: Abi.fanotify_event_info_mnt.decode(record).mnt_id }
    default:
      return { _tag: "Other", info_type, bytes: record.slice(Abi.fanotify_event_info_header.size) }
  }
}

const informations = (records: Uint8Array): ReadonlyArray<FanotifyInformation> =>
  pieces(records, Abi.fanotify_event_info_header.size, (rest) => {
    const { info_type, len } = Abi.fanotify_event_info_header.decode(rest)
    return { length: len, value: () => information(info_type, rest.subarray(0, len)) }
  })

/**
 * Decodes the events that were read from the queue of `fanotify_init` into the first `length` bytes of a buffer.
 *
 * @category paths
 * @since 0.1.0
 */
export const fanotifyEvents = (buffer: Uint8Array, length: number = buffer.byteLength): ReadonlyArray<FanotifyEvent> =>
  pieces(buffer.subarray(0, length), Abi.fanotify_event_metadata.size, (rest) => {
    const metadata = Abi.fanotify_event_metadata.decode(rest)
    return {
      length: metadata.event_len,
      value: () => ({
        ...metadata,
        information: informations(rest.subarray(metadata.metadata_len, metadata.event_len))
      })
    }
  })
