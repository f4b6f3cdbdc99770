/** The kinds of namespaces. Not part of the public surface. */
import * as constants from "../internal/constants.ts"

/**
 * The kinds of namespaces, as the files of `/proc/PID/ns` have them. Those `ForChildren` are where a process's children
 * will be.
 *
 * @category models
 * @since 0.1.0
 */
export type Kind =
  | "cgroup"
  | "ipc"
  | "mnt"
  | "net"
  | "pid"
  | "pidForChildren"
  | "time"
  | "timeForChildren"
  | "user"
  | "uts"

export const kinds = {
  cgroup: constants.CLONE_NEWCGROUP,
  ipc: constants.CLONE_NEWIPC,
  mnt: constants.CLONE_NEWNS,
  net: constants.CLONE_NEWNET,
  pid: constants.CLONE_NEWPID,
  time: constants.CLONE_NEWTIME,
  user: constants.CLONE_NEWUSER,
  uts: constants.CLONE_NEWUTS
}

/** The names of the files in `/proc/PID/ns`. */
export const files: { readonly [K in Kind]: string } = {
  cgroup: "cgroup",
  ipc: "ipc",
  mnt: "mnt",
  net: "net",
  pid: "pid",
  pidForChildren: "pid_for_children",
  time: "time",
  timeForChildren: "time_for_children",
  user: "user",
  uts: "uts"
}
