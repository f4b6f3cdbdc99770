/** Structures of filters, access rules, performance events and security modules. */
import * as Struct from "../Struct.ts"

/**
 * An instruction of a classic packet filter, as seccomp runs them.
 *
 * @category structures
 * @since 0.1.0
 */
export const sock_filter = Struct.make("sock_filter", {
  code: Struct.u16,
  jt: Struct.u8,
  jf: Struct.u8,
  k: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sock_filter extends Struct.Type<typeof sock_filter> {}

/**
 * A classic packet filter: how many instructions, and where they are (`Syscall.addressOf`).
 *
 * @category structures
 * @since 0.1.0
 */
export const sock_fprog = Struct.make("sock_fprog", { len: Struct.u16, filter: Struct.pointer })
/**
 * @category structures
 * @since 0.1.0
 */
export interface sock_fprog extends Struct.Type<typeof sock_fprog> {}

/**
 * What a Landlock ruleset handles, and so denies unless a rule allows it.
 *
 * @category structures
 * @since 0.1.0
 */
export const landlock_ruleset_attr = Struct.make("landlock_ruleset_attr", {
  handled_access_fs: Struct.u64,
  handled_access_net: Struct.u64,
  scoped: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface landlock_ruleset_attr extends Struct.Type<typeof landlock_ruleset_attr> {}

/**
 * What a Landlock rule allows beneath a directory.
 *
 * @category structures
 * @since 0.1.0
 */
export const landlock_path_beneath_attr = Struct.packed("landlock_path_beneath_attr", {
  allowed_access: Struct.u64,
  parent_fd: Struct.i32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface landlock_path_beneath_attr extends Struct.Type<typeof landlock_path_beneath_attr> {}

/**
 * What a Landlock rule allows on a TCP port.
 *
 * @category structures
 * @since 0.1.0
 */
export const landlock_net_port_attr = Struct.make("landlock_net_port_attr", {
  allowed_access: Struct.u64,
  port: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface landlock_net_port_attr extends Struct.Type<typeof landlock_net_port_attr> {}

/**
 * What a performance event counts and how. `flags` are the kernel's single bits, `disabled` the lowest.
 *
 * @category structures
 * @since 0.1.0
 */
export const perf_event_attr = Struct.make("perf_event_attr", {
  type: Struct.u32,
  size: Struct.u32,
  config: Struct.u64,
  sample_period: Struct.u64,
  sample_type: Struct.u64,
  read_format: Struct.u64,
  flags: Struct.u64,
  wakeup_events: Struct.u32,
  bp_type: Struct.u32,
  config1: Struct.u64,
  config2: Struct.u64,
  branch_sample_type: Struct.u64,
  sample_regs_user: Struct.u64,
  sample_stack_user: Struct.u32,
  clockid: Struct.i32,
  sample_regs_intr: Struct.u64,
  aux_watermark: Struct.u32,
  sample_max_stack: Struct.u16,
  __reserved_2: Struct.padding(2, 2),
  aux_sample_size: Struct.u32,
  __reserved_3: Struct.padding(4, 4),
  sig_data: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface perf_event_attr extends Struct.Type<typeof perf_event_attr> {}

/**
 * The head of what a security module says of a process; `ctx_len` bytes of context follow it.
 *
 * @category structures
 * @since 0.1.0
 */
export const lsm_ctx = Struct.make("lsm_ctx", {
  id: Struct.u64,
  flags: Struct.u64,
  len: Struct.u64,
  ctx_len: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface lsm_ctx extends Struct.Type<typeof lsm_ctx> {}
