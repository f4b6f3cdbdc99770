/** Structures of descriptors that tell of events, and of futexes. */

import { architecture } from "../internal/architecture.ts"
import * as Struct from "../Struct.ts"

/**
 * What is to be told of a file, or has happened to it: `events` are of `EPOLLIN`, `EPOLLOUT` and the like, `data` is
 * whatever the caller gave. Without padding on x86_64, with it elsewhere.
 *
 * @category structures
 * @since 0.1.0
 */
export const epoll_event = Struct.make("epoll_event", {
  // Packed on x86_64: fields that are aligned to a byte come to the same.
  events: Struct.aligned(Struct.u32, architecture === "x86_64" ? 1 : 4),
  data: Struct.aligned(Struct.u64, architecture === "x86_64" ? 1 : 8)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface epoll_event extends Struct.Type<typeof epoll_event> {}

/**
 * A file that is waited for, and what has happened to it: `events` and `revents` are of `POLLIN`, `POLLOUT` and the
 * like. One with a negative `fd` is left out.
 *
 * @category structures
 * @since 0.1.0
 */
export const pollfd = Struct.make("pollfd", {
  fd: Struct.i32,
  events: Struct.i16,
  revents: Struct.i16
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface pollfd extends Struct.Type<typeof pollfd> {}

/**
 * A futex that is waited for with others: `val` is the value it must have, `uaddr` where it lies, `flags` are of
 * `FUTEX2_*`.
 *
 * @category structures
 * @since 0.1.0
 */
export const futex_waitv = Struct.make("futex_waitv", {
  val: Struct.u64,
  uaddr: Struct.u64,
  flags: Struct.u32,
  __reserved: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface futex_waitv extends Struct.Type<typeof futex_waitv> {}
