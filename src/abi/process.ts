/** Structures of processes, signals and scheduling. */
import * as Struct from "../Struct.ts"

/**
 * A span of time in seconds and microseconds: `tv_usec` from 0 to 999,999.
 *
 * @category structures
 * @since 0.1.0
 */
export const timeval = Struct.make("__kernel_old_timeval", {
  tv_sec: Struct.i64,
  tv_usec: Struct.i64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface timeval extends Struct.Type<typeof timeval> {}

/**
 * An interval timer: `it_value` is the time until it next expires, 0 for a timer that is stopped; `it_interval` the time
 * between later expirations, 0 for none.
 *
 * @category structures
 * @since 0.1.0
 */
export const itimerval = Struct.make("itimerval", {
  it_interval: timeval,
  it_value: timeval
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface itimerval extends Struct.Type<typeof itimerval> {}

/**
 * The limits of a resource. The process may raise `rlim_cur` up to `rlim_max`.
 *
 * @category structures
 * @since 0.1.0
 */
export const rlimit = Struct.make("rlimit", {
  rlim_cur: Struct.u64,
  rlim_max: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface rlimit extends Struct.Type<typeof rlimit> {}

/**
 * The limits of a resource, as `prlimit64` takes and gives them. The process may raise `rlim_cur` up to `rlim_max`.
 *
 * @category structures
 * @since 0.1.0
 */
export const rlimit64 = Struct.make("rlimit64", {
  rlim_cur: Struct.u64,
  rlim_max: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface rlimit64 extends Struct.Type<typeof rlimit64> {}

/**
 * Resources that a process or thread has used. `ru_maxrss` is in KiB; Linux keeps no `ru_ixrss`, `ru_idrss`, `ru_isrss`,
 * `ru_nswap`, `ru_msgsnd`, `ru_msgrcv` and `ru_nsignals`, which are 0.
 *
 * @category structures
 * @since 0.1.0
 */
export const rusage = Struct.make("rusage", {
  ru_utime: timeval,
  ru_stime: timeval,
  ru_maxrss: Struct.i64,
  ru_ixrss: Struct.i64,
  ru_idrss: Struct.i64,
  ru_isrss: Struct.i64,
  ru_minflt: Struct.i64,
  ru_majflt: Struct.i64,
  ru_nswap: Struct.i64,
  ru_inblock: Struct.i64,
  ru_oublock: Struct.i64,
  ru_msgsnd: Struct.i64,
  ru_msgrcv: Struct.i64,
  ru_nsignals: Struct.i64,
  ru_nvcsw: Struct.i64,
  ru_nivcsw: Struct.i64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface rusage extends Struct.Type<typeof rusage> {}

/**
 * Processor times of a process and, `c`, of its children that were waited for, in ticks of which there are 100 a second.
 *
 * @category structures
 * @since 0.1.0
 */
export const tms = Struct.make("tms", {
  tms_utime: Struct.i64,
  tms_stime: Struct.i64,
  tms_cutime: Struct.i64,
  tms_cstime: Struct.i64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface tms extends Struct.Type<typeof tms> {}

/**
 * The priority of a thread within its scheduling policy.
 *
 * @category structures
 * @since 0.1.0
 */
export const sched_param = Struct.make("sched_param", {
  sched_priority: Struct.i32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sched_param extends Struct.Type<typeof sched_param> {}

/**
 * How a thread is scheduled. `size` is that of the structure; `sched_nice` counts with `SCHED_NORMAL` and `SCHED_BATCH`,
 * `sched_priority` with `SCHED_FIFO` and `SCHED_RR`, the three times, in nanoseconds, with `SCHED_DEADLINE`, and the two
 * utilizations, from 0 to 1,024, with `SCHED_FLAG_UTIL_CLAMP_MIN` and `SCHED_FLAG_UTIL_CLAMP_MAX` in `sched_flags`.
 *
 * @category structures
 * @since 0.1.0
 */
export const sched_attr = Struct.make("sched_attr", {
  size: Struct.u32,
  sched_policy: Struct.u32,
  sched_flags: Struct.u64,
  sched_nice: Struct.i32,
  sched_priority: Struct.u32,
  sched_runtime: Struct.u64,
  sched_deadline: Struct.u64,
  sched_period: Struct.u64,
  sched_util_min: Struct.u32,
  sched_util_max: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sched_attr extends Struct.Type<typeof sched_attr> {}

/**
 * Whose capabilities are meant and in which form: `version` is `_LINUX_CAPABILITY_VERSION_3`; `pid` 0 is the calling
 * thread.
 *
 * @category structures
 * @since 0.1.0
 */
export const __user_cap_header_struct = Struct.make("__user_cap_header_struct", {
  version: Struct.u32,
  pid: Struct.i32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface __user_cap_header_struct extends Struct.Type<typeof __user_cap_header_struct> {}

/**
 * 32 capabilities, a bit each: capability `n` is bit `n % 32` of the record with index `n / 32`, rounded down.
 *
 * @category structures
 * @since 0.1.0
 */
export const __user_cap_data_struct = Struct.make("__user_cap_data_struct", {
  effective: Struct.u32,
  permitted: Struct.u32,
  inheritable: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface __user_cap_data_struct extends Struct.Type<typeof __user_cap_data_struct> {}

/**
 * The data that a queued signal carries: a number or an address, in the same 8 bytes.
 *
 * @category structures
 * @since 0.1.0
 */
export const sigval = Struct.union("sigval", {
  sival_int: Struct.i32,
  sival_ptr: Struct.pointer
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sigval extends Struct.Type<typeof sigval> {}

/**
 * What a signal tells beyond its number. Which member counts depends on `si_signo` and `si_code` of `siginfo`: `_kill` for
 * `SI_USER` and `SI_TKILL`, `_rt` for `SI_QUEUE`, `_timer` for `SI_TIMER`, `_sigchld` for `SIGCHLD`, `_sigfault` for
 * `SIGILL`, `SIGFPE`, `SIGSEGV`, `SIGBUS` and `SIGTRAP`, `_sigpoll` for `SIGPOLL`, `_sigsys` for `SIGSYS`.
 * `_sigfault._detail` has no name in C.
 *
 * @category structures
 * @since 0.1.0
 */
export const __sifields = Struct.union("__sifields", {
  _kill: Struct.make("__sifields._kill", { _pid: Struct.i32, _uid: Struct.u32 }),
  _timer: Struct.make("__sifields._timer", {
    _tid: Struct.i32,
    _overrun: Struct.i32,
    _sigval: sigval,
    _sys_private: Struct.i32
  }),
  _rt: Struct.make("__sifields._rt", { _pid: Struct.i32, _uid: Struct.u32, _sigval: sigval }),
  _sigchld: Struct.make("__sifields._sigchld", {
    _pid: Struct.i32,
    _uid: Struct.u32,
    _status: Struct.i32,
    _utime: Struct.i64,
    _stime: Struct.i64
  }),
  _sigfault: Struct.make("__sifields._sigfault", {
    _addr: Struct.pointer,
    _detail: Struct.union("__sifields._sigfault._detail", {
      _trapno: Struct.i32,
      _addr_lsb: Struct.i16,
      _addr_bnd: Struct.make("__sifields._sigfault._addr_bnd", {
        _dummy_bnd: Struct.padding(8),
        _lower: Struct.pointer,
        _upper: Struct.pointer
      }),
      _addr_pkey: Struct.make("__sifields._sigfault._addr_pkey", { _dummy_pkey: Struct.padding(8), _pkey: Struct.u32 }),
      _perf: Struct.make("__sifields._sigfault._perf", { _data: Struct.u64, _type: Struct.u32, _flags: Struct.u32 })
    })
  }),
  _sigpoll: Struct.make("__sifields._sigpoll", { _band: Struct.i64, _fd: Struct.i32 }),
  _sigsys: Struct.make("__sifields._sigsys", { _call_addr: Struct.pointer, _syscall: Struct.i32, _arch: Struct.u32 })
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface __sifields extends Struct.Type<typeof __sifields> {}

/**
 * What is known of a signal. `si_code` says where it comes from: one of `SI_*`, or of a signal's own codes, such as
 * `CLD_EXITED`.
 *
 * @category structures
 * @since 0.1.0
 */
export const siginfo = Struct.make("siginfo", {
  si_signo: Struct.i32,
  si_errno: Struct.i32,
  si_code: Struct.i32,
  _sifields: __sifields,
  // The kernel keeps the structure at 128 bytes.
  _si_pad: Struct.padding(80)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface siginfo extends Struct.Type<typeof siginfo> {}

/**
 * A signal as it is read from a descriptor of `signalfd4`.
 *
 * @category structures
 * @since 0.1.0
 */
export const signalfd_siginfo = Struct.make("signalfd_siginfo", {
  ssi_signo: Struct.u32,
  ssi_errno: Struct.i32,
  ssi_code: Struct.i32,
  ssi_pid: Struct.u32,
  ssi_uid: Struct.u32,
  ssi_fd: Struct.i32,
  ssi_tid: Struct.u32,
  ssi_band: Struct.u32,
  ssi_overrun: Struct.u32,
  ssi_trapno: Struct.u32,
  ssi_status: Struct.i32,
  ssi_int: Struct.i32,
  ssi_ptr: Struct.u64,
  ssi_utime: Struct.u64,
  ssi_stime: Struct.u64,
  ssi_addr: Struct.u64,
  ssi_addr_lsb: Struct.u16,
  __pad2: Struct.padding(2, 2),
  ssi_syscall: Struct.i32,
  ssi_call_addr: Struct.u64,
  ssi_arch: Struct.u32,
  __pad: Struct.padding(28)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface signalfd_siginfo extends Struct.Type<typeof signalfd_siginfo> {}

/**
 * The stack of signal handlers, for the raw call `sigaltstack`.
 *
 * @category structures
 * @since 0.1.0
 */
export const sigaltstack = Struct.make("sigaltstack", {
  ss_sp: Struct.pointer,
  ss_flags: Struct.i32,
  ss_size: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface sigaltstack extends Struct.Type<typeof sigaltstack> {}

/**
 * What the raw call `clone3` makes.
 *
 * @category structures
 * @since 0.1.0
 */
export const clone_args = Struct.make("clone_args", {
  flags: Struct.u64,
  pidfd: Struct.u64,
  child_tid: Struct.u64,
  parent_tid: Struct.u64,
  exit_signal: Struct.u64,
  stack: Struct.u64,
  stack_size: Struct.u64,
  tls: Struct.u64,
  set_tid: Struct.u64,
  set_tid_size: Struct.u64,
  cgroup: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface clone_args extends Struct.Type<typeof clone_args> {}

/**
 * Which file of an epoll set `kcmp` compares with `KCMP_EPOLL_TFD`: the descriptor of the set, the number of the file in
 * it, and which one of those with the same number.
 *
 * @category structures
 * @since 0.1.0
 */
export const kcmp_epoll_slot = Struct.make("kcmp_epoll_slot", {
  efd: Struct.u32,
  tfd: Struct.u32,
  toff: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface kcmp_epoll_slot extends Struct.Type<typeof kcmp_epoll_slot> {}

/**
 * The bounds of a process's memory, for `prctl` with `PR_SET_MM` and `PR_SET_MM_MAP`.
 *
 * @category structures
 * @since 0.1.0
 */
export const prctl_mm_map = Struct.make("prctl_mm_map", {
  start_code: Struct.u64,
  end_code: Struct.u64,
  start_data: Struct.u64,
  end_data: Struct.u64,
  start_brk: Struct.u64,
  brk: Struct.u64,
  start_stack: Struct.u64,
  arg_start: Struct.u64,
  arg_end: Struct.u64,
  env_start: Struct.u64,
  env_end: Struct.u64,
  auxv: Struct.pointer,
  auxv_size: Struct.u32,
  exe_fd: Struct.u32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface prctl_mm_map extends Struct.Type<typeof prctl_mm_map> {}

/**
 * Which signals `PTRACE_PEEKSIGINFO` reads: `nr` from number `off` on.
 *
 * @category structures
 * @since 0.1.0
 */
export const ptrace_peeksiginfo_args = Struct.make("ptrace_peeksiginfo_args", {
  off: Struct.u64,
  flags: Struct.u32,
  nr: Struct.i32
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface ptrace_peeksiginfo_args extends Struct.Type<typeof ptrace_peeksiginfo_args> {}

/**
 * Which filter `PTRACE_SECCOMP_GET_METADATA` asks about, and that filter's flags.
 *
 * @category structures
 * @since 0.1.0
 */
export const seccomp_metadata = Struct.make("seccomp_metadata", {
  filter_off: Struct.u64,
  flags: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface seccomp_metadata extends Struct.Type<typeof seccomp_metadata> {}

/**
 * The system call that a tracee is in, as `PTRACE_GET_SYSCALL_INFO` tells. `op` is one of `PTRACE_SYSCALL_INFO_*` and says
 * which member of `info`, a union that has no name in C, counts. `flags` is 0, and was padding before Linux 6.16.
 *
 * @category structures
 * @since 0.1.0
 */
export const ptrace_syscall_info = Struct.make("ptrace_syscall_info", {
  op: Struct.u8,
  reserved: Struct.padding(1),
  flags: Struct.u16,
  arch: Struct.u32,
  instruction_pointer: Struct.u64,
  stack_pointer: Struct.u64,
  info: Struct.union("ptrace_syscall_info.info", {
    entry: Struct.make("ptrace_syscall_info.entry", { nr: Struct.u64, args: Struct.array(Struct.u64, 6) }),
    exit: Struct.make("ptrace_syscall_info.exit", { rval: Struct.i64, is_error: Struct.u8 }),
    seccomp: Struct.make("ptrace_syscall_info.seccomp", {
      nr: Struct.u64,
      args: Struct.array(Struct.u64, 6),
      ret_data: Struct.u32,
      reserved2: Struct.padding(4, 4)
    })
  })
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface ptrace_syscall_info extends Struct.Type<typeof ptrace_syscall_info> {}

/**
 * Where a tracee's memory of restartable sequences is, as `PTRACE_GET_RSEQ_CONFIGURATION` tells.
 *
 * @category structures
 * @since 0.1.0
 */
export const ptrace_rseq_configuration = Struct.make("ptrace_rseq_configuration", {
  rseq_abi_pointer: Struct.u64,
  rseq_abi_size: Struct.u32,
  signature: Struct.u32,
  flags: Struct.u32,
  pad: Struct.padding(4, 4)
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface ptrace_rseq_configuration extends Struct.Type<typeof ptrace_rseq_configuration> {}

/**
 * How system calls of a tracee are dispatched to it, for `PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG` and its counterpart:
 * `mode` is one of `PR_SYS_DISPATCH_*`, `selector` the address of the byte that decides, and calls from the `len` bytes at
 * `offset` are excepted.
 *
 * @category structures
 * @since 0.1.0
 */
export const ptrace_sud_config = Struct.make("ptrace_sud_config", {
  mode: Struct.u64,
  selector: Struct.u64,
  offset: Struct.u64,
  len: Struct.u64
})
/**
 * @category structures
 * @since 0.1.0
 */
export interface ptrace_sud_config extends Struct.Type<typeof ptrace_sud_config> {}
