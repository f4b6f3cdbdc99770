/** Structures that describe the machine and the kernel. */
import * as Struct from "../Struct.ts"

/**
 * What `uname` tells of the running kernel.
 *
 * @category structures
 * @since 0.1.0
 */
export const new_utsname = Struct.make("new_utsname", {
  sysname: Struct.text(65),
  nodename: Struct.text(65),
  release: Struct.text(65),
  version: Struct.text(65),
  machine: Struct.text(65),
  domainname: Struct.text(65)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface new_utsname extends Struct.Type<typeof new_utsname> {}
