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

/**
 * What `sysinfo` tells of the machine; sizes are in units of `mem_unit` bytes.
 *
 * @category structures
 * @since 0.1.0
 */
export const sysinfo = Struct.make("sysinfo", {
  uptime: Struct.i64,
  loads: Struct.array(Struct.u64, 3),
  totalram: Struct.u64,
  freeram: Struct.u64,
  sharedram: Struct.u64,
  bufferram: Struct.u64,
  totalswap: Struct.u64,
  freeswap: Struct.u64,
  procs: Struct.u16,
  pad: Struct.padding(2, 2),
  totalhigh: Struct.u64,
  freehigh: Struct.u64,
  mem_unit: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sysinfo extends Struct.Type<typeof sysinfo> {}
