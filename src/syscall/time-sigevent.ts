/** What is to happen when a timer expires or a message comes. Not part of the public surface but for its type. */
import * as Abi from "../Abi.ts"
import type * as Struct from "../Struct.ts"
import { encodeSome } from "./events-memory.ts"

/**
 * What happens when a timer expires or a message comes. `sigev_notify` is `SIGEV_NONE` (nothing), `SIGEV_SIGNAL` (the
 * signal `sigev_signo` with the data `sigev_value` is sent to the process) or `SIGEV_THREAD_ID` (to the thread
 * `_sigev_un._tid`); fields that are left out are 0.
 *
 * @category time
 * @since 0.1.0
 */
export interface SignalEvent extends Partial<Struct.Encoded<typeof Abi.sigevent>> {
  readonly sigev_notify: number
}

export const encodeSignalEvent = (event: SignalEvent | null): Uint8Array | null =>
  event === null ? null : encodeSome(Abi.sigevent, event)
