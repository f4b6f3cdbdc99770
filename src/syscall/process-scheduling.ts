/** System calls on priorities and processors that take or give more than the table of calls can say. */
import type * as Effect from "effect/Effect"
import * as Abi from "../Abi.ts"
import * as errors from "../errors/calls.ts"
import { codes } from "../errors/errnos.ts"
import { int } from "../internal/arguments.ts"
import { inline, Misuse, onThisThread, run } from "../internal/invoke.ts"
import { memoryAt, nothing, number } from "./convert.ts"
import { nr } from "./raw.ts"

/**
 * `getpriority(which, who)`—The nice value of a thread, from -20, the most favoured, to 19; of a process group or a user
 * that of the most favoured process.
 *
 * `which` is `PRIO_PROCESS`, `PRIO_PGRP` or `PRIO_USER`; `who` 0 is the caller's own: with `PRIO_PROCESS` the thread that
 * JavaScript runs on. The kernel answers 20 less the nice value; what is returned here is the nice value.
 *
 * Does not block. Manual page: getpriority(2).
 *
 * @category process
 * @since 0.1.0
 */
export const getpriority = (which: number, who: number): Effect.Effect<number, errors.GetpriorityError> =>
  inline(
    errors.getpriority,
    (call) => call(nr.getpriority, int("which", which), int("who", who)),
    (answer) => 20 - number(answer)
  )

/** The kernel's sets are of whole words. */
const word = 8

/** No kernel can be built for more processors than this. */
const mostProcessors = 8192

const processorSet = (name: string, list: ReadonlyArray<number>): Uint8Array => {
  if (!Array.isArray(list)) throw new TypeError(`${name}: expected an array of processor numbers`)
  const set = new Uint8Array(mostProcessors / 8)
  let highest = 0
  for (const processor of list) {
    if (!Number.isInteger(processor) || processor < 0 || processor >= mostProcessors) {
      throw new Misuse(codes.EINVAL, `${name}: ${processor} is no processor number`)
    }
    set[processor >> 3] = (set[processor >> 3] ?? 0) | (1 << (processor & 7))
    highest = Math.max(highest, processor)
  }
  return set.subarray(0, (Math.floor(highest / 64) + 1) * word)
}

const processorsOf = (set: Uint8Array): ReadonlyArray<number> => {
  const list: Array<number> = []
  set.forEach((byte, index) => {
    for (let bit = 0; bit < 8; bit++) if ((byte & (1 << bit)) !== 0) list.push(index * 8 + bit)
  })
  return list
}

/**
 * `sched_setaffinity(pid, cpus)`—Sets the processors, by their numbers, that a thread may run on.
 *
 * `pid` 0 is the thread that JavaScript runs on; the runtime's other threads keep theirs. Processors that there are not
 * do not count, but one of the list must be there.
 *
 * Does not block. Manual page: sched_setaffinity(2).
 *
 * @category process
 * @since 0.1.0
 */
export const sched_setaffinity = (
  pid: number,
  cpus: ReadonlyArray<number>
): Effect.Effect<void, errors.SchedSetaffinityError> =>
  inline(
    errors.sched_setaffinity,
    (call) => {
      const set = processorSet("cpus", cpus)
      return call(nr.sched_setaffinity, int("pid", pid), set.length, set)
    },
    nothing
  )

/**
 * `sched_getaffinity(pid)`—The numbers of the processors that a thread may run on.
 *
 * `pid` 0 is the thread that JavaScript runs on.
 *
 * Does not block. Manual page: sched_getaffinity(2).
 *
 * @category process
 * @since 0.1.0
 */
export const sched_getaffinity = (pid: number): Effect.Effect<ReadonlyArray<number>, errors.SchedGetaffinityError> =>
  run({
    errors: errors.sched_getaffinity,
    nr: nr.sched_getaffinity,
    prepare: () => [int("pid", pid), mostProcessors / 8, new Uint8Array(mostProcessors / 8)],
    decode: (length, args) => processorsOf(memoryAt(args, 2).subarray(0, number(length))),
    options: onThisThread
  })

/**
 * `sched_setattr(pid, attr, flags)`—Sets the policy by which a thread is scheduled, and all that goes with it.
 *
 * `pid` 0 is the thread that JavaScript runs on. The structure's size is filled in. `attr.sched_policy` is one of
 * `SCHED_*`, `attr.sched_flags` are of `SCHED_FLAG_*`; `flags` must be 0.
 *
 * Does not block. Since Linux 3.14. Manual page: sched_setattr(2).
 *
 * @category process
 * @since 0.1.0
 */
export const sched_setattr = (
  pid: number,
  attr: Omit<Abi.sched_attr, "size">,
  flags = 0
): Effect.Effect<void, errors.SchedSetattrError> =>
  inline(
    errors.sched_setattr,
    (call) =>
      call(
        nr.sched_setattr,
        int("pid", pid),
        Abi.sched_attr.encode({ ...attr, size: Abi.sched_attr.size }),
        int("flags", flags)
      ),
    nothing
  )

/**
 * `getcpu()`—The processor and the memory node that the thread of JavaScript runs on just now.
 *
 * Does not block. Since Linux 2.6.19. Manual page: getcpu(2).
 *
 * @category process
 * @since 0.1.0
 */
export const getcpu: Effect.Effect<{ readonly cpu: number; readonly node: number }, errors.GetcpuError> = run({
  errors: errors.getcpu,
  nr: nr.getcpu,
  prepare: () => [new Uint32Array(1), new Uint32Array(1), null],
  decode: (_, [cpu, node]) => ({
    cpu: cpu instanceof Uint32Array ? (cpu[0] ?? 0) : 0,
    node: node instanceof Uint32Array ? (node[0] ?? 0) : 0
  }),
  options: onThisThread
})
