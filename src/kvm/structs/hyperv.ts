/** Structures of guests that believe themselves on Hyper-V. What their exits tell is in `run.ts`. */
import * as Struct from "../../Struct.ts"

/**
 * An eventfd that a guest signals by the hypercall `HvSignalEvent` on a connection.
 *
 * @category structures
 * @since 0.1.0
 */
export const kvm_hyperv_eventfd = Struct.make("kvm_hyperv_eventfd", {
  conn_id: Struct.u32,
  fd: Struct.i32,
  flags: Struct.u32,
  padding: Struct.padding(12, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kvm_hyperv_eventfd extends Struct.Type<typeof kvm_hyperv_eventfd> {}
