/**
 * Control messages: what travels beside the data of `sendmsg` and `recvmsg`.
 */
import * as Abi from "../Abi.ts"
import { descriptor } from "../internal/arguments.ts"
import { SCM_CREDENTIALS, SCM_PIDFD, SCM_RIGHTS, SOL_SOCKET } from "../internal/constants.ts"

/**
 * Descriptors that are passed to another process (`SCM_RIGHTS`): the receiver gets its own, of the same open files.
 *
 * @category messages
 * @since 0.1.0
 */
export interface ControlRights {
  readonly _tag: "Rights"
  readonly fds: ReadonlyArray<number>
}

/**
 * Who sent the message (`SCM_CREDENTIALS`): received where `SO_PASSCRED` is set.
 *
 * @category messages
 * @since 0.1.0
 */
export interface ControlCredentials {
  readonly _tag: "Credentials"
  readonly pid: number
  readonly uid: number
  readonly gid: number
}

/**
 * A descriptor of the process that sent the message (`SCM_PIDFD`): received where `SO_PASSPIDFD` is set. `fd` is a
 * negative errno where the kernel could not make one.
 *
 * @category messages
 * @since 0.1.0
 */
export interface ControlPidfd {
  readonly _tag: "Pidfd"
  readonly fd: number
}

/**
 * Any other control message: `level` and `type` as for `getsockopt`, `data` as C has it.
 *
 * @category messages
 * @since 0.1.0
 */
export interface ControlRaw {
  readonly _tag: "Raw"
  readonly level: number
  readonly type: number
  readonly data: Uint8Array
}

/**
 * A control message.
 *
 * @category messages
 * @since 0.1.0
 */
export type ControlMessage = ControlRights | ControlCredentials | ControlPidfd | ControlRaw

const head = Abi.cmsghdr.size

const align = (length: number): number => Math.ceil(length / 8) * 8

/**
 * The room that a control message with `length` bytes of data takes, in bytes: for `controllen` of `recvmsg`. Descriptors
 * are 4 bytes each, credentials 12.
 *
 * @category messages
 * @since 0.1.0
 */
export const CMSG_SPACE = (length: number): number => head + align(length)

const intBytes = (values: ReadonlyArray<number>): Uint8Array => {
  const view = new DataView(new ArrayBuffer(4 * values.length))
  for (const [index, value] of values.entries()) view.setInt32(4 * index, descriptor("control", value), true)
  return new Uint8Array(view.buffer)
}

const rawOf = (message: ControlMessage): Omit<ControlRaw, "_tag"> => {
  switch (message._tag) {
    case "Rights":
      return { level: SOL_SOCKET, type: SCM_RIGHTS, data: intBytes(message.fds) }
    case "Credentials": {
      const { gid, pid, uid } = message
      return { level: SOL_SOCKET, type: SCM_CREDENTIALS, data: Abi.ucred.encode({ pid, uid, gid }) }
    }
    case "Pidfd":
      return { level: SOL_SOCKET, type: SCM_PIDFD, data: intBytes([message.fd]) }
    case "Raw":
      return message
    default:
      throw new TypeError("control: expected messages with one of the tags of ControlMessage")
  }
}

/** Control messages as `sendmsg` takes them. */
export const encodeControl = (messages: ReadonlyArray<ControlMessage>): Uint8Array => {
  const raw = messages.map(rawOf)
  const bytes = new Uint8Array(raw.reduce((sum, { data }) => sum + CMSG_SPACE(data.length), 0))
  let at = 0
  for (const { data, level, type } of raw) {
    const header = { cmsg_len: BigInt(head + data.length), cmsg_level: level, cmsg_type: type }
    Abi.cmsghdr.encode(header, bytes, at)
    bytes.set(data, at + head)
    at += CMSG_SPACE(data.length)
  }
  return bytes
}

const ints = (data: Uint8Array): ReadonlyArray<number> => {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  return Array.from({ length: Math.floor(data.length / 4) }, (_, index) => view.getInt32(4 * index, true))
}

const messageOf = (level: number, type: number, data: Uint8Array): ControlMessage => {
  if (level === SOL_SOCKET) {
    if (type === SCM_RIGHTS) return { _tag: "Rights", fds: ints(data) }
    if (type === SCM_CREDENTIALS && data.length >= Abi.ucred.size) {
      return { _tag: "Credentials", ...Abi.ucred.decode(data) }
    }
    const [fd] = type === SCM_PIDFD ? ints(data) : []
    if (fd !== undefined) return { _tag: "Pidfd", fd }
  }
  return { _tag: "Raw", level, type, data }
}

/** The control messages that the kernel wrote; of one that had not enough room, what there is of it. Never throws. */
export const decodeControl = (bytes: Uint8Array): ReadonlyArray<ControlMessage> => {
  const messages: Array<ControlMessage> = []
  for (let at = 0; at + head <= bytes.length; ) {
    const { cmsg_len, cmsg_level, cmsg_type } = Abi.cmsghdr.decode(bytes, at)
    const length = Number(cmsg_len)
    if (length < head) break
    messages.push(messageOf(cmsg_level, cmsg_type, bytes.slice(at + head, Math.min(at + length, bytes.length))))
    at += align(length)
  }
  return messages
}

/** The descriptors that came with control messages: whoever does not want the messages must close them. */
export const descriptorsOf = (messages: ReadonlyArray<ControlMessage>): ReadonlyArray<number> =>
  messages
    .flatMap((message) => (message._tag === "Rights" ? message.fds : message._tag === "Pidfd" ? [message.fd] : []))
    .filter((fd) => fd >= 0)
