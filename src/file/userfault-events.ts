/**
 * What descriptors of page faults tell.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Abi from "../Abi.ts"
import type * as errors from "../errors/calls.ts"
import * as constants from "../internal/constants.ts"
import type { Descriptor } from "../internal/descriptor.ts"
import { type Description, decodedAs } from "../internal/invoke.ts"
import { number } from "../syscall/convert.ts"
import * as describe from "../syscall/descriptions.ts"
import { decodeList } from "../syscall/events-memory.ts"
import { hold, own } from "./model.ts"
import { takeOn } from "./several.ts"

import type { device, UserFaultFd } from "./userfault-requests.ts"
/**
 * Something that happened to registered memory:
 *
 * - `PageFault`: somebody waits for a page, which begins at `page`. `address` is where it was touched, with the feature
 *   `exactAddress`, else the same; `thread` who waits, with `threadId`, else 0. It `isWrite`, was of a page that is
 *   protected against it (`isWriteProtected`), or of one that is there and not mapped (`isMinor`).
 * - `Fork`: the process has a child with the same memory, whose faults `child` tells of.
 * - `Remap`, `Remove`, `Unmap`: memory was moved, let go (`madvise`), or unmapped. Whoever did it waits until it was read.
 *
 * @category models
 * @since 0.1.0
 */
export type Event =
  | {
      readonly _tag: "PageFault"
      readonly page: bigint
      readonly address: bigint
      readonly isWrite: boolean
      readonly isWriteProtected: boolean
      readonly isMinor: boolean
      readonly thread: number
    }
  | { readonly _tag: "Fork"; readonly child: UserFaultFd }
  | { readonly _tag: "Remap"; readonly from: bigint; readonly to: bigint; readonly length: bigint }
  | { readonly _tag: "Remove"; readonly start: bigint; readonly end: bigint }
  | { readonly _tag: "Unmap"; readonly start: bigint; readonly end: bigint }

const pageMask = ~0xfffn

const eventOf = ({ arg, event }: Abi.uffd_msg): Effect.Effect<Event, never, Scope.Scope> => {
  switch (event) {
    case constants.UFFD_EVENT_PAGEFAULT: {
      const { address, flags, ptid } = arg.pagefault
      const has = (flag: number) => (Number(flags) & flag) !== 0
      return Effect.succeed({
        _tag: "PageFault",
        page: address & pageMask,
        address,
        isWrite: has(constants.UFFD_PAGEFAULT_FLAG_WRITE),
        isWriteProtected: has(constants.UFFD_PAGEFAULT_FLAG_WP),
        isMinor: has(constants.UFFD_PAGEFAULT_FLAG_MINOR),
        thread: ptid
      })
    }
    case constants.UFFD_EVENT_FORK:
      return Effect.map(hold<typeof device>(arg.fork.ufd, true), (child) => ({ _tag: "Fork", child }))
    case constants.UFFD_EVENT_REMAP:
      return Effect.succeed({ _tag: "Remap", from: arg.remap.from, to: arg.remap.to, length: arg.remap.len })
    case constants.UFFD_EVENT_REMOVE:
      return Effect.succeed({ _tag: "Remove", ...arg.remove })
    case constants.UFFD_EVENT_UNMAP:
      return Effect.succeed({ _tag: "Unmap", ...arg.remove })
    default:
      return Effect.die(new Error(`userfaultfd told of event ${event}, which was not asked for`))
  }
}

const atOnce = 16

const reading = (self: Descriptor): Description<ReadonlyArray<Abi.uffd_msg>, errors.ReadError> => {
  const buffer = new Uint8Array(atOnce * Abi.uffd_msg.size)
  return decodedAs(describe.read(self.fd, buffer), (length) =>
    decodeList(Abi.uffd_msg, buffer, Math.floor(number(length) / Abi.uffd_msg.size))
  )
}

/**
 * What happens to registered memory, as it happens.
 *
 * Descriptors of children are closed with the stream's scope. A fault that was told is told to one reader only: whoever
 * takes it must see to it that the page is filled. Ends only with the descriptor, or with an error of reading it.
 *
 * @category events
 * @since 0.1.0
 */
export const events = (faults: UserFaultFd): Stream.Stream<Event, errors.ReadError> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const self = own(faults)
      const scope = yield* Effect.scope
      const description = reading(self)
      return Stream.paginate(undefined, () =>
        Effect.map(
          takeOn(self, description, (list) => Scope.provide(Effect.forEach(list, eventOf), scope)),
          (events) => [events, Option.some(undefined)] as const
        )
      )
    })
  )
